#ifndef CAPI_CGI_METRICS_H
#define CAPI_CGI_METRICS_H

/* OpenMetrics text of what the status says. */

#include <jansson.h>

#include "capi.h"

#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

const char *metrics_text(const json_t *status, apr_pool_t *p);

#endif
