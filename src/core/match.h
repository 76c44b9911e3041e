#ifndef CAPI_MATCH_H
#define CAPI_MATCH_H

/* Match keys: the spec's normalisation (OpenAPI 5.23, user_data descriptions) and SHA-256. */

#include "capi.h"

/* The key of a name as people write it: em or email, ph or phone, ge or gender, db or birthdate,
 * fn/first_name, ln/last_name, ct/city, st/state, zp/zip, country, external_id.
 * False where it is none of the eleven hashed keys. */
bool capi_match_key(capi_key_t *key, const char *name);

/* `value` as it is hashed. UTF-8 in; lower-cased as Unicode (not ASCII). `country` (ISO 3166, any
 * case, may be NULL) is the region a national phone number is read in and tells whether a
 * postcode has letters. APR_EINVAL where the value cannot be what its key says (an e-mail without
 * @, country `223`, gender `x`, an empty name): the caller leaves it out and counts it. */
apr_status_t capi_match_normalise(const char **normal, capi_key_t key, const char *value,
                                  const char *country, apr_pool_t *p);

/* Lower-case hex SHA-256 of the normalised value; 64 hex digits pass through, lower-cased.
 * Fails as capi_match_normalise does. */
apr_status_t capi_match_hash(const char **hex, capi_key_t key, const char *value,
                             const char *country, apr_pool_t *p);

#endif
