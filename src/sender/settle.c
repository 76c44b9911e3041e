/* What becomes of the events of an answered request, and of their destination. An answer is judged
 * once; what was decided is written, again if need be, and what must stay is given back after the
 * commit. */

#include "sender.h"

#include <sys/random.h>

#include <apr_strings.h>

/* How long an event that was refused alone lets others go first; doubles with its retries. */
#define SUSPECT_PAUSE     apr_time_from_sec(10)
#define SUSPECT_PAUSE_MAX apr_time_from_sec(600)

/* While a destination is in trouble, few events find out whether that is over. */
#define EVENTS_IN_TROUBLE 100

typedef struct {
    int index; /* in the batch */
    apr_int64_t request;
    const char *error;
} suspect_t;

static uint32_t throw_dice(void)
{
    uint32_t dice = 0;

    if (getrandom(&dice, sizeof(dice), 0) != (ssize_t)sizeof(dice)) {
        return UINT32_MAX / 2;
    }
    return dice;
}

static const char *test_word(const capi_route_t *route)
{
    return route->row.test ? " (test)" : "";
}

/* --- judging --- */

static const char *describe(const capi_answer_t *answer, const char *message, apr_pool_t *p)
{
    if (answer->http_status == 0) {
        return apr_pstrdup(p, answer->error);
    }
    if (message && *message) {
        return apr_psprintf(p, "status %d: %.300s", answer->http_status, message);
    }
    return apr_psprintf(p, "status %d", answer->http_status);
}

static bool has_fresh_event(const capi_slot_t *slot, apr_time_t now)
{
    int i;

    for (i = 0; i < slot->range.count; i++) {
        if (!capi_is_fresh(slot->batch->events[slot->range.start + i].event_time, now)) {
            return false;
        }
    }
    return true;
}

static apr_interval_time_t choose_pause(capi_slot_t *slot, const capi_answer_t *answer)
{
    apr_time_t now = capi_now();
    apr_interval_time_t asked = capi_retry_after(answer->retry_after, now);
    apr_interval_time_t pause =
        capi_backoff(slot->route->failures, has_fresh_event(slot, now), throw_dice());

    if (slot->route->row.is_held) {
        return capi_probe_pause(++slot->route->probes);
    }
    if (answer->http_status == 429 && asked >= 0) {
        return asked;
    }
    return answer->http_status >= 500 && asked > pause ? asked : pause;
}

/* Ever fewer, in case it is one of them that the API cannot take; twice as many with each success. */
static void shrink_batches(capi_route_t *route)
{
    route->batch_max =
        route->batch_max < 2 * EVENTS_IN_TROUBLE ? (route->batch_max + 1) / 2 : EVENTS_IN_TROUBLE;
}

static void grow_batches(capi_route_t *route)
{
    route->batch_max *= 2;
    if (route->batch_max > CAPI_EVENTS_PER_REQUEST) {
        route->batch_max = CAPI_EVENTS_PER_REQUEST;
    }
}

/* Nobody knows what happened: the destination pauses, its events stay. */
static void back_off(capi_slot_t *slot, const capi_answer_t *answer)
{
    capi_route_t *route = slot->route;
    /* Requests that were in flight together are one failure. */
    bool is_same_failure = route->failures > 0 && route->not_before > capi_ticks();
    apr_interval_time_t pause;
    char status[32] = "";

    if (!is_same_failure) {
        route->failures++;
        shrink_batches(route);
    }
    pause = choose_pause(slot, answer);
    if (capi_ticks() + pause > route->not_before) {
        route->not_before = capi_ticks() + pause;
    }
    if (answer->http_status) {
        apr_snprintf(status, sizeof(status), "status %d", answer->http_status);
    }
    capi_log(route->failures == 1 && !is_same_failure ? CAPI_LOG_WARNING : CAPI_LOG_INFO,
             "PCAPI140: account %s%s: no result from the API (%s%.300s): all events are kept, next "
             "attempt in %.1f s",
             route->row.account, test_word(route), status, answer->error ? answer->error : "",
             (double)pause / APR_USEC_PER_SEC);
}

static void note_success(capi_route_t *route)
{
    if (route->failures > 0) {
        capi_log(CAPI_LOG_NOTICE, "PCAPI141: account %s%s: the API answers again",
                 route->row.account, test_word(route));
    }
    grow_batches(route);
    route->failures = 0;
    route->not_before = 0;
    route->succeeded_at = capi_ticks();
    capi_route_release(route);
}

static void hold(capi_slot_t *slot, int http_status, bool for_refusal)
{
    const char *reason = capi_outcome_hold_reason(http_status, slot->route->row.account,
                                                  slot->route->token_file, slot->pool);

    capi_route_hold(slot->route, reason, for_refusal);
}

/* A part of the batch, or all of it, was refused: halve, or remember the one that it was. */
static void judge_refused(capi_slot_t *slot, int http_status)
{
    if (!slot->refused_at) {
        slot->refused_at = capi_ticks();
        slot->suspects = apr_array_make(slot->pool, 4, sizeof(suspect_t));
        capi_halving_init(&slot->halving, slot->pool);
        capi_log(CAPI_LOG_WARNING,
                 "PCAPI142: account %s%s: the API refused a batch of %d (status %d): looking for "
                 "the event that spoils it",
                 slot->route->row.account, test_word(slot->route), slot->range.count, http_status);
    }
    if (!capi_halving_refused(&slot->halving, slot->range)) {
        APR_ARRAY_PUSH(slot->suspects, suspect_t) =
            (suspect_t){slot->range.start, slot->request, slot->error};
    }
}

static apr_time_t first_refused_at(const capi_slot_t *slot, const capi_outgoing_t *event)
{
    apr_time_t before = capi_route_suspected_at(slot->route, event->id);

    return before && before < slot->refused_at ? before : slot->refused_at;
}

/* Only once another event has gone through since is it the event's own fault. */
static bool is_guilty(const capi_slot_t *slot, const capi_outgoing_t *event)
{
    return slot->route->succeeded_at > first_refused_at(slot, event);
}

/* The batch is at its end. Where nothing vouches for the API, the account waits. */
static void judge_suspects(capi_slot_t *slot, int http_status)
{
    bool has_innocent = slot->refused_at && capi_halving_is_hopeless(&slot->halving);
    int i;

    for (i = 0; slot->suspects && i < slot->suspects->nelts; i++) {
        const suspect_t *suspect = &APR_ARRAY_IDX(slot->suspects, i, suspect_t);
        const capi_outgoing_t *event = &slot->batch->events[suspect->index];

        if (!is_guilty(slot, event)) {
            capi_route_suspect(slot->route, event->id, slot->refused_at);
            has_innocent = true;
        }
    }
    if (has_innocent && slot->route->succeeded_at <= slot->refused_at) {
        hold(slot, http_status, true);
    }
}

static apr_status_t parse_answer(capi_slot_t *slot, const capi_answer_t *answer,
                                 const char **message)
{
    *message = NULL;
    slot->results = NULL;
    if (answer->http_status == 0 || answer->body_len == 0) {
        return APR_EINVAL;
    }
    return capi_wire_answer(&slot->results, message, answer->body, answer->body_len,
                            slot->range.count, slot->pool);
}

static void log_answer(const capi_slot_t *slot, const capi_answer_t *answer)
{
    capi_log(CAPI_LOG_INFO, "PCAPI143: account %s%s: %d events sent, status %d, request id %s",
             slot->route->row.account, test_word(slot->route), slot->range.count,
             answer->http_status, answer->request_id ? answer->request_id : "-");
}

/* What is left of a refused batch was composed before its first request. */
static bool is_denied_since(const capi_sender_t *sender, const capi_slot_t *slot)
{
    int i;

    for (i = 0; slot->refused_at && i < slot->halving.ranges->nelts; i++) {
        capi_range_t range = APR_ARRAY_IDX(slot->halving.ranges, i, capi_range_t);

        if (capi_store_is_denied_since(sender->store, slot->batch->events + range.start,
                                       range.count)) {
            return true;
        }
    }
    return false;
}

void capi_settle_judge(capi_sender_t *sender, capi_slot_t *slot)
{
    capi_answer_t answer;
    const char *message;
    apr_status_t parsed;

    capi_call_answer(&answer, slot->call);
    parsed = parse_answer(slot, &answer, &message);
    capi_call_forget_body(slot->call);
    slot->verdict = capi_outcome_judge(answer.http_status, parsed);
    slot->error =
        slot->verdict == CAPI_VERDICT_RESULTS ? NULL : describe(&answer, message, slot->pool);
    log_answer(slot, &answer);
    switch (slot->verdict) {
    case CAPI_VERDICT_RESULTS:
        note_success(slot->route);
        if (slot->refused_at) {
            capi_halving_accepted(&slot->halving);
        }
        break;
    case CAPI_VERDICT_REFUSED:
        judge_refused(slot, answer.http_status);
        break;
    case CAPI_VERDICT_HOLD:
        hold(slot, answer.http_status, false);
        break;
    case CAPI_VERDICT_WAIT:
        back_off(slot, &answer);
        break;
    }
    slot->is_over = sender->phase != CAPI_RUN || !slot->refused_at ||
                    slot->verdict == CAPI_VERDICT_HOLD || slot->verdict == CAPI_VERDICT_WAIT ||
                    slot->halving.ranges->nelts == 0 || capi_halving_is_hopeless(&slot->halving) ||
                    is_denied_since(sender, slot);
    if (slot->is_over &&
        (slot->verdict == CAPI_VERDICT_RESULTS || slot->verdict == CAPI_VERDICT_REFUSED)) {
        judge_suspects(slot, answer.http_status);
    }
    capi_asks_answered(sender, slot->route);
}

/* --- writing --- */

static bool is_plain_success(const capi_result_t *result)
{
    return result->processed && (!result->warning || !*result->warning);
}

static void record_rejected(capi_sender_t *sender, capi_slot_t *slot, const capi_outgoing_t *event,
                            const capi_result_t *result)
{
    const char *error = result->error && *result->error ? result->error : NULL;

    capi_store_rejected(sender->store, event, slot->request,
                        error ? error : "rejected without a reason", capi_now());
}

/* The ordinary answer, a success for each, is one call to the store. */
static void record_results(capi_sender_t *sender, capi_slot_t *slot)
{
    const capi_outgoing_t *events = slot->batch->events + slot->range.start;
    apr_time_t now = capi_now();
    int first = 0, rejected = 0;

    while (first < slot->range.count) {
        const capi_result_t *result = &slot->results[first];
        int end = first;

        while (end < slot->range.count && is_plain_success(&slot->results[end])) {
            end++;
        }
        if (end > first) {
            capi_store_delivered_all(sender->store, events + first, end - first, slot->request,
                                     now);
        }
        else if (result->processed) {
            capi_store_delivered(sender->store, &events[first], slot->request, result->warning,
                                 now);
        }
        else {
            record_rejected(sender, slot, &events[first], result);
            rejected++;
        }
        first = end > first ? end : first + 1;
    }
    capi_catalog_count(sender, slot);
    if (rejected > 0) {
        capi_log(CAPI_LOG_WARNING,
                 "PCAPI144: account %s%s: the API rejected %d of %d events: the deliveries say why",
                 slot->route->row.account, test_word(slot->route), rejected, slot->range.count);
    }
}

static void record_retries(capi_sender_t *sender, capi_slot_t *slot)
{
    apr_interval_time_t pause = slot->route->not_before - capi_ticks();
    apr_time_t now = capi_now();

    capi_store_retry_all(sender->store, slot->batch->events + slot->range.start, slot->range.count,
                         slot->request, slot->error, now + (pause > 0 ? pause : 0), now);
}

/* An event that was refused alone but is not proven bad lets others go first. */
static apr_time_t suspect_due(const capi_outgoing_t *event)
{
    int shift = event->retries < 6 ? event->retries : 6;
    apr_interval_time_t pause = SUSPECT_PAUSE << shift;

    return capi_now() + (pause < SUSPECT_PAUSE_MAX ? pause : SUSPECT_PAUSE_MAX);
}

static void record_suspects(capi_sender_t *sender, capi_slot_t *slot)
{
    int i;

    for (i = 0; slot->suspects && i < slot->suspects->nelts; i++) {
        const suspect_t *suspect = &APR_ARRAY_IDX(slot->suspects, i, suspect_t);
        const capi_outgoing_t *event = &slot->batch->events[suspect->index];

        if (is_guilty(slot, event)) {
            capi_store_rejected(sender->store, event, suspect->request, suspect->error, capi_now());
            continue;
        }
        capi_store_retry(sender->store, event, suspect->request, suspect->error, suspect_due(event),
                         capi_now());
    }
    if (slot->suspects && slot->suspects->nelts > 0) {
        capi_log(CAPI_LOG_WARNING,
                 "PCAPI145: account %s%s: %d events were refused by themselves: the deliveries say "
                 "why",
                 slot->route->row.account, test_word(slot->route), slot->suspects->nelts);
    }
}

/* The part stays in line until the commit: a rollback repeats this. */
static void open_next_part(capi_sender_t *sender, capi_slot_t *slot)
{
    const capi_range_t *next = capi_halving_peek(&slot->halving);

    slot->next_request = 0;
    capi_store_attempt(&slot->next_request, sender->store, slot->route->row.id,
                       slot->batch->events + next->start, next->count, capi_now());
}

void capi_settle_record(capi_sender_t *sender, capi_slot_t *slot)
{
    capi_answer_t answer;

    capi_call_answer(&answer, slot->call);
    capi_store_attempt_end(sender->store, slot->request, answer.http_status, answer.request_id,
                           slot->error, capi_now());
    if (slot->verdict == CAPI_VERDICT_RESULTS) {
        record_results(sender, slot);
    }
    if (slot->verdict == CAPI_VERDICT_WAIT) {
        record_retries(sender, slot);
    }
    if (slot->is_over) {
        record_suspects(sender, slot);
    }
    else {
        open_next_part(sender, slot);
    }
}

/* --- after the commit --- */

static void give_back_range(capi_sender_t *sender, capi_slot_t *slot, capi_range_t range)
{
    capi_store_unclaim(sender->store, slot->batch->events + range.start, range.count);
}

void capi_settle_give_back(capi_sender_t *sender, capi_slot_t *slot)
{
    int i;

    if (!slot->is_over) {
        capi_halving_next(&slot->halving, &slot->range);
        return;
    }
    if (slot->verdict == CAPI_VERDICT_HOLD) {
        give_back_range(sender, slot, slot->range);
    }
    for (i = 0; slot->refused_at && i < slot->halving.ranges->nelts; i++) {
        give_back_range(sender, slot, APR_ARRAY_IDX(slot->halving.ranges, i, capi_range_t));
    }
}
