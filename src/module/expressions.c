#include "body.h"

#include "form.h"
#include "pointer.h"
#include "text.h"

#include <apr_strings.h>

/* What httpd's expressions gain, here and in every other module's: functions that read the request,
 * its body, and the answer. Bodies are there once they have passed, and only where a rule of ours
 * reads them. */

static unsigned int *watched;

void capi_expr_watch(unsigned int *reads)
{
    watched = reads;
}

static const char *or_empty(const char *value)
{
    return value ? value : "";
}

/* --- the request --- */

/* The query string as the visitor sent it, where this request has a visit. */
static const char *query_string_of(const request_rec *r)
{
    const capi_visit_t *visit = capi_visit_of(r);

    return visit ? visit->args : r->args;
}

static const char *eval_query(ap_expr_eval_ctx_t *ctx, const void *unused, const char *name)
{
    const char *query = query_string_of(ctx->r);

    (void)unused;
    if (!query) {
        return "";
    }
    if (strcmp(name, "#") == 0) {
        return query;
    }
    if (strchr(name, '*')) {
        return or_empty(
            capi_form_get(capi_form_urlencoded(query, strlen(query), ctx->p), name, ctx->p));
    }
    return or_empty(capi_query_get(query, name, ctx->p));
}

static const char *join(const apr_array_header_t *values, const char *separator, apr_pool_t *p)
{
    const char *text = NULL;
    int i;

    for (i = 0; i < values->nelts; i++) {
        const char *value = APR_ARRAY_IDX(values, i, const char *);

        if (*value) {
            text = text ? apr_pstrcat(p, text, separator, value, NULL) : value;
        }
    }
    return or_empty(text);
}

static const char *eval_cookie(ap_expr_eval_ctx_t *ctx, const void *unused, const char *name)
{
    const char *header = apr_table_get(ctx->r->headers_in, "Cookie");
    apr_array_header_t *values = apr_array_make(ctx->p, 1, sizeof(const char *));
    const char *value;
    apr_size_t len;

    (void)unused;
    while ((value = capi_cookie_raw(&len, header, name)) != NULL) {
        APR_ARRAY_PUSH(values, const char *) = capi_percent_decode(value, len, false, ctx->p);
        if (!strchr(name, '*')) {
            break;
        }
        header = value + len;
    }
    return join(values, ",", ctx->p);
}

static const char *eval_form(ap_expr_eval_ctx_t *ctx, const void *unused, const char *name)
{
    const capi_visit_t *visit = capi_visit_of(ctx->r);
    const apr_array_header_t *form = visit ? capi_body_form(visit) : NULL;

    (void)unused;
    return or_empty(form ? capi_form_get(form, name, ctx->p) : NULL);
}

static const char *eval_json(ap_expr_eval_ctx_t *ctx, const void *unused, const char *pointer)
{
    const capi_visit_t *visit = capi_visit_of(ctx->r);

    (void)unused;
    return or_empty(visit ? capi_pointer_text(capi_body_json(visit), pointer, ctx->p) : NULL);
}

/* --- the answer --- */

typedef struct {
    apr_array_header_t *values;
    int others; /* values of the first table, which the second may repeat */
} header_t;

static int take_value(void *context, const char *name, const char *value)
{
    header_t *header = context;
    int i;

    (void)name;
    for (i = 0; i < header->others; i++) {
        if (strcmp(APR_ARRAY_IDX(header->values, i, const char *), value) == 0) {
            return 1;
        }
    }
    APR_ARRAY_PUSH(header->values, const char *) = value;
    return 1;
}

/* All values of a header. What has gone out has both tables in headers_out. */
static const apr_array_header_t *header_of(const request_rec *r, const char *name, apr_pool_t *p)
{
    header_t header = {.values = apr_array_make(p, 2, sizeof(const char *))};

    apr_table_do(take_value, &header, r->headers_out, name, NULL);
    header.others = header.values->nelts;
    apr_table_do(take_value, &header, r->err_headers_out, name, NULL);
    return header.values;
}

static const char *eval_answer(ap_expr_eval_ctx_t *ctx, const void *unused, const char *name)
{
    const apr_array_header_t *values = header_of(ctx->r, name, ctx->p);

    (void)unused;
    if (values->nelts == 0 && ap_cstr_casecmp(name, "Content-Type") == 0) {
        return or_empty(ctx->r->content_type);
    }
    return join(values, ", ", ctx->p);
}

static const char *eval_answer_cookie(ap_expr_eval_ctx_t *ctx, const void *unused, const char *name)
{
    const apr_array_header_t *lines = header_of(ctx->r, "Set-Cookie", ctx->p);
    apr_array_header_t *values = apr_array_make(ctx->p, 1, sizeof(const char *));
    int i;

    (void)unused;
    for (i = 0; i < lines->nelts; i++) {
        apr_size_t len;
        const char *value = capi_set_cookie_raw(&len, APR_ARRAY_IDX(lines, i, const char *), name);

        if (!value) {
            continue;
        }
        if (!strchr(name, '*')) {
            apr_array_clear(values); /* browsers keep the last */
        }
        APR_ARRAY_PUSH(values, const char *) = capi_percent_decode(value, len, false, ctx->p);
    }
    return join(values, ",", ctx->p);
}

static const char *eval_answer_json(ap_expr_eval_ctx_t *ctx, const void *unused,
                                    const char *pointer)
{
    const capi_visit_t *visit = capi_visit_of(ctx->r);

    (void)unused;
    return or_empty(visit ? capi_pointer_text(capi_answer_json(visit), pointer, ctx->p) : NULL);
}

/* --- look-up --- */

static const struct {
    const char *name;
    ap_expr_string_func_t *function;
    unsigned int reads;
} functions[] = {
    {"query", eval_query, 0},
    {"cookie", eval_cookie, 0},
    {"form", eval_form, CAPI_READS_BODY},
    {"json", eval_json, CAPI_READS_BODY},
    {"answer", eval_answer, 0},
    {"answer_cookie", eval_answer_cookie, 0},
    {"answer_json", eval_answer_json, CAPI_READS_ANSWER},
};

int capi_expr_lookup(ap_expr_lookup_parms *parms)
{
    apr_size_t i;

    if (parms->type != AP_EXPR_FUNC_STRING) {
        return DECLINED;
    }
    for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (ap_cstr_casecmp(parms->name, functions[i].name) == 0) {
            *parms->func = (const void *)functions[i].function;
            *parms->data = NULL;
            if (watched) {
                *watched |= functions[i].reads;
            }
            return OK;
        }
    }
    return DECLINED;
}
