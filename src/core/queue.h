#ifndef CAPI_QUEUE_H
#define CAPI_QUEUE_H

/* The shared-memory queue between httpd's workers and the sender: many producers under a robust
 * mutex, one consumer without a lock. It survives SIGKILL of any process at any instant with every
 * record that was acknowledged; only loss of power loses it. */

#include "capi.h"

typedef struct capi_queue_t capi_queue_t;

typedef enum {
    CAPI_CLASS_PAGE,      /* page views: at most three quarters of the room */
    CAPI_CLASS_CONVERSION /* everything else: all of it */
} capi_class_t;

typedef struct {
    const void *bytes;
    apr_size_t len;
} capi_record_t;

typedef struct {
    uint64_t size;   /* bytes of the ring */
    uint64_t used;   /* bytes waiting */
    uint64_t pushed; /* records accepted since the file was made */
    uint64_t taken;  /* records the consumer has taken */
    uint64_t dropped_page;
    uint64_t dropped_conversion;
    uint64_t lock_timeouts;
    uint64_t recovered_locks; /* a holder died and the mutex was recovered */
    uint64_t head;            /* position after the newest record */
    uint64_t tail;            /* position of the oldest record not yet taken */
    uint64_t durable;         /* all records that end at or before this position are on disk */
} capi_queue_stats_t;

/* The smallest ring: one full answer of the browser endpoints must fit. */
#define CAPI_QUEUE_MIN (256 * 1024)

/* Makes the file (O_EXCL, 0600; the caller owns the name), takes its space with posix_fallocate and
 * maps it. `size` is rounded up to a page. The descriptor is close-on-exec and holds flock(LOCK_SH)
 * as long as any process that inherited it lives: that is how `capi_queue_is_abandoned` knows. */
apr_status_t capi_queue_create(capi_queue_t **queue, const char *path, apr_uint64_t size,
                               apr_pool_t *p);

/* Maps a queue that is already there through a descriptor, which it owns from then on and closes
 * where it fails; no lock is taken. APR_EINVAL where it is no queue of this layout, or its header
 * contradicts itself. */
apr_status_t capi_queue_attach(capi_queue_t **queue, int fd, apr_pool_t *p);

/* Makes an attached queue the caller's own, as if it had created it: with the shared lock and a
 * wake-up. Fails where anybody else still has it. */
apr_status_t capi_queue_adopt(capi_queue_t *queue);

/* Unmaps and closes. The file stays. */
void capi_queue_close(capi_queue_t *queue);

int capi_queue_fd(const capi_queue_t *queue);

/* Appends all `count` records or none, in order, as one step that a crash leaves done or undone.
 * *position (may be NULL) is the place whose durability they share.
 * APR_ENOSPC: no room, counted as dropped. APR_TIMEUP: the mutex was not to be had within 5 ms,
 * counted as dropped. APR_EINVAL, not counted: a record longer than a quarter of the ring, or all of
 * them longer than three quarters: they would never fit. Wakes the consumer. */
apr_status_t capi_queue_push(capi_queue_t *queue, const capi_record_t *records, int count,
                             capi_class_t class_of_all, uint64_t *position);

/* The consumer's side; one process, one thread. */

/* The record `*cursor` stands at (0 to start: the tail), and moves the cursor behind it. The bytes
 * are the consumer's own copy, 8-byte aligned, valid until the next call; no worker can change them.
 * APR_EOF: none. APR_EGENERAL: a record whose checksum is wrong; the cursor moved behind it. */
apr_status_t capi_queue_peek(capi_queue_t *queue, uint64_t *cursor, const void **bytes,
                             apr_size_t *len);

/* Gives the room before `cursor` back, after it was wiped, and sets the durable mark there: all of
 * it is on disk now. Wakes those who wait in capi_queue_wait_durable. */
void capi_queue_release(capi_queue_t *queue, uint64_t cursor);

/* The descriptor (an eventfd, close-on-exec) that becomes readable when a record arrives while the
 * consumer sleeps. Made by capi_queue_create, which owns it; an attached queue borrows one with
 * capi_queue_set_wakeup (-1: none, the caller looks by itself). */
int capi_queue_wakeup(const capi_queue_t *queue);
void capi_queue_set_wakeup(capi_queue_t *queue, int fd);

/* Announces sleep; false where records are waiting, so the caller must not sleep. After waking, call
 * capi_queue_awake: it clears the descriptor. */
bool capi_queue_may_sleep(capi_queue_t *queue);
void capi_queue_awake(capi_queue_t *queue);

/* Waits until the durable mark reaches `position`. APR_TIMEUP after `timeout`. */
apr_status_t capi_queue_wait_durable(capi_queue_t *queue, uint64_t position,
                                     apr_interval_time_t timeout);

/* True where nobody but the caller has the file any more. The caller's descriptor must be one it
 * opened itself (not inherited from the maker). */
bool capi_queue_is_abandoned(capi_queue_t *queue);

/* A finished queue: its consumer says that nothing will ever come out of it again, so that root may
 * unlink the file. */
void capi_queue_set_finished(capi_queue_t *queue);
bool capi_queue_is_finished(const capi_queue_t *queue);

void capi_queue_stats(const capi_queue_t *queue, capi_queue_stats_t *stats);

/* --- queue_notice.c: what workers notice and no record says, for the page --- */

typedef enum {
    CAPI_NOTICE_REQUEST, /* rules made events of it */
    CAPI_NOTICE_PROXIED, /* and it had its client in a header that nothing reads */
    CAPI_NOTICE_BOT,     /* and a crawler or library made it */
    CAPI_NOTICE_COUNT
} capi_notice_t;

#define CAPI_COMPLAINT_LEN 256

/* One more since the file was made. */
void capi_queue_notice(capi_queue_t *queue, capi_notice_t what);
uint64_t capi_queue_noticed(const capi_queue_t *queue, capi_notice_t what);

/* Keeps the newest words about what the shop said and nobody understood, cut to fit. Where two
 * complain at once, one of them is not heard. */
void capi_queue_complain(capi_queue_t *queue, const char *words, apr_time_t now);

/* The words, valid UTF-8, and when they were said; false where there are none. */
bool capi_queue_complaint(const capi_queue_t *queue, char words[CAPI_COMPLAINT_LEN],
                          apr_time_t *when);

#endif
