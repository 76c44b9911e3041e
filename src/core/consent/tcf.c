#include "tcf.h"

#include "bits.h"

#include <string.h>

/* 2026-03-01 00:00 UTC in tenths of a second. */
#define DISCLOSED_SINCE_DS INT64_C(17723232000)

enum { SEGMENT_DISCLOSED = 1, SEGMENT_ALLOWED = 2, SEGMENT_PUBLISHER = 3 };

static uint32_t take_purposes(capi_bits_t *bits)
{
    uint32_t purposes = 0;

    for (int i = 0; i < 24; i++) {
        purposes |= (uint32_t)capi_bits_take(bits, 1) << i;
    }
    return purposes;
}

/* Ranges of vendor ids; whether `vendor` lies in one. */
static bool take_ranges(capi_bits_t *bits, const char **error, unsigned max_id, unsigned vendor)
{
    unsigned count = (unsigned)capi_bits_take(bits, 12);
    bool found = false;

    for (unsigned i = 0; i < count && !bits->failed && !*error; i++) {
        bool is_range = capi_bits_take(bits, 1) != 0;
        unsigned start = (unsigned)capi_bits_take(bits, 16);
        unsigned end = is_range ? (unsigned)capi_bits_take(bits, 16) : start;
        if (bits->failed) {
            break;
        }
        if (start == 0) {
            *error = "vendor_id_zero";
        }
        else if (end < start) {
            *error = "range_end_before_start";
        }
        else if (end > max_id) {
            *error = "vendor_id_above_max";
        }
        found = found || (vendor >= start && vendor <= end);
    }
    return found;
}

/* MaxVendorId, IsRange, then a bit for each vendor, or ranges. */
static bool take_vendors(capi_bits_t *bits, const char **error, unsigned vendor)
{
    unsigned max_id = (unsigned)capi_bits_take(bits, 16);

    if (capi_bits_take(bits, 1) != 0) {
        return take_ranges(bits, error, max_id, vendor);
    }
    apr_size_t field = bits->pos;
    capi_bits_skip(bits, max_id);
    return !bits->failed && vendor > 0 && vendor <= max_id &&
           capi_bits_at(bits, field + vendor - 1, 1) != 0;
}

static bool is_letter_code(uint64_t two_letters)
{
    return two_letters >> 6 < 26 && (two_letters & 63) < 26;
}

static void read_core(capi_tcf_t *tcf, const char **error, capi_bits_t *bits, unsigned vendor)
{
    tcf->created_ds = (int64_t)capi_bits_take(bits, 36);
    capi_bits_take(bits, 36); /* last updated */
    tcf->cmp_id = (unsigned)capi_bits_take(bits, 12);
    capi_bits_take(bits, 12 + 6); /* CMP version, screen */
    uint64_t language = capi_bits_take(bits, 12);
    capi_bits_take(bits, 12); /* vendor list version */
    tcf->policy_version = (unsigned)capi_bits_take(bits, 6);
    tcf->is_service_specific = capi_bits_take(bits, 1) != 0;
    capi_bits_take(bits, 1 + 12); /* non-standard texts, special features */
    tcf->purposes = take_purposes(bits);
    capi_bits_take(bits, 24 + 1); /* legitimate interests, purpose one treatment */
    uint64_t country = capi_bits_take(bits, 12);
    if (!bits->failed && (!is_letter_code(language) || !is_letter_code(country))) {
        *error = "bad_letter_code";
        return;
    }
    tcf->has_vendor = take_vendors(bits, error, vendor);
    if (!*error) {
        take_vendors(bits, error, 0);
    }
    unsigned restrictions = *error ? 0 : (unsigned)capi_bits_take(bits, 12);
    for (unsigned i = 0; i < restrictions && !bits->failed && !*error; i++) {
        capi_bits_take(bits, 6 + 2); /* purpose, type */
        take_ranges(bits, error, 65535, 0);
    }
}

static void read_segment(capi_tcf_t *tcf, const char **error, capi_bits_t *bits, unsigned vendor,
                         unsigned *seen)
{
    unsigned type = (unsigned)capi_bits_take(bits, 3);

    if (type == 0 || *seen & 1u << type) {
        *error = type == 0 ? "duplicate_core" : "duplicate_segment";
        return;
    }
    *seen |= 1u << type;
    if (type == SEGMENT_DISCLOSED) {
        tcf->has_disclosed_vendors = true;
        tcf->vendor_is_disclosed = take_vendors(bits, error, vendor);
    }
    else if (type == SEGMENT_ALLOWED) {
        take_vendors(bits, error, 0);
    }
    else if (type == SEGMENT_PUBLISHER) {
        capi_bits_take(bits, 24);
        capi_bits_take(bits, 24);
        uint64_t custom = capi_bits_take(bits, 6);
        capi_bits_skip(bits, custom * 2);
    }
}

apr_status_t capi_tcf_read(capi_tcf_t *tcf, const char **error, const char *text, apr_size_t len,
                           unsigned vendor)
{
    unsigned seen = 0;
    const char *end = text + len;

    memset(tcf, 0, sizeof(*tcf));
    *error = len > CAPI_CONSENT_STRING_MAX ? "too_long" : NULL;
    for (const char *segment = text; !*error; segment++) {
        const char *dot = memchr(segment, '.', (apr_size_t)(end - segment));
        const char *stop = dot ? dot : end;
        capi_bits_t bits;
        capi_bits_open(&bits, segment, (apr_size_t)(stop - segment));
        if (segment == stop) {
            *error = "empty_segment";
        }
        else if (bits.failed) {
            *error = "bad_base64url_char";
        }
        else if (segment != text) {
            read_segment(tcf, error, &bits, vendor, &seen);
        }
        else if (capi_bits_take(&bits, 6) != 2) {
            *error = "unsupported_version";
        }
        else {
            read_core(tcf, error, &bits, vendor);
        }
        if (!*error && bits.failed) {
            *error = "truncated";
        }
        if (!dot) {
            break;
        }
        segment = dot;
    }
    return *error ? APR_EINVAL : APR_SUCCESS;
}

const char *capi_tcf_invalid(const capi_tcf_t *tcf)
{
    if (!tcf->is_service_specific) {
        return "not_service_specific";
    }
    if (tcf->policy_version < 4) {
        return "policy_version_lt_4";
    }
    if (!tcf->has_disclosed_vendors && tcf->created_ds >= DISCLOSED_SINCE_DS) {
        return "missing_disclosed_vendors";
    }
    return NULL;
}

bool capi_tcf_grants(const capi_tcf_t *tcf, uint32_t required)
{
    return (tcf->purposes & required) == required;
}

capi_consent_state_t capi_tcf_state(const char *text, apr_size_t len, uint32_t required,
                                    bool may_grant)
{
    capi_tcf_t tcf;
    const char *error;

    if (capi_tcf_read(&tcf, &error, text, len, 0) != APR_SUCCESS || capi_tcf_invalid(&tcf)) {
        return CAPI_CONSENT_UNKNOWN;
    }
    if (!capi_tcf_grants(&tcf, required)) {
        return CAPI_CONSENT_DENIED;
    }
    return may_grant ? CAPI_CONSENT_GRANTED : CAPI_CONSENT_UNKNOWN;
}
