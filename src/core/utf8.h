#ifndef CAPI_UTF8_H
#define CAPI_UTF8_H

/* UTF-8 (RFC 3629) that strangers wrote, one character at a time. */

#include "capi.h"

#define CAPI_UTF8_INVALID 0xffffffffu

/* The character that the NUL-terminated `text` begins with, and how many bytes it takes. A byte
 * that begins none (stray, overlong, surrogate, past U+10FFFF, cut short) is CAPI_UTF8_INVALID and
 * takes one byte. At the end: 0 and no bytes. */
apr_size_t capi_utf8_read(uint32_t *c, const char *text);

/* `text` with every invalid byte replaced by U+FFFD; `text` itself where there is none. */
const char *capi_utf8_repair(const char *text, apr_pool_t *p);

#endif
