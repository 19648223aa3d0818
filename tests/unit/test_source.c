// Every fixture: what it becomes, or why nothing; whose it is. Then the fields that matter.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/fixtures.h"

#include <glob.h>
#include <string.h>

struct row {
    const char *path;
    enum config config;
    const char *id, *name, *time, *origin;  // of its event
    const char *reason;                      // or why there is none: ignored
    const char *identity;                    // kinds that the scan finds
};

#define ORDER "checkout cart order customer email"

static const struct row rows[] = {
    {"shopify/orders/create/with_fbp_fbc", PLAIN, "ord_6240018501642_purchase", "purchase", "2026-11-20T09:42:15Z", "web", NULL, ORDER},
    {"shopify/orders/create/with_fbp_fbc", TEST_CODE, "ord_6240018501642_purchase", "purchase", "2026-11-20T09:42:15Z", "web", NULL, ORDER},
    {"shopify/orders/create/with_fbp_fbc", ON_PAID, .reason = "waiting for orders/paid", .identity = ORDER},
    {"shopify/orders/create/fbclid_only", PLAIN, "ord_6240018534410_purchase", "purchase", "2026-11-20T19:05:43Z", "web", NULL, ORDER},
    {"shopify/orders/create/after_checkout", PLAIN, "ord_6240018730250_purchase", "purchase", "2026-11-20T19:24:31Z", "web", NULL, ORDER},
    {"shopify/orders/create/renewal_mirror", PLAIN, "ord_6240018567178_renewal", "renewal_charged", "2026-11-20T09:07:34Z", "renewal", NULL, "order customer email"},
    {"shopify/orders/create/renewal_mirror", RECHARGE_TOO, .reason = "renewal: Recharge reports it", .identity = "order customer email"},
    {"shopify/orders/create/no_identity", PLAIN, "ord_6240018599946_purchase", "purchase", "2026-11-20T17:30:00Z", "web", NULL, "checkout cart order"},
    {"shopify/orders/create/redacted", PLAIN, "ord_6240018632714_purchase", "purchase", "2026-11-20T21:20:31Z", "web", NULL, "checkout cart order customer"},
    {"shopify/orders/create/big_id", PLAIN, "ord_820982911946154508_purchase", "purchase", "2026-11-20T23:01:12Z", "web", NULL, ORDER},
    {"shopify/orders/create/draft", PLAIN, "ord_6240018665482_purchase", "purchase", "2026-11-19T08:15:00Z", "draft", NULL, "checkout order customer email"},
    {"shopify/orders/create/pos", RECHARGE_TOO, "ord_6240018698250_purchase", "purchase", "2026-11-20T16:11:11Z", "pos", NULL, "order"},
    {"shopify/orders/create/test_order", PLAIN, .reason = "test order", .identity = ORDER},
    {"shopify/orders/create/test_order", TEST_CODE, "ord_6240018731018_purchase", "purchase", "2026-11-20T18:00:00Z", "test", NULL, ORDER},
    {"shopify/orders/create/unpaid", PLAIN, .reason = "waiting for orders/paid", .identity = ORDER},
    {"shopify/orders/create/denied_consent", PLAIN, "ord_6240018796554_purchase", "purchase", "2026-11-20T20:09:50Z", "web", NULL, ORDER},
    {"shopify/orders/paid/bank_transfer", PLAIN, "ord_6240018763786_purchase", "purchase", "2026-11-18T18:44:02Z", "web", NULL, ORDER},
    {"shopify/orders/paid/card", ON_PAID, "ord_6240018501642_purchase", "purchase", "2026-11-20T09:42:15Z", "web", NULL, ORDER},
    {"shopify/orders/cancelled/by_customer", PLAIN, "ord_6240018501642_cancelled", "order_cancelled", "2026-11-20T14:03:10Z", "web", NULL, ORDER},
    {"shopify/orders/fulfilled/two_parcels", PLAIN, "ord_6240018501642_fulfilled", "order_fulfilled", "2026-11-21T07:20:04Z", "web", NULL, ORDER},
    {"shopify/refunds/create/partial", PLAIN, "ord_6240018501642_refund_931120045610", "refund", "2026-11-21T08:14:22Z", NULL, NULL, "order"},
    {"shopify/refunds/create/multi_currency", PLAIN, "ord_820982911946154508_refund_931120078378", "refund", "2026-11-21T07:40:00Z", NULL, NULL, "order"},
    {"shopify/refunds/create/no_money", PLAIN, "ord_6240018534410_refund_931120111146", "refund", "2026-11-21T08:00:00Z", NULL, NULL, "order"},
    {"shopify/checkouts/create/with_email", PLAIN, "chk_b1946ac92492d2347c6235b4d2611184_started", "checkout_started", "2026-11-20T19:10:04Z", "web", NULL, "checkout cart customer email"},
    {"shopify/checkouts/create/anonymous", PLAIN, .reason = "checkout has no identifier yet", .identity = "checkout cart"},
    {"shopify/checkouts/create/empty_address", PLAIN, "chk_6f8db599de986fab7a21625b7916589c_started", "checkout_started", "2026-11-20T20:33:00Z", "web", NULL, "checkout cart email"},
    {"shopify/checkouts/update/email_added", PLAIN, "chk_591785b794601e212b260e25925636fd_started", "checkout_started", "2026-11-20T18:48:30Z", "web", NULL, "checkout cart customer email"},
    {"shopify/checkouts/update/completed", PLAIN, .reason = "checkout already completed", .identity = "checkout cart customer email"},
    {"shopify/carts/create/two_items", PLAIN, "cart_hWN3kq8bJ1x0cZt2vLr9aQ7e_started", "cart_started", "2026-11-20T19:02:11Z", "web", NULL, "cart"},
    {"shopify/carts/create/empty", PLAIN, .reason = "empty cart", .identity = "cart"},
    {"shopify/carts/update/item_added", PLAIN, "cart_hWN9pQ2dYw5mEo6uTi4sRf8a_started", "cart_started", "2026-11-20T19:05:00Z", "web", NULL, "cart"},
    {"recharge/charge/paid/renewal", RECHARGE_TOO, "ord_6240018567178_renewal", "renewal_charged", "2026-11-20T09:07:33Z", "renewal", NULL, "order customer email recharge_customer"},
    {"recharge/charge/paid/first_order", RECHARGE_TOO, .reason = "first order: Shopify reports the purchase", .identity = "order customer email recharge_customer"},
    {"recharge/charge/paid/api_2021_01", RECHARGE_TOO, "rc_charge_712003402_renewal", "renewal_charged", "2026-11-19T15:00:05Z", "renewal", NULL, "email recharge_customer"},
    {"recharge/charge/failed/card_declined", RECHARGE_TOO, "rc_charge_712003510_failed", "renewal_failed", "2026-11-20T09:07:40Z", "renewal", NULL, "customer email recharge_customer"},
    {"recharge/subscription/created/monthly", RECHARGE_TOO, "sub_401220087_started", "subscription_started", "2026-11-20T19:05:52Z", "subscription", NULL, "customer email recharge_customer"},
    {"recharge/subscription/activated/monthly", RECHARGE_TOO, "sub_401220087_started", "subscription_started", "2026-11-20T19:05:52Z", "subscription", NULL, "customer email recharge_customer"},
    {"recharge/subscription/cancelled/too_much_product", RECHARGE_TOO, "sub_401220087_cancelled_1795210209", "subscription_cancelled", "2026-11-20T21:30:09Z", "subscription", NULL, "recharge_customer"},
    {"recharge/subscription/skipped/next_delivery", RECHARGE_TOO, "sub_401220087_skipped_2027-01-20", "skipped_order", "2026-11-20T20:15:00Z", "subscription", NULL, "customer email recharge_customer"},
    {"recharge/subscription/updated/quantity_changed", RECHARGE_TOO, .reason = "subscription changed: neither started, skipped nor cancelled", .identity = "customer email recharge_customer"},
    {"recharge/subscription/updated/cancelled_after_retries", RECHARGE_TOO, "sub_401220087_cancelled_1795212000", "subscription_cancelled", "2026-11-20T22:00:00Z", "subscription", NULL, "customer email recharge_customer"},
    {"recharge/subscription/unskipped/next_delivery", RECHARGE_TOO, .reason = "subscription changed: neither started, skipped nor cancelled", .identity = "customer email recharge_customer"},
    {"recharge/subscription/swapped/other_size", RECHARGE_TOO, .reason = "subscription changed: neither started, skipped nor cancelled", .identity = "customer email recharge_customer"},
    {"recharge/subscription/paused/by_customer", RECHARGE_TOO, .reason = "subscription changed: neither started, skipped nor cancelled", .identity = "customer email recharge_customer"},
    {"recharge/charge/paid/schedule_told", RECHARGE_TOO, "ord_6240018567179_renewal", "renewal_charged", "2026-11-20T09:07:33Z", "renewal", NULL, "order customer email recharge_customer"},
    {"recharge/charge/paid/schedule_told_before", RECHARGE_TOO, "ord_6240018567180_renewal", "renewal_charged", "2026-11-20T09:07:33Z", "renewal", NULL, "order customer email recharge_customer"},
    {"recharge/charge/paid/api_2021_01_schedule_told", RECHARGE_TOO, "rc_charge_712003403_renewal", "renewal_charged", "2026-11-19T15:00:05Z", "renewal", NULL, "email recharge_customer"},
    {"recharge/charge/failed/schedule_told", RECHARGE_TOO, "rc_charge_712003512_failed", "renewal_failed", "2026-11-20T09:07:40Z", "renewal", NULL, "customer email recharge_customer"},
    {"recharge/charge/failed/schedule_told_before", RECHARGE_TOO, "rc_charge_712003511_failed", "renewal_failed", "2026-11-20T09:07:40Z", "renewal", NULL, "customer email recharge_customer"},
    {"shopify/checkouts/create/experiment", PLAIN, "chk_0d5e1f3bb0a24c9f8a6bd0a4c1a3e7f2_started", "checkout_started", "2026-11-20T19:10:04Z", "web", NULL, "checkout cart customer email"},
    {"shopify/customers/create/new_account", PLAIN, "cus_7345120034982_sign_up", "sign_up", "2026-11-20T09:02:11Z", NULL, NULL, "customer email phone"},
    {"shopify/customers/create/old_api_with_consent", PLAIN, "cus_7345120039001_sign_up", "sign_up", "2026-11-20T09:15:30Z", NULL, NULL, "customer email"},
    {"shopify/customers_email_marketing_consent/update/subscribed", PLAIN, "cus_7345120034982_email_subscribed_1795165360", "sign_up", "2026-11-20T09:02:40Z", NULL, NULL, "customer email"},
    {"shopify/customers_email_marketing_consent/update/unsubscribed", PLAIN, "cus_7345120034982_email_unsubscribed_1795195805", "consent_revoked", "2026-11-20T17:30:05Z", NULL, NULL, "customer email"},
    {"shopify/customers_email_marketing_consent/update/pending", PLAIN, "cus_7345120034982_email_pending_1795165332", "sign_up", "2026-11-20T09:02:12Z", NULL, NULL, "customer email"},
    {"shopify/customers/data_request/customer", PLAIN, .reason = "what is kept of this customer is counted", .identity = "customer email phone"},
    {"shopify/customers/redact/customer", PLAIN, .reason = "this customer is forgotten", .identity = "customer email phone"},
    {"shopify/shop/redact/uninstalled", PLAIN, .reason = "this shop's people are forgotten", .identity = ""},
    {"shopify/customers_email_marketing_consent/update/redacted", PLAIN, .reason = "the person was erased", .identity = "customer"},
    {"shopify/customers_marketing_consent/update/subscribed", PLAIN, "cus_7345120034982_sms_subscribed_1795165395", "sign_up", "2026-11-20T09:03:15Z", NULL, NULL, "customer phone"},
    {"shopify/customers_marketing_consent/update/unsubscribed", PLAIN, "cus_7345120034982_sms_unsubscribed_1795201860", "consent_revoked", "2026-11-20T19:11:00Z", NULL, NULL, "customer phone"},
    {"shopify/variants/in_stock/nobody_waits", PLAIN, .reason = "restocked: it says nobody who waits for it", .identity = ""},
    {"shopify/variants/in_stock/waiting_customer", PLAIN, "var_808950810_restocked_1795170009_7345120034982", "inventory_restocked", "2026-11-20T10:20:09Z", NULL, NULL, "customer email"},
    {"shopify/inventory_levels/update/available", PLAIN, .reason = "restocked: it says nobody who waits for it", .identity = ""},
    {"shopify/inventory_levels/update/sold_out", PLAIN, .reason = "inventory level: nothing is available", .identity = ""},
    {"events/product_viewed/with_browser", PLAIN, "pv_8841", "product_viewed", "2026-11-20T09:12:30Z", "web", NULL, "customer email phone"},
    {"events/product_viewed/view_item_alias", PLAIN, "pv_8842", "product_viewed", "2026-11-20T09:14:00Z", NULL, NULL, "email"},
    {"events/search/with_results", PLAIN, "srch_20261120_5512", "search", "2026-11-20T09:10:02Z", "web", NULL, "customer email phone"},
    {"events/lead/form", PLAIN, "lead_form_31_9917", "lead", "2026-11-20T13:45:10Z", "web", NULL, "email"},
    {"events/sign_up/newsletter", PLAIN, "signup_popup_4471", "sign_up", "2026-11-20T13:46:00Z", "web", NULL, "email"},
    {"events/add_to_cart/one_item", PLAIN, "cart_hWN3kq8bJ1x0cZt2vLr9aQ7e_add_1", "add_to_cart", "2026-11-20T19:01:40Z", "web", NULL, "cart customer email phone"},
    {"events/checkout_started/begin_checkout_alias", PLAIN, "chk_own_5510_started", "checkout_started", "2026-11-20T19:03:00Z", "web", NULL, "checkout customer email phone"},
    {"events/back_in_stock_requested/variant", PLAIN, "wait_808950810_4471", "back_in_stock_requested", "2026-11-18T18:22:04Z", "web", NULL, "email"},
    {"events/inventory_restocked/waiting_customer", PLAIN, "restock_808950810_7345120034982_20261120", "inventory_restocked", "2026-11-20T10:20:09Z", NULL, NULL, "customer email phone"},
    {"events/inventory_restocked/nobody_waits", PLAIN, .reason = "restocked: it says nobody who waits for it", .identity = ""},
    {"events/became_at_risk/ninety_days", PLAIN, "risk_7345120034982_2026-11", "became_at_risk", "2026-11-20T03:00:00Z", NULL, NULL, "customer email phone"},
    {"events/repeat_purchase/second_order", PLAIN, "ord_6240018501999_repeat_purchase", "repeat_purchase", "2026-11-20T15:00:20Z", "web", NULL, "order customer email phone"},
    {"events/custom/quiz_finished", PLAIN, "quiz_77120", "quiz_finished", "2026-11-20T13:40:00Z", "web", NULL, "email"},
    {"events/cart_started/two_items", PLAIN, "cart_hWN3kq8bJ1x0cZt2vLr9aQ7e_started", "cart_started", "2026-11-20T19:01:00Z", "web", NULL, "cart customer email phone"},
    {"events/checkout_started/own_checkout", PLAIN, "chk_own_5511_started", "checkout_started", "2026-11-20T19:03:00Z", "web", NULL, "checkout cart customer email phone"},
    {"events/checkout_started/started_checkout_alias", PLAIN, "chk_own_5512_started", "checkout_started", "2026-11-20T19:03:00Z", "web", NULL, "checkout cart customer email phone"},
    {"events/consent_revoked/unsubscribed", PLAIN, "unsub_4471", "consent_revoked", "2026-11-20T18:00:00Z", NULL, NULL, "email"},
    {"events/order_cancelled/cancelled_order", PLAIN, "ord_10493_cancelled", "order_cancelled", "2026-11-20T17:00:00Z", NULL, NULL, "order customer email phone"},
    {"events/order_fulfilled/fulfilled_order", PLAIN, "ord_10492_fulfilled", "order_fulfilled", "2026-11-21T08:00:00Z", NULL, NULL, "order customer email phone"},
    {"events/product_viewed/view_content_alias", PLAIN, "pv_8843", "product_viewed", "2026-11-20T09:15:00Z", "web", NULL, "customer email phone"},
    {"events/purchase/beside_native", PLAIN, "ord_10494_purchase", "purchase", "2026-11-20T15:00:20Z", "web", NULL, "order customer email phone"},
    {"events/purchase/five_days_old", PLAIN, "ord_10401_purchase", "purchase", "2026-11-16T11:00:00Z", "web", NULL, "order customer email phone"},
    {"events/purchase/opted_out_in_california", PLAIN, "ord_10497_purchase", "purchase", "2026-11-20T15:00:20Z", "web", NULL, "order customer email phone"},
    {"events/purchase/opted_out_of_sale", PLAIN, "ord_10496_purchase", "purchase", "2026-11-20T15:00:20Z", "web", NULL, "order customer email phone"},
    {"events/purchase/placed_order", PLAIN, "ord_10492_purchase", "purchase", "2026-11-20T15:00:20Z", "web", NULL, "order customer email phone"},
    {"events/purchase/test_event_code", PLAIN, "ord_10495_purchase", "purchase", "2026-11-20T15:00:20Z", "web", NULL, "order customer email phone"},
    {"events/refund/beside_native", PLAIN, "ord_10492_refund_72", "refund", "2026-11-20T16:10:00Z", NULL, NULL, "order customer email phone"},
    {"events/refund/refunded_order", PLAIN, "ord_10492_refund_71", "refund", "2026-11-20T16:10:00Z", NULL, NULL, "order customer email phone"},
    {"events/renewal_charged/monthly", PLAIN, "ord_10600_renewal", "renewal_charged", "2026-11-20T04:00:00Z", "renewal", NULL, "order customer email phone"},
    {"events/renewal_failed/card_declined", PLAIN, "charge_881_failed", "renewal_failed", "2026-11-20T04:00:00Z", "renewal", NULL, "customer email phone"},
    {"events/sign_up/subscribed_to_list", PLAIN, "signup_popup_4472", "sign_up", "2026-11-20T13:46:00Z", "web", NULL, "email"},
    {"events/skipped_order/next_delivery", PLAIN, "sub_53920_skipped_2026-12-20", "skipped_order", "2026-11-20T20:00:00Z", NULL, NULL, "customer email phone"},
    {"events/subscription_cancelled/too_much_product", PLAIN, "sub_53920_cancelled_1795190400", "subscription_cancelled", "2026-11-20T16:00:00Z", NULL, NULL, "customer email phone"},
    {"events/subscription_started/predicted_ltv", PLAIN, "sub_53920_started", "subscription_started", "2026-11-20T10:00:00Z", "web", NULL, "customer email phone"},
};

static struct decoded decode(const char *path, enum config config) {
    struct where w = where(path);
    struct shop *shop = ARENA_NEW(&arena, struct shop);
    *shop = shop_of(config);
    struct decoded d;
    source_decode(&arena, w.source, shop, w.topic, body_of(path), &d);
    return d;
}

static const struct event *event_of(const char *path) {
    struct decoded d = decode(path, PLAIN);
    if (d.count != 1)
        fail_msg("%s: no event: " SV_FMT SV_FMT, path, SV_ARG(d.ignored), SV_ARG(d.undecodable));
    return d.events;
}

static void fixtures_become_events(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        const struct row *r = &rows[i];
        struct decoded d = decode(r->path, r->config);
        if (d.undecodable.p || d.count != (r->id != NULL))
            fail_msg("%s: %zu events, ignored \"" SV_FMT "\", undecodable \"" SV_FMT "\"", r->path, d.count, SV_ARG(d.ignored), SV_ARG(d.undecodable));
        assert_text(d.ignored, r->reason);
        if (!r->id)
            continue;
        const struct event *e = d.events;
        assert_text(e->id, r->id);
        assert_text(event_label(e), r->name);
        assert_text(time_iso(&arena, e->time_ms), r->time);
        assert_text(e->origin, r->origin);
        assert_text(e->shop, "acme");
        assert_text(e->source, where(r->path).source->name);
        bool marketing = strstr(" checkout_started cart_started skipped_order sign_up consent_revoked inventory_restocked product_viewed search lead "
                                "add_to_cart became_at_risk quiz_finished back_in_stock_requested ", r->name) != NULL;
        assert_int_equal(e->purpose, marketing ? PURPOSE_MARKETING : PURPOSE_TRANSACTIONAL);
    }
}

static void every_fixture_has_a_row(void **state) {
    (void)state;
    glob_t found;
    assert_int_equal(glob(FIXTURES "*/*/*/*/request.json", 0, NULL, &found), 0);
    assert_int_equal(glob(FIXTURES "events/*/*/request.json", GLOB_APPEND, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct sv path = sv_sub(sv_of(found.gl_pathv[i]), strlen(FIXTURES), SIZE_MAX);
        path.n -= strlen("/request.json");
        bool known = false;
        for (size_t r = 0; r < COUNTOF(rows); r++)
            known |= sv_is(path, rows[r].path);
        if (!known)
            fail_msg("no expectation for " SV_FMT, SV_ARG(path));
    }
    globfree(&found);
}

static void scan_finds_who_it_is_about(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct where w = where(rows[i].path);
        struct identity v[IDENTITIES_MAX];
        size_t n;
        struct err e;
        assert_int_equal(source_scan(&arena, source_topic(w.source, w.topic), body_of(rows[i].path), v, &n, &e), RC_OK);
        struct sv kinds = SV("");
        for (size_t k = 0; k < n; k++)
            kinds = arena_fmt(&arena, SV_FMT "%s%s", SV_ARG(kinds), k ? " " : "", v[k].kind);
        if (!sv_is(kinds, rows[i].identity))
            fail_msg("%s: found " SV_FMT, rows[i].path, SV_ARG(kinds));
    }
}

static void a_purchase_in_full(void **state) {
    (void)state;
    const struct event *e = event_of("shopify/orders/create/with_fbp_fbc");
    assert_text(e->user.email, "ava.roth@klaviyo-demo.com");
    assert_text(e->user.phone, "+4915112345678");
    assert_text(e->user.external_id, "7345120034982");
    assert_text(e->user.first_name, "Ava");
    assert_text(e->user.last_name, "Roth");
    assert_text(e->user.city, "Berlin");
    assert_text(e->user.region, "BE");
    assert_text(e->user.zip, "10115");
    assert_text(e->user.country, "DE");
    assert_text(e->user.locale, "de-DE");
    assert_text(e->user.ip, "203.0.113.7");
    assert_true(sv_starts(e->user.user_agent, SV("Mozilla/5.0 (Windows")));
    assert_text(e->user.fbp, "fb.1.1795021331000.1098115397");
    assert_text(e->user.fbc, "fb.1.1795167484000.IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB_qa2ofrHyiLjcbCRxTDMgk");
    assert_int_equal(e->consent.marketing, CONSENT_GRANTED);
    assert_text(e->value, "153.35");
    assert_text(e->currency, "EUR");
    assert_int_equal(e->item_count, 2);
    assert_text(e->items[0].product_id, "8126370120970");
    assert_text(e->items[0].variant_id, "44950810010890");
    assert_text(e->items[0].sku, "SKU-481");
    assert_text(e->items[0].price, "64.95");
    assert_text(e->items[1].quantity, "3");
    assert_text(event_property_text(e, "item_count"), "5");
    assert_text(event_property_text(e, "order_id"), "6240018501642");
    assert_text(event_property_text(e, "order_name"), "#1042");
    assert_text(event_property_text(e, "discount_code"), "HERBST10");
    assert_text(event_property_text(e, "discount_value"), "10.00");
    assert_text(event_property_text(e, "order_status_url"),
                "https://acme.example/61044/orders/491a73a9295e5a8383d15ca294b85b5c/authenticate?key=b6afaeea7f2850bd");
    assert_text(event_property_text(e, "shipping_country"), "DE");
    assert_text(e->experiment_id, "exp_7");
    assert_text(e->experiment_variant, "B");
}

static void click_ids(void **state) {
    (void)state;
    assert_text(event_of("shopify/orders/create/fbclid_only")->user.fbc, "fb.1.1795201543000.PAZXh0bgNhZW0CMTEAAaY3_kQ0v-Zt8yR1nXcAbD_aem_9pQ");
    assert_text(event_of("shopify/orders/create/fbclid_only")->user.ip, "198.51.100.23");
    static const char *const renewals[] = {"shopify/orders/create/renewal_mirror", "recharge/charge/paid/renewal"};
    for (size_t i = 0; i < COUNTOF(renewals); i++) {
        const struct event *e = event_of(renewals[i]);
        assert_text(e->user.email, "mia.brooks@klaviyo-demo.com");
        assert_text(e->user.external_id, "7345120100518");
        assert_false(e->user.fbp.p || e->user.fbc.p || e->user.ip.p || e->user.user_agent.p);
        assert_int_equal(e->consent.marketing, CONSENT_GRANTED);
        assert_text(e->value, "64.95");
        assert_text(e->currency, "USD");
    }
    assert_int_equal(event_of("shopify/orders/create/denied_consent")->consent.marketing, CONSENT_DENIED);
    const struct event *redacted = event_of("shopify/orders/create/redacted");
    assert_false(redacted->user.email.p || redacted->user.phone.p || redacted->user.first_name.p || redacted->user.city.p);
    assert_text(redacted->user.country, "CA");
    assert_text(redacted->user.external_id, "7345120133286");
}

static void refunds_count_money_that_moved(void **state) {
    (void)state;
    const struct event *e = event_of("shopify/refunds/create/partial");
    assert_text(e->value, "19.00");
    assert_text(e->currency, "EUR");
    assert_text(event_property_text(e, "refund_value"), "19.00");
    assert_text(event_property_text(e, "reason"), "one bar arrived broken");
    assert_int_equal(e->recall_count, 1);
    assert_text(e->recall[0], "order:6240018501642");
    assert_int_equal(e->item_count, 1);
    assert_text(e->items[0].sku, "SKU-077");
    assert_text(e->items[0].quantity, "2");
    e = event_of("shopify/refunds/create/multi_currency");
    assert_text(e->value, "65.20");
    assert_text(e->currency, "USD");
    e = event_of("shopify/refunds/create/no_money");
    assert_text(e->value, NULL);
    assert_text(event_property_text(e, "refund_value"), NULL);
}

static void carts_and_checkouts(void **state) {
    (void)state;
    const struct event *e = event_of("shopify/carts/create/two_items");
    assert_text(e->value, "139.40");
    assert_text(e->currency, "EUR");
    assert_text(event_property_text(e, "cart_id"), "hWN3kq8bJ1x0cZt2vLr9aQ7e");
    assert_false(user_has_identifier(&e->user));
    e = event_of("shopify/checkouts/create/with_email");
    assert_text(e->value, "67.00");
    assert_text(event_property_text(e, "checkout_token"), "b1946ac92492d2347c6235b4d2611184");
    assert_true(sv_starts(event_property_text(e, "checkout_url"), SV("https://acme.example/")));
    assert_text(event_property_text(e, "item_count"), "3");
    assert_int_equal(e->consent.marketing, CONSENT_GRANTED);
    assert_text(event_of("shopify/checkouts/create/empty_address")->user.email, "ben.okafor@klaviyo-demo.com");
}

static void subscriptions(void **state) {
    (void)state;
    const struct event *e = event_of("recharge/subscription/created/monthly");
    assert_text(e->value, "129.90");
    assert_text(e->currency, "USD");
    assert_text(e->user.email, "mia.brooks@klaviyo-demo.com");
    assert_text(event_property_text(e, "subscription_id"), "401220087");
    assert_text(event_property_text(e, "cadence"), "1 month");
    assert_text(event_property_text(e, "next_charge_date"), "2026-12-20");
    assert_text(event_property_text(e, "product_title"), "Radiance Serum");
    e = event_of("recharge/subscription/skipped/next_delivery");
    assert_text(event_property_text(e, "cadence"), "2 weeks");
    e = event_of("recharge/subscription/cancelled/too_much_product");
    assert_text(event_property_text(e, "reason"), "I already have more than I need");
    assert_text(e->user.email, NULL);
    assert_text(e->recall[0], "recharge_customer:98112204");
    e = event_of("recharge/charge/paid/api_2021_01");
    assert_text(e->value, "48.0");
    assert_text(e->user.email, "june.okoro@klaviyo-demo.com");
    assert_text(e->user.country, "CA");  // "Canada"
    assert_text(event_property_text(e, "subscription_id"), "401220191");
    assert_text(event_property_text(event_of("recharge/charge/failed/card_declined"), "reason"), "CARD_DECLINED");
}

static void people_are_remembered(void **state) {
    (void)state;
    static const struct { const char *path; enum config config; const char *key, *email; } cases[] = {
        {"shopify/orders/create/with_fbp_fbc", PLAIN, "order:6240018501642", "ava.roth@klaviyo-demo.com"},
        {"shopify/orders/create/unpaid", PLAIN, "order:6240018763786", "ava.roth@klaviyo-demo.com"},
        {"shopify/orders/create/renewal_mirror", RECHARGE_TOO, "order:6240018567178", "mia.brooks@klaviyo-demo.com"},
        {"shopify/orders/create/no_identity", PLAIN, NULL, NULL},
        {"recharge/charge/paid/first_order", RECHARGE_TOO, "recharge_customer:98112318", "Liam.Carter@klaviyo-demo.com"},
        {"recharge/subscription/updated/quantity_changed", RECHARGE_TOO, "recharge_customer:98112204", "mia.brooks@klaviyo-demo.com"},
        {"recharge/subscription/cancelled/too_much_product", RECHARGE_TOO, NULL, NULL},
        {"recharge/subscription/updated/cancelled_after_retries", RECHARGE_TOO, "recharge_customer:98112204", "mia.brooks@klaviyo-demo.com"},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct decoded d = decode(cases[i].path, cases[i].config);
        assert_int_equal(d.remember_count, cases[i].key != NULL);
        assert_text(d.remember[0], cases[i].key);
        assert_text(d.person.email, cases[i].email);
        assert_false(d.person.ip.p || d.person.user_agent.p || d.person.fbp.p || d.person.fbc.p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fixtures_become_events, setup, teardown),
        cmocka_unit_test_setup_teardown(every_fixture_has_a_row, setup, teardown),
        cmocka_unit_test_setup_teardown(scan_finds_who_it_is_about, setup, teardown),
        cmocka_unit_test_setup_teardown(a_purchase_in_full, setup, teardown),
        cmocka_unit_test_setup_teardown(click_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(refunds_count_money_that_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(carts_and_checkouts, setup, teardown),
        cmocka_unit_test_setup_teardown(subscriptions, setup, teardown),
        cmocka_unit_test_setup_teardown(people_are_remembered, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
