// phone.c: telephone numbers as people type them, to E.164.
#include "mapping/country.h"
#include "mapping/normalise.h"

#include <string.h>

#define DIGITS_LEAST 7
#define DIGITS_MOST 15  // E.164

// How a country's national numbers are written where it is not the common way. longest: digits without trunk prefix.
// trunk: what is dialled before a national number and dropped behind the calling code; "": a leading zero belongs to the number.
struct numbering {
    const char *calling;
    size_t longest;
    const char *trunk;
};

static const struct numbering common_numbering = {"", 10, "0"};
static const struct numbering numberings[] = {
    {"7", 10, "8"},    {"36", 9, "06"},   {"39", 11, ""},    {"43", 13, "0"},   {"49", 11, "0"},   {"54", 11, "0"},
    {"55", 11, "0"},   {"62", 12, "0"},   {"86", 11, "0"},   {"225", 10, ""},   {"229", 10, ""},   {"241", 8, ""},
    {"242", 9, ""},    {"352", 11, "0"},  {"358", 11, "0"},  {"375", 9, "80"},  {"378", 10, ""},   {"993", 8, "8"},
};

static const struct numbering *numbering_of(const char *calling) {
    for (size_t i = 0; i < COUNTOF(numberings); i++)
        if (strcmp(calling, numberings[i].calling) == 0)
            return &numberings[i];
    return &common_numbering;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// An extension ("ext. 12", "x12", ";ext=12", "#12") dials nobody from abroad.
static bool begins_extension(char c) {
    return c == 'x' || c == 'X' || c == ';' || c == '#' || c == 'e' || c == 'E';
}

struct typed {
    struct sv digits;
    bool international;
};

static struct typed digits_of(struct arena *a, struct sv raw) {
    char *out = arena_alloc(a, raw.n + 1);
    size_t n = 0;
    bool plus = false;
    for (size_t i = 0; i < raw.n && !(n > 0 && begins_extension(raw.p[i])); i++) {
        plus |= raw.p[i] == '+' && n == 0;
        if (is_digit(raw.p[i]))
            out[n++] = raw.p[i];
    }
    struct sv digits = {out, n};
    return (struct typed){digits, plus || sv_starts(digits, SV("00"))};
}

static struct sv without_leading_zeros(struct sv digits) {
    while (sv_starts(digits, SV("0")))
        digits = sv_sub(digits, 1, digits.n);
    return digits;
}

// "+49 (0)151": people write the trunk zero behind the calling code, where it reaches nobody.
static struct sv international(struct arena *a, struct sv digits) {
    digits = without_leading_zeros(digits);
    const char *calling = calling_code_in(digits);
    if (calling) {
        struct sv national = sv_sub(digits, strlen(calling), digits.n);
        if (numbering_of(calling)->trunk[0] != '\0' && sv_starts(national, SV("0")))
            digits = arena_join(a, SVS(sv_of(calling), without_leading_zeros(national)));
    }
    if (digits.n < DIGITS_LEAST || digits.n > DIGITS_MOST)
        return SV_NONE;
    return arena_join(a, SVS(SV("+"), digits));
}

struct sv normal_phone(struct arena *a, struct sv raw, struct sv country) {
    struct typed typed = digits_of(a, raw);
    if (typed.international)
        return international(a, typed.digits);
    const struct country *home = country_of(normal_country(a, country));
    if (!home || typed.digits.n == 0)
        return SV_NONE;
    const struct numbering *numbering = numbering_of(home->calling);
    struct sv national = typed.digits, trunk = sv_of(numbering->trunk);
    if (national.n > numbering->longest && sv_starts(national, sv_of(home->calling)))
        return international(a, national);  // too long for home: the calling code is there, only the plus is missing
    bool dialled_trunk = trunk.n > 0 && sv_starts(national, trunk) && (trunk.p[0] == '0' || national.n > numbering->longest);
    if (dialled_trunk)
        national = without_leading_zeros(sv_sub(national, trunk.n, national.n));
    if (national.n > numbering->longest)
        return SV_NONE;
    return international(a, arena_join(a, SVS(sv_of(home->calling), national)));
}
