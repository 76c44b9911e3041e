/* A fresh installation: what is ready, and what to do for the first event. */

#include "model.h"
#include "page.h"

#include <string.h>

static void put_step(html_t *html, bool is_done, const char *title)
{
    html_put(html, "<li class=\"step is-%s\">", is_done ? "delivered" : "open");
    piece_icon(html, is_done ? "delivered" : "idle");
    html_put(html, "<div><h3>%s<span class=\"hidden\">, %s</span></h3><p>", title,
             is_done ? "done" : "to do");
}

static bool is_any_held(const json_t *accounts)
{
    apr_size_t i;

    for (i = 0; i < json_array_size(accounts); i++) {
        if (model_has(json_array_get(accounts, i), "held")) {
            return true;
        }
    }
    return false;
}

static void put_account(html_t *html, const json_t *accounts)
{
    const json_t *first = json_array_get(accounts, 0);
    bool is_ready = first && !is_any_held(accounts);

    put_step(html, is_ready, "Account and token");
    if (!first) {
        html_raw(html,
                 "Set <code>PinterestCapiAdAccount</code> and "
                 "<code>PinterestCapiTokenFile</code>, then <code>apachectl graceful</code>.");
    }
    else if (!is_ready) {
        html_raw(html, "The account is on hold: see above.");
    }
    else {
        html_put(html, "<code>%s</code>, %s.", model_text(first, "account"),
                 model_is(first, "test") ? "in test mode: Pinterest answers but records nothing"
                                         : "live: what comes now counts");
    }
    html_raw(html, "</p></div></li>");
}

static void put_sender(html_t *html, const json_t *sender)
{
    bool is_alive = model_is(sender, "alive");

    put_step(html, is_alive, "Sender");
    html_raw(html, is_alive ? "httpd started it, and keeps it running."
                            : "httpd starts it. If it does not stay, error_log says why behind "
                              "<code>PCAPI</code>.");
    html_raw(html, "</p></div></li>");
}

void section_first(html_t *html, const json_t *status)
{
    html_raw(html, "<section aria-labelledby=\"first\"><h2 id=\"first\">To the first event</h2>"
                   "<ol class=\"steps card\">");
    put_account(html, json_object_get(status, "accounts"));
    put_sender(html, json_object_get(status, "sender"));
    put_step(html, false, "A page visit");
    html_raw(html, "Open a page of the shop in a browser. With <code>PinterestCapi On</code> and "
                   "<code>PinterestCapiEvent page_visit</code> it appears here within seconds; "
                   "crawlers and command-line tools do not count.</p></div></li>");
    put_step(html, false, "A purchase");
    html_raw(html, "Where the shop knows that an order is paid, one response header reports it: "
                   "<code>Pinterest-Capi-Event: {\"event_name\": \"purchase\", \"order_id\": "
                   "\"10492\", \"event_id\": \"ord_10492_purchase\"}</code></p></div></li>");
    put_step(html, false, "E-mail and phone");
    html_raw(html, "They match best: <code>Pinterest-Capi-Match: {\"email\": \"\xe2\x80\xa6\", "
                   "\"phone\": \"\xe2\x80\xa6\"}</code> when the order is placed. They are hashed "
                   "before they leave the web server\xe2\x80\x99s process.</p></div></li>"
                   "</ol></section>\n");
}
