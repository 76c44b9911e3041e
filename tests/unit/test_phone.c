/* Phone numbers: the matcher of the numbering plans, the plans themselves, and what is particular
 * about a country. tests/phone compares thousands of spellings with libphonenumber. */

#include "match.h"
#include "match_phone_int.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

/* `want` is NULL where there is no match, else what the pattern took. */
static void check_match(const char *pattern, const char *subject, bool whole, const char *want)
{
    capi_phone_match_t match;
    bool is_match = capi_phone_match(&match, pattern, subject, whole);

    ck_assert_msg(is_match == (want != NULL), "%s on %s", pattern, subject);
    if (want) {
        ck_assert_msg((size_t)(match.end - subject) == strlen(want) &&
                          strncmp(subject, want, strlen(want)) == 0,
                      "%s on %s took %d", pattern, subject, (int)(match.end - subject));
    }
}

START_TEST(test_the_matcher_takes_what_perl_would_take)
{
    check_match("0", "0171", false, "0");
    check_match("0", "171", false, NULL);
    check_match("d{3}", "0171", false, "017");
    check_match("d{3}", "0171", true, NULL);
    check_match("d{2,3}", "01", false, "01");
    check_match("d{2,3}", "0", false, NULL);
    check_match("0|00", "001", false, "0");
    check_match("0|00", "00", true, "00");
    check_match("0?d", "0", true, "0");
    check_match("(0|90)(d{2})?", "9012", false, "9012");
    check_match("(0|90)(d{2})?", "901", false, "90");
    check_match("[2-57]d+", "512", true, "512");
    check_match("[2-57]d+", "612", true, NULL);
    check_match("(1(2|23)|4)5", "1235", true, "1235");
    check_match("(12){2}3", "12123", true, "12123");
    check_match("(12){2}3", "123", true, NULL);
    check_match("(1?)*2", "112", true, "112");
    check_match("(1?)*2", "3", false, NULL);
    check_match("12$", "123", false, NULL);
    check_match("12$|1", "123", false, "1");
    check_match("[ x-]*e", "- xe", true, "- xe");
    check_match("", "", true, "");
}
END_TEST

START_TEST(test_the_matcher_captures_only_what_took_part)
{
    capi_phone_match_t match;

    ck_assert(capi_phone_match(&match, "(0|90)(<1d><d{3}>)?", "012345", false));
    ck_assert_int_eq(match.groups, 2);
    ck_assert_int_eq((int)(match.group[0].end - match.group[0].start), 2);
    ck_assert_str_eq(match.group[1].start, "345");
    ck_assert(capi_phone_match(&match, "(0|90)(<1d><d{3}>)?", "01234", false));
    ck_assert_ptr_null(match.group[0].start);
    ck_assert_ptr_null(match.group[1].start);
    ck_assert(capi_phone_match(&match, "1|<[45]d{2}>$", "412", false));
    ck_assert_str_eq(match.group[0].start, "412");
    ck_assert(capi_phone_match(&match, "1|<[45]d{2}>$", "1412", false));
    ck_assert_ptr_null(match.group[0].start);
}
END_TEST

START_TEST(test_every_plan_can_be_used)
{
    unsigned int last = 0;
    int regions = 0;

    for (const capi_phone_plan_t *plan = capi_phone_plans; plan->code; plan++) {
        capi_phone_match_t match;

        ck_assert_uint_ge(plan->code, last);
        last = plan->code;
        regions += *plan->region != '\0';
        ck_assert_uint_ne(plan->lengths, 0);
        ck_assert_uint_lt(plan->lengths, 1u << 18);
        ck_assert(!capi_phone_match(&match, plan->national, "", true));
        if (*plan->region) {
            ck_assert_ptr_nonnull(plan->exit);
            ck_assert(!capi_phone_match(&match, plan->exit, "", true));
        }
        if (plan->transform) {
            capi_phone_match(&match, plan->trunk, "0", false);
            ck_assert_int_ge(match.groups, strstr(plan->transform, "$2") ? 2 : 1);
            ck_assert_int_le(match.groups, CAPI_PHONE_GROUPS);
        }
    }
    ck_assert_int_ge(regions, 245);
}
END_TEST

/* `want` is NULL for what is refused. */
typedef struct {
    const char *country;
    const char *spelling;
    const char *want;
} reading_t;

static void check_readings(const reading_t *readings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const reading_t *r = &readings[i];
        const char *normal = "refused";
        apr_status_t rv = capi_match_normalise(&normal, CAPI_KEY_PH, r->spelling, r->country, pool);

        ck_assert_msg(rv == (r->want ? APR_SUCCESS : APR_EINVAL), "%s in %s: %s", r->spelling,
                      r->country ? r->country : "no country", normal);
        if (r->want) {
            ck_assert_str_eq(normal, r->want);
        }
    }
}
#define CHECK_READINGS(readings) check_readings(readings, sizeof(readings) / sizeof(*(readings)))

START_TEST(test_the_trunk_goes_but_where_it_belongs_to_the_number)
{
    static const reading_t readings[] = {
        {"DE", "0171 1234567", "491711234567"},    {"de", "+49 (0) 171/123 45 67", "491711234567"},
        {"IT", "02 1234 5678", "390212345678"},    {"IT", "+39 02 1234 5678", "390212345678"},
        {"IT", "345 678 9012", "393456789012"},    {"SM", "886377", "3780549886377"},
        {"VA", "06 698 12345", "390669812345"},    {"GB", "+44 (0)20 7946 0018", "442079460018"},
        {"US", "1 (415) 555-2671", "14155552671"}, {"RU", "8 (912) 345-67-89", "79123456789"},
        {"KZ", "8 771 000 9998", "77710009998"},   {"HU", "06 20 123 4567", "36201234567"},
        {"ES", "612 34 56 78", "34612345678"},     {"GG", "725678", "441481725678"},
        {"XK", "043 201 234", "38343201234"},
    };

    CHECK_READINGS(readings);
}
END_TEST

START_TEST(test_latin_american_mobiles_are_rewritten)
{
    static const reading_t readings[] = {
        {"AR", "011 15-2345-6789", "5491123456789"},
        {"AR", "11 2345-6789", "541123456789"},
        {"AR", "+54 9 11 2345-6789", "5491123456789"},
        {"AR", "0343 15 555 1212", "5493435551212"},
        {"MX", "044 222 123 4567", "522221234567"},
        {"MX", "01 222 123 4567", "522221234567"},
        {"MX", "222 123 4567", "522221234567"},
        {"BR", "0 15 11 96123-4567", "5511961234567"},
        {"BR", "(11) 96123-4567", "5511961234567"},
        {"BR", "011 96123-4567", "5511961234567"},
    };

    CHECK_READINGS(readings);
}
END_TEST

START_TEST(test_each_country_has_its_exit_code)
{
    static const reading_t readings[] = {
        {"DE", "0044 20 7946 0018", "442079460018"},
        {"US", "011 44 20 7946 0018", "442079460018"},
        {"AU", "0011 44 20 7946 0018", "442079460018"},
        {"KZ", "810 44 20 7946 0018", "442079460018"},
        {"JP", "010 44 20 7946 0018", "442079460018"},
        {"BR", "00 15 44 20 7946 0018", "442079460018"},
        {"KR", "00700 44 20 7946 0018", "442079460018"},
        {"US", "0044 20 7946 0018", NULL},
        {NULL, "0044 20 7946 0018", "442079460018"},
        {NULL, "+0044 20 7946 0018", "442079460018"},
        {NULL, "020 7946 0018", NULL},
        {"AQ", "0044 20 7946 0018", "442079460018"},
        {NULL, "442079460018", "442079460018"},
        {NULL, "4155552671", NULL},
    };

    CHECK_READINGS(readings);
}
END_TEST

START_TEST(test_extensions_and_prose_are_dropped)
{
    static const reading_t readings[] = {
        {"US", "415-555-2671 ext. 123", "14155552671"},
        {"US", "415-555-2671x123", "14155552671"},
        {"US", "(415) 555-2671 #12", "14155552671"},
        {"US", "415 555 2671 x302/x2303", "14155552671"},
        {"US", "(415)555-2671,,1234", "14155552671"},
        {"US", "tel:+1-415-555-2671;ext=42", "14155552671"},
        {"US", "tel:555-2671;phone-context=+1-415", "14155552671"},
        {"US", "tel:415-555-2671;phone-context=shop.example;isub=7", "14155552671"},
        {"ES", "912 34 56 78 extensión 31", "34912345678"},
        {"ES", "912 34 56 78 extensio\xcc\x81n 31", "34912345678"},
        {"RU", "8 (912) 345-67-89 доб. 12", "79123456789"},
        {"JP", "０３－１２３４－５６７８ ｅｘｔ１", "81312345678"},
        {"EG", "٠٢ ٢٣٤٥ ٦٧٨٩", "20223456789"},
        {"DE", "Büro: 030/123456.", "4930123456"},
        {"DE", "030 123456 ☎", "4930123456"},
        {"US", "1-800-FLOWERS", "18003569377"},
    };

    CHECK_READINGS(readings);
}
END_TEST

START_TEST(test_what_cannot_be_a_number_is_refused)
{
    static const reading_t readings[] = {
        {"US", "555-2671", NULL},
        {"US", "000 000 0000", NULL},
        {"US", "999-999-9999", NULL},
        {"US", "415 555 26711", NULL},
        {"DE", "12", NULL},
        {"DE", "keine", NULL},
        {"DE", "+999 171 1234567", NULL},
        {"DE", "+49", NULL},
        {"DE", "0171 1234567 privat", NULL},
        {"DE", "0171 1234567 oder 0172 1234567", NULL},
        {"DE", "01711234567890123", NULL},
        {NULL, ";phone-context=", NULL},
        {NULL, "+", NULL},
        {NULL, "٠", NULL},
    };

    CHECK_READINGS(readings);
}
END_TEST

START_TEST(test_hostile_text_is_judged_at_once)
{
    static const char *const pieces[] = {"1", "+",  " ", "x",    "1x", "- ",
                                         ",", "/x", "a", "ext ", ";,"};
    char text[4096];

    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
        for (size_t max = 240; max < sizeof(text); max += 3800) {
            const char *normal;
            apr_time_t began = apr_time_now();

            strcpy(text, "+49171");
            while (strlen(text) + 6 < max) {
                strcat(text, pieces[i]);
            }
            strcat(text, "!é1");
            ck_assert_int_eq(capi_match_normalise(&normal, CAPI_KEY_PH, text, "DE", pool),
                             APR_EINVAL);
            ck_assert_int_lt(apr_time_now() - began, apr_time_from_sec(2));
        }
    }
}
END_TEST

static void *read_many(void *unused)
{
    static const char *const want[] = {"5491123456789", "491711234567", "5511961234567"};
    apr_pool_t *own;
    void *failed = NULL;

    apr_pool_create(&own, NULL);
    for (int i = 0; i < 3000; i++) {
        static const char *const countries[] = {"AR", "DE", "BR"};
        static const char *const texts[] = {"011 15-2345-6789", "0171 1234567 доб. 1",
                                            "0 15 11 96123-4567"};
        const char *normal = "";

        capi_match_normalise(&normal, CAPI_KEY_PH, texts[i % 3], countries[i % 3], own);
        if (strcmp(normal, want[i % 3]) != 0) {
            failed = own;
        }
        apr_pool_clear(own);
    }
    apr_pool_destroy(own);
    (void)unused;
    return failed;
}

START_TEST(test_threads_read_numbers_at_the_same_time)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_many, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("phone");

    tcase_add_test(cases, test_the_matcher_takes_what_perl_would_take);
    tcase_add_test(cases, test_the_matcher_captures_only_what_took_part);
    tcase_add_test(cases, test_every_plan_can_be_used);
    tcase_add_test(cases, test_the_trunk_goes_but_where_it_belongs_to_the_number);
    tcase_add_test(cases, test_latin_american_mobiles_are_rewritten);
    tcase_add_test(cases, test_each_country_has_its_exit_code);
    tcase_add_test(cases, test_extensions_and_prose_are_dropped);
    tcase_add_test(cases, test_what_cannot_be_a_number_is_refused);
    tcase_add_test(cases, test_hostile_text_is_judged_at_once);
    tcase_add_test(cases, test_threads_read_numbers_at_the_same_time);
    return unit_end("phone", cases);
}
