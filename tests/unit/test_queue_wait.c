/* Those who wait for the queue: the consumer for records, callers for the disk. */

#include "queue_fixture.h"

START_TEST(test_wait_ends_at_once_or_in_time)
{
    uint64_t position = 0;
    uint64_t cursor = 0;
    char byte = 'x';
    capi_record_t record = {&byte, 1};

    ck_assert_int_eq(capi_queue_push(queue, &record, 1, CAPI_CLASS_CONVERSION, &position),
                     APR_SUCCESS);
    ck_assert_int_eq(capi_queue_wait_durable(queue, 0, 0), APR_SUCCESS);
    ck_assert_int_eq(capi_queue_wait_durable(queue, position, 0), APR_TIMEUP);
    ck_assert_int_eq(capi_queue_wait_durable(queue, position, 20000), APR_TIMEUP);
    {
        const void *bytes;
        apr_size_t len;

        ck_assert_int_eq(capi_queue_peek(queue, &cursor, &bytes, &len), APR_SUCCESS);
    }
    ck_assert_int_eq(capi_queue_wait_durable(queue, position, 0), APR_TIMEUP);
    capi_queue_release(queue, cursor);
    ck_assert_int_eq(capi_queue_wait_durable(queue, position, 0), APR_SUCCESS);
}
END_TEST

/* Waits until each of its records is durable; there is one consumer for all. */
static void push_and_wait(uint32_t producer, uint32_t count)
{
    static char room[LARGE + sizeof(record_name_t)];
    record_name_t name = {producer, 0};

    for (name.number = 0; name.number < count; name.number++) {
        capi_record_t record = {room, fill_record(room, name)};
        uint64_t position;
        apr_status_t rv = APR_TIMEUP;

        /* A holder of the lock may lose its processor for longer than a push waits. */
        while (rv == APR_TIMEUP) {
            rv = capi_queue_push(queue, &record, 1, CAPI_CLASS_CONVERSION, &position);
        }
        if (rv != APR_SUCCESS ||
            capi_queue_wait_durable(queue, position, apr_time_from_msec(PATIENCE_MS)) !=
                APR_SUCCESS) {
            _exit(1);
        }
    }
    _exit(0);
}

/* Sleeps as the sender does: never while a record waits. */
static void sleep_until_pushed(void)
{
    struct pollfd wakeup = {capi_queue_wakeup(queue), POLLIN, 0};

    if (capi_queue_may_sleep(queue)) {
        ck_assert_msg(poll(&wakeup, 1, PATIENCE_MS) == 1, "a wake-up was lost");
    }
    capi_queue_awake(queue);
}

START_TEST(test_sleeper_and_waiters_wake_each_other_thousands_of_times)
{
    enum { WAITERS = 3 };
    uint32_t each = scaled(4000);
    uint32_t expected[WAITERS] = {0};
    pid_t children[WAITERS];
    uint64_t cursor = 0;
    uint32_t i;
    uint32_t left = WAITERS * each;

    for (i = 0; i < WAITERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            push_and_wait(i, each);
        }
    }
    while (left > 0) {
        const void *bytes;
        apr_size_t len;

        while (capi_queue_peek(queue, &cursor, &bytes, &len) == APR_SUCCESS) {
            record_name_t name = check_record(bytes, len);

            ck_assert_uint_eq(name.number, expected[name.producer]++);
            left--;
        }
        capi_queue_release(queue, cursor);
        if (left > 0) {
            sleep_until_pushed();
        }
    }
    for (i = 0; i < WAITERS; i++) {
        int status;

        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
}
END_TEST

/* Pushes the next record as soon as the last one was given back, a few moments sooner or later each
 * time: just when the consumer is about to sleep. */
static void *push_at_the_brink(void *argument)
{
    uint32_t count = *(const uint32_t *)argument;
    uint32_t state = 1;
    uint32_t i;

    for (i = 0; i < count; i++) {
        volatile uint32_t delay = next_random(&state) % 300;
        capi_record_t record = {&i, sizeof(i)};

        while (atomic_load(&queue->shared->durable) != atomic_load(&queue->shared->head)) {
        }
        while (delay > 0) {
            delay--;
        }
        while (capi_queue_push(queue, &record, 1, CAPI_CLASS_CONVERSION, NULL) != APR_SUCCESS) {
        }
    }
    return NULL;
}

START_TEST(test_no_push_at_the_brink_of_sleep_goes_unheard)
{
    uint32_t count = scaled(300000);
    uint32_t taken = 0;
    uint64_t cursor = 0;
    pthread_t producer;

    ck_assert_int_eq(pthread_create(&producer, NULL, push_at_the_brink, &count), 0);
    while (taken < count) {
        const void *bytes;
        apr_size_t len;

        if (capi_queue_peek(queue, &cursor, &bytes, &len) == APR_SUCCESS) {
            taken++;
            capi_queue_release(queue, cursor);
        }
        if (taken < count) {
            sleep_until_pushed();
        }
    }
    pthread_join(producer, NULL);
}
END_TEST

START_TEST(test_nobody_sleeps_beside_waiting_records_and_nobody_wakes_the_awake)
{
    struct pollfd wakeup = {capi_queue_wakeup(queue), POLLIN, 0};
    uint64_t cursor = 0;

    ck_assert_int_eq(push_name(queue, (record_name_t){1, 0}, CAPI_CLASS_PAGE), APR_SUCCESS);
    ck_assert_int_eq(poll(&wakeup, 1, 0), 0);
    ck_assert(!capi_queue_may_sleep(queue));
    take_name(queue, &cursor);
    ck_assert(!capi_queue_may_sleep(queue));
    capi_queue_release(queue, cursor);
    ck_assert(capi_queue_may_sleep(queue));
    ck_assert_int_eq(poll(&wakeup, 1, 0), 0);
    ck_assert_int_eq(push_name(queue, (record_name_t){1, 1}, CAPI_CLASS_PAGE), APR_SUCCESS);
    ck_assert_int_eq(poll(&wakeup, 1, 0), 1);
    capi_queue_awake(queue);
    ck_assert_int_eq(poll(&wakeup, 1, 0), 0);
}
END_TEST

START_TEST(test_attached_producer_wakes_through_the_descriptor_it_was_given)
{
    capi_queue_t *other = attach_again();
    struct pollfd wakeup = {capi_queue_wakeup(queue), POLLIN, 0};

    capi_queue_set_wakeup(other, capi_queue_wakeup(queue));
    ck_assert(capi_queue_may_sleep(queue));
    ck_assert_int_eq(push_name(other, (record_name_t){1, 0}, CAPI_CLASS_PAGE), APR_SUCCESS);
    ck_assert_int_eq(poll(&wakeup, 1, 0), 1);
    capi_queue_close(other);
    ck_assert_int_ne(fcntl(capi_queue_wakeup(queue), F_GETFD), -1);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("queue_wait");

    tcase_add_test(cases, test_wait_ends_at_once_or_in_time);
    tcase_add_test(cases, test_sleeper_and_waiters_wake_each_other_thousands_of_times);
    tcase_add_test(cases, test_no_push_at_the_brink_of_sleep_goes_unheard);
    tcase_add_test(cases, test_nobody_sleeps_beside_waiting_records_and_nobody_wakes_the_awake);
    tcase_add_test(cases, test_attached_producer_wakes_through_the_descriptor_it_was_given);
    return run_cases("queue_wait", cases);
}
