#include "rule_keys.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

static const capi_rule_key_t keys[] = {{"event_id", CAPI_RULE_TEXT, false, true},
                                       {"order_id", CAPI_RULE_TEXT, false, true},
                                       {"context", CAPI_RULE_TEXT, false, true},
                                       {"event_source_url", CAPI_RULE_TEXT, false, false},
                                       {"value", CAPI_RULE_TEXT, true, false},
                                       {"currency", CAPI_RULE_TEXT, true, false},
                                       {"content_ids", CAPI_RULE_IDS, true, false},
                                       {"num_items", CAPI_RULE_SUM, true, false},
                                       {"contents", CAPI_RULE_CONTENTS, true, false},
                                       {"search_string", CAPI_RULE_TEXT, true, false},
                                       {"content_name", CAPI_RULE_TEXT, true, false},
                                       {"content_category", CAPI_RULE_TEXT, true, false},
                                       {"content_brand", CAPI_RULE_TEXT, true, false}};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

const char *capi_rule_key_list(apr_pool_t *p)
{
    const char *text = "";
    apr_size_t i;

    for (i = 0; i < KEY_COUNT; i++) {
        text = apr_pstrcat(p, text, " ", keys[i].name, NULL);
    }
    return text;
}

const capi_rule_key_t *capi_rule_key_find(const char *name, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < KEY_COUNT; i++) {
        if (strlen(keys[i].name) == len && memcmp(keys[i].name, name, len) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

/* A member, unless the text is not UTF-8: then it is left out, as anything that cannot be said. */
static void set_text(json_t *object, const char *name, const char *text)
{
    json_t *value = json_string(text);

    if (value) {
        json_object_set_new(object, name, value);
    }
}

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && apr_isspace(end[-1])) {
        *--end = '\0';
    }
    return text + strspn(text, " \t");
}

static json_t *make_ids(const char *text, apr_pool_t *p)
{
    json_t *ids = json_array();
    char *rest = NULL;
    char *id;

    for (id = apr_strtok(apr_pstrdup(p, text), ",", &rest); id; id = apr_strtok(NULL, ",", &rest)) {
        json_t *said = json_string(trim(id));

        if (said && json_string_length(said) > 0) {
            json_array_append_new(ids, said);
        }
        else {
            json_decref(said);
        }
    }
    return ids;
}

/* NULL where a part is no number: a count that is half guessed is none. */
static json_t *make_sum(const char *text)
{
    apr_int64_t sum = 0;

    while (*text) {
        char *end;
        apr_int64_t part = apr_strtoi64(text, &end, 10);

        if (end == text || part < 0 || part > INT32_MAX) {
            return NULL;
        }
        if (*end == '.') {
            end += 1 + strspn(end + 1, "0"); /* 2.0000 */
        }
        sum += part;
        text = end + strspn(end, ", ");
        if (*text && end + strspn(end, " ") == text && *end != ',') {
            return NULL;
        }
    }
    return json_integer(sum);
}

/* Some shops write 2.0000 pieces. */
static void drop_zeros(char *number)
{
    char *point = strchr(number, '.');

    if (point && point[1 + strspn(point + 1, "0")] == '\0') {
        *point = '\0';
    }
}

/* ID;QUANTITY;PRICE. Whether a part can be what it should is judged where all events are read. */
static json_t *make_content(char *line)
{
    static const char *const names[] = {"id", "quantity", "item_price"};
    json_t *content = json_object();
    int i;

    for (i = 0; i < 3 && line; i++) {
        char *next = strchr(line, ';');
        char *part;

        if (next) {
            *next++ = '\0';
        }
        part = trim(line);
        if (i == 1) {
            drop_zeros(part);
        }
        if (*part) {
            set_text(content, names[i], part);
        }
        line = next;
    }
    return content;
}

static json_t *make_contents(const char *text, apr_pool_t *p)
{
    json_t *contents = json_array();
    char *rest = NULL;
    char *line;

    for (line = apr_strtok(apr_pstrdup(p, text), ",", &rest); line;
         line = apr_strtok(NULL, ",", &rest)) {
        json_array_append_new(contents, make_content(trim(line)));
    }
    return contents;
}

static json_t *custom_data_of(json_t *event)
{
    json_t *custom = json_object_get(event, "custom_data");

    if (!custom) {
        custom = json_object();
        json_object_set_new(event, "custom_data", custom);
    }
    return custom;
}

void capi_rule_key_set(json_t *event, const capi_rule_key_t *key, const char *text, apr_pool_t *p)
{
    json_t *object = event;
    json_t *made = NULL;

    if (key->is_custom) {
        object = custom_data_of(event);
    }
    switch (key->kind) {
    case CAPI_RULE_TEXT:
        set_text(object, key->name, text);
        return;
    case CAPI_RULE_IDS:
        made = make_ids(text, p);
        break;
    case CAPI_RULE_SUM:
        made = make_sum(text);
        break;
    case CAPI_RULE_CONTENTS:
        made = make_contents(text, p);
        break;
    }
    if (made) {
        json_object_set_new(object, key->name, made);
    }
}
