/* Catalogue feeds: whatever comes, the ids do not depend on how it is cut into pieces. */

#include "feed.h"

#include <string.h>

#include "fuzz.h"

#define PIECE 7

typedef struct {
    unsigned long sum;
    unsigned long count;
} told_t;

static void note_id(void *baton, const char *id, apr_size_t len)
{
    told_t *told = baton;
    apr_size_t i;

    require(len > 0 && len <= CAPI_FEED_ID_MAX, "an id of no length, or too long a one");
    for (i = 0; i < len; i++) {
        told->sum = told->sum * 31 + (unsigned char)id[i];
    }
    told->count++;
}

static bool read_feed(told_t *told, const char *text, size_t len, size_t piece)
{
    capi_feed_t *feed = capi_feed_make(note_id, told, pool);
    const char *line = memchr(text, '\n', len);
    size_t at = line ? (size_t)(line - text) + 1 : len;
    apr_status_t rv;

    at = at > piece ? at : piece;
    at = at < len ? at : len;
    rv = capi_feed_read(feed, text, at);
    while (rv == APR_SUCCESS && at < len) {
        size_t rest = len - at < piece ? len - at : piece;

        rv = capi_feed_read(feed, text + at, rest);
        at += rest;
    }
    rv = rv == APR_SUCCESS ? capi_feed_end(feed) : rv;
    require((rv == APR_SUCCESS) == (capi_feed_fault(feed) == NULL), "a fault without a word");
    return rv == APR_SUCCESS;
}

static void run_one(const char *text, size_t len)
{
    told_t whole = {0};
    told_t pieces = {0};
    bool is_feed = read_feed(&whole, text, len, len);

    require(read_feed(&pieces, text, len, PIECE) == is_feed, "a feed in pieces is another");
    require(!is_feed || (whole.sum == pieces.sum && whole.count == pieces.count),
            "pieces have other ids");
}
