/* The one address that takes a POST: who may, what is asked, and back to the page. */

#include "actions.h"

#include <apr_strings.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "form.h"
#include "forms.h"
#include "match.h"
#include "response.h"
#include "text.h"

/* Our forms have some hundred bytes. */
#define BODY_MAX 8192

static void refuse(const cgi_request_t *request, int status, const char *title,
                   const char *sentence, apr_pool_t *p)
{
    fprintf(stderr, "PCAPI203: admin page: an action was refused (%d): %s\n", status, sentence);
    cgi_request_discard_body();
    respond_sentence(request, status, NULL, title, sentence, p);
}

static const char *header(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* Sec-Fetch-Site, and where a browser does not send that, Origin: its host is the page's, whatever a
 * proxy in front does about TLS. */
static bool is_from_here(void)
{
    const char *site = header("HTTP_SEC_FETCH_SITE");
    const char *origin = header("HTTP_ORIGIN");
    const char *host = header("HTTP_HOST");
    const char *origin_host = origin ? strstr(origin, "://") : NULL;

    if (site) {
        return strcmp(site, "same-origin") == 0;
    }
    return host && origin_host && strcasecmp(origin_host + 3, host) == 0;
}

/* The fields of the body; NULL where it is too long, cut short, or no form. */
static apr_array_header_t *read_fields(apr_pool_t *p)
{
    static const char type[] = "application/x-www-form-urlencoded";
    const char *said = header("CONTENT_TYPE");
    const char *length = header("CONTENT_LENGTH");
    long len = length ? strtol(length, NULL, 10) : 0;
    char *body;

    if (!said || strncasecmp(said, type, sizeof(type) - 1) != 0 || len <= 0 || len > BODY_MAX) {
        return NULL;
    }
    body = apr_palloc(p, (apr_size_t)len);
    return fread(body, 1, (size_t)len, stdin) == (size_t)len
               ? capi_form_urlencoded(body, (apr_size_t)len, p)
               : NULL;
}

bool actions_person(const char **hash, const char *said, apr_pool_t *p)
{
    bool is_mail = said && strchr(said, '@');

    /* What is a hash already would pass as either. */
    if (!said || capi_is_sha256_hex(said, strlen(said))) {
        return false;
    }
    return capi_match_hash(hash, is_mail ? CAPI_KEY_EM : CAPI_KEY_PH, said, NULL, p) == APR_SUCCESS;
}

static apr_int64_t number_of(const apr_array_header_t *fields, const char *name, apr_pool_t *p)
{
    const char *text = capi_form_get(fields, name, p);
    apr_size_t len = text ? strlen(text) : 0;

    return len > 0 && len <= 18 && strspn(text, "0123456789") == len ? apr_atoi64(text) : 0;
}

/* What is wrong with the ask, a sentence; NULL: nothing. */
static const char *read_ask(capi_ask_t *ask, const apr_array_header_t *fields, apr_pool_t *p)
{
    ask->id = capi_form_get(fields, "id", p);
    ask->destination = number_of(fields, "account", p);
    ask->event = number_of(fields, "delivery", p);
    if (!capi_ask_kind(&ask->kind, capi_form_get(fields, "action", p))) {
        return "There is no such action.";
    }
    if (ask->kind == CAPI_ASK_FORGET) {
        return actions_person(&ask->subject, capi_form_get(fields, "person", p), p)
                   ? NULL
                   : "That is neither an e-mail address nor a phone number with its country code "
                     "(+49 30 1234567). Nothing was erased.";
    }
    if (!ask->destination && !(ask->kind == CAPI_ASK_RETRY && ask->event)) {
        return "The action names no account.";
    }
    return NULL;
}

/* What it is about, for error_log: never whom. NULL where there is no such account. */
static const char *subject_of(const capi_ask_t *ask, capi_store_t *store, apr_pool_t *p)
{
    apr_array_header_t *list;
    int i;

    if (!ask->destination) {
        return ask->event ? apr_psprintf(p, " of delivery %" APR_INT64_T_FMT, ask->event) : "";
    }
    if (capi_store_destinations(&list, store, p) != APR_SUCCESS) {
        return NULL;
    }
    for (i = 0; i < list->nelts; i++) {
        const capi_destination_t *row = &APR_ARRAY_IDX(list, i, capi_destination_t);

        if (row->id == ask->destination) {
            return apr_psprintf(p, " of account %s%s", row->account, row->test ? " (test)" : "");
        }
    }
    return NULL;
}

static const char *asker(const cgi_request_t *request, apr_pool_t *p)
{
    const char *address = header("REMOTE_ADDR");

    if (*request->user) {
        return apr_pstrndup(p, request->user, CAPI_ASK_USER_MAX);
    }
    return apr_pstrcat(p, "somebody at ", address ? address : "an unknown address", NULL);
}

static const char *way_back(const cgi_request_t *request, const capi_ask_t *ask, apr_pool_t *p)
{
    if (ask->event) {
        return apr_psprintf(p, "Location: %sdeliveries/%" APR_INT64_T_FMT "?asked=%s\r\n",
                            request->root, ask->event, ask->id);
    }
    return apr_psprintf(p, "Location: %s?asked=%s\r\n", request->root, ask->id);
}

static void add(const cgi_request_t *request, capi_store_t *store, const capi_ask_t *ask,
                const char *subject, apr_pool_t *p)
{
    bool is_new = false;

    if (capi_ask_add(&is_new, store, ask) != APR_SUCCESS) {
        fprintf(stderr, "PCAPI205: admin page: the store did not take an action: %s\n",
                capi_store_error(store));
        respond_sentence(request, 503, "Retry-After: 10\r\n", "Nothing was done",
                         "The store could not be written: is this program run as the sender\xe2\x80"
                         "\x99s user? error_log has the cause.",
                         p);
        return;
    }
    if (is_new) {
        fprintf(stderr, "PCAPI204: admin page: %s asks: %s%s\n", ask->asked_by,
                capi_ask_name(ask->kind), subject);
    }
    respond_sentence(request, 303, way_back(request, ask, p), "Asked",
                     "The sender was asked. The page shows what comes of it.", p);
}

static void take(const cgi_request_t *request, capi_store_t *store,
                 const apr_array_header_t *fields, apr_pool_t *p)
{
    capi_ask_t ask = {.asked_by = asker(request, p), .asked_at = request->now};
    forms_t forms;
    const char *wrong;
    const char *subject;

    if (forms_open(&forms, request, store) != APR_SUCCESS ||
        !forms_is_ours(&forms, capi_form_get(fields, "id", p), capi_form_get(fields, "token", p))) {
        refuse(request, 403, "Please try again",
               "This form is not one of this page\xe2\x80\x99s, is for somebody else, or lay open "
               "too long. Nothing was done: go back to the page and press the button there.",
               p);
        return;
    }
    wrong = read_ask(&ask, fields, p);
    subject = wrong ? NULL : subject_of(&ask, store, p);
    if (!subject) {
        refuse(request, 400, "Not understood", wrong ? wrong : "There is no such account.", p);
        return;
    }
    add(request, store, &ask, subject, p);
}

void actions_answer(const cgi_request_t *request, apr_pool_t *p)
{
    apr_array_header_t *fields;
    const char *message = NULL;
    capi_store_t *store;

    if (!request->may_write) {
        refuse(request, 403, "Not allowed here",
               "This page may only be read: its actions need PinterestCapiAdmin Write.", p);
        return;
    }
    if (!is_from_here()) {
        refuse(request, 403, "Not from here",
               "Only this page\xe2\x80\x99s own forms may ask for something.", p);
        return;
    }
    fields = read_fields(p);
    if (!fields) {
        refuse(request, 400, "Not understood", "What was sent is no form of this page.", p);
        return;
    }
    if (capi_store_open_to_ask(&store, &message, request->driver, request->params, p)) {
        fprintf(stderr, "PCAPI206: admin page: no action is possible: %s\n",
                message ? message : "the store cannot be opened");
        respond_sentence(request, 503, "Retry-After: 10\r\n", "Nothing was done",
                         message ? message : "The store cannot be opened.", p);
        return;
    }
    take(request, store, fields, p);
    /* The sender hears of it when the file is closed. */
    capi_store_close(store);
}
