// fixtures.h: reading fixtures and comparing texts, for the tests of the senders.
#ifndef TESTS_UNIT_FIXTURES_H
#define TESTS_UNIT_FIXTURES_H

#include "handlers/source.h"

#include <stdio.h>

#define FIXTURES SOURCE_DIR "/fixtures/"

enum config { PLAIN = 0, RECHARGE_TOO = 1, ON_PAID = 2, TEST_CODE = 4 };

static struct arena arena;

static inline int setup(void **state) {
    (void)state;
    arena_init(&arena, 64 << 20);
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    bool fine = arena_ok(&arena);
    arena_free(&arena);
    return fine ? 0 : -1;
}

static inline struct shop shop_of(enum config config) {
    struct shop shop = {.name = SV("acme")};
    shop.recharge.secrets.n = (config & RECHARGE_TOO) != 0;
    shop.shopify.purchase_on_paid = (config & ON_PAID) != 0;
    if (config & TEST_CODE)
        shop.meta.test_event_code = SV("TEST123");
    return shop;
}

static inline struct sv body_of(const char *path) {
    struct sv name = arena_fmt(&arena, FIXTURES "%s/request.json", path);
    FILE *f = fopen(name.p, "rb");
    if (!f)
        fail_msg("no fixture %s", path);
    char *bytes = arena_alloc(&arena, 64 << 10);
    size_t n = fread(bytes, 1, 64 << 10, f);
    fclose(f);
    assert_in_range(n, 1, (64 << 10) - 1);
    return (struct sv){bytes, n};
}

struct where {
    const struct source *source;
    struct sv topic;
};

// where: "shopify/orders/create/unpaid" -> shopify, "orders/create".
static inline struct where where(const char *path) {
    struct sv source, rest;
    sv_cut(sv_of(path), '/', &source, &rest);
    size_t n = rest.n;
    while (n > 0 && rest.p[n - 1] != '/')
        n--;
    struct where w = {source_named(source), sv_sub(rest, 0, n - 1)};
    assert_non_null(w.source);
    assert_non_null(source_topic(w.source, w.topic));
    return w;
}

#define assert_text(text, expected) expect_text((text), (expected), __FILE__, __LINE__)
static inline void expect_text(struct sv text, const char *expected, const char *file, int line) {
    if (sv_eq(text, sv_of(expected)))
        return;
    print_error("\"" SV_FMT "\" is not \"%s\"\n", SV_ARG(text), expected ? expected : "(absent)");
    _fail(file, line);
}

#endif
