/* Both wire formats, and the answers in Pinterest's shape. */

#include "wire.h"

#include <apr_strings.h>

#include <string.h>

#include "unit.h"

#define HASH "836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"
#define CANONICAL                                                                                  \
    "{\"event_name\":\"checkout\",\"action_source\":\"web\",\"event_time\":1776943380,"            \
    "\"event_id\":\"ord_10492_purchase\",\"user_data\":{\"em\":[\"" HASH "\"],\"click_id\":"       \
    "\"dj0yJnU9YzJ\",\"client_ip_address\":\"203.0.113.42\",\"client_user_agent\":\"Mozilla/5.0\"" \
    "},\"custom_data\":{\"value\":\"129.95\",\"currency\":\"EUR\",\"content_ids\":[\"SKU-481\","   \
    "\"SKU-812\"]}}"

static const char *guide(const char *canonical, const char *name)
{
    const char *text = NULL;
    apr_size_t len = 0;

    ck_assert_int_eq(
        capi_wire_event(&text, &len, CAPI_WIRE_GUIDE, canonical, strlen(canonical), name, pool),
        APR_SUCCESS);
    ck_assert_uint_eq(strlen(text), len);
    return text;
}

START_TEST(test_v5_is_the_stored_text_byte_for_byte)
{
    const char canonical[] = CANONICAL;
    const char *text = NULL;
    apr_size_t len = 0;

    ck_assert_int_eq(
        capi_wire_event(&text, &len, CAPI_WIRE_V5, canonical, sizeof(canonical) - 1, "x", pool),
        APR_SUCCESS);
    ck_assert_ptr_eq(text, canonical);
    ck_assert_uint_eq(len, sizeof(canonical) - 1);
}
END_TEST

START_TEST(test_guide_format_is_the_guides_purchase)
{
    ck_assert_str_eq(
        guide(CANONICAL, "checkout_complete"),
        "{\"event_name\":\"checkout_complete\",\"action_source\":\"web\",\"event_time\":1776943380,"
        "\"event_id\":\"ord_10492_purchase\",\"user_data\":{\"em\":[\"" HASH "\"],\"epik\":"
        "\"dj0yJnU9YzJ\",\"client_ip_address\":\"203.0.113.42\",\"client_user_agent\":"
        "\"Mozilla/5.0\"},\"custom_data\":{\"value\":129.95,\"currency\":\"EUR\",\"content_ids\":"
        "[\"SKU-481\",\"SKU-812\"]}}");
}
END_TEST

START_TEST(test_guide_format_writes_amounts_as_they_were_meant)
{
    static const char *const amounts[][2] = {
        {"129.95", "129.95"},
        {"89.90", "89.9"},
        {"0.10", "0.1"},
        {"100.00", "100.0"},
        {"1290", "1290"},
        {"1.235", "1.235"},
        {"1234567890.12", "1234567890.12"},
    };

    for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
        const char *text = guide(
            apr_psprintf(pool,
                         "{\"user_data\":{},\"custom_data\":{\"value\":\"%s\",\"predicted_ltv\":"
                         "\"%s\",\"contents\":[{\"item_price\":\"%s\"}]}}",
                         amounts[i][0], amounts[i][0], amounts[i][0]),
            NULL);

        ck_assert_str_eq(text, apr_psprintf(pool,
                                            "{\"user_data\":{},\"custom_data\":{\"value\":%s,"
                                            "\"predicted_ltv\":%s,\"contents\":[{\"item_price\":"
                                            "%s}]}}",
                                            amounts[i][1], amounts[i][1], amounts[i][1]));
    }
}
END_TEST

START_TEST(test_guide_format_of_what_is_no_event_is_refused)
{
    static const char *const broken[] = {"", "{", "[]", "{}", "7", "{\"user_data\":7}"};
    const char *text = NULL;
    apr_size_t len = 0;

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        ck_assert_int_eq(capi_wire_event(&text, &len, CAPI_WIRE_GUIDE, broken[i], strlen(broken[i]),
                                         "lead", pool),
                         APR_EINVAL);
    }
}
END_TEST

static apr_status_t answer(capi_result_t **results, const char **message, const char *body,
                           int expected)
{
    return capi_wire_answer(results, message, body, strlen(body), expected, pool);
}

START_TEST(test_answer_of_a_200_gives_each_events_result)
{
    capi_result_t *results = NULL;
    const char *message = NULL;

    ck_assert_int_eq(answer(&results, &message,
                            "{\"num_events_received\":2,\"num_events_processed\":1,\"events\":["
                            "{\"status\":\"processed\",\"error_message\":\"\",\"warning_message\":"
                            "null},{\"status\":\"failed\",\"error_message\":\"too\\nold\","
                            "\"warning_message\":\"w\"}]}",
                            2),
                     APR_SUCCESS);
    ck_assert(results[0].processed);
    ck_assert_ptr_null(results[0].error);
    ck_assert_ptr_null(results[0].warning);
    ck_assert(!results[1].processed);
    ck_assert_str_eq(results[1].error, "too old");
    ck_assert_str_eq(results[1].warning, "w");
}
END_TEST

START_TEST(test_answer_of_a_422_has_the_results_in_its_details)
{
    capi_result_t *results = NULL;
    const char *message = NULL;

    ck_assert_int_eq(
        answer(&results, &message,
               "{\"code\":953,\"message\":\"The action could not be processed properly due to some "
               "or all data provided being invalid.\",\"details\":{\"num_events_processed\":0,"
               "\"num_events_received\":1,\"events\":[{\"status\":\"failed\",\"error_message\":"
               "\"Invalid event_timestamp parameter.\",\"warning_message\":\"\"}]}}",
               1),
        APR_SUCCESS);
    ck_assert(!results[0].processed);
    ck_assert_str_eq(results[0].error, "Invalid event_timestamp parameter.");
}
END_TEST

/* Pinterest says the same of most events; that is read without reading it over and over. */
START_TEST(test_results_that_repeat_are_read_like_any_others)
{
    static const char one[] = "{\"status\":\"processed\",\"error_message\":\"a},{\"}";
    static const char other[] = "{\"status\":\"failed\",\"error_message\":\"no\"}";
    capi_result_t *results = NULL;
    const char *message = NULL;

    ck_assert_int_eq(answer(&results, &message,
                            apr_psprintf(pool, "{\"events\":[%s,%s,%s,%s,%s],\"n\":1}", other,
                                         other, other, one, other),
                            5),
                     APR_SUCCESS);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(results[i].processed, i == 3);
        ck_assert_str_eq(results[i].error, i == 3 ? "a},{" : "no");
    }
    ck_assert_int_eq(answer(&results, &message,
                            apr_psprintf(pool, "{\"events\" : [ %s, %s, %s ]}", one, one, one), 3),
                     APR_SUCCESS);
    ck_assert(results[2].processed);
}
END_TEST

START_TEST(test_results_that_repeat_do_not_hide_what_is_wrong)
{
    static const char *const broken[] = {
        "{\"events\":[{\"status\":\"processed\"},{\"status\":\"processed\"}",
        "{\"events\":[{\"status\":\"processed\"},{\"status\":\"processed\"},]}",
        "{\"events\":[{\"status\":\"processed\"},{\"status\":\"processed\"},7]}",
        "{\"events\":[{\"status\":\"maybe\"},{\"status\":\"maybe\"}]}",
        "{\"events\":[{\"status\":\"processed\"},,{\"status\":\"processed\"}]}",
        "{\"events\":[{\"status\":\"processed\"} {\"status\":\"processed\"}]}",
        "{\"events\":{\"status\":\"processed\"},{\"status\":\"processed\"}}",
        "{\"events\":[[{\"status\":\"processed\"},{\"status\":\"processed\"}]]}",
        "{\"events\":[2,{\"status\":\"processed\"}]}",
        "{\"x\":{\"events\":[{},{}]},\"events\":[{\"status\":\"processed\"}]}",
        "{\"x\":\"events\":[{},{}],\"events\":[{\"status\":\"processed\"}]}",
    };
    capi_result_t *results = NULL;

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        const char *message = NULL;

        ck_assert_msg(answer(&results, &message, broken[i], 2) == APR_EINVAL, "%s", broken[i]);
    }
}
END_TEST

START_TEST(test_answer_without_results_says_what_it_says)
{
    capi_result_t *results = NULL;
    const char *message = NULL;

    ck_assert_int_eq(
        answer(&results, &message, "{\"code\":2,\"message\":\"Authentication failed.\"}", 1),
        APR_ENOENT);
    ck_assert_str_eq(message, "2: Authentication failed.");
    ck_assert_int_eq(
        answer(
            &results, &message,
            "{\"code\":null,\"message\":\"Invalid request: Additional properties are not allowed "
            "('category_name' was unexpected)\"}",
            1),
        APR_ENOENT);
    ck_assert_ptr_nonnull(strstr(message, "category_name"));
    ck_assert_int_eq(answer(&results, &message, "{\"details\":{\"events\":{}}}", 1), APR_ENOENT);
    ck_assert_int_eq(answer(&results, &message, "7", 1), APR_ENOENT);
}
END_TEST

START_TEST(test_answer_that_cannot_be_counted_is_refused)
{
    static const char *const broken[] = {
        "",
        "<html>502</html>",
        "{\"events\":[",
        "{\"events\":[]}",
        "{\"events\":[{\"status\":\"processed\"},{\"status\":\"processed\"}]}",
        "{\"events\":[{}]}",
        "{\"events\":[{\"status\":\"maybe\"}]}",
        "{\"events\":[null]}",
        "{\"events\":[7]}",
        "{\"events\":[{\"status\":true}]}",
    };
    capi_result_t *results = NULL;

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        const char *message = NULL;

        ck_assert_msg(answer(&results, &message, broken[i], 1) == APR_EINVAL, "%s", broken[i]);
        ck_assert_ptr_nonnull(message);
    }
}
END_TEST

START_TEST(test_long_messages_are_clipped_at_a_character)
{
    capi_result_t *results = NULL;
    const char *message = NULL;
    char text[1000];

    memset(text, 'm', sizeof(text));
    memcpy(text + 499, "\xc3\xa9", 2);
    text[900] = '\0';
    ck_assert_int_eq(answer(&results, &message,
                            apr_psprintf(pool,
                                         "{\"events\":[{\"status\":\"failed\",\"error_message\":"
                                         "\"%s\"}]}",
                                         text),
                            1),
                     APR_SUCCESS);
    ck_assert_uint_eq(strlen(results[0].error), 499);
}
END_TEST

START_TEST(test_what_may_be_somebodys_is_not_kept_of_a_message)
{
    static const struct {
        const char *came, *kept;
    } rows[] = {
        {"Additional properties are not allowed ('category_name' was unexpected)", NULL},
        {"Given timestamp is in the past. Current timestamp: 1727469267", NULL},
        {"'jane@example.com' is not hashed", "'****************' is not hashed"},
        {"203.0.113.42 and 2001:db8::1 are odd", "************ and *********** are odd"},
        {"'836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f' is too long",
         "'****************************************************************' is too long"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        capi_result_t *results = NULL;
        const char *message = NULL;

        answer(&results, &message,
               apr_psprintf(pool, "{\"events\":[{\"status\":\"failed\",\"error_message\":\"%s\"}]}",
                            rows[i].came),
               1);
        ck_assert_str_eq(results[0].error, rows[i].kept ? rows[i].kept : rows[i].came);
    }
}
END_TEST

START_TEST(test_our_report_has_pinterests_shape)
{
    capi_result_t results[2] = {{true, NULL, "w"}, {false, "why", NULL}};
    json_t *report = capi_wire_report(results, 2);
    json_t *want = json_pack("{s:i,s:i,s:[{s:s,s:s,s:s},{s:s,s:s,s:s}]}", "num_events_received", 2,
                             "num_events_processed", 1, "events", "status", "processed",
                             "error_message", "", "warning_message", "w", "status", "failed",
                             "error_message", "why", "warning_message", "");

    ck_assert(json_equal(report, want));
    json_decref(report);
    json_decref(want);
}
END_TEST

START_TEST(test_our_error_has_details_where_there_are_some)
{
    json_t *plain = capi_wire_error(2, "no", NULL);
    json_t *detailed = capi_wire_error(953, "some", json_object());

    ck_assert_uint_eq(json_object_size(plain), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(plain, "code")), 2);
    ck_assert_str_eq(json_string_value(json_object_get(plain, "message")), "no");
    ck_assert(json_is_object(json_object_get(detailed, "details")));
    json_decref(plain);
    json_decref(detailed);
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("wire");

    tcase_add_test(cases, test_v5_is_the_stored_text_byte_for_byte);
    tcase_add_test(cases, test_guide_format_is_the_guides_purchase);
    tcase_add_test(cases, test_guide_format_writes_amounts_as_they_were_meant);
    tcase_add_test(cases, test_guide_format_of_what_is_no_event_is_refused);
    tcase_add_test(cases, test_answer_of_a_200_gives_each_events_result);
    tcase_add_test(cases, test_answer_of_a_422_has_the_results_in_its_details);
    tcase_add_test(cases, test_results_that_repeat_are_read_like_any_others);
    tcase_add_test(cases, test_results_that_repeat_do_not_hide_what_is_wrong);
    tcase_add_test(cases, test_answer_without_results_says_what_it_says);
    tcase_add_test(cases, test_answer_that_cannot_be_counted_is_refused);
    tcase_add_test(cases, test_long_messages_are_clipped_at_a_character);
    tcase_add_test(cases, test_what_may_be_somebodys_is_not_kept_of_a_message);
    tcase_add_test(cases, test_our_report_has_pinterests_shape);
    tcase_add_test(cases, test_our_error_has_details_where_there_are_some);
    return unit_end("wire", cases);
}
