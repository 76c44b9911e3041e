#ifndef CAPI_COOKIES_H
#define CAPI_COOKIES_H

/* A Cookie header taken apart once for all the readers of a request. A browser may send several
 * cookies of one name, of other paths and domains. */

#include "capi.h"

typedef struct {
    const char *name; /* percent-decoded: Real Cookie Banner's may arrive encoded */
    apr_size_t name_len;
    const char *value; /* raw, quotes kept; points into the header */
    apr_size_t value_len;
} capi_cookie_t;

/* What names begin with, as bits of their first two characters: most cookies that are looked for are
 * not there, and so are most readers' that look. */
typedef struct {
    uint64_t bits[4];
} capi_starts_t;

typedef struct {
    int count;
    const capi_cookie_t *list; /* in the header's order */
    capi_starts_t starts;
} capi_cookies_t;

/* Adds the start of a name (`*` at the end: a prefix). */
void capi_starts_add(capi_starts_t *starts, const char *name);

/* False where no cookie begins like one of the names. */
static inline bool capi_cookies_may_have(const capi_cookies_t *cookies, const capi_starts_t *names)
{
    const uint64_t *own = cookies->starts.bits;
    const uint64_t *wanted = names->bits;

    return ((own[0] & wanted[0]) | (own[1] & wanted[1]) | (own[2] & wanted[2]) |
            (own[3] & wanted[3])) != 0;
}

/* `header` may be NULL. What has no name or no `=` is left out. */
void capi_cookies_read(capi_cookies_t *cookies, const char *header, apr_pool_t *p);

/* The next cookie `name` (`*` at the end: a prefix) behind `after` (NULL: the first), or NULL. */
const capi_cookie_t *capi_cookies_find(const capi_cookies_t *cookies, const capi_cookie_t *after,
                                       const char *name);

#endif
