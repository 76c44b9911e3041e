#ifndef CAPI_DENIED_H
#define CAPI_DENIED_H

/* What is done with an event without consent: PinterestCapiOnDenied as it travels in an envelope:
 * "suppress", "limited", or "strip KEY…". */

#include <jansson.h>

#include "capi.h"

typedef enum {
    CAPI_ACTION_SEND,     /* consent is granted */
    CAPI_ACTION_SUPPRESS, /* withheld, its user data erased */
    CAPI_ACTION_STRIP,    /* sent without some match keys */
    CAPI_ACTION_LIMITED   /* sent under limited data processing */
} capi_action_t;

/* Adds the match key of this name (as on the wire, or as people write it) to *keys; false where it
 * is none. */
bool capi_denied_key(capi_keys_t *keys, const char *name);

/* What the words ask for; whatever is not understood is suppressed. */
capi_action_t capi_denied_action(const char *on_denied);

/* Does it to a canonical event. Strip: the keys are gone. Limited: custom_data.opt_out_type is LDP
 * (Pinterest wants hashed st and country beside it, where known). False where the event must be
 * withheld all the same: suppress, or Pinterest's minimum is not met any more. */
bool capi_denied_apply(json_t *body, const char *on_denied);

/* Leaves the bare record of a canonical event: name, id, time, no person and nothing of what was
 * done. */
void capi_denied_bare(json_t *body);

/* "sent", "suppressed", "stripped", "limited". */
const char *capi_action_name(capi_action_t action);

#endif
