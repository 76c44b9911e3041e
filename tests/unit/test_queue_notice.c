/* What workers notice beside events, in the queue's header. */

#include "queue_fixture.h"

START_TEST(test_what_is_noticed_is_counted_for_all)
{
    capi_queue_t *other = attach_again();

    capi_queue_notice(queue, CAPI_NOTICE_BOT);
    capi_queue_notice(other, CAPI_NOTICE_BOT);
    ck_assert_uint_eq(capi_queue_noticed(other, CAPI_NOTICE_BOT), 2);
    ck_assert_uint_eq(capi_queue_noticed(queue, CAPI_NOTICE_REQUEST), 0);
    capi_queue_close(other);
}
END_TEST

START_TEST(test_the_newest_complaint_is_kept_as_a_whole)
{
    capi_queue_t *other = attach_again();
    char words[CAPI_COMPLAINT_LEN];
    char longer[2 * CAPI_COMPLAINT_LEN];
    apr_time_t when;

    ck_assert(!capi_queue_complaint(other, words, &when));
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    capi_queue_complain(queue, longer, 7);
    ck_assert(capi_queue_complaint(other, words, &when));
    ck_assert_uint_eq(strlen(words), CAPI_COMPLAINT_LEN - 1);
    memcpy(longer + CAPI_COMPLAINT_LEN - 2, "\xc3\xa4", 2); /* cut between the two */
    capi_queue_complain(queue, longer, 7);
    ck_assert(capi_queue_complaint(other, words, &when));
    ck_assert_str_eq(words + CAPI_COMPLAINT_LEN - 3, "x?");
    capi_queue_complain(queue, "not known", 8);
    ck_assert(capi_queue_complaint(other, words, &when));
    ck_assert_str_eq(words, "not known");
    ck_assert_int_eq(when, 8);
    /* one who dies while it writes is not waited for, and nothing half is told */
    queue->shared->complaint_step++;
    capi_queue_complain(other, "half", 9);
    ck_assert(!capi_queue_complaint(other, words, &when));
    capi_queue_close(other);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("queue_notice");

    tcase_add_test(cases, test_what_is_noticed_is_counted_for_all);
    tcase_add_test(cases, test_the_newest_complaint_is_kept_as_a_whole);
    return run_cases("queue_notice", cases);
}
