/* A stand-in for httpd in the sender's tests: makes a queue, starts the sender as httpd's parent
 * does, and pushes records. Reads commands from standard input, answers each with one line:
 *
 *   start CONFIG ERRORLOG FILE...        pid PID      (FILEs become descriptors 7, 8, …: tokens,
 *                                                      and +FILE the queue of an earlier run)
 *   wait PID                             exit STATUS  or  signal NUMBER
 *   push N PREFIX ACCOUNT URL TEST PAD   position P   (events PREFIX-0 … with PAD bytes of filling)
 *   garbage                              position P   (a record that is no envelope)
 *   durable P MILLISECONDS               yes | no
 *   stats                                used pushed taken
 *
 * CONFIG is the file with the sender's configuration. The sender's program and what may stand
 * before it (valgrind) are this program's arguments. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "envelope.h"
#include "queue.h"
#include "sender_config.h"

#define GROUP     100 /* records a push */
#define WORDS_MAX 512
#define LINE_ROOM 65536
#define FD_SAFE   600 /* descriptors are gathered above this before they get their places */

static capi_queue_t *queue;
static apr_pool_t *pool;
static char **sender_argv;

static void die(const char *what)
{
    fprintf(stderr, "feed: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void place(int fd, int at)
{
    if (fd < 0 || dup2(fd, at) != at) {
        die("descriptor");
    }
}

/* The configuration's file on a sealed memfd. */
static int config_memfd(const char *path)
{
    static char text[1 << 20];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = file < 0 ? -1 : read(file, text, sizeof(text));
    int fd = memfd_create("config", MFD_ALLOW_SEALING);

    if (len < 0 || fd < 0 || write(fd, text, (size_t)len) != len ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        die(path);
    }
    close(file);
    return fd;
}

static int moved(int fd)
{
    int safe = fcntl(fd, F_DUPFD, FD_SAFE);

    if (safe < 0) {
        die("descriptor");
    }
    return safe;
}

/* What httpd's child does between fork and exec. */
static void become_sender(char **words, int count, int parent)
{
    static char *const environment[] = {"PATH=/usr/bin:/bin", "TZ=UTC",
                                        "ASAN_OPTIONS=detect_leaks=0:abort_on_error=1", NULL};
    const char *user = getenv("FEED_UID"); /* whose the sender is to be; both its user and group */
    int fds[WORDS_MAX];
    int i;

    fds[0] = moved(config_memfd(words[1]));
    fds[1] = moved(capi_queue_fd(queue));
    fds[2] = moved(capi_queue_wakeup(queue));
    fds[3] = moved(parent);
    for (i = 3; i < count; i++) {
        bool is_queue = words[i][0] == '+';

        fds[i + 1] = moved(open(words[i] + is_queue, is_queue ? O_RDWR : O_RDONLY));
    }
    place(open(words[2], O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
    place(open("/dev/null", O_RDWR), STDIN_FILENO);
    place(STDERR_FILENO, STDOUT_FILENO);
    for (i = 0; i <= count; i++) {
        place(fds[i], CAPI_FD_CONFIG + i);
        close(fds[i]);
    }
    if (getenv("FEED_NO_PARENT")) { /* as on a kernel without pidfd */
        close(CAPI_FD_PARENT);
    }
    setpgid(0, 0);
    if (user && (setgroups(0, NULL) != 0 || setgid((gid_t)atoi(user)) != 0 ||
                 setuid((uid_t)atoi(user)) != 0)) {
        die("user");
    }
    execve(sender_argv[0], sender_argv, environment);
    die(sender_argv[0]);
}

static void start(char **words, int count)
{
    int parent = (int)syscall(SYS_pidfd_open, getpid(), 0);
    pid_t pid = fork();

    if (pid < 0 || parent < 0) {
        die("fork");
    }
    if (pid == 0) {
        become_sender(words, count, parent);
    }
    close(parent);
    printf("pid %ld\n", (long)pid);
}

static void wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            die("wait");
        }
    }
    if (WIFSIGNALED(status)) {
        printf("signal %d\n", WTERMSIG(status));
    }
    else {
        printf("exit %d\n", WEXITSTATUS(status));
    }
}

/* One envelope with one event, as the backend endpoint would make it. */
static void encode(capi_record_t *record, char **words, const char *id, apr_pool_t *p)
{
    apr_time_t now = apr_time_now();
    char *pad = apr_pcalloc(p, (apr_size_t)atoi(words[6]) + 1);
    capi_envelope_event_t event = {.source = CAPI_SOURCE_BACKEND,
                                   .name = "checkout",
                                   .sent_as = "checkout",
                                   .event_id = id,
                                   .is_named = true,
                                   .keys = CAPI_KEY_BIT(CAPI_KEY_EM),
                                   .event_time = apr_time_sec(now)};
    capi_envelope_t envelope = {
        .settings = {.account = words[3],
                     .api_url = words[4],
                     .test = atoi(words[5]) != 0,
                     .wire = CAPI_WIRE_V5,
                     .merge_window_sec = 0,
                     .max_age_sec = 604800,
                     .on_denied = "suppress"},
        .received_at = now,
        .consent = {.state = CAPI_CONSENT_GRANTED, .signal = "backend", .decided_at = now},
        .event_count = 1,
        .events = &event};

    memset(pad, 'x', (size_t)atoi(words[6]));
    event.json = apr_psprintf(
        p,
        "{\"event_name\":\"checkout\",\"action_source\":\"web\",\"event_time\":%" APR_INT64_T_FMT
        ",\"event_id\":\"%s\",\"user_data\":{\"em\":[\"836f82db99121b3481011f16b49dfa5fbc714a0d1b1"
        "b9f784a1ebbbf5b39577f\"]},\"custom_data\":{\"search_string\":\"%s\"}}",
        event.event_time, id, pad);
    event.json_len = strlen(event.json);
    capi_envelope_encode(record, &envelope, p);
}

/* A full queue is waited for: this is a test of the sender, not of the queue. */
static void push_group(const capi_record_t *records, int count, uint64_t *position)
{
    apr_status_t rv = capi_queue_push(queue, records, count, CAPI_CLASS_CONVERSION, position);

    while (rv == APR_ENOSPC || rv == APR_TIMEUP) {
        apr_sleep(apr_time_from_msec(5));
        rv = capi_queue_push(queue, records, count, CAPI_CLASS_CONVERSION, position);
    }
    if (rv != APR_SUCCESS) {
        die("push");
    }
}

static void push(char **words)
{
    int total = atoi(words[1]);
    uint64_t position = 0;
    apr_pool_t *p;
    int i, j;

    apr_pool_create(&p, pool);
    for (i = 0; i < total; i += GROUP) {
        capi_record_t records[GROUP];

        apr_pool_clear(p);
        for (j = 0; j < GROUP && i + j < total; j++) {
            encode(&records[j], words, apr_psprintf(p, "%s-%d", words[2], i + j), p);
        }
        push_group(records, j, &position);
    }
    apr_pool_destroy(p);
    printf("position %llu\n", (unsigned long long)position);
}

static void push_garbage(void)
{
    capi_record_t record = {"\377\376 this is no envelope", 22};
    uint64_t position = 0;

    push_group(&record, 1, &position);
    printf("position %llu\n", (unsigned long long)position);
}

static void print_stats(void)
{
    capi_queue_stats_t stats;

    capi_queue_stats(queue, &stats);
    printf("%llu %llu %llu\n", (unsigned long long)stats.used, (unsigned long long)stats.pushed,
           (unsigned long long)stats.taken);
}

static void obey(char **words, int count)
{
    if (strcmp(words[0], "start") == 0 && count >= 3) {
        start(words, count);
    }
    else if (strcmp(words[0], "wait") == 0 && count == 2) {
        wait_for((pid_t)atol(words[1]));
    }
    else if (strcmp(words[0], "push") == 0 && count == 7) {
        push(words);
    }
    else if (strcmp(words[0], "garbage") == 0) {
        push_garbage();
    }
    else if (strcmp(words[0], "durable") == 0 && count == 3) {
        apr_status_t rv = capi_queue_wait_durable(queue, strtoull(words[1], NULL, 10),
                                                  apr_time_from_msec(atoi(words[2])));

        puts(rv == APR_SUCCESS ? "yes" : "no");
    }
    else if (strcmp(words[0], "stats") == 0) {
        print_stats();
    }
    else {
        die("unknown command");
    }
    fflush(stdout);
}

int main(int argc, char *argv[])
{
    static char line[LINE_ROOM];

    if (argc < 4 || apr_initialize() != APR_SUCCESS) {
        fprintf(stderr, "usage: feed QUEUEFILE BYTES SENDER [ARGUMENTS]\n");
        return 2;
    }
    apr_pool_create(&pool, NULL);
    sender_argv = argv + 3;
    if (capi_queue_create(&queue, argv[1], strtoull(argv[2], NULL, 10), pool) != APR_SUCCESS) {
        die("queue");
    }
    while (fgets(line, sizeof(line), stdin)) {
        char *words[WORDS_MAX] = {0};
        char *rest = NULL;
        int count = 0;

        words[0] = strtok_r(line, " \n", &rest);
        while (words[count] && count < WORDS_MAX - 1) {
            words[++count] = strtok_r(NULL, " \n", &rest);
        }
        if (count > 0) {
            obey(words, count);
        }
    }
    return 0;
}
