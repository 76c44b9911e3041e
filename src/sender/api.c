/* Posts batches through libcurl's multi interface. Event texts are handed to libcurl piece by piece,
 * so that a batch is never copied whole; the answer is kept up to a limit. */

#include "sender.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <apr_strings.h>

#define CONNECT_TIMEOUT_MS 5000
#define TOTAL_TIMEOUT_MS   30000
#define ANSWER_MAX         ((size_t)1024 * 1024) /* 1000 results are about 100 KiB */
#define ANSWERS_MAX        (4 * ANSWER_MAX)      /* of all calls together */
#define HEADERS_MAX        ((size_t)64 * 1024)   /* interim answers included: they may never end */
#define REQUEST_ID_MAX     128
#define RETRY_AFTER_MAX    64
#define UPLOAD_BUFFER      16384 /* a TLS record; libcurl's own is four times that, each call */
#define IDLE_CONNECTIONS   8
#define CONNECTION_AGE_SEC 600   /* then the name is resolved again: an API moves */
#define UNHEARD_MS         15000 /* what nobody acknowledges for so long is a dead connection */
#define ERROR_MAX          (CURL_ERROR_SIZE + 128)

static const char body_start[] = "{\"data\":[";
static const char body_end[] = "]}";

struct capi_api_t {
    CURLM *multi;
    size_t answers_len; /* kept by all calls */
    int flying;
    curl_socket_t silent; /* the connection of the last calls that timed out */
    int timeouts;         /* on it, without an answer between them */
};

struct capi_call_t {
    capi_api_t *api;
    CURL *easy;
    bool is_flying, has_ended;
    CURLcode result;
    long status;

    const capi_outgoing_t *events;
    int count;
    int piece; /* 0: the start; then events and what is between them; 2 * count: the end */
    size_t offset;

    char *body;
    size_t body_len, body_room;
    size_t headers_len;
    char request_id[REQUEST_ID_MAX + 1];
    char retry_after[RETRY_AFTER_MAX + 1];
    char error[CURL_ERROR_SIZE]; /* in libcurl's words */
    char reason[ERROR_MAX];      /* in ours */
};

capi_api_t *capi_api_create(apr_pool_t *p)
{
    capi_api_t *api = apr_pcalloc(p, sizeof(*api));

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return NULL;
    }
    api->multi = curl_multi_init();
    if (!api->multi) {
        return NULL;
    }
    api->silent = CURL_SOCKET_BAD;
    curl_multi_setopt(api->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    /* No limit on open ones: there are as many as calls, and a call that waited for another's
     * connection would time out with it. */
    curl_multi_setopt(api->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
    return api;
}

void capi_api_destroy(capi_api_t *api)
{
    curl_multi_cleanup(api->multi);
    curl_global_cleanup();
}

capi_call_t *capi_call_create(capi_api_t *api, apr_pool_t *p)
{
    capi_call_t *call = apr_pcalloc(p, sizeof(*call));

    call->api = api;
    call->easy = curl_easy_init();
    return call->easy ? call : NULL;
}

void capi_call_destroy(capi_call_t *call)
{
    capi_call_abort(call);
    curl_easy_cleanup(call->easy);
    capi_call_forget_body(call);
}

/* --- headers and address --- */

struct curl_slist *capi_headers_make(const char *token)
{
    static const char name[] = "Authorization: Bearer ";
    size_t size = sizeof(name) + strlen(token);
    char *line = malloc(size);
    struct curl_slist *headers = NULL;

    if (!line) {
        return NULL;
    }
    memcpy(line, name, sizeof(name) - 1);
    memcpy(line + sizeof(name) - 1, token, size - sizeof(name) + 1);
    headers = curl_slist_append(headers, line);
    explicit_bzero(line, size);
    free(line);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Accept: application/json");
    /* libcurl would wait a second for a 100 that this API need not send. */
    return curl_slist_append(headers, "Expect:");
}

void capi_headers_wipe(struct curl_slist *headers)
{
    struct curl_slist *line;

    for (line = headers; line; line = line->next) {
        explicit_bzero(line->data, strlen(line->data));
    }
    curl_slist_free_all(headers);
}

const char *capi_events_url(const char *api_url, const char *account, bool test, apr_pool_t *p)
{
    apr_size_t len = strlen(api_url);

    while (len > 0 && api_url[len - 1] == '/') {
        len--;
    }
    return apr_psprintf(p, "%.*s/ad_accounts/%s/events%s", (int)len, api_url, account,
                        test ? "?test=true" : "");
}

static bool is_loopback_http(const char *url)
{
    static const char *const hosts[] = {"127.", "localhost", "[::1]"};
    static const size_t scheme = sizeof("http://") - 1;
    size_t i;

    if (strncasecmp(url, "http://", scheme) != 0) {
        return false;
    }
    url += scheme;
    for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        size_t len = strlen(hosts[i]);
        /* After "127." only numbers may follow: 127.example.com is somebody else. */
        size_t more = i == 0 ? strspn(url, "0123456789.") : len;

        if (strncasecmp(url, hosts[i], len) == 0 && strchr(":/?#", url[more])) {
            return true;
        }
    }
    return false;
}

/* --- what libcurl calls --- */

static const char *piece_text(const capi_call_t *call, size_t *len)
{
    if (call->piece == 0) {
        *len = sizeof(body_start) - 1;
        return body_start;
    }
    if (call->piece == 2 * call->count) {
        *len = sizeof(body_end) - 1;
        return body_end;
    }
    if (call->piece % 2 == 0) {
        *len = 1;
        return ",";
    }
    *len = call->events[call->piece / 2].len;
    return call->events[call->piece / 2].text;
}

static size_t read_body(char *buffer, size_t size, size_t n, void *baton)
{
    capi_call_t *call = baton;
    size_t room = size * n;
    size_t filled = 0;

    while (filled < room && call->piece <= 2 * call->count) {
        size_t len;
        const char *text = piece_text(call, &len);
        size_t part = len - call->offset < room - filled ? len - call->offset : room - filled;

        memcpy(buffer + filled, text + call->offset, part);
        filled += part;
        call->offset += part;
        if (call->offset == len) {
            call->piece++;
            call->offset = 0;
        }
    }
    return filled;
}

/* libcurl starts over when a kept connection turns out to be dead. */
static int rewind_body(void *baton, curl_off_t offset, int origin)
{
    capi_call_t *call = baton;

    if (offset != 0 || origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    call->piece = 0;
    call->offset = 0;
    return CURL_SEEKFUNC_OK;
}

/* Room doubles, but not past the limit. */
static bool make_room(capi_call_t *call, size_t wanted)
{
    size_t room = wanted < ANSWER_MAX / 2 ? wanted * 2 : ANSWER_MAX;
    char *body;

    if (wanted <= call->body_room) {
        return true;
    }
    if (wanted > ANSWER_MAX || call->api->answers_len - call->body_room + room > ANSWERS_MAX) {
        return false;
    }
    body = realloc(call->body, room);
    if (!body) {
        return false;
    }
    call->api->answers_len += room - call->body_room;
    call->body = body;
    call->body_room = room;
    return true;
}

static size_t keep_answer(char *bytes, size_t size, size_t n, void *baton)
{
    capi_call_t *call = baton;
    size_t len = size * n;

    if (!make_room(call, call->body_len + len)) {
        return 0;
    }
    memcpy(call->body + call->body_len, bytes, len);
    call->body_len += len;
    return len;
}

/* The value of header `name` in a header line; *len without blanks around it. */
static const char *header_value(const char *line, size_t line_len, const char *name, size_t *len)
{
    size_t name_len = strlen(name);
    const char *value = line + name_len + 1;
    const char *end = line + line_len;

    if (line_len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0) {
        return NULL;
    }
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && strchr(" \t\r\n", end[-1])) {
        end--;
    }
    *len = (size_t)(end - value);
    return value;
}

/* Keeps a header of printable characters that fits; anything else is as good as none. */
static void keep_header(char *room, size_t max, const char *line, size_t line_len, const char *name)
{
    size_t len, i;
    const char *value = header_value(line, line_len, name, &len);

    if (!value || len > max) {
        return;
    }
    for (i = 0; i < len; i++) {
        if (value[i] < ' ' || value[i] > '~') {
            return;
        }
    }
    memcpy(room, value, len);
    room[len] = '\0';
}

static size_t read_header(char *line, size_t size, size_t n, void *baton)
{
    capi_call_t *call = baton;
    size_t len = size * n;

    call->headers_len += len;
    if (call->headers_len > HEADERS_MAX) {
        return 0;
    }
    if (len > 5 && strncmp(line, "HTTP/", 5) == 0) {
        /* Headers of an interim answer are not the answer's. */
        call->request_id[0] = '\0';
        call->retry_after[0] = '\0';
        return len;
    }
    keep_header(call->request_id, REQUEST_ID_MAX, line, len, "x-pinterest-rid");
    keep_header(call->retry_after, RETRY_AFTER_MAX, line, len, "retry-after");
    return len;
}

/* --- calls --- */

static curl_off_t body_length(const capi_outgoing_t *events, int count)
{
    size_t len = sizeof(body_start) - 1 + (size_t)(count - 1) + sizeof(body_end) - 1;
    int i;

    for (i = 0; i < count; i++) {
        len += events[i].len;
    }
    return (curl_off_t)len;
}

static void set_transfer_options(capi_call_t *call)
{
    CURL *easy = call->easy;

    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, body_length(call->events, call->count));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, call);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, read_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    /* Without CURLOPT_ACCEPT_ENCODING nothing is unpacked but a transfer coding, whose content is
     * counted by keep_answer: a bomb has nowhere to go off. */
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)ANSWER_MAX);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)TOTAL_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_AGE_SEC);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "pinterest-capi/" CAPI_VERSION);
}

/* The kernel gives up a connection that a firewall has forgotten long before it would by itself; one
 * to a slow server is acknowledged. */
static int set_up_socket(void *baton, curl_socket_t fd, curlsocktype purpose)
{
    unsigned int unheard = UNHEARD_MS;

    (void)baton;
    (void)purpose;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unheard, sizeof(unheard));
    return CURL_SOCKOPT_OK;
}

static void set_guards(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    /* The token is the API's alone: a proxy sees CONNECT without it. */
    curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static CURLcode set_target(CURL *easy, const capi_target_t *target)
{
    const char *protocols = is_loopback_http(target->url) ? "http" : "https";
    CURLcode rc = curl_easy_setopt(easy, CURLOPT_URL, target->url);

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols);
    }
    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    }
    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    }
    if (rc == CURLE_OK && target->ca_file) {
        rc = curl_easy_setopt(easy, CURLOPT_CAINFO, target->ca_file);
    }
    if (rc == CURLE_OK) {
        /* An empty name keeps libcurl from asking the environment. */
        rc = curl_easy_setopt(easy, CURLOPT_PROXY, target->proxy ? target->proxy : "");
    }
    set_guards(easy);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, set_up_socket);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, target->is_in_trouble ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, target->headers);
    return rc;
}

void capi_call_forget_body(capi_call_t *call)
{
    free(call->body);
    call->api->answers_len -= call->body_room;
    call->body = NULL;
    call->body_len = 0;
    call->body_room = 0;
}

apr_status_t capi_call_start(capi_call_t *call, const capi_target_t *target,
                             const capi_outgoing_t *events, int count)
{
    call->events = events;
    call->count = count;
    call->piece = 0;
    call->offset = 0;
    capi_call_forget_body(call);
    call->headers_len = 0;
    call->status = 0;
    call->request_id[0] = '\0';
    call->retry_after[0] = '\0';
    call->error[0] = '\0';
    call->has_ended = false;
    curl_easy_reset(call->easy); /* keeps connections and TLS sessions */
    set_transfer_options(call);
    call->result = set_target(call->easy, target);
    if (call->result == CURLE_OK && curl_multi_add_handle(call->api->multi, call->easy)) {
        call->result = CURLE_FAILED_INIT;
    }
    if (call->result != CURLE_OK) {
        return APR_EGENERAL;
    }
    call->is_flying = true;
    call->api->flying++;
    return APR_SUCCESS;
}

void capi_call_abort(capi_call_t *call)
{
    if (call->is_flying) {
        curl_multi_remove_handle(call->api->multi, call->easy);
        call->is_flying = false;
        call->api->flying--;
    }
    call->has_ended = false;
}

bool capi_call_ended(capi_call_t *call)
{
    bool has_ended = call->has_ended;

    call->has_ended = false;
    return has_ended;
}

/* What happened, for whoever runs the shop; NULL where only libcurl can tell. */
static const char *words_for(CURLcode result)
{
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "the API's name cannot be resolved";
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "the proxy's name cannot be resolved";
    case CURLE_COULDNT_CONNECT:
        return "no connection";
    case CURLE_OPERATION_TIMEDOUT:
        return "no answer in time";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "the API's certificate is not accepted";
    case CURLE_SSL_CACERT_BADFILE:
        return "the file of PinterestCapiApiCAFile cannot be used";
    case CURLE_SSL_CONNECT_ERROR:
        return "no TLS connection to the API";
    case CURLE_GOT_NOTHING:
        return "the connection was closed without an answer";
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return "the connection broke";
    case CURLE_PARTIAL_FILE:
        return "the answer broke off";
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return "the API gave up an HTTP/2 request";
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED:
        return "the answer is too long";
    default:
        return NULL;
    }
}

static void explain(capi_call_t *call)
{
    const char *words = words_for(call->result);
    const char *details = *call->error ? call->error : curl_easy_strerror(call->result);
    long proxy_status = 0;

    curl_easy_getinfo(call->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    if (proxy_status >= 300) {
        apr_snprintf(call->reason, ERROR_MAX, "the proxy refuses (status %ld)", proxy_status);
    }
    else if (words) {
        apr_snprintf(call->reason, ERROR_MAX, "%s (%s)", words, details);
    }
    else {
        apr_cpystrn(call->reason, details, ERROR_MAX);
    }
}

void capi_call_answer(capi_answer_t *answer, capi_call_t *call)
{
    /* Who says "too large" often closes before it has read everything. */
    bool is_whole = call->result == CURLE_OK || call->status == 413;

    answer->http_status = is_whole ? (int)call->status : 0;
    answer->body = call->body;
    answer->body_len = call->body_len;
    answer->request_id = *call->request_id ? call->request_id : NULL;
    answer->retry_after = *call->retry_after ? call->retry_after : NULL;
    answer->error = NULL;
    if (!is_whole) {
        explain(call);
        answer->error = call->reason;
    }
}

/* libcurl keeps an HTTP/2 connection whose requests time out, and would use it again and again. One
 * request may hang by itself; two in a row, or the only one there is, are the connection's fault. */
static void watch_connection(const capi_call_t *call)
{
    capi_api_t *api = call->api;
    curl_socket_t fd = CURL_SOCKET_BAD;

    curl_easy_getinfo(call->easy, CURLINFO_ACTIVESOCKET, &fd);
    if (fd == CURL_SOCKET_BAD) {
        return;
    }
    if (call->result != CURLE_OPERATION_TIMEDOUT) {
        api->timeouts = fd == api->silent ? 0 : api->timeouts;
        return;
    }
    api->timeouts = fd == api->silent ? api->timeouts + 1 : 1;
    api->silent = fd;
    if (api->timeouts > 1 || api->flying == 0) {
        shutdown(fd, SHUT_RDWR);
    }
}

static void end_call(capi_call_t *call, CURLcode result)
{
    call->result = result;
    call->api->flying--;
    watch_connection(call);
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &call->status);
    curl_multi_remove_handle(call->api->multi, call->easy);
    call->is_flying = false;
    call->has_ended = true;
}

void capi_api_wait(capi_api_t *api, struct curl_waitfd *fds, unsigned int count, int timeout_ms)
{
    int running, left;
    CURLMsg *message;

    curl_multi_poll(api->multi, fds, count, timeout_ms, NULL);
    curl_multi_perform(api->multi, &running);
    for (message = curl_multi_info_read(api->multi, &left); message;
         message = curl_multi_info_read(api->multi, &left)) {
        capi_call_t *call = NULL;

        /* The message is gone once its handle is removed. */
        CURLcode result = message->data.result;

        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        end_call(call, result);
    }
}
