// Signature headers of every source. Input: header lines, an empty line, the body.
// A signature holds exactly when it is one that the secret makes; the source's own always does, and none does for another body.
#include "base/crypto.h"
#include "handlers/signature.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static const char *const signed_by[] = {"first-secret", "second-secret"};

static struct shop shop_of(enum recharge_signature scheme) {
    struct secrets secrets = {.n = COUNTOF(signed_by)};
    for (size_t i = 0; i < secrets.n; i++)
        secrets.v[i] = sv_of(signed_by[i]);
    return (struct shop){.name = SV("acme"), .shopify.secrets = secrets, .recharge = {secrets, scheme}, .events.secrets = secrets};
}

// made_by_a_secret: whether the value holds what one of the secrets makes of time (absent: none) and body.
static bool made_by_a_secret(struct arena *a, struct sv value, struct sv time, struct sv body, struct sv (*make)(struct arena *, struct sv, struct sv)) {
    bool made = false;
    struct sv text = time.p ? arena_fmt(a, SV_FMT ".", SV_ARG(time)) : SV("");
    char *bytes = arena_alloc(a, text.n + body.n + 1);
    memcpy(bytes, text.p, text.n);
    memcpy(bytes + text.n, body.p, body.n);
    for (size_t i = 0; i < COUNTOF(signed_by); i++)
        made |= sv_contains_nocase(value, make(a, sv_of(signed_by[i]), (struct sv){bytes, text.n + body.n}));
    return made;
}

static struct sv keyed_hex(struct arena *a, struct sv secret, struct sv text) {
    struct digest d = hmac_sha256(secret, &text, 1);
    return hex_of(a, d.b, sizeof d.b);
}

// time_in: what stands behind "t=" in a timestamped header.
static struct sv time_in(struct sv value) {
    struct sv element;
    while (value.p) {
        sv_cut(value, ',', &element, &value);
        element = sv_trim(element);
        if (sv_starts(element, SV("t=")))
            return sv_sub(element, 2, element.n);
    }
    return SV_NONE;
}

static bool is_object(struct arena *a, struct sv body) {
    struct json *tree;
    return json_parse(a, body, &tree, NULL) == RC_OK && json_is_object(tree);
}

static void check_given(struct arena *a, const struct shop *shop, struct headers h, struct sv body) {
    struct sv shopify = headers_get(h, SHOPIFY_SIGNATURE), legacy = headers_get(h, RECHARGE_LEGACY_SIGNATURE);
    struct sv recharge = headers_get(h, RECHARGE_SIGNATURE), events = headers_get(h, EVENTS_SIGNATURE);
    bool exact = false;
    for (size_t i = 0; i < COUNTOF(signed_by); i++)
        exact |= sv_eq(shopify, sign_shopify(a, sv_of(signed_by[i]), body));
    CHECK(shopify_verify(shop, h, body, NOW_MS).valid == (exact && headers_count(h, SHOPIFY_SIGNATURE) == 1));
    struct signature s = recharge_verify(shop, h, body, NOW_MS);
    CHECK(s.valid || (!s.pins && !s.needs_unpinned));
    if (s.valid && recharge.p)
        CHECK(time_in(recharge).p && made_by_a_secret(a, recharge, time_in(recharge), body, keyed_hex));
    else if (s.valid)
        CHECK(is_object(a, body) && made_by_a_secret(a, legacy, SV_NONE, body, sign_recharge_legacy) && shop->recharge.signature != RECHARGE_TIMESTAMPED);
    if (events_verify(shop, h, body, NOW_MS).valid)
        CHECK(made_by_a_secret(a, events, time_in(events), body, keyed_hex));
}

// changed: the body with one of its bits turned, or a byte more when it is empty.
static struct sv changed(struct arena *a, struct sv body) {
    char *bytes = arena_alloc(a, body.n + 1);
    memcpy(bytes, body.p, body.n);
    bytes[choice(body, body.n + 1)] ^= (char)(1 << choice(body, 8));
    return (struct sv){bytes, body.n + (choice(body, body.n + 1) == body.n)};
}

static void check_own(struct arena *a, const struct shop *shop, struct sv body) {
    struct header made[SIGN_HEADERS_MAX];
    for (size_t i = 0; i < source_count; i++) {
        size_t n = sources[i]->sign(a, sources[i]->secrets(shop)->v[1], SV("orders/create"), body, NOW_MS, made);
        struct headers h = {made, n};
        CHECK(sources[i]->verify(shop, h, body, NOW_MS).valid);
        CHECK(!sources[i]->verify(shop, h, changed(a, body), NOW_MS).valid);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct header headers[HEADERS_MOST];
    struct sv body = input_of(data, size);
    struct headers h = head_read(&body, headers);
    arena_init(&a, MEMORY);
    for (enum recharge_signature scheme = RECHARGE_AUTO; scheme <= RECHARGE_LEGACY; scheme++) {
        struct shop shop = shop_of(scheme);
        check_given(&a, &shop, h, body);
    }
    struct shop shop = shop_of(RECHARGE_AUTO);
    check_own(&a, &shop, body);
    arena_free(&a);
    return 0;
}
