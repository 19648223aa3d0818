// test_spool.c: the spool in front of an engine that takes, refuses and hangs up as the test says.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/store/spool.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 20000
enum { TAKEN_MOST = 20000, LANES = 8, EACH = 150 };

// What the engine has, in the order in which it came; it knows an id again.
struct engine {
    pthread_mutex_t lock;
    char ids[TAKEN_MOST][JOB_ID_LEN + 1];
    int64_t seen_state[TAKEN_MOST];
    size_t count, repeated;
    bool away;
    enum rc ready_rc;
    unsigned dice;        // 0: none; else one in eight calls fails, half of these after it was done
};

static enum rc refuse(struct err *e) {
    return err_set(e, RC_UNAVAILABLE, "the engine is away");
}

static bool has(const struct engine *s, const char *id) {
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->ids[i], id) == 0)
            return true;
    return false;
}

static enum rc fake_accept(struct engine *s, const struct delivery *d, const char *const *ids, size_t n, enum accepted *ret, struct err *e) {
    enum rc rc = RC_OK;
    pthread_mutex_lock(&s->lock);
    bool fails = s->away || (s->dice && rand_r(&s->dice) % 8 == 0), done = !s->away && (!fails || rand_r(&s->dice) % 2 == 0);
    for (size_t i = 0; done && i < n; i++) {
        bool known = has(s, ids[i]);
        ret[i] = known ? ACCEPTED_DUPLICATE : ACCEPTED_NEW;
        s->repeated += known;
        if (known)
            continue;
        assert_true(s->count < TAKEN_MOST);
        assert_int_equal(d[i].key_count, 1);
        assert_int_equal(d[i].lane_key_count, 2);
        assert_int_equal(d[i].lane_keys[1].n, KEY_LEN);
        s->seen_state[s->count] = d[i].state;
        snprintf(s->ids[s->count++], sizeof s->ids[0], "%s", ids[i]);
    }
    if (fails)
        rc = refuse(e);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static enum rc ready(void *ctx, struct err *e) {
    struct engine *s = ctx;
    pthread_mutex_lock(&s->lock);
    enum rc rc = s->away ? RC_UNAVAILABLE : s->ready_rc;
    pthread_mutex_unlock(&s->lock);
    return rc == RC_OK ? rc : err_set(e, rc, "the engine is not ready");
}

static const struct engine_ops fake = {.scheme = "fake", .accept = fake_accept};

// ---- the world of a test

struct world {
    char dir[64], path[96];
    struct engine engine;
    struct spool *spool;
};

static enum rc try_open(struct world *w, const char *fingerprint, const struct err *trouble, struct err *e) {
    const struct store_config store = {.spool = sv_of(w->path)};
    const struct spool_config config = {.store = &store, .fingerprint = sv_of(fingerprint), .ops = &fake, .engine = &w->engine, .trouble = trouble,
                                        .ready = ready, .ctx = &w->engine};
    return spool_open(&config, &w->spool, e);
}

static void open_spool(struct world *w) {
    struct err e = {0};
    if (try_open(w, "ours", NULL, &e) != RC_OK)
        fail_msg("%s", e.text);
}

static void close_spool(struct world *w) {
    spool_close(w->spool);
    w->spool = NULL;
}

static int begin(void **state) {
    struct world *w = calloc(1, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "/tmp/spool_test_XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/spool.db", w->dir);
    pthread_mutex_init(&w->engine.lock, NULL);
    open_spool(w);
    *state = w;
    return 0;
}

static int end(void **state) {
    struct world *w = *state;
    close_spool(w);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", w->dir, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    free(w);
    return 0;
}

static void set_away(struct world *w, bool away) {
    pthread_mutex_lock(&w->engine.lock);
    w->engine.away = away;
    pthread_mutex_unlock(&w->engine.lock);
}

static size_t taken(struct world *w) {
    pthread_mutex_lock(&w->engine.lock);
    size_t n = w->engine.count;
    pthread_mutex_unlock(&w->engine.lock);
    return n;
}

static void wait_direct(struct world *w) {
    for (int64_t until = clock_mono_ms() + DEADLINE_MS; spool_in_use(w->spool); poll(NULL, 0, 2))
        if (clock_mono_ms() > until)
            fail_msg("the spool is still in use after %d ms, %lld wait", DEADLINE_MS, (long long)spool_waiting(w->spool));
}

// One of a lane, as store.c packs it: the id tells both.
struct hook {
    char id[JOB_ID_LEN + 1], key[KEY_LEN + 1], lane[2][KEY_LEN + 1];
    struct sv keys[1], lane_keys[2];
    struct delivery d;
};

static struct delivery *make(struct hook *h, int lane, int n) {
    snprintf(h->id, sizeof h->id, "%016x%016x", (unsigned)lane, (unsigned)n);
    snprintf(h->key, sizeof h->key, "%016x%016x", (unsigned)lane + 1000, (unsigned)n);
    for (int i = 0; i < 2; i++) {
        snprintf(h->lane[i], sizeof h->lane[i], "%016x%016x", (unsigned)lane, (unsigned)i);
        h->lane_keys[i] = sv_of(h->lane[i]);
    }
    h->keys[0] = sv_of(h->key);
    h->d = (struct delivery){.shop = SV("shop"), .source = SV("shopify"), .topic = SV("orders/create"), .body = SV("sealed"), .received_ms = 5,
                             .max_wait_ms = 7, .keys = h->keys, .key_count = 1, .lane_keys = h->lane_keys, .lane_key_count = 2};
    return &h->d;
}

static enum rc accept(struct world *w, int lane, int n, enum accepted *ret, struct err *e) {
    struct hook h;
    make(&h, lane, n);
    const char *id = h.id;
    return spool_accept(w->spool, &h.d, &id, 1, ret, e);
}

static enum accepted must_accept(struct world *w, int lane, int n) {
    enum accepted told;
    struct err e = {0};
    if (accept(w, lane, n, &told, &e) != RC_OK)
        fail_msg("%s", e.text);
    return told;
}

static void in_order(struct world *w) {
    unsigned long next[64] = {0};
    for (size_t i = 0; i < w->engine.count; i++) {
        unsigned long lane, n;
        char half[17] = "";
        memcpy(half, w->engine.ids[i], 16);
        lane = strtoul(half, NULL, 16);
        n = strtoul(w->engine.ids[i] + 16, NULL, 16);
        assert_true(lane < COUNTOF(next));
        if (n != next[lane]++)
            fail_msg("lane %lu: %lu came where %lu was due", lane, n, next[lane] - 1);
    }
}

// ---- cases

static void nothing_is_spooled_while_all_is_well(void **state) {
    struct world *w = *state;
    assert_int_equal(must_accept(w, 0, 0), ACCEPTED_NEW);
    assert_int_equal(must_accept(w, 0, 0), ACCEPTED_DUPLICATE);
    assert_false(spool_in_use(w->spool));
    assert_int_equal(taken(w), 1);
}

static void what_is_refused_waits_and_goes_in_order(void **state) {
    struct world *w = *state;
    set_away(w, true);
    for (int n = 0; n < 200; n++)
        assert_int_equal(must_accept(w, n % 3, n / 3), ACCEPTED_NEW);
    assert_int_equal(must_accept(w, 1, 1), ACCEPTED_DUPLICATE);
    assert_true(spool_in_use(w->spool));
    assert_int_equal(spool_waiting(w->spool), 200);
    struct err e = {0};
    assert_int_equal(spool_check(w->spool, &e), RC_OK);
    set_away(w, false);
    wait_direct(w);
    assert_int_equal(taken(w), 200);
    in_order(w);
    assert_int_equal(spool_waiting(w->spool), 0);
}

static void many_at_once_are_kept_together(void **state) {
    struct world *w = *state;
    struct hook h[10];
    struct delivery d[10];
    const char *ids[10];
    enum accepted told[10];
    struct err e = {0};
    for (int i = 0; i < 10; i++) {
        d[i] = *make(&h[i], 0, i == 9 ? 3 : i);  // the last one repeats one before it
        ids[i] = h[i].id;
    }
    d[2].state = JOB_IGNORED;
    d[2].reason = SV("why");
    set_away(w, true);
    assert_int_equal(spool_accept(w->spool, d, ids, 10, told, &e), RC_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(told[i], i == 9 ? ACCEPTED_DUPLICATE : ACCEPTED_NEW);
    assert_int_equal(spool_waiting(w->spool), 9);
    set_away(w, false);
    wait_direct(w);
    in_order(w);
    assert_int_equal(w->engine.seen_state[2], JOB_IGNORED);
}

static void what_waits_outlives_the_process(void **state) {
    struct world *w = *state;
    set_away(w, true);
    for (int n = 0; n < 100; n++)
        must_accept(w, 0, n);
    close_spool(w);
    assert_int_equal(taken(w), 0);
    open_spool(w);
    assert_true(spool_in_use(w->spool));
    assert_int_equal(spool_waiting(w->spool), 100);
    must_accept(w, 0, 100);  // behind them
    set_away(w, false);
    wait_direct(w);
    assert_int_equal(taken(w), 101);
    in_order(w);
    close_spool(w);
    open_spool(w);
    assert_false(spool_in_use(w->spool));
}

static void it_is_bound_to_its_keys(void **state) {
    struct world *w = *state;
    const struct err trouble = {RC_UNAVAILABLE, "away"};
    struct err e = {0};
    set_away(w, true);
    must_accept(w, 0, 0);
    close_spool(w);
    assert_int_equal(try_open(w, "others", NULL, &e), RC_DENIED);
    assert_non_null(strstr(e.text, "seal_key"));
    assert_int_equal(try_open(w, "ours", &trouble, &e), RC_OK);
    set_away(w, false);
    wait_direct(w);
    close_spool(w);
    assert_int_equal(try_open(w, "others", &trouble, &e), RC_UNAVAILABLE);  // nobody knows whether the engine has these
    assert_non_null(strstr(e.text, "the first start"));
    assert_int_equal(try_open(w, "others", NULL, &e), RC_OK);
}

// With an engine of other keys what is taken could never be read: nothing is promised.
static void an_engine_of_another_key_is_not_waited_for(void **state) {
    struct world *w = *state;
    struct err e = {0};
    enum accepted told;
    set_away(w, true);
    must_accept(w, 0, 0);
    w->engine.ready_rc = RC_DENIED;
    set_away(w, false);
    for (int64_t until = clock_mono_ms() + DEADLINE_MS; spool_check(w->spool, &e) == RC_OK; poll(NULL, 0, 2))
        assert_true(clock_mono_ms() < until);
    assert_int_equal(accept(w, 0, 1, &told, &e), RC_DENIED);
    assert_int_equal(spool_waiting(w->spool), 1);
    assert_int_equal(taken(w), 0);
}

struct sender {
    struct world *world;
    int lane;
};

static void *send_lane(void *arg) {
    const struct sender *s = arg;
    for (int n = 0; n < EACH; n++)
        must_accept(s->world, s->lane, n);
    return NULL;
}

static void *disturb(void *arg) {
    struct world *w = arg;
    for (int i = 0; i < 6; i++) {
        set_away(w, i % 2 == 0);
        poll(NULL, 0, 60);
    }
    set_away(w, false);
    return NULL;
}

// An engine that comes and goes, and now and then does what it then denies: each comes once, and none overtakes another of its lane.
static void none_is_lost_and_none_overtakes(void **state) {
    struct world *w = *state;
    pthread_t threads[LANES], other;
    struct sender senders[LANES];
    w->engine.dice = 17;
    pthread_create(&other, NULL, disturb, w);
    for (int i = 0; i < LANES; i++) {
        senders[i] = (struct sender){w, i};
        pthread_create(&threads[i], NULL, send_lane, &senders[i]);
    }
    for (int i = 0; i < LANES; i++)
        pthread_join(threads[i], NULL);
    pthread_join(other, NULL);
    wait_direct(w);
    assert_int_equal(taken(w), LANES * EACH);
    in_order(w);
    assert_true(w->engine.repeated > 0);  // it was put to the test
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        CASE(nothing_is_spooled_while_all_is_well),
        CASE(what_is_refused_waits_and_goes_in_order),
        CASE(many_at_once_are_kept_together),
        CASE(what_waits_outlives_the_process),
        CASE(it_is_bound_to_its_keys),
        CASE(an_engine_of_another_key_is_not_waited_for),
        CASE(none_is_lost_and_none_overtakes),
    };
    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
