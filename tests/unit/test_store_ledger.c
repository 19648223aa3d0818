// test_store_ledger.c: lines that finished jobs leave, on each engine: written once, with the finish, in order, until they are old.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_engines.h"

#define LINES_MOST 2000

struct page {
    struct ledger_line lines[LINES_MOST];
    size_t n, calls;
};

// read_all: page by page, as a reader does it.
static struct page *read_all(struct env *v, const char *shop, int64_t since_ms) {
    struct page *p = ARENA_NEW(&v->arena, struct page);
    struct err e = {0};
    int64_t after_ms = since_ms, after_n = -1;
    for (size_t count = 1; count > 0; p->calls++) {
        struct ledger_line *lines = NULL;
        MUST(store_ledger(v->store, &v->arena, sv_of(shop), after_ms, after_n, &lines, &count, &e));
        for (size_t i = 0; i < count; i++) {
            assert_true(p->n < LINES_MOST);
            assert_true(lines[i].at_ms > after_ms || (lines[i].at_ms == after_ms && lines[i].n > after_n));
            after_ms = lines[i].at_ms;
            after_n = lines[i].n;
            p->lines[p->n++] = lines[i];
        }
    }
    return p;
}

static enum rc finish_with(struct env *v, const struct job *job, const struct sv *lines, size_t n) {
    return commit(v, &(struct change){.kind = CHANGE_FINISH, .job = job, .state = JOB_DONE, .reason = SV("test"), .ledger = lines, .ledger_count = n});
}

static void a_finish_leaves_its_lines(void **state) {
    struct env *v = *state;
    const struct sv lines[] = {SV("{\"event\":\"purchase\"}"), SV("second")};
    int64_t before = clock_wall_ms();
    accept_in(v, "1", NULL);
    accept_in(v, "2", NULL);
    assert_int_equal(read_all(v, v->shop, 0)->n, 0);
    struct job *first = claim_body(v, "1");
    assert_int_equal(finish_with(v, first, lines, 2), RC_OK);
    struct page *p = read_all(v, v->shop, 0);
    assert_int_equal(p->n, 2);
    assert_true(sv_eq(p->lines[0].text, lines[0]) && sv_eq(p->lines[1].text, lines[1]));
    assert_in_range(p->lines[0].at_ms, before - 1000, clock_wall_ms() + 1000);
    assert_int_equal(finish_as(v, claim_body(v, "2"), JOB_IGNORED), RC_OK);  // without lines
    assert_int_equal(read_all(v, v->shop, 0)->n, 2);
    assert_int_equal(read_all(v, v->other_shop, 0)->n, 0);
    assert_int_equal(read_all(v, v->shop, p->lines[1].at_ms)->n, p->lines[0].at_ms == p->lines[1].at_ms ? 2 : 1);
    assert_int_equal(read_all(v, v->shop, p->lines[1].at_ms + 1)->n, 0);
}

static void a_repeated_finish_writes_once(void **state) {
    struct env *v = *state;
    const struct sv line = SV("once");
    accept_in(v, "1", NULL);
    struct job *job = claim_body(v, "1");
    for (int i = 0; i < 3; i++)  // its answers were lost
        assert_int_equal(finish_with(v, job, &line, 1), RC_OK);
    assert_int_equal(read_all(v, v->shop, 0)->n, 1);
}

static void who_lost_the_lease_writes_nothing(void **state) {
    struct env *v = *state;
    const struct sv line = SV("of nobody"), own = SV("of the owner");
    accept_in(v, "1", NULL);
    struct job *late = claim_soon(v, SHORT_MS);
    struct job *owner = claim_soon(v, LONG_MS);
    assert_int_equal(finish_with(v, late, &line, 1), RC_STALE);
    assert_int_equal(read_all(v, v->shop, 0)->n, 0);
    assert_int_equal(finish_with(v, owner, &own, 1), RC_OK);
    assert_int_equal(finish_with(v, late, &line, 1), RC_STALE);
    struct page *p = read_all(v, v->shop, 0);
    assert_int_equal(p->n, 1);
    assert_true(sv_eq(p->lines[0].text, own));
}

static void a_conflict_writes_nothing(void **state) {
    struct env *v = *state;
    const struct sv line = SV("x");
    const struct mark m = {SV("profile:1"), SV("never set"), SV("v"), LONG_MS};
    accept_in(v, "1", NULL);
    struct job *job = claim_body(v, "1");
    struct change c = {.kind = CHANGE_FINISH, .job = job, .state = JOB_DONE, .reason = SV(""), .ledger = &line, .ledger_count = 1, .marks = &m,
                       .mark_count = 1};
    assert_int_equal(commit(v, &c), RC_CONFLICT);
    assert_int_equal(read_all(v, v->shop, 0)->n, 0);
}

static void lines_come_with_all_that_a_finish_may_bring(void **state) {
    struct env *v = *state;
    const struct sv line = SV("line");
    const struct mark m = {SV("profile:1"), SV_NONE, SV("d:1"), LONG_MS};
    const struct remembered r = {SV("digest"), SV("value"), LONG_MS};
    accept_in(v, "1", NULL);
    struct change c = {.kind = CHANGE_FINISH, .job = claim_body(v, "1"), .state = JOB_DONE, .reason = SV(""), .plan = SV("plan"), .ledger = &line,
                       .ledger_count = 1, .marks = &m, .mark_count = 1, .remember = &r, .remember_count = 1};
    assert_int_equal(commit(v, &c), RC_OK);
    assert_string_equal(get_state(v, v->shop, "digest"), "value");
    assert_int_equal(read_all(v, v->shop, 0)->n, 1);
}

static void only_a_finish_writes_and_not_without_end(void **state) {
    struct env *v = *state;
    struct err e = {0};
    struct sv lines[LEDGER_MAX + 1];
    for (size_t i = 0; i < COUNTOF(lines); i++)
        lines[i] = SV("x");
    accept_in(v, "1", NULL);
    struct job *job = claim_body(v, "1");
    struct change c = {.kind = CHANGE_RETRY, .job = job, .ledger = lines, .ledger_count = 1};
    assert_int_equal(store_commit(v->store, &c, 1, &e), RC_INVALID);
    c = (struct change){.kind = CHANGE_FINISH, .job = job, .state = JOB_DONE, .ledger = lines, .ledger_count = LEDGER_MAX + 1};
    assert_int_equal(store_commit(v->store, &c, 1, &e), RC_INVALID);
    assert_int_equal(finish_with(v, job, lines, LEDGER_MAX), RC_OK);
    assert_int_equal(read_all(v, v->shop, 0)->n, LEDGER_MAX);
}

static void many_lines_are_read_in_pages(void **state) {
    enum { MANY = 1300 };
    struct env *v = *state;
    struct err e = {0};
    struct sv keys[MANY], texts[MANY];
    struct delivery all[MANY];
    enum accepted told[MANY];
    bool seen[MANY] = {0};
    for (int i = 0; i < MANY; i++) {
        keys[i] = arena_fmt(&v->arena, "k%d", i);
        all[i] = hook(v, keys[i]);
        all[i].keys = &keys[i];
        all[i].key_count = 1;
    }
    MUST(store_accept(v->store, all, MANY, told, &e));
    struct job *jobs = NULL;
    int64_t due;
    for (size_t n; (n = claim_many(v, 100, LONG_MS, &jobs, &due)) > 0;) {
        struct change c[100];
        for (size_t i = 0; i < n; i++) {
            texts[i] = sv_sub(jobs[i].body, 1, SIZE_MAX);
            c[i] = (struct change){.kind = CHANGE_FINISH, .job = &jobs[i], .state = JOB_DONE, .ledger = &texts[i], .ledger_count = 1};
        }
        MUST(store_commit(v->store, c, n, &e));
    }
    struct page *p = read_all(v, v->shop, 0);
    assert_int_equal(p->n, MANY);
    assert_true(p->calls > 2);
    for (size_t i = 0; i < p->n; i++) {
        int64_t number = -1;
        assert_true(sv_i64(p->lines[i].text, &number) && number >= 0 && number < MANY);
        assert_false(seen[number]);
        seen[number] = true;
    }
}

static void lines_survive_a_restart_and_a_purge(void **state) {
    struct env *v = *state;
    struct err e = {0};
    const struct sv line = SV("kept"), shop = sv_of(v->shop);
    env_close(v);
    v->retention_ms = 0;  // bodies go, the ledger stays
    env_open(v);
    accept_in(v, "1", NULL);
    assert_int_equal(finish_with(v, claim_body(v, "1"), &line, 1), RC_OK);
    MUST(store_purge(v->store, &shop, 1, &e));
    env_close(v);
    env_open(v);
    assert_int_equal(read_all(v, v->shop, 0)->n, 1);
}

static void old_lines_go(void **state) {
    struct env *v = *state;
    struct err e = {0};
    const struct sv line = SV("old"), shop = sv_of(v->shop);
    env_close(v);
    v->ledger_lifetime_ms = SHORT_MS;
    env_open(v);
    accept_in(v, "1", NULL);
    assert_int_equal(finish_with(v, claim_body(v, "1"), &line, 1), RC_OK);
    size_t left = 1;
    for (int64_t end = clock_mono_ms() + DEADLINE_MS; left > 0 && clock_mono_ms() < end; poll(NULL, 0, 5)) {
        MUST(store_purge(v->store, &shop, 1, &e));
        left = read_all(v, v->shop, 0)->n;
    }
    assert_int_equal(left, 0);
}

static const struct store_case cases[] = {
    {"a_finish_leaves_its_lines", a_finish_leaves_its_lines},
    {"a_repeated_finish_writes_once", a_repeated_finish_writes_once},
    {"who_lost_the_lease_writes_nothing", who_lost_the_lease_writes_nothing},
    {"a_conflict_writes_nothing", a_conflict_writes_nothing},
    {"lines_come_with_all_that_a_finish_may_bring", lines_come_with_all_that_a_finish_may_bring},
    {"only_a_finish_writes_and_not_without_end", only_a_finish_writes_and_not_without_end},
    {"many_lines_are_read_in_pages", many_lines_are_read_in_pages},
    {"lines_survive_a_restart_and_a_purge", lines_survive_a_restart_and_a_purge},
    {"old_lines_go", old_lines_go},
};

int main(void) {
    return run_on_each_engine("store ledger", cases, COUNTOF(cases));
}
