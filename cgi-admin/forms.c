/* Forms, and how one of ours is told from another site's. */

#include "forms.h"

#include <apr_strings.h>

#include <openssl/crypto.h>

#include <string.h>

apr_status_t forms_open(forms_t *forms, const cgi_request_t *request, capi_store_t *store)
{
    apr_status_t rv = APR_SUCCESS;

    forms->request = request;
    forms->is_allowed = false;
    if (request->may_write) {
        rv = capi_ask_secret(forms->secret, store);
        forms->is_allowed = rv == APR_SUCCESS;
    }
    /* No sender has opened this store yet, so there is nobody to ask. */
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

void forms_begin(html_t *html, const forms_t *forms, capi_ask_kind_t kind, apr_int64_t destination,
                 apr_int64_t event)
{
    char id[CAPI_UUID_LEN + 1] = "";
    char token[CAPI_KEYED_LEN + 1];

    /* Without random bytes the form has no id, and is refused when it comes. */
    capi_uuid7(id, forms->request->now);
    capi_form_token(token, forms->secret, forms->request->user, id);
    html_put(html, "<form method=\"post\" action=\"%sactions\">", forms->request->root);
    html_put(html, "<input type=\"hidden\" name=\"id\" value=\"%s\">", id);
    html_put(html, "<input type=\"hidden\" name=\"token\" value=\"%s\">", token);
    html_put(html, "<input type=\"hidden\" name=\"action\" value=\"%s\">", capi_ask_name(kind));
    if (destination) {
        html_put(html, "<input type=\"hidden\" name=\"account\" value=\"%ld\">", (long)destination);
    }
    if (event) {
        html_put(html, "<input type=\"hidden\" name=\"delivery\" value=\"%ld\">", (long)event);
    }
}

void forms_end(html_t *html)
{
    html_raw(html, "</form>");
}

void forms_button(html_t *html, const forms_t *forms, capi_ask_kind_t kind, apr_int64_t destination,
                  apr_int64_t event, const char *look, const char *words, const char *about)
{
    forms_begin(html, forms, kind, destination, event);
    html_put(html,
             "<button type=\"submit\" class=\"%s\">%s<span class=\"hidden\"> %s</span></button>",
             look, words, about);
    forms_end(html);
}

bool forms_is_ours(const forms_t *forms, const char *id, const char *token)
{
    char wanted[CAPI_KEYED_LEN + 1];
    apr_time_t shown_at;

    if (!forms->is_allowed || !id || !token || !capi_is_uuid(id, strlen(id)) ||
        strlen(token) != CAPI_KEYED_LEN) {
        return false;
    }
    capi_form_token(wanted, forms->secret, forms->request->user, id);
    shown_at = capi_uuid7_msec(id) * 1000;
    return CRYPTO_memcmp(wanted, token, CAPI_KEYED_LEN) == 0 &&
           forms->request->now - shown_at < apr_time_from_sec(FORMS_HOURS * 3600);
}
