#ifndef CAPI_REPORT_VERDICT_H
#define CAPI_REPORT_VERDICT_H

/* The one sentence that the page begins with, decided from the rest of the status. */

#include <jansson.h>

#include "capi.h"

/* {"state", "sentence", "advice": text | null}. State: held stopped retrying delivering rejecting
 * withheld waiting quiet nothing. `has_events`: the store has records, however old. */
json_t *capi_report_verdict(const json_t *status, bool has_events, apr_pool_t *p);

#endif
