/* The canonical event once it is made: completed, merged, looked at and written out. */

#include "event.h"
#include "ident.h"
#include "text.h"

#include <apr_strings.h>

#include <stdlib.h>
#include <string.h>

#define FIRST_GUESS 1024 /* bytes of a usual event's text */

void capi_event_set_id(capi_event_t *event, const char *event_id, apr_pool_t *p)
{
    event->event_id = apr_pstrdup(p, event_id);
    if (event->body) {
        json_object_set_new(event->body, "event_id", json_string(event_id));
    }
}

const char *capi_event_derive_id(const json_t *input, apr_pool_t *p)
{
    char *text = json_dumps(input, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    char hex[CAPI_HEX_SHA256 + 1];

    if (!text) {
        return NULL;
    }
    capi_sha256_hex(hex, text, strlen(text));
    free(text);
    return apr_psprintf(p, "h_%.32s", hex);
}

static void set_missing_text(json_t *object, const char *key, const char *text)
{
    if (text && *text && !json_object_get(object, key) && capi_is_clean_text(text, strlen(text))) {
        json_object_set_new_nocheck(object, key, json_string_nocheck(text));
    }
}

void capi_event_complete(json_t *body, const capi_event_client_t *client)
{
    json_t *own = json_object_get(body, "user_data");

    set_missing_text(body, "event_source_url", client->page_url);
    set_missing_text(own, "click_id", client->click_id);
    set_missing_text(own, "client_ip_address", client->address);
    set_missing_text(own, "client_user_agent", client->agent);
    if (client->user_data) {
        /* Adds references to the other's arrays and leaves it as it is. */
        json_object_update_missing(own, (json_t *)(uintptr_t)client->user_data);
    }
}

static bool has_content(const json_t *value)
{
    return json_is_array(value) ? json_array_size(value) > 0 : json_is_string(value);
}

capi_keys_t capi_user_data_keys(const json_t *user_data)
{
    capi_keys_t keys = 0;

    for (int i = 0; i < CAPI_KEY_COUNT && user_data; i++) {
        if (has_content(json_object_get(user_data, capi_key_name((capi_key_t)i)))) {
            keys |= CAPI_KEY_BIT(i);
        }
    }
    return keys;
}

capi_keys_t capi_event_keys(const json_t *body)
{
    return capi_user_data_keys(json_object_get(body, "user_data"));
}

void capi_event_merge(json_t *stronger, const json_t *weaker)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)weaker, key, value)
    {
        json_t *own = json_object_get(stronger, key);

        if (!own) {
            json_object_set_new(stronger, key, json_copy(value));
        }
        else if (json_is_object(own) && json_is_object(value)) {
            json_object_update_missing(own, value);
        }
    }
}

bool capi_event_is_sendable(const json_t *body)
{
    capi_keys_t keys = capi_event_keys(body);
    capi_keys_t client =
        CAPI_KEY_BIT(CAPI_KEY_CLIENT_IP_ADDRESS) | CAPI_KEY_BIT(CAPI_KEY_CLIENT_USER_AGENT);

    return (keys & (CAPI_KEY_BIT(CAPI_KEY_EM) | CAPI_KEY_BIT(CAPI_KEY_HASHED_MAIDS))) ||
           (keys & client) == client;
}

const char *capi_event_text(apr_size_t *len, const json_t *body, apr_pool_t *p)
{
    apr_size_t room = FIRST_GUESS;
    char *text = apr_palloc(p, room);
    size_t need = json_dumpb(body, text, room - 1, JSON_COMPACT);

    if (need > room - 1) {
        text = apr_palloc(p, need + 1);
        need = json_dumpb(body, text, need, JSON_COMPACT);
    }
    text[need] = '\0';
    *len = need;
    return text;
}
