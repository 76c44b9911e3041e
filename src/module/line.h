#ifndef CAPI_LINE_H
#define CAPI_LINE_H

/* What lines of PinterestCapiEvent, PinterestCapiMatch and PinterestCapiBind have in common:
 * expressions, and a condition. */

#include "module.h"

typedef struct {
    const char *directive;
    const char *first; /* its first word */
    const char *text;  /* the whole line, to tell equal ones */
    const char *where; /* file:line */
    const ap_expr_info_t *when;
    unsigned int reads;    /* CAPI_READS_…, of all its expressions */
    apr_uint32_t failures; /* of this process */
} capi_line_t;

typedef struct capi_value_t capi_value_t; /* an expression with a text for result */

void capi_line_begin(capi_line_t *line, cmd_parms *cmd, int argc, char *const argv[]);

bool capi_line_is_condition(const char *word); /* when=… */

/* These two read a word; false or NULL with *message where it is no expression. */
bool capi_line_add_condition(capi_line_t *line, const char **message, cmd_parms *cmd,
                             const char *word);

/* `text` is the expression in `word`. With `is_whole`, one function that comes out empty empties
 * the value. */
const capi_value_t *capi_line_value(capi_line_t *line, const char **message, cmd_parms *cmd,
                                    const char *word, const char *text, bool is_whole);

#define CAPI_LINE_GROUPS 10 /* $0 to $9 */

/* One evaluation: the groups of `when` and the text they point into. */
typedef struct {
    capi_line_t *line;
    request_rec *view;
    ap_regmatch_t groups[CAPI_LINE_GROUPS];
    const char *source;
    const char *error;
} capi_evaluation_t;

/* True where the line has no condition or it holds. What cannot be evaluated is logged once. */
bool capi_line_is_wanted(capi_evaluation_t *evaluation);

/* NULL where the value comes out empty or cannot be evaluated (evaluation->error). */
const char *capi_line_text(capi_evaluation_t *evaluation, const capi_value_t *value, apr_pool_t *p);

/* Counts the failure and logs evaluation->error, once a process and line: what fails once does so
 * for every request. */
void capi_line_note_failure(capi_evaluation_t *evaluation);

#endif
