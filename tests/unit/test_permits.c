// Permits on each engine: counted once for all who ask, in any number of threads, and an account that is shut is shut for all.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_engines.h"

#include <pthread.h>

static const struct quota small = {{{40, 1000}, {300, 60000}}, 2};

static struct permit asking(struct env *v, const char *kind, const struct quota *q, int64_t want) {
    return (struct permit){.shop = sv_of(v->shop), .kind = sv_of(kind), .account = SV("klaviyo"), .quota = q, .want = want};
}

static struct permit ask(struct env *v, struct permit p) {
    struct err e = {0};
    MUST(store_permits(v->store, &p, 1, &e));
    assert_true(p.granted >= 0 && p.granted <= p.want);
    return p;
}

static void as_many_as_fit(void **state) {
    struct env *v = *state;
    int64_t begun = clock_mono_ms();
    assert_int_equal(ask(v, asking(v, "event", &small, 30)).granted, 30);
    struct permit p = ask(v, asking(v, "event", &small, 30));
    if (clock_mono_ms() - begun < 900) {
        assert_int_equal(p.granted, 10);
        assert_int_equal(p.full, 0);
        assert_true(p.wait_ms > 0 && p.wait_ms <= 1040);
    }
    assert_int_equal(ask(v, asking(v, "profile", &small, 30)).granted, 30);  // another kind
    p = asking(v, "event", &small, 30);
    p.shop = sv_of(v->other_shop);
    assert_int_equal(ask(v, p).granted, 30);
}

static void what_left_the_window_makes_room(void **state) {
    struct env *v = *state;
    const struct quota q = {{{5, 200}, {12, 60000}}, 2};
    int64_t granted = 0, end = clock_mono_ms() + DEADLINE_MS;
    struct permit p = ask(v, asking(v, "event", &q, 5));
    assert_int_equal(p.granted, 5);
    for (granted = 5; granted < 12 && clock_mono_ms() < end; granted += p.granted) {
        poll(NULL, 0, (int)p.wait_ms);
        p = ask(v, asking(v, "event", &q, 5));
        assert_true(p.granted > 0 || p.wait_ms > 0);
    }
    assert_int_equal(granted, 12);
    p = ask(v, asking(v, "event", &q, 1));
    assert_int_equal(p.granted, 0);
    assert_int_equal(p.full, 1);
    assert_true(p.wait_ms > 60000 - DEADLINE_MS && p.wait_ms <= 62400);
}

static void several_questions_in_one_go(void **state) {
    struct env *v = *state;
    struct err e = {0};
    const struct quota none = {.count = 0};
    struct permit p[] = {asking(v, "event", &small, 35), asking(v, "event", &small, 35), asking(v, "profile", &none, 1000)};
    p[1].shop = sv_of(v->other_shop);
    MUST(store_permits(v->store, p, COUNTOF(p), &e));
    assert_int_equal(p[0].granted, 35);
    assert_int_equal(p[1].granted, 35);
    assert_int_equal(p[2].granted, 1000);
    MUST(store_permits(v->store, p, 0, &e));
}

static void an_account_that_is_shut(void **state) {
    struct env *v = *state;
    struct permit shut = asking(v, "profile", &small, 0);
    shut.shut_ms = 300;
    assert_true(ask(v, shut).ret_shut_ms > 0);
    struct permit p = ask(v, asking(v, "event", &small, 10));
    assert_true(p.ret_shut_ms > 0 && p.ret_shut_ms <= 300);
    assert_int_equal(p.granted, 0);
    shut.shut_ms = 10;  // does not open it
    assert_true(ask(v, shut).ret_shut_ms > 10);
    p = asking(v, "event", &small, 10);
    p.shop = sv_of(v->other_shop);
    assert_int_equal(ask(v, p).granted, 10);
    for (int64_t end = clock_mono_ms() + DEADLINE_MS; p.granted < 10 || p.shop.p != v->shop;) {
        assert_true(clock_mono_ms() < end);
        poll(NULL, 0, 20);
        p = ask(v, asking(v, "event", &small, 10));
    }
}

struct asker {
    pthread_t thread;
    struct env *env;
    int64_t granted;
};

static void *ask_often(void *arg) {
    static const struct quota minute = {{{500, 60000}}, 1};
    struct asker *a = arg;
    for (int i = 0; i < 60; i++) {
        struct permit p = asking(a->env, "event", &minute, 1 + i % 4);
        if (store_permits(a->env->store, &p, 1, NULL) == RC_OK)
            a->granted += p.granted;
    }
    return NULL;
}

static void many_threads_get_no_more_together(void **state) {
    struct asker a[8];
    int64_t sum = 0;
    for (int i = 0; i < 8; i++) {
        a[i] = (struct asker){.env = *state};
        assert_int_equal(pthread_create(&a[i].thread, NULL, ask_often, &a[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(a[i].thread, NULL);
        sum += a[i].granted;
    }
    assert_int_equal(sum, 500);
}

static const struct store_case cases[] = {
    {"as_many_as_fit", as_many_as_fit},
    {"what_left_the_window_makes_room", what_left_the_window_makes_room},
    {"several_questions_in_one_go", several_questions_in_one_go},
    {"an_account_that_is_shut", an_account_that_is_shut},
    {"many_threads_get_no_more_together", many_threads_get_no_more_together},
};

int main(void) {
    return run_on_each_engine("permits", cases, COUNTOF(cases));
}
