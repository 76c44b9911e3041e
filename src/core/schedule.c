/* Back-off, probes, Retry-After and request rates. */

#include "schedule.h"

#include <string.h>

#include <apr_date.h>
#include <apr_strings.h>

#define BACKOFF_MIN apr_time_from_msec(100)
#define TOKEN       ((int64_t)1000000)

/* `first` doubled n - 1 times, but not past `max`. */
static apr_interval_time_t doubled(apr_interval_time_t first, int n, apr_interval_time_t max)
{
    apr_interval_time_t value = first;

    while (--n > 0 && value < max) {
        value *= 2;
    }
    return value < max ? value : max;
}

apr_interval_time_t capi_backoff(int failures, bool is_fresh, uint32_t dice)
{
    apr_interval_time_t max = is_fresh ? CAPI_BACKOFF_MAX_FRESH : CAPI_BACKOFF_MAX;
    apr_interval_time_t ceiling = doubled(CAPI_BACKOFF_FIRST, failures, max);
    apr_interval_time_t pause = (apr_interval_time_t)(((uint64_t)ceiling * dice) >> 32);

    return pause > BACKOFF_MIN ? pause : BACKOFF_MIN;
}

bool capi_is_fresh(apr_int64_t event_time, apr_time_t now)
{
    return apr_time_sec(now) - event_time < apr_time_sec(CAPI_FRESH);
}

apr_interval_time_t capi_probe_pause(int probes)
{
    return doubled(CAPI_PROBE_FIRST, probes, CAPI_PROBE_MAX);
}

static apr_interval_time_t clamp_retry_after(apr_interval_time_t pause)
{
    if (pause < CAPI_RETRY_AFTER_MIN) {
        return CAPI_RETRY_AFTER_MIN;
    }
    return pause < CAPI_RETRY_AFTER_MAX ? pause : CAPI_RETRY_AFTER_MAX;
}

apr_interval_time_t capi_retry_after(const char *value, apr_time_t now)
{
    apr_time_t date;

    if (!value || !*value) {
        return -1;
    }
    if (!value[strspn(value, "0123456789")]) {
        /* Ten digits and more are past any clamp, and would overflow once they are microseconds. */
        return strlen(value) > 9 ? CAPI_RETRY_AFTER_MAX
                                 : clamp_retry_after(apr_time_from_sec(apr_atoi64(value)));
    }
    date = apr_date_parse_http(value);
    return date == APR_DATE_BAD ? -1 : clamp_retry_after(date - now);
}

void capi_bucket_init(capi_bucket_t *bucket, int rate, int burst, apr_time_t now)
{
    bucket->rate = rate;
    bucket->burst = burst;
    bucket->tokens = burst * TOKEN;
    bucket->filled_at = now;
}

apr_interval_time_t capi_bucket_wait(capi_bucket_t *bucket, apr_time_t now)
{
    apr_interval_time_t passed = now - bucket->filled_at;
    int64_t full = bucket->burst * TOKEN;

    /* A long pause fills it anyhow; looking at the time first keeps the product in range. */
    if (passed >= full / bucket->rate) {
        bucket->tokens = full;
    }
    else if (passed > 0) {
        bucket->tokens += passed * bucket->rate;
        bucket->tokens = bucket->tokens < full ? bucket->tokens : full;
    }
    bucket->filled_at = now;
    if (bucket->tokens >= TOKEN) {
        return 0;
    }
    return (TOKEN - bucket->tokens + bucket->rate - 1) / bucket->rate;
}

void capi_bucket_take(capi_bucket_t *bucket)
{
    bucket->tokens -= TOKEN;
}
