// ingest_world.h: a store, a configuration and signed requests, for the tests of ingest.
#ifndef TESTS_UNIT_INGEST_WORLD_H
#define TESTS_UNIT_INGEST_WORLD_H

#include "base/clock.h"
#include "handlers/source.h"
#include "server/ingest.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char config_text[] =
    "version: 1\n"
    "shops:\n"
    "  acme:\n"
    "    shopify: { secrets: [old, new] }\n"
    "    recharge: { secrets: [rs] }\n"
    "    events: { secrets: [es, es2] }\n"
    "  beta:\n"
    "    recharge: { secrets: [rs], signature: legacy }\n";

struct world {
    char folder[32];
    struct ingest in;
    int woken;
};

static inline void woken(void *ctx) {
    ++*(int *)ctx;
}

static inline void open_store(struct world *w) {
    char url[64];
    struct err e;
    snprintf(url, sizeof url, "sqlite:%s/db", w->folder);
    const struct store_config config = {.url = sv_of(url), .retention_ms = HOURS_MS(24)};
    if (store_open(&config, &w->in.store, &e) != RC_OK)
        fail_msg("%s", e.text);
}

static inline int setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    struct config *config;
    struct buf faults;
    memcpy(w->folder, "/tmp/test_ingest_XXXXXX", sizeof "/tmp/test_ingest_XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    buf_init(&faults, 4096);
    assert_int_equal(config_parse(sv_of(config_text), "f.yaml", &config, &faults, NULL), RC_OK);
    buf_free(&faults);
    w->in = (struct ingest){.config = config_slot_new(config), .metrics = metrics_new(), .accepted = woken, .accepted_ctx = &w->woken};
    open_store(w);
    *state = w;
    return 0;
}

static inline int teardown(void **state) {
    static const char *const files[] = {"db", "db-wal", "db-shm", "db.key", "db.seal", "db-journal", "db.lock"};
    struct world *w = *state;
    char path[64];
    store_close(w->in.store);
    metrics_free(w->in.metrics);
    config_slot_free(w->in.config);
    for (size_t i = 0; i < COUNTOF(files); i++) {
        snprintf(path, sizeof path, "%s/%s", w->folder, files[i]);
        unlink(path);
    }
    rmdir(w->folder);
    free(w);
    return 0;
}

// ---- requests

struct post {
    const char *path, *body;
    struct header headers[6];
    size_t n;
};

static inline struct http_response post(struct world *w, struct arena *a, const struct post *p) {
    struct http_request r = {
        .method = SV("POST"),
        .path = sv_of(p->path),
        .headers = {p->headers, p->n},
        .body = sv_of(p->body),
        .arena = a,
        .started_us = clock_mono_us(),
    };
    struct http_response ret = {.status = 200, .content_type = "application/json", .body = SV("")};
    assert_int_equal(ingest_early(&w->in, &r), 0);
    ingest_handle(&w->in, &r, &ret);
    ingest_done(&w->in, &r);
    return ret;
}

static inline struct post shopify(struct arena *a, const char *secret, const char *topic, const char *id, const char *body) {
    return (struct post){"/hooks/acme/shopify", body,
                         {{SV("X-Shopify-Hmac-Sha256"), sign_shopify(a, sv_of(secret), sv_of(body))},
                          {SV("X-Shopify-Topic"), sv_of(topic)},
                          {SV("X-Shopify-Webhook-Id"), sv_of(id)}},
                         3};
}

static inline struct post recharge(struct arena *a, const char *path, const char *body, bool timestamped) {
    struct header h = timestamped ? (struct header){SV("X-Recharge-Webhook-Signature"), sign_timestamped(a, SV("rs"), sv_of(body), clock_wall_ms() / 1000)}
                                  : (struct header){SV("X-Recharge-Hmac-Sha256"), sign_recharge_legacy(a, SV("rs"), sv_of(body))};
    return (struct post){path, body, {h}, 1};
}

static inline void expect(struct world *w, struct arena *a, struct post p, int status, const char *body) {
    struct http_response r = post(w, a, &p);
    if (r.status != status || !sv_is(r.body, body))
        fail_msg("%s: %d " SV_FMT ", expected %d %s", p.path, r.status, SV_ARG(r.body), status, body);
}

static inline struct store_stats stats(struct world *w) {
    struct store_stats s;
    assert_int_equal(store_stats(w->in.store, SV("acme"), &s, NULL), RC_OK);
    return s;
}

static inline bool counted(struct world *w, const char *line) {
    struct buf out;
    buf_init(&out, 1 << 20);
    metrics_write(w->in.metrics, NULL, 0, &out);
    bool found = strstr(buf_cstr(&out), line) != NULL;
    buf_free(&out);
    return found;
}

#define ACCEPTED_BODY "{\"status\":\"accepted\"}"
#define DUPLICATE_BODY "{\"status\":\"duplicate\"}"
#define UNAUTHORIZED_BODY "{\"error\":\"unauthorized\"}"
#define ORDER "{\"id\":820982911946154508,\"email\":\"ava@example.com\",\"checkout_token\":\"c1\"}"

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
