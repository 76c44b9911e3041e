/* The action log, and what an action could be about. */

#include "report_actions.h"

#include "report_int.h"
#include "report_sql.h"

/* A row of REPORT_SQL_ASKS. */
static json_t *entry_model(const capi_rows_t *rows, apr_pool_t *p)
{
    json_t *entry = json_object();
    bool is_done = capi_rows_text(rows, 5) != NULL;

    json_object_set_new(entry, "id", capi_report_text(rows, 0, p));
    json_object_set_new(entry, "kind", capi_report_text(rows, 1, p));
    json_object_set_new(entry, "event", capi_report_int(rows, 2));
    json_object_set_new(entry, "asked_by", capi_report_text(rows, 3, p));
    json_object_set_new(entry, "asked_at", capi_report_seconds(rows, 4));
    json_object_set_new(entry, "done_at", capi_report_seconds(rows, 5));
    json_object_set_new(entry, "is_well", json_boolean(is_done && capi_rows_int(rows, 6) != 0));
    json_object_set_new(entry, "outcome", is_done ? capi_report_text(rows, 7, p) : json_null());
    json_object_set_new(entry, "account", capi_report_text(rows, 8, p));
    json_object_set_new(entry, "test", json_boolean(capi_rows_int(rows, 9) != 0));
    return entry;
}

apr_status_t capi_report_ask(json_t **entry, capi_store_t *store, const char *id, apr_pool_t *p)
{
    capi_statement_t one = {.sql = REPORT_SQL_ASK};
    const void *values[] = {id};
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &one, values, p);

    *entry = rv == APR_SUCCESS && capi_rows_next(&rows) ? entry_model(&rows, p) : NULL;
    return rv;
}

static apr_status_t add_log(json_t *actions, capi_store_t *store, apr_pool_t *p)
{
    capi_statement_t asks = {.sql = REPORT_SQL_ASKS};
    json_t *log = json_array();
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &asks, NULL, p);

    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        json_array_append_new(log, entry_model(&rows, p));
    }
    json_object_set_new(actions, "log", log);
    return rv;
}

static apr_status_t count_kept(json_t *account, capi_store_t *store, apr_pool_t *p)
{
    static const apr_int64_t kept = CAPI_DUE_REJECTED;
    static const apr_int64_t limit = CAPI_REPORT_KEPT_MAX;
    capi_statement_t count = {.sql = REPORT_SQL_KEPT};
    apr_int64_t id = json_integer_value(json_object_get(account, "id"));
    const void *values[] = {&id, &kept, &limit};
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &count, values, p);

    if (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        json_object_set_new(account, "kept", capi_report_int(&rows, 0));
    }
    return rv;
}

static apr_status_t add_accounts(json_t *actions, capi_store_t *store, const json_t *status,
                                 apr_pool_t *p)
{
    json_t *accounts = json_deep_copy(json_object_get(status, "accounts"));
    apr_status_t rv = APR_SUCCESS;
    apr_size_t i;

    json_object_set_new(actions, "accounts", accounts);
    for (i = 0; i < json_array_size(accounts) && rv == APR_SUCCESS; i++) {
        rv = count_kept(json_array_get(accounts, i), store, p);
    }
    return rv;
}

apr_status_t capi_report_actions(json_t **model, capi_store_t *store, const json_t *status,
                                 const char *asked, apr_pool_t *p)
{
    json_t *actions = capi_report_own(json_object(), p);
    json_t *entry = NULL;
    apr_status_t rv = add_accounts(actions, store, status, p);

    *model = actions;
    if (rv == APR_SUCCESS) {
        rv = add_log(actions, store, p);
    }
    if (rv == APR_SUCCESS && asked) {
        rv = capi_report_ask(&entry, store, asked, p);
    }
    json_object_set_new(actions, "asked", entry ? entry : json_null());
    return rv;
}
