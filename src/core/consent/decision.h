#ifndef CAPI_DECISION_H
#define CAPI_DECISION_H

/* One decision for Tag and API from everything a request says about consent. */

#include "cmp.h"
#include "envelope.h"
#include "pattern.h"

/* The cookie that the browser client writes for consent managers that keep theirs to themselves:
 * v1.<g or d>.<unix time>.<source>. */
#define CAPI_BRIDGE_COOKIE "pin_consent"

typedef enum {
    CAPI_SIGNAL_CMP,
    CAPI_SIGNAL_TCF,
    CAPI_SIGNAL_GPP,
    CAPI_SIGNAL_USP,
    CAPI_SIGNAL_GPC,
    CAPI_SIGNAL_COOKIE,
    CAPI_SIGNAL_ENV,
    CAPI_SIGNAL_BRIDGE
} capi_signal_kind_t;

typedef struct {
    capi_signal_kind_t kind;
    const char *label;  /* as records show it: "cmp onetrust", "tcf", "gpc" … */
    const char *cookie; /* cookie or environment variable; NULL: the usual ones of its kind */
    const capi_cmp_t *cmp;
    uint32_t purposes;            /* tcf: bit 0 is purpose 1; 0: it can only deny */
    bool is_strict;               /* gpc: goes before a grant */
    capi_pattern_t *grant, *deny; /* cookie */
    bool has_starts;              /* it reads cookies alone, those that begin so */
    capi_starts_t starts;
} capi_signal_t;

/* Notes what each signal of a complete list reads, so that a request without that need not ask it. */
void capi_signals_prepare(apr_array_header_t *signals);

/* What a request says. Strings may be NULL. */
typedef struct {
    const char *cookies;
    const char *sec_gpc;
    const char *(*env)(const void *request, const char *name);
    const void *request; /* for env */
} capi_consent_input_t;

/* The decision, by precedence: `env`, an explicit denial, GPC, an explicit grant, then
 * `otherwise` (UNKNOWN: no default is set). A grant recorded more than `max_age_days` ago (0: no
 * limit) is no signal. `signals` are `count` arrays of capi_signal_t. *consent's strings are the pool's or the signals'. */
void capi_consent_decide(capi_consent_t *consent, const apr_array_header_t *const *signals,
                         int count, const capi_consent_input_t *input,
                         capi_consent_state_t otherwise, int max_age_days, apr_time_t now,
                         apr_pool_t *p);

#endif
