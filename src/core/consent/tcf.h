#ifndef CAPI_TCF_H
#define CAPI_TCF_H

/* IAB TCF v2 consent strings, strictly: what is cut short, malformed or too long is no signal. */

#include "capi.h"

#define CAPI_CONSENT_STRING_MAX 16384

typedef struct {
    int64_t created_ds; /* tenths of a second since 1970 */
    unsigned cmp_id, policy_version;
    bool is_service_specific;
    bool has_disclosed_vendors;
    uint32_t purposes; /* consented: bit 0 is purpose 1 */
    bool has_vendor;   /* consent for the vendor asked about */
    bool vendor_is_disclosed;
} capi_tcf_t;

/* Reads the whole string. `vendor` (0: none) is looked up while its lists are walked; ranges are
 * never expanded. APR_EINVAL with *error (a word) where it is malformed. */
apr_status_t capi_tcf_read(capi_tcf_t *tcf, const char **error, const char *text, apr_size_t len,
                           unsigned vendor);

/* Why a well-formed string still says nothing: "not_service_specific", "policy_version_lt_4"
 * (invalid since 2023-09-30), "missing_disclosed_vendors" (needed in strings made from 2026-03-01
 * on, TCF 2.3). NULL where it is valid. */
const char *capi_tcf_invalid(const capi_tcf_t *tcf);

/* True where every purpose of `required` (bit 0 is purpose 1) is consented to. */
bool capi_tcf_grants(const capi_tcf_t *tcf, uint32_t required);

/* Purposes 1, 3, 4 and 7: storage (the click id), personalised profiles and ads, measurement. */
#define CAPI_TCF_MEASUREMENT 0x4du

/* A valid string as a decision about `required`: denied where one of them lacks consent, granted
 * only where `may_grant` (Pinterest is no IAB vendor: purposes alone are no consent unless the site
 * says so). UNKNOWN where the string is malformed or invalid. */
capi_consent_state_t capi_tcf_state(const char *text, apr_size_t len, uint32_t required,
                                    bool may_grant);

#endif
