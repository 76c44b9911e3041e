/* Which addresses are a shopper's: not those of our own networks. */

#include "text.h"

#include <arpa/inet.h>
#include <string.h>

/* RFC 6890 and its registry; the three documentation networks are left out of it on purpose, so
 * that examples and tests work with addresses that belong to nobody. */
static const struct {
    uint32_t network;
    int bits;
} special_v4[] = {
    {0x00000000, 8},  /* this network */
    {0x0a000000, 8},  /* private */
    {0x64400000, 10}, /* shared, carrier-grade NAT */
    {0x7f000000, 8},  /* loopback */
    {0xa9fe0000, 16}, /* link-local */
    {0xac100000, 12}, /* private */
    {0xc0000000, 24}, /* protocol assignments */
    {0xc0a80000, 16}, /* private */
    {0xc6120000, 15}, /* benchmarks */
    {0xe0000000, 4},  /* multicast */
    {0xf0000000, 4},  /* reserved, broadcast */
};

static bool is_public_v4(uint32_t address)
{
    for (apr_size_t i = 0; i < sizeof(special_v4) / sizeof(special_v4[0]); i++) {
        uint32_t mask = 0xffffffffu << (32 - special_v4[i].bits);

        if ((address & mask) == special_v4[i].network) {
            return false;
        }
    }
    return true;
}

/* Global unicast is 2000::/3; of it 2001::/23 is for protocols (Teredo, ORCHID, benchmarks). */
static bool is_public_v6(const unsigned char *address)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (memcmp(address, mapped, sizeof(mapped)) == 0) {
        return is_public_v4((uint32_t)address[12] << 24 | (uint32_t)address[13] << 16 |
                            (uint32_t)address[14] << 8 | address[15]);
    }
    if ((address[0] & 0xe0) != 0x20) {
        return false;
    }
    return !(address[0] == 0x20 && address[1] == 0x01 && address[2] < 0x02);
}

bool capi_is_public_address(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (!address) {
        return false;
    }
    if (inet_pton(AF_INET, address, &v4) == 1) {
        return is_public_v4(ntohl(v4.s_addr));
    }
    return inet_pton(AF_INET6, address, &v6) == 1 && is_public_v6(v6.s6_addr);
}
