// Strings, memory, errors, time and the log.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define assert_sv(got, want) assert_true(sv_is((got), (want)))

static void sv_compares(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        bool eq, eq_nocase, starts, ends, contains;
    } rows[] = {
        {"abc", "abc", true, true, true, true, true},
        {"aBc", "AbC", false, true, false, false, true},
        {"abc", "ab", false, false, true, false, true},
        {"abc", "bc", false, false, false, true, true},
        {"xaBcx", "AbC", false, false, false, false, true},
        {"abc", "", false, false, true, true, true},
        {"", "", true, true, true, true, true},
        {"", "a", false, false, false, false, false},
        {"ab", "abc", false, false, false, false, false},
        {NULL, NULL, true, true, false, false, false},
        {NULL, "", false, false, false, false, false},
        {"", NULL, false, false, false, false, false},
        {"\xC3\x84", "\xC3\xA4", false, false, false, false, false},
        {"[", "{", false, false, false, false, false},
        {"@", "`", false, false, false, false, false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct sv a = sv_of(rows[i].a), b = sv_of(rows[i].b);
        assert_int_equal(sv_eq(a, b), rows[i].eq);
        assert_int_equal(sv_is(a, rows[i].b), rows[i].eq);
        assert_int_equal(sv_eq_nocase(a, b), rows[i].eq_nocase);
        assert_int_equal(sv_is_nocase(a, rows[i].b), rows[i].eq_nocase);
        assert_int_equal(sv_starts(a, b), rows[i].starts);
        assert_int_equal(sv_ends(a, b), rows[i].ends);
        assert_int_equal(sv_contains_nocase(a, b), rows[i].contains);
    }
}

static void sv_cuts(void **state) {
    (void)state;
    assert_sv(sv_sub(SV("hello"), 1, 3), "ell");
    assert_sv(sv_sub(SV("hello"), 3, SIZE_MAX), "lo");
    assert_sv(sv_sub(SV("hello"), 9, 1), "");
    assert_null(sv_sub(SV_NONE, 0, 1).p);
    assert_sv(sv_trim(SV(" \t\r\n\v\f a b \n")), "a b");
    assert_sv(sv_trim(SV("   ")), "");
    assert_null(sv_trim(SV_NONE).p);

    static const struct {
        const char *text;
        bool found;
        const char *head, *tail;
    } rows[] = {
        {"a=b=c", true, "a", "b=c"}, {"a=", true, "a", ""}, {"=b", true, "", "b"},
        {"ab", false, "ab", NULL},   {"", false, "", NULL}, {NULL, false, NULL, NULL},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct sv head, tail;
        assert_int_equal(sv_cut(sv_of(rows[i].text), '=', &head, &tail), rows[i].found);
        assert_sv(head, rows[i].head);
        assert_sv(tail, rows[i].tail);
    }
    assert_true(sv_present(SV("a")));
    assert_false(sv_present(SV("")));
    assert_false(sv_present(SV_NONE));
    assert_sv(sv_first(SV("a"), SV("b")), "a");
    assert_sv(sv_first(SV(""), SV("b")), "b");
    assert_sv(sv_first(SV_NONE, SV("b")), "b");
}

static void sv_reads_integers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } rows[] = {
        {"0", true, 0}, {"-0", true, 0}, {"007", true, 7}, {"-12", true, -12},
        {"9223372036854775807", true, INT64_MAX}, {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0}, {"-9223372036854775809", false, 0}, {"99999999999999999999999", false, 0},
        {"", false, 0}, {"-", false, 0}, {"+1", false, 0}, {" 1", false, 0}, {"1 ", false, 0}, {"1.0", false, 0},
        {"--1", false, 0}, {"0x1", false, 0}, {NULL, false, 0},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        int64_t got = 0;
        assert_int_equal(sv_i64(sv_of(rows[i].text), &got), rows[i].ok);
        if (rows[i].ok)
            assert_int_equal(got, rows[i].want);
    }
}

static void arena_gives_zeroed_aligned_memory(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < 300; n++) {
            unsigned char *p = arena_alloc(&a, n);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xAA, n);
        }
        assert_true(arena_ok(&a));
        arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    arena_free(&a);
    arena_free(&a);
}

// What is given back is given out again, zeroed; what is not the last piece stays.
static void arena_takes_back_the_end_of_the_last_piece(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    char *first = arena_alloc(&a, 100), *last = arena_alloc(&a, 1000);
    size_t used = a.used;
    memset(last, 7, 1000);
    arena_shrink(&a, first, 100, 10);
    assert_int_equal(a.used, used);
    arena_shrink(&a, last, 1000, 1);
    char *next = arena_alloc(&a, 16);
    assert_true(next > last && next < last + 100);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(next[i], 0);
    assert_int_equal(last[0], 7);
    assert_true(a.used < used - 900);
    arena_free(&a);
}

// Behind a first block that was nearly enough no second one as large.
static void arena_grows_by_steps(void **state) {
    (void)state;
    struct arena a;
    arena_init_steps(&a, 1 << 20, 4096, 512);
    arena_alloc(&a, 4096);
    assert_ptr_equal(a.now, a.first);
    arena_alloc(&a, 512);
    const struct arena_block *second = a.now;
    assert_ptr_not_equal(second, a.first);
    arena_alloc(&a, 16);
    assert_ptr_not_equal(a.now, second);
    memset(arena_alloc(&a, 5000), 1, 5000);
    assert_true(arena_ok(&a));
    arena_free(&a);
}

static void arena_copies_text(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct sv dup = arena_dup(&a, SV("abcdef"));
    assert_sv(dup, "abcdef");
    assert_sv(arena_dup(&a, SV("")), "");
    assert_null(arena_dup(&a, SV_NONE).p);
    assert_string_equal(arena_cstr(&a, sv_sub(dup, 2, 3)), "cde");
    assert_string_equal(arena_cstr(&a, SV_NONE), "");
    struct sv line = arena_fmt(&a, "%s-%05d-" SV_FMT, "x", 42, SV_ARG(dup));
    assert_sv(line, "x-00042-abcdef");
    assert_string_equal(line.p, "x-00042-abcdef");
    struct sv wide = arena_fmt(&a, "%50000d", 7);
    assert_int_equal(wide.n, 50000);
    assert_int_equal(wide.p[49999], '7');
    arena_free(&a);
}

// Beyond the limit the memory must still be nobody else's: each piece keeps what was written to it.
static void arena_over_the_limit_fails_but_stays_safe(void **state) {
    (void)state;
    enum { PIECES = 500, SIZE = 100 };
    struct arena a;
    arena_init(&a, 1000);
    unsigned char *pieces[PIECES];
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = arena_alloc(&a, SIZE);
        memset(pieces[i], i & 0xFF, SIZE);
    }
    assert_false(arena_ok(&a));
    for (int i = 0; i < PIECES; i++)
        for (int k = 0; k < SIZE; k++)
            assert_int_equal(pieces[i][k], i & 0xFF);
    memset(arena_alloc(&a, 1 << 20), 1, 1 << 20);
    assert_false(arena_ok(&a));
    arena_reset(&a);
    assert_true(arena_ok(&a));
    assert_ptr_equal(arena_alloc(&a, 1000), pieces[0]);
    assert_true(arena_ok(&a));
    arena_alloc(&a, 1);
    assert_false(arena_ok(&a));
    arena_free(&a);
}

static void buf_grows_to_its_limit(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_string_equal(buf_cstr(&b), "");
    assert_sv(buf_sv(&b), "");
    buf_put(&b, SV("ab"));
    buf_put(&b, SV_NONE);
    buf_putc(&b, 'c');
    buf_puts(&b, "de");
    buf_fmt(&b, "-%d", 17);
    assert_sv(buf_sv(&b), "abcde-17");
    assert_string_equal(buf_cstr(&b), "abcde-17");
    while (b.n < 1000)
        buf_putc(&b, 'x');
    assert_true(buf_ok(&b));
    assert_int_equal(strlen(buf_cstr(&b)), 1000);
    buf_putc(&b, 'x');
    assert_false(buf_ok(&b));
    buf_reset(&b);
    assert_true(buf_ok(&b));
    buf_free(&b);
    buf_free(&b);
}

static void buf_remembers_failure(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    buf_puts(&b, "abc");
    buf_fmt(&b, "%s", "toolong");
    buf_puts(&b, "d");
    assert_false(buf_ok(&b));
    assert_sv(buf_sv(&b), "");
    assert_string_equal(buf_cstr(&b), "");
    buf_reset(&b);
    buf_puts(&b, "fresh");
    assert_sv(buf_sv(&b), "fresh");
    buf_free(&b);

    struct buf zeroed = {0};
    buf_putc(&zeroed, 'a');
    assert_false(buf_ok(&zeroed));
    buf_free(&zeroed);
}

static void err_sets_and_wraps(void **state) {
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, RC_NOT_FOUND, "no shop %s", "acme"), RC_NOT_FOUND);
    assert_string_equal(e.text, "no shop acme");
    assert_int_equal(err_wrap(&e, "line %d", 7), RC_NOT_FOUND);
    assert_string_equal(e.text, "line 7: no shop acme");
    err_set(&e, RC_IO, "again: %s", e.text);
    assert_string_equal(e.text, "again: line 7: no shop acme");
    assert_int_equal(err_set(NULL, RC_STALE, "x"), RC_STALE);
    assert_int_not_equal(err_wrap(NULL, "x"), RC_OK);

    char longest[1000];
    memset(longest, 'y', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    err_set(&e, RC_INVALID, "%s", longest);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    err_wrap(&e, "short");
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_memory_equal(e.text, "short: yyy", 10);
    err_wrap(&e, "%s", longest);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static const struct time_row {
    const char *text;
    int offset;
    bool ok;
    int64_t want;
} times[] = {
    {"2026-11-21T10:00:00Z", 0, true, 1795255200000},
    {"2026-11-21t10:00:00z", 99, true, 1795255200000},
    {"2026-11-21 10:00:00", 0, true, 1795255200000},
    {"2026-11-21T10:00:00", 60, true, 1795251600000},
    {"2026-11-21T10:00:00", -300, true, 1795273200000},
    {"2026-11-21T10:00:00+02:00", 60, true, 1795248000000},
    {"2026-11-21T10:00:00-0530", 0, true, 1795275000000},
    {"2026-11-21T10:00:00-05", 0, true, 1795273200000},
    {"2026-11-21T10:00Z", 0, true, 1795255200000},
    {"2026-11-21T10:00:00.5Z", 0, true, 1795255200500},
    {"2026-11-21T10:00:00.123456789Z", 0, true, 1795255200123},
    {"2026-11-21T10:00:00.04+00:00", 0, true, 1795255200040},
    {"2026-11-21", 0, true, 1795219200000},
    {"2026-11-21", 60, true, 1795215600000},
    {"2024-02-29T23:59:59Z", 0, true, 1709251199000},
    {"2000-02-29", 0, true, 951782400000},
    {"1990-01-01", 0, true, 631152000000},
    {"2200-12-31", 0, true, 7289568000000},
    {"2100-02-29", 0, false, 0},
    {"2023-02-29", 0, false, 0},
    {"2026-04-31", 0, false, 0},
    {"2026-00-10", 0, false, 0},
    {"2026-13-10", 0, false, 0},
    {"2026-01-00", 0, false, 0},
    {"1989-12-31", 0, false, 0},
    {"2201-01-01", 0, false, 0},
    {"2026-11-21T24:00:00Z", 0, false, 0},
    {"2026-11-21T10:60:00Z", 0, false, 0},
    {"2026-11-21T10:00:60Z", 0, false, 0},
    {"2026-11-21T10Z", 0, false, 0},
    {"2026-11-21T", 0, false, 0},
    {"2026-11-21T10:00:00.Z", 0, false, 0},
    {"2026-11-21T10:00:00.1234567890Z", 0, false, 0},
    {"2026-11-21T10:00:00Zx", 0, false, 0},
    {"2026-11-21T10:00:00 Z", 0, false, 0},
    {"2026-11-21T10:00:00+", 0, false, 0},
    {"2026-11-21T10:00:00+2:00", 0, false, 0},
    {"2026-11-21T10:00:00+02:", 0, false, 0},
    {"2026-11-21T10:00:00+02:60", 0, false, 0},
    {"2026-11-21T10:00:00+24:00", 0, false, 0},
    {"2026-11-2", 0, false, 0},
    {" 2026-11-21", 0, false, 0},
    {"2026/11/21", 0, false, 0},
    {"+026-11-21", 0, false, 0},
    {"1795255200", 0, false, 0},
    {"", 0, false, 0},
    {NULL, 0, false, 0},
};

static void time_is_parsed(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNTOF(times); i++) {
        int64_t got = 0;
        if (time_parse(sv_of(times[i].text), times[i].offset, &got) != times[i].ok)
            fail_msg("%s: wrongly %s", times[i].text ? times[i].text : "(none)", times[i].ok ? "refused" : "accepted");
        if (times[i].ok)
            assert_int_equal(got, times[i].want);
    }
}

// Every day of the range goes to text and back, whatever time zone the process is in.
static void time_round_trips(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    setenv("TZ", "America/New_York", 1);
    tzset();
    for (int64_t ms = 631152000000; ms < 7289654400000; ms += DAYS_MS(1) + 1000) {
        int64_t back = 0;
        assert_true(time_parse(time_iso(&a, ms), 0, &back));
        assert_int_equal(back, ms);
        arena_reset(&a);
    }
    assert_sv(time_iso(&a, 1795255200999), "2026-11-21T10:00:00Z");
    assert_sv(time_iso(&a, 0), "1970-01-01T00:00:00Z");
    assert_sv(time_iso(&a, -1), "1969-12-31T23:59:59Z");
    assert_sv(time_iso(&a, 951868799000), "2000-02-29T23:59:59Z");
    assert_sv(time_iso(&a, INT64_MIN), "0000-01-01T00:00:00Z");
    assert_sv(time_iso(&a, INT64_MAX), "9999-12-31T23:59:59Z");
    char text[25];
    time_iso_ms(text, 1795255200007);
    assert_string_equal(text, "2026-11-21T10:00:00.007Z");
    arena_free(&a);
}

static void durations_are_parsed(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } rows[] = {
        {"500ms", true, 500}, {"10s", true, 10000}, {"15m", true, 900000}, {"24h", true, 86400000}, {"60d", true, 5184000000},
        {"0s", true, 0}, {"10", false, 0}, {"s", false, 0}, {"", false, 0}, {"-1s", false, 0}, {"1.5s", false, 0},
        {"10 s", false, 0}, {"10S", false, 0}, {"10sec", false, 0}, {"106751991168d", false, 0}, {"99999999999999999999s", false, 0},
        {NULL, false, 0},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        int64_t got = 0;
        assert_int_equal(duration_parse(sv_of(rows[i].text), &got), rows[i].ok);
        if (rows[i].ok)
            assert_int_equal(got, rows[i].want);
    }
}

static void clocks_agree_with_the_system(void **state) {
    (void)state;
    int64_t before = (int64_t)time(NULL) * 1000, now = clock_wall_ms();
    assert_true(now >= before && now < before + 60000);
    int64_t us = clock_mono_us(), ms = clock_mono_ms();
    assert_true(ms >= us / 1000 && ms < us / 1000 + 60000);
}

// logged: what log_line writes to standard error, without the time in front.
static const char *logged(char *out, size_t size, enum log_level level, const char *text) {
    FILE *file = tmpfile();
    assert_non_null(file);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    log_line(level, "%s", text);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    size_t n = fread(out, 1, size - 1, file);
    out[n] = '\0';
    fclose(file);
    if (n == 0)
        return out;
    int64_t at = 0;
    assert_true(n > 25 && out[24] == ' ' && time_parse((struct sv){out, 24}, 0, &at));
    return out + 25;
}

static void log_lines_are_single_and_harmless(void **state) {
    (void)state;
    static const struct {
        enum log_level level;
        const char *text, *want;
    } rows[] = {
        {LOG_INFO, "accepted shop=acme", "info accepted shop=acme\n"},
        {LOG_WARN, "a\nb\r\t\x1b[31m\x7f", "warn a\\x0Ab\\x0D\\x09\\x1B[31m\\x7F\n"},
        {LOG_ERROR, "Gr\xC3\xBC\xC3\x9F" "e \xC2\x9B \xFF", "error Gr\xC3\xBC\xC3\x9F" "e \\xC2\\x9B \\xFF\n"},
        {LOG_DEBUG, "not shown", ""},
    };
    char out[16384];
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_string_equal(logged(out, sizeof out, rows[i].level, rows[i].text), rows[i].want);

    log_set_level(LOG_WARN);
    assert_string_equal(logged(out, sizeof out, LOG_INFO, "x"), "");
    log_set_level(LOG_DEBUG);
    assert_string_equal(logged(out, sizeof out, LOG_DEBUG, "x"), "debug x\n");
    log_set_level(LOG_INFO);

    char longest[5000];
    memset(longest, '\x01', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *line = logged(out, sizeof out, LOG_INFO, longest);
    assert_int_equal(strlen(line), 5 + 2000 * 4 + 5);
    assert_string_equal(line + strlen(line) - 9, "\\x01 ...\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sv_compares),
        cmocka_unit_test(sv_cuts),
        cmocka_unit_test(sv_reads_integers),
        cmocka_unit_test(arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(arena_takes_back_the_end_of_the_last_piece),
        cmocka_unit_test(arena_grows_by_steps),
        cmocka_unit_test(arena_copies_text),
        cmocka_unit_test(arena_over_the_limit_fails_but_stays_safe),
        cmocka_unit_test(buf_grows_to_its_limit),
        cmocka_unit_test(buf_remembers_failure),
        cmocka_unit_test(err_sets_and_wraps),
        cmocka_unit_test(time_is_parsed),
        cmocka_unit_test(time_round_trips),
        cmocka_unit_test(durations_are_parsed),
        cmocka_unit_test(clocks_agree_with_the_system),
        cmocka_unit_test(log_lines_are_single_and_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
