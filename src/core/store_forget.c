/* Forgetting a person: contexts and events that carry a hash are found by looking through all of
 * them, a page a call, because nothing in the store leads from a person to what is known of them. */

#include "ask.h"

#include "store_int.h"

#include <apr_strings.h>

#include <string.h>

#define PAGE_ROWS 2000

static const char said[] = "erased: this person was forgotten";

static apr_status_t forget_row(capi_forget_t *forget, capi_store_t *store, const capi_rows_t *rows,
                               apr_time_t now)
{
    const capi_ruling_t ruling = {.state = CAPI_CONSENT_DENIED, .signal = CAPI_FORGET_SIGNAL};

    if (capi_flight_of(store, capi_rows_int(rows, 0))) {
        forget->in_flight++;
    }
    else {
        forget->events++;
    }
    return capi_deny_row(store, rows, &ruling, said, now);
}

/* What waits of a visit would be completed from it: it is the same person's. */
static apr_status_t forget_waiting(capi_forget_t *forget, capi_store_t *store, apr_int64_t visit,
                                   apr_time_t now)
{
    apr_int64_t last = 0;
    const void *values[] = {&visit, &last};
    apr_status_t rv;
    int count;

    do {
        capi_rows_t rows;

        count = 0;
        rv = capi_db_select(&rows, store, CAPI_SQL_OUTBOX_OF_VISIT, values, store->scratch);
        while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
            count++;
            last = capi_rows_int(&rows, 0);
            rv = forget_row(forget, store, &rows, now);
        }
    } while (rv == APR_SUCCESS && count > 0);
    return rv;
}

static apr_status_t forget_visit(capi_forget_t *forget, capi_store_t *store, apr_int64_t visit,
                                 apr_time_t now)
{
    const void *values[] = {&visit};
    apr_status_t rv = forget_waiting(forget, store, visit, now);

    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, store, CAPI_SQL_VISIT_KEYS_FORGET, values);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, store, CAPI_SQL_VISIT_FORGET, values);
    }
    forget->visits++;
    store->cache_epoch++;
    return rv;
}

/* The id that ends the page after `from`; *is_last: the rest fits into it. */
static apr_status_t find_end(apr_int64_t *end, bool *is_last, capi_store_t *store, capi_sql_t which,
                             apr_int64_t from)
{
    const apr_int64_t rows_before = PAGE_ROWS - 1;
    const void *values[] = {&from, &rows_before};
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, which, values, store->scratch);

    *is_last = rv == APR_SUCCESS && !capi_rows_next(&rows);
    *end = rv == APR_SUCCESS && !*is_last ? capi_rows_int(&rows, 0) : APR_INT64_MAX;
    return rv;
}

static apr_status_t forget_visits(capi_forget_t *forget, capi_store_t *store, const char *pattern,
                                  apr_time_t now)
{
    apr_int64_t end;
    const void *values[] = {&forget->visit, &end, pattern};
    bool is_last;
    capi_rows_t rows;
    apr_status_t rv = find_end(&end, &is_last, store, CAPI_SQL_FORGET_VISITS_END, forget->visit);

    if (rv == APR_SUCCESS) {
        rv = capi_db_select(&rows, store, CAPI_SQL_FORGET_VISITS, values, store->scratch);
    }
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        rv = forget_visit(forget, store, capi_rows_int(&rows, 0), now);
    }
    forget->visit = end;
    forget->has_visits_done = is_last;
    return rv;
}

static apr_status_t forget_events(capi_forget_t *forget, capi_store_t *store, const char *pattern,
                                  apr_time_t now)
{
    apr_int64_t end;
    const void *values[] = {&forget->event, &end, pattern, pattern};
    bool is_last;
    capi_rows_t rows;
    apr_status_t rv = find_end(&end, &is_last, store, CAPI_SQL_FORGET_EVENTS_END, forget->event);

    if (rv == APR_SUCCESS) {
        rv = capi_db_select(&rows, store, CAPI_SQL_FORGET_EVENTS, values, store->scratch);
    }
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        rv = forget_row(forget, store, &rows, now);
    }
    forget->event = end;
    forget->is_done = is_last;
    return rv;
}

apr_status_t capi_ask_forget_some(capi_forget_t *forget, capi_store_t *store, const char *hash,
                                  apr_time_t now)
{
    const char *pattern = apr_pstrcat(store->txn, "%", hash, "%", NULL);

    return forget->has_visits_done ? forget_events(forget, store, pattern, now)
                                   : forget_visits(forget, store, pattern, now);
}
