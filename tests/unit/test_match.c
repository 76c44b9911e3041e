/* Match keys against vectors: those of the spec's text and of what shops really hold. */

#include "match.h"

#include <jansson.h>

#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

static json_t *load_vectors(void)
{
    char path[4096];
    char file[] = __FILE__;
    json_error_t error;
    json_t *vectors;

    snprintf(path, sizeof(path), "%s/match_vectors.json", dirname(file));
    vectors = json_load_file(path, 0, &error);
    ck_assert_msg(vectors != NULL, "%s: %s", path, error.text);
    return vectors;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

START_TEST(test_every_vector_is_normalised_and_hashed_or_refused)
{
    json_t *vectors = load_vectors();
    size_t index;
    json_t *vector;

    ck_assert_uint_gt(json_array_size(vectors), 90);
    json_array_foreach(vectors, index, vector)
    {
        const char *input = text_of(vector, "input");
        const char *want = text_of(vector, "normal");
        const char *normal = NULL;
        const char *hex = NULL;
        capi_key_t key;
        apr_status_t rv;

        ck_assert(capi_match_key(&key, text_of(vector, "key")));
        rv = capi_match_normalise(&normal, key, input, text_of(vector, "country"), pool);
        ck_assert_msg((rv == APR_SUCCESS) == (want != NULL), "%s of %s: status %d, '%s'", input,
                      capi_key_name(key), rv, normal ? normal : "");
        ck_assert_int_eq(capi_match_hash(&hex, key, input, text_of(vector, "country"), pool), rv);
        if (want) {
            ck_assert_str_eq(normal, want);
            ck_assert_str_eq(hex, text_of(vector, "sha256"));
        }
    }
    json_decref(vectors);
}
END_TEST

START_TEST(test_keys_have_a_short_and_a_long_name)
{
    static const char *const names[][2] = {
        {"em", "email"},
        {"ph", "phone"},
        {"ge", "gender"},
        {"db", "birthdate"},
        {"fn", "first_name"},
        {"ln", "last_name"},
        {"ct", "city"},
        {"st", "state"},
        {"zp", "zip"},
        {"country", "country"},
        {"external_id", "external_id"},
    };

    for (int i = 0; i < CAPI_KEY_HASHED; i++) {
        capi_key_t by_short;
        capi_key_t by_long;

        ck_assert(capi_match_key(&by_short, names[i][0]));
        ck_assert(capi_match_key(&by_long, names[i][1]));
        ck_assert_int_eq((int)by_short, i);
        ck_assert_int_eq((int)by_long, i);
    }
}
END_TEST

START_TEST(test_what_is_no_hashed_key_is_none)
{
    static const char *const names[] = {"", "EM", "click_id", "epik", "hashed_maids", "emails"};
    capi_key_t key;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ck_assert(!capi_match_key(&key, names[i]));
    }
}
END_TEST

START_TEST(test_a_hash_passes_through_in_lower_case)
{
    static const char want[] = "836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f";
    const char *hex;

    ck_assert_int_eq(capi_match_hash(&hex, CAPI_KEY_EM,
                                     " 836F82DB99121B3481011F16B49DFA5FBC714A0D1B1B9F784A1EBBBF"
                                     "5B39577F\n",
                                     NULL, pool),
                     APR_SUCCESS);
    ck_assert_str_eq(hex, want);
}
END_TEST

START_TEST(test_text_that_looks_like_a_hash_is_checked_to_its_end)
{
    const char *hex;

    ck_assert_int_eq(
        capi_match_hash(&hex, CAPI_KEY_EM,
                        "836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f x", NULL,
                        pool),
        APR_EINVAL);
    ck_assert_int_eq(
        capi_match_hash(&hex, CAPI_KEY_EM,
                        "836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b3957", NULL,
                        pool),
        APR_EINVAL);
}
END_TEST

START_TEST(test_broken_utf8_is_refused_by_every_key)
{
    static const char *const broken[] = {"\xff",         "a@b\xc3",          "\xed\xa0\x80",
                                         "\xc0\xaf@b.c", "\xf5\x80\x80\x80", "\xe2\x82"};
    const char *normal;

    for (int key = 0; key < CAPI_KEY_HASHED; key++) {
        for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
            ck_assert_int_eq(capi_match_normalise(&normal, (capi_key_t)key, broken[i], NULL, pool),
                             APR_EINVAL);
        }
    }
}
END_TEST

START_TEST(test_the_process_locale_does_not_matter)
{
    const char *hex;

    ck_assert_int_eq(capi_match_hash(&hex, CAPI_KEY_FN, "ÉLODIE", NULL, pool), APR_SUCCESS);
    ck_assert_str_eq(hex, "36bac2631d17463d569eaf1b869e7bf8d40e4636fd8b2b778ee93f504baf6691");
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("match");

    tcase_add_test(cases, test_every_vector_is_normalised_and_hashed_or_refused);
    tcase_add_test(cases, test_keys_have_a_short_and_a_long_name);
    tcase_add_test(cases, test_what_is_no_hashed_key_is_none);
    tcase_add_test(cases, test_a_hash_passes_through_in_lower_case);
    tcase_add_test(cases, test_text_that_looks_like_a_hash_is_checked_to_its_end);
    tcase_add_test(cases, test_broken_utf8_is_refused_by_every_key);
    tcase_add_test(cases, test_the_process_locale_does_not_matter);
    return unit_end("match", cases);
}
