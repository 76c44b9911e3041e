#ifndef CAPI_FORM_H
#define CAPI_FORM_H

/* Forms: urlencoded and multipart bodies read into fields, and fields found by name. The bytes are
 * hostile; what cannot be read is left out, and nothing is allocated beyond a few times their
 * length. */

#include "capi.h"

/* PHP stops at 1000 fields; a form with more is somebody trying what happens. */
#define CAPI_FORM_FIELDS_MAX 4096

typedef struct {
    const char *name; /* decoded, as `items[0][sku]` */
    const char *value;
} capi_form_field_t;

/* The fields of a urlencoded body or query string, decoded; values end at a NUL. */
apr_array_header_t *capi_form_urlencoded(const char *body, apr_size_t len, apr_pool_t *p);

/* The fields of a multipart/form-data body: files are skipped, and so is a part that does not end.
 * No fields where `content_type` (may be NULL) names no boundary. */
apr_array_header_t *capi_form_multipart(const char *body, apr_size_t len, const char *content_type,
                                        apr_pool_t *p);

/* The value of the first field of that name. With `*` in the name, the values of all fields that
 * match, joined by commas; `#` alone is the whole form, urlencoded. NULL where there is none. */
const char *capi_form_get(const apr_array_header_t *fields, const char *name, apr_pool_t *p);

/* True where `pattern` is `name`; each `*` in it stands for any characters but brackets. */
bool capi_name_matches(const char *pattern, const char *name);

#endif
