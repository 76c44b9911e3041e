#ifndef CAPI_REPORT_INT_H
#define CAPI_REPORT_INT_H

/* What the report's files share: how a row becomes JSON. */

#include "report.h"
#include "store_int.h"

/* The model, freed with the pool. */
json_t *capi_report_own(json_t *model, apr_pool_t *p);

/* Columns as JSON values; NULL in the store is null, and so is an empty text. */
json_t *capi_report_text(const capi_rows_t *rows, int column, apr_pool_t *p);
json_t *capi_report_int(const capi_rows_t *rows, int column);
json_t *capi_report_seconds(const capi_rows_t *rows, int column); /* the column is microseconds */

#endif
