/* Hashes and identifiers. The digests are OpenSSL's; here is only what goes into them. */

#include "ident.h"

#include "text.h"

#include <apr_lib.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void write_hex(char *hex, const unsigned char *bytes, apr_size_t count)
{
    static const char digits[] = "0123456789abcdef";

    for (apr_size_t i = 0; i < count; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * count] = '\0';
}

void capi_sha256_hex(char *hex, const void *bytes, apr_size_t len)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    /* It fails only where memory is gone. A constant in place of a hash would join strangers. */
    if (!SHA256(bytes, len, digest)) {
        abort();
    }
    write_hex(hex, digest, sizeof(digest));
}

bool capi_is_sha256_hex(const char *text, apr_size_t len)
{
    if (len != CAPI_HEX_SHA256) {
        return false;
    }
    for (apr_size_t i = 0; i < len; i++) {
        if (!apr_isxdigit(text[i])) {
            return false;
        }
    }
    return true;
}

/* Each part goes in behind its length, so that no two lists of parts are one message. */
static int add_part(EVP_MAC_CTX *mac, const char *part)
{
    uint64_t len = strlen(part);
    unsigned char prefix[8];

    for (int i = 0; i < 8; i++) {
        prefix[i] = (unsigned char)(len >> (56 - 8 * i));
    }
    return EVP_MAC_update(mac, prefix, sizeof(prefix)) &&
           EVP_MAC_update(mac, (const unsigned char *)part, len);
}

static void hash_parts(char *hex, const unsigned char secret[CAPI_SECRET_LEN],
                       const char *const *parts, int count)
{
    char digest_name[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
        OSSL_PARAM_construct_end(),
    };
    unsigned char digest[SHA256_DIGEST_LENGTH];
    size_t len = 0;
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    bool is_good = mac && EVP_MAC_init(mac, secret, CAPI_SECRET_LEN, params);

    for (int i = 0; i < count && is_good; i++) {
        is_good = add_part(mac, parts[i]);
    }
    if (!is_good || !EVP_MAC_final(mac, digest, &len, sizeof(digest))) {
        abort();
    }
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(hmac);
    write_hex(hex, digest, CAPI_KEYED_LEN / 2);
}

void capi_keyed_hash(char *hex, const unsigned char secret[CAPI_SECRET_LEN], const char *account,
                     const char *api_url, bool test, const char *kind, const char *value)
{
    const char *const parts[] = {account, api_url, test ? "1" : "0", kind, value};

    hash_parts(hex, secret, parts, 5);
}

void capi_form_token(char *hex, const unsigned char secret[CAPI_SECRET_LEN], const char *user,
                     const char *id)
{
    const char *const parts[] = {user, id};

    hash_parts(hex, secret, parts, 2);
}

void capi_used_id_hash(char *hex, apr_int64_t destination, const char *name, const char *event_id)
{
    apr_size_t name_len = strlen(name);
    apr_size_t id_len = strlen(event_id);
    uint64_t prefix[3] = {htobe64((uint64_t)destination), htobe64(name_len), htobe64(id_len)};
    unsigned char digest[SHA256_DIGEST_LENGTH];
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL) ||
        !EVP_DigestUpdate(md, prefix, sizeof(prefix)) || !EVP_DigestUpdate(md, name, name_len) ||
        !EVP_DigestUpdate(md, event_id, id_len) || !EVP_DigestFinal_ex(md, digest, NULL)) {
        abort();
    }
    EVP_MD_CTX_free(md);
    write_hex(hex, digest, CAPI_KEYED_LEN / 2);
}

/* Milliseconds in the upper 48 bits, then 12 bits that count on: the fraction of the millisecond,
 * or one more than the id before. A clock that was set back by more than this is believed. */
#define TICK_BITS      12
#define MAX_LEAD_TICKS ((uint64_t)10000 << TICK_BITS)

static uint64_t next_tick(apr_time_t now)
{
    static _Atomic uint64_t last_tick;
    uint64_t usec = now > 0 ? (uint64_t)now : 0;
    uint64_t own = ((usec / 1000) << TICK_BITS) | (((usec % 1000) << TICK_BITS) / 1000);
    uint64_t last = atomic_load(&last_tick);
    uint64_t tick;

    do {
        tick = own > last || last - own > MAX_LEAD_TICKS ? own : last + 1;
    } while (!atomic_compare_exchange_weak(&last_tick, &last, tick));
    return tick;
}

static apr_status_t read_random(unsigned char *bytes, apr_size_t count)
{
    apr_size_t have = 0;

    while (have < count) {
        ssize_t got = getrandom(bytes + have, count - have, 0);

        if (got < 0 && errno != EINTR) {
            return APR_FROM_OS_ERROR(errno);
        }
        if (got > 0) {
            have += (apr_size_t)got;
        }
    }
    return APR_SUCCESS;
}

/* The text of 16 bytes, with the bits of version and variant set (RFC 9562, section 4). */
static void write_uuid(char *text, unsigned char bytes[16], unsigned char version)
{
    char hex[33];

    bytes[6] = (unsigned char)((version << 4) | (bytes[6] & 0x0f));
    bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f));
    write_hex(hex, bytes, 16);
    for (int i = 0, at = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) {
            text[at++] = '-';
        }
        text[at++] = hex[i];
    }
    text[CAPI_UUID_LEN] = '\0';
}

apr_status_t capi_uuid7(char *text, apr_time_t now)
{
    unsigned char bytes[16];
    uint64_t tick;
    apr_status_t rv = read_random(bytes + 8, 8);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    tick = next_tick(now);
    for (int i = 0; i < 6; i++) {
        bytes[i] = (unsigned char)(tick >> (52 - 8 * i));
    }
    bytes[6] = (unsigned char)((tick >> 8) & 0x0f);
    bytes[7] = (unsigned char)tick;
    write_uuid(text, bytes, 7);
    return APR_SUCCESS;
}

apr_status_t capi_uuid4(char *text)
{
    unsigned char bytes[16];
    apr_status_t rv = read_random(bytes, sizeof(bytes));

    if (rv == APR_SUCCESS) {
        write_uuid(text, bytes, 4);
    }
    return rv;
}

bool capi_is_uuid(const char *text, apr_size_t len)
{
    if (len != CAPI_UUID_LEN) {
        return false;
    }
    for (apr_size_t i = 0; i < len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? text[i] != '-' : !apr_isxdigit(text[i])) {
            return false;
        }
    }
    return true;
}

apr_int64_t capi_uuid7_msec(const char *text)
{
    apr_int64_t msec = 0;

    if (!text || strlen(text) != CAPI_UUID_LEN) {
        return -1;
    }
    for (int i = 0; i < CAPI_UUID_LEN; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? text[i] != '-' : capi_hex_value(text[i]) < 0) {
            return -1;
        }
        if (!is_dash && i < 13) {
            msec = msec * 16 + capi_hex_value(text[i]);
        }
    }
    if (text[14] != '7' || (capi_hex_value(text[19]) & 0xc) != 0x8) {
        return -1;
    }
    return msec;
}
