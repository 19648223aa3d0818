#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/ingest_world.h"

// ---- tests

static void a_signed_webhook_is_stored_before_it_is_acknowledged(void **state) {
    struct world *w = *state;
    struct arena a;
    struct job *jobs;
    size_t n;
    int64_t next_ms;
    arena_init(&a, 8 << 20);
    expect(w, &a, shopify(&a, "new", "orders/create", "d1", ORDER), 200, ACCEPTED_BODY);
    expect(w, &a, shopify(&a, "old", "orders/paid", "d2", ORDER), 200, ACCEPTED_BODY);
    assert_int_equal(w->woken, 2);
    assert_int_equal(stats(w).pending, 2);
    const struct claim claim = {.shop = SV("acme"), .max = 10};
    assert_int_equal(store_claim(w->in.store, &a, &claim, 1, 20000, &jobs, &n, &next_ms, NULL), RC_OK);
    assert_int_equal(n, 1);  // the same order, so the same lane: the second waits
    assert_true(sv_is(jobs[0].shop, "acme"));
    assert_true(sv_is(jobs[0].source, "shopify"));
    assert_true(sv_is(jobs[0].topic, "orders/create"));
    assert_true(sv_is(jobs[0].body, ORDER));
    assert_true(counted(w, "fireorder_webhooks_total{shop=\"acme\",source=\"shopify\",topic=\"orders/create\",result=\"accepted\"} 1\n"));
    assert_true(counted(w, "fireorder_ack_seconds_count 2\n"));
    arena_free(&a);
}

static void a_repeated_delivery_is_a_duplicate(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 8 << 20);
    expect(w, &a, shopify(&a, "new", "orders/create", "d1", ORDER), 200, ACCEPTED_BODY);
    expect(w, &a, shopify(&a, "new", "orders/create", "d1", ORDER), 200, DUPLICATE_BODY);
    expect(w, &a, shopify(&a, "new", "orders/create", "d1", "{\"id\":2}"), 200, DUPLICATE_BODY);  // same delivery id
    expect(w, &a, shopify(&a, "new", "orders/create", "d9", ORDER), 200, DUPLICATE_BODY);         // replayed under another id
    expect(w, &a, shopify(&a, "new", "orders/paid", "d3", ORDER), 200, ACCEPTED_BODY);            // another topic is another fact
    assert_int_equal(w->woken, 2);
    assert_int_equal(stats(w).accepted, 2);
    arena_free(&a);
}

// One answer for all of them, so that nobody learns what exists.
static void a_stranger_learns_nothing_and_changes_nothing(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 8 << 20);
    static const char *const paths[] = {
        "/hooks/acme/shopify/", "/hooks/acme/shopify/x", "/hooks/acme/", "/hooks/acme", "/hooks/", "/hooks/nobody/shopify",
        "/hooks/acme/stripe", "/hooks/beta/shopify", "/hooks/ACME/shopify", "/hooks//shopify", "/hooks/acme//shopify",
    };
    for (size_t i = 0; i < COUNTOF(paths); i++) {
        struct post p = shopify(&a, "new", "orders/create", "d1", ORDER);
        p.path = paths[i];
        expect(w, &a, p, 401, UNAUTHORIZED_BODY);
    }
    static const char *const recharge_paths[] = {
        "/hooks/acme/recharge", "/hooks/acme/recharge/charge", "/hooks/acme/recharge/charge/", "/hooks/acme/recharge//paid",
        "/hooks/acme/recharge/charge/paid/x", "/hooks/nobody/recharge/charge/paid",
    };
    for (size_t i = 0; i < COUNTOF(recharge_paths); i++)
        expect(w, &a, recharge(&a, recharge_paths[i], ORDER, true), 401, UNAUTHORIZED_BODY);
    struct post p = shopify(&a, "wrong", "orders/create", "d1", ORDER);
    expect(w, &a, p, 401, UNAUTHORIZED_BODY);
    p.n = 0;
    expect(w, &a, p, 401, UNAUTHORIZED_BODY);
    p = shopify(&a, "a secret that nobody has", "orders/create", "d1", ORDER);
    p.path = "/hooks/nobody/shopify";
    expect(w, &a, p, 401, UNAUTHORIZED_BODY);
    p = shopify(&a, "new", "orders/create", "d1", ORDER);
    p.body = "{\"id\":3}";
    expect(w, &a, p, 401, UNAUTHORIZED_BODY);
    assert_int_equal(stats(w).accepted, 0);
    assert_int_equal(w->woken, 0);
    assert_true(counted(w, "fireorder_webhooks_total{shop=\"acme\",source=\"shopify\",topic=\"orders/create\",result=\"rejected_signature\"} 2\n"));
    assert_false(counted(w, "nobody"));
    arena_free(&a);
}

static void two_signatures_or_no_topic_are_malformed(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 8 << 20);
    struct post p = shopify(&a, "new", "orders/create", "d1", ORDER);
    p.headers[p.n++] = (struct header){SV("x-shopify-hmac-sha256"), SV("AAAA")};
    expect(w, &a, p, 400, "{\"error\":\"malformed request\"}");
    p.path = "/hooks/nobody/shopify";  // the same for a shop that does not exist
    expect(w, &a, p, 400, "{\"error\":\"malformed request\"}");
    p = shopify(&a, "new", "", "d1", ORDER);
    expect(w, &a, p, 400, "{\"error\":\"malformed request\"}");
    assert_int_equal(stats(w).accepted, 0);
    arena_free(&a);
}

static void an_unknown_topic_is_recorded_as_ignored(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 8 << 20);
    expect(w, &a, shopify(&a, "new", "themes/publish", "d1", "{}"), 200, "{\"status\":\"ignored\"}");
    expect(w, &a, shopify(&a, "new", "themes/publish", "d1", "{}"), 200, DUPLICATE_BODY);
    expect(w, &a, shopify(&a, "new", "themes/update", "d2", "{}"), 200, DUPLICATE_BODY);  // the topic is not signed
    expect(w, &a, shopify(&a, "new", "Orders Create", "d3", "{\"id\":2}"), 200, "{\"status\":\"ignored\"}");
    assert_int_equal(stats(w).ignored, 2);
    assert_int_equal(stats(w).pending, 0);
    assert_int_equal(w->woken, 0);
    assert_true(counted(w, "topic=\"other\",result=\"ignored\"} 2\n"));
    arena_free(&a);
}

static void what_is_no_json_object_is_kept_as_undecodable(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 8 << 20);
    static const char *const bodies[] = {"", "x", "[1]", "{\"id\":1}\x80", "{\"id\":1", "\"text\""};
    for (size_t i = 0; i < COUNTOF(bodies); i++)
        expect(w, &a, shopify(&a, "new", "orders/create", "", bodies[i]), 200, "{\"status\":\"undecodable\"}");
    assert_int_equal(stats(w).dead, COUNTOF(bodies));
    assert_int_equal(stats(w).accepted, COUNTOF(bodies));
    assert_int_equal(w->woken, 0);
    arena_free(&a);
}

static void a_timestamped_signature_closes_the_door_to_legacy_ones(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 8 << 20);
    expect(w, &a, recharge(&a, "/hooks/acme/recharge/charge/paid", "{\"charge\":{\"id\":1}}", false), 200, ACCEPTED_BODY);
    expect(w, &a, recharge(&a, "/hooks/acme/recharge/charge/paid", "{\"charge\":{\"id\":2}}", true), 200, ACCEPTED_BODY);
    expect(w, &a, recharge(&a, "/hooks/acme/recharge/charge/paid", "{\"charge\":{\"id\":3}}", false), 401, UNAUTHORIZED_BODY);
    store_close(w->in.store);
    open_store(w);
    memset(w->in.marks, 0, sizeof w->in.marks);  // a new process
    expect(w, &a, recharge(&a, "/hooks/acme/recharge/charge/paid", "{\"charge\":{\"id\":3}}", false), 401, UNAUTHORIZED_BODY);
    expect(w, &a, recharge(&a, "/hooks/acme/recharge/charge/paid", "{\"charge\":{\"id\":3}}", false), 401, UNAUTHORIZED_BODY);
    expect(w, &a, recharge(&a, "/hooks/acme/recharge/charge/paid", "{\"charge\":{\"id\":3}}", true), 200, ACCEPTED_BODY);
    expect(w, &a, recharge(&a, "/hooks/beta/recharge/charge/paid", "{\"charge\":{\"id\":3}}", false), 200, ACCEPTED_BODY);
    expect(w, &a, recharge(&a, "/hooks/beta/recharge/charge/paid", "{\"charge\":{\"id\":4}}", false), 200, ACCEPTED_BODY);
    assert_int_equal(stats(w).accepted, 3);
    arena_free(&a);
}

// A full disk, by the limit on the size of files.
static void a_store_that_fails_is_never_acknowledged(void **state) {
    struct world *w = *state;
    struct arena a;
    struct rlimit limit, none;
    arena_init(&a, 8 << 20);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    struct post p = shopify(&a, "new", "orders/create", "d1", ORDER);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    struct http_response r = post(w, &a, &p);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(r.status, 503);
    assert_string_equal(r.extra_headers, "Retry-After: 30\r\n");
    assert_true(sv_starts(r.body, SV("{\"error\":\"")));
    assert_int_equal(w->woken, 0);
    assert_true(counted(w, "result=\"rejected_store\"} 1\n"));
    store_close(w->in.store);  // after a failed disk nothing is believed before a restart
    open_store(w);
    assert_int_equal(stats(w).accepted, 0);
    expect(w, &a, p, 200, ACCEPTED_BODY);
    arena_free(&a);
}

static void only_posts_to_hooks_get_so_far(void **state) {
    struct world *w = *state;
    static const struct {
        const char *method, *path;
        int status;
    } cases[] = {{"GET", "/hooks/acme/shopify", 405}, {"POST", "/", 404}, {"POST", "/hooks", 404}, {"GET", "/metrics", 404}, {"POST", "/hooks/x", 0}};
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct http_request r = {.method = sv_of(cases[i].method), .path = sv_of(cases[i].path)};
        assert_int_equal(ingest_early(&w->in, &r), cases[i].status);
        if (cases[i].status)
            ingest_refused(&w->in, &r, cases[i].status);
    }
    ingest_refused(&w->in, &(struct http_request){.method = SV_NONE}, 400);
    assert_true(counted(w, "{shop=\"acme\",source=\"shopify\",topic=\"other\",result=\"rejected_path\"} 1\n"));
    assert_true(counted(w, "{shop=\"\",source=\"\",topic=\"\",result=\"rejected_path\"} 3\n"));
    assert_true(counted(w, "{shop=\"\",source=\"\",topic=\"\",result=\"rejected_headers\"} 1\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_signed_webhook_is_stored_before_it_is_acknowledged),
        TEST(a_repeated_delivery_is_a_duplicate),
        TEST(a_stranger_learns_nothing_and_changes_nothing),
        TEST(two_signatures_or_no_topic_are_malformed),
        TEST(an_unknown_topic_is_recorded_as_ignored),
        TEST(what_is_no_json_object_is_kept_as_undecodable),
        TEST(a_timestamped_signature_closes_the_door_to_legacy_ones),
        TEST(a_store_that_fails_is_never_acknowledged),
        TEST(only_posts_to_hooks_get_so_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
