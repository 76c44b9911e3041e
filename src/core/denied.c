#include "denied.h"

#include "event.h"
#include "match.h"

#include <string.h>

#define NAME_MAX_LEN 32

bool capi_denied_key(capi_keys_t *keys, const char *name)
{
    capi_key_t key;

    if (strcmp(name, "epik") == 0) {
        name = "click_id";
    }
    if (capi_match_key(&key, name)) {
        *keys |= CAPI_KEY_BIT(key);
        return true;
    }
    for (key = 0; key < CAPI_KEY_COUNT; key++) {
        if (strcmp(capi_key_name(key), name) == 0) {
            *keys |= CAPI_KEY_BIT(key);
            return true;
        }
    }
    return false;
}

capi_action_t capi_denied_action(const char *on_denied)
{
    if (on_denied && strcmp(on_denied, "limited") == 0) {
        return CAPI_ACTION_LIMITED;
    }
    return on_denied && strncmp(on_denied, "strip ", 6) == 0 ? CAPI_ACTION_STRIP
                                                             : CAPI_ACTION_SUPPRESS;
}

/* The keys behind `strip`. A word that is no key poisons the whole: nothing is sent then. */
static bool read_keys(capi_keys_t *keys, const char *words)
{
    while (*words) {
        char name[NAME_MAX_LEN];
        size_t len = strcspn(words, " ");
        if (len == 0 || len >= sizeof(name)) {
            return false;
        }
        memcpy(name, words, len);
        name[len] = '\0';
        if (!capi_denied_key(keys, name)) {
            return false;
        }
        words += len;
        words += strspn(words, " ");
    }
    return *keys != 0;
}

static bool strip(json_t *body, const char *words)
{
    json_t *user_data = json_object_get(body, "user_data");
    capi_keys_t keys = 0;

    if (!read_keys(&keys, words)) {
        return false;
    }
    for (capi_key_t key = 0; key < CAPI_KEY_COUNT; key++) {
        if (keys & CAPI_KEY_BIT(key)) {
            json_object_del(user_data, capi_key_name(key));
        }
    }
    return capi_event_is_sendable(body);
}

static bool limit(json_t *body)
{
    json_t *custom_data = json_object_get(body, "custom_data");

    if (!custom_data) {
        custom_data = json_object();
        json_object_set_new(body, "custom_data", custom_data);
    }
    json_object_set_new(custom_data, "opt_out_type", json_string("LDP"));
    return true;
}

bool capi_denied_apply(json_t *body, const char *on_denied)
{
    switch (capi_denied_action(on_denied)) {
    case CAPI_ACTION_LIMITED:
        return limit(body);
    case CAPI_ACTION_STRIP:
        return strip(body, on_denied + strlen("strip "));
    default:
        return false;
    }
}

void capi_denied_bare(json_t *body)
{
    static const char *const kept[] = {"event_name", "action_source", "event_time", "event_id"};
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(body, next, name, value)
    {
        bool is_kept = false;

        for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
            is_kept |= strcmp(name, kept[i]) == 0;
        }
        if (!is_kept) {
            json_object_del(body, name);
        }
    }
    json_object_set_new(body, "user_data", json_object());
}

const char *capi_action_name(capi_action_t action)
{
    static const char *const names[] = {"sent", "suppressed", "stripped", "limited"};

    return names[action];
}
