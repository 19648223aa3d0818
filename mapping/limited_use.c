#include "mapping/limited_use.h"

#include "mapping/normalise.h"

static const struct {
    const char *code;
    int number;
} states[] = {
    {"ca", 1000}, {"co", 1001}, {"ct", 1002}, {"fl", 1003}, {"or", 1004}, {"tx", 1005}, {"mt", 1006}, {"de", 1007},
    {"ne", 1008}, {"nh", 1009}, {"nj", 1010}, {"mn", 1011}, {"md", 1012}, {"ri", 1013},
};

static bool is_american(struct arena *a, const struct user *u) {
    return sv_is(normal_country(a, u->country), "us");
}

int limited_use_state(struct arena *a, const struct user *u) {
    struct sv state = normal_region(a, u->region, u->country);
    for (size_t i = 0; i < COUNTOF(states); i++)
        if (is_american(a, u) && sv_is(state, states[i].code))
            return states[i].number;
    return 0;
}

bool limited_use_works(struct arena *a, const struct user *u) {
    if (sv_present(u->region))
        return limited_use_state(a, u) > 0;
    return is_american(a, u) && sv_present(u->ip);
}
