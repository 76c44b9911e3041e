#ifndef CAPI_RULE_KEYS_H
#define CAPI_RULE_KEYS_H

/* The keys of PinterestCapiEvent, and how their texts become members of an event. */

#include <jansson.h>

#include "capi.h"

/* What a key's text becomes in the event. */
typedef enum { CAPI_RULE_TEXT, CAPI_RULE_IDS, CAPI_RULE_SUM, CAPI_RULE_CONTENTS } capi_rule_kind_t;

typedef struct {
    const char *name;
    capi_rule_kind_t kind;
    bool is_custom; /* a member of custom_data */
    bool is_whole;  /* one function that comes out empty empties the whole value */
} capi_rule_key_t;

/* NULL where `name` is no key. */
const capi_rule_key_t *capi_rule_key_find(const char *name, apr_size_t len);

/* All of them, each with a blank before it, for messages. */
const char *capi_rule_key_list(apr_pool_t *p);

/* Puts a text that is not empty into the event. What it cannot be is left out. */
void capi_rule_key_set(json_t *event, const capi_rule_key_t *key, const char *text, apr_pool_t *p);

#endif
