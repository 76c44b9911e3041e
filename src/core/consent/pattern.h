#ifndef CAPI_PATTERN_H
#define CAPI_PATTERN_H

/* Regular expressions over values that strangers send: PCRE2 with bounds on the work of one match. */

#include "capi.h"

typedef struct capi_pattern_t capi_pattern_t;

/* Compiles, in any case of letters; freed with the pool. APR_EINVAL with *message (offset and
 * reason). */
apr_status_t capi_pattern_compile(capi_pattern_t **pattern, const char **message, const char *text,
                                  apr_pool_t *p);

/* False also where the match would cost more than its bounds. Thread-safe. */
bool capi_pattern_matches(const capi_pattern_t *pattern, const char *text, apr_size_t len);

#endif
