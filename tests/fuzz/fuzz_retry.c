/* Retry-After, as any proxy on the way to the API may write it. */

#include "schedule.h"

#include "fuzz.h"

static void run_one(const char *text, size_t len)
{
    static const apr_int64_t clocks[] = {0, 1790000000, 4102444800};

    (void)len;
    for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
        apr_interval_time_t pause = capi_retry_after(text, apr_time_from_sec(clocks[i]));

        require(pause == -1 || (pause >= CAPI_RETRY_AFTER_MIN && pause <= CAPI_RETRY_AFTER_MAX),
                "a pause out of its bounds");
    }
}
