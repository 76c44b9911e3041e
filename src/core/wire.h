#ifndef CAPI_WIRE_H
#define CAPI_WIRE_H

/* What goes out: the canonical event in one of the two wire formats (interface 5). */

#include <jansson.h>

#include "capi.h"

/* The event as JSON text in `wire`. `canonical` is the stored text: in v5 it is returned as it
 * stands. `guide` parses it, calls click_id epik, makes money numbers and puts `name` (the name as
 * it came) back. APR_EINVAL where the stored text is no event. */
apr_status_t capi_wire_event(const char **text, apr_size_t *len, capi_wire_t wire,
                             const char *canonical, apr_size_t canonical_len, const char *name,
                             apr_pool_t *p);

/* One result of Pinterest's answer. Strings are empty or NULL where there is nothing to say. */
typedef struct {
    bool processed;
    const char *error;
    const char *warning;
} capi_result_t;

/* Pinterest's answer to a batch, from the body of a 200 or of a 422 (`details`).
 * APR_SUCCESS: *results has exactly `expected` entries. APR_ENOENT: JSON without per-event results;
 * *message says what it says. APR_EINVAL: not JSON, or the wrong number of results. */
apr_status_t capi_wire_answer(capi_result_t **results, const char **message, const char *body,
                              apr_size_t len, int expected, apr_pool_t *p);

/* The answer of our own endpoints in Pinterest's shape; the caller owns it. */
json_t *capi_wire_report(const capi_result_t *results, int count);

/* {"code", "message", "details"}; steals `details`, which may be NULL. The caller owns it. */
json_t *capi_wire_error(int code, const char *message, json_t *details);

#endif
