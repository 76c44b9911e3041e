#include "module.h"

#include "text.h"

#include <apr_strings.h>

/* What httpd's expressions gain: query:NAME and cookie:NAME, here and in every other module's. */

/* The query string as the visitor sent it, where this request has a visit. */
static const char *query_string_of(const request_rec *r)
{
    const capi_visit_t *visit = capi_visit_of(r);

    return visit ? visit->args : r->args;
}

static const char *eval_query(ap_expr_eval_ctx_t *ctx, const void *unused, const char *name)
{
    const char *query = query_string_of(ctx->r);
    const char *value = query ? capi_query_get(query, name, ctx->p) : NULL;

    (void)unused;
    return value ? value : "";
}

static const char *eval_cookie(ap_expr_eval_ctx_t *ctx, const void *unused, const char *name)
{
    const char *header = apr_table_get(ctx->r->headers_in, "Cookie");
    const char *value = header ? capi_cookie_get(header, name, ctx->p) : NULL;

    (void)unused;
    return value ? value : "";
}

int capi_expr_lookup(ap_expr_lookup_parms *parms)
{
    ap_expr_string_func_t *function = NULL;

    if (parms->type != AP_EXPR_FUNC_STRING) {
        return DECLINED;
    }
    if (ap_cstr_casecmp(parms->name, "query") == 0) {
        function = eval_query;
    }
    else if (ap_cstr_casecmp(parms->name, "cookie") == 0) {
        function = eval_cookie;
    }
    if (!function) {
        return DECLINED;
    }
    *parms->func = (const void *)function;
    *parms->data = NULL;
    return OK;
}
