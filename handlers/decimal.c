#include "handlers/decimal.h"

#include <inttypes.h>

#define PLACES_MAX 6

bool decimal_of(struct sv text, struct decimal *ret) {
    bool negative = sv_starts(text, SV("-"));
    struct sv whole, fraction;
    bool pointed = sv_cut(sv_sub(text, negative, text.n), '.', &whole, &fraction);
    if (whole.n == 0 || (pointed && (fraction.n == 0 || fraction.n > PLACES_MAX)))
        return false;
    struct decimal d = {0, pointed ? (unsigned)fraction.n : 0};
    for (size_t i = 0; i < whole.n + d.places; i++) {
        char c = i < whole.n ? whole.p[i] : fraction.p[i - whole.n];
        if (c < '0' || c > '9' || __builtin_mul_overflow(d.units, 10, &d.units) || __builtin_add_overflow(d.units, c - '0', &d.units))
            return false;
    }
    if (negative)
        d.units = -d.units;
    *ret = d;
    return true;
}

static bool widen(struct decimal *d, unsigned places) {
    for (; d->places < places; d->places++)
        if (__builtin_mul_overflow(d->units, 10, &d->units))
            return false;
    return true;
}

bool decimal_add(struct decimal *sum, struct decimal more) {
    struct decimal total = *sum;
    if (!widen(&total, more.places) || !widen(&more, total.places) || __builtin_add_overflow(total.units, more.units, &total.units))
        return false;
    *sum = total;
    return true;
}

bool decimal_times(struct decimal *product, struct sv whole) {
    int64_t n, units;
    if (!sv_i64(whole, &n) || __builtin_mul_overflow(product->units, n, &units))
        return false;
    product->units = units;
    return true;
}

struct sv decimal_text(struct arena *a, struct decimal d) {
    uint64_t size = d.units < 0 ? 0 - (uint64_t)d.units : (uint64_t)d.units, one = 1;
    for (unsigned i = 0; i < d.places; i++)
        one *= 10;
    const char *sign = d.units < 0 ? "-" : "";
    if (d.places == 0)
        return arena_fmt(a, "%s%" PRIu64, sign, size);
    return arena_fmt(a, "%s%" PRIu64 ".%0*" PRIu64, sign, size / one, (int)d.places, size % one);
}
