#ifndef CAPI_DECODE_H
#define CAPI_DECODE_H

/* How consent managers wrap the value of a cookie. */

#include "capi.h"

/* In the order in which they are undone. */
enum {
    CAPI_DECODE_URL = 1,      /* %XX */
    CAPI_DECODE_BASE64 = 2,   /* of either alphabet, padding optional */
    CAPI_DECODE_STRIP_WS = 4, /* blanks go */
    CAPI_DECODE_UNESCAPE = 8  /* \" is " (JSON in a JSON string) */
};

/* The step of a word in a rule file, 0 where it is none. */
unsigned capi_decode_step(const char *word);

/* The value with `steps` undone, NUL-terminated, in the pool; *len follows. NULL where it is longer
 * than CAPI_CONSENT_STRING_MAX or not what a step expects (a broken %, no base64): no signal. */
const char *capi_decode(const char *value, apr_size_t *len, unsigned steps, apr_pool_t *p);

#endif
