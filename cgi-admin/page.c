/* The frame of every page, and the pieces that sections share. */

#include "page.h"

#include <apr_strings.h>

#include <string.h>

#include "assets.h"
#include "model.h"

/* Drawn once, used by reference. Each state has a shape of its own: colour alone says nothing. */
static const char sprite[] =
    "<svg class=\"sprite\" aria-hidden=\"true\"><defs>"
    "<symbol id=\"i-delivered\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6.5\"/>"
    "<path d=\"m5 8.2 2.1 2.1L11 6.2\"/></symbol>"
    "<symbol id=\"i-queued\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6.5\"/>"
    "<path d=\"M8 4.5V8l2.3 1.6\"/></symbol>"
    "<symbol id=\"i-sending\" viewBox=\"0 0 16 16\"><path d=\"M2 8h11M9 4l4 4-4 4\"/></symbol>"
    "<symbol id=\"i-retrying\" viewBox=\"0 0 16 16\"><path d=\"M13.5 8a5.5 5.5 0 1 1-1.7-4\"/>"
    "<path d=\"M12.2 1v3.2H9\"/></symbol>"
    "<symbol id=\"i-held\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6.5\"/>"
    "<path d=\"M6.3 5.7v4.6M9.7 5.7v4.6\"/></symbol>"
    "<symbol id=\"i-rejected\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6.5\"/>"
    "<path d=\"m5.8 5.8 4.4 4.4m0-4.4-4.4 4.4\"/></symbol>"
    "<symbol id=\"i-suppressed\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6.5\"/>"
    "<path d=\"m3.5 12.5 9-9\"/></symbol>"
    "<symbol id=\"i-unconfirmed\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6.5\"/>"
    "<path d=\"M6.2 6.4a1.9 1.9 0 1 1 2.6 1.7c-.5.2-.8.5-.8 1.1M8 11.2v.1\"/></symbol>"
    "<symbol id=\"i-expired\" viewBox=\"0 0 16 16\"><path d=\"M4 2h8M4 14h8M5 2c0 4 6 8 6 12M11 "
    "2c0 4-6 8-6 12\"/></symbol>"
    "<symbol id=\"i-idle\" viewBox=\"0 0 16 16\"><circle cx=\"8\" cy=\"8\" r=\"6.5\"/>"
    "<path d=\"M5.5 8h5\"/></symbol>"
    "<symbol id=\"i-alert\" viewBox=\"0 0 16 16\"><path d=\"M8 2 1.8 13.2h12.4Z\"/>"
    "<path d=\"M8 6.5v3M8 11.4v.1\"/></symbol>"
    "<symbol id=\"i-search\" viewBox=\"0 0 16 16\"><circle cx=\"7\" cy=\"7\" r=\"4.5\"/>"
    "<path d=\"m10.5 10.5 3.5 3.5\"/></symbol>"
    "<symbol id=\"i-back\" viewBox=\"0 0 16 16\"><path d=\"M14 8H3M7 4 3 8l4 4\"/></symbol>"
    "</defs></svg>";

static void put_asset(html_t *html, const cgi_request_t *request, const char *before,
                      const asset_t *asset, const char *after)
{
    char revision[ASSET_REVISION_LEN + 1];

    asset_revision(revision, asset);
    html_raw(html, before);
    html_put(html, "%s%s?v=%s", request->root, asset->name, revision);
    html_raw(html, after);
}

static void begin(html_t *html, const cgi_request_t *request, const char *title, bool has_jumps)
{
    html_raw(html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html_put(html, "<title>%s</title>\n", title);
    html_raw(html, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                   "<meta name=\"color-scheme\" content=\"light dark\">\n"
                   "<meta name=\"robots\" content=\"noindex\">\n"
                   "<link rel=\"icon\" href=\"data:,\">\n");
    put_asset(html, request, "<link rel=\"stylesheet\" href=\"", &asset_style, "\">\n");
    put_asset(html, request, "<script src=\"", &asset_script, "\" defer></script>\n");
    html_raw(html, "</head>\n<body>\n");
    html_raw(html, sprite);
    html_raw(html, "\n<a class=\"skip\" href=\"#main\">Skip to content</a>\n"
                   "<header class=\"top\"><div class=\"wide\">");
    html_put(html, "<a class=\"brand\" href=\"%s\">", request->root);
    html_raw(html, "<svg class=\"logo\" viewBox=\"0 0 24 24\" aria-hidden=\"true\">"
                   "<path d=\"M3 12h5\"/><circle cx=\"11.5\" cy=\"12\" r=\"3.5\"/>"
                   "<path d=\"M15 12h6m-3-3 3 3-3 3\"/></svg>"
                   "<span>Conversions to Pinterest</span></a>");
    if (has_jumps) {
        html_raw(html, "<nav class=\"jump\" aria-label=\"On this page\"><ul>"
                       "<li><a href=\"#course\">Over time</a></li>"
                       "<li><a href=\"#coverage\">Match keys</a></li>"
                       "<li><a href=\"#consent\">Consent</a></li>"
                       "<li><a href=\"#health\">Accounts</a></li>"
                       "<li><a href=\"#deliveries\">Deliveries</a></li></ul></nav>");
    }
    html_raw(html, "<p class=\"live\" data-live hidden></p></div></header>\n"
                   "<main id=\"main\" class=\"wide\" tabindex=\"-1\">\n");
}

void page_begin(html_t *html, const cgi_request_t *request, const char *title)
{
    begin(html, request, title, false);
}

void page_end(html_t *html, const cgi_request_t *request)
{
    html_raw(html, "</main>\n<footer class=\"wide\"><p>As of ");
    html_time(html, (json_int_t)apr_time_sec(request->now));
    html_raw(html, ". All times are UTC.</p><nav aria-label=\"The same as data\"><ul>");
    html_put(html, "<li><a href=\"%sstatus.json\">status.json</a></li>", request->root);
    html_put(html, "<li><a href=\"%scoverage.json\">coverage.json</a></li>", request->root);
    html_put(html, "<li><a href=\"%sdeliveries.json\">deliveries.json</a></li>", request->root);
    html_put(html, "<li><a href=\"%smetrics\">metrics</a></li>", request->root);
    html_put(html, "</ul></nav><p>mod_pinterest_capi %s</p></footer>\n</body>\n</html>\n",
             CAPI_VERSION);
}

void page_sentence(html_t *html, const cgi_request_t *request, const char *title,
                   const char *sentence)
{
    page_begin(html, request, title);
    html_put(html, "<section class=\"sentence\"><h1>%s</h1><p>%s</p>", title, sentence);
    if (request->route != ROUTE_PAGE) {
        html_put(html, "<p><a href=\"%s\">Back to the overview</a></p>", request->root);
    }
    html_raw(html, "</section>\n");
    page_end(html, request);
}

void page_overview(html_t *html, const cgi_request_t *request, const page_models_t *models)
{
    const json_t *status = json_object_get(models->status, "status");
    bool has_events = model_is(status, "has_events");

    begin(html, request, "Conversions to Pinterest", has_events);
    section_asked(html, request, json_object_get(models->actions, "asked"));
    section_verdict(html, status);
    section_troubles(html, models->troubles);
    if (!has_events) {
        section_first(html, status); /* empty charts would say nothing */
    }
    else {
        section_totals(html, status);
        section_course(html, request, models->course);
        section_quality(html, status, models->coverage, models->before);
        section_coverage(html, models->coverage, models->before);
        section_catalog(html, status, models->coverage);
        section_names(html, models->troubles);
        section_consent(html, status);
    }
    section_health(html, status);
    section_actions(html, &models->forms, models->actions);
    section_deliveries(html, request, models->deliveries, models->coverage, status);
    page_end(html, request);
}
