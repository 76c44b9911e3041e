#ifndef CAPI_CGI_PAGE_H
#define CAPI_CGI_PAGE_H

/* The HTML pages. A section is a file: section_*.c; each takes its model and writes itself. */

#include "forms.h"
#include "html.h"
#include "piece.h"
#include "report_actions.h"
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
    json_t *actions;
    forms_t forms;
} page_models_t;
void page_overview(html_t *html, const cgi_request_t *request, const page_models_t *models);

/* /deliveries/ID. `asked`: the action that brought the reader here, NULL: none. */
void page_delivery(html_t *html, const forms_t *forms, const json_t *delivery, const json_t *asked);

/* Sections of the page. */
void section_verdict(html_t *html, const json_t *status);
void section_troubles(html_t *html, const json_t *troubles);
void section_first(html_t *html, const json_t *status);
void section_totals(html_t *html, const json_t *status);
void section_health(html_t *html, const json_t *status);
void section_course(html_t *html, const cgi_request_t *request, const json_t *course);
void section_quality(html_t *html, const json_t *status, const json_t *coverage,
                     const json_t *before);
void section_coverage(html_t *html, const json_t *coverage, const json_t *before);
void section_catalog(html_t *html, const json_t *status, const json_t *coverage);
void section_names(html_t *html, const json_t *troubles);
void section_consent(html_t *html, const json_t *status);
void section_deliveries(html_t *html, const cgi_request_t *request, const json_t *deliveries,
                        const json_t *coverage, const json_t *status);
void section_actions(html_t *html, const forms_t *forms, const json_t *actions);
void section_kept(html_t *html, const json_t *delivery);

/* What came of an action, for who has just asked for it; nothing where `asked` is NULL or null. */
void section_asked(html_t *html, const cgi_request_t *request, const json_t *asked);

#endif
