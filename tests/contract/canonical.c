/* What the project makes of an event, for tests in other languages. Reads JSON lines
 * {"event": …, "names": "guide", "source": 3, "country": "DE", "now": 1776943380, "click_id": …,
 * "address": …, "agent": …, "url": …} and answers each with a line: {"v5", "guide", "sendable",
 * "warning"}, the first two being the very texts that would be sent, or {"message"}. */

#include "event.h"
#include "wire.h"

#include <apr_general.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *word(const json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

static capi_event_rules_t rules_of(const json_t *line)
{
    const char *names = word(line, "names");
    json_int_t source = json_integer_value(json_object_get(line, "source"));
    json_int_t now = json_integer_value(json_object_get(line, "now"));
    capi_event_rules_t rules = {
        .vocabulary =
            names && strcmp(names, "pinterest") == 0 ? CAPI_NAMES_PINTEREST : CAPI_NAMES_GUIDE,
        .source = source ? (capi_source_t)source : CAPI_SOURCE_BACKEND,
        .country = word(line, "country"),
        .may_lack_id = true,
        .now = now ? apr_time_from_sec(now) : apr_time_now(),
    };

    return rules;
}

/* The text of one wire format as a JSON string. */
static json_t *wire_text(capi_wire_t wire, const char *canonical, apr_size_t len,
                         const capi_event_t *event, apr_pool_t *p)
{
    const char *text;

    if (capi_wire_event(&text, &len, wire, canonical, len, event->name, p) != APR_SUCCESS) {
        return json_null();
    }
    return json_stringn(text, len);
}

static json_t *answer_for(const json_t *line, apr_pool_t *p)
{
    const json_t *input = json_object_get(line, "event");
    capi_event_rules_t rules = rules_of(line);
    const capi_event_client_t client = {word(line, "click_id"), word(line, "address"),
                                        word(line, "agent"), word(line, "url"), NULL};
    const char *message = NULL;
    const char *canonical;
    capi_event_t *event;
    capi_keys_t keys;
    apr_size_t len;
    json_t *body, *answer;

    if (capi_event_parse(&event, &message, input, &rules, p) != APR_SUCCESS) {
        return json_pack("{s:s?}", "message", message);
    }
    if (!event->event_id) {
        capi_event_set_id(event, capi_event_derive_id(input, p), p);
    }
    canonical = capi_event_write(&len, &keys, event, &client, p);
    body = json_loadb(canonical, len, 0, NULL);
    answer =
        json_pack("{s:o, s:o, s:b, s:s?}", "v5", wire_text(CAPI_WIRE_V5, canonical, len, event, p),
                  "guide", wire_text(CAPI_WIRE_GUIDE, canonical, len, event, p), "sendable",
                  capi_event_is_sendable(body), "warning", event->warning);
    json_decref(body);
    return answer;
}

static void answer_line(const char *text, size_t len, apr_pool_t *parent)
{
    json_t *line = json_loadb(text, len, 0, NULL);
    json_t *answer;
    apr_pool_t *p;

    apr_pool_create(&p, parent);
    answer = line ? answer_for(line, p) : json_pack("{s:s}", "message", "the line is not JSON");
    json_dumpf(answer, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(answer);
    json_decref(line);
    apr_pool_destroy(p);
}

int main(void)
{
    apr_pool_t *pool;
    char *text = NULL;
    size_t size = 0;
    ssize_t len;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    while ((len = getline(&text, &size, stdin)) > 0) {
        answer_line(text, (size_t)len, pool);
    }
    free(text);
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}
