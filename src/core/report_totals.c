/* What monitoring counts: sums over all hours, which never go down. */

#include "report_int.h"

#include <string.h>

#include "report_sql.h"

static json_t *labels_of(const capi_rows_t *rows, apr_pool_t *p)
{
    return json_pack("{s:o, s:o, s:b, s:s}", "account", capi_report_text(rows, 0, p), "api_url",
                     capi_report_text(rows, 1, p), "test", capi_rows_int(rows, 2) != 0, "wire",
                     capi_wire_name((capi_wire_t)capi_rows_int(rows, 3)));
}

static bool is_outcome(const char *what)
{
    return !strchr(what, ':') && strcmp(what, "latency_seconds") != 0;
}

/* One destination's histogram while its rows go by. */
typedef struct {
    apr_int64_t destination;
    json_t *model;
    apr_int64_t buckets[CAPI_LATENCY_BUCKETS];
    apr_int64_t sum;
} histogram_t;

static void finish_histogram(histogram_t *histogram)
{
    json_t *buckets = json_array();
    apr_int64_t up_to_here = 0;
    int i;

    for (i = 0; i < CAPI_LATENCY_BUCKETS; i++) {
        json_t *bound =
            i < CAPI_LATENCY_BUCKETS - 1 ? json_integer(capi_latency_bounds[i]) : json_null();
        up_to_here += histogram->buckets[i];
        json_array_append_new(buckets, json_pack("[o, I]", bound, (json_int_t)up_to_here));
    }
    json_object_set_new(histogram->model, "buckets", buckets);
    json_object_set_new(histogram->model, "sum", json_integer((json_int_t)histogram->sum));
}

static void begin_histogram(histogram_t *histogram, json_t *list, const capi_rows_t *rows,
                            apr_pool_t *p)
{
    memset(histogram, 0, sizeof(*histogram));
    histogram->destination = capi_rows_int(rows, 4);
    histogram->model = labels_of(rows, p);
    json_array_append_new(list, histogram->model);
}

static void add_latency(histogram_t *histogram, const char *what, apr_int64_t n, apr_pool_t *p)
{
    int i;

    if (strcmp(what, "latency_seconds") == 0) {
        histogram->sum += n;
    }
    for (i = 0; i < CAPI_LATENCY_BUCKETS; i++) {
        if (strcmp(what, capi_latency_name(i, p)) == 0) {
            histogram->buckets[i] += n;
        }
    }
}

apr_status_t capi_report_totals(json_t **model, capi_store_t *store, apr_pool_t *p)
{
    capi_statement_t all_hours = {.sql = REPORT_SQL_ALL_HOURS};
    json_t *events = json_array();
    json_t *latency = json_array();
    histogram_t histogram = {0};
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &all_hours, NULL, p);

    *model = capi_report_own(json_pack("{s:o, s:o}", "events", events, "latency", latency), p);
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        const char *what = capi_rows_text(&rows, 6);

        if (!histogram.model || histogram.destination != capi_rows_int(&rows, 4)) {
            if (histogram.model) {
                finish_histogram(&histogram);
            }
            begin_histogram(&histogram, latency, &rows, p);
        }
        if (what && is_outcome(what)) {
            json_t *event = labels_of(&rows, p);
            json_object_set_new(event, "event_name", capi_report_text(&rows, 5, p));
            json_object_set_new(event, "outcome", json_string(what));
            json_object_set_new(event, "count", capi_report_int(&rows, 7));
            json_array_append_new(events, event);
        }
        else if (what) {
            add_latency(&histogram, what, capi_rows_int(&rows, 7), p);
        }
    }
    if (histogram.model) {
        finish_histogram(&histogram);
    }
    return rv;
}
