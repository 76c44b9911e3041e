/* Paths, parameters and the module's variables. */

#include "request.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "html.h"
#include "ident.h"
#include "text.h"

#define BODY_READ_MAX (1024 * 1024L)

static const struct {
    const char *path;
    cgi_route_t route;
    cgi_form_t form;
} routes[] = {{"", ROUTE_NO_SLASH, FORM_HTML},
              {"/", ROUTE_PAGE, FORM_HTML},
              {"/deliveries.json", ROUTE_DELIVERIES_JSON, FORM_JSON},
              {"/coverage.json", ROUTE_COVERAGE_JSON, FORM_JSON},
              {"/status.json", ROUTE_STATUS_JSON, FORM_JSON},
              {"/metrics", ROUTE_METRICS, FORM_TEXT},
              {"/actions", ROUTE_ACTIONS, FORM_HTML},
              {"/style.css", ROUTE_STYLE, FORM_TEXT},
              {"/script.js", ROUTE_SCRIPT, FORM_TEXT}};

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value ? value : "";
}

/* Digits alone, at most 18 of them, so that every number fits. */
static bool read_number(apr_int64_t *number, const char *text)
{
    apr_size_t len = strlen(text);

    if (len == 0 || len > 18 || strspn(text, "0123456789") != len) {
        return false;
    }
    *number = apr_atoi64(text);
    return true;
}

static const char *path_to_root(const char *path, apr_pool_t *p)
{
    const char *root = "";
    const char *slash;

    for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        root = apr_pstrcat(p, root, "../", NULL);
    }
    return *root ? root : "./";
}

static void find_route(cgi_request_t *request, const char *path, apr_pool_t *p)
{
    static const char deliveries[] = "/deliveries/";
    apr_size_t i;

    request->route = ROUTE_UNKNOWN;
    request->root = *path ? path_to_root(path, p) : "./";
    for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(path, routes[i].path) == 0) {
            request->route = routes[i].route;
            request->form = routes[i].form;
            return;
        }
    }
    if (strncmp(path, deliveries, sizeof(deliveries) - 1) == 0 &&
        read_number(&request->delivery, path + sizeof(deliveries) - 1)) {
        request->route = ROUTE_DELIVERY;
    }
}

/* Relative, because a proxy in front may know us under another path. REQUEST_URI is what the
 * client sent; only its last segment is repeated. */
static const char *with_slash(apr_pool_t *p)
{
    const char *uri = variable("REQUEST_URI");
    char *path = apr_pstrndup(p, uri, strcspn(uri, "?#"));
    const char *last = strrchr(path, '/');
    const char *query = variable("QUERY_STRING");

    last = last ? last + 1 : variable("SCRIPT_NAME");
    last = strrchr(last, '/') ? strrchr(last, '/') + 1 : last;
    return apr_pstrcat(p, "./", strchr(last, '%') ? last : html_url(last, p), "/",
                       *query ? "?" : "", query, NULL);
}

/* A parameter, NULL where it is absent or left empty, as a form sends what nobody filled in. */
static const char *parameter(const char *name, apr_pool_t *p)
{
    const char *value = capi_query_get(variable("QUERY_STRING"), name, p);

    return value && *value ? value : NULL;
}

/* Unix seconds, or a date and time as a form's field sends it (UTC): 2026-11-23, 2026-11-23T21:07,
 * with or without seconds and Z. */
static bool read_time(apr_int64_t *seconds, const char *text)
{
    apr_time_exp_t parts = {0};
    apr_time_t when;
    int used = 0;

    if (read_number(seconds, text)) {
        return true;
    }
    if (sscanf(text, "%4d-%2d-%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &used) != 3) {
        return false;
    }
    text += used;
    used = 0;
    if ((*text == 'T' || *text == ' ') &&
        sscanf(text + 1, "%2d:%2d%n", &parts.tm_hour, &parts.tm_min, &used) == 2) {
        text += 1 + used;
        used = 0;
        if (*text == ':' && sscanf(text + 1, "%2d%n", &parts.tm_sec, &used) == 1) {
            text += 1 + used;
        }
    }
    text += *text == 'Z';
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    if (*text != '\0' || parts.tm_year < 70 || parts.tm_mon < 0 || parts.tm_mon > 11 ||
        parts.tm_mday < 1 || parts.tm_mday > 31 || apr_time_exp_gmt_get(&when, &parts)) {
        return false;
    }
    *seconds = apr_time_sec(when);
    return true;
}

static const char *read_limit(capi_filter_t *filter, const char *text)
{
    apr_int64_t number = CAPI_REPORT_LIMIT;

    if (text && (!read_number(&number, text) || number == 0)) {
        return "Parameter limit is not a number: write one from 1 to 200.";
    }
    filter->limit = number > CAPI_REPORT_LIMIT_MAX ? CAPI_REPORT_LIMIT_MAX : (int)number;
    return NULL;
}

static const char *read_filter(capi_filter_t *filter, apr_pool_t *p)
{
    const char *before = parameter("before", p);
    const char *state = parameter("state", p);
    const char *since = parameter("since", p);
    const char *until = parameter("until", p);
    const char *bad = read_limit(filter, parameter("limit", p));

    filter->state = CAPI_REPORT_ANY_STATE;
    filter->event_name = parameter("event_name", p);
    filter->q = parameter("q", p);
    filter->account = parameter("account", p);
    if (bad) {
        return bad;
    }
    if (before && !read_number(&filter->before, before)) {
        return "Parameter before is not the id of a delivery.";
    }
    if (state && !capi_report_state(&filter->state, state)) {
        return "Parameter state is none of queued, sending, retrying, held, delivered, rejected, "
               "suppressed, unconfirmed and expired.";
    }
    if ((since && !read_time(&filter->since, since)) ||
        (until && !read_time(&filter->until, until))) {
        return "Parameters since and until are Unix seconds, or a date like 2026-11-23T21:07 "
               "(UTC).";
    }
    return NULL;
}

/* "sqlite3 /path/store.db": the driver, a blank, the rest. */
static void read_store(cgi_request_t *request, apr_pool_t *p)
{
    const char *store = variable("PINTEREST_CAPI_STORE");
    apr_size_t driver_len = strcspn(store, " ");

    if (driver_len > 0) {
        request->driver = apr_pstrndup(p, store, driver_len);
        request->params = store + driver_len + strspn(store + driver_len, " ");
    }
    request->may_write = strcasecmp(variable("PINTEREST_CAPI_ADMIN"), "Write") == 0;
    request->retention_days = atoi(variable("PINTEREST_CAPI_RETENTION"));
}

cgi_request_t *cgi_request_read(apr_pool_t *p)
{
    cgi_request_t *request = apr_pcalloc(p, sizeof(*request));
    const char *method = variable("REQUEST_METHOD");
    const char *period = parameter("period", p);
    const char *asked = parameter("asked", p);

    request->now = apr_time_now();
    request->is_head = strcmp(method, "HEAD") == 0;
    request->is_read = request->is_head || strcmp(method, "GET") == 0;
    request->is_post = strcmp(method, "POST") == 0;
    request->user = variable("REMOTE_USER");
    find_route(request, variable("PATH_INFO"), p);
    read_store(request, p);
    request->slash = with_slash(p);
    request->revision = parameter("v", p);
    request->asked = asked && capi_is_uuid(asked, strlen(asked)) ? asked : NULL;
    request->bad = read_filter(&request->filter, p);
    if (period && !capi_report_period(&request->period, period) && !request->bad) {
        request->bad = "Parameter period is none of 24h, 7d and 30d.";
    }
    return request;
}

static void add_parameter(const char **query, const char *name, const char *value, apr_pool_t *p)
{
    if (value) {
        *query = apr_pstrcat(p, *query, **query ? "&" : "?", name, "=", html_url(value, p), NULL);
    }
}

static void add_number(const char **query, const char *name, apr_int64_t number, apr_pool_t *p)
{
    if (number > 0) {
        add_parameter(query, name, apr_psprintf(p, "%" APR_INT64_T_FMT, number), p);
    }
}

const char *cgi_request_query(const cgi_request_t *request, apr_int64_t before, apr_pool_t *p)
{
    const capi_filter_t *filter = &request->filter;
    const char *query = "";

    add_parameter(&query, "q", filter->q, p);
    if (filter->state != CAPI_REPORT_ANY_STATE) {
        add_parameter(&query, "state", capi_state_name((capi_state_t)filter->state), p);
    }
    add_parameter(&query, "event_name", filter->event_name, p);
    add_parameter(&query, "account", filter->account, p);
    add_number(&query, "since", filter->since, p);
    add_number(&query, "until", filter->until, p);
    add_number(&query, "limit", filter->limit == CAPI_REPORT_LIMIT ? 0 : filter->limit, p);
    add_number(&query, "before", before, p);
    if (request->period) {
        add_parameter(&query, "period", capi_report_period_name(request->period), p);
    }
    return query;
}

void cgi_request_discard_body(void)
{
    const char *length = getenv("CONTENT_LENGTH");
    long left = length ? strtol(length, NULL, 10) : 0;
    char bytes[4096];

    left = left > BODY_READ_MAX ? BODY_READ_MAX : left;
    while (left > 0) {
        size_t wanted = left < (long)sizeof(bytes) ? (size_t)left : sizeof(bytes);
        size_t got = fread(bytes, 1, wanted, stdin);
        if (got == 0) {
            return;
        }
        left -= (long)got;
    }
}
