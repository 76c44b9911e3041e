/* Gauges and counters for monitoring. Counters are sums since the store was made; what happened in
 * the last 24 hours goes up and down, so it is a gauge. */

#include "metrics.h"

#include <apr_strings.h>

#include <string.h>

#include "model.h"

typedef struct {
    apr_array_header_t *parts;
    metrics_dialect_t dialect;
    apr_pool_t *pool;
} metrics_t;

metrics_dialect_t metrics_wanted(const char *accept)
{
    return accept && strstr(accept, "text/plain") && !strstr(accept, "openmetrics") ? METRICS_PLAIN
                                                                                    : METRICS_OPEN;
}

const char *metrics_type(metrics_dialect_t dialect)
{
    return dialect == METRICS_OPEN ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                   : "text/plain; version=0.0.4; charset=utf-8";
}

static void put(metrics_t *metrics, const char *text)
{
    APR_ARRAY_PUSH(metrics->parts, const char *) = text;
}

/* A label's value: backslash, quote and line end are escaped. */
static const char *label_value(const char *text, apr_pool_t *p)
{
    char *escaped = apr_palloc(p, 2 * strlen(text ? text : "") + 1);
    char *end = escaped;

    for (; text && *text != '\0'; text++) {
        if (*text == '\\' || *text == '"' || *text == '\n') {
            *end++ = '\\';
        }
        *end++ = *text == '\n' ? 'n' : *text;
    }
    *end = '\0';
    return escaped;
}

/* OpenMetrics declares a counter without the _total that its samples end in; the older format
 * knows no such difference. */
static void declare(metrics_t *metrics, const char *name, const char *type, const char *help)
{
    const char *end =
        metrics->dialect == METRICS_PLAIN && strcmp(type, "counter") == 0 ? "_total" : "";

    put(metrics, apr_psprintf(metrics->pool,
                              "# HELP pinterest_capi_%s%s %s\n# TYPE pinterest_capi_%s%s %s\n",
                              name, end, help, name, end, type));
}

static void sample(metrics_t *metrics, const char *name, const char *labels, json_int_t value)
{
    put(metrics, apr_psprintf(metrics->pool, "pinterest_capi_%s%s %" APR_INT64_T_FMT "\n", name,
                              labels, (apr_int64_t)value));
}

static void gauge(metrics_t *metrics, const char *name, const char *help, json_int_t value)
{
    declare(metrics, name, "gauge", help);
    sample(metrics, name, "", value);
}

/* One sample for each integer of an object, under a label. */
static void put_object(metrics_t *metrics, const char *name, const char *label,
                       const json_t *object, const char *help)
{
    const char *key;
    json_t *value;

    declare(metrics, name, "gauge", help);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (json_is_integer(value) && strcmp(key, "total") != 0) {
            sample(
                metrics, name,
                apr_psprintf(metrics->pool, "{%s=\"%s\"}", label, label_value(key, metrics->pool)),
                json_integer_value(value));
        }
    }
}

/* What tells accounts apart, `more` behind it. */
static const char *account_labels(const metrics_t *metrics, const json_t *account, const char *more)
{
    apr_pool_t *p = metrics->pool;

    return apr_psprintf(p, "{account=\"%s\",api_url=\"%s\",test=\"%s\",wire=\"%s\"%s}",
                        label_value(model_text(account, "account"), p),
                        label_value(model_text(account, "api_url"), p),
                        model_is(account, "test") ? "true" : "false",
                        label_value(model_text(account, "wire"), p), more);
}

static json_int_t held_of(const json_t *account, json_int_t now)
{
    (void)now;
    return model_has(account, "held");
}

static json_int_t paused_of(const json_t *account, json_int_t now)
{
    (void)now;
    return model_has(account, "paused");
}

static json_int_t waiting_of(const json_t *account, json_int_t now)
{
    (void)now;
    return model_number(account, "waiting");
}

static json_int_t age_of(const json_t *account, json_int_t now)
{
    json_int_t oldest = model_number(account, "oldest_waiting");

    return oldest > 0 && now > oldest ? now - oldest : 0;
}

static void put_accounts(metrics_t *metrics, const json_t *status)
{
    static const struct {
        const char *name;
        const char *help;
        json_int_t (*value)(const json_t *account, json_int_t now);
    } gauges[] = {
        {"account_held", "1 while the account is on hold.", held_of},
        {"account_paused", "1 while somebody has paused the account.", paused_of},
        {"account_waiting", "Events that wait to be sent.", waiting_of},
        {"account_oldest_waiting_seconds", "Age of the oldest event that waits.", age_of},
    };
    const json_t *accounts = json_object_get(status, "accounts");
    apr_size_t i;
    apr_size_t k;

    for (i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        declare(metrics, gauges[i].name, "gauge", gauges[i].help);
        for (k = 0; k < json_array_size(accounts); k++) {
            const json_t *account = json_array_get(accounts, k);
            sample(metrics, gauges[i].name, account_labels(metrics, account, ""),
                   gauges[i].value(account, model_number(status, "generated_at")));
        }
    }
}

static void put_queue(metrics_t *metrics, const json_t *queue)
{
    if (!json_is_object(queue)) {
        return;
    }
    gauge(metrics, "queue_size_bytes", "Room of the shared-memory queue.",
          model_number(queue, "size"));
    gauge(metrics, "queue_used_bytes", "What waited in it when the sender last looked.",
          model_number(queue, "used"));
    declare(metrics, "queue_dropped", "counter", "Records that found no room in the queue.");
    sample(metrics, "queue_dropped_total", "{kind=\"page\"}", model_number(queue, "dropped_page"));
    sample(metrics, "queue_dropped_total", "{kind=\"conversion\"}",
           model_number(queue, "dropped_conversion"));
    declare(metrics, "queue_broken_records", "counter",
            "Records that could not be read since the sender started.");
    sample(metrics, "queue_broken_records_total", "", model_number(queue, "broken_records"));
}

static void put_sender(metrics_t *metrics, const json_t *sender)
{
    gauge(metrics, "sender_up", "1 while the sender runs.", model_is(sender, "alive"));
    gauge(metrics, "sender_start_time_seconds", "When the sender started, in Unix time.",
          model_number(sender, "started"));
    gauge(metrics, "last_intake_time_seconds", "When it last took in an event, in Unix time.",
          model_number(sender, "last_intake"));
    declare(metrics, "sender_starts", "counter",
            "How often the sender started; restarts of httpd count as well.");
    sample(metrics, "sender_starts_total", "", model_number(sender, "starts"));
}

static void put_events(metrics_t *metrics, const json_t *events)
{
    apr_size_t i;

    declare(metrics, "events", "counter", "Events by what became of them.");
    for (i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        const char *more = apr_psprintf(metrics->pool, ",event=\"%s\",outcome=\"%s\"",
                                        label_value(model_text(event, "event_name"), metrics->pool),
                                        label_value(model_text(event, "outcome"), metrics->pool));
        sample(metrics, "events_total", account_labels(metrics, event, more),
               model_number(event, "count"));
    }
}

static void put_latency(metrics_t *metrics, const json_t *latency)
{
    apr_pool_t *p = metrics->pool;
    apr_size_t i;
    apr_size_t k;

    declare(metrics, "delivery_latency_seconds", "histogram",
            "From the moment an event happened to its delivery.");
    for (i = 0; i < json_array_size(latency); i++) {
        const json_t *one = json_array_get(latency, i);
        const json_t *buckets = json_object_get(one, "buckets");
        json_int_t count = 0;

        for (k = 0; k < json_array_size(buckets); k++) {
            const json_t *bucket = json_array_get(buckets, k);
            const json_t *bound = json_array_get(bucket, 0);
            const char *le = json_is_null(bound)
                                 ? ",le=\"+Inf\""
                                 : apr_psprintf(p, ",le=\"%" APR_INT64_T_FMT ".0\"",
                                                (apr_int64_t)json_integer_value(bound));
            count = json_integer_value(json_array_get(bucket, 1));
            sample(metrics, "delivery_latency_seconds_bucket", account_labels(metrics, one, le),
                   count);
        }
        sample(metrics, "delivery_latency_seconds_sum", account_labels(metrics, one, ""),
               model_number(one, "sum"));
        sample(metrics, "delivery_latency_seconds_count", account_labels(metrics, one, ""), count);
    }
}

const char *metrics_text(const json_t *status, const json_t *totals, metrics_dialect_t dialect,
                         apr_pool_t *p)
{
    metrics_t metrics = {apr_array_make(p, 200, sizeof(const char *)), dialect, p};
    const json_t *root = json_object_get(status, "status");

    put_sender(&metrics, json_object_get(root, "sender"));
    put_events(&metrics, json_object_get(totals, "events"));
    put_object(&metrics, "events_24h", "outcome", json_object_get(root, "last_24h"),
               "Events of the last 24 hours by outcome.");
    put_object(&metrics, "waiting", "state", json_object_get(root, "waiting"),
               "Events that are not settled, by state.");
    gauge(&metrics, "oldest_waiting_seconds", "Age of the oldest event that waits.",
          age_of(root, model_number(root, "generated_at")));
    put_accounts(&metrics, root);
    put_latency(&metrics, json_object_get(totals, "latency"));
    put_queue(&metrics, json_object_get(root, "queue"));
    if (dialect == METRICS_OPEN) {
        put(&metrics, "# EOF\n");
    }
    return apr_array_pstrcat(p, metrics.parts, 0);
}
