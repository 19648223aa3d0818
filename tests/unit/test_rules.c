// Rules: what a shop's file changes of the default, which rule an event goes by, and what is said of a file that makes no sense.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "mapping/destination.h"
#include "tests/unit/default_rules.h"
#include "tests/unit/members.h"

#include <string.h>

#define NOW_MS INT64_C(1763719200000)  // 2025-11-21T10:00:00Z

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    bool fine = arena_ok(&arena);
    arena_free(&arena);
    return fine ? 0 : -1;
}

static struct shop shop_with(const char *own) {
    struct sv text = own ? arena_fmt(&arena, "version: 1\n%s", own) : SV_NONE;
    return (struct shop){
        .name = SV("acme"), .domain = SV("acme.myshopify.com"), .rules = rules_over(&arena, text),
        .meta = {.configured = true, .pixel_id = SV("1"), .access_token = SV("t"), .api_version = SV("v25.0"), .base_url = SV("https://m.example")},
        .klaviyo = {.configured = true, .api_key = SV("pk"), .list_id = SV("Y6nRLr"), .base_url = SV("https://k.example")},
    };
}

static struct item items[] = {
    {.variant_id = SV("11"), .sku = SV("A-1"), .title = SV("Serum"), .quantity = SV("2"), .price = SV("50.00"), .vendor = SV("Roth")},
    {.variant_id = SV("12"), .sku = SV("B-1"), .title = SV("Brush"), .quantity = SV("1"), .price = SV("29.95")},
};

static struct event event_named(const char *name) {
    struct event e = {
        .id = SV("e1"), .name = event_name_of(sv_of(name)), .custom_name = sv_of(name), .time_ms = NOW_MS, .shop = SV("acme"), .origin = SV("web"),
        .user = {.email = SV("ava@klaviyo-demo.com"), .first_name = SV("Ava"), .country = SV("US")}, .consent = {.marketing = CONSENT_GRANTED},
        .value = SV("129.95"), .currency = SV("EUR"), .items = items, .item_count = COUNTOF(items),
    };
    event_property(&e, "order_id", SV("450789469"));
    event_property(&e, "order_name", SV("#1001"));
    event_property(&e, "checkout_url", SV("https://shop.example/checkouts/1"));
    event_property(&e, "gift", SV("yes"));
    return e;
}

static const struct destination *destination_named(const char *name) {
    for (size_t i = 0; i < destination_count; i++)
        if (strcmp(destinations[i]->name, name) == 0)
            return destinations[i];
    fail_msg("no destination %s", name);
    return NULL;
}

// What stands in the attributes of a body, or in Meta's one event.
static const struct json *sent(const struct destination *d, struct event *e, const struct shop *s) {
    rule_choose(&arena, s, e);
    const struct json *json = json_parsed(&arena, d->draft(&arena, e, s, NOW_MS).body);
    return d == &destination_meta ? json_get(json, "data")->child : json_at(json, "data.attributes");
}

// ---- a shop's file over the default

struct change {
    const char *own, *event, *destination, *path, *want;  // want NULL: absent
};

static void assert_changes(const struct change *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct shop s = shop_with(rows[i].own);
        struct event e = event_named(rows[i].event);
        struct sv is = json_str(sent(destination_named(rows[i].destination), &e, &s), rows[i].path);
        if (!sv_eq(is, sv_of(rows[i].want)))
            fail_msg("row %zu: %s is \"" SV_FMT "\", not \"%s\"\n%s", i, rows[i].path, SV_ARG(is), rows[i].want ? rows[i].want : "(absent)", rows[i].own);
    }
}

#define K "klaviyo.event"
#define METRIC "metric.data.attributes.name"

static void test_laid_over(void **state) {
    (void)state;
    static const char metric[] = "rules: {purchase: {klaviyo: {metric: Bought}}}";
    static const char added[] = "rules: {purchase: {klaviyo: {properties: {Gift: properties.gift}}}}";
    static const char removed[] = "rules: {checkout_started: {klaviyo: {value: null, properties: {CheckoutURL: ~}}}}";
    static const char set[] = "sets: {order: {OrderId: properties.order_name, DiscountCode: null}}";
    static const char own_set[] = "sets: {tier: {Tier: {constant: gold}}}\nrules: {purchase: {klaviyo: {use: [tier]}}}";
    static const char beats[] = "rules: {purchase: {klaviyo: {properties: {OrderId: properties.order_name}}}}";
    static const char data[] = "rules: {purchase: {meta: {event: Order, data: {gift: properties.gift, order_id: null}}}}";
    static const char fields[] = "rules: {purchase: {klaviyo: {properties: {Items: {each: items, when: 'item.price > 30', fields: {SKU: item.sku}}}}}}";
    static const struct change rows[] = {
        {NULL, "purchase", K, METRIC, "Placed Order"},
        {metric, "purchase", K, METRIC, "Bought"},
        {metric, "purchase", K, "properties.OrderId", "450789469"},
        {metric, "purchase", K, "value", "129.95"},
        {metric, "refund", K, METRIC, "Refunded Order"},
        {added, "purchase", K, "properties.Gift", "yes"},
        {added, "purchase", K, "properties.item_count", "3"},
        {added, "refund", K, "properties.Gift", NULL},
        {removed, "checkout_started", K, "properties.CheckoutURL", NULL},
        {removed, "checkout_started", K, "value", NULL},
        {removed, "checkout_started", K, METRIC, "Started Checkout"},
        {removed, "cart_started", K, "properties.CheckoutURL", "https://shop.example/checkouts/1"},
        {set, "purchase", K, "properties.OrderId", "#1001"},
        {set, "refund", K, "properties.OrderId", "#1001"},
        {set, "purchase", K, "properties.shipping_country", "US"},
        {own_set, "purchase", K, "properties.Tier", "gold"},
        {own_set, "purchase", K, "properties.OrderId", NULL},  // a list of sets is replaced whole
        {beats, "purchase", K, "properties.OrderId", "#1001"},
        {beats, "refund", K, "properties.OrderId", "450789469"},
        {data, "purchase", "meta", "event_name", "Order"},
        {data, "purchase", "meta", "custom_data.gift", "yes"},
        {data, "purchase", "meta", "custom_data.order_id", NULL},
        {data, "purchase", "meta", "custom_data.content_type", "product"},
        {fields, "purchase", K, "properties.item_count", "3"},
        {"rules: {refund: {klaviyo: {properties: {refund_value: {constant: 7}}}}}", "refund", K, "properties.refund_value", "7"},
        {"sets: {order: {DiscountValue: {constant: 5}}}", "purchase", K, "properties.DiscountValue", "5"},
        {"rules: {quiz: {klaviyo: {properties: {OrderId: properties.order_name}, use: [order]}}}", "quiz", K, "properties.OrderId", "#1001"},
        {"rules: {purchase: {purpose: transactional}}", "purchase", K, "properties.purpose", "transactional"},
        {"rules: {purchase: {on_fail: stop}}", "purchase", K, "properties.purpose", "marketing"},
        {NULL, "purchase", K, "properties.gift", "yes"},
        {"rules: {purchase: {klaviyo: {pass: false}}}", "purchase", K, "properties.gift", NULL},
        {"rules: {purchase: {klaviyo: {pass: false}}}", "purchase", K, "properties.source", "fireorder"},
        {"rules: {purchase: {klaviyo: {value: item.total}}}", "purchase", K, "value", "100.00"},
        {"rules: {purchase: {klaviyo: {flow_window: 0s}}}", "purchase", K, "backfill", NULL},
        {"rules: {purchase: {klaviyo: {identify: {tier: {constant: gold}}}}}", "purchase", "klaviyo.profile", "properties.tier", "gold"},
        {"rules: {begin_checkout: {klaviyo: {metric: Began}}}", "checkout_started", K, METRIC, "Began"},
        {"rules: {begin_checkout: {klaviyo: {metric: Began}}}", "started_checkout", K, "properties.CheckoutURL", "https://shop.example/checkouts/1"},
    };
    assert_changes(rows, COUNTOF(rows));
    struct shop s = shop_with(fields);
    struct event e = event_named("purchase");
    const struct json *list = json_at(sent(&destination_klaviyo, &e, &s), "properties.Items");
    assert_int_equal(list->count, 1);
    assert_int_equal(list->child->count, 1);  // a field is replaced whole
}

static void test_names_of_the_shops_own(void **state) {
    (void)state;
    static const char own[] = "rules: {quiz_taken: {meta: {event: QuizTaken, data: {order_id: properties.order_id}}, klaviyo: {metric: Took Quiz, value: value}}}";
    static const struct change rows[] = {
        {NULL, "quiz_taken", K, METRIC, "quiz_taken"},
        {NULL, "quiz_taken", K, "value", "129.95"},
        {NULL, "quiz_taken", K, "properties.item_count", "3"},
        {NULL, "quiz_taken", K, "properties.dedup_scope", "acme:quiz_taken"},
        {own, "quiz_taken", K, METRIC, "Took Quiz"},
        {own, "quiz_taken", K, "properties.item_count", NULL},  // nothing is taken over from `custom`
        {own, "quiz_taken", "meta", "event_name", "QuizTaken"},
        {own, "quiz_taken", "meta", "custom_data.order_id", "450789469"},
        {own, "quiz_begun", K, METRIC, "quiz_begun"},
        {"rules: {custom: {klaviyo: {metric: Anything}}}", "quiz_taken", K, METRIC, "Anything"},
        {"rules: {quiz_taken: {klaviyo: {properties: {Gift: properties.gift}}}}", "quiz_taken", K, METRIC, "quiz_taken"},
    };
    assert_changes(rows, COUNTOF(rows));
}

// Each key is where it was said last.
static void test_places(void **state) {
    (void)state;
    struct shop s = shop_with("rules:\n  purchase:\n    on_fail: stop\n    klaviyo:\n      metric: Bought\n      identify: false\n");
    static const struct {
        const char *key;
        bool own;
    } rows[] = {{"on_fail", true}, {"max_wait", false}, {"meta.event", false}, {"klaviyo.metric", true}, {"klaviyo.trigger", false}, {"klaviyo.value", false}, {"klaviyo.identify", true}};
    struct event e = event_named("purchase");
    rule_choose(&arena, &s, &e);
    size_t n = 0;
    for (const struct place *p = e.rule->places; p; p = p->next)
        n++;
    assert_int_equal(n, COUNTOF(rows));
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        const struct place *p = e.rule->places;
        while (p && !sv_is(p->key, rows[i].key))
            p = p->next;
        assert_non_null(p);
        assert_int_equal(strcmp(p->file, "default.yaml") != 0, rows[i].own);
    }
}

// Beside Klaviyo's own Shopify integration what would count twice goes by its trigger name, without revenue.
// Value and currency are properties either way, where the mapping says so.
static void test_trigger_or_metric(void **state) {
    (void)state;
    static const struct {
        bool native;
        const char *own, *event, *name, *value, *property;
    } rows[] = {
        {false, NULL, "purchase", "Placed Order", "129.95", "129.95"},
        {true, NULL, "purchase", "post_purchase_ready", NULL, "129.95"},
        {true, NULL, "repeat_purchase", "Placed Repeat Order", "129.95", "129.95"},
        {true, NULL, "sign_up", "Subscribed to Newsletter", NULL, NULL},
        {true, "rules: {purchase: {klaviyo: {metric: Bought}}}", "purchase", "post_purchase_ready", NULL, "129.95"},
        {true, "rules: {purchase: {klaviyo: {trigger: ready}}}", "purchase", "ready", NULL, "129.95"},
        {true, "rules: {purchase: {klaviyo: {trigger: null}}}", "purchase", "Placed Order", "129.95", "129.95"},
        {true, "rules: {lead: {klaviyo: {trigger: lead_seen}}}", "lead", "lead_seen", NULL, "129.95"},
        {false, "rules: {lead: {klaviyo: {trigger: lead_seen}}}", "lead", "Submitted Lead Form", "129.95", "129.95"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop s = shop_with(rows[i].own);
        s.klaviyo.native_integration = rows[i].native;
        struct event e = event_named(rows[i].event);
        const struct json *attributes = sent(&destination_klaviyo, &e, &s);
        const char *const want[][2] = {
            {METRIC, rows[i].name}, {"value", rows[i].value}, {"value_currency", rows[i].value ? "EUR" : NULL},
            {"properties.value", rows[i].property}, {"properties.currency", rows[i].property ? "EUR" : NULL},
        };
        assert_members(attributes, want, COUNTOF(want));
    }
}

// ---- what is not sent, and why

static void test_not_sent(void **state) {
    (void)state;
    static const char skip[] = "rules: {sign_up: {skip: true, klaviyo: {skip: false}}}";
    static const char skip_klaviyo[] = "rules: {sign_up: {klaviyo: {skip: true}}}";
    static const char known_only[] = "rules: {sign_up: {klaviyo: {skip: true, identify: true}}}";
    static const char nobody_told[] = "rules: {sign_up: {skip: true, klaviyo: {identify: {seen: id}}}}";
    static const char when[] = "rules: {sign_up: {klaviyo: {when: 'value >= 130'}, meta: {when: 'value >= 129.95'}}}";
    static const char by_mapping[] = "skipped by the mapping", no_when[] = "the mapping's `when` does not hold";
    static const struct {
        const char *own, *destination, *reason;  // reason NULL: it is sent
    } rows[] = {
        {NULL, "meta", NULL}, {NULL, "klaviyo.profile", NULL}, {NULL, K, NULL}, {NULL, "klaviyo.list", NULL},
        {skip, "meta", by_mapping}, {skip, "klaviyo.profile", by_mapping}, {skip, K, by_mapping}, {skip, "klaviyo.list", by_mapping},
        {"rules: {sign_up: {skip: false}}", K, NULL},
        {skip_klaviyo, "meta", NULL}, {skip_klaviyo, "klaviyo.profile", by_mapping}, {skip_klaviyo, K, by_mapping}, {skip_klaviyo, "klaviyo.list", by_mapping},
        {"rules: {sign_up: {meta: {skip: true}}}", "meta", by_mapping}, {"rules: {sign_up: {meta: {skip: true}}}", K, NULL},
        {when, "meta", NULL}, {when, "klaviyo.profile", no_when}, {when, K, no_when}, {when, "klaviyo.list", no_when},
        {"rules: {sign_up: null}", "meta", by_mapping}, {"rules: {sign_up: null}", K, by_mapping}, {"rules: {sign_up: null}", "klaviyo.list", by_mapping},
        {"rules: {sign_up: [{when: 'origin == \"pos\"'}]}", K, by_mapping},
        {"rules: {sign_up: {meta: null}}", "meta", "no Meta event for sign_up"},
        {"rules: {sign_up: {klaviyo: {metric: null, trigger: null}}}", K, "no Klaviyo metric for sign_up"},
        {"rules: {sign_up: {klaviyo: {identify: false}}}", "klaviyo.profile", "the mapping does not identify here"},
        {"rules: {sign_up: {klaviyo: {identify: false}}}", K, NULL},
        {known_only, "meta", NULL}, {known_only, "klaviyo.profile", NULL}, {known_only, K, by_mapping}, {known_only, "klaviyo.list", by_mapping},
        {nobody_told, "meta", by_mapping}, {nobody_told, "klaviyo.profile", NULL}, {nobody_told, K, by_mapping},
        {"rules: {sign_up: {skip: true, klaviyo: {identify: false}}}", "klaviyo.profile", by_mapping},
        {"rules: {sign_up: {skip: true, klaviyo: {identify: true, when: 'value > 130'}}}", "klaviyo.profile", no_when},
        {"rules: {sign_up: {meta: {consent: analytics}}}", "meta", "consent unknown"},
        {"rules: {sign_up: {meta: {consent: none}}}", "meta", NULL},
        {"rules: {sign_up: {klaviyo: {consent: analytics}}}", "klaviyo.profile", "consent unknown"},
        {"rules: {sign_up: {klaviyo: {consent: marketing}}}", K, NULL},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop s = shop_with(rows[i].own);
        s.consent.meta = s.consent.klaviyo = (struct consent_policy){CONSENT_FOR_MARKETING, UNKNOWN_DENY, OPT_OUT_SKIP};
        struct event e = event_named("sign_up");
        struct sv reason = SV_NONE;
        rule_choose(&arena, &s, &e);
        bool applies = destination_named(rows[i].destination)->applies(&arena, &e, &s, &reason);
        if (applies != !rows[i].reason || (!applies && !sv_is(reason, rows[i].reason)))
            fail_msg("row %zu: %d " SV_FMT "\n%s", i, applies, SV_ARG(reason), rows[i].own ? rows[i].own : "");
    }
}

// ---- which rule

static void test_first_that_holds(void **state) {
    (void)state;
    static const char list[] =
        "rules:\n"
        "  purchase:\n"
        "    - { when: 'origin == \"pos\"', klaviyo: { metric: Bought in Store } }\n"
        "    - { when: value >= 100 and user.address.country == \"US\", klaviyo: { metric: Big Order } }\n"
        "    - { klaviyo: { metric: Small Order } }\n";
    static const struct {
        const char *origin, *value, *want;
        size_t line;
    } rows[] = {
        {"pos", "129.95", "Bought in Store", 4}, {"web", "100", "Big Order", 5}, {"web", "99.99", "Small Order", 6}, {"web", NULL, "Small Order", 6},
    };
    struct shop s = shop_with(list);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = event_named("purchase");
        e.origin = sv_of(rows[i].origin);
        e.value = sv_of(rows[i].value);
        assert_member(sent(&destination_klaviyo, &e, &s), METRIC, rows[i].want);
        assert_member(sent(&destination_klaviyo, &e, &s), "properties.OrderId", NULL);  // the default's rule is gone whole
        assert_string_equal(e.rule->file, "own.yaml");
        assert_int_equal(e.rule->line, rows[i].line);
    }
    struct event e = event_named("refund");
    rule_choose(&arena, &s, &e);
    assert_string_equal(e.rule->file, "default.yaml");
}

static void test_patience_and_window(void **state) {
    (void)state;
    struct shop s = shop_with("rules: {purchase: {on_fail: stop, max_wait: 2h, klaviyo: {flow_window: 24h}}, quiz_taken: {max_wait: 0s}, lead: {on_fail: hold}}");
    static const struct {
        const char *event;
        enum on_fail on_fail;
        int64_t max_wait_ms, flow_window_ms;
    } rows[] = {
        {"purchase", ON_FAIL_STOP, HOURS_MS(2), HOURS_MS(24)}, {"repeat_purchase", ON_FAIL_CONTINUE, SECONDS_MS(10), HOURS_MS(72)},
        {"quiz_taken", ON_FAIL_CONTINUE, 0, HOURS_MS(72)}, {"lead", ON_FAIL_HOLD, SECONDS_MS(10), HOURS_MS(72)},
        {"checkout_started", ON_FAIL_HOLD, MINUTES_MS(15), HOURS_MS(72)}, {"anything", ON_FAIL_CONTINUE, SECONDS_MS(10), HOURS_MS(72)},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = event_named(rows[i].event);
        rule_choose(&arena, &s, &e);
        assert_int_equal(e.rule->patience.on_fail, rows[i].on_fail);
        assert_int_equal(e.rule->patience.max_wait_ms, rows[i].max_wait_ms);
        assert_int_equal(e.rule->flow_window_ms, rows[i].flow_window_ms);
        assert_int_equal(rule_patience(s.rules, sv_of(rows[i].event)).max_wait_ms, rows[i].max_wait_ms);
    }
}

// Where a field stands is kept: `fireorder map` shows it.
static void test_origin_of_a_field(void **state) {
    (void)state;
    struct shop s = shop_with("rules:\n  purchase:\n    klaviyo:\n      properties:\n        Gift: properties.gift\n");
    struct event e = event_named("purchase");
    rule_choose(&arena, &s, &e);
    size_t found = 0;
    for (size_t i = 0; i < e.rule->klaviyo.fields.n; i++) {
        const struct field *f = &e.rule->klaviyo.fields.v[i];
        bool own = sv_is(f->name, "Gift");
        assert_string_equal(f->file, own ? "own.yaml" : "default.yaml");
        assert_true(own ? f->line == 6 : f->line > 0);
        found += own;
    }
    assert_int_equal(found, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_laid_over),
        cmocka_unit_test(test_names_of_the_shops_own),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_trigger_or_metric),
        cmocka_unit_test(test_not_sent),
        cmocka_unit_test(test_first_that_holds),
        cmocka_unit_test(test_patience_and_window),
        cmocka_unit_test(test_origin_of_a_field),
    };
    return cmocka_run_group_tests_name("rules", tests, set_up, tear_down);
}
