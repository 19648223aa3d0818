// A process whose clock is an hour off shares a Redis with others: nothing that decides may depend on that clock.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis_jobs.h"

#include <stdatomic.h>
#include <sys/syscall.h>

static atomic_long off_by_s;

// In place of libc's: the wall clock can be set wrong, for this program alone.
int clock_gettime(clockid_t id, struct timespec *t) {
    long rc = syscall(SYS_clock_gettime, id, t);
    if (id == CLOCK_REALTIME)
        t->tv_sec += atomic_load(&off_by_s);
    return (int)rc;
}

#define PATIENCE_MS 400

static void accept_patient(struct engine *s, const char *id, const char *lane, int64_t max_wait_ms) {
    struct sv key = sv_of(id), lane_key = sv_of(lane);
    struct delivery d = {.shop = SV("shop"), .source = SV("shopify"), .topic = SV("orders/create"), .body = SV("body"),
                         .received_ms = clock_wall_ms(), .max_wait_ms = max_wait_ms, .keys = &key, .key_count = 1,
                         .lane_keys = &lane_key, .lane_key_count = 1, .state = JOB_PENDING};
    enum accepted is;
    assert_int_equal(engine_redis.accept(s, &d, (const char *[]){id}, 1, &is, NULL), RC_OK);
    assert_int_equal(is, ACCEPTED_NEW);
}

static void hold(struct engine *s, const struct job *job, int64_t delay_ms) {
    struct err e = {0};
    assert_int_equal(commit(s, (struct change){.kind = CHANGE_HOLD, .job = job, .delay_ms = delay_ms}, &e), RC_OK);
}

// wait_in_hold does what the dispatcher does: claims the held head and holds it on until somebody behind is in a hurry.
// Returns how often it was claimed.
static int wait_in_hold(struct engine *s, struct arena *a) {
    struct job *jobs;
    for (int claims = 1;; claims++) {
        int64_t end_ms = clock_mono_ms() + SECONDS_MS(20);
        for (arena_reset(a); claim(s, a, 1, &jobs) == 0; arena_reset(a))
            if (clock_mono_ms() > end_ms)
                fail_msg("the held head does not come back");
        assert_true(jobs[0].hurry_ms != 0);
        int64_t left_ms = jobs[0].hurry_ms - clock_wall_ms();
        if (left_ms <= 0 || claims == 100) {
            struct err e = {0};
            assert_int_equal(finish(s, &jobs[0], &e), RC_OK);
            return claims;
        }
        hold(s, &jobs[0], left_ms);
    }
}

static void test_hold_with_a_wrong_clock(void **state) {
    static const struct {
        long before_s, after_s;  // how wrong the clock is while accepting, and while working
    } rows[] = {{0, 0}, {-3600, -3600}, {3600, 3600}, {3600, 0}, {0, 3600}, {-3600, 0}, {0, -3600}};
    struct redis_server *server = server_of(state);
    struct engine *s = opened(server);
    struct arena a;
    arena_init(&a, 8 << 20);
    for (int i = 0; i < (int)COUNTOF(rows); i++) {
        char head[KEY_LEN + 1], behind[KEY_LEN + 1], lane[KEY_LEN + 1];
        struct job *jobs;
        name_of(head, 'a', i, 1);
        name_of(behind, 'a', i, 2);
        name_of(lane, 'c', i, 0);
        atomic_store(&off_by_s, rows[i].before_s);
        accept_patient(s, head, lane, HOURS_MS(1));
        assert_int_equal(claim(s, &a, 1, &jobs), 1);
        hold(s, &jobs[0], HOURS_MS(1));
        int64_t begun_ms = clock_mono_ms();
        accept_patient(s, behind, lane, PATIENCE_MS);
        atomic_store(&off_by_s, rows[i].after_s);
        int claims = wait_in_hold(s, &a);
        assert_in_range(clock_mono_ms() - begun_ms, PATIENCE_MS - 10, SECONDS_MS(10));
        assert_in_range(claims, 1, 3);
        assert_int_equal(claim(s, &a, 1, &jobs), 1);
        assert_string_equal(jobs[0].id, behind);
        struct err e = {0};
        assert_int_equal(finish(s, &jobs[0], &e), RC_OK);
    }
    atomic_store(&off_by_s, 0);
    arena_free(&a);
    engine_redis.close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_REDIS(test_hold_with_a_wrong_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
