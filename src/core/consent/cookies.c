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

/* The bit of a name's first two characters, of 256. */
static unsigned int bit_of(const char *name)
{
    return ((unsigned char)name[0] * 31u + (unsigned char)name[1]) % 256;
}

static void note_start(capi_cookies_t *cookies, const capi_cookie_t *cookie)
{
    if (cookie->name_len > 1) {
        unsigned int bit = bit_of(cookie->name);

        cookies->starts[bit / 64] |= UINT64_C(1) << bit % 64;
    }
}

/* False where no cookie begins as `name` does, of which `len` characters count. */
static bool may_have(const capi_cookies_t *cookies, const char *name, apr_size_t len)
{
    unsigned int bit = len > 1 ? bit_of(name) : 0;

    return len < 2 || (cookies->starts[bit / 64] >> bit % 64 & 1);
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
        note_start(cookies, cookie);
        cookie->value = equals + 1;
        cookie->value_len = (apr_size_t)(end - equals - 1);
    }
}

const capi_cookie_t *capi_cookies_find(const capi_cookies_t *cookies, const capi_cookie_t *after,
                                       const char *name)
{
    apr_size_t len = strlen(name);
    bool is_prefix = len > 0 && name[len - 1] == '*';
    const capi_cookie_t *end = cookies->list + cookies->count;

    len -= is_prefix ? 1 : 0;
    if (!may_have(cookies, name, len)) {
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
