// What only the Redis engine can get wrong with jobs: expiry, keys that somebody deleted, large numbers, several processes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis_jobs.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

// ---- what is stored

static void test_expiry(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct job *jobs;
    struct err e = {0};
    char command[96];
    accepted(s, 1, 1);
    accepted(s, 2, 1);
    assert_int_equal(claim(s, &a, 10, &jobs), 2);
    for (int i = 0; i < 2; i++) {
        struct change plan = {.kind = CHANGE_RECORD, .job = &jobs[i], .plan = SV("plan"), .lease_ms = LEASE_MS};
        assert_int_equal(commit(s, plan, &e), RC_OK);
        for (const char *part = "ebp"; *part; part++) {
            snprintf(command, sizeof command, "PTTL fo:{shop}:%c:%s", *part, jobs[i].id);
            assert_int_equal(number_of(server->port, command), -1);
        }
    }
    assert_int_equal(finish(s, &jobs[0], &e), RC_OK);
    assert_int_equal(commit(s, (struct change){.kind = CHANGE_FINISH, .job = &jobs[1], .state = JOB_DEAD}, &e), RC_OK);
    for (const char *part = "ebp"; *part; part++) {
        snprintf(command, sizeof command, "PTTL fo:{shop}:%c:%s", *part, jobs[0].id);
        assert_in_range(number_of(server->port, command), DAYS_MS(29), DAYS_MS(30));
        snprintf(command, sizeof command, "PTTL fo:{shop}:%c:%s", *part, jobs[1].id);
        assert_int_equal(number_of(server->port, command), -1);
    }
    const char *const emptied[] = {"due", "own", "tries", "held", "pend"};
    for (size_t i = 0; i < COUNTOF(emptied); i++) {
        snprintf(command, sizeof command, "EXISTS fo:{shop}:%s", emptied[i]);
        assert_int_equal(number_of(server->port, command), 0);
    }
    arena_free(&a);
    engine_redis.close(s);
}

// A job whose keys are gone by hand must not stop its lane.
static void test_job_deleted_by_hand(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct job *jobs;
    char id[KEY_LEN + 1], command[96];
    accepted(s, 1, 1);
    accepted(s, 1, 2);
    accepted(s, 2, 1);
    for (int lane = 1; lane <= 2; lane++) {
        name_of(id, 'a', lane, 1);
        snprintf(command, sizeof command, "DEL fo:{shop}:e:%s", id);
        assert_int_equal(number_of(server->port, command), 1);
    }
    assert_int_equal(claim(s, &a, 10, &jobs), 1);
    assert_int_equal(jobs[0].received_ms, RECEIVED_MS + 2);
    assert_int_equal(stats(s).pending, 1);
    assert_int_equal(number_of(server->port, "ZCARD fo:{shop}:due"), 1);
    arena_free(&a);
    engine_redis.close(s);
}

// A claim brings so many bytes and then stops, but always brings a job; what it left is due now.
static void test_large_bodies(void **state) {
    enum { JOBS = 4, MEBIBYTES_EACH = 5 };
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 64 << 20);
    struct err e = {0};
    struct sv large = {arena_alloc(&a, MEBIBYTES_EACH << 20), MEBIBYTES_EACH << 20};
    for (int i = 0; i < JOBS; i++) {
        char id[KEY_LEN + 1];
        enum accepted is;
        name_of(id, 'a', i, 1);
        struct sv key = sv_of(id);
        struct delivery d = {.shop = SV("shop"), .body = large, .received_ms = RECEIVED_MS, .keys = &key, .key_count = 1};
        assert_int_equal(engine_redis.accept(s, &d, (const char *[]){id}, 1, &is, &e), RC_OK);
    }
    for (int left = JOBS; left > 0; left -= 2) {
        struct claim claims[] = {{.shop = SV("shop"), .max = 10}};
        struct job *jobs;
        size_t n;
        int64_t next_due_ms;
        assert_int_equal(engine_redis.claim(s, &a, claims, 1, LEASE_MS, &jobs, &n, &next_due_ms, &e), RC_OK);
        assert_int_equal(n, 2);
        assert_int_equal(jobs[1].body.n, large.n);
        assert_true(left > 2 ? next_due_ms == 0 : next_due_ms > 0);
    }
    arena_free(&a);
    engine_redis.close(s);
}

// One shop whose keys somebody has spoiled does not keep work from the others.
static void test_shop_in_trouble(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct err e = {0};
    accepted(s, 1, 1);
    tell_ok(server->port, "SET fo:{spoiled}:due 1");
    struct claim claims[] = {{.shop = SV("spoiled"), .max = 10}, {.shop = SV("shop"), .max = 10}};
    struct job *jobs;
    size_t n;
    int64_t next_due_ms;
    assert_int_equal(engine_redis.claim(s, &a, claims, 2, LEASE_MS, &jobs, &n, &next_due_ms, &e), RC_OK);
    assert_int_equal(n, 1);
    assert_true(sv_is(jobs[0].shop, "shop"));
    assert_in_range(next_due_ms, 1, 1000);
    assert_int_equal(engine_redis.claim(s, &a, claims, 1, LEASE_MS, &jobs, &n, &next_due_ms, &e), RC_IO);
    arena_free(&a);
    engine_redis.close(s);
}

// ---- keys and their periods

#define LANE_PERIOD_MS (LANE_LIFETIME_MS / 2)

static int64_t redis_time_ms(const struct redis_server *server) {
    return SECONDS_MS(number_of(server->port, "EVAL \"return tonumber(redis.call('TIME')[1])\" 0"));
}

// age: what is kept of a kind was kept so many periods ago.
static void age(const struct redis_server *server, char kind, int64_t period_ms, int periods) {
    char command[160];
    int64_t newest = redis_time_ms(server) / period_ms;
    snprintf(command, sizeof command, "RENAME fo:{shop}:%c:%" PRId64 " fo:{shop}:%c:%" PRId64, kind, newest, kind, newest - periods);
    if (periods != 0)
        tell_ok(server->port, command);
}

// A webhook of which nothing else is left is a duplicate for at least seven days, and also where the clock went back.
static void test_age_of_keys(void **state) {
    static const struct {
        int periods;
        enum accepted then;
    } rows[] = {{0, ACCEPTED_DUPLICATE}, {1, ACCEPTED_DUPLICATE}, {-1, ACCEPTED_DUPLICATE}, {2, ACCEPTED_NEW}};
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        enum accepted is;
        struct err e = {0};
        tell_ok(server->port, "FLUSHALL");
        accepted(s, 1, 1);
        age(server, 'k', IDEMPOTENCY_LIFETIME_MS, rows[i].periods);
        char id[KEY_LEN + 1], command[96];
        name_of(id, 'a', 1, 1);
        snprintf(command, sizeof command, "DEL fo:{shop}:e:%s", id);
        assert_int_equal(number_of(server->port, command), 1);
        assert_int_equal(accept_job(s, 1, 1, &is, &e), RC_OK);
        assert_int_equal(is, rows[i].then);
    }
    engine_redis.close(s);
}

static void accept_in_lanes(struct engine *s, int i, struct sv own) {
    struct sv lane_keys[] = {own, SV("both")};
    char id[KEY_LEN + 1];
    enum accepted is;
    struct err e = {0};
    name_of(id, 'a', 0, i);
    assert_int_equal(accept_under(s, id, RECEIVED_MS + i, lane_keys, COUNTOF(lane_keys), &is, &e), RC_OK);
    assert_int_equal(is, ACCEPTED_NEW);
}

// Who comes under a lane key of the last thirty days waits behind what came under it.
static void test_age_of_lane_keys(void **state) {
    static const struct {
        int periods;
        size_t claimed;
    } rows[] = {{0, 1}, {1, 1}, {2, 1}, {-1, 1}, {3, 2}};
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct job *jobs;
        tell_ok(server->port, "FLUSHALL");
        accept_in_lanes(s, 1, SV("first"));
        age(server, 'n', LANE_PERIOD_MS, rows[i].periods);
        accept_in_lanes(s, 2, SV("second"));
        assert_int_equal(claim(s, &a, 10, &jobs), rows[i].claimed);
    }
    arena_free(&a);
    engine_redis.close(s);
}

// What is over is taken away by the first of the next period; what nothing follows goes by itself.
static void test_end_of_a_period(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    char command[96];
    accepted(s, 1, 1);
    int64_t newest = redis_time_ms(server) / LANE_PERIOD_MS;
    snprintf(command, sizeof command, "PTTL fo:{shop}:n:%" PRId64, newest);
    assert_in_range(number_of(server->port, command), LANE_LIFETIME_MS, LANE_LIFETIME_MS + 2 * LANE_PERIOD_MS);
    age(server, 'n', LANE_PERIOD_MS, 3);
    accepted(s, 2, 1);
    snprintf(command, sizeof command, "EXISTS fo:{shop}:n:%" PRId64, newest - 3);
    assert_int_equal(number_of(server->port, command), 0);
    engine_redis.close(s);
}

// What an earlier version kept is not taken for what this one keeps.
static void test_earlier_layout(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct err e = {0};
    enum accepted is;
    accepted(s, 1, 1);
    assert_int_equal(number_of(server->port, "HDEL fo:{shop}:cnt layout"), 1);
    assert_int_equal(accept_job(s, 1, 2, &is, &e), RC_IO);
    assert_non_null(strstr(e.text, "earlier version"));
    struct arena a;
    struct job *jobs;
    arena_init(&a, 1 << 20);
    assert_int_equal(claim(s, &a, 2, &jobs), 1);  // what waits there still goes out
    struct change c = {.kind = CHANGE_FINISH, .job = &jobs[0], .state = JOB_DONE};
    assert_int_equal(engine_redis.commit(s, &c, 1, &e), RC_OK);
    assert_int_equal(stats(s).pending, 0);
    arena_free(&a);
    engine_redis.close(s);
}

// ---- many at once

enum { SENDERS = 40, SENT_EACH = 25, SENT_ANEW = 20 };

struct sender {
    struct engine *engine;
    int n;
    atomic_int *wrong;
};

// The last ones are those that the neighbour sends: one of both hears of a duplicate.
static void *send_all(void *arg) {
    struct sender *w = arg;
    for (int i = 0; i < SENT_EACH; i++) {
        enum accepted is;
        struct err e = {0};
        bool anew = i < SENT_ANEW;
        if (accept_job(w->engine, anew ? w->n : w->n / 2 * 2, anew ? i : 100 + i, &is, &e) != RC_OK || (anew && is != ACCEPTED_NEW))
            atomic_fetch_add(w->wrong, 1);
        else if (is == ACCEPTED_DUPLICATE)
            atomic_fetch_add(w->wrong, 1000);
    }
    return NULL;
}

static void test_crowd(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    atomic_int wrong = 0;
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){s, i, &wrong};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    int twice = SENDERS / 2 * (SENT_EACH - SENT_ANEW);
    assert_int_equal(wrong, 1000 * twice);
    assert_int_equal(stats(s).accepted, SENDERS * SENT_EACH - twice);
    assert_int_equal(stats(s).pending, SENDERS * SENT_EACH - twice);
    assert_int_equal(number_of(server->port, "ZCARD fo:{shop}:due"), SENDERS);
    engine_redis.close(s);
}

// One script has a bound; those of several shops do not mix.
static void test_more_than_one_script(void **state) {
    enum { MANY = 150 };
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    char ids[MANY][KEY_LEN + 1];
    const char *pointers[MANY];
    struct sv keys[MANY];
    struct delivery d[MANY];
    enum accepted told[MANY];
    struct err e = {0};
    for (int i = 0; i < MANY; i++) {
        name_of(ids[i], 'a', 1, i == MANY - 1 ? 0 : i);  // the last is the first again
        pointers[i] = ids[i];
        keys[i] = sv_of(ids[i]);
        d[i] = (struct delivery){.shop = SV("shop"), .body = SV("body"), .received_ms = RECEIVED_MS, .keys = &keys[i], .key_count = 1};
    }
    assert_int_equal(engine_redis.accept(s, d, pointers, MANY, told, &e), RC_OK);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(told[i], i == MANY - 1 ? ACCEPTED_DUPLICATE : ACCEPTED_NEW);
    assert_int_equal(stats(s).pending, MANY - 1);
    engine_redis.close(s);
}

// Changes of two shops, of one more than a script has, and one of somebody whose lease is over.
static void test_many_changes(void **state) {
    enum { MANY = 150, STALE = 70 };
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 16 << 20);
    struct err e = {0};
    struct job *jobs;
    struct change changes[MANY + 1];
    for (int i = 0; i < MANY; i++)
        accepted(s, i, 1);
    assert_int_equal(claim(s, &a, MANY, &jobs), MANY);
    jobs[STALE].token[0] ^= 1;
    struct job elsewhere = jobs[0];
    elsewhere.shop = SV("another");
    for (int i = 0; i <= MANY; i++)
        changes[i] = (struct change){.kind = CHANGE_FINISH, .job = i == 10 ? &elsewhere : i < 10 ? &jobs[i] : &jobs[i - 1], .state = JOB_DONE};
    assert_int_equal(engine_redis.commit(s, changes, MANY + 1, &e), RC_OK);
    for (int i = 0; i <= MANY; i++)
        assert_int_equal(changes[i].result, i == 10 || i == STALE + 1 ? RC_STALE : RC_OK);
    assert_int_equal(stats(s).done, MANY - 1);
    assert_int_equal(stats(s).pending, 1);
    arena_free(&a);
    engine_redis.close(s);
}

// ---- several processes

enum { LANES = 50, JOBS_PER_LANE = 6, WORKERS = 4 };

struct shared {
    atomic_int holders[LANES], last[LANES], finished, wrong;
};

struct worker {
    struct engine *engine;
    struct shared *shared;
};

// No assertions here: they belong to the main thread.
static void work_on(struct worker *w, const struct job *job) {
    struct shared *all = w->shared;
    int lane = (int)strtol((char[]){job->id[14], job->id[15], '\0'}, NULL, 16), i = (int)(job->received_ms - RECEIVED_MS);
    struct err e = {0};
    if (lane >= LANES || atomic_fetch_add(&all->holders[lane], 1) != 0 || atomic_exchange(&all->last[lane], i) != i - 1)
        atomic_fetch_add(&all->wrong, 1);
    struct change record = {.kind = CHANGE_RECORD, .job = job, .plan = SV("plan"), .lease_ms = LEASE_MS};
    if (commit(w->engine, record, &e))
        atomic_fetch_add(&all->wrong, 1);
    atomic_fetch_sub(&all->holders[lane], 1);
    if (finish(w->engine, job, &e))
        atomic_fetch_add(&all->wrong, 1);
    atomic_fetch_add(&all->finished, 1);
}

static void *work(void *arg) {
    struct worker *w = arg;
    struct arena a;
    arena_init(&a, 8 << 20);
    while (atomic_load(&w->shared->finished) < LANES * JOBS_PER_LANE && atomic_load(&w->shared->wrong) == 0) {
        struct claim claims[] = {{.shop = SV("shop"), .max = 5}};
        struct job *jobs = NULL;
        size_t n = 0;
        int64_t next_due_ms;
        if (engine_redis.claim(w->engine, &a, claims, 1, LEASE_MS, &jobs, &n, &next_due_ms, NULL))
            atomic_fetch_add(&w->shared->wrong, 1);
        for (size_t i = 0; i < n; i++)
            work_on(w, &jobs[i]);
        arena_reset(&a);
    }
    arena_free(&a);
    return NULL;
}

static void test_two_stores(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *stores[] = {opened(server), opened(server)};
    struct shared shared = {0};
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 1; i <= JOBS_PER_LANE; i++)
            accepted(stores[i % 2], lane, i);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.engine = stores[i % 2], .shared = &shared};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared.wrong, 0);
    assert_int_equal(shared.finished, LANES * JOBS_PER_LANE);
    assert_int_equal(stats(stores[0]).done, LANES * JOBS_PER_LANE);
    assert_int_equal(stats(stores[1]).pending, 0);
    engine_redis.close(stores[0]);
    engine_redis.close(stores[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_REDIS(test_expiry),
        WITH_REDIS(test_job_deleted_by_hand),
        WITH_REDIS(test_large_bodies),
        WITH_REDIS(test_shop_in_trouble),
        WITH_REDIS(test_age_of_keys),
        WITH_REDIS(test_age_of_lane_keys),
        WITH_REDIS(test_end_of_a_period),
        WITH_REDIS(test_earlier_layout),
        WITH_REDIS(test_crowd),
        WITH_REDIS(test_more_than_one_script),
        WITH_REDIS(test_many_changes),
        WITH_REDIS(test_two_stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
