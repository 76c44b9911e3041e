/* Configuration and tokens, from descriptors that httpd's parent opened. */

#include "sender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#define CONFIG_MAX (4 * 1024 * 1024)
#define TOKEN_MAX  4096 /* Pinterest's have less than 200 characters */

static ssize_t read_up_to(int fd, char *buffer, size_t size)
{
    size_t filled = 0;

    while (filled < size) {
        ssize_t n = read(fd, buffer + filled, size - filled);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        filled += (size_t)n;
    }
    return (ssize_t)filled;
}

apr_status_t capi_config_load(capi_sender_config_t **config, const char **message, apr_pool_t *p)
{
    struct stat st;
    char *text;
    ssize_t len;

    *message = "its configuration cannot be read: the sender is started by httpd, not by hand";
    if (fstat(CAPI_FD_CONFIG, &st) != 0 || st.st_size <= 0 || st.st_size > CONFIG_MAX ||
        lseek(CAPI_FD_CONFIG, 0, SEEK_SET) != 0) {
        return APR_EINVAL;
    }
    text = apr_palloc(p, (apr_size_t)st.st_size);
    len = read_up_to(CAPI_FD_CONFIG, text, (size_t)st.st_size);
    close(CAPI_FD_CONFIG);
    if (len <= 0) {
        return APR_EINVAL;
    }
    return capi_sender_config_read(config, message, text, (apr_size_t)len, p);
}

/* The first line without blanks around it; NULL where it is empty or cannot stand in a header. */
static char *copy_token(char *text, size_t len)
{
    char *start = text;
    size_t i;

    text[len] = '\0';
    start += strspn(start, " \t\r\n");
    start[strcspn(start, "\r\n")] = '\0';
    for (i = strlen(start); i > 0 && (start[i - 1] == ' ' || start[i - 1] == '\t'); i--) {
        start[i - 1] = '\0';
    }
    for (i = 0; start[i]; i++) {
        if (start[i] <= ' ' || start[i] >= 0x7f) {
            return NULL;
        }
    }
    return *start ? strdup(start) : NULL;
}

static char *read_token(int fd)
{
    char text[TOKEN_MAX + 1];
    ssize_t len = read_up_to(fd, text, TOKEN_MAX);
    char *token = len > 0 ? copy_token(text, (size_t)len) : NULL;

    explicit_bzero(text, sizeof(text));
    return token;
}

char **capi_tokens_load(const capi_sender_config_t *config, apr_pool_t *p)
{
    char **tokens = apr_pcalloc(p, sizeof(*tokens) * (size_t)(config->account_count + 1));
    int i;

    for (i = 0; i < config->account_count; i++) {
        int fd = config->accounts[i].token_fd;

        if (fd < CAPI_FD_FIRST) {
            continue;
        }
        tokens[i] = read_token(fd);
        close(fd);
    }
    return tokens;
}

void capi_tokens_wipe(char **tokens, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        if (tokens[i]) {
            explicit_bzero(tokens[i], strlen(tokens[i]));
            free(tokens[i]);
            tokens[i] = NULL;
        }
    }
}
