// The pure plan: what is planned, what attempts leave behind, what expires, and what is asked again. When which step is due is in
// test_plan_next.c.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_fixture.h"

#define MOST UINT64_MAX  // the random number that stands for "the longest back-off"

// ---- plan_make

static void made_plans(void **state) {
    (void)state;
    static const struct {
        enum event_name name;
        const char *origin, *country, *email, *external_id;
        bool no_meta, no_klaviyo, denied;
        int64_t age_ms;
        const char *reason[PLAN_STEPS - 1];  // NULL: pending, with a body
    } rows[] = {
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .denied = false},
        {EVENT_PURCHASE, "web", "DE", "ava@klaviyo-demo.com", "1", .reason = {"consent unknown in DE"}},
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .denied = true, .reason = {"consent denied"}},
        {EVENT_PURCHASE, "web", "US", NULL, NULL, .reason = {"too little identity for Meta", "no identifier", "no identifier"}},
        {EVENT_PURCHASE, "web", NULL, "ava@klaviyo-demo.com", "1", .reason = {NULL, "nothing to tell of the profile"}},
        {EVENT_PURCHASE, "test", "US", "ava@klaviyo-demo.com", "1", .reason = {"test event and no test_event_code", "test event", "test event"}},
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .no_meta = true, .reason = {"meta is not configured"}},
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .no_klaviyo = true,
         .reason = {NULL, "klaviyo is not configured", "klaviyo is not configured"}},
        {EVENT_REFUND, "web", "US", "ava@klaviyo-demo.com", "1", .reason = {"no Meta event for refund"}},
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .age_ms = DAYS_MS(3) + 1, .reason = {NULL, "expired"}},
        {EVENT_PURCHASE, "web", "US", "ava@klaviyo-demo.com", "1", .age_ms = DAYS_MS(7), .reason = {"expired", "expired"}},
        {EVENT_LEAD, "web", "US", "ava@klaviyo-demo.com", "1", .age_ms = DAYS_MS(7),
         .reason = {"expired", "the destination before it expired", "the destination before it expired"}},
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
        for (size_t s = 0; s < LIST; s++) {
            const struct step *step = &p.events[0].steps[s];
            expect_text(step->reason, rows[i].reason[s], i);
            assert_int_equal(step->state, rows[i].reason[s] ? STEP_SKIPPED : STEP_PENDING);
            assert_int_equal(step->draft.body.p != NULL, !rows[i].reason[s]);
        }
        expect_text(p.events[0].steps[LIST].reason, "no sign-up", i);
    }
}

static void sign_ups(void **state) {
    (void)state;
    static const struct {
        enum event_name name;
        bool no_list, unknown, no_email;
        const char *reason;
        bool undoes;
    } rows[] = {
        {EVENT_SIGN_UP, .undoes = false},
        {EVENT_SIGN_UP, .no_list = true, .reason = "no list_id is configured"},
        {EVENT_SIGN_UP, .unknown = true, .reason = "no consent in the event"},
        {EVENT_SIGN_UP, .no_email = true, .reason = "no e-mail address"},
        {EVENT_CONSENT_REVOKED, .unknown = true, .undoes = true},
        {EVENT_LEAD, .reason = "no sign-up"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop shop = shop_of_both();
        struct event e = known_event_at(rows[i].name, "evt_1", T0);
        shop.klaviyo.list_id = rows[i].no_list ? SV_NONE : shop.klaviyo.list_id;
        e.consent.marketing = rows[i].unknown ? CONSENT_UNKNOWN : CONSENT_GRANTED;
        e.user.email = rows[i].no_email ? SV_NONE : e.user.email;
        struct plan p = plan_of(&shop, &e, 1, T0);
        const struct step *list = &p.events[0].steps[LIST];
        expect_text(list->reason, rows[i].reason, i);
        assert_int_equal(list->state, rows[i].reason ? STEP_SKIPPED : STEP_PENDING);
        assert_int_equal(list->draft.body.p != NULL, !rows[i].reason);
        assert_true(list->draft.undoes == rows[i].undoes);
    }
}

static void patience_is_that_of_the_rule(void **state) {
    (void)state;
    static const struct { enum event_name name; struct patience patience; } rows[] = {
        {EVENT_PURCHASE, {ON_FAIL_CONTINUE, SECONDS_MS(10)}}, {EVENT_CHECKOUT_STARTED, {ON_FAIL_HOLD, MINUTES_MS(15)}},
        {EVENT_LEAD, {ON_FAIL_STOP, SECONDS_MS(10)}},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct plan p = plan_for(rows[i].name);
        assert_int_equal(p.events[0].patience.on_fail, rows[i].patience.on_fail);
        assert_int_equal(p.events[0].patience.max_wait_ms, rows[i].patience.max_wait_ms);
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

// A body that is too large cannot be sent, but the plan that says so must still be readable: Meta's part goes out.
static void a_body_that_cannot_be_made(void **state) {
    (void)state;
    struct shop shop = shop_of_both();
    struct event e = event_at(EVENT_PURCHASE, "evt_1", T0);
    struct item items[60];
    for (size_t i = 0; i < COUNTOF(items); i++) {
        char *title = arena_alloc(&arena, 100000);
        for (size_t k = 0; k < 100000; k++)
            title[k] = (char)('a' + (k + i) % 26);
        items[i] = (struct item){.title = {title, 100000 - i}, .price = SV("1.00"), .quantity = SV("1")};
    }
    e.items = items;
    e.item_count = COUNTOF(items);
    struct plan p = plan_of(&shop, &e, 1, T0), again;
    struct err err = {0};
    assert_null(p.events[0].steps[EVENT].draft.body.p);
    assert_int_equal(p.events[0].steps[EVENT].state, STEP_PENDING);
    if (plan_read(&arena, plan_write(&arena, &p), SV_NONE, &again, &err) != RC_OK)
        fail_msg("%s", err.text);
    assert_non_null(again.events[0].steps[META].draft.body.p);
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
        struct sv body = s->draft.body;
        struct outcome o = {.kind = rows[i].kind, .retry_after_ms = rows[i].retry_after, .reason = SV("why")};
        assert_int_equal(plan_outcome(&arena, &p, 0, META, &o, T0 + 5, rows[i].random), rows[i].delay);
        assert_int_equal(s->state, rows[i].state);
        assert_int_equal(s->attempts, rows[i].attempts);
        assert_int_equal(s->first_ms, T0 + 5);
        assert_int_equal(s->last_ms, T0 + 5);
        assert_int_equal(s->next_ms, rows[i].next ? T0 + 5 + rows[i].next : 0);
        expect_text(s->reason, rows[i].state == STEP_SENT ? NULL : "why", i);
        // the same bytes for each attempt; nothing is kept once it is over
        assert_ptr_equal(s->draft.body.p, step_decided(s) ? NULL : body.p);
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

static bool has_phone(const struct step *s) {
    return sv_contains_nocase(s->draft.body, SV("phone_number"));
}

static void amended_once(void **state) {
    (void)state;
    static const struct outcome refused = {.kind = OUTCOME_REJECT, .amend = true, .reason = {"409", 3}};
    struct plan p = full_plan_for(EVENT_PURCHASE), again;
    struct step *s = &p.events[0].steps[PROFILE];
    assert_true(has_phone(s));
    assert_false(has_phone(&p.events[0].steps[EVENT]));
    plan_outcome(&arena, &p, 0, META, &(struct outcome){.kind = OUTCOME_SENT}, T0, 0);
    assert_int_equal(plan_outcome(&arena, &p, 0, PROFILE, &refused, T0 + 5, MOST), 0);  // at once
    assert_int_equal(s->state, STEP_RETRYING);
    assert_int_equal(s->attempts, 1);
    assert_true(s->amended && !has_phone(s) && sv_contains_nocase(s->draft.body, SV("ava@klaviyo-demo.com")));
    struct sv body = s->draft.body;  // a stored plan goes on with what was left
    assert_int_equal(plan_read(&arena, plan_write(&arena, &p), SV_NONE, &again, NULL), RC_OK);
    p = again;
    s = &p.events[0].steps[PROFILE];
    plan_outcome(&arena, &p, 0, PROFILE, &(struct outcome){.kind = OUTCOME_RETRY, .reason = SV("503")}, T0 + 6, 0);
    assert_true(sv_eq(s->draft.body, body));
    plan_outcome(&arena, &p, 0, PROFILE, &refused, T0 + 7, 0);
    assert_int_equal(s->state, STEP_FAILED);
    expect_text(s->reason, "409", 0);
    assert_int_equal(s->attempts, 3);
    p = full_plan_for(EVENT_PURCHASE);  // Meta has nothing to leave out
    plan_outcome(&arena, &p, 0, META, &refused, T0, 0);
    assert_int_equal(p.events[0].steps[META].state, STEP_FAILED);
    plan_outcome(&arena, &p, 0, EVENT, &refused, T0, 0);  // nor has an event
    assert_int_equal(p.events[0].steps[EVENT].state, STEP_FAILED);
    p = full_plan_for(EVENT_PURCHASE);  // nor a refusal that is about something else
    plan_outcome(&arena, &p, 0, PROFILE, &(struct outcome){.kind = OUTCOME_REJECT, .reason = SV("400")}, T0, 0);
    assert_int_equal(p.events[0].steps[PROFILE].state, STEP_FAILED);
}

static void told_once(void **state) {
    (void)state;
    static const struct { enum outcome_kind meta; const char *told; } rows[] = {
        {OUTCOME_SENT, "\"capi_status\":\"sent\""},
        {OUTCOME_RETRY, "\"capi_status\":\"retrying\",\"capi_reason\":\"why \\\"so\\\"\""},
        {OUTCOME_REJECT, "\"capi_status\":\"failed\",\"capi_reason\":\"why \\\"so\\\"\""},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct plan p = full_plan_for(EVENT_SIGN_UP), again;
        struct step *s = p.events[0].steps;
        struct json *json;
        struct sv planned = plan_write(&arena, &p);
        assert_false(sv_contains_nocase(s[EVENT].draft.body, SV("capi_status")));
        plan_outcome(&arena, &p, 0, META, &(struct outcome){.kind = rows[i].meta, .reason = SV("why \"so\"")}, T0, 0);
        for (size_t step = 0; step < PLAN_STEPS; step++)
            assert_int_equal(plan_tell(&arena, &p, 0, step), step == EVENT);
        struct sv body = s[EVENT].draft.body;
        assert_true(sv_contains_nocase(body, sv_of(rows[i].told)));
        assert_int_equal(json_parse(&arena, body, &json, NULL), RC_OK);
        expect_text(json_str(json, "data.attributes.properties.capi_event_id"), "evt_1", i);
        plan_outcome(&arena, &p, 0, EVENT, &(struct outcome){.kind = OUTCOME_RETRY, .reason = SV("503")}, T0 + 1, 0);
        if (!step_decided(&s[META]))
            plan_outcome(&arena, &p, 0, META, &(struct outcome){.kind = OUTCOME_REJECT, .reason = SV("later")}, T0 + 2, 0);
        assert_int_equal(plan_read(&arena, plan_write(&arena, &p), SV_NONE, &again, NULL), RC_OK);
        assert_false(plan_tell(&arena, &again, 0, EVENT));
        assert_true(sv_eq(again.events[0].steps[EVENT].draft.body, body));
        struct sv progress = plan_write_progress(&arena, &p);
        assert_false(sv_contains_nocase(progress, SV("capi_event_id")));
        assert_int_equal(plan_read(&arena, planned, progress, &again, NULL), RC_OK);
        assert_true(sv_eq(again.events[0].steps[EVENT].draft.body, body));
        assert_false(plan_tell(&arena, &again, 0, EVENT));
        assert_true(sv_eq(plan_write(&arena, &again), plan_write(&arena, &p)));
        assert_int_equal(plan_read(&arena, planned, SV("{\"events\":[]}"), &again, NULL), RC_INVALID);
    }
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
    assert_null(p.events[0].steps[META].draft.body.p);
    assert_int_equal(p.events[0].steps[EVENT].state, STEP_PENDING);
    struct disposition d = plan_disposition(&p, 0);
    expect_text(d.status, "skipped", 0);
    expect_text(d.reason, "expired", 0);
    p = plan_for(EVENT_LEAD);
    assert_true(plan_expire(&p, last + 1));
    expect_text(p.events[0].steps[EVENT].reason, "the destination before it expired", 0);
    p = plan_for(EVENT_PURCHASE);  // what was sent stays sent
    plan_outcome(&arena, &p, 0, META, &(struct outcome){.kind = OUTCOME_SENT}, T0, 0);
    assert_false(plan_expire(&p, last + 1));
    p = full_plan_for(EVENT_LEAD);  // `stop` is about Meta alone
    assert_true(plan_expire(&p, T0 - 500 + DAYS_MS(3) + 1));
    expect_text(p.events[0].steps[PROFILE].reason, "expired", 0);
    assert_int_equal(p.events[0].steps[META].state, STEP_PENDING);
    assert_int_equal(p.events[0].steps[EVENT].state, STEP_PENDING);
}

// A perishable step is dropped PATIENCE_MS after its first attempt: exactly then, so that nobody goes before it who need not.
static void perished_steps(void **state) {
    (void)state;
    static const struct {
        enum outcome_kind kind;
        int64_t now;   // since the first attempt
        bool perishes;
    } rows[] = {
        {OUTCOME_RETRY, 0, false}, {OUTCOME_RETRY, PATIENCE_MS - 1, false}, {OUTCOME_RETRY, PATIENCE_MS, true}, {OUTCOME_RETRY, DAYS_MS(1), true},
        {OUTCOME_RETRY, -PATIENCE_MS, false}, {OUTCOME_RETRY, -PATIENCE_MS - 1, true},  // the clock was wrong then, or is now
        {OUTCOME_THROTTLED, PATIENCE_MS - 1, false}, {OUTCOME_THROTTLED, PATIENCE_MS, true},
        {OUTCOME_PAUSE, PATIENCE_MS, false}, {OUTCOME_PAUSE, DAYS_MS(1), false},        // it has not had its turn
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct plan p = full_plan_for(EVENT_SIGN_UP);
        for (size_t s = 0; s < PLAN_STEPS; s++)
            plan_outcome(&arena, &p, 0, s, &(struct outcome){.kind = rows[i].kind, .reason = SV("why")}, T0, 0);
        if (plan_expire(&p, T0 + rows[i].now) != rows[i].perishes)
            fail_msg("row %zu", i);
        for (size_t s = 0; s < PLAN_STEPS; s++)
            assert_int_equal(p.events[0].steps[s].state, s == PROFILE && rows[i].perishes ? STEP_SKIPPED : STEP_RETRYING);
        if (rows[i].perishes)
            expect_text(p.events[0].steps[PROFILE].reason, "not reached in time; the next event brings it", i);
    }
}

// A profile that no event follows is all that there is to send: it does not perish, and is tried on like an event.
static void a_profile_without_event_is_kept(void **state) {
    (void)state;
    struct shop shop = shop_of_both();
    struct event e = known_event_at(EVENT_BACK_IN_STOCK_REQUESTED, "evt_1", T0);
    struct plan p = plan_of(&shop, &e, 1, T0);
    const struct step *steps = p.events[0].steps;
    assert_true(steps[META].state == STEP_SKIPPED && steps[EVENT].state == STEP_SKIPPED && steps[LIST].state == STEP_SKIPPED);
    struct action a = plan_next(&p, NULL, T0, 0);
    assert_true(a.kind == ACTION_SEND && a.step == PROFILE && a.worth_ms == NEVER);
    plan_outcome(&arena, &p, 0, PROFILE, &(struct outcome){.kind = OUTCOME_RETRY, .reason = SV("why")}, T0, 0);
    assert_false(plan_expire(&p, T0 + HOURS_MS(1)));
    assert_int_equal(plan_next(&p, NULL, T0 + HOURS_MS(1), 0).kind, ACTION_SEND);
    plan_outcome(&arena, &p, 0, PROFILE, &(struct outcome){.kind = OUTCOME_REJECT, .reason = SV("why")}, T0 + HOURS_MS(1), 0);
    a = plan_next(&p, NULL, T0 + HOURS_MS(1), 0);
    assert_true(a.kind == ACTION_FINISH && !a.dead);
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
    assert_int_equal(p.events[0].steps[EVENT].state, STEP_PENDING);
    e.consent.marketing = CONSENT_UNKNOWN;
    shop.consent.meta.opt_out = OPT_OUT_LIMITED;  // the body was made for unlimited use: it is not sent to whoever opted out since
    p = plan_of(&shop, &e, 1, T0);
    e.consent.opt_out_of_sale = true;
    assert_true(plan_resume(&arena, &shop, &same, &p));
    expect_text(p.events[0].steps[META].reason, "opted out of sale and sharing after it was planned", 0);
    p = plan_of(&shop, &e, 1, T0);
    assert_false(plan_resume(&arena, &shop, &same, &p));
    assert_int_equal(p.events[0].steps[META].state, STEP_PENDING);
    e.consent.opt_out_of_sale = false;
    p = plan_of(&shop, &e, 1, T0);  // what is no longer decoded goes on with the bytes that it has
    struct sv body[PLAN_STEPS];
    for (size_t s = 0; s < PLAN_STEPS; s++)
        body[s] = p.events[0].steps[s].draft.body;
    assert_false(plan_resume(&arena, &shop, &nothing, &p));
    assert_null(p.events[0].event);
    for (size_t s = 0; s < PLAN_STEPS; s++)
        assert_ptr_equal(p.events[0].steps[s].draft.body.p, body[s].p);
    assert_int_equal(p.events[0].steps[META].state, STEP_PENDING);
    assert_int_equal(p.events[0].steps[EVENT].state, STEP_PENDING);
    p = plan_of(&shop, &e, 1, T0);
    plan_outcome(&arena, &p, 0, META, &(struct outcome){.kind = OUTCOME_SENT}, T0, 0);
    shop.meta.configured = false;  // what was sent is not taken back
    assert_false(plan_resume(&arena, &shop, &same, &p));
    assert_int_equal(p.events[0].steps[META].state, STEP_SENT);
    expect_text(p.events[0].steps[META].draft.identity, "em=webhook, external_id=webhook", 0);  // still told of what was sent
    shop.klaviyo.configured = false;
    assert_true(plan_resume(&arena, &shop, &same, &p));
    expect_text(p.events[0].steps[EVENT].reason, "klaviyo is not configured", 0);
}

// Resumed, an event goes by the mapping and the name that it was planned with; only consent and configuration are asked again.
static void resumed_under_another_mapping(void **state) {
    (void)state;
    struct shop shop = shop_of_both();
    struct event e = known_event_at(EVENT_SIGN_UP, "evt_1", T0);
    struct decoded same = {.events = &e, .count = 1};
    struct plan p = plan_of(&shop, &e, 1, T0);
    shop.rules = rules_of("version: 1\nrules:\n  sign_up: { on_fail: stop, max_wait: 1m, meta: { skip: true }, klaviyo: { skip: true, identify: false } }\n");
    assert_false(plan_resume(&arena, &shop, &same, &p));
    for (size_t s = 0; s < PLAN_STEPS; s++)
        assert_int_equal(p.events[0].steps[s].state, STEP_PENDING);
    assert_int_equal(p.events[0].patience.on_fail, ON_FAIL_CONTINUE);
    // a later purchase is known as one only when it is planned; decoded, it is a purchase again
    shop.rules = rules_of("version: 1\nrules:\n  repeat_purchase: { meta: { consent: marketing } }\n  purchase: { meta: { consent: none } }\n");
    e = known_event_at(EVENT_REPEAT_PURCHASE, "evt_1", T0);
    p = plan_of(&shop, &e, 1, T0);
    e.name = EVENT_PURCHASE;
    e.consent.marketing = CONSENT_DENIED;
    assert_true(plan_resume(&arena, &shop, &same, &p));
    expect_text(p.events[0].steps[META].reason, "consent denied", 0);
    assert_int_equal(e.name, EVENT_REPEAT_PURCHASE);
}

static bool in_order_of(const struct plan *p, size_t event, size_t step) {
    struct recorded_plan recorded = {0};
    plan_note(p, &recorded);
    return plan_in_order(&recorded, event, step);
}

static void order_is_kept(void **state) {
    (void)state;
    static const bool in_order[] = {
        [STEP_PENDING] = false, [STEP_RETRYING] = true, [STEP_SENT] = true, [STEP_SKIPPED] = true, [STEP_FAILED] = true};
    for (size_t first = 0; first < PLAN_STEPS; first++)
        for (size_t i = 0; i < COUNTOF(in_order); i++) {
            struct planned_event events[1] = {0};
            struct plan p = {.events = events, .event_count = 1};
            for (size_t s = 0; s < PLAN_STEPS; s++)
                p.events[0].steps[s].state = s == first ? (enum step_state)i : STEP_SENT;
            for (size_t s = 0; s < PLAN_STEPS; s++)
                assert_int_equal(in_order_of(&p, 0, s), s <= first || in_order[i]);
            assert_false(in_order_of(&p, 1, META));
        }
}

// A dead letter that is tried again: what was taken stays taken, what failed, or was stopped by that, is made anew.
static void reopened_plans(void **state) {
    (void)state;
    struct shop shop = shop_of_both();
    struct event e = event_at(EVENT_PURCHASE, "evt_1", T0);
    struct decoded same = {.events = &e, .count = 1};
    const struct outcome sent = {.kind = OUTCOME_SENT}, refused = {.kind = OUTCOME_REJECT, .reason = SV("why")};
    struct plan p = plan_of(&shop, &e, 1, T0);
    p.events[0].patience.on_fail = ON_FAIL_STOP;
    p.reserved = true;
    struct sv body = p.events[0].steps[META].draft.body;
    plan_outcome(&arena, &p, 0, META, &refused, T0, 0);
    assert_int_equal(p.events[0].steps[EVENT].state, STEP_SKIPPED);
    plan_reopen(&p);
    assert_true(p.replayed);
    assert_int_equal(p.events[0].steps[META].state, STEP_PENDING);
    assert_int_equal(p.events[0].steps[EVENT].state, STEP_PENDING);
    assert_true(p.events[0].steps[META].attempts == 0 && p.events[0].steps[META].first_ms == 0);
    plan_resume(&arena, &shop, &same, &p);
    assert_true(plan_redraft(&arena, &shop, &p, T0));
    assert_false(plan_redraft(&arena, &shop, &p, T0));
    assert_true(sv_eq(p.events[0].steps[META].draft.body, body));
    assert_true(p.events[0].steps[EVENT].draft.tell_at > 0);
    plan_outcome(&arena, &p, 0, META, &sent, T0, 0);
    plan_outcome(&arena, &p, 0, EVENT, &refused, T0, 0);
    plan_reopen(&p);
    assert_int_equal(p.events[0].steps[META].state, STEP_SENT);
    assert_int_equal(p.events[0].steps[EVENT].state, STEP_PENDING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(made_plans), TEST(sign_ups), TEST(patience_is_that_of_the_rule), TEST(too_many_events), TEST(a_body_that_cannot_be_made),
        TEST(outcomes), TEST(backoff_has_full_jitter), TEST(amended_once), TEST(told_once),
        TEST(expired_steps), TEST(perished_steps), TEST(a_profile_without_event_is_kept), TEST(resumed_plans), TEST(resumed_under_another_mapping), TEST(order_is_kept), TEST(reopened_plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
