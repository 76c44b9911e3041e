#ifndef SENDER_ASKS_H
#define SENDER_ASKS_H

/* What the files that do the page's asks share. */

#include "ask.h"
#include "sender.h"

/* One test event on its way, and what came of it. */
typedef struct {
    apr_pool_t *pool; /* of this one */
    capi_call_t *call;
    capi_outgoing_t event;
    const char *id; /* of the ask; NULL: none is on its way */
    apr_int64_t destination;
    apr_time_t started_at;
    bool is_over;
    bool is_well;
    const char *outcome;
} capi_test_t;

apr_status_t capi_test_create(capi_test_t *test, capi_sender_t *sender);
void capi_test_destroy(capi_test_t *test);

/* True where the ask's event was answered. Sends it where none is on its way, as soon as the rate
 * allows: *again, in ticks, is when to ask anew. */
bool capi_test_is_over(capi_test_t *test, capi_sender_t *sender, const capi_ask_t *ask,
                       apr_time_t *again);

/* True once, when the answer has come. */
bool capi_test_ends(capi_test_t *test, capi_sender_t *sender);

/* It is on record. */
void capi_test_forget(capi_test_t *test);

/* "account 7 (test)", in the pool. */
const char *capi_route_label(const capi_route_t *route, apr_pool_t *p);

#endif
