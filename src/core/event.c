/* Reads one event as people write it and makes the canonical one of it. Strict about what goes
 * out, because Pinterest refuses a whole batch for one key it does not know. */

#include "event_int.h"
#include "names.h"
#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>
#include <strings.h>

#define ORDER_ID_MAX 256
#define CONTEXT_MAX  256
#define URL_MAX      8192

/* Seconds have 10 digits until 2286, milliseconds 13, microseconds 16. */
#define MSEC_FROM 100000000000LL
#define USEC_FROM 100000000000000LL

/* Clocks differ; this much ahead is not worth a word. */
#define SKEW_SEC 60

typedef struct {
    capi_event_t *event;
    const json_t *input;
    const capi_event_rules_t *rules;
    capi_notes_t notes;
    apr_pool_t *p;
} parser_t;

static apr_status_t free_body(void *body)
{
    json_decref(body);
    return APR_SUCCESS;
}

/* Text without tabs and line feeds, 1 to `max` bytes; an integer counts as text. */
static const char *line_of(const json_t *value, apr_size_t max, apr_pool_t *p)
{
    const char *text = capi_scalar_text(value, p);
    apr_size_t len = text ? strlen(text) : 0;

    if (len < 1 || len > max || strpbrk(text, "\t\n") || !capi_is_clean_text(text, len)) {
        return NULL;
    }
    return apr_pstrmemdup(p, text, len);
}

/* True where the input says anything under `key`: null and empty text say nothing. */
static bool says(const json_t *input, const char *key)
{
    const json_t *value = json_object_get(input, key);

    return value && !json_is_null(value) &&
           !(json_is_string(value) && json_string_length(value) == 0);
}

static capi_vocabulary_t read_vocabulary(parser_t *parser)
{
    const char *word = json_string_value(json_object_get(parser->input, "names"));

    if (!says(parser->input, "names")) {
        return parser->rules->vocabulary;
    }
    if (word && strcmp(word, "guide") == 0) {
        return CAPI_NAMES_GUIDE;
    }
    if (word && strcmp(word, "pinterest") == 0) {
        return CAPI_NAMES_PINTEREST;
    }
    capi_note(&parser->notes, "", "names", "neither guide nor pinterest, left out");
    return parser->rules->vocabulary;
}

/* Found at the top or in custom_data, where Pinterest keeps it. */
static void read_order_id(parser_t *parser)
{
    const json_t *custom = json_object_get(parser->input, "custom_data");

    if (says(parser->input, "order_id")) {
        const json_t *value = json_object_get(parser->input, "order_id");

        parser->event->order_id = line_of(value, ORDER_ID_MAX, parser->p);
        if (!parser->event->order_id) {
            capi_note(&parser->notes, "", "order_id", "not an order number, left out");
        }
    }
    if (!parser->event->order_id && says(custom, "order_id")) {
        parser->event->order_id =
            line_of(json_object_get(custom, "order_id"), ORDER_ID_MAX, parser->p);
    }
}

static apr_status_t read_name(parser_t *parser, const char **message)
{
    const json_t *value = json_object_get(parser->input, "event_name");
    capi_event_t *event = parser->event;
    apr_status_t rv;

    if (!json_is_string(value) || json_string_length(value) == 0) {
        *message = "event_name is missing: write what happened, for example 'page_visit'";
        return APR_EINVAL;
    }
    if (json_string_length(value) != strlen(json_string_value(value))) {
        *message = "event_name is not a text";
        return APR_EINVAL;
    }
    rv = capi_name_resolve(&event->sent_as, message, json_string_value(value),
                           read_vocabulary(parser), parser->rules->aliases, event->order_id != NULL,
                           parser->p);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    event->name = apr_pstrdup(parser->p, json_string_value(value));
    event->sent_as = apr_pstrdup(parser->p, event->sent_as);
    json_object_set_new(event->body, "event_name", json_string(event->sent_as));
    return APR_SUCCESS;
}

static apr_status_t read_action_source(parser_t *parser, const char **message)
{
    static const char *const sources[] = {"web", "app_android", "app_ios", "offline"};
    const char *word = json_string_value(json_object_get(parser->input, "action_source"));

    if (!says(parser->input, "action_source")) {
        word = sources[0];
    }
    for (apr_size_t i = 0; word && i < sizeof(sources) / sizeof(sources[0]); i++) {
        if (strcmp(word, sources[i]) == 0) {
            json_object_set_new_nocheck(parser->event->body, "action_source",
                                        json_string_nocheck(sources[i]));
            return APR_SUCCESS;
        }
    }
    *message = "action_source must be one of web, app_android, app_ios, offline";
    return APR_EINVAL;
}

/* Whole seconds of a number, a fraction dropped. */
static bool read_seconds(apr_int64_t *seconds, const json_t *value)
{
    if (json_is_real(value) && json_real_value(value) > 0 && json_real_value(value) < 1e18) {
        *seconds = (apr_int64_t)json_real_value(value);
        return true;
    }
    return capi_scalar_integer(seconds, value);
}

static apr_status_t read_time(parser_t *parser, const char **message)
{
    apr_int64_t now = apr_time_sec(parser->rules->now);
    apr_int64_t seconds = now;

    if (says(parser->input, "event_time")) {
        if (!read_seconds(&seconds, json_object_get(parser->input, "event_time")) || seconds <= 0) {
            *message = "event_time must be a Unix time in seconds, for example 1776943380";
            return APR_EINVAL;
        }
        if (seconds > MSEC_FROM) {
            seconds /= seconds > USEC_FROM ? 1000000 : 1000;
            capi_note(&parser->notes, "", "event_time", "more than seconds, divided");
        }
        if (seconds > now + SKEW_SEC) {
            capi_note(&parser->notes, "", "event_time", "in the future, now taken instead");
        }
        seconds = seconds > now ? now : seconds;
    }
    parser->event->event_time = seconds;
    json_object_set_new_nocheck(parser->event->body, "event_time", json_integer(seconds));
    return APR_SUCCESS;
}

static apr_status_t read_id(parser_t *parser, const char **message)
{
    const json_t *value = json_object_get(parser->input, "event_id");
    capi_event_t *event = parser->event;

    if (!value || json_is_null(value)) {
        if (parser->rules->may_lack_id) {
            return APR_SUCCESS;
        }
        *message = "event_id is missing";
        return APR_EINVAL;
    }
    event->event_id = line_of(value, CAPI_EVENT_ID_MAX, parser->p);
    if (!event->event_id) {
        *message = "event_id must be a text of 1 to 256 characters, for example "
                   "'ord_10492_purchase'";
        return APR_EINVAL;
    }
    json_object_set_new_nocheck(event->body, "event_id", json_string_nocheck(event->event_id));
    return APR_SUCCESS;
}

/* The shop's own word about consent; a browser or a rule has none. A denial goes before a grant. */
static void read_consent(parser_t *parser)
{
    bool is_trusted = parser->rules->source >= CAPI_SOURCE_HEADER;
    const json_t *value = json_object_get(parser->input, "consent");
    const char *word = json_string_value(value);

    if (says(parser->input, "consent")) {
        if (!is_trusted) {
            capi_note(&parser->notes, "", "consent", "only the shop's server may say it, left out");
        }
        else if (json_is_true(value) || (word && strcmp(word, "granted") == 0)) {
            parser->event->consent = CAPI_CONSENT_GRANTED;
        }
        else {
            parser->event->consent = CAPI_CONSENT_DENIED;
            if (!json_is_false(value) && !(word && strcmp(word, "denied") == 0)) {
                capi_note(&parser->notes, "", "consent", "neither granted nor denied, denied");
            }
        }
    }
    if (is_trusted && json_is_true(json_object_get(parser->event->body, "opt_out"))) {
        parser->event->consent = CAPI_CONSENT_DENIED;
    }
}

static void read_context(parser_t *parser)
{
    const char *key;
    const char *colon;

    if (!says(parser->input, "context")) {
        return;
    }
    key = line_of(json_object_get(parser->input, "context"), CONTEXT_MAX, parser->p);
    colon = key ? strchr(key, ':') : NULL;
    if (!colon || colon == key || !colon[1]) {
        capi_note(&parser->notes, "", "context", "not a key like order:10492, left out");
        return;
    }
    parser->event->context = key;
}

static void read_url(parser_t *parser)
{
    const char *url;

    if (!says(parser->input, "event_source_url")) {
        return;
    }
    url = line_of(json_object_get(parser->input, "event_source_url"), URL_MAX, parser->p);
    if (!url || (strncasecmp(url, "https://", 8) != 0 && strncasecmp(url, "http://", 7) != 0)) {
        capi_note(&parser->notes, "", "event_source_url", "not an http address, left out");
        return;
    }
    json_object_set_new_nocheck(parser->event->body, "event_source_url", json_string_nocheck(url));
}

/* PHP writes an empty object as []. */
static bool is_nothing(const json_t *value)
{
    return json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0);
}

/* user_data is there even when empty: the schema demands it, and the visit may still fill it. */
static void read_user_data(parser_t *parser)
{
    const json_t *value = json_object_get(parser->input, "user_data");
    json_t *user_data = NULL;

    if (json_is_object(value)) {
        user_data = capi_read_user_data(&parser->event->left_out, value, parser->rules->country,
                                        &parser->notes);
    }
    else if (value && !is_nothing(value)) {
        capi_note(&parser->notes, "", "user_data", "not an object, left out");
    }
    json_object_set_new_nocheck(parser->event->body, "user_data",
                                user_data ? user_data : json_object());
}

static void read_custom_data(parser_t *parser)
{
    const json_t *value = json_object_get(parser->input, "custom_data");
    json_t *custom = NULL;

    if (json_is_object(value)) {
        custom = capi_read_custom_data(value, &parser->notes);
    }
    else if (value && !is_nothing(value)) {
        capi_note(&parser->notes, "", "custom_data", "not an object, left out");
    }
    if (parser->event->order_id) {
        custom = custom ? custom : json_object();
        json_object_set_new_nocheck(custom, "order_id",
                                    json_string_nocheck(parser->event->order_id));
    }
    if (custom) {
        json_object_set_new_nocheck(parser->event->body, "custom_data", custom);
    }
}

/* All that needs no thought of its own, by the schema. */
static void read_rest(parser_t *parser)
{
    static const char *const own[] = {"event_name", "action_source",    "event_time", "event_id",
                                      "user_data",  "custom_data",      "order_id",   "context",
                                      "consent",    "event_source_url", "names",      NULL};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)parser->input, key, value)
    {
        const capi_field_t *field = capi_schema_find(&capi_schema_event, key);
        int at = 0;

        while (own[at] && strcmp(own[at], key) != 0) {
            at++;
        }
        if (field) {
            json_t *result = capi_read_field(field, value, "", 2, &parser->notes);

            if (result) {
                json_object_set_new_nocheck(parser->event->body, key, result);
            }
        }
        else if (!own[at]) {
            capi_note(&parser->notes, "", key, "unknown, left out");
        }
    }
}

apr_status_t capi_event_parse(capi_event_t **event, const char **message, const json_t *input,
                              const capi_event_rules_t *rules, apr_pool_t *p)
{
    parser_t parser = {apr_pcalloc(p, sizeof(capi_event_t)), input, rules, {p, NULL, 0}, p};
    apr_status_t rv;

    if (!json_is_object(input)) {
        *message = "an event is a JSON object with at least an event_name";
        return APR_EINVAL;
    }
    parser.event->body = json_object();
    apr_pool_cleanup_register(p, parser.event->body, free_body, apr_pool_cleanup_null);
    read_order_id(&parser);
    rv = read_name(&parser, message);
    if (rv == APR_SUCCESS) {
        rv = read_action_source(&parser, message);
    }
    if (rv == APR_SUCCESS) {
        rv = read_time(&parser, message);
    }
    if (rv == APR_SUCCESS) {
        rv = read_id(&parser, message);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    read_url(&parser);
    read_user_data(&parser);
    read_custom_data(&parser);
    read_rest(&parser);
    read_consent(&parser);
    read_context(&parser);
    parser.event->warning = capi_notes_text(&parser.notes);
    *event = parser.event;
    return APR_SUCCESS;
}

capi_event_t *capi_event_plain(const char *name, const char *sent_as, apr_time_t now, apr_pool_t *p)
{
    capi_event_t *event = apr_pcalloc(p, sizeof(*event));

    event->name = name;
    event->sent_as = sent_as;
    event->event_time = apr_time_sec(now);
    return event;
}
