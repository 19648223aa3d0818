// test_store_disk.c: the SQLite store on disks that fail, fill up, lose power and lose the end of a file.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "faulty_disk.h"
#include "server/store/sqlite/sqlite_verbs.h"
#include "store_env.h"

#include <signal.h>
#include <sys/stat.h>

#define BODY ((size_t)40000)  // random: 250 of them are more than the log holds before it is moved into the file
enum { CUTS = 30, POWER_JOBS = 260, LOG_CUTS = 50, LOG_JOBS = 120, SWEEP_JOBS = 6, SWEEP_MOST = 400 };

static int begin(void **state) {
    *state = env_make(NULL);
    return 0;
}

static int end(void **state) {
    env_free(*state);
    disk_reset();
    return 0;
}

static const char *file_of(const struct env *v) {
    return v->url + strlen("sqlite:");
}

static unsigned draw_seed(void) {
    unsigned seed;
    random_bytes((unsigned char *)&seed, sizeof seed);
    print_message("seed %u\n", seed);
    return seed;
}

static struct delivery numbered(struct env *v, int n, struct sv body, char key[16], struct sv *keys) {
    snprintf(key, 16, "job%d", n);
    keys[0] = sv_of(key);
    struct delivery d = hook(v, body);
    d.keys = keys;
    d.key_count = 1;
    d.lane_keys = keys;  // each a lane of its own
    d.lane_key_count = 1;
    return d;
}

static enum rc try_job(struct env *v, int n, struct sv body, enum accepted *ret, struct err *e) {
    char key[16];
    struct sv keys[1];
    struct delivery d = numbered(v, n, body, key, keys);
    return store_accept(v->store, &d, 1, ret, e);
}

// claim_one: by a round, which does not sync it. One that waits is found.
static enum rc claim_one(struct env *v) {
    struct claim one = {.shop = sv_of(v->shop), .max = 1};
    struct store_round r = {.claims = &one, .claim_count = 1, .lease_ms = LONG_MS};
    store_round(v->store, &v->arena, &r);
    assert_int_equal(r.claimed == RC_OK ? r.job_count : 1, 1);
    return r.claimed;
}

static bool is_whole(struct env *v) {
    struct err e = {0};
    struct db *db = NULL;
    static const char *const check[] = {"PRAGMA integrity_check"};
    struct db_config config = {.path = file_of(v), .schema_version = SCHEMA_VERSION, .schema = sqlite_schema, .queries = check, .query_count = 1};
    if (db_open(&config, &db, &e) != RC_OK)
        return false;
    struct query *q = db_query(db, 0, NULL, 0);
    bool whole = db_step(q) && sv_is(db_bytes(q, 0), "ok");
    db_rest(db);
    db_close(db);
    return whole;
}

static void must_be_whole(struct env *v) {
    assert_true(is_whole(v));
}

// ---- faults of one operation, at each place in turn

static void count_broken(void *ctx) {
    __atomic_add_fetch((int *)ctx, 1, __ATOMIC_SEQ_CST);
}

static enum rc open_telling(struct env *v, int *broken, struct err *e) {
    const struct store_config config = {.url = sv_of(v->url), .seal_keys = {(const char *)v->seal_key, SEAL_KEY_LEN}, .retention_ms = 1000,
                                        .ledger_lifetime_ms = 1000, .broken = count_broken, .broken_ctx = broken};
    return store_open(&config, &v->store, e);
}

// use_store: accepts some jobs, and claims each; acked[n] tells which. Returns how much was refused.
static int use_store(struct env *v, bool acked[SWEEP_JOBS], enum rc *ret_rc) {
    struct err e = {0};
    int refused = 0;
    for (int n = 0; n < SWEEP_JOBS; n++) {
        enum accepted told;
        enum rc rc = try_job(v, n, SV("a body"), &told, &e);
        acked[n] = rc == RC_OK;
        enum rc claimed = rc == RC_OK ? claim_one(v) : RC_OK;
        refused += (rc != RC_OK) + (claimed != RC_OK);
        *ret_rc = rc != RC_OK ? rc : claimed != RC_OK ? claimed : *ret_rc;
    }
    return refused;
}

// one_fault: the nth operation of its kind fails. False: there are not so many.
static bool one_fault(enum disk_fault fault, int nth) {
    struct env *v = env_make(NULL);
    struct err e = {0};
    bool acked[SWEEP_JOBS] = {false};
    int broken = 0, refused = 0;
    enum rc rc = RC_OK;
    disk.fault = fault;
    disk.countdown = nth;
    disk.struck = false;
    enum rc opened = open_telling(v, &broken, &e);
    bool at_open = disk.struck;
    if (opened == RC_OK)
        refused = use_store(v, acked, &rc);
    bool in_use = disk.struck && !at_open;
    if (in_use && fault == DISK_FULL) {
        assert_int_equal(refused, 1);  // that one, and the next one is taken
        assert_int_equal(rc, RC_UNAVAILABLE);
        assert_int_equal(broken, 0);
    } else if (in_use) {
        assert_true(refused > 0);
        assert_int_equal(rc, RC_IO);
        assert_int_equal(try_job(v, SWEEP_JOBS, SV("a body"), &(enum accepted){0}, &e), RC_IO);  // never again on this handle
        assert_int_equal(store_check(v->store, &e), RC_IO);
    }
    env_close(v);
    if (!at_open)
        assert_int_equal(broken, in_use && fault != DISK_FULL);
    bool struck = disk.struck;
    disk.fault = NO_FAULT;
    must_be_whole(v);
    env_open(v);
    for (int n = 0; n < SWEEP_JOBS; n++) {
        enum accepted told = ACCEPTED_NEW;
        MUST(try_job(v, n, SV("a body"), &told, &e));
        if (acked[n])
            assert_int_equal(told, ACCEPTED_DUPLICATE);
    }
    env_free(v);
    return struck;
}

// sweep: at places drawn anew each time; over some days, at all of them.
static void sweep(enum disk_fault fault, int stride) {
    unsigned dice = draw_seed();
    int nth = 1;
    while (one_fault(fault, nth)) {
        nth += 1 + rand_r(&dice) % stride;
        assert_true(nth < SWEEP_MOST);
    }
    assert_true(nth > 6);
}

static void a_failed_write_is_the_end_of_the_handle(void **state) {
    (void)state;
    sweep(WRITE_FAILS, 17);
}

static void a_failed_sync_is_the_end_of_the_handle(void **state) {
    (void)state;
    sweep(SYNC_FAILS, 2);
}

static void a_full_disk_refuses_and_recovers(void **state) {
    (void)state;
    sweep(DISK_FULL, 17);
}

// What was not synced is in the file all the same: a group that the disk has no room for takes nothing of it away, and what is moved from
// the log then is what was committed, however long the log is and whatever an earlier one left there.
static void a_full_disk_leaves_what_was_not_synced(void **state) {
    (void)state;
    for (int jobs = 22; jobs < 70; jobs += 6) {
        struct env *v = env_make(NULL);
        struct err e = {0};
        struct sv body = {arena_alloc(&v->arena, BODY), BODY};
        struct store_stats stats;
        enum accepted told;
        int broken = 0;
        random_bytes((unsigned char *)(uintptr_t)body.p, body.n);
        MUST(open_telling(v, &broken, &e));
        for (int n = 0; n < jobs; n++)
            MUST(try_job(v, n, body, &told, &e));
        assert_int_equal(claim_one(v), RC_OK);
        MUST(store_stats(v->store, sv_of(v->shop), &stats, &e));  // after whoever moves the log: it is the next webhook that is struck
        disk.fault = DISK_FULL;
        disk.countdown = 1;
        assert_int_equal(try_job(v, jobs, body, &told, &e), RC_UNAVAILABLE);
        for (int n = jobs; n < jobs + 30; n++)
            MUST(try_job(v, n, SV("another body"), &told, &e));
        env_close(v);
        disk.fault = NO_FAULT;
        assert_int_equal(broken, 0);
        must_be_whole(v);
        env_open(v);
        for (int n = 0; n < jobs + 30; n++) {
            MUST(try_job(v, n, SV("x"), &told, &e));
            assert_int_equal(told, ACCEPTED_DUPLICATE);
        }
        env_free(v);
    }
}

// A store that has run for a while has room inside its file. When the disk is full its log moves there and begins anew: it needs no
// room outside, and each time only those hear of it who came at that moment.
static void a_full_disk_does_not_stop_a_store_with_room_inside(void **state) {
    struct env *v = *state;
    struct err e = {0};
    struct sv keys[1], body = {arena_alloc(&v->arena, BODY), BODY};
    char key[16];
    enum accepted told;
    int refused = 0;
    random_bytes((unsigned char *)(uintptr_t)body.p, body.n);
    v->retention_ms = 0;
    env_open(v);
    for (int n = 0; n < 150; n++) {
        struct delivery d = numbered(v, n, body, key, keys);
        d.state = JOB_IGNORED;
        take(v, d);
    }
    MUST(store_purge(v->store, NULL, 0, &e));
    env_close(v);
    env_open(v);
    disk.log_most = 1 << 20;
    for (int n = 200; n < 300; n++) {
        enum rc rc = try_job(v, n, body, &told, &e);
        assert_true(rc == RC_OK || rc == RC_UNAVAILABLE);
        refused += rc != RC_OK;
    }
    assert_in_range(refused, 2, 10);
}

// ---- power cuts

struct cuts {
    struct env *env;
    unsigned dice;
    int acked, taken;        // acked: atomic
    int acked_at[CUTS];
    bool armed;
};

static void cut_file(const struct cuts *c, char *out, size_t size, const char *suffix) {
    snprintf(out, size, "%s/cut%d.db%s", c->env->dir, c->taken, suffix);
}

static void maybe_cut(void *ctx) {
    struct cuts *c = ctx;
    char path[160];
    if (!c->armed || c->taken == CUTS || rand_r(&c->dice) % 30)
        return;
    for (const struct disk_file *f = disk.files; f; f = f->next) {
        cut_file(c, path, sizeof path, f->path + strlen(file_of(c->env)));
        disk_left(f, path, &c->dice);
    }
    c->acked_at[c->taken++] = __atomic_load_n(&c->acked, __ATOMIC_SEQ_CST);
}

// After each webhook comes a claim, which is not synced.
static void fill(struct env *v, struct cuts *c) {
    struct err e = {0};
    struct sv body = {arena_alloc(&v->arena, BODY), BODY};
    env_open(v);
    c->armed = true;
    for (int n = 0; n < POWER_JOBS; n++) {
        enum accepted told;
        random_bytes((unsigned char *)(uintptr_t)body.p, body.n);
        MUST(try_job(v, n, body, &told, &e));
        __atomic_add_fetch(&c->acked, 1, __ATOMIC_SEQ_CST);
        assert_int_equal(claim_one(v), RC_OK);
    }
    c->armed = false;
    env_close(v);
}

// left_after: how many jobs that were acknowledged before the i-th cut are not there after it; -1: the store does not open, or is damaged.
static int left_after(struct env *v, struct cuts *c, int i) {
    struct err e = {0};
    int missing = 0;
    c->taken = i;
    char path[120];
    cut_file(c, path, sizeof path, "");
    snprintf(v->url, sizeof v->url, "sqlite:%s", path);
    if (env_try_open(v, &e) != RC_OK)
        return -1;
    for (int n = 0; n < c->acked_at[i]; n++) {
        enum accepted told;
        if (try_job(v, n, SV("x"), &told, &e) != RC_OK) {
            env_close(v);
            return -1;
        }
        missing += told != ACCEPTED_DUPLICATE;
    }
    env_close(v);
    return missing > 0 || is_whole(v) ? missing : -1;
}

static int cut_power(struct env *v, bool lies) {
    struct cuts c = {.env = v, .dice = draw_seed()};
    disk.watched = true;
    disk.lies = lies;
    disk.after = maybe_cut;
    disk.ctx = &c;
    fill(v, &c);
    disk.watched = false;
    disk.after = NULL;
    int cuts = c.taken, bad = 0;
    assert_true(cuts > 5);
    for (int i = 0; i < cuts; i++) {
        bad += left_after(v, &c, i) != 0;
    }
    return bad;
}

static void what_was_acknowledged_survives_a_power_cut(void **state) {
    assert_int_equal(cut_power(*state, false), 0);
}

static void a_claim_waits_for_no_sync(void **state) {
    struct env *v = *state;
    struct err e = {0};
    enum accepted told;
    env_open(v);
    MUST(try_job(v, 1, SV("a body"), &told, &e));
    disk.fault = SYNC_FAILS;
    disk.countdown = 1;
    disk.struck = false;
    assert_int_equal(claim_one(v), RC_OK);
    assert_false(disk.struck);
    assert_int_equal(try_job(v, 2, SV("a body"), &told, &e), RC_IO);
    assert_true(disk.struck);
    disk.fault = NO_FAULT;
    env_close(v);
}

// So a job that ends the process each time is found out in the end.
static void a_claim_survives_the_process(void **state) {
    struct env *v = *state;
    struct claim one = {.shop = sv_of(v->shop), .max = 1};
    struct store_round r = {.claims = &one, .claim_count = 1, .lease_ms = LONG_MS};
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err e = {0};
        enum accepted told;
        env_open(v);
        bool fine = try_job(v, 1, SV("a body"), &told, &e) == RC_OK && claim_one(v) == RC_OK;
        if (fine)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    env_open(v);
    store_round(v->store, &v->arena, &r);
    assert_int_equal(r.job_count, 1);
    assert_int_equal(r.jobs[0].claims, 2);
    env_close(v);
}

static void a_disk_that_lies_is_noticed_here(void **state) {
    assert_true(cut_power(*state, true) > 0);  // so the test above can fail
}

// ---- a log that lost its end

static void acknowledge_until_killed(struct env *v, int out) {
    env_open(v);
    for (int n = 0;; n++) {
        enum accepted told;
        struct err e;
        if (try_job(v, n, SV("a body of some length"), &told, &e) != RC_OK || write(out, "", 1) != 1)
            _exit(1);
    }
}

static int run_and_kill(struct env *v) {
    int acks[2], count = 0;
    char byte;
    assert_int_equal(pipe(acks), 0);
    pid_t pid = fork();
    if (pid == 0)
        acknowledge_until_killed(v, acks[1]);
    close(acks[1]);
    for (; count < LOG_JOBS; count++)
        assert_int_equal(read(acks[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    while (read(acks[0], &byte, 1) == 1)
        count++;
    close(acks[0]);
    return count;
}

static size_t read_file(const char *path, unsigned char *out, size_t room) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, out, room);
    assert_true(n > 0 && (size_t)n < room);
    close(fd);
    return (size_t)n;
}

static void write_file(const char *path, const unsigned char *bytes, size_t n) {
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

// jobs_left: they are the first ones, whatever their number.
static int jobs_left(struct env *v) {
    struct err e = {0};
    enum accepted told;
    env_open(v);
    int left = (int)stats_of(v, v->shop).accepted;
    if (left > 0) {
        MUST(try_job(v, left - 1, SV("x"), &told, &e));
        assert_int_equal(told, ACCEPTED_DUPLICATE);
    }
    MUST(try_job(v, left, SV("x"), &told, &e));
    assert_int_equal(told, ACCEPTED_NEW);
    env_close(v);
    must_be_whole(v);
    return left;
}

static void a_cut_log_leaves_a_moment(void **state) {
    struct env *v = *state;
    static unsigned char file[1 << 20], wal[8 << 20];
    char wal_path[160];
    unsigned dice = draw_seed();
    int acked = run_and_kill(v), most = 0, least = acked;
    snprintf(wal_path, sizeof wal_path, "%s-wal", file_of(v));
    size_t file_size = read_file(file_of(v), file, sizeof file), wal_size = read_file(wal_path, wal, sizeof wal);
    for (int i = 0; i <= LOG_CUTS; i++) {
        size_t size = i == LOG_CUTS ? wal_size : (size_t)rand_r(&dice) % wal_size;
        write_file(file_of(v), file, file_size);
        write_file(wal_path, wal, size);
        int left = jobs_left(v);
        most = left > most ? left : most;
        least = left < least ? left : least;
    }
    assert_true(most >= acked);   // uncut: what was acknowledged is there
    assert_true(least < acked);   // the cuts did cut
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
    disk_install();
    const struct CMUnitTest tests[] = {
        CASE(a_failed_write_is_the_end_of_the_handle),
        CASE(a_failed_sync_is_the_end_of_the_handle),
        CASE(a_full_disk_refuses_and_recovers),
        CASE(a_full_disk_leaves_what_was_not_synced),
        CASE(a_full_disk_does_not_stop_a_store_with_room_inside),
        CASE(what_was_acknowledged_survives_a_power_cut),
        CASE(a_claim_waits_for_no_sync),
        CASE(a_claim_survives_the_process),
        CASE(a_disk_that_lies_is_noticed_here),
        CASE(a_cut_log_leaves_a_moment),
    };
    return cmocka_run_group_tests_name("store_disk", tests, NULL, NULL);
}
