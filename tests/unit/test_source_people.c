// Accounts, consent and stock: what each state becomes, whose state it is and of when.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/fixtures.h"

static struct decoded decode(const char *topic, struct sv body) {
    static struct shop shop;
    struct decoded d;
    shop = shop_of(PLAIN);
    source_decode(&arena, &source_shopify, &shop, sv_of(topic), body, &d);
    return d;
}

static struct sv email_body(const char *state, const char *at) {
    return arena_fmt(&arena, "{\"customer_id\":5,\"email_address\":\"ava@klaviyo-demo.com\",\"email_marketing_consent\":{\"state\":%s,"
                     "\"opt_in_level\":\"single_opt_in\",\"consent_updated_at\":%s}}", state, at);
}

#define EMAIL "customers_email_marketing_consent/update"
#define SMS "customers_marketing_consent/update"
#define AT "\"2026-11-20T09:02:40Z\""
#define AT_MS INT64_C(1795165360000)

static void states_of_consent(void **state) {
    (void)state;
    static const struct {
        const char *state, *at, *id, *name, *ignored, *undecodable;
        bool known_as_of;
    } rows[] = {
        {"\"subscribed\"", AT, "cus_5_email_subscribed_1795165360", "sign_up", NULL, NULL, true},
        {"\"SUBSCRIBED\"", AT, "cus_5_email_subscribed_1795165360", "sign_up", NULL, NULL, true},
        {"\"unsubscribed\"", AT, "cus_5_email_unsubscribed_1795165360", "consent_revoked", NULL, NULL, true},
        {"\"pending\"", AT, "cus_5_email_pending_1795165360", "sign_up", NULL, NULL, true},
        {"\"not_subscribed\"", AT, NULL, NULL, "never subscribed: nothing begins and nothing ends", NULL, true},
        {"\"not_subscribed\"", "null", NULL, NULL, "never subscribed: nothing begins and nothing ends", NULL, false},
        {"\"invalid\"", AT, NULL, NULL, "the address is not valid", NULL, true},
        {"\"redacted\"", AT, NULL, NULL, "the person was erased", NULL, true},
        {"\"paused\"", AT, NULL, NULL, "consent is in a state that is not known here", NULL, true},
        {"\"subscribed\"", "null", NULL, NULL, NULL, "consent has no consent_updated_at: whether it is the newest cannot be told", false},
        {"null", AT, NULL, NULL, NULL, "body is not a customer's email consent: no id or no state", false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct decoded d = decode(EMAIL, email_body(rows[i].state, rows[i].at));
        assert_int_equal(d.count, rows[i].id != NULL);
        assert_text(d.ignored, rows[i].ignored);
        assert_text(d.undecodable, rows[i].undecodable);
        assert_text(d.supersedes_key, rows[i].known_as_of ? "consent:email:ava@klaviyo-demo.com" : NULL);
        assert_int_equal(d.as_of_ms, rows[i].known_as_of ? AT_MS : 0);
        if (!rows[i].id)
            continue;
        assert_text(d.events->id, rows[i].id);
        assert_text(event_label(d.events), rows[i].name);
        assert_int_equal(d.events->time_ms, AT_MS);
        assert_int_equal(d.events->consent.marketing, CONSENT_UNKNOWN);  // a newsletter says nothing of tracking
    }
}

static void channels_do_not_meet(void **state) {
    (void)state;
    struct decoded d = decode(SMS, SV("{\"id\":5,\"phone\":\"+4915112345678\",\"sms_marketing_consent\":{\"state\":\"subscribed\",\"opt_in_level\":\"single_opt_in\","
                                      "\"consent_updated_at\":" AT ",\"consent_collected_from\":\"SHOPIFY\"}}"));
    assert_int_equal(d.count, 1);
    assert_text(d.supersedes_key, "consent:sms:+4915112345678");
    assert_text(d.events->id, "cus_5_sms_subscribed_1795165360");
    assert_text(d.events->user.phone, "+4915112345678");
    assert_text(d.events->user.email, NULL);
    assert_text(event_property_text(d.events, "channel"), "sms");
    assert_text(event_property_text(d.events, "state"), "subscribed");
    assert_text(event_property_text(d.events, "opt_in_level"), "single_opt_in");
    assert_text(event_property_text(d.events, "consented_at"), "2026-11-20T09:02:40Z");
    assert_text(event_property_text(d.events, "signup_source"), "SHOPIFY");
    d = decode(EMAIL, email_body("\"unsubscribed\"", AT));
    assert_text(event_property_text(d.events, "revoked_at"), "2026-11-20T09:02:40Z");
    assert_text(event_property_text(d.events, "consented_at"), NULL);
    assert_text(decode(EMAIL, SV("{\"customer_id\":5,\"sms_marketing_consent\":{\"state\":\"subscribed\"}}")).undecodable,
                "body is not a customer's email consent: no id or no state");
    assert_text(decode(SMS, SV("{\"id\":\"x\",\"sms_marketing_consent\":{\"state\":\"subscribed\"}}")).undecodable,
                "body is not a customer's sms consent: no id or no state");
}

static void an_account_is_no_consent(void **state) {
    (void)state;
    struct decoded d = decode("customers/create", body_of("shopify/customers/create/new_account"));
    assert_int_equal(d.count, 1);
    assert_text(d.events->user.city, "Berlin");
    assert_text(d.events->user.external_id, "7345120034982");
    assert_text(event_property_text(d.events, "state"), "not_subscribed");
    assert_text(d.supersedes_key, NULL);
    d = decode("customers/create", body_of("shopify/customers/create/old_api_with_consent"));
    assert_text(event_property_text(d.events, "state"), "not_subscribed");
    assert_text(event_property_text(d.events, "channel"), NULL);
    assert_text(decode("customers/create", SV("{\"id\":1,\"admin_graphql_api_id\":\"gid://shopify/Order/1\"}")).undecodable,
                "body is not of kind Customer: admin_graphql_api_id names another");
    assert_text(decode("customers/create", SV("{\"id\":1}")).undecodable, "customer has no created_at");
}

#define LEVEL(available) "{\"inventory_item_id\":7,\"location_id\":8,\"updated_at\":" AT ",\"available\":" available
#define NOBODY "restocked: it says nobody who waits for it"
#define SOLD_OUT "inventory level: nothing is available"

static void stock(void **state) {
    (void)state;
    static const struct {
        const char *topic, *body, *id, *ignored, *undecodable;
    } rows[] = {
        {"inventory_levels/update", LEVEL("3") "}", NULL, NOBODY, NULL},
        {"inventory_levels/update", LEVEL("0") "}", NULL, SOLD_OUT, NULL},
        {"inventory_levels/update", LEVEL("-2") "}", NULL, SOLD_OUT, NULL},
        {"inventory_levels/update", LEVEL("null") "}", NULL, SOLD_OUT, NULL},
        {"inventory_levels/update", LEVEL("3") ",\"email\":\"ava@klaviyo-demo.com\"}", "inv_7_8_restocked_1795165360_02a4dc94a69d25ae", NULL, NULL},
        {"inventory_levels/update", LEVEL("3") ",\"customer\":{\"id\":5}}", "inv_7_8_restocked_1795165360_5", NULL, NULL},
        {"inventory_levels/update", "{\"inventory_item_id\":7}", NULL, NULL, "body is not an inventory level: no inventory_item_id or no location_id"},
        {"inventory_levels/update", "{\"inventory_item_id\":7,\"location_id\":8,\"available\":1}", NULL, NULL, "inventory level has no updated_at"},
        {"variants/in_stock", "{\"id\":9,\"updated_at\":" AT "}", NULL, NOBODY, NULL},
        {"variants/in_stock", "{\"id\":9,\"updated_at\":" AT ",\"customer\":{\"id\":5}}", "var_9_restocked_1795165360_5", NULL, NULL},
        {"variants/in_stock", "{\"id\":9}", NULL, NULL, "variant has no updated_at"},
        {"variants/in_stock", "{}", NULL, NULL, "body is not of kind ProductVariant: no id"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct decoded d = decode(rows[i].topic, sv_of(rows[i].body));
        assert_text(d.ignored, rows[i].ignored);
        assert_text(d.undecodable, rows[i].undecodable);
        assert_int_equal(d.count, rows[i].id != NULL);
        if (rows[i].id)
            assert_text(d.events->id, rows[i].id);
    }
    struct decoded d = decode("variants/in_stock", body_of("shopify/variants/in_stock/waiting_customer"));
    assert_text(event_property_text(d.events, "product_id"), "632910392");
    assert_text(event_property_text(d.events, "variant_id"), "808950810");
    assert_text(event_property_text(d.events, "sku"), "SKU-481");
    assert_text(event_property_text(d.events, "product_name"), NULL);  // the webhook does not say it
    assert_text(d.events->items[0].title, NULL);
    assert_text(d.events->items[0].variant_title, "30 ml");
    d = decode("variants/in_stock", SV("{\"id\":9,\"updated_at\":" AT ",\"title\":\"Default Title\",\"product_title\":\"Serum\",\"customer\":{\"id\":5}}"));
    assert_text(event_property_text(d.events, "product_name"), "Serum");  // a flow has added it
    assert_text(d.events->items[0].variant_title, NULL);
}

// ---- what people send themselves, once it is accepted

static void own_events(void **state) {
    (void)state;
    struct shop shop = shop_of(PLAIN);
    struct decoded d;
    source_decode(&arena, &source_events, &shop, SV("custom"),
                  SV("{\"id\":\"a\",\"name\":\"quiz\",\"time\":" AT ",\"shop\":\"acme\",\"experiment\":{\"id\":\"e\",\"variant\":\"B\"}}"), &d);
    assert_int_equal(d.count, 1);
    assert_text(d.events->shop, "acme");
    assert_text(d.events->source, "events");
    assert_text(d.events->experiment_id, "e");
    assert_text(d.events->experiment_variant, "B");
    source_decode(&arena, &source_events, &shop, SV("custom"), SV("{\"id\":\"a\",\"name\":\"quiz\"}"), &d);
    assert_text(d.undecodable, "time: missing");
    assert_int_equal(d.count, 0);
}

static void addresses_of_senders(void **state) {
    (void)state;
    assert_text(source_path(&arena, &source_shopify, SV("acme"), SV("orders/create")), "/hooks/acme/shopify");
    assert_text(source_path(&arena, &source_recharge, SV("acme"), SV("charge/paid")), "/hooks/acme/recharge/charge/paid");
    assert_text(source_path(&arena, &source_events, SV("acme"), SV("lead")), "/events/acme");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(states_of_consent, setup, teardown),
        cmocka_unit_test_setup_teardown(channels_do_not_meet, setup, teardown),
        cmocka_unit_test_setup_teardown(an_account_is_no_consent, setup, teardown),
        cmocka_unit_test_setup_teardown(stock, setup, teardown),
        cmocka_unit_test_setup_teardown(own_events, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses_of_senders, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
