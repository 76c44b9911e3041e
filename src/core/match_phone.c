/* Phone numbers: digits with country code, no leading zeros (OpenAPI 5.23). A number in national
 * form needs to be told its country, and that country to be in the table; it is left out otherwise,
 * because a wrong country code would make it somebody else's number. */

#include "match_int.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

#define E164_MIN_DIGITS 7
#define E164_MAX_DIGITS 15

/* trunk: the digit dialled in front of a national number, 0 where there is none. The lengths are
 * those of a number without it. */
typedef struct {
    char country[3];
    const char *code;
    char trunk;
    unsigned char min_len;
    unsigned char max_len;
} region_t;

static const region_t regions[] = {
    {"ar", "54", '0', 10, 11}, {"at", "43", '0', 4, 13}, {"au", "61", '0', 9, 9},
    {"be", "32", '0', 8, 9},   {"bg", "359", '0', 7, 9}, {"br", "55", '0', 10, 11},
    {"ca", "1", '1', 10, 10},  {"ch", "41", '0', 9, 9},  {"cl", "56", 0, 9, 9},
    {"cn", "86", '0', 9, 11},  {"co", "57", 0, 10, 10},  {"cy", "357", 0, 8, 8},
    {"cz", "420", 0, 9, 9},    {"de", "49", '0', 6, 11}, {"dk", "45", 0, 8, 8},
    {"ee", "372", 0, 7, 8},    {"es", "34", 0, 9, 9},    {"fi", "358", '0', 5, 11},
    {"fr", "33", '0', 9, 9},   {"gb", "44", '0', 9, 10}, {"gr", "30", 0, 10, 10},
    {"hk", "852", 0, 8, 8},    {"hr", "385", '0', 8, 9}, {"id", "62", '0', 8, 12},
    {"ie", "353", '0', 7, 9},  {"il", "972", '0', 8, 9}, {"in", "91", '0', 10, 10},
    {"is", "354", 0, 7, 7},    {"it", "39", 0, 6, 11},   {"jp", "81", '0', 9, 10},
    {"kr", "82", '0', 8, 10},  {"lu", "352", 0, 6, 9},   {"lv", "371", 0, 8, 8},
    {"mt", "356", 0, 8, 8},    {"mx", "52", 0, 10, 10},  {"my", "60", '0', 8, 10},
    {"nl", "31", '0', 9, 9},   {"no", "47", 0, 8, 8},    {"nz", "64", '0', 8, 10},
    {"pe", "51", '0', 8, 9},   {"ph", "63", '0', 8, 10}, {"pl", "48", 0, 9, 9},
    {"pt", "351", 0, 9, 9},    {"ro", "40", '0', 9, 9},  {"rs", "381", '0', 7, 9},
    {"se", "46", '0', 7, 9},   {"sg", "65", 0, 8, 8},    {"si", "386", '0', 8, 8},
    {"sk", "421", '0', 9, 9},  {"th", "66", '0', 8, 9},  {"tr", "90", '0', 10, 10},
    {"tw", "886", '0', 8, 9},  {"ua", "380", '0', 9, 9}, {"us", "1", '1', 10, 10},
    {"za", "27", '0', 9, 9},
};

static const region_t *find_region(const char *country)
{
    for (apr_size_t i = 0; country && i < sizeof(regions) / sizeof(regions[0]); i++) {
        if (strcmp(regions[i].country, country) == 0) {
            return &regions[i];
        }
    }
    return NULL;
}

static bool begins_with_code(const char *digits, const region_t *region)
{
    return strncmp(digits, region->code, strlen(region->code)) == 0;
}

static bool has_national_length(const char *digits, const region_t *region)
{
    apr_size_t len = strlen(digits);

    return len >= region->min_len && len <= region->max_len;
}

/* `+49 0171 …`: people keep the trunk zero behind the country code. No calling code is the
 * beginning of another, so the first that fits is the one. */
static const char *drop_trunk_zero(const char *digits, apr_pool_t *p)
{
    for (apr_size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
        apr_size_t len = strlen(regions[i].code);

        if (begins_with_code(digits, &regions[i])) {
            return regions[i].trunk == '0' && digits[len] == '0'
                       ? apr_pstrcat(p, regions[i].code, digits + len + 1, NULL)
                       : digits;
        }
    }
    return digits;
}

/* Digits as written, with the country's code put in front where they lack it; NULL where that
 * cannot be known. */
static const char *complete_national(const char *digits, const char *country, apr_pool_t *p)
{
    const region_t *region = find_region(country);

    if (!region) {
        return *digits == '0' ? NULL : digits;
    }
    if (region->trunk && *digits == region->trunk && has_national_length(digits + 1, region)) {
        return apr_pstrcat(p, region->code, digits + 1, NULL);
    }
    /* Italian numbers keep their zero abroad, too. */
    if (region->trunk != '0' && has_national_length(digits, region)) {
        return apr_pstrcat(p, region->code, digits, NULL);
    }
    return *digits == '0' ? NULL : digits;
}

/* Copies the digits; `(0)` is a trunk zero for those who dial from inside. False for text that is
 * more letters than number. */
static bool take_digits(char *digits, const char *text, bool is_international)
{
    int letters = 0;
    int count = 0;

    for (; *text; text++) {
        if (is_international && strncmp(text, "(0)", 3) == 0) {
            text += 2;
        }
        else if (apr_isdigit(*text)) {
            digits[count++] = *text;
        }
        else if (apr_isalpha(*text)) {
            letters++;
        }
    }
    digits[count] = '\0';
    return letters < count;
}

apr_status_t capi_match_phone(const char **normal, const char *folded, const char *country,
                              apr_pool_t *p)
{
    const char *start = folded + strcspn(folded, "+0123456789");
    bool has_plus = *start == '+';
    char *digits = apr_palloc(p, strlen(folded) + 1);
    const char *number = digits;
    apr_size_t len;

    if (!take_digits(digits, folded, has_plus || strncmp(start, "00", 2) == 0)) {
        return APR_EINVAL;
    }
    if (has_plus || strncmp(digits, "00", 2) == 0) {
        number = drop_trunk_zero(digits + strspn(digits, "0"), p);
    }
    else {
        number = complete_national(digits, country, p);
    }
    len = number ? strlen(number) : 0;
    if (len < E164_MIN_DIGITS || len > E164_MAX_DIGITS || *number == '0') {
        return APR_EINVAL;
    }
    *normal = number;
    return APR_SUCCESS;
}
