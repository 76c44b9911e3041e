#ifndef CAPI_STORE_SQL_H
#define CAPI_STORE_SQL_H

/* All SQL text of the store, one constant a statement, named after its purpose. Plain SQL wherever
 * there is a choice: the driver is a setting (store_engine.c has what differs). %s and %lld are
 * apr_dbd's placeholders; a literal percent sign would be %%. Times are microseconds unless a column
 * says otherwise. Texts in keys are VARCHAR: MySQL wants to know how long they get. What stands in
 * shared comments is for a database of several senders; @node there is the number of this one. */

/* --- schema, step by step; each step is one transaction and raises schema_version by one --- */

#define SQL_META_TABLE                                                                             \
    "CREATE TABLE IF NOT EXISTS meta (name VARCHAR(40) NOT NULL PRIMARY KEY, value TEXT NOT NULL)"

/* What the page shows about the sender. */
#define SQL_NOTES_TABLE                                                                            \
    "CREATE TABLE notes (name VARCHAR(40) NOT NULL PRIMARY KEY, value TEXT NOT NULL)"

/* Where events go. `waiting` counts the outbox rows that still wait: the page never counts them. */
#define SQL_DESTINATIONS_TABLE                                                                     \
    "CREATE TABLE destinations (id INTEGER PRIMARY KEY, account VARCHAR(40) NOT NULL,"             \
    " api_url VARCHAR(400) NOT NULL, test INTEGER NOT NULL, wire INTEGER NOT NULL, held_since "    \
    "BIGINT,"                                                                                      \
    " held_reason TEXT, waiting BIGINT NOT NULL DEFAULT 0, UNIQUE (account, api_url, test, wire))"

/* The record of an event: no person in it. Ids grow in the order of intake. event_time is in
 * seconds; match_keys is a set of bits (capi_key_t); attempt is the last one. While a detached
 * event waits for its context, consent is what counts if the context never comes. on_denied: the
 * rule where it came from, NULL for suppress; action (capi_action_t) and stripped (match keys) say
 * what the rule did to it. */
#define SQL_EVENTS_TABLE                                                                           \
    "CREATE TABLE events (id INTEGER PRIMARY KEY, destination INTEGER NOT NULL,"                   \
    " sent_as VARCHAR(190) NOT NULL, event_id VARCHAR(400) NOT NULL, name TEXT NOT NULL,"          \
    " event_time BIGINT NOT NULL, received_at BIGINT NOT NULL, settled_at BIGINT,"                 \
    " source INTEGER NOT NULL, state INTEGER NOT NULL, consent INTEGER NOT NULL,"                  \
    " consent_signal TEXT, on_denied TEXT, action INTEGER NOT NULL DEFAULT 0,"                     \
    " stripped INTEGER NOT NULL DEFAULT 0, match_keys INTEGER NOT NULL,"                           \
    " is_named INTEGER NOT NULL, attempt BIGINT, retries INTEGER NOT NULL DEFAULT 0,"              \
    " error TEXT, warning TEXT)"
#define SQL_EVENTS_IDENTITY                                                                        \
    "CREATE UNIQUE INDEX events_identity ON events (destination, sent_as, event_id)"
/* Delivered and waiting events are not in it, so the ordinary event never touches it. */
#define SQL_EVENTS_TROUBLE "CREATE INDEX events_trouble ON events (state) WHERE state > 10"

/* One row while an event waits (or, due = CAPI_DUE_REJECTED + time, while a rejected one's payload
 * is kept). flags: CAPI_ROW_…; source: whose payload it is; expires_at in seconds; on_denied: NULL
 * for suppress; denied_by: the signal of a denial since it came. */
#define SQL_OUTBOX_TABLE                                                                           \
    "CREATE TABLE outbox (event INTEGER PRIMARY KEY, destination INTEGER NOT NULL,"                \
    " due BIGINT NOT NULL, ready_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,"                  \
    " flags INTEGER NOT NULL, source INTEGER NOT NULL, match_keys INTEGER NOT NULL,"               \
    " visit BIGINT, wants_key VARCHAR(190), on_denied TEXT, denied_by TEXT,"                       \
    " payload TEXT NOT NULL/*shared:, node BIGINT NOT NULL*/)"
#define SQL_OUTBOX_DUE   "CREATE INDEX outbox_due ON outbox (destination, /*shared:node, */due)"
#define SQL_OUTBOX_VISIT "CREATE INDEX outbox_visit ON outbox (visit) WHERE visit IS NOT NULL"
#define SQL_OUTBOX_WANTS                                                                           \
    "CREATE INDEX outbox_wants ON outbox (wants_key) WHERE wants_key IS NOT NULL"

/* What second and further sources said of an event that waits. */
#define SQL_LAYERS_TABLE                                                                           \
    "CREATE TABLE layers (event BIGINT NOT NULL, source INTEGER NOT NULL, payload TEXT NOT NULL,"  \
    " PRIMARY KEY (event, source))"

/* Contexts. decided_at is when the request that decided about consent came in, on_denied the rule
 * of its place (NULL: suppress); match_keys are those that the columns behind it hold. */
#define SQL_VISITS_TABLE                                                                           \
    "CREATE TABLE visits (id INTEGER PRIMARY KEY, seen_at BIGINT NOT NULL,"                        \
    " consent INTEGER NOT NULL, consent_signal TEXT, decided_at BIGINT NOT NULL,"                  \
    " on_denied TEXT, match_keys INTEGER NOT NULL, click_id TEXT, address TEXT, agent TEXT, "      \
    "user_data TEXT)"
#define SQL_VISITS_SEEN "CREATE INDEX visits_seen ON visits (seen_at)"
#define SQL_VISIT_KEYS_TABLE                                                                       \
    "CREATE TABLE visit_keys (name VARCHAR(190) NOT NULL PRIMARY KEY, visit BIGINT NOT NULL,"      \
    " by_server INTEGER NOT NULL)"
#define SQL_VISIT_KEYS_VISIT "CREATE INDEX visit_keys_visit ON visit_keys (visit)"

/* One row a request to the API; open while finished_at is NULL. From (from_due, from_event) to
 * (to_due, to_event) are the outbox rows it carries, so that `sending` can be told. */
#define SQL_ATTEMPTS_TABLE                                                                         \
    "CREATE TABLE attempts (id INTEGER PRIMARY KEY, destination INTEGER NOT NULL,"                 \
    " started_at BIGINT NOT NULL, finished_at BIGINT, http_status INTEGER, request_id TEXT,"       \
    " error TEXT, events INTEGER NOT NULL, from_due BIGINT NOT NULL, from_event BIGINT NOT NULL,"  \
    " to_due BIGINT NOT NULL, to_event BIGINT NOT NULL/*shared:, node BIGINT NOT NULL*/)"
#define SQL_ATTEMPTS_OPEN                                                                          \
    "CREATE INDEX attempts_open ON attempts (destination) WHERE finished_at IS NULL"

/* Attempts that did not settle an event. events.attempt is the last of all, so perhaps one of them. */
#define SQL_EVENT_ATTEMPTS_TABLE                                                                   \
    "CREATE TABLE event_attempts (event BIGINT NOT NULL, attempt BIGINT NOT NULL,"                 \
    " PRIMARY KEY (event, attempt))"

/* Named ids whose record is gone, as hashes; used_at in seconds. */
#define SQL_USED_IDS_TABLE                                                                         \
    "CREATE TABLE used_ids (hash VARCHAR(190) NOT NULL PRIMARY KEY, used_at BIGINT NOT NULL)"
#define SQL_USED_IDS_AGE "CREATE INDEX used_ids_age ON used_ids (used_at)"

/* hour: hours since 1970; 0 is the sum since the store was made, of outcomes and latency, for
 * counters that must never go down; below 0 are the sums of whole days, minus days since 1970, of
 * outcomes, keys and content. what: an outcome (received, delivered, rejected, suppressed, duplicate,
 * merged, expired, unconfirmed, retried), key:<match key> of delivered events,
 * latency:<seconds> of those that took at most so long from event to delivery (each is in one of
 * them), latency_seconds their sum, content:known and content:unknown content_ids of delivered
 * events by the shop's catalogue, or consent:<state>:<signal>:<action> of events that were sent or
 * withheld. */
#define SQL_COUNTERS_TABLE                                                                         \
    "CREATE TABLE counters (hour BIGINT NOT NULL, destination INTEGER NOT NULL,"                   \
    " sent_as VARCHAR(190) NOT NULL, what VARCHAR(400) NOT NULL, n BIGINT NOT NULL,"               \
    " PRIMARY KEY (hour, destination, sent_as, what))"

/* --- step 2: what the page asks the sender for, and accounts that somebody paused --- */

/* Written by the page, done by the sender. id: a UUIDv7, so ids grow with time; kind:
 * capi_ask_name; destination, event, subject: what it is about, the subject a person's hash until
 * that is erased; is_well and outcome, a sentence: what came of it. */
#define SQL_ASKS_TABLE                                                                             \
    "CREATE TABLE asks (id VARCHAR(40) NOT NULL PRIMARY KEY, kind TEXT NOT NULL, destination "     \
    "BIGINT,"                                                                                      \
    " event BIGINT, subject TEXT, asked_by TEXT NOT NULL, asked_at BIGINT NOT NULL,"               \
    " done_at BIGINT, is_well INTEGER, outcome TEXT)"
#define SQL_ASKS_OPEN              "CREATE INDEX asks_open ON asks (id) WHERE done_at IS NULL"
#define SQL_DESTINATIONS_PAUSED_AT "ALTER TABLE destinations ADD COLUMN paused_at BIGINT"
#define SQL_DESTINATIONS_PAUSED_BY "ALTER TABLE destinations ADD COLUMN paused_by TEXT"

/* --- connection and meta --- */

/* In ms. apr_dbd asks sixteen times more, with pauses of 100 ms: a locked store must not keep the
 * sender from hearing a signal for long. */
#define SQL_PRAGMA_BUSY  "PRAGMA busy_timeout=250"
#define SQL_PRAGMA_WAL   "PRAGMA journal_mode=WAL"
#define SQL_PRAGMA_FULL  "PRAGMA synchronous=FULL"
#define SQL_PRAGMA_ERASE "PRAGMA secure_delete=ON"
/* Twice SQLite's own: half as many pages for a batch, a sixth less work for an event. */
#define SQL_PRAGMA_PAGE "PRAGMA page_size=8192"
/* In KiB: the sender stays below 24 MB. */
#define SQL_PRAGMA_CACHE "PRAGMA cache_size=-4000"
/* In pages: those that every batch touches are copied back rarely. */
#define SQL_PRAGMA_AUTOCHECKPOINT "PRAGMA wal_autocheckpoint=2000"
#define SQL_PRAGMA_QUERY_ONLY     "PRAGMA query_only=ON"
#define SQL_PRAGMA_CHECK          "PRAGMA quick_check(1)"
#define SQL_PRAGMA_CHECKPOINT     "PRAGMA wal_checkpoint(TRUNCATE)"
#define SQL_META_GET              "SELECT value FROM meta WHERE name = %s LIMIT 1"
#define SQL_META_ADD              "INSERT INTO meta (name, value) VALUES (%s, %s)"
#define SQL_META_CHANGE           "UPDATE meta SET value = %s WHERE name = %s"
#define SQL_NOTE_SET                                                                               \
    "INSERT INTO notes (name, value) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value ="     \
    " excluded.value"
#define SQL_NOTE_COUNT                                                                             \
    "INSERT INTO notes (name, value) VALUES (%s, '1') ON CONFLICT (name) DO UPDATE SET value ="    \
    " CAST(CAST(notes.value AS BIGINT) + 1 AS TEXT)"
#define SQL_LAST_IDS                                                                               \
    "SELECT (SELECT COALESCE(MAX(id), 0) FROM events), (SELECT COALESCE(MAX(id), 0) FROM"          \
    " visits), (SELECT COALESCE(MAX(id), 0) FROM attempts), (SELECT COALESCE(MAX(id), 0) FROM"     \
    " destinations), (SELECT COUNT(*) FROM (SELECT hash FROM used_ids LIMIT 1) AS u)"

/* --- several senders on one database --- */

/* node: its number, also in outbox and attempts; name: the same over restarts; beat: grows while it
 * lives; seen_at: when it did, for the page. */
#define SQL_NODES_TABLE                                                                            \
    "CREATE TABLE IF NOT EXISTS nodes (node BIGINT NOT NULL PRIMARY KEY, name VARCHAR(40) NOT"     \
    " NULL UNIQUE, beat BIGINT NOT NULL, seen_at BIGINT NOT NULL)"
/* Who wrote last. Its lock is the turn to write. */
#define SQL_TURN          "SELECT value FROM meta WHERE name = %s FOR UPDATE"
#define SQL_META_ADD_ONCE "INSERT INTO meta (name, value) VALUES (%s, %s) ON CONFLICT DO NOTHING"
#define SQL_NODE_OF_NAME  "SELECT node FROM nodes WHERE name = %s LIMIT 1"
#define SQL_NODE_ADD      "INSERT INTO nodes (node, name, beat, seen_at) VALUES (%lld, %s, 0, 0)"
#define SQL_NODES         "SELECT node, beat FROM nodes ORDER BY node LIMIT 1000"
#define SQL_NODE_BEAT     "UPDATE nodes SET beat = beat + 1, seen_at = %lld WHERE node = %lld"
#define SQL_NODE_GONE     "DELETE FROM nodes WHERE node = %lld"
#define SQL_OUTBOX_TAKEN  "UPDATE outbox SET node = %lld WHERE node = %lld"
#define SQL_ATTEMPTS_ABANDONED                                                                     \
    "UPDATE attempts SET finished_at = %lld, error = 'its server fell silent' WHERE finished_at "  \
    "IS"                                                                                           \
    " NULL AND node = %lld"
#define SQL_PGSQL_LOCK   "SELECT pg_advisory_lock(2718281)"
#define SQL_PGSQL_UNLOCK "SELECT pg_advisory_unlock(2718281)"
#define SQL_MYSQL_LOCK   "SELECT GET_LOCK('pinterest_capi', 10)"
#define SQL_MYSQL_UNLOCK "SELECT RELEASE_LOCK('pinterest_capi')"

/* --- destinations --- */

#define SQL_DESTINATIONS                                                                           \
    "SELECT id, account, api_url, test, wire, held_since, held_reason, waiting, paused_at FROM"    \
    " destinations ORDER BY id LIMIT 10000"
#define SQL_DESTINATION_ADD                                                                        \
    "INSERT INTO destinations (id, account, api_url, test, wire) VALUES (%lld, %s, %s, %lld,"      \
    " %lld)"
#define SQL_DESTINATION_HOLD                                                                       \
    "UPDATE destinations SET held_since = %lld, held_reason = %s WHERE id = %lld"
#define SQL_DESTINATION_WAITING "UPDATE destinations SET waiting = waiting + %lld WHERE id = %lld"

/* --- visits and their keys --- */

#define SQL_VISIT_OF_KEY                                                                           \
    "SELECT v.id, v.seen_at, v.consent, v.consent_signal, v.decided_at, v.match_keys,"             \
    " v.click_id, v.address, v.agent, v.user_data, k.by_server, v.on_denied FROM visit_keys k "    \
    "JOIN visits v"                                                                                \
    " ON v.id = k.visit WHERE k.name = %s LIMIT 1"
#define SQL_VISIT_ADD                                                                              \
    "INSERT INTO visits (id, seen_at, consent, consent_signal, decided_at, on_denied,"             \
    " match_keys, click_id, address, agent, user_data) VALUES (%lld, %lld, %lld, %s, %lld, %s,"    \
    " %lld, %s, %s, %s, %s)"
#define SQL_VISIT_CHANGE                                                                           \
    "UPDATE visits SET seen_at = %lld, consent = %lld, consent_signal = %s, decided_at = %lld,"    \
    " on_denied = %s, match_keys = %lld, click_id = %s, address = %s, agent = %s, user_data = %s " \
    "WHERE id ="                                                                                   \
    " %lld"
#define SQL_KEY_ADD                                                                                \
    "INSERT INTO visit_keys (name, visit, by_server) VALUES (%s, %lld, %lld) ON CONFLICT DO"       \
    " NOTHING"
/* A server's bind takes the place of a browser's. */
#define SQL_KEY_MOVE "UPDATE visit_keys SET visit = %lld, by_server = 1 WHERE name = %s"

/* --- intake of events --- */

#define SQL_USED_ID_FIND "SELECT used_at FROM used_ids WHERE hash = %s LIMIT 1"
#define SQL_EVENT_ADD                                                                              \
    "INSERT INTO events (id, destination, sent_as, event_id, name, event_time, received_at,"       \
    " settled_at, source, state, consent, consent_signal, on_denied, action, match_keys,"          \
    " is_named, warning) VALUES (%lld, %lld, %s, %s, %s, %lld, %lld, %lld, %lld, %lld, %lld, %s,"  \
    " %s, %lld, %lld, %lld, %s) ON CONFLICT DO NOTHING"
#define SQL_EVENT_FIND                                                                             \
    "SELECT e.id, e.state, e.source, e.consent, e.consent_signal, e.match_keys,"                   \
    " o.due, o.ready_at, o.flags, o.source, o.match_keys, o.visit, o.wants_key,"                   \
    " o.on_denied FROM events e"                                                                   \
    " LEFT JOIN outbox o ON o.event = e.id WHERE e.destination = %lld AND e.sent_as = %s AND"      \
    " e.event_id = %s LIMIT 1"
#define SQL_EVENT_MERGED                                                                           \
    "UPDATE events SET source = %lld, consent = %lld, consent_signal = %s, match_keys = %lld"      \
    " WHERE id = %lld"
/* A settled event goes out again under its id. */
#define SQL_EVENT_AGAIN                                                                            \
    "UPDATE events SET name = %s, event_time = %lld, settled_at = NULL, source = %lld, state ="    \
    " 0, consent = %lld, consent_signal = %s, on_denied = %s, action = 0, stripped = 0,"           \
    " match_keys = %lld, attempt = NULL, error = NULL, warning = %s WHERE id = %lld"
#define SQL_OUTBOX_ADD                                                                             \
    "INSERT INTO outbox (event, destination, due, ready_at, expires_at, flags, source,"            \
    " match_keys, visit, wants_key, on_denied, payload/*shared:, node*/) VALUES (%lld, %lld, "     \
    "%lld,"                                                                                        \
    " %lld, %lld, %lld, %lld, %lld, %lld, %s, %s, %s/*shared:, @node*/)"
#define SQL_OUTBOX_MERGED                                                                          \
    "UPDATE outbox SET due = %lld, ready_at = %lld, flags = %lld, match_keys = %lld, visit ="      \
    " %lld, wants_key = %s WHERE event = %lld"
#define SQL_OUTBOX_PAYLOAD     "SELECT payload FROM outbox WHERE event = %lld LIMIT 1"
#define SQL_OUTBOX_PAYLOAD_SET "UPDATE outbox SET payload = %s WHERE event = %lld"
/* A detached event's consent is found. */
#define SQL_OUTBOX_DECIDED "UPDATE outbox SET flags = %lld WHERE event = %lld"
/* Somebody denied while it waited: what its rule asks for is done before it goes. */
#define SQL_OUTBOX_DENIED "UPDATE outbox SET denied_by = %s, on_denied = %s WHERE event = %lld"
#define SQL_LAYER_FIND    "SELECT payload FROM layers WHERE event = %lld AND source = %lld LIMIT 1"
#define SQL_LAYERS_OF_EVENT                                                                        \
    "SELECT source, payload FROM layers WHERE event = %lld ORDER BY source DESC LIMIT 10"
#define SQL_LAYER_SET                                                                              \
    "INSERT INTO layers (event, source, payload) VALUES (%lld, %lld, %s) ON CONFLICT (event,"      \
    " source) DO UPDATE SET payload = excluded.payload"
/* The key that events wait for names a visit now. Rejected ones, past the last due time, stay. */
#define SQL_OUTBOX_BOUND                                                                           \
    "UPDATE outbox SET visit = %lld, due = CASE WHEN ready_at > %lld THEN ready_at ELSE %lld"      \
    " END WHERE wants_key = %s AND due < %lld"
#define SQL_OUTBOX_OF_VISIT                                                                        \
    "SELECT o.event, o.destination, o.due, o.flags, e.sent_as, o.on_denied, o.wants_key FROM"      \
    " outbox o JOIN events e ON e.id = o.event WHERE o.visit = %lld AND o.event > %lld ORDER BY "  \
    "o.event LIMIT 200"

/* --- dispatch --- */

/* What is due, in order. Every column costs, and most events need no more than these: the last one
 * says which do. */
#define SQL_OUTBOX_CLAIM                                                                           \
    "SELECT o.event, o.due, o.flags, o.match_keys, o.expires_at, o.payload, e.sent_as,"            \
    " e.event_id, e.event_time, e.retries, e.source, e.consent, e.consent_signal, CASE WHEN"       \
    " o.flags <> 0 OR o.denied_by IS NOT NULL OR e.consent <> 1 OR v.consent <> 1 OR"              \
    " v.match_keys & ~o.match_keys <> 0 THEN 1 ELSE 0 END FROM outbox o JOIN events e ON e.id ="   \
    " o.event LEFT JOIN visits v ON v.id = o.visit WHERE o.destination = %lld AND (o.due, "        \
    "o.event) >"                                                                                   \
    " (%lld, %lld) AND o.due <= %lld/*shared: AND o.node = @node*/ ORDER BY o.due, o.event LIMIT"  \
    " %lld"
/* The rest of such a one. A visit's columns are read only where it knows a match key that the event
 * does not. What a context completes has its rule too. */
#define SQL_OUTBOX_CONTEXT                                                                         \
    "SELECT o.source, v.consent, v.consent_signal, CASE WHEN v.match_keys & ~o.match_keys <>"      \
    " 0 THEN v.click_id END, CASE WHEN v.match_keys & ~o.match_keys <> 0 THEN v.address END,"      \
    " CASE WHEN v.match_keys & ~o.match_keys <> 0 THEN v.agent END, CASE WHEN v.match_keys &"      \
    " ~o.match_keys <> 0 THEN v.user_data END, o.denied_by, CASE WHEN o.wants_key IS NULL OR"      \
    " o.denied_by IS NOT NULL OR v.id IS NULL THEN o.on_denied ELSE v.on_denied END FROM outbox "  \
    "o LEFT JOIN visits v ON v.id = o.visit WHERE o.event = %lld LIMIT 1"
#define SQL_EVENT_NAME "SELECT name FROM events WHERE id = %lld LIMIT 1"
#define SQL_OUTBOX_BACKLOG                                                                         \
    "SELECT COUNT(*), MIN(due) FROM (SELECT due FROM outbox WHERE destination = %lld AND (due,"    \
    " event) > (%lld, %lld) AND due <= %lld/*shared: AND node = @node*/ ORDER BY due, event LIMIT" \
    " %lld) AS d"
#define SQL_OUTBOX_NEXT_DUE                                                                        \
    "SELECT due FROM outbox WHERE destination = %lld AND due > %lld AND due < %lld"                \
    "/*shared: AND node = @node*/ ORDER BY due LIMIT 1"
/* What the visit added, and what a denial took away, is on record before it goes. */
#define SQL_EVENT_RESOLVED                                                                         \
    "UPDATE events SET match_keys = %lld, consent = %lld, consent_signal = %s, on_denied = %s,"    \
    " action = %lld, stripped = %lld WHERE id = %lld"
#define SQL_ATTEMPT_ADD                                                                            \
    "INSERT INTO attempts (id, destination, started_at, events, from_due, from_event, to_due,"     \
    " to_event/*shared:, node*/) VALUES (%lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld"           \
    "/*shared:, @node*/)"
#define SQL_ATTEMPT_END                                                                            \
    "UPDATE attempts SET finished_at = %lld, http_status = %lld, request_id = %s, error = %s"      \
    " WHERE id = %lld"
#define SQL_ATTEMPTS_INTERRUPTED                                                                   \
    "UPDATE attempts SET finished_at = %lld, error = 'interrupted' WHERE finished_at IS NULL"      \
    "/*shared: AND node = @node*/"

/* --- settlement: events by ranges of ids, all of which the caller holds --- */

#define SQL_EVENTS_DELIVERED                                                                       \
    "UPDATE events SET state = 10, settled_at = %lld, attempt = %lld, error = NULL WHERE id"       \
    " BETWEEN %lld AND %lld"
#define SQL_EVENT_WARNED "UPDATE events SET warning = %s WHERE id = %lld"
#define SQL_EVENTS_RETRYING                                                                        \
    "UPDATE events SET state = 2, attempt = %lld, retries = retries + 1, error = %s WHERE id"      \
    " BETWEEN %lld AND %lld"
/* It went out once, and will again with what a stronger source said meanwhile. */
#define SQL_EVENT_UNFINISHED "UPDATE events SET state = 0, attempt = %lld WHERE id = %lld"
/* The attempt that did not settle them, before the next one takes its place. */
#define SQL_EVENTS_TRIED                                                                           \
    "INSERT INTO event_attempts (event, attempt) SELECT id, attempt FROM events WHERE id"          \
    " BETWEEN %lld AND %lld AND attempt IS NOT NULL ON CONFLICT DO NOTHING"
#define SQL_EVENT_SETTLED                                                                          \
    "UPDATE events SET state = %lld, settled_at = %lld, attempt = COALESCE(%lld, attempt),"        \
    " error = %s WHERE id = %lld"
#define SQL_EVENT_WITHDRAWN                                                                        \
    "UPDATE events SET state = 12, settled_at = %lld, consent = %lld, consent_signal = %s,"        \
    " on_denied = %s, action = 1, stripped = %lld, match_keys = 0, error = %s WHERE id = %lld"
#define SQL_OUTBOX_ERASE "DELETE FROM outbox WHERE event BETWEEN %lld AND %lld"
#define SQL_LAYERS_ERASE "DELETE FROM layers WHERE event = %lld"
/* Everything that waits, but not what is kept of rejected events. */
#define SQL_OUTBOX_SHIFT                                                                           \
    "UPDATE outbox SET due = due + %lld, ready_at = ready_at + %lld, expires_at = expires_at +"    \
    " %lld WHERE due < %lld/*shared: AND node = @node*/"
#define SQL_OUTBOX_RETRY "UPDATE outbox SET due = %lld WHERE event BETWEEN %lld AND %lld"

/* --- counters --- */

#define SQL_COUNTER_ADD                                                                            \
    "INSERT INTO counters (hour, destination, sent_as, what, n) VALUES (%lld, %lld, %s, %s,"       \
    " %lld) ON CONFLICT (hour, destination, sent_as, what) DO UPDATE SET n = counters.n +"         \
    " excluded.n"

/* --- retention, a few hundred rows a step --- */

#define SQL_OLD_REJECTED                                                                           \
    "SELECT event FROM outbox WHERE destination = %lld AND due >= %lld AND due < %lld ORDER BY"    \
    " due LIMIT %lld"
#define SQL_OLD_WAITING                                                                            \
    "SELECT o.event, o.destination, o.due, o.flags, e.sent_as, o.expires_at FROM outbox o JOIN"    \
    " events e ON e.id = o.event WHERE o.event > %lld/*shared: AND o.node = @node*/ ORDER BY"      \
    " o.event LIMIT %lld"
#define SQL_OLD_EVENTS                                                                             \
    "SELECT id, received_at, state, destination, sent_as, event_id, is_named FROM events WHERE"    \
    " id > %lld ORDER BY id LIMIT %lld"
#define SQL_EVENT_FORGET          "DELETE FROM events WHERE id = %lld"
#define SQL_EVENT_ATTEMPTS_FORGET "DELETE FROM event_attempts WHERE event = %lld"
#define SQL_USED_ID_ADD                                                                            \
    "INSERT INTO used_ids (hash, used_at) VALUES (%s, %lld) ON CONFLICT DO NOTHING"
#define SQL_OLD_ATTEMPTS                                                                           \
    "DELETE FROM attempts WHERE id IN (SELECT id FROM (SELECT id, started_at FROM attempts"        \
    " ORDER BY id LIMIT %lld) AS a WHERE a.started_at < %lld)"
#define SQL_OLD_VISIT_KEYS                                                                         \
    "DELETE FROM visit_keys WHERE visit IN (SELECT id FROM (SELECT id FROM visits WHERE seen_at <" \
    " %lld ORDER BY seen_at, id LIMIT %lld) AS v)"
#define SQL_OLD_VISITS                                                                             \
    "DELETE FROM visits WHERE id IN (SELECT id FROM (SELECT id FROM visits WHERE seen_at < %lld"   \
    " ORDER BY seen_at, id LIMIT %lld) AS v)"
#define SQL_OLD_USED_IDS                                                                           \
    "DELETE FROM used_ids WHERE hash IN (SELECT hash FROM (SELECT hash FROM used_ids WHERE"        \
    " used_at < %lld ORDER BY used_at LIMIT %lld) AS u)"
#define SQL_OLD_ASKS "DELETE FROM asks WHERE done_at IS NOT NULL AND asked_at < %lld"
/* At most one hour of rows goes out of date in an hour. */
#define SQL_OLD_COUNTERS                                                                           \
    "DELETE FROM counters WHERE (hour > 0 AND hour < %lld) OR (hour < 0 AND hour > %lld)"

/* --- what the page asks for --- */

#define SQL_ASK_ADD                                                                                \
    "INSERT INTO asks (id, kind, destination, event, subject, asked_by, asked_at) VALUES (%s, %s," \
    " %lld, %lld, %s, %s, %lld) ON CONFLICT DO NOTHING"
#define SQL_ASKS_TO_DO                                                                             \
    "SELECT id, kind, destination, event, subject, asked_by, asked_at, outcome FROM asks WHERE"    \
    " done_at IS NULL ORDER BY id LIMIT 50"
#define SQL_ASK_DONE "UPDATE asks SET done_at = %lld, is_well = %lld, outcome = %s WHERE id = %s"
/* Nobody is in it any more; it is done once that is true on disk as well. */
#define SQL_ASK_ERASED "UPDATE asks SET subject = NULL, outcome = %s WHERE id = %s"
#define SQL_DESTINATION_PAUSE                                                                      \
    "UPDATE destinations SET paused_at = %lld, paused_by = %s WHERE id = %lld"
/* What was tried before need not wait for its time. */
#define SQL_OUTBOX_HURRY                                                                           \
    "UPDATE outbox SET due = %lld WHERE destination = %lld AND due > %lld AND due < %lld AND"      \
    " EXISTS (SELECT 1 FROM events e WHERE e.id = outbox.event AND e.state = 2)"
#define SQL_KEPT_REJECTED                                                                          \
    "SELECT o.destination FROM outbox o JOIN events e ON e.id = o.event WHERE o.event = %lld AND"  \
    " o.due >= %lld AND e.state = 11 LIMIT 1"
#define SQL_EVENT_REQUEUED                                                                         \
    "UPDATE events SET state = 0, settled_at = NULL, error = NULL WHERE id = %lld"

/* --- forgetting a person: pages of rows, found by the hash in them --- */

/* Where the page that begins after an id ends; no row where it is the last one. */
#define SQL_FORGET_VISITS_END                                                                      \
    "SELECT id FROM visits WHERE id > %lld ORDER BY id LIMIT 1 OFFSET %lld"
#define SQL_FORGET_EVENTS_END                                                                      \
    "SELECT event FROM outbox WHERE event > %lld ORDER BY event LIMIT 1 OFFSET %lld"
#define SQL_FORGET_VISITS                                                                          \
    "SELECT id FROM visits WHERE id > %lld AND id <= %lld AND user_data LIKE %s ORDER BY id LIMIT" \
    " 10000"
#define SQL_FORGET_EVENTS                                                                          \
    "SELECT o.event, o.destination, o.due, o.flags, e.sent_as FROM outbox o JOIN events e ON e.id" \
    " = o.event WHERE o.event > %lld AND o.event <= %lld AND (o.payload LIKE %s OR EXISTS (SELECT" \
    " 1 FROM layers l WHERE l.event = o.event AND l.payload LIKE %s)) ORDER BY o.event LIMIT "     \
    "10000"
#define SQL_VISIT_KEYS_FORGET "DELETE FROM visit_keys WHERE visit = %lld"
#define SQL_VISIT_FORGET      "DELETE FROM visits WHERE id = %lld"

#endif
