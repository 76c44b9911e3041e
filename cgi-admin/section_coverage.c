/* How good the matches can be: of each event, how many carried which match key. */

#include "model.h"
#include "page.h"

#include <stdio.h>
#include <string.h>

/* In the order of what they do for a match: the click id and who the person is first. */
static const char *const columns[] = {"click_id",
                                      "em",
                                      "ph",
                                      "external_id",
                                      "client_ip_address",
                                      "client_user_agent",
                                      "fn",
                                      "ln",
                                      "ct",
                                      "st",
                                      "zp",
                                      "country",
                                      "ge",
                                      "db"};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void put_head(html_t *html)
{
    apr_size_t i;

    html_raw(html, "<thead><tr><th scope=\"col\">Event</th><th scope=\"col\" class=\"number\">"
                   "Events</th>");
    for (i = 0; i < COLUMNS; i++) {
        html_put(html, "<th scope=\"col\" class=\"key\">%s</th>", model_key_label(columns[i]));
    }
    html_raw(html, "</tr></thead>");
}

/* Whole percents, but never 0 or 100 for what is not quite so. */
static const char *percent_text(char *text, apr_size_t room, json_int_t count, json_int_t of)
{
    double percent = of > 0 ? 100.0 * (double)count / (double)of : 0;

    if (count > 0 && percent < 1) {
        return "<1";
    }
    if (count < of && percent > 99) {
        return ">99";
    }
    snprintf(text, room, "%.0f", percent);
    return text;
}

static void put_cell(html_t *html, const json_t *key, json_int_t events)
{
    json_int_t count = model_number(key, "count") < events ? model_number(key, "count") : events;
    int shade = events > 0 ? (int)((10 * count + events / 2) / events) : 0;
    char text[24];

    html_put(html, "<td class=\"key shade-%d%s\">", count > 0 && shade == 0 ? 1 : shade,
             count == 0 ? " is-zero" : "");
    html_put(html, "%s<span class=\"unit\">%%</span>",
             percent_text(text, sizeof(text), count, events));
    html_raw(html, "</td>");
}

static void put_row(html_t *html, const json_t *row)
{
    const json_t *keys = json_object_get(row, "match_keys");
    const char *name = model_text(row, "event_name");
    json_int_t events = model_number(row, "events");
    apr_size_t i;

    html_put(html, "<tr><th scope=\"row\"><a href=\"?event_name=%s#deliveries\">%s</a></th>",
             html_url(name, html_pool(html)), name);
    html_raw(html, "<td class=\"number\">");
    html_count(html, events);
    html_raw(html, "</td>");
    for (i = 0; i < COLUMNS; i++) {
        put_cell(html, json_object_get(keys, columns[i]), events);
    }
    html_raw(html, "</tr>");
}

void section_coverage(html_t *html, const json_t *coverage)
{
    const json_t *rows = json_object_get(coverage, "coverage");
    apr_size_t i;

    html_raw(html,
             "<section aria-labelledby=\"coverage\"><div class=\"heading\"><h2 id=\"coverage\">"
             "Match keys</h2><p>Share of events that carried each key");
    if (model_has(coverage, "since")) {
        html_raw(html, ", since ");
        html_time(html, model_number(coverage, "since"));
    }
    html_raw(html, "</p></div>");
    if (json_array_size(rows) == 0) {
        html_raw(html, "<div class=\"empty\"><p><strong>No events to measure yet.</strong> Click "
                       "ids come with visitors from Pinterest ads, e-mail and phone with "
                       "Pinterest-Capi-Match from the shop, address and browser with every "
                       "request.</p></div></section>\n");
        return;
    }
    html_raw(html, "<div class=\"scroll\" role=\"group\" aria-labelledby=\"coverage\" "
                   "tabindex=\"0\"><table class=\"matrix\">");
    put_head(html);
    html_raw(html, "<tbody>");
    for (i = 0; i < json_array_size(rows); i++) {
        put_row(html, json_array_get(rows, i));
    }
    html_raw(html, "</tbody></table></div></section>\n");
}
