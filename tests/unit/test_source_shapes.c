// What may come instead of what we expect: other spellings, wrong shapes, values gone missing, rules of where an order comes from.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/fixtures.h"

#include <string.h>

static struct sv identity_in(const char *topic, struct sv body, const char *kind) {
    struct where w = where(topic);
    struct identity v[IDENTITIES_MAX];
    size_t n;
    assert_int_equal(source_scan(&arena, source_topic(w.source, w.topic), body, v, &n, NULL), RC_OK);
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].kind, kind) == 0)
            return v[i].value;
    return SV_NONE;
}

static void scan_reads_values(void **state) {
    (void)state;
    assert_text(identity_in("shopify/orders/create/x", body_of("shopify/orders/create/big_id"), "order"), "820982911946154508");
    assert_text(identity_in("shopify/orders/create/x", body_of("shopify/orders/create/fbclid_only"), "email"), "liam.carter@klaviyo-demo.com");
    assert_text(identity_in("recharge/charge/paid/x", body_of("recharge/charge/paid/renewal"), "order"), "6240018567178");
    assert_text(identity_in("shopify/orders/create/x", SV("{\"email\":\"Ava\\u002bx@klaviyo-demo.com\"}"), "email"), "ava+x@klaviyo-demo.com");
    assert_text(identity_in("shopify/orders/create/x", SV("{\"email\":\"not an address\",\"contact_email\":\"a@klaviyo-demo.com\"}"), "email"), "a@klaviyo-demo.com");
    assert_text(identity_in("shopify/orders/create/x", SV("{\"id\":null,\"x\":{\"id\":1},\"y\":[{\"id\":2}]}"), "order"), NULL);
    assert_text(identity_in("shopify/orders/create/x", SV("{\"id\":\"\",\"customer\":{\"id\":true}}"), "order"), NULL);
    assert_text(identity_in("shopify/orders/create/x", SV("{\"id\":1,\"id\":2}"), "order"), "1");
}

static void scan_refuses_what_is_not_one_object(void **state) {
    (void)state;
    struct sv big = body_of("shopify/orders/create/with_fbp_fbc");
    const struct topic *topic = source_topic(&source_shopify, SV("orders/create"));
    struct identity v[IDENTITIES_MAX];
    size_t n, end = big.n - 1;  // the last byte is a line feed
    struct err e;
    for (size_t cut = 0; cut < end; cut++)
        assert_int_equal(source_scan(&arena, topic, sv_sub(big, 0, cut), v, &n, &e), RC_INVALID);
    static const char *const not_objects[] = {"", "[]", "1", "\"x\"", "null", "{}{}", "{} x", "{\"a\":1,}"};
    for (size_t i = 0; i < COUNTOF(not_objects); i++)
        assert_int_equal(source_scan(&arena, NULL, sv_of(not_objects[i]), v, &n, &e), RC_INVALID);
    assert_int_equal(source_scan(&arena, NULL, SV(" {\"id\":1} \r\n"), v, &n, &e), RC_OK);
    assert_int_equal(n, 0);
}

#define O "{\"id\":7,\"created_at\":\"2026-11-20T10:00:00Z\",\"total_price\":\"9.00\""
static void shapes_and_rules(void **state) {
    (void)state;
    static const struct { const char *topic, *body, *outcome; enum config config; } cases[] = {  // outcome: event id or start of the reason
        {"shopify/orders/create/", O "}", "ord_7_purchase", PLAIN},
        {"shopify/orders/create/", O ",\"admin_graphql_api_id\":\"gid:\\/\\/shopify\\/Order\\/820982911946154508\"}", "ord_7_purchase", PLAIN},
        {"shopify/orders/create/", "{\"created_at\":\"2026-11-20T10:00:00Z\",\"admin_graphql_api_id\":\"gid:\\/\\/shopify\\/Order\\/820982911946154508\"}", "ord_820982911946154508_purchase", PLAIN},
        {"shopify/orders/create/", O ",\"financial_status\":\"authorized\"}", "ord_7_purchase", PLAIN},
        {"shopify/orders/create/", O ",\"financial_status\":\"partially_paid\"}", "ord_7_purchase", PLAIN},
        {"shopify/orders/create/", O ",\"financial_status\":\"refunded\"}", "waiting for orders/paid", PLAIN},
        {"shopify/orders/create/", O ",\"source_name\":\"5284869\"}", "ord_7_purchase", PLAIN},
        {"shopify/orders/create/", O ",\"app_id\":294517,\"source_name\":\"294517\"}", "ord_7_renewal", PLAIN},
        {"shopify/orders/create/", O ",\"app_id\":294517,\"tags\":\"Subscription, Subscription First Order\"}", "ord_7_purchase", RECHARGE_TOO},
        {"shopify/orders/create/", O ",\"source_name\":\"web\",\"tags\":\"Subscription Recurring Order\"}", "renewal: Recharge", RECHARGE_TOO},
        {"shopify/orders/paid/", O ",\"source_name\":\"subscription_contract\"}", "ord_7_renewal", PLAIN},
        {"shopify/orders/create/", O ",\"tags\":\"Subscription Recurring Order, Prepaid\"}", "prepaid shipment", PLAIN},
        {"shopify/orders/create/", "{\"id\":7,\"created_at\":\"2026-11-20T10:00:00Z\",\"total_price\":\"0.00\",\"tags\":\"Subscription First Order, Prepaid\"}", "prepaid shipment", PLAIN},
        {"shopify/orders/create/", "{\"id\":7,\"created_at\":\"2026-11-20T10:00:00Z\",\"total_price\":\"0.00\"}", "ord_7_purchase", PLAIN},
        {"shopify/orders/create/", O ",\"admin_graphql_api_id\":\"gid://shopify/Customer/7\"}", "body is not of kind Order", PLAIN},
        {"shopify/orders/create/", O ",\"admin_graphql_api_id\":\"gid://shopify/Order/7x\"}", "body is not of kind Order", PLAIN},
        {"shopify/orders/create/", "{\"id\":\"7/../8\",\"created_at\":\"2026-11-20T10:00:00Z\"}", "body is not of kind Order", PLAIN},
        {"shopify/orders/create/", "{}", "body is not of kind Order", PLAIN},
        {"shopify/orders/create/", "{\"id\":7}", "order has no time", PLAIN},
        {"shopify/orders/create/", "[]", "JSON: the body is not an object", PLAIN},
        {"shopify/orders/create/", "{", "JSON: ", PLAIN},
        {"shopify/refunds/create/", "{\"id\":1,\"created_at\":\"2026-11-20T10:00:00Z\"}", "refund has no order_id", PLAIN},
        {"shopify/refunds/create/", "{\"id\":1,\"order_id\":7}", "refund has no time", PLAIN},
        {"shopify/checkouts/create/", "{\"id\":1}", "body is not a checkout", PLAIN},
        {"shopify/carts/create/", "{\"token\":\"ab\",\"line_items\":[{\"id\":1}]}", "cart has no time", PLAIN},
        {"shopify/carts/create/", "{\"token\":\"a b\",\"line_items\":[]}", "body is not a cart", PLAIN},
        {"shopify/carts/create/", "{\"token\":\"ab\"}", "body is not a cart", PLAIN},
        {"recharge/charge/paid/", "{\"subscription\":{\"id\":1}}", "body is not a charge: there is no such member", PLAIN},
        {"recharge/charge/paid/", "{\"charge\":{}}", "body is not a charge: it has no id", PLAIN},
        {"recharge/charge/paid/", "{\"charge\":{\"id\":\"5\",\"type\":\"Checkout\"}}", "first order: Shopify", PLAIN},
        {"recharge/charge/paid/", "{\"charge\":{\"id\":5}}", "charge has no time", PLAIN},
        {"recharge/charge/paid/", "{\"charge\":{\"id\":5,\"processed_at\":\"2026-11-20\",\"shopify_order_id\":77}}", "ord_77_renewal", PLAIN},
        {"recharge/charge/failed/", "{\"charge\":{\"id\":5}}", "charge has no time", PLAIN},
        {"recharge/charge/failed/", "{\"charge\":{\"id\":5,\"type\":\"checkout\"}}", "first order: not a renewal", PLAIN},
        {"recharge/subscription/skipped/", "{\"subscription\":{\"id\":5}}", "subscription has no time", PLAIN},
        {"recharge/subscription/cancelled/", "{\"subscription\":{\"id\":5}}", "subscription has no cancelled_at", PLAIN},
        {"recharge/subscription/skipped/", "{\"subscription\":{\"id\":5,\"updated_at\":\"2026-11-20T10:00:00Z\",\"next_charge_scheduled_at\":\"2026-12-01T00:00:00\"}}", "sub_5_skipped_2026-12-01", PLAIN},
        {"recharge/subscription/skipped/", "{\"subscription\":{\"id\":5,\"updated_at\":\"2026-11-20T10:00:00Z\"}}", "sub_5_skipped_2026-11-20", PLAIN},
        {"recharge/subscription/updated/", "{\"subscription\":{\"id\":5,\"status\":\"cancelled\"}}", "subscription changed", PLAIN},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct where w = where(cases[i].topic);
        struct shop shop = shop_of(cases[i].config);
        struct decoded d;
        source_decode(&arena, w.source, &shop, w.topic, sv_of(cases[i].body), &d);
        struct sv outcome = d.count ? d.events[0].id : sv_first(d.ignored, d.undecodable);
        if (!sv_starts(outcome, sv_of(cases[i].outcome)))
            fail_msg("%s %s: " SV_FMT, cases[i].topic, cases[i].body, SV_ARG(outcome));
    }
}

// What the report counts beside the events: signs of a click, and sales that the other sender tells of.
static void clicks_and_mirrors(void **state) {
    (void)state;
#define ATTRIBUTE(name, value) ",\"note_attributes\":[{\"name\":\"" name "\",\"value\":\"" value "\"}]}"
    static const struct {
        const char *topic, *body;
        enum config config;
        const char *mirrors;
        bool clicked;
    } cases[] = {
        {"shopify/orders/create/", O "}", PLAIN, NULL, false},
        {"shopify/orders/create/", O ATTRIBUTE("_fbc", "fb.1.1763632800000.IwAR0"), PLAIN, NULL, true},
        {"shopify/orders/create/", O ATTRIBUTE("_fbc", "fb.1.yesterday.IwAR0"), PLAIN, NULL, true},
        {"shopify/orders/create/", O ATTRIBUTE("_fbc", "undefined"), PLAIN, NULL, false},
        {"shopify/orders/create/", O ",\"landing_site\":\"/p?a=b&fbclid=IwAR0\"}", PLAIN, NULL, true},
        {"shopify/orders/create/", O ",\"landing_site\":\"/p?gclid=IwAR0\"}", PLAIN, NULL, false},
        {"shopify/orders/create/", O ",\"tags\":\"Subscription Recurring Order\",\"landing_site\":\"/p?fbclid=IwAR0\"}", PLAIN, NULL, false},
        {"shopify/orders/create/", O ",\"tags\":\"Subscription Recurring Order\"}", RECHARGE_TOO, "ord_7_renewal", false},
        {"shopify/orders/create/", O ",\"tags\":\"Subscription First Order\"}", RECHARGE_TOO, NULL, false},
        {"recharge/charge/paid/", "{\"charge\":{\"id\":5,\"type\":\"checkout\",\"shopify_order_id\":77}}", RECHARGE_TOO, "ord_77_purchase", false},
        {"recharge/charge/paid/", "{\"charge\":{\"id\":5,\"type\":\"checkout\"}}", RECHARGE_TOO, NULL, false},
        {"recharge/charge/paid/", "{\"charge\":{\"id\":5,\"processed_at\":\"2026-11-20\",\"shopify_order_id\":77}}", RECHARGE_TOO, NULL, false},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct where w = where(cases[i].topic);
        struct shop shop = shop_of(cases[i].config);
        struct decoded d;
        source_decode(&arena, w.source, &shop, w.topic, sv_of(cases[i].body), &d);
        assert_int_equal(d.count, cases[i].mirrors || d.ignored.p ? 0 : 1);
        if (!sv_eq(d.mirrors, sv_of(cases[i].mirrors)) || (d.count > 0 && d.events[0].clicked != cases[i].clicked))
            fail_msg("%s %s", cases[i].topic, cases[i].body);
    }
}

static void unknown_names(void **state) {
    (void)state;
    assert_null(source_named(SV("stripe")));
    assert_null(source_topic(&source_shopify, SV("orders/creat")));
    assert_null(source_topic(&source_recharge, SV("")));
    struct shop shop = {0};
    struct decoded d;
    source_decode(&arena, &source_shopify, &shop, SV("products/update"), SV("{}"), &d);
    assert_true(sv_present(d.ignored) && d.count == 0 && !d.undecodable.p);
}

static size_t decodings;

static void decode_tree(const struct topic *topic, const struct json *root) {
    static const enum config configs[] = {PLAIN, RECHARGE_TOO | TEST_CODE};
    for (size_t i = 0; i < COUNTOF(configs); i++) {
        struct arena scratch;
        arena_init(&scratch, 1 << 20);
        struct shop shop = shop_of(configs[i]);
        struct decoded d = {0};
        topic->decode(&scratch, &shop, topic, root, &d);
        assert_int_equal((d.count == 1) + sv_present(d.ignored) + sv_present(d.undecodable), 1);
        if (d.count == 1)
            assert_true(sv_present(d.events[0].id) && d.events[0].time_ms > 0);
        decodings++;
        arena_free(&scratch);
    }
}

// Each value of the body in turn becomes null, empty text, a list, an object, a large number, or is gone.
static void mutate(const struct topic *topic, const struct json *root, struct json *node) {
    static const struct json others[] = {
        {.type = JSON_NULL}, {.type = JSON_STRING, .text = {"", 0}}, {.type = JSON_ARRAY}, {.type = JSON_OBJECT},
        {.type = JSON_NUMBER, .text = {"99999999999999999999999999", 26}}, {.type = JSON_TRUE, .text = {"true", 4}},
    };
    for (struct json *child = node->child; child; child = child->next) {
        struct json kept = *child;
        for (size_t i = 0; i < COUNTOF(others); i++) {
            *child = others[i];
            child->key = kept.key;
            child->next = kept.next;
            decode_tree(topic, root);
        }
        *child = kept;
        child->key = SV("gone");
        decode_tree(topic, root);
        *child = kept;
        mutate(topic, root, child);
    }
}

static void any_value_may_be_missing_or_odd(void **state) {
    (void)state;
    static const char *const paths[] = {
        "shopify/orders/create/with_fbp_fbc", "shopify/orders/fulfilled/two_parcels", "shopify/refunds/create/partial",
        "shopify/checkouts/update/email_added", "shopify/carts/create/two_items", "recharge/charge/paid/renewal",
        "recharge/charge/paid/api_2021_01", "recharge/charge/failed/card_declined", "recharge/subscription/created/monthly",
        "recharge/subscription/updated/cancelled_after_retries", "recharge/subscription/skipped/next_delivery",
        "shopify/customers/create/old_api_with_consent", "shopify/customers_email_marketing_consent/update/subscribed",
        "shopify/customers_marketing_consent/update/unsubscribed", "shopify/variants/in_stock/waiting_customer",
        "shopify/inventory_levels/update/available", "events/product_viewed/with_browser", "events/custom/quiz_finished",
    };
    for (size_t i = 0; i < COUNTOF(paths); i++) {
        struct where w = where(paths[i]);
        struct json *root;
        assert_int_equal(json_parse(&arena, body_of(paths[i]), &root, NULL), RC_OK);
        mutate(source_topic(w.source, w.topic), root, root);
    }
    assert_in_range(decodings, 10000, SIZE_MAX);
}

#define E(list) list ":[{\"name\":\"_experiment_id\",\"value\":\"exp_7\"},{\"name\":\"_variant\",\"value\":\"B\"}]"
#define CHARGE "{\"charge\":{\"id\":9,\"type\":\"recurring\",\"processed_at\":\"2026-11-20T10:00:00Z\""

// An experiment stands in the attributes of the cart or in the properties of a line, with or without the underscore that hides it.
static void experiments_and_discounts(void **state) {
    (void)state;
    static const struct { const char *topic, *body, *experiment, *variant, *discount; } cases[] = {
        {"shopify/orders/create/", O "," E("\"note_attributes\"") "}", "exp_7", "B", NULL},
        {"shopify/orders/create/", O ",\"line_items\":[{\"id\":1},{" E("\"properties\"") "}]}", "exp_7", "B", NULL},
        {"shopify/checkouts/create/", "{\"token\":\"t\",\"email\":\"a@klaviyo-demo.com\",\"created_at\":\"2026-11-20T10:00:00Z\",\"line_items\":"
                                      "[{\"properties\":{\"experiment_id\":\"exp_7\",\"variant\":\"A\"}}],\"discount_codes\":[{\"code\":\"TEN\"}]}", "exp_7", "A", "TEN"},
        {"shopify/carts/create/", "{\"token\":\"t\",\"created_at\":\"2026-11-20T10:00:00Z\",\"line_items\":[{\"properties\":{\"_experiment_id\":\"exp_7\"}}]}", "exp_7", NULL, NULL},
        {"shopify/orders/create/", O ",\"note_attributes\":[{\"name\":\"variant\",\"value\":\"B\"}]}", NULL, NULL, NULL},
        {"recharge/charge/paid/", CHARGE "," E("\"order_attributes\"") ",\"discounts\":[{\"id\":1,\"code\":\"TEN\"},{\"code\":\"FIVE\"}]}}", "exp_7", "B", "TEN"},
        {"recharge/charge/paid/", CHARGE ",\"line_items\":[{" E("\"properties\"") "}],\"discount_codes\":[{\"code\":\"TEN\"}]}}", "exp_7", "B", "TEN"},
        {"recharge/charge/paid/", CHARGE ",\"discounts\":{\"code\":\"TEN\"},\"discount_codes\":\"TEN\"}}", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct where w = where(cases[i].topic);
        struct shop shop = shop_of(PLAIN);
        struct decoded d;
        source_decode(&arena, w.source, &shop, w.topic, sv_of(cases[i].body), &d);
        assert_int_equal(d.count, 1);
        assert_text(d.events->experiment_id, cases[i].experiment);
        assert_text(d.events->experiment_variant, cases[i].variant);
        assert_text(event_property_text(d.events, "discount_code"), cases[i].discount);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scan_reads_values, setup, teardown),
        cmocka_unit_test_setup_teardown(scan_refuses_what_is_not_one_object, setup, teardown),
        cmocka_unit_test_setup_teardown(shapes_and_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(experiments_and_discounts, setup, teardown),
        cmocka_unit_test_setup_teardown(clicks_and_mirrors, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_names, setup, teardown),
        cmocka_unit_test_setup_teardown(any_value_may_be_missing_or_odd, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
