#include "mapping/click.h"

#include "mapping/normalise.h"

#include <string.h>

struct click click_of(struct sv fbc) {
    struct sv part, rest = fbc;
    struct click click = {0};
    sv_cut(rest, '.', &part, &rest);
    sv_cut(rest, '.', &part, &rest);
    sv_cut(rest, '.', &part, &rest);
    (void)sv_i64(part, &click.seen_ms);
    sv_cut(rest, '.', &click.id, &rest);
    return click;
}

// Of who said no nothing is kept.
struct sv click_key(struct arena *a, const struct event *e) {
    bool guessed = e->origins.fbc && strcmp(e->origins.fbc, LANDING_SITE) == 0;
    if (!guessed || !sv_present(e->user.fbc) || e->consent.marketing == CONSENT_DENIED)
        return SV_NONE;
    return arena_fmt(a, "click:" SV_FMT, SV_ARG(click_of(e->user.fbc).id));
}

void click_seen(struct arena *a, struct event *e, struct sv first_ms) {
    int64_t ms;
    struct click click = click_of(e->user.fbc);
    if (!sv_i64(first_ms, &ms) || ms >= click.seen_ms)
        return;
    struct sv fbc = arena_fmt(a, "fb.1.%lld." SV_FMT, (long long)ms, SV_ARG(click.id));
    if (valid_fbc(fbc, e->time_ms))
        e->user.fbc = fbc;
}
