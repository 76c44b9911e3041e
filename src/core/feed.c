/* Which kind of feed it is, and the values that both readers collect. */

#include "feed_int.h"

#include <apr_lib.h>

#include <string.h>

capi_feed_t *capi_feed_make(capi_feed_id_fn *found, void *baton, apr_pool_t *p)
{
    capi_feed_t *feed = apr_pcalloc(p, sizeof(*feed));

    feed->pool = p;
    feed->found = found;
    feed->baton = baton;
    return feed;
}

const char *capi_feed_fault(const capi_feed_t *feed)
{
    return feed->fault;
}

apr_status_t capi_feed_refuse(capi_feed_t *feed, const char *fault)
{
    feed->fault = fault;
    return APR_EINVAL;
}

void capi_feed_add(capi_feed_value_t *value, const char *bytes, apr_size_t len)
{
    apr_size_t room = value->len < CAPI_FEED_ID_MAX ? CAPI_FEED_ID_MAX - value->len : 0;

    memcpy(value->text + (CAPI_FEED_ID_MAX - room), bytes, len < room ? len : room);
    value->len += len;
}

void capi_feed_tell(capi_feed_t *feed, capi_feed_value_t *value)
{
    const char *text = value->text;
    apr_size_t len = value->len;

    value->len = 0;
    if (len > CAPI_FEED_ID_MAX) {
        return;
    }
    while (len > 0 && apr_isspace(text[len - 1])) {
        len--;
    }
    while (len > 0 && apr_isspace(*text)) {
        text++;
        len--;
    }
    if (len > 0) {
        feed->found(feed->baton, text, len);
    }
}

/* Lines of a table begin with a column's name, XML with a tag. */
static apr_status_t begin(capi_feed_t *feed, const char *bytes, apr_size_t len)
{
    apr_size_t mark = 0;

    while (mark < len && apr_isspace(bytes[mark])) {
        mark++;
    }
    if (len >= 2 && memcmp(bytes, "\x1f\x8b", 2) == 0) {
        return capi_feed_refuse(feed, "is packed with gzip: unpack it");
    }
    if (mark == len) {
        return capi_feed_refuse(feed, "is empty");
    }
    /* UTF-16, which expat reads, begins with its mark */
    if (bytes[mark] == '<' || bytes[0] == (char)0xfe || bytes[0] == (char)0xff) {
        return capi_feed_xml_begin(feed);
    }
    return capi_feed_table_begin(feed, bytes, len);
}

apr_status_t capi_feed_read(capi_feed_t *feed, const char *bytes, apr_size_t len)
{
    if (!feed->fault && !feed->xml && !feed->table) {
        apr_size_t mark = len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

        bytes += mark;
        len -= mark;
        begin(feed, bytes, len);
    }
    if (feed->fault) {
        return APR_EINVAL;
    }
    return feed->xml ? capi_feed_xml_read(feed, bytes, len, false)
                     : capi_feed_table_read(feed, bytes, len);
}

apr_status_t capi_feed_end(capi_feed_t *feed)
{
    if (!feed->fault && !feed->xml && !feed->table) {
        capi_feed_refuse(feed, "is empty");
    }
    if (feed->fault) {
        return APR_EINVAL;
    }
    return feed->xml ? capi_feed_xml_read(feed, "", 0, true) : capi_feed_table_end(feed);
}
