/* The outcome table, and the halving of refused batches. */

#include "outcome.h"

#include <apr_strings.h>

capi_verdict_t capi_outcome_judge(int http_status, apr_status_t answer)
{
    switch (http_status) {
    case 0:
    case 408:
    case 429:
        return CAPI_VERDICT_WAIT;
    case 200:
        return answer == APR_SUCCESS ? CAPI_VERDICT_RESULTS : CAPI_VERDICT_WAIT;
    case 422:
        return answer == APR_SUCCESS ? CAPI_VERDICT_RESULTS : CAPI_VERDICT_REFUSED;
    case 400:
    case 413:
        return CAPI_VERDICT_REFUSED;
    default:
        return http_status >= 500 && http_status <= 599 ? CAPI_VERDICT_WAIT : CAPI_VERDICT_HOLD;
    }
}

const char *capi_outcome_hold_reason(int http_status, const char *account, const char *token_file,
                                     apr_pool_t *p)
{
    switch (http_status) {
    case 401:
        return apr_psprintf(p,
                            "the API does not accept the token of account %s (status 401): put a "
                            "valid conversion access token into '%s' and run apachectl graceful",
                            account, token_file);
    case 403:
        return apr_psprintf(p,
                            "the token in '%s' may not send events for account %s (status 403): "
                            "check the account's number and the token's rights, then run "
                            "apachectl graceful",
                            token_file, account);
    case 400:
    case 413:
    case 422:
        return apr_psprintf(p,
                            "the API refuses what account %s sends, however little (status %d): "
                            "the deliveries say which event it was and why",
                            account, http_status);
    case 404:
        return apr_psprintf(p,
                            "the API knows no account %s or no such address (status 404): check "
                            "PinterestCapiAdAccount and PinterestCapiApiUrl",
                            account);
    default:
        return apr_psprintf(p,
                            "unexpected answer for account %s (status %d): check "
                            "PinterestCapiApiUrl and PinterestCapiProxy",
                            account, http_status);
    }
}

void capi_halving_init(capi_halving_t *halving, apr_pool_t *p)
{
    halving->ranges = apr_array_make(p, 16, sizeof(capi_range_t));
    halving->refusals = 0;
}

bool capi_halving_refused(capi_halving_t *halving, capi_range_t range)
{
    capi_range_t first = {range.start, range.count / 2};
    capi_range_t second = {range.start + first.count, range.count - first.count};

    halving->refusals++;
    if (range.count < 2) {
        return false;
    }
    APR_ARRAY_PUSH(halving->ranges, capi_range_t) = second;
    APR_ARRAY_PUSH(halving->ranges, capi_range_t) = first;
    return true;
}

void capi_halving_accepted(capi_halving_t *halving)
{
    halving->refusals = 0;
}

static int next_index(const capi_halving_t *halving)
{
    return halving->refusals == CAPI_HALVING_PATIENCE / 2 ? 0 : halving->ranges->nelts - 1;
}

const capi_range_t *capi_halving_peek(const capi_halving_t *halving)
{
    if (capi_halving_is_hopeless(halving) || halving->ranges->nelts == 0) {
        return NULL;
    }
    return &APR_ARRAY_IDX(halving->ranges, next_index(halving), capi_range_t);
}

bool capi_halving_next(capi_halving_t *halving, capi_range_t *range)
{
    const capi_range_t *next = capi_halving_peek(halving);
    int i;

    if (!next) {
        return false;
    }
    *range = *next;
    for (i = next_index(halving); i < halving->ranges->nelts - 1; i++) {
        APR_ARRAY_IDX(halving->ranges, i, capi_range_t) =
            APR_ARRAY_IDX(halving->ranges, i + 1, capi_range_t);
    }
    apr_array_pop(halving->ranges);
    return true;
}

bool capi_halving_is_hopeless(const capi_halving_t *halving)
{
    return halving->refusals >= CAPI_HALVING_PATIENCE;
}
