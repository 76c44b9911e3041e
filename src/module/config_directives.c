#include "config_int.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "denied.h"
#include "match.h"

#include <http_core.h>

#include <unistd.h>

APLOG_USE_MODULE(pinterest_capi);

/* The directive table and the setters. A setter parses and range-checks one line; what must hold
 * between lines stands in config_check.c. */

#define SECONDS_MAX 31536000 /* a year: more is a slip of the keyboard */

static capi_server_conf_t *server_of(cmd_parms *cmd)
{
    return ap_get_module_config(cmd->server->module_config, &pinterest_capi_module);
}

/* --- main server --- */

static const char *set_state_dir(cmd_parms *cmd, void *dir, const char *path)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    return error ? error : capi_value_path(&server_of(cmd)->global.state_dir, cmd, path);
}

static const char *set_store(cmd_parms *cmd, void *dir, const char *driver, const char *params)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    capi_global_conf_t *global = &server_of(cmd)->global;

    (void)dir;
    if (error) {
        return error;
    }
    if (strcmp(driver, "sqlite3") != 0 && strcmp(driver, "pgsql") != 0 &&
        strcmp(driver, "mysql") != 0) {
        return capi_value_error(cmd, driver, "is no driver: write sqlite3, pgsql or mysql");
    }
    if (!params && strcmp(driver, "sqlite3") != 0) {
        return capi_value_error(cmd, driver,
                                "needs PARAMS: write them in quotes, as for DBDParams, for example "
                                "\"host=db dbname=capi\"");
    }
    global->store_driver = driver;
    global->store_params = params;
    return NULL;
}

static const char *set_queue_size(cmd_parms *cmd, void *dir, const char *bytes)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    return error ? error
                 : capi_value_number(&server_of(cmd)->global.queue_size, cmd, bytes, CAPI_QUEUE_MIN,
                                     APR_INT64_C(17179869184));
}

static const char *set_retention(cmd_parms *cmd, void *dir, const char *days)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    return error ? error
                 : capi_value_int(&server_of(cmd)->global.retention_days, cmd, days, 1, 3650);
}

static const char *set_user(cmd_parms *cmd, void *dir, const char *user, const char *group)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)dir;
    server_of(cmd)->global.user = user;
    server_of(cmd)->global.group = group;
    return error;
}

#define WHERE_SENDER_IS "write where pinterest-capi-sender was installed"

static const char *set_sender(cmd_parms *cmd, void *dir, const char *path)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    const char **sender = &server_of(cmd)->global.sender;

    (void)dir;
    if (!error) {
        error = capi_value_file(sender, cmd, path, WHERE_SENDER_IS);
    }
    if (!error && access(*sender, F_OK) == 0 && access(*sender, X_OK) != 0) {
        error = capi_value_error(cmd, *sender, "is no program: " WHERE_SENDER_IS);
    }
    return error;
}

/* --- virtual host --- */

static const char *set_token_file(cmd_parms *cmd, void *dir, const char *path, const char *account)
{
    capi_server_conf_t *conf = server_of(cmd);
    capi_token_file_t file = {.written = cmd->server};
    const char *error = capi_value_file(
        &file.path, cmd, path, "put the conversion access token there, readable by root only");

    (void)dir;
    if (!error && account) {
        error = capi_value_account(&file.account, cmd, account);
    }
    if (error) {
        return error;
    }
    if (!conf->token_files) {
        conf->token_files = apr_array_make(cmd->pool, 2, sizeof(capi_token_file_t));
    }
    APR_ARRAY_PUSH(conf->token_files, capi_token_file_t) = file;
    return NULL;
}

static const char *set_api_url(cmd_parms *cmd, void *dir, const char *url)
{
    capi_server_conf_t *conf = server_of(cmd);
    apr_size_t len = strlen(url);
    apr_uri_t uri;
    const char *error = capi_value_url(&uri, cmd, url, "https://api.pinterest.com/v5");

    (void)dir;
    if (error) {
        return error;
    }
    if (uri.user) {
        return capi_value_error(cmd, url,
                                "must not name a user: the token goes into " CAPI_DIR_TOKEN_FILE);
    }
    if (strcmp(uri.scheme, "http") == 0 && !capi_value_is_loopback(uri.hostname)) {
        return capi_value_error(cmd, url,
                                "would send personal data in the clear: write https:// (plain "
                                "http is for loopback addresses only)");
    }
    if (strcmp(uri.scheme, "https") != 0 && strcmp(uri.scheme, "http") != 0) {
        return capi_value_error(cmd, url, "must begin with https://");
    }
    while (len > 0 && url[len - 1] == '/') {
        len--;
    }
    conf->api_url = apr_pstrmemdup(cmd->pool, url, len);
    return NULL;
}

static const char *set_ca_file(cmd_parms *cmd, void *dir, const char *path)
{
    (void)dir;
    return capi_value_file(&server_of(cmd)->ca_file, cmd, path,
                           "write where the certificates are, in PEM format");
}

static const char *set_catalog(cmd_parms *cmd, void *dir, const char *path)
{
    (void)dir;
    return capi_value_later_file(&server_of(cmd)->catalog, cmd, path,
                                 "write where the shop puts its Pinterest catalogue feed, a TSV, "
                                 "CSV or XML file");
}

static const char *set_proxy(cmd_parms *cmd, void *dir, const char *url)
{
    apr_uri_t uri;
    const char *error = capi_value_url(&uri, cmd, url, "http://proxy.example:3128");

    (void)dir;
    if (error) {
        return error;
    }
    if (strcmp(uri.scheme, "http") != 0 && strcmp(uri.scheme, "https") != 0) {
        return capi_value_error(cmd, url, "must begin with http:// or https://");
    }
    server_of(cmd)->proxy = url;
    return NULL;
}

static const char *set_test(cmd_parms *cmd, void *dir, const char *what)
{
    (void)dir;
    return capi_value_choice(&server_of(cmd)->test, cmd, what, "Off", "On");
}

static const char *set_wire_format(cmd_parms *cmd, void *dir, const char *format)
{
    int is_guide;
    const char *error = capi_value_choice(&is_guide, cmd, format, "v5", "guide");

    (void)dir;
    if (!error) {
        server_of(cmd)->wire = is_guide ? CAPI_WIRE_GUIDE : CAPI_WIRE_V5;
    }
    return error;
}

static const char *set_event_name(cmd_parms *cmd, void *dir, const char *from, const char *to)
{
    capi_server_conf_t *conf = server_of(cmd);

    (void)dir;
    if (!capi_name_is_wellformed(from)) {
        return capi_value_error(cmd, from, "is no event name: 1 to 100 of A-Z, a-z, 0-9, _ and -");
    }
    if (!capi_name_is_wellformed(to)) {
        return capi_value_error(cmd, to, "is no event name: 1 to 100 of A-Z, a-z, 0-9, _ and -");
    }
    if (!conf->event_names) {
        conf->event_names = apr_table_make(cmd->pool, 2);
    }
    apr_table_setn(conf->event_names, from, to);
    return NULL;
}

static const char *set_session_cookie(cmd_parms *cmd, void *dir, const char *name,
                                      const char *regex)
{
    capi_server_conf_t *conf = server_of(cmd);
    capi_session_cookie_t cookie = {.name = name};

    (void)dir;
    if (ap_cstr_casecmp(name, "none") == 0 && !regex) {
        conf->session_cookies = apr_array_make(cmd->pool, 0, sizeof(cookie));
        conf->drops_session_cookies = true;
        return NULL;
    }
    if (!*name || strpbrk(name, "=;, \t\"") || strcmp(name, "*") == 0) {
        return capi_value_error(cmd, name,
                                "is no cookie name: write one like PHPSESSID, or a prefix with "
                                "* at its end");
    }
    if (regex) {
        cookie.regex = ap_pregcomp(cmd->pool, regex, AP_REG_EXTENDED);
        if (!cookie.regex) {
            return capi_value_error(cmd, regex, "is no regular expression");
        }
    }
    if (!conf->session_cookies) {
        conf->session_cookies = apr_array_make(cmd->pool, 2, sizeof(cookie));
    }
    APR_ARRAY_PUSH(conf->session_cookies, capi_session_cookie_t) = cookie;
    return NULL;
}

/* A token (RFC 9110), which is what a cookie's name is. */
static bool is_token(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "!#$%&'*+-.^_`|~") == strlen(name);
}

static const char *set_visit_cookie(cmd_parms *cmd, void *dir, const char *name)
{
    (void)dir;
    if (!is_token(name) || ap_cstr_casecmp(name, "On") == 0 || strchr(name, '*')) {
        return capi_value_error(cmd, name,
                                "is no cookie name: write Off, or a name like shop_visit");
    }
    if (ap_cstr_casecmp(name, "_epik") == 0) {
        return capi_value_error(cmd, name, "is Pinterest's own cookie: write another name");
    }
    server_of(cmd)->visit_cookie = ap_cstr_casecmp(name, "Off") == 0 ? "" : name;
    return NULL;
}

/* Larger bodies are nobody's order, and each is held in memory twice. */
#define BODY_LIMIT_MAX 16777216

static const char *set_body_limit(cmd_parms *cmd, void *dir, const char *bytes)
{
    capi_dir_conf_t *conf = dir;

    capi_config_place(cmd, conf);
    return capi_value_int(&conf->body_limit, cmd, bytes, 0, BODY_LIMIT_MAX);
}

static const char *set_epik_cookie(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    capi_server_conf_t *conf = server_of(cmd);
    const char *error;
    int i;

    (void)dir;
    if (argc < 1) {
        return CAPI_DIR_EPIK_COOKIE ": write On or Off, then domain=D and max-age=S if you like";
    }
    error = capi_value_choice(&conf->epik_cookie, cmd, argv[0], "Off", "On");
    for (i = 1; i < argc && !error; i++) {
        if (strncmp(argv[i], "domain=", 7) == 0 && capi_value_is_domain(argv[i] + 7)) {
            conf->epik_domain = argv[i] + 7;
        }
        else if (strncmp(argv[i], "max-age=", 8) == 0) {
            error = capi_value_int(&conf->epik_max_age, cmd, argv[i] + 8, 1, 2 * SECONDS_MAX);
        }
        else {
            error = capi_value_error(cmd, argv[i],
                                     "is no option: write domain=shop.example or "
                                     "max-age=31536000");
        }
    }
    return error;
}

static const char *set_country(cmd_parms *cmd, void *dir, const char *country)
{
    const char *normal;

    (void)dir;
    if (capi_match_normalise(&normal, CAPI_KEY_COUNTRY, country, NULL, cmd->pool) != APR_SUCCESS) {
        return capi_value_error(cmd, country,
                                "is no country: write its two letters (ISO 3166), like DE or GB");
    }
    server_of(cmd)->country = normal;
    return NULL;
}

static const char *set_bots(cmd_parms *cmd, void *dir, const char *what)
{
    (void)dir;
    return capi_value_choice(&server_of(cmd)->bots, cmd, what, "keep", "drop");
}

static const char *set_prefetch(cmd_parms *cmd, void *dir, const char *what)
{
    (void)dir;
    return capi_value_choice(&server_of(cmd)->prefetch, cmd, what, "count", "drop");
}

static const char *set_collect_limit(cmd_parms *cmd, void *dir, const char *events)
{
    (void)dir;
    return capi_value_int(&server_of(cmd)->collect_limit, cmd, events, 1, 1000000);
}

/* scheme://host[:port], as browsers write it. */
static const char *set_collect_origin(cmd_parms *cmd, void *dir, const char *origin)
{
    capi_server_conf_t *conf = server_of(cmd);
    apr_uri_t uri;
    const char *error;

    (void)dir;
    if (ap_cstr_casecmp(origin, "none") == 0) {
        conf->collect_origins = NULL;
        conf->drops_collect_origins = true;
        return NULL;
    }
    error = capi_value_url(&uri, cmd, origin, "https://shop.example");
    if (!error && (uri.path || uri.query || uri.fragment || uri.user ||
                   (strcmp(uri.scheme, "https") != 0 && strcmp(uri.scheme, "http") != 0))) {
        error = capi_value_error(cmd, origin,
                                 "is no origin: write scheme and host, like https://shop.example");
    }
    if (error) {
        return error;
    }
    if (!conf->collect_origins) {
        conf->collect_origins = apr_array_make(cmd->pool, 2, sizeof(const char *));
    }
    APR_ARRAY_PUSH(conf->collect_origins, const char *) = origin;
    return NULL;
}

static const char *set_flush(cmd_parms *cmd, void *dir, const char *events, const char *seconds)
{
    capi_server_conf_t *conf = server_of(cmd);
    const char *error = capi_value_int(&conf->flush_events, cmd, events, 1, 1000);

    (void)dir;
    return error ? error : capi_value_int(&conf->flush_sec, cmd, seconds, 0, 3600);
}

static const char *set_merge_window(cmd_parms *cmd, void *dir, const char *seconds)
{
    (void)dir;
    return capi_value_int(&server_of(cmd)->merge_window_sec, cmd, seconds, 0, 3600);
}

static const char *set_max_age(cmd_parms *cmd, void *dir, const char *seconds)
{
    (void)dir;
    return capi_value_int(&server_of(cmd)->max_age_sec, cmd, seconds, 1, SECONDS_MAX);
}

/* --- sections --- */

static const char *set_enabled(cmd_parms *cmd, void *dir, const char *what)
{
    capi_dir_conf_t *conf = dir;

    capi_config_place(cmd, conf);
    return capi_value_choice(&conf->enabled, cmd, what, "Off", "On");
}

static const char *set_ad_account(cmd_parms *cmd, void *dir, const char *account)
{
    capi_dir_conf_t *conf = dir;

    capi_config_place(cmd, conf);
    return capi_value_account(&conf->account, cmd, account);
}

static const char *set_event_names(cmd_parms *cmd, void *dir, const char *vocabulary)
{
    capi_dir_conf_t *conf = dir;
    int is_pinterest;
    const char *error = capi_value_choice(&is_pinterest, cmd, vocabulary, "guide", "pinterest");

    capi_config_place(cmd, conf);
    if (!error) {
        conf->names = is_pinterest ? CAPI_NAMES_PINTEREST : CAPI_NAMES_GUIDE;
    }
    return error;
}

static const char *set_consent_default(cmd_parms *cmd, void *dir, const char *decision)
{
    capi_dir_conf_t *conf = dir;
    int is_granted;
    const char *error = capi_value_choice(&is_granted, cmd, decision, "denied", "granted");

    capi_config_place(cmd, conf);
    if (!error) {
        conf->consent_default = is_granted ? CAPI_CONSENT_GRANTED : CAPI_CONSENT_DENIED;
    }
    return error;
}

static const char *set_consent_max_age(cmd_parms *cmd, void *dir, const char *days)
{
    capi_dir_conf_t *conf = dir;

    capi_config_place(cmd, conf);
    return capi_value_int(&conf->consent_max_age, cmd, days, 0, 36500);
}

/* suppress, limited, or strip KEY... */
static const char *set_on_denied(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    capi_dir_conf_t *conf = dir;
    capi_keys_t keys = 0;
    int is_limited;
    int i;

    capi_config_place(cmd, conf);
    if (argc == 1 && !capi_value_choice(&is_limited, cmd, argv[0], "suppress", "limited")) {
        conf->on_denied = is_limited ? "limited" : "suppress";
        return NULL;
    }
    if (argc < 2 || ap_cstr_casecmp(argv[0], "strip") != 0) {
        return capi_value_error(cmd, capi_value_words(cmd, argc, argv),
                                "is no rule: write suppress, limited, or strip KEY...");
    }
    conf->on_denied = "strip";
    for (i = 1; i < argc; i++) {
        if (!capi_denied_key(&keys, argv[i])) {
            return capi_value_error(cmd, argv[i],
                                    "is no match key: write em, ph, click_id, external_id, "
                                    "client_ip_address, client_user_agent");
        }
        conf->on_denied = apr_pstrcat(cmd->pool, conf->on_denied, " ", argv[i], NULL);
    }
    return NULL;
}

static const char *set_admin(cmd_parms *cmd, void *dir, const char *what)
{
    capi_dir_conf_t *conf = dir;

    capi_config_place(cmd, conf);
    if (ap_cstr_casecmp(what, "write") == 0) {
        conf->admin = 2;
        return NULL;
    }
    if (capi_value_choice(&conf->admin, cmd, what, "Off", "On")) {
        return capi_value_error(cmd, what, "must be On, Write or Off");
    }
    return NULL;
}

/* A setter of httpd's table is one of several function types; AP_INIT_… names the right one. */
#define S RSRC_CONF                 /* with GLOBAL_ONLY in the setter */
#define V RSRC_CONF                 /* server and virtual host */
#define D (RSRC_CONF | ACCESS_CONF) /* sections too, never .htaccess */

const command_rec capi_commands[] = {
    /* no AP_INIT_FLAG: httpd's message does not say what was written */
    AP_INIT_TAKE1(CAPI_DIR_ENABLED, set_enabled, NULL, D, "work on requests here (default Off)"),
    AP_INIT_TAKE1(CAPI_DIR_AD_ACCOUNT, set_ad_account, NULL, D, "id of the ad account"),
    AP_INIT_TAKE12(CAPI_DIR_TOKEN_FILE, set_token_file, NULL, V,
                   "file with the conversion access token, and the account it is for"),
    AP_INIT_TAKE1(CAPI_DIR_API_URL, set_api_url, NULL, V,
                  "where the API is (default https://api.pinterest.com/v5)"),
    AP_INIT_TAKE1(CAPI_DIR_API_CA_FILE, set_ca_file, NULL, V,
                  "certificates that vouch for the API (default: the system's)"),
    AP_INIT_TAKE1(CAPI_DIR_PROXY, set_proxy, NULL, V, "forward proxy on the way to the API"),
    AP_INIT_TAKE1(CAPI_DIR_TEST, set_test, NULL, V, "send with test=true (default Off)"),
    AP_INIT_TAKE1(CAPI_DIR_WIRE_FORMAT, set_wire_format, NULL, V, "v5 (default) or guide"),
    AP_INIT_TAKE1(CAPI_DIR_EVENT_NAMES, set_event_names, NULL, D,
                  "what incoming names mean: guide (default) or pinterest"),
    AP_INIT_TAKE2(CAPI_DIR_EVENT_NAME, set_event_name, NULL, V, "one more alias: FROM TO"),
    AP_INIT_TAKE1(CAPI_DIR_CONSENT_DEFAULT, set_consent_default, NULL, D,
                  "granted or denied, where nothing else speaks"),
    AP_INIT_TAKE_ARGV(CAPI_DIR_CONSENT_SIGNAL, capi_set_consent_signal, NULL, D,
                      "a source of the consent decision: auto, cmp NAME, tcf, gpp, usprivacy, gpc, "
                      "cookie, env"),
    AP_INIT_TAKE1(CAPI_DIR_CONSENT_MAX_AGE, set_consent_max_age, NULL, D,
                  "days that a recorded grant counts (default 395; 0: no limit)"),
    AP_INIT_TAKE_ARGV(CAPI_DIR_ON_DENIED, set_on_denied, NULL, D,
                      "suppress (default), limited, or strip KEY..."),
    AP_INIT_TAKE12(CAPI_DIR_SESSION_COOKIE, set_session_cookie, NULL, V,
                   "a cookie that names a visit, and a regex for the part that counts"),
    AP_INIT_TAKE1(CAPI_DIR_VISIT_COOKIE, set_visit_cookie, NULL, V,
                  "Off (default), or the name of a visit cookie of our own"),
    AP_INIT_TAKE_ARGV(CAPI_DIR_EPIK_COOKIE, set_epik_cookie, NULL, V,
                      "On (default) or Off, domain=D, max-age=S"),
    AP_INIT_TAKE_ARGV(CAPI_DIR_URL_PARAMETERS, capi_set_url_parameters, NULL, D,
                      "query parameters that stay in event_source_url"),
    AP_INIT_TAKE1(CAPI_DIR_COUNTRY, set_country, NULL, V, "country of national phone numbers"),
    AP_INIT_TAKE_ARGV(CAPI_DIR_EVENT, capi_set_event, NULL, D,
                      "NAME [KEY=EXPR]... [\"when=EXPR\"]"),
    AP_INIT_TAKE_ARGV(CAPI_DIR_MATCH, capi_set_match, NULL, D, "KEY EXPR [\"when=EXPR\"]"),
    AP_INIT_TAKE_ARGV(CAPI_DIR_BIND, capi_set_bind, NULL, D, "EXPR [\"when=EXPR\"]"),
    AP_INIT_TAKE1(CAPI_DIR_BODY_LIMIT, set_body_limit, NULL, D,
                  "bytes of a body that are looked at (default 65536)"),
    AP_INIT_TAKE1(CAPI_DIR_BOTS, set_bots, NULL, V, "drop (default) or keep"),
    AP_INIT_TAKE1(CAPI_DIR_PREFETCH, set_prefetch, NULL, V, "count (default) or drop"),
    AP_INIT_TAKE_ARGV(CAPI_DIR_COLLECT_ALLOW, capi_set_collect_allow, NULL, D,
                      "events that browsers may send by themselves"),
    AP_INIT_ITERATE(CAPI_DIR_COLLECT_ORIGIN, set_collect_origin, NULL, V,
                    "other origins that may call collect and context"),
    AP_INIT_TAKE1(CAPI_DIR_COLLECT_LIMIT, set_collect_limit, NULL, V,
                  "events a minute from one client address (default 120)"),
    AP_INIT_TAKE1(CAPI_DIR_CATALOG, set_catalog, NULL, V,
                  "the shop's Pinterest catalogue feed: TSV, CSV or XML"),
    AP_INIT_TAKE2(CAPI_DIR_FLUSH, set_flush, NULL, V, "EVENTS SECONDS (default 1000 1)"),
    AP_INIT_TAKE1(CAPI_DIR_MERGE_WINDOW, set_merge_window, NULL, V,
                  "seconds that a named event waits for a second source (default 10)"),
    AP_INIT_TAKE1(CAPI_DIR_MAX_AGE, set_max_age, NULL, V,
                  "seconds after which an event is not sent any more (default 604800)"),
    AP_INIT_TAKE1(CAPI_DIR_STATE_DIR, set_state_dir, NULL, S,
                  "where the store lives (default /var/lib/pinterest-capi)"),
    AP_INIT_TAKE12(CAPI_DIR_STORE, set_store, NULL, S,
                   "database driver and parameters (default: sqlite3 STATEDIR/store.db)"),
    AP_INIT_TAKE1(CAPI_DIR_QUEUE_SIZE, set_queue_size, NULL, S,
                  "bytes of the shared-memory queue (default 67108864)"),
    AP_INIT_TAKE1(CAPI_DIR_RETENTION, set_retention, NULL, S,
                  "days that records are kept (default 30)"),
    AP_INIT_TAKE12(CAPI_DIR_USER, set_user, NULL, S, "user and group of the sender"),
    AP_INIT_TAKE1(CAPI_DIR_SENDER, set_sender, NULL, S, "the sender program"),
    AP_INIT_TAKE1(CAPI_DIR_ADMIN, set_admin, NULL, D, "On, Write or Off (default)"),
    {NULL}};

#undef S
#undef V
#undef D
