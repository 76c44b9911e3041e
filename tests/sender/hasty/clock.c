/* The clocks of a sender in a hurry, for tests: an hour takes half a minute. What libcurl times, and
 * what others write into the store, takes as long as ever. */

#include "sender.h"

#include <time.h>

#define HASTE 120

static apr_time_t real_ticks(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (apr_time_t)now.tv_sec * APR_USEC_PER_SEC + now.tv_nsec / 1000;
}

static apr_time_t since_start(void)
{
    static apr_time_t start;

    if (!start) {
        start = real_ticks();
    }
    return (real_ticks() - start) * HASTE;
}

apr_time_t capi_now(void)
{
    static apr_time_t start;

    if (!start) {
        start = apr_time_now();
    }
    return start + since_start();
}

apr_time_t capi_ticks(void)
{
    /* Never 0, which means "not set" in many places. */
    return apr_time_from_sec(1) + since_start();
}

int capi_wait_ms(apr_time_t at)
{
    apr_interval_time_t left = at - capi_ticks();

    if (at == CAPI_NEVER || left > apr_time_from_sec(86400)) {
        return 86400 * 1000 / HASTE;
    }
    return left > 0 ? (int)(left / HASTE / 1000) + 1 : 0;
}
