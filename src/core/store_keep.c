/* Housekeeping: retention in small steps, the page's notes, the log's checkpoint. */

#include "store_int.h"
#include "store_sql.h"

#include "ident.h"

#include <string.h>

/* Rows a step: a few milliseconds, so that the shop's events never wait for it. */
#define STEP_ROWS 500

#define DAY apr_time_from_sec((apr_int64_t)86400)

typedef struct {
    capi_store_t *store;
    apr_time_t now;
    apr_time_t keep_since; /* records before are forgotten */
    bool is_more;
} retention_t;

typedef apr_status_t step_t(retention_t *retention);

/* --- user data that waited too long --- */

static apr_status_t erase_rejected_of(retention_t *retention, apr_int64_t destination)
{
    capi_store_t *store = retention->store;
    const apr_int64_t from = CAPI_DUE_REJECTED;
    const apr_int64_t limit = STEP_ROWS;
    apr_int64_t until = CAPI_DUE_REJECTED + retention->now - CAPI_REJECTED_KEEP;
    const void *values[] = {&destination, &from, &until, &limit};
    capi_rows_t rows;
    int found = 0;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_OLD_REJECTED, values, store->scratch);

    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        rv = capi_erase(store, capi_rows_int(&rows, 0), CAPI_ROW_LAYERS);
        found++;
    }
    retention->is_more |= found == STEP_ROWS;
    return rv;
}

static apr_status_t erase_rejected(retention_t *retention)
{
    const apr_array_header_t *dests = retention->store->dests;
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < dests->nelts && rv == APR_SUCCESS; i++) {
        rv = erase_rejected_of(retention, APR_ARRAY_IDX(dests, i, capi_dest_t *)->row.id);
    }
    return rv;
}

static apr_status_t expire_row(retention_t *retention, const capi_rows_t *rows)
{
    capi_store_t *store = retention->store;
    apr_int64_t event = capi_rows_int(rows, 0);
    capi_dest_t *dest = capi_dest_of(store, capi_rows_int(rows, 1));
    int flags = (int)capi_rows_int(rows, 3);
    bool waits = capi_rows_int(rows, 2) < CAPI_DUE_REJECTED;

    if (!dest || !waits || capi_flight_of(store, event) ||
        capi_rows_int(rows, 5) >= apr_time_sec(retention->now)) {
        return APR_SUCCESS;
    }
    return capi_settle(store, dest, event, capi_rows_text(rows, 4), flags, CAPI_STATE_EXPIRED,
                       "older than PinterestCapiMaxAge", retention->now);
}

/* Those of an account on hold are never claimed, so their time ends here. Walks through the outbox
 * a page a call, and begins anew at its end. */
static apr_status_t expire_waiting(retention_t *retention)
{
    capi_store_t *store = retention->store;
    const apr_int64_t limit = STEP_ROWS;
    const void *values[] = {&store->retain_outbox, &limit};
    capi_rows_t rows;
    int found = 0;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_OLD_WAITING, values, store->scratch);

    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        store->retain_outbox = capi_rows_int(&rows, 0);
        rv = expire_row(retention, &rows);
        found++;
    }
    if (found < STEP_ROWS) {
        store->retain_outbox = 0;
    }
    retention->is_more |= found == STEP_ROWS;
    return rv;
}

/* --- records --- */

/* That the id was used outlives the record, as a hash: only where it went out under that id. */
static apr_status_t keep_used_id(retention_t *retention, const capi_rows_t *rows)
{
    char hash[CAPI_HEX_SHA256 + 1];
    apr_int64_t used_at = apr_time_sec(capi_rows_int(rows, 1));
    const void *values[] = {hash, &used_at};

    if (capi_rows_int(rows, 2) != CAPI_STATE_DELIVERED || !capi_rows_int(rows, 6)) {
        return APR_SUCCESS;
    }
    capi_used_id_hash(hash, capi_rows_int(rows, 3), capi_rows_text(rows, 4),
                      capi_rows_text(rows, 5));
    retention->store->has_used_ids = true;
    return capi_db_run(NULL, retention->store, CAPI_SQL_USED_ID_ADD, values);
}

static apr_status_t forget_event(retention_t *retention, const capi_rows_t *rows)
{
    apr_int64_t event = capi_rows_int(rows, 0);
    const void *values[] = {&event};
    apr_status_t rv = keep_used_id(retention, rows);

    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, retention->store, CAPI_SQL_EVENT_ATTEMPTS_FORGET, values);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_erase(retention->store, event, CAPI_ROW_LAYERS);
    }
    return rv == APR_SUCCESS ? capi_db_run(NULL, retention->store, CAPI_SQL_EVENT_FORGET, values)
                             : rv;
}

/* Ids grow with the time of intake, so the walk ends at the first record that is young enough, and
 * begins anew from the oldest. What still waits is stepped over. */
static apr_status_t forget_events(retention_t *retention)
{
    capi_store_t *store = retention->store;
    const apr_int64_t limit = STEP_ROWS;
    const void *values[] = {&store->retain_event, &limit};
    bool is_young = false;
    capi_rows_t rows;
    int found = 0;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_OLD_EVENTS, values, store->scratch);

    while (rv == APR_SUCCESS && !is_young && capi_rows_next(&rows)) {
        found++;
        is_young = capi_rows_int(&rows, 1) >= retention->keep_since;
        if (is_young) {
            break;
        }
        store->retain_event = capi_rows_int(&rows, 0);
        if (capi_rows_int(&rows, 2) >= CAPI_STATE_SETTLED) {
            rv = forget_event(retention, &rows);
        }
    }
    if (is_young || found < STEP_ROWS) {
        store->retain_event = 0;
    }
    else {
        retention->is_more = true;
    }
    return rv;
}

static apr_status_t forget_some(retention_t *retention, capi_sql_t which, const void *const *values)
{
    int changed = 0;
    apr_status_t rv = capi_db_run(&changed, retention->store, which, values);

    retention->is_more |= changed >= STEP_ROWS;
    return rv;
}

static apr_status_t forget_attempts(retention_t *retention)
{
    const apr_int64_t limit = STEP_ROWS;
    const void *values[] = {&limit, &retention->keep_since};

    return forget_some(retention, CAPI_SQL_OLD_ATTEMPTS, values);
}

/* The keys first: they are found through the visits. */
static apr_status_t forget_visits(retention_t *retention)
{
    const apr_int64_t limit = STEP_ROWS;
    const void *values[] = {&retention->keep_since, &limit};
    apr_status_t rv = capi_db_run(NULL, retention->store, CAPI_SQL_OLD_VISIT_KEYS, values);

    retention->store->cache_epoch++;
    return rv == APR_SUCCESS ? forget_some(retention, CAPI_SQL_OLD_VISITS, values) : rv;
}

static apr_status_t forget_used_ids(retention_t *retention)
{
    const apr_int64_t limit = STEP_ROWS;
    apr_int64_t before = apr_time_sec(retention->now - CAPI_USED_ID_KEEP);
    const void *values[] = {&before, &limit};

    return forget_some(retention, CAPI_SQL_OLD_USED_IDS, values);
}

/* Nobody is in them: they stay as long as the used ids. */
static apr_status_t forget_counters(retention_t *retention)
{
    apr_int64_t before = (retention->now - CAPI_USED_ID_KEEP) / apr_time_from_sec(3600);
    apr_int64_t day = capi_counter_day(before);
    const void *values[] = {&before, &day};

    return capi_db_run(NULL, retention->store, CAPI_SQL_OLD_COUNTERS, values);
}

static apr_status_t forget_asks(retention_t *retention)
{
    const void *values[] = {&retention->keep_since};

    return capi_db_run(NULL, retention->store, CAPI_SQL_OLD_ASKS, values);
}

static step_t *const steps[] = {erase_rejected, expire_waiting,  forget_events,   forget_attempts,
                                forget_visits,  forget_used_ids, forget_counters, forget_asks};

#define STEPS ((int)(sizeof(steps) / sizeof(*steps)))

apr_status_t capi_store_retain(capi_store_t *store, int retention_days, apr_time_t now, bool *more)
{
    retention_t retention = {.store = store, .now = now, .keep_since = now - retention_days * DAY};
    int step = store->retain_step;
    apr_status_t rv;

    apr_pool_clear(store->scratch);
    rv = capi_store_begin(store);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = steps[step](&retention);
    if (rv != APR_SUCCESS) {
        capi_store_rollback(store);
        store->retain_event = 0;
        store->retain_outbox = 0;
        return rv;
    }
    rv = capi_store_commit(store);
    if (!retention.is_more) {
        step = (step + 1) % STEPS;
        store->retain_step = step;
    }
    /* Done when a whole round had its turn. */
    *more = retention.is_more || step != 0;
    return rv;
}

apr_status_t capi_store_shift(capi_store_t *store, apr_interval_time_t by)
{
    const apr_int64_t never = CAPI_DUE_REJECTED;
    apr_int64_t by_sec = apr_time_sec(by);
    const void *values[] = {&by, &by, &by_sec, &never};
    apr_status_t rv;

    apr_pool_clear(store->scratch);
    rv = capi_db_run(NULL, store, CAPI_SQL_OUTBOX_SHIFT, values);
    if (rv == APR_SUCCESS) {
        capi_flight_shift(store, by);
    }
    return rv;
}

apr_status_t capi_store_note(capi_store_t *store, const char *name, const char *value)
{
    const void *values[] = {name, value};

    return capi_db_run(NULL, store, CAPI_SQL_NOTE_SET, values);
}

apr_status_t capi_store_note_count(capi_store_t *store, const char *name)
{
    const void *values[] = {name};

    return capi_db_run(NULL, store, CAPI_SQL_NOTE_COUNT, values);
}

apr_status_t capi_store_checkpoint(capi_store_t *store)
{
    const char *is_busy = NULL;
    apr_status_t rv;

    apr_pool_clear(store->scratch);
    if (!store->path) {
        return APR_SUCCESS;
    }
    rv = capi_db_exec_select(&is_busy, store, SQL_PRAGMA_CHECKPOINT, store->scratch);
    return rv == APR_SUCCESS && is_busy && strcmp(is_busy, "0") != 0 ? APR_EBUSY : rv;
}
