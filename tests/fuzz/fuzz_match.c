/* Personal data before it is hashed: the first byte is the key, the next two the country. */

#include "match.h"

#include "fuzz.h"

#include <apr_strings.h>

static void run_one(const char *text, size_t len)
{
    capi_key_t key = len ? (capi_key_t)((unsigned char)text[0] % CAPI_KEY_COUNT) : 0;
    const char *country = len > 3 ? apr_pstrmemdup(pool, text + 1, 2) : NULL;
    const char *value = text + (len > 3 ? 3 : 0);
    const char *normal;
    const char *hex;
    apr_status_t rv = capi_match_hash(&hex, key, value, country, pool);

    require(rv != APR_SUCCESS || strspn(hex, "0123456789abcdef") == 64, "a hash that is none");
    require(rv != APR_SUCCESS || hex[64] == '\0', "a hash that goes on");
    if (capi_match_normalise(&normal, key, value, country, pool) == APR_SUCCESS) {
        require(*normal != '\0', "nothing, hashed");
    }
}
