#include "server/store/sqlite/packed.h"

// What a character is worth as a digit, and one more; 0: it is none.
static const unsigned char digits[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
    ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

struct sv packed(struct sv s, unsigned char room[PACKED_MOST]) {
    const unsigned char *p = (const unsigned char *)s.p;
    if (s.n % 2 != 0 || s.n / 2 > PACKED_MOST)
        return s;
    for (size_t i = 0; i < s.n / 2; i++, p += 2) {
        if (digits[p[0]] == 0 || digits[p[1]] == 0)
            return s;
        room[i] = (unsigned char)((digits[p[0]] - 1) << 4 | (digits[p[1]] - 1));
    }
    return (struct sv){(const char *)room, s.n / 2};
}
