#ifndef CAPI_REPORT_TROUBLES_H
#define CAPI_REPORT_TROUBLES_H

/* What is wrong, why, and how to mend it, told from the data: the rows of the guide's table of
 * troubles and the ways in which Pinterest refuses. Each goes away by itself once what comes in is
 * right. */

#include "report.h"

/* {"troubles": [{"id", "severity": "broken" | "warning", "title", "cause", "mend", "link": query of
 * the page | null}], "names": [{"name", "sent_as", "events"}], "identity": [{"event_name", "total",
 * "events": those whose ids were looked at, "unnamed", "minted", "example": a minted id | null}]}:
 * the worst trouble and the most frequent name first, all but some troubles of the newest events.
 * `status` is that of capi_report_status. */
apr_status_t capi_report_troubles(json_t **model, capi_store_t *store, const json_t *status,
                                  apr_time_t now, apr_pool_t *p);

#endif
