/* Opening the store: driver, settings of the engine, schema, and what a crash left; transactions. */

#include "store.h"

#include "ask.h"
#include "store_int.h"
#include "store_sql.h"

#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>

#include <string.h>

/* A file up to this size is checked whole when it is opened: about a tenth of a second. */
#define CHECK_WHOLE_BELOW ((apr_off_t)32 * 1024 * 1024)

static const char *const step_1[] = {SQL_META_TABLE,         SQL_NOTES_TABLE,
                                     SQL_DESTINATIONS_TABLE, SQL_EVENTS_TABLE,
                                     SQL_EVENTS_IDENTITY,    SQL_EVENTS_TROUBLE,
                                     SQL_OUTBOX_TABLE,       SQL_OUTBOX_DUE,
                                     SQL_OUTBOX_VISIT,       SQL_OUTBOX_WANTS,
                                     SQL_LAYERS_TABLE,       SQL_VISITS_TABLE,
                                     SQL_VISITS_SEEN,        SQL_VISIT_KEYS_TABLE,
                                     SQL_VISIT_KEYS_VISIT,   SQL_ATTEMPTS_TABLE,
                                     SQL_ATTEMPTS_OPEN,      SQL_EVENT_ATTEMPTS_TABLE,
                                     SQL_USED_IDS_TABLE,     SQL_USED_IDS_AGE,
                                     SQL_COUNTERS_TABLE,     NULL};

static const char *const step_2[] = {SQL_ASKS_TABLE, SQL_ASKS_OPEN, SQL_DESTINATIONS_PAUSED_AT,
                                     SQL_DESTINATIONS_PAUSED_BY, NULL};

/* Steps are only ever added. */
static const char *const *const steps[CAPI_SCHEMA_VERSION] = {step_1, step_2};

/* Who opens: the page to read, the page to ask for something, the sender. */
typedef enum { OPEN_TO_READ, OPEN_TO_ASK, OPEN_TO_WRITE } open_mode_t;

/* The file behind SQLite's parameters; NULL where only SQLite can tell. */
static const char *sqlite_path(const char *driver, const char *params)
{
    bool is_file = strcmp(driver, "sqlite3") == 0 && params[0] == '/';

    return is_file ? params : NULL;
}

static bool exists(const char *path, apr_pool_t *p)
{
    apr_finfo_t info;

    return apr_stat(&info, path, APR_FINFO_TYPE, p) == APR_SUCCESS;
}

/* How SQLite is told to create nothing, not even its -shm beside the file. Without a -wal nobody
 * has the file open for writing, and all of it is in the file itself. A log whose index was removed
 * is the one case where the reader makes a file. */
static const char *read_only_mode(const char *path, apr_pool_t *p)
{
    if (!exists(apr_pstrcat(p, path, "-wal", NULL), p)) {
        return "?mode=ro&immutable=1";
    }
    return exists(apr_pstrcat(p, path, "-shm", NULL), p) ? "?mode=ro&readonly_shm=1" : "?mode=ro";
}

static const char *uri_of(const char *path, const char *mode, apr_pool_t *p)
{
    char *uri = apr_palloc(p, 3 * strlen(path) + 1);
    char *to = uri;

    for (const char *from = path; *from; from++) {
        if (strchr("%?#", *from)) {
            to += apr_snprintf(to, 4, "%%%02x", (unsigned)*from);
        }
        else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return apr_pstrcat(p, "file:", uri, mode, NULL);
}

static apr_status_t find_driver(capi_store_t *store, const char **message, const char *driver)
{
    apr_status_t rv = apr_dbd_init(store->pool);

    if (rv == APR_SUCCESS) {
        rv = apr_dbd_get_driver(store->pool, driver, &store->driver);
    }
    if (rv == APR_SUCCESS) {
        return rv;
    }
    *message = apr_psprintf(
        store->pool,
        APR_STATUS_IS_ENOTIMPL(rv) || rv == APR_ENOTIMPL
            ? "APR knows no database driver '%s': use sqlite3, pgsql or mysql"
            : "the database driver '%s' is not installed: install APR-util's package for it"
              " (libaprutil1-dbd-%s, apr-util-%s)",
        driver, driver, driver);
    return rv;
}

static apr_status_t connect_to(capi_store_t *store, const char **message, const char *params)
{
    const char *error = NULL;
    apr_status_t rv = apr_dbd_open_ex(store->driver, store->conn, params, &store->handle, &error);

    if (rv != APR_SUCCESS) {
        store->handle = NULL;
        capi_db_fail(store, error);
        *message = apr_psprintf(store->conn, "the store cannot be opened: %s", store->error);
    }
    return rv;
}

static apr_status_t set_pragmas(capi_store_t *store, open_mode_t mode)
{
    static const char *const asked[] = {SQL_PRAGMA_BUSY, SQL_PRAGMA_WAL, SQL_PRAGMA_ERASE,
                                        SQL_PRAGMA_AUTOCHECKPOINT};
    const char *answer;
    apr_status_t rv;

    if (mode != OPEN_TO_WRITE) {
        rv = capi_db_exec_select(&answer, store, SQL_PRAGMA_BUSY, store->scratch);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        return capi_db_exec(store, mode == OPEN_TO_READ ? SQL_PRAGMA_QUERY_ONLY : SQL_PRAGMA_FULL);
    }
    /* Only a file without anything in it heeds this, and only before it is told of the WAL. */
    rv = capi_db_exec(store, SQL_PRAGMA_PAGE);
    for (size_t i = 0; i < sizeof(asked) / sizeof(*asked) && rv == APR_SUCCESS; i++) {
        rv = capi_db_exec_select(&answer, store, asked[i], store->scratch);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = capi_db_exec(store, SQL_PRAGMA_FULL);
    return rv == APR_SUCCESS ? capi_db_exec(store, SQL_PRAGMA_CACHE) : rv;
}

static apr_status_t check_file(capi_store_t *store)
{
    apr_finfo_t info;
    const char *answer = NULL;
    apr_status_t rv;

    if (apr_stat(&info, store->path, APR_FINFO_SIZE, store->scratch) != APR_SUCCESS ||
        info.size > CHECK_WHOLE_BELOW) {
        return APR_SUCCESS;
    }
    rv = capi_db_exec_select(&answer, store, SQL_PRAGMA_CHECK, store->scratch);
    if (rv == APR_SUCCESS && (!answer || strcmp(answer, "ok") != 0)) {
        rv = capi_db_fail(store, "the database disk image is malformed");
    }
    return rv;
}

static apr_status_t read_version(int *version, capi_store_t *store)
{
    const void *values[] = {"schema_version"};
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_META_GET, values, store->scratch);

    *version = 0;
    if (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        *version = (int)capi_rows_int(&rows, 0);
    }
    return rv;
}

static apr_status_t run_step(capi_store_t *store, int version)
{
    const char *number = apr_itoa(store->scratch, version + 1);
    const void *added[] = {"schema_version", number};
    const void *changed[] = {number, "schema_version"};
    apr_status_t rv = APR_SUCCESS;

    for (const char *const *sql = steps[version]; *sql && rv == APR_SUCCESS; sql++) {
        rv = capi_db_exec(store, *sql);
    }
    if (rv == APR_SUCCESS) {
        rv = version == 0 ? capi_db_run(NULL, store, CAPI_SQL_META_ADD, added)
                          : capi_db_run(NULL, store, CAPI_SQL_META_CHANGE, changed);
    }
    return rv;
}

/* Each step in a transaction of its own, which also sees what another sender did meanwhile. */
static apr_status_t migrate(capi_store_t *store, int *version)
{
    apr_status_t rv = capi_db_exec(store, SQL_META_TABLE);

    if (rv == APR_SUCCESS) {
        rv = read_version(version, store);
    }
    while (rv == APR_SUCCESS && *version < CAPI_SCHEMA_VERSION) {
        rv = capi_db_begin(store);
        if (rv != APR_SUCCESS) {
            break;
        }
        rv = read_version(version, store);
        if (rv == APR_SUCCESS && *version < CAPI_SCHEMA_VERSION) {
            rv = run_step(store, *version);
            capi_db_forget_statements(store);
            *version += 1;
        }
        if (rv == APR_SUCCESS) {
            rv = capi_db_end(store, true);
        }
        else {
            capi_db_end(store, false);
        }
    }
    return rv;
}

static apr_status_t check_schema(capi_store_t *store, const char **message, open_mode_t mode)
{
    int version = 0;
    apr_status_t rv =
        mode == OPEN_TO_WRITE ? migrate(store, &version) : read_version(&version, store);

    if (rv != APR_SUCCESS && mode != OPEN_TO_WRITE && !capi_db_is_damage(store->error)) {
        *message = apr_psprintf(store->pool,
                                "the store cannot be read yet (%s): the sender sets it up when it"
                                " starts",
                                store->error);
        return rv;
    }
    if (rv != APR_SUCCESS) {
        *message =
            apr_psprintf(store->pool, "the store's tables cannot be set up: %s", store->error);
        return rv;
    }
    capi_db_forget_statements(store);
    if (version == CAPI_SCHEMA_VERSION) {
        return APR_SUCCESS;
    }
    *message = apr_psprintf(store->pool,
                            version > CAPI_SCHEMA_VERSION
                                ? "the store was written by a newer version (schema %d, this one"
                                  " knows %d): install that version again, or move the store away"
                                : "the store is of an older version (schema %d, this one reads %d):"
                                  " the sender converts it when it starts",
                            version, CAPI_SCHEMA_VERSION);
    return APR_EMISMATCH;
}

apr_status_t capi_store_end_attempts(capi_store_t *store)
{
    apr_int64_t now = apr_time_now();
    const void *values[] = {&now};

    return capi_db_run(NULL, store, CAPI_SQL_ATTEMPTS_INTERRUPTED, values);
}

apr_status_t capi_store_read_ids(capi_store_t *store)
{
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_LAST_IDS, NULL, store->scratch);

    if (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        store->last_event = capi_rows_int(&rows, 0);
        store->last_visit = capi_rows_int(&rows, 1);
        store->last_attempt = capi_rows_int(&rows, 2);
        store->last_destination = capi_rows_int(&rows, 3);
        store->has_used_ids = capi_rows_int(&rows, 4) != 0;
        rv = capi_dest_load(store);
    }
    return rv;
}

static apr_status_t recover(capi_store_t *store)
{
    apr_status_t rv = capi_fleet_prepare(store);

    if (rv == APR_SUCCESS) {
        rv = capi_store_end_attempts(store);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_store_read_ids(store);
    }
    return rv == APR_SUCCESS ? capi_ask_prepare(store) : rv;
}

static apr_status_t close_handle(void *arg)
{
    capi_store_t *store = arg;

    if (store->is_open) {
        capi_db_end(store, false);
    }
    if (store->handle) {
        apr_dbd_close(store->driver, store->handle);
        store->handle = NULL;
    }
    return APR_SUCCESS;
}

static capi_store_t *make_store(apr_pool_t *p)
{
    apr_pool_t *pool;
    capi_store_t *store;

    apr_pool_create(&pool, p);
    store = apr_pcalloc(pool, sizeof(*store));
    store->pool = pool;
    apr_pool_create(&store->conn, pool);
    apr_pool_create(&store->prepared, store->conn);
    apr_pool_create(&store->txn, pool);
    apr_pool_create(&store->scratch, pool);
    store->dests = apr_array_make(pool, 8, sizeof(capi_dest_t *));
    store->begun = apr_array_make(pool, 1000, sizeof(apr_int64_t));
    store->members = capi_fleet_members(pool);
    store->flights = apr_hash_make(pool);
    store->signals = apr_hash_make(pool);
    store->cache_epoch = 1;
    /* Before the pools below it go: an open transaction must be rolled back by us, because the
     * cleanup that apr_dbd registered in its pool would commit it. */
    apr_pool_pre_cleanup_register(pool, store, close_handle);
    return store;
}

static const char *params_of(const capi_store_t *store, const char *params, open_mode_t mode)
{
    if (!store->path || mode == OPEN_TO_WRITE) {
        return params;
    }
    return uri_of(store->path,
                  mode == OPEN_TO_READ ? read_only_mode(store->path, store->scratch) : "?mode=rw",
                  store->scratch);
}

static apr_status_t set_up_connection(capi_store_t *store, open_mode_t mode)
{
    if (capi_store_is_shared(store)) {
        return capi_engine_set_up(store);
    }
    return store->path ? set_pragmas(store, mode) : APR_SUCCESS;
}

static apr_status_t open_once(capi_store_t *store, const char **message, const char *params,
                              open_mode_t mode)
{
    apr_status_t rv = connect_to(store, message, params_of(store, params, mode));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = set_up_connection(store, mode);
    if (store->path) {
        capi_db_note_file(store);
    }
    if (rv == APR_SUCCESS && store->path && mode == OPEN_TO_WRITE) {
        rv = check_file(store);
    }
    if (rv == APR_SUCCESS && mode == OPEN_TO_WRITE) {
        rv = capi_engine_lock(store, true);
    }
    if (rv != APR_SUCCESS) {
        *message = apr_psprintf(store->pool, "the store cannot be used: %s", store->error);
        return rv;
    }
    rv = check_schema(store, message, mode);
    if (rv == APR_SUCCESS && mode == OPEN_TO_WRITE) {
        rv = recover(store);
        if (rv == APR_SUCCESS && capi_store_is_shared(store)) {
            rv = capi_db_prepare_all(store);
        }
        if (rv == APR_SUCCESS) {
            rv = capi_engine_lock(store, false);
        }
        if (rv != APR_SUCCESS) {
            *message = apr_psprintf(store->pool, "the store cannot be read: %s", store->error);
        }
    }
    return rv;
}

/* The damaged file keeps its log beside it, so that a person may still save what is in it. */
static apr_status_t set_aside(const char *path, const char **message, apr_pool_t *p)
{
    static const char *const parts[] = {"-wal", "-shm", ""};
    const char *aside =
        apr_psprintf(p, "%s.corrupt-%" APR_TIME_T_FMT, path, apr_time_sec(apr_time_now()));
    apr_status_t rv = APR_SUCCESS;

    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        const char *from = apr_pstrcat(p, path, parts[i], NULL);

        if (exists(from, p)) {
            rv = apr_file_rename(from, apr_pstrcat(p, aside, parts[i], NULL), p);
        }
    }
    if (rv == APR_SUCCESS) {
        apr_file_remove(apr_pstrcat(p, path, CAPI_DAMAGE_MARK, NULL), p);
    }
    *message = apr_psprintf(p,
                            rv == APR_SUCCESS
                                ? "the store %s was damaged and has been set aside as %s; a new"
                                  " one was begun, and what waited in the old one is not sent"
                                : "the store %s is damaged and cannot be renamed to %s",
                            path, aside);
    return rv;
}

/* One try; what went wrong is said in `p`. */
static apr_status_t try_open(capi_store_t **opened, const char **message, const char *driver,
                             const char *params, open_mode_t mode, apr_pool_t *p)
{
    const char *path = sqlite_path(driver, params);
    capi_store_t *store = make_store(p);
    const char *said = NULL;
    apr_status_t rv;

    store->path = path ? apr_pstrdup(store->pool, path) : NULL;
    store->params = apr_pstrdup(store->pool, params);
    store->engine = capi_engine_of(driver);
    store->read_only = mode != OPEN_TO_WRITE;
    rv = find_driver(store, &said, driver);
    if (rv == APR_SUCCESS) {
        rv = open_once(store, &said, params, mode);
    }
    if (rv == APR_SUCCESS) {
        *opened = store;
        return rv;
    }
    *message = apr_pstrdup(p, said);
    apr_pool_destroy(store->pool);
    return rv;
}

/* Damage may have been marked while the store was in use, or is by the first of two tries. */
static apr_status_t open_to_write(capi_store_t **opened, const char **message, const char *driver,
                                  const char *params, const char *path, apr_pool_t *p)
{
    const char *mark = apr_pstrcat(p, path, CAPI_DAMAGE_MARK, NULL);
    apr_status_t rv = APR_SUCCESS;

    for (int tries = 0; tries < 2; tries++) {
        if (exists(mark, p)) {
            rv = set_aside(path, message, p);
            if (rv != APR_SUCCESS) {
                return rv;
            }
        }
        rv = try_open(opened, message, driver, params, OPEN_TO_WRITE, p);
        if (rv == APR_SUCCESS || !exists(mark, p)) {
            return rv;
        }
    }
    return rv;
}

static apr_status_t open_existing(capi_store_t **opened, const char **message, const char *driver,
                                  const char *params, const char *path, open_mode_t mode,
                                  apr_pool_t *p)
{
    const char *first_said = NULL;
    apr_status_t rv;

    if (!exists(path, p)) {
        *message =
            apr_psprintf(p, "there is no store at %s: the sender makes it when it starts", path);
        return APR_ENOENT;
    }
    rv = try_open(opened, &first_said, driver, params, mode, p);
    /* A sender that starts or ends just now makes or removes the log between two looks. */
    return rv == APR_SUCCESS ? rv : try_open(opened, message, driver, params, mode, p);
}

static apr_status_t open_store(capi_store_t **opened, const char **message, const char *driver,
                               const char *params, open_mode_t mode, apr_pool_t *p)
{
    const char *path = sqlite_path(driver, params);

    *opened = NULL;
    *message = NULL;
    if (!path) {
        return try_open(opened, message, driver, params, mode, p);
    }
    return mode == OPEN_TO_WRITE ? open_to_write(opened, message, driver, params, path, p)
                                 : open_existing(opened, message, driver, params, path, mode, p);
}

apr_status_t capi_store_open(capi_store_t **opened, const char **message, const char *driver,
                             const char *params, bool read_only, apr_pool_t *p)
{
    return open_store(opened, message, driver, params, read_only ? OPEN_TO_READ : OPEN_TO_WRITE, p);
}

apr_status_t capi_store_open_to_ask(capi_store_t **opened, const char **message, const char *driver,
                                    const char *params, apr_pool_t *p)
{
    return open_store(opened, message, driver, params, OPEN_TO_ASK, p);
}

void capi_store_close(capi_store_t *store)
{
    apr_pool_destroy(store->pool);
}

apr_status_t capi_store_reconnect(capi_store_t *store)
{
    const char *ignored;
    apr_status_t rv;

    if (capi_store_is_damaged(store)) {
        return APR_EGENERAL;
    }
    capi_store_rollback(store);
    if (store->engine == CAPI_ENGINE_MYSQL) {
        /* Its statements end before the connection; others' end with it. */
        apr_pool_clear(store->prepared);
    }
    close_handle(store);
    apr_pool_clear(store->conn);
    apr_pool_create(&store->prepared, store->conn);
    capi_db_forget_statements(store);
    rv = connect_to(store, &ignored, store->params);
    return rv == APR_SUCCESS ? set_up_connection(store, OPEN_TO_WRITE) : rv;
}

const char *capi_store_error(const capi_store_t *store)
{
    return store->error;
}

static void forget_transaction(capi_store_t *store)
{
    capi_flight_rolled_back(store);
    /* What the transaction wrote to visits is gone, so what is remembered of them is too. */
    store->cache_epoch++;
    store->tallies = NULL;
    store->last_tally = NULL;
}

apr_status_t capi_store_commit(capi_store_t *store)
{
    apr_status_t rv;

    capi_count_write(store);
    rv = capi_db_end(store, true);
    if (rv == APR_SUCCESS) {
        capi_flight_committed(store);
        store->tallies = NULL;
        store->last_tally = NULL;
    }
    else {
        forget_transaction(store);
    }
    return rv;
}

void capi_store_rollback(capi_store_t *store)
{
    if (store->is_open) {
        capi_db_end(store, false);
        forget_transaction(store);
    }
}

apr_status_t capi_store_begin(capi_store_t *store)
{
    apr_status_t rv;

    store->tallies = NULL;
    store->last_tally = NULL;
    apr_pool_clear(store->scratch);
    rv = capi_db_begin(store);
    if (rv == APR_SUCCESS) {
        rv = capi_fleet_take_turn(store);
    }
    if (rv != APR_SUCCESS) {
        capi_store_rollback(store);
    }
    return rv;
}
