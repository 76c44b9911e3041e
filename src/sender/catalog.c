/* The shop's catalogue feeds, read in pieces between other work into an index on disk, and what of
 * delivered content_ids was in them. The index is a file without a name: it ends with this process,
 * and nothing of it is left behind. */

#include "sender.h"

#include <apr_file_io.h>
#include <apr_sdbm.h>
#include <apr_strings.h>

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "utf8.h"

#define LOOK_PAUSE  apr_time_from_sec(2) /* between looks at whether a feed changed */
#define PIECE       65536                /* bytes of a feed in one turn: some milliseconds */
#define RECENT      200                  /* content_ids that tell whether it fits now */
#define EXAMPLES    8
#define EXAMPLE_LEN 64
#define IDS_MAX     100 /* of one event */

/* One version of a feed, by which the next is known. */
typedef struct {
    apr_time_t mtime;
    apr_off_t size;
} version_t;

typedef struct {
    apr_pool_t *pool; /* NULL: no feed is being read, or none was */
    version_t version;
    apr_sdbm_t *ids;
    apr_int64_t count;
    apr_status_t rv; /* of adding ids */
    apr_off_t read;
    apr_file_t *file;
    capi_feed_t *feed;
} index_t;

struct capi_catalog_t {
    const char *path;
    index_t used;
    index_t made; /* while a feed is being read */
    version_t refused;
    apr_time_t look_at; /* ticks */
    apr_time_t read_at;
    char fault[300]; /* empty: none */

    bool verdicts[RECENT]; /* of the newest ids: known; a ring */
    int seen;
    int next;
    char examples[EXAMPLES][EXAMPLE_LEN + 1]; /* unknown ones, a ring */
    int next_example;
};

void capi_catalogs_init(capi_sender_t *sender)
{
    int i;

    sender->catalogs = apr_array_make(sender->pool, 2, sizeof(capi_catalog_t *));
    for (i = 0; i < sender->config->account_count; i++) {
        const char *path = sender->config->accounts[i].catalog;

        if (path && !capi_catalog_of(sender, path)) {
            capi_catalog_t *catalog = apr_pcalloc(sender->pool, sizeof(*catalog));

            catalog->path = path;
            APR_ARRAY_PUSH(sender->catalogs, capi_catalog_t *) = catalog;
        }
    }
}

capi_catalog_t *capi_catalog_of(const capi_sender_t *sender, const char *path)
{
    int i;

    for (i = 0; path && i < sender->catalogs->nelts; i++) {
        capi_catalog_t *catalog = APR_ARRAY_IDX(sender->catalogs, i, capi_catalog_t *);

        if (strcmp(catalog->path, path) == 0) {
            return catalog;
        }
    }
    return NULL;
}

/* --- reading a feed --- */

static bool is_same(const version_t *a, const version_t *b)
{
    return a->mtime == b->mtime && a->size == b->size;
}

static void drop(index_t *index)
{
    if (index->pool) {
        apr_pool_destroy(index->pool);
    }
    memset(index, 0, sizeof(*index));
}

/* This version of the feed is of no use; the one before stays in use. */
static void refuse(capi_sender_t *sender, capi_catalog_t *catalog, const version_t *version,
                   const char *fault)
{
    catalog->refused = *version;
    if (strcmp(catalog->fault, fault) != 0) {
        apr_cpystrn(catalog->fault, fault, sizeof(catalog->fault));
        sender->catalog_news++;
        capi_log(CAPI_LOG_WARNING,
                 "PCAPI170: the catalogue feed '%s' %s: its ids are not compared with events'",
                 catalog->path, fault);
    }
    drop(&catalog->made);
}

static void add_id(void *baton, const char *id, apr_size_t len)
{
    index_t *index = baton;
    apr_sdbm_datum_t key = {(char *)(uintptr_t)id, (int)len};
    apr_sdbm_datum_t nothing = {(char *)(uintptr_t) "", 0};
    apr_status_t rv = apr_sdbm_store(index->ids, key, nothing, APR_SDBM_INSERT);

    if (rv == APR_SUCCESS) {
        index->count++;
    }
    else if (rv != APR_EEXIST) {
        index->rv = rv;
    }
}

static apr_status_t make_index(index_t *index, const char *state_dir)
{
    const char *name = apr_pstrcat(index->pool, state_dir, "/catalog", NULL);
    apr_status_t rv = apr_sdbm_open(&index->ids, name,
                                    APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_CREATE |
                                        APR_FOPEN_TRUNCATE | APR_FOPEN_BINARY,
                                    APR_FPROT_UREAD | APR_FPROT_UWRITE, index->pool);

    if (rv == APR_SUCCESS) {
        apr_file_remove(apr_pstrcat(index->pool, name, APR_SDBM_PAGFEXT, NULL), index->pool);
        apr_file_remove(apr_pstrcat(index->pool, name, APR_SDBM_DIRFEXT, NULL), index->pool);
        rv = apr_sdbm_lock(index->ids, APR_FLOCK_EXCLUSIVE); /* once, not with every id */
    }
    return rv;
}

static void begin(capi_sender_t *sender, capi_catalog_t *catalog, const version_t *version)
{
    index_t *index = &catalog->made;
    apr_status_t rv;
    char reason[160];

    apr_pool_create(&index->pool, sender->pool);
    index->version = *version;
    index->feed = capi_feed_make(add_id, index, index->pool);
    rv = apr_file_open(&index->file, catalog->path,
                       APR_FOPEN_READ | APR_FOPEN_BINARY | APR_FOPEN_NONBLOCK, APR_FPROT_OS_DEFAULT,
                       index->pool);
    if (rv == APR_SUCCESS) {
        rv = make_index(index, sender->config->state_dir);
    }
    if (rv != APR_SUCCESS) {
        apr_strerror(rv, reason, sizeof(reason));
        refuse(sender, catalog, version,
               apr_psprintf(index->pool, "cannot be read by the sender (%s)", reason));
    }
}

/* The whole feed was read. */
static void finish(capi_sender_t *sender, capi_catalog_t *catalog)
{
    drop(&catalog->used);
    catalog->used = catalog->made;
    /* add_id's place moved with it, but nothing is added any more */
    memset(&catalog->made, 0, sizeof(catalog->made));
    catalog->fault[0] = '\0';
    catalog->read_at = capi_now();
    catalog->seen = catalog->next = catalog->next_example = 0;
    memset(catalog->examples, 0, sizeof(catalog->examples));
    sender->catalog_news++;
    capi_log(CAPI_LOG_INFO, "PCAPI171: the catalogue feed '%s' lists %" APR_INT64_T_FMT " ids",
             catalog->path, catalog->used.count);
}

/* NULL, or why there is no version of the feed. */
static const char *find_version(version_t *version, const char *path, apr_pool_t *p)
{
    apr_finfo_t found;

    memset(version, 0, sizeof(*version));
    if (apr_stat(&found, path, APR_FINFO_TYPE | APR_FINFO_MTIME | APR_FINFO_SIZE, p) !=
        APR_SUCCESS) {
        return "is not there, or not for the sender to see";
    }
    if (found.filetype != APR_REG) {
        return "is no regular file"; /* a FIFO would keep the sender waiting */
    }
    version->mtime = found.mtime;
    version->size = found.size;
    return NULL;
}

/* At its end a feed that was written meanwhile is read again. */
static void finish_if_whole(capi_sender_t *sender, capi_catalog_t *catalog)
{
    index_t *index = &catalog->made;
    version_t now;

    if (capi_feed_end(index->feed) != APR_SUCCESS) {
        refuse(sender, catalog, &index->version, capi_feed_fault(index->feed));
    }
    else if (!find_version(&now, catalog->path, index->pool) && is_same(&now, &index->version)) {
        apr_file_close(index->file);
        finish(sender, catalog);
    }
    else {
        drop(index);
        catalog->look_at = capi_ticks() + LOOK_PAUSE;
    }
}

static void read_piece(capi_sender_t *sender, capi_catalog_t *catalog)
{
    static char bytes[PIECE];
    index_t *index = &catalog->made;
    apr_size_t len;
    apr_status_t rv = apr_file_read_full(index->file, bytes, sizeof(bytes), &len);

    index->read += (apr_off_t)len;
    if (index->read > index->version.size) {
        drop(index); /* it grows while it is read: later */
        catalog->look_at = capi_ticks() + LOOK_PAUSE;
    }
    else if (len > 0 && capi_feed_read(index->feed, bytes, len) != APR_SUCCESS) {
        refuse(sender, catalog, &index->version, capi_feed_fault(index->feed));
    }
    else if (index->rv != APR_SUCCESS || (rv != APR_SUCCESS && rv != APR_EOF)) {
        char reason[160];

        apr_strerror(index->rv ? index->rv : rv, reason, sizeof(reason));
        refuse(sender, catalog, &index->version,
               apr_psprintf(index->pool, "cannot be taken in (%s)", reason));
    }
    else if (rv == APR_EOF) {
        finish_if_whole(sender, catalog);
    }
}

static void look(capi_sender_t *sender, capi_catalog_t *catalog)
{
    apr_pool_t *scratch;
    version_t version;
    const char *fault;

    apr_pool_create(&scratch, sender->pool);
    fault = find_version(&version, catalog->path, scratch);
    apr_pool_destroy(scratch);
    catalog->look_at = capi_ticks() + LOOK_PAUSE;
    if (fault) {
        refuse(sender, catalog, &version, fault);
    }
    else if (is_same(&version, &catalog->used.version)) {
        sender->catalog_news += *catalog->fault != '\0';
        catalog->fault[0] = '\0'; /* it was away, and is what it was */
    }
    else if (!is_same(&version, &catalog->refused)) {
        begin(sender, catalog, &version);
    }
}

apr_time_t capi_catalogs_turn(capi_sender_t *sender)
{
    apr_time_t next = CAPI_NEVER;
    int i;

    for (i = 0; i < sender->catalogs->nelts; i++) {
        capi_catalog_t *catalog = APR_ARRAY_IDX(sender->catalogs, i, capi_catalog_t *);

        if (catalog->made.pool) {
            read_piece(sender, catalog);
        }
        else if (capi_ticks() >= catalog->look_at) {
            look(sender, catalog);
        }
        if (catalog->made.pool) {
            return capi_ticks();
        }
        next = catalog->look_at < next ? catalog->look_at : next;
    }
    return next;
}

/* --- events --- */

static bool is_known(const capi_catalog_t *catalog, const char *id)
{
    apr_sdbm_datum_t key = {(char *)(uintptr_t)id, (int)strlen(id)};
    apr_sdbm_datum_t value;

    return key.dsize <= CAPI_FEED_ID_MAX &&
           apr_sdbm_fetch(catalog->used.ids, &value, key) == APR_SUCCESS && value.dptr;
}

static void keep_example(capi_catalog_t *catalog, const char *id)
{
    char example[EXAMPLE_LEN + 1];
    int i;

    apr_cpystrn(example, id, sizeof(example));
    for (i = 0; i < EXAMPLES; i++) {
        if (strcmp(catalog->examples[i], example) == 0) {
            return;
        }
    }
    apr_cpystrn(catalog->examples[catalog->next_example], example, sizeof(example));
    catalog->next_example = (catalog->next_example + 1) % EXAMPLES;
}

static bool note_id(capi_catalog_t *catalog, const char *id)
{
    bool known = is_known(catalog, id);

    catalog->verdicts[catalog->next] = known;
    catalog->next = (catalog->next + 1) % RECENT;
    catalog->seen += catalog->seen < RECENT;
    if (!known) {
        keep_example(catalog, id);
    }
    return known;
}

static void count_event(capi_sender_t *sender, const capi_slot_t *slot,
                        const capi_outgoing_t *event)
{
    json_t *root = json_loadb(event->text, event->len, 0, NULL);
    const json_t *ids = json_object_get(json_object_get(root, "custom_data"), "content_ids");
    int known = 0;
    int unknown = 0;
    size_t i;

    for (i = 0; i < json_array_size(ids) && i < IDS_MAX; i++) {
        const char *id = json_string_value(json_array_get(ids, i));

        if (id && note_id(slot->route->catalog, id)) {
            known++;
        }
        else if (id) {
            unknown++;
        }
    }
    json_decref(root);
    if (known + unknown > 0) {
        capi_store_count_contents(sender->store, slot->route->row.id, event->sent_as, known,
                                  unknown, capi_now());
        sender->catalog_news++;
    }
}

void capi_catalog_count(capi_sender_t *sender, const capi_slot_t *slot)
{
    int i;

    if (!slot->route->catalog || !slot->route->catalog->used.ids) {
        return;
    }
    for (i = 0; i < slot->range.count; i++) {
        const capi_outgoing_t *event = &slot->batch->events[slot->range.start + i];

        if (slot->results[i].processed && memmem(event->text, event->len, "\"content_ids\"", 13)) {
            count_event(sender, slot, event);
        }
    }
}

/* --- what the page is told --- */

static json_t *examples_model(const capi_catalog_t *catalog, apr_pool_t *p)
{
    json_t *list = json_array();
    int i;

    for (i = 1; i <= EXAMPLES; i++) {
        const char *example = catalog->examples[(catalog->next_example - i + EXAMPLES) % EXAMPLES];

        if (*example) {
            json_array_append_new(list, json_string(capi_utf8_repair(example, p)));
        }
    }
    return list;
}

static json_t *accounts_model(const capi_sender_t *sender, const capi_catalog_t *catalog)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < sender->config->account_count; i++) {
        const capi_sender_account_t *account = &sender->config->accounts[i];

        if (account->catalog && strcmp(account->catalog, catalog->path) == 0) {
            json_array_append_new(list, json_string(account->account));
        }
    }
    return list;
}

static json_t *catalog_model(const capi_sender_t *sender, const capi_catalog_t *catalog,
                             apr_pool_t *p)
{
    int unknown = 0;
    int i;

    for (i = 0; i < catalog->seen; i++) {
        unknown += !catalog->verdicts[i];
    }
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:i, s:i, s:o}", "file", catalog->path, "ids",
                     (json_int_t)catalog->used.count, "read_at",
                     catalog->read_at ? json_integer((json_int_t)apr_time_sec(catalog->read_at))
                                      : json_null(),
                     "fault", *catalog->fault ? json_string(catalog->fault) : json_null(),
                     "accounts", accounts_model(sender, catalog), "seen", catalog->seen, "unknown",
                     unknown, "examples", examples_model(catalog, p));
}

const char *capi_catalogs_note(const capi_sender_t *sender, apr_pool_t *p)
{
    json_t *list = json_array();
    const char *copy;
    char *text;
    int i;

    for (i = 0; i < sender->catalogs->nelts; i++) {
        json_array_append_new(
            list, catalog_model(sender, APR_ARRAY_IDX(sender->catalogs, i, capi_catalog_t *), p));
    }
    text = json_dumps(list, JSON_COMPACT);
    copy = text ? apr_pstrdup(p, text) : "[]";
    free(text);
    json_decref(list);
    return copy;
}
