/* How many of the delivered events carried each match key, and how many of their content_ids the
 * catalogue knows: from the counters of whole days, and of hours before and after. */

#include "report_int.h"

#include <stdlib.h>
#include <string.h>

#include "report_sql.h"
#include "utf8.h"

#define HOUR_SEC 3600
#define WEEK_SEC (7 * 24 * HOUR_SEC)
#define SPAN_MAX (92 * 24 * (apr_int64_t)HOUR_SEC) /* so many counters a sum may read */

/* What is counted before the keys are known; `keys` holds counts by key. */
typedef struct {
    json_t *rows; /* by event name: {"events", "keys"} */
    apr_pool_t *pool;
} sums_t;

static json_t *find_row(sums_t *sums, const char *name)
{
    json_t *row;

    name = capi_utf8_repair(name, sums->pool);
    row = json_object_get(sums->rows, name);
    if (!row) {
        row = json_pack("{s:s, s:i, s:{}, s:{s:i, s:i}}", "event_name", name, "events", 0,
                        "match_keys", "contents", "known", 0, "unknown", 0);
        json_object_set_new(sums->rows, name, row);
    }
    return row;
}

static void add_sum(sums_t *sums, const char *name, const char *what, apr_int64_t n)
{
    json_t *row = find_row(sums, name);

    if (strcmp(what, "delivered") == 0) {
        json_object_set_new(row, "events", json_integer(n));
    }
    else if (strncmp(what, "key:", 4) == 0) {
        json_object_set_new(json_object_get(row, "match_keys"),
                            capi_utf8_repair(what + 4, sums->pool), json_integer(n));
    }
    else if (strncmp(what, "content:", 8) == 0) {
        json_object_set_new(json_object_get(row, "contents"),
                            capi_utf8_repair(what + 8, sums->pool), json_integer(n));
    }
}

/* {"count", "percent"} with one digit behind the point. Counters of an hour that retention took
 * apart may not add up: never more than all. */
static json_t *share(json_int_t count, json_int_t events)
{
    double percent = events > 0 ? 100.0 * (double)count / (double)events : 0;
    double tenths = (double)(json_int_t)(percent * 10 + 0.5);

    return json_pack("{s:I, s:f}", "count", count, "percent", tenths > 1000 ? 100 : tenths / 10);
}

/* Every key has its share, zero where no event had it. */
static void complete_row(json_t *row)
{
    json_int_t events = json_integer_value(json_object_get(row, "events"));
    json_t *counts = json_object_get(row, "match_keys");
    json_t *shares = json_object();
    int key;

    for (key = 0; key < CAPI_KEY_COUNT; key++) {
        const char *name = capi_key_name((capi_key_t)key);
        json_int_t count = json_integer_value(json_object_get(counts, name));
        json_object_set_new(shares, name, share(count, events));
    }
    json_object_set_new(row, "match_keys", shares);
}

static int compare_rows(const void *left, const void *right)
{
    const json_t *a = *(json_t *const *)left;
    const json_t *b = *(json_t *const *)right;
    json_int_t more = json_integer_value(json_object_get(b, "events"));
    json_int_t less = json_integer_value(json_object_get(a, "events"));

    if (more != less) {
        return more > less ? 1 : -1;
    }
    return strcmp(json_string_value(json_object_get(a, "event_name")),
                  json_string_value(json_object_get(b, "event_name")));
}

/* The rows as a list, the most frequent first; names that were never delivered are left out. */
static json_t *sorted_rows(const sums_t *sums)
{
    apr_size_t count = 0;
    json_t **all = apr_palloc(sums->pool, (1 + json_object_size(sums->rows)) * sizeof(json_t *));
    json_t *list = json_array();
    const char *name;
    json_t *row;
    apr_size_t i;

    json_object_foreach(sums->rows, name, row)
    {
        if (json_integer_value(json_object_get(row, "events")) > 0) {
            all[count++] = row;
        }
    }
    qsort(all, count, sizeof(all[0]), compare_rows);
    for (i = 0; i < count; i++) {
        complete_row(all[i]);
        json_array_append(list, all[i]);
    }
    return list;
}

/* Three parts of a time, each from and to: hours, whole days below zero, hours. */
static void divide(apr_int64_t parts[6], apr_int64_t first, apr_int64_t end)
{
    apr_int64_t first_day = (first + 23) / 24;
    apr_int64_t end_day = end / 24;

    memset(parts, 0, 6 * sizeof(parts[0]));
    parts[0] = first;
    parts[1] = end;
    if (first_day < end_day) {
        parts[1] = first_day * 24;
        parts[2] = capi_counter_day(24 * (end_day - 1));
        parts[3] = capi_counter_day(24 * first_day) + 1;
        parts[4] = end_day * 24;
        parts[5] = end;
    }
}

apr_status_t capi_report_coverage(json_t **model, capi_store_t *store, const capi_filter_t *filter,
                                  apr_time_t now, apr_pool_t *p)
{
    capi_statement_t coverage = {.sql = REPORT_SQL_COVERAGE};
    apr_int64_t until = filter->until > 0 ? filter->until : (apr_int64_t)apr_time_sec(now) + 1;
    apr_int64_t since = filter->since > 0 ? filter->since : until - WEEK_SEC;
    apr_int64_t first = (since < until - SPAN_MAX ? until - SPAN_MAX : since) / HOUR_SEC;
    apr_int64_t end = (until + HOUR_SEC - 1) / HOUR_SEC;
    apr_int64_t parts[6];
    const void *values[] = {&parts[0], &parts[1], &parts[2],       &parts[3],
                            &parts[4], &parts[5], filter->account, filter->account};
    sums_t sums = {capi_report_own(json_object(), p), p};
    capi_rows_t rows;
    apr_status_t rv;

    divide(parts, first, end);
    rv = capi_rows_select(&rows, store, &coverage, values, p);
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        const char *name = capi_rows_text(&rows, 0);
        const char *what = capi_rows_text(&rows, 1);
        if (name && what) {
            add_sum(&sums, name, what, capi_rows_int(&rows, 2));
        }
    }
    /* Counters are by the hour, so what is told begins and ends with one. */
    *model = capi_report_own(json_pack("{s:o, s:I, s:I}", "coverage", sorted_rows(&sums), "since",
                                       (json_int_t)(first * HOUR_SEC), "until",
                                       (json_int_t)(end * HOUR_SEC)),
                             p);
    return rv;
}
