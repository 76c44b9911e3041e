#ifndef CAPI_H
#define CAPI_H

/* The vocabulary that module, sender and CGI share. The core knows APR, never httpd, never libcurl. */

#include <stdbool.h>
#include <stdint.h>

#include <apr.h>
#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#define CAPI_VERSION "0.1.0"

/* Who said it. The order is the order of strength: while an event waits, each of its fields is
 * taken from the strongest source that has it. */
typedef enum {
    CAPI_SOURCE_BROWSER = 1,
    CAPI_SOURCE_RULE = 2,
    CAPI_SOURCE_HEADER = 3,
    CAPI_SOURCE_BACKEND = 4
} capi_source_t;

/* v5 is Pinterest's published OpenAPI; guide is the letter of the guide, for relays. */
typedef enum { CAPI_WIRE_V5 = 1, CAPI_WIRE_GUIDE = 2 } capi_wire_t;

/* Which of the two vocabularies an incoming event name is read in. */
typedef enum { CAPI_NAMES_GUIDE = 1, CAPI_NAMES_PINTEREST = 2 } capi_vocabulary_t;

/* Unknown acts as denied; it is kept apart because a later grant may still release the event. */
typedef enum {
    CAPI_CONSENT_UNKNOWN = 0,
    CAPI_CONSENT_GRANTED = 1,
    CAPI_CONSENT_DENIED = 2
} capi_consent_state_t;

/* The life of an event in the store. The values are stored: never renumber. Below
 * CAPI_STATE_SETTLED the event still waits. `sending` and `held` are derived when read (a request
 * in flight, an account on hold), so that neither costs a write per event. */
typedef enum {
    CAPI_STATE_QUEUED = 0,
    CAPI_STATE_SENDING = 1,
    CAPI_STATE_RETRYING = 2,
    CAPI_STATE_HELD = 3,
    CAPI_STATE_SETTLED = 10,
    CAPI_STATE_DELIVERED = 10,
    CAPI_STATE_REJECTED = 11,
    CAPI_STATE_SUPPRESSED = 12,
    CAPI_STATE_UNCONFIRMED = 13,
    CAPI_STATE_EXPIRED = 14
} capi_state_t;

/* Match keys, in the order of the page. The first CAPI_KEY_HASHED of them are arrays of SHA-256. */
typedef enum {
    CAPI_KEY_EM,
    CAPI_KEY_PH,
    CAPI_KEY_GE,
    CAPI_KEY_DB,
    CAPI_KEY_FN,
    CAPI_KEY_LN,
    CAPI_KEY_CT,
    CAPI_KEY_ST,
    CAPI_KEY_ZP,
    CAPI_KEY_COUNTRY,
    CAPI_KEY_EXTERNAL_ID,
    CAPI_KEY_HASHED, /* not a key: how many are normalised and hashed */
    CAPI_KEY_HASHED_MAIDS = CAPI_KEY_HASHED,
    CAPI_KEY_CLICK_ID,
    CAPI_KEY_CLIENT_IP_ADDRESS,
    CAPI_KEY_CLIENT_USER_AGENT,
    CAPI_KEY_PARTNER_ID,
    CAPI_KEY_COUNT
} capi_key_t;

/* A set of match keys: bit (1u << CAPI_KEY_x). */
typedef uint32_t capi_keys_t;

#define CAPI_KEY_BIT(key) ((capi_keys_t)1u << (key))

/* The names these have on the wire, in JSON and on the page; "unknown" for a value out of range. */
const char *capi_source_name(capi_source_t source);
const char *capi_state_name(capi_state_t state);
const char *capi_consent_name(capi_consent_state_t state);
const char *capi_wire_name(capi_wire_t wire);
const char *capi_key_name(capi_key_t key);

/* Limits. event_id: the sibling MSOT schema says 256. click id: samples have 104 to 144. */
#define CAPI_EVENT_ID_MAX       256
#define CAPI_CLICK_ID_MAX       512
#define CAPI_EVENTS_PER_REQUEST 1000
#define CAPI_EVENTS_BODY_MAX    (2 * 1024 * 1024)
#define CAPI_BATCH_BYTES        (1024 * 1024)

#endif
