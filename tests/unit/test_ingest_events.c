// POST /events/<shop>: many events in one request, each accepted or refused for itself.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/ingest_world.h"

static struct post events(struct arena *a, const char *secret, const char *body) {
    return (struct post){"/events/acme", body, {{SV("X-Fireorder-Signature"), sign_timestamped(a, sv_of(secret), sv_of(body), clock_wall_ms() / 1000)}}, 1};
}

static const char *now_text(struct arena *a, int64_t ago_ms) {
    return time_iso(a, clock_wall_ms() - ago_ms).p;
}

static const char *one(struct arena *a, const char *id, const char *name, const char *email) {
    return arena_fmt(a, "{\"id\":\"%s\",\"name\":\"%s\",\"time\":\"%s\",\"user\":{\"email\":\"%s\"}}", id, name, now_text(a, 0), email).p;
}

#define GOOD(id) "{\"id\":\"" id "\",\"status\":\"accepted\",\"faults\":[]}"
#define KNOWN(id) "{\"id\":\"" id "\",\"status\":\"duplicate\",\"faults\":[]}"
#define RESULTS(...) "{\"results\":[" __VA_ARGS__ "]}"

static struct job *claim(struct world *w, struct arena *a, size_t *n) {
    const struct claim claim = {.shop = SV("acme"), .max = 1000};
    struct job *jobs;
    int64_t next_ms;
    assert_int_equal(store_claim(w->in.store, a, &claim, 1, 20000, &jobs, n, &next_ms, NULL), RC_OK);
    return jobs;
}

static void one_event_or_many(void **state) {
    struct world *w = *state;
    struct arena a;
    size_t n;
    arena_init(&a, 64 << 20);
    const char *first = one(&a, "e1", "product_viewed", "ava@klaviyo-demo.com");
    expect(w, &a, events(&a, "es", first), 200, RESULTS(GOOD("e1")));
    const char *many = arena_fmt(&a, " [ %s , %s,%s ]\n", one(&a, "e2", "search", "ava@klaviyo-demo.com"), one(&a, "e3", "view_item", "mia@klaviyo-demo.com"),
                                 one(&a, "e4", "quiz_finished", "lena@klaviyo-demo.com")).p;
    expect(w, &a, events(&a, "es2", many), 200, RESULTS(GOOD("e2") "," GOOD("e3") "," GOOD("e4")));
    assert_int_equal(stats(w).pending, 4);
    assert_int_equal(w->woken, 2);
    struct job *jobs = claim(w, &a, &n);
    assert_int_equal(n, 3);  // the same person, so the same lane: the second waits
    size_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(sv_is(jobs[i].source, "events"));
        if (sv_is(jobs[i].topic, "product_viewed") && sv_is(jobs[i].body, first))
            seen |= 1;  // the bytes that came
        if (sv_is(jobs[i].topic, "product_viewed") && sv_contains_nocase(jobs[i].body, SV("view_item")))
            seen |= 2;  // an alias has the topic of what it stands for
        if (sv_is(jobs[i].topic, "custom"))
            seen |= 4;
    }
    assert_int_equal(seen, 7);
    assert_true(counted(w, "fireorder_webhooks_total{shop=\"acme\",source=\"events\",topic=\"product_viewed\",result=\"accepted\"} 2\n"));
    assert_true(counted(w, "fireorder_webhooks_total{shop=\"acme\",source=\"events\",topic=\"custom\",result=\"accepted\"} 1\n"));
    arena_free(&a);
}

static void an_id_is_taken_once(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 64 << 20);
    const char *first = one(&a, "e1", "search", "ava@klaviyo-demo.com");
    expect(w, &a, events(&a, "es", first), 200, RESULTS(GOOD("e1")));
    expect(w, &a, events(&a, "es", first), 200, RESULTS(KNOWN("e1")));
    const char *other = one(&a, "e1", "lead", "mia@klaviyo-demo.com");  // the same fact under another name is the same fact
    const char *mixed = arena_fmt(&a, "[%s,%s,%s]", other, one(&a, "e2", "lead", "mia@klaviyo-demo.com"), one(&a, "e2", "lead", "mia@klaviyo-demo.com")).p;
    expect(w, &a, events(&a, "es", mixed), 200, RESULTS(KNOWN("e1") "," GOOD("e2") "," KNOWN("e2")));
    assert_int_equal(stats(w).accepted, 2);
    assert_int_equal(w->woken, 2);
    arena_free(&a);
}

static void one_bad_among_good(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 64 << 20);
    const char *body = arena_fmt(&a, "[%s,{\"id\":\"bad\",\"name\":\"Search!\",\"time\":\"%s\",\"user\":{\"emial\":\"CANARY\"},\"value\":\"CANARY\"},7,%s]",
                                 one(&a, "e1", "search", "ava@klaviyo-demo.com"), now_text(&a, 0), one(&a, "e2", "search", "ava@klaviyo-demo.com")).p;
    const char *answer = RESULTS(
        GOOD("e1") ",{\"id\":\"bad\",\"status\":\"invalid\",\"faults\":[\"name: not a name (1 to 64 of a-z, 0-9 and _)\","
        "\"user.emial: unknown; is email meant?\",\"value: not an amount\"]},{\"id\":null,\"status\":\"invalid\",\"faults\":[\"not an object\"]}," GOOD("e2"));
    expect(w, &a, events(&a, "es", body), 200, answer);
    assert_int_equal(stats(w).accepted, 2);
    assert_true(counted(w, "source=\"events\",topic=\"other\",result=\"invalid\"} 2\n"));
    arena_free(&a);
}

static void none_valid_is_422(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 64 << 20);
    static const struct {
        const char *body, *answer;
    } rows[] = {
        {"[]", RESULTS("")},
        {"null", RESULTS("{\"id\":null,\"status\":\"invalid\",\"faults\":[\"not an object\"]}")},
        {"{\"id\":\"x\"}", RESULTS("{\"id\":\"x\",\"status\":\"invalid\",\"faults\":[\"name: missing\",\"time: missing\"]}")},
        {"[[],[]]", RESULTS("{\"id\":null,\"status\":\"invalid\",\"faults\":[\"not an object\"]},{\"id\":null,\"status\":\"invalid\",\"faults\":[\"not an object\"]}")},
        {"{\"id\":\"x\",\"name\":\"lead\",\"time\":\"2020-01-01T00:00:00Z\"}",
         RESULTS("{\"id\":\"x\",\"status\":\"invalid\",\"faults\":[\"time: more than a year ago\"]}")},
        {"{\"id\":\"x\",\"name\":\"lead\",\"time\":\"2190-01-01T00:00:00Z\",\"shop\":\"beta\",\"source\":\"shopify\"}",
         RESULTS("{\"id\":\"x\",\"status\":\"invalid\",\"faults\":[\"time: more than 5 minutes in the future\","
                 "\"shop: not the one of this address; leave it out\",\"source: is always events; leave it out\"]}")},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        expect(w, &a, events(&a, "es", rows[i].body), 422, rows[i].answer);
    assert_int_equal(stats(w).accepted, 0);
    assert_int_equal(w->woken, 0);
    arena_free(&a);
}

static void time_has_an_end_on_both_sides(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 64 << 20);
    static const struct {
        int64_t ago_ms;
        int status;
    } rows[] = {{0, 200}, {-MINUTES_MS(4), 200}, {-MINUTES_MS(6), 422}, {DAYS_MS(365), 200}, {DAYS_MS(367), 422}};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct post p = events(&a, "es", arena_fmt(&a, "{\"id\":\"t%zu\",\"name\":\"lead\",\"time\":\"%s\"}", i, now_text(&a, rows[i].ago_ms)).p);
        assert_int_equal(post(w, &a, &p).status, rows[i].status);
    }
    arena_free(&a);
}

static void what_is_no_list_of_events_is_malformed(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 64 << 20);
    static const char *const bodies[] = {"", "x", "[", "[{}", "{\"id\":1}}", "[{}],", "[\"\xff\"]", "{\"id\":\"\\ud800\"}"};
    for (size_t i = 0; i < COUNTOF(bodies); i++) {
        struct post p = events(&a, "es", bodies[i]);
        struct http_response r = post(w, &a, &p);
        assert_int_equal(r.status, 400);
        assert_true(sv_starts(r.body, SV("{\"error\":\"JSON: ")));
    }
    struct buf deep;
    buf_init(&deep, 1 << 20);
    for (int i = 0; i < 70; i++)
        buf_putc(&deep, '[');
    for (int i = 0; i < 70; i++)
        buf_putc(&deep, ']');
    struct post p = events(&a, "es", buf_cstr(&deep));
    assert_int_equal(post(w, &a, &p).status, 400);
    buf_free(&deep);
    assert_int_equal(stats(w).accepted, 0);
    arena_free(&a);
}

static const char *list_of(struct arena *a, size_t n) {
    struct buf out;
    buf_init(&out, 8 << 20);
    for (size_t i = 0; i < n; i++)
        buf_fmt(&out, "%c{\"id\":\"n%zu\",\"name\":\"search\",\"time\":\"%s\",\"user\":{\"email\":\"p%zu@klaviyo-demo.com\"}}", i ? ',' : '[', i, now_text(a, 0), i % 50);
    buf_putc(&out, ']');
    const char *text = arena_cstr(a, buf_sv(&out));
    buf_free(&out);
    return text;
}

static void five_hundred_and_no_more(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 64 << 20);
    expect(w, &a, events(&a, "es", list_of(&a, 501)), 413, "{\"error\":\"501 events in one request, 500 is the most\"}");
    assert_int_equal(stats(w).accepted, 0);
    struct post p = events(&a, "es", list_of(&a, 500));
    struct http_response r = post(w, &a, &p);
    assert_int_equal(r.status, 200);
    assert_true(sv_ends(r.body, SV(GOOD("n499") "]}")));
    assert_int_equal(stats(w).accepted, 500);
    arena_free(&a);
}

// One answer for all of them, so that nobody learns what exists.
static void a_stranger_learns_nothing(void **state) {
    struct world *w = *state;
    struct arena a;
    arena_init(&a, 64 << 20);
    const char *body = one(&a, "e1", "search", "ava@klaviyo-demo.com");
    static const char *const paths[] = {"/events/", "/events/nobody", "/events/beta", "/events/acme/", "/events/acme/x", "/events/ACME", "/hooks/acme/events"};
    for (size_t i = 0; i < COUNTOF(paths); i++) {
        struct post p = events(&a, "es", body);
        p.path = paths[i];
        expect(w, &a, p, 401, UNAUTHORIZED_BODY);
    }
    expect(w, &a, events(&a, "rs", body), 401, UNAUTHORIZED_BODY);
    expect(w, &a, events(&a, "rs", "not even JSON"), 401, UNAUTHORIZED_BODY);
    struct post p = events(&a, "a secret that nobody has", body);
    p.path = "/events/nobody";
    expect(w, &a, p, 401, UNAUTHORIZED_BODY);
    p = events(&a, "es", body);
    p.headers[0].value = sign_timestamped(&a, SV("es"), sv_of(body), clock_wall_ms() / 1000 - 400);
    expect(w, &a, p, 401, UNAUTHORIZED_BODY);
    p.n = 0;
    expect(w, &a, p, 401, UNAUTHORIZED_BODY);
    p = events(&a, "es", body);
    p.headers[p.n++] = p.headers[0];
    expect(w, &a, p, 400, "{\"error\":\"malformed request\"}");
    assert_int_equal(stats(w).accepted, 0);
    arena_free(&a);
}

static void a_full_disk_accepts_none_of_them(void **state) {
    struct world *w = *state;
    struct arena a;
    struct rlimit limit, none;
    arena_init(&a, 64 << 20);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    struct post p = events(&a, "es", list_of(&a, 20));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    struct http_response r = post(w, &a, &p);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(r.status, 503);
    assert_string_equal(r.extra_headers, "Retry-After: 30\r\n");
    store_close(w->in.store);
    open_store(w);
    assert_int_equal(stats(w).accepted, 0);
    assert_int_equal(post(w, &a, &p).status, 200);
    assert_int_equal(stats(w).accepted, 20);
    arena_free(&a);
}

static void only_posts(void **state) {
    struct world *w = *state;
    struct http_request r = {.method = SV("GET"), .path = SV("/events/acme")};
    assert_int_equal(ingest_early(&w->in, &r), 405);
    r.method = SV("POST");
    assert_int_equal(ingest_early(&w->in, &r), 0);
    r.path = SV("/events");
    assert_int_equal(ingest_early(&w->in, &r), 404);
    ingest_refused(&w->in, &(struct http_request){.method = SV("POST"), .path = SV("/events/acme")}, 413);
    assert_true(counted(w, "{shop=\"acme\",source=\"events\",topic=\"other\",result=\"rejected_too_large\"} 1\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(one_event_or_many),
        TEST(an_id_is_taken_once),
        TEST(one_bad_among_good),
        TEST(none_valid_is_422),
        TEST(time_has_an_end_on_both_sides),
        TEST(what_is_no_list_of_events_is_malformed),
        TEST(five_hundred_and_no_more),
        TEST(a_stranger_learns_nothing),
        TEST(a_full_disk_accepts_none_of_them),
        TEST(only_posts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
