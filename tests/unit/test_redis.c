// What only the Redis engine can get wrong with the server: its address, its settings, and its ways of being away.
// What every engine has to do is in test_store.c and test_store_lanes.c.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis_jobs.h"
#include "server/store/redis_url.h"

// ---- the URL

static void test_url(void **state) {
    (void)state;
    static const struct {
        const char *url, *host;
        int port;
        const char *user, *password;
        int64_t db;
    } good[] = {
        {"redis://localhost", "localhost", 6379, NULL, NULL, 0},
        {"redis://localhost/", "localhost", 6379, NULL, NULL, 0},
        {"redis://10.0.0.1:6380/3", "10.0.0.1", 6380, NULL, NULL, 3},
        {"redis://:secret@h", "h", 6379, NULL, "secret", 0},
        {"redis://app:p%40s%3A%2f@h:1/2", "h", 1, "app", "p@s:/", 2},
        {"redis://app:p@ss@h", "h", 6379, "app", "p@ss", 0},
        {"redis://[::1]:7000/1", "::1", 7000, NULL, NULL, 1},
        {"redis://[fe80::1]", "fe80::1", 6379, NULL, NULL, 0},
    };
    static const char *const bad[] = {
        "", "redis:", "redis://", "redis:///0", "redis://h:0", "redis://h:65536", "redis://h:x", "redis://h/x", "redis://h/-1",
        "redis://h/99999", "redis://u@h", "redis://u:%4@h", "redis://u:%zz@h", "redis://u:%00@h", "redis://[::1", "redis://[::1]x",
        "redis://h%00x", "http://h", "rediss://h", "redis+sentinel://h/m",
    };
    struct arena a;
    arena_init(&a, 1 << 16);
    struct redis_address at;
    for (size_t i = 0; i < COUNTOF(good); i++) {
        assert_int_equal(redis_url_parse(&a, sv_of(good[i].url), &at, NULL), RC_OK);
        assert_string_equal(at.host, good[i].host);
        assert_int_equal(at.port, good[i].port);
        assert_int_equal(at.db, good[i].db);
        assert_true(good[i].user ? sv_is(at.user, good[i].user) : !at.user.p);
        assert_true(good[i].password ? sv_is(at.password, good[i].password) : !at.password.p);
    }
    for (size_t i = 0; i < COUNTOF(bad); i++)
        if (redis_url_parse(&a, sv_of(bad[i]), &at, NULL) != RC_INVALID)
            fail_msg("taken for a URL: %s", bad[i]);
    struct err e = {0};
    assert_int_equal(redis_url_parse(&a, SV("redis://app:hunter2%@h"), &at, &e), RC_INVALID);
    assert_null(strstr(e.text, "hunter2"));
    arena_free(&a);
}

// ---- opening

static void test_refusals(void **state) {
    static const struct {
        const char *wrong, *right, *text;
        bool relaxed_too;
    } rows[] = {
        {"CONFIG SET appendonly no", "CONFIG SET appendonly yes", "CONFIG SET appendonly yes", false},
        {"CONFIG SET appendfsync everysec", "CONFIG SET appendfsync always", "CONFIG SET appendfsync always", false},
        {"CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory-policy noeviction", true},
        {"REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "role master", true},
    };
    struct redis_server *server = server_of(state);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct engine *s = NULL;
        struct err e = {0};
        tell_ok(server->port, rows[i].wrong);
        assert_int_not_equal(open_engine(server->url, false, &s, &e), RC_OK);
        if (!strstr(e.text, rows[i].text))
            fail_msg("%s: the text is: %s", rows[i].wrong, e.text);
        assert_int_equal(open_engine(server->url, true, &s, &e) != RC_OK, rows[i].relaxed_too);
        if (!rows[i].relaxed_too)
            engine_redis.close(s);
        tell_ok(server->port, rows[i].right);
    }
    engine_redis.close(opened(server));
}

static void test_nobody_there(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = NULL;
    struct err e = {0};
    redis_server_stop(server);
    assert_unavailable(open_engine(server->url, false, &s, &e), &e, "no connection to Redis");
}

// A user that may not read the configuration: INFO has to do. The rights are those that the documentation asks for.
static void test_users(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = NULL;
    struct err e = {0};
    char url[96];
    tell_ok(server->port, "ACL SETUSER app on >p@ss ~fo:* +@read +@write +@scripting +@connection +info +role +time");
    snprintf(url, sizeof url, "redis://app:p%%40ss@127.0.0.1:%d/0", server->port);
    if (open_engine(url, false, &s, &e))
        fail_msg("%s", e.text);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct job *jobs;
    accepted(s, 1, 1);
    assert_int_equal(claim(s, &a, 10, &jobs), 1);
    assert_int_equal(finish(s, &jobs[0], &e), RC_OK);
    assert_int_equal(engine_redis.wake(s, SV("shop"), &e), RC_OK);
    assert_int_equal(engine_redis.check(s, &e), RC_OK);
    assert_int_equal(stats(s).done, 1);
    arena_free(&a);
    engine_redis.close(s);

    tell_ok(server->port, "CONFIG SET maxmemory-policy allkeys-lru");
    assert_int_equal(open_engine(url, true, &s, &e), RC_INVALID);
    assert_non_null(strstr(e.text, "noeviction"));
    tell_ok(server->port, "CONFIG SET maxmemory-policy noeviction");

    snprintf(url, sizeof url, "redis://app:wrong@127.0.0.1:%d/0", server->port);
    assert_int_equal(open_engine(url, false, &s, &e), RC_IO);
    assert_non_null(strstr(e.text, "password"));
    assert_null(strstr(e.text, "wrong@"));
    tell_ok(server->port, "CONFIG SET requirepass secret");
    assert_int_equal(open_engine(server->url, false, &s, &e), RC_IO);
    snprintf(url, sizeof url, "redis://:secret@127.0.0.1:%d/3", server->port);
    assert_int_equal(open_engine(url, false, &s, &e), RC_OK);
    accepted(s, 1, 1);  // another database: not known there
    engine_redis.close(s);
}

// ---- trouble while running

static void test_scripts_forgotten(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct job *jobs;
    struct err e = {0};
    tell_ok(server->port, "SCRIPT FLUSH");
    accepted(s, 1, 1);
    accepted(s, 2, 1);
    tell_ok(server->port, "SCRIPT FLUSH");
    assert_int_equal(claim(s, &a, 10, &jobs), 2);
    tell_ok(server->port, "SCRIPT FLUSH");
    struct change changes[] = {
        {.kind = CHANGE_FINISH, .job = &jobs[0], .state = JOB_DONE},
        {.kind = CHANGE_RETRY, .job = &jobs[1], .delay_ms = 60000},
    };
    assert_int_equal(engine_redis.commit(s, changes, COUNTOF(changes), &e), RC_OK);
    assert_int_equal(changes[0].result, RC_OK);
    assert_int_equal(changes[1].result, RC_OK);
    tell_ok(server->port, "SCRIPT FLUSH");
    assert_int_equal(engine_redis.wake(s, SV("shop"), &e), RC_OK);
    assert_int_equal(claim(s, &a, 10, &jobs), 1);
    tell_ok(server->port, "SCRIPT FLUSH");
    assert_int_equal(stats(s).done, 1);
    arena_free(&a);
    engine_redis.close(s);
}

static void test_killed_and_restarted(void **state) {
    enum { JOBS = 40 };
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 1 << 22);
    struct job *before, *after;
    struct err e = {0};
    enum accepted is;
    for (int i = 0; i < JOBS; i++)
        accepted(s, i, 1);
    assert_int_equal(claim(s, &a, 1, &before), 1);

    redis_server_stop(server);
    for (int i = 0; i < 20; i++) {
        assert_unavailable(accept_job(s, JOBS + i, 1, &is, &e), &e, "Redis");
        assert_unavailable(finish(s, &before[0], &e), &e, "Redis");
    }
    assert_true(redis_server_run(server));
    recovered(s);

    assert_int_equal(stats(s).accepted, JOBS);
    assert_int_equal(claim(s, &a, 100, &after), JOBS - 1);  // the lease is kept as well
    for (int i = 0; i < JOBS - 1; i++) {
        assert_true(sv_eq(after[i].body, SV("packed\0body")));
        assert_int_equal(finish(s, &after[i], &e), RC_OK);
    }
    assert_int_equal(finish(s, &before[0], &e), RC_OK);
    assert_int_equal(finish(s, &before[0], &e), RC_OK);  // the answer may have been lost
    assert_int_equal(accept_job(s, 3, 1, &is, &e), RC_OK);
    assert_int_equal(is, ACCEPTED_DUPLICATE);
    assert_int_equal(stats(s).done, JOBS);
    assert_int_equal(stats(s).pending, 0);
    arena_free(&a);
    engine_redis.close(s);
}

// After a time-out the late answer must not be taken for that of the next call.
static void test_frozen(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct err e = {0};
    struct sv one = SV("00000000000000000000000000000001"), two = SV("00000000000000000000000000000002");
    assert_int_equal(engine_redis.state_put(s, SV("shop"), &(struct remembered){one, SV("one"), 60000}, &e), RC_OK);
    assert_int_equal(engine_redis.state_put(s, SV("shop"), &(struct remembered){two, SV("two"), 60000}, &e), RC_OK);
    kill(server->pid, SIGSTOP);
    struct lookup first = {.shop = SV("shop"), .key = one}, second = {.shop = SV("shop"), .key = two};
    assert_unavailable(engine_redis.look_up(s, &a, &first, 1, &e), &e, "did not answer");
    kill(server->pid, SIGCONT);
    recovered(s);
    assert_int_equal(engine_redis.look_up(s, &a, &second, 1, &e), RC_OK);
    assert_true(sv_is(second.ret, "two"));
    arena_free(&a);
    engine_redis.close(s);
}

static void test_demoted(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct err e = {0};
    enum accepted is;
    tell_ok(server->port, "REPLICAOF 127.0.0.1 1");
    assert_unavailable(accept_job(s, 1, 1, &is, &e), &e, "read-only");
    assert_unavailable(accept_job(s, 1, 1, &is, &e), &e, "role master");  // a new connection, which asked
    tell_ok(server->port, "REPLICAOF NO ONE");
    recovered(s);
    accepted(s, 1, 1);
    engine_redis.close(s);
}

// At maxmemory nothing new is taken, but what waits can be finished.
static void test_memory_full(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct job *jobs;
    struct err e = {0};
    enum accepted is;
    accepted(s, 1, 1);
    tell_ok(server->port, "CONFIG SET maxmemory 1");
    assert_unavailable(accept_job(s, 2, 1, &is, &e), &e, "maxmemory");
    assert_unavailable(engine_redis.check(s, &e), &e, "maxmemory");
    assert_int_equal(claim(s, &a, 10, &jobs), 1);
    assert_int_equal(commit(s, (struct change){.kind = CHANGE_RECORD, .job = &jobs[0], .plan = SV("plan"), .lease_ms = LEASE_MS}, &e), RC_OK);
    const struct sv line = SV("line");
    assert_int_equal(commit(s, (struct change){.kind = CHANGE_FINISH, .job = &jobs[0], .state = JOB_DONE, .reason = SV(""), .ledger = &line, .ledger_count = 1}, &e), RC_OK);
    tell_ok(server->port, "CONFIG SET maxmemory 0");
    assert_int_equal(stats(s).accepted, 1);
    accepted(s, 2, 1);
    arena_free(&a);
    engine_redis.close(s);
}

static void test_busy(void **state) {
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct err e = {0};
    enum accepted is;
    char answer[256];
    tell_ok(server->port, "CONFIG SET busy-reply-threshold 20");
    int fd = redis_connect(server->port);
    const char endless[] = "EVAL \"while true do end\" 0\r\n";
    assert_int_equal(write(fd, endless, sizeof endless - 1), sizeof endless - 1);
    while (strncmp(tell(server->port, "PING", answer, sizeof answer), "-BUSY", 5) != 0)
        ;
    assert_unavailable(accept_job(s, 1, 1, &is, &e), &e, "busy");
    tell_ok(server->port, "SCRIPT KILL");
    recovered(s);
    accepted(s, 1, 1);
    close(fd);
    engine_redis.close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url),
        WITH_REDIS(test_refusals),
        WITH_REDIS(test_nobody_there),
        WITH_REDIS(test_users),
        WITH_REDIS(test_scripts_forgotten),
        WITH_REDIS(test_killed_and_restarted),
        WITH_REDIS(test_frozen),
        WITH_REDIS(test_demoted),
        WITH_REDIS(test_memory_full),
        WITH_REDIS(test_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
