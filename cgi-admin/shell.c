/* Words for a terminal, from the models that the page shows. */

#include "shell.h"

#include <apr_strings.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "metrics.h"
#include "model.h"
#include "report.h"
#include "report_troubles.h"
#include "utf8.h"

#define DEFAULT_STORE "sqlite3 /var/lib/pinterest-capi/store.db"
#define TAIL_LINES    20

enum { END_WELL = 0, END_LOOK = 1, END_BROKEN = 2, END_USAGE = 64, END_NO_STORE = 66 };

typedef struct {
    capi_store_t *store;
    const char *driver;
    const char *params;
    apr_time_t now;
    apr_pool_t *pool;
    json_t *status; /* of capi_report_status */
} shell_t;

bool shell_is_asked(void)
{
    return !getenv("GATEWAY_INTERFACE") && !getenv("REQUEST_METHOD");
}

static bool is_inert(uint32_t c)
{
    return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c != CAPI_UTF8_INVALID && c != 0x61c &&
           c != 0xfeff && !(c >= 0x200b && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202e) &&
           !(c >= 0x2060 && c <= 0x206f);
}

/* A stranger's words may not steer the terminal. */
static void put(const char *text)
{
    while (text && *text != '\0') {
        uint32_t c;
        apr_size_t len = capi_utf8_read(&c, text);

        if (is_inert(c)) {
            fwrite(text, 1, len, stdout);
        }
        else {
            putchar('?');
        }
        text += len;
    }
}

static void put_line(const char *before, const char *text)
{
    fputs(before, stdout);
    put(text);
    putchar('\n');
}

static const char *moment(json_int_t seconds, apr_pool_t *p)
{
    time_t when = (time_t)seconds;
    struct tm utc;
    char text[40] = "-";

    if (seconds > 0 && gmtime_r(&when, &utc)) {
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &utc);
    }
    return apr_pstrdup(p, text);
}

static const json_t *root_of(const shell_t *shell)
{
    return json_object_get(shell->status, "status");
}

static int end_of(const shell_t *shell)
{
    return model_is(root_of(shell), "broken") ? END_BROKEN : END_WELL;
}

/* --- status --- */

static void put_counts(const char *title, const json_t *counts)
{
    const char *name;
    json_t *value;

    printf("%-12s", title);
    json_object_foreach((json_t *)(uintptr_t)counts, name, value)
    {
        if (json_integer_value(value) > 0) {
            printf(" %s %" APR_INT64_T_FMT, name, (apr_int64_t)json_integer_value(value));
        }
    }
    putchar('\n');
}

static int run_status(shell_t *shell)
{
    const json_t *root = root_of(shell);
    const json_t *verdict = json_object_get(root, "verdict");
    const json_t *sender = json_object_get(root, "sender");
    const json_t *accounts = json_object_get(root, "accounts");
    apr_size_t i;

    put_line("", model_text(verdict, "sentence"));
    if (model_has(verdict, "advice")) {
        put_line("", model_text(verdict, "advice"));
    }
    printf("%-12s %s, process %ld, since %s\n", "sender",
           model_is(sender, "alive") ? "running" : "not running", (long)model_number(sender, "pid"),
           moment(model_number(sender, "started"), shell->pool));
    for (i = 0; i < json_array_size(accounts); i++) {
        const json_t *account = json_array_get(accounts, i);
        printf("%-12s ", "account");
        put(model_text(account, "account"));
        printf(", %s, %s, %" APR_INT64_T_FMT " waiting\n",
               model_is(account, "test") ? "test" : "live", model_text(account, "state"),
               (apr_int64_t)model_number(account, "waiting"));
    }
    put_counts("waiting", json_object_get(root, "waiting"));
    printf("%-12s %s\n", "oldest", moment(model_number(root, "oldest_waiting"), shell->pool));
    put_counts("24 hours", json_object_get(root, "last_24h"));
    return end_of(shell);
}

/* --- tail --- */

static int run_tail(shell_t *shell)
{
    capi_filter_t filter = {.limit = TAIL_LINES, .state = CAPI_REPORT_ANY_STATE};
    json_t *model;
    const json_t *list;
    apr_size_t i;

    if (capi_report_deliveries(&model, shell->store, &filter, shell->pool)) {
        return END_NO_STORE;
    }
    list = json_object_get(model, "deliveries");
    for (i = json_array_size(list); i > 0; i--) {
        const json_t *delivery = json_array_get(list, i - 1);
        printf("%s  %-11s  ", moment(model_number(delivery, "received_at"), shell->pool),
               model_text(delivery, "state"));
        put(model_text(delivery, "sent_as"));
        put_line("  ", model_text(delivery, "event_id"));
        if (model_has(delivery, "error")) {
            put_line("                      ", model_text(delivery, "error"));
        }
    }
    return END_WELL;
}

/* --- check --- */

static void put_result(const char *mark, const char *title, const char *mend)
{
    printf("%-5s ", mark);
    put_line("", title);
    if (mend) {
        put_line("      ", mend);
    }
}

/* The file holds what visitors did: nobody but the sender's user may open it. */
static bool is_private(const shell_t *shell)
{
    struct stat file;

    if (strcmp(shell->driver, "sqlite3") != 0 || stat(shell->params, &file) != 0) {
        return true;
    }
    return (file.st_mode & (S_IRWXO | S_IWGRP)) == 0;
}

static int check_facts(const shell_t *shell)
{
    const json_t *root = root_of(shell);
    const json_t *accounts = json_object_get(root, "accounts");
    const json_t *sender = json_object_get(root, "sender");
    const json_t *consent = json_object_get(root, "consent");
    int end = END_WELL;
    apr_size_t i;

    put_result("ok", "The store can be read", NULL);
    if (!is_private(shell)) {
        put_result("LOOK", "The store can be opened by other users",
                   "chmod 600 the file and 700 its directory, owned by the sender's user.");
        end = END_LOOK;
    }
    if (model_is(sender, "alive")) {
        put_result("ok", "The sender runs", NULL);
    }
    if (json_array_size(accounts) == 0) {
        put_result("LOOK", "No event has come for any account",
                   "PinterestCapi On and a rule such as PinterestCapiEvent page_visit make one of "
                   "every page: open one in a browser.");
        end = END_LOOK;
    }
    for (i = 0; i < json_array_size(accounts); i++) {
        const json_t *account = json_array_get(accounts, i);
        if (model_is(account, "test")) {
            put_result("note",
                       apr_psprintf(shell->pool, "Account %s is in test mode: nothing counts",
                                    model_text(account, "account")),
                       "PinterestCapiTest Off, then apachectl graceful, when you are done.");
        }
    }
    if (json_array_size(consent) > 0) {
        put_result("ok",
                   apr_psprintf(shell->pool, "Consent was decided, mostly by: %s",
                                model_text(json_array_get(consent, 0), "signal")),
                   NULL);
    }
    if (model_has(root, "oldest_waiting")) {
        put_result("note",
                   apr_pstrcat(shell->pool, "The oldest waiting event is of ",
                               moment(model_number(root, "oldest_waiting"), shell->pool), NULL),
                   NULL);
    }
    return end;
}

static int run_check(shell_t *shell)
{
    json_t *model;
    const json_t *list;
    int end = check_facts(shell);
    apr_size_t i;

    if (capi_report_troubles(&model, shell->store, shell->status, shell->now, shell->pool)) {
        return END_NO_STORE;
    }
    list = json_object_get(model, "troubles");
    for (i = 0; i < json_array_size(list); i++) {
        const json_t *trouble = json_array_get(list, i);
        bool is_broken = strcmp(model_text(trouble, "severity"), "broken") == 0;

        put_result(is_broken ? "FAIL" : "LOOK", model_text(trouble, "title"),
                   model_text(trouble, "cause"));
        put_line("      ", model_text(trouble, "mend"));
        end = is_broken ? END_BROKEN : end == END_BROKEN ? end : END_LOOK;
    }
    if (end == END_WELL) {
        put_result("ok", "No trouble is to be seen", NULL);
    }
    return end == END_BROKEN || end_of(shell) == END_WELL ? end : END_BROKEN;
}

/* --- metrics --- */

static int run_metrics(shell_t *shell)
{
    json_t *totals;

    if (capi_report_totals(&totals, shell->store, shell->pool)) {
        return END_NO_STORE;
    }
    fputs(metrics_text(shell->status, totals, METRICS_PLAIN, shell->pool), stdout);
    return END_WELL;
}

static const struct {
    const char *name;
    int (*run)(shell_t *shell);
} commands[] = {
    {"status", run_status}, {"tail", run_tail}, {"check", run_check}, {"metrics", run_metrics}};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void find_store(shell_t *shell, const char *named)
{
    const char *store = named ? named : getenv("PINTEREST_CAPI_STORE");
    apr_size_t driver_len;

    store = store && *store ? store : DEFAULT_STORE;
    if (*store == '/' || *store == '.') {
        store = apr_pstrcat(shell->pool, "sqlite3 ", store, NULL);
    }
    driver_len = strcspn(store, " ");
    shell->driver = apr_pstrndup(shell->pool, store, driver_len);
    shell->params = store + driver_len + strspn(store + driver_len, " ");
}

static int run_command(shell_t *shell, int (*run)(shell_t *shell))
{
    const char *message = NULL;
    int end = END_NO_STORE;

    if (capi_store_open(&shell->store, &message, shell->driver, shell->params, true, shell->pool)) {
        fprintf(stderr, "%s\n", message ? message : "The store cannot be opened.");
        return END_NO_STORE;
    }
    if (capi_report_status(&shell->status, shell->store, shell->now, shell->pool) == APR_SUCCESS) {
        end = run(shell);
    }
    if (end == END_NO_STORE) {
        fprintf(stderr, "The store could not be read: %s\n", capi_store_error(shell->store));
    }
    capi_store_close(shell->store);
    return end;
}

int shell_run(int argc, const char *const argv[], apr_pool_t *p)
{
    shell_t shell = {.now = apr_time_now(), .pool = p};
    apr_size_t i;

    for (i = 0; argc > 1 && argc < 4 && i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            find_store(&shell, argc > 2 ? argv[2] : NULL);
            return run_command(&shell, commands[i].run);
        }
    }
    fputs(
        "Usage: pinterest-capi.cgi status|tail|check|metrics [STORE]\n"
        "STORE is what PinterestCapiStore says, or the path of the file; left out, it is\n"
        "/var/lib/pinterest-capi/store.db. status and check end with 0 where all is well, 1 where\n"
        "there is something to look at, 2 where nothing goes out.\n",
        stderr);
    return END_USAGE;
}
