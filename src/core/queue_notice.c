/* What workers notice beside events; queue.c has the layout. */

#include "queue_int.h"

#include <string.h>

#include "utf8.h"

void capi_queue_notice(capi_queue_t *queue, capi_notice_t what)
{
    atomic_fetch_add_explicit(&queue->shared->noticed[what], 1, memory_order_relaxed);
}

uint64_t capi_queue_noticed(const capi_queue_t *queue, capi_notice_t what)
{
    return atomic_load_explicit(&queue->shared->noticed[what], memory_order_relaxed);
}

/* The step is odd while words are written. One killed then leaves it odd: nobody complains any more
 * until the next fresh start, which harms nothing. */
void capi_queue_complain(capi_queue_t *queue, const char *words, apr_time_t now)
{
    capi_queue_shared_t *shared = queue->shared;
    uint64_t step = atomic_load(&shared->complaint_step);
    uint64_t room[CAPI_COMPLAINT_LEN / 8] = {0};
    apr_size_t len = strlen(words);
    int i;

    if (step % 2 || !atomic_compare_exchange_strong(&shared->complaint_step, &step, step + 1)) {
        return;
    }
    memcpy(room, words, len < CAPI_COMPLAINT_LEN ? len : CAPI_COMPLAINT_LEN - 1);
    for (i = 0; i < CAPI_COMPLAINT_LEN / 8; i++) {
        atomic_store(&shared->complaint[i], room[i]);
    }
    atomic_store(&shared->complained_at, (uint64_t)now);
    atomic_store(&shared->complaint_step, step + 2);
}

/* Workers can write anything here, and a database takes only text. */
static void mask_invalid(char *words)
{
    while (*words != '\0') {
        uint32_t c;
        apr_size_t len = capi_utf8_read(&c, words);

        if (c == CAPI_UTF8_INVALID) {
            *words = '?';
        }
        words += len;
    }
}

bool capi_queue_complaint(const capi_queue_t *queue, char words[CAPI_COMPLAINT_LEN],
                          apr_time_t *when)
{
    const capi_queue_shared_t *shared = queue->shared;
    uint64_t step = atomic_load(&shared->complaint_step);
    uint64_t room[CAPI_COMPLAINT_LEN / 8];
    int i;

    for (i = 0; i < CAPI_COMPLAINT_LEN / 8; i++) {
        room[i] = atomic_load(&shared->complaint[i]);
    }
    *when = (apr_time_t)atomic_load(&shared->complained_at);
    memcpy(words, room, CAPI_COMPLAINT_LEN);
    words[CAPI_COMPLAINT_LEN - 1] = '\0';
    mask_invalid(words);
    return step > 0 && step % 2 == 0 && atomic_load(&shared->complaint_step) == step;
}
