/* Contexts: what a visit learns, which keys name it, and what a denial takes back. */

#include "unit_store.h"

#define AGENT "Mozilla/5.0 (Macintosh)"

static capi_envelope_t *visitor_at(apr_time_t at, const char *click_id, const char *user_data)
{
    capi_envelope_t *envelope = envelope_at(at);

    envelope->click_id = click_id;
    envelope->address = "203.0.113.9";
    envelope->agent = AGENT;
    envelope->user_data = user_data;
    return envelope;
}

/* A payment provider's call: nothing of a shopper in it. */
static capi_envelope_t *webhook_at(apr_time_t at, const char *id)
{
    capi_envelope_t *envelope = envelope_at(at);
    capi_envelope_event_t *event = add_event(envelope, CAPI_SOURCE_HEADER, id, "", "");

    envelope->session_key = NULL;
    envelope->consent.signal = "default";
    event->context = KEY_BIND;
    event->is_detached = true;
    return envelope;
}

static void take_bind_of_session(apr_time_t at, const char *session, const char *click_id,
                                 bool by_server)
{
    capi_envelope_t *envelope = visitor_at(at, click_id, NULL);

    envelope->session_key = session;
    add_bind(envelope, KEY_BIND, by_server);
    take(envelope, at);
}

START_TEST(test_visit_learns_newest_click_and_every_match_key)
{
    take(visitor_at(NOW, "first", "{\"em\":[\"" EM "\"]}"), NOW);
    take(visitor_at(NOW + 1, "second", "{\"ph\":[\"" PH "\"]}"), NOW + 1);
    take(visitor_at(NOW + 2, NULL, NULL), NOW + 2);
    ck_assert_str_eq(sql("SELECT click_id FROM visits"), "second");
    ck_assert_str_eq(sql("SELECT address FROM visits"), "203.0.113.9");
    ck_assert_ptr_nonnull(strstr(sql("SELECT user_data FROM visits"), EM));
    ck_assert_ptr_nonnull(strstr(sql("SELECT user_data FROM visits"), PH));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 1);
    ck_assert_int_eq(
        sql_int("SELECT match_keys FROM visits"),
        CAPI_KEY_BIT(CAPI_KEY_EM) | CAPI_KEY_BIT(CAPI_KEY_PH) | CAPI_KEY_BIT(CAPI_KEY_CLICK_ID) |
            CAPI_KEY_BIT(CAPI_KEY_CLIENT_IP_ADDRESS) | CAPI_KEY_BIT(CAPI_KEY_CLIENT_USER_AGENT));
}
END_TEST

START_TEST(test_new_values_of_a_match_key_replace_the_old)
{
    take(visitor_at(NOW, NULL, "{\"em\":[\"" EM "\"]}"), NOW);
    take(visitor_at(NOW + 1, NULL, "{\"em\":[\"" PH "\"]}"), NOW + 1);
    ck_assert_str_eq(sql("SELECT user_data FROM visits"), "{\"em\":[\"" PH "\"]}");
}
END_TEST

START_TEST(test_waiting_event_is_completed_by_what_its_visit_learns_later)
{
    capi_envelope_t *envelope = visitor_at(NOW, "dj0", NULL);
    const char *text;

    add_event(envelope, CAPI_SOURCE_RULE, "o1", "\"client_user_agent\":\"own\"", "");
    take(envelope, NOW);
    take(visitor_at(NOW + 1, NULL, "{\"em\":[\"" EM "\"]}"), NOW + 1);
    text = claim(NOW + SEC(10))->events[0].text;
    ck_assert_ptr_nonnull(strstr(text, EM));
    ck_assert_ptr_nonnull(strstr(text, "\"click_id\":\"dj0\""));
    ck_assert_ptr_nonnull(strstr(text, "203.0.113.9"));
    ck_assert_ptr_nonnull(strstr(text, "\"client_user_agent\":\"own\""));
    ck_assert_ptr_null(strstr(text, AGENT));
    ck_assert_int_eq(sql_int("SELECT match_keys FROM events"),
                     sql_int("SELECT match_keys FROM visits"));
}
END_TEST

START_TEST(test_visit_without_a_grant_keeps_the_decision_alone)
{
    capi_envelope_t *envelope = visitor_at(NOW, "dj0", "{\"em\":[\"" EM "\"]}");

    set_consent(envelope, CAPI_CONSENT_DENIED, "header");
    add_bind(envelope, KEY_BIND, true);
    take(envelope, NOW);
    ck_assert_int_eq(sql_int("SELECT consent FROM visits"), CAPI_CONSENT_DENIED);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visit_keys"), 2);
    ck_assert_int_eq(sql_int("SELECT match_keys FROM visits"), 0);
    ck_assert_ptr_null(sql("SELECT COALESCE(click_id, address, agent, user_data) FROM visits"));
    ck_assert(is_nowhere_on_disk(EM));
}
END_TEST

START_TEST(test_denial_erases_the_visit_and_withdraws_what_waits_for_good)
{
    capi_envelope_t *event = visitor_at(NOW, "dj0", "{\"em\":[\"" EM "\"]}");
    capi_envelope_t *denial = visitor_at(NOW + 1, NULL, NULL);

    add_event(event, CAPI_SOURCE_RULE, "o1", ADDRESS, "");
    take(event, NOW);
    set_consent(denial, CAPI_CONSENT_DENIED, "header");
    take(denial, NOW + 1);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_SUPPRESSED);
    ck_assert_int_eq(sql_int("SELECT consent FROM events"), CAPI_CONSENT_DENIED);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 0);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 0);
    ck_assert_int_eq(counter("suppressed"), 1);
    ck_assert(is_nowhere_on_disk(EM));
    ck_assert(is_nowhere_on_disk("203.0.113.9"));
    take(visitor_at(NOW + 2, "new", NULL), NOW + 2);
    ck_assert_int_eq(claim(NOW + SEC(60))->count, 0);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_SUPPRESSED);
    ck_assert_str_eq(sql("SELECT click_id FROM visits"), "new");
}
END_TEST

START_TEST(test_denial_reaches_an_event_that_comes_back_from_a_failed_request)
{
    capi_envelope_t *event = visitor_at(NOW, NULL, NULL);
    capi_envelope_t *denial = visitor_at(NOW + SEC(11), NULL, NULL);
    capi_batch_t *batch;

    add_event(event, CAPI_SOURCE_RULE, "o1", ADDRESS, "");
    take(event, NOW);
    batch = claim(NOW + SEC(10));
    set_consent(denial, CAPI_CONSENT_DENIED, "header");
    take(denial, NOW + SEC(11));
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_QUEUED);
    capi_store_begin(store);
    capi_store_retry_all(store, batch->events, batch->count, batch->request, "reset", NOW + SEC(20),
                         NOW + SEC(12));
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    batch = claim(NOW + SEC(20));
    ck_assert_int_eq(batch->count, 0);
    ck_assert_int_eq(batch->settled, 1);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_SUPPRESSED);
}
END_TEST

START_TEST(test_answer_of_a_visit_holds_where_a_place_has_only_its_default)
{
    capi_envelope_t *denial = visitor_at(NOW, NULL, NULL);
    capi_envelope_t *page = visitor_at(NOW + 1, "dj0", NULL);

    set_consent(denial, CAPI_CONSENT_DENIED, "header");
    take(denial, NOW);
    set_consent(page, CAPI_CONSENT_GRANTED, "default");
    add_event(page, CAPI_SOURCE_RULE, "p1", ADDRESS, "");
    take(page, NOW + 1);
    ck_assert_int_eq(tally.suppressed, 1);
    ck_assert_ptr_null(sql("SELECT click_id FROM visits"));
    take(visitor_at(NOW + 2, NULL, NULL), NOW + 2);
    set_consent(page, CAPI_CONSENT_DENIED, "default");
    page->events[0].event_id = "p2";
    take(page, NOW + 3);
    ck_assert_int_eq(tally.added, 1);
}
END_TEST

START_TEST(test_slow_request_does_not_undo_a_later_answer)
{
    capi_envelope_t *denial = visitor_at(NOW + 5, NULL, NULL);

    take(visitor_at(NOW, "dj0", NULL), NOW);
    set_consent(denial, CAPI_CONSENT_DENIED, "header");
    take(denial, NOW + 6);
    take(visitor_at(NOW + 4, "late", NULL), NOW + 7);
    ck_assert_int_eq(sql_int("SELECT consent FROM visits"), CAPI_CONSENT_DENIED);
    ck_assert_ptr_null(sql("SELECT click_id FROM visits"));
}
END_TEST

START_TEST(test_denial_after_the_clock_was_set_back_is_heard)
{
    capi_envelope_t *denial = visitor_at(NOW + 5, NULL, NULL);

    take(visitor_at(NOW + SEC(3600), "dj0", NULL), NOW + SEC(3600));
    set_consent(denial, CAPI_CONSENT_DENIED, "header");
    take(denial, NOW + 6);
    ck_assert_int_eq(sql_int("SELECT consent FROM visits"), CAPI_CONSENT_DENIED);
}
END_TEST

START_TEST(test_detached_event_is_completed_from_a_bind_that_was_there)
{
    const char *text;

    take_bind_of_session(NOW, KEY_SELF, "dj0", true);
    take(webhook_at(NOW + SEC(60), "o1"), NOW + SEC(60));
    text = claim(NOW + SEC(70))->events[0].text;
    ck_assert_ptr_nonnull(strstr(text, "\"click_id\":\"dj0\""));
    ck_assert_ptr_nonnull(strstr(text, AGENT));
    ck_assert_str_eq(sql("SELECT consent_signal FROM events"), "header");
}
END_TEST

START_TEST(test_detached_event_waits_for_its_bind_and_its_merge_window)
{
    take(webhook_at(NOW, "o1"), NOW);
    ck_assert_int_eq(claim(NOW + SEC(20))->count, 0);
    take_bind_of_session(NOW + SEC(30), KEY_SELF, "dj0", true);
    ck_assert_int_eq(claim(NOW + SEC(30))->count, 1);

    take(webhook_at(NOW + SEC(100), "o2"), NOW + SEC(100));
    ck_assert_int_eq(claim(NOW + SEC(109))->count, 0);
    ck_assert_int_eq(claim(NOW + SEC(110))->count, 1);
}
END_TEST

START_TEST(test_bind_that_comes_first_does_not_cut_the_merge_window_short)
{
    take(webhook_at(NOW, "o1"), NOW);
    take_bind_of_session(NOW + SEC(1), KEY_SELF, "dj0", true);
    ck_assert_int_eq(claim(NOW + SEC(9))->count, 0);
    ck_assert_int_eq(claim(NOW + SEC(10))->count, 1);
}
END_TEST

START_TEST(test_detached_event_goes_on_alone_after_two_minutes)
{
    capi_envelope_t *granted = webhook_at(NOW, "o1");
    capi_envelope_t *unknown = webhook_at(NOW, "o2");
    capi_envelope_t *bare = webhook_at(NOW, "o3");
    capi_batch_t *batch;

    granted->events[0].json = "{\"event_id\":\"o1\",\"user_data\":{\"em\":[\"" EM "\"]}}";
    granted->events[0].json_len = strlen(granted->events[0].json);
    set_consent(unknown, CAPI_CONSENT_UNKNOWN, NULL);
    take(granted, NOW);
    take(unknown, NOW);
    ck_assert_int_eq(tally.added, 1);
    take(bare, NOW);
    ck_assert_int_eq(claim(NOW + SEC(119))->count, 0);
    batch = claim(NOW + SEC(120));
    ck_assert_int_eq(batch->count, 1);
    ck_assert_str_eq(batch->events[0].event_id, "o1");
    ck_assert_int_eq(sql_int("SELECT state FROM events WHERE event_id = 'o2'"),
                     CAPI_STATE_SUPPRESSED);
    ck_assert_int_eq(sql_int("SELECT state FROM events WHERE event_id = 'o3'"),
                     CAPI_STATE_REJECTED);
    ck_assert_ptr_nonnull(
        strstr(sql("SELECT error FROM events WHERE event_id = 'o3'"), "client_ip_address"));
    ck_assert_int_eq(counter("consent:unknown:none:suppressed"), 1);
}
END_TEST

START_TEST(test_detached_event_follows_its_contexts_denial)
{
    capi_envelope_t *denial = visitor_at(NOW, NULL, NULL);

    take(webhook_at(NOW, "o1"), NOW);
    set_consent(denial, CAPI_CONSENT_DENIED, "header");
    add_bind(denial, KEY_BIND, true);
    take(denial, NOW);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_SUPPRESSED);
    take(webhook_at(NOW + 1, "o2"), NOW + 1);
    ck_assert_int_eq(tally.suppressed, 1);
    ck_assert_int_eq(claim(NOW + SEC(200))->count, 0);
}
END_TEST

START_TEST(test_waiting_detached_event_takes_consent_from_the_context_that_comes)
{
    static const capi_consent_state_t contexts[] = {CAPI_CONSENT_GRANTED, CAPI_CONSENT_DENIED};
    static const int counts[] = {1, 0};

    for (int i = 0; i < 2; i++) {
        apr_time_t at = NOW + SEC(1000 * i);
        const char *key = apr_psprintf(pool, "bind-%d", i);
        capi_envelope_t *hook = webhook_at(at, apr_psprintf(pool, "o%d", i));
        capi_envelope_t *visitor = visitor_at(at, NULL, NULL);

        hook->events[0].context = key;
        set_consent(hook, counts[i] ? CAPI_CONSENT_UNKNOWN : CAPI_CONSENT_GRANTED, "default");
        take(hook, at);
        visitor->session_key = apr_psprintf(pool, "session-%d", i);
        set_consent(visitor, contexts[i], "default");
        add_bind(visitor, key, true);
        take(visitor, at);
        ck_assert_int_eq(claim(at + SEC(10))->count, counts[i]);
    }
    ck_assert_int_eq(sql_int("SELECT consent FROM events WHERE event_id = 'o0'"),
                     CAPI_CONSENT_GRANTED);
    ck_assert_int_eq(sql_int("SELECT state FROM events WHERE event_id = 'o1'"),
                     CAPI_STATE_SUPPRESSED);
}
END_TEST

START_TEST(test_first_bind_stands_and_later_ones_add_what_is_missing)
{
    capi_envelope_t *second = visitor_at(NOW + 1, "other", "{\"em\":[\"" EM "\"]}");
    const char *text;

    take_bind_of_session(NOW, KEY_SELF, "dj0", true);
    second->session_key = KEY_ELSE;
    add_bind(second, KEY_BIND, true);
    take(second, NOW + 1);
    take(webhook_at(NOW + 2, "o1"), NOW + 2);
    text = claim(NOW + SEC(20))->events[0].text;
    ck_assert_ptr_nonnull(strstr(text, "\"click_id\":\"dj0\""));
    ck_assert_ptr_nonnull(strstr(text, EM));
}
END_TEST

START_TEST(test_server_takes_a_browsers_bind_and_a_browser_never_the_servers)
{
    take_bind_of_session(NOW, KEY_ELSE, "forged", false);
    take(webhook_at(NOW + 1, "o1"), NOW + 1);
    take_bind_of_session(NOW + 2, KEY_SELF, "dj0", true);
    take_bind_of_session(NOW + 3, KEY_ELSE, "forged", false);
    ck_assert_ptr_nonnull(strstr(claim(NOW + SEC(20))->events[0].text, "\"click_id\":\"dj0\""));
}
END_TEST

START_TEST(test_a_browsers_bind_adds_nothing_to_a_servers)
{
    take_bind_of_session(NOW, KEY_SELF, NULL, true);
    take_bind_of_session(NOW + 1, KEY_ELSE, "forged", false);
    take(webhook_at(NOW + 2, "o1"), NOW + 2);
    ck_assert_ptr_null(strstr(claim(NOW + SEC(20))->events[0].text, "forged"));
}
END_TEST

START_TEST(test_bind_of_a_request_without_a_visit_makes_one)
{
    capi_envelope_t *envelope = visitor_at(NOW, "dj0", NULL);

    envelope->session_key = NULL;
    add_bind(envelope, KEY_BIND, true);
    take(envelope, NOW);
    ck_assert_int_eq(tally.binds, 1);
    take(envelope, NOW + 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 1);
    take(webhook_at(NOW + 2, "o1"), NOW + 2);
    ck_assert_int_eq(claim(NOW + SEC(20))->count, 1);
}
END_TEST

START_TEST(test_visit_cookie_carries_a_visit_over_to_a_new_session)
{
    capi_envelope_t *before = visitor_at(NOW, "dj0", NULL);
    capi_envelope_t *after = visitor_at(NOW + 1, NULL, NULL);

    before->visit_key = after->visit_key = KEY_ELSE;
    after->session_key = "99999999999999999999999999999999";
    take(before, NOW);
    take(after, NOW + 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visit_keys"), 3);
}
END_TEST

START_TEST(test_rolled_back_visit_is_not_remembered)
{
    capi_envelope_t *envelope = visitor_at(NOW, "dj0", NULL);

    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
    ck_assert_int_eq(capi_store_take(store, envelope, NOW, &tally, pool), APR_SUCCESS);
    capi_store_rollback(store);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 0);
    take(envelope, NOW);
    take(envelope, NOW + 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 1);
}
END_TEST

int main(void)
{
    TCase *cases = unit_store_begin("visits");

    tcase_add_test(cases, test_visit_learns_newest_click_and_every_match_key);
    tcase_add_test(cases, test_new_values_of_a_match_key_replace_the_old);
    tcase_add_test(cases, test_waiting_event_is_completed_by_what_its_visit_learns_later);
    tcase_add_test(cases, test_visit_without_a_grant_keeps_the_decision_alone);
    tcase_add_test(cases, test_denial_erases_the_visit_and_withdraws_what_waits_for_good);
    tcase_add_test(cases, test_denial_reaches_an_event_that_comes_back_from_a_failed_request);
    tcase_add_test(cases, test_answer_of_a_visit_holds_where_a_place_has_only_its_default);
    tcase_add_test(cases, test_slow_request_does_not_undo_a_later_answer);
    tcase_add_test(cases, test_denial_after_the_clock_was_set_back_is_heard);
    tcase_add_test(cases, test_detached_event_is_completed_from_a_bind_that_was_there);
    tcase_add_test(cases, test_detached_event_waits_for_its_bind_and_its_merge_window);
    tcase_add_test(cases, test_bind_that_comes_first_does_not_cut_the_merge_window_short);
    tcase_add_test(cases, test_detached_event_goes_on_alone_after_two_minutes);
    tcase_add_test(cases, test_detached_event_follows_its_contexts_denial);
    tcase_add_test(cases, test_waiting_detached_event_takes_consent_from_the_context_that_comes);
    tcase_add_test(cases, test_first_bind_stands_and_later_ones_add_what_is_missing);
    tcase_add_test(cases, test_server_takes_a_browsers_bind_and_a_browser_never_the_servers);
    tcase_add_test(cases, test_a_browsers_bind_adds_nothing_to_a_servers);
    tcase_add_test(cases, test_bind_of_a_request_without_a_visit_makes_one);
    tcase_add_test(cases, test_visit_cookie_carries_a_visit_over_to_a_new_session);
    tcase_add_test(cases, test_rolled_back_visit_is_not_remembered);
    return unit_end("store_visit", cases);
}
