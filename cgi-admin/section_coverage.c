/* How good the matches can be: of each event, how many carried which match key. */

#include "model.h"
#include "page.h"

#include <stdio.h>
#include <string.h>

/* In the order of what they do for a match: the click id and who the person is first. Of keys that
 * say the same of a person the best counts. */
static const struct {
    const char *label;
    const char *keys[5];
} columns[] = {{"Click id", {"click_id"}},
               {"E-mail", {"em"}},
               {"Phone", {"ph"}},
               {"Customer", {"external_id"}},
               {"Address", {"client_ip_address"}},
               {"Browser", {"client_user_agent"}},
               {"Name", {"fn", "ln"}},
               {"Place", {"ct", "st", "zp", "country"}}};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void put_head(html_t *html)
{
    apr_size_t i;

    html_raw(html, "<thead><tr><th scope=\"col\">Event</th><th scope=\"col\" class=\"number\">"
                   "Events</th>");
    for (i = 0; i < COLUMNS; i++) {
        html_put(html, "<th scope=\"col\" class=\"key\">%s</th>", columns[i].label);
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

static json_int_t count_of(const json_t *row, apr_size_t column)
{
    const json_t *shares = json_object_get(row, "match_keys");
    json_int_t events = model_number(row, "events");
    json_int_t most = 0;
    int i;

    for (i = 0; i < 5 && columns[column].keys[i]; i++) {
        json_int_t count = model_number(json_object_get(shares, columns[column].keys[i]), "count");

        most = count > most ? count : most;
    }
    return most < events ? most : events;
}

/* In points, against the week before. */
static void put_change(html_t *html, json_int_t count, json_int_t events, const json_t *before,
                       apr_size_t column)
{
    json_int_t events_before = model_number(before, "events");
    double change;
    int points;

    if (events_before == 0) {
        return;
    }
    change = 100.0 * (double)count / (double)events -
             100.0 * (double)count_of(before, column) / (double)events_before;
    points = (int)(change < 0 ? change - .5 : change + .5);
    if (points == 0) {
        html_raw(html, "<span class=\"change\">\xc2\xa0</span>"); /* a row's numbers stay level */
        return;
    }
    html_put(html,
             "<span class=\"change\">%s%d<span class=\"hidden\"> points to the week before</span>"
             "</span>",
             points > 0 ? "+" : "\xe2\x88\x92", points > 0 ? points : -points);
}

static void put_cell(html_t *html, const json_t *row, const json_t *before, apr_size_t column)
{
    json_int_t events = model_number(row, "events");
    json_int_t count = count_of(row, column);
    int shade = events > 0 ? (int)((10 * count + events / 2) / events) : 0;
    char text[24];

    html_put(html, "<td class=\"key shade-%d%s\">", count > 0 && shade == 0 ? 1 : shade,
             count == 0 ? " is-zero" : "");
    html_put(html, "%s<span class=\"unit\">%%</span>",
             percent_text(text, sizeof(text), count, events));
    put_change(html, count, events, before, column);
    html_raw(html, "</td>");
}

static const json_t *find_row(const json_t *rows, const char *name)
{
    apr_size_t i;

    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);

        if (strcmp(model_text(row, "event_name"), name) == 0) {
            return row;
        }
    }
    return NULL;
}

static void put_row(html_t *html, const json_t *row, const json_t *before)
{
    const char *name = model_text(row, "event_name");
    apr_size_t i;

    html_put(html, "<tr><th scope=\"row\"><a href=\"?event_name=%s#deliveries\">%s</a></th>",
             html_url(name, html_pool(html)), name);
    html_raw(html, "<td class=\"number\">");
    html_count(html, model_number(row, "events"));
    html_raw(html, "</td>");
    for (i = 0; i < COLUMNS; i++) {
        put_cell(html, row, before, i);
    }
    html_raw(html, "</tr>");
}

void section_coverage(html_t *html, const json_t *coverage, const json_t *before)
{
    const json_t *rows = json_object_get(coverage, "coverage");
    apr_size_t i;

    html_raw(html,
             "<section aria-labelledby=\"coverage\"><div class=\"heading\"><h2 id=\"coverage\">"
             "Match keys</h2><p>Share of the events of 7 days that carried each key, and the "
             "change to the 7 days before</p></div>");
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
        const json_t *row = json_array_get(rows, i);

        put_row(html, row,
                find_row(json_object_get(before, "coverage"), model_text(row, "event_name")));
    }
    html_raw(html, "</tbody></table></div></section>\n");
}
