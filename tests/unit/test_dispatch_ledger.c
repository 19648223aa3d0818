// What a finished job leaves in the ledger, and which one leaves nothing.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_fixture.h"
#include "server/dispatch/dispatch_parts.h"
#include "server/report/ledger.h"
#include "store_env.h"

static struct env *env;
static struct dispatch dispatch;

static int open_store(void **state) {
    setup(state);
    env = env_make(NULL);
    env_open(env);
    dispatch = (struct dispatch){.given.store = env->store};
    return 0;
}

static int close_store(void **state) {
    env_free(env);
    return teardown(state);
}

// A task whose one event was planned, settled and decided: Meta took it at T0, Klaviyo was asked 7 ms later.
static struct task finished(enum event_name name, const char *id) {
    struct task t = {.dispatch = &dispatch, .job = {.shop = SV("acme"), .source = SV("shopify")}};
    struct event *e = ARENA_NEW(&arena, struct event);
    struct shop *shop = ARENA_NEW(&arena, struct shop);
    *shop = shop_of_both();
    *e = known_event_at(name, id, T0 - 500);
    t.plan = plan_of(shop, e, 1, T0);
    t.plan.reserved = true;
    t.shop = shop;
    arena_init(&t.arena, 1 << 20);
    (void)plan_outcome(&arena, &t.plan, 0, META, &(struct outcome){.kind = OUTCOME_SENT}, T0, 0);
    t.plan.events[0].steps[EVENT].asked_ms = T0 + 7;
    (void)plan_outcome(&arena, &t.plan, 0, EVENT, &(struct outcome){.kind = OUTCOME_SENT}, T0 + 9, 0);
    return t;
}

// line_of: the only one, or none.
static bool line_of(struct task *t, struct ledger_entry *ret) {
    struct change c = {.kind = CHANGE_FINISH};
    ledger_lines(t, &c);
    assert_true(c.ledger_count <= 1);
    assert_true(c.ledger_count == 0 || ledger_read(&arena, arena_dup(&arena, c.ledger[0]), ret));
    arena_free(&t->arena);
    return c.ledger_count == 1;
}

static void a_purchase(void **state) {
    (void)state;
    struct task t = finished(EVENT_PURCHASE, "ord_1_purchase");
    struct ledger_entry e;
    t.plan.events[0].event->clicked = true;
    assert_true(line_of(&t, &e));
    assert_true(sv_is(e.event, "purchase") && sv_is(e.source, "shopify") && sv_is(e.origin, "web") && sv_is(e.meta_event, "Purchase"));
    assert_true(e.meta == META_SENT && sv_is(e.klaviyo, "sent") && e.clicked && !e.repeat && e.has_gap);
    assert_int_equal(e.gap_ms, 7);
    assert_int_equal(e.time_ms, T0 - 500);
    assert_int_equal(e.order.n, ORDER_LEN);
    assert_true(e.identifiers[ID_EM] && e.identifiers[ID_PH] && e.identifiers[ID_EXTERNAL_ID]);
    assert_false(e.identifiers[ID_FBP] || e.identifiers[ID_FBC] || e.identifiers[ID_BROWSER]);
}

static void klaviyo_without_meta(void **state) {
    (void)state;
    struct task t = finished(EVENT_PURCHASE, "ord_1_purchase");
    struct ledger_entry e;
    t.plan.events[0].steps[EVENT].asked_ms = T0 - 20;  // patience was over
    assert_true(line_of(&t, &e));
    assert_true(e.has_gap && e.gap_ms == -20);
    t = finished(EVENT_PURCHASE, "ord_1_purchase");
    t.plan.events[0].steps[META] = (struct step){.state = STEP_FAILED, .last_ms = T0, .draft.identity = SV("em=webhook")};
    assert_true(line_of(&t, &e));
    assert_true(e.meta == META_FAILED && !e.has_gap && !e.identifiers[ID_EM]);
}

static void what_leaves_nothing(void **state) {
    (void)state;
    struct ledger_entry e;
    struct task unsettled = finished(EVENT_PURCHASE, "ord_1_purchase");
    unsettled.plan.reserved = false;
    assert_false(line_of(&unsettled, &e));
    struct task test_order = finished(EVENT_PURCHASE, "ord_1_purchase");
    test_order.plan.events[0].event->origin = SV("test");
    assert_false(line_of(&test_order, &e));
    struct task repeated_lead = finished(EVENT_LEAD, "lead_1");
    repeated_lead.plan.events[0].taken = true;
    assert_false(line_of(&repeated_lead, &e));
    struct task lead = finished(EVENT_LEAD, "lead_1");
    assert_true(line_of(&lead, &e));
    assert_null(e.order.p);
}

// One order has one fingerprint, however it is told of; another order or shop has another.
static void an_order_is_known_again(void **state) {
    (void)state;
    struct task told = finished(EVENT_PURCHASE, "ord_1_purchase"), again = finished(EVENT_REPEAT_PURCHASE, "ord_1_purchase");
    struct task renewal = finished(EVENT_RENEWAL_CHARGED, "ord_1_renewal"), other = finished(EVENT_PURCHASE, "ord_2_purchase");
    struct task elsewhere = finished(EVENT_PURCHASE, "ord_1_purchase"), mirror = finished(EVENT_PURCHASE, "x");
    struct ledger_entry first, e;
    again.plan.events[0].taken = true;
    elsewhere.job.shop = SV("beta");
    mirror.plan = (struct plan){0};
    mirror.job.source = SV("recharge");
    mirror.decoded.mirrors = SV("ord_1_purchase");
    assert_true(line_of(&told, &first) && line_of(&again, &e));
    assert_true(e.repeat && sv_eq(e.order, first.order));
    assert_true(line_of(&mirror, &e) && e.repeat && sv_is(e.source, "recharge") && sv_is(e.event, "purchase") && sv_eq(e.order, first.order));
    assert_true(line_of(&renewal, &e) && !e.repeat && sv_eq(e.order, first.order));
    assert_true(line_of(&other, &e) && !sv_eq(e.order, first.order));
    assert_true(line_of(&elsewhere, &e) && !sv_eq(e.order, first.order));
    static const char *const ids[] = {"mine-1", "ord_1", "ord_9_purchase"};
    for (size_t i = 0; i < COUNTOF(ids); i++) {
        struct task own = finished(EVENT_PURCHASE, ids[i]);
        own.job.source = SV("events");
        event_property(own.plan.events[0].event, "order_id", SV("1"));
        assert_true(line_of(&own, &e) && !e.repeat && sv_eq(e.order, first.order));
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_store, close_store)

int main(void) {
    const struct CMUnitTest tests[] = {CASE(a_purchase), CASE(klaviyo_without_meta), CASE(what_leaves_nothing), CASE(an_order_is_known_again)};
    return cmocka_run_group_tests_name("dispatch_ledger", tests, NULL, NULL);
}
