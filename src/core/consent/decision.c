#include "decision.h"

#include "decode.h"
#include "tcf.h"
#include "us.h"

#include <stdlib.h>
#include <string.h>

/* Visitors' clocks are wrong by their time zone more often than by anything else. */
#define CLOCK_SKEW_SEC 86400

static const char *const tcf_cookies[] = {"euconsent-v2", "eupubconsent-v2", "dm-euconsent-v2",
                                          "__cmpconsent*", NULL};
static const char *const gpp_cookies[] = {"OTGPPConsent", "__gpp", "gpp", "gpp_string", NULL};
static const char *const usp_cookies[] = {"usprivacy", "us_privacy", "__cmpccpausps", NULL};

typedef struct {
    const capi_consent_input_t *input;
    capi_cookies_t cookies;
    int64_t oldest_grant; /* Unix seconds; 0: no limit */
    int64_t latest;       /* Unix seconds: what claims to be later is malformed */
    apr_pool_t *p;
} reading_t;

typedef capi_consent_state_t value_reader_t(const reading_t *reading, const capi_signal_t *signal,
                                            const char *value, apr_size_t len);

static capi_consent_state_t stronger(capi_consent_state_t a, capi_consent_state_t b)
{
    return a == CAPI_CONSENT_DENIED || b == CAPI_CONSENT_UNKNOWN ? a : b;
}

static bool is_fresh(const reading_t *reading, int64_t granted_at)
{
    return granted_at >= reading->oldest_grant;
}

static capi_consent_state_t read_tcf(const reading_t *reading, const capi_signal_t *signal,
                                     const char *value, apr_size_t len)
{
    uint32_t required = signal->purposes ? signal->purposes : CAPI_TCF_MEASUREMENT;
    capi_consent_state_t state = capi_tcf_state(value, len, required, signal->purposes != 0);
    capi_tcf_t tcf;
    const char *error;

    if (state == CAPI_CONSENT_GRANTED && reading->oldest_grant &&
        (capi_tcf_read(&tcf, &error, value, len, 0) != APR_SUCCESS ||
         !is_fresh(reading, tcf.created_ds / 10))) {
        return CAPI_CONSENT_UNKNOWN;
    }
    return state;
}

static capi_consent_state_t denies(capi_us_t said)
{
    return said == CAPI_US_OPTED_OUT ? CAPI_CONSENT_DENIED : CAPI_CONSENT_UNKNOWN;
}

static capi_consent_state_t read_gpp(const reading_t *reading, const capi_signal_t *signal,
                                     const char *value, apr_size_t len)
{
    (void)reading;
    (void)signal;
    return denies(capi_gpp_read(value, len));
}

static capi_consent_state_t read_usp(const reading_t *reading, const capi_signal_t *signal,
                                     const char *value, apr_size_t len)
{
    (void)reading;
    (void)signal;
    return denies(capi_usp_read(value, len));
}

static capi_consent_state_t read_patterns(const reading_t *reading, const capi_signal_t *signal,
                                          const char *value, apr_size_t len)
{
    (void)reading;
    if (signal->deny && capi_pattern_matches(signal->deny, value, len)) {
        return CAPI_CONSENT_DENIED;
    }
    return capi_pattern_matches(signal->grant, value, len) ? CAPI_CONSENT_GRANTED
                                                           : CAPI_CONSENT_UNKNOWN;
}

/* v1.g.<unix time>.<source>: all of it, or it was cut short. A time in the future is no record of
 * anything, but for visitors' clocks. */
static capi_consent_state_t read_bridge(const reading_t *reading, const capi_signal_t *signal,
                                        const char *value, apr_size_t len)
{
    char *end;

    (void)signal;
    if (len < 6 || len > 64 || strncmp(value, "v1.", 3) != 0 || value[4] != '.') {
        return CAPI_CONSENT_UNKNOWN;
    }
    int64_t said_at = strtoll(value + 5, &end, 10);
    if (end == value + 5 || end - value > 16 || *end != '.' || !end[1] || said_at <= 0 ||
        said_at > reading->latest) {
        return CAPI_CONSENT_UNKNOWN;
    }
    if (value[3] == 'd') {
        return CAPI_CONSENT_DENIED;
    }
    return value[3] == 'g' && is_fresh(reading, said_at) ? CAPI_CONSENT_GRANTED
                                                         : CAPI_CONSENT_UNKNOWN;
}

/* All cookies of these names; a denial wins. */
static capi_consent_state_t read_cookies(const reading_t *reading, const capi_signal_t *signal,
                                         const char *const *names, value_reader_t *read,
                                         unsigned steps)
{
    capi_consent_state_t said = CAPI_CONSENT_UNKNOWN;

    for (; *names; names++) {
        const capi_cookie_t *cookie = NULL;
        while (said != CAPI_CONSENT_DENIED &&
               (cookie = capi_cookies_find(&reading->cookies, cookie, *names)) != NULL) {
            apr_size_t len = cookie->value_len;
            const char *value = capi_decode(cookie->value, &len, steps, reading->p);
            if (value) {
                said = stronger(said, read(reading, signal, value, len));
            }
        }
    }
    return said;
}

static capi_consent_state_t read_env(const reading_t *reading, const capi_signal_t *signal)
{
    const char *value =
        reading->input->env ? reading->input->env(reading->input->request, signal->cookie) : NULL;

    if (value && strcmp(value, "granted") == 0) {
        return CAPI_CONSENT_GRANTED;
    }
    return value && strcmp(value, "denied") == 0 ? CAPI_CONSENT_DENIED : CAPI_CONSENT_UNKNOWN;
}

static capi_consent_state_t read_gpc(const reading_t *reading)
{
    const char *value = reading->input->sec_gpc;

    return value && strcmp(value, "1") == 0 ? CAPI_CONSENT_DENIED : CAPI_CONSENT_UNKNOWN;
}

/* The cookies that a signal reads; NULL where it does not speak by cookies. A single one of its own
 * stands in `own`. */
static const char *const *cookies_of(const capi_signal_t *signal, const char *own[2])
{
    own[0] = signal->cookie;
    own[1] = NULL;
    switch (signal->kind) {
    case CAPI_SIGNAL_CMP:
        own[0] = capi_cmp_cookie(signal->cmp);
        return own;
    case CAPI_SIGNAL_TCF:
        return signal->cookie ? own : tcf_cookies;
    case CAPI_SIGNAL_GPP:
        return signal->cookie ? own : gpp_cookies;
    case CAPI_SIGNAL_USP:
        return usp_cookies;
    case CAPI_SIGNAL_COOKIE:
        return own;
    case CAPI_SIGNAL_BRIDGE:
        own[0] = CAPI_BRIDGE_COOKIE;
        return own;
    case CAPI_SIGNAL_ENV:
    case CAPI_SIGNAL_GPC:
        break;
    }
    return NULL;
}

void capi_signals_prepare(apr_array_header_t *signals)
{
    for (int i = 0; i < signals->nelts; i++) {
        capi_signal_t *signal = &APR_ARRAY_IDX(signals, i, capi_signal_t);
        const char *own[2];

        for (const char *const *name = cookies_of(signal, own); name && *name; name++) {
            capi_starts_add(&signal->starts, *name);
            signal->has_starts = true;
        }
    }
}

static capi_consent_state_t read_signal(const reading_t *reading, const capi_signal_t *signal)
{
    const char *own[2];
    const char *const *names = cookies_of(signal, own);

    switch (signal->kind) {
    case CAPI_SIGNAL_CMP:
        return capi_cmp_read(signal->cmp, &reading->cookies, reading->p);
    case CAPI_SIGNAL_TCF:
        return read_cookies(reading, signal, names, read_tcf, CAPI_DECODE_URL);
    case CAPI_SIGNAL_GPP:
        return read_cookies(reading, signal, names, read_gpp, CAPI_DECODE_URL);
    case CAPI_SIGNAL_USP:
        return read_cookies(reading, signal, names, read_usp, CAPI_DECODE_URL);
    case CAPI_SIGNAL_COOKIE:
        return read_cookies(reading, signal, names, read_patterns, 0);
    case CAPI_SIGNAL_BRIDGE:
        return read_cookies(reading, signal, names, read_bridge, CAPI_DECODE_URL);
    case CAPI_SIGNAL_ENV:
        return read_env(reading, signal);
    case CAPI_SIGNAL_GPC:
        return read_gpc(reading);
    }
    return CAPI_CONSENT_UNKNOWN;
}

/* Precedence as a number: the higher one decides. */
static int rank(const capi_signal_t *signal, capi_consent_state_t said)
{
    if (said == CAPI_CONSENT_UNKNOWN) {
        return 0;
    }
    if (signal->kind == CAPI_SIGNAL_ENV) {
        return said == CAPI_CONSENT_DENIED ? 6 : 5;
    }
    if (signal->kind == CAPI_SIGNAL_GPC) {
        return signal->is_strict ? 3 : 1;
    }
    return said == CAPI_CONSENT_DENIED ? 4 : 2;
}

/* The decision so far has rank `best`; returns that of the decision after these signals. */
static int hear(capi_consent_t *consent, int best, const reading_t *reading,
                const apr_array_header_t *signals)
{
    for (int i = 0; i < signals->nelts; i++) {
        const capi_signal_t *signal = &APR_ARRAY_IDX(signals, i, const capi_signal_t);
        if (signal->has_starts && !capi_cookies_may_have(&reading->cookies, &signal->starts)) {
            continue;
        }
        capi_consent_state_t said = read_signal(reading, signal);
        int here = rank(signal, said);
        if (here > best) {
            best = here;
            consent->state = said;
            consent->signal = signal->label;
        }
    }
    return best;
}

void capi_consent_decide(capi_consent_t *consent, const apr_array_header_t *const *signals,
                         int count, const capi_consent_input_t *input,
                         capi_consent_state_t otherwise, int max_age_days, apr_time_t now,
                         apr_pool_t *p)
{
    reading_t reading = {.input = input, .p = p};
    int best = 0;

    reading.latest = apr_time_sec(now) + CLOCK_SKEW_SEC;

    if (count > 0) {
        capi_cookies_read(&reading.cookies, input->cookies, p);
    }
    if (max_age_days > 0) {
        reading.oldest_grant = apr_time_sec(now) - (int64_t)max_age_days * 86400;
    }
    *consent = (capi_consent_t){.state = otherwise,
                                .signal = otherwise == CAPI_CONSENT_UNKNOWN ? "none" : "default",
                                .decided_at = now};
    for (int i = 0; i < count; i++) {
        best = hear(consent, best, &reading, signals[i]);
    }
}
