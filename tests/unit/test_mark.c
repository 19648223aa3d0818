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
    struct change c = {.kind = CHANGE_RECORD, .job = &t->job, .lease_ms = LONG_MS, .marks = t->marks, .mark_count = t->mark_count};
    enum rc rc = commit(env, &c);
    t->intended = rc == RC_OK && t->intending;
    t->intending = false;
    t->mark_count = 0;
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
    assert_int_equal(t.mark_count, 0);
    done(&t);
}

// An intent of the given text in place of what is there, as if its time had passed.
static void replace_mark(struct task *t, const char *text) {
    assert_int_equal(judge(t), MARK_WAIT);
    t->marks[0].value = sv_of(text);
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
    t->mark_count = 0;
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
    assert_int_equal(old.mark_count, 0);
    done(&old);
    done(&newer);
    expect_next("2027-03-20");
}

// buys: an order of whoever goes by these names, settled and recorded.
static enum event_name buys(const char *order, const char *email, const char *id, const char *phone) {
    struct task t = task_at(EVENT, EVENT_PURCHASE, "Ava");
    t.decoded.events = t.plan.events[0].event;
    t.decoded.count = 1;
    t.decoded.events[0].id = sv_of(order);
    t.decoded.events[0].user = (struct user){.email = sv_of(email), .external_id = sv_of(id), .phone = sv_of(phone)};
    settle(&t);
    enum event_name name = t.decoded.events[0].name;
    assert_int_equal(record(&t), RC_OK);
    done(&t);
    return name;
}

static void a_buyer_is_known_by_each_name(void **state) {
    (void)state;
    static const struct { const char *order, *email, *id, *phone; bool repeats; } orders[] = {
        {"o1", "a@klaviyo-demo.com", NULL, NULL, false},
        {"o2", "A@klaviyo-demo.com", "51", NULL, true},       // a guest who opened an account
        {"o3", NULL, "51", NULL, true},                       // ... known by its id since
        {"o4", "b@klaviyo-demo.com", "51", NULL, true},       // ... and by a second address
        {"o5", "b@klaviyo-demo.com", NULL, NULL, true},
        {"o1", "b@klaviyo-demo.com", "51", NULL, false},      // the first one, told once more
        {"o6", NULL, "60", NULL, false},
        {"o7", "c@klaviyo-demo.com", "60", NULL, true},
        {"o8", NULL, NULL, "+14155552671", false},
        {"o9", NULL, NULL, "+1 415 555 2671", true},
        {"o10", "d@klaviyo-demo.com", NULL, "+14155552671", false},  // a number may be of several people
        {"o11", NULL, NULL, NULL, false},
        {"o12", NULL, NULL, NULL, false},
    };
    for (size_t i = 0; i < COUNTOF(orders); i++) {
        enum event_name name = buys(orders[i].order, orders[i].email, orders[i].id, orders[i].phone);
        if ((name == EVENT_REPEAT_PURCHASE) != orders[i].repeats)
            fail_msg("row %zu: %s", i, event_name_text(name));
    }
}

// Two webhooks of one buyer at once: of the second one every name is asked for again, and none is lost.
static void two_orders_at_once(void **state) {
    (void)state;
    struct task a = task_at(EVENT, EVENT_PURCHASE, "Ava"), b = task_at(EVENT, EVENT_PURCHASE, "Ava");
    struct task *both[] = {&a, &b};
    for (size_t i = 0; i < COUNTOF(both); i++) {
        both[i]->decoded = (struct decoded){.events = both[i]->plan.events[0].event, .count = 1};
        both[i]->decoded.events[0].user = (struct user){.external_id = SV("7"), .email = i ? SV("b@klaviyo-demo.com") : SV("a@klaviyo-demo.com")};
        settle(both[i]);
    }
    assert_int_equal(record(&a), RC_OK);
    assert_int_equal(record(&b), RC_CONFLICT);
    settle(&b);
    assert_int_equal(b.decoded.events[0].name, EVENT_REPEAT_PURCHASE);
    assert_int_equal(record(&b), RC_OK);
    done(&a);
    done(&b);
    assert_int_equal(buys("later", "b@klaviyo-demo.com", NULL, NULL), EVENT_REPEAT_PURCHASE);
}

// subscribes: what a sign-up of that moment finds.
static bool is_known_subscriber(int64_t as_of_ms) {
    struct task t = task_at(LIST, EVENT_SIGN_UP, "Ava");
    t.decoded = (struct decoded){.events = t.plan.events[0].event, .count = 1, .supersedes_key = SV("consent:email:ava"), .as_of_ms = as_of_ms};
    settle(&t);
    assert_int_equal(record(&t), RC_OK);
    done(&t);
    return t.decoded.events[0].subscribed;
}

static void who_has_just_subscribed_is_known(void **state) {
    (void)state;
    assert_false(is_known_subscriber(T0));
    assert_false(is_known_subscriber(T0 + 1));  // it was told, but Klaviyo has not taken it
    goes(LIST, EVENT_SIGN_UP, "Ava", OUTCOME_SENT);
    assert_true(is_known_subscriber(T0 + SECONDS_MS(100)));
    assert_false(is_known_subscriber(T0 + MINUTES_MS(40)));  // a new permission, after they left at Klaviyo perhaps
    goes(LIST, EVENT_CONSENT_REVOKED, "Ava", OUTCOME_SENT);
    assert_false(is_known_subscriber(T0 + MINUTES_MS(41)));
}

#define STORED(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)

int main(void) {
    const struct CMUnitTest tests[] = {
        STORED(sent_when_it_changes), STORED(each_attempt_says_so), STORED(two_at_once), STORED(late_worker), STORED(subscriptions),
        STORED(unsubscription_is_not_lost), STORED(the_newest_schedule_is_kept), STORED(a_buyer_is_known_by_each_name), STORED(two_orders_at_once),
        STORED(who_has_just_subscribed_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
