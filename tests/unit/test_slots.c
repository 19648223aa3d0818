// Requests that are open: no more than there are slots, those that wait in their turn, no shop without one.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "server/dispatch/dispatch_parts.h"

enum { META = 0, TASKS = 40, SLOTS = 10 };

// A dispatcher whose tasks, once they have a slot, want a permit; that is where they are seen.
struct scene {
    struct dispatch d;
    struct task tasks[TASKS], *waiting[TASKS], *wanting[TASKS];
    struct shop_work a, b;
};

static void begin(struct scene *s, size_t shops) {
    *s = (struct scene){.d = {.given.in_flight = SLOTS, .current_count = shops, .waiting = s->waiting, .wanting = s->wanting}};
    for (size_t i = 0; i < TASKS; i++) {
        struct shop_work *w = i % 2 && shops > 1 ? &s->b : &s->a;
        w->limits[META].quota.count = 1;
        s->tasks[i] = (struct task){.dispatch = &s->d, .work = w, .step = META, .lease_from_ms = clock_mono_ms()};
    }
}

static void as_many_as_there_are(void **state) {
    (void)state;
    static struct scene s;
    begin(&s, 1);
    for (size_t i = 0; i < 13; i++)
        assert_int_equal(slot_take(&s.tasks[i]), i < SLOTS);
    slots_look(&s.d);
    assert_int_equal(s.d.waiting_count, 3);
    slot_give(&s.tasks[4]);
    slot_give(&s.tasks[4]);
    slot_give(&s.tasks[2]);
    assert_int_equal(s.d.open, SLOTS - 2);
    slots_look(&s.d);
    assert_int_equal(s.d.open, SLOTS);
    assert_int_equal(s.d.wanting_count, 2);
    assert_ptr_equal(s.d.wanting[0], &s.tasks[10]);
    assert_ptr_equal(s.d.wanting[1], &s.tasks[11]);
    assert_ptr_equal(s.d.waiting[0], &s.tasks[12]);
}

// A shop whose destination hangs leaves some to the other, whose requests pass those of the first that wait.
static void each_shop_has_some(void **state) {
    (void)state;
    static struct scene s;
    begin(&s, 2);
    for (size_t i = 0; i < TASKS; i += 2)
        assert_int_equal(slot_take(&s.tasks[i]), i / 2 < 8);
    assert_true(slot_take(&s.tasks[1]) && slot_take(&s.tasks[3]));
    assert_false(slot_take(&s.tasks[5]));
    slot_give(&s.tasks[1]);
    slots_look(&s.d);
    assert_int_equal(s.d.wanting_count, 1);
    assert_ptr_equal(s.d.wanting[0], &s.tasks[5]);
    for (size_t i = 0; i < 4; i++)
        slot_give(&s.tasks[i * 2]);
    slots_look(&s.d);
    assert_int_equal(s.a.open, 7);
    assert_int_equal(s.d.wanting_count, 4);
    assert_ptr_equal(s.d.wanting[1], &s.tasks[16]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_there_are),
        cmocka_unit_test(each_shop_has_some),
    };
    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
