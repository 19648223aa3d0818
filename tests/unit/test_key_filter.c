// test_key_filter.c: what is in is always found; what is not is seldom taken for it.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/store/sqlite/key_filter.h"

// Numbers as hashes are: all different, and spread evenly.
static uint64_t nth(uint64_t i) {
    i = (i + 1) * 0x9e3779b97f4a7c15u;
    i = (i ^ i >> 30) * 0xbf58476d1ce4e5b9u;
    i = (i ^ i >> 27) * 0x94d049bb133111ebu;
    return i ^ i >> 31;
}

static void fill(struct key_filter *f, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++)
        key_filter_add(f, nth(i));
}

static void must_have(const struct key_filter *f, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        assert_true(key_filter_may_have(f, nth(i)));
}

// wrong: strangers that it takes for one of its own, of 100,000.
static int wrong(const struct key_filter *f) {
    int n = 0;
    for (uint64_t i = 0; i < 100000; i++)
        n += key_filter_may_have(f, nth(i + 1000000000));
    return n;
}

static void it_has_what_was_put_in(void **state) {
    (void)state;
    static const uint64_t counts[] = {1, 1000, 100000, 1000000};
    for (size_t i = 0; i < COUNTOF(counts); i++) {
        struct key_filter *f = key_filter_new(counts[i]);
        assert_non_null(f);
        assert_int_equal(wrong(f), 0);  // empty
        fill(f, 0, counts[i]);
        must_have(f, counts[i]);
        assert_false(key_filter_full(f));
        assert_in_range(key_filter_count(f), counts[i] - counts[i] / 50, counts[i]);
        assert_in_range(wrong(f), 0, 1700);
        fill(f, 0, counts[i]);  // again: nothing new
        assert_true(key_filter_count(f) <= counts[i]);
        key_filter_free(f);
    }
}

static void it_says_when_it_is_full(void **state) {
    (void)state;
    struct key_filter *f = key_filter_new(0);
    uint64_t n = 0;
    for (; !key_filter_full(f); n++)
        key_filter_add(f, nth(n));
    assert_in_range(n, 50000, 60000);
    assert_in_range(wrong(f), 500, 1700);  // and not much too early
    must_have(f, n);
    key_filter_free(f);
}

static void the_largest_is_never_full(void **state) {
    (void)state;
    struct key_filter *f = key_filter_new(UINT64_MAX);
    enum { MANY = 5000000 };
    fill(f, 0, MANY);
    assert_false(key_filter_full(f));
    must_have(f, MANY);
    assert_in_range(wrong(f), 1000, 10000);
    key_filter_free(f);
}

static void the_ends_have_a_place(void **state) {
    (void)state;
    for (uint64_t keys = 1; keys < 10000000; keys *= 3) {
        struct key_filter *f = key_filter_new(keys);
        static const uint64_t ends[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 63};
        for (size_t i = 0; i < COUNTOF(ends); i++)
            key_filter_add(f, ends[i]);
        for (size_t i = 0; i < COUNTOF(ends); i++)
            assert_true(key_filter_may_have(f, ends[i]));
        assert_false(key_filter_may_have(f, 1234567890123456789));
        key_filter_free(f);
    }
}

static void a_start_is_the_first_bytes(void **state) {
    (void)state;
    assert_true(key_start(SV("\1\2\3\4\5\6\7\10\11")) == 0x0102030405060708);
    assert_true(key_start(SV("\377")) == 0xff00000000000000);
    assert_true(key_start(SV("")) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_what_was_put_in),
        cmocka_unit_test(it_says_when_it_is_full),
        cmocka_unit_test(the_largest_is_never_full),
        cmocka_unit_test(the_ends_have_a_place),
        cmocka_unit_test(a_start_is_the_first_bytes),
    };
    return cmocka_run_group_tests_name("key_filter", tests, NULL, NULL);
}
