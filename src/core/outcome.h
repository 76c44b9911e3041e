#ifndef CAPI_OUTCOME_H
#define CAPI_OUTCOME_H

/* What an answer of the API means for the events that were sent, and how a batch that was refused
 * as a whole is taken apart. */

#include "capi.h"

typedef enum {
    CAPI_VERDICT_RESULTS, /* a result for each event */
    CAPI_VERDICT_REFUSED, /* as a whole: perhaps one event spoils it */
    CAPI_VERDICT_HOLD,    /* token, account or address: somebody has to act */
    CAPI_VERDICT_WAIT     /* unknown: later again */
} capi_verdict_t;

/* `http_status` 0: no answer, or one that broke off. `answer`: what capi_wire_answer said of the
 * body; it counts with 200 and 422 only. */
capi_verdict_t capi_outcome_judge(int http_status, apr_status_t answer);

/* Why a destination is held after `http_status`, and what ends it. */
const char *capi_outcome_hold_reason(int http_status, const char *account, const char *token_file,
                                     apr_pool_t *p);

/* A refused batch, taken apart depth first: ten steps down a batch of 1000 stand single events, so
 * that even where every thirtieth is bad something soon succeeds and proves that the API works. */
typedef struct {
    int start, count;
} capi_range_t;

typedef struct {
    apr_array_header_t *ranges; /* capi_range_t, smaller ones behind larger ones */
    int refusals;               /* in a row */
} capi_halving_t;

/* So many refusals without one success, and it is not the events' fault: by then about ten single
 * events were refused. */
#define CAPI_HALVING_PATIENCE 32

void capi_halving_init(capi_halving_t *halving, apr_pool_t *p);

/* The range was refused: its halves are put in line. False where it is a single event. */
bool capi_halving_refused(capi_halving_t *halving, capi_range_t range);
void capi_halving_accepted(capi_halving_t *halving);

/* The range to try next: the smallest, but the largest once half the patience is gone, because the
 * bad ones may stand together. NULL where there is none, or patience is at an end. */
const capi_range_t *capi_halving_peek(const capi_halving_t *halving);

/* Takes what capi_halving_peek shows out of the line. */
bool capi_halving_next(capi_halving_t *halving, capi_range_t *range);
bool capi_halving_is_hopeless(const capi_halving_t *halving);

#endif
