/* The event parser: what is an event, and what of it is kept. */

#include <string.h>

#include "unit_event.h"

START_TEST(test_guide_purchase_becomes_pinterests_checkout)
{
    const capi_event_t *event = parse(
        "{\"event_name\":\"checkout_complete\",\"action_source\":\"web\",\"event_time\":1776943380,"
        "\"event_id\":\"ord_10492_purchase\",\"user_data\":{\"em\":[\"" EMAIL_HASH "\"],"
        "\"ph\":[\"" PHONE_HASH "\"],\"epik\":\"dj0yJnU9YzJ\",\"client_ip_address\":"
        "\"203.0.113.42\",\"client_user_agent\":\"Mozilla/5.0...\"},\"custom_data\":"
        "{\"value\":129.95,\"currency\":\"EUR\",\"content_ids\":[\"SKU-481\",\"SKU-812\"]}}");

    ck_assert_str_eq(event->name, "checkout_complete");
    ck_assert_str_eq(event->sent_as, "checkout");
    ck_assert_str_eq(event->event_id, "ord_10492_purchase");
    ck_assert_int_eq(event->event_time, 1776943380);
    ck_assert_ptr_null(event->order_id);
    ck_assert_ptr_null(event->warning);
    assert_body(
        event,
        "{\"event_name\":\"checkout\",\"action_source\":\"web\",\"event_time\":1776943380,"
        "\"event_id\":\"ord_10492_purchase\",\"user_data\":{\"em\":[\"" EMAIL_HASH "\"],"
        "\"ph\":[\"" PHONE_HASH "\"],\"click_id\":\"dj0yJnU9YzJ\",\"client_ip_address\":"
        "\"203.0.113.42\",\"client_user_agent\":\"Mozilla/5.0...\"},\"custom_data\":"
        "{\"value\":\"129.95\",\"currency\":\"EUR\",\"content_ids\":[\"SKU-481\",\"SKU-812\"]}}");
}
END_TEST

START_TEST(test_guide_examples_work_letter_by_letter)
{
    static const struct {
        const char *input;
        const char *sent_as;
    } examples[] = {
        {"{\"event_name\":\"add_to_cart\",\"action_source\":\"web\",\"event_time\":1776943226,"
         "\"event_id\":\"cart_10492_add_1\",\"user_data\":{\"epik\":\"dj0yJnU9YzJ...\","
         "\"client_ip_address\":\"203.0.113.42\",\"client_user_agent\":\"Mozilla/5.0...\"},"
         "\"custom_data\":{\"value\":89.95,\"currency\":\"EUR\",\"content_ids\":[\"SKU-481\"]}}",
         "add_to_cart"},
        {"{\"event_name\":\"checkout\",\"action_source\":\"web\",\"event_time\":1776943312,"
         "\"event_id\":\"chk_10492_start\",\"user_data\":{\"em\":[\"sha256_lowercase_email\"],"
         "\"ph\":[\"sha256_e164_phone\"],\"epik\":\"dj0yJnU9YzJ...\",\"client_ip_address\":"
         "\"203.0.113.42\",\"client_user_agent\":\"Mozilla/5.0...\"}}",
         "initiate_checkout"},
        {"{\"event_name\":\"lead\",\"action_source\":\"web\",\"event_time\":1776943345,"
         "\"event_id\":\"lead_77821_submit\",\"user_data\":{\"em\":[\"sha256_lowercase_email\"],"
         "\"epik\":\"dj0yJnU9YzJ...\",\"client_ip_address\":\"203.0.113.42\","
         "\"client_user_agent\":\"Mozilla/5.0...\"}}",
         "lead"},
    };

    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        const capi_event_t *event = parse(examples[i].input);

        ck_assert_str_eq(event->sent_as, examples[i].sent_as);
        ck_assert_int_eq(event->event_time,
                         json_integer_value(json_object_get(event->body, "event_time")));
        ck_assert(capi_event_is_sendable(event->body));
        /* The placeholders of the guide are no hashes and no click id. */
        ck_assert_uint_eq(capi_event_keys(event->body),
                          CAPI_KEY_BIT(CAPI_KEY_CLIENT_IP_ADDRESS) |
                              CAPI_KEY_BIT(CAPI_KEY_CLIENT_USER_AGENT));
        ck_assert_ptr_nonnull(strstr(event->warning, "user_data.epik"));
    }
}
END_TEST

START_TEST(test_smallest_event_gets_time_source_and_user_data)
{
    const capi_event_t *event = parse("{\"event_name\":\"page_visit\"}");

    assert_body(event, "{\"event_name\":\"page_visit\",\"action_source\":\"web\","
                       "\"event_time\":1776943400,\"user_data\":{}}");
    ck_assert_ptr_null(event->event_id);
    ck_assert_ptr_null(event->warning);
    ck_assert(!capi_event_is_sendable(event->body));
}
END_TEST

START_TEST(test_what_is_no_event_is_refused_with_a_reason)
{
    static const struct {
        const char *input;
        const char *says;
    } rows[] = {
        {"[]", "object"},
        {"null", "object"},
        {"17", "object"},
        {"\"x\"", "object"},
        {"{}", "event_name"},
        {"{\"event_name\":7}", "event_name"},
        {"{\"event_name\":\"\"}", "event_name"},
        {"{\"event_name\":\"page_visit\\u0000x\"}", "event_name"},
        {"{\"event_name\":\"purchse\"}", "purchase"},
        {"{\"event_name\":\"checkout\",\"order_id\":\"7\"}", "initiate_checkout"},
        {"{\"event_name\":\"checkout\",\"custom_data\":{\"order_id\":7}}", "initiate_checkout"},
        {"{\"event_name\":\"lead\",\"action_source\":\"mail\"}", "action_source"},
        {"{\"event_name\":\"lead\",\"action_source\":[]}", "action_source"},
        {"{\"event_name\":\"lead\",\"event_time\":0}", "event_time"},
        {"{\"event_name\":\"lead\",\"event_time\":-5}", "event_time"},
        {"{\"event_name\":\"lead\",\"event_time\":\"soon\"}", "event_time"},
        {"{\"event_name\":\"lead\",\"event_time\":true}", "event_time"},
        {"{\"event_name\":\"lead\",\"event_time\":{}}", "event_time"},
        {"{\"event_name\":\"lead\",\"event_id\":\"\"}", "event_id"},
        {"{\"event_name\":\"lead\",\"event_id\":\"a\\nb\"}", "event_id"},
        {"{\"event_name\":\"lead\",\"event_id\":\"a\\u0000b\"}", "event_id"},
        {"{\"event_name\":\"lead\",\"event_id\":[\"a\"]}", "event_id"},
        {"{\"event_name\":\"lead\",\"event_id\":true}", "event_id"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *message = refusal(rows[i].input);

        ck_assert_msg(strstr(message, rows[i].says) != NULL, "%s: %s", rows[i].input, message);
    }
}
END_TEST

START_TEST(test_event_ids_have_256_bytes_at_most)
{
    char id[258];

    memset(id, 'x', sizeof(id));
    id[256] = '\0';
    ck_assert_str_eq(
        parse(apr_psprintf(pool, "{\"event_name\":\"lead\",\"event_id\":\"%s\"}", id))->event_id,
        id);
    id[256] = 'x';
    id[257] = '\0';
    refusal(apr_psprintf(pool, "{\"event_name\":\"lead\",\"event_id\":\"%s\"}", id));
    ck_assert_str_eq(parse("{\"event_name\":\"lead\",\"event_id\":10492}")->event_id, "10492");
    ck_assert_ptr_null(parse("{\"event_name\":\"lead\",\"event_id\":null}")->event_id);
}
END_TEST

START_TEST(test_a_place_that_needs_ids_refuses_events_without)
{
    capi_event_rules_t rules = rules_for(CAPI_SOURCE_HEADER);
    json_t *input = json_of("{\"event_name\":\"lead\"}");
    capi_event_t *event = NULL;
    const char *message = NULL;

    rules.may_lack_id = false;
    ck_assert_int_eq(capi_event_parse(&event, &message, input, &rules, pool), APR_EINVAL);
    ck_assert_ptr_nonnull(strstr(message, "event_id"));
    json_decref(input);
}
END_TEST

START_TEST(test_event_time_is_seconds_and_never_in_the_future)
{
    static const struct {
        const char *time;
        apr_int64_t want;
        bool warns;
    } rows[] = {
        {"1776943380", 1776943380, false},
        {"\"1776943380\"", 1776943380, false},
        {"1776943380.75", 1776943380, false},
        {"1776943380123", 1776943380, true},
        {"1776943380123456", 1776943380, true},
        {"1776943401", NOW_SEC, false},
        {"1776949999", NOW_SEC, true},
        {"9223372036854775807", NOW_SEC, true},
        {"1", 1, false},
        {"null", NOW_SEC, false},
        {"\"\"", NOW_SEC, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const capi_event_t *event =
            parse(apr_psprintf(pool, "{\"event_name\":\"lead\",\"event_time\":%s}", rows[i].time));

        ck_assert_int_eq(event->event_time, rows[i].want);
        ck_assert_msg((event->warning != NULL) == rows[i].warns, "%s", rows[i].time);
    }
}
END_TEST

START_TEST(test_an_events_own_vocabulary_goes_before_the_places)
{
    capi_event_rules_t rules = rules_for(CAPI_SOURCE_HEADER);

    ck_assert_str_eq(
        parse_by("{\"event_name\":\"checkout\",\"names\":\"pinterest\",\"order_id\":\"1\"}", &rules)
            ->sent_as,
        "checkout");
    rules.vocabulary = CAPI_NAMES_PINTEREST;
    ck_assert_str_eq(parse_by("{\"event_name\":\"checkout\"}", &rules)->sent_as, "checkout");
    ck_assert_str_eq(parse_by("{\"event_name\":\"checkout\",\"names\":\"guide\"}", &rules)->sent_as,
                     "initiate_checkout");
    ck_assert_ptr_nonnull(
        strstr(parse_by("{\"event_name\":\"lead\",\"names\":\"x\"}", &rules)->warning, "names"));
}
END_TEST

START_TEST(test_order_id_is_found_at_the_top_and_in_custom_data)
{
    const capi_event_t *event = parse("{\"event_name\":\"purchase\",\"order_id\":10492}");

    ck_assert_str_eq(event->order_id, "10492");
    ck_assert_str_eq(
        json_string_value(json_object_get(json_object_get(event->body, "custom_data"), "order_id")),
        "10492");
    event = parse("{\"event_name\":\"purchase\",\"custom_data\":{\"order_id\":\"A-7\"}}");
    ck_assert_str_eq(event->order_id, "A-7");
    event = parse("{\"event_name\":\"lead\",\"order_id\":{}}");
    ck_assert_ptr_null(event->order_id);
    ck_assert_ptr_nonnull(strstr(event->warning, "order_id"));
}
END_TEST

START_TEST(test_context_is_a_bind_key)
{
    static const char *const wrong[] = {"\"10492\"", "\":7\"", "\"order:\"",
                                        "7",         "[]",     "\"order:a\\nb\""};

    ck_assert_str_eq(parse("{\"event_name\":\"lead\",\"context\":\"order:10492\"}")->context,
                     "order:10492");
    ck_assert_ptr_null(parse("{\"event_name\":\"lead\",\"context\":\"\"}")->context);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const capi_event_t *event =
            parse(apr_psprintf(pool, "{\"event_name\":\"lead\",\"context\":%s}", wrong[i]));

        ck_assert_ptr_null(event->context);
        ck_assert_ptr_nonnull(strstr(event->warning, "context"));
    }
}
END_TEST

START_TEST(test_the_shops_server_may_speak_about_consent)
{
    static const struct {
        const char *members;
        capi_consent_state_t want;
    } rows[] = {
        {"\"x\":null", CAPI_CONSENT_UNKNOWN},
        {"\"consent\":\"granted\"", CAPI_CONSENT_GRANTED},
        {"\"consent\":\"denied\"", CAPI_CONSENT_DENIED},
        {"\"consent\":true", CAPI_CONSENT_GRANTED},
        {"\"consent\":false", CAPI_CONSENT_DENIED},
        {"\"consent\":\"perhaps\"", CAPI_CONSENT_DENIED},
        {"\"opt_out\":true", CAPI_CONSENT_DENIED},
        {"\"opt_out\":false", CAPI_CONSENT_UNKNOWN},
        {"\"opt_out\":\"true\"", CAPI_CONSENT_DENIED},
        {"\"opt_out\":1", CAPI_CONSENT_DENIED},
        {"\"consent\":\"granted\",\"opt_out\":true", CAPI_CONSENT_DENIED},
        {"\"consent\":null", CAPI_CONSENT_UNKNOWN},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const capi_event_t *event =
            parse(apr_psprintf(pool, "{\"event_name\":\"lead\",%s}", rows[i].members));

        ck_assert_msg(event->consent == rows[i].want, "%s", rows[i].members);
        ck_assert_ptr_null(json_object_get(event->body, "consent"));
    }
}
END_TEST

START_TEST(test_a_browser_may_not_speak_about_consent)
{
    capi_event_rules_t rules = rules_for(CAPI_SOURCE_BROWSER);
    const capi_event_t *event =
        parse_by("{\"event_name\":\"lead\",\"consent\":\"granted\",\"opt_out\":true}", &rules);

    ck_assert_int_eq((int)event->consent, CAPI_CONSENT_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(event->warning, "consent"));
    /* Pinterest may well know. */
    ck_assert(json_is_true(json_object_get(event->body, "opt_out")));
}
END_TEST

START_TEST(test_unknown_keys_are_dropped_and_named_but_never_their_values)
{
    const capi_event_t *event =
        parse("{\"event_name\":\"lead\",\"colour\":\"secret-1\",\"custom_data\":{\"category_name\":"
              "\"secret-2\"},\"user_data\":{\"em\":\"secret-3\",\"nick\":\"secret-4\"},"
              "\"<script>alert(1)</script>_and_a_key_that_is_far_too_long\":5}");

    assert_body(event, "{\"event_name\":\"lead\",\"action_source\":\"web\",\"event_time\":"
                       "1776943400,\"user_data\":{}}");
    ck_assert_ptr_nonnull(strstr(event->warning, "colour"));
    ck_assert_ptr_nonnull(strstr(event->warning, "custom_data.category_name"));
    ck_assert_ptr_nonnull(strstr(event->warning, "user_data.em"));
    ck_assert_ptr_nonnull(strstr(event->warning, "user_data.nick"));
    ck_assert_ptr_null(strstr(event->warning, "secret"));
    ck_assert_ptr_null(strchr(event->warning, '<'));
    ck_assert_ptr_null(strstr(event->warning, "too_long"));
}
END_TEST

START_TEST(test_warnings_stay_short)
{
    json_t *input = json_pack("{s:s}", "event_name", "lead");
    capi_event_rules_t rules = rules_for(CAPI_SOURCE_BROWSER);
    capi_event_t *event = NULL;
    const char *message;

    for (int i = 0; i < 5000; i++) {
        json_object_set_new(input, apr_psprintf(pool, "key_%d", i), json_true());
    }
    ck_assert_int_eq(capi_event_parse(&event, &message, input, &rules, pool), APR_SUCCESS);
    ck_assert_uint_lt(strlen(event->warning), 1000);
    ck_assert_ptr_nonnull(strstr(event->warning, "4992 more"));
    json_decref(input);
}
END_TEST

START_TEST(test_fields_of_apps_and_devices_have_their_ranges)
{
    assert_body(
        parse(
            "{\"event_name\":\"app_open\",\"action_source\":\"app_ios\",\"language\":\"DE-at\","
            "\"wifi\":\"true\",\"app_id\":429047995,\"device_brand\":\"Apple\",\"opt_out\":false,"
            "\"app_info\":{\"install_time\":1700000000,\"window_width\":30721,\"nope\":1},"
            "\"device_info\":{\"battery_level\":100,\"cpu_cores\":1153,\"form_factor\":\"Tablet\","
            "\"os_family\":\"beos\",\"languages\":[\"de\",\"en\"],\"timezone_abbr\":\"CET\","
            "\"screen_height\":\"844\"},\"partner_name\":null,\"os_version\":\"\"}"),
        "{\"event_name\":\"app_open\",\"action_source\":\"app_ios\",\"event_time\":1776943400,"
        "\"user_data\":{},\"language\":\"de\",\"wifi\":true,\"app_id\":\"429047995\","
        "\"device_brand\":\"Apple\",\"opt_out\":false,\"app_info\":{\"install_time\":1700000000},"
        "\"device_info\":{\"battery_level\":100,\"form_factor\":\"tablet\",\"languages\":[\"de\","
        "\"en\"],\"timezone_abbr\":\"CET\",\"screen_height\":844}}");
}
END_TEST

START_TEST(test_page_urls_are_http)
{
    static const char *const wrong[] = {"\"/product/7\"", "\"javascript:alert(1)\"", "7", "{}",
                                        "\"https://a\\nb\""};

    ck_assert_str_eq(
        json_string_value(json_object_get(
            parse("{\"event_name\":\"lead\",\"event_source_url\":\"https://shop.example/a?b=c\"}")
                ->body,
            "event_source_url")),
        "https://shop.example/a?b=c");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const capi_event_t *event = parse(
            apr_psprintf(pool, "{\"event_name\":\"lead\",\"event_source_url\":%s}", wrong[i]));

        ck_assert_ptr_null(json_object_get(event->body, "event_source_url"));
        ck_assert_ptr_nonnull(strstr(event->warning, "event_source_url"));
    }
}
END_TEST

START_TEST(test_any_type_in_any_place_is_survived)
{
    static const char *const values[] = {"null",
                                         "true",
                                         "0",
                                         "-1",
                                         "1e308",
                                         "1.5",
                                         "\"\"",
                                         "\"x\"",
                                         "[]",
                                         "[[]]",
                                         "[null]",
                                         "{}",
                                         "[{\"a\":[]}]",
                                         "{\"em\":{\"em\":[{}]}}",
                                         "\"\\u0000\"",
                                         "\"\\u0007\"",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "[\"\",1,1.5,true,null,{}]"};
    static const char *const keys[] = {
        "event_name", "action_source", "event_time",  "event_id", "user_data",        "custom_data",
        "order_id",   "context",       "consent",     "names",    "event_source_url", "opt_out",
        "language",   "app_info",      "device_info", "wifi",     "partner_name"};
    static const char *const nested[] = {"value",
                                         "currency",
                                         "content_ids",
                                         "contents",
                                         "num_items",
                                         "order_id",
                                         "opt_out_type",
                                         "em",
                                         "ph",
                                         "country",
                                         "db",
                                         "click_id",
                                         "client_ip_address",
                                         "client_user_agent",
                                         "hashed_maids",
                                         "partner_id"};
    capi_event_rules_t rules = rules_for(CAPI_SOURCE_BACKEND);

    for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]) + sizeof(nested) / sizeof(nested[0]);
             k++) {
            size_t n = k - sizeof(keys) / sizeof(keys[0]);
            json_t *input = json_of(
                k < sizeof(keys) / sizeof(keys[0])
                    ? apr_psprintf(pool, "{\"event_name\":\"lead\",\"%s\":%s}", keys[k], values[v])
                    : apr_psprintf(pool,
                                   "{\"event_name\":\"lead\",\"user_data\":{\"%s\":%s},"
                                   "\"custom_data\":{\"%s\":%s,\"contents\":[{\"id\":%s,"
                                   "\"quantity\":%s}]}}",
                                   nested[n], values[v], nested[n], values[v], values[v],
                                   values[v]));
            capi_event_t *event = NULL;
            const char *message = NULL;

            if (capi_event_parse(&event, &message, input, &rules, pool) == APR_SUCCESS) {
                ck_assert(json_is_object(json_object_get(event->body, "user_data")));
            }
            else {
                ck_assert_ptr_nonnull(message);
            }
            json_decref(input);
        }
    }
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("event");

    tcase_add_test(cases, test_guide_purchase_becomes_pinterests_checkout);
    tcase_add_test(cases, test_guide_examples_work_letter_by_letter);
    tcase_add_test(cases, test_smallest_event_gets_time_source_and_user_data);
    tcase_add_test(cases, test_what_is_no_event_is_refused_with_a_reason);
    tcase_add_test(cases, test_event_ids_have_256_bytes_at_most);
    tcase_add_test(cases, test_a_place_that_needs_ids_refuses_events_without);
    tcase_add_test(cases, test_event_time_is_seconds_and_never_in_the_future);
    tcase_add_test(cases, test_an_events_own_vocabulary_goes_before_the_places);
    tcase_add_test(cases, test_order_id_is_found_at_the_top_and_in_custom_data);
    tcase_add_test(cases, test_context_is_a_bind_key);
    tcase_add_test(cases, test_the_shops_server_may_speak_about_consent);
    tcase_add_test(cases, test_a_browser_may_not_speak_about_consent);
    tcase_add_test(cases, test_unknown_keys_are_dropped_and_named_but_never_their_values);
    tcase_add_test(cases, test_warnings_stay_short);
    tcase_add_test(cases, test_fields_of_apps_and_devices_have_their_ranges);
    tcase_add_test(cases, test_page_urls_are_http);
    tcase_add_test(cases, test_any_type_in_any_place_is_survived);
    return unit_end("event", cases);
}
