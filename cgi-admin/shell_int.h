#ifndef CAPI_CGI_SHELL_INT_H
#define CAPI_CGI_SHELL_INT_H

/* What the commands of the shell share. */

#include "ask.h"
#include "model.h"

enum {
    END_WELL = 0,
    END_LOOK = 1,
    END_BROKEN = 2,
    END_USAGE = 64,
    END_NO_STORE = 66,
    END_NOT_ALLOWED = 77
};

typedef struct {
    capi_store_t *store; /* to read; NULL where it could not be opened again */
    const char *driver;
    const char *params;
    capi_ask_kind_t kind; /* where the command is an action */
    const char *account;  /* --account, NULL: not said */
    apr_int64_t delivery; /* --delivery, 0: not said */
    apr_time_t now;
    apr_pool_t *pool;
    json_t *status; /* of capi_report_status */
} shell_t;

/* The status itself. */
const json_t *shell_status(const shell_t *shell);

/* A stranger's words may not steer the terminal. */
void shell_put(const char *text);
void shell_put_line(const char *before, const char *text);

/* A time as text, `-` for 0. */
const char *shell_moment(json_int_t seconds, apr_pool_t *p);

/* What the process ends with where nothing but the status is known. */
int shell_end(const shell_t *shell);

/* shell_check.c */
int shell_check(shell_t *shell);

/* shell_act.c: asks the sender for something and waits for what comes of it. */
typedef enum { SHELL_DONE, SHELL_FAILED, SHELL_NO_ANSWER, SHELL_NOT_ASKED } shell_answer_t;

/* *said is the outcome, or why there is none. */
shell_answer_t shell_ask(const char **said, shell_t *shell, capi_ask_t *ask);

int shell_act(shell_t *shell);

#endif
