/* What reading consent costs a request: every consent manager that needs no parameter, TCF, GPP, US
 * Privacy and the bridge, on a Cookie header of 2 KB. Prints microseconds of CPU a request. */

#include "consent/decision.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 200000

static apr_array_header_t *load_auto(const char *folder, apr_pool_t *p)
{
    static const capi_signal_kind_t kinds[] = {CAPI_SIGNAL_TCF, CAPI_SIGNAL_GPP, CAPI_SIGNAL_USP,
                                               CAPI_SIGNAL_GPC, CAPI_SIGNAL_BRIDGE};
    apr_array_header_t *signals = apr_array_make(p, 64, sizeof(capi_signal_t));
    apr_array_header_t *names;

    capi_cmp_list(&names, folder, p);
    for (int i = 0; i < names->nelts; i++) {
        capi_signal_t signal = {.kind = CAPI_SIGNAL_CMP, .label = "cmp"};
        const char *message;
        if (capi_cmp_load(&signal.cmp, &message, folder, APR_ARRAY_IDX(names, i, const char *),
                          NULL, p) == APR_SUCCESS) {
            APR_ARRAY_PUSH(signals, capi_signal_t) = signal;
        }
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        APR_ARRAY_PUSH(signals, capi_signal_t) =
            (capi_signal_t){.kind = kinds[i], .label = "other"};
    }
    capi_signals_prepare(signals);
    return signals;
}

/* A shop's cookies, one manager's decision among them, filled up to 2 KB. */
static const char *make_header(apr_pool_t *p)
{
    const char *header =
        "OptanonConsent=isGpcEnabled=0&datestamp=Mon+Jan+01+2024&version=202401.1.0"
        "&interactionCount=1&groups=C0001%3A1%2CC0002%3A1%2CC0003%3A1%2CC0004%3A1"
        "&AwaitingReconsent=false; PHPSESSID=0123456789abcdef0123456789";

    for (int i = 0; strlen(header) < 2000; i++) {
        header = apr_psprintf(p, "%s; _ga_%d=GS1.1.17%d.1.1.1716999999.0.0.0", header, i, i * 7919);
    }
    return header;
}

int main(int argc, char **argv)
{
    apr_pool_t *pool, *request;
    int granted = 0;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&request, pool);
    const apr_array_header_t *signals = load_auto(argc > 1 ? argv[1] : "conf/cmp", pool);
    capi_consent_input_t input = {.cookies = make_header(pool)};
    clock_t began = clock();
    for (int i = 0; i < ROUNDS; i++) {
        capi_consent_t consent;
        capi_consent_decide(&consent, &signals, 1, &input, CAPI_CONSENT_DENIED, 395, apr_time_now(),
                            request);
        granted += consent.state == CAPI_CONSENT_GRANTED;
        apr_pool_clear(request);
    }
    double spent = (double)(clock() - began) / CLOCKS_PER_SEC;
    printf("%.2f\n", spent / ROUNDS * 1e6);
    apr_terminate();
    return granted == ROUNDS ? 0 : 1;
}
