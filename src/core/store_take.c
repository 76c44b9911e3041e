/* Intake of events: what an envelope's events become, new, merged with one that waits, sent again,
 * or nothing but a duplicate. Visits and binds come first, in store_visit.c. */

#include "store_int.h"

#include "event.h"
#include "ident.h"

#include <string.h>

/* One event on its way in. */
typedef struct {
    capi_store_t *store;
    capi_dest_t *dest;
    const capi_envelope_t *envelope;
    const capi_envelope_event_t *event;
    apr_int64_t visit; /* that completes it, 0: none known */
    capi_consent_state_t consent;
    const char *signal;
    const char *on_denied; /* NULL: suppress */
    capi_keys_t keys;
    int flags;
    apr_time_t ready_at;
    apr_time_t due;
    apr_time_t now;
    capi_intake_t *tally;
} incoming_t;

/* The record that has this event's place already. */
typedef struct {
    apr_int64_t id;
    capi_state_t state;
    int source;
    capi_consent_state_t consent;
    const char *signal;
    capi_keys_t keys;      /* of the record: with what the visit added */
    capi_keys_t said_keys; /* of what the sources said */
    apr_time_t due;
    apr_time_t ready_at;
    int flags;
    int payload_source;
    apr_int64_t visit;
    const char *wants_key;
    const char *on_denied;
} existing_t;

static apr_time_t later(apr_time_t a, apr_time_t b)
{
    return a > b ? a : b;
}

static void count(const incoming_t *in, capi_outcome_t outcome)
{
    capi_count(in->store, in->dest->row.id, in->event->sent_as, outcome, in->now);
}

static void count_withheld(const incoming_t *in)
{
    const capi_ruling_t ruling = {
        .state = in->consent, .signal = in->signal, .action = CAPI_ACTION_SUPPRESS};

    in->tally->suppressed++;
    count(in, CAPI_OUTCOME_SUPPRESSED);
    capi_count_consent(in->store, in->dest->row.id, in->event->sent_as, &ruling, in->now);
}

/* --- what it is --- */

static capi_keys_t keys_of(const capi_envelope_event_t *event)
{
    json_t *body;
    capi_keys_t keys = event->keys;

    if (!keys) {
        body = json_loadb(event->json, event->json_len, 0, NULL);
        keys = body ? capi_event_keys(body) : 0;
        json_decref(body);
    }
    return keys;
}

/* Whose consent counts: the event's own word, its context's, a denial of the request itself, what the
 * visit answered, the place's default. */
static void decide(incoming_t *in, const capi_visit_row_t *own_visit,
                   const capi_visit_row_t *context)
{
    const capi_envelope_event_t *event = in->event;

    in->consent = in->envelope->consent.state;
    in->signal = in->envelope->consent.signal;
    in->on_denied = event->is_detached && context->id
                        ? context->on_denied
                        : capi_rule_kept(in->envelope->settings.on_denied);
    if (event->consent != CAPI_CONSENT_UNKNOWN) {
        in->consent = event->consent;
        in->signal = event->source == CAPI_SOURCE_BACKEND ? "backend" : "header";
        in->flags |= CAPI_ROW_OWN_WORD;
    }
    else if (event->is_detached && context->id) {
        in->consent = context->consent;
        in->signal = context->signal;
    }
    else if (event->is_detached && event->context) {
        in->flags |= CAPI_ROW_DETACHED;
    }
    else if (!event->is_detached && own_visit->id && !capi_is_refused(in->consent, in->signal) &&
             capi_is_answered(own_visit->consent, own_visit->signal)) {
        in->consent = own_visit->consent;
        in->signal = own_visit->signal;
    }
}

static void find_due(incoming_t *in)
{
    const capi_envelope_t *envelope = in->envelope;
    apr_time_t window = apr_time_from_sec(envelope->settings.merge_window_sec);

    in->ready_at = in->now;
    if (in->event->is_named) {
        in->ready_at = later(in->now, envelope->received_at + window);
    }
    in->due = in->ready_at;
    if (in->event->is_claim) {
        in->flags |= CAPI_ROW_CLAIM;
        in->due = later(in->now, envelope->received_at + CAPI_CLAIM_WAIT);
    }
    else if (in->event->context && !in->visit) {
        in->due = later(in->ready_at, envelope->received_at + CAPI_CONTEXT_WAIT);
    }
}

static apr_status_t resolve(incoming_t *in, const capi_visit_row_t *own_visit)
{
    const capi_envelope_event_t *event = in->event;
    capi_visit_row_t context = {0};
    apr_status_t rv = APR_SUCCESS;

    if (event->context) {
        rv = capi_visit_of_key(&context, in->store, event->context, in->store->scratch);
        in->visit = context.id;
    }
    else if (!event->is_detached) {
        in->visit = own_visit->id;
    }
    in->keys = keys_of(event);
    decide(in, own_visit, &context);
    find_due(in);
    return rv;
}

/* Granted, or not decided yet. */
static bool may_be_granted(const incoming_t *in)
{
    return in->consent == CAPI_CONSENT_GRANTED || (in->flags & CAPI_ROW_DETACHED);
}

/* Something of it may go, now or when it is decided. */
static bool may_wait(const incoming_t *in)
{
    return may_be_granted(in) || in->on_denied;
}

/* --- rows --- */

static apr_status_t add_record(bool *is_added, const incoming_t *in, apr_int64_t id)
{
    const capi_envelope_event_t *event = in->event;
    bool waits = may_wait(in);
    apr_int64_t source = event->source;
    apr_int64_t state = waits ? CAPI_STATE_QUEUED : CAPI_STATE_SUPPRESSED;
    apr_int64_t consent = in->consent;
    apr_int64_t action = waits ? CAPI_ACTION_SEND : CAPI_ACTION_SUPPRESS;
    apr_int64_t keys = waits ? in->keys : 0;
    apr_int64_t is_named = event->is_named;
    int changed = 0;
    const void *values[] = {&id,
                            &in->dest->row.id,
                            event->sent_as,
                            event->event_id,
                            event->name,
                            &event->event_time,
                            &in->envelope->received_at,
                            waits ? NULL : &in->now,
                            &source,
                            &state,
                            &consent,
                            in->signal,
                            in->on_denied,
                            &action,
                            &keys,
                            &is_named,
                            event->warning};
    apr_status_t rv = capi_db_run(&changed, in->store, CAPI_SQL_EVENT_ADD, values);

    *is_added = changed > 0;
    return rv;
}

static apr_status_t add_waiting(const incoming_t *in, apr_int64_t id)
{
    const capi_envelope_event_t *event = in->event;
    apr_int64_t expires_at = event->event_time + in->envelope->settings.max_age_sec;
    apr_int64_t flags = in->flags;
    apr_int64_t source = event->source;
    apr_int64_t keys = in->keys;
    const void *values[] = {&id,
                            &in->dest->row.id,
                            &in->due,
                            &in->ready_at,
                            &expires_at,
                            &flags,
                            &source,
                            &keys,
                            in->visit ? &in->visit : NULL,
                            event->context,
                            in->on_denied,
                            event->json};
    apr_status_t rv = capi_db_run(NULL, in->store, CAPI_SQL_OUTBOX_ADD, values);

    if (rv == APR_SUCCESS) {
        in->dest->waiting_delta++;
        capi_dest_lower(in->dest, in->due, id);
    }
    return rv;
}

static apr_status_t find_existing(existing_t *row, const incoming_t *in)
{
    const void *values[] = {&in->dest->row.id, in->event->sent_as, in->event->event_id};
    capi_rows_t rows;
    apr_status_t rv =
        capi_db_select(&rows, in->store, CAPI_SQL_EVENT_FIND, values, in->store->scratch);

    memset(row, 0, sizeof(*row));
    if (rv != APR_SUCCESS || !capi_rows_next(&rows)) {
        return rv == APR_SUCCESS ? capi_db_fail(in->store, "an event was there and is not") : rv;
    }
    row->id = capi_rows_int(&rows, 0);
    row->state = (capi_state_t)capi_rows_int(&rows, 1);
    row->source = (int)capi_rows_int(&rows, 2);
    row->consent = (capi_consent_state_t)capi_rows_int(&rows, 3);
    row->signal = capi_rows_text(&rows, 4);
    row->keys = (capi_keys_t)capi_rows_int(&rows, 5);
    row->due = capi_rows_int(&rows, 6);
    row->ready_at = capi_rows_int(&rows, 7);
    row->flags = (int)capi_rows_int(&rows, 8);
    row->payload_source = (int)capi_rows_int(&rows, 9);
    row->said_keys = (capi_keys_t)capi_rows_int(&rows, 10);
    row->visit = capi_rows_int(&rows, 11);
    row->wants_key = capi_rows_text(&rows, 12);
    row->on_denied = capi_rows_text(&rows, 13);
    return rv;
}

/* --- the same event again --- */

static apr_status_t count_duplicate(const incoming_t *in)
{
    in->tally->duplicates++;
    count(in, CAPI_OUTCOME_DUPLICATE);
    return APR_SUCCESS;
}

/* Within one source the first word stands, later ones add what it left open. */
static apr_status_t merge_layer(const char **text, const incoming_t *in, const char *known)
{
    json_t *first = json_loads(known, 0, NULL);
    json_t *second = json_loadb(in->event->json, in->event->json_len, 0, NULL);
    apr_size_t len = 0;

    *text = known;
    if (json_is_object(first) && json_is_object(second)) {
        capi_event_merge(first, second);
        *text = capi_event_text(&len, first, in->store->scratch);
    }
    json_decref(first);
    json_decref(second);
    return APR_SUCCESS;
}

static apr_status_t add_to_payload(const incoming_t *in, const existing_t *row)
{
    const void *key[] = {&row->id};
    const char *text;
    capi_rows_t rows;
    apr_status_t rv =
        capi_db_select(&rows, in->store, CAPI_SQL_OUTBOX_PAYLOAD, key, in->store->scratch);

    if (rv != APR_SUCCESS || !capi_rows_next(&rows)) {
        return rv;
    }
    rv = merge_layer(&text, in, capi_rows_text(&rows, 0));
    if (rv == APR_SUCCESS) {
        const void *values[] = {text, &row->id};

        rv = capi_db_run(NULL, in->store, CAPI_SQL_OUTBOX_PAYLOAD_SET, values);
    }
    return rv;
}

static apr_status_t add_to_layers(const incoming_t *in, const existing_t *row)
{
    apr_int64_t source = in->event->source;
    const char *text = in->event->json;
    const void *key[] = {&row->id, &source};
    capi_rows_t rows;
    apr_status_t rv =
        capi_db_select(&rows, in->store, CAPI_SQL_LAYER_FIND, key, in->store->scratch);

    if (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        rv = merge_layer(&text, in, capi_rows_text(&rows, 0));
    }
    if (rv == APR_SUCCESS) {
        const void *values[] = {&row->id, &source, text};

        rv = capi_db_run(NULL, in->store, CAPI_SQL_LAYER_SET, values);
    }
    return rv;
}

/* When and by whom the merged event is completed. The shop's own word confirms a claim, and its
 * consent is the event's: anybody could have made the claim. A request that has its visit ends the
 * wait for a context. */
static void join_waiting(existing_t *row, const incoming_t *in)
{
    bool is_confirmed = (row->flags & CAPI_ROW_CLAIM) && !(in->flags & CAPI_ROW_CLAIM);
    bool is_found = !row->visit && in->visit && row->wants_key && !(row->flags & CAPI_ROW_CLAIM);

    if (is_confirmed) {
        row->ready_at = in->ready_at;
        row->flags = (row->flags & ~CAPI_ROW_CLAIM) | (in->flags & CAPI_ROW_DETACHED);
        row->consent = in->consent;
        row->signal = in->signal;
    }
    if (!row->visit) {
        row->visit = in->visit;
    }
    if (!row->wants_key && !row->visit) {
        row->wants_key = in->event->context;
    }
    if (is_confirmed && row->wants_key && !row->visit) {
        row->due = in->due;
    }
    else if (is_confirmed || is_found) {
        row->due = later(in->now, row->ready_at);
    }
    if ((row->flags & CAPI_ROW_DETACHED) && !(in->flags & CAPI_ROW_DETACHED)) {
        row->flags &= ~CAPI_ROW_DETACHED;
        row->consent = in->consent;
        row->signal = in->signal;
    }
    else if (in->consent == CAPI_CONSENT_GRANTED && !(in->flags & CAPI_ROW_DETACHED) &&
             !capi_is_answered(row->consent, row->signal)) {
        row->consent = in->consent;
        row->signal = in->signal;
    }
}

static apr_status_t write_merged(const incoming_t *in, existing_t *row)
{
    apr_int64_t source = in->event->source;
    apr_int64_t keys = row->keys | in->keys;
    apr_int64_t said_keys = row->said_keys | in->keys;
    apr_int64_t flags;
    apr_int64_t consent;
    apr_status_t rv;

    if (row->source > source) {
        source = row->source;
    }
    join_waiting(row, in);
    flags = row->flags;
    consent = row->consent;
    const void *outbox[] = {
        &row->due,      &row->ready_at, &flags, &said_keys, row->visit ? &row->visit : NULL,
        row->wants_key, &row->id};
    const void *record[] = {&source, &consent, row->signal, &keys, &row->id};

    rv = capi_db_run(NULL, in->store, CAPI_SQL_OUTBOX_MERGED, outbox);
    if (rv == APR_SUCCESS) {
        capi_dest_lower(in->dest, row->due, row->id);
        rv = capi_db_run(NULL, in->store, CAPI_SQL_EVENT_MERGED, record);
    }
    return rv;
}

static apr_status_t merge(const incoming_t *in, existing_t *row)
{
    capi_flight_t *flight = capi_flight_of(in->store, row->id);
    apr_status_t rv;

    if (flight &&
        (flight->source > CAPI_SOURCE_BROWSER || in->event->source <= CAPI_SOURCE_BROWSER)) {
        return count_duplicate(in);
    }
    if (row->payload_source == (int)in->event->source) {
        rv = add_to_payload(in, row);
    }
    else {
        row->flags |= CAPI_ROW_LAYERS;
        rv = add_to_layers(in, row);
    }
    if (rv == APR_SUCCESS) {
        rv = write_merged(in, row);
    }
    if (flight) {
        flight->is_again = true;
    }
    in->tally->merged++;
    count(in, CAPI_OUTCOME_MERGED);
    return rv;
}

/* One source says that consent is denied: that holds for the event, whatever others said. Of two
 * rules the stricter one counts. */
static apr_status_t deny_while_waiting(const incoming_t *in, existing_t *row)
{
    const char *on_denied = in->on_denied ? row->on_denied : NULL;
    const capi_ruling_t ruling = {
        .state = in->consent, .signal = in->signal, .on_denied = on_denied};
    apr_status_t rv;

    if (!on_denied && !capi_flight_of(in->store, row->id)) {
        in->tally->suppressed++;
        return capi_withdraw(in->store, in->dest, row->id, in->event->sent_as, row->flags, &ruling,
                             NULL, in->now);
    }
    rv = capi_note_denial(in->store, row->id, in->signal, on_denied);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    return on_denied ? merge(in, row) : count_duplicate(in);
}

/* A browser that only knows the id is not asked about the shop's event: the shopper's own denial comes
 * with the visit. */
static bool is_strangers(const incoming_t *in, const existing_t *row)
{
    return in->event->source == CAPI_SOURCE_BROWSER && row->source > CAPI_SOURCE_BROWSER &&
           (!in->visit || in->visit != row->visit);
}

static apr_status_t take_while_waiting(const incoming_t *in, existing_t *row)
{
    if (capi_is_refused(in->consent, in->signal) && !(in->flags & CAPI_ROW_DETACHED)) {
        return is_strangers(in, row) ? count_duplicate(in) : deny_while_waiting(in, row);
    }
    return may_wait(in) ? merge(in, row) : count_duplicate(in);
}

/* A settled event that goes out once more under its id: only a browser's word was delivered, or
 * withheld, and this is a stronger one; nobody had answered the consent question; nobody had
 * confirmed it. */
static bool is_worth_another(const incoming_t *in, const existing_t *row)
{
    bool is_stronger =
        row->source == CAPI_SOURCE_BROWSER && in->event->source > CAPI_SOURCE_BROWSER;

    if (!may_wait(in)) {
        return false;
    }
    switch (row->state) {
    case CAPI_STATE_DELIVERED:
        return is_stronger;
    case CAPI_STATE_SUPPRESSED:
        return may_be_granted(in) && (is_stronger || !capi_is_answered(row->consent, row->signal));
    case CAPI_STATE_UNCONFIRMED:
        return !in->event->is_claim;
    default:
        return false;
    }
}

static apr_status_t take_again(const incoming_t *in, const existing_t *row)
{
    apr_int64_t source = in->event->source;
    apr_int64_t consent = in->consent;
    apr_int64_t keys = in->keys;
    const void *range[] = {&row->id, &row->id};
    const void *values[] = {in->event->name, &in->event->event_time, &source, &consent,
                            in->signal,      in->on_denied,          &keys,   in->event->warning,
                            &row->id};
    apr_status_t rv = capi_db_run(NULL, in->store, CAPI_SQL_EVENTS_TRIED, range);

    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, in->store, CAPI_SQL_EVENT_AGAIN, values);
    }
    if (rv == APR_SUCCESS) {
        rv = add_waiting(in, row->id);
    }
    in->tally->added++;
    return rv;
}

static apr_status_t take_known(const incoming_t *in)
{
    existing_t row;
    apr_status_t rv = find_existing(&row, in);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (row.state < CAPI_STATE_SETTLED) {
        return take_while_waiting(in, &row);
    }
    return is_worth_another(in, &row) ? take_again(in, &row) : count_duplicate(in);
}

/* --- one event --- */

static apr_status_t find_used(bool *is_used, const incoming_t *in)
{
    char hash[CAPI_HEX_SHA256 + 1];
    const void *values[] = {hash};
    capi_rows_t rows;
    apr_status_t rv;

    *is_used = false;
    if (!in->store->has_used_ids || !in->event->is_named) {
        return APR_SUCCESS;
    }
    capi_used_id_hash(hash, in->dest->row.id, in->event->sent_as, in->event->event_id);
    rv = capi_db_select(&rows, in->store, CAPI_SQL_USED_ID_FIND, values, in->store->scratch);
    *is_used = rv == APR_SUCCESS && capi_rows_next(&rows);
    return rv;
}

static apr_status_t take_new(const incoming_t *in)
{
    apr_int64_t id = in->store->last_event + 1;
    bool is_added = false;
    apr_status_t rv = add_record(&is_added, in, id);

    if (rv != APR_SUCCESS || !is_added) {
        return rv == APR_SUCCESS ? take_known(in) : rv;
    }
    in->store->last_event = id;
    if (may_wait(in)) {
        in->tally->added++;
        return add_waiting(in, id);
    }
    count_withheld(in);
    return APR_SUCCESS;
}

static apr_status_t take_event(incoming_t *in, const capi_visit_row_t *visit)
{
    bool is_used = false;
    apr_status_t rv = resolve(in, visit);

    if (rv == APR_SUCCESS) {
        rv = find_used(&is_used, in);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    count(in, CAPI_OUTCOME_RECEIVED);
    return is_used ? count_duplicate(in) : take_new(in);
}

apr_status_t capi_store_take(capi_store_t *store, const capi_envelope_t *envelope, apr_time_t now,
                             capi_intake_t *tally, apr_pool_t *p)
{
    capi_visit_row_t visit;
    capi_dest_t *dest;
    apr_status_t rv;

    (void)p;
    apr_pool_clear(store->scratch);
    rv = capi_dest_find(&dest, store, &envelope->settings);
    if (rv == APR_SUCCESS) {
        rv = capi_visit_take(&visit, store, envelope, now, tally);
    }
    for (int i = 0; i < envelope->event_count && rv == APR_SUCCESS; i++) {
        incoming_t in = {.store = store,
                         .dest = dest,
                         .envelope = envelope,
                         .event = &envelope->events[i],
                         .now = now,
                         .tally = tally};

        rv = take_event(&in, &visit);
    }
    return rv;
}
