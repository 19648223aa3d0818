// What browsers post, what is kept of it, and what a theme leaves in an order. Input: a line with a user agent, then the body.
// What was taken is kept as itself and laid over itself changes nothing; a denial leaves only itself; and it can be joined to an event.
#include "mapping/consent.h"
#include "mapping/context.h"
#include "mapping/normalise.h"
#include "tests/fuzz/shop.h"

static void check_kept(struct arena *a, const struct context *c) {
    struct context again, merged;
    struct sv stored = context_write(a, c);
    (void)checked_json(a, stored);
    CHECK(context_read(a, stored, &again, NULL) == RC_OK);
    CHECK(sv_eq(context_write(a, &again), stored));
    merged = again;
    context_merge(&merged, &again);
    if (c->consent.marketing != CONSENT_DENIED)
        CHECK(sv_eq(context_write(a, &merged), stored));
    else
        CHECK(!merged.email.text.p && !merged.fbp.text.p && !merged.ip.text.p);
}

static void check_joined(struct arena *a, const struct context *c) {
    struct known_context known = {"context:checkout", *c};
    struct event e = {.id = SV("ord_1_purchase"), .name = EVENT_PURCHASE, .time_ms = NOW_MS, .shop = SV("acme"), .source = SV("shopify"),
                      .origin = SV("web"), .value = SV("1.00"), .currency = SV("EUR"), .user.email = SV("ava@klaviyo-demo.com")};
    context_apply(a, &known, 1, &e);
    CHECK(sv_is(e.user.email, "ava@klaviyo-demo.com"));
    (void)checked_json(a, event_text(a, &e));
    checked_plan(a, sample_shop(), &(struct decoded){.events = &e, .count = 1});
}

// Texts of a cart's attributes and of a landing page, which anybody can write.
static void check_texts(struct arena *a, struct sv text) {
    struct consent consent = {0};
    bool read = consent_read(a, text, &consent);
    CHECK(read || !consent_told(&consent));
    struct sv fbc = fbc_from_url(a, text, NOW_MS);
    CHECK(!fbc.p || valid_fbc(fbc, NOW_MS));
    CHECK(!valid_fbc(text, NOW_MS) || valid_fbp(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct sv body = input_of(data, size), agent = first_line(&body);
    struct posted_context posted;
    struct context stored;
    struct err e = {0};
    arena_init(&a, MEMORY);
    if (context_parse(&a, body, SV("203.0.113.7"), agent, NOW_MS, &posted, &e) == RC_OK) {
        CHECK(sv_present(posted.cart_token) || sv_present(posted.checkout_token));
        CHECK(posted.context.consent.marketing != CONSENT_DENIED || (!posted.context.email.text.p && !posted.context.ip.text.p));
        check_kept(&a, &posted.context);
        check_joined(&a, &posted.context);
    } else {
        CHECK(e.text[0] != '\0');
    }
    if (context_read(&a, body, &stored, NULL) == RC_OK)
        check_joined(&a, &stored);
    check_texts(&a, body);
    arena_free(&a);
    return 0;
}
