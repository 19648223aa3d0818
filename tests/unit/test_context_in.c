// POST /context/<shop>: origins, types, rates, and what is kept under which key.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "mapping/context.h"
#include "server/context/context_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char config_text[] =
    "version: 1\n"
    "trusted_proxies: [10.0.0.1/32]\n"
    "shops:\n"
    "  acme:\n"
    "    shopify: { secrets: [s] }\n"
    "    context: { origins: ['https://acme.example', 'null'], lifetime: 1h }\n"
    "  beta:\n"
    "    shopify: { secrets: [s] }\n"
    "    context: { origins: ['https://beta.example'] }\n"
    "  sign:\n"
    "    shopify: { secrets: [s] }\n"
    "    context: { origins: ['https://acme.example'], customer_secret: theme-secret }\n"
    "  shut:\n"
    "    shopify: { secrets: [s] }\n";

struct world {
    char folder[32];
    struct config_slot *config;
    struct store *store;
    struct metrics *metrics;
    struct context_in *in;
    struct arena arena;
};

static int setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    struct config *config;
    struct buf faults;
    char url[64];
    struct err e;
    memcpy(w->folder, "/tmp/test_context_XXXXXX", sizeof "/tmp/test_context_XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    buf_init(&faults, 4096);
    assert_int_equal(config_parse(sv_of(config_text), "f.yaml", &config, &faults, NULL), RC_OK);
    buf_free(&faults);
    snprintf(url, sizeof url, "sqlite:%s/db", w->folder);
    const struct store_config store = {.url = sv_of(url), .retention_ms = HOURS_MS(24)};
    if (store_open(&store, &w->store, &e) != RC_OK)
        fail_msg("%s", e.text);
    w->config = config_slot_new(config);
    w->metrics = metrics_new();
    w->in = context_in_new(w->config, w->store, w->metrics);
    arena_init(&w->arena, 32 << 20);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    static const char *const files[] = {"db", "db-wal", "db-shm", "db.key", "db.seal", "db-journal", "db.lock"};
    struct world *w = *state;
    char path[64];
    context_in_free(w->in);
    store_close(w->store);
    metrics_free(w->metrics);
    config_slot_free(w->config);
    for (size_t i = 0; i < COUNTOF(files); i++) {
        snprintf(path, sizeof path, "%s/%s", w->folder, files[i]);
        unlink(path);
    }
    rmdir(w->folder);
    arena_free(&w->arena);
    free(w);
    return 0;
}

struct post {
    const char *method, *path, *origin, *type, *peer, *body;  // NULL: POST, /context/acme, no header, 203.0.113.7, a good body
};

// As the server would: early, then handle. Returns the status.
static int answer_of(struct world *w, struct post p, struct http_response *ret) {
    struct header headers[4];
    char length[16];
    size_t n = 0;
    struct sv body = sv_of(p.body ? p.body : "{\"cart_token\":\"c1\",\"fbp\":\"fb.1.1760000000000.1098115397\"}");
    snprintf(length, sizeof length, "%zu", body.n);
    headers[n++] = (struct header){SV("Content-Length"), sv_of(length)};
    headers[n++] = (struct header){SV("User-Agent"), SV("Mozilla/5.0 (Test)")};
    if (p.origin)
        headers[n++] = (struct header){SV("Origin"), sv_of(p.origin)};
    if (p.type)
        headers[n++] = (struct header){SV("Content-Type"), sv_of(p.type)};
    const struct http_request r = {.method = sv_of(p.method ? p.method : "POST"), .path = sv_of(p.path ? p.path : "/context/acme"),
                                   .headers = {headers, n}, .body = body, .peer = sv_of(p.peer ? p.peer : "203.0.113.7"), .arena = &w->arena};
    *ret = (struct http_response){.status = 200, .extra_headers = ""};
    int status = context_in_early(w->in, &r);
    if (status) {
        ret->extra_headers = context_in_refused(w->in, &r, status);
        return status;
    }
    context_in_handle(w->in, &r, ret);
    context_in_done(w->in, &r);
    return ret->status;
}

static bool has(const struct http_response *r, const char *line) {
    return strstr(r->extra_headers, line) != NULL;
}

static void origins_are_compared_exactly(void **state) {
    static const struct {
        const char *path, *origin;
        bool allowed;
    } cases[] = {
        {"/context/acme", "https://acme.example", true},
        {"/context/acme", "null", true},
        {"/context/beta", "https://beta.example", true},
        {"/context/beta", "null", false},
        {"/context/beta", "https://acme.example", false},
        {"/context/acme", "https://acme.example.evil.example", false},
        {"/context/acme", "https://acme.exampl", false},
        {"/context/acme", "https://acme.example/", false},
        {"/context/acme", "https://ACME.example", false},
        {"/context/acme", "http://acme.example", false},
        {"/context/acme", "*", false},
        {"/context/acme", "", false},
        {"/context/acme", NULL, false},
        {"/context/shut", "https://acme.example", false},
        {"/context/shut", "", false},
        {"/context/shut", NULL, false},
        {"/context/nobody", "https://acme.example", false},
        {"/context/acme/x", "https://acme.example", false},
        {"/context/", "https://acme.example", false},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++)
        for (int preflight = 0; preflight < 2; preflight++) {
            struct http_response r;
            char peer[32], line[96];
            snprintf(peer, sizeof peer, "198.51.100.%zu", i);
            snprintf(line, sizeof line, "Access-Control-Allow-Origin: %s\r\n", cases[i].origin ? cases[i].origin : "");
            int status = answer_of(*state, (struct post){preflight ? "OPTIONS" : "POST", cases[i].path, cases[i].origin, "text/plain", peer, NULL}, &r);
            bool fine = cases[i].allowed ? status == 204 && has(&r, line) && has(&r, "Access-Control-Allow-Methods: POST\r\n") == preflight
                                         : status == 401 && !has(&r, "Access-Control") && sv_is(r.body, "{\"error\":\"unauthorized\"}");
            if (!fine || !has(&r, "Vary: Origin\r\n") || has(&r, "*") || has(&r, "Credentials"))
                fail_msg("%s from %s: %d\n%s", cases[i].path, cases[i].origin ? cases[i].origin : "nowhere", status, r.extra_headers);
        }
}

static void types_bodies_and_methods(void **state) {
    static const char good[] = "https://acme.example";
    char large[CONTEXT_BODY_LIMIT + 2];
    memset(large, ' ', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    const struct {
        struct post post;
        int status;
    } cases[] = {
        {{.origin = good, .type = "text/plain;charset=UTF-8"}, 204},
        {{.origin = good, .type = "Application/Json ; charset=utf-8"}, 204},
        {{.origin = good, .type = "text/plainx"}, 415},
        {{.origin = good}, 415},
        {{.origin = good, .type = "text/plain", .body = "{}"}, 400},
        {{.origin = good, .type = "text/plain", .body = "{\"cart_token\":\"c\",\"ip\":\"1.2.3.4\"}"}, 400},
        {{.origin = good, .type = "text/plain", .body = large}, 413},
        {{.origin = "https://evil.example", .type = "x/y", .body = "{}"}, 401},
        {{.method = "GET", .origin = good, .type = "text/plain"}, 405},
        {{.method = "PUT", .origin = good, .type = "text/plain"}, 405},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct http_response r;
        int status = answer_of(*state, cases[i].post, &r);
        if (status != cases[i].status)
            fail_msg("case %zu: %d, not %d", i, status, cases[i].status);
        bool allowed = cases[i].post.origin == good;
        if (!has(&r, "Vary: Origin\r\n") || has(&r, "Access-Control-Allow-Origin: https://acme.example\r\n") != allowed || (!allowed && has(&r, "Access-Control")))
            fail_msg("case %zu: %s", i, r.extra_headers);
    }
}

static struct context kept(struct world *w, const char *shop, const char *kind, const char *token) {
    struct sv stored;
    struct context c = {0};
    struct err e = {0};
    assert_int_equal(store_state_get(w->store, &w->arena, sv_of(shop), context_key(&w->arena, kind, sv_of(token)), &stored, &e), RC_OK);
    if (stored.p && context_read(&w->arena, stored, &c, &e) != RC_OK)
        fail_msg("%s", e.text);
    return c;
}

static void it_is_kept_under_each_of_its_names(void **state) {
    struct http_response r;
    struct post post = {.origin = "https://acme.example", .type = "text/plain"};
    post.body = "{\"cart_token\":\"k?key=1\",\"checkout_token\":\"o\",\"customer_id\":\"7\",\"fbp\":\"fb.1.1760000000000.11\"}";
    assert_int_equal(answer_of(*state, post, &r), 204);
    assert_int_equal(r.body.n, 0);
    static const char *const places[][2] = {{"cart", "k"}, {"checkout", "o"}, {"customer", "7"}};
    for (size_t i = 0; i < COUNTOF(places); i++) {
        struct context c = kept(*state, "acme", places[i][0], places[i][1]);
        assert_true(sv_is(c.fbp.text, "fb.1.1760000000000.11") && sv_is(c.ip.text, "203.0.113.7") && sv_is(c.user_agent.text, "Mozilla/5.0 (Test)"));
        assert_false(sv_present(kept(*state, "beta", places[i][0], places[i][1]).fbp.text));
    }
    post.body = "{\"cart_token\":\"k\",\"page_url\":\"https://acme.example/p\"}";
    post.peer = "10.0.0.1";  // a proxy that names nobody: the address that is known stays
    assert_int_equal(answer_of(*state, post, &r), 204);
    struct context c = kept(*state, "acme", "cart", "k");
    assert_true(sv_is(c.fbp.text, "fb.1.1760000000000.11") && sv_is(c.ip.text, "203.0.113.7") && sv_is(c.page_url.text, "https://acme.example/p"));
    post.body = "{\"cart_token\":\"k\",\"fbp\":\"fb.1.1760000000000.11\",\"consent\":{\"marketing\":\"denied\"}}";
    assert_int_equal(answer_of(*state, post, &r), 204);
    c = kept(*state, "acme", "cart", "k");
    assert_false(sv_present(c.fbp.text) || sv_present(c.ip.text) || sv_present(c.user_agent.text) || sv_present(c.page_url.text));
    assert_int_equal(c.consent.marketing, CONSENT_DENIED);
}

static void posted(struct world *w, const char *shop, const char *body) {
    struct http_response r;
    struct post post = {.path = arena_fmt(&w->arena, "/context/%s", shop).p, .origin = "https://acme.example", .type = "text/plain", .body = body};
    assert_int_equal(answer_of(w, post, &r), 204);
}

static bool only_denied(const struct context *c) {
    return c->consent.marketing == CONSENT_DENIED && !c->fbp.text.p && !c->ip.text.p && !c->user_agent.text.p && c->link_count == 0;
}

// context.js says no under the cart's token alone. It reaches whatever was ever posted together with it, also by way of a third name.
static void a_denial_reaches_every_name(void **state) {
    struct world *w = *state;
    const struct sv id = SV("7");
    struct digest signature = hmac_sha256(SV("theme-secret"), &id, 1);
    struct sv hex = hex_of(&w->arena, signature.b, SHA256_LEN);
    static const char *const shops[] = {"acme", "sign"}, *const kinds[] = {"customer", "signed_customer"};
    for (size_t i = 0; i < COUNTOF(shops); i++) {
        posted(w, shops[i], "{\"cart_token\":\"c\",\"checkout_token\":\"k\",\"fbp\":\"fb.1.1760000000000.11\",\"consent\":\"granted\"}");
        posted(w, shops[i], arena_fmt(&w->arena, "{\"checkout_token\":\"k\",\"customer_id\":\"7\",\"customer_signature\":\"" SV_FMT "\","
                                      "\"fbp\":\"fb.1.1760000000000.11\",\"consent\":\"granted\"}", SV_ARG(hex)).p);
        posted(w, shops[i], "{\"cart_token\":\"other\",\"fbp\":\"fb.1.1760000000000.11\",\"consent\":\"granted\"}");
        assert_true(sv_present(kept(w, shops[i], kinds[i], "7").fbp.text));
        posted(w, shops[i], "{\"cart_token\":\"c\",\"consent\":{\"marketing\":\"denied\"}}");
        struct context cart = kept(w, shops[i], "cart", "c"), checkout = kept(w, shops[i], "checkout", "k"), customer = kept(w, shops[i], kinds[i], "7");
        assert_true(only_denied(&cart) && only_denied(&checkout) && only_denied(&customer));
        assert_int_equal(kept(w, shops[i], "cart", "other").consent.marketing, CONSENT_GRANTED);
    }
}

// Of analytics and of sale as well; a permission reaches the visit's other names, but the customer only when it names him.
static void a_change_reaches_every_name(void **state) {
    struct world *w = *state;
    posted(w, "acme", "{\"cart_token\":\"c\",\"checkout_token\":\"k\",\"customer_id\":\"7\",\"fbp\":\"fb.1.1760000000000.11\"}");
    posted(w, "acme", "{\"cart_token\":\"c\",\"consent\":{\"marketing\":\"granted\",\"analytics\":\"denied\"},\"gpc\":true}");
    struct context checkout = kept(w, "acme", "checkout", "k"), customer = kept(w, "acme", "customer", "7");
    assert_true(checkout.consent.marketing == CONSENT_GRANTED && checkout.consent.analytics == CONSENT_DENIED && checkout.consent.opt_out_of_sale);
    assert_true(customer.consent.marketing == CONSENT_UNKNOWN && customer.consent.analytics == CONSENT_DENIED && customer.consent.opt_out_of_sale);
    assert_true(sv_present(checkout.fbp.text) && sv_present(customer.fbp.text) && checkout.link_count == 2 && customer.link_count == 0);
}

// Where the shop signs its customers' ids, one that is not signed counts as if it had not been said; the rest of the post does.
static void a_customer_counts_only_when_signed(void **state) {
    struct world *w = *state;
    const struct sv id = SV("7"), eight = SV("8");
    struct digest right = hmac_sha256(SV("theme-secret"), &id, 1), of_eight = hmac_sha256(SV("theme-secret"), &eight, 1), other = hmac_sha256(SV("other"), &id, 1);
    const struct {
        const char *shop, *customer;
        const struct digest *signature;
        const char *kind;  // under which kind of customer it is found; NULL: under none
    } cases[] = {
        {"sign", "\"7\"", &right, "signed_customer"},
        {"sign", "7", &right, "signed_customer"},
        {"sign", "\"7\"", NULL, NULL},
        {"sign", "\"7\"", &other, NULL},
        {"sign", "\"7\"", &of_eight, NULL},
        {"sign", "\"07\"", &right, NULL},
        {"sign", "\"\"", &right, NULL},
        {"acme", "\"7\"", NULL, "customer"},
        {"acme", "\"7\"", &other, "customer"},  // nobody asked for it
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct http_response r;
        char path[32], token[16];
        snprintf(path, sizeof path, "/context/%s", cases[i].shop);
        snprintf(token, sizeof token, "t%zu", i);
        struct sv signature = cases[i].signature ? hex_of(&w->arena, cases[i].signature->b, SHA256_LEN) : SV("");
        const char *body = arena_fmt(&w->arena, "{\"cart_token\":\"%s\",\"customer_id\":%s,\"customer_signature\":\"" SV_FMT "\",\"email\":\"ava@klaviyo-demo.com\","
                                     "\"page_url\":\"https://acme.example/%zu\"}", token, cases[i].customer, SV_ARG(signature), i).p;
        struct post post = {.path = path, .origin = "https://acme.example", .type = "text/plain", .body = body};
        assert_int_equal(answer_of(w, post, &r), 204);
        struct sv page = arena_fmt(&w->arena, "https://acme.example/%zu", i);
        struct context cart = kept(w, cases[i].shop, "cart", token);
        bool named = sv_present(cart.customer_id.text) && sv_present(cart.email.text), found = false, elsewhere = false;
        static const char *const kinds[] = {"customer", "signed_customer"};
        for (size_t k = 0; k < COUNTOF(kinds); k++) {
            bool here = sv_eq(kept(w, cases[i].shop, kinds[k], "7").page_url.text, page) || sv_eq(kept(w, cases[i].shop, kinds[k], "07").page_url.text, page);
            *(cases[i].kind && strcmp(cases[i].kind, kinds[k]) == 0 ? &found : &elsewhere) |= here;
        }
        if (!sv_eq(cart.page_url.text, page) || named != (cases[i].kind != NULL) || found != named || elsewhere)
            fail_msg("case %zu: named %d, found %d, elsewhere %d", i, named, found, elsewhere);
    }
}

// Refused for its address before anything of the shop is looked at; and a shop's flood from many addresses is held as well.
static void rates(void **state) {
    struct http_response r;
    struct post post = {.origin = "https://acme.example", .type = "text/plain", .body = "{}"};
    int64_t began_ms = clock_mono_ms();
    int free_ones = 0, shop_ones = 0;
    for (int i = 0; i < CONTEXT_ADDRESS_BURST; i++)
        assert_int_equal(answer_of(*state, post, &r), 400);
    for (int i = 0; i < 1000; i++)
        free_ones += answer_of(*state, post, &r) != 429;
    assert_true(free_ones <= (clock_mono_ms() - began_ms) * CONTEXT_ADDRESS_PER_SECOND / 1000 + 1);
    began_ms = clock_mono_ms();
    for (int i = 0; i < 2000; i++) {
        char peer[32];
        snprintf(peer, sizeof peer, "2001:db8:%x::1", i + 1);
        post.peer = peer;
        if (answer_of(*state, post, &r) == 429)
            assert_true(has(&r, "Retry-After: 1\r\n") && has(&r, "Access-Control-Allow-Origin: https://acme.example\r\n"));
        else
            shop_ones++;
    }
    assert_true(shop_ones >= CONTEXT_SHOP_BURST - 100 && shop_ones < 2000);
    assert_true(shop_ones <= CONTEXT_SHOP_BURST + (clock_mono_ms() - began_ms) * CONTEXT_SHOP_PER_SECOND / 1000 + 1);
    post = (struct post){.path = "/context/beta", .origin = "https://beta.example", .type = "text/plain", .peer = "198.51.100.9"};
    assert_int_equal(answer_of(*state, post, &r), 204);  // another shop goes on
}

// Those that are still being read hold their places, however many addresses they come from.
static void so_many_at_once(void **state) {
    struct world *w = *state;
    struct http_response response;
    struct post post = {.origin = "https://acme.example", .type = "text/plain"};
    struct header length = {SV("Content-Length"), SV("2")};
    char peer[32];
    struct http_request r = {.method = SV("POST"), .path = SV("/context/acme"), .headers = {&length, 1}, .arena = &w->arena};
    for (int i = 0; i < CONTEXT_THREADS_MOST; i++) {
        snprintf(peer, sizeof peer, "198.51.100.%d", i);
        r.peer = sv_of(peer);
        assert_int_equal(context_in_early(w->in, &r), 0);
    }
    assert_int_equal(answer_of(w, post, &response), 503);
    assert_int_equal(answer_of(w, post, &response), 503);
    context_in_done(w->in, &r);
    assert_int_equal(answer_of(w, post, &response), 204);
    assert_int_equal(context_in_early(w->in, &r), 0);
    assert_int_equal(answer_of(w, post, &response), 503);
    for (int i = 0; i < CONTEXT_THREADS_MOST; i++)
        context_in_done(w->in, &r);
    assert_int_equal(answer_of(w, post, &response), 204);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(origins_are_compared_exactly, setup, teardown),
        cmocka_unit_test_setup_teardown(types_bodies_and_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_kept_under_each_of_its_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_denial_reaches_every_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_reaches_every_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_customer_counts_only_when_signed, setup, teardown),
        cmocka_unit_test_setup_teardown(so_many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(rates, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
