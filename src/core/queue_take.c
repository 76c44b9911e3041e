/* The consumer's side of the queue, and those who wait for it; queue.c has the layout and the
 * reasons for every order here. */

#include "queue_int.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wake_waiters(capi_queue_shared_t *shared)
{
    atomic_fetch_add(&shared->durable_steps, 1);
    syscall(SYS_futex, &shared->durable_steps, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* What is durable needs no room any more. */
static void give_back(capi_queue_t *queue, uint64_t tail, uint64_t durable)
{
    capi_queue_wipe(queue, tail, durable);
    atomic_store_explicit(&queue->shared->tail, durable, memory_order_release);
}

/* Ends the release that a killed consumer began. */
static void recover_release(capi_queue_t *queue)
{
    capi_queue_shared_t *shared = queue->shared;
    capi_queue_snapshot_t at;

    queue->has_recovered = true;
    if (!capi_queue_snapshot(&at, queue)) {
        return;
    }
    if (at.durable == atomic_load(&shared->undo_durable)) {
        atomic_store(&shared->taken, atomic_load(&shared->undo_taken));
    }
    if (at.tail != at.durable) {
        wake_waiters(shared);
        give_back(queue, at.tail, at.durable);
    }
}

/* The head of the record or pad at `position`, and where the next one begins. False where it
 * cannot be one: its length leads past `end` or past the ring. */
static bool read_head(const capi_queue_t *queue, uint64_t position, uint64_t end,
                      capi_queue_record_head_t *head, uint64_t *next)
{
    uint64_t left = capi_queue_room_to_end(queue, position);
    uint64_t room;

    memcpy(head, capi_queue_place_of(queue, position), sizeof(*head));
    room = capi_queue_room_of(head->len);
    *next = position + room;
    if (room > left || room > end - position) {
        return false;
    }
    return head->kind == CAPI_QUEUE_RECORD ||
           (head->kind == CAPI_QUEUE_PAD && room == left &&
            head->sum == capi_queue_sum_record(position, CAPI_QUEUE_PAD, head->len, 0));
}

/* A worker that was taken over could change a record between check and use, so both see a copy. */
static const char *copy_content(capi_queue_t *queue, const char *content, apr_size_t len)
{
    if (len > queue->copy_room) {
        queue->copy_room = 2 * len;
        queue->copy = apr_palloc(queue->pool, queue->copy_room);
    }
    if (len > 0) {
        memcpy(queue->copy, content, len);
    }
    return queue->copy;
}

apr_status_t capi_queue_peek(capi_queue_t *queue, uint64_t *cursor, const void **bytes,
                             apr_size_t *len)
{
    capi_queue_record_head_t head;
    uint64_t durable;
    uint64_t end;
    uint64_t start;
    uint64_t next;
    const char *content;

    if (!queue->has_recovered) {
        recover_release(queue);
    }
    durable = atomic_load_explicit(&queue->shared->durable, memory_order_relaxed);
    end = atomic_load_explicit(&queue->shared->head, memory_order_acquire);
    if (*cursor < durable) {
        *cursor = durable;
    }
    do {
        if (end <= *cursor || end - *cursor > queue->size ||
            !capi_queue_is_aligned(*cursor | end)) {
            return APR_EOF;
        }
        if (!read_head(queue, *cursor, end, &head, &next)) {
            *cursor = end;
            return APR_EGENERAL;
        }
        start = *cursor;
        *cursor = next;
    } while (head.kind == CAPI_QUEUE_PAD);
    content = copy_content(queue, capi_queue_place_of(queue, start) + sizeof(head), head.len);
    if (head.sum != capi_queue_sum_record(start, head.kind, head.len,
                                          capi_queue_sum_content(content, head.len))) {
        return APR_EGENERAL;
    }
    *bytes = content;
    *len = head.len;
    return APR_SUCCESS;
}

static uint64_t count_records(const capi_queue_t *queue, uint64_t from, uint64_t to)
{
    capi_queue_record_head_t head;
    uint64_t count = 0;
    uint64_t next;

    while (from < to && read_head(queue, from, to, &head, &next)) {
        count += head.kind == CAPI_QUEUE_RECORD;
        from = next;
    }
    return count;
}

void capi_queue_release(capi_queue_t *queue, uint64_t cursor)
{
    capi_queue_shared_t *shared = queue->shared;
    uint64_t taken = atomic_load(&shared->taken);
    uint64_t added;
    capi_queue_snapshot_t at;

    if (!capi_queue_snapshot(&at, queue) || cursor <= at.durable || cursor > at.head ||
        !capi_queue_is_aligned(cursor)) {
        return;
    }
    added = count_records(queue, at.durable, cursor);
    atomic_store(&shared->undo_taken, taken);
    atomic_store(&shared->undo_durable, at.durable);
    atomic_store(&shared->taken, taken + added);
    atomic_store(&shared->durable, cursor);
    wake_waiters(shared);
    give_back(queue, at.tail, cursor);
}

bool capi_queue_may_sleep(capi_queue_t *queue)
{
    capi_queue_shared_t *shared = queue->shared;
    uint32_t ticket = atomic_load(&shared->sleeps) + 1;

    /* 0 means awake. */
    ticket += ticket == 0;
    atomic_store(&shared->sleeps, ticket);
    atomic_store(&shared->sleeping, ticket);
    if (atomic_load(&shared->head) != atomic_load(&shared->durable)) {
        atomic_store(&shared->sleeping, 0);
        return false;
    }
    return true;
}

void capi_queue_awake(capi_queue_t *queue)
{
    uint64_t count;

    atomic_store(&queue->shared->sleeping, 0);
    if (queue->wakeup >= 0 && read(queue->wakeup, &count, sizeof(count)) < 0) {
        return; /* nothing was written: it woke for another reason */
    }
}

static apr_time_t monotonic_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return apr_time_from_sec(now.tv_sec) + now.tv_nsec / 1000;
}

apr_status_t capi_queue_wait_durable(capi_queue_t *queue, uint64_t position,
                                     apr_interval_time_t timeout)
{
    capi_queue_shared_t *shared = queue->shared;
    apr_time_t deadline = monotonic_now() + timeout;

    for (;;) {
        /* Read before durable: a release in between changes it, and the wait returns at once. */
        uint32_t steps = atomic_load(&shared->durable_steps);
        apr_interval_time_t left = deadline - monotonic_now();
        struct timespec wait = {apr_time_sec(left), apr_time_usec(left) * 1000};

        if (atomic_load(&shared->durable) >= position) {
            return APR_SUCCESS;
        }
        if (left <= 0) {
            return APR_TIMEUP;
        }
        syscall(SYS_futex, &shared->durable_steps, FUTEX_WAIT, steps, &wait, NULL, 0);
    }
}
