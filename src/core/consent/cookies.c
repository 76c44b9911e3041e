#include "cookies.h"

#include <apr_lib.h>

#include <string.h>

static int hex_value(char c)
{
    return apr_isdigit(c) ? c - '0' : (apr_isxdigit(c) ? (apr_tolower(c) - 'a') + 10 : -1);
}

/* One character of a cookie's name, percent-decoded; moves *at. */
static char take_character(const char **at, const char *end)
{
    const char *here = *at;

    if (*here == '%' && end - here > 2 && hex_value(here[1]) >= 0 && hex_value(here[2]) >= 0) {
        *at = here + 3;
        return (char)(hex_value(here[1]) << 4 | hex_value(here[2]));
    }
    *at = here + 1;
    return *here;
}

static bool is_named(const char *start, const char *end, const char *wanted)
{
    while (start < end) {
        if (wanted[0] == '*' && wanted[1] == '\0') {
            return true;
        }
        if (!*wanted || take_character(&start, end) != *wanted++) {
            return false;
        }
    }
    return *wanted == '\0' || (wanted[0] == '*' && wanted[1] == '\0');
}

bool capi_cookie_next(capi_cookie_t *cookie, const char *name)
{
    while (cookie->next && *cookie->next) {
        const char *pair = cookie->next + strspn(cookie->next, " \t;");
        const char *end = pair + strcspn(pair, ";");
        const char *equals = memchr(pair, '=', (apr_size_t)(end - pair));

        cookie->next = end;
        if (!equals || !is_named(pair, equals, name)) {
            continue;
        }
        while (end > equals + 1 && (end[-1] == ' ' || end[-1] == '\t')) {
            end--;
        }
        cookie->value = equals + 1;
        cookie->value_len = (apr_size_t)(end - equals - 1);
        return true;
    }
    return false;
}
