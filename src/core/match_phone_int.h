#ifndef CAPI_MATCH_PHONE_INT_H
#define CAPI_MATCH_PHONE_INT_H

/* Shared by the files that read phone numbers. */

#include "capi.h"

/* How one region writes its numbers. The patterns are in the language of capi_phone_match; NULL
 * where the region has no such thing. */
typedef struct {
    char region[3]; /* ISO 3166, lower case; empty where the calling code is no country's */
    unsigned short code;
    unsigned int lengths; /* bit n: a national number may have n digits */
    const char *exit;     /* what is dialled before the code of another country */
    const char *trunk;    /* what is dialled before a national number */
    const char
        *transform;       /* what replaces the trunk where its last group matched; $1, $2: groups */
    const char *national; /* outline of all national numbers */
} capi_phone_plan_t;

/* Sorted by code; the main region of a shared code comes first. Ends with code 0. */
extern const capi_phone_plan_t capi_phone_plans[];

#define CAPI_PHONE_GROUPS 2 /* most that a pattern of the table captures */

typedef struct {
    const char *end; /* behind what matched */
    int groups;      /* how many the pattern has */
    struct {
        const char *start; /* NULL: did not take part */
        const char *end;
    } group[CAPI_PHONE_GROUPS];
} capi_phone_match_t;

/* True where `pattern` matches the beginning of `subject`, or with `whole` all of it. A digit is
 * `d`, the rest is of regular expressions: [set] | ? * + {n} {n,m} $, a group is (…) and one that
 * is captured <…>. Everything else stands for itself. What matches is what Perl would match. */
bool capi_phone_match(capi_phone_match_t *match, const char *pattern, const char *subject,
                      bool whole);

/* The part of a text that may be a phone number, without its extension: `+` in front if it was
 * there, punctuation and letters still in it. NULL where there is none. */
const char *capi_phone_find(const char *folded, apr_pool_t *p);

/* Its digits. Letters stand for digits as on a keypad where there are three of them at least,
 * for nothing otherwise. */
const char *capi_phone_digits(const char *found, apr_pool_t *p);

#endif
