#ifndef CAPI_REPORT_ACTIONS_H
#define CAPI_REPORT_ACTIONS_H

/* What somebody may do, what was done, and what is still kept of one event. */

#include "report.h"

/* How far rejected events that can be sent again are counted. */
#define CAPI_REPORT_KEPT_MAX 1000

/* {"accounts": [those of `status`, each with "kept": how many rejected events can be sent again],
 * "log": [{"id", "kind", "event", "account", "test", "asked_by", "asked_at", "done_at", "is_well",
 * "outcome"}] newest first, "asked": one of these or null}. `asked`: the id of one, or NULL. */
apr_status_t capi_report_actions(json_t **model, capi_store_t *store, const json_t *status,
                                 const char *asked, apr_pool_t *p);

/* The entry of the log with this id; NULL where there is none. The caller owns it. */
apr_status_t capi_report_ask(json_t **entry, capi_store_t *store, const char *id, apr_pool_t *p);

/* Adds "kept" to a delivery's model: [{"source", "event"}] as long as its data is here, strongest
 * source first, with everything about the person shortened; else []. */
apr_status_t capi_report_kept(json_t *delivery, capi_store_t *store, apr_int64_t id, apr_pool_t *p);

#endif
