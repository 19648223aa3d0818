// plan_fixture.h: a shop, its mapping, events and plans of them, over a made-up clock.
#ifndef TESTS_UNIT_PLAN_FIXTURE_H
#define TESTS_UNIT_PLAN_FIXTURE_H

#include "base/clock.h"
#include "server/dispatch/plan.h"

#include <stdlib.h>

#define T0 INT64_C(1795255200000)  // 2026-11-21T10:00:00Z
#define NEVER INT64_MAX
enum { META, PROFILE, EVENT, LIST };

static struct arena arena;

static inline const struct rules *rules_of(const char *own) {
    struct buf text;
    buf_init(&text, 1 << 16);
    struct faults f = {.out = &text};
    const struct rules *rules = rules_compile(&arena, sv_of(own), "own.yaml", &f);
    if (!rules)
        fail_msg("%s", buf_cstr(&text));
    buf_free(&text);
    return rules;
}

// A lead goes under `stop`, which no built-in rule does.
#define LEAD_STOPS "version: 1\nrules:\n  lead: { on_fail: stop, max_wait: 10s }\n"

static inline int setup(void **state) {
    (void)state;
    arena_init(&arena, (size_t)256 << 20);
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    bool fine = arena_ok(&arena);
    arena_free(&arena);
    return fine ? 0 : -1;
}

static inline struct shop shop_of_both(void) {
    return (struct shop){
        .name = SV("acme"), .domain = SV("acme.example"), .rules = rules_of(LEAD_STOPS),
        .meta = {.configured = true, .pixel_id = SV("1"), .access_token = SV("t"), .api_version = SV("v25.0"), .base_url = SV("https://meta.example")},
        .klaviyo = {.configured = true, .api_key = SV("pk_x"), .revision = SV("2026-07-15"), .base_url = SV("https://klaviyo.example"),
                    .list_id = SV("LiSt01")},
        .consent.meta = {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, OPT_OUT_SKIP},
    };
}

// The profile has nothing to say of this person: the event is Klaviyo's first step.
static inline struct event event_at(enum event_name name, const char *id, int64_t time_ms) {
    return (struct event){
        .id = sv_of(id), .name = name, .time_ms = time_ms, .shop = SV("acme"), .source = SV("shopify"), .origin = SV("web"),
        .user = {.email = SV("ava@klaviyo-demo.com"), .external_id = SV("34982")},
        .value = SV("129.95"), .currency = SV("EUR"),
    };
}

// Every step applies to a sign-up with consent of somebody whose name and telephone number are known.
static inline struct event known_event_at(enum event_name name, const char *id, int64_t time_ms) {
    struct event e = event_at(name, id, time_ms);
    e.user.first_name = SV("Ava");
    e.user.country = SV("US");
    e.user.phone = SV("+14155552671");
    e.consent.marketing = CONSENT_GRANTED;
    return e;
}

static inline struct plan plan_of(const struct shop *shop, struct event *events, size_t n, int64_t now_ms) {
    struct plan p;
    plan_make(&arena, shop, &(struct decoded){.events = events, .count = n}, now_ms, &p);
    return p;
}

static inline struct plan plan_for(enum event_name name) {
    struct shop *shop = ARENA_NEW(&arena, struct shop);
    struct event *e = ARENA_NEW(&arena, struct event);
    *shop = shop_of_both();
    *e = event_at(name, "evt_1", T0 - 500);
    return plan_of(shop, e, 1, T0);
}

static inline struct plan full_plan_for(enum event_name name) {
    struct shop *shop = ARENA_NEW(&arena, struct shop);
    struct event *e = ARENA_NEW(&arena, struct event);
    *shop = shop_of_both();
    *e = known_event_at(name, "evt_1", T0 - 500);
    return plan_of(shop, e, 1, T0);
}

static inline void expect_text(struct sv text, const char *want, size_t row) {
    if (!sv_eq(text, sv_of(want)))
        fail_msg("row %zu: \"" SV_FMT "\", not \"%s\"", row, SV_ARG(text), want ? want : "(absent)");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
