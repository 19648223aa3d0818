// Meta: which events go, what their request says, what an answer means.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "mapping/destination.h"
#include "mapping/meta/meta.h"
#include "tests/unit/default_rules.h"
#include "tests/unit/members.h"

#include <string.h>

#define NOW_MS INT64_C(1763719200000)  // 2025-11-21T10:00:00Z

static struct arena arena;
static const struct rules *rules;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, (size_t)16 << 20);
    rules = default_rules(&arena);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct shop shop(void) {
    return (struct shop){
        .name = SV("acme"), .domain = SV("acme.myshopify.com"), .rules = rules,
        .meta = {.configured = true, .pixel_id = SV("1234567890"), .access_token = SV("secret-token"), .api_version = SV("v25.0"),
                 .base_url = SV("https://graph.facebook.com/")},
        .consent.meta = {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, OPT_OUT_SKIP},
    };
}

static struct item items[] = {
    {.product_id = SV("632910392"), .variant_id = SV("808950810"), .sku = SV("SKU-481"), .title = SV("Serum"), .quantity = SV("2"), .price = SV("50.00")},
    {.product_id = SV("632910393"), .title = SV("Brush"), .quantity = SV("1"), .price = SV("29.95")},
    {.sku = SV("GIFT"), .quantity = SV("1"), .price = SV("0")},
    {.title = SV("Tip"), .price = SV("1")},
};

static struct event purchase(void) {
    struct event e = {
        .id = SV("ord_450789469_purchase"), .name = EVENT_PURCHASE, .time_ms = NOW_MS - 1500, .shop = SV("acme"), .source = SV("shopify"),
        .origin = SV("web"),
        .user = {.email = SV(" Ava@Klaviyo-Demo.com"), .phone = SV("0151 12345678"), .external_id = SV("34982"), .first_name = SV("Ava"),
                 .last_name = SV("Roth"), .city = SV("Berlin"), .region = SV("BE"), .zip = SV("10115"), .country = SV("DE"),
                 .ip = SV("203.0.113.7"), .user_agent = SV("Mozilla/5.0"), .fbp = SV("fb.1.1763719100000.1116446470"),
                 .fbc = SV("fb.1.1763719100000.IwAR2F4")},
        .consent = {.marketing = CONSENT_GRANTED},
        .value = SV("129.95"), .currency = SV("eur"), .items = items, .item_count = COUNTOF(items),
    };
    event_property(&e, "order_id", SV("450789469"));
    return e;
}

static struct sv body_of(struct event *e, const struct shop *s) {
    rule_choose(&arena, s, e);
    return destination_meta.draft(&arena, e, s, NOW_MS).body;
}

static const struct json *parsed(struct event *e, const struct shop *s) {
    return json_parsed(&arena, body_of(e, s));
}

static const struct json *event_of(struct event *e) {
    struct shop s = shop();
    return json_get(parsed(e, &s), "data")->child;
}

static void assert_hash(const struct json *event, const char *key, const char *plain) {
    const struct json *list = json_get(json_get(event, "user_data"), key);
    struct digest digest = sha256(sv_of(plain));
    assert_true(json_is_array(list) && list->count == 1);
    assert_string_equal(hex_of(&arena, digest.b, SHA256_LEN).p, arena_cstr(&arena, json_text(list->child)));
}

static void test_purchase(void **state) {
    (void)state;
    struct event e = purchase();
    const struct json *event = event_of(&e);
    assert_member(event, "event_name", "Purchase");
    assert_member(event, "event_id", "ord_450789469_purchase");
    assert_member(event, "event_time", "1763719198");
    assert_int_equal(json_get(event, "event_time")->type, JSON_NUMBER);
    assert_member(event, "action_source", "website");
    assert_member(event, "event_source_url", "https://acme.myshopify.com/");
    assert_hash(event, "em", "ava@klaviyo-demo.com");
    assert_hash(event, "ph", "4915112345678");
    assert_hash(event, "fn", "ava");
    assert_hash(event, "ln", "roth");
    assert_hash(event, "ct", "berlin");
    assert_hash(event, "st", "be");
    assert_hash(event, "zp", "10115");
    assert_hash(event, "country", "de");
    assert_hash(event, "external_id", "34982");
    assert_member(event, "user_data.client_ip_address", "203.0.113.7");
    assert_member(event, "user_data.client_user_agent", "Mozilla/5.0");
    assert_member(event, "user_data.fbp", "fb.1.1763719100000.1116446470");
    assert_member(event, "user_data.fbc", "fb.1.1763719100000.IwAR2F4");
    const struct json *custom = json_get(event, "custom_data");
    assert_member(custom, "value", "129.95");
    assert_int_equal(json_get(custom, "value")->type, JSON_NUMBER);
    assert_member(custom, "currency", "EUR");
    assert_member(custom, "order_id", "450789469");
    assert_int_equal(json_get(custom, "order_id")->type, JSON_STRING);
    assert_member(custom, "content_type", "product");
    assert_null(json_get(custom, "num_items"));
    const struct json *contents = json_get(custom, "contents"), *ids = json_get(custom, "content_ids");
    assert_int_equal(contents->count, 3);
    assert_int_equal(ids->count, 3);
    assert_member(contents->child, "id", "808950810");
    assert_member(contents->child, "quantity", "2");
    assert_member(contents->child, "item_price", "50.00");
    assert_member(contents->child->next, "id", "632910393");
    assert_member(contents->child->next->next, "id", "GIFT");
    struct shop s = shop();
    const struct json *body = parsed(&e, &s);
    assert_member(body, "partner_agent", "fireorder_0_1");
    assert_null(json_get(body, "test_event_code"));
    assert_int_equal(json_get(body, "data")->count, 1);
}

// What Meta does not know, it refuses: nothing else may ever be sent.
static void test_closed_list_of_keys(void **state) {
    (void)state;
    static const char *const keys[] = {
        "event_name", "event_time", "event_id", "action_source", "event_source_url", "user_data", "custom_data", "data_processing_options",
        "data_processing_options_country", "data_processing_options_state", "em", "ph", "fn", "ln", "ct", "st", "zp", "country", "external_id",
        "client_ip_address", "client_user_agent", "fbp", "fbc", "subscription_id", "value", "currency", "content_ids", "contents", "content_type",
        "order_id", "num_items", "search_string",
    };
    struct event e = purchase();
    event_property(&e, "opt_out", SV("x"));
    event_property(&e, "subscription_id", SV("77"));
    e.consent.opt_out_of_sale = true;
    const struct json *event = event_of(&e);
    const struct json *const objects[] = {event, json_get(event, "user_data"), json_get(event, "custom_data")};
    for (size_t i = 0; i < COUNTOF(objects); i++) {
        JSON_EACH(member, objects[i]) {
            bool known = false;
            for (size_t k = 0; k < COUNTOF(keys); k++)
                known |= sv_is(member->key, keys[k]);
            if (!known)
                fail_msg("unknown key " SV_FMT, SV_ARG(member->key));
        }
    }
    assert_member(event, "user_data.subscription_id", "77");
    assert_true(sv_is(json_get(event, "data_processing_options")->child->text, "LDU"));
    assert_member(event, "data_processing_options_state", "0");
}

// Without an address Meta has to be told where limited data use holds.
static void test_limited_data_use_without_an_address(void **state) {
    (void)state;
    static const struct {
        const char *country, *region, *ip, *want_country, *want_state;
    } rows[] = {
        {"US", "CA", NULL, "1", "1000"}, {"US", "California", NULL, "1", "1000"}, {"US", "DE", NULL, "1", "1007"}, {"US", "NY", NULL, "0", "0"},
        {"DE", "CA", NULL, "0", "0"},    {NULL, NULL, NULL, "0", "0"},             {"US", "CA", "192.0.2.7", "0", "0"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = purchase();
        e.consent.opt_out_of_sale = true;
        e.user.country = sv_of(rows[i].country);
        e.user.region = sv_of(rows[i].region);
        e.user.ip = sv_of(rows[i].ip);
        assert_member(event_of(&e), "data_processing_options_country", rows[i].want_country);
        assert_member(event_of(&e), "data_processing_options_state", rows[i].want_state);
    }
}

static void assert_origins(const struct event *e, bool browser, const char *want) {
    struct buf out;
    struct jw w;
    buf_init(&out, 1 << 12);
    jw_init(&w, &out);
    assert_true(sv_is(meta_user_write(&w, &arena, e, browser), want));
    buf_free(&out);
}

// Only of what is sent, in the words of Meta.
static void test_identity_is_told(void **state) {
    (void)state;
    struct event e = {.user = {.email = SV("ava@klaviyo-demo.com"), .phone = SV("+1"), .ip = SV("192.0.2.7"), .fbp = SV("fb.1.1.2"), .fbc = SV("broken"), .city = SV("Ulm")},
                      .origins = {.email = "order", .fbp = "note attribute", .fbc = "landing_site", .ip = "context:cart"}};
    assert_origins(&e, true, "em=order, client_ip_address=context:cart, fbp=note attribute");
    assert_origins(&e, false, "em=order");
}

static void test_time_is_never_in_the_future(void **state) {
    (void)state;
    struct event e = purchase();
    e.time_ms = NOW_MS + DAYS_MS(1);
    assert_member(event_of(&e), "event_time", "1763719200");
}

static void test_action_sources(void **state) {
    (void)state;
    static const struct {
        const char *origin, *agent, *want;
        enum event_name name;
        bool url, browser;
    } rows[] = {
        {"web", "M", "website", EVENT_PURCHASE, true, true},
        {"pos", "M", "physical_store", EVENT_PURCHASE, false, false},
        {"draft", "M", "other", EVENT_PURCHASE, false, true},
        {"channel", "M", "other", EVENT_PURCHASE, false, true},
        {"phone", "M", "phone_call", EVENT_PURCHASE, false, false},
        {"renewal", "M", "system_generated", EVENT_RENEWAL_CHARGED, false, false},
        {"web", "M", "system_generated", EVENT_RENEWAL_CHARGED, false, false},
        {"test", "M", "website", EVENT_PURCHASE, true, true},
        {NULL, "M", "website", EVENT_PRODUCT_VIEWED, true, true},
        {NULL, NULL, "system_generated", EVENT_SUBSCRIPTION_CANCELLED, false, false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = purchase();
        e.name = rows[i].name;
        e.origin = sv_of(rows[i].origin);
        e.user.user_agent = sv_of(rows[i].agent);
        const struct json *event = event_of(&e);
        assert_member(event, "action_source", rows[i].want);
        assert_int_equal(json_get(event, "event_source_url") != NULL, rows[i].url);
        assert_int_equal(json_at(event, "user_data.client_ip_address") != NULL, rows[i].browser);
        assert_int_equal(json_at(event, "user_data.fbc") != NULL, rows[i].browser);
    }
}

static void test_page_urls(void **state) {
    (void)state;
    static const struct {
        const char *property, *url, *want;
    } rows[] = {
        {"product_url", "https://shop.example/products/serum?email=a@b.co#x", "https://shop.example/products/serum"},
        {"landing_site", "/collections/all?fbclid=abc", "https://acme.myshopify.com/collections/all"},
        {"checkout_url", "https://shop.example/checkouts/cn/Z2NwLXVzLWVhc3Qx/recover?key=1", "https://shop.example/checkouts"},
        {"checkout_url", "https://shop.example/690933842/checkouts/bd5a8aa1ecd019dd3520ff791ee3a24c/recover?key=9", "https://shop.example/690933842/checkouts"},
        {"order_status_url", "https://shop.example/690933842/orders/b1946ac92492d2347c6235b4d2611184/authenticate?key=1", "https://shop.example/690933842/orders"},
        {"page_url", "https://shop.example/x/b1946ac92492d2347c6235b4d2611184", "https://shop.example/x"},
        {"page_url", "https://shop.example/products/a-very-long-product-name-of-2025", "https://shop.example/products/a-very-long-product-name-of-2025"},
        {"page_url", "https://shop.example/u/ava@klaviyo-demo.com/x", "https://shop.example/u"},
        {"page_url", "https://shop.example/u/ava%40klaviyo-demo.com", "https://shop.example/u"},
        {"page_url", "http://ava:pw@shop.example/", "https://acme.myshopify.com/"},
        {"page_url", "HTTPS://shop.example", "https://shop.example/"},
        {"page_url", "https://shop.example:8443/a/", "https://shop.example:8443/a/"},
        {"page_url", "javascript:alert(1)", "https://acme.myshopify.com/"},
        {"page_url", "//evil.example/x", "https://acme.myshopify.com/"},
        {"page_url", "https:///x", "https://acme.myshopify.com/"},
        {"page_url", "not a url", "https://acme.myshopify.com/"},
        {"nothing", "https://shop.example/", "https://acme.myshopify.com/"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = purchase();
        event_property(&e, rows[i].property, sv_of(rows[i].url));
        assert_member(event_of(&e), "event_source_url", rows[i].want);
    }
}

static void test_other_events(void **state) {
    (void)state;
    struct event checkout = purchase();
    checkout.name = EVENT_CHECKOUT_STARTED;
    assert_member(event_of(&checkout), "event_name", "InitiateCheckout");
    assert_member(event_of(&checkout), "custom_data.num_items", "4");
    struct event search = purchase();
    search.name = EVENT_SEARCH;
    search.value = SV_NONE;
    event_property(&search, "query", SV("serum"));
    assert_member(event_of(&search), "custom_data.search_string", "serum");
    assert_null(json_at(event_of(&search), "custom_data.currency"));  // never one without the other
    event_property(&search, "query", SV("orders of ava@klaviyo-demo.com"));
    assert_null(json_at(event_of(&search), "custom_data.search_string"));
    struct event bare = purchase();
    bare.name = EVENT_LEAD;
    bare.item_count = 0;
    assert_null(json_at(event_of(&bare), "custom_data.contents"));
    assert_null(json_at(event_of(&bare), "custom_data.content_type"));
}

// Bad identity is left out, the event stays.
static void test_bad_identity(void **state) {
    (void)state;
    static const char hashed[] = "62A14E44F765419D10FEA99367361A727C12365E2520F32218D505ED9AA0F62F";
    static const char nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    struct event e = purchase();
    struct shop s = shop();
    e.user = (struct user){
        .email = SV("nobody"), .phone = SV("0151"), .external_id = SV(" GID 7\n"), .first_name = SV("..."), .last_name = SV(" "), .city = SV("12345"),
        .region = SV("75"), .zip = SV("1"), .country = SV("Nowhere"), .ip = SV("203.0.113.700"), .user_agent = SV(" "),
        .fbp = SV("fb.1.x.y"), .fbc = SV("fb.1.1763719100000.abc."),
    };
    const struct json *user = json_get(event_of(&e), "user_data");
    assert_int_equal(user->count, 1);
    assert_hash(event_of(&e), "external_id", "gid7");
    assert_false(sv_contains_nocase(body_of(&e, &s), sv_of(nothing)));
    e.user = (struct user){.email = sv_of(hashed), .first_name = sv_of(nothing), .last_name = SV("0123456789abcdef0123456789abcdef"),
                           .external_id = SV("0123456789abcdef0123456789abcdef"), .ip = SV("2001:db8::1"),
                           .fbc = SV("fb.1.1563719100000.old"), .fbp = SV("fb.2.1763719100000.1.AQ")};
    user = json_get(event_of(&e), "user_data");
    assert_string_equal(arena_cstr(&arena, json_get(user, "em")->child->text), "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f");
    assert_hash(event_of(&e), "external_id", "0123456789abcdef0123456789abcdef");
    assert_member(user, "client_ip_address", "2001:db8::1");
    assert_member(user, "fbp", "fb.2.1763719100000.1.AQ");
    assert_int_equal(user->count, 4);
}

static void test_no_hash_of_nothing(void **state) {
    (void)state;
    static const char *const rubbish[] = {"", " ", ".", "0", "-", "\u00A0", "\u3000", "...", "0000", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"};
    struct shop s = shop();
    for (size_t i = 0; i < COUNTOF(rubbish); i++) {
        struct event e = purchase();
        struct sv r = sv_of(rubbish[i]);
        e.user = (struct user){r, r, r, r, r, r, r, r, r, r, r, r, r, r, r};
        e.user.user_agent = SV_NONE;  // goes as it is
        assert_false(sv_contains_nocase(body_of(&e, &s), SV("e3b0c44298fc1c14")));
    }
}

static void test_no_personal_data_in_clear(void **state) {
    (void)state;
    struct event e = purchase();
    struct shop s = shop();
    struct sv body = body_of(&e, &s);
    static const char *const private[] = {"klaviyo-demo", "12345678\"", "Roth", "Berlin", "10115", "34982", "secret-token"};
    for (size_t i = 0; i < COUNTOF(private); i++)
        assert_false(sv_contains_nocase(body, sv_of(private[i])));
}

static void test_applies(void **state) {
    (void)state;
    enum change { NONE, NOT_CONFIGURED, NO_META_EVENT, CUSTOM, TEST, TEST_WITH_CODE, DENIED, UNKNOWN_DE, NO_VALUE, BAD_VALUE, NEGATIVE, NO_CURRENCY,
                  ZERO_VALUE, PLACE_ONLY, NAME_ONLY, NAMES, AGENT_ONLY, IP_ONLY, POS_IP_ONLY, EMAIL_ONLY, NOBODY, LEAD_WITHOUT_VALUE };
    static const struct {
        enum change change;
        const char *reason;
    } rows[] = {
        {NONE, NULL}, {NOT_CONFIGURED, "meta is not configured"}, {NO_META_EVENT, "no Meta event for refund"}, {CUSTOM, "no Meta event for quiz_taken"},
        {TEST, "test event and no test_event_code"}, {TEST_WITH_CODE, NULL}, {DENIED, "consent denied"}, {UNKNOWN_DE, "consent unknown in DE"},
        {NO_VALUE, "Purchase without a value"}, {BAD_VALUE, "Purchase without a value"}, {NEGATIVE, "Purchase without a value"},
        {NO_CURRENCY, "Purchase without a currency"}, {ZERO_VALUE, NULL}, {PLACE_ONLY, "too little identity for Meta"},
        {NAME_ONLY, "too little identity for Meta"}, {NAMES, NULL}, {AGENT_ONLY, "too little identity for Meta"}, {IP_ONLY, NULL},
        {POS_IP_ONLY, "too little identity for Meta"}, {EMAIL_ONLY, NULL}, {NOBODY, "too little identity for Meta"}, {LEAD_WITHOUT_VALUE, NULL},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop s = shop();
        struct event e = purchase();
        struct sv reason = SV_NONE;
        switch (rows[i].change) {
        case NONE: break;
        case NOT_CONFIGURED: s.meta.configured = false; break;
        case NO_META_EVENT: e.name = EVENT_REFUND; break;
        case CUSTOM: e.name = EVENT_CUSTOM; e.custom_name = SV("quiz_taken"); break;
        case TEST: e.origin = SV("test"); break;
        case TEST_WITH_CODE: e.origin = SV("test"); s.meta.test_event_code = SV("TEST1"); break;
        case DENIED: e.consent.marketing = CONSENT_DENIED; break;
        case UNKNOWN_DE: e.consent.marketing = CONSENT_UNKNOWN; break;
        case NO_VALUE: e.value = SV_NONE; break;
        case BAD_VALUE: e.value = SV("1,299.00"); break;
        case NEGATIVE: e.value = SV("-5.00"); break;
        case NO_CURRENCY: e.currency = SV("US$"); break;
        case ZERO_VALUE: e.value = SV("0.00"); break;
        case PLACE_ONLY: e.user = (struct user){.city = SV("Berlin"), .zip = SV("10115"), .country = SV("DE"), .user_agent = SV("M")}; break;
        case NAME_ONLY: e.user = (struct user){.first_name = SV("Ava")}; break;
        case NAMES: e.user = (struct user){.first_name = SV("Ava"), .last_name = SV("Roth")}; break;
        case AGENT_ONLY: e.user = (struct user){.user_agent = SV("M")}; break;
        case IP_ONLY: e.user = (struct user){.ip = SV("203.0.113.7")}; break;
        case POS_IP_ONLY: e.user = (struct user){.ip = SV("203.0.113.7")}; e.origin = SV("pos"); break;
        case EMAIL_ONLY: e.user = (struct user){.email = SV("a@b.co")}; break;
        case NOBODY: e.user = (struct user){.email = SV("nobody")}; break;
        case LEAD_WITHOUT_VALUE: e.name = EVENT_LEAD; e.value = SV_NONE; break;
        }
        rule_choose(&arena, &s, &e);
        bool applies = destination_meta.applies(&arena, &e, &s, &reason);
        if (applies != !rows[i].reason || (!applies && !sv_is(reason, rows[i].reason)))
            fail_msg("row %zu: %d " SV_FMT, i, applies, SV_ARG(reason));
    }
}

static void test_expiry(void **state) {
    (void)state;
    assert_false(destination_meta.expired(NOW_MS - DAYS_MS(7) + MINUTES_MS(1), NOW_MS));
    assert_true(destination_meta.expired(NOW_MS - DAYS_MS(7) + MINUTES_MS(1) - 1, NOW_MS));
    assert_false(destination_meta.expired(NOW_MS + DAYS_MS(1), NOW_MS));
}

static void test_address(void **state) {
    (void)state;
    struct shop s = shop();
    struct request request = {0};
    destination_meta.address(&arena, &s, &(struct draft){0}, &request);
    assert_true(sv_is(request.url, "https://graph.facebook.com/v25.0/1234567890/events"));
    assert_true(sv_is(request.headers[0], "Authorization: Bearer secret-token"));
    assert_true(sv_is(request.headers[1], "Content-Type: application/json"));
    s.meta.test_event_code = SV("TEST12345");
    struct event e = purchase();
    assert_member(parsed(&e, &s), "test_event_code", "TEST12345");
}

static struct outcome answered(long status, const char *body, struct header *header) {
    struct answer answer = {.status = status, .headers = {header, header ? 1 : 0}, .body = sv_of(body)};
    if (status == 0)
        answer.transport_error = SV("connection refused");
    return destination_meta.outcome(&arena, &answer, NOW_MS);
}

static void test_outcome_of_codes(void **state) {
    (void)state;
    static const struct {
        int code, subcode;
        enum outcome_kind kind;
        const char *reason;  // begins with
    } rows[] = {
        {1, 0, OUTCOME_RETRY, "1 "}, {2, 0, OUTCOME_RETRY, "2 "}, {21009, 0, OUTCOME_RETRY, "21009 "}, {5000, 0, OUTCOME_RETRY, "5000 "},
        {-1, 0, OUTCOME_RETRY, "-1 "},
        {4, 1504022, OUTCOME_THROTTLED, "4/1504022 "}, {4, 0, OUTCOME_THROTTLED, "4 "}, {17, 2446079, OUTCOME_THROTTLED, "17/2446079 "},
        {32, 0, OUTCOME_THROTTLED, "32 "}, {341, 0, OUTCOME_THROTTLED, "341 "}, {613, 1487742, OUTCOME_THROTTLED, "613/1487742 "},
        {80000, 0, OUTCOME_THROTTLED, "80000 "}, {80014, 0, OUTCOME_THROTTLED, "80014 "}, {80015, 0, OUTCOME_REJECT, "400 "},
        {190, 463, OUTCOME_PAUSE, "190/463 "}, {190, 0, OUTCOME_PAUSE, "190 "}, {102, 0, OUTCOME_PAUSE, "102 "}, {104, 0, OUTCOME_PAUSE, "104 "},
        {3, 0, OUTCOME_PAUSE, "3 "}, {10, 0, OUTCOME_PAUSE, "10 "}, {200, 0, OUTCOME_PAUSE, "200 "}, {294, 0, OUTCOME_PAUSE, "294 "},
        {299, 0, OUTCOME_PAUSE, "299 "}, {300, 0, OUTCOME_REJECT, "400 "}, {368, 0, OUTCOME_PAUSE, "368 "}, {803, 0, OUTCOME_PAUSE, "803 "},
        {2500, 0, OUTCOME_PAUSE, "2500 "}, {100, 33, OUTCOME_PAUSE, "100/33 "},
        {100, 2804001, OUTCOME_REJECT, "100/2804001 "}, {100, 2804003, OUTCOME_REJECT, "100/2804003 event too old"},
        {100, 2804009, OUTCOME_REJECT, "100/2804009 "}, {100, 2804010, OUTCOME_REJECT, "100/2804010 "},
        {100, 2804016, OUTCOME_REJECT, "100/2804016 "}, {100, 2804019, OUTCOME_REJECT, "100/2804019 "},
        {100, 2804050, OUTCOME_REJECT, "100/2804050 "}, {100, 2804063, OUTCOME_REJECT, "100/2804063 "}, {100, 0, OUTCOME_REJECT, "100 "},
        {105, 0, OUTCOME_REJECT, "105 "},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct sv body = arena_fmt(&arena, "{\"error\":{\"message\":\"ava@klaviyo-demo.com\",\"code\":%d,\"error_subcode\":%d}}", rows[i].code, rows[i].subcode);
        struct outcome outcome = answered(400, body.p, NULL);
        if (outcome.kind != rows[i].kind || !sv_starts(outcome.reason, sv_of(rows[i].reason)))
            fail_msg("%d/%d: %d " SV_FMT, rows[i].code, rows[i].subcode, outcome.kind, SV_ARG(outcome.reason));
        assert_false(sv_contains_nocase(outcome.reason, SV("@")));
        assert_true(outcome.kind != OUTCOME_THROTTLED || outcome.retry_after_ms == SECONDS_MS(60));
    }
}

static void test_outcome_of_answers(void **state) {
    (void)state;
    static const struct {
        long status;
        const char *body;
        enum outcome_kind kind;
    } rows[] = {
        {200, "{\"events_received\":1,\"messages\":[],\"fbtrace_id\":\"A\"}", OUTCOME_SENT},
        {200, "{\"events_received\":0,\"messages\":[]}", OUTCOME_RETRY},
        {200, "{\"events_received\":2}", OUTCOME_RETRY},
        {200, "{}", OUTCOME_RETRY},
        {200, "", OUTCOME_RETRY},
        {200, "[]", OUTCOME_RETRY},
        {200, "<html>hello</html>", OUTCOME_RETRY},
        {200, "{\"error\":{\"code\":190},\"events_received\":1}", OUTCOME_PAUSE},
        {200, "{\"error\":{\"code\":100,\"error_subcode\":2804003}}", OUTCOME_REJECT},
        {200, "{\"error\":{}}", OUTCOME_RETRY},
        {200, "{\"error\":\"x\"}", OUTCOME_RETRY},
        {0, NULL, OUTCOME_RETRY},
        {400, "<!DOCTYPE html><p>sorry", OUTCOME_RETRY},
        {400, "{\"error\":{\"code\":100,\"is_transient\":true}}", OUTCOME_RETRY},
        {400, "{\"error\":{\"code\":4,\"is_transient\":true}}", OUTCOME_THROTTLED},
        {400, "{\"error\":{\"code\":100,\"message\":\"(#100) Missing Permission\"}}", OUTCOME_PAUSE},
        {400, "{\"error\":{\"code\":100,\"error_subcode\":2804019,\"message\":\"Missing permission\"}}", OUTCOME_REJECT},
        {400, "{\"error\":{\"code\":987654}}", OUTCOME_REJECT},
        {400, "{}", OUTCOME_REJECT},
        {401, "{\"error\":{\"code\":190}}", OUTCOME_PAUSE},
        {401, "{}", OUTCOME_PAUSE},
        {403, "{\"error\":{\"code\":987654}}", OUTCOME_PAUSE},
        {403, "<html>", OUTCOME_RETRY},
        {404, "<html>", OUTCOME_PAUSE},
        {404, "{}", OUTCOME_PAUSE},
        {302, "", OUTCOME_PAUSE},
        {408, "", OUTCOME_RETRY},
        {429, "<html>", OUTCOME_THROTTLED},
        {429, "{\"error\":{\"code\":100,\"error_subcode\":2804019}}", OUTCOME_THROTTLED},
        {500, "{\"error\":{\"code\":987654}}", OUTCOME_RETRY},
        {500, "<html>", OUTCOME_RETRY},
        {503, "", OUTCOME_RETRY},
        {413, "{}", OUTCOME_REJECT},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct outcome outcome = answered(rows[i].status, rows[i].body, NULL);
        if (outcome.kind != rows[i].kind)
            fail_msg("row %zu: %d " SV_FMT, i, outcome.kind, SV_ARG(outcome.reason));
        assert_true(sv_present(outcome.reason));
    }
}

static void test_waiting(void **state) {
    (void)state;
    static const char throttled[] = "{\"error\":{\"code\":80004}}";
    struct header retry = {SV("Retry-After"), SV("120")};
    assert_int_equal(answered(400, throttled, &retry).retry_after_ms, SECONDS_MS(120));
    assert_int_equal(answered(503, "", &retry).retry_after_ms, SECONDS_MS(120));
    retry.value = SV("5");
    assert_int_equal(answered(400, throttled, &retry).retry_after_ms, SECONDS_MS(5));
    assert_int_equal(answered(429, "", &retry).retry_after_ms, SECONDS_MS(5));
    assert_int_equal(answered(429, "", NULL).retry_after_ms, SECONDS_MS(5));
    struct header usage = {SV("X-Business-Use-Case-Usage"), SV("{\"1\":[{\"type\":\"x\",\"estimated_time_to_regain_access\":3},{\"estimated_time_to_regain_access\":7}]}")};
    assert_int_equal(answered(400, throttled, &usage).retry_after_ms, MINUTES_MS(7));
    usage.value = SV("{\"1\":[{\"estimated_time_to_regain_access\":99999999999999}]}");
    assert_int_equal(answered(400, throttled, &usage).retry_after_ms, HOURS_MS(24));
    usage.value = SV("rubbish");
    assert_int_equal(answered(400, throttled, &usage).retry_after_ms, SECONDS_MS(60));
    assert_int_equal(answered(500, "", NULL).retry_after_ms, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_purchase),
        cmocka_unit_test(test_closed_list_of_keys),
        cmocka_unit_test(test_limited_data_use_without_an_address),
        cmocka_unit_test(test_identity_is_told),
        cmocka_unit_test(test_time_is_never_in_the_future),
        cmocka_unit_test(test_action_sources),
        cmocka_unit_test(test_page_urls),
        cmocka_unit_test(test_other_events),
        cmocka_unit_test(test_bad_identity),
        cmocka_unit_test(test_no_hash_of_nothing),
        cmocka_unit_test(test_no_personal_data_in_clear),
        cmocka_unit_test(test_applies),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_outcome_of_codes),
        cmocka_unit_test(test_outcome_of_answers),
        cmocka_unit_test(test_waiting),
    };
    return cmocka_run_group_tests_name("meta", tests, setup, teardown);
}
