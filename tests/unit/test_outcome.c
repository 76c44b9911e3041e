/* The outcome table, and the halving of refused batches. */

#include "outcome.h"

#include <stdlib.h>
#include <string.h>

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

START_TEST(test_every_status_has_its_verdict)
{
    static const struct {
        int status;
        apr_status_t answer;
        capi_verdict_t verdict;
    } rows[] = {
        {200, APR_SUCCESS, CAPI_VERDICT_RESULTS}, {422, APR_SUCCESS, CAPI_VERDICT_RESULTS},
        {200, APR_ENOENT, CAPI_VERDICT_WAIT},     {200, APR_EINVAL, CAPI_VERDICT_WAIT},
        {422, APR_ENOENT, CAPI_VERDICT_REFUSED},  {422, APR_EINVAL, CAPI_VERDICT_REFUSED},
        {400, APR_EINVAL, CAPI_VERDICT_REFUSED},  {400, APR_SUCCESS, CAPI_VERDICT_REFUSED},
        {413, APR_EINVAL, CAPI_VERDICT_REFUSED},  {401, APR_ENOENT, CAPI_VERDICT_HOLD},
        {403, APR_ENOENT, CAPI_VERDICT_HOLD},     {404, APR_ENOENT, CAPI_VERDICT_HOLD},
        {301, APR_EINVAL, CAPI_VERDICT_HOLD},     {204, APR_EINVAL, CAPI_VERDICT_HOLD},
        {999, APR_EINVAL, CAPI_VERDICT_HOLD},     {429, APR_ENOENT, CAPI_VERDICT_WAIT},
        {408, APR_EINVAL, CAPI_VERDICT_WAIT},     {500, APR_EINVAL, CAPI_VERDICT_WAIT},
        {503, APR_ENOENT, CAPI_VERDICT_WAIT},     {599, APR_EINVAL, CAPI_VERDICT_WAIT},
        {0, APR_EINVAL, CAPI_VERDICT_WAIT},
    };
    int i;

    for (i = 0; i < (int)(sizeof(rows) / sizeof(rows[0])); i++) {
        ck_assert_msg(capi_outcome_judge(rows[i].status, rows[i].answer) == rows[i].verdict,
                      "status %d, answer %d", rows[i].status, rows[i].answer);
    }
}
END_TEST

START_TEST(test_hold_reason_names_account_and_what_to_do)
{
    static const int statuses[] = {301, 400, 401, 403, 404, 413, 422};
    int i;

    for (i = 0; i < (int)(sizeof(statuses) / sizeof(statuses[0])); i++) {
        const char *reason = capi_outcome_hold_reason(statuses[i], "549", "/etc/token", pool);

        ck_assert_ptr_nonnull(strstr(reason, "549"));
        ck_assert_ptr_nonnull(strchr(reason, ':'));
    }
    ck_assert_ptr_nonnull(
        strstr(capi_outcome_hold_reason(401, "549", "/etc/token", pool), "'/etc/token'"));
}
END_TEST

/* An API that refuses whatever holds a bad event. Returns requests made, 0 where it was hopeless. */
static int take_apart(int count, int every, int *rejected, int *accepted)
{
    capi_halving_t halving;
    capi_range_t range = {0, count};
    int requests = 0;

    *rejected = 0;
    *accepted = 0;
    capi_halving_init(&halving, pool);
    do {
        bool is_bad = (range.start + range.count - 1) / every * every >= range.start;

        requests++;
        if (!is_bad) {
            capi_halving_accepted(&halving);
            *accepted += range.count;
        }
        else if (!capi_halving_refused(&halving, range)) {
            (*rejected)++;
        }
    } while (capi_halving_next(&halving, &range));
    return capi_halving_is_hopeless(&halving) ? 0 : requests;
}

START_TEST(test_one_bad_event_of_a_thousand_costs_twenty_requests_and_itself)
{
    int rejected, accepted;
    int requests = take_apart(1000, 1000, &rejected, &accepted);

    ck_assert_int_eq(rejected, 1);
    ck_assert_int_eq(accepted, 999);
    ck_assert_int_gt(requests, 0);
    ck_assert_int_le(requests, 21);
}
END_TEST

START_TEST(test_many_bad_events_are_all_found)
{
    static const int every[] = {2, 3, 7, 30, 500};
    int i;

    for (i = 0; i < (int)(sizeof(every) / sizeof(every[0])); i++) {
        int rejected, accepted;

        ck_assert_int_gt(take_apart(1000, every[i], &rejected, &accepted), 0);
        ck_assert_int_eq(rejected, (1000 + every[i] - 1) / every[i]);
        ck_assert_int_eq(accepted, 1000 - rejected);
    }
}
END_TEST

START_TEST(test_patience_ends_where_everything_is_refused)
{
    int rejected, accepted;

    ck_assert_int_eq(take_apart(1000, 1, &rejected, &accepted), 0);
    ck_assert_int_eq(accepted, 0);
    ck_assert_int_lt(rejected, 20);
}
END_TEST

START_TEST(test_good_half_behind_a_bad_half_vouches_for_the_api)
{
    capi_halving_t halving;
    capi_range_t range = {0, 1000};
    bool has_accepted = false;

    capi_halving_init(&halving, pool);
    do {
        if (range.start >= 500) {
            capi_halving_accepted(&halving);
            has_accepted = true;
        }
        else {
            capi_halving_refused(&halving, range);
        }
    } while (!has_accepted && capi_halving_next(&halving, &range));
    ck_assert(has_accepted);
}
END_TEST

START_TEST(test_what_is_peeked_at_is_what_comes_next)
{
    capi_halving_t halving;
    capi_range_t range = {0, 1000};
    const capi_range_t *peeked;
    capi_range_t shown;

    capi_halving_init(&halving, pool);
    for (;;) {
        capi_halving_refused(&halving, range);
        peeked = capi_halving_peek(&halving);
        if (!peeked) {
            break;
        }
        shown = *peeked;
        ck_assert(capi_halving_next(&halving, &range));
        ck_assert_int_eq(shown.start, range.start);
        ck_assert_int_eq(shown.count, range.count);
    }
    ck_assert(!capi_halving_next(&halving, &range));
}
END_TEST

START_TEST(test_single_event_cannot_be_halved)
{
    capi_halving_t halving;
    capi_range_t range = {0, 1};

    capi_halving_init(&halving, pool);
    ck_assert(!capi_halving_refused(&halving, range));
    ck_assert(!capi_halving_next(&halving, &range));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outcome");
    TCase *cases = tcase_create("outcome");
    SRunner *runner = srunner_create(suite);
    int failed;

    apr_initialize();
    suite_add_tcase(suite, cases);
    tcase_add_checked_fixture(cases, make_pool, drop_pool);
    tcase_add_test(cases, test_every_status_has_its_verdict);
    tcase_add_test(cases, test_hold_reason_names_account_and_what_to_do);
    tcase_add_test(cases, test_one_bad_event_of_a_thousand_costs_twenty_requests_and_itself);
    tcase_add_test(cases, test_many_bad_events_are_all_found);
    tcase_add_test(cases, test_patience_ends_where_everything_is_refused);
    tcase_add_test(cases, test_good_half_behind_a_bad_half_vouches_for_the_api);
    tcase_add_test(cases, test_what_is_peeked_at_is_what_comes_next);
    tcase_add_test(cases, test_single_event_cannot_be_halved);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    apr_terminate();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
