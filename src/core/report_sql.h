#ifndef CAPI_REPORT_SQL_H
#define CAPI_REPORT_SQL_H

/* The SELECTs of the page, one constant a statement. Each ends after a bounded number of rows:
 * lists walk a primary key or an index backwards, sums come from hourly counters. Tables are in
 * store_sql.h, and so are the placeholders' rules. */

/* --- deliveries --- */

/* True for an event in the batch of a request that is under way: its place in the outbox lies
 * between the first and the last row that the request carries. */
#define REPORT_IS_SENDING                                                                          \
    "EXISTS (SELECT 1 FROM attempts s WHERE s.destination = e.destination"                         \
    " AND s.finished_at IS NULL"                                                                   \
    " AND (o.due > s.from_due OR (o.due = s.from_due AND o.event >= s.from_event))"                \
    " AND (o.due < s.to_due OR (o.due = s.to_due AND o.event <= s.to_event)))"

/* The state as it is shown: 1 sending, 3 held; from 10 on it is settled. */
#define REPORT_STATE                                                                               \
    "CASE WHEN e.state >= 10 THEN e.state WHEN " REPORT_IS_SENDING " THEN 1"                       \
    " WHEN d.held_since IS NOT NULL OR d.paused_at IS NOT NULL THEN 3 ELSE e.state END"

#define REPORT_COLUMNS                                                                             \
    "SELECT e.id, d.account, d.test, e.event_id, e.name, e.sent_as, e.event_time, e.received_at,"  \
    " e.source, " REPORT_STATE ", e.consent, e.consent_signal, e.match_keys, a.http_status,"       \
    " a.request_id, e.retries, e.error, e.warning, e.on_denied, e.action, e.stripped"

/* CROSS JOIN keeps the order that is written, so that the walk ends with the LIMIT. */
#define REPORT_FROM_EVENTS                                                                         \
    " FROM events e CROSS JOIN destinations d LEFT JOIN outbox o ON o.event = e.id"                \
    " LEFT JOIN attempts a ON a.id = e.attempt WHERE d.id = e.destination"
#define REPORT_FROM_WAITING                                                                        \
    " FROM outbox o CROSS JOIN events e CROSS JOIN destinations d"                                 \
    " LEFT JOIN attempts a ON a.id = e.attempt WHERE e.id = o.event AND d.id = e.destination"      \
    " AND e.state < 10"

#define REPORT_FILTER                                                                              \
    " AND (%s IS NULL OR d.account = %s) AND (%s IS NULL OR e.sent_as = %s OR e.name = %s)"        \
    " AND e.received_at >= %lld AND e.received_at < %lld"                                          \
    " AND (%lld < 0 OR " REPORT_STATE " = %lld)"                                                   \
    " AND (%s IS NULL OR e.event_id LIKE %s ESCAPE '!' OR e.name LIKE %s ESCAPE '!'"               \
    " OR e.sent_as LIKE %s ESCAPE '!' OR a.request_id LIKE %s ESCAPE '!'"                          \
    " OR e.error LIKE %s ESCAPE '!' OR e.warning LIKE %s ESCAPE '!')"

/* Each list begins with its own values (the state, for one), then: before, low, filter, limit. */
#define REPORT_SQL_EVENTS                                                                          \
    REPORT_COLUMNS REPORT_FROM_EVENTS " AND e.id < %lld AND e.id >= %lld" REPORT_FILTER            \
                                      " ORDER BY e.id DESC LIMIT %lld"
#define REPORT_SQL_TROUBLE                                                                         \
    REPORT_COLUMNS REPORT_FROM_EVENTS                                                              \
        " AND e.state > 10 AND e.state = %lld AND e.id < %lld AND e.id >= %lld" REPORT_FILTER      \
        " ORDER BY e.id DESC LIMIT %lld"
#define REPORT_SQL_WAITING                                                                         \
    REPORT_COLUMNS REPORT_FROM_WAITING " AND o.event < %lld AND o.event >= %lld" REPORT_FILTER     \
                                       " ORDER BY o.event DESC LIMIT %lld"

/* How far a list may walk: the id that many rows before `before`; no row where there are fewer. */
#define REPORT_SQL_TROUBLE_LOW                                                                     \
    "SELECT id FROM events WHERE state > 10 AND state = %lld AND id < %lld"                        \
    " ORDER BY id DESC LIMIT 1 OFFSET %lld"
#define REPORT_SQL_WAITING_LOW                                                                     \
    "SELECT event FROM outbox WHERE event < %lld ORDER BY event DESC LIMIT 1 OFFSET %lld"
#define REPORT_SQL_EVENT_RANGE "SELECT (SELECT MIN(id) FROM events), (SELECT MAX(id) FROM events)"

/* When the event at or after an id was received: the steps of a search by time. */
#define REPORT_SQL_RECEIVED_AT                                                                     \
    "SELECT id, received_at FROM events WHERE id >= %lld ORDER BY id LIMIT 1"

/* The events of exactly this event_id, however old: the names in use are found by leaping through
 * the identity index. Values: event_id, before, filter, limit. */
#define REPORT_SQL_EXACT                                                                           \
    "WITH RECURSIVE used (destination, sent_as) AS ("                                              \
    "SELECT id, (SELECT MIN(sent_as) FROM events WHERE destination = destinations.id)"             \
    " FROM destinations UNION ALL SELECT destination, (SELECT MIN(n.sent_as) FROM events n"        \
    " WHERE n.destination = used.destination AND n.sent_as > used.sent_as) FROM used"              \
    " WHERE sent_as IS NOT NULL) " REPORT_COLUMNS                                                  \
    " FROM used u CROSS JOIN events e CROSS JOIN destinations d"                                   \
    " LEFT JOIN outbox o ON o.event = e.id LEFT JOIN attempts a ON a.id = e.attempt"               \
    " WHERE e.destination = u.destination AND e.sent_as = u.sent_as AND e.event_id = %s"           \
    " AND d.id = e.destination AND e.id < %lld" REPORT_FILTER " ORDER BY e.id DESC LIMIT %lld"

#define REPORT_SQL_ONE REPORT_COLUMNS REPORT_FROM_EVENTS " AND e.id = %lld LIMIT 1"

/* Every request that carried an event: earlier ones, the last one, one under way. */
#define REPORT_SQL_ATTEMPTS                                                                        \
    "SELECT a.started_at, a.finished_at, a.http_status, a.request_id, a.events, a.error"           \
    " FROM attempts a WHERE a.id IN (SELECT attempt FROM event_attempts WHERE event = %lld"        \
    " UNION SELECT attempt FROM events WHERE id = %lld AND attempt IS NOT NULL"                    \
    " UNION SELECT s.id FROM outbox o CROSS JOIN attempts s WHERE o.event = %lld"                  \
    " AND s.destination = o.destination AND s.finished_at IS NULL"                                 \
    " AND (o.due > s.from_due OR (o.due = s.from_due AND o.event >= s.from_event))"                \
    " AND (o.due < s.to_due OR (o.due = s.to_due AND o.event <= s.to_event)))"                     \
    " ORDER BY a.id LIMIT 1000"

/* --- sums over weeks --- */

#define REPORT_OF_COVERAGE                                                                         \
    "(what = 'delivered' OR (what >= 'key:' AND what < 'key;') OR (what >= 'content:' AND what"    \
    " < 'content;'))"
#define REPORT_HOURS                                                                               \
    "SELECT destination, sent_as, what, n FROM counters WHERE hour >= %lld AND"                    \
    " hour < %lld AND " REPORT_OF_COVERAGE

/* Delivered events, their match keys and content_ids. Values: the hours before the first whole day,
 * the whole days, the hours after the last, each from and to; account twice. */
#define REPORT_SQL_COVERAGE                                                                        \
    "SELECT c.sent_as, c.what, SUM(c.n) FROM (" REPORT_HOURS " UNION ALL " REPORT_HOURS            \
    " UNION ALL " REPORT_HOURS ") AS c CROSS JOIN destinations d WHERE d.id = c.destination AND"   \
    " (%s IS NULL OR d.account = %s) GROUP BY c.sent_as, c.what LIMIT 20000"

/* --- troubles --- */

/* The newest events of a time, at most a thousand. */
#define REPORT_SQL_NEWEST                                                                          \
    "SELECT sent_as, event_time, received_at, settled_at, state, match_keys, is_named, error,"     \
    " warning, name, event_id, source FROM (SELECT * FROM events ORDER BY id DESC LIMIT 1000) AS"  \
    " n WHERE n.received_at >= %lld ORDER BY n.id DESC LIMIT 1000"

/* --- over time --- */

/* Values: first hour, hour after the last (or days, below zero), account twice. */
#define REPORT_SQL_COURSE                                                                          \
    "SELECT c.hour, c.what, SUM(c.n) FROM counters c CROSS JOIN destinations d"                    \
    " WHERE d.id = c.destination AND c.hour >= %lld AND c.hour < %lld AND (%s IS NULL OR"          \
    " d.account = %s) AND c.what IN ('delivered', 'rejected', 'suppressed', 'unconfirmed',"        \
    " 'expired') GROUP BY c.hour, c.what LIMIT 10000"

/* --- status --- */

#define REPORT_SQL_DESTINATIONS                                                                    \
    "SELECT id, account, api_url, test, wire, held_since, held_reason, waiting, paused_at,"        \
    " paused_by FROM destinations ORDER BY id LIMIT 200"

#define REPORT_SQL_TOTALS                                                                          \
    "SELECT what, SUM(n) FROM counters WHERE hour >= %lld GROUP BY what LIMIT 1000"

/* By state, signal and action; those that concern most first. */
#define REPORT_SQL_CONSENT                                                                         \
    "SELECT what, SUM(n) AS n FROM counters WHERE hour >= %lld AND what >= 'consent:' AND what <"  \
    " 'consent;' GROUP BY what ORDER BY n DESC, what LIMIT 200"

/* The sums over all hours, destination by destination, for monitoring. */
#define REPORT_SQL_ALL_HOURS                                                                       \
    "SELECT d.account, d.api_url, d.test, d.wire, c.destination, c.sent_as, c.what, c.n"           \
    " FROM counters c CROSS JOIN destinations d WHERE c.hour = 0 AND d.id = c.destination"         \
    " ORDER BY c.destination, c.sent_as, c.what LIMIT 20000"

/* When a sender of a shared database last gave a sign of life. */
#define REPORT_SQL_BEAT "SELECT MAX(seen_at) FROM nodes"

#define REPORT_SQL_NOTES "SELECT name, value FROM notes LIMIT 100"

/* Of a destination's events that wait, those due first: how many, how many are retried, since when
 * the oldest waits. Values: destination, the due of kept rejected ones, how many to look at. */
#define REPORT_SQL_OLDEST                                                                          \
    "SELECT COUNT(*), SUM(CASE WHEN e.state = 2 THEN 1 ELSE 0 END), MIN(e.received_at)"            \
    " FROM (SELECT event FROM outbox WHERE destination = %lld AND due < %lld"                      \
    " ORDER BY due LIMIT %lld) w CROSS JOIN events e WHERE e.id = w.event AND e.state < 10"

#define REPORT_SQL_UNDER_WAY                                                                       \
    "SELECT SUM(events) FROM attempts WHERE destination = %lld AND finished_at IS NULL"

/* How the last requests ended, newest first. */
#define REPORT_SQL_LAST_ATTEMPTS                                                                   \
    "SELECT destination, http_status, error, finished_at FROM attempts ORDER BY id DESC LIMIT 50"

/* --- actions --- */

/* What was asked for, newest first. */
#define REPORT_SQL_ASKS                                                                            \
    "SELECT a.id, a.kind, a.event, a.asked_by, a.asked_at, a.done_at, a.is_well, a.outcome,"       \
    " d.account, d.test FROM asks a LEFT JOIN destinations d ON d.id = a.destination"              \
    " ORDER BY a.id DESC LIMIT 20"
#define REPORT_SQL_ASK                                                                             \
    "SELECT a.id, a.kind, a.event, a.asked_by, a.asked_at, a.done_at, a.is_well, a.outcome,"       \
    " d.account, d.test FROM asks a LEFT JOIN destinations d ON d.id = a.destination"              \
    " WHERE a.id = %s LIMIT 1"

/* Rejected events that could be sent again, counted up to a limit. Values: destination, the due of
 * kept rejected ones, limit. */
#define REPORT_SQL_KEPT                                                                            \
    "SELECT COUNT(*) FROM (SELECT event FROM outbox WHERE destination = %lld AND due >= %lld"      \
    " ORDER BY due LIMIT %lld) k"

/* --- what is kept of one event: the strongest source first --- */

#define REPORT_SQL_PAYLOADS                                                                        \
    "SELECT source, payload FROM outbox WHERE event = %lld UNION ALL SELECT source, payload"       \
    " FROM layers WHERE event = %lld ORDER BY source DESC LIMIT 10"

#endif
