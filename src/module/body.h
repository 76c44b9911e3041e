#ifndef CAPI_BODY_H
#define CAPI_BODY_H

/* Copies of bodies that rules read. */

#include "module.h"

/* The fields of a form that the visitor sent; NULL where it is none, or not read. */
const apr_array_header_t *capi_body_form(const capi_visit_t *visit);

/* The JSON document that the visitor sent, or that was answered; NULL likewise. */
const json_t *capi_body_json(const capi_visit_t *visit);
const json_t *capi_answer_json(const capi_visit_t *visit);

#endif
