#ifndef UNIT_STORE_H
#define UNIT_STORE_H

/* A store in a directory of its own for each test, and short ways to say what comes in. Time is
 * what the test says. */

#include "store_int.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define NOW      apr_time_from_sec((apr_int64_t)1790000000)
#define SEC(n)   apr_time_from_sec((apr_int64_t)(n))
#define EM       "e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317"
#define PH       "45df139772a81b6011bdc1c9cc3d92cb408fc0b10ec0c5cb9d4d4e07ddf0f851"
#define KEY_SELF "11111111111111111111111111111111"
#define KEY_ELSE "22222222222222222222222222222222"
#define KEY_BIND "33333333333333333333333333333333"
#define ADDRESS  "\"client_ip_address\":\"203.0.113.9\",\"client_user_agent\":\"Mozilla\""

static capi_store_t *store;
static const char *store_dir;
static const char *store_file;
static capi_intake_t tally;

static inline apr_status_t open_again(void)
{
    const char *message;

    return capi_store_open(&store, &message, "sqlite3", store_file, false, pool);
}

static inline void make_store(void)
{
    char name[] = "/tmp/capi-store-XXXXXX";

    ck_assert_ptr_nonnull(mkdtemp(name));
    store_dir = apr_pstrdup(pool, name);
    store_file = apr_pstrcat(pool, name, "/store.db", NULL);
    memset(&tally, 0, sizeof(tally));
    ck_assert_int_eq(open_again(), APR_SUCCESS);
}

static inline void drop_store(void)
{
    apr_dir_t *dir;
    apr_finfo_t info;

    if (store) {
        capi_store_close(store);
        store = NULL;
    }
    if (apr_dir_open(&dir, store_dir, pool) == APR_SUCCESS) {
        while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
            if (info.name[0] != '.') {
                unlink(apr_pstrcat(pool, store_dir, "/", info.name, NULL));
            }
        }
        apr_dir_close(dir);
    }
    rmdir(store_dir);
}

static inline TCase *unit_store_begin(const char *name)
{
    TCase *cases = unit_begin(name);

    tcase_add_checked_fixture(cases, make_store, drop_store);
    tcase_set_timeout(cases, 240);
    return cases;
}

/* A granted request of one session, ten seconds of merge window, a week to live. */
static inline capi_envelope_t *envelope_at(apr_time_t received_at)
{
    capi_envelope_t *envelope = apr_pcalloc(pool, sizeof(*envelope));

    envelope->settings = (capi_settings_t){.account = "549755885175",
                                           .api_url = "https://api.pinterest.com/v5",
                                           .wire = CAPI_WIRE_V5,
                                           .merge_window_sec = 10,
                                           .max_age_sec = 604800,
                                           .on_denied = "suppress"};
    envelope->received_at = received_at;
    envelope->consent = (capi_consent_t){
        .state = CAPI_CONSENT_GRANTED, .signal = "header", .decided_at = received_at};
    envelope->session_key = KEY_SELF;
    return envelope;
}

static inline void set_consent(capi_envelope_t *envelope, capi_consent_state_t state,
                               const char *signal)
{
    envelope->consent.state = state;
    envelope->consent.signal = signal;
}

static inline void add_bind(capi_envelope_t *envelope, const char *key, bool by_server)
{
    envelope->binds = apr_pcalloc(pool, sizeof(*envelope->binds));
    envelope->binds[0] = (capi_envelope_bind_t){.key = key, .by_server = by_server};
    envelope->bind_count = 1;
}

/* `user_data` and `rest` are members of JSON objects, without braces. */
static inline capi_envelope_event_t *add_event(capi_envelope_t *envelope, capi_source_t source,
                                               const char *id, const char *user_data,
                                               const char *rest)
{
    capi_envelope_event_t *events =
        apr_pcalloc(pool, ((size_t)envelope->event_count + 1) * sizeof(*events));
    capi_envelope_event_t *event = events + envelope->event_count;

    if (envelope->event_count) {
        memcpy(events, envelope->events, (size_t)envelope->event_count * sizeof(*events));
    }
    envelope->events = events;
    envelope->event_count++;
    event->source = source;
    event->name = "purchase";
    event->sent_as = "checkout";
    event->event_id = id;
    event->is_named = true;
    event->event_time = apr_time_sec(envelope->received_at);
    event->json = apr_psprintf(pool,
                               "{\"event_name\":\"checkout\",\"event_id\":\"%s\",\"user_data\":{%s}"
                               "%s%s}",
                               id, user_data, *rest ? "," : "", rest);
    event->json_len = strlen(event->json);
    return event;
}

static inline void take(const capi_envelope_t *envelope, apr_time_t now)
{
    memset(&tally, 0, sizeof(tally));
    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
    ck_assert_msg(capi_store_take(store, envelope, now, &tally, pool) == APR_SUCCESS, "%s",
                  capi_store_error(store));
    ck_assert_msg(capi_store_commit(store) == APR_SUCCESS, "%s", capi_store_error(store));
}

static inline const capi_destination_t *destination_no(int at)
{
    apr_array_header_t *list;

    ck_assert_int_eq(capi_store_destinations(&list, store, pool), APR_SUCCESS);
    ck_assert_int_gt(list->nelts, at);
    return &APR_ARRAY_IDX(list, at, capi_destination_t);
}

static inline capi_batch_t *claim_most(apr_time_t now, int max_events, apr_size_t max_bytes)
{
    capi_batch_t *batch;

    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
    ck_assert_msg(capi_store_claim(&batch, store, destination_no(0), now, max_events, max_bytes,
                                   pool) == APR_SUCCESS,
                  "%s", capi_store_error(store));
    ck_assert_int_eq(capi_store_commit(store), APR_SUCCESS);
    return batch;
}

static inline capi_batch_t *claim(apr_time_t now)
{
    return claim_most(now, 1000, CAPI_BATCH_BYTES);
}

static inline void deliver(const capi_batch_t *batch, apr_time_t now)
{
    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
    ck_assert_int_eq(capi_store_attempt_end(store, batch->request, 200, "rid-1", NULL, now),
                     APR_SUCCESS);
    ck_assert_int_eq(
        capi_store_delivered_all(store, batch->events, batch->count, batch->request, now),
        APR_SUCCESS);
    ck_assert_msg(capi_store_commit(store) == APR_SUCCESS, "%s", capi_store_error(store));
}

/* One value, as text; NULL where there is no row or it is NULL. */
static inline const char *sql(const char *text)
{
    capi_statement_t *statement = apr_pcalloc(pool, sizeof(*statement));
    capi_rows_t rows;

    statement->sql = text;
    ck_assert_msg(capi_rows_select(&rows, store, statement, NULL, pool) == APR_SUCCESS, "%s: %s",
                  text, capi_store_error(store));
    return capi_rows_next(&rows) ? capi_rows_text(&rows, 0) : NULL;
}

static inline apr_int64_t sql_int(const char *text)
{
    const char *value = sql(text);

    return value ? apr_atoi64(value) : -1;
}

static inline apr_int64_t counter(const char *what)
{
    return sql_int(apr_psprintf(
        pool, "SELECT COALESCE(SUM(n), 0) FROM counters WHERE what = '%s' AND hour > 0", what));
}

/* True where the text is in no file of the store, its log included: erased is erased. */
static inline bool is_nowhere_on_disk(const char *text)
{
    static const char *const ends[] = {"", "-wal"};
    size_t len = strlen(text);

    ck_assert_int_eq(capi_store_checkpoint(store), APR_SUCCESS);
    for (size_t i = 0; i < 2; i++) {
        FILE *file = fopen(apr_pstrcat(pool, store_file, ends[i], NULL), "rb");
        char *bytes;
        size_t got;

        if (!file) {
            continue;
        }
        bytes = apr_palloc(pool, 4 << 20);
        got = fread(bytes, 1, 4 << 20, file);
        fclose(file);
        if (got && memmem(bytes, got, text, len)) {
            return false;
        }
    }
    return true;
}

#endif
