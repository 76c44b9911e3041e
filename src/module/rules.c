#include "module.h"
#include "rule_keys.h"

#include <apr_atomic.h>
#include <apr_strings.h>

APLOG_USE_MODULE(pinterest_capi);

/* PinterestCapiEvent: a line of the configuration read into expressions, and what a request makes of
 * it. Which requests may fire a rule at all: conditions.c. */

#define GROUPS 10 /* $0 to $9 */

/* A piece of a value: a literal (with $1 … in it), or one %{…}. */
typedef struct {
    const ap_expr_info_t *expr;
    bool is_function;
} piece_t;

typedef struct {
    const capi_rule_key_t *key;
    apr_array_header_t *pieces; /* piece_t; a single one where emptiness of parts does not matter */
} value_t;

struct capi_rule_t {
    const char *name;
    const char *text;  /* the whole line, to tell equal ones */
    const char *where; /* file:line */
    const ap_expr_info_t *when;
    apr_array_header_t *values; /* value_t */
    bool has_order;
    bool has_id;
    apr_uint32_t failures; /* of this process */
};

/* --- reading --- */

static const ap_expr_info_t *parse_expr(const char **message, cmd_parms *cmd, const char *word,
                                        const char *text, bool is_condition)
{
    unsigned int flags = AP_EXPR_FLAG_DONT_VARY | (is_condition ? 0 : AP_EXPR_FLAG_STRING_RESULT);
    const char *error = NULL;
    const ap_expr_info_t *expr = ap_expr_parse_cmd(cmd, text, flags, &error, NULL);

    if (error || !expr) {
        *message = apr_psprintf(cmd->pool,
                                CAPI_DIR_EVENT ": '%s' is no expression that httpd can "
                                               "read: %s",
                                word, error ? error : "it is empty");
        return NULL;
    }
    return expr;
}

/* Where the %{…} that begins at `text` ends (behind its brace); NULL where it does not. */
static const char *end_of_function(const char *text)
{
    int depth = 0;

    for (; *text; text++) {
        if (*text == '\\' && text[1]) {
            text++;
        }
        else if (text[0] == '%' && text[1] == '{') {
            depth++;
            text++;
        }
        else if (*text == '}' && --depth == 0) {
            return text + 1;
        }
    }
    return NULL;
}

static const char *end_of_literal(const char *text)
{
    while (*text && !(text[0] == '%' && text[1] == '{')) {
        text += *text == '\\' && text[1] ? 2 : 1;
    }
    return text;
}

/* httpd evaluates an expression as a whole; pieces tell which %{…} came out empty. */
static bool parse_pieces(apr_array_header_t *pieces, const char **message, cmd_parms *cmd,
                         const char *word, const char *text)
{
    while (*text) {
        bool is_function = text[0] == '%' && text[1] == '{';
        const char *end = is_function ? end_of_function(text) : end_of_literal(text);
        piece_t *piece = apr_array_push(pieces);

        if (!end) {
            end = text + strlen(text);
        }
        piece->is_function = is_function;
        piece->expr = parse_expr(message, cmd, word,
                                 apr_pstrmemdup(cmd->pool, text, (apr_size_t)(end - text)), false);
        if (!piece->expr) {
            return false;
        }
        text = end;
    }
    return true;
}

static bool parse_value(capi_rule_t *rule, const char **message, cmd_parms *cmd, const char *word)
{
    const char *equals = strchr(word, '=');
    const capi_rule_key_t *key =
        equals ? capi_rule_key_find(word, (apr_size_t)(equals - word)) : NULL;
    const ap_expr_info_t *expr;
    value_t *value;

    if (!key) {
        *message = apr_psprintf(cmd->pool,
                                CAPI_DIR_EVENT ": '%s' does not begin with a known KEY=: "
                                               "write one of%s, or when=",
                                word, capi_rule_key_list(cmd->pool));
        return false;
    }
    expr = parse_expr(message, cmd, word, equals + 1, false);
    if (!expr) {
        return false;
    }
    value = apr_array_push(rule->values);
    value->key = key;
    value->pieces = apr_array_make(cmd->pool, 1, sizeof(piece_t));
    rule->has_order |= strcmp(key->name, "order_id") == 0;
    rule->has_id |= strcmp(key->name, "event_id") == 0;
    if (key->is_whole) {
        return parse_pieces(value->pieces, message, cmd, word, equals + 1);
    }
    APR_ARRAY_PUSH(value->pieces, piece_t) = (piece_t){.expr = expr};
    return true;
}

static bool parse_word(capi_rule_t *rule, const char **message, cmd_parms *cmd, const char *word)
{
    if (strncmp(word, "when=", 5) != 0) {
        return parse_value(rule, message, cmd, word);
    }
    if (rule->when) {
        *message = apr_psprintf(cmd->pool,
                                CAPI_DIR_EVENT ": '%s' is a second when=: join the two "
                                               "with &&",
                                word);
        return false;
    }
    rule->when = parse_expr(message, cmd, word, word + 5, true);
    return rule->when != NULL;
}

capi_rule_t *capi_rule_parse(const char **message, cmd_parms *cmd, int argc, char *const argv[])
{
    capi_rule_t *rule = apr_pcalloc(cmd->pool, sizeof(*rule));
    int i;

    rule->name = argv[0];
    rule->text = argv[0];
    rule->where =
        apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename, cmd->directive->line_num);
    rule->values = apr_array_make(cmd->pool, argc, sizeof(value_t));
    if (!capi_name_is_wellformed(rule->name)) {
        *message = apr_psprintf(cmd->pool,
                                CAPI_DIR_EVENT ": '%s' is no event name: write NAME "
                                               "[KEY=EXPR]... [\"when=EXPR\"]",
                                rule->name);
        return NULL;
    }
    for (i = 1; i < argc; i++) {
        if (!parse_word(rule, message, cmd, argv[i])) {
            return NULL;
        }
        rule->text = apr_pstrcat(cmd->pool, rule->text, "\n", argv[i], NULL);
    }
    return rule;
}

const char *capi_rule_check(const capi_rule_t *rule, capi_vocabulary_t vocabulary,
                            const apr_table_t *aliases, apr_pool_t *p)
{
    const char *sent_as = NULL;
    const char *message = NULL;
    apr_status_t rv =
        capi_name_resolve(&sent_as, &message, rule->name, vocabulary, aliases, rule->has_order, p);

    return rv == APR_SUCCESS ? NULL : message;
}

const char *capi_rule_name(const capi_rule_t *rule)
{
    return rule->name;
}

bool capi_rule_is_same(const capi_rule_t *a, const capi_rule_t *b)
{
    return strcmp(a->text, b->text) == 0;
}

/* --- evaluating --- */

/* One evaluation: the groups of `when` and the text they point into. */
typedef struct {
    capi_rule_t *rule;
    request_rec *view;
    ap_regmatch_t groups[GROUPS];
    const char *source;
    const char *error;
} evaluation_t;

/* NULL where the value comes out empty or cannot be evaluated. */
static const char *eval_value(evaluation_t *evaluation, const value_t *value, apr_pool_t *p)
{
    const char *text = "";
    int i;

    for (i = 0; i < value->pieces->nelts; i++) {
        const piece_t *piece = &APR_ARRAY_IDX(value->pieces, i, piece_t);
        const char *part =
            ap_expr_str_exec_re(evaluation->view, piece->expr, GROUPS, evaluation->groups,
                                &evaluation->source, &evaluation->error);

        if (evaluation->error || !part || (piece->is_function && !*part)) {
            return NULL;
        }
        text = *text ? apr_pstrcat(p, text, part, NULL) : part;
    }
    return *text ? text : NULL;
}

/* Once a process and rule: a rule that fails does so for every request. */
static void note_failure(evaluation_t *evaluation)
{
    if (apr_atomic_inc32(&evaluation->rule->failures) == 0) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, evaluation->view,
                      "PCAPI030: " CAPI_DIR_EVENT
                      " %s (%s) cannot be evaluated and makes no event: "
                      "%s",
                      evaluation->rule->name, evaluation->rule->where, evaluation->error);
    }
}

static bool is_wanted(evaluation_t *evaluation)
{
    int result;

    if (!evaluation->rule->when) {
        return true;
    }
    result = ap_expr_exec_re(evaluation->view, evaluation->rule->when, GROUPS, evaluation->groups,
                             &evaluation->source, &evaluation->error);
    if (result < 0 || evaluation->error) {
        note_failure(evaluation);
        return false;
    }
    return result > 0;
}

/* The event that a rule makes of a request, NULL for none. */
static json_t *make_event(capi_rule_t *rule, request_rec *view, apr_pool_t *p)
{
    evaluation_t evaluation = {.rule = rule, .view = view};
    json_t *event;
    int i;

    if (!is_wanted(&evaluation)) {
        return NULL;
    }
    event = json_object();
    json_object_set_new(event, "event_name", json_string(rule->name));
    for (i = 0; i < rule->values->nelts; i++) {
        const value_t *value = &APR_ARRAY_IDX(rule->values, i, value_t);
        const char *text = eval_value(&evaluation, value, p);

        if (text) {
            capi_rule_key_set(event, value->key, text, p);
        }
    }
    if (evaluation.error) {
        note_failure(&evaluation);
        json_decref(event);
        return NULL;
    }
    if (rule->has_id && !json_object_get(event, "event_id")) {
        json_decref(event);
        return NULL;
    }
    return event;
}

static apr_status_t free_event(void *event)
{
    json_decref(event);
    return APR_SUCCESS;
}

apr_array_header_t *capi_rules_evaluate(capi_visit_t *visit, request_rec *view, apr_pool_t *p)
{
    const apr_array_header_t *rules = visit->dir->rules.items;
    apr_array_header_t *events = apr_array_make(p, 1, sizeof(json_t *));
    bool has_page_visit = visit->has_page_visit;
    int i;

    if (!rules) {
        return events;
    }
    for (i = 0; i < rules->nelts; i++) {
        capi_rule_t *rule = APR_ARRAY_IDX(rules, i, capi_rule_t *);
        const char *sent_as = NULL;
        const char *message = NULL;
        json_t *event;
        bool is_page_visit;

        if (capi_name_resolve(&sent_as, &message, rule->name, capi_conf_vocabulary(visit->dir),
                              visit->server->event_names, rule->has_order, p) != APR_SUCCESS) {
            continue; /* the check said so for the hosts it could see */
        }
        is_page_visit = strcmp(sent_as, "page_visit") == 0;
        if ((is_page_visit && has_page_visit) || !capi_rule_may_fire(visit, view, sent_as)) {
            continue;
        }
        /* asked behind the kind of answer: an image need not be tested for its crawler */
        if (capi_visit_is_uncounted(visit)) {
            return events;
        }
        event = make_event(rule, view, p);
        if (event) {
            apr_pool_cleanup_register(p, event, free_event, apr_pool_cleanup_null);
            APR_ARRAY_PUSH(events, json_t *) = event;
            has_page_visit |= is_page_visit;
        }
    }
    return events;
}
