/* Event names: what comes in, in either vocabulary, and what goes out. */

#include "names.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include <string.h>

#define NAME_MAX_LEN 100 /* Pinterest's limit for advertiser-defined names */

static const char *const standard_names[] = {"add_payment_info",
                                             "add_to_cart",
                                             "add_to_wishlist",
                                             "app_install",
                                             "app_open",
                                             "checkout",
                                             "contact",
                                             "custom",
                                             "customize_product",
                                             "find_location",
                                             "initiate_checkout",
                                             "lead",
                                             "page_visit",
                                             "schedule",
                                             "search",
                                             "signup",
                                             "start_trial",
                                             "submit_application",
                                             "subscribe",
                                             "view_category",
                                             "view_content",
                                             "watch_video",
                                             NULL};

/* What means the same in both vocabularies: the guide's purchase, GA4's names, the Tag's. */
static const struct {
    const char *from;
    const char *to;
} common_names[] = {
    {"checkout_complete", "checkout"},
    {"purchase", "checkout"},
    {"begin_checkout", "initiate_checkout"},
    {"page_view", "page_visit"},
    {"view_item", "page_visit"},
    {"view_item_list", "view_category"},
    {"sign_up", "signup"},
    {"generate_lead", "lead"},
    {"pagevisit", "page_visit"},
    {"addtocart", "add_to_cart"},
    {"viewcategory", "view_category"},
    {"watchvideo", "watch_video"},
};

#define COMMON_COUNT (sizeof(common_names) / sizeof(common_names[0]))

const char *const *capi_name_standard(void)
{
    return standard_names;
}

static const char *find_standard(const char *name)
{
    for (int i = 0; standard_names[i]; i++) {
        if (strcmp(standard_names[i], name) == 0) {
            return standard_names[i];
        }
    }
    return NULL;
}

bool capi_name_is_standard(const char *name)
{
    return name && find_standard(name);
}

bool capi_name_is_wellformed(const char *name)
{
    apr_size_t len = 0;

    if (!name) {
        return false;
    }
    for (; name[len]; len++) {
        if (len == NAME_MAX_LEN || !(apr_isalnum(name[len]) || strchr("_-", name[len]))) {
            return false;
        }
    }
    return len > 0;
}

static const char *find_common(const char *name)
{
    for (apr_size_t i = 0; i < COMMON_COUNT; i++) {
        if (strcmp(common_names[i].from, name) == 0) {
            return common_names[i].to;
        }
    }
    return NULL;
}

/* apr_table_get() would fold case; names are exact. */
static const char *find_alias(const apr_table_t *aliases, const char *name)
{
    const apr_array_header_t *list = aliases ? apr_table_elts(aliases) : NULL;
    const char *to = NULL;

    for (int i = 0; list && i < list->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(list, i, apr_table_entry_t);

        if (strcmp(entry->key, name) == 0) {
            to = entry->val;
        }
    }
    return to;
}

/* Levenshtein's distance; both names have at most NAME_MAX_LEN characters. Case costs nothing. */
static int edit_distance(const char *a, const char *b)
{
    int row[NAME_MAX_LEN + 1];
    int b_len = (int)strlen(b);

    for (int j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];

        row[0] = i;
        for (int j = 1; j <= b_len; j++) {
            int replace = diagonal + (apr_tolower(a[i - 1]) != apr_tolower(b[j - 1]));
            int shorter = row[j - 1] < row[j] ? row[j - 1] : row[j];

            diagonal = row[j];
            row[j] = replace < shorter + 1 ? replace : shorter + 1;
        }
    }
    return row[b_len];
}

static void consider(const char **nearest, int *distance, const char *candidate, const char *name)
{
    int own = edit_distance(name, candidate);

    if (own < *distance) {
        *distance = own;
        *nearest = candidate;
    }
}

static const char *find_nearest(const char *name, const apr_table_t *aliases)
{
    const apr_array_header_t *list = aliases ? apr_table_elts(aliases) : NULL;
    const char *nearest = NULL;
    int distance = 2 * NAME_MAX_LEN;

    for (int i = 0; standard_names[i]; i++) {
        consider(&nearest, &distance, standard_names[i], name);
    }
    for (apr_size_t i = 0; i < COMMON_COUNT; i++) {
        consider(&nearest, &distance, common_names[i].from, name);
    }
    for (int i = 0; list && i < list->nelts; i++) {
        const char *own = APR_ARRAY_IDX(list, i, apr_table_entry_t).key;

        if (capi_name_is_wellformed(own)) {
            consider(&nearest, &distance, own, name);
        }
    }
    return nearest;
}

/* A configured target that is itself a name of ours means what it means everywhere, but for
 * FROM = TO, which allows exactly that name. */
static const char *resolve_alias(const char *name, const char *to)
{
    const char *common = find_common(to);

    return common && strcmp(name, to) != 0 ? common : to;
}

apr_status_t capi_name_resolve(const char **sent_as, const char **message, const char *name,
                               capi_vocabulary_t vocabulary, const apr_table_t *aliases,
                               bool has_order, apr_pool_t *p)
{
    const char *found = find_alias(aliases, name);

    if (found) {
        *sent_as = resolve_alias(name, found);
        return APR_SUCCESS;
    }
    if (vocabulary == CAPI_NAMES_GUIDE && strcmp(name, "checkout") == 0) {
        if (has_order) {
            *message = "event_name 'checkout' with an order_id can mean two things: write "
                       "'purchase' for the finished order or 'initiate_checkout' for the start of "
                       "the checkout";
            return APR_EINVAL;
        }
        *sent_as = "initiate_checkout";
        return APR_SUCCESS;
    }
    found = find_standard(name);
    if (!found) {
        found = find_common(name);
    }
    if (found) {
        *sent_as = found;
        return APR_SUCCESS;
    }
    if (!capi_name_is_wellformed(name)) {
        *message = "event_name is no name: 1 to 100 letters, digits, _ and -, for example "
                   "'page_visit'";
        return APR_EINVAL;
    }
    *message = apr_psprintf(p,
                            "event_name '%s' is not known: did you mean '%s'? (a name of your own "
                            "needs PinterestCapiEventName)",
                            name, find_nearest(name, aliases));
    return APR_EINVAL;
}
