/* Start and end of the sender. httpd's parent starts it; descriptors instead of arguments. */

#include "sender.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_allocator.h>
#include <apr_general.h>
#include <sqlite3.h>

#include "notes.h"

/* What the pools may keep for reuse: about one batch. */
#define POOL_KEEP (1024 * 1024)

/* Between two tries to open the store. */
#define STORE_PAUSE_MS 2000

/* Requests a second with ?test=true, evenly spaced. Pinterest's limit is 10 as they arrive there: one
 * is left for what the network bunches up. */
#define TEST_RATE 9

/* Before anything secret is in memory: no core files, no ptrace, /proc/self closed to others. */
static void harden(void)
{
    static const struct rlimit none = {0, 0};

    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
    umask(077);
}

/* One thread works: a second arena would only keep memory, and the embedded store's locks around
 * every value that it is given or asked for were a tenth of what a delivery costs. */
static void tune_for_one_thread(void)
{
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, POOL_KEEP);
    mallopt(M_MMAP_THRESHOLD, POOL_KEEP / 4);
}

/* A kernel without pidfd leaves the parent's place empty: something that never has anything to say
 * takes it, before a file that is always readable does. */
static bool keep_parents_place(void)
{
    int silent;

    if (fcntl(CAPI_FD_PARENT, F_GETFD) >= 0) {
        return true;
    }
    silent = eventfd(0, EFD_CLOEXEC);
    return silent >= 0 && (silent == CAPI_FD_PARENT || dup2(silent, CAPI_FD_PARENT) >= 0);
}

static int open_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    /* What httpd's process group is told is not meant for the sender. */
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGWINCH);
    if (sigprocmask(SIG_SETMASK, &set, NULL) != 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static apr_pool_t *make_pool(void)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;

    if (apr_initialize() != APR_SUCCESS || apr_allocator_create(&allocator) != APR_SUCCESS) {
        return NULL;
    }
    apr_allocator_max_free_set(allocator, POOL_KEEP);
    if (apr_pool_create_ex(&pool, NULL, NULL, allocator) != APR_SUCCESS) {
        return NULL;
    }
    apr_allocator_owner_set(allocator, pool);
    return pool;
}

static bool add_inlet(capi_sender_t *sender, int fd, bool is_current)
{
    capi_inlet_t inlet = {.is_current = is_current, .limit = CAPI_EVENTS_PER_REQUEST};

    if (capi_queue_attach(&inlet.queue, fd, sender->pool) != APR_SUCCESS) {
        return false;
    }
    if (is_current) {
        capi_queue_set_wakeup(inlet.queue, CAPI_FD_WAKEUP);
    }
    APR_ARRAY_PUSH(sender->inlets, capi_inlet_t) = inlet;
    return true;
}

static bool open_queues(capi_sender_t *sender)
{
    int i;

    sender->inlets = apr_array_make(sender->pool, 4, sizeof(capi_inlet_t));
    if (!add_inlet(sender, CAPI_FD_QUEUE, true)) {
        capi_log(CAPI_LOG_ERR,
                 "PCAPI108: httpd's queue cannot be used: are module and sender of one version?");
        return false;
    }
    for (i = 0; i < sender->config->old_queue_count; i++) {
        if (!add_inlet(sender, sender->config->old_queue_fds[i], false)) {
            capi_log(
                CAPI_LOG_ERR,
                "PCAPI109: a queue that an earlier httpd left behind is unreadable: it is left "
                "as it is");
            close(sender->config->old_queue_fds[i]);
        }
    }
    return true;
}

/* False where the sender is to end instead of trying again. */
static bool may_try_again(const capi_sender_t *sender)
{
    struct pollfd fds[2] = {{sender->signal_fd, POLLIN, 0}, {CAPI_FD_PARENT, POLLIN, 0}};

    return poll(fds, 2, STORE_PAUSE_MS) == 0;
}

/* One try. The pool is the store's. */
static apr_status_t try_store(capi_sender_t *sender, apr_pool_t *pool)
{
    const char *message = NULL;
    apr_status_t rv = capi_store_open(&sender->store, &message, sender->config->store_driver,
                                      sender->config->store_params, false, pool);

    if (rv == APR_SUCCESS && message) {
        capi_log(CAPI_LOG_ERR, "PCAPI113: %s", message);
    }
    if (rv != APR_SUCCESS && sender->store_failures++ == 0) {
        capi_log(CAPI_LOG_ERR,
                 "PCAPI112: the store cannot be opened: %s. Events wait in the queue; trying again "
                 "until it works",
                 message ? message : "no reason given");
    }
    return rv;
}

/* Waits here for room on the disk or for whoever holds the file: another start would fare no better.
 * Only a store of another version needs a person. */
static bool open_store(capi_sender_t *sender)
{
    apr_pool_t *pool;
    apr_status_t rv;

    for (;;) {
        apr_pool_create(&pool, sender->pool);
        rv = try_store(sender, pool);
        if (rv == APR_SUCCESS) {
            capi_store_recovered(sender);
            return true;
        }
        apr_pool_destroy(pool);
        if (rv == APR_EMISMATCH || !may_try_again(sender)) {
            return false;
        }
    }
}

static bool open_slots(capi_sender_t *sender)
{
    int i;

    sender->api = capi_api_create(sender->pool);
    for (i = 0; sender->api && i < CAPI_SLOTS; i++) {
        apr_pool_create(&sender->slots[i].pool, sender->pool);
        sender->slots[i].call = capi_call_create(sender->api, sender->pool);
        if (!sender->slots[i].call) {
            break;
        }
    }
    if (!sender->api || i < CAPI_SLOTS || !capi_asks_create(sender)) {
        capi_log(CAPI_LOG_ERR, "PCAPI114: libcurl cannot be used");
        return false;
    }
    return true;
}

/* What has to be there before the loop can run. */
static bool prepare(capi_sender_t *sender)
{
    apr_time_t ticks = capi_ticks();

    sender->started = capi_now();
    sender->clock_offset = capi_now() - ticks;
    sender->has_caught_up = true;
    sender->checkpoint_at = ticks;
    sender->retain_at = ticks + apr_time_from_sec(30);
    sender->routes = apr_array_make(sender->pool, 4, sizeof(capi_route_t *));
    sender->quotas = apr_array_make(sender->pool, 4, sizeof(capi_quota_t *));
    capi_bucket_init(&sender->test_rate, TEST_RATE, 1, ticks);
    capi_catalogs_init(sender);
    capi_notes_lost();
    if (!open_slots(sender) || !open_queues(sender) || !open_store(sender)) {
        return false;
    }
    if (capi_fleet_join(sender) != APR_SUCCESS) {
        capi_log(CAPI_LOG_ERR,
                 "PCAPI182: this sender finds no place among those of the database: %s",
                 capi_store_error(sender->store));
        return false;
    }
    if (capi_routes_load(sender) != APR_SUCCESS) {
        capi_log(CAPI_LOG_ERR, "PCAPI115: the store does not tell where events go: %s",
                 capi_store_error(sender->store));
        return false;
    }
    if (capi_store_note_count(sender->store, CAPI_NOTE_STARTS) != APR_SUCCESS) {
        capi_store_failed(sender, "count its starts");
    }
    capi_tokens_wipe(sender->tokens, sender->config->account_count);
    return true;
}

static void release(capi_sender_t *sender)
{
    int i;

    capi_asks_destroy(sender);
    for (i = 0; i < CAPI_SLOTS; i++) {
        capi_call_destroy(sender->slots[i].call);
    }
    for (i = 0; i < sender->routes->nelts; i++) {
        capi_headers_wipe(APR_ARRAY_IDX(sender->routes, i, capi_route_t *)->target.headers);
    }
    capi_api_destroy(sender->api);
    capi_store_close(sender->store);
    for (i = 0; i < sender->inlets->nelts; i++) {
        capi_inlet_t *inlet = &APR_ARRAY_IDX(sender->inlets, i, capi_inlet_t);

        if (inlet->queue) {
            capi_queue_close(inlet->queue);
        }
    }
}

/* A directory that is not there yet, or read-only, is waited for: another start would fare no
 * better. */
static capi_lock_t take_lock(const capi_sender_t *sender)
{
    bool is_said = false;
    capi_lock_t lock;

    do {
        apr_pool_t *pool;

        apr_pool_create(&pool, sender->pool);
        lock = capi_lock_wait(sender->config->state_dir, sender->signal_fd, CAPI_FD_PARENT, is_said,
                              pool);
        is_said = true;
        if (lock == CAPI_LOCK_NO_FILE) {
            apr_pool_destroy(pool);
        }
    } while (lock == CAPI_LOCK_NO_FILE && may_try_again(sender));
    return lock;
}

static int run(capi_sender_t *sender)
{
    capi_lock_t lock = take_lock(sender);
    bool has_ended_well;

    if (lock != CAPI_LOCK_HELD) {
        /* The thread that waits for the lock still uses the pool: it ends with the process. */
        _exit(lock == CAPI_LOCK_ASKED_TO_STOP ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    if (!prepare(sender)) {
        return EXIT_FAILURE;
    }
    capi_log(CAPI_LOG_NOTICE, "PCAPI100: sender " CAPI_VERSION " started");
    has_ended_well = capi_loop_run(sender);
    release(sender);
    return has_ended_well ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, const char *const argv[])
{
    static capi_sender_t sender;
    capi_sender_config_t *config;
    const char *message;
    int status = EXIT_FAILURE;

    harden();
    tune_for_one_thread();
    if (argc > 1) {
        fprintf(stderr, "%s " CAPI_VERSION ": httpd starts this program, it takes no arguments\n",
                argv[0]);
        return EXIT_FAILURE;
    }
    if (!keep_parents_place()) {
        return EXIT_FAILURE;
    }
    capi_priority_begin(&sender);
    sender.pool = make_pool();
    sender.signal_fd = open_signals();
    if (!sender.pool || sender.signal_fd < 0) {
        return EXIT_FAILURE;
    }
    if (capi_config_load(&config, &message, sender.pool) == APR_SUCCESS) {
        capi_log_init(config->log_level);
        sender.config = config;
        sender.tokens = capi_tokens_load(config, sender.pool);
        status = run(&sender);
    }
    else {
        capi_log(CAPI_LOG_ERR, "PCAPI103: the sender does not start: %s", message);
    }
    apr_pool_destroy(sender.pool);
    apr_terminate();
    return status;
}
