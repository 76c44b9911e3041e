/* From the queues into the store: a transaction a batch, and room in the queue is given back only
 * once the batch is on disk. */

#include "sender.h"

#include <apr_strings.h>

#include <string.h>

#define RECORDS_MAX 1000

/* A busy shop's records come one by one; so many of them share a transaction, and with it a flush of
 * the disk, as arrive within this time. Nobody notices a hundredth of a second. */
#define GATHER apr_time_from_msec(10)

#define OLD_QUEUE_LOOK apr_time_from_sec(1)

/* How often the store may refuse a record that stands first, while it takes other writes. */
#define REFUSALS_MAX 5

#define PROBE_LEN ((apr_size_t)256 * 1024)

static bool is_empty(const capi_inlet_t *inlet)
{
    capi_queue_stats_t stats;

    capi_queue_stats(inlet->queue, &stats);
    return stats.head == stats.tail;
}

static void note_broken(capi_sender_t *sender, apr_size_t len)
{
    sender->broken_records++;
    capi_log(CAPI_LOG_ERR,
             "PCAPI121: a record of %" APR_SIZE_T_FMT " bytes in the queue is unreadable and was "
             "skipped (%" APR_INT64_T_FMT " since this sender started): are module and sender of "
             "one version?",
             len, sender->broken_records);
}

static void tell_destination(capi_sender_t *sender, const capi_envelope_t *envelope)
{
    capi_route_t *route = capi_route_of(sender, &envelope->settings);

    if (route) {
        capi_route_news(route, envelope->event_count);
    }
    else {
        sender->has_unknown_route = true;
    }
}

/* One record at the cursor. APR_EOF: none is left. Any other failure is the store's. */
static apr_status_t take_record(capi_sender_t *sender, capi_inlet_t *inlet, uint64_t *cursor,
                                capi_intake_t *tally, apr_pool_t *p)
{
    const apr_time_t now = capi_now();
    capi_envelope_t *envelope;
    const void *bytes;
    apr_size_t len = 0;
    apr_status_t rv = capi_queue_peek(inlet->queue, cursor, &bytes, &len);

    if (rv == APR_EOF) {
        return rv;
    }
    if (rv != APR_SUCCESS || capi_envelope_decode(&envelope, bytes, len, p) != APR_SUCCESS) {
        note_broken(sender, rv == APR_SUCCESS ? len : 0);
        return APR_SUCCESS;
    }
    /* From the future is what a clock stamped that was set back since. */
    if (envelope->received_at > now) {
        envelope->received_at = now;
    }
    rv = capi_store_take(sender->store, envelope, now, tally, p);
    if (rv == APR_SUCCESS) {
        tell_destination(sender, envelope);
    }
    return rv == APR_EOF ? APR_EGENERAL : rv;
}

/* True where the store takes a write of no consequence: then it is the record that it refuses. It is
 * larger than what any record makes, for a full disk often has room for one page. */
static bool is_store_working(capi_sender_t *sender, apr_pool_t *p)
{
    char *large = apr_palloc(p, PROBE_LEN + 1);

    memset(large, '0', PROBE_LEN);
    large[PROBE_LEN] = '\0';
    if (capi_store_begin(sender->store) != APR_SUCCESS) {
        return false;
    }
    if (capi_store_note(sender->store, "last_refusal", large) != APR_SUCCESS) {
        capi_store_rollback(sender->store);
        return false;
    }
    if (capi_store_commit(sender->store) != APR_SUCCESS) {
        return false;
    }
    large = apr_psprintf(p, "%" APR_TIME_T_FMT, capi_now());
    return capi_store_note(sender->store, "last_refusal", large) == APR_SUCCESS;
}

/* The store refused record number `taken` of the batch. Next time the ones before it go alone; one
 * that stands first and is refused again and again, by a store that works, must not stop all others
 * for ever. */
static void step_back(capi_sender_t *sender, capi_inlet_t *inlet, int taken, apr_pool_t *p)
{
    uint64_t cursor = 0;
    const void *bytes;
    apr_size_t len;

    if (taken > 0) {
        inlet->limit = taken;
        return;
    }
    inlet->limit = 1;
    if (++inlet->refusals < REFUSALS_MAX) {
        return;
    }
    if (!is_store_working(sender, p)) {
        capi_log(CAPI_LOG_DEBUG, "PCAPI124: the store takes nothing else either: the record waits");
        return;
    }
    capi_log(CAPI_LOG_ERR,
             "PCAPI122: the store refused one record %d times while it took others; the record was "
             "skipped",
             inlet->refusals);
    sender->broken_records++;
    inlet->refusals = 0;
    if (capi_queue_peek(inlet->queue, &cursor, &bytes, &len) != APR_EOF) {
        capi_queue_release(inlet->queue, cursor);
    }
}

static void log_batch(int taken, const capi_intake_t *tally)
{
    capi_log(CAPI_LOG_DEBUG,
             "PCAPI120: took in %d records: %d events new, %d merged, %d duplicates, %d withheld, "
             "%d binds",
             taken, tally->added, tally->merged, tally->duplicates, tally->suppressed,
             tally->binds);
}

/* Everything is in the store: only now may it go from the queue. */
static void finish_batch(capi_sender_t *sender, capi_inlet_t *inlet, uint64_t cursor)
{
    capi_queue_release(inlet->queue, cursor);
    inlet->limit = inlet->limit * 2 < RECORDS_MAX ? inlet->limit * 2 : RECORDS_MAX;
    inlet->refusals = 0;
    /* A denial erases here and now. */
    sender->settled_at = capi_ticks();
    capi_store_recovered(sender);
    if (sender->has_unknown_route && capi_routes_reload(sender) == APR_SUCCESS) {
        sender->has_unknown_route = false;
    }
}

static bool drain_inlet(capi_sender_t *sender, capi_inlet_t *inlet)
{
    capi_intake_t tally = {0};
    apr_pool_t *record_pool;
    apr_status_t rv = APR_SUCCESS;
    uint64_t cursor = 0;
    int taken = 0;

    if (capi_store_begin(sender->store) != APR_SUCCESS) {
        capi_store_failed(sender, "begin a transaction");
        return false;
    }
    apr_pool_create(&record_pool, sender->pool);
    while (taken < inlet->limit && rv == APR_SUCCESS) {
        apr_pool_clear(record_pool);
        rv = take_record(sender, inlet, &cursor, &tally, record_pool);
        taken += rv == APR_SUCCESS;
    }
    inlet->taken_at = capi_ticks();
    if (taken == 0 && rv == APR_EOF) {
        capi_store_rollback(sender->store);
        /* What a damaged queue holds never comes: no reason to keep all else waiting. */
        inlet->mark = 0;
    }
    else if (rv == APR_SUCCESS || rv == APR_EOF) {
        sender->last_intake = capi_now();
        rv = capi_store_commit(sender->store);
        if (rv == APR_SUCCESS) {
            log_batch(taken, &tally);
            finish_batch(sender, inlet, cursor);
        }
        else {
            capi_store_failed(sender, "keep what was captured");
        }
    }
    else {
        capi_store_failed(sender, "take in what was captured");
        capi_store_rollback(sender->store);
        step_back(sender, inlet, taken, record_pool);
    }
    apr_pool_destroy(record_pool);
    return rv == APR_SUCCESS;
}

/* An old queue that nobody writes to any more and that is empty is done with. */
static bool is_finished(capi_inlet_t *inlet)
{
    if (inlet->is_current || !capi_queue_is_abandoned(inlet->queue) || !is_empty(inlet)) {
        return false;
    }
    capi_queue_set_finished(inlet->queue);
    capi_queue_close(inlet->queue);
    inlet->queue = NULL;
    capi_log(CAPI_LOG_INFO, "PCAPI123: a queue of an earlier httpd is empty and done with");
    return true;
}

static bool is_ripe(const capi_sender_t *sender, const capi_inlet_t *inlet)
{
    capi_queue_stats_t stats;

    capi_queue_stats(inlet->queue, &stats);
    if (stats.head == stats.tail) {
        return false;
    }
    return sender->phase != CAPI_RUN || stats.pushed - stats.taken >= RECORDS_MAX ||
           capi_ticks() >= inlet->taken_at + GATHER;
}

static void begin_chase(const capi_sender_t *sender)
{
    int i;

    for (i = 0; i < sender->inlets->nelts; i++) {
        capi_inlet_t *inlet = &APR_ARRAY_IDX(sender->inlets, i, capi_inlet_t);
        capi_queue_stats_t stats;

        if (inlet->queue) {
            capi_queue_stats(inlet->queue, &stats);
            inlet->mark = stats.head;
        }
    }
}

static bool is_chase_over(const capi_sender_t *sender)
{
    int i;

    for (i = 0; i < sender->inlets->nelts; i++) {
        const capi_inlet_t *inlet = &APR_ARRAY_IDX(sender->inlets, i, capi_inlet_t);
        capi_queue_stats_t stats;

        if (inlet->queue) {
            capi_queue_stats(inlet->queue, &stats);
            if (stats.durable < inlet->mark) {
                return false;
            }
        }
    }
    return true;
}

bool capi_intake_turn(capi_sender_t *sender)
{
    bool has_taken = false;
    int i;

    if (sender->store_retry_at > capi_ticks()) {
        return false;
    }
    if (sender->has_caught_up) {
        begin_chase(sender);
    }
    for (i = 0; i < sender->inlets->nelts; i++) {
        capi_inlet_t *inlet = &APR_ARRAY_IDX(sender->inlets, i, capi_inlet_t);

        if (inlet->queue && !is_finished(inlet) && is_ripe(sender, inlet)) {
            has_taken |= drain_inlet(sender, inlet);
        }
    }
    sender->has_caught_up = is_chase_over(sender);
    return has_taken;
}

bool capi_intake_is_empty(const capi_sender_t *sender)
{
    int i;

    for (i = 0; i < sender->inlets->nelts; i++) {
        const capi_inlet_t *inlet = &APR_ARRAY_IDX(sender->inlets, i, capi_inlet_t);

        if (inlet->queue && !is_empty(inlet)) {
            return false;
        }
    }
    return true;
}

apr_time_t capi_intake_next(capi_sender_t *sender)
{
    apr_time_t next = CAPI_NEVER;
    apr_time_t now = capi_ticks();
    int i;

    if (sender->store_retry_at > now) {
        return sender->store_retry_at;
    }
    for (i = 0; i < sender->inlets->nelts; i++) {
        capi_inlet_t *inlet = &APR_ARRAY_IDX(sender->inlets, i, capi_inlet_t);
        apr_time_t at = CAPI_NEVER;

        if (!inlet->queue) {
            continue;
        }
        if (!is_empty(inlet)) {
            at = inlet->taken_at + GATHER;
        }
        else if (!inlet->is_current) {
            at = now + OLD_QUEUE_LOOK;
        }
        else if (!capi_queue_may_sleep(inlet->queue)) {
            at = now;
        }
        next = at < next ? at : next;
    }
    return next;
}
