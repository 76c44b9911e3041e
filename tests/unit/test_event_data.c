/* user_data and custom_data: amounts, products, match keys. */

#include <string.h>

#include "unit_event.h"

/* A page_visit with these members, without what every event has. */
static const char *custom_of(const char *custom_data)
{
    const capi_event_t *event = parse(
        apr_psprintf(pool, "{\"event_name\":\"page_visit\",\"custom_data\":%s}", custom_data));
    const json_t *custom = json_object_get(event->body, "custom_data");
    apr_size_t len;

    return custom ? capi_event_text(&len, custom, pool) : "";
}

static const char *user_of(const char *user_data)
{
    const capi_event_t *event =
        parse(apr_psprintf(pool, "{\"event_name\":\"page_visit\",\"user_data\":%s}", user_data));
    apr_size_t len;

    return capi_event_text(&len, json_object_get(event->body, "user_data"), pool);
}

START_TEST(test_amounts_become_decimal_strings_of_the_currency)
{
    static const struct {
        const char *custom;
        const char *want; /* NULL: left out */
    } rows[] = {
        {"{\"value\":129.95}", "129.95"},
        {"{\"value\":\"129.95\"}", "129.95"},
        {"{\"value\":89.9}", "89.90"},
        {"{\"value\":100}", "100.00"},
        {"{\"value\":0}", "0.00"},
        {"{\"value\":0.1}", "0.10"},
        {"{\"value\":1.005}", "1.01"},
        {"{\"value\":\"1.005\"}", "1.01"},
        {"{\"value\":\"1.0049999\"}", "1.00"},
        {"{\"value\":\"9.995\"}", "10.00"},
        {"{\"value\":\"99999.999\"}", "100000.00"},
        {"{\"value\":\" 7 \"}", "7.00"},
        {"{\"value\":\".5\"}", "0.50"},
        {"{\"value\":\"007.50\"}", "7.50"},
        {"{\"value\":0.00000001}", "0.00"},
        {"{\"value\":1e2}", "100.00"},
        {"{\"value\":123456789012345}", "123456789012345.00"},
        {"{\"currency\":\"JPY\",\"value\":1290.5}", "1291"},
        {"{\"value\":1290.4,\"currency\":\"jpy\"}", "1290"},
        {"{\"value\":\"0.4\",\"currency\":\"KRW\"}", "0"},
        {"{\"value\":1.2345,\"currency\":\"KWD\"}", "1.235"},
        {"{\"value\":1,\"currency\":\"BHD\"}", "1.000"},
        {"{\"value\":-1}", NULL},
        {"{\"value\":-0.01}", NULL},
        {"{\"value\":\"-1\"}", NULL},
        {"{\"value\":\"1,50\"}", NULL},
        {"{\"value\":\"1,290.00\"}", NULL},
        {"{\"value\":\"1 290\"}", NULL},
        {"{\"value\":\"1e3\"}", NULL},
        {"{\"value\":\"12.\"}", NULL},
        {"{\"value\":\".\"}", NULL},
        {"{\"value\":\"NaN\"}", NULL},
        {"{\"value\":\"Infinity\"}", NULL},
        {"{\"value\":\"0x10\"}", NULL},
        {"{\"value\":\"EUR 5\"}", NULL},
        {"{\"value\":\"1\\u00000\"}", NULL},
        {"{\"value\":1e30}", NULL},
        {"{\"value\":\"1234567890123456\"}", NULL},
        {"{\"value\":true}", NULL},
        {"{\"value\":[1]}", NULL},
        {"{\"value\":{\"amount\":1}}", NULL},
        {"{\"value\":\"\"}", NULL},
        {"{\"value\":null}", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *text = custom_of(rows[i].custom);
        const char *want =
            rows[i].want ? apr_psprintf(pool, "\"value\":\"%s\"", rows[i].want) : NULL;

        ck_assert_msg(want ? strstr(text, want) != NULL : !strstr(text, "value"), "%s gives %s",
                      rows[i].custom, text);
    }
}
END_TEST

START_TEST(test_custom_data_has_the_types_of_the_schema)
{
    ck_assert_str_eq(custom_of("{\"currency\":\" eur \"}"), "{\"currency\":\"EUR\"}");
    ck_assert_str_eq(custom_of("{\"currency\":\"EURO\"}"), "");
    ck_assert_str_eq(custom_of("{\"currency\":\"E1R\"}"), "");
    ck_assert_str_eq(custom_of("{\"currency\":978}"), "");
    ck_assert_str_eq(custom_of("{\"content_ids\":\"SKU-1\"}"), "{\"content_ids\":[\"SKU-1\"]}");
    ck_assert_str_eq(custom_of("{\"content_ids\":[1,\"b\",null,\"\",{},2.0,2.5]}"),
                     "{\"content_ids\":[\"1\",\"b\",\"2\",\"2.5\"]}");
    ck_assert_str_eq(custom_of("{\"content_ids\":[]}"), "");
    ck_assert_str_eq(custom_of("{\"num_items\":\"3\"}"), "{\"num_items\":3}");
    ck_assert_str_eq(custom_of("{\"num_items\":3.0}"), "{\"num_items\":3}");
    ck_assert_str_eq(custom_of("{\"num_items\":3.5}"), "");
    ck_assert_str_eq(custom_of("{\"num_items\":-1}"), "");
    ck_assert_str_eq(custom_of("{\"num_items\":\"3x\"}"), "");
    ck_assert_str_eq(custom_of("{\"num_items\":99999999999999999999999999.0}"), "");
    ck_assert_str_eq(custom_of("{\"opt_out_type\":\"ldp\"}"), "{\"opt_out_type\":\"LDP\"}");
    ck_assert_str_eq(custom_of("{\"opt_out_type\":\"GDPR\"}"), "");
    ck_assert_str_eq(custom_of("{\"search_string\":\"rote Schuhe\"}"),
                     "{\"search_string\":\"rote Schuhe\"}");
    ck_assert_str_eq(custom_of("{\"np\":\"x\",\"external_measurement_id\":\"1\"}"), "");
    ck_assert_str_eq(custom_of("{\"predicted_ltv\":5}"), "{\"predicted_ltv\":\"5.00\"}");
}
END_TEST

START_TEST(test_contents_fill_content_ids_and_num_items)
{
    ck_assert_str_eq(
        custom_of("{\"contents\":[{\"id\":4,\"quantity\":\"2\",\"item_price\":89.9,"
                  "\"item_brand_id\":\"b\"},{\"id\":\"x\",\"quantity\":1},{\"id\":\"x\","
                  "\"quantity\":1}]}"),
        "{\"contents\":[{\"id\":\"4\",\"quantity\":2,\"item_price\":\"89.90\"},{\"id\":\"x\","
        "\"quantity\":1},{\"id\":\"x\",\"quantity\":1}],\"content_ids\":[\"4\",\"x\"],"
        "\"num_items\":4}");
    ck_assert_str_eq(custom_of("{\"contents\":{\"id\":\"x\"}}"),
                     "{\"contents\":[{\"id\":\"x\"}],\"content_ids\":[\"x\"]}");
    ck_assert_str_eq(
        custom_of("{\"num_items\":9,\"content_ids\":[\"y\"],\"contents\":[{\"id\":\"x\","
                  "\"quantity\":1}]}"),
        "{\"num_items\":9,\"content_ids\":[\"y\"],\"contents\":[{\"id\":\"x\","
        "\"quantity\":1}]}");
    ck_assert_str_eq(custom_of("{\"contents\":[7,\"x\",{\"foo\":1},[]]}"), "");
}
END_TEST

START_TEST(test_labels_are_cut_at_a_character_and_ids_are_left_out)
{
    char label[1100] = "";
    const char *text;

    /* 1023 bytes and a two-byte character across the limit of 1024. */
    memset(label, 'a', 1023);
    memcpy(label + 1023, "\xc3\xa9xyz", 6);
    text = custom_of(apr_psprintf(pool, "{\"content_name\":\"%s\"}", label));
    ck_assert_uint_eq(strlen(text), strlen("{\"content_name\":\"\"}") + 1023);
    ck_assert_str_eq(custom_of(apr_psprintf(pool, "{\"order_id\":\"%s\"}", label)), "");
}
END_TEST

START_TEST(test_long_lists_are_cut)
{
    json_t *input =
        json_pack("{s:s, s:{s:[]}}", "event_name", "page_visit", "custom_data", "content_ids");
    json_t *ids = json_object_get(json_object_get(input, "custom_data"), "content_ids");
    capi_event_rules_t rules = rules_for(CAPI_SOURCE_HEADER);
    capi_event_t *event = NULL;
    const char *message;

    for (int i = 0; i < 6000; i++) {
        json_array_append_new(ids, json_integer(i));
    }
    ck_assert_int_eq(capi_event_parse(&event, &message, input, &rules, pool), APR_SUCCESS);
    ids = json_object_get(json_object_get(event->body, "custom_data"), "content_ids");
    ck_assert_uint_eq(json_array_size(ids), 5000);
    ck_assert_ptr_nonnull(strstr(event->warning, "content_ids"));
    json_decref(input);
}
END_TEST

START_TEST(test_user_data_is_hashed_under_either_name)
{
    ck_assert_str_eq(user_of("{\"email\":\" John.Doe@Example.COM \"}"),
                     "{\"em\":[\"" EMAIL_HASH "\"]}");
    ck_assert_str_eq(user_of("{\"em\":[\"john.doe@example.com\",\"" EMAIL_HASH "\"]}"),
                     "{\"em\":[\"" EMAIL_HASH "\"]}");
    ck_assert_str_eq(user_of("{\"phone\":491711234567}"), "{\"ph\":[\"" PHONE_HASH "\"]}");
    ck_assert_str_eq(user_of("{\"em\":[],\"ph\":\"\",\"fn\":null,\"ln\":[null,\"\"]}"), "{}");
    ck_assert_str_eq(user_of("[]"), "{}");
    ck_assert_str_eq(user_of("{\"hashed_maids\":\"" EMAIL_HASH "\"}"),
                     "{\"hashed_maids\":[\"" EMAIL_HASH "\"]}");
    ck_assert_str_eq(user_of("{\"hashed_maids\":[\"38400000-8cf0-11bd-b23e-10b96e40000d\"]}"),
                     "{}");
}
END_TEST

START_TEST(test_phone_numbers_use_the_events_own_country_first)
{
    capi_event_rules_t rules = rules_for(CAPI_SOURCE_HEADER);
    const char *german = "{\"event_name\":\"lead\",\"user_data\":{\"ph\":\"0171 1234567\","
                         "\"country\":\"DE\"}}";
    const char *nowhere = "{\"event_name\":\"lead\",\"user_data\":{\"ph\":\"0171 1234567\"}}";

    rules.country = "FR";
    ck_assert_str_eq(
        json_string_value(json_array_get(
            json_object_get(json_object_get(parse_by(german, &rules)->body, "user_data"), "ph"),
            0)),
        PHONE_HASH);
    rules.country = "DE";
    ck_assert_str_eq(
        json_string_value(json_array_get(
            json_object_get(json_object_get(parse_by(nowhere, &rules)->body, "user_data"), "ph"),
            0)),
        PHONE_HASH);
    rules.country = NULL;
    ck_assert_uint_eq(capi_event_keys(parse_by(nowhere, &rules)->body), 0);
}
END_TEST

START_TEST(test_raw_fields_are_checked_and_never_refuse_an_event)
{
    char agent[20000];

    ck_assert_str_eq(user_of("{\"epik\":\"abc\"}"), "{\"click_id\":\"abc\"}");
    ck_assert_str_eq(user_of("{\"click_id\":\"abc\"}"), "{\"click_id\":\"abc\"}");
    ck_assert_str_eq(user_of("{\"click_id\":\"a b\"}"), "{}");
    ck_assert_str_eq(user_of("{\"click_id\":{}}"), "{}");
    ck_assert_str_eq(user_of("{\"epik\":null}"), "{}");
    ck_assert_str_eq(user_of("{\"client_ip_address\":\"2001:db8::1\"}"),
                     "{\"client_ip_address\":\"2001:db8::1\"}");
    ck_assert_str_eq(user_of("{\"client_ip_address\":\"unknown\"}"), "{}");
    ck_assert_str_eq(user_of("{\"client_ip_address\":\"1.2.3.4, 5.6.7.8\"}"), "{}");
    ck_assert_str_eq(user_of("{\"client_ip_address\":16909060}"), "{}");
    ck_assert_str_eq(user_of("{\"client_user_agent\":\"a\\u0007\"}"), "{}");
    ck_assert_str_eq(user_of("{\"client_user_agent\":[\"x\",\"y\"]}"), "{}");
    ck_assert_str_eq(user_of("{\"partner_id\":\"ramp\"}"), "{\"partner_id\":\"ramp\"}");
    memset(agent, 'a', sizeof(agent));
    agent[sizeof(agent) - 1] = '\0';
    ck_assert_uint_eq(strlen(user_of(apr_psprintf(pool, "{\"client_user_agent\":\"%s\"}", agent))),
                      strlen("{\"client_user_agent\":\"\"}") + 16384);
}
END_TEST

START_TEST(test_at_most_twenty_values_of_a_key_are_kept)
{
    json_t *input = json_pack("{s:[]}", "external_id");
    json_t *output;
    int left_out = 0;

    for (int i = 0; i < 30; i++) {
        json_array_append_new(json_object_get(input, "external_id"), json_integer(i));
    }
    output = capi_event_user_data(&left_out, input, NULL, pool);
    ck_assert_uint_eq(json_array_size(json_object_get(output, "external_id")), 20);
    ck_assert_int_eq(left_out, 1);
    json_decref(input);
    json_decref(output);
}
END_TEST

START_TEST(test_match_keys_alone_are_hashed_and_losses_counted)
{
    json_t *input = json_of("{\"email\":\"john.doe@example.com\",\"country\":\"223\",\"x\":1,"
                            "\"click_id\":\"abc\"}");
    json_t *want = json_of("{\"em\":[\"" EMAIL_HASH "\"]}");
    json_t *list = json_array();
    int left_out = 0;
    json_t *output = capi_event_user_data(&left_out, input, NULL, pool);

    ck_assert(json_equal(output, want));
    ck_assert_int_eq(left_out, 3);
    ck_assert_ptr_null(capi_event_user_data(NULL, list, NULL, pool));
    ck_assert_ptr_null(capi_event_user_data(NULL, NULL, NULL, pool));
    json_decref(input);
    json_decref(want);
    json_decref(list);
    json_decref(output);
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("event_data");

    tcase_add_test(cases, test_amounts_become_decimal_strings_of_the_currency);
    tcase_add_test(cases, test_custom_data_has_the_types_of_the_schema);
    tcase_add_test(cases, test_contents_fill_content_ids_and_num_items);
    tcase_add_test(cases, test_labels_are_cut_at_a_character_and_ids_are_left_out);
    tcase_add_test(cases, test_long_lists_are_cut);
    tcase_add_test(cases, test_user_data_is_hashed_under_either_name);
    tcase_add_test(cases, test_phone_numbers_use_the_events_own_country_first);
    tcase_add_test(cases, test_raw_fields_are_checked_and_never_refuse_an_event);
    tcase_add_test(cases, test_at_most_twenty_values_of_a_key_are_kept);
    tcase_add_test(cases, test_match_keys_alone_are_hashed_and_losses_counted);
    return unit_end("event_data", cases);
}
