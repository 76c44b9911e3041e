#ifndef CAPI_QUEUE_INT_H
#define CAPI_QUEUE_INT_H

/* The queue's layout in shared memory, for queue*.c (queue.c explains it) and for tests that break
 * it. */

#include <pthread.h>
#include <stdatomic.h>

#include "queue.h"

#define CAPI_QUEUE_MAGIC      UINT64_C(0x3151495041435000) /* also says the byte order */
#define CAPI_QUEUE_LAYOUT     2
#define CAPI_QUEUE_HEADER_LEN 4096
#define CAPI_QUEUE_ALIGN      16

typedef _Atomic uint64_t capi_shared64_t;
typedef _Atomic uint32_t capi_shared32_t;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "processes share these: no lock of the C library may hide behind them");

typedef struct {
    capi_shared64_t magic;
    uint32_t layout;
    uint32_t header_len;
    uint32_t mutex_len;
    uint32_t align;
    uint64_t size;

    _Alignas(64) pthread_mutex_t mutex;
    capi_shared64_t head;
    capi_shared64_t pushed;
    capi_shared64_t undo_head;
    capi_shared64_t undo_pushed;
    capi_shared64_t claimed;
    capi_shared64_t recovered_locks;

    _Alignas(64) capi_shared64_t tail;
    capi_shared64_t durable;
    capi_shared64_t taken;
    capi_shared64_t undo_durable;
    capi_shared64_t undo_taken;
    capi_shared32_t durable_steps;
    capi_shared32_t sleeps;
    capi_shared32_t finished;

    _Alignas(64) capi_shared32_t sleeping;

    _Alignas(64) capi_shared64_t dropped[2]; /* by capi_class_t */
    capi_shared64_t lock_timeouts;

    _Alignas(64) capi_shared64_t noticed[CAPI_NOTICE_COUNT];

    _Alignas(64) capi_shared64_t complaint_step; /* odd while somebody writes what follows */
    capi_shared64_t complained_at;
    capi_shared64_t complaint[CAPI_COMPLAINT_LEN / 8];
} capi_queue_shared_t;

_Static_assert(sizeof(capi_queue_shared_t) <= CAPI_QUEUE_HEADER_LEN, "the header has its page");

#define CAPI_QUEUE_RECORD 1
#define CAPI_QUEUE_PAD    2

typedef struct {
    uint32_t len; /* of what follows */
    uint32_t kind;
    uint64_t sum;
} capi_queue_record_head_t;

_Static_assert(sizeof(capi_queue_record_head_t) == CAPI_QUEUE_ALIGN,
               "what is left before the ring's end always holds the head of a pad");

struct capi_queue_t {
    capi_queue_shared_t *shared;
    char *ring;
    uint64_t size; /* as it was checked: never read again from shared memory */
    int fd;
    int wakeup;
    bool owns_wakeup;
    bool has_recovered; /* this consumer has looked for what a killed one left half done */
    apr_pool_t *pool;   /* of the consumer's copy */
    char *copy;         /* of the record it looks at: workers can write to the ring at any time */
    apr_size_t copy_room;
};

typedef struct {
    uint64_t head;
    uint64_t tail;
    uint64_t durable;
} capi_queue_snapshot_t;

/* False where the three never came to rest or contradict each other. */
bool capi_queue_snapshot(capi_queue_snapshot_t *at, const capi_queue_t *queue);

/* The checksum of a record, in two steps: the first needs no lock. */
uint64_t capi_queue_sum_content(const void *bytes, apr_size_t len);
uint64_t capi_queue_sum_record(uint64_t position, uint32_t kind, uint32_t len, uint64_t content);

/* Wipes the ring between two positions, which are no further apart than its size. */
void capi_queue_wipe(const capi_queue_t *queue, uint64_t from, uint64_t to);

/* The room a record takes with its head. */
static inline uint64_t capi_queue_room_of(uint64_t len)
{
    uint64_t whole = sizeof(capi_queue_record_head_t) + len;

    return (whole + CAPI_QUEUE_ALIGN - 1) / CAPI_QUEUE_ALIGN * CAPI_QUEUE_ALIGN;
}

static inline uint64_t capi_queue_room_to_end(const capi_queue_t *queue, uint64_t position)
{
    return queue->size - position % queue->size;
}

static inline char *capi_queue_place_of(const capi_queue_t *queue, uint64_t position)
{
    return queue->ring + position % queue->size;
}

static inline bool capi_queue_is_aligned(uint64_t number)
{
    return number % CAPI_QUEUE_ALIGN == 0;
}

#endif
