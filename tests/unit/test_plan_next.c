// plan_next as stories: at a time, what comes next; what the attempt gave, when there was one.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_fixture.h"

struct turn {
    int64_t at;                       // since T0
    int64_t closed[2], hurry;         // until then Meta, Klaviyo; since T0; 0: none
    int64_t again[2];                 // since then they answer again; since T0; 0: they were not out
    bool expires;                     // something has become too late
    enum action_kind is;
    size_t step, event;
    int64_t wait, worth, most;        // most 0: whatever it is
    bool hold, dead;
    const char *reason;               // FINISH: of what failed; klaviyo.event SEND: the capi_status in its body
    enum { NOTHING, ANSWER, HOLD_BACK } then;
    enum outcome_kind answer;         // with the longest back-off
    bool amend;
    int64_t retry_after;
};

#define FAILS .then = ANSWER, .answer = OUTCOME_RETRY
#define WORKS .then = ANSWER, .answer = OUTCOME_SENT
#define PAUSED .then = ANSWER, .answer = OUTCOME_PAUSE
#define THROTTLED .then = ANSWER, .answer = OUTCOME_THROTTLED
#define REFUSED .then = ANSWER, .answer = OUTCOME_REJECT, .amend = true
#define REJECTED .then = ANSWER, .answer = OUTCOME_REJECT

static void answer(struct plan *p, const struct turn *t, const struct action *a) {
    int64_t now = T0 + t->at;
    const struct step *s = &p->events[a->event].steps[a->step];
    plan_tell(&arena, p, a->event, a->step);
    assert_true(sv_present(s->draft.body));
    if (a->step == EVENT && t->reason)
        assert_true(sv_contains_nocase(s->draft.body, arena_fmt(&arena, "\"capi_status\":\"%s\"", t->reason)));
    struct recorded_plan recorded = {0};
    plan_note(p, &recorded);
    assert_true(plan_in_order(&recorded, a->event, a->step));
    // the longest back-off of n attempts is 2^(n-1) s
    uint64_t random = ((uint64_t)1000 << s->attempts) - 1;
    struct outcome o = {.kind = t->answer, .amend = t->amend, .retry_after_ms = t->retry_after, .reason = SV("said no")};
    plan_outcome(&arena, p, a->event, a->step, &o, now, random);
}

// What a closed destination keeps from beginning is noted as held back, as the dispatcher does.
static void hold_back(struct plan *p, const struct turn *t, const struct action *a) {
    plan_outcome(&arena, p, a->event, a->step, &(struct outcome){.kind = OUTCOME_PAUSE, .reason = SV("closed")}, T0 + t->at, 0);
}

static void play(struct plan *p, const struct turn *turns, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct turn *t = &turns[i];
        int64_t meta = t->closed[0] ? T0 + t->closed[0] : 0, klaviyo = t->closed[1] ? T0 + t->closed[1] : 0;
        int64_t meta_again = t->again[0] ? T0 + t->again[0] : 0, klaviyo_again = t->again[1] ? T0 + t->again[1] : 0;
        struct closed closed = {{meta, klaviyo, klaviyo, klaviyo}, {meta_again, klaviyo_again, klaviyo_again, klaviyo_again}};
        if (plan_expire(p, T0 + t->at) != t->expires)
            fail_msg("turn %zu at %lld: expires", i, (long long)t->at);
        struct action a = plan_next(p, &closed, T0 + t->at, t->hurry ? T0 + t->hurry : 0);
        if (a.kind != t->is || a.step != t->step || a.event != t->event || a.wait_ms != t->wait || a.hold != t->hold || a.dead != t->dead ||
            a.worth_ms != t->worth || (t->most != 0 && a.most_ms != t->most))
            fail_msg("turn %zu at %lld: kind %d event %zu step %zu wait %lld worth %lld most %lld hold %d dead %d", i, (long long)t->at,
                     (int)a.kind, a.event, a.step, (long long)a.wait_ms, (long long)a.worth_ms, (long long)a.most_ms, a.hold, a.dead);
        if (a.kind == ACTION_FINISH)
            expect_text(a.reason, t->reason, i);
        if (a.kind == ACTION_ASIDE)
            p->aside = true;
        if (t->then == ANSWER)
            answer(p, t, &a);
        if (t->then == HOLD_BACK)
            hold_back(p, t, &a);
    }
}
#define PLAY(p, ...) play((p), (const struct turn[]){__VA_ARGS__}, sizeof((const struct turn[]){__VA_ARGS__}) / sizeof(struct turn))

static void purchase_goes_on_after_ten_seconds(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, FAILS},
         {0, .is = ACTION_WAIT, .wait = 1000},
         {999, .is = ACTION_WAIT, .wait = 1},
         {1000, .is = ACTION_SEND, .worth = 10000, FAILS},
         {3000, .is = ACTION_SEND, .worth = 8000, FAILS},
         {7000, .is = ACTION_SEND, .worth = 4000, FAILS},
         {7000, .is = ACTION_WAIT, .wait = 3000},
         {10000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {10001, .is = ACTION_ASIDE, .wait = 4999},
         {10001, .is = ACTION_WAIT, .wait = 4999},
         {15000, .is = ACTION_SEND, .worth = NEVER, WORKS},
         {15000, .is = ACTION_FINISH});
    assert_int_equal(p.events[0].steps[META].attempts, 5);
}

// After an outage what it made fail is due; what fails after it waits for its own back-off, and so does what the destination set a time for.
static void due_when_it_answers_again(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, FAILS},
         {200, .is = ACTION_WAIT, .wait = 800},
         {300, .again = {300}, .is = ACTION_SEND, .worth = 10700, FAILS},
         {300, .again = {299}, .is = ACTION_WAIT, .wait = 2000},
         {400, .again = {299}, .is = ACTION_WAIT, .wait = 1900},
         {2300, .again = {299}, .is = ACTION_SEND, .worth = 8700, .then = ANSWER, .answer = OUTCOME_RETRY, .retry_after = 6000},
         {2400, .again = {2400}, .is = ACTION_WAIT, .wait = 5900},
         {8300, .again = {2400}, .is = ACTION_SEND, .worth = 2700, WORKS},
         {8300, .again = {2400}, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, FAILS},
         {8400, .again = {8400}, .is = ACTION_WAIT, .step = EVENT, .wait = 900},
         {8400, .again = {0, 8400}, .closed = {0, 9000}, .is = ACTION_WAIT, .step = EVENT, .wait = 600},
         {8400, .again = {0, 8400}, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, WORKS},
         {8400, .is = ACTION_FINISH});
}

static void aside_it_goes_on_when_it_answers_again(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, FAILS},
         {1000, .is = ACTION_SEND, .worth = 10000, FAILS},
         {3000, .is = ACTION_SEND, .worth = 8000, FAILS},
         {9999, .is = ACTION_SEND, .worth = 1001, FAILS},
         {10000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {10001, .is = ACTION_ASIDE, .wait = 7998},
         {10100, .again = {10050}, .is = ACTION_SEND, .worth = NEVER, WORKS},
         {10100, .is = ACTION_FINISH});
}

static void success_at_once(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, WORKS},
         {100, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", FAILS},
         {100, .is = ACTION_WAIT, .step = EVENT, .wait = 1000},
         {1100, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, WORKS},
         {1100, .is = ACTION_FINISH});
}

static void rejected_by_meta(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, REJECTED},
         {0, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "failed", WORKS},
         {0, .is = ACTION_FINISH, .dead = true, .reason = "said no"});
    p = plan_for(EVENT_LEAD);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = NEVER, REJECTED},
         {0, .is = ACTION_FINISH, .dead = true, .reason = "said no"});
    assert_int_equal(p.events[0].steps[EVENT].state, STEP_SKIPPED);
    expect_text(p.events[0].steps[EVENT].reason, "meta failed", 0);
}

static void checkout_holds_fifteen_minutes(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_CHECKOUT_STARTED);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 901000, FAILS, .retry_after = MINUTES_MS(20)},
         {0, .is = ACTION_WAIT, .wait = MINUTES_MS(15), .hold = true},
         {899999, .is = ACTION_WAIT, .wait = 1, .hold = true},
         {900000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {900000, .is = ACTION_ASIDE, .wait = MINUTES_MS(5)},
         {MINUTES_MS(20), .is = ACTION_SEND, .worth = NEVER, WORKS},
         {MINUTES_MS(20), .is = ACTION_FINISH});
}

// A wait may be put off until somebody loses patience, or another step is due.
static void how_long_a_wait_may_be_put_off(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_CHECKOUT_STARTED);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 901000, FAILS},
         {0, .is = ACTION_WAIT, .wait = 1000, .most = MINUTES_MS(15), .hold = true},
         {500, .hurry = 700, .is = ACTION_WAIT, .wait = 200, .most = 200, .hold = true},
         {1000, .is = ACTION_SEND, .worth = 900000, FAILS, .retry_after = MINUTES_MS(20)},
         {1000, .is = ACTION_WAIT, .wait = 899000, .most = 899000, .hold = true},
         {900000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", FAILS},
         {900000, .is = ACTION_WAIT, .step = EVENT, .wait = 1000, .most = 301000},
         {901000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", FAILS, .retry_after = MINUTES_MS(10)},
         {901000, .is = ACTION_WAIT, .wait = 300000, .most = 600000},
         {1201000, .is = ACTION_SEND, .worth = 1000, FAILS, .retry_after = MINUTES_MS(30)},
         {1501000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {1501000, .is = ACTION_ASIDE, .wait = MINUTES_MS(25), .most = NEVER});
}

// What is due when the lane goes on without it waits for its turn like all others.
static void aside_waits_for_its_turn(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, FAILS},
         {10000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {10000, .is = ACTION_ASIDE, .most = NEVER});
}

static void hurry_shortens_a_hold_only(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_CHECKOUT_STARTED);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 901000, FAILS, .retry_after = MINUTES_MS(20)},
         {0, .hurry = 10000, .is = ACTION_WAIT, .wait = 10000, .hold = true},
         {9999, .hurry = 10000, .is = ACTION_WAIT, .wait = 1, .hold = true},
         {10000, .hurry = 10000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {10000, .hurry = 10000, .is = ACTION_ASIDE, .wait = MINUTES_MS(20) - 10000});
    p = plan_for(EVENT_CHECKOUT_STARTED);  // an answer that comes too late for those behind is not worth waiting for
    PLAY(&p, {0, .hurry = 2000, .is = ACTION_SEND, .worth = 3000},
         {5000, .hurry = 2000, .is = ACTION_SEND, .worth = 1000});
    p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .hurry = 1, .is = ACTION_SEND, .worth = 11000, FAILS, .retry_after = 60000},
         {1, .hurry = 1, .is = ACTION_WAIT, .wait = 9999});
}

static void stop_waits_for_success(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_LEAD);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = NEVER, FAILS, .retry_after = 20000},
         {0, .is = ACTION_WAIT, .wait = 10000, .hold = true},
         {10000, .is = ACTION_ASIDE, .wait = 10000},
         {20000, .is = ACTION_SEND, .worth = NEVER, WORKS},
         {20000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", WORKS},
         {20000, .is = ACTION_FINISH});
}

static void closed_destinations(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, {30000}, .is = ACTION_WAIT, .wait = 30000},  // PENDING: nothing overtakes it
         {29999, {30000}, .is = ACTION_WAIT, .wait = 1},
         {30000, {30000}, .is = ACTION_SEND, .worth = 11000, .then = ANSWER, .answer = OUTCOME_PAUSE},
         {30000, {90000}, .is = ACTION_WAIT, .wait = 10000},  // tried: now patience runs
         {40000, {90000}, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying"},
         {40000, {90000, 60000}, .is = ACTION_WAIT, .step = EVENT, .wait = 20000},
         {60000, {90000, 60000}, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {60000, {90000}, .is = ACTION_ASIDE, .wait = 30000},
         {60000, {90000}, .is = ACTION_WAIT, .wait = 30000},
         {60000, .is = ACTION_SEND, .worth = NEVER, WORKS},
         {60000, .is = ACTION_FINISH});
    assert_int_equal(p.events[0].steps[META].attempts, 1);
    p = plan_for(EVENT_PURCHASE);  // the later of back-off and gate
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, FAILS, .retry_after = 5000},
         {0, {3000}, .is = ACTION_WAIT, .wait = 5000},
         {0, {7000}, .is = ACTION_WAIT, .wait = 7000});
}

static void clock_that_jumps_back(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {HOURS_MS(3), .is = ACTION_SEND, .worth = 11000, FAILS, .retry_after = 60000},
         {0, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},  // its patience cannot be told: it is over
         {0, .is = ACTION_ASIDE},                                                               // due when the clock was wrong: due now
         {0, .is = ACTION_SEND, .worth = NEVER, FAILS},
         {0, .is = ACTION_WAIT, .wait = 2000});
    p = plan_for(EVENT_PURCHASE);  // a small step back only makes it wait that much longer
    PLAY(&p, {5000, .is = ACTION_SEND, .worth = 11000, FAILS, .retry_after = 60000},
         {3000, .is = ACTION_WAIT, .wait = 12000},
         {15000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying"});
}

static void several_events(void **state) {
    (void)state;
    struct shop shop = shop_of_both();
    struct event events[] = {event_at(EVENT_PURCHASE, "evt_1", T0), event_at(EVENT_REFUND, "evt_2", T0), event_at(EVENT_PURCHASE, "evt_3", T0)};
    struct plan p = plan_of(&shop, events, COUNTOF(events), T0);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, FAILS, .retry_after = 40000},
         {0, .is = ACTION_WAIT, .wait = 10000},  // one after the other
         {10000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {10000, .is = ACTION_SEND, .event = 1, .step = EVENT, .worth = NEVER, .reason = "skipped", REJECTED},
         {10000, .is = ACTION_SEND, .event = 2, .worth = 11000, FAILS, .retry_after = 15000},
         {20000, .is = ACTION_SEND, .event = 2, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {20000, .is = ACTION_ASIDE, .event = 2, .wait = 5000, .most = NEVER},
         {20000, .is = ACTION_WAIT, .event = 2, .wait = 5000},  // the one that is due first
         {25000, .is = ACTION_SEND, .event = 2, .worth = NEVER, WORKS},
         {25000, .is = ACTION_WAIT, .wait = 15000},
         {40000, .is = ACTION_SEND, .worth = NEVER, WORKS},
         {40000, .is = ACTION_FINISH, .event = 1, .step = EVENT, .dead = true, .reason = "said no"});
    p = plan_of(&shop, events, COUNTOF(events), T0);  // what waits for Meta may be put off until something is due at Klaviyo
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, FAILS, .retry_after = 40000},
         {10000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {10000, .is = ACTION_SEND, .event = 1, .step = EVENT, .worth = NEVER, .reason = "skipped", WORKS},
         {10000, .is = ACTION_SEND, .event = 2, .worth = 11000, FAILS, .retry_after = 15000},
         {20000, .is = ACTION_SEND, .event = 2, .step = EVENT, .worth = NEVER, .reason = "retrying", FAILS, .retry_after = 10000},
         {20000, .is = ACTION_WAIT, .event = 2, .wait = 5000, .most = 10000});
    p = plan_of(&shop, events, COUNTOF(events), T0);
    plan_skip(&p, 0, SV("duplicate event"));
    PLAY(&p, {0, .is = ACTION_SEND, .event = 1, .step = EVENT, .worth = NEVER});
}

// ---- the profile before the event, the list after it

static void four_steps(void **state) {
    (void)state;
    struct plan p = full_plan_for(EVENT_SIGN_UP);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, WORKS},
         {1, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, WORKS},
         {2, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", WORKS},
         {3, .is = ACTION_SEND, .step = LIST, .worth = NEVER, WORKS},
         {4, .is = ACTION_FINISH});
}

static void profile_that_is_not_reached(void **state) {
    (void)state;
    struct plan p = full_plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, WORKS},
         {100, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, FAILS},
         {100, .is = ACTION_WAIT, .step = PROFILE, .wait = 1000},
         {1100, .is = ACTION_SEND, .step = PROFILE, .worth = PATIENCE_MS, FAILS},  // not longer than the event waits for it
         {3100, .is = ACTION_SEND, .step = PROFILE, .worth = PATIENCE_MS - 2000, FAILS, .retry_after = 20000},
         {3100, .is = ACTION_WAIT, .step = PROFILE, .wait = PATIENCE_MS - 3000},
         {PATIENCE_MS + 99, .is = ACTION_WAIT, .step = PROFILE, .wait = 1},
         {PATIENCE_MS + 100, .expires = true, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", WORKS},
         {PATIENCE_MS + 100, .is = ACTION_FINISH});
    assert_int_equal(p.events[0].steps[PROFILE].state, STEP_SKIPPED);
    p = full_plan_for(EVENT_PURCHASE);  // a destination that throttles each attempt holds nobody up for longer either
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, WORKS},
         {0, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, THROTTLED, .retry_after = 3000},
         {0, {0, 3000}, .is = ACTION_WAIT, .step = PROFILE, .wait = 3000},
         {3000, .is = ACTION_SEND, .step = PROFILE, .worth = PATIENCE_MS - 2000, THROTTLED, .retry_after = 9000},
         {3000, {0, 12000}, .is = ACTION_WAIT, .step = PROFILE, .wait = PATIENCE_MS - 3000},
         {PATIENCE_MS, {0, 12000}, .expires = true, .is = ACTION_WAIT, .step = EVENT, .wait = 12000 - PATIENCE_MS, .then = HOLD_BACK},
         {12000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", WORKS},
         {12000, .is = ACTION_FINISH});
    p = full_plan_for(EVENT_PURCHASE);  // a clock that was wrong
    PLAY(&p, {HOURS_MS(3), .is = ACTION_SEND, .worth = 11000, WORKS},
         {HOURS_MS(3), .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, FAILS},
         {0, .expires = true, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", WORKS},
         {0, .is = ACTION_FINISH});
}

static void profile_that_is_held_back(void **state) {
    (void)state;
    struct plan p = full_plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, {0, 60000}, .is = ACTION_SEND, .worth = 11000, WORKS},
         {0, {0, 60000}, .is = ACTION_WAIT, .step = PROFILE, .wait = 60000, .then = HOLD_BACK},
         {0, {0, 60000}, .is = ACTION_WAIT, .step = PROFILE, .wait = 60000},
         {59999, {0, 60000}, .is = ACTION_WAIT, .step = PROFILE, .wait = 1},
         {60000, {0, 60000}, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, WORKS},  // it goes first
         {60000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, WORKS},
         {60000, .is = ACTION_FINISH});
    p = full_plan_for(EVENT_PURCHASE);  // it opens, but not for long
    PLAY(&p, {0, {0, 60000}, .is = ACTION_SEND, .worth = 11000, WORKS},
         {0, {0, 60000}, .is = ACTION_WAIT, .step = PROFILE, .wait = 60000, .then = HOLD_BACK},
         {60000, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, PAUSED},
         {60000, {0, 120000}, .is = ACTION_WAIT, .step = PROFILE, .wait = 60000},
         {120000, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, WORKS},
         {120000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, WORKS});
}

static void profile_that_is_refused(void **state) {
    (void)state;
    struct plan p = full_plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, WORKS},
         {0, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, REJECTED},
         {0, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", WORKS},
         {0, .is = ACTION_FINISH});  // and the job is not dead
    assert_int_equal(p.events[0].steps[PROFILE].state, STEP_FAILED);
    p = full_plan_for(EVENT_PURCHASE);  // once without what it was refused for
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, WORKS},
         {0, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, REFUSED},
         {0, .is = ACTION_SEND, .step = PROFILE, .worth = PATIENCE_MS + 1000, REFUSED},
         {0, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", REFUSED},  // an event has nothing to leave out
         {0, .is = ACTION_FINISH, .step = EVENT, .dead = true, .reason = "said no"});
}

static void list_after_the_event(void **state) {
    (void)state;
    struct plan p = full_plan_for(EVENT_SIGN_UP);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, WORKS},
         {0, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, WORKS},
         {0, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, WORKS},
         {0, .is = ACTION_SEND, .step = LIST, .worth = NEVER, FAILS, .retry_after = MINUTES_MS(30)},
         {0, .is = ACTION_WAIT, .step = LIST, .wait = MINUTES_MS(30)},  // it keeps the lane: an unsubscription may come behind
         {MINUTES_MS(30), .is = ACTION_SEND, .step = LIST, .worth = NEVER, REJECTED},
         {MINUTES_MS(30), .is = ACTION_FINISH, .step = LIST, .dead = true, .reason = "said no"});
    p = full_plan_for(EVENT_SIGN_UP);  // it waits for the event no longer than PATIENCE_MS; the lane waits for both
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, FAILS, .retry_after = MINUTES_MS(20)},
         {10000, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, WORKS},
         {10000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", FAILS, .retry_after = 50000},
         {10000, .is = ACTION_WAIT, .step = EVENT, .wait = PATIENCE_MS},
         {10000 + PATIENCE_MS, .is = ACTION_SEND, .step = LIST, .worth = NEVER, WORKS},
         {20000, .is = ACTION_WAIT, .step = EVENT, .wait = 40000},
         {60000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {60000, .is = ACTION_ASIDE, .wait = MINUTES_MS(19)});
}

static void stop_is_about_the_leading_step(void **state) {
    (void)state;
    struct plan p = full_plan_for(EVENT_LEAD);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = NEVER, WORKS},
         {0, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, FAILS, .retry_after = 20000},
         {0, .is = ACTION_WAIT, .step = PROFILE, .wait = PATIENCE_MS},
         {PATIENCE_MS, .expires = true, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", WORKS},
         {10000, .is = ACTION_FINISH});
    p = full_plan_for(EVENT_LEAD);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = NEVER, WORKS},
         {0, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, REJECTED},
         {0, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", WORKS},
         {0, .is = ACTION_FINISH});
}

// Aside nobody in the lane waits, but Klaviyo's steps still go in their order.
static void stop_goes_on_aside_in_order(void **state) {
    (void)state;
    struct plan p = full_plan_for(EVENT_LEAD);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = NEVER, FAILS, .retry_after = 20000},
         {10000, .is = ACTION_ASIDE, .wait = 10000},
         {20000, .is = ACTION_SEND, .worth = NEVER, WORKS},
         {20000, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, FAILS},
         {20000, .is = ACTION_WAIT, .step = PROFILE, .wait = 1000},
         {21000, .is = ACTION_SEND, .step = PROFILE, .worth = PATIENCE_MS, FAILS, .retry_after = 20000},
         {21000, .is = ACTION_WAIT, .step = PROFILE, .wait = PATIENCE_MS - 1000},
         {20000 + PATIENCE_MS, .expires = true, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "sent", WORKS},
         {30000, .is = ACTION_FINISH});
}

static void held_back_under_hold(void **state) {
    (void)state;
    struct plan p = full_plan_for(EVENT_CHECKOUT_STARTED);  // the patience of the rule runs while Meta is closed
    PLAY(&p, {0, {HOURS_MS(1)}, .is = ACTION_WAIT, .wait = HOURS_MS(1), .then = HOLD_BACK},
         {0, {HOURS_MS(1)}, .is = ACTION_WAIT, .wait = MINUTES_MS(15), .hold = true},
         {5000, {HOURS_MS(1)}, .hurry = 7000, .is = ACTION_WAIT, .wait = 2000, .hold = true},
         {7000, {HOURS_MS(1), 9000}, .hurry = 7000, .is = ACTION_WAIT, .step = PROFILE, .wait = 2000, .then = HOLD_BACK},
         {9000, {HOURS_MS(1)}, .hurry = 7000, .is = ACTION_SEND, .step = PROFILE, .worth = NEVER, WORKS},
         {9000, {HOURS_MS(1)}, .hurry = 7000, .is = ACTION_SEND, .step = EVENT, .worth = NEVER, .reason = "retrying", WORKS},
         {9000, {HOURS_MS(1)}, .hurry = 7000, .is = ACTION_ASIDE, .wait = HOURS_MS(1) - 9000},
         {HOURS_MS(1), .is = ACTION_SEND, .worth = NEVER, WORKS},
         {HOURS_MS(1), .is = ACTION_FINISH});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(purchase_goes_on_after_ten_seconds), TEST(due_when_it_answers_again), TEST(aside_it_goes_on_when_it_answers_again), TEST(success_at_once), TEST(rejected_by_meta),
        TEST(checkout_holds_fifteen_minutes), TEST(how_long_a_wait_may_be_put_off), TEST(aside_waits_for_its_turn), TEST(hurry_shortens_a_hold_only), TEST(stop_waits_for_success),
        TEST(closed_destinations), TEST(clock_that_jumps_back), TEST(several_events), TEST(four_steps),
        TEST(profile_that_is_not_reached), TEST(profile_that_is_held_back), TEST(profile_that_is_refused),
        TEST(list_after_the_event), TEST(stop_is_about_the_leading_step), TEST(stop_goes_on_aside_in_order),
        TEST(held_back_under_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
