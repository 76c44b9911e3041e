/* How good it is: an estimate of how well events match, how fast they go, what came twice. */

#include "model.h"
#include "page.h"

#include <string.h>

/* What a key is worth for a match, of 100: our estimate in the order that Pinterest's documents
 * give; Pinterest does not publish its own weights. */
static const struct {
    const char *key;
    int worth;
    const char *advice; /* NULL: not in the shop's hands */
} keys[] = {
    {"click_id", 35, NULL},
    {"em", 30, "e-mail: send Pinterest-Capi-Match with email at login, newsletter and checkout"},
    {"ph", 10, "phone: send Pinterest-Capi-Match with phone at checkout"},
    {"client_ip_address", 8, "the address: let mod_remoteip tell the visitor\xe2\x80\x99s"},
    {"client_user_agent", 7, "the browser: bind orders to the visit that placed them"},
    {"external_id", 5, "a customer number: send Pinterest-Capi-Match with external_id"},
    {"country", 5, "the country: send Pinterest-Capi-Match with country"},
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

typedef struct {
    json_int_t events;
    int score; /* 0 … 100 */
    int best;  /* the key whose absence costs most, of those that the shop can mend */
    int best_gain;
} score_t;

static json_int_t count_of(const json_t *rows, const char *key)
{
    json_int_t sum = 0;
    apr_size_t i;

    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *shares = json_object_get(json_array_get(rows, i), "match_keys");
        sum += model_number(json_object_get(shares, key), "count");
    }
    return sum;
}

static void judge(score_t *score, const json_t *coverage)
{
    const json_t *rows = json_object_get(coverage, "coverage");
    double sum = 0;
    apr_size_t i;

    memset(score, 0, sizeof(*score));
    for (i = 0; i < json_array_size(rows); i++) {
        score->events += model_number(json_array_get(rows, i), "events");
    }
    for (i = 0; i < KEYS && score->events > 0; i++) {
        double share = (double)count_of(rows, keys[i].key) / (double)score->events;
        int gain;

        share = share > 1 ? 1 : share;
        gain = (int)((1 - share) * keys[i].worth + .5);
        sum += share * keys[i].worth;
        if (keys[i].advice && gain > score->best_gain) {
            score->best = (int)i;
            score->best_gain = gain;
        }
    }
    score->score = (int)(sum + .5);
}

static void put_change(html_t *html, int change)
{
    if (change != 0) {
        html_put(html, " <span class=\"note\">%s%d to the week before</span>",
                 change > 0 ? "+" : "\xe2\x88\x92", change > 0 ? change : -change);
    }
}

static void put_score(html_t *html, const json_t *coverage, const json_t *before)
{
    score_t now;
    score_t then;

    judge(&now, coverage);
    judge(&then, before);
    html_raw(html, "<article class=\"card\"><h3>Match score, estimated</h3><p class=\"measure\">");
    if (now.events == 0) {
        html_raw(html, "\xe2\x80\x93</p></article>");
        return;
    }
    html_put(html, "%d of 100", now.score);
    if (then.events > 0) {
        put_change(html, now.score - then.score);
    }
    html_put(html,
             "</p><meter min=\"0\" max=\"100\" value=\"%d\" low=\"35\" high=\"60\" optimum=\"100\" "
             "aria-label=\"Match score, estimated\"></meter>",
             now.score);
    if (now.best_gain > 1) {
        html_put(html, "<p class=\"hint\">Up to %d more with %s.</p>", now.best_gain,
                 keys[now.best].advice);
    }
    html_raw(html, "</article>");
}

static void put_seconds(html_t *html, const char *name, const json_t *latency, const char *field)
{
    piece_fact(html, name);
    html_span(html, model_number(latency, field));
    piece_fact_end(html);
}

static void put_latency(html_t *html, const json_t *latency)
{
    html_raw(html, "<article class=\"card\"><h3>From event to delivery</h3>");
    if (model_number(latency, "events") == 0) {
        html_raw(html, "<p class=\"measure\">\xe2\x80\x93</p></article>");
        return;
    }
    html_raw(html, "<p class=\"measure\">");
    html_span(html, model_number(latency, "p50"));
    html_raw(html, "</p><dl>");
    put_seconds(html, "Half of them within", latency, "p50");
    put_seconds(html, "95% within", latency, "p95");
    html_put(html, "<div%s><dt>Later than an hour</dt><dd>",
             model_number(latency, "late") > 0 ? " class=\"is-warn\"" : "");
    html_count(html, model_number(latency, "late"));
    html_raw(html, "</dd></div></dl>");
    if (model_number(latency, "late") > 0) {
        html_raw(html,
                 "<p class=\"hint\">Pinterest counts those as offline, and not as one with the "
                 "Tag\xe2\x80\x99s.</p>");
    }
    html_raw(html, "</article>");
}

static void put_twice(html_t *html, const json_t *day)
{
    html_raw(html, "<article class=\"card\"><h3>Came more than once</h3><p class=\"measure\">");
    html_count(html, model_number(day, "merged") + model_number(day, "duplicate"));
    html_raw(html, "</p><dl>");
    piece_fact(html, "Merged into one event");
    html_count(html, model_number(day, "merged"));
    piece_fact_end(html);
    piece_fact(html, "Dropped, reloads for example");
    html_count(html, model_number(day, "duplicate"));
    piece_fact_end(html);
    html_raw(html, "</dl></article>");
}

void section_quality(html_t *html, const json_t *status, const json_t *coverage,
                     const json_t *before)
{
    html_raw(html, "<section aria-labelledby=\"quality\"><div class=\"heading\">"
                   "<h2 id=\"quality\">Quality</h2><p>The score of 7 days, the rest of 24 "
                   "hours</p></div><div class=\"cards\">");
    put_score(html, coverage, before);
    put_latency(html, json_object_get(status, "latency"));
    put_twice(html, json_object_get(status, "last_24h"));
    html_raw(html, "</div></section>\n");
}
