#ifndef CAPI_FEED_H
#define CAPI_FEED_H

/* Reads a Pinterest catalogue feed piece by piece, in memory that does not grow with it, and tells
 * the ids it lists: `id` and `item_group_id` of each product. TSV and CSV (RFC 4180) have a line of
 * column names; XML is RSS or Atom, its items' fields with or without Google's namespace. */

#include "capi.h"

#define CAPI_FEED_ID_MAX 256 /* Pinterest takes 127 characters; longer ones are left out */

typedef struct capi_feed_t capi_feed_t;

typedef void capi_feed_id_fn(void *baton, const char *id, apr_size_t len);

/* `found` is called for each id, blanks around it taken away, as often as it is there. Freed with
 * the pool. */
capi_feed_t *capi_feed_make(capi_feed_id_fn *found, void *baton, apr_pool_t *p);

/* The next piece; the first holds the line of column names. APR_EINVAL where it is no feed:
 * capi_feed_fault says why, in words that complete "the file". */
apr_status_t capi_feed_read(capi_feed_t *feed, const char *bytes, apr_size_t len);

/* After the last piece; a last line needs no end. */
apr_status_t capi_feed_end(capi_feed_t *feed);

const char *capi_feed_fault(const capi_feed_t *feed);

#endif
