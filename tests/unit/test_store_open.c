/* Opening: first start, damage, other versions, and readers beside a writer. */

#include "unit_store.h"

#include <sys/stat.h>

static const char *open_message(bool read_only, apr_status_t *rv)
{
    const char *message;

    *rv = capi_store_open(&store, &message, "sqlite3", store_file, read_only, pool);
    return message;
}

static void close_store(void)
{
    capi_store_close(store);
    store = NULL;
}

static int files_in_directory(void)
{
    apr_dir_t *dir;
    apr_finfo_t info;
    int count = 0;

    apr_dir_open(&dir, store_dir, pool);
    while (apr_dir_read(&info, APR_FINFO_NAME, dir) == APR_SUCCESS) {
        count += info.name[0] != '.';
    }
    apr_dir_close(dir);
    return count;
}

static void take_one(const char *id)
{
    capi_envelope_t *envelope = envelope_at(NOW);

    add_event(envelope, CAPI_SOURCE_RULE, id, ADDRESS, "");
    take(envelope, NOW);
}

START_TEST(test_store_is_durable_and_erases_what_it_deletes)
{
    ck_assert_str_eq(sql("PRAGMA journal_mode"), "wal");
    ck_assert_int_eq(sql_int("PRAGMA synchronous"), 2);
    ck_assert_int_eq(sql_int("PRAGMA secure_delete"), 1);
    ck_assert_int_eq(sql_int("PRAGMA busy_timeout"), 250);
    ck_assert_int_eq(sql_int("SELECT value FROM meta WHERE name = 'schema_version'"),
                     CAPI_SCHEMA_VERSION);
}
END_TEST

START_TEST(test_store_opens_again_with_what_it_held)
{
    apr_status_t rv;

    take_one("o1");
    close_store();
    ck_assert_ptr_null(open_message(false, &rv));
    ck_assert_int_eq(rv, APR_SUCCESS);
    take_one("o2");
    ck_assert_int_eq(claim(NOW + SEC(10))->count, 2);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM destinations"), 1);
}
END_TEST

START_TEST(test_reader_sees_what_a_live_writer_commits_and_writes_nothing)
{
    capi_store_t *writer = store;
    capi_store_t *reader;
    apr_status_t rv;
    int files;

    take_one("o1");
    files = files_in_directory();
    ck_assert_ptr_null(open_message(true, &rv));
    ck_assert_int_eq(rv, APR_SUCCESS);
    reader = store;
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 1);
    store = writer;
    take_one("o2");
    store = reader;
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 2);
    ck_assert_int_ne(capi_store_note(store, "page", "1"), APR_SUCCESS);
    ck_assert_int_eq(files_in_directory(), files);
    close_store();
    store = writer;
}
END_TEST

START_TEST(test_reader_works_where_no_writer_runs_and_creates_no_file)
{
    apr_status_t rv;

    take_one("o1");
    close_store();
    ck_assert_int_eq(files_in_directory(), 1);
    ck_assert_ptr_null(open_message(true, &rv));
    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 1);
    ck_assert_int_eq(files_in_directory(), 1);
    ck_assert_int_ne(capi_store_note(store, "page", "1"), APR_SUCCESS);
}
END_TEST

/* Root may write anywhere: be nobody while the store is opened. */
static apr_status_t open_as_a_stranger(void)
{
    apr_status_t rv;

    chmod(store_dir, 0555);
    if (geteuid() == 0) {
        ck_assert_int_eq(seteuid(65534), 0);
    }
    open_message(true, &rv);
    if (getuid() == 0) {
        ck_assert_int_eq(seteuid(0), 0);
    }
    chmod(store_dir, 0755);
    return rv;
}

START_TEST(test_reader_that_may_write_nothing_works_with_and_without_a_writer)
{
    capi_store_t *writer = store;

    take_one("o1");
    chmod(store_file, 0444);
    chmod(apr_pstrcat(pool, store_file, "-wal", NULL), 0444);
    chmod(apr_pstrcat(pool, store_file, "-shm", NULL), 0444);
    ck_assert_int_eq(open_as_a_stranger(), APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 1);
    close_store();
    capi_store_close(writer);
    ck_assert_int_eq(open_as_a_stranger(), APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 1);
}
END_TEST

START_TEST(test_reader_of_a_missing_store_gets_a_sentence_and_makes_no_file)
{
    apr_status_t rv;
    const char *message;

    close_store();
    unlink(store_file);
    message = open_message(true, &rv);
    ck_assert_int_eq(rv, APR_ENOENT);
    ck_assert_ptr_nonnull(strstr(message, store_file));
    ck_assert_int_eq(files_in_directory(), 0);
}
END_TEST

START_TEST(test_file_name_with_an_escape_in_it_is_found_by_a_reader)
{
    const char *plain = store_file;
    apr_status_t rv;

    close_store();
    store_file = apr_pstrcat(pool, store_dir, "/odd%20name?#.db", NULL);
    rename(plain, store_file);
    ck_assert_ptr_null(open_message(true, &rv));
    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 0);
}
END_TEST

static void spoil(long at, size_t len)
{
    FILE *file = fopen(store_file, "r+b");

    fseek(file, at, SEEK_SET);
    for (size_t i = 0; i < len; i++) {
        fputc('x', file);
    }
    fclose(file);
}

static void check_set_aside(void)
{
    apr_status_t rv;
    const char *message = open_message(false, &rv);

    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_ptr_nonnull(message);
    ck_assert_ptr_nonnull(strstr(message, ".corrupt-"));
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 0);
    take_one("o2");
    ck_assert_int_eq(claim(NOW + SEC(10))->count, 1);
}

static void check_opens_quietly(void)
{
    apr_status_t rv;

    ck_assert_ptr_null(open_message(false, &rv));
    ck_assert_int_eq(rv, APR_SUCCESS);
}

START_TEST(test_file_that_is_no_database_is_set_aside_with_a_message)
{
    take_one("o1");
    close_store();
    spoil(0, 100);
    check_set_aside();
}
END_TEST

START_TEST(test_damaged_page_is_noticed_at_open)
{
    take_one("o1");
    close_store();
    spoil(2 * 4096, 20 * 4096);
    check_set_aside();
}
END_TEST

START_TEST(test_damage_found_in_use_is_set_aside_by_the_next_open)
{
    capi_envelope_t *envelope = envelope_at(NOW);

    take_one("o1");
    ck_assert(!capi_store_is_damaged(store));
    ck_assert_int_eq(capi_store_checkpoint(store), APR_SUCCESS);
    ck_assert_int_eq(capi_db_exec(store, "PRAGMA cache_size=0"), APR_SUCCESS);
    spoil(2 * 4096, 20 * 4096);
    capi_db_exec(store, "PRAGMA shrink_memory");
    add_event(envelope, CAPI_SOURCE_RULE, "o3", ADDRESS, "");
    capi_store_begin(store);
    ck_assert_int_ne(capi_store_take(store, envelope, NOW, &tally, pool), APR_SUCCESS);
    capi_store_rollback(store);
    ck_assert(capi_store_is_damaged(store));
    close_store();
    check_set_aside();
    close_store();
    check_opens_quietly();
}
END_TEST

static void remove_file(void)
{
    ck_assert_int_eq(unlink(store_file), 0);
}

static void replace_file(void)
{
    const char *other = apr_pstrcat(pool, store_dir, "/other", NULL);

    ck_assert_int_eq(apr_file_copy(store_file, other, APR_FPROT_FILE_SOURCE_PERMS, pool),
                     APR_SUCCESS);
    ck_assert_int_eq(rename(other, store_file), 0);
}

static void cut_file(void)
{
    ck_assert_int_eq(truncate(store_file, 4096), 0);
}

/* SQLite itself goes on as if nothing had happened. */
START_TEST(test_commit_into_a_file_that_is_not_there_any_more_fails)
{
    static void (*const losses[])(void) = {remove_file, replace_file, cut_file};

    take_one("o1");
    ck_assert_int_eq(capi_store_checkpoint(store), APR_SUCCESS);
    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
    ck_assert_int_eq(capi_store_note(store, "sender", "runs"), APR_SUCCESS);
    losses[_i]();
    ck_assert_int_ne(capi_store_commit(store), APR_SUCCESS);
    ck_assert(capi_store_is_damaged(store));
    ck_assert_int_eq(access(apr_pstrcat(pool, store_file, CAPI_DAMAGE_MARK, NULL), F_OK), -1);
}
END_TEST

/* A sender that was killed leaves its log and index behind. */
START_TEST(test_reader_after_a_crash_of_the_writer_sees_what_was_committed)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    const char *original = store_file;
    capi_store_t *writer = store;
    apr_status_t rv;

    take_one("o1");
    store_file = apr_pstrcat(pool, store_dir, "/copy.db", NULL);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(apr_file_copy(apr_pstrcat(pool, original, ends[i], NULL),
                                       apr_pstrcat(pool, store_file, ends[i], NULL),
                                       APR_FPROT_FILE_SOURCE_PERMS, pool),
                         APR_SUCCESS);
    }
    ck_assert_ptr_null(open_message(true, &rv));
    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 1);
    close_store();
    unlink(apr_pstrcat(pool, store_file, "-shm", NULL));
    open_message(true, &rv);
    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 1);
    close_store();
    capi_store_close(writer);
}
END_TEST

START_TEST(test_damaged_store_is_left_alone_by_a_reader)
{
    apr_status_t rv;
    const char *message;

    close_store();
    spoil(0, 100);
    message = open_message(true, &rv);
    ck_assert_int_ne(rv, APR_SUCCESS);
    ck_assert_ptr_nonnull(message);
    ck_assert_int_eq(files_in_directory(), 1);
}
END_TEST

START_TEST(test_store_of_a_newer_version_is_refused_and_kept)
{
    static const bool read_only[] = {false, true};
    apr_status_t rv;

    ck_assert_int_eq(capi_db_exec(store, "UPDATE meta SET value = '99'"), APR_SUCCESS);
    close_store();
    for (int i = 0; i < 2; i++) {
        const char *message = open_message(read_only[i], &rv);

        ck_assert_int_ne(rv, APR_SUCCESS);
        ck_assert_ptr_null(store);
        ck_assert_ptr_nonnull(strstr(message, "newer version"));
    }
    ck_assert_int_eq(files_in_directory(), 1);
}
END_TEST

/* The tables of version 1: what later steps added is taken away again. */
static void make_version_1(void)
{
    static const char *const undo[] = {"DROP TABLE asks",
                                       "ALTER TABLE destinations DROP COLUMN paused_at",
                                       "ALTER TABLE destinations DROP COLUMN paused_by",
                                       "DELETE FROM meta WHERE name = 'page_secret'",
                                       "UPDATE meta SET value = '1' WHERE name = 'schema_version'"};

    for (size_t i = 0; i < sizeof(undo) / sizeof(*undo); i++) {
        ck_assert_msg(capi_db_exec(store, undo[i]) == APR_SUCCESS, "%s", capi_store_error(store));
    }
}

START_TEST(test_store_of_version_1_is_converted_with_what_it_holds)
{
    apr_status_t rv;

    take_one("o1");
    make_version_1();
    close_store();
    ck_assert_ptr_nonnull(strstr(open_message(true, &rv), "older version"));
    ck_assert_int_eq(rv, APR_EMISMATCH);
    ck_assert_ptr_null(open_message(false, &rv));
    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT value FROM meta WHERE name = 'schema_version'"),
                     CAPI_SCHEMA_VERSION);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM asks"), 0);
    ck_assert(!destination_no(0)->is_paused);
    ck_assert_int_eq(claim(NOW + SEC(10))->count, 1);
}
END_TEST

START_TEST(test_unknown_driver_and_unusable_path_say_what_to_do)
{
    apr_status_t rv;
    const char *message;

    close_store();
    rv = capi_store_open(&store, &message, "sqlite99", store_file, false, pool);
    ck_assert_int_ne(rv, APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(message, "sqlite99"));
    rv = capi_store_open(&store, &message, "sqlite3", "/nowhere/at/all.db", false, pool);
    ck_assert_int_ne(rv, APR_SUCCESS);
    ck_assert_ptr_nonnull(strstr(message, "cannot be opened"));
}
END_TEST

START_TEST(test_connection_opened_anew_goes_on_where_it_was)
{
    capi_batch_t *batch;

    take_one("o1");
    batch = claim(NOW + SEC(11));
    ck_assert_int_eq(batch->count, 1);
    take_one("o2");
    ck_assert_int_eq(capi_store_begin(store), APR_SUCCESS);
    ck_assert_int_eq(capi_store_reconnect(store), APR_SUCCESS);
    take_one("o3");
    /* What is in flight still is, and nothing is claimed twice. */
    ck_assert_int_eq(claim(NOW + SEC(11))->count, 2);
    deliver(batch, NOW);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events WHERE state = 10"), 1);
}
END_TEST

START_TEST(test_transaction_left_open_is_rolled_back_by_close)
{
    capi_envelope_t *envelope = envelope_at(NOW);
    apr_status_t rv;

    add_event(envelope, CAPI_SOURCE_RULE, "o1", ADDRESS, "");
    capi_store_begin(store);
    ck_assert_int_eq(capi_store_take(store, envelope, NOW, &tally, pool), APR_SUCCESS);
    close_store();
    open_message(false, &rv);
    ck_assert_int_eq(rv, APR_SUCCESS);
    ck_assert_int_eq(sql_int("SELECT COUNT(*) FROM events"), 0);
}
END_TEST

int main(void)
{
    TCase *cases = unit_store_begin("open");

    tcase_add_test(cases, test_store_is_durable_and_erases_what_it_deletes);
    tcase_add_test(cases, test_store_opens_again_with_what_it_held);
    tcase_add_test(cases, test_reader_sees_what_a_live_writer_commits_and_writes_nothing);
    tcase_add_test(cases, test_reader_works_where_no_writer_runs_and_creates_no_file);
    tcase_add_test(cases, test_reader_that_may_write_nothing_works_with_and_without_a_writer);
    tcase_add_test(cases, test_reader_of_a_missing_store_gets_a_sentence_and_makes_no_file);
    tcase_add_test(cases, test_file_name_with_an_escape_in_it_is_found_by_a_reader);
    tcase_add_test(cases, test_file_that_is_no_database_is_set_aside_with_a_message);
    tcase_add_test(cases, test_damaged_page_is_noticed_at_open);
    tcase_add_test(cases, test_damage_found_in_use_is_set_aside_by_the_next_open);
    tcase_add_loop_test(cases, test_commit_into_a_file_that_is_not_there_any_more_fails, 0, 3);
    tcase_add_test(cases, test_reader_after_a_crash_of_the_writer_sees_what_was_committed);
    tcase_add_test(cases, test_damaged_store_is_left_alone_by_a_reader);
    tcase_add_test(cases, test_store_of_a_newer_version_is_refused_and_kept);
    tcase_add_test(cases, test_store_of_version_1_is_converted_with_what_it_holds);
    tcase_add_test(cases, test_unknown_driver_and_unusable_path_say_what_to_do);
    tcase_add_test(cases, test_connection_opened_anew_goes_on_where_it_was);
    tcase_add_test(cases, test_transaction_left_open_is_rolled_back_by_close);
    return unit_end("store_open", cases);
}
