#include "body.h"

#include "form.h"
#include "pointer.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <http_protocol.h>
#include <util_filter.h>

/* Copies of the bodies that pass, where a rule of this place reads them. Nothing is read ahead, set
 * aside or changed: whoever reads, reads what would have been there without us, when it is there. */

#define FILTER_BODY   "PINTEREST_CAPI_BODY"
#define FILTER_ANSWER "PINTEREST_CAPI_ANSWER"
#define FIRST_ROOM    2048

static ap_filter_rec_t *body_filter;
static ap_filter_rec_t *answer_filter;

typedef struct {
    char *bytes;
    apr_size_t len, room, limit;
    bool is_whole;   /* its end was seen */
    bool is_dropped; /* larger than the limit, or not to be understood */
    apr_pool_t *pool;
} copy_t;

typedef enum { NO_KIND, URLENCODED, MULTIPART, JSON } kind_t;

struct capi_bodies_t {
    copy_t body;
    kind_t kind;
    apr_off_t declared; /* length of the body, -1 where nobody said */
    bool is_encoded;    /* by Content-Encoding, unless a filter before ours decodes */
    copy_t answer;
    apr_array_header_t *form; /* read when first asked for */
    json_t *body_json, *answer_json;
    bool is_body_read, is_answer_read;
    bool is_reading; /* a read is on its way through the filter */
};

/* --- a copy --- */

static void drop(copy_t *copy)
{
    copy->is_dropped = true;
    copy->bytes = NULL;
    copy->len = copy->room = 0;
}

static void append(copy_t *copy, const char *bytes, apr_size_t len)
{
    if (copy->is_dropped || len == 0) {
        return;
    }
    if (len > copy->limit - copy->len) {
        drop(copy);
        return;
    }
    if (copy->len + len > copy->room) {
        apr_size_t wanted = copy->len + len;
        apr_size_t doubled = 2 * copy->room;
        char *wider;

        copy->room = doubled > wanted ? doubled : wanted;
        copy->room = copy->room < FIRST_ROOM ? FIRST_ROOM : copy->room;
        copy->room = copy->room > copy->limit ? copy->limit : copy->room;
        wider = apr_palloc(copy->pool, copy->room);
        if (copy->len > 0) {
            memcpy(wider, copy->bytes, copy->len);
        }
        copy->bytes = wider;
    }
    memcpy(copy->bytes + copy->len, bytes, len);
    copy->len += len;
}

/* --- what the visitor sends --- */

static bool is_type(const char *type, apr_size_t len, const char *wanted)
{
    return len == strlen(wanted) && ap_cstr_casecmpn(type, wanted, len) == 0;
}

static kind_t kind_of(const char *type)
{
    apr_size_t len = type ? strcspn(type, "; \t") : 0;

    if (is_type(type, len, "application/x-www-form-urlencoded")) {
        return URLENCODED;
    }
    if (is_type(type, len, "multipart/form-data")) {
        return MULTIPART;
    }
    if (is_type(type, len, "application/json") ||
        (len > 5 && ap_cstr_casecmpn(type + len - 5, "+json", 5) == 0)) {
        return JSON;
    }
    return NO_KIND;
}

/* True while what is read is still compressed. mod_deflate takes the header away as it decodes. */
static bool is_encoded(const request_rec *r)
{
    const char *encoding = apr_table_get(r->headers_in, "Content-Encoding");

    return encoding && ap_cstr_casecmp(encoding, "identity") != 0;
}

static bool has_decoder(const request_rec *r)
{
    const ap_filter_t *f;

    for (f = r->input_filters; f; f = f->next) {
        if (ap_cstr_casecmp(f->frec->name, "deflate") == 0) {
            return true;
        }
    }
    return false;
}

static void take_body(struct capi_bodies_t *bodies, const request_rec *r, apr_bucket_brigade *bb)
{
    copy_t *copy = &bodies->body;
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *bytes;
        apr_size_t len;

        if (APR_BUCKET_IS_EOS(b)) {
            copy->is_whole = bodies->declared < 0 || (apr_size_t)bodies->declared == copy->len;
            return;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        if (b->length == (apr_size_t)-1 ||
            apr_bucket_read(b, &bytes, &len, APR_BLOCK_READ) != APR_SUCCESS ||
            (bodies->is_encoded && is_encoded(r))) {
            drop(copy);
            return;
        }
        append(copy, bytes, len);
        /* EOS may never come: some handlers stop behind Content-Length bytes */
        copy->is_whole = bodies->declared >= 0 && (apr_size_t)bodies->declared == copy->len;
    }
}

static apr_status_t copy_body(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                              apr_read_type_e block, apr_off_t bytes)
{
    struct capi_bodies_t *bodies = f->ctx;
    bool is_inner = bodies->is_reading;
    apr_status_t rv;

    bodies->is_reading = true;
    rv = ap_get_brigade(f->next, bb, mode, block, bytes);
    bodies->is_reading = is_inner;
    if (is_inner) {
        return rv; /* httpd reads what stands behind the last chunk, from the top */
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (mode == AP_MODE_READBYTES) {
        take_body(bodies, f->r, bb);
    }
    else if (mode == AP_MODE_GETLINE || mode == AP_MODE_EXHAUSTIVE) {
        drop(&bodies->body); /* bytes pass that are not counted */
    }
    if (bodies->body.is_dropped) {
        ap_remove_input_filter(f);
    }
    return rv;
}

/* Proxies look whether the protocol's filters are all there are: with another one before them they
 * cannot know the length of a chunked body, and php-fpm would get none. Ours changes nothing, so it
 * counts as one of the protocol's, where it is the only one. Those stay through an internal
 * redirect, too. */
static void add_unseen(request_rec *r, struct capi_bodies_t *bodies)
{
    bool is_alone = r->input_filters == r->proto_input_filters;
    ap_filter_t *f;

    for (f = r->input_filters; f; f = f->next) {
        if (f->frec == body_filter) {
            return;
        }
    }
    ap_add_input_filter_handle(body_filter, bodies, r, r->connection);
    if (is_alone) {
        r->proto_input_filters = r->input_filters;
    }
}

static void insert_body(request_rec *r, capi_visit_t *visit)
{
    struct capi_bodies_t *bodies = visit->bodies;
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t declared = -1;

    if (bodies->body.is_dropped || bodies->body.is_whole) {
        return; /* by a record of the same chain */
    }
    bodies->kind = kind_of(apr_table_get(r->headers_in, "Content-Type"));
    if (bodies->kind == NO_KIND || (length && !ap_parse_strict_length(&declared, length)) ||
        declared > (apr_off_t)bodies->body.limit || declared == 0) {
        return;
    }
    bodies->is_encoded = is_encoded(r);
    if (bodies->is_encoded && !has_decoder(r)) {
        return;
    }
    bodies->declared = bodies->is_encoded ? -1 : declared;
    if (bodies->declared > 0 && !bodies->body.bytes) {
        bodies->body.room = (apr_size_t)bodies->declared;
        bodies->body.bytes = apr_palloc(bodies->body.pool, bodies->body.room);
    }
    add_unseen(r, bodies);
}

/* --- what is answered --- */

/* Pages are no JSON; the first character tells, behind blanks and a byte order mark. */
static bool may_be_json(const copy_t *copy)
{
    apr_size_t i = copy->len >= 3 && memcmp(copy->bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    while (i < copy->len && apr_isspace(copy->bytes[i])) {
        i++;
    }
    return i == copy->len || copy->bytes[i] == '{' || copy->bytes[i] == '[' ||
           copy->bytes[i] == '\xef';
}

/* An answer that cannot be read is told by its headers, so that none of it is touched. */
static bool is_readable(const request_rec *r, const copy_t *copy)
{
    const char *length = apr_table_get(r->headers_out, "Content-Length");
    apr_off_t declared = 0;

    return !r->header_only && !r->content_encoding &&
           !apr_table_get(r->headers_out, "Content-Encoding") &&
           !apr_table_get(r->err_headers_out, "Content-Encoding") &&
           (!length ||
            (ap_parse_strict_length(&declared, length) && declared <= (apr_off_t)copy->limit));
}

/* Reads a bucket as the network's filter would: what is ready goes out before anybody waits. */
static apr_status_t read_bucket(const char **bytes, apr_size_t *len, apr_bucket *b, ap_filter_t *f,
                                apr_bucket_brigade *bb)
{
    apr_status_t rv = apr_bucket_read(b, bytes, len, APR_NONBLOCK_READ);
    apr_bucket_brigade *rest;

    if (!APR_STATUS_IS_EAGAIN(rv)) {
        return rv;
    }
    rest = apr_brigade_split(bb, b);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(f->c->bucket_alloc));
    rv = ap_pass_brigade(f->next, bb);
    apr_brigade_cleanup(bb);
    if (rv == APR_SUCCESS) {
        rv = apr_bucket_read(b, bytes, len, APR_BLOCK_READ);
    }
    APR_BRIGADE_CONCAT(bb, rest);
    apr_brigade_destroy(rest);
    return rv;
}

static apr_status_t take_answer(copy_t *copy, ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb) && !copy->is_dropped;
         b = APR_BUCKET_NEXT(b)) {
        const char *bytes = NULL;
        apr_size_t len = 0;
        apr_status_t rv;

        if (APR_BUCKET_IS_EOS(b)) {
            copy->is_whole = true;
            return APR_SUCCESS;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        if (b->length != (apr_size_t)-1 && b->length > copy->limit - copy->len) {
            drop(copy); /* before a file is mapped for nothing */
            return APR_SUCCESS;
        }
        rv = read_bucket(&bytes, &len, b, f, bb);
        if (rv != APR_SUCCESS) {
            drop(copy);
            return rv;
        }
        append(copy, bytes, len);
        if (!copy->is_dropped && !may_be_json(copy)) {
            drop(copy);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t copy_answer(ap_filter_t *f, apr_bucket_brigade *bb)
{
    struct capi_bodies_t *bodies = capi_visit_of(f->r)->bodies;
    copy_t *copy = &bodies->answer;
    apr_status_t rv = APR_SUCCESS;

    if (!f->ctx) { /* the first bytes of this record's answer; an earlier record's is void */
        f->ctx = copy;
        copy->len = 0;
        copy->is_whole = false;
        copy->is_dropped = !is_readable(f->r, copy);
    }
    if (!copy->is_dropped) {
        rv = take_answer(copy, f, bb);
    }
    if (copy->is_dropped || copy->is_whole) {
        ap_remove_output_filter(f);
    }
    /* what could not be read fails again where it is needed, behind what could */
    return rv == APR_SUCCESS || !APR_BRIGADE_EMPTY(bb) ? ap_pass_brigade(f->next, bb) : rv;
}

/* --- reading the copies --- */

static apr_status_t free_json(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

static json_t *parse(const copy_t *copy)
{
    json_t *json = capi_pointer_parse(copy->bytes ? copy->bytes : "", copy->len);

    if (json) {
        apr_pool_cleanup_register(copy->pool, json, free_json, apr_pool_cleanup_null);
    }
    return json;
}

/* Read once, when its end has come. */
static struct capi_bodies_t *read_body(const capi_visit_t *visit)
{
    struct capi_bodies_t *bodies = visit->bodies;
    const copy_t *copy = bodies ? &bodies->body : NULL;

    if (!copy || copy->is_dropped || !copy->is_whole || copy->len == 0) {
        return NULL;
    }
    if (!bodies->is_body_read) {
        bodies->is_body_read = true;
        if (bodies->kind == URLENCODED) {
            bodies->form = capi_form_urlencoded(copy->bytes, copy->len, copy->pool);
        }
        else if (bodies->kind == MULTIPART) {
            bodies->form = capi_form_multipart(
                copy->bytes, copy->len, apr_table_get(visit->first->headers_in, "Content-Type"),
                copy->pool);
        }
        else {
            bodies->body_json = parse(copy);
        }
    }
    return bodies;
}

const apr_array_header_t *capi_body_form(const capi_visit_t *visit)
{
    const struct capi_bodies_t *bodies = read_body(visit);

    return bodies ? bodies->form : NULL;
}

const json_t *capi_body_json(const capi_visit_t *visit)
{
    const struct capi_bodies_t *bodies = read_body(visit);

    return bodies ? bodies->body_json : NULL;
}

const json_t *capi_answer_json(const capi_visit_t *visit)
{
    struct capi_bodies_t *bodies = visit->bodies;

    if (!bodies || bodies->answer.is_dropped || !bodies->answer.is_whole) {
        return NULL;
    }
    if (!bodies->is_answer_read) {
        bodies->is_answer_read = true;
        bodies->answer_json = parse(&bodies->answer);
    }
    return bodies->answer_json;
}

/* --- registration --- */

void capi_body_register(apr_pool_t *p)
{
    (void)p;
    /* on the application's side of what decodes and encodes (AP_FTYPE_CONTENT_SET) */
    body_filter = ap_register_input_filter(FILTER_BODY, copy_body, NULL, AP_FTYPE_RESOURCE);
    answer_filter = ap_register_output_filter(FILTER_ANSWER, copy_answer, NULL, AP_FTYPE_RESOURCE);
}

static unsigned int reads_of(const capi_dir_conf_t *conf)
{
    unsigned int reads = 0;
    int i;

    for (i = 0; conf->rules.items && i < conf->rules.items->nelts; i++) {
        reads |= capi_rule_reads(APR_ARRAY_IDX(conf->rules.items, i, const capi_rule_t *));
    }
    for (i = 0; conf->matches.items && i < conf->matches.items->nelts; i++) {
        reads |= capi_fact_reads(APR_ARRAY_IDX(conf->matches.items, i, const capi_fact_t *));
    }
    for (i = 0; conf->binds.items && i < conf->binds.items->nelts; i++) {
        reads |= capi_fact_reads(APR_ARRAY_IDX(conf->binds.items, i, const capi_fact_t *));
    }
    return reads;
}

void capi_body_insert(request_rec *r)
{
    capi_visit_t *visit = capi_visit_of(r);
    unsigned int reads;

    if (!visit || r->main || !visit->is_settled || visit->is_endpoint ||
        !capi_conf_is_on(visit->dir)) {
        return;
    }
    reads = reads_of(visit->dir);
    if (reads == 0) {
        return;
    }
    if (!visit->bodies) {
        struct capi_bodies_t *bodies = apr_pcalloc(visit->first->pool, sizeof(*bodies));

        bodies->body.pool = bodies->answer.pool = visit->first->pool;
        bodies->body.limit = bodies->answer.limit = capi_conf_body_limit(visit->dir);
        visit->bodies = bodies;
    }
    if (reads & CAPI_READS_BODY) {
        insert_body(r, visit);
    }
    if (reads & CAPI_READS_ANSWER) {
        ap_add_output_filter_handle(answer_filter, NULL, r, r->connection);
    }
}
