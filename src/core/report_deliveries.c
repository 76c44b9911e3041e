/* Lists of deliveries, and one with its attempts. */

#include "report_int.h"

#include <apr_strings.h>

#include <string.h>

#include "report_sql.h"

/* How many records one answer may look at while it searches. A record of `events` takes about a
 * microsecond; those of one state lie apart, and a row of the outbox carries its payload, so each is
 * read from a page of its own. */
#define WALK_EVENTS  20000
#define WALK_TROUBLE 8000
#define WALK_WAITING 5000

/* Records come in nearly in the order of their time; this much out of order is still found. */
#define TIME_SLACK apr_time_from_sec(120)

#define VALUES_MAX 24

/* One list: which rows it walks, from `before` down to `low`, both ids. */
typedef struct {
    capi_store_t *store;
    const capi_filter_t *filter;
    apr_pool_t *pool;
    const char *sql;   /* what it walks: one of REPORT_SQL_… */
    bool takes_state;  /* its first value is the state */
    apr_int64_t state; /* the filter's, as the statements want it */
    apr_int64_t since; /* microseconds */
    apr_int64_t until;
    const char *pattern; /* of LIKE; NULL: no search */
    apr_int64_t before;
    apr_int64_t low;
    apr_int64_t limit;
    bool has_more; /* there may be some below `low` */
} list_t;

static json_t *keys_model(capi_keys_t keys)
{
    json_t *names = json_array();
    int key;

    for (key = 0; key < CAPI_KEY_COUNT; key++) {
        if (keys & CAPI_KEY_BIT(key)) {
            json_array_append_new(names, json_string(capi_key_name((capi_key_t)key)));
        }
    }
    return names;
}

/* What became of it, as far as that is decided: a request has carried it, or nothing of it went. */
static json_t *action_model(const capi_rows_t *rows)
{
    capi_action_t action = (capi_action_t)capi_rows_int(rows, 19);
    bool was_sent = capi_rows_int(rows, 9) == CAPI_STATE_DELIVERED || capi_rows_int(rows, 13) > 0;

    if (action < CAPI_ACTION_SEND || action > CAPI_ACTION_LIMITED ||
        (action != CAPI_ACTION_SUPPRESS && !was_sent)) {
        return json_null();
    }
    return json_string(capi_action_name(action));
}

static json_t *consent_model(const capi_rows_t *rows, apr_pool_t *p)
{
    capi_consent_state_t state = (capi_consent_state_t)capi_rows_int(rows, 10);
    const char *rule = capi_rows_text(rows, 18);

    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "state", capi_consent_name(state), "signal",
                     capi_report_text(rows, 11, p), "rule",
                     rule ? capi_report_text(rows, 18, p) : json_string("suppress"), "action",
                     action_model(rows), "stripped",
                     keys_model((capi_keys_t)capi_rows_int(rows, 20)));
}

/* A row of REPORT_COLUMNS. */
static json_t *delivery_model(const capi_rows_t *rows, apr_pool_t *p)
{
    json_t *delivery = json_object();
    capi_source_t source = (capi_source_t)capi_rows_int(rows, 8);
    capi_state_t state = (capi_state_t)capi_rows_int(rows, 9);

    json_object_set_new(delivery, "id", capi_report_int(rows, 0));
    json_object_set_new(delivery, "account", capi_report_text(rows, 1, p));
    json_object_set_new(delivery, "test", json_boolean(capi_rows_int(rows, 2) != 0));
    json_object_set_new(delivery, "event_id", capi_report_text(rows, 3, p));
    json_object_set_new(delivery, "event_name", capi_report_text(rows, 4, p));
    json_object_set_new(delivery, "sent_as", capi_report_text(rows, 5, p));
    json_object_set_new(delivery, "event_time", capi_report_int(rows, 6));
    json_object_set_new(delivery, "received_at", capi_report_seconds(rows, 7));
    json_object_set_new(delivery, "source", json_string(capi_source_name(source)));
    json_object_set_new(delivery, "state", json_string(capi_state_name(state)));
    json_object_set_new(delivery, "consent", consent_model(rows, p));
    json_object_set_new(delivery, "match_keys", keys_model((capi_keys_t)capi_rows_int(rows, 12)));
    json_object_set_new(delivery, "http_status",
                        capi_rows_int(rows, 13) > 0 ? capi_report_int(rows, 13) : json_null());
    json_object_set_new(delivery, "request_id", capi_report_text(rows, 14, p));
    json_object_set_new(delivery, "retries", json_integer(capi_rows_int(rows, 15)));
    json_object_set_new(delivery, "error", capi_report_text(rows, 16, p));
    json_object_set_new(delivery, "warning", capi_report_text(rows, 17, p));
    return delivery;
}

/* The values of REPORT_FILTER, in its order. */
static int filter_values(const void **values, const list_t *list)
{
    const capi_filter_t *filter = list->filter;
    const void *const all[] = {
        filter->account,    filter->account, filter->event_name, filter->event_name,
        filter->event_name, &list->since,    &list->until,       &list->state,
        &list->state,       list->pattern,   list->pattern,      list->pattern,
        list->pattern,      list->pattern,   list->pattern,      list->pattern};

    memcpy(values, all, sizeof(all));
    return (int)(sizeof(all) / sizeof(all[0]));
}

/* Runs the list's statement, `count` values of its own first, and appends what it gives. */
static apr_status_t append_rows(json_t *deliveries, const list_t *list, const char *sql,
                                const void **values, int count)
{
    capi_statement_t statement = {.sql = sql};
    capi_rows_t rows;
    apr_status_t rv;

    count += filter_values(values + count, list);
    values[count++] = &list->limit;
    rv = capi_rows_select(&rows, list->store, &statement, values, list->pool);
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        json_array_append_new(deliveries, delivery_model(&rows, list->pool));
    }
    return rv;
}

static apr_status_t append_walked(json_t *deliveries, const list_t *list)
{
    const void *values[VALUES_MAX];
    int count = 0;

    if (list->takes_state) {
        values[count++] = &list->state;
    }
    values[count++] = &list->before;
    values[count++] = &list->low;
    return append_rows(deliveries, list, list->sql, values, count);
}

/* A whole event_id is found however old it is. */
static apr_status_t append_exact(json_t *deliveries, const list_t *list)
{
    const void *values[VALUES_MAX] = {list->filter->q, &list->low};

    return append_rows(deliveries, list, REPORT_SQL_EXACT, values, 2);
}

/* Any part of a text: the pattern's own characters are escaped with `!`. */
static const char *like_pattern(const char *q, apr_pool_t *p)
{
    char *pattern = apr_palloc(p, 2 * strlen(q) + 3);
    char *end = pattern;

    *end++ = '%';
    for (; *q != '\0'; q++) {
        if (*q == '%' || *q == '_' || *q == '!') {
            *end++ = '!';
        }
        *end++ = *q;
    }
    *end++ = '%';
    *end = '\0';
    return pattern;
}

/* One row of integers; APR_NOTFOUND where there is none. */
static apr_status_t select_ints(apr_int64_t *first, apr_int64_t *second, const list_t *list,
                                capi_statement_t *statement, const void *const *values)
{
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, list->store, statement, values, list->pool);

    if (rv) {
        return rv;
    }
    if (!capi_rows_next(&rows)) {
        return APR_NOTFOUND;
    }
    *first = capi_rows_int(&rows, 0);
    if (second) {
        *second = capi_rows_int(&rows, 1);
    }
    while (capi_rows_next(&rows)) {
    }
    return APR_SUCCESS;
}

/* The first id in (low, high] whose event was received at or after `time`, `high` where none was:
 * about twenty look-ups by primary key. */
static apr_status_t find_id(apr_int64_t *id, const list_t *list, apr_time_t time, apr_int64_t low,
                            apr_int64_t high)
{
    capi_statement_t at = {.sql = REPORT_SQL_RECEIVED_AT};

    while (low < high) {
        apr_int64_t middle = low + (high - low) / 2;
        const void *values[] = {&middle};
        apr_int64_t found = high;
        apr_int64_t received = time;
        apr_status_t rv = select_ints(&found, &received, list, &at, values);

        if (rv != APR_SUCCESS && rv != APR_NOTFOUND) {
            return rv;
        }
        if (rv == APR_NOTFOUND || received >= time) {
            high = middle;
        }
        else {
            low = found + 1;
        }
    }
    *id = low;
    return APR_SUCCESS;
}

/* Narrows the walk to the ids that a span of time can have. `oldest` is the first one of these. */
static apr_status_t narrow_by_time(list_t *list, apr_int64_t *oldest)
{
    capi_statement_t range = {.sql = REPORT_SQL_EVENT_RANGE};
    apr_int64_t newest = 0;
    apr_int64_t id;
    apr_status_t rv = select_ints(oldest, &newest, list, &range, NULL);

    if (rv) {
        return rv;
    }
    if (list->before == 0 || list->before > newest + 1) {
        list->before = newest + 1;
    }
    if (list->filter->until > 0) {
        rv = find_id(&id, list, list->until + TIME_SLACK, *oldest, list->before);
        list->before = rv ? list->before : id;
    }
    if (rv == APR_SUCCESS && list->filter->since > 0) {
        rv = find_id(&id, list, list->since - TIME_SLACK, *oldest, list->before);
        *oldest = rv ? *oldest : id;
    }
    return rv;
}

/* Chooses what to walk by the wanted state, and how far one answer may go. */
static apr_status_t bound_walk(list_t *list, apr_int64_t oldest)
{
    capi_statement_t trouble_low = {.sql = REPORT_SQL_TROUBLE_LOW};
    capi_statement_t waiting_low = {.sql = REPORT_SQL_WAITING_LOW};
    static const apr_int64_t walk_trouble = WALK_TROUBLE;
    static const apr_int64_t walk_waiting = WALK_WAITING;
    const void *trouble[] = {&list->state, &list->before, &walk_trouble};
    const void *waiting[] = {&list->before, &walk_waiting};
    apr_status_t rv = APR_SUCCESS;

    list->low = oldest;
    if (list->state > CAPI_STATE_DELIVERED) {
        list->sql = REPORT_SQL_TROUBLE;
        list->takes_state = true;
        rv = select_ints(&list->low, NULL, list, &trouble_low, trouble);
    }
    else if (list->state >= 0 && list->state < CAPI_STATE_SETTLED) {
        list->sql = REPORT_SQL_WAITING;
        rv = select_ints(&list->low, NULL, list, &waiting_low, waiting);
    }
    else {
        list->sql = REPORT_SQL_EVENTS;
        list->low = list->before > WALK_EVENTS ? list->before - WALK_EVENTS : 0;
    }
    list->low = rv || list->low < oldest ? oldest : list->low;
    list->has_more = list->low > oldest;
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

static void init_list(list_t *list, capi_store_t *store, const capi_filter_t *filter, apr_pool_t *p)
{
    int limit = filter->limit > 0 ? filter->limit : CAPI_REPORT_LIMIT;

    memset(list, 0, sizeof(*list));
    list->store = store;
    list->filter = filter;
    list->pool = p;
    list->state = filter->state;
    list->since = filter->since > 0 ? (apr_int64_t)apr_time_from_sec(filter->since) : 0;
    list->until = filter->until > 0 ? (apr_int64_t)apr_time_from_sec(filter->until) : APR_INT64_MAX;
    list->pattern = filter->q ? like_pattern(filter->q, p) : NULL;
    list->before = filter->before;
    /* One more than is shown tells whether there is a next page. */
    list->limit = 1 + (limit > CAPI_REPORT_LIMIT_MAX ? CAPI_REPORT_LIMIT_MAX : limit);
}

/* Where the page after this one begins: below the last row shown, or below the walk. */
static apr_status_t set_next(json_t *model, json_t *deliveries, const list_t *list)
{
    capi_statement_t at = {.sql = REPORT_SQL_RECEIVED_AT};
    const void *values[] = {&list->low};
    apr_int64_t id;
    apr_int64_t received;
    apr_status_t rv;

    if (json_array_size(deliveries) == (apr_size_t)list->limit) {
        json_array_remove(deliveries, json_array_size(deliveries) - 1);
        json_object_set(
            model, "next",
            json_object_get(json_array_get(deliveries, (apr_size_t)list->limit - 2), "id"));
        return APR_SUCCESS;
    }
    if (!list->has_more) {
        json_object_set_new(model, "next", json_null());
        return APR_SUCCESS;
    }
    json_object_set_new(model, "next", json_integer(list->low));
    rv = select_ints(&id, &received, list, &at, values);
    if (rv == APR_SUCCESS) {
        json_object_set_new(model, "searched_back_to",
                            json_integer((json_int_t)apr_time_sec(received)));
    }
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

apr_status_t capi_report_deliveries(json_t **model, capi_store_t *store,
                                    const capi_filter_t *filter, apr_pool_t *p)
{
    json_t *deliveries = json_array();
    apr_int64_t oldest = 0;
    apr_status_t rv;
    list_t list;

    *model = capi_report_own(json_pack("{s:o}", "deliveries", deliveries), p);
    init_list(&list, store, filter, p);
    rv = narrow_by_time(&list, &oldest);
    if (rv == APR_SUCCESS) {
        rv = bound_walk(&list, oldest);
    }
    if (rv == APR_SUCCESS) {
        rv = append_walked(deliveries, &list);
    }
    if (rv == APR_SUCCESS && list.has_more && filter->q && filter->before == 0 &&
        json_array_size(deliveries) == 0) {
        rv = append_exact(deliveries, &list);
    }
    return rv ? rv : set_next(*model, deliveries, &list);
}

static json_t *attempt_model(const capi_rows_t *rows, apr_pool_t *p)
{
    json_t *attempt = json_object();
    apr_int64_t started = capi_rows_int(rows, 0);
    apr_int64_t finished = capi_rows_int(rows, 1);
    bool is_over = capi_rows_text(rows, 1) != NULL;

    json_object_set_new(attempt, "started", capi_report_seconds(rows, 0));
    json_object_set_new(attempt, "finished", capi_report_seconds(rows, 1));
    json_object_set_new(attempt, "seconds",
                        is_over ? json_real((double)(finished - started) / APR_USEC_PER_SEC)
                                : json_null());
    json_object_set_new(attempt, "http_status",
                        capi_rows_int(rows, 2) > 0 ? capi_report_int(rows, 2) : json_null());
    json_object_set_new(attempt, "request_id", capi_report_text(rows, 3, p));
    json_object_set_new(attempt, "events", json_integer(capi_rows_int(rows, 4)));
    json_object_set_new(attempt, "error", capi_report_text(rows, 5, p));
    return attempt;
}

apr_status_t capi_report_delivery(json_t **model, capi_store_t *store, apr_int64_t id,
                                  apr_pool_t *p)
{
    capi_statement_t one = {.sql = REPORT_SQL_ONE};
    capi_statement_t attempts_of = {.sql = REPORT_SQL_ATTEMPTS};
    const void *values[] = {&id, &id, &id};
    json_t *attempts = json_array();
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &one, values, p);

    if (rv || !capi_rows_next(&rows)) {
        json_decref(attempts);
        return rv ? rv : APR_NOTFOUND;
    }
    *model = capi_report_own(delivery_model(&rows, p), p);
    json_object_set_new(*model, "attempts", attempts);
    while (capi_rows_next(&rows)) {
    }
    rv = capi_rows_select(&rows, store, &attempts_of, values, p);
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        json_array_append_new(attempts, attempt_model(&rows, p));
    }
    return rv;
}
