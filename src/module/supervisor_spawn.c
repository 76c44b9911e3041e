/* From httpd's parent to a running sender: fork, leave the process group, open as root what only
 * root may open, become the sender's user, execve. Between fork and exec nothing is allocated or
 * formatted here: everything the child needs was made before. */

#include "supervisor_int.h"

#include <apr_strings.h>
#include <mpm_common.h>
#include <unixd.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

APLOG_USE_MODULE(pinterest_capi);

#define FALLBACK_PATH  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define INHERITED_MAX  4096 /* descriptors a child closes one by one where close_range is missing */
#define EXIT_NOT_BEGUN 127  /* never 15: httpd takes that for its own child's cry to stop */

/* One descriptor of the sender: inherited from the parent, or opened by the child from `path`. */
typedef struct {
    int target;
    int fd;           /* the parent's; -1: open `path` */
    const char *path; /* NULL and fd -1: stays closed */
    int flags;
    bool is_roots; /* must be root's own file, as queues are */
} descriptor_t;

/* What the child needs, made before the fork. */
typedef struct {
    const capi_spawn_t *spawn;
    descriptor_t *descriptors;
    int count;
    const char *program;
    char **argv, **envp;
    apr_pool_t *pool;
} plan_t;

/* --- the sender's user --- */

static bool find_user(capi_runner_t *runner, const char *name)
{
    const struct passwd *user =
        *name == '#' ? getpwuid((uid_t)strtoul(name + 1, NULL, 10)) : getpwnam(name);

    if (!user) {
        return false;
    }
    runner->uid = user->pw_uid;
    runner->gid = user->pw_gid;
    return true;
}

static bool find_group(capi_runner_t *runner, const char *name)
{
    const struct group *group =
        *name == '#' ? getgrgid((gid_t)strtoul(name + 1, NULL, 10)) : getgrnam(name);

    if (!group) {
        return false;
    }
    runner->gid = group->gr_gid;
    return true;
}

/* By number too: an account that has no name has no further groups either. */
static void find_groups(capi_runner_t *runner, apr_pool_t *p)
{
    const struct passwd *user = getpwuid(runner->uid);
    int room = 64;

    runner->groups = apr_palloc(p, (apr_size_t)room * sizeof(gid_t));
    runner->groups[0] = runner->gid;
    runner->group_count = 1;
    if (!user) {
        return;
    }
    runner->group_count = room;
    if (getgrouplist(user->pw_name, runner->gid, runner->groups, &runner->group_count) < 0) {
        room = runner->group_count;
        runner->groups = apr_palloc(p, (apr_size_t)room * sizeof(gid_t));
        if (getgrouplist(user->pw_name, runner->gid, runner->groups, &runner->group_count) < 0) {
            runner->groups[0] = runner->gid;
            runner->group_count = 1;
        }
    }
}

const char *capi_runner_find(capi_runner_t *runner, const capi_global_conf_t *conf, apr_pool_t *p)
{
    memset(runner, 0, sizeof(*runner));
    if (geteuid() != 0) {
        runner->is_httpd_user = true;
        runner->name = apr_psprintf(p, "#%ld", (long)geteuid());
        runner->uid = geteuid();
        runner->gid = getegid();
        return NULL;
    }
    if (!conf->user) {
        runner->is_httpd_user = true;
        runner->name = ap_unixd_config.user_name;
        runner->uid = ap_unixd_config.user_id;
        runner->gid = ap_unixd_config.group_id;
        return NULL;
    }
    runner->name = conf->user;
    if (!find_user(runner, conf->user)) {
        return apr_psprintf(p, CAPI_DIR_USER " '%s': there is no such user", conf->user);
    }
    if (conf->group && !find_group(runner, conf->group)) {
        return apr_psprintf(p, CAPI_DIR_USER ": there is no group '%s'", conf->group);
    }
    if (runner->uid == 0) {
        return CAPI_DIR_USER ": the sender does not run as root: name an ordinary user";
    }
    find_groups(runner, p);
    return NULL;
}

/* --- before the fork --- */

/* A file that can be found and looked at is opened by the child; nothing of it is read here. */
static void look_at_token(const capi_sender_account_t *account, server_rec *s)
{
    struct stat st;

    if (stat(account->token_file, &st) != 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, s,
                     "PCAPI045: the token file %s of ad account %s cannot be opened: its events "
                     "are held; put the file there and reload httpd",
                     account->token_file, account->account);
    }
    else if (!S_ISREG(st.st_mode)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "PCAPI046: the token file %s of ad account %s is no file: its events are "
                     "held; put the token into a file and reload httpd",
                     account->token_file, account->account);
    }
}

/* `text` is NULL where a path in the configuration is not UTF-8. */
static int write_config(const char *text)
{
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    size_t left = text ? strlen(text) : 0;
    int fd = text ? memfd_create("pinterest-capi", MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;

    if (!text) {
        errno = EILSEQ;
    }

    while (fd >= 0 && left > 0) {
        ssize_t done = write(fd, text, left);

        if (done <= 0) {
            close(fd);
            return -1;
        }
        text += done;
        left -= (size_t)done;
    }
    if (fd >= 0 && (lseek(fd, 0, SEEK_SET) != 0 || fcntl(fd, F_ADD_SEALS, seals) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void add_descriptor(plan_t *plan, int target, int fd, const char *path)
{
    descriptor_t *added = &plan->descriptors[plan->count++];

    added->target = target;
    added->fd = fd;
    added->path = path;
    /* A FIFO in the place of a file must not hold up the child. */
    added->flags = O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
}

/* Numbers tokens and old queues and writes the configuration that says so. */
static const char *number_descriptors(plan_t *plan)
{
    const capi_spawn_t *spawn = plan->spawn;
    const capi_global_conf_t *global = capi_global_conf();
    capi_sender_config_t config = {.state_dir = global->state_dir,
                                   .store_driver = global->store_driver,
                                   .store_params = global->store_params,
                                   .retention_days = global->retention_days,
                                   .drain_sec = CAPI_DRAIN_SEC};
    int next = CAPI_FD_FIRST;
    int i;

    config.log_level = ap_get_server_module_loglevel(spawn->server, APLOG_MODULE_INDEX);
    config.account_count = spawn->accounts->nelts;
    config.accounts =
        apr_pmemdup(plan->pool, spawn->accounts->elts,
                    (apr_size_t)spawn->accounts->nelts * sizeof(capi_sender_account_t));
    for (i = 0; i < config.account_count; i++) {
        config.accounts[i].token_fd = -1;
        if (config.accounts[i].token_file) {
            look_at_token(&config.accounts[i], spawn->server);
            config.accounts[i].token_fd = next;
            add_descriptor(plan, next++, -1, config.accounts[i].token_file);
            plan->descriptors[plan->count - 1].flags |= O_RDONLY;
        }
    }
    config.old_queue_count = spawn->old_queues->nelts;
    config.old_queue_fds =
        apr_palloc(plan->pool, sizeof(int) * (1 + (apr_size_t)config.old_queue_count));
    for (i = 0; i < config.old_queue_count; i++) {
        config.old_queue_fds[i] = next;
        add_descriptor(plan, next++, -1, APR_ARRAY_IDX(spawn->old_queues, i, const char *));
        plan->descriptors[plan->count - 1].flags |= O_RDWR | O_NOFOLLOW;
        plan->descriptors[plan->count - 1].is_roots = true;
    }
    return capi_sender_config_write(&config, plan->pool);
}

static char **make_environment(apr_pool_t *p)
{
    /* No proxy variables: PinterestCapiProxy says it, or nobody does. */
    static const char *const passed[] = {"TZ",
                                         "SSL_CERT_FILE",
                                         "SSL_CERT_DIR",
#ifdef __SANITIZE_ADDRESS__
                                         "ASAN_OPTIONS",
                                         "UBSAN_OPTIONS",
#endif
                                         NULL};
    char **envp = apr_pcalloc(p, sizeof(char *) * (2 + sizeof(passed) / sizeof(passed[0])));
    const char *path = getenv("PATH");
    int count = 0;
    int i;

    envp[count++] = apr_pstrcat(p, "PATH=", path ? path : FALLBACK_PATH, NULL);
    for (i = 0; passed[i]; i++) {
        const char *value = getenv(passed[i]);

        if (value) {
            envp[count++] = apr_pstrcat(p, passed[i], "=", value, NULL);
        }
    }
    return envp;
}

/* --- in the child --- */

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored;
}

/* httpd's handlers only set a flag, which here nobody would look at. What is ignored stays so
 * through exec: SIGPIPE. What asks the sender to stop stays blocked until it has an ear for it, or
 * a stop that comes at once would end it before it has emptied the queue. */
static void restore_signals(void)
{
    struct sigaction action;
    sigset_t mask;
    int number;

    for (number = 1; number < NSIG; number++) {
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
            action.sa_handler = SIG_DFL;
            action.sa_flags = 0;
            (void)sigaction(number, &action, NULL);
        }
    }
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
}

static int open_file(const descriptor_t *wanted)
{
    struct stat st;
    int fd = open(wanted->path, wanted->flags);

    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
                    (wanted->is_roots && st.st_uid != geteuid()))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Above every target first: the numbers the sender expects may still be httpd's own, its error_log
 * among them, which dropping privileges writes to. */
static void gather(plan_t *plan)
{
    const int above = CAPI_FD_FIRST + plan->count + 8;
    int i;

    for (i = 0; i < plan->count; i++) {
        descriptor_t *wanted = &plan->descriptors[i];
        int fd = wanted->fd;

        if (wanted->path) {
            fd = open_file(wanted);
        }
        wanted->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, above);
    }
}

static int become_runner(const capi_spawn_t *spawn, apr_pool_t *p)
{
    const capi_runner_t *runner = spawn->runner;

    if (runner->is_httpd_user) {
        return ap_run_drop_privileges(p, spawn->server) == OK ? 0 : -1;
    }
    if (setgroups((size_t)runner->group_count, runner->groups) != 0 || setgid(runner->gid) != 0 ||
        setuid(runner->uid) != 0 || setuid(0) == 0) {
        return -1;
    }
    return 0;
}

static void close_from(int first)
{
    int fd;

    if (syscall(SYS_close_range, (unsigned int)first, ~0U, 0U) == 0) {
        return;
    }
    for (fd = first; fd < INHERITED_MAX; fd++) {
        close(fd);
    }
}

static void arrange(plan_t *plan)
{
    int highest = CAPI_FD_FIRST - 1;
    int null = open("/dev/null", O_RDWR);
    int i;

    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
    }
    for (i = 0; i < plan->count; i++) {
        const descriptor_t *wanted = &plan->descriptors[i];

        if (wanted->fd < 0) {
            close(wanted->target);
        }
        else if (dup2(wanted->fd, wanted->target) < 0) {
            say("PCAPI048: the sender's descriptors cannot be arranged: it does not start\n");
            _exit(EXIT_NOT_BEGUN);
        }
        highest = wanted->target > highest ? wanted->target : highest;
    }
    close_from(highest + 1);
}

/* httpd's parent has no clock finer than ten seconds, so the child waits. It holds nothing by now
 * that anybody misses, and it goes when its parent goes or says so. */
static void pause_before_start(int seconds)
{
    struct pollfd parent = {.fd = CAPI_FD_PARENT, .events = POLLIN};
    struct timespec pause = {.tv_sec = seconds};
    sigset_t none;

    sigemptyset(&none);
    if (seconds > 0 && ppoll(&parent, 1, &pause, &none) > 0 && (parent.revents & POLLIN) != 0) {
        _exit(0);
    }
}

/* The sender lowers its priority by itself, and may raise it to an ordinary one again. Where httpd may
 * not give that, it never lowers it far. */
static void let_priority_return(void)
{
    const struct rlimit ordinary = {20, 20};

    (void)setrlimit(RLIMIT_NICE, &ordinary);
}

static void run_child(plan_t *plan) __attribute__((noreturn));

static void run_child(plan_t *plan)
{
    /* prefork signals its whole group, the last workers have not written by then. */
    (void)setpgid(0, 0);
    restore_signals();
    gather(plan);
    let_priority_return();
    if (become_runner(plan->spawn, plan->pool) != 0) {
        say("PCAPI049: the sender cannot become its user: it does not start\n");
        _exit(EXIT_NOT_BEGUN);
    }
    /* Until exec this is a copy of httpd's memory, private keys and all. */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    arrange(plan);
    (void)umask(0027);
    if (chdir("/") == 0) {
        pause_before_start(plan->spawn->pause_sec);
        execve(plan->program, plan->argv, plan->envp);
    }
    say("PCAPI050: the sender cannot be executed by its user: look at the rights of "
        "PinterestCapiSender's path and of the directories above it\n");
    _exit(EXIT_NOT_BEGUN);
}

/* --- the fork --- */

static apr_status_t fork_child(pid_t *pid, plan_t *plan)
{
    sigset_t all, before;
    pid_t child;
    int error;

    /* A signal to the child before it has its own handlers would be httpd's flag and lost. */
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    child = fork();
    if (child == 0) {
        run_child(plan);
    }
    error = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0) {
        return error;
    }
    (void)setpgid(child, child);
    *pid = child;
    return APR_SUCCESS;
}

apr_status_t capi_spawn_sender(pid_t *pid, const capi_spawn_t *spawn, apr_pool_t *p)
{
    const int room = CAPI_FD_FIRST + spawn->accounts->nelts + spawn->old_queues->nelts;
    plan_t plan = {.spawn = spawn, .program = capi_global_conf()->sender, .pool = p};
    apr_status_t rv;
    int config_fd;

    plan.descriptors = apr_pcalloc(p, (apr_size_t)room * sizeof(descriptor_t));
    plan.argv = apr_pcalloc(p, 2 * sizeof(char *));
    plan.argv[0] = apr_pstrdup(p, plan.program);
    plan.envp = make_environment(p);
    if (access(plan.program, X_OK) != 0) {
        rv = errno;
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, spawn->server,
                     "PCAPI051: the sender %s cannot be run: events wait in memory; install it, or "
                     "set " CAPI_DIR_SENDER,
                     plan.program);
        return rv;
    }
    config_fd = write_config(number_descriptors(&plan));
    add_descriptor(&plan, CAPI_FD_CONFIG, config_fd, NULL);
    add_descriptor(&plan, CAPI_FD_QUEUE, capi_queue_fd(spawn->queue), NULL);
    add_descriptor(&plan, CAPI_FD_WAKEUP, capi_queue_wakeup(spawn->queue), NULL);
    add_descriptor(&plan, CAPI_FD_PARENT, spawn->parent_fd, NULL);
    rv = config_fd < 0 ? errno : fork_child(pid, &plan);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, spawn->server,
                     "PCAPI052: the sender cannot be started: events wait in memory; the next try "
                     "is in 10 s");
    }
    if (config_fd >= 0) {
        close(config_fd);
    }
    return rv;
}
