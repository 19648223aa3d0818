// Lanes in back-off are woken in slices, while other processes work on.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis_jobs.h"

#include <pthread.h>

// Many lanes are woken in slices; leased lanes lie among them and keep their time.
static void leased_lanes_keep_their_time(void **state) {
    enum { LANES = 1400 };
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 64 << 20);
    struct err e = {0};
    struct job *jobs;
    size_t n;
    for (int i = 0; i < LANES; i++)
        accepted(s, i, 1);
    int kept = 0, given_back = 0;
    while ((n = claim(s, &a, 100, &jobs)) > 0) {
        for (size_t i = 0; i < n; i++) {
            if (i % 2 == 0) {  // more than one slice, between the others
                kept++;
                continue;
            }
            given_back++;
            struct change retry = {.kind = CHANGE_RETRY, .job = &jobs[i], .delay_ms = i % 4 == 1 ? 30000 : 90000};
            assert_int_equal(commit(s, retry, &e), RC_OK);
        }
    }
    assert_int_equal(kept + given_back, LANES);
    assert_int_equal(engine_redis.wake(s, SV("shop"), &e), RC_OK);
    while ((n = claim(s, &a, 1000, &jobs)) > 0)
        given_back -= (int)n;
    assert_int_equal(given_back, 0);
    arena_free(&a);
    engine_redis.close(s);
}

// finish_all: what another process does meanwhile.
struct finisher {
    struct redis_server *server;
    struct job *jobs;
    size_t n;
};

static void *finish_all(void *given) {
    struct finisher *f = given;
    struct engine *s = opened(f->server);
    struct err e = {0};
    for (size_t i = 0; i < f->n; i += 20) {
        struct change changes[20] = {0};
        size_t n = f->n - i < 20 ? f->n - i : 20;
        for (size_t k = 0; k < n; k++)
            changes[k] = (struct change){.kind = CHANGE_FINISH, .job = &f->jobs[i + k], .state = JOB_DONE};
        if (engine_redis.commit(s, changes, n, &e) != RC_OK)
            abort();
    }
    engine_redis.close(s);
    return NULL;
}

// Leases end while the slices are looked through: none of the other lanes is passed over for that.
static void leases_that_end_hide_nobody(void **state) {
    enum { LEASED = 2000, LANES = 6000 };
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 256 << 20);
    struct err e = {0};
    struct finisher f = {.server = server, .jobs = ARENA_ARRAY(&a, struct job, LEASED)};
    struct job *jobs;
    size_t n, given_back = 0;
    for (int i = 0; i < LANES; i++)
        accepted(s, i, 1);
    while ((n = claim(s, &a, 100, &jobs)) > 0)
        for (size_t i = 0; i < n; i++) {
            struct change retry = {.kind = CHANGE_RETRY, .job = &jobs[i], .delay_ms = 3600000};
            if (f.n < LEASED)
                f.jobs[f.n++] = jobs[i];
            else if (commit(s, retry, &e) == RC_OK)
                given_back++;
        }
    assert_int_equal(f.n + given_back, LANES);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, finish_all, &f), 0);
    assert_int_equal(engine_redis.wake(s, SV("shop"), &e), RC_OK);
    pthread_join(thread, NULL);
    while ((n = claim(s, &a, 1000, &jobs)) > 0)
        given_back -= n;
    assert_int_equal(given_back, 0);
    arena_free(&a);
    engine_redis.close(s);
}

// However many are due at one moment, more slices follow until the last of them is woken.
static void many_of_one_moment_are_woken(void **state) {
    enum { LANES = 1600 };
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 64 << 20);
    struct err e = {0};
    struct job *jobs;
    size_t n, woken = 0;
    for (int i = 0; i < LANES; i++)
        accepted(s, i, 1);
    const char at_once[] = "EVAL \"local all = redis.call('ZRANGE', 'fo:{shop}:due', 0, -1); for _, lane in ipairs(all) do"
                           " redis.call('ZADD', 'fo:{shop}:due', 4000000000000, lane) end; return #all\" 0";
    assert_int_equal(number_of(server->port, at_once), LANES);
    assert_int_equal(claim(s, &a, 100, &jobs), 0);
    assert_int_equal(engine_redis.wake(s, SV("shop"), &e), RC_OK);
    while ((n = claim(s, &a, 1000, &jobs)) > 0)
        woken += n;
    assert_int_equal(woken, LANES);
    arena_free(&a);
    engine_redis.close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_REDIS(leased_lanes_keep_their_time),
        WITH_REDIS(leases_that_end_hide_nobody),
        WITH_REDIS(many_of_one_moment_are_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
