#include "rate.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <arpa/inet.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

/* A count-min sketch: an address has one cell in each row, and its count is the smallest of them. One
 * row lies about an address with probability (busy addresses / COLUMNS); all four lie about one in
 * a billion while a thousand addresses are busy in the same minute. 2 MiB in all. */
#define ROWS    4
#define COLUMNS 65536

struct capi_rate_t {
    /* minute in the upper half, count in the lower: a cell of an earlier minute reads as 0 */
    _Atomic uint64_t cells[ROWS][COLUMNS];
};

static apr_status_t unmap(void *rate)
{
    munmap(rate, sizeof(capi_rate_t));
    return APR_SUCCESS;
}

apr_status_t capi_rate_create(capi_rate_t **rate, apr_pool_t *p)
{
    void *memory =
        mmap(NULL, sizeof(capi_rate_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return apr_get_os_error();
    }
    *rate = memory;
    apr_pool_cleanup_register(p, memory, unmap, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

/* What counts as one client: an IPv4 address, or the first half of an IPv6 address. */
static apr_size_t read_client(unsigned char client[16], const char *address)
{
    if (inet_pton(AF_INET, address, client) == 1) {
        return 4;
    }
    if (inet_pton(AF_INET6, address, client) == 1) {
        return 8;
    }
    memset(client, 0, 16);
    return 16;
}

static uint32_t count_of(uint64_t cell, uint32_t minute)
{
    return (uint32_t)(cell >> 32) == minute ? (uint32_t)cell : 0;
}

static void add(_Atomic uint64_t *cell, uint32_t minute, uint32_t events)
{
    uint64_t before = atomic_load_explicit(cell, memory_order_relaxed);
    uint64_t after;

    do {
        after = (uint64_t)minute << 32 | (count_of(before, minute) + events);
    } while (!atomic_compare_exchange_weak_explicit(cell, &before, after, memory_order_relaxed,
                                                    memory_order_relaxed));
}

bool capi_rate_take(capi_rate_t *rate, const unsigned char *secret, apr_size_t secret_len,
                    const char *address, int events, int limit, apr_time_t now,
                    int *retry_after_sec)
{
    unsigned char client[16];
    unsigned char mac[EVP_MAX_MD_SIZE];
    uint32_t minute = (uint32_t)(apr_time_sec(now) / 60);
    uint32_t count = UINT32_MAX;
    _Atomic uint64_t *cells[ROWS];

    HMAC(EVP_sha256(), secret, (int)secret_len, client, read_client(client, address), mac, NULL);
    for (int row = 0; row < ROWS; row++) {
        uint16_t column = (uint16_t)(mac[2 * row] << 8 | mac[2 * row + 1]);
        cells[row] = &rate->cells[row][column];
        uint32_t here = count_of(atomic_load_explicit(cells[row], memory_order_relaxed), minute);
        count = here < count ? here : count;
    }
    if (count + (uint32_t)(events > 0 ? events : 1) > (uint32_t)limit) {
        *retry_after_sec = 60 - (int)(apr_time_sec(now) % 60);
        return false;
    }
    for (int row = 0; row < ROWS; row++) {
        add(cells[row], minute, (uint32_t)events);
    }
    return true;
}
