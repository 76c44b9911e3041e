#include "config_int.h"

#include <apr_file_info.h>
#include <apr_strings.h>

#include <http_core.h>

APLOG_USE_MODULE(pinterest_capi);

/* What must hold between directives. A section is merged only when a request comes, so each place
 * is looked at in every host it can apply to, and is refused where it fits into none. */

typedef struct {
    server_rec *main_server;
    apr_pool_t *pool;      /* of this check */
    apr_pool_t *conf_pool; /* as long as the configuration */
} check_t;

/* What is missing for a place to work; also how PinterestCapi On is refused. */
typedef enum { NOTHING, ACCOUNT, TOKEN, CONSENT } missing_t;

static bool has_token(const server_rec *host, const char *account)
{
    const apr_array_header_t *files = capi_server_conf(host)->token_files;
    int i;

    for (i = 0; files && i < files->nelts; i++) {
        const char *held =
            capi_config_token_account(&APR_ARRAY_IDX(files, i, capi_token_file_t), host);

        if (held && strcmp(held, account) == 0) {
            return true;
        }
    }
    return false;
}

static missing_t find_missing(const capi_dir_conf_t *conf, const server_rec *host)
{
    if (!conf->account) {
        return ACCOUNT;
    }
    if (!has_token(host, conf->account)) {
        return TOKEN;
    }
    /* signals that were emptied are none */
    return conf->consent_default != CAPI_UNSET || conf->signals.items ? NOTHING : CONSENT;
}

static int refuse_incomplete(missing_t missing, const char *where, const capi_dir_conf_t *conf)
{
    if (missing == ACCOUNT) {
        ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL,
                     "PCAPI001: " CAPI_DIR_ENABLED " On (%s) has no ad account to work for: add "
                     "\"" CAPI_DIR_AD_ACCOUNT " ID\"",
                     where);
    }
    else if (missing == TOKEN) {
        ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL,
                     "PCAPI002: " CAPI_DIR_AD_ACCOUNT
                     " %s (%s) has no conversion access token: add "
                     "\"" CAPI_DIR_TOKEN_FILE " PATH %s\" to the host",
                     conf->account, where, conf->account);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL,
                     "PCAPI003: " CAPI_DIR_ENABLED " On (%s) without a word on consent, which is a "
                     "choice to make: add \"" CAPI_DIR_CONSENT_SIGNAL " auto\" and "
                     "\"" CAPI_DIR_CONSENT_DEFAULT " denied\" (or granted)",
                     where);
    }
    return HTTP_INTERNAL_SERVER_ERROR;
}

static const char *name_host(const server_rec *s, apr_pool_t *p)
{
    return s->defn_name ? apr_psprintf(p, "host %s, %s:%u",
                                       s->server_hostname ? s->server_hostname : "without a name",
                                       s->defn_name, s->defn_line_number)
                        : "main server";
}

/* What stands outside sections. Settings of the main server that are there only for its virtual
 * hosts to inherit need not be complete by themselves. */
static int check_hosts(const check_t *check)
{
    missing_t missing_in_main = NOTHING;
    bool is_for_hosts = false;
    server_rec *s;

    for (s = check->main_server; s; s = s->next) {
        const capi_dir_conf_t *conf = capi_dir_conf(s->lookup_defaults);
        missing_t missing = conf->enabled == 1 ? find_missing(conf, s) : NOTHING;

        if (s == check->main_server) {
            missing_in_main = missing;
        }
        else if (missing != NOTHING) {
            return refuse_incomplete(missing, name_host(s, check->pool), conf);
        }
        else if (conf->enabled == 1) {
            is_for_hosts = true;
        }
    }
    if (missing_in_main != NOTHING && !is_for_hosts) {
        return refuse_incomplete(missing_in_main, "main server",
                                 capi_dir_conf(check->main_server->lookup_defaults));
    }
    return OK;
}

/* Hosts a place can apply to: what the main server says goes for all. */
static server_rec *next_host(const check_t *check, const capi_place_t *place, server_rec *s)
{
    if (place->server != check->main_server) {
        return s ? NULL : place->server;
    }
    return s ? s->next : check->main_server;
}

static const capi_dir_conf_t *settings_in(const check_t *check, const capi_place_t *place,
                                          const server_rec *host)
{
    return place->is_section
               ? capi_merge_dir_conf(check->pool, capi_dir_conf(host->lookup_defaults), place->conf)
               : capi_dir_conf(host->lookup_defaults);
}

/* Another section may say what this one leaves open; only a request knows which of them meet. */
static bool another_section_says(missing_t what)
{
    const apr_array_header_t *places = capi_config_places();
    int i;

    for (i = 0; i < places->nelts; i++) {
        const capi_place_t *place = &APR_ARRAY_IDX(places, i, capi_place_t);

        if (place->is_section && ((what == ACCOUNT && place->conf->account) ||
                                  (what == CONSENT && capi_config_says_consent(place->conf)))) {
            return true;
        }
    }
    return false;
}

static int check_section(const check_t *check, const capi_place_t *place)
{
    missing_t first_missing = NOTHING;
    const capi_dir_conf_t *conf = NULL;
    server_rec *s = NULL;

    if (place->conf->enabled != 1 && !place->conf->account) {
        return OK;
    }
    while ((s = next_host(check, place, s)) != NULL) {
        const capi_dir_conf_t *here = settings_in(check, place, s);
        missing_t missing = find_missing(here, s);

        if (missing == NOTHING ||
            (missing != TOKEN && (place->conf->enabled != 1 || another_section_says(missing)))) {
            return OK;
        }
        if (first_missing == NOTHING) {
            first_missing = missing;
            conf = here;
        }
    }
    return refuse_incomplete(first_missing, place->where, conf);
}

/* A name that no host the place applies to can read. The message is the first host's. */
static int check_rule(const check_t *check, const capi_place_t *place, const capi_rule_t *rule)
{
    const char *message = NULL;
    server_rec *s = NULL;

    while ((s = next_host(check, place, s)) != NULL) {
        const char *error =
            capi_rule_check(rule, capi_conf_vocabulary(settings_in(check, place, s)),
                            capi_server_conf(s)->event_names, check->pool);

        if (!error) {
            return OK;
        }
        message = message ? message : error;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL,
                 "PCAPI004: " CAPI_DIR_EVENT " %s (%s): %s", capi_rule_name(rule), place->where,
                 message);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static bool goes_out_as(const server_rec *host, const char *name)
{
    const apr_array_header_t *aliases;
    int i;

    if (strcmp(name, "all") == 0 || capi_name_is_standard(name)) {
        return true;
    }
    if (!capi_server_conf(host)->event_names) {
        return false;
    }
    aliases = apr_table_elts(capi_server_conf(host)->event_names);
    for (i = 0; i < aliases->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(aliases, i, apr_table_entry_t).val, name) == 0) {
            return true;
        }
    }
    return false;
}

static int check_allowed(const check_t *check, const capi_place_t *place, const char *name)
{
    server_rec *s = NULL;

    while ((s = next_host(check, place, s)) != NULL) {
        if (goes_out_as(s, name)) {
            return OK;
        }
    }
    ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL,
                 "PCAPI005: " CAPI_DIR_COLLECT_ALLOW " %s (%s): no event goes out under this name: "
                 "write Pinterest's name, or allow it with \"" CAPI_DIR_EVENT_NAME " %s %s\"",
                 name, place->where, name, name);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static int check_signal(const check_t *check, const capi_place_t *place, capi_signal_line_t *line)
{
    const char *folder = apr_pstrcat(
        check->pool, ap_make_dirstr_parent(check->pool, capi_global_conf()->sender), "cmp", NULL);
    const char *message = capi_signal_line_load(line, folder, check->conf_pool);

    if (!message) {
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL,
                 "PCAPI009: " CAPI_DIR_CONSENT_SIGNAL " %s (%s): %s",
                 capi_signal_line_text(line, check->pool), place->where, message);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* Names are judged where nothing is switched on, too; what also needs an account, or the files that
 * are installed beside the sender, only where it is. */
static int check_place(const check_t *check, const capi_place_t *place)
{
    const apr_array_header_t *rules = place->conf->rules.items;
    const apr_array_header_t *allowed = place->conf->collect_allow.items;
    const apr_array_header_t *signals = capi_is_in_use() ? place->conf->signals.items : NULL;
    int status = place->is_section && capi_is_in_use() ? check_section(check, place) : OK;
    int i;

    for (i = 0; status == OK && rules && i < rules->nelts; i++) {
        status = check_rule(check, place, APR_ARRAY_IDX(rules, i, const capi_rule_t *));
    }
    for (i = 0; status == OK && signals && i < signals->nelts; i++) {
        status = check_signal(check, place, APR_ARRAY_IDX(signals, i, capi_signal_line_t *));
    }
    for (i = 0; status == OK && allowed && i < allowed->nelts; i++) {
        status = check_allowed(check, place, APR_ARRAY_IDX(allowed, i, const char *));
    }
    return status;
}

/* The store's directory is made at the start; what it is made in must be there. */
static int check_state_dir(const check_t *check)
{
    const char *path = capi_global_conf()->state_dir;
    apr_finfo_t found;
    apr_status_t rv = apr_stat(&found, path, APR_FINFO_TYPE, check->pool);

    if (rv == APR_SUCCESS && found.filetype == APR_DIR) {
        return OK;
    }
    if (rv == APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL,
                     "PCAPI006: " CAPI_DIR_STATE_DIR " %s is no directory: name one, or remove "
                     "what is there",
                     path);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (APR_STATUS_IS_ENOENT(rv)) {
        rv =
            apr_stat(&found, ap_make_dirstr_parent(check->pool, path), APR_FINFO_TYPE, check->pool);
    }
    if (APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv)) {
        ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL,
                     "PCAPI007: " CAPI_DIR_STATE_DIR " %s cannot be made: the directory above it "
                     "is not there, make it",
                     path);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK; /* what this user may not see, root will */
}

static int check_sender(const check_t *check)
{
    const char *trouble = capi_supervisor_check(check->pool);

    if (!trouble) {
        return OK;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, NULL, "PCAPI039: %s", trouble);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static void warn_of_open_tokens(const check_t *check, const server_rec *s)
{
    const apr_array_header_t *files = capi_server_conf(s)->token_files;
    int i;

    for (i = 0; files && i < files->nelts; i++) {
        const capi_token_file_t *file = &APR_ARRAY_IDX(files, i, capi_token_file_t);
        apr_finfo_t found;

        if (file->written == s &&
            apr_stat(&found, file->path, APR_FINFO_PROT, check->pool) == APR_SUCCESS &&
            (found.protection & (APR_GREAD | APR_WREAD))) {
            ap_log_error(APLOG_MARK, APLOG_WARNING | APLOG_STARTUP, 0, NULL,
                         "PCAPI008: " CAPI_DIR_TOKEN_FILE " %s can be read by others than its "
                         "owner: chown root and chmod 600 it",
                         file->path);
        }
    }
}

int capi_check_config(apr_pool_t *conf_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                      server_rec *s)
{
    check_t check = {.main_server = s, .pool = temp_pool, .conf_pool = conf_pool};
    const apr_array_header_t *places = capi_config_places();
    int run_mode = ap_state_query(AP_SQ_RUN_MODE);
    int status;
    int i;

    (void)log_pool;
    capi_config_seal(s, conf_pool);
    if (run_mode == AP_SQ_RM_CONFIG_DUMP) {
        return OK;
    }
    status = capi_is_in_use() ? check_hosts(&check) : OK;
    for (i = 0; status == OK && i < places->nelts; i++) {
        status = check_place(&check, &APR_ARRAY_IDX(places, i, capi_place_t));
    }
    if (!capi_is_in_use()) {
        return status;
    }
    if (status == OK) {
        status = check_state_dir(&check);
    }
    if (status == OK) {
        status = check_sender(&check);
    }
    /* httpd checks twice at a start; once is enough to be warned */
    if (status == OK && (run_mode == AP_SQ_RM_CONFIG_TEST ||
                         ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG)) {
        for (; s; s = s->next) {
            warn_of_open_tokens(&check, s);
        }
    }
    return status;
}
