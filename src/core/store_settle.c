/* How events end: delivered, rejected, given back, or settled without ever going out. What the
 * outbox held of an event is erased in the same transaction. */

#include "store_int.h"

#include <string.h>

apr_status_t capi_erase(capi_store_t *store, apr_int64_t event, int flags)
{
    const void *range[] = {&event, &event};
    apr_status_t rv = capi_db_run(NULL, store, CAPI_SQL_OUTBOX_ERASE, range);

    if (rv == APR_SUCCESS && (flags & CAPI_ROW_LAYERS)) {
        rv = capi_db_run(NULL, store, CAPI_SQL_LAYERS_ERASE, range);
    }
    return rv;
}

static apr_status_t set_settled(capi_store_t *store, apr_int64_t event, capi_state_t state,
                                apr_int64_t request, const char *error, apr_time_t now)
{
    apr_int64_t number = state;
    const void *values[] = {&number, &now, request ? &request : NULL, error, &event};

    return capi_db_run(NULL, store, CAPI_SQL_EVENT_SETTLED, values);
}

static capi_outcome_t outcome_of(capi_state_t state)
{
    switch (state) {
    case CAPI_STATE_REJECTED:
        return CAPI_OUTCOME_REJECTED;
    case CAPI_STATE_EXPIRED:
        return CAPI_OUTCOME_EXPIRED;
    case CAPI_STATE_UNCONFIRMED:
        return CAPI_OUTCOME_UNCONFIRMED;
    case CAPI_STATE_SUPPRESSED:
        return CAPI_OUTCOME_SUPPRESSED;
    default:
        return CAPI_OUTCOME_DELIVERED;
    }
}

apr_status_t capi_settle(capi_store_t *store, capi_dest_t *dest, apr_int64_t event,
                         const char *sent_as, int flags, capi_state_t state, const char *error,
                         apr_time_t now)
{
    apr_status_t rv = set_settled(store, event, state, 0, error, now);

    if (rv == APR_SUCCESS) {
        rv = capi_erase(store, event, flags);
    }
    dest->waiting_delta--;
    capi_count(store, dest->row.id, sent_as, outcome_of(state), now);
    return rv;
}

/* --- results of a request --- */

/* While only a browser's word was on its way, a stronger source spoke: it is sent as well. */
static apr_status_t send_again(capi_store_t *store, const capi_outgoing_t *event,
                               apr_int64_t request, apr_time_t now)
{
    const void *unfinished[] = {&request, &event->id};
    const void *range[] = {&event->id, &event->id};
    const void *due[] = {&now, &event->id, &event->id};
    apr_status_t rv = capi_db_run(NULL, store, CAPI_SQL_EVENT_UNFINISHED, unfinished);

    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, store, CAPI_SQL_EVENTS_TRIED, range);
    }
    return rv == APR_SUCCESS ? capi_db_run(NULL, store, CAPI_SQL_OUTBOX_RETRY, due) : rv;
}

/* How many events from here on have ids without a gap: all of them are the caller's, so one
 * statement over the range touches no other. */
static int run_length(const capi_outgoing_t *events, int count)
{
    int length = 1;

    while (length < count && events[length].id == events[length - 1].id + 1) {
        length++;
    }
    return length;
}

static apr_status_t deliver_run(capi_store_t *store, const capi_outgoing_t *events, int count,
                                apr_int64_t request, apr_time_t now)
{
    const apr_int64_t *first = &events[0].id;
    const apr_int64_t *last = &events[count - 1].id;
    const void *delivered[] = {&now, &request, first, last};
    const void *range[] = {first, last};
    int erased = 0;
    apr_status_t rv = capi_db_run(NULL, store, CAPI_SQL_EVENTS_DELIVERED, delivered);

    if (rv == APR_SUCCESS) {
        rv = capi_db_run(&erased, store, CAPI_SQL_OUTBOX_ERASE, range);
    }
    for (int i = 0; i < count && rv == APR_SUCCESS; i++) {
        const void *layers[] = {&events[i].id};

        if (events[i].has_layers) {
            rv = capi_db_run(NULL, store, CAPI_SQL_LAYERS_ERASE, layers);
        }
    }
    return rv;
}

/* Counts an event as delivered; false where it is to go out again. */
static bool end_delivered(capi_store_t *store, const capi_outgoing_t *event, apr_time_t now)
{
    capi_flight_t *flight = capi_flight_of(store, event->id);
    const capi_ruling_t ruling = {
        .state = event->consent, .signal = event->signal, .action = event->action};
    bool is_again;

    if (!flight) {
        return true;
    }
    is_again = flight->is_again;
    capi_count(store, flight->dest->row.id, event->sent_as, CAPI_OUTCOME_DELIVERED, now);
    capi_count_keys(store, flight->dest->row.id, event->sent_as, event->keys, now);
    capi_count_latency(store, flight->dest->row.id, event->sent_as, event->event_time, now);
    capi_count_consent(store, flight->dest->row.id, event->sent_as, &ruling, now);
    if (is_again) {
        capi_dest_lower(flight->dest, now, event->id);
    }
    else {
        flight->dest->waiting_delta--;
    }
    capi_flight_end(store, flight);
    return !is_again;
}

static apr_status_t deliver_runs(capi_store_t *store, const capi_outgoing_t *events, int count,
                                 apr_int64_t request, apr_time_t now)
{
    apr_status_t rv = APR_SUCCESS;

    for (int from = 0; from < count && rv == APR_SUCCESS;) {
        int length = run_length(events + from, count - from);

        rv = deliver_run(store, events + from, length, request, now);
        from += length;
    }
    return rv;
}

apr_status_t capi_store_delivered_all(capi_store_t *store, const capi_outgoing_t *events, int count,
                                      apr_int64_t request, apr_time_t now)
{
    apr_status_t rv = APR_SUCCESS;
    int from = 0;

    for (int i = 0; i < count && rv == APR_SUCCESS; i++) {
        if (end_delivered(store, &events[i], now)) {
            continue;
        }
        rv = deliver_runs(store, events + from, i - from, request, now);
        if (rv == APR_SUCCESS) {
            rv = send_again(store, &events[i], request, now);
        }
        from = i + 1;
    }
    return rv == APR_SUCCESS ? deliver_runs(store, events + from, count - from, request, now) : rv;
}

apr_status_t capi_store_delivered(capi_store_t *store, const capi_outgoing_t *event,
                                  apr_int64_t request, const char *warning, apr_time_t now)
{
    const void *values[] = {warning, &event->id};
    apr_status_t rv = capi_store_delivered_all(store, event, 1, request, now);

    if (rv == APR_SUCCESS && warning && *warning) {
        rv = capi_db_run(NULL, store, CAPI_SQL_EVENT_WARNED, values);
    }
    return rv;
}

apr_status_t capi_store_rejected(capi_store_t *store, const capi_outgoing_t *event,
                                 apr_int64_t request, const char *error, apr_time_t now)
{
    capi_flight_t *flight = capi_flight_of(store, event->id);
    apr_int64_t kept_until = CAPI_DUE_REJECTED + now;
    const void *due[] = {&kept_until, &event->id, &event->id};
    apr_status_t rv = set_settled(store, event->id, CAPI_STATE_REJECTED, request, error, now);

    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, store, CAPI_SQL_OUTBOX_RETRY, due);
    }
    if (flight) {
        capi_count(store, flight->dest->row.id, event->sent_as, CAPI_OUTCOME_REJECTED, now);
        flight->dest->waiting_delta--;
        capi_flight_end(store, flight);
    }
    return rv;
}

static apr_status_t retry_run(capi_store_t *store, const capi_outgoing_t *events, int count,
                              apr_int64_t request, const char *error, apr_time_t due)
{
    const apr_int64_t *first = &events[0].id;
    const apr_int64_t *last = &events[count - 1].id;
    const void *retried[] = {request ? &request : NULL, error, first, last};
    const void *range[] = {first, last};
    const void *later[] = {&due, first, last};
    apr_status_t rv = capi_db_run(NULL, store, CAPI_SQL_EVENTS_RETRYING, retried);

    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, store, CAPI_SQL_EVENTS_TRIED, range);
    }
    return rv == APR_SUCCESS ? capi_db_run(NULL, store, CAPI_SQL_OUTBOX_RETRY, later) : rv;
}

apr_status_t capi_store_retry_all(capi_store_t *store, const capi_outgoing_t *events, int count,
                                  apr_int64_t request, const char *error, apr_time_t due,
                                  apr_time_t now)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < count; i++) {
        capi_flight_t *flight = capi_flight_of(store, events[i].id);

        if (flight) {
            capi_count(store, flight->dest->row.id, events[i].sent_as, CAPI_OUTCOME_RETRIED, now);
            capi_dest_lower(flight->dest, due, events[i].id);
            capi_flight_end(store, flight);
        }
    }
    for (int from = 0; from < count && rv == APR_SUCCESS;) {
        int length = run_length(events + from, count - from);

        rv = retry_run(store, events + from, length, request, error, due);
        from += length;
    }
    return rv;
}

apr_status_t capi_store_retry(capi_store_t *store, const capi_outgoing_t *event,
                              apr_int64_t request, const char *error, apr_time_t due,
                              apr_time_t now)
{
    return capi_store_retry_all(store, event, 1, request, error, due, now);
}
