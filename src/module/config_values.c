#include "config_int.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <http_core.h>

APLOG_USE_MODULE(pinterest_capi);

/* Values of directives: numbers, words, files, URLs. Each function returns NULL or the message that
 * stops configtest: directive, value, mend. */

const char *capi_value_error(cmd_parms *cmd, const char *value, const char *mend)
{
    return apr_psprintf(cmd->pool, "%s: '%s' %s", cmd->cmd->name, value, mend);
}

const char *capi_value_words(cmd_parms *cmd, int argc, char *const argv[])
{
    const char *words = argc > 0 ? argv[0] : "";
    int i;

    for (i = 1; i < argc; i++) {
        words = apr_pstrcat(cmd->pool, words, " ", argv[i], NULL);
    }
    return words;
}

/* A whole number from `min` to `max`; an error text otherwise. */
const char *capi_value_number(apr_int64_t *number, cmd_parms *cmd, const char *text,
                              apr_int64_t min, apr_int64_t max)
{
    char *end = NULL;

    errno = 0;
    *number = apr_isdigit(*text) ? apr_strtoi64(text, &end, 10) : -1;
    if (!end || *end || errno || *number < min || *number > max) {
        return capi_value_error(
            cmd, text,
            apr_psprintf(cmd->pool,
                         "is out of range: write a whole number from %" APR_INT64_T_FMT
                         " to %" APR_INT64_T_FMT,
                         min, max));
    }
    return NULL;
}

const char *capi_value_int(int *set, cmd_parms *cmd, const char *text, int min, int max)
{
    apr_int64_t number;
    const char *error = capi_value_number(&number, cmd, text, min, max);

    if (!error) {
        *set = (int)number;
    }
    return error;
}

/* One of two words: the place in `set` becomes 0 or 1. */
const char *capi_value_choice(int *set, cmd_parms *cmd, const char *text, const char *zero,
                              const char *one)
{
    if (ap_cstr_casecmp(text, zero) == 0) {
        *set = 0;
        return NULL;
    }
    if (ap_cstr_casecmp(text, one) == 0) {
        *set = 1;
        return NULL;
    }
    return capi_value_error(cmd, text, apr_psprintf(cmd->pool, "must be %s or %s", zero, one));
}

const char *capi_value_path(const char **set, cmd_parms *cmd, const char *text)
{
    const char *path = ap_server_root_relative(cmd->pool, text);

    if (!*text || !path) {
        return capi_value_error(cmd, text,
                                "is no path: write an absolute one, or one below ServerRoot");
    }
    *set = path;
    return NULL;
}

/* A file that the setting cannot do without. Not looked for where httpd only prints its
 * configuration, and no verdict on what this user may not see. */
const char *capi_value_file(const char **set, cmd_parms *cmd, const char *text, const char *mend)
{
    const char *error = capi_value_path(set, cmd, text);
    apr_finfo_t found;
    apr_status_t rv;

    if (error || ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_DUMP) {
        return error;
    }
    rv = apr_stat(&found, *set, APR_FINFO_TYPE, cmd->temp_pool);
    if (APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv)) {
        return capi_value_error(cmd, *set, apr_pstrcat(cmd->pool, "is not there: ", mend, NULL));
    }
    if (rv == APR_SUCCESS && found.filetype != APR_REG) {
        return capi_value_error(cmd, *set,
                                apr_pstrcat(cmd->pool, "is no regular file: ", mend, NULL));
    }
    return NULL;
}

static bool is_there(const char *path, apr_pool_t *p)
{
    apr_finfo_t found;
    apr_status_t rv = apr_stat(&found, path, APR_FINFO_TYPE, p);

    return !APR_STATUS_IS_ENOENT(rv) && !APR_STATUS_IS_ENOTDIR(rv);
}

const char *capi_value_later_file(const char **set, cmd_parms *cmd, const char *text,
                                  const char *mend)
{
    const char *error = capi_value_path(set, cmd, text);

    if (!error && !is_there(*set, cmd->temp_pool) &&
        is_there(ap_make_dirstr_parent(cmd->temp_pool, *set), cmd->temp_pool)) {
        return NULL;
    }
    return error ? error : capi_value_file(set, cmd, text, mend);
}

static bool is_account(const char *text)
{
    apr_size_t len = strspn(text, "0123456789");

    return len > 0 && len <= 18 && !text[len];
}

const char *capi_value_account(const char **set, cmd_parms *cmd, const char *text)
{
    if (!is_account(text)) {
        return capi_value_error(cmd, text, "is no ad account: write its id, 1 to 18 digits");
    }
    *set = text;
    return NULL;
}

bool capi_value_is_loopback(const char *host)
{
    /* a name may begin with 127. too, and be anybody's */
    bool is_ipv4 = strspn(host, "0123456789.") == strlen(host);

    return ap_cstr_casecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (is_ipv4 && strncmp(host, "127.", 4) == 0);
}

static bool has_odd_port(const apr_uri_t *uri)
{
    long port = uri->port_str && *uri->port_str ? strtol(uri->port_str, NULL, 10) : 1;

    return port < 1 || port > 65535;
}

/* An URL with a scheme and a host and without what does not belong into a configuration. */
const char *capi_value_url(apr_uri_t *uri, cmd_parms *cmd, const char *url, const char *example)
{
    if (apr_uri_parse(cmd->pool, url, uri) != APR_SUCCESS || !uri->scheme || !uri->hostname ||
        !*uri->hostname || has_odd_port(uri)) {
        return capi_value_error(
            cmd, url, apr_pstrcat(cmd->pool, "is no URL: write one like ", example, NULL));
    }
    if (uri->fragment || uri->query) {
        return capi_value_error(cmd, url, "must not have a query or a fragment");
    }
    return NULL;
}

bool capi_value_is_domain(const char *text)
{
    return *text &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") ==
               strlen(text);
}
