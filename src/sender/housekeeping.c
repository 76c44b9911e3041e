/* Notes for the page, retention and checkpoints: what has to be done, but never while there is
 * something better to do, and nothing at all while nothing happens. */

#include "sender.h"

#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "notes.h"

#define NOTES_PAUSE      apr_time_from_sec(1)
#define QUIET            apr_time_from_sec(1)
#define CHECKPOINT_PAUSE apr_time_from_sec(300) /* where it is never quiet */
#define CHECKPOINT_AGAIN apr_time_from_sec(3)   /* somebody reads: a reader must not be starved */
#define RETAIN_PAUSE     apr_time_from_sec(600)
#define RETAIN_STEP      apr_time_from_msec(200)

static const char *const note_names[] = {
    CAPI_NOTE_PID,
    CAPI_NOTE_VERSION,
    CAPI_NOTE_STARTED,
    CAPI_NOTE_STOPPED,
    CAPI_NOTE_LAST_INTAKE,
    CAPI_NOTE_QUEUE_SIZE,
    CAPI_NOTE_QUEUE_USED,
    CAPI_NOTE_DROPPED_PAGES,
    CAPI_NOTE_DROPPED_EVENTS,
    CAPI_NOTE_BROKEN_RECORDS,
    CAPI_NOTE_SEEN_REQUESTS,
    CAPI_NOTE_SEEN_PROXIED,
    CAPI_NOTE_SEEN_BOTS,
    CAPI_NOTE_COMPLAINT,
    CAPI_NOTE_COMPLAINED_AT,
};

#define NOTE_COUNT (sizeof(note_names) / sizeof(note_names[0]))
#define NOTE_ROOM  CAPI_COMPLAINT_LEN

/* So many requests tell who comes; then the older half is forgotten. */
#define SEEN_MAX 1000

static char written[NOTE_COUNT][NOTE_ROOM];
static apr_int64_t written_catalogs = -1; /* the sender's catalog_news then; -1: not yet */

static void number(char *room, apr_int64_t value)
{
    apr_snprintf(room, NOTE_ROOM, "%" APR_INT64_T_FMT, value);
}

/* What was noticed since this sender started, the newest requests alone. */
static void collect_notices(const capi_queue_t *queue, char values[][NOTE_ROOM])
{
    static uint64_t before[CAPI_NOTICE_COUNT];
    static bool has_begun;
    uint64_t seen[CAPI_NOTICE_COUNT];
    int i;

    for (i = 0; i < CAPI_NOTICE_COUNT; i++) {
        uint64_t noticed = capi_queue_noticed(queue, (capi_notice_t)i);

        before[i] = has_begun ? before[i] : noticed;
        seen[i] = noticed - before[i];
    }
    has_begun = true;
    for (i = 0; i < CAPI_NOTICE_COUNT; i++) {
        number(values[i], (apr_int64_t)seen[i]);
        before[i] += seen[CAPI_NOTICE_REQUEST] > SEEN_MAX ? seen[i] / 2 : 0;
    }
}

static void collect_complaint(const capi_sender_t *sender, const capi_queue_t *queue, char *words,
                              char *when)
{
    apr_time_t complained_at;

    if (!capi_queue_complaint(queue, words, &complained_at) || complained_at < sender->started) {
        words[0] = '\0';
        when[0] = '\0';
        return;
    }
    number(when, complained_at);
}

/* In the order of note_names. */
static void collect(const capi_sender_t *sender, char values[NOTE_COUNT][NOTE_ROOM])
{
    const capi_queue_t *queue = APR_ARRAY_IDX(sender->inlets, 0, capi_inlet_t).queue;
    capi_queue_stats_t stats = {0};

    if (queue) {
        capi_queue_stats(queue, &stats);
    }
    number(values[0], getpid());
    apr_cpystrn(values[1], CAPI_VERSION, NOTE_ROOM);
    number(values[2], sender->started);
    values[3][0] = '\0';
    if (sender->stopped) {
        number(values[3], sender->stopped);
    }
    number(values[4], sender->last_intake);
    number(values[5], (apr_int64_t)stats.size);
    number(values[6], (apr_int64_t)stats.used);
    number(values[7], (apr_int64_t)stats.dropped_page);
    number(values[8], (apr_int64_t)stats.dropped_conversion);
    number(values[9], sender->broken_records);
    if (queue) {
        collect_notices(queue, values + 10);
        collect_complaint(sender, queue, values[13], values[14]);
    }
}

static bool has_news(const capi_sender_t *sender)
{
    char values[NOTE_COUNT][NOTE_ROOM] = {{0}};
    size_t i;

    collect(sender, values);
    for (i = 0; i < NOTE_COUNT; i++) {
        if (strcmp(values[i], written[i]) != 0) {
            return true;
        }
    }
    return written_catalogs != sender->catalog_news;
}

static void write_catalogs(capi_sender_t *sender)
{
    apr_pool_t *scratch;

    if (written_catalogs == sender->catalog_news) {
        return;
    }
    apr_pool_create(&scratch, sender->pool);
    capi_store_note(sender->store, CAPI_NOTE_CATALOGS, capi_catalogs_note(sender, scratch));
    apr_pool_destroy(scratch);
    written_catalogs = sender->catalog_news;
}

void capi_notes_write(capi_sender_t *sender, bool always)
{
    char values[NOTE_COUNT][NOTE_ROOM] = {{0}};
    size_t i;

    if (!always && sender->notes_at > capi_ticks()) {
        return;
    }
    collect(sender, values);
    for (i = 0; i < NOTE_COUNT; i++) {
        if (strcmp(values[i], written[i]) != 0) {
            capi_store_note(sender->store, note_names[i], values[i]);
            apr_cpystrn(written[i], values[i], NOTE_ROOM);
        }
    }
    write_catalogs(sender);
    sender->notes_at = capi_ticks() + NOTES_PAUSE;
}

void capi_notes_lost(void)
{
    size_t i;

    for (i = 0; i < NOTE_COUNT; i++) {
        apr_cpystrn(written[i], "?", NOTE_ROOM);
    }
    written_catalogs = -1;
}

static void write_notes_alone(capi_sender_t *sender)
{
    if (capi_store_begin(sender->store) != APR_SUCCESS) {
        capi_store_failed(sender, "begin a transaction");
        return;
    }
    capi_notes_write(sender, true);
    if (capi_store_commit(sender->store) != APR_SUCCESS) {
        capi_store_failed(sender, "note its own state");
        return;
    }
    capi_store_recovered(sender);
}

/* Erased data is to leave the disk soon, but not at the price of a checkpoint after each event. */
static apr_time_t checkpoint_turn(capi_sender_t *sender, bool is_quiet, apr_time_t ticks)
{
    if (!sender->settled_at) {
        return CAPI_NEVER;
    }
    if ((is_quiet && ticks >= sender->settled_at + QUIET) || ticks >= sender->checkpoint_at) {
        sender->settled_at = 0;
        sender->checkpoint_at = ticks + CHECKPOINT_PAUSE;
        if (capi_store_checkpoint(sender->store) == APR_SUCCESS) {
            return CAPI_NEVER;
        }
        capi_log(CAPI_LOG_DEBUG, "PCAPI151: the store is being read: checkpoint put off");
        sender->settled_at = ticks + CHECKPOINT_AGAIN;
    }
    return is_quiet ? sender->settled_at + QUIET : sender->checkpoint_at;
}

static apr_time_t retain_turn(capi_sender_t *sender, bool is_quiet, apr_time_t ticks)
{
    bool has_more = false;

    if (ticks < sender->retain_at) {
        return sender->retain_at;
    }
    /* Where it is never quiet, old records go all the same, if more slowly. */
    if (!is_quiet && ticks < sender->retain_at + RETAIN_PAUSE) {
        return sender->retain_at + RETAIN_PAUSE;
    }
    if (capi_store_retain(sender->store, sender->config->retention_days, capi_now(), &has_more) !=
        APR_SUCCESS) {
        capi_store_failed(sender, "remove old records");
        has_more = false;
    }
    if (has_more) {
        sender->settled_at = ticks;
    }
    sender->retain_at = ticks + (has_more ? RETAIN_STEP : RETAIN_PAUSE);
    return sender->retain_at;
}

apr_time_t capi_housekeeping_turn(capi_sender_t *sender)
{
    apr_time_t ticks = capi_ticks();
    bool is_quiet = capi_dispatch_is_idle(sender) && capi_intake_is_empty(sender);
    apr_time_t next = CAPI_NEVER;
    apr_time_t at;

    if (sender->store_retry_at) {
        return sender->store_retry_at;
    }
    if (has_news(sender)) {
        if (ticks >= sender->notes_at) {
            write_notes_alone(sender);
        }
        next = sender->notes_at;
    }
    at = checkpoint_turn(sender, is_quiet, ticks);
    next = at < next ? at : next;
    at = retain_turn(sender, is_quiet, ticks);
    next = at < next ? at : next;
    at = capi_catalogs_turn(sender);
    return at < next ? at : next;
}

void capi_housekeeping_end(capi_sender_t *sender)
{
    sender->stopped = capi_now();
    write_notes_alone(sender);
    capi_store_checkpoint(sender->store);
}
