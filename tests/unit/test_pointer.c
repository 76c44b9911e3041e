/* Values of a JSON document by their place. */

#include "pointer.h"

#include <apr_strings.h>
#include <string.h>

#include "unit.h"

static void assert_at(const char *document, const char *pointer, const char *want)
{
    json_t *json = capi_pointer_parse(document, strlen(document));
    const char *text = capi_pointer_text(json, pointer, pool);

    if (want) {
        ck_assert_msg(text != NULL, "nothing at %s", pointer);
        ck_assert_str_eq(text, want);
    }
    else {
        ck_assert_msg(text == NULL, "%s at %s", text, pointer);
    }
    json_decref(json);
}

/* RFC 6901, section 5; a quote in a name needs no escape of its own here. */
static const char rfc[] = "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
                          "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}";

START_TEST(test_the_examples_of_the_rfc)
{
    assert_at(rfc, "/foo", "[\"bar\",\"baz\"]");
    assert_at(rfc, "/foo/0", "bar");
    assert_at(rfc, "/", "0");
    assert_at(rfc, "/a~1b", "1");
    assert_at(rfc, "/c%d", "2");
    assert_at(rfc, "/e^f", "3");
    assert_at(rfc, "/g|h", "4");
    assert_at(rfc, "/i\\j", "5");
    assert_at(rfc, "/k\"l", "6");
    assert_at(rfc, "/ ", "7");
    assert_at(rfc, "/m~0n", "8");
    assert_at(rfc, "/foo/2", NULL);
    assert_at(rfc, "/foo/01", NULL);
    assert_at(rfc, "/foo/-", NULL);
    assert_at(rfc, "/foo/0/x", NULL);
    assert_at(rfc, "/absent", NULL);
}
END_TEST

static const char order[] =
    "{\"id\":41,\"total\":19.99,\"paid\":true,\"note\":null,\"name\":\"\",\"big\":1e3,"
    "\"items\":[{\"sku\":\"A\",\"q\":2},{\"sku\":\"\"},{\"q\":1},{\"sku\":\"B\",\"q\":3}],"
    "\"billing\":{\"email\":\"a@b.example\",\"city\":\"K\\u00f6ln\"}}";

START_TEST(test_values_are_text_as_they_are_written)
{
    assert_at(order, "/id", "41");
    assert_at(order, "/total", "19.99");
    assert_at(order, "/paid", "true");
    assert_at(order, "/note", NULL);
    assert_at(order, "/name", "");
    assert_at(order, "/billing/city", "K\xc3\xb6ln");
    assert_at(order, "/billing", "{\"email\":\"a@b.example\",\"city\":\"K\xc3\xb6ln\"}");
    assert_at(order, "billing/email", "a@b.example");
}
END_TEST

START_TEST(test_a_star_is_every_element_or_member)
{
    assert_at(order, "/items/*/sku", "A,B");
    assert_at(order, "/items/*/q", "2,1,3");
    assert_at(order, "/*/email", "a@b.example");
    assert_at(order, "/billing/*", "a@b.example,K\xc3\xb6ln");
    assert_at(order, "/id/*", NULL);
    assert_at(order, "/items/*/none", NULL);
    assert_at("[[1,2],[3]]", "/*/*", "1,2,3");
}
END_TEST

START_TEST(test_a_hash_is_the_whole_document)
{
    assert_at("{ \"a\": [1, 2.5, false] }", "#", "{\"a\":[1,2.5,false]}");
    assert_at("\xef\xbb\xbf\"x\"", "#", "x");
    assert_at(order, "#/id", "41");
    assert_at("7", "", "7");
}
END_TEST

START_TEST(test_what_is_no_json_has_no_values)
{
    char deep[4097];

    assert_at("", "#", NULL);
    assert_at("{\"a\":1", "/a", NULL);
    assert_at("{\"a\":1} x", "/a", NULL);
    assert_at("{\"a\":\"\\u0000\"}", "/a", NULL);
    assert_at("{\"a\":\"\xff\"}", "/a", NULL);
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    assert_at(deep, "/0", NULL);
    memset(deep, '/', sizeof(deep) - 1);
    assert_at(order, deep, NULL);
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("pointer");

    tcase_add_test(cases, test_the_examples_of_the_rfc);
    tcase_add_test(cases, test_values_are_text_as_they_are_written);
    tcase_add_test(cases, test_a_star_is_every_element_or_member);
    tcase_add_test(cases, test_a_hash_is_the_whole_document);
    tcase_add_test(cases, test_what_is_no_json_has_no_values);
    return unit_end("pointer", cases);
}
