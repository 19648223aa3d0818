// People who wait for something to be in stock: what is said to each of them, and that each request is answered once.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_fixture.h"
#include "server/dispatch/dispatch_parts.h"
#include "store_engines.h"

#define REQUEST "back_in_stock_requested"
#define VARIANT "{\"id\":808950810,\"product_id\":632910392,\"title\":\"30 ml\",\"price\":\"129.95\",\"sku\":\"SKU-481\"," \
                "\"inventory_item_id\":39072856,\"inventory_quantity\":24,\"updated_at\":\"2026-11-21T09:59:00Z\"}"
#define LEVEL "{\"inventory_item_id\":39072856,\"location_id\":1,\"available\":3,\"updated_at\":\"2026-11-21T09:59:00Z\"}"

static struct config config = {.identity_lifetime_ms = LONG_MS};
static struct dispatch dispatch;
static struct task *asking[1], *telling[1];
static struct shop shop;

// ---- what is said

static struct event decoded_event_of(const char *source, const char *topic, struct sv body) {
    struct decoded d;
    source_decode(&arena, source_named(sv_of(source)), &shop, sv_of(topic), body, &d);
    if (d.undecodable.p)
        fail_msg(SV_FMT, SV_ARG(d.undecodable));
    return d.count == 1 ? d.events[0] : *d.restocked;
}

static struct event answer_to(const char *request, const char *topic, const char *stock, struct part *ret) {
    struct event restocked = decoded_event_of("shopify", topic, sv_of(stock));
    assert_true(waiting_answer(&arena, &shop, &restocked, sv_of(request), ret));
    assert_ptr_equal(ret->topic, source_topic(&source_events, SV("inventory_restocked")));
    struct event e = decoded_event_of("events", "inventory_restocked", ret->body);
    assert_true(sv_eq(e.id, ret->id));
    return e;
}

static void answers(void **state) {
    (void)state;
    static const char request[] =
        "{\"id\":\"w1\",\"name\":\"" REQUEST "\",\"time\":\"2026-07-01T10:00:00Z\",\"origin\":\"web\",\"purpose\":\"transactional\",\"value\":\"9\","
        "\"user\":{\"email\":\"ava@klaviyo-demo.com\",\"first_name\":\"Ava\",\"ip\":\"192.0.2.7\",\"user_agent\":\"x\",\"fbc\":\"fb.1.1782900000000.Click\"},"
        "\"consent\":{\"marketing\":\"granted\"},\"items\":[{\"variant_id\":\"808950810\",\"title\":\"Old name\",\"url\":\"https://acme.example/s\"},{\"sku\":\"x\"}],"
        "\"properties\":{\"list\":\"restock\",\"sku\":\"OLD\"},\"experiment\":{\"id\":\"e1\",\"variant\":\"B\"}}";
    struct part part;
    shop = shop_of_both();
    struct event e = answer_to(request, "variants/in_stock", VARIANT, &part);
    expect_text(e.id, "w1_restocked", 0);
    assert_int_equal(e.name, EVENT_INVENTORY_RESTOCKED);
    assert_int_equal(e.purpose, PURPOSE_MARKETING);
    expect_text(time_iso(&arena, e.time_ms), "2026-11-21T09:59:00Z", 0);
    expect_text(time_iso(&arena, e.consent_at_ms), "2026-07-01T10:00:00Z", 0);
    assert_int_equal(e.consent.marketing, CONSENT_GRANTED);
    const struct sv gone[] = {e.user.ip, e.user.user_agent, e.user.fbc, e.origin, e.value};
    for (size_t i = 0; i < COUNTOF(gone); i++)
        expect_text(gone[i], NULL, i);
    assert_int_equal(e.item_count, 1);
    const struct { struct sv is; const char *want; } rows[] = {
        {e.user.email, "ava@klaviyo-demo.com"}, {e.user.first_name, "Ava"}, {e.items[0].title, "Old name"}, {e.items[0].variant_title, "30 ml"},
        {e.items[0].price, "129.95"}, {e.items[0].url, "https://acme.example/s"}, {e.items[0].inventory_item_id, "39072856"},
        {event_property_text(&e, "list"), "restock"}, {event_property_text(&e, "sku"), "OLD"}, {e.items[0].sku, "SKU-481"}, {event_property_text(&e, "product_name"), NULL}, {event_property_text(&e, "inventory_quantity"), "24"},
        {e.experiment_variant, "B"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        expect_text(rows[i].is, rows[i].want, i);
    e = answer_to(request, "inventory_levels/update", LEVEL, &part);  // it knows no more than the item's number
    expect_text(e.items[0].title, "Old name", 0);
    expect_text(event_property_text(&e, "sku"), "OLD", 0);
    expect_text(event_property_text(&e, "location_id"), "1", 0);
}

static void answers_to_odd_requests(void **state) {
    (void)state;
    struct part part;
    char id[256];
    shop = shop_of_both();
    memset(id, 'x', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    struct sv long_one = arena_fmt(&arena, "{\"id\":\"%s\",\"name\":\"" REQUEST "\",\"time\":\"2026-11-22T10:00:00Z\",\"origin\":\"test\","
                                           "\"user\":{\"email\":\"a@klaviyo-demo.com\"},\"consent\":{\"marketing\":\"denied\"},\"items\":[{\"sku\":\"SKU-481\"}]}", id);
    struct event e = answer_to(long_one.p, "variants/in_stock", VARIANT, &part);
    assert_int_equal(e.id.n, 64 + strlen("_restocked"));
    expect_text(e.origin, "test", 0);
    assert_true(e.consent_at_ms == e.time_ms);  // asked for after the shop's own clock said it is there
    struct event restocked = decoded_event_of("shopify", "variants/in_stock", SV(VARIANT));
    assert_false(waiting_answer(&arena, &shop, &restocked, SV("{\"id\":\"w1\"}"), &part));
    assert_false(waiting_answer(&arena, &shop, &restocked, SV("not JSON"), &part));
}

// ---- who is told

static void nothing(struct task *t) {
    (void)t;
}

// What has been queued came up after these rounds had begun: it goes with the next one.
static void rounds(void) {
    struct batch queued = dispatch.queued;
    dispatch.queued.n = 0;
    while (dispatch.asking_count > 0)
        assert_true(round_here(&dispatch));
    dispatch.queued = queued;
}

static void ask(struct task *t, struct lookup *asked, size_t n) {
    dispatch_ask(t, asked, n, nothing);
    rounds();
}

// What the dispatcher does with a request, and with those who wait: the queues are asked for, then what is in one.
static void join(struct task *t) {
    size_t n;
    struct lookup *queues = wait_queues_wanted(t, &n);
    assert_non_null(queues);
    ask(t, queues, n);
    wait_join(t);
}

static bool answer_some(struct task *t) {
    struct err e;
    size_t n;
    struct lookup *asked = wait_queues_wanted(t, &n);
    ask(t, asked, n);
    asked = wait_requests_wanted(t, &n);
    if (!asked)
        return false;
    ask(t, asked, n);
    MUST(wait_answer(t, &e));
    return true;
}

static struct task claimed(struct env *v, const char *source, const char *topic, struct sv body) {
    struct delivery d = hook(v, body);
    struct sv key = arena_dup(&arena, body);
    d.source = sv_of(source);
    d.topic = sv_of(topic);
    d.keys = &key;
    d.key_count = 1;
    assert_int_equal(take(v, d), ACCEPTED_NEW);
    struct task t = {.dispatch = &dispatch, .shop = &shop, .config = &config, .job = *claim_soon(v, LONG_MS)};
    arena_init(&t.arena, 16 << 20);
    assert_true(sv_eq(t.job.body, body));
    task_decode(&t, nothing);
    rounds();
    return t;
}

// What the dispatcher does: the marks go with the next change.
static enum rc record(struct env *v, struct task *t) {
    struct change c = {.kind = CHANGE_RECORD, .job = &t->job, .lease_ms = LONG_MS, .marks = t->waiting.marks, .mark_count = t->waiting.count,
                       .remember = t->waiting.requests, .remember_count = t->decoded.restocked ? 0 : t->waiting.count};
    return commit(v, &c);
}

static void done(struct env *v, struct task *t) {
    assert_int_equal(finish_as(v, &t->job, JOB_DONE), RC_OK);
    arena_free(&t->arena);
}

static struct task asks(struct env *v, int n, const char *item) {
    struct task t = claimed(v, "events", REQUEST, arena_fmt(&arena, "{\"id\":\"w%d\",\"name\":\"" REQUEST "\",\"time\":\"2026-11-21T09:00:00Z\","
                                                                    "\"user\":{\"email\":\"p%d@klaviyo-demo.com\"},\"items\":[%s]}", n, n, item));
    join(&t);
    assert_true(t.waiting.count > 0);
    return t;
}

static void waits(struct env *v, int n, const char *item) {
    struct task t = asks(v, n, item);
    assert_int_equal(record(v, &t), RC_OK);
    done(v, &t);
}

static struct task in_stock(struct env *v, const char *topic, const char *body) {
    static int webhooks;
    struct sv another = arena_fmt(&arena, SV_FMT ",\"n\":%d}", SV_ARG(sv_sub(sv_of(body), 0, strlen(body) - 1)), ++webhooks);
    struct task t = claimed(v, "shopify", topic, another);
    assert_non_null(t.decoded.restocked);
    return t;
}

// told: how many people a webhook tells, each of them in a lane of their own.
static size_t told(struct env *v, const char *topic, const char *body) {
    struct task t = in_stock(v, topic, body);
    for (size_t batches = 0; answer_some(&t); batches++) {
        assert_in_range(batches, 0, 10);
        assert_int_equal(record(v, &t), RC_OK);
    }
    size_t n = t.waiting.answered;
    done(v, &t);
    return n;
}

static void expect_told(struct env *v, size_t n) {
    struct job *jobs;
    int64_t next;
    assert_int_equal(claim_many(v, n + 1, LONG_MS, &jobs, &next), n);
    for (size_t i = 0; i < n; i++) {
        expect_text(jobs[i].source, "events", i);
        expect_text(jobs[i].topic, "inventory_restocked", i);
        assert_true(sv_contains_nocase(jobs[i].body, SV("_restocked\"")));
        assert_int_equal(finish_as(v, &jobs[i], JOB_DONE), RC_OK);
    }
}

static void begin(struct env *v) {
    setup(NULL);
    dispatch = (struct dispatch){.given.store = v->store, .asking = asking, .telling = telling};
    arena_init(&dispatch.round.arena, 16 << 20);
    shop = shop_of_both();
    shop.name = sv_of(v->shop);
}

#define SERUM "{\"variant_id\":\"808950810\"}"

static void end(void) {
    arena_free(&dispatch.round.arena);
    arena_free(&arena);
}

static void each_is_told_once(void **state) {
    struct env *v = *state;
    begin(v);
    assert_int_equal(told(v, "variants/in_stock", VARIANT), 0);
    for (int n = 1; n <= 3; n++)
        waits(v, n, SERUM);
    waits(v, 4, "{\"variant_id\":\"808950811\"}");  // something else
    assert_int_equal(told(v, "variants/in_stock", VARIANT), 3);
    expect_told(v, 3);
    assert_int_equal(told(v, "variants/in_stock", VARIANT), 0);
    expect_told(v, 0);
    waits(v, 5, SERUM);
    assert_int_equal(told(v, "variants/in_stock", VARIANT), 1);
    expect_told(v, 1);
    end();
}

static void by_whatever_name(void **state) {
    struct env *v = *state;
    begin(v);
    waits(v, 1, "{\"sku\":\"SKU-481\"}");
    waits(v, 2, "{\"inventory_item_id\":\"gid://shopify/InventoryItem/39072856\"}");
    waits(v, 3, "{\"variant_id\":\"808950810\",\"inventory_item_id\":\"39072856\",\"sku\":\"SKU-481\"}");
    assert_int_equal(told(v, "inventory_levels/update", LEVEL), 2);
    expect_told(v, 2);
    assert_int_equal(told(v, "variants/in_stock", VARIANT), 1);  // the third is known by then
    expect_told(v, 1);
    end();
}

static void more_than_a_batch(void **state) {
    struct env *v = *state;
    begin(v);
    for (int n = 0; n < 120; n++)
        waits(v, n, SERUM);
    assert_int_equal(told(v, "variants/in_stock", VARIANT), 120);
    expect_told(v, 120);
    end();
}

// Two who saw the same queue: the second one finds it changed, though it would have moved its end to the same place.
static void two_ask_at_once(void **state) {
    struct env *v = *state;
    begin(v);
    struct task a = asks(v, 1, SERUM), b = asks(v, 2, SERUM);
    assert_int_equal(record(v, &a), RC_OK);
    assert_int_equal(record(v, &a), RC_OK);  // its answer was lost: nothing changes
    assert_int_equal(record(v, &b), RC_CONFLICT);
    join(&b);
    assert_int_equal(record(v, &b), RC_OK);
    done(v, &a);
    done(v, &b);
    assert_int_equal(told(v, "variants/in_stock", VARIANT), 2);
    end();
}

// Requests of one commit follow each other; a webhook in the same commit does not count on those that are not stored yet.
static void in_one_commit(void **state) {
    struct env *v = *state;
    struct err e;
    begin(v);
    waits(v, 0, SERUM);
    struct task a = asks(v, 1, SERUM), webhook = in_stock(v, "variants/in_stock", VARIANT);
    struct change changes[3] = {
        {.kind = CHANGE_RECORD, .job = &a.job, .lease_ms = LONG_MS, .marks = a.waiting.marks, .mark_count = 1, .remember = a.waiting.requests, .remember_count = 1},
    };
    dispatch.queued = (struct batch){.changes = changes, .n = 1};
    struct task b = asks(v, 2, SERUM);
    assert_true(answer_some(&webhook));
    assert_int_equal(webhook.waiting.answered, 1);
    changes[1] = changes[0];
    changes[1].job = &b.job;
    changes[1].marks = b.waiting.marks;
    changes[1].remember = b.waiting.requests;
    changes[2] = (struct change){.kind = CHANGE_RECORD, .job = &webhook.job, .lease_ms = LONG_MS, .marks = webhook.waiting.marks, .mark_count = 1};
    MUST(store_commit(v->store, changes, 3, &e));
    assert_true(changes[0].result == RC_OK && changes[1].result == RC_OK && changes[2].result == RC_CONFLICT);
    done(v, &a);
    done(v, &b);
    done(v, &webhook);
    dispatch.queued.n = 0;
    expect_told(v, 1);
    assert_int_equal(told(v, "variants/in_stock", VARIANT), 2);
    end();
}

// They are accepted, and then whoever did it is gone; or somebody asks, or another webhook came, in between.
static void broken_off(void **state) {
    struct env *v = *state;
    begin(v);
    waits(v, 1, SERUM);
    waits(v, 2, SERUM);
    struct task lost = in_stock(v, "variants/in_stock", VARIANT);
    assert_true(answer_some(&lost) && lost.waiting.answered == 2);
    expect_told(v, 2);
    waits(v, 3, SERUM);
    assert_int_equal(record(v, &lost), RC_CONFLICT);
    assert_int_equal(told(v, "variants/in_stock", VARIANT), 1);
    assert_false(answer_some(&lost));
    done(v, &lost);
    expect_told(v, 1);
    end();
}

static void full_queue(void **state) {
    struct env *v = *state;
    struct err e;
    begin(v);
    struct task t = asks(v, 1, SERUM);
    t.waiting.marks[0].value = SV("7:10007:x");
    assert_int_equal(record(v, &t), RC_OK);
    done(v, &t);
    waits(v, 2, SERUM);
    struct lookup mark = {.shop = shop.name, .key = SV("waiting:variant:808950810"), .mark = true};
    MUST(store_look_up(v->store, &arena, &mark, 1, &e));
    assert_true(sv_starts(mark.ret, SV("8:10008:")));
    end();
}

int main(void) {
    static const struct store_case cases[] = {
        {"each_is_told_once", each_is_told_once}, {"by_whatever_name", by_whatever_name}, {"more_than_a_batch", more_than_a_batch},
        {"two_ask_at_once", two_ask_at_once}, {"broken_off", broken_off}, {"in_one_commit", in_one_commit}, {"full_queue", full_queue},
    };
    const struct CMUnitTest pure[] = {TEST(answers), TEST(answers_to_odd_requests)};
    int failed = cmocka_run_group_tests_name("waiting, pure", pure, NULL, NULL);
    return run_on_each_engine("waiting", cases, COUNTOF(cases)) + failed;
}
