#ifndef CAPI_MODULE_H
#define CAPI_MODULE_H

/* What the rooms of the module share: configuration, the visit, and each room's entrances. */

#include "envelope.h"
#include "event.h"
#include "ident.h"
#include "names.h"
#include "queue.h"
#include "sender_config.h"

#include <ap_config.h>
#include <ap_expr.h>
#include <http_config.h>
#include <http_log.h>
#include <httpd.h>

/* The one symbol that httpd looks for; all others are hidden. */
extern __attribute__((visibility("default"))) module AP_MODULE_DECLARE_DATA pinterest_capi_module;

/* Directive names, used by table, messages and checks, so that a slip does not compile. */
#define CAPI_DIR_ENABLED         "PinterestCapi"
#define CAPI_DIR_AD_ACCOUNT      "PinterestCapiAdAccount"
#define CAPI_DIR_TOKEN_FILE      "PinterestCapiTokenFile"
#define CAPI_DIR_API_URL         "PinterestCapiApiUrl"
#define CAPI_DIR_API_CA_FILE     "PinterestCapiApiCAFile"
#define CAPI_DIR_PROXY           "PinterestCapiProxy"
#define CAPI_DIR_TEST            "PinterestCapiTest"
#define CAPI_DIR_WIRE_FORMAT     "PinterestCapiWireFormat"
#define CAPI_DIR_EVENT_NAMES     "PinterestCapiEventNames"
#define CAPI_DIR_EVENT_NAME      "PinterestCapiEventName"
#define CAPI_DIR_CONSENT_DEFAULT "PinterestCapiConsentDefault"
#define CAPI_DIR_CONSENT_SIGNAL  "PinterestCapiConsentSignal"
#define CAPI_DIR_CONSENT_MAX_AGE "PinterestCapiConsentMaxAge"
#define CAPI_DIR_ON_DENIED       "PinterestCapiOnDenied"
#define CAPI_DIR_SESSION_COOKIE  "PinterestCapiSessionCookie"
#define CAPI_DIR_EPIK_COOKIE     "PinterestCapiEpikCookie"
#define CAPI_DIR_URL_PARAMETERS  "PinterestCapiUrlParameters"
#define CAPI_DIR_COUNTRY         "PinterestCapiCountry"
#define CAPI_DIR_EVENT           "PinterestCapiEvent"
#define CAPI_DIR_BIND            "PinterestCapiBind"
#define CAPI_DIR_MATCH           "PinterestCapiMatch"
#define CAPI_DIR_BODY_LIMIT      "PinterestCapiBodyLimit"
#define CAPI_DIR_VISIT_COOKIE    "PinterestCapiVisitCookie"
#define CAPI_DIR_BOTS            "PinterestCapiBots"
#define CAPI_DIR_PREFETCH        "PinterestCapiPrefetch"
#define CAPI_DIR_COLLECT_ALLOW   "PinterestCapiCollectAllow"
#define CAPI_DIR_COLLECT_ORIGIN  "PinterestCapiCollectOrigin"
#define CAPI_DIR_COLLECT_LIMIT   "PinterestCapiCollectLimit"
#define CAPI_DIR_CATALOG         "PinterestCapiCatalog"
#define CAPI_DIR_FLUSH           "PinterestCapiFlush"
#define CAPI_DIR_MERGE_WINDOW    "PinterestCapiMergeWindow"
#define CAPI_DIR_MAX_AGE         "PinterestCapiMaxAge"
#define CAPI_DIR_STATE_DIR       "PinterestCapiStateDir"
#define CAPI_DIR_STORE           "PinterestCapiStore"
#define CAPI_DIR_QUEUE_SIZE      "PinterestCapiQueueSize"
#define CAPI_DIR_RETENTION       "PinterestCapiRetention"
#define CAPI_DIR_USER            "PinterestCapiUser"
#define CAPI_DIR_SENDER          "PinterestCapiSender"
#define CAPI_DIR_ADMIN           "PinterestCapiAdmin"

#define CAPI_HEADER_EVENT   "Pinterest-Capi-Event"
#define CAPI_HEADER_MATCH   "Pinterest-Capi-Match"
#define CAPI_HEADER_BIND    "Pinterest-Capi-Bind"
#define CAPI_HEADER_CONSENT "Pinterest-Capi-Consent"

#define CAPI_VAR_EPIK     "PINTEREST_EPIK"
#define CAPI_VAR_CONSENT  "PINTEREST_CONSENT"
#define CAPI_NOTE_CONSENT "pinterest-consent" /* for access logs: the decision and its signal */
#define CAPI_VAR_EVENT_ID "PINTEREST_EVENT_ID"

/* "This was not set": never a legal value of a setting. Defaults are applied in getters. */
#define CAPI_UNSET (-1)

/* --- configuration (config.c, config_check.c) --- */

typedef struct {
    const char *path;
    const char *account;       /* NULL: the host's where it was written */
    const server_rec *written; /* that host */
} capi_token_file_t;

typedef struct {
    const char *name;  /* may end in `*` */
    ap_regex_t *regex; /* its first group counts; NULL: the whole value */
} capi_session_cookie_t;

/* Main server only; lives in the main server's capi_server_conf_t. */
typedef struct {
    const char *state_dir;
    const char *store_driver, *store_params;
    apr_int64_t queue_size;
    int retention_days;
    const char *user, *group;
    const char *sender;
} capi_global_conf_t;

/* Per virtual host. Read through the getters below, never directly. */
typedef struct {
    capi_global_conf_t global;
    const char *api_url, *ca_file, *proxy;
    int test, wire, bots, prefetch;
    apr_array_header_t *token_files;     /* capi_token_file_t */
    apr_table_t *event_names;            /* FROM → TO */
    apr_array_header_t *session_cookies; /* capi_session_cookie_t; NULL: the defaults */
    bool drops_session_cookies;          /* those of the main server: `none` came first */
    const char *visit_cookie;            /* its name; "" where it is Off */
    int epik_cookie;
    const char *epik_domain;
    int epik_max_age;
    const char *country;
    const char *catalog;                 /* path of the feed */
    apr_array_header_t *collect_origins; /* const char *; NULL: this host alone */
    bool drops_collect_origins;
    int collect_limit;
    int flush_events, flush_sec, merge_window_sec, max_age_sec;
} capi_server_conf_t;

typedef struct capi_rule_t capi_rule_t;               /* rules.c */
typedef struct capi_fact_t capi_fact_t;               /* facts.c */
typedef struct capi_signal_line_t capi_signal_line_t; /* config_consent.c */

/* A list of a section: `is_reset` where `none` came first, so that nothing is inherited. */
typedef struct {
    apr_array_header_t *items; /* NULL: empty */
    bool is_reset;
} capi_list_t;

/* Per section, and per virtual host for what stands outside sections. A merged one remembers what
 * it was merged from, so that the visit can put sections together anew. */
typedef struct capi_dir_conf_t capi_dir_conf_t;
struct capi_dir_conf_t {
    int enabled;
    const char *account;
    int names;                            /* capi_vocabulary_t */
    int consent_default;                  /* capi_consent_state_t; CAPI_UNSET: none set */
    int consent_max_age;                  /* days */
    const char *on_denied;                /* "suppress", "limited" or "strip KEY..." */
    int admin;                            /* 0 Off, 1 On, 2 Write */
    int body_limit;                       /* bytes */
    capi_list_t signals;                  /* capi_signal_line_t * */
    capi_list_t rules;                    /* capi_rule_t * */
    capi_list_t matches, binds;           /* capi_fact_t * */
    capi_list_t collect_allow;            /* const char *; read it with capi_conf_may_collect */
    capi_list_t url_parameters;           /* const char *; read it with capi_conf_url_parameters */
    bool is_by_uri;                       /* a section that looks at the URI: Location, If */
    const capi_dir_conf_t *outer, *inner; /* NULL in what was not merged */
};

extern const command_rec capi_commands[];

void *capi_create_server_conf(apr_pool_t *p, server_rec *s);
void *capi_merge_server_conf(apr_pool_t *p, void *outer, void *inner);
void *capi_create_dir_conf(apr_pool_t *p, char *path);
void *capi_merge_dir_conf(apr_pool_t *p, void *outer, void *inner);

/* Rules between directives; `httpd -t` reports what they refuse. Touches no file but to look
 * whether token files are there. */
int capi_check_config(apr_pool_t *conf_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                      server_rec *s);

capi_server_conf_t *capi_server_conf(const server_rec *s);
capi_dir_conf_t *capi_dir_conf(const ap_conf_vector_t *per_dir);
const capi_global_conf_t *capi_global_conf(void); /* defaults applied; valid after check_config */
const char *capi_conf_api_url(const capi_server_conf_t *conf);
capi_wire_t capi_conf_wire(const capi_server_conf_t *conf);
bool capi_conf_is_test(const capi_server_conf_t *conf);
bool capi_conf_drops_bots(const capi_server_conf_t *conf);
bool capi_conf_drops_prefetch(const capi_server_conf_t *conf);
const apr_array_header_t *capi_conf_session_cookies(const capi_server_conf_t *conf);
int capi_conf_collect_limit(const capi_server_conf_t *conf); /* events a minute and address */
const char *capi_conf_visit_cookie(const capi_server_conf_t *conf); /* NULL: Off */
bool capi_conf_sets_epik(const capi_server_conf_t *conf);
int capi_conf_epik_max_age(const capi_server_conf_t *conf);
capi_vocabulary_t capi_conf_vocabulary(const capi_dir_conf_t *conf);
const apr_array_header_t *capi_conf_url_parameters(const capi_dir_conf_t *conf);

/* Bytes of a body that are looked at. */
apr_size_t capi_conf_body_limit(const capi_dir_conf_t *conf);

/* True where a signal is an environment variable, which may be set while the request is served. */
bool capi_conf_has_env_signal(const capi_dir_conf_t *conf);

/* Days; 0: no limit. */
int capi_conf_consent_max_age(const capi_dir_conf_t *conf);

/* True where browsers may send this event (name as it goes out) by themselves; else it is a claim. */
bool capi_conf_may_collect(const capi_dir_conf_t *conf, const char *sent_as);

/* True where the module works: On, and an account to work for. */
bool capi_conf_is_on(const capi_dir_conf_t *conf);

/* True where any section of any host says PinterestCapi On: else no queue and no sender. */
bool capi_is_in_use(void);

/* Every (account, API URL, test, wire) that the configuration can send to, with its token file:
 * capi_sender_account_t, token_fd -1. */
apr_array_header_t *capi_conf_accounts(apr_pool_t *p);

/* Settings of the place, as they travel in an envelope. */
void capi_conf_settings(capi_settings_t *settings, const capi_server_conf_t *server,
                        const capi_dir_conf_t *dir);

/* --- the visit (visit.c): what this request knows --- */

typedef struct {
    request_rec *first;   /* the record the visitor's request made; others are found from it */
    const char *uri;      /* as the visitor sent it, before any rewrite; decoded */
    const char *args;     /* its query string, NULL if none */
    const char *page_url; /* event_source_url, made when first asked for */
    const char *event_id; /* UUIDv7 of this request's page_visit, in the room behind */
    char id_room[CAPI_UUID_LEN + 1];
    const char *click_id;
    bool click_id_is_new;     /* came by query or Referer: the cookie is to be set again */
    const char *session_key;  /* keyed hash; NULL if none */
    bool has_session_cookie;  /* it came with the request, not by this response's Set-Cookie */
    bool is_settled;          /* sections, consent and client are known (insert_filter ran) */
    bool is_endpoint;         /* one of our handlers served it: no rules */
    bool is_browser_endpoint; /* one that the shop's pages call */
    bool cookie_is_set;
    const char *visit_id;    /* value of our visit cookie, NULL if none */
    bool visit_id_is_new;    /* made for this visit: the cookie is to be set */
    bool has_visit_cookie;   /* it came with the request */
    bool knows_visit_cookie; /* visit_id was looked for */
    bool visit_cookie_is_set;
    struct capi_bodies_t *bodies; /* body.c; NULL where no rule reads any */
    capi_dir_conf_t *dir;         /* of the sections that count */
    capi_server_conf_t *server;
    ap_conf_vector_t *location_config; /* per_dir_config of the URI as sent (translate_name) */
    capi_consent_t consent;
    apr_array_header_t *event_headers; /* const char *: values of our four headers, as they came */
    apr_array_header_t *match_headers;
    apr_array_header_t *bind_headers;
    bool consent_said;                /* by PHP, in a header */
    apr_array_header_t *minted_names; /* const char *: names of events that got an id of ours */
    bool has_page_visit;              /* PHP said one: rules make none */
    bool knows_session_key;           /* session_key was looked for */
    const request_rec *told;          /* the record whose variables were set last, */
    capi_consent_state_t told_state;  /* and what they say */
    bool knows_bot;                   /* is_bot was judged */
    bool is_bot;
    bool knows_client;           /* the two behind were read: ask capi_visit_address and _agent */
    const char *address, *agent; /* as they may be sent */
} capi_visit_t;

/* The visit of a request or any record of its chain (r->main, r->prev); NULL where there is none:
 * module off everywhere, malformed request, subrequest before its main request had one. */
capi_visit_t *capi_visit_of(const request_rec *r);

int capi_visit_begin(request_rec *r);         /* post_read_request */
int capi_visit_note_location(request_rec *r); /* translate_name, first */
void capi_visit_settle(request_rec *r);       /* insert_filter, or an early end */

/* The decision is final: for the access log, as a variable and as a note of the last record. */
int capi_visit_conclude(request_rec *r); /* log_transaction, first */

/* PHP's own word, stronger than every signal. */
void capi_visit_hear_consent(capi_visit_t *visit, capi_consent_state_t word);

/* Address and user agent of the visit as they may be sent; NULL where they may not. */
const char *capi_visit_address(capi_visit_t *visit);
const char *capi_visit_agent(capi_visit_t *visit);
const char *capi_visit_page_url(capi_visit_t *visit);

/* Keyed hash of the session cookie that the request carries, or else of the one that its response
 * sets; NULL if none. */
const char *capi_visit_session_key(capi_visit_t *visit);

/* Keyed hash of our own visit cookie, that of the request or one that is to be set; NULL if none. */
const char *capi_visit_cookie_key(capi_visit_t *visit);

/* True where our visit cookie is to be set with this visit's answer; makes its value. Only with a
 * grant. */
bool capi_visit_makes_cookie(capi_visit_t *visit);

/* True where rule and browser events of this request do not count: a crawler, a library, HEAD, the
 * server's calls to itself, a prerender (PinterestCapiBots, PinterestCapiPrefetch). */
bool capi_visit_is_uncounted(capi_visit_t *visit);

/* True for a crawler, a library, HEAD and the server's calls to itself, dropped or not. */
bool capi_visit_is_bot(capi_visit_t *visit);

/* True where a proxy in front names the client in a header that nothing reads. */
bool capi_visit_is_proxied(const capi_visit_t *visit);

/* True where the request was made by a page (fetch, beacon, frame), not by going to one. */
bool capi_visit_is_ajax(const capi_visit_t *visit);

/* The keyed hash of a session, visit or bind value under this visit's account. */
const char *capi_visit_keyed_hash(const capi_visit_t *visit, const char *kind, const char *value);

/* How to read events said from this place by `source`. */
void capi_visit_event_rules(capi_event_rules_t *rules, const capi_visit_t *visit,
                            capi_source_t source);

/* An envelope of this visit with settings, consent, client and keys, without binds and events. */
void capi_visit_envelope(capi_envelope_t *envelope, capi_visit_t *visit);

/* Fills an envelope's event from a parsed one: id (minted, or PINTEREST_EVENT_ID[-name]), context,
 * client fields where the event is this visitor's own. `user_data` (may be NULL): the request's
 * match keys. */
void capi_visit_event(capi_envelope_event_t *out, capi_visit_t *visit, capi_event_t *event,
                      capi_source_t source, const json_t *user_data);

/* --- the response (response.c): filters, headers, cookie --- */

void capi_response_register(apr_pool_t *p);
void capi_response_insert(request_rec *r);       /* insert_filter, after capi_visit_settle */
void capi_response_insert_error(request_rec *r); /* insert_error_filter */
void capi_response_child_init(apr_pool_t *p, server_rec *s);

/* --- copies of bodies that rules read (body.c; read them with body.h) --- */

void capi_body_register(apr_pool_t *p);
void capi_body_insert(request_rec *r); /* insert_filter, after capi_visit_settle */

/* --- rules, facts and expressions (rules.c, facts.c, expressions.c) --- */

/* What an expression reads besides headers. */
#define CAPI_READS_BODY   1u
#define CAPI_READS_ANSWER 2u

/* While expressions are parsed: notes what they read in *reads. NULL ends it. Only where the
 * configuration is read, which one thread does. */
void capi_expr_watch(unsigned int *reads);

/* Reads the words of PinterestCapiEvent into a rule; NULL with *message where they are none. Whether
 * the name is known depends on the whole configuration: capi_rule_check. */
capi_rule_t *capi_rule_parse(const char **message, cmd_parms *cmd, int argc, char *const argv[]);

/* NULL where the rule's name is known and clear in this vocabulary, else why not. */
const char *capi_rule_check(const capi_rule_t *rule, capi_vocabulary_t vocabulary,
                            const apr_table_t *aliases, apr_pool_t *p);

/* The name as it was written. */
const char *capi_rule_name(const capi_rule_t *rule);

/* True where two lines say the same. */
bool capi_rule_is_same(const capi_rule_t *a, const capi_rule_t *b);

unsigned int capi_rule_reads(const capi_rule_t *rule);

/* The words of PinterestCapiMatch and PinterestCapiBind; NULL with *message where they are wrong. */
capi_fact_t *capi_match_parse(const char **message, cmd_parms *cmd, int argc, char *const argv[]);
capi_fact_t *capi_bind_parse(const char **message, cmd_parms *cmd, int argc, char *const argv[]);
bool capi_fact_is_same(const capi_fact_t *a, const capi_fact_t *b);
unsigned int capi_fact_reads(const capi_fact_t *fact);

/* Adds raw match keys that PinterestCapiMatch takes from this request and *matches (NULL, or an
 * object) does not have under any name. */
void capi_facts_match(json_t **matches, const capi_visit_t *visit, request_rec *view,
                      apr_pool_t *p);

#define CAPI_BIND_MAX 256

/* Adds the keys of PinterestCapiBind: const char *. */
void capi_facts_bind(apr_array_header_t *binds, const capi_visit_t *visit, request_rec *view,
                     apr_pool_t *p);

int capi_expr_lookup(ap_expr_lookup_parms *parms); /* expr_lookup hook: query:, form:, … */

/* True where the answer says that something happened: 2xx, 304, or another 3xx to a POST. */
bool capi_rule_answer_counts(const request_rec *view);

/* True where an answer of this kind to this request may fire a rule for that event (conditions.c).
 * `view` is the request as rules see it. */
bool capi_rule_may_fire(const capi_visit_t *visit, const request_rec *view, const char *sent_as);

/* An event that a rule makes. `input` (owned by the pool) is as interface 3.5 has it; NULL where the
 * rule says no more than the name. */
typedef struct {
    const char *name, *sent_as;
    json_t *input;
} capi_rule_event_t;

/* The events that rules of this visit's sections make of it: capi_rule_event_t, in configuration
 * order. `view` is the request as rules see it. */
apr_array_header_t *capi_rules_evaluate(capi_visit_t *visit, request_rec *view, apr_pool_t *p);

/* --- recording (record.c): log_transaction --- */

int capi_record_request(request_rec *r);

/* Puts one envelope into the queue; counts and logs what is dropped. */
apr_status_t capi_record_push(server_rec *s, const capi_envelope_t *envelope, uint64_t *position,
                              apr_pool_t *p);

/* --- endpoints (endpoint_*.c) --- */

int capi_endpoint_handler(request_rec *r);

/* "collect" where the request's handler is pinterest-capi-collect, and so on; NULL where it is none
 * of ours. */
const char *capi_endpoint_name(const request_rec *r);

/* Makes the table that counts events of client addresses: post_config. */
apr_status_t capi_endpoint_prepare(apr_pool_t *p);

/* --- supervision (supervisor.c, secret.c) and what workers inherit --- */

/* Why the sender could not run as it is configured, NULL where it can; looks at nothing but the
 * configuration and the user database. */
const char *capi_supervisor_check(apr_pool_t *p);

int capi_supervisor_post_config(apr_pool_t *conf_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                                server_rec *s);
int capi_supervisor_monitor(apr_pool_t *p, server_rec *s); /* monitor hook, in the parent */
void capi_supervisor_child_init(apr_pool_t *p, server_rec *s);

/* What goes wrong without anybody's page showing it; server-status tells how often. */
typedef enum {
    CAPI_COUNT_LEFT_OUT, /* match keys that cannot be what they say */
    CAPI_COUNT_FAILED,   /* lines of rules, matches and binds that could not be evaluated */
    CAPI_COUNT_KINDS
} capi_count_t;
void capi_count(capi_count_t what, int times);
int64_t capi_counted(capi_count_t what);

capi_queue_t *capi_queue(void);         /* NULL where the module is not in use */
const unsigned char *capi_secret(void); /* CAPI_SECRET_LEN bytes under which keys are hashed */

typedef struct {
    pid_t pid;         /* 0: none runs */
    const char *state; /* "running", "stopped", "restarting" */
    apr_time_t started;
    int restarts; /* unexpected deaths since httpd started */
} capi_sender_status_t;
void capi_supervisor_status(capi_sender_status_t *status);

/* --- server-status (status.c) and the admin CGI's environment (admin.c) --- */

int capi_status_hook(request_rec *r, int flags);
int capi_admin_fixups(request_rec *r);

#endif
