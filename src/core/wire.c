/* The two wire formats, and the answers in Pinterest's shape that we read and write. */

#include "wire.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>
#include <sys/uio.h>

#define MESSAGE_MAX 500 /* bytes of a message of the other side that are kept */

/* The longest key of Pinterest's schema has 30 characters, a SHA-256 64, a click id about 100. */
#define LONGEST_WORD 40
#define WORD_ENDS    " '\"`(),;[]{}<>="

#define RESULT_MAX  4096 /* bytes of a result that is looked for again */
#define JSON_BLANKS " \t\r\n"

/* 15 digits are what a double keeps: 129.95 is written as it was meant. */
#define GUIDE_DUMP (JSON_COMPACT | JSON_REAL_PRECISION(15))

/* The text of `value` in the pool. */
static const char *dump(apr_size_t *len, const json_t *value, size_t flags, apr_pool_t *p)
{
    size_t need = json_dumpb(value, NULL, 0, flags);
    char *text = apr_palloc(p, need + 1);

    json_dumpb(value, text, need, flags);
    text[need] = '\0';
    *len = need;
    return text;
}

/* A decimal string of ours as a number, an integer where it has no point. The text stays where it
 * is none. */
static void make_number(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    json_t *number = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    if (json_is_number(number)) {
        json_object_set_new_nocheck(object, key, number);
    }
    else {
        json_decref(number);
    }
}

static void make_numbers(json_t *custom)
{
    const json_t *contents = json_object_get(custom, "contents");
    size_t index;
    json_t *item;

    make_number(custom, "value");
    make_number(custom, "predicted_ltv");
    json_array_foreach(contents, index, item)
    {
        make_number(item, "item_price");
    }
}

/* The same members in the same order, with click_id called epik. */
static json_t *rename_click_id(const json_t *user_data)
{
    json_t *renamed = json_object();
    const char *key;
    json_t *value;

    /* Iteration does not change the object; jansson has no const iterator. */
    json_object_foreach((json_t *)(uintptr_t)user_data, key, value)
    {
        json_object_set(renamed, strcmp(key, "click_id") == 0 ? "epik" : key, value);
    }
    return renamed;
}

apr_status_t capi_wire_event(const char **text, apr_size_t *len, capi_wire_t wire,
                             const char *canonical, apr_size_t canonical_len, const char *name,
                             apr_pool_t *p)
{
    json_t *event;
    json_t *user_data;

    if (wire == CAPI_WIRE_V5) {
        *text = canonical;
        *len = canonical_len;
        return APR_SUCCESS;
    }
    event = json_loadb(canonical, canonical_len, 0, NULL);
    user_data = json_object_get(event, "user_data");
    if (!json_is_object(user_data)) {
        json_decref(event);
        return APR_EINVAL;
    }
    json_object_set_new(event, "user_data", rename_click_id(user_data));
    make_numbers(json_object_get(event, "custom_data"));
    if (name) {
        json_object_set_new(event, "event_name", json_string(name));
    }
    *text = dump(len, event, GUIDE_DUMP, p);
    json_decref(event);
    return APR_SUCCESS;
}

/* What Pinterest repeats of an event may be its user data: e-mail addresses, IP addresses, hashes and
 * click ids. Keys and sentences have no such words. */
static bool is_personal(const char *word, apr_size_t len)
{
    apr_size_t digits = 0, dots = 0, colons = 0;

    if (len >= LONGEST_WORD || memchr(word, '@', len)) {
        return true;
    }
    for (apr_size_t i = 0; i < len; i++) {
        digits += apr_isxdigit(word[i]) ? 1 : 0;
        dots += word[i] == '.' ? 1 : 0;
        colons += word[i] == ':' ? 1 : 0;
    }
    return digits + dots + colons == len && (dots == 3 || colons >= 2);
}

static void mask_personal(char *text)
{
    while (*text) {
        apr_size_t len = strcspn(text, WORD_ENDS);
        if (len > 0 && is_personal(text, len)) {
            memset(text, '*', len);
        }
        text += len;
        text += strspn(text, WORD_ENDS);
    }
}

/* A message of the other side as it may be kept: clipped at a character, without line breaks,
 * control characters and what may be somebody's. NULL where it says nothing. */
static const char *keep_message(const json_t *value, apr_pool_t *p)
{
    const char *text = json_string_value(value);
    apr_size_t len = text ? strlen(text) : 0;
    char *kept;

    if (len == 0) {
        return NULL;
    }
    if (len > MESSAGE_MAX) {
        len = MESSAGE_MAX;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    kept = apr_pstrmemdup(p, text, len);
    for (char *c = kept; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = ' ';
        }
    }
    mask_personal(kept);
    return kept;
}

static apr_status_t read_result(capi_result_t *result, const json_t *value, apr_pool_t *p)
{
    const char *status = json_string_value(json_object_get(value, "status"));

    if (!status || (strcmp(status, "processed") != 0 && strcmp(status, "failed") != 0)) {
        return APR_EINVAL;
    }
    result->processed = *status == 'p';
    result->error = keep_message(json_object_get(value, "error_message"), p);
    result->warning = keep_message(json_object_get(value, "warning_message"), p);
    return APR_SUCCESS;
}

/* `folded` (0: not at all) says how often the first result stood; see fold_results. */
static bool is_folded(const json_t *events, int folded)
{
    return folded && json_is_integer(json_array_get(events, 0));
}

static size_t count_results(const json_t *events, int folded)
{
    return json_array_size(events) + (is_folded(events, folded) ? (size_t)folded - 2 : 0);
}

static apr_status_t read_results(capi_result_t **results, const json_t *events, int folded,
                                 int expected, apr_pool_t *p)
{
    size_t at = is_folded(events, folded) ? 1 : 0;
    int repeats = at ? folded - 1 : 0;

    if (expected < 0 || count_results(events, folded) != (size_t)expected) {
        return APR_EINVAL;
    }
    *results = apr_pcalloc(p, sizeof(capi_result_t) * (apr_size_t)(expected + 1));
    for (int i = 0; i < expected; i++) {
        if (i > 0 && i <= repeats) {
            (*results)[i] = (*results)[0];
        }
        else if (read_result(*results + i, json_array_get(events, at++), p) != APR_SUCCESS) {
            return APR_EINVAL;
        }
    }
    return APR_SUCCESS;
}

/* "953: The action could not be processed properly …" */
static const char *say_error(const json_t *answer, apr_pool_t *p)
{
    const char *message = keep_message(json_object_get(answer, "message"), p);
    const json_t *code = json_object_get(answer, "code");

    if (!message) {
        message = "no message";
    }
    return json_is_integer(code) ? apr_psprintf(p, "%" APR_INT64_T_FMT ": %s",
                                                (apr_int64_t)json_integer_value(code), message)
                                 : message;
}

/* A value is a few bytes of text and hundreds in memory. An answer has three for each event, and what
 * stands in its messages counts as well here. */
static bool is_plausible(const char *body, apr_size_t len, int expected)
{
    apr_size_t allowed = 1024 + 32 * (apr_size_t)(expected > 0 ? expected : 0);
    apr_size_t values = 0;

    for (apr_size_t i = 0; i < len; i++) {
        values += body[i] == '{' || body[i] == '[' || body[i] == ',';
    }
    return values <= allowed;
}

static const char *skip(const char *at, const char *end, const char *what)
{
    while (at < end && *at && strchr(what, *at)) {
        at++;
    }
    return at;
}

/* Results that are the same, byte for byte, each behind the other. */
typedef struct {
    const char *first;
    apr_size_t len;  /* of one */
    apr_size_t step; /* from one to the next */
    int count;
} repeats_t;

static bool is_object_text(const char *text, apr_size_t len)
{
    json_t *value = json_loadb(text, len, 0, NULL);
    bool is_object = json_is_object(value);

    json_decref(value);
    return is_object;
}

/* The first result, by where the next one begins: a comma and blanks, and the same bytes again. */
static bool find_first(repeats_t *repeats, const char *at, const char *end)
{
    repeats->first = at;
    for (at = memchr(at, '}', (apr_size_t)(end - at)); at;
         at = memchr(at, '}', (apr_size_t)(end - at))) {
        const char *comma = skip(++at, end, JSON_BLANKS);
        const char *next = comma < end && *comma == ',' ? skip(comma + 1, end, JSON_BLANKS) : end;

        repeats->len = (apr_size_t)(at - repeats->first);
        repeats->step = (apr_size_t)(next - repeats->first);
        if ((apr_size_t)(end - next) >= repeats->len) {
            return repeats->len <= RESULT_MAX && memcmp(next, repeats->first, repeats->len) == 0 &&
                   is_object_text(repeats->first, repeats->len);
        }
    }
    return false;
}

static void count_repeats(repeats_t *repeats, const char *end)
{
    const char *at = repeats->first + repeats->step;

    repeats->count = 1;
    while ((apr_size_t)(end - at) >= repeats->len &&
           memcmp(at, repeats->first, repeats->len) == 0) {
        repeats->count++;
        if ((apr_size_t)(end - at) < repeats->step ||
            memcmp(at + repeats->len, repeats->first + repeats->len,
                   repeats->step - repeats->len) != 0) {
            break;
        }
        at += repeats->step;
    }
}

/* Pinterest says the same of most events, a thousand times over, and reading that was a sixth of what
 * a delivery costs. Where results repeat the first one, *body becomes one without the repetitions and
 * with the number of results in front; returns that number, else 0. Whatever else is wrong with the
 * body stays wrong: what is left out is JSON by itself, and the same text stays. */
static int fold_results(const char **body, apr_size_t *len, apr_pool_t *p)
{
    static const char key[] = "\"events\"";
    const char *end = *body + *len;
    const char *at = memmem(*body, *len, key, sizeof(key) - 1);
    repeats_t repeats;
    struct iovec parts[3];

    if (!at || !find_first(&repeats, skip(at + sizeof(key) - 1, end, JSON_BLANKS ":["), end)) {
        return 0;
    }
    count_repeats(&repeats, end);
    at = repeats.first + (apr_size_t)(repeats.count - 1) * repeats.step;
    parts[0].iov_base = (char *)(uintptr_t)*body;
    parts[0].iov_len = (apr_size_t)(repeats.first - *body);
    parts[1].iov_base = apr_psprintf(p, "%d,", repeats.count);
    parts[1].iov_len = strlen(parts[1].iov_base);
    parts[2].iov_base = (char *)(uintptr_t)at;
    parts[2].iov_len = (apr_size_t)(end - at);
    *body = apr_pstrcatv(p, parts, 3, len);
    return repeats.count;
}

/* The answer as JSON; NULL, with *message, where it is none that can be meant. */
static json_t *read_answer(int *folded, const char **message, const char *body, apr_size_t len,
                           int expected, apr_pool_t *p)
{
    *folded = 0;
    *message = "the answer is no JSON";
    if (!body) {
        return NULL;
    }
    *folded = fold_results(&body, &len, p);
    if (!is_plausible(body, len, expected)) {
        *message = "the answer holds far more than results";
        return NULL;
    }
    return json_loadb(body, len, JSON_DECODE_ANY, NULL);
}

apr_status_t capi_wire_answer(capi_result_t **results, const char **message, const char *body,
                              apr_size_t len, int expected, apr_pool_t *p)
{
    int folded;
    json_t *answer = read_answer(&folded, message, body, len, expected, p);
    const json_t *events = json_object_get(answer, "events");
    apr_status_t rv;

    if (!answer) {
        return APR_EINVAL;
    }
    if (!events) {
        events = json_object_get(json_object_get(answer, "details"), "events");
    }
    if (!json_is_array(events)) {
        *message = say_error(answer, p);
        rv = APR_ENOENT;
    }
    else {
        rv = read_results(results, events, folded, expected, p);
        if (rv != APR_SUCCESS) {
            *message = apr_psprintf(p,
                                    "the answer has %" APR_SIZE_T_FMT
                                    " results or one without a status, for %d events",
                                    count_results(events, folded), expected);
        }
    }
    json_decref(answer);
    return rv;
}

/* Pinterest says nothing as an empty text, not as null. */
static json_t *message_json(const char *message)
{
    json_t *text = message ? json_string(message) : NULL;

    return text ? text : json_string("");
}

json_t *capi_wire_report(const capi_result_t *results, int count)
{
    json_t *report = json_object();
    json_t *events = json_array();
    int processed = 0;

    for (int i = 0; i < count; i++) {
        json_t *event = json_object();

        json_object_set_new(event, "status",
                            json_string(results[i].processed ? "processed" : "failed"));
        json_object_set_new(event, "error_message", message_json(results[i].error));
        json_object_set_new(event, "warning_message", message_json(results[i].warning));
        json_array_append_new(events, event);
        processed += results[i].processed;
    }
    json_object_set_new(report, "num_events_received", json_integer(count));
    json_object_set_new(report, "num_events_processed", json_integer(processed));
    json_object_set_new(report, "events", events);
    return report;
}

json_t *capi_wire_error(int code, const char *message, json_t *details)
{
    json_t *error = json_object();

    json_object_set_new(error, "code", json_integer(code));
    json_object_set_new(error, "message", message_json(message));
    if (details) {
        json_object_set_new(error, "details", details);
    }
    return error;
}
