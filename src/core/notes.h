#ifndef CAPI_NOTES_H
#define CAPI_NOTES_H

/* What the sender notes in the store about itself (capi_store_note) for the page to read. Numbers
 * are decimal text, times microseconds since 1970. */

#define CAPI_NOTE_PID            "sender_pid"
#define CAPI_NOTE_VERSION        "sender_version"
#define CAPI_NOTE_STARTED        "sender_started"
#define CAPI_NOTE_STARTS         "sender_starts"  /* how often, since the store was made */
#define CAPI_NOTE_STOPPED        "sender_stopped" /* empty while it runs, and after a crash */
#define CAPI_NOTE_LAST_INTAKE    "last_intake"
#define CAPI_NOTE_QUEUE_SIZE     "queue_size"
#define CAPI_NOTE_QUEUE_USED     "queue_used" /* when the sender last looked */
#define CAPI_NOTE_DROPPED_PAGES  "queue_dropped_page"
#define CAPI_NOTE_DROPPED_EVENTS "queue_dropped_conversion"
#define CAPI_NOTE_BROKEN_RECORDS "broken_records" /* unreadable ones, since the sender started */

/* Of the newest requests that rules made events of, since the sender started: how many, how many
 * came through a proxy whose word on the client nothing reads, how many by crawlers. */
#define CAPI_NOTE_SEEN_REQUESTS "seen_requests"
#define CAPI_NOTE_SEEN_PROXIED  "seen_proxied"
#define CAPI_NOTE_SEEN_BOTS     "seen_bots"

/* What the shop said last and nobody understood, since the sender started; empty: nothing. */
#define CAPI_NOTE_COMPLAINT     "complaint"
#define CAPI_NOTE_COMPLAINED_AT "complained_at"

/* A JSON array, empty without catalogues: of each feed {"file", "ids", "read_at": seconds | null,
 * "fault": why the newest could not be read | null, "accounts": [...], "seen", "unknown": of the
 * newest content_ids that were delivered, "examples": [...] of unknown ones}. */
#define CAPI_NOTE_CATALOGS "catalogs"

#endif
