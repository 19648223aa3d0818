// amount.c: money as text.
#include "mapping/amount.h"

#define AMOUNT_LENGTH_MOST 30

static size_t digit_count(struct sv s) {
    size_t n = 0;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    return n;
}

bool amount_valid(struct sv text) {
    struct sv whole, fraction;
    bool pointed = sv_cut(text, '.', &whole, &fraction);
    if (!sv_present(whole) || text.n > AMOUNT_LENGTH_MOST || digit_count(whole) != whole.n || (whole.n > 1 && whole.p[0] == '0'))
        return false;
    return !pointed || (fraction.n > 0 && digit_count(fraction) == fraction.n);
}

bool amount_is_zero(struct sv text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != '0' && text.p[i] != '.')
            return false;
    return text.n > 0;
}

bool amount_is_whole(struct sv text) {
    return text.n <= 9 && digit_count(text) == text.n && amount_valid(text);
}

// As on paper, from the last digit to the first; the point stays where it is.
struct sv amount_times(struct arena *a, struct sv price, struct sv quantity) {
    int64_t times, carry = 0;
    if (!amount_valid(price) || !amount_is_whole(quantity) || !sv_i64(quantity, &times))
        return SV_NONE;
    size_t room = price.n + 10, at = room;
    char *out = arena_alloc(a, room + 1);
    for (size_t i = price.n; i > 0; i--) {
        if (price.p[i - 1] == '.') {
            out[--at] = '.';
            continue;
        }
        carry += (price.p[i - 1] - '0') * times;
        out[--at] = (char)('0' + carry % 10);
        carry /= 10;
    }
    for (; carry > 0; carry /= 10)
        out[--at] = (char)('0' + carry % 10);
    while (room - at > 1 && out[at] == '0' && out[at + 1] != '.')
        at++;  // a quantity of zero leaves zeros in front
    return (struct sv){out + at, room - at};
}

struct sv currency_upper(struct arena *a, struct sv text) {
    text = sv_trim(text);
    if (text.n != 3)
        return SV_NONE;
    char *out = arena_cstr(a, text);
    for (size_t i = 0; i < 3; i++) {
        if (out[i] >= 'a' && out[i] <= 'z')
            out[i] = (char)(out[i] - 'a' + 'A');
        if (out[i] < 'A' || out[i] > 'Z')
            return SV_NONE;
    }
    return (struct sv){out, 3};
}
