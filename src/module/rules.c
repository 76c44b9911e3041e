#include "line.h"
#include "rule_keys.h"

#include <apr_strings.h>

/* PinterestCapiEvent: a line of the configuration read into expressions, and what a request makes of
 * it. Which requests may fire a rule at all: conditions.c. */

typedef struct {
    const capi_rule_key_t *key;
    const capi_value_t *value;
} member_t;

struct capi_rule_t {
    capi_line_t line;            /* its first word is the name */
    apr_array_header_t *members; /* member_t */
    bool has_order;
    bool has_id;
};

/* --- reading --- */

static bool parse_member(capi_rule_t *rule, const char **message, cmd_parms *cmd, const char *word)
{
    const char *equals = strchr(word, '=');
    const capi_rule_key_t *key =
        equals ? capi_rule_key_find(word, (apr_size_t)(equals - word)) : NULL;
    member_t *member;

    if (!key) {
        *message = apr_psprintf(cmd->pool,
                                CAPI_DIR_EVENT ": '%s' does not begin with a known KEY=: "
                                               "write one of%s, or when=",
                                word, capi_rule_key_list(cmd->pool));
        return false;
    }
    member = apr_array_push(rule->members);
    member->key = key;
    member->value = capi_line_value(&rule->line, message, cmd, word, equals + 1, key->is_whole);
    rule->has_order |= strcmp(key->name, "order_id") == 0;
    rule->has_id |= strcmp(key->name, "event_id") == 0;
    return member->value != NULL;
}

capi_rule_t *capi_rule_parse(const char **message, cmd_parms *cmd, int argc, char *const argv[])
{
    capi_rule_t *rule = apr_pcalloc(cmd->pool, sizeof(*rule));
    int i;

    capi_line_begin(&rule->line, cmd, argc, argv);
    rule->members = apr_array_make(cmd->pool, argc, sizeof(member_t));
    if (!capi_name_is_wellformed(rule->line.first)) {
        *message = apr_psprintf(cmd->pool,
                                CAPI_DIR_EVENT ": '%s' is no event name: write NAME "
                                               "[KEY=EXPR]... [\"when=EXPR\"]",
                                rule->line.first);
        return NULL;
    }
    for (i = 1; i < argc; i++) {
        if (capi_line_is_condition(argv[i])
                ? !capi_line_add_condition(&rule->line, message, cmd, argv[i])
                : !parse_member(rule, message, cmd, argv[i])) {
            return NULL;
        }
    }
    return rule;
}

const char *capi_rule_check(const capi_rule_t *rule, capi_vocabulary_t vocabulary,
                            const apr_table_t *aliases, apr_pool_t *p)
{
    const char *sent_as = NULL;
    const char *message = NULL;
    apr_status_t rv = capi_name_resolve(&sent_as, &message, rule->line.first, vocabulary, aliases,
                                        rule->has_order, p);

    return rv == APR_SUCCESS ? NULL : message;
}

const char *capi_rule_name(const capi_rule_t *rule)
{
    return rule->line.first;
}

bool capi_rule_is_same(const capi_rule_t *a, const capi_rule_t *b)
{
    return strcmp(a->line.text, b->line.text) == 0;
}

unsigned int capi_rule_reads(const capi_rule_t *rule)
{
    return rule->line.reads;
}

/* --- evaluating --- */

/* What a rule's keys say of a request; NULL where that makes no event. */
static json_t *make_input(capi_rule_t *rule, capi_evaluation_t *evaluation, apr_pool_t *p)
{
    json_t *event = json_object();
    int i;

    json_object_set_new(event, "event_name", json_string(rule->line.first));
    for (i = 0; i < rule->members->nelts; i++) {
        const member_t *member = &APR_ARRAY_IDX(rule->members, i, member_t);
        const char *text = capi_line_text(evaluation, member->value, p);

        if (text) {
            capi_rule_key_set(event, member->key, text, p);
        }
    }
    if (evaluation->error) {
        capi_line_note_failure(evaluation);
        json_decref(event);
        return NULL;
    }
    if (rule->has_id && !json_object_get(event, "event_id")) {
        json_decref(event);
        return NULL;
    }
    return event;
}

static apr_status_t free_input(void *input)
{
    json_decref(input);
    return APR_SUCCESS;
}

/* False where the rule makes no event of this request. */
static bool make_event(capi_rule_event_t *event, capi_rule_t *rule, request_rec *view,
                       apr_pool_t *p)
{
    capi_evaluation_t evaluation = {.line = &rule->line, .view = view};

    if (!capi_line_is_wanted(&evaluation)) {
        return false;
    }
    event->name = rule->line.first;
    event->input = NULL;
    if (rule->members->nelts == 0) {
        return true;
    }
    event->input = make_input(rule, &evaluation, p);
    if (event->input) {
        apr_pool_cleanup_register(p, event->input, free_input, apr_pool_cleanup_null);
    }
    return event->input != NULL;
}

apr_array_header_t *capi_rules_evaluate(capi_visit_t *visit, request_rec *view, apr_pool_t *p)
{
    const apr_array_header_t *rules = visit->dir->rules.items;
    apr_array_header_t *events = apr_array_make(p, 1, sizeof(capi_rule_event_t));
    bool has_page_visit = visit->has_page_visit;
    int i;

    if (!rules) {
        return events;
    }
    for (i = 0; i < rules->nelts; i++) {
        capi_rule_t *rule = APR_ARRAY_IDX(rules, i, capi_rule_t *);
        const char *message = NULL;
        capi_rule_event_t event;
        bool is_page_visit;

        if (capi_name_resolve(&event.sent_as, &message, rule->line.first,
                              capi_conf_vocabulary(visit->dir), visit->server->event_names,
                              rule->has_order, p) != APR_SUCCESS) {
            continue; /* the check said so for the hosts it could see */
        }
        is_page_visit = strcmp(event.sent_as, "page_visit") == 0;
        if ((is_page_visit && has_page_visit) || !capi_rule_may_fire(visit, view, event.sent_as)) {
            continue;
        }
        /* asked behind the kind of answer: an image need not be tested for its crawler */
        if (capi_visit_is_uncounted(visit)) {
            return events;
        }
        if (make_event(&event, rule, view, p)) {
            APR_ARRAY_PUSH(events, capi_rule_event_t) = event;
            has_page_visit |= is_page_visit;
        }
    }
    return events;
}
