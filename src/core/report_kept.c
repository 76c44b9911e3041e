/* What is still kept of an event, so that a person can see what will be sent and recognise nobody. */

#include "report_actions.h"

#include <apr_strings.h>

#include <string.h>

#include "report_int.h"
#include "report_sql.h"
#include "utf8.h"

#define ELLIPSIS "\xe2\x80\xa6"

#define HASH_SHOWN  8
#define AGENT_SHOWN 24

/* The first bytes, to a character's end. */
static json_t *shortened(const char *text, apr_size_t shown, apr_pool_t *p)
{
    if (strlen(text) <= shown) {
        /* Never whole: half of it, however short. */
        shown = strlen(text) / 2;
    }
    while (shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80) {
        shown--;
    }
    return json_string(apr_pstrcat(p, apr_pstrmemdup(p, text, shown), ELLIPSIS, NULL));
}

/* An address's network: two parts of it. */
static json_t *shortened_address(const char *text, apr_pool_t *p)
{
    apr_size_t first = strcspn(text, ".:");
    apr_size_t second = text[first] ? first + 1 + strcspn(text + first + 1, ".:") : first;

    return shortened(text, text[second] ? second + 1 : HASH_SHOWN, p);
}

static json_t *shortened_value(const char *key, const char *text, apr_pool_t *p)
{
    if (strcmp(key, capi_key_name(CAPI_KEY_CLIENT_IP_ADDRESS)) == 0) {
        return shortened_address(text, p);
    }
    return shortened(
        text,
        strcmp(key, capi_key_name(CAPI_KEY_CLIENT_USER_AGENT)) == 0 ? AGENT_SHOWN : HASH_SHOWN, p);
}

static void shorten(json_t *user_data, apr_pool_t *p)
{
    const char *key;
    json_t *value;
    apr_size_t i;

    json_object_foreach(user_data, key, value)
    {
        if (json_is_string(value)) {
            json_object_set_new(user_data, key, shortened_value(key, json_string_value(value), p));
            continue;
        }
        for (i = 0; i < json_array_size(value); i++) {
            const char *text = json_string_value(json_array_get(value, i));

            json_array_set_new(value, i, text ? shortened_value(key, text, p) : json_null());
        }
    }
}

apr_status_t capi_report_kept(json_t *delivery, capi_store_t *store, apr_int64_t id, apr_pool_t *p)
{
    capi_statement_t payloads = {.sql = REPORT_SQL_PAYLOADS};
    const void *values[] = {&id, &id};
    json_t *kept = json_array();
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &payloads, values, p);

    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        capi_source_t source = (capi_source_t)capi_rows_int(&rows, 0);
        json_t *event = json_loads(capi_utf8_repair(capi_rows_text(&rows, 1), p), 0, NULL);

        shorten(json_object_get(event, "user_data"), p);
        json_array_append_new(kept, json_pack("{s:s, s:o}", "source", capi_source_name(source),
                                              "event", event ? event : json_null()));
    }
    json_object_set_new(delivery, "kept", kept);
    return rv;
}
