#ifndef CAPI_SCHEDULE_H
#define CAPI_SCHEDULE_H

/* When to try again: back-off, probes of a held destination, Retry-After, request rates. Plain
 * functions of their arguments; whoever calls brings clock and dice. */

#include "capi.h"

#define CAPI_BACKOFF_FIRST     apr_time_from_sec(1)
#define CAPI_BACKOFF_MAX       apr_time_from_sec(600)
#define CAPI_BACKOFF_MAX_FRESH apr_time_from_sec(60)
#define CAPI_RETRY_AFTER_MIN   apr_time_from_sec(1)
#define CAPI_RETRY_AFTER_MAX   apr_time_from_sec(3600)
#define CAPI_PROBE_FIRST       apr_time_from_sec(60)
#define CAPI_PROBE_MAX         apr_time_from_sec(600)

/* Pinterest counts a late web event as offline: its deduplication lasts an hour. */
#define CAPI_FRESH apr_time_from_sec(3600)

/* The pause after the n-th failure in a row (1 is the first): full jitter, uniform between nothing
 * and a ceiling that doubles from CAPI_BACKOFF_FIRST to CAPI_BACKOFF_MAX (to
 * CAPI_BACKOFF_MAX_FRESH while `is_fresh`), but never below a tenth of a second. `dice` is any
 * 32 random bits. */
apr_interval_time_t capi_backoff(int failures, bool is_fresh, uint32_t dice);

/* True while an event of that time (Unix seconds) is young enough for the API to deduplicate it. */
bool capi_is_fresh(apr_int64_t event_time, apr_time_t now);

/* The pause before the n-th probe (1 is the first) of a destination that is held. */
apr_interval_time_t capi_probe_pause(int probes);

/* A Retry-After header, seconds or HTTP date, clamped; -1 where it is neither or NULL. */
apr_interval_time_t capi_retry_after(const char *value, apr_time_t now);

/* A token bucket. `tokens` counts millionths, so that microseconds times a rate fit exactly. */
typedef struct {
    int rate;  /* a second */
    int burst; /* at least 1 */
    int64_t tokens;
    apr_time_t filled_at;
} capi_bucket_t;

/* Full at `now`. Any clock does, as long as it is always the same one. */
void capi_bucket_init(capi_bucket_t *bucket, int rate, int burst, apr_time_t now);

/* How long until one may be taken; 0: now. Takes nothing. */
apr_interval_time_t capi_bucket_wait(capi_bucket_t *bucket, apr_time_t now);

/* Takes one; call it when capi_bucket_wait said 0. */
void capi_bucket_take(capi_bucket_t *bucket);

#endif
