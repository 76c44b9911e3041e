#ifndef CAPI_REPORT_SAMPLE_H
#define CAPI_REPORT_SAMPLE_H

/* The newest events of a day, at most a thousand, and what they have in common. Of each name only
 * the newest good and bad ones count, so that what was mended is forgotten. */

#include "report.h"

#define CAPI_SAMPLE_NAMES    64
#define CAPI_SAMPLE_PER_NAME 50
#define CAPI_SAMPLE_PAIRS    64

/* What intake says of an event that is early; a trouble of its own. */
#define CAPI_WARNING_EARLY "event_time: in the future"

typedef struct {
    const char *name;
    int seen; /* settled by Pinterest's answer */
    int rejected;
    int warned;
    const char *error; /* of the newest that was rejected */
    const char *warning;
    int total;
    int all;     /* of the newest, however they ended */
    int unnamed; /* their id was made here */
    int minted;  /* their id looks as if made anew with every page */
    const char *example;
} capi_sample_name_t;

/* What came in under one name went out under another. */
typedef struct {
    const char *name;
    const char *sent_as;
    int events;
} capi_sample_pair_t;

typedef struct {
    int names_count; /* those with most events first */
    capi_sample_name_t names[CAPI_SAMPLE_NAMES];
    int pairs_count;
    capi_sample_pair_t pairs[CAPI_SAMPLE_PAIRS];
    int delivered;
    int clicked;
    int addressed;
    int offline;
    int early; /* claim to happen in the future */
    int purchases;
    int known_purchases; /* with e-mail or phone */
    int told;            /* by the shop's PHP or backend since `told_since` */
} capi_sample_t;

/* All strings are valid UTF-8. */
apr_status_t capi_sample_take(capi_sample_t **sample, capi_store_t *store, apr_time_t told_since,
                              apr_time_t now, apr_pool_t *p);

/* True for an id that ends in something random or in the time: it names a page view and no order.
 * `event_time` in seconds. */
bool capi_id_looks_minted(const char *event_id, apr_int64_t event_time);

#endif
