#include "cookies.h"

#include "text.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void read_name(capi_cookie_t *cookie, const char *start, const char *end, apr_pool_t *p)
{
    cookie->name = start;
    cookie->name_len = (apr_size_t)(end - start);
    if (memchr(start, '%', cookie->name_len)) {
        cookie->name = capi_percent_decode(start, cookie->name_len, false, p);
        cookie->name_len = strlen(cookie->name);
    }
}

static unsigned int bit_of(const char *name)
{
    return ((unsigned char)name[0] * 31u + (unsigned char)name[1]) % 256;
}

static bool has_start(const capi_starts_t *starts, const char *name)
{
    unsigned int bit = bit_of(name);

    return starts->bits[bit / 64] >> bit % 64 & 1;
}

/* `len` characters of the name count; of a shorter one than two, everything may begin like it. */
static void add_start(capi_starts_t *starts, const char *name, apr_size_t len)
{
    if (len < 2) {
        memset(starts, 0xff, sizeof(*starts));
    }
    else {
        unsigned int bit = bit_of(name);

        starts->bits[bit / 64] |= UINT64_C(1) << bit % 64;
    }
}

static apr_size_t fixed_len(const char *name)
{
    apr_size_t len = strlen(name);

    return len > 0 && name[len - 1] == '*' ? len - 1 : len;
}

void capi_starts_add(capi_starts_t *starts, const char *name)
{
    add_start(starts, name, fixed_len(name));
}

static int count_pairs(const char *header)
{
    int count = 1;

    for (const char *at = strchr(header, ';'); at; at = strchr(at + 1, ';')) {
        count++;
    }
    return count;
}

void capi_cookies_read(capi_cookies_t *cookies, const char *header, apr_pool_t *p)
{
    capi_cookie_t *list;

    *cookies = (capi_cookies_t){0};
    if (!header) {
        return;
    }
    list = apr_palloc(p, (apr_size_t)count_pairs(header) * sizeof(*list));
    cookies->list = list;
    while (*header) {
        const char *pair = header + strspn(header, " \t;");
        const char *end = strchr(pair, ';');
        end = end ? end : pair + strlen(pair);
        const char *equals = memchr(pair, '=', (apr_size_t)(end - pair));

        header = end;
        if (!equals || equals == pair) {
            continue;
        }
        while (end > equals + 1 && is_blank(end[-1])) {
            end--;
        }
        capi_cookie_t *cookie = &list[cookies->count++];
        read_name(cookie, pair, equals, p);
        add_start(&cookies->starts, cookie->name, cookie->name_len);
        cookie->value = equals + 1;
        cookie->value_len = (apr_size_t)(end - equals - 1);
    }
}

const capi_cookie_t *capi_cookies_find(const capi_cookies_t *cookies, const capi_cookie_t *after,
                                       const char *name)
{
    apr_size_t len = fixed_len(name);
    bool is_prefix = name[len] == '*';
    const capi_cookie_t *end = cookies->list + cookies->count;

    if (len > 1 && !has_start(&cookies->starts, name)) {
        return NULL;
    }
    for (const capi_cookie_t *at = after ? after + 1 : cookies->list; at < end; at++) {
        if ((is_prefix ? at->name_len >= len : at->name_len == len) &&
            memcmp(at->name, name, len) == 0) {
            return at;
        }
    }
    return NULL;
}
