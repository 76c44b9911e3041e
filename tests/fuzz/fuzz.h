#ifndef FUZZ_H
#define FUZZ_H

/* What every fuzz target needs: its input as a C string of exact length (so that a read past the end
 * is seen), and a pool that is cleared after each run. With -DREPLAY the target is a program that
 * runs the files named on its command line, for the test that replays the corpus. */

#include <apr_general.h>
#include <apr_pools.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static apr_pool_t *pool;

/* Defined by each target. `text` has `len` bytes and a NUL behind them. */
static void run_one(const char *text, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
    }
    memcpy(text, data, size);
    text[size] = '\0';
    run_one(text, size);
    free(text);
    apr_pool_clear(pool);
    return 0;
}

static inline void require(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

#ifdef REPLAY
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        static uint8_t data[1 << 20];
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            perror(argv[i]);
            return 1;
        }
        size_t size = fread(data, 1, sizeof(data), file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%d replayed\n", argc - 1);
    return 0;
}
#endif

#endif
