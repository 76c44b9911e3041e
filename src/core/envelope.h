#ifndef CAPI_ENVELOPE_H
#define CAPI_ENVELOPE_H

/* What one captured request tells the sender, as one queue record. It carries account and settings
 * themselves, never an index into a configuration that a reload may shift. Nothing in it is raw
 * personal data but click id, address and user agent, which Pinterest wants raw. */

#include "capi.h"
#include "queue.h"

/* The settings of the place an event came from; they travel with it. */
typedef struct {
    const char *account;
    const char *api_url;
    bool test;
    capi_wire_t wire;
    int merge_window_sec;
    int max_age_sec;
    const char *on_denied; /* "suppress" */
} capi_settings_t;

/* Why the event may go or must stay. `signal` names the deciding source ("default", "header",
 * "backend", later "tcf", "cmp cookiebot", …), `evidence` its short form, never a raw string. */
typedef struct {
    capi_consent_state_t state;
    const char *signal;
    const char *evidence;
    apr_time_t decided_at;
} capi_consent_t;

/* True where somebody answered: neither silence nor a place's default. */
bool capi_consent_is_answer(const capi_consent_t *consent);

/* Ties the visit to a key. */
typedef struct {
    const char *key; /* keyed hash */
    bool by_server;  /* the shop said it, not a browser */
} capi_envelope_bind_t;

typedef struct {
    capi_source_t source;
    const char *name;    /* as it came */
    const char *sent_as; /* as Pinterest calls it */
    const char *event_id;
    bool
        is_named; /* the id was given or derived: a second source may add to it. Else minted here */
    bool is_claim;          /* a browser's word that needs the shop's own */
    apr_int64_t event_time; /* Unix seconds */
    const char
        *context; /* keyed hash of the bind that completes it, NULL: the visit of the request */
    bool
        is_detached; /* takes client, consent and on_denied from `context` alone, waits for it to be
                         bound; the envelope's consent counts only where it never is */
    capi_consent_state_t consent; /* its own word, UNKNOWN where it has none */
    capi_keys_t keys; /* match keys of `json`; 0 where the sender is to look by itself */
    const char *warning;
    const char *json; /* canonical event (event.h), NUL-terminated */
    apr_size_t json_len;
} capi_envelope_event_t;

typedef struct {
    capi_settings_t settings;
    apr_time_t received_at;
    capi_consent_t consent;
    const char *session_key; /* keyed hash of the session cookie, NULL if none */
    const char *visit_key;   /* keyed hash of our own visit cookie, NULL if none */
    const char *click_id;    /* these four describe the visit; NULL where unknown */
    const char *address;
    const char *agent;
    const char *user_data; /* JSON object of hashed match keys */
    int bind_count;
    capi_envelope_bind_t *binds; /* come before the events */
    int event_count;
    capi_envelope_event_t *events;
} capi_envelope_t;

/* Encodes into the pool. */
void capi_envelope_encode(capi_record_t *record, const capi_envelope_t *envelope, apr_pool_t *p);

/* Decodes; strings point into `bytes`. APR_EINVAL where a length, tag, count, enum or missing
 * terminator is wrong: the record is counted and skipped, never guessed at. Unknown tags are
 * skipped, so that a newer worker may say more than an older sender understands. */
apr_status_t capi_envelope_decode(capi_envelope_t **envelope, const void *bytes, apr_size_t len,
                                  apr_pool_t *p);

/* The class of a record: conversion where it has a bind or any event but page_visit. */
capi_class_t capi_envelope_class(const capi_envelope_t *envelope);

#endif
