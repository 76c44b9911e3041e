/* Envelopes survive the queue; whatever else is decoded fails or stays inside its bytes. */

#include "envelope.h"

#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <check.h>

static apr_pool_t *pool;

static void make_pool(void)
{
    apr_pool_create(&pool, NULL);
}

static void drop_pool(void)
{
    apr_pool_destroy(pool);
}

static capi_envelope_t *make_envelope(void)
{
    capi_envelope_t *envelope = apr_pcalloc(pool, sizeof(*envelope));

    envelope->settings = (capi_settings_t){
        .account = "549755885175",
        .api_url = "https://api.pinterest.com/v5",
        .test = true,
        .wire = CAPI_WIRE_GUIDE,
        .merge_window_sec = 30,
        .max_age_sec = 604800,
        .on_denied = "suppress",
    };
    envelope->received_at = apr_time_from_sec(1790000000) + 123456;
    envelope->consent =
        (capi_consent_t){CAPI_CONSENT_GRANTED, "header", "granted", apr_time_from_sec(1789999999)};
    envelope->session_key = "c2Vzc2lvbg";
    envelope->visit_key = "dmlzaXQ";
    envelope->click_id = "dj0yJnU9_epik-1";
    envelope->address = "203.0.113.7";
    envelope->agent = "Mozilla/5.0 (X11; Linux x86_64)";
    envelope->user_data = "{\"em\":[\"aa\"]}";
    envelope->bind_count = 2;
    envelope->binds = apr_pcalloc(pool, sizeof(*envelope->binds) * 2);
    envelope->binds[0] = (capi_envelope_bind_t){"b3JkZXI", true};
    envelope->binds[1] = (capi_envelope_bind_t){"Y2FydA", false};
    envelope->event_count = 2;
    envelope->events = apr_pcalloc(pool, sizeof(*envelope->events) * 2);
    envelope->events[0] = (capi_envelope_event_t){
        .source = CAPI_SOURCE_HEADER,
        .name = "Purchase",
        .sent_as = "checkout",
        .event_id = "order-10492",
        .is_named = true,
        .is_claim = true,
        .event_time = 1790000000,
        .context = "b3JkZXI",
        .is_detached = true,
        .consent = CAPI_CONSENT_DENIED,
        .keys = CAPI_KEY_BIT(CAPI_KEY_EM) | CAPI_KEY_BIT(CAPI_KEY_PARTNER_ID),
        .warning = "value: rounded",
        .json = "{\"event_name\":\"checkout\",\"x\":\"\xc3\xa9\"}",
    };
    envelope->events[0].json_len = strlen(envelope->events[0].json);
    envelope->events[1] = (capi_envelope_event_t){
        .source = CAPI_SOURCE_RULE,
        .name = "page_visit",
        .sent_as = "page_visit",
        .event_id = "0190a000-0000-7000-8000-000000000000",
        .json = "{}",
        .json_len = 2,
    };
    return envelope;
}

static capi_record_t encode(const capi_envelope_t *envelope)
{
    capi_record_t record = {NULL, 0};

    capi_envelope_encode(&record, envelope, pool);
    return record;
}

static capi_envelope_t *round_trip(const capi_envelope_t *envelope)
{
    capi_record_t record = encode(envelope);
    capi_envelope_t *got = NULL;

    ck_assert_int_eq(capi_envelope_decode(&got, record.bytes, record.len, pool), APR_SUCCESS);
    return got;
}

START_TEST(test_settings_consent_and_visit_survive)
{
    capi_envelope_t *want = make_envelope();
    capi_envelope_t *got = round_trip(want);

    ck_assert_str_eq(got->settings.account, want->settings.account);
    ck_assert_str_eq(got->settings.api_url, want->settings.api_url);
    ck_assert(got->settings.test);
    ck_assert_int_eq(got->settings.wire, CAPI_WIRE_GUIDE);
    ck_assert_int_eq(got->settings.merge_window_sec, 30);
    ck_assert_int_eq(got->settings.max_age_sec, 604800);
    ck_assert_str_eq(got->settings.on_denied, "suppress");
    ck_assert_int_eq(got->received_at, want->received_at);
    ck_assert_int_eq(got->consent.state, CAPI_CONSENT_GRANTED);
    ck_assert_str_eq(got->consent.signal, "header");
    ck_assert_str_eq(got->consent.evidence, "granted");
    ck_assert_int_eq(got->consent.decided_at, want->consent.decided_at);
    ck_assert_str_eq(got->session_key, want->session_key);
    ck_assert_str_eq(got->visit_key, want->visit_key);
    ck_assert_str_eq(got->click_id, want->click_id);
    ck_assert_str_eq(got->address, want->address);
    ck_assert_str_eq(got->agent, want->agent);
    ck_assert_str_eq(got->user_data, want->user_data);
}
END_TEST

START_TEST(test_binds_and_events_survive_in_order)
{
    capi_envelope_t *want = make_envelope();
    capi_envelope_t *got = round_trip(want);
    int i;

    ck_assert_int_eq(got->bind_count, 2);
    ck_assert_str_eq(got->binds[0].key, "b3JkZXI");
    ck_assert(got->binds[0].by_server);
    ck_assert_str_eq(got->binds[1].key, "Y2FydA");
    ck_assert(!got->binds[1].by_server);
    ck_assert_int_eq(got->event_count, 2);
    for (i = 0; i < 2; i++) {
        const capi_envelope_event_t *event = &want->events[i];

        ck_assert_int_eq(got->events[i].source, event->source);
        ck_assert_str_eq(got->events[i].name, event->name);
        ck_assert_str_eq(got->events[i].sent_as, event->sent_as);
        ck_assert_str_eq(got->events[i].event_id, event->event_id);
        ck_assert_int_eq(got->events[i].is_named, event->is_named);
        ck_assert_int_eq(got->events[i].is_claim, event->is_claim);
        ck_assert_int_eq(got->events[i].event_time, event->event_time);
        ck_assert_pstr_eq(got->events[i].context, event->context);
        ck_assert_int_eq(got->events[i].is_detached, event->is_detached);
        ck_assert_int_eq(got->events[i].consent, event->consent);
        ck_assert_uint_eq(got->events[i].keys, event->keys);
        ck_assert_pstr_eq(got->events[i].warning, event->warning);
        ck_assert_uint_eq(got->events[i].json_len, event->json_len);
        ck_assert_str_eq(got->events[i].json, event->json);
    }
}
END_TEST

START_TEST(test_what_is_absent_stays_absent_and_empty_stays_empty)
{
    capi_envelope_t envelope = {
        .settings = {.account = "5", .api_url = "https://x", .wire = CAPI_WIRE_V5},
        .consent = {.evidence = ""},
    };
    capi_envelope_t *got = round_trip(&envelope);

    ck_assert_ptr_null(got->session_key);
    ck_assert_ptr_null(got->click_id);
    ck_assert_ptr_null(got->user_data);
    ck_assert_ptr_null(got->settings.on_denied);
    ck_assert_str_eq(got->consent.evidence, "");
    ck_assert_int_eq(got->consent.state, CAPI_CONSENT_UNKNOWN);
    ck_assert(!got->settings.test);
    ck_assert_int_eq(got->bind_count, 0);
    ck_assert_int_eq(got->event_count, 0);
}
END_TEST

START_TEST(test_decoded_strings_point_into_the_record)
{
    capi_record_t record = encode(make_envelope());
    const char *start = record.bytes;
    capi_envelope_t *got;

    ck_assert_int_eq(capi_envelope_decode(&got, record.bytes, record.len, pool), APR_SUCCESS);
    ck_assert(got->settings.account > start && got->settings.account < start + record.len);
    ck_assert(got->events[1].json > start && got->events[1].json < start + record.len);
}
END_TEST

START_TEST(test_as_many_events_as_a_request_may_hold_survive)
{
    capi_envelope_t *envelope = make_envelope();
    capi_envelope_event_t first = envelope->events[0];
    capi_envelope_t *got;
    capi_record_t record;
    int i;

    envelope->event_count = CAPI_EVENTS_PER_REQUEST;
    envelope->events = apr_pcalloc(pool, sizeof(first) * (CAPI_EVENTS_PER_REQUEST + 1));
    for (i = 0; i <= CAPI_EVENTS_PER_REQUEST; i++) {
        envelope->events[i] = first;
        envelope->events[i].event_id = apr_itoa(pool, i);
    }
    got = round_trip(envelope);
    ck_assert_int_eq(got->event_count, CAPI_EVENTS_PER_REQUEST);
    for (i = 0; i < CAPI_EVENTS_PER_REQUEST; i++) {
        ck_assert_str_eq(got->events[i].event_id, envelope->events[i].event_id);
    }
    envelope->event_count++;
    record = encode(envelope);
    ck_assert_int_eq(capi_envelope_decode(&got, record.bytes, record.len, pool), APR_EINVAL);
}
END_TEST

/* A record with `tag` and `value` behind it. */
static capi_record_t with_field(capi_record_t record, int tag, const void *value, apr_size_t len)
{
    char *bytes = apr_palloc(pool, record.len + 5 + len);
    uint32_t value_len = (uint32_t)len;

    memcpy(bytes, record.bytes, record.len);
    bytes[record.len] = (char)tag;
    memcpy(bytes + record.len + 1, &value_len, sizeof(value_len));
    memcpy(bytes + record.len + 5, value, len);
    record.bytes = bytes;
    record.len += 5 + len;
    return record;
}

START_TEST(test_unknown_tags_are_passed_over)
{
    capi_record_t record = encode(make_envelope());
    capi_envelope_t *got;

    record = with_field(record, 200, "later", 5);
    record = with_field(record, 0, "", 0);
    ck_assert_int_eq(capi_envelope_decode(&got, record.bytes, record.len, pool), APR_SUCCESS);
    ck_assert_str_eq(got->settings.account, "549755885175");
    ck_assert_int_eq(got->event_count, 2);
}
END_TEST

static void assert_refused(capi_record_t record)
{
    capi_envelope_t *got = NULL;

    ck_assert_int_eq(capi_envelope_decode(&got, record.bytes, record.len, pool), APR_EINVAL);
    ck_assert_ptr_null(got);
}

START_TEST(test_wrong_fields_are_refused)
{
    capi_envelope_t envelope = {
        .settings = {.account = "5", .api_url = "https://x", .wire = CAPI_WIRE_V5},
    };
    capi_record_t good = encode(&envelope);
    int64_t three = 3;
    int64_t minus = -1;
    char *other;

    assert_refused(with_field(good, 3, "twice", 6));
    assert_refused(with_field(good, 17, "open", 4));
    assert_refused(with_field(good, 17, "a\0b", 4));
    assert_refused(with_field(good, 17, "", 0));
    assert_refused(with_field(good, 11, &three, sizeof(three)));
    assert_refused(with_field(good, 8, &minus, sizeof(minus)));
    assert_refused(with_field(good, 8, &three, 4));
    assert_refused(with_field(good, 1, "", 0));
    assert_refused(with_field(good, 2, "", 0));
    assert_refused((capi_record_t){good.bytes, 0});
    other = apr_pmemdup(pool, good.bytes, good.len);
    other[0] = 2;
    assert_refused((capi_record_t){other, good.len});
}
END_TEST

START_TEST(test_events_without_what_they_need_are_refused)
{
    int missing;

    for (missing = 0; missing < 5; missing++) {
        capi_envelope_t *envelope = make_envelope();
        capi_envelope_event_t *event = &envelope->events[1];

        event->source = missing == 0 ? (capi_source_t)0 : event->source;
        event->name = missing == 1 ? NULL : event->name;
        event->sent_as = missing == 2 ? NULL : event->sent_as;
        event->event_id = missing == 3 ? NULL : event->event_id;
        event->json = missing == 4 ? NULL : event->json;
        assert_refused(encode(envelope));
    }
}
END_TEST

static size_t touched; /* what reading came to, so that no reading is optimised away */

static void touch(const char *text, const char *start, apr_size_t len)
{
    if (text) {
        ck_assert(text >= start && text < start + len);
        touched += strlen(text);
        ck_assert(text + strlen(text) < start + len);
    }
}

/* Decodes a copy of exactly `len` bytes, so that a sanitizer sees any step beyond, and reads all
 * that came out. */
static void decode_and_touch(const char *bytes, apr_size_t len, apr_pool_t *scratch)
{
    char *copy = malloc(len ? len : 1);
    capi_envelope_t *got;
    int i;

    memcpy(copy, bytes, len);
    if (capi_envelope_decode(&got, copy, len, scratch) == APR_SUCCESS) {
        const char *texts[] = {got->settings.account,
                               got->settings.api_url,
                               got->settings.on_denied,
                               got->consent.signal,
                               got->consent.evidence,
                               got->session_key,
                               got->visit_key,
                               got->click_id,
                               got->address,
                               got->agent,
                               got->user_data};

        for (i = 0; i < (int)(sizeof(texts) / sizeof(texts[0])); i++) {
            touch(texts[i], copy, len);
        }
        for (i = 0; i < got->bind_count; i++) {
            touch(got->binds[i].key, copy, len);
        }
        for (i = 0; i < got->event_count; i++) {
            touch(got->events[i].name, copy, len);
            touch(got->events[i].sent_as, copy, len);
            touch(got->events[i].event_id, copy, len);
            touch(got->events[i].context, copy, len);
            touch(got->events[i].warning, copy, len);
            touch(got->events[i].json, copy, len);
            ck_assert_uint_eq(strlen(got->events[i].json), got->events[i].json_len);
        }
        (void)capi_envelope_class(got);
    }
    free(copy);
    apr_pool_clear(scratch);
}

START_TEST(test_every_truncation_is_safe)
{
    capi_record_t record = encode(make_envelope());
    apr_pool_t *scratch;
    apr_size_t len;

    apr_pool_create(&scratch, pool);
    for (len = 0; len <= record.len; len++) {
        decode_and_touch(record.bytes, len, scratch);
    }
}
END_TEST

/* A small generator of our own: the same mutations in every run. */
static uint32_t next_random(void)
{
    static uint32_t state = 2463534242u;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

START_TEST(test_a_hundred_thousand_mutations_are_safe)
{
    capi_record_t record = encode(make_envelope());
    char *bytes = apr_palloc(pool, record.len);
    apr_pool_t *scratch;
    int rounds = getenv("CAPI_SLOW") ? 10000 : 100000;
    int round;

    apr_pool_create(&scratch, pool);
    for (round = 0; round < rounds; round++) {
        int changes = 1 + (int)(next_random() % 4);
        apr_size_t len = record.len - (next_random() % 8 == 0 ? next_random() % 64 : 0);

        memcpy(bytes, record.bytes, record.len);
        while (changes-- > 0) {
            apr_size_t at = next_random() % record.len;
            uint32_t how = next_random();
            uint32_t bit_flipped = (uint8_t)bytes[at] ^ 1u << (how >> 8) % 8;

            bytes[at] = (char)(how & 1 ? bit_flipped : how >> 8);
        }
        decode_and_touch(bytes, len, scratch);
    }
    ck_assert_uint_gt(touched, 0);
}
END_TEST

START_TEST(test_only_page_views_alone_are_of_the_page_class)
{
    capi_envelope_t *envelope = make_envelope();

    ck_assert_int_eq(capi_envelope_class(envelope), CAPI_CLASS_CONVERSION);
    envelope->bind_count = 0;
    ck_assert_int_eq(capi_envelope_class(envelope), CAPI_CLASS_CONVERSION);
    envelope->events++;
    envelope->event_count = 1;
    ck_assert_int_eq(capi_envelope_class(envelope), CAPI_CLASS_PAGE);
    envelope->bind_count = 1;
    ck_assert_int_eq(capi_envelope_class(envelope), CAPI_CLASS_CONVERSION);
    envelope->bind_count = 0;
    envelope->event_count = 0;
    ck_assert_int_eq(capi_envelope_class(envelope), CAPI_CLASS_PAGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("envelope");
    TCase *cases = tcase_create("envelope");
    SRunner *runner = srunner_create(suite);
    int failed;

    apr_initialize();
    suite_add_tcase(suite, cases);
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, make_pool, drop_pool);
    tcase_add_test(cases, test_settings_consent_and_visit_survive);
    tcase_add_test(cases, test_binds_and_events_survive_in_order);
    tcase_add_test(cases, test_what_is_absent_stays_absent_and_empty_stays_empty);
    tcase_add_test(cases, test_decoded_strings_point_into_the_record);
    tcase_add_test(cases, test_as_many_events_as_a_request_may_hold_survive);
    tcase_add_test(cases, test_unknown_tags_are_passed_over);
    tcase_add_test(cases, test_wrong_fields_are_refused);
    tcase_add_test(cases, test_events_without_what_they_need_are_refused);
    tcase_add_test(cases, test_every_truncation_is_safe);
    tcase_add_test(cases, test_a_hundred_thousand_mutations_are_safe);
    tcase_add_test(cases, test_only_page_views_alone_are_of_the_page_class);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    apr_terminate();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
