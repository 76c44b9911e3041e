#ifndef CAPI_CGI_METRICS_H
#define CAPI_CGI_METRICS_H

/* Numbers for monitoring, in one of two dialects that differ in how a counter is declared:
 * OpenMetrics, and the text format 0.0.4 that promtool and older collectors read. */

#include <jansson.h>

#include "capi.h"

typedef enum { METRICS_OPEN, METRICS_PLAIN } metrics_dialect_t;

/* The dialect that an Accept header (may be NULL) asks for: OpenMetrics unless it names text/plain
 * alone. */
metrics_dialect_t metrics_wanted(const char *accept);
const char *metrics_type(metrics_dialect_t dialect);

/* `status` and `totals` are the models of report.h. */
const char *metrics_text(const json_t *status, const json_t *totals, metrics_dialect_t dialect,
                         apr_pool_t *p);

#endif
