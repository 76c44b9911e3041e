#ifndef CAPI_ASK_H
#define CAPI_ASK_H

/* What the page asks the sender for. The page adds a row and nothing else; the sender does the work
 * and writes what came of it. */

#include "ident.h"
#include "store.h"

typedef enum {
    CAPI_ASK_TEST,   /* send a test event to a destination */
    CAPI_ASK_TRY,    /* try a destination on hold or in back-off now */
    CAPI_ASK_RETRY,  /* send rejected events again: one, or all of a destination */
    CAPI_ASK_PAUSE,  /* let nothing out of a destination */
    CAPI_ASK_RESUME, /* and let it out again */
    CAPI_ASK_FORGET, /* erase a person */
    CAPI_ASK_COUNT
} capi_ask_kind_t;

#define CAPI_ASK_USER_MAX 128

typedef struct {
    const char *id; /* UUIDv7 */
    capi_ask_kind_t kind;
    apr_int64_t destination; /* 0: of none */
    apr_int64_t event;       /* 0: of none */
    const char *subject; /* hash of a person's e-mail or phone, NULL where it is none, or erased */
    const char *asked_by;
    apr_time_t asked_at;
    const char *outcome; /* NULL until something came of it */
} capi_ask_t;

/* The name of a kind on the wire and in the store, and back; false where a name is none. */
const char *capi_ask_name(capi_ask_kind_t kind);
bool capi_ask_kind(capi_ask_kind_t *kind, const char *name);

/* --- the page --- */

/* The secret that the tokens of the page's forms are made with. APR_NOTFOUND where no sender has
 * made one yet. */
apr_status_t capi_ask_secret(unsigned char secret[CAPI_SECRET_LEN], capi_store_t *store);

/* Adds the ask, once: *is_new is false where this id has been asked already. */
apr_status_t capi_ask_add(bool *is_new, capi_store_t *store, const capi_ask_t *ask);

/* --- the sender --- */

/* Makes the page's secret where there is none. */
apr_status_t capi_ask_prepare(capi_store_t *store);

/* What is still to be done, oldest first: capi_ask_t, in the pool. */
apr_status_t capi_ask_list(apr_array_header_t **list, capi_store_t *store, apr_pool_t *p);

/* What came of it. All that follow want a transaction. */
apr_status_t capi_ask_done(capi_store_t *store, const char *id, bool is_well, const char *outcome,
                           apr_time_t now);

/* Pauses a destination in the name of `by`, or lets it go on (NULL). */
apr_status_t capi_ask_pause(capi_store_t *store, apr_int64_t destination, const char *by,
                            apr_time_t now);

/* Lets what was tried before go now instead of at its time; *count is how many. */
apr_status_t capi_ask_hurry(int *count, capi_store_t *store, apr_int64_t destination,
                            apr_time_t now);

/* Puts a rejected event whose data is kept back in line, under its id. APR_NOTFOUND where it is none.
 * *destination is where it goes. */
apr_status_t capi_ask_requeue(apr_int64_t *destination, capi_store_t *store, apr_int64_t event,
                              apr_time_t now);

/* The same for those of a destination that were rejected before `until`, some hundred a call; *count
 * is how many. 0: there is none left. */
apr_status_t capi_ask_requeue_some(int *count, capi_store_t *store, apr_int64_t destination,
                                   apr_time_t until, apr_time_t now);

/* Stands where the consent signal of an erased event would: nobody asks again. */
#define CAPI_FORGET_SIGNAL "forget request"

/* How far forgetting a person has come; begins as zero. */
typedef struct {
    apr_int64_t visit; /* all up to here were looked at */
    apr_int64_t event;
    int visits;    /* contexts erased */
    int events;    /* events that waited or were kept, erased */
    int in_flight; /* events on their way, erased if they come back: look once more, later */
    bool has_visits_done;
    bool is_done;
} capi_forget_t;

/* Erases one page of contexts and of events that carry the hash, and what waits of these contexts. */
apr_status_t capi_ask_forget_some(capi_forget_t *forget, capi_store_t *store, const char *hash,
                                  apr_time_t now);

/* Nobody is in the ask any more; `outcome` is what capi_ask_done will say. */
apr_status_t capi_ask_erased(capi_store_t *store, const char *id, const char *outcome);

#endif
