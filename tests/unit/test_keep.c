// The memory of a job on its way: little besides what it is to send, however much its webhook took to be planned.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_fixture.h"
#include "server/commands/fixture.h"
#include "server/dispatch/dispatch_parts.h"

#define ORDER SOURCE_DIR "/fixtures/shopify/orders/create/with_fbp_fbc"

struct scene {
    struct dispatch d;
    struct shop shop;
    struct task t;
};

// An order that was claimed, with this mapping of its shop, and planned; nothing waits for the store.
static void planned(struct scene *s, const char *rules) {
    struct fixture f;
    struct err e;
    *s = (struct scene){.shop = shop_of_both(), .t = {.dispatch = &s->d, .shop = &s->shop}};
    s->shop.rules = rules_of(rules);
    assert_int_equal(fixture_read(&arena, ORDER, &f, &e), RC_OK);
    keep_begin(&s->t);
    s->t.job = (struct job){.shop = arena_dup(&s->t.arena, s->shop.name), .source = arena_dup(&s->t.arena, f.source),
                            .topic = arena_dup(&s->t.arena, f.topic), .body = arena_dup(&s->t.arena, f.body)};
    source_decode(&s->t.arena, source_named(f.source), &s->shop, s->t.job.topic, s->t.job.body, &s->t.decoded);
    assert_int_equal(s->t.decoded.count, 1);
    plan_make(&s->t.arena, &s->shop, &s->t.decoded, s->t.decoded.events[0].time_ms, &s->t.plan);
    (void)plan_write(&s->t.arena, &s->t.plan);
}

static size_t to_send(const struct plan *p) {
    size_t n = 0;
    for (size_t i = 0; i < PLAN_STEPS; i++)
        n += p->events[0].steps[i].draft.body.n;
    return n;
}

static void only_what_is_to_be_sent_stays(void **state) {
    (void)state;
    static const char *const mappings[] = {"version: 1\n", "version: 1\nrules:\n  purchase: { klaviyo: { identify: false } }\n"};
    for (size_t i = 0; i < COUNTOF(mappings); i++) {
        struct scene s;
        planned(&s, mappings[i]);
        assert_int_equal(s.d.large_count, 1);
        assert_ptr_equal(s.t.arena.now, s.t.arena.first);  // the first block was enough
        size_t bodies = to_send(&s.t.plan);
        struct sv body = arena_dup(&arena, s.t.plan.events[0].steps[META].draft.body);
        assert_int_equal(sv_present(s.t.plan.events[0].steps[PROFILE].draft.body), i == 0);
        keep_plan(&s.t);
        assert_int_equal(s.d.large_count, 0);
        assert_ptr_equal(s.t.arena.now, s.t.arena.first);
        assert_in_range(s.t.arena.first_bytes, s.t.arena.used, s.t.arena.used + 1024);
        assert_in_range(s.t.arena.used, bodies, bodies + 4096);
        assert_true(sv_eq(s.t.plan.events[0].steps[META].draft.body, body));
        keep_end(&s.t);
        assert_int_equal(s.d.large_count, 0);
    }
}

static void given_up_large_it_counts_no_more(void **state) {
    (void)state;
    struct scene s;
    planned(&s, "version: 1\n");
    keep_end(&s.t);
    assert_int_equal(s.d.large_count, 0);
    planned(&s, "version: 1\n");
    keep_long(&s.t);
    assert_int_equal(s.d.large_count, 0);
    keep_end(&s.t);
    assert_int_equal(s.d.large_count, 0);
}

// With as many in large memory as there may be nothing is claimed, or hundreds of shops would each have a job planned at once.
static void few_are_planned_at_a_time(void **state) {
    (void)state;
    struct dispatch d = {.places = 768};
    assert_true(round_may_claim(&d, 0));
    d.large_count = 191;
    assert_true(round_may_claim(&d, 0));
    d.large_count = 192;
    assert_false(round_may_claim(&d, 0));
    d.large_count = 0;
    d.active = 768;
    assert_false(round_may_claim(&d, 0));
    assert_true(round_may_claim(&d, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(only_what_is_to_be_sent_stays),
        TEST(given_up_large_it_counts_no_more),
        TEST(few_are_planned_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
