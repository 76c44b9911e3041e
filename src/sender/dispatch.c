/* When a batch goes out, and with what: the flush rule, limits, rates, and the transaction around
 * answers and claims. */

#include "sender.h"

/* What a batch may hold, however little room is left. */
#define BATCH_BYTES_MIN ((apr_size_t)16 * 1024)

/* Looks at events that become due one by one are not closer than this. */
#define LOOK_MIN apr_time_from_msec(50)

/* A claim that gave nothing although something was due is not asked for again at once. */
#define EMPTY_CLAIM_PAUSE apr_time_from_sec(1)

typedef struct {
    bool is_open; /* a transaction */
    bool is_broken;
    apr_time_t next;
} capi_turn_t;

static capi_slot_t *find_free_slot(capi_sender_t *sender)
{
    int i;

    for (i = 0; i < CAPI_SLOTS; i++) {
        if (sender->slots[i].state == CAPI_SLOT_FREE) {
            return &sender->slots[i];
        }
    }
    return NULL;
}

static void free_slot(capi_sender_t *sender, capi_slot_t *slot)
{
    sender->in_flight--;
    sender->probes_in_flight -= slot->is_probe;
    sender->bytes_in_flight -= slot->bytes;
    slot->route->in_flight--;
    slot->route->quota->in_flight--;
    slot->route->quota->bytes_in_flight -= slot->bytes;
    slot->route->look_at = 0;
    slot->state = CAPI_SLOT_FREE;
    slot->route = NULL;
    slot->batch = NULL;
    slot->results = NULL;
    apr_pool_clear(slot->pool);
}

static apr_time_t sooner(apr_time_t a, apr_time_t b)
{
    return a < b ? a : b;
}

/* --- what is due --- */

static bool is_in_trouble(const capi_route_t *route)
{
    return route->row.is_held || route->failures > 0;
}

/* The wall clock's `at` on the clock that schedules run on. */
static apr_time_t as_ticks(apr_time_t at, apr_time_t now, apr_time_t ticks)
{
    return at > now ? ticks + (at - now) : ticks;
}

/* Asks the store. True where a batch is to go now; else look_at says when to ask again. */
static bool is_ripe(capi_sender_t *sender, capi_route_t *route)
{
    apr_time_t now = capi_now();
    apr_time_t ticks = capi_ticks();
    capi_backlog_t backlog = {0};
    apr_time_t flush_at;

    route->maybe_due = 0;
    if (capi_store_backlog(&backlog, sender->store, route->row.id, now, route->flush_events) !=
        APR_SUCCESS) {
        capi_store_failed(sender, "ask what is due");
        return false;
    }
    route->look_at = backlog.next_due ? as_ticks(backlog.next_due, now, ticks) : CAPI_NEVER;
    if (route->look_at < ticks + LOOK_MIN) {
        route->look_at = ticks + LOOK_MIN;
    }
    if (backlog.due == 0) {
        return false;
    }
    route->maybe_due = backlog.due;
    flush_at = backlog.oldest_due + apr_time_from_sec(route->flush_sec);
    if (backlog.due >= route->flush_events || now >= flush_at || is_in_trouble(route)) {
        return true;
    }
    route->look_at = sooner(route->look_at, as_ticks(flush_at, now, ticks));
    return false;
}

/* --- whether it may go --- */

static apr_interval_time_t rate_wait(capi_sender_t *sender, capi_route_t *route, apr_time_t ticks)
{
    apr_interval_time_t wait = capi_bucket_wait(&route->quota->rate, ticks);
    apr_interval_time_t test_wait =
        route->row.test ? capi_bucket_wait(&sender->test_rate, ticks) : 0;

    return wait > test_wait ? wait : test_wait;
}

static void take_from_rates(capi_sender_t *sender, capi_route_t *route)
{
    capi_bucket_take(&route->quota->rate);
    if (route->row.test) {
        capi_bucket_take(&sender->test_rate);
    }
}

/* A call that ends makes room, so nobody needs a time for it. Whoever is in trouble shares one half of
 * the slots, and in the other half a destination has one: an API that hangs keeps others waiting
 * for nothing. */
static bool has_room(const capi_sender_t *sender, const capi_route_t *route)
{
    if (!route->target.headers || route->row.is_paused ||
        route->quota->in_flight >= CAPI_IN_FLIGHT_OF_ACCOUNT ||
        route->quota->bytes_in_flight >= CAPI_BYTES_OF_ACCOUNT) {
        return false;
    }
    if (is_in_trouble(route)) {
        return route->in_flight == 0 && sender->probes_in_flight < CAPI_SLOTS / 2;
    }
    return route->in_flight == 0 || sender->in_flight < CAPI_SLOTS / 2;
}

/* --- claims --- */

static int events_wanted(const capi_route_t *route)
{
    return route->row.is_held ? 1 : route->batch_max;
}

/* The less room, the smaller the batches, so that there is always some. */
static apr_size_t bytes_wanted(const capi_sender_t *sender)
{
    apr_size_t room = sender->bytes_in_flight < CAPI_BYTES_IN_FLIGHT
                          ? (CAPI_BYTES_IN_FLIGHT - sender->bytes_in_flight) / 4
                          : 0;

    if (room > CAPI_BATCH_BYTES) {
        return CAPI_BATCH_BYTES;
    }
    return room > BATCH_BYTES_MIN ? room : BATCH_BYTES_MIN;
}

static apr_size_t count_bytes(const capi_batch_t *batch)
{
    apr_size_t bytes = 0;
    int i;

    for (i = 0; i < batch->count; i++) {
        bytes += batch->events[i].len;
    }
    return bytes;
}

/* Claims a batch into the slot. False where nothing came of it; look_at is in the future then. */
static bool claim(capi_sender_t *sender, capi_route_t *route, capi_slot_t *slot, capi_turn_t *turn)
{
    int wanted = events_wanted(route);
    capi_batch_t *batch = NULL;
    /* Room for what stands around and between the events. */
    apr_size_t bytes = bytes_wanted(sender) - 16 - (apr_size_t)wanted;

    if (capi_store_claim(&batch, sender->store, &route->row, capi_now(), wanted, bytes,
                         slot->pool) != APR_SUCCESS) {
        turn->is_broken = true;
        route->look_at = capi_ticks() + EMPTY_CLAIM_PAUSE;
        apr_pool_clear(slot->pool);
        return false;
    }
    if (batch->settled > 0) {
        sender->settled_at = capi_ticks();
    }
    if (batch->count == 0) {
        route->look_at = capi_ticks() + (batch->settled > 0 ? 0 : EMPTY_CLAIM_PAUSE);
        apr_pool_clear(slot->pool);
        return batch->settled > 0;
    }
    slot->state = CAPI_SLOT_CLAIMED;
    slot->route = route;
    slot->batch = batch;
    slot->bytes = count_bytes(batch);
    slot->range = (capi_range_t){0, batch->count};
    slot->request = batch->request;
    slot->refused_at = 0;
    slot->suspects = NULL;
    slot->is_probe = is_in_trouble(route);
    sender->in_flight++;
    sender->probes_in_flight += slot->is_probe;
    sender->bytes_in_flight += slot->bytes;
    route->in_flight++;
    route->quota->in_flight++;
    route->quota->bytes_in_flight += slot->bytes;
    route->look_at = 0;
    take_from_rates(sender, route);
    return true;
}

static bool open_transaction(capi_sender_t *sender, capi_turn_t *turn)
{
    if (turn->is_open) {
        return true;
    }
    turn->is_open = capi_store_begin(sender->store) == APR_SUCCESS;
    if (!turn->is_open) {
        turn->is_broken = true;
        capi_store_failed(sender, "begin a transaction");
    }
    return turn->is_open;
}

/* One step for one destination: true where it took a batch and may want another. */
static bool serve(capi_sender_t *sender, capi_route_t *route, capi_turn_t *turn)
{
    apr_time_t ticks = capi_ticks();
    capi_slot_t *slot = find_free_slot(sender);
    apr_time_t at = route->look_at > route->not_before ? route->look_at : route->not_before;

    if (!slot || !has_room(sender, route)) {
        return false;
    }
    if (at > ticks) {
        turn->next = sooner(turn->next, at);
        return false;
    }
    if (!is_ripe(sender, route)) {
        turn->next = sooner(turn->next, route->look_at);
        return false;
    }
    /* Whatever keeps the batch from going now, it stays ripe. */
    route->look_at = 0;
    if (rate_wait(sender, route, ticks) > 0) {
        turn->next = sooner(turn->next, ticks + rate_wait(sender, route, ticks));
        return false;
    }
    if (!open_transaction(sender, turn)) {
        return false;
    }
    if (claim(sender, route, slot, turn)) {
        return true;
    }
    turn->next = sooner(turn->next, route->look_at);
    return false;
}

/* Destinations take turns, so that none waits behind another's backlog. */
static void claim_all(capi_sender_t *sender, capi_turn_t *turn)
{
    bool has_claimed = true;
    int count = sender->routes->nelts;
    int i;

    while (has_claimed && !turn->is_broken && sender->store_retry_at == 0) {
        has_claimed = false;
        turn->next = CAPI_NEVER;
        for (i = 0; i < count; i++) {
            int index = (sender->next_route + i) % count;

            has_claimed |=
                serve(sender, APR_ARRAY_IDX(sender->routes, index, capi_route_t *), turn);
        }
        sender->next_route = count > 0 ? (sender->next_route + 1) % count : 0;
    }
}

/* --- the turn --- */

static void start_call(capi_sender_t *sender, capi_slot_t *slot)
{
    const capi_outgoing_t *events = slot->batch->events + slot->range.start;

    slot->state = CAPI_SLOT_FLYING;
    slot->route->target.is_in_trouble = is_in_trouble(slot->route);
    if (capi_call_start(slot->call, &slot->route->target, events, slot->range.count) !=
        APR_SUCCESS) {
        /* Judged like any request without an answer. */
        slot->state = CAPI_SLOT_ANSWERED;
        capi_settle_judge(sender, slot);
    }
}

/* The transaction is on disk: what was planned in it happens. */
static void carry_out(capi_sender_t *sender)
{
    int i;

    for (i = 0; i < CAPI_SLOTS; i++) {
        capi_slot_t *slot = &sender->slots[i];

        if (slot->state == CAPI_SLOT_DONE) {
            sender->settled_at = capi_ticks();
            capi_settle_give_back(sender, slot);
            if (slot->is_over) {
                free_slot(sender, slot);
                continue;
            }
            slot->request = slot->next_request;
            take_from_rates(sender, slot->route);
            slot->state = CAPI_SLOT_CLAIMED;
        }
        if (slot->state == CAPI_SLOT_CLAIMED) {
            start_call(sender, slot);
        }
    }
}

/* Nothing of the transaction happened: claims are void, answers are recorded again later. */
static void take_back(capi_sender_t *sender)
{
    int i;

    for (i = 0; i < CAPI_SLOTS; i++) {
        capi_slot_t *slot = &sender->slots[i];

        if (slot->state == CAPI_SLOT_CLAIMED) {
            capi_store_unclaim(sender->store, slot->batch->events, slot->batch->count);
            free_slot(sender, slot);
        }
        if (slot->state == CAPI_SLOT_DONE) {
            slot->state = CAPI_SLOT_ANSWERED;
        }
    }
}

static bool record_answers(capi_sender_t *sender, capi_turn_t *turn)
{
    bool has_recorded = false;
    int i;

    for (i = 0; i < CAPI_SLOTS; i++) {
        capi_slot_t *slot = &sender->slots[i];

        if (slot->state == CAPI_SLOT_ANSWERED && open_transaction(sender, turn)) {
            capi_settle_record(sender, slot);
            slot->state = CAPI_SLOT_DONE;
            has_recorded = true;
        }
    }
    if (capi_routes_are_changed(sender) && open_transaction(sender, turn)) {
        capi_routes_save(sender);
    }
    return has_recorded;
}

/* True where slots came free, so that another round may find more to do. */
static bool do_round(capi_sender_t *sender, capi_turn_t *turn)
{
    bool has_recorded;

    turn->is_open = false;
    has_recorded = record_answers(sender, turn);
    if (sender->phase == CAPI_RUN && sender->has_caught_up && !turn->is_broken) {
        claim_all(sender, turn);
    }
    if (!turn->is_open) {
        return false;
    }
    capi_notes_write(sender, false);
    if (capi_store_commit(sender->store) != APR_SUCCESS) {
        take_back(sender);
        capi_store_failed(sender, "keep what the API answered");
        return false;
    }
    capi_store_recovered(sender);
    capi_routes_saved(sender);
    carry_out(sender);
    return has_recorded;
}

apr_time_t capi_dispatch_turn(capi_sender_t *sender)
{
    capi_turn_t turn = {.next = CAPI_NEVER};

    if (sender->store_retry_at > capi_ticks()) {
        return sender->store_retry_at;
    }
    while (do_round(sender, &turn)) {
        continue;
    }
    return sender->store_retry_at ? sender->store_retry_at : turn.next;
}

void capi_dispatch_collect(capi_sender_t *sender)
{
    int i;

    for (i = 0; i < CAPI_SLOTS; i++) {
        capi_slot_t *slot = &sender->slots[i];

        if (slot->state == CAPI_SLOT_FLYING && capi_call_ended(slot->call)) {
            slot->state = CAPI_SLOT_ANSWERED;
            capi_settle_judge(sender, slot);
        }
    }
}

void capi_dispatch_abandon(capi_sender_t *sender)
{
    bool is_open = capi_store_begin(sender->store) == APR_SUCCESS;
    int i;

    for (i = 0; i < CAPI_SLOTS; i++) {
        capi_slot_t *slot = &sender->slots[i];

        if (slot->state == CAPI_SLOT_FLYING) {
            capi_call_abort(slot->call);
            if (is_open) {
                capi_store_attempt_end(sender->store, slot->request, 0, NULL,
                                       "given up: the sender had to end", capi_now());
            }
            capi_store_unclaim(sender->store, slot->batch->events, slot->batch->count);
            free_slot(sender, slot);
        }
    }
    if (is_open && capi_store_commit(sender->store) != APR_SUCCESS) {
        /* The events wait in the store as they did; only the attempt has no end on record. */
        capi_log(CAPI_LOG_WARNING, "PCAPI146: the store did not take the end of given up requests");
    }
}

bool capi_dispatch_is_idle(const capi_sender_t *sender)
{
    int i;

    for (i = 0; i < CAPI_SLOTS; i++) {
        if (sender->slots[i].state != CAPI_SLOT_FREE) {
            return false;
        }
    }
    return true;
}
