// The browser's context: what is read of a post, how contexts are laid over one another, and what an event takes from them.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "mapping/context.h"

#include <string.h>

#define NOW INT64_C(1795255200000)  // 2026-11-21T10:00:00Z
#define FBP "fb.1.1795250000000.123456789"
#define FBC "fb.1.1795250000000.IwAR0abc"
#define FBC5 "fb.1.1795250000000.IwAR0abc.AQQAAQMC"
#define AGENT "Mozilla/5.0 (X11; Linux)"

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, (size_t)16 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    bool fine = arena_ok(&arena);
    arena_free(&arena);
    return fine ? 0 : -1;
}

static void expect(struct sv is, const char *want, const char *what, size_t row) {
    if (want ? !sv_is(is, want) : sv_present(is))
        fail_msg("row %zu, %s: \"" SV_FMT "\", not \"%s\"", row, what, SV_ARG(is), want ? want : "(absent)");
}

static struct posted_context parsed(const char *body) {
    struct posted_context p;
    struct err e = {0};
    if (context_parse(&arena, sv_of(body), SV("192.0.2.7"), SV(AGENT), NOW, &p, &e))
        fail_msg("%s: %s", body, e.text);
    return p;
}

// ---- reading

static void test_whole_post(void **state) {
    (void)state;
    struct posted_context p = parsed(
        "{\"cart_token\":\"c1?key=abc\",\"checkout_token\":\"k1\",\"customer_id\":42,\"email\":\"ava@klaviyo-demo.com\",\"fbp\":\"" FBP "\","
        "\"fbc\":\"" FBC5 "\",\"fbclid\":\"IwAR0abc\",\"fbclid_seen_at\":1795250000000,\"page_url\":\"https://acme.example/p/x?token=s#y\","
        "\"consent\":{\"marketing\":\"granted\"},\"gpc\":false}");
    const struct context *c = &p.context;
    expect(p.cart_token, "c1?key=abc", "cart_token", 0);
    expect(p.checkout_token, "k1", "checkout_token", 0);
    expect(c->customer_id.text, "42", "customer_id", 0);
    expect(c->email.text, "ava@klaviyo-demo.com", "email", 0);
    expect(c->fbp.text, FBP, "fbp", 0);
    expect(c->fbc.text, FBC5, "fbc", 0);
    expect(c->fbclid.text, "IwAR0abc", "fbclid", 0);
    assert_int_equal(c->fbclid.at_ms, INT64_C(1795250000000));
    expect(c->page_url.text, "https://acme.example/p/x", "page_url", 0);
    expect(c->ip.text, "192.0.2.7", "ip", 0);
    expect(c->user_agent.text, AGENT, "user_agent", 0);
    assert_int_equal(c->consent.marketing, CONSENT_GRANTED);
    assert_int_equal(c->consent_at_ms, NOW);
    assert_int_equal(p.dropped, 0);
    expect(parsed("{\"cart_token\":\"c\",\"user_agent\":\"Own/1\"}").context.user_agent.text, "Own/1", "own agent", 0);
    expect(context_key(&arena, "cart", p.cart_token), "context:cart:c1", "key", 0);
}

static void test_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "", "[]", "null", "{", "{}", "{\"fbp\":\"" FBP "\"}", "{\"cart_token\":\"\"}", "{\"cart_token\":null}", "{\"cart_token\":7}",
        "{\"cart_token\":\"a b\"}", "{\"cart_token\":\"?key=1\"}", "{\"cart_token\":\"c\",\"ip\":\"1.2.3.4\"}", "{\"cart_token\":\"c\",\"x\":null}",
        "{\"cart_token\":\"c\",\"customer_id\":\"1e9\"}", "{\"cart_token\":\"c\",\"customer_id\":1.5}", "{\"cart_token\":\"c\",\"customer_id\":\"123456789012345678901\"}",
        "{\"cart_token\":\"c\",\"customer_signature\":\"ab\"}", "{\"cart_token\":\"c\",\"customer_signature\":7}", "{\"cart_token\":\"c\",\"email\":\"ava\"}", "{\"cart_token\":\"c\",\"email\":[]}", "{\"cart_token\":\"c\",\"fbp\":{}}", "{\"cart_token\":\"c\",\"fbclid\":7}",
        "{\"cart_token\":\"c\",\"fbclid_seen_at\":\"soon\"}", "{\"cart_token\":\"c\",\"fbclid_seen_at\":-1}", "{\"cart_token\":\"c\",\"fbclid_seen_at\":1.5e12}",
        "{\"cart_token\":\"c\",\"user_agent\":\"a\\nb\"}", "{\"cart_token\":\"c\",\"page_url\":\"javascript:x\"}", "{\"cart_token\":\"c\",\"page_url\":\"https://a b\"}",
        "{\"cart_token\":\"c\",\"gpc\":\"yes\"}", "{\"cart_token\":\"c\",\"gpc\":1}", "{\"cart_token\":\"c\",\"consent\":\"maybe\"}", "{\"cart_token\":\"c\",\"consent\":7}",
        "{\"cart_token\":\"c\",\"consent\":[]}", "{\"cart_token\":\"c\",\"consent\":{\"marketing\":\"maybe\"}}", "{\"cart_token\":\"c\",\"consent\":{\"ads\":\"granted\"}}",
        "{\"cart_token\":\"c\",\"consent\":{\"marketingAllowed\":\"true\"}}", "{\"cart_token\":\"c\",\"consent\":{\"gcs\":\"G9\"}}",
    };
    for (size_t i = 0; i < COUNTOF(bodies); i++) {
        struct posted_context p;
        struct err e = {0};
        enum rc rc = context_parse(&arena, sv_of(bodies[i]), SV("192.0.2.7"), SV(AGENT), NOW, &p, &e);
        if (rc != RC_INVALID || e.text[0] == '\0' || sv_present(p.context.ip.text))
            fail_msg("row %zu: %s: %d %s", i, bodies[i], (int)rc, e.text);
    }
}

static void test_sizes(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t most;
    } rows[] = {{"checkout_token", 200}, {"user_agent", 1000}};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        for (size_t over = 0; over < 2; over++) {
            char *text = arena_alloc(&arena, rows[i].most + 2);
            memset(text, 'a', rows[i].most + over);
            struct sv body = arena_fmt(&arena, "{\"cart_token\":\"c\",\"%s\":\"%s\"}", rows[i].name, text);
            struct posted_context p;
            if ((context_parse(&arena, body, SV_NONE, SV_NONE, NOW, &p, NULL) == RC_OK) != (over == 0))
                fail_msg("%s of %zu bytes", rows[i].name, rows[i].most + over);
        }
    }
}

// A malformed cookie must not cost the rest, and must never reach Meta, who would refuse the whole request.
static void test_malformed_cookies_are_dropped(void **state) {
    (void)state;
    static const struct {
        const char *fbp, *fbc, *fbclid;
        int dropped;
    } rows[] = {
        {FBP, FBC, "IwAR0abc", 0},
        {FBP, FBC5, "", 0},
        {"fb.1.x.1", FBC, "", 1},
        {FBP, "fb.1.1795250000000.", "", 1},
        {FBP, "fb.1.1795250000000.abc.de", "", 1},
        {"GA1.2.3.4", "IwAR0abc", "a b", 3},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct posted_context p = parsed(arena_fmt(&arena, "{\"cart_token\":\"c\",\"fbp\":\"%s\",\"fbc\":\"%s\",\"fbclid\":\"%s\"}", rows[i].fbp, rows[i].fbc, rows[i].fbclid).p);
        size_t kept = (size_t)sv_present(p.context.fbp.text) + sv_present(p.context.fbc.text) + sv_present(p.context.fbclid.text);
        int dropped = __builtin_popcount(p.dropped);
        if (dropped != rows[i].dropped || kept + (size_t)dropped != (rows[i].fbclid[0] ? 3 : 2))
            fail_msg("row %zu: %x dropped, %zu kept", i, p.dropped, kept);
    }
}

static void test_time_of_the_click(void **state) {
    (void)state;
    static const struct {
        int64_t seen_ms, at_ms;  // at 0: dropped
    } rows[] = {
        {NOW - 5, NOW - 5}, {NOW + 5000, NOW}, {NOW - DAYS_MS(90), NOW - DAYS_MS(90)}, {NOW - DAYS_MS(90) - 1, 0},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct sv body = arena_fmt(&arena, "{\"cart_token\":\"c\",\"fbclid\":\"Iw\",\"fbclid_seen_at\":%lld}", (long long)rows[i].seen_ms);
        struct posted_context p = parsed(body.p);
        if (p.context.fbclid.at_ms != rows[i].at_ms || p.dropped != (rows[i].at_ms == 0 ? DROPPED_FBCLID : 0))
            fail_msg("row %zu: %lld", i, (long long)p.context.fbclid.at_ms);
    }
    assert_int_equal(parsed("{\"cart_token\":\"c\",\"fbclid\":\"Iw\"}").context.fbclid.at_ms, NOW);
}

static void test_consent_forms(void **state) {
    (void)state;
    static const struct {
        const char *members;
        enum consent_state marketing, analytics;
        bool opt_out;
    } rows[] = {
        {"\"gpc\":false", CONSENT_UNKNOWN, CONSENT_UNKNOWN, false},
        {"\"gpc\":true", CONSENT_UNKNOWN, CONSENT_UNKNOWN, true},
        {"\"consent\":\"granted\"", CONSENT_GRANTED, CONSENT_GRANTED, false},
        {"\"consent\":\"denied\"", CONSENT_DENIED, CONSENT_DENIED, false},
        {"\"consent\":\"G110\"", CONSENT_GRANTED, CONSENT_DENIED, false},
        {"\"consent\":{\"gcs\":\"G101\"}", CONSENT_DENIED, CONSENT_GRANTED, false},
        {"\"consent\":\"C0002:1,C0004:0\"", CONSENT_DENIED, CONSENT_GRANTED, false},
        {"\"consent\":{\"onetrust\":\"C0001:1,C0004:1\"}", CONSENT_GRANTED, CONSENT_UNKNOWN, false},
        {"\"consent\":{\"marketing\":\"yes\",\"analytics\":\"no\",\"preferences\":\"\",\"sale_of_data\":\"\"}", CONSENT_GRANTED, CONSENT_DENIED, false},
        {"\"consent\":{\"marketing\":\"\",\"analytics\":\"\",\"preferences\":\"\",\"sale_of_data\":\"no\"}", CONSENT_UNKNOWN, CONSENT_UNKNOWN, true},
        {"\"consent\":{\"marketingAllowed\":true,\"analyticsAllowed\":false,\"preferencesAllowed\":true,\"saleOfDataAllowed\":false}", CONSENT_GRANTED, CONSENT_DENIED, true},
        {"\"consent\":{\"marketingAllowed\":false,\"analyticsProcessingAllowed\":true,\"preferencesProcessingAllowed\":false,\"saleOfDataAllowed\":true}", CONSENT_DENIED, CONSENT_GRANTED, false},
        {"\"consent\":{\"marketing\":\"granted\"},\"gpc\":true", CONSENT_GRANTED, CONSENT_UNKNOWN, true},
        {"\"consent\":\"C0002%3A1%2CC0004%3A0\"", CONSENT_DENIED, CONSENT_GRANTED, false},
        {"\"consent\":\"{\\\"marketing\\\":\\\"denied\\\"}\"", CONSENT_DENIED, CONSENT_UNKNOWN, false},
        {"\"consent\":{\"marketing\":false,\"analytics\":true}", CONSENT_DENIED, CONSENT_GRANTED, false},
        {"\"consent\":\"no\"", CONSENT_DENIED, CONSENT_DENIED, false},
        {"\"consent\":{}", CONSENT_UNKNOWN, CONSENT_UNKNOWN, false},
        {"\"consent\":null", CONSENT_UNKNOWN, CONSENT_UNKNOWN, false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct context c = parsed(arena_fmt(&arena, "{\"cart_token\":\"c\",%s}", rows[i].members).p).context;
        bool told = rows[i].marketing || rows[i].analytics || rows[i].opt_out;
        if (c.consent.marketing != rows[i].marketing || c.consent.analytics != rows[i].analytics || c.consent.opt_out_of_sale != rows[i].opt_out ||
            (c.consent_at_ms == NOW) != told)
            fail_msg("row %zu: %s", i, rows[i].members);
    }
}

static bool only_consent(const struct context *c) {
    return !c->fbp.text.p && !c->fbc.text.p && !c->fbclid.text.p && !c->ip.text.p && !c->user_agent.text.p && !c->page_url.text.p &&
           !c->email.text.p && !c->customer_id.text.p;
}

static void test_denied_leaves_only_the_denial(void **state) {
    (void)state;
    struct posted_context p = parsed("{\"cart_token\":\"c\",\"fbp\":\"" FBP "\",\"fbclid\":\"Iw\",\"email\":\"ava@klaviyo-demo.com\",\"customer_id\":1,"
                                     "\"page_url\":\"https://acme.example/\",\"consent\":\"denied\"}");
    struct context c = p.context;
    expect(p.customer_id, "1", "where it is kept", 0);
    assert_int_equal(c.consent.marketing, CONSENT_DENIED);
    assert_true(only_consent(&c));
}

// ---- merging and storing

static struct context context_at(int64_t at_ms, const char *fbp, const char *fbclid, enum consent_state marketing) {
    return (struct context){
        .fbp = {sv_of(fbp), fbp ? at_ms : 0}, .fbclid = {sv_of(fbclid), fbclid ? at_ms : 0}, .ip = {SV("192.0.2.7"), at_ms},
        .consent.marketing = marketing, .consent_at_ms = marketing ? at_ms : 0,
    };
}

static void test_merge(void **state) {
    (void)state;
    struct context known = context_at(100, "old", "click", CONSENT_UNKNOWN), newer = context_at(200, "new", "click", CONSENT_GRANTED);
    context_merge(&known, &newer);
    expect(known.fbp.text, "new", "newest", 0);
    assert_int_equal(known.fbclid.at_ms, 100);  // the same click was seen then already
    assert_int_equal(known.consent.marketing, CONSENT_GRANTED);
    struct context late = context_at(150, "late", NULL, CONSENT_DENIED);
    late.fbclid = (struct seen_text){SV("older click"), 50};
    context_merge(&known, &late);
    expect(known.fbp.text, "new", "not overtaken", 0);
    expect(known.fbclid.text, "click", "the last click", 0);
    assert_int_equal(known.consent.marketing, CONSENT_GRANTED);
    struct context next = context_at(300, NULL, "next click", CONSENT_UNKNOWN);
    context_merge(&known, &next);
    expect(known.fbp.text, "new", "what is not said stays", 0);
    expect(known.fbclid.text, "next click", "another click", 0);
    assert_int_equal(known.fbclid.at_ms, 300);
    struct context denial = context_at(400, NULL, NULL, CONSENT_DENIED);
    context_merge(&known, &denial);
    assert_true(only_consent(&known));
    struct context silent = context_at(500, "x", NULL, CONSENT_UNKNOWN);
    context_merge(&known, &silent);
    assert_true(only_consent(&known));  // nobody has said that it is allowed again
    struct context granted = context_at(600, "again", NULL, CONSENT_GRANTED);
    context_merge(&known, &granted);
    expect(known.fbp.text, "again", "granted again", 0);
    assert_int_equal(known.consent_at_ms, 600);
}

static void test_links(void **state) {
    (void)state;
    struct context known = {.fbp = {SV("x"), 1}}, read;
    for (size_t i = 0; i < CONTEXT_LINKS_MAX + 2; i++) {
        struct context newer = {.links = {arena_fmt(&arena, "context:checkout:%zu", i), SV("context:checkout:1")}, .link_count = 2};
        context_merge(&known, &newer);
    }
    assert_int_equal(known.link_count, CONTEXT_LINKS_MAX);
    expect(known.links[CONTEXT_LINKS_MAX - 1], "context:checkout:1", "said again", 0);
    assert_int_equal(context_read(&arena, context_write(&arena, &known), &read, NULL), RC_OK);
    assert_int_equal(read.link_count, CONTEXT_LINKS_MAX);
    expect(read.links[0], known.links[0].p, "the oldest", 0);
    struct context denial = context_at(2, NULL, NULL, CONSENT_DENIED);
    context_merge(&known, &denial);
    assert_int_equal(known.link_count, 0);
    assert_true(context_is_customers(SV("context:customer:1")) && context_is_customers(SV("context:signed_customer:1")) && !context_is_customers(SV("context:cart:1")));
}

static void test_store_and_read(void **state) {
    (void)state;
    struct context c = parsed("{\"cart_token\":\"c\",\"fbp\":\"" FBP "\",\"fbc\":\"" FBC5 "\",\"fbclid\":\"Iw\",\"email\":\"ava@klaviyo-demo.com\","
                              "\"customer_id\":1,\"page_url\":\"https://acme.example/\",\"consent\":\"G110\",\"gpc\":true}").context, read;
    struct sv json = context_write(&arena, &c);
    assert_int_equal(context_read(&arena, json, &read, NULL), RC_OK);
    assert_true(sv_eq(json, context_write(&arena, &read)));
    expect(read.fbc.text, FBC5, "fbc", 0);
    expect(read.user_agent.text, AGENT, "agent", 0);
    assert_int_equal(read.consent.analytics, CONSENT_DENIED);
    assert_true(read.consent.opt_out_of_sale);
    assert_int_equal(read.consent_at_ms, NOW);
    static const char *const broken[] = {"", "[]", "{\"fbp\":\"x\"}", "{\"fbp\":[\"x\"]}", "{\"fbp\":[1,2]}", "{\"fbp\":[\"x\",\"y\"]}", "{\"consent\":{\"at\":\"x\"}}",
                                         "{\"consent\":{\"marketing\":\"maybe\",\"at\":1}}", "{\"links\":{}}", "{\"links\":[1]}", "{\"links\":[\"\"]}",
                                         "{\"links\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\"]}"};
    for (size_t i = 0; i < COUNTOF(broken); i++) {
        struct err e;
        assert_int_not_equal(context_read(&arena, sv_of(broken[i]), &read, &e), RC_OK);
    }
}

// ---- joining

static struct event order(void) {
    struct event e = {.id = SV("1"), .name = EVENT_PURCHASE, .time_ms = NOW, .origin = SV("web"), .user.external_id = SV("42")};
    event_property(&e, "checkout_token", SV("k1"));
    event_property(&e, "cart_id", SV("c1?key=2"));
    return e;
}

static void test_keys(void **state) {
    (void)state;
    struct context_place places[CONTEXT_KEYS_MAX];
    struct event e = order();
    assert_int_equal(context_keys(&arena, &e, false, places), 3);
    expect(places[0].key, "context:checkout:k1", "key", 0);
    expect(places[1].key, "context:cart:c1", "key", 1);
    expect(places[2].key, "context:customer:42", "key", 2);
    assert_int_equal(context_keys(&arena, &e, true, places), 3);
    expect(places[2].key, "context:signed_customer:42", "key", 2);
    assert_string_equal(places[2].from, "context:signed_customer");
    assert_string_equal(places[1].from, "context:cart");
    struct event nobody = {.id = SV("1")};
    assert_int_equal(context_keys(&arena, &nobody, false, places), 0);
}

static struct known_context known(const char *from, struct context c) {
    return (struct known_context){from, c};
}

static struct context full(int64_t at_ms) {
    return (struct context){
        .fbp = {SV(FBP), at_ms}, .fbc = {SV(FBC5), at_ms}, .ip = {SV("192.0.2.7"), at_ms}, .user_agent = {SV(AGENT), at_ms},
        .email = {SV("ava@klaviyo-demo.com"), at_ms}, .page_url = {SV("https://acme.example/p"), at_ms},
        .consent.marketing = CONSENT_GRANTED, .consent_at_ms = at_ms,
    };
}

static void test_fills_and_says_from_where(void **state) {
    (void)state;
    struct event e = order();
    struct known_context all[] = {known("context:checkout", (struct context){.fbp = {SV(FBP), 1}}), known("context:cart", full(NOW - 9))};
    context_apply(&arena, all, 2, &e);
    expect(e.user.fbp, FBP, "fbp", 0);
    expect(e.user.fbc, FBC5, "fbc", 0);
    expect(e.user.ip, "192.0.2.7", "ip", 0);
    expect(e.user.user_agent, AGENT, "agent", 0);
    expect(e.user.email, "ava@klaviyo-demo.com", "email", 0);
    expect(event_property_text(&e, "page_url"), "https://acme.example/p", "page", 0);
    assert_string_equal(e.origins.fbp, "context:checkout");
    assert_string_equal(e.origins.fbc, "context:cart");
    assert_string_equal(e.origins.ip, "context:cart");
    assert_string_equal(e.origins.email, "context:cart");
    assert_null(e.origins.external_id);
    assert_int_equal(e.consent.marketing, CONSENT_GRANTED);
    assert_string_equal(e.origins.consent, "context:cart");
    assert_int_equal(e.said, CONSENT_UNKNOWN);
}

static void test_what_the_event_says_stays(void **state) {
    (void)state;
    struct event e = order();
    e.user.fbp = SV("fb.1.1.2");
    e.user.fbc = SV("fb.1.1795250000001.Own");
    e.user.ip = SV("192.0.2.99");
    e.user.email = SV("other@klaviyo-demo.com");
    struct known_context one = known("context:checkout", full(NOW - 9));
    context_apply(&arena, &one, 1, &e);
    expect(e.user.fbp, "fb.1.1.2", "fbp", 0);
    expect(e.user.fbc, "fb.1.1795250000001.Own", "fbc", 0);
    expect(e.user.ip, "192.0.2.99", "ip", 0);
    expect(e.user.email, "other@klaviyo-demo.com", "email", 0);
    assert_null(e.origins.ip);
}

// Which click counts, of one that the event has (from: its origin) and one that is kept. The own visit's comes before a note attribute unless
// that is of a later click; another visit's never takes the place of this one's, and dates it only for who was signed.
static void test_own_visit_note_attributes_other_visit(void **state) {
    (void)state;
    static const struct {
        const char *from, *has, *place, *kept;
        bool taken;
    } rows[] = {
        {"note attribute", "fb.1.1795250000000.Old", "context:cart", "fb.1.1795250000001.New", true},
        {"note attribute", "fb.1.1795250000000.One", "context:checkout", "fb.1.1795250000000.Two", true},
        {"note attribute", "fb.1.1795250000002.New", "context:cart", "fb.1.1795250000001.Old", false},
        {"note attribute", "fb.1.1795250000002.Same", "context:cart", "fb.1.1795250000001.Same", true},
        {"note attribute", "fb.1.1795250000001.Same", "context:cart", "fb.1.1795250000002.Same", false},
        {"note attribute", "fb.1.1795250000000.Old", "context:signed_customer", "fb.1.1795250000001.New", false},
        {"note attribute", "fb.1.1795250000000.Old", "context:customer", "fb.1.1795250000001.New", false},
        {"landing_site", "fb.1.1795250000009.Old", "context:cart", "fb.1.1795250000001.Other", true},
        {"landing_site", "fb.1.1795250000009.Old", "context:signed_customer", "fb.1.1795250000001.Other", false},
        {"landing_site", "fb.1.1795250000009.Old", "context:signed_customer", "fb.1.1795250000001.Old", true},
        {"landing_site", "fb.1.1795250000009.Old", "context:customer", "fb.1.1795250000001.Old", false},
        {"landing_site", "fb.1.1795250000009.Old", "context:customer", "fb.1.1795250000001.Other", false},
        {NULL, "fb.1.1795250000000.Own", "context:cart", "fb.1.1795250000001.New", false},  // what the sender itself says
        {"note attribute", NULL, "context:customer", "fb.1.1795250000001.New", true},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = order();
        e.user.fbc = sv_of(rows[i].has);
        e.origins.fbc = rows[i].from;
        struct known_context one = known(rows[i].place, (struct context){.fbc = {sv_of(rows[i].kept), 1}});
        context_apply(&arena, &one, 1, &e);
        expect(e.user.fbc, rows[i].taken ? rows[i].kept : rows[i].has, "fbc", i);
        if ((e.origins.fbc == rows[i].place) != rows[i].taken)
            fail_msg("row %zu: %s", i, e.origins.fbc ? e.origins.fbc : "(the sender)");
    }
}

static void test_fbp_of_the_own_visit(void **state) {
    (void)state;
    static const struct {
        const char *from, *place;
        bool taken;
    } rows[] = {{"note attribute", "context:cart", true}, {"note attribute", "context:customer", false}, {"note attribute", "context:signed_customer", false}, {NULL, "context:cart", false}};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = order();
        e.user.fbp = SV("fb.1.1.2");
        e.origins.fbp = rows[i].from;
        struct known_context one = known(rows[i].place, full(NOW - 9));
        context_apply(&arena, &one, 1, &e);
        expect(e.user.fbp, rows[i].taken ? FBP : "fb.1.1.2", "fbp", i);
    }
}

// The own visit's context comes before a click id that the landing page tells without its time.
static void test_landing_site_comes_last(void **state) {
    (void)state;
    struct event e = order();
    e.user.fbc = SV("fb.1.1795255100000.IwAR0abc");
    e.origins.fbc = "landing_site";
    struct known_context one = known("context:cart", (struct context){.fbclid = {SV("IwAR0abc"), NOW - DAYS_MS(2)}});
    context_apply(&arena, &one, 1, &e);
    expect(e.user.fbc, "fb.1.1795082400000.IwAR0abc", "first seen", 0);
    assert_string_equal(e.origins.fbc, "context:cart");
    one.context = (struct context){.fbc = {SV("fb.1.1.tooold"), 1}};
    e.user.fbc = SV("fb.1.1795255100000.IwAR0abc");
    e.origins.fbc = "landing_site";
    context_apply(&arena, &one, 1, &e);
    expect(e.user.fbc, "fb.1.1795255100000.IwAR0abc", "landing_site", 0);
    assert_string_equal(e.origins.fbc, "landing_site");
}

static void test_which_click(void **state) {
    (void)state;
    static const struct {
        const char *cookie, *fbclid;
        int64_t seen_ms;
        const char *fbc;
    } rows[] = {
        {FBC, NULL, 0, FBC},
        {FBC5, "IwAR0abc", INT64_C(1795253000000), FBC5},                                  // the same click: the cookie has its time
        {FBC, "IwAR1new", INT64_C(1795253000000), "fb.1.1795253000000.IwAR1new"},          // a later one
        {FBC, "IwAR1old", INT64_C(1795240000000), FBC},
        {NULL, "IwAR0abc", INT64_C(1795253000000), "fb.1.1795253000000.IwAR0abc"},
        {NULL, "IwAR0abc", NOW + 1, NULL},                                                 // after the order
        {"fb.1.1700000000000.old", "IwAR0abc", INT64_C(1795253000000), "fb.1.1795253000000.IwAR0abc"},
        {"fb.1.1700000000000.old", NULL, 0, NULL},                                         // more than 90 days ago
        {NULL, NULL, 0, NULL},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = order();
        struct known_context one = known("context:cart", (struct context){.fbc = {sv_of(rows[i].cookie), 1}, .fbclid = {sv_of(rows[i].fbclid), rows[i].seen_ms}});
        context_apply(&arena, &one, 1, &e);
        expect(e.user.fbc, rows[i].fbc, "fbc", i);
    }
}

static void test_renewal_takes_consent_alone(void **state) {
    (void)state;
    static const struct {
        enum event_name name;
        const char *origin;
    } rows[] = {{EVENT_RENEWAL_CHARGED, ""}, {EVENT_RENEWAL_FAILED, ""}, {EVENT_PURCHASE, "renewal"}, {EVENT_SUBSCRIPTION_STARTED, "subscription"}, {EVENT_PURCHASE, "pos"}};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = order();
        e.name = rows[i].name;
        e.origin = sv_of(rows[i].origin);
        e.consent.marketing = CONSENT_DENIED;  // in the attributes of the first checkout
        struct known_context all[] = {known("context:checkout", full(NOW - 9)), known("context:customer", full(NOW - 8))};
        context_apply(&arena, all, 2, &e);
        if (e.user.fbp.p || e.user.fbc.p || e.user.ip.p || e.user.user_agent.p || e.user.email.p || e.consent.marketing != CONSENT_GRANTED)
            fail_msg("row %zu", i);
    }
}

static void test_other_visit_of_the_customer(void **state) {
    (void)state;
    struct event e = order();
    struct known_context one = known("context:customer", full(NOW - 9));
    context_apply(&arena, &one, 1, &e);
    expect(e.user.fbp, FBP, "fbp", 0);
    expect(e.user.fbc, FBC5, "fbc", 0);
    expect(e.user.ip, NULL, "ip", 0);
    expect(e.user.user_agent, NULL, "agent", 0);
    expect(e.user.email, NULL, "email", 0);
}

// A click is seen in whatever tells of it, whether its id can be used or not; but not where nobody was at a browser, or who was said no.
static void test_signs_of_a_click(void **state) {
    (void)state;
    static const struct {
        const char *origin, *fbc, *fbclid;
        enum consent_state consent;
        bool clicked;
    } rows[] = {
        {"web", FBC5, NULL, CONSENT_GRANTED, true},  {"web", NULL, "IwAR0abc", CONSENT_GRANTED, true}, {"web", "fb.1.1.old", NULL, CONSENT_GRANTED, true},
        {"web", NULL, NULL, CONSENT_GRANTED, false}, {"renewal", FBC5, NULL, CONSENT_GRANTED, false},  {"web", FBC5, NULL, CONSENT_DENIED, false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = order();
        e.origin = sv_of(rows[i].origin);
        struct known_context one = {"context:cart", {.fbc = {sv_of(rows[i].fbc), NOW - 9}, .fbclid = {sv_of(rows[i].fbclid), NOW - 9},
                                                     .consent.marketing = rows[i].consent, .consent_at_ms = NOW - 9}};
        context_apply(&arena, &one, 1, &e);
        if (e.clicked != rows[i].clicked)
            fail_msg("row %zu", i);
    }
}

// The shop vouched for the customer, not for the visit: a permission is believed, address, agent and e-mail still are another moment's.
static void test_other_visit_of_a_signed_customer(void **state) {
    (void)state;
    struct event e = order();
    struct known_context all[] = {known("context:signed_customer", full(NOW - 9))};
    context_apply(&arena, all, 1, &e);
    expect(e.user.fbp, FBP, "fbp", 0);
    assert_string_equal(e.origins.fbp, "context:signed_customer");
    assert_int_equal(e.consent.marketing, CONSENT_GRANTED);
    assert_string_equal(e.origins.consent, "context:signed_customer");
    assert_true(!e.user.ip.p && !e.user.user_agent.p && !e.user.email.p);
    struct event claimed = order();
    all[0].from = "context:customer";
    context_apply(&arena, all, 1, &claimed);
    assert_int_equal(claimed.consent.marketing, CONSENT_UNKNOWN);
}

static void test_somebody_elses_email(void **state) {
    (void)state;
    struct event e = order();
    struct known_context one = known("context:cart", full(NOW - 9));
    one.context.customer_id.text = SV("43");
    context_apply(&arena, &one, 1, &e);
    expect(e.user.email, NULL, "email", 0);
    expect(e.user.external_id, "42", "external_id", 0);
}

// Whose signal is the newest; of who merely says that he is the customer no permission counts, and a denial only where the own visit says
// nothing. own_at 0: without a date, as in a cart's attributes.
static void test_newest_consent_wins(void **state) {
    (void)state;
    enum { U = CONSENT_UNKNOWN, G = CONSENT_GRANTED, D = CONSENT_DENIED };
    static const struct {
        int own;
        int64_t own_at;
        int checkout;
        int64_t checkout_at;
        int customer;
        int64_t customer_at;
        int want, want_signed;
    } rows[] = {
        {U, 0, U, 0, U, 0, U, U},             {U, 0, G, NOW - 9, U, 0, G, G},       {U, 0, D, NOW - 9, U, 0, D, D},
        {U, 0, U, 0, D, NOW - 9, D, D},       {U, 0, U, 0, G, NOW - 9, U, G},       {G, 0, D, NOW - 9, U, 0, D, D},
        {D, 0, G, NOW - 9, U, 0, G, G},       {G, 0, D, NOW + 9, U, 0, D, D},       {D, 0, U, 0, G, NOW - 9, D, D},
        {G, 0, U, 0, D, NOW - 9, G, G},       {G, 0, U, 0, D, NOW + 9, G, D},       {U, 0, G, NOW - 9, D, NOW - 8, G, D},
        {U, 0, D, NOW - 9, G, NOW - 8, D, G}, {U, 0, G, NOW - 8, D, NOW - 9, G, G}, {G, NOW, D, NOW - 9, U, 0, G, G},
        {G, NOW, D, NOW + 9, U, 0, D, D},     {D, NOW, G, NOW - 9, U, 0, D, D},     {D, NOW, G, NOW - 9, G, NOW + 9, D, G},
    };
    for (size_t i = 0; i < 2 * COUNTOF(rows); i++) {
        bool is_signed = i >= COUNTOF(rows);
        struct event e = order();
        const size_t row = i % COUNTOF(rows);
        int want = is_signed ? rows[row].want_signed : rows[row].want;
        e.consent.marketing = (enum consent_state)rows[row].own;
        e.consent_at_ms = rows[row].own_at;
        struct known_context all[] = {
            known("context:checkout", context_at(rows[row].checkout_at, FBP, NULL, (enum consent_state)rows[row].checkout)),
            known(is_signed ? "context:signed_customer" : "context:customer", context_at(rows[row].customer_at, FBP, NULL, (enum consent_state)rows[row].customer)),
        };
        context_apply(&arena, all, 2, &e);
        if (e.consent.marketing != (enum consent_state)want || sv_present(e.user.fbp) != (want != D))
            fail_msg("row %zu: %d", i, (int)e.consent.marketing);
    }
}

// Of who merely says that he is the customer an opt-out is as weak as a denial, and brings no permission along.
static void test_opt_out_of_a_claimed_customer(void **state) {
    (void)state;
    for (int own = CONSENT_UNKNOWN; own <= CONSENT_GRANTED; own++) {
        struct event e = order();
        e.consent.marketing = (enum consent_state)own;
        struct known_context one = known("context:customer", full(NOW + 9));
        one.context.consent.opt_out_of_sale = true;
        context_apply(&arena, &one, 1, &e);
        assert_int_equal(e.consent.marketing, own);
        assert_int_equal(e.consent.opt_out_of_sale, own == CONSENT_UNKNOWN);
    }
}

// Permission to write to somebody stays the event's own.
static void test_own_consent_keeps_its_origin(void **state) {
    (void)state;
    struct event e = order();
    e.consent.marketing = CONSENT_GRANTED;
    struct known_context one = known("context:checkout", full(NOW + 9));
    context_apply(&arena, &one, 1, &e);
    assert_null(e.origins.consent);
    struct event denied = e;
    one.context.consent.marketing = CONSENT_DENIED;
    one.context.consent_at_ms = NOW + 99;
    context_apply(&arena, &one, 1, &denied);
    assert_string_equal(denied.origins.consent, "context:checkout");
    assert_int_equal(denied.said, CONSENT_GRANTED);
    one.context.consent = (struct consent){.opt_out_of_sale = true};
    context_apply(&arena, &one, 1, &e);
    assert_true(e.consent.opt_out_of_sale);
    assert_int_equal(e.consent.marketing, CONSENT_GRANTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_whole_post), TEST(test_refused), TEST(test_sizes), TEST(test_malformed_cookies_are_dropped), TEST(test_time_of_the_click),
        TEST(test_consent_forms), TEST(test_denied_leaves_only_the_denial), TEST(test_merge), TEST(test_links), TEST(test_store_and_read), TEST(test_keys),
        TEST(test_fills_and_says_from_where), TEST(test_what_the_event_says_stays), TEST(test_landing_site_comes_last), TEST(test_which_click),
        TEST(test_renewal_takes_consent_alone), TEST(test_other_visit_of_the_customer), TEST(test_signs_of_a_click),
        TEST(test_somebody_elses_email), TEST(test_other_visit_of_a_signed_customer),
        TEST(test_newest_consent_wins), TEST(test_opt_out_of_a_claimed_customer), TEST(test_own_visit_note_attributes_other_visit), TEST(test_fbp_of_the_own_visit), TEST(test_own_consent_keeps_its_origin),
    };
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
