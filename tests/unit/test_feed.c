/* Catalogue feeds: every kind gives its ids, however it is cut into pieces. */

#include "feed.h"

#include <apr_strings.h>
#include <string.h>

#include "unit.h"

#define RSS_HEAD                                                                                   \
    "<?xml version=\"1.0\"?>\n<rss xmlns:g=\"http://base.google.com/ns/1.0\" version=\"2.0\">"     \
    "<channel><id>no product</id>"

static const char *ids; /* what was found, a bar behind each */

static void note_id(void *baton, const char *id, apr_size_t len)
{
    (void)baton;
    ids = apr_pstrcat(pool, ids, apr_pstrmemdup(pool, id, len), "|", NULL);
}

/* The ids, or the fault. The first piece has at least the first line, the others `piece` bytes. */
static const char *read_feed(const char *text, apr_size_t len, apr_size_t piece)
{
    capi_feed_t *feed = capi_feed_make(note_id, NULL, pool);
    const char *line = memchr(text, '\n', len);
    apr_size_t first = line ? (apr_size_t)(line - text) + 1 : len;
    apr_size_t at = first > piece ? first : piece;
    apr_status_t rv;

    ids = "";
    at = at < len ? at : len;
    rv = capi_feed_read(feed, text, at);
    while (rv == APR_SUCCESS && at < len) {
        apr_size_t rest = len - at < piece ? len - at : piece;

        rv = capi_feed_read(feed, text + at, rest);
        at += rest;
    }
    if (rv == APR_SUCCESS) {
        rv = capi_feed_end(feed);
    }
    ck_assert_int_eq(rv == APR_SUCCESS, capi_feed_fault(feed) == NULL);
    return rv == APR_SUCCESS ? ids : capi_feed_fault(feed);
}

static void assert_ids(const char *text, const char *want)
{
    apr_size_t piece;

    for (piece = 1; piece <= strlen(text); piece = piece < 8 ? piece + 1 : 2 * piece) {
        ck_assert_str_eq(read_feed(text, strlen(text), piece), want);
    }
    ck_assert_str_eq(read_feed(text, strlen(text), strlen(text)), want);
}

static void assert_fault(const char *text, const char *want)
{
    const char *fault = read_feed(text, strlen(text), strlen(text));

    ck_assert_msg(strstr(fault, want) != NULL, "%s", fault);
}

START_TEST(test_tabs_separate_and_columns_may_stand_anywhere)
{
    assert_ids("title\tid\tlink\nCap\tSKU-1\thttps://a\nHat, blue\t SKU-2 \tx\n", "SKU-1|SKU-2|");
    assert_ids("id\nA\nB", "A|B|");
    assert_ids("ID\ttitle\r\nA\tx\r\nB\ty\r\n", "A|B|");
    assert_ids("id\titem_group_id\nA-s\tA\nA-m\tA\nB\t\n", "A-s|A|A-m|A|B|");
}
END_TEST

START_TEST(test_quotes_keep_commas_line_ends_and_quotes)
{
    assert_ids(
        "\xef\xbb\xbf\"id\",title\n\"SKU,1\",\"a \"\"cap\"\", blue\nand red\"\n\"S\"\"2\",x\n",
        "SKU,1|S\"2|");
    assert_ids("title,id\n\"two\r\nlines, id\",SKU-1\n5\" pot,SKU-2\n,\n,SKU-3",
               "SKU-1|SKU-2|SKU-3|");
}
END_TEST

START_TEST(test_rss_and_atom_with_and_without_the_namespace)
{
    assert_ids(RSS_HEAD "<item><g:id>SKU-1</g:id><title>id</title>"
                        "<g:item_group_id> cap </g:item_group_id></item>"
                        "<item><id><![CDATA[A&B]]></id><g:shipping><g:id>no</g:id></g:shipping>"
                        "</item></channel></rss>",
               "SKU-1|cap|A&B|");
    assert_ids("<feed xmlns=\"http://www.w3.org/2005/Atom\"\nxmlns:g=\"http://base.google.com/ns/"
               "1.0\"><entry><id>https://shop/1</id><g:id>S&#45;1</g:id></entry></feed>",
               "S-1|");
}
END_TEST

START_TEST(test_ids_that_no_product_has_are_left_out)
{
    char *text = apr_palloc(pool, 1000);

    memset(text, 'x', 999);
    memcpy(text, "id\n", 3);
    text[300] = '\n';
    memcpy(text + 301, "A\n", 3);
    assert_ids(text, "A|");
}
END_TEST

START_TEST(test_what_is_no_feed_is_refused_with_a_reason)
{
    assert_fault("", "is empty");
    assert_fault(" \n ", "is empty");
    assert_fault("\x1f\x8b\x08", "unpack it");
    assert_fault("sku,title\nA,x\n", "no column named id");
    assert_fault("id,title\n\"A,x\n", "a quote is missing");
    assert_fault("<rss><item></rss>", "line 1: mismatched tag");
    assert_fault("<rss><item><id>A", "no element found");
    assert_fault("<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><rss><item><id>&x;</id>"
                 "</item>",
                 "line 1");
}
END_TEST

START_TEST(test_one_endless_tag_is_no_reason_to_keep_it)
{
    apr_size_t len = 3 * 1024 * 1024;
    char *text = apr_palloc(pool, len);

    memset(text, 'a', len);
    memcpy(text, "<", 1);
    ck_assert_ptr_nonnull(strstr(read_feed(text, len, 65536), "more than a megabyte"));
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("feed");

    tcase_add_test(cases, test_tabs_separate_and_columns_may_stand_anywhere);
    tcase_add_test(cases, test_quotes_keep_commas_line_ends_and_quotes);
    tcase_add_test(cases, test_rss_and_atom_with_and_without_the_namespace);
    tcase_add_test(cases, test_ids_that_no_product_has_are_left_out);
    tcase_add_test(cases, test_what_is_no_feed_is_refused_with_a_reason);
    tcase_add_test(cases, test_one_endless_tag_is_no_reason_to_keep_it);
    return unit_end("feed", cases);
}
