/* The queue while everybody lives: order, content, room, and what attach refuses. */

#include "queue_fixture.h"

#include <errno.h>
#include <sys/resource.h>

START_TEST(test_records_come_out_in_order_across_many_rounds)
{
    uint32_t state = 7;
    record_name_t in = {1, 0};
    record_name_t out = {1, 0};
    uint64_t cursor = 0;
    uint32_t count = scaled(20000);

    while (out.number < count) {
        int burst = (int)(next_random(&state) % 60);

        while (burst-- > 0 && push_name(queue, in, CAPI_CLASS_CONVERSION) == APR_SUCCESS) {
            in.number++;
        }
        burst = (int)(next_random(&state) % 60);
        while (burst-- > 0 && out.number < in.number) {
            ck_assert_uint_eq(take_name(queue, &cursor).number, out.number);
            out.number++;
        }
        if (next_random(&state) % 2) {
            capi_queue_release(queue, cursor);
        }
    }
    while (out.number < in.number) {
        ck_assert_uint_eq(take_name(queue, &cursor).number, out.number++);
    }
    assert_empty(queue, cursor);
    capi_queue_release(queue, cursor);
    ck_assert_uint_eq(stats_of(queue).used, 0);
    ck_assert_uint_eq(stats_of(queue).pushed, in.number);
    ck_assert_uint_eq(stats_of(queue).taken, in.number);
    ck_assert_uint_gt(stats_of(queue).head, 5 * stats_of(queue).size);
}
END_TEST

START_TEST(test_empty_and_largest_records_survive)
{
    apr_size_t largest = CAPI_QUEUE_MIN / 4;
    char *room = apr_palloc(pool, largest);
    capi_record_t records[] = {{NULL, 0}, {room, largest}, {room, 1}};
    const void *bytes;
    uint64_t cursor = 0;
    apr_size_t len;
    int round;
    int i;

    memset(room, 'x', largest);
    for (round = 0; round < 20; round++) {
        ck_assert_int_eq(capi_queue_push(queue, records, 3, CAPI_CLASS_PAGE, NULL), APR_SUCCESS);
        for (i = 0; i < 3; i++) {
            ck_assert_int_eq(capi_queue_peek(queue, &cursor, &bytes, &len), APR_SUCCESS);
            ck_assert_uint_eq(len, records[i].len);
            ck_assert(len == 0 || memcmp(bytes, room, len) == 0);
        }
        capi_queue_release(queue, cursor);
    }
}
END_TEST

START_TEST(test_full_ring_drops_newest_and_counts_it)
{
    record_name_t name = {1, 0};
    uint64_t cursor = 0;
    uint32_t i;

    while (push_name(queue, name, CAPI_CLASS_CONVERSION) == APR_SUCCESS) {
        name.number++;
    }
    ck_assert_int_eq(push_name(queue, name, CAPI_CLASS_CONVERSION), APR_ENOSPC);
    ck_assert_int_eq(push_name(queue, name, CAPI_CLASS_PAGE), APR_ENOSPC);
    ck_assert_uint_eq(stats_of(queue).dropped_conversion, 2);
    ck_assert_uint_eq(stats_of(queue).dropped_page, 1);
    ck_assert_uint_eq(stats_of(queue).pushed, name.number);
    for (i = 0; i < name.number; i++) {
        ck_assert_uint_eq(take_name(queue, &cursor).number, i);
    }
    assert_empty(queue, cursor);
}
END_TEST

START_TEST(test_last_quarter_is_kept_for_conversions)
{
    static const char bytes[1000];
    capi_record_t record = {bytes, sizeof(bytes)};
    int pages = 0;
    int conversions = 0;

    while (capi_queue_push(queue, &record, 1, CAPI_CLASS_PAGE, NULL) == APR_SUCCESS) {
        pages++;
    }
    ck_assert_uint_le(stats_of(queue).used, CAPI_QUEUE_MIN / 4 * 3);
    while (capi_queue_push(queue, &record, 1, CAPI_CLASS_CONVERSION, NULL) == APR_SUCCESS) {
        conversions++;
    }
    ck_assert_int_ge(pages, CAPI_QUEUE_MIN / 4 * 3 / 1024);
    ck_assert_int_ge(conversions, CAPI_QUEUE_MIN / 4 / 1024 - 1);
    ck_assert_uint_eq(stats_of(queue).dropped_page, 1);
    ck_assert_uint_eq(stats_of(queue).dropped_conversion, 1);
}
END_TEST

START_TEST(test_many_records_go_in_whole_or_not_at_all)
{
    static const char bytes[1000];
    capi_record_t records[100];
    capi_queue_stats_t before;
    uint64_t position = 0;
    uint64_t cursor = 0;
    const void *at;
    apr_size_t len;
    int i;

    for (i = 0; i < 100; i++) {
        records[i] = (capi_record_t){bytes, sizeof(bytes)};
    }
    ck_assert_int_eq(capi_queue_push(queue, records, 100, CAPI_CLASS_CONVERSION, &position),
                     APR_SUCCESS);
    ck_assert_uint_eq(position, stats_of(queue).head);
    ck_assert_int_eq(capi_queue_push(queue, records, 100, CAPI_CLASS_CONVERSION, NULL),
                     APR_SUCCESS);
    before = stats_of(queue);
    ck_assert_int_eq(capi_queue_push(queue, records, 100, CAPI_CLASS_CONVERSION, NULL), APR_ENOSPC);
    ck_assert_uint_eq(stats_of(queue).head, before.head);
    ck_assert_uint_eq(stats_of(queue).pushed, 200);
    ck_assert_uint_eq(stats_of(queue).dropped_conversion, 100);
    for (i = 0; i < 200; i++) {
        ck_assert_int_eq(capi_queue_peek(queue, &cursor, &at, &len), APR_SUCCESS);
    }
    assert_empty(queue, cursor);
}
END_TEST

START_TEST(test_what_can_never_fit_is_refused)
{
    char *room = apr_pcalloc(pool, CAPI_QUEUE_MIN);
    capi_record_t quarter = {room, CAPI_QUEUE_MIN / 4};
    capi_record_t more = {room, CAPI_QUEUE_MIN / 4 + 1};
    capi_record_t three[] = {quarter, quarter, quarter};

    ck_assert_int_eq(capi_queue_push(queue, &more, 1, CAPI_CLASS_CONVERSION, NULL), APR_EINVAL);
    ck_assert_int_eq(capi_queue_push(queue, three, 3, CAPI_CLASS_CONVERSION, NULL), APR_EINVAL);
    ck_assert_int_eq(capi_queue_push(queue, three, 0, CAPI_CLASS_CONVERSION, NULL), APR_EINVAL);
    ck_assert_int_eq(capi_queue_push(queue, &quarter, 1, CAPI_CLASS_CONVERSION, NULL), APR_SUCCESS);
    ck_assert_uint_eq(stats_of(queue).dropped_conversion, 0);
}
END_TEST

START_TEST(test_what_fits_an_empty_ring_fits_wherever_its_head_stands)
{
    static const char bytes[CAPI_QUEUE_MIN / 4];
    capi_record_t most[] = {{bytes, CAPI_QUEUE_MIN / 4 - 16},
                            {bytes, CAPI_QUEUE_MIN / 4 - 16},
                            {bytes, CAPI_QUEUE_MIN / 4 - 16}};
    capi_record_t step = {bytes, 4000};
    const void *at;
    uint64_t cursor = 0;
    apr_size_t len;
    int i;

    for (i = 0; i < 200; i++) {
        ck_assert_int_eq(capi_queue_push(queue, most, 3, CAPI_CLASS_CONVERSION, NULL), APR_SUCCESS);
        while (capi_queue_peek(queue, &cursor, &at, &len) == APR_SUCCESS) {
        }
        capi_queue_release(queue, cursor);
        ck_assert_int_eq(capi_queue_push(queue, &step, 1, CAPI_CLASS_PAGE, NULL), APR_SUCCESS);
        while (capi_queue_peek(queue, &cursor, &at, &len) == APR_SUCCESS) {
        }
        capi_queue_release(queue, cursor);
    }
}
END_TEST

START_TEST(test_released_bytes_are_wiped)
{
    record_name_t name = {1, 0};
    uint64_t cursor = 0;
    int round;

    for (round = 0; round < 5; round++) {
        while (push_name(queue, name, CAPI_CLASS_CONVERSION) == APR_SUCCESS) {
            name.number++;
        }
        while (cursor < stats_of(queue).head) {
            take_name(queue, &cursor);
        }
        capi_queue_release(queue, cursor);
        assert_wiped(queue);
        name.number += 3;
    }
}
END_TEST

START_TEST(test_release_of_nothing_or_of_too_much_does_nothing)
{
    record_name_t name = {1, 0};
    uint64_t cursor = 0;

    ck_assert_int_eq(push_name(queue, name, CAPI_CLASS_PAGE), APR_SUCCESS);
    capi_queue_release(queue, 0);
    capi_queue_release(queue, stats_of(queue).head + CAPI_QUEUE_ALIGN);
    capi_queue_release(queue, stats_of(queue).head - 1);
    ck_assert_uint_eq(stats_of(queue).taken, 0);
    ck_assert_uint_eq(take_name(queue, &cursor).number, 0);
}
END_TEST

START_TEST(test_damaged_record_is_told_and_passed_over)
{
    record_name_t names[] = {{1, 0}, {1, 1}, {1, 2}};
    const void *bytes;
    uint64_t cursor = 0;
    apr_size_t len;
    int i;

    for (i = 0; i < 3; i++) {
        ck_assert_int_eq(push_name(queue, names[i], CAPI_CLASS_PAGE), APR_SUCCESS);
    }
    queue->ring[capi_queue_room_of(len_of(names[0])) + 20] ^= 1;
    ck_assert_uint_eq(take_name(queue, &cursor).number, 0);
    ck_assert_int_eq(capi_queue_peek(queue, &cursor, &bytes, &len), APR_EGENERAL);
    ck_assert_uint_eq(take_name(queue, &cursor).number, 2);
    assert_empty(queue, cursor);
}
END_TEST

START_TEST(test_damaged_length_leads_nowhere_outside_the_ring)
{
    static const uint32_t lengths[] = {UINT32_MAX, UINT32_MAX - 15, CAPI_QUEUE_MIN, 100000, 7};
    const void *bytes;
    apr_size_t len;
    int i;

    for (i = 0; i < (int)(sizeof(lengths) / sizeof(lengths[0])); i++) {
        uint64_t cursor = 0;
        uint64_t tail = stats_of(queue).tail;
        apr_status_t rv;

        ck_assert_int_eq(push_name(queue, (record_name_t){1, 1}, CAPI_CLASS_PAGE), APR_SUCCESS);
        memcpy(queue->ring + tail % queue->size, &lengths[i], sizeof(lengths[i]));
        rv = capi_queue_peek(queue, &cursor, &bytes, &len);
        ck_assert_int_eq(rv, APR_EGENERAL);
        while (rv == APR_EGENERAL) {
            rv = capi_queue_peek(queue, &cursor, &bytes, &len);
        }
        ck_assert_int_eq(rv, APR_EOF);
        ck_assert_uint_eq(cursor, stats_of(queue).head);
        capi_queue_release(queue, cursor);
        ck_assert_uint_eq(stats_of(queue).used, 0);
    }
}
END_TEST

START_TEST(test_record_of_an_earlier_round_is_not_taken_for_a_new_one)
{
    char bytes[4096 - sizeof(capi_queue_record_head_t)] = "earlier";
    capi_record_t record = {bytes, sizeof(bytes)};
    char *earlier;
    const void *at;
    uint64_t cursor = 0;
    apr_size_t len;

    ck_assert_int_eq(capi_queue_push(queue, &record, 1, CAPI_CLASS_PAGE, NULL), APR_SUCCESS);
    earlier = apr_pmemdup(pool, queue->ring, 4096);
    for (;;) {
        ck_assert_int_eq(capi_queue_peek(queue, &cursor, &at, &len), APR_SUCCESS);
        capi_queue_release(queue, cursor);
        if (stats_of(queue).head == queue->size) {
            break;
        }
        ck_assert_int_eq(capi_queue_push(queue, &record, 1, CAPI_CLASS_PAGE, NULL), APR_SUCCESS);
    }
    memcpy(queue->ring, earlier, 4096);
    atomic_store(&queue->shared->head, queue->size + 4096);
    ck_assert_int_eq(capi_queue_peek(queue, &cursor, &at, &len), APR_EGENERAL);
    ck_assert_uint_eq(cursor, queue->size + 4096);
}
END_TEST

START_TEST(test_what_a_worker_changes_after_the_check_is_not_seen)
{
    record_name_t name = {1, 0};
    capi_queue_t *other = attach_again();
    const void *bytes;
    uint64_t cursor = 0;
    apr_size_t len;

    ck_assert_int_eq(push_name(queue, name, CAPI_CLASS_PAGE), APR_SUCCESS);
    ck_assert_int_eq(capi_queue_peek(other, &cursor, &bytes, &len), APR_SUCCESS);
    memset(queue->ring, 'x', queue->size);
    ck_assert_uint_eq(check_record(bytes, len).number, 0);
    capi_queue_close(other);
}
END_TEST

START_TEST(test_create_makes_a_private_file_of_its_own)
{
    capi_queue_t *other;
    const char *name = apr_pstrcat(pool, directory, "/link", NULL);
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_ge(st.st_blocks * 512, CAPI_QUEUE_MIN);
    ck_assert_int_eq(fcntl(capi_queue_fd(queue), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(fcntl(capi_queue_wakeup(queue), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(capi_queue_create(&other, path, CAPI_QUEUE_MIN, pool), EEXIST);
    ck_assert_int_eq(symlink("elsewhere", name), 0);
    ck_assert_int_eq(capi_queue_create(&other, name, CAPI_QUEUE_MIN, pool), EEXIST);
    unlink(name);
    ck_assert_int_eq(capi_queue_create(&other, name, CAPI_QUEUE_MIN - 1, pool), APR_EINVAL);
    ck_assert_int_eq(access(name, F_OK), -1);
    ck_assert_int_eq(capi_queue_create(&other, name, CAPI_QUEUE_MIN + 1, pool), APR_SUCCESS);
    ck_assert_uint_eq(stats_of(other).size, CAPI_QUEUE_MIN + 4096);
    capi_queue_close(other);
    unlink(name);
}
END_TEST

START_TEST(test_create_that_finds_no_room_leaves_no_file)
{
    capi_queue_t *other;
    const char *name = apr_pstrcat(pool, directory, "/large", NULL);
    struct rlimit limit;
    struct rlimit none = {CAPI_QUEUE_MIN, CAPI_QUEUE_MIN};

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    none.rlim_max = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    ck_assert_int_ne(capi_queue_create(&other, name, CAPI_QUEUE_MIN, pool), APR_SUCCESS);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(access(name, F_OK), -1);
}
END_TEST

START_TEST(test_attached_queue_is_the_same_queue)
{
    capi_queue_t *other = attach_again();
    uint64_t cursor = 0;

    ck_assert_int_eq(capi_queue_wakeup(other), -1);
    ck_assert_int_eq(push_name(queue, (record_name_t){1, 0}, CAPI_CLASS_PAGE), APR_SUCCESS);
    ck_assert_int_eq(push_name(other, (record_name_t){1, 1}, CAPI_CLASS_PAGE), APR_SUCCESS);
    ck_assert_uint_eq(take_name(other, &cursor).number, 0);
    ck_assert_uint_eq(take_name(other, &cursor).number, 1);
    capi_queue_release(other, cursor);
    ck_assert_uint_eq(stats_of(queue).used, 0);
    ck_assert(!capi_queue_is_finished(queue));
    capi_queue_set_finished(other);
    ck_assert(capi_queue_is_finished(queue));
    capi_queue_close(other);
}
END_TEST

static void assert_attach_refused(int fd)
{
    capi_queue_t *other = NULL;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(capi_queue_attach(&other, fd, pool), APR_EINVAL);
    ck_assert_ptr_null(other);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}

START_TEST(test_attach_refuses_files_of_another_length)
{
    off_t whole = (off_t)(CAPI_QUEUE_HEADER_LEN + queue->size);
    off_t lengths[] = {0,         100,       CAPI_QUEUE_HEADER_LEN, whole - 4096,
                       whole - 1, whole + 1, whole + 4096};
    int ends[2];
    int i;

    for (i = 0; i < (int)(sizeof(lengths) / sizeof(lengths[0])); i++) {
        ck_assert_int_eq(truncate(path, lengths[i]), 0);
        /* A cut takes bytes with it: the header is what it was, or the length is what is wrong. */
        assert_attach_refused(open(path, O_RDWR));
        ck_assert_int_eq(truncate(path, whole), 0);
        if (lengths[i] < CAPI_QUEUE_HEADER_LEN) {
            drop_queue();
            make_queue();
        }
    }
    ck_assert_int_eq(pipe(ends), 0);
    assert_attach_refused(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(test_attach_refuses_a_header_that_is_not_ours_or_contradicts_itself)
{
    capi_queue_shared_t *shared = queue->shared;
    capi_queue_shared_t good;
    int fault;

    ck_assert_int_eq(push_name(queue, (record_name_t){1, 0}, CAPI_CLASS_PAGE), APR_SUCCESS);
    memcpy((void *)&good, (void *)shared, sizeof(good));
    for (fault = 0; fault < 12; fault++) {
        shared->magic ^= fault == 0;
        shared->layout += fault == 1;
        shared->header_len += fault == 2;
        shared->mutex_len += fault == 3;
        shared->align += fault == 4;
        shared->size += fault == 5 ? 4096 : 0;
        shared->tail += fault == 6 ? good.head + 16 : 0;
        shared->head += fault == 7 ? queue->size : 0;
        shared->head += fault == 8 ? 8 : 0;
        shared->durable += fault == 9 ? good.head + 16 : 0;
        shared->tail += fault == 10 ? 16 : 0;
        shared->durable += fault == 11 ? 4 : 0;
        assert_attach_refused(open(path, O_RDWR));
        memcpy((void *)shared, (void *)&good, sizeof(good));
    }
    capi_queue_close(attach_again());
}
END_TEST

START_TEST(test_queue_is_abandoned_once_its_last_writer_ends)
{
    capi_queue_t *other = attach_again();
    char byte;
    int ends[2];
    pid_t child;

    ck_assert(!capi_queue_is_abandoned(other));
    ck_assert_int_eq(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        /* Holds what it inherited until its parent has closed its own. */
        close(ends[1]);
        _exit((int)read(ends[0], &byte, 1));
    }
    capi_queue_close(queue);
    ck_assert(!capi_queue_is_abandoned(other));
    close(ends[0]);
    close(ends[1]);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert(capi_queue_is_abandoned(other));
    ck_assert(capi_queue_is_abandoned(other));
    queue = attach_again();
    ck_assert(capi_queue_is_abandoned(queue));
    capi_queue_close(other);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("queue");

    tcase_add_test(cases, test_records_come_out_in_order_across_many_rounds);
    tcase_add_test(cases, test_empty_and_largest_records_survive);
    tcase_add_test(cases, test_full_ring_drops_newest_and_counts_it);
    tcase_add_test(cases, test_last_quarter_is_kept_for_conversions);
    tcase_add_test(cases, test_many_records_go_in_whole_or_not_at_all);
    tcase_add_test(cases, test_what_can_never_fit_is_refused);
    tcase_add_test(cases, test_what_fits_an_empty_ring_fits_wherever_its_head_stands);
    tcase_add_test(cases, test_released_bytes_are_wiped);
    tcase_add_test(cases, test_release_of_nothing_or_of_too_much_does_nothing);
    tcase_add_test(cases, test_damaged_record_is_told_and_passed_over);
    tcase_add_test(cases, test_damaged_length_leads_nowhere_outside_the_ring);
    tcase_add_test(cases, test_record_of_an_earlier_round_is_not_taken_for_a_new_one);
    tcase_add_test(cases, test_what_a_worker_changes_after_the_check_is_not_seen);
    tcase_add_test(cases, test_create_makes_a_private_file_of_its_own);
    tcase_add_test(cases, test_create_that_finds_no_room_leaves_no_file);
    tcase_add_test(cases, test_attached_queue_is_the_same_queue);
    tcase_add_test(cases, test_attach_refuses_files_of_another_length);
    tcase_add_test(cases, test_attach_refuses_a_header_that_is_not_ours_or_contradicts_itself);
    tcase_add_test(cases, test_queue_is_abandoned_once_its_last_writer_ends);
    return run_cases("queue", cases);
}
