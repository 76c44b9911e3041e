/* TC strings. What is granted must parse, be valid, and stay granted by itself alone: no grant ever
 * comes from a string whose purposes are not all consented to. */

#include "consent/tcf.h"

#include "fuzz.h"

static void run_one(const char *text, size_t len)
{
    capi_tcf_t tcf;
    const char *error;
    apr_status_t rv = capi_tcf_read(&tcf, &error, text, len, 755);
    capi_consent_state_t state = capi_tcf_state(text, len, CAPI_TCF_MEASUREMENT, true);

    require((rv == APR_SUCCESS) == (error == NULL), "an error without a word, or the other way");
    if (state == CAPI_CONSENT_GRANTED) {
        require(rv == APR_SUCCESS && !capi_tcf_invalid(&tcf), "a grant from a bad string");
        require(capi_tcf_grants(&tcf, CAPI_TCF_MEASUREMENT), "a grant without its purposes");
    }
    require(capi_tcf_state(text, len, CAPI_TCF_MEASUREMENT, false) != CAPI_CONSENT_GRANTED,
            "a grant where none may be");
}
