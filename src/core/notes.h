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

/* A JSON array, empty without catalogues: of each feed {"file", "ids", "read_at": seconds | null,
 * "fault": why the newest could not be read | null, "accounts": [...], "seen", "unknown": of the
 * newest content_ids that were delivered, "examples": [...] of unknown ones}. */
#define CAPI_NOTE_CATALOGS "catalogs"

#endif
