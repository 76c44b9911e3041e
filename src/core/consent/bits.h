#ifndef CAPI_BITS_H
#define CAPI_BITS_H

/* Reads big-endian bit fields from base64url text in place: nothing is allocated, and nothing is
 * read past the end. Once a read runs over or meets a character outside the alphabet, `failed`
 * stays set and every value is 0. */

#include "capi.h"

typedef struct {
    const char *text;
    apr_size_t len; /* characters, six bits each */
    apr_size_t pos; /* next bit */
    bool failed;
} capi_bits_t;

/* A reader over `len` characters; failed at once where one of them is not base64url. */
void capi_bits_open(capi_bits_t *bits, const char *text, apr_size_t len);

/* The next `width` bits, at most 36. */
uint64_t capi_bits_take(capi_bits_t *bits, int width);

/* `width` bits at `offset`; 0 and failed where they are not all there. Does not move. */
uint64_t capi_bits_at(capi_bits_t *bits, apr_size_t offset, int width);

/* A number in the Fibonacci code that GPP's header uses (a 1 after a 1 ends it); 0 and failed where
 * it does not end within 24 bits. */
unsigned capi_bits_take_fibonacci(capi_bits_t *bits);

/* Fails where `count` bits are not left, then skips them. */
void capi_bits_skip(capi_bits_t *bits, uint64_t count);

#endif
