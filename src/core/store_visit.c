/* Visits: what the store knows of a shopper while the context lives, the keys that name it, and
 * whether it may know it. */

#include "store_int.h"

#include "event.h"

#include <apr_strings.h>

#include <string.h>

/* seen_at is as fine as retention needs it. */
#define SEEN_STEP apr_time_from_sec(3600)

/* More signals than anybody configures are not remembered. */
#define SIGNALS_MAX 256

/* --- the sessions seen last --- */

static capi_cached_visit_t *cache_place(capi_store_t *store, const char *key)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;

    if (!store->cache) {
        store->cache = apr_pcalloc(store->pool, CAPI_VISIT_CACHE * sizeof(*store->cache));
    }
    return &store->cache[apr_hashfunc_default(key, &len) % CAPI_VISIT_CACHE];
}

static uint64_t add_print(uint64_t print, const char *text)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;
    uint64_t part = text ? apr_hashfunc_default(text, &len) + 1u : 0;

    return (print ^ part) * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)len;
}

static uint64_t print_of(const capi_envelope_t *envelope)
{
    uint64_t print = (uint64_t)envelope->consent.state;

    print = add_print(print, envelope->consent.signal);
    print = add_print(print, envelope->visit_key);
    print = add_print(print, envelope->click_id);
    print = add_print(print, envelope->address);
    print = add_print(print, envelope->agent);
    return add_print(print, envelope->user_data);
}

static bool is_cached(capi_visit_row_t *visit, capi_store_t *store, const capi_envelope_t *envelope,
                      apr_time_t now)
{
    const capi_cached_visit_t *place;

    if (!envelope->session_key || envelope->bind_count > 0) {
        return false;
    }
    place = cache_place(store, envelope->session_key);
    if (place->epoch != store->cache_epoch || strcmp(place->key, envelope->session_key) != 0 ||
        place->said != print_of(envelope) || now - place->seen_at >= SEEN_STEP) {
        return false;
    }
    visit->id = place->visit;
    visit->consent = place->consent;
    visit->signal = place->signal;
    return true;
}

static const char *intern(capi_store_t *store, const char *signal)
{
    const char *known = apr_hash_get(store->signals, signal, APR_HASH_KEY_STRING);

    if (!known && apr_hash_count(store->signals) < SIGNALS_MAX) {
        known = apr_pstrdup(store->pool, signal);
        apr_hash_set(store->signals, known, APR_HASH_KEY_STRING, known);
    }
    return known;
}

static void remember(capi_store_t *store, const capi_visit_row_t *visit,
                     const capi_envelope_t *envelope)
{
    const char *key = envelope->session_key;
    const char *signal = visit->signal ? intern(store, visit->signal) : NULL;
    capi_cached_visit_t *place;

    if (!key || !visit->id || strlen(key) >= sizeof(place->key) || (visit->signal && !signal)) {
        return;
    }
    place = cache_place(store, key);
    apr_cpystrn(place->key, key, sizeof(place->key));
    place->said = print_of(envelope);
    place->visit = visit->id;
    place->seen_at = visit->seen_at;
    place->signal = signal;
    place->consent = visit->consent;
    place->epoch = store->cache_epoch;
}

/* --- rows --- */

apr_status_t capi_visit_of_key(capi_visit_row_t *visit, capi_store_t *store, const char *key,
                               apr_pool_t *p)
{
    const void *values[] = {key};
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_VISIT_OF_KEY, values, p);

    memset(visit, 0, sizeof(*visit));
    if (rv != APR_SUCCESS || !capi_rows_next(&rows)) {
        return rv;
    }
    visit->id = capi_rows_int(&rows, 0);
    visit->seen_at = capi_rows_int(&rows, 1);
    visit->consent = (capi_consent_state_t)capi_rows_int(&rows, 2);
    visit->signal = capi_rows_text(&rows, 3);
    visit->decided_at = capi_rows_int(&rows, 4);
    visit->keys = (capi_keys_t)capi_rows_int(&rows, 5);
    visit->click_id = capi_rows_text(&rows, 6);
    visit->address = capi_rows_text(&rows, 7);
    visit->agent = capi_rows_text(&rows, 8);
    visit->user_data = capi_rows_text(&rows, 9);
    visit->by_server = capi_rows_int(&rows, 10) != 0;
    visit->on_denied = capi_rows_text(&rows, 11);
    return rv;
}

static void find_keys(capi_visit_row_t *visit)
{
    json_t *user_data = visit->user_data ? json_loads(visit->user_data, 0, NULL) : NULL;

    visit->keys = capi_user_data_keys(user_data);
    visit->keys |= visit->click_id ? CAPI_KEY_BIT(CAPI_KEY_CLICK_ID) : 0;
    visit->keys |= visit->address ? CAPI_KEY_BIT(CAPI_KEY_CLIENT_IP_ADDRESS) : 0;
    visit->keys |= visit->agent ? CAPI_KEY_BIT(CAPI_KEY_CLIENT_USER_AGENT) : 0;
    json_decref(user_data);
}

static apr_status_t write_visit(capi_store_t *store, capi_visit_row_t *visit)
{
    apr_int64_t consent = visit->consent;
    apr_int64_t keys;
    const void *values[] = {
        &visit->seen_at, &consent,       visit->signal, &visit->decided_at, visit->on_denied, &keys,
        visit->click_id, visit->address, visit->agent,  visit->user_data,   &visit->id};

    find_keys(visit);
    keys = visit->keys;
    return capi_db_run(NULL, store, CAPI_SQL_VISIT_CHANGE, values);
}

static apr_status_t add_key(capi_store_t *store, const char *key, apr_int64_t visit, bool by_server)
{
    apr_int64_t server = by_server;
    const void *values[] = {key, &visit, &server};

    return capi_db_run(NULL, store, CAPI_SQL_KEY_ADD, values);
}

/* Without a grant the decision is all that is kept. */
static apr_status_t make_visit(capi_visit_row_t *visit, capi_store_t *store,
                               const capi_envelope_t *envelope, apr_time_t now)
{
    bool may_know = envelope->consent.state == CAPI_CONSENT_GRANTED;
    apr_int64_t consent = envelope->consent.state;
    apr_int64_t keys;

    *visit = (capi_visit_row_t){.id = ++store->last_visit,
                                .seen_at = now,
                                .consent = envelope->consent.state,
                                .signal = envelope->consent.signal,
                                .decided_at = envelope->received_at,
                                .on_denied = capi_rule_kept(envelope->settings.on_denied),
                                .click_id = may_know ? envelope->click_id : NULL,
                                .address = may_know ? envelope->address : NULL,
                                .agent = may_know ? envelope->agent : NULL,
                                .user_data = may_know ? envelope->user_data : NULL};
    find_keys(visit);
    keys = visit->keys;
    const void *values[] = {&visit->id,         &visit->seen_at,  &consent,        visit->signal,
                            &visit->decided_at, visit->on_denied, &keys,           visit->click_id,
                            visit->address,     visit->agent,     visit->user_data};

    return capi_db_run(NULL, store, CAPI_SQL_VISIT_ADD, values);
}

/* --- what an envelope changes --- */

/* In each text, what replaces what: the newer value, or only an absent one. */
static bool change_text(const char **known, const char *said, bool only_missing)
{
    if (!said || !*said || (*known && (only_missing || strcmp(*known, said) == 0))) {
        return false;
    }
    *known = said;
    return true;
}

static bool change_user_data(capi_visit_row_t *visit, const char *said, bool only_missing,
                             apr_pool_t *p)
{
    json_t *known;
    json_t *added;
    char *text = NULL;

    if (!said || (visit->user_data && strcmp(visit->user_data, said) == 0)) {
        return false;
    }
    known = visit->user_data ? json_loads(visit->user_data, 0, NULL) : json_object();
    added = json_loads(said, 0, NULL);
    if (json_is_object(known) && json_is_object(added)) {
        int failed = only_missing ? json_object_update_missing(known, added)
                                  : json_object_update(known, added);

        text = failed ? NULL : json_dumps(known, JSON_COMPACT);
    }
    json_decref(known);
    json_decref(added);
    if (!text || (visit->user_data && strcmp(visit->user_data, text) == 0)) {
        free(text);
        return false;
    }
    visit->user_data = apr_pstrdup(p, text);
    free(text);
    return true;
}

static bool learn(capi_visit_row_t *visit, const capi_envelope_t *envelope, bool only_missing,
                  apr_pool_t *p)
{
    bool is_new = change_text(&visit->click_id, envelope->click_id, only_missing);

    is_new |= change_text(&visit->address, envelope->address, only_missing);
    is_new |= change_text(&visit->agent, envelope->agent, only_missing);
    is_new |= change_user_data(visit, envelope->user_data, only_missing, p);
    return is_new;
}

static apr_status_t deny(capi_store_t *store, capi_visit_row_t *visit,
                         const capi_envelope_t *envelope, apr_time_t now)
{
    apr_status_t rv;

    visit->consent = CAPI_CONSENT_DENIED;
    visit->signal = envelope->consent.signal;
    visit->on_denied = capi_rule_kept(envelope->settings.on_denied);
    visit->decided_at = envelope->received_at;
    visit->seen_at = now;
    visit->click_id = visit->address = visit->agent = visit->user_data = NULL;
    store->cache_epoch++;
    rv = write_visit(store, visit);
    return rv == APR_SUCCESS ? capi_deny_waiting(store, visit, now) : rv;
}

/* An answer is as old as the request that brought it: a slow request does not undo a later one. A
 * place's default is no answer and never takes the place of one. */
static bool is_overtaken(const capi_visit_row_t *visit, const capi_envelope_t *envelope)
{
    bool was_answered = capi_is_answered(visit->consent, visit->signal);
    bool is_answer = capi_is_answered(envelope->consent.state, envelope->consent.signal);

    return was_answered && (!is_answer || envelope->received_at < visit->decided_at);
}

static apr_status_t grant(capi_store_t *store, capi_visit_row_t *visit,
                          const capi_envelope_t *envelope, apr_time_t now, bool only_missing)
{
    bool is_answer = capi_is_answered(envelope->consent.state, envelope->consent.signal);
    bool is_new = false;

    if (visit->consent != CAPI_CONSENT_GRANTED && (only_missing || is_overtaken(visit, envelope))) {
        return APR_SUCCESS;
    }
    if (visit->consent != CAPI_CONSENT_GRANTED ||
        (is_answer && !capi_is_answered(visit->consent, visit->signal))) {
        visit->consent = CAPI_CONSENT_GRANTED;
        visit->signal = envelope->consent.signal;
        visit->on_denied = capi_rule_kept(envelope->settings.on_denied);
        store->cache_epoch++;
        is_new = true;
    }
    if (is_answer && envelope->received_at > visit->decided_at) {
        visit->decided_at = envelope->received_at;
    }
    is_new |= learn(visit, envelope, only_missing, store->scratch);
    if (!is_new && now - visit->seen_at < SEEN_STEP) {
        return APR_SUCCESS;
    }
    visit->seen_at = now;
    return write_visit(store, visit);
}

/* What the envelope says of a visit that is there. `only_missing`: it is another visit's request,
 * which came to this one by a key. */
static apr_status_t update_visit(capi_store_t *store, capi_visit_row_t *visit,
                                 const capi_envelope_t *envelope, apr_time_t now, bool only_missing)
{
    const capi_consent_t *consent = &envelope->consent;

    /* Decided by a clock that has been set back since: any answer is newer. */
    if (visit->decided_at > now) {
        visit->decided_at = 0;
    }
    if (consent->state == CAPI_CONSENT_GRANTED) {
        return grant(store, visit, envelope, now, only_missing);
    }
    if (capi_is_refused(consent->state, consent->signal) && !is_overtaken(visit, envelope) &&
        !capi_is_refused(visit->consent, visit->signal)) {
        return deny(store, visit, envelope, now);
    }
    if (now - visit->seen_at < SEEN_STEP) {
        return APR_SUCCESS;
    }
    visit->seen_at = now;
    return write_visit(store, visit);
}

/* --- binds --- */

static apr_status_t release_waiting(capi_store_t *store, const char *key,
                                    const capi_visit_row_t *visit, apr_time_t now)
{
    const apr_int64_t never = CAPI_DUE_REJECTED;
    const void *values[] = {&visit->id, &now, &now, key, &never};
    int changed = 0;
    apr_status_t rv = capi_db_run(&changed, store, CAPI_SQL_OUTBOX_BOUND, values);

    if (rv != APR_SUCCESS || changed == 0) {
        return rv;
    }
    for (int i = 0; i < store->dests->nelts; i++) {
        capi_dest_lower(APR_ARRAY_IDX(store->dests, i, capi_dest_t *), now, 0);
    }
    if (capi_is_refused(visit->consent, visit->signal)) {
        return capi_deny_waiting(store, visit, now);
    }
    return rv;
}

static apr_status_t move_key(capi_store_t *store, const char *key, const capi_visit_row_t *visit,
                             apr_time_t now)
{
    const void *values[] = {&visit->id, key};
    apr_status_t rv = capi_db_run(NULL, store, CAPI_SQL_KEY_MOVE, values);

    return rv == APR_SUCCESS ? release_waiting(store, key, visit, now) : rv;
}

/* The key names a visit already. */
static apr_status_t bind_again(capi_store_t *store, capi_visit_row_t *visit,
                               capi_visit_row_t *bound, const capi_envelope_t *envelope,
                               const capi_envelope_bind_t *bind, apr_time_t now)
{
    bool is_weaker = bound->by_server && !bind->by_server;
    bool is_stronger = !bound->by_server && bind->by_server;
    apr_status_t rv;

    if (is_stronger && visit->id) {
        return move_key(store, bind->key, visit, now);
    }
    if (is_weaker || bound->id == visit->id) {
        return APR_SUCCESS;
    }
    rv = update_visit(store, bound, envelope, now, true);
    if (!visit->id) {
        /* A request that is no visit of its own belongs to the one that its key names. */
        *visit = *bound;
    }
    return rv;
}

static apr_status_t take_bind(capi_store_t *store, capi_visit_row_t *visit,
                              const capi_envelope_t *envelope, const capi_envelope_bind_t *bind,
                              apr_time_t now)
{
    capi_visit_row_t bound;
    apr_status_t rv = capi_visit_of_key(&bound, store, bind->key, store->scratch);

    if (rv != APR_SUCCESS || bound.id) {
        return rv == APR_SUCCESS ? bind_again(store, visit, &bound, envelope, bind, now) : rv;
    }
    if (!visit->id) {
        rv = make_visit(visit, store, envelope, now);
    }
    if (rv == APR_SUCCESS) {
        rv = add_key(store, bind->key, visit->id, bind->by_server);
    }
    return rv == APR_SUCCESS ? release_waiting(store, bind->key, visit, now) : rv;
}

/* --- the visit of an envelope --- */

/* Both keys lead to one visit: whichever is known names it, and the other is learnt. */
static apr_status_t find_or_make(capi_visit_row_t *visit, capi_store_t *store,
                                 const capi_envelope_t *envelope, apr_time_t now)
{
    const char *keys[] = {envelope->session_key, envelope->visit_key};
    bool is_known[2] = {false, false};
    apr_status_t rv = APR_SUCCESS;

    memset(visit, 0, sizeof(*visit));
    for (int i = 0; i < 2 && rv == APR_SUCCESS && !visit->id; i++) {
        if (keys[i]) {
            rv = capi_visit_of_key(visit, store, keys[i], store->scratch);
            is_known[i] = visit->id != 0;
        }
    }
    if (rv != APR_SUCCESS || (!keys[0] && !keys[1])) {
        return rv;
    }
    rv = visit->id ? update_visit(store, visit, envelope, now, false)
                   : make_visit(visit, store, envelope, now);
    for (int i = 0; i < 2 && rv == APR_SUCCESS; i++) {
        if (keys[i] && !is_known[i]) {
            rv = add_key(store, keys[i], visit->id, true);
        }
    }
    return rv;
}

apr_status_t capi_visit_take(capi_visit_row_t *visit, capi_store_t *store,
                             const capi_envelope_t *envelope, apr_time_t now, capi_intake_t *tally)
{
    apr_status_t rv;

    memset(visit, 0, sizeof(*visit));
    if (is_cached(visit, store, envelope, now)) {
        return APR_SUCCESS;
    }
    rv = find_or_make(visit, store, envelope, now);
    for (int i = 0; i < envelope->bind_count && rv == APR_SUCCESS; i++) {
        rv = take_bind(store, visit, envelope, &envelope->binds[i], now);
        tally->binds++;
    }
    if (rv == APR_SUCCESS) {
        remember(store, visit, envelope);
    }
    return rv;
}
