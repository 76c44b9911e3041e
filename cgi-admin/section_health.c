/* Where events go, and what carries them there: accounts, sender, queue. */

#include "model.h"
#include "page.h"

#include <string.h>

static void put_fact(html_t *html, const char *name, const char *value)
{
    html_put(html, "<div><dt>%s</dt><dd>%s</dd></div>", name, value ? value : "\xe2\x80\x93");
}

static void begin_count(html_t *html, const char *name)
{
    html_put(html, "<div><dt>%s</dt><dd>", name);
}

static void put_count(html_t *html, const char *name, json_int_t number, const char *unit)
{
    begin_count(html, name);
    html_count(html, number);
    html_put(html, "%s</dd></div>", unit);
}

/* The icon and the word of an account's or the sender's state. */
static void put_state(html_t *html, const char *look, const char *word)
{
    html_put(html, "<span class=\"badge is-%s\">", look);
    piece_icon(html, look);
    html_put(html, "%s</span>", word);
}

static const char *account_look(const char *state)
{
    if (state && strcmp(state, "delivering") == 0) {
        return "delivered";
    }
    return state && (strcmp(state, "held") == 0 || strcmp(state, "retrying") == 0) ? state
                                                                                   : "queued";
}

static void put_account(html_t *html, const json_t *account)
{
    const json_t *held = json_object_get(account, "held");
    const char *state = model_text(account, "state");

    html_put(html, "<article class=\"card is-%s\"><header><h3>Account ", account_look(state));
    piece_account(html, model_text(account, "account"));
    html_raw(html, "</h3>");
    put_state(html, account_look(state), state);
    html_raw(html, "</header>");
    if (json_is_object(held)) {
        html_put(html, "<p class=\"reason\">%s", model_text(held, "reason"));
        html_raw(html, "<span class=\"note\"> Held since ");
        html_time(html, model_number(held, "since"));
        html_raw(html, "</span></p>");
    }
    html_raw(html, "<dl>");
    put_fact(html, "Mode",
             model_is(account, "test") ? "Test: Pinterest checks, counts nothing" : "Live");
    put_fact(html, "API", model_text(account, "api_url"));
    put_fact(html, "Wire format", model_text(account, "wire"));
    put_count(html, "Waiting", model_number(account, "waiting"),
              model_is(account, "waiting_is_more") ? "+" : "");
    html_raw(html, "</dl></article>");
}

static void put_sender(html_t *html, const json_t *sender)
{
    bool is_alive = model_is(sender, "alive");

    html_put(html, "<article class=\"card is-%s\"><header><h3>Sender</h3>",
             is_alive ? "delivered" : "rejected");
    put_state(html, is_alive ? "delivered" : "rejected", is_alive ? "running" : "not running");
    html_raw(html, "</header>");
    if (!is_alive) {
        html_raw(html, "<p class=\"reason\">Nothing is sent while it is away; events wait. httpd "
                       "starts it: see error_log for the reason.</p>");
    }
    html_raw(html, "<dl>");
    if (model_has(sender, "started")) {
        begin_count(html, "Started");
        html_time(html, model_number(sender, "started"));
        html_raw(html, "</dd></div>");
    }
    if (model_has(sender, "pid")) {
        html_put(html, "<div><dt>Process</dt><dd>%ld</dd></div>",
                 (long)model_number(sender, "pid"));
    }
    put_fact(html, "Version", model_text(sender, "version"));
    html_raw(html, "</dl></article>");
}

static void put_queue(html_t *html, const json_t *queue)
{
    json_int_t size = model_number(queue, "size");
    json_int_t used = model_number(queue, "used");
    json_int_t lost =
        model_number(queue, "dropped_page") + model_number(queue, "dropped_conversion");

    if (!json_is_object(queue)) {
        return;
    }
    html_put(html, "<article class=\"card is-%s\"><header><h3>Queue</h3>",
             lost ? "retrying" : "delivered");
    put_state(html, lost ? "retrying" : "delivered", lost ? "has dropped events" : "has room");
    html_raw(html, "</header>");
    if (lost) {
        html_raw(html, "<p class=\"reason\">It was full: raise PinterestCapiQueueSize, or look why "
                       "the sender was away.</p>");
    }
    if (size > 0) {
        html_put(
            html,
            "<meter min=\"0\" max=\"%ld\" value=\"%ld\" low=\"%ld\" high=\"%ld\" optimum=\"0\" "
            "aria-label=\"Queue memory in use\"></meter>",
            (long)size, (long)used, (long)(size / 2), (long)(size * 3 / 4));
    }
    html_raw(html, "<dl>");
    put_count(html, "In use", used / 1024, " KiB");
    put_count(html, "Size", size / 1024, " KiB");
    put_count(html, "Dropped page views", model_number(queue, "dropped_page"), "");
    put_count(html, "Dropped conversions", model_number(queue, "dropped_conversion"), "");
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
