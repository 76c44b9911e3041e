#ifndef CAPI_CGI_REQUEST_H
#define CAPI_CGI_REQUEST_H

/* The CGI environment, read and checked once: which of our pages is asked for, with what. */

#include "report.h"

typedef enum {
    ROUTE_PAGE,
    ROUTE_DELIVERY,
    ROUTE_DELIVERIES_JSON,
    ROUTE_COVERAGE_JSON,
    ROUTE_STATUS_JSON,
    ROUTE_METRICS,
    ROUTE_ACTIONS, /* the only one that is posted to */
    ROUTE_STYLE,
    ROUTE_SCRIPT,
    ROUTE_NO_SLASH, /* the page's address without its final slash */
    ROUTE_UNKNOWN
} cgi_route_t;

/* How this route's answers, errors included, are written. */
typedef enum { FORM_HTML, FORM_JSON, FORM_TEXT } cgi_form_t;

typedef struct {
    bool is_read; /* GET or HEAD */
    bool is_head;
    bool is_post;
    cgi_route_t route;
    cgi_form_t form;
    apr_int64_t delivery; /* of ROUTE_DELIVERY */
    const char *root;     /* relative path back to the page: "./", "../" … */
    const char *slash;    /* relative address with the slash, of ROUTE_NO_SLASH */
    const char *revision; /* parameter `v` of an asset; NULL if none */
    capi_filter_t filter; /* the parameters limit before state event_name q account since until */
    int period;           /* of the chart, as capi_report_period has it */
    const char *bad;      /* what is wrong with a parameter, a sentence; NULL: nothing */
    const char *driver;   /* where the store is; NULL: the module did not say */
    const char *params;
    bool may_write;     /* PinterestCapiAdmin Write */
    const char *user;   /* REMOTE_USER, "" where nobody has signed in */
    const char *asked;  /* id of an action that the page is to tell about; NULL: none */
    int retention_days; /* 0: not said */
    apr_time_t now;
} cgi_request_t;

cgi_request_t *cgi_request_read(apr_pool_t *p);

/* A body that nobody wants is read all the same, up to a limit: closed upon, httpd would find its
 * connection reset and might lose the answer. */
void cgi_request_discard_body(void);

/* The filter as a query string that leads to the deliveries before `before` (0: the newest), for
 * links; "" where there is nothing to say. Not escaped for HTML. */
const char *cgi_request_query(const cgi_request_t *request, apr_int64_t before, apr_pool_t *p);

#endif
