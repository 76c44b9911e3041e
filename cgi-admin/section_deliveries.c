/* The newest deliveries, with search and filters. */

#include "model.h"
#include "page.h"

#include <apr_strings.h>

#include <string.h>
#include <time.h>

#define SHOWN_MESSAGE 240 /* bytes of an error in the list; its own page has all of it */

static void put_option(html_t *html, const char *value, const char *chosen)
{
    html_put(html, "<option value=\"%s\"", value);
    html_raw(html, chosen && strcmp(chosen, value) == 0 ? " selected>" : ">");
    html_put(html, "%s</option>", value);
}

static void put_state_filter(html_t *html, const cgi_request_t *request)
{
    static const capi_state_t states[] = {
        CAPI_STATE_QUEUED,     CAPI_STATE_SENDING,     CAPI_STATE_RETRYING,
        CAPI_STATE_HELD,       CAPI_STATE_DELIVERED,   CAPI_STATE_REJECTED,
        CAPI_STATE_SUPPRESSED, CAPI_STATE_UNCONFIRMED, CAPI_STATE_EXPIRED};
    const char *chosen = request->filter.state == CAPI_REPORT_ANY_STATE
                             ? NULL
                             : capi_state_name((capi_state_t)request->filter.state);
    apr_size_t i;

    html_raw(html, "<label>State <select name=\"state\"><option value=\"\">any</option>");
    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        put_option(html, capi_state_name(states[i]), chosen);
    }
    html_raw(html, "</select></label>");
}

/* The choices of a field: one name of each row; what is chosen but no longer among them stays. */
static void put_choice(html_t *html, const char *label, const char *name, const json_t *rows,
                       const char *field, const char *chosen)
{
    bool is_listed = false;
    apr_size_t i;

    html_put(html, "<label>%s <select name=\"%s\"><option value=\"\">any</option>", label, name);
    for (i = 0; i < json_array_size(rows); i++) {
        const char *value = model_text(json_array_get(rows, i), field);
        put_option(html, value, chosen);
        is_listed = is_listed || (chosen && strcmp(chosen, value) == 0);
    }
    if (chosen && !is_listed) {
        put_option(html, chosen, chosen);
    }
    html_raw(html, "</select></label>");
}

static void put_moment(html_t *html, const char *label, const char *name, apr_int64_t seconds)
{
    time_t when = (time_t)seconds;
    struct tm utc;
    char text[32] = "";

    if (seconds > 0 && gmtime_r(&when, &utc) && utc.tm_year <= 8099) {
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M", &utc);
    }
    html_put(html, "<label>%s <input type=\"datetime-local\" name=\"%s\" value=\"%s\"></label>",
             label, name, text);
}

static bool is_filtered(const cgi_request_t *request, apr_pool_t *p)
{
    cgi_request_t list = *request;

    list.period = 0;
    return *cgi_request_query(&list, 0, p) != '\0';
}

static void put_filters(html_t *html, const cgi_request_t *request, const json_t *coverage,
                        const json_t *status)
{
    const json_t *accounts = json_object_get(status, "accounts");

    html_raw(html, "<form class=\"filters\" method=\"get\" action=\"./#deliveries\" "
                   "role=\"search\" aria-label=\"Deliveries\">"
                   "<label class=\"wide-field\">Search <input type=\"search\" name=\"q\" "
                   "maxlength=\"256\" placeholder=\"event id, request id, error\" "
                   "autocomplete=\"off\" spellcheck=\"false\"");
    html_put(html, " value=\"%s\"></label>", request->filter.q);
    if (request->period) {
        html_put(html, "<input type=\"hidden\" name=\"period\" value=\"%s\">",
                 capi_report_period_name(request->period));
    }
    put_state_filter(html, request);
    put_choice(html, "Event", "event_name", json_object_get(coverage, "coverage"), "event_name",
               request->filter.event_name);
    if (json_array_size(accounts) > 1 || request->filter.account) {
        put_choice(html, "Account", "account", accounts, "account", request->filter.account);
    }
    put_moment(html, "Since", "since", request->filter.since);
    put_moment(html, "Until", "until", request->filter.until);
    html_raw(html, "<div class=\"buttons\"><button type=\"submit\" data-place=\"search\">");
    piece_icon(html, "search");
    html_raw(html, "Search</button>");
    if (is_filtered(request, html_pool(html))) {
        html_raw(html, "<a class=\"button quiet\" href=\"./#deliveries\">Show all</a>");
    }
    html_raw(html, "</div></form>");
}

static void put_event(html_t *html, const json_t *delivery)
{
    const char *name = model_text(delivery, "event_name");
    const char *sent_as = model_text(delivery, "sent_as");

    html_put(html,
             "<th role=\"rowheader\" scope=\"row\" class=\"event\">"
             "<a href=\"deliveries/%ld\">%s</a>",
             (long)model_number(delivery, "id"), sent_as);
    if (name && sent_as && strcmp(name, sent_as) != 0) {
        html_raw(html, "<span class=\"note\">came as ");
        html_cut(html, name, 60);
        html_raw(html, "</span>");
    }
    html_raw(html, "<code class=\"id\">");
    html_cut(html, model_text(delivery, "event_id"), 64);
    html_raw(html, "</code>");
    if (model_is(delivery, "test")) {
        html_raw(html, "<span class=\"chip\">test</span>");
    }
    html_raw(html, "</th>");
}

static void put_times(html_t *html, const json_t *delivery)
{
    json_int_t happened = model_number(delivery, "event_time");
    json_int_t received = model_number(delivery, "received_at");

    html_raw(html, "<td role=\"cell\" data-label=\"Happened\" class=\"when\">");
    html_time_short(html, happened);
    if (received > happened + 1) {
        html_raw(html, "<span class=\"note\">received ");
        html_span(html, received - happened);
        html_raw(html, " later</span>");
    }
    html_raw(html, "</td>");
}

static void put_consent(html_t *html, const json_t *delivery)
{
    const json_t *consent = json_object_get(delivery, "consent");

    html_put(html, "<td role=\"cell\" data-label=\"Consent\" class=\"consent\">%s",
             model_text(consent, "state"));
    if (model_has(consent, "signal")) {
        html_put(html, "<span class=\"note\">by %s</span>", model_text(consent, "signal"));
    }
    if (model_has(consent, "action") && strcmp(model_text(consent, "action"), "sent") != 0) {
        html_put(html, "<span class=\"chip\">%s</span>", model_text(consent, "action"));
    }
    html_raw(html, "</td>");
}

static void put_keys(html_t *html, const json_t *delivery)
{
    const json_t *keys = json_object_get(delivery, "match_keys");
    apr_size_t i;

    html_raw(html, "<td role=\"cell\" data-label=\"Match keys\" class=\"keys\">");
    if (json_array_size(keys) == 0) {
        html_raw(html, "<span class=\"none\">none</span>");
    }
    for (i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        html_put(html, "<span class=\"chip\" title=\"%s\">%s</span> ", key, model_key_label(key));
    }
    html_raw(html, "</td>");
}

static void put_answer(html_t *html, const json_t *delivery)
{
    json_int_t retries = model_number(delivery, "retries");

    html_raw(html, "<td role=\"cell\" data-label=\"Answer\" class=\"answer\">");
    if (model_has(delivery, "http_status")) {
        html_put(html, "HTTP %ld", (long)model_number(delivery, "http_status"));
    }
    else {
        html_raw(html, "<span class=\"none\">none</span>");
    }
    if (retries > 0) {
        html_put(html,
                 retries == 1 ? " <span class=\"chip\">%ld retry</span>"
                              : " <span class=\"chip\">%ld retries</span>",
                 (long)retries);
    }
    if (model_has(delivery, "request_id")) {
        html_raw(html, "<code class=\"id\">");
        html_cut(html, model_text(delivery, "request_id"), 48);
        html_raw(html, "</code>");
    }
    html_raw(html, "</td>");
}

static void put_state(html_t *html, const json_t *delivery)
{
    html_raw(html, "<td role=\"cell\" data-label=\"State\" class=\"state\">");
    piece_badge(html, model_text(delivery, "state"));
    if (model_has(delivery, "error")) {
        html_raw(html, "<span class=\"message is-error\"><span class=\"hidden\">Error: </span>");
        html_cut(html, model_text(delivery, "error"), SHOWN_MESSAGE);
        html_raw(html, "</span>");
    }
    if (model_has(delivery, "warning")) {
        html_raw(html, "<span class=\"message\"><b>Warning:</b> ");
        html_cut(html, model_text(delivery, "warning"), SHOWN_MESSAGE);
        html_raw(html, "</span>");
    }
    html_raw(html, "</td>");
}

static void put_row(html_t *html, const json_t *delivery)
{
    html_raw(html, "<tr role=\"row\">");
    put_event(html, delivery);
    put_state(html, delivery);
    put_times(html, delivery);
    html_put(html, "<td role=\"cell\" data-label=\"Source\">%s</td>",
             model_text(delivery, "source"));
    put_consent(html, delivery);
    put_keys(html, delivery);
    put_answer(html, delivery);
    html_raw(html, "</tr>\n");
}

static void put_table(html_t *html, const json_t *rows)
{
    apr_size_t i;

    /* Roles are said again because the narrow layout takes the table's display away. */
    html_raw(html, "<table class=\"deliveries\" role=\"table\" aria-labelledby=\"deliveries\">"
                   "<thead role=\"rowgroup\"><tr role=\"row\">"
                   "<th role=\"columnheader\" scope=\"col\" class=\"event\">Event</th>"
                   "<th role=\"columnheader\" scope=\"col\" class=\"state\">State</th>"
                   "<th role=\"columnheader\" scope=\"col\" class=\"when\">Happened (UTC)</th>"
                   "<th role=\"columnheader\" scope=\"col\" class=\"source\">Source</th>"
                   "<th role=\"columnheader\" scope=\"col\" class=\"consent\">Consent</th>"
                   "<th role=\"columnheader\" scope=\"col\" class=\"keys\">Match keys</th>"
                   "<th role=\"columnheader\" scope=\"col\" class=\"answer\">Answer</th>"
                   "</tr></thead><tbody role=\"rowgroup\">\n");
    for (i = 0; i < json_array_size(rows); i++) {
        put_row(html, json_array_get(rows, i));
    }
    html_raw(html, "</tbody></table>\n");
}

static void put_empty(html_t *html, const cgi_request_t *request, const json_t *deliveries)
{
    html_raw(html, "<div class=\"empty\">");
    if (model_has(deliveries, "searched_back_to")) {
        html_raw(html, "<p><strong>None found since ");
        html_time(html, model_number(deliveries, "searched_back_to"));
        html_raw(html, ".</strong> Look further back with the link below.</p>");
    }
    else if (request->filter.before > 0) {
        html_raw(html, "<p><strong>Nothing older.</strong></p>");
    }
    else if (is_filtered(request, html_pool(html))) {
        html_raw(html, "<p><strong>No delivery matches.</strong> Loosen the search, or show "
                       "all.</p>");
    }
    else {
        html_raw(html, "<p><strong>No deliveries yet.</strong> Open a page of the shop: a rule "
                       "like <code>PinterestCapiEvent page_visit</code> makes an event of it, and "
                       "it appears here within seconds.</p>");
    }
    html_raw(html, "</div>");
}

static void put_pager(html_t *html, const cgi_request_t *request, const json_t *deliveries)
{
    apr_pool_t *p = html_pool(html);
    const char *newest = cgi_request_query(request, 0, p);

    if (request->filter.before == 0 && !model_has(deliveries, "next")) {
        return;
    }
    html_raw(html, "<nav class=\"pager\" aria-label=\"More deliveries\">");
    if (request->filter.before > 0) {
        html_put(html, "<a class=\"button quiet\" href=\"./%s#deliveries\">Newest</a>", newest);
    }
    if (model_has(deliveries, "next")) {
        html_put(html, "<a class=\"button\" rel=\"next\" href=\"./%s#deliveries\">%s</a>",
                 cgi_request_query(request, model_number(deliveries, "next"), p),
                 model_has(deliveries, "searched_back_to") ? "Look further back" : "Older");
    }
    html_raw(html, "</nav>");
}

void section_deliveries(html_t *html, const cgi_request_t *request, const json_t *deliveries,
                        const json_t *coverage, const json_t *status)
{
    const json_t *rows = json_object_get(deliveries, "deliveries");

    html_raw(html, "<section aria-labelledby=\"deliveries\"><h2 id=\"deliveries\">Deliveries</h2>");
    put_filters(html, request, coverage, status);
    if (json_array_size(rows) > 0) {
        put_table(html, rows);
    }
    else {
        put_empty(html, request, deliveries);
    }
    put_pager(html, request, deliveries);
    html_raw(html, "</section>\n");
}
