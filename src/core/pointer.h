#ifndef CAPI_POINTER_H
#define CAPI_POINTER_H

/* Values of a JSON document by their place: JSON Pointer (RFC 6901) with two letters more. */

#include <jansson.h>

#include "capi.h"

/* The document of `len` bytes, NULL where they are no JSON. A byte order mark before it is skipped.
 * The caller owns the result. */
json_t *capi_pointer_parse(const char *bytes, apr_size_t len);

/* The value at `pointer` as text: a string as it is, a number or a truth value as it is written, an
 * object or an array as compact JSON. A part that is `*` stands for every element or member there;
 * their values are joined by commas, empty ones left out. `#` is the whole document. NULL where
 * there is nothing, or null. */
const char *capi_pointer_text(const json_t *document, const char *pointer, apr_pool_t *p);

#endif
