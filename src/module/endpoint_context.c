/* pinterest-capi-context: what only the page knows about its visit, told to the server before a
 * payment page cuts the thread; and what the server knows, told to the page. */

#include "denied.h"
#include "endpoint.h"
#include "text.h"

#include <apr_strings.h>

#include <string.h>

APLOG_USE_MODULE(pinterest_capi);

#define CART_PREFIX "cart:"
#define BIND_MAX    256

/* `order:` keys are the shop's to give: they decide whose data completes a purchase. */
static bool is_cart_key(const json_t *value)
{
    const char *key = json_string_value(value);
    apr_size_t len = json_string_length(value);

    return key && strlen(key) == len && len > strlen(CART_PREFIX) && len <= BIND_MAX &&
           strncmp(key, CART_PREFIX, strlen(CART_PREFIX)) == 0 && capi_is_clean_text(key, len);
}

/* The page sees the URL that the ad led to even where its policy sends no Referer, so its word goes
 * before the cookie's. */
static void take_click_id(capi_visit_t *visit, const json_t *value)
{
    const char *click_id = json_string_value(value);

    if (!click_id || visit->click_id_is_new ||
        !capi_is_click_id(click_id, json_string_length(value))) {
        return;
    }
    if (!visit->click_id || strcmp(visit->click_id, click_id) != 0) {
        visit->click_id = apr_pstrdup(visit->first->pool, click_id);
        visit->click_id_is_new = true;
    }
}

/* Where the sender does not withhold an event without a grant, the page need not either. NULL: it
 * does. */
static const char *on_denied(const capi_visit_t *visit)
{
    if (visit->consent.state == CAPI_CONSENT_GRANTED || !visit->dir->on_denied) {
        return NULL;
    }
    switch (capi_denied_action(visit->dir->on_denied)) {
    case CAPI_ACTION_LIMITED:
        return "limited";
    case CAPI_ACTION_STRIP:
        return "strip";
    default:
        return NULL;
    }
}

static int answer(request_rec *r, const capi_visit_t *visit)
{
    const char *action = on_denied(visit);
    json_t *known = json_object();

    json_object_set_new(known, "epik",
                        visit->click_id ? json_string(visit->click_id) : json_null());
    json_object_set_new(known, "consent", json_string(capi_consent_name(visit->consent.state)));
    json_object_set_new(known, "event_id", json_string(visit->event_id ? visit->event_id : ""));
    if (action) {
        json_object_set_new(known, "on_denied", json_string(action));
    }
    return capi_endpoint_answer(r, HTTP_OK, known);
}

static int store_context(request_rec *r, capi_visit_t *visit, const json_t *body)
{
    const json_t *key = json_object_get(body, "bind");
    capi_envelope_bind_t bind = {.by_server = false};
    capi_envelope_t envelope;
    int status = OK;

    if (!json_is_object(body)) {
        return capi_endpoint_refuse(r, HTTP_BAD_REQUEST, CAPI_CODE_INVALID,
                                    "Invalid request: not a JSON object");
    }
    if (key && !json_is_null(key) && !is_cart_key(key)) {
        return capi_endpoint_refuse(r, HTTP_BAD_REQUEST, CAPI_CODE_INVALID,
                                    "Invalid request: a page may bind keys like cart:10492 only");
    }
    take_click_id(visit, json_object_get(body, "epik"));
    capi_visit_envelope(&envelope, visit);
    if (json_is_string(key)) {
        bind.key = capi_visit_keyed_hash(visit, "bind", json_string_value(key));
        envelope.binds = &bind;
        envelope.bind_count = 1;
    }
    if (!envelope.session_key && !envelope.visit_key && envelope.bind_count == 0) {
        /* Nothing names this visit, so nothing could ever find what it said. */
        return answer(r, visit);
    }
    return capi_endpoint_push(&status, r, &envelope, NULL) ? answer(r, visit) : status;
}

int capi_context_serve(request_rec *r)
{
    capi_visit_t *visit;
    const json_t *body;
    int status = OK;

    visit = capi_endpoint_visit(&status, r);
    if (!visit) {
        return status;
    }
    if (capi_endpoint_is_preflight(&status, r, "GET, POST")) {
        return status;
    }
    if (r->method_number != M_GET && r->method_number != M_POST) {
        return capi_endpoint_wrong_method(r, "GET, POST");
    }
    if (!capi_endpoint_is_own_page(&status, r)) {
        return status;
    }
    if (r->method_number == M_GET) {
        return answer(r, visit);
    }
    if (!capi_endpoint_is_within_limit(&status, r, 1)) {
        return status;
    }
    body = capi_endpoint_read(&status, r, CAPI_BODY_JSON);
    return body ? store_context(r, visit, body) : status;
}
