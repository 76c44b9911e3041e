#ifndef CAPI_RATE_H
#define CAPI_RATE_H

/* How many events one client address has sent this minute, counted in shared memory by all workers
 * of a server. The table has a fixed size, nobody's counter can be evicted, and which cells an
 * address uses is secret, so that no crowd of addresses can aim at another. */

#include "capi.h"

typedef struct capi_rate_t capi_rate_t;

/* Makes the table in memory that children of this process share; unmapped with the pool. */
apr_status_t capi_rate_create(capi_rate_t **rate, apr_pool_t *p);

/* Counts `events` of `address` (IPv6 by its /64) where they stay within `limit` a minute; else
 * counts nothing, returns false and says in how many seconds the minute is over. 0 events ask
 * whether one more would pass. Without a lock: workers that count in the same instant may let a few
 * more pass. */
bool capi_rate_take(capi_rate_t *rate, const unsigned char *secret, apr_size_t secret_len,
                    const char *address, int events, int limit, apr_time_t now,
                    int *retry_after_sec);

#endif
