// test_store.c: what every store keeps, whatever it is made of: each case runs on each engine. Order and leases: test_store_lanes.c.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_engines.h"

#include <pthread.h>

// ---- accept

static void a_body_comes_back(void **state) {
    struct env *v = *state;
    struct sv key = SV("delivery:1");
    struct delivery d = hook(v, (struct sv){"{\"a\":\0\xff}", 8});
    d.keys = &key;
    d.key_count = 1;
    assert_int_equal(take(v, d), ACCEPTED_NEW);
    struct job *job = claim_soon(v, LONG_MS);
    assert_true(sv_eq(job->body, d.body));
    assert_true(sv_eq(job->shop, d.shop) && sv_eq(job->source, d.source) && sv_eq(job->topic, d.topic));
    assert_int_equal(job->received_ms, d.received_ms);
    assert_int_equal(job->claims, 1);
    assert_int_equal(job->hurry_ms, 0);
    assert_null(job->plan.p);
    assert_null(job->unreadable.p);
    assert_int_equal(strlen(job->token), TOKEN_LEN);
}

static void a_large_body_comes_back(void **state) {
    struct env *v = *state;
    struct sv key = SV("large"), body = {NULL, (size_t)8 << 20};
    char *noise = arena_alloc(&v->arena, body.n);
    random_bytes(noise, body.n);  // does not compress
    body.p = noise;
    struct delivery d = hook(v, body);
    d.keys = &key;
    d.key_count = 1;
    assert_int_equal(take(v, d), ACCEPTED_NEW);
    assert_true(sv_eq(claim_soon(v, LONG_MS)->body, body));
}

static void a_duplicate_is_known_by_each_key(void **state) {
    struct env *v = *state;
    const struct sv first[] = {SV("delivery:1"), SV("body:1"), SV("event:1"), SV("more:1")};
    struct delivery d = hook(v, SV("{}"));
    d.keys = first;
    d.key_count = COUNTOF(first);
    assert_int_equal(take(v, d), ACCEPTED_NEW);
    assert_int_equal(take(v, d), ACCEPTED_DUPLICATE);
    for (size_t i = 0; i < COUNTOF(first); i++) {
        const struct sv again[] = {SV("delivery:2"), first[i]};
        d.keys = again;
        d.key_count = COUNTOF(again);
        assert_int_equal(take(v, d), ACCEPTED_DUPLICATE);
    }
    assert_int_equal(accept_in(v, "delivery:2", NULL), ACCEPTED_NEW);  // a duplicate leaves nothing behind
    assert_int_equal(stats_of(v, v->shop).accepted, 2);
}

static void many_are_accepted_at_once_in_their_order(void **state) {
    enum { MANY = 500 };
    struct env *v = *state;
    struct err e = {0};
    struct sv keys[MANY], bodies[MANY], lane = SV("lane:one");
    struct delivery all[MANY];
    enum accepted told[MANY];
    assert_int_equal(accept_in(v, "k7", "lane:other"), ACCEPTED_NEW);
    for (int i = 0; i < MANY; i++) {
        keys[i] = arena_fmt(&v->arena, "k%d", i == MANY - 1 ? 0 : i);  // the last repeats the first
        bodies[i] = arena_fmt(&v->arena, "{\"n\":%d}", i);
        all[i] = hook(v, bodies[i]);
        all[i].keys = &keys[i];
        all[i].key_count = 1;
        all[i].lane_keys = &lane;
        all[i].lane_key_count = 1;
    }
    MUST(store_accept(v->store, all, MANY, told, &e));
    for (int i = 0; i < MANY; i++)
        assert_int_equal(told[i], i == 7 || i == MANY - 1 ? ACCEPTED_DUPLICATE : ACCEPTED_NEW);
    assert_int_equal(stats_of(v, v->shop).accepted, MANY - 1);
    MUST(store_accept(v->store, all, MANY, told, &e));
    for (int i = 0; i < MANY; i++)
        assert_int_equal(told[i], ACCEPTED_DUPLICATE);
    MUST(store_accept(v->store, all, 0, told, &e));
    assert_int_equal(finish_as(v, claim_body(v, "k7"), JOB_DONE), RC_OK);
    for (int i = 0; i < 10; i++)
        if (i != 7)
            assert_int_equal(finish_as(v, claim_body(v, bodies[i].p), JOB_DONE), RC_OK);
    all[3].key_count = 0;  // one that is wrong, and none is taken
    keys[0] = SV("new");
    assert_int_equal(store_accept(v->store, all, 5, told, &e), RC_INVALID);
    assert_int_equal(stats_of(v, v->shop).accepted, MANY - 1);
}

struct accepter {
    pthread_t thread;
    struct env *env;
    int number, count;
    bool same;  // all of them post the same deliveries
    int fresh, failed;
};

static void *accept_many(void *arg) {
    struct accepter *a = arg;
    for (int i = 0; i < a->count; i++) {
        char key[32], lane[32];
        snprintf(key, sizeof key, "d:%d:%d", a->same ? 0 : a->number, i);
        snprintf(lane, sizeof lane, "l:%d", i % 50);
        struct sv keys[] = {sv_of(key)}, lanes[] = {sv_of(lane)};
        struct delivery d = hook(a->env, sv_of(key));
        d.keys = keys;
        d.lane_keys = lanes;
        d.key_count = d.lane_key_count = 1;
        enum accepted got = ACCEPTED_DUPLICATE;
        if (store_accept(a->env->store, &d, 1, &got, NULL) != RC_OK)
            a->failed++;
        a->fresh += got == ACCEPTED_NEW;
    }
    return NULL;
}

static int accept_in_threads(struct env *v, int count, bool same) {
    struct accepter a[8];
    for (int i = 0; i < 8; i++) {
        a[i] = (struct accepter){.env = v, .number = i, .count = count, .same = same};
        assert_int_equal(pthread_create(&a[i].thread, NULL, accept_many, &a[i]), 0);
    }
    int fresh = 0;
    for (int i = 0; i < 8; i++) {
        pthread_join(a[i].thread, NULL);
        assert_int_equal(a[i].failed, 0);
        fresh += a[i].fresh;
    }
    return fresh;
}

static void parallel_identical_accepts_make_one_job(void **state) {
    struct env *v = *state;
    assert_int_equal(accept_in_threads(v, 50, true), 50);
    assert_int_equal(stats_of(v, v->shop).accepted, 50);
}

static void eight_threads_lose_nothing(void **state) {
    struct env *v = *state;
    assert_int_equal(accept_in_threads(v, 500, false), 4000);
    assert_int_equal(stats_of(v, v->shop).pending, 4000);
    int last[8][50], done = 0;  // by thread and lane: what one thread put into one lane keeps its order
    memset(last, -1, sizeof last);
    struct job *jobs = NULL;
    int64_t due;
    for (size_t n; (n = claim_many(v, 100, LONG_MS, &jobs, &due)) > 0; done += (int)n) {
        struct change finish[100];
        struct err e = {0};
        for (size_t i = 0; i < n; i++)
            finish[i] = (struct change){.kind = CHANGE_FINISH, .job = &jobs[i], .state = JOB_DONE};
        MUST(store_commit(v->store, finish, n, &e));
        for (size_t i = 0; i < n; i++) {
            int thread = 0, number = 0;
            assert_int_equal(finish[i].result, RC_OK);
            assert_int_equal(sscanf(arena_cstr(&v->arena, jobs[i].body), "d:%d:%d", &thread, &number), 2);
            assert_true(number > last[thread][number % 50]);
            last[thread][number % 50] = number;
        }
        arena_reset(&v->arena);
    }
    assert_int_equal(done, 4000);
    assert_int_equal(stats_of(v, v->shop).done, 4000);
}

static void what_needs_no_work_is_recorded_at_once(void **state) {
    struct env *v = *state;
    static const enum job_state states[] = {JOB_IGNORED, JOB_DEAD};
    for (size_t i = 0; i < COUNTOF(states); i++) {
        struct sv key = i ? SV("b") : SV("a"), lane = SV("lane");
        struct delivery d = hook(v, SV("not json"));
        d.keys = &key;
        d.lane_keys = &lane;
        d.key_count = d.lane_key_count = 1;
        d.state = states[i];
        d.reason = SV("test order");
        assert_int_equal(take(v, d), ACCEPTED_NEW);
        assert_int_equal(take(v, d), ACCEPTED_DUPLICATE);
    }
    struct store_stats s = stats_of(v, v->shop);
    assert_true(s.accepted == 2 && s.ignored == 1 && s.dead == 1 && s.pending == 0 && s.oldest_pending_ms == 0);
    assert_null(claim_now(v, LONG_MS));
    assert_int_equal(next_due_ms(v), INT64_MAX);
}

// ---- reserve, remember

static void an_event_id_belongs_to_one_job(void **state) {
    struct env *v = *state;
    accept_in(v, "1", NULL);
    accept_in(v, "2", NULL);
    struct job *one = claim_body(v, "1"), *two = claim_body(v, "2");
    const struct sv ids[] = {SV("ord_1_purchase"), SV("ord_2_purchase")};
    struct change first = {.kind = CHANGE_RECORD, .job = one, .lease_ms = LONG_MS, .reserve = ids, .reserve_count = 1,
                           .reserve_lifetime_ms = 10 * SHORT_MS};
    for (int i = 0; i < 2; i++) {  // its own id again is no conflict
        assert_int_equal(commit(v, &first), RC_OK);
        assert_false(first.taken[0]);
    }
    struct change second = {.kind = CHANGE_RECORD, .job = two, .lease_ms = LONG_MS, .plan = SV("kept"), .reserve = ids,
                            .reserve_count = 2, .reserve_lifetime_ms = LONG_MS};
    assert_int_equal(commit(v, &second), RC_OK);
    assert_true(second.taken[0] && !second.taken[1]);
    for (int64_t end = clock_mono_ms() + DEADLINE_MS; second.taken[0] && clock_mono_ms() < end; poll(NULL, 0, 5))
        assert_int_equal(commit(v, &second), RC_OK);
    assert_false(second.taken[0]);  // the first one's claim to it ended
    delay(v, two, CHANGE_RELEASE, 0);
    assert_true(sv_is(claim_body(v, "2")->plan, "kept"));
}

static void values_are_remembered_for_their_time(void **state) {
    struct env *v = *state;
    assert_null(get_state(v, v->shop, "profile:a@b.c"));
    put_state(v, v->shop, "profile:a@b.c", "one", LONG_MS);
    put_state(v, v->shop, "profile:a@b.c", "two", LONG_MS);
    assert_string_equal(get_state(v, v->shop, "profile:a@b.c"), "two");
    assert_null(get_state(v, v->other_shop, "profile:a@b.c"));
    put_state(v, v->shop, "short", "", SHORT_MS);
    assert_string_equal(get_state(v, v->shop, "short"), "");
    for (int64_t end = clock_mono_ms() + DEADLINE_MS; get_state(v, v->shop, "short") && clock_mono_ms() < end;)
        poll(NULL, 0, 5);
    assert_null(get_state(v, v->shop, "short"));
    accept_in(v, "1", NULL);
    const struct remembered r[] = {{SV("digest"), SV("d1"), LONG_MS}, {SV("profile:a@b.c"), SV("three"), LONG_MS}};
    struct change c = {.kind = CHANGE_RECORD, .job = claim_soon(v, LONG_MS), .lease_ms = LONG_MS, .remember = r, .remember_count = 2};
    assert_int_equal(commit(v, &c), RC_OK);
    assert_string_equal(get_state(v, v->shop, "digest"), "d1");
    assert_string_equal(get_state(v, v->shop, "profile:a@b.c"), "three");
}

struct appending {
    struct env *env;
    const char *text;
    int calls, others;  // others: how many write while we think
};

static struct sv append(void *ctx, struct arena *a, struct sv seen) {
    struct appending *p = ctx;
    if (p->calls++ < p->others)
        put_state(p->env, p->env->shop, "list", arena_fmt(a, "other%d,", p->calls).p, LONG_MS);
    return arena_fmt(a, SV_FMT "%s,", SV_ARG(seen), p->text);
}

static enum rc append_to_list(struct env *v, struct arena *a, struct appending *p) {
    const struct state_update u = {.key = SV("list"), .lifetime_ms = LONG_MS, .next = append, .ctx = p};
    return store_state_update(v->store, a, sv_of(v->shop), &u, NULL);
}

static void an_update_sees_what_came_between(void **state) {
    struct env *v = *state;
    struct appending alone = {.env = v, .text = "mine"}, late = {.env = v, .text = "late", .others = 2}, never = {.env = v, .text = "never", .others = 1 << 20};
    assert_int_equal(append_to_list(v, &v->arena, &alone), RC_OK);
    assert_int_equal(alone.calls, 1);
    assert_string_equal(get_state(v, v->shop, "list"), "mine,");
    assert_int_equal(append_to_list(v, &v->arena, &late), RC_OK);
    assert_int_equal(late.calls, 3);
    assert_string_equal(get_state(v, v->shop, "list"), "other2,late,");
    assert_int_equal(append_to_list(v, &v->arena, &never), RC_UNAVAILABLE);
    assert_null(strstr(get_state(v, v->shop, "list"), "never"));
}

static void *append_ten(void *arg) {
    struct appending *p = arg;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 10; i++)
        while (append_to_list(p->env, &a, p) != RC_OK) {
        }
    arena_free(&a);
    return NULL;
}

static void updates_of_many_threads_all_count(void **state) {
    struct env *v = *state;
    struct appending p = {.env = v, .text = "x"}, each[4] = {p, p, p, p};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_ten, &each[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(strlen(get_state(v, v->shop, "list")), 4 * 10 * 2);
}

static enum rc mark(struct env *v, const struct job *job, const char *plan, struct sv expect, const char *value, int64_t lifetime_ms) {
    const struct mark m = {SV("profile:1"), expect, sv_of(value), lifetime_ms};
    return commit(v, &(struct change){.kind = CHANGE_RECORD, .job = job, .lease_ms = LONG_MS, .plan = sv_of(plan), .marks = &m, .mark_count = 1});
}

static const char *marked(struct env *v) {
    struct err e = {0};
    struct lookup asked = {.shop = sv_of(v->shop), .key = SV("profile:1"), .mark = true};
    MUST(store_look_up(v->store, &v->arena, &asked, 1, &e));
    return asked.ret.p ? arena_cstr(&v->arena, asked.ret) : NULL;
}

static void many_are_looked_up_at_once(void **state) {
    struct env *v = *state;
    struct err e = {0};
    accept_in(v, "1", NULL);
    assert_int_equal(mark(v, claim_body(v, "1"), "a", SV_NONE, "i:1", LONG_MS), RC_OK);
    put_state(v, v->shop, "profile:1", "Ava", LONG_MS);
    put_state(v, "other", "profile:1", "Eva", LONG_MS);
    struct sv shop = sv_of(v->shop), key = SV("profile:1");
    struct lookup asked[] = {{.shop = shop, .key = key}, {.shop = shop}, {.shop = shop, .key = key, .mark = true},
                             {.shop = SV("other"), .key = key}, {.shop = SV("other"), .key = key, .mark = true}};
    MUST(store_look_up(v->store, &v->arena, asked, COUNTOF(asked), &e));
    assert_true(sv_is(asked[0].ret, "Ava"));
    assert_null(asked[1].ret.p);
    assert_true(sv_is(asked[2].ret, "i:1"));
    assert_true(sv_is(asked[3].ret, "Eva"));
    assert_null(asked[4].ret.p);
}

static void marks_change_only_from_what_was_seen(void **state) {
    struct env *v = *state;
    accept_in(v, "1", NULL);
    struct job *job = claim_body(v, "1");
    assert_null(marked(v));
    assert_int_equal(mark(v, job, "a", SV("i:1"), "i:2", LONG_MS), RC_CONFLICT);
    assert_null(marked(v));
    for (int i = 0; i < 2; i++)  // the answer to the first one was lost
        assert_int_equal(mark(v, job, "b", SV_NONE, "i:1", LONG_MS), RC_OK);
    assert_string_equal(marked(v), "i:1");
    assert_int_equal(mark(v, job, "c", SV_NONE, "i:3", LONG_MS), RC_CONFLICT);
    assert_int_equal(mark(v, job, "d", SV("i:2"), "i:3", LONG_MS), RC_CONFLICT);
    assert_int_equal(mark(v, job, "e", SV("i:1"), "d:1", SHORT_MS), RC_OK);
    for (int64_t end = clock_mono_ms() + DEADLINE_MS; marked(v) && clock_mono_ms() < end;)
        poll(NULL, 0, 5);
    assert_null(marked(v));
    assert_null(get_state(v, v->shop, "profile:1"));
    assert_int_equal(mark(v, job, "f", SV("d:1"), "i:4", LONG_MS), RC_CONFLICT);
    delay(v, job, CHANGE_RELEASE, 0);
    assert_true(sv_is(claim_body(v, "1")->plan, "e"));  // a conflict changes nothing, the plan neither
}

static void one_text_serves_four_purposes(void **state) {
    struct env *v = *state;
    const struct sv same = SV("email:a@b.c");
    put_state(v, v->shop, same.p, "state", LONG_MS);
    assert_int_equal(accept_in(v, same.p, same.p), ACCEPTED_NEW);
    struct job *job = claim_soon(v, LONG_MS);
    struct change c = {.kind = CHANGE_RECORD, .job = job, .lease_ms = LONG_MS, .reserve = &same, .reserve_count = 1,
                       .reserve_lifetime_ms = LONG_MS};
    assert_int_equal(commit(v, &c), RC_OK);
    assert_false(c.taken[0]);
    assert_int_equal(accept_in(v, "2", same.p), ACCEPTED_NEW);
    assert_string_equal(get_state(v, v->shop, same.p), "state");
    assert_int_equal(finish_as(v, job, JOB_DONE), RC_OK);
    assert_string_equal(claim_body(v, "2")->lane, job->lane);
}

// ---- the whole

static void shops_do_not_meet(void **state) {
    struct env *v = *state;
    struct err e = {0};
    accept_in(v, "1", "lane");
    struct sv key = SV("1"), lane = SV("lane");
    struct delivery d = hook(v, SV("of the other"));
    d.shop = sv_of(v->other_shop);
    d.keys = &key;
    d.lane_keys = &lane;
    d.key_count = d.lane_key_count = 1;
    assert_int_equal(take(v, d), ACCEPTED_NEW);
    claim_body(v, "1");
    assert_null(claim_now(v, LONG_MS));
    assert_int_equal(stats_of(v, v->shop).pending, 1);
    assert_int_equal(stats_of(v, v->other_shop).pending, 1);
    const struct claim both[] = {{.shop = sv_of(v->shop), .max = 5}, {.shop = sv_of(v->other_shop), .max = 5}};
    struct job *jobs = NULL;
    size_t n = 0;
    int64_t next;
    MUST(store_claim(v->store, &v->arena, both, 2, LONG_MS, &jobs, &n, &next, &e));
    assert_int_equal(n, 1);
    assert_true(sv_eq(jobs[0].shop, d.shop) && sv_is(jobs[0].body, "of the other"));
}

static void next_due_tells_when_to_come_back(void **state) {
    struct env *v = *state;
    struct job *jobs = NULL;
    int64_t next = -1;
    assert_int_equal(next_due_ms(v), INT64_MAX);
    accept_in(v, "1", NULL);
    accept_in(v, "2", NULL);
    assert_int_equal(next_due_ms(v), 0);
    assert_int_equal(claim_many(v, 1, LONG_MS, &jobs, &next), 1);
    assert_int_equal(next, 0);
    assert_int_equal(delay(v, &jobs[0], CHANGE_RETRY, LONG_MS / 2), RC_OK);
    assert_int_equal(claim_many(v, 5, LONG_MS, &jobs, &next), 1);
    assert_in_range(next, LONG_MS / 2 - DEADLINE_MS, LONG_MS / 2);
}

static void two_hundred_changes_in_one_commit(void **state) {
    struct env *v = *state;
    struct err e = {0};
    char key[16];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "%d", i);
        accept_in(v, key, NULL);
    }
    struct job *jobs = NULL;
    int64_t next;
    assert_int_equal(claim_many(v, 500, LONG_MS, &jobs, &next), 200);
    assert_int_equal(finish_as(v, &jobs[7], JOB_DONE), RC_OK);
    struct change c[200];
    for (size_t i = 0; i < 200; i++)
        c[i] = (struct change){.kind = i % 2 ? CHANGE_RETRY : CHANGE_FINISH, .job = &jobs[i], .state = JOB_DONE, .delay_ms = LONG_MS};
    MUST(store_commit(v->store, c, 200, &e));
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(c[i].result, i == 7 ? RC_STALE : RC_OK);
    assert_int_equal(stats_of(v, v->shop).done, 101);
}

static void a_restart_keeps_everything(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    accept_in(v, "2", "lane");
    accept_in(v, "3", "lane3");
    put_state(v, v->shop, "key", "value", LONG_MS);
    struct job *job = claim_body(v, "1");
    assert_int_equal(record_plan(v, job, "planned", 10 * SHORT_MS), RC_OK);
    assert_int_equal(delay(v, claim_body(v, "3"), CHANGE_RETRY, LONG_MS), RC_OK);
    env_close(v);
    env_open(v);
    assert_string_equal(get_state(v, v->shop, "key"), "value");
    assert_int_equal(accept_in(v, "2", "lane"), ACCEPTED_DUPLICATE);
    struct job *again = claim_body(v, "1");  // SQLite: at once; Redis: when the lease is over
    assert_true(sv_is(again->plan, "planned"));
    assert_int_equal(finish_as(v, job, JOB_DONE), RC_STALE);
    assert_int_equal(finish_as(v, again, JOB_DONE), RC_OK);
    assert_int_equal(finish_as(v, claim_body(v, "2"), JOB_DONE), RC_OK);
    assert_null(claim_now(v, LONG_MS));
    assert_int_equal(stats_of(v, v->shop).pending, 1);
}

static void another_seal_key_is_refused(void **state) {
    struct env *v = *state;
    struct err e = {0};
    accept_in(v, "1", "lane");
    env_close(v);
    v->seal_key[0] ^= 1;
    assert_int_equal(env_try_open(v, &e), RC_DENIED);
    assert_non_null(strstr(e.text, "seal_key"));
    v->seal_key[0] ^= 1;
    env_open(v);
    claim_body(v, "1");  // nothing was harmed
}

static void a_purge_takes_only_what_is_over(void **state) {
    struct env *v = *state;
    struct err e = {0};
    env_close(v);
    v->retention_ms = 0;
    env_open(v);
    accept_in(v, "1", "lane");
    accept_in(v, "2", "lane");
    put_state(v, v->shop, "key", "value", LONG_MS);
    assert_int_equal(finish_as(v, claim_body(v, "1"), JOB_DONE), RC_OK);
    struct sv shops[] = {sv_of(v->shop)};
    for (int i = 0; i < 3; i++)
        MUST(store_purge(v->store, shops, 1, &e));
    MUST(store_check(v->store, &e));
    assert_int_equal(accept_in(v, "1", "lane"), ACCEPTED_DUPLICATE);  // keys outlive bodies
    assert_string_equal(get_state(v, v->shop, "key"), "value");
    assert_int_equal(finish_as(v, claim_body(v, "2"), JOB_DONE), RC_OK);
    struct store_stats s = stats_of(v, v->shop);
    assert_true(s.accepted == 2 && s.done == 2);
}

static const struct store_case cases[] = {
    {"a_body_comes_back", a_body_comes_back},
    {"a_large_body_comes_back", a_large_body_comes_back},
    {"a_duplicate_is_known_by_each_key", a_duplicate_is_known_by_each_key},
    {"many_are_accepted_at_once_in_their_order", many_are_accepted_at_once_in_their_order},
    {"parallel_identical_accepts_make_one_job", parallel_identical_accepts_make_one_job},
    {"eight_threads_lose_nothing", eight_threads_lose_nothing},
    {"what_needs_no_work_is_recorded_at_once", what_needs_no_work_is_recorded_at_once},
    {"an_event_id_belongs_to_one_job", an_event_id_belongs_to_one_job},
    {"values_are_remembered_for_their_time", values_are_remembered_for_their_time},
    {"many_are_looked_up_at_once", many_are_looked_up_at_once},
    {"an_update_sees_what_came_between", an_update_sees_what_came_between},
    {"updates_of_many_threads_all_count", updates_of_many_threads_all_count},
    {"marks_change_only_from_what_was_seen", marks_change_only_from_what_was_seen},
    {"one_text_serves_four_purposes", one_text_serves_four_purposes},
    {"shops_do_not_meet", shops_do_not_meet},
    {"next_due_tells_when_to_come_back", next_due_tells_when_to_come_back},
    {"two_hundred_changes_in_one_commit", two_hundred_changes_in_one_commit},
    {"a_restart_keeps_everything", a_restart_keeps_everything},
    {"another_seal_key_is_refused", another_seal_key_is_refused},
    {"a_purge_takes_only_what_is_over", a_purge_takes_only_what_is_over},
};

int main(void) {
    return run_on_each_engine("store", cases, COUNTOF(cases));
}
