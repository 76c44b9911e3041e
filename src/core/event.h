#ifndef CAPI_EVENT_H
#define CAPI_EVENT_H

/* One event: from what people write (interface 3.5) to the canonical event that is queued, stored
 * and, in wire format v5, sent byte for byte. No raw personal data leaves this file. */

#include <jansson.h>

#include "capi.h"

/* How an event that comes in is to be read. */
typedef struct {
    capi_vocabulary_t vocabulary; /* an event's own `names` goes before it */
    const apr_table_t *aliases;   /* PinterestCapiEventName, may be NULL */
    capi_source_t source;         /* `consent` and `opt_out` count from headers and backend only */
    const char *country;          /* default region of phone numbers, may be NULL */
    bool may_lack_id;             /* a missing event_id is left NULL to fill, else refused */
    apr_time_t now;               /* event_time where none is given; a later one is clamped to it */
} capi_event_rules_t;

typedef struct {
    const char *name;             /* as it came */
    const char *sent_as;          /* as Pinterest calls it */
    const char *event_id;         /* NULL where the event named none */
    apr_int64_t event_time;       /* Unix seconds */
    const char *order_id;         /* NULL if none */
    const char *context;          /* bind key it names, `order:10492`; NULL if none */
    capi_consent_state_t consent; /* its own word; UNKNOWN where it has none */
    int left_out;                 /* values of user_data that are not what their keys say */
    const char *warning; /* keys and values that were left out, by name only; NULL if none */
    json_t *body;        /* canonical: Pinterest's v5 event object. Freed with the pool. NULL where
                            nothing was said but the name */
} capi_event_t;

/* Reads one event object. APR_EINVAL with *message (for the caller's eyes; repeats key names, never
 * values of user_data) where it is none. Whatever Pinterest's closed schema does not list, and
 * whatever cannot be what its key says, is dropped with a warning; money becomes a decimal string
 * rounded to the currency's digits; content_ids and num_items are filled from contents. */
apr_status_t capi_event_parse(capi_event_t **event, const char **message, const json_t *input,
                              const capi_event_rules_t *rules, apr_pool_t *p);

/* An event of which nothing is known but its name, which is resolved already. */
capi_event_t *capi_event_plain(const char *name, const char *sent_as, apr_time_t now,
                               apr_pool_t *p);

/* Names the event. The id goes into the body too. */
void capi_event_set_id(capi_event_t *event, const char *event_id, apr_pool_t *p);

/* An id for an event that named none, the same for the same input: "h_" and 32 hex digits of a
 * SHA-256 over the input with sorted keys. */
const char *capi_event_derive_id(const json_t *input, apr_pool_t *p);

/* What a request knows of its client, for events that are that client's. Strings may be NULL;
 * `user_data` may be NULL or is an object as capi_event_user_data makes it. */
typedef struct {
    const char *click_id, *address, *agent, *page_url;
    const json_t *user_data;
} capi_event_client_t;

/* The event as compact JSON text in the pool, with what its client adds where it has no field of its
 * own, and the match keys of all that. */
const char *capi_event_write(apr_size_t *len, capi_keys_t *keys, const capi_event_t *event,
                             const capi_event_client_t *client, apr_pool_t *p);

/* The same for an event that was text: adds to its body. */
void capi_event_complete(json_t *body, const capi_event_client_t *client);

/* The hashed `user_data` of {"email": "…", "ph": ["…"]}: Pinterest's keys, arrays of hex. Values
 * that cannot be what their key says are left out; *left_out (may be NULL) counts them. The
 * caller owns the result (json_decref). NULL where `input` is no object. */
json_t *capi_event_user_data(int *left_out, const json_t *input, const char *country,
                             apr_pool_t *p);

/* Which match keys a canonical event object has, and a user_data object. */
capi_keys_t capi_event_keys(const json_t *body);
capi_keys_t capi_user_data_keys(const json_t *user_data);

/* The fields of `weaker` that `stronger` does not have, added to it: members of the event, of
 * user_data and of custom_data one by one, arrays as a whole. */
void capi_event_merge(json_t *stronger, const json_t *weaker);

/* Pinterest's minimum: em, or hashed_maids, or address and user agent. */
bool capi_event_is_sendable(const json_t *body);

/* Compact JSON text of a canonical event, in the pool. */
const char *capi_event_text(apr_size_t *len, const json_t *body, apr_pool_t *p);

#endif
