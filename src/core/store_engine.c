/* What differs between database engines: words of SQL, settings of a connection, and locks. The SQL
 * itself is written once, as SQLite reads it. */

#include "store_int.h"
#include "store_sql.h"

#include <apr_strings.h>

#include <string.h>

typedef struct {
    const char *from;
    const char *to;
} word_t;

/* Keys are texts of any length here. */
static const word_t pgsql_words[] = {{"INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY"},
                                     {"VARCHAR(40)", "TEXT"},
                                     {"VARCHAR(190)", "TEXT"},
                                     {"VARCHAR(400)", "TEXT"},
                                     {NULL, NULL}};

/* Indexes of a part of a table are not known there, nor is a conflict's clause, nor are its casts. */
static const word_t mysql_words[] = {
    {"INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY"},
    {"payload TEXT", "payload MEDIUMTEXT"},
    {"events (state) WHERE state > 10", "events (state)"},
    {"outbox (visit) WHERE visit IS NOT NULL", "outbox (visit)"},
    {"outbox (wants_key) WHERE wants_key IS NOT NULL", "outbox (wants_key)"},
    {"attempts (destination) WHERE finished_at IS NULL", "attempts (destination, finished_at)"},
    {"asks (id) WHERE done_at IS NULL", "asks (done_at)"},
    {"CAST(CAST(notes.value AS BIGINT) + 1 AS TEXT)",
     "CAST(CAST(notes.value AS SIGNED) + 1 AS CHAR)"},
    {" ON CONFLICT (name) DO UPDATE SET", " ON DUPLICATE KEY UPDATE"},
    {" ON CONFLICT (event, source) DO UPDATE SET", " ON DUPLICATE KEY UPDATE"},
    {" ON CONFLICT (hour, destination, sent_as, what) DO UPDATE SET", " ON DUPLICATE KEY UPDATE"},
    {"excluded.value", "VALUES(value)"},
    {"excluded.payload", "VALUES(payload)"},
    {"excluded.n", "VALUES(n)"},
    {NULL, NULL}};

/* A sender that stands still with a transaction open must not keep the others: the server ends it
 * before they give up waiting. Nobody waits so long that it hears no signal. */
static const char *const pgsql_settings[] = {"SET lock_timeout = '6s'",
                                             "SET idle_in_transaction_session_timeout = '4s'",
                                             "SET client_min_messages = warning", NULL};
static const char *const mysql_settings[] = {
    "SET NAMES utf8mb4",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 6",
    "SET @ignored = 1 /*M!, SESSION idle_transaction_timeout = 4 */", /* MariaDB only */
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    NULL};

capi_engine_t capi_engine_of(const char *driver)
{
    if (strcmp(driver, "pgsql") == 0) {
        return CAPI_ENGINE_PGSQL;
    }
    return strcmp(driver, "mysql") == 0 ? CAPI_ENGINE_MYSQL : CAPI_ENGINE_SQLITE;
}

static const char *replace(const char *text, const char *from, const char *to, apr_pool_t *p)
{
    const char *at = strstr(text, from);

    while (at) {
        const char *head = apr_pstrmemdup(p, text, (apr_size_t)(at - text));
        apr_size_t done = strlen(head) + strlen(to);

        text = apr_pstrcat(p, head, to, at + strlen(from), NULL);
        at = strstr(text + done, from);
    }
    return text;
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* What only a database of several senders has, stands in comments of their own kind. */
static const char *open_shared_parts(const capi_store_t *store, const char *sql, apr_pool_t *p)
{
    const char *node = apr_psprintf(p, "%" APR_INT64_T_FMT, store->node);

    if (!strstr(sql, "/*shared:")) {
        return sql;
    }
    sql = replace(replace(sql, "/*shared:", "", p), "*/", "", p);
    return replace(sql, "@node", node, p);
}

static const char *as_mysql(const char *sql, apr_pool_t *p)
{
    if (strstr(sql, " ON CONFLICT DO NOTHING")) {
        sql = replace(sql, "INSERT INTO", "INSERT IGNORE INTO", p);
        sql = replace(sql, " ON CONFLICT DO NOTHING", "", p);
    }
    if (begins_with(sql, "CREATE TABLE")) {
        /* Other collations take A and a for one id. */
        sql = apr_pstrcat(p, sql, " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", NULL);
    }
    return sql;
}

const char *capi_engine_sql(const capi_store_t *store, const char *sql, apr_pool_t *p)
{
    const word_t *words = store->engine == CAPI_ENGINE_PGSQL ? pgsql_words : mysql_words;

    if (store->engine == CAPI_ENGINE_SQLITE) {
        return sql;
    }
    sql = open_shared_parts(store, sql, p);
    for (; words->from; words++) {
        sql = replace(sql, words->from, words->to, p);
    }
    return store->engine == CAPI_ENGINE_MYSQL ? as_mysql(sql, p) : sql;
}

apr_status_t capi_engine_set_up(capi_store_t *store)
{
    const char *const *settings =
        store->engine == CAPI_ENGINE_PGSQL ? pgsql_settings : mysql_settings;
    apr_status_t rv = APR_SUCCESS;

    for (; rv == APR_SUCCESS && *settings; settings++) {
        rv = capi_db_exec(store, *settings);
    }
    return rv;
}

apr_status_t capi_engine_lock(capi_store_t *store, bool is_wanted)
{
    const char *pgsql = is_wanted ? SQL_PGSQL_LOCK : SQL_PGSQL_UNLOCK;
    const char *mysql = is_wanted ? SQL_MYSQL_LOCK : SQL_MYSQL_UNLOCK;
    const char *ignored;

    if (store->engine == CAPI_ENGINE_SQLITE) {
        return APR_SUCCESS;
    }
    return capi_db_exec_select(&ignored, store, store->engine == CAPI_ENGINE_PGSQL ? pgsql : mysql,
                               store->scratch);
}
