// default_rules.h: the mapping that comes with the program, compiled, for tests of what is made by it.
#ifndef TESTS_UNIT_DEFAULT_RULES_H
#define TESTS_UNIT_DEFAULT_RULES_H

#include "mapping/rules/rules.h"

// rules_over: the default with a shop's text laid over it; own absent: the default alone. Any fault fails the test.
static inline const struct rules *rules_over(struct arena *a, struct sv own) {
    struct buf text;
    buf_init(&text, 1 << 16);
    struct faults faults = {.out = &text};
    const struct rules *rules = rules_compile(a, own, "own.yaml", &faults);
    if (!rules)
        fail_msg("%s", buf_cstr(&text));
    buf_free(&text);
    return rules;
}

static inline const struct rules *default_rules(struct arena *a) {
    return rules_over(a, SV_NONE);
}

#endif
