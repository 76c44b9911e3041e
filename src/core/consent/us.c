#include "us.h"

#include "bits.h"
#include "tcf.h"

#include <string.h>

#define FIRST_SECTION 7
#define LAST_SECTION  27
#define MAX_SECTIONS  64

/* Bit offsets of the three opt-outs (two bits each: 1 opted out, 2 not) in each section's core;
 * 0: the section has no such field. */
static const struct {
    unsigned char sale, sharing, targeted;
} offsets[LAST_SECTION - FIRST_SECTION + 1] = {
    {18, 20, 22},                                                     /* 7 usnat */
    {12, 14, 0},                                                      /* 8 usca */
    {12, 0, 14},  {12, 0, 14},                                        /* 9 usva, 10 usco */
    {14, 0, 16},                                                      /* 11 usut */
    {12, 0, 14},  {12, 0, 14}, {12, 0, 14}, {12, 0, 14}, {12, 0, 14}, /* 12–16 ct fl mt or tx */
    {12, 0, 14},                                                      /* 17 usde */
    {14, 0, 16},                                                      /* 18 usia */
    {12, 0, 14},  {12, 0, 14}, {12, 0, 14}, {12, 0, 14}, {12, 0, 14}, /* 19–23 ne nh nj tn mn */
    {16, 0, 18},  {16, 0, 18}, {16, 0, 18}, {16, 0, 18},              /* 24–27 md in ky ri */
};

static capi_us_t stronger(capi_us_t a, capi_us_t b)
{
    return a > b ? a : b;
}

static capi_us_t read_choice(capi_bits_t *bits, unsigned offset)
{
    uint64_t choice = offset ? capi_bits_at(bits, offset, 2) : 0;

    return choice == 1   ? CAPI_US_OPTED_OUT
           : choice == 2 ? CAPI_US_NOT_OPTED_OUT
                         : CAPI_US_NO_SIGNAL;
}

/* `core[.gpc]` of a US section. */
static capi_us_t read_us_section(unsigned id, const char *text, apr_size_t len)
{
    const char *dot = memchr(text, '.', len);
    apr_size_t core_len = dot ? (apr_size_t)(dot - text) : len;
    capi_us_t said = CAPI_US_NO_SIGNAL;
    capi_bits_t bits;

    capi_bits_open(&bits, text, core_len);
    said = stronger(said, read_choice(&bits, offsets[id - FIRST_SECTION].sale));
    said = stronger(said, read_choice(&bits, offsets[id - FIRST_SECTION].sharing));
    said = stronger(said, read_choice(&bits, offsets[id - FIRST_SECTION].targeted));
    if (core_len == 0 || bits.failed) {
        return CAPI_US_INVALID;
    }
    if (dot) {
        capi_bits_open(&bits, dot + 1, len - core_len - 1);
        bool is_gpc = capi_bits_take(&bits, 2) == 1 && capi_bits_take(&bits, 1) == 1;
        if (bits.failed) {
            return CAPI_US_INVALID;
        }
        said = is_gpc ? CAPI_US_OPTED_OUT : said;
    }
    return said;
}

static capi_us_t read_section(unsigned id, const char *text, apr_size_t len)
{
    if (id == 6) {
        return capi_usp_read(text, len);
    }
    if (id < FIRST_SECTION || id > LAST_SECTION) {
        return len ? CAPI_US_NO_SIGNAL : CAPI_US_INVALID;
    }
    return read_us_section(id, text, len);
}

/* The ids of the sections, ascending; -1 where the header is malformed. */
static int read_header(unsigned ids[MAX_SECTIONS], const char *text, apr_size_t len)
{
    int count = 0;
    unsigned last = 0;
    capi_bits_t bits;

    capi_bits_open(&bits, text, len);
    bool is_gpp = capi_bits_take(&bits, 6) == 3 && capi_bits_take(&bits, 6) == 1;
    unsigned items = (unsigned)capi_bits_take(&bits, 12);
    for (unsigned i = 0; is_gpp && i < items && !bits.failed; i++) {
        bool is_group = capi_bits_take(&bits, 1) != 0;
        unsigned first = last + capi_bits_take_fibonacci(&bits);
        last = is_group ? first + capi_bits_take_fibonacci(&bits) : first;
        if (first == 0 || last - first >= MAX_SECTIONS ||
            count + (int)(last - first) >= MAX_SECTIONS) {
            return -1;
        }
        for (unsigned id = first; id <= last; id++) {
            ids[count++] = id;
        }
    }
    return is_gpp && !bits.failed && count > 0 ? count : -1;
}

capi_us_t capi_gpp_read(const char *text, apr_size_t len)
{
    unsigned ids[MAX_SECTIONS];
    const char *end = text + len;
    const char *tilde = len <= CAPI_CONSENT_STRING_MAX ? memchr(text, '~', len) : NULL;
    capi_us_t said = CAPI_US_NO_SIGNAL;

    if (!tilde) {
        return CAPI_US_INVALID;
    }
    int count = read_header(ids, text, (apr_size_t)(tilde - text));
    for (int i = 0; i < count; i++) {
        if (!tilde) {
            return CAPI_US_INVALID;
        }
        const char *section = tilde + 1;
        tilde = memchr(section, '~', (apr_size_t)(end - section));
        capi_us_t one =
            read_section(ids[i], section, (apr_size_t)((tilde ? tilde : end) - section));
        if (one == CAPI_US_INVALID) {
            return CAPI_US_INVALID;
        }
        said = stronger(said, one);
    }
    return count > 0 && !tilde ? said : CAPI_US_INVALID;
}

static bool is_answer(char c)
{
    return strchr("YyNn-", c) != NULL && c != '\0';
}

capi_us_t capi_usp_read(const char *text, apr_size_t len)
{
    static const char key[] = "\"uspString\":\"";

    if (len > 4 && len < 256 && text[0] == '{') {
        for (apr_size_t i = 0; i + sizeof(key) - 1 + 5 <= len; i++) {
            const char *value = text + i + sizeof(key) - 1;
            if (memcmp(text + i, key, sizeof(key) - 1) == 0 && value[4] == '"') {
                return capi_usp_read(value, 4);
            }
        }
        return CAPI_US_INVALID;
    }
    if (len != 4 || text[0] != '1' || !is_answer(text[1]) || !is_answer(text[2]) ||
        !is_answer(text[3])) {
        return CAPI_US_INVALID;
    }
    return text[2] == 'Y'                     ? CAPI_US_OPTED_OUT
           : text[2] == 'N' || text[2] == 'n' ? CAPI_US_NOT_OPTED_OUT
                                              : CAPI_US_NO_SIGNAL;
}
