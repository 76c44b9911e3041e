/* Hashes and identifiers. */

#include "ident.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#define NOW 1776943380123456LL

static const unsigned char secret[CAPI_SECRET_LEN] = "0123456789abcdef0123456789abcde";

START_TEST(test_sha256_is_written_in_lower_case_hex)
{
    char hex[CAPI_HEX_SHA256 + 1];

    capi_sha256_hex(hex, "test@test.com", 13);
    ck_assert_str_eq(hex, "f660ab912ec121d1b1e928a0bb4bc61b15f5ad44d5efdc4e1c92a25e99b8e44a");
    capi_sha256_hex(hex, "", 0);
    ck_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

START_TEST(test_only_64_hex_digits_are_a_hash)
{
    const char *hash = "F660ab912ec121d1b1e928a0bb4bc61b15f5ad44d5efdc4e1c92a25e99b8e44a";

    ck_assert(capi_is_sha256_hex(hash, 64));
    ck_assert(!capi_is_sha256_hex(hash, 63));
    ck_assert(!capi_is_sha256_hex(
        "g660ab912ec121d1b1e928a0bb4bc61b15f5ad44d5efdc4e1c92a25e99b8e44a", 64));
    ck_assert(!capi_is_sha256_hex("", 0));
}
END_TEST

START_TEST(test_keyed_hash_differs_with_each_of_its_parts)
{
    static const unsigned char other_secret[CAPI_SECRET_LEN] = "x";
    char hashes[8][CAPI_KEYED_LEN + 1];

    capi_keyed_hash(hashes[0], secret, "549", "https://a/v5", false, "session", "abc");
    capi_keyed_hash(hashes[1], other_secret, "549", "https://a/v5", false, "session", "abc");
    capi_keyed_hash(hashes[2], secret, "550", "https://a/v5", false, "session", "abc");
    capi_keyed_hash(hashes[3], secret, "549", "https://b/v5", false, "session", "abc");
    capi_keyed_hash(hashes[4], secret, "549", "https://a/v5", true, "session", "abc");
    capi_keyed_hash(hashes[5], secret, "549", "https://a/v5", false, "bind", "abc");
    capi_keyed_hash(hashes[6], secret, "549", "https://a/v5", false, "session", "abd");
    /* The same bytes in a row, cut elsewhere. */
    capi_keyed_hash(hashes[7], secret, "54", "9https://a/v5", false, "session", "abc");
    for (int i = 0; i < 8; i++) {
        ck_assert_uint_eq(strlen(hashes[i]), CAPI_KEYED_LEN);
        for (int j = 0; j < i; j++) {
            ck_assert_str_ne(hashes[i], hashes[j]);
        }
    }
}
END_TEST

START_TEST(test_keyed_hash_is_the_same_on_every_machine)
{
    char hex[CAPI_KEYED_LEN + 1];

    capi_keyed_hash(hex, secret, "549755885175", "https://api.pinterest.com/v5", false, "bind",
                    "order:10492");
    ck_assert_str_eq(hex, "4261de1dc14fdb2493ee1f5ae7cf69c7");
}
END_TEST

START_TEST(test_used_id_hash_keeps_name_and_id_apart)
{
    char one[CAPI_KEYED_LEN + 1];
    char two[CAPI_KEYED_LEN + 1];

    capi_used_id_hash(one, 7, "checkout", "x1");
    capi_used_id_hash(two, 7, "checkoutx", "1");
    ck_assert_str_ne(one, two);
    capi_used_id_hash(two, 8, "checkout", "x1");
    ck_assert_str_ne(one, two);
    capi_used_id_hash(two, 7, "checkout", "x1");
    ck_assert_str_eq(one, two);
}
END_TEST

START_TEST(test_uuid7_has_version_variant_and_its_time)
{
    char id[CAPI_UUID_LEN + 1];

    ck_assert_int_eq(capi_uuid7(id, NOW), APR_SUCCESS);
    ck_assert_uint_eq(strlen(id), CAPI_UUID_LEN);
    ck_assert_int_eq(id[14], '7');
    ck_assert_ptr_nonnull(strchr("89ab", id[19]));
    ck_assert_int_eq(capi_uuid7_msec(id), NOW / 1000);
}
END_TEST

START_TEST(test_uuid7_of_one_instant_sort_as_they_were_minted)
{
    char last[CAPI_UUID_LEN + 1] = "";
    char id[CAPI_UUID_LEN + 1];

    for (int i = 0; i < 10000; i++) {
        ck_assert_int_eq(capi_uuid7(id, NOW), APR_SUCCESS);
        ck_assert_int_gt(strcmp(id, last), 0);
        memcpy(last, id, sizeof(last));
    }
}
END_TEST

/* Random bytes are kept for the next ids; a copy of them must not be. */
START_TEST(test_forked_process_mints_ids_of_its_own)
{
    char own[CAPI_UUID_LEN + 1];
    char *childs =
        mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = -1;
    pid_t pid;

    ck_assert_ptr_ne(childs, MAP_FAILED);
    capi_uuid7(own, NOW);
    pid = fork();
    if (pid == 0) {
        capi_uuid7(childs, NOW);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    capi_uuid7(own, NOW);
    ck_assert_uint_eq(strlen(childs), CAPI_UUID_LEN);
    ck_assert_str_ne(own + 19, childs + 19);
    munmap(childs, sizeof(own));
}
END_TEST

START_TEST(test_uuid7_believes_a_clock_that_was_set_back)
{
    char id[CAPI_UUID_LEN + 1];

    capi_uuid7(id, NOW + apr_time_from_sec(86400));
    capi_uuid7(id, NOW);
    ck_assert_int_eq(capi_uuid7_msec(id), NOW / 1000);
}
END_TEST

#define MINTERS 4
#define MINTED  2000

static void *mint(void *ids)
{
    for (int i = 0; i < MINTED; i++) {
        capi_uuid7((char *)ids + (size_t)i * (CAPI_UUID_LEN + 1), NOW);
    }
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(a, b);
}

START_TEST(test_uuid7_of_many_threads_are_all_different)
{
    size_t room = CAPI_UUID_LEN + 1;
    char *ids = calloc(MINTERS * MINTED, room);
    pthread_t threads[MINTERS];

    for (int i = 0; i < MINTERS; i++) {
        pthread_create(&threads[i], NULL, mint, ids + (size_t)i * MINTED * room);
    }
    for (int i = 0; i < MINTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    qsort(ids, MINTERS * MINTED, room, compare_ids);
    /* The first 15 digits count on: they alone are unique in one process. */
    for (size_t i = 1; i < MINTERS * MINTED; i++) {
        ck_assert_int_ne(strncmp(ids + i * room, ids + (i - 1) * room, 18), 0);
    }
    free(ids);
}
END_TEST

START_TEST(test_what_is_no_uuid7_has_no_time)
{
    static const char *const others[] = {
        "",
        "order_10492",
        "9f1b4c5e-1f0a-4a51-9f0d-0a1b2c3d4e5f",  /* version 4 */
        "019dbb58-2c5b-7a51-cf0d-0a1b2c3d4e5f",  /* variant of Microsoft */
        "019dbb582-c5b-7a51-9f0d-0a1b2c3d4e5f",  /* a dash out of place */
        "019dbb58-2c5b-7a51-9f0d-0a1b2c3d4e5",   /* too short */
        "019dbb58-2c5b-7a51-9f0d-0a1b2c3d4e5ff", /* too long */
        "019dbb58-2c5b-7a51-9f0d-0a1b2c3d4e5g",
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ck_assert_int_eq(capi_uuid7_msec(others[i]), -1);
    }
    ck_assert_int_eq(capi_uuid7_msec(NULL), -1);
}
END_TEST

START_TEST(test_names_out_of_range_are_unknown)
{
    ck_assert_str_eq(capi_source_name(CAPI_SOURCE_BACKEND), "backend");
    ck_assert_str_eq(capi_source_name((capi_source_t)0), "unknown");
    ck_assert_str_eq(capi_source_name((capi_source_t)9), "unknown");
    ck_assert_str_eq(capi_state_name(CAPI_STATE_QUEUED), "queued");
    ck_assert_str_eq(capi_state_name(CAPI_STATE_EXPIRED), "expired");
    ck_assert_str_eq(capi_state_name((capi_state_t)5), "unknown");
    ck_assert_str_eq(capi_state_name((capi_state_t)-1), "unknown");
    ck_assert_str_eq(capi_consent_name(CAPI_CONSENT_DENIED), "denied");
    ck_assert_str_eq(capi_consent_name((capi_consent_state_t)3), "unknown");
    ck_assert_str_eq(capi_wire_name(CAPI_WIRE_GUIDE), "guide");
    ck_assert_str_eq(capi_wire_name((capi_wire_t)0), "unknown");
    ck_assert_str_eq(capi_key_name(CAPI_KEY_PARTNER_ID), "partner_id");
    ck_assert_str_eq(capi_key_name(CAPI_KEY_COUNT), "unknown");
}
END_TEST

START_TEST(test_a_random_uuid_has_version_4_and_never_comes_twice)
{
    char a[CAPI_UUID_LEN + 1];
    char b[CAPI_UUID_LEN + 1];

    ck_assert_int_eq(capi_uuid4(a), APR_SUCCESS);
    ck_assert_int_eq(capi_uuid4(b), APR_SUCCESS);
    ck_assert_str_ne(a, b);
    ck_assert(capi_is_uuid(a, strlen(a)));
    ck_assert_int_eq(a[14], '4');
    ck_assert_ptr_nonnull(strchr("89ab", a[19]));
    ck_assert(!capi_is_uuid(a, CAPI_UUID_LEN - 1));
    a[8] = '0';
    ck_assert(!capi_is_uuid(a, CAPI_UUID_LEN));
    b[0] = 'g';
    ck_assert(!capi_is_uuid(b, CAPI_UUID_LEN));
}
END_TEST

int main(void)
{
    TCase *cases = unit_begin("ident");

    tcase_add_test(cases, test_a_random_uuid_has_version_4_and_never_comes_twice);
    tcase_add_test(cases, test_sha256_is_written_in_lower_case_hex);
    tcase_add_test(cases, test_only_64_hex_digits_are_a_hash);
    tcase_add_test(cases, test_keyed_hash_differs_with_each_of_its_parts);
    tcase_add_test(cases, test_keyed_hash_is_the_same_on_every_machine);
    tcase_add_test(cases, test_used_id_hash_keeps_name_and_id_apart);
    tcase_add_test(cases, test_uuid7_has_version_variant_and_its_time);
    tcase_add_test(cases, test_uuid7_of_one_instant_sort_as_they_were_minted);
    tcase_add_test(cases, test_forked_process_mints_ids_of_its_own);
    tcase_add_test(cases, test_uuid7_believes_a_clock_that_was_set_back);
    tcase_add_test(cases, test_uuid7_of_many_threads_are_all_different);
    tcase_add_test(cases, test_what_is_no_uuid7_has_no_time);
    tcase_add_test(cases, test_names_out_of_range_are_unknown);
    return unit_end("ident", cases);
}
