/* Troubles of what events say, told from the newest ones. */

#include "report_troubles_int.h"

#include <apr_strings.h>

#include <string.h>

#include "names.h"

/* What Pinterest's words, or those of the intake, are about: the trouble's id and its mend. */
static const struct {
    const char *id;
    const char *mend;
    const char *words[6];
} subjects[] = {
    {"time",
     "event_time is Unix seconds of the moment it happened, at most 7 days ago. Leave it out for "
     "now; and let the server\xe2\x80\x99s clock be set (NTP).",
     {"timestamp", "event_time", "in the past", "future"}},
    {"user_data",
     "Hand over e-mail and phone as they were typed with Pinterest-Capi-Match: they are normalised "
     "and hashed here.",
     {"user_data", "hash", "'em'", "'ph'", "sha256"}},
    {"custom_data",
     "value is a number, currency an ISO code such as EUR, and content_ids are exactly the ids of "
     "the Pinterest catalogue feed.",
     {"custom_data", "currency", "value", "content", "num_items"}},
};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

/* SUBJECTS where it is none of them. */
static apr_size_t find_subject(const char *text)
{
    apr_size_t i;
    int word;

    for (i = 0; i < SUBJECTS; i++) {
        for (word = 0; word < 6 && subjects[i].words[word]; word++) {
            if (strstr(text, subjects[i].words[word])) {
                return i;
            }
        }
    }
    return SUBJECTS;
}

/* The events of that name; a name that no address may hold leads to all of them. */
static const char *link_to(const capi_sample_name_t *name, apr_pool_t *p)
{
    return capi_name_is_wellformed(name->name)
               ? apr_pstrcat(p, "?event_name=", name->name, "#deliveries", NULL)
               : "#deliveries";
}

static void judge_rejected(capi_troubles_t *troubles, const capi_sample_name_t *name)
{
    apr_size_t subject = find_subject(name->error);

    if (strncmp(name->error, "not sent", 8) == 0) {
        capi_trouble_add(troubles, "incomplete", false,
                         apr_pstrcat(troubles->pool, name->name, " cannot be sent", NULL),
                         name->error,
                         "Pinterest wants an e-mail, or the visitor\xe2\x80\x99s own address and "
                         "browser. Send Pinterest-Capi-Match; behind a proxy let mod_remoteip say "
                         "who the visitor is; for webhooks bind the order to its visit.",
                         "?state=rejected#deliveries");
        return;
    }
    capi_trouble_add(troubles, subject < SUBJECTS ? subjects[subject].id : "rejected", false,
                     apr_pstrcat(troubles->pool, "Pinterest rejects ", name->name, NULL),
                     *name->error ? name->error : "It gave no reason.",
                     subject < SUBJECTS
                         ? subjects[subject].mend
                         : "Open a rejected delivery: it has Pinterest\xe2\x80\x99s reason. Events "
                           "like it fare the same until their source is mended.",
                     "?state=rejected#deliveries");
}

/* They are delivered without what makes no sense in them. */
static void judge_warned(capi_troubles_t *troubles, const capi_sample_name_t *name)
{
    /* what Pinterest has no key for is nobody's mistake in a value */
    apr_size_t subject =
        strstr(name->warning, "unknown, left out") ? SUBJECTS : find_subject(name->warning);

    capi_trouble_add(
        troubles, subject < SUBJECTS ? subjects[subject].id : "warning", false,
        apr_pstrcat(troubles->pool, "Parts of ", name->name, " do not count", NULL), name->warning,
        subject < SUBJECTS ? subjects[subject].mend
                           : "Open such a delivery: its warning names each part. The rest of the "
                             "event is delivered.",
        link_to(name, troubles->pool));
}

static void judge_names(capi_troubles_t *troubles, const capi_sample_t *sample)
{
    int i;

    for (i = 0; i < sample->names_count; i++) {
        const capi_sample_name_t *name = &sample->names[i];

        if (name->rejected > 0) {
            judge_rejected(troubles, name);
        }
        if (name->warned * 4 > name->seen && !strstr(name->warning, CAPI_WARNING_EARLY)) {
            judge_warned(troubles, name);
        }
    }
}

static void judge_times(capi_troubles_t *troubles, const capi_sample_t *sample)
{
    if (sample->early > 0) {
        capi_trouble_add(troubles, "clock", false, "Events claim to happen in the future",
                         "Their event_time is later than this server\xe2\x80\x99s clock: one of "
                         "the two is wrong.",
                         "Set the clocks of this server and of the shop\xe2\x80\x99s backend "
                         "(NTP), and see that event_time is in seconds and UTC.",
                         NULL);
    }
    if (sample->delivered >= CAPI_TROUBLE_ENOUGH && sample->offline * 20 > sample->delivered) {
        capi_trouble_add(troubles, "offline", false,
                         "Events reach Pinterest more than an hour late",
                         "Beyond an hour Pinterest counts a web event as offline and does not "
                         "deduplicate it with the Tag.",
                         "Report events when they happen, with the time they happened, and keep "
                         "the sender running.",
                         NULL);
    }
}

static void judge_matches(capi_troubles_t *troubles, const capi_sample_t *sample)
{
    if (sample->delivered >= CAPI_TROUBLE_ENOUGH && sample->clicked == 0) {
        capi_trouble_add(troubles, "click_id", false, "Accepted, but not one has a click id",
                         "Without it an event is hardly tied to an ad. Visitors who did not come "
                         "from an ad have none, so this is only wrong while ads run.",
                         "See that a redirect or a cache does not drop ?epik= from the landing "
                         "page, that PinterestCapi is On there, and that PinterestCapiEpikCookie "
                         "is not Off.",
                         NULL);
    }
    if (sample->delivered >= CAPI_TROUBLE_ENOUGH && sample->addressed * 2 < sample->delivered &&
        !troubles->is_proxied) {
        capi_trouble_add(troubles, "address", false,
                         "Most events lack the visitor\xe2\x80\x99s address",
                         "Private and proxy addresses are not sent: behind a proxy or CDN httpd "
                         "sees only that.",
                         "Let mod_remoteip say who the visitor is (RemoteIPHeader, "
                         "RemoteIPInternalProxy).",
                         NULL);
    }
    if (sample->purchases >= CAPI_TROUBLE_ENOUGH / 2 &&
        sample->known_purchases * 2 < sample->purchases) {
        capi_trouble_add(troubles, "match", false,
                         "Fewer than half of the purchases carry e-mail or phone",
                         "Every order has an e-mail: it is the strongest key after the click id.",
                         "Send Pinterest-Capi-Match with email and phone when the order is placed.",
                         "?event_name=checkout#deliveries");
    }
}

/* An id that the Tag cannot have too: one that was made here, or anew with every page. */
static void judge_identity(capi_troubles_t *troubles, const capi_sample_name_t *name)
{
    apr_pool_t *p = troubles->pool;
    const char *link = link_to(name, p);

    if (strcmp(name->name, "checkout") == 0 && name->all >= CAPI_TROUBLE_ENOUGH / 2 &&
        name->unnamed * 2 > name->all) {
        capi_trouble_add(troubles, "event_id", false,
                         "Purchases come without an event_id of their own",
                         "An id made here is not the one of the Pinterest Tag: a purchase that "
                         "both report counts twice.",
                         "Make one event_id for each order and give the same to the Tag.", link);
    }
    if (name->all >= CAPI_TROUBLE_ENOUGH / 2 && name->minted * 2 > name->all) {
        capi_trouble_add(
            troubles, "minted", false,
            apr_pstrcat(p, "Ids of ", name->name, " look made anew with every page", NULL),
            apr_psprintf(p,
                         "%d of the newest %d, such as %s. A reload is then a second %s, and the "
                         "Tag\xe2\x80\x99s event another.",
                         name->minted, name->all, name->example, name->name),
            "Make the id of what it names, for example ord_10492_purchase of order 10492, and give "
            "the same to the Tag.",
            link);
    }
}

void capi_troubles_of_events(capi_troubles_t *troubles, const capi_sample_t *sample)
{
    int i;

    judge_names(troubles, sample);
    judge_times(troubles, sample);
    judge_matches(troubles, sample);
    for (i = 0; i < sample->names_count; i++) {
        judge_identity(troubles, &sample->names[i]);
    }
}
