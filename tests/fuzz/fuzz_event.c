/* JSON events as strangers write them: what is accepted is canonical, and reading it again changes
 * nothing more. */

#include "event.h"

#include "fuzz.h"

static void require_written(const capi_event_t *event)
{
    const capi_event_client_t nobody = {NULL};
    apr_size_t len;
    capi_keys_t keys;
    const char *text = capi_event_write(&len, &keys, event, &nobody, pool);
    json_t *written = json_loadb(text, len, 0, NULL);

    require(written && json_equal(written, event->body), "an event is written as another one");
    require(keys == capi_event_keys(event->body), "an event is written with other keys");
    json_decref(written);
}

static void run_one(const char *text, size_t len)
{
    json_t *input = json_loadb(text, len, JSON_DECODE_ANY, NULL);
    capi_event_rules_t rules = {.vocabulary = CAPI_NAMES_PINTEREST,
                                .source = CAPI_SOURCE_BACKEND,
                                .country = "DE",
                                .may_lack_id = true,
                                .now = apr_time_from_sec(1790000000)};
    capi_event_t *event, *again;
    const char *message;

    if (!input) {
        return;
    }
    if (capi_event_parse(&event, &message, input, &rules, pool) == APR_SUCCESS) {
        apr_size_t canonical_len, again_len;
        const char *canonical = capi_event_text(&canonical_len, event->body, pool);
        require(capi_event_parse(&again, &message, event->body, &rules, pool) == APR_SUCCESS,
                "a canonical event is refused");
        require_written(event);
        const char *second = capi_event_text(&again_len, again->body, pool);
        require(canonical_len == again_len && memcmp(canonical, second, again_len) == 0,
                "a canonical event is changed by reading it again");
    }
    json_decref(input);
}
