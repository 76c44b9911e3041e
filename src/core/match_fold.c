/* Trimming and lower-casing of Unicode text. Other senders do it in JavaScript or PHP; a hash only
 * matches where the bytes before it are the same. */

#include "match_int.h"
#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <wctype.h>

static locale_t utf8_locale;
static pthread_once_t utf8_locale_once = PTHREAD_ONCE_INIT;

/* A locale object of our own: the process may run in any locale, and setlocale() is not ours. */
static void open_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8_locale) {
        utf8_locale = newlocale(LC_CTYPE_MASK, "en_US.UTF-8", (locale_t)0);
    }
}

uint32_t capi_utf8_next(const char **text)
{
    const unsigned char *s = (const unsigned char *)*text;
    int more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
    uint32_t c = more == 0 ? s[0] : s[0] & (0x3fu >> more);

    for (int i = 1; i <= more; i++) {
        c = c << 6 | (s[i] & 0x3fu);
    }
    *text += more + 1;
    return c;
}

char *capi_utf8_put(char *out, uint32_t c)
{
    int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0x00, 0xc0, 0xe0, 0xf0};

    *out++ = (char)(lead[more] | (c >> (6 * more)));
    while (more > 0) {
        more--;
        *out++ = (char)(0x80 | ((c >> (6 * more)) & 0x3f));
    }
    return out;
}

/* What JavaScript's trim() takes away. */
bool capi_is_unicode_space(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000 || c == 0xfeff;
}

static bool is_letter(uint32_t c)
{
    return iswalpha_l((wint_t)c, utf8_locale);
}

bool capi_is_unicode_alnum(uint32_t c)
{
    pthread_once(&utf8_locale_once, open_locale);
    return utf8_locale && iswalnum_l((wint_t)c, utf8_locale);
}

/* Lower-cases one character. `before` and `after` are its neighbours (0: none), which decide
 * about the Greek sigma; the dotted capital I of Turkish becomes two characters. */
static char *put_lower(char *out, uint32_t c, uint32_t before, uint32_t after)
{
    if (c == 0x130) {
        return capi_utf8_put(capi_utf8_put(out, 'i'), 0x307);
    }
    if (c == 0x3a3) {
        return capi_utf8_put(out, is_letter(before) && !is_letter(after) ? 0x3c2 : 0x3c3);
    }
    return capi_utf8_put(out, (uint32_t)towlower_l((wint_t)c, utf8_locale));
}

static const char *skip_unicode_spaces(const char *text)
{
    while (*text) {
        const char *next = text;

        if (!capi_is_unicode_space(capi_utf8_next(&next))) {
            break;
        }
        text = next;
    }
    return text;
}

/* `text` is valid UTF-8. The lower-case form may be longer (İ: 2 to 3 bytes), never twice as long. */
static apr_status_t fold_unicode(const char **folded, const char *text, apr_pool_t *p)
{
    const char *at = skip_unicode_spaces(text);
    char *buffer = apr_palloc(p, 2 * strlen(at) + 1);
    char *out = buffer;
    char *end = buffer; /* behind the last character that is no space */
    uint32_t before = 0;

    pthread_once(&utf8_locale_once, open_locale);
    if (!utf8_locale) {
        return APR_EINVAL;
    }
    while (*at) {
        uint32_t c = capi_utf8_next(&at);
        const char *peek = at;

        out = put_lower(out, c, before, *peek ? capi_utf8_next(&peek) : 0);
        if (!capi_is_unicode_space(c)) {
            end = out;
        }
        before = c;
    }
    *end = '\0';
    *folded = buffer;
    return *buffer ? APR_SUCCESS : APR_EINVAL;
}

apr_status_t capi_fold(const char **folded, const char *value, apr_pool_t *p)
{
    apr_size_t len;
    char *text;
    bool is_ascii = true;

    while (apr_isspace(*value)) {
        value++;
    }
    len = strlen(value);
    while (len > 0 && apr_isspace(value[len - 1])) {
        len--;
    }
    if (len == 0 || !capi_is_clean_text(value, len)) {
        return APR_EINVAL;
    }
    text = apr_pstrmemdup(p, value, len);
    for (apr_size_t i = 0; i < len && is_ascii; i++) {
        is_ascii = (unsigned char)text[i] < 0x80;
    }
    if (!is_ascii) {
        return fold_unicode(folded, text, p);
    }
    for (apr_size_t i = 0; i < len; i++) {
        text[i] = (char)apr_tolower(text[i]);
    }
    *folded = text;
    return APR_SUCCESS;
}
