#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "server/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// No fault text may ever hold it.
#define CANARY "Zx81canaryQ"
#define KEY_32 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

static struct config *parsed(const char *text, struct buf *faults) {
    struct config *c = NULL;
    struct err e;
    buf_init(faults, 1 << 16);
    enum rc rc = config_parse(sv_of(text), "f.yaml", &c, faults, &e);
    if (rc == RC_OK)
        assert_non_null(c);
    else
        assert_null(c);
    return c;
}

static struct config *good(const char *text) {
    struct buf faults;
    struct config *c = parsed(text, &faults);
    if (!c)
        fail_msg("unexpected faults:\n%s", buf_cstr(&faults));
    buf_free(&faults);
    return c;
}

#define HEAD "version: 1\nshops:\n  acme:\n"

static void defaults_are_the_documented_ones(void **state) {
    (void)state;
    struct config *c = good(HEAD "    shopify: { secrets: [a] }\n"
                                 "    meta: { pixel_id: 12, access_token: t }\n"
                                 "    klaviyo: { api_key: k }\n"
                                 "    context: { origins: ['https://acme.example'] }\n");
    assert_true(sv_is(c->listen, "0.0.0.0:8080"));
    assert_true(sv_is(c->admin, "127.0.0.1:9090"));
    assert_true(sv_is(c->store, "sqlite:fireorder.db"));
    assert_null(c->admin_token.p);
    assert_null(c->seal_keys.p);
    assert_false(c->relaxed);
    assert_int_equal(c->retention_ms, HOURS_MS(24));
    assert_int_equal(c->identity_lifetime_ms, DAYS_MS(60));
    assert_int_equal(c->report_lifetime_ms, DAYS_MS(90));
    assert_int_equal(c->in_flight, 512);
    assert_int_equal(c->trusted_proxy_count, 1);
    assert_int_equal(c->trusted_proxies[0].bits, 128);
    assert_int_equal(c->trusted_proxies[0].address[12], 127);
    assert_int_equal(c->shop_count, 1);
    const struct shop *s = config_shop(c, SV("acme"));
    assert_non_null(s);
    assert_null(config_shop(c, SV("acm")));
    assert_null(config_shop(c, SV("acmee")));
    assert_false(s->shopify.purchase_on_paid);
    assert_int_equal(s->shopify.secrets.n, 1);
    assert_int_equal(s->recharge.secrets.n, 0);
    assert_int_equal(s->recharge.signature, RECHARGE_AUTO);
    assert_true(s->meta.configured && s->klaviyo.configured);
    assert_true(sv_is(s->meta.api_version, "v25.0"));
    assert_true(sv_is(s->meta.base_url, "https://graph.facebook.com"));
    assert_false(sv_present(s->meta.test_event_code));
    assert_true(sv_is(s->meta.content_id, "{variant_id}"));
    assert_true(sv_is(s->klaviyo.revision, "2026-07-15"));
    assert_true(sv_is(s->klaviyo.base_url, "https://a.klaviyo.com"));
    assert_true(s->klaviyo.native_integration);
    assert_int_equal(s->klaviyo.bulk_when_behind_ms, MINUTES_MS(5));
    assert_int_equal(s->context.lifetime_ms, DAYS_MS(7));
    assert_null(s->context.customer_secret.p);
    assert_int_equal(s->consent.meta.purpose, CONSENT_FOR_MARKETING);
    assert_int_equal(s->consent.meta.unknown, UNKNOWN_BY_REGION);
    assert_int_equal(s->consent.meta.opt_out, OPT_OUT_BY_REGION);
    assert_int_equal(s->consent.klaviyo.purpose, CONSENT_FOR_NOTHING);
    config_drop(c);
}

static const char everything[] =
    "version: 1\n"
    "listen: :8081\n"
    "admin: '[::1]:9091'\n"
    "admin_token: ${T_TOKEN}\n"
    "store: redis://user:pass@host:6379/0\n"
    "seal_key: ${T_KEY}\n"
    "durability: relaxed\n"
    "retention: 90m\n"
    "identity_lifetime: 1d\n"
    "report_lifetime: 30d\n"
    "in_flight: 1024\n"
    "trusted_proxies: [10.0.0.0/8, 'fd00::/8', 192.0.2.1]\n"
    "shops:\n"
    "  acme_2-b:\n"
    "    domain: acme.myshopify.com\n"
    "    shopify: { secrets: ['${T_TOKEN}', 'x${T_TOKEN}y'], purchase_on: orders/paid }\n"
    "    recharge: { secrets: [r], signature: timestamped }\n"
    "    meta: { pixel_id: '123', access_token: m, api_version: v26.1, base_url: 'http://127.0.0.1:9100/', test_event_code: TEST1,\n"
    "            content_id: 'shopify_{country}_{product_id}_{variant_id}' }\n"
    "    klaviyo: { api_key: k, revision: 2025-04-15.pre, base_url: 'http://sandbox:9100/k', list_id: L1, native_integration: false, bulk_when_behind: 90s }\n"
    "    events: { secrets: [e] }\n"
    "    context: { origins: ['https://a.example', 'https://b.example:444', 'null'], lifetime: 1h, customer_secret: \"of one's own\" }\n"
    "    consent: { meta: { purpose: none, unknown: deny, opt_out: ldu }, klaviyo: { purpose: analytics, unknown: allow } }\n"
    "    mapping: default\n"
    "  other: {}\n";

static void seal_keys_may_be_several(void **state) {
    (void)state;
    struct config *c = good("version: 1\nseal_key: [" KEY_32 ", eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=]\nshops: { a: {} }\n");
    assert_true(sv_is(c->seal_keys, "0123456789abcdef0123456789abcdefxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    config_drop(c);
}

static void bulk_can_be_switched_off(void **state) {
    (void)state;
    struct config *c = good("version: 1\nshops: { a: { klaviyo: { api_key: k, bulk_when_behind: off } }, b: { klaviyo: { api_key: k, bulk_when_behind: 0s } } }\n");
    assert_int_equal(config_shop(c, SV("a"))->klaviyo.bulk_when_behind_ms, 0);
    assert_int_equal(config_shop(c, SV("b"))->klaviyo.bulk_when_behind_ms, 0);
    config_drop(c);
}

static void one_in_flight_is_enough_for_one_shop(void **state) {
    (void)state;
    struct config *c = good("version: 1\nin_flight: 1\nshops: { a: {} }\n");
    assert_int_equal(c->in_flight, 1);
    config_drop(c);
    c = good("version: 1\nin_flight: 5\nshops: { a: {}, b: {} }\n");
    assert_int_equal(c->in_flight, 5);
    config_drop(c);
}

static void every_key_is_read(void **state) {
    (void)state;
    setenv("T_TOKEN", "tok", 1);
    setenv("T_KEY", KEY_32, 1);
    struct config *c = good(everything);
    assert_true(sv_is(c->listen, ":8081"));
    assert_true(sv_is(c->admin, "[::1]:9091"));
    assert_true(sv_is(c->admin_token, "tok"));
    assert_true(sv_is(c->store, "redis://user:pass@host:6379/0"));
    assert_true(sv_is(c->seal_keys, "0123456789abcdef0123456789abcdef"));
    assert_true(c->relaxed);
    assert_int_equal(c->retention_ms, MINUTES_MS(90));
    assert_int_equal(c->identity_lifetime_ms, DAYS_MS(1));
    assert_int_equal(c->report_lifetime_ms, DAYS_MS(30));
    assert_int_equal(c->in_flight, 1024);
    assert_int_equal(c->trusted_proxy_count, 3);
    assert_int_equal(c->trusted_proxies[0].bits, 104);
    assert_int_equal(c->trusted_proxies[0].address[12], 10);
    assert_int_equal(c->trusted_proxies[1].bits, 8);
    assert_int_equal(c->trusted_proxies[1].address[0], 0xfd);
    assert_int_equal(c->trusted_proxies[1].address[10], 0);
    assert_int_equal(c->trusted_proxies[2].bits, 128);
    const struct shop *s = config_shop(c, SV("acme_2-b"));
    assert_true(sv_is(s->domain, "acme.myshopify.com"));
    assert_int_equal(s->shopify.secrets.n, 2);
    assert_true(sv_is(s->shopify.secrets.v[1], "xtoky"));
    assert_true(s->shopify.purchase_on_paid);
    assert_int_equal(s->recharge.signature, RECHARGE_TIMESTAMPED);
    assert_true(sv_is(s->meta.pixel_id, "123"));
    assert_true(sv_is(s->meta.access_token, "m"));
    assert_true(sv_is(s->meta.api_version, "v26.1"));
    assert_true(sv_is(s->meta.base_url, "http://127.0.0.1:9100"));
    assert_true(sv_is(s->meta.test_event_code, "TEST1"));
    assert_true(sv_is(s->meta.content_id, "shopify_{country}_{product_id}_{variant_id}"));
    assert_true(sv_is(s->klaviyo.api_key, "k"));
    assert_true(sv_is(s->klaviyo.revision, "2025-04-15.pre"));
    assert_true(sv_is(s->klaviyo.base_url, "http://sandbox:9100/k"));
    assert_true(sv_is(s->klaviyo.list_id, "L1"));
    assert_false(s->klaviyo.native_integration);
    assert_true(sv_is(s->events.secrets.v[0], "e"));
    assert_int_equal(s->context.origin_count, 3);
    assert_true(sv_is(s->context.origins[1], "https://b.example:444"));
    assert_true(sv_is(s->context.origins[2], "null"));
    assert_int_equal(s->context.lifetime_ms, HOURS_MS(1));
    assert_true(sv_is(s->context.customer_secret, "of one's own"));
    assert_int_equal(s->consent.meta.purpose, CONSENT_FOR_NOTHING);
    assert_int_equal(s->consent.meta.unknown, UNKNOWN_DENY);
    assert_int_equal(s->consent.meta.opt_out, OPT_OUT_LIMITED);
    assert_int_equal(s->consent.klaviyo.purpose, CONSENT_FOR_ANALYTICS);
    const struct shop *other = config_shop(c, SV("other"));
    assert_false(other->meta.configured || other->klaviyo.configured);
    assert_int_equal(s->klaviyo.bulk_when_behind_ms, SECONDS_MS(90));
    config_drop(c);
}

static void a_secret_comes_from_a_file(void **state) {
    (void)state;
    char path[] = "/tmp/test_config_XXXXXX", text[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "from file\r\n", 11), 11);
    close(fd);
    snprintf(text, sizeof text, HEAD "    shopify: { secrets: ['a${file:%s}b'] }\n", path);
    struct config *c = good(text);
    assert_true(sv_is(c->shops[0].shopify.secrets.v[0], "afrom fileb"));
    config_drop(c);
    unlink(path);
    struct buf faults;
    assert_null(parsed(text, &faults));
    assert_non_null(strstr(buf_cstr(&faults), "f.yaml:4: secrets: "));
    assert_non_null(strstr(buf_cstr(&faults), path));
    buf_free(&faults);
}

// Each text has exactly the faults that are listed, in order; a fault is named by how its line begins.
static const struct {
    const char *name, *text, *faults[4];
} bad[] = {
    {"empty", "", {"f.yaml:1: the file is empty"}},
    {"not a map", "[a]\n", {"f.yaml:1: the file must be a map of keys"}},
    {"syntax", "version: 1\nshops: [\n", {"f.yaml:"}},
    {"version missing", "shops: { a: {} }\n", {"f.yaml:1: the file: version is missing"}},
    {"version", "version: 2\nshops: { a: {} }\n", {"f.yaml:1: version must be 1"}},
    {"no shops", "version: 1\n", {"f.yaml:1: the file: shops is missing"}},
    {"empty shops", "version: 1\nshops: {}\n", {"f.yaml:2: shops: there must be at least one shop"}},
    {"shops list", "version: 1\nshops: [a]\n", {"f.yaml:2: shops must be a map"}},
    {"shop scalar", "version: 1\nshops: { a: x }\n", {"f.yaml:2: a must be a map of keys"}},
    {"shop name", "version: 1\nshops:\n  Acme: {}\n", {"f.yaml:3: shop \"Acme\": a shop's name is 1 to 64 characters"}},
    {"unknown key, near", "version: 1\nlisten_: x\nshops: { a: {} }\n", {"f.yaml:2: unknown key \"listen_\", did you mean \"listen\"?"}},
    {"unknown key, far", HEAD "    consent: { google: {} }\n", {"f.yaml:4: unknown key \"google\", here may stand: meta, klaviyo"}},
    {"two faults", "version: 1\nlisten: nowhere\nretention: soon\nshops: { a: {} }\n",
     {"f.yaml:2: listen must be host:port", "f.yaml:3: retention must be a duration such as"}},
    {"port", "version: 1\nlisten: 1.2.3.4:65536\nadmin: 127.0.0.1:80s\nshops: { a: {} }\n",
     {"f.yaml:2: listen must be", "f.yaml:3: admin must be"}},
    {"no bulk", "version: 1\nretention: off\nshops: { a: { klaviyo: { api_key: k, bulk_when_behind: on } } }\n",
     {"f.yaml:2: retention must be a duration such as 500ms, 10s, 15m, 24h or 60d, at most 3650d", "f.yaml:3: bulk_when_behind must be a duration such as 500ms, 10s, 15m, 24h or 60d, at most 3650d, or off"}},
    {"duration", "version: 1\nretention: 9999d\nidentity_lifetime: -1d\nshops: { a: {} }\n",
     {"f.yaml:2: retention must be", "f.yaml:3: identity_lifetime must be"}},
    {"none in flight", "version: 1\nin_flight: 0\nshops: { a: {} }\n", {"f.yaml:2: in_flight must be a whole number from 1 to 1024"}},
    {"too many in flight", "version: 1\nin_flight: 1025\nshops: { a: {} }\n", {"f.yaml:2: in_flight must be a whole number from 1 to 1024"}},
    {"in flight, beyond all numbers", "version: 1\nin_flight: 99999999999999999999\nshops: { a: {} }\n", {"f.yaml:2: in_flight must be a whole number"}},
    {"in flight, in words", "version: 1\nin_flight: 5x\nshops: { a: {} }\n", {"f.yaml:2: in_flight must be a whole number from 1 to 1024"}},
    {"in flight, a fraction", "version: 1\nin_flight: 4.0\nshops: { a: {} }\n", {"f.yaml:2: in_flight must be a whole number from 1 to 1024"}},
    {"in flight, a list", "version: 1\nin_flight: [4]\nshops: { a: {} }\n", {"f.yaml:2: in_flight must be a single value, not a list"}},
    {"in flight for two shops", "version: 1\nin_flight: 4\nshops: { a: {}, b: {} }\n", {"f.yaml:2: in_flight must be at least 5 for several shops"}},
    {"store scheme", "version: 1\nstore: postgres://" CANARY "\nshops: { a: {} }\n", {"f.yaml:2: store: unknown kind; write sqlite:<file> or redis://"}},
    {"sqlite without file", "version: 1\nstore: 'sqlite:'\nshops: { a: {} }\n", {"f.yaml:2: store: sqlite needs a file"}},
    {"spool without redis", "version: 1\nstore: sqlite:x.db\nspool: /tmp/spool.db\nshops: { a: {} }\n", {"f.yaml:3: spool is for a Redis store"}},
    {"redis without key", "version: 1\nstore: redis://u:" CANARY "@h\nshops: { a: {} }\n", {"f.yaml:2: a Redis store needs seal_key"}},
    {"port of redis", "version: 1\nstore: redis://h:99999/0\nshops: { a: {} }\n", {"f.yaml:2: the Redis URL needs host"}},
    {"seal key", "version: 1\nseal_key: " CANARY "\nshops: { a: {} }\n", {"f.yaml:2: seal_key must be 32 bytes in base64"}},
    {"seal keys", "version: 1\nseal_key: [" KEY_32 ", " CANARY "]\nshops: { a: {} }\n", {"f.yaml:2: seal_key must be 32 bytes in base64"}},
    {"no seal key", "version: 1\nseal_key: []\nshops: { a: {} }\n", {"f.yaml:2: seal_key has no value"}},
    {"five seal keys", "version: 1\nseal_key: [a, b, c, d, e]\nshops: { a: {} }\n", {"f.yaml:2: seal_key has 5 values, at most 4"}},
    {"proxies", "version: 1\ntrusted_proxies: [10.0.0.0/33, localhost, '1.2.3.4/']\nshops: { a: {} }\n",
     {"f.yaml:2: trusted_proxies must be", "f.yaml:2: trusted_proxies must be", "f.yaml:2: trusted_proxies must be"}},
    {"durability", "version: 1\ndurability: relax\nshops: { a: {} }\n",
     {"f.yaml:2: durability must be one of strict, relaxed, did you mean \"relaxed\"?"}},
    {"unset", "version: 1\nadmin_token: ${T_UNSET}\nshops: { a: {} }\n", {"f.yaml:2: admin_token: the environment variable T_UNSET is not set"}},
    {"bad name", "version: 1\nadmin_token: ${T-X}\nshops: { a: {} }\n", {"f.yaml:2: admin_token: ${...} must hold"}},
    {"unclosed", "version: 1\nadmin_token: 'a${T_X'\nshops: { a: {} }\n", {"f.yaml:2: admin_token: ${ without }"}},
    {"empty after filling", HEAD "    shopify: { secrets: ['${T_EMPTY}'] }\n", {"f.yaml:4: secrets is empty once ${...} is filled in"}},
    {"empty secret", HEAD "    events: { secrets: [''] }\n", {"f.yaml:4: secrets is empty"}},
    {"no secret", HEAD "    recharge: { secrets: [] }\n", {"f.yaml:4: secrets has no value"}},
    {"no secrets", HEAD "    recharge: {}\n", {"f.yaml:4: recharge: secrets is missing"}},
    {"secret alone", HEAD "    shopify: { secrets: " CANARY " }\n", {"f.yaml:4: secrets must be a list"}},
    {"nine secrets", HEAD "    shopify: { secrets: [" CANARY ", b, c, d, e, f, g, h, i] }\n", {"f.yaml:4: secrets has 9 values, at most 8"}},
    {"secret of two lines", HEAD "    shopify: { secrets: [\"" CANARY "\\nb\"] }\n", {"f.yaml:4: secrets must be texts of one line"}},
    {"signature", HEAD "    recharge: { secrets: [" CANARY "], signature: timestampd }\n",
     {"f.yaml:4: signature must be one of auto, timestamped, legacy, did you mean \"timestamped\"?"}},
    {"purchase_on", HEAD "    shopify: { secrets: [a], purchase_on: " CANARY " }\n",
     {"f.yaml:4: purchase_on must be one of orders/create, orders/paid"}},
    {"pixel", HEAD "    meta: { pixel_id: " CANARY ", access_token: t }\n", {"f.yaml:4: pixel_id must be digits only"}},
    {"meta empty", HEAD "    meta: {}\n", {"f.yaml:4: meta: pixel_id is missing", "f.yaml:4: meta: access_token is missing"}},
    {"meta null", HEAD "    meta:\n", {"f.yaml:4: meta must be a map of keys"}},
    {"token with space", HEAD "    meta: { pixel_id: 1, access_token: '" CANARY " x' }\n", {"f.yaml:4: access_token must be visible ASCII"}},
    {"api version", HEAD "    meta: { pixel_id: 1, access_token: t, api_version: 25.0 }\n", {"f.yaml:4: api_version must be a version"}},
    {"content id", HEAD "    meta: { pixel_id: 1, access_token: t, content_id: 'x{variant}' }\n", {"f.yaml:4: content_id must be a text with {variant_id}"}},
    {"http", HEAD "    meta: { pixel_id: 1, access_token: t, base_url: 'http://graph.facebook.com' }\n",
     {"f.yaml:4: base_url must be a URL that begins with https://"}},
    {"http, public address", HEAD "    meta: { pixel_id: 1, access_token: t, base_url: 'http://8.8.8.8' }\n", {"f.yaml:4: base_url must be"}},
    {"http, looks local", HEAD "    klaviyo: { api_key: k, base_url: 'http://127.0.0.1.evil.example' }\n", {"f.yaml:4: base_url must be"}},
    {"http, local as user", HEAD "    klaviyo: { api_key: k, base_url: 'http://127.0.0.1@evil.example' }\n", {"f.yaml:4: base_url must be"}},
    {"url with query", HEAD "    klaviyo: { api_key: k, base_url: 'https://a.example/?k=" CANARY "' }\n", {"f.yaml:4: base_url must be"}},
    {"revision", HEAD "    klaviyo: { api_key: k, revision: latest }\n", {"f.yaml:4: revision must be a date"}},
    {"bool", HEAD "    klaviyo: { api_key: k, native_integration: yes }\n", {"f.yaml:4: native_integration must be one of false, true"}},
    {"empty customer secret", HEAD "    context: { origins: ['null'], customer_secret: '' }\n", {"f.yaml:4: customer_secret is empty"}},
    {"origin with path", HEAD "    context: { origins: ['https://a.example/x'] }\n", {"f.yaml:4: origins must be origins such as"}},
    {"consent", HEAD "    consent: { meta: { purpose: marketting, unknown: maybe, opt_out: no } }\n",
     {"f.yaml:4: purpose must be one of none, marketing, analytics, did you mean \"marketing\"?", "f.yaml:4: unknown must be one of allow, deny, region",
      "f.yaml:4: opt_out must be one of skip, ldu, region"}},
    {"mapping", HEAD "    mapping: own.yaml\n", {"f.yaml:4: mapping: own.yaml: No such file"}},
    {"domain", HEAD "    domain: 'https://acme.example'\n", {"f.yaml:4: domain must be a host name"}},
    {"list for a value", "version: 1\nlisten: [a]\nshops: { a: {} }\n", {"f.yaml:2: listen must be a single value, not a list"}},
    {"control characters in a key", "version: 1\n\"a\\e[2J\": 1\nshops: { a: {} }\n", {"f.yaml:2: unknown key \"a?[2J\""}},
};

static void faults_name_file_line_and_remedy(void **state) {
    (void)state;
    unsetenv("T_UNSET");
    setenv("T_EMPTY", "", 1);
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        struct buf faults;
        if (parsed(bad[i].text, &faults))
            fail_msg("%s: was taken", bad[i].name);
        struct sv rest = buf_sv(&faults), line;
        if (memmem(rest.p, rest.n, CANARY, strlen(CANARY)))
            fail_msg("%s: a value is shown:\n%s", bad[i].name, buf_cstr(&faults));
        for (size_t j = 0; j < COUNTOF(bad[i].faults) && bad[i].faults[j]; j++)
            if (!sv_cut(rest, '\n', &line, &rest) || !sv_starts(line, sv_of(bad[i].faults[j])))
                fail_msg("%s: expected \"%s\" as fault %zu in:\n%s", bad[i].name, bad[i].faults[j], j + 1, buf_cstr(&faults));
        if (rest.n > 0)
            fail_msg("%s: more faults than expected:\n%s", bad[i].name, buf_cstr(&faults));
        buf_free(&faults);
    }
}

static void many_faults_are_counted_not_all_shown(void **state) {
    (void)state;
    struct buf text, faults;
    buf_init(&text, 1 << 16);
    buf_puts(&text, "version: 1\nshops: { a: {} }\n");
    for (int i = 0; i < 60; i++)
        buf_fmt(&text, "zzzzzz%d: 1\n", i);
    assert_null(parsed(buf_cstr(&text), &faults));
    assert_non_null(strstr(buf_cstr(&faults), "f.yaml: 10 faults more\n"));
    buf_free(&text);
    buf_free(&faults);
}

static void a_missing_file_is_named(void **state) {
    (void)state;
    struct buf faults;
    struct err e;
    struct config *c;
    buf_init(&faults, 4096);
    assert_int_equal(config_load("/nonexistent/fireorder.yaml", &c, &faults, &e), RC_NOT_FOUND);
    assert_null(c);
    assert_non_null(strstr(buf_cstr(&faults), "/nonexistent/fireorder.yaml"));
    buf_free(&faults);
}

static void write_mapping(const char *file, const char *text) {
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

// All shops of a group are run by the same rules: however many they are, their file is read once, and told of once.
static void many_shops_share_a_mapping(void **state) {
    (void)state;
    enum { SHOPS = 200 };
    char file[] = "/tmp/test_config_XXXXXX";
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    struct buf text, faults;
    buf_init(&text, 1 << 16);
    buf_puts(&text, "version: 1\nshops:\n");
    for (int i = 0; i < SHOPS; i++)
        buf_fmt(&text, "  shop%d:\n    mapping: %s\n", i, i == 7 ? "default" : file);
    write_mapping(file, "version: 1\nrules:\n  purchase: { meta: { event: Bought } }\n");
    struct config *c = good(buf_cstr(&text));
    assert_int_equal(c->shop_count, SHOPS);
    assert_non_null(c->shops[0].rules);
    for (size_t i = 1; i < SHOPS; i++)
        assert_true((c->shops[i].rules == c->shops[0].rules) == (i != 7));
    config_drop(c);

    write_mapping(file, "version: 1\nrule: {}\n");
    assert_null(parsed(buf_cstr(&text), &faults));
    const char *told = strstr(buf_cstr(&faults), "unknown key \"rule\"");
    assert_non_null(told);
    assert_null(strstr(told + 1, "unknown key"));
    buf_free(&faults);
    buf_free(&text);
    unlink(file);
}

// Each shop may have a file of its own, as long as the default one. They are one file here, by another name for each shop.
static void each_of_many_shops_has_its_own_mapping(void **state) {
    (void)state;
    enum { SHOPS = 200 };
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_puts(&text, "version: 1\nshops:\n");
    for (int i = 0; i < SHOPS; i++) {
        buf_fmt(&text, "  shop%d:\n    mapping: " SOURCE_DIR "/mapping", i);
        for (int slash = 0; slash <= i; slash++)
            buf_putc(&text, '/');
        buf_puts(&text, "default.yaml\n");
    }
    struct config *c = good(buf_cstr(&text));
    for (size_t i = 1; i < SHOPS; i++)
        assert_true(c->shops[i].rules && c->shops[i].rules != c->shops[i - 1].rules);
    config_drop(c);
    buf_free(&text);
}

static void a_snapshot_outlives_its_replacement(void **state) {
    (void)state;
    struct config_slot *slot = config_slot_new(good(HEAD "    shopify: { secrets: [old] }\n"));
    struct config *held = config_current(slot);
    config_replace(slot, good(HEAD "    shopify: { secrets: [new] }\n"));
    struct config *now = config_current(slot);
    assert_true(sv_is(held->shops[0].shopify.secrets.v[0], "old"));
    assert_true(sv_is(now->shops[0].shopify.secrets.v[0], "new"));
    config_drop(now);
    config_slot_free(slot);
    assert_true(sv_is(held->shops[0].shopify.secrets.v[0], "old"));
    config_drop(held);
    config_drop(NULL);
}

static void a_fixtures_shop_is_laid_over_the_sample(void **state) {
    (void)state;
    static const char over[] = "klaviyo: { native_integration: false, list_id: L9 }\nmeta: { test_event_code: TEST1 }\nconsent:\n  meta: { purpose: none }\n";
    struct config *config;
    struct buf faults;
    struct err e;
    buf_init(&faults, 1 << 16);
    assert_int_equal(config_sample(SV_NONE, &config, &faults, &e), RC_OK);
    assert_true(config->shops[0].klaviyo.native_integration);
    assert_true(sv_is(config->shops[0].name, "acme"));
    config_drop(config);
    assert_int_equal(config_sample(sv_of(over), &config, &faults, &e), RC_OK);
    const struct shop *s = &config->shops[0];
    assert_true(sv_is(s->name, "acme") && s->meta.configured && s->klaviyo.configured && sv_is(s->meta.pixel_id, "1234567890"));
    assert_false(s->klaviyo.native_integration);
    assert_true(sv_is(s->klaviyo.list_id, "L9") && sv_is(s->meta.test_event_code, "TEST1"));
    assert_int_equal(s->consent.meta.purpose, CONSENT_FOR_NOTHING);
    config_drop(config);
    assert_int_equal(config_sample(SV("klaviyo:\n  nativ_integration: false\n"), &config, &faults, &e), RC_INVALID);
    assert_non_null(strstr(buf_cstr(&faults), "shop.yaml:2: unknown key \"nativ_integration\", did you mean \"native_integration\"?"));
    assert_null(config);
    buf_free(&faults);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_documented_ones),
        cmocka_unit_test(a_fixtures_shop_is_laid_over_the_sample),
        cmocka_unit_test(one_in_flight_is_enough_for_one_shop), cmocka_unit_test(every_key_is_read), cmocka_unit_test(bulk_can_be_switched_off),
        cmocka_unit_test(seal_keys_may_be_several),
        cmocka_unit_test(a_secret_comes_from_a_file),
        cmocka_unit_test(faults_name_file_line_and_remedy),
        cmocka_unit_test(many_faults_are_counted_not_all_shown),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(many_shops_share_a_mapping),
        cmocka_unit_test(each_of_many_shops_has_its_own_mapping),
        cmocka_unit_test(a_snapshot_outlives_its_replacement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
