#ifndef UNIT_EVENT_H
#define UNIT_EVENT_H

/* Events for the tests of the parser, read at one fixed instant. */

#include "event.h"

#include <apr_strings.h>

#include "unit.h"

#define NOW_SEC    1776943400
#define EMAIL_HASH "836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f"
#define PHONE_HASH "7e25b7844dc82e53d76a507d7f6130832c805e097c1e038793c36ce22c358132"

static inline capi_event_rules_t rules_for(capi_source_t source)
{
    capi_event_rules_t rules = {CAPI_NAMES_GUIDE,          NULL, source, NULL, true,
                                apr_time_from_sec(NOW_SEC)};

    return rules;
}

static inline json_t *json_of(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    ck_assert_msg(value != NULL, "%s: %s", text, error.text);
    return value;
}

static inline capi_event_t *parse_by(const char *text, const capi_event_rules_t *rules)
{
    json_t *input = json_of(text);
    capi_event_t *event = NULL;
    const char *message = "";
    apr_status_t rv = capi_event_parse(&event, &message, input, rules, pool);

    json_decref(input);
    ck_assert_msg(rv == APR_SUCCESS, "%s: %s", text, message);
    return event;
}

static inline capi_event_t *parse(const char *text)
{
    capi_event_rules_t rules = rules_for(CAPI_SOURCE_HEADER);

    return parse_by(text, &rules);
}

static inline const char *refusal(const char *text)
{
    capi_event_rules_t rules = rules_for(CAPI_SOURCE_BACKEND);
    json_t *input = json_of(text);
    capi_event_t *event = NULL;
    const char *message = NULL;

    ck_assert_msg(capi_event_parse(&event, &message, input, &rules, pool) == APR_EINVAL, "%s",
                  text);
    ck_assert_ptr_nonnull(message);
    json_decref(input);
    return message;
}

static inline void assert_body(const capi_event_t *event, const char *want)
{
    json_t *expected = json_of(want);
    apr_size_t len;

    ck_assert_msg(json_equal(event->body, expected), "got  %s\nwant %s",
                  capi_event_text(&len, event->body, pool), want);
    json_decref(expected);
}

#endif
