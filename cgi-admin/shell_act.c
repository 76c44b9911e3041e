/* The page's actions for people without a browser. */

#include "shell_int.h"

#include <apr_strings.h>

#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "actions.h"
#include "report_actions.h"

/* A request to the API takes 30 seconds at most. */
#define PATIENCE apr_time_from_sec(35)

/* Where nothing tells that somebody wrote: a database server. */
#define LOOK_MS 500

#define LINE_MAX_BYTES 512

/* --- asking --- */

static const char *who(apr_pool_t *p)
{
    const struct passwd *entry = getpwuid(getuid());

    return entry ? apr_pstrcat(p, entry->pw_name, " (shell)", NULL) : "somebody (shell)";
}

static apr_status_t add_ask(const char **said, const shell_t *shell, capi_ask_t *ask)
{
    char *id = apr_palloc(shell->pool, CAPI_UUID_LEN + 1);
    capi_store_t *store;
    bool is_new;
    apr_status_t rv;

    ask->id = id;
    ask->asked_by = who(shell->pool);
    ask->asked_at = apr_time_now();
    rv = capi_uuid7(id, ask->asked_at);
    if (rv == APR_SUCCESS) {
        rv = capi_store_open_to_ask(&store, said, shell->driver, shell->params, shell->pool);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = capi_ask_add(&is_new, store, ask);
    if (rv != APR_SUCCESS) {
        *said = apr_pstrdup(shell->pool, capi_store_error(store));
    }
    /* The sender hears of it when the file is closed. */
    capi_store_close(store);
    return rv;
}

/* Readable whenever somebody writes into an SQLite store; -1 where nothing tells. */
static int watch_store(const shell_t *shell)
{
    const char *slash = strrchr(shell->params, '/');
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd >= 0 && slash) {
        inotify_add_watch(
            fd, apr_pstrmemdup(shell->pool, shell->params, (apr_size_t)(slash - shell->params) + 1),
            IN_MODIFY);
    }
    return fd;
}

static void drain(int fd)
{
    char events[4096];

    while (read(fd, events, sizeof(events)) > 0) {
        continue;
    }
}

static shell_answer_t wait_for(const char **said, const shell_t *shell, const char *id, int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    apr_time_t until = apr_time_now() + PATIENCE;

    while (apr_time_now() < until) {
        json_t *entry = NULL;
        bool is_over;
        bool is_well;

        if (capi_report_ask(&entry, shell->store, id, shell->pool) != APR_SUCCESS) {
            *said = capi_store_error(shell->store);
            return SHELL_NO_ANSWER;
        }
        is_over = model_has(entry, "done_at");
        is_well = model_is(entry, "is_well");
        *said = apr_pstrdup(shell->pool, is_over ? model_text(entry, "outcome") : "");
        json_decref(entry);
        if (is_over) {
            return is_well ? SHELL_DONE : SHELL_FAILED;
        }
        poll(&ready, 1, LOOK_MS);
        drain(fd);
    }
    *said = "The sender has not answered yet: does it run? What was asked stays asked.";
    return SHELL_NO_ANSWER;
}

static bool has_sender(const shell_t *shell)
{
    return model_is(json_object_get(shell_status(shell), "sender"), "alive");
}

/* SQLite knows a file once a process: while it is open to be read it cannot be written. */
static apr_status_t write_ask(const char **said, shell_t *shell, capi_ask_t *ask)
{
    const char *ignored;
    apr_status_t rv;

    capi_store_close(shell->store);
    rv = add_ask(said, shell, ask);
    if (capi_store_open(&shell->store, &ignored, shell->driver, shell->params, true, shell->pool)) {
        shell->store = NULL;
    }
    return rv;
}

shell_answer_t shell_ask(const char **said, shell_t *shell, capi_ask_t *ask)
{
    shell_answer_t answer = SHELL_NO_ANSWER;
    int fd = watch_store(shell);

    *said = NULL;
    if (write_ask(said, shell, ask) != APR_SUCCESS) {
        *said = *said ? *said : "the store cannot be written";
        answer = SHELL_NOT_ASKED;
    }
    else if (!shell->store || !has_sender(shell)) {
        *said = "The sender does not run: it does what was asked when it starts.";
    }
    else {
        answer = wait_for(said, shell, ask->id, fd);
    }
    if (fd >= 0) {
        close(fd);
    }
    return answer;
}

/* --- commands --- */

/* The account that is meant: the one of --account, or the only one. Live goes before test. */
static apr_int64_t find_account(const shell_t *shell, const char **wrong)
{
    const json_t *accounts = json_object_get(shell_status(shell), "accounts");
    const json_t *found = NULL;
    apr_size_t i;

    for (i = 0; i < json_array_size(accounts); i++) {
        const json_t *account = json_array_get(accounts, i);
        const char *name = model_text(account, "account");

        if (shell->account && strcmp(name, shell->account) != 0) {
            continue;
        }
        if (found && strcmp(name, model_text(found, "account")) != 0) {
            *wrong = "There are several accounts: say --account ID.";
            return 0;
        }
        if (!found || (model_is(found, "test") && !model_is(account, "test"))) {
            found = account;
        }
    }
    *wrong = shell->account ? "There is no such account." : "No account is known yet.";
    return model_number(found, "id");
}

/* From standard input: an argument would stand in the process list and in the shell's history. */
static bool read_person(const char **hash, apr_pool_t *p)
{
    char line[LINE_MAX_BYTES];

    if (isatty(STDIN_FILENO)) {
        fputs("E-mail address or phone number (+49 30 1234567): ", stderr);
    }
    if (!fgets(line, sizeof(line), stdin)) {
        return false;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return actions_person(hash, line, p);
}

static const char *fill_ask(capi_ask_t *ask, const shell_t *shell)
{
    const char *wrong = NULL;

    if (ask->kind == CAPI_ASK_FORGET) {
        return read_person(&ask->subject, shell->pool)
                   ? NULL
                   : "That is neither an e-mail address nor a phone number with its country code.";
    }
    if (ask->kind == CAPI_ASK_RETRY && shell->delivery) {
        ask->event = shell->delivery;
        return NULL;
    }
    ask->destination = find_account(shell, &wrong);
    return ask->destination ? NULL : wrong;
}

int shell_act(shell_t *shell)
{
    capi_ask_t ask = {.kind = shell->kind};
    const char *said = fill_ask(&ask, shell);

    if (said) {
        fprintf(stderr, "%s\n", said);
        return END_USAGE;
    }
    switch (shell_ask(&said, shell, &ask)) {
    case SHELL_DONE:
        shell_put_line("", said);
        return END_WELL;
    case SHELL_FAILED:
        shell_put_line("", said);
        return END_BROKEN;
    case SHELL_NO_ANSWER:
        shell_put_line("", said);
        return END_LOOK;
    case SHELL_NOT_ASKED:
        break;
    }
    fprintf(stderr, "Nothing was asked: %s. Run it as the sender's user.\n", said);
    return END_NOT_ALLOWED;
}
