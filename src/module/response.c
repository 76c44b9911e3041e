#include "said.h"

#include "text.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <http_protocol.h>
#include <util_filter.h>

/* Filters on the way out. Bodies pass untouched; each filter looks at the headers once, before the
 * first byte, and removes itself. */

#define FILTER_TAKE   "PINTEREST_CAPI_TAKE"
#define FILTER_FINISH "PINTEREST_CAPI_FINISH"

#define VISIT_MAX_AGE 31536000 /* a year, as _epik */

/* Behind CACHE_SAVE and CACHE_OUT (AP_FTYPE_CONTENT_SET + 1): what is set here, no cache of this
 * server keeps, and what a cache kept from before is still taken out. */
#define BEHIND_CACHE ((ap_filter_type)(AP_FTYPE_CONTENT_SET + 2))

static ap_filter_rec_t *take_filter;
static ap_filter_rec_t *finish_filter;
static bool has_cache; /* mod_cache is loaded */

/* --- our four headers --- */

typedef struct {
    apr_array_header_t *values;
    apr_pool_t *pool;
} values_t;

static int keep_value(void *values, const char *name, const char *value)
{
    values_t *kept = values;

    (void)name;
    APR_ARRAY_PUSH(kept->values, const char *) = apr_pstrdup(kept->pool, value);
    return 1;
}

/* mod_php sets headers_out, CGI and FastCGI err_headers_out. NULL where neither has the header. */
static apr_array_header_t *take_header(request_rec *r, const char *name)
{
    values_t kept = {.pool = r->pool};

    if (!apr_table_get(r->headers_out, name) && !apr_table_get(r->err_headers_out, name)) {
        return NULL;
    }
    kept.values = apr_array_make(r->pool, 2, sizeof(const char *));
    apr_table_do(keep_value, &kept, r->headers_out, name, NULL);
    apr_table_do(keep_value, &kept, r->err_headers_out, name, NULL);
    apr_table_unset(r->headers_out, name);
    apr_table_unset(r->err_headers_out, name);
    return kept.values;
}

static void append_values(apr_array_header_t **all, apr_array_header_t *values)
{
    if (!values) {
        return;
    }
    if (*all) {
        apr_array_cat(*all, values);
    }
    else {
        *all = values;
    }
}

/* All four begin alike, and most answers have none of them. */
static bool has_ours(const apr_table_t *headers)
{
    static const char prefix[] = "Pinterest-Capi-";
    const apr_array_header_t *lines = apr_table_elts(headers);
    int i;

    for (i = 0; i < lines->nelts; i++) {
        const char *name = APR_ARRAY_IDX(lines, i, apr_table_entry_t).key;

        if ((name[0] == 'P' || name[0] == 'p') &&
            ap_cstr_casecmpn(name, prefix, sizeof(prefix) - 1) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes the headers out; what they say goes to the visit where there is one that listens. */
static void take_headers(request_rec *r, capi_visit_t *visit)
{
    apr_array_header_t *events, *matches, *binds, *consents;

    if (!has_ours(r->headers_out) && !has_ours(r->err_headers_out)) {
        return;
    }
    events = take_header(r, CAPI_HEADER_EVENT);
    matches = take_header(r, CAPI_HEADER_MATCH);
    binds = take_header(r, CAPI_HEADER_BIND);
    consents = take_header(r, CAPI_HEADER_CONSENT);

    if (!visit || !visit->is_settled || !capi_conf_is_on(visit->dir)) {
        return;
    }
    append_values(&visit->event_headers, events);
    append_values(&visit->match_headers, matches);
    append_values(&visit->bind_headers, binds);
    if (consents) {
        capi_said_consent(visit, consents);
    }
}

static apr_status_t take(ap_filter_t *f, apr_bucket_brigade *brigade)
{
    take_headers(f->r, capi_visit_of(f->r));
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, brigade);
}

/* --- the cookies --- */

static bool sets_epik(const apr_table_t *headers)
{
    const apr_array_header_t *lines = apr_table_elts(headers);
    apr_size_t len;
    int i;

    for (i = 0; i < lines->nelts; i++) {
        const apr_table_entry_t *line = &APR_ARRAY_IDX(lines, i, apr_table_entry_t);

        if (line->key && ap_cstr_casecmp(line->key, "Set-Cookie") == 0 &&
            capi_set_cookie_raw(&len, line->val, "_epik")) {
            return true;
        }
    }
    return false;
}

static bool wants_cookie(const capi_visit_t *visit, const request_rec *r)
{
    return visit && visit->is_settled && visit->click_id_is_new && !visit->cookie_is_set &&
           capi_conf_is_on(visit->dir) && visit->consent.state == CAPI_CONSENT_GRANTED &&
           capi_conf_sets_epik(visit->server) && !sets_epik(r->headers_out) &&
           !sets_epik(r->err_headers_out);
}

static const char *epik_text(const capi_visit_t *visit)
{
    const capi_server_conf_t *conf = visit->server;
    request_rec *r = visit->first;

    return apr_psprintf(
        r->pool, "_epik=%s; Path=/; Max-Age=%d; SameSite=Lax%s%s%s", visit->click_id,
        capi_conf_epik_max_age(conf), strcmp(ap_http_scheme(r), "https") == 0 ? "; Secure" : "",
        conf->epik_domain ? "; Domain=" : "", conf->epik_domain ? conf->epik_domain : "");
}

/* What a page loads besides data: their answers cross, and each would bring a cookie of its own. */
static bool is_part_of_page(const capi_visit_t *visit, const request_rec *r)
{
    static const char *const parts[] = {"image/",
                                        "font/",
                                        "audio/",
                                        "video/",
                                        "text/css",
                                        "text/javascript",
                                        "application/javascript"};
    const char *destination = apr_table_get(visit->first->headers_in, "Sec-Fetch-Dest");
    apr_size_t i;

    if (destination) {
        return strcmp(destination, "document") != 0 && strcmp(destination, "iframe") != 0 &&
               strcmp(destination, "empty") != 0;
    }
    for (i = 0; r->content_type && i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (ap_cstr_casecmpn(r->content_type, parts[i], strlen(parts[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool wants_visit_cookie(capi_visit_t *visit, const request_rec *r)
{
    return visit && visit->is_settled && !visit->visit_cookie_is_set &&
           capi_conf_is_on(visit->dir) && !is_part_of_page(visit, r) &&
           capi_visit_makes_cookie(visit);
}

/* The browser sends it on the way back from another site too (Lax), and shows it to no script. */
static const char *visit_text(const capi_visit_t *visit)
{
    request_rec *r = visit->first;

    return apr_psprintf(r->pool, "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%s",
                        capi_conf_visit_cookie(visit->server), visit->visit_id, VISIT_MAX_AGE,
                        strcmp(ap_http_scheme(r), "https") == 0 ? "; Secure" : "");
}

typedef struct {
    const char *control; /* what stays */
    bool is_private;
    apr_pool_t *pool;
} control_t;

/* One directive of Cache-Control; `len` without the comma. */
static void add_directive(control_t *control, const char *text, apr_size_t len)
{
    while (len > 0 && apr_isspace(*text)) {
        text++;
        len--;
    }
    while (len > 0 && apr_isspace(text[len - 1])) {
        len--;
    }
    if (len == 0 || (len == 6 && ap_cstr_casecmpn(text, "public", 6) == 0) ||
        (len >= 8 && ap_cstr_casecmpn(text, "s-maxage", 8) == 0)) {
        return;
    }
    control->is_private |= (len == 7 && ap_cstr_casecmpn(text, "private", 7) == 0) ||
                           (len == 8 && ap_cstr_casecmpn(text, "no-store", 8) == 0);
    control->control =
        apr_pstrcat(control->pool, control->control ? control->control : "",
                    control->control ? ", " : "", apr_pstrmemdup(control->pool, text, len), NULL);
}

static int add_directives(void *context, const char *name, const char *value)
{
    bool is_quoted = false;
    const char *start = value;

    (void)name;
    for (; *value; value++) {
        if (*value == '"') {
            is_quoted = !is_quoted;
        }
        else if (*value == ',' && !is_quoted) {
            add_directive(context, start, (apr_size_t)(value - start));
            start = value + 1;
        }
    }
    add_directive(context, start, (apr_size_t)(value - start));
    return 1;
}

/* A response with a visitor's cookie is that visitor's alone, for every cache on the way. */
static void make_private(request_rec *r)
{
    control_t control = {.pool = r->pool};

    apr_table_do(add_directives, &control, r->headers_out, "Cache-Control", NULL);
    apr_table_do(add_directives, &control, r->err_headers_out, "Cache-Control", NULL);
    if (!control.is_private) {
        add_directive(&control, "private", 7);
    }
    apr_table_unset(r->err_headers_out, "Cache-Control");
    apr_table_setn(r->headers_out, "Cache-Control", control.control);
}

static apr_status_t finish(ap_filter_t *f, apr_bucket_brigade *brigade)
{
    request_rec *r = f->r;
    capi_visit_t *visit = capi_visit_of(r);
    bool is_private = false;

    /* only what a cache kept from a time without the module: its event is long over */
    take_headers(r, NULL);
    if (wants_cookie(visit, r)) {
        visit->cookie_is_set = is_private = true;
        apr_table_addn(r->headers_out, "Set-Cookie", epik_text(visit));
    }
    if (wants_visit_cookie(visit, r)) {
        visit->visit_cookie_is_set = is_private = true;
        apr_table_addn(r->headers_out, "Set-Cookie", visit_text(visit));
    }
    if (is_private) {
        make_private(r);
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, brigade);
}

/* --- registration --- */

void capi_response_register(apr_pool_t *p)
{
    (void)p;
    take_filter = ap_register_output_filter(FILTER_TAKE, take, NULL, AP_FTYPE_CONTENT_SET);
    finish_filter = ap_register_output_filter(FILTER_FINISH, finish, NULL, BEHIND_CACHE);
}

void capi_response_child_init(apr_pool_t *p, server_rec *s)
{
    (void)p;
    (void)s;
    has_cache = ap_find_linked_module("mod_cache.c") != NULL;
}

/* Whether anything can be left to do behind the caches. */
static bool needs_finish(const request_rec *r)
{
    const capi_visit_t *visit = capi_visit_of(r);

    return has_cache || (visit && visit->is_settled && capi_conf_is_on(visit->dir) &&
                         (visit->click_id_is_new || capi_conf_visit_cookie(visit->server)));
}

void capi_response_insert(request_rec *r)
{
    if (r->main) {
        return;
    }
    ap_add_output_filter_handle(take_filter, NULL, r, r->connection);
    if (needs_finish(r)) {
        ap_add_output_filter_handle(finish_filter, NULL, r, r->connection);
    }
}

/* httpd threw the filters away to send an error or a redirect of its own; the headers of the program
 * that failed may still be there. What was refused or redirected early settles here. */
void capi_response_insert_error(request_rec *r)
{
    capi_visit_settle(r);
    capi_response_insert(r);
}
