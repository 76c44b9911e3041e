#ifndef CAPI_CGI_ACTIONS_H
#define CAPI_CGI_ACTIONS_H

/* What a form asks for becomes a row of the store, and nothing else happens here. */

#include "request.h"

/* Answers a POST to the page's actions. */
void actions_answer(const cgi_request_t *request, apr_pool_t *p);

/* The match key and hash of what a person wrote: an e-mail address, or a phone number with its
 * country code. False where it is neither. */
bool actions_person(const char **hash, const char *said, apr_pool_t *p);

#endif
