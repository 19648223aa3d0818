// The stored form of a plan: it comes back as it was, and nothing else is taken for one.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/plan.h"

#include <string.h>

#define T0 INT64_C(1795255200000)

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, (size_t)16 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    bool fine = arena_ok(&arena);
    arena_free(&arena);
    return fine ? 0 : -1;
}

// Every state, with and without each of its parts, and texts that need escapes.
static struct plan full_plan(void) {
    struct plan p = {.event_count = PLAN_EVENTS_MAX};
    for (size_t i = 0; i < PLAN_EVENTS_MAX; i++) {
        p.events[i] = (struct planned_event){.id = arena_fmt(&arena, "evt \"%zu\"\n\\", i), .name = SV("purchase"), .time_ms = T0 - (int64_t)i};
        for (size_t s = 0; s < PLAN_STEPS; s++)
            p.events[i].steps[s] = (struct step){
                .state = (enum step_state)((i + s) % 5), .reason = i % 2 ? SV("Größe\t\"x\"") : SV_NONE, .body = i % 3 ? SV("{\"a\":\"\\u00e9\x7f\"}") : SV_NONE,
                .attempts = (int64_t)i, .first_ms = i ? T0 : 0, .last_ms = i ? T0 + 1 : 0, .next_ms = i ? T0 + 2 : 0};
    }
    return p;
}

static bool same_step(const struct step *a, const struct step *b) {
    return a->state == b->state && sv_eq(a->reason, b->reason) && sv_eq(a->body, b->body) && a->attempts == b->attempts &&
           a->first_ms == b->first_ms && a->last_ms == b->last_ms && a->next_ms == b->next_ms;
}

static void written_and_read(void **state) {
    (void)state;
    struct plan p = full_plan(), again;
    struct err e;
    for (int flags = 0; flags < 4; flags++) {
        p.aside = flags & 1;
        p.reserved = flags & 2;
        struct sv json = plan_write(&arena, &p);
        assert_int_equal(plan_read(&arena, json, &again, &e), RC_OK);
        assert_true(sv_eq(plan_write(&arena, &again), json));
        assert_int_equal(again.event_count, p.event_count);
        assert_true(again.aside == p.aside && again.reserved == p.reserved);
        for (size_t i = 0; i < p.event_count; i++) {
            const struct planned_event *is = &again.events[i], *was = &p.events[i];
            assert_true(sv_eq(is->id, was->id) && sv_eq(is->name, was->name) && is->time_ms == was->time_ms);
            for (size_t s = 0; s < PLAN_STEPS; s++)
                assert_true(same_step(&is->steps[s], &was->steps[s]));
        }
    }
}

#define EVENT(id, time, steps) "{\"events\":[{\"id\":" id ",\"name\":\"purchase\",\"time\":" time ",\"steps\":" steps "}]}"
#define STEP(members) "{\"meta\":{" members "},\"klaviyo.event\":{\"state\":\"pending\"}}"

static void hostile_plans_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "null", "[]", "{}", "{", "{\"events\":{}}", "{\"events\":\"x\"}", "{\"events\":[1]}", "{\"events\":[{}]}", "{\"events\":[[]]}",
        "{\"events\":[1,2,3,4,5,6,7,8,9]}", "{\"events\":[]}{}", "{\"events\":[\"\\u0000\"]}",
        EVENT("\"\"", "1", STEP("\"state\":\"sent\"")), EVENT("null", "1", STEP("\"state\":\"sent\"")), EVENT("\"a\"", "\"x\"", STEP("\"state\":\"sent\"")),
        EVENT("\"a\"", "1.5", STEP("\"state\":\"sent\"")), EVENT("\"a\"", "99999999999999999999", STEP("\"state\":\"sent\"")),
        EVENT("\"a\"", "null", STEP("\"state\":\"sent\"")), EVENT("\"a\"", "1", "[]"), EVENT("\"a\"", "1", "null"),
        EVENT("\"a\"", "1", STEP("")), EVENT("\"a\"", "1", STEP("\"state\":\"SENT\"")), EVENT("\"a\"", "1", STEP("\"state\":5")),
        EVENT("\"a\"", "1", STEP("\"state\":\"sent\",\"attempts\":1e3")), EVENT("\"a\"", "1", STEP("\"state\":\"sent\",\"first\":\"x\"")),
        EVENT("\"a\"", "1", STEP("\"state\":\"sent\",\"last\":99999999999999999999")), EVENT("\"a\"", "1", STEP("\"state\":\"sent\",\"next\":true")),
    };
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        struct plan p;
        struct err e = {0};
        if (plan_read(&arena, sv_of(bad[i]), &p, &e) == RC_OK)
            fail_msg("taken: %s", bad[i]);
        assert_non_null(strstr(e.text, "stored plan"));
        assert_true(p.event_count <= PLAN_EVENTS_MAX);
    }
    struct plan p;
    struct sv full = plan_write(&arena, &(struct plan){.event_count = 1, .events = {{.id = SV("a")}}}), one, rest;
    assert_true(sv_cut(full, '[', &one, &rest));
    rest = sv_sub(rest, 0, rest.n - 2);
    struct sv nine = arena_fmt(&arena, SV_FMT "[" SV_FMT, SV_ARG(one), SV_ARG(rest));
    assert_int_equal(plan_read(&arena, arena_fmt(&arena, SV_FMT "]}", SV_ARG(nine)), &p, NULL), RC_OK);
    for (int i = 0; i < PLAN_EVENTS_MAX; i++)
        nine = arena_fmt(&arena, SV_FMT "," SV_FMT, SV_ARG(nine), SV_ARG(rest));
    assert_int_equal(plan_read(&arena, arena_fmt(&arena, SV_FMT "]}", SV_ARG(nine)), &p, NULL), RC_INVALID);
    assert_int_equal(plan_read(&arena, SV(EVENT("\"a\"", "1", "{\"klaviyo.event\":{\"state\":\"pending\"}}")), &p, NULL), RC_OK);
    assert_true(sv_is(p.events[0].steps[0].reason, "not planned"));  // a destination that is newer than the plan
    assert_int_equal(p.events[0].steps[0].state, STEP_SKIPPED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_and_read, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_plans_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
