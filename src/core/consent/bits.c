#include "bits.h"

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

void capi_bits_open(capi_bits_t *bits, const char *text, apr_size_t len)
{
    *bits = (capi_bits_t){.text = text, .len = len};
    for (apr_size_t i = 0; i < len; i++) {
        bits->failed = bits->failed || sextet(text[i]) < 0;
    }
}

uint64_t capi_bits_at(capi_bits_t *bits, apr_size_t offset, int width)
{
    uint64_t value = 0;

    if (bits->failed || width > 36 || offset + (apr_size_t)width > bits->len * 6) {
        bits->failed = true;
        return 0;
    }
    for (apr_size_t bit = offset; bit < offset + (apr_size_t)width; bit++) {
        unsigned six = (unsigned)sextet(bits->text[bit / 6]);
        value = value << 1 | (six >> (5 - bit % 6) & 1u);
    }
    return value;
}

uint64_t capi_bits_take(capi_bits_t *bits, int width)
{
    uint64_t value = capi_bits_at(bits, bits->pos, width);

    bits->pos += (apr_size_t)width;
    return value;
}

unsigned capi_bits_take_fibonacci(capi_bits_t *bits)
{
    unsigned value = 0, weight = 1, next = 2;
    bool was_set = false;

    for (int i = 0; i < 24; i++) {
        bool is_set = capi_bits_take(bits, 1) != 0;
        if (bits->failed) {
            return 0;
        }
        if (is_set && was_set) {
            return value;
        }
        value += is_set ? weight : 0;
        unsigned sum = weight + next;
        weight = next;
        next = sum;
        was_set = is_set;
    }
    bits->failed = true;
    return 0;
}

void capi_bits_skip(capi_bits_t *bits, uint64_t count)
{
    if (count > bits->len * 6 - (bits->pos < bits->len * 6 ? bits->pos : bits->len * 6)) {
        bits->failed = true;
        return;
    }
    bits->pos += (apr_size_t)count;
}
