/* Query strings, cookies, URLs, addresses, user agents: what a request is written in. */

#include "text.h"

#include <string.h>

#include "unit.h"

/* Pinterest's own example and two from the wild; 108, 108 and 104 characters. */
static const char *const epiks[] = {
    "dj0yJnU9b2JDcFFHekV4SHJNcmVrbFBkUEdqakh0akdUT1VjVVUmcD0yJm49cnNBQ3F2Q2dOVDBXWWhkWklrUGxBUSZ0P"
    "UFBQUFBR1BaY3Bv",
    "dj0yJnU9WEYtVVZpSEJQQ195RGRwWVh2Skg4Y1R2WmlJbkk2bGomcD0xJm49WHgtUHBKbThGSVlHYjFjQVZTUFFFdyZ0P"
    "UFBQUFBR1JGbW1V",
    "dj0yJnU9S2RLNnBkejNhRFpubGVDS1RZZFB3bjhfSGNtQmcmcD0wJm49NHpCVmRqT0E4UzRNVEoyNkZOSnZBUSZ0PUFBQ"
    "UFBR1pGLVlB"};

/* By address: an argument could be read before the call that sets it. */
static void assert_raw(const char *value, const apr_size_t *len, const char *want)
{
    ck_assert_ptr_nonnull(value);
    ck_assert_uint_eq(*len, strlen(want));
    ck_assert_int_eq(strncmp(value, want, *len), 0);
}

START_TEST(test_query_gives_the_first_parameter_of_a_name)
{
    apr_size_t len;

    assert_raw(capi_query_raw(&len, "a=1&epik=x&epik=y", "epik", false), &len, "x");
    assert_raw(capi_query_raw(&len, "EPIK=x&epik=y", "epik", false), &len, "y");
    assert_raw(capi_query_raw(&len, "EPik=x&epik=y", "epik", true), &len, "x");
    assert_raw(capi_query_raw(&len, "&&epik&a", "epik", false), &len, "");
    assert_raw(capi_query_raw(&len, "a=b=c", "a", false), &len, "b=c");
}
END_TEST

START_TEST(test_query_without_the_name_gives_nothing)
{
    apr_size_t len;

    ck_assert_ptr_null(capi_query_raw(&len, "", "epik", true));
    ck_assert_ptr_null(capi_query_raw(&len, NULL, "epik", true));
    ck_assert_ptr_null(capi_query_raw(&len, "xepik=1&epikx=2&e=epik", "epik", true));
    ck_assert_ptr_null(capi_query_get(NULL, "a", pool));
    ck_assert_ptr_null(capi_query_get("ab=1", "a", pool));
}
END_TEST

START_TEST(test_query_values_are_decoded_as_forms_are)
{
    ck_assert_str_eq(capi_query_get("q=red+shoes%21", "q", pool), "red shoes!");
    ck_assert_str_eq(capi_query_get("items%5B0%5D=7", "items[0]", pool), "7");
    ck_assert_str_eq(capi_query_get("q=100%&x=1", "q", pool), "100%");
    ck_assert_str_eq(capi_query_get("q=%4", "q", pool), "%4");
    ck_assert_str_eq(capi_query_get("q=%zz", "q", pool), "%zz");
    ck_assert_str_eq(capi_query_get("q=a%00b", "q", pool), "a");
    ck_assert_ptr_null(capi_query_get("q%00x=a", "q", pool));
}
END_TEST

START_TEST(test_plus_is_a_space_only_where_it_is_said)
{
    ck_assert_str_eq(capi_percent_decode("a+b%2Bc", 7, true, pool), "a b+c");
    ck_assert_str_eq(capi_percent_decode("a+b%2Bc", 7, false, pool), "a+b+c");
}
END_TEST

START_TEST(test_cookie_names_match_whole_and_first_wins)
{
    apr_size_t len;

    assert_raw(capi_cookie_raw(&len, "x_epik=0; _epik=1; _epik=2", "_epik"), &len, "1");
    assert_raw(capi_cookie_raw(&len, "a=b,c=d; e=f", "a"), &len, "b,c=d");
    assert_raw(capi_cookie_raw(&len, "a=b;c=\"d e\"", "c"), &len, "d e");
    assert_raw(capi_cookie_raw(&len, "a=\"", "a"), &len, "\"");
    assert_raw(capi_cookie_raw(&len, " a = b ; ", "a"), &len, "b");
    assert_raw(capi_cookie_raw(&len, "a=", "a"), &len, "");
    ck_assert_ptr_null(capi_cookie_raw(&len, "A=1; ab=2; a", "a"));
    ck_assert_ptr_null(capi_cookie_raw(&len, "", "a"));
    ck_assert_ptr_null(capi_cookie_raw(&len, NULL, "a"));
    ck_assert_ptr_null(capi_cookie_raw(&len, ";;;", "a"));
}
END_TEST

START_TEST(test_cookie_name_with_a_star_matches_its_beginning)
{
    apr_size_t len;

    assert_raw(capi_cookie_raw(&len, "wp_x=0; wp_woocommerce_session_ab12=t_1%7C%7C9",
                               "wp_woocommerce_session_*"),
               &len, "t_1%7C%7C9");
    ck_assert_ptr_null(capi_cookie_raw(&len, "wp_woo=1", "wp_woocommerce_session_*"));
}
END_TEST

START_TEST(test_cookie_values_are_percent_decoded_for_readers)
{
    ck_assert_str_eq(capi_cookie_get("a=x%7Cy+z", "a", pool), "x|y+z");
    ck_assert_ptr_null(capi_cookie_get("b=1", "a", pool));
}
END_TEST

START_TEST(test_set_cookie_gives_the_value_that_it_sets)
{
    apr_size_t len;

    assert_raw(capi_set_cookie_raw(&len, "PHPSESSID=abc; path=/; HttpOnly", "PHPSESSID"), &len,
               "abc");
    assert_raw(capi_set_cookie_raw(&len, "PHPSESSID=abc", "PHPSESSID"), &len, "abc");
    assert_raw(capi_set_cookie_raw(&len, "a=1; Max-Age=3600; path=/", "a"), &len, "1");
    ck_assert_ptr_null(capi_set_cookie_raw(&len, "x=1; PHPSESSID=abc", "PHPSESSID"));
    ck_assert_ptr_null(capi_set_cookie_raw(&len, NULL, "PHPSESSID"));
}
END_TEST

START_TEST(test_set_cookie_that_takes_a_cookie_away_sets_none)
{
    apr_size_t len;

    ck_assert_ptr_null(capi_set_cookie_raw(
        &len, "PHPSESSID=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/",
        "PHPSESSID"));
    ck_assert_ptr_null(capi_set_cookie_raw(&len, "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a"));
    ck_assert_ptr_null(capi_set_cookie_raw(&len, "a=1; max-age=-1", "a"));
}
END_TEST

START_TEST(test_click_ids_seen_in_the_wild_are_click_ids)
{
    for (size_t i = 0; i < sizeof(epiks) / sizeof(epiks[0]); i++) {
        ck_assert(capi_is_click_id(epiks[i], strlen(epiks[i])));
    }
}
END_TEST

START_TEST(test_click_ids_have_a_length_and_an_alphabet)
{
    char longest[CAPI_CLICK_ID_MAX + 2];

    memset(longest, 'a', sizeof(longest));
    ck_assert(capi_is_click_id(longest, CAPI_CLICK_ID_MAX));
    ck_assert(!capi_is_click_id(longest, CAPI_CLICK_ID_MAX + 1));
    ck_assert(!capi_is_click_id("", 0));
    ck_assert(!capi_is_click_id("dj0yJnU9YzJ...", 14));
    ck_assert(!capi_is_click_id("a b", 3));
    ck_assert(!capi_is_click_id("a\0b", 3));
    ck_assert(!capi_is_click_id("\xc3\xa9", 2));
    ck_assert(!capi_is_click_id(NULL, 1));
}
END_TEST

START_TEST(test_click_id_comes_from_query_then_referer_then_cookie)
{
    const char *referer = "https://shop.example/landing?epik=from_referer#x";
    bool is_new = false;

    ck_assert_str_eq(capi_click_id(&is_new, "a=1&EPIK=from_query", referer, "shop.example",
                                   "_epik=from_cookie", pool),
                     "from_query");
    ck_assert(is_new);
    ck_assert_str_eq(
        capi_click_id(&is_new, "a=1", referer, "SHOP.example", "_epik=from_cookie", pool),
        "from_referer");
    ck_assert(is_new);
    ck_assert_str_eq(
        capi_click_id(&is_new, NULL, referer, "other.example", "_epik=from_cookie", pool),
        "from_cookie");
    ck_assert(!is_new);
    ck_assert_ptr_null(capi_click_id(&is_new, NULL, NULL, NULL, NULL, pool));
    ck_assert(!is_new);
}
END_TEST

START_TEST(test_click_id_that_does_not_fit_is_ignored)
{
    ck_assert_str_eq(capi_click_id(NULL, "epik=a%2Fb", NULL, "h", "_epik=ok", pool), "ok");
    ck_assert_ptr_null(capi_click_id(NULL, "epik=&epik=late", NULL, "h", NULL, pool));
    ck_assert_ptr_null(capi_click_id(NULL, NULL, "http://h/#?epik=x", "h", NULL, pool));
    ck_assert_ptr_null(capi_click_id(NULL, NULL, NULL, "h", "_epik=a b", pool));
    ck_assert_ptr_null(capi_click_id(NULL, NULL, NULL, "h", "_epik_=x", pool));
}
END_TEST

START_TEST(test_hosts_match_in_any_case_on_any_port)
{
    ck_assert(capi_url_has_host("https://Shop.Example:8443/x", "shop.example"));
    ck_assert(capi_url_has_host("http://shop.example", "shop.example:80"));
    ck_assert(capi_url_has_host("HTTP://shop.example./x", "shop.example"));
    ck_assert(capi_url_has_host("http://[2001:db8::1]:80/x", "[2001:db8::1]"));
    ck_assert(capi_url_has_host("http://[2001:db8::1]/x", "2001:db8::1"));
    ck_assert(capi_url_has_host("http://user:pw@shop.example/x", "shop.example"));
}
END_TEST

START_TEST(test_a_foreign_host_never_passes_for_ours)
{
    static const char *const foreign[] = {
        "https://shop.example.evil.test/",
        "https://evil.test/shop.example",
        "https://shop.example@evil.test/",
        "https://evil.test?@shop.example/",
        "https://evil.test#@shop.example/",
        "https://evil.test\\@shop.example/",
        "ftp://shop.example/",
        "//shop.example/",
        "shop.example",
        "https://",
        "https:///shop.example",
        "",
        "https://notshop.example/",
    };

    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        ck_assert_msg(!capi_url_has_host(foreign[i], "shop.example"), "%s", foreign[i]);
    }
    ck_assert(!capi_url_has_host("https://shop.example/", NULL));
    ck_assert(!capi_url_has_host("https://shop.example/", ""));
    ck_assert(!capi_url_has_host(NULL, "shop.example"));
}
END_TEST

static apr_array_header_t *keep_list(void)
{
    apr_array_header_t *keep = apr_array_make(pool, 3, sizeof(const char *));

    APR_ARRAY_PUSH(keep, const char *) = "utm_*";
    APR_ARRAY_PUSH(keep, const char *) = "product_id";
    APR_ARRAY_PUSH(keep, const char *) = "id";
    return keep;
}

START_TEST(test_page_url_keeps_only_the_named_parameters_in_their_order)
{
    ck_assert_str_eq(
        capi_page_url("https://u:p@shop.example:8443/a/b?email=x@y&product_id=7&utm_source=pin%20a"
                      "&token=1&id=&ids=3&utm%5Fterm=t#frag?id=9",
                      keep_list(), pool),
        "https://shop.example:8443/a/b?product_id=7&utm_source=pin%20a&id=&utm%5Fterm=t");
    ck_assert_str_eq(capi_page_url("http://shop.example/?a=1", keep_list(), pool),
                     "http://shop.example/");
    ck_assert_str_eq(capi_page_url("http://shop.example?id=1", keep_list(), pool),
                     "http://shop.example?id=1");
    ck_assert_str_eq(capi_page_url("http://shop.example/x?id=1", NULL, pool),
                     "http://shop.example/x");
    ck_assert_str_eq(capi_page_url("http://shop.example/?&&id=1&&", keep_list(), pool),
                     "http://shop.example/?id=1");
}
END_TEST

START_TEST(test_page_url_is_printable_ascii_whatever_came_in)
{
    ck_assert_str_eq(capi_page_url("http://h/\xc3\xa9\xff b?id=\xe9", keep_list(), pool),
                     "http://h/%C3%A9%FF%20b?id=%E9");
}
END_TEST

START_TEST(test_page_url_of_what_is_no_page_is_none)
{
    char *longest = malloc(8193 + 1);

    ck_assert_ptr_null(capi_page_url(NULL, NULL, pool));
    ck_assert_ptr_null(capi_page_url("", NULL, pool));
    ck_assert_ptr_null(capi_page_url("/a", NULL, pool));
    ck_assert_ptr_null(capi_page_url("javascript:alert(1)", NULL, pool));
    ck_assert_ptr_null(capi_page_url("file:///etc/passwd", NULL, pool));
    ck_assert_ptr_null(capi_page_url("https://", NULL, pool));
    ck_assert_ptr_null(capi_page_url("https://u@/x", NULL, pool));
    ck_assert_ptr_null(capi_page_url("http://h/\r\nx", NULL, pool));
    memset(longest, 'a', 8193);
    memcpy(longest, "http://h/", 9);
    longest[8193] = '\0';
    ck_assert_ptr_null(capi_page_url(longest, NULL, pool));
    longest[8192] = '\0';
    ck_assert_str_eq(capi_page_url(longest, NULL, pool), longest);
    /* One that only encoding makes too long. */
    memset(longest + 9, '\xff', 4000);
    longest[4009] = '\0';
    ck_assert_ptr_null(capi_page_url(longest, NULL, pool));
    free(longest);
}
END_TEST

START_TEST(test_addresses_of_shoppers_are_public)
{
    static const char *const public[] = {
        "203.0.113.42",       "198.51.100.1", "192.0.2.9",   "8.8.8.8",
        "172.32.0.1",         "100.128.0.1",  "2001:db8::1", "2a00:1450:4001:81b::200e",
        "::ffff:203.0.113.42"};

    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        ck_assert_msg(capi_is_public_address(public[i]), "%s", public[i]);
    }
}
END_TEST

START_TEST(test_addresses_of_our_own_networks_are_not)
{
    static const char *const private[] = {"10.1.2.3",
                                          "127.0.0.1",
                                          "192.168.0.1",
                                          "172.16.0.1",
                                          "172.31.255.255",
                                          "169.254.1.1",
                                          "100.64.0.1",
                                          "0.0.0.0",
                                          "255.255.255.255",
                                          "224.0.0.1",
                                          "198.18.0.1",
                                          "::",
                                          "::1",
                                          "fe80::1",
                                          "fc00::1",
                                          "fd12::1",
                                          "ff02::1",
                                          "::ffff:10.0.0.1",
                                          "::ffff:127.0.0.1",
                                          "2001::1",
                                          "",
                                          "203.0.113.42:80",
                                          "203.0.113",
                                          "fe80::1%eth0",
                                          "localhost",
                                          "203.0.113.042x"};

    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        ck_assert_msg(!capi_is_public_address(private[i]), "%s", private[i]);
    }
    ck_assert(!capi_is_public_address(NULL));
}
END_TEST

START_TEST(test_crawlers_libraries_and_monitors_are_bots)
{
    static const char *const bots[] = {
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; Pinterestbot/1.0; +https://www.pinterest.com/bot.html)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "HeadlessChrome/126.0.0.0 Safari/537.36",
        "curl/7.88.1",
        "Wget/1.21.3",
        "python-requests/2.31.0",
        "Python/3.11 aiohttp/3.9.1",
        "Go-http-client/1.1",
        "Java/17.0.9",
        "okhttp/4.12.0",
        "axios/1.6.2",
        "GuzzleHttp/7",
        "PostmanRuntime/7.36.0",
        "WordPress/6.8; https://shop.example",
        "Amazon CloudFront",
        "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
        "ELB-HealthChecker/2.0",
        "kube-probe/1.29",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36 "
        "RuxitSynthetic/1.0",
        "Blackbox Exporter/0.25.0",
        "Prometheus/2.53.0",
        "Monit/5.33.0",
        "updown.io daemon 2.11",
        "node",
        "Apache/2.4.58 (Debian) (internal dummy connection)",
        "Baiduspider+(+http://www.baidu.com/search/spider.htm)",
        "Scrapy/2.11",
        "PHP/8.2",
        "",
        " ",
        "-",
    };

    for (size_t i = 0; i < sizeof(bots) / sizeof(bots[0]); i++) {
        ck_assert_msg(capi_is_bot(bots[i]), "%s", bots[i]);
    }
    ck_assert(capi_is_bot(NULL));
}
END_TEST

START_TEST(test_browsers_and_apps_of_people_are_no_bots)
{
    static const char *const people[] = {
        "Mozilla/5.0...",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
        "Gecko) Mobile/15E148 [Pinterest/iOS]",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A; wv) AppleWebKit/537.36 (KHTML, like "
        "Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 [Pinterest/Android]",
        "Mozilla/5.0 (Linux; Android 10; CUBOT_X30 Build/QP1A) AppleWebKit/537.36 Chrome/120.0 "
        "Mobile "
        "Safari/537.36",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.5 Safari/605.1.15",
        "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
        "Opera/9.80 (Android; Opera Mini/36.2/119.132; U; id) Presto/2.12.423 Version/12.16",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 "
        "Instagram 334.0.4.32.98",
    };

    for (size_t i = 0; i < sizeof(people) / sizeof(people[0]); i++) {
        ck_assert_msg(!capi_is_bot(people[i]), "%s", people[i]);
    }
}
END_TEST

START_TEST(test_clean_text_is_valid_utf8_without_controls)
{
    ck_assert(capi_is_clean_text("", 0));
    ck_assert(capi_is_clean_text("a\tb\nc", 5));
    ck_assert(capi_is_clean_text("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9));
    ck_assert(capi_is_clean_text("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 10));
}
END_TEST

START_TEST(test_what_is_no_clean_text_is_found)
{
    static const struct {
        const char *text;
        apr_size_t len;
    } dirty[] = {
        {"a\0b", 3},
        {"\r", 1},
        {"\x1b[0m", 4},
        {"\x7f", 1},
        {"\xc2\x85", 2},
        {"\x80", 1},
        {"\xc0\x80", 2},
        {"\xc1\xbf", 2},
        {"\xe0\x9f\xbf", 3},
        {"\xed\xa0\x80", 3},
        {"\xf0\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 4},
        {"\xf5\x80\x80\x80", 4},
        {"\xc3", 1},
        {"\xe2\x82", 2},
        {"\xf0\x9f\x98", 3},
        {"\xe2\x82\x28", 3},
        {"\xff", 1},
    };

    for (size_t i = 0; i < sizeof(dirty) / sizeof(dirty[0]); i++) {
        ck_assert_msg(!capi_is_clean_text(dirty[i].text, dirty[i].len), "row %zu", i);
    }
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("text");

    tcase_add_test(cases, test_query_gives_the_first_parameter_of_a_name);
    tcase_add_test(cases, test_query_without_the_name_gives_nothing);
    tcase_add_test(cases, test_query_values_are_decoded_as_forms_are);
    tcase_add_test(cases, test_plus_is_a_space_only_where_it_is_said);
    tcase_add_test(cases, test_cookie_names_match_whole_and_first_wins);
    tcase_add_test(cases, test_cookie_name_with_a_star_matches_its_beginning);
    tcase_add_test(cases, test_cookie_values_are_percent_decoded_for_readers);
    tcase_add_test(cases, test_set_cookie_gives_the_value_that_it_sets);
    tcase_add_test(cases, test_set_cookie_that_takes_a_cookie_away_sets_none);
    tcase_add_test(cases, test_click_ids_seen_in_the_wild_are_click_ids);
    tcase_add_test(cases, test_click_ids_have_a_length_and_an_alphabet);
    tcase_add_test(cases, test_click_id_comes_from_query_then_referer_then_cookie);
    tcase_add_test(cases, test_click_id_that_does_not_fit_is_ignored);
    tcase_add_test(cases, test_hosts_match_in_any_case_on_any_port);
    tcase_add_test(cases, test_a_foreign_host_never_passes_for_ours);
    tcase_add_test(cases, test_page_url_keeps_only_the_named_parameters_in_their_order);
    tcase_add_test(cases, test_page_url_is_printable_ascii_whatever_came_in);
    tcase_add_test(cases, test_page_url_of_what_is_no_page_is_none);
    tcase_add_test(cases, test_addresses_of_shoppers_are_public);
    tcase_add_test(cases, test_addresses_of_our_own_networks_are_not);
    tcase_add_test(cases, test_crawlers_libraries_and_monitors_are_bots);
    tcase_add_test(cases, test_browsers_and_apps_of_people_are_no_bots);
    tcase_add_test(cases, test_clean_text_is_valid_utf8_without_controls);
    tcase_add_test(cases, test_what_is_no_clean_text_is_found);
    return unit_end("text", cases);
}
