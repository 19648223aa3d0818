// The window of jobs in flight: of several shops none has it to itself, however small it is.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/dispatch/dispatch_parts.h"

enum { CLAIM_MOST = 32, ROUNDS = 200 };

// A dispatcher and two shops of it.
struct scene {
    struct dispatch d;
    struct shop_work a, b, *shops[2], *current[2];
    struct claim claims[2];
};

static void begin(struct scene *s, size_t places, size_t shops) {
    *s = (struct scene){.a.name = "a", .b.name = "b"};
    s->shops[0] = s->current[0] = &s->a;
    s->shops[1] = s->current[1] = &s->b;
    s->d = (struct dispatch){.shops = s->shops, .shop_count = shops, .current = s->current, .current_count = shops, .claims = s->claims,
                             .places = places, .claim_most = CLAIM_MOST};
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

// A round in which the store has so many of each shop, but of `idle` none. No job ends.
static void claim(struct scene *s, const struct shop_work *idle, size_t offered) {
    size_t n = shops_share(&s->d);
    for (size_t i = 0; i < n; i++) {
        struct shop_work *w = shops_find(&s->d, s->claims[i].shop);
        size_t got = w == idle ? 0 : least(s->claims[i].max + s->claims[i].lately, offered);
        w->got = got;
        w->held += got;
        s->d.active += got;
    }
    assert_in_range(s->d.active, 0, s->d.places);
    shops_claimed(&s->d, n);
}

static void one_that_hangs_leaves_some_to_the_other(void **state) {
    (void)state;
    static const size_t offered[] = {2, 4, 8, 32, 1000};  // fewer than that a round: a few as they come, or a backlog
    uint32_t dice = 1;
    for (size_t places = IN_FLIGHT_SHARED + 1; places <= 1536; places += places < 300 ? 1 : 103) {
        for (size_t i = 0; i < COUNTOF(offered); i++) {
            struct scene s;
            begin(&s, places, 2);
            for (size_t k = 0; k < ROUNDS + 2 * places; k++) {
                dice = dice * 1664525 + 1013904223;
                claim(&s, &s.b, (dice >> 16) % offered[i]);
            }
            assert_in_range(s.a.held, places * 3 / 4, places - 1);
            for (int k = 0; k < 2; k++)
                claim(&s, &s.a, 1000);
            assert_true(s.b.held > 0);
        }
    }
}

static void one_alone_has_it_all(void **state) {
    (void)state;
    for (size_t places = 1; places <= 1536; places++) {
        struct scene s;
        begin(&s, places, 1);
        for (int i = 0; i < ROUNDS; i++)
            claim(&s, NULL, 1000);
        assert_int_equal(s.a.held, places);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_hangs_leaves_some_to_the_other),
        cmocka_unit_test(one_alone_has_it_all),
    };
    return cmocka_run_group_tests_name("shares", tests, NULL, NULL);
}
