#ifndef CAPI_CGI_FORMS_H
#define CAPI_CGI_FORMS_H

/* Forms that ask the sender for something: only with PinterestCapiAdmin Write, and each known by an
 * id of its own and a token that nobody can make who has not read the page. */

#include "ask.h"
#include "html.h"
#include "request.h"

/* A form that lay open longer than this is of no use any more. */
#define FORMS_HOURS 12

typedef struct {
    const cgi_request_t *request;
    bool is_allowed; /* forms may be shown, and are answered */
    unsigned char secret[CAPI_SECRET_LEN];
} forms_t;

/* Reads what tokens are made with. */
apr_status_t forms_open(forms_t *forms, const cgi_request_t *request, capi_store_t *store);

/* A form of one kind of ask, up to its fields: hidden ones say what it is about (0: nothing). */
void forms_begin(html_t *html, const forms_t *forms, capi_ask_kind_t kind, apr_int64_t destination,
                 apr_int64_t event);
void forms_end(html_t *html);

/* A form that is nothing but its button; `about` completes the button's words for who cannot see
 * what stands beside it. */
void forms_button(html_t *html, const forms_t *forms, capi_ask_kind_t kind, apr_int64_t destination,
                  apr_int64_t event, const char *look, const char *words, const char *about);

/* True where the form is one of ours, shown to this user, not long ago. */
bool forms_is_ours(const forms_t *forms, const char *id, const char *token);

#endif
