/* One delivery: what it is, why it is where it is, and every attempt to send it. */

#include "model.h"
#include "page.h"

#include <string.h>

/* What a state means for the shop's owner, and what there is to do. */
static const char *explain(const char *state)
{
    static const char *const sentences[][2] = {
        {"queued", "It waits for the next batch, for a second source of the same event, or for the "
                   "order or cart it belongs to."},
        {"sending", "It is on its way to Pinterest right now."},
        {"retrying", "Pinterest did not take it yet. It is sent again by itself, under the same "
                     "event id, with growing pauses."},
        {"held", "Its account is on hold or paused: nothing is lost, and it goes out when that is "
                 "over. The overview says what to do."},
        {"delivered", "Pinterest has taken it. Its personal data has been erased here."},
        {"rejected", "Pinterest refused this event for good; the reason is below. Mend its source: "
                     "the next event like it would fare the same."},
        {"suppressed", "There was no consent, so it never left this server, and its personal data "
                       "has been erased."},
        {"unconfirmed", "Only a browser claimed it. The shop itself did not say the same event id "
                        "within an hour, so it was not sent."},
        {"expired", "It became older than PinterestCapiMaxAge before it could be sent."},
    };
    apr_size_t i;

    for (i = 0; state && i < sizeof(sentences) / sizeof(sentences[0]); i++) {
        if (strcmp(state, sentences[i][0]) == 0) {
            return sentences[i][1];
        }
    }
    return "";
}

static void put_text(html_t *html, const char *name, const char *value)
{
    piece_fact(html, name);
    html_put(html, value ? "%s" : "<span class=\"none\">none</span>%s", value);
    piece_fact_end(html);
}

static void put_code(html_t *html, const char *name, const char *value)
{
    piece_fact(html, name);
    html_put(html, value ? "<code>%s</code>" : "<span class=\"none\">none</span>%s", value);
    piece_fact_end(html);
}

static void put_number(html_t *html, const char *name, const json_t *delivery, const char *field)
{
    piece_fact(html, name);
    if (model_has(delivery, field)) {
        html_put(html, "%ld", (long)model_number(delivery, field));
    }
    else {
        html_raw(html, "<span class=\"none\">none</span>");
    }
    piece_fact_end(html);
}

static void put_time(html_t *html, const char *name, const json_t *delivery, const char *field)
{
    piece_fact(html, name);
    html_time(html, model_number(delivery, field));
    piece_fact_end(html);
}

static void put_keys(html_t *html, const char *name, const json_t *keys)
{
    apr_size_t i;

    piece_fact(html, name);
    if (json_array_size(keys) == 0) {
        html_raw(html, "<span class=\"none\">none</span>");
    }
    for (i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        html_put(html, "<span class=\"chip\">%s <code>%s</code></span> ", model_key_label(key),
                 key);
    }
    piece_fact_end(html);
}

static void put_consent(html_t *html, const json_t *consent)
{
    bool is_granted = strcmp(model_text(consent, "state"), "granted") == 0;

    piece_fact(html, "Consent");
    html_put(html, "%s", model_text(consent, "state"));
    if (model_has(consent, "signal")) {
        html_put(html, ", by %s", model_text(consent, "signal"));
    }
    piece_fact_end(html);
    if (!is_granted) {
        put_code(html, "Rule", model_text(consent, "rule"));
    }
    put_text(html, "Then", model_text(consent, "action"));
    if (json_array_size(json_object_get(consent, "stripped")) > 0) {
        put_keys(html, "Stripped", json_object_get(consent, "stripped"));
    }
}

static void put_facts(html_t *html, const json_t *delivery)
{
    const char *source = model_text(delivery, "source");

    html_raw(html, "<section aria-labelledby=\"facts\"><h2 id=\"facts\">The event</h2>"
                   "<dl class=\"facts\">");
    put_code(html, "Event id", model_text(delivery, "event_id"));
    put_code(html, "Came as", model_text(delivery, "event_name"));
    put_code(html, "Sent as", model_text(delivery, "sent_as"));
    piece_fact(html, "Source");
    html_put(html, "%s: %s", source, model_source_label(source));
    piece_fact_end(html);
    put_time(html, "Happened", delivery, "event_time");
    put_time(html, "Received", delivery, "received_at");
    put_consent(html, json_object_get(delivery, "consent"));
    put_keys(html, "Match keys", json_object_get(delivery, "match_keys"));
    put_code(html, "Account", model_text(delivery, "account"));
    put_text(html, "Mode", model_is(delivery, "test") ? "test" : "live");
    html_raw(html, "</dl></section>\n");
}

static void put_outcome(html_t *html, const json_t *delivery)
{
    html_raw(html, "<section aria-labelledby=\"outcome\"><h2 id=\"outcome\">What Pinterest "
                   "answered</h2><dl class=\"facts\">");
    put_number(html, "HTTP status", delivery, "http_status");
    put_code(html, "Request id", model_text(delivery, "request_id"));
    put_number(html, "Retries", delivery, "retries");
    put_text(html, "Error", model_text(delivery, "error"));
    put_text(html, "Warning", model_text(delivery, "warning"));
    html_raw(html, "</dl></section>\n");
}

static void put_attempt(html_t *html, const json_t *attempt, int number)
{
    html_put(html, "<tr><th scope=\"row\">%d</th><td>", number);
    html_time(html, model_number(attempt, "started"));
    html_raw(html, "</td><td class=\"number\">");
    if (model_has(attempt, "finished")) {
        html_put(html, "%ld ms", (long)(1000 * model_real(attempt, "seconds") + 0.5));
    }
    else {
        html_raw(html, "under way");
    }
    html_raw(html, "</td><td class=\"number\">");
    html_count(html, model_number(attempt, "events"));
    html_raw(html, "</td><td>");
    if (model_number(attempt, "http_status") > 0) {
        html_put(html, "HTTP %ld", (long)model_number(attempt, "http_status"));
    }
    else {
        html_raw(html, model_has(attempt, "finished") ? "no answer" : "");
    }
    html_put(html, "</td><td><code>%s</code></td>", model_text(attempt, "request_id"));
    html_put(html, "<td class=\"message\">%s</td></tr>\n", model_text(attempt, "error"));
}

static void put_attempts(html_t *html, const json_t *attempts)
{
    apr_size_t i;

    html_raw(html, "<section aria-labelledby=\"attempts\"><h2 id=\"attempts\">Attempts</h2>");
    if (json_array_size(attempts) == 0) {
        html_raw(html, "<div class=\"empty\"><p>No request to Pinterest has carried this event, or "
                       "its records have been cleared.</p></div></section>\n");
        return;
    }
    html_raw(html, "<div class=\"scroll\" role=\"group\" aria-labelledby=\"attempts\" "
                   "tabindex=\"0\"><table class=\"attempts\"><thead><tr>"
                   "<th scope=\"col\">No.</th><th scope=\"col\">Started</th>"
                   "<th scope=\"col\" class=\"number\">Took</th>"
                   "<th scope=\"col\" class=\"number\">Events in it</th>"
                   "<th scope=\"col\">Answer</th><th scope=\"col\">Request id</th>"
                   "<th scope=\"col\">What went wrong</th></tr></thead><tbody>\n");
    for (i = 0; i < json_array_size(attempts); i++) {
        put_attempt(html, json_array_get(attempts, i), (int)i + 1);
    }
    html_raw(html, "</tbody></table></div></section>\n");
}

static bool is_forgotten(const json_t *delivery)
{
    const char *signal = model_text(json_object_get(delivery, "consent"), "signal");

    return signal && strcmp(signal, CAPI_FORGET_SIGNAL) == 0;
}

/* Rejected for good, but its data is here: it may have been the API's fault, or be mended there. */
static void put_retry(html_t *html, const forms_t *forms, const json_t *delivery)
{
    bool is_kept = json_array_size(json_object_get(delivery, "kept")) > 0;

    if (forms->is_allowed && is_kept && strcmp(model_text(delivery, "state"), "rejected") == 0) {
        html_raw(html, "<div class=\"act\">");
        forms_button(html, forms, CAPI_ASK_RETRY, 0, model_number(delivery, "id"), "",
                     "Send it again", "under its own event id");
        html_raw(html, "<span class=\"note\">Its data is kept for 7 days. It goes under the same "
                       "event id, so nothing counts twice.</span></div>");
    }
}

void page_delivery(html_t *html, const forms_t *forms, const json_t *delivery, const json_t *asked)
{
    const cgi_request_t *request = forms->request;
    const char *state = model_text(delivery, "state");

    page_begin(html, request, "Delivery \xe2\x80\x93 Conversions to Pinterest");
    html_put(html, "<nav class=\"back\" aria-label=\"Back\"><a href=\"%s#deliveries\">",
             request->root);
    piece_icon(html, "back");
    html_raw(html, "All deliveries</a></nav>");
    section_asked(html, request, asked);
    html_put(html, "<section class=\"title\"><h1>%s</h1>", model_text(delivery, "sent_as"));
    piece_badge(html, state);
    html_put(html, "<p>%s</p>",
             is_forgotten(delivery) ? "Its person was forgotten before it was sent: it has been "
                                      "erased, and only this record is left."
                                    : explain(state));
    put_retry(html, forms, delivery);
    html_raw(html, "</section>\n<div class=\"columns\">");
    put_facts(html, delivery);
    put_outcome(html, delivery);
    html_raw(html, "</div>");
    put_attempts(html, json_object_get(delivery, "attempts"));
    section_kept(html, delivery);
    page_end(html, request);
}
