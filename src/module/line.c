#include "line.h"

#include <apr_atomic.h>
#include <apr_strings.h>

APLOG_USE_MODULE(pinterest_capi);

/* Words of the configuration read into expressions, and evaluated for a request. */

/* A piece of a value: a literal (with $1 … in it), or one %{…}. */
typedef struct {
    const ap_expr_info_t *expr;
    bool is_function;
} piece_t;

struct capi_value_t {
    apr_array_header_t *pieces; /* piece_t; a single one where emptiness of parts does not matter */
};

void capi_line_begin(capi_line_t *line, cmd_parms *cmd, int argc, char *const argv[])
{
    int i;

    line->directive = cmd->cmd->name;
    line->first = line->text = argv[0];
    line->where =
        apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename, cmd->directive->line_num);
    for (i = 1; i < argc; i++) {
        line->text = apr_pstrcat(cmd->pool, line->text, "\n", argv[i], NULL);
    }
}

/* --- reading --- */

static const ap_expr_info_t *parse_expr(capi_line_t *line, const char **message, cmd_parms *cmd,
                                        const char *word, const char *text, bool is_condition)
{
    unsigned int flags = AP_EXPR_FLAG_DONT_VARY | (is_condition ? 0 : AP_EXPR_FLAG_STRING_RESULT);
    const char *error = NULL;
    const ap_expr_info_t *expr;

    capi_expr_watch(&line->reads);
    expr = ap_expr_parse_cmd(cmd, text, flags, &error, NULL);
    capi_expr_watch(NULL);
    if (error || !expr) {
        *message = apr_psprintf(cmd->pool, "%s: '%s' is no expression that httpd can read: %s",
                                line->directive, word, error ? error : "it is empty");
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
static bool parse_pieces(capi_line_t *line, apr_array_header_t *pieces, const char **message,
                         cmd_parms *cmd, const char *word, const char *text)
{
    while (*text) {
        bool is_function = text[0] == '%' && text[1] == '{';
        const char *end = is_function ? end_of_function(text) : end_of_literal(text);
        piece_t *piece = apr_array_push(pieces);

        if (!end) {
            end = text + strlen(text);
        }
        piece->is_function = is_function;
        piece->expr = parse_expr(line, message, cmd, word,
                                 apr_pstrmemdup(cmd->pool, text, (apr_size_t)(end - text)), false);
        if (!piece->expr) {
            return false;
        }
        text = end;
    }
    return true;
}

const capi_value_t *capi_line_value(capi_line_t *line, const char **message, cmd_parms *cmd,
                                    const char *word, const char *text, bool is_whole)
{
    /* read as a whole in any case: a piece by itself may hide an error of the whole */
    const ap_expr_info_t *expr = parse_expr(line, message, cmd, word, text, false);
    capi_value_t *value;

    if (!expr) {
        return NULL;
    }
    value = apr_palloc(cmd->pool, sizeof(*value));
    value->pieces = apr_array_make(cmd->pool, 1, sizeof(piece_t));
    if (is_whole) {
        return parse_pieces(line, value->pieces, message, cmd, word, text) ? value : NULL;
    }
    APR_ARRAY_PUSH(value->pieces, piece_t) = (piece_t){.expr = expr};
    return value;
}

bool capi_line_is_condition(const char *word)
{
    return strncmp(word, "when=", 5) == 0;
}

bool capi_line_add_condition(capi_line_t *line, const char **message, cmd_parms *cmd,
                             const char *word)
{
    if (line->when) {
        *message = apr_psprintf(cmd->pool, "%s: '%s' is a second when=: join the two with &&",
                                line->directive, word);
        return false;
    }
    line->when = parse_expr(line, message, cmd, word, word + 5, true);
    return line->when != NULL;
}

/* --- evaluating --- */

const char *capi_line_text(capi_evaluation_t *evaluation, const capi_value_t *value, apr_pool_t *p)
{
    const char *text = "";
    int i;

    for (i = 0; i < value->pieces->nelts; i++) {
        const piece_t *piece = &APR_ARRAY_IDX(value->pieces, i, piece_t);
        const char *part =
            ap_expr_str_exec_re(evaluation->view, piece->expr, CAPI_LINE_GROUPS, evaluation->groups,
                                &evaluation->source, &evaluation->error);

        if (evaluation->error || !part || (piece->is_function && !*part)) {
            return NULL;
        }
        text = *text ? apr_pstrcat(p, text, part, NULL) : part;
    }
    return *text ? text : NULL;
}

void capi_line_note_failure(capi_evaluation_t *evaluation)
{
    const capi_line_t *line = evaluation->line;

    capi_count(CAPI_COUNT_FAILED, 1);
    if (apr_atomic_inc32(&evaluation->line->failures) == 0) {
        /* the view's own log is quiet */
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, capi_visit_of(evaluation->view)->first,
                      "PCAPI030: %s %s (%s) cannot be evaluated and makes nothing of a request: %s",
                      line->directive, line->first, line->where, evaluation->error);
    }
}

bool capi_line_is_wanted(capi_evaluation_t *evaluation)
{
    int result;

    if (!evaluation->line->when) {
        return true;
    }
    result = ap_expr_exec_re(evaluation->view, evaluation->line->when, CAPI_LINE_GROUPS,
                             evaluation->groups, &evaluation->source, &evaluation->error);
    if (result < 0 || evaluation->error) {
        capi_line_note_failure(evaluation);
        return false;
    }
    return result > 0;
}
