/* Phone numbers: digits with country code, no plus, no extension (OpenAPI 5.23), read as
 * libphonenumber's parse() reads them in a default region.
 *
 * What is hashed: a number of a possible length for its calling code that fits the outline of a
 * region with that code. That is stricter than libphonenumber's isPossibleNumber(), which lets
 * 000 000 0000 and half of what people type to get past a form be numbers, and milder than
 * isValidNumber(), which knows each prefix that was in use when its table was made and would refuse
 * new ones. For a number that is valid the three agree.
 *
 * Where this goes further than libphonenumber, which refuses any number without a region that does
 * not begin with a plus: `00` counts as one then, and digits that begin with a calling code are
 * taken for such a number (shops store them so). */

#include "match_int.h"
#include "match_phone_int.h"

#include <apr_strings.h>

#include <string.h>

#define MIN_NATIONAL 2
#define MAX_NATIONAL 17 /* as libphonenumber; plans end sooner */

typedef struct {
    const capi_phone_plan_t *plan;
    const char *national;
} number_t;

static const capi_phone_plan_t *plan_of_region(const char *country)
{
    for (const capi_phone_plan_t *plan = capi_phone_plans; country && plan->code; plan++) {
        if (*plan->region && strcmp(plan->region, country) == 0) {
            return plan;
        }
    }
    return NULL;
}

/* The plan of the main region with this code. */
static const capi_phone_plan_t *plan_of_code(unsigned int code)
{
    for (const capi_phone_plan_t *plan = capi_phone_plans; plan->code; plan++) {
        if (plan->code == code) {
            return plan;
        }
    }
    return NULL;
}

static bool has_outline(const char *national, const capi_phone_plan_t *plan)
{
    return capi_phone_match(NULL, plan->national, national, true);
}

static bool has_length(const char *national, const capi_phone_plan_t *plan)
{
    apr_size_t len = strlen(national);

    return len <= MAX_NATIONAL && (plan->lengths >> len & 1u);
}

static bool is_too_long(const char *national, const capi_phone_plan_t *plan)
{
    apr_size_t len = strlen(national);

    return len > MAX_NATIONAL || plan->lengths >> len == 0;
}

/* What the plan puts in place of the trunk that matched. */
static const char *transform(const capi_phone_plan_t *plan, const capi_phone_match_t *trunk,
                             apr_pool_t *p)
{
    const char *result = "";

    for (const char *at = plan->transform; *at; at++) {
        int group = at[1] - '1';

        if (*at != '$') {
            result = apr_pstrcat(p, result, apr_pstrmemdup(p, at, 1), NULL);
            continue;
        }
        if (trunk->group[group].start) {
            result = apr_pstrcat(
                p, result,
                apr_pstrmemdup(p, trunk->group[group].start,
                               (apr_size_t)(trunk->group[group].end - trunk->group[group].start)),
                NULL);
        }
        at++;
    }
    return apr_pstrcat(p, result, trunk->end, NULL);
}

/* The number without the digits that are dialled before it inside its country. They stay where
 * they seem to belong to it: it fits the plan with them, but not without. */
static const char *drop_trunk(const char *national, const capi_phone_plan_t *plan, apr_pool_t *p)
{
    capi_phone_match_t trunk;
    const char *rest;

    if (!*national || !plan->trunk || !capi_phone_match(&trunk, plan->trunk, national, false)) {
        return national;
    }
    rest = plan->transform && trunk.group[trunk.groups - 1].start ? transform(plan, &trunk, p)
                                                                  : trunk.end;
    return has_outline(national, plan) && !has_outline(rest, plan) ? national : rest;
}

/* `digits` begin with a calling code, or it is false. */
static bool read_international(number_t *number, const char *digits)
{
    unsigned int code = 0;

    if (*digits == '0' || strlen(digits) <= MIN_NATIONAL) {
        return false;
    }
    for (int len = 1; len <= 3; len++) {
        code = code * 10 + (unsigned int)(digits[len - 1] - '0');
        number->plan = plan_of_code(code);
        if (number->plan) {
            number->national = digits + len;
            return true;
        }
    }
    return false;
}

/* What follows the exit code (011, 00, 810 …) of the region; NULL where there is none. */
static const char *skip_exit_code(const char *digits, const capi_phone_plan_t *home)
{
    capi_phone_match_t exit;

    if (!capi_phone_match(&exit, home ? home->exit : "00", digits, false) || *exit.end == '0') {
        return NULL;
    }
    return exit.end;
}

/* A number written with the code of its own country, but without a plus. It must not make sense as
 * a national number, or hardly: where a 0 is dialled before those, one that begins with the code
 * instead of a 0 has been stored by a machine. (libphonenumber reads 491711234567 in Germany as a
 * number of the area 4917.) */
static bool read_own_code(number_t *number, const char *digits, const capi_phone_plan_t *home,
                          apr_pool_t *p)
{
    const char *code = apr_itoa(p, home->code);
    const char *rest;
    bool is_machine_made;

    if (strncmp(digits, code, strlen(code)) != 0) {
        return false;
    }
    rest = drop_trunk(digits + strlen(code), home, p);
    is_machine_made =
        home->trunk && capi_phone_match(NULL, home->trunk, "0", true) && has_length(rest, home);
    if (!is_too_long(digits, home) &&
        (!has_outline(rest, home) || (has_outline(digits, home) && !is_machine_made))) {
        return false;
    }
    number->plan = plan_of_code(home->code);
    number->national = rest;
    return true;
}

static bool fits_its_code(const number_t *number)
{
    for (const capi_phone_plan_t *plan = number->plan; plan->code == number->plan->code; plan++) {
        if (has_outline(number->national, plan)) {
            return has_length(number->national, number->plan);
        }
    }
    return false;
}

/* Some plans have 999 999 999, but who types it has no wish to be called. */
static bool is_one_digit(const char *national)
{
    const char digit[] = {*national, '\0'};

    return strspn(national, digit) == strlen(national);
}

static bool read_number(number_t *number, const char *found, const capi_phone_plan_t *home,
                        apr_pool_t *p)
{
    const char *digits = capi_phone_digits(found, p);
    bool has_plus = *found == '+';
    const char *abroad;

    if (has_plus && read_international(number, digits)) {
        return true;
    }
    abroad = skip_exit_code(digits, home);
    if (abroad) {
        return read_international(number, abroad);
    }
    if (home && read_own_code(number, digits, home, p)) {
        return true;
    }
    number->plan = home;
    number->national = digits;
    return !has_plus && (home || read_international(number, digits));
}

apr_status_t capi_match_phone(const char **normal, const char *folded, const char *country,
                              apr_pool_t *p)
{
    const char *found = capi_phone_find(folded, p);
    const char *shorter;
    number_t number;

    if (!found || !read_number(&number, found, plan_of_region(country), p)) {
        return APR_EINVAL;
    }
    shorter = drop_trunk(number.national, number.plan, p);
    if (has_length(shorter, number.plan) || is_too_long(shorter, number.plan)) {
        number.national = shorter;
    }
    number.plan = plan_of_code(number.plan->code);
    if (!fits_its_code(&number) || is_one_digit(number.national)) {
        return APR_EINVAL;
    }
    *normal = apr_psprintf(p, "%d%s", number.plan->code, number.national);
    return APR_SUCCESS;
}
