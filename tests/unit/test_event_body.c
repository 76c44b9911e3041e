/* The canonical event once it is made: named, completed, merged, written out. */

#include <string.h>

#include "unit_event.h"

#define NOW apr_time_from_sec(NOW_SEC)

START_TEST(test_an_event_outlives_its_input)
{
    const capi_event_t *event =
        parse("{\"event_name\":\"purchase\",\"event_id\":\"e\",\"order_id\":"
              "\"o\",\"context\":\"order:o\"}");

    ck_assert_str_eq(event->name, "purchase");
    ck_assert_str_eq(event->event_id, "e");
    ck_assert_str_eq(event->order_id, "o");
    ck_assert_str_eq(event->context, "order:o");
}
END_TEST

START_TEST(test_an_id_is_named_in_event_and_body)
{
    capi_event_t *event = parse("{\"event_name\":\"lead\"}");

    capi_event_set_id(event, "e-1", pool);
    ck_assert_str_eq(event->event_id, "e-1");
    ck_assert_str_eq(json_string_value(json_object_get(event->body, "event_id")), "e-1");
}
END_TEST

START_TEST(test_derived_ids_depend_on_the_content_alone)
{
    json_t *one = json_of("{\"a\":1,\"b\":{\"c\":2,\"d\":1.5}}");
    json_t *two = json_of("{ \"b\": {\"d\":1.5, \"c\":2}, \"a\":1 }");
    json_t *three = json_of("{\"a\":1,\"b\":{\"c\":3,\"d\":1.5}}");
    const char *id = capi_event_derive_id(one, pool);

    ck_assert_uint_eq(strlen(id), 34);
    ck_assert_int_eq(strncmp(id, "h_", 2), 0);
    ck_assert_str_eq(id, capi_event_derive_id(two, pool));
    ck_assert_str_ne(id, capi_event_derive_id(three, pool));
    json_decref(one);
    json_decref(two);
    json_decref(three);
}
END_TEST

/* The event as it is written with its client, which is what completing its body makes of it. */
static void assert_written(capi_event_t *event, const capi_event_client_t *client, const char *want)
{
    capi_keys_t keys = 0;
    apr_size_t len = 0;
    const char *text = capi_event_write(&len, &keys, event, client, pool);
    json_t *written = json_of(text);

    ck_assert_uint_eq(len, strlen(text));
    if (event->body) {
        capi_event_complete(event->body, client);
        assert_body(event, want);
        ck_assert_uint_eq(keys, capi_event_keys(event->body));
    }
    event->body = written;
    assert_body(event, want);
    ck_assert_uint_eq(keys, capi_event_keys(written));
    json_decref(written);
}

START_TEST(test_the_visit_completes_what_the_event_does_not_say)
{
    capi_event_t *event = parse("{\"event_name\":\"lead\",\"user_data\":{\"click_id\":\"own\","
                                "\"em\":\"" EMAIL_HASH "\"},\"custom_data\":{\"value\":1}}");
    json_t *keys = json_of("{\"em\":[\"other\"],\"ph\":[\"" PHONE_HASH "\"]}");
    const capi_event_client_t client = {"visit", "203.0.113.42", "Mozilla", "https://shop.example/",
                                        keys};

    assert_written(event, &client,
                   "{\"event_name\":\"lead\",\"action_source\":\"web\",\"event_time\":"
                   "1776943400,\"event_source_url\":\"https://shop.example/\",\"user_data\":"
                   "{\"click_id\":\"own\",\"em\":[\"" EMAIL_HASH "\"],\"ph\":[\"" PHONE_HASH
                   "\"],\"client_ip_address\":\"203.0.113.42\",\"client_user_agent\":"
                   "\"Mozilla\"},\"custom_data\":{\"value\":\"1.00\"}}");
    json_decref(keys);
}
END_TEST

START_TEST(test_text_that_is_not_utf8_is_not_taken_from_the_visit)
{
    const capi_event_client_t client = {.address = "203.0.113.42", .agent = "agent \xe9"};

    assert_written(parse("{\"event_name\":\"lead\"}"), &client,
                   "{\"event_name\":\"lead\",\"action_source\":\"web\",\"event_time\":1776943400,"
                   "\"user_data\":{\"client_ip_address\":\"203.0.113.42\"}}");
}
END_TEST

START_TEST(test_a_plain_event_says_its_name_and_its_client)
{
    const capi_event_client_t client = {
        .agent = "a \"quoted\" \\ agent\twith a tab, \xc3\xa9 and a long rest",
        .page_url = "https://shop.example/?q=%22"};
    capi_event_t *event = capi_event_plain("page_view", "page_visit", NOW, pool);

    capi_event_set_id(event, "e-1", pool);
    assert_written(event, &client,
                   "{\"event_name\":\"page_visit\",\"action_source\":\"web\",\"event_time\":"
                   "1776943400,\"event_id\":\"e-1\",\"event_source_url\":"
                   "\"https://shop.example/?q=%22\",\"user_data\":{\"client_user_agent\":"
                   "\"a \\\"quoted\\\" \\\\ agent\\twith a tab, \xc3\xa9 and a long rest\"}}");
    assert_written(capi_event_plain("lead", "lead", NOW, pool), &(capi_event_client_t){NULL},
                   "{\"event_name\":\"lead\",\"action_source\":\"web\",\"event_time\":1776943400,"
                   "\"user_data\":{}}");
}
END_TEST

START_TEST(test_a_long_client_is_written_whole)
{
    char agent[9001];
    capi_event_client_t client = {.agent = agent};

    memset(agent, '"', sizeof(agent) - 1);
    agent[sizeof(agent) - 1] = '\0';
    capi_keys_t keys;
    apr_size_t len;
    json_t *written = json_of(
        capi_event_write(&len, &keys, capi_event_plain("lead", "lead", NOW, pool), &client, pool));

    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(written, "user_data"),
                                                       "client_user_agent")),
                     agent);
    json_decref(written);
}
END_TEST

START_TEST(test_merging_adds_what_is_missing_and_changes_nothing)
{
    json_t *stronger = json_of("{\"event_name\":\"checkout\",\"user_data\":{\"em\":[\"a\"]},"
                               "\"custom_data\":{\"value\":\"1.00\",\"content_ids\":[\"x\"]}}");
    json_t *weaker = json_of("{\"event_name\":\"other\",\"event_source_url\":\"https://h/\","
                             "\"user_data\":{\"em\":[\"b\"],\"click_id\":\"c\"},\"custom_data\":"
                             "{\"value\":\"2.00\",\"currency\":\"EUR\",\"content_ids\":[\"y\"]},"
                             "\"app_info\":{\"app_id\":\"7\"}}");
    json_t *weaker_before = json_deep_copy(weaker);
    json_t *want = json_of("{\"event_name\":\"checkout\",\"event_source_url\":\"https://h/\","
                           "\"user_data\":{\"em\":[\"a\"],\"click_id\":\"c\"},\"custom_data\":"
                           "{\"value\":\"1.00\",\"currency\":\"EUR\",\"content_ids\":[\"x\"]},"
                           "\"app_info\":{\"app_id\":\"7\"}}");

    capi_event_merge(stronger, weaker);
    ck_assert(json_equal(stronger, want));
    json_object_set_new(json_object_get(stronger, "app_info"), "app_name", json_string("n"));
    ck_assert(json_equal(weaker, weaker_before));
    json_decref(stronger);
    json_decref(weaker);
    json_decref(weaker_before);
    json_decref(want);
}
END_TEST

START_TEST(test_pinterests_minimum_is_kept)
{
    static const struct {
        const char *user_data;
        bool is_sendable;
    } rows[] = {
        {"{}", false},
        {"{\"em\":[\"x\"]}", true},
        {"{\"em\":[]}", false},
        {"{\"hashed_maids\":[\"x\"]}", true},
        {"{\"client_ip_address\":\"1.2.3.4\"}", false},
        {"{\"client_user_agent\":\"x\"}", false},
        {"{\"client_ip_address\":\"1.2.3.4\",\"client_user_agent\":\"x\"}", true},
        {"{\"ph\":[\"x\"],\"external_id\":[\"x\"],\"click_id\":\"x\"}", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *body = json_of(apr_psprintf(pool, "{\"user_data\":%s}", rows[i].user_data));

        ck_assert_msg(capi_event_is_sendable(body) == rows[i].is_sendable, "%s", rows[i].user_data);
        json_decref(body);
    }
}
END_TEST

START_TEST(test_text_of_an_event_is_compact_whatever_its_length)
{
    json_t *body = json_pack("{s:s}", "content_name", "\xc3\xa9");
    apr_size_t len;
    char name[5000];

    ck_assert_str_eq(capi_event_text(&len, body, pool), "{\"content_name\":\"\xc3\xa9\"}");
    ck_assert_uint_eq(len, 21);
    for (size_t size = 990; size < 1030; size++) {
        const char *text;

        memset(name, 'n', size);
        name[size] = '\0';
        json_object_set_new(body, "content_name", json_string(name));
        text = capi_event_text(&len, body, pool);
        ck_assert_uint_eq(len, size + 19);
        ck_assert_uint_eq(strlen(text), len);
        ck_assert_int_eq(text[len - 1], '}');
    }
    json_decref(body);
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("event_body");

    tcase_add_test(cases, test_an_event_outlives_its_input);
    tcase_add_test(cases, test_an_id_is_named_in_event_and_body);
    tcase_add_test(cases, test_derived_ids_depend_on_the_content_alone);
    tcase_add_test(cases, test_the_visit_completes_what_the_event_does_not_say);
    tcase_add_test(cases, test_text_that_is_not_utf8_is_not_taken_from_the_visit);
    tcase_add_test(cases, test_a_plain_event_says_its_name_and_its_client);
    tcase_add_test(cases, test_a_long_client_is_written_whole);
    tcase_add_test(cases, test_merging_adds_what_is_missing_and_changes_nothing);
    tcase_add_test(cases, test_pinterests_minimum_is_kept);
    tcase_add_test(cases, test_text_of_an_event_is_compact_whatever_its_length);
    return unit_end("event_body", cases);
}
