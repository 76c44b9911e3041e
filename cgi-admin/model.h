#ifndef CAPI_CGI_MODEL_H
#define CAPI_CGI_MODEL_H

/* Reading a report's JSON model. What is not there is NULL, zero or false. */

#include <jansson.h>

#include "capi.h"

const char *model_text(const json_t *object, const char *name);
json_int_t model_number(const json_t *object, const char *name);
double model_real(const json_t *object, const char *name);
bool model_is(const json_t *object, const char *name);  /* true */
bool model_has(const json_t *object, const char *name); /* there and not null */

/* A match key as a person calls it: em is "E-mail". */
const char *model_key_label(const char *key);

/* A source, and what it means for the shop. */
const char *model_source_label(const char *source);

#endif
