/* The queue under load and under SIGKILL: no accepted record is lost, torn or seen twice, whoever
 * dies and whenever. */

#include "queue_fixture.h"

#include <sched.h>

#define PRODUCERS 4
#define THREADS   3

/* Pushes until it is in; what found no room was not accepted. */
static void push_until_accepted(capi_queue_t *to, record_name_t name)
{
    capi_class_t class_of_it = name.number % 3 == 0 ? CAPI_CLASS_CONVERSION : CAPI_CLASS_PAGE;

    while (push_name(to, name, class_of_it) != APR_SUCCESS) {
        sched_yield();
    }
}

static void sleep_unless_pushed(void)
{
    struct pollfd wakeup = {capi_queue_wakeup(queue), POLLIN, 0};

    if (capi_queue_may_sleep(queue)) {
        ck_assert_msg(poll(&wakeup, 1, PATIENCE_MS) == 1, "a wake-up was lost");
    }
    capi_queue_awake(queue);
}

/* Takes what is there; each producer's records must come in order, none missing, none twice. */
static uint32_t take_all(uint64_t *cursor, uint32_t *expected)
{
    const void *bytes;
    apr_size_t len;
    uint32_t count = 0;
    apr_status_t rv = capi_queue_peek(queue, cursor, &bytes, &len);

    for (; rv == APR_SUCCESS; rv = capi_queue_peek(queue, cursor, &bytes, &len)) {
        record_name_t name = check_record(bytes, len);

        ck_assert_uint_eq(name.number, expected[name.producer]);
        expected[name.producer]++;
        count++;
    }
    ck_assert_int_eq(rv, APR_EOF);
    return count;
}

typedef struct {
    uint32_t producer;
    uint32_t count;
} work_t;

static void *push_many(void *argument)
{
    const work_t *work = argument;
    record_name_t name = {work->producer, 0};

    for (; name.number < work->count; name.number++) {
        push_until_accepted(queue, name);
    }
    return NULL;
}

typedef struct {
    pthread_t threads[THREADS];
    work_t work[THREADS];
} crew_t;

static void start_crew(crew_t *crew, uint32_t first_producer, uint32_t each)
{
    uint32_t i;

    for (i = 0; i < THREADS; i++) {
        crew->work[i] = (work_t){first_producer + i, each};
        if (pthread_create(&crew->threads[i], NULL, push_many, &crew->work[i]) != 0) {
            abort();
        }
    }
}

static void join_crew(crew_t *crew)
{
    int i;

    for (i = 0; i < THREADS; i++) {
        pthread_join(crew->threads[i], NULL);
    }
}

/* The consumer's life: take what is there, give it back, sleep. */
static void take_so_many(uint32_t count, uint32_t *expected)
{
    uint64_t cursor = 0;
    uint32_t taken = 0;

    while (taken < count) {
        taken += take_all(&cursor, expected);
        capi_queue_release(queue, cursor);
        if (taken < count) {
            sleep_unless_pushed();
        }
    }
    ck_assert_uint_eq(stats_of(queue).pushed, count);
    ck_assert_uint_eq(stats_of(queue).taken, count);
    assert_wiped(queue);
}

START_TEST(test_threads_push_while_one_consumes)
{
    uint32_t each = scaled(10000);
    uint32_t expected[THREADS] = {0};
    crew_t crew;

    start_crew(&crew, 0, each);
    take_so_many(THREADS * each, expected);
    join_crew(&crew);
}
END_TEST

START_TEST(test_processes_and_threads_push_side_by_side)
{
    uint32_t each = scaled(4000);
    uint32_t expected[PRODUCERS * THREADS] = {0};
    pid_t children[PRODUCERS];
    uint32_t i;

    for (i = 0; i < PRODUCERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            crew_t crew;

            start_crew(&crew, i * THREADS, each);
            join_crew(&crew);
            _exit(0);
        }
    }
    take_so_many(PRODUCERS * THREADS * each, expected);
    for (i = 0; i < PRODUCERS; i++) {
        int status;

        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
}
END_TEST

/* Pushes for ever; `accepted` says after each push how many are in for sure. */
static pid_t fork_producer(uint32_t producer, _Atomic uint32_t *accepted)
{
    record_name_t name = {producer, 0};
    pid_t child = fork();

    if (child != 0) {
        return child;
    }
    for (;;) {
        push_until_accepted(queue, name);
        atomic_store(accepted, ++name.number);
    }
}

START_TEST(test_killed_producers_lose_nothing_accepted_and_tear_nothing)
{
    enum { KILLS = 300 };
    uint32_t kills = scaled(KILLS);
    _Atomic uint32_t *accepted = share(sizeof(*accepted) * (KILLS + PRODUCERS));
    uint32_t expected[KILLS + PRODUCERS + 1] = {0};
    uint32_t producers[PRODUCERS];
    pid_t children[PRODUCERS];
    uint64_t cursor = 0;
    uint32_t state = (uint32_t)getpid();
    uint32_t started;
    uint32_t total = 0;
    uint32_t i;

    for (started = 0; started < PRODUCERS; started++) {
        producers[started] = started;
        children[started] = fork_producer(started, &accepted[started]);
    }
    while (started < kills + PRODUCERS) {
        uint32_t victim = next_random(&state) % PRODUCERS;

        usleep(next_random(&state) % 2000);
        end_child(children[victim]);
        total += take_all(&cursor, expected);
        /* Everything accepted before the death is in the queue now. */
        ck_assert_uint_ge(expected[producers[victim]], accepted[producers[victim]]);
        capi_queue_release(queue, cursor);
        producers[victim] = started;
        children[victim] = fork_producer(started, &accepted[started]);
        started++;
    }
    for (i = 0; i < PRODUCERS; i++) {
        end_child(children[i]);
    }
    /* One more, that recovers the lock where the last one died with it. */
    total += take_all(&cursor, expected);
    capi_queue_release(queue, cursor);
    push_until_accepted(queue, (record_name_t){kills + PRODUCERS, 0});
    total += take_all(&cursor, expected);
    capi_queue_release(queue, cursor);
    for (i = 0; i < kills + PRODUCERS; i++) {
        ck_assert_uint_ge(expected[i], accepted[i]);
        ck_assert_uint_le(expected[i], accepted[i] + 1);
    }
    ck_assert_uint_eq(stats_of(queue).pushed, total);
    ck_assert_uint_eq(stats_of(queue).taken, total);
    assert_wiped(queue);
    munmap((void *)accepted, sizeof(*accepted) * (KILLS + PRODUCERS));
}
END_TEST

/* Runs `spoil` in a child that holds the mutex, and kills it there. */
static void die_with_lock(void (*spoil)(capi_queue_shared_t *))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        pthread_mutex_lock(&queue->shared->mutex);
        spoil(queue->shared);
        raise(SIGKILL);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}

static void spoil_free_room(capi_queue_shared_t *shared)
{
    atomic_store(&shared->claimed, atomic_load(&shared->head) + 50000);
    memset(queue->ring + atomic_load(&shared->head) % queue->size, 0xa5, 50000);
}

static void count_without_publishing(capi_queue_shared_t *shared)
{
    atomic_store(&shared->undo_pushed, atomic_load(&shared->pushed));
    atomic_store(&shared->undo_head, atomic_load(&shared->head));
    atomic_fetch_add(&shared->pushed, 5);
}

START_TEST(test_lock_of_a_killed_producer_is_recovered)
{
    uint64_t cursor = 0;

    push_until_accepted(queue, (record_name_t){1, 0});
    die_with_lock(spoil_free_room);
    push_until_accepted(queue, (record_name_t){1, 1});
    die_with_lock(count_without_publishing);
    push_until_accepted(queue, (record_name_t){1, 2});
    ck_assert_uint_eq(stats_of(queue).recovered_locks, 2);
    ck_assert_uint_eq(stats_of(queue).pushed, 3);
    ck_assert_uint_eq(take_name(queue, &cursor).number, 0);
    ck_assert_uint_eq(take_name(queue, &cursor).number, 1);
    ck_assert_uint_eq(take_name(queue, &cursor).number, 2);
    assert_empty(queue, cursor);
    capi_queue_release(queue, cursor);
    assert_wiped(queue);
}
END_TEST

START_TEST(test_push_gives_up_on_a_lock_that_stays_held_and_counts_it)
{
    int ends[2];
    char byte;
    pid_t child;

    ck_assert_int_eq(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        pthread_mutex_lock(&queue->shared->mutex);
        if (write(ends[1], "x", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    ck_assert_int_eq(push_name(queue, (record_name_t){1, 0}, CAPI_CLASS_CONVERSION), APR_TIMEUP);
    ck_assert_uint_eq(stats_of(queue).lock_timeouts, 1);
    ck_assert_uint_eq(stats_of(queue).dropped_conversion, 1);
    end_child(child);
    ck_assert_int_eq(push_name(queue, (record_name_t){1, 0}, CAPI_CLASS_CONVERSION), APR_SUCCESS);
    ck_assert_uint_eq(stats_of(queue).recovered_locks, 1);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

/* What a consumer has done, in memory that outlives it. */
typedef struct {
    _Atomic uint32_t stored;   /* records that it peeked and put away */
    _Atomic uint32_t released; /* of these, given back for sure */
    _Atomic uint32_t faults;
} ledger_t;

/* Puts record `number` away, of which `*next` is expected; UINT32_MAX: it is the first that this
 * consumer sees, so neither released before nor behind one that is not stored. */
static void store_record(ledger_t *ledger, uint32_t released, uint32_t *next, uint32_t number)
{
    uint32_t stored = atomic_load(&ledger->stored);

    if (*next == UINT32_MAX ? number < released || number > stored : number != *next) {
        atomic_fetch_add(&ledger->faults, 1);
    }
    *next = number + 1;
    if (*next > stored) {
        atomic_store(&ledger->stored, *next);
    }
}

/* Peeks, puts away and releases for ever. */
static void consume(ledger_t *ledger)
{
    capi_queue_t *mine = try_attach();
    uint32_t released = atomic_load(&ledger->released);
    uint32_t next = UINT32_MAX;
    uint64_t cursor = 0;

    for (;;) {
        record_name_t name;
        const void *bytes;
        apr_size_t len;
        apr_status_t rv = mine ? capi_queue_peek(mine, &cursor, &bytes, &len) : APR_EGENERAL;

        if (rv == APR_EOF) {
            capi_queue_release(mine, cursor);
            atomic_store(&ledger->released, next == UINT32_MAX ? released : next);
        }
        else if (rv == APR_SUCCESS && read_record(&name, bytes, len)) {
            store_record(ledger, released, &next, name.number);
        }
        else {
            atomic_fetch_add(&ledger->faults, 1);
            pause();
        }
    }
}

/* Until the consumer at work has given something back. */
static void await_release(ledger_t *ledger)
{
    uint32_t before = atomic_load(&ledger->released);
    int tries = 0;

    while (atomic_load(&ledger->released) == before && tries++ < PATIENCE_MS) {
        usleep(1000);
    }
    ck_assert_int_lt(tries, PATIENCE_MS);
}

START_TEST(test_killed_consumer_loses_nothing_and_sees_nothing_again_after_release)
{
    uint32_t kills = scaled(200);
    ledger_t *ledger = share(sizeof(*ledger));
    _Atomic uint32_t *accepted = share(sizeof(*accepted));
    pid_t producer = fork_producer(1, accepted);
    uint32_t state = (uint32_t)getpid();
    uint32_t next = UINT32_MAX;
    uint64_t cursor = 0;
    uint32_t i;

    for (i = 0; i < kills; i++) {
        pid_t consumer = fork();

        if (consumer == 0) {
            consume(ledger);
        }
        if (i % 4 == 0) {
            await_release(ledger);
        }
        usleep(next_random(&state) % 4000);
        end_child(consumer);
        ck_assert_uint_eq(ledger->faults, 0);
    }
    end_child(producer);
    /* The last one to take over is this process; its own push recovers the lock if need be. */
    push_until_accepted(queue, (record_name_t){0, 0});
    for (;;) {
        record_name_t name = take_name(queue, &cursor);

        if (name.producer == 0) {
            break;
        }
        store_record(ledger, ledger->released, &next, name.number);
    }
    ck_assert_uint_eq(ledger->faults, 0);
    ck_assert_uint_ge(ledger->stored, *accepted);
    ck_assert_uint_le(ledger->stored, *accepted + 1);
    assert_empty(queue, cursor);
    capi_queue_release(queue, cursor);
    ck_assert_uint_eq(stats_of(queue).taken, stats_of(queue).pushed);
    assert_wiped(queue);
}
END_TEST

START_TEST(test_consumer_killed_between_peek_and_release_is_followed_from_there)
{
    uint64_t cursor = 0;
    uint32_t i;
    pid_t child;

    for (i = 0; i < 3; i++) {
        push_until_accepted(queue, (record_name_t){1, i});
    }
    child = fork();
    if (child == 0) {
        capi_queue_t *mine = try_attach();
        const void *bytes;
        apr_size_t len;

        if (mine && capi_queue_peek(mine, &cursor, &bytes, &len) == APR_SUCCESS) {
            capi_queue_release(mine, cursor);
            while (capi_queue_peek(mine, &cursor, &bytes, &len) == APR_SUCCESS) {
            }
        }
        raise(SIGKILL);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_uint_eq(stats_of(queue).taken, 1);
    ck_assert_uint_eq(take_name(queue, &cursor).number, 1);
    ck_assert_uint_eq(take_name(queue, &cursor).number, 2);
    assert_empty(queue, cursor);
}
END_TEST

START_TEST(test_release_that_a_kill_cut_short_is_finished)
{
    capi_queue_shared_t *shared = queue->shared;
    capi_queue_t *next;
    uint64_t middle;
    uint64_t cursor = 0;

    push_until_accepted(queue, (record_name_t){1, 0});
    middle = stats_of(queue).head;
    push_until_accepted(queue, (record_name_t){1, 1});
    /* As capi_queue_release leaves it right after the durable mark has moved. */
    atomic_store(&shared->taken, 1);
    atomic_store(&shared->durable, middle);
    memset(queue->ring, 0, 32);
    next = attach_again();
    ck_assert_uint_eq(take_name(next, &cursor).number, 1);
    ck_assert_uint_eq(stats_of(next).tail, middle);
    ck_assert_uint_eq(stats_of(next).taken, 1);
    /* And right before: what was counted is not taken yet. */
    atomic_store(&shared->undo_taken, 1);
    atomic_store(&shared->undo_durable, middle);
    atomic_store(&shared->taken, 2);
    capi_queue_close(next);
    next = attach_again();
    cursor = 0;
    ck_assert_uint_eq(take_name(next, &cursor).number, 1);
    ck_assert_uint_eq(stats_of(next).taken, 1);
    capi_queue_release(next, cursor);
    ck_assert_uint_eq(stats_of(next).taken, 2);
    assert_wiped(next);
    capi_queue_close(next);
}
END_TEST

static void *wait_for_first(void *argument)
{
    *(apr_status_t *)argument = capi_queue_wait_durable(queue, 1, apr_time_from_msec(PATIENCE_MS));
    return NULL;
}

START_TEST(test_waiter_is_woken_by_the_consumer_that_follows_a_killed_one)
{
    apr_status_t rv = APR_EGENERAL;
    pthread_t waiter;
    const void *bytes;
    uint64_t cursor = 0;
    apr_size_t len;

    push_until_accepted(queue, (record_name_t){1, 0});
    ck_assert_int_eq(pthread_create(&waiter, NULL, wait_for_first, &rv), 0);
    usleep(20000);
    atomic_store(&queue->shared->durable, stats_of(queue).head);
    ck_assert_int_eq(capi_queue_peek(queue, &cursor, &bytes, &len), APR_EOF);
    pthread_join(waiter, NULL);
    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_uint_eq(stats_of(queue).used, 0);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("queue_crash");

    tcase_add_test(cases, test_threads_push_while_one_consumes);
    tcase_add_test(cases, test_processes_and_threads_push_side_by_side);
    tcase_add_test(cases, test_killed_producers_lose_nothing_accepted_and_tear_nothing);
    tcase_add_test(cases, test_lock_of_a_killed_producer_is_recovered);
    tcase_add_test(cases, test_push_gives_up_on_a_lock_that_stays_held_and_counts_it);
    tcase_add_test(cases, test_killed_consumer_loses_nothing_and_sees_nothing_again_after_release);
    tcase_add_test(cases, test_consumer_killed_between_peek_and_release_is_followed_from_there);
    tcase_add_test(cases, test_release_that_a_kill_cut_short_is_finished);
    tcase_add_test(cases, test_waiter_is_woken_by_the_consumer_that_follows_a_killed_one);
    return run_cases("queue_crash", cases);
}
