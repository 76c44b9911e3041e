/* What is still kept of one event: its payload as it would go, source by source, or nothing. */

#include "model.h"
#include "page.h"

#include <stdlib.h>
#include <string.h>

static void put_payload(html_t *html, const json_t *kept, bool is_one)
{
    const char *source = model_text(kept, "source");
    char *text = json_dumps(json_object_get(kept, "event"), JSON_INDENT(2));

    if (!is_one) {
        html_put(html, "<h3 class=\"sub\">%s: %s</h3>", source, model_source_label(source));
    }
    html_put(
        html,
        "<pre class=\"payload\" tabindex=\"0\" role=\"group\" aria-label=\"Payload of the %s\">"
        "<code>%s</code></pre>",
        source, text ? text : "");
    free(text);
}

static void put_nothing(html_t *html, const char *state)
{
    html_put(html, "<div class=\"empty\"><p>%s</p></div></section>\n",
             strcmp(state, "rejected") == 0
                 ? "Its user data has been erased: that of a rejected event is kept for 7 days, or "
                   "until consent is denied or the person is forgotten."
                 : "Its user data has been erased: it was settled, and only this record is left.");
}

void section_kept(html_t *html, const json_t *delivery)
{
    const json_t *kept = json_object_get(delivery, "kept");
    const char *state = model_text(delivery, "state");
    apr_size_t count = json_array_size(kept);
    apr_size_t i;

    html_raw(html,
             "<section aria-labelledby=\"kept\"><div class=\"heading\"><h2 id=\"kept\">What is "
             "kept of it</h2>");
    if (count == 0) {
        html_raw(html, "</div>");
        put_nothing(html, state);
        return;
    }
    html_put(html, "<p>%s What is about the person is shortened here.</p></div>",
             count > 1 ? "Several sources said it: each field is taken from the strongest that has "
                         "it, strongest first."
                       : "As it goes out; what its visit knows is added just before.");
    for (i = 0; i < count; i++) {
        put_payload(html, json_array_get(kept, i), count == 1);
    }
    html_raw(html, "</section>\n");
}
