#ifndef CAPI_CONSENT_US_H
#define CAPI_CONSENT_US_H

/* Signals of US state laws: GPP strings and US Privacy strings. They can only deny: not opting out
 * is no consent. */

#include "capi.h"

typedef enum {
    CAPI_US_INVALID = -1,  /* malformed: no signal */
    CAPI_US_NO_SIGNAL = 0, /* nothing in it applies */
    CAPI_US_NOT_OPTED_OUT = 1,
    CAPI_US_OPTED_OUT = 2
} capi_us_t;

/* A GPP string (header and sections 7 to 27, GPC segments, section 6). Opted out where any of them
 * opts out of sale, sharing or targeted advertising, or carries GPC. */
capi_us_t capi_gpp_read(const char *text, apr_size_t len);

/* A US Privacy string `1YYN`, bare or inside JSON {"uspString":"1YYN"}. */
capi_us_t capi_usp_read(const char *text, apr_size_t len);

#endif
