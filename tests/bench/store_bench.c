/* Events a CPU second through the store: taken in, claimed, delivered, in transactions of a
 * thousand, in front of a backlog that waits. Not a test. Usage: store_bench DIRECTORY [EVENTS
 * [EVENTS-PER-VISIT [NAMED-PERCENT [BACKLOG]]]]. */

#include "store.h"

#include "event.h"
#include "ident.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define BATCH 1000

static const char event_json[] =
    "{\"event_name\":\"page_visit\",\"action_source\":\"web\",\"event_time\":1790000000,"
    "\"event_id\":\"%s\",\"event_source_url\":\"https://shop.example/product/sundial-cap/"
    "?utm_source=pinterest&utm_medium=paid\",\"user_data\":{\"em\":[\"e258d248fda94c63753607f7c4494"
    "ee0fcbe92f1a76bfdac795c9d84101eb317\"],\"click_id\":\"dj0yJnU9b2JDcFFHekV4SHJNcmVrbFBkUEdqakh"
    "0akdUT1VjVVUmcD0yJm49cnNBQ3F2Q2dOVDBWWWhkWklrUGxBUSZ0PUFBQUFBR1BaY3Bv\",\"client_ip_address\""
    ":\"203.0.113.9\",\"client_user_agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\"},\"custom_data\":{\"currency\":\"EUR\","
    "\"value\":\"39.95\",\"content_ids\":[\"cap-17\"],\"num_items\":1}}";

typedef struct {
    int events;
    int per_visit;
    int named_percent;
    int backlog;
    double take;
    double claim;
    double settle;
    int delivered;
} run_t;

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) / 1e6;
}

static void insist(apr_status_t rv, const capi_store_t *store, const char *what)
{
    if (rv != APR_SUCCESS) {
        fprintf(stderr, "%s: %s\n", what, capi_store_error(store));
        exit(1);
    }
}

static capi_envelope_t *make_envelope(const run_t *run, int number, apr_time_t now, apr_pool_t *p)
{
    capi_envelope_t *envelope = apr_pcalloc(p, sizeof(*envelope));
    capi_envelope_event_t *event = apr_pcalloc(p, sizeof(*event));
    char *id = apr_palloc(p, CAPI_UUID_LEN + 1);

    capi_uuid7(id, now);
    envelope->settings = (capi_settings_t){.account = "549755885175",
                                           .api_url = "https://api.pinterest.com/v5",
                                           .wire = CAPI_WIRE_V5,
                                           .merge_window_sec = 0,
                                           .max_age_sec = 604800,
                                           .on_denied = "suppress"};
    envelope->received_at = now;
    envelope->consent = (capi_consent_t){.state = CAPI_CONSENT_GRANTED, .signal = "header"};
    envelope->session_key = apr_psprintf(p, "%032d", number / run->per_visit);
    envelope->address = "203.0.113.9";
    envelope->agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                      "Chrome/126.0.0.0 Safari/537.36";
    envelope->event_count = 1;
    envelope->events = event;
    event->source = CAPI_SOURCE_RULE;
    event->name = event->sent_as = "page_visit";
    event->event_id = id;
    event->is_named = number % 100 < run->named_percent;
    event->event_time = apr_time_sec(now);
    event->keys = CAPI_KEY_BIT(CAPI_KEY_EM) | CAPI_KEY_BIT(CAPI_KEY_CLICK_ID) |
                  CAPI_KEY_BIT(CAPI_KEY_CLIENT_IP_ADDRESS) |
                  CAPI_KEY_BIT(CAPI_KEY_CLIENT_USER_AGENT);
    event->json = apr_psprintf(p, event_json, id);
    event->json_len = strlen(event->json);
    return envelope;
}

static void take_batch(run_t *run, capi_store_t *store, int from, apr_pool_t *p)
{
    capi_envelope_t *envelopes[BATCH];
    capi_intake_t tally = {0};
    double start;

    for (int i = 0; i < BATCH; i++) {
        envelopes[i] = make_envelope(run, from + i, apr_time_now(), p);
    }
    start = cpu_seconds();
    insist(capi_store_begin(store), store, "begin");
    for (int i = 0; i < BATCH; i++) {
        insist(capi_store_take(store, envelopes[i], apr_time_now(), &tally, p), store, "take");
    }
    insist(capi_store_commit(store), store, "commit");
    run->take += cpu_seconds() - start;
}

static void send_batch(run_t *run, capi_store_t *store, apr_pool_t *p)
{
    capi_destination_t destination = {.id = 1};
    capi_batch_t *batch;
    double start = cpu_seconds();
    double middle;

    insist(capi_store_begin(store), store, "begin");
    insist(
        capi_store_claim(&batch, store, &destination, apr_time_now(), BATCH, CAPI_BATCH_BYTES, p),
        store, "claim");
    insist(capi_store_commit(store), store, "commit");
    middle = cpu_seconds();
    run->claim += middle - start;
    insist(capi_store_begin(store), store, "begin");
    insist(capi_store_attempt_end(store, batch->request, 200, "rid", NULL, apr_time_now()), store,
           "attempt");
    insist(capi_store_delivered_all(store, batch->events, batch->count, batch->request,
                                    apr_time_now()),
           store, "delivered");
    insist(capi_store_commit(store), store, "commit");
    run->settle += cpu_seconds() - middle;
    run->delivered += batch->count;
}

static void report_memory(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    printf("at most %ld MiB of memory\n", usage.ru_maxrss / 1024);
}

int main(int argc, const char *const *argv)
{
    run_t run = {.events = 200000, .per_visit = 8, .named_percent = 10};
    const char *message = NULL;
    capi_store_t *store;
    apr_pool_t *pool;
    apr_pool_t *batch_pool;
    double all;

    if (argc < 2) {
        fprintf(stderr, "usage: store_bench DIRECTORY [EVENTS [PER-VISIT [NAMED-%% [BACKLOG]]]]\n");
        return 2;
    }
    run.events = argc > 2 ? atoi(argv[2]) : run.events;
    run.per_visit = argc > 3 ? atoi(argv[3]) : run.per_visit;
    run.named_percent = argc > 4 ? atoi(argv[4]) : run.named_percent;
    run.backlog = argc > 5 ? atoi(argv[5]) : 0;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&batch_pool, pool);
    if (capi_store_open(&store, &message, "sqlite3", apr_pstrcat(pool, argv[1], "/store.db", NULL),
                        false, pool) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    for (int from = 0; from < run.backlog; from += BATCH) {
        take_batch(&run, store, from, batch_pool);
        apr_pool_clear(batch_pool);
    }
    run.take = 0;
    for (int from = 0; from < run.events; from += BATCH) {
        take_batch(&run, store, run.backlog + from, batch_pool);
        send_batch(&run, store, batch_pool);
        apr_pool_clear(batch_pool);
    }
    capi_store_close(store);
    all = run.take + run.claim + run.settle;
    printf("%d events, %d a visit, %d%% named: %.0f events a CPU second\n", run.delivered,
           run.per_visit, run.named_percent, run.delivered / all);
    printf("us an event: %.2f (take %.2f, claim %.2f, settle %.2f)\n", all / run.delivered * 1e6,
           run.take / run.delivered * 1e6, run.claim / run.delivered * 1e6,
           run.settle / run.delivered * 1e6);
    report_memory();
    apr_terminate();
    return 0;
}
