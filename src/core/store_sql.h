#ifndef CAPI_STORE_SQL_H
#define CAPI_STORE_SQL_H

/* All SQL text of the store, one constant a statement, named after its purpose. Plain SQL wherever
 * there is a choice: the driver is a setting. %s and %lld are apr_dbd's placeholders; a literal
 * percent sign would be %%. Times are microseconds unless a column says otherwise. */

/* --- schema, step by step; each step is one transaction and raises schema_version by one --- */

#define SQL_META_TABLE                                                                             \
    "CREATE TABLE IF NOT EXISTS meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)"

/* What the page shows about the sender. */
#define SQL_NOTES_TABLE "CREATE TABLE notes (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)"

/* Where events go. `waiting` counts the outbox rows that still wait: the page never counts them. */
#define SQL_DESTINATIONS_TABLE                                                                     \
    "CREATE TABLE destinations (id INTEGER PRIMARY KEY, account TEXT NOT NULL,"                    \
    " api_url TEXT NOT NULL, test INTEGER NOT NULL, wire INTEGER NOT NULL, held_since BIGINT,"     \
    " held_reason TEXT, waiting BIGINT NOT NULL DEFAULT 0, UNIQUE (account, api_url, test, wire))"

/* The record of an event: no person in it. Ids grow in the order of intake. event_time is in
 * seconds; match_keys is a set of bits (capi_key_t); attempt is the last one. While a detached
 * event waits for its context, consent is what counts if the context never comes. */
#define SQL_EVENTS_TABLE                                                                           \
    "CREATE TABLE events (id INTEGER PRIMARY KEY, destination INTEGER NOT NULL,"                   \
    " sent_as TEXT NOT NULL, event_id TEXT NOT NULL, name TEXT NOT NULL,"                          \
    " event_time BIGINT NOT NULL, received_at BIGINT NOT NULL, settled_at BIGINT,"                 \
    " source INTEGER NOT NULL, state INTEGER NOT NULL, consent INTEGER NOT NULL,"                  \
    " consent_signal TEXT, match_keys INTEGER NOT NULL, is_named INTEGER NOT NULL,"                \
    " attempt BIGINT, retries INTEGER NOT NULL DEFAULT 0, error TEXT, warning TEXT)"
#define SQL_EVENTS_IDENTITY                                                                        \
    "CREATE UNIQUE INDEX events_identity ON events (destination, sent_as, event_id)"
/* Delivered and waiting events are not in it, so the ordinary event never touches it. */
#define SQL_EVENTS_TROUBLE "CREATE INDEX events_trouble ON events (state) WHERE state > 10"

/* One row while an event waits (or, due = CAPI_DUE_REJECTED + time, while a rejected one's payload
 * is kept). flags: CAPI_ROW_…; source: whose payload it is; expires_at in seconds. */
#define SQL_OUTBOX_TABLE                                                                           \
    "CREATE TABLE outbox (event INTEGER PRIMARY KEY, destination INTEGER NOT NULL,"                \
    " due BIGINT NOT NULL, ready_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,"                  \
    " flags INTEGER NOT NULL, source INTEGER NOT NULL, match_keys INTEGER NOT NULL,"               \
    " visit BIGINT, wants_key TEXT, payload TEXT NOT NULL)"
#define SQL_OUTBOX_DUE   "CREATE INDEX outbox_due ON outbox (destination, due)"
#define SQL_OUTBOX_VISIT "CREATE INDEX outbox_visit ON outbox (visit) WHERE visit IS NOT NULL"
#define SQL_OUTBOX_WANTS                                                                           \
    "CREATE INDEX outbox_wants ON outbox (wants_key) WHERE wants_key IS NOT NULL"

/* What second and further sources said of an event that waits. */
#define SQL_LAYERS_TABLE                                                                           \
    "CREATE TABLE layers (event BIGINT NOT NULL, source INTEGER NOT NULL, payload TEXT NOT NULL,"  \
    " PRIMARY KEY (event, source))"

/* Contexts. decided_at is when the request that decided about consent came in; match_keys are those
 * that the columns behind it hold. */
#define SQL_VISITS_TABLE                                                                           \
    "CREATE TABLE visits (id INTEGER PRIMARY KEY, seen_at BIGINT NOT NULL,"                        \
    " consent INTEGER NOT NULL, consent_signal TEXT, decided_at BIGINT NOT NULL,"                  \
    " match_keys INTEGER NOT NULL, click_id TEXT, address TEXT, agent TEXT, user_data TEXT)"
#define SQL_VISITS_SEEN "CREATE INDEX visits_seen ON visits (seen_at)"
#define SQL_VISIT_KEYS_TABLE                                                                       \
    "CREATE TABLE visit_keys (name TEXT NOT NULL PRIMARY KEY, visit BIGINT NOT NULL,"              \
    " by_server INTEGER NOT NULL)"
#define SQL_VISIT_KEYS_VISIT "CREATE INDEX visit_keys_visit ON visit_keys (visit)"

/* One row a request to the API; open while finished_at is NULL. From (from_due, from_event) to
 * (to_due, to_event) are the outbox rows it carries, so that `sending` can be told. */
#define SQL_ATTEMPTS_TABLE                                                                         \
    "CREATE TABLE attempts (id INTEGER PRIMARY KEY, destination INTEGER NOT NULL,"                 \
    " started_at BIGINT NOT NULL, finished_at BIGINT, http_status INTEGER, request_id TEXT,"       \
    " error TEXT, events INTEGER NOT NULL, from_due BIGINT NOT NULL, from_event BIGINT NOT NULL,"  \
    " to_due BIGINT NOT NULL, to_event BIGINT NOT NULL)"
#define SQL_ATTEMPTS_OPEN                                                                          \
    "CREATE INDEX attempts_open ON attempts (destination) WHERE finished_at IS NULL"

/* Attempts before the last one of an event (events.attempt). */
#define SQL_EVENT_ATTEMPTS_TABLE                                                                   \
    "CREATE TABLE event_attempts (event BIGINT NOT NULL, attempt BIGINT NOT NULL,"                 \
    " PRIMARY KEY (event, attempt))"

/* Named ids whose record is gone, as hashes; used_at in seconds. */
#define SQL_USED_IDS_TABLE                                                                         \
    "CREATE TABLE used_ids (hash TEXT NOT NULL PRIMARY KEY, used_at BIGINT NOT NULL)"
#define SQL_USED_IDS_AGE "CREATE INDEX used_ids_age ON used_ids (used_at)"

/* hour: hours since 1970. what: an outcome (received, delivered, rejected, suppressed, duplicate,
 * merged, expired, unconfirmed, retried), key:<match key> of delivered events, or
 * consent:<state>:<signal>. */
#define SQL_COUNTERS_TABLE                                                                         \
    "CREATE TABLE counters (hour BIGINT NOT NULL, destination INTEGER NOT NULL,"                   \
    " sent_as TEXT NOT NULL, what TEXT NOT NULL, n BIGINT NOT NULL,"                               \
    " PRIMARY KEY (hour, destination, sent_as, what))"

#endif
