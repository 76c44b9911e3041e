/* What the page asks for: noticed, done one after the other, and answered. A step of an ask is one
 * transaction, so that a crash repeats it and nothing else. */

#include "asks.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <apr_strings.h>

/* Where no file tells that somebody wrote into the store: a database server. */
#define LOOK_PAUSE apr_time_from_sec(5)

/* The page reads just now, or nothing is due yet. */
#define AGAIN_PAUSE apr_time_from_sec(1)

/* What waits in the queue is taken in first. */
#define INTAKE_PAUSE apr_time_from_msec(50)

/* A destination that is tried has nothing to send after all. */
#define TRY_PATIENCE apr_time_from_sec(5)

/* An ask that takes more than one step. */
typedef struct {
    char id[CAPI_UUID_LEN + 1]; /* "": none */
    capi_forget_t forget;
    bool was_in_flight;
    int requeued;
    int answers; /* of the route, when it was tried */
    apr_time_t begun_at;
} capi_progress_t;

struct capi_asks_t {
    apr_pool_t *pool; /* of one turn */
    int watch_fd;
    bool has_watch;
    apr_time_t look_at; /* ticks */
    capi_test_t test;
    capi_progress_t progress[CAPI_ASK_COUNT]; /* one of a kind at a time */
};

/* What a step came to. */
typedef struct {
    bool is_over;
    bool is_well;
    apr_time_t again_at; /* ticks; where it is not over */
    const char *outcome;
} step_t;

const char *capi_route_label(const capi_route_t *route, apr_pool_t *p)
{
    return apr_psprintf(p, "account %s%s", route->row.account, route->row.test ? " (test)" : "");
}

static void end_step(step_t *step, bool is_well, const char *outcome)
{
    step->is_over = true;
    step->is_well = is_well;
    step->outcome = outcome;
}

static const char *counted(int count, const char *one, apr_pool_t *p)
{
    return apr_psprintf(p, "%d %s%s", count, one, count == 1 ? "" : "s");
}

/* Makes `ask` the one of its kind that is under way; true where it was that already. */
static bool is_under_way(capi_asks_t *asks, const capi_ask_t *ask)
{
    capi_progress_t *progress = &asks->progress[ask->kind];

    if (strcmp(progress->id, ask->id) == 0) {
        return true;
    }
    memset(progress, 0, sizeof(*progress));
    apr_cpystrn(progress->id, ask->id, sizeof(progress->id));
    progress->begun_at = capi_ticks();
    return false;
}

/* --- what is asked for --- */

static apr_status_t do_test(capi_sender_t *sender, const capi_ask_t *ask, step_t *step)
{
    capi_test_t *test = &sender->asks->test;

    (void)ask;
    end_step(step, test->is_well, test->outcome);
    return APR_SUCCESS;
}

static apr_status_t do_pause(capi_sender_t *sender, const capi_ask_t *ask, step_t *step)
{
    const capi_route_t *route = capi_route_by_id(sender, ask->destination);
    bool is_pause = ask->kind == CAPI_ASK_PAUSE;

    if (!route) {
        end_step(step, false, "There is no such account.");
        return APR_SUCCESS;
    }
    end_step(step, true,
             is_pause ? "Nothing goes out until somebody resumes it; events are kept."
                      : "What waits goes out now.");
    if (is_pause && route->row.is_paused) {
        /* Who paused it first stays on record. */
        return APR_SUCCESS;
    }
    return capi_ask_pause(sender->store, ask->destination, is_pause ? ask->asked_by : NULL,
                          capi_now());
}

static const char *tried_outcome(const capi_route_t *route, bool *is_well, apr_pool_t *p)
{
    *is_well = false;
    if (route->row.is_held) {
        return apr_psprintf(p, "Still on hold: %s.", route->row.held_reason);
    }
    if (route->failures > 0) {
        return "Pinterest gave no verdict yet; it is tried again by itself.";
    }
    *is_well = true;
    return "Pinterest takes events again: what waits goes out.";
}

static apr_status_t begin_try(capi_sender_t *sender, const capi_ask_t *ask, capi_route_t *route)
{
    capi_progress_t *progress = &sender->asks->progress[CAPI_ASK_TRY];
    int count = 0;
    apr_status_t rv = capi_ask_hurry(&count, sender->store, ask->destination, capi_now());

    progress->answers = route->answers;
    route->not_before = 0;
    route->look_at = 0;
    route->probes = 0;
    return rv;
}

static apr_status_t do_try(capi_sender_t *sender, const capi_ask_t *ask, step_t *step)
{
    capi_route_t *route = capi_route_by_id(sender, ask->destination);
    capi_progress_t *progress = &sender->asks->progress[CAPI_ASK_TRY];
    bool is_well = false;

    if (!route) {
        end_step(step, false, "There is no such account.");
    }
    else if (route->row.is_paused) {
        end_step(step, false, "It is paused: resume it first.");
    }
    else if (!route->target.headers) {
        end_step(step, false,
                 apr_psprintf(sender->asks->pool, "Nothing can be sent: %s.",
                              route->row.held_reason ? route->row.held_reason : "no token"));
    }
    else if (!is_under_way(sender->asks, ask)) {
        step->again_at = capi_ticks() + TRY_PATIENCE;
        return begin_try(sender, ask, route);
    }
    else if (route->answers != progress->answers) {
        step->outcome = tried_outcome(route, &is_well, sender->asks->pool);
        end_step(step, is_well, step->outcome);
    }
    else if (route->in_flight > 0 || capi_ticks() < progress->begun_at + TRY_PATIENCE) {
        step->again_at = capi_ticks() + AGAIN_PAUSE;
    }
    else {
        end_step(step, true, "Nothing is due: there is nothing to try.");
    }
    return APR_SUCCESS;
}

static void hurry_route(capi_sender_t *sender, apr_int64_t destination)
{
    capi_route_t *route = capi_route_by_id(sender, destination);

    if (route) {
        route->look_at = 0;
    }
}

static apr_status_t retry_one(capi_sender_t *sender, const capi_ask_t *ask, step_t *step)
{
    apr_int64_t destination = 0;
    apr_status_t rv = capi_ask_requeue(&destination, sender->store, ask->event, capi_now());

    if (rv == APR_NOTFOUND) {
        end_step(step, false,
                 "Its data is no longer kept, so it cannot be sent again: rejected events are "
                 "kept for 7 days.");
        return APR_SUCCESS;
    }
    hurry_route(sender, destination);
    end_step(step, true, "It is in line again, under the same event id.");
    return rv;
}

static apr_status_t retry_all(capi_sender_t *sender, const capi_ask_t *ask, step_t *step)
{
    capi_progress_t *progress = &sender->asks->progress[CAPI_ASK_RETRY];
    int count = 0;
    apr_status_t rv;

    is_under_way(sender->asks, ask);
    rv = capi_ask_requeue_some(&count, sender->store, ask->destination, ask->asked_at, capi_now());
    progress->requeued += count;
    hurry_route(sender, ask->destination);
    if (count > 0) {
        return rv;
    }
    if (progress->requeued == 0) {
        end_step(step, true, "There is no rejected event whose data is still kept.");
        return rv;
    }
    end_step(step, true,
             apr_pstrcat(sender->asks->pool,
                         counted(progress->requeued, "rejected event", sender->asks->pool),
                         progress->requeued == 1 ? " is" : " are",
                         " in line again, each under its own id.", NULL));
    return rv;
}

static apr_status_t do_retry(capi_sender_t *sender, const capi_ask_t *ask, step_t *step)
{
    return ask->event ? retry_one(sender, ask, step) : retry_all(sender, ask, step);
}

static const char *forgotten_outcome(const capi_progress_t *progress, apr_pool_t *p)
{
    const capi_forget_t *forget = &progress->forget;
    const char *sent =
        progress->was_in_flight ? " What was on its way may have arrived at Pinterest." : "";

    if (forget->visits + forget->events == 0) {
        return apr_pstrcat(p, "Nothing here carries it.", sent, NULL);
    }
    return apr_pstrcat(p, counted(forget->visits, "context", p), " and ",
                       counted(forget->events, "event", p), " erased.", sent, NULL);
}

/* What a request carried is looked for again until the request has ended. */
static void begin_again(capi_progress_t *progress, step_t *step)
{
    capi_forget_t *forget = &progress->forget;

    progress->was_in_flight = true;
    *forget = (capi_forget_t){.visits = forget->visits, .events = forget->events};
    step->again_at = capi_ticks() + AGAIN_PAUSE;
}

/* What was said before the ask is in the queue or in the store; what is in the queue comes first. */
static apr_status_t do_forget(capi_sender_t *sender, const capi_ask_t *ask, step_t *step)
{
    capi_progress_t *progress = &sender->asks->progress[CAPI_ASK_FORGET];
    apr_status_t rv;

    if (!ask->subject) {
        end_step(step, true, ask->outcome);
        return APR_SUCCESS;
    }
    if (!is_under_way(sender->asks, ask) && !capi_intake_is_empty(sender)) {
        memset(progress, 0, sizeof(*progress));
        step->again_at = capi_ticks() + INTAKE_PAUSE;
        return APR_SUCCESS;
    }
    rv = capi_ask_forget_some(&progress->forget, sender->store, ask->subject, capi_now());
    if (rv != APR_SUCCESS || !progress->forget.is_done) {
        return rv;
    }
    if (progress->forget.in_flight > 0) {
        begin_again(progress, step);
        return rv;
    }
    /* Over once that is so on disk. */
    return capi_ask_erased(sender->store, ask->id, forgotten_outcome(progress, sender->asks->pool));
}

static apr_status_t (*const doers[CAPI_ASK_COUNT])(capi_sender_t *, const capi_ask_t *,
                                                   step_t *) = {
    [CAPI_ASK_TEST] = do_test,   [CAPI_ASK_TRY] = do_try,      [CAPI_ASK_RETRY] = do_retry,
    [CAPI_ASK_PAUSE] = do_pause, [CAPI_ASK_RESUME] = do_pause, [CAPI_ASK_FORGET] = do_forget};

/* --- a step --- */

/* False where there is nothing to write yet. */
static bool is_ready(capi_sender_t *sender, const capi_ask_t *ask, apr_time_t *again)
{
    if (ask->kind == CAPI_ASK_TEST) {
        return capi_test_is_over(&sender->asks->test, sender, ask, again);
    }
    if (ask->kind == CAPI_ASK_FORGET && !ask->subject &&
        capi_store_checkpoint(sender->store) != APR_SUCCESS) {
        *again = capi_ticks() + AGAIN_PAUSE;
        return false;
    }
    return true;
}

/* The transaction is on disk. */
static void carry_out(capi_sender_t *sender, const capi_ask_t *ask, const step_t *step)
{
    capi_route_t *route = capi_route_by_id(sender, ask->destination);

    if (!step->is_over) {
        return;
    }
    if (ask->kind == CAPI_ASK_TEST) {
        capi_test_forget(&sender->asks->test);
    }
    if (route && (ask->kind == CAPI_ASK_PAUSE || ask->kind == CAPI_ASK_RESUME)) {
        route->row.is_paused = ask->kind == CAPI_ASK_PAUSE;
        route->look_at = 0;
    }
    memset(&sender->asks->progress[ask->kind], 0, sizeof(capi_progress_t));
    capi_log(CAPI_LOG_NOTICE, "PCAPI160: %s%s%s, as %s asked on the page: %s",
             capi_ask_name(ask->kind), route ? " of " : "",
             route ? capi_route_label(route, sender->asks->pool) : "", ask->asked_by,
             step->outcome);
}

/* One step, one transaction. False where the store did not take it. */
static bool do_step(capi_sender_t *sender, const capi_ask_t *ask, apr_time_t *again)
{
    step_t step = {.again_at = 0};
    apr_status_t rv = capi_store_begin(sender->store);

    if (rv == APR_SUCCESS) {
        rv = doers[ask->kind](sender, ask, &step);
    }
    if (rv == APR_SUCCESS && step.is_over) {
        rv = capi_ask_done(sender->store, ask->id, step.is_well, step.outcome, capi_now());
    }
    if (rv == APR_SUCCESS) {
        rv = capi_store_commit(sender->store);
    }
    if (rv != APR_SUCCESS) {
        capi_store_rollback(sender->store);
        memset(&sender->asks->progress[ask->kind], 0, sizeof(capi_progress_t));
        capi_store_failed(sender, "do what the page asked for");
        return false;
    }
    capi_store_recovered(sender);
    sender->settled_at = capi_ticks();
    carry_out(sender, ask, &step);
    if (step.again_at < *again) {
        *again = step.again_at;
    }
    return true;
}

static apr_time_t do_all(capi_sender_t *sender)
{
    capi_asks_t *asks = sender->asks;
    apr_time_t again = asks->has_watch ? CAPI_NEVER : capi_ticks() + LOOK_PAUSE;
    apr_array_header_t *list;
    int i;

    apr_pool_clear(asks->pool);
    if (capi_ask_list(&list, sender->store, asks->pool) != APR_SUCCESS) {
        capi_store_failed(sender, "tell what the page asks for");
        return sender->store_retry_at;
    }
    for (i = 0; i < list->nelts; i++) {
        const capi_ask_t *ask = &APR_ARRAY_IDX(list, i, capi_ask_t);

        if (is_ready(sender, ask, &again) && !do_step(sender, ask, &again)) {
            return sender->store_retry_at;
        }
    }
    return again;
}

apr_time_t capi_asks_turn(capi_sender_t *sender)
{
    capi_asks_t *asks = sender->asks;

    if (capi_test_ends(&asks->test, sender)) {
        asks->look_at = 0;
    }
    if (sender->store_retry_at) {
        return sender->store_retry_at;
    }
    if (!sender->is_first) {
        /* Another sender of this database does it; its beats tell when that is over. */
        return CAPI_NEVER;
    }
    if (asks->look_at <= capi_ticks()) {
        asks->look_at = do_all(sender);
    }
    return asks->look_at;
}

void capi_asks_answered(capi_sender_t *sender, capi_route_t *route)
{
    route->answers++;
    if (*sender->asks->progress[CAPI_ASK_TRY].id) {
        sender->asks->look_at = 0;
    }
}

/* --- how the sender learns of them --- */

int capi_asks_fd(const capi_sender_t *sender)
{
    return sender->asks->watch_fd;
}

void capi_asks_news(capi_sender_t *sender)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

    while (read(sender->asks->watch_fd, events, sizeof(events)) > 0) {
        sender->asks->look_at = 0;
    }
}

/* Who writes into an SQLite file and closes it is somebody else: the sender keeps it open. */
static bool watch_store(capi_sender_t *sender)
{
    const char *path = sender->config->store_params;
    const char *slash = strrchr(path, '/');
    int fd = sender->asks->watch_fd;

    if (fd < 0 || strcmp(sender->config->store_driver, "sqlite3") != 0 || *path != '/') {
        return false;
    }
    return inotify_add_watch(
               fd, slash == path ? "/" : apr_pstrmemdup(sender->pool, path, (size_t)(slash - path)),
               IN_CLOSE_WRITE | IN_ONLYDIR) >= 0;
}

bool capi_asks_create(capi_sender_t *sender)
{
    capi_asks_t *asks = apr_pcalloc(sender->pool, sizeof(*asks));

    sender->asks = asks;
    apr_pool_create(&asks->pool, sender->pool);
    asks->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    asks->has_watch = watch_store(sender);
    return capi_test_create(&asks->test, sender) == APR_SUCCESS;
}

void capi_asks_destroy(capi_sender_t *sender)
{
    capi_test_destroy(&sender->asks->test);
    if (sender->asks->watch_fd >= 0) {
        close(sender->asks->watch_fd);
    }
}
