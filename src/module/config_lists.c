#include "config_int.h"

#include <apr_strings.h>

/* Directives that add to a list: an inner section's adds to the outer one's, and `none` as the first
 * word empties what was inherited. */

static void add_item(capi_list_t *list, const void *item, apr_pool_t *p)
{
    if (!list->items) {
        list->items = apr_array_make(p, 4, sizeof(const void *));
    }
    APR_ARRAY_PUSH(list->items, const void *) = item;
}

static bool take_none(capi_list_t *list, int *argc, char *const **argv)
{
    if (*argc < 1 || ap_cstr_casecmp(**argv, "none") != 0) {
        return false;
    }
    list->is_reset = true;
    list->items = NULL;
    (*argc)--;
    (*argv)++;
    return true;
}

const char *capi_set_url_parameters(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    capi_dir_conf_t *conf = dir;
    bool is_emptied = take_none(&conf->url_parameters, &argc, &argv);
    int i;

    capi_config_place(cmd, conf);
    if (argc < 1 && !is_emptied) {
        return CAPI_DIR_URL_PARAMETERS ": name at least one parameter, or none";
    }
    for (i = 0; i < argc; i++) {
        if (!*argv[i] || strpbrk(argv[i], "=&#? ")) {
            return capi_value_error(cmd, argv[i],
                                    "is no parameter name: write one like page, or utm_*");
        }
        add_item(&conf->url_parameters, argv[i], cmd->pool);
    }
    return NULL;
}

const char *capi_set_collect_allow(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    capi_dir_conf_t *conf = dir;
    bool is_emptied = take_none(&conf->collect_allow, &argc, &argv);
    int i;

    capi_config_place(cmd, conf);
    if (argc < 1 && !is_emptied) {
        return CAPI_DIR_COLLECT_ALLOW ": name at least one event, or all, or none";
    }
    for (i = 0; i < argc; i++) {
        if (!capi_name_is_wellformed(argv[i])) {
            return capi_value_error(cmd, argv[i],
                                    "is no event name: write one like page_visit, or all");
        }
        add_item(&conf->collect_allow, ap_cstr_casecmp(argv[i], "all") == 0 ? "all" : argv[i],
                 cmd->pool);
    }
    return NULL;
}

const char *capi_set_consent_signal(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    capi_dir_conf_t *conf = dir;
    bool is_emptied = take_none(&conf->signals, &argc, &argv);
    const char *message = NULL;
    capi_signal_line_t *line;

    capi_config_place(cmd, conf);
    if (argc < 1) {
        return is_emptied ? NULL : CAPI_DIR_CONSENT_SIGNAL ": write a signal, for example auto";
    }
    line = capi_signal_line_make(&message, cmd, argc, argv);
    if (!line) {
        return message;
    }
    add_item(&conf->signals, line, cmd->pool);
    return NULL;
}

const char *capi_set_event(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    capi_dir_conf_t *conf = dir;
    bool is_emptied = take_none(&conf->rules, &argc, &argv);
    const char *message = NULL;
    capi_rule_t *rule;

    capi_config_place(cmd, conf);
    if (argc < 1) {
        return is_emptied ? NULL : CAPI_DIR_EVENT ": write NAME [KEY=EXPR]... [\"when=EXPR\"]";
    }
    rule = capi_rule_parse(&message, cmd, argc, argv);
    if (!rule) {
        return message;
    }
    add_item(&conf->rules, rule, cmd->pool);
    return NULL;
}

const char *capi_set_match(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    capi_dir_conf_t *conf = dir;
    bool is_emptied = take_none(&conf->matches, &argc, &argv);
    const char *message = NULL;
    capi_fact_t *match;

    capi_config_place(cmd, conf);
    if (argc < 1) {
        return is_emptied ? NULL : CAPI_DIR_MATCH ": write KEY EXPR [\"when=EXPR\"]";
    }
    match = capi_match_parse(&message, cmd, argc, argv);
    if (!match) {
        return message;
    }
    add_item(&conf->matches, match, cmd->pool);
    return NULL;
}

const char *capi_set_bind(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    capi_dir_conf_t *conf = dir;
    bool is_emptied = take_none(&conf->binds, &argc, &argv);
    const char *message = NULL;
    capi_fact_t *bind;

    capi_config_place(cmd, conf);
    if (argc < 1) {
        return is_emptied ? NULL : CAPI_DIR_BIND ": write EXPR [\"when=EXPR\"]";
    }
    bind = capi_bind_parse(&message, cmd, argc, argv);
    if (!bind) {
        return message;
    }
    add_item(&conf->binds, bind, cmd->pool);
    return NULL;
}
