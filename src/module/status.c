/* The module's part of the server-status page. */

#include "module.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <mod_status.h>

typedef struct {
    const char *key;   /* of ?auto */
    const char *label; /* of the page */
    const char *value;
} row_t;

#define ROWS_MAX 16

typedef struct {
    row_t rows[ROWS_MAX];
    int count;
    apr_pool_t *p;
} table_t;

static void add_text(table_t *table, const char *key, const char *label, const char *value)
{
    table->rows[table->count++] = (row_t){key, label, value};
}

static void add_number(table_t *table, const char *key, const char *label, uint64_t value)
{
    add_text(table, key, label, apr_psprintf(table->p, "%" APR_UINT64_T_FMT, (apr_uint64_t)value));
}

static void add_queue(table_t *table, const capi_queue_t *queue)
{
    capi_queue_stats_t stats;

    capi_queue_stats(queue, &stats);
    add_number(table, "QueueSize", "Queue size (bytes)", stats.size);
    add_number(table, "QueueUsed", "Queue in use (bytes)", stats.used);
    add_number(table, "QueueDepth", "Records waiting", stats.pushed - stats.taken);
    add_number(table, "QueuePushed", "Records accepted", stats.pushed);
    add_number(table, "QueueTaken", "Records taken by the sender", stats.taken);
    add_number(table, "QueueDroppedPage", "Page views dropped", stats.dropped_page);
    add_number(table, "QueueDroppedConversion", "Conversions dropped", stats.dropped_conversion);
    add_number(table, "QueueLockTimeouts", "Lock timeouts", stats.lock_timeouts);
    add_number(table, "QueueRecoveredLocks", "Locks recovered from dead workers",
               stats.recovered_locks);
}

static void add_sender(table_t *table)
{
    capi_sender_status_t sender;
    apr_interval_time_t lives = 0;

    capi_supervisor_status(&sender);
    if (sender.pid && sender.started) {
        lives = apr_time_sec(apr_time_now() - sender.started);
    }
    add_text(table, "SenderState", "Sender", sender.state);
    add_number(table, "SenderPid", "Sender's process", (uint64_t)sender.pid);
    add_number(table, "SenderUptime", "Sender runs for (seconds)", lives > 0 ? (uint64_t)lives : 0);
    add_number(table, "SenderRestarts", "Unexpected restarts", (uint64_t)sender.restarts);
}

static void add_losses(table_t *table)
{
    add_number(table, "MatchKeysLeftOut", "Match keys that are not what they say",
               (uint64_t)capi_counted(CAPI_COUNT_LEFT_OUT));
    add_number(table, "RulesFailed", "Rules that could not be evaluated",
               (uint64_t)capi_counted(CAPI_COUNT_FAILED));
}

static void print_short(request_rec *r, const table_t *table)
{
    int i;

    for (i = 0; i < table->count; i++) {
        ap_rprintf(r, "PinterestCapi%s: %s\n", table->rows[i].key,
                   ap_escape_html(r->pool, table->rows[i].value));
    }
}

static void print_page(request_rec *r, const table_t *table, bool is_plain)
{
    int i;

    ap_rputs("<hr />\n<h2>Pinterest Conversions API</h2>\n", r);
    ap_rputs(is_plain ? "<dl>\n" : "<table border=\"0\">\n", r);
    for (i = 0; i < table->count; i++) {
        ap_rprintf(
            r, is_plain ? "<dt>%s: %s</dt>\n" : "<tr><th align=\"left\">%s</th><td>%s</td></tr>\n",
            ap_escape_html(r->pool, table->rows[i].label),
            ap_escape_html(r->pool, table->rows[i].value));
    }
    ap_rputs(is_plain ? "</dl>\n" : "</table>\n", r);
}

int capi_status_hook(request_rec *r, int flags)
{
    table_t table = {.count = 0, .p = r->pool};

    if (!capi_queue()) {
        return DECLINED;
    }
    add_sender(&table);
    add_queue(&table, capi_queue());
    add_losses(&table);
    if (flags & AP_STATUS_SHORT) {
        print_short(r, &table);
    }
    else {
        print_page(r, &table, (flags & AP_STATUS_NOTABLE) != 0);
    }
    return OK;
}
