/* How much of a busy machine the sender asks for: little while there is room for records, and as much
 * as a worker once the queue fills, because what finds no room in it is lost. */

#include "sender.h"

#include <sched.h>
#include <sys/resource.h>

/* With all processors busy a polite sender still delivers some thousand events a second. Where it may
 * not come back (httpd's parent lets it, if it may itself) it stays half-way. */
#define NICE_POLITE  10
#define NICE_HALFWAY 5
#define NICE_FIRM    0

void capi_priority_begin(capi_sender_t *sender)
{
    const struct sched_param none = {0};

    /* It wakes up without pushing a worker aside. */
    if (sched_setscheduler(0, SCHED_BATCH, &none) != 0) {
        capi_log(CAPI_LOG_DEBUG, "PCAPI107: not scheduled as a batch process");
    }
    /* Nothing depends on it: where one fails it is only less polite, or less firm. */
    sender->nice = NICE_HALFWAY;
    if (setpriority(PRIO_PROCESS, 0, NICE_HALFWAY) == 0 &&
        setpriority(PRIO_PROCESS, 0, NICE_FIRM) == 0 &&
        setpriority(PRIO_PROCESS, 0, NICE_POLITE) == 0) {
        sender->nice = NICE_POLITE;
    }
}

static void set_nice(capi_sender_t *sender, int nice)
{
    if (setpriority(PRIO_PROCESS, 0, nice) == 0) {
        sender->nice = nice;
    }
}

/* Firm from half a queue on, polite again below a quarter: not to and fro with every batch. */
void capi_priority_turn(capi_sender_t *sender)
{
    const capi_inlet_t *current = &APR_ARRAY_IDX(sender->inlets, 0, capi_inlet_t);
    capi_queue_stats_t stats;

    if (sender->nice == NICE_HALFWAY || !current->queue) {
        return;
    }
    capi_queue_stats(current->queue, &stats);
    if (sender->nice != NICE_FIRM && stats.used > stats.size / 2) {
        set_nice(sender, NICE_FIRM);
    }
    else if (sender->nice == NICE_FIRM && stats.used < stats.size / 4) {
        set_nice(sender, NICE_POLITE);
    }
}
