/* `check`: the whole set-up, each point with what to do. What only a request can tell is tried with a
 * test event, which Pinterest answers and does not count. */

#include "shell_int.h"

#include <apr_strings.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "report_troubles.h"

typedef struct {
    shell_t *shell;
    int end;
} check_t;

static void put_result(const char *mark, const char *title, const char *mend)
{
    printf("%-5s ", mark);
    shell_put_line("", title);
    if (mend) {
        shell_put_line("      ", mend);
    }
}

static void put_ok(const char *title)
{
    put_result("ok", title, NULL);
}

static void put_look(check_t *check, const char *title, const char *mend)
{
    put_result("LOOK", title, mend);
    check->end = check->end == END_BROKEN ? END_BROKEN : END_LOOK;
}

static void put_fail(check_t *check, const char *title, const char *mend)
{
    put_result("FAIL", title, mend);
    check->end = END_BROKEN;
}

/* --- files --- */

static const char *directory_of(const char *path, apr_pool_t *p)
{
    const char *slash = strrchr(path, '/');

    return slash ? apr_pstrmemdup(p, path, slash == path ? 1 : (apr_size_t)(slash - path)) : ".";
}

/* Who the sender runs as, by its entry in /proc; false where it does not run. */
static bool find_runner(uid_t *uid, const shell_t *shell)
{
    const json_t *sender = json_object_get(shell_status(shell), "sender");
    struct stat process;

    if (!model_is(sender, "alive") ||
        stat(apr_psprintf(shell->pool, "/proc/%ld/task", (long)model_number(sender, "pid")),
             &process) != 0) {
        return false;
    }
    *uid = process.st_uid;
    return true;
}

static void check_key(check_t *check, const char *directory)
{
    struct stat key;

    if (stat(apr_pstrcat(check->shell->pool, directory, "/key", NULL), &key) == 0 &&
        (key.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        put_look(check, "The key that visits are hashed with can be opened by other users",
                 "chmod 600 the file `key` in the state directory.");
    }
}

/* What visitors did is in there: nobody but the sender's user may open it. */
static void check_files(check_t *check)
{
    apr_pool_t *p = check->shell->pool;
    const char *directory = directory_of(check->shell->params, p);
    bool is_open = false;
    struct stat file;
    struct stat folder;

    if (strcmp(check->shell->driver, "sqlite3") != 0) {
        return;
    }
    if (stat(check->shell->params, &file) == 0) {
        is_open = (file.st_mode & (S_IRWXO | S_IWGRP)) != 0;
    }
    if (is_open) {
        put_look(check, "The store can be opened by other users",
                 "chmod 600 the file and 700 its directory, owned by the sender's user.");
    }
    if (stat(directory, &folder) == 0 && (folder.st_mode & (S_IWOTH | S_IWGRP)) != 0) {
        is_open = true;
        put_look(check, "Other users may write into the state directory",
                 "chmod 700 it, owned by the sender's user.");
    }
    check_key(check, directory);
    if (!is_open) {
        put_ok("Nobody else can open the store");
    }
}

static void check_owner(check_t *check)
{
    struct stat file;
    uid_t runner;

    if (strcmp(check->shell->driver, "sqlite3") == 0 && find_runner(&runner, check->shell) &&
        stat(check->shell->params, &file) == 0 && file.st_uid != runner) {
        put_fail(check, "The store belongs to another user than the sender runs as",
                 "chown -R the state directory to the sender's user (PinterestCapiUser).");
    }
}

/* --- configuration and the way out --- */

static void check_sender(check_t *check)
{
    const json_t *sender = json_object_get(shell_status(check->shell), "sender");

    if (model_is(sender, "alive")) {
        put_ok(
            apr_pstrcat(check->shell->pool,
                        "httpd has accepted its directives, and the sender runs with them since ",
                        shell_moment(model_number(sender, "started"), check->shell->pool), NULL));
    }
}

static const char *label(const json_t *account, apr_pool_t *p)
{
    return apr_psprintf(p, "Account %s%s", model_text(account, "account"),
                        model_is(account, "test") ? " (test)" : "");
}

static void check_way(check_t *check, const json_t *account)
{
    apr_pool_t *p = check->shell->pool;
    capi_ask_t ask = {.kind = CAPI_ASK_TEST, .destination = model_number(account, "id")};
    const char *said;

    switch (shell_ask(&said, check->shell, &ask)) {
    case SHELL_DONE:
        put_ok(apr_pstrcat(p, label(account, p), ": ", said, NULL));
        return;
    case SHELL_FAILED:
        put_fail(check,
                 apr_pstrcat(p, label(account, p), ": a test event did not come through", NULL),
                 said);
        return;
    default:
        put_look(check, apr_pstrcat(p, label(account, p), ": no test event could be sent", NULL),
                 apr_pstrcat(p, said, ". Run this as the sender's user.", NULL));
    }
}

static void check_account(check_t *check, const json_t *account, bool has_sender)
{
    apr_pool_t *p = check->shell->pool;
    const json_t *paused = json_object_get(account, "paused");

    if (model_is(account, "test")) {
        put_result("note", apr_pstrcat(p, label(account, p), " counts nothing", NULL),
                   "PinterestCapiTest Off, then apachectl graceful, when you are done.");
    }
    if (json_is_object(paused)) {
        put_look(check,
                 apr_psprintf(p, "%s is paused by %s since %s", label(account, p),
                              model_text(paused, "by"),
                              shell_moment(model_number(paused, "since"), p)),
                 "pinterest-capi.cgi resume, or the page's Resume, lets its events go.");
    }
    if (has_sender) {
        check_way(check, account);
    }
}

static void check_accounts(check_t *check)
{
    const json_t *root = shell_status(check->shell);
    const json_t *accounts = json_object_get(root, "accounts");
    bool has_sender = model_is(json_object_get(root, "sender"), "alive");
    apr_size_t i;

    if (json_array_size(accounts) == 0) {
        put_look(check, "No account is configured, and no event has come for any",
                 "PinterestCapi On with PinterestCapiAdAccount and PinterestCapiTokenFile, and a "
                 "rule such as PinterestCapiEvent page_visit, which makes an event of every page: "
                 "open one in a browser.");
    }
    for (i = 0; i < json_array_size(accounts); i++) {
        check_account(check, json_array_get(accounts, i), has_sender);
    }
}

/* --- what comes in --- */

static void check_consent(check_t *check)
{
    const json_t *consent = json_object_get(shell_status(check->shell), "consent");
    const char *signals = "";
    apr_size_t i;

    for (i = 0; i < json_array_size(consent); i++) {
        const char *signal = model_text(json_array_get(consent, i), "signal");

        if (strcmp(signal, "default") != 0 && strcmp(signal, "none") != 0 &&
            !strstr(signals, signal)) {
            signals = apr_pstrcat(check->shell->pool, signals, *signals ? ", " : "", signal, NULL);
        }
    }
    if (*signals) {
        put_ok(apr_pstrcat(check->shell->pool,
                           "Consent was said in the last 24 hours by: ", signals, NULL));
    }
    else if (json_array_size(consent) > 0) {
        put_result("note", "No consent signal was seen in 24 hours: the default decided",
                   "Right where PinterestCapiConsentDefault is your choice. If a banner asks, name "
                   "its signal: PinterestCapiConsentSignal auto knows most.");
    }
    else {
        put_result("note", "No event of the last 24 hours has tried the consent signals",
                   "Open a page, answer the banner, and run this again.");
    }
}

static void check_addresses(check_t *check)
{
    const json_t *day = json_object_get(shell_status(check->shell), "last_24h");
    json_int_t delivered = model_number(day, "delivered");
    json_int_t with_address = model_number(json_object_get(day, "match_keys"), "client_ip_address");

    if (with_address > 0) {
        put_ok(apr_psprintf(check->shell->pool,
                            "%ld%% of the events of 24 hours carry a visitor's address",
                            (long)(100 * with_address / delivered)));
    }
}

static void check_waiting(const check_t *check)
{
    const json_t *root = shell_status(check->shell);

    if (model_has(root, "oldest_waiting")) {
        put_result(
            "note",
            apr_pstrcat(check->shell->pool, "The oldest waiting event is of ",
                        shell_moment(model_number(root, "oldest_waiting"), check->shell->pool),
                        NULL),
            NULL);
    }
}

static apr_status_t check_troubles(check_t *check)
{
    shell_t *shell = check->shell;
    const json_t *list;
    json_t *model;
    apr_size_t i;
    apr_status_t rv =
        capi_report_troubles(&model, shell->store, shell->status, shell->now, shell->pool);

    list = rv == APR_SUCCESS ? json_object_get(model, "troubles") : NULL;
    for (i = 0; i < json_array_size(list); i++) {
        const json_t *trouble = json_array_get(list, i);
        bool is_broken = strcmp(model_text(trouble, "severity"), "broken") == 0;

        (is_broken ? put_fail : put_look)(check, model_text(trouble, "title"),
                                          model_text(trouble, "cause"));
        shell_put_line("      ", model_text(trouble, "mend"));
    }
    return rv;
}

int shell_check(shell_t *shell)
{
    check_t check = {.shell = shell, .end = END_WELL};

    put_ok("The store can be read");
    check_files(&check);
    check_owner(&check);
    check_sender(&check);
    check_accounts(&check);
    check_consent(&check);
    check_addresses(&check);
    check_waiting(&check);
    if (!shell->store || check_troubles(&check) != APR_SUCCESS) {
        return END_NO_STORE;
    }
    if (check.end == END_WELL) {
        put_ok("No trouble is to be seen");
    }
    return shell_end(shell) == END_WELL ? check.end : END_BROKEN;
}
