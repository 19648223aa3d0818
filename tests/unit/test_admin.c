#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "server/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct world {
    char folder[32];
    struct admin admin;
    atomic_bool stopping;
};

static struct config *config_of(const char *text) {
    struct config *config;
    struct buf faults;
    buf_init(&faults, 4096);
    assert_int_equal(config_parse(sv_of(text), "f.yaml", &config, &faults, NULL), RC_OK);
    buf_free(&faults);
    return config;
}

static int setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    char url[64];
    memcpy(w->folder, "/tmp/test_admin_XXXXXX", sizeof "/tmp/test_admin_XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(url, sizeof url, "sqlite:%s/db", w->folder);
    const struct store_config store = {.url = sv_of(url), .retention_ms = HOURS_MS(24)};
    w->admin = (struct admin){.config = config_slot_new(config_of("version: 1\nadmin_token: t0k\nshops: { acme: {}, beta: {} }\n")),
                              .metrics = metrics_new(),
                              .stopping = &w->stopping};
    assert_int_equal(store_open(&store, &w->admin.store, NULL), RC_OK);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    char path[64];
    static const char *const files[] = {"db", "db-wal", "db-shm", "db.key", "db.lock"};
    store_close(w->admin.store);
    metrics_free(w->admin.metrics);
    config_slot_free(w->admin.config);
    for (size_t i = 0; i < COUNTOF(files); i++) {
        snprintf(path, sizeof path, "%s/%s", w->folder, files[i]);
        unlink(path);
    }
    rmdir(w->folder);
    free(w);
    return 0;
}

static int status_of(struct world *w, const char *method, const char *path, const char *authorization, const char *in_body) {
    struct arena a;
    struct header h = {SV("Authorization"), sv_of(authorization)};
    arena_init(&a, 16 << 20);
    struct http_request r = {.method = sv_of(method), .path = sv_of(path), .headers = {&h, authorization ? 1 : 0}, .arena = &a};
    struct http_response ret = {.status = 200, .content_type = "application/json", .body = SV("")};
    admin_handle(&w->admin, &r, &ret);
    if (in_body && !memmem(ret.body.p, ret.body.n, in_body, strlen(in_body)))
        fail_msg("%s: no \"%s\" in:\n" SV_FMT, path, in_body, SV_ARG(ret.body));
    arena_free(&a);
    return ret.status;
}

static void health_is_open_and_the_rest_wants_the_token(void **state) {
    struct world *w = *state;
    static const struct {
        const char *method, *path, *authorization;
        int status;
    } cases[] = {
        {"GET", "/healthz", NULL, 200},
        {"HEAD", "/healthz", NULL, 200},
        {"POST", "/healthz", NULL, 405},
        {"GET", "/readyz", NULL, 200},
        {"GET", "/metrics", NULL, 401},
        {"GET", "/metrics", "Bearer t0k", 200},
        {"GET", "/metrics", "bearer t0k", 200},
        {"GET", "/metrics", "Bearer t0", 401},
        {"GET", "/metrics", "Bearer t0kk", 401},
        {"GET", "/metrics", "Basic t0k", 401},
        {"GET", "/metrics", "t0k", 401},
        {"GET", "/metrics", "Bearer ", 401},
        {"DELETE", "/metrics", "Bearer t0k", 405},
        {"GET", "/metrics/", "Bearer t0k", 404},
        {"GET", "/events", NULL, 401},
        {"POST", "/redrive", NULL, 401},
        {"POST", "/events", "Bearer t0k", 405},
        {"GET", "/redrive", "Bearer t0k", 405},
        {"POST", "/redrive", "Bearer t0k", 400},
        {"GET", "/report", NULL, 401},
        {"GET", "/report", "Bearer t0k", 200},
        {"POST", "/report", "Bearer t0k", 405},
        {"GET", "/nothing", NULL, 401},
        {"GET", "/nothing", "Bearer t0k", 404},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        int status = status_of(w, cases[i].method, cases[i].path, cases[i].authorization, NULL);
        if (status != cases[i].status)
            fail_msg("%s %s (%s): %d, expected %d", cases[i].method, cases[i].path, cases[i].authorization, status, cases[i].status);
    }
    config_replace(w->admin.config, config_of("version: 1\nshops: { acme: {} }\n"));
    assert_int_equal(status_of(w, "GET", "/metrics", NULL, NULL), 200);
}

static void what_stops_is_alive_but_not_ready(void **state) {
    struct world *w = *state;
    w->stopping = true;
    assert_int_equal(status_of(w, "GET", "/healthz", NULL, "ok"), 200);
    assert_int_equal(status_of(w, "GET", "/readyz", NULL, "stopping"), 503);
}

static void metrics_tell_what_the_store_holds(void **state) {
    struct world *w = *state;
    const struct sv key = SV("body:1");
    const struct delivery d = {.shop = SV("beta"), .source = SV("shopify"), .topic = SV("orders/create"), .body = SV("{}"),
                               .received_ms = clock_wall_ms() - 90000, .keys = &key, .key_count = 1};
    enum accepted accepted;
    assert_int_equal(store_accept(w->admin.store, &d, 1, &accepted, NULL), RC_OK);
    assert_int_equal(status_of(w, "GET", "/metrics", "Bearer t0k", "fireorder_pending{shop=\"beta\"} 1\n"), 200);
    assert_int_equal(status_of(w, "GET", "/metrics", "Bearer t0k", "fireorder_pending{shop=\"acme\"} 0\n"), 200);
    assert_int_equal(status_of(w, "GET", "/metrics", "Bearer t0k", "fireorder_oldest_pending_seconds{shop=\"beta\"} 9"), 200);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(health_is_open_and_the_rest_wants_the_token),
        TEST(what_stops_is_alive_but_not_ready),
        TEST(metrics_tell_what_the_store_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
