#ifndef CAPI_CGI_PAGE_H
#define CAPI_CGI_PAGE_H

/* The HTML pages. A section is a file: section_*.c; each takes its model and writes itself. */

#include "html.h"
#include "request.h"

/* Head, header and footer around what one page says. `title` is plain text. */
void page_begin(html_t *html, const cgi_request_t *request, const char *title);
void page_end(html_t *html, const cgi_request_t *request);

/* A page of one sentence, for what went wrong. */
void page_sentence(html_t *html, const cgi_request_t *request, const char *title,
                   const char *sentence);

/* The page itself, from the models of report.h. */
typedef struct {
    json_t *status;
    json_t *troubles;
    json_t *course;
    json_t *coverage;
    json_t *before; /* the coverage of the week before */
    json_t *deliveries;
} page_models_t;
void page_overview(html_t *html, const cgi_request_t *request, const page_models_t *models);

/* /deliveries/ID */
void page_delivery(html_t *html, const cgi_request_t *request, const json_t *delivery);

/* Sections of the page. */
void section_verdict(html_t *html, const json_t *status);
void section_troubles(html_t *html, const json_t *troubles);
void section_totals(html_t *html, const json_t *status);
void section_health(html_t *html, const json_t *status);
void section_course(html_t *html, const cgi_request_t *request, const json_t *course);
void section_quality(html_t *html, const json_t *status, const json_t *coverage,
                     const json_t *before);
void section_coverage(html_t *html, const json_t *coverage);
void section_consent(html_t *html, const json_t *status);
void section_deliveries(html_t *html, const cgi_request_t *request, const json_t *deliveries,
                        const json_t *coverage, const json_t *status);

/* Small pieces that several of them use. */
void piece_icon(html_t *html, const char *name);
void piece_badge(html_t *html, const char *state); /* a state as icon and word */

#endif
