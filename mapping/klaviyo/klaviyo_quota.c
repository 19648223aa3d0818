// klaviyo_quota.c: how many requests Klaviyo takes: per account and endpoint, in a second and in a minute. It says so with each answer but
// the 429, as "RateLimit-Limit: 350, 350;w=1, 3500;w=60". Before it has said anything the published numbers hold; something that
// stands in for Klaviyo at another address takes what comes, until it says otherwise.
#include "base/clock.h"
#include "mapping/klaviyo/klaviyo.h"

#define MOST_MOST 1000000
#define SPAN_MOST_MS MINUTES_MS(60)

static const struct quota published_events = {{{350, SECONDS_MS(1)}, {3500, MINUTES_MS(1)}}, 2};
static const struct quota published_bulk = {{{10, SECONDS_MS(1)}, {150, MINUTES_MS(1)}}, 2};
static const struct quota published_people = {{{75, SECONDS_MS(1)}, {750, MINUTES_MS(1)}}, 2};  // profile imports, and subscription jobs

// read_window: "3500;w=60". The number that stands first has no window: it repeats one of the others.
static bool read_window(struct sv part, struct quota_window *ret) {
    struct sv most, rest, parameter;
    int64_t seconds = 0;
    if (!sv_cut(part, ';', &most, &rest) || !sv_i64(sv_trim(most), &ret->most))
        return false;
    for (bool more = true; more;) {
        more = sv_cut(rest, ';', &parameter, &rest);
        parameter = sv_trim(parameter);
        if (sv_starts(parameter, SV("w=")) && !sv_i64(sv_sub(parameter, 2, parameter.n), &seconds))
            return false;
    }
    ret->span_ms = seconds > 0 && seconds <= SPAN_MOST_MS / 1000 ? SECONDS_MS(seconds) : 0;
    return ret->span_ms > 0 && ret->most > 0 && ret->most <= MOST_MOST;
}

static struct quota read_quota(struct sv header) {
    struct quota q = {.count = 0};
    struct sv part;
    for (bool more = header.p != NULL; more && q.count < QUOTA_WINDOWS;) {
        more = sv_cut(header, ',', &part, &header);
        if (read_window(part, &q.windows[q.count]))
            q.count++;
    }
    return q;
}

static struct quota quota_of(const struct shop *shop, const struct answer *answer, const struct quota *known, const struct quota *published) {
    if (!answer)
        return known->count == 0 && sv_is(shop->klaviyo.base_url, KLAVIYO_URL) ? *published : *known;
    struct quota said = read_quota(headers_get(answer->headers, "RateLimit-Limit"));
    if (said.count > 0)
        return said;
    return known->count == 0 && answer->status == 429 ? *published : *known;
}

struct quota klaviyo_event_quota(const struct shop *shop, const struct answer *answer, const struct quota *known) {
    return quota_of(shop, answer, known, &published_events);
}

struct quota klaviyo_bulk_quota(const struct shop *shop, const struct answer *answer, const struct quota *known) {
    return quota_of(shop, answer, known, &published_bulk);
}

struct quota klaviyo_people_quota(const struct shop *shop, const struct answer *answer, const struct quota *known) {
    return quota_of(shop, answer, known, &published_people);
}
