/* Query strings, decoding, click ids and the check of text. Cookies, URLs, addresses and user
 * agents have files of their own. */

#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <stdint.h>
#include <string.h>
#include <strings.h>

int capi_hex_value(char c)
{
    if (apr_isdigit(c)) {
        return c - '0';
    }
    return apr_isxdigit(c) ? apr_tolower(c) - 'a' + 10 : -1;
}

/* The next character of encoded text; *used is what it takes of the input. A broken escape stands
 * for itself. */
static char decode_one(const char *text, apr_size_t len, bool plus, apr_size_t *used)
{
    *used = 1;
    if (plus && *text == '+') {
        return ' ';
    }
    if (*text == '%' && len >= 3 && capi_hex_value(text[1]) >= 0 && capi_hex_value(text[2]) >= 0) {
        *used = 3;
        return (char)(capi_hex_value(text[1]) * 16 + capi_hex_value(text[2]));
    }
    return *text;
}

const char *capi_percent_decode(const char *text, apr_size_t len, bool plus, apr_pool_t *p)
{
    char *decoded = apr_palloc(p, len + 1);
    char *end = decoded;
    apr_size_t used;

    for (apr_size_t at = 0; at < len; at += used) {
        char c = decode_one(text + at, len - at, plus, &used);

        if (c == '\0') {
            break;
        }
        *end++ = c;
    }
    *end = '\0';
    return decoded;
}

/* One `name=value` of a query string; value is NULL where there is no `=`. */
typedef struct {
    const char *name;
    apr_size_t name_len;
    const char *value;
    apr_size_t value_len;
} parameter_t;

/* Takes the parameter at *rest and moves on; false at the end. */
static bool next_parameter(parameter_t *parameter, const char **rest)
{
    const char *start = *rest;
    const char *equals;
    apr_size_t len;

    if (!start || !*start) {
        return false;
    }
    len = strcspn(start, "&");
    *rest = start[len] ? start + len + 1 : start + len;
    equals = memchr(start, '=', len);
    parameter->name = start;
    parameter->name_len = equals ? (apr_size_t)(equals - start) : len;
    parameter->value = equals ? equals + 1 : start + len;
    parameter->value_len = (apr_size_t)(start + len - parameter->value);
    return true;
}

const char *capi_query_raw(apr_size_t *len, const char *query, const char *name, bool fold)
{
    apr_size_t name_len = strlen(name);
    parameter_t parameter;

    while (next_parameter(&parameter, &query)) {
        if (parameter.name_len == name_len &&
            (fold ? strncasecmp(parameter.name, name, name_len) == 0
                  : memcmp(parameter.name, name, name_len) == 0)) {
            *len = parameter.value_len;
            return parameter.value;
        }
    }
    return NULL;
}

static bool is_decoded_name(const parameter_t *parameter, const char *name)
{
    apr_size_t used;

    for (apr_size_t at = 0; at < parameter->name_len; at += used) {
        char c = decode_one(parameter->name + at, parameter->name_len - at, true, &used);

        if (c == '\0' || c != *name) {
            return false;
        }
        name++;
    }
    return *name == '\0';
}

const char *capi_query_get(const char *query, const char *name, apr_pool_t *p)
{
    parameter_t parameter;

    while (next_parameter(&parameter, &query)) {
        if (is_decoded_name(&parameter, name)) {
            return capi_percent_decode(parameter.value, parameter.value_len, true, p);
        }
    }
    return NULL;
}

bool capi_is_click_id(const char *value, apr_size_t len)
{
    if (!value || len < 1 || len > CAPI_CLICK_ID_MAX) {
        return false;
    }
    for (apr_size_t i = 0; i < len; i++) {
        if (!apr_isalnum(value[i]) && value[i] != '_' && value[i] != '-') {
            return false;
        }
    }
    return true;
}

static const char *click_id_of_query(const char *query, apr_pool_t *p)
{
    apr_size_t len;
    const char *value = query ? capi_query_raw(&len, query, "epik", true) : NULL;

    return value && capi_is_click_id(value, len) ? apr_pstrmemdup(p, value, len) : NULL;
}

static const char *click_id_of_referer(const char *referer, const char *host, apr_pool_t *p)
{
    const char *query = referer ? strchr(referer, '?') : NULL;
    const char *fragment = referer ? strchr(referer, '#') : NULL;

    if (!query || !host || (fragment && fragment < query) || !capi_url_has_host(referer, host)) {
        return NULL;
    }
    query++;
    return click_id_of_query(
        fragment ? apr_pstrmemdup(p, query, (apr_size_t)(fragment - query)) : query, p);
}

const char *capi_click_id(bool *is_new, const char *query, const char *referer, const char *host,
                          const char *cookies, apr_pool_t *p)
{
    const char *found = click_id_of_query(query, p);
    apr_size_t len;

    if (!found) {
        found = click_id_of_referer(referer, host, p);
    }
    if (is_new) {
        *is_new = found != NULL;
    }
    if (found || !cookies || !strstr(cookies, "_epik")) {
        return found;
    }
    found = capi_cookie_raw(&len, cookies, "_epik");
    return found && capi_is_click_id(found, len) ? apr_pstrmemdup(p, found, len) : NULL;
}

/* Bytes of the UTF-8 character at `s` (RFC 3629: shortest form, no surrogates), 0 where there is
 * none. */
static apr_size_t utf8_len(const unsigned char *s, apr_size_t len)
{
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    apr_size_t count;

    if (s[0] < 0x80) {
        return 1;
    }
    if (s[0] < 0xc2 || s[0] > 0xf4) {
        return 0;
    }
    count = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (count > len) {
        return 0;
    }
    low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : low;
    high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : high;
    if (s[1] < low || s[1] > high) {
        return 0;
    }
    for (apr_size_t i = 2; i < count; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return count;
}

/* C0 but for tab and LF, DEL, and C1 (two bytes in UTF-8). */
static bool is_control(const unsigned char *s)
{
    if (s[0] < 0x20) {
        return s[0] != '\t' && s[0] != '\n';
    }
    return s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

/* How many of the bytes are printable ASCII: whole groups of eight, as far as all are. */
static apr_size_t plain_len(const char *text, apr_size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    apr_size_t at;

    for (at = 0; len - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t eight;

        memcpy(&eight, text + at, sizeof(eight));
        /* a byte from 0x7f up, or, by its borrow, one below 0x20 sets a top bit */
        if ((eight | (eight + ones) | (eight - 0x20 * ones)) & 0x80 * ones) {
            break;
        }
    }
    return at;
}

bool capi_is_clean_text(const char *text, apr_size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    apr_size_t count;

    for (apr_size_t at = plain_len(text, len); at < len; at += count) {
        count = utf8_len(s + at, len - at);
        if (count == 0 || is_control(s + at)) {
            return false;
        }
    }
    return true;
}
