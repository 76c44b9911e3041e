/* Feeds of lines: columns apart by tabs or commas, quotes as RFC 4180 has them. */

#include "feed_int.h"

#include <apr_strings.h>

#include <string.h>

/* Where in a field the reader is. */
typedef enum { FIELD_START, FIELD_PLAIN, FIELD_QUOTED, FIELD_QUOTE_SEEN } place_t;

#define NO_COLUMN (-1)

struct capi_feed_table_t {
    char separator;
    place_t place;
    int column;
    bool has_names; /* the line of column names is behind */
    int id;         /* the columns that count */
    int group;
    capi_feed_value_t value;
};

apr_status_t capi_feed_table_begin(capi_feed_t *feed, const char *bytes, apr_size_t len)
{
    const char *end = memchr(bytes, '\n', len);
    apr_size_t line = end ? (apr_size_t)(end - bytes) : len;

    feed->table = apr_pcalloc(feed->pool, sizeof(*feed->table));
    feed->table->separator = memchr(bytes, '\t', line) ? '\t' : ',';
    feed->table->id = feed->table->group = NO_COLUMN;
    return APR_SUCCESS;
}

static void name_column(capi_feed_table_t *table)
{
    const char *name = table->value.text;
    apr_size_t len = table->value.len < CAPI_FEED_ID_MAX ? table->value.len : CAPI_FEED_ID_MAX;

    while (len > 0 && (name[len - 1] == ' ' || name[len - 1] == '\r')) {
        len--;
    }
    if (len == 2 && strncasecmp(name, "id", 2) == 0) {
        table->id = table->column;
    }
    else if (len == 13 && strncasecmp(name, "item_group_id", 13) == 0) {
        table->group = table->column;
    }
    table->value.len = 0;
}

static void end_field(capi_feed_t *feed)
{
    capi_feed_table_t *table = feed->table;

    if (!table->has_names) {
        name_column(table);
    }
    else if (table->column == table->id || table->column == table->group) {
        capi_feed_tell(feed, &table->value);
    }
    table->value.len = 0;
    table->place = FIELD_START;
    table->column++;
}

static apr_status_t end_line(capi_feed_t *feed)
{
    capi_feed_table_t *table = feed->table;

    end_field(feed);
    table->column = 0;
    if (!table->has_names && table->id == NO_COLUMN) {
        return capi_feed_refuse(feed, "has no column named id in its first line");
    }
    table->has_names = true;
    return APR_SUCCESS;
}

static void add_char(capi_feed_table_t *table, char c)
{
    if (!table->has_names || table->column == table->id || table->column == table->group) {
        capi_feed_add(&table->value, &c, 1);
    }
}

static apr_status_t read_char(capi_feed_t *feed, char c)
{
    capi_feed_table_t *table = feed->table;

    if (table->place == FIELD_QUOTED) {
        if (c == '"') {
            table->place = FIELD_QUOTE_SEEN;
        }
        else {
            add_char(table, c);
        }
        return APR_SUCCESS;
    }
    if (c == '\n') {
        return end_line(feed);
    }
    if (c == table->separator) {
        end_field(feed);
    }
    else if (c == '"' && table->place == FIELD_START) {
        table->place = FIELD_QUOTED;
    }
    else if (c == '"' && table->place == FIELD_QUOTE_SEEN) {
        add_char(table, c); /* two of them inside quotes are one */
        table->place = FIELD_QUOTED;
    }
    else {
        add_char(table, c);
        table->place = FIELD_PLAIN;
    }
    return APR_SUCCESS;
}

apr_status_t capi_feed_table_read(capi_feed_t *feed, const char *bytes, apr_size_t len)
{
    apr_status_t rv = APR_SUCCESS;
    apr_size_t i;

    for (i = 0; i < len && rv == APR_SUCCESS; i++) {
        rv = read_char(feed, bytes[i]);
    }
    return rv;
}

apr_status_t capi_feed_table_end(capi_feed_t *feed)
{
    const capi_feed_table_t *table = feed->table;

    if (table->place == FIELD_QUOTED) {
        return capi_feed_refuse(feed, "ends inside quotes: a quote is missing in it");
    }
    return table->column > 0 || table->value.len > 0 || !table->has_names ? end_line(feed)
                                                                          : APR_SUCCESS;
}
