// What is tried again at a destination that is away takes turns.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "server/dispatch/dispatch_parts.h"

enum { META = 0, SPANS = 60 };
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
        int64_t turn_ms = gate_try_ms(w, META);
        assert_in_range(turn_ms, 1, SPANS * SPAN_MS);
        spans[(turn_ms - 1) / SPAN_MS]++;
    }
}

static void who_works_is_not_waited_for(void **state) {
    (void)state;
    struct shop_work w = {0};
    assert_int_equal(gate_try_ms(&w, META), 0);
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
        assert_in_range(spans[i], 1500, 1800);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_works_is_not_waited_for),
        cmocka_unit_test(few_try_one_after_another),
        cmocka_unit_test(many_leave_no_gap),
    };
    return cmocka_run_group_tests_name("pause", tests, NULL, NULL);
}
