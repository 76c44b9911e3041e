/* What the page reads, from a store that the sender's own functions filled. */

#include "unit_store.h"

#include "notes.h"
#include "report.h"
#include "report_sample.h"
#include "report_verdict.h"
#include "utf8.h"

static const capi_filter_t any = {.state = CAPI_REPORT_ANY_STATE};

static const json_t *deliveries(const capi_filter_t *filter)
{
    json_t *model;

    ck_assert_msg(capi_report_deliveries(&model, store, filter, pool) == APR_SUCCESS, "%s",
                  capi_store_error(store));
    return json_object_get(model, "deliveries");
}

static const json_t *only_delivery(void)
{
    const json_t *list = deliveries(&any);

    ck_assert_uint_eq(json_array_size(list), 1);
    return json_array_get(list, 0);
}

static const json_t *status_at(apr_time_t now)
{
    json_t *model;

    ck_assert_msg(capi_report_status(&model, store, now, pool) == APR_SUCCESS, "%s",
                  capi_store_error(store));
    return json_object_get(model, "status");
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static json_int_t number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    ck_assert_msg(json_is_integer(value), "%s is no number", name);
    return json_integer_value(value);
}

static bool is_null(const json_t *object, const char *name)
{
    return json_is_null(json_object_get(object, name));
}

static void take_order(const char *id, apr_time_t now)
{
    capi_envelope_t *envelope = envelope_at(now);

    add_event(envelope, CAPI_SOURCE_HEADER, id, "\"em\":[\"" EM "\"]," ADDRESS, "");
    take(envelope, now);
}

static void retain_all(apr_time_t now)
{
    bool more = true;

    while (more) {
        ck_assert_int_eq(capi_store_retain(store, 30, now, &more), APR_SUCCESS);
    }
}

static json_int_t total_of(const json_t *totals, const char *outcome)
{
    const json_t *events = json_object_get(totals, "events");
    size_t i;

    for (i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        if (strcmp(text_of(event, "outcome"), outcome) == 0) {
            return number_of(event, "count");
        }
    }
    return 0;
}

static const json_t *totals_now(void)
{
    json_t *model;

    ck_assert_int_eq(capi_report_totals(&model, store, pool), APR_SUCCESS);
    return model;
}

START_TEST(test_totals_never_go_down_and_time_from_event_to_delivery_is_counted)
{
    const json_t *latency;
    const json_t *buckets;

    take_order("quick", NOW);
    deliver(claim(NOW + SEC(10)), NOW + SEC(12));
    take_order("late", NOW + SEC(100));
    deliver(claim(NOW + SEC(120)), NOW + SEC(100 + 4000));
    retain_all(NOW + SEC(86400) * 500);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM counters WHERE hour <> 0"), 0);
    ck_assert_int_eq(total_of(totals_now(), "received"), 2);
    ck_assert_int_eq(total_of(totals_now(), "delivered"), 2);
    ck_assert_int_eq(total_of(totals_now(), "latency_seconds"), 0);
    latency = json_array_get(json_object_get(totals_now(), "latency"), 0);
    ck_assert_int_eq(number_of(latency, "sum"), 4012);
    buckets = json_object_get(latency, "buckets");
    ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(buckets, 3), 0)), 10);
    ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(buckets, 3), 1)), 0);
    ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(buckets, 4), 1)), 1);
    ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(buckets, 8), 1)), 1);
    ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(buckets, 9), 1)), 2);
    ck_assert(json_is_null(json_array_get(json_array_get(buckets, 11), 0)));
}
END_TEST

START_TEST(test_starts_of_the_sender_are_counted)
{
    ck_assert_int_eq(number_of(json_object_get(status_at(NOW), "sender"), "starts"), 0);
    ck_assert_int_eq(capi_store_note_count(store, CAPI_NOTE_STARTS), APR_SUCCESS);
    ck_assert_int_eq(capi_store_note_count(store, CAPI_NOTE_STARTS), APR_SUCCESS);
    ck_assert_int_eq(number_of(json_object_get(status_at(NOW), "sender"), "starts"), 2);
}
END_TEST

START_TEST(test_event_is_queued_then_sending_then_delivered)
{
    capi_batch_t *batch;

    take_order("o1", NOW);
    ck_assert_str_eq(text_of(only_delivery(), "state"), "queued");
    ck_assert_str_eq(text_of(only_delivery(), "event_name"), "purchase");
    ck_assert_str_eq(text_of(only_delivery(), "sent_as"), "checkout");
    ck_assert_int_eq(number_of(only_delivery(), "received_at"), apr_time_sec(NOW));
    ck_assert(is_null(only_delivery(), "http_status"));
    batch = claim(NOW + SEC(10));
    ck_assert_str_eq(text_of(only_delivery(), "state"), "sending");
    deliver(batch, NOW + SEC(11));
    ck_assert_str_eq(text_of(only_delivery(), "state"), "delivered");
    ck_assert_int_eq(number_of(only_delivery(), "http_status"), 200);
    ck_assert_str_eq(text_of(only_delivery(), "request_id"), "rid-1");
    ck_assert_uint_eq(json_array_size(json_object_get(only_delivery(), "match_keys")), 3);
}
END_TEST

START_TEST(test_a_hold_of_the_account_is_a_state_of_its_events)
{
    capi_filter_t held = {.state = CAPI_STATE_HELD};
    capi_filter_t queued = {.state = CAPI_STATE_QUEUED};
    const json_t *status;

    take_order("o1", NOW);
    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
    ck_assert_int_eq(capi_store_hold(store, destination_no(0)->id, "refused: mend it", NOW),
                     APR_SUCCESS);
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    ck_assert_uint_eq(json_array_size(deliveries(&held)), 1);
    ck_assert_uint_eq(json_array_size(deliveries(&queued)), 0);
    status = status_at(NOW + SEC(60));
    ck_assert_int_eq(number_of(json_object_get(status, "waiting"), "held"), 1);
    ck_assert_int_eq(number_of(status, "oldest_waiting"), apr_time_sec(NOW));
    ck_assert_str_eq(text_of(json_object_get(status, "verdict"), "state"), "held");
}
END_TEST

START_TEST(test_retries_are_told_attempt_by_attempt)
{
    capi_batch_t *batch;
    json_t *delivery;
    const json_t *attempts;
    const json_t *first;

    take_order("o1", NOW);
    batch = claim(NOW + SEC(10));
    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
    ck_assert_int_eq(
        capi_store_attempt_end(store, batch->request, 503, NULL, "ramped down", NOW + SEC(11)),
        APR_SUCCESS);
    ck_assert_int_eq(capi_store_retry(store, batch->events, batch->request, "status 503",
                                      NOW + SEC(20), NOW + SEC(11)),
                     APR_SUCCESS);
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    ck_assert_str_eq(text_of(only_delivery(), "state"), "retrying");
    ck_assert_int_eq(number_of(json_object_get(status_at(NOW), "waiting"), "retrying"), 1);
    deliver(claim(NOW + SEC(20)), NOW + SEC(21));
    ck_assert_int_eq(capi_report_delivery(&delivery, store, number_of(only_delivery(), "id"), pool),
                     APR_SUCCESS);
    ck_assert_int_eq(number_of(delivery, "retries"), 1);
    attempts = json_object_get(delivery, "attempts");
    ck_assert_uint_eq(json_array_size(attempts), 2);
    first = json_array_get(attempts, 0);
    ck_assert_int_eq(number_of(first, "http_status"), 503);
    ck_assert_str_eq(text_of(first, "error"), "ramped down");
    ck_assert_double_eq_tol(json_number_value(json_object_get(first, "seconds")), 1.0, 1e-6);
    ck_assert_int_eq(number_of(json_array_get(attempts, 1), "http_status"), 200);
}
END_TEST

START_TEST(test_an_unknown_delivery_is_not_found)
{
    json_t *delivery;

    ck_assert_int_eq(capi_report_delivery(&delivery, store, 7, pool), APR_NOTFOUND);
}
END_TEST

START_TEST(test_coverage_counts_what_was_delivered)
{
    json_t *model;
    const json_t *row;

    take_order("o1", NOW);
    take_order("o2", NOW);
    deliver(claim(NOW + SEC(10)), NOW + SEC(11));
    ck_assert_int_eq(capi_report_coverage(&model, store, &any, NOW + SEC(60), pool), APR_SUCCESS);
    row = json_array_get(json_object_get(model, "coverage"), 0);
    ck_assert_str_eq(text_of(row, "event_name"), "checkout");
    ck_assert_int_eq(number_of(row, "events"), 2);
    row = json_object_get(json_object_get(row, "match_keys"), "em");
    ck_assert_int_eq(number_of(row, "count"), 2);
    ck_assert_double_eq_tol(json_number_value(json_object_get(row, "percent")), 100.0, 1e-6);
    ck_assert_int_eq(number_of(json_object_get(status_at(NOW + SEC(60)), "last_24h"), "delivered"),
                     2);
    ck_assert_int_eq(
        number_of(json_object_get(status_at(NOW + SEC(90000)), "last_24h"), "delivered"), 0);
}
END_TEST

START_TEST(test_a_sender_that_stopped_is_not_alive)
{
    const json_t *sender;

    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
    ck_assert_int_eq(capi_store_note(store, CAPI_NOTE_PID, "2147483646"), APR_SUCCESS);
    ck_assert_int_eq(capi_store_note(store, CAPI_NOTE_VERSION, CAPI_VERSION), APR_SUCCESS);
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    sender = json_object_get(status_at(NOW), "sender");
    ck_assert(json_is_false(json_object_get(sender, "alive")));
    ck_assert_str_eq(text_of(sender, "version"), CAPI_VERSION);
    ck_assert_str_eq(text_of(json_object_get(status_at(NOW), "verdict"), "state"), "stopped");
}
END_TEST

START_TEST(test_a_read_only_store_is_enough)
{
    const char *message;

    take_order("o1", NOW);
    capi_store_close(store);
    ck_assert_int_eq(capi_store_open(&store, &message, "sqlite3", store_file, true, pool),
                     APR_SUCCESS);
    ck_assert_str_eq(text_of(only_delivery(), "event_id"), "o1");
    ck_assert_str_eq(text_of(json_object_get(status_at(NOW), "verdict"), "state"), "stopped");
}
END_TEST

START_TEST(test_states_have_names)
{
    int state = -5;

    ck_assert(capi_report_state(&state, "delivered"));
    ck_assert_int_eq(state, CAPI_STATE_DELIVERED);
    ck_assert(!capi_report_state(&state, "unknown"));
    ck_assert(!capi_report_state(&state, ""));
}
END_TEST

START_TEST(test_utf8_is_read_by_character_and_repaired)
{
    static const struct {
        const char *text;
        uint32_t c;
        apr_size_t len;
    } rows[] = {
        {"", 0, 0},
        {"a", 'a', 1},
        {"\xc3\xa4", 0xe4, 2},
        {"\xe2\x82\xac", 0x20ac, 3},
        {"\xf0\x9f\x98\x80", 0x1f600, 4},
        {"\xf4\x8f\xbf\xbf", 0x10ffff, 4},
        {"\x80", CAPI_UTF8_INVALID, 1},
        {"\xc0\x80", CAPI_UTF8_INVALID, 1},         /* overlong */
        {"\xe0\x80\xaf", CAPI_UTF8_INVALID, 1},     /* overlong */
        {"\xed\xa0\x80", CAPI_UTF8_INVALID, 1},     /* surrogate */
        {"\xf4\x90\x80\x80", CAPI_UTF8_INVALID, 1}, /* past the last one */
        {"\xf8\x88\x80\x80", CAPI_UTF8_INVALID, 1},
        {"\xe2\x82", CAPI_UTF8_INVALID, 1}, /* cut short */
        {"\xe2", CAPI_UTF8_INVALID, 1},
        {"\xff", CAPI_UTF8_INVALID, 1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t c;
        ck_assert_uint_eq(capi_utf8_read(&c, rows[i].text), rows[i].len);
        ck_assert_uint_eq(c, rows[i].c);
    }
    ck_assert_str_eq(capi_utf8_repair("a\xff\xc3\xa4\xe2\x82", pool),
                     "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd");
    ck_assert_str_eq(capi_utf8_repair("\xc3\xa4", pool), "\xc3\xa4");
}
END_TEST

START_TEST(test_verdict_names_the_first_reason)
{
    static const struct {
        const char *status;
        bool has_events;
        const char *state;
        const char *sentence;
    } rows[] = {
        {"{}", false, "nothing", "Nothing yet: no event has arrived"},
        {"{}", true, "quiet", "Quiet: no event in the last 24 hours"},
        {"{'waiting': {'total': 3}, 'sender': {'alive': true, 'pid': 1}}", true, "waiting",
         "Waiting: 3 events, the next request carries them"},
        {"{'waiting': {'total': 3}, 'sender': {'alive': false}}", true, "stopped",
         "Stopped: the sender is not running"},
        {"{'last_24h': {'delivered': 1, 'match_keys': {'em': 1}}}", true, "delivering",
         "Delivering: 1 event in 24 hours, 0% with a click id, 100% with an e-mail"},
        {"{'last_24h': {'delivered': 1001000, 'rejected': 4}}", true, "delivering",
         "Delivering: 1,001,000 events in 24 hours, 0% with a click id, 0% with an e-mail"},
        {"{'last_24h': {'delivered': 1, 'rejected': 4}}", true, "rejecting",
         "Rejected: Pinterest refused 4 events of the last 24 hours"},
        {"{'last_24h': {'suppressed': 2}}", true, "withheld",
         "Withheld: none of the last 2 events had consent"},
        {"{'accounts': [{'state': 'retrying', 'waiting': 2, 'last_attempt': {'http_status': 503}}],"
         " 'last_24h': {'delivered': 9}, 'sender': {'alive': true}}",
         true, "retrying", "Retrying: Pinterest\xe2\x80\x99s API answers with status 503"},
        {"{'accounts': [{'state': 'idle'}, {'state': 'held', 'held': {'reason': 'x 401: do y'}}],"
         " 'sender': {'alive': false}}",
         true, "held", "Held: x 401"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = apr_pstrdup(pool, rows[i].status);
        json_t *status;
        json_t *verdict;
        for (char *at = text; *at; at++) {
            *at = *at == '\'' ? '"' : *at;
        }
        status = json_loads(text, 0, NULL);
        ck_assert_msg(status != NULL, "%s", text);
        verdict = capi_report_verdict(status, rows[i].has_events, pool);
        ck_assert_str_eq(text_of(verdict, "state"), rows[i].state);
        ck_assert_str_eq(text_of(verdict, "sentence"), rows[i].sentence);
        json_decref(verdict);
        json_decref(status);
    }
}
END_TEST

START_TEST(test_an_id_of_an_order_is_told_from_one_that_is_made_anew)
{
    static const char *const stable[] = {"ord_10492_purchase",
                                         "10492",
                                         "R-2026-000123",
                                         "checkout_1776943380000123",
                                         "d41d8cd98f00b204e9800998ecf8427e",
                                         "wc_order_5a1b2c3d4eXf6",
                                         "ord_1776000000",
                                         "A-1",
                                         "",
                                         "facade"};
    static const char *const minted[] = {"0f8fad5b-d9cb-469f-a165-70867728950e",
                                         "checkout_0f8fad5b-d9cb-469f-a165-70867728950e",
                                         "order_65f1a2b3c4d5e", "chk-1776943380", "1776943380123"};
    size_t i;

    for (i = 0; i < sizeof(stable) / sizeof(stable[0]); i++) {
        ck_assert_msg(!capi_id_looks_minted(stable[i], 1776943300), "%s", stable[i]);
    }
    for (i = 0; i < sizeof(minted) / sizeof(minted[0]); i++) {
        ck_assert_msg(capi_id_looks_minted(minted[i], 1776943300), "%s", minted[i]);
    }
}
END_TEST

int main(void)
{
    TCase *cases = unit_store_begin("report");

    tcase_add_test(cases, test_totals_never_go_down_and_time_from_event_to_delivery_is_counted);
    tcase_add_test(cases, test_starts_of_the_sender_are_counted);
    tcase_add_test(cases, test_event_is_queued_then_sending_then_delivered);
    tcase_add_test(cases, test_a_hold_of_the_account_is_a_state_of_its_events);
    tcase_add_test(cases, test_retries_are_told_attempt_by_attempt);
    tcase_add_test(cases, test_an_unknown_delivery_is_not_found);
    tcase_add_test(cases, test_coverage_counts_what_was_delivered);
    tcase_add_test(cases, test_a_sender_that_stopped_is_not_alive);
    tcase_add_test(cases, test_a_read_only_store_is_enough);
    tcase_add_test(cases, test_states_have_names);
    tcase_add_test(cases, test_utf8_is_read_by_character_and_repaired);
    tcase_add_test(cases, test_verdict_names_the_first_reason);
    tcase_add_test(cases, test_an_id_of_an_order_is_told_from_one_that_is_made_anew);
    return unit_end("report", cases);
}
