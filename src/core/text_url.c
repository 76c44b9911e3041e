/* Page URLs: what of them may leave the server, and whose they are. */

#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>
#include <strings.h>

#define PAGE_URL_MAX 8192

/* The parts of an absolute http URL; each points into it. */
typedef struct {
    apr_size_t scheme_len; /* `https://` */
    const char *authority; /* without user info */
    apr_size_t authority_len;
    const char *path;
    apr_size_t path_len;
    const char *query; /* NULL if none */
    apr_size_t query_len;
} url_t;

static apr_size_t scheme_len(const char *url)
{
    if (strncasecmp(url, "http://", 7) == 0) {
        return 7;
    }
    return strncasecmp(url, "https://", 8) == 0 ? 8 : 0;
}

static bool split_url(url_t *parts, const char *url)
{
    const char *user_end;
    apr_size_t len;

    parts->scheme_len = url ? scheme_len(url) : 0;
    if (!parts->scheme_len) {
        return false;
    }
    parts->authority = url + parts->scheme_len;
    /* Browsers read a backslash as a slash: what comes behind is never the host. */
    len = strcspn(parts->authority, "/\\?#");
    parts->path = parts->authority + len;
    user_end = memrchr(parts->authority, '@', len);
    if (user_end) {
        len -= (apr_size_t)(user_end + 1 - parts->authority);
        parts->authority = user_end + 1;
    }
    parts->authority_len = len;
    parts->path_len = strcspn(parts->path, "?#");
    parts->query = parts->path[parts->path_len] == '?' ? parts->path + parts->path_len + 1 : NULL;
    parts->query_len = parts->query ? strcspn(parts->query, "#") : 0;
    return len > 0;
}

/* The host of an authority: no brackets, port or final dot. */
static apr_size_t host_len(const char **host)
{
    const char *start = *host;
    apr_size_t len;

    if (*start == '[') {
        *host = start + 1;
        return strcspn(start + 1, "]/");
    }
    len = strcspn(start, ":/\\?#");
    if (start[len] == ':' && strchr(start + len + 1, ':')) {
        const char *end = start + strcspn(start, "/\\?#");

        /* Two colons before the end and no bracket: an IPv6 address as a plain host name. */
        if (memchr(start + len + 1, ':', (apr_size_t)(end - start) - len - 1)) {
            len = (apr_size_t)(end - start);
        }
    }
    return len > 1 && start[len - 1] == '.' ? len - 1 : len;
}

bool capi_url_has_host(const char *url, const char *host)
{
    url_t parts;
    apr_size_t own_len;
    apr_size_t len;

    if (!host || !split_url(&parts, url)) {
        return false;
    }
    own_len = host_len(&parts.authority);
    len = host_len(&host);
    return len > 0 && len == own_len && strncasecmp(parts.authority, host, len) == 0;
}

static bool is_kept(const char *name, const apr_array_header_t *keep)
{
    for (int i = 0; keep && i < keep->nelts; i++) {
        const char *wanted = APR_ARRAY_IDX(keep, i, const char *);
        apr_size_t len = strlen(wanted);

        if (len > 0 && wanted[len - 1] == '*' ? strncmp(name, wanted, len - 1) == 0
                                              : strcmp(name, wanted) == 0) {
            return true;
        }
    }
    return false;
}

/* Writes bytes; what is no printable ASCII is percent-encoded, so that the result is JSON text
 * whatever the client's bytes were. */
static char *write_encoded(char *out, const char *bytes, apr_size_t len)
{
    static const char digits[] = "0123456789ABCDEF";

    for (apr_size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c > 0x20 && c < 0x7f) {
            *out++ = bytes[i];
        }
        else {
            *out++ = '%';
            *out++ = digits[c >> 4];
            *out++ = digits[c & 15];
        }
    }
    return out;
}

static char *write_query(char *out, const url_t *parts, const apr_array_header_t *keep,
                         apr_pool_t *p)
{
    const char *at = parts->query;
    const char *end = at + parts->query_len;
    char separator = '?';

    while (at < end) {
        const char *next = memchr(at, '&', (apr_size_t)(end - at));
        apr_size_t len = (apr_size_t)((next ? next : end) - at);
        const char *equals = memchr(at, '=', len);
        apr_size_t name_len = equals ? (apr_size_t)(equals - at) : len;

        if (name_len > 0 && is_kept(capi_percent_decode(at, name_len, true, p), keep)) {
            *out++ = separator;
            out = write_encoded(out, at, len);
            separator = '&';
        }
        at += len + 1;
    }
    return out;
}

static bool has_control(const char *text, apr_size_t len)
{
    for (apr_size_t i = 0; i < len; i++) {
        if (apr_iscntrl(text[i])) {
            return true;
        }
    }
    return false;
}

const char *capi_page_url(const char *url, const apr_array_header_t *keep, apr_pool_t *p)
{
    apr_size_t len = url ? strlen(url) : 0;
    url_t parts;
    char *page;
    char *out;

    if (len == 0 || len > PAGE_URL_MAX || has_control(url, len) || !split_url(&parts, url)) {
        return NULL;
    }
    page = apr_palloc(p, 3 * len + 1);
    out = write_encoded(page, url, parts.scheme_len);
    out = write_encoded(out, parts.authority, parts.authority_len);
    out = write_encoded(out, parts.path, parts.path_len);
    if (parts.query && keep && keep->nelts > 0) {
        out = write_query(out, &parts, keep, p);
    }
    *out = '\0';
    return out - page <= PAGE_URL_MAX ? page : NULL;
}
