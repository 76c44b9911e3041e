/* What a denial does to events that wait: withheld and erased, or noted, so that their rule is
 * followed before they go. */

#include "store_int.h"

#include <string.h>

const char *capi_rule_kept(const char *on_denied)
{
    return capi_denied_action(on_denied) == CAPI_ACTION_SUPPRESS ? NULL : on_denied;
}

bool capi_is_answered(capi_consent_state_t state, const char *signal)
{
    const capi_consent_t consent = {.state = state, .signal = signal};

    return capi_consent_is_answer(&consent);
}

bool capi_is_refused(capi_consent_state_t state, const char *signal)
{
    return state == CAPI_CONSENT_DENIED && capi_is_answered(state, signal);
}

apr_status_t capi_withdraw(capi_store_t *store, capi_dest_t *dest, apr_int64_t event,
                           const char *sent_as, int flags, const capi_ruling_t *ruling,
                           const char *error, apr_time_t now)
{
    const capi_ruling_t counted = {
        .state = ruling->state, .signal = ruling->signal, .action = CAPI_ACTION_SUPPRESS};
    apr_int64_t state = ruling->state;
    apr_int64_t stripped = ruling->stripped;
    const void *values[] = {&now,      &state, ruling->signal, capi_rule_kept(ruling->on_denied),
                            &stripped, error,  &event};
    apr_status_t rv = capi_db_run(NULL, store, CAPI_SQL_EVENT_WITHDRAWN, values);

    if (rv == APR_SUCCESS) {
        rv = capi_erase(store, event, flags);
    }
    dest->waiting_delta--;
    capi_count(store, dest->row.id, sent_as, CAPI_OUTCOME_SUPPRESSED, now);
    capi_count_consent(store, dest->row.id, sent_as, &counted, now);
    return rv;
}

apr_status_t capi_note_denial(capi_store_t *store, apr_int64_t event, const char *signal,
                              const char *on_denied)
{
    const void *values[] = {signal ? signal : "none", capi_rule_kept(on_denied), &event};
    capi_flight_t *flight = capi_flight_of(store, event);

    if (flight) {
        flight->is_denied = true;
    }
    return capi_db_run(NULL, store, CAPI_SQL_OUTBOX_DENIED, values);
}

bool capi_store_is_denied_since(const capi_store_t *store, const capi_outgoing_t *events, int count)
{
    for (int i = 0; i < count; i++) {
        const capi_flight_t *flight = capi_flight_of(store, events[i].id);

        if (flight && flight->is_denied) {
            return true;
        }
    }
    return false;
}

apr_status_t capi_deny_row(capi_store_t *store, const capi_rows_t *rows,
                           const capi_ruling_t *ruling, const char *error, apr_time_t now)
{
    apr_int64_t event = capi_rows_int(rows, 0);
    capi_dest_t *dest = capi_dest_of(store, capi_rows_int(rows, 1));
    int flags = (int)capi_rows_int(rows, 3);

    if (capi_rows_int(rows, 2) >= CAPI_DUE_REJECTED) {
        return capi_erase(store, event, flags);
    }
    if (!dest) {
        return APR_SUCCESS;
    }
    if (capi_rule_kept(ruling->on_denied) || capi_flight_of(store, event)) {
        return capi_note_denial(store, event, ruling->signal, ruling->on_denied);
    }
    return capi_withdraw(store, dest, event, capi_rows_text(rows, 4), flags, ruling, error, now);
}

/* A row of SQL_OUTBOX_OF_VISIT. What a context completes has the context's rule. */
static apr_status_t deny_of_visit(capi_store_t *store, const capi_rows_t *rows,
                                  const capi_visit_row_t *visit, apr_time_t now)
{
    const capi_ruling_t ruling = {.state = visit->consent,
                                  .signal = visit->signal,
                                  .on_denied = capi_rows_text(rows, 6) ? visit->on_denied
                                                                       : capi_rows_text(rows, 5)};

    return capi_deny_row(store, rows, &ruling, NULL, now);
}

apr_status_t capi_deny_waiting(capi_store_t *store, const capi_visit_row_t *visit, apr_time_t now)
{
    apr_int64_t last = 0;
    const void *values[] = {&visit->id, &last};
    apr_status_t rv;
    int count;

    do {
        capi_rows_t rows;

        count = 0;
        rv = capi_db_select(&rows, store, CAPI_SQL_OUTBOX_OF_VISIT, values, store->scratch);
        while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
            count++;
            last = capi_rows_int(&rows, 0);
            rv = deny_of_visit(store, &rows, visit, now);
        }
    } while (rv == APR_SUCCESS && count > 0);
    return rv;
}
