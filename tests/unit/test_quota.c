// Counting against a quota over a made-up clock: in no span of its length do more go out than it allows, wherever that span begins.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/quota.h"

#include <stdlib.h>
#include <string.h>

#define T0 INT64_C(1795255200000)
static const struct quota events = {{{350, 1000}, {3500, 60000}}, 2};

static int64_t take(struct quota_use *use, const struct quota *q, int64_t want, int64_t at, int64_t wait, size_t full) {
    int64_t wait_ms = -1;
    size_t is_full = 0;
    int64_t granted = quota_take(use, q, want, T0 + at, &wait_ms, &is_full);
    assert_int_equal(wait_ms, wait);
    assert_int_equal(is_full, full);
    return granted;
}

static void all_at_once_then_nothing_until_they_leave_the_window(void **state) {
    (void)state;
    struct quota_use use = {0};
    assert_int_equal(take(&use, &events, 300, 0, 0, 0), 300);
    assert_int_equal(take(&use, &events, 300, 10, 1030, 0), 50);   // the slot of the first ones leaves at 1040
    assert_int_equal(take(&use, &events, 1, 1039, 1, 0), 0);
    assert_int_equal(take(&use, &events, 1, 1040, 0, 0), 1);
    assert_int_equal(take(&use, &events, 1000, 1040, 1040, 0), 349);
}

static void the_longer_window_counts_too(void **state) {
    (void)state;
    struct quota_use use = {0};
    int64_t sum = 0, wait_ms;
    size_t full = 9;
    for (int64_t at = 0; at < 20000; at += 10)
        sum += quota_take(&use, &events, 5, T0 + at, &wait_ms, &full);
    assert_int_equal(sum, 3500);
    assert_int_equal(full, 1);
    assert_int_equal(wait_ms, 62400 - 19990);
    assert_int_equal(take(&use, &events, 5, 62400, 0, 0), 5);
}

static void nothing_wanted_is_nothing_counted(void **state) {
    (void)state;
    struct quota_use use = {0};
    const struct quota none = {.count = 0}, one = {{{1, 1000}}, 1};
    assert_int_equal(take(&use, &none, 1000000, 0, 0, 0), 1000000);
    assert_int_equal(take(&use, &one, 0, 0, 0, 0), 0);
    assert_int_equal(take(&use, &one, 1, 0, 0, 0), 1);
    assert_int_equal(take(&use, &one, 0, 0, 0, 0), 0);
    assert_int_equal(take(&use, &one, 1, 0, 1040, 0), 0);
}

static void a_smaller_quota_holds_at_once(void **state) {
    (void)state;
    struct quota_use use = {0};
    const struct quota small = {{{40, 1000}, {300, 60000}}, 2}, other = {{{10, 10000}}, 1};
    assert_int_equal(take(&use, &events, 60, 0, 0, 0), 60);
    assert_int_equal(take(&use, &small, 1, 10, 1030, 0), 0);
    assert_int_equal(take(&use, &small, 100, 1040, 1040, 0), 40);
    assert_int_equal(take(&use, &other, 100, 1040, 11200 - 1040, 0), 10);  // windows of another length
    assert_int_equal(take(&use, &small, 300, 20000, 1040, 0), 40);
}

// Any clock, any wishes: what was let out in each span of a window's length, and that it is nearly as much as may be.
static void random_wishes(void **state) {
    (void)state;
    enum { END = 200000 };
    const struct quota q = {{{40, 1000}, {300, 60000}}, 2};
    struct quota_use use = {0};
    int64_t *out = calloc(END, sizeof *out), sum = 0;
    assert_non_null(out);
    for (int64_t at = 0; at < END; at += 1 + (int64_t)random_below(30)) {
        int64_t wait_ms;
        size_t full;
        out[at] = quota_take(&use, &q, (int64_t)random_below(20), T0 + at, &wait_ms, &full);
        assert_true(out[at] >= 0);
        sum += out[at];
    }
    for (size_t i = 0; i < q.count; i++) {
        int64_t within = 0;
        for (int64_t at = 0; at < END; at++) {
            within += out[at] - (at >= q.windows[i].span_ms ? out[at - q.windows[i].span_ms] : 0);
            assert_true(within <= q.windows[i].most);
        }
    }
    assert_true(sum >= 4 * 300 - 40);  // 200 s are three windows of 62.4 s and a bit
    free(out);
}

static void a_clock_that_stands_or_jumps(void **state) {
    (void)state;
    struct quota_use use = {0};
    assert_int_equal(take(&use, &events, 350, 0, 0, 0), 350);
    assert_int_equal(take(&use, &events, 1, 0, 1040, 0), 0);
    assert_int_equal(take(&use, &events, 350, DAYS_MS(400), 0, 0), 350);
    assert_int_equal(take(&use, &events, 1, 0, 0, 0), 1);  // backwards: counts begin anew
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_at_once_then_nothing_until_they_leave_the_window), cmocka_unit_test(the_longer_window_counts_too),
        cmocka_unit_test(nothing_wanted_is_nothing_counted), cmocka_unit_test(a_smaller_quota_holds_at_once), cmocka_unit_test(random_wishes),
        cmocka_unit_test(a_clock_that_stands_or_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
