// How Shopify, Recharge and people with own events sign: known vectors, several secrets, broken headers, time windows, downgrade, forgery by extension.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crypto.h"
#include "handlers/source.h"

#include <stdio.h>
#include <string.h>

#define NOW_S ((int64_t)1795255200)  // 2026-11-21T10:00:00Z
#define HMAC "X-Shopify-Hmac-Sha256"
#define STAMPED "X-Recharge-Webhook-Signature"
#define LEGACY "X-Recharge-Hmac-Sha256"

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    assert_true(arena_ok(&arena));
    arena_free(&arena);
    return 0;
}

static struct signature shopify(const struct shop *shop, struct sv given, struct sv body) {
    struct header h = {SV("x-shopify-hmac-sha256"), given};
    return source_shopify.verify(shop, (struct headers){&h, 1}, body, NOW_S * 1000);
}

static struct shop shop_of(const char *first, const char *second) {
    struct shop shop = {0};
    shop.shopify.secrets = (struct secrets){{sv_of(first), sv_of(second)}, second ? 2 : 1};
    shop.recharge.secrets = shop.shopify.secrets;
    return shop;
}

static void shopify_vectors(void **state) {
    (void)state;
    static const struct { const char *secret, *body, *signature; bool valid; } rows[] = {
        {"hush", "\"my secret message\"", "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI=", true},
        {"test_secret_key", "{\"foo\": \"bar\"}", "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=", true},
        {"test_secret_key", "{\"foo\": \"bar\"} ", "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=", false},
        {"test_secret_kez", "{\"foo\": \"bar\"}", "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=", false},
        {"hush", "\"my secret message\"", "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI", false},
        {"hush", "\"my secret message\"", "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKJ=", false},
        {"hush", "\"my secret message\"", "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI=AAAA", false},
        {"hush", "\"my secret message\"", "84c4ead0adb1ee8c8e8e80701987938f9a317e7695617cdb6a7506f5a6a3a4a2", false},
        {"hush", "\"my secret message\"", "", false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop shop = shop_of(rows[i].secret, NULL);
        struct signature s = shopify(&shop, sv_of(rows[i].signature), sv_of(rows[i].body));
        if (s.valid != rows[i].valid)
            fail_msg("row %zu: valid is %d", i, s.valid);
        assert_false(s.pins || s.needs_unpinned);
    }
    struct sv made = sign_shopify(&arena, SV("hush"), SV("\"my secret message\""));
    assert_true(sv_is(made, "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI="));
}

static void any_of_the_secrets(void **state) {
    (void)state;
    struct shop shop = {0};
    struct sv body = SV("{}");
    assert_false(shopify(&shop, sign_shopify(&arena, SV(""), body), body).valid);  // none configured: closed
    shop.shopify.secrets = (struct secrets){{SV("one"), SV(""), SV("three")}, 3};
    assert_true(shopify(&shop, sign_shopify(&arena, SV("one"), body), body).valid);
    assert_true(shopify(&shop, sign_shopify(&arena, SV("three"), body), body).valid);
    assert_false(shopify(&shop, sign_shopify(&arena, SV("two"), body), body).valid);
    assert_false(shopify(&shop, sign_shopify(&arena, SV(""), body), body).valid);  // an empty secret proves nothing
    shop.recharge.secrets = (struct secrets){{SV("")}, 1};
    struct header h = {SV(LEGACY), sign_recharge_legacy(&arena, SV(""), body)};
    assert_false(source_recharge.verify(&shop, (struct headers){&h, 1}, body, NOW_S * 1000).valid);
}

static void one_header_only(void **state) {
    (void)state;
    struct shop shop = shop_of("hush", NULL);
    struct sv body = SV("{}");
    struct header same = {SV(HMAC), sign_shopify(&arena, SV("hush"), body)};
    struct header twice[] = {same, same};
    assert_false(source_shopify.verify(&shop, (struct headers){twice, 2}, body, 0).valid);
    assert_false(source_shopify.verify(&shop, (struct headers){twice, 0}, body, 0).valid);
    assert_true(source_shopify.verify(&shop, (struct headers){twice, 1}, body, 0).valid);
}

static struct signature recharge(enum recharge_signature accept, const struct header *h, size_t n, struct sv body) {
    struct shop shop = shop_of("previous", "current");
    shop.recharge.signature = accept;
    return source_recharge.verify(&shop, (struct headers){h, n}, body, NOW_S * 1000);
}

static bool stamped(struct sv header, struct sv body) {
    struct header h = {SV(STAMPED), header};
    return recharge(RECHARGE_AUTO, &h, 1, body).valid;
}

static void recharge_timestamped(void **state) {
    (void)state;
    // Made with another tool: printf '1795255200.{"charge":{}}' | openssl dgst -sha256 -hmac current
    assert_true(stamped(SV("t=1795255200,v1=4f8c7611a7f6fa77d77e872e85e5fad7655c3e03faa4b8a560ecb3441f304af9"), SV("{\"charge\":{}}")));
    struct sv body = SV("{\"charge\":{}}");
    struct sv good = sign_timestamped(&arena, SV("current"), body, NOW_S);
    assert_true(stamped(good, body));
    assert_true(stamped(sign_timestamped(&arena, SV("previous"), body, NOW_S), body));
    assert_false(stamped(sign_timestamped(&arena, SV("other"), body, NOW_S), body));
    assert_false(stamped(good, SV("{\"charge\":{} }")));

    struct sv v1 = sv_sub(good, good.n - 64, 64);
    static const struct { const char *format; bool valid; } rows[] = {
        {"v1=%s,t=1795255200", true},
        {"t=1795255200, v1=%s, v2=whatever", true},
        {"t=1795255200,v1=0000000000000000000000000000000000000000000000000000000000000000,v1=%s", true},
        {"t=1795255201,v1=%s", false},
        {"t=01795255200,v1=%s", false},
        {"t=1795255200,t=1795255200,v1=%s", false},
        {"t=1795255200,v1=%.63s", false},
        {"t=1795255200,v1=%s0", false},
        {"t=,v1=%s", false},
        {"t=-1795255200,v1=%s", false},
        {"v1=%s", false},
        {"t=1795255200", false},
        {"%s", false},
        {"t=1795255200,v1=%s,", false},
        {"", false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        const char *at = strstr(rows[i].format, "%");
        struct sv before = at ? sv_sub(sv_of(rows[i].format), 0, (size_t)(at - rows[i].format)) : SV_NONE;
        bool cut = at && strncmp(at, "%.63s", 5) == 0;
        struct sv header = at ? arena_fmt(&arena, SV_FMT SV_FMT "%s", SV_ARG(before), SV_ARG(sv_sub(v1, 0, cut ? 63 : 64)), at + (cut ? 5 : 2)) : SV("");
        if (stamped(header, body) != rows[i].valid)
            fail_msg("row %zu should be %s", i, rows[i].valid ? "valid" : "refused");
    }
}

static void recharge_window(void **state) {
    (void)state;
    struct sv body = SV("{}");
    static const struct { int64_t age_s; bool valid; } rows[] = {
        {0, true}, {172800, true}, {172801, false}, {-172800, true}, {-172801, false}, {NOW_S, false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_int_equal(stamped(sign_timestamped(&arena, SV("current"), body, NOW_S - rows[i].age_s), body), rows[i].valid);
    assert_false(stamped(sign_timestamped(&arena, SV("current"), body, INT64_MAX), body));
}

static void recharge_legacy(void **state) {
    (void)state;
    struct sv body = SV("{\"charge\":{}}");
    // printf 'current{"charge":{}}' | sha256sum
    struct header plain = {SV(LEGACY), SV("aabd2adab22c84cef324308ef80ac20dc14723ae937c3f10d8d248d243f66f4a")};
    assert_true(sv_eq(sign_recharge_legacy(&arena, SV("current"), body), plain.value));
    assert_true(recharge(RECHARGE_AUTO, &plain, 1, body).valid);
    assert_true(recharge(RECHARGE_LEGACY, &plain, 1, body).valid);
    assert_false(recharge(RECHARGE_TIMESTAMPED, &plain, 1, body).valid);

    struct digest keyed = hmac_sha256(SV("current"), &body, 1);  // what the header's name says, and what must not be taken
    struct header h = {SV(LEGACY), hex_of(&arena, keyed.b, sizeof keyed.b)};
    assert_false(recharge(RECHARGE_AUTO, &h, 1, body).valid);
    h.value = sv_sub(plain.value, 0, 63);
    assert_false(recharge(RECHARGE_AUTO, &h, 1, body).valid);
    struct header twice[] = {plain, plain};
    assert_false(recharge(RECHARGE_AUTO, twice, 2, body).valid);
    assert_false(recharge(RECHARGE_AUTO, twice, 0, body).valid);
}

static void the_stronger_header_decides_alone(void **state) {
    (void)state;
    struct sv body = SV("{\"charge\":{}}");
    struct header both[] = {
        {SV(LEGACY), sign_recharge_legacy(&arena, SV("current"), body)},
        {SV(STAMPED), sign_timestamped(&arena, SV("current"), body, NOW_S)},
    };
    assert_true(recharge(RECHARGE_AUTO, both, 2, body).valid);
    both[0].value = SV("wrong");
    assert_true(recharge(RECHARGE_AUTO, both, 2, body).valid);
    both[0].value = sign_recharge_legacy(&arena, SV("current"), body);
    static const char *const broken[] = {"", "t=1,v1=", "nonsense"};
    static const enum recharge_signature modes[] = {RECHARGE_AUTO, RECHARGE_TIMESTAMPED, RECHARGE_LEGACY};
    for (size_t i = 0; i < COUNTOF(broken); i++)
        for (size_t m = 0; m < COUNTOF(modes); m++) {
            both[1].value = sv_of(broken[i]);
            assert_false(recharge(modes[m], both, 2, body).valid);
        }
    both[1].value = sign_timestamped(&arena, SV("current"), body, NOW_S - 200000);
    assert_false(recharge(RECHARGE_AUTO, both, 2, body).valid);
}

static void pinning(void **state) {
    (void)state;
    struct sv body = SV("{}");
    struct header plain = {SV(LEGACY), sign_recharge_legacy(&arena, SV("current"), body)};
    struct header strong = {SV(STAMPED), sign_timestamped(&arena, SV("current"), body, NOW_S)};
    struct header wrong = {SV(STAMPED), sign_timestamped(&arena, SV("other"), body, NOW_S)};
    static const struct { enum recharge_signature mode; bool legacy_needs_unpinned, stamped_pins; } rows[] = {
        {RECHARGE_AUTO, true, true}, {RECHARGE_TIMESTAMPED, false, false}, {RECHARGE_LEGACY, false, false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct signature s = recharge(rows[i].mode, &plain, 1, body);
        assert_int_equal(s.needs_unpinned, rows[i].legacy_needs_unpinned);
        assert_false(s.pins);
        s = recharge(rows[i].mode, &strong, 1, body);
        assert_true(s.valid);
        assert_int_equal(s.pins, rows[i].stamped_pins);
        assert_false(s.needs_unpinned);
        assert_false(recharge(rows[i].mode, &wrong, 1, body).pins);
    }
}

// The legacy hash of a body can be extended by anyone to body + padding + anything. The padding fills
// the first block of 64 bytes (secret, body, 0x80, zeros, length in bits); the forged hash goes on from there.
static void extended_body_is_not_proved(void **state) {
    (void)state;
    unsigned char forged[] = "{\"charge\":{\"id\":1234}}___________________________________,\"x\":1}}";
    size_t body_n = strlen("{\"charge\":{\"id\":1234}}"), block = 64 - strlen("current");
    memset(forged + body_n, 0, block - body_n);
    forged[body_n] = 0x80;
    uint64_t bits = (64 - block + body_n) * 8;
    forged[block - 1] = (unsigned char)bits;
    struct sv body = {(const char *)forged, sizeof forged - 1};
    struct header h = {SV(LEGACY), sign_recharge_legacy(&arena, SV("current"), body)};  // the same digest that the extension gives
    assert_false(recharge(RECHARGE_AUTO, &h, 1, body).valid);
    assert_false(recharge(RECHARGE_LEGACY, &h, 1, body).valid);
    h.value = sign_recharge_legacy(&arena, SV("current"), sv_sub(body, 0, body_n));
    assert_true(recharge(RECHARGE_LEGACY, &h, 1, sv_sub(body, 0, body_n)).valid);
}

static void legacy_proves_objects_only(void **state) {
    (void)state;
    static const char *const others[] = {"", "1", "12", "\"x\"", "[]", "null", "{", "{} x", "{}{}", "{\"a\":1,}", "not JSON", "{\"a\":\"\x80\"}"};
    for (size_t i = 0; i < COUNTOF(others); i++) {
        struct sv body = sv_of(others[i]);
        struct header h[] = {{SV(LEGACY), sign_recharge_legacy(&arena, SV("current"), body)},
                             {SV(STAMPED), sign_timestamped(&arena, SV("current"), body, NOW_S)}};
        assert_false(recharge(RECHARGE_LEGACY, h, 1, body).valid);
        assert_true(recharge(RECHARGE_AUTO, h, 2, body).valid);  // nobody can extend an HMAC
    }
    struct sv spaced = SV(" {\"charge\":{}}\r\n\t");
    struct header h = {SV(LEGACY), sign_recharge_legacy(&arena, SV("current"), spaced)};
    assert_true(recharge(RECHARGE_LEGACY, &h, 1, spaced).valid);
}

// ---- events: the same scheme, a header and a window of its own

#define OWN "X-Fireorder-Signature"

static bool own(struct sv given, struct sv body, int64_t now_s) {
    const struct shop shop = {.events.secrets = {{SV("old"), SV(""), SV("new")}, 3}};
    struct header h = {SV(OWN), given};
    return source_events.verify(&shop, (struct headers){&h, 1}, body, now_s * 1000).valid;
}

static void own_events(void **state) {
    (void)state;
    struct sv body = SV("{\"id\":\"a\"}"), made = sign_timestamped(&arena, SV("new"), body, NOW_S);
    struct sv hex = sv_sub(made, made.n - 64, 64), zeros = SV("0000000000000000000000000000000000000000000000000000000000000000");
    assert_true(own(made, body, NOW_S));
    assert_true(own(sign_timestamped(&arena, SV("old"), body, NOW_S), body, NOW_S));
    assert_false(own(sign_timestamped(&arena, SV("other"), body, NOW_S), body, NOW_S));
    assert_false(own(sign_timestamped(&arena, SV(""), body, NOW_S), body, NOW_S));
    assert_false(own(made, SV("{\"id\":\"b\"}"), NOW_S));
    assert_true(own(made, body, NOW_S + 300));
    assert_false(own(made, body, NOW_S + 301));
    assert_true(own(made, body, NOW_S - 300));
    assert_false(own(made, body, NOW_S - 301));
    struct sv t = arena_fmt(&arena, "t=%lld", (long long)NOW_S);
    assert_true(own(arena_fmt(&arena, SV_FMT ", v1=" SV_FMT ", v1=" SV_FMT ",v2=x", SV_ARG(t), SV_ARG(zeros), SV_ARG(hex)), body, NOW_S));
    static const char *const broken[] = {"", "x", "t=,v1=", "v1=%s", "t=1795255200", "t=1795255200,v1=%.10s", "t=1795255200,t=1795255200,v1=%s",
                                         "t=+1795255200,v1=%s", "t=1795255200.0,v1=%s", "t=1795255200;v1=%s", "t=-1,v1=%s", "t=99999999999999999999,v1=%s"};
    for (size_t i = 0; i < COUNTOF(broken); i++) {
        char text[256];
        const char *at = strchr(broken[i], '%');
        size_t head = at ? (size_t)(at - broken[i]) : strlen(broken[i]);
        snprintf(text, sizeof text, "%.*s%.*s", (int)head, broken[i], at ? (at[1] == '.' ? 10 : 64) : 0, hex.p);
        if (own(sv_of(text), body, NOW_S))
            fail_msg("%s is taken", text);
    }
    const struct shop closed = {0}, recharge_only = {.recharge.secrets = {{SV("new")}, 1}};
    struct header two[] = {{SV(OWN), made}, {SV("x-fireorder-signature"), made}};
    assert_false(source_events.verify(&closed, (struct headers){two, 1}, body, NOW_S * 1000).valid);
    assert_false(source_events.verify(&recharge_only, (struct headers){two, 1}, body, NOW_S * 1000).valid);
    const struct shop open = {.events.secrets = {{SV("new")}, 1}};
    assert_true(source_events.verify(&open, (struct headers){two, 1}, body, NOW_S * 1000).valid);
    assert_false(source_events.verify(&open, (struct headers){two, 2}, body, NOW_S * 1000).valid);
    assert_false(source_events.verify(&open, (struct headers){two, 0}, body, NOW_S * 1000).valid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shopify_vectors),
        cmocka_unit_test(any_of_the_secrets),
        cmocka_unit_test(one_header_only),
        cmocka_unit_test(recharge_timestamped),
        cmocka_unit_test(recharge_window),
        cmocka_unit_test(recharge_legacy),
        cmocka_unit_test(the_stronger_header_decides_alone),
        cmocka_unit_test(pinning),
        cmocka_unit_test(extended_body_is_not_proved),
        cmocka_unit_test(legacy_proves_objects_only),
        cmocka_unit_test(own_events),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
