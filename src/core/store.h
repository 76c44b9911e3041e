#ifndef CAPI_STORE_H
#define CAPI_STORE_H

/* The store: what the sender knows, durably. One connection through apr_dbd, one writer. All SQL
 * is in store_sql.h. Reads for the page are in report.h. */

#include "capi.h"
#include "denied.h"
#include "envelope.h"

typedef struct capi_store_t capi_store_t;

/* Opens (and, unless `read_only`, creates, migrates, and sets aside a corrupt SQLite file as
 * NAME.corrupt-<time> with a message). *message says in one sentence what went wrong. */
apr_status_t capi_store_open(capi_store_t **store, const char **message, const char *driver,
                             const char *params, bool read_only, apr_pool_t *p);
void capi_store_close(capi_store_t *store);

/* Opens a store that is there and of this version, to read it and to ask for something (ask.h):
 * what the sender does when it opens one is left alone. */
apr_status_t capi_store_open_to_ask(capi_store_t **store, const char **message, const char *driver,
                                    const char *params, apr_pool_t *p);

/* After a failure: opens the connection anew where it may be lost. What is remembered stays. */
apr_status_t capi_store_reconnect(capi_store_t *store);

/* The last error in the engine's words, for the log. */
const char *capi_store_error(const capi_store_t *store);

/* True where an SQLite file turned out to be damaged, removed, replaced or cut while it was in use:
 * only closing and opening again helps, which sets a damaged one aside. What was committed since is
 * nowhere, and commit says so. */
bool capi_store_is_damaged(capi_store_t *store);

/* One transaction around a batch of what follows. A failed call poisons it: commit then rolls back
 * and returns the error. Counters that changed are written by commit. After a rollback all is as it
 * was at begin: what was claimed since is given back, what was settled since is claimed again. */
apr_status_t capi_store_begin(capi_store_t *store);
apr_status_t capi_store_commit(capi_store_t *store);
void capi_store_rollback(capi_store_t *store);

/* --- several senders on one database --- */

/* A sender that has given no sign of life for so long is gone. */
#define CAPI_LEASE apr_time_from_sec(60)

/* True where it is a server's, which others may use as well. */
bool capi_store_is_shared(const capi_store_t *store);

/* Takes a place among them under a name that stays the same when this sender starts again; does
 * nothing with a file. What the place had waiting is this sender's. */
apr_status_t capi_store_join(capi_store_t *store, const char *name);

/* A sign of life, and a look at the others. `ticks` is any clock that never goes back; `now` is for
 * the record. */
typedef struct {
    bool is_member; /* false: others believed this one dead. Join again; drop what is in flight */
    bool is_first;  /* of those that live: does what one alone should do */
    bool hands_changed; /* others wrote: what is due may have changed */
    apr_int64_t silent; /* a node that fell silent, whose events are ours now; 0: none */
    int taken_over;     /* its events */
} capi_beat_t;
apr_status_t capi_store_beat(capi_beat_t *beat, capi_store_t *store, apr_time_t ticks,
                             apr_time_t now);

/* --- intake: the queue's records, in order, inside a transaction --- */

typedef struct {
    int added, merged, duplicates, suppressed, binds;
} capi_intake_t;

/* Takes in one envelope: visit, binds, then events; adds what happened to *tally. */
apr_status_t capi_store_take(capi_store_t *store, const capi_envelope_t *envelope, apr_time_t now,
                             capi_intake_t *tally, apr_pool_t *p);

/* --- dispatch --- */

/* Where events go. Rows are made by intake and by the sender's configuration. */
typedef struct {
    apr_int64_t id;
    const char *account;
    const char *api_url;
    bool test;
    capi_wire_t wire;
    bool is_held;
    apr_time_t held_since;
    const char *held_reason;
    apr_int64_t waiting; /* events that are not settled */
    bool is_paused;      /* somebody wants nothing to go out */
} capi_destination_t;

/* All destinations, ordered by id, in the pool. */
apr_status_t capi_store_destinations(apr_array_header_t **list, capi_store_t *store, apr_pool_t *p);

/* Finds or makes one; *id. */
apr_status_t capi_store_destination(apr_int64_t *id, capi_store_t *store,
                                    const capi_settings_t *settings);

/* Holds a destination with the reason a person can act on, or releases it (reason NULL). */
apr_status_t capi_store_hold(capi_store_t *store, apr_int64_t destination, const char *reason,
                             apr_time_t now);

/* How many events that nobody has claimed (counted up to `limit`) are due now, when the oldest of
 * them became due, and when the next is due (0: none). */
typedef struct {
    int due;
    apr_time_t oldest_due;
    apr_time_t next_due;
} capi_backlog_t;
apr_status_t capi_store_backlog(capi_backlog_t *backlog, capi_store_t *store,
                                apr_int64_t destination, apr_time_t now, int limit);

typedef struct {
    apr_int64_t id;
    const char *text; /* in the destination's wire format */
    apr_size_t len;
    apr_int64_t event_time;
    const char *sent_as;
    const char *event_id;
    capi_keys_t keys;
    int retries;
    capi_consent_state_t consent; /* what was decided, by which signal, and what came of it */
    const char *signal;
    capi_action_t action;
    apr_time_t due;  /* the store's own: its place in the outbox */
    bool has_layers; /* the store's own: more than one source spoke */
} capi_outgoing_t;

typedef struct {
    apr_int64_t request; /* row of this attempt; 0 where count is 0 */
    apr_int64_t destination;
    int count;
    capi_outgoing_t *events;
    int settled; /* how many it settled instead: suppressed, expired, unconfirmed */
} capi_batch_t;

/* Takes the next due events of a destination, none twice while a batch is open: completed from
 * their visits, merged, consent looked at again, in the wire format. At most `max_events` and
 * `max_bytes` (their texts and a comma each; at least one). What may not go any more it settles: a
 * batch of none that settled some says that more may be due. Opens an attempt row. */
apr_status_t capi_store_claim(capi_batch_t **batch, capi_store_t *store,
                              const capi_destination_t *destination, apr_time_t now, int max_events,
                              apr_size_t max_bytes, apr_pool_t *p);

/* An attempt of its own for part of a batch (a half of it after 400 or 413). */
apr_status_t capi_store_attempt(apr_int64_t *request, capi_store_t *store, apr_int64_t destination,
                                const capi_outgoing_t *events, int count, apr_time_t now);

/* True where somebody denied one of these since they were claimed: give them back, and claim anew. */
bool capi_store_is_denied_since(const capi_store_t *store, const capi_outgoing_t *events,
                                int count);

/* What came of an attempt: HTTP status (0: no answer), x-pinterest-rid, error in words. */
apr_status_t capi_store_attempt_end(capi_store_t *store, apr_int64_t request, int http_status,
                                    const char *request_id, const char *error, apr_time_t now);

/* What came of each event of it. Delivered and rejected settle the event: its user data is erased
 * (a rejected one's after 7 days). Retry gives it back, due at `due`. All three want a transaction;
 * the functions for `count` events at once cost a fraction for each. `now` is for the record. */
apr_status_t capi_store_delivered(capi_store_t *store, const capi_outgoing_t *event,
                                  apr_int64_t request, const char *warning, apr_time_t now);
apr_status_t capi_store_delivered_all(capi_store_t *store, const capi_outgoing_t *events, int count,
                                      apr_int64_t request, apr_time_t now);
apr_status_t capi_store_rejected(capi_store_t *store, const capi_outgoing_t *event,
                                 apr_int64_t request, const char *error, apr_time_t now);
apr_status_t capi_store_retry(capi_store_t *store, const capi_outgoing_t *event,
                              apr_int64_t request, const char *error, apr_time_t due,
                              apr_time_t now);
apr_status_t capi_store_retry_all(capi_store_t *store, const capi_outgoing_t *events, int count,
                                  apr_int64_t request, const char *error, apr_time_t due,
                                  apr_time_t now);

/* How many content_ids of delivered events the shop's catalogue knows. In a transaction. */
void capi_store_count_contents(capi_store_t *store, apr_int64_t destination, const char *sent_as,
                               int known, int unknown, apr_time_t now);

/* Gives a batch's events back unharmed (no retry counted): the sender stops or holds. Events still
 * claimed when the process dies are claimed by nobody: being claimed is kept in memory alone. */
void capi_store_unclaim(capi_store_t *store, const capi_outgoing_t *events, int count);

/* --- housekeeping --- */

/* A small step of retention: old records, contexts, used ids, user data of rejected events and of
 * those that waited past their time (an account on hold). *more: call again soon. Call outside a
 * transaction. */
apr_status_t capi_store_retain(capi_store_t *store, int retention_days, apr_time_t now, bool *more);

/* The wall clock was set: moves when everything that waits is due, ready and too old. Outside a
 * transaction. */
apr_status_t capi_store_shift(capi_store_t *store, apr_interval_time_t by);

/* What the page shows about the sender: written when something changed. */
apr_status_t capi_store_note(capi_store_t *store, const char *name, const char *value);
/* A note that counts: one more. */
apr_status_t capi_store_note_count(capi_store_t *store, const char *name);

/* Moves the write-ahead log into the database file and truncates it: erased data leaves the disk.
 * APR_EBUSY where somebody reads. */
apr_status_t capi_store_checkpoint(capi_store_t *store);

#endif
