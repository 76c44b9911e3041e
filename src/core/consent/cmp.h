#ifndef CAPI_CMP_H
#define CAPI_CMP_H

/* Consent managers as data: how each writes its visitor's decision into a cookie, in one small JSON
 * file a manager (docs/consent.md says how to write one). */

#include "cookies.h"

typedef struct capi_cmp_t capi_cmp_t;

/* Reads and checks NAME.json of `folder`; compiles its patterns. `params` (NAME → value, may be
 * NULL) fill {NAME} in patterns; values may only hold [A-Za-z0-9_-]. Lives as long as the pool.
 * APR_ENOENT: no such manager; APR_INCOMPLETE: it needs a parameter that is not given; APR_EINVAL:
 * the file is wrong. *message names file, line and mend in all three. */
apr_status_t capi_cmp_load(const capi_cmp_t **cmp, const char **message, const char *folder,
                           const char *name, const apr_table_t *params, apr_pool_t *p);

/* The names of all managers in `folder`, sorted (const char *). */
apr_status_t capi_cmp_list(apr_array_header_t **names, const char *folder, apr_pool_t *p);

const char *capi_cmp_name(const capi_cmp_t *cmp);

/* The cookie without which it says nothing; `*` at the end: a prefix. */
const char *capi_cmp_cookie(const capi_cmp_t *cmp);

/* What the visitor told this manager. UNKNOWN where it has
 * no cookie, nobody has answered yet, or the value is not what the manager writes; of several
 * cookies with its name a denial wins. A rule about Pinterest alone goes before one about all
 * advertising. Never a grant from a value over CAPI_CONSENT_STRING_MAX. Thread-safe. */
capi_consent_state_t capi_cmp_read(const capi_cmp_t *cmp, const capi_cookies_t *cookies,
                                   apr_pool_t *p);

#endif
