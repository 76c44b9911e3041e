#ifndef CAPI_STORE_INT_H
#define CAPI_STORE_INT_H

/* What the store's own files share, and what report.c needs to read the same tables: the
 * connection, the statements, and what the one writer remembers between them. */

#include <apr_dbd.h>
#include <apr_hash.h>

#include <sys/types.h>

#include "denied.h"
#include "store.h"

/* At the end of an SQLite file's name: the name of an empty file that says it is damaged. */
#define CAPI_DAMAGE_MARK ".damaged"

/* Which version of the schema this program knows. */
#define CAPI_SCHEMA_VERSION 2

/* --- statements (store_db.c) --- */

/* The store's own statements. */
typedef enum {
    CAPI_SQL_META_GET,
    CAPI_SQL_META_ADD,
    CAPI_SQL_META_CHANGE,
    CAPI_SQL_NOTE_SET,
    CAPI_SQL_NOTE_COUNT,
    CAPI_SQL_LAST_IDS,
    CAPI_SQL_DESTINATIONS,
    CAPI_SQL_DESTINATION_ADD,
    CAPI_SQL_DESTINATION_HOLD,
    CAPI_SQL_DESTINATION_WAITING,
    CAPI_SQL_VISIT_OF_KEY,
    CAPI_SQL_VISIT_ADD,
    CAPI_SQL_VISIT_CHANGE,
    CAPI_SQL_KEY_ADD,
    CAPI_SQL_KEY_MOVE,
    CAPI_SQL_USED_ID_FIND,
    CAPI_SQL_EVENT_ADD,
    CAPI_SQL_EVENT_FIND,
    CAPI_SQL_EVENT_MERGED,
    CAPI_SQL_EVENT_AGAIN,
    CAPI_SQL_OUTBOX_ADD,
    CAPI_SQL_OUTBOX_MERGED,
    CAPI_SQL_OUTBOX_PAYLOAD,
    CAPI_SQL_OUTBOX_PAYLOAD_SET,
    CAPI_SQL_OUTBOX_DECIDED,
    CAPI_SQL_OUTBOX_DENIED,
    CAPI_SQL_LAYER_FIND,
    CAPI_SQL_LAYERS_OF_EVENT,
    CAPI_SQL_LAYER_SET,
    CAPI_SQL_OUTBOX_BOUND,
    CAPI_SQL_OUTBOX_OF_VISIT,
    CAPI_SQL_OUTBOX_CLAIM,
    CAPI_SQL_OUTBOX_CONTEXT,
    CAPI_SQL_EVENT_NAME,
    CAPI_SQL_OUTBOX_BACKLOG,
    CAPI_SQL_OUTBOX_NEXT_DUE,
    CAPI_SQL_EVENT_RESOLVED,
    CAPI_SQL_ATTEMPT_ADD,
    CAPI_SQL_ATTEMPT_END,
    CAPI_SQL_ATTEMPTS_INTERRUPTED,
    CAPI_SQL_EVENTS_DELIVERED,
    CAPI_SQL_EVENT_WARNED,
    CAPI_SQL_EVENTS_RETRYING,
    CAPI_SQL_EVENT_UNFINISHED,
    CAPI_SQL_EVENTS_TRIED,
    CAPI_SQL_EVENT_SETTLED,
    CAPI_SQL_EVENT_WITHDRAWN,
    CAPI_SQL_OUTBOX_ERASE,
    CAPI_SQL_LAYERS_ERASE,
    CAPI_SQL_OUTBOX_RETRY,
    CAPI_SQL_OUTBOX_SHIFT,
    CAPI_SQL_COUNTER_ADD,
    CAPI_SQL_OLD_REJECTED,
    CAPI_SQL_OLD_WAITING,
    CAPI_SQL_OLD_EVENTS,
    CAPI_SQL_EVENT_FORGET,
    CAPI_SQL_EVENT_ATTEMPTS_FORGET,
    CAPI_SQL_USED_ID_ADD,
    CAPI_SQL_OLD_ATTEMPTS,
    CAPI_SQL_OLD_VISIT_KEYS,
    CAPI_SQL_OLD_VISITS,
    CAPI_SQL_OLD_USED_IDS,
    CAPI_SQL_OLD_COUNTERS,
    CAPI_SQL_ASK_ADD,
    CAPI_SQL_ASKS_TO_DO,
    CAPI_SQL_ASK_DONE,
    CAPI_SQL_ASK_ERASED,
    CAPI_SQL_DESTINATION_PAUSE,
    CAPI_SQL_OUTBOX_HURRY,
    CAPI_SQL_KEPT_REJECTED,
    CAPI_SQL_EVENT_REQUEUED,
    CAPI_SQL_FORGET_VISITS_END,
    CAPI_SQL_FORGET_EVENTS_END,
    CAPI_SQL_FORGET_VISITS,
    CAPI_SQL_FORGET_EVENTS,
    CAPI_SQL_VISIT_KEYS_FORGET,
    CAPI_SQL_VISIT_FORGET,
    CAPI_SQL_OLD_ASKS,
    CAPI_SQL_TURN,
    CAPI_SQL_META_ADD_ONCE,
    CAPI_SQL_NODE_OF_NAME,
    CAPI_SQL_NODE_ADD,
    CAPI_SQL_NODES,
    CAPI_SQL_NODE_BEAT,
    CAPI_SQL_NODE_GONE,
    CAPI_SQL_OUTBOX_TAKEN,
    CAPI_SQL_ATTEMPTS_ABANDONED,
    CAPI_SQL_COUNT
} capi_sql_t;

/* A statement that is prepared at its first use, which is after the schema was migrated. */
typedef struct {
    const char *sql;
    const char *label; /* unique on the connection, or NULL */
    apr_dbd_prepared_t *prepared;
} capi_statement_t;

typedef struct {
    capi_store_t *store;
    apr_pool_t *pool;
    apr_dbd_results_t *results;
    apr_dbd_row_t *row;
} capi_rows_t;

/* Runs a SELECT. Values are in the order of the placeholders: const char * for %s, const
 * apr_int64_t * for %lld, NULL for NULL. All rows are copied into the pool: always LIMIT. Any
 * failure poisons an open transaction. */
apr_status_t capi_rows_select(capi_rows_t *rows, capi_store_t *store, capi_statement_t *statement,
                              const void *const *values, apr_pool_t *p);

/* Moves to the next row; false after the last. */
bool capi_rows_next(capi_rows_t *rows);

/* A column of the row, by its place from 0. NULL reads as 0 or as NULL. */
apr_int64_t capi_rows_int(const capi_rows_t *rows, int column);
const char *capi_rows_text(const capi_rows_t *rows, int column);

/* The same for one of the store's own statements. */
apr_status_t capi_db_select(capi_rows_t *rows, capi_store_t *store, capi_sql_t which,
                            const void *const *values, apr_pool_t *p);

/* Runs a statement that gives no rows; *changed (may be NULL) is how many it changed. */
apr_status_t capi_db_run(int *changed, capi_store_t *store, capi_sql_t which,
                         const void *const *values);

/* Text that is no prepared statement: schema and settings. */
apr_status_t capi_db_exec(capi_store_t *store, const char *sql);
apr_status_t capi_db_exec_select(const char **first, capi_store_t *store, const char *sql,
                                 apr_pool_t *p);

apr_status_t capi_db_begin(capi_store_t *store);
apr_status_t capi_db_end(capi_store_t *store, bool is_wanted);

/* True for the engine's words for a damaged file. */
bool capi_db_is_damage(const char *error);

/* Notes which file it is that was opened for writing. */
void capi_db_note_file(capi_store_t *store);

/* Says what went wrong, and poisons an open transaction. Damage is noted beside the file, so that
 * the next open sets it aside. */
apr_status_t capi_db_fail(capi_store_t *store, const char *error);

/* Statements are prepared anew: after the schema changed, or the connection. */
void capi_db_forget_statements(capi_store_t *store);

/* All at once: what a server cannot read is to be known when the sender starts. */
apr_status_t capi_db_prepare_all(capi_store_t *store);

/* --- engines (store_engine.c) --- */

typedef enum { CAPI_ENGINE_SQLITE, CAPI_ENGINE_PGSQL, CAPI_ENGINE_MYSQL } capi_engine_t;

capi_engine_t capi_engine_of(const char *driver);

/* The SQL as the engine reads it. */
const char *capi_engine_sql(const capi_store_t *store, const char *sql, apr_pool_t *p);

/* A server's settings for this connection. */
apr_status_t capi_engine_set_up(capi_store_t *store);

/* Only one sender at a time sets up tables. */
apr_status_t capi_engine_lock(capi_store_t *store, bool is_wanted);

/* --- several senders (store_fleet.c) --- */

#define CAPI_TURN "turn" /* the row of meta */

apr_array_header_t *capi_fleet_members(apr_pool_t *p);
apr_status_t capi_fleet_prepare(capi_store_t *store);

/* Waits until no other sender writes; what others wrote meanwhile is read where it was remembered. In
 * a transaction, first of all. */
apr_status_t capi_fleet_take_turn(capi_store_t *store);

/* Of this node: what was in flight when it died is due again; its requests say so. */
apr_status_t capi_store_end_attempts(capi_store_t *store);

/* The highest ids in use, and destinations that are not known yet. */
apr_status_t capi_store_read_ids(capi_store_t *store);

/* --- destinations, and what is in flight (store_flight.c) --- */

/* Everything up to the cursor is in flight or gone, so that a claim need not step over it. */
typedef struct {
    capi_destination_t row;
    apr_int64_t waiting_delta; /* of this transaction */
    bool is_new;               /* of this transaction */
    apr_time_t cursor_due;
    apr_int64_t cursor_event;
} capi_dest_t;

/* An event that a batch holds. It is nowhere else: a crash forgets it. */
typedef struct capi_flight_t capi_flight_t;
struct capi_flight_t {
    apr_int64_t event;
    capi_dest_t *dest;
    apr_time_t due;
    int source;     /* the strongest when it was claimed */
    bool is_again;  /* a stronger source spoke since, of one that only a browser had: send again */
    bool is_denied; /* somebody denied since: no part of its batch goes without another claim */
    capi_flight_t *next;
};

capi_dest_t *capi_dest_of(capi_store_t *store, apr_int64_t id);
apr_status_t capi_dest_find(capi_dest_t **dest, capi_store_t *store,
                            const capi_settings_t *settings);
apr_status_t capi_dest_load(capi_store_t *store);
/* Something is due at this place, which the cursor may have passed. */
void capi_dest_lower(capi_dest_t *dest, apr_time_t due, apr_int64_t event);

capi_flight_t *capi_flight_of(const capi_store_t *store, apr_int64_t event);
void capi_flight_add(capi_store_t *store, capi_dest_t *dest, apr_int64_t event, apr_time_t due,
                     int source);
/* Takes it out; in a transaction it comes back with a rollback. */
void capi_flight_end(capi_store_t *store, capi_flight_t *flight);
/* All times by which things in flight and cursors are found again have moved. */
void capi_flight_shift(capi_store_t *store, apr_interval_time_t by);
void capi_flight_committed(capi_store_t *store);
void capi_flight_rolled_back(capi_store_t *store);

/* --- consent (store_denied.c) --- */

/* What was decided about an event, and what follows. */
typedef struct {
    capi_consent_state_t state;
    const char *signal;
    const char *on_denied; /* NULL: suppress */
    capi_action_t action;
    capi_keys_t stripped;
} capi_ruling_t;

/* A rule as it is stored: NULL where it is suppress, so that the ordinary row has none. */
const char *capi_rule_kept(const char *on_denied);

/* True where somebody answered: neither silence nor a place's default. */
bool capi_is_answered(capi_consent_state_t state, const char *signal);
/* True where the answer was no. */
bool capi_is_refused(capi_consent_state_t state, const char *signal);

/* Withholds one waiting event and erases it; the decision goes on record with `error` (NULL: the
 * denial says it all). */
apr_status_t capi_withdraw(capi_store_t *store, capi_dest_t *dest, apr_int64_t event,
                           const char *sent_as, int flags, const capi_ruling_t *ruling,
                           const char *error, apr_time_t now);

/* A denial reaches a row of the outbox, whose first columns are event, destination, due, flags and
 * sent_as: what is kept of a rejected event is erased; one that waits is withdrawn, or its denial
 * noted where its rule leaves something of it or where it is in flight. */
apr_status_t capi_deny_row(capi_store_t *store, const capi_rows_t *rows,
                           const capi_ruling_t *ruling, const char *error, apr_time_t now);

/* Notes a denial on a waiting event, to be looked at before it goes (again). */
apr_status_t capi_note_denial(capi_store_t *store, apr_int64_t event, const char *signal,
                              const char *on_denied);

/* --- counters (store_count.c) --- */

typedef enum {
    CAPI_OUTCOME_RECEIVED,
    CAPI_OUTCOME_DELIVERED,
    CAPI_OUTCOME_REJECTED,
    CAPI_OUTCOME_SUPPRESSED,
    CAPI_OUTCOME_DUPLICATE,
    CAPI_OUTCOME_MERGED,
    CAPI_OUTCOME_EXPIRED,
    CAPI_OUTCOME_UNCONFIRMED,
    CAPI_OUTCOME_RETRIED,
    CAPI_OUTCOME_COUNT
} capi_outcome_t;

void capi_count(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                capi_outcome_t outcome, apr_time_t now);
void capi_count_keys(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                     capi_keys_t keys, apr_time_t now);
void capi_count_consent(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                        const capi_ruling_t *ruling, apr_time_t now);
/* How long a delivered event took since it happened. The bounds are those of a histogram, in
 * seconds; the last bucket has none. */
#define CAPI_LATENCY_BUCKETS 12
extern const int capi_latency_bounds[CAPI_LATENCY_BUCKETS - 1];
void capi_count_latency(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                        apr_int64_t event_time, apr_time_t now);
/* Where the sum of the day of that hour is counted: below zero. */
apr_int64_t capi_counter_day(apr_int64_t hour);
/* What a bucket is called in the table. */
const char *capi_latency_name(int bucket, apr_pool_t *p);

apr_status_t capi_count_write(capi_store_t *store);

/* --- visits (store_visit.c) --- */

typedef struct {
    apr_int64_t id; /* 0: none */
    apr_time_t seen_at;
    capi_consent_state_t consent;
    const char *signal;
    apr_time_t decided_at;
    const char *on_denied; /* NULL: suppress */
    capi_keys_t keys;
    const char *click_id;
    const char *address;
    const char *agent;
    const char *user_data;
    bool by_server; /* of the key that led here */
} capi_visit_row_t;

/* The session keys seen last, with a print of what their request said: a request that says nothing
 * new costs no statement. */
#define CAPI_VISIT_CACHE 4096 /* 300 KiB */
typedef struct {
    char key[40];
    uint64_t said;
    apr_int64_t visit;
    apr_time_t seen_at;
    const char *signal; /* interned */
    capi_consent_state_t consent;
    unsigned epoch;
} capi_cached_visit_t;

/* A denial holds for all of a visit that still waits: it is withdrawn, or noted where its rule is
 * another. What is in flight is looked at again if it comes back. */
apr_status_t capi_deny_waiting(capi_store_t *store, const capi_visit_row_t *visit, apr_time_t now);

/* A key's visit; id 0 where nobody bound it. */
apr_status_t capi_visit_of_key(capi_visit_row_t *visit, capi_store_t *store, const char *key,
                               apr_pool_t *p);

/* The visit of an envelope, made or brought up to date, its binds done. Only id, consent and signal
 * are sure to be filled. id 0: it names none. */
apr_status_t capi_visit_take(capi_visit_row_t *visit, capi_store_t *store,
                             const capi_envelope_t *envelope, apr_time_t now, capi_intake_t *tally);

/* --- outbox rows --- */

#define CAPI_ROW_CLAIM    1 /* a browser's word: waits for the shop's own */
#define CAPI_ROW_DETACHED 2 /* consent is its context's, not decided yet */
#define CAPI_ROW_LAYERS   4 /* further sources are in `layers` */
#define CAPI_ROW_OWN_WORD 8 /* the event itself said that consent is granted */

/* Above every time: a rejected event's payload, kept for a while. Plus when it was rejected. */
#define CAPI_DUE_REJECTED  ((apr_int64_t)1 << 62)
#define CAPI_REJECTED_KEEP apr_time_from_sec(7 * 86400)
#define CAPI_CLAIM_WAIT    apr_time_from_sec(3600)
#define CAPI_CONTEXT_WAIT  apr_time_from_sec(120)
#define CAPI_USED_ID_KEEP  apr_time_from_sec((apr_int64_t)400 * 86400)

/* Settles one waiting event without an attempt, and erases it: state, why, and the count. */
apr_status_t capi_settle(capi_store_t *store, capi_dest_t *dest, apr_int64_t event,
                         const char *sent_as, int flags, capi_state_t state, const char *error,
                         apr_time_t now);
/* Erases what the outbox holds of an event. */
apr_status_t capi_erase(capi_store_t *store, apr_int64_t event, int flags);

struct capi_store_t {
    apr_pool_t *pool;
    apr_pool_t *conn;     /* as long as the connection */
    apr_pool_t *prepared; /* statements, below conn */
    apr_pool_t *txn;      /* one transaction */
    apr_pool_t *scratch;  /* one envelope or call */
    const apr_dbd_driver_t *driver;
    apr_dbd_t *handle;
    apr_dbd_transaction_t *trans;
    bool is_broken;  /* a call failed: the transaction can only be rolled back */
    bool is_open;    /* a transaction is */
    bool is_damaged; /* the file is: nothing but the next open can help */
    bool read_only;
    const char *path; /* of an SQLite file, else NULL */
    dev_t device;     /* which file the writer opened, and how long it has been seen */
    ino_t inode;
    off_t len;
    const char *params;
    capi_engine_t engine;
    apr_int64_t node;            /* 0: alone, or not joined */
    apr_array_header_t *members; /* in store_fleet.c */
    bool hands_changed;          /* since the last beat */
    int generation;              /* of statements */
    int prepared_once;
    char error[512];
    capi_statement_t statements[CAPI_SQL_COUNT];

    apr_int64_t last_event;
    apr_int64_t last_visit;
    apr_int64_t last_attempt;
    apr_int64_t last_destination;
    bool has_used_ids;

    apr_array_header_t *dests; /* capi_dest_t * */
    apr_hash_t *flights;
    capi_flight_t *free_flights;
    capi_flight_t *ended;      /* in this transaction */
    apr_array_header_t *begun; /* in this transaction: apr_int64_t */
    apr_hash_t *tallies;       /* in txn */
    struct capi_tally_t *last_tally;
    capi_cached_visit_t *cache;
    unsigned cache_epoch;
    apr_hash_t *signals; /* interned */

    apr_int64_t retain_event; /* how far the steps of retention came */
    apr_int64_t retain_outbox;
    int retain_step;
};

#endif
