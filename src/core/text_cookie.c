/* Cookie and Set-Cookie headers. httpd's own reader splits at commas and logs what it dislikes. */

#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A stretch of a header, blanks around it dropped. */
typedef struct {
    const char *start;
    apr_size_t len;
} span_t;

static span_t trimmed(const char *start, apr_size_t len)
{
    span_t span;

    while (len > 0 && (*start == ' ' || *start == '\t')) {
        start++;
        len--;
    }
    while (len > 0 && (start[len - 1] == ' ' || start[len - 1] == '\t')) {
        len--;
    }
    span.start = start;
    span.len = len;
    return span;
}

static bool is_name(const span_t *name, const char *wanted)
{
    apr_size_t len = strlen(wanted);

    if (len > 0 && wanted[len - 1] == '*') {
        return name->len >= len - 1 && memcmp(name->start, wanted, len - 1) == 0;
    }
    return name->len == len && memcmp(name->start, wanted, len) == 0;
}

/* The value of `pair` (up to a semicolon) where its name is the wanted one, else NULL. */
static const char *value_of_pair(apr_size_t *len, const char *pair, apr_size_t pair_len,
                                 const char *wanted)
{
    const char *equals = memchr(pair, '=', pair_len);
    span_t name;
    span_t value;

    if (!equals) {
        return NULL;
    }
    name = trimmed(pair, (apr_size_t)(equals - pair));
    if (!is_name(&name, wanted)) {
        return NULL;
    }
    value = trimmed(equals + 1, (apr_size_t)(pair + pair_len - equals - 1));
    if (value.len >= 2 && value.start[0] == '"' && value.start[value.len - 1] == '"') {
        value.start++;
        value.len -= 2;
    }
    *len = value.len;
    return value.start;
}

const char *capi_cookie_raw(apr_size_t *len, const char *header, const char *name)
{
    while (header && *header) {
        apr_size_t pair_len = strcspn(header, ";");
        const char *value = value_of_pair(len, header, pair_len, name);

        if (value) {
            return value;
        }
        header += pair_len;
        header += *header == ';';
    }
    return NULL;
}

const char *capi_cookie_get(const char *header, const char *name, apr_pool_t *p)
{
    apr_size_t len;
    const char *value = capi_cookie_raw(&len, header, name);

    return value ? capi_percent_decode(value, len, false, p) : NULL;
}

/* Max-Age=0, or Expires=… 1970: the cookie is taken away. PHP writes both, with the value
 * `deleted`, which would make one visit of everybody who logs out. */
static bool takes_away(const char *attributes)
{
    apr_size_t len;
    const char *max_age = NULL;
    const char *expires = NULL;

    while (attributes && *attributes == ';' && !max_age) {
        const char *start = attributes + 1;
        span_t attribute = trimmed(start, strcspn(start, ";"));

        if (attribute.len > 8 && strncasecmp(attribute.start, "max-age=", 8) == 0) {
            max_age = attribute.start + 8;
        }
        else if (attribute.len > 8 && strncasecmp(attribute.start, "expires=", 8) == 0) {
            expires = attribute.start + 8;
        }
        attributes = start + strcspn(start, ";");
    }
    if (max_age) {
        return strtol(max_age, NULL, 10) <= 0;
    }
    len = expires ? strcspn(expires, ";") : 0;
    for (apr_size_t i = 0; i + 4 <= len; i++) {
        if (memcmp(expires + i, "1970", 4) == 0) {
            return true;
        }
    }
    return false;
}

const char *capi_set_cookie_raw(apr_size_t *len, const char *header, const char *name)
{
    apr_size_t pair_len = header ? strcspn(header, ";") : 0;
    const char *value = header ? value_of_pair(len, header, pair_len, name) : NULL;

    return value && !takes_away(header + pair_len) ? value : NULL;
}
