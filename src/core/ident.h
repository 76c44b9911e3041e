#ifndef CAPI_IDENT_H
#define CAPI_IDENT_H

/* Hashes and identifiers: SHA-256, keyed hashes of visits and binds, UUIDv7. */

#include "capi.h"

#define CAPI_SECRET_LEN 32 /* bytes of STATEDIR/key */
#define CAPI_HEX_SHA256 64 /* hex digits, without the final NUL */
#define CAPI_KEYED_LEN  32 /* hex digits of a keyed hash: 128 bits of HMAC-SHA256 */
#define CAPI_UUID_LEN   36

/* Lower-case hex SHA-256 of `len` bytes. `hex` has room for CAPI_HEX_SHA256 + 1. */
void capi_sha256_hex(char *hex, const void *bytes, apr_size_t len);

/* True for exactly 64 hex digits of either case: a value that was hashed before it came. */
bool capi_is_sha256_hex(const char *text, apr_size_t len);

/* The keyed hash under which a session cookie, visit cookie or bind is known: HMAC-SHA256 over
 * (account, API URL, test, kind, value), each prefixed by its length, cut to CAPI_KEYED_LEN hex
 * digits. `kind` is "session", "visit" or "bind". `hex` has room for CAPI_KEYED_LEN + 1. */
void capi_keyed_hash(char *hex, const unsigned char secret[CAPI_SECRET_LEN], const char *account,
                     const char *api_url, bool test, const char *kind, const char *value);

/* The token by which a form of the page is known to be its own: HMAC-SHA256 over the user's name and
 * the form's id, cut to CAPI_KEYED_LEN hex digits. `hex` has room for CAPI_KEYED_LEN + 1. */
void capi_form_token(char *hex, const unsigned char secret[CAPI_SECRET_LEN], const char *user,
                     const char *id);

/* Hash of (destination, name, id) by which a used event_id is remembered after its record is gone. */
void capi_used_id_hash(char *hex, apr_int64_t destination, const char *name, const char *event_id);

/* A new UUIDv7 (RFC 9562, section 5.7) at time `now`; ids minted later sort later. Thread-safe.
 * `text` has room for CAPI_UUID_LEN + 1. Fails only where the system's random source does. */
apr_status_t capi_uuid7(char *text, apr_time_t now);

/* A new random UUID (version 4). `text` has room for CAPI_UUID_LEN + 1. */
apr_status_t capi_uuid4(char *text);

/* True for the 36 characters of a UUID, whatever its version. */
bool capi_is_uuid(const char *text, apr_size_t len);

/* Milliseconds since 1970 of a UUIDv7, or -1 where `text` is none. */
apr_int64_t capi_uuid7_msec(const char *text);

#endif
