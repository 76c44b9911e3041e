/* pinterest-capi.cgi: one request, one answer. httpd decides who may ask. */

#include "response.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actions.h"
#include "metrics.h"
#include "page.h"
#include "report_troubles.h"
#include "shell.h"

/* The engine's words go to httpd's error_log; the sentence goes to the reader. */
static void refuse_store(const cgi_request_t *request, const char *number, const char *sentence,
                         const char *detail, apr_pool_t *p)
{
    fprintf(stderr, "%s: admin page: %s%s%s\n", number, sentence, *detail ? " Cause: " : "",
            detail);
    respond_sentence(request, 503, "Retry-After: 10\r\n", "The store cannot be read", sentence, p);
}

static apr_status_t answer_page(const cgi_request_t *request, capi_store_t *store, apr_pool_t *p)
{
    html_t *html = html_make(p);
    apr_int64_t week_ago = apr_time_sec(request->now) - 7 * 24 * 3600;
    capi_filter_t week = {.account = request->filter.account};
    capi_filter_t before = {.account = request->filter.account, .until = week_ago};
    page_models_t models;
    apr_status_t rv = capi_report_status(&models.status, store, request->now, p);

    if (rv == APR_SUCCESS) {
        rv = capi_report_troubles(&models.troubles, store, models.status, request->now, p);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_report_course(&models.course, store, request->period, request->filter.account,
                                request->now, p);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_report_coverage(&models.coverage, store, &week, request->now, p);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_report_coverage(&models.before, store, &before, request->now, p);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_report_deliveries(&models.deliveries, store, &request->filter, p);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_report_actions(&models.actions, store, json_object_get(models.status, "status"),
                                 request->asked, p);
    }
    if (rv == APR_SUCCESS) {
        rv = forms_open(&models.forms, request, store);
    }
    if (rv == APR_SUCCESS) {
        page_overview(html, request, &models);
        respond_html(request, 200, html);
    }
    return rv;
}

static apr_status_t answer_delivery(const cgi_request_t *request, capi_store_t *store,
                                    apr_pool_t *p)
{
    html_t *html = html_make(p);
    json_t *asked = NULL;
    json_t *delivery;
    forms_t forms;
    apr_status_t rv = capi_report_delivery(&delivery, store, request->delivery, p);

    if (rv == APR_SUCCESS) {
        rv = capi_report_kept(delivery, store, request->delivery, p);
    }
    if (rv == APR_SUCCESS) {
        rv = forms_open(&forms, request, store);
    }
    if (rv == APR_SUCCESS && request->asked) {
        rv = capi_report_ask(&asked, store, request->asked, p);
    }
    if (rv == APR_SUCCESS) {
        page_delivery(html, &forms, delivery, asked);
        respond_html(request, 200, html);
    }
    else if (rv == APR_NOTFOUND) {
        respond_sentence(request, 404, NULL, "No such delivery",
                         "There is no delivery of this number. Records are kept for "
                         "PinterestCapiRetention days.",
                         p);
        rv = APR_SUCCESS;
    }
    json_decref(asked);
    return rv;
}

static apr_status_t answer_json(const cgi_request_t *request, capi_store_t *store, apr_pool_t *p)
{
    json_t *model = NULL;
    apr_status_t rv;

    if (request->route == ROUTE_DELIVERIES_JSON) {
        rv = capi_report_deliveries(&model, store, &request->filter, p);
    }
    else if (request->route == ROUTE_COVERAGE_JSON) {
        rv = capi_report_coverage(&model, store, &request->filter, request->now, p);
    }
    else {
        rv = capi_report_status(&model, store, request->now, p);
    }
    if (rv == APR_SUCCESS) {
        bool is_broken = request->route == ROUTE_STATUS_JSON &&
                         json_is_true(json_object_get(json_object_get(model, "status"), "broken"));
        respond_json(request, is_broken ? 503 : 200, model, p);
    }
    return rv;
}

static apr_status_t answer_metrics(const cgi_request_t *request, capi_store_t *store, apr_pool_t *p)
{
    metrics_dialect_t dialect = metrics_wanted(getenv("HTTP_ACCEPT"));
    json_t *status;
    json_t *totals;
    const char *text;
    apr_status_t rv = capi_report_status(&status, store, request->now, p);

    if (rv == APR_SUCCESS) {
        rv = capi_report_totals(&totals, store, p);
    }
    if (rv == APR_SUCCESS) {
        text = metrics_text(status, totals, dialect, p);
        respond(request, 200, metrics_type(dialect), "Vary: Accept\r\n", text, strlen(text));
    }
    return rv;
}

static void answer_from_store(const cgi_request_t *request, apr_pool_t *p)
{
    capi_store_t *store;
    const char *message = NULL;
    apr_status_t rv = capi_store_open(&store, &message, request->driver, request->params, true, p);

    if (rv) {
        refuse_store(request, "PCAPI200", message ? message : "The store cannot be opened.", "", p);
        return;
    }
    switch (request->route) {
    case ROUTE_PAGE:
        rv = answer_page(request, store, p);
        break;
    case ROUTE_DELIVERY:
        rv = answer_delivery(request, store, p);
        break;
    case ROUTE_METRICS:
        rv = answer_metrics(request, store, p);
        break;
    default:
        rv = answer_json(request, store, p);
    }
    if (rv) {
        refuse_store(request, "PCAPI201",
                     "The store could not be read: it is locked or damaged. Events are not lost by "
                     "that, the sender keeps its own connection; error_log has the cause.",
                     capi_store_error(store), p);
    }
    capi_store_close(store);
}

static void answer(const cgi_request_t *request, apr_pool_t *p)
{
    bool is_action = request->route == ROUTE_ACTIONS;

    if (is_action && request->is_read) {
        respond_sentence(request, 405, "Allow: POST\r\n", "Not possible",
                         "This address takes what the page\xe2\x80\x99s forms send (POST).", p);
    }
    else if (!request->is_read && !(is_action && request->is_post)) {
        cgi_request_discard_body();
        respond_sentence(request, 405, "Allow: GET, HEAD\r\n", "Not possible",
                         "This address can only be read (GET).", p);
    }
    else if (request->route == ROUTE_STYLE || request->route == ROUTE_SCRIPT) {
        respond_asset(request, request->route == ROUTE_STYLE ? &asset_style : &asset_script);
    }
    else if (!request->driver) {
        respond_sentence(request, 403, NULL, "Not switched on",
                         "The admin page is not switched on here: set PinterestCapiAdmin On in the "
                         "<Location> of this program.",
                         p);
    }
    else if (is_action) {
        actions_answer(request, p);
    }
    else if (request->route == ROUTE_NO_SLASH) {
        respond_sentence(request, 301, apr_pstrcat(p, "Location: ", request->slash, "\r\n", NULL),
                         "Moved", "The page is at this address with a slash at its end.", p);
    }
    else if (request->route == ROUTE_UNKNOWN) {
        respond_sentence(request, 404, NULL, "Not found", "There is no such page here.", p);
    }
    else if (request->bad) {
        respond_sentence(request, 400, NULL, "Not understood", request->bad, p);
    }
    else {
        answer_from_store(request, p);
    }
}

int main(int argc, const char *const argv[])
{
    int end = EXIT_SUCCESS;
    apr_pool_t *pool;

    if (apr_initialize() || apr_pool_create(&pool, NULL)) {
        fputs("PCAPI202: admin page: the Apache Portable Runtime does not start.\n", stderr);
        return EXIT_FAILURE;
    }
    if (shell_is_asked()) {
        end = shell_run(argc, argv, pool);
    }
    else {
        answer(cgi_request_read(pool), pool);
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return fflush(stdout) == 0 ? end : EXIT_FAILURE;
}
