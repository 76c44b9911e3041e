/* Finds the phone number in what people write and separates it from its extension, by the rules of
 * libphonenumber. */

#include "match_int.h"
#include "match_phone_int.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

#define LONGEST_TEXT 250 /* characters, as libphonenumber has it */

/* The text is translated first, one byte a character, into what the rules tell apart. ASCII letters
 * (lower case by now), digits and `+-*#~,;:=./\ ` and tab stay, digits of every script and
 * full-width signs become theirs, and the others are: */
#define PUNCTUATION ')' /* may stand in a number, as brackets and dashes do */
#define HARD_SPACE  '_'
#define WIDE_HASH   '%'
#define ACCENTED_O  'C'
#define ACCENT      '\''
#define LETTER      '?' /* or a number that is no digit: ends no number */
#define OTHER       '!'

#define DIGITS "0123456789"
#define ALPHA  "abcdefghijklmnopqrstuvwxyz"
/* What may stand between digits; `x` is a place holder for a carrier. */
#define BETWEEN "-x). /~_*"

/* Ways to write an extension at the end of a number, libphonenumber's own list. The letters D O B
 * are those of the Russian word, E X T N I full-width ones. Its gaps have no limit; ours do, so
 * that a long row of commas is not tried in every possible division. */
#define GAP       "[ _\t,]{0,9}"
#define AFTER_TAG "[:.]?[ _\t,-]{0,9}"
static const char extension_pattern[] =
    ";ext=d{1,20}"
    "|" GAP "(e?xt(ensi(o'?|C))?n?|E?XTN?|DOB|anexo)" AFTER_TAG "d{1,20}#?"
    "|" GAP "([xX#%~]|int|INT)" AFTER_TAG "d{1,9}#?"
    "|[- ]{1,9}d{1,6}#"
    "|[ _\t]{0,9}(,,|;)" AFTER_TAG "d{1,15}#?"
    "|[ _\t]{0,9},{1,9}" AFTER_TAG "d{1,9}#?";
#undef GAP
#undef AFTER_TAG

/* Where the ten digits of a script begin (Unicode 15, category Nd). */
static const uint32_t zeros[] = {
    0x30,    0x660,   0x6f0,   0x7c0,   0x966,   0x9e6,   0xa66,   0xae6,   0xb66,   0xbe6,
    0xc66,   0xce6,   0xd66,   0xde6,   0xe50,   0xed0,   0xf20,   0x1040,  0x1090,  0x17e0,
    0x1810,  0x1946,  0x19d0,  0x1a80,  0x1a90,  0x1b50,  0x1bb0,  0x1c40,  0x1c50,  0xa620,
    0xa8d0,  0xa900,  0xa9d0,  0xa9f0,  0xaa50,  0xabf0,  0xff10,  0x104a0, 0x10d30, 0x11066,
    0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0,
    0x11950, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8,
    0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4d0, 0x1e950, 0x1fbf0,
};

static const struct {
    uint32_t from;
    uint32_t to;
    char byte;
} signs[] = {
    {0xa0, 0xa0, HARD_SPACE},      {0xad, 0xad, PUNCTUATION},     {0xf3, 0xf3, ACCENTED_O},
    {0x301, 0x301, ACCENT},        {0x431, 0x431, 'B'},           {0x434, 0x434, 'D'},
    {0x43e, 0x43e, 'O'},           {0x200b, 0x200b, PUNCTUATION}, {0x2010, 0x2015, PUNCTUATION},
    {0x2053, 0x2053, PUNCTUATION}, {0x2060, 0x2060, PUNCTUATION}, {0x2212, 0x2212, PUNCTUATION},
    {0x223c, 0x223c, PUNCTUATION}, {0x3000, 0x3000, PUNCTUATION}, {0x30fc, 0x30fc, PUNCTUATION},
    {0xff03, 0xff03, WIDE_HASH},   {0xff08, 0xff09, PUNCTUATION}, {0xff0b, 0xff0b, '+'},
    {0xff0d, 0xff0d, PUNCTUATION}, {0xff0e, 0xff0e, '.'},         {0xff0f, 0xff0f, PUNCTUATION},
    {0xff3b, 0xff3b, PUNCTUATION}, {0xff3d, 0xff3d, PUNCTUATION}, {0xff45, 0xff45, 'E'},
    {0xff49, 0xff49, 'I'},         {0xff4e, 0xff4e, 'N'},         {0xff54, 0xff54, 'T'},
    {0xff58, 0xff58, 'X'},         {0xff5e, 0xff5e, '~'},
};

static char translate(uint32_t c)
{
    for (apr_size_t i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++) {
        if (c >= zeros[i] && c < zeros[i] + 10) {
            return (char)('0' + (c - zeros[i]));
        }
    }
    if (c < 0x80) {
        return strchr("()[]", (int)c)                                      ? PUNCTUATION
               : apr_islower((int)c) || strchr("+-*#~,;:=./\\ \t", (int)c) ? (char)c
                                                                           : OTHER;
    }
    for (apr_size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (c >= signs[i].from && c <= signs[i].to) {
            return signs[i].byte;
        }
    }
    return capi_is_unicode_alnum(c) ? LETTER : OTHER;
}

/* NULL for a text that is too long. */
static char *translate_text(const char *folded, apr_pool_t *p)
{
    char *text = apr_palloc(p, LONGEST_TEXT + 1);
    int len = 0;

    while (*folded) {
        if (len == LONGEST_TEXT) {
            return NULL;
        }
        text[len++] = translate(capi_utf8_next(&folded));
    }
    text[len] = '\0';
    return text;
}

/* Leaves out what comes before and after a number in prose, and a second extension: 583-6985
 * x302/x2303 are two numbers. */
static char *cut_prose(char *text)
{
    char *start = strpbrk(text, "+" DIGITS);
    char *end;

    if (!start) {
        return NULL;
    }
    end = start + strlen(start);
    while (end > start && !strchr("#CDOBEINTX?" DIGITS ALPHA, end[-1])) {
        end--;
    }
    *end = '\0';
    for (char *slash = strpbrk(start, "/\\"); slash; slash = strpbrk(slash + 1, "/\\")) {
        if (slash[1 + strspn(slash + 1, " ")] == 'x') {
            *slash = '\0';
            break;
        }
    }
    return start;
}

/* tel:863-1234;phone-context=+1-914-555 is written in two parts (RFC 3966). Where the context is a
 * domain, it says nothing. */
static char *join_context(char *text, char *context, const char *value, apr_pool_t *p)
{
    const char *scheme;

    *context = '\0';
    scheme = strstr(text, "tel:");
    return apr_pstrcat(p, *value == '+' ? apr_pstrmemdup(p, value, strcspn(value, ";")) : "",
                       scheme ? scheme + 4 : text, NULL);
}

/* How much of the text may be a number: plus signs, three digits or more with punctuation between
 * them, and then letters, too. */
typedef struct {
    apr_size_t min;
    apr_size_t max; /* 0: there is none */
} extent_t;

static extent_t number_extent(const char *text)
{
    const char *at = text + strspn(text, "+");
    extent_t extent = {0, 0};

    for (int digits = 0; digits < 3; digits++) {
        at += strspn(at, BETWEEN);
        if (!apr_isdigit(*at)) {
            return extent;
        }
        at++;
    }
    extent.min = (apr_size_t)(at - text);
    extent.max = extent.min + strspn(at, BETWEEN DIGITS ALPHA);
    return extent;
}

static bool is_within(extent_t extent, apr_size_t len)
{
    return extent.max > 0 && len >= extent.min && len <= extent.max;
}

/* Cuts the extension. False where the text is no number even with one. Two digits are a number
 * where nothing else is with them. */
static bool cut_extension(char *text)
{
    extent_t extent = number_extent(text);
    apr_size_t len = strlen(text);
    bool is_number = is_within(extent, len);
    char *at = text;

    while (*at && !capi_phone_match(NULL, extension_pattern, at, true)) {
        at++;
    }
    if (*at && (is_within(extent, (apr_size_t)(at - text)) ||
                (is_number && at - text == 2 && strspn(text, DIGITS) >= 2))) {
        *at = '\0';
        return true;
    }
    return is_number || (len == 2 && strspn(text, DIGITS) == 2);
}

const char *capi_phone_find(const char *folded, apr_pool_t *p)
{
    static const char context_tag[] = ";phone-context=";
    char *text = translate_text(folded, p);
    char *context = text ? strstr(text, context_tag) : NULL;
    char *subaddress;

    if (context) {
        text = join_context(text, context, context + sizeof(context_tag) - 1, p);
    }
    else if (text) {
        text = cut_prose(text);
    }
    if (!text) {
        return NULL;
    }
    subaddress = strstr(text, ";isub=");
    if (subaddress) {
        *subaddress = '\0';
    }
    return cut_extension(text) ? text : NULL;
}

const char *capi_phone_digits(const char *found, apr_pool_t *p)
{
    static const char keypad[] = "22233344455566677778889999"; /* a to z, ITU-T E.161 */
    char *digits = apr_palloc(p, strlen(found) + 1);
    char *out = digits;
    int letters = 0;

    for (const char *at = found; *at; at++) {
        letters += apr_isalpha(*at) != 0;
    }
    for (; *found; found++) {
        if (apr_isdigit(*found)) {
            *out++ = *found;
        }
        else if (letters >= 3 && apr_isalpha(*found)) {
            *out++ = keypad[*found - 'a'];
        }
    }
    *out = '\0';
    return digits;
}
