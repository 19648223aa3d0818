// test_store_look.c: what people ask of a store: which jobs there are, and to try a dead one again. Each case runs on each engine.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_engines.h"

// list_all: every page of a state; how many jobs, each once.
static size_t list_all(struct env *v, enum job_state state, size_t page, struct job_view *out, size_t most) {
    struct err e = {0};
    struct sv next = SV_NONE;
    size_t n = 0;
    do {
        struct job_view *jobs = NULL;
        size_t count = 0;
        struct job_query q = {.shop = sv_of(v->shop), .state = state, .after = next, .max = page};
        MUST(store_list(v->store, &v->arena, &q, &jobs, &count, &next, &e));
        for (size_t i = 0; i < count; i++) {
            bool seen = false;
            for (size_t k = 0; k < n; k++)
                seen |= strcmp(out[k].id, jobs[i].id) == 0;
            assert_true(seen || n < most);
            if (!seen)
                out[n++] = jobs[i];
        }
    } while (next.p);
    return n;
}

static void every_job_is_listed_in_its_state(void **state) {
    enum { MANY = 130 };
    struct env *v = *state;
    struct job_view found[MANY];
    static const enum job_state ends[] = {JOB_DONE, JOB_DEAD, JOB_IGNORED};
    for (int i = 0; i < MANY; i++)
        accept_wait(v, arena_cstr(&v->arena, arena_fmt(&v->arena, "k%d", i)), NULL, LONG_MS);
    struct job *jobs = NULL;
    int64_t next;
    size_t n = claim_many(v, 90, LONG_MS, &jobs, &next);
    assert_int_equal(n, 90);
    for (size_t i = 0; i < n; i++) {
        record_plan(v, &jobs[i], "{\"plan\":1}", LONG_MS);
        assert_int_equal(finish_as(v, &jobs[i], ends[i % 3]), RC_OK);
    }
    assert_int_equal(list_all(v, JOB_PENDING, 7, found, MANY), MANY - 90);
    for (size_t s = 0; s < 3; s++)
        for (size_t page = 1; page < 200; page += 66) {
            assert_int_equal(list_all(v, ends[s], page, found, MANY), 30);
            for (size_t i = 0; i < 30; i++) {
                assert_int_equal(found[i].state, ends[s]);
                assert_true(sv_is(found[i].source, "shopify") && sv_is(found[i].topic, "orders/create") && found[i].received_ms > 0);
                assert_true(sv_is(found[i].reason, "test") && sv_is(found[i].plan, "{\"plan\":1}"));
            }
        }
    snprintf(v->shop, sizeof v->shop, "%s", v->other_shop);
    assert_int_equal(list_all(v, JOB_DEAD, 10, found, MANY), 0);
}

static void a_page_that_never_was_is_refused(void **state) {
    struct env *v = *state;
    struct err e = {0};
    static const char *const odd[] = {"x", "-1", "1 2", "99999999999999999999999999999999999999999999999999999999999999999999999999"};
    for (size_t i = 0; i < COUNTOF(odd); i++) {
        struct job_query q = {.shop = sv_of(v->shop), .state = JOB_DEAD, .after = sv_of(odd[i]), .max = 5};
        struct job_view *jobs;
        size_t n;
        struct sv next;
        assert_int_equal(store_list(v->store, &v->arena, &q, &jobs, &n, &next, &e), RC_INVALID);
    }
}

static struct job_view find(struct env *v, const char *id) {
    struct err e = {0};
    struct job_view job;
    MUST(store_find(v->store, &v->arena, sv_of(v->shop), sv_of(id), &job, &e));
    return job;
}

static bool redrive(struct env *v, const char *id, struct sv plan) {
    struct err e = {0};
    bool redriven = false;
    MUST(store_redrive(v->store, sv_of(v->shop), sv_of(id), plan, &redriven, &e));
    return redriven;
}

static void a_dead_job_takes_its_place_again(void **state) {
    struct env *v = *state;
    for (int i = 1; i <= 5; i++)
        accept_in(v, arena_cstr(&v->arena, arena_fmt(&v->arena, "%d", i)), "lane");
    struct job *first = claim_body(v, "1");
    record_plan(v, first, "old plan", LONG_MS);
    record_progress(v, first, "a bit", LONG_MS);
    record_progress(v, first, "half way", LONG_MS);
    struct job_view half = find(v, first->id);
    assert_true(sv_is(half.plan, "old plan") && sv_is(half.progress, "half way"));
    assert_int_equal(finish_as(v, first, JOB_DEAD), RC_OK);
    struct job *second = claim_body(v, "2");
    assert_int_equal(finish_as(v, second, JOB_DEAD), RC_OK);
    struct job *third = claim_body(v, "3");  // is at work while the others come back
    assert_int_equal(stats_of(v, v->shop).dead, 2);
    assert_true(sv_is(find(v, first->id).plan, "old plan"));

    assert_true(redrive(v, second->id, SV_NONE));
    assert_true(redrive(v, first->id, SV("new plan")));
    assert_false(redrive(v, first->id, SV("another plan")));  // it is pending already
    assert_false(redrive(v, third->id, SV("another plan")));
    struct job_view view = find(v, first->id);
    assert_true(view.state == JOB_PENDING && !sv_present(view.reason) && sv_is(view.plan, "new plan") && !view.progress.p);
    struct store_stats s = stats_of(v, v->shop);
    assert_true(s.dead == 0 && s.pending == 5);

    assert_null(claim_now(v, LONG_MS));  // the head is not overtaken
    assert_int_equal(finish_as(v, third, JOB_DONE), RC_OK);
    for (const char *const *body = (const char *const[]){"1", "2", "4", "5", NULL}; *body; body++) {
        struct job *job = claim_body(v, *body);
        if (**body == '1')
            assert_true(sv_is(job->plan, "new plan") && !job->progress.p);
        assert_int_equal(job->claims, 1);
        assert_int_equal(finish_as(v, job, JOB_DONE), RC_OK);
    }
    assert_false(redrive(v, first->id, SV_NONE));  // it is done
    s = stats_of(v, v->shop);
    assert_true(s.done == 5 && s.pending == 0 && s.dead == 0);
}

static void a_dead_job_alone_runs_at_once(void **state) {
    struct env *v = *state;
    struct sv key = SV("broken");
    struct delivery d = hook(v, SV("{]"));
    d.keys = &key;
    d.key_count = 1;
    d.state = JOB_DEAD;
    d.reason = SV("undecodable");
    assert_int_equal(take(v, d), ACCEPTED_NEW);
    struct job_view found[2];
    assert_int_equal(list_all(v, JOB_DEAD, 5, found, 2), 1);
    assert_true(redrive(v, found[0].id, SV_NONE));
    struct job *job = claim_body(v, "{]");
    assert_string_equal(job->id, found[0].id);
    assert_int_equal(delay(v, job, CHANGE_RETRY, SHORT_MS), RC_OK);
    job = claim_body(v, "{]");
    assert_int_equal(finish_as(v, job, JOB_DEAD), RC_OK);
    assert_true(redrive(v, job->id, SV_NONE));  // as often as it dies
    assert_int_equal(take(v, d), ACCEPTED_DUPLICATE);
    assert_int_equal(finish_as(v, claim_body(v, "{]"), JOB_DONE), RC_OK);
}

static void a_back_off_is_kept(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    accept_in(v, "2", "lane");
    struct job *dead = claim_body(v, "1");
    assert_int_equal(finish_as(v, dead, JOB_DEAD), RC_OK);
    assert_int_equal(delay(v, claim_body(v, "2"), CHANGE_RETRY, LONG_MS), RC_OK);
    assert_true(redrive(v, dead->id, SV_NONE));
    assert_null(claim_now(v, LONG_MS));
    assert_true(next_due_ms(v) > LONG_MS / 2);
}

static void what_is_not_there_is_said(void **state) {
    struct env *v = *state;
    struct err e = {0};
    struct job_view job;
    bool redriven;
    static const char *const unknown[] = {"00112233445566778899aabbccddeeff", "", "x", "00112233445566778899aabbccddeef*", "00112233445566778899AABBCCDDEEFF"};
    for (size_t i = 0; i < COUNTOF(unknown); i++) {
        assert_int_equal(store_find(v->store, &v->arena, sv_of(v->shop), sv_of(unknown[i]), &job, &e), RC_NOT_FOUND);
        assert_int_equal(store_redrive(v->store, sv_of(v->shop), sv_of(unknown[i]), SV_NONE, &redriven, &e), RC_NOT_FOUND);
    }
    accept_in(v, "1", NULL);
    struct job *dead = claim_body(v, "1");
    assert_int_equal(finish_as(v, dead, JOB_DEAD), RC_OK);
    assert_int_equal(store_redrive(v->store, sv_of(v->other_shop), sv_of(dead->id), SV_NONE, &redriven, &e), RC_NOT_FOUND);
    assert_int_equal(find(v, dead->id).state, JOB_DEAD);
}

static const struct store_case cases[] = {
    {"every_job_is_listed_in_its_state", every_job_is_listed_in_its_state},
    {"a_page_that_never_was_is_refused", a_page_that_never_was_is_refused},
    {"a_dead_job_takes_its_place_again", a_dead_job_takes_its_place_again},
    {"a_dead_job_alone_runs_at_once", a_dead_job_alone_runs_at_once},
    {"a_back_off_is_kept", a_back_off_is_kept},
    {"what_is_not_there_is_said", what_is_not_there_is_said},
};

int main(void) {
    return run_on_each_engine("store: looking", cases, COUNTOF(cases));
}
