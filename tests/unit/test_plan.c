// The pure plan over a made-up clock: what each policy does when, and what attempts leave behind.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "server/plan.h"

#include <string.h>

// The built-in rules, and one event under `stop`, which none of them uses: a lead.
#define rule_named built_in_rule_named
#define rule_for built_in_rule_for
#define rule_klaviyo_trigger_used built_in_rule_klaviyo_trigger_used
#include "mapping/rules.c"
#undef rule_named
#undef rule_for
#undef rule_klaviyo_trigger_used

const struct rule *rule_named(enum event_name name) {
    static const struct rule stop = {EVENT_LEAD, "Lead", "Submitted Lead Form", NULL, ON_FAIL_STOP, SECONDS_MS(10), HOURS_MS(72)};
    return name == EVENT_LEAD ? &stop : built_in_rule_named(name);
}
const struct rule *rule_for(const struct event *e) { return rule_named(e->name); }
bool rule_klaviyo_trigger_used(const struct rule *r, const struct shop *shop) { return built_in_rule_klaviyo_trigger_used(r, shop); }

#define T0 INT64_C(1795255200000)  // 2026-11-21T10:00:00Z
#define NEVER INT64_MAX
#define MOST UINT64_MAX            // the random number that stands for "the longest back-off"
enum { META, KLAVIYO };

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    bool fine = arena_ok(&arena);
    arena_free(&arena);
    return fine ? 0 : -1;
}

static struct shop shop_of_both(void) {
    return (struct shop){
        .name = SV("acme"), .domain = SV("acme.example"),
        .meta = {.configured = true, .pixel_id = SV("1"), .access_token = SV("t"), .api_version = SV("v25.0"), .base_url = SV("https://meta.example")},
        .klaviyo = {.configured = true, .api_key = SV("pk_x"), .revision = SV("2026-07-15"), .base_url = SV("https://klaviyo.example")},
        .consent.meta = {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION},
    };
}

static struct event event_at(enum event_name name, const char *id, int64_t time_ms) {
    return (struct event){
        .id = sv_of(id), .name = name, .time_ms = time_ms, .shop = SV("acme"), .source = SV("shopify"), .origin = SV("web"),
        .user = {.email = SV("ava@klaviyo-demo.com"), .external_id = SV("34982"), .country = SV("US")},
        .value = SV("129.95"), .currency = SV("EUR"),
    };
}

static struct plan plan_of(const struct shop *shop, struct event *events, size_t n, int64_t now_ms) {
    struct plan p;
    plan_make(&arena, shop, &(struct decoded){.events = events, .count = n}, now_ms, &p);
    return p;
}

static struct plan plan_for(enum event_name name) {
    static struct shop shop;
    struct event *e = ARENA_NEW(&arena, struct event);
    shop = shop_of_both();
    *e = event_at(name, "evt_1", T0 - 500);
    return plan_of(&shop, e, 1, T0);
}

static void expect_text(struct sv text, const char *want, size_t row) {
    if (!sv_eq(text, sv_of(want)))
        fail_msg("row %zu: \"" SV_FMT "\", not \"%s\"", row, SV_ARG(text), want ? want : "(absent)");
}

// ---- plan_make

static void made_plans(void **state) {
    (void)state;
    static const struct {
        enum event_name name;
        const char *origin, *country, *email, *external_id;
        bool no_meta, no_klaviyo, denied;
        int64_t age_ms;
        const char *reason[2];  // NULL: pending
        int body;               // of which step; -1: of none
    } rows[] = {
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .body = META},
        {EVENT_PURCHASE, "web", "DE", "ava@klaviyo-demo.com", "1", .reason = {"consent unknown in DE"}, .body = KLAVIYO},
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .denied = true, .reason = {"consent denied"}, .body = KLAVIYO},
        {EVENT_PURCHASE, "web", "US", NULL, NULL, .reason = {"too little identity for Meta", "no identifier"}, .body = -1},
        {EVENT_PURCHASE, "test", "US", "ava@klaviyo-demo.com", "1", .reason = {"test event and no test_event_code", "test event"}, .body = -1},
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .no_meta = true, .reason = {"meta is not configured"}, .body = KLAVIYO},
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .no_klaviyo = true, .reason = {NULL, "klaviyo is not configured"}, .body = META},
        {EVENT_REFUND, "web", "US", "ava@klaviyo-demo.com", "1", .reason = {"no Meta event for refund"}, .body = KLAVIYO},
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .age_ms = DAYS_MS(7), .reason = {"expired"}, .body = KLAVIYO},
        {EVENT_LEAD, "web", "US", "ava@klaviyo-demo.com", "1", .age_ms = DAYS_MS(7), .reason = {"expired", "the destination before it expired"}, .body = -1},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop shop = shop_of_both();
        shop.meta.configured = !rows[i].no_meta;
        shop.klaviyo.configured = !rows[i].no_klaviyo;
        struct event e = event_at(rows[i].name, "evt_1", T0 - rows[i].age_ms);
        e.origin = sv_of(rows[i].origin);
        e.user = (struct user){.country = sv_of(rows[i].country), .email = sv_of(rows[i].email), .external_id = sv_of(rows[i].external_id)};
        e.consent.marketing = rows[i].denied ? CONSENT_DENIED : CONSENT_UNKNOWN;
        struct plan p = plan_of(&shop, &e, 1, T0);
        assert_int_equal(p.event_count, 1);
        assert_false(p.aside || p.reserved);
        expect_text(p.events[0].id, "evt_1", i);
        for (int s = 0; s < PLAN_STEPS; s++) {
            const struct step *step = &p.events[0].steps[s];
            assert_int_equal(step->state, rows[i].reason[s] ? STEP_SKIPPED : STEP_PENDING);
            expect_text(step->reason, rows[i].reason[s], i);
            assert_int_equal(step->body.p != NULL, rows[i].body == s);
        }
    }
}

static void too_many_events(void **state) {
    (void)state;
    struct shop shop = shop_of_both();
    struct event events[PLAN_EVENTS_MAX + 1];
    for (size_t i = 0; i < COUNTOF(events); i++)
        events[i] = event_at(EVENT_PURCHASE, arena_fmt(&arena, "evt_%zu", i).p, T0);
    assert_int_equal(plan_of(&shop, events, COUNTOF(events), T0).event_count, PLAN_EVENTS_MAX);
    assert_int_equal(plan_of(&shop, events, 0, T0).event_count, 0);
    struct plan none = plan_of(&shop, events, 0, T0);
    assert_int_equal(plan_next(&none, NULL, T0, 0).kind, ACTION_FINISH);
}

// ---- plan_next, as a story: at a time, what comes next; what the attempt gave, when there was one

struct turn {
    int64_t at;                       // since T0
    int64_t closed[2], hurry;         // since T0; 0: none
    enum action_kind is;
    size_t step, event;
    int64_t wait, worth;
    bool hold, dead;
    const char *reason;               // FINISH: of what failed; KLAVIYO SEND: the capi_status in its body
    enum { NOTHING, ANSWER } then;
    enum outcome_kind answer;         // with the longest back-off
    int64_t retry_after;
};

#define FAILS .then = ANSWER, .answer = OUTCOME_RETRY
#define WORKS .then = ANSWER, .answer = OUTCOME_SENT
#define REJECTED .then = ANSWER, .answer = OUTCOME_REJECT

static void answer(struct plan *p, const struct turn *t, const struct action *a) {
    static struct shop shop;
    shop = shop_of_both();
    int64_t now = T0 + t->at;
    plan_render(&arena, &shop, p, a->event, a->step, now);
    const struct step *s = &p->events[a->event].steps[a->step];
    assert_true(sv_present(s->body));
    if (a->step == KLAVIYO && t->reason)
        assert_true(sv_contains_nocase(s->body, arena_fmt(&arena, "\"capi_status\":\"%s\"", t->reason)));
    assert_true(plan_in_order(p, a->event, a->step));
    // the longest back-off of n attempts is 2^(n-1) s
    uint64_t random = ((uint64_t)1000 << s->attempts) - 1;
    plan_outcome(&arena, p, a->event, a->step, &(struct outcome){.kind = t->answer, .retry_after_ms = t->retry_after, .reason = SV("said no")}, now, random);
}

static void play(struct plan *p, const struct turn *turns, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct turn *t = &turns[i];
        struct closed closed = {{t->closed[0] ? T0 + t->closed[0] : 0, t->closed[1] ? T0 + t->closed[1] : 0}};
        struct action a = plan_next(p, &closed, T0 + t->at, t->hurry ? T0 + t->hurry : 0);
        if (a.kind != t->is || a.step != t->step || a.event != t->event || a.wait_ms != t->wait || a.hold != t->hold || a.dead != t->dead ||
            a.worth_ms != t->worth)
            fail_msg("turn %zu at %lld: kind %d event %zu step %zu wait %lld worth %lld hold %d dead %d", i, (long long)t->at, (int)a.kind,
                     a.event, a.step, (long long)a.wait_ms, (long long)a.worth_ms, a.hold, a.dead);
        if (a.kind == ACTION_FINISH)
            expect_text(a.reason, t->reason, i);
        if (a.kind == ACTION_ASIDE)
            p->aside = true;
        if (t->then == ANSWER)
            answer(p, t, &a);
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
         {10000, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "retrying", WORKS},
         {10001, .is = ACTION_ASIDE, .wait = 4999},
         {10001, .is = ACTION_WAIT, .wait = 4999},
         {15000, .is = ACTION_SEND, .worth = NEVER, WORKS},
         {15000, .is = ACTION_FINISH});
    assert_int_equal(p.events[0].steps[META].attempts, 5);
}

static void success_at_once(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, WORKS},
         {100, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "sent", FAILS},
         {100, .is = ACTION_WAIT, .step = KLAVIYO, .wait = 1000},
         {1100, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, WORKS},
         {1100, .is = ACTION_FINISH});
}

static void rejected_by_meta(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, REJECTED},
         {0, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "failed", WORKS},
         {0, .is = ACTION_FINISH, .dead = true, .reason = "said no"});
    p = plan_for(EVENT_LEAD);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = NEVER, REJECTED},
         {0, .is = ACTION_FINISH, .dead = true, .reason = "said no"});
    assert_int_equal(p.events[0].steps[KLAVIYO].state, STEP_SKIPPED);
    expect_text(p.events[0].steps[KLAVIYO].reason, "meta failed", 0);
}

static void checkout_holds_fifteen_minutes(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_CHECKOUT_STARTED);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 901000, FAILS, .retry_after = MINUTES_MS(20)},
         {0, .is = ACTION_WAIT, .wait = MINUTES_MS(15), .hold = true},
         {899999, .is = ACTION_WAIT, .wait = 1, .hold = true},
         {900000, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "retrying", WORKS},
         {900000, .is = ACTION_ASIDE, .wait = MINUTES_MS(5)},
         {MINUTES_MS(20), .is = ACTION_SEND, .worth = NEVER, WORKS},
         {MINUTES_MS(20), .is = ACTION_FINISH});
}

static void hurry_shortens_a_hold_only(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_CHECKOUT_STARTED);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 901000, FAILS, .retry_after = MINUTES_MS(20)},
         {0, .hurry = 10000, .is = ACTION_WAIT, .wait = 10000, .hold = true},
         {9999, .hurry = 10000, .is = ACTION_WAIT, .wait = 1, .hold = true},
         {10000, .hurry = 10000, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "retrying", WORKS},
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
         {20000, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "sent", WORKS},
         {20000, .is = ACTION_FINISH});
}

static void closed_destinations(void **state) {
    (void)state;
    struct plan p = plan_for(EVENT_PURCHASE);
    PLAY(&p, {0, {30000}, .is = ACTION_WAIT, .wait = 30000},  // PENDING: nothing overtakes it
         {29999, {30000}, .is = ACTION_WAIT, .wait = 1},
         {30000, {30000}, .is = ACTION_SEND, .worth = 11000, .then = ANSWER, .answer = OUTCOME_PAUSE},
         {30000, {90000}, .is = ACTION_WAIT, .wait = 10000},  // tried: now patience runs
         {40000, {90000}, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "retrying"},
         {40000, {90000, 60000}, .is = ACTION_WAIT, .step = KLAVIYO, .wait = 20000},
         {60000, {90000, 60000}, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "retrying", WORKS},
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
         {0, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "retrying", WORKS},  // its patience cannot be told: it is over
         {0, .is = ACTION_ASIDE},                                                               // due when the clock was wrong: due now
         {0, .is = ACTION_SEND, .worth = NEVER, FAILS},
         {0, .is = ACTION_WAIT, .wait = 2000});
    p = plan_for(EVENT_PURCHASE);  // a small step back only makes it wait that much longer
    PLAY(&p, {5000, .is = ACTION_SEND, .worth = 11000, FAILS, .retry_after = 60000},
         {3000, .is = ACTION_WAIT, .wait = 12000},
         {15000, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "retrying"});
}

static void several_events(void **state) {
    (void)state;
    struct shop shop = shop_of_both();
    struct event events[] = {event_at(EVENT_PURCHASE, "evt_1", T0), event_at(EVENT_REFUND, "evt_2", T0), event_at(EVENT_PURCHASE, "evt_3", T0)};
    struct plan p = plan_of(&shop, events, COUNTOF(events), T0);
    PLAY(&p, {0, .is = ACTION_SEND, .worth = 11000, FAILS, .retry_after = 40000},
         {0, .is = ACTION_WAIT, .wait = 10000},  // one after the other
         {10000, .is = ACTION_SEND, .step = KLAVIYO, .worth = NEVER, .reason = "retrying", WORKS},
         {10000, .is = ACTION_SEND, .event = 1, .step = KLAVIYO, .worth = NEVER, .reason = "skipped", REJECTED},
         {10000, .is = ACTION_SEND, .event = 2, .worth = 11000, FAILS, .retry_after = 15000},
         {20000, .is = ACTION_SEND, .event = 2, .step = KLAVIYO, .worth = NEVER, .reason = "retrying", WORKS},
         {20000, .is = ACTION_ASIDE, .event = 2, .wait = 5000},
         {20000, .is = ACTION_WAIT, .event = 2, .wait = 5000},  // the one that is due first
         {25000, .is = ACTION_SEND, .event = 2, .worth = NEVER, WORKS},
         {25000, .is = ACTION_WAIT, .wait = 15000},
         {40000, .is = ACTION_SEND, .worth = NEVER, WORKS},
         {40000, .is = ACTION_FINISH, .event = 1, .step = KLAVIYO, .dead = true, .reason = "said no"});
    p = plan_of(&shop, events, COUNTOF(events), T0);
    plan_skip(&p, 0, SV("duplicate event"));
    PLAY(&p, {0, .is = ACTION_SEND, .event = 1, .step = KLAVIYO, .worth = NEVER});
}

// ---- plan_outcome

static void outcomes(void **state) {
    (void)state;
    static const struct {
        enum outcome_kind kind;
        int64_t retry_after;
        uint64_t random;
        int64_t delay, next;  // next: since now; 0: none of its own
        enum step_state state;
        int64_t attempts;
    } rows[] = {
        {OUTCOME_SENT, 0, 0, 0, 0, STEP_SENT, 1},
        {OUTCOME_REJECT, 5000, 0, 0, 0, STEP_FAILED, 1},
        {OUTCOME_RETRY, 0, 0, 1, 1, STEP_RETRYING, 1},
        {OUTCOME_RETRY, 0, 999, 1000, 1000, STEP_RETRYING, 1},
        {OUTCOME_RETRY, 30000, 999, 30000, 30000, STEP_RETRYING, 1},
        {OUTCOME_RETRY, 500, 999, 1000, 1000, STEP_RETRYING, 1},
        {OUTCOME_THROTTLED, 0, 0, 1000, 0, STEP_RETRYING, 0},
        {OUTCOME_THROTTLED, 0, MOST, 1000 + (int64_t)(MOST % 1000), 0, STEP_RETRYING, 0},
        {OUTCOME_THROTTLED, 30000, 7, 30007, 0, STEP_RETRYING, 0},
        {OUTCOME_PAUSE, 0, MOST, PAUSE_PROBE_MS, 0, STEP_RETRYING, 0},
        {OUTCOME_PAUSE, 300000, 0, 300000, 0, STEP_RETRYING, 0},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct plan p = plan_for(EVENT_PURCHASE);
        struct step *s = &p.events[0].steps[META];
        struct sv body = s->body;
        struct outcome o = {.kind = rows[i].kind, .retry_after_ms = rows[i].retry_after, .reason = SV("why")};
        assert_int_equal(plan_outcome(&arena, &p, 0, META, &o, T0 + 5, rows[i].random), rows[i].delay);
        assert_int_equal(s->state, rows[i].state);
        assert_int_equal(s->attempts, rows[i].attempts);
        assert_int_equal(s->first_ms, T0 + 5);
        assert_int_equal(s->last_ms, T0 + 5);
        assert_int_equal(s->next_ms, rows[i].next ? T0 + 5 + rows[i].next : 0);
        expect_text(s->reason, rows[i].state == STEP_SENT ? NULL : "why", i);
        // the same bytes for each attempt; nothing is kept once it is over
        assert_ptr_equal(s->body.p, step_decided(s) ? NULL : body.p);
        plan_outcome(&arena, &p, 0, META, &(struct outcome){.kind = OUTCOME_RETRY, .reason = SV("again")}, T0 + 9, 0);
        assert_int_equal(s->first_ms, T0 + 5);
    }
}

static void backoff_has_full_jitter(void **state) {
    (void)state;
    static const int64_t most[] = {1000, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (int64_t n = 0; n < (int64_t)COUNTOF(most); n++) {
        assert_int_equal(backoff_ms(n, 0, 0), 1);
        assert_int_equal(backoff_ms(n, HOURS_MS(1), (uint64_t)most[n] - 1), most[n]);
        assert_int_equal(backoff_ms(n, 0, (uint64_t)most[n]), 1);
        assert_in_range(backoff_ms(n, 0, MOST), 1, most[n]);
    }
    assert_int_equal(backoff_ms(INT64_MAX, -HOURS_MS(1), 59999), 60000);
    assert_int_equal(backoff_ms(20, HOURS_MS(1) + 1, 599999), 600000);
    assert_int_equal(backoff_ms(20, HOURS_MS(1) + 1, 600000), 1);
}

// ---- expiry, decoding again, order

static void expired_steps(void **state) {
    (void)state;
    int64_t last = T0 - 500 + DAYS_MS(7) - MINUTES_MS(1);
    struct plan p = plan_for(EVENT_PURCHASE);
    assert_false(plan_expire(&p, last));
    assert_true(plan_expire(&p, last + 1));
    assert_false(plan_expire(&p, last + 1));
    assert_int_equal(p.events[0].steps[META].state, STEP_SKIPPED);
    expect_text(p.events[0].steps[META].reason, "expired", 0);
    assert_null(p.events[0].steps[META].body.p);
    assert_int_equal(p.events[0].steps[KLAVIYO].state, STEP_PENDING);
    struct disposition d = plan_disposition(&p, 0, KLAVIYO);
    expect_text(d.status, "skipped", 0);
    expect_text(d.reason, "expired", 0);
    assert_null(plan_disposition(&p, 0, META).status.p);
    p = plan_for(EVENT_LEAD);
    assert_true(plan_expire(&p, last + 1));
    expect_text(p.events[0].steps[KLAVIYO].reason, "the destination before it expired", 0);
    p = plan_for(EVENT_PURCHASE);  // what was sent stays sent
    plan_outcome(&arena, &p, 0, META, &(struct outcome){.kind = OUTCOME_SENT}, T0, 0);
    assert_false(plan_expire(&p, last + 1));
}

static void resumed_plans(void **state) {
    (void)state;
    struct shop shop = shop_of_both();
    struct event e = event_at(EVENT_PURCHASE, "evt_1", T0);
    struct decoded same = {.events = &e, .count = 1}, nothing = {0};
    struct plan p = plan_of(&shop, &e, 1, T0);
    assert_false(plan_resume(&arena, &shop, &same, &p));
    assert_ptr_equal(p.events[0].event, &e);
    e.consent.marketing = CONSENT_DENIED;
    assert_true(plan_resume(&arena, &shop, &same, &p));
    expect_text(p.events[0].steps[META].reason, "consent denied", 0);
    assert_int_equal(p.events[0].steps[KLAVIYO].state, STEP_PENDING);
    e.consent.marketing = CONSENT_UNKNOWN;
    p = plan_of(&shop, &e, 1, T0);  // Meta has its bytes and goes on, Klaviyo's nobody can make any more
    assert_true(plan_resume(&arena, &shop, &nothing, &p));
    assert_null(p.events[0].event);
    assert_int_equal(p.events[0].steps[META].state, STEP_PENDING);
    assert_int_equal(p.events[0].steps[KLAVIYO].state, STEP_FAILED);
    assert_false(plan_resume(&arena, &shop, &nothing, &p));
    p = plan_of(&shop, &e, 1, T0);
    plan_outcome(&arena, &p, 0, META, &(struct outcome){.kind = OUTCOME_SENT}, T0, 0);
    shop.meta.configured = false;  // what was sent is not taken back
    assert_false(plan_resume(&arena, &shop, &same, &p));
    assert_int_equal(p.events[0].steps[META].state, STEP_SENT);
}

static void order_is_kept(void **state) {
    (void)state;
    static const bool in_order[] = {
        [STEP_PENDING] = false, [STEP_RETRYING] = true, [STEP_SENT] = true, [STEP_SKIPPED] = true, [STEP_FAILED] = true};
    struct plan p = plan_for(EVENT_PURCHASE);
    for (size_t i = 0; i < COUNTOF(in_order); i++) {
        p.events[0].steps[META].state = (enum step_state)i;
        assert_true(plan_in_order(&p, 0, META));
        assert_int_equal(plan_in_order(&p, 0, KLAVIYO), in_order[i]);
    }
    assert_false(plan_in_order(&p, 1, META));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(made_plans), TEST(too_many_events), TEST(purchase_goes_on_after_ten_seconds), TEST(success_at_once),
        TEST(rejected_by_meta), TEST(checkout_holds_fifteen_minutes), TEST(hurry_shortens_a_hold_only), TEST(stop_waits_for_success),
        TEST(closed_destinations), TEST(clock_that_jumps_back), TEST(several_events), TEST(outcomes), TEST(backoff_has_full_jitter),
        TEST(expired_steps), TEST(resumed_plans), TEST(order_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
