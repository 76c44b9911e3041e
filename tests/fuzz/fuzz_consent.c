/* A whole Cookie header against every consent manager and every reader. A denial among several
 * cookies is never lost by one more cookie behind it. */

#include "consent/decision.h"

#include <apr_strings.h>

#include "fuzz.h"

#ifndef CMP_FOLDER
#define CMP_FOLDER "conf/cmp"
#endif

static apr_array_header_t *load_signals(void)
{
    static apr_array_header_t *signals;
    static apr_pool_t *kept;
    static const capi_signal_kind_t kinds[] = {CAPI_SIGNAL_TCF, CAPI_SIGNAL_GPP, CAPI_SIGNAL_USP,
                                               CAPI_SIGNAL_BRIDGE};
    apr_array_header_t *names;

    if (signals) {
        return signals;
    }
    apr_pool_create(&kept, NULL);
    signals = apr_array_make(kept, 64, sizeof(capi_signal_t));
    require(capi_cmp_list(&names, CMP_FOLDER, kept) == APR_SUCCESS, "no " CMP_FOLDER);
    for (int i = 0; i < names->nelts; i++) {
        const capi_cmp_t *cmp;
        const char *message;
        if (capi_cmp_load(&cmp, &message, CMP_FOLDER, APR_ARRAY_IDX(names, i, const char *), NULL,
                          kept) == APR_SUCCESS) {
            capi_signal_t *signal = apr_array_push(signals);
            *signal = (capi_signal_t){.kind = CAPI_SIGNAL_CMP, .label = "cmp", .cmp = cmp};
        }
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        capi_signal_t *signal = apr_array_push(signals);
        *signal = (capi_signal_t){.kind = kinds[i], .label = "other", .purposes = 0x4d};
    }
    capi_signals_prepare(signals);
    return signals;
}

static capi_consent_state_t decide(const char *cookies)
{
    const apr_array_header_t *signals = load_signals();
    capi_consent_input_t input = {.cookies = cookies};
    capi_consent_t consent;

    capi_consent_decide(&consent, &signals, 1, &input, CAPI_CONSENT_UNKNOWN, 0,
                        apr_time_from_sec(1790000000), pool);
    return consent.state;
}

static void run_one(const char *text, size_t len)
{
    if (strlen(text) != len) {
        return; /* a header holds no NUL */
    }
    if (decide(text) == CAPI_CONSENT_DENIED) {
        require(decide(apr_pstrcat(pool, text, "; wp_consent_marketing=allow", NULL)) ==
                    CAPI_CONSENT_DENIED,
                "one more cookie undid a denial");
    }
}
