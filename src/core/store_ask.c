/* Asks of the page, on their way in and out of the store, and those that are one statement or two. */

#include "ask.h"

#include "store_int.h"

#include <apr_strings.h>

#include <string.h>
#include <sys/random.h>

/* In `meta`: hex digits, CAPI_SECRET_LEN of them. */
#define SECRET "page_secret"

/* Rows a call: a few milliseconds. */
#define STEP_ROWS 500

static const char *const names[CAPI_ASK_COUNT] = {
    [CAPI_ASK_TEST] = "test",   [CAPI_ASK_TRY] = "try",       [CAPI_ASK_RETRY] = "retry",
    [CAPI_ASK_PAUSE] = "pause", [CAPI_ASK_RESUME] = "resume", [CAPI_ASK_FORGET] = "forget"};

const char *capi_ask_name(capi_ask_kind_t kind)
{
    return names[kind];
}

bool capi_ask_kind(capi_ask_kind_t *kind, const char *name)
{
    for (int i = 0; name && i < CAPI_ASK_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *kind = (capi_ask_kind_t)i;
            return true;
        }
    }
    return false;
}

/* --- the secret --- */

apr_status_t capi_ask_secret(unsigned char secret[CAPI_SECRET_LEN], capi_store_t *store)
{
    const void *values[] = {SECRET};
    capi_rows_t rows;
    const char *text;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_META_GET, values, store->scratch);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    text = capi_rows_next(&rows) ? capi_rows_text(&rows, 0) : NULL;
    if (!text || strlen(text) != CAPI_SECRET_LEN) {
        return APR_NOTFOUND;
    }
    memcpy(secret, text, CAPI_SECRET_LEN);
    return APR_SUCCESS;
}

apr_status_t capi_ask_prepare(capi_store_t *store)
{
    unsigned char known[CAPI_SECRET_LEN];
    unsigned char random[CAPI_SECRET_LEN];
    char hex[CAPI_HEX_SHA256 + 1];
    const void *values[] = {SECRET, hex};
    apr_status_t rv = capi_ask_secret(known, store);

    if (rv != APR_NOTFOUND) {
        return rv;
    }
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return capi_db_fail(store, "the system gives no random bytes");
    }
    capi_sha256_hex(hex, random, sizeof(random));
    hex[CAPI_SECRET_LEN] = '\0';
    return capi_db_run(NULL, store, CAPI_SQL_META_ADD, values);
}

/* --- asking and answering --- */

apr_status_t capi_ask_add(bool *is_new, capi_store_t *store, const capi_ask_t *ask)
{
    int changed = 0;
    const void *values[] = {ask->id,
                            capi_ask_name(ask->kind),
                            ask->destination ? &ask->destination : NULL,
                            ask->event ? &ask->event : NULL,
                            ask->subject,
                            ask->asked_by,
                            &ask->asked_at};
    apr_status_t rv = capi_db_run(&changed, store, CAPI_SQL_ASK_ADD, values);

    *is_new = changed > 0;
    return rv;
}

apr_status_t capi_ask_list(apr_array_header_t **list, capi_store_t *store, apr_pool_t *p)
{
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_ASKS_TO_DO, NULL, p);

    *list = apr_array_make(p, 4, sizeof(capi_ask_t));
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        capi_ask_t ask = {.id = capi_rows_text(&rows, 0),
                          .destination = capi_rows_int(&rows, 2),
                          .event = capi_rows_int(&rows, 3),
                          .subject = capi_rows_text(&rows, 4),
                          .asked_by = capi_rows_text(&rows, 5),
                          .asked_at = capi_rows_int(&rows, 6),
                          .outcome = capi_rows_text(&rows, 7)};

        /* A newer page may ask for what this sender does not know: it stays for a newer one. */
        if (capi_ask_kind(&ask.kind, capi_rows_text(&rows, 1))) {
            APR_ARRAY_PUSH(*list, capi_ask_t) = ask;
        }
    }
    return rv;
}

apr_status_t capi_ask_done(capi_store_t *store, const char *id, bool is_well, const char *outcome,
                           apr_time_t now)
{
    apr_int64_t well = is_well;
    const void *values[] = {&now, &well, outcome, id};

    return capi_db_run(NULL, store, CAPI_SQL_ASK_DONE, values);
}

apr_status_t capi_ask_erased(capi_store_t *store, const char *id, const char *outcome)
{
    const void *values[] = {outcome, id};

    return capi_db_run(NULL, store, CAPI_SQL_ASK_ERASED, values);
}

/* --- destinations --- */

apr_status_t capi_ask_pause(capi_store_t *store, apr_int64_t destination, const char *by,
                            apr_time_t now)
{
    const void *values[] = {by ? &now : NULL, by, &destination};

    return capi_db_run(NULL, store, CAPI_SQL_DESTINATION_PAUSE, values);
}

apr_status_t capi_ask_hurry(int *count, capi_store_t *store, apr_int64_t destination,
                            apr_time_t now)
{
    const apr_int64_t never = CAPI_DUE_REJECTED;
    capi_dest_t *dest = capi_dest_of(store, destination);
    const void *values[] = {&now, &destination, &now, &never};
    apr_status_t rv = capi_db_run(count, store, CAPI_SQL_OUTBOX_HURRY, values);

    if (rv == APR_SUCCESS && *count > 0 && dest) {
        capi_dest_lower(dest, now, 0);
    }
    return rv;
}

/* --- rejected events --- */

static apr_status_t requeue(capi_store_t *store, capi_dest_t *dest, apr_int64_t event,
                            apr_time_t now)
{
    const void *range[] = {&event, &event};
    const void *due[] = {&now, &event, &event};
    apr_status_t rv = capi_db_run(NULL, store, CAPI_SQL_EVENTS_TRIED, range);

    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, store, CAPI_SQL_EVENT_REQUEUED, range);
    }
    if (rv == APR_SUCCESS) {
        rv = capi_db_run(NULL, store, CAPI_SQL_OUTBOX_RETRY, due);
    }
    dest->waiting_delta++;
    capi_dest_lower(dest, now, event);
    return rv;
}

apr_status_t capi_ask_requeue(apr_int64_t *destination, capi_store_t *store, apr_int64_t event,
                              apr_time_t now)
{
    const apr_int64_t kept = CAPI_DUE_REJECTED;
    const void *values[] = {&event, &kept};
    capi_dest_t *dest;
    capi_rows_t rows;
    apr_status_t rv = capi_db_select(&rows, store, CAPI_SQL_KEPT_REJECTED, values, store->scratch);

    if (rv != APR_SUCCESS || !capi_rows_next(&rows)) {
        return rv == APR_SUCCESS ? APR_NOTFOUND : rv;
    }
    *destination = capi_rows_int(&rows, 0);
    dest = capi_dest_of(store, *destination);
    return dest ? requeue(store, dest, event, now) : APR_NOTFOUND;
}

apr_status_t capi_ask_requeue_some(int *count, capi_store_t *store, apr_int64_t destination,
                                   apr_time_t until, apr_time_t now)
{
    const apr_int64_t from = CAPI_DUE_REJECTED;
    const apr_int64_t limit = STEP_ROWS;
    apr_int64_t before = CAPI_DUE_REJECTED + until;
    capi_dest_t *dest = capi_dest_of(store, destination);
    const void *values[] = {&destination, &from, &before, &limit};
    capi_rows_t rows;
    apr_status_t rv;

    *count = 0;
    if (!dest) {
        return APR_SUCCESS;
    }
    rv = capi_db_select(&rows, store, CAPI_SQL_OLD_REJECTED, values, store->scratch);
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        rv = requeue(store, dest, capi_rows_int(&rows, 0), now);
        *count += 1;
    }
    return rv;
}
