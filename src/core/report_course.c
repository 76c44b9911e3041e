/* How events ended over time, from the hourly counters. */

#include "report_int.h"

#include <string.h>

#include "report_sql.h"

static const struct {
    const char *name;
    int bars;
    int hours; /* of each bar */
} periods[] = {{"24h", 24, 1}, {"7d", 28, 6}, {"30d", 30, 24}};

static const char *const outcomes[] = {"delivered", "rejected", "suppressed", "unconfirmed",
                                       "expired"};
#define OUTCOMES (sizeof(outcomes) / sizeof(outcomes[0]))

bool capi_report_period(int *period, const char *name)
{
    apr_size_t i;

    for (i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
        if (strcmp(name, periods[i].name) == 0) {
            *period = (int)i;
            return true;
        }
    }
    return false;
}

const char *capi_report_period_name(int period)
{
    return periods[period].name;
}

static json_t *empty_bar(apr_int64_t hour, int hours)
{
    json_t *bar = json_pack("{s:I, s:I}", "since", (json_int_t)(hour * 3600), "until",
                            (json_int_t)((hour + hours) * 3600));
    apr_size_t i;

    for (i = 0; i < OUTCOMES; i++) {
        json_object_set_new(bar, outcomes[i], json_integer(0));
    }
    return bar;
}

static void add_to_bar(json_t *bar, const char *outcome, apr_int64_t n)
{
    json_int_t before = json_integer_value(json_object_get(bar, outcome));

    if (json_object_get(bar, outcome)) {
        json_object_set_new(bar, outcome, json_integer(before + (json_int_t)n));
    }
}

/* Bars of a day begin at midnight, so that a day is a day; the last bar is the one that runs. */
apr_status_t capi_report_course(json_t **model, capi_store_t *store, int period,
                                const char *account, apr_time_t now, apr_pool_t *p)
{
    capi_statement_t course = {.sql = REPORT_SQL_COURSE};
    int hours = periods[period].hours;
    apr_int64_t last = apr_time_sec(now) / 3600 / hours * hours;
    apr_int64_t first = last - (apr_int64_t)(periods[period].bars - 1) * hours;
    bool is_days = hours == 24;
    apr_int64_t from = is_days ? capi_counter_day(last) : first;
    apr_int64_t end = is_days ? capi_counter_day(first) + 1 : last + hours;
    const void *values[] = {&from, &end, account, account};
    json_t *bars = json_array();
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &course, values, p);
    int i;

    *model =
        capi_report_own(json_pack("{s:s, s:o}", "period", periods[period].name, "bars", bars), p);
    for (i = 0; i < periods[period].bars; i++) {
        json_array_append_new(bars, empty_bar(first + (apr_int64_t)i * hours, hours));
    }
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        apr_int64_t hour = is_days ? -24 * capi_rows_int(&rows, 0) : capi_rows_int(&rows, 0);
        apr_int64_t place = (hour - first) / hours;
        const char *what = capi_rows_text(&rows, 1);

        if (what && place >= 0 && place < periods[period].bars) {
            add_to_bar(json_array_get(bars, (apr_size_t)place), what, capi_rows_int(&rows, 2));
        }
    }
    return rv;
}
