/* Headers and the writing of bodies. */

#include "response.h"

#include <apr_strings.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page.h"

#define MAX_AGE_YEAR "31536000"

static const char security[] =
    "Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n";

/* With no-referrer a browser would hide the origin of our own forms from us as well. */
static const char *referrer_policy(const cgi_request_t *request)
{
    return request->may_write ? "Referrer-Policy: same-origin\r\n"
                              : "Referrer-Policy: no-referrer\r\n";
}

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 301:
        return "Moved Permanently";
    case 303:
        return "See Other";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

static void write_out(const cgi_request_t *request, int status, const char *type,
                      const char *headers, const char *body, apr_size_t len)
{
    printf("Status: %d %s\r\nContent-Type: %s\r\nContent-Length: %" APR_SIZE_T_FMT "\r\n%s%s%s\r\n",
           status, reason(status), type, len, security, referrer_policy(request), headers);
    if (!request->is_head) {
        fwrite(body, 1, len, stdout);
    }
}

void respond(const cgi_request_t *request, int status, const char *type, const char *extra,
             const char *body, apr_size_t len)
{
    printf("Cache-Control: no-store\r\n");
    write_out(request, status, type, extra ? extra : "", body, len);
}

void respond_html(const cgi_request_t *request, int status, const html_t *html)
{
    apr_size_t len;
    const char *bytes = html_bytes(html, &len);

    respond(request, status, "text/html; charset=utf-8", NULL, bytes, len);
}

static void write_json(const cgi_request_t *request, int status, const char *extra,
                       const json_t *model, apr_pool_t *p)
{
    /* In ASCII a stranger's words are inert in a terminal too. */
    char *text = json_dumps(model, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(10));
    const char *body = apr_pstrcat(p, text ? text : "{}", "\n", NULL);

    free(text);
    respond(request, status, "application/json", extra, body, strlen(body));
}

void respond_json(const cgi_request_t *request, int status, const json_t *model, apr_pool_t *p)
{
    write_json(request, status, NULL, model, p);
}

static void respond_json_sentence(const cgi_request_t *request, int status, const char *extra,
                                  const char *sentence, apr_pool_t *p)
{
    json_t *model = json_pack("{s:s}", "error", sentence);

    write_json(request, status, extra, model, p);
    json_decref(model);
}

void respond_sentence(const cgi_request_t *request, int status, const char *extra,
                      const char *title, const char *sentence, apr_pool_t *p)
{
    if (request->form == FORM_JSON) {
        respond_json_sentence(request, status, extra, sentence, p);
    }
    else if (request->form == FORM_TEXT) {
        const char *body = apr_pstrcat(p, sentence, "\n", NULL);
        respond(request, status, "text/plain; charset=utf-8", extra, body, strlen(body));
    }
    else {
        html_t *html = html_make(p);
        apr_size_t len;
        const char *bytes;
        page_sentence(html, request, title, sentence);
        bytes = html_bytes(html, &len);
        respond(request, status, "text/html; charset=utf-8", extra, bytes, len);
    }
}

void respond_asset(const cgi_request_t *request, const asset_t *asset)
{
    char revision[ASSET_REVISION_LEN + 1];
    bool is_current;

    asset_revision(revision, asset);
    is_current = request->revision && strcmp(request->revision, revision) == 0;
    write_out(request, 200, asset->type,
              is_current ? "Cache-Control: public, max-age=" MAX_AGE_YEAR ", immutable\r\n"
                         : "Cache-Control: no-cache\r\n",
              asset->bytes, (apr_size_t)(asset->end - asset->bytes));
}
