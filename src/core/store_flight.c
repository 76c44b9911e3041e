/* What the one writer remembers of its destinations: how far claiming has come in each, and which
 * events a batch holds. Memory alone: after a crash nothing is claimed. */

#include "store_int.h"

#include <apr_strings.h>

#include <string.h>

static capi_dest_t *dest_at(const capi_store_t *store, int at)
{
    return APR_ARRAY_IDX(store->dests, at, capi_dest_t *);
}

capi_dest_t *capi_dest_of(capi_store_t *store, apr_int64_t id)
{
    for (int i = 0; i < store->dests->nelts; i++) {
        if (dest_at(store, i)->row.id == id) {
            return dest_at(store, i);
        }
    }
    return NULL;
}

apr_status_t capi_dest_load(capi_store_t *store)
{
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_DESTINATIONS, NULL, store->scratch);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    while (capi_rows_next(&rows)) {
        apr_int64_t id = capi_rows_int(&rows, 0);
        capi_dest_t *dest;

        if (capi_dest_of(store, id)) {
            continue;
        }
        dest = apr_pcalloc(store->pool, sizeof(*dest));
        dest->row.id = id;
        dest->row.account = apr_pstrdup(store->pool, capi_rows_text(&rows, 1));
        dest->row.api_url = apr_pstrdup(store->pool, capi_rows_text(&rows, 2));
        dest->row.test = capi_rows_int(&rows, 3) != 0;
        dest->row.wire = (capi_wire_t)capi_rows_int(&rows, 4);
        APR_ARRAY_PUSH(store->dests, capi_dest_t *) = dest;
    }
    return APR_SUCCESS;
}

static bool is_same_place(const capi_destination_t *row, const capi_settings_t *settings)
{
    return row->test == settings->test && row->wire == settings->wire &&
           strcmp(row->account, settings->account) == 0 &&
           strcmp(row->api_url, settings->api_url) == 0;
}

static apr_status_t add_dest(capi_dest_t **added, capi_store_t *store,
                             const capi_settings_t *settings)
{
    capi_dest_t *dest = apr_pcalloc(store->pool, sizeof(*dest));
    apr_int64_t test = settings->test;
    apr_int64_t wire = settings->wire;
    const void *values[] = {&dest->row.id, settings->account, settings->api_url, &test, &wire};
    apr_status_t rv;

    dest->row.id = store->last_destination + 1;
    rv = capi_db_run(NULL, store, CAPI_SQL_DESTINATION_ADD, values);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    store->last_destination = dest->row.id;
    dest->row.account = apr_pstrdup(store->pool, settings->account);
    dest->row.api_url = apr_pstrdup(store->pool, settings->api_url);
    dest->row.test = settings->test;
    dest->row.wire = settings->wire;
    dest->is_new = store->is_open;
    APR_ARRAY_PUSH(store->dests, capi_dest_t *) = dest;
    *added = dest;
    return APR_SUCCESS;
}

apr_status_t capi_dest_find(capi_dest_t **dest, capi_store_t *store,
                            const capi_settings_t *settings)
{
    for (int i = 0; i < store->dests->nelts; i++) {
        if (is_same_place(&dest_at(store, i)->row, settings)) {
            *dest = dest_at(store, i);
            return APR_SUCCESS;
        }
    }
    return add_dest(dest, store, settings);
}

void capi_dest_lower(capi_dest_t *dest, apr_time_t due, apr_int64_t event)
{
    if (due < dest->cursor_due || (due == dest->cursor_due && event <= dest->cursor_event)) {
        dest->cursor_due = due;
        dest->cursor_event = event - 1;
    }
}

capi_flight_t *capi_flight_of(const capi_store_t *store, apr_int64_t event)
{
    return apr_hash_get(store->flights, &event, sizeof(event));
}

void capi_flight_add(capi_store_t *store, capi_dest_t *dest, apr_int64_t event, apr_time_t due,
                     int source)
{
    capi_flight_t *flight = store->free_flights;

    if (flight) {
        store->free_flights = flight->next;
    }
    else {
        flight = apr_palloc(store->pool, sizeof(*flight));
    }
    *flight = (capi_flight_t){.event = event, .dest = dest, .due = due, .source = source};
    apr_hash_set(store->flights, &flight->event, sizeof(flight->event), flight);
    if (store->is_open) {
        APR_ARRAY_PUSH(store->begun, apr_int64_t) = event;
    }
}

static void free_flight(capi_store_t *store, capi_flight_t *flight)
{
    flight->next = store->free_flights;
    store->free_flights = flight;
}

void capi_flight_end(capi_store_t *store, capi_flight_t *flight)
{
    apr_hash_set(store->flights, &flight->event, sizeof(flight->event), NULL);
    if (store->is_open) {
        flight->next = store->ended;
        store->ended = flight;
    }
    else {
        free_flight(store, flight);
    }
}

void capi_flight_committed(capi_store_t *store)
{
    while (store->ended) {
        capi_flight_t *flight = store->ended;

        store->ended = flight->next;
        free_flight(store, flight);
    }
    apr_array_clear(store->begun);
    for (int i = 0; i < store->dests->nelts; i++) {
        dest_at(store, i)->is_new = false;
    }
}

void capi_flight_shift(capi_store_t *store, apr_interval_time_t by)
{
    apr_hash_index_t *at;

    for (at = apr_hash_first(store->scratch, store->flights); at; at = apr_hash_next(at)) {
        capi_flight_t *flight = apr_hash_this_val(at);

        flight->due += by;
    }
    for (int i = 0; i < store->dests->nelts; i++) {
        dest_at(store, i)->cursor_due = 0;
        dest_at(store, i)->cursor_event = 0;
    }
}

static void forget_new_dests(capi_store_t *store)
{
    int kept = 0;

    for (int i = 0; i < store->dests->nelts; i++) {
        capi_dest_t *dest = dest_at(store, i);

        if (dest->is_new) {
            continue;
        }
        dest->waiting_delta = 0;
        dest->cursor_due = 0;
        dest->cursor_event = 0;
        APR_ARRAY_IDX(store->dests, kept++, capi_dest_t *) = dest;
    }
    store->dests->nelts = kept;
}

void capi_flight_rolled_back(capi_store_t *store)
{
    while (store->ended) {
        capi_flight_t *flight = store->ended;

        store->ended = flight->next;
        apr_hash_set(store->flights, &flight->event, sizeof(flight->event), flight);
    }
    for (int i = 0; i < store->begun->nelts; i++) {
        apr_int64_t event = APR_ARRAY_IDX(store->begun, i, apr_int64_t);
        capi_flight_t *flight = capi_flight_of(store, event);

        if (flight) {
            apr_hash_set(store->flights, &event, sizeof(event), NULL);
            free_flight(store, flight);
        }
    }
    apr_array_clear(store->begun);
    forget_new_dests(store);
}

void capi_store_unclaim(capi_store_t *store, const capi_outgoing_t *events, int count)
{
    for (int i = 0; i < count; i++) {
        capi_flight_t *flight = capi_flight_of(store, events[i].id);

        if (flight) {
            capi_dest_lower(flight->dest, flight->due, flight->event);
            /* For good: no rollback makes it the caller's again. */
            apr_hash_set(store->flights, &flight->event, sizeof(flight->event), NULL);
            free_flight(store, flight);
        }
    }
}

apr_status_t capi_store_destination(apr_int64_t *id, capi_store_t *store,
                                    const capi_settings_t *settings)
{
    capi_dest_t *dest;
    apr_status_t rv = capi_dest_find(&dest, store, settings);

    if (rv == APR_SUCCESS) {
        *id = dest->row.id;
    }
    return rv;
}

apr_status_t capi_store_destinations(apr_array_header_t **list, capi_store_t *store, apr_pool_t *p)
{
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_DESTINATIONS, NULL, p);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *list = apr_array_make(p, 8, sizeof(capi_destination_t));
    while (capi_rows_next(&rows)) {
        capi_destination_t *row = apr_array_push(*list);

        row->id = capi_rows_int(&rows, 0);
        row->account = capi_rows_text(&rows, 1);
        row->api_url = capi_rows_text(&rows, 2);
        row->test = capi_rows_int(&rows, 3) != 0;
        row->wire = (capi_wire_t)capi_rows_int(&rows, 4);
        row->held_since = capi_rows_int(&rows, 5);
        row->held_reason = capi_rows_text(&rows, 6);
        row->is_held = row->held_since != 0;
        row->waiting = capi_rows_int(&rows, 7);
        row->is_paused = capi_rows_text(&rows, 8) != NULL;
    }
    return APR_SUCCESS;
}

apr_status_t capi_store_hold(capi_store_t *store, apr_int64_t destination, const char *reason,
                             apr_time_t now)
{
    apr_int64_t since = now;
    const void *values[] = {reason ? &since : NULL, reason, &destination};

    return capi_db_run(NULL, store, CAPI_SQL_DESTINATION_HOLD, values);
}
