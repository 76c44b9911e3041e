/* The store's connection: prepared statements, rows and transactions over apr_dbd. What the
 * statements mean is not known here. */

#include "store_int.h"
#include "store_sql.h"

#include <apr_file_io.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>
#include <sys/stat.h>

static const char *const sql_text[CAPI_SQL_COUNT] = {
    [CAPI_SQL_META_GET] = SQL_META_GET,
    [CAPI_SQL_META_ADD] = SQL_META_ADD,
    [CAPI_SQL_META_CHANGE] = SQL_META_CHANGE,
    [CAPI_SQL_NOTE_SET] = SQL_NOTE_SET,
    [CAPI_SQL_NOTE_COUNT] = SQL_NOTE_COUNT,
    [CAPI_SQL_LAST_IDS] = SQL_LAST_IDS,
    [CAPI_SQL_DESTINATIONS] = SQL_DESTINATIONS,
    [CAPI_SQL_DESTINATION_ADD] = SQL_DESTINATION_ADD,
    [CAPI_SQL_DESTINATION_HOLD] = SQL_DESTINATION_HOLD,
    [CAPI_SQL_DESTINATION_WAITING] = SQL_DESTINATION_WAITING,
    [CAPI_SQL_VISIT_OF_KEY] = SQL_VISIT_OF_KEY,
    [CAPI_SQL_VISIT_ADD] = SQL_VISIT_ADD,
    [CAPI_SQL_VISIT_CHANGE] = SQL_VISIT_CHANGE,
    [CAPI_SQL_KEY_ADD] = SQL_KEY_ADD,
    [CAPI_SQL_KEY_MOVE] = SQL_KEY_MOVE,
    [CAPI_SQL_USED_ID_FIND] = SQL_USED_ID_FIND,
    [CAPI_SQL_EVENT_ADD] = SQL_EVENT_ADD,
    [CAPI_SQL_EVENT_FIND] = SQL_EVENT_FIND,
    [CAPI_SQL_EVENT_MERGED] = SQL_EVENT_MERGED,
    [CAPI_SQL_EVENT_AGAIN] = SQL_EVENT_AGAIN,
    [CAPI_SQL_OUTBOX_ADD] = SQL_OUTBOX_ADD,
    [CAPI_SQL_OUTBOX_MERGED] = SQL_OUTBOX_MERGED,
    [CAPI_SQL_OUTBOX_PAYLOAD] = SQL_OUTBOX_PAYLOAD,
    [CAPI_SQL_OUTBOX_PAYLOAD_SET] = SQL_OUTBOX_PAYLOAD_SET,
    [CAPI_SQL_OUTBOX_DECIDED] = SQL_OUTBOX_DECIDED,
    [CAPI_SQL_OUTBOX_DENIED] = SQL_OUTBOX_DENIED,
    [CAPI_SQL_LAYER_FIND] = SQL_LAYER_FIND,
    [CAPI_SQL_LAYERS_OF_EVENT] = SQL_LAYERS_OF_EVENT,
    [CAPI_SQL_LAYER_SET] = SQL_LAYER_SET,
    [CAPI_SQL_OUTBOX_BOUND] = SQL_OUTBOX_BOUND,
    [CAPI_SQL_OUTBOX_OF_VISIT] = SQL_OUTBOX_OF_VISIT,
    [CAPI_SQL_OUTBOX_CLAIM] = SQL_OUTBOX_CLAIM,
    [CAPI_SQL_OUTBOX_CONTEXT] = SQL_OUTBOX_CONTEXT,
    [CAPI_SQL_EVENT_NAME] = SQL_EVENT_NAME,
    [CAPI_SQL_OUTBOX_BACKLOG] = SQL_OUTBOX_BACKLOG,
    [CAPI_SQL_OUTBOX_NEXT_DUE] = SQL_OUTBOX_NEXT_DUE,
    [CAPI_SQL_EVENT_RESOLVED] = SQL_EVENT_RESOLVED,
    [CAPI_SQL_ATTEMPT_ADD] = SQL_ATTEMPT_ADD,
    [CAPI_SQL_ATTEMPT_END] = SQL_ATTEMPT_END,
    [CAPI_SQL_ATTEMPTS_INTERRUPTED] = SQL_ATTEMPTS_INTERRUPTED,
    [CAPI_SQL_EVENTS_DELIVERED] = SQL_EVENTS_DELIVERED,
    [CAPI_SQL_EVENT_WARNED] = SQL_EVENT_WARNED,
    [CAPI_SQL_EVENTS_RETRYING] = SQL_EVENTS_RETRYING,
    [CAPI_SQL_EVENT_UNFINISHED] = SQL_EVENT_UNFINISHED,
    [CAPI_SQL_EVENTS_TRIED] = SQL_EVENTS_TRIED,
    [CAPI_SQL_EVENT_SETTLED] = SQL_EVENT_SETTLED,
    [CAPI_SQL_EVENT_WITHDRAWN] = SQL_EVENT_WITHDRAWN,
    [CAPI_SQL_OUTBOX_ERASE] = SQL_OUTBOX_ERASE,
    [CAPI_SQL_LAYERS_ERASE] = SQL_LAYERS_ERASE,
    [CAPI_SQL_OUTBOX_RETRY] = SQL_OUTBOX_RETRY,
    [CAPI_SQL_OUTBOX_SHIFT] = SQL_OUTBOX_SHIFT,
    [CAPI_SQL_COUNTER_ADD] = SQL_COUNTER_ADD,
    [CAPI_SQL_OLD_REJECTED] = SQL_OLD_REJECTED,
    [CAPI_SQL_OLD_WAITING] = SQL_OLD_WAITING,
    [CAPI_SQL_OLD_EVENTS] = SQL_OLD_EVENTS,
    [CAPI_SQL_EVENT_FORGET] = SQL_EVENT_FORGET,
    [CAPI_SQL_EVENT_ATTEMPTS_FORGET] = SQL_EVENT_ATTEMPTS_FORGET,
    [CAPI_SQL_USED_ID_ADD] = SQL_USED_ID_ADD,
    [CAPI_SQL_OLD_ATTEMPTS] = SQL_OLD_ATTEMPTS,
    [CAPI_SQL_OLD_VISIT_KEYS] = SQL_OLD_VISIT_KEYS,
    [CAPI_SQL_OLD_VISITS] = SQL_OLD_VISITS,
    [CAPI_SQL_OLD_USED_IDS] = SQL_OLD_USED_IDS,
    [CAPI_SQL_OLD_COUNTERS] = SQL_OLD_COUNTERS,
    [CAPI_SQL_ASK_ADD] = SQL_ASK_ADD,
    [CAPI_SQL_ASKS_TO_DO] = SQL_ASKS_TO_DO,
    [CAPI_SQL_ASK_DONE] = SQL_ASK_DONE,
    [CAPI_SQL_ASK_ERASED] = SQL_ASK_ERASED,
    [CAPI_SQL_DESTINATION_PAUSE] = SQL_DESTINATION_PAUSE,
    [CAPI_SQL_OUTBOX_HURRY] = SQL_OUTBOX_HURRY,
    [CAPI_SQL_KEPT_REJECTED] = SQL_KEPT_REJECTED,
    [CAPI_SQL_EVENT_REQUEUED] = SQL_EVENT_REQUEUED,
    [CAPI_SQL_FORGET_VISITS_END] = SQL_FORGET_VISITS_END,
    [CAPI_SQL_FORGET_EVENTS_END] = SQL_FORGET_EVENTS_END,
    [CAPI_SQL_FORGET_VISITS] = SQL_FORGET_VISITS,
    [CAPI_SQL_FORGET_EVENTS] = SQL_FORGET_EVENTS,
    [CAPI_SQL_VISIT_KEYS_FORGET] = SQL_VISIT_KEYS_FORGET,
    [CAPI_SQL_VISIT_FORGET] = SQL_VISIT_FORGET,
    [CAPI_SQL_OLD_ASKS] = SQL_OLD_ASKS,
    [CAPI_SQL_TURN] = SQL_TURN,
    [CAPI_SQL_META_ADD_ONCE] = SQL_META_ADD_ONCE,
    [CAPI_SQL_NODE_OF_NAME] = SQL_NODE_OF_NAME,
    [CAPI_SQL_NODE_ADD] = SQL_NODE_ADD,
    [CAPI_SQL_NODES] = SQL_NODES,
    [CAPI_SQL_NODE_BEAT] = SQL_NODE_BEAT,
    [CAPI_SQL_NODE_GONE] = SQL_NODE_GONE,
    [CAPI_SQL_OUTBOX_TAKEN] = SQL_OUTBOX_TAKEN,
    [CAPI_SQL_ATTEMPTS_ABANDONED] = SQL_ATTEMPTS_ABANDONED,
};

bool capi_db_is_damage(const char *error)
{
    return strstr(error, "malformed") || strstr(error, "not a database");
}

static void note_damage(capi_store_t *store)
{
    apr_file_t *mark;

    store->is_damaged = true;
    if (apr_file_open(&mark, apr_pstrcat(store->pool, store->path, CAPI_DAMAGE_MARK, NULL),
                      APR_FOPEN_WRITE | APR_FOPEN_CREATE, APR_FPROT_UREAD | APR_FPROT_UWRITE,
                      store->pool) == APR_SUCCESS) {
        apr_file_close(mark);
    }
}

apr_status_t capi_db_fail(capi_store_t *store, const char *error)
{
    apr_cpystrn(store->error, error ? error : "no reason given", sizeof(store->error));
    /* A server adds lines about where in the statement. */
    store->error[strcspn(store->error, "\r\n")] = '\0';
    if (store->path && !store->read_only && !store->is_damaged && capi_db_is_damage(store->error)) {
        note_damage(store);
    }
    if (store->is_open) {
        store->is_broken = true;
    }
    return APR_EGENERAL;
}

/* True where the name still leads to the file that is written to, and nobody cut it. SQLite itself
 * goes on without a word, so this is asked after each commit, before anybody relies on it. It never
 * gets shorter by our doing. */
static bool is_file_in_place(capi_store_t *store)
{
    struct stat st;
    bool is_same;

    if (!store->path || store->read_only) {
        return true;
    }
    is_same = stat(store->path, &st) == 0 && st.st_dev == store->device &&
              st.st_ino == store->inode && st.st_size >= store->len;
    if (is_same) {
        store->len = st.st_size;
    }
    return is_same;
}

void capi_db_note_file(capi_store_t *store)
{
    struct stat st;

    if (store->path && stat(store->path, &st) == 0) {
        store->device = st.st_dev;
        store->inode = st.st_ino;
        store->len = st.st_size;
    }
}

bool capi_store_is_damaged(capi_store_t *store)
{
    if (!store->is_damaged && !is_file_in_place(store)) {
        /* No mark: the next open looks at what is there by then. */
        store->is_damaged = true;
        capi_db_fail(store, "somebody removed, replaced or cut the file while it was in use");
    }
    return store->is_damaged;
}

/* The driver's numbers say little (SQLite's are all 1), its words say it. */
static apr_status_t fail(capi_store_t *store, int number)
{
    return capi_db_fail(store, apr_dbd_error(store->driver, store->handle, number));
}

static apr_status_t prepare(capi_store_t *store, capi_statement_t *statement)
{
    int rc;

    if (statement->prepared) {
        return APR_SUCCESS;
    }
    if (!statement->label && store->engine == CAPI_ENGINE_PGSQL) {
        /* Without a name the driver tells the server no types, and it cannot guess all. */
        statement->label =
            apr_psprintf(store->conn, "capi_%d_once_%d", store->generation, ++store->prepared_once);
    }
    rc = apr_dbd_prepare(store->driver, store->prepared, store->handle,
                         capi_engine_sql(store, statement->sql, store->conn), statement->label,
                         &statement->prepared);
    if (rc) {
        statement->prepared = NULL;
        return fail(store, rc);
    }
    return APR_SUCCESS;
}

static capi_statement_t *statement_of(capi_store_t *store, capi_sql_t which)
{
    capi_statement_t *statement = &store->statements[which];

    if (!statement->sql) {
        statement->sql = sql_text[which];
        /* A server keeps what was prepared under a name, also after we forgot it. */
        statement->label = apr_psprintf(store->conn, "capi_%d_%d", store->generation, (int)which);
    }
    return statement;
}

void capi_db_forget_statements(capi_store_t *store)
{
    memset(store->statements, 0, sizeof(store->statements));
    store->generation++;
}

/* Others' statements run while a result is read: PostgreSQL's driver fetches all of it only where it
 * is asked for one to walk about in; the others do anyhow. */
static int wants_all(const capi_store_t *store)
{
    return store->engine == CAPI_ENGINE_PGSQL;
}

static apr_status_t check_usable(capi_store_t *store)
{
    if (!store->handle) {
        return capi_db_fail(store, "there is no connection to the database");
    }
    return store->is_broken ? APR_EGENERAL : APR_SUCCESS;
}

apr_status_t capi_db_prepare_all(capi_store_t *store)
{
    apr_status_t rv = check_usable(store);

    for (int i = 0; rv == APR_SUCCESS && i < CAPI_SQL_COUNT; i++) {
        rv = prepare(store, statement_of(store, (capi_sql_t)i));
    }
    return rv;
}

apr_status_t capi_rows_select(capi_rows_t *rows, capi_store_t *store, capi_statement_t *statement,
                              const void *const *values, apr_pool_t *p)
{
    static const void *const none[] = {NULL};
    apr_status_t rv;
    int rc;

    memset(rows, 0, sizeof(*rows));
    rows->store = store;
    rows->pool = p;
    rv = check_usable(store);
    if (rv == APR_SUCCESS) {
        rv = prepare(store, statement);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rc = apr_dbd_pbselect(store->driver, p, store->handle, &rows->results, statement->prepared,
                          wants_all(store), (const void **)(uintptr_t)(values ? values : none));
    return rc ? fail(store, rc) : APR_SUCCESS;
}

bool capi_rows_next(capi_rows_t *rows)
{
    return apr_dbd_get_row(rows->store->driver, rows->pool, rows->results, &rows->row, -1) == 0;
}

const char *capi_rows_text(const capi_rows_t *rows, int column)
{
    const apr_dbd_driver_t *driver = rows->store->driver;
    const char *text = NULL;

    if (rows->store->engine == CAPI_ENGINE_SQLITE) {
        return apr_dbd_get_entry(driver, rows->row, column);
    }
    /* PostgreSQL's entries do not tell NULL from an empty text. What a server's driver gives lasts
     * until the next row. */
    if (rows->store->engine == CAPI_ENGINE_MYSQL) {
        text = apr_dbd_get_entry(driver, rows->row, column);
    }
    else if (apr_dbd_datum_get(driver, rows->row, column, APR_DBD_TYPE_STRING, &text) !=
             APR_SUCCESS) {
        text = NULL;
    }
    return apr_pstrdup(rows->pool, text);
}

apr_int64_t capi_rows_int(const capi_rows_t *rows, int column)
{
    const char *text = capi_rows_text(rows, column);

    return text ? apr_atoi64(text) : 0;
}

apr_status_t capi_db_select(capi_rows_t *rows, capi_store_t *store, capi_sql_t which,
                            const void *const *values, apr_pool_t *p)
{
    return capi_rows_select(rows, store, statement_of(store, which), values, p);
}

apr_status_t capi_db_run(int *changed, capi_store_t *store, capi_sql_t which,
                         const void *const *values)
{
    capi_statement_t *statement = statement_of(store, which);
    apr_status_t rv;
    int count = 0;
    int rc;

    rv = check_usable(store);
    if (rv == APR_SUCCESS) {
        rv = prepare(store, statement);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rc = apr_dbd_pbquery(store->driver, store->scratch, store->handle, &count, statement->prepared,
                         (const void **)(uintptr_t)values);
    if (rc) {
        return fail(store, rc);
    }
    if (changed) {
        *changed = count;
    }
    return APR_SUCCESS;
}

apr_status_t capi_db_exec(capi_store_t *store, const char *sql)
{
    apr_status_t rv = check_usable(store);
    int count = 0;
    int rc;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rc = apr_dbd_query(store->driver, store->handle, &count,
                       capi_engine_sql(store, sql, store->scratch));
    return rc ? fail(store, rc) : APR_SUCCESS;
}

/* Settings that answer with a row cannot go through apr_dbd_query: it calls the row an error. */
apr_status_t capi_db_exec_select(const char **first, capi_store_t *store, const char *sql,
                                 apr_pool_t *p)
{
    capi_rows_t rows = {.store = store, .pool = p};
    apr_status_t rv = check_usable(store);
    int rc;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rc = apr_dbd_select(store->driver, p, store->handle, &rows.results, sql, wants_all(store));
    if (rc) {
        return fail(store, rc);
    }
    *first = capi_rows_next(&rows) ? capi_rows_text(&rows, 0) : NULL;
    while (rows.row && capi_rows_next(&rows)) {
        continue;
    }
    return APR_SUCCESS;
}

/* apr_dbd's own transaction with PostgreSQL crashes where BEGIN finds the connection lost. */
static int run_plain(capi_store_t *store, const char *sql)
{
    int ignored = 0;

    return apr_dbd_query(store->driver, store->handle, &ignored, sql);
}

static int start_transaction(capi_store_t *store)
{
    int rc;

    if (store->engine == CAPI_ENGINE_PGSQL) {
        return run_plain(store, "BEGIN");
    }
    rc = apr_dbd_transaction_start(store->driver, store->txn, store->handle, &store->trans);
    if (rc && store->trans) {
        /* The object is there although BEGIN failed, and its pool's cleanup would commit. */
        apr_dbd_transaction_mode_set(store->driver, store->trans, APR_DBD_TRANSACTION_ROLLBACK);
        apr_dbd_transaction_end(store->driver, store->txn, store->trans);
        store->trans = NULL;
    }
    return rc;
}

static int end_transaction(capi_store_t *store, bool is_commit)
{
    if (store->engine == CAPI_ENGINE_PGSQL) {
        return run_plain(store, is_commit ? "COMMIT" : "ROLLBACK");
    }
    if (!is_commit) {
        apr_dbd_transaction_mode_set(store->driver, store->trans, APR_DBD_TRANSACTION_ROLLBACK);
    }
    return apr_dbd_transaction_end(store->driver, store->txn, store->trans);
}

apr_status_t capi_db_begin(capi_store_t *store)
{
    int rc;

    apr_pool_clear(store->txn);
    /* A pointer used again would keep errors from poisoning the transaction. */
    store->trans = NULL;
    if (!store->handle) {
        return check_usable(store);
    }
    rc = start_transaction(store);
    if (rc) {
        return fail(store, rc);
    }
    store->is_open = true;
    store->is_broken = false;
    return APR_SUCCESS;
}

apr_status_t capi_db_end(capi_store_t *store, bool is_wanted)
{
    bool is_commit = is_wanted && !store->is_broken;
    apr_status_t rv = is_wanted && store->is_broken ? APR_EGENERAL : APR_SUCCESS;
    int rc = end_transaction(store, is_commit);

    store->trans = NULL;
    store->is_open = false;
    store->is_broken = false;
    if (rc && is_commit) {
        rv = fail(store, rc);
        /* A COMMIT that failed for want of room or a lock may have left the transaction open. */
        run_plain(store, "ROLLBACK");
    }
    return is_commit && rv == APR_SUCCESS && capi_store_is_damaged(store) ? APR_EGENERAL : rv;
}
