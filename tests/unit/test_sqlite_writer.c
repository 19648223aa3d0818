// test_sqlite_writer.c: whose turn it is to work on an SQLite file.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/store/sqlite/sqlite_writer.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 8, EACH = 200, FAILS_EACH = 20 };
enum { PUT, COUNT_ALL };
static const char *const queries[] = {[PUT] = "INSERT INTO t (n) VALUES (?1)", [COUNT_ALL] = "SELECT count(*) FROM t"};

// A file, and what its verbs noticed. No lock: only whose turn it is touches it, which TSan sees.
struct world {
    char folder[32], file[64];
    struct writer *writer;
    pthread_t other;       // who ran what its caller did not
    bool has_other;
    int64_t by_caller, by_other;
    sem_t begun, go_on;
};

struct put {
    struct world *world;
    pthread_t caller;
    int64_t n;
};

static void verb_put(struct db *db, int64_t now, void *args) {
    const struct put *p = args;
    struct world *w = p->world;
    (void)now;
    db_run(db, PUT, VALUES(number(p->n)));
    if (!db_ok(db))
        return;
    if (pthread_equal(pthread_self(), p->caller)) {
        w->by_caller++;
        return;
    }
    assert_true(!w->has_other || pthread_equal(w->other, pthread_self()));  // nobody runs what another caller posted
    w->other = pthread_self();
    w->has_other = true;
    w->by_other++;
}

static void verb_count(struct db *db, int64_t now, void *args) {
    (void)now;
    struct query *q = db_query(db, COUNT_ALL, NULL, 0);
    *(int64_t *)args = db_step(q) ? db_number(q, 0) : -1;
}

static void verb_nothing(struct db *db, int64_t now, void *args) {
    (void)db, (void)now, (void)args;
}

// verb_wait keeps the turn until it is told to go on.
static void verb_wait(struct db *db, int64_t now, void *args) {
    struct world *w = args;
    (void)db, (void)now;
    sem_post(&w->begun);
    sem_wait(&w->go_on);
}

static enum rc put(struct world *w, int64_t n) {
    struct put p = {w, pthread_self(), n};
    return writer_perform(w->writer, verb_put, &p, NULL);
}

static void open_writer(struct world *w) {
    struct err e = {0};
    const struct writer_config config = {
        .db = {.path = w->file, .schema_version = 1, .schema = "CREATE TABLE t (n INTEGER PRIMARY KEY)", .queries = queries, .query_count = COUNTOF(queries)},
        .begin = verb_nothing,
    };
    assert_int_equal(writer_open(&config, &w->writer, &e), RC_OK);
}

static int begin(void **state) {
    struct world *w = calloc(1, sizeof *w);
    snprintf(w->folder, sizeof w->folder, "/tmp/writer-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->file, sizeof w->file, "%s/t.db", w->folder);
    sem_init(&w->begun, 0, 0);
    sem_init(&w->go_on, 0, 0);
    open_writer(w);
    *state = w;
    return 0;
}

static int end(void **state) {
    struct world *w = *state;
    writer_close(w->writer);
    sem_destroy(&w->begun);
    sem_destroy(&w->go_on);
    unlink(w->file);
    rmdir(w->folder);
    free(w);
    return 0;
}

static int64_t count(struct world *w) {
    int64_t n = 0;
    assert_int_equal(writer_perform(w->writer, verb_count, &n, NULL), RC_OK);
    return n;
}

static void who_comes_alone_does_it_himself(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(put(w, i), RC_OK);
    assert_int_equal(w->by_caller, 10);
    assert_int_equal(w->by_other, 0);
    writer_close(w->writer);  // it is all there
    open_writer(w);
    assert_int_equal(count(w), 10);
}

static void *hold(void *ctx) {
    struct world *w = ctx;
    assert_int_equal(writer_perform(w->writer, verb_wait, w, NULL), RC_OK);
    return NULL;
}

static void *put_one(void *ctx) {
    assert_int_equal(put(ctx, 1), RC_OK);
    return NULL;
}

// However late the second one comes: while another caller has the turn it is not his, and when that is over it may be.
static void who_comes_meanwhile_waits(void **state) {
    struct world *w = *state;
    pthread_t first, second;
    assert_int_equal(pthread_create(&first, NULL, hold, w), 0);
    sem_wait(&w->begun);
    assert_int_equal(pthread_create(&second, NULL, put_one, w), 0);
    assert_int_equal(w->by_caller + w->by_other, 0);
    sem_post(&w->go_on);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    assert_int_equal(w->by_caller + w->by_other, 1);
    assert_int_equal(count(w), 1);
}

struct crowd {
    struct world *world;
    int64_t first;
    int failed;
};

static void *put_many(void *ctx) {
    struct crowd *c = ctx;
    for (int64_t i = 0; i < EACH; i++)
        c->failed += put(c->world, c->first + i) != RC_OK;
    for (int64_t i = 0; i < FAILS_EACH; i++)
        c->failed += put(c->world, c->first + i) != RC_OK;  // is there
    return NULL;
}

static void a_crowd_is_served_one_at_a_time(void **state) {
    struct world *w = *state;
    struct crowd crowd[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){.world = w, .first = i * EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, &crowd[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowd[i].failed, FAILS_EACH);  // its own, and nobody else's
    }
    assert_int_equal(count(w), THREADS * EACH);
    assert_true(w->by_other > 0);  // in groups, that is
}

static void several_at_once_have_a_result_each(void **state) {
    struct world *w = *state;
    struct put puts[] = {{w, pthread_self(), 1}, {w, pthread_self(), 1}, {w, pthread_self(), 2}};
    struct writer_call calls[COUNTOF(puts)];
    for (size_t i = 0; i < COUNTOF(puts); i++)
        calls[i] = (struct writer_call){.verb = verb_put, .args = &puts[i]};
    writer_perform_all(w->writer, calls, COUNTOF(puts));
    assert_int_equal(calls[0].rc, RC_OK);
    assert_int_not_equal(calls[1].rc, RC_OK);
    assert_int_equal(calls[2].rc, RC_OK);
    writer_perform_all(w->writer, calls, 0);
    assert_int_equal(count(w), 2);
}

#define ON_A_FILE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_A_FILE(who_comes_alone_does_it_himself),
        ON_A_FILE(who_comes_meanwhile_waits),
        ON_A_FILE(a_crowd_is_served_one_at_a_time),
        ON_A_FILE(several_at_once_have_a_result_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
