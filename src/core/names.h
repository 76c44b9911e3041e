#ifndef CAPI_NAMES_H
#define CAPI_NAMES_H

/* Event names: two vocabularies come in, Pinterest's goes out (interface 4). */

#include "capi.h"

/* `name` as Pinterest calls it. `aliases` (FROM → TO, may be NULL) comes first. `has_order`: the
 * event has an order_id, with which the guide's `checkout` is refused as ambiguous.
 * APR_EINVAL with *message (names the nearest known name) where it is not known. */
apr_status_t capi_name_resolve(const char **sent_as, const char **message, const char *name,
                               capi_vocabulary_t vocabulary, const apr_table_t *aliases,
                               bool has_order, apr_pool_t *p);

/* True for one of Pinterest's 22 standard names. */
bool capi_name_is_standard(const char *name);

/* The standard names in alphabetical order, ended by NULL. */
const char *const *capi_name_standard(void);

/* True where `name` may be an advertiser-defined event: 1 to 100 of [A-Za-z0-9_-]. */
bool capi_name_is_wellformed(const char *name);

#endif
