/* Troubles of accounts, machinery and configuration, told from the status. Those of what events say
 * are in report_troubles_events.c. */

#include "report_troubles_int.h"

#include <apr_strings.h>

#include <string.h>

#include "report_int.h"
#include "report_sql.h"
#include "utf8.h"

#define SEEN_ENOUGH 100 /* requests */
#define A_DAY       86400

void capi_trouble_add(capi_troubles_t *troubles, const char *id, bool is_broken, const char *title,
                      const char *cause, const char *mend, const char *link)
{
    json_array_append_new(troubles->list,
                          json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?}", "id", id, "severity",
                                    is_broken ? "broken" : "warning", "title", title, "cause",
                                    cause, "mend", mend, "link", link));
}

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));

    return value ? value : "";
}

/* --- accounts and machinery --- */

/* The reason names the status that led to the hold; a later request may have failed otherwise. */
static bool is_answer(const char *reason, json_int_t last, int status)
{
    char named[24];

    apr_snprintf(named, sizeof(named), "(status %d)", status);
    return strstr(reason, "(status ") ? strstr(reason, named) != NULL : last == status;
}

static void judge_hold(capi_troubles_t *troubles, const json_t *account)
{
    const char *reason = text(json_object_get(account, "held"), "reason");
    json_int_t answer = number(json_object_get(account, "last_attempt"), "http_status");
    const char *colon = strstr(reason, ": "); /* behind it: what to do */
    const char *cause =
        colon ? apr_pstrmemdup(troubles->pool, reason, (apr_size_t)(colon - reason)) : reason;
    const char *id = "hold";
    const char *mend = "See what the API says, and PinterestCapiApiUrl. It is tried again by "
                       "itself; nothing is lost meanwhile.";

    if (is_answer(reason, answer, 401) || strstr(reason, "could not be read")) {
        id = "token";
        mend =
            "Make a new conversion access token in Pinterest\xe2\x80\x99s Ads Manager, under the "
            "business account that owns the ad account, put it into the file of "
            "PinterestCapiTokenFile and run apachectl graceful.";
    }
    else if (is_answer(reason, answer, 403) || is_answer(reason, answer, 404)) {
        id = "account";
        mend = "Compare PinterestCapiAdAccount with the number in Ads Manager, and make the token "
               "with the business account that has access to it. Then apachectl graceful.";
    }
    else if (is_answer(reason, answer, 400) || is_answer(reason, answer, 413) ||
             is_answer(reason, answer, 422)) {
        id = "refused";
        mend = "Open a waiting delivery: its attempts have Pinterest\xe2\x80\x99s words. Something "
               "that all events share is wrong, or what stands between here and the API is. They "
               "are tried again by themselves; nothing is lost meanwhile.";
    }
    capi_trouble_add(
        troubles, id, true,
        apr_psprintf(troubles->pool, "Account %s is on hold", text(account, "account")), cause,
        mend, "?state=held#deliveries");
}

static void judge_accounts(capi_troubles_t *troubles, const json_t *accounts)
{
    apr_size_t i;

    for (i = 0; i < json_array_size(accounts); i++) {
        const json_t *account = json_array_get(accounts, i);
        const json_t *last = json_object_get(account, "last_attempt");

        if (json_is_object(json_object_get(account, "held"))) {
            judge_hold(troubles, account);
        }
        else if (strcmp(text(account, "state"), "retrying") != 0) {
            continue;
        }
        else if (number(last, "http_status") == 429) {
            capi_trouble_add(
                troubles, "rate", false, "Pinterest asks to go slower",
                "The API answers with status 429.",
                "Nothing to do: events wait and go out at the pace it allows. If it lasts, see "
                "whether something else sends for the same account.",
                "?state=retrying#deliveries");
        }
        else {
            capi_trouble_add(
                troubles, "api", false, "The API does not answer as it should",
                *text(last, "error") ? text(last, "error") : "The last request failed.",
                "Usually it passes. If it lasts: can this server reach the address of "
                "PinterestCapiApiUrl (firewall, PinterestCapiProxy, PinterestCapiApiCAFile)?",
                "?state=retrying#deliveries");
        }
    }
}

static void judge_machinery(capi_troubles_t *troubles, const json_t *status)
{
    const json_t *sender = json_object_get(status, "sender");
    const json_t *queue = json_object_get(status, "queue");
    bool was_there = json_is_integer(json_object_get(sender, "pid"));

    if (!json_is_true(json_object_get(sender, "alive")) &&
        (was_there || number(json_object_get(status, "waiting"), "total") > 0)) {
        capi_trouble_add(troubles, "sender", true, "The sender is not running",
                         "httpd starts it and starts it again when it ends.",
                         "See that httpd runs, and what error_log says after PCAPI.", NULL);
    }
    if (number(queue, "dropped_page") + number(queue, "dropped_conversion") > 0) {
        capi_trouble_add(
            troubles, "queue", false, "Events found no room in the queue",
            "It was full: the sender was away, or there was more traffic than it holds.",
            "Raise PinterestCapiQueueSize and restart httpd.", NULL);
    }
}

/* Who could grant and never does: a banner that nobody reads the answer of looks like this. */
static void judge_consent(capi_troubles_t *troubles, const json_t *status)
{
    const json_t *rows = json_object_get(status, "consent");
    json_int_t granted = 0;
    json_int_t all = 0;
    apr_size_t i;

    for (i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        all += number(row, "events");
        granted += strcmp(text(row, "state"), "granted") == 0 ? number(row, "events") : 0;
    }
    if (all >= CAPI_TROUBLE_ENOUGH && granted == 0) {
        capi_trouble_add(
            troubles, "consent", false, "Consent was never granted in 24 hours",
            "No signal ever said yes. Where visitors do agree, their answer is not read.",
            "Compare PinterestCapiConsentSignal with the cookies that the banner sets (auto knows "
            "most), or let the shop say Pinterest-Capi-Consent: granted.",
            "?state=suppressed#deliveries");
    }
}

/* Of this hour and the one before: what was mended is soon forgotten. */
static apr_status_t judge_duplicates(capi_troubles_t *troubles, capi_store_t *store, apr_time_t now)
{
    capi_statement_t totals = {.sql = REPORT_SQL_TOTALS};
    apr_int64_t hour = apr_time_sec(now) / 3600 - 1;
    const void *values[] = {&hour};
    apr_int64_t received = 0;
    apr_int64_t duplicates = 0;
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &totals, values, troubles->pool);

    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        const char *what = capi_rows_text(&rows, 0);

        received += what && strcmp(what, "received") == 0 ? capi_rows_int(&rows, 1) : 0;
        duplicates += what && strcmp(what, "duplicate") == 0 ? capi_rows_int(&rows, 1) : 0;
    }
    if (duplicates >= CAPI_TROUBLE_ENOUGH && duplicates * 4 > received) {
        capi_trouble_add(
            troubles, "duplicates", false, "Many events come in again under the same id",
            apr_psprintf(troubles->pool,
                         "%" APR_INT64_T_FMT " of this hour and the last were counted once before "
                         "and dropped.",
                         duplicates),
            "Harmless where pages are reloaded. If not, see whether an event_id is made of too "
            "little: it has to name one action, such as an order.",
            NULL);
    }
    return rv;
}

/* --- what workers noticed --- */

static void judge_visitors(capi_troubles_t *troubles, const json_t *seen)
{
    json_int_t requests = number(seen, "requests");
    json_int_t bots = number(seen, "bots");

    if (requests >= SEEN_ENOUGH && bots * 20 > requests) {
        capi_trouble_add(troubles, "bots", false, "Crawlers are counted as visitors",
                         apr_psprintf(troubles->pool,
                                      "Of the newest %d requests that became events, %d were made "
                                      "by crawlers, HTTP libraries or monitoring.",
                                      (int)requests, (int)bots),
                         "Set PinterestCapiBots drop, which is the default, and reload httpd.",
                         NULL);
    }
    if (requests >= SEEN_ENOUGH && number(seen, "proxied") * 2 > requests) {
        troubles->is_proxied = true;
        capi_trouble_add(
            troubles, "address", false, "Events carry a proxy\xe2\x80\x99s address, or none",
            "Most requests name their client in X-Forwarded-For or CF-Connecting-IP, and nothing "
            "reads it: httpd takes the proxy for the visitor.",
            "Let mod_remoteip say who the visitor is: RemoteIPHeader with that header, "
            "RemoteIPInternalProxy with the proxy\xe2\x80\x99s addresses. Then reload httpd.",
            NULL);
    }
}

/* What nobody understood, until the shop has said enough that was understood. */
static void judge_complaint(capi_troubles_t *troubles, const json_t *complaint, int told,
                            apr_time_t now)
{
    const char *words = text(complaint, "text");
    bool is_name = strstr(words, "event_name") != NULL;

    if (!*words || told >= CAPI_SAMPLE_PER_NAME ||
        apr_time_sec(now) - number(complaint, "at") > A_DAY) {
        return;
    }
    if (is_name) {
        capi_trouble_add(
            troubles, "names", false, "Events come in under a name that nobody knows", words,
            "They are left out. Use one of Pinterest\xe2\x80\x99s names, or allow this one: "
            "PinterestCapiEventName FROM TO.",
            NULL);
        return;
    }
    capi_trouble_add(troubles, "said", false, "Something that the shop says is not understood",
                     words, "It is left out. Mend it where it is said; error_log has each case.",
                     NULL);
}

/* --- the catalogue --- */

static const char *list_examples(const json_t *catalog, apr_pool_t *p)
{
    const json_t *examples = json_object_get(catalog, "examples");
    const char *list = "";
    apr_size_t i;

    for (i = 0; i < json_array_size(examples) && i < 3; i++) {
        const char *example = json_string_value(json_array_get(examples, i));

        list = apr_pstrcat(p, list, *list ? ", " : "", example ? example : "", NULL);
    }
    return list;
}

static void judge_catalogs(capi_troubles_t *troubles, const json_t *catalogs)
{
    apr_pool_t *p = troubles->pool;
    apr_size_t i;

    for (i = 0; i < json_array_size(catalogs); i++) {
        const json_t *catalog = json_array_get(catalogs, i);
        json_int_t seen = number(catalog, "seen");
        json_int_t unknown = number(catalog, "unknown");

        if (*text(catalog, "fault")) {
            capi_trouble_add(
                troubles, "feed", false, "The catalogue feed cannot be read",
                apr_psprintf(p, "%s %s.", text(catalog, "file"), text(catalog, "fault")),
                "Mend the file of PinterestCapiCatalog, and let the sender\xe2\x80\x99s "
                "user read it. It is looked at again by itself.",
                NULL);
        }
        if (seen >= CAPI_TROUBLE_ENOUGH && unknown * 20 > seen) {
            capi_trouble_add(
                troubles, "catalog", false,
                apr_psprintf(p, "The catalogue does not know %d of the newest %d product ids",
                             (int)unknown, (int)seen),
                apr_psprintf(p, "Such as %s. Pinterest cannot tie those events to products.",
                             list_examples(catalog, p)),
                "Send content_ids exactly as the id column of the catalogue feed has them, upper "
                "and "
                "lower case and variants included.",
                "#catalog");
        }
    }
}

/* --- all of them --- */

static json_t *names_model(const capi_sample_t *sample)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < sample->pairs_count; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:i}", "name", sample->pairs[i].name,
                                              "sent_as", sample->pairs[i].sent_as, "events",
                                              sample->pairs[i].events));
    }
    return list;
}

static json_t *identity_model(const capi_sample_t *sample)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < sample->names_count; i++) {
        const capi_sample_name_t *name = &sample->names[i];

        json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:i, s:i, s:s?}", "event_name",
                                              name->name, "total", name->total, "events", name->all,
                                              "unnamed", name->unnamed, "minted", name->minted,
                                              "example", name->example));
    }
    return list;
}

apr_status_t capi_report_troubles(json_t **model, capi_store_t *store, const json_t *status,
                                  apr_time_t now, apr_pool_t *p)
{
    capi_troubles_t troubles = {.list = json_array(), .pool = p};
    const json_t *complaint;
    capi_sample_t *sample;
    apr_status_t rv;

    *model = capi_report_own(json_pack("{s:o}", "troubles", troubles.list), p);
    status = json_object_get(status, "status");
    complaint = json_object_get(status, "complaint");
    rv = capi_sample_take(&sample, store, apr_time_from_sec(number(complaint, "at")), now, p);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    judge_accounts(&troubles, json_object_get(status, "accounts"));
    judge_machinery(&troubles, status);
    judge_consent(&troubles, status);
    rv = judge_duplicates(&troubles, store, now);
    judge_complaint(&troubles, complaint, sample->told, now);
    judge_visitors(&troubles, json_object_get(status, "seen"));
    judge_catalogs(&troubles, json_object_get(status, "catalogs"));
    capi_troubles_of_events(&troubles, sample);
    json_object_set_new(*model, "names", names_model(sample));
    json_object_set_new(*model, "identity", identity_model(sample));
    return rv;
}
