// The plan under everything at once: random events, answers, closed destinations, crashes and clocks that jump, driven as the
// dispatcher drives it until it is finished. What must hold is asked at each turn. Seeded: a run is always the same.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_fixture.h"

#define RUNS 1200
#define STORM_TURNS 120  // then the weather clears: answers are good, nothing is closed, the clock is right
#define TURNS_MOST 600

static const char *const mapping =
    "version: 1\n"
    "rules:\n"
    "  lead: { on_fail: stop, max_wait: 10s }\n"
    "  search: { on_fail: stop, max_wait: 0s }\n"
    "  refund: { on_fail: hold, max_wait: 0s, meta: { event: Refund } }\n"
    "  sign_up: { on_fail: stop, max_wait: 1m }\n";

static const enum event_name names[] = {EVENT_PURCHASE, EVENT_CHECKOUT_STARTED, EVENT_LEAD, EVENT_SEARCH, EVENT_REFUND, EVENT_SIGN_UP,
                                        EVENT_CONSENT_REVOKED, EVENT_PRODUCT_VIEWED};

struct run {
    uint64_t seed, random;
    struct shop shop;
    struct plan plan;
    struct sv stored;                                // the plan, as it was last written whole
    struct closed closed;
    int64_t now_ms, hurry_ms;
    int turn;
    bool was_aside;
    struct sv sent[PLAN_EVENTS_MAX][PLAN_STEPS];     // the bytes of the last attempt
    int bodies[PLAN_EVENTS_MAX][PLAN_STEPS];         // how many different ones there were
};

static uint64_t next(struct run *r) {  // xorshift
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random;
}

static int64_t below(struct run *r, int64_t n) {
    return (int64_t)(next(r) % (uint64_t)n);
}

static bool one_in(struct run *r, int64_t n) {
    return below(r, n) == 0;
}

#define HOLDS(r, what) holds((r), (what), #what, __LINE__)
static void holds(const struct run *r, bool what, const char *text, int line) {
    if (!what)
        fail_msg("seed %llu turn %d line %d: %s", (unsigned long long)r->seed, r->turn, line, text);
}

static void begin(struct run *r, uint64_t seed, const struct shop *shop) {
    *r = (struct run){.seed = seed, .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .shop = *shop, .now_ms = T0};
    r->shop.meta.configured = !one_in(r, 10);
    struct event *events = ARENA_ARRAY(&arena, struct event, PLAN_EVENTS_MAX);
    size_t n = (size_t)(one_in(r, 2) ? 1 : 1 + below(r, PLAN_EVENTS_MAX));
    for (size_t i = 0; i < n; i++) {
        enum event_name name = names[below(r, COUNTOF(names))];
        const char *id = arena_fmt(&arena, "evt_%zu", i).p;
        int64_t age = one_in(r, 8) ? below(r, DAYS_MS(8)) : below(r, MINUTES_MS(1));
        events[i] = one_in(r, 4) ? event_at(name, id, T0 - age) : known_event_at(name, id, T0 - age);
    }
    r->plan = plan_of(&r->shop, events, n, r->now_ms);
    if (one_in(r, 6))
        plan_skip(&r->plan, (size_t)below(r, (int64_t)n), SV("duplicate event"));
}

static bool storm(const struct run *r) {
    return r->turn < STORM_TURNS;
}

// A worker that dies loses what the store does not have; everything is in the store between two turns.
static void crash(struct run *r) {
    struct plan again;
    struct err e = {0};
    struct sv progress = r->plan.redrafted ? SV_NONE : plan_write_progress(&arena, &r->plan);
    if (r->plan.redrafted)
        r->stored = plan_write(&arena, &r->plan);
    enum rc rc = plan_read(&arena, r->stored, progress, &again, &e);
    HOLDS(r, rc == RC_OK);
    HOLDS(r, sv_eq(plan_write(&arena, &again), plan_write(&arena, &r->plan)));
    r->plan = again;
}

static void weather(struct run *r) {
    if (!storm(r)) {
        r->closed = (struct closed){0};
        r->hurry_ms = one_in(r, 2) ? r->now_ms : 0;
        return;
    }
    if (one_in(r, 6))
        crash(r);
    if (one_in(r, 25))
        r->now_ms += one_in(r, 2) ? below(r, HOURS_MS(5)) : -below(r, HOURS_MS(5));
    if (one_in(r, 60))
        r->now_ms += DAYS_MS(3);
    if (one_in(r, 4))
        r->hurry_ms = one_in(r, 2) ? 0 : r->now_ms + below(r, SECONDS_MS(60)) - SECONDS_MS(30);
    for (size_t s = META; s <= PROFILE; s++)
        if (one_in(r, 8))
            r->closed.until_ms[s] = one_in(r, 2) ? 0 : r->now_ms + below(r, MINUTES_MS(2));
    r->closed.until_ms[EVENT] = r->closed.until_ms[LIST] = r->closed.until_ms[PROFILE];  // one account
}

// ---- what must hold when something is sent

static void check_order(const struct run *r, const struct planned_event *e, size_t step) {
    const struct step *meta = &e->steps[META];
    for (size_t i = 0; i < step; i++)
        HOLDS(r, e->steps[i].state != STEP_PENDING);
    HOLDS(r, step <= PROFILE || step_decided(&e->steps[PROFILE]));  // worth nothing after the event
    HOLDS(r, step == META || e->patience.on_fail != ON_FAIL_STOP || meta->state == STEP_SENT || meta->state == STEP_SKIPPED);
    for (size_t i = META; step != META && !r->plan.aside && i < step; i++) {
        int64_t most = i == META ? e->patience.max_wait_ms : PATIENCE_MS, since = r->now_ms - e->steps[i].first_ms;
        bool hurried = i == META && e->patience.on_fail != ON_FAIL_CONTINUE && r->hurry_ms != 0 && r->hurry_ms <= r->now_ms;
        HOLDS(r, step_decided(&e->steps[i]) || since >= most || -since > most || hurried);
    }
}

static void check_bytes(struct run *r, const struct action *a) {
    const struct step *s = &r->plan.events[a->event].steps[a->step];
    struct sv *before = &r->sent[a->event][a->step];
    HOLDS(r, sv_present(s->draft.body) && s->draft.tell_at == 0);
    HOLDS(r, (a->step == EVENT) == sv_contains_nocase(s->draft.body, SV("capi_status")));
    int *bodies = &r->bodies[a->event][a->step];
    *bodies += !sv_eq(*before, s->draft.body);
    HOLDS(r, *bodies == (s->amended ? 2 : 1));
    *before = s->draft.body;
}

static struct outcome outcome(struct run *r) {
    static const enum outcome_kind kinds[] = {OUTCOME_SENT,  OUTCOME_SENT,      OUTCOME_RETRY, OUTCOME_RETRY, OUTCOME_RETRY,
                                              OUTCOME_PAUSE, OUTCOME_THROTTLED, OUTCOME_REJECT};
    struct outcome o = {.kind = storm(r) ? kinds[below(r, COUNTOF(kinds))] : OUTCOME_SENT, .amend = one_in(r, 2)};
    if (o.kind != OUTCOME_SENT) {
        o.reason = SV("no \"luck\"");
        o.retry_after_ms = one_in(r, 3) ? below(r, HOURS_MS(1)) : 0;
    }
    return o;
}

static void close_gate(struct run *r, size_t step, int64_t until_ms) {
    for (size_t s = 0; s < PLAN_STEPS; s++)
        if ((s == META) == (step == META))
            r->closed.until_ms[s] = until_ms;
}

static void send(struct run *r, const struct action *a) {
    struct planned_event *e = &r->plan.events[a->event];
    struct step *s = &e->steps[a->step];
    HOLDS(r, !step_decided(s));
    HOLDS(r, s->next_ms <= r->now_ms || s->next_ms > r->now_ms + HOURS_MS(1));
    HOLDS(r, r->closed.until_ms[a->step] <= r->now_ms);
    HOLDS(r, a->worth_ms >= SECONDS_MS(1));
    check_order(r, e, a->step);
    struct recorded_plan recorded = {0};
    plan_note(&r->plan, &recorded);
    HOLDS(r, plan_in_order(&recorded, a->event, a->step));
    bool told = plan_tell(&arena, &r->plan, a->event, a->step);
    HOLDS(r, !told || !r->sent[a->event][a->step].p);
    if (told && one_in(r, 4))
        crash(r);  // recorded, and not sent
    check_bytes(r, a);
    s->first_ms = s->first_ms ? s->first_ms : r->now_ms;
    r->now_ms += below(r, a->worth_ms < SECONDS_MS(10) ? a->worth_ms : SECONDS_MS(10));
    if (storm(r) && one_in(r, 10))
        return;  // the answer is lost with the worker
    struct outcome o = outcome(r);
    int64_t delay = plan_outcome(&arena, &r->plan, a->event, a->step, &o, r->now_ms, next(r));
    HOLDS(r, delay >= 0 && delay <= HOURS_MS(1) + SECONDS_MS(1));
    if (o.kind == OUTCOME_PAUSE || o.kind == OUTCOME_THROTTLED)
        close_gate(r, a->step, r->now_ms + delay);
}

// ---- the other actions

// What leaves the lane keeps nobody in it waiting: retries of Meta, and what may go only after its success.
static void go_aside(struct run *r) {
    HOLDS(r, !r->plan.aside);
    for (size_t i = 0; i < r->plan.event_count; i++) {
        const struct planned_event *e = &r->plan.events[i];
        HOLDS(r, e->steps[META].state != STEP_PENDING);
        for (size_t s = PROFILE; s < PLAN_STEPS; s++)
            HOLDS(r, step_decided(&e->steps[s]) || (e->patience.on_fail == ON_FAIL_STOP && !step_decided(&e->steps[META])));
    }
    r->plan.aside = true;
}

static void wait(struct run *r, const struct action *a) {
    const struct planned_event *e = &r->plan.events[a->event];
    HOLDS(r, a->wait_ms > 0 && a->wait_ms <= HOURS_MS(6));  // never busy, never for good
    HOLDS(r, !step_decided(&e->steps[a->step]));
    HOLDS(r, !a->hold || (!r->plan.aside && !step_decided(&e->steps[META]) && e->patience.on_fail != ON_FAIL_CONTINUE));
    bool early = storm(r) && one_in(r, 4);  // a hold that was shortened, a wake
    r->now_ms += early ? below(r, a->wait_ms) : a->wait_ms;
}

static void finish(const struct run *r, const struct action *a) {
    bool failed = false;
    for (size_t i = 0; i < r->plan.event_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++) {
            const struct step *step = &r->plan.events[i].steps[s];
            HOLDS(r, step_decided(step) && !step->draft.body.p);
            HOLDS(r, (step->state == STEP_SENT) == !step->reason.p);
            HOLDS(r, step->state != STEP_SENT || r->sent[i][s].p);
            failed |= step->state == STEP_FAILED && s != PROFILE;
        }
    HOLDS(r, a->dead == failed);
    HOLDS(r, !failed || r->plan.events[a->event].steps[a->step].state == STEP_FAILED);
}

// What a closed destination keeps from beginning is noted as held back, as the dispatcher does.
static struct action decide(struct run *r) {
    plan_expire(&r->plan, r->now_ms);
    HOLDS(r, !plan_expire(&r->plan, r->now_ms));
    struct action a = plan_next(&r->plan, &r->closed, r->now_ms, r->hurry_ms);
    if (a.kind != ACTION_WAIT || r->plan.events[a.event].steps[a.step].state != STEP_PENDING)
        return a;
    HOLDS(r, r->closed.until_ms[a.step] > r->now_ms);
    plan_outcome(&arena, &r->plan, a.event, a.step, &(struct outcome){.kind = OUTCOME_PAUSE, .reason = SV("closed")}, r->now_ms, 0);
    return plan_next(&r->plan, &r->closed, r->now_ms, r->hurry_ms);
}

static bool turn(struct run *r) {
    weather(r);
    struct action a = decide(r);
    HOLDS(r, r->plan.aside == r->was_aside);
    switch (a.kind) {
    case ACTION_SEND: send(r, &a); break;
    case ACTION_WAIT: wait(r, &a); break;
    case ACTION_ASIDE: go_aside(r); break;
    case ACTION_FINISH: finish(r, &a); return false;
    }
    r->was_aside = r->plan.aside;
    return true;
}

static void every_plan_comes_to_its_end(void **state) {
    (void)state;
    int longest = 0;
    setup(NULL);
    struct shop shop = shop_of_both();
    shop.rules = rules_of(mapping);
    struct arena kept = arena;  // the mapping lives in it
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        arena_init(&arena, (size_t)64 << 20);
        struct run r;
        begin(&r, seed, &shop);
        while (turn(&r))
            HOLDS(&r, ++r.turn < TURNS_MOST);
        longest = r.turn > longest ? r.turn : longest;
        HOLDS(&r, arena_ok(&arena));
        arena_free(&arena);
    }
    arena_free(&kept);
    assert_true(longest > STORM_TURNS);  // some saw the whole of it
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_plan_comes_to_its_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
