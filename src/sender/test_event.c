/* A test event: Pinterest answers as always but records nothing (?test=true). It goes by itself, past
 * the store and past any hold or pause, because it is sent to find out whether one could end. */

#include "asks.h"

#include <string.h>

#include <apr_strings.h>

#include "event.h"
#include "match.h"

#define PERSON "test@example.com"

apr_status_t capi_test_create(capi_test_t *test, capi_sender_t *sender)
{
    apr_pool_create(&test->pool, sender->pool);
    test->call = capi_call_create(sender->api, sender->pool);
    return test->call ? APR_SUCCESS : APR_EGENERAL;
}

void capi_test_destroy(capi_test_t *test)
{
    capi_call_abort(test->call);
    capi_call_destroy(test->call);
}

void capi_test_forget(capi_test_t *test)
{
    test->id = NULL;
    test->is_over = false;
    test->outcome = NULL;
    apr_pool_clear(test->pool);
}

static void end_test(capi_test_t *test, bool is_well, const char *outcome)
{
    test->is_over = true;
    test->is_well = is_well;
    test->outcome = outcome;
}

static apr_status_t make_event(capi_test_t *test, const capi_route_t *route)
{
    apr_int64_t now = apr_time_sec(capi_now());
    const char *hash;
    apr_status_t rv = capi_match_hash(&hash, CAPI_KEY_EM, PERSON, NULL, test->pool);
    json_t *body;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    body = json_pack("{s:s, s:s, s:I, s:s, s:{s:[s]}}", "event_name", "page_visit", "action_source",
                     "web", "event_time", (json_int_t)now, "event_id",
                     apr_pstrcat(test->pool, "test_", test->id, NULL), "user_data", "em", hash);
    test->event.text = capi_event_text(&test->event.len, body, test->pool);
    json_decref(body);
    return capi_wire_event(&test->event.text, &test->event.len, route->row.wire, test->event.text,
                           test->event.len, "page_visit", test->pool);
}

static apr_interval_time_t rate_wait(capi_sender_t *sender, capi_route_t *route)
{
    apr_interval_time_t wait = capi_bucket_wait(&route->quota->rate, capi_ticks());
    apr_interval_time_t test_wait = capi_bucket_wait(&sender->test_rate, capi_ticks());

    return wait > test_wait ? wait : test_wait;
}

static void post(capi_test_t *test, capi_sender_t *sender, capi_route_t *route)
{
    capi_target_t target = route->target;

    target.url = capi_events_url(route->row.api_url, route->row.account, true, test->pool);
    capi_bucket_take(&route->quota->rate);
    capi_bucket_take(&sender->test_rate);
    test->started_at = capi_ticks();
    if (make_event(test, route) != APR_SUCCESS ||
        capi_call_start(test->call, &target, &test->event, 1) != APR_SUCCESS) {
        end_test(test, false, "The request could not be made: see PinterestCapiApiUrl.");
    }
}

static void start(capi_test_t *test, capi_sender_t *sender, const capi_ask_t *ask,
                  apr_time_t *again)
{
    capi_route_t *route = capi_route_by_id(sender, ask->destination);
    apr_interval_time_t wait = route ? rate_wait(sender, route) : 0;

    if (wait > 0) {
        *again = capi_ticks() + wait < *again ? capi_ticks() + wait : *again;
        return;
    }
    capi_test_forget(test);
    test->id = apr_pstrdup(test->pool, ask->id);
    if (!route) {
        end_test(test, false, "There is no such account.");
    }
    else if (!route->target.headers) {
        end_test(test, false,
                 apr_psprintf(test->pool, "Nothing can be sent: %s.",
                              route->row.held_reason ? route->row.held_reason : "no token"));
    }
    else {
        test->destination = route->row.id;
        post(test, sender, route);
    }
}

bool capi_test_is_over(capi_test_t *test, capi_sender_t *sender, const capi_ask_t *ask,
                       apr_time_t *again)
{
    bool is_of_another = test->id && strcmp(test->id, ask->id) != 0;

    if (!test->id || (is_of_another && test->is_over)) {
        start(test, sender, ask, again);
        is_of_another = false;
    }
    return !is_of_another && test->is_over;
}

/* --- the answer --- */

static const char *answered(const capi_test_t *test, const capi_answer_t *answer)
{
    return apr_psprintf(test->pool, "status %d after %.1f s%s%s", answer->http_status,
                        (double)(capi_ticks() - test->started_at) / APR_USEC_PER_SEC,
                        answer->request_id ? ", request id " : "",
                        answer->request_id ? answer->request_id : "");
}

static void judge_result(capi_test_t *test, const capi_answer_t *answer,
                         const capi_result_t *result)
{
    const char *said = result->processed ? result->warning : result->error;

    end_test(test, result->processed,
             apr_psprintf(test->pool, "Pinterest %s the test event: %s%s%.300s.",
                          result->processed ? "took" : "refused", answered(test, answer),
                          said && *said ? ": " : "", said && *said ? said : ""));
}

static void judge(capi_test_t *test, const capi_route_t *route)
{
    capi_result_t *results = NULL;
    const char *message = NULL;
    capi_answer_t answer;
    apr_status_t rv = APR_EINVAL;

    capi_call_answer(&answer, test->call);
    if (answer.http_status && answer.body_len > 0) {
        rv = capi_wire_answer(&results, &message, answer.body, answer.body_len, 1, test->pool);
    }
    switch (capi_outcome_judge(answer.http_status, rv)) {
    case CAPI_VERDICT_RESULTS:
        if (results) {
            judge_result(test, &answer, results);
            return;
        }
        break;
    case CAPI_VERDICT_HOLD:
        end_test(test, false,
                 apr_psprintf(test->pool, "Pinterest said no: %s.",
                              capi_outcome_hold_reason(answer.http_status, route->row.account,
                                                       route->token_file, test->pool)));
        return;
    default:
        break;
    }
    if (answer.http_status == 0) {
        end_test(test, false,
                 apr_psprintf(test->pool,
                              "No answer: %s. Can this server reach the address of "
                              "PinterestCapiApiUrl (firewall, PinterestCapiProxy)?",
                              answer.error ? answer.error : "it broke off"));
        return;
    }
    end_test(test, false,
             apr_psprintf(test->pool, "No verdict: %s%s%.300s.", answered(test, &answer),
                          message && *message ? ": " : "", message ? message : ""));
}

bool capi_test_ends(capi_test_t *test, capi_sender_t *sender)
{
    const capi_route_t *route = capi_route_by_id(sender, test->destination);

    if (!test->id || test->is_over || !route || !capi_call_ended(test->call)) {
        return false;
    }
    judge(test, route);
    capi_call_forget_body(test->call);
    return true;
}
