// members.h: what a JSON body says at a path, for tests.
#ifndef TESTS_UNIT_MEMBERS_H
#define TESTS_UNIT_MEMBERS_H

#include "base/json.h"

// want NULL: it must be absent.
static inline void assert_member(const struct json *json, const char *path, const char *want) {
    struct sv is = json_str(json, path);
    if (!sv_eq(is, sv_of(want)))
        fail_msg("%s is \"" SV_FMT "\", not \"%s\"", path, SV_ARG(is), want ? want : "(absent)");
}

static inline void assert_members(const struct json *json, const char *const (*rows)[2], size_t n) {
    for (size_t i = 0; i < n; i++)
        assert_member(json, rows[i][0], rows[i][1]);
}

static inline struct json *json_parsed(struct arena *a, struct sv text) {
    struct json *json = NULL;
    struct err e = {0};
    if (json_parse(a, text, &json, &e) != RC_OK)
        fail_msg("%s in " SV_FMT, e.text, SV_ARG(text));
    return json;
}

#endif
