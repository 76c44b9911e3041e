#include "config_int.h"

#include <apr_strings.h>

#include <http_core.h>

APLOG_USE_MODULE(pinterest_capi);

/* Creating, merging and reading settings. Unset is a value of its own; every default stands here,
 * in a getter. How directives are read: config_directives.c. What must hold between them:
 * config_check.c. */

#define DEFAULT_API_URL        "https://api.pinterest.com/v5"
#define DEFAULT_STATE_DIR      "/var/lib/pinterest-capi"
#define DEFAULT_QUEUE_SIZE     67108864
#define DEFAULT_RETENTION_DAYS 30
#define DEFAULT_EPIK_MAX_AGE   31536000 /* a year, as the Tag's own cookie */
#define DEFAULT_COLLECT_LIMIT  120
#define DEFAULT_FLUSH_EVENTS   1000
#define DEFAULT_FLUSH_SEC      1
#define DEFAULT_MERGE_WINDOW   10
#define DEFAULT_CONSENT_AGE    395 /* days: thirteen months, as IAB TCF has it */
#define DEFAULT_BODY_LIMIT     65536
#define DEFAULT_MAX_AGE        604800 /* Pinterest takes web events up to seven days old */

/* What this configuration knows as a whole. Made anew by pre_config, sealed by check_config. */
static struct {
    apr_array_header_t *places;
    apr_array_header_t *session_cookies;
    apr_array_header_t *url_parameters;
    capi_global_conf_t global;
    server_rec *main_server;
    bool is_in_use;
    bool sections_decide_consent;
} whole;

static void add_session_cookie(apr_pool_t *p, const char *name, const char *regex)
{
    capi_session_cookie_t *cookie = apr_array_push(whole.session_cookies);

    cookie->name = name;
    cookie->regex = regex ? ap_pregcomp(p, regex, AP_REG_EXTENDED | AP_REG_ICASE) : NULL;
}

void capi_config_reset(apr_pool_t *p)
{
    static const char *const parameters[] = {"utm_*",    "route", "path", "product_id",
                                             "category", "id",    "page", "lang"};
    apr_size_t i;

    memset(&whole, 0, sizeof(whole));
    whole.places = apr_array_make(p, 8, sizeof(capi_place_t));
    whole.url_parameters = apr_array_make(p, 8, sizeof(const char *));
    for (i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        APR_ARRAY_PUSH(whole.url_parameters, const char *) = parameters[i];
    }
    whole.session_cookies = apr_array_make(p, 5, sizeof(capi_session_cookie_t));
    add_session_cookie(p, "PHPSESSID", NULL);
    add_session_cookie(p, "OCSESSID", NULL);
    add_session_cookie(p, "session-", NULL);
    add_session_cookie(p, "zenid", NULL);
    /* customer id, then expiry times and a hash, which change with every renewal */
    add_session_cookie(p, "wp_woocommerce_session_*", "^(.+?)(?:%7C|\\|)");
}

apr_array_header_t *capi_config_places(void)
{
    return whole.places;
}

bool capi_config_says_consent(const capi_dir_conf_t *conf)
{
    return conf->consent_default != CAPI_UNSET || conf->signals.items || conf->signals.is_reset;
}

bool capi_config_sections_decide_consent(void)
{
    return whole.sections_decide_consent;
}

/* --- create and merge --- */

void *capi_create_server_conf(apr_pool_t *p, server_rec *s)
{
    capi_server_conf_t *conf = apr_pcalloc(p, sizeof(*conf));

    (void)s;
    conf->global.queue_size = CAPI_UNSET;
    conf->global.retention_days = CAPI_UNSET;
    conf->test = CAPI_UNSET;
    conf->wire = CAPI_UNSET;
    conf->bots = CAPI_UNSET;
    conf->prefetch = CAPI_UNSET;
    conf->collect_limit = CAPI_UNSET;
    conf->epik_cookie = CAPI_UNSET;
    conf->epik_max_age = CAPI_UNSET;
    conf->flush_events = CAPI_UNSET;
    conf->flush_sec = CAPI_UNSET;
    conf->merge_window_sec = CAPI_UNSET;
    conf->max_age_sec = CAPI_UNSET;
    return conf;
}

static int merge_int(int outer, int inner)
{
    return inner == CAPI_UNSET ? outer : inner;
}

static const char *merge_text(const char *outer, const char *inner)
{
    return inner ? inner : outer;
}

/* One of two arrays where the other is empty, else both. */
static apr_array_header_t *join(apr_pool_t *p, apr_array_header_t *outer, apr_array_header_t *inner)
{
    if (!outer || !inner) {
        return outer ? outer : inner;
    }
    return apr_array_append(p, outer, inner);
}

void *capi_merge_server_conf(apr_pool_t *p, void *outer_conf, void *inner_conf)
{
    const capi_server_conf_t *outer = outer_conf;
    const capi_server_conf_t *inner = inner_conf;
    capi_server_conf_t *conf = apr_pcalloc(p, sizeof(*conf));

    conf->global = outer->global;
    conf->api_url = merge_text(outer->api_url, inner->api_url);
    conf->ca_file = merge_text(outer->ca_file, inner->ca_file);
    conf->proxy = merge_text(outer->proxy, inner->proxy);
    conf->test = merge_int(outer->test, inner->test);
    conf->wire = merge_int(outer->wire, inner->wire);
    conf->bots = merge_int(outer->bots, inner->bots);
    conf->prefetch = merge_int(outer->prefetch, inner->prefetch);
    conf->token_files = join(p, outer->token_files, inner->token_files);
    conf->event_names = outer->event_names;
    if (inner->event_names) {
        conf->event_names = outer->event_names
                                ? apr_table_overlay(p, inner->event_names, outer->event_names)
                                : inner->event_names;
    }
    conf->session_cookies = join(p, inner->drops_session_cookies ? NULL : outer->session_cookies,
                                 inner->session_cookies);
    conf->collect_origins = join(p, inner->drops_collect_origins ? NULL : outer->collect_origins,
                                 inner->collect_origins);
    conf->collect_limit = merge_int(outer->collect_limit, inner->collect_limit);
    conf->visit_cookie = merge_text(outer->visit_cookie, inner->visit_cookie);
    conf->epik_cookie = merge_int(outer->epik_cookie, inner->epik_cookie);
    conf->epik_domain = merge_text(outer->epik_domain, inner->epik_domain);
    conf->epik_max_age = merge_int(outer->epik_max_age, inner->epik_max_age);
    conf->country = merge_text(outer->country, inner->country);
    conf->catalog = merge_text(outer->catalog, inner->catalog);
    conf->flush_events = merge_int(outer->flush_events, inner->flush_events);
    conf->flush_sec = merge_int(outer->flush_sec, inner->flush_sec);
    conf->merge_window_sec = merge_int(outer->merge_window_sec, inner->merge_window_sec);
    conf->max_age_sec = merge_int(outer->max_age_sec, inner->max_age_sec);
    return conf;
}

void *capi_create_dir_conf(apr_pool_t *p, char *path)
{
    capi_dir_conf_t *conf = apr_pcalloc(p, sizeof(*conf));

    (void)path;
    conf->enabled = CAPI_UNSET;
    conf->names = CAPI_UNSET;
    conf->consent_default = CAPI_UNSET;
    conf->consent_max_age = CAPI_UNSET;
    conf->admin = CAPI_UNSET;
    conf->body_limit = CAPI_UNSET;
    return conf;
}

typedef bool same_item_fn(const void *a, const void *b);

static bool is_same_name(const void *a, const void *b)
{
    return strcmp(a, b) == 0;
}

static bool is_same_signal(const void *a, const void *b)
{
    return capi_signal_line_is_same(a, b);
}

static bool is_same_rule(const void *a, const void *b)
{
    return capi_rule_is_same(a, b);
}

static bool is_same_fact(const void *a, const void *b)
{
    return capi_fact_is_same(a, b);
}

static bool has_item(const apr_array_header_t *items, const void *item, same_item_fn *is_same)
{
    int i;

    for (i = 0; i < items->nelts; i++) {
        const void *other = APR_ARRAY_IDX(items, i, const void *);

        if (other == item || is_same(other, item)) {
            return true;
        }
    }
    return false;
}

/* Runs for each request that a section applies to: allocates only where both have something. */
static void merge_list(capi_list_t *merged, const capi_list_t *outer, const capi_list_t *inner,
                       same_item_fn *is_same, apr_pool_t *p)
{
    int i;

    if (inner->is_reset) {
        *merged = *inner;
        return;
    }
    *merged = *outer;
    if (!inner->items) {
        return;
    }
    if (!outer->items) {
        merged->items = inner->items;
        return;
    }
    merged->items = apr_array_copy(p, outer->items);
    for (i = 0; i < inner->items->nelts; i++) {
        const void *item = APR_ARRAY_IDX(inner->items, i, const void *);

        if (!has_item(outer->items, item, is_same)) {
            APR_ARRAY_PUSH(merged->items, const void *) = item;
        }
    }
}

void *capi_merge_dir_conf(apr_pool_t *p, void *outer_conf, void *inner_conf)
{
    const capi_dir_conf_t *outer = outer_conf;
    const capi_dir_conf_t *inner = inner_conf;
    capi_dir_conf_t *conf = apr_pcalloc(p, sizeof(*conf));

    conf->enabled = merge_int(outer->enabled, inner->enabled);
    conf->account = merge_text(outer->account, inner->account);
    conf->names = merge_int(outer->names, inner->names);
    conf->consent_default = merge_int(outer->consent_default, inner->consent_default);
    conf->consent_max_age = merge_int(outer->consent_max_age, inner->consent_max_age);
    conf->on_denied = merge_text(outer->on_denied, inner->on_denied);
    conf->admin = merge_int(outer->admin, inner->admin);
    conf->body_limit = merge_int(outer->body_limit, inner->body_limit);
    merge_list(&conf->signals, &outer->signals, &inner->signals, is_same_signal, p);
    merge_list(&conf->rules, &outer->rules, &inner->rules, is_same_rule, p);
    merge_list(&conf->matches, &outer->matches, &inner->matches, is_same_fact, p);
    merge_list(&conf->binds, &outer->binds, &inner->binds, is_same_fact, p);
    merge_list(&conf->collect_allow, &outer->collect_allow, &inner->collect_allow, is_same_name, p);
    merge_list(&conf->url_parameters, &outer->url_parameters, &inner->url_parameters, is_same_name,
               p);
    conf->outer = outer;
    conf->inner = inner;
    return conf;
}

/* --- the whole --- */

capi_place_t *capi_config_place(cmd_parms *cmd, capi_dir_conf_t *conf)
{
    const ap_directive_t *section;
    capi_place_t *place;
    int i;

    for (i = 0; i < whole.places->nelts; i++) {
        place = &APR_ARRAY_IDX(whole.places, i, capi_place_t);
        if (place->conf == conf) {
            return place;
        }
    }
    place = apr_array_push(whole.places);
    place->conf = conf;
    place->server = cmd->server;
    place->is_section = cmd->path != NULL;
    place->where =
        apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename, cmd->directive->line_num);
    for (section = cmd->directive->parent; section; section = section->parent) {
        if (ap_cstr_casecmp(section->directive, "<VirtualHost") != 0) {
            /* the outermost one decides: an If inside a Directory goes with the files */
            conf->is_by_uri = ap_cstr_casecmpn(section->directive, "<Location", 9) == 0 ||
                              ap_cstr_casecmpn(section->directive, "<If", 3) == 0 ||
                              ap_cstr_casecmpn(section->directive, "<Else", 5) == 0;
        }
    }
    return place;
}

static void seal_global(const capi_global_conf_t *set, apr_pool_t *p)
{
    whole.global = *set;
    if (!set->state_dir) {
        whole.global.state_dir = DEFAULT_STATE_DIR;
    }
    if (!set->store_driver) {
        whole.global.store_driver = "sqlite3";
    }
    if (!set->store_params) {
        whole.global.store_params = apr_pstrcat(p, whole.global.state_dir, "/store.db", NULL);
    }
    if (set->queue_size == CAPI_UNSET) {
        whole.global.queue_size = DEFAULT_QUEUE_SIZE;
    }
    if (set->retention_days == CAPI_UNSET) {
        whole.global.retention_days = DEFAULT_RETENTION_DAYS;
    }
    if (!set->sender) {
        whole.global.sender = CAPI_DEFAULT_SENDER;
    }
}

void capi_config_seal(server_rec *main_server, apr_pool_t *p)
{
    int i;

    whole.main_server = main_server;
    seal_global(&capi_server_conf(main_server)->global, p);
    for (i = 0; i < whole.places->nelts; i++) {
        const capi_place_t *place = &APR_ARRAY_IDX(whole.places, i, capi_place_t);

        if (place->conf->enabled == 1) {
            whole.is_in_use = true;
        }
        if (place->is_section && capi_config_says_consent(place->conf)) {
            whole.sections_decide_consent = true;
        }
    }
}

bool capi_is_in_use(void)
{
    return whole.is_in_use;
}

const capi_global_conf_t *capi_global_conf(void)
{
    return &whole.global;
}

const char *capi_config_token_account(const capi_token_file_t *file, const server_rec *s)
{
    if (file->account) {
        return file->account;
    }
    if (capi_dir_conf(file->written->lookup_defaults)->account) {
        return capi_dir_conf(file->written->lookup_defaults)->account;
    }
    return capi_dir_conf(s->lookup_defaults)->account;
}

static void add_account(apr_array_header_t *accounts, const capi_server_conf_t *conf,
                        const char *account, const char *token_file)
{
    capi_sender_account_t *entry;
    int i;

    for (i = 0; i < accounts->nelts; i++) {
        entry = &APR_ARRAY_IDX(accounts, i, capi_sender_account_t);
        if (strcmp(entry->account, account) == 0 &&
            strcmp(entry->api_url, capi_conf_api_url(conf)) == 0 &&
            entry->test == capi_conf_is_test(conf) && entry->wire == capi_conf_wire(conf)) {
            entry->token_file = token_file; /* the later line counts */
            entry->catalog = entry->catalog ? entry->catalog : conf->catalog;
            return;
        }
    }
    entry = apr_array_push(accounts);
    entry->account = account;
    entry->api_url = capi_conf_api_url(conf);
    entry->test = capi_conf_is_test(conf);
    entry->wire = capi_conf_wire(conf);
    entry->token_fd = -1;
    entry->token_file = token_file;
    entry->ca_file = conf->ca_file;
    entry->proxy = conf->proxy;
    entry->catalog = conf->catalog;
    entry->flush_events =
        conf->flush_events == CAPI_UNSET ? DEFAULT_FLUSH_EVENTS : conf->flush_events;
    entry->flush_sec = conf->flush_sec == CAPI_UNSET ? DEFAULT_FLUSH_SEC : conf->flush_sec;
}

apr_array_header_t *capi_conf_accounts(apr_pool_t *p)
{
    apr_array_header_t *accounts = apr_array_make(p, 2, sizeof(capi_sender_account_t));
    server_rec *s;

    for (s = whole.main_server; s && whole.is_in_use; s = s->next) {
        const capi_server_conf_t *conf = capi_server_conf(s);
        int i;

        for (i = 0; conf->token_files && i < conf->token_files->nelts; i++) {
            const capi_token_file_t *file = &APR_ARRAY_IDX(conf->token_files, i, capi_token_file_t);
            const char *account = capi_config_token_account(file, s);

            if (account) {
                add_account(accounts, conf, account, file->path);
            }
        }
    }
    return accounts;
}

/* --- getters --- */

capi_server_conf_t *capi_server_conf(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &pinterest_capi_module);
}

capi_dir_conf_t *capi_dir_conf(const ap_conf_vector_t *per_dir)
{
    return ap_get_module_config(per_dir, &pinterest_capi_module);
}

bool capi_conf_is_on(const capi_dir_conf_t *conf)
{
    return conf->enabled == 1 && conf->account;
}

const char *capi_conf_api_url(const capi_server_conf_t *conf)
{
    return conf->api_url ? conf->api_url : DEFAULT_API_URL;
}

capi_wire_t capi_conf_wire(const capi_server_conf_t *conf)
{
    return conf->wire == CAPI_UNSET ? CAPI_WIRE_V5 : (capi_wire_t)conf->wire;
}

bool capi_conf_is_test(const capi_server_conf_t *conf)
{
    return conf->test == 1;
}

bool capi_conf_drops_bots(const capi_server_conf_t *conf)
{
    return conf->bots != 0;
}

bool capi_conf_drops_prefetch(const capi_server_conf_t *conf)
{
    return conf->prefetch == 1;
}

const apr_array_header_t *capi_conf_session_cookies(const capi_server_conf_t *conf)
{
    return conf->session_cookies ? conf->session_cookies : whole.session_cookies;
}

bool capi_conf_sets_epik(const capi_server_conf_t *conf)
{
    return conf->epik_cookie != 0;
}

int capi_conf_collect_limit(const capi_server_conf_t *conf)
{
    return conf->collect_limit == CAPI_UNSET ? DEFAULT_COLLECT_LIMIT : conf->collect_limit;
}

const char *capi_conf_visit_cookie(const capi_server_conf_t *conf)
{
    return conf->visit_cookie && *conf->visit_cookie ? conf->visit_cookie : NULL;
}

int capi_conf_epik_max_age(const capi_server_conf_t *conf)
{
    return conf->epik_max_age == CAPI_UNSET ? DEFAULT_EPIK_MAX_AGE : conf->epik_max_age;
}

capi_vocabulary_t capi_conf_vocabulary(const capi_dir_conf_t *conf)
{
    return conf->names == CAPI_UNSET ? CAPI_NAMES_GUIDE : (capi_vocabulary_t)conf->names;
}

const apr_array_header_t *capi_conf_url_parameters(const capi_dir_conf_t *conf)
{
    static const apr_array_header_t none = {.elt_size = sizeof(const char *)};

    if (conf->url_parameters.items) {
        return conf->url_parameters.items;
    }
    return conf->url_parameters.is_reset ? &none : whole.url_parameters;
}

apr_size_t capi_conf_body_limit(const capi_dir_conf_t *conf)
{
    return conf->body_limit == CAPI_UNSET ? DEFAULT_BODY_LIMIT : (apr_size_t)conf->body_limit;
}

bool capi_conf_has_env_signal(const capi_dir_conf_t *conf)
{
    int i;

    for (i = 0; conf->signals.items && i < conf->signals.items->nelts; i++) {
        if (strcmp(capi_signal_line_kind(
                       APR_ARRAY_IDX(conf->signals.items, i, const capi_signal_line_t *)),
                   "env") == 0) {
            return true;
        }
    }
    return false;
}

int capi_conf_consent_max_age(const capi_dir_conf_t *conf)
{
    return conf->consent_max_age == CAPI_UNSET ? DEFAULT_CONSENT_AGE : conf->consent_max_age;
}

bool capi_conf_may_collect(const capi_dir_conf_t *conf, const char *sent_as)
{
    const capi_list_t *allowed = &conf->collect_allow;

    if (!allowed->items) {
        return !allowed->is_reset && capi_name_is_standard(sent_as) &&
               strcmp(sent_as, "checkout") != 0;
    }
    return has_item(allowed->items, "all", is_same_name) ||
           has_item(allowed->items, sent_as, is_same_name);
}

void capi_conf_settings(capi_settings_t *settings, const capi_server_conf_t *server,
                        const capi_dir_conf_t *dir)
{
    settings->account = dir->account;
    settings->api_url = capi_conf_api_url(server);
    settings->test = capi_conf_is_test(server);
    settings->wire = capi_conf_wire(server);
    settings->merge_window_sec =
        server->merge_window_sec == CAPI_UNSET ? DEFAULT_MERGE_WINDOW : server->merge_window_sec;
    settings->max_age_sec =
        server->max_age_sec == CAPI_UNSET ? DEFAULT_MAX_AGE : server->max_age_sec;
    settings->on_denied = dir->on_denied ? dir->on_denied : "suppress";
}
