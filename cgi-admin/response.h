#ifndef CAPI_CGI_RESPONSE_H
#define CAPI_CGI_RESPONSE_H

/* What goes back to httpd: a status, our headers, a body, in one piece. */

#include "assets.h"
#include "html.h"
#include "request.h"

/* A body in `type`, never cached. `extra` (may be NULL) are further header lines, each ended by
 * CR LF. */
void respond(const cgi_request_t *request, int status, const char *type, const char *extra,
             const char *body, apr_size_t len);

void respond_html(const cgi_request_t *request, int status, const html_t *html);
void respond_json(const cgi_request_t *request, int status, const json_t *model, apr_pool_t *p);

/* A sentence in the form of the route: a page, {"error": …} or plain text. */
void respond_sentence(const cgi_request_t *request, int status, const char *extra,
                      const char *title, const char *sentence, apr_pool_t *p);

/* Stylesheet or script; for a year, where the address names the revision that it has. */
void respond_asset(const cgi_request_t *request, const asset_t *asset);

#endif
