#include "pattern.h"

#include <apr_strings.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* A cookie is at most 16 KiB; the rules that are shipped need a few hundred steps of backtracking
 * on real values. */
#define MATCH_LIMIT    200000
#define DEPTH_LIMIT    1000
#define HEAP_LIMIT_KIB 256

struct capi_pattern_t {
    pcre2_code *code;
    pcre2_match_context *limits;
};

static apr_status_t free_pattern(void *arg)
{
    capi_pattern_t *pattern = arg;

    pcre2_match_context_free(pattern->limits);
    pcre2_code_free(pattern->code);
    return APR_SUCCESS;
}

apr_status_t capi_pattern_compile(capi_pattern_t **result, const char **message, const char *text,
                                  apr_pool_t *p)
{
    int error;
    PCRE2_SIZE offset;
    PCRE2_UCHAR reason[128];
    capi_pattern_t *pattern = apr_pcalloc(p, sizeof(*pattern));

    pattern->code =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                      PCRE2_CASELESS | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY, &error, &offset, NULL);
    if (!pattern->code) {
        pcre2_get_error_message(error, reason, sizeof(reason));
        *message = apr_psprintf(p, "%s at character %" APR_SIZE_T_FMT " of the pattern", reason,
                                (apr_size_t)offset + 1);
        return APR_EINVAL;
    }
    pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);
    pattern->limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(pattern->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(pattern->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(pattern->limits, HEAP_LIMIT_KIB);
    apr_pool_cleanup_register(p, pattern, free_pattern, apr_pool_cleanup_null);
    *result = pattern;
    return APR_SUCCESS;
}

bool capi_pattern_matches(const capi_pattern_t *pattern, const char *text, apr_size_t len)
{
    pcre2_match_data *found = pcre2_match_data_create(1, NULL);
    int count =
        found ? pcre2_match(pattern->code, (PCRE2_SPTR)text, len, 0, 0, found, pattern->limits) : 0;

    pcre2_match_data_free(found);
    return found && count >= 0;
}
