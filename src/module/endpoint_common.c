/* What the endpoints share: who may call, reading a body, answering in Pinterest's shapes. */

#include "endpoint.h"
#include "ident.h"
#include "rate.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <util_filter.h>

#include <stdlib.h>
#include <strings.h>

APLOG_USE_MODULE(pinterest_capi);

#define READ_BYTES 16384

/* A bracket of two bytes becomes a container of 250. No event is written in less than eight bytes a
 * value, so a body of the largest size that has more of them was made to fill memory. */
#define VALUES_MAX (CAPI_EVENTS_BODY_MAX / 8)

/* --- answers --- */

int capi_endpoint_answer(request_rec *r, int http_status, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);

    json_decref(body);
    if (!text) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    r->status = http_status;
    r->status_line = NULL;
    ap_set_content_type(r, "application/json");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    ap_set_content_length(r, (apr_off_t)strlen(text));
    if (!r->header_only) {
        ap_rwrite(text, (int)strlen(text), r);
    }
    free(text);
    return OK;
}

int capi_endpoint_refuse(request_rec *r, int http_status, int code, const char *message)
{
    return capi_endpoint_answer(r, http_status, capi_wire_error(code, message, NULL));
}

int capi_endpoint_unavailable(request_rec *r, const char *message)
{
    apr_table_setn(r->headers_out, "Retry-After", CAPI_RETRY_AFTER);
    return capi_endpoint_refuse(r, HTTP_SERVICE_UNAVAILABLE, CAPI_CODE_UNAVAILABLE, message);
}

int capi_endpoint_wrong_method(request_rec *r, const char *allowed)
{
    apr_table_setn(r->headers_out, "Allow", allowed);
    return capi_endpoint_refuse(
        r, HTTP_METHOD_NOT_ALLOWED, CAPI_CODE_INVALID,
        apr_psprintf(r->pool, "Invalid request: the method is %s", allowed));
}

/* What follows a body that is too large need not be read for an answer to be heard. */
static int refuse_size(request_rec *r)
{
    r->connection->keepalive = AP_CONN_CLOSE;
    return capi_endpoint_refuse(r, HTTP_REQUEST_ENTITY_TOO_LARGE, CAPI_CODE_INVALID,
                                "Invalid request: at most 1000 events and 2 MiB in one request");
}

int capi_endpoint_report(request_rec *r, const capi_result_t *results, int count)
{
    json_t *report = capi_wire_report(results, count);
    bool is_whole = true;
    int i;

    for (i = 0; i < count; i++) {
        is_whole = is_whole && results[i].processed;
    }
    if (is_whole) {
        return capi_endpoint_answer(r, HTTP_OK, report);
    }
    return capi_endpoint_answer(
        r, HTTP_UNPROCESSABLE_ENTITY,
        capi_wire_error(CAPI_CODE_PARTIAL,
                        "The action could not be processed properly due to some or all data "
                        "provided being invalid.",
                        report));
}

/* --- who is called --- */

const char *capi_endpoint_name(const request_rec *r)
{
    static const char prefix[] = "pinterest-capi-";
    apr_size_t len = sizeof(prefix) - 1;

    return r->handler && strncmp(r->handler, prefix, len) == 0 ? r->handler + len : NULL;
}

int capi_endpoint_handler(request_rec *r)
{
    static const struct {
        const char *name;
        int (*serve)(request_rec *r);
    } endpoints[] = {
        {"collect", capi_collect_serve},
        {"context", capi_context_serve},
        {"events", capi_events_serve},
        {"client", capi_client_serve},
    };
    const char *name = capi_endpoint_name(r);

    for (apr_size_t i = 0; name && i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        if (strcmp(name, endpoints[i].name) == 0) {
            return endpoints[i].serve(r);
        }
    }
    return DECLINED;
}

/* --- who may call --- */

capi_visit_t *capi_endpoint_visit(int *status, request_rec *r)
{
    capi_visit_t *visit = capi_visit_of(r);

    if (!visit || !visit->is_settled || !capi_conf_is_on(visit->dir)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "PCAPI070: %s: the handler %s is set here, but " CAPI_DIR_ENABLED
                      " is Off: answered 403",
                      r->uri, r->handler);
        *status = capi_endpoint_refuse(r, HTTP_FORBIDDEN, CAPI_CODE_FORBIDDEN,
                                       CAPI_DIR_ENABLED " is Off here.");
        return NULL;
    }
    visit->is_endpoint = true;
    if (!capi_queue()) {
        *status = capi_endpoint_unavailable(r, "The server has no queue for events.");
        return NULL;
    }
    return visit;
}

/* Length of `host[:port]` without a port that its scheme implies. */
static apr_size_t authority_len(const char *authority)
{
    apr_size_t len = strlen(authority);

    if (len > 3 && strcmp(authority + len - 3, ":80") == 0) {
        return len - 3;
    }
    if (len > 4 && strcmp(authority + len - 4, ":443") == 0) {
        return len - 4;
    }
    return len;
}

/* The scheme is not compared: TLS may end before this server. */
static bool is_origin_of(const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");
    apr_size_t len;

    if (!authority || !host) {
        return false;
    }
    authority += 3;
    len = authority_len(authority);
    return len > 0 && len == authority_len(host) && strncasecmp(authority, host, len) == 0;
}

static bool is_known_origin(const request_rec *r, const char *origin)
{
    const apr_array_header_t *known = capi_server_conf(r->server)->collect_origins;
    int i;

    for (i = 0; origin && known && i < known->nelts; i++) {
        if (strcasecmp(APR_ARRAY_IDX(known, i, const char *), origin) == 0) {
            return true;
        }
    }
    return false;
}

static void allow_origin(request_rec *r, const char *origin)
{
    apr_table_setn(r->headers_out, "Access-Control-Allow-Origin", origin);
    apr_table_setn(r->headers_out, "Access-Control-Allow-Credentials", "true");
    apr_table_mergen(r->headers_out, "Vary", "Origin");
}

bool capi_endpoint_is_preflight(int *status, request_rec *r, const char *methods)
{
    const char *origin = apr_table_get(r->headers_in, "Origin");

    if (r->method_number != M_OPTIONS || !is_known_origin(r, origin)) {
        return false;
    }
    allow_origin(r, origin);
    apr_table_setn(r->headers_out, "Access-Control-Allow-Methods", methods);
    apr_table_setn(r->headers_out, "Access-Control-Allow-Headers", "Content-Type");
    apr_table_setn(r->headers_out, "Access-Control-Max-Age", "3600");
    *status = HTTP_NO_CONTENT;
    return true;
}

/* --- how much --- */

static capi_rate_t *rate;

apr_status_t capi_endpoint_prepare(apr_pool_t *p)
{
    rate = NULL;
    return capi_rate_create(&rate, p);
}

bool capi_endpoint_is_within_limit(int *status, request_rec *r, int events)
{
    int limit = capi_conf_collect_limit(capi_server_conf(r->server));
    int retry_after = 0;

    if (!rate || !capi_secret() ||
        capi_rate_take(rate, capi_secret(), CAPI_SECRET_LEN, r->useragent_ip, events, limit,
                       r->request_time, &retry_after)) {
        return true;
    }
    apr_table_setn(r->headers_out, "Retry-After", apr_itoa(r->pool, retry_after));
    *status = capi_endpoint_refuse(r, HTTP_TOO_MANY_REQUESTS, CAPI_CODE_TOO_MANY,
                                   "This client sent too many events within a minute.");
    return false;
}

/* Sec-Fetch-Site knows better than Origin, which a proxy that changes Host makes look foreign. Neither
 * is there when curl or an old browser calls. */
bool capi_endpoint_is_own_page(int *status, request_rec *r)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *origin = apr_table_get(r->headers_in, "Origin");

    if (is_known_origin(r, origin)) {
        allow_origin(r, origin);
        return true;
    }
    if (site ? strcasecmp(site, "same-origin") == 0
             : !origin || is_origin_of(origin, apr_table_get(r->headers_in, "Host"))) {
        return true;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "PCAPI071: %s: called from another site: answered 403; only pages of this host "
                  "may call it",
                  r->uri);
    *status = capi_endpoint_refuse(r, HTTP_FORBIDDEN, CAPI_CODE_FORBIDDEN,
                                   "Only pages of this host may call this endpoint.");
    return false;
}

/* --- the body --- */

static bool has_right_type(const request_rec *r, capi_body_kind_t kind)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    apr_size_t len;

    if (!type || !*type) {
        return kind == CAPI_BODY_LENIENT;
    }
    len = strcspn(type, "; \t");
    if (len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0) {
        return true;
    }
    return kind == CAPI_BODY_LENIENT && len == strlen("text/plain") &&
           strncasecmp(type, "text/plain", len) == 0;
}

typedef struct {
    char *bytes;
    apr_size_t len, room;
} body_t;

static bool append(body_t *body, const char *bytes, apr_size_t len, apr_pool_t *p)
{
    if (body->len + len > CAPI_EVENTS_BODY_MAX) {
        return false;
    }
    if (body->len + len > body->room) {
        char *wider;

        body->room = 2 * (body->len + len);
        wider = apr_palloc(p, body->room);
        if (body->len > 0) {
            memcpy(wider, body->bytes, body->len);
        }
        body->bytes = wider;
    }
    memcpy(body->bytes + body->len, bytes, len);
    body->len += len;
    return true;
}

/* APR_ENOSPC: more than an endpoint takes. */
static apr_status_t take_brigade(body_t *body, bool *has_ended, apr_bucket_brigade *bb,
                                 apr_pool_t *p)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *bytes;
        apr_size_t len;
        apr_status_t rv;

        if (APR_BUCKET_IS_EOS(b)) {
            *has_ended = true;
            return APR_SUCCESS;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        rv = apr_bucket_read(b, &bytes, &len, APR_BLOCK_READ);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        if (!append(body, bytes, len, p)) {
            return APR_ENOSPC;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t read_all(body_t *body, request_rec *r)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    bool has_ended = false;
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !has_ended) {
        rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, READ_BYTES);
        if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(bb)) {
            rv = APR_EOF;
        }
        if (rv == APR_SUCCESS) {
            rv = take_brigade(body, &has_ended, bb, r->pool);
        }
        apr_brigade_cleanup(bb);
    }
    apr_brigade_destroy(bb);
    return rv;
}

/* OK, or the body could not be read and *status says what came of it. */
static bool read_body(int *status, body_t *body, request_rec *r)
{
    const char *declared = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t len;
    apr_status_t rv;
    int http_status;

    if (declared && ap_parse_strict_length(&len, declared)) {
        if (len > CAPI_EVENTS_BODY_MAX) {
            *status = refuse_size(r);
            return false;
        }
        body->room = (apr_size_t)len;
        body->bytes = apr_palloc(r->pool, body->room + 1);
    }
    rv = read_all(body, r);
    if (rv == APR_SUCCESS) {
        return true;
    }
    if (rv == APR_ENOSPC) {
        *status = refuse_size(r);
        return false;
    }
    http_status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
    *status = http_status == AP_FILTER_ERROR
                  ? AP_FILTER_ERROR
                  : capi_endpoint_refuse(r, http_status, CAPI_CODE_INVALID,
                                         "Invalid request: the body ended too early");
    return false;
}

/* Brackets and commas inside strings count too: they are rare there. */
static bool has_too_many_values(const body_t *body)
{
    apr_size_t count = 0;
    apr_size_t i;

    for (i = 0; i < body->len; i++) {
        char c = body->bytes[i];

        count += c == ',' || c == '{' || c == '[';
    }
    return count > VALUES_MAX;
}

static apr_status_t free_json(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

json_t *capi_endpoint_read(int *status, request_rec *r, capi_body_kind_t kind)
{
    body_t body = {NULL, 0, 0};
    json_error_t error;
    json_t *json;

    if (!has_right_type(r, kind)) {
        *status = capi_endpoint_refuse(r, HTTP_UNSUPPORTED_MEDIA_TYPE, CAPI_CODE_INVALID,
                                       "Invalid request: the Content-Type is application/json");
        return NULL;
    }
    if (!read_body(status, &body, r)) {
        return NULL;
    }
    if (has_too_many_values(&body)) {
        *status = refuse_size(r);
        return NULL;
    }
    json = json_loadb(body.len ? body.bytes : "", body.len, 0, &error);
    if (!json) {
        *status = capi_endpoint_refuse(
            r, HTTP_BAD_REQUEST, CAPI_CODE_INVALID,
            apr_psprintf(r->pool, "Invalid request: not JSON (line %d, column %d)", error.line,
                         error.column));
        return NULL;
    }
    apr_pool_cleanup_register(r->pool, json, free_json, apr_pool_cleanup_null);
    return json;
}

/* The list in a body; with `or_one` the body may be an event by itself. */
static const json_t *find_list(int *status, request_rec *r, json_t *body, bool or_one)
{
    json_t *list = json_object_get(body, "data");
    const char *trouble = NULL;

    if (!list && or_one && json_object_get(body, "event_name")) {
        list = json_array();
        json_array_append(list, body);
        apr_pool_cleanup_register(r->pool, list, free_json, apr_pool_cleanup_null);
    }
    if (!json_is_object(body) || !list) {
        trouble = or_one ? "Invalid request: neither an event nor {\"data\": [...]}"
                         : "Invalid request: 'data' is a required property";
    }
    else if (!json_is_array(list)) {
        trouble = "Invalid request: 'data' is not of type 'array'";
    }
    else if (json_array_size(list) == 0) {
        trouble = "Invalid request: 'data' is empty: it must hold at least one event";
    }
    if (trouble) {
        *status = capi_endpoint_refuse(r, HTTP_BAD_REQUEST, CAPI_CODE_INVALID, trouble);
        return NULL;
    }
    if (json_array_size(list) > CAPI_EVENTS_PER_REQUEST) {
        *status = refuse_size(r);
        return NULL;
    }
    return list;
}

const json_t *capi_endpoint_events(int *status, request_rec *r, capi_body_kind_t kind)
{
    json_t *body = capi_endpoint_read(status, r, kind);

    return body ? find_list(status, r, body, kind == CAPI_BODY_LENIENT) : NULL;
}

/* --- the queue --- */

bool capi_endpoint_push(int *status, request_rec *r, const capi_envelope_t *envelope,
                        uint64_t *position)
{
    apr_status_t rv = capi_record_push(r->server, envelope, position, r->pool);

    if (rv == APR_SUCCESS) {
        return true;
    }
    *status = rv == APR_EINVAL
                  ? capi_endpoint_refuse(r, HTTP_REQUEST_ENTITY_TOO_LARGE, CAPI_CODE_INVALID,
                                         "Invalid request: more than the server's queue takes at "
                                         "once, send fewer events in one request")
                  : capi_endpoint_unavailable(r, "The server's queue is full. Nothing was taken.");
    return false;
}
