// test_store_sqlite.c: what only the SQLite engine promises: one process, one file, one key beside it, and honest disks.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static int begin(void **state) {
    *state = env_make(NULL);
    return 0;
}

static int end(void **state) {
    env_free(*state);
    return 0;
}

static enum rc try_open(const char *url, const char *key, char *ret_text, size_t size) {
    struct err e = {0};
    struct store *s = NULL;
    struct store_config config = {.url = sv_of(url), .seal_keys = sv_of(key)};
    enum rc rc = store_open(&config, &s, &e);
    store_close(s);
    snprintf(ret_text, size, "%s", e.text);
    return rc;
}

// ---- one process

static void a_second_process_is_refused(void **state) {
    struct env *v = *state;
    int go[2];
    char text[480] = "";
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();  // before the file is open here: a child would inherit what SQLite knows of its locks
    if (pid == 0) {
        bool ready = read(go[0], text, 1) == 1;
        enum rc rc = try_open(v->url, "01234567890123456789012345678901", text, sizeof text);
        _exit(ready && rc == RC_UNAVAILABLE && strstr(text, file_of(v)) && strstr(text, "another process") ? 0 : 1);
    }
    env_open(v);
    assert_int_equal(write(go[1], "g", 1), 1);
    int status = -1;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(go[0]);
    close(go[1]);
    accept_in(v, "1", NULL);  // and the first one goes on
}

static void leases_end_with_their_process(void **state) {
    struct env *v = *state;
    env_open(v);
    accept_in(v, "1", "lane");
    accept_in(v, "2", "lane2");
    struct job *old = claim_body(v, "1");
    assert_int_equal(delay(v, claim_body(v, "2"), CHANGE_RETRY, LONG_MS), RC_OK);
    env_close(v);
    env_open(v);
    assert_int_equal(delay(v, old, CHANGE_RETRY, 0), RC_STALE);
    struct job *job = claim_now(v, LONG_MS);
    assert_non_null(job);
    assert_string_equal(job->id, old->id);
    assert_int_equal(job->claims, 2);     // a crash loop can be seen
    assert_null(claim_now(v, LONG_MS));  // a back-off stays
}

struct acknowledger {
    struct env *env;
    int out, number;
};

static void *acknowledge(void *arg) {
    struct acknowledger *a = arg;
    for (int i = 0;; i++) {
        char key[32];
        snprintf(key, sizeof key, "%d:%d", a->number, i);
        if (accept_in(a->env, key, "lane") != ACCEPTED_NEW || write(a->out, "", 1) != 1)
            return NULL;
    }
}

static void what_was_acknowledged_survives_a_kill(void **state) {
    struct env *v = *state;
    int acks[2];
    char got[256];
    assert_int_equal(pipe(acks), 0);
    pid_t pid = fork();
    if (pid == 0) {
        env_open(v);
        for (int i = 0; i < 4; i++) {
            static struct acknowledger a[4];
            pthread_t thread;
            a[i] = (struct acknowledger){v, acks[1], i};
            pthread_create(&thread, NULL, acknowledge, &a[i]);
        }
        for (;;)
            pause();
    }
    close(acks[1]);
    int64_t count = 0;
    while (count < 500) {
        ssize_t n = read(acks[0], got, sizeof got);
        assert_true(n > 0);
        count += n;
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (ssize_t n; (n = read(acks[0], got, sizeof got)) > 0;)
        count += n;
    close(acks[0]);
    env_open(v);
    assert_true(stats_of(v, v->shop).accepted >= count);
    assert_int_equal(accept_in(v, "0:0", "lane"), ACCEPTED_DUPLICATE);
    claim_soon(v, LONG_MS);
}

// ---- trouble

static void *post_bad_ones(void *arg) {
    struct env *v = arg;
    intptr_t refused = 0;
    for (int i = 0; i < 200; i++) {
        struct sv key = SV("bad");
        struct delivery d = hook(v, SV("{}"));
        enum accepted got;
        d.keys = &key;
        d.key_count = 1;
        d.topic = SV_NONE;  // the last column checked: everything before it is written by then
        refused += store_accept(v->store, &d, 1, &got, NULL) == RC_IO;
    }
    return (void *)refused;
}

static void a_bad_request_is_undone_alone(void **state) {
    struct env *v = *state;
    pthread_t thread;
    void *refused = NULL;
    char key[16];
    env_open(v);
    assert_int_equal(pthread_create(&thread, NULL, post_bad_ones, v), 0);
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "%d", i);
        assert_int_equal(accept_in(v, key, NULL), ACCEPTED_NEW);
    }
    pthread_join(thread, &refused);
    assert_int_equal((intptr_t)refused, 200);
    assert_int_equal(stats_of(v, v->shop).accepted, 200);
    assert_int_equal(accept_in(v, "bad", NULL), ACCEPTED_NEW);  // its keys left no trace
}

static void after_a_failed_write_nothing_is_promised(void **state) {
    struct env *v = *state;
    struct err e = {0};
    struct rlimit before, tight = {.rlim_cur = 200000};
    env_open(v);
    accept_in(v, "kept", NULL);
    getrlimit(RLIMIT_FSIZE, &before);
    tight.rlim_max = before.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &tight);
    enum rc rc = RC_OK;
    for (int i = 0; i < 500 && rc == RC_OK; i++)
        rc = store_check(v->store, &e);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_int_equal(rc, RC_IO);
    assert_non_null(strstr(e.text, file_of(v)));
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_check(v->store, &e), RC_IO);  // although the disk would take it again
    env_close(v);
    env_open(v);
    claim_body(v, "kept");
    MUST(store_check(v->store, &e));
}

static void a_full_disk_is_said_and_survived(void **state) {
    struct env *v = *state;
    struct err e = {0};
    struct db *db = NULL;
    static const char *const queries[] = {"PRAGMA max_page_count = 12", "PRAGMA max_page_count = 100000", "INSERT INTO t VALUES(randomblob(3000))",
                                          "SELECT count(*) FROM t"};
    struct db_config config = {.path = file_of(v), .schema_version = 1, .schema = "CREATE TABLE t(b)", .queries = queries, .query_count = 4};
    MUST(db_open(&config, &db, &e));
    db_step(db_query(db, 0, NULL, 0));
    int written = 0;
    enum rc rc = RC_OK;
    while (written < 100) {
        db_begin(db);
        db_run(db, 2, NULL, 0);
        db_commit(db);
        rc = db_take_error(db, &e);
        db_rollback(db);
        if (rc != RC_OK)
            break;
        written++;
    }
    assert_int_equal(rc, RC_UNAVAILABLE);
    assert_non_null(strstr(e.text, "disk is full"));
    assert_false(db_broken(db) || db_in_transaction(db));
    db_step(db_query(db, 1, NULL, 0));  // there is room again
    db_run(db, 2, NULL, 0);
    struct query *q = db_query(db, 3, NULL, 0);
    assert_true(db_step(q));
    assert_int_equal(db_number(q, 0), written + 1);
    db_rest(db);
    MUST(db_take_error(db, &e));
    db_close(db);
}

static void all_old_lines_go(void **state) {
    struct env *v = *state;
    struct err e = {0};
    look(v, "INSERT INTO counter VALUES('gone', 600, 0, 600, 0, 0)");  // it had webhooks once
    look(v, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) INSERT INTO ledger SELECT 'gone', 1, i, 'x' FROM n");
    env_open(v);
    for (int i = 0; i < 2; i++)  // the first one ends where the machine stands still for half a second
        MUST(store_purge(v->store, NULL, 0, &e));
    env_close(v);
    assert_int_equal(look(v, "SELECT count(*) FROM ledger"), 0);
}

static void strange_files_are_refused(void **state) {
    struct env *v = *state;
    char text[480], url[200];
    static const char key[] = "01234567890123456789012345678901";
    look(v, "PRAGMA user_version = 99");
    assert_int_equal(try_open(v->url, key, text, sizeof text), RC_INVALID);
    assert_non_null(strstr(text, "newer version"));
    FILE *f = fopen(file_of(v), "w");
    for (int i = 0; i < 1000; i++)
        fputs("not a database ", f);
    fclose(f);
    assert_int_equal(try_open(v->url, key, text, sizeof text), RC_IO);
    snprintf(url, sizeof url, "sqlite:%s/no/such/place.db", v->dir);
    assert_int_equal(try_open(url, key, text, sizeof text), RC_IO);
    assert_non_null(strstr(text, "no/such/place.db"));
    assert_int_equal(try_open("sqlite:", NULL, text, sizeof text), RC_INVALID);
    assert_int_equal(try_open("sqlite:", key, text, sizeof text), RC_INVALID);
    assert_int_equal(try_open("mysql://x", key, text, sizeof text), RC_INVALID);
    assert_int_equal(try_open("redis://127.0.0.1:1/0", NULL, text, sizeof text), RC_INVALID);
    assert_non_null(strstr(text, "seal_key"));
    assert_int_equal(try_open(v->url, "short", text, sizeof text), RC_INVALID);
}

// ---- what is on the disk

static void the_key_is_made_once_and_asked_for(void **state) {
    struct env *v = *state;
    char text[480], key_file[160], first[64] = "", again[64] = "";
    struct stat st;
    snprintf(key_file, sizeof key_file, "%s.key", file_of(v));
    char *const reads[] = {first, again};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(try_open(v->url, NULL, text, sizeof text), RC_OK);
        FILE *f = fopen(key_file, "r");
        assert_non_null(f);
        assert_int_equal(fread(reads[i], 1, 63, f), 45);
        fclose(f);
    }
    assert_string_equal(first, again);
    assert_int_equal(stat(key_file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(file_of(v), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(truncate(key_file, 20), 0);
    assert_int_equal(try_open(v->url, NULL, text, sizeof text), RC_INVALID);
    assert_int_equal(unlink(key_file), 0);
    assert_int_equal(try_open(v->url, NULL, text, sizeof text), RC_INVALID);
    assert_non_null(strstr(text, "test.db.key"));
    assert_int_equal(access(key_file, F_OK), -1);
}

static bool file_has(const char *path, const char *text) {
    static char content[1 << 20];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(content, 1, sizeof content, f) : 0;
    if (f)
        fclose(f);
    return memmem(content, n, text, strlen(text)) != NULL;
}

static void nothing_personal_is_on_the_disk(void **state) {
    struct env *v = *state;
    char wal[160];
    env_open(v);
    accept_in(v, "ava@klaviyo-demo.com", "ava@klaviyo-demo.com");
    assert_int_equal(record_plan(v, claim_soon(v, LONG_MS), "plan for ava@klaviyo-demo.com", LONG_MS), RC_OK);
    put_state(v, v->shop, "ava@klaviyo-demo.com", "ava@klaviyo-demo.com", LONG_MS);
    snprintf(wal, sizeof wal, "%s-wal", file_of(v));
    assert_true(file_has(wal, v->shop));
    assert_false(file_has(wal, "klaviyo-demo"));
    env_close(v);
    assert_true(file_has(file_of(v), v->shop));
    assert_false(file_has(file_of(v), "klaviyo-demo"));
}

static void a_moved_record_does_not_open(void **state) {
    struct env *v = *state;
    env_open(v);
    accept_in(v, "1", NULL);
    accept_in(v, "2", NULL);
    env_close(v);
    look(v, "UPDATE body SET bytes = (SELECT bytes FROM body WHERE job = 1)");
    env_open(v);
    int unreadable = 0;
    for (int i = 0; i < 2; i++) {  // two lanes: which comes first does not matter
        struct job *job = claim_soon(v, LONG_MS);
        unreadable += sv_present(job->unreadable);
        assert_int_equal(!job->body.p, sv_present(job->unreadable));
    }
    assert_int_equal(unreadable, 1);
}

static void a_purge_goes_on_to_the_end_and_spares_the_dead(void **state) {
    struct env *v = *state;
    struct err e = {0};
    char key[16];
    env_open(v);
    for (int i = 0; i < 1700; i++) {
        struct sv name = sv_of(key);
        snprintf(key, sizeof key, "%d", i);
        name.n = strlen(key);
        struct delivery d = hook(v, SV("{}"));
        d.keys = &name;
        d.key_count = 1;
        d.state = i < 50 ? JOB_DEAD : i < 1690 ? JOB_IGNORED : JOB_PENDING;
        take(v, d);
    }
    env_close(v);
    v->retention_ms = 0;
    env_open(v);
    for (int i = 0; i < 2; i++)
        MUST(store_purge(v->store, NULL, 0, &e));
    assert_int_equal(stats_of(v, v->shop).accepted, 1700);
    env_close(v);
    assert_int_equal(look(v, "SELECT count(*) FROM job"), 60);
    assert_int_equal(look(v, "SELECT count(*) FROM body"), 60);
    assert_int_equal(look(v, "SELECT count(*) FROM job WHERE state = 2"), 50);
}

static void expired_keys_go_in_slices(void **state) {
    struct env *v = *state;
    struct err e = {0};
    look(v, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
            " INSERT INTO keyed SELECT randomblob(16), i, iif(i % 10, 1, 9223372036854775807) FROM n");
    env_open(v);
    for (int i = 0; i < 2; i++)
        MUST(store_purge(v->store, NULL, 0, &e));
    env_close(v);
    assert_in_range(look(v, "SELECT count(*) FROM keyed WHERE expires_ms = 1"), 850, 950);  // of the last 1000
    env_open(v);
    for (int i = 0; i < 2; i++)
        MUST(store_purge(v->store, NULL, 0, &e));
    env_close(v);
    assert_int_equal(look(v, "SELECT count(*) FROM keyed WHERE expires_ms = 1"), 0);
    assert_int_equal(look(v, "SELECT count(*) FROM keyed"), 500);
}

// However much waits, every statement finds its rows through an index; only the start looks at all lanes, and at what is late.
static void every_statement_searches_an_index(void **state) {
    struct env *v = *state;
    struct err e = {0};
    struct db *db = NULL;
    const char *explained[SQL_COUNT_];
    for (size_t i = 0; i < SQL_COUNT_; i++) {
        assert_non_null(sqlite_queries[i]);
        explained[i] = arena_fmt(&v->arena, "EXPLAIN QUERY PLAN %s", sqlite_queries[i]).p;
    }
    struct db_config config = {.path = file_of(v), .schema_version = SCHEMA_VERSION, .schema = sqlite_schema, .queries = explained, .query_count = SQL_COUNT_};
    MUST(db_open(&config, &db, &e));
    for (size_t i = 0; i < SQL_COUNT_; i++) {
        struct query *q = db_query(db, i, NULL, 0);
        while (db_step(q)) {
            const char *step = arena_cstr(&v->arena, db_bytes(q, 3));
            if (i == PURGE_LINES && strstr(step, "SCAN counter"))
                continue;  // one row for each shop
            if (i == PURGE_KEYS && strstr(step, "(key>?)"))
                fail_msg("%s: %s: it looks at all keys there are", sqlite_queries[i], step);
            bool scans = strstr(step, "SCAN") || strstr(step, "TEMP B-TREE");
            bool small = strstr(step, "SCAN (subquery") || strstr(step, "SCAN moved VIRTUAL TABLE");  // of 32 rows, of the numbers in a text
            if (scans && !small && i != END_LEASES && i != ALL_LATE)
                fail_msg("%s: %s", sqlite_queries[i], step);
        }
    }
    MUST(db_take_error(db, &e));
    db_close(db);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_second_process_is_refused),
        CASE(leases_end_with_their_process),
        CASE(what_was_acknowledged_survives_a_kill),
        CASE(a_bad_request_is_undone_alone),
        CASE(after_a_failed_write_nothing_is_promised),
        CASE(a_full_disk_is_said_and_survived),
        CASE(all_old_lines_go),
        CASE(strange_files_are_refused),
        CASE(the_key_is_made_once_and_asked_for),
        CASE(nothing_personal_is_on_the_disk),
        CASE(a_moved_record_does_not_open),
        CASE(a_purge_goes_on_to_the_end_and_spares_the_dead),
        CASE(expired_keys_go_in_slices),
        CASE(every_statement_searches_an_index),
    };
    return cmocka_run_group_tests_name("store_sqlite", tests, NULL, NULL);
}
