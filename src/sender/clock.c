/* The sender's two clocks. */

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
