#include "mapping/rules/number.h"

#define EXPONENT_MOST ((int64_t)1000000000000000)

// ---- reading

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static size_t digits_from(struct sv s, size_t at) {
    while (at < s.n && is_digit(s.p[at]))
        at++;
    return at;
}

// RFC 8259 section 6.
bool number_valid(struct sv text) {
    size_t from = text.n > 0 && text.p[0] == '-', at = digits_from(text, from);
    if (at == from || (text.p[from] == '0' && at > from + 1))
        return false;
    if (at < text.n && text.p[at] == '.') {
        from = at + 1;
        if ((at = digits_from(text, from)) == from)
            return false;
    }
    if (at < text.n && (text.p[at] | 0x20) == 'e') {
        from = at + 1;
        if (from < text.n && (text.p[from] == '+' || text.p[from] == '-'))
            from++;
        if ((at = digits_from(text, from)) == from)
            return false;
    }
    return at == text.n && text.n > 0;
}

// A number as sign, digits from the first that is not 0 (a point may stand among them) and how many of them are whole: 0.05e3 is "5", 2.
struct parts {
    bool negative;
    struct sv digits;  // empty: zero
    int64_t magnitude;
};

static int64_t exponent_of(struct sv text) {
    bool negative = sv_starts(text, SV("-"));
    int64_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        if (is_digit(text.p[i]) && n < EXPONENT_MOST)
            n = n * 10 + (text.p[i] - '0');
    n = n < EXPONENT_MOST ? n : EXPONENT_MOST;
    return negative ? -n : n;
}

static struct parts parts_of(struct sv number) {
    struct parts p = {.negative = sv_starts(number, SV("-"))};
    struct sv mantissa = sv_sub(number, p.negative, number.n), whole, fraction;
    int64_t exponent = 0;
    for (size_t i = 0; i < mantissa.n; i++)
        if ((mantissa.p[i] | 0x20) == 'e') {
            exponent = exponent_of(sv_sub(mantissa, i + 1, mantissa.n));
            mantissa.n = i;
        }
    sv_cut(mantissa, '.', &whole, &fraction);
    int64_t place = (int64_t)whole.n;
    size_t at = 0;
    for (; at < mantissa.n && (mantissa.p[at] == '0' || mantissa.p[at] == '.'); at++)
        place -= mantissa.p[at] == '0';
    p.digits = sv_sub(mantissa, at, mantissa.n);
    p.magnitude = place + exponent;
    p.negative = p.negative && p.digits.n > 0;
    return p;
}

bool number_is_zero(struct sv number) {
    return parts_of(number).digits.n == 0;
}

bool number_fits(struct sv number) {
    int64_t n;
    for (size_t i = 0; i < number.n; i++)
        if (number.p[i] == '.' || (number.p[i] | 0x20) == 'e')
            return true;
    return sv_i64(number, &n);
}

// ---- comparing

// The digit at *at, past a point; 0 beyond the end.
static int digit_at(struct sv digits, size_t *at) {
    if (*at < digits.n && digits.p[*at] == '.')
        ++*at;
    return *at < digits.n ? digits.p[(*at)++] - '0' : 0;
}

static int compare_size(const struct parts *a, const struct parts *b) {
    if (a->digits.n == 0 || b->digits.n == 0)
        return (a->digits.n > 0) - (b->digits.n > 0);
    if (a->magnitude != b->magnitude)
        return a->magnitude < b->magnitude ? -1 : 1;
    for (size_t i = 0, j = 0; i < a->digits.n || j < b->digits.n;) {
        int difference = digit_at(a->digits, &i) - digit_at(b->digits, &j);
        if (difference)
            return difference;
    }
    return 0;
}

int number_compare(struct sv a, struct sv b) {
    struct parts left = parts_of(a), right = parts_of(b);
    if (left.negative != right.negative)
        return left.negative ? -1 : 1;
    return left.negative ? compare_size(&right, &left) : compare_size(&left, &right);
}

// ---- adding

struct sv number_plus(struct arena *arena, struct sv a, struct sv b) {
    struct sv whole[2], fraction[2];
    sv_cut(a, '.', &whole[0], &fraction[0]);
    sv_cut(b, '.', &whole[1], &fraction[1]);
    size_t places = fraction[0].n > fraction[1].n ? fraction[0].n : fraction[1].n;
    size_t wholes = (whole[0].n > whole[1].n ? whole[0].n : whole[1].n) + 1;  // one for what is carried
    size_t room = wholes + places + (places > 0), at = room;
    char *out = arena_alloc(arena, room + 1);
    int carry = 0;
    // As on paper, from the last digit to the first.
    for (size_t i = places; i > 0; i--) {
        for (size_t k = 0; k < 2; k++)
            carry += i <= fraction[k].n ? fraction[k].p[i - 1] - '0' : 0;
        out[--at] = (char)('0' + carry % 10);
        carry /= 10;
    }
    if (places > 0)
        out[--at] = '.';
    for (size_t i = 0; i < wholes; i++) {
        for (size_t k = 0; k < 2; k++)
            carry += i < whole[k].n ? whole[k].p[whole[k].n - 1 - i] - '0' : 0;
        out[--at] = (char)('0' + carry % 10);
        carry /= 10;
    }
    at += out[0] == '0';
    return (struct sv){out + at, room - at};
}
