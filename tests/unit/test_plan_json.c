// The stored form of a plan: it comes back as it was, and nothing else is taken for one.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/dispatch/plan.h"

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

static struct draft draft_of(size_t i, size_t s) {
    if (i % 3 == 0)
        return (struct draft){0};
    struct sv body = SV("{\"a\":\n\"\\u00e9\x7f\"}");
    return (struct draft){.body = body, .identity = s == 0 ? SV("em=webhook, fbp=note attribute") : SV_NONE, .tell_at = s % 2 ? body.n - i % 2 : 0, .undoes = (i + s) % 2};
}

// Every state, with and without each of its parts, and texts that need escapes.
static struct plan full_plan(void) {
    struct plan p = {.events = ARENA_ARRAY(&arena, struct planned_event, PLAN_EVENTS_MAX), .event_count = PLAN_EVENTS_MAX};
    for (size_t i = 0; i < PLAN_EVENTS_MAX; i++) {
        p.events[i] = (struct planned_event){.id = arena_fmt(&arena, "evt \"%zu\"\n\\", i), .name = SV("purchase"), .time_ms = T0 - (int64_t)i, .taken = i == 3,
                                              .patience = {(enum on_fail)(i % 3), (int64_t)i * 1000}};
        for (size_t s = 0; s < PLAN_STEPS; s++)
            p.events[i].steps[s] = (struct step){
                .asked_ms = i > 2 ? T0 + 3 : 0,
                .state = (enum step_state)((i + s) % 5), .reason = i % 2 ? SV("Größe\t\"x\"") : SV_NONE, .draft = draft_of(i, s), .amended = i % 4 == 1,
                .attempts = (int64_t)i, .first_ms = i ? T0 : 0, .last_ms = i ? T0 + 1 : 0, .next_ms = i ? T0 + 2 : 0, .bidden = i % 5 == 2};
    }
    return p;
}

static bool same_step(const struct step *a, const struct step *b) {
    return a->state == b->state && sv_eq(a->reason, b->reason) && sv_eq(a->draft.body, b->draft.body) && a->draft.tell_at == b->draft.tell_at && sv_eq(a->draft.identity, b->draft.identity) &&
           a->draft.undoes == b->draft.undoes && a->amended == b->amended && a->bidden == b->bidden && a->attempts == b->attempts &&
           a->first_ms == b->first_ms && a->asked_ms == b->asked_ms && a->last_ms == b->last_ms && a->next_ms == b->next_ms;
}

static void written_and_read(void **state) {
    (void)state;
    struct plan p = full_plan(), again;
    struct err e;
    for (int flags = 0; flags < 4; flags++) {
        p.aside = flags & 1;
        p.reserved = flags & 2;
        struct sv json = plan_write(&arena, &p);
        assert_int_equal(plan_read(&arena, json, SV_NONE, &again, &e), RC_OK);
        assert_true(sv_eq(plan_write(&arena, &again), json));
        assert_int_equal(again.event_count, p.event_count);
        assert_true(again.aside == p.aside && again.reserved == p.reserved);
        for (size_t i = 0; i < p.event_count; i++) {
            const struct planned_event *is = &again.events[i], *was = &p.events[i];
            assert_true(sv_eq(is->id, was->id) && sv_eq(is->name, was->name) && is->time_ms == was->time_ms && is->taken == was->taken);
            assert_true(is->patience.on_fail == was->patience.on_fail && is->patience.max_wait_ms == was->patience.max_wait_ms);
            for (size_t s = 0; s < PLAN_STEPS; s++)
                assert_true(same_step(&is->steps[s], &was->steps[s]));
        }
    }
}

#define PATIENT(members) "{\"events\":[{\"id\":\"a\",\"time\":1," members ",\"steps\":" STEP("\"state\":\"sent\"") "}]}"
#define TELL(members) EVENT("\"a\"", "1", STEP("\"state\":\"pending\"," members))
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
        EVENT("\"a\"", "2305843009213693952", STEP("\"state\":\"sent\"")), TELL("\"next\":2305843009213693952"), TELL("\"first\":-1"),
        TELL("\"attempts\":-1"), TELL("\"tell_at\":1"), TELL("\"body\":\"abc\",\"tell_at\":4"), TELL("\"body\":\"abc\",\"tell_at\":-1"),
        TELL("\"body\":\"abc\",\"tell_at\":4294967299"), TELL("\"body\":\"abc\",\"tell_at\":\"x\""), TELL("\"undoes\":true"),
        TELL("\"amended\":\"yes\""), TELL("\"undoes\":-1"), EVENT("\"a\"", "1", "{\"meta\":1}"), EVENT("\"a\"", "1", "{\"klaviyo.list\":{}}"),
        TELL("\"bytes\":1"), TELL("\"bytes\":1") "\n", TELL("\"bytes\":3") "\nab", TELL("\"bytes\":3") "\nabcd", TELL("\"bytes\":3") "abc",
        TELL("\"bytes\":3") "\n\nabc", TELL("\"bytes\":3,\"body\":\"abc\"") "\nabc", TELL("\"bytes\":-1") "\nabc", TELL("\"bytes\":\"x\"") "\nabc",
        TELL("\"bytes\":9223372036854775807") "\nabc", TELL("\"bytes\":3,\"tell_at\":4") "\nabc", TELL("\"body\":\"abc\"") "\n", "\n" TELL("\"body\":\"abc\""),
        PATIENT("\"on_fail\":3"), PATIENT("\"on_fail\":-1"), PATIENT("\"on_fail\":\"stop\""), PATIENT("\"on_fail\":4294967296"),
        PATIENT("\"max_wait\":-1"), PATIENT("\"max_wait\":9223372036854775807"), PATIENT("\"max_wait\":\"10s\""),
    };
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        struct plan p;
        struct err e = {0};
        if (plan_read(&arena, sv_of(bad[i]), SV_NONE, &p, &e) == RC_OK)
            fail_msg("taken: %s", bad[i]);
        assert_non_null(strstr(e.text, "stored plan"));
        assert_true(p.event_count <= PLAN_EVENTS_MAX);
    }
    struct plan p;
    assert_int_equal(plan_read(&arena, SV(TELL("\"body\":\"abc\",\"tell_at\":3")), SV_NONE, &p, NULL), RC_OK);
    assert_int_equal(p.events[0].steps[0].draft.tell_at, 3);
    assert_false(plan_tell(&arena, &p, 0, 0));  // Meta is told nothing
    assert_true(sv_is(p.events[0].steps[0].draft.body, "abc"));  // as it was written once
    assert_int_equal(plan_read(&arena, SV(TELL("\"bytes\":3,\"tell_at\":3") "\na\nc"), SV_NONE, &p, NULL), RC_OK);
    assert_true(sv_is(p.events[0].steps[0].draft.body, "a\nc"));
    assert_int_equal(plan_read(&arena, SV(PATIENT("\"on_fail\":2,\"max_wait\":10000")), SV_NONE, &p, NULL), RC_OK);
    assert_int_equal(p.events[0].patience.on_fail, ON_FAIL_STOP);
    assert_int_equal(p.events[0].patience.max_wait_ms, 10000);
    assert_int_equal(plan_read(&arena, SV(EVENT("\"a\"", "1", STEP("\"state\":\"sent\""))), SV_NONE, &p, NULL), RC_OK);
    assert_int_equal(p.events[0].patience.on_fail, ON_FAIL_CONTINUE);
    struct sv full = plan_write(&arena, &(struct plan){.events = &(struct planned_event){.id = SV("a")}, .event_count = 1}), one, rest;
    assert_true(sv_cut(full, '[', &one, &rest));
    rest = sv_sub(rest, 0, rest.n - 2);
    struct sv nine = arena_fmt(&arena, SV_FMT "[" SV_FMT, SV_ARG(one), SV_ARG(rest));
    assert_int_equal(plan_read(&arena, arena_fmt(&arena, SV_FMT "]}", SV_ARG(nine)), SV_NONE, &p, NULL), RC_OK);
    for (int i = 0; i < PLAN_EVENTS_MAX; i++)
        nine = arena_fmt(&arena, SV_FMT "," SV_FMT, SV_ARG(nine), SV_ARG(rest));
    assert_int_equal(plan_read(&arena, arena_fmt(&arena, SV_FMT "]}", SV_ARG(nine)), SV_NONE, &p, NULL), RC_INVALID);
    assert_int_equal(plan_read(&arena, SV(EVENT("\"a\"", "1", "{\"klaviyo.event\":{\"state\":\"pending\"}}")), SV_NONE, &p, NULL), RC_OK);
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
