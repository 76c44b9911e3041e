#include "said.h"

#include "text.h"

#include <apr_atomic.h>
#include <apr_base64.h>
#include <apr_lib.h>
#include <apr_strings.h>

APLOG_USE_MODULE(pinterest_capi);

/* What PHP says in response headers: values read into events, match keys, binds and consent. A
 * value that cannot be read costs that value only, never the response. */

#define PIECES_MAX 512 /* of one event: two megabytes in lines of 4 KiB */

/* --- log, without flooding it --- */

#define COMPLAINTS_A_MINUTE 10

/* A shop that says something wrong says it on every request. True while there is room this minute. */
static bool may_complain(void)
{
    static apr_uint32_t minute, count;
    apr_uint32_t now = (apr_uint32_t)(apr_time_sec(apr_time_now()) / 60);

    if (apr_atomic_read32(&minute) != now) {
        apr_atomic_set32(&minute, now);
        apr_atomic_set32(&count, 0);
    }
    return apr_atomic_inc32(&count) < COMPLAINTS_A_MINUTE;
}

/* What rules and match keys read, visitors type: their typing errors are no trouble of the shop's. */
static bool is_shops_word(const char *what)
{
    return ap_strstr_c(what, "Pinterest-Capi-") && !ap_strstr_c(what, CAPI_HEADER_MATCH);
}

void capi_said_complain(const capi_visit_t *visit, const char *what, const char *message)
{
    if (may_complain()) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, visit->first,
                      "PCAPI020: %s of %s is left out: %s", what,
                      visit->uri ? visit->uri : "a request", message);
    }
    if (capi_queue() && is_shops_word(what)) {
        capi_queue_complain(capi_queue(),
                            apr_pstrcat(visit->first->pool, what, ": ", message, NULL),
                            apr_time_now());
    }
}

/* --- pieces of a long event: `~1/3 <base64url>` --- */

typedef struct {
    int total;
    int have;
    const char **texts; /* base64url */
} long_event_t;

typedef struct {
    const capi_visit_t *visit;
    apr_pool_t *pool;
    apr_array_header_t *long_events; /* long_event_t, those that wait for pieces */
    capi_said_fn *each;
    void *context;
} reader_t;

static bool decode(char **text, apr_size_t *len, const char *base64url, apr_pool_t *p)
{
    apr_size_t digits = strlen(base64url);
    char *base64 = apr_palloc(p, digits + 4);
    apr_size_t i;

    while (digits > 0 && base64url[digits - 1] == '=') {
        digits--;
    }
    if (digits % 4 == 1) {
        return false;
    }
    for (i = 0; i < digits; i++) {
        char c = base64url[i];

        if (!apr_isalnum(c) && !strchr("-_+/", c)) {
            return false;
        }
        base64[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (i % 4) {
        base64[i++] = '=';
    }
    base64[i] = '\0';
    *text = apr_palloc(p, (apr_size_t)apr_base64_decode_len(base64) + 1);
    *len = (apr_size_t)apr_base64_decode(*text, base64);
    return true;
}

/* Each piece is encoded by itself; one that was cut out of a single encoded text is read too. */
static json_t *join_pieces(const long_event_t *event, apr_pool_t *p)
{
    apr_array_header_t *texts = apr_array_make(p, event->total, sizeof(const char *));
    json_t *json = NULL;
    char *text = NULL;
    apr_size_t len = 0;
    char *whole;
    int i;

    for (i = 0; i < event->total; i++) {
        if (!decode(&text, &len, event->texts[i], p)) {
            break;
        }
        APR_ARRAY_PUSH(texts, const char *) = apr_pstrmemdup(p, text, len);
    }
    if (texts->nelts == event->total) {
        json = json_loads(apr_array_pstrcat(p, texts, 0), JSON_REJECT_DUPLICATES, NULL);
    }
    if (!json) {
        apr_array_clear(texts);
        for (i = 0; i < event->total; i++) {
            APR_ARRAY_PUSH(texts, const char *) = event->texts[i];
        }
        whole = apr_array_pstrcat(p, texts, 0);
        if (decode(&text, &len, whole, p)) {
            json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
        }
    }
    return json;
}

static void take_json(reader_t *reader, json_t *json)
{
    json_t *member;
    size_t i;

    if (json_is_array(json)) {
        json_array_foreach(json, i, member)
        {
            reader->each(reader->context, member);
        }
    }
    else {
        reader->each(reader->context, json);
    }
    json_decref(json);
}

/* The event that waits for piece `number` of `total`; a new one where none does. */
static long_event_t *find_long_event(reader_t *reader, int number, int total)
{
    long_event_t *event;
    int i;

    for (i = 0; i < reader->long_events->nelts; i++) {
        event = &APR_ARRAY_IDX(reader->long_events, i, long_event_t);
        if (event->total == total && !event->texts[number - 1]) {
            return event;
        }
    }
    event = apr_array_push(reader->long_events);
    event->total = total;
    event->have = 0;
    event->texts = apr_pcalloc(reader->pool, sizeof(const char *) * (apr_size_t)total);
    return event;
}

/* `text` stands at the tilde. Returns where the piece ends. */
static const char *take_piece(reader_t *reader, const char *text)
{
    const char *end = text + strcspn(text, ",");
    char *rest = NULL;
    apr_int64_t number = apr_strtoi64(text + 1, &rest, 10);
    apr_int64_t total = rest && *rest == '/' ? apr_strtoi64(rest + 1, &rest, 10) : 0;
    long_event_t *event;
    json_t *json;

    if (total < 1 || total > PIECES_MAX || number < 1 || number > total || *rest != ' ') {
        capi_said_complain(reader->visit, "a piece of " CAPI_HEADER_EVENT,
                           "it does not begin with ~1/3 and a blank");
        return end;
    }
    rest += strspn(rest, " ");
    event = find_long_event(reader, (int)number, (int)total);
    event->texts[number - 1] =
        apr_pstrmemdup(reader->pool, rest, (apr_size_t)(end > rest ? end - rest : 0));
    apr_collapse_spaces((char *)(uintptr_t)event->texts[number - 1], event->texts[number - 1]);
    if (++event->have < event->total) {
        return end;
    }
    json = join_pieces(event, reader->pool);
    event->total = -1; /* done */
    if (json) {
        take_json(reader, json);
    }
    else {
        capi_said_complain(reader->visit, CAPI_HEADER_EVENT, "its pieces together are not JSON");
    }
    return end;
}

/* One header value: objects, arrays and pieces, with commas between. */
static void read_value(reader_t *reader, const char *text, const char *header)
{
    for (text += strspn(text, ", \t"); *text; text += strspn(text, ", \t")) {
        json_error_t error;
        json_t *json;

        if (*text == '~') {
            text = take_piece(reader, text);
            continue;
        }
        json = json_loads(text, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &error);
        if (!json) {
            capi_said_complain(reader->visit, header,
                               apr_psprintf(reader->pool, "not JSON at byte %d (%s)",
                                            error.position + 1,
                                            json_error_code(&error) == json_error_duplicate_key
                                                ? "a key comes twice"
                                                : "an object or an array was expected"));
            return;
        }
        text += error.position;
        take_json(reader, json);
    }
}

void capi_said_each(capi_visit_t *visit, const apr_array_header_t *values, const char *header,
                    capi_said_fn *each, void *context)
{
    reader_t reader = {
        .visit = visit, .pool = visit->first->pool, .each = each, .context = context};
    int i;

    if (!values) {
        return;
    }
    reader.long_events = apr_array_make(reader.pool, 1, sizeof(long_event_t));
    for (i = 0; i < values->nelts; i++) {
        read_value(&reader, APR_ARRAY_IDX(values, i, const char *), header);
    }
    for (i = 0; i < reader.long_events->nelts; i++) {
        if (APR_ARRAY_IDX(reader.long_events, i, long_event_t).total > 0) {
            capi_said_complain(visit, header, "pieces of it are missing");
        }
    }
}

/* --- binds and consent: words, not JSON --- */

static bool is_bind(const char *text)
{
    apr_size_t len = strlen(text);

    return len > 0 && len <= CAPI_BIND_MAX && capi_is_clean_text(text, len);
}

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && apr_isspace(end[-1])) {
        *--end = '\0';
    }
    return text + strspn(text, " \t");
}

apr_array_header_t *capi_said_binds(capi_visit_t *visit)
{
    apr_pool_t *p = visit->first->pool;
    apr_array_header_t *binds = apr_array_make(p, 2, sizeof(const char *));
    int i;

    for (i = 0; visit->bind_headers && i < visit->bind_headers->nelts; i++) {
        char *rest = apr_pstrdup(p, APR_ARRAY_IDX(visit->bind_headers, i, const char *));
        char *word;

        while ((word = apr_strtok(rest, ",", &rest)) != NULL) {
            word = trim(word); /* blanks inside belong to the key, as they do to an order's id */
            if (is_bind(word)) {
                APR_ARRAY_PUSH(binds, const char *) = word;
            }
            else if (*word) {
                capi_said_complain(visit, CAPI_HEADER_BIND, "no key such as order:10492");
            }
        }
    }
    return binds;
}

void capi_said_consent(capi_visit_t *visit, const apr_array_header_t *values)
{
    capi_consent_state_t said = CAPI_CONSENT_UNKNOWN;
    int i;

    for (i = 0; i < values->nelts; i++) {
        char *rest = apr_pstrdup(visit->first->pool, APR_ARRAY_IDX(values, i, const char *));
        char *word;

        while ((word = apr_strtok(rest, ", \t", &rest)) != NULL) {
            if (ap_cstr_casecmp(word, "denied") == 0) {
                said = CAPI_CONSENT_DENIED; /* of two words, the denial */
            }
            else if (ap_cstr_casecmp(word, "granted") != 0) {
                capi_said_complain(visit, CAPI_HEADER_CONSENT, "neither granted nor denied");
            }
            else if (said != CAPI_CONSENT_DENIED) {
                said = CAPI_CONSENT_GRANTED;
            }
        }
    }
    if (said != CAPI_CONSENT_UNKNOWN) {
        capi_visit_hear_consent(visit, said);
    }
}
