/* What the page asks for: once, in order, and what each does to the store. */

#include "ask.h"
#include "unit_store.h"

#define ID_1 "0192a000-0000-7000-8000-000000000001"
#define ID_2 "0192a000-0000-7000-8000-000000000002"

static bool ask_for(const char *id, capi_ask_kind_t kind, const char *subject)
{
    const capi_ask_t ask = {.id = id,
                            .kind = kind,
                            .destination = 1,
                            .subject = subject,
                            .asked_by = "alice",
                            .asked_at = NOW};
    bool is_new;

    ck_assert_msg(capi_ask_add(&is_new, store, &ask) == APR_SUCCESS, "%s", capi_store_error(store));
    return is_new;
}

static void begin(void)
{
    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
}

static void commit(void)
{
    ck_assert_msg(capi_store_commit(store) == APR_SUCCESS, "%s", capi_store_error(store));
}

static void take_one(const char *id, const char *user_data)
{
    capi_envelope_t *envelope = envelope_at(NOW);

    add_event(envelope, CAPI_SOURCE_RULE, id, user_data, "");
    take(envelope, NOW);
}

static void reject(const capi_batch_t *batch, apr_time_t now)
{
    begin();
    capi_store_attempt_end(store, batch->request, 200, "rid-1", NULL, now);
    for (int i = 0; i < batch->count; i++) {
        capi_store_rejected(store, &batch->events[i], batch->request, "bad currency", now);
    }
    commit();
}

static capi_forget_t forget(const char *hash)
{
    capi_forget_t progress = {0};

    while (!progress.is_done) {
        begin();
        ck_assert_int_eq(capi_ask_forget_some(&progress, store, hash, NOW + SEC(20)), APR_SUCCESS);
        commit();
    }
    return progress;
}

START_TEST(test_an_ask_is_kept_once_and_listed_until_it_is_done)
{
    apr_array_header_t *list;

    ck_assert(ask_for(ID_2, CAPI_ASK_PAUSE, NULL));
    ck_assert(ask_for(ID_1, CAPI_ASK_FORGET, EM));
    ck_assert(!ask_for(ID_1, CAPI_ASK_PAUSE, NULL));
    ck_assert_int_eq(capi_ask_list(&list, store, pool), APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 2);
    ck_assert_str_eq(APR_ARRAY_IDX(list, 0, capi_ask_t).subject, EM);
    ck_assert_str_eq(APR_ARRAY_IDX(list, 1, capi_ask_t).id, ID_2);
    begin();
    ck_assert_int_eq(capi_ask_done(store, ID_2, true, "Done.", NOW), APR_SUCCESS);
    commit();
    ck_assert_int_eq(capi_ask_list(&list, store, pool), APR_SUCCESS);
    ck_assert_int_eq(list->nelts, 1);
}
END_TEST

START_TEST(test_the_secret_is_made_once_and_kept)
{
    unsigned char first[CAPI_SECRET_LEN];
    unsigned char again[CAPI_SECRET_LEN];

    ck_assert_int_eq(capi_ask_secret(first, store), APR_SUCCESS);
    capi_store_close(store);
    ck_assert_int_eq(open_again(), APR_SUCCESS);
    ck_assert_int_eq(capi_ask_secret(again, store), APR_SUCCESS);
    ck_assert_mem_eq(first, again, CAPI_SECRET_LEN);
}
END_TEST

START_TEST(test_who_asks_writes_beside_the_sender_and_leaves_its_requests_alone)
{
    capi_store_t *sender = store;
    const char *message;

    take_one("o1", ADDRESS);
    claim(NOW + SEC(10));
    ck_assert_int_eq(capi_store_open_to_ask(&store, &message, "sqlite3", store_file, pool),
                     APR_SUCCESS);
    ck_assert(ask_for(ID_1, CAPI_ASK_TRY, NULL));
    capi_store_close(store);
    store = sender;
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM asks"), 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM attempts WHERE finished_at IS NULL"), 1);
    ck_assert_int_ne(capi_store_open_to_ask(&store, &message, "sqlite3",
                                            apr_pstrcat(pool, store_dir, "/none.db", NULL), pool),
                     APR_SUCCESS);
    store = sender;
}
END_TEST

START_TEST(test_a_pause_is_of_the_destination_and_outlives_the_sender)
{
    take_one("o1", ADDRESS);
    begin();
    ck_assert_int_eq(capi_ask_pause(store, 1, "alice", NOW), APR_SUCCESS);
    commit();
    capi_store_close(store);
    ck_assert_int_eq(open_again(), APR_SUCCESS);
    ck_assert(destination_no(0)->is_paused);
    ck_assert_str_eq(sql("SELECT paused_by FROM destinations"), "alice");
    begin();
    ck_assert_int_eq(capi_ask_pause(store, 1, NULL, NOW), APR_SUCCESS);
    commit();
    ck_assert(!destination_no(0)->is_paused);
    ck_assert_ptr_null(sql("SELECT paused_by FROM destinations"));
}
END_TEST

START_TEST(test_a_rejected_event_goes_again_under_its_id_while_its_data_is_kept)
{
    const capi_batch_t *batch;
    apr_int64_t destination;

    take_one("o1", ADDRESS);
    batch = claim(NOW + SEC(10));
    reject(batch, NOW + SEC(11));
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 0);
    begin();
    ck_assert_int_eq(capi_ask_requeue(&destination, store, batch->events[0].id, NOW + SEC(60)),
                     APR_SUCCESS);
    commit();
    ck_assert_int_eq(destination, 1);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 1);
    batch = claim(NOW + SEC(60));
    ck_assert_int_eq(batch->count, 1);
    ck_assert_str_eq(batch->events[0].event_id, "o1");
    deliver(batch, NOW + SEC(61));
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_DELIVERED);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM event_attempts"), 1);
    begin();
    ck_assert_int_eq(capi_ask_requeue(&destination, store, batch->events[0].id, NOW + SEC(70)),
                     APR_NOTFOUND);
    commit();
}
END_TEST

START_TEST(test_all_rejected_events_go_again_but_none_twice)
{
    int count;

    take_one("o1", ADDRESS);
    take_one("o2", ADDRESS);
    reject(claim(NOW + SEC(10)), NOW + SEC(11));
    take_one("o3", ADDRESS);
    reject(claim(NOW + SEC(20)), NOW + SEC(21));
    begin();
    ck_assert_int_eq(capi_ask_requeue_some(&count, store, 1, NOW + SEC(15), NOW + SEC(30)),
                     APR_SUCCESS);
    ck_assert_int_eq(count, 2);
    ck_assert_int_eq(capi_ask_requeue_some(&count, store, 1, NOW + SEC(15), NOW + SEC(30)),
                     APR_SUCCESS);
    ck_assert_int_eq(count, 0);
    commit();
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 2);
    ck_assert_int_eq(claim(NOW + SEC(30))->count, 2);
}
END_TEST

START_TEST(test_only_what_was_tried_before_is_hurried)
{
    const capi_batch_t *batch;
    int count;

    take_one("o1", ADDRESS);
    batch = claim(NOW + SEC(10));
    begin();
    capi_store_retry(store, &batch->events[0], batch->request, "status 503", NOW + SEC(600),
                     NOW + SEC(10));
    commit();
    take_one("o2", ADDRESS);
    begin();
    ck_assert_int_eq(capi_ask_hurry(&count, store, 1, NOW + SEC(2)), APR_SUCCESS);
    commit();
    ck_assert_int_eq(count, 1);
    batch = claim(NOW + SEC(2));
    ck_assert_int_eq(batch->count, 1);
    ck_assert_str_eq(batch->events[0].event_id, "o1");
}
END_TEST

START_TEST(test_forgetting_erases_contexts_waiting_kept_and_merged_events)
{
    capi_envelope_t *with_visit = envelope_at(NOW);
    capi_envelope_t *second = envelope_at(NOW);
    capi_forget_t done;

    with_visit->user_data = "{\"em\":[\"" EM "\"]}";
    add_event(with_visit, CAPI_SOURCE_RULE, "of-her-visit", ADDRESS, "");
    take(with_visit, NOW);
    take_one("rejected", ADDRESS ",\"em\":[\"" EM "\"]");
    reject(claim_most(NOW + SEC(10), 1, CAPI_BATCH_BYTES), NOW + SEC(11));
    take_one("waiting", ADDRESS ",\"em\":[\"" EM "\"]");
    take_one("merged", ADDRESS);
    add_event(second, CAPI_SOURCE_BACKEND, "merged", "\"em\":[\"" EM "\"]", "");
    take(second, NOW);
    second = envelope_at(NOW);
    second->session_key = KEY_ELSE;
    add_event(second, CAPI_SOURCE_RULE, "another", ADDRESS ",\"em\":[\"" PH "\"]", "");
    take(second, NOW);
    ck_assert(!is_nowhere_on_disk(EM));

    done = forget(EM);

    ck_assert_int_eq(done.visits, 1);
    ck_assert(is_nowhere_on_disk(EM));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visit_keys WHERE name = '" KEY_SELF "'"), 0);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 1);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 1);
    ck_assert_str_eq(sql("SELECT error FROM events WHERE event_id = 'waiting'"),
                     "erased: this person was forgotten");
    ck_assert_int_eq(sql_int("SELECT state FROM events WHERE event_id = 'another'"), 0);
    ck_assert_str_eq(claim(NOW + SEC(30))->events[0].event_id, "another");
}
END_TEST

START_TEST(test_an_event_in_flight_is_forgotten_when_it_comes_back)
{
    const capi_batch_t *batch;

    take_one("o1", ADDRESS ",\"em\":[\"" EM "\"]");
    batch = claim(NOW + SEC(10));
    ck_assert_int_eq(forget(EM).in_flight, 1);
    ck_assert(capi_store_is_denied_since(store, batch->events, 1));
    begin();
    capi_store_retry(store, &batch->events[0], batch->request, "status 503", NOW + SEC(12),
                     NOW + SEC(11));
    commit();
    ck_assert_int_eq(claim(NOW + SEC(20))->count, 0);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_SUPPRESSED);
    ck_assert(is_nowhere_on_disk(EM));
}
END_TEST

START_TEST(test_forgetting_looks_at_every_page_and_at_nothing_but_the_hash)
{
    ck_assert_int_eq(
        capi_db_exec(store,
                     "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <"
                     " 4500) INSERT INTO visits (id, seen_at, consent, decided_at, match_keys,"
                     " user_data) SELECT 3 * i, 1, 1, 1, 1, CASE i WHEN 1 THEN '{\"em\":[\"" EM
                     "\"]}' WHEN 4500 THEN '{\"ph\":[\"" EM "\"]}' ELSE '{\"em\":[\"" PH
                     "\"]}' END FROM n"),
        APR_SUCCESS);
    ck_assert_int_eq(forget(EM).visits, 2);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 4498);
    ck_assert_int_eq(forget(EM).visits, 0);
}
END_TEST

START_TEST(test_the_asker_is_out_of_the_store_before_the_ask_is_done)
{
    apr_array_header_t *list;

    ask_for(ID_1, CAPI_ASK_FORGET, EM);
    begin();
    ck_assert_int_eq(capi_ask_erased(store, ID_1, "Nothing here carries it."), APR_SUCCESS);
    commit();
    ck_assert(is_nowhere_on_disk(EM));
    ck_assert_int_eq(capi_ask_list(&list, store, pool), APR_SUCCESS);
    ck_assert_ptr_null(APR_ARRAY_IDX(list, 0, capi_ask_t).subject);
    ck_assert_str_eq(APR_ARRAY_IDX(list, 0, capi_ask_t).outcome, "Nothing here carries it.");
}
END_TEST

START_TEST(test_what_was_asked_goes_with_the_records_of_its_time)
{
    bool more = true;

    ask_for(ID_1, CAPI_ASK_PAUSE, NULL);
    ask_for(ID_2, CAPI_ASK_FORGET, EM);
    begin();
    capi_ask_done(store, ID_1, true, "Done.", NOW);
    commit();
    while (more) {
        ck_assert_int_eq(capi_store_retain(store, 30, NOW + SEC(31 * 86400), &more), APR_SUCCESS);
    }
    ck_assert_str_eq(sql("SELECT id FROM asks"), ID_2);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM asks"), 1);
}
END_TEST

START_TEST(test_tokens_are_of_one_user_one_form_and_one_store)
{
    static const unsigned char secret[CAPI_SECRET_LEN] = "0123456789abcdef0123456789abcde";
    static const unsigned char other[CAPI_SECRET_LEN] = "1123456789abcdef0123456789abcde";
    char token[4][CAPI_KEYED_LEN + 1];

    capi_form_token(token[0], secret, "alice", ID_1);
    capi_form_token(token[1], secret, "alice", ID_2);
    capi_form_token(token[2], secret, "bob", ID_1);
    capi_form_token(token[3], other, "alice", ID_1);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++) {
            ck_assert_str_ne(token[i], token[j]);
        }
    }
}
END_TEST

int main(void)
{
    TCase *cases = unit_store_begin("asks");

    tcase_add_test(cases, test_an_ask_is_kept_once_and_listed_until_it_is_done);
    tcase_add_test(cases, test_the_secret_is_made_once_and_kept);
    tcase_add_test(cases, test_who_asks_writes_beside_the_sender_and_leaves_its_requests_alone);
    tcase_add_test(cases, test_a_pause_is_of_the_destination_and_outlives_the_sender);
    tcase_add_test(cases, test_a_rejected_event_goes_again_under_its_id_while_its_data_is_kept);
    tcase_add_test(cases, test_all_rejected_events_go_again_but_none_twice);
    tcase_add_test(cases, test_only_what_was_tried_before_is_hurried);
    tcase_add_test(cases, test_forgetting_erases_contexts_waiting_kept_and_merged_events);
    tcase_add_test(cases, test_an_event_in_flight_is_forgotten_when_it_comes_back);
    tcase_add_test(cases, test_forgetting_looks_at_every_page_and_at_nothing_but_the_hash);
    tcase_add_test(cases, test_the_asker_is_out_of_the_store_before_the_ask_is_done);
    tcase_add_test(cases, test_what_was_asked_goes_with_the_records_of_its_time);
    tcase_add_test(cases, test_tokens_are_of_one_user_one_form_and_one_store);
    return unit_end("store_ask", cases);
}
