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

typedef struct {
    int count;
    const capi_cookie_t *list; /* in the header's order */
    uint64_t
        starts[4]; /* a bit for what names begin with: most that are looked for are not there */
} capi_cookies_t;

/* `header` may be NULL. What has no name or no `=` is left out. */
void capi_cookies_read(capi_cookies_t *cookies, const char *header, apr_pool_t *p);

/* The next cookie `name` (`*` at the end: a prefix) behind `after` (NULL: the first), or NULL. */
const capi_cookie_t *capi_cookies_find(const capi_cookies_t *cookies, const capi_cookie_t *after,
                                       const char *name);

#endif
