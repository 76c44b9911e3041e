#ifndef CAPI_FEED_INT_H
#define CAPI_FEED_INT_H

/* What the readers of the two kinds of feed share. */

#include "feed.h"

/* A value that is being read; what does not fit is only counted. */
typedef struct {
    apr_size_t len;
    char text[CAPI_FEED_ID_MAX];
} capi_feed_value_t;

void capi_feed_add(capi_feed_value_t *value, const char *bytes, apr_size_t len);

/* Tells a complete id, where it is one. */
void capi_feed_tell(capi_feed_t *feed, capi_feed_value_t *value);

/* Remembers why it is no feed; APR_EINVAL. */
apr_status_t capi_feed_refuse(capi_feed_t *feed, const char *fault);

typedef struct capi_feed_xml_t capi_feed_xml_t;     /* feed_xml.c */
typedef struct capi_feed_table_t capi_feed_table_t; /* feed_table.c */

struct capi_feed_t {
    apr_pool_t *pool;
    capi_feed_id_fn *found;
    void *baton;
    const char *fault; /* NULL: none */
    capi_feed_xml_t *xml;
    capi_feed_table_t *table;
};

apr_status_t capi_feed_xml_begin(capi_feed_t *feed);
apr_status_t capi_feed_xml_read(capi_feed_t *feed, const char *bytes, apr_size_t len, bool is_last);

/* `bytes` hold the line of column names. */
apr_status_t capi_feed_table_begin(capi_feed_t *feed, const char *bytes, apr_size_t len);
apr_status_t capi_feed_table_read(capi_feed_t *feed, const char *bytes, apr_size_t len);
apr_status_t capi_feed_table_end(capi_feed_t *feed);

#endif
