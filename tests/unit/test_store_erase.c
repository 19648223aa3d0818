// What the store keeps of people is found to the last record, and taken away without harm to the rest.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/store/store_erase.h"
#include "store_engines.h"

#include <string.h>

enum { KEPT_MOST = 2000 };
struct found {
    struct kept v[KEPT_MOST];
    size_t n, pages;
};

static struct found *find_all(struct env *v, const char *shop, enum kept_kind kind) {
    struct found *f = arena_alloc(&v->arena, sizeof *f);
    struct sv after = SV_NONE;
    struct err e = {0};
    *f = (struct found){0};
    do {
        struct kept *page;
        size_t n;
        MUST(store_kept(v->store, &v->arena, sv_of(shop), kind, after, &page, &n, &after, &e));
        f->pages++;
        for (size_t i = 0; i < n; i++) {
            bool again = !page[i].text.p;  // of another shop, on SQLite
            for (size_t k = 0; k < f->n; k++)
                again |= strcmp(f->v[k].id, page[i].id) == 0;
            if (!again)
                f->v[f->n++] = page[i];
        }
        assert_true(f->n < KEPT_MOST);
    } while (after.p);
    return f;
}

static const struct kept *with_text(const struct found *f, const char *text) {
    for (size_t i = 0; i < f->n; i++)
        if (sv_is(f->v[i].text, text))
            return &f->v[i];
    return NULL;
}

static void erase(struct env *v, const struct kept *k, struct sv own) {
    struct err e = {0};
    assert_non_null(k);
    MUST(store_erase(v->store, sv_of(v->shop), k, 1, own, &e));
}

static void everything_is_found_once(void **state) {
    struct env *v = *state;
    char text[32];
    for (int i = 0; i < 700; i++) {
        snprintf(text, sizeof text, "body %d", i);
        accept_wait(v, text, NULL, LONG_MS);
        if (i % 2 == 0) {
            snprintf(text, sizeof text, "value %d", i);
            put_state(v, v->shop, text, text, LONG_MS);
        }
    }
    put_state(v, v->other_shop, "value 1", "another's", LONG_MS);
    struct found *jobs = find_all(v, v->shop, KEPT_JOBS), *values = find_all(v, v->shop, KEPT_VALUES);
    assert_int_equal(jobs->n, 700);
    assert_int_equal(values->n, 350);
    assert_true(jobs->pages > 1 && values->pages > 1);
    for (int i = 0; i < 700; i++) {
        snprintf(text, sizeof text, "body %d", i);
        assert_non_null(with_text(jobs, text));
        snprintf(text, sizeof text, "value %d", i);
        assert_true(!with_text(values, text) == (i % 2 == 1));
    }
    assert_null(with_text(values, "another's"));
    assert_true(sv_is(jobs->v[0].source, "shopify") && sv_is(jobs->v[0].topic, "orders/create") && jobs->v[0].received_ms > 0);
}

static void a_value_is_gone_and_its_neighbour_stays(void **state) {
    struct env *v = *state;
    put_state(v, v->shop, "hers", "person", LONG_MS);
    put_state(v, v->shop, "his", "another", LONG_MS);
    put_state(v, v->other_shop, "hers", "of another shop", LONG_MS);
    erase(v, with_text(find_all(v, v->shop, KEPT_VALUES), "person"), SV_NONE);
    assert_null(get_state(v, v->shop, "hers"));
    assert_string_equal(get_state(v, v->shop, "his"), "another");
    assert_string_equal(get_state(v, v->other_shop, "hers"), "of another shop");
    struct kept known = store_kept_value(v->store, sv_of(v->shop), SV("his"));
    erase(v, &known, SV_NONE);
    erase(v, &known, SV_NONE);  // it need not be there
    assert_null(get_state(v, v->shop, "his"));
}

static void a_job_that_waits_keeps_its_place_without_its_body(void **state) {
    struct env *v = *state;
    accept_in(v, "one", "lane");
    accept_in(v, "two", "lane");
    erase(v, with_text(find_all(v, v->shop, KEPT_JOBS), "one"), SV_NONE);
    struct job *job = claim_body(v, "");
    assert_false(sv_present(job->unreadable));
    assert_int_equal(finish_as(v, job, JOB_IGNORED), RC_OK);
    assert_int_equal(finish_as(v, claim_body(v, "two"), JOB_DONE), RC_OK);
    assert_int_equal(accept_in(v, "one", "lane"), ACCEPTED_DUPLICATE);  // it is still known
    assert_int_equal(stats_of(v, v->shop).pending, 0);
}

static void whoever_is_at_work_on_it_loses_it(void **state) {
    struct env *v = *state;
    accept_in(v, "one", "lane");
    struct job *job = claim_body(v, "one");
    assert_int_equal(record_plan(v, job, "a plan with a person in it", LONG_MS), RC_OK);
    assert_int_equal(record_progress(v, job, "and how far it is", LONG_MS), RC_OK);
    const struct kept *k = with_text(find_all(v, v->shop, KEPT_JOBS), "one");
    assert_int_equal(k->state, JOB_PENDING);
    erase(v, k, SV_NONE);
    assert_int_equal(record_plan(v, job, "written too late", LONG_MS), RC_STALE);
    assert_int_equal(finish_as(v, job, JOB_DONE), RC_STALE);
    struct job *again = claim_body(v, "");  // at once
    assert_true(!again->plan.p && !again->progress.p);
    assert_int_equal(finish_as(v, again, JOB_IGNORED), RC_OK);
}

static void its_own_job_keeps_its_lease(void **state) {
    struct env *v = *state;
    accept_in(v, "request", NULL);
    struct job *job = claim_body(v, "request");
    erase(v, with_text(find_all(v, v->shop, KEPT_JOBS), "request"), sv_of(job->id));
    assert_null(claim_now(v, LONG_MS));
    assert_int_equal(finish_as(v, job, JOB_DONE), RC_OK);
    assert_null(with_text(find_all(v, v->shop, KEPT_JOBS), "request"));
}

static void what_is_over_loses_its_body_too(void **state) {
    struct env *v = *state;
    struct err e = {0};
    bool redriven = false;
    accept_in(v, "done", "a");
    assert_int_equal(finish_as(v, claim_body(v, "done"), JOB_DONE), RC_OK);
    accept_in(v, "dead", "b");
    struct job *dead = claim_body(v, "dead");
    assert_int_equal(finish_as(v, dead, JOB_DEAD), RC_OK);
    struct found *all = find_all(v, v->shop, KEPT_JOBS);
    erase(v, with_text(all, "done"), SV_NONE);
    erase(v, with_text(all, "dead"), SV_NONE);
    all = find_all(v, v->shop, KEPT_JOBS);
    assert_true(all->n == 2 && sv_is(all->v[0].text, "") && sv_is(all->v[1].text, ""));
    MUST(store_redrive(v->store, sv_of(v->shop), sv_of(dead->id), SV_NONE, &redriven, &e));
    assert_true(redriven);
    claim_body(v, "");
    assert_int_equal(stats_of(v, v->shop).done, 1);
}

static void what_is_no_more_is_not_made(void **state) {
    struct env *v = *state;
    struct kept gone = {.kind = KEPT_JOBS};
    memset(gone.id, 'a', JOB_ID_LEN);
    erase(v, &gone, SV_NONE);
    assert_int_equal(find_all(v, v->shop, KEPT_JOBS)->n, 0);
}

static const struct store_case cases[] = {
    {"everything_is_found_once", everything_is_found_once},
    {"a_value_is_gone_and_its_neighbour_stays", a_value_is_gone_and_its_neighbour_stays},
    {"a_job_that_waits_keeps_its_place_without_its_body", a_job_that_waits_keeps_its_place_without_its_body},
    {"whoever_is_at_work_on_it_loses_it", whoever_is_at_work_on_it_loses_it},
    {"its_own_job_keeps_its_lease", its_own_job_keeps_its_lease},
    {"what_is_over_loses_its_body_too", what_is_over_loses_its_body_too},
    {"what_is_no_more_is_not_made", what_is_no_more_is_not_made},
};

int main(void) {
    return run_on_each_engine("store_erase", cases, COUNTOF(cases));
}
