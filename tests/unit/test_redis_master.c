// Where the master is: sentinels that are away, mistaken or want a password, fail-over, replicas that have to have what was
// accepted; and what many callers do to a Redis that is away.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis_jobs.h"

#include <pthread.h>
#include <stdatomic.h>

// ---- sentinels

static void sentinel_exec(const char *file, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    int quiet = open("/dev/null", O_RDWR);
    dup2(quiet, STDOUT_FILENO);
    dup2(quiet, STDERR_FILENO);
    execlp("redis-server", "redis-server", file, "--sentinel", (char *)NULL);
    _exit(127);
}

// sentinel_start: one that is enough for a fail-over of `mymaster`. password: asked for by it and by the Redis, or NULL.
static void sentinel_start(struct redis_server *s, int master_port, const char *password) {
    *s = (struct redis_server){.dir = "/tmp/redis_test_XXXXXX", .port = free_port()};
    assert_non_null(mkdtemp(s->dir));
    char file[80];
    snprintf(file, sizeof file, "%s/sentinel.conf", s->dir);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fprintf(f, "port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor mymaster 127.0.0.1 %d 1\n", s->port, s->dir, master_port);
    fprintf(f, "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n");
    if (password)
        fprintf(f, "requirepass %s\nsentinel auth-pass mymaster %s\n", password, password);
    fclose(f);
    pid_t parent = getpid();
    s->pid = fork();
    if (s->pid == 0)
        sentinel_exec(file, parent);
    int64_t end_ms = clock_mono_ms() + SECONDS_MS(10);
    for (int fd = -1; fd < 0; fd = redis_connect(s->port)) {
        if (fd >= 0)
            close(fd);
        if (clock_mono_ms() > end_ms)
            fail_msg("the sentinel does not start");
        poll(NULL, 0, 5);
    }
}

static void replica_start(struct redis_server *s, const struct redis_server *master) {
    char command[64], answer[4096];
    assert_true(redis_server_start(s));
    tell_ok(master->port, "CONFIG SET repl-diskless-sync-delay 0");
    snprintf(command, sizeof command, "REPLICAOF 127.0.0.1 %d", master->port);
    tell_ok(s->port, command);
    int64_t end_ms = clock_mono_ms() + SECONDS_MS(10);
    while (!strstr(tell(master->port, "INFO replication", answer, sizeof answer), "state=online")) {  // so WAIT counts it
        if (clock_mono_ms() > end_ms)
            fail_msg("the replica does not connect");
        poll(NULL, 0, 10);
    }
}

static void assert_refused(const char *url, enum rc rc, const char *part) {
    struct engine *s = NULL;
    struct err e = {0};
    if (open_engine(url, false, &s, &e) != rc || !strstr(e.text, part))
        fail_msg("%s: code %d, %s", url, e.code, e.text);
}

static void test_sentinels_in_turn(void **state) {
    struct redis_server *server = server_of(state), good, mistaken;
    struct engine *s = NULL;
    struct err e = {0};
    char url[160];
    int nobody = free_port();
    sentinel_start(&good, server->port, NULL);
    sentinel_start(&mistaken, nobody, NULL);
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/mymaster/0", nobody, mistaken.port, good.port);
    if (open_engine(url, false, &s, &e))
        fail_msg("%s", e.text);
    accepted(s, 1, 1);
    engine_redis.close(s);

    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%d,127.0.0.1:%d/mymaster", nobody, mistaken.port);
    assert_refused(url, RC_UNAVAILABLE, "no master mymaster");
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%d,127.0.0.1:%d/other", nobody, good.port);
    assert_refused(url, RC_INVALID, "knows no master of the name other");
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%d/mymaster", server->port);
    assert_refused(url, RC_IO, "unknown command");
    redis_server_remove(&good);
    redis_server_remove(&mistaken);
}

static void test_sentinel_with_password(void **state) {
    struct redis_server *server = server_of(state), sentinel;
    struct engine *s = NULL;
    struct err e = {0};
    char url[160];
    tell_ok(server->port, "CONFIG SET requirepass s3cret");
    sentinel_start(&sentinel, server->port, "s3cret");
    snprintf(url, sizeof url, "redis+sentinel://:s3cret@127.0.0.1:%d/mymaster", sentinel.port);
    if (open_engine(url, false, &s, &e))
        fail_msg("%s", e.text);
    accepted(s, 1, 1);
    engine_redis.close(s);
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%d/mymaster", sentinel.port);
    assert_refused(url, RC_IO, "wants a password");
    snprintf(url, sizeof url, "redis+sentinel://:wrong@127.0.0.1:%d/mymaster", sentinel.port);
    assert_refused(url, RC_IO, "user or password");
    redis_server_remove(&sentinel);
}

// The master dies; the replica takes over, and knows what the master had acknowledged.
static void test_fail_over(void **state) {
    enum { JOBS = 50 };
    struct redis_server *server = server_of(state), replica, sentinel;
    struct engine *s = NULL;
    struct err e = {0};
    enum accepted is;
    char url[160];
    replica_start(&replica, server);
    sentinel_start(&sentinel, server->port, NULL);
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%d/mymaster?min_replicas=1", sentinel.port);
    if (open_engine(url, false, &s, &e))
        fail_msg("%s", e.text);
    for (int i = 0; i < JOBS; i++)
        accepted(s, i, 1);
    char answer[4096];
    int64_t end_ms = clock_mono_ms() + SECONDS_MS(20);  // until the sentinel has seen the replica too
    while (!strstr(tell(sentinel.port, "INFO sentinel", answer, sizeof answer), "slaves=1"))
        assert_true(clock_mono_ms() < end_ms && poll(NULL, 0, 20) == 0);
    redis_server_stop(server);
    assert_unavailable(accept_job(s, 0, 1, &is, &e), &e, "Redis");
    for (end_ms = clock_mono_ms() + SECONDS_MS(30); engine_redis.check(s, &e); poll(NULL, 0, 20))
        if (clock_mono_ms() > end_ms)
            fail_msg("no fail-over: %s", e.text);
    assert_unavailable(accept_job(s, 0, 1, &is, &e), &e, "0 replicas");  // the new master has none
    assert_int_equal(stats(s).accepted, JOBS);
    engine_redis.close(s);

    *strstr(url, "?min") = '\0';
    if (open_engine(url, false, &s, &e))
        fail_msg("%s", e.text);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(accept_job(s, i, 1, &is, &e), RC_OK);
        assert_int_equal(is, ACCEPTED_DUPLICATE);
    }
    accepted(s, JOBS, 1);
    engine_redis.close(s);
    redis_server_remove(&sentinel);
    redis_server_remove(&replica);
}

// ---- replicas that have to have it

static void test_min_replicas(void **state) {
    struct redis_server *server = server_of(state), replica;
    struct engine *s = NULL, *other = NULL;  // the other's connection has written nothing that a replica could lack
    struct arena a;
    struct job *jobs;
    arena_init(&a, 1 << 20);
    struct err e = {0};
    enum accepted is;
    char url[96];
    replica_start(&replica, server);
    snprintf(url, sizeof url, "%s?min_replicas=1", server->url);
    assert_int_equal(open_engine(url, false, &s, &e), RC_OK);
    assert_int_equal(open_engine(url, false, &other, &e), RC_OK);
    accepted(s, 1, 1);
    assert_int_equal(claim(s, &a, 1, &jobs), 1);
    kill(replica.pid, SIGSTOP);
    assert_unavailable(finish(s, &jobs[0], &e), &e, "min_replicas");
    assert_unavailable(finish(other, &jobs[0], &e), &e, "min_replicas");
    assert_unavailable(accept_job(s, 2, 1, &is, &e), &e, "min_replicas");
    assert_unavailable(accept_job(other, 2, 1, &is, &e), &e, "min_replicas");  // known already, but not there yet
    kill(replica.pid, SIGCONT);
    assert_int_equal(accept_job(s, 2, 1, &is, &e), RC_OK);
    assert_int_equal(is, ACCEPTED_DUPLICATE);
    assert_int_equal(finish(s, &jobs[0], &e), RC_OK);
    assert_int_equal(stats(s).accepted, 2);
    assert_int_equal(stats(s).done, 1);

    assert_int_equal(claim(s, &a, 1, &jobs), 1);
    tell_ok(server->port, "CONFIG SET maxmemory 1");
    assert_unavailable(accept_job(s, 3, 1, &is, &e), &e, "maxmemory");
    assert_int_equal(finish(s, &jobs[0], &e), RC_OK);  // what frees memory is not refused
    arena_free(&a);
    engine_redis.close(other);
    engine_redis.close(s);
    redis_server_remove(&replica);
}

// ---- many callers

enum { CALLERS = 40, CONNECTIONS = 32 };

struct callers {
    struct engine *engine;
    int64_t until_ms;  // each calls until then, at least once
    _Atomic int64_t slowest_ms;
    atomic_int good;
};

static void *call(void *arg) {
    struct callers *all = arg;
    do {
        struct err e = {0};
        int64_t begun_ms = clock_mono_ms();
        enum rc rc = engine_redis.check(all->engine, &e);
        int64_t took_ms = clock_mono_ms() - begun_ms, slowest_ms = atomic_load(&all->slowest_ms);
        while (took_ms > slowest_ms && !atomic_compare_exchange_weak(&all->slowest_ms, &slowest_ms, took_ms))
            ;
        atomic_fetch_add(&all->good, rc == RC_OK);
        poll(NULL, 0, 1);
    } while (clock_mono_ms() < all->until_ms);
    return NULL;
}

// run_callers: those for whom there is no connection come a second later.
static void run_callers(pthread_t threads[CALLERS], struct callers *all) {
    for (int i = 0; i < CALLERS; i++) {
        if (i == CONNECTIONS)
            poll(NULL, 0, 1000);
        assert_int_equal(pthread_create(&threads[i], NULL, call, all), 0);
    }
}

static void join_callers(pthread_t threads[CALLERS]) {
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
}

// Everybody hears in time that a frozen Redis does not answer: a sender gives up after 5 s.
static void test_frozen_for_many(void **state) {
    struct redis_server *server = server_of(state);
    struct callers all = {.engine = opened(server)};
    pthread_t threads[CALLERS];
    all.until_ms = clock_mono_ms() + SECONDS_MS(2);
    run_callers(threads, &all);  // until all connections are there
    join_callers(threads);
    assert_true(atomic_exchange(&all.good, 0) >= CALLERS);
    all.until_ms = 0;
    atomic_store(&all.slowest_ms, 0);
    kill(server->pid, SIGSTOP);
    run_callers(threads, &all);
    join_callers(threads);
    assert_int_equal(all.good, 0);
    assert_in_range(all.slowest_ms, 0, 4900);
    kill(server->pid, SIGCONT);
    recovered(all.engine);
    engine_redis.close(all.engine);
}

// A Redis that is away is not hammered: whatever asks how often, few try to connect.
static void test_back_off(void **state) {
    struct redis_server *server = server_of(state);
    struct callers all = {.engine = opened(server)};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)server->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    pthread_t threads[CALLERS];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), came = 0;
    redis_server_stop(server);
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 100), 0);
    all.until_ms = clock_mono_ms() + SECONDS_MS(3);
    run_callers(threads, &all);
    while (clock_mono_ms() < all.until_ms) {
        if (poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, 20) == 1) {
            close(accept(listener, NULL, NULL));
            came++;
        }
    }
    close(listener);
    join_callers(threads);
    assert_int_equal(all.good, 0);
    assert_in_range(came, 2, CALLERS + 10);  // all that came at once, and then a few
    assert_true(redis_server_run(server));
    recovered(all.engine);
    engine_redis.close(all.engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_REDIS(test_sentinels_in_turn), WITH_REDIS(test_sentinel_with_password), WITH_REDIS(test_fail_over),
        WITH_REDIS(test_min_replicas),      WITH_REDIS(test_frozen_for_many),        WITH_REDIS(test_back_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
