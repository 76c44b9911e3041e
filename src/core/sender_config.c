/* The sender's configuration as JSON text, and back. Both sides come from one build, so whatever
 * differs from what is written here is refused, never filled in. */

#include "sender_config.h"

#include <apr_strings.h>
#include <jansson.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNTS_MAX   4096
#define OLD_QUEUES_MAX 256

static json_t *write_account(const capi_sender_account_t *account)
{
    return json_pack("{s:s, s:s, s:b, s:i, s:i, s:s*, s:s*, s:s*, s:s*, s:i, s:i}", "account",
                     account->account, "api_url", account->api_url, "test", account->test, "wire",
                     (int)account->wire, "token_fd", account->token_fd, "token_file",
                     account->token_file, "ca_file", account->ca_file, "proxy", account->proxy,
                     "catalog", account->catalog, "flush_events", account->flush_events,
                     "flush_sec", account->flush_sec);
}

/* A NULL item makes json_pack fail as a whole: that is how one bad string is noticed. */
static json_t *write_accounts(const capi_sender_config_t *config)
{
    json_t *accounts = json_array();
    int i;

    for (i = 0; i < config->account_count; i++) {
        if (json_array_append_new(accounts, write_account(&config->accounts[i])) != 0) {
            json_decref(accounts);
            return NULL;
        }
    }
    return accounts;
}

static json_t *write_descriptors(const capi_sender_config_t *config)
{
    json_t *fds = json_array();
    int i;

    for (i = 0; i < config->old_queue_count; i++) {
        json_array_append_new(fds, json_integer(config->old_queue_fds[i]));
    }
    return fds;
}

const char *capi_sender_config_write(const capi_sender_config_t *config, apr_pool_t *p)
{
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:i, s:o, s:o}", "state_dir", config->state_dir, "store_driver",
        config->store_driver, "store_params", config->store_params, "retention_days",
        config->retention_days, "drain_sec", config->drain_sec, "log_level", config->log_level,
        "accounts", write_accounts(config), "old_queues", write_descriptors(config));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    const char *copy = text ? apr_pstrdup(p, text) : NULL;

    free(text);
    json_decref(root);
    return copy;
}

static const char *copy_text(const char *text, apr_pool_t *p)
{
    return text ? apr_pstrdup(p, text) : NULL;
}

/* The first reason why the account's values make no sense, NULL where they do. */
static const char *find_fault(const capi_sender_account_t *account, int wire)
{
    if (!*account->account || !*account->api_url) {
        return "an account without number or API address";
    }
    if (wire != CAPI_WIRE_V5 && wire != CAPI_WIRE_GUIDE) {
        return "an unknown wire format";
    }
    if (account->token_fd != -1 && account->token_fd < CAPI_FD_FIRST) {
        return "a token descriptor that is another's";
    }
    if (account->flush_events < 1 || account->flush_sec < 0) {
        return "a flush setting out of range";
    }
    return NULL;
}

static apr_status_t read_account(capi_sender_account_t *account, const char **message, json_t *item,
                                 int index, apr_pool_t *p)
{
    json_error_t error;
    const char *fault;
    int test;
    int wire;

    if (json_unpack_ex(
            item, &error, JSON_STRICT, "{s:s, s:s, s:b, s:i, s:i, s?s, s?s, s?s, s?s, s:i, s:i}",
            "account", &account->account, "api_url", &account->api_url, "test", &test, "wire",
            &wire, "token_fd", &account->token_fd, "token_file", &account->token_file, "ca_file",
            &account->ca_file, "proxy", &account->proxy, "catalog", &account->catalog,
            "flush_events", &account->flush_events, "flush_sec", &account->flush_sec) != 0) {
        *message = apr_psprintf(p, "accounts[%d]: %s", index, error.text);
        return APR_EINVAL;
    }
    fault = find_fault(account, wire);
    if (fault) {
        *message = apr_psprintf(p, "accounts[%d]: %s", index, fault);
        return APR_EINVAL;
    }
    account->test = test != 0;
    account->wire = (capi_wire_t)wire;
    account->account = copy_text(account->account, p);
    account->api_url = copy_text(account->api_url, p);
    account->token_file = copy_text(account->token_file, p);
    account->ca_file = copy_text(account->ca_file, p);
    account->proxy = copy_text(account->proxy, p);
    account->catalog = copy_text(account->catalog, p);
    return APR_SUCCESS;
}

static apr_status_t read_accounts(capi_sender_config_t *config, const char **message,
                                  json_t *accounts, apr_pool_t *p)
{
    size_t count = json_array_size(accounts);
    apr_status_t rv;
    int i;

    if (!json_is_array(accounts) || count > ACCOUNTS_MAX) {
        *message = "accounts is no array, or too long a one";
        return APR_EINVAL;
    }
    config->account_count = (int)count;
    config->accounts = apr_pcalloc(p, sizeof(*config->accounts) * count);
    for (i = 0; i < config->account_count; i++) {
        rv = read_account(&config->accounts[i], message, json_array_get(accounts, (size_t)i), i, p);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t read_descriptors(capi_sender_config_t *config, const char **message,
                                     json_t *fds, apr_pool_t *p)
{
    size_t count = json_array_size(fds);
    size_t i;

    if (!json_is_array(fds) || count > OLD_QUEUES_MAX) {
        *message = "old_queues is no array, or too long a one";
        return APR_EINVAL;
    }
    config->old_queue_count = (int)count;
    config->old_queue_fds = apr_pcalloc(p, sizeof(*config->old_queue_fds) * count);
    for (i = 0; i < count; i++) {
        json_t *fd = json_array_get(fds, i);

        if (!json_is_integer(fd) || json_integer_value(fd) < CAPI_FD_FIRST ||
            json_integer_value(fd) > INT_MAX) {
            *message = apr_psprintf(p, "old_queues[%d] is no descriptor of ours", (int)i);
            return APR_EINVAL;
        }
        config->old_queue_fds[i] = (int)json_integer_value(fd);
    }
    return APR_SUCCESS;
}

static int compare_descriptors(const void *left, const void *right)
{
    int a = *(const int *)left;
    int b = *(const int *)right;

    return (a > b) - (a < b);
}

/* A descriptor that stands for two things would be read by one and closed by the other. */
static bool has_shared_descriptor(const capi_sender_config_t *config, apr_pool_t *p)
{
    size_t most = (size_t)config->account_count + (size_t)config->old_queue_count;
    int *fds = apr_palloc(p, sizeof(*fds) * (most + 1));
    size_t count = 0;
    size_t i;

    for (i = 0; i < (size_t)config->account_count; i++) {
        if (config->accounts[i].token_fd >= 0) {
            fds[count++] = config->accounts[i].token_fd;
        }
    }
    for (i = 0; i < (size_t)config->old_queue_count; i++) {
        fds[count++] = config->old_queue_fds[i];
    }
    qsort(fds, count, sizeof(*fds), compare_descriptors);
    for (i = 1; i < count; i++) {
        if (fds[i] == fds[i - 1]) {
            return true;
        }
    }
    return false;
}

static apr_status_t read_root(capi_sender_config_t *config, const char **message, json_t *root,
                              apr_pool_t *p)
{
    json_error_t error;
    json_t *accounts;
    json_t *fds;
    apr_status_t rv;

    if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s, s:s, s:s, s:i, s:i, s:i, s:o, s:o}",
                       "state_dir", &config->state_dir, "store_driver", &config->store_driver,
                       "store_params", &config->store_params, "retention_days",
                       &config->retention_days, "drain_sec", &config->drain_sec, "log_level",
                       &config->log_level, "accounts", &accounts, "old_queues", &fds) != 0) {
        *message = apr_pstrdup(p, error.text);
        return APR_EINVAL;
    }
    config->state_dir = apr_pstrdup(p, config->state_dir);
    config->store_driver = apr_pstrdup(p, config->store_driver);
    config->store_params = apr_pstrdup(p, config->store_params);
    if (!*config->state_dir || !*config->store_driver) {
        *message = "state_dir or store_driver is empty";
        return APR_EINVAL;
    }
    if (config->retention_days < 0 || config->drain_sec < 0 || config->log_level < 0) {
        *message = "retention_days, drain_sec or log_level is negative";
        return APR_EINVAL;
    }
    rv = read_accounts(config, message, accounts, p);
    if (rv == APR_SUCCESS) {
        rv = read_descriptors(config, message, fds, p);
    }
    if (rv == APR_SUCCESS && has_shared_descriptor(config, p)) {
        *message = "one descriptor stands for two things";
        rv = APR_EINVAL;
    }
    return rv;
}

apr_status_t capi_sender_config_read(capi_sender_config_t **config, const char **message,
                                     const char *text, apr_size_t len, apr_pool_t *p)
{
    capi_sender_config_t *found = apr_pcalloc(p, sizeof(*found));
    json_error_t error;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    apr_status_t rv;

    if (!root) {
        *message = apr_psprintf(p, "line %d, column %d: %s", error.line, error.column, error.text);
        return APR_EINVAL;
    }
    rv = read_root(found, message, root, p);
    json_decref(root);
    if (rv == APR_SUCCESS) {
        *config = found;
    }
    return rv;
}
