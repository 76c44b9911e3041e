/* Retention and counters. */

#include "unit_store.h"

#define DAYS(n) SEC((n)*86400)

static void retain_all(apr_time_t now)
{
    bool more = true;
    int rounds = 0;

    while (more) {
        ck_assert_msg(capi_store_retain(store, 30, now, &more) == APR_SUCCESS, "%s",
                      capi_store_error(store));
        rounds++;
        ck_assert_int_lt(rounds, 100);
    }
}

static void take_one(const char *id, apr_time_t at, bool is_named)
{
    capi_envelope_t *envelope = envelope_at(at);

    envelope->address = "203.0.113.9";
    add_event(envelope, CAPI_SOURCE_RULE, id, ADDRESS, "")->is_named = is_named;
    take(envelope, at);
}

START_TEST(test_old_records_and_contexts_go_and_young_ones_stay)
{
    take_one("old", NOW, false);
    deliver(claim(NOW), NOW);
    take_one("young", NOW + DAYS(20), false);
    deliver(claim(NOW + DAYS(20)), NOW + DAYS(20));
    retain_all(NOW + DAYS(30) + 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 1);
    ck_assert_str_eq(sql("SELECT event_id FROM events"), "young");
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM attempts"), 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 1);
    retain_all(NOW + DAYS(60));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 0);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 0);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visit_keys"), 0);
}
END_TEST

START_TEST(test_visit_that_was_forgotten_is_made_anew)
{
    take_one("e1", NOW, false);
    retain_all(NOW + DAYS(31));
    take_one("e2", NOW + DAYS(31), false);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visit_keys"), 1);
}
END_TEST

START_TEST(test_named_id_is_a_duplicate_for_400_days_after_its_record_is_gone)
{
    take_one("o1", NOW, true);
    take_one("minted", NOW, false);
    deliver(claim(NOW + SEC(10)), NOW + SEC(10));
    retain_all(NOW + DAYS(31));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 0);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM used_ids"), 1);
    take_one("o1", NOW + DAYS(31), true);
    ck_assert_int_eq(tally.duplicates, 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 0);
    capi_store_close(store);
    ck_assert_int_eq(open_again(), APR_SUCCESS);
    take_one("o1", NOW + DAYS(32), true);
    ck_assert_int_eq(tally.duplicates, 1);
    retain_all(NOW + DAYS(401));
    take_one("o1", NOW + DAYS(401), true);
    ck_assert_int_eq(tally.added, 1);
}
END_TEST

START_TEST(test_event_that_waits_past_its_age_expires_even_where_nobody_claims)
{
    take_one("e1", NOW, false);
    take_one("e2", NOW + DAYS(5), false);
    retain_all(NOW + DAYS(8));
    ck_assert_int_eq(sql_int("SELECT state FROM events WHERE event_id = 'e1'"), CAPI_STATE_EXPIRED);
    ck_assert_int_eq(sql_int("SELECT state FROM events WHERE event_id = 'e2'"), CAPI_STATE_QUEUED);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 1);
}
END_TEST

START_TEST(test_retention_never_takes_what_is_in_flight_or_waits)
{
    capi_batch_t *batch;

    take_one("e1", NOW, false);
    batch = claim(NOW);
    retain_all(NOW + DAYS(40));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 1);
    deliver(batch, NOW + DAYS(40));
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_DELIVERED);
}
END_TEST

START_TEST(test_retention_goes_in_steps_and_gets_through_thousands)
{
    capi_envelope_t *envelope = envelope_at(NOW);
    bool more = false;

    capi_store_begin(store);
    for (int i = 0; i < 2300; i++) {
        envelope->event_count = 0;
        add_event(envelope, CAPI_SOURCE_RULE, apr_psprintf(pool, "e%d", i), ADDRESS, "");
        ck_assert_int_eq(capi_store_take(store, envelope, NOW, &tally, pool), APR_SUCCESS);
    }
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    deliver(claim_most(NOW + SEC(10), 1000, 1 << 30), NOW);
    ck_assert_int_eq(capi_store_retain(store, 30, NOW + DAYS(31), &more), APR_SUCCESS);
    ck_assert(more);
    retain_all(NOW + DAYS(31));
    retain_all(NOW + DAYS(31));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 0);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM used_ids"), 1000);
    ck_assert_int_eq(counter("expired"), 1300);
}
END_TEST

START_TEST(test_counters_are_apart_by_hour_and_written_by_commit_alone)
{
    capi_envelope_t *envelope = envelope_at(NOW);

    take_one("e1", NOW, false);
    take_one("e2", NOW, false);
    take_one("e3", NOW + SEC(3600), false);
    ck_assert_int_eq(counter("received"), 3);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM counters WHERE what = 'received' AND hour > 0"),
                     2);
    ck_assert_int_eq(sql_int("SELECT MAX(n) FROM counters WHERE what = 'received' AND hour > 0"),
                     2);
    capi_store_begin(store);
    add_event(envelope, CAPI_SOURCE_RULE, "late", ADDRESS, "");
    capi_store_take(store, envelope, NOW + SEC(3599), &tally, pool);
    envelope->events[0].event_id = "later";
    capi_store_take(store, envelope, NOW + SEC(7200), &tally, pool);
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM counters WHERE what = 'received' AND hour > 0"),
                     3);
    capi_store_begin(store);
    add_event(envelope, CAPI_SOURCE_RULE, "e4", ADDRESS, "");
    capi_store_take(store, envelope, NOW, &tally, pool);
    capi_store_rollback(store);
    ck_assert_int_eq(counter("received"), 5);
    take_one("e5", NOW, false);
    ck_assert_int_eq(counter("received"), 6);
    ck_assert_int_eq(sql_int("SELECT SUM(n) FROM counters WHERE what = 'received' AND hour < 0"),
                     6);
}
END_TEST

START_TEST(test_note_is_replaced_by_its_name)
{
    ck_assert_int_eq(capi_store_note(store, "sender", "starts"), APR_SUCCESS);
    ck_assert_int_eq(capi_store_note(store, "sender", "runs"), APR_SUCCESS);
    ck_assert_str_eq(sql("SELECT value FROM notes WHERE name = 'sender'"), "runs");
}
END_TEST

START_TEST(test_checkpoint_leaves_an_empty_log)
{
    apr_finfo_t info;

    take_one("e1", NOW, false);
    ck_assert_int_eq(capi_store_checkpoint(store), APR_SUCCESS);
    ck_assert_int_eq(
        apr_stat(&info, apr_pstrcat(pool, store_file, "-wal", NULL), APR_FINFO_SIZE, pool),
        APR_SUCCESS);
    ck_assert_int_eq(info.size, 0);
}
END_TEST

int main(void)
{
    TCase *cases = unit_store_begin("keeping");

    tcase_add_test(cases, test_old_records_and_contexts_go_and_young_ones_stay);
    tcase_add_test(cases, test_visit_that_was_forgotten_is_made_anew);
    tcase_add_test(cases, test_named_id_is_a_duplicate_for_400_days_after_its_record_is_gone);
    tcase_add_test(cases, test_event_that_waits_past_its_age_expires_even_where_nobody_claims);
    tcase_add_test(cases, test_retention_never_takes_what_is_in_flight_or_waits);
    tcase_add_test(cases, test_retention_goes_in_steps_and_gets_through_thousands);
    tcase_add_test(cases, test_counters_are_apart_by_hour_and_written_by_commit_alone);
    tcase_add_test(cases, test_note_is_replaced_by_its_name);
    tcase_add_test(cases, test_checkpoint_leaves_an_empty_log);
    return unit_end("store_keep", cases);
}
