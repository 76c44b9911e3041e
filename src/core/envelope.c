/* One captured request as one queue record, and back. A record is the version byte and then fields:
 *
 *     tag (1 byte) | length of the value (4 bytes) | value
 *
 * in this machine's byte order: the queue never leaves it. Text ends in NUL, which its length
 * counts; numbers are 8 bytes; a bind or an event is a field whose value is fields again. What is
 * NULL, false or 0 is left out. One table for each of the three structs serves both ways. */

#include "envelope.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#define VERSION     1
#define FIELD_HEAD  5
#define USUAL_ROOM  2048 /* of a record with one event */
#define BINDS_MAX   CAPI_EVENTS_PER_REQUEST
#define EVENT_VISIT "page_visit"

typedef enum {
    KIND_UNKNOWN, /* a hole in a table: no tag of ours */
    KIND_TEXT,
    KIND_JSON, /* text whose length the struct keeps too */
    KIND_INT,
    KIND_TIME,
    KIND_BOOL,
    KIND_CONSENT,
    KIND_SOURCE,
    KIND_WIRE,
    KIND_KEYS
} kind_t;

typedef struct {
    kind_t kind;
    bool is_required;
    size_t offset;
} field_t;

/* Tags are what is written: never reuse one, and raise VERSION only where an older sender must not
 * read the record at all. */
#define TAG_BIND  1
#define TAG_EVENT 2

#define AT(member) offsetof(capi_envelope_t, member)
static const field_t envelope_fields[] = {
    [3] = {KIND_TEXT, true, AT(settings.account)},
    [4] = {KIND_TEXT, true, AT(settings.api_url)},
    [5] = {KIND_BOOL, false, AT(settings.test)},
    [6] = {KIND_WIRE, true, AT(settings.wire)},
    [7] = {KIND_INT, false, AT(settings.merge_window_sec)},
    [8] = {KIND_INT, false, AT(settings.max_age_sec)},
    [9] = {KIND_TEXT, false, AT(settings.on_denied)},
    [10] = {KIND_TIME, false, AT(received_at)},
    [11] = {KIND_CONSENT, false, AT(consent.state)},
    [12] = {KIND_TEXT, false, AT(consent.signal)},
    [13] = {KIND_TEXT, false, AT(consent.evidence)},
    [14] = {KIND_TIME, false, AT(consent.decided_at)},
    [15] = {KIND_TEXT, false, AT(session_key)},
    [16] = {KIND_TEXT, false, AT(visit_key)},
    [17] = {KIND_TEXT, false, AT(click_id)},
    [18] = {KIND_TEXT, false, AT(address)},
    [19] = {KIND_TEXT, false, AT(agent)},
    [20] = {KIND_TEXT, false, AT(user_data)},
};
#undef AT

#define AT(member) offsetof(capi_envelope_bind_t, member)
static const field_t bind_fields[] = {
    [1] = {KIND_TEXT, true, AT(key)},
    [2] = {KIND_BOOL, false, AT(by_server)},
};
#undef AT

#define AT(member) offsetof(capi_envelope_event_t, member)
static const field_t event_fields[] = {
    [1] = {KIND_SOURCE, true, AT(source)},     [2] = {KIND_TEXT, true, AT(name)},
    [3] = {KIND_TEXT, true, AT(sent_as)},      [4] = {KIND_TEXT, true, AT(event_id)},
    [5] = {KIND_BOOL, false, AT(is_named)},    [6] = {KIND_BOOL, false, AT(is_claim)},
    [7] = {KIND_TIME, false, AT(event_time)},  [8] = {KIND_TEXT, false, AT(context)},
    [9] = {KIND_BOOL, false, AT(is_detached)}, [10] = {KIND_CONSENT, false, AT(consent)},
    [11] = {KIND_KEYS, false, AT(keys)},       [12] = {KIND_TEXT, false, AT(warning)},
    [13] = {KIND_JSON, true, AT(json)},
};
#undef AT

bool capi_consent_is_answer(const capi_consent_t *consent)
{
    return consent->state != CAPI_CONSENT_UNKNOWN &&
           !(consent->signal && strcmp(consent->signal, "default") == 0);
}

typedef struct {
    const field_t *fields;
    unsigned int count;
} table_t;

static const table_t envelope_table = {envelope_fields,
                                       sizeof(envelope_fields) / sizeof(envelope_fields[0])};
static const table_t bind_table = {bind_fields, sizeof(bind_fields) / sizeof(bind_fields[0])};
static const table_t event_table = {event_fields, sizeof(event_fields) / sizeof(event_fields[0])};

_Static_assert(sizeof(capi_wire_t) == sizeof(int) && sizeof(capi_source_t) == sizeof(int) &&
                   sizeof(capi_consent_state_t) == sizeof(int) &&
                   sizeof(capi_keys_t) == sizeof(int),
               "numbers of the tables are copied as int");
_Static_assert(sizeof(apr_time_t) == sizeof(int64_t), "times are copied as 64 bits");

typedef struct {
    char *bytes;
    size_t len;
    size_t room;
    apr_pool_t *p;
} writer_t;

/* Room for `len` more bytes, which the caller fills. */
static char *more(writer_t *writer, size_t len)
{
    char *at;

    if (writer->room - writer->len < len) {
        char *bytes;

        writer->room = 2 * (writer->room + len);
        bytes = apr_palloc(writer->p, writer->room);
        memcpy(bytes, writer->bytes, writer->len);
        writer->bytes = bytes;
    }
    at = writer->bytes + writer->len;
    writer->len += len;
    return at;
}

/* A field's head and the room for its value. */
static char *put_head(writer_t *writer, unsigned int tag, size_t len)
{
    uint32_t value_len = (uint32_t)len;
    char *at = more(writer, FIELD_HEAD + len);

    at[0] = (char)tag;
    memcpy(at + 1, &value_len, sizeof(value_len));
    return at + FIELD_HEAD;
}

static void put_text(writer_t *writer, unsigned int tag, const char *text, size_t len)
{
    char *at = put_head(writer, tag, len + 1);

    memcpy(at, text, len);
    at[len] = '\0';
}

static void put_number(writer_t *writer, unsigned int tag, int64_t number)
{
    if (number != 0) {
        memcpy(put_head(writer, tag, sizeof(number)), &number, sizeof(number));
    }
}

/* The members of one struct, by its table. */
static int64_t number_of(kind_t kind, const char *member)
{
    int64_t time;
    bool flag;
    int number;

    switch (kind) {
    case KIND_TIME:
        memcpy(&time, member, sizeof(time));
        return time;
    case KIND_BOOL:
        memcpy(&flag, member, sizeof(flag));
        return flag;
    default:
        memcpy(&number, member, sizeof(number));
        return number;
    }
}

static void put_members(writer_t *writer, const table_t *table, const void *object)
{
    unsigned int tag;

    for (tag = 1; tag < table->count; tag++) {
        const field_t *field = &table->fields[tag];
        const char *member = (const char *)object + field->offset;
        const char *text;

        if (field->kind == KIND_UNKNOWN) {
            continue;
        }
        if (field->kind != KIND_TEXT && field->kind != KIND_JSON) {
            put_number(writer, tag, number_of(field->kind, member));
            continue;
        }
        memcpy(&text, member, sizeof(text));
        if (text) {
            put_text(writer, tag, text,
                     field->kind == KIND_JSON ? ((const capi_envelope_event_t *)object)->json_len
                                              : strlen(text));
        }
    }
}

/* The length in front is filled in once the members are written. */
static void put_group(writer_t *writer, unsigned int tag, const table_t *table, const void *object)
{
    size_t start = writer->len + FIELD_HEAD;
    uint32_t value_len;

    put_head(writer, tag, 0);
    put_members(writer, table, object);
    value_len = (uint32_t)(writer->len - start);
    memcpy(writer->bytes + start - sizeof(value_len), &value_len, sizeof(value_len));
}

static void put_envelope(writer_t *writer, const capi_envelope_t *envelope)
{
    int i;

    *more(writer, 1) = VERSION;
    put_members(writer, &envelope_table, envelope);
    for (i = 0; i < envelope->bind_count; i++) {
        put_group(writer, TAG_BIND, &bind_table, &envelope->binds[i]);
    }
    for (i = 0; i < envelope->event_count; i++) {
        put_group(writer, TAG_EVENT, &event_table, &envelope->events[i]);
    }
}

void capi_envelope_encode(capi_record_t *record, const capi_envelope_t *envelope, apr_pool_t *p)
{
    writer_t writer = {.room = USUAL_ROOM, .p = p};

    writer.bytes = apr_palloc(p, writer.room);
    put_envelope(&writer, envelope);
    record->bytes = writer.bytes;
    record->len = writer.len;
}

/* What is left to read. */
typedef struct {
    const char *at;
    size_t left;
} reader_t;

typedef struct {
    unsigned int tag;
    const char *value;
    size_t len;
} item_t;

/* APR_EOF at the end, APR_EINVAL where a field is longer than what holds it. */
static apr_status_t next_item(item_t *item, reader_t *reader)
{
    uint32_t len;

    if (reader->left == 0) {
        return APR_EOF;
    }
    if (reader->left < FIELD_HEAD) {
        return APR_EINVAL;
    }
    item->tag = (uint8_t)reader->at[0];
    memcpy(&len, reader->at + 1, sizeof(len));
    reader->at += FIELD_HEAD;
    reader->left -= FIELD_HEAD;
    if (len > reader->left) {
        return APR_EINVAL;
    }
    item->value = reader->at;
    item->len = len;
    reader->at += len;
    reader->left -= len;
    return APR_SUCCESS;
}

static bool is_text(const item_t *item)
{
    return item->len > 0 && memchr(item->value, '\0', item->len) == item->value + item->len - 1;
}

static bool is_in_range(kind_t kind, int64_t number)
{
    switch (kind) {
    case KIND_INT:
        return number >= 0 && number <= INT_MAX;
    case KIND_BOOL:
        return number == 0 || number == 1;
    case KIND_CONSENT:
        return number >= CAPI_CONSENT_UNKNOWN && number <= CAPI_CONSENT_DENIED;
    case KIND_SOURCE:
        return number >= CAPI_SOURCE_BROWSER && number <= CAPI_SOURCE_BACKEND;
    case KIND_WIRE:
        return number >= CAPI_WIRE_V5 && number <= CAPI_WIRE_GUIDE;
    case KIND_KEYS:
        return number >= 0 && number < (int64_t)CAPI_KEY_BIT(CAPI_KEY_COUNT);
    default:
        return number >= 0;
    }
}

static void set_number(kind_t kind, char *member, int64_t number)
{
    bool flag = number != 0;
    int small;

    if (kind == KIND_TIME) {
        memcpy(member, &number, sizeof(number));
    }
    else if (kind == KIND_BOOL) {
        memcpy(member, &flag, sizeof(flag));
    }
    else {
        small = (int)number;
        memcpy(member, &small, sizeof(small));
    }
}

static bool take_member(void *object, const field_t *field, const item_t *item)
{
    char *member = (char *)object + field->offset;
    int64_t number;

    if (field->kind == KIND_TEXT || field->kind == KIND_JSON) {
        if (!is_text(item)) {
            return false;
        }
        memcpy(member, &item->value, sizeof(item->value));
        if (field->kind == KIND_JSON) {
            ((capi_envelope_event_t *)object)->json_len = item->len - 1;
        }
        return true;
    }
    if (item->len != sizeof(number)) {
        return false;
    }
    memcpy(&number, item->value, sizeof(number));
    if (!is_in_range(field->kind, number)) {
        return false;
    }
    set_number(field->kind, member, number);
    return true;
}

static uint32_t required_of(const table_t *table)
{
    uint32_t required = 0;
    unsigned int tag;

    for (tag = 1; tag < table->count; tag++) {
        if (table->fields[tag].is_required) {
            required |= 1u << tag;
        }
    }
    return required;
}

/* Reads the members of one struct: each at most once, those that are required once. Tags that the
 * table does not know are passed over. */
static bool take_members(void *object, const table_t *table, reader_t reader)
{
    uint32_t seen = 0;
    uint32_t required = required_of(table);
    item_t item;
    apr_status_t rv;

    for (rv = next_item(&item, &reader); rv == APR_SUCCESS; rv = next_item(&item, &reader)) {
        if (item.tag >= table->count || table->fields[item.tag].kind == KIND_UNKNOWN) {
            continue;
        }
        if (seen & (1u << item.tag) || !take_member(object, &table->fields[item.tag], &item)) {
            return false;
        }
        seen |= 1u << item.tag;
    }
    return rv == APR_EOF && (seen & required) == required;
}

static bool count_groups(capi_envelope_t *envelope, reader_t reader)
{
    item_t item;
    apr_status_t rv;

    for (rv = next_item(&item, &reader); rv == APR_SUCCESS; rv = next_item(&item, &reader)) {
        envelope->bind_count += item.tag == TAG_BIND;
        envelope->event_count += item.tag == TAG_EVENT;
    }
    return rv == APR_EOF && envelope->bind_count <= BINDS_MAX &&
           envelope->event_count <= CAPI_EVENTS_PER_REQUEST;
}

static bool take_groups(capi_envelope_t *envelope, reader_t reader)
{
    int binds = 0;
    int events = 0;
    item_t item;

    while (next_item(&item, &reader) == APR_SUCCESS) {
        reader_t members = {item.value, item.len};

        if (item.tag == TAG_BIND &&
            !take_members(&envelope->binds[binds++], &bind_table, members)) {
            return false;
        }
        if (item.tag == TAG_EVENT &&
            !take_members(&envelope->events[events++], &event_table, members)) {
            return false;
        }
    }
    return true;
}

apr_status_t capi_envelope_decode(capi_envelope_t **envelope, const void *bytes, apr_size_t len,
                                  apr_pool_t *p)
{
    capi_envelope_t *found = apr_pcalloc(p, sizeof(*found));
    reader_t reader = {bytes, len};

    if (len < 1 || (uint8_t)reader.at[0] != VERSION) {
        return APR_EINVAL;
    }
    reader.at++;
    reader.left--;
    if (!take_members(found, &envelope_table, reader) || !count_groups(found, reader)) {
        return APR_EINVAL;
    }
    found->binds = apr_pcalloc(p, sizeof(*found->binds) * (size_t)found->bind_count);
    found->events = apr_pcalloc(p, sizeof(*found->events) * (size_t)found->event_count);
    if (!take_groups(found, reader)) {
        return APR_EINVAL;
    }
    *envelope = found;
    return APR_SUCCESS;
}

capi_class_t capi_envelope_class(const capi_envelope_t *envelope)
{
    int i;

    if (envelope->bind_count > 0) {
        return CAPI_CLASS_CONVERSION;
    }
    for (i = 0; i < envelope->event_count; i++) {
        if (strcmp(envelope->events[i].sent_as, EVENT_VISIT) != 0) {
            return CAPI_CLASS_CONVERSION;
        }
    }
    return CAPI_CLASS_PAGE;
}
