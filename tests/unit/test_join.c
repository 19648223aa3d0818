// The join: what the dispatcher makes of a webhook with what the store knows, each time that it takes the job up.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mapping/context.h"
#include "plan_fixture.h"
#include "server/dispatch/dispatch_parts.h"
#include "store_env.h"

#define FBP "fb.1.1795250000000.123456789"
#define TOKEN "Z2NwLXVzLWVhc3QxOjAx"

// note and extra: further members of the order
#define ORDER(extra)                                                                                                                  \
    "{\"id\":1001,\"created_at\":\"2026-11-21T10:00:00Z\",\"source_name\":\"web\",\"financial_status\":\"paid\",\"total_price\":\"9.50\"," \
    "\"currency\":\"USD\",\"cart_token\":\"" TOKEN "\",\"checkout_token\":\"k1\",\"browser_ip\":null,\"customer\":{\"id\":42}," extra         \
    "\"landing_site\":\"/p?fbclid=IwAR0abc\"}"

static struct env *env;
static struct dispatch dispatch;
static struct task *asking[1], *telling[1];
static struct shop shop;

static int open_store(void **state) {
    setup(state);
    env = env_make(NULL);
    env_open(env);
    dispatch = (struct dispatch){.given.store = env->store, .asking = asking, .telling = telling};
    arena_init(&dispatch.round.arena, 1 << 20);
    shop = shop_of_both();
    shop.context.origin_count = 1;
    return 0;
}

static int close_store(void **state) {
    arena_free(&dispatch.round.arena);
    env_free(env);
    return teardown(state);
}

static void keep(const char *key, const char *value) {
    struct err e;
    MUST(store_state_put(env->store, sv_of(env->shop), &(struct remembered){sv_of(key), sv_of(value), LONG_MS}, &e));
}

static void nothing(struct task *t) {
    (void)t;
}

static void claim(struct task *t, const char *source, const char *topic, const char *body) {
    *t = (struct task){.dispatch = &dispatch, .shop = &shop, .job = {.shop = sv_of(env->shop), .source = sv_of(source), .topic = sv_of(topic), .body = sv_of(body)}};
    arena_init(&t->arena, 4 << 20);
    task_decode(t, nothing);
    while (dispatch.asking_count > 0)
        assert_true(round_here(&dispatch));
    assert_int_equal(t->decoded.count, 1);
}

static void context_reaches_an_order(void **state) {
    (void)state;
    struct task t;
    claim(&t, "shopify", "orders/create", ORDER(""));
    assert_string_equal(t.decoded.events[0].origins.fbc, "landing_site");
    arena_free(&t.arena);
    keep("context:cart:" TOKEN, "{\"fbp\":[\"" FBP "\",1],\"fbclid\":[\"IwAR0abc\",1795200000000],\"ip\":[\"192.0.2.7\",1],\"user_agent\":[\"Mozilla\",1],"
                                "\"consent\":{\"marketing\":\"granted\",\"at\":1795200000000}}");
    keep("context:checkout:k1", "not a context");
    claim(&t, "shopify", "orders/create", ORDER(""));
    const struct event *e = &t.decoded.events[0];
    expect_text(e->user.fbp, FBP, 0);
    expect_text(e->user.fbc, "fb.1.1795200000000.IwAR0abc", 0);
    expect_text(e->user.ip, "192.0.2.7", 0);
    expect_text(e->user.user_agent, "Mozilla", 0);
    assert_int_equal(e->consent.marketing, CONSENT_GRANTED);
    plan_make(&t.arena, &shop, &t.decoded, T0, &t.plan);
    expect_text(t.plan.events[0].steps[META].draft.identity,
                "external_id=webhook, client_ip_address=context:cart, client_user_agent=context:cart, fbp=context:cart, fbc=context:cart", 0);
    arena_free(&t.arena);
    claim(&t, "shopify", "orders/create", ORDER("\"note_attributes\":[{\"name\":\"_fbc\",\"value\":\"fb.1.1795100000000.Own.AQQAAQMC\"}],"));
    expect_text(t.decoded.events[0].user.fbc, "fb.1.1795200000000.IwAR0abc", 0);  // the later click
    assert_string_equal(t.decoded.events[0].origins.fbc, "context:cart");
    arena_free(&t.arena);
    claim(&t, "shopify", "orders/create", ORDER("\"note_attributes\":[{\"name\":\"_fbc\",\"value\":\"fb.1.1795250000000.Own.AQQAAQMC\"}],"));
    expect_text(t.decoded.events[0].user.fbc, "fb.1.1795250000000.Own.AQQAAQMC", 0);
    assert_string_equal(t.decoded.events[0].origins.fbc, "note attribute");
    arena_free(&t.arena);
    shop.context.origin_count = 0;  // a shop that takes no contexts asks for none
    claim(&t, "shopify", "orders/create", ORDER(""));
    expect_text(t.decoded.events[0].user.fbp, NULL, 0);
    arena_free(&t.arena);
}

// Planned, not sent yet, taken back in between.
static void denial_between_plan_and_request(void **state) {
    (void)state;
    struct task t;
    struct plan again;
    struct err e;
    keep("context:checkout:k1", "{\"fbp\":[\"" FBP "\",1],\"consent\":{\"marketing\":\"granted\",\"at\":1795255100000}}");
    claim(&t, "shopify", "orders/create", ORDER(""));
    plan_make(&t.arena, &shop, &t.decoded, T0, &t.plan);
    assert_int_equal(t.plan.events[0].steps[META].state, STEP_PENDING);
    struct sv stored = arena_dup(&arena, plan_write(&t.arena, &t.plan));
    arena_free(&t.arena);
    keep("context:checkout:k1", "{\"consent\":{\"marketing\":\"denied\",\"at\":1795255300000}}");
    claim(&t, "shopify", "orders/create", ORDER(""));
    MUST(plan_read(&t.arena, stored, SV_NONE, &again, &e));
    assert_true(plan_resume(&t.arena, &shop, &t.decoded, &again));
    assert_int_equal(again.events[0].steps[META].state, STEP_SKIPPED);
    expect_text(again.events[0].steps[META].reason, "consent denied", 0);
    assert_false(sv_present(again.events[0].steps[META].draft.body));
    assert_int_equal(again.events[0].steps[EVENT].state, STEP_PENDING);
    assert_true(plan_tell(&t.arena, &again, 0, EVENT));
    assert_true(sv_contains_nocase(again.events[0].steps[EVENT].draft.body, SV("\"capi_status\":\"skipped\"")));
    arena_free(&t.arena);
}

static void renewal_takes_consent_alone(void **state) {
    (void)state;
    struct task t;
    keep("context:customer:42", "{\"fbp\":[\"" FBP "\",1],\"fbclid\":[\"IwAR0abc\",1795200000000],\"consent\":{\"marketing\":\"denied\",\"at\":1795200000000}}");
    claim(&t, "shopify", "orders/create", ORDER("\"tags\":\"Subscription Recurring Order\",\"note_attributes\":[{\"name\":\"_consent\",\"value\":\"granted\"}],"));
    const struct event *e = &t.decoded.events[0];
    assert_int_equal(e->name, EVENT_RENEWAL_CHARGED);
    expect_text(e->user.fbp, NULL, 0);
    expect_text(e->user.fbc, NULL, 0);
    assert_int_equal(e->consent.marketing, CONSENT_DENIED);
    arena_free(&t.arena);
}

// Signs of a click on one of Meta's ads, and what of it cannot be used.
static void signs_of_a_click(void **state) {
    (void)state;
    static const struct {
        const char *members;
        bool clicked;
        unsigned dropped;
    } rows[] = {
        {"\"landing_site\":\"/p\"", false, 0},
        {"\"landing_site\":\"/p?fbclid=IwAR0abc\"", true, 0},
        {"\"landing_site\":\"/p?fbclid=\"", true, DROPPED_FBCLID},
        {"\"landing_site\":\"/p?a=1&utm_source=Facebook&b=2\"", true, 0},
        {"\"landing_site\":\"/p?utm_source=ig#x\"", true, 0},
        {"\"landing_site\":\"/p?utm_source=fb\"", true, 0},
        {"\"landing_site\":\"/p?utm_source=meta\"", true, 0},
        {"\"landing_site\":\"/p?utm_source=instagram\"", true, 0},
        {"\"landing_site\":\"/p?utm_source=metadata\"", false, 0},
        {"\"landing_site\":\"/p?utm_medium=fb#?utm_source=fb\"", false, 0},
        {"\"referring_site\":\"https://l.facebook.com/l.php?u=x\"", true, 0},
        {"\"referring_site\":\"http://facebook.com\"", true, 0},
        {"\"referring_site\":\"https://WWW.Instagram.com:443/\"", true, 0},
        {"\"referring_site\":\"https://notfacebook.com/\"", false, 0},
        {"\"referring_site\":\"https://facebook.com.evil.example/\"", false, 0},
        {"\"referring_site\":\"https://www.google.com/?q=facebook.com\"", false, 0},
        {"\"referring_site\":\"//\"", false, 0},
        {"\"referring_site\":7", false, 0},
        {"\"note_attributes\":[{\"name\":\"_fbp\",\"value\":\"rubbish\"}]", false, DROPPED_FBP},
        {"\"note_attributes\":[{\"name\":\"_fbc\",\"value\":\"fb.1.yesterday.x\"}]", true, DROPPED_FBC},
        {"\"note_attributes\":[{\"name\":\"_fbp\",\"value\":\"" FBP "\"},{\"name\":\"_fbc\",\"value\":\"\"}]", false, 0},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct task t;
        struct sv body = arena_fmt(&arena, "{\"id\":1001,\"created_at\":\"2026-11-21T10:00:00Z\",\"total_price\":\"9.50\",\"currency\":\"USD\",%s}", rows[i].members);
        claim(&t, "shopify", "orders/create", body.p);
        if (t.decoded.events[0].clicked != rows[i].clicked || t.decoded.events[0].dropped != rows[i].dropped)
            fail_msg("row %zu: %d, %x", i, t.decoded.events[0].clicked, t.decoded.events[0].dropped);
        arena_free(&t.arena);
    }
}

static const struct mark *click_mark(const struct task *t) {
    for (size_t i = 0; i < t->mark_count; i++)
        if (sv_starts(t->marks[i].key, SV("click:")))
            return &t->marks[i];
    return NULL;
}

static void remember_click(struct task *t) {
    struct change c = {.kind = CHANGE_FINISH, .job = &t->job, .state = JOB_DONE, .marks = click_mark(t), .mark_count = 1};
    assert_int_equal(commit(env, &c), RC_OK);
}

// settles: the marks of a claimed webhook; says whether a time was to be kept.
static bool settles(struct task *t) {
    struct err e;
    size_t n;
    struct lookup *asked = marks_wanted(t, &n);
    MUST(store_look_up(env->store, &t->arena, asked, n, &e));
    assert_true(marks_settle(t, asked));
    return click_mark(t) != NULL;
}

// One click, a webhook at each step: the time of the first one counts, whichever comes first.
static void a_click_is_seen_once(void **state) {
    (void)state;
    struct task t;
    const char *order = ORDER("\"x\":1,");
    accept_in(env, "one", NULL);
    struct job job = *claim_soon(env, LONG_MS);
    claim(&t, "shopify", "orders/create", order);
    expect_text(t.decoded.events[0].user.fbc, "fb.1.1795255200000.IwAR0abc", 0);
    assert_true(settles(&t));
    t.job = job;
    remember_click(&t);
    arena_free(&t.arena);
    claim(&t, "shopify", "orders/create", order);  // again: it is known
    assert_false(settles(&t));
    arena_free(&t.arena);
    const char *checkout = "{\"id\":5,\"email\":\"ava@klaviyo-demo.com\",\"token\":\"k1\",\"created_at\":\"2026-11-21T09:10:00Z\",\"line_items\":[{\"variant_id\":1,\"quantity\":1,\"price\":\"1.00\"}],"
                           "\"total_price\":\"1.00\",\"currency\":\"USD\",\"landing_site\":\"/p?fbclid=IwAR0abc\"}";
    accept_in(env, "two", NULL);
    job = *claim_soon(env, LONG_MS);
    claim(&t, "shopify", "checkouts/create", checkout);  // told late, of an earlier time
    expect_text(t.decoded.events[0].user.fbc, "fb.1.1795252200000.IwAR0abc", 0);
    assert_true(settles(&t));
    t.job = job;
    remember_click(&t);
    arena_free(&t.arena);
    claim(&t, "shopify", "orders/create", order);
    expect_text(t.decoded.events[0].user.fbc, "fb.1.1795252200000.IwAR0abc", 0);
    assert_string_equal(t.decoded.events[0].origins.fbc, "landing_site");
    assert_false(settles(&t));
    arena_free(&t.arena);
    claim(&t, "shopify", "orders/create", ORDER("\"note_attributes\":[{\"name\":\"_consent\",\"value\":\"denied\"}],"));  // nothing is kept of who said no
    assert_false(settles(&t));
    arena_free(&t.arena);
}

// What themes and apps write into the attribute; of two the refusal counts, whichever comes first.
static void consent_attributes(void **state) {
    (void)state;
    static const struct {
        const char *attributes;
        enum consent_state marketing, analytics;
    } rows[] = {
        {"[{\"name\":\"_consent\",\"value\":\"granted\"},{\"name\":\"_consent\",\"value\":\"denied\"}]", CONSENT_DENIED, CONSENT_DENIED},
        {"[{\"name\":\"_consent\",\"value\":\"G101\"},{\"name\":\"_consent\",\"value\":\"granted\"}]", CONSENT_DENIED, CONSENT_GRANTED},
        {"[{\"name\":\"_consent\",\"value\":\"rubbish\"},{\"name\":\"_consent\",\"value\":\"granted\"}]", CONSENT_GRANTED, CONSENT_GRANTED},
        {"[{\"name\":\"_consent\",\"value\":\"C0001%3A1%2CC0004%3A0\"}]", CONSENT_DENIED, CONSENT_UNKNOWN},
        {"[{\"name\":\"_consent\",\"value\":\"no\"}]", CONSENT_DENIED, CONSENT_DENIED},
        {"[{\"name\":\"_consent\",\"value\":false}]", CONSENT_DENIED, CONSENT_DENIED},
        {"[{\"name\":\"_consent\",\"value\":null}]", CONSENT_UNKNOWN, CONSENT_UNKNOWN},
        {"{\"_consent\":false,\"x\":1}", CONSENT_DENIED, CONSENT_DENIED},
        {"{\"_consent\":\"granted\"}", CONSENT_GRANTED, CONSENT_GRANTED},
        {"7", CONSENT_UNKNOWN, CONSENT_UNKNOWN},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct task t;
        struct sv body = arena_fmt(&arena, ORDER("\"note_attributes\":%s,"), rows[i].attributes);
        claim(&t, "shopify", "orders/create", body.p);
        const struct consent *consent = &t.decoded.events[0].consent;
        if (consent->marketing != rows[i].marketing || consent->analytics != rows[i].analytics)
            fail_msg("row %zu: %d %d", i, (int)consent->marketing, (int)consent->analytics);
        arena_free(&t.arena);
    }
}

static void remembered_person_says_from_where(void **state) {
    (void)state;
    struct task t;
    keep("person:order:1001", "{\"email\":\"ava@klaviyo-demo.com\",\"external_id\":\"42\"}");
    claim(&t, "shopify", "refunds/create", "{\"id\":7,\"order_id\":1001,\"created_at\":\"2026-11-21T10:00:00Z\"}");
    expect_text(t.decoded.events[0].user.email, "ava@klaviyo-demo.com", 0);
    assert_string_equal(t.decoded.events[0].origins.email, "order");
    assert_string_equal(t.decoded.events[0].origins.external_id, "order");
    arena_free(&t.arena);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(context_reaches_an_order), CASE(denial_between_plan_and_request), CASE(renewal_takes_consent_alone), CASE(remembered_person_says_from_where), CASE(consent_attributes), CASE(signs_of_a_click), CASE(a_click_is_seen_once),
    };
    return cmocka_run_group_tests_name("join", tests, NULL, NULL);
}
