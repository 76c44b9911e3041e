/* Events a minute from one client address. */

#include "rate.h"

#include <apr_strings.h>

#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static const unsigned char secret[] = "0123456789abcdef0123456789abcdef";
static capi_rate_t *rate;

static bool take(const char *address, int events, apr_time_t now)
{
    int retry_after = 0;
    bool is_taken = capi_rate_take(rate, secret, 32, address, events, 120, now, &retry_after);

    ck_assert(is_taken || (retry_after >= 1 && retry_after <= 60));
    return is_taken;
}

static void make_rate(void)
{
    ck_assert_int_eq(capi_rate_create(&rate, pool), APR_SUCCESS);
}

#define T0 apr_time_from_sec(1800000000)

START_TEST(test_the_limit_is_per_address_and_minute)
{
    make_rate();
    for (int i = 0; i < 120; i++) {
        ck_assert(take("203.0.113.1", 1, T0));
    }
    ck_assert(!take("203.0.113.1", 1, T0));
    ck_assert(take("203.0.113.2", 1, T0));
    ck_assert(take("203.0.113.1", 1, T0 + apr_time_from_sec(60)));
}
END_TEST

START_TEST(test_a_batch_counts_as_its_events_and_a_refused_one_as_none)
{
    make_rate();
    ck_assert(take("203.0.113.1", 100, T0));
    ck_assert(!take("203.0.113.1", 21, T0));
    ck_assert(take("203.0.113.1", 20, T0));
    ck_assert(!take("203.0.113.9", 121, T0));
}
END_TEST

START_TEST(test_asking_counts_nothing)
{
    make_rate();
    for (int i = 0; i < 200; i++) {
        ck_assert(take("203.0.113.1", 0, T0));
    }
    ck_assert(take("203.0.113.1", 119, T0));
    ck_assert(take("203.0.113.1", 0, T0));
    ck_assert(take("203.0.113.1", 1, T0));
    ck_assert(!take("203.0.113.1", 0, T0));
}
END_TEST

START_TEST(test_ipv6_is_one_client_by_its_64_bits)
{
    make_rate();
    ck_assert(take("2001:db8:1:2::1", 120, T0));
    ck_assert(!take("2001:db8:1:2:ffff::9", 1, T0));
    ck_assert(take("2001:db8:1:3::1", 1, T0));
}
END_TEST

START_TEST(test_a_crowd_neither_evicts_nor_blocks_others)
{
    make_rate();
    ck_assert(take("198.51.100.7", 120, T0));
    for (int i = 0; i < 5000; i++) {
        take(apr_psprintf(pool, "10.%d.%d.1", i / 250, i % 250), 120, T0);
    }
    ck_assert(!take("198.51.100.7", 1, T0));
    ck_assert(take("198.51.100.8", 1, T0));
}
END_TEST

START_TEST(test_children_count_together)
{
    make_rate();
    pid_t child = fork();
    if (child == 0) {
        _exit(take("203.0.113.1", 120, T0) ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_assert(!take("203.0.113.1", 1, T0));
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("rate");

    tcase_add_test(cases, test_the_limit_is_per_address_and_minute);
    tcase_add_test(cases, test_a_batch_counts_as_its_events_and_a_refused_one_as_none);
    tcase_add_test(cases, test_asking_counts_nothing);
    tcase_add_test(cases, test_ipv6_is_one_client_by_its_64_bits);
    tcase_add_test(cases, test_a_crowd_neither_evicts_nor_blocks_others);
    tcase_add_test(cases, test_children_count_together);
    return unit_end("rate", cases);
}
