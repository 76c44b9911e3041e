/* Words for a terminal, from the models that the page shows. */

#include "shell.h"

#include <apr_strings.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "metrics.h"
#include "report.h"
#include "shell_int.h"
#include "utf8.h"

#define DEFAULT_STORE "sqlite3 /var/lib/pinterest-capi/store.db"
#define TAIL_LINES    20

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

void shell_put(const char *text)
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

void shell_put_line(const char *before, const char *text)
{
    fputs(before, stdout);
    shell_put(text);
    putchar('\n');
}

const char *shell_moment(json_int_t seconds, apr_pool_t *p)
{
    time_t when = (time_t)seconds;
    struct tm utc;
    char text[40] = "-";

    if (seconds > 0 && gmtime_r(&when, &utc)) {
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &utc);
    }
    return apr_pstrdup(p, text);
}

const json_t *shell_status(const shell_t *shell)
{
    return json_object_get(shell->status, "status");
}

int shell_end(const shell_t *shell)
{
    return model_is(shell_status(shell), "broken") ? END_BROKEN : END_WELL;
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
    const json_t *root = shell_status(shell);
    const json_t *verdict = json_object_get(root, "verdict");
    const json_t *sender = json_object_get(root, "sender");
    const json_t *accounts = json_object_get(root, "accounts");
    apr_size_t i;

    shell_put_line("", model_text(verdict, "sentence"));
    if (model_has(verdict, "advice")) {
        shell_put_line("", model_text(verdict, "advice"));
    }
    printf("%-12s %s, process %ld, since %s\n", "sender",
           model_is(sender, "alive") ? "running" : "not running", (long)model_number(sender, "pid"),
           shell_moment(model_number(sender, "started"), shell->pool));
    for (i = 0; i < json_array_size(accounts); i++) {
        const json_t *account = json_array_get(accounts, i);
        printf("%-12s ", "account");
        shell_put(model_text(account, "account"));
        printf(", %s, %s, %" APR_INT64_T_FMT " waiting\n",
               model_is(account, "test") ? "test" : "live", model_text(account, "state"),
               (apr_int64_t)model_number(account, "waiting"));
    }
    put_counts("waiting", json_object_get(root, "waiting"));
    printf("%-12s %s\n", "oldest", shell_moment(model_number(root, "oldest_waiting"), shell->pool));
    put_counts("24 hours", json_object_get(root, "last_24h"));
    return shell_end(shell);
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
        printf("%s  %-11s  ", shell_moment(model_number(delivery, "received_at"), shell->pool),
               model_text(delivery, "state"));
        shell_put(model_text(delivery, "sent_as"));
        shell_put_line("  ", model_text(delivery, "event_id"));
        if (model_has(delivery, "error")) {
            shell_put_line("                      ", model_text(delivery, "error"));
        }
    }
    return END_WELL;
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
    {"status", run_status}, {"tail", run_tail}, {"check", shell_check}, {"metrics", run_metrics}};
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
        fprintf(stderr, "The store could not be read: %s\n",
                shell->store ? capi_store_error(shell->store) : "it is gone");
    }
    if (shell->store) {
        capi_store_close(shell->store);
    }
    return end;
}

/* What stands behind the command; false where it is not understood. */
static bool read_arguments(shell_t *shell, int argc, const char *const argv[])
{
    const char *store = NULL;
    int i;

    for (i = 2; i < argc; i++) {
        bool has_value = i + 1 < argc;

        if (strcmp(argv[i], "--account") == 0 && has_value) {
            shell->account = argv[++i];
        }
        else if (strcmp(argv[i], "--delivery") == 0 && has_value) {
            shell->delivery = apr_atoi64(argv[++i]);
        }
        else if (!store && *argv[i] != '-') {
            store = argv[i];
        }
        else {
            return false;
        }
    }
    find_store(shell, store);
    return true;
}

int shell_run(int argc, const char *const argv[], apr_pool_t *p)
{
    shell_t shell = {.now = apr_time_now(), .pool = p};
    const char *command = argc > 1 ? argv[1] : "";
    int (*run)(shell_t *) = capi_ask_kind(&shell.kind, command) ? shell_act : NULL;
    apr_size_t i;

    for (i = 0; i < COMMANDS; i++) {
        if (strcmp(command, commands[i].name) == 0) {
            run = commands[i].run;
        }
    }
    if (run && read_arguments(&shell, argc, argv)) {
        return run_command(&shell, run);
    }
    fputs(
        "Usage: pinterest-capi.cgi status|tail|check|metrics [STORE]\n"
        "       pinterest-capi.cgi test|try|pause|resume|retry [--account ID] [STORE]\n"
        "       pinterest-capi.cgi retry --delivery ID [STORE]\n"
        "       pinterest-capi.cgi forget [STORE] (reads an e-mail address or phone number)\n"
        "STORE is what PinterestCapiStore says, or the path of the file; left out, it is\n"
        "/var/lib/pinterest-capi/store.db. status and check end with 0 where all is well, 1 where\n"
        "there is something to look at, 2 where nothing goes out; the actions with 0 where they\n"
        "came off, 2 where not, 1 where the sender has not answered. Run those as its user.\n",
        stderr);
    return END_USAGE;
}
