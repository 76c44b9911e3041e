/* Dispatch: which events go next, completed and looked at once more just before they go; attempts. */

#include "store_int.h"

#include "event.h"
#include "wire.h"

#include <apr_strings.h>

#include <string.h>

/* Rows read at a time. A row takes about two kilobytes beside its payload while it is looked at, and
 * where events are long a batch is full before a thousand of them. */
#define PAGE_ROWS 100

/* One outbox row with its record. */
typedef struct {
    /* SQL_OUTBOX_CLAIM */
    apr_int64_t event;
    apr_time_t due;
    int flags;
    capi_keys_t keys;
    apr_int64_t expires_at;
    const char *payload;
    const char *sent_as;
    const char *event_id;
    apr_int64_t event_time;
    int retries;
    int strongest;
    capi_consent_state_t consent;
    const char *signal;
    bool needs_context;
    /* SQL_OUTBOX_CONTEXT, where it is needed */
    int source;
    bool has_visit;
    capi_consent_state_t visit_consent;
    const char *visit_signal;
    const char *click_id;
    const char *address;
    const char *agent;
    const char *user_data;
    const char *denied_by; /* a denial since it came */
    const char *on_denied;
    /* what comes of it */
    capi_action_t action;
    capi_keys_t stripped;
} due_t;

typedef struct {
    capi_store_t *store;
    capi_dest_t *dest;
    capi_batch_t *batch;
    apr_time_t now;
    int max_events;
    apr_size_t max_bytes;
    apr_size_t bytes;
    bool is_full;
    apr_pool_t *p;    /* the batch's: what goes out */
    apr_pool_t *page; /* rows as they were read */
} claim_t;

static void read_due(due_t *due, const capi_rows_t *rows)
{
    memset(due, 0, sizeof(*due));
    due->event = capi_rows_int(rows, 0);
    due->due = capi_rows_int(rows, 1);
    due->flags = (int)capi_rows_int(rows, 2);
    due->keys = (capi_keys_t)capi_rows_int(rows, 3);
    due->expires_at = capi_rows_int(rows, 4);
    due->payload = capi_rows_text(rows, 5);
    due->sent_as = capi_rows_text(rows, 6);
    due->event_id = capi_rows_text(rows, 7);
    due->event_time = capi_rows_int(rows, 8);
    due->retries = (int)capi_rows_int(rows, 9);
    due->strongest = (int)capi_rows_int(rows, 10);
    due->consent = (capi_consent_state_t)capi_rows_int(rows, 11);
    due->signal = capi_rows_text(rows, 12);
    due->needs_context = capi_rows_int(rows, 13) != 0;
    due->action = CAPI_ACTION_SEND;
}

static apr_status_t read_context(claim_t *claim, due_t *due)
{
    const void *values[] = {&due->event};
    capi_rows_t rows;
    apr_status_t rv =
        capi_db_select(&rows, claim->store, CAPI_SQL_OUTBOX_CONTEXT, values, claim->page);

    if (rv != APR_SUCCESS || !capi_rows_next(&rows)) {
        return rv;
    }
    due->source = (int)capi_rows_int(&rows, 0);
    due->has_visit = capi_rows_text(&rows, 1) != NULL;
    due->visit_consent = (capi_consent_state_t)capi_rows_int(&rows, 1);
    due->visit_signal = capi_rows_text(&rows, 2);
    due->click_id = capi_rows_text(&rows, 3);
    due->address = capi_rows_text(&rows, 4);
    due->agent = capi_rows_text(&rows, 5);
    due->user_data = capi_rows_text(&rows, 6);
    due->denied_by = capi_rows_text(&rows, 7);
    due->on_denied = capi_rows_text(&rows, 8);
    return rv;
}

/* --- what may not go any more --- */

static apr_status_t settle(claim_t *claim, const due_t *due, capi_state_t state, const char *error)
{
    claim->batch->settled++;
    return capi_settle(claim->store, claim->dest, due->event, due->sent_as, due->flags, state,
                       error, claim->now);
}

static apr_status_t withdraw(claim_t *claim, const due_t *due, const char *error)
{
    const capi_ruling_t ruling = {.state = due->consent,
                                  .signal = due->signal,
                                  .on_denied = due->on_denied,
                                  .stripped = due->stripped};

    claim->batch->settled++;
    return capi_withdraw(claim->store, claim->dest, due->event, due->sent_as, due->flags, &ruling,
                         error, claim->now);
}

/* A detached event has its context's consent; where the context never came, what intake noted. */
static apr_status_t decide_detached(claim_t *claim, due_t *due)
{
    apr_int64_t flags = due->flags & ~CAPI_ROW_DETACHED;
    const void *values[] = {&flags, &due->event};

    if (due->has_visit) {
        due->consent = due->visit_consent;
        due->signal = due->visit_signal;
    }
    due->flags = (int)flags;
    return capi_db_run(NULL, claim->store, CAPI_SQL_OUTBOX_DECIDED, values);
}

/* Consent once more, and what follows where there is none. A denial since counts whoever said it; one
 * from before does not where the event itself said that consent is granted. */
static apr_status_t decide(claim_t *claim, due_t *due)
{
    bool is_denied_by_visit = due->has_visit && !(due->flags & CAPI_ROW_OWN_WORD) &&
                              capi_is_refused(due->visit_consent, due->visit_signal);
    apr_status_t rv = APR_SUCCESS;

    if (due->flags & CAPI_ROW_DETACHED) {
        rv = decide_detached(claim, due);
    }
    if (due->denied_by || is_denied_by_visit) {
        due->consent = CAPI_CONSENT_DENIED;
        due->signal = due->denied_by ? due->denied_by : due->visit_signal;
    }
    if (due->consent != CAPI_CONSENT_GRANTED) {
        due->action = capi_denied_action(due->on_denied);
    }
    return rv;
}

/* Consent, then age. *is_settled: it does not go. */
static apr_status_t judge(bool *is_settled, claim_t *claim, due_t *due)
{
    apr_status_t rv = decide(claim, due);

    *is_settled = true;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (due->action == CAPI_ACTION_SUPPRESS) {
        return withdraw(claim, due, NULL);
    }
    if (due->flags & CAPI_ROW_CLAIM) {
        return settle(claim, due, CAPI_STATE_UNCONFIRMED,
                      "a browser's word that the shop did not confirm within an hour");
    }
    if (due->expires_at < apr_time_sec(claim->now)) {
        return settle(claim, due, CAPI_STATE_EXPIRED, "older than PinterestCapiMaxAge");
    }
    *is_settled = false;
    return rv;
}

static const char *what_is_missing(capi_keys_t keys)
{
    if (keys & CAPI_KEY_BIT(CAPI_KEY_CLIENT_IP_ADDRESS)) {
        return "not sent: neither em nor, beside client_ip_address, client_user_agent is known";
    }
    if (keys & CAPI_KEY_BIT(CAPI_KEY_CLIENT_USER_AGENT)) {
        return "not sent: neither em nor, beside client_user_agent, client_ip_address is known";
    }
    return "not sent: neither em nor client_ip_address with client_user_agent is known";
}

static bool is_enough(capi_keys_t keys)
{
    const capi_keys_t client =
        CAPI_KEY_BIT(CAPI_KEY_CLIENT_IP_ADDRESS) | CAPI_KEY_BIT(CAPI_KEY_CLIENT_USER_AGENT);

    return (keys & CAPI_KEY_BIT(CAPI_KEY_EM)) || (keys & CAPI_KEY_BIT(CAPI_KEY_HASHED_MAIDS)) ||
           (keys & client) == client;
}

/* --- completion --- */

/* The sources' words in the order of their strength, merged; the caller owns it. */
static apr_status_t merge_layers(json_t **body, claim_t *claim, const due_t *due)
{
    const void *values[] = {&due->event};
    json_t *own = json_loads(due->payload, 0, NULL);
    bool is_own_in = false;
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, claim->store, CAPI_SQL_LAYERS_OF_EVENT, values,
                                     claim->store->scratch);

    *body = NULL;
    while (rv == APR_SUCCESS && own && capi_rows_next(&rows)) {
        json_t *layer = json_loads(capi_rows_text(&rows, 1), 0, NULL);

        if (!is_own_in && due->source > (int)capi_rows_int(&rows, 0)) {
            is_own_in = true;
            if (*body) {
                capi_event_merge(*body, own);
            }
            else {
                *body = json_incref(own);
            }
        }
        if (*body && layer) {
            capi_event_merge(*body, layer);
        }
        else if (layer) {
            *body = json_incref(layer);
        }
        json_decref(layer);
    }
    if (!is_own_in && *body && own) {
        capi_event_merge(*body, own);
    }
    if (!*body) {
        *body = json_incref(own);
    }
    json_decref(own);
    return rv;
}

static bool adds_something(const due_t *due)
{
    return due->click_id || due->address || due->agent || due->user_data;
}

static apr_status_t note_resolved(claim_t *claim, const due_t *due)
{
    apr_int64_t keys = due->keys;
    apr_int64_t consent = due->consent;
    apr_int64_t action = due->action;
    apr_int64_t stripped = due->stripped;
    const void *values[] = {&keys,   &consent,  due->signal, capi_rule_kept(due->on_denied),
                            &action, &stripped, &due->event};

    return capi_db_run(NULL, claim->store, CAPI_SQL_EVENT_RESOLVED, values);
}

/* What the visit knows, or what the rule of a denied event takes away: such a one is given nothing. */
static void add_or_take(bool *is_withheld, due_t *due, json_t *body)
{
    json_t *user_data;

    if (due->action == CAPI_ACTION_SEND) {
        user_data = due->user_data ? json_loads(due->user_data, 0, NULL) : NULL;
        capi_event_complete(body, &(capi_event_client_t){.click_id = due->click_id,
                                                         .address = due->address,
                                                         .agent = due->agent,
                                                         .user_data = user_data});
        json_decref(user_data);
    }
    else {
        due->stripped = capi_event_keys(body);
        *is_withheld = !capi_denied_apply(body, due->on_denied);
    }
    due->keys = capi_event_keys(body);
    due->stripped &= ~due->keys;
}

/* The event as it is to go. JSON is read only where something must be changed in it. *is_withheld:
 * what its rule leaves must not go. */
static apr_status_t complete(capi_outgoing_t *out, bool *is_withheld, claim_t *claim, due_t *due,
                             bool was_detached)
{
    bool is_changed = due->action != CAPI_ACTION_SEND || adds_something(due);
    json_t *body = NULL;
    apr_status_t rv = APR_SUCCESS;

    out->text = due->payload;
    out->len = strlen(due->payload);
    if (!(due->flags & CAPI_ROW_LAYERS) && !is_changed) {
        return was_detached ? note_resolved(claim, due) : APR_SUCCESS;
    }
    *is_withheld = due->action != CAPI_ACTION_SEND;
    if (due->flags & CAPI_ROW_LAYERS) {
        rv = merge_layers(&body, claim, due);
    }
    else {
        body = json_loadb(out->text, out->len, 0, NULL);
    }
    if (rv == APR_SUCCESS && body) {
        add_or_take(is_withheld, due, body);
        out->text = capi_event_text(&out->len, body, claim->p);
        rv = *is_withheld ? APR_SUCCESS : note_resolved(claim, due);
    }
    json_decref(body);
    return rv;
}

/* --- the batch --- */

static void push(claim_t *claim, capi_outgoing_t *out, const due_t *due)
{
    if (out->text == due->payload) {
        out->text = apr_pstrmemdup(claim->p, out->text, out->len);
    }
    out->id = due->event;
    out->event_time = due->event_time;
    out->sent_as = apr_pstrdup(claim->p, due->sent_as);
    out->event_id = apr_pstrdup(claim->p, due->event_id);
    out->keys = due->keys;
    out->retries = due->retries;
    out->consent = due->consent;
    out->signal = apr_pstrdup(claim->p, due->signal);
    out->action = due->action;
    out->due = due->due;
    out->has_layers = (due->flags & CAPI_ROW_LAYERS) != 0;
    claim->bytes += out->len + 1;
    claim->batch->count++;
    capi_flight_add(claim->store, claim->dest, due->event, due->due, due->strongest);
}

/* Into the destination's wire format, which has the event's name as it came. */
static apr_status_t translate(capi_outgoing_t *out, claim_t *claim, const due_t *due)
{
    const void *values[] = {&due->event};
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, claim->store, CAPI_SQL_EVENT_NAME, values, claim->page);
    const char *name = rv == APR_SUCCESS && capi_rows_next(&rows) ? capi_rows_text(&rows, 0) : NULL;

    return capi_wire_event(&out->text, &out->len, claim->dest->row.wire, out->text, out->len, name,
                           claim->p);
}

static apr_status_t take_due(claim_t *claim, due_t *due)
{
    capi_outgoing_t *out = &claim->batch->events[claim->batch->count];
    bool was_detached = (due->flags & CAPI_ROW_DETACHED) != 0;
    bool is_settled = false;
    bool is_withheld = false;
    apr_status_t rv = due->needs_context ? read_context(claim, due) : APR_SUCCESS;

    if (rv == APR_SUCCESS) {
        rv = judge(&is_settled, claim, due);
    }
    if (rv != APR_SUCCESS || is_settled) {
        return rv;
    }
    memset(out, 0, sizeof(*out));
    rv = complete(out, &is_withheld, claim, due, was_detached);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (is_withheld) {
        return withdraw(claim, due,
                        "withheld: what the rule leaves of it is less than em, or"
                        " client_ip_address with client_user_agent");
    }
    if (!is_enough(due->keys)) {
        return settle(claim, due, CAPI_STATE_REJECTED, what_is_missing(due->keys));
    }
    if (claim->dest->row.wire != CAPI_WIRE_V5 && translate(out, claim, due) != APR_SUCCESS) {
        return settle(claim, due, CAPI_STATE_REJECTED, "not sent: what was stored is no event");
    }
    if (claim->batch->count > 0 && claim->bytes + out->len + 1 > claim->max_bytes) {
        claim->is_full = true;
        return APR_SUCCESS;
    }
    push(claim, out, due);
    return APR_SUCCESS;
}

/* One page of what is due; *found is how many rows it had. */
static apr_status_t take_page(int *found, claim_t *claim)
{
    capi_dest_t *dest = claim->dest;
    apr_int64_t wanted = claim->max_events - claim->batch->count;
    apr_int64_t limit = wanted < PAGE_ROWS ? wanted : PAGE_ROWS;
    const void *values[] = {&dest->row.id, &dest->cursor_due, &dest->cursor_event, &claim->now,
                            &limit};
    capi_rows_t rows;
    apr_status_t rv =
        capi_db_select(&rows, claim->store, CAPI_SQL_OUTBOX_CLAIM, values, claim->page);

    *found = 0;
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        due_t due;

        read_due(&due, &rows);
        *found += 1;
        if (!capi_flight_of(claim->store, due.event)) {
            rv = take_due(claim, &due);
        }
        if (claim->is_full) {
            return rv;
        }
        dest->cursor_due = due.due;
        dest->cursor_event = due.event;
    }
    claim->is_full = *found < limit;
    return rv;
}

static apr_status_t add_attempt(apr_int64_t *request, capi_store_t *store, apr_int64_t destination,
                                const capi_outgoing_t *events, int count, apr_time_t now)
{
    apr_int64_t id = store->last_attempt + 1;
    apr_int64_t carried = count;
    const capi_outgoing_t *last = &events[count - 1];
    const void *values[] = {&id,          &destination, &now,       &carried,
                            &events->due, &events->id,  &last->due, &last->id};
    apr_status_t rv = capi_db_run(NULL, store, CAPI_SQL_ATTEMPT_ADD, values);

    if (rv == APR_SUCCESS) {
        store->last_attempt = id;
        *request = id;
    }
    return rv;
}

apr_status_t capi_store_claim(capi_batch_t **claimed, capi_store_t *store,
                              const capi_destination_t *destination, apr_time_t now, int max_events,
                              apr_size_t max_bytes, apr_pool_t *p)
{
    capi_batch_t *batch = apr_pcalloc(p, sizeof(*batch));
    claim_t claim = {.store = store,
                     .dest = capi_dest_of(store, destination->id),
                     .batch = batch,
                     .now = now,
                     .max_events = max_events,
                     .max_bytes = max_bytes,
                     .p = p};
    apr_status_t rv = APR_SUCCESS;
    int found = 0;

    *claimed = batch;
    batch->destination = destination->id;
    if (!claim.dest) {
        return capi_db_fail(store, "no such destination");
    }
    apr_pool_clear(store->scratch);
    if (apr_hash_count(store->flights) == 0) {
        /* A clock that was set back may have left something behind the cursor. */
        claim.dest->cursor_due = 0;
        claim.dest->cursor_event = 0;
    }
    apr_pool_create(&claim.page, p);
    batch->events = apr_palloc(p, (apr_size_t)max_events * sizeof(*batch->events));
    while (rv == APR_SUCCESS && !claim.is_full && batch->count < max_events &&
           batch->settled < max_events) {
        rv = take_page(&found, &claim);
        apr_pool_clear(claim.page);
    }
    apr_pool_destroy(claim.page);
    if (rv == APR_SUCCESS && batch->count > 0) {
        rv = add_attempt(&batch->request, store, destination->id, batch->events, batch->count, now);
    }
    return rv;
}

apr_status_t capi_store_attempt(apr_int64_t *request, capi_store_t *store, apr_int64_t destination,
                                const capi_outgoing_t *events, int count, apr_time_t now)
{
    return add_attempt(request, store, destination, events, count, now);
}

apr_status_t capi_store_attempt_end(capi_store_t *store, apr_int64_t request, int http_status,
                                    const char *request_id, const char *error, apr_time_t now)
{
    apr_int64_t status = http_status;
    const void *values[] = {&now, &status, request_id, error, &request};

    return capi_db_run(NULL, store, CAPI_SQL_ATTEMPT_END, values);
}

static apr_status_t find_next_due(capi_backlog_t *backlog, capi_store_t *store,
                                  const capi_dest_t *dest, apr_time_t now)
{
    const apr_int64_t never = CAPI_DUE_REJECTED;
    const void *values[] = {&dest->row.id, &now, &never};
    capi_rows_t rows;
    apr_status_t rv =
        capi_db_select(&rows, store, CAPI_SQL_OUTBOX_NEXT_DUE, values, store->scratch);

    if (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        backlog->next_due = capi_rows_int(&rows, 0);
    }
    return rv;
}

apr_status_t capi_store_backlog(capi_backlog_t *backlog, capi_store_t *store,
                                apr_int64_t destination, apr_time_t now, int limit)
{
    capi_dest_t *dest = capi_dest_of(store, destination);
    apr_int64_t most = limit;
    const void *values[] = {&destination, dest ? &dest->cursor_due : NULL,
                            dest ? &dest->cursor_event : NULL, &now, &most};
    capi_rows_t rows;
    apr_status_t rv;

    memset(backlog, 0, sizeof(*backlog));
    if (!dest) {
        return capi_db_fail(store, "no such destination");
    }
    apr_pool_clear(store->scratch);
    rv = capi_db_select(&rows, store, CAPI_SQL_OUTBOX_BACKLOG, values, store->scratch);
    if (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        backlog->due = (int)capi_rows_int(&rows, 0);
        backlog->oldest_due = capi_rows_int(&rows, 1);
    }
    return rv == APR_SUCCESS ? find_next_due(backlog, store, dest, now) : rv;
}
