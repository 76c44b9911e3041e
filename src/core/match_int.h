#ifndef CAPI_MATCH_INT_H
#define CAPI_MATCH_INT_H

/* Shared by the files of the match keys. `folded` values are trimmed, lower-cased and valid UTF-8;
 * each function fails with APR_EINVAL where the value cannot be what it should be. */

#include "match.h"

/* Trims (as JavaScript's trim), lower-cases as Unicode. APR_EINVAL for what is empty, no UTF-8 or
 * holds control characters. */
apr_status_t capi_fold(const char **folded, const char *value, apr_pool_t *p);

/* The code point at *text, which is valid UTF-8 and not at its end; moves on behind it. */
uint32_t capi_utf8_next(const char **text);

/* Appends a code point; returns the new end. Needs room for 4 bytes. */
char *capi_utf8_put(char *out, uint32_t c);

bool capi_is_unicode_space(uint32_t c);
bool capi_is_unicode_alnum(uint32_t c);

/* True for the two letters of an ISO 3166-1 country, lower case. */
bool capi_is_country(const char *folded);

/* `country` is the folded code of a country or NULL. */
apr_status_t capi_match_city(const char **normal, const char *folded, apr_pool_t *p);
apr_status_t capi_match_state(const char **normal, const char *folded, const char *country,
                              apr_pool_t *p);
apr_status_t capi_match_zip(const char **normal, const char *folded, const char *country,
                            apr_pool_t *p);
apr_status_t capi_match_phone(const char **normal, const char *folded, const char *country,
                              apr_pool_t *p); /* here any region that has a numbering plan */
apr_status_t capi_match_birthdate(const char **normal, const char *folded, apr_pool_t *p);

#endif
