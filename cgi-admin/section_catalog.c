/* Which products of events the shop's catalogue feed knows. */

#include "model.h"
#include "page.h"

#include <string.h>

static void put_examples(html_t *html, const json_t *catalog)
{
    const json_t *examples = json_object_get(catalog, "examples");
    apr_size_t i;

    if (json_array_size(examples) == 0) {
        return;
    }
    html_raw(html, "<p class=\"hint\">Unknown, the newest: ");
    for (i = 0; i < json_array_size(examples); i++) {
        html_raw(html, "<code class=\"chip\">");
        html_cut(html, json_string_value(json_array_get(examples, i)), 64);
        html_raw(html, "</code> ");
    }
    html_raw(html, "</p>");
}

static void put_state(html_t *html, const json_t *catalog)
{
    const char *look = model_has(catalog, "fault") ? "rejected" : "delivered";
    const char *word = "read";

    if (model_has(catalog, "fault")) {
        word = "not readable";
    }
    else if (!model_has(catalog, "read_at")) {
        look = "queued";
        word = "being read";
    }
    html_put(html, "<span class=\"badge is-%s\">", look);
    piece_icon(html, look);
    html_put(html, "%s</span>", word);
}

static void put_catalog(html_t *html, const json_t *catalog)
{
    json_int_t seen = model_number(catalog, "seen");

    html_raw(html, "<article class=\"card\"><header><div><h3>Products in the feed</h3>"
                   "<p class=\"measure\">");
    html_count(html, model_number(catalog, "ids"));
    html_raw(html, "</p></div>");
    put_state(html, catalog);
    html_raw(html, "</header>");
    if (model_has(catalog, "fault")) {
        html_put(html, "<p class=\"reason\">The file %s</p>", model_text(catalog, "fault"));
    }
    html_raw(html, "<dl>");
    piece_fact(html, "File");
    html_put(html, "<code>%s</code>", model_text(catalog, "file"));
    piece_fact_end(html);
    if (model_has(catalog, "read_at")) {
        piece_fact(html, "Read");
        html_time(html, model_number(catalog, "read_at"));
        piece_fact_end(html);
    }
    piece_fact(html, "Known of the newest ids");
    html_put(html, "%ld of %ld", (long)(seen - model_number(catalog, "unknown")), (long)seen);
    piece_fact_end(html);
    html_raw(html, "</dl>");
    put_examples(html, catalog);
    html_raw(html, "</article>");
}

static void put_row(html_t *html, const json_t *row)
{
    const json_t *contents = json_object_get(row, "contents");
    json_int_t known = model_number(contents, "known");
    json_int_t all = known + model_number(contents, "unknown");

    if (all == 0) {
        return;
    }
    html_put(html, "<tr><th scope=\"row\">%s</th><td class=\"number\">",
             model_text(row, "event_name"));
    html_count(html, all);
    html_put(html, "</td><td class=\"number%s\">%ld<span class=\"unit\">%%</span></td></tr>",
             known * 20 < all * 19 ? " is-bad" : "", (long)(100 * known / all));
}

static void put_table(html_t *html, const json_t *rows)
{
    apr_size_t i;

    html_raw(html, "<div class=\"scroll\" role=\"group\" aria-labelledby=\"catalog\" "
                   "tabindex=\"0\"><table><thead><tr><th scope=\"col\">Event</th>"
                   "<th scope=\"col\" class=\"number\">Product ids, 7 days</th>"
                   "<th scope=\"col\" class=\"number\">In the feed</th></tr></thead><tbody>");
    for (i = 0; i < json_array_size(rows); i++) {
        put_row(html, json_array_get(rows, i));
    }
    html_raw(html, "</tbody></table></div>");
}

static bool has_contents(const json_t *rows)
{
    apr_size_t i;

    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *contents = json_object_get(json_array_get(rows, i), "contents");

        if (model_number(contents, "known") + model_number(contents, "unknown") > 0) {
            return true;
        }
    }
    return false;
}

void section_catalog(html_t *html, const json_t *status, const json_t *coverage)
{
    const json_t *catalogs = json_object_get(status, "catalogs");
    const json_t *rows = json_object_get(coverage, "coverage");
    apr_size_t i;

    if (json_array_size(catalogs) == 0) {
        return;
    }
    html_raw(html, "<section aria-labelledby=\"catalog\"><div class=\"heading\">"
                   "<h2 id=\"catalog\">Catalogue</h2><p>Pinterest ties an event to a product only "
                   "where content_ids are ids of the feed</p></div><div class=\"cards\">");
    for (i = 0; i < json_array_size(catalogs); i++) {
        put_catalog(html, json_array_get(catalogs, i));
    }
    if (has_contents(rows)) {
        put_table(html, rows);
    }
    html_raw(html, "</div></section>\n");
}
