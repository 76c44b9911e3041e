/* The producers' side of the queue; queue.c has the layout and the reasons for every order here. */

#include "queue_int.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_NS 5000000
/* Contents are summed up before the lock is taken, for so many records; more are rare. */
#define SUMS_AHEAD 16

/* The last holder died. What it copied and counted but did not publish was never there. */
static void recover_lock(capi_queue_t *queue)
{
    capi_queue_shared_t *shared = queue->shared;
    uint64_t tail = atomic_load(&shared->tail);
    uint64_t head = atomic_load(&shared->head);
    uint64_t claimed = atomic_load(&shared->claimed);

    if (claimed > head && claimed - tail <= queue->size && head - tail <= queue->size) {
        capi_queue_wipe(queue, head, claimed);
    }
    if (head == atomic_load(&shared->undo_head)) {
        atomic_store(&shared->pushed, atomic_load(&shared->undo_pushed));
    }
    atomic_fetch_add(&shared->recovered_locks, 1);
    pthread_mutex_consistent(&shared->mutex);
}

/* By the clock that nobody sets, where there is such a lock; ThreadSanitizer does not know it. */
#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)
#if __GLIBC_PREREQ(2, 30)
#define HAS_CLOCKLOCK
#endif
#endif

static int lock_with_timeout(pthread_mutex_t *mutex)
{
    struct timespec until;
#ifdef HAS_CLOCKLOCK
    const clockid_t timer = CLOCK_MONOTONIC;
#else
    const clockid_t timer = CLOCK_REALTIME;
#endif

    clock_gettime(timer, &until);
    until.tv_nsec += LOCK_WAIT_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
#ifdef HAS_CLOCKLOCK
    return pthread_mutex_clocklock(mutex, timer, &until);
#else
    return pthread_mutex_timedlock(mutex, &until);
#endif
}

static bool lock(capi_queue_t *queue)
{
    capi_queue_shared_t *shared = queue->shared;
    int rv = pthread_mutex_trylock(&shared->mutex);

    if (rv == EBUSY) {
        rv = lock_with_timeout(&shared->mutex);
    }
    if (rv == EOWNERDEAD) {
        recover_lock(queue);
        rv = 0;
    }
    return rv == 0;
}

/* Where the record of `room` bytes begins that follows `position`: there, or behind a pad. */
static uint64_t start_of(const capi_queue_t *queue, uint64_t position, uint64_t room)
{
    uint64_t left = capi_queue_room_to_end(queue, position);

    return room <= left ? position : position + left;
}

static uint64_t end_of_all(const capi_queue_t *queue, uint64_t position,
                           const capi_record_t *records, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        uint64_t room = capi_queue_room_of(records[i].len);

        position = start_of(queue, position, room) + room;
    }
    return position;
}

/* Three quarters fit an empty ring wherever its head stands: the pad takes less than a quarter. */
static bool can_ever_fit(const capi_queue_t *queue, const capi_record_t *records, int count)
{
    uint64_t all = 0;
    int i;

    for (i = 0; i < count; i++) {
        if (records[i].len > queue->size / 4) {
            return false;
        }
        all += capi_queue_room_of(records[i].len);
    }
    return count > 0 && all <= queue->size / 4 * 3;
}

static void write_head(capi_queue_t *queue, uint64_t position, uint32_t kind, uint64_t len,
                       uint64_t content)
{
    capi_queue_record_head_t head = {(uint32_t)len, kind, 0};

    head.sum = capi_queue_sum_record(position, kind, head.len, content);
    memcpy(capi_queue_place_of(queue, position), &head, sizeof(head));
}

static uint64_t write_record(capi_queue_t *queue, uint64_t position, const capi_record_t *record,
                             uint64_t content)
{
    uint64_t room = capi_queue_room_of(record->len);
    uint64_t start = start_of(queue, position, room);

    if (start != position) {
        write_head(queue, position, CAPI_QUEUE_PAD,
                   start - position - sizeof(capi_queue_record_head_t), 0);
    }
    write_head(queue, start, CAPI_QUEUE_RECORD, record->len, content);
    if (record->len > 0) {
        memcpy(capi_queue_place_of(queue, start) + sizeof(capi_queue_record_head_t), record->bytes,
               record->len);
    }
    return start + room;
}

/* The order of these five is the one that recover_lock and the consumer rely on. */
static void publish(capi_queue_shared_t *shared, uint64_t end, int count)
{
    uint64_t pushed = atomic_load_explicit(&shared->pushed, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&shared->head, memory_order_relaxed);

    atomic_store_explicit(&shared->undo_pushed, pushed, memory_order_release);
    atomic_store_explicit(&shared->undo_head, head, memory_order_release);
    atomic_store_explicit(&shared->pushed, pushed + (uint64_t)count, memory_order_release);
    atomic_store(&shared->head, end);
}

/* Only in the build that tests/faults kills workers in: who holds the mutex here has copied all and
 * published nothing. */
static void hold_mutex(void)
{
#ifdef CAPI_TEST_HOLD_USEC
    usleep(CAPI_TEST_HOLD_USEC);
#endif
}

/* With the mutex held. */
static apr_status_t append(capi_queue_t *queue, const capi_record_t *records, int count,
                           capi_class_t class_of_all, const uint64_t *sums, uint64_t *end)
{
    capi_queue_shared_t *shared = queue->shared;
    uint64_t tail = atomic_load_explicit(&shared->tail, memory_order_acquire);
    uint64_t head = atomic_load_explicit(&shared->head, memory_order_relaxed);
    uint64_t limit = class_of_all == CAPI_CLASS_PAGE ? queue->size / 4 * 3 : queue->size;
    int i;

    *end = end_of_all(queue, head, records, count);
    if (*end - tail > limit || head - tail > queue->size || !capi_queue_is_aligned(head)) {
        return APR_ENOSPC;
    }
    atomic_store(&shared->claimed, *end);
    for (i = 0; i < count; i++) {
        head = write_record(
            queue, head, &records[i],
            i < SUMS_AHEAD ? sums[i] : capi_queue_sum_content(records[i].bytes, records[i].len));
    }
    hold_mutex();
    publish(shared, *end, count);
    return APR_SUCCESS;
}

static void wake_consumer(capi_queue_t *queue)
{
    const uint64_t one = 1;
    uint32_t ticket = atomic_load(&queue->shared->sleeping);

    /* A full counter fails, and is as good: it is readable. */
    if (ticket != 0 && queue->wakeup >= 0 &&
        (write(queue->wakeup, &one, sizeof(one)) == (ssize_t)sizeof(one) || errno == EAGAIN)) {
        atomic_compare_exchange_strong(&queue->shared->sleeping, &ticket, 0);
    }
}

apr_status_t capi_queue_push(capi_queue_t *queue, const capi_record_t *records, int count,
                             capi_class_t class_of_all, uint64_t *position)
{
    capi_queue_shared_t *shared = queue->shared;
    uint64_t sums[SUMS_AHEAD];
    apr_status_t rv = APR_TIMEUP;
    uint64_t end;
    int i;

    if (!can_ever_fit(queue, records, count)) {
        return APR_EINVAL;
    }
    for (i = 0; i < count && i < SUMS_AHEAD; i++) {
        sums[i] = capi_queue_sum_content(records[i].bytes, records[i].len);
    }
    if (lock(queue)) {
        rv = append(queue, records, count, class_of_all, sums, &end);
        pthread_mutex_unlock(&shared->mutex);
    }
    else {
        atomic_fetch_add(&shared->lock_timeouts, 1);
    }
    if (rv != APR_SUCCESS) {
        atomic_fetch_add(&shared->dropped[class_of_all != CAPI_CLASS_PAGE], (uint64_t)count);
        return rv;
    }
    if (position) {
        *position = end;
    }
    wake_consumer(queue);
    return APR_SUCCESS;
}
