#include "cmp.h"

#include "decode.h"
#include "pattern.h"
#include "tcf.h"
#include "us.h"

#include <apr_file_io.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <jansson.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A cookie and what its value says once it is decoded. */
typedef struct {
    const char *cookie; /* `*` at the end: a prefix */
    unsigned steps;     /* CAPI_DECODE_… */
    capi_pattern_t *grant, *deny;
} rule_t;

/* Reads a whole value that has a format of its own. Such formats only deny. */
typedef capi_consent_state_t reader_t(const char *value, apr_size_t len);

struct capi_cmp_t {
    const char *name;
    reader_t *reader; /* NULL: patterns */
    rule_t all;       /* advertising as a whole */
    rule_t pinterest; /* Pinterest alone; cookie NULL: the manager does not ask that finely */
    capi_pattern_t *answered; /* on the value of all.cookie */
    const char *companion;    /* another cookie that says that somebody answered */
    capi_pattern_t *companion_match;
    const char *granted_cookie; /* set by a manager that marks only what was accepted */
    capi_pattern_t *granted_match;
};

typedef struct {
    const char *file;
    const apr_table_t *params;
    const json_t
        *defaults; /* "params" of the file: NAME → default, or null where it must be given */
    const char *message;
    apr_status_t rv;
    apr_pool_t *p;
} loader_t;

static void refuse(loader_t *loader, apr_status_t rv, const char *what)
{
    if (!loader->message) {
        loader->message = apr_pstrcat(loader->p, loader->file, ": ", what, NULL);
        loader->rv = rv;
    }
}

static bool is_plain(const char *value)
{
    return *value && strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789_-") == strlen(value);
}

/* `text` with each {NAME} filled in. Quantifiers such as {2,4} are no names. */
static const char *fill_in(loader_t *loader, const char *text)
{
    const char *out = "";

    for (const char *open = strchr(text, '{'); open; open = strchr(open + 1, '{')) {
        const char *close = strchr(open, '}');
        if (!close || !apr_isupper(open[1]) || (open > text && open[-1] == '\\')) {
            continue;
        }
        const char *name = apr_pstrmemdup(loader->p, open + 1, (apr_size_t)(close - open - 1));
        const char *value = loader->params ? apr_table_get(loader->params, name) : NULL;
        if (!value) {
            value = json_string_value(json_object_get(loader->defaults, name));
        }
        if (!value) {
            refuse(loader, APR_INCOMPLETE,
                   apr_psprintf(loader->p, "needs the parameter %s=VALUE", name));
            return text;
        }
        if (!is_plain(value)) {
            refuse(loader, APR_EINVAL,
                   apr_psprintf(loader->p, "parameter %s may hold letters, digits, _ and - only",
                                name));
            return text;
        }
        out = apr_pstrcat(loader->p, out,
                          apr_pstrmemdup(loader->p, text, (apr_size_t)(open - text)), value, NULL);
        text = close + 1;
        open = close;
    }
    return apr_pstrcat(loader->p, out, text, NULL);
}

static const char *text_of(loader_t *loader, const json_t *object, const char *key, bool needed)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_string(value) && json_string_length(value) > 0) {
        return apr_pstrdup(loader->p, json_string_value(value));
    }
    if (value || needed) {
        refuse(loader, APR_EINVAL, apr_psprintf(loader->p, "\"%s\" must be a text", key));
    }
    return NULL;
}

static capi_pattern_t *pattern_of(loader_t *loader, const json_t *object, const char *key,
                                  bool needed)
{
    const char *text = text_of(loader, object, key, needed);
    const char *message = NULL;
    capi_pattern_t *pattern = NULL;

    if (text) {
        text = fill_in(loader, text);
    }
    if (text && !loader->message &&
        capi_pattern_compile(&pattern, &message, text, loader->p) != APR_SUCCESS) {
        refuse(loader, APR_EINVAL, apr_psprintf(loader->p, "\"%s\": %s", key, message));
    }
    return pattern;
}

static unsigned steps_of(loader_t *loader, const json_t *object)
{
    const json_t *list = json_object_get(object, "decode");
    unsigned steps = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        unsigned step = word ? capi_decode_step(word) : 0;
        if (!step) {
            refuse(loader, APR_EINVAL,
                   "\"decode\" takes \"url\", \"base64\", \"strip_ws\" and \"unescape\"");
        }
        steps |= step;
    }
    return steps;
}

static void load_rule(loader_t *loader, rule_t *rule, const json_t *object, bool can_lack_patterns)
{
    rule->cookie = text_of(loader, object, "cookie", true);
    rule->steps = steps_of(loader, object);
    rule->grant = pattern_of(loader, object, "grant", !can_lack_patterns);
    rule->deny = pattern_of(loader, object, "deny", !can_lack_patterns);
}

static void load_companion(loader_t *loader, const char **cookie, capi_pattern_t **match,
                           const json_t *object)
{
    if (object) {
        const char *name = text_of(loader, object, "cookie", true);
        *cookie = name ? fill_in(loader, name) : NULL;
        *match = pattern_of(loader, object, "match", true);
    }
}

static void check_keys(loader_t *loader, const json_t *object)
{
    static const char known[] = " title cookie decode grant deny answered companion granted_by "
                                "pinterest params note reader ";
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        if (!strstr(known, apr_pstrcat(loader->p, " ", key, " ", NULL))) {
            refuse(loader, APR_EINVAL, apr_psprintf(loader->p, "unknown key \"%s\"", key));
        }
    }
}

static capi_consent_state_t read_tcf(const char *value, apr_size_t len)
{
    return capi_tcf_state(value, len, CAPI_TCF_MEASUREMENT, false);
}

static capi_consent_state_t read_gpp(const char *value, apr_size_t len)
{
    return capi_gpp_read(value, len) == CAPI_US_OPTED_OUT ? CAPI_CONSENT_DENIED
                                                          : CAPI_CONSENT_UNKNOWN;
}

static capi_consent_state_t read_usp(const char *value, apr_size_t len)
{
    return capi_usp_read(value, len) == CAPI_US_OPTED_OUT ? CAPI_CONSENT_DENIED
                                                          : CAPI_CONSENT_UNKNOWN;
}

static reader_t *reader_of(loader_t *loader, const char *word)
{
    if (word && strcmp(word, "tcf") == 0) {
        return read_tcf;
    }
    if (word && strcmp(word, "gpp") == 0) {
        return read_gpp;
    }
    if (word && strcmp(word, "usp") == 0) {
        return read_usp;
    }
    refuse(loader, APR_EINVAL, "\"reader\" takes \"tcf\", \"gpp\" or \"usp\"");
    return NULL;
}

static int check_param(void *context, const char *given, const char *value)
{
    loader_t *loader = context;
    const char *known = "";
    const char *key;
    json_t *fallback;

    (void)value;
    json_object_foreach((json_t *)(uintptr_t)loader->defaults, key, fallback)
    {
        if (strcasecmp(key, given) == 0) {
            return 1;
        }
        known = apr_pstrcat(loader->p, known, " ", key, NULL);
    }
    refuse(loader, APR_EINVAL,
           apr_psprintf(loader->p, "has no parameter %s: its parameters are%s", given,
                        *known ? known : " none"));
    return 0;
}

static void load(loader_t *loader, capi_cmp_t *cmp, const json_t *object)
{
    const json_t *granted_by = json_object_get(object, "granted_by");

    check_keys(loader, object);
    loader->defaults = json_object_get(object, "params");
    if (loader->params) {
        apr_table_do(check_param, loader, loader->params, NULL);
    }
    if (json_object_get(object, "reader")) {
        cmp->reader = reader_of(loader, text_of(loader, object, "reader", true));
    }
    load_rule(loader, &cmp->all, object, granted_by || cmp->reader);
    cmp->answered = pattern_of(loader, object, "answered", false);
    load_companion(loader, &cmp->companion, &cmp->companion_match,
                   json_object_get(object, "companion"));
    load_companion(loader, &cmp->granted_cookie, &cmp->granted_match, granted_by);
    if (json_object_get(object, "pinterest")) {
        load_rule(loader, &cmp->pinterest, json_object_get(object, "pinterest"), false);
    }
}

apr_status_t capi_cmp_load(const capi_cmp_t **result, const char **message, const char *folder,
                           const char *name, const apr_table_t *params, apr_pool_t *p)
{
    loader_t loader = {.params = params, .rv = APR_SUCCESS, .p = p};
    capi_cmp_t *cmp = apr_pcalloc(p, sizeof(*cmp));
    json_error_t error = {0};
    json_t *object = NULL;

    cmp->name = apr_pstrdup(p, name);
    loader.file = apr_psprintf(p, "%s/%s.json", folder, name);
    if (is_plain(name)) {
        object = json_load_file(loader.file, JSON_REJECT_DUPLICATES, &error);
    }
    else {
        refuse(&loader, APR_ENOENT, "is no name of a consent manager");
    }
    if (json_is_object(object)) {
        load(&loader, cmp, object);
    }
    else if (!loader.message && json_error_code(&error) == json_error_cannot_open_file) {
        refuse(&loader, APR_ENOENT, "no such consent manager");
    }
    else if (!loader.message) {
        refuse(&loader, APR_EINVAL,
               object ? "must hold one JSON object"
                      : apr_psprintf(p, "line %d: %s", error.line, error.text));
    }
    json_decref(object);
    *result = cmp;
    *message = loader.message;
    return loader.rv;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

apr_status_t capi_cmp_list(apr_array_header_t **names, const char *folder, apr_pool_t *p)
{
    apr_dir_t *dir;
    apr_finfo_t entry;
    apr_status_t rv = apr_dir_open(&dir, folder, p);

    *names = apr_array_make(p, 48, sizeof(const char *));
    if (rv != APR_SUCCESS) {
        return rv;
    }
    while (apr_dir_read(&entry, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        apr_size_t len = strlen(entry.name);
        if (len > 5 && strcmp(entry.name + len - 5, ".json") == 0) {
            APR_ARRAY_PUSH(*names, const char *) = apr_pstrmemdup(p, entry.name, len - 5);
        }
    }
    apr_dir_close(dir);
    qsort((*names)->elts, (size_t)(*names)->nelts, sizeof(const char *), by_name);
    return APR_SUCCESS;
}

const char *capi_cmp_cookie(const capi_cmp_t *cmp)
{
    return cmp->all.cookie;
}

const char *capi_cmp_name(const capi_cmp_t *cmp)
{
    return cmp->name;
}

static bool any_cookie_matches(const capi_cookies_t *cookies, const char *name,
                               const capi_pattern_t *match, apr_pool_t *p)
{
    const capi_cookie_t *cookie = NULL;

    while ((cookie = capi_cookies_find(cookies, cookie, name)) != NULL) {
        apr_size_t len = cookie->value_len;
        const char *value = capi_decode(cookie->value, &len, CAPI_DECODE_URL, p);
        if (value && capi_pattern_matches(match, value, len)) {
            return true;
        }
    }
    return false;
}

static bool is_answered(const capi_cmp_t *cmp, const char *value, apr_size_t len,
                        bool has_companion)
{
    if (!cmp->answered && !cmp->companion) {
        return true;
    }
    return has_companion || (cmp->answered && capi_pattern_matches(cmp->answered, value, len));
}

static capi_consent_state_t judge(const rule_t *rule, const char *value, apr_size_t len)
{
    if (rule->deny && capi_pattern_matches(rule->deny, value, len)) {
        return CAPI_CONSENT_DENIED;
    }
    if (rule->grant && capi_pattern_matches(rule->grant, value, len)) {
        return CAPI_CONSENT_GRANTED;
    }
    return CAPI_CONSENT_UNKNOWN;
}

/* All cookies of the rule's name; a denial wins. *answered: one of them is an answer. */
static capi_consent_state_t read_rule(const capi_cmp_t *cmp, const rule_t *rule, bool *answered,
                                      const capi_cookies_t *cookies, bool has_companion,
                                      apr_pool_t *p)
{
    const capi_cookie_t *cookie = NULL;
    capi_consent_state_t said = CAPI_CONSENT_UNKNOWN;

    while (said != CAPI_CONSENT_DENIED &&
           (cookie = capi_cookies_find(cookies, cookie, rule->cookie)) != NULL) {
        apr_size_t len = cookie->value_len;
        const char *value = capi_decode(cookie->value, &len, rule->steps, p);
        if (!value || (rule == &cmp->all && !is_answered(cmp, value, len, has_companion))) {
            continue;
        }
        *answered = true;
        capi_consent_state_t one = cmp->reader ? cmp->reader(value, len) : judge(rule, value, len);
        said = one == CAPI_CONSENT_UNKNOWN ? said : one;
    }
    return said;
}

capi_consent_state_t capi_cmp_read(const capi_cmp_t *cmp, const capi_cookies_t *cookies,
                                   apr_pool_t *p)
{
    bool answered = false, fine_answered = false;

    /* Most managers are not on this site: nothing more is done for them. */
    if (!capi_cookies_find(cookies, NULL, cmp->all.cookie)) {
        return CAPI_CONSENT_UNKNOWN;
    }
    bool has_companion =
        cmp->companion && any_cookie_matches(cookies, cmp->companion, cmp->companion_match, p);
    capi_consent_state_t said = read_rule(cmp, &cmp->all, &answered, cookies, has_companion, p);
    if (answered && cmp->granted_cookie) {
        said = any_cookie_matches(cookies, cmp->granted_cookie, cmp->granted_match, p)
                   ? CAPI_CONSENT_GRANTED
                   : CAPI_CONSENT_DENIED;
    }
    if (answered && cmp->pinterest.cookie) {
        capi_consent_state_t fine =
            read_rule(cmp, &cmp->pinterest, &fine_answered, cookies, has_companion, p);
        said = fine == CAPI_CONSENT_UNKNOWN ? said : fine;
    }
    return said;
}
