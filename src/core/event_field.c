/* Reads values as their fields want them, and keeps book of what was left out. */

#include "event_int.h"
#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>
#include <strings.h>

#define NOTES_MAX    8 /* more say nothing new and would fill the record */
#define KEY_NOTED    40
#define EXACT_DOUBLE 9007199254740992.0 /* 2^53: above it, doubles skip integers */

/* A key as it may be repeated: strangers write keys too. */
static const char *clean_key(const char *key, apr_pool_t *p)
{
    char *clean = apr_pstrndup(p, key, KEY_NOTED);

    for (char *c = clean; *c; c++) {
        if (!apr_isalnum(*c) && *c != '_' && *c != '-') {
            *c = '?';
        }
    }
    return clean;
}

void capi_note(capi_notes_t *notes, const char *place, const char *key, const char *why)
{
    notes->count++;
    if (notes->count > NOTES_MAX) {
        return;
    }
    notes->text = apr_pstrcat(notes->p, notes->text ? notes->text : "", notes->text ? "; " : "",
                              place, clean_key(key, notes->p), ": ", why, NULL);
}

const char *capi_notes_text(const capi_notes_t *notes)
{
    if (notes->count > NOTES_MAX) {
        return apr_psprintf(notes->p, "%s; and %d more", notes->text, notes->count - NOTES_MAX);
    }
    return notes->text;
}

bool capi_scalar_integer(apr_int64_t *number, const json_t *value)
{
    const char *text = json_string_value(value);
    char *end;

    if (json_is_integer(value)) {
        *number = json_integer_value(value);
        return true;
    }
    if (json_is_real(value)) {
        double real = json_real_value(value);

        if (!(real >= -EXACT_DOUBLE && real <= EXACT_DOUBLE)) {
            return false;
        }
        *number = (apr_int64_t)real;
        return !((double)*number < real || (double)*number > real);
    }
    /* At most 18 characters: no overflow to look for. */
    if (!text || !*text || json_string_length(value) > 18 || apr_isspace(*text) || *text == '+') {
        return false;
    }
    *number = apr_strtoi64(text, &end, 10);
    return end == text + json_string_length(value);
}

const char *capi_scalar_text(const json_t *value, apr_pool_t *p)
{
    apr_int64_t number;
    char buffer[64];
    size_t len;

    if (json_is_string(value)) {
        return json_string_length(value) == strlen(json_string_value(value))
                   ? json_string_value(value)
                   : NULL;
    }
    if (!json_is_number(value)) {
        return NULL;
    }
    if (capi_scalar_integer(&number, value)) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT, number);
    }
    len = json_dumpb(value, buffer, sizeof(buffer), JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    return len > 0 && len < sizeof(buffer) ? apr_pstrmemdup(p, buffer, len) : NULL;
}

/* Length of the longest beginning of valid UTF-8 text that has at most `limit` bytes and ends at
 * a character. */
static apr_size_t cut_length(const char *text, apr_size_t limit)
{
    while (limit > 0 && ((unsigned char)text[limit] & 0xc0) == 0x80) {
        limit--;
    }
    return limit;
}

static json_t *read_text(const capi_field_t *field, const json_t *value, const char **why,
                         apr_pool_t *p)
{
    const char *text = capi_scalar_text(value, p);
    apr_size_t limit = (apr_size_t)field->limit;
    apr_size_t len = text ? strlen(text) : 0;

    if (!text || !capi_is_clean_text(text, len)) {
        *why = "not a text, left out";
        return NULL;
    }
    if (len > limit) {
        *why = field->kind == CAPI_FIELD_LABEL ? "too long, cut" : "too long, left out";
        return field->kind == CAPI_FIELD_LABEL ? json_stringn_nocheck(text, cut_length(text, limit))
                                               : NULL;
    }
    return len > 0 ? json_stringn_nocheck(text, len) : NULL;
}

static json_t *read_letters(const capi_field_t *field, const json_t *value, const char **why)
{
    bool is_currency = field->kind == CAPI_FIELD_CURRENCY;
    const char *text = json_string_value(value);
    apr_size_t want = (apr_size_t)field->limit;
    char letters[4] = "";

    if (!text) {
        text = "";
    }
    while (apr_isspace(*text)) {
        text++;
    }
    for (apr_size_t i = 0; i < want; i++) {
        if (!apr_isalpha(text[i])) {
            *why = is_currency ? "not a currency of three letters, left out"
                               : "not a language of two letters, left out";
            return NULL;
        }
        letters[i] = (char)(is_currency ? apr_toupper(text[i]) : apr_tolower(text[i]));
    }
    text += want;
    if (is_currency ? text[strspn(text, " \t\r\n")] != '\0' : apr_isalnum(*text)) {
        *why = is_currency ? "not a currency of three letters, left out"
                           : "not a language of two letters, left out";
        return NULL;
    }
    return json_stringn_nocheck(letters, want);
}

static json_t *read_integer(const capi_field_t *field, const json_t *value, const char **why)
{
    apr_int64_t number;

    if (!capi_scalar_integer(&number, value) || number < 0 || number > field->limit) {
        *why = "not a whole number in range, left out";
        return NULL;
    }
    return json_integer(number);
}

static json_t *read_boolean(const json_t *value, const char **why)
{
    const char *text = json_string_value(value);
    apr_int64_t number = -1;

    if (json_is_boolean(value)) {
        return json_boolean(json_is_true(value));
    }
    if (text && (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0)) {
        return json_boolean(apr_tolower(*text) == 't');
    }
    if (capi_scalar_integer(&number, value) && (number == 0 || number == 1)) {
        return json_boolean(number == 1);
    }
    *why = "neither true nor false, left out";
    return NULL;
}

static json_t *read_choice(const capi_field_t *field, const json_t *value, const char **why)
{
    const char *text = json_string_value(value);

    for (int i = 0; text && field->choices[i]; i++) {
        if (strcasecmp(field->choices[i], text) == 0) {
            return json_string_nocheck(field->choices[i]);
        }
    }
    *why = "not one of the known values, left out";
    return NULL;
}

static json_t *read_amount(const json_t *value, int digits, const char **why, apr_pool_t *p)
{
    const char *amount;

    if (capi_amount(&amount, value, digits, p) != APR_SUCCESS) {
        *why = "not an amount like 129.95, left out";
        return NULL;
    }
    return json_string_nocheck(amount);
}

/* The elements of an array, or the one value as such; each read with `member`. */
static json_t *read_list(const capi_field_t *field, const json_t *value, const char *place,
                         int digits, capi_notes_t *notes)
{
    bool is_array = json_is_array(value);
    size_t count = is_array ? json_array_size(value) : 1;
    capi_field_t member = *field;
    json_t *list = json_array();

    member.kind = field->kind == CAPI_FIELD_IDS ? CAPI_FIELD_ID : CAPI_FIELD_OBJECT;
    member.limit = 256;
    if (count > (size_t)field->limit) {
        capi_note(notes, place, field->name, "too many, the rest left out");
        count = (size_t)field->limit;
    }
    for (size_t i = 0; i < count; i++) {
        json_t *one = capi_read_field(&member, is_array ? json_array_get(value, i) : value, place,
                                      digits, notes);

        if (one) {
            json_array_append_new(list, one);
        }
    }
    if (json_array_size(list) == 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static bool is_empty(const json_t *value)
{
    return !value || json_is_null(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

json_t *capi_read_field(const capi_field_t *field, const json_t *value, const char *place,
                        int digits, capi_notes_t *notes)
{
    const char *why = NULL;
    json_t *result = NULL;

    if (is_empty(value)) {
        return NULL;
    }
    switch (field->kind) {
    case CAPI_FIELD_ID:
    case CAPI_FIELD_LABEL:
        result = read_text(field, value, &why, notes->p);
        break;
    case CAPI_FIELD_AMOUNT:
        result = read_amount(value, digits, &why, notes->p);
        break;
    case CAPI_FIELD_CURRENCY:
    case CAPI_FIELD_LANGUAGE:
        result = read_letters(field, value, &why);
        break;
    case CAPI_FIELD_INTEGER:
        result = read_integer(field, value, &why);
        break;
    case CAPI_FIELD_BOOLEAN:
        result = read_boolean(value, &why);
        break;
    case CAPI_FIELD_CHOICE:
        result = read_choice(field, value, &why);
        break;
    case CAPI_FIELD_IDS:
    case CAPI_FIELD_OBJECTS:
        return read_list(field, value, place, digits, notes);
    case CAPI_FIELD_OBJECT:
        if (json_is_object(value)) {
            return capi_read_object(field->members, value, digits, notes);
        }
        why = "not an object, left out";
        break;
    case CAPI_FIELD_INTERNAL:
        why = "for Pinterest's own use, left out";
        break;
    }
    if (why) {
        capi_note(notes, place, field->name, why);
    }
    return result;
}

json_t *capi_read_object(const capi_schema_t *schema, const json_t *input, int digits,
                         capi_notes_t *notes)
{
    json_t *output = json_object();
    const char *key;
    json_t *value;

    /* Iteration does not change the object; jansson has no const iterator. */
    json_object_foreach((json_t *)(uintptr_t)input, key, value)
    {
        const capi_field_t *field = capi_schema_find(schema, key);
        json_t *result = NULL;

        if (field) {
            result = capi_read_field(field, value, schema->place, digits, notes);
        }
        else {
            capi_note(notes, schema->place, key, "unknown, left out");
        }
        if (result) {
            json_object_set_new_nocheck(output, field->name, result);
        }
    }
    if (json_object_size(output) == 0) {
        json_decref(output);
        return NULL;
    }
    return output;
}
