// redis_jobs.h: a Redis of its own for each test, and the short words in which the tests of its engine speak about jobs.
#ifndef TESTS_UNIT_REDIS_JOBS_H
#define TESTS_UNIT_REDIS_JOBS_H

#include "base/clock.h"
#include "redis_server.h"
#include "server/store/store_engine.h"

#define RECEIVED_MS INT64_C(1763632800000)
#define LEASE_MS 60000

// tell: one command in Redis' inline form on a connection of its own; the answer, as it comes on the wire.
static inline const char *tell(int port, const char *command, char *answer, size_t size) {
    int fd = redis_connect(port);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, command, strlen(command)), (ssize_t)strlen(command));
    assert_int_equal(write(fd, "\r\n", 2), 2);
    ssize_t n = read(fd, answer, size - 1);
    assert_true(n > 0);
    answer[n] = '\0';
    close(fd);
    return answer;
}

static inline void tell_ok(int port, const char *command) {
    char answer[256];
    assert_string_equal(tell(port, command, answer, sizeof answer), "+OK\r\n");
}

// number_of: the answer to a command that answers with a number.
static inline long long number_of(int port, const char *command) {
    char answer[256];
    assert_int_equal(tell(port, command, answer, sizeof answer)[0], ':');
    return strtoll(answer + 1, NULL, 10);
}

// open_engine: opens it and, as store_open does, asks it something.
static inline enum rc open_engine(const char *url, bool relaxed, struct engine **ret, struct err *e) {
    struct store_config config = {.url = sv_of(url), .relaxed = relaxed, .retention_ms = DAYS_MS(30)};
    struct lookup asked = {.shop = SV("-"), .key = SV("key")};
    struct arena a;
    enum rc rc = engine_redis.open(&config, ret, e);
    if (rc != RC_OK)
        return rc;
    arena_init(&a, 1 << 20);
    rc = engine_redis.look_up(*ret, &a, &asked, 1, e);
    arena_free(&a);
    if (rc == RC_OK)
        return rc;
    engine_redis.close(*ret);
    *ret = NULL;
    return rc;
}

static inline struct engine *opened(const struct redis_server *server) {
    struct engine *s = NULL;
    struct err e = {0};
    if (open_engine(server->url, false, &s, &e))
        fail_msg("%s", e.text);
    return s;
}

static inline void name_of(char out[KEY_LEN + 1], char kind, int lane, int i) {
    snprintf(out, KEY_LEN + 1, "%c%015x%016x", kind, (unsigned)lane, (unsigned)i);
}

static inline enum rc accept_under(struct engine *s, const char *id, int64_t received_ms, const struct sv *lane_keys, size_t lane_key_count,
                                   enum accepted *ret, struct err *e) {
    struct sv keys[] = {sv_of(id)};
    struct delivery d = {
        .shop = SV("shop"), .source = SV("shopify"), .topic = SV("orders/create"), .body = SV("packed\0body"),
        .received_ms = received_ms, .max_wait_ms = HOURS_MS(24), .keys = keys, .key_count = 1,
        .lane_keys = lane_keys, .lane_key_count = lane_key_count, .state = JOB_PENDING,
    };
    return engine_redis.accept(s, &d, (const char *[]){id}, 1, ret, e);
}

// accept: job i of a lane.
static inline enum rc accept_job(struct engine *s, int lane, int i, enum accepted *ret, struct err *e) {
    char id[KEY_LEN + 1], lane_name[KEY_LEN + 1];
    name_of(id, 'a', lane, i);
    name_of(lane_name, 'c', lane, 0);
    struct sv lane_keys[] = {sv_of(lane_name)};
    return accept_under(s, id, RECEIVED_MS + i, lane_keys, COUNTOF(lane_keys), ret, e);
}

static inline void accepted(struct engine *s, int lane, int i) {
    enum accepted is;
    struct err e = {0};
    if (accept_job(s, lane, i, &is, &e))
        fail_msg("%s", e.text);
    assert_int_equal(is, ACCEPTED_NEW);
}

static inline size_t claim(struct engine *s, struct arena *a, size_t max, struct job **jobs) {
    struct claim claims[] = {{.shop = SV("shop"), .max = max}};
    size_t n = 0;
    int64_t next_due_ms;
    struct err e = {0};
    if (engine_redis.claim(s, a, claims, 1, LEASE_MS, jobs, &n, &next_due_ms, &e))
        fail_msg("%s", e.text);
    return n;
}

static inline enum rc commit(struct engine *s, struct change change, struct err *e) {
    enum rc rc = engine_redis.commit(s, &change, 1, e);
    return rc ? rc : change.result;
}

static inline enum rc finish(struct engine *s, const struct job *job, struct err *e) {
    return commit(s, (struct change){.kind = CHANGE_FINISH, .job = job, .state = JOB_DONE}, e);
}

static inline struct store_stats stats(struct engine *s) {
    struct store_stats ret;
    struct err e = {0};
    if (engine_redis.stats(s, SV("shop"), &ret, &e))
        fail_msg("%s", e.text);
    return ret;
}

// recovered: calls are made until one works, as the program would.
static inline void recovered(struct engine *s) {
    struct err e = {0};
    int64_t end_ms = clock_mono_ms() + SECONDS_MS(10);
    while (engine_redis.check(s, &e))
        if (clock_mono_ms() > end_ms)
            fail_msg("Redis is back, but the store says: %s", e.text);
}

static inline void assert_unavailable(enum rc rc, const struct err *e, const char *part) {
    if (rc != RC_UNAVAILABLE || !strstr(e->text, part))
        fail_msg("code %d, \"%s\", but should be unavailable: %s", rc, e->text, part);
}

#define WITH_REDIS(test) cmocka_unit_test_setup_teardown(test, start, stop)

// Each test has a Redis of its own.
static inline int start(void **state) {
    static struct redis_server server;
    if (!redis_installed()) {
        *state = NULL;
        return 0;
    }
    *state = &server;
    return redis_server_start(&server) ? 0 : -1;
}

static inline int stop(void **state) {
    if (*state)
        redis_server_remove(*state);
    return 0;
}

static inline struct redis_server *server_of(void **state) {
    if (!*state)
        skip();
    return *state;
}

#endif
