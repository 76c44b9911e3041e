/* Where somebody lives: city, state, postcode, country. */

#include "match_int.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

/* ISO 3166-1 alpha-2, officially assigned. */
static const char countries[] =
    " ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br"
    " bs bt bv bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz"
    " ec ee eg eh er es et fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw"
    " gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky"
    " kz la lb lc li lk lr ls lt lu lv ly ma mc md me mf mg mh mk ml mm mn mo mp mq mr ms mt mu mv"
    " mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py"
    " qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st sv sx sy sz tc td tf tg"
    " th tj tk tl tm tn to tr tt tv tw tz ua ug um us uy uz va vc ve vg vi vn vu wf ws ye yt za zm"
    " zw ";

/* Postcodes there have letters; elsewhere they are digits, whatever stands in front (D-, LV-). */
static const char lettered_postcodes[] =
    " ad ai ar bb bm bn ca fk gb gg gi gs ie im io je ky lc ms mt nl pn sh so sz tc vc vg ";

static const struct {
    const char *name;
    char country[3];
    char code[3];
} states[] = {
    {"alabama", "us", "al"},
    {"alaska", "us", "ak"},
    {"arizona", "us", "az"},
    {"arkansas", "us", "ar"},
    {"california", "us", "ca"},
    {"colorado", "us", "co"},
    {"connecticut", "us", "ct"},
    {"delaware", "us", "de"},
    {"district of columbia", "us", "dc"},
    {"florida", "us", "fl"},
    {"georgia", "us", "ga"},
    {"hawaii", "us", "hi"},
    {"idaho", "us", "id"},
    {"illinois", "us", "il"},
    {"indiana", "us", "in"},
    {"iowa", "us", "ia"},
    {"kansas", "us", "ks"},
    {"kentucky", "us", "ky"},
    {"louisiana", "us", "la"},
    {"maine", "us", "me"},
    {"maryland", "us", "md"},
    {"massachusetts", "us", "ma"},
    {"michigan", "us", "mi"},
    {"minnesota", "us", "mn"},
    {"mississippi", "us", "ms"},
    {"missouri", "us", "mo"},
    {"montana", "us", "mt"},
    {"nebraska", "us", "ne"},
    {"nevada", "us", "nv"},
    {"new hampshire", "us", "nh"},
    {"new jersey", "us", "nj"},
    {"new mexico", "us", "nm"},
    {"new york", "us", "ny"},
    {"north carolina", "us", "nc"},
    {"north dakota", "us", "nd"},
    {"ohio", "us", "oh"},
    {"oklahoma", "us", "ok"},
    {"oregon", "us", "or"},
    {"pennsylvania", "us", "pa"},
    {"rhode island", "us", "ri"},
    {"south carolina", "us", "sc"},
    {"south dakota", "us", "sd"},
    {"tennessee", "us", "tn"},
    {"texas", "us", "tx"},
    {"utah", "us", "ut"},
    {"vermont", "us", "vt"},
    {"virginia", "us", "va"},
    {"washington", "us", "wa"},
    {"west virginia", "us", "wv"},
    {"wisconsin", "us", "wi"},
    {"wyoming", "us", "wy"},
    {"alberta", "ca", "ab"},
    {"british columbia", "ca", "bc"},
    {"manitoba", "ca", "mb"},
    {"new brunswick", "ca", "nb"},
    {"newfoundland and labrador", "ca", "nl"},
    {"nova scotia", "ca", "ns"},
    {"ontario", "ca", "on"},
    {"prince edward island", "ca", "pe"},
    {"québec", "ca", "qc"},
    {"quebec", "ca", "qc"},
    {"saskatchewan", "ca", "sk"},
};

static bool is_listed(const char *list, const char *code)
{
    const char needle[] = {' ', code[0], code[1], ' ', '\0'};

    return strstr(list, needle) != NULL;
}

bool capi_is_country(const char *folded)
{
    return strlen(folded) == 2 && apr_isalpha(folded[0]) && apr_isalpha(folded[1]) &&
           is_listed(countries, folded);
}

/* Punctuation and symbols of the scripts that addresses are written in. Not "what is no letter":
 * combining marks and vowel signs belong to the word. */
static bool is_punctuation(uint32_t c)
{
    if (c < 0x80) {
        return !apr_isalnum(c);
    }
    return (c >= 0xa1 && c <= 0xbf && c != 0xaa && c != 0xb5 && c != 0xba) || c == 0xd7 ||
           c == 0xf7 || c == 0x2b9 || (c >= 0x2bb && c <= 0x2bf) || c == 0x37e || c == 0x387 ||
           (c >= 0x55a && c <= 0x55f) || c == 0x589 || c == 0x58a || c == 0x5be || c == 0x5f3 ||
           c == 0x5f4 || c == 0x60c || c == 0x61b || c == 0x61f || c == 0x6d4 || c == 0x964 ||
           c == 0x965 || (c >= 0x200b && c <= 0x206f) || (c >= 0x20a0 && c <= 0x20cf) ||
           (c >= 0x2190 && c <= 0x2bff) || (c >= 0x3001 && c <= 0x3004) ||
           (c >= 0x3008 && c <= 0x3020) || c == 0x30fb || (c >= 0xff01 && c <= 0xff0f) ||
           (c >= 0xff1a && c <= 0xff20) || (c >= 0xff3b && c <= 0xff40) ||
           (c >= 0xff5b && c <= 0xff65);
}

apr_status_t capi_match_city(const char **normal, const char *folded, apr_pool_t *p)
{
    char *city = apr_palloc(p, strlen(folded) + 1);
    char *out = city;

    while (*folded) {
        uint32_t c = capi_utf8_next(&folded);

        if (!capi_is_unicode_space(c) && !is_punctuation(c)) {
            out = capi_utf8_put(out, c);
        }
    }
    *out = '\0';
    *normal = city;
    return *city ? APR_SUCCESS : APR_EINVAL;
}

static const char *state_of_name(const char *name, const char *country)
{
    for (apr_size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i].name, name) == 0 &&
            (!country || strcmp(states[i].country, country) == 0)) {
            return states[i].code;
        }
    }
    return NULL;
}

apr_status_t capi_match_state(const char **normal, const char *folded, const char *country,
                              apr_pool_t *p)
{
    const char *code = folded;
    bool has_letter = false;
    apr_size_t len;

    *normal = state_of_name(folded, country);
    if (*normal) {
        return APR_SUCCESS;
    }
    /* ISO 3166-2, as WooCommerce keeps it: DE-BY. */
    if (strlen(folded) > 3 && folded[2] == '-' && capi_is_country(apr_pstrmemdup(p, folded, 2))) {
        code += 3;
        has_letter = true; /* or a number that says which, JP-13 */
    }
    len = strlen(code);
    for (apr_size_t i = 0; i < len; i++) {
        if (!apr_isalnum(code[i])) {
            return APR_EINVAL;
        }
        has_letter = has_letter || apr_isalpha(code[i]);
    }
    /* A bare number is the shop's own number of the state, not its code. */
    if (len < 2 || len > 3 || !has_letter) {
        return APR_EINVAL;
    }
    *normal = code;
    return APR_SUCCESS;
}

apr_status_t capi_match_zip(const char **normal, const char *folded, const char *country,
                            apr_pool_t *p)
{
    bool keeps_letters = !country || is_listed(lettered_postcodes, country);
    bool has_digit = false;
    char *zip = apr_palloc(p, strlen(folded) + 1);
    char *out = zip;

    for (; *folded; folded++) {
        if (apr_isdigit(*folded) || (keeps_letters && apr_isalpha(*folded))) {
            has_digit = has_digit || apr_isdigit(*folded);
            *out++ = *folded;
        }
    }
    *out = '\0';
    *normal = zip;
    return has_digit && out - zip >= 2 && out - zip <= 12 ? APR_SUCCESS : APR_EINVAL;
}
