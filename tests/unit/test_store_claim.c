/* Dispatch: order, limits, attempts, results, and what a rollback or a crash leaves. */

#include "unit_store.h"

static void take_events(int first, int count, apr_time_t at)
{
    for (int i = first; i < first + count; i++) {
        capi_envelope_t *envelope = envelope_at(at);

        add_event(envelope, CAPI_SOURCE_RULE, apr_psprintf(pool, "e%d", i), ADDRESS, "")->is_named =
            false;
        take(envelope, at);
    }
}

START_TEST(test_no_event_is_claimed_twice_while_a_batch_is_open)
{
    capi_batch_t *first;
    capi_batch_t *second;

    take_events(0, 5, NOW);
    first = claim_most(NOW, 3, CAPI_BATCH_BYTES);
    second = claim_most(NOW, 3, CAPI_BATCH_BYTES);
    ck_assert_int_eq(first->count, 3);
    ck_assert_int_eq(second->count, 2);
    ck_assert_str_eq(first->events[0].event_id, "e0");
    ck_assert_str_eq(second->events[0].event_id, "e3");
    ck_assert_int_eq(claim(NOW)->count, 0);
    ck_assert_int_eq(claim(NOW)->request, 0);
    ck_assert_int_ne(first->request, second->request);
}
END_TEST

START_TEST(test_batch_ends_before_it_grows_past_its_bytes)
{
    capi_batch_t *batch;
    apr_size_t one;

    take_events(0, 3, NOW);
    batch = claim_most(NOW, 1, CAPI_BATCH_BYTES);
    one = batch->events[0].len + 1;
    capi_store_unclaim(store, batch->events, batch->count);
    batch = claim_most(NOW, 10, 2 * one);
    ck_assert_int_eq(batch->count, 2);
    ck_assert_int_eq(claim_most(NOW, 10, 1)->count, 1);
}
END_TEST

START_TEST(test_what_a_batch_says_of_its_events_lives_as_long_as_the_batch)
{
    capi_envelope_t *envelope = envelope_at(NOW);
    capi_batch_t *batch;

    set_consent(envelope, CAPI_CONSENT_GRANTED, "cmp onetrust");
    for (int i = 0; i < 250; i++) {
        add_event(envelope, CAPI_SOURCE_HEADER, apr_psprintf(pool, "e%d", i), ADDRESS, "");
    }
    take(envelope, NOW);
    batch = claim(NOW + SEC(11));
    ck_assert_int_eq(batch->count, 250);
    /* Whatever the claim gave back is somebody else's now. */
    for (int i = 0; i < 64; i++) {
        apr_pool_t *other;
        apr_pool_create(&other, pool);
        memset(apr_palloc(other, 8000), 'x', 8000);
        memset(apr_palloc(other, 60000), 'x', 60000);
    }
    for (int i = 0; i < batch->count; i++) {
        ck_assert_str_eq(batch->events[i].signal, "cmp onetrust");
        ck_assert_str_eq(batch->events[i].sent_as, "checkout");
    }
}
END_TEST

START_TEST(test_unclaimed_events_are_due_again_and_no_retry_is_counted)
{
    capi_batch_t *batch;

    take_events(0, 3, NOW);
    batch = claim(NOW);
    capi_store_unclaim(store, batch->events + 1, 2);
    batch = claim(NOW);
    ck_assert_int_eq(batch->count, 2);
    ck_assert_str_eq(batch->events[0].event_id, "e1");
    ck_assert_int_eq(sql_int("SELECT SUM(retries) FROM events"), 0);
}
END_TEST

START_TEST(test_retried_event_comes_back_when_it_is_due_with_its_attempts_on_record)
{
    capi_batch_t *batch;

    take_events(0, 2, NOW);
    batch = claim(NOW);
    capi_store_begin(store);
    capi_store_attempt_end(store, batch->request, 503, "rid-0", "service unavailable", NOW + 1);
    capi_store_retry(store, &batch->events[0], batch->request, "503", NOW + SEC(5), NOW + 1);
    capi_store_delivered(store, &batch->events[1], batch->request, "ph is odd", NOW + 1);
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT state FROM events WHERE event_id = 'e0'"),
                     CAPI_STATE_RETRYING);
    ck_assert_str_eq(sql("SELECT warning FROM events WHERE event_id = 'e1'"), "ph is odd");
    ck_assert_int_eq(claim(NOW + SEC(5) - 1)->count, 0);
    batch = claim(NOW + SEC(5));
    ck_assert_int_eq(batch->count, 1);
    ck_assert_int_eq(batch->events[0].retries, 1);
    deliver(batch, NOW + SEC(6));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM event_attempts"), 1);
    ck_assert_ptr_null(sql("SELECT error FROM events WHERE event_id = 'e0'"));
    ck_assert_int_eq(counter("retried"), 1);
    ck_assert_int_eq(counter("delivered"), 2);
}
END_TEST

START_TEST(test_rejected_event_keeps_its_payload_a_week_and_its_reason)
{
    capi_batch_t *batch;
    bool more = true;

    take_events(0, 1, NOW);
    batch = claim(NOW);
    capi_store_begin(store);
    capi_store_rejected(store, &batch->events[0], batch->request, "currency is wrong", NOW);
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 0);
    ck_assert_str_eq(sql("SELECT error FROM events"), "currency is wrong");
    ck_assert_int_eq(claim(NOW + SEC(10 * 86400))->count, 0);
    for (more = true; more;) {
        ck_assert_int_eq(capi_store_retain(store, 30, NOW + SEC(7 * 86400), &more), APR_SUCCESS);
    }
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 1);
    for (more = true; more;) {
        ck_assert_int_eq(capi_store_retain(store, 30, NOW + SEC(7 * 86400) + 1, &more),
                         APR_SUCCESS);
    }
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 0);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_REJECTED);
    ck_assert(is_nowhere_on_disk("203.0.113.9"));
}
END_TEST

START_TEST(test_event_past_its_age_expires)
{
    capi_batch_t *batch;

    take_events(0, 1, NOW);
    batch = claim(NOW + SEC(604800) + SEC(1));
    ck_assert_int_eq(batch->count, 0);
    ck_assert_int_eq(batch->settled, 1);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_EXPIRED);
    ck_assert_int_eq(counter("expired"), 1);
    ck_assert(is_nowhere_on_disk("203.0.113.9"));
}
END_TEST

START_TEST(test_event_below_pinterests_minimum_is_rejected_here_and_says_what_is_missing)
{
    capi_envelope_t *envelope = envelope_at(NOW);
    capi_batch_t *batch;

    add_event(envelope, CAPI_SOURCE_RULE, "o1", "\"client_ip_address\":\"203.0.113.9\"", "");
    take(envelope, NOW);
    batch = claim(NOW + SEC(10));
    ck_assert_int_eq(batch->count, 0);
    ck_assert_int_eq(batch->settled, 1);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_REJECTED);
    ck_assert_ptr_nonnull(strstr(sql("SELECT error FROM events"), "client_user_agent"));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 0);
}
END_TEST

START_TEST(test_guide_wire_says_the_name_as_it_came)
{
    capi_envelope_t *envelope = envelope_at(NOW);
    const char *text;

    envelope->settings.wire = CAPI_WIRE_GUIDE;
    add_event(envelope, CAPI_SOURCE_HEADER, "o1", ADDRESS ",\"click_id\":\"dj0\"",
              "\"custom_data\":{\"value\":\"129.95\"}");
    take(envelope, NOW);
    text = claim(NOW + SEC(10))->events[0].text;
    ck_assert_ptr_nonnull(strstr(text, "\"event_name\":\"purchase\""));
    ck_assert_ptr_nonnull(strstr(text, "\"epik\":\"dj0\""));
    ck_assert_ptr_nonnull(strstr(text, "129.95"));
    ck_assert_ptr_null(strstr(text, "\"129.95\""));
}
END_TEST

START_TEST(test_backlog_counts_what_is_due_and_unclaimed_and_says_when_to_look_next)
{
    capi_backlog_t backlog;
    capi_envelope_t *named = envelope_at(NOW);

    take_events(0, 3, NOW);
    add_event(named, CAPI_SOURCE_HEADER, "o1", ADDRESS, "");
    take(named, NOW);
    ck_assert_int_eq(capi_store_backlog(&backlog, store, 1, NOW + 1, 1000), APR_SUCCESS);
    ck_assert_int_eq(backlog.due, 3);
    ck_assert_int_eq(backlog.oldest_due, NOW);
    ck_assert_int_eq(backlog.next_due, NOW + SEC(10));
    ck_assert_int_eq(capi_store_backlog(&backlog, store, 1, NOW + 1, 2), APR_SUCCESS);
    ck_assert_int_eq(backlog.due, 2);
    claim_most(NOW + 1, 2, CAPI_BATCH_BYTES);
    ck_assert_int_eq(capi_store_backlog(&backlog, store, 1, NOW + 1, 1000), APR_SUCCESS);
    ck_assert_int_eq(backlog.due, 1);
    ck_assert_int_eq(capi_store_backlog(&backlog, store, 1, NOW + SEC(20), 1000), APR_SUCCESS);
    ck_assert_int_eq(backlog.due, 2);
    ck_assert_int_eq(backlog.next_due, 0);
}
END_TEST

START_TEST(test_rolled_back_claim_gives_its_events_back)
{
    capi_batch_t *batch;

    take_events(0, 2, NOW);
    capi_store_begin(store);
    ck_assert_int_eq(
        capi_store_claim(&batch, store, destination_no(0), NOW, 10, CAPI_BATCH_BYTES, pool),
        APR_SUCCESS);
    ck_assert_int_eq(batch->count, 2);
    capi_store_rollback(store);
    ck_assert_int_eq(claim(NOW)->count, 2);
}
END_TEST

START_TEST(test_rolled_back_claim_is_found_again_while_another_batch_is_open)
{
    capi_batch_t *batch;

    take_events(0, 1, NOW);
    take_events(1, 1, NOW + 1);
    take_events(2, 1, NOW + 2);
    claim_most(NOW + 3, 1, CAPI_BATCH_BYTES);
    capi_store_begin(store);
    ck_assert_int_eq(
        capi_store_claim(&batch, store, destination_no(0), NOW + 3, 2, CAPI_BATCH_BYTES, pool),
        APR_SUCCESS);
    capi_store_rollback(store);
    batch = claim(NOW + 3);
    ck_assert_int_eq(batch->count, 2);
    ck_assert_str_eq(batch->events[0].event_id, "e1");
}
END_TEST

START_TEST(test_event_retried_at_once_is_found_while_another_batch_is_open)
{
    capi_batch_t *batch;

    take_events(0, 3, NOW);
    batch = claim_most(NOW, 1, CAPI_BATCH_BYTES);
    claim_most(NOW, 1, CAPI_BATCH_BYTES);
    capi_store_begin(store);
    capi_store_retry(store, &batch->events[0], batch->request, "reset", NOW, NOW);
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    ck_assert_int_eq(claim(NOW)->count, 2);
}
END_TEST

START_TEST(test_unclaimed_in_a_transaction_that_fails_stays_unclaimed)
{
    capi_batch_t *batch;

    take_events(0, 2, NOW);
    batch = claim(NOW);
    capi_store_begin(store);
    capi_store_unclaim(store, batch->events, batch->count);
    capi_store_rollback(store);
    ck_assert_int_eq(claim(NOW)->count, 2);
}
END_TEST

START_TEST(test_rolled_back_settlement_can_be_made_again)
{
    capi_batch_t *batch;

    take_events(0, 2, NOW);
    batch = claim(NOW);
    capi_store_begin(store);
    capi_store_delivered_all(store, batch->events, 2, batch->request, NOW);
    capi_store_rollback(store);
    ck_assert_int_eq(claim(NOW)->count, 0);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 2);
    deliver(batch, NOW);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 0);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 0);
    ck_assert_int_eq(counter("delivered"), 2);
}
END_TEST

START_TEST(test_failed_statement_spoils_its_transaction_and_no_other)
{
    take_events(0, 1, NOW);
    capi_store_begin(store);
    ck_assert_int_eq(capi_store_note(store, "before", "1"), APR_SUCCESS);
    ck_assert_int_ne(capi_store_note(store, "null value", NULL), APR_SUCCESS);
    ck_assert_int_ne(capi_store_note(store, "after", "1"), APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(capi_store_error(store), "NOT NULL"));
    ck_assert_int_ne(capi_store_commit(store), APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM notes"), 0);
    ck_assert_int_eq(claim(NOW)->count, 1);
}
END_TEST

START_TEST(test_crash_with_a_batch_in_flight_makes_it_due_and_says_so)
{
    take_events(0, 2, NOW);
    ck_assert_int_eq(claim(NOW)->count, 2);
    capi_store_close(store);
    ck_assert_int_eq(open_again(), APR_SUCCESS);
    ck_assert_str_eq(sql("SELECT error FROM attempts"), "interrupted");
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM attempts WHERE finished_at IS NULL"), 0);
    ck_assert_int_eq(claim(NOW)->count, 2);
}
END_TEST

START_TEST(test_delivering_a_batch_with_gaps_touches_no_other_event)
{
    capi_batch_t *batch;
    capi_outgoing_t some[3];

    take_events(0, 8, NOW);
    batch = claim(NOW);
    some[0] = batch->events[0];
    some[1] = batch->events[1];
    some[2] = batch->events[5];
    capi_store_begin(store);
    ck_assert_int_eq(capi_store_delivered_all(store, some, 3, batch->request, NOW), APR_SUCCESS);
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events WHERE state = 10"), 3);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 5);
    ck_assert_int_eq(sql_int("SELECT state FROM events WHERE event_id = 'e5'"),
                     CAPI_STATE_DELIVERED);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 5);
}
END_TEST

START_TEST(test_hold_is_on_record_until_it_is_released)
{
    take_events(0, 1, NOW);
    ck_assert_int_eq(capi_store_hold(store, 1, "401: replace the token", NOW), APR_SUCCESS);
    ck_assert(destination_no(0)->is_held);
    ck_assert_str_eq(destination_no(0)->held_reason, "401: replace the token");
    ck_assert_int_eq(destination_no(0)->held_since, NOW);
    ck_assert_int_eq(capi_store_hold(store, 1, NULL, NOW), APR_SUCCESS);
    ck_assert(!destination_no(0)->is_held);
}
END_TEST

START_TEST(test_event_that_becomes_due_behind_the_cursor_is_found)
{
    capi_envelope_t *named = envelope_at(NOW);
    capi_envelope_t *bind = envelope_at(NOW + SEC(20));
    capi_envelope_event_t *event = add_event(named, CAPI_SOURCE_HEADER, "o1", ADDRESS, "");

    event->is_detached = true;
    event->context = KEY_BIND;
    named->session_key = NULL;
    take(named, NOW);
    take_events(0, 2, NOW + SEC(20));
    ck_assert_int_eq(claim(NOW + SEC(20))->count, 2);
    add_bind(bind, KEY_BIND, true);
    take(bind, NOW + SEC(20));
    ck_assert_int_eq(claim(NOW + SEC(20))->count, 1);
}
END_TEST

START_TEST(test_clock_that_is_set_moves_all_that_waits_along)
{
    capi_envelope_t *named = envelope_at(NOW);
    capi_batch_t *flying;

    take_events(0, 2, NOW);
    flying = claim_most(NOW, 1, CAPI_BATCH_BYTES);
    add_event(named, CAPI_SOURCE_HEADER, "o1", ADDRESS, "");
    take(named, NOW);
    ck_assert_int_eq(capi_store_shift(store, -SEC(3600)), APR_SUCCESS);
    ck_assert_int_eq(claim(NOW - SEC(3600))->count, 1);
    capi_store_unclaim(store, flying->events, flying->count);
    ck_assert_int_eq(claim(NOW - SEC(3600))->count, 1);
    ck_assert_int_eq(claim(NOW - SEC(3600 - 9))->count, 0);
    ck_assert_int_eq(claim(NOW - SEC(3600 - 10))->count, 1);
}
END_TEST

int main(void)
{
    TCase *cases = unit_store_begin("dispatch");

    tcase_add_test(cases, test_no_event_is_claimed_twice_while_a_batch_is_open);
    tcase_add_test(cases, test_batch_ends_before_it_grows_past_its_bytes);
    tcase_add_test(cases, test_what_a_batch_says_of_its_events_lives_as_long_as_the_batch);
    tcase_add_test(cases, test_unclaimed_events_are_due_again_and_no_retry_is_counted);
    tcase_add_test(cases, test_retried_event_comes_back_when_it_is_due_with_its_attempts_on_record);
    tcase_add_test(cases, test_rejected_event_keeps_its_payload_a_week_and_its_reason);
    tcase_add_test(cases, test_event_past_its_age_expires);
    tcase_add_test(cases,
                   test_event_below_pinterests_minimum_is_rejected_here_and_says_what_is_missing);
    tcase_add_test(cases, test_guide_wire_says_the_name_as_it_came);
    tcase_add_test(cases, test_backlog_counts_what_is_due_and_unclaimed_and_says_when_to_look_next);
    tcase_add_test(cases, test_rolled_back_claim_gives_its_events_back);
    tcase_add_test(cases, test_rolled_back_claim_is_found_again_while_another_batch_is_open);
    tcase_add_test(cases, test_event_retried_at_once_is_found_while_another_batch_is_open);
    tcase_add_test(cases, test_unclaimed_in_a_transaction_that_fails_stays_unclaimed);
    tcase_add_test(cases, test_rolled_back_settlement_can_be_made_again);
    tcase_add_test(cases, test_failed_statement_spoils_its_transaction_and_no_other);
    tcase_add_test(cases, test_crash_with_a_batch_in_flight_makes_it_due_and_says_so);
    tcase_add_test(cases, test_delivering_a_batch_with_gaps_touches_no_other_event);
    tcase_add_test(cases, test_hold_is_on_record_until_it_is_released);
    tcase_add_test(cases, test_event_that_becomes_due_behind_the_cursor_is_found);
    tcase_add_test(cases, test_clock_that_is_set_moves_all_that_waits_along);
    return unit_end("store_claim", cases);
}
