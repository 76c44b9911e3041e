#include "config_int.h"

#include "consent/decision.h"
#include "ident.h"
#include "text.h"

#include <apr_atomic.h>
#include <apr_strings.h>

#include <http_core.h>
#include <http_request.h>

APLOG_USE_MODULE(pinterest_capi);

/* The visit: found, begun with the request, settled when its sections are known. What it puts into
 * envelopes: visit_event.c. */

capi_visit_t *capi_visit_of(const request_rec *r)
{
    while (r->main || r->prev) {
        r = r->main ? r->main : r->prev;
    }
    /* a malformed request has no configuration of its own */
    return r->request_config ? ap_get_module_config(r->request_config, &pinterest_capi_module)
                             : NULL;
}

int capi_visit_begin(request_rec *r)
{
    capi_visit_t *visit;

    if (!capi_is_in_use() || !ap_is_initial_req(r) || r->proxyreq == PROXYREQ_PROXY || !r->uri ||
        r->uri[0] != '/') {
        return DECLINED;
    }
    visit = apr_pcalloc(r->pool, sizeof(*visit));
    visit->first = r;
    visit->server = capi_server_conf(r->server);
    visit->uri = r->uri;
    visit->args = r->args;
    ap_set_module_config(r->request_config, &pinterest_capi_module, visit);
    return DECLINED;
}

/* The URI is decoded here and no rewrite has touched it; httpd has just looked up its Locations. */
int capi_visit_note_location(request_rec *r)
{
    capi_visit_t *visit;

    if (!ap_is_initial_req(r)) {
        return DECLINED;
    }
    visit = capi_visit_of(r);
    if (visit) {
        visit->uri = r->uri;
        visit->args = r->args;
        visit->location_config = r->per_dir_config;
    }
    return DECLINED;
}

/* --- sections --- */

/* Puts those sections that `conf` was merged from on top of `merged`, which look at the URI or those
 * which look at files. */
static capi_dir_conf_t *add_sections(capi_dir_conf_t *merged, const capi_dir_conf_t *conf,
                                     bool is_by_uri, apr_pool_t *p)
{
    if (conf->outer) {
        merged = add_sections(merged, conf->outer, is_by_uri, p);
        return add_sections(merged, conf->inner, is_by_uri, p);
    }
    if (conf->is_by_uri != is_by_uri) {
        return merged;
    }
    return merged ? capi_merge_dir_conf(p, merged, (void *)(uintptr_t)conf)
                  : (capi_dir_conf_t *)(uintptr_t)conf;
}

/* The sections of the request as the visitor sent it. An internal redirect (a rewrite in .htaccess)
 * leaves those of the first record alone. Where the first record itself was given another URI (a
 * rewrite in the server's configuration, a directory's index, FallbackResource), Location and If
 * sections are those that the sent URI had, Directory and Files sections those of the file. */
static capi_dir_conf_t *find_sections(const capi_visit_t *visit)
{
    request_rec *first = visit->first;
    capi_dir_conf_t *conf = capi_dir_conf(first->per_dir_config);
    capi_dir_conf_t *sent;

    if (!visit->location_config || !first->uri || strcmp(first->uri, visit->uri) == 0) {
        return conf;
    }
    sent = capi_dir_conf(visit->location_config);
    if (sent == conf) {
        return conf;
    }
    return add_sections(add_sections(NULL, conf, false, first->pool), sent, true, first->pool);
}

/* --- settling --- */

static const char *env_of(const void *request, const char *name)
{
    return apr_table_get(((const request_rec *)request)->subprocess_env, name);
}

/* All signals of the sections that count, and their default. `r` is the record whose variables
 * count. PHP's own word is taken from the response: capi_visit_hear_consent. */
static void decide_consent(capi_visit_t *visit, const request_rec *r)
{
    const request_rec *first = visit->first;
    const apr_array_header_t *lines = visit->dir->signals.items;
    capi_consent_input_t input = {.env = env_of, .request = r};
    capi_consent_state_t otherwise = CAPI_CONSENT_UNKNOWN;
    int count = lines ? lines->nelts : 0;
    const apr_array_header_t **lists =
        count ? apr_palloc(first->pool, sizeof(*lists) * (apr_size_t)count) : NULL;
    int i;

    for (i = 0; i < count; i++) {
        lists[i] = capi_signal_line_signals(APR_ARRAY_IDX(lines, i, const capi_signal_line_t *));
    }
    /* a cache's quick handler answers before any section is known */
    if (!visit->location_config && capi_config_sections_decide_consent()) {
        count = 0;
    }
    else if (visit->dir->consent_default != CAPI_UNSET) {
        otherwise = (capi_consent_state_t)visit->dir->consent_default;
    }
    if (count > 0) {
        input.cookies = apr_table_get(first->headers_in, "Cookie");
        input.sec_gpc = apr_table_get(first->headers_in, "Sec-GPC");
    }
    capi_consent_decide(&visit->consent, lists, count, &input, otherwise,
                        capi_conf_consent_max_age(visit->dir), first->request_time, first->pool);
}

/* Variables may have been set since the sections were known. */
static void hear_env(capi_visit_t *visit, const request_rec *last)
{
    if (visit->is_settled && !visit->consent_said && capi_conf_has_env_signal(visit->dir)) {
        decide_consent(visit, last);
    }
}

void capi_visit_hear_consent(capi_visit_t *visit, capi_consent_state_t word)
{
    visit->consent_said = true;
    visit->consent.state = word;
    visit->consent.signal = "header";
    visit->consent.evidence = NULL;
    visit->consent.decided_at = apr_time_now();
}

static void find_click_id(capi_visit_t *visit)
{
    request_rec *r = visit->first;
    const char *cookies = apr_table_get(r->headers_in, "Cookie");
    bool is_in_query;
    const char *known;

    visit->click_id =
        capi_click_id(&visit->click_id_is_new, visit->args, apr_table_get(r->headers_in, "Referer"),
                      r->hostname, cookies, r->pool);
    if (!visit->click_id_is_new) {
        return;
    }
    /* every image of the landing page names it as Referer: once the cookie is there, it stays */
    is_in_query = capi_click_id(NULL, visit->args, NULL, NULL, NULL, r->pool) != NULL;
    known = is_in_query ? NULL : capi_click_id(NULL, NULL, NULL, NULL, cookies, r->pool);
    if (known && strcmp(known, visit->click_id) == 0) {
        visit->click_id_is_new = false;
    }
}

/* A proxy in front names the client in a header that nothing reads: then every visitor has the
 * proxy's address. One request proves nothing, since anybody can send the header; most of the first
 * PROXY_SAMPLE of a process do. */
#define PROXY_SAMPLE 1000

static bool has_unread_forward(const request_rec *r)
{
    return r->useragent_addr == r->connection->client_addr &&
           apr_table_get(r->headers_in, "X-Forwarded-For");
}

static void watch_for_proxy(request_rec *r)
{
    static apr_uint32_t unused, total;

    if (apr_atomic_read32(&total) > PROXY_SAMPLE) {
        return;
    }
    if (has_unread_forward(r)) {
        apr_atomic_inc32(&unused);
    }
    if (apr_atomic_inc32(&total) == PROXY_SAMPLE - 1 &&
        apr_atomic_read32(&unused) > PROXY_SAMPLE / 2) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "PCAPI031: most requests carry an X-Forwarded-For that nothing reads, so the "
                      "addresses that are sent are a proxy's: load mod_remoteip and name the proxy "
                      "in RemoteIPInternalProxy");
    }
}

static void settle(capi_visit_t *visit)
{
    request_rec *r = visit->first;

    visit->is_settled = true;
    if (!visit->location_config) {
        char *uri = apr_pstrdup(r->pool, visit->uri);

        visit->uri = ap_unescape_url(uri) == OK ? uri : visit->uri;
    }
    visit->dir = find_sections(visit);
    if (!capi_conf_is_on(visit->dir)) {
        return;
    }
    watch_for_proxy(r);
    decide_consent(visit, r);
    find_click_id(visit);
    if (capi_uuid7(visit->id_room, apr_time_now()) == APR_SUCCESS) {
        visit->event_id = visit->id_room;
    }
}

/* For PHP, CGI, SSI and log formats. A redirect renames what its record had, so each has its own. */
static void export_variables(capi_visit_t *visit, request_rec *r)
{
    visit->told = r;
    visit->told_state = visit->consent.state;
    apr_table_setn(r->subprocess_env, CAPI_VAR_CONSENT, capi_consent_name(visit->consent.state));
    if (visit->click_id) {
        apr_table_setn(r->subprocess_env, CAPI_VAR_EPIK, visit->click_id);
    }
    if (visit->event_id) {
        apr_table_setn(r->subprocess_env, CAPI_VAR_EVENT_ID, visit->event_id);
    }
}

void capi_visit_settle(request_rec *r)
{
    capi_visit_t *visit = capi_visit_of(r);
    const char *endpoint;

    if (!visit || r->main) {
        return;
    }
    if (!visit->is_settled) {
        settle(visit);
    }
    if (!capi_conf_is_on(visit->dir)) {
        return;
    }
    endpoint = capi_endpoint_name(r);
    if (endpoint) {
        visit->is_endpoint = true;
        visit->is_browser_endpoint =
            strcmp(endpoint, "collect") == 0 || strcmp(endpoint, "context") == 0;
    }
    export_variables(visit, r);
}

/* As access logs show it: "granted by cmp onetrust", "denied by default", "unknown". */
static const char *consent_note(const capi_visit_t *visit)
{
    const char *state = capi_consent_name(visit->consent.state);

    if (visit->consent.state != CAPI_CONSENT_UNKNOWN && !capi_consent_is_answer(&visit->consent)) {
        return visit->consent.state == CAPI_CONSENT_GRANTED ? "granted by default"
                                                            : "denied by default";
    }
    return visit->consent.state == CAPI_CONSENT_UNKNOWN
               ? state
               : apr_pstrcat(visit->first->pool, state, " by ", visit->consent.signal, NULL);
}

int capi_visit_conclude(request_rec *r)
{
    capi_visit_t *visit = capi_visit_of(r);
    request_rec *last = r;

    if (!visit || r->main || r->prev || r->method_number == M_INVALID) {
        return DECLINED;
    }
    if (!visit->is_settled) {
        capi_visit_settle(r); /* refused before a handler ran */
    }
    if (!capi_conf_is_on(visit->dir)) {
        return DECLINED;
    }
    while (last->next) {
        last = last->next;
    }
    hear_env(visit, last);
    if (visit->told != last || visit->told_state != visit->consent.state) {
        apr_table_setn(last->subprocess_env, CAPI_VAR_CONSENT,
                       capi_consent_name(visit->consent.state));
    }
    apr_table_setn(last->notes, CAPI_NOTE_CONSENT, consent_note(visit));
    return DECLINED;
}

/* --- the client --- */

/* Behind Cloudflare the connection's address is a proxy's unless mod_remoteip reads the header. */
static bool hides_client(const request_rec *r)
{
    const char *cloudflare = apr_table_get(r->headers_in, "CF-Connecting-IP");

    return cloudflare && strcmp(cloudflare, r->useragent_ip) != 0;
}

bool capi_visit_is_proxied(const capi_visit_t *visit)
{
    return has_unread_forward(visit->first) || hides_client(visit->first);
}

static void read_client(capi_visit_t *visit)
{
    const request_rec *r = visit->first;
    const char *agent = apr_table_get(r->headers_in, "User-Agent");

    visit->knows_client = true;
    if (r->useragent_ip && !hides_client(r) &&
        (capi_conf_is_test(visit->server) || capi_is_public_address(r->useragent_ip))) {
        visit->address = r->useragent_ip;
    }
    if (agent && *agent && capi_is_clean_text(agent, strlen(agent))) {
        visit->agent = agent;
    }
}

const char *capi_visit_address(capi_visit_t *visit)
{
    if (!visit->knows_client) {
        read_client(visit);
    }
    return visit->address;
}

const char *capi_visit_agent(capi_visit_t *visit)
{
    if (!visit->knows_client) {
        read_client(visit);
    }
    return visit->agent;
}

static const char *own_url(const capi_visit_t *visit)
{
    request_rec *r = visit->first;
    const char *target = r->unparsed_uri;

    if (!target || target[0] != '/') {
        target = apr_uri_unparse(r->pool, &r->parsed_uri, APR_URI_UNP_OMITSITEPART);
    }
    return ap_construct_url(r->pool, target, r);
}

const char *capi_visit_page_url(capi_visit_t *visit)
{
    request_rec *r = visit->first;
    const apr_array_header_t *keep = capi_conf_url_parameters(visit->dir);

    if (visit->page_url) {
        return visit->page_url;
    }
    if (visit->is_endpoint || capi_visit_is_ajax(visit)) {
        const char *referer = apr_table_get(r->headers_in, "Referer");

        if (referer && r->hostname && capi_url_has_host(referer, r->hostname)) {
            visit->page_url = capi_page_url(referer, keep, r->pool);
        }
    }
    if (!visit->page_url && !visit->is_endpoint) {
        visit->page_url = capi_page_url(own_url(visit), keep, r->pool);
    }
    return visit->page_url;
}
