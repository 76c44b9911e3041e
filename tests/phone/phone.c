/* Reads lines `COUNTRY<TAB>spelling` (no country: an empty one) and prints what would be hashed, or
 * an empty line for what is no number. */

#include "match.h"

#include <apr_general.h>
#include <apr_pools.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    apr_pool_t *pool;
    char line[4096];

    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof(line), stdin)) {
        char *spelling = strchr(line, '\t');
        const char *normal = "";

        if (!spelling) {
            fprintf(stderr, "no tab in: %s", line);
            return EXIT_FAILURE;
        }
        *spelling++ = '\0';
        spelling[strcspn(spelling, "\n")] = '\0';
        if (capi_match_normalise(&normal, CAPI_KEY_PH, spelling, *line ? line : NULL, pool) !=
            APR_SUCCESS) {
            normal = "";
        }
        puts(normal);
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return EXIT_SUCCESS;
}
