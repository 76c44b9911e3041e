/* Several senders on one database. One of them writes at a time, as it is with a file; each sends
 * what it took in itself. A lease that is renewed with each beat tells the others that it lives:
 * what a silent one leaves behind goes to another. */

#include "store_int.h"
#include "store_sql.h"

#include <apr_strings.h>

#include <string.h>

#define LAST_NODE "last_node" /* a row of meta */

/* A sender that was seen, and when its beat last changed on this one's clock: clocks of several
 * machines are never compared. */
typedef struct {
    apr_int64_t node;
    apr_int64_t beat;
    apr_time_t changed_at;
} member_t;

apr_array_header_t *capi_fleet_members(apr_pool_t *p)
{
    return apr_array_make(p, 4, sizeof(member_t));
}

bool capi_store_is_shared(const capi_store_t *store)
{
    return store->engine != CAPI_ENGINE_SQLITE;
}

/* Somebody else wrote since: what is remembered of rows may be wrong. */
static apr_status_t change_hands(capi_store_t *store)
{
    const char *node = apr_psprintf(store->scratch, "%" APR_INT64_T_FMT, store->node);
    const void *values[] = {node, CAPI_TURN};

    store->cache_epoch++;
    store->hands_changed = true;
    for (int i = 0; i < store->dests->nelts; i++) {
        capi_dest_t *dest = APR_ARRAY_IDX(store->dests, i, capi_dest_t *);

        dest->cursor_due = 0;
        dest->cursor_event = 0;
    }
    if (capi_store_read_ids(store) != APR_SUCCESS) {
        return APR_EGENERAL;
    }
    return capi_db_run(NULL, store, CAPI_SQL_META_CHANGE, values);
}

apr_status_t capi_fleet_take_turn(capi_store_t *store)
{
    const void *values[] = {CAPI_TURN};
    capi_rows_t rows;
    const char *last;
    apr_status_t rv;

    if (!capi_store_is_shared(store)) {
        return APR_SUCCESS;
    }
    rv = capi_db_select(&rows, store, CAPI_SQL_TURN, values, store->scratch);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    last = capi_rows_next(&rows) ? capi_rows_text(&rows, 0) : NULL;
    if (!last) {
        return capi_db_fail(store, "the table meta has lost its row about turns");
    }
    if (store->node && apr_atoi64(last) == store->node) {
        return APR_SUCCESS;
    }
    return change_hands(store);
}

apr_status_t capi_fleet_prepare(capi_store_t *store)
{
    const void *turn[] = {CAPI_TURN, "0"};
    const void *last[] = {LAST_NODE, "0"};
    apr_status_t rv = APR_SUCCESS;

    if (!capi_store_is_shared(store)) {
        return APR_SUCCESS;
    }
    rv = capi_db_exec(store, SQL_NODES_TABLE);
    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, store, CAPI_SQL_META_ADD_ONCE, turn);
    }
    return rv == APR_SUCCESS ? capi_db_run(NULL, store, CAPI_SQL_META_ADD_ONCE, last) : rv;
}

/* --- a place --- */

/* A number is given once: who comes back from the dead must not find its own taken. */
static apr_status_t add_place(apr_int64_t *node, capi_store_t *store, const char *name)
{
    const void *of_last[] = {LAST_NODE};
    const void *added[] = {node, name};
    const void *changed[] = {NULL, LAST_NODE};
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_META_GET, of_last, store->scratch);

    if (rv != APR_SUCCESS || !capi_rows_next(&rows)) {
        return rv == APR_SUCCESS ? APR_NOTFOUND : rv;
    }
    *node = capi_rows_int(&rows, 0) + 1;
    changed[0] = apr_psprintf(store->scratch, "%" APR_INT64_T_FMT, *node);
    rv = capi_db_run(NULL, store, CAPI_SQL_META_CHANGE, changed);
    return rv == APR_SUCCESS ? capi_db_run(NULL, store, CAPI_SQL_NODE_ADD, added) : rv;
}

static apr_status_t find_place(apr_int64_t *node, capi_store_t *store, const char *name)
{
    const void *of_name[] = {name};
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_NODE_OF_NAME, of_name, store->scratch);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (capi_rows_next(&rows)) {
        *node = capi_rows_int(&rows, 0);
        return APR_SUCCESS;
    }
    return add_place(node, store, name);
}

apr_status_t capi_store_join(capi_store_t *store, const char *name)
{
    apr_int64_t node;
    apr_status_t rv;

    if (!capi_store_is_shared(store)) {
        return APR_SUCCESS;
    }
    rv = capi_store_begin(store);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = find_place(&node, store, name);
    if (rv == APR_SUCCESS) {
        store->node = node;
        /* The node's number is part of their text. */
        capi_db_forget_statements(store);
        rv = capi_store_end_attempts(store);
    }
    if (rv != APR_SUCCESS) {
        capi_store_rollback(store);
        return rv;
    }
    return capi_store_commit(store);
}

/* --- beats --- */

static member_t *member_of(capi_store_t *store, apr_int64_t node)
{
    member_t *added;

    for (int i = 0; i < store->members->nelts; i++) {
        member_t *member = &APR_ARRAY_IDX(store->members, i, member_t);

        if (member->node == node) {
            return member;
        }
    }
    added = apr_array_push(store->members);
    *added = (member_t){.node = node, .beat = -1};
    return added;
}

/* The others' beats; *silent is one that has not changed for a lease, 0: none. */
static apr_status_t look_at_others(apr_int64_t *silent, capi_beat_t *beat, capi_store_t *store,
                                   apr_time_t ticks)
{
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_NODES, NULL, store->scratch);

    *silent = 0;
    beat->is_first = true;
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        apr_int64_t node = capi_rows_int(&rows, 0);
        apr_int64_t count = capi_rows_int(&rows, 1);
        member_t *member = member_of(store, node);

        if (member->beat != count) {
            member->beat = count;
            member->changed_at = ticks;
        }
        if (node != store->node && ticks - member->changed_at >= CAPI_LEASE) {
            *silent = node;
            continue;
        }
        beat->is_first &= node >= store->node;
    }
    return rv;
}

/* Its rows become ours, wherever its requests had come to: their events go out again under their ids. */
static apr_status_t take_over(capi_beat_t *beat, capi_store_t *store, apr_int64_t silent)
{
    apr_int64_t now = apr_time_now();
    const void *node[] = {&silent};
    const void *rows[] = {&store->node, &silent};
    const void *ended[] = {&now, &silent};
    apr_status_t rv = capi_db_run(NULL, store, CAPI_SQL_NODE_GONE, node);

    if (rv == APR_SUCCESS) {
        rv = capi_db_run(&beat->taken_over, store, CAPI_SQL_OUTBOX_TAKEN, rows);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, store, CAPI_SQL_ATTEMPTS_ABANDONED, ended);
    }
    beat->silent = silent;
    store->hands_changed = true;
    return rv;
}

static apr_status_t beat_once(capi_beat_t *beat, capi_store_t *store, apr_time_t ticks,
                              apr_time_t now)
{
    const void *values[] = {&now, &store->node};
    apr_int64_t silent = 0;
    int changed = 0;
    apr_status_t rv = capi_db_run(&changed, store, CAPI_SQL_NODE_BEAT, values);

    beat->is_member = changed > 0;
    if (rv == APR_SUCCESS && beat->is_member) {
        rv = look_at_others(&silent, beat, store, ticks);
    }
    return rv == APR_SUCCESS && silent ? take_over(beat, store, silent) : rv;
}

apr_status_t capi_store_beat(capi_beat_t *beat, capi_store_t *store, apr_time_t ticks,
                             apr_time_t now)
{
    apr_status_t rv = capi_store_begin(store);

    memset(beat, 0, sizeof(*beat));
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = beat_once(beat, store, ticks, now);
    if (rv != APR_SUCCESS) {
        capi_store_rollback(store);
        return rv;
    }
    rv = capi_store_commit(store);
    beat->hands_changed = store->hands_changed;
    store->hands_changed = false;
    return rv;
}
