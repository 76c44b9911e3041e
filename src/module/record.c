#include "said.h"

#include <apr_atomic.h>
#include <apr_strings.h>

APLOG_USE_MODULE(pinterest_capi);

/* After the response: what PHP said and what rules make of the request becomes an envelope, and the
 * envelope goes into the queue. The visitor waits for nothing here, but a worker does. */

/* A record is decoded by the sender as a whole and must fit a quarter of the smallest queue. */
#define CHUNK_BYTES (32 * 1024)

typedef struct {
    capi_visit_t *visit;
    request_rec *view; /* the request as the visitor sent it, with the final answer */
    apr_pool_t *pool;
    json_t *said_match;         /* raw match keys, all in one object; NULL if none */
    json_t *user_data;          /* the same, hashed */
    apr_array_header_t *events; /* capi_envelope_event_t */
} recording_t;

/* --- the queue --- */

/* A full queue refuses every request for a while; one line a minute says so. */
static void log_loss(server_rec *s, apr_status_t rv, int events)
{
    static apr_uint32_t said_in;
    apr_uint32_t minute = (apr_uint32_t)(apr_time_sec(apr_time_now()) / 60);

    if (apr_atomic_xchg32(&said_in, minute) == minute) {
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                 "PCAPI021: %s, so %d event%s of a request are lost, and perhaps others: %s",
                 rv == APR_ENOSPC   ? "the queue is full"
                 : rv == APR_TIMEUP ? "the queue was busy for too long"
                 : rv == APR_EINVAL ? "what a request said is too large for the queue"
                                    : "there is no queue",
                 events, events == 1 ? "" : "s",
                 rv == APR_ENOSPC ? "see whether the sender runs, or raise " CAPI_DIR_QUEUE_SIZE
                                  : "see the server-status page");
}

/* The next events of the envelope as one record. Binds and match keys travel with the first. */
static int encode_chunk(capi_record_t *record, const capi_envelope_t *envelope, int first,
                        apr_pool_t *p)
{
    capi_envelope_t chunk = *envelope;
    apr_size_t bytes = 0;
    int count = 0;

    while (first + count < envelope->event_count &&
           (count == 0 || bytes + envelope->events[first + count].json_len <= CHUNK_BYTES)) {
        bytes += envelope->events[first + count].json_len;
        count++;
    }
    chunk.events = envelope->events ? envelope->events + first : NULL;
    chunk.event_count = count;
    if (first > 0) {
        chunk.bind_count = 0;
        chunk.user_data = NULL;
    }
    capi_envelope_encode(record, &chunk, p);
    return count;
}

apr_status_t capi_record_push(server_rec *s, const capi_envelope_t *envelope, uint64_t *position,
                              apr_pool_t *p)
{
    capi_queue_t *queue = capi_queue();
    apr_array_header_t *records = apr_array_make(p, 1, sizeof(capi_record_t));
    apr_status_t rv = APR_EGENERAL;
    int done = 0;

    if (queue) {
        do {
            done += encode_chunk(apr_array_push(records), envelope, done, p);
        } while (done < envelope->event_count);
        rv = capi_queue_push(queue, (const capi_record_t *)(const void *)records->elts,
                             records->nelts, capi_envelope_class(envelope), position);
    }
    if (rv != APR_SUCCESS) {
        log_loss(s, rv, envelope->event_count);
    }
    return rv;
}

/* --- match keys: PHP's word, and what rules take from the request --- */

static void take_match(void *context, const json_t *value)
{
    recording_t *recording = context;

    if (!json_is_object(value)) {
        capi_said_complain(recording->visit, CAPI_HEADER_MATCH, "not an object");
        return;
    }
    if (!recording->said_match) {
        recording->said_match = json_object();
    }
    json_object_update(recording->said_match, (json_t *)(uintptr_t)value);
}

static apr_status_t free_json(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

static void read_match(recording_t *recording)
{
    int left_out = 0;

    capi_said_each(recording->visit, recording->visit->match_headers, CAPI_HEADER_MATCH, take_match,
                   recording);
    capi_facts_match(&recording->said_match, recording->visit, recording->view, recording->pool);
    if (!recording->said_match) {
        return;
    }
    recording->user_data = capi_event_user_data(&left_out, recording->said_match,
                                                recording->visit->server->country, recording->pool);
    json_decref(recording->said_match);
    if (recording->user_data) {
        apr_pool_cleanup_register(recording->pool, recording->user_data, free_json,
                                  apr_pool_cleanup_null);
    }
    capi_count(CAPI_COUNT_LEFT_OUT, left_out);
    if (left_out > 0) {
        capi_said_complain(
            recording->visit, recording->visit->match_headers ? CAPI_HEADER_MATCH : CAPI_DIR_MATCH,
            apr_psprintf(recording->pool, "%d of its values cannot be what their keys say",
                         left_out));
    }
}

static bool has_room(const recording_t *recording, const char *what)
{
    if (recording->events->nelts >= CAPI_EVENTS_PER_REQUEST) {
        capi_said_complain(recording->visit, what, "a request may have 1000 events");
        return false;
    }
    return true;
}

static void keep_event(recording_t *recording, capi_event_t *event, capi_source_t source)
{
    capi_visit_event(apr_array_push(recording->events), recording->visit, event, source,
                     recording->user_data);
}

static void add_event(recording_t *recording, const json_t *input, capi_source_t source,
                      const char *what)
{
    capi_event_rules_t rules;
    capi_event_t *event = NULL;
    const char *message = NULL;

    if (!has_room(recording, what)) {
        return;
    }
    capi_visit_event_rules(&rules, recording->visit, source);
    if (capi_event_parse(&event, &message, input, &rules, recording->pool) != APR_SUCCESS) {
        capi_said_complain(recording->visit, what, message ? message : "it is no event");
        return;
    }
    if (source == CAPI_SOURCE_HEADER && strcmp(event->sent_as, "page_visit") == 0) {
        recording->visit->has_page_visit = true;
    }
    keep_event(recording, event, source);
}

static void take_event(void *context, const json_t *value)
{
    add_event(context, value, CAPI_SOURCE_HEADER, "an event in " CAPI_HEADER_EVENT);
}

/* --- rules --- */

/* httpd traces what expressions evaluate to, and these read what people write; of one that it cannot
 * evaluate it says so each time. Both end here, whatever LogLevel says: line.c says it once. */
static const struct ap_logconf *quiet_log(const request_rec *r)
{
    struct ap_logconf *log = apr_pcalloc(r->pool, sizeof(*log));

    log->level = APLOG_CRIT;
    return log;
}

/* Rules speak of the request as the visitor sent it and of the final answer: a copy of the first
 * record that has both. */
static request_rec *make_view(const capi_visit_t *visit, const request_rec *last)
{
    request_rec *view = apr_pmemdup(visit->first->pool, visit->first, sizeof(*view));

    view->uri = (char *)(uintptr_t)visit->uri;
    view->args = (char *)(uintptr_t)visit->args;
    view->status = last->status;
    view->status_line = last->status_line;
    view->headers_out = last->headers_out;
    view->err_headers_out = last->err_headers_out;
    view->content_type = last->content_type;
    view->content_encoding = last->content_encoding;
    view->next = NULL;
    view->log = quiet_log(view);
    if (last != visit->first) {
        view->subprocess_env =
            apr_table_overlay(view->pool, last->subprocess_env, view->subprocess_env);
        apr_table_compress(view->subprocess_env, APR_OVERLAP_TABLES_SET);
    }
    return view;
}

/* Whom the page would otherwise take for visitors. */
static void notice_kind(capi_visit_t *visit)
{
    capi_queue_t *queue = capi_queue();

    if (!queue) {
        return;
    }
    capi_queue_notice(queue, CAPI_NOTICE_REQUEST);
    if (capi_visit_is_proxied(visit)) {
        capi_queue_notice(queue, CAPI_NOTICE_PROXIED);
    }
    if (capi_visit_is_bot(visit)) {
        capi_queue_notice(queue, CAPI_NOTICE_BOT);
    }
}

static void add_rule_events(recording_t *recording)
{
    static const char what[] = "an event by " CAPI_DIR_EVENT;
    const apr_array_header_t *made =
        capi_rules_evaluate(recording->visit, recording->view, recording->pool);
    int i;

    for (i = 0; i < made->nelts; i++) {
        const capi_rule_event_t *event = &APR_ARRAY_IDX(made, i, capi_rule_event_t);

        if (event->input) {
            add_event(recording, event->input, CAPI_SOURCE_RULE, what);
        }
        else if (has_room(recording, what)) {
            keep_event(
                recording,
                capi_event_plain(event->name, event->sent_as, apr_time_now(), recording->pool),
                CAPI_SOURCE_RULE);
        }
    }
    if (made->nelts > 0) {
        notice_kind(recording->visit);
    }
}

/* --- the envelope --- */

static apr_array_header_t *find_binds(const recording_t *recording)
{
    apr_array_header_t *said = capi_said_binds(recording->visit);

    capi_facts_bind(said, recording->visit, recording->view, recording->pool);
    return said;
}

static void set_binds(capi_envelope_t *envelope, const recording_t *recording,
                      const apr_array_header_t *said)
{
    int i;

    envelope->binds =
        apr_pcalloc(recording->pool, sizeof(*envelope->binds) * (apr_size_t)(said->nelts + 1));
    for (i = 0; i < said->nelts; i++) {
        const char *key =
            capi_visit_keyed_hash(recording->visit, "bind", APR_ARRAY_IDX(said, i, const char *));

        if (key) {
            envelope->binds[envelope->bind_count].key = key;
            envelope->binds[envelope->bind_count++].by_server = true;
        }
    }
}

/* A payment provider's call reports somebody else's order: its address, its agent and the session
 * that PHP opened for it are nobody's. */
static void forget_provider(capi_envelope_t *envelope, const capi_visit_t *visit)
{
    int i;

    if (visit->has_session_cookie || visit->has_visit_cookie || visit->click_id ||
        envelope->bind_count > 0) {
        return;
    }
    for (i = 0; i < envelope->event_count; i++) {
        if (!envelope->events[i].is_detached) {
            return;
        }
    }
    envelope->session_key = NULL;
    envelope->visit_key = NULL;
    envelope->address = NULL;
    envelope->agent = NULL;
}

/* A visitor who takes consent back says so by a cookie on every request from then on; those for the
 * parts of a page add nothing to that for the page. */
static bool is_denial_to_tell(const capi_visit_t *visit)
{
    const char *part = apr_table_get(visit->first->headers_in, "Sec-Fetch-Dest");

    return visit->consent.state == CAPI_CONSENT_DENIED && capi_consent_is_answer(&visit->consent) &&
           apr_table_get(visit->first->headers_in, "Cookie") &&
           (!part || strcmp(part, "document") == 0 || strcmp(part, "empty") == 0 ||
            strcmp(part, "iframe") == 0);
}

/* Whether a request without events and binds can tell the sender anything; says_something_new knows,
 * once the visit's keys are hashed, which most of a page's parts are spared. */
static bool may_have_news(const capi_visit_t *visit, const request_rec *last)
{
    return visit->consent_said || visit->click_id_is_new || visit->visit_id_is_new ||
           is_denial_to_tell(visit) || apr_table_get(last->headers_out, "Set-Cookie") ||
           apr_table_get(last->err_headers_out, "Set-Cookie");
}

/* Without events: does the sender learn anything about a visit? */
static bool says_something_new(const capi_envelope_t *envelope, const capi_visit_t *visit)
{
    bool is_granted = envelope->consent.state == CAPI_CONSENT_GRANTED;
    bool has_new_key = (envelope->session_key && !visit->has_session_cookie) ||
                       (envelope->visit_key && !visit->has_visit_cookie);

    if (envelope->bind_count > 0) {
        return true;
    }
    return (envelope->session_key || envelope->visit_key) &&
           (envelope->user_data || has_new_key || visit->consent_said || is_denial_to_tell(visit) ||
            (is_granted && visit->click_id_is_new));
}

static void push(recording_t *recording, const request_rec *last)
{
    capi_visit_t *visit = recording->visit;
    const apr_array_header_t *binds = find_binds(recording);
    capi_envelope_t envelope;

    if (recording->events->nelts == 0 && binds->nelts == 0 && !recording->user_data &&
        !may_have_news(visit, last)) {
        return;
    }
    capi_visit_envelope(&envelope, visit);
    set_binds(&envelope, recording, binds);
    envelope.events = (capi_envelope_event_t *)(void *)recording->events->elts;
    envelope.event_count = recording->events->nelts;
    /* Without a grant no context is kept; the events have taken theirs. */
    if (envelope.consent.state == CAPI_CONSENT_GRANTED && recording->user_data &&
        json_object_size(recording->user_data) > 0) {
        apr_size_t len;

        envelope.user_data = capi_event_text(&len, recording->user_data, recording->pool);
    }
    if (envelope.event_count == 0) {
        if (!says_something_new(&envelope, visit)) {
            return;
        }
    }
    else {
        forget_provider(&envelope, visit);
    }
    capi_record_push(visit->first->server, &envelope, NULL, recording->pool);
}

/* True where nothing can come of this request, which is told without allocating. */
static bool is_silent(const capi_visit_t *visit, const request_rec *last)
{
    return !visit->event_headers && !visit->match_headers && !visit->bind_headers &&
           !visit->dir->rules.items && !visit->dir->matches.items && !visit->dir->binds.items &&
           !may_have_news(visit, last);
}

int capi_record_request(request_rec *r)
{
    capi_visit_t *visit = capi_visit_of(r);
    request_rec *last = r;
    recording_t recording = {.visit = visit, .pool = r->pool};

    if (!visit || r->main || r->prev || r->method_number == M_INVALID) {
        return DECLINED;
    }
    while (last->next) {
        last = last->next;
    }
    if (!visit->is_settled || visit->is_endpoint || !capi_conf_is_on(visit->dir) ||
        is_silent(visit, last)) {
        return DECLINED;
    }
    recording.view = make_view(visit, last);
    recording.events = apr_array_make(r->pool, 2, sizeof(capi_envelope_event_t));
    read_match(&recording);
    capi_said_each(visit, visit->event_headers, CAPI_HEADER_EVENT, take_event, &recording);
    add_rule_events(&recording);
    push(&recording, last);
    return DECLINED;
}
