/* The names of the shared vocabulary, as they stand on the wire, in JSON and on the page. */

#include "capi.h"

static const char *name_at(const char *const *names, apr_size_t count, int index)
{
    if (index < 0 || (apr_size_t)index >= count || !names[index]) {
        return "unknown";
    }
    return names[index];
}

const char *capi_source_name(capi_source_t source)
{
    static const char *const names[] = {
        [CAPI_SOURCE_BROWSER] = "browser",
        [CAPI_SOURCE_RULE] = "rule",
        [CAPI_SOURCE_HEADER] = "header",
        [CAPI_SOURCE_BACKEND] = "backend",
    };

    return name_at(names, sizeof(names) / sizeof(names[0]), (int)source);
}

const char *capi_state_name(capi_state_t state)
{
    static const char *const names[] = {
        [CAPI_STATE_QUEUED] = "queued",         [CAPI_STATE_SENDING] = "sending",
        [CAPI_STATE_RETRYING] = "retrying",     [CAPI_STATE_HELD] = "held",
        [CAPI_STATE_DELIVERED] = "delivered",   [CAPI_STATE_REJECTED] = "rejected",
        [CAPI_STATE_SUPPRESSED] = "suppressed", [CAPI_STATE_UNCONFIRMED] = "unconfirmed",
        [CAPI_STATE_EXPIRED] = "expired",
    };

    return name_at(names, sizeof(names) / sizeof(names[0]), (int)state);
}

const char *capi_consent_name(capi_consent_state_t state)
{
    static const char *const names[] = {
        [CAPI_CONSENT_UNKNOWN] = "unknown",
        [CAPI_CONSENT_GRANTED] = "granted",
        [CAPI_CONSENT_DENIED] = "denied",
    };

    return name_at(names, sizeof(names) / sizeof(names[0]), (int)state);
}

const char *capi_wire_name(capi_wire_t wire)
{
    static const char *const names[] = {
        [CAPI_WIRE_V5] = "v5",
        [CAPI_WIRE_GUIDE] = "guide",
    };

    return name_at(names, sizeof(names) / sizeof(names[0]), (int)wire);
}

const char *capi_key_name(capi_key_t key)
{
    static const char *const names[CAPI_KEY_COUNT] = {
        [CAPI_KEY_EM] = "em",
        [CAPI_KEY_PH] = "ph",
        [CAPI_KEY_GE] = "ge",
        [CAPI_KEY_DB] = "db",
        [CAPI_KEY_FN] = "fn",
        [CAPI_KEY_LN] = "ln",
        [CAPI_KEY_CT] = "ct",
        [CAPI_KEY_ST] = "st",
        [CAPI_KEY_ZP] = "zp",
        [CAPI_KEY_COUNTRY] = "country",
        [CAPI_KEY_EXTERNAL_ID] = "external_id",
        [CAPI_KEY_HASHED_MAIDS] = "hashed_maids",
        [CAPI_KEY_CLICK_ID] = "click_id",
        [CAPI_KEY_CLIENT_IP_ADDRESS] = "client_ip_address",
        [CAPI_KEY_CLIENT_USER_AGENT] = "client_user_agent",
        [CAPI_KEY_PARTNER_ID] = "partner_id",
    };

    return name_at(names, CAPI_KEY_COUNT, (int)key);
}
