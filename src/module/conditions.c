#include "module.h"

#include "text.h"

/* Which requests count: crawlers, prefetches, documents, statuses. Interface 3.1. */

static const char *header_of(const request_rec *r, const char *name)
{
    return apr_table_get(r->headers_in, name);
}

static bool contains_word(const char *text, const char *word)
{
    return text && ap_strcasestr(text, word);
}

/* A call that the shop makes to itself (cron by URL, cache warmers, health checks). */
static bool is_own_call(const request_rec *r, const char *agent)
{
    return strcmp(r->useragent_ip, r->connection->local_ip) == 0 &&
           (!agent || strncmp(agent, "Mozilla/", 8) != 0);
}

/* mod_http2 sets it on every request, empty where nothing was pushed. */
static bool is_pushed(const request_rec *r)
{
    const char *pushed = apr_table_get(r->subprocess_env, "H2_PUSHED");

    return pushed && *pushed;
}

bool capi_visit_is_bot(capi_visit_t *visit)
{
    const request_rec *r = visit->first;
    const char *agent;

    if (!visit->knows_bot) {
        agent = header_of(r, "User-Agent");
        visit->is_bot = r->header_only || capi_is_bot(agent) || is_own_call(r, agent);
        visit->knows_bot = true;
    }
    return visit->is_bot;
}

bool capi_visit_is_uncounted(capi_visit_t *visit)
{
    const request_rec *r = visit->first;
    const char *purpose = header_of(r, "Sec-Purpose");

    if (contains_word(purpose, "prerender") || is_pushed(r)) {
        return true;
    }
    if (capi_conf_drops_prefetch(visit->server) &&
        (contains_word(purpose, "prefetch") || contains_word(header_of(r, "Purpose"), "prefetch") ||
         contains_word(header_of(r, "X-Moz"), "prefetch"))) {
        return true;
    }
    return capi_conf_drops_bots(visit->server) && capi_visit_is_bot(visit);
}

bool capi_visit_is_ajax(const capi_visit_t *visit)
{
    const request_rec *r = visit->first;
    const char *destination = header_of(r, "Sec-Fetch-Dest");
    const char *accept;

    if (destination) {
        return strcmp(destination, "document") != 0;
    }
    if (header_of(r, "X-Requested-With")) {
        return true;
    }
    /* browsers without Sec-Fetch-Dest: going to a page asks for html by name */
    accept = header_of(r, "Accept");
    return accept && !ap_strstr_c(accept, "html");
}

static bool is_html(const char *type)
{
    return type && (ap_cstr_casecmpn(type, "text/html", 9) == 0 ||
                    ap_cstr_casecmpn(type, "application/xhtml+xml", 21) == 0);
}

static bool is_redirect(int status)
{
    return status >= 300 && status < 400 && status != HTTP_NOT_MODIFIED;
}

/* A page that a browser went to. A redirect has no page of its own, a 304 no type. */
static bool is_document(const capi_visit_t *visit, const request_rec *view)
{
    const char *destination = header_of(visit->first, "Sec-Fetch-Dest");

    if (view->method_number != M_GET || view->header_only ||
        (destination && strcmp(destination, "document") != 0)) {
        return false;
    }
    if (is_redirect(view->status)) {
        return true;
    }
    if (view->status == HTTP_NOT_MODIFIED) {
        return contains_word(header_of(visit->first, "Accept"), "html");
    }
    return is_html(view->content_type ? view->content_type
                                      : apr_table_get(view->headers_out, "Content-Type"));
}

bool capi_rule_answer_counts(const request_rec *view)
{
    if (is_redirect(view->status)) {
        return view->method_number == M_POST;
    }
    return view->status == HTTP_NOT_MODIFIED || ap_is_HTTP_SUCCESS(view->status);
}

bool capi_rule_may_fire(const capi_visit_t *visit, const request_rec *view, const char *sent_as)
{
    bool is_search = strcmp(sent_as, "search") == 0;
    bool is_of_page =
        is_search || strcmp(sent_as, "page_visit") == 0 || strcmp(sent_as, "view_category") == 0;

    /* a search may lead straight to its only hit, a link may add to the cart */
    if (!capi_rule_answer_counts(view) &&
        !(is_redirect(view->status) && (is_search || strcmp(sent_as, "add_to_cart") == 0))) {
        return false;
    }
    return !is_of_page || is_document(visit, view);
}
