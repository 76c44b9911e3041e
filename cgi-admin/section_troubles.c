/* What is wrong, why, and what to do about it. */

#include "model.h"
#include "page.h"

#include <string.h>

static void put_trouble(html_t *html, const json_t *trouble)
{
    bool is_broken = strcmp(model_text(trouble, "severity"), "broken") == 0;
    const char *look = is_broken ? "rejected" : "retrying";

    html_put(html, "<li class=\"trouble is-%s\" data-trouble=\"%s\">", look,
             model_text(trouble, "id"));
    piece_icon(html, is_broken ? "rejected" : "alert");
    html_put(html, "<div><h3>%s", model_text(trouble, "title"));
    html_raw(html, is_broken ? "<span class=\"hidden\">, nothing goes out</span>" : "");
    html_raw(html, "</h3><p class=\"cause\">");
    html_cut(html, model_text(trouble, "cause"), 400);
    html_put(html, "</p><p><strong>Mend:</strong> %s", model_text(trouble, "mend"));
    if (model_has(trouble, "link")) {
        html_put(html, " <a href=\"%s\">Show them</a>", model_text(trouble, "link"));
    }
    html_raw(html, "</p></div></li>");
}

void section_troubles(html_t *html, const json_t *troubles)
{
    const json_t *list = json_object_get(troubles, "troubles");
    apr_size_t i;

    if (json_array_size(list) == 0) {
        return;
    }
    html_raw(html,
             "<section aria-labelledby=\"troubles\"><div class=\"heading\">"
             "<h2 id=\"troubles\">Troubles</h2><p>Each goes away by itself once what comes in "
             "is right</p></div><ul class=\"troubles\">");
    for (i = 0; i < json_array_size(list); i++) {
        put_trouble(html, json_array_get(list, i));
    }
    html_raw(html, "</ul></section>\n");
}
