#ifndef CAPI_SUPERVISOR_INT_H
#define CAPI_SUPERVISOR_INT_H

/* What the files of the supervisor share; nobody else includes this but the events endpoint, which
 * takes its turn on the board. */

#include "ident.h"
#include "module.h"
#include "sender_config.h"

#include <limits.h>
#include <stdatomic.h>
#include <sys/types.h>

/* How long a stop may take: far below the 90 s after which systemd kills what is left. */
#define CAPI_DRAIN_SEC 20

/* Reloads that come faster than the old sender's last batch; more than this many are killed. */
#define CAPI_RETIRING_MAX 8

/* Requests of the backend that may wait for the disk at one time, in all workers together. */
#define CAPI_WAITING_MAX 8

/* Who the sender runs as, looked up before any fork. */
typedef struct {
    bool is_httpd_user; /* the server's own: mod_unixd knows how to become it */
    const char *name;
    uid_t uid;
    gid_t gid;
    int group_count;
    gid_t *groups;
} capi_runner_t;

typedef enum { CAPI_SENDER_STOPPED, CAPI_SENDER_RUNNING, CAPI_SENDER_RESTARTING } capi_running_t;

/* One shared page, the same for the workers of all generations. The parent writes the first four
 * fields and never reads them back: a worker could have written there. */
typedef struct {
    _Atomic int64_t pid;
    _Atomic int64_t started;
    _Atomic int64_t restarts;
    _Atomic int64_t running;                   /* capi_running_t */
    _Atomic int64_t waiting[CAPI_WAITING_MAX]; /* turns at the disk: when each runs out */
    _Atomic int64_t counted[CAPI_COUNT_KINDS]; /* since httpd started */
} capi_board_t;

typedef struct {
    pid_t pid;
    apr_time_t since;
} capi_retiring_t;

/* What outlives a restart: plain data, no pointer into our code or a configuration's pool. */
typedef struct {
    apr_size_t size; /* of this struct: another version of the module does not touch it */
    int generations;
    capi_board_t *board;
    int queue_fd, wakeup_fd; /* -1: none. The descriptors hold the queue's shared lock. */
    apr_uint64_t queue_size; /* as configured when the file was made */
    char queue_path[PATH_MAX];
    pid_t sender; /* 0: none runs */
    apr_time_t started;
    uint64_t durable_at_start;
    int early_deaths;
    apr_int64_t restarts;
    capi_retiring_t retiring[CAPI_RETIRING_MAX];
} capi_retained_t;

/* The board of this server; NULL where the module is not in use. */
capi_board_t *capi_supervisor_board(void);

/* --- secret.c --- */

/* Makes the state directory and the key in it where they are missing, and reads the key. Returns
 * what is wrong in a sentence that ends with the mend, or NULL. */
const char *capi_secret_load(unsigned char secret[CAPI_SECRET_LEN], const char *state_dir,
                             const capi_runner_t *runner, apr_pool_t *p);

/* --- supervisor_queue.c: the files `queue.<n>` --- */

/* Maps the queue that earlier generations used, or makes a new one. */
apr_status_t capi_queue_file_open(capi_queue_t **queue, capi_retained_t *kept, apr_uint64_t size,
                                  server_rec *s, apr_pool_t *p);

/* A descriptor of its own that shares the queue's lock and can only be read; -1 where there is none to
 * be had. Closing it drops the parent's mark, which the next capi_queue_file_open sets again. */
int capi_queue_file_reader(const capi_queue_t *queue, apr_pool_t *p);

/* Unlinks what is finished and returns the paths (const char *) of other queues that still may hold
 * records, oldest first. A queue whose httpd lives is not among them. */
apr_array_header_t *capi_queue_files_left(const capi_retained_t *kept, server_rec *s, bool is_loud,
                                          apr_pool_t *p);

/* At the end: unlinks the current queue where it is empty; else says what is left in it. */
void capi_queue_file_end(capi_retained_t *kept, capi_queue_t *queue, server_rec *s);

/* --- supervisor_spawn.c --- */

/* Finds the sender's user. Returns what is wrong in a sentence, or NULL. */
const char *capi_runner_find(capi_runner_t *runner, const capi_global_conf_t *conf, apr_pool_t *p);

typedef struct {
    server_rec *server;
    const capi_runner_t *runner;
    const apr_array_header_t *accounts;   /* capi_sender_account_t */
    const apr_array_header_t *old_queues; /* const char * */
    const capi_queue_t *queue;
    int parent_fd; /* pidfd of httpd's parent, -1: the kernel has none */
    int pause_sec; /* the child waits this long before it becomes the sender */
} capi_spawn_t;

/* Starts the sender. The pool may be destroyed when this returns. */
apr_status_t capi_spawn_sender(pid_t *pid, const capi_spawn_t *spawn, apr_pool_t *p);

#endif
