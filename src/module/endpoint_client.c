/* pinterest-capi-client: the JavaScript client, the same for everybody. */

#include "embed.h"
#include "endpoint.h"
#include "ident.h"

#include <apr_strings.h>
#include <http_protocol.h>

#include <string.h>

CAPI_EMBED(client, "client/pinterest-capi.js");

/* Browsers ask again after an hour, and hear 304 until it changes. */
#define CACHE_CONTROL "public, max-age=3600"

static const char *entity_tag(apr_pool_t *p)
{
    char hex[CAPI_HEX_SHA256 + 1];

    capi_sha256_hex(hex, client_begin, strlen(client_begin));
    return apr_psprintf(p, "\"%.16s\"", hex);
}

int capi_client_serve(request_rec *r)
{
    capi_visit_t *visit;
    int status;

    visit = capi_visit_of(r);
    if (visit) {
        visit->is_endpoint = true;
    }
    if (r->method_number != M_GET) {
        return capi_endpoint_wrong_method(r, "GET");
    }
    apr_table_setn(r->headers_out, "ETag", entity_tag(r->pool));
    apr_table_setn(r->headers_out, "Cache-Control", CACHE_CONTROL);
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    ap_set_content_type(r, "text/javascript; charset=utf-8");
    status = ap_meets_conditions(r);
    if (status != OK) {
        return status;
    }
    ap_set_content_length(r, (apr_off_t)strlen(client_begin));
    if (!r->header_only) {
        ap_rwrite(client_begin, (int)strlen(client_begin), r);
    }
    return OK;
}
