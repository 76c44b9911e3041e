#ifndef CAPI_SENDER_CONFIG_H
#define CAPI_SENDER_CONFIG_H

/* The sender's configuration on its way from httpd's parent: JSON on a sealed memfd, never argv,
 * environment or a named file. Tokens are not in it, only the numbers of descriptors that the child
 * opened as root after the fork. */

#include "capi.h"

/* Inherited descriptors of the exec'd sender. From CAPI_FD_FIRST on: tokens, then queues that a
 * crash left behind, as the configuration numbers them. */
#define CAPI_FD_CONFIG 3
#define CAPI_FD_QUEUE  4 /* the current queue, inherited: shares the workers' lock */
#define CAPI_FD_WAKEUP 5 /* its eventfd */
#define CAPI_FD_PARENT 6 /* pidfd of httpd's parent */
#define CAPI_FD_FIRST  7

typedef struct {
    const char *account;
    const char *api_url;
    bool test;
    capi_wire_t wire;
    int token_fd;           /* -1: this account has no token here */
    const char *token_file; /* its name, for messages */
    const char *ca_file;    /* NULL: the system's */
    const char *proxy;      /* NULL: none */
    const char *catalog;    /* path of the catalogue feed; NULL: none */
    int flush_events;
    int flush_sec;
} capi_sender_account_t;

typedef struct {
    const char *state_dir;
    const char *store_driver;
    const char *store_params;
    int retention_days;
    int drain_sec; /* how long a stop may take */
    int log_level; /* APLOG_ number: 0 emerg … 7 debug, 8 trace1 … */
    int account_count;
    capi_sender_account_t *accounts;
    int old_queue_count;
    int *old_queue_fds; /* opened by the child itself, so that abandonment can be seen */
} capi_sender_config_t;

/* JSON text, in the pool; NULL where a string is not UTF-8, which JSON cannot hold. */
const char *capi_sender_config_write(const capi_sender_config_t *config, apr_pool_t *p);

/* Reads it; APR_EINVAL with *message where it is not what write makes. */
apr_status_t capi_sender_config_read(capi_sender_config_t **config, const char **message,
                                     const char *text, apr_size_t len, apr_pool_t *p);

#endif
