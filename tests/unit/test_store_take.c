/* What becomes of events that come in: consent, merging, duplicates, claims. */

#include "unit_store.h"

START_TEST(test_granted_event_waits_for_its_merge_window_and_goes_out_as_it_came)
{
    capi_envelope_t *envelope = envelope_at(NOW);
    capi_envelope_event_t *event =
        add_event(envelope, CAPI_SOURCE_HEADER, "o1", "\"em\":[\"" EM "\"]", "");
    capi_batch_t *batch;

    take(envelope, NOW);
    ck_assert_int_eq(tally.added, 1);
    ck_assert_int_eq(claim(NOW + SEC(10) - 1)->count, 0);
    batch = claim(NOW + SEC(10));
    ck_assert_int_eq(batch->count, 1);
    ck_assert_str_eq(batch->events[0].text, event->json);
    ck_assert_uint_eq(batch->events[0].len, event->json_len);
    ck_assert_int_eq(batch->events[0].keys, CAPI_KEY_BIT(CAPI_KEY_EM));
    deliver(batch, NOW + SEC(11));
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_DELIVERED);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 0);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 0);
    ck_assert_str_eq(sql("SELECT a.request_id FROM attempts a JOIN events e ON e.attempt = a.id"),
                     "rid-1");
    ck_assert_int_eq(counter("delivered"), 1);
    ck_assert_int_eq(counter("key:em"), 1);
    ck_assert_int_eq(counter("consent:granted:header:sent"), 1);
    ck_assert(is_nowhere_on_disk(EM));
}
END_TEST

START_TEST(test_minted_id_goes_at_once)
{
    capi_envelope_t *envelope = envelope_at(NOW);

    add_event(envelope, CAPI_SOURCE_RULE, "minted", ADDRESS, "")->is_named = false;
    take(envelope, NOW);
    ck_assert_int_eq(claim(NOW)->count, 1);
}
END_TEST

START_TEST(test_event_without_a_grant_is_suppressed_and_keeps_no_person)
{
    capi_envelope_t *denied = envelope_at(NOW);
    capi_envelope_t *unknown = envelope_at(NOW);

    set_consent(denied, CAPI_CONSENT_DENIED, "header");
    add_event(denied, CAPI_SOURCE_HEADER, "o1", "\"em\":[\"" EM "\"]", "");
    unknown->session_key = KEY_ELSE;
    set_consent(unknown, CAPI_CONSENT_UNKNOWN, NULL);
    add_event(unknown, CAPI_SOURCE_HEADER, "o2", "\"em\":[\"" EM "\"]", "");
    take(denied, NOW);
    ck_assert_int_eq(tally.suppressed, 1);
    take(unknown, NOW);
    ck_assert_int_eq(tally.suppressed, 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events WHERE state = 12 AND match_keys = 0"), 2);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 0);
    ck_assert_int_eq(counter("suppressed"), 2);
    ck_assert_int_eq(counter("consent:denied:header:suppressed"), 1);
    ck_assert(is_nowhere_on_disk(EM));
}
END_TEST

START_TEST(test_own_word_of_the_event_is_stronger_than_its_request)
{
    capi_envelope_t *denied = envelope_at(NOW);
    capi_envelope_t *granted = envelope_at(NOW);

    set_consent(denied, CAPI_CONSENT_DENIED, "header");
    add_event(denied, CAPI_SOURCE_BACKEND, "o1", "\"em\":[\"" EM "\"]", "")->consent =
        CAPI_CONSENT_GRANTED;
    granted->session_key = KEY_ELSE;
    add_event(granted, CAPI_SOURCE_HEADER, "o2", "\"em\":[\"" EM "\"]", "")->consent =
        CAPI_CONSENT_DENIED;
    take(denied, NOW);
    take(granted, NOW);
    ck_assert_int_eq(claim(NOW + SEC(10))->count, 1);
    ck_assert_str_eq(sql("SELECT consent_signal FROM events WHERE event_id = 'o1'"), "backend");
    ck_assert_int_eq(sql_int("SELECT state FROM events WHERE event_id = 'o2'"),
                     CAPI_STATE_SUPPRESSED);
}
END_TEST

START_TEST(test_sources_merge_field_by_field_by_their_strength)
{
    static const struct {
        capi_source_t source;
        const char *user_data;
        const char *rest;
    } said[] = {
        {CAPI_SOURCE_RULE, ADDRESS, "\"custom_data\":{\"value\":\"1\",\"currency\":\"EUR\"}"},
        {CAPI_SOURCE_BACKEND, "\"em\":[\"" EM "\"]", "\"custom_data\":{\"value\":\"3\"}"},
        {CAPI_SOURCE_HEADER, "\"ph\":[\"" PH "\"]",
         "\"custom_data\":{\"value\":\"2\",\"order_id\":\"7\",\"currency\":\"USD\"}"},
        {CAPI_SOURCE_BROWSER, "\"click_id\":\"dj0\"",
         "\"custom_data\":{\"value\":\"0\",\"num_items\":2}"},
    };
    capi_batch_t *batch;
    const char *text;

    for (int i = 0; i < 4; i++) {
        capi_envelope_t *envelope = envelope_at(NOW + i);

        add_event(envelope, said[i].source, "o1", said[i].user_data, said[i].rest);
        take(envelope, NOW + i);
        ck_assert_int_eq(i ? tally.merged : tally.added, 1);
    }
    batch = claim(NOW + SEC(10));
    ck_assert_int_eq(batch->count, 1);
    text = batch->events[0].text;
    ck_assert_ptr_nonnull(strstr(text, "\"value\":\"3\""));
    ck_assert_ptr_nonnull(strstr(text, "\"currency\":\"USD\""));
    ck_assert_ptr_nonnull(strstr(text, "\"order_id\":\"7\""));
    ck_assert_ptr_nonnull(strstr(text, "\"num_items\":2"));
    ck_assert_ptr_nonnull(strstr(text, EM));
    ck_assert_ptr_nonnull(strstr(text, PH));
    ck_assert_ptr_nonnull(strstr(text, "203.0.113.9"));
    ck_assert_ptr_nonnull(strstr(text, "dj0"));
    ck_assert_int_eq(batch->events[0].keys, sql_int("SELECT match_keys FROM events"));
    ck_assert_int_eq(sql_int("SELECT source FROM events"), CAPI_SOURCE_BACKEND);
    ck_assert_int_eq(counter("merged"), 3);
    deliver(batch, NOW + SEC(11));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM layers"), 0);
    ck_assert(is_nowhere_on_disk(PH));
}
END_TEST

START_TEST(test_within_one_source_the_first_word_stands_and_later_ones_add)
{
    capi_envelope_t *first = envelope_at(NOW);
    capi_envelope_t *second = envelope_at(NOW);
    capi_batch_t *batch;
    const char *text;

    add_event(first, CAPI_SOURCE_RULE, "o1", ADDRESS, "\"custom_data\":{\"value\":\"1\"}");
    add_event(second, CAPI_SOURCE_RULE, "o1", "\"em\":[\"" EM "\"]",
              "\"custom_data\":{\"value\":\"2\",\"order_id\":\"7\"}");
    take(first, NOW);
    take(second, NOW);
    ck_assert_int_eq(sql_int("SELECT match_keys FROM outbox"),
                     sql_int("SELECT match_keys FROM events"));
    batch = claim(NOW + SEC(10));
    text = batch->events[0].text;
    ck_assert_ptr_nonnull(strstr(text, "\"value\":\"1\""));
    ck_assert_ptr_nonnull(strstr(text, "\"order_id\":\"7\""));
    ck_assert_ptr_nonnull(strstr(text, EM));
    ck_assert(batch->events[0].keys & CAPI_KEY_BIT(CAPI_KEY_EM));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM layers"), 0);
}
END_TEST

static void deliver_one_of(capi_source_t source, const char *id)
{
    capi_envelope_t *envelope = envelope_at(NOW);

    add_event(envelope, source, id, ADDRESS, "");
    take(envelope, NOW);
    deliver(claim(NOW + SEC(10)), NOW + SEC(11));
}

START_TEST(test_delivered_event_is_a_duplicate_later)
{
    capi_envelope_t *again = envelope_at(NOW + SEC(20));

    deliver_one_of(CAPI_SOURCE_RULE, "o1");
    add_event(again, CAPI_SOURCE_BACKEND, "o1", "\"em\":[\"" EM "\"]", "");
    take(again, NOW + SEC(20));
    ck_assert_int_eq(tally.duplicates, 1);
    ck_assert_int_eq(tally.added, 0);
    ck_assert_int_eq(claim(NOW + SEC(1000))->count, 0);
    ck_assert_int_eq(counter("duplicate"), 1);
    ck_assert(is_nowhere_on_disk(EM));
}
END_TEST

START_TEST(test_same_id_at_another_destination_or_of_another_name_is_no_duplicate)
{
    capi_envelope_t *test = envelope_at(NOW);
    capi_envelope_t *other = envelope_at(NOW);

    deliver_one_of(CAPI_SOURCE_RULE, "o1");
    test->settings.test = true;
    add_event(test, CAPI_SOURCE_RULE, "o1", ADDRESS, "");
    add_event(other, CAPI_SOURCE_RULE, "o1", ADDRESS, "")->sent_as = "lead";
    take(test, NOW);
    ck_assert_int_eq(tally.added, 1);
    take(other, NOW);
    ck_assert_int_eq(tally.added, 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM destinations"), 2);
}
END_TEST

START_TEST(test_stronger_source_after_a_delivered_browser_event_is_sent_under_the_same_id)
{
    capi_envelope_t *again = envelope_at(NOW + SEC(20));
    capi_envelope_t *third = envelope_at(NOW + SEC(90));
    capi_batch_t *batch;

    deliver_one_of(CAPI_SOURCE_BROWSER, "o1");
    add_event(again, CAPI_SOURCE_HEADER, "o1", "\"em\":[\"" EM "\"]", "");
    take(again, NOW + SEC(20));
    ck_assert_int_eq(tally.added, 1);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_QUEUED);
    batch = claim(NOW + SEC(30));
    ck_assert_int_eq(batch->count, 1);
    ck_assert_str_eq(batch->events[0].event_id, "o1");
    deliver(batch, NOW + SEC(31));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM attempts"), 2);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM event_attempts"), 1);
    add_event(third, CAPI_SOURCE_BACKEND, "o1", "\"em\":[\"" EM "\"]", "");
    take(third, NOW + SEC(90));
    ck_assert_int_eq(tally.duplicates, 1);
}
END_TEST

START_TEST(test_stronger_source_while_the_browser_event_is_on_its_way_is_sent_too)
{
    capi_envelope_t *browser = envelope_at(NOW);
    capi_envelope_t *header = envelope_at(NOW + SEC(10));
    capi_batch_t *batch;

    add_event(browser, CAPI_SOURCE_BROWSER, "o1", ADDRESS, "");
    take(browser, NOW);
    batch = claim(NOW + SEC(10));
    add_event(header, CAPI_SOURCE_HEADER, "o1", "\"em\":[\"" EM "\"]", "");
    take(header, NOW + SEC(10));
    ck_assert_int_eq(claim(NOW + SEC(30))->count, 0);
    deliver(batch, NOW + SEC(31));
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 1);
    batch = claim(NOW + SEC(31));
    ck_assert_int_eq(batch->count, 1);
    ck_assert_ptr_nonnull(strstr(batch->events[0].text, EM));
    deliver(batch, NOW + SEC(32));
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_DELIVERED);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 0);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM layers"), 0);
}
END_TEST

START_TEST(test_event_withheld_for_want_of_an_answer_is_no_duplicate_of_itself)
{
    static const char *const signals[] = {NULL, "default"};
    static const capi_consent_state_t states[] = {CAPI_CONSENT_UNKNOWN, CAPI_CONSENT_DENIED};

    for (int i = 0; i < 2; i++) {
        const char *id = apr_psprintf(pool, "page-%d", i);
        capi_envelope_t *before = envelope_at(NOW);
        capi_envelope_t *after = envelope_at(NOW + SEC(5));

        before->session_key = after->session_key = apr_psprintf(pool, "session-%d", i);
        set_consent(before, states[i], signals[i]);
        add_event(before, CAPI_SOURCE_BROWSER, id, ADDRESS, "");
        add_event(after, CAPI_SOURCE_BROWSER, id, ADDRESS, "");
        take(before, NOW);
        ck_assert_int_eq(tally.suppressed, 1);
        take(before, NOW);
        ck_assert_int_eq(tally.duplicates, 1);
        take(after, NOW + SEC(5));
        ck_assert_int_eq(tally.added, 1);
    }
    ck_assert_int_eq(claim(NOW + SEC(15))->count, 2);
}
END_TEST

START_TEST(test_event_that_was_denied_stays_withheld_after_a_grant)
{
    capi_envelope_t *before = envelope_at(NOW);
    capi_envelope_t *after = envelope_at(NOW + SEC(5));

    set_consent(before, CAPI_CONSENT_DENIED, "header");
    add_event(before, CAPI_SOURCE_BROWSER, "p1", ADDRESS, "");
    add_event(after, CAPI_SOURCE_BROWSER, "p1", ADDRESS, "");
    take(before, NOW);
    take(after, NOW + SEC(5));
    ck_assert_int_eq(tally.duplicates, 1);
    ck_assert_int_eq(claim(NOW + SEC(15))->count, 0);
}
END_TEST

/* Anybody may say anything about `checkout_10492` before the shop does, or within its merge window. */
START_TEST(test_stranger_who_denies_does_not_silence_the_shops_event)
{
    for (int shop_first = 0; shop_first < 2; shop_first++) {
        for (int has_session = 0; has_session < 2; has_session++) {
            const char *id = apr_psprintf(pool, "o%d%d", shop_first, has_session);
            capi_envelope_t *shop = envelope_at(NOW);
            capi_envelope_t *stranger = envelope_at(NOW);

            add_event(shop, CAPI_SOURCE_HEADER, id, ADDRESS, "");
            add_event(stranger, CAPI_SOURCE_BROWSER, id, "", "")->is_claim = true;
            set_consent(stranger, CAPI_CONSENT_DENIED, "bridge");
            stranger->session_key = has_session ? KEY_ELSE : NULL;
            take(shop_first ? shop : stranger, NOW);
            take(shop_first ? stranger : shop, NOW);
        }
    }
    ck_assert_int_eq(claim(NOW + SEC(10))->count, 4);
}
END_TEST

START_TEST(test_shoppers_own_denial_from_the_browser_holds_for_the_shops_event)
{
    capi_envelope_t *shop = envelope_at(NOW);
    capi_envelope_t *browser = envelope_at(NOW + SEC(1));

    add_event(shop, CAPI_SOURCE_HEADER, "o1", ADDRESS, "");
    add_event(browser, CAPI_SOURCE_BROWSER, "o1", "", "")->is_claim = true;
    set_consent(browser, CAPI_CONSENT_DENIED, "bridge");
    take(shop, NOW);
    take(browser, NOW + SEC(1));
    ck_assert_int_eq(claim(NOW + SEC(10))->count, 0);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_SUPPRESSED);
}
END_TEST

static capi_envelope_t *claim_of(const char *id, apr_time_t at)
{
    capi_envelope_t *envelope = envelope_at(at);

    add_event(envelope, CAPI_SOURCE_BROWSER, id, ADDRESS, "\"custom_data\":{\"value\":\"999\"}")
        ->is_claim = true;
    return envelope;
}

START_TEST(test_claim_alone_is_never_sent_and_erased_after_an_hour)
{
    capi_batch_t *batch;

    take(claim_of("o1", NOW), NOW);
    ck_assert_int_eq(claim(NOW + SEC(3599))->count, 0);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_QUEUED);
    batch = claim(NOW + SEC(3600));
    ck_assert_int_eq(batch->count, 0);
    ck_assert_int_eq(batch->settled, 1);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_UNCONFIRMED);
    ck_assert_int_eq(counter("unconfirmed"), 1);
    ck_assert(is_nowhere_on_disk("203.0.113.9"));
}
END_TEST

START_TEST(test_claim_completes_the_shops_event_in_either_order)
{
    for (int shop_first = 0; shop_first < 2; shop_first++) {
        const char *id = apr_psprintf(pool, "o%d", shop_first);
        apr_time_t at = NOW + SEC(100 * shop_first);
        capi_envelope_t *shop = envelope_at(at);
        capi_batch_t *batch;

        add_event(shop, CAPI_SOURCE_HEADER, id, "\"em\":[\"" EM "\"]",
                  "\"custom_data\":{\"value\":\"129.95\"}");
        take(shop_first ? shop : claim_of(id, at), at);
        take(shop_first ? claim_of(id, at) : shop, at);
        ck_assert_int_eq(tally.merged, 1);
        batch = claim(at + SEC(10));
        ck_assert_int_eq(batch->count, 1);
        ck_assert_ptr_nonnull(strstr(batch->events[0].text, "129.95"));
        ck_assert_ptr_nonnull(strstr(batch->events[0].text, "203.0.113.9"));
        deliver(batch, at + SEC(11));
    }
}
END_TEST

START_TEST(test_consent_of_a_confirmed_claim_is_the_shops)
{
    capi_envelope_t *shop = envelope_at(NOW);
    capi_envelope_t *stranger = claim_of("o1", NOW);

    stranger->session_key = KEY_ELSE;
    set_consent(shop, CAPI_CONSENT_DENIED, "default");
    shop->settings.on_denied = "limited";
    add_event(shop, CAPI_SOURCE_HEADER, "o1", "\"em\":[\"" EM "\"]," ADDRESS, "");
    shop->session_key = NULL;
    take(stranger, NOW);
    take(shop, NOW);
    ck_assert_int_eq(sql_int("SELECT consent FROM events"), CAPI_CONSENT_DENIED);
}
END_TEST

START_TEST(test_shops_event_after_an_unconfirmed_claim_is_sent)
{
    capi_envelope_t *shop = envelope_at(NOW + SEC(4000));

    take(claim_of("o1", NOW), NOW);
    claim(NOW + SEC(3600));
    take(claim_of("o1", NOW + SEC(3700)), NOW + SEC(3700));
    ck_assert_int_eq(tally.duplicates, 1);
    add_event(shop, CAPI_SOURCE_HEADER, "o1", "\"em\":[\"" EM "\"]", "");
    take(shop, NOW + SEC(4000));
    ck_assert_int_eq(tally.added, 1);
    ck_assert_int_eq(claim(NOW + SEC(4010))->count, 1);
}
END_TEST

START_TEST(test_record_read_twice_after_a_crash_is_one_event)
{
    capi_envelope_t *envelope = envelope_at(NOW);

    add_event(envelope, CAPI_SOURCE_RULE, "minted", ADDRESS, "")->is_named = false;
    add_bind(envelope, KEY_BIND, true);
    take(envelope, NOW);
    capi_store_close(store);
    ck_assert_int_eq(open_again(), APR_SUCCESS);
    take(envelope, NOW);
    ck_assert_int_eq(claim(NOW)->count, 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 1);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM visits"), 1);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 1);
}
END_TEST

START_TEST(test_denied_second_word_withdraws_the_waiting_event)
{
    capi_envelope_t *first = envelope_at(NOW);
    capi_envelope_t *second = envelope_at(NOW);

    add_event(first, CAPI_SOURCE_RULE, "o1", ADDRESS, "");
    second->session_key = KEY_ELSE;
    add_event(second, CAPI_SOURCE_BACKEND, "o1", "", "")->consent = CAPI_CONSENT_DENIED;
    take(first, NOW);
    take(second, NOW);
    ck_assert_int_eq(tally.suppressed, 1);
    ck_assert_int_eq(claim(NOW + SEC(10))->count, 0);
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_SUPPRESSED);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 0);
    ck_assert(is_nowhere_on_disk("203.0.113.9"));
}
END_TEST

int main(void)
{
    TCase *cases = unit_store_begin("intake");

    tcase_add_test(cases, test_granted_event_waits_for_its_merge_window_and_goes_out_as_it_came);
    tcase_add_test(cases, test_minted_id_goes_at_once);
    tcase_add_test(cases, test_event_without_a_grant_is_suppressed_and_keeps_no_person);
    tcase_add_test(cases, test_own_word_of_the_event_is_stronger_than_its_request);
    tcase_add_test(cases, test_sources_merge_field_by_field_by_their_strength);
    tcase_add_test(cases, test_within_one_source_the_first_word_stands_and_later_ones_add);
    tcase_add_test(cases, test_delivered_event_is_a_duplicate_later);
    tcase_add_test(cases, test_same_id_at_another_destination_or_of_another_name_is_no_duplicate);
    tcase_add_test(cases,
                   test_stronger_source_after_a_delivered_browser_event_is_sent_under_the_same_id);
    tcase_add_test(cases, test_stronger_source_while_the_browser_event_is_on_its_way_is_sent_too);
    tcase_add_test(cases, test_event_withheld_for_want_of_an_answer_is_no_duplicate_of_itself);
    tcase_add_test(cases, test_event_that_was_denied_stays_withheld_after_a_grant);
    tcase_add_test(cases, test_stranger_who_denies_does_not_silence_the_shops_event);
    tcase_add_test(cases, test_shoppers_own_denial_from_the_browser_holds_for_the_shops_event);
    tcase_add_test(cases, test_consent_of_a_confirmed_claim_is_the_shops);
    tcase_add_test(cases, test_claim_alone_is_never_sent_and_erased_after_an_hour);
    tcase_add_test(cases, test_claim_completes_the_shops_event_in_either_order);
    tcase_add_test(cases, test_shops_event_after_an_unconfirmed_claim_is_sent);
    tcase_add_test(cases, test_record_read_twice_after_a_crash_is_one_event);
    tcase_add_test(cases, test_denied_second_word_withdraws_the_waiting_event);
    return unit_end("store_take", cases);
}
