/* The first thing the page says: is it working, why not, what to do. Then the day in numbers. */

#include "model.h"
#include "page.h"

#include <string.h>

/* The icon of each verdict, by the state that it speaks of. */
static const char *verdict_icon(const char *verdict)
{
    static const char *const icons[][2] = {
        {"delivering", "delivered"}, {"held", "held"},           {"stopped", "rejected"},
        {"retrying", "retrying"},    {"rejecting", "rejected"},  {"withheld", "suppressed"},
        {"waiting", "queued"},       {"nothing", "unconfirmed"}, {"paused", "held"},
    };
    apr_size_t i;

    for (i = 0; verdict && i < sizeof(icons) / sizeof(icons[0]); i++) {
        if (strcmp(verdict, icons[i][0]) == 0) {
            return icons[i][1];
        }
    }
    return "unconfirmed";
}

/* Where events go and whether somebody carries them: what is looked for next. */
static void put_facts(html_t *html, const json_t *status)
{
    const json_t *accounts = json_object_get(status, "accounts");
    bool is_alive = model_is(json_object_get(status, "sender"), "alive");
    apr_size_t i;

    html_raw(html, "<ul class=\"facts-line\">");
    for (i = 0; i < json_array_size(accounts) && i < 4; i++) {
        const json_t *account = json_array_get(accounts, i);

        html_put(html, "<li>Account <code>%s</code>, %s</li>", model_text(account, "account"),
                 model_is(account, "test") ? "test mode" : "live");
    }
    html_put(html, "<li>Sender %s</li>", is_alive ? "running" : "not running");
    if (model_has(status, "oldest_waiting")) {
        html_raw(html, "<li>Oldest waiting event: ");
        html_span(html,
                  model_number(status, "generated_at") - model_number(status, "oldest_waiting"));
        html_raw(html, "</li>");
    }
    html_raw(html, "</ul>");
}

void section_verdict(html_t *html, const json_t *status)
{
    const json_t *verdict = json_object_get(status, "verdict");
    const char *state = model_text(verdict, "state");

    html_put(html, "<section class=\"verdict is-%s\" aria-labelledby=\"verdict\">", state);
    piece_icon(html, verdict_icon(state));
    html_put(html, "<div><h1 id=\"verdict\">%s</h1>", model_text(verdict, "sentence"));
    if (model_has(verdict, "advice")) {
        html_put(html, "<p>%s</p>", model_text(verdict, "advice"));
    }
    put_facts(html, status);
    html_raw(html, "</div></section>\n");
}

static void put_total(html_t *html, const char *state, const char *label, json_int_t number,
                      const char *note)
{
    html_put(html, "<li class=\"total is-%s%s\"><span class=\"label\">", state,
             number == 0 ? " is-zero" : "");
    piece_icon(html, state);
    html_put(html, "<a href=\"?state=%s#deliveries\">%s</a></span><strong>", state, label);
    html_count(html, number);
    html_put(html, "</strong><span class=\"note\">%s</span></li>", note);
}

static void put_waiting(html_t *html, const json_t *status)
{
    const json_t *waiting = json_object_get(status, "waiting");
    json_int_t total = model_number(waiting, "total");

    html_put(html, "<li class=\"total is-queued%s\"><span class=\"label\">",
             total == 0 ? " is-zero" : "");
    piece_icon(html, "queued");
    html_raw(html, "Waiting</span><strong>");
    html_count(html, total);
    html_raw(html, model_is(waiting, "is_more") ? "+</strong>" : "</strong>");
    html_raw(html, "<span class=\"note\">");
    if (model_has(status, "oldest_waiting")) {
        html_raw(html, "oldest for ");
        html_span(html,
                  model_number(status, "generated_at") - model_number(status, "oldest_waiting"));
    }
    else {
        html_raw(html, "nothing to send");
    }
    html_raw(html, "</span></li>");
}

void section_totals(html_t *html, const json_t *status)
{
    const json_t *day = json_object_get(status, "last_24h");

    html_raw(html, "<section aria-labelledby=\"totals\"><h2 id=\"totals\">Last 24 hours</h2>"
                   "<ul class=\"totals\">");
    put_total(html, "delivered", "Delivered", model_number(day, "delivered"), "taken by Pinterest");
    put_waiting(html, status);
    put_total(html, "rejected", "Rejected", model_number(day, "rejected"), "refused by Pinterest");
    put_total(html, "suppressed", "Withheld", model_number(day, "suppressed"),
              "no consent, never sent");
    put_total(html, "unconfirmed", "Unconfirmed", model_number(day, "unconfirmed"),
              "a browser\xe2\x80\x99s word alone");
    put_total(html, "expired", "Expired", model_number(day, "expired"), "too old to send");
    html_raw(html, "</ul></section>\n");
}
