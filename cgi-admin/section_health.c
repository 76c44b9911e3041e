/* Where events go, and what carries them there: accounts, sender, queue. */

#include "model.h"
#include "page.h"

#include <string.h>

static void put_fact(html_t *html, const char *name, const char *value)
{
    piece_fact(html, name);
    html_put(html, "%s", value ? value : "\xe2\x80\x93");
    piece_fact_end(html);
}

static void put_count(html_t *html, const char *name, json_int_t number)
{
    piece_fact(html, name);
    html_count(html, number);
    piece_fact_end(html);
}

/* A card's top: what it is about, its name or measure, its state as icon and word. */
static void begin_card(html_t *html, const char *look)
{
    html_put(html, "<article class=\"card is-%s\"><header><div><h3>", look);
}

static void put_state(html_t *html, const char *look, const char *word)
{
    html_put(html, "</div><span class=\"badge is-%s\">", look);
    piece_icon(html, look);
    html_put(html, "%s</span></header>", word);
}

static const char *account_look(const char *state)
{
    if (state && strcmp(state, "delivering") == 0) {
        return "delivered";
    }
    if (state && strcmp(state, "paused") == 0) {
        return "held";
    }
    return state && (strcmp(state, "held") == 0 || strcmp(state, "retrying") == 0) ? state : "idle";
}

static void put_account(html_t *html, const json_t *account)
{
    const json_t *held = json_object_get(account, "held");
    const json_t *paused = json_object_get(account, "paused");
    const char *state = model_text(account, "state");

    begin_card(html, account_look(state));
    html_put(html, "Ad account</h3><p class=\"measure mono\">%s</p>",
             model_text(account, "account"));
    put_state(html, account_look(state), state);
    if (json_is_object(held)) {
        html_put(html, "<p class=\"reason\">%s", model_text(held, "reason"));
        html_raw(html, "<span class=\"note\">Held since ");
        html_time(html, model_number(held, "since"));
        html_raw(html, "</span></p>");
    }
    if (json_is_object(paused)) {
        html_put(html, "<p class=\"reason\">Paused by %s", model_text(paused, "by"));
        html_raw(html, "<span class=\"note\">Since ");
        html_time(html, model_number(paused, "since"));
        html_raw(html, "</span></p>");
    }
    html_raw(html, "<dl>");
    put_fact(html, "Mode", model_is(account, "test") ? "test: nothing is counted" : "live");
    put_fact(html, "API", model_text(account, "api_url"));
    put_fact(html, "Wire format", model_text(account, "wire"));
    put_count(html, "Waiting", model_number(account, "waiting"));
    html_raw(html, "</dl></article>");
}

static void put_moment(html_t *html, const char *name, const json_t *sender, const char *field)
{
    piece_fact(html, name);
    if (model_has(sender, field)) {
        html_time(html, model_number(sender, field));
    }
    else {
        html_raw(html, "\xe2\x80\x93");
    }
    piece_fact_end(html);
}

static void put_sender(html_t *html, const json_t *sender)
{
    bool is_alive = model_is(sender, "alive");

    begin_card(html, is_alive ? "delivered" : "rejected");
    html_raw(html, "Sender</h3><p class=\"measure\">");
    if (model_has(sender, "pid")) {
        html_put(html, "Process %ld</p>", (long)model_number(sender, "pid"));
    }
    else {
        html_raw(html, "Never started</p>");
    }
    put_state(html, is_alive ? "delivered" : "rejected", is_alive ? "running" : "not running");
    if (!is_alive) {
        html_raw(html, "<p class=\"reason\">Nothing is sent while it is away; events wait. httpd "
                       "starts it: error_log has the reason if it does not stay.</p>");
    }
    html_raw(html, "<dl>");
    put_moment(html, "Started", sender, "started");
    put_moment(html, "Last event taken in", sender, "last_intake");
    put_fact(html, "Version", model_text(sender, "version"));
    html_raw(html, "</dl></article>");
}

static void put_queue(html_t *html, const json_t *queue)
{
    json_int_t size = model_number(queue, "size");
    json_int_t used = model_number(queue, "used");
    json_int_t pages = model_number(queue, "dropped_page");
    json_int_t conversions = model_number(queue, "dropped_conversion");
    bool has_lost = pages + conversions > 0;

    if (!json_is_object(queue)) {
        return;
    }
    begin_card(html, has_lost ? "retrying" : "delivered");
    html_raw(html, "Queue in memory</h3><p class=\"measure\">");
    html_size(html, used);
    html_raw(html, " of ");
    html_size(html, size);
    html_raw(html, "</p>");
    put_state(html, has_lost ? "retrying" : "delivered", has_lost ? "was full" : "has room");
    if (has_lost) {
        html_raw(html, "<p class=\"reason\">It was full and events were dropped: raise "
                       "PinterestCapiQueueSize, or look why the sender was away.</p>");
    }
    html_put(html,
             "<meter min=\"0\" max=\"%ld\" value=\"%ld\" low=\"%ld\" high=\"%ld\" optimum=\"0\" "
             "aria-label=\"Queue memory in use\"></meter>",
             (long)size, (long)used, (long)(size / 2), (long)(size / 4 * 3));
    html_raw(html, "<dl>");
    put_count(html, "Dropped page views", pages);
    put_count(html, "Dropped conversions", conversions);
    put_count(html, "Unreadable records", model_number(queue, "broken_records"));
    html_raw(html, "</dl></article>");
}

void section_health(html_t *html, const json_t *status)
{
    const json_t *accounts = json_object_get(status, "accounts");
    apr_size_t i;

    html_raw(html, "<section aria-labelledby=\"health\"><h2 id=\"health\">Accounts and "
                   "machinery</h2><div class=\"cards\">");
    for (i = 0; i < json_array_size(accounts); i++) {
        put_account(html, json_array_get(accounts, i));
    }
    put_sender(html, json_object_get(status, "sender"));
    put_queue(html, json_object_get(status, "queue"));
    html_raw(html, "</div></section>\n");
}
