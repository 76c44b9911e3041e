#ifndef CAPI_EVENT_INT_H
#define CAPI_EVENT_INT_H

/* Shared by the files of the event parser. Values that this folder returns as json_t * are new
 * references; NULL means that there is nothing to keep. */

#include "event.h"

/* What was left out or changed, for the person who wrote the event: names of keys and reasons,
 * never values. */
typedef struct {
    apr_pool_t *p;
    const char *text; /* NULL: nothing to say */
    int count;
} capi_notes_t;

/* `place` is where the key stands ("", "custom_data.", …). A key of strangers is clipped and
 * cleaned. */
void capi_note(capi_notes_t *notes, const char *place, const char *key, const char *why);

/* The notes as one text, NULL if there are none. */
const char *capi_notes_text(const capi_notes_t *notes);

typedef enum {
    CAPI_FIELD_ID,       /* text that is left out when too long */
    CAPI_FIELD_LABEL,    /* text that is cut when too long */
    CAPI_FIELD_AMOUNT,   /* number or decimal string, kept as decimal string */
    CAPI_FIELD_CURRENCY, /* three letters */
    CAPI_FIELD_LANGUAGE, /* two letters, the beginning of de-DE too */
    CAPI_FIELD_INTEGER,  /* 0 … limit; a string of digits too */
    CAPI_FIELD_BOOLEAN,
    CAPI_FIELD_CHOICE,
    CAPI_FIELD_IDS,     /* array of ids, or one */
    CAPI_FIELD_OBJECT,  /* closed object */
    CAPI_FIELD_OBJECTS, /* array of closed objects, or one */
    CAPI_FIELD_INTERNAL /* Pinterest has it, but not for us to send */
} capi_field_kind_t;

typedef struct capi_schema_t capi_schema_t;

typedef struct {
    const char *name;
    capi_field_kind_t kind;
    apr_int64_t limit;            /* bytes, elements or greatest value */
    const char *const *choices;   /* of a CHOICE, ended by NULL */
    const capi_schema_t *members; /* of an OBJECT */
} capi_field_t;

/* A closed object: what it does not list is left out. */
struct capi_schema_t {
    const char *place;
    const capi_field_t *fields; /* ended by a NULL name */
};

extern const capi_schema_t capi_schema_event; /* but for the fields that event.c reads itself */
extern const capi_schema_t capi_schema_custom_data;

const capi_field_t *capi_schema_find(const capi_schema_t *schema, const char *name);

/* One value as its field wants it; NULL, noted, where it cannot be that. null and what is empty
 * are left out without a word. `digits` are those of the currency. */
json_t *capi_read_field(const capi_field_t *field, const json_t *value, const char *place,
                        int digits, capi_notes_t *notes);

/* A closed object; NULL where nothing of it is left. */
json_t *capi_read_object(const capi_schema_t *schema, const json_t *input, int digits,
                         capi_notes_t *notes);

json_t *capi_read_custom_data(const json_t *input, capi_notes_t *notes);
json_t *capi_read_user_data(int *left_out, const json_t *input, const char *country,
                            capi_notes_t *notes);

/* A string or a number as text in the pool; NULL for anything else. */
const char *capi_scalar_text(const json_t *value, apr_pool_t *p);

/* An integer, an integral real or a string of digits. */
bool capi_scalar_integer(apr_int64_t *number, const json_t *value);

/* Digits behind the point of an ISO 4217 currency; 2 for NULL and for all that is not listed. */
int capi_currency_digits(const char *currency);

/* The amount as a decimal string with exactly `digits` digits behind the point, rounded half up.
 * APR_EINVAL for what is no plain decimal number, is negative or has more than 15 digits before
 * the point. */
apr_status_t capi_amount(const char **amount, const json_t *value, int digits, apr_pool_t *p);

#endif
