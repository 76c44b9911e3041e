/* From rows to JSON. */

#include "report_int.h"

#include <string.h>

#include "utf8.h"

static apr_status_t drop_model(void *model)
{
    json_decref(model);
    return APR_SUCCESS;
}

json_t *capi_report_own(json_t *model, apr_pool_t *p)
{
    apr_pool_cleanup_register(p, model, drop_model, apr_pool_cleanup_null);
    return model;
}

json_t *capi_report_text(const capi_rows_t *rows, int column, apr_pool_t *p)
{
    const char *text = capi_rows_text(rows, column);

    return text && *text ? json_string(capi_utf8_repair(text, p)) : json_null();
}

json_t *capi_report_int(const capi_rows_t *rows, int column)
{
    return capi_rows_text(rows, column) ? json_integer(capi_rows_int(rows, column)) : json_null();
}

json_t *capi_report_seconds(const capi_rows_t *rows, int column)
{
    return capi_rows_text(rows, column)
               ? json_integer((json_int_t)apr_time_sec(capi_rows_int(rows, column)))
               : json_null();
}

bool capi_report_state(int *state, const char *name)
{
    int candidate;

    for (candidate = CAPI_STATE_QUEUED; candidate <= CAPI_STATE_EXPIRED; candidate++) {
        if (strcmp(capi_state_name((capi_state_t)candidate), name) == 0 &&
            strcmp(name, "unknown") != 0) {
            *state = candidate;
            return true;
        }
    }
    return false;
}
