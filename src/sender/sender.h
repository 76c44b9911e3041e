#ifndef SENDER_H
#define SENDER_H

/* What the files of the sender share: one process, one thread, one loop that owns everything here.
 * Schedules run on the monotonic clock (capi_ticks), what the store keeps on the wall clock. */

#include <sys/types.h>

#include "capi.h"
#include "envelope.h"
#include "outcome.h"
#include "queue.h"
#include "schedule.h"
#include "sender_config.h"
#include "store.h"
#include "wire.h"

#include "api.h"

/* Requests at once, of all accounts together: many, so that those whose API hangs leave room for
 * the others. Their memory has a bound of its own. */
#define CAPI_SLOTS                64
#define CAPI_IN_FLIGHT_OF_ACCOUNT 4
#define CAPI_BYTES_IN_FLIGHT      (8 * CAPI_BATCH_BYTES)

/* Memory is bounded, too: full batches go two at a time, which is plenty for one account. */
#define CAPI_BYTES_OF_ACCOUNT (CAPI_BATCH_BYTES * 5 / 4)

#define CAPI_NEVER INT64_MAX

/* --- log.c: lines as httpd writes them, on standard error --- */

enum { CAPI_LOG_ERR = 3, CAPI_LOG_WARNING, CAPI_LOG_NOTICE, CAPI_LOG_INFO, CAPI_LOG_DEBUG };

/* `level` is an APLOG_ number; what is above it is not written. */
void capi_log_init(int level);

/* Control characters come out as `?`: what is logged may be a stranger's word. */
void capi_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- clock.c: the only places that ask for the time, so that tests can turn it --- */

apr_time_t capi_now(void);   /* since 1970 */
apr_time_t capi_ticks(void); /* since some point in the past; never goes back */

/* How long to sleep until `at` (ticks): at most a day, also where it is CAPI_NEVER. */
int capi_wait_ms(apr_time_t at);

/* --- secrets.c: configuration and tokens, from inherited descriptors --- */

/* Reads and closes CAPI_FD_CONFIG. */
apr_status_t capi_config_load(capi_sender_config_t **config, const char **message, apr_pool_t *p);

/* Reads the tokens and closes their descriptors, readable or not. tokens[i] is that of account i:
 * malloc'd, wiped by capi_tokens_wipe, NULL where there is none. */
char **capi_tokens_load(const capi_sender_config_t *config, apr_pool_t *p);
void capi_tokens_wipe(char **tokens, int count);

/* --- lock.c: one sender a state directory --- */

typedef enum {
    CAPI_LOCK_HELD,
    CAPI_LOCK_NO_FILE, /* the state directory is not there, or read-only: may be tried again */
    CAPI_LOCK_FAILED,
    CAPI_LOCK_ASKED_TO_STOP
} capi_lock_t;

/* Waits until the sender before this one has ended. A signal on `signal_fd` or the end of the
 * parent ends the wait. The lock is held until this process ends. `is_said`: that there is no file
 * has been logged before. */
capi_lock_t capi_lock_wait(const char *state_dir, int signal_fd, int parent_fd, bool is_said,
                           apr_pool_t *p);

/* --- routes.c: the way to each destination --- */

typedef struct capi_catalog_t capi_catalog_t; /* catalog.c */

/* What all destinations of one account share. */
typedef struct {
    const char *account;
    int in_flight;
    apr_size_t bytes_in_flight;
    capi_bucket_t rate;
} capi_quota_t;

/* An event that was refused alone, before anything proved that the API works. */
typedef struct {
    apr_int64_t event;
    apr_time_t refused_at; /* ticks */
} capi_suspect_t;

#define CAPI_SUSPECTS 64

typedef struct {
    capi_destination_t row; /* is_held as it should be; written when hold_changed */
    capi_target_t target;   /* target.headers NULL: no token, nothing can be sent */
    const char *token_file;
    capi_catalog_t *catalog; /* NULL: none */
    int flush_events, flush_sec;
    capi_quota_t *quota;
    int in_flight;
    int failures;            /* in a row */
    int batch_max;           /* events; less after failures */
    int probes;              /* since it is held */
    int answers;             /* of any kind, so far */
    apr_time_t not_before;   /* ticks: back-off, Retry-After, probe */
    apr_time_t look_at;      /* ticks: when the store is to be asked what is due */
    int maybe_due;           /* events, since the store was asked */
    apr_time_t succeeded_at; /* ticks of the last answer with results */
    capi_suspect_t suspects[CAPI_SUSPECTS];
    int next_suspect;
    bool hold_changed;
    bool local_hold; /* for want of a token: only another start can end it */
    apr_pool_t *hold_pool;
} capi_route_t;

typedef struct capi_sender_t capi_sender_t;

/* Makes the rows of all configured destinations and reads all there are. Holds those without a
 * token, releases those that were held for want of one and have it now. In a transaction. */
apr_status_t capi_routes_load(capi_sender_t *sender);

/* Looks for destinations that intake made. */
apr_status_t capi_routes_reload(capi_sender_t *sender);

/* NULL where it is not known yet. */
capi_route_t *capi_route_of(const capi_sender_t *sender, const capi_settings_t *settings);

capi_route_t *capi_route_by_id(const capi_sender_t *sender, apr_int64_t id);

/* Something was taken in for it. */
void capi_route_news(capi_route_t *route, int events);

/* Holds it until a probe succeeds; logs once a reason. Probes of a destination that refused a
 * single event are quicker: another event may prove at once that the API works. */
void capi_route_hold(capi_route_t *route, const char *reason, bool for_refusal);
void capi_route_release(capi_route_t *route);

/* Writes changed holds, in a transaction; capi_routes_saved once it is committed. */
void capi_routes_save(capi_sender_t *sender);
void capi_routes_saved(capi_sender_t *sender);
bool capi_routes_are_changed(const capi_sender_t *sender);

/* When the event was first refused alone (ticks), 0: never. */
apr_time_t capi_route_suspected_at(const capi_route_t *route, apr_int64_t event);
void capi_route_suspect(capi_route_t *route, apr_int64_t event, apr_time_t refused_at);

/* --- priority.c --- */

void capi_priority_begin(capi_sender_t *sender);
void capi_priority_turn(capi_sender_t *sender); /* in each round of the loop */

/* --- intake.c --- */

typedef struct {
    capi_queue_t *queue;
    bool is_current;
    int limit;           /* records a transaction; less after the store refused one */
    int refusals;        /* of the very first record */
    apr_time_t taken_at; /* ticks */
    uint64_t mark;       /* its head when the present chase began; 0: nothing more to chase */
} capi_inlet_t;

/* Takes in what waits, at most one transaction an inlet. False where there was nothing to take or
 * the store did not take it. Says in has_caught_up whether all is in that waited when it last began
 * to catch up: before that nothing is claimed, for a denial may stand behind thousands of records.
 * Under steady load taking in and claiming go on in turn. */
bool capi_intake_turn(capi_sender_t *sender);

/* True where every inlet is empty. */
bool capi_intake_is_empty(const capi_sender_t *sender);

/* When to look at the inlets again by the clock; announces sleep to the current queue where records
 * are to wake it. Ticks. */
apr_time_t capi_intake_next(capi_sender_t *sender);

/* --- dispatch.c, settle.c --- */

typedef enum {
    CAPI_SLOT_FREE,
    CAPI_SLOT_CLAIMED, /* goes out once the claim is committed */
    CAPI_SLOT_FLYING,
    CAPI_SLOT_ANSWERED, /* judged, but not recorded */
    CAPI_SLOT_DONE      /* recorded, but not committed */
} capi_slot_state_t;

/* A batch on its way, and the request that carries it or the part of it that is tried now. */
typedef struct {
    capi_slot_state_t state;
    apr_pool_t *pool; /* the batch's */
    capi_route_t *route;
    capi_batch_t *batch;
    apr_size_t bytes; /* of its texts */
    capi_range_t range;
    apr_int64_t request;
    apr_int64_t next_request; /* of the part that is tried next; set by recording */
    capi_call_t *call;
    capi_halving_t halving;
    apr_time_t refused_at;        /* ticks of the first refusal, 0: none */
    apr_array_header_t *suspects; /* parts of one that were refused, in settle.c */

    capi_verdict_t verdict;
    capi_result_t *results;
    const char *error;
    bool is_over;  /* no further part of the batch is tried */
    bool is_probe; /* claimed while its destination was in trouble */
} capi_slot_t;

/* Records answers, claims and sends what is ripe. When to be called again, in ticks. */
apr_time_t capi_dispatch_turn(capi_sender_t *sender);

/* Marks the slots whose calls have ended and judges their answers. */
void capi_dispatch_collect(capi_sender_t *sender);

/* Gives up all requests that are under way; their events stay. */
void capi_dispatch_abandon(capi_sender_t *sender);

bool capi_dispatch_is_idle(const capi_sender_t *sender);

/* Decides, once an answer, what becomes of the events and of the destination. */
void capi_settle_judge(capi_sender_t *sender, capi_slot_t *slot);

/* Writes what was decided; may be repeated after a rollback. */
void capi_settle_record(capi_sender_t *sender, capi_slot_t *slot);

/* After the commit: gives back what was neither settled nor is tried next. */
void capi_settle_give_back(capi_sender_t *sender, capi_slot_t *slot);

/* --- housekeeping.c --- */

/* Notes about the sender that changed, into the transaction that is open; at most once a second. */
void capi_notes_write(capi_sender_t *sender, bool always);

/* What is noted in the store is unknown: at the start, and after a rollback. All is noted anew. */
void capi_notes_lost(void);

/* What is left for quiet moments; when to be called again, in ticks. */
apr_time_t capi_housekeeping_turn(capi_sender_t *sender);

/* The last words before the end. */
void capi_housekeeping_end(capi_sender_t *sender);

/* --- asks.c: what the page asks for --- */

typedef struct capi_asks_t capi_asks_t;

/* Watches the store for asks. False where libcurl cannot be used. */
bool capi_asks_create(capi_sender_t *sender);
void capi_asks_destroy(capi_sender_t *sender);

/* Becomes readable when somebody wrote into the store (-1: nobody can tell); then call _news. */
int capi_asks_fd(const capi_sender_t *sender);
void capi_asks_news(capi_sender_t *sender);

/* Does what is asked for. When to be called again, in ticks. */
apr_time_t capi_asks_turn(capi_sender_t *sender);

/* A request to this destination was answered, and judged. */
void capi_asks_answered(capi_sender_t *sender, capi_route_t *route);

/* --- catalog.c: which content_ids the shop's catalogue feeds know --- */

/* Makes one for each feed that the configuration names; they are read by and by. */
void capi_catalogs_init(capi_sender_t *sender);

/* NULL where `path` is NULL. */
capi_catalog_t *capi_catalog_of(const capi_sender_t *sender, const char *path);

/* Reads the next piece of a feed that changed. When to be called again, in ticks. */
apr_time_t capi_catalogs_turn(capi_sender_t *sender);

/* Counts the content_ids of the slot's delivered events, in a transaction. */
void capi_catalog_count(capi_sender_t *sender, const capi_slot_t *slot);

/* The text of CAPI_NOTE_CATALOGS. */
const char *capi_catalogs_note(const capi_sender_t *sender, apr_pool_t *p);

/* --- fleet.c: several senders on one database --- */

/* Takes this sender's place; with a file there is nothing to take. */
apr_status_t capi_fleet_join(capi_sender_t *sender);

/* A sign of life now and then. When to be called again, in ticks. */
apr_time_t capi_fleet_turn(capi_sender_t *sender);

/* --- loop.c --- */

typedef enum {
    CAPI_RUN,
    CAPI_DRAIN,     /* SIGTERM: finish requests, empty the queue, end */
    CAPI_ORPHAN,    /* httpd's parent is gone: the same, in less time */
    CAPI_END_FAST,  /* a second SIGTERM */
    CAPI_STORE_LOST /* only another sender can open what is there now, or begin anew */
} capi_phase_t;

struct capi_sender_t {
    int nice; /* how polite it is now */
    apr_pool_t *pool;
    const capi_sender_config_t *config;
    char **tokens;
    capi_store_t *store;
    capi_api_t *api;
    capi_asks_t *asks;
    int signal_fd;

    capi_phase_t phase;
    apr_time_t drain_until; /* ticks */

    apr_array_header_t *inlets; /* capi_inlet_t, the current one first */
    apr_int64_t broken_records;
    bool has_unknown_route;
    bool has_caught_up;

    apr_array_header_t *routes; /* capi_route_t * */
    apr_array_header_t *quotas; /* capi_quota_t * */
    capi_bucket_t test_rate;
    apr_array_header_t *catalogs; /* capi_catalog_t * */
    apr_int64_t catalog_news;     /* grows with each change to what is noted about them */
    capi_slot_t slots[CAPI_SLOTS];
    int in_flight, probes_in_flight; /* slots in use */
    apr_size_t bytes_in_flight;
    int next_route; /* whose turn it is */

    bool is_first;      /* of the senders of this database: does what the page asks for */
    apr_time_t beat_at; /* ticks */

    unsigned int store_failures;
    apr_time_t store_retry_at; /* ticks; 0: the store works */

    apr_interval_time_t clock_offset;         /* of the wall clock from ticks */
    apr_time_t started, stopped, last_intake; /* wall clock */
    apr_time_t settled_at;                    /* ticks of the last write; 0: nothing to tidy */
    apr_time_t checkpoint_at, retain_at, notes_at;
};

/* Runs until told to end. False where the store's file was lost. */
bool capi_loop_run(capi_sender_t *sender);

/* After a transaction failed: everything that writes pauses, with a growing pause. Logs the first
 * failure and, through capi_store_recovered, the end of it. Ends the sender where the store's file
 * is damaged or gone. */
void capi_store_failed(capi_sender_t *sender, const char *doing);
void capi_store_recovered(capi_sender_t *sender);

#endif
