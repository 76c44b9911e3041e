/* Query strings, cookies, URLs, addresses, agents: the first byte says which. */

#include "text.h"

#include "fuzz.h"

static void run_one(const char *text, size_t len)
{
    static const char *const kept[] = {"utm_*", "page"};
    apr_array_header_t *keep = apr_array_make(pool, 2, sizeof(const char *));
    apr_size_t found_len;
    const char *page;

    if (strlen(text) != len) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        APR_ARRAY_PUSH(keep, const char *) = kept[i];
    }
    capi_query_get(text, "a", pool);
    capi_cookie_get(text, "a*", pool);
    capi_set_cookie_raw(&found_len, text, "a");
    capi_is_bot(text);
    capi_is_public_address(text);
    const char *id = capi_click_id(NULL, text, text, "shop.example", text, pool);
    require(!id || capi_is_click_id(id, strlen(id)), "a click id that is none");
    page = capi_page_url(text, keep, pool);
    if (page) {
        require(!strchr(page, '#') && strstr(page, "://"), "a page URL with a fragment");
        const char *again = capi_page_url(page, keep, pool);
        require(again && strcmp(again, page) == 0, "a cut page URL is cut again");
    }
}
