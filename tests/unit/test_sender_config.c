/* The sender's configuration survives its way; anything else is refused with a reason. */

#include "sender_config.h"

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

static capi_sender_config_t *make_config(void)
{
    capi_sender_config_t *config = apr_pcalloc(pool, sizeof(*config));

    config->state_dir = "/var/lib/pinterest-capi";
    config->store_driver = "sqlite3";
    config->store_params = "/var/lib/pinterest-capi/store.db \"quoted\" \\ \xc3\xa9";
    config->retention_days = 30;
    config->drain_sec = 25;
    config->log_level = 7;
    config->account_count = 2;
    config->accounts = apr_pcalloc(pool, sizeof(*config->accounts) * 2);
    config->accounts[0] = (capi_sender_account_t){
        .account = "549755885175",
        .api_url = "https://api.pinterest.com/v5",
        .wire = CAPI_WIRE_V5,
        .token_fd = 7,
        .token_file = "/etc/pinterest/token",
        .ca_file = "/etc/ssl/ca.pem",
        .proxy = "http://proxy.example:3128",
        .catalog = "/var/www/feed.tsv",
        .flush_events = 1000,
        .flush_sec = 5,
    };
    config->accounts[1] = (capi_sender_account_t){
        .account = "549755885176",
        .api_url = "https://relay.example/capi",
        .test = true,
        .wire = CAPI_WIRE_GUIDE,
        .token_fd = -1,
        .flush_events = 1,
    };
    config->old_queue_count = 2;
    config->old_queue_fds = apr_pcalloc(pool, sizeof(int) * 2);
    config->old_queue_fds[0] = 8;
    config->old_queue_fds[1] = 9;
    return config;
}

static capi_sender_config_t *read_back(const char *text)
{
    capi_sender_config_t *config = NULL;
    const char *message = NULL;
    apr_status_t rv = capi_sender_config_read(&config, &message, text, strlen(text), pool);

    ck_assert_msg(rv == APR_SUCCESS, "%s", message ? message : "no message");
    return config;
}

/* Refused, and the message says `why`. */
static void assert_refused(const char *text, const char *why)
{
    capi_sender_config_t *config = NULL;
    const char *message = NULL;

    ck_assert_int_eq(capi_sender_config_read(&config, &message, text, strlen(text), pool),
                     APR_EINVAL);
    ck_assert_ptr_null(config);
    ck_assert_ptr_nonnull(message);
    ck_assert_msg(strstr(message, why) != NULL, "'%s' does not say '%s'", message, why);
}

/* The written text with the first `from` replaced, read and refused. */
static void assert_refused_with(const char *from, const char *to, const char *why)
{
    const char *text = capi_sender_config_write(make_config(), pool);
    const char *at = strstr(text, from);

    ck_assert_msg(at != NULL, "%s is not in %s", from, text);
    assert_refused(apr_pstrcat(pool, apr_pstrmemdup(pool, text, (apr_size_t)(at - text)), to,
                               at + strlen(from), NULL),
                   why);
}

START_TEST(test_what_is_written_is_read)
{
    capi_sender_config_t *want = make_config();
    capi_sender_config_t *config = read_back(capi_sender_config_write(want, pool));

    ck_assert_str_eq(config->state_dir, want->state_dir);
    ck_assert_str_eq(config->store_driver, want->store_driver);
    ck_assert_str_eq(config->store_params, want->store_params);
    ck_assert_int_eq(config->retention_days, 30);
    ck_assert_int_eq(config->drain_sec, 25);
    ck_assert_int_eq(config->log_level, 7);
    ck_assert_int_eq(config->account_count, 2);
    ck_assert_int_eq(config->old_queue_count, 2);
    ck_assert_int_eq(config->old_queue_fds[0], 8);
    ck_assert_int_eq(config->old_queue_fds[1], 9);
}
END_TEST

START_TEST(test_accounts_keep_every_setting)
{
    capi_sender_config_t *want = make_config();
    capi_sender_config_t *config = read_back(capi_sender_config_write(want, pool));
    int i;

    for (i = 0; i < 2; i++) {
        const capi_sender_account_t *got = &config->accounts[i];
        const capi_sender_account_t *account = &want->accounts[i];

        ck_assert_str_eq(got->account, account->account);
        ck_assert_str_eq(got->api_url, account->api_url);
        ck_assert_int_eq(got->test, account->test);
        ck_assert_int_eq(got->wire, account->wire);
        ck_assert_int_eq(got->token_fd, account->token_fd);
        ck_assert_pstr_eq(got->token_file, account->token_file);
        ck_assert_pstr_eq(got->ca_file, account->ca_file);
        ck_assert_pstr_eq(got->catalog, account->catalog);
        ck_assert_pstr_eq(got->proxy, account->proxy);
        ck_assert_int_eq(got->flush_events, account->flush_events);
        ck_assert_int_eq(got->flush_sec, account->flush_sec);
    }
}
END_TEST

START_TEST(test_a_sender_without_accounts_may_drain)
{
    capi_sender_config_t *want = make_config();
    capi_sender_config_t *config;

    want->account_count = 0;
    want->old_queue_count = 0;
    config = read_back(capi_sender_config_write(want, pool));
    ck_assert_int_eq(config->account_count, 0);
    ck_assert_int_eq(config->old_queue_count, 0);
}
END_TEST

START_TEST(test_text_that_is_not_utf8_cannot_be_written)
{
    capi_sender_config_t *config = make_config();

    config->accounts[1].token_file = "/etc/\xff";
    ck_assert_ptr_null(capi_sender_config_write(config, pool));
}
END_TEST

START_TEST(test_broken_text_is_refused_with_its_place)
{
    const char *text = capi_sender_config_write(make_config(), pool);
    apr_size_t len;

    for (len = 0; len < strlen(text); len++) {
        assert_refused(apr_pstrmemdup(pool, text, len), "line 1");
    }
    assert_refused(apr_pstrcat(pool, text, "x", NULL), "end of file");
}
END_TEST

START_TEST(test_missing_and_unknown_keys_are_refused_by_name)
{
    assert_refused("{}", "state_dir");
    assert_refused("[]", "xpected object");
    assert_refused_with("\"drain_sec\":25,", "", "drain_sec");
    assert_refused_with("\"drain_sec\":25", "\"drain_sec\":25,\"more\":1", "more");
    assert_refused_with("\"drain_sec\":25", "\"drain_sec\":\"25\"", "xpected integer");
    assert_refused_with("\"drain_sec\":25", "\"drain_sec\":25,\"drain_sec\":25", "duplicate");
    assert_refused_with("\"token_fd\":7,", "", "accounts[0]: ");
    assert_refused_with("\"test\":true", "\"test\":1", "accounts[1]: ");
}
END_TEST

START_TEST(test_values_out_of_range_are_refused_with_a_reason)
{
    assert_refused_with("\"drain_sec\":25", "\"drain_sec\":-1", "negative");
    assert_refused_with("\"state_dir\":\"/var/lib/pinterest-capi\"", "\"state_dir\":\"\"", "empty");
    assert_refused_with("\"wire\":1", "\"wire\":3", "accounts[0]: an unknown wire format");
    assert_refused_with("\"flush_events\":1000", "\"flush_events\":0", "flush");
    assert_refused_with("\"account\":\"549755885176\"", "\"account\":\"\"", "accounts[1]: ");
    assert_refused_with("\"token_fd\":7", "\"token_fd\":3", "accounts[0]: a token descriptor");
    assert_refused_with("[8,9]", "[8,6]", "old_queues[1]");
    assert_refused_with("[8,9]", "[8,\"9\"]", "old_queues[1]");
    assert_refused_with("[8,9]", "[8,99999999999]", "old_queues[1]");
    assert_refused_with("[8,9]", "{}", "old_queues");
}
END_TEST

START_TEST(test_one_descriptor_for_two_things_is_refused)
{
    assert_refused_with("[8,9]", "[8,8]", "one descriptor");
    assert_refused_with("[8,9]", "[8,7]", "one descriptor");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sender_config");
    TCase *cases = tcase_create("sender_config");
    SRunner *runner = srunner_create(suite);
    int failed;

    apr_initialize();
    suite_add_tcase(suite, cases);
    tcase_add_checked_fixture(cases, make_pool, drop_pool);
    tcase_add_test(cases, test_what_is_written_is_read);
    tcase_add_test(cases, test_accounts_keep_every_setting);
    tcase_add_test(cases, test_a_sender_without_accounts_may_drain);
    tcase_add_test(cases, test_text_that_is_not_utf8_cannot_be_written);
    tcase_add_test(cases, test_broken_text_is_refused_with_its_place);
    tcase_add_test(cases, test_missing_and_unknown_keys_are_refused_by_name);
    tcase_add_test(cases, test_values_out_of_range_are_refused_with_a_reason);
    tcase_add_test(cases, test_one_descriptor_for_two_things_is_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    apr_terminate();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
