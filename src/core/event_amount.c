/* Money, in exact decimal arithmetic on its text: 129.95 is no sum of powers of two. */

#include "event_int.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

#define WHOLE_MAX 15 /* digits before the point: what a double, which Pinterest reads, can hold */

int capi_currency_digits(const char *currency)
{
    /* ISO 4217: all that have other than two. */
    static const char none[] = " BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF "
                               "XPF ";
    static const char three[] = " BHD IQD JOD KWD LYD OMR TND ";
    char needle[6] = " ... ";

    if (!currency || strlen(currency) != 3) {
        return 2;
    }
    memcpy(needle + 1, currency, 3);
    if (strstr(none, needle)) {
        return 0;
    }
    return strstr(three, needle) ? 3 : 2;
}

/* A JSON number as people would write it. 15 digits are those that a double keeps. */
static apr_status_t number_text(char *text, apr_size_t size, const json_t *value)
{
    size_t len = json_dumpb(value, text, size - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    char *exponent;

    if (len == 0 || len >= size) {
        return APR_EINVAL;
    }
    text[len] = '\0';
    exponent = strchr(text, 'e');
    if (exponent && exponent[1] != '-') {
        return APR_EINVAL;
    }
    if (exponent && *text != '-') {
        memcpy(text, "0", 2); /* below a ten thousandth */
    }
    return APR_SUCCESS;
}

/* Adds one to the last digit of a number of digits alone; it has a leading zero to grow into. */
static void add_one(char *digits, apr_size_t len)
{
    while (len > 0) {
        len--;
        if (digits[len] != '9') {
            digits[len]++;
            return;
        }
        digits[len] = '0';
    }
}

/* `text` as digits with an optional point: 0 + whole + fraction of `digits` digits, rounded. */
static apr_status_t round_decimal(const char **amount, const char *text, int digits, apr_pool_t *p)
{
    apr_size_t whole = strspn(text, "0123456789");
    const char *point = text[whole] == '.' ? text + whole : NULL;
    apr_size_t fraction = point ? strspn(point + 1, "0123456789") : 0;
    apr_size_t places = (apr_size_t)digits;
    char number[1 + WHOLE_MAX + 3 + 1];
    apr_size_t len;
    apr_size_t zeros;

    if (text[whole + (point ? 1 + fraction : 0)] != '\0' || (point ? !fraction : !whole)) {
        return APR_EINVAL;
    }
    while (whole > 0 && *text == '0') {
        text++;
        whole--;
    }
    if (whole > WHOLE_MAX) {
        return APR_EINVAL;
    }
    memset(number, '0', sizeof(number));
    memcpy(number + 1, text, whole);
    len = 1 + whole + places;
    if (point) {
        memcpy(number + 1 + whole, point + 1, fraction < places ? fraction : places);
    }
    if (point && fraction > places && point[1 + places] >= '5') {
        add_one(number, len);
    }
    for (zeros = 0; zeros + places + 1 < len && number[zeros] == '0'; zeros++) {
    }
    whole = len - places;
    *amount = digits == 0 ? apr_pstrmemdup(p, number + zeros, whole - zeros)
                          : apr_psprintf(p, "%.*s.%.*s", (int)(whole - zeros), number + zeros,
                                         digits, number + whole);
    return APR_SUCCESS;
}

apr_status_t capi_amount(const char **amount, const json_t *value, int digits, apr_pool_t *p)
{
    char buffer[64];
    const char *start;
    apr_size_t len;

    if (json_is_number(value)) {
        apr_status_t rv = number_text(buffer, sizeof(buffer), value);

        return rv == APR_SUCCESS ? round_decimal(amount, buffer, digits, p) : rv;
    }
    start = json_string_value(value);
    if (!start || json_string_length(value) != strlen(start)) {
        return APR_EINVAL;
    }
    start += strspn(start, " \t\n\r");
    len = strlen(start);
    while (len > 0 && apr_isspace(start[len - 1])) {
        len--;
    }
    if (len >= sizeof(buffer)) {
        return APR_EINVAL;
    }
    memcpy(buffer, start, len);
    buffer[len] = '\0';
    return round_decimal(amount, buffer, digits, p);
}
