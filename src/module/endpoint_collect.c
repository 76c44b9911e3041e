/* pinterest-capi-collect: events that the shop's own pages send. The client is that of the request;
 * what a browser says about anybody's address, agent or consent does not count. */

#include "endpoint.h"
#include "text.h"

#include <apr_strings.h>

#include <string.h>

APLOG_USE_MODULE(pinterest_capi);

typedef struct {
    request_rec *r;
    capi_visit_t *visit;
    capi_event_rules_t rules;
    capi_envelope_event_t *events;
    int event_count;
} collection_t;

/* Only the request tells who the client is; an event's click id counts where the request has none,
 * as on a page whose policy sends no Referer. */
static void forget_foreign_words(json_t *input, const capi_visit_t *visit)
{
    json_t *user_data = json_object_get(input, "user_data");

    json_object_del(input, "consent");
    json_object_del(input, "context");
    json_object_del(user_data, "client_ip_address");
    json_object_del(user_data, "client_user_agent");
    if (visit->click_id) {
        json_object_del(user_data, "click_id");
        json_object_del(user_data, "epik");
    }
}

/* The page's own word where it speaks of this host, else the Referer. */
static const char *page_of(const capi_event_t *event, const capi_visit_t *visit)
{
    const apr_array_header_t *keep = capi_conf_url_parameters(visit->dir);
    const request_rec *r = visit->first;
    const char *own = json_string_value(json_object_get(event->body, "event_source_url"));
    const char *referer = apr_table_get(r->headers_in, "Referer");
    const char *page = NULL;

    if (own && r->hostname && capi_url_has_host(own, r->hostname)) {
        page = capi_page_url(own, keep, r->pool);
    }
    if (!page && referer && r->hostname && capi_url_has_host(referer, r->hostname)) {
        page = capi_page_url(referer, keep, r->pool);
    }
    return page;
}

static void set_page(capi_event_t *event, const capi_visit_t *visit)
{
    const char *page = page_of(event, visit);

    if (page) {
        json_object_set_new(event->body, "event_source_url", json_string(page));
    }
    else {
        json_object_del(event->body, "event_source_url");
    }
}

/* The same call of the same visitor is the same event; that of another visitor is another. */
static const char *derive_id(const collection_t *c, json_t *input)
{
    capi_visit_t *visit = c->visit;
    const char *who = capi_visit_session_key(visit);
    json_t *salted = json_copy(input);
    const char *id;

    if (!who) {
        const char *agent = apr_table_get(c->r->headers_in, "User-Agent");

        who = apr_pstrcat(c->r->pool, c->r->useragent_ip, " ", agent ? agent : "", NULL);
    }
    json_object_set_new(salted, " visitor", json_string(who));
    id = capi_event_derive_id(salted, c->r->pool);
    json_decref(salted);
    return id;
}

static void collect_event(collection_t *c, capi_result_t *result, json_t *input)
{
    capi_event_t *event;
    capi_envelope_event_t *out = &c->events[c->event_count];

    forget_foreign_words(input, c->visit);
    if (capi_event_parse(&event, &result->error, input, &c->rules, c->r->pool) != APR_SUCCESS) {
        return;
    }
    if (!event->event_id) {
        capi_event_set_id(event, derive_id(c, input), c->r->pool);
    }
    set_page(event, c->visit);
    /* A browser is its own context, also without a session cookie: an order number that it names
     * must not fetch what the shop knows about that order. custom_data keeps it. */
    event->order_id = event->context = NULL;
    capi_visit_event(out, c->visit, event, CAPI_SOURCE_BROWSER, NULL);
    out->is_claim = !capi_conf_may_collect(c->visit->dir, event->sent_as);
    c->event_count++;
    result->processed = true;
    result->warning = event->warning;
}

/* False where the queue did not take them; *status then answers. */
static bool push_events(int *status, const collection_t *c)
{
    capi_envelope_t envelope;

    if (c->event_count == 0) {
        return true;
    }
    capi_visit_envelope(&envelope, c->visit);
    envelope.events = c->events;
    envelope.event_count = c->event_count;
    return capi_endpoint_push(status, c->r, &envelope, NULL);
}

static int collect(collection_t *c, const json_t *list)
{
    const int count = (int)json_array_size(list);
    capi_result_t *results = apr_pcalloc(c->r->pool, (apr_size_t)count * sizeof(*results));
    int status = OK;
    int i;

    if (capi_visit_is_uncounted(c->visit)) {
        for (i = 0; i < count; i++) {
            results[i].processed = true;
            results[i].warning = "dropped";
        }
        return capi_endpoint_report(c->r, results, count);
    }
    c->events = apr_pcalloc(c->r->pool, (apr_size_t)count * sizeof(*c->events));
    capi_visit_event_rules(&c->rules, c->visit, CAPI_SOURCE_BROWSER);
    c->rules.may_lack_id = true;
    for (i = 0; i < count; i++) {
        collect_event(c, &results[i], json_array_get(list, (size_t)i));
    }
    return push_events(&status, c) ? capi_endpoint_report(c->r, results, count) : status;
}

int capi_collect_serve(request_rec *r)
{
    collection_t c = {.r = r};
    const json_t *list;
    int status = OK;

    c.visit = capi_endpoint_visit(&status, r);
    if (!c.visit) {
        return status;
    }
    if (capi_endpoint_is_preflight(&status, r, "POST")) {
        return status;
    }
    if (r->method_number != M_POST) {
        return capi_endpoint_wrong_method(r, "POST");
    }
    if (!capi_endpoint_is_own_page(&status, r) || !capi_endpoint_is_within_limit(&status, r, 0)) {
        return status;
    }
    list = capi_endpoint_events(&status, r, CAPI_BODY_LENIENT);
    if (!list || !capi_endpoint_is_within_limit(&status, r, (int)json_array_size(list))) {
        return status;
    }
    return collect(&c, list);
}
