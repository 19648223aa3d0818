// test_store_keys.c: keys of the SQLite store on their way from where they come in to where they stay (sqlite_keys.c).
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/store/store_erase.h"
#include "store_file.h"

enum { TOGETHER = 800, KEYS = 4, LANE_KEYS = 8, ENOUGH = 80000 };  // keys: more than begin a move and end it

static int begin(void **state) {
    *state = env_make(NULL);
    env_open(*state);
    return 0;
}

static int end(void **state) {
    env_free(*state);
    return 0;
}

static struct delivery numbered(struct env *v, struct arena *a, int n) {
    struct sv *keys = ARENA_ARRAY(a, struct sv, KEYS), *lane_keys = ARENA_ARRAY(a, struct sv, LANE_KEYS);
    struct delivery d = hook(v, SV("{}"));
    for (int i = 0; i < KEYS; i++)
        keys[i] = arena_fmt(a, "key %d %d", n, i);
    for (int i = 0; i < LANE_KEYS; i++)
        lane_keys[i] = arena_fmt(a, "lane %d %d", n, i);
    d.keys = keys;
    d.key_count = KEYS;
    d.lane_keys = lane_keys;
    d.lane_key_count = LANE_KEYS;
    return d;
}

static void accept_some(struct env *v, int first) {
    struct err e = {0};
    struct delivery all[TOGETHER];
    enum accepted told[TOGETHER];
    struct arena a;
    arena_init(&a, 16 << 20);
    for (int i = 0; i < TOGETHER; i++)
        all[i] = numbered(v, &a, first + i);
    MUST(store_accept(v->store, all, TOGETHER, told, &e));
    for (int i = 0; i < TOGETHER; i++)
        assert_int_equal(told[i], ACCEPTED_NEW);
    arena_free(&a);
}

static void must_be_known(struct env *v, int count) {
    for (int i = 0; i < count; i += 53) {
        struct delivery d = numbered(v, &v->arena, i);
        d.keys += i % KEYS;
        d.key_count = 1;
        assert_int_equal(take(v, d), ACCEPTED_DUPLICATE);
    }
}

// A newcomer under one of the lane keys of an earlier delivery waits behind it.
static void must_be_bound(struct env *v, int n) {
    struct store_stats stats = stats_of(v, v->shop);
    struct delivery d = numbered(v, &v->arena, n), late = numbered(v, &v->arena, -1 - n);
    struct job *jobs = NULL;
    int64_t next;
    size_t count = claim_many(v, (size_t)stats.pending, LONG_MS, &jobs, &next);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(delay(v, &jobs[i], CHANGE_RELEASE, 0), RC_OK);
    late.lane_keys = d.lane_keys + n % LANE_KEYS;
    late.lane_key_count = 1;
    assert_int_equal(take(v, late), ACCEPTED_NEW);
    assert_int_equal(claim_many(v, (size_t)stats.pending + 1, LONG_MS, &jobs, &next), count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(delay(v, &jobs[i], CHANGE_RELEASE, 0), RC_OK);
}

static void put_numbers(struct env *v, int number) {
    char key[32], value[32];
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "state %d", i);
        snprintf(value, sizeof value, "%d at %d", i, number);
        put_state(v, v->shop, key, value, DAYS_MS(30));
    }
}

static void must_be_numbers(struct env *v, int number) {
    char key[32], value[32];
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "state %d", i);
        snprintf(value, sizeof value, "%d at %d", i, number);
        assert_string_equal(get_state(v, v->shop, key), value);
    }
}

static void fail_once(struct env *v) {
    struct err e = {0};
    enum accepted told;
    struct delivery d = numbered(v, &v->arena, -1000000);
    d.topic = SV_NONE;  // SQLite refuses it, after the keys of nine more
    assert_int_equal(store_accept(v->store, &d, 1, &told, &e), RC_IO);
}

static void forget_state(struct env *v, const char *key) {
    struct err e = {0};
    struct kept k = store_kept_value(v->store, sv_of(v->shop), sv_of(key));
    MUST(store_erase(v->store, sv_of(v->shop), &k, 1, SV_NONE, &e));
}

static void moved_keys_are_known(void **state) {
    struct env *v = *state;
    int count = 0;
    put_state(v, v->shop, "gone", "at the start", DAYS_MS(30));
    for (; count * (KEYS + LANE_KEYS) < ENOUGH; count += TOGETHER) {
        put_numbers(v, count);  // old values move while newer ones come
        accept_some(v, count);
    }
    must_be_numbers(v, count - TOGETHER);
    must_be_known(v, count);
    forget_state(v, "gone");
    assert_null(get_state(v, v->shop, "gone"));
    env_close(v);
    int64_t all = count * (KEYS + LANE_KEYS);
    assert_in_range(look(v, "SELECT count(*) FROM keyed"), all / 4, all);
    assert_true(look(v, "SELECT count(*) FROM late") < all * 3 / 4);
    assert_int_equal(look(v, "SELECT count(*) FROM late GROUP BY key HAVING count(*) > 1"), -1);
    env_open(v);
    must_be_known(v, count);
    must_be_numbers(v, count - TOGETHER);
    assert_null(get_state(v, v->shop, "gone"));
}

// A move that is cut short by a restart, or whose transaction comes to nothing, begins again.
static void a_move_may_be_cut_short_anywhere(void **state) {
    struct env *v = *state;
    int count = 0, nth = 0;
    for (; count * (KEYS + LANE_KEYS) < 2 * ENOUGH; count += TOGETHER, nth++) {
        put_numbers(v, count);
        accept_some(v, count);
        if (nth % 3 == 1)
            fail_once(v);
        if (nth % 5 == 4) {
            env_close(v);
            env_open(v);
        }
        must_be_numbers(v, count);
    }
    must_be_known(v, count);
    env_close(v);
    assert_true(look(v, "SELECT count(*) FROM keyed") > 0);
    env_open(v);
    must_be_known(v, count);
    must_be_numbers(v, count - TOGETHER);
}

static void an_order_joins_the_lane_of_a_moved_key(void **state) {
    struct env *v = *state;
    int count = 0;
    accept_some(v, 0);
    must_be_bound(v, 3);
    struct err e = {0};
    for (count = TOGETHER; count * (KEYS + LANE_KEYS) < ENOUGH; count += TOGETHER) {
        struct delivery all[TOGETHER];
        enum accepted told[TOGETHER];
        for (int i = 0; i < TOGETHER; i++) {
            all[i] = numbered(v, &v->arena, count + i);
            all[i].shop = sv_of(v->other_shop);
        }
        MUST(store_accept(v->store, all, TOGETHER, told, &e));
    }
    must_be_bound(v, 5);
}

// Where little comes nothing is moved for years: what has expired is not to wait for that.
static void what_expired_goes_before_it_moves(void **state) {
    struct env *v = *state;
    struct err e = {0};
    const char *left = "SELECT count(*) FROM late WHERE length(value) > 0 AND key IN (SELECT key FROM late ORDER BY n DESC LIMIT 2)";
    accept_some(v, 0);  // more rows than one purge looks at where nothing new comes
    env_close(v);
    env_open(v);
    put_state(v, v->shop, "short", "somebody", 1);
    put_state(v, v->shop, "long", "somebody else", DAYS_MS(30));
    while (get_state(v, v->shop, "short"))
        ;
    for (int i = 0; i < 10; i++)
        MUST(store_purge(v->store, NULL, 0, &e));
    assert_string_equal(get_state(v, v->shop, "long"), "somebody else");
    env_close(v);
    assert_int_equal(look(v, left), 1);
    env_open(v);
    assert_null(get_state(v, v->shop, "short"));
    assert_string_equal(get_state(v, v->shop, "long"), "somebody else");
    must_be_known(v, TOGETHER);
}

// However fast keys come, the expired ones do not become more and more.
static void a_purge_keeps_up_with_what_comes(void **state) {
    struct env *v = *state;
    struct err e = {0};
    env_close(v);
    look(v, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 15000) INSERT INTO keyed SELECT randomblob(16), i, 1 FROM n");
    env_open(v);
    accept_some(v, 0);  // 9,600 keys
    for (int i = 0; i < 2; i++)
        MUST(store_purge(v->store, NULL, 0, &e));
    must_be_known(v, TOGETHER);
    env_close(v);
    assert_int_equal(look(v, "SELECT count(*) FROM keyed WHERE expires_ms = 1"), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(moved_keys_are_known),
        CASE(a_move_may_be_cut_short_anywhere),
        CASE(an_order_joins_the_lane_of_a_moved_key),
        CASE(what_expired_goes_before_it_moves),
        CASE(a_purge_keeps_up_with_what_comes),
    };
    return cmocka_run_group_tests_name("store_keys", tests, NULL, NULL);
}
