// Money as text: exact sums, places kept, refusal of what is no plain decimal or out of range.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "handlers/decimal.h"

static void sums(void **state) {
    (void)state;
    static const struct { const char *a, *b, *sum; } rows[] = {
        {"0.10", "0.20", "0.30"}, {"12.10", "6.90", "19.00"}, {"1", "0.5", "1.5"}, {"0", "0", "0"}, {"-1.25", "1", "-0.25"},
        {"5", "-5.00", "0.00"}, {"9223372036854775807", "0", "9223372036854775807"}, {"9223372036854775807", "1", NULL},
        {"9223372036854775807", "0.1", NULL}, {"-0.05", "0", "-0.05"},
    };
    struct arena arena;
    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct decimal sum, more;
        assert_true(decimal_of(sv_of(rows[i].a), &sum));
        assert_true(decimal_of(sv_of(rows[i].b), &more));
        assert_int_equal(decimal_add(&sum, more), rows[i].sum != NULL);
        if (!sv_is(decimal_text(&arena, sum), rows[i].sum ? rows[i].sum : rows[i].a))
            fail_msg("%s + %s", rows[i].a, rows[i].b);
    }
    arena_free(&arena);
}

static void products(void **state) {
    (void)state;
    static const struct { const char *price, *quantity, *product; } rows[] = {
        {"64.95", "2", "129.90"}, {"9.50", "0", "0.00"}, {"1.00", "1.5", NULL}, {"1.00", "x", NULL}, {"99999999999.99", "99999999999", NULL},
    };
    struct arena arena;
    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct decimal d;
        assert_true(decimal_of(sv_of(rows[i].price), &d));
        assert_int_equal(decimal_times(&d, sv_of(rows[i].quantity)), rows[i].product != NULL);
        assert_true(sv_is(decimal_text(&arena, d), rows[i].product ? rows[i].product : rows[i].price));
    }
    arena_free(&arena);
}

static void what_is_no_decimal(void **state) {
    (void)state;
    static const char *const rows[] = {"", "-", ".", "1.", ".5", "1e3", "1,5", "+1", " 1", "0.1234567", "1.2.3", "--1", "nan", "9223372036854775808", "99999999999999999999"};
    struct decimal d;
    for (size_t i = 0; i < COUNTOF(rows); i++)
        if (decimal_of(sv_of(rows[i]), &d))
            fail_msg("\"%s\" was taken", rows[i]);
    assert_false(decimal_of(SV_NONE, &d));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums), cmocka_unit_test(products), cmocka_unit_test(what_is_no_decimal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
