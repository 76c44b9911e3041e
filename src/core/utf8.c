/* Decoding and repair of UTF-8. */

#include "utf8.h"

#include <string.h>

/* How many bytes follow this first byte; 0 where it can begin no sequence of several. */
static apr_size_t tail_length(unsigned char first)
{
    if (first >= 0xc2 && first <= 0xdf) {
        return 1;
    }
    if ((first & 0xf0) == 0xe0) {
        return 2;
    }
    return first >= 0xf0 && first <= 0xf4 ? 3 : 0;
}

static bool is_scalar(uint32_t c, apr_size_t tail)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};

    return c >= smallest[tail] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

apr_size_t capi_utf8_read(uint32_t *c, const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    apr_size_t tail = tail_length(bytes[0]);
    apr_size_t i;

    if (bytes[0] < 0x80) {
        *c = bytes[0];
        return bytes[0] != '\0';
    }
    *c = bytes[0] & (0x3fu >> tail);
    for (i = 1; i <= tail && (bytes[i] & 0xc0) == 0x80; i++) {
        *c = *c << 6 | (bytes[i] & 0x3fu);
    }
    if (tail == 0 || i <= tail || !is_scalar(*c, tail)) {
        *c = CAPI_UTF8_INVALID;
        return 1;
    }
    return tail + 1;
}

const char *capi_utf8_repair(const char *text, apr_pool_t *p)
{
    static const char replacement[] = "\xef\xbf\xbd";
    apr_size_t room = 1;
    bool is_broken = false;
    const char *in;
    char *repaired;
    char *out;
    uint32_t c;

    for (in = text; *in != '\0';) {
        apr_size_t len = capi_utf8_read(&c, in);
        is_broken = is_broken || c == CAPI_UTF8_INVALID;
        room += c == CAPI_UTF8_INVALID ? sizeof(replacement) - 1 : len;
        in += len;
    }
    if (!is_broken) {
        return text;
    }
    repaired = out = apr_palloc(p, room);
    for (in = text; *in != '\0';) {
        apr_size_t len = capi_utf8_read(&c, in);
        const char *from = c == CAPI_UTF8_INVALID ? replacement : in;
        apr_size_t width = c == CAPI_UTF8_INVALID ? sizeof(replacement) - 1 : len;
        memcpy(out, from, width);
        out += width;
        in += len;
    }
    *out = '\0';
    return repaired;
}
