// test_store_lanes.c: order within a lane, leases and delays, on each engine.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_engines.h"

// ---- lanes

static void the_first_bound_key_names_the_lane(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "checkout:t1");
    assert_int_equal(accept_between(v, "2", "email:e1", "checkout:t1"), ACCEPTED_NEW);  // joins 1: the e-mail is new
    accept_in(v, "3", "email:e1");                            // joins 1 by the e-mail that 2 has bound
    accept_in(v, "4", "customer:c1");
    assert_int_equal(accept_between(v, "5", "customer:c1", "email:e1"), ACCEPTED_NEW);  // both are bound: the first decides, and the e-mail follows
    accept_in(v, "6", "email:e1");
    struct job *one = claim_body(v, "1"), *four = claim_body(v, "4");
    assert_null(claim_now(v, LONG_MS));
    static const char *const after_one[] = {"2", "3"}, *const after_four[] = {"5", "6"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(finish_as(v, one, JOB_DONE), RC_OK);
        struct job *next = claim_body(v, after_one[i]);
        assert_string_equal(next->lane, one->lane);
        one = next;
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(finish_as(v, four, JOB_DONE), RC_OK);
        struct job *next = claim_body(v, after_four[i]);
        assert_string_equal(next->lane, four->lane);
        four = next;
    }
}

static void without_lane_keys_nobody_waits(void **state) {
    struct env *v = *state;
    struct job *jobs = NULL;
    int64_t next;
    accept_in(v, "1", NULL);
    accept_in(v, "2", NULL);
    assert_int_equal(claim_many(v, 10, LONG_MS, &jobs, &next), 2);
    assert_string_not_equal(jobs[0].lane, jobs[1].lane);
}

static void only_the_head_runs_and_in_order(void **state) {
    struct env *v = *state;
    char key[8];
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "%d", i);
        accept_in(v, key, "email:a");
    }
    for (int i = 0; i < 20; i++) {
        struct job *jobs = NULL;
        int64_t next;
        snprintf(key, sizeof key, "%d", i);
        assert_int_equal(claim_many(v, 10, LONG_MS, &jobs, &next), 1);
        assert_true(sv_is(jobs[0].body, key));
        assert_null(claim_now(v, LONG_MS));
        assert_int_equal(finish_as(v, &jobs[0], JOB_DONE), RC_OK);
    }
    assert_null(claim_now(v, LONG_MS));
}

// ---- leases

static const enum change_kind every_kind[] = {CHANGE_RECORD, CHANGE_RETRY, CHANGE_HOLD, CHANGE_ASIDE, CHANGE_FINISH, CHANGE_RELEASE};

static void after_a_lease_the_old_token_is_stale(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    struct job *old = claim_soon(v, SHORT_MS);
    assert_null(claim_now(v, LONG_MS));
    struct job *now = claim_body(v, "1");
    assert_string_equal(now->id, old->id);
    assert_string_not_equal(now->token, old->token);
    assert_int_equal(now->claims, 2);
    struct sv reserve[] = {SV("event:1")};
    struct remembered r = {SV("key"), SV("value"), LONG_MS};
    for (size_t i = 0; i < COUNTOF(every_kind); i++) {
        struct change c = {.kind = every_kind[i], .job = old, .plan = SV("old"), .state = JOB_DONE, .reserve = reserve,
                           .reserve_count = 1, .reserve_lifetime_ms = LONG_MS, .remember = &r, .remember_count = 1};
        assert_int_equal(commit(v, &c), RC_STALE);
    }
    assert_null(get_state(v, v->shop, "key"));
    assert_null(claim_now(v, LONG_MS));  // none of them gave the lane back
    assert_int_equal(delay(v, now, CHANGE_RELEASE, 0), RC_OK);
    now = claim_body(v, "1");
    assert_null(now->plan.p);
    assert_int_equal(finish_as(v, now, JOB_DONE), RC_OK);
}

static void a_plan_comes_back_and_record_extends(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    struct job *job = claim_soon(v, LONG_MS);
    assert_int_equal(record_plan(v, job, "{\"plan\":1}", LONG_MS), RC_OK);
    assert_null(claim_now(v, LONG_MS));
    assert_int_equal(record_plan(v, job, "{\"plan\":2}", LONG_MS), RC_OK);
    assert_int_equal(record_progress(v, job, "{\"step\":1}", LONG_MS), RC_OK);
    assert_int_equal(record_plan(v, job, NULL, SHORT_MS), RC_OK);  // absent: unchanged
    job = claim_body(v, "1");
    assert_true(sv_is(job->plan, "{\"plan\":2}") && sv_is(job->progress, "{\"step\":1}"));
    assert_int_equal(job->claims, 1);  // since the outcome that was recorded
}

static void a_record_may_leave_the_lease(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    struct job *job = claim_soon(v, LONG_MS / 2);
    struct change stays = {.kind = CHANGE_RECORD, .job = job, .plan = SV("plan"), .lease_ms = 3 * LONG_MS, .lease_stays = true};
    assert_int_equal(commit(v, &stays), RC_OK);
    assert_in_range(next_due_ms(v), 1, LONG_MS / 2);
    stays.lease_stays = false;
    assert_int_equal(commit(v, &stays), RC_OK);
    assert_in_range(next_due_ms(v), 2 * LONG_MS, 3 * LONG_MS);
    assert_int_equal(finish_as(v, job, JOB_DONE), RC_OK);
}

// A change that was long on its way: the claim that comes with it must not give the job to somebody else.
static void a_lease_that_is_over_does_not_stay(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    struct change stays = {.kind = CHANGE_RECORD, .job = claim_soon(v, SHORT_MS), .lease_ms = LONG_MS, .lease_stays = true};
    for (int64_t end = clock_mono_ms() + DEADLINE_MS; next_due_ms(v) > 0 && clock_mono_ms() < end;)
        poll(NULL, 0, 2);
    assert_int_equal(commit(v, &stays), RC_OK);
    assert_null(claim_now(v, LONG_MS));
    assert_int_equal(finish_as(v, stays.job, JOB_DONE), RC_OK);
}

// Or a job whose process is killed again and again after it got on would pass for one that kills it.
static void a_record_is_an_outcome_though_the_lease_stays(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    claim_soon(v, SHORT_MS);
    struct job *job = claim_soon(v, LONG_MS);
    assert_int_equal(job->claims, 2);
    assert_int_equal(commit(v, &(struct change){.kind = CHANGE_RECORD, .job = job, .lease_ms = LONG_MS, .lease_stays = true}), RC_OK);
    assert_int_equal(delay(v, job, CHANGE_RELEASE, 0), RC_OK);
    assert_int_equal(claim_soon(v, LONG_MS)->claims, 1);
}

static void claims_count_up_to_an_outcome(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    for (int i = 1; i <= 3; i++)
        assert_int_equal(claim_soon(v, SHORT_MS)->claims, i);
    struct job *job = claim_soon(v, LONG_MS);
    assert_int_equal(job->claims, 4);
    assert_int_equal(delay(v, job, CHANGE_RELEASE, 0), RC_OK);
    job = claim_soon(v, LONG_MS);
    assert_int_equal(job->claims, 4);  // the released claim does not count
    assert_int_equal(delay(v, job, CHANGE_RETRY, 0), RC_OK);
    job = claim_soon(v, LONG_MS);
    assert_int_equal(job->claims, 1);
    assert_int_equal(delay(v, job, CHANGE_HOLD, 0), RC_OK);
    assert_int_equal(claim_soon(v, LONG_MS)->claims, 1);
}

static void a_retry_waits(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    int64_t before = clock_mono_ms();
    assert_int_equal(delay(v, claim_soon(v, LONG_MS), CHANGE_RETRY, SHORT_MS), RC_OK);
    struct job *job = claim_body(v, "1");
    assert_true(clock_mono_ms() - before >= SHORT_MS);
    assert_int_equal(delay(v, job, CHANGE_RETRY, LONG_MS), RC_OK);
    assert_null(claim_now(v, LONG_MS));
    assert_in_range(next_due_ms(v), LONG_MS - DEADLINE_MS, LONG_MS);
    assert_int_equal(accept_wait(v, "2", "lane", 0), ACCEPTED_NEW);  // a newcomer does not shorten a back-off
    assert_null(claim_now(v, LONG_MS));
}

static void a_newcomer_ends_a_hold(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    assert_int_equal(delay(v, claim_soon(v, LONG_MS), CHANGE_HOLD, LONG_MS), RC_OK);
    assert_int_equal(accept_wait(v, "2", "lane", LONG_MS / 2), ACCEPTED_NEW);
    assert_null(claim_now(v, LONG_MS));
    assert_in_range(next_due_ms(v), 1, LONG_MS / 2 + SHORT_MS);  // the webhook's clock and the store's are two
    assert_int_equal(accept_wait(v, "3", "lane", SHORT_MS), ACCEPTED_NEW);
    struct job *job = claim_body(v, "1");
    assert_int_equal(delay(v, job, CHANGE_HOLD, LONG_MS), RC_OK);  // 3 still stands behind, and its time is over
    job = claim_body(v, "1");
    assert_true(job->hurry_ms != 0 && job->hurry_ms <= clock_wall_ms());
}

static void a_lease_is_not_shortened_by_a_newcomer(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    assert_int_equal(delay(v, claim_soon(v, LONG_MS), CHANGE_HOLD, 0), RC_OK);
    struct job *job = claim_soon(v, LONG_MS);
    accept_wait(v, "2", "lane", 0);
    assert_null(claim_now(v, LONG_MS));
    assert_int_equal(finish_as(v, job, JOB_DONE), RC_OK);
}

static void the_head_hears_who_waits_behind(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    int64_t before = clock_wall_ms();
    accept_wait(v, "2", "lane", 900);
    accept_wait(v, "3", "lane", 500);
    accept_wait(v, "4", "lane", 700);
    accept_wait(v, "5", "another", 100);
    int64_t hurry = claim_body(v, "1")->hurry_ms;
    assert_in_range(hurry, before + 500, clock_wall_ms() + 500);
    assert_int_equal(claim_body(v, "5")->hurry_ms, 0);
}

static void aside_lets_the_lane_go_on(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    accept_in(v, "2", "lane");
    struct job *one = claim_body(v, "1");
    struct change aside = {.kind = CHANGE_ASIDE, .job = one, .plan = SV("later"), .delay_ms = SHORT_MS};
    assert_int_equal(commit(v, &aside), RC_OK);
    assert_int_equal(commit(v, &aside), RC_STALE);
    struct job *two = claim_body(v, "2");
    assert_string_equal(two->lane, one->lane);
    one = claim_body(v, "1");
    assert_string_not_equal(one->lane, two->lane);
    assert_true(sv_is(one->plan, "later"));
    assert_int_equal(one->claims, 1);
    assert_int_equal(delay(v, one, CHANGE_ASIDE, SHORT_MS), RC_OK);  // again, from the lane of its own
    assert_int_equal(finish_as(v, two, JOB_DONE), RC_OK);
    assert_int_equal(finish_as(v, claim_body(v, "1"), JOB_DONE), RC_OK);
    assert_int_equal(stats_of(v, v->shop).done, 2);
    assert_int_equal(next_due_ms(v), INT64_MAX);
}

static void a_release_is_as_if_never_claimed(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    assert_int_equal(delay(v, claim_soon(v, LONG_MS), CHANGE_RELEASE, LONG_MS), RC_OK);
    struct job *job = claim_now(v, LONG_MS);
    assert_non_null(job);
    assert_int_equal(job->claims, 1);
}

static void waking_ends_back_offs_but_no_leases(void **state) {
    struct env *v = *state;
    struct err e = {0};
    accept_in(v, "1", "lane1");
    assert_int_equal(delay(v, claim_soon(v, LONG_MS), CHANGE_RETRY, LONG_MS), RC_OK);
    accept_in(v, "2", "lane2");
    struct job *leased = claim_body(v, "2");
    MUST(store_wake(v->store, sv_of(v->other_shop), &e));
    assert_null(claim_now(v, LONG_MS));
    MUST(store_wake(v->store, sv_of(v->shop), &e));
    claim_body(v, "1");
    assert_null(claim_now(v, LONG_MS));
    assert_int_equal(finish_as(v, leased, JOB_DONE), RC_OK);
}

// What came while others waited is had first, the last first; what was woken did not come lately, and none comes twice.
static void what_is_due_lately_is_claimed_before_the_rest(void **state) {
    struct env *v = *state;
    struct err e = {0};
    struct job *jobs = NULL;
    size_t n = 0;
    int64_t next = 0;
    accept_in(v, "1", "lane1");
    assert_int_equal(delay(v, claim_body(v, "1"), CHANGE_RETRY, LONG_MS), RC_OK);
    accept_in(v, "3", "lane3");
    accept_in(v, "4", "lane4");
    accept_in(v, "5", "lane5");
    MUST(store_wake(v->store, sv_of(v->shop), &e));
    static const struct {
        size_t max, lately;
        const char *bodies;
    } rows[] = {{1, 1, "51"}, {0, 1, "4"}, {1, 5, "3"}, {5, 5, ""}};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct claim c = {.shop = sv_of(v->shop), .max = rows[i].max, .lately = rows[i].lately};
        char bodies[8] = "";
        MUST(store_claim(v->store, &v->arena, &c, 1, LONG_MS, &jobs, &n, &next, &e));
        for (size_t k = 0; k < n; k++)
            bodies[k] = jobs[k].body.p[0];
        assert_string_equal(bodies, rows[i].bodies);
    }
}

static void until_later(void) {
    for (int64_t now = clock_wall_ms(); clock_wall_ms() == now;)
        ;
}

// A lane that goes on while something comes is no later than that because of it.
static void the_next_of_a_lane_is_due_since_it_came(void **state) {
    struct env *v = *state;
    struct err e = {0};
    struct job *jobs = NULL;
    size_t n = 0;
    int64_t next = 0;
    accept_in(v, "1", "lane1");
    accept_in(v, "2", "lane1");
    struct job *first = claim_body(v, "1");
    until_later();
    accept_in(v, "3", "lane3");
    until_later();
    assert_int_equal(finish_as(v, first, JOB_DONE), RC_OK);
    struct claim lately = {.shop = sv_of(v->shop), .lately = 1};
    MUST(store_claim(v->store, &v->arena, &lately, 1, LONG_MS, &jobs, &n, &next, &e));
    assert_int_equal(n, 1);
    assert_true(sv_is(jobs[0].body, "3"));
    claim_body(v, "2");
}

static void every_end_is_counted(void **state) {
    struct env *v = *state;
    static const enum job_state ends[] = {JOB_DONE, JOB_DEAD, JOB_IGNORED, JOB_DONE};
    char key[8];
    for (int i = 0; i < 6; i++) {
        snprintf(key, sizeof key, "%d", i);
        accept_in(v, key, "lane");
    }
    for (size_t i = 0; i < COUNTOF(ends); i++)
        assert_int_equal(finish_as(v, claim_soon(v, LONG_MS), ends[i]), RC_OK);
    struct store_stats s = stats_of(v, v->shop);
    assert_true(s.accepted == 6 && s.pending == 2 && s.done == 2 && s.dead == 1 && s.ignored == 1);
    assert_int_equal(s.oldest_pending_ms, claim_body(v, "4")->received_ms);
}

static void a_repeated_finish_is_no_error(void **state) {
    struct env *v = *state;
    accept_in(v, "1", "lane");
    accept_in(v, "2", "lane");
    struct job *job = claim_body(v, "1");
    assert_int_equal(finish_as(v, job, JOB_DONE), RC_OK);
    assert_int_equal(finish_as(v, job, JOB_DONE), RC_OK);
    assert_int_equal(delay(v, job, CHANGE_RETRY, 0), RC_STALE);
    assert_int_equal(stats_of(v, v->shop).done, 1);
    claim_body(v, "2");
}

static const struct store_case cases[] = {
    {"the_first_bound_key_names_the_lane", the_first_bound_key_names_the_lane},
    {"without_lane_keys_nobody_waits", without_lane_keys_nobody_waits},
    {"only_the_head_runs_and_in_order", only_the_head_runs_and_in_order},
    {"after_a_lease_the_old_token_is_stale", after_a_lease_the_old_token_is_stale},
    {"a_plan_comes_back_and_record_extends", a_plan_comes_back_and_record_extends},
    {"a_record_may_leave_the_lease", a_record_may_leave_the_lease},
    {"a_lease_that_is_over_does_not_stay", a_lease_that_is_over_does_not_stay},
    {"a_record_is_an_outcome_though_the_lease_stays", a_record_is_an_outcome_though_the_lease_stays},
    {"claims_count_up_to_an_outcome", claims_count_up_to_an_outcome},
    {"a_retry_waits", a_retry_waits},
    {"a_newcomer_ends_a_hold", a_newcomer_ends_a_hold},
    {"a_lease_is_not_shortened_by_a_newcomer", a_lease_is_not_shortened_by_a_newcomer},
    {"the_head_hears_who_waits_behind", the_head_hears_who_waits_behind},
    {"aside_lets_the_lane_go_on", aside_lets_the_lane_go_on},
    {"a_release_is_as_if_never_claimed", a_release_is_as_if_never_claimed},
    {"waking_ends_back_offs_but_no_leases", waking_ends_back_offs_but_no_leases},
    {"what_is_due_lately_is_claimed_before_the_rest", what_is_due_lately_is_claimed_before_the_rest},
    {"the_next_of_a_lane_is_due_since_it_came", the_next_of_a_lane_is_due_since_it_came},
    {"every_end_is_counted", every_end_is_counted},
    {"a_repeated_finish_is_no_error", a_repeated_finish_is_no_error},
};

int main(void) {
    return run_on_each_engine("store_lanes", cases, COUNTOF(cases));
}
