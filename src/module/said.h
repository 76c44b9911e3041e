#ifndef CAPI_SAID_H
#define CAPI_SAID_H

/* What PHP says in response headers. */

#include "module.h"

/* Called with each JSON value of a header; the value is borrowed. */
typedef void capi_said_fn(void *context, const json_t *value);

/* Goes through header values: objects, arrays of them, several with commas between, and (in
 * Pinterest-Capi-Event) pieces of long ones. What cannot be read is logged and left out. */
void capi_said_each(capi_visit_t *visit, const apr_array_header_t *values, const char *header,
                    capi_said_fn *each, void *context);

/* The keys of Pinterest-Capi-Bind: const char *. */
apr_array_header_t *capi_said_binds(capi_visit_t *visit);

/* Hears the word of Pinterest-Capi-Consent. */
void capi_said_consent(capi_visit_t *visit, const apr_array_header_t *values);

/* Logs what is left out, at most so often a minute. Never given a value that a person wrote. */
void capi_said_complain(const capi_visit_t *visit, const char *what, const char *message);

#endif
