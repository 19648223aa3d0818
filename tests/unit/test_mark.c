// Marks: what changes something at a destination is sent when it changes it, whatever other workers do and wherever one of them dies.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_fixture.h"
#include "server/dispatch/dispatch_parts.h"
#include "store_env.h"

static struct env *env;
static struct dispatch dispatch;
static struct shop shop;
static int jobs;

static int open_store(void **state) {
    setup(state);
    env = env_make(NULL);
    env_open(env);
    dispatch = (struct dispatch){.given.store = env->store};
    shop = shop_of_both();
    return 0;
}

static int close_store(void **state) {
    env_free(env);
    return teardown(state);
}

// A job that some worker holds, at the given step of its one event.
static struct task task_at(size_t step, enum event_name name, const char *first_name) {
    struct task t = {.dispatch = &dispatch, .shop = &shop, .step = step};
    struct event *e = ARENA_NEW(&arena, struct event);
    *e = known_event_at(name, arena_fmt(&arena, "evt_%d", ++jobs).p, T0);
    e->user.first_name = sv_of(first_name);
    accept_in(env, e->id.p, NULL);
    t.job = *claim_soon(env, LONG_MS);
    t.plan = plan_of(&shop, e, 1, T0);
    assert_int_equal(t.plan.events[0].steps[step].state, STEP_PENDING);
    arena_init(&t.arena, 1 << 20);
    return t;
}

// What the dispatcher does with a mark: it goes with the next change.
static enum rc record(struct task *t) {
    struct change c = {.kind = CHANGE_RECORD, .job = &t->job, .lease_ms = LONG_MS, .marks = &t->mark, .mark_count = t->mark.key.p != NULL};
    enum rc rc = commit(env, &c);
    t->intended = rc == RC_OK && t->intending;
    t->intending = false;
    t->mark = (struct mark){0};
    return rc;
}

// judge: the verdict once the store has said what the mark is.
static enum mark_verdict judge(struct task *t) {
    struct err e = {0};
    enum mark_verdict verdict = mark_before(t);
    if (verdict != MARK_ASK)
        return verdict;
    struct lookup *asked = mark_wanted(t);
    MUST(store_look_up(env->store, &t->arena, asked, 1, &e));
    return mark_weigh(t, asked->ret);
}

static void begins(struct task *t) {
    assert_int_equal(judge(t), MARK_WAIT);
    assert_int_equal(judge(t), MARK_WAIT);
    assert_int_equal(record(t), RC_OK);
    assert_int_equal(judge(t), MARK_SEND);
}

static enum rc ends(struct task *t, enum outcome_kind kind) {
    mark_after(t, &(struct outcome){.kind = kind});
    return record(t);
}

static void done(struct task *t) {
    assert_int_equal(finish_as(env, &t->job, JOB_DONE), RC_OK);
    arena_free(&t->arena);
}

// goes: it is sent, with that outcome.
static void goes(size_t step, enum event_name name, const char *first_name, enum outcome_kind kind) {
    struct task t = task_at(step, name, first_name);
    begins(&t);
    assert_int_equal(ends(&t, kind), RC_OK);
    done(&t);
}

static void stays(size_t step, enum event_name name, const char *first_name, enum mark_verdict why) {
    struct task t = task_at(step, name, first_name);
    assert_int_equal(judge(&t), why);
    assert_null(t.mark.key.p);
    done(&t);
}

// An intent of the given text in place of what is there, as if its time had passed.
static void replace_mark(struct task *t, const char *text) {
    assert_int_equal(judge(t), MARK_WAIT);
    t->mark.value = sv_of(text);
    assert_int_equal(record(t), RC_OK);
    t->intended = false;
}

static void sent_when_it_changes(void **state) {
    (void)state;
    goes(PROFILE, EVENT_PURCHASE, "Ava", OUTCOME_SENT);
    stays(PROFILE, EVENT_PURCHASE, "Ava", MARK_SAME);
    goes(PROFILE, EVENT_PURCHASE, "Eva", OUTCOME_SENT);
    goes(PROFILE, EVENT_PURCHASE, "Ava", OUTCOME_REJECT);  // nothing has changed
    stays(PROFILE, EVENT_PURCHASE, "Eva", MARK_SAME);
    goes(PROFILE, EVENT_PURCHASE, "Ava", OUTCOME_RETRY);  // nobody knows what is there now
    goes(PROFILE, EVENT_PURCHASE, "Eva", OUTCOME_SENT);
    goes(PROFILE, EVENT_PURCHASE, "Eva", OUTCOME_SENT);   // Ava may still come
    struct task t = task_at(EVENT, EVENT_PURCHASE, "Ava");  // an event changes nothing: it is always sent
    assert_int_equal(judge(&t), MARK_SEND);
    done(&t);
}

static void each_attempt_says_so(void **state) {
    (void)state;
    struct task t = task_at(PROFILE, EVENT_PURCHASE, "Ava");
    begins(&t);
    assert_int_equal(ends(&t, OUTCOME_RETRY), RC_OK);
    begins(&t);
    assert_false(t.contested);  // its own intent
    t.intent = SV("i:1:x.0");   // the store was away for long: others take it for over
    begins(&t);
    assert_int_equal(ends(&t, OUTCOME_SENT), RC_OK);
    done(&t);
    stays(PROFILE, EVENT_PURCHASE, "Ava", MARK_SAME);
}

static void two_at_once(void **state) {
    (void)state;
    struct task a = task_at(PROFILE, EVENT_PURCHASE, "Ava"), b = task_at(PROFILE, EVENT_PURCHASE, "Eva");
    assert_int_equal(judge(&a), MARK_WAIT);
    assert_int_equal(judge(&b), MARK_WAIT);
    assert_int_equal(record(&a), RC_OK);
    assert_int_equal(record(&b), RC_CONFLICT);  // both saw nothing there
    begins(&b);
    assert_true(b.contested && !a.contested);
    assert_int_equal(ends(&a, OUTCOME_SENT), RC_CONFLICT);
    assert_int_equal(ends(&b, OUTCOME_SENT), RC_OK);
    done(&a);
    done(&b);
    goes(PROFILE, EVENT_PURCHASE, "Eva", OUTCOME_SENT);  // which of them came last nobody knows
    struct task later = task_at(PROFILE, EVENT_PURCHASE, "Eva");
    replace_mark(&later, "c:1");
    begins(&later);
    assert_false(later.contested);
    assert_int_equal(ends(&later, OUTCOME_SENT), RC_OK);
    done(&later);
    stays(PROFILE, EVENT_PURCHASE, "Eva", MARK_SAME);
}

static void late_worker(void **state) {
    (void)state;
    struct task a = task_at(PROFILE, EVENT_PURCHASE, "Ava");
    begins(&a);
    struct task again = a;  // somebody else has its job by now
    memset(again.job.token, 'f', TOKEN_LEN);
    assert_int_equal(ends(&again, OUTCOME_SENT), RC_STALE);
    assert_int_equal(ends(&a, OUTCOME_SENT), RC_OK);
    a.arena = again.arena;
    done(&a);
}

static void subscriptions(void **state) {
    (void)state;
    stays(LIST, EVENT_CONSENT_REVOKED, "Ava", MARK_NOTHING_THERE);
    goes(LIST, EVENT_SIGN_UP, "Ava", OUTCOME_REJECT);  // and nothing there afterwards either
    stays(LIST, EVENT_CONSENT_REVOKED, "Ava", MARK_NOTHING_THERE);
    goes(LIST, EVENT_SIGN_UP, "Ava", OUTCOME_SENT);
    stays(LIST, EVENT_SIGN_UP, "Ava", MARK_SAME);
    goes(LIST, EVENT_CONSENT_REVOKED, "Ava", OUTCOME_SENT);
    stays(LIST, EVENT_CONSENT_REVOKED, "Ava", MARK_NOTHING_THERE);
    goes(LIST, EVENT_SIGN_UP, "Ava", OUTCOME_SENT);
}

// However long it takes: what was subscribed, or may have been, is unsubscribed.
static void unsubscription_is_not_lost(void **state) {
    (void)state;
    goes(LIST, EVENT_SIGN_UP, "Ava", OUTCOME_SENT);
    struct task t = task_at(LIST, EVENT_CONSENT_REVOKED, "Ava");
    replace_mark(&t, arena_fmt(&arena, "i:1:%s.0", t.job.id).p);  // its own attempt, long ago
    begins(&t);
    assert_int_equal(ends(&t, OUTCOME_PAUSE), RC_OK);
    begins(&t);
    assert_int_equal(ends(&t, OUTCOME_SENT), RC_OK);
    done(&t);
    static const char *const perhaps_there[] = {"c:1", "i:1:00000000000000000000000000000000.0"};
    for (size_t i = 0; i < COUNTOF(perhaps_there); i++) {
        struct task subscription = task_at(LIST, EVENT_SIGN_UP, "Ava");
        replace_mark(&subscription, perhaps_there[i]);
        done(&subscription);
        goes(LIST, EVENT_CONSENT_REVOKED, "Ava", OUTCOME_SENT);
        stays(LIST, EVENT_CONSENT_REVOKED, "Ava", MARK_NOTHING_THERE);
    }
}

// What a webhook of that moment says of the subscription's schedule; with the change that takes it along.
static void settle(struct task *t) {
    struct err e = {0};
    size_t n;
    struct lookup *asked = marks_wanted(t, &n);
    MUST(store_look_up(env->store, &t->arena, asked, n, &e));
    t->mark = (struct mark){0};
    assert_true(marks_settle(t, asked));
}

static struct task telling(int64_t as_of_ms, const char *next) {
    struct task t = task_at(EVENT, EVENT_PURCHASE, "Ava");
    t.decoded.schedule_of = SV("7");
    t.decoded.schedule = (struct schedule){.every = SV("1"), .unit = SV("month"), .next = sv_of(next), .as_of_ms = as_of_ms};
    settle(&t);
    return t;
}

static void expect_next(const char *next) {
    struct err e;
    struct json *node;
    struct lookup kept = {.shop = sv_of(env->shop), .key = SV("subscription:7"), .mark = true};
    MUST(store_look_up(env->store, &arena, &kept, 1, &e));
    MUST(json_parse(&arena, kept.ret, &node, &e));
    expect_text(json_str(node, "next"), next, 0);
}

static void the_newest_schedule_is_kept(void **state) {
    (void)state;
    static const struct { int64_t as_of_ms; const char *next, *then; } told[] = {
        {T0, "2026-12-20", "2026-12-20"}, {T0 + 2000, "2027-01-20", "2027-01-20"}, {T0 + 1000, "2026-12-24", "2027-01-20"},
        {T0 + 2000, "2027-01-22", "2027-01-22"}, {T0 + 3000, NULL, NULL},
    };
    for (size_t i = 0; i < COUNTOF(told); i++) {
        struct task t = telling(told[i].as_of_ms, told[i].next);
        assert_int_equal(record(&t), RC_OK);
        done(&t);
        expect_next(told[i].then);
    }
    // Two processes at once: the one that comes second looks again.
    struct task old = telling(T0 + 4000, "2027-02-20"), newer = telling(T0 + 5000, "2027-03-20");
    assert_int_equal(record(&newer), RC_OK);
    assert_int_equal(record(&old), RC_CONFLICT);
    settle(&old);
    assert_null(old.mark.key.p);
    done(&old);
    done(&newer);
    expect_next("2027-03-20");
}

#define STORED(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)

int main(void) {
    const struct CMUnitTest tests[] = {
        STORED(sent_when_it_changes), STORED(each_attempt_says_so), STORED(two_at_once), STORED(late_worker), STORED(subscriptions),
        STORED(unsubscription_is_not_lost), STORED(the_newest_schedule_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
