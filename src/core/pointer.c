#include "pointer.h"

#include "event_int.h"

#include <apr_strings.h>

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64 /* of a pointer; nobody nests an order deeper */

/* One look-up. */
typedef struct {
    apr_array_header_t *parts;  /* const char *: the pointer's, unescaped */
    apr_array_header_t *values; /* const char *: what was found */
    apr_pool_t *pool;
} search_t;

json_t *capi_pointer_parse(const char *bytes, apr_size_t len)
{
    if (len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        bytes += 3;
        len -= 3;
    }
    return json_loadb(bytes, len, JSON_DECODE_ANY, NULL);
}

static const char *text_of(const json_t *value, apr_pool_t *p)
{
    const char *text = capi_scalar_text(value, p);
    char *dumped;

    if (text || !value || json_is_null(value)) {
        return text;
    }
    if (json_is_boolean(value)) {
        return json_is_true(value) ? "true" : "false";
    }
    dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    if (dumped) {
        text = apr_pstrdup(p, dumped);
        free(dumped);
    }
    return text;
}

/* `~1` is a slash, `~0` a tilde. */
static char *unescape(const char *part, apr_size_t len, apr_pool_t *p)
{
    char *text = apr_pstrmemdup(p, part, len);
    char *to = text;

    for (const char *from = text; *from; from++) {
        if (*from == '~' && (from[1] == '0' || from[1] == '1')) {
            from++;
            *to++ = *from == '1' ? '/' : '~';
        }
        else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return text;
}

/* The slash before the first part may be missing; a pointer in an URL's fragment begins with `#`. */
static apr_array_header_t *split(const char *pointer, apr_pool_t *p)
{
    apr_array_header_t *parts = apr_array_make(p, 4, sizeof(const char *));

    pointer += *pointer == '#';
    if (!*pointer) {
        return parts;
    }
    pointer += *pointer == '/';
    for (;;) {
        apr_size_t len = strcspn(pointer, "/");

        APR_ARRAY_PUSH(parts, const char *) = unescape(pointer, len, p);
        if (!pointer[len] || parts->nelts > DEPTH_MAX) {
            return parts;
        }
        pointer += len + 1;
    }
}

/* Digits without a leading zero. */
static const json_t *element_of(const json_t *array, const char *part)
{
    apr_size_t len = strspn(part, "0123456789");

    if (len == 0 || len > 9 || part[len] || (len > 1 && part[0] == '0')) {
        return NULL;
    }
    return json_array_get(array, (size_t)apr_atoi64(part));
}

static void search(search_t *found, const json_t *value, int depth)
{
    const char *part;
    const char *name;
    const char *text;
    json_t *member;
    size_t index;

    if (depth == found->parts->nelts) {
        text = text_of(value, found->pool);
        if (text) {
            APR_ARRAY_PUSH(found->values, const char *) = text;
        }
        return;
    }
    part = APR_ARRAY_IDX(found->parts, depth, const char *);
    if (strcmp(part, "*") != 0) {
        value = json_is_array(value) ? element_of(value, part) : json_object_get(value, part);
        if (value) {
            search(found, value, depth + 1);
        }
        return;
    }
    if (json_is_array(value)) {
        json_array_foreach(value, index, member)
        {
            search(found, member, depth + 1);
        }
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        search(found, member, depth + 1);
    }
}

/* Values with something in them, joined by commas. */
static const char *join(const apr_array_header_t *values, apr_pool_t *p)
{
    apr_array_header_t *filled = apr_array_make(p, values->nelts, sizeof(const char *));

    for (int i = 0; i < values->nelts; i++) {
        const char *value = APR_ARRAY_IDX(values, i, const char *);

        if (*value) {
            APR_ARRAY_PUSH(filled, const char *) = value;
        }
    }
    return filled->nelts > 0 ? apr_array_pstrcat(p, filled, ',') : NULL;
}

const char *capi_pointer_text(const json_t *document, const char *pointer, apr_pool_t *p)
{
    search_t found = {.pool = p};

    if (!document) {
        return NULL;
    }
    found.parts = split(pointer, p);
    found.values = apr_array_make(p, 4, sizeof(const char *));
    if (found.parts->nelts <= DEPTH_MAX) {
        search(&found, document, 0);
    }
    if (found.values->nelts <= 1) {
        return found.values->nelts ? APR_ARRAY_IDX(found.values, 0, const char *) : NULL;
    }
    return join(found.values, p);
}
