/* The newest events, row by row. */

#include "report_sample.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <stdlib.h>
#include <string.h>

#include "report_int.h"
#include "report_sql.h"
#include "utf8.h"

#define LOOK_BACK   apr_time_from_sec(86400)
#define SKEW_SEC    60
#define OFFLINE_SEC 3600

/* Columns of REPORT_SQL_NEWEST. */
enum {
    SENT_AS,
    EVENT_TIME,
    RECEIVED_AT,
    SETTLED_AT,
    STATE,
    MATCH_KEYS,
    IS_NAMED,
    ERROR,
    WARNING,
    NAME,
    EVENT_ID,
    SOURCE
};

/* --- ids --- */

static bool is_uuid(const char *text)
{
    int i;

    for (i = 0; i < 36; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? text[i] != '-' : !apr_isxdigit(text[i])) {
            return false;
        }
    }
    return text[36] == '\0';
}

/* Seconds or milliseconds near the event itself. */
static bool is_time(const char *digits, apr_size_t len, apr_int64_t event_time)
{
    apr_int64_t number = apr_atoi64(digits);
    apr_int64_t seconds = len == 13 ? number / 1000 : number;

    return (len == 10 || len == 13) && llabs(seconds - event_time) < 86400;
}

bool capi_id_looks_minted(const char *event_id, apr_int64_t event_time)
{
    apr_size_t len = strlen(event_id);
    const char *tail = event_id + len;
    apr_size_t tail_len;

    if (len >= 36 && is_uuid(event_id + len - 36)) {
        return true;
    }
    while (tail > event_id && apr_isxdigit(tail[-1])) {
        tail--;
    }
    tail_len = strlen(tail);
    if (tail > event_id && apr_isalnum(tail[-1])) {
        return false; /* the end of a word */
    }
    if (strspn(tail, "0123456789") == tail_len) {
        return is_time(tail, tail_len, event_time);
    }
    /* PHP's uniqid has 13 digits; 32, 40 and 64 are the hash of something, such as an order */
    return tail_len >= 13 && tail_len < 32;
}

/* What happens once and is reported by a page that may be shown again. */
static bool happens_once(const char *sent_as)
{
    static const char *const names[] = {"checkout", "signup", "subscribe", "start_trial",
                                        "submit_application"};
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], sent_as) == 0) {
            return true;
        }
    }
    return false;
}

/* --- rows --- */

static const char *copy_text(const capi_rows_t *rows, int column, apr_pool_t *p)
{
    const char *text = capi_rows_text(rows, column);

    return text ? apr_pstrdup(p, capi_utf8_repair(text, p)) : "";
}

static capi_sample_name_t *find_name(capi_sample_t *sample, const char *name)
{
    int i;

    for (i = 0; i < sample->names_count; i++) {
        if (strcmp(sample->names[i].name, name) == 0) {
            return &sample->names[i];
        }
    }
    if (sample->names_count == CAPI_SAMPLE_NAMES) {
        return NULL;
    }
    sample->names[sample->names_count].name = name;
    return &sample->names[sample->names_count++];
}

static void count_pair(capi_sample_t *sample, const char *name, const char *sent_as)
{
    int i;

    for (i = 0; i < sample->pairs_count; i++) {
        capi_sample_pair_t *pair = &sample->pairs[i];

        if (strcmp(pair->name, name) == 0 && strcmp(pair->sent_as, sent_as) == 0) {
            pair->events++;
            return;
        }
    }
    if (sample->pairs_count < CAPI_SAMPLE_PAIRS) {
        sample->pairs[sample->pairs_count++] = (capi_sample_pair_t){name, sent_as, 1};
    }
}

static void look_at_id(capi_sample_name_t *name, const capi_rows_t *rows, apr_pool_t *p)
{
    const char *event_id = capi_rows_text(rows, EVENT_ID);

    if (capi_rows_int(rows, IS_NAMED) == 0) {
        name->unnamed++;
    }
    else if (event_id && happens_once(name->name) &&
             capi_id_looks_minted(event_id, capi_rows_int(rows, EVENT_TIME))) {
        name->minted++;
        name->example = name->example ? name->example : copy_text(rows, EVENT_ID, p);
    }
}

static void look_at_delivered(capi_sample_t *sample, const capi_rows_t *rows, const char *name)
{
    static const capi_keys_t person = CAPI_KEY_BIT(CAPI_KEY_EM) | CAPI_KEY_BIT(CAPI_KEY_PH);
    capi_keys_t keys = (capi_keys_t)capi_rows_int(rows, MATCH_KEYS);
    apr_int64_t took =
        apr_time_sec(capi_rows_int(rows, SETTLED_AT)) - capi_rows_int(rows, EVENT_TIME);

    sample->delivered++;
    sample->clicked += (keys & CAPI_KEY_BIT(CAPI_KEY_CLICK_ID)) != 0;
    sample->addressed += (keys & CAPI_KEY_BIT(CAPI_KEY_CLIENT_IP_ADDRESS)) != 0;
    sample->offline += took > OFFLINE_SEC;
    if (strcmp(name, "checkout") == 0) {
        sample->purchases++;
        sample->known_purchases += (keys & person) != 0;
    }
}

/* Intake takes its own clock instead, and says so. */
static bool is_early(const capi_rows_t *rows)
{
    const char *warning = capi_rows_text(rows, WARNING);

    return (warning && strstr(warning, CAPI_WARNING_EARLY)) ||
           capi_rows_int(rows, EVENT_TIME) >
               apr_time_sec(capi_rows_int(rows, RECEIVED_AT)) + SKEW_SEC;
}

/* The newest comes first. */
static void look_at(capi_sample_t *sample, const capi_rows_t *rows, apr_time_t told_since,
                    apr_pool_t *p)
{
    const char *sent_as = copy_text(rows, SENT_AS, p);
    apr_int64_t state = capi_rows_int(rows, STATE);
    capi_sample_name_t *name = find_name(sample, sent_as);

    count_pair(sample, copy_text(rows, NAME, p), sent_as);
    sample->told += capi_rows_int(rows, SOURCE) >= CAPI_SOURCE_HEADER &&
                    capi_rows_int(rows, RECEIVED_AT) > told_since;
    if (!name) {
        return;
    }
    name->total++;
    if (name->seen >= CAPI_SAMPLE_PER_NAME) {
        return;
    }
    name->all++;
    look_at_id(name, rows, p);
    sample->early += is_early(rows);
    if (state != CAPI_STATE_DELIVERED && state != CAPI_STATE_REJECTED) {
        return;
    }
    name->seen++;
    if (capi_rows_text(rows, WARNING)) {
        name->warned++;
        name->warning = name->warning ? name->warning : copy_text(rows, WARNING, p);
    }
    if (state == CAPI_STATE_REJECTED) {
        name->rejected++;
        name->error = name->error ? name->error : copy_text(rows, ERROR, p);
        return;
    }
    look_at_delivered(sample, rows, sent_as);
}

static int compare_names(const void *left, const void *right)
{
    const capi_sample_name_t *a = left;
    const capi_sample_name_t *b = right;

    return a->total != b->total ? b->total - a->total : strcmp(a->name, b->name);
}

apr_status_t capi_sample_take(capi_sample_t **sample, capi_store_t *store, apr_time_t told_since,
                              apr_time_t now, apr_pool_t *p)
{
    capi_statement_t newest = {.sql = REPORT_SQL_NEWEST};
    apr_int64_t since = now - LOOK_BACK;
    const void *values[] = {&since};
    capi_rows_t rows;
    apr_status_t rv = capi_rows_select(&rows, store, &newest, values, p);

    *sample = apr_pcalloc(p, sizeof(**sample));
    while (rv == APR_SUCCESS && capi_rows_next(&rows)) {
        look_at(*sample, &rows, told_since, p);
    }
    qsort((*sample)->names, (apr_size_t)(*sample)->names_count, sizeof((*sample)->names[0]),
          compare_names);
    return rv;
}
