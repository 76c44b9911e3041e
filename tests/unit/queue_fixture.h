#ifndef QUEUE_FIXTURE_H
#define QUEUE_FIXTURE_H

/* A queue of the smallest size in a directory of its own, and records whose content follows from
 * who wrote them and as which, so that a torn, lost or doubled one is told apart. */

#include "queue_int.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <check.h>

#define SMALL_MAX 1500
#define LARGE     20000
/* Longer than any machine stalls: reached only where something is lost for good. */
#define PATIENCE_MS 60000

typedef struct {
    uint32_t producer;
    uint32_t number;
} record_name_t;

static apr_pool_t *pool;
static capi_queue_t *queue;
static const char *directory;
static const char *path;

static inline void make_queue(void)
{
    const char *top = getenv("TMPDIR");

    apr_pool_create(&pool, NULL);
    directory = mkdtemp(apr_pstrcat(pool, top ? top : "/tmp", "/capi-queue.XXXXXX", NULL));
    ck_assert_ptr_nonnull(directory);
    path = apr_pstrcat(pool, directory, "/queue.1", NULL);
    ck_assert_int_eq(capi_queue_create(&queue, path, CAPI_QUEUE_MIN, pool), APR_SUCCESS);
}

static inline void drop_queue(void)
{
    capi_queue_close(queue);
    unlink(path);
    rmdir(directory);
    apr_pool_destroy(pool);
}

/* The queue once more, through a descriptor of its own; NULL where that fails. Like all that children
 * call, it asserts nothing: what Check notes of a child would end up amid what its parent notes. */
static inline capi_queue_t *try_attach(void)
{
    capi_queue_t *other = NULL;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    return fd >= 0 && capi_queue_attach(&other, fd, pool) == APR_SUCCESS ? other : NULL;
}

static inline capi_queue_t *attach_again(void)
{
    capi_queue_t *other = try_attach();

    ck_assert_ptr_nonnull(other);
    return other;
}

static inline capi_queue_stats_t stats_of(const capi_queue_t *of)
{
    capi_queue_stats_t stats;

    capi_queue_stats(of, &stats);
    return stats;
}

static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static inline uint32_t seed_of(record_name_t name)
{
    return (name.producer * 2654435761u ^ name.number * 40503u) | 1u;
}

static inline apr_size_t len_of(record_name_t name)
{
    uint32_t state = seed_of(name);
    uint32_t number = next_random(&state);

    return sizeof(name) + (number % 50 == 0 ? LARGE : number % SMALL_MAX);
}

/* Writes the record into `room`, which holds LARGE + 8 at least; its length. */
static inline apr_size_t fill_record(char *room, record_name_t name)
{
    apr_size_t len = len_of(name);
    uint32_t state = seed_of(name);
    apr_size_t i;

    memcpy(room, &name, sizeof(name));
    for (i = sizeof(name); i < len; i++) {
        room[i] = (char)next_random(&state);
    }
    return len;
}

/* True where the record is whole; its name. */
static inline bool read_record(record_name_t *name, const void *bytes, apr_size_t len)
{
    static char want[LARGE + sizeof(record_name_t)];

    if ((uintptr_t)bytes % 8 != 0 || len < sizeof(*name)) {
        return false;
    }
    memcpy(name, bytes, sizeof(*name));
    return len == fill_record(want, *name) && memcmp(bytes, want, len) == 0;
}

static inline record_name_t check_record(const void *bytes, apr_size_t len)
{
    record_name_t name = {0, 0};

    ck_assert_msg(read_record(&name, bytes, len), "record %u of %u is torn", name.number,
                  name.producer);
    return name;
}

static inline apr_status_t push_name(capi_queue_t *to, record_name_t name, capi_class_t class_of_it)
{
    static _Thread_local char room[LARGE + sizeof(record_name_t)];
    capi_record_t record = {room, fill_record(room, name)};

    return capi_queue_push(to, &record, 1, class_of_it, NULL);
}

/* The next record must be there and whole. */
static inline record_name_t take_name(capi_queue_t *from, uint64_t *cursor)
{
    const void *bytes;
    apr_size_t len;

    ck_assert_int_eq(capi_queue_peek(from, cursor, &bytes, &len), APR_SUCCESS);
    return check_record(bytes, len);
}

static inline void assert_empty(capi_queue_t *from, uint64_t cursor)
{
    const void *bytes;
    apr_size_t len;

    ck_assert_int_eq(capi_queue_peek(from, &cursor, &bytes, &len), APR_EOF);
}

static inline void assert_wiped(const capi_queue_t *of)
{
    uint64_t i = 0;

    while (i < of->size && of->ring[i] == 0) {
        i++;
    }
    ck_assert_uint_eq(i, of->size);
}

/* Memory that children share with us, all 0. */
static inline void *share(apr_size_t len)
{
    void *room = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(room, MAP_FAILED);
    return room;
}

/* `count` rounds, or a tenth where an emulator runs us and CAPI_SLOW says so. */
static inline uint32_t scaled(uint32_t count)
{
    return getenv("CAPI_SLOW") ? count / 10 : count;
}

static inline void end_child(pid_t child)
{
    int status;

    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
}

static inline int run_cases(const char *name, TCase *cases)
{
    Suite *suite = suite_create(name);
    SRunner *runner = srunner_create(suite);
    int failed;

    apr_initialize();
    suite_add_tcase(suite, cases);
    tcase_add_checked_fixture(cases, make_queue, drop_queue);
    tcase_set_timeout(cases, 600);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    apr_terminate();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
