#include "config_int.h"
#include "line.h"

#include "match.h"
#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

/* PinterestCapiMatch and PinterestCapiBind: what a request says about its visitor and its visit,
 * whether or not it is an event. */

struct capi_fact_t {
    capi_line_t line;
    capi_key_t key; /* of a match */
    const capi_value_t *value;
};

/* --- reading --- */

static capi_fact_t *parse_rest(capi_fact_t *fact, const char **message, cmd_parms *cmd, int argc,
                               char *const argv[], bool is_whole)
{
    fact->value = capi_line_value(&fact->line, message, cmd, argv[0], argv[0], is_whole);
    if (!fact->value ||
        (argc > 1 && !capi_line_add_condition(&fact->line, message, cmd, argv[1]))) {
        return NULL;
    }
    return fact;
}

/* One expression and perhaps a condition, and nothing else. */
static bool has_right_words(int argc, char *const argv[])
{
    return argc >= 1 && argc <= 2 && !capi_line_is_condition(argv[0]) &&
           (argc == 1 || capi_line_is_condition(argv[1]));
}

capi_fact_t *capi_match_parse(const char **message, cmd_parms *cmd, int argc, char *const argv[])
{
    capi_fact_t *fact = apr_pcalloc(cmd->pool, sizeof(*fact));

    capi_line_begin(&fact->line, cmd, argc, argv);
    if (!capi_match_key(&fact->key, argv[0])) {
        *message = apr_psprintf(cmd->pool,
                                CAPI_DIR_MATCH ": '%s' is no match key: write one of em ph ge db "
                                               "fn ln ct st zp country external_id",
                                argv[0]);
        return NULL;
    }
    if (!has_right_words(argc - 1, argv + 1)) {
        *message = capi_value_error(cmd, capi_value_words(cmd, argc, argv),
                                    "is no line of it: write KEY EXPR [\"when=EXPR\"]");
        return NULL;
    }
    return parse_rest(fact, message, cmd, argc - 1, argv + 1, false);
}

capi_fact_t *capi_bind_parse(const char **message, cmd_parms *cmd, int argc, char *const argv[])
{
    capi_fact_t *fact = apr_pcalloc(cmd->pool, sizeof(*fact));

    capi_line_begin(&fact->line, cmd, argc, argv);
    if (!has_right_words(argc, argv)) {
        *message = capi_value_error(cmd, capi_value_words(cmd, argc, argv),
                                    "is no line of it: write EXPR [\"when=EXPR\"], for example "
                                    "order:%{answer_json:/order_id}");
        return NULL;
    }
    return parse_rest(fact, message, cmd, argc, argv, true);
}

bool capi_fact_is_same(const capi_fact_t *a, const capi_fact_t *b)
{
    return strcmp(a->line.text, b->line.text) == 0;
}

unsigned int capi_fact_reads(const capi_fact_t *fact)
{
    return fact->line.reads;
}

/* --- evaluating --- */

/* The fact's text for this request, blanks around it dropped; NULL for none. */
static const char *say(capi_fact_t *fact, request_rec *view, apr_pool_t *p)
{
    capi_evaluation_t evaluation = {.line = &fact->line, .view = view};
    const char *text;
    apr_size_t len;

    if (!capi_line_is_wanted(&evaluation)) {
        return NULL;
    }
    text = capi_line_text(&evaluation, fact->value, p);
    if (evaluation.error) {
        capi_line_note_failure(&evaluation);
    }
    if (!text) {
        return NULL;
    }
    while (apr_isspace(*text)) {
        text++;
    }
    len = strlen(text);
    while (len > 0 && apr_isspace(text[len - 1])) {
        len--;
    }
    return len > 0 ? apr_pstrmemdup(p, text, len) : NULL;
}

/* Bits of the keys that `said` has, whatever they are called there. */
static capi_keys_t keys_of(const json_t *said)
{
    capi_keys_t keys = 0;
    const char *name;
    json_t *value;
    capi_key_t key;

    json_object_foreach((json_t *)(uintptr_t)said, name, value)
    {
        if (capi_match_key(&key, name)) {
            keys |= CAPI_KEY_BIT(key);
        }
    }
    return keys;
}

static void add_match(json_t *matches, capi_key_t key, const char *text)
{
    json_t *value = json_string(text); /* NULL where it is not UTF-8 */
    json_t *values = json_object_get(matches, capi_key_name(key));

    if (!value) {
        return;
    }
    if (!values) {
        values = json_array();
        json_object_set_new(matches, capi_key_name(key), values);
    }
    json_array_append_new(values, value);
}

void capi_facts_match(json_t **matches, const capi_visit_t *visit, request_rec *view, apr_pool_t *p)
{
    const apr_array_header_t *facts = visit->dir->matches.items;
    capi_keys_t said = *matches ? keys_of(*matches) : 0;
    int i;

    if (!facts || !capi_rule_answer_counts(view)) {
        return;
    }
    for (i = 0; i < facts->nelts; i++) {
        capi_fact_t *fact = APR_ARRAY_IDX(facts, i, capi_fact_t *);
        const char *text;

        if (said & CAPI_KEY_BIT(fact->key)) {
            continue;
        }
        text = say(fact, view, p);
        if (text) {
            if (!*matches) {
                *matches = json_object();
            }
            add_match(*matches, fact->key, text);
        }
    }
}

void capi_facts_bind(apr_array_header_t *binds, const capi_visit_t *visit, request_rec *view,
                     apr_pool_t *p)
{
    const apr_array_header_t *facts = visit->dir->binds.items;
    int i;

    if (!facts || !capi_rule_answer_counts(view)) {
        return;
    }
    for (i = 0; i < facts->nelts; i++) {
        const char *text = say(APR_ARRAY_IDX(facts, i, capi_fact_t *), view, p);
        apr_size_t len = text ? strlen(text) : 0;

        if (len > 0 && len <= CAPI_BIND_MAX && capi_is_clean_text(text, len)) {
            APR_ARRAY_PUSH(binds, const char *) = text;
        }
    }
}
