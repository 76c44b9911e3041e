#ifndef CAPI_REPORT_H
#define CAPI_REPORT_H

/* What the page shows, read from the store as JSON models: the same for HTML, JSON and OpenMetrics.
 * Every query is bounded, however full the store is. Models are freed with the pool, and every
 * string in them is valid UTF-8; what it says is still a stranger's word. */

#include <jansson.h>

#include "store.h"

#define CAPI_REPORT_LIMIT     50
#define CAPI_REPORT_LIMIT_MAX 200
#define CAPI_REPORT_ANY_STATE (-1)

/* Which deliveries are wanted. Texts are NULL and numbers 0 where they do not matter. */
typedef struct {
    int limit;
    apr_int64_t before;     /* id: only older ones */
    int state;              /* capi_state_t or CAPI_REPORT_ANY_STATE */
    const char *event_name; /* as it came or as it is sent */
    const char *q;          /* part of event_id, names, request id, error or warning */
    const char *account;
    apr_int64_t since; /* received at or after, Unix seconds */
    apr_int64_t until; /* received before */
} capi_filter_t;

/* The state of a name; false where it is none. */
bool capi_report_state(int *state, const char *name);

/* {"deliveries": [...], "next": id | null}. `next` is the `before` of the page after this one. A
 * search looks at a bounded number of records: it may give few or none and still a `next`, with
 * "searched_back_to", the time it came to. */
apr_status_t capi_report_deliveries(json_t **model, capi_store_t *store,
                                    const capi_filter_t *filter, apr_pool_t *p);

/* One delivery with "attempts", oldest first. APR_NOTFOUND where there is none. */
apr_status_t capi_report_delivery(json_t **model, capi_store_t *store, apr_int64_t id,
                                  apr_pool_t *p);

/* {"coverage": [{"event_name", "events", "match_keys": {key: {"count", "percent"}}, "contents":
 * {"known", "unknown"} content_ids by the catalogue}], "since", "until"}: of `filter` account, since and until count; a week where no time is given. */
apr_status_t capi_report_coverage(json_t **model, capi_store_t *store, const capi_filter_t *filter,
                                  apr_time_t now, apr_pool_t *p);

/* {"status": {"verdict", "accounts", "queue", "sender", "waiting", "oldest_waiting", "last_24h",
 * "latency": {"events", "p50", "p95", "late"} in seconds, "broken", "has_events", "seen", "complaint", "catalogs", "consent": [{"state", "signal", "action", "events"}] of the same day}}. `broken`:
 * nothing goes out until somebody does something. */
apr_status_t capi_report_status(json_t **model, capi_store_t *store, apr_time_t now, apr_pool_t *p);

/* 24h, 7d or 30d as a number from 0, and back; false where a name is none. */
bool capi_report_period(int *period, const char *name);
const char *capi_report_period_name(int period);

/* {"period", "bars": [{"since", "until", "delivered", "rejected", "suppressed", "unconfirmed",
 * "expired"}]}, oldest first; the last bar is the one that runs. Account: NULL for all. */
apr_status_t capi_report_course(json_t **model, capi_store_t *store, int period,
                                const char *account, apr_time_t now, apr_pool_t *p);

/* {"events": [{"account", "api_url", "test", "wire", "event_name", "outcome", "count"}], "latency":
 * [{"account", "api_url", "test", "wire", "buckets": [[seconds | null, count]], "sum"}]}: everything
 * since the store was made, so no number ever goes down. Buckets are cumulative. */
apr_status_t capi_report_totals(json_t **model, capi_store_t *store, apr_pool_t *p);

#endif
