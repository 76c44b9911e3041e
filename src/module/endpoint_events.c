/* pinterest-capi-events: Pinterest's own protocol for the shop's backend. 200 means on disk, so the
 * request waits for the sender; nothing of it is the shopper's but what its events say. */

#include "endpoint.h"
#include "supervisor_int.h"
#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <stddef.h>
#include <string.h>

APLOG_USE_MODULE(pinterest_capi);

#define WAIT_FOR_DISK apr_time_from_sec(2)
#define ACCOUNT_MAX   18

/* --- a turn at the disk --- */

typedef struct {
    _Atomic int64_t *slot;
    int64_t until;
} turn_t;

/* A slot holds the time at which its turn runs out: a worker that is killed while it waits gives
 * its turn back by dying. A turn further ahead than any can be comes from a clock set back. */
static bool take_turn(turn_t *turn)
{
    capi_board_t *board = capi_supervisor_board();
    int64_t moment = apr_time_now();
    int i;

    turn->until = moment + 2 * WAIT_FOR_DISK;
    for (i = 0; board && i < CAPI_WAITING_MAX; i++) {
        int64_t seen = atomic_load(&board->waiting[i]);

        if (seen < moment || seen > turn->until) {
            turn->slot = &board->waiting[i];
            if (atomic_compare_exchange_strong(turn->slot, &seen, turn->until)) {
                return true;
            }
        }
    }
    return false;
}

static void end_turn(turn_t *turn)
{
    (void)atomic_compare_exchange_strong(turn->slot, &turn->until, 0);
}

/* --- the address --- */

/* The id of a path that ends in /v5/ad_accounts/{id}/events; NULL where it does not. */
static const char *account_of(const char *path, apr_pool_t *p)
{
    static const char before[] = "/v5/ad_accounts/";
    static const char behind[] = "/events";
    apr_size_t len = strlen(path);
    const char *end;
    const char *id;

    if (len < strlen(before) + strlen(behind)) {
        return NULL;
    }
    end = path + len - strlen(behind);
    for (id = end; id > path && apr_isdigit(id[-1]);) {
        id--;
    }
    if (strcmp(end, behind) != 0 || id == end || end - id > ACCOUNT_MAX ||
        id - path < (ptrdiff_t)strlen(before) ||
        strncmp(id - strlen(before), before, strlen(before)) != 0) {
        return NULL;
    }
    return apr_pstrmemdup(p, id, (apr_size_t)(end - id));
}

static bool is_right_address(int *status, request_rec *r, const capi_visit_t *visit)
{
    const char *account = account_of(r->uri, r->pool);

    if (!account && visit->uri) {
        account = account_of(visit->uri, r->pool);
    }
    if (!account) {
        *status = capi_endpoint_refuse(r, HTTP_NOT_FOUND, CAPI_CODE_INVALID,
                                       "Invalid request: the path ends in "
                                       "/v5/ad_accounts/{ad_account_id}/events");
        return false;
    }
    if (!visit->dir->account || strcmp(account, visit->dir->account) != 0) {
        ap_log_rerror(
            APLOG_MARK, APLOG_INFO, 0, r,
            "PCAPI072: %s: not this place's ad account: answered 403; see " CAPI_DIR_AD_ACCOUNT,
            r->uri);
        *status = capi_endpoint_refuse(r, HTTP_FORBIDDEN, CAPI_CODE_FORBIDDEN,
                                       "You are not permitted to access that resource.");
        return false;
    }
    return true;
}

/* --- events --- */

typedef struct {
    request_rec *r;
    capi_visit_t *visit;
    capi_event_rules_t rules;
    capi_envelope_event_t *events;
    int event_count;
} delivery_t;

/* The shop's own addresses may carry a customer's data in their query, whoever says them. */
static void cut_page_url(capi_event_t *event, const delivery_t *d)
{
    const char *url = json_string_value(json_object_get(event->body, "event_source_url"));
    const char *cut;

    if (!url) {
        return;
    }
    cut = capi_page_url(url, capi_conf_url_parameters(d->visit->dir), d->r->pool);
    if (cut) {
        json_object_set_new(event->body, "event_source_url", json_string(cut));
    }
    else {
        json_object_del(event->body, "event_source_url");
    }
}

static void take_event(delivery_t *d, capi_result_t *result, const json_t *input)
{
    capi_event_t *event;

    if (capi_event_parse(&event, &result->error, input, &d->rules, d->r->pool) != APR_SUCCESS) {
        if (capi_queue() && result->error) {
            capi_queue_complain(
                capi_queue(),
                apr_pstrcat(d->r->pool, "an event of the backend: ", result->error, NULL),
                d->r->request_time);
        }
        return;
    }
    if (!event->event_id) {
        capi_event_set_id(event, capi_event_derive_id(input, d->r->pool), d->r->pool);
    }
    cut_page_url(event, d);
    capi_visit_event(&d->events[d->event_count++], d->visit, event, CAPI_SOURCE_BACKEND, NULL);
    result->processed = true;
    result->warning = event->warning;
}

/* What Pinterest says of `?test=true`: the same answers, nothing recorded. */
static bool is_dry_run(const delivery_t *d, bool is_test_place)
{
    const char *word = capi_query_get(d->r->args, "test", d->r->pool);

    return word && strcmp(word, "true") == 0 && !is_test_place;
}

/* Address, agent, cookies and click id of this request are the backend's, not the shopper's. */
static void make_envelope(capi_envelope_t *envelope, const delivery_t *d)
{
    capi_visit_envelope(envelope, d->visit);
    envelope->session_key = envelope->visit_key = NULL;
    envelope->click_id = envelope->address = envelope->agent = envelope->user_data = NULL;
    envelope->events = d->events;
    envelope->event_count = d->event_count;
}

/* Queued and on disk, or *status answers 503. A caller that repeats the call does no harm: the
 * events keep their ids. */
static bool keep_events(int *status, const delivery_t *d, const capi_envelope_t *envelope)
{
    uint64_t position = 0;
    apr_status_t rv;
    turn_t turn;

    if (!take_turn(&turn)) {
        *status = capi_endpoint_unavailable(d->r, "Too many requests wait for the disk. Nothing "
                                                  "was taken.");
        return false;
    }
    if (!capi_endpoint_push(status, d->r, envelope, &position)) {
        end_turn(&turn);
        return false;
    }
    rv = capi_queue_wait_durable(capi_queue(), position, WAIT_FOR_DISK);
    end_turn(&turn);
    if (rv != APR_SUCCESS) {
        *status = capi_endpoint_unavailable(d->r, "The events are not on disk yet. Repeat the call "
                                                  "to be sure.");
        return false;
    }
    return true;
}

static int deliver(delivery_t *d, const json_t *list)
{
    const int count = (int)json_array_size(list);
    capi_result_t *results = apr_pcalloc(d->r->pool, (apr_size_t)count * sizeof(*results));
    capi_envelope_t envelope;
    int status = OK;
    int i;

    d->events = apr_pcalloc(d->r->pool, (apr_size_t)count * sizeof(*d->events));
    capi_visit_event_rules(&d->rules, d->visit, CAPI_SOURCE_BACKEND);
    if (d->visit->dir->names == CAPI_UNSET) {
        d->rules.vocabulary = CAPI_NAMES_PINTEREST;
    }
    d->rules.may_lack_id = true;
    for (i = 0; i < count; i++) {
        take_event(d, &results[i], json_array_get(list, (size_t)i));
    }
    make_envelope(&envelope, d);
    if (d->event_count > 0 && !is_dry_run(d, envelope.settings.test) &&
        !keep_events(&status, d, &envelope)) {
        return status;
    }
    return capi_endpoint_report(d->r, results, count);
}

int capi_events_serve(request_rec *r)
{
    delivery_t d = {.r = r};
    const json_t *list;
    int status = OK;

    d.visit = capi_endpoint_visit(&status, r);
    if (!d.visit || !is_right_address(&status, r, d.visit)) {
        return status;
    }
    if (r->method_number != M_POST) {
        return capi_endpoint_wrong_method(r, "POST");
    }
    list = capi_endpoint_events(&status, r, CAPI_BODY_JSON);
    return list ? deliver(&d, list) : status;
}
