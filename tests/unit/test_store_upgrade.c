// test_store_upgrade.c: an SQLite store that an older version left.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_file.h"

static char *read_text(const char *path) {
    static char text[32 << 10];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

// make_older: the file as the tables of version 2 left it (store_v2.sql).
static void make_older(struct env *v) {
    struct err e = {0};
    struct db *db = NULL;
    struct db_config config = {.path = file_of(v), .schema_version = 2, .schema = read_text(SOURCE_DIR "/tests/unit/store_v2.sql")};
    MUST(db_open(&config, &db, &e));
    db_close(db);
    snprintf(v->shop, sizeof v->shop, "shop");
}

static void what_it_accepted_goes_on(void **state) {
    struct env *v = *state;
    static const char *const known[] = {"done", "dead", "aside", "second", "third", "alone"};
    for (size_t i = 0; i < COUNTOF(known); i++)
        assert_int_equal(accept_in(v, known[i], NULL), ACCEPTED_DUPLICATE);
    assert_int_equal(stats_of(v, v->shop).pending, 4);
    struct job *jobs = NULL;
    int64_t next;
    assert_int_equal(claim_many(v, 9, LONG_MS, &jobs, &next), 3);  // "third" is behind "second"
    for (size_t i = 0; i < 3; i++) {
        bool second = sv_is(jobs[i].body, "second");
        assert_true(second || sv_is(jobs[i].body, "aside") || sv_is(jobs[i].body, "alone"));
        assert_true(second != sv_is(sv_of(jobs[i].lane), jobs[i].id));
        assert_int_equal(finish_as(v, &jobs[i], JOB_DONE), RC_OK);
        assert_int_equal(finish_as(v, &jobs[i], JOB_DONE), RC_OK);  // said before
    }
    assert_int_equal(finish_as(v, claim_body(v, "third"), JOB_DONE), RC_OK);
    assert_string_equal(get_state(v, v->shop, "state"), "value");
}

static void what_it_bound_stays_bound(void **state) {
    struct env *v = *state;
    struct err e = {0};
    struct job_view dead = {0};
    const struct sv event = SV("event:done");
    const struct mark mark = {SV("mark"), SV("seen"), SV("again"), LONG_MS};
    bool redriven = false;
    for (int i = 0; i < 4; i++)
        assert_int_equal(finish_as(v, claim_soon(v, LONG_MS), JOB_DONE), RC_OK);
    assert_int_equal(accept_between(v, "of a", "a", "new"), ACCEPTED_NEW);
    assert_int_equal(accept_between(v, "of b", "other", "b"), ACCEPTED_NEW);  // a and b were one person's
    struct job *job = claim_body(v, "of a");
    assert_null(claim_now(v, LONG_MS));
    struct change c = {.kind = CHANGE_RECORD, .job = job, .lease_ms = LONG_MS, .reserve = &event, .reserve_count = 1, .reserve_lifetime_ms = LONG_MS,
                       .marks = &mark, .mark_count = 1};
    assert_int_equal(commit(v, &c), RC_OK);
    assert_true(c.taken[0]);
    struct sv id = SV("ff7cbca6d3ad9c6ae39aa5ee1439cd2a");
    MUST(store_find(v->store, &v->arena, sv_of(v->shop), id, &dead, &e));
    assert_int_equal(dead.state, JOB_DEAD);
    MUST(store_redrive(v->store, sv_of(v->shop), id, SV_NONE, &redriven, &e));
    assert_true(redriven);
    claim_body(v, "dead");
}

// Once only: the second start finds it as it has to be.
static void it_starts_again(void **state) {
    struct env *v = *state;
    env_close(v);
    env_open(v);
    assert_int_equal(accept_in(v, "done", NULL), ACCEPTED_DUPLICATE);
    assert_int_equal(stats_of(v, v->shop).accepted, 6);
}

static int begin(void **state) {
    *state = env_make(NULL);
    make_older(*state);
    env_open(*state);
    return 0;
}

static int end(void **state) {
    env_free(*state);
    return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(what_it_accepted_goes_on),
        CASE(what_it_bound_stays_bound),
        CASE(it_starts_again),
    };
    return cmocka_run_group_tests_name("store_upgrade", tests, NULL, NULL);
}
