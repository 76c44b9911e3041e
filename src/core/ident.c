/* Hashes and identifiers. The digests are OpenSSL's; here is only what goes into them. */

#include "ident.h"

#include "text.h"

#include <apr_lib.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char hex_digits[] = "0123456789abcdef";

static void write_hex(char *hex, const unsigned char *bytes, apr_size_t count)
{
    for (apr_size_t i = 0; i < count; i++) {
        hex[2 * i] = hex_digits[bytes[i] >> 4];
        hex[2 * i + 1] = hex_digits[bytes[i] & 15];
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
#define LENGTH_LEN 8

static size_t message_len(const char *const *parts, int count)
{
    size_t len = 0;

    for (int i = 0; i < count; i++) {
        len += LENGTH_LEN + strlen(parts[i]);
    }
    return len;
}

static void write_message(unsigned char *at, const char *const *parts, int count)
{
    for (int i = 0; i < count; i++) {
        size_t len = strlen(parts[i]);
        uint64_t prefix = htobe64(len);

        memcpy(at, &prefix, LENGTH_LEN);
        memcpy(at + LENGTH_LEN, parts[i], len);
        at += LENGTH_LEN + len;
    }
}

/* To set HMAC up for a key costs ten times what hashing a session does, so each thread keeps the one
 * it made. */
typedef struct {
    EVP_MAC_CTX *mac;
    unsigned char secret[CAPI_SECRET_LEN];
} keyed_t;

static pthread_key_t keyed_of_thread;

static void free_keyed(void *made)
{
    keyed_t *keyed = made;

    EVP_MAC_CTX_free(keyed->mac);
    OPENSSL_clear_free(keyed, sizeof(*keyed));
}

static void make_thread_key(void)
{
    if (pthread_key_create(&keyed_of_thread, free_keyed) != 0) {
        abort();
    }
}

static keyed_t *make_keyed(const unsigned char secret[CAPI_SECRET_LEN])
{
    char digest_name[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
        OSSL_PARAM_construct_end(),
    };
    keyed_t *keyed = OPENSSL_zalloc(sizeof(*keyed));
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    if (!keyed || !hmac) {
        abort();
    }
    keyed->mac = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    memcpy(keyed->secret, secret, CAPI_SECRET_LEN);
    if (!keyed->mac || !EVP_MAC_init(keyed->mac, secret, CAPI_SECRET_LEN, params) ||
        pthread_setspecific(keyed_of_thread, keyed) != 0) {
        abort();
    }
    return keyed;
}

/* Ready for a message under this secret. */
static EVP_MAC_CTX *begin_mac(const unsigned char secret[CAPI_SECRET_LEN])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    keyed_t *keyed;

    pthread_once(&once, make_thread_key);
    keyed = pthread_getspecific(keyed_of_thread);
    if (keyed && memcmp(keyed->secret, secret, CAPI_SECRET_LEN) == 0) {
        return EVP_MAC_init(keyed->mac, NULL, 0, NULL) ? keyed->mac : NULL;
    }
    if (keyed) {
        free_keyed(keyed);
    }
    return make_keyed(secret)->mac;
}

static void hash_parts(char *hex, const unsigned char secret[CAPI_SECRET_LEN],
                       const char *const *parts, int count)
{
    unsigned char usual[512];
    unsigned char digest[SHA256_DIGEST_LENGTH];
    size_t message = message_len(parts, count);
    unsigned char *bytes = message <= sizeof(usual) ? usual : OPENSSL_malloc(message);
    EVP_MAC_CTX *mac = begin_mac(secret);
    size_t len = 0;

    if (!bytes) {
        abort();
    }
    write_message(bytes, parts, count);
    /* A constant in place of a hash would join strangers. */
    if (!mac || !EVP_MAC_update(mac, bytes, message) ||
        !EVP_MAC_final(mac, digest, &len, sizeof(digest))) {
        abort();
    }
    if (bytes != usual) {
        OPENSSL_free(bytes);
    }
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

/* The kernel is asked for many ids' worth at a time. What a fork copied is not used again: two
 * processes would mint the same. */
#define STOCK_LEN 512

static _Atomic unsigned int forks;

static void count_fork(void)
{
    atomic_fetch_add(&forks, 1);
}

static void watch_forks(void)
{
    if (pthread_atfork(NULL, NULL, count_fork) != 0) {
        abort();
    }
}

static apr_status_t take_random(unsigned char *bytes, apr_size_t count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static _Thread_local struct {
        unsigned int forks;
        apr_size_t left;
        unsigned char bytes[STOCK_LEN];
    } stock;
    unsigned int forks_now;

    pthread_once(&once, watch_forks);
    forks_now = atomic_load_explicit(&forks, memory_order_relaxed);
    if (stock.left < count || stock.forks != forks_now) {
        apr_status_t rv = read_random(stock.bytes, STOCK_LEN);

        if (rv != APR_SUCCESS) {
            stock.left = 0;
            return rv;
        }
        stock.left = STOCK_LEN;
        stock.forks = forks_now;
    }
    stock.left -= count;
    memcpy(bytes, stock.bytes + stock.left, count);
    return APR_SUCCESS;
}

/* The text of 16 bytes, with the bits of version and variant set (RFC 9562, section 4). */
static void write_uuid(char *text, unsigned char bytes[16], unsigned char version)
{
    static const unsigned char dashes_before[16] = {
        [4] = 1,  [5] = 1,  [6] = 2,  [7] = 2,  [8] = 3,  [9] = 3,
        [10] = 4, [11] = 4, [12] = 4, [13] = 4, [14] = 4, [15] = 4};

    bytes[6] = (unsigned char)((version << 4) | (bytes[6] & 0x0f));
    bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f));
    for (int i = 0; i < 16; i++) {
        char *at = text + 2 * i + dashes_before[i];

        at[0] = hex_digits[bytes[i] >> 4];
        at[1] = hex_digits[bytes[i] & 15];
    }
    text[8] = text[13] = text[18] = text[23] = '-';
    text[CAPI_UUID_LEN] = '\0';
}

apr_status_t capi_uuid7(char *text, apr_time_t now)
{
    unsigned char bytes[16];
    uint64_t tick;
    apr_status_t rv = take_random(bytes + 8, 8);

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
