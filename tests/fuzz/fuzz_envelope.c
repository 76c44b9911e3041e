/* Records of the queue, which only a worker of ours writes, are checked all the same. */

#include "envelope.h"

#include "fuzz.h"

static void run_one(const char *text, size_t len)
{
    capi_envelope_t *envelope;
    size_t total = 0;

    if (capi_envelope_decode(&envelope, text, len, pool) != APR_SUCCESS) {
        return;
    }
    total += strlen(envelope->settings.account) + strlen(envelope->settings.api_url);
    for (int i = 0; i < envelope->event_count; i++) {
        total += strlen(envelope->events[i].json) + strlen(envelope->events[i].event_id);
    }
    require(total <= len, "a record with more in it than it is long");
}
