/* Under which names events come in and go out, and whose their ids are: Tag and server count as one
 * only under the same name and id. */

#include "model.h"
#include "page.h"

#include <string.h>

/* Every name that came in for it; its own goes without saying. */
static void put_incoming(html_t *html, const json_t *names, const char *sent_as)
{
    bool is_first = true;
    apr_size_t i;

    for (i = 0; i < json_array_size(names); i++) {
        const json_t *pair = json_array_get(names, i);

        if (strcmp(model_text(pair, "sent_as"), sent_as) == 0) {
            html_raw(html, is_first ? "<code>" : ", <code>");
            html_cut(html, model_text(pair, "name"), 60);
            html_raw(html, "</code>");
            is_first = false;
        }
    }
}

static void put_ids(html_t *html, const json_t *identity)
{
    json_int_t all = model_number(identity, "events");
    json_int_t unnamed = model_number(identity, "unnamed");
    json_int_t minted = model_number(identity, "minted");

    if (unnamed == all) {
        html_raw(html, "made here, new for each event");
    }
    else if (unnamed == 0) {
        html_raw(html, "the shop\xe2\x80\x99s own");
    }
    else {
        html_put(html, "the shop\xe2\x80\x99s own, %ld of %ld made here", (long)unnamed, (long)all);
    }
    if (minted > 0) {
        html_put(html,
                 "<span class=\"message is-error\"><b>Look made anew with each page:</b> %ld "
                 "of %ld, such as <code>",
                 (long)minted, (long)all);
        html_cut(html, model_text(identity, "example"), 60);
        html_raw(html, "</code></span>");
    }
}

static void put_row(html_t *html, const json_t *identity, const json_t *names)
{
    const char *sent_as = model_text(identity, "event_name");

    html_put(html, "<tr><th scope=\"row\">%s</th><td>", sent_as);
    put_incoming(html, names, sent_as);
    html_raw(html, "</td><td>");
    put_ids(html, identity);
    html_raw(html, "</td><td class=\"number\">");
    html_count(html, model_number(identity, "total"));
    html_raw(html, "</td></tr>\n");
}

void section_names(html_t *html, const json_t *troubles)
{
    const json_t *rows = json_object_get(troubles, "identity");
    apr_size_t i;

    if (json_array_size(rows) == 0) {
        return;
    }
    html_raw(html, "<section aria-labelledby=\"names\"><div class=\"heading\"><h2 id=\"names\">"
                   "Names and ids</h2><p>Of the newest events. With the Pinterest Tag an event "
                   "counts once only under the same name and id</p></div>"
                   "<div class=\"scroll\" role=\"group\" aria-labelledby=\"names\" tabindex=\"0\">"
                   "<table class=\"names\"><thead><tr><th scope=\"col\">Goes out as</th>"
                   "<th scope=\"col\">Comes in as</th><th scope=\"col\">Ids</th>"
                   "<th scope=\"col\" class=\"number\">Events</th></tr></thead><tbody>\n");
    for (i = 0; i < json_array_size(rows); i++) {
        put_row(html, json_array_get(rows, i), json_object_get(troubles, "names"));
    }
    html_raw(html, "</tbody></table></div></section>\n");
}
