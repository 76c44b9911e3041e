/* Is it working; if not, why not and what to do. The first reason that applies is the answer. */

#include "report_verdict.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

#define PATIENCE_SEC 900 /* an API that is away this long is no hiccup */

typedef struct {
    const char *state;
    const char *sentence;
    const char *advice; /* NULL: there is nothing to do */
} verdict_t;

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* "1 event", "1,200 events". */
static const char *events_text(json_int_t count, apr_pool_t *p)
{
    const char *text = "";

    for (; count >= 1000; count /= 1000) {
        text = apr_psprintf(p, ",%03d%s", (int)(count % 1000), text);
    }
    return apr_psprintf(p, "%d%s event%s", (int)count, text, count == 1 && !*text ? "" : "s");
}

static const char *capitalised(const char *text, apr_pool_t *p)
{
    char *copy = apr_pstrdup(p, text);

    *copy = (char)apr_toupper(*copy);
    return copy;
}

static const json_t *find_account(const json_t *status, const char *state)
{
    const json_t *accounts = json_object_get(status, "accounts");
    apr_size_t i;

    for (i = 0; i < json_array_size(accounts); i++) {
        const json_t *account = json_array_get(accounts, i);
        const char *text = json_string_value(json_object_get(account, "state"));
        if (text && strcmp(text, state) == 0) {
            return account;
        }
    }
    return NULL;
}

/* A hold's reason says what happened, then after a colon what to do. */
static bool judge_held(verdict_t *verdict, const json_t *status, apr_pool_t *p)
{
    const json_t *account = find_account(status, "held");
    const json_t *held = json_object_get(account, "held");
    const char *reason = json_string_value(json_object_get(held, "reason"));
    const char *colon = reason ? strstr(reason, ": ") : NULL;
    const char *waiting = events_text(number(account, "waiting"), p);

    if (!account) {
        return false;
    }
    verdict->state = "held";
    if (!reason) {
        verdict->sentence = "Held: the account takes no events";
    }
    else if (!colon) {
        verdict->sentence = apr_pstrcat(p, "Held: ", reason, NULL);
    }
    else {
        verdict->sentence =
            apr_pstrcat(p, "Held: ", apr_pstrmemdup(p, reason, (apr_size_t)(colon - reason)), NULL);
    }
    verdict->advice = apr_pstrcat(p, colon ? capitalised(colon + 2, p) : "", colon ? ". " : "",
                                  "Nothing is lost: ", waiting,
                                  number(account, "waiting") == 1 ? " waits." : " wait.", NULL);
    return true;
}

static bool judge_stopped(verdict_t *verdict, const json_t *status, apr_pool_t *p)
{
    const json_t *sender = json_object_get(status, "sender");
    json_int_t waiting = number(json_object_get(status, "waiting"), "total");

    if (json_is_true(json_object_get(sender, "alive")) ||
        (!json_is_integer(json_object_get(sender, "pid")) && waiting == 0)) {
        return false;
    }
    verdict->state = "stopped";
    verdict->sentence = "Stopped: the sender is not running";
    verdict->advice = apr_psprintf(p,
                                   "Events are kept, %" APR_INT64_T_FMT
                                   " wait here. httpd starts the sender by itself: "
                                   "see that httpd runs, and what error_log says after PCAPI.",
                                   (apr_int64_t)waiting);
    return true;
}

/* "alice at 14:02", "alice at 14:02 on 23 Nov": the day where it is not today's. */
static const char *who_and_when(const json_t *paused, json_int_t now, apr_pool_t *p)
{
    const char *by = json_string_value(json_object_get(paused, "by"));
    apr_time_exp_t at = {0};
    const char *day = "";

    apr_time_exp_gmt(&at, apr_time_from_sec((apr_int64_t)number(paused, "since")));
    if (number(paused, "since") / 86400 != now / 86400) {
        day = apr_psprintf(p, " on %d %s", at.tm_mday, apr_month_snames[at.tm_mon]);
    }
    return apr_psprintf(p, "%s at %02d:%02d%s (UTC)", by ? by : "somebody", at.tm_hour, at.tm_min,
                        day);
}

static bool judge_paused(verdict_t *verdict, const json_t *status, apr_pool_t *p)
{
    const json_t *account = find_account(status, "paused");
    json_int_t waiting = number(account, "waiting");

    if (!account) {
        return false;
    }
    verdict->state = "paused";
    verdict->sentence = apr_psprintf(
        p, "Paused by %s: %s %s",
        who_and_when(json_object_get(account, "paused"), number(status, "generated_at"), p),
        events_text(waiting, p), waiting == 1 ? "waits" : "wait");
    verdict->advice = "Resume it under Actions when you are ready. Until then everything is kept; "
                      "what becomes older than PinterestCapiMaxAge expires.";
    return true;
}

static bool judge_retrying(verdict_t *verdict, const json_t *status, apr_pool_t *p)
{
    const json_t *account = find_account(status, "retrying");
    const json_t *last = json_object_get(account, "last_attempt");
    const char *error = json_string_value(json_object_get(last, "error"));
    json_int_t answer = number(last, "http_status");

    if (!account) {
        return false;
    }
    verdict->state = "retrying";
    verdict->sentence =
        answer > 0 ? apr_psprintf(p, "Retrying: Pinterest\xe2\x80\x99s API answers with status %d",
                                  (int)answer)
                   : "Retrying: Pinterest\xe2\x80\x99s API gives no answer";
    verdict->advice =
        apr_psprintf(p, "%s%s%s kept and sent again by themselves, under the same ids.",
                     error ? capitalised(error, p) : "", error ? ". " : "",
                     apr_pstrcat(p, events_text(number(account, "waiting"), p),
                                 number(account, "waiting") == 1 ? " is" : " are", NULL));
    return true;
}

static int percent_of(const json_t *day, const char *key)
{
    json_int_t delivered = number(day, "delivered");
    json_int_t count = number(json_object_get(day, "match_keys"), key);

    return delivered > 0 ? (int)(100 * count / delivered) : 0;
}

static bool judge_delivering(verdict_t *verdict, const json_t *day, apr_pool_t *p)
{
    json_int_t delivered = number(day, "delivered");
    json_int_t rejected = number(day, "rejected");

    if (delivered == 0 || rejected > delivered) {
        return false;
    }
    verdict->state = "delivering";
    verdict->sentence =
        apr_psprintf(p, "Delivering: %s in 24 hours, %d%% with a click id, %d%% with an e-mail",
                     events_text(delivered, p), percent_of(day, "click_id"), percent_of(day, "em"));
    verdict->advice = rejected > 0
                          ? apr_psprintf(p, "Pinterest rejected %s: open one below to see why.",
                                         events_text(rejected, p))
                          : NULL;
    return true;
}

static bool judge_rejecting(verdict_t *verdict, const json_t *day, apr_pool_t *p)
{
    json_int_t rejected = number(day, "rejected");

    if (rejected == 0) {
        return false;
    }
    verdict->state = "rejecting";
    verdict->sentence = apr_psprintf(p, "Rejected: Pinterest refused %s of the last 24 hours",
                                     events_text(rejected, p));
    verdict->advice = "Open a rejected delivery below: it has Pinterest\xe2\x80\x99s reason. "
                      "Events like it will fare the same until their source is mended.";
    return true;
}

static bool judge_withheld(verdict_t *verdict, const json_t *day, apr_pool_t *p)
{
    json_int_t suppressed = number(day, "suppressed");

    if (suppressed == 0) {
        return false;
    }
    verdict->state = "withheld";
    verdict->sentence =
        apr_psprintf(p, "Withheld: none of the last %s had consent", events_text(suppressed, p));
    verdict->advice = "That is right where visitors decline. If they do agree, check "
                      "PinterestCapiConsentDefault and how the shop reports a grant "
                      "(Pinterest-Capi-Consent).";
    return true;
}

static void judge_silence(verdict_t *verdict, const json_t *status, bool has_events, apr_pool_t *p)
{
    json_int_t waiting = number(json_object_get(status, "waiting"), "total");

    if (waiting > 0) {
        verdict->state = "waiting";
        verdict->sentence =
            apr_psprintf(p, "Waiting: %s, the next request carries them", events_text(waiting, p));
        verdict->advice =
            "Events wait for their batch (PinterestCapiFlush), for a second source of "
            "the same event, or for their order.";
    }
    else if (has_events) {
        verdict->state = "quiet";
        verdict->sentence = "Quiet: no event in the last 24 hours";
        verdict->advice = "Open a page of the shop to see whether one appears. If not, check "
                          "PinterestCapi On and the rules (PinterestCapiEvent) of that place.";
    }
    else {
        verdict->state = "nothing";
        verdict->sentence = "Nothing yet: no event has arrived";
        verdict->advice = "Open a page of the shop in a browser. With PinterestCapi On and "
                          "PinterestCapiEvent page_visit it appears below within seconds.";
    }
}

json_t *capi_report_verdict(const json_t *status, bool has_events, apr_pool_t *p)
{
    const json_t *day = json_object_get(status, "last_24h");
    verdict_t verdict = {NULL, NULL, NULL};
    json_t *advice;

    if (!judge_held(&verdict, status, p) && !judge_stopped(&verdict, status, p) &&
        !judge_paused(&verdict, status, p) && !judge_retrying(&verdict, status, p) &&
        !judge_delivering(&verdict, day, p) && !judge_rejecting(&verdict, day, p) &&
        !judge_withheld(&verdict, day, p)) {
        judge_silence(&verdict, status, has_events, p);
    }
    advice = verdict.advice ? json_string(verdict.advice) : json_null();
    return json_pack("{s:s, s:s, s:o}", "state", verdict.state, "sentence", verdict.sentence,
                     "advice", advice);
}

bool capi_report_is_broken(const json_t *status)
{
    const json_t *verdict = json_object_get(status, "verdict");
    const char *state = json_string_value(json_object_get(verdict, "state"));
    json_int_t oldest = number(status, "oldest_waiting");

    if (!state) {
        return false;
    }
    if (strcmp(state, "retrying") == 0) {
        return oldest > 0 && number(status, "generated_at") - oldest > PATIENCE_SEC;
    }
    return strcmp(state, "held") == 0 || strcmp(state, "stopped") == 0;
}
