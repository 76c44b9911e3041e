/* Forms: urlencoded and multipart bodies, fields by name. */

#include "form.h"

#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static const apr_array_header_t *urlencoded(const char *body)
{
    return capi_form_urlencoded(body, strlen(body), pool);
}

static const apr_array_header_t *multipart(const char *body)
{
    return capi_form_multipart(body, strlen(body), "multipart/form-data; boundary=----b", pool);
}

static void assert_value(const apr_array_header_t *fields, const char *name, const char *want)
{
    const char *value = capi_form_get(fields, name, pool);

    if (want) {
        ck_assert_ptr_nonnull(value);
        ck_assert_str_eq(value, want);
    }
    else {
        ck_assert_ptr_null(value);
    }
}

START_TEST(test_urlencoded_fields_are_decoded_and_the_first_of_a_name_counts)
{
    const apr_array_header_t *fields =
        urlencoded("&a=1&a=2&items%5B0%5D%5Bsku%5D=A+b%21&empty=&bare&x=y=z&n=a%00b&c=100%");

    assert_value(fields, "a", "1");
    assert_value(fields, "items[0][sku]", "A b!");
    assert_value(fields, "empty", "");
    assert_value(fields, "bare", "");
    assert_value(fields, "x", "y=z");
    assert_value(fields, "n", "a");
    assert_value(fields, "c", "100%");
    assert_value(fields, "items[0]", NULL);
    assert_value(urlencoded(""), "a", NULL);
}
END_TEST

START_TEST(test_a_star_is_every_part_between_brackets)
{
    const apr_array_header_t *fields =
        urlencoded("items[0][sku]=A&items[1][sku]=B&items[1][q]=2&items[x][y][sku]=no"
                   "&items[2][sku]=&tag[]=r&tag[]=s");

    assert_value(fields, "items[*][sku]", "A,B");
    assert_value(fields, "items[1][*]", "B,2");
    assert_value(fields, "tag[*]", "r,s");
    assert_value(fields, "tag[]", "r");
    assert_value(fields, "ite*[1][q]", "2");
    assert_value(fields, "none[*]", NULL);
}
END_TEST

START_TEST(test_patterns_match_names)
{
    ck_assert(capi_name_matches("*", "abc"));
    ck_assert(capi_name_matches("*", ""));
    ck_assert(capi_name_matches("a*c", "abbc"));
    ck_assert(capi_name_matches("a*bc", "abcbc"));
    ck_assert(!capi_name_matches("a*c", "abcd"));
    ck_assert(!capi_name_matches("a*", "a[0]"));
    ck_assert(capi_name_matches("a[*]", "a[]"));
    ck_assert(!capi_name_matches("a", "ab"));
    ck_assert(!capi_name_matches("ab", "a"));
}
END_TEST

START_TEST(test_a_hash_is_the_whole_form)
{
    assert_value(urlencoded("a=1&b%5B%5D=x+y"), "#", "a=1&b%5B%5D=x%20y");
    assert_value(urlencoded(""), "#", NULL);
}
END_TEST

START_TEST(test_multipart_fields_are_read_and_files_are_skipped)
{
    const apr_array_header_t *fields = multipart(
        "preamble\r\n------b\r\nContent-Disposition: form-data; name=\"quantity\"\r\n\r\n2\r\n"
        "------b  \r\nContent-Disposition: form-data; name=\"items[0][sku]\"\r\n"
        "Content-Type: text/plain; charset=UTF-8\r\n\r\nA\r\nB\r\n------not b\r\n\r\n"
        "------b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\n"
        "Content-Type: image/jpeg\r\n\r\nJFIF\r\n"
        "------b\r\ncontent-disposition:form-data;filename*=UTF-8''x;name=f\r\n\r\nsecret\r\n"
        "------b\r\nContent-Disposition: form-data; name=\"a \\\"quote\\\"; filename=no\"\r\n\r\n"
        "q\r\n------b\r\nContent-Disposition: form-data; name=token\r\n\r\n\r\n------b--\r\n"
        "------b\r\nContent-Disposition: form-data; name=\"after\"\r\n\r\nx\r\n------b--");

    assert_value(fields, "quantity", "2");
    assert_value(fields, "items[0][sku]", "A\r\nB\r\n------not b\r\n");
    assert_value(fields, "photo", NULL);
    assert_value(fields, "f", NULL);
    assert_value(fields, "a \"quote\"; filename=no", "q");
    assert_value(fields, "token", "");
    assert_value(fields, "after", NULL);
}
END_TEST

START_TEST(test_a_part_that_does_not_end_is_left_out)
{
    const apr_array_header_t *fields =
        multipart("------b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
                  "------b\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n2");

    assert_value(fields, "a", "1");
    assert_value(fields, "b", NULL);
    ck_assert_int_eq(multipart("------b\r\nContent-Disposition: form-data; name=a")->nelts, 0);
    ck_assert_int_eq(multipart("------b")->nelts, 0);
    ck_assert_int_eq(multipart("")->nelts, 0);
    ck_assert_int_eq(multipart("------b\r\n\r\n1\r\n------b--")->nelts, 0);
}
END_TEST

START_TEST(test_a_boundary_may_be_quoted_and_lines_may_end_in_lf)
{
    static const char body[] = "--x y\nContent-Disposition: form-data; name=\"a\"\n\n1\n--x y--\n";
    const apr_array_header_t *fields = capi_form_multipart(
        body, sizeof(body) - 1, "multipart/form-data; charset=utf-8; Boundary=\"x y\"", pool);

    assert_value(fields, "a", "1");
    ck_assert_int_eq(
        capi_form_multipart(body, sizeof(body) - 1, "multipart/form-data", pool)->nelts, 0);
    ck_assert_int_eq(capi_form_multipart(body, sizeof(body) - 1, NULL, pool)->nelts, 0);
    ck_assert_int_eq(
        capi_form_multipart(body, sizeof(body) - 1, "multipart/form-data; boundary=", pool)->nelts,
        0);
}
END_TEST

/* Bytes of this process's address space: APR takes its blocks from the kernel. */
static size_t address_space(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    ck_assert_ptr_nonnull(statm);
    ck_assert_int_eq(fscanf(statm, "%zu", &pages), 1);
    fclose(statm);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

START_TEST(test_parameters_by_the_thousand_cost_no_memory_but_their_own)
{
    static const char start[] = "------b\r\nContent-Disposition: form-data";
    static const char end[] = ";name=\"a\"\r\n\r\n1\r\n------b--";
    const char *body;
    char *many = apr_palloc(pool, 60001);
    size_t before;

    for (int i = 0; i < 10000; i++) {
        memcpy(many + 6 * i, ";x=\"y\"", 7);
    }
    body = apr_pstrcat(pool, start, many, end, NULL);
    before = address_space();
    assert_value(multipart(body), "a", "1");
    ck_assert_uint_le(address_space() - before, 16 << 20);
}
END_TEST

START_TEST(test_fields_are_counted_and_the_rest_is_left_out)
{
    char *body = apr_palloc(pool, 40000);

    for (int i = 0; i < 20000; i++) {
        body[2 * i] = 'a';
        body[2 * i + 1] = '&';
    }
    ck_assert_int_eq(capi_form_urlencoded(body, 40000, pool)->nelts, CAPI_FORM_FIELDS_MAX);
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("form");

    tcase_add_test(cases, test_urlencoded_fields_are_decoded_and_the_first_of_a_name_counts);
    tcase_add_test(cases, test_a_star_is_every_part_between_brackets);
    tcase_add_test(cases, test_patterns_match_names);
    tcase_add_test(cases, test_a_hash_is_the_whole_form);
    tcase_add_test(cases, test_multipart_fields_are_read_and_files_are_skipped);
    tcase_add_test(cases, test_a_part_that_does_not_end_is_left_out);
    tcase_add_test(cases, test_a_boundary_may_be_quoted_and_lines_may_end_in_lf);
    tcase_add_test(cases, test_parameters_by_the_thousand_cost_no_memory_but_their_own);
    tcase_add_test(cases, test_fields_are_counted_and_the_rest_is_left_out);
    return unit_end("form", cases);
}
