/* user_data: the hashed match keys and the three that go out raw. Personal data ends here. */

#include "event_int.h"
#include "ident.h"
#include "match.h"
#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <arpa/inet.h>
#include <string.h>

#define VALUES_MAX  20
#define AGENT_MAX   16384
#define PARTNER_MAX 256
#define PLACE       "user_data."

/* One reading of a user_data object. */
typedef struct {
    json_t *output;
    const char *country; /* of the event itself, else the configured one */
    int left_out;
    capi_notes_t *notes;
} reading_t;

static void leave_out(reading_t *reading, const char *key, const char *why)
{
    reading->left_out++;
    capi_note(reading->notes, PLACE, key, why);
}

/* Strings and arrays of strings are read alike. */
static size_t value_count(const json_t *value)
{
    return json_is_array(value) ? json_array_size(value) : 1;
}

static const json_t *value_at(const json_t *value, size_t index)
{
    return json_is_array(value) ? json_array_get(value, index) : value;
}

static bool is_blank(const json_t *value)
{
    return json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0);
}

static void add_hash(json_t *output, const char *name, const char *hex)
{
    json_t *list = json_object_get(output, name);
    size_t index;
    json_t *own;

    if (!list) {
        list = json_array();
        json_object_set_new_nocheck(output, name, list);
    }
    json_array_foreach(list, index, own)
    {
        if (strcmp(json_string_value(own), hex) == 0) {
            return;
        }
    }
    json_array_append_new(list, json_stringn_nocheck(hex, CAPI_HEX_SHA256));
}

/* Device ids come hashed or not at all: whether a raw one is upper or lower case is the app's
 * secret. */
static apr_status_t hash_value(const char **hex, capi_key_t key, const char *text,
                               const reading_t *reading)
{
    if (key == CAPI_KEY_HASHED_MAIDS && !capi_is_sha256_hex(text, strlen(text))) {
        return APR_EINVAL;
    }
    return capi_match_hash(hex, key, text, reading->country, reading->notes->p);
}

static void add_hashed(reading_t *reading, capi_key_t key, const char *given_name,
                       const json_t *value)
{
    size_t count = value_count(value);

    if (count > VALUES_MAX) {
        leave_out(reading, given_name, "too many values, the rest left out");
        count = VALUES_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *one = value_at(value, i);
        const char *text = capi_scalar_text(one, reading->notes->p);
        const char *hex;

        if (is_blank(one)) {
            continue;
        }
        if (text && hash_value(&hex, key, text, reading) == APR_SUCCESS) {
            add_hash(reading->output, capi_key_name(key), hex);
        }
        else {
            leave_out(reading, given_name, "not what this key says, left out");
        }
    }
}

/* The country of the person, which says how to read a phone number and a postcode. */
static const char *own_country(const json_t *input, const char *country, apr_pool_t *p)
{
    const json_t *value = json_object_get(input, "country");
    const char *normal;

    for (size_t i = 0; value && i < value_count(value) && i < VALUES_MAX; i++) {
        const char *text = json_string_value(value_at(value, i));

        if (text && capi_match_normalise(&normal, CAPI_KEY_COUNTRY, text, NULL, p) == APR_SUCCESS) {
            return normal;
        }
    }
    return country;
}

/* A raw value; arrays of one are seen where people treat all keys alike. */
static const char *raw_text(const json_t *value, apr_pool_t *p)
{
    const char *text = capi_scalar_text(value_count(value) == 1 ? value_at(value, 0) : value, p);

    while (text && apr_isspace(*text)) {
        text++;
    }
    return text;
}

static void set_raw(reading_t *reading, const char *name, const char *text, apr_size_t len)
{
    json_object_set_new_nocheck(reading->output, name, json_stringn_nocheck(text, len));
}

static bool is_address(const char *text)
{
    unsigned char address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

static void add_click_id(reading_t *reading, const char *name, const char *text)
{
    if (!text || !capi_is_click_id(text, strlen(text))) {
        leave_out(reading, name, "not a click id, left out");
        return;
    }
    set_raw(reading, "click_id", text, strlen(text));
}

static void add_agent(reading_t *reading, const char *text)
{
    apr_size_t len = text ? strlen(text) : 0;

    if (!text || !capi_is_clean_text(text, len)) {
        leave_out(reading, "client_user_agent", "not a text, left out");
        return;
    }
    if (len > AGENT_MAX) {
        capi_note(reading->notes, PLACE, "client_user_agent", "too long, cut");
        len = AGENT_MAX;
        while (((unsigned char)text[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    set_raw(reading, "client_user_agent", text, len);
}

/* The keys that go out raw; false where `name` is none of them. */
static bool add_raw(reading_t *reading, const char *name, const json_t *value)
{
    bool is_click_id = strcmp(name, "click_id") == 0 || strcmp(name, "epik") == 0;
    bool is_agent = strcmp(name, "client_user_agent") == 0;
    bool is_client = strcmp(name, "client_ip_address") == 0;
    const char *text;

    if (!is_click_id && !is_agent && !is_client && strcmp(name, "partner_id") != 0) {
        return false;
    }
    text = raw_text(value, reading->notes->p);
    if (is_blank(value) || (text && !*text)) {
        return true;
    }
    if (is_click_id) {
        add_click_id(reading, name, text);
    }
    else if (is_agent) {
        add_agent(reading, text);
    }
    else if (!text ||
             (is_client ? !is_address(text)
                        : strlen(text) > PARTNER_MAX || !capi_is_clean_text(text, strlen(text)))) {
        leave_out(reading, name, "not what this key says, left out");
    }
    else {
        set_raw(reading, name, text, strlen(text));
    }
    return true;
}

static void read_keys(reading_t *reading, const json_t *input, bool takes_raw)
{
    const char *name;
    json_t *value;
    capi_key_t key;

    /* Iteration does not change the object; jansson has no const iterator. */
    json_object_foreach((json_t *)(uintptr_t)input, name, value)
    {
        if (capi_match_key(&key, name)) {
            add_hashed(reading, key, name, value);
        }
        else if (strcmp(name, "hashed_maids") == 0) {
            add_hashed(reading, CAPI_KEY_HASHED_MAIDS, name, value);
        }
        else if (!takes_raw || !add_raw(reading, name, value)) {
            leave_out(reading, name, "unknown, left out");
        }
    }
}

json_t *capi_read_user_data(int *left_out, const json_t *input, const char *country,
                            capi_notes_t *notes)
{
    reading_t reading = {json_object(), own_country(input, country, notes->p), 0, notes};

    read_keys(&reading, input, true);
    *left_out = reading.left_out;
    return reading.output;
}

json_t *capi_event_user_data(int *left_out, const json_t *input, const char *country, apr_pool_t *p)
{
    capi_notes_t notes = {p, NULL, 0};
    reading_t reading = {NULL, NULL, 0, &notes};

    if (left_out) {
        *left_out = 0;
    }
    if (!json_is_object(input)) {
        return NULL;
    }
    reading.output = json_object();
    reading.country = own_country(input, country, p);
    read_keys(&reading, input, false);
    if (left_out) {
        *left_out = reading.left_out;
    }
    return reading.output;
}
