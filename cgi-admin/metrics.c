/* Gauges and counters for monitoring. Sums over 24 hours go up and down, so they are gauges. */

#include "metrics.h"

#include <apr_strings.h>

#include <string.h>

#include "model.h"

/* A label's value: backslash, quote and line end are escaped, as OpenMetrics wants it. */
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

static const char *family(const char *name, const char *type, const char *help, apr_pool_t *p)
{
    return apr_psprintf(p, "# TYPE pinterest_capi_%s %s\n# HELP pinterest_capi_%s %s\n", name, type,
                        name, help);
}

static const char *gauge(const char *name, const char *help, json_int_t value, apr_pool_t *p)
{
    return apr_psprintf(p, "%spinterest_capi_%s %" APR_INT64_T_FMT "\n",
                        family(name, "gauge", help, p), name, (apr_int64_t)value);
}

/* One sample for each integer of an object, under a label. */
static const char *samples(const char *name, const char *label, const json_t *object,
                           const char *help, apr_pool_t *p)
{
    const char *text = family(name, "gauge", help, p);
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (json_is_integer(value) && strcmp(key, "total") != 0) {
            text =
                apr_psprintf(p, "%spinterest_capi_%s{%s=\"%s\"} %" APR_INT64_T_FMT "\n", text, name,
                             label, label_value(key, p), (apr_int64_t)json_integer_value(value));
        }
    }
    return text;
}

static const char *accounts_text(const json_t *accounts, apr_pool_t *p)
{
    const char *held = family("account_held", "gauge", "1 while the account is on hold.", p);
    const char *waiting = family("account_waiting", "gauge", "Events that wait to be sent.", p);
    apr_size_t i;

    for (i = 0; i < json_array_size(accounts); i++) {
        const json_t *account = json_array_get(accounts, i);
        const char *labels =
            apr_psprintf(p, "{account=\"%s\",api_url=\"%s\",test=\"%s\",wire=\"%s\"}",
                         label_value(model_text(account, "account"), p),
                         label_value(model_text(account, "api_url"), p),
                         model_is(account, "test") ? "true" : "false",
                         label_value(model_text(account, "wire"), p));
        held = apr_psprintf(p, "%spinterest_capi_account_held%s %d\n", held, labels,
                            model_has(account, "held"));
        waiting = apr_psprintf(p, "%spinterest_capi_account_waiting%s %" APR_INT64_T_FMT "\n",
                               waiting, labels, (apr_int64_t)model_number(account, "waiting"));
    }
    return apr_pstrcat(p, held, waiting, NULL);
}

static const char *queue_text(const json_t *queue, apr_pool_t *p)
{
    if (!json_is_object(queue)) {
        return "";
    }
    return apr_psprintf(
        p,
        "%s%s%spinterest_capi_queue_dropped_total{kind=\"page\"} %" APR_INT64_T_FMT
        "\npinterest_capi_queue_dropped_total{kind=\"conversion\"} %" APR_INT64_T_FMT "\n",
        gauge("queue_size_bytes", "Room of the shared-memory queue.", model_number(queue, "size"),
              p),
        gauge("queue_used_bytes", "What waited in it when the sender last looked.",
              model_number(queue, "used"), p),
        family("queue_dropped", "counter", "Records that found no room.", p),
        (apr_int64_t)model_number(queue, "dropped_page"),
        (apr_int64_t)model_number(queue, "dropped_conversion"));
}

const char *metrics_text(const json_t *status, apr_pool_t *p)
{
    const json_t *root = json_object_get(status, "status");
    json_int_t oldest = model_number(root, "oldest_waiting");
    json_int_t age = oldest > 0 ? model_number(root, "generated_at") - oldest : 0;

    return apr_pstrcat(p,
                       gauge("sender_up", "1 while the sender runs.",
                             model_is(json_object_get(root, "sender"), "alive"), p),
                       samples("events_24h", "outcome", json_object_get(root, "last_24h"),
                               "Events of the last 24 hours by outcome.", p),
                       samples("waiting", "state", json_object_get(root, "waiting"),
                               "Events that are not settled, by state.", p),
                       gauge("oldest_waiting_seconds", "Age of the oldest event that waits.",
                             age > 0 ? age : 0, p),
                       accounts_text(json_object_get(root, "accounts"), p),
                       queue_text(json_object_get(root, "queue"), p), "# EOF\n", NULL);
}
