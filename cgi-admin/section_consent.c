/* Why events went or stayed: how many of a day, by decision, signal and what was done. */

#include "model.h"
#include "page.h"

#include <string.h>

static const char *explain(const char *action)
{
    static const char *const words[][2] = {
        {"sent", "sent whole"},
        {"suppressed", "withheld, personal data erased"},
        {"stripped", "sent without the keys of PinterestCapiOnDenied"},
        {"limited", "sent under limited data processing"},
    };
    apr_size_t i;

    for (i = 0; action && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(action, words[i][0]) == 0) {
            return words[i][1];
        }
    }
    return "";
}

static void put_row(html_t *html, const json_t *row)
{
    const char *action = model_text(row, "action");

    html_put(html, "<tr><th scope=\"row\">%s</th>", model_text(row, "state"));
    html_put(html, "<td>%s</td>", model_text(row, "signal"));
    html_put(html, "<td>%s <span class=\"note\">%s</span></td><td class=\"number\">", action,
             explain(action));
    html_count(html, model_number(row, "events"));
    html_raw(html, "</td></tr>\n");
}

void section_consent(html_t *html, const json_t *status)
{
    const json_t *rows = json_object_get(status, "consent");
    apr_size_t i;

    html_raw(html, "<section aria-labelledby=\"consent\"><div class=\"heading\">"
                   "<h2 id=\"consent\">Consent</h2><p>What decided about the events of the last 24 "
                   "hours, and what was done with them</p></div>");
    if (json_array_size(rows) == 0) {
        html_raw(html, "<div class=\"empty\"><p><strong>Nothing was decided yet.</strong> Each "
                       "event that is sent or withheld is counted here, by the signal that decided "
                       "about it.</p></div></section>\n");
        return;
    }
    html_raw(html, "<div class=\"scroll\" role=\"group\" aria-labelledby=\"consent\" "
                   "tabindex=\"0\"><table class=\"attempts\"><thead><tr>"
                   "<th scope=\"col\">Consent</th><th scope=\"col\">Decided by</th>"
                   "<th scope=\"col\">Then</th><th scope=\"col\" class=\"number\">Events</th>"
                   "</tr></thead><tbody>\n");
    for (i = 0; i < json_array_size(rows); i++) {
        put_row(html, json_array_get(rows, i));
    }
    html_raw(html, "</tbody></table></div></section>\n");
}
