// sv.h: a borrowed string: pointer and length, not NUL-terminated, never owned.
// Who holds an sv states in a comment what it points into and how long that lives.
#ifndef BASE_SV_H
#define BASE_SV_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

struct sv {
    const char *p;  // NULL means absent; an empty string has p != NULL and n == 0
    size_t n;
};

#define SV(literal) ((struct sv){"" literal, sizeof(literal) - 1})
#define SV_NONE ((struct sv){NULL, 0})
#define SVS(...) (const struct sv[]){__VA_ARGS__}, sizeof((const struct sv[]){__VA_ARGS__}) / sizeof(struct sv)  // parts and how many
#define SV_FMT "%.*s"
#define SV_ARG(s) (int)(s).n, ((s).p ? (s).p : "")

struct sv sv_of(const char *cstr);  // NULL gives SV_NONE
struct sv sv_sub(struct sv s, size_t from, size_t n);  // clamped to s
bool sv_present(struct sv s);                          // not NULL and not empty
bool sv_eq(struct sv a, struct sv b);                  // NULL equals only NULL
bool sv_is(struct sv a, const char *cstr);
bool sv_eq_nocase(struct sv a, struct sv b);           // ASCII only
bool sv_is_nocase(struct sv a, const char *cstr);
bool sv_starts(struct sv s, struct sv prefix);
bool sv_ends(struct sv s, struct sv suffix);
bool sv_contains_nocase(struct sv s, struct sv needle);  // ASCII only
struct sv sv_trim(struct sv s);                        // ASCII white space
// sv_cut splits at the first `sep`: *head is what is before, *tail what is after; false (head = s, tail = none) without one.
bool sv_cut(struct sv s, char sep, struct sv *head, struct sv *tail);
bool sv_i64(struct sv s, int64_t *ret);  // decimal digits with optional '-', whole string, no overflow
struct sv sv_first(struct sv a, struct sv b);  // a when present, else b

#endif
