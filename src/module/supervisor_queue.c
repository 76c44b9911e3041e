/* The files `queue.<n>` in httpd's runtime directory: which is ours, which a crash left behind, and
 * which may go. Only root can write in that directory, so the sender marks what it drained and the
 * parent unlinks it. */

#include "supervisor_int.h"

#include <apr_strings.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

APLOG_USE_MODULE(pinterest_capi);

#define FILE_PREFIX "queue."
#define FILES_MAX   16 /* leftovers handed to one sender; the rest has its turn after a restart */

/* The parent holds a POSIX record lock on its queue beside the flock that all its children share:
 * it dies with the parent alone, so two servers in one runtime directory leave each other's be. */
static void mark_as_ours(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    (void)fcntl(fd, F_SETLK, &lock);
}

static bool is_another_servers(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static const char *runtime_directory(apr_pool_t *p)
{
    char *path = ap_runtime_dir_relative(p, FILE_PREFIX "0");
    char *slash = path ? strrchr(path, '/') : NULL;

    if (!slash) {
        return NULL;
    }
    *slash = '\0';
    return path;
}

/* The number of a queue's file name, 0 where it is none. */
static long file_number(const char *name)
{
    char *end = NULL;
    long number;

    if (strncmp(name, FILE_PREFIX, strlen(FILE_PREFIX)) != 0) {
        return 0;
    }
    name += strlen(FILE_PREFIX);
    if (*name < '1' || *name > '9') {
        return 0;
    }
    errno = 0;
    number = strtol(name, &end, 10);
    return errno == 0 && *end == '\0' && number < LONG_MAX ? number : 0;
}

static int by_number(const void *left, const void *right)
{
    long a = *(const long *)left;
    long b = *(const long *)right;

    return (a > b) - (a < b);
}

static apr_array_header_t *list_numbers(const char *directory, apr_pool_t *p)
{
    apr_array_header_t *numbers = apr_array_make(p, 4, sizeof(long));
    apr_finfo_t entry;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, directory, p) != APR_SUCCESS) {
        return numbers;
    }
    while (apr_dir_read(&entry, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        long number = file_number(entry.name);

        if (number > 0) {
            APR_ARRAY_PUSH(numbers, long) = number;
        }
    }
    apr_dir_close(dir);
    qsort(numbers->elts, (size_t)numbers->nelts, sizeof(long), by_number);
    return numbers;
}

static apr_status_t keep(capi_retained_t *kept, const capi_queue_t *queue, const char *path,
                         apr_uint64_t size)
{
    kept->queue_fd = fcntl(capi_queue_fd(queue), F_DUPFD_CLOEXEC, 0);
    kept->wakeup_fd = fcntl(capi_queue_wakeup(queue), F_DUPFD_CLOEXEC, 0);
    if (kept->queue_fd < 0 || kept->wakeup_fd < 0) {
        return errno;
    }
    kept->queue_size = size;
    apr_cpystrn(kept->queue_path, path, sizeof(kept->queue_path));
    mark_as_ours(kept->queue_fd);
    return APR_SUCCESS;
}

/* Our descriptors go; old workers keep theirs, and with them the lock, until they end. */
static void forget(capi_retained_t *kept)
{
    close(kept->queue_fd);
    close(kept->wakeup_fd);
    kept->queue_fd = kept->wakeup_fd = -1;
    kept->queue_path[0] = '\0';
}

static int open_leftover(const char *path)
{
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
                    is_another_servers(fd))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool is_of_size(const capi_queue_t *queue, apr_uint64_t size)
{
    capi_queue_stats_t stats;

    capi_queue_stats(queue, &stats);
    return stats.size >= size && stats.size - size < (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A crash may have left a queue and no room for another beside it: that one is taken over, records
 * and all. */
static bool take_over(capi_queue_t **queue, capi_retained_t *kept, apr_uint64_t size,
                      const char *directory, apr_pool_t *p)
{
    const apr_array_header_t *numbers = list_numbers(directory, p);
    int i;

    for (i = 0; i < numbers->nelts; i++) {
        const char *path =
            apr_psprintf(p, "%s/" FILE_PREFIX "%ld", directory, APR_ARRAY_IDX(numbers, i, long));
        int fd = open_leftover(path);

        if (fd < 0 || capi_queue_attach(queue, fd, p) != APR_SUCCESS) {
            continue;
        }
        if (is_of_size(*queue, size) && !capi_queue_is_finished(*queue) &&
            capi_queue_adopt(*queue) == APR_SUCCESS &&
            keep(kept, *queue, path, size) == APR_SUCCESS) {
            return true;
        }
        capi_queue_close(*queue);
    }
    return false;
}

static apr_status_t create(capi_queue_t **queue, capi_retained_t *kept, apr_uint64_t size,
                           server_rec *s, apr_pool_t *p)
{
    const char *directory = runtime_directory(p);
    const char *path = "(no runtime directory)";
    apr_array_header_t *numbers;
    apr_status_t rv = APR_ENOENT;
    long number = 1;
    int tries;

    if (directory) {
        /* What is finished goes first: it may be all the room there is. */
        (void)capi_queue_files_left(kept, s, false, p);
        numbers = list_numbers(directory, p);
        if (numbers->nelts > 0) {
            number = APR_ARRAY_IDX(numbers, numbers->nelts - 1, long) + 1;
        }
        rv = APR_EEXIST;
        for (tries = 0; APR_STATUS_IS_EEXIST(rv) && tries < 100; tries++) {
            path = apr_psprintf(p, "%s/" FILE_PREFIX "%ld", directory, number++);
            rv = strlen(path) < sizeof(kept->queue_path) ? capi_queue_create(queue, path, size, p)
                                                         : APR_ENAMETOOLONG;
        }
    }
    if (APR_STATUS_IS_ENOSPC(rv) && take_over(queue, kept, size, directory, p)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "PCAPI059: there is no room for another queue in %s: this server goes on with "
                     "%s, which an earlier one left",
                     directory, kept->queue_path);
        return APR_SUCCESS;
    }
    if (rv == APR_SUCCESS) {
        rv = keep(kept, *queue, path, size);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     "PCAPI040: the queue %s of %" APR_UINT64_T_FMT
                     " bytes cannot be made: no event is kept; make room there, or set "
                     "DefaultRuntimeDir or " CAPI_DIR_QUEUE_SIZE,
                     path, size);
    }
    return rv;
}

static apr_status_t attach(capi_queue_t **queue, const capi_retained_t *kept, apr_pool_t *p)
{
    int fd = fcntl(kept->queue_fd, F_DUPFD_CLOEXEC, 0);
    apr_status_t rv;

    if (fd < 0) {
        return errno;
    }
    rv = capi_queue_attach(queue, fd, p);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    capi_queue_set_wakeup(*queue, kept->wakeup_fd);
    mark_as_ours(kept->queue_fd);
    return APR_SUCCESS;
}

apr_status_t capi_queue_file_open(capi_queue_t **queue, capi_retained_t *kept, apr_uint64_t size,
                                  server_rec *s, apr_pool_t *p)
{
    if (kept->queue_fd >= 0) {
        if (kept->queue_size == size && attach(queue, kept, p) == APR_SUCCESS) {
            return APR_SUCCESS;
        }
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "PCAPI041: the queue's size or layout changed: a new file follows %s, which "
                     "is drained as soon as its last worker has ended",
                     kept->queue_path);
        forget(kept);
    }
    return create(queue, kept, size, s, p);
}

int capi_queue_file_reader(const capi_queue_t *queue, apr_pool_t *p)
{
    const char *path = apr_psprintf(p, "/proc/self/fd/%d", capi_queue_fd(queue));
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* True where the file may still hold records for a sender. */
static bool is_wanted(const char *path, server_rec *s, bool is_loud, apr_pool_t *p)
{
    capi_queue_t *queue;
    apr_status_t rv;
    bool is_finished;
    int fd = open_leftover(path);

    if (fd < 0) {
        return false;
    }
    rv = capi_queue_attach(&queue, fd, p);
    if (rv != APR_SUCCESS) {
        if (is_loud) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                         "PCAPI042: %s is not a queue of this version: what is in it stays there; "
                         "remove the file when nobody needs it",
                         path);
        }
        return false;
    }
    is_finished = capi_queue_is_finished(queue);
    capi_queue_close(queue);
    if (is_finished && unlink(path) != 0 && errno != ENOENT && is_loud) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, errno, s,
                     "PCAPI043: the drained queue %s cannot be removed: remove it by hand", path);
    }
    return !is_finished;
}

apr_array_header_t *capi_queue_files_left(const capi_retained_t *kept, server_rec *s, bool is_loud,
                                          apr_pool_t *p)
{
    apr_array_header_t *paths = apr_array_make(p, 2, sizeof(const char *));
    const char *directory = runtime_directory(p);
    apr_array_header_t *numbers;
    int i;

    if (!directory) {
        return paths;
    }
    numbers = list_numbers(directory, p);
    for (i = 0; i < numbers->nelts && paths->nelts < FILES_MAX; i++) {
        const char *path =
            apr_psprintf(p, "%s/" FILE_PREFIX "%ld", directory, APR_ARRAY_IDX(numbers, i, long));

        if (strcmp(path, kept->queue_path) != 0 && is_wanted(path, s, is_loud, p)) {
            APR_ARRAY_PUSH(paths, const char *) = path;
        }
    }
    return paths;
}

void capi_queue_file_end(capi_retained_t *kept, capi_queue_t *queue, server_rec *s)
{
    capi_queue_stats_t stats;

    capi_queue_stats(queue, &stats);
    if (stats.used == 0) {
        unlink(kept->queue_path);
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "PCAPI044: %" APR_UINT64_T_FMT " records wait in %s: the next start goes on with "
                 "them, unless the machine restarts before",
                 (apr_uint64_t)(stats.pushed - stats.taken), kept->queue_path);
}
