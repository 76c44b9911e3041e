#ifndef CAPI_STORE_INT_H
#define CAPI_STORE_INT_H

/* What the store's own files (and report.c, which reads the same tables) share: the connection. */

#include <apr_dbd.h>

#include "store.h"

/* A statement that is prepared at its first use, which is after the schema was migrated. Values are
 * in the order of the placeholders: const char * for %s, const apr_int64_t * for %lld, NULL for
 * NULL; `count` of them. Any failure poisons an open transaction. */
typedef struct {
    const char *sql;
    apr_dbd_prepared_t *prepared;
} capi_statement_t;

typedef struct {
    capi_store_t *store;
    apr_pool_t *pool;
    apr_dbd_results_t *results;
    apr_dbd_row_t *row;
} capi_rows_t;

/* Runs a SELECT. All rows are copied into the pool: always LIMIT. */
apr_status_t capi_rows_select(capi_rows_t *rows, capi_store_t *store, capi_statement_t *statement,
                              const void *const *values, apr_pool_t *p);

/* Moves to the next row; false after the last. */
bool capi_rows_next(capi_rows_t *rows);

/* A column of the row, by its place from 0. NULL reads as 0 or as NULL. */
apr_int64_t capi_rows_int(const capi_rows_t *rows, int column);
const char *capi_rows_text(const capi_rows_t *rows, int column);

#endif
