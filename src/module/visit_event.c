#include "module.h"

#include "denied.h"
#include "ident.h"
#include "text.h"

#include <apr_strings.h>

/* What a visit puts into envelopes: its keys, its client, and the ids and contexts of its events. */

const char *capi_visit_keyed_hash(const capi_visit_t *visit, const char *kind, const char *value)
{
    const unsigned char *secret = capi_secret();
    char hex[CAPI_KEYED_LEN + 1];

    if (!secret || !visit->dir->account) {
        return NULL;
    }
    capi_keyed_hash(hex, secret, visit->dir->account, capi_conf_api_url(visit->server),
                    capi_conf_is_test(visit->server), kind, value);
    return apr_pstrmemdup(visit->first->pool, hex, CAPI_KEYED_LEN);
}

/* --- the session --- */

/* The part of a cookie's value that names the session; NULL where there is none. PHP sets `deleted`
 * to get rid of one. */
static const char *session_part(const capi_session_cookie_t *cookie, const char *value,
                                apr_size_t len, apr_pool_t *p)
{
    const char *text = apr_pstrmemdup(p, value, len);
    ap_regmatch_t match[2];

    if (len == 0 || strcmp(text, "deleted") == 0) {
        return NULL;
    }
    if (!cookie->regex) {
        return text;
    }
    if (ap_regexec(cookie->regex, text, 2, match, 0) != 0) {
        return NULL;
    }
    if (match[1].rm_so < 0) {
        match[1] = match[0];
    }
    len = (apr_size_t)(match[1].rm_eo - match[1].rm_so);
    return len > 0 ? apr_pstrmemdup(p, text + match[1].rm_so, len) : NULL;
}

static const char *session_of_request(const capi_visit_t *visit, apr_pool_t *p)
{
    const apr_array_header_t *cookies = capi_conf_session_cookies(visit->server);
    const char *header = apr_table_get(visit->first->headers_in, "Cookie");
    int i;

    for (i = 0; header && i < cookies->nelts; i++) {
        const capi_session_cookie_t *cookie = &APR_ARRAY_IDX(cookies, i, capi_session_cookie_t);
        apr_size_t len = 0;
        const char *value = capi_cookie_raw(&len, header, cookie->name);
        const char *session = value ? session_part(cookie, value, len, p) : NULL;

        if (session) {
            return session;
        }
    }
    return NULL;
}

static const char *session_in_table(const capi_session_cookie_t *cookie, const apr_table_t *headers,
                                    apr_pool_t *p)
{
    const apr_array_header_t *lines = apr_table_elts(headers);
    const char *session = NULL;
    int i;

    for (i = 0; i < lines->nelts; i++) {
        const apr_table_entry_t *line = &APR_ARRAY_IDX(lines, i, apr_table_entry_t);
        apr_size_t len = 0;
        const char *value;

        if (!line->key || ap_cstr_casecmp(line->key, "Set-Cookie") != 0) {
            continue;
        }
        value = capi_set_cookie_raw(&len, line->val, cookie->name);
        if (value && session_part(cookie, value, len, p)) {
            session = session_part(cookie, value, len, p); /* browsers keep the last */
        }
    }
    return session;
}

static const char *session_of_response(const capi_visit_t *visit, apr_pool_t *p)
{
    const apr_array_header_t *cookies = capi_conf_session_cookies(visit->server);
    const request_rec *last = visit->first;
    int i;

    while (last->next) {
        last = last->next;
    }
    for (i = 0; i < cookies->nelts; i++) {
        const capi_session_cookie_t *cookie = &APR_ARRAY_IDX(cookies, i, capi_session_cookie_t);
        const char *session = session_in_table(cookie, last->headers_out, p);

        if (!session) {
            session = session_in_table(cookie, last->err_headers_out, p);
        }
        if (session) {
            return session;
        }
    }
    return NULL;
}

const char *capi_visit_session_key(capi_visit_t *visit)
{
    apr_pool_t *p = visit->first->pool;
    const char *session;

    if (visit->session_key) {
        return visit->session_key;
    }
    if (!visit->knows_session_key) {
        visit->knows_session_key = true;
        session = session_of_request(visit, p);
        visit->has_session_cookie = session != NULL;
    }
    else {
        session = NULL;
    }
    if (!session) {
        session = session_of_response(visit, p);
    }
    if (session) {
        visit->session_key = capi_visit_keyed_hash(visit, "session", session);
    }
    return visit->session_key;
}

/* --- our own cookie --- */

static void read_visit_cookie(capi_visit_t *visit)
{
    const char *name = capi_conf_visit_cookie(visit->server);
    const char *header = apr_table_get(visit->first->headers_in, "Cookie");
    const char *value;
    apr_size_t len = 0;

    visit->knows_visit_cookie = true;
    value = name ? capi_cookie_raw(&len, header, name) : NULL;
    if (value && capi_is_uuid(value, len)) {
        visit->visit_id = apr_pstrmemdup(visit->first->pool, value, len);
        visit->has_visit_cookie = true;
    }
}

bool capi_visit_makes_cookie(capi_visit_t *visit)
{
    char id[CAPI_UUID_LEN + 1];

    if (!visit->knows_visit_cookie) {
        read_visit_cookie(visit);
    }
    if (visit->has_visit_cookie || !capi_conf_visit_cookie(visit->server) ||
        visit->consent.state != CAPI_CONSENT_GRANTED ||
        (visit->is_endpoint && !visit->is_browser_endpoint)) {
        return false;
    }
    if (!visit->visit_id && capi_uuid4(id) == APR_SUCCESS) {
        visit->visit_id = apr_pstrmemdup(visit->first->pool, id, CAPI_UUID_LEN);
        visit->visit_id_is_new = true;
    }
    return visit->visit_id != NULL;
}

const char *capi_visit_cookie_key(capi_visit_t *visit)
{
    if (!visit->knows_visit_cookie) {
        read_visit_cookie(visit);
    }
    /* an endpoint sends its envelope before its answer, which will carry the cookie */
    if (visit->is_endpoint) {
        capi_visit_makes_cookie(visit);
    }
    return visit->visit_id ? capi_visit_keyed_hash(visit, "visit", visit->visit_id) : NULL;
}

/* --- envelope and events --- */

void capi_visit_event_rules(capi_event_rules_t *rules, const capi_visit_t *visit,
                            capi_source_t source)
{
    memset(rules, 0, sizeof(*rules));
    rules->vocabulary = capi_conf_vocabulary(visit->dir);
    rules->aliases = visit->server->event_names;
    rules->source = source;
    rules->country = visit->server->country;
    rules->may_lack_id = true;
    rules->now = apr_time_now();
}

void capi_visit_envelope(capi_envelope_t *envelope, capi_visit_t *visit)
{
    memset(envelope, 0, sizeof(*envelope));
    capi_conf_settings(&envelope->settings, visit->server, visit->dir);
    envelope->received_at = apr_time_now();
    envelope->consent = visit->consent;
    envelope->session_key = capi_visit_session_key(visit);
    envelope->visit_key = capi_visit_cookie_key(visit);
    if (visit->consent.state == CAPI_CONSENT_GRANTED) {
        envelope->click_id = visit->click_id;
        envelope->address = capi_visit_address(visit);
        envelope->agent = capi_visit_agent(visit);
    }
}

/* PINTEREST_EVENT_ID for the page visit; that and the name for others, then -2, -3, … */
static const char *mint_id(capi_visit_t *visit, const capi_event_t *event)
{
    apr_pool_t *p = visit->first->pool;
    char id[CAPI_UUID_LEN + 1];
    int count = 1;
    int i;

    if (!visit->event_id) {
        return capi_uuid7(id, apr_time_now()) == APR_SUCCESS ? apr_pstrdup(p, id) : NULL;
    }
    if (!visit->minted_names) {
        visit->minted_names = apr_array_make(p, 4, sizeof(const char *));
    }
    for (i = 0; i < visit->minted_names->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(visit->minted_names, i, const char *), event->name) == 0) {
            count++;
        }
    }
    APR_ARRAY_PUSH(visit->minted_names, const char *) = event->name;
    if (count == 1) {
        return strcmp(event->sent_as, "page_visit") == 0
                   ? visit->event_id
                   : apr_pstrcat(p, visit->event_id, "-", event->name, NULL);
    }
    return apr_psprintf(p, "%s-%s-%d", visit->event_id, event->name, count);
}

/* The key under which the event's visit is found, where it is not the one of this request: named by
 * the event, or by its order where the request looks like a payment provider's call. */
static const char *foreign_context(capi_visit_t *visit, const capi_event_t *event,
                                   capi_source_t source)
{
    bool is_shoppers;

    if (event->context) {
        return capi_visit_keyed_hash(visit, "bind", event->context);
    }
    if (!event->order_id) {
        return NULL;
    }
    capi_visit_session_key(visit);
    capi_visit_cookie_key(visit);
    is_shoppers = source != CAPI_SOURCE_BACKEND &&
                  (visit->has_session_cookie || visit->has_visit_cookie || visit->click_id);
    return is_shoppers ? NULL
                       : capi_visit_keyed_hash(
                             visit, "bind",
                             apr_pstrcat(visit->first->pool, "order:", event->order_id, NULL));
}

/* What anybody names as the page is cut as the request's own address is. */
static void cut_page_url(capi_visit_t *visit, capi_event_t *event)
{
    const char *url = json_string_value(json_object_get(event->body, "event_source_url"));
    const char *cut;

    if (!url) {
        return;
    }
    cut = capi_page_url(url, capi_conf_url_parameters(visit->dir), visit->first->pool);
    if (cut) {
        json_object_set_new(event->body, "event_source_url", json_string(cut));
    }
    else {
        json_object_del(event->body, "event_source_url");
    }
}

/* True where the sender will withhold it, whatever it knows: then nothing of the person goes into the
 * queue. A visit that came with a session may have answered on an earlier request, and what is
 * detached has answer and rule of another. */
static bool is_withheld_for_sure(capi_visit_t *visit, const capi_envelope_event_t *event)
{
    if (event->is_detached || capi_denied_action(visit->dir->on_denied) != CAPI_ACTION_SUPPRESS) {
        return false;
    }
    if (event->consent != CAPI_CONSENT_UNKNOWN || visit->consent.state == CAPI_CONSENT_GRANTED) {
        return event->consent == CAPI_CONSENT_DENIED;
    }
    if (capi_consent_is_answer(&visit->consent) || event->source == CAPI_SOURCE_BACKEND) {
        return true;
    }
    capi_visit_session_key(visit);
    return !visit->has_session_cookie;
}

static void know_client(capi_event_client_t *client, capi_visit_t *visit)
{
    client->click_id = visit->click_id;
    client->address = capi_visit_address(visit);
    client->agent = capi_visit_agent(visit);
    client->page_url = capi_visit_page_url(visit);
}

void capi_visit_event(capi_envelope_event_t *out, capi_visit_t *visit, capi_event_t *event,
                      capi_source_t source, const json_t *user_data)
{
    capi_event_client_t client = {NULL};

    memset(out, 0, sizeof(*out));
    capi_count(CAPI_COUNT_LEFT_OUT, event->left_out);
    out->is_named = event->event_id != NULL;
    if (!event->event_id) {
        capi_event_set_id(event, mint_id(visit, event), visit->first->pool);
    }
    cut_page_url(visit, event);
    out->source = source;
    out->name = event->name;
    out->sent_as = event->sent_as;
    out->event_id = event->event_id;
    out->event_time = event->event_time;
    out->context = foreign_context(visit, event, source);
    out->is_detached = out->context != NULL;
    out->consent = event->consent;
    out->warning = event->warning;
    if (!is_withheld_for_sure(visit, out)) {
        client.user_data = user_data;
        if (!out->is_detached && source != CAPI_SOURCE_BACKEND) {
            know_client(&client, visit);
        }
    }
    else if (event->body) {
        capi_denied_bare(event->body);
    }
    out->json = capi_event_write(&out->json_len, &out->keys, event, &client, visit->first->pool);
}
