// store_env.h: one store to test, and the short words in which the cases speak about it.
// Times are short and every wait is a poll with a deadline: a slow machine makes a case slower, not wrong.
#ifndef TESTS_UNIT_STORE_ENV_H
#define TESTS_UNIT_STORE_ENV_H

#include "base/clock.h"
#include "server/store/store.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHORT_MS 60          // a lease or delay that is waited out
#define LONG_MS 60000        // one that must not matter
#define DEADLINE_MS 10000

struct env {
    char shop[32], other_shop[32];  // new ones for every case, so that cases may share a server
    char dir[64];
    char url[128];
    unsigned char seal_key[4 * SEAL_KEY_LEN];
    size_t seal_keys;    // of them, from the beginning
    int64_t retention_ms, ledger_lifetime_ms;
    struct store *store;
    struct arena arena;  // everything claimed lives here
};

static inline void must_be_ok(enum rc rc, const struct err *e, const char *what) {
    if (rc != RC_OK)
        print_error("%s: %s\n", what, e->text);
    assert_int_equal(rc, RC_OK);
}
#define MUST(call) must_be_ok((call), &e, #call)

// env_make: url NULL gives a SQLite file in a new directory.
static inline struct env *env_make(const char *url) {
    static int made;
    struct env *v = calloc(1, sizeof *v);
    assert_non_null(v);
    made++;
    snprintf(v->shop, sizeof v->shop, "shop%d", made);
    snprintf(v->other_shop, sizeof v->other_shop, "other%d", made);
    snprintf(v->dir, sizeof v->dir, "/tmp/store_test_XXXXXX");
    assert_non_null(mkdtemp(v->dir));
    if (url)
        snprintf(v->url, sizeof v->url, "%s", url);
    else
        snprintf(v->url, sizeof v->url, "sqlite:%s/test.db", v->dir);
    memset(v->seal_key, 7, sizeof v->seal_key);
    v->seal_keys = 1;
    v->retention_ms = DAYS_MS(1);
    v->ledger_lifetime_ms = DAYS_MS(90);
    arena_init(&v->arena, (size_t)256 << 20);
    return v;
}

static inline enum rc env_try_open(struct env *v, struct err *e) {
    struct store_config config = {
        .url = sv_of(v->url), .seal_keys = {(const char *)v->seal_key, v->seal_keys * SEAL_KEY_LEN}, .retention_ms = v->retention_ms,
        .ledger_lifetime_ms = v->ledger_lifetime_ms};
    return store_open(&config, &v->store, e);
}

static inline void env_open(struct env *v) {
    struct err e = {0};
    MUST(env_try_open(v, &e));
}

static inline void env_close(struct env *v) {
    store_close(v->store);
    v->store = NULL;
}

static inline void env_free(struct env *v) {
    env_close(v);
    arena_free(&v->arena);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", v->dir, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    free(v);
}

// ---- accept

// hook: a delivery of v->shop whose pieces are added by hand.
static inline struct delivery hook(struct env *v, struct sv body) {
    return (struct delivery){.shop = sv_of(v->shop), .source = SV("shopify"), .topic = SV("orders/create"), .body = body,
                             .received_ms = clock_wall_ms(), .max_wait_ms = LONG_MS};
}

static inline enum accepted take(struct env *v, struct delivery d) {
    struct err e = {0};
    enum accepted got = ACCEPTED_DUPLICATE;
    MUST(store_accept(v->store, &d, 1, &got, &e));
    return got;
}

// accept_wait: one delivery under one key, which is its body too, in one lane (NULL: one of its own).
static inline enum accepted accept_wait(struct env *v, const char *key, const char *lane, int64_t max_wait_ms) {
    struct sv keys[] = {sv_of(key)}, lanes[] = {sv_of(lane)};
    struct delivery d = hook(v, sv_of(key));
    d.keys = keys;
    d.key_count = 1;
    d.lane_keys = lanes;
    d.lane_key_count = lane ? 1 : 0;
    d.max_wait_ms = max_wait_ms;
    return take(v, d);
}

// accept_between: under one key, with two lane keys.
static inline enum accepted accept_between(struct env *v, const char *key, const char *lane, const char *other) {
    struct sv keys[] = {sv_of(key)}, lanes[] = {sv_of(lane), sv_of(other)};
    struct delivery d = hook(v, sv_of(key));
    d.keys = keys;
    d.key_count = 1;
    d.lane_keys = lanes;
    d.lane_key_count = 2;
    return take(v, d);
}

// Lanes are due in the order of their milliseconds, so each delivery gets one of its own.
static inline enum accepted accept_in(struct env *v, const char *key, const char *lane) {
    enum accepted accepted = accept_wait(v, key, lane, LONG_MS);
    for (int64_t now = clock_wall_ms(); clock_wall_ms() == now;)
        poll(NULL, 0, 1);
    return accepted;
}

// ---- claim

static inline size_t claim_many(struct env *v, size_t max, int64_t lease_ms, struct job **ret, int64_t *ret_next_due_ms) {
    struct err e = {0};
    size_t n = 0;
    struct claim c = {.shop = sv_of(v->shop), .max = max};
    MUST(store_claim(v->store, &v->arena, &c, 1, lease_ms, ret, &n, ret_next_due_ms, &e));
    assert_true(n <= max);
    return n;
}

static inline int64_t next_due_ms(struct env *v) {
    struct job *none = NULL;
    int64_t next = -1;
    assert_int_equal(claim_many(v, 0, LONG_MS, &none, &next), 0);
    return next;
}

// claim_now: the one job that can be had at this moment, or NULL.
static inline struct job *claim_now(struct env *v, int64_t lease_ms) {
    struct job *jobs = NULL;
    int64_t next;
    return claim_many(v, 1, lease_ms, &jobs, &next) == 1 ? &jobs[0] : NULL;
}

// claim_soon: polls until there is one.
static inline struct job *claim_soon(struct env *v, int64_t lease_ms) {
    for (int64_t end = clock_mono_ms() + DEADLINE_MS; clock_mono_ms() < end; poll(NULL, 0, 2)) {
        struct job *job = claim_now(v, lease_ms);
        if (job)
            return job;
    }
    fail_msg("nothing could be claimed within %d ms", DEADLINE_MS);
    return NULL;
}

static inline struct job *claim_body(struct env *v, const char *body) {
    struct job *job = claim_soon(v, LONG_MS);
    assert_string_equal(arena_cstr(&v->arena, job->body), body);
    return job;
}

// ---- change

static inline enum rc commit(struct env *v, struct change *c) {
    struct err e = {0};
    MUST(store_commit(v->store, c, 1, &e));
    return c->result;
}

static inline enum rc finish_as(struct env *v, const struct job *job, enum job_state state) {
    return commit(v, &(struct change){.kind = CHANGE_FINISH, .job = job, .state = state, .reason = SV("test")});
}

static inline enum rc delay(struct env *v, const struct job *job, enum change_kind kind, int64_t delay_ms) {
    return commit(v, &(struct change){.kind = kind, .job = job, .delay_ms = delay_ms});
}

static inline enum rc record_plan(struct env *v, const struct job *job, const char *plan, int64_t lease_ms) {
    return commit(v, &(struct change){.kind = CHANGE_RECORD, .job = job, .plan = sv_of(plan), .lease_ms = lease_ms});
}

static inline enum rc record_progress(struct env *v, const struct job *job, const char *progress, int64_t lease_ms) {
    return commit(v, &(struct change){.kind = CHANGE_RECORD, .job = job, .progress = sv_of(progress), .lease_ms = lease_ms});
}

// ---- look

static inline struct store_stats stats_of(struct env *v, const char *shop) {
    struct err e = {0};
    struct store_stats s = {0};
    MUST(store_stats(v->store, sv_of(shop), &s, &e));
    assert_int_equal(s.accepted, s.pending + s.done + s.dead + s.ignored);
    return s;
}

static inline void put_state(struct env *v, const char *shop, const char *key, const char *value, int64_t lifetime_ms) {
    struct err e = {0};
    struct remembered r = {sv_of(key), sv_of(value), lifetime_ms};
    MUST(store_state_put(v->store, sv_of(shop), &r, &e));
}

// The value as a C string; NULL when there is none.
static inline const char *get_state(struct env *v, const char *shop, const char *key) {
    struct err e = {0};
    struct sv value = SV_NONE;
    MUST(store_state_get(v->store, &v->arena, sv_of(shop), sv_of(key), &value, &e));
    return value.p ? arena_cstr(&v->arena, value) : NULL;
}

#endif
