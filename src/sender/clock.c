/* The sender's two clocks. The tests' are in tests/sender/hasty. */

#include "sender.h"

#include <time.h>

apr_time_t capi_now(void)
{
    return apr_time_now();
}

apr_time_t capi_ticks(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (apr_time_t)now.tv_sec * APR_USEC_PER_SEC + now.tv_nsec / 1000;
}

int capi_wait_ms(apr_time_t at)
{
    apr_interval_time_t left = at - capi_ticks();

    if (at == CAPI_NEVER || left > apr_time_from_sec(86400)) {
        return 86400 * 1000;
    }
    /* Rounded up: a deadline that is almost there must not become a spin. */
    return left > 0 ? (int)((left + 999) / 1000) : 0;
}
