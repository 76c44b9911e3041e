/* Consent: strings of the IAB and of US laws against vectors, consent managers against real cookie
 * values, and the precedence between them. */

#include "consent/decision.h"
#include "consent/tcf.h"
#include "consent/us.h"

#include <apr_strings.h>
#include <jansson.h>

#include <libgen.h>
#include <string.h>

#include "unit.h"

#define NOW apr_time_from_sec(1790000000)

static const char *project_file(const char *name)
{
    char file[] = __FILE__;

    return apr_psprintf(pool, "%s/%s", dirname(file), name);
}

static json_t *load(const char *name)
{
    json_error_t error;
    json_t *object = json_load_file(project_file(name), 0, &error);

    ck_assert_msg(object != NULL, "%s: %s", name, error.text);
    return object;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void check_tcf(const json_t *vector)
{
    const char *tc = text_of(vector, "tc");
    const char *name = text_of(vector, "name");
    const char *want = text_of(vector, "error");
    const char *error;
    capi_tcf_t tcf;
    apr_status_t rv = capi_tcf_read(&tcf, &error, tc, strlen(tc), 0);

    ck_assert_msg((rv != APR_SUCCESS) == (want != NULL), "%s: %s", name, error ? error : "read");
    if (want) {
        ck_assert_msg(strcmp(error, want) == 0, "%s: %s, not %s", name, error, want);
        return;
    }
    const char *invalid = capi_tcf_invalid(&tcf);
    want = text_of(vector, "invalid");
    ck_assert_msg((invalid != NULL) == (want != NULL), "%s: %s", name, invalid ? invalid : "valid");
    if (want) {
        ck_assert_str_eq(invalid, want);
        return;
    }
    ck_assert_msg(capi_tcf_grants(&tcf, CAPI_TCF_MEASUREMENT) ==
                      (strcmp(text_of(vector, "all"), "granted") == 0),
                  "%s", name);
    ck_assert_msg(capi_tcf_grants(&tcf, 0x41) ==
                      (strcmp(text_of(vector, "storage_and_measurement"), "granted") == 0),
                  "%s", name);
}

START_TEST(test_every_tc_string_is_read_or_refused_as_its_vector_says)
{
    json_t *file = load("consent/tcf.json");
    json_t *vectors = json_object_get(file, "tcf");

    ck_assert_uint_gt(json_array_size(vectors), 50);
    for (size_t i = 0; i < json_array_size(vectors); i++) {
        check_tcf(json_array_get(vectors, i));
    }
    json_decref(file);
}
END_TEST

START_TEST(test_a_cut_tc_string_that_denied_never_grants)
{
    json_t *file = load("consent/tcf.json");
    json_t *vectors = json_object_get(file, "tcf");

    for (size_t i = 0; i < json_array_size(vectors); i++) {
        const json_t *vector = json_array_get(vectors, i);
        const char *tc = text_of(vector, "tc");
        const char *all = text_of(vector, "all");
        if (!all || strcmp(all, "denied") != 0) {
            continue;
        }
        for (apr_size_t len = 0; len < strlen(tc) && len < 400; len++) {
            ck_assert_int_ne(capi_tcf_state(tc, len, CAPI_TCF_MEASUREMENT, true),
                             CAPI_CONSENT_GRANTED);
        }
    }
    json_decref(file);
}
END_TEST

static const char *us_word(capi_us_t said)
{
    static const char *const words[] = {"invalid", "no_signal", "not_opted_out", "opted_out"};

    return words[said + 1];
}

START_TEST(test_every_us_string_says_what_its_vector_says)
{
    json_t *file = load("consent/us.json");
    json_t *gpp = json_object_get(file, "gpp");
    json_t *usp = json_object_get(file, "usp");

    for (size_t i = 0; i < json_array_size(gpp); i++) {
        const json_t *vector = json_array_get(gpp, i);
        const char *value = text_of(vector, "gpp");
        const char *said = us_word(capi_gpp_read(value, strlen(value)));
        ck_assert_msg(strcmp(said, text_of(vector, "says")) == 0, "%s: %s", value, said);
    }
    for (size_t i = 0; i < json_array_size(usp); i++) {
        const json_t *vector = json_array_get(usp, i);
        const char *value = text_of(vector, "usp");
        const char *said = us_word(capi_usp_read(value, strlen(value)));
        ck_assert_msg(strcmp(said, text_of(vector, "says")) == 0, "%s: %s", value, said);
    }
    ck_assert_int_eq(capi_usp_read("{\"uspString\":\"1YYN\"}", 20), CAPI_US_OPTED_OUT);
    json_decref(file);
}
END_TEST

static capi_consent_state_t read_cmp(const capi_cmp_t *cmp, const char *header)
{
    capi_cookies_t cookies;

    capi_cookies_read(&cookies, header, pool);
    return capi_cmp_read(cmp, &cookies, pool);
}

static const capi_cmp_t *load_cmp(const char *name)
{
    static const char *const needs[][3] = {{"moove", "KEY", "advanced"},
                                           {"commanders-act", "CAT", "3"},
                                           {"tealium", "N", "3"},
                                           {"onetrust", "GROUP", "C0004"},
                                           {"real-cookie-banner", "GROUP", "45"}};
    const capi_cmp_t *cmp;
    const char *message;
    apr_table_t *params = apr_table_make(pool, 1);

    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if (strcmp(needs[i][0], name) == 0) {
            apr_table_setn(params, needs[i][1], needs[i][2]);
        }
    }
    apr_status_t rv =
        capi_cmp_load(&cmp, &message, project_file("../../conf/cmp"), name, params, pool);
    ck_assert_msg(rv == APR_SUCCESS, "%s", message);
    return cmp;
}

/* A Cookie header with the example of one state, companions included. */
static const char *cookies_of(const json_t *example, const char *state)
{
    const char *name = text_of(example, "cookie");
    const char *value = text_of(example, state);
    bool is_prefix = strchr("-:", name[strlen(name) - 1]) != NULL;
    const char *cookies;
    const char *key;
    json_t *companion;

    if (!value) {
        return NULL;
    }
    cookies = apr_psprintf(pool, "a=1; %s%s=%s", name, is_prefix ? "7" : "", value);
    json_object_foreach(json_object_get(json_object_get(example, "companions"), state), key,
                        companion)
    {
        cookies = apr_psprintf(pool, "%s; %s=%s", cookies, key, json_string_value(companion));
    }
    return cookies;
}

START_TEST(test_every_consent_manager_reads_its_own_cookies)
{
    static const char *const states[] = {"unanswered", "granted", "denied"};
    json_t *examples = load("consent/cmp.json");
    const char *name;
    json_t *example;

    ck_assert_uint_ge(json_object_size(examples), 33);
    json_object_foreach(examples, name, example)
    {
        const capi_cmp_t *cmp = load_cmp(name);
        for (int state = 0; state < 3; state++) {
            const char *cookies = cookies_of(example, states[state]);
            if (cookies) {
                ck_assert_msg((int)read_cmp(cmp, cookies) == state, "%s, %s: %s", name,
                              states[state], cookies);
            }
        }
        ck_assert_int_eq(read_cmp(cmp, "a=1; b=2"), CAPI_CONSENT_UNKNOWN);
        ck_assert_int_eq(read_cmp(cmp, NULL), CAPI_CONSENT_UNKNOWN);
    }
    json_decref(examples);
}
END_TEST

START_TEST(test_every_rule_file_loads_or_names_its_parameter)
{
    apr_array_header_t *names;

    ck_assert_int_eq(capi_cmp_list(&names, project_file("../../conf/cmp"), pool), APR_SUCCESS);
    ck_assert_int_ge(names->nelts, 40);
    for (int i = 0; i < names->nelts; i++) {
        const capi_cmp_t *cmp;
        const char *message;
        apr_status_t rv = capi_cmp_load(&cmp, &message, project_file("../../conf/cmp"),
                                        APR_ARRAY_IDX(names, i, const char *), NULL, pool);
        ck_assert_msg(rv == APR_SUCCESS || APR_STATUS_IS_INCOMPLETE(rv), "%s", message);
    }
}
END_TEST

START_TEST(test_of_two_cookies_with_one_name_a_denial_wins)
{
    const capi_cmp_t *cmp = load_cmp("wp-consent-api");

    ck_assert_int_eq(read_cmp(cmp, "wp_consent_marketing=allow; wp_consent_marketing=deny"),
                     CAPI_CONSENT_DENIED);
    ck_assert_int_eq(read_cmp(cmp, "wp_consent_marketing=deny; wp_consent_marketing=allow"),
                     CAPI_CONSENT_DENIED);
}
END_TEST

static const char *word_of_env(const void *request, const char *name)
{
    return strcmp(name, "SHOP") == 0 ? request : NULL;
}

static capi_signal_t *add_signal(apr_array_header_t *signals, capi_signal_kind_t kind,
                                 const char *label)
{
    capi_signal_t *signal = &APR_ARRAY_PUSH(signals, capi_signal_t);

    *signal = (capi_signal_t){.kind = kind, .label = label};
    return signal;
}

static apr_array_header_t *all_signals(bool is_strict)
{
    apr_array_header_t *signals = apr_array_make(pool, 8, sizeof(capi_signal_t));

    add_signal(signals, CAPI_SIGNAL_GPC, "gpc")->is_strict = is_strict;
    add_signal(signals, CAPI_SIGNAL_BRIDGE, "bridge");
    add_signal(signals, CAPI_SIGNAL_CMP, "cmp klaro")->cmp = load_cmp("klaro");
    add_signal(signals, CAPI_SIGNAL_USP, "usprivacy");
    add_signal(signals, CAPI_SIGNAL_TCF, "tcf");
    add_signal(signals, CAPI_SIGNAL_GPP, "gpp");
    add_signal(signals, CAPI_SIGNAL_ENV, "env SHOP")->cookie = "SHOP";
    capi_signals_prepare(signals);
    return signals;
}

static void decide(capi_consent_t *consent, const apr_array_header_t *signals,
                   const capi_consent_input_t *input, capi_consent_state_t otherwise,
                   int max_age_days, apr_time_t now, apr_pool_t *p)
{
    capi_consent_decide(consent, &signals, 1, input, otherwise, max_age_days, now, p);
}

START_TEST(test_precedence_between_signals)
{
    static const struct {
        const char *cookies, *gpc, *env;
        bool is_strict;
        const char *signal;
        capi_consent_state_t state;
    } rows[] = {
        {NULL, NULL, NULL, false, "default", CAPI_CONSENT_GRANTED},
        {"klaro={\"pinterest\":true}", NULL, NULL, false, "cmp klaro", CAPI_CONSENT_GRANTED},
        {"klaro={\"pinterest\":false}", NULL, NULL, false, "cmp klaro", CAPI_CONSENT_DENIED},
        {"klaro={\"pinterest\":true}; usprivacy=1YYN", NULL, NULL, false, "usprivacy",
         CAPI_CONSENT_DENIED},
        {"usprivacy=1YNN", NULL, NULL, false, "default", CAPI_CONSENT_GRANTED},
        {NULL, "1", NULL, false, "gpc", CAPI_CONSENT_DENIED},
        {NULL, "0", NULL, false, "default", CAPI_CONSENT_GRANTED},
        {"klaro={\"pinterest\":true}", "1", NULL, false, "cmp klaro", CAPI_CONSENT_GRANTED},
        {"klaro={\"pinterest\":true}", "1", NULL, true, "gpc", CAPI_CONSENT_DENIED},
        {"klaro={\"pinterest\":false}", NULL, "granted", false, "env SHOP", CAPI_CONSENT_GRANTED},
        {"klaro={\"pinterest\":true}", NULL, "denied", false, "env SHOP", CAPI_CONSENT_DENIED},
        {"klaro={\"pinterest\":true}", NULL, "perhaps", false, "cmp klaro", CAPI_CONSENT_GRANTED},
        {"pin_consent=v1.g.1789999000.uc", NULL, NULL, false, "bridge", CAPI_CONSENT_GRANTED},
        {"pin_consent=v1.d.1789999000.uc", NULL, NULL, false, "bridge", CAPI_CONSENT_DENIED},
        {"pin_consent=v1.g.1789999000", NULL, NULL, false, "default", CAPI_CONSENT_GRANTED},
        {"pin_consent=v1.d.1789999000.", NULL, NULL, false, "default", CAPI_CONSENT_GRANTED},
        {"pin_consent=v1.d.1790080000.uc", NULL, NULL, false, "bridge", CAPI_CONSENT_DENIED},
        {"pin_consent=v1.g.1790090000.uc", NULL, NULL, false, "default", CAPI_CONSENT_GRANTED},
        {"pin_consent=v1.g.", NULL, NULL, false, "default", CAPI_CONSENT_GRANTED},
        {"pin_consent=v2.g.1789999000.uc", NULL, NULL, false, "default", CAPI_CONSENT_GRANTED},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        capi_consent_input_t input = {.cookies = rows[i].cookies,
                                      .sec_gpc = rows[i].gpc,
                                      .env = word_of_env,
                                      .request = rows[i].env};
        capi_consent_t consent;
        decide(&consent, all_signals(rows[i].is_strict), &input, CAPI_CONSENT_GRANTED, 395, NOW,
               pool);
        ck_assert_msg(strcmp(consent.signal, rows[i].signal) == 0, "row %zu: %s", i,
                      consent.signal);
        ck_assert_int_eq(consent.state, rows[i].state);
    }
}
END_TEST

START_TEST(test_a_grant_past_its_age_is_no_signal_and_a_denial_keeps)
{
    capi_consent_input_t input = {.cookies = "pin_consent=v1.g.1750000000.uc"};
    capi_consent_t consent;

    decide(&consent, all_signals(false), &input, CAPI_CONSENT_UNKNOWN, 395, NOW, pool);
    ck_assert_int_eq(consent.state, CAPI_CONSENT_UNKNOWN);
    decide(&consent, all_signals(false), &input, CAPI_CONSENT_UNKNOWN, 0, NOW, pool);
    ck_assert_int_eq(consent.state, CAPI_CONSENT_GRANTED);
    input.cookies = "pin_consent=v1.d.1750000000.uc";
    decide(&consent, all_signals(false), &input, CAPI_CONSENT_UNKNOWN, 395, NOW, pool);
    ck_assert_int_eq(consent.state, CAPI_CONSENT_DENIED);
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("consent");

    tcase_add_test(cases, test_every_tc_string_is_read_or_refused_as_its_vector_says);
    tcase_add_test(cases, test_a_cut_tc_string_that_denied_never_grants);
    tcase_add_test(cases, test_every_us_string_says_what_its_vector_says);
    tcase_add_test(cases, test_every_consent_manager_reads_its_own_cookies);
    tcase_add_test(cases, test_every_rule_file_loads_or_names_its_parameter);
    tcase_add_test(cases, test_of_two_cookies_with_one_name_a_denial_wins);
    tcase_add_test(cases, test_precedence_between_signals);
    tcase_add_test(cases, test_a_grant_past_its_age_is_no_signal_and_a_denial_keeps);
    return unit_end("consent", cases);
}
