/* The API's answers, and Pinterest's own shapes made hostile. */

#include "wire.h"

#include "fuzz.h"

static void run_one(const char *text, size_t len)
{
    capi_result_t *results = NULL;
    const char *message = NULL;
    int expected = len ? (unsigned char)text[0] % 4 + 1 : 1;

    if (capi_wire_answer(&results, &message, text, len, expected, pool) == APR_SUCCESS) {
        for (int i = 0; i < expected; i++) {
            require(!results[i].error || strlen(results[i].error) <= 500, "an endless error");
        }
    }
}
