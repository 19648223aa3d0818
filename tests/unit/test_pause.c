// What is tried again at a destination that is away takes turns; what failed because of that may go at once when it answers again.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "server/dispatch/dispatch_parts.h"

enum { META = 0, SPANS = 360 };
#define SPAN_MS SECONDS_MS(10)

static struct shop_work away(void) {
    struct shop_work w = {0};
    w.gates[META].failures = 1000;
    w.gates[META].failing_since_ms = clock_mono_ms() - MINUTES_MS(1);
    return w;
}

// give_turns: how many of so many get a turn in each span.
static void give_turns(struct shop_work *w, size_t count, size_t spans[SPANS]) {
    for (size_t i = 0; i < count; i++) {
        int64_t turn_ms = gate_try_ms(w, META, INT64_MAX);
        assert_in_range(turn_ms, 1, SPANS * SPAN_MS);
        spans[(turn_ms - 1) / SPAN_MS]++;
    }
}

static const struct shop shop;
static struct dispatch dispatch;
#define WALL_MS INT64_C(1795255200000)

static struct task task_of(struct shop_work *w) {
    return (struct task){.dispatch = &dispatch, .work = w, .shop = &shop, .step = META, .sent_ms = clock_mono_ms() + 1};
}

static void hear(struct shop_work *w, enum outcome_kind kind, size_t times) {
    struct task t = task_of(w);
    for (size_t i = 0; i < times; i++)
        gate_note(&t, &(struct outcome){.kind = kind, .reason = SV("said so")}, 0);
}

static void who_works_is_not_waited_for(void **state) {
    (void)state;
    struct shop_work w = {0};
    assert_int_equal(gate_try_ms(&w, META, INT64_MAX), 0);
}

static void few_try_one_after_another(void **state) {
    (void)state;
    struct shop_work w = away();
    size_t spans[SPANS] = {0};
    give_turns(&w, 300, spans);
    assert_in_range(spans[0], 95, 100);
    assert_in_range(spans[1], 95, 105);
    assert_int_equal(spans[4], 0);
}

// However many wait, somebody tries soon, so that it is noticed when the destination is back.
static void many_leave_no_gap(void **state) {
    (void)state;
    struct shop_work w = away();
    size_t spans[SPANS] = {0};
    give_turns(&w, 100000, spans);
    for (size_t i = 0; i < SPANS; i++)
        assert_in_range(spans[i], 200, 300);
}

// All come after the probe, and one that fails does not have the next begin from the front.
static void who_is_paused_comes_in_turn(void **state) {
    (void)state;
    int64_t now = clock_mono_ms();
    struct shop_work w = {.gates[META] = {.state = GATE_PAUSED, .until_ms = now + 60000, .first_ms = now + 60000}};
    for (int i = 1; i <= 300; i++)
        assert_in_range(gate_try_ms(&w, META, INT64_MAX), 59000 + i * 100, 60000 + i * 100);
    hear(&w, OUTCOME_PAUSE, 1);
    assert_in_range(gate_try_ms(&w, META, INT64_MAX), 89000, 90100);
    w.gates[META].first_ms = 0;  // some come as soon as it may be tried
    assert_in_range(gate_try_ms(&w, META, INT64_MAX), 59000, 60000);
    struct task probe = task_of(&w);
    probe.probe = true;
    w.gates[META].first_ms = now + 60000;
    gate_note(&probe, &(struct outcome){.kind = OUTCOME_RETRY, .reason = SV("said so")}, 2000);  // the account may be right by now
    assert_in_range(gate_try_ms(&w, META, INT64_MAX), 1000, 2100);
}

// A profile may be refused for want of a scope of its own. Whether the account is right again the event behind it tells.
static void a_refused_profile_resumes_nothing(void **state) {
    (void)state;
    enum { PROFILE = 1 };
    struct shop_work w = {.name = "acme", .gates[PROFILE] = {.state = GATE_PAUSED, .until_ms = clock_mono_ms() + 60000, .answered = true}};
    struct task t = task_of(&w);
    t.step = PROFILE;
    t.probe = true;
    assert_true(gate_shut(&w, PROFILE));
    gate_note(&t, &(struct outcome){.kind = OUTCOME_REJECT, .reason = SV("403")}, 0);
    assert_int_equal(w.gates[PROFILE].state, GATE_PAUSED);
    assert_false(gate_shut(&w, PROFILE));
    assert_false(w.wake);
}

// They all come back, so the line is empty: with everybody behind the old one nobody would try until that is over.
static void who_is_woken_begins_a_new_line(void **state) {
    (void)state;
    struct shop_work w = away();
    size_t spans[SPANS] = {0};
    give_turns(&w, 10000, spans);
    assert_true(gate_try_ms(&w, META, INT64_MAX) > 900000);
    gates_requeue(&w);
    assert_in_range(gate_try_ms(&w, META, INT64_MAX), 1, 100);
}

// Who cannot wait for its turn leaves it to the next.
static void who_is_in_a_hurry_takes_no_turn(void **state) {
    (void)state;
    struct shop_work w = away();
    size_t spans[SPANS] = {0};
    give_turns(&w, 100, spans);
    for (int i = 0; i < 100; i++)
        assert_int_equal(gate_try_ms(&w, META, 5000), 5000);
    assert_in_range(gate_try_ms(&w, META, INT64_MAX), 9000, 10100);
}

// Who holds others up waits for a turn as well, but no longer than those are patient; what was not tried yet, or is worth nothing later, does not.
static void who_is_waited_for_has_a_turn_too(void **state) {
    (void)state;
    enum { PROFILE = 1, LAST = PLAN_STEPS - 1 };
    static const struct {
        enum step_state state;
        size_t step;
        int64_t wait_ms, most_ms, least, most, attempts;
    } rows[] = {
        {STEP_RETRYING, META, 100, INT64_MAX, 99000, 101000, 0},
        {STEP_RETRYING, META, 100, 900000, 99000, 101000, 0},
        {STEP_RETRYING, META, 100, 5000, 5000, 5000, 0},
        {STEP_RETRYING, META, 200000, 900000, 200000, 200000, 0},
        {STEP_PENDING, META, 100, 900000, 100, 100, 0},
        {STEP_RETRYING, PROFILE, 100, 900000, 100, 100, 1},
        {STEP_RETRYING, PROFILE, 100, 900000, 99000, 101000, 0},  // a closed gate kept it from beginning
        {STEP_RETRYING, LAST, 100, INT64_MAX, 99000, 101000, 0},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop_work w = away();
        w.gates[PROFILE] = w.gates[META];  // the one of Klaviyo's steps
        w.gates[META].try_us = w.gates[PROFILE].try_us = (clock_mono_ms() + 100000) * 1000;
        struct planned_event event = {.name = SV("purchase")};
        event.steps[rows[i].step] = (struct step){.state = rows[i].state, .attempts = rows[i].attempts};
        struct task t = {.work = &w, .plan = {.events = &event, .event_count = 1}};
        struct action a = {.kind = ACTION_WAIT, .step = rows[i].step, .wait_ms = rows[i].wait_ms, .most_ms = rows[i].most_ms};
        int64_t turn_ms = turn_in_ms(&t, &a);
        if (turn_ms < rows[i].least || turn_ms > rows[i].most)
            fail_msg("row %zu: %lld", i, (long long)turn_ms);
    }
}

// ---- it answers again

// again_ms: since when it answers again, as plan_next is told; 0: it was not out.
static int64_t again_ms(struct shop_work *w) {
    struct task t = task_of(w);
    struct closed closed = {0};
    gates_closed(&t, WALL_MS, &closed);
    return closed.again_ms[META];
}

// fail_for: so many failures in a row, the first of them so long ago.
static void fail_for(struct shop_work *w, size_t times, int64_t ms) {
    hear(w, OUTCOME_RETRY, times);
    w->gates[META].failing_since_ms = clock_mono_ms() - ms;
}

static void after_an_outage_all_are_woken(void **state) {
    (void)state;
    struct shop_work w = {.name = "acme"};
    fail_for(&w, 20, 1000);
    assert_int_equal(again_ms(&w), 0);
    assert_false(w.wake);
    hear(&w, OUTCOME_SENT, 1);
    assert_in_range(again_ms(&w), WALL_MS - 500, WALL_MS);
    assert_true(w.wake);
}

// Who was given a turn by a process that is no more waits for that of its own accord: our first answer is the one that was to wake it.
static void the_first_answer_wakes(void **state) {
    (void)state;
    struct shop_work w = {.name = "acme"};
    hear(&w, OUTCOME_RETRY, 1);
    hear(&w, OUTCOME_THROTTLED, 1);
    assert_false(w.wake);
    hear(&w, OUTCOME_SENT, 1);
    assert_true(w.wake);
    assert_int_equal(again_ms(&w), 0);  // back-offs hold
    w.wake = false;
    hear(&w, OUTCOME_RETRY, 1);
    hear(&w, OUTCOME_SENT, 1);
    assert_false(w.wake);
}

// A tenth of all fails, one event fails all the time, it was only a moment: each has its own back-off.
static void some_failures_are_no_outage(void **state) {
    (void)state;
    static const struct {
        size_t times;
        int64_t ms;
    } rows[] = {{1, 60000}, {19, 60000}, {100, 500}};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop_work w = {.name = "acme", .gates[META].answered = true};
        for (int k = 0; k < 30; k++) {
            fail_for(&w, rows[i].times, rows[i].ms);
            hear(&w, OUTCOME_SENT, 1);
        }
        assert_int_equal(again_ms(&w), 0);
        assert_false(w.wake);
    }
}

static void once_it_fails_as_before_nobody_goes_early(void **state) {
    (void)state;
    struct shop_work w = {.name = "acme"};
    fail_for(&w, 20, 1000);
    hear(&w, OUTCOME_SENT, 1);
    hear(&w, OUTCOME_RETRY, 19);
    assert_int_not_equal(again_ms(&w), 0);
    hear(&w, OUTCOME_RETRY, 1);
    assert_int_equal(again_ms(&w), 0);
}

// A request that hung when the destination came back ends long after that, and says nothing of how it is now.
static void what_was_asked_before_is_excused(void **state) {
    (void)state;
    struct shop_work w = {.name = "acme"};
    struct task t = task_of(&w);
    t.sent_ms = clock_mono_ms() - 1;
    assert_false(gate_excuses(&t));
    fail_for(&w, 20, 1000);
    hear(&w, OUTCOME_SENT, 1);
    assert_true(gate_excuses(&t));
    for (int i = 0; i < 20; i++)
        gate_note(&t, &(struct outcome){.kind = OUTCOME_RETRY, .reason = SV("timed out")}, 0);
    assert_int_not_equal(again_ms(&w), 0);
    t.sent_ms = w.gates[META].again_ms;
    assert_false(gate_excuses(&t));
}

// What comes and goes each second would have everything tried at each of its turns.
static void who_comes_and_goes_wakes_once_a_minute(void **state) {
    (void)state;
    struct shop_work w = {.name = "acme"};
    fail_for(&w, 20, 1000);
    hear(&w, OUTCOME_SENT, 1);
    w.wake = false;
    fail_for(&w, 20, 5000);
    hear(&w, OUTCOME_SENT, 1);
    assert_false(w.wake);
    fail_for(&w, 20, 10000);
    hear(&w, OUTCOME_SENT, 1);
    assert_true(w.wake);
    w.wake = false;
    w.gates[META].again_ms -= MINUTES_MS(1);
    fail_for(&w, 20, 1000);
    hear(&w, OUTCOME_SENT, 1);
    assert_true(w.wake);
}

// Whoever is woken asks for a turn again; those that were given before are nobody's.
static void who_is_woken_gets_a_new_turn(void **state) {
    (void)state;
    struct shop_work w = {0};
    struct limit *all[] = {&w.limits[0], &w.limits[PLAN_STEPS - 1], &w.bulk.limit};
    for (size_t k = 0; k < COUNTOF(all); k++)
        all[k]->lines[0].until_ms = all[k]->lines[1].until_ms = clock_mono_ms();
    for (size_t i = 0; i < 3000; i++)
        for (size_t k = 0; k < COUNTOF(all); k++) {
            all[k]->each_us = all[k]->steady_each_us = 10000;
            limit_queue(all[k], i % 2);
        }
    assert_true(limit_turn_ms(all[0], false) - clock_mono_ms() > SECONDS_MS(10));
    limits_requeue(&w);
    for (size_t k = 0; k < COUNTOF(all); k++)
        assert_true(limit_turn_ms(all[k], false) <= clock_mono_ms() && limit_turn_ms(all[k], true) <= clock_mono_ms());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_works_is_not_waited_for),
        cmocka_unit_test(few_try_one_after_another),
        cmocka_unit_test(many_leave_no_gap),
        cmocka_unit_test(who_is_paused_comes_in_turn),
        cmocka_unit_test(a_refused_profile_resumes_nothing),
        cmocka_unit_test(who_is_woken_begins_a_new_line),
        cmocka_unit_test(who_is_in_a_hurry_takes_no_turn),
        cmocka_unit_test(who_is_waited_for_has_a_turn_too),
        cmocka_unit_test(the_first_answer_wakes),
        cmocka_unit_test(after_an_outage_all_are_woken),
        cmocka_unit_test(some_failures_are_no_outage),
        cmocka_unit_test(once_it_fails_as_before_nobody_goes_early),
        cmocka_unit_test(what_was_asked_before_is_excused),
        cmocka_unit_test(who_comes_and_goes_wakes_once_a_minute),
        cmocka_unit_test(who_is_woken_gets_a_new_turn),
    };
    return cmocka_run_group_tests_name("pause", tests, NULL, NULL);
}
