/* Where events go: what configuration and store say about it, and holds. */

#include "sender.h"

#include <string.h>

#include <apr_strings.h>

/* Pinterest allows 5000 requests a minute: a burst of 200 and 80 a second stay below. */
#define ACCOUNT_RATE  80
#define ACCOUNT_BURST 200

#define REFUSAL_PAUSE     apr_time_from_sec(1)
#define REFUSAL_PAUSE_MAX apr_time_from_sec(60)

/* What this file says where there is no token, so that it knows its own words in the store. */
#define NO_TOKEN_FILE    "no PinterestCapiTokenFile for account "
#define TOKEN_UNREADABLE "token file "

static capi_quota_t *find_quota(capi_sender_t *sender, const char *account)
{
    capi_quota_t *quota;
    int i;

    for (i = 0; i < sender->quotas->nelts; i++) {
        quota = APR_ARRAY_IDX(sender->quotas, i, capi_quota_t *);
        if (strcmp(quota->account, account) == 0) {
            return quota;
        }
    }
    quota = apr_pcalloc(sender->pool, sizeof(*quota));
    quota->account = apr_pstrdup(sender->pool, account);
    capi_bucket_init(&quota->rate, ACCOUNT_RATE, ACCOUNT_BURST, capi_ticks());
    APR_ARRAY_PUSH(sender->quotas, capi_quota_t *) = quota;
    return quota;
}

static bool is_same(const capi_destination_t *row, const char *account, const char *api_url,
                    bool test, capi_wire_t wire)
{
    return row->test == test && row->wire == wire && strcmp(row->account, account) == 0 &&
           strcmp(row->api_url, api_url) == 0;
}

static int find_configured(const capi_sender_t *sender, const capi_destination_t *row)
{
    int i;

    for (i = 0; i < sender->config->account_count; i++) {
        const capi_sender_account_t *account = &sender->config->accounts[i];

        if (is_same(row, account->account, account->api_url, account->test, account->wire)) {
            return i;
        }
    }
    return -1;
}

/* Another virtual host may know the token of an account that this destination does not. */
static int find_configured_account(const capi_sender_t *sender, const char *account)
{
    int i;

    for (i = 0; i < sender->config->account_count; i++) {
        if (strcmp(sender->config->accounts[i].account, account) == 0) {
            return i;
        }
    }
    return -1;
}

static bool is_local_reason(const char *reason)
{
    return reason && (strncmp(reason, NO_TOKEN_FILE, sizeof(NO_TOKEN_FILE) - 1) == 0 ||
                      strncmp(reason, TOKEN_UNREADABLE, sizeof(TOKEN_UNREADABLE) - 1) == 0);
}

static void set_target(capi_sender_t *sender, capi_route_t *route, int index)
{
    const capi_sender_account_t *account = &sender->config->accounts[index];

    route->target.url =
        capi_events_url(route->row.api_url, route->row.account, route->row.test, sender->pool);
    route->target.ca_file = account->ca_file;
    route->target.proxy = account->proxy;
    route->catalog = capi_catalog_of(sender, account->catalog);
    route->token_file = account->token_file ? account->token_file : "(none)";
    route->flush_events = account->flush_events > 0 ? account->flush_events : 1;
    route->flush_sec = account->flush_sec;
    if (sender->tokens[index]) {
        route->target.headers = capi_headers_make(sender->tokens[index]);
    }
}

/* Nothing can be sent without a token; only another start brings one. */
static void hold_for_want_of_token(capi_sender_t *sender, capi_route_t *route, int index)
{
    const char *reason;

    if (index >= 0 && sender->config->accounts[index].token_file) {
        reason = apr_psprintf(sender->pool,
                              TOKEN_UNREADABLE "'%s' of account %s could not be read or holds no "
                                               "token: mend it and run apachectl graceful",
                              sender->config->accounts[index].token_file, route->row.account);
    }
    else if (find_configured_account(sender, route->row.account) >= 0) {
        reason =
            apr_psprintf(sender->pool,
                         NO_TOKEN_FILE "%s at '%s'%s: add one, or its events wait until they "
                                       "expire",
                         route->row.account, route->row.api_url, route->row.test ? " (test)" : "");
    }
    else {
        reason = apr_psprintf(sender->pool,
                              NO_TOKEN_FILE "%s: add one, or its events wait until they expire",
                              route->row.account);
    }
    route->local_hold = true;
    capi_route_hold(route, reason, false);
}

static void begin_held(capi_route_t *route)
{
    if (is_local_reason(route->row.held_reason)) {
        capi_route_release(route);
        return;
    }
    capi_log(CAPI_LOG_NOTICE, "PCAPI131: account %s%s is on hold since an earlier run: trying once",
             route->row.account, route->row.test ? " (test)" : "");
}

static void add_route(capi_sender_t *sender, const capi_destination_t *row)
{
    capi_route_t *route = apr_pcalloc(sender->pool, sizeof(*route));
    int index = find_configured(sender, row);

    route->row = *row;
    route->row.account = apr_pstrdup(sender->pool, row->account);
    route->row.api_url = apr_pstrdup(sender->pool, row->api_url);
    apr_pool_create(&route->hold_pool, sender->pool);
    route->row.held_reason = apr_pstrdup(route->hold_pool, row->held_reason);
    route->quota = find_quota(sender, route->row.account);
    route->token_file = "(none)";
    route->flush_events = 1;
    route->batch_max = CAPI_EVENTS_PER_REQUEST;
    if (index >= 0) {
        set_target(sender, route, index);
    }
    if (!route->target.headers && index < 0 && capi_store_is_shared(sender->store)) {
        /* Another web server's: what it is held for is not this sender's to say. */
        route->local_hold = true;
    }
    else if (!route->target.headers) {
        hold_for_want_of_token(sender, route, index);
    }
    else if (route->row.is_held) {
        begin_held(route);
    }
    APR_ARRAY_PUSH(sender->routes, capi_route_t *) = route;
}

capi_route_t *capi_route_by_id(const capi_sender_t *sender, apr_int64_t id)
{
    int i;

    for (i = 0; i < sender->routes->nelts; i++) {
        capi_route_t *route = APR_ARRAY_IDX(sender->routes, i, capi_route_t *);

        if (route->row.id == id) {
            return route;
        }
    }
    return NULL;
}

apr_status_t capi_routes_reload(capi_sender_t *sender)
{
    apr_array_header_t *list;
    apr_pool_t *scratch;
    apr_status_t rv;
    int i;

    apr_pool_create(&scratch, sender->pool);
    rv = capi_store_destinations(&list, sender->store, scratch);
    for (i = 0; rv == APR_SUCCESS && i < list->nelts; i++) {
        /* An array of structures. */
        const capi_destination_t *row = &APR_ARRAY_IDX(list, i, capi_destination_t);

        capi_route_t *known = capi_route_by_id(sender, row->id);

        if (known) {
            known->row.is_paused = row->is_paused;
        }
        else {
            add_route(sender, row);
        }
    }
    apr_pool_destroy(scratch);
    return rv;
}

apr_status_t capi_routes_load(capi_sender_t *sender)
{
    apr_status_t rv = capi_store_begin(sender->store);
    int i;

    for (i = 0; rv == APR_SUCCESS && i < sender->config->account_count; i++) {
        const capi_sender_account_t *account = &sender->config->accounts[i];
        capi_settings_t settings = {.account = account->account,
                                    .api_url = account->api_url,
                                    .test = account->test,
                                    .wire = account->wire};
        apr_int64_t id;

        rv = capi_store_destination(&id, sender->store, &settings);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_routes_reload(sender);
    }
    if (rv != APR_SUCCESS) {
        capi_store_rollback(sender->store);
        return rv;
    }
    capi_routes_save(sender);
    rv = capi_store_commit(sender->store);
    if (rv == APR_SUCCESS) {
        capi_routes_saved(sender);
    }
    return rv;
}

capi_route_t *capi_route_of(const capi_sender_t *sender, const capi_settings_t *settings)
{
    int i;

    for (i = 0; i < sender->routes->nelts; i++) {
        capi_route_t *route = APR_ARRAY_IDX(sender->routes, i, capi_route_t *);

        if (is_same(&route->row, settings->account, settings->api_url, settings->test,
                    settings->wire)) {
            return route;
        }
    }
    return NULL;
}

void capi_route_news(capi_route_t *route, int events)
{
    apr_time_t look_at = capi_ticks();

    /* What came now cannot have to go before the flush interval is over, unless it fills a batch. A
     * bind may make an event due that waited for it, so it counts as news too. */
    route->maybe_due += events;
    if (route->maybe_due < route->flush_events) {
        look_at += apr_time_from_sec(route->flush_sec);
    }
    if (look_at < route->look_at) {
        route->look_at = look_at;
    }
}

/* --- holds --- */

static void set_hold_pause(capi_route_t *route, bool for_refusal)
{
    apr_interval_time_t pause;

    /* Requests that were in flight together are one probe. */
    if (route->row.is_held && route->not_before > capi_ticks()) {
        return;
    }
    route->probes++;
    pause = capi_probe_pause(route->probes);
    if (for_refusal) {
        int shift = route->probes < 8 ? route->probes - 1 : 7;

        pause = REFUSAL_PAUSE << shift;
        pause = pause < REFUSAL_PAUSE_MAX ? pause : REFUSAL_PAUSE_MAX;
    }
    route->not_before = capi_ticks() + pause;
}

void capi_route_hold(capi_route_t *route, const char *reason, bool for_refusal)
{
    bool is_news = !route->row.is_held || !route->row.held_reason ||
                   strcmp(route->row.held_reason, reason) != 0;

    set_hold_pause(route, for_refusal);
    if (!is_news) {
        return;
    }
    apr_pool_clear(route->hold_pool);
    route->row.is_held = true;
    route->row.held_reason = apr_pstrdup(route->hold_pool, reason);
    route->hold_changed = true;
    capi_log(CAPI_LOG_ERR, "PCAPI130: account %s%s is on hold, its events are kept: %s",
             route->row.account, route->row.test ? " (test)" : "", reason);
}

void capi_route_release(capi_route_t *route)
{
    if (!route->row.is_held) {
        return;
    }
    route->row.is_held = false;
    route->row.held_reason = NULL;
    route->hold_changed = true;
    route->probes = 0;
    route->not_before = 0;
    route->look_at = 0;
    capi_log(CAPI_LOG_NOTICE, "PCAPI132: account %s%s is no longer on hold: its events go out",
             route->row.account, route->row.test ? " (test)" : "");
}

bool capi_routes_are_changed(const capi_sender_t *sender)
{
    int i;

    for (i = 0; i < sender->routes->nelts; i++) {
        if (APR_ARRAY_IDX(sender->routes, i, capi_route_t *)->hold_changed) {
            return true;
        }
    }
    return false;
}

void capi_routes_save(capi_sender_t *sender)
{
    int i;

    for (i = 0; i < sender->routes->nelts; i++) {
        const capi_route_t *route = APR_ARRAY_IDX(sender->routes, i, capi_route_t *);

        if (route->hold_changed) {
            capi_store_hold(sender->store, route->row.id, route->row.held_reason, capi_now());
        }
    }
}

void capi_routes_saved(capi_sender_t *sender)
{
    int i;

    for (i = 0; i < sender->routes->nelts; i++) {
        APR_ARRAY_IDX(sender->routes, i, capi_route_t *)->hold_changed = false;
    }
}

/* --- suspects --- */

apr_time_t capi_route_suspected_at(const capi_route_t *route, apr_int64_t event)
{
    int i;

    for (i = 0; i < CAPI_SUSPECTS; i++) {
        if (route->suspects[i].event == event && route->suspects[i].refused_at) {
            return route->suspects[i].refused_at;
        }
    }
    return 0;
}

void capi_route_suspect(capi_route_t *route, apr_int64_t event, apr_time_t refused_at)
{
    if (capi_route_suspected_at(route, event)) {
        return;
    }
    /* The oldest makes room: it is suspected anew when it is refused again. */
    route->suspects[route->next_suspect].event = event;
    route->suspects[route->next_suspect].refused_at = refused_at;
    route->next_suspect = (route->next_suspect + 1) % CAPI_SUSPECTS;
}
