// Klaviyo: which events go, what their request says, what an answer means.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "mapping/klaviyo/klaviyo.h"
#include "tests/unit/default_rules.h"
#include "tests/unit/members.h"

#include <string.h>

#define NOW_MS INT64_C(1763719200000)  // 2025-11-21T10:00:00Z

static struct arena arena;
static const struct rules *rules;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    rules = default_rules(&arena);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct shop shop(bool native_integration) {
    return (struct shop){
        .name = SV("acme"), .domain = SV("acme.myshopify.com"), .rules = rules,
        .klaviyo = {.configured = true, .native_integration = native_integration, .api_key = SV("pk_secret"), .revision = SV("2026-07-15"),
                    .base_url = SV("https://a.klaviyo.com")},
    };
}

static struct item items[] = {
    {.product_id = SV("632910392"), .variant_id = SV("808950810"), .sku = SV("SKU-481"), .title = SV("Serum"), .variant_title = SV("50 ml"),
     .quantity = SV("2"), .price = SV("50.05"), .url = SV("https://shop.example/products/serum"), .category = SV("skincare"), .vendor = SV("Roth")},
    {.product_id = SV("632910393"), .title = SV("Brush"), .quantity = SV("1"), .price = SV("29.95"), .category = SV("skincare")},
};

static struct event purchase(void) {
    struct event e = {
        .id = SV("ord_450789469_purchase"), .name = EVENT_PURCHASE, .time_ms = NOW_MS - 1500, .shop = SV("acme"), .source = SV("shopify"),
        .origin = SV("web"), .purpose = PURPOSE_TRANSACTIONAL,
        .user = {.email = SV(" Ava@Klaviyo-Demo.com"), .phone = SV("0151 12345678"), .external_id = SV("34982"), .first_name = SV("Ava"),
                 .last_name = SV("Roth"), .locale = SV("de_DE"), .address1 = SV("Weg 1"), .city = SV("Berlin"), .region = SV("BE"),
                 .zip = SV("10115"), .country = SV("DE"), .ip = SV("203.0.113.7"), .user_agent = SV("Mozilla/5.0"), .fbc = SV("fb.1.1.x")},
        .value = SV("129.95"), .currency = SV("eur"), .items = items, .item_count = COUNTOF(items),
        .experiment_id = SV("exp_7"), .experiment_variant = SV("B"),
    };
    event_property(&e, "order_id", SV("450789469"));
    event_property(&e, "discount_code", SV("WELCOME"));
    return e;
}

static const struct disposition meta_sent = {.status = SV("sent")};

// before NULL: the event came without telling what Meta made of it.
static struct sv body_of(struct event *e, const struct shop *s, const struct disposition *before) {
    rule_choose(&arena, s, e);
    struct draft draft = destination_klaviyo.draft(&arena, e, s, NOW_MS);
    return before ? destination_klaviyo.tell(&arena, draft, before) : draft.body;
}

static bool applies(struct event *e, const struct shop *s, struct sv *ret_reason) {
    rule_choose(&arena, s, e);
    return destination_klaviyo.applies(&arena, e, s, ret_reason);
}

static const struct json *attributes_of(struct event *e, const struct shop *s, const struct disposition *before) {
    const struct json *json = json_parsed(&arena, body_of(e, s, before));
    assert_true(sv_is(json_str(json, "data.type"), "event"));
    return json_at(json, "data.attributes");
}

static const struct json *properties_of(struct event *e) {
    struct shop s = shop(false);
    return json_get(attributes_of(e, &s, &meta_sent), "properties");
}

static void test_purchase(void **state) {
    (void)state;
    struct event e = purchase();
    struct shop s = shop(false);
    const struct json *attributes = attributes_of(&e, &s, &meta_sent);
    static const char *const rows[][2] = {
        {"time", "2025-11-21T09:59:58Z"}, {"value", "129.95"}, {"value_currency", "EUR"}, {"unique_id", "ord_450789469_purchase"},
        {"backfill", NULL}, {"metric.data.type", "metric"}, {"metric.data.attributes.name", "Placed Order"},
        {"profile.data.type", "profile"}, {"profile.data.attributes.email", "ava@klaviyo-demo.com"},
        {"profile.data.attributes.phone_number", NULL}, {"profile.data.attributes.external_id", NULL},
        {"profile.data.attributes.first_name", "Ava"}, {"profile.data.attributes.last_name", "Roth"},
        {"profile.data.attributes.locale", "de-DE"}, {"profile.data.attributes.location.address1", "Weg 1"},
        {"profile.data.attributes.location.city", "Berlin"}, {"profile.data.attributes.location.region", "BE"},
        {"profile.data.attributes.location.zip", "10115"}, {"profile.data.attributes.location.country", "DE"},
        {"properties.source", "fireorder"}, {"properties.event_id", "ord_450789469_purchase"}, {"properties.dedup_scope", "acme:purchase"},
        {"properties.capi_event_id", "ord_450789469_purchase"}, {"properties.capi_status", "sent"}, {"properties.capi_reason", NULL},
        {"properties.origin", "web"}, {"properties.purpose", "transactional"}, {"properties.customer_id", "34982"},
        {"properties.experiment_id", "exp_7"}, {"properties.variant", "B"}, {"properties.order_id", "450789469"},
        {"properties.OrderId", "450789469"}, {"properties.DiscountCode", "WELCOME"}, {"properties.value", "129.95"}, {"properties.currency", "EUR"},
        {"properties.item_count", "3"}, {"properties.shipping_country", "DE"},
    };
    assert_members(attributes, rows, COUNTOF(rows));
    assert_int_equal(json_get(attributes, "value")->type, JSON_NUMBER);
    const struct json *properties = json_get(attributes, "properties"), *list = json_get(properties, "Items");
    static const char *const item[][2] = {
        {"ProductID", "632910392"}, {"VariantID", "808950810"}, {"SKU", "SKU-481"}, {"ProductName", "Serum"}, {"VariantName", "50 ml"},
        {"Quantity", "2"}, {"ItemPrice", "50.05"}, {"RowTotal", "100.10"}, {"ProductURL", "https://shop.example/products/serum"},
        {"Brand", "Roth"}, {"ImageURL", NULL},
    };
    assert_int_equal(list->count, 2);
    assert_members(list->child, item, COUNTOF(item));
    assert_int_equal(json_get(list->child, "RowTotal")->type, JSON_NUMBER);
    assert_true(sv_is(json_get(list->child, "Categories")->child->text, "skincare"));
    assert_int_equal(json_get(properties, "items")->count, 1);  // the SKUs; the second item has none
    assert_int_equal(json_get(properties, "item_count")->type, JSON_NUMBER);
    assert_int_equal(json_get(properties, "ItemNames")->count, 2);
    assert_int_equal(json_get(properties, "Categories")->count, 1);
    assert_int_equal(json_get(properties, "Brands")->count, 1);
    struct sv body = body_of(&e, &s, &meta_sent);  // what is Meta's stays Meta's
    assert_false(sv_contains_nocase(body, SV("203.0.113.7")) || sv_contains_nocase(body, SV("fb.1.1")) || sv_contains_nocase(body, SV("pk_")));
}

// Beside Klaviyo's own Shopify integration nothing may count as revenue twice.
static void test_trigger_name(void **state) {
    (void)state;
    struct event e = purchase();
    struct shop s = shop(true);
    const struct disposition skipped = {SV("skipped"), SV("consent denied")};
    static const char *const rows[][2] = {
        {"metric.data.attributes.name", "post_purchase_ready"}, {"value", NULL}, {"value_currency", NULL}, {"properties.value", "129.95"},
        {"properties.currency", "EUR"}, {"properties.capi_status", "skipped"}, {"properties.capi_reason", "consent denied"},
    };
    assert_members(attributes_of(&e, &s, &skipped), rows, COUNTOF(rows));
    e.name = EVENT_CHECKOUT_STARTED;
    static const char *const no_clash[][2] = {
        {"metric.data.attributes.name", "Started Checkout"}, {"value", "129.95"}, {"value_currency", "EUR"}, {"properties.currency", "EUR"},
        {"properties.capi_status", NULL}, {"properties.capi_event_id", "ord_450789469_purchase"},
    };
    assert_members(attributes_of(&e, &s, NULL), no_clash, COUNTOF(no_clash));
}

static void test_refund_and_custom(void **state) {
    (void)state;
    struct shop s = shop(true);
    struct event refund = purchase();
    refund.id = SV("ord_450789469_refund_509562969");
    refund.name = EVENT_REFUND;
    event_property(&refund, "reason", SV("too small"));
    static const char *const refund_rows[][2] = {
        {"metric.data.attributes.name", "refund_recorded"}, {"unique_id", "ord_450789469_refund_509562969"}, {"properties.Reason", "too small"},
        {"properties.dedup_scope", "acme:refund"},
    };
    assert_members(attributes_of(&refund, &s, &meta_sent), refund_rows, COUNTOF(refund_rows));
    struct event own = purchase();
    own.name = EVENT_CUSTOM;
    own.custom_name = SV("quiz_taken");
    assert_member(attributes_of(&own, &s, NULL), "metric.data.attributes.name", "quiz_taken");
    assert_member(attributes_of(&own, &s, NULL), "value", "129.95");
}

static void test_product_events(void **state) {
    (void)state;
    struct event e = purchase();
    e.name = EVENT_ADD_TO_CART;
    static const char *const added[][2] = {
        {"AddedItemProductID", "632910392"}, {"AddedItemProductName", "Serum"}, {"AddedItemSKU", "SKU-481"}, {"AddedItemPrice", "50.05"},
        {"AddedItemQuantity", "2"}, {"AddedItemURL", "https://shop.example/products/serum"}, {"ProductName", NULL}, {"product_id", "632910392"}, {"sku", "SKU-481"},
    };
    assert_members(properties_of(&e), added, COUNTOF(added));
    e.name = EVENT_PRODUCT_VIEWED;
    event_property(&e, "ProductName", SV("Own name"));  // the mapping has a value of its own for this one,
    event_property(&e, "ImageURL", SV("https://shop.example/serum.png"));  // and none for this
    static const char *const viewed[][2] = {
        {"ProductID", "632910392"}, {"ProductName", "Serum"}, {"SKU", "SKU-481"}, {"Price", "50.05"}, {"Brand", "Roth"},
        {"URL", "https://shop.example/products/serum"}, {"ImageURL", "https://shop.example/serum.png"}, {"product_id", "632910392"},
        {"sku", "SKU-481"}, {"product_name", "Serum"}, {"category", "skincare"}, {"price", "50.05"},
        {"product_url", "https://shop.example/products/serum"},
    };
    assert_members(properties_of(&e), viewed, COUNTOF(viewed));
}

static void test_old_events_are_backfill(void **state) {
    (void)state;
    struct shop s = shop(false);
    struct event e = purchase();
    e.time_ms = NOW_MS - HOURS_MS(72);
    assert_member(attributes_of(&e, &s, &meta_sent), "backfill", NULL);
    e.time_ms -= 1;
    static const char *const rows[][2] = {
        {"backfill", "true"}, {"time", "2025-11-18T09:59:59Z"}, {"profile.data.attributes.email", "ava@klaviyo-demo.com"},
        {"profile.data.attributes.first_name", NULL}, {"profile.data.attributes.location.city", NULL}, {"profile.data.attributes.locale", NULL},
    };
    assert_members(attributes_of(&e, &s, &meta_sent), rows, COUNTOF(rows));
    e.time_ms = NOW_MS + DAYS_MS(400);
    assert_member(attributes_of(&e, &s, &meta_sent), "time", "2025-11-21T10:00:00Z");
    assert_null(destination_klaviyo.expired);
}

static void test_identifiers(void **state) {
    (void)state;
    static const struct {
        const char *email, *phone, *id, *country, *want_email, *want_phone, *want_id;
    } rows[] = {
        {"A@b.co", "+1 650 555 1212", "7", NULL, "a@b.co", NULL, NULL},  // a number that may be another profile's
        {"nobody", "650 555 1212", "7", "US", NULL, "+16505551212", NULL},
        {"a@b.co", "650 555 1212", "7", NULL, "a@b.co", NULL, NULL},
        {NULL, NULL, " 7 ", NULL, NULL, NULL, "7"},
        {"nobody", "1", "7", "US", NULL, NULL, "7"},
        {"nobody", "1", NULL, "US", NULL, NULL, NULL},
        {"a123456789012345678901234567890123456789012345678901@b1234567890123456789012345678901234567890123.com", NULL, NULL, NULL, NULL, NULL, NULL},
    };
    struct shop s = shop(true);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = purchase();
        struct sv reason = SV_NONE;
        e.user = (struct user){.email = sv_of(rows[i].email), .phone = sv_of(rows[i].phone), .external_id = sv_of(rows[i].id),
                               .country = sv_of(rows[i].country)};
        bool any = rows[i].want_email || rows[i].want_phone || rows[i].want_id;
        assert_int_equal(applies(&e, &s, &reason), any);
        assert_true(any || sv_is(reason, "no identifier"));
        const struct json *profile = json_at(attributes_of(&e, &s, NULL), "profile.data.attributes");
        assert_member(profile, "email", rows[i].want_email);
        assert_member(profile, "phone_number", rows[i].want_phone);
        assert_member(profile, "external_id", rows[i].want_id);
    }
}

static void test_applies(void **state) {
    (void)state;
    struct sv reason = SV_NONE;
    struct shop s = shop(true);
    struct event e = purchase();
    assert_true(applies(&e, &s, &reason));
    e.origin = SV("test");
    assert_false(applies(&e, &s, &reason));
    assert_true(sv_is(reason, "test event"));
    e = purchase();
    s.consent.klaviyo = (struct consent_policy){CONSENT_FOR_MARKETING, UNKNOWN_DENY, OPT_OUT_SKIP};
    assert_false(applies(&e, &s, &reason));
    assert_true(sv_is(reason, "consent unknown"));
    s = shop(true);
    e.name = EVENT_CUSTOM;
    char name[130];
    memset(name, 'x', sizeof name);
    e.custom_name = (struct sv){name, 127};
    assert_true(applies(&e, &s, &reason));
    e.custom_name.n = 128;
    assert_false(applies(&e, &s, &reason));
    s.klaviyo.configured = false;
    assert_false(applies(&e, &s, &reason));
    assert_true(sv_is(reason, "klaviyo is not configured"));
}

// Values that Klaviyo ignores are left out, those that mean something to it are not the sender's to set.
static void test_own_properties(void **state) {
    (void)state;
    const struct json *sent = json_parsed(&arena, SV("{\"zero\":0,\"none\":null,\"empty\":\"\",\"no_list\":[],\"no_object\":{},\"no\":false,\"yes\":true,"
                                      "\"big\":820982911946154508123,\"$value\":99,\"$event_id\":\"x\",\"$extra\":{\"a\":0},"
                                      "\"source\":\"forged\",\"capi_status\":\"forged\",\"value\":1,\"n\":{\"k\":[1,null,\"\"]}}"));
    struct event e = purchase();
    struct sv list[] = {SV("a"), SV("b")};
    e.property_count = 0;
    JSON_EACH(member, sent)
        event_property_node(&e, member->key, member);
    event_property_number(&e, "item_count", SV("3"));
    event_property_number(&e, "nothing", SV("0.00"));
    event_property_list(&e, "codes", list, 2);
    const struct json *properties = properties_of(&e);
    static const char *const absent[] = {"zero", "none", "empty", "no_list", "no_object", "$value", "$event_id", "nothing"};
    for (size_t i = 0; i < COUNTOF(absent); i++)
        if (json_get(properties, absent[i]))
            fail_msg("%s was sent", absent[i]);
    static const char *const rows[][2] = {
        {"no", "false"}, {"yes", "true"}, {"big", "820982911946154508123"}, {"source", "fireorder"}, {"capi_status", "sent"}, {"item_count", "3"}, {"value", "129.95"},
    };
    assert_members(properties, rows, COUNTOF(rows));
    assert_int_equal(json_get(properties, "big")->type, JSON_STRING);  // over 64 bits
    assert_int_equal(json_get(properties, "codes")->count, 2);
    assert_int_equal(json_at(properties, "n.k")->count, 3);
    assert_true(json_is_object(json_get(properties, "$extra")));
    size_t sources = 0, values = 0;
    JSON_EACH(member, properties) {
        sources += sv_is(member->key, "source");
        values += sv_is(member->key, "value");
    }
    assert_int_equal(sources, 1);
    assert_int_equal(values, 1);
}

static size_t depth_of(const struct json *node) {
    size_t deepest = 0;
    JSON_EACH(child, node) {
        size_t d = depth_of(child);
        deepest = d > deepest ? d : deepest;
    }
    return deepest + (node->type == JSON_OBJECT || node->type == JSON_ARRAY);
}

static void test_limits(void **state) {
    (void)state;
    enum { LONG = 150000, MANY = 5000 };
    struct event e = purchase();
    struct shop s = shop(false);
    char *text = arena_alloc(&arena, LONG);
    for (size_t i = 0; i + 1 < LONG; i += 2)
        memcpy(text + i, "é", 2);
    event_property(&e, "long", (struct sv){text, LONG});
    event_property(&e, "odd", (struct sv){text + 1, LONG - 1});
    struct sv *list = ARENA_ARRAY(&arena, struct sv, MANY);
    struct item *many = ARENA_ARRAY(&arena, struct item, MANY);
    for (size_t i = 0; i < MANY; i++) {
        list[i] = SV("x");
        many[i].title = arena_fmt(&arena, "item %zu", i);
    }
    event_property_list(&e, "list", list, MANY);
    e.items = many;
    e.item_count = MANY;
    const struct json *deep = json_parsed(&arena, SV("{\"d\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}"));
    event_property_node(&e, SV("deep"), deep->child);
    e.id = (struct sv){text, 300};
    const struct json *attributes = attributes_of(&e, &s, NULL), *properties = json_get(attributes, "properties");
    assert_int_equal(json_get(properties, "long")->text.n, 100000);
    assert_true(json_get(properties, "odd")->text.n <= 100002);
    assert_int_equal(json_get(properties, "list")->count, 4000);
    assert_int_equal(json_get(properties, "Items")->count, 4000);
    assert_true(json_get(properties, "ItemNames")->count <= 4000);
    assert_true(depth_of(json_get(properties, "deep")) <= 8);
    struct digest digest = sha256(e.id);
    assert_member(attributes, "unique_id", hex_of(&arena, digest.b, SHA256_LEN).p);
}

static void test_locales(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"en", "en"}, {"en-US", "en-US"}, {"pt_BR", "pt-BR"}, {"zh-Hant-TW", "zh-Hant-TW"}, {" de ", "de"}, {"e", NULL}, {"english", NULL},
        {"en-", NULL}, {"-en", NULL}, {"en--US", NULL}, {"en US", NULL}, {"e1", NULL}, {"", NULL},
    };
    struct shop s = shop(false);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = purchase();
        e.user.locale = sv_of(rows[i][0]);
        assert_member(attributes_of(&e, &s, NULL), "profile.data.attributes.locale", rows[i][1]);
    }
}

static void test_address(void **state) {
    (void)state;
    static const char *const headers[] = {
        "Authorization: Klaviyo-API-Key pk_secret", "revision: 2026-07-15", "Content-Type: application/vnd.api+json",
        "Accept: application/vnd.api+json", "X-Klaviyo-Revision-Fall-Forward-Opt-Out: 1",
    };
    struct shop s = shop(true);
    struct request request = {0};
    destination_klaviyo.address(&arena, &s, &(struct draft){0}, &request);
    assert_true(sv_is(request.url, "https://a.klaviyo.com/api/events"));
    assert_int_equal(request.header_count, COUNTOF(headers));
    for (size_t i = 0; i < COUNTOF(headers); i++)
        assert_true(sv_is(request.headers[i], headers[i]));
}

static struct outcome answered(long status, const char *body, struct header *header) {
    struct answer answer = {.status = status, .headers = {header, header ? 1 : 0}, .body = sv_of(body)};
    if (status == 0)
        answer.transport_error = SV("connection refused");
    return destination_klaviyo.outcome(&arena, &answer, NOW_MS);
}

static void test_outcomes(void **state) {
    (void)state;
    static const char errors[] = "{\"errors\":[{\"id\":\"4c1b-9\",\"status\":400,\"code\":\"invalid\",\"detail\":\"ava@klaviyo-demo.com is bad\","
                                 "\"source\":{\"pointer\":\"/data/attributes/profile/data/attributes/phone_number\"},\"links\":[]}]}";
    static const struct {
        long status;
        const char *body;
        enum outcome_kind kind;
        const char *reason;
    } rows[] = {
        {202, "", OUTCOME_SENT, "202 accepted"},
        {200, "1", OUTCOME_SENT, "200 accepted"},
        {201, "<html>", OUTCOME_SENT, "201 accepted"},
        {302, "", OUTCOME_PAUSE, "302 redirected: check base_url"},
        {400, errors, OUTCOME_REJECT, "400 invalid at /data/attributes/profile/data/attributes/phone_number (error 4c1b-9)"},
        {400, "{\"errors\":[{\"source\":{\"pointer\":\"ava@klaviyo-demo.com\"}}]}", OUTCOME_REJECT, "400 invalid"},
        {400, "{\"errors\":{}}", OUTCOME_REJECT, "400 invalid"},
        {400, "<html>bad header</html>", OUTCOME_RETRY, "400 invalid"},
        {401, "{}", OUTCOME_PAUSE, "401 api_key refused"},
        {401, "", OUTCOME_PAUSE, "401 api_key refused"},
        {403, "{\"errors\":[{\"code\":\"permission_denied\"}]}", OUTCOME_PAUSE, "403 permission denied"},
        {403, "<html>", OUTCOME_RETRY, "403 stopped before Klaviyo"},
        {404, "{}", OUTCOME_REJECT, "404 not found"},
        {405, "{}", OUTCOME_REJECT, "405 method not allowed"},
        {408, "", OUTCOME_RETRY, "408 timed out"},
        {409, "{}", OUTCOME_REJECT, "409 e-mail and phone belong to two profiles"},
        {410, "{}", OUTCOME_PAUSE, "410 revision retired"},
        {413, "{}", OUTCOME_REJECT, "413 too large"},
        {415, "{}", OUTCOME_REJECT, "415 content type refused"},
        {418, "{}", OUTCOME_REJECT, "418 refused"},
        {429, "{}", OUTCOME_THROTTLED, "429 throttled"},
        {500, "{}", OUTCOME_RETRY, "500 trouble at Klaviyo"},
        {502, "<html>", OUTCOME_RETRY, "502 trouble at Klaviyo"},
        {503, "", OUTCOME_RETRY, "503 trouble at Klaviyo"},
        {504, "", OUTCOME_RETRY, "504 trouble at Klaviyo"},
        {524, "", OUTCOME_RETRY, "524 trouble at Klaviyo"},
        {0, NULL, OUTCOME_RETRY, "connection refused"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct outcome outcome = answered(rows[i].status, rows[i].body, NULL);
        if (outcome.kind != rows[i].kind || !sv_is(outcome.reason, rows[i].reason))
            fail_msg("row %zu: %d " SV_FMT, i, outcome.kind, SV_ARG(outcome.reason));
        // Beside the events a key without the scope loses the profile; it holds nothing up.
        struct answer answer = {.status = rows[i].status, .body = sv_of(rows[i].body), .transport_error = SV("connection refused")};
        enum outcome_kind aside = rows[i].status == 403 && rows[i].kind == OUTCOME_PAUSE ? OUTCOME_REJECT : rows[i].kind;
        assert_int_equal(klaviyo_side_outcome(&arena, &answer, NOW_MS).kind, aside);
    }
}

static void test_waiting(void **state) {
    (void)state;
    struct header retry = {SV("retry-after"), SV("12")};
    assert_int_equal(answered(429, "{}", &retry).retry_after_ms, SECONDS_MS(12));
    assert_int_equal(answered(503, "", &retry).retry_after_ms, SECONDS_MS(12));
    retry.value = SV("0");
    assert_int_equal(answered(429, "{}", &retry).retry_after_ms, SECONDS_MS(1));
    assert_int_equal(answered(429, "{}", NULL).retry_after_ms, SECONDS_MS(1));
    assert_int_equal(answered(503, "", NULL).retry_after_ms, 0);
    assert_int_equal(answered(403, "<html>", NULL).retry_after_ms, MINUTES_MS(5));
    struct header challenge = {SV("cf-mitigated"), SV("challenge")};
    assert_int_equal(answered(403, "{}", &challenge).kind, OUTCOME_RETRY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_purchase),
        cmocka_unit_test(test_trigger_name),
        cmocka_unit_test(test_refund_and_custom),
        cmocka_unit_test(test_product_events),
        cmocka_unit_test(test_old_events_are_backfill),
        cmocka_unit_test(test_identifiers),
        cmocka_unit_test(test_applies),
        cmocka_unit_test(test_own_properties),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_locales),
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_waiting),
    };
    return cmocka_run_group_tests_name("klaviyo", tests, setup, teardown);
}
