#ifndef UNIT_H
#define UNIT_H

/* What the unit tests have in common: a pool for each test, and the run of one case. */

#include <apr_general.h>
#include <apr_pools.h>
#include <check.h>
#include <stdlib.h>

static apr_pool_t *pool;

static void make_pool(void)
{
    apr_pool_create(&pool, NULL);
}

static void drop_pool(void)
{
    apr_pool_destroy(pool);
}

static TCase *unit_begin(const char *name)
{
    TCase *cases;

    apr_initialize();
    cases = tcase_create(name);
    tcase_add_checked_fixture(cases, make_pool, drop_pool);
    /* valgrind and the sanitizers take their time */
    tcase_set_timeout(cases, 120);
    return cases;
}

static int unit_end(const char *name, TCase *cases)
{
    Suite *suite = suite_create(name);
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    apr_terminate();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
