// The canonical event: names, properties, identity, its JSON form, and the rules that hang on its name.
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

static struct arena arena;
static struct buf out;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, (size_t)16 << 20);
    buf_init(&out, (size_t)1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    buf_free(&out);
    return 0;
}

static void test_names(void **state) {
    (void)state;
    for (enum event_name name = EVENT_PURCHASE; name < EVENT_NAME_COUNT; name++) {
        assert_non_null(event_name_text(name));
        assert_int_equal(event_name_of(sv_of(event_name_text(name))), name);
    }
    static const struct {
        const char *text;
        enum event_name name;
    } rows[] = {
        {"begin_checkout", EVENT_CHECKOUT_STARTED}, {"started_checkout", EVENT_CHECKOUT_STARTED}, {"view_content", EVENT_PRODUCT_VIEWED},
        {"view_item", EVENT_PRODUCT_VIEWED}, {"consent_revoked", EVENT_CONSENT_REVOKED}, {"Purchase", EVENT_CUSTOM}, {"", EVENT_CUSTOM},
        {"loyalty_points_earned", EVENT_CUSTOM}, {NULL, EVENT_CUSTOM},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_int_equal(event_name_of(sv_of(rows[i].text)), rows[i].name);
    struct event own = {.name = EVENT_CUSTOM, .custom_name = SV("quiz_taken")};
    assert_true(sv_is(event_label(&own), "quiz_taken"));
    struct event known = {.name = EVENT_REFUND, .custom_name = SV("ignored")};
    assert_true(sv_is(event_label(&known), "refund"));
}

static void test_properties(void **state) {
    (void)state;
    struct event e = {0};
    event_property(&e, "a", SV("1"));
    event_property(&e, "empty", SV(""));
    event_property(&e, "absent", SV_NONE);
    event_property_number(&e, "empty", SV(""));
    event_property_list(&e, "empty", NULL, 0);
    event_property_node(&e, SV("empty"), NULL);
    assert_int_equal(e.property_count, 1);
    event_property(&e, "a", SV("2"));
    assert_int_equal(e.property_count, 1);
    assert_true(sv_is(event_property_text(&e, "a"), "2"));
    assert_null(event_property_text(&e, "b").p);
    for (int i = 0; i < 2 * EVENT_PROPERTIES_MAX; i++)
        event_property(&e, arena_fmt(&arena, "p%d", i).p, SV("x"));
    assert_int_equal(e.property_count, EVENT_PROPERTIES_MAX);
    struct json node = {.type = JSON_NUMBER, .text = SV("7")};
    event_property_node(&e, SV("a"), &node);
    assert_true(sv_is(event_property_text(&e, "a"), "7"));
}

static void test_fill(void **state) {
    (void)state;
    const struct user known = {
        .email = SV("Ava@klaviyo-demo.com"), .phone = SV("+49151"), .external_id = SV("7"), .first_name = SV("Ava"), .last_name = SV("Roth"),
        .city = SV("Berlin"), .country = SV("DE"), .ip = SV("203.0.113.7"), .user_agent = SV("agent"), .fbp = SV("p"), .fbc = SV("c"),
    };
    struct user u = {.first_name = SV("Eve")};
    user_fill(&u, &known);
    assert_true(sv_is(u.email, "Ava@klaviyo-demo.com"));
    assert_true(sv_is(u.first_name, "Eve"));
    assert_null(u.last_name.p);  // never one person's first and another's last name
    assert_true(sv_is(u.city, "Berlin"));
    assert_true(!u.ip.p && !u.user_agent.p && !u.fbp.p && !u.fbc.p);

    struct user other = {.email = SV("eve@klaviyo-demo.com")};
    user_fill(&other, &known);
    assert_null(other.phone.p);
    struct user same = {.email = SV(" ava@klaviyo-demo.com"), .country = SV("FR")};
    user_fill(&same, &known);
    assert_true(sv_is(same.phone, "+49151"));
    assert_null(same.city.p);

    assert_false(user_has_identifier(&(struct user){.first_name = SV("Ava")}));
    assert_true(user_has_identifier(&(struct user){.phone = SV("1")}));
    assert_true(user_has_identifier(&(struct user){.external_id = SV("1")}));
    assert_false(user_has_identifier(&(struct user){.email = SV("")}));
}

static const struct json *written(const struct event *e) {
    struct jw w;
    buf_reset(&out);
    jw_init(&w, &out);
    event_write(&w, e);
    return json_parsed(&arena, arena_dup(&arena, buf_sv(&out)));
}

static void test_json_form(void **state) {
    (void)state;
    struct item items[] = {
        {.product_id = SV("632910392"), .variant_id = SV("808950810"), .sku = SV("SKU-481"), .title = SV("Se\"rum"), .quantity = SV("1"),
         .price = SV("129.95"), .category = SV("skincare")},
    };
    struct event e = {
        .id = SV("ord_1_purchase"), .name = EVENT_PURCHASE, .time_ms = INT64_C(1763719200999), .shop = SV("acme"), .source = SV("shopify"),
        .origin = SV("web"), .purpose = PURPOSE_TRANSACTIONAL,
        .user = {.email = SV("ava@klaviyo-demo.com"), .phone = SV("+4915112345678"), .external_id = SV("820982911946154508"), .first_name = SV("Ava"),
                 .last_name = SV("Roth"), .locale = SV("de-DE"), .address1 = SV("Weg 1"), .city = SV("Berlin"), .region = SV("BE"), .zip = SV("10115"),
                 .country = SV("DE"), .ip = SV("203.0.113.7"), .user_agent = SV("Mozilla"), .fbp = SV("fb.1.1.2"), .fbc = SV("fb.1.1.3")},
        .consent = {.marketing = CONSENT_GRANTED, .analytics = CONSENT_DENIED},
        .value = SV("129.95"), .currency = SV("EUR"), .items = items, .item_count = 1,
        .experiment_id = SV("exp_7"), .experiment_variant = SV("B"),
    };
    struct sv codes[] = {SV("A"), SV("B")};
    event_property(&e, "order_id", SV("450789469"));
    event_property_number(&e, "item_count", SV("3"));
    event_property_list(&e, "discount_codes", codes, 2);
    const struct json *json = written(&e);
    static const char *const rows[][2] = {
        {"id", "ord_1_purchase"}, {"name", "purchase"}, {"time", "2025-11-21T10:00:00Z"}, {"shop", "acme"}, {"source", "shopify"},
        {"origin", "web"}, {"purpose", "transactional"}, {"user.email", "ava@klaviyo-demo.com"}, {"user.phone", "+4915112345678"},
        {"user.external_id", "820982911946154508"}, {"user.first_name", "Ava"}, {"user.last_name", "Roth"}, {"user.locale", "de-DE"},
        {"user.address.address1", "Weg 1"}, {"user.address.city", "Berlin"}, {"user.address.region", "BE"}, {"user.address.zip", "10115"},
        {"user.address.country", "DE"}, {"user.ip", "203.0.113.7"}, {"user.user_agent", "Mozilla"}, {"user.fbp", "fb.1.1.2"},
        {"user.fbc", "fb.1.1.3"}, {"consent.marketing", "granted"}, {"consent.analytics", "denied"}, {"value", "129.95"}, {"currency", "EUR"},
        {"properties.order_id", "450789469"}, {"properties.item_count", "3"}, {"experiment.id", "exp_7"}, {"experiment.variant", "B"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_member(json, rows[i][0], rows[i][1]);
    assert_int_equal(json_get(json, "value")->type, JSON_STRING);
    const struct json *item = json_get(json, "items")->child;
    assert_member(item, "title", "Se\"rum");
    assert_int_equal(json_get(item, "quantity")->type, JSON_NUMBER);
    assert_int_equal(json_get(item, "price")->type, JSON_STRING);
    assert_int_equal(json_at(json, "properties.discount_codes")->count, 2);
    assert_int_equal(json_at(json, "properties.item_count")->type, JSON_NUMBER);
}

static void test_json_form_of_little(void **state) {
    (void)state;
    struct event e = {.id = SV("x"), .name = EVENT_CUSTOM, .custom_name = SV("quiz_taken"), .consent.opt_out_of_sale = true};
    const struct json *json = written(&e);
    assert_member(json, "name", "quiz_taken");
    assert_member(json, "purpose", "marketing");
    assert_member(json, "consent.opt_out_of_sale", "true");
    static const char *const absent[] = {"value", "currency", "items", "properties", "experiment", "shop"};
    for (size_t i = 0; i < COUNTOF(absent); i++)
        assert_null(json_get(json, absent[i]));
    assert_null(json_at(json, "user.address"));
    e.consent.opt_out_of_sale = false;
    assert_null(json_get(written(&e), "consent"));
}

static void test_user_there_and_back(void **state) {
    (void)state;
    struct user u = {.email = SV("a@b.co"), .phone = SV("+1"), .external_id = SV("9"), .first_name = SV("É"), .last_name = SV("\"\\"), .locale = SV("en"),
                     .address1 = SV("1"), .city = SV("2"), .region = SV("3"), .zip = SV("4"), .country = SV("5"), .ip = SV("6"),
                     .user_agent = SV("7"), .fbp = SV("8"), .fbc = SV("10")};
    struct user back;
    struct jw w;
    struct json *json;
    buf_reset(&out);
    jw_init(&w, &out);
    user_write(&w, &u);
    assert_int_equal(json_parse(&arena, buf_sv(&out), &json, NULL), RC_OK);
    user_read(&arena, json, &back);
    buf_reset(&out);  // what was read must not point into it
    const struct sv *before = &u.email, *after = &back.email;
    for (size_t i = 0; i < sizeof u / sizeof(struct sv); i++)
        if (!sv_eq(before[i], after[i]))
            fail_msg("field %zu: \"" SV_FMT "\", not \"" SV_FMT "\"", i, SV_ARG(after[i]), SV_ARG(before[i]));
    user_read(&arena, NULL, &back);
    assert_false(user_has_identifier(&back));
}

static void test_rules(void **state) {
    (void)state;
    static const struct {
        enum event_name name;
        const char *meta, *metric, *trigger;
    } rows[] = {
        {EVENT_PURCHASE, "Purchase", "Placed Order", "post_purchase_ready"},
        {EVENT_REPEAT_PURCHASE, "Purchase", "Placed Repeat Order", NULL},
        {EVENT_CHECKOUT_STARTED, "InitiateCheckout", "Started Checkout", NULL},
        {EVENT_CART_STARTED, NULL, "Started Cart", NULL},
        {EVENT_ADD_TO_CART, "AddToCart", "Added to Cart", NULL},
        {EVENT_PRODUCT_VIEWED, "ViewContent", "Viewed Product", NULL},
        {EVENT_SEARCH, "Search", "Searched Site", NULL},
        {EVENT_SIGN_UP, "CompleteRegistration", "Subscribed to List", "Subscribed to Newsletter"},
        {EVENT_LEAD, "Lead", "Submitted Lead Form", NULL},
        {EVENT_REFUND, NULL, "Refunded Order", "refund_recorded"},
        {EVENT_ORDER_CANCELLED, NULL, "Cancelled Order", "cancellation_recorded"},
        {EVENT_ORDER_FULFILLED, NULL, "Fulfilled Order", "fulfilment_recorded"},
        {EVENT_BACK_IN_STOCK_REQUESTED, NULL, NULL, NULL},
        {EVENT_INVENTORY_RESTOCKED, NULL, "Back in Stock", NULL},
        {EVENT_BECAME_AT_RISK, NULL, "Entered Winback Window", NULL},
        {EVENT_SUBSCRIPTION_STARTED, "Subscribe", "Subscription Started", NULL},
        {EVENT_RENEWAL_CHARGED, "RecurringSubscriptionPayment", "Renewal Charged", NULL},
        {EVENT_RENEWAL_FAILED, NULL, "Renewal Failed", NULL},
        {EVENT_SKIPPED_ORDER, NULL, "Skipped Order", NULL},
        {EVENT_SUBSCRIPTION_CANCELLED, "CancelSubscription", "Subscription Cancelled", NULL},
        {EVENT_CONSENT_REVOKED, NULL, "Consent Revoked", NULL},
        {EVENT_CUSTOM, NULL, NULL, NULL},
    };
    const struct rules *rules = default_rules(&arena);
    struct shop beside = {.rules = rules, .klaviyo.native_integration = true}, alone = {.rules = rules};
    assert_int_equal(COUNTOF(rows), EVENT_NAME_COUNT);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = {.name = rows[i].name, .user.email = SV("ava@klaviyo-demo.com"), .consent.marketing = CONSENT_GRANTED};
        rule_choose(&arena, &alone, &e);
        enum event_name name = e.name;
        bool holds = name == EVENT_CHECKOUT_STARTED || name == EVENT_CART_STARTED || name == EVENT_ADD_TO_CART;
        assert_true(sv_is(e.rule->event, event_name_text(name)));
        assert_true(sv_eq(e.rule->meta.name, sv_of(rows[i].meta)));
        assert_true(sv_eq(e.rule->klaviyo.name, sv_of(rows[i].metric)));
        assert_true(sv_eq(e.rule->trigger, sv_of(rows[i].trigger)));
        assert_int_equal(rule_trigger_used(e.rule, &beside), rows[i].trigger != NULL);
        assert_false(rule_trigger_used(e.rule, &alone));
        assert_int_equal(e.rule->patience.on_fail, holds ? ON_FAIL_HOLD : ON_FAIL_CONTINUE);
        assert_int_equal(e.rule->patience.max_wait_ms, holds ? MINUTES_MS(15) : SECONDS_MS(10));
        assert_int_equal(e.rule->flow_window_ms, HOURS_MS(72));
        assert_int_equal(rule_patience(rules, event_label(&e)).max_wait_ms, e.rule->patience.max_wait_ms);
        assert_true(e.rule->identify && e.rule->pass && (!e.rule->next || e.name == EVENT_SIGN_UP) && !e.rule->has_purpose);
    }
}

static void test_destination_order(void **state) {
    (void)state;
    static const char *const names[] = {"meta", "klaviyo.profile", "klaviyo.event", "klaviyo.list"};
    assert_int_equal(destination_count, COUNTOF(names));
    for (size_t i = 0; i < destination_count; i++) {
        const struct destination *d = destinations[i];
        assert_string_equal(d->name, names[i]);
        assert_string_equal(d->account, i == 0 ? "meta" : "klaviyo");
        assert_int_equal(d->leads, i == 0);
        assert_true(d->allowed && d->applies && d->draft && d->address && d->outcome);
    }
}

static void test_retry_after(void **state) {
    (void)state;
    static const struct {
        const char *value;
        int64_t want;
    } rows[] = {
        {"30", 30000}, {" 30 ", 30000}, {"0", 1000}, {"3600", 3600000}, {"99999999999", 3600000}, {"-5", 0}, {"1.5", 0}, {"soon", 0}, {"", 0},
        {"Fri, 21 Nov 2025 10:02:00 GMT", 120000}, {"Fri, 21 Nov 2025 09:00:00 GMT", 1000}, {"Fri, 21 Nov 2025 12:00:00 GMT", 3600000},
        {"Fri, 21 Nux 2025 10:02:00 GMT", 0}, {"Fri, 21 Nov 2025 10:02:00 CET", 0}, {"Fri, 32 Nov 2025 10:02:00 GMT", 0},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct header header = {SV("retry-after"), sv_of(rows[i].value)};
        int64_t is = retry_after_ms((struct headers){&header, 1}, INT64_C(1763719200000));
        if (is != rows[i].want)
            fail_msg("\"%s\" gives %lld", rows[i].value, (long long)is);
    }
    assert_int_equal(retry_after_ms((struct headers){0}, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_json_form),
        cmocka_unit_test(test_json_form_of_little),
        cmocka_unit_test(test_user_there_and_back),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_destination_order),
        cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests_name("event", tests, setup, teardown);
}
