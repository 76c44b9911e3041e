/* Back-off, probes, Retry-After and request rates. */

#include "schedule.h"

#include <stdlib.h>

#include <apr_date.h>
#include <apr_strings.h>
#include <check.h>

#define NOW apr_time_from_sec(1790000000)

START_TEST(test_backoff_doubles_its_ceiling_up_to_ten_minutes)
{
    static const int ceilings[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600};
    int i;

    for (i = 0; i < (int)(sizeof(ceilings) / sizeof(ceilings[0])); i++) {
        apr_interval_time_t most = capi_backoff(i + 1, false, UINT32_MAX);

        ck_assert_int_le(most, apr_time_from_sec(ceilings[i]));
        ck_assert_int_gt(most, apr_time_from_sec(ceilings[i]) - 1000);
    }
    ck_assert_int_gt(capi_backoff(100000, false, UINT32_MAX), apr_time_from_sec(599));
}
END_TEST

START_TEST(test_backoff_of_fresh_events_stays_below_a_minute)
{
    ck_assert_int_le(capi_backoff(30, true, UINT32_MAX), apr_time_from_sec(60));
    ck_assert_int_gt(capi_backoff(30, true, UINT32_MAX), apr_time_from_sec(59));
    ck_assert_int_eq(capi_backoff(3, true, 1u << 31), apr_time_from_sec(2));
}
END_TEST

START_TEST(test_backoff_is_never_nothing)
{
    ck_assert_int_eq(capi_backoff(1, true, 0), apr_time_from_msec(100));
    ck_assert_int_eq(capi_backoff(0, true, 0), apr_time_from_msec(100));
}
END_TEST

START_TEST(test_event_is_fresh_for_an_hour)
{
    ck_assert(capi_is_fresh(apr_time_sec(NOW) - 3599, NOW));
    ck_assert(!capi_is_fresh(apr_time_sec(NOW) - 3600, NOW));
    ck_assert(capi_is_fresh(apr_time_sec(NOW) + 60, NOW));
}
END_TEST

START_TEST(test_probes_slow_down_to_ten_minutes)
{
    ck_assert_int_eq(capi_probe_pause(1), apr_time_from_sec(60));
    ck_assert_int_eq(capi_probe_pause(2), apr_time_from_sec(120));
    ck_assert_int_eq(capi_probe_pause(4), apr_time_from_sec(480));
    ck_assert_int_eq(capi_probe_pause(5), apr_time_from_sec(600));
    ck_assert_int_eq(capi_probe_pause(5000), apr_time_from_sec(600));
}
END_TEST

START_TEST(test_retry_after_takes_seconds_and_dates_and_clamps_both)
{
    char date[APR_RFC822_DATE_LEN];

    ck_assert_int_eq(capi_retry_after("7", NOW), apr_time_from_sec(7));
    ck_assert_int_eq(capi_retry_after("0", NOW), apr_time_from_sec(1));
    ck_assert_int_eq(capi_retry_after("86400", NOW), apr_time_from_sec(3600));
    ck_assert_int_eq(capi_retry_after("99999999999999999999999", NOW), apr_time_from_sec(3600));
    apr_rfc822_date(date, NOW + apr_time_from_sec(90));
    ck_assert_int_eq(capi_retry_after(date, NOW), apr_time_from_sec(90));
    apr_rfc822_date(date, NOW - apr_time_from_sec(90));
    ck_assert_int_eq(capi_retry_after(date, NOW), apr_time_from_sec(1));
    apr_rfc822_date(date, NOW + apr_time_from_sec(90000));
    ck_assert_int_eq(capi_retry_after(date, NOW), apr_time_from_sec(3600));
}
END_TEST

START_TEST(test_retry_after_that_is_none_is_told_from_zero)
{
    static const char *const values[] = {NULL, "", "soon", "-5", "1.5", "7 s", " 7"};
    int i;

    for (i = 0; i < (int)(sizeof(values) / sizeof(values[0])); i++) {
        ck_assert_int_eq(capi_retry_after(values[i], NOW), -1);
    }
}
END_TEST

/* Counts what a bucket lets through within `span` when asked whenever it says. */
static int count_taken(capi_bucket_t *bucket, apr_time_t from, apr_interval_time_t span)
{
    apr_time_t now = from;
    int count = 0;

    for (;;) {
        apr_interval_time_t wait = capi_bucket_wait(bucket, now);

        now += wait;
        if (now >= from + span) {
            return count;
        }
        ck_assert_int_eq(capi_bucket_wait(bucket, now), 0);
        capi_bucket_take(bucket);
        count++;
    }
}

START_TEST(test_bucket_of_one_spaces_evenly)
{
    capi_bucket_t bucket;

    capi_bucket_init(&bucket, 10, 1, NOW);
    ck_assert_int_eq(count_taken(&bucket, NOW, apr_time_from_sec(1)), 10);
    ck_assert_int_eq(count_taken(&bucket, NOW + apr_time_from_sec(3600), apr_time_from_sec(2)), 20);
}
END_TEST

START_TEST(test_bucket_keeps_five_thousand_a_minute_with_its_burst)
{
    capi_bucket_t bucket;

    capi_bucket_init(&bucket, 80, 200, NOW);
    ck_assert_int_le(count_taken(&bucket, NOW, apr_time_from_sec(60)), 5000);
}
END_TEST

START_TEST(test_bucket_forgives_a_clock_that_goes_back)
{
    capi_bucket_t bucket;

    capi_bucket_init(&bucket, 10, 1, NOW);
    capi_bucket_take(&bucket);
    ck_assert_int_eq(capi_bucket_wait(&bucket, NOW - apr_time_from_sec(500)),
                     apr_time_from_msec(100));
    ck_assert_int_eq(capi_bucket_wait(&bucket, NOW - apr_time_from_sec(499)), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *cases = tcase_create("schedule");
    SRunner *runner = srunner_create(suite);
    int failed;

    apr_initialize();
    suite_add_tcase(suite, cases);
    tcase_add_test(cases, test_backoff_doubles_its_ceiling_up_to_ten_minutes);
    tcase_add_test(cases, test_backoff_of_fresh_events_stays_below_a_minute);
    tcase_add_test(cases, test_backoff_is_never_nothing);
    tcase_add_test(cases, test_event_is_fresh_for_an_hour);
    tcase_add_test(cases, test_probes_slow_down_to_ten_minutes);
    tcase_add_test(cases, test_retry_after_takes_seconds_and_dates_and_clamps_both);
    tcase_add_test(cases, test_retry_after_that_is_none_is_told_from_zero);
    tcase_add_test(cases, test_bucket_of_one_spaces_evenly);
    tcase_add_test(cases, test_bucket_keeps_five_thousand_a_minute_with_its_burst);
    tcase_add_test(cases, test_bucket_forgives_a_clock_that_goes_back);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    apr_terminate();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
