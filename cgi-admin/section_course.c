/* Deliveries over time: bars drawn here, so that they are there without a script. Whoever cannot see
 * them has the table below. */

#include "model.h"
#include "page.h"

#include <string.h>
#include <time.h>

#define BAR_WIDTH 20 /* units of the drawing, which is stretched to the page */
#define BAR_GAP   4
#define HEIGHT    200

static const struct {
    const char *state;
    const char *label;
} outcomes[] = {{"delivered", "Delivered"},
                {"rejected", "Rejected"},
                {"suppressed", "Withheld"},
                {"unconfirmed", "Unconfirmed"},
                {"expired", "Expired"}};
#define OUTCOMES (sizeof(outcomes) / sizeof(outcomes[0]))

static json_int_t sum_of(const json_t *bar)
{
    json_int_t sum = 0;
    apr_size_t i;

    for (i = 0; i < OUTCOMES; i++) {
        sum += model_number(bar, outcomes[i].state);
    }
    return sum;
}

/* 1, 2 or 5 with zeros: the top of the scale. */
static json_int_t round_up(json_int_t number)
{
    json_int_t step = 1;

    while (step < number) {
        if (2 * step >= number) {
            return 2 * step;
        }
        if (5 * step >= number) {
            return 5 * step;
        }
        step *= 10;
    }
    return step;
}

static json_int_t highest(const json_t *bars)
{
    json_int_t most = 0;
    apr_size_t i;

    for (i = 0; i < json_array_size(bars); i++) {
        json_int_t sum = sum_of(json_array_get(bars, i));
        most = sum > most ? sum : most;
    }
    return round_up(most < 4 ? 4 : most);
}

static void put_moment(html_t *html, const json_t *bar, const char *period)
{
    time_t when = (time_t)model_number(bar, "since");
    struct tm utc;
    char text[32] = "";

    if (gmtime_r(&when, &utc)) {
        strftime(text, sizeof(text), strcmp(period, "30d") == 0 ? "%e %b" : "%e %b %H:%M", &utc);
    }
    html_put(html, "%s", text + (*text == ' '));
}

/* What a pointer that rests on a bar is told. */
static void put_tip(html_t *html, const json_t *bar, const char *period)
{
    apr_size_t i;

    html_raw(html, "<title>");
    put_moment(html, bar, period);
    for (i = 0; i < OUTCOMES; i++) {
        if (model_number(bar, outcomes[i].state) > 0) {
            html_put(html, "\n%s ", outcomes[i].label);
            html_count(html, model_number(bar, outcomes[i].state));
        }
    }
    html_raw(html, sum_of(bar) == 0 ? "\nno events</title>" : "</title>");
}

/* From the bottom up; what is there at all is seen, be it one in a million. */
static void put_bar(html_t *html, const json_t *bar, const char *period, long x, json_int_t top)
{
    double base = HEIGHT;
    apr_size_t i;

    html_raw(html, "<g>");
    put_tip(html, bar, period);
    html_put(html, "<rect class=\"hit\" x=\"%ld\" y=\"0\" width=\"%d\" height=\"%d\"/>", x,
             BAR_WIDTH + BAR_GAP, HEIGHT);
    for (i = 0; i < OUTCOMES; i++) {
        json_int_t count = model_number(bar, outcomes[i].state);
        double height = (double)HEIGHT * (double)count / (double)top;

        if (count > 0) {
            height = height < 2 ? 2 : height;
            base -= height;
            html_put(html,
                     "<rect class=\"bar is-%s\" x=\"%ld\" y=\"%d\" width=\"%d\" "
                     "height=\"%d\"/>",
                     outcomes[i].state, x + BAR_GAP / 2, base > 0 ? (int)base : 0, BAR_WIDTH,
                     (int)(height + .999));
        }
    }
    html_raw(html, "</g>");
}

static void put_drawing(html_t *html, const json_t *bars, const char *period, json_int_t top)
{
    apr_size_t count = json_array_size(bars);
    apr_size_t i;
    int line;

    html_put(html,
             "<svg class=\"chart\" viewBox=\"0 0 %ld %d\" preserveAspectRatio=\"none\" "
             "role=\"img\" aria-labelledby=\"course-title course-desc\">"
             "<title id=\"course-title\">Events by outcome</title>",
             (long)count * (BAR_WIDTH + BAR_GAP), HEIGHT);
    html_raw(html, "<desc id=\"course-desc\">One bar for each part of the time, stacked by "
                   "outcome. The table below has the numbers.</desc>");
    for (line = 0; line < 4; line++) {
        html_put(html, "<path class=\"grid\" d=\"M0 %dH%ld\"/>", line * HEIGHT / 4,
                 (long)count * (BAR_WIDTH + BAR_GAP));
    }
    for (i = 0; i < count; i++) {
        put_bar(html, json_array_get(bars, i), period, (long)i * (BAR_WIDTH + BAR_GAP), top);
    }
    html_raw(html, "</svg>");
}

static void put_axes(html_t *html, const json_t *bars, const char *period, json_int_t top)
{
    apr_size_t count = json_array_size(bars);
    apr_size_t i;

    html_raw(html, "<p class=\"scale\" aria-hidden=\"true\"><span>");
    html_count(html, top);
    html_raw(html, "</span><span>");
    html_count(html, top / 2);
    html_raw(html, "</span><span>0</span></p><p class=\"moments\" aria-hidden=\"true\">");
    for (i = 0; i < 4; i++) {
        html_raw(html, "<span>");
        put_moment(html, json_array_get(bars, i * (count - 1) / 3), period);
        html_raw(html, "</span>");
    }
    html_raw(html, "</p>");
}

static void put_table(html_t *html, const json_t *bars)
{
    apr_size_t i;
    apr_size_t k;

    html_raw(html, "<details class=\"numbers\"><summary>The same as a table</summary>"
                   "<div class=\"scroll\" role=\"group\" aria-labelledby=\"course\" "
                   "tabindex=\"0\"><table><thead><tr><th scope=\"col\">From</th>");
    for (k = 0; k < OUTCOMES; k++) {
        html_put(html, "<th scope=\"col\" class=\"number\">%s</th>", outcomes[k].label);
    }
    html_raw(html, "</tr></thead><tbody>");
    for (i = json_array_size(bars); i > 0; i--) {
        const json_t *bar = json_array_get(bars, i - 1);
        html_raw(html, "<tr><th scope=\"row\">");
        html_time_short(html, model_number(bar, "since"));
        html_raw(html, "</th>");
        for (k = 0; k < OUTCOMES; k++) {
            html_raw(html, "<td class=\"number\">");
            html_count(html, model_number(bar, outcomes[k].state));
            html_raw(html, "</td>");
        }
        html_raw(html, "</tr>");
    }
    html_raw(html, "</tbody></table></div></details>");
}

/* The switch keeps what the list of deliveries is filtered by. */
static void put_switch(html_t *html, const cgi_request_t *request)
{
    static const char *const labels[] = {"24 hours", "7 days", "30 days"};
    int i;

    html_raw(html, "<nav aria-label=\"Period\"><ul class=\"switch\">");
    for (i = 0; i < 3; i++) {
        cgi_request_t other = *request;
        const char *query;
        other.period = i;
        query = cgi_request_query(&other, 0, html_pool(html));
        html_put(html, "<li><a href=\"%s#course\" data-place=\"%s\"", *query ? query : "./",
                 capi_report_period_name(i));
        html_raw(html, i == request->period ? " aria-current=\"true\">" : ">");
        html_put(html, "%s</a></li>", labels[i]);
    }
    html_raw(html, "</ul></nav>");
}

static json_int_t sum_over(const json_t *bars, const char *state)
{
    json_int_t sum = 0;
    apr_size_t i;

    for (i = 0; i < json_array_size(bars); i++) {
        sum += model_number(json_array_get(bars, i), state);
    }
    return sum;
}

void section_course(html_t *html, const cgi_request_t *request, const json_t *course)
{
    const json_t *bars = json_object_get(course, "bars");
    const char *period = model_text(course, "period");
    json_int_t top = highest(bars);
    apr_size_t i;

    html_raw(html, "<section aria-labelledby=\"course\"><div class=\"heading\">"
                   "<h2 id=\"course\">Over time</h2><ul class=\"legend\">");
    for (i = 0; i < OUTCOMES; i++) {
        if (i > 0 && sum_over(bars, outcomes[i].state) == 0) {
            continue;
        }
        html_put(html,
                 "<li><svg class=\"swatch\" aria-hidden=\"true\" viewBox=\"0 0 10 10\">"
                 "<rect class=\"bar is-%s\" width=\"10\" height=\"10\"/></svg>%s</li>",
                 outcomes[i].state, outcomes[i].label);
    }
    html_raw(html, "</ul>");
    put_switch(html, request);
    html_raw(html, "</div><div class=\"card course\">");
    put_drawing(html, bars, period, top);
    put_axes(html, bars, period, top);
    html_raw(html, "</div>");
    put_table(html, bars);
    html_raw(html, "</section>\n");
}
