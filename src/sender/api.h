#ifndef SENDER_API_H
#define SENDER_API_H

/* The only file that speaks HTTP. It knows batches of event texts and answers; what an answer means
 * is decided elsewhere. */

#include <curl/curl.h>

#include "capi.h"
#include "store.h"

typedef struct capi_api_t capi_api_t;
typedef struct capi_call_t capi_call_t;

/* Where a request goes. */
typedef struct {
    const char *url;
    struct curl_slist *headers; /* with the token in it */
    const char *ca_file, *proxy;
    bool is_in_trouble; /* a kept connection may be what is wrong: take a new one */
} capi_target_t;

/* What came back. Lives until the call is started again. */
typedef struct {
    int http_status; /* 0: no answer, or not all of it */
    const char *body;
    apr_size_t body_len;
    const char *request_id;  /* NULL: none */
    const char *retry_after; /* as it came; NULL: none */
    const char *error;       /* why there is no answer; NULL where there is one */
} capi_answer_t;

/* Global state of libcurl and the multi handle; once. */
capi_api_t *capi_api_create(apr_pool_t *p);
void capi_api_destroy(capi_api_t *api);

/* A reusable call. */
capi_call_t *capi_call_create(capi_api_t *api, apr_pool_t *p);
void capi_call_destroy(capi_call_t *call);

/* The request headers of an account; wiped by capi_headers_wipe. */
struct curl_slist *capi_headers_make(const char *token);
void capi_headers_wipe(struct curl_slist *headers);

/* The URL that an account's events are posted to. */
const char *capi_events_url(const char *api_url, const char *account, bool test, apr_pool_t *p);

/* Starts to post `count` events. They must live until the call ends; nothing is copied. */
apr_status_t capi_call_start(capi_call_t *call, const capi_target_t *target,
                             const capi_outgoing_t *events, int count);
void capi_call_abort(capi_call_t *call);

/* True once after each start, when the call has ended. */
bool capi_call_ended(capi_call_t *call);
void capi_call_answer(capi_answer_t *answer, capi_call_t *call);

/* Once it is read, the body need not stay until the next start. */
void capi_call_forget_body(capi_call_t *call);

/* Sleeps until network, one of `fds` or the clock wants something, then moves all calls on. */
void capi_api_wait(capi_api_t *api, struct curl_waitfd *fds, unsigned int count, int timeout_ms);

#endif
