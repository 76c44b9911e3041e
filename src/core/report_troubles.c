/* Troubles: from the status what concerns accounts and machinery, from the newest events what
 * concerns their content. */

#include "report_troubles.h"

#include <apr_strings.h>

#include <string.h>

#include "report_int.h"
#include "report_sql.h"
#include "utf8.h"

#define LOOK_BACK   apr_time_from_sec(86400)
#define PER_NAME    50 /* so many good ones of a name, and a mended trouble is forgotten */
#define NAMES_MAX   64
#define ENOUGH      20 /* below that a share says nothing */
#define SKEW_SEC    60
#define OFFLINE_SEC 3600

typedef struct {
    json_t *list;
    apr_pool_t *pool;
} troubles_t;

static void add(troubles_t *troubles, const char *id, bool is_broken, const char *title,
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

static void judge_hold(troubles_t *troubles, const json_t *account)
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
    add(troubles, id, true,
        apr_psprintf(troubles->pool, "Account %s is on hold", text(account, "account")), cause,
        mend, "?state=held#deliveries");
}

static void judge_accounts(troubles_t *troubles, const json_t *accounts)
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
            add(troubles, "rate", false, "Pinterest asks to go slower",
                "The API answers with status 429.",
                "Nothing to do: events wait and go out at the pace it allows. If it lasts, see "
                "whether something else sends for the same account.",
                "?state=retrying#deliveries");
        }
        else {
            add(troubles, "api", false, "The API does not answer as it should",
                *text(last, "error") ? text(last, "error") : "The last request failed.",
                "Usually it passes. If it lasts: can this server reach the address of "
                "PinterestCapiApiUrl (firewall, PinterestCapiProxy, PinterestCapiApiCAFile)?",
                "?state=retrying#deliveries");
        }
    }
}

static void judge_machinery(troubles_t *troubles, const json_t *status)
{
    const json_t *sender = json_object_get(status, "sender");
    const json_t *queue = json_object_get(status, "queue");
    bool was_there = json_is_integer(json_object_get(sender, "pid"));

    if (!json_is_true(json_object_get(sender, "alive")) &&
        (was_there || number(json_object_get(status, "waiting"), "total") > 0)) {
        add(troubles, "sender", true, "The sender is not running",
            "httpd starts it and starts it again when it ends.",
            "See that httpd runs, and what error_log says after PCAPI.", NULL);
    }
    if (number(queue, "dropped_page") + number(queue, "dropped_conversion") > 0) {
        add(troubles, "queue", false, "Events found no room in the queue",
            "It was full: the sender was away, or there was more traffic than it holds.",
            "Raise PinterestCapiQueueSize and restart httpd.", NULL);
    }
}

/* Who could grant and never does: a banner that nobody reads the answer of looks like this. */
static void judge_consent(troubles_t *troubles, const json_t *status)
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
    if (all >= ENOUGH && granted == 0) {
        add(troubles, "consent", false, "Consent was never granted in 24 hours",
            "No signal ever said yes. Where visitors do agree, their answer is not read.",
            "Compare PinterestCapiConsentSignal with the cookies that the banner sets (auto knows "
            "most), or let the shop say Pinterest-Capi-Consent: granted.",
            "?state=suppressed#deliveries");
    }
}

static void judge_duplicates(troubles_t *troubles, const json_t *day)
{
    json_int_t received = number(day, "received");
    json_int_t duplicates = number(day, "duplicate");

    if (duplicates >= ENOUGH && duplicates * 4 > received) {
        add(troubles, "duplicates", false, "Many events come in again under the same id",
            apr_psprintf(troubles->pool,
                         "%" APR_INT64_T_FMT " of 24 hours were counted once and dropped since.",
                         (apr_int64_t)duplicates),
            "Harmless where pages are reloaded. If not, see whether an event_id is made of too "
            "little: it has to name one action, such as an order.",
            NULL);
    }
}

/* --- the newest events --- */

typedef struct {
    const char *name;
    int seen;
    int rejected;
    const char *error; /* of the newest that was */
} name_t;

typedef struct {
    int names_count;
    name_t names[NAMES_MAX];
    int events;
    int delivered;
    int clicked;
    int addressed;
    int offline;
    int early;
    int purchases;
    int purchases_unnamed;
    int known_purchases; /* with e-mail or phone */
} sample_t;

static name_t *find_name(sample_t *sample, const char *name, apr_pool_t *p)
{
    int i;

    for (i = 0; i < sample->names_count; i++) {
        if (strcmp(sample->names[i].name, name) == 0) {
            return &sample->names[i];
        }
    }
    if (sample->names_count == NAMES_MAX) {
        return NULL;
    }
    sample->names[sample->names_count].name = apr_pstrdup(p, name);
    return &sample->names[sample->names_count++];
}

static void look_at_delivered(sample_t *sample, const capi_rows_t *rows, const char *name)
{
    static const capi_keys_t person = CAPI_KEY_BIT(CAPI_KEY_EM) | CAPI_KEY_BIT(CAPI_KEY_PH);
    capi_keys_t keys = (capi_keys_t)capi_rows_int(rows, 5);
    apr_int64_t took = apr_time_sec(capi_rows_int(rows, 3)) - capi_rows_int(rows, 1);

    sample->delivered++;
    sample->clicked += (keys & CAPI_KEY_BIT(CAPI_KEY_CLICK_ID)) != 0;
    sample->addressed += (keys & CAPI_KEY_BIT(CAPI_KEY_CLIENT_IP_ADDRESS)) != 0;
    sample->offline += took > OFFLINE_SEC;
    if (strcmp(name, "checkout") == 0) {
        sample->purchases++;
        sample->purchases_unnamed += capi_rows_int(rows, 6) == 0;
        sample->known_purchases += (keys & person) != 0;
    }
}

/* A row of REPORT_SQL_NEWEST; the newest comes first. */
static void look_at(sample_t *sample, const capi_rows_t *rows, apr_pool_t *p)
{
    const char *name = capi_rows_text(rows, 0);
    apr_int64_t state = capi_rows_int(rows, 4);
    name_t *of_name = name ? find_name(sample, name, p) : NULL;
    const char *error = capi_rows_text(rows, 7);

    if (!of_name || of_name->seen >= PER_NAME) {
        return;
    }
    sample->events++;
    sample->early += capi_rows_int(rows, 1) > apr_time_sec(capi_rows_int(rows, 2)) + SKEW_SEC;
    if (state != CAPI_STATE_DELIVERED && state != CAPI_STATE_REJECTED) {
        return;
    }
    of_name->seen++;
    if (state == CAPI_STATE_REJECTED) {
        of_name->rejected++;
        of_name->error = of_name->error ? of_name->error : apr_pstrdup(p, error ? error : "");
        return;
    }
    look_at_delivered(sample, rows, name);
}

static bool says_any(const char *error, const char *const *words)
{
    for (; *words; words++) {
        if (strstr(error, *words)) {
            return true;
        }
    }
    return false;
}

static void judge_rejected(troubles_t *troubles, const name_t *name)
{
    static const char *const of_time[] = {"timestamp", "event_time", "in the past", "future", NULL};
    static const char *const of_person[] = {"user_data", "hash", "'em'", "'ph'", "sha256", NULL};
    static const char *const of_content[] = {"custom_data", "currency",  "value",
                                             "content",     "num_items", NULL};
    apr_pool_t *p = troubles->pool;
    const char *error = capi_utf8_repair(name->error, p);
    const char *id = "rejected";
    const char *mend =
        "Open a rejected delivery: it has Pinterest\xe2\x80\x99s reason. Events like "
        "it fare the same until their source is mended.";

    if (says_any(error, of_time)) {
        id = "time";
        mend = "event_time is Unix seconds of the moment it happened, at most 7 days ago. Leave it "
               "out for now; and let the server\xe2\x80\x99s clock be set (NTP).";
    }
    else if (says_any(error, of_person)) {
        id = "user_data";
        mend = "Hand over e-mail and phone as they were typed with Pinterest-Capi-Match: they are "
               "normalised and hashed here.";
    }
    else if (says_any(error, of_content)) {
        id = "custom_data";
        mend = "value is a number, currency an ISO code such as EUR, and content_ids are exactly "
               "the ids of the Pinterest catalogue feed.";
    }
    add(troubles, id, false,
        apr_psprintf(p, "Pinterest rejects %s", (const char *)capi_utf8_repair(name->name, p)),
        *error ? error : "It gave no reason.", mend, "?state=rejected#deliveries");
}

static void judge_times(troubles_t *troubles, const sample_t *sample)
{
    if (sample->early > 0) {
        add(troubles, "clock", false, "Events claim to happen in the future",
            "Their event_time is later than this server\xe2\x80\x99s clock: one of the two is "
            "wrong.",
            "Set the clocks of this server and of the shop\xe2\x80\x99s backend (NTP), and see "
            "that event_time is in seconds and UTC.",
            NULL);
    }
    if (sample->delivered >= ENOUGH && sample->offline * 20 > sample->delivered) {
        add(troubles, "offline", false, "Events reach Pinterest more than an hour late",
            "Beyond an hour Pinterest counts a web event as offline and does not deduplicate it "
            "with the Tag.",
            "Report events when they happen, with the time they happened, and keep the sender "
            "running.",
            NULL);
    }
}

static void judge_matches(troubles_t *troubles, const sample_t *sample)
{
    if (sample->delivered >= ENOUGH && sample->clicked == 0) {
        add(troubles, "click_id", false, "Accepted, but not one has a click id",
            "Without it an event is hardly tied to an ad. Visitors who did not come from an ad "
            "have none, so this is only wrong while ads run.",
            "See that a redirect or a cache does not drop ?epik= from the landing page, that "
            "PinterestCapi is On there, and that PinterestCapiEpikCookie is not Off.",
            NULL);
    }
    if (sample->delivered >= ENOUGH && sample->addressed * 2 < sample->delivered) {
        add(troubles, "address", false, "Most events lack the visitor\xe2\x80\x99s address",
            "Private and proxy addresses are not sent: behind a proxy or CDN httpd sees only that.",
            "Let mod_remoteip say who the visitor is (RemoteIPHeader, RemoteIPInternalProxy).",
            NULL);
    }
    if (sample->purchases >= ENOUGH / 2 && sample->known_purchases * 2 < sample->purchases) {
        add(troubles, "match", false, "Fewer than half of the purchases carry e-mail or phone",
            "Every order has an e-mail: it is the strongest key after the click id.",
            "Send Pinterest-Capi-Match with email and phone when the order is placed.",
            "?event_name=checkout#deliveries");
    }
    if (sample->purchases >= ENOUGH / 2 && sample->purchases_unnamed * 2 > sample->purchases) {
        add(troubles, "event_id", false, "Purchases come without an event_id of their own",
            "An id made here is not the one of the Pinterest Tag: a purchase that both report "
            "counts twice.",
            "Make one event_id for each order and give the same to the Tag.",
            "?event_name=checkout#deliveries");
    }
}

static apr_status_t judge_events(troubles_t *troubles, capi_store_t *store, apr_time_t now)
{
    capi_statement_t newest = {.sql = REPORT_SQL_NEWEST};
    apr_int64_t since = now - LOOK_BACK;
    const void *values[] = {&since};
    sample_t sample = {0};
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &newest, values, troubles->pool);
    int i;

    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        look_at(&sample, &rows, troubles->pool);
    }
    for (i = 0; i < sample.names_count; i++) {
        if (sample.names[i].rejected > 0) {
            judge_rejected(troubles, &sample.names[i]);
        }
    }
    judge_times(troubles, &sample);
    judge_matches(troubles, &sample);
    return rv;
}

apr_status_t capi_report_troubles(json_t **model, capi_store_t *store, const json_t *status,
                                  apr_time_t now, apr_pool_t *p)
{
    troubles_t troubles = {json_array(), p};

    *model = capi_report_own(json_pack("{s:o}", "troubles", troubles.list), p);
    status = json_object_get(status, "status");
    judge_accounts(&troubles, json_object_get(status, "accounts"));
    judge_machinery(&troubles, status);
    judge_consent(&troubles, status);
    judge_duplicates(&troubles, json_object_get(status, "last_24h"));
    return judge_events(&troubles, store, now);
}
