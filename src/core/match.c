/* Match keys: which normalisation belongs to which key, and the hash over it. */

#include "match.h"
#include "ident.h"
#include "match_int.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

#define EMAIL_MAX 320 /* 64 + @ + 255, RFC 5321 */

bool capi_match_key(capi_key_t *key, const char *name)
{
    static const char *const long_names[CAPI_KEY_HASHED] = {
        [CAPI_KEY_EM] = "email",
        [CAPI_KEY_PH] = "phone",
        [CAPI_KEY_GE] = "gender",
        [CAPI_KEY_DB] = "birthdate",
        [CAPI_KEY_FN] = "first_name",
        [CAPI_KEY_LN] = "last_name",
        [CAPI_KEY_CT] = "city",
        [CAPI_KEY_ST] = "state",
        [CAPI_KEY_ZP] = "zip",
        [CAPI_KEY_COUNTRY] = "country",
        [CAPI_KEY_EXTERNAL_ID] = "external_id",
    };

    for (int i = 0; i < CAPI_KEY_HASHED; i++) {
        if (strcmp(name, capi_key_name((capi_key_t)i)) == 0 || strcmp(name, long_names[i]) == 0) {
            *key = (capi_key_t)i;
            return true;
        }
    }
    return false;
}

static apr_status_t check_email(const char *folded)
{
    const char *at = strchr(folded, '@');

    if (!at || at == folded || !at[1] || strchr(at + 1, '@') || strlen(folded) > EMAIL_MAX) {
        return APR_EINVAL;
    }
    while (*folded) {
        if (capi_is_unicode_space(capi_utf8_next(&folded))) {
            return APR_EINVAL;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t normalise_gender(const char **normal, const char *folded)
{
    static const char *const words[][2] = {
        {"f", "f"},          {"female", "f"},     {"woman", "f"},     {"m", "m"},
        {"male", "m"},       {"man", "m"},        {"n", "n"},         {"non-binary", "n"},
        {"non binary", "n"}, {"non_binary", "n"}, {"nonbinary", "n"},
    };

    for (apr_size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(folded, words[i][0]) == 0) {
            *normal = words[i][1];
            return APR_SUCCESS;
        }
    }
    return APR_EINVAL;
}

static const char *folded_or_null(const char *country, apr_pool_t *p)
{
    const char *folded;

    return country && capi_fold(&folded, country, p) == APR_SUCCESS ? folded : NULL;
}

/* The folded code of `country`, NULL where it is none. */
static const char *known_country(const char *country, apr_pool_t *p)
{
    const char *folded = folded_or_null(country, p);

    return folded && capi_is_country(folded) ? folded : NULL;
}

apr_status_t capi_match_normalise(const char **normal, capi_key_t key, const char *value,
                                  const char *country, apr_pool_t *p)
{
    const char *folded;
    apr_status_t rv = capi_fold(&folded, value, p);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *normal = folded;
    switch (key) {
    case CAPI_KEY_EM:
        return check_email(folded);
    case CAPI_KEY_PH:
        /* Kosovo has phones, but no code of ISO 3166. */
        return capi_match_phone(normal, folded, folded_or_null(country, p), p);
    case CAPI_KEY_GE:
        return normalise_gender(normal, folded);
    case CAPI_KEY_DB:
        return capi_match_birthdate(normal, folded, p);
    case CAPI_KEY_FN:
    case CAPI_KEY_LN:
    case CAPI_KEY_EXTERNAL_ID:
        return APR_SUCCESS;
    case CAPI_KEY_CT:
        return capi_match_city(normal, folded, p);
    case CAPI_KEY_ST:
        return capi_match_state(normal, folded, known_country(country, p), p);
    case CAPI_KEY_ZP:
        return capi_match_zip(normal, folded, known_country(country, p), p);
    case CAPI_KEY_COUNTRY:
        return capi_is_country(folded) ? APR_SUCCESS : APR_EINVAL;
    case CAPI_KEY_HASHED_MAIDS:
    case CAPI_KEY_CLICK_ID:
    case CAPI_KEY_CLIENT_IP_ADDRESS:
    case CAPI_KEY_CLIENT_USER_AGENT:
    case CAPI_KEY_PARTNER_ID:
    case CAPI_KEY_COUNT:
        break;
    }
    return APR_EINVAL;
}

apr_status_t capi_match_hash(const char **hex, capi_key_t key, const char *value,
                             const char *country, apr_pool_t *p)
{
    const char *normal;
    apr_status_t rv;
    char *own;

    while (apr_isspace(*value)) {
        value++;
    }
    if (capi_is_sha256_hex(value, strcspn(value, " \t\r\n")) &&
        value[CAPI_HEX_SHA256 + strspn(value + CAPI_HEX_SHA256, " \t\r\n")] == '\0') {
        own = apr_pstrmemdup(p, value, CAPI_HEX_SHA256);
        for (char *c = own; *c; c++) {
            *c = (char)apr_tolower(*c);
        }
        *hex = own;
        return APR_SUCCESS;
    }
    rv = capi_match_normalise(&normal, key, value, country, p);
    if (rv == APR_SUCCESS) {
        own = apr_palloc(p, CAPI_HEX_SHA256 + 1);
        capi_sha256_hex(own, normal, strlen(normal));
        *hex = own;
    }
    return rv;
}
