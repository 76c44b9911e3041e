/* What becomes of an event without consent, by its rule: while it waits, at its claim, on a retry. */

#include "unit_store.h"

#include "event.h"

#define BOTH  "\"em\":[\"" EM "\"],\"ph\":[\"" PH "\"]," ADDRESS
#define CLICK "\"click_id\":\"dj0planted\","

static capi_envelope_t *ruled_at(apr_time_t at, const char *on_denied)
{
    capi_envelope_t *envelope = envelope_at(at);

    envelope->settings.on_denied = on_denied;
    return envelope;
}

static void take_event(apr_time_t at, const char *on_denied, capi_consent_state_t state,
                       const char *signal)
{
    capi_envelope_t *envelope = ruled_at(at, on_denied);

    set_consent(envelope, state, signal);
    add_event(envelope, CAPI_SOURCE_HEADER, "o1", CLICK BOTH, "");
    take(envelope, at);
}

static void deny_session(apr_time_t at, const char *on_denied)
{
    capi_envelope_t *envelope = ruled_at(at, on_denied);

    set_consent(envelope, CAPI_CONSENT_DENIED, "cmp klaro");
    take(envelope, at);
}

static void postpone(const capi_batch_t *batch, apr_time_t due, apr_time_t now)
{
    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
    ck_assert_int_eq(capi_store_attempt_end(store, batch->request, 503, NULL, "busy", now),
                     APR_SUCCESS);
    ck_assert_int_eq(
        capi_store_retry_all(store, batch->events, batch->count, batch->request, "busy", due, now),
        APR_SUCCESS);
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
}

static void assert_erased(void)
{
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_SUPPRESSED);
    ck_assert_int_eq(sql_int("SELECT action FROM events"), CAPI_ACTION_SUPPRESS);
    ck_assert_int_eq(sql_int("SELECT match_keys FROM events"), 0);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 0);
    ck_assert_int_eq(sql_int("SELECT waiting FROM destinations"), 0);
    ck_assert(is_nowhere_on_disk(EM));
    ck_assert(is_nowhere_on_disk(PH));
    ck_assert(is_nowhere_on_disk("dj0planted"));
    ck_assert(is_nowhere_on_disk("203.0.113.9"));
}

static const struct {
    capi_consent_state_t state;
    const char *signal;
    const char *on_denied;
    const char *action; /* in the counter; what the API sees follows */
    bool has_em, has_ph, is_limited;
} rules[] = {
    {CAPI_CONSENT_GRANTED, "tcf", "suppress", "granted:tcf:sent", true, true, false},
    {CAPI_CONSENT_GRANTED, "tcf", "limited", "granted:tcf:sent", true, true, false},
    {CAPI_CONSENT_GRANTED, "tcf", "strip em", "granted:tcf:sent", true, true, false},
    {CAPI_CONSENT_DENIED, "tcf", "limited", "denied:tcf:limited", true, true, true},
    {CAPI_CONSENT_DENIED, "default", "limited", "denied:default:limited", true, true, true},
    {CAPI_CONSENT_UNKNOWN, "none", "limited", "unknown:none:limited", true, true, true},
    {CAPI_CONSENT_DENIED, "gpc", "strip em", "denied:gpc:stripped", false, true, false},
    {CAPI_CONSENT_UNKNOWN, "none", "strip ph em", "unknown:none:stripped", false, false, false},
};

START_TEST(test_each_rule_sends_what_it_leaves)
{
    const char *on_denied = rules[_i].on_denied;
    capi_batch_t *batch;
    const char *text;

    take_event(NOW, on_denied, rules[_i].state, rules[_i].signal);
    batch = claim(NOW + SEC(10));
    ck_assert_int_eq(batch->count, 1);
    text = batch->events[0].text;
    ck_assert_int_eq(strstr(text, EM) != NULL, rules[_i].has_em);
    ck_assert_int_eq(strstr(text, PH) != NULL, rules[_i].has_ph);
    ck_assert_int_eq(strstr(text, "\"opt_out_type\":\"LDP\"") != NULL, rules[_i].is_limited);
    deliver(batch, NOW + SEC(11));
    ck_assert_int_eq(sql_int("SELECT state FROM events"), CAPI_STATE_DELIVERED);
    ck_assert_int_eq(counter(apr_pstrcat(pool, "consent:", rules[_i].action, NULL)), 1);
    ck_assert_int_eq(counter("key:em"), rules[_i].has_em);
    if (strcmp(on_denied, "suppress") == 0) {
        ck_assert_ptr_null(sql("SELECT on_denied FROM events"));
    }
    else {
        ck_assert_str_eq(sql("SELECT on_denied FROM events"), on_denied);
    }
    ck_assert(is_nowhere_on_disk(PH));
}
END_TEST

START_TEST(test_record_says_which_keys_were_stripped)
{
    take_event(NOW, "strip em external_id", CAPI_CONSENT_DENIED, "tcf");
    deliver(claim(NOW + SEC(10)), NOW + SEC(11));
    ck_assert_int_eq(sql_int("SELECT stripped FROM events"), CAPI_KEY_BIT(CAPI_KEY_EM));
    ck_assert_int_eq(sql_int("SELECT action FROM events"), CAPI_ACTION_STRIP);
    ck_assert_int_eq(sql_int("SELECT match_keys FROM events") & CAPI_KEY_BIT(CAPI_KEY_EM), 0);
}
END_TEST

START_TEST(test_what_stripping_leaves_below_the_minimum_is_withheld)
{
    take_event(NOW, "strip em client_ip_address", CAPI_CONSENT_DENIED, "tcf");
    ck_assert_int_eq(claim(NOW + SEC(10))->count, 0);
    assert_erased();
    ck_assert_ptr_nonnull(strstr(sql("SELECT error FROM events"), "withheld"));
    ck_assert_int_eq(counter("consent:denied:tcf:suppressed"), 1);
}
END_TEST

START_TEST(test_rule_that_cannot_be_read_suppresses)
{
    take_event(NOW, "strip nonsense", CAPI_CONSENT_DENIED, "tcf");
    ck_assert_int_eq(claim(NOW + SEC(10))->count, 0);
    assert_erased();
}
END_TEST

START_TEST(test_denial_before_the_retry_stops_it)
{
    capi_batch_t *batch;

    take_event(NOW, "suppress", CAPI_CONSENT_GRANTED, "tcf");
    batch = claim(NOW + SEC(10));
    ck_assert_int_eq(batch->count, 1);
    if (_i) {
        postpone(batch, NOW + SEC(7200), NOW + SEC(11));
        deny_session(NOW + SEC(3600), "suppress");
    }
    else {
        deny_session(NOW + SEC(10), "suppress"); /* it is on its way, and comes back */
        postpone(batch, NOW + SEC(7200), NOW + SEC(11));
    }
    ck_assert_int_eq(claim(NOW + SEC(7200))->count, 0);
    assert_erased();
    ck_assert_str_eq(sql("SELECT consent_signal FROM events"), "cmp klaro");
}
END_TEST

START_TEST(test_denial_before_the_retry_limits_or_strips_it)
{
    static const char *const words[] = {"limited", "strip em"};
    const char *text;
    capi_batch_t *batch;

    take_event(NOW, words[_i], CAPI_CONSENT_GRANTED, "tcf");
    batch = claim(NOW + SEC(10));
    ck_assert_ptr_nonnull(strstr(batch->events[0].text, EM));
    postpone(batch, NOW + SEC(7200), NOW + SEC(11));
    deny_session(NOW + SEC(3600), words[_i]);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM outbox"), 1);
    batch = claim(NOW + SEC(7200));
    ck_assert_int_eq(batch->count, 1);
    text = batch->events[0].text;
    ck_assert_int_eq(strstr(text, EM) == NULL, _i == 1);
    ck_assert_int_eq(strstr(text, "LDP") != NULL, _i == 0);
    deliver(batch, NOW + SEC(7201));
    ck_assert_str_eq(sql("SELECT consent_signal FROM events"), "cmp klaro");
    ck_assert_int_eq(sql_int("SELECT consent FROM events"), CAPI_CONSENT_DENIED);
}
END_TEST

START_TEST(test_a_grant_after_the_denial_lifts_nothing)
{
    capi_envelope_t *grant = ruled_at(NOW + SEC(3), "limited");

    take_event(NOW, "limited", CAPI_CONSENT_GRANTED, "tcf");
    deny_session(NOW + SEC(2), "limited");
    take(grant, NOW + SEC(3));
    ck_assert_ptr_nonnull(strstr(claim(NOW + SEC(10))->events[0].text, "LDP"));
}
END_TEST

START_TEST(test_denied_event_is_given_nothing_by_its_visit)
{
    capi_envelope_t *grant = ruled_at(NOW, "limited");
    capi_envelope_t *event = ruled_at(NOW + 1, "limited");

    grant->click_id = "dj0planted";
    grant->user_data = "{\"ph\":[\"" PH "\"]}";
    take(grant, NOW);
    add_event(event, CAPI_SOURCE_HEADER, "o1", ADDRESS, "")->consent = CAPI_CONSENT_DENIED;
    take(event, NOW + 1);
    capi_batch_t *batch = claim(NOW + SEC(11));
    ck_assert_int_eq(batch->count, 1);
    ck_assert_ptr_nonnull(strstr(batch->events[0].text, "LDP"));
    ck_assert_ptr_null(strstr(batch->events[0].text, PH));
    ck_assert_ptr_null(strstr(batch->events[0].text, "dj0planted"));
}
END_TEST

START_TEST(test_denial_by_a_bound_key_withdraws_the_visits_events)
{
    capi_envelope_t *bind = ruled_at(NOW, "suppress");
    capi_envelope_t *denial = ruled_at(NOW + SEC(2), "suppress");

    bind->click_id = "dj0planted";
    add_bind(bind, KEY_BIND, true);
    take(bind, NOW);
    take_event(NOW + 1, "suppress", CAPI_CONSENT_GRANTED, "tcf");
    denial->session_key = NULL;
    set_consent(denial, CAPI_CONSENT_DENIED, "header");
    add_bind(denial, KEY_BIND, true);
    take(denial, NOW + SEC(2));
    assert_erased();
    ck_assert_ptr_null(sql("SELECT COALESCE(click_id, address, agent, user_data) FROM visits"));
}
END_TEST

static const struct {
    bool comes_first;
    const char *signal; /* an answer is noted on what waits, a default is met at the claim */
} contexts[] = {{true, "gpc"}, {false, "gpc"}, {true, "default"}, {false, "default"}};

START_TEST(test_detached_event_takes_the_rule_of_its_context)
{
    bool comes_first = contexts[_i].comes_first;
    capi_envelope_t *context = ruled_at(NOW + SEC(comes_first ? 0 : 2), "limited");
    capi_envelope_t *webhook = ruled_at(NOW + SEC(1), "suppress");
    capi_envelope_event_t *event;
    capi_batch_t *batch;

    set_consent(context, CAPI_CONSENT_DENIED, contexts[_i].signal);
    add_bind(context, KEY_BIND, true);
    webhook->session_key = NULL;
    set_consent(webhook, CAPI_CONSENT_GRANTED, "default");
    event = add_event(webhook, CAPI_SOURCE_BACKEND, "o1", BOTH, "");
    event->context = KEY_BIND;
    event->is_detached = true;
    if (comes_first) {
        take(context, NOW);
    }
    take(webhook, NOW + SEC(1));
    if (!comes_first) {
        take(context, NOW + SEC(2));
    }
    batch = claim(NOW + SEC(11));
    ck_assert_int_eq(batch->count, 1);
    ck_assert_ptr_nonnull(strstr(batch->events[0].text, "LDP"));
    deliver(batch, NOW + SEC(12));
    ck_assert_str_eq(sql("SELECT on_denied FROM events"), "limited");
    ck_assert_str_eq(sql("SELECT consent_signal FROM events"), contexts[_i].signal);
}
END_TEST

START_TEST(test_context_has_the_rule_of_the_place_where_it_was_denied)
{
    capi_envelope_t *context = ruled_at(NOW, "suppress");
    capi_envelope_t *webhook = ruled_at(NOW + SEC(2), "suppress");
    capi_envelope_event_t *event;

    add_bind(context, KEY_BIND, true);
    take(context, NOW);
    deny_session(NOW + SEC(1), "limited");
    webhook->session_key = NULL;
    event = add_event(webhook, CAPI_SOURCE_BACKEND, "o1", BOTH, "");
    event->context = KEY_BIND;
    event->is_detached = true;
    take(webhook, NOW + SEC(2));
    ck_assert_int_eq(claim(NOW + SEC(12))->count, 1);
}
END_TEST

START_TEST(test_detached_event_of_a_suppressing_context_is_withheld)
{
    capi_envelope_t *context = ruled_at(NOW, "suppress");
    capi_envelope_t *webhook = ruled_at(NOW + SEC(1), "limited");
    capi_envelope_event_t *event;

    set_consent(context, CAPI_CONSENT_DENIED, "gpc");
    add_bind(context, KEY_BIND, true);
    take(context, NOW);
    webhook->session_key = NULL;
    event = add_event(webhook, CAPI_SOURCE_BACKEND, "o1", CLICK BOTH, "");
    event->context = KEY_BIND;
    event->is_detached = true;
    take(webhook, NOW + SEC(1));
    ck_assert_int_eq(claim(NOW + SEC(11))->count, 0);
    assert_erased();
}
END_TEST

/* Two sources of one event: which of them denied, their rules, what goes. */
static const struct {
    bool is_first_denied;
    const char *first_rule, *second_rule;
    bool is_sent;
} merges[] = {
    {true, "limited", "limited", true},     {false, "limited", "limited", true},
    {false, "limited", "suppress", false},  {false, "suppress", "limited", false},
    {false, "suppress", "suppress", false},
};

START_TEST(test_denial_in_any_layer_counts)
{
    capi_envelope_t *first = ruled_at(NOW, merges[_i].first_rule);
    capi_envelope_t *second = ruled_at(NOW + 1, merges[_i].second_rule);
    capi_batch_t *batch;

    second->session_key = KEY_ELSE;
    set_consent(merges[_i].is_first_denied ? first : second, CAPI_CONSENT_DENIED, "gpc");
    add_event(first, CAPI_SOURCE_HEADER, "o1", CLICK BOTH, "");
    add_event(second, CAPI_SOURCE_BACKEND, "o1", ADDRESS, "");
    take(first, NOW);
    take(second, NOW + 1);
    batch = claim(NOW + SEC(11));
    ck_assert_int_eq(batch->count, merges[_i].is_sent);
    if (merges[_i].is_sent) {
        ck_assert_ptr_nonnull(strstr(batch->events[0].text, "LDP"));
    }
    else {
        assert_erased();
    }
}
END_TEST

START_TEST(test_denial_said_while_the_event_is_on_its_way_stops_its_retry)
{
    capi_envelope_t *denial = ruled_at(NOW + SEC(10), "suppress");
    capi_batch_t *batch;

    take_event(NOW, "suppress", CAPI_CONSENT_GRANTED, "tcf");
    batch = claim(NOW + SEC(10));
    denial->session_key = NULL;
    add_event(denial, CAPI_SOURCE_BACKEND, "o1", "", "")->consent = CAPI_CONSENT_DENIED;
    ck_assert(!capi_store_is_denied_since(store, batch->events, batch->count));
    take(denial, NOW + SEC(10));
    ck_assert(capi_store_is_denied_since(store, batch->events, batch->count));
    postpone(batch, NOW + SEC(20), NOW + SEC(11));
    ck_assert_int_eq(claim(NOW + SEC(20))->count, 0);
    assert_erased();
    ck_assert_str_eq(sql("SELECT consent_signal FROM events"), "backend");
}
END_TEST

START_TEST(test_unanswered_event_is_released_by_a_grant_while_it_waits_or_after)
{
    capi_envelope_t *again = ruled_at(NOW + SEC(1), _i ? "limited" : "suppress");
    capi_batch_t *batch;

    take_event(NOW, _i ? "limited" : "suppress", CAPI_CONSENT_DENIED, "default");
    set_consent(again, CAPI_CONSENT_GRANTED, "cmp klaro");
    add_event(again, CAPI_SOURCE_HEADER, "o1", BOTH, "");
    take(again, NOW + SEC(1));
    batch = claim(NOW + SEC(11));
    ck_assert_int_eq(batch->count, 1);
    ck_assert_ptr_null(strstr(batch->events[0].text, "LDP"));
    deliver(batch, NOW + SEC(12));
    ck_assert_int_eq(counter("consent:granted:cmp klaro:sent"), 1);
    ck_assert_int_eq(sql_int("SELECT action FROM events"), CAPI_ACTION_SEND);
}
END_TEST

START_TEST(test_denied_event_said_again_with_a_grant_stays_withheld)
{
    take_event(NOW, "suppress", CAPI_CONSENT_DENIED, "tcf");
    take_event(NOW + 1, "suppress", CAPI_CONSENT_GRANTED, "tcf");
    ck_assert_int_eq(claim(NOW + SEC(60))->count, 0);
    assert_erased();
}
END_TEST

START_TEST(test_withheld_event_said_again_without_an_answer_stays_withheld)
{
    take_event(NOW, "suppress", CAPI_CONSENT_DENIED, "default");
    take_event(NOW + 1, "limited", CAPI_CONSENT_DENIED, "default");
    ck_assert_int_eq(claim(NOW + SEC(60))->count, 0);
    assert_erased();
}
END_TEST

START_TEST(test_request_that_denies_is_denied_whatever_its_visit_said_later)
{
    capi_envelope_t *slow = ruled_at(NOW, "suppress");

    take(ruled_at(NOW + SEC(5), "suppress"), NOW + SEC(5));
    set_consent(slow, CAPI_CONSENT_DENIED, "tcf");
    add_event(slow, CAPI_SOURCE_HEADER, "o1", CLICK BOTH, "");
    take(slow, NOW + SEC(6));
    assert_erased();
    ck_assert_int_eq(sql_int("SELECT consent FROM visits"), CAPI_CONSENT_GRANTED);
}
END_TEST

int main(void)
{
    TCase *cases = unit_store_begin("denied");

    tcase_add_loop_test(cases, test_each_rule_sends_what_it_leaves, 0,
                        sizeof(rules) / sizeof(*rules));
    tcase_add_test(cases, test_record_says_which_keys_were_stripped);
    tcase_add_test(cases, test_what_stripping_leaves_below_the_minimum_is_withheld);
    tcase_add_test(cases, test_rule_that_cannot_be_read_suppresses);
    tcase_add_loop_test(cases, test_denial_before_the_retry_stops_it, 0, 2);
    tcase_add_loop_test(cases, test_denial_before_the_retry_limits_or_strips_it, 0, 2);
    tcase_add_test(cases, test_a_grant_after_the_denial_lifts_nothing);
    tcase_add_test(cases, test_denied_event_is_given_nothing_by_its_visit);
    tcase_add_test(cases, test_denial_by_a_bound_key_withdraws_the_visits_events);
    tcase_add_loop_test(cases, test_detached_event_takes_the_rule_of_its_context, 0,
                        sizeof(contexts) / sizeof(*contexts));
    tcase_add_test(cases, test_context_has_the_rule_of_the_place_where_it_was_denied);
    tcase_add_test(cases, test_detached_event_of_a_suppressing_context_is_withheld);
    tcase_add_loop_test(cases, test_denial_in_any_layer_counts, 0,
                        sizeof(merges) / sizeof(*merges));
    tcase_add_test(cases, test_denial_said_while_the_event_is_on_its_way_stops_its_retry);
    tcase_add_loop_test(cases, test_unanswered_event_is_released_by_a_grant_while_it_waits_or_after,
                        0, 2);
    tcase_add_test(cases, test_denied_event_said_again_with_a_grant_stays_withheld);
    tcase_add_test(cases, test_withheld_event_said_again_without_an_answer_stays_withheld);
    tcase_add_test(cases, test_request_that_denies_is_denied_whatever_its_visit_said_later);
    return unit_end("store_denied", cases);
}
