/* The state of the whole: accounts, what waits, sender and queue, the day's sums. */

#include "report_int.h"

#include <apr_file_io.h>
#include <apr_strings.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "notes.h"
#include "report_sql.h"
#include "report_verdict.h"
#include "utf8.h"

#define LOOK_AT 2000 /* of each destination's waiting events, to tell since when and which kind */

/* --- accounts and what waits in them --- */

typedef struct {
    apr_int64_t total;
    apr_int64_t queued;
    apr_int64_t sending;
    apr_int64_t retrying;
    apr_int64_t held;
    apr_time_t oldest; /* 0: nothing waits */
} waiting_t;

static json_t *account_model(const capi_rows_t *rows, apr_pool_t *p)
{
    capi_wire_t wire = (capi_wire_t)capi_rows_int(rows, 4);
    bool is_held = capi_rows_text(rows, 5) != NULL;
    json_t *held = is_held ? json_pack("{s:o, s:o}", "reason", capi_report_text(rows, 6, p),
                                       "since", capi_report_seconds(rows, 5))
                           : json_null();
    bool is_paused = capi_rows_text(rows, 8) != NULL;
    json_t *paused = is_paused ? json_pack("{s:o, s:o}", "by", capi_report_text(rows, 9, p),
                                           "since", capi_report_seconds(rows, 8))
                               : json_null();
    const char *state = is_held ? "held" : is_paused ? "paused" : "idle";

    return json_pack("{s:o, s:o, s:o, s:b, s:s, s:s, s:o, s:o}", "id", capi_report_int(rows, 0),
                     "account", capi_report_text(rows, 1, p), "api_url",
                     capi_report_text(rows, 2, p), "test", capi_rows_int(rows, 3) != 0, "wire",
                     capi_wire_name(wire), "state", state, "held", held, "paused", paused);
}

/* Of the events that are due first: exact where no more than LOOK_AT wait, and those that were
 * tried before are the first to be due. */
static apr_status_t look_at_oldest(waiting_t *waiting, capi_store_t *store, apr_int64_t destination,
                                   apr_pool_t *p)
{
    capi_statement_t oldest = {.sql = REPORT_SQL_OLDEST};
    static const apr_int64_t rejected = CAPI_DUE_REJECTED;
    static const apr_int64_t look_at = LOOK_AT;
    const void *values[] = {&destination, &rejected, &look_at};
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &oldest, values, p);

    if (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        apr_int64_t seen = capi_rows_int(&rows, 0);
        waiting->total = seen < LOOK_AT || waiting->total < seen ? seen : waiting->total;
        waiting->retrying = capi_rows_int(&rows, 1);
        waiting->oldest = capi_rows_int(&rows, 2);
        while (capi_rows_next(&rows)) {
        }
    }
    return rv;
}

static apr_status_t count_under_way(waiting_t *waiting, capi_store_t *store,
                                    apr_int64_t destination, apr_pool_t *p)
{
    capi_statement_t under_way = {.sql = REPORT_SQL_UNDER_WAY};
    const void *values[] = {&destination};
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &under_way, values, p);

    if (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        waiting->sending = capi_rows_int(&rows, 0);
        while (capi_rows_next(&rows)) {
        }
    }
    return rv;
}

/* Each waiting event is in one state: on its way, else held with its account, else as it is. */
static void divide(waiting_t *waiting, bool is_held)
{
    apr_int64_t rest;

    if (waiting->sending > waiting->total) {
        waiting->sending = waiting->total;
    }
    rest = waiting->total - waiting->sending;
    if (is_held) {
        waiting->held = rest;
        waiting->retrying = 0;
        return;
    }
    if (waiting->retrying > rest) {
        waiting->retrying = rest;
    }
    waiting->queued = rest - waiting->retrying;
}

static void add_waiting(waiting_t *sum, const waiting_t *one)
{
    sum->total += one->total;
    sum->queued += one->queued;
    sum->sending += one->sending;
    sum->retrying += one->retrying;
    sum->held += one->held;
    if (one->oldest > 0 && (sum->oldest == 0 || one->oldest < sum->oldest)) {
        sum->oldest = one->oldest;
    }
}

static apr_status_t finish_account(json_t *account, waiting_t *sum, capi_store_t *store,
                                   apr_int64_t destination, apr_int64_t counted, apr_pool_t *p)
{
    waiting_t waiting = {.total = counted};
    apr_status_t rv = look_at_oldest(&waiting, store, destination, p);

    if (rv == APR_SUCCESS) {
        rv = count_under_way(&waiting, store, destination, p);
    }
    divide(&waiting, json_is_object(json_object_get(account, "held")) ||
                         json_is_object(json_object_get(account, "paused")));
    add_waiting(sum, &waiting);
    json_object_set_new(account, "waiting", json_integer(waiting.total));
    json_object_set_new(account, "oldest_waiting",
                        waiting.oldest > 0 ? json_integer((json_int_t)apr_time_sec(waiting.oldest))
                                           : json_null());
    return rv;
}

static json_t *waiting_model(const waiting_t *waiting)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "total", (json_int_t)waiting->total, "queued",
                     (json_int_t)waiting->queued, "sending", (json_int_t)waiting->sending,
                     "retrying", (json_int_t)waiting->retrying, "held", (json_int_t)waiting->held);
}

/* How each account's last finished request ended, into its "last_attempt". */
static apr_status_t add_last_attempts(json_t *accounts, const apr_array_header_t *ids,
                                      capi_store_t *store, apr_pool_t *p)
{
    capi_statement_t last = {.sql = REPORT_SQL_LAST_ATTEMPTS};
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &last, NULL, p);
    int i;

    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        for (i = 0; i < ids->nelts && capi_rows_text(&rows, 3); i++) {
            json_t *account = json_array_get(accounts, (apr_size_t)i);
            if (APR_ARRAY_IDX(ids, i, apr_int64_t) == capi_rows_int(&rows, 0) &&
                !json_object_get(account, "last_attempt")) {
                json_object_set_new(account, "last_attempt",
                                    json_pack("{s:o, s:I, s:o}", "finished",
                                              capi_report_seconds(&rows, 3), "http_status",
                                              (json_int_t)capi_rows_int(&rows, 1), "error",
                                              capi_report_text(&rows, 2, p)));
            }
        }
    }
    return rv;
}

/* Not held: retrying where the last request got no verdict and events wait, delivering where it
 * did, idle where there was none. */
static void name_states(json_t *accounts)
{
    apr_size_t i;

    for (i = 0; i < json_array_size(accounts); i++) {
        json_t *account = json_array_get(accounts, i);
        const json_t *last = json_object_get(account, "last_attempt");
        json_int_t status = json_integer_value(json_object_get(last, "http_status"));
        bool has_waiting = json_integer_value(json_object_get(account, "waiting")) > 0;
        const char *state = NULL;

        if (!last) {
            json_object_set_new(account, "last_attempt", json_null());
        }
        else if (status == 200 || status == 422) {
            state = "delivering";
        }
        else if (has_waiting) {
            state = "retrying";
        }
        if (state && json_is_null(json_object_get(account, "held")) &&
            json_is_null(json_object_get(account, "paused"))) {
            json_object_set_new(account, "state", json_string(state));
        }
    }
}

static apr_status_t add_accounts(json_t *status, capi_store_t *store, apr_pool_t *p)
{
    capi_statement_t destinations = {.sql = REPORT_SQL_DESTINATIONS};
    apr_array_header_t *ids = apr_array_make(p, 4, sizeof(apr_int64_t));
    apr_array_header_t *counted = apr_array_make(p, 4, sizeof(apr_int64_t));
    json_t *accounts = json_array();
    waiting_t sum = {0};
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &destinations, NULL, p);
    int i;

    json_object_set_new(status, "accounts", accounts);
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        APR_ARRAY_PUSH(ids, apr_int64_t) = capi_rows_int(&rows, 0);
        APR_ARRAY_PUSH(counted, apr_int64_t) = capi_rows_int(&rows, 7);
        json_array_append_new(accounts, account_model(&rows, p));
    }
    for (i = 0; rv == APR_SUCCESS && i < ids->nelts; i++) {
        rv = finish_account(json_array_get(accounts, (apr_size_t)i), &sum, store,
                            APR_ARRAY_IDX(ids, i, apr_int64_t),
                            APR_ARRAY_IDX(counted, i, apr_int64_t), p);
    }
    if (rv == APR_SUCCESS) {
        rv = add_last_attempts(accounts, ids, store, p);
    }
    name_states(accounts);
    json_object_set_new(status, "waiting", waiting_model(&sum));
    json_object_set_new(status, "oldest_waiting",
                        sum.oldest > 0 ? json_integer((json_int_t)apr_time_sec(sum.oldest))
                                       : json_null());
    return rv;
}

/* --- sender and queue, by what the sender noted --- */

static apr_int64_t note_number(const apr_table_t *notes, const char *name)
{
    const char *value = apr_table_get(notes, name);

    return value ? apr_atoi64(value) : 0;
}

/* True where the process lives and, as far as /proc tells, is the sender and no later one of the
 * same number. */
static bool is_sender(pid_t pid, apr_pool_t *p)
{
    char name[64] = "";
    apr_size_t len = sizeof(name) - 1;
    apr_file_t *file;

    if (pid <= 0 || (kill(pid, 0) != 0 && errno != EPERM)) {
        return false;
    }
    if (apr_file_open(&file, apr_psprintf(p, "/proc/%d/comm", (int)pid), APR_FOPEN_READ,
                      APR_OS_DEFAULT, p)) {
        return true;
    }
    apr_file_read(file, name, &len);
    apr_file_close(file);
    return *name == '\0' || strncmp(name, "pinterest-capi", 14) == 0;
}

/* Of several senders one may run anywhere: a number of a process says nothing, a beat does. */
static bool has_beaten(capi_store_t *store, apr_pool_t *p)
{
    capi_statement_t beat = {.sql = REPORT_SQL_BEAT};
    capi_rows_t rows;

    return capi_rows_select(&rows, store, &beat, NULL, p) == APR_SUCCESS && capi_rows_next(&rows) &&
           capi_rows_int(&rows, 0) > apr_time_now() - CAPI_LEASE;
}

static bool is_sender_alive(const apr_table_t *notes, capi_store_t *store, apr_pool_t *p)
{
    const char *stopped = apr_table_get(notes, CAPI_NOTE_STOPPED);
    apr_int64_t pid = note_number(notes, CAPI_NOTE_PID);

    if (capi_store_is_shared(store)) {
        return has_beaten(store, p);
    }
    return !(stopped && *stopped) && pid < APR_INT32_MAX && is_sender((pid_t)pid, p);
}

static json_t *sender_model(const apr_table_t *notes, bool is_alive, apr_pool_t *p)
{
    const char *version = apr_table_get(notes, CAPI_NOTE_VERSION);
    apr_int64_t pid = note_number(notes, CAPI_NOTE_PID);
    apr_int64_t started = note_number(notes, CAPI_NOTE_STARTED);
    apr_int64_t starts = note_number(notes, CAPI_NOTE_STARTS);
    apr_int64_t intake = note_number(notes, CAPI_NOTE_LAST_INTAKE);

    return json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:b}", "pid", pid > 0 ? json_integer(pid) : json_null(),
        "started", started > 0 ? json_integer((json_int_t)apr_time_sec(started)) : json_null(),
        "version", version ? json_string(capi_utf8_repair(version, p)) : json_null(), "last_intake",
        intake > 0 ? json_integer((json_int_t)apr_time_sec(intake)) : json_null(), "starts",
        (json_int_t)starts, "alive", is_alive);
}

static json_t *queue_model(const apr_table_t *notes)
{
    if (!apr_table_get(notes, CAPI_NOTE_QUEUE_SIZE)) {
        return json_null();
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "size",
                     (json_int_t)note_number(notes, CAPI_NOTE_QUEUE_SIZE), "used",
                     (json_int_t)note_number(notes, CAPI_NOTE_QUEUE_USED), "dropped_page",
                     (json_int_t)note_number(notes, CAPI_NOTE_DROPPED_PAGES), "dropped_conversion",
                     (json_int_t)note_number(notes, CAPI_NOTE_DROPPED_EVENTS), "broken_records",
                     (json_int_t)note_number(notes, CAPI_NOTE_BROKEN_RECORDS));
}

static json_t *seen_model(const apr_table_t *notes)
{
    return json_pack("{s:I, s:I, s:I}", "requests",
                     (json_int_t)note_number(notes, CAPI_NOTE_SEEN_REQUESTS), "proxied",
                     (json_int_t)note_number(notes, CAPI_NOTE_SEEN_PROXIED), "bots",
                     (json_int_t)note_number(notes, CAPI_NOTE_SEEN_BOTS));
}

static json_t *complaint_model(const apr_table_t *notes, apr_pool_t *p)
{
    const char *words = apr_table_get(notes, CAPI_NOTE_COMPLAINT);
    apr_int64_t when = note_number(notes, CAPI_NOTE_COMPLAINED_AT);

    return words && *words ? json_pack("{s:s, s:I}", "text", capi_utf8_repair(words, p), "at",
                                       (json_int_t)apr_time_sec(when))
                           : json_null();
}

static json_t *catalogs_model(const apr_table_t *notes)
{
    const char *text = apr_table_get(notes, CAPI_NOTE_CATALOGS);
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;

    if (!json_is_array(list)) {
        json_decref(list);
        return json_array();
    }
    return list;
}

static apr_status_t add_notes(json_t *status, capi_store_t *store, apr_pool_t *p)
{
    capi_statement_t statement = {.sql = REPORT_SQL_NOTES};
    apr_table_t *notes = apr_table_make(p, 16);
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &statement, NULL, p);

    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        const char *value = capi_rows_text(&rows, 1);
        apr_table_set(notes, capi_rows_text(&rows, 0), value ? value : "");
    }
    json_object_set_new(status, "sender", sender_model(notes, is_sender_alive(notes, store, p), p));
    json_object_set_new(status, "queue", queue_model(notes));
    json_object_set_new(status, "seen", seen_model(notes));
    json_object_set_new(status, "complaint", complaint_model(notes, p));
    json_object_set_new(status, "catalogs", catalogs_model(notes));
    return rv;
}

/* --- the day --- */

static void add_to_bucket(apr_int64_t *buckets, const char *what, apr_int64_t n, apr_pool_t *p)
{
    int i;

    for (i = 0; i < CAPI_LATENCY_BUCKETS; i++) {
        if (strcmp(what, capi_latency_name(i, p)) == 0) {
            buckets[i] += n;
        }
    }
}

/* Within a bucket events are taken to lie evenly; the last has no end, so its beginning is told. */
static json_int_t quantile(const apr_int64_t *buckets, apr_int64_t all, int percent)
{
    double rank = (double)all * percent / 100;
    double seen = 0;
    int i;

    for (i = 0; i < CAPI_LATENCY_BUCKETS - 1; i++) {
        int from = i > 0 ? capi_latency_bounds[i - 1] : 0;
        if (buckets[i] > 0 && seen + (double)buckets[i] >= rank) {
            double part = (rank - seen) / (double)buckets[i];
            return from + (json_int_t)(part * (capi_latency_bounds[i] - from) + .5);
        }
        seen += (double)buckets[i];
    }
    return capi_latency_bounds[CAPI_LATENCY_BUCKETS - 2];
}

static json_t *latency_model(const apr_int64_t *buckets)
{
    apr_int64_t all = 0;
    apr_int64_t late = 0;
    int i;

    for (i = 0; i < CAPI_LATENCY_BUCKETS; i++) {
        bool is_late = i == CAPI_LATENCY_BUCKETS - 1 || capi_latency_bounds[i] > 3600;
        all += buckets[i];
        late += is_late ? buckets[i] : 0;
    }
    return json_pack("{s:I, s:I, s:I, s:I}", "events", (json_int_t)all, "p50",
                     all > 0 ? quantile(buckets, all, 50) : (json_int_t)0, "p95",
                     all > 0 ? quantile(buckets, all, 95) : (json_int_t)0, "late",
                     (json_int_t)late);
}

static apr_status_t add_totals(json_t *status, capi_store_t *store, apr_time_t now, apr_pool_t *p)
{
    capi_statement_t totals = {.sql = REPORT_SQL_TOTALS};
    static const char *const outcomes[] = {"received",   "delivered", "rejected",
                                           "suppressed", "merged",    "unconfirmed",
                                           "expired",    "duplicate", "retried"};
    apr_int64_t hour = apr_time_sec(now) / 3600 - 23;
    const void *values[] = {&hour};
    json_t *day = json_object();
    json_t *keys = json_object();
    apr_int64_t buckets[CAPI_LATENCY_BUCKETS] = {0};
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &totals, values, p);
    apr_size_t i;

    for (i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        json_object_set_new(day, outcomes[i], json_integer(0));
    }
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        const char *what = capi_rows_text(&rows, 0);
        if (what && json_object_get(day, what)) {
            json_object_set_new(day, what, capi_report_int(&rows, 1));
        }
        else if (what && strncmp(what, "key:", 4) == 0) {
            json_object_set_new(keys, capi_utf8_repair(what + 4, p), capi_report_int(&rows, 1));
        }
        else if (what && strncmp(what, "latency:", 8) == 0) {
            add_to_bucket(buckets, what, capi_rows_int(&rows, 1), p);
        }
    }
    json_object_set_new(day, "match_keys", keys);
    json_object_set_new(status, "last_24h", day);
    json_object_set_new(status, "latency", latency_model(buckets));
    return rv;
}

/* One count: consent:<state>:<signal>:<action>. A signal may have a colon in it, the others not. */
static json_t *consent_model(const char *what, json_int_t events, apr_pool_t *p)
{
    char *state = apr_pstrdup(p, what + strlen("consent:"));
    char *signal = strchr(state, ':');
    char *action = strrchr(state, ':');

    if (!signal || action == signal) {
        return NULL;
    }
    *signal++ = '\0';
    *action++ = '\0';
    return json_pack("{s:s, s:s, s:s, s:I}", "state", capi_utf8_repair(state, p), "signal",
                     capi_utf8_repair(signal, p), "action", capi_utf8_repair(action, p), "events",
                     events);
}

static apr_status_t add_consent(json_t *status, capi_store_t *store, apr_time_t now, apr_pool_t *p)
{
    capi_statement_t consent = {.sql = REPORT_SQL_CONSENT};
    apr_int64_t hour = apr_time_sec(now) / 3600 - 23;
    const void *values[] = {&hour};
    json_t *list = json_array();
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &consent, values, p);

    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        json_array_append_new(list,
                              consent_model(capi_rows_text(&rows, 0), capi_rows_int(&rows, 1), p));
    }
    json_object_set_new(status, "consent", list);
    return rv;
}

apr_status_t capi_report_status(json_t **model, capi_store_t *store, apr_time_t now, apr_pool_t *p)
{
    capi_statement_t range = {.sql = REPORT_SQL_EVENT_RANGE};
    json_t *status = json_object();
    bool has_events = false;
    capi_rows_t rows;
    apr_status_t rv;

    *model = capi_report_own(json_pack("{s:o}", "status", status), p);
    json_object_set_new(status, "generated_at", json_integer((json_int_t)apr_time_sec(now)));
    rv = add_accounts(status, store, p);
    if (rv == APR_SUCCESS) {
        rv = add_notes(status, store, p);
    }
    if (rv == APR_SUCCESS) {
        rv = add_totals(status, store, now, p);
    }
    if (rv == APR_SUCCESS) {
        rv = add_consent(status, store, now, p);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_rows_select(&rows, store, &range, NULL, p);
    }
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        has_events = capi_rows_int(&rows, 1) > 0;
    }
    json_object_set_new(status, "has_events", json_boolean(has_events));
    json_object_set_new(status, "verdict", capi_report_verdict(status, has_events, p));
    json_object_set_new(status, "broken", json_boolean(capi_report_is_broken(status)));
    return rv;
}
