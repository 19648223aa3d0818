#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/context/rate.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SECOND ((int64_t)1000000)

static int takes(struct rate *r, struct sv payer, int64_t now_us, int attempts) {
    int granted = 0;
    for (int i = 0; i < attempts; i++)
        granted += rate_take(r, payer, now_us);
    return granted;
}

static void a_bucket_empties_and_fills(void **state) {
    (void)state;
    const struct {
        int64_t at_us;
        int attempts, granted;
    } steps[] = {
        {0, 100, 10},                // the burst, no more
        {SECOND / 2 - 1, 100, 0},
        {SECOND / 2, 100, 1},        // one token each half second
        {SECOND * 2, 100, 3},        // and what was refused cost nothing
        {SECOND * 2, 1, 0},
        {SECOND * 1000, 100, 10},    // never more than the burst
        {SECOND * 999, 100, 0},      // a clock that goes back gives nothing away
    };
    struct rate *r = rate_new(2, 10);
    for (size_t i = 0; i < COUNTOF(steps); i++) {
        int granted = takes(r, SV("a"), steps[i].at_us, steps[i].attempts);
        if (granted != steps[i].granted)
            fail_msg("step %zu: %d granted, not %d", i, granted, steps[i].granted);
    }
    rate_free(r);
}

static void each_payer_has_its_own(void **state) {
    (void)state;
    struct rate *r = rate_new(1, 3);
    assert_int_equal(takes(r, SV("a"), SECOND, 9), 3);
    assert_int_equal(takes(r, SV("b"), SECOND, 9), 3);
    assert_int_equal(takes(r, SV(""), SECOND, 9), 3);
    assert_int_equal(takes(r, SV("a"), SECOND, 9), 0);
    rate_free(r);
}

// Ten times as many payers as there are places: nobody who is new is refused, and somebody who owes now is not soon forgotten.
static void a_full_table_serves_the_new(void **state) {
    (void)state;
    struct rate *r = rate_new(1, 2);
    char name[16];
    for (int i = 0; i < 80000; i++) {
        snprintf(name, sizeof name, "p%d", i);
        assert_true(rate_take(r, sv_of(name), SECOND + i));
    }
    assert_int_equal(takes(r, SV("late"), SECOND * 2, 9), 2);
    assert_int_equal(takes(r, SV("late"), SECOND * 2, 9), 0);
    rate_free(r);
}

static void *take_many(void *ctx) {
    return (void *)(intptr_t)takes(ctx, SV("shared"), SECOND, 1000);
}

static void threads_share_one_bucket(void **state) {
    (void)state;
    struct rate *r = rate_new(1, 700);
    pthread_t threads[8];
    intptr_t granted = 0;
    for (size_t i = 0; i < COUNTOF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, r), 0);
    for (size_t i = 0; i < COUNTOF(threads); i++) {
        void *one;
        pthread_join(threads[i], &one);
        granted += (intptr_t)one;
    }
    assert_int_equal(granted, 700);
    rate_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_empties_and_fills),
        cmocka_unit_test(each_payer_has_its_own),
        cmocka_unit_test(a_full_table_serves_the_new),
        cmocka_unit_test(threads_share_one_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
