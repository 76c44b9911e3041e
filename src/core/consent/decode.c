#include "decode.h"

#include "tcf.h"
#include "text.h"

#include <apr_base64.h>
#include <apr_lib.h>

#include <string.h>

unsigned capi_decode_step(const char *word)
{
    static const char *const words[] = {"url", "base64", "strip_ws", "unescape"};

    for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (strcmp(word, words[i]) == 0) {
            return 1u << i;
        }
    }
    return 0;
}

static bool undo_percent(char *text, apr_size_t *len)
{
    apr_size_t out = 0;

    for (apr_size_t in = 0; in < *len; in++) {
        if (text[in] != '%') {
            text[out++] = text[in];
            continue;
        }
        if (in + 2 >= *len || !apr_isxdigit(text[in + 1]) || !apr_isxdigit(text[in + 2])) {
            return false;
        }
        text[out++] = (char)(capi_hex_value(text[in + 1]) << 4 | capi_hex_value(text[in + 2]));
        in += 2;
    }
    *len = out;
    return true;
}

static bool undo_base64(char *text, apr_size_t *len, apr_pool_t *p)
{
    while (*len && text[*len - 1] == '=') {
        --*len;
    }
    for (apr_size_t i = 0; i < *len; i++) {
        text[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
        if (!apr_isalnum(text[i]) && text[i] != '+' && text[i] != '/') {
            return false;
        }
    }
    text[*len] = '\0';
    char *plain = apr_palloc(p, (apr_size_t)apr_base64_decode_len(text) + 1);
    int count = apr_base64_decode(plain, text);
    if (count < 0 || (apr_size_t)count > *len) {
        return false;
    }
    memcpy(text, plain, (apr_size_t)count);
    *len = (apr_size_t)count;
    return *len > 0;
}

static void drop(char *text, apr_size_t *len, const char *unwanted)
{
    apr_size_t out = 0;

    for (apr_size_t in = 0; in < *len; in++) {
        if (!text[in] || !strchr(unwanted, text[in])) {
            text[out++] = text[in];
        }
    }
    *len = out;
}

const char *capi_decode(const char *value, apr_size_t *len, unsigned steps, apr_pool_t *p)
{
    if (*len > CAPI_CONSENT_STRING_MAX) {
        return NULL;
    }
    char *text = apr_palloc(p, *len + 1);
    memcpy(text, value, *len);
    if ((steps & CAPI_DECODE_URL && !undo_percent(text, len)) ||
        (steps & CAPI_DECODE_BASE64 && !undo_base64(text, len, p))) {
        return NULL;
    }
    if (steps & CAPI_DECODE_STRIP_WS) {
        drop(text, len, " \t\r\n");
    }
    if (steps & CAPI_DECODE_UNESCAPE) {
        drop(text, len, "\\");
    }
    text[*len] = '\0';
    return text;
}
