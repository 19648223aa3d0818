// sv.c: comparing and cutting borrowed strings. ASCII only; locale never matters.
#include "base/sv.h"

#include <string.h>

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool same_nocase(const char *a, const char *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

struct sv sv_of(const char *cstr) {
    return cstr ? (struct sv){cstr, strlen(cstr)} : SV_NONE;
}

struct sv sv_sub(struct sv s, size_t from, size_t n) {
    if (!s.p)
        return SV_NONE;
    if (from > s.n)
        from = s.n;
    if (n > s.n - from)
        n = s.n - from;
    return (struct sv){s.p + from, n};
}

bool sv_present(struct sv s) {
    return s.p && s.n > 0;
}

bool sv_eq(struct sv a, struct sv b) {
    if (!a.p || !b.p)
        return !a.p && !b.p;
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

bool sv_is(struct sv a, const char *cstr) {
    return sv_eq(a, sv_of(cstr));
}

bool sv_eq_nocase(struct sv a, struct sv b) {
    if (!a.p || !b.p)
        return !a.p && !b.p;
    return a.n == b.n && same_nocase(a.p, b.p, a.n);
}

bool sv_is_nocase(struct sv a, const char *cstr) {
    return sv_eq_nocase(a, sv_of(cstr));
}

bool sv_starts(struct sv s, struct sv prefix) {
    return s.p && prefix.p && prefix.n <= s.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

bool sv_ends(struct sv s, struct sv suffix) {
    return s.p && suffix.p && suffix.n <= s.n && memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0;
}

bool sv_contains_nocase(struct sv s, struct sv needle) {
    if (!s.p || !needle.p)
        return false;
    for (size_t at = 0; at + needle.n <= s.n; at++)
        if (same_nocase(s.p + at, needle.p, needle.n))
            return true;
    return false;
}

struct sv sv_trim(struct sv s) {
    while (s.n > 0 && is_space(s.p[0]))
        s = (struct sv){s.p + 1, s.n - 1};
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool sv_cut(struct sv s, char sep, struct sv *head, struct sv *tail) {
    const char *found = s.n > 0 ? memchr(s.p, sep, s.n) : NULL;
    if (!found) {
        *head = s;
        *tail = SV_NONE;
        return false;
    }
    size_t before = (size_t)(found - s.p);
    *head = sv_sub(s, 0, before);
    *tail = sv_sub(s, before + 1, s.n);
    return true;
}

bool sv_i64(struct sv s, int64_t *ret) {
    bool negative = s.n > 0 && s.p[0] == '-';
    struct sv digits = negative ? sv_sub(s, 1, s.n) : s;
    if (digits.n == 0)
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return false;
        int digit = digits.p[i] - '0';
        // Counted on the side of the sign, so that INT64_MIN is reached without overflow.
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    *ret = value;
    return true;
}

struct sv sv_first(struct sv a, struct sv b) {
    return sv_present(a) ? a : b;
}
