/* A captured event as the text that is queued, stored and sent. One is made for every page that
 * somebody looks at, so what is known as text goes straight into the buffer. */

#include "event_int.h"
#include "text.h"

#include <apr_strings.h>

#include <stdint.h>
#include <string.h>

#define USUAL_ROOM 4096 /* of the text, on the stack: what is longer has room made for it */
#define ESCAPED    6    /* bytes that one may take: \u000B */
#define FRAME      512  /* names, quotes, braces and the time */
#define COMPACT    (JSON_COMPACT | JSON_ENCODE_ANY)

/* --- text --- */

/* How many bytes need no escape: whole groups of eight, as far as all are such. */
static apr_size_t plain_len(const char *text, apr_size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    apr_size_t at;

    for (at = 0; len - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t eight;
        uint64_t quotes;
        uint64_t slashes;

        memcpy(&eight, text + at, sizeof(eight));
        quotes = eight ^ '"' * ones;
        slashes = eight ^ '\\' * ones;
        /* a borrow reaches the top bit of a byte that is 0, or below 0x20 */
        if ((((eight - 0x20 * ones) & ~eight) | ((quotes - ones) & ~quotes) |
             ((slashes - ones) & ~slashes)) &
            0x80 * ones) {
            break;
        }
    }
    return at;
}

static char *put(char *at, const char *bytes, apr_size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static char *put_escape(char *at, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    char escape[] = {'\\', 'u', '0', '0', digits[(c >> 4) & 15], digits[c & 15]};

    if (c == '"' || c == '\\') {
        escape[1] = c;
        return put(at, escape, 2);
    }
    return put(at, escape, sizeof(escape));
}

static char *put_string(char *at, const char *text)
{
    apr_size_t len = strlen(text);
    apr_size_t plain = plain_len(text, len);

    *at++ = '"';
    at = put(at, text, plain);
    for (; plain < len; plain++) {
        char c = text[plain];

        if ((unsigned char)c < 0x20 || c == '"' || c == '\\') {
            at = put_escape(at, c);
        }
        else {
            *at++ = c;
        }
    }
    *at++ = '"';
    return at;
}

/* `"name":` */
static char *put_name(char *at, const char *name)
{
    *at++ = '"';
    at = put(at, name, strlen(name));
    return put(at, "\":", 2);
}

/* Members end in a comma; that of the last one becomes the brace. */
static char *put_text(char *at, const char *name, const char *text)
{
    at = put_string(put_name(at, name), text);
    *at++ = ',';
    return at;
}

static char *put_json(char *at, const char *name, const json_t *value)
{
    apr_size_t len = json_dumpb(value, NULL, 0, COMPACT);

    at = put_name(at, name);
    json_dumpb(value, at, len, COMPACT);
    at[len] = ',';
    return at + len + 1;
}

static char *end_object(char *at)
{
    if (at[-1] == ',') {
        at[-1] = '}';
        return at;
    }
    *at++ = '}';
    return at;
}

/* --- the event --- */

static bool is_sayable(const char *text)
{
    return text && *text && capi_is_clean_text(text, strlen(text));
}

/* Raw fields where the event has none of its own. */
static char *put_client(char *at, capi_keys_t *keys, const json_t *own,
                        const capi_event_client_t *client)
{
    const struct {
        capi_key_t key;
        const char *text;
    } raw[] = {{CAPI_KEY_CLICK_ID, client->click_id},
               {CAPI_KEY_CLIENT_IP_ADDRESS, client->address},
               {CAPI_KEY_CLIENT_USER_AGENT, client->agent}};

    for (apr_size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
        const char *name = capi_key_name(raw[i].key);

        if (raw[i].text && *raw[i].text && !json_object_get(own, name)) {
            at = put_text(at, name, raw[i].text);
            *keys |= CAPI_KEY_BIT(raw[i].key);
        }
    }
    return at;
}

static char *put_user_data(char *at, capi_keys_t *keys, const json_t *own,
                           const capi_event_client_t *client)
{
    const char *name;
    json_t *value;

    *keys = capi_user_data_keys(own);
    at = put(put_name(at, "user_data"), "{", 1);
    json_object_foreach((json_t *)(uintptr_t)own, name, value)
    {
        at = put_json(at, name, value);
    }
    at = put_client(at, keys, own, client);
    json_object_foreach((json_t *)(uintptr_t)client->user_data, name, value)
    {
        if (!json_object_get(own, name)) {
            at = put_json(at, name, value);
        }
    }
    if (client->user_data) {
        *keys |= capi_user_data_keys(client->user_data) & ~capi_user_data_keys(own);
    }
    at = end_object(at);
    *at++ = ',';
    return at;
}

/* Whatever else was said of it. */
static char *put_rest(char *at, const json_t *body)
{
    static const char *const written[] = {"event_name", "action_source",    "event_time",
                                          "event_id",   "event_source_url", "user_data"};
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        apr_size_t i = 0;

        while (i < sizeof(written) / sizeof(written[0]) && strcmp(written[i], name) != 0) {
            i++;
        }
        if (i == sizeof(written) / sizeof(written[0])) {
            at = put_json(at, name, value);
        }
    }
    return at;
}

static apr_size_t room_of(const capi_event_t *event, const capi_event_client_t *client,
                          const char *url)
{
    const char *const texts[] = {event->sent_as,   event->event_id, url,
                                 client->click_id, client->address, client->agent};
    apr_size_t room = FRAME;

    for (apr_size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        room += texts[i] ? ESCAPED * strlen(texts[i]) : 0;
    }
    room += event->body ? json_dumpb(event->body, NULL, 0, COMPACT) : 0;
    return room + (client->user_data ? json_dumpb(client->user_data, NULL, 0, COMPACT) : 0);
}

static char *put_event(char *at, capi_keys_t *keys, const capi_event_t *event,
                       const capi_event_client_t *client, const char *url)
{
    const char *source = json_string_value(json_object_get(event->body, "action_source"));

    *at++ = '{';
    at = put_text(at, "event_name", event->sent_as);
    at = put_text(at, "action_source", source ? source : "web");
    at = put_name(at, "event_time");
    at += apr_snprintf(at, FRAME, "%" APR_INT64_T_FMT ",", event->event_time);
    at = event->event_id ? put_text(at, "event_id", event->event_id) : at;
    at = url ? put_text(at, "event_source_url", url) : at;
    at = put_user_data(at, keys, json_object_get(event->body, "user_data"), client);
    return end_object(put_rest(at, event->body));
}

const char *capi_event_write(apr_size_t *len, capi_keys_t *keys, const capi_event_t *event,
                             const capi_event_client_t *client, apr_pool_t *p)
{
    char usual[USUAL_ROOM];
    capi_event_client_t said = *client;
    const char *url = json_string_value(json_object_get(event->body, "event_source_url"));
    apr_size_t room;
    char *text;

    /* what is no text is not said */
    said.click_id = is_sayable(client->click_id) ? client->click_id : NULL;
    said.address = is_sayable(client->address) ? client->address : NULL;
    said.agent = is_sayable(client->agent) ? client->agent : NULL;
    url = url || !is_sayable(client->page_url) ? url : client->page_url;
    room = room_of(event, &said, url);
    text = room <= sizeof(usual) ? usual : apr_palloc(p, room);
    *len = (apr_size_t)(put_event(text, keys, event, &said, url) - text);
    return apr_pstrmemdup(p, text, *len);
}
