/* Hourly counters: added up in memory, written once a transaction. */

#include "store_int.h"

#include <apr_strings.h>

#include <string.h>

static const char *const outcome_names[CAPI_OUTCOME_COUNT] = {
    "received", "delivered", "rejected",    "suppressed", "duplicate",
    "merged",   "expired",   "unconfirmed", "retried"};

/* An hour is where Pinterest begins to call an event offline. */
const int capi_latency_bounds[CAPI_LATENCY_BUCKETS - 1] = {1,   2,   5,    10,    30,   60,
                                                           300, 900, 3600, 21600, 86400};

typedef struct capi_consent_tally_t {
    capi_consent_state_t state;
    const char *signal;
    capi_action_t action;
    apr_int64_t n;
    struct capi_consent_tally_t *next;
} consent_tally_t;

typedef struct capi_tally_t {
    apr_int64_t hour;
    apr_int64_t destination;
    const char *sent_as;
    apr_int64_t outcomes[CAPI_OUTCOME_COUNT];
    apr_int64_t keys[CAPI_KEY_COUNT];
    apr_int64_t latency[CAPI_LATENCY_BUCKETS];
    apr_int64_t latency_sec;
    apr_int64_t contents_known;
    apr_int64_t contents_unknown;
    consent_tally_t *consents;
} tally_t;

static bool is_tally_of(const tally_t *tally, apr_int64_t destination, const char *sent_as,
                        apr_int64_t hour)
{
    return tally->hour == hour && tally->destination == destination &&
           strcmp(tally->sent_as, sent_as) == 0;
}

static tally_t *find_tally(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                           apr_time_t now)
{
    apr_int64_t hour = now / apr_time_from_sec(3600);
    tally_t *tally = store->last_tally;
    const char *key;

    if (tally && is_tally_of(tally, destination, sent_as, hour)) {
        return tally;
    }
    if (!store->tallies) {
        store->tallies = apr_hash_make(store->txn);
    }
    key = apr_psprintf(store->scratch, "%" APR_INT64_T_FMT " %" APR_INT64_T_FMT " %s", hour,
                       destination, sent_as);
    tally = apr_hash_get(store->tallies, key, APR_HASH_KEY_STRING);
    if (!tally) {
        tally = apr_pcalloc(store->txn, sizeof(*tally));
        tally->hour = hour;
        tally->destination = destination;
        tally->sent_as = apr_pstrdup(store->txn, sent_as);
        apr_hash_set(store->tallies, apr_pstrdup(store->txn, key), APR_HASH_KEY_STRING, tally);
    }
    store->last_tally = tally;
    return tally;
}

void capi_count(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                capi_outcome_t outcome, apr_time_t now)
{
    find_tally(store, destination, sent_as, now)->outcomes[outcome]++;
}

void capi_count_keys(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                     capi_keys_t keys, apr_time_t now)
{
    tally_t *tally = find_tally(store, destination, sent_as, now);

    for (int key = 0; key < CAPI_KEY_COUNT; key++) {
        if (keys & CAPI_KEY_BIT(key)) {
            tally->keys[key]++;
        }
    }
}

/* A clock that is behind makes no negative times. */
void capi_count_latency(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                        apr_int64_t event_time, apr_time_t now)
{
    tally_t *tally = find_tally(store, destination, sent_as, now);
    apr_int64_t took = apr_time_sec(now) - event_time;
    int bucket = 0;

    took = took > 0 ? took : 0;
    while (bucket < CAPI_LATENCY_BUCKETS - 1 && took > capi_latency_bounds[bucket]) {
        bucket++;
    }
    tally->latency[bucket]++;
    tally->latency_sec += took;
}

void capi_store_count_contents(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                               int known, int unknown, apr_time_t now)
{
    tally_t *tally = find_tally(store, destination, sent_as, now);

    tally->contents_known += known;
    tally->contents_unknown += unknown;
}

apr_int64_t capi_counter_day(apr_int64_t hour)
{
    return -(hour / 24);
}

const char *capi_latency_name(int bucket, apr_pool_t *p)
{
    return bucket == CAPI_LATENCY_BUCKETS - 1
               ? "latency:+Inf"
               : apr_psprintf(p, "latency:%d", capi_latency_bounds[bucket]);
}

void capi_count_consent(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                        const capi_ruling_t *ruling, apr_time_t now)
{
    tally_t *tally = find_tally(store, destination, sent_as, now);
    const char *signal = ruling->signal ? ruling->signal : "none";
    consent_tally_t *consent;

    for (consent = tally->consents; consent; consent = consent->next) {
        if (consent->state == ruling->state && consent->action == ruling->action &&
            strcmp(consent->signal, signal) == 0) {
            consent->n++;
            return;
        }
    }
    consent = apr_palloc(store->txn, sizeof(*consent));
    consent->state = ruling->state;
    consent->action = ruling->action;
    consent->signal = apr_pstrdup(store->txn, signal);
    consent->n = 1;
    consent->next = tally->consents;
    tally->consents = consent;
}

static apr_status_t add_to(capi_store_t *store, const tally_t *tally, apr_int64_t hour,
                           const char *what, apr_int64_t n)
{
    const void *values[] = {&hour, &tally->destination, tally->sent_as, what, &n};

    return n ? capi_db_run(NULL, store, CAPI_SQL_COUNTER_ADD, values) : APR_SUCCESS;
}

static apr_status_t write_hour(capi_store_t *store, const tally_t *tally, const char *what,
                               apr_int64_t n)
{
    return add_to(store, tally, tally->hour, what, n);
}

/* What the page sums up over weeks is added to the day's sum as well. */
static apr_status_t write_day(capi_store_t *store, const tally_t *tally, const char *what,
                              apr_int64_t n)
{
    apr_status_t rv = write_hour(store, tally, what, n);

    return rv == APR_SUCCESS ? add_to(store, tally, capi_counter_day(tally->hour), what, n) : rv;
}

/* What monitoring reads as a counter is added to the sum over all hours. */
static apr_status_t write_total(capi_store_t *store, const tally_t *tally, const char *what,
                                apr_int64_t n)
{
    return add_to(store, tally, 0, what, n);
}

static apr_status_t write_outcome(capi_store_t *store, const tally_t *tally, const char *what,
                                  apr_int64_t n)
{
    apr_status_t rv = write_day(store, tally, what, n);

    return rv == APR_SUCCESS ? write_total(store, tally, what, n) : rv;
}

static apr_status_t write_both(capi_store_t *store, const tally_t *tally, const char *what,
                               apr_int64_t n)
{
    apr_status_t rv = write_hour(store, tally, what, n);

    return rv == APR_SUCCESS ? write_total(store, tally, what, n) : rv;
}

static apr_status_t write_latency(capi_store_t *store, const tally_t *tally)
{
    apr_status_t rv = write_both(store, tally, "latency_seconds", tally->latency_sec);

    for (int i = 0; i < CAPI_LATENCY_BUCKETS && rv == APR_SUCCESS; i++) {
        if (tally->latency[i]) {
            rv = write_both(store, tally, capi_latency_name(i, store->txn), tally->latency[i]);
        }
    }
    return rv;
}

static apr_status_t write_tally(capi_store_t *store, const tally_t *tally)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < CAPI_OUTCOME_COUNT && rv == APR_SUCCESS; i++) {
        rv = write_outcome(store, tally, outcome_names[i], tally->outcomes[i]);
    }
    if (rv == APR_SUCCESS) {
        rv = write_latency(store, tally);
    }
    if (rv == APR_SUCCESS) {
        rv = write_day(store, tally, "content:known", tally->contents_known);
    }
    if (rv == APR_SUCCESS) {
        rv = write_day(store, tally, "content:unknown", tally->contents_unknown);
    }
    for (int key = 0; key < CAPI_KEY_COUNT && rv == APR_SUCCESS; key++) {
        if (tally->keys[key]) {
            rv = write_day(store, tally,
                           apr_pstrcat(store->txn, "key:", capi_key_name((capi_key_t)key), NULL),
                           tally->keys[key]);
        }
    }
    for (consent_tally_t *c = tally->consents; c && rv == APR_SUCCESS; c = c->next) {
        rv = write_hour(store, tally,
                        apr_pstrcat(store->txn, "consent:", capi_consent_name(c->state), ":",
                                    c->signal, ":", capi_action_name(c->action), NULL),
                        c->n);
    }
    return rv;
}

static apr_status_t write_waiting(capi_store_t *store, capi_dest_t *dest)
{
    const void *values[] = {&dest->waiting_delta, &dest->row.id};
    apr_status_t rv = APR_SUCCESS;

    if (dest->waiting_delta) {
        rv = capi_db_run(NULL, store, CAPI_SQL_DESTINATION_WAITING, values);
        dest->waiting_delta = 0;
    }
    return rv;
}

apr_status_t capi_count_write(capi_store_t *store)
{
    apr_status_t rv = APR_SUCCESS;

    if (store->tallies) {
        for (apr_hash_index_t *at = apr_hash_first(store->txn, store->tallies);
             at && rv == APR_SUCCESS; at = apr_hash_next(at)) {
            rv = write_tally(store, apr_hash_this_val(at));
        }
    }
    for (int i = 0; i < store->dests->nelts && rv == APR_SUCCESS; i++) {
        rv = write_waiting(store, APR_ARRAY_IDX(store->dests, i, capi_dest_t *));
    }
    return rv;
}
