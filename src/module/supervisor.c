/* Watches over the sender from httpd's parent: one at a time, a new one at every reload, none left
 * behind at a stop. What workers inherit of it are the queue and the key. */

#include "supervisor_int.h"

#include <ap_mpm.h>
#include <http_core.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <unixd.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

APLOG_USE_MODULE(pinterest_capi);

#define RETAINED_KEY "pinterest_capi_supervisor"

/* What the sender needs beyond its own limit to write its last line. */
#define GRACE_SEC 5

/* A sender that lives this long, or moves something to disk, is no crash loop. */
#define EARLY_SEC     60
#define VERY_EARLY    apr_time_from_msec(250)
#define PAUSE_MAX_SEC 60

/* This generation of the configuration; workers inherit a copy. */
static struct {
    pid_t parent;
    server_rec *server;
    apr_pool_t *pool;
    capi_retained_t *kept;
    capi_queue_t *queue; /* NULL: not in use, or it could not be made */
    capi_runner_t runner;
    apr_array_header_t *accounts;
    int parent_fd;
    int worker_fd;  /* the queue's, for workers: it holds the lock and can only be read */
    int old_queues; /* how many were there when last looked at */
    apr_proc_t sender;
    apr_proc_t retiring[CAPI_RETIRING_MAX];
    unsigned char secret[CAPI_SECRET_LEN];
} now;

capi_queue_t *capi_queue(void)
{
    return now.queue;
}

const unsigned char *capi_secret(void)
{
    return now.secret;
}

capi_board_t *capi_supervisor_board(void)
{
    return now.kept ? now.kept->board : NULL;
}

void capi_count(capi_count_t what, int times)
{
    capi_board_t *board = capi_supervisor_board();

    if (board && times > 0) {
        atomic_fetch_add_explicit(&board->counted[what], times, memory_order_relaxed);
    }
}

int64_t capi_counted(capi_count_t what)
{
    capi_board_t *board = capi_supervisor_board();

    return board ? board->counted[what] : 0;
}

void capi_supervisor_status(capi_sender_status_t *status)
{
    static const char *const names[] = {"stopped", "running", "restarting"};
    capi_board_t *board = capi_supervisor_board();
    int64_t running = board ? board->running : CAPI_SENDER_STOPPED;

    memset(status, 0, sizeof(*status));
    if (board) {
        status->pid = (pid_t)board->pid;
        status->started = board->started;
        status->restarts = (int)board->restarts;
    }
    /* Its pause is over by now. */
    if (running == CAPI_SENDER_RESTARTING && status->pid && status->started <= apr_time_now()) {
        running = CAPI_SENDER_RUNNING;
    }
    status->state = names[running >= 0 && running <= 2 ? running : 0];
}

static void show(capi_running_t running)
{
    capi_board_t *board = now.kept->board;

    board->pid = now.kept->sender;
    board->started = now.kept->started;
    board->restarts = now.kept->restarts;
    board->running = running;
}

/* --- the old ones --- */

static void watch_retiring(int reason, void *slot, int status)
{
    const apr_proc_t *proc = slot;
    long i = proc - now.retiring;

    (void)status;
    if ((reason == APR_OC_REASON_DEATH || reason == APR_OC_REASON_LOST) &&
        now.kept->retiring[i].pid != 0) {
        now.kept->retiring[i].pid = 0;
        apr_proc_other_child_unregister(slot);
    }
}

/* The oldest has had more time than any: with this many reloads a minute it must go. */
static int free_slot(capi_retained_t *kept)
{
    int oldest = 0;
    int i;

    for (i = 0; i < CAPI_RETIRING_MAX; i++) {
        if (kept->retiring[i].pid == 0 ||
            waitpid(kept->retiring[i].pid, NULL, WNOHANG) == kept->retiring[i].pid) {
            return i;
        }
        if (kept->retiring[i].since < kept->retiring[oldest].since) {
            oldest = i;
        }
    }
    kill(kept->retiring[oldest].pid, SIGKILL);
    waitpid(kept->retiring[oldest].pid, NULL, 0);
    return oldest;
}

/* The sender finishes its batch and hands the lock over; nobody waits for it here. */
static void retire_sender(capi_retained_t *kept)
{
    pid_t pid = kept->sender;
    int slot;

    if (pid == 0) {
        return;
    }
    kept->sender = 0;
    kill(pid, SIGTERM);
    slot = free_slot(kept);
    kept->retiring[slot].pid = pid;
    kept->retiring[slot].since = apr_time_now();
}

/* Registered again in every generation, else httpd wonders whose child comes home. */
static void adopt_retiring(void)
{
    int i;

    for (i = 0; i < CAPI_RETIRING_MAX; i++) {
        capi_retiring_t *old = &now.kept->retiring[i];

        if (old->pid != 0 && waitpid(old->pid, NULL, WNOHANG) != 0) {
            old->pid = 0;
        }
        if (old->pid != 0) {
            now.retiring[i].pid = old->pid;
            apr_proc_other_child_register(&now.retiring[i], watch_retiring, &now.retiring[i], NULL,
                                          now.pool);
        }
    }
}

static void end_overdue(void)
{
    apr_time_t limit = apr_time_now() - apr_time_from_sec(CAPI_DRAIN_SEC + GRACE_SEC);
    int i;

    for (i = 0; i < CAPI_RETIRING_MAX; i++) {
        const capi_retiring_t *old = &now.kept->retiring[i];

        if (old->pid != 0 && old->since < limit) {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, now.server,
                         "PCAPI053: the old sender (pid %ld) did not end within %d s of the reload "
                         "and is killed; the new one goes on with its work",
                         (long)old->pid, CAPI_DRAIN_SEC + GRACE_SEC);
            kill(old->pid, SIGKILL);
        }
    }
}

/* --- the one that works --- */

static uint64_t durable_mark(void)
{
    capi_queue_stats_t stats;

    capi_queue_stats(now.queue, &stats);
    return stats.durable;
}

static void watch_sender(int reason, void *slot, int status);

static bool start_sender(int pause_sec)
{
    capi_retained_t *kept = now.kept;
    capi_spawn_t spawn = {.server = now.server,
                          .runner = &now.runner,
                          .accounts = now.accounts,
                          .queue = now.queue,
                          .parent_fd = now.parent_fd,
                          .pause_sec = pause_sec};
    apr_status_t rv;
    apr_pool_t *p;
    pid_t pid = 0;

    apr_pool_create(&p, now.pool);
    spawn.old_queues = capi_queue_files_left(kept, now.server, kept->sender == 0, p);
    now.old_queues = spawn.old_queues->nelts;
    rv = capi_spawn_sender(&pid, &spawn, p);
    apr_pool_destroy(p);
    kept->sender = pid;
    kept->started = apr_time_now() + apr_time_from_sec(pause_sec);
    kept->durable_at_start = durable_mark();
    show(pid && !pause_sec ? CAPI_SENDER_RUNNING : CAPI_SENDER_RESTARTING);
    if (rv != APR_SUCCESS) {
        return false;
    }
    now.sender.pid = pid;
    apr_proc_other_child_register(&now.sender, watch_sender, &now.sender, NULL, now.pool);
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, now.server, "PCAPI054: sender started (pid %ld)",
                 (long)pid);
    return true;
}

/* None after the first early death, then 1, 2, 4 … 60 s. Early is who dies at once,
 * or within a minute without having moved a single record to disk. */
static int pause_after_death(capi_retained_t *kept)
{
    apr_interval_time_t lived = apr_time_now() - kept->started;
    bool has_worked = durable_mark() != kept->durable_at_start;
    int pause_sec;

    if (lived >= apr_time_from_sec(EARLY_SEC) || (has_worked && lived >= VERY_EARLY)) {
        kept->early_deaths = 0;
    }
    pause_sec = kept->early_deaths == 0  ? 0
                : kept->early_deaths < 7 ? 1 << (kept->early_deaths - 1)
                                         : PAUSE_MAX_SEC;
    kept->early_deaths++;
    return pause_sec < PAUSE_MAX_SEC ? pause_sec : PAUSE_MAX_SEC;
}

static bool is_stopping(void)
{
    int state = AP_MPMQ_STOPPING;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

static void watch_sender(int reason, void *slot, int status)
{
    capi_retained_t *kept = now.kept;
    pid_t pid = kept->sender;
    char when[32];
    int pause_sec;

    if ((reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST) || pid == 0) {
        return;
    }
    kept->sender = 0;
    apr_proc_other_child_unregister(slot);
    if (is_stopping()) {
        show(CAPI_SENDER_STOPPED);
        return;
    }
    kept->restarts++;
    pause_sec = pause_after_death(kept);
    apr_snprintf(when, sizeof(when), pause_sec ? "in %d s" : "at once", pause_sec);
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, now.server,
                 "PCAPI055: the sender (pid %ld) ended by itself (status %d); the next one starts "
                 "%s, nothing is lost meanwhile%s",
                 (long)pid, status, when,
                 kept->early_deaths > 3 ? "; the lines above may say why it does not stay" : "");
    start_sender(pause_sec);
}

int capi_supervisor_monitor(apr_pool_t *p, server_rec *s)
{
    apr_pool_t *scratch;

    if (!now.kept || getpid() != now.parent) {
        return DECLINED;
    }
    end_overdue();
    if (!now.queue || is_stopping()) {
        return DECLINED;
    }
    if (now.kept->sender == 0) {
        start_sender(0);
    }
    if (now.old_queues > 0) {
        apr_pool_create(&scratch, p);
        now.old_queues = capi_queue_files_left(now.kept, s, false, scratch)->nelts;
        apr_pool_destroy(scratch);
    }
    return DECLINED;
}

/* --- the end of a generation --- */

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0U);
}

/* True where the child ended before the deadline. */
static bool wait_for_end(pid_t pid, apr_time_t deadline)
{
    int fd = open_pidfd(pid);
    bool has_ended;

    for (;;) {
        struct pollfd child = {.fd = fd, .events = POLLIN};
        apr_interval_time_t left = deadline - apr_time_now();

        has_ended = waitpid(pid, NULL, WNOHANG) != 0;
        if (has_ended || left <= 0) {
            break;
        }
        /* Without a pidfd only the clock is left. */
        (void)poll(&child, 1, fd >= 0 ? (int)apr_time_as_msec(left) + 1 : 20);
    }
    if (fd >= 0) {
        close(fd);
    }
    return has_ended;
}

/* Debian's unit kills what is left once the parent is gone, so the parent waits: for the new sender
 * and for any old one. */
static void wait_for_senders(capi_retained_t *kept)
{
    apr_time_t deadline = apr_time_now() + apr_time_from_sec(CAPI_DRAIN_SEC + GRACE_SEC);
    int i;

    for (i = 0; i < CAPI_RETIRING_MAX; i++) {
        pid_t pid = kept->retiring[i].pid;

        if (pid == 0 || wait_for_end(pid, deadline)) {
            kept->retiring[i].pid = 0;
            continue;
        }
        ap_log_error(
            APLOG_MARK, APLOG_ERR, 0, now.server,
            "PCAPI056: the sender (pid %ld) did not end within %d s and is killed; what it "
            "had not finished waits for the next start",
            (long)pid, CAPI_DRAIN_SEC + GRACE_SEC);
        kill(pid, SIGKILL);
        (void)wait_for_end(pid, apr_time_now() + apr_time_from_sec(2));
        kept->retiring[i].pid = 0;
    }
}

/* All senders have been told to end, once: a second signal would end them before they are done. */
static void end_server(capi_retained_t *kept)
{
    apr_pool_t *scratch;

    wait_for_senders(kept);
    if (now.queue) {
        capi_queue_file_end(kept, now.queue, now.server);
        apr_pool_create(&scratch, now.pool);
        capi_queue_files_left(kept, now.server, false, scratch);
        apr_pool_destroy(scratch);
    }
}

/* Runs before anything of the configuration goes, at every restart and at the end. Only the main
 * state tells the two apart: the reasons that other-child callbacks get do not. */
static apr_status_t end_generation(void *nothing)
{
    bool is_end = ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_EXITING;

    (void)nothing;
    if (getpid() != now.parent) {
        return APR_SUCCESS;
    }
    retire_sender(now.kept);
    show(CAPI_SENDER_STOPPED);
    if (is_end) {
        end_server(now.kept);
    }
    if (now.queue) {
        capi_queue_close(now.queue);
        now.queue = NULL;
    }
    if (now.parent_fd >= 0) {
        close(now.parent_fd);
        now.parent_fd = -1;
    }
    if (now.worker_fd >= 0) {
        close(now.worker_fd);
        now.worker_fd = -1;
    }
    explicit_bzero(now.secret, sizeof(now.secret));
    return APR_SUCCESS;
}

/* --- the begin of a generation --- */

static bool is_rehearsal(void)
{
    return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG ||
           ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_DUMP;
}

static capi_board_t *make_board(void)
{
    void *page =
        mmap(NULL, sizeof(capi_board_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? NULL : page;
}

/* NULL where nothing was kept and nothing is to be. */
static capi_retained_t *find_retained(bool is_in_use)
{
    capi_retained_t *kept = ap_retained_data_get(RETAINED_KEY);

    if (kept && kept->size != sizeof(*kept)) {
        return NULL;
    }
    if (!kept && is_in_use) {
        kept = ap_retained_data_create(RETAINED_KEY, sizeof(*kept));
        kept->size = sizeof(*kept);
        kept->queue_fd = kept->wakeup_fd = -1;
        kept->board = make_board();
    }
    return kept && kept->board ? kept : NULL;
}

static const char *find_runner(capi_runner_t *runner, apr_pool_t *p)
{
    return ap_unixd_config.chroot_dir
               ? "ChrootDir is set, and the sender does not run in a chroot: take one of them out"
               : capi_runner_find(runner, capi_global_conf(), p);
}

const char *capi_supervisor_check(apr_pool_t *p)
{
    capi_runner_t runner;

    return find_runner(&runner, p);
}

static bool is_ready_to_start(server_rec *s, apr_pool_t *p)
{
    const capi_global_conf_t *global = capi_global_conf();
    const char *trouble = find_runner(&now.runner, p);

    if (!trouble) {
        trouble = capi_secret_load(now.secret, global->state_dir, &now.runner, p);
    }
    if (trouble) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "PCAPI057: events cannot be kept: %s", trouble);
        return false;
    }
    return capi_queue_file_open(&now.queue, now.kept, (apr_uint64_t)global->queue_size, s, p) ==
           APR_SUCCESS;
}

static void open_parent(server_rec *s)
{
    now.parent_fd = open_pidfd(now.parent);
    if (now.parent_fd < 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, errno, s,
                     "PCAPI058: this kernel has no pidfd: after a crash of httpd's parent the "
                     "sender has to be ended by hand");
    }
}

int capi_supervisor_post_config(apr_pool_t *conf_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                                server_rec *s)
{
    bool is_first;

    (void)log_pool;
    (void)temp_pool;
    memset(&now, 0, sizeof(now));
    now.parent_fd = now.worker_fd = -1;
    if (is_rehearsal()) {
        return OK;
    }
    now.kept = find_retained(capi_is_in_use());
    if (!now.kept) {
        return OK;
    }
    now.parent = getpid();
    now.server = s;
    now.pool = conf_pool;
    is_first = now.kept->generations++ == 0;
    apr_pool_pre_cleanup_register(conf_pool, NULL, end_generation);
    adopt_retiring();
    if (!capi_is_in_use()) {
        return OK;
    }
    now.accounts = capi_conf_accounts(conf_pool);
    /* A reload must not take the shop down: without queue or sender it goes on without us. */
    if (!is_ready_to_start(s, conf_pool)) {
        return is_first ? HTTP_INTERNAL_SERVER_ERROR : OK;
    }
    open_parent(s);
    now.worker_fd = capi_queue_file_reader(now.queue, conf_pool);
    if (capi_endpoint_prepare(conf_pool) != APR_SUCCESS) {
        ap_log_error(
            APLOG_MARK, APLOG_WARNING, 0, s,
            "PCAPI047: no memory to count events of client addresses in: " CAPI_DIR_COLLECT_LIMIT
            " does not work until the next restart");
    }
    return start_sender(0) || !is_first ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

/* A worker keeps the mapping, the shared lock and the wake-up. With a descriptor that can be written
 * to, one that was taken over could cut the file, and everybody who looks at the queue would die of
 * SIGBUS: httpd's parent, too. */
void capi_supervisor_child_init(apr_pool_t *p, server_rec *s)
{
    (void)p;
    (void)s;
    if (!now.kept || getpid() == now.parent) {
        return;
    }
    if (now.parent_fd >= 0) {
        close(now.parent_fd);
        now.parent_fd = -1;
    }
    if (now.queue && now.worker_fd >= 0) {
        (void)dup3(now.worker_fd, capi_queue_fd(now.queue), O_CLOEXEC);
        close(now.worker_fd);
        now.worker_fd = -1;
    }
    if (now.queue && now.kept->queue_fd >= 0) {
        close(now.kept->queue_fd);
        now.kept->queue_fd = -1;
    }
}
