/* The module record and its hooks. What each of them does lives in src/module. */

#include "config_int.h"
#include "module.h"

#include <http_protocol.h>
#include <http_request.h>
#include <mod_status.h>
#include <mpm_common.h>

static int reset_config(apr_pool_t *conf_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool)
{
    (void)log_pool;
    (void)temp_pool;
    capi_config_reset(conf_pool);
    return OK;
}

static void insert_filters(request_rec *r)
{
    capi_visit_settle(r);
    capi_body_insert(r);
    capi_response_insert(r);
}

static void register_hooks(apr_pool_t *p)
{
    static const char *const after_remoteip[] = {"mod_remoteip.c", NULL};

    /* --- configuration and processes --- */

    /* Before any directive is read: what the last pass noted lies in a cleared pool. */
    ap_hook_pre_config(reset_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* `httpd -t` ends after this one, so every rule between directives is checked here. */
    ap_hook_check_config(capi_check_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* The MPM and mod_unixd know their user by now; no other module depends on ours. */
    ap_hook_post_config(capi_supervisor_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* The parent's own tick, every ten seconds or so: a dead sender, a drained queue. */
    ap_hook_monitor(capi_supervisor_monitor, NULL, NULL, APR_HOOK_MIDDLE);
    /* A worker gives back what only the parent needs. */
    ap_hook_child_init(capi_supervisor_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    /* All modules are loaded by now. */
    ap_hook_child_init(capi_response_child_init, NULL, NULL, APR_HOOK_MIDDLE);

    /* --- a request on its way in --- */

    /* Behind mod_remoteip: the client is whom it says. Before everything that answers early. */
    ap_hook_post_read_request(capi_visit_begin, after_remoteip, NULL, APR_HOOK_MIDDLE);
    /* First of all translators: a rewrite changes the URI, and the sections of the URI as sent are
     * those that count. */
    ap_hook_translate_name(capi_visit_note_location, NULL, NULL, APR_HOOK_REALLY_FIRST);
    /* Sections are final, the CGI has not started: its environment is made here, behind mod_env. */
    ap_hook_fixups(capi_admin_fixups, NULL, NULL, APR_HOOK_LAST);
    /* Expressions of every module may ask for query: and the others, so this must be there when the
     * configuration is read. */
    ap_hook_expr_lookup(capi_expr_lookup, NULL, NULL, APR_HOOK_MIDDLE);

    /* --- its answer --- */

    /* Last, behind mod_headers: among filters of one type the first added runs first, and a header
     * that the administrator sets is taken as well. */
    ap_hook_insert_filter(insert_filters, NULL, NULL, APR_HOOK_REALLY_LAST);
    /* The same for what httpd answers itself, redirects included. */
    ap_hook_insert_error_filter(capi_response_insert_error, NULL, NULL, APR_HOOK_REALLY_LAST);
    /* Our handlers' names are ours alone; there is nothing to be before or behind. */
    ap_hook_handler(capi_endpoint_handler, NULL, NULL, APR_HOOK_MIDDLE);

    /* --- afterwards --- */

    /* Before the access log, which may say what was decided about consent. */
    ap_hook_log_transaction(capi_visit_conclude, NULL, NULL, APR_HOOK_FIRST);
    /* The response is out. After the access log, which people watch while they wait. */
    ap_hook_log_transaction(capi_record_request, NULL, NULL, APR_HOOK_LAST);
    /* Optional: mod_status may not be there. */
    APR_OPTIONAL_HOOK(ap, status_hook, capi_status_hook, NULL, NULL, APR_HOOK_MIDDLE);

    capi_body_register(p);
    capi_response_register(p);
}

AP_DECLARE_MODULE(pinterest_capi) = {
    STANDARD20_MODULE_STUFF,
    capi_create_dir_conf,    /* per section */
    capi_merge_dir_conf,     /* outer and inner section */
    capi_create_server_conf, /* per host */
    capi_merge_server_conf,  /* main server and virtual host */
    capi_commands,           /* directives */
    register_hooks,          /* hooks */
    0                        /* flags */
};
