#ifndef CAPI_REPORT_VERDICT_H
#define CAPI_REPORT_VERDICT_H

/* The one sentence that the page begins with, decided from the rest of the status. */

#include <jansson.h>

#include "capi.h"

/* {"state", "sentence", "advice": text | null}. State: held stopped retrying delivering rejecting
 * withheld waiting quiet nothing. `has_events`: the store has records, however old. */
json_t *capi_report_verdict(const json_t *status, bool has_events, apr_pool_t *p);

/* True where nothing will go out until somebody does something, or has not for a quarter of an hour:
 * what a monitor should wake somebody for. `status` has its verdict. */
bool capi_report_is_broken(const json_t *status);

#endif
