/* The one loop that owns all work. Each round does what can be done now and then sleeps until a
 * descriptor or the next deadline; without work there is no deadline but that of retention. */

#include "sender.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define STORE_PAUSE     apr_time_from_sec(1)
#define STORE_PAUSE_MAX apr_time_from_sec(4)

/* Smaller steps than this harm nothing. */
#define CLOCK_JUMP apr_time_from_sec(5)

/* With a file, so many failures in a row are more than a lock or a full disk's first second. */
#define FAILURES_TO_REOPEN 3

/* Without its parent nobody waits for the sender, but a new httpd may want the lock. */
#define ORPHAN_SEC 5

enum { WAIT_SIGNAL, WAIT_QUEUE, WAIT_ASKS, WAIT_PARENT, WAIT_COUNT };

static void lose_store(capi_sender_t *sender)
{
    if (sender->phase != CAPI_STORE_LOST) {
        sender->phase = CAPI_STORE_LOST;
        sender->store_retry_at = CAPI_NEVER;
        capi_log(
            CAPI_LOG_ERR,
            "PCAPI116: the store is lost: %s. This sender ends; the next one sets a damaged file "
            "aside, opens what is there or begins a new one. Events in the queue are kept",
            capi_store_error(sender->store));
    }
}

void capi_store_failed(capi_sender_t *sender, const char *doing)
{
    unsigned int shift = sender->store_failures < 5 ? sender->store_failures : 5;
    apr_interval_time_t pause = STORE_PAUSE << shift;

    if (capi_store_is_damaged(sender->store)) {
        lose_store(sender);
        return;
    }
    if (sender->store_failures++ == 0) {
        capi_log(CAPI_LOG_ERR,
                 "PCAPI110: the store could not %s: %s. Events wait in the queue and in the store; "
                 "trying again until it works: is the disk full, or the store locked?",
                 doing, capi_store_error(sender->store));
    }
    capi_notes_lost();
    sender->store_retry_at = capi_ticks() + (pause < STORE_PAUSE_MAX ? pause : STORE_PAUSE_MAX);
}

void capi_store_recovered(capi_sender_t *sender)
{
    if (sender->store_failures > 0) {
        capi_log(CAPI_LOG_NOTICE, "PCAPI111: the store works again");
        sender->store_failures = 0;
    }
}

/* A server's connection may be lost, and SQLite's may have lost its log or lock: a new one is cheap. */
static void end_store_pause(capi_sender_t *sender)
{
    sender->store_retry_at = 0;
    if ((capi_store_is_shared(sender->store) || sender->store_failures >= FAILURES_TO_REOPEN) &&
        capi_store_reconnect(sender->store) != APR_SUCCESS) {
        capi_store_failed(sender, "be opened again");
    }
}

/* --- signals --- */

static void begin_drain(capi_sender_t *sender, capi_phase_t phase, int seconds, const char *why)
{
    sender->phase = phase;
    sender->drain_until = capi_ticks() + apr_time_from_sec(seconds);
    capi_log(CAPI_LOG_INFO, "PCAPI102: %s: finishing requests and emptying the queue", why);
}

static void take_signals(capi_sender_t *sender)
{
    struct signalfd_siginfo info;

    while (read(sender->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGTERM && info.ssi_signo != SIGINT) {
            continue;
        }
        if (sender->phase == CAPI_RUN) {
            begin_drain(sender, CAPI_DRAIN, sender->config->drain_sec, "asked to end");
        }
        else if (sender->phase != CAPI_STORE_LOST) {
            sender->phase = CAPI_END_FAST;
        }
    }
}

static void take_orphanhood(capi_sender_t *sender)
{
    int seconds = sender->config->drain_sec < ORPHAN_SEC ? sender->config->drain_sec : ORPHAN_SEC;

    if (sender->phase == CAPI_RUN || sender->phase == CAPI_DRAIN) {
        begin_drain(sender, CAPI_ORPHAN, seconds, "httpd is gone");
    }
}

/* --- rounds --- */

static bool is_over(const capi_sender_t *sender)
{
    switch (sender->phase) {
    case CAPI_RUN:
        return false;
    case CAPI_DRAIN:
    case CAPI_ORPHAN:
        return capi_ticks() >= sender->drain_until ||
               (capi_dispatch_is_idle(sender) && capi_intake_is_empty(sender));
    case CAPI_END_FAST:
    case CAPI_STORE_LOST:
        return true;
    }
    return true;
}

/* The store keeps times of the wall clock. When somebody sets it, what waits is moved along: it goes
 * when it would have gone, neither hours late nor past its time at once. */
static void follow_clock(capi_sender_t *sender)
{
    apr_interval_time_t offset = capi_now() - capi_ticks();
    apr_interval_time_t jump = offset - sender->clock_offset;

    if (jump > -CLOCK_JUMP && jump < CLOCK_JUMP) {
        return;
    }
    if (capi_store_shift(sender->store, jump) != APR_SUCCESS) {
        capi_store_failed(sender, "follow the clock");
        return;
    }
    sender->clock_offset = offset;
    capi_log(CAPI_LOG_NOTICE,
             "PCAPI117: the clock was set %s by %" APR_INT64_T_FMT
             " s: what waits is sent when it would have been",
             jump > 0 ? "forward" : "back",
             apr_time_sec((jump > 0 ? jump : -jump) + apr_time_from_msec(500)));
}

static apr_time_t do_work(capi_sender_t *sender)
{
    apr_time_t next = CAPI_NEVER;
    bool has_taken;
    apr_time_t at;

    capi_priority_turn(sender);
    if (sender->store_retry_at && capi_ticks() >= sender->store_retry_at) {
        end_store_pause(sender);
    }
    if (!sender->store_retry_at) {
        follow_clock(sender);
    }
    has_taken = capi_intake_turn(sender);
    capi_dispatch_collect(sender);
    next = capi_dispatch_turn(sender);
    if (sender->phase == CAPI_RUN) {
        at = capi_fleet_turn(sender);
        next = at < next ? at : next;
        at = capi_asks_turn(sender);
        next = at < next ? at : next;
        at = capi_housekeeping_turn(sender);
        next = at < next ? at : next;
    }
    else if (sender->drain_until < next) {
        next = sender->drain_until;
    }
    at = has_taken ? 0 : capi_intake_next(sender);
    return at < next ? at : next;
}

static void wait_for_work(capi_sender_t *sender, apr_time_t until)
{
    capi_inlet_t *current = &APR_ARRAY_IDX(sender->inlets, 0, capi_inlet_t);
    struct curl_waitfd fds[WAIT_COUNT] = {
        [WAIT_SIGNAL] = {sender->signal_fd, CURL_WAIT_POLLIN, 0},
        [WAIT_QUEUE] = {CAPI_FD_WAKEUP, CURL_WAIT_POLLIN, 0},
        [WAIT_ASKS] = {capi_asks_fd(sender), CURL_WAIT_POLLIN, 0},
        [WAIT_PARENT] = {CAPI_FD_PARENT, CURL_WAIT_POLLIN, 0},
    };
    /* Once the parent is gone its descriptor stays readable. */
    unsigned int count = sender->phase == CAPI_ORPHAN ? WAIT_PARENT : WAIT_COUNT;

    capi_api_wait(sender->api, fds, count, capi_wait_ms(until));
    capi_queue_awake(current->queue);
    if (fds[WAIT_SIGNAL].revents) {
        take_signals(sender);
    }
    if (fds[WAIT_ASKS].revents) {
        capi_asks_news(sender);
    }
    if (count == WAIT_COUNT && fds[WAIT_PARENT].revents) {
        take_orphanhood(sender);
    }
}

static void report_end(const capi_sender_t *sender)
{
    const char *rest = "";

    if (!capi_intake_is_empty(sender)) {
        rest = ", some records stay in the queue for the next one";
    }
    capi_log(CAPI_LOG_NOTICE, "PCAPI101: sender stopped%s", rest);
}

bool capi_loop_run(capi_sender_t *sender)
{
    for (;;) {
        apr_time_t next = do_work(sender);

        if (is_over(sender)) {
            break;
        }
        wait_for_work(sender, next);
    }
    if (sender->phase == CAPI_STORE_LOST) {
        return false;
    }
    capi_dispatch_abandon(sender);
    capi_housekeeping_end(sender);
    report_end(sender);
    return true;
}
