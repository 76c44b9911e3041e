#ifndef CAPI_COOKIES_H
#define CAPI_COOKIES_H

/* All cookies of one name: a browser may send several, of other paths and domains. */

#include "capi.h"

typedef struct {
    const char *next; /* set to the Cookie header to start */
    const char *value;
    apr_size_t value_len;
} capi_cookie_t;

/* Moves to the next cookie `name` (`*` at the end: a prefix; names compare percent-decoded too, as
 * Real Cookie Banner's may arrive). The value points into the header, quotes kept. */
bool capi_cookie_next(capi_cookie_t *cookie, const char *name);

#endif
