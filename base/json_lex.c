// json_lex.c: UTF-8 characters, numbers and escapes.
#include "base/json_lex.h"

#include <endian.h>
#include <string.h>

typedef signed char sixteen __attribute__((vector_size(16)));  // any machine's vector unit, or none

// plain_begin: how many of the sixteen come before the first that is special. What is not ASCII is negative; a comparison sets all bits
// of a byte where it is so.
static size_t plain_begin(sixteen c) {
    uint64_t special[2];
    c = (c < 0x20) | (c == '"') | (c == '\\');
    memcpy(special, &c, sizeof special);
    if (special[0])
        return (size_t)__builtin_ctzll(le64toh(special[0])) / 8;
    return special[1] ? 8 + (size_t)__builtin_ctzll(le64toh(special[1])) / 8 : sizeof c;
}

typedef uint64_t two_eights __attribute__((vector_size(16)));
typedef uint32_t four_fours __attribute__((vector_size(16)));

// by_ends: c begins with the first `half` bytes of a text of n, and then has its last ones, which may be some of the first.
static size_t by_ends(sixteen c, size_t half, size_t n) {
    size_t plain = plain_begin(c);
    return plain < half ? plain : n - 2 * half + (plain < 2 * half ? plain : 2 * half);
}

// short_length: of at most fifteen bytes.
static size_t short_length(struct sv s) {
    if (s.n >= 8) {
        uint64_t first, last;
        memcpy(&first, s.p, 8);
        memcpy(&last, s.p + s.n - 8, 8);
        return by_ends((sixteen)(two_eights){first, last}, 8, s.n);
    }
    if (s.n >= 4) {
        uint32_t first, last;
        memcpy(&first, s.p, 4);
        memcpy(&last, s.p + s.n - 4, 4);
        return by_ends((sixteen)(four_fours){first, last}, 4, s.n);
    }
    size_t n = 0;
    while (n < s.n && (unsigned char)s.p[n] >= 0x20 && (unsigned char)s.p[n] < 0x80 && s.p[n] != '"' && s.p[n] != '\\')
        n++;
    return n;
}

size_t plain_length(struct sv s) {
    size_t n = 0, plain = sizeof(sixteen);
    while (s.n - n >= sizeof(sixteen)) {
        sixteen c;
        memcpy(&c, s.p + n, sizeof c);
        n += plain = plain_begin(c);
        if (plain < sizeof(sixteen))
            return n;
    }
    return s.n == n ? n : n + short_length((struct sv){s.p + n, s.n - n});
}

// What may follow each range of lead bytes: the first continuation byte has its own range, the others are 80..BF.
static const struct lead {
    unsigned char from, to, length, second_from, second_to;
} leads[] = {
    {0x00, 0x7F, 1, 0x00, 0x00}, {0xC2, 0xDF, 2, 0x80, 0xBF}, {0xE0, 0xE0, 3, 0xA0, 0xBF}, {0xE1, 0xEC, 3, 0x80, 0xBF},
    {0xED, 0xED, 3, 0x80, 0x9F}, {0xEE, 0xEF, 3, 0x80, 0xBF}, {0xF0, 0xF0, 4, 0x90, 0xBF}, {0xF1, 0xF3, 4, 0x80, 0xBF},
    {0xF4, 0xF4, 4, 0x80, 0x8F},
};

static bool lead_fits(const struct lead *lead, const unsigned char *c, size_t left) {
    if (left < lead->length)
        return false;
    if (lead->length > 1 && (c[1] < lead->second_from || c[1] > lead->second_to))
        return false;
    for (size_t i = 2; i < lead->length; i++)
        if (c[i] < 0x80 || c[i] > 0xBF)
            return false;
    return true;
}

size_t utf8_length(struct sv s) {
    const unsigned char *c = (const unsigned char *)s.p;
    for (size_t i = 0; s.n > 0 && i < COUNTOF(leads); i++)
        if (c[0] >= leads[i].from && c[0] <= leads[i].to)
            return lead_fits(&leads[i], c, s.n) ? leads[i].length : 0;
    return 0;
}

static size_t skip_digits(struct sv s, size_t at) {
    while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
        at++;
    return at;
}

size_t number_length(struct sv s) {
    size_t at = s.n > 0 && s.p[0] == '-';
    size_t digits = at;
    // No zero before other digits: what follows a leading zero is not part of the number.
    at = at < s.n && s.p[at] == '0' ? at + 1 : skip_digits(s, at);
    if (at == digits)
        return 0;
    if (at < s.n && s.p[at] == '.') {
        digits = ++at;
        at = skip_digits(s, at);
        if (at == digits)
            return 0;
    }
    if (at < s.n && (s.p[at] | 0x20) == 'e') {
        at++;
        if (at < s.n && (s.p[at] == '+' || s.p[at] == '-'))
            at++;
        digits = at;
        at = skip_digits(s, at);
        if (at == digits)
            return 0;
    }
    return at;
}

static bool hex_unit(struct sv s, size_t at, uint32_t *ret) {
    if (at + 6 > s.n || s.p[at] != '\\' || s.p[at + 1] != 'u')
        return false;
    uint32_t unit = 0;
    for (size_t i = at + 2; i < at + 6; i++) {
        unsigned char c = (unsigned char)s.p[i];
        unsigned char letter = c | 0x20;
        if (c >= '0' && c <= '9')
            unit = unit * 16 + (c - '0');
        else if (letter >= 'a' && letter <= 'f')
            unit = unit * 16 + (letter - 'a' + 10U);
        else
            return false;
    }
    *ret = unit;
    return true;
}

static size_t unicode_escape(struct sv s, uint32_t *code) {
    uint32_t low;
    if (!hex_unit(s, 0, code) || *code == 0)
        return 0;
    if (*code < 0xD800 || *code > 0xDFFF)
        return 6;
    if (*code > 0xDBFF || !hex_unit(s, 6, &low) || low < 0xDC00 || low > 0xDFFF)
        return 0;
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return 12;
}

static const char short_escapes[128] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

size_t escape_length(struct sv s, uint32_t *ret_code) {
    uint32_t code = 0;
    size_t length = 0;
    if (s.n >= 2 && s.p[0] == '\\') {
        unsigned char c = (unsigned char)s.p[1];
        code = c < sizeof short_escapes ? (uint32_t)short_escapes[c] : 0;
        length = code ? 2 : unicode_escape(s, &code);
    }
    if (ret_code)
        *ret_code = code;
    return length;
}
