/* The queue in shared memory: its file and mapping here, the producers in queue_push.c, the consumer
 * in queue_take.c.
 *
 *   one page                                ring of `size` bytes
 *  +----------------------------------+----------------------------------------------------------+
 *  | magic layout … size              |  free  |rec|record |rec|  record  |        free            |
 *  +----------------------------------+----------------------------------------------------------+
 *                                               ^       ^              ^
 *                                               tail    durable        head
 *
 *  record:  len 4 | kind 4 | checksum 8 | len bytes | up to the next multiple of 16
 *  pad:     the same without use: a record never wraps, so that it can be read where it lies
 *
 *  field                                   written by
 *  magic … size                            the maker, magic last; never again
 *  head pushed undo_head undo_pushed       whoever holds the mutex
 *  claimed recovered_locks                 whoever holds the mutex
 *  ring, from head on                      whoever holds the mutex
 *  tail durable taken undo_* steps sleeps  the consumer
 *  ring, from tail to durable              the consumer, which wipes it
 *  finished                                the consumer
 *  sleeping                                the consumer; a producer may turn its ticket into 0
 *  dropped lock_timeouts noticed           everybody, by atomic addition
 *  complaint complained_at                 whoever made complaint_step odd
 *
 * Positions only grow; a place in the ring is its position modulo size. These orders carry what
 * the queue promises when a process is killed between any two instructions:
 *
 * - The head moves last, once for all records of a push: what a killed producer copied lies behind
 *   the head, where the next one overwrites it. The mutex is robust, so there is a next one.
 * - Durable moves before the bytes are wiped and the tail moves after. A consumer that is killed in
 *   between is followed by one that starts at durable and finishes the wiping: no record is seen
 *   again once its release began, none is wiped that was not on disk, and no producer writes where
 *   a wipe goes on.
 * - pushed and taken move just before head and durable. undo_* hold what both were before, so that
 *   the next one can tell whether the second step came, and takes the first one back if not.
 * - Claimed moves before the copying begins, so that the next holder can wipe what a killed one
 *   copied and did not publish.
 *
 * Sleep: the consumer writes a ticket into `sleeping`, then looks at head; a producer moves head,
 * then looks at `sleeping`. All four are sequentially consistent, so at least one of them sees the
 * other. The producer first writes the eventfd, then clears that very ticket: a producer killed
 * between leaves the ticket for the next, and a slow one cannot clear a later announcement.
 *
 * The checksum covers position, kind, length and content: a record of an earlier round that comes
 * to light in the same place is not taken for a new one. */

#include "queue_int.h"

#include <apr_siphash.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A quarter of the ring must fit the 32 bits of a record's length. */
#define SIZE_MAX_RING (UINT64_C(1) << 33)
/* A snapshot is only torn while the consumer releases, once a batch. */
#define SNAPSHOT_TRIES 1000

static const unsigned char sum_key[APR_SIPHASH_KSIZE] = "capi queue, sum";

bool capi_queue_snapshot(capi_queue_snapshot_t *at, const capi_queue_t *queue)
{
    const capi_queue_shared_t *shared = queue->shared;
    int tries;

    for (tries = 0; tries < SNAPSHOT_TRIES; tries++) {
        at->tail = atomic_load(&shared->tail);
        at->durable = atomic_load(&shared->durable);
        at->head = atomic_load(&shared->head);
        if (atomic_load(&shared->tail) == at->tail) {
            return at->tail <= at->durable && at->durable <= at->head &&
                   at->head - at->tail <= queue->size && capi_queue_is_aligned(at->tail) &&
                   capi_queue_is_aligned(at->durable) && capi_queue_is_aligned(at->head);
        }
    }
    return false;
}

static bool is_queue(const capi_queue_t *queue, uint64_t file_len)
{
    const capi_queue_shared_t *shared = queue->shared;
    capi_queue_snapshot_t at;

    return atomic_load(&shared->magic) == CAPI_QUEUE_MAGIC && shared->layout == CAPI_QUEUE_LAYOUT &&
           shared->header_len == CAPI_QUEUE_HEADER_LEN &&
           shared->mutex_len == sizeof(pthread_mutex_t) && shared->align == CAPI_QUEUE_ALIGN &&
           shared->size == queue->size && capi_queue_is_aligned(queue->size) &&
           queue->size == file_len - CAPI_QUEUE_HEADER_LEN && capi_queue_snapshot(&at, queue);
}

static apr_status_t map_file(capi_queue_t *queue, int fd, uint64_t size)
{
    char *base =
        mmap(NULL, CAPI_QUEUE_HEADER_LEN + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (base == MAP_FAILED) {
        return errno;
    }
    queue->shared = (capi_queue_shared_t *)base;
    queue->ring = base + CAPI_QUEUE_HEADER_LEN;
    queue->size = size;
    queue->fd = fd;
    queue->wakeup = -1;
    return APR_SUCCESS;
}

static apr_status_t init_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    apr_status_t rv = pthread_mutexattr_init(&attributes);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (rv == APR_SUCCESS) {
        rv = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    }
    if (rv == APR_SUCCESS) {
        rv = pthread_mutex_init(mutex, &attributes);
    }
    pthread_mutexattr_destroy(&attributes);
    return rv;
}

static apr_status_t make_wakeup(capi_queue_t *queue)
{
    queue->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->wakeup < 0) {
        return errno;
    }
    queue->owns_wakeup = true;
    return APR_SUCCESS;
}

/* The file is new, so all else in it is 0. */
static apr_status_t fill_header(capi_queue_t *queue)
{
    capi_queue_shared_t *shared = queue->shared;
    apr_status_t rv = init_mutex(&shared->mutex);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = make_wakeup(queue);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    shared->layout = CAPI_QUEUE_LAYOUT;
    shared->header_len = CAPI_QUEUE_HEADER_LEN;
    shared->mutex_len = sizeof(pthread_mutex_t);
    shared->align = CAPI_QUEUE_ALIGN;
    shared->size = queue->size;
    atomic_store(&shared->magic, CAPI_QUEUE_MAGIC);
    return APR_SUCCESS;
}

/* A sparse file would kill its writer by SIGBUS once the disk is full: the space comes first. */
static apr_status_t fill_file(capi_queue_t *queue, int fd, uint64_t size)
{
    apr_status_t rv;

    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        return errno;
    }
    rv = posix_fallocate(fd, 0, (off_t)(CAPI_QUEUE_HEADER_LEN + size));
    if (rv == APR_SUCCESS) {
        rv = map_file(queue, fd, size);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = fill_header(queue);
    if (rv != APR_SUCCESS) {
        munmap(queue->shared, CAPI_QUEUE_HEADER_LEN + size);
    }
    return rv;
}

apr_status_t capi_queue_create(capi_queue_t **queue, const char *path, apr_uint64_t size,
                               apr_pool_t *p)
{
    capi_queue_t *made = apr_pcalloc(p, sizeof(*made));
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    apr_status_t rv;
    int fd;

    if (size < CAPI_QUEUE_MIN || size > SIZE_MAX_RING) {
        return APR_EINVAL;
    }
    made->pool = p;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return errno;
    }
    rv = fill_file(made, fd, (size + page - 1) / page * page);
    if (rv != APR_SUCCESS) {
        close(fd);
        unlink(path);
        return rv;
    }
    *queue = made;
    return APR_SUCCESS;
}

apr_status_t capi_queue_attach(capi_queue_t **queue, int fd, apr_pool_t *p)
{
    capi_queue_t *found = apr_pcalloc(p, sizeof(*found));
    struct stat st;
    apr_status_t rv = APR_EINVAL;
    uint64_t file_len;

    found->pool = p;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size >= CAPI_QUEUE_HEADER_LEN + CAPI_QUEUE_MIN &&
        (uint64_t)st.st_size <= CAPI_QUEUE_HEADER_LEN + SIZE_MAX_RING) {
        file_len = (uint64_t)st.st_size;
        rv = map_file(found, fd, file_len - CAPI_QUEUE_HEADER_LEN);
        if (rv == APR_SUCCESS && !is_queue(found, file_len)) {
            munmap(found->shared, file_len);
            rv = APR_EINVAL;
        }
    }
    if (rv != APR_SUCCESS) {
        close(fd);
        return rv;
    }
    *queue = found;
    return APR_SUCCESS;
}

apr_status_t capi_queue_adopt(capi_queue_t *queue)
{
    if (flock(queue->fd, LOCK_EX | LOCK_NB) != 0 || flock(queue->fd, LOCK_SH | LOCK_NB) != 0) {
        return errno;
    }
    return make_wakeup(queue);
}

void capi_queue_close(capi_queue_t *queue)
{
    munmap(queue->shared, CAPI_QUEUE_HEADER_LEN + queue->size);
    close(queue->fd);
    if (queue->owns_wakeup) {
        close(queue->wakeup);
    }
}

int capi_queue_fd(const capi_queue_t *queue)
{
    return queue->fd;
}

int capi_queue_wakeup(const capi_queue_t *queue)
{
    return queue->wakeup;
}

void capi_queue_set_wakeup(capi_queue_t *queue, int fd)
{
    if (queue->owns_wakeup) {
        close(queue->wakeup);
        queue->owns_wakeup = false;
    }
    queue->wakeup = fd;
}

uint64_t capi_queue_sum_content(const void *bytes, apr_size_t len)
{
    return apr_siphash24(bytes, len, sum_key);
}

uint64_t capi_queue_sum_record(uint64_t position, uint32_t kind, uint32_t len, uint64_t content)
{
    uint64_t covered[3] = {position, (uint64_t)kind << 32 | len, content};

    return apr_siphash24(covered, sizeof(covered), sum_key);
}

/* Plain memset: no compiler may drop what other processes see, and ThreadSanitizer watches it. */
void capi_queue_wipe(const capi_queue_t *queue, uint64_t from, uint64_t to)
{
    uint64_t before_end = capi_queue_room_to_end(queue, from);
    uint64_t len = to - from;

    if (len > before_end) {
        memset(queue->ring, 0, len - before_end);
        len = before_end;
    }
    memset(capi_queue_place_of(queue, from), 0, len);
}

bool capi_queue_is_abandoned(capi_queue_t *queue)
{
    if (flock(queue->fd, LOCK_EX | LOCK_NB) != 0) {
        return false;
    }
    /* Nobody can come back to it, and another sender may ask the same question. */
    flock(queue->fd, LOCK_UN);
    return true;
}

void capi_queue_set_finished(capi_queue_t *queue)
{
    atomic_store(&queue->shared->finished, 1);
}

bool capi_queue_is_finished(const capi_queue_t *queue)
{
    return atomic_load(&queue->shared->finished) != 0;
}

void capi_queue_stats(const capi_queue_t *queue, capi_queue_stats_t *stats)
{
    const capi_queue_shared_t *shared = queue->shared;
    capi_queue_snapshot_t at;

    capi_queue_snapshot(&at, queue);
    stats->size = queue->size;
    stats->used = at.head - at.tail;
    /* In this order: what was taken had been pushed. */
    stats->taken = atomic_load(&shared->taken);
    stats->pushed = atomic_load(&shared->pushed);
    stats->dropped_page = atomic_load(&shared->dropped[0]);
    stats->dropped_conversion = atomic_load(&shared->dropped[1]);
    stats->lock_timeouts = atomic_load(&shared->lock_timeouts);
    stats->recovered_locks = atomic_load(&shared->recovered_locks);
    stats->head = at.head;
    stats->tail = at.tail;
    stats->durable = at.durable;
}
