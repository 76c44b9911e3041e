#ifndef CAPI_ENDPOINT_H
#define CAPI_ENDPOINT_H

/* What the endpoints share: who may call, reading a body, answering in Pinterest's shapes. */

#include "module.h"
#include "wire.h"

/* Pinterest's own error codes. */
#define CAPI_CODE_TOO_MANY    8
#define CAPI_CODE_FORBIDDEN   29
#define CAPI_CODE_PARTIAL     953
#define CAPI_CODE_INVALID     4196
#define CAPI_CODE_UNAVAILABLE 4197

/* Seconds after which a caller whose event could not be kept tries again. */
#define CAPI_RETRY_AFTER "1"

/* The four of them, for requests whose handler they are. */
int capi_collect_serve(request_rec *r);
int capi_context_serve(request_rec *r);
int capi_events_serve(request_rec *r);
int capi_client_serve(request_rec *r);

/* Every function that takes `*status` answers the request itself where it fails: the handler then
 * returns *status and does no more. */

/* The visit, where this endpoint may work; NULL where PinterestCapi is Off or there is no queue. */
capi_visit_t *capi_endpoint_visit(int *status, request_rec *r);

/* True for a request of the shop's own pages: neither Sec-Fetch-Site nor Origin says otherwise, or
 * the origin is one that PinterestCapiCollectOrigin names; then the answer carries CORS headers. */
bool capi_endpoint_is_own_page(int *status, request_rec *r);

/* Answers a preflight (OPTIONS) of an origin that may call; true where it was one. */
bool capi_endpoint_is_preflight(int *status, request_rec *r, const char *methods);

/* Counts `events` of the client's address; false where they are more than PinterestCapiCollectLimit
 * lets pass in a minute. 0 only asks, before a body is read for nothing. */
bool capi_endpoint_is_within_limit(int *status, request_rec *r, int events);

typedef enum {
    CAPI_BODY_JSON,    /* application/json only */
    CAPI_BODY_LENIENT, /* text/plain (sendBeacon) and no type at all, too */
} capi_body_kind_t;

/* The body as JSON, freed with the request; NULL where it is none, too large or of another type. */
json_t *capi_endpoint_read(int *status, request_rec *r, capi_body_kind_t kind);

/* The events of a body {"data": [...]}, or, where it may be lenient, of a single event object; NULL
 * where there is no event or there are too many. */
const json_t *capi_endpoint_events(int *status, request_rec *r, capi_body_kind_t kind);

/* Into the queue, all or nothing. False where it could not be kept. */
bool capi_endpoint_push(int *status, request_rec *r, const capi_envelope_t *envelope,
                        uint64_t *position);

/* These answer and return what the handler returns. `body` is stolen. */
int capi_endpoint_answer(request_rec *r, int http_status, json_t *body);
int capi_endpoint_refuse(request_rec *r, int http_status, int code, const char *message);
int capi_endpoint_unavailable(request_rec *r, const char *message);
int capi_endpoint_wrong_method(request_rec *r, const char *allowed);

/* Pinterest's report: 200, or 422 where an event failed. */
int capi_endpoint_report(request_rec *r, const capi_result_t *results, int count);

#endif
