/* Event names in both vocabularies. */

#include "names.h"

#include <string.h>

#include "unit.h"

static const char *resolve(const char *name, capi_vocabulary_t vocabulary)
{
    const char *sent_as = NULL;
    const char *message = NULL;

    ck_assert_msg(capi_name_resolve(&sent_as, &message, name, vocabulary, NULL, false, pool) ==
                      APR_SUCCESS,
                  "%s: %s", name, message ? message : "");
    return sent_as;
}

static const char *refusal(const char *name, const apr_table_t *aliases)
{
    const char *sent_as = NULL;
    const char *message = NULL;

    ck_assert_int_eq(
        capi_name_resolve(&sent_as, &message, name, CAPI_NAMES_GUIDE, aliases, false, pool),
        APR_EINVAL);
    ck_assert_ptr_nonnull(message);
    return message;
}

START_TEST(test_checkout_is_the_start_in_the_guide_and_the_purchase_at_pinterest)
{
    ck_assert_str_eq(resolve("checkout", CAPI_NAMES_GUIDE), "initiate_checkout");
    ck_assert_str_eq(resolve("checkout", CAPI_NAMES_PINTEREST), "checkout");
}
END_TEST

START_TEST(test_guide_checkout_with_an_order_is_refused_and_says_what_to_write)
{
    const char *sent_as;
    const char *message = NULL;

    ck_assert_int_eq(
        capi_name_resolve(&sent_as, &message, "checkout", CAPI_NAMES_GUIDE, NULL, true, pool),
        APR_EINVAL);
    ck_assert_ptr_nonnull(strstr(message, "purchase"));
    ck_assert_ptr_nonnull(strstr(message, "initiate_checkout"));
    ck_assert_int_eq(
        capi_name_resolve(&sent_as, &message, "checkout", CAPI_NAMES_PINTEREST, NULL, true, pool),
        APR_SUCCESS);
    ck_assert_int_eq(
        capi_name_resolve(&sent_as, &message, "purchase", CAPI_NAMES_GUIDE, NULL, true, pool),
        APR_SUCCESS);
}
END_TEST

START_TEST(test_names_of_the_guide_ga4_and_the_tag_mean_the_same_in_both_vocabularies)
{
    static const char *const names[][2] = {
        {"checkout_complete", "checkout"},
        {"purchase", "checkout"},
        {"begin_checkout", "initiate_checkout"},
        {"page_view", "page_visit"},
        {"view_item", "page_visit"},
        {"view_item_list", "view_category"},
        {"sign_up", "signup"},
        {"generate_lead", "lead"},
        {"pagevisit", "page_visit"},
        {"addtocart", "add_to_cart"},
        {"viewcategory", "view_category"},
        {"watchvideo", "watch_video"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ck_assert_str_eq(resolve(names[i][0], CAPI_NAMES_GUIDE), names[i][1]);
        ck_assert_str_eq(resolve(names[i][0], CAPI_NAMES_PINTEREST), names[i][1]);
    }
}
END_TEST

START_TEST(test_the_22_standard_names_stand_in_order_and_go_unchanged)
{
    const char *const *names = capi_name_standard();
    int count = 0;

    for (; names[count]; count++) {
        ck_assert(capi_name_is_standard(names[count]));
        ck_assert(capi_name_is_wellformed(names[count]));
        ck_assert_str_eq(resolve(names[count], CAPI_NAMES_PINTEREST), names[count]);
        if (count > 0) {
            ck_assert_int_lt(strcmp(names[count - 1], names[count]), 0);
        }
    }
    ck_assert_int_eq(count, 22);
}
END_TEST

START_TEST(test_what_is_not_standard_is_not)
{
    ck_assert(!capi_name_is_standard("checkout_complete"));
    ck_assert(!capi_name_is_standard("Checkout"));
    ck_assert(!capi_name_is_standard(""));
    ck_assert(!capi_name_is_standard(NULL));
}
END_TEST

START_TEST(test_unknown_names_are_refused_with_the_nearest)
{
    ck_assert_ptr_nonnull(strstr(refusal("purchse", NULL), "'purchase'"));
    ck_assert_ptr_nonnull(strstr(refusal("add_to_crat", NULL), "'add_to_cart'"));
    ck_assert_ptr_nonnull(strstr(refusal("PageVisit", NULL), "'pagevisit'"));
    ck_assert_ptr_nonnull(strstr(refusal("checkout_completed", NULL), "'checkout_complete'"));
    ck_assert_ptr_nonnull(strstr(refusal("z", NULL), "did you mean '"));
}
END_TEST

START_TEST(test_names_that_are_none_are_not_repeated)
{
    char longest[102];

    memset(longest, 'a', 101);
    longest[101] = '\0';
    ck_assert_ptr_null(strstr(refusal(longest, NULL), "aaa"));
    ck_assert_ptr_null(strstr(refusal("<script>", NULL), "script"));
    ck_assert_ptr_nonnull(refusal("", NULL));
    longest[100] = '\0';
    ck_assert_ptr_nonnull(strstr(refusal(longest, NULL), longest));
}
END_TEST

START_TEST(test_configured_names_come_first_and_are_exact)
{
    apr_table_t *aliases = apr_table_make(pool, 4);
    const char *sent_as = NULL;
    const char *message = NULL;

    apr_table_setn(aliases, "kauf", "purchase");
    apr_table_setn(aliases, "quiz_done", "quiz_done");
    apr_table_setn(aliases, "checkout", "checkout");
    ck_assert_int_eq(
        capi_name_resolve(&sent_as, &message, "kauf", CAPI_NAMES_GUIDE, aliases, true, pool),
        APR_SUCCESS);
    ck_assert_str_eq(sent_as, "checkout");
    ck_assert_int_eq(
        capi_name_resolve(&sent_as, &message, "quiz_done", CAPI_NAMES_GUIDE, aliases, false, pool),
        APR_SUCCESS);
    ck_assert_str_eq(sent_as, "quiz_done");
    ck_assert_int_eq(
        capi_name_resolve(&sent_as, &message, "checkout", CAPI_NAMES_GUIDE, aliases, true, pool),
        APR_SUCCESS);
    ck_assert_str_eq(sent_as, "checkout");
    ck_assert_ptr_nonnull(strstr(refusal("Quiz_Done", aliases), "'quiz_done'"));
}
END_TEST

START_TEST(test_wellformed_names_have_100_characters_at_most)
{
    ck_assert(capi_name_is_wellformed("Quiz-done_2"));
    ck_assert(!capi_name_is_wellformed(""));
    ck_assert(!capi_name_is_wellformed("a b"));
    ck_assert(!capi_name_is_wellformed("caf\xc3\xa9"));
    ck_assert(!capi_name_is_wellformed(NULL));
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("names");

    tcase_add_test(cases, test_checkout_is_the_start_in_the_guide_and_the_purchase_at_pinterest);
    tcase_add_test(cases, test_guide_checkout_with_an_order_is_refused_and_says_what_to_write);
    tcase_add_test(cases,
                   test_names_of_the_guide_ga4_and_the_tag_mean_the_same_in_both_vocabularies);
    tcase_add_test(cases, test_the_22_standard_names_stand_in_order_and_go_unchanged);
    tcase_add_test(cases, test_what_is_not_standard_is_not);
    tcase_add_test(cases, test_unknown_names_are_refused_with_the_nearest);
    tcase_add_test(cases, test_names_that_are_none_are_not_repeated);
    tcase_add_test(cases, test_configured_names_come_first_and_are_exact);
    tcase_add_test(cases, test_wellformed_names_have_100_characters_at_most);
    return unit_end("names", cases);
}
