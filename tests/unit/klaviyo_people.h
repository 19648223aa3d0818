// klaviyo_people.h: a shop, a person and what Klaviyo is told of them, for the tests of profiles and lists.
#ifndef TESTS_UNIT_KLAVIYO_PEOPLE_H
#define TESTS_UNIT_KLAVIYO_PEOPLE_H

#include "base/clock.h"
#include "mapping/klaviyo/klaviyo.h"
#include "tests/unit/default_rules.h"
#include "tests/unit/members.h"

#define NOW_MS INT64_C(1763719200000)  // 2025-11-21T10:00:00Z

static struct arena arena;
static const struct rules *rules;

static inline int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    rules = default_rules(&arena);
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    bool fine = arena_ok(&arena);
    arena_free(&arena);
    return fine ? 0 : -1;
}

static inline struct shop shop(void) {
    return (struct shop){
        .name = SV("acme"), .rules = rules,
        .klaviyo = {.configured = true, .native_integration = true, .api_key = SV("pk_secret"), .revision = SV("2026-07-15"),
                    .base_url = SV("https://a.klaviyo.com/"), .list_id = SV("Y6nRLr")},
    };
}

static inline struct event event_of(enum event_name name) {
    return (struct event){
        .id = SV("cus_7_sign_up"), .name = name, .time_ms = NOW_MS - 1500, .shop = SV("acme"), .source = SV("shopify"), .origin = SV("web"),
        .user = {.email = SV(" Ava@Klaviyo-Demo.com"), .phone = SV("0151 12345678"), .external_id = SV("34982"), .first_name = SV("Ava"),
                 .last_name = SV("Roth"), .locale = SV("de_DE"), .address1 = SV("Weg 1"), .city = SV("Berlin"), .region = SV("BE"),
                 .zip = SV("10115"), .country = SV("DE"), .ip = SV("203.0.113.7"), .fbp = SV("fb.1.1.x")},
        .consent = {.marketing = CONSENT_GRANTED},
    };
}

static inline struct draft draft_of(const struct destination *d, struct event *e, const struct shop *s) {
    rule_choose(&arena, s, e);
    return d->draft(&arena, e, s, NOW_MS);
}

static inline const struct json *body_of(const struct destination *d, struct event *e, const struct shop *s) {
    return json_parsed(&arena, draft_of(d, e, s).body);
}

static inline void assert_applies(const struct destination *d, struct event *e, const struct shop *s, const char *reason) {
    struct sv is = SV_NONE;
    rule_choose(&arena, s, e);
    bool applies = d->applies(&arena, e, s, &is);
    if (applies != !reason || (!applies && !sv_is(is, reason)))
        fail_msg("%d \"" SV_FMT "\", not \"%s\"", applies, SV_ARG(is), reason ? reason : "(sent)");
}

#define PROFILE &destination_klaviyo_profile
#define LIST &destination_klaviyo_list

#endif
