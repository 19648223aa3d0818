// Every name of an event, what is absent, the way into properties, names in Meta's catalogue, and what is said of a wrong path.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mapping/content_id.h"
#include "mapping/rules/path.h"

#include <string.h>

static struct arena arena;
static struct event event;
static struct shop shop;
static struct item items[2];

static const struct sv tags[] = {{"red", 3}, {"blue", 4}};

static const char node_text[] =
    "{\"from\": {\"name\": \"Ava\", \"age\": 12345678901234567890.5, \"vip\": true, \"no\": false, \"nil\": null, \"empty\": \"\"},"
    " \"list\": [1, \"two\"], \"none\": [], \"nothing\": {}, \"from\": \"second\"}";

static struct json *json(struct sv text) {
    struct json *node;
    struct err e;
    if (json_parse(&arena, text, &node, &e) != RC_OK)
        fail_msg("%s", e.text);
    return node;
}

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)4 << 20);
    items[0] = (struct item){.product_id = SV("11"), .variant_id = SV("22"), .sku = SV("S-1"), .title = SV("Serum"), .variant_title = SV("30 ml"),
                             .price = SV("19.95"), .quantity = SV("3"), .url = SV("https://u"), .image_url = SV("https://i"),
                             .category = SV("Care"), .vendor = SV("Acme")};
    items[1] = (struct item){.title = SV("Second")};
    shop = (struct shop){.name = SV("acme")};
    event = (struct event){
        .id = SV("ord_1_purchase"), .name = EVENT_PURCHASE, .time_ms = 1795169730123, .shop = SV("acme"), .source = SV("shopify"),
        .origin = SV("web"), .purpose = PURPOSE_TRANSACTIONAL, .value = SV("129.95"), .currency = SV("usd"), .items = items, .item_count = 2,
        .experiment_id = SV("exp"), .experiment_variant = SV("b"),
        .consent = {.marketing = CONSENT_GRANTED, .analytics = CONSENT_DENIED, .opt_out_of_sale = true},
        .user = {.email = SV("a@b.c"), .phone = SV("+1"), .external_id = SV("34"), .first_name = SV("Ava"), .last_name = SV("Roth"),
                 .locale = SV("en-US"), .address1 = SV("Road 1"), .city = SV("Austin"), .region = SV("TX"), .zip = SV("78701"),
                 .country = SV("us"), .ip = SV("203.0.113.7"), .user_agent = SV("Mozilla"), .fbp = SV("fb.1.1.1"), .fbc = SV("fb.1.1.x")},
    };
    event_property(&event, "order_id", SV("450789469"));
    event_property_number(&event, "count", SV("7"));
    event_property_list(&event, "tags", tags, 2);
    event_property_node(&event, SV("deep"), json(sv_of(node_text)));
    event_property_node(&event, SV("gift"), json(SV("true")));
    event_property_node(&event, SV("nil"), json(SV("null")));
    event_property_node(&event, SV("bare"), json(SV("[]")));
    event_property_node(&event, SV("$extra-1"), json(SV("\"x\"")));
    event_property_node(&event, SV("gr\xc3\xb6\xc3\x9f""e"), json(SV("\"L\"")));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static const struct path *compiled(const char *text) {
    const struct path *p;
    struct err e;
    if (path_compile(&arena, sv_of(text), &p, &e) != RC_OK)
        fail_msg("%s: %s", text, e.text);
    return p;
}

static struct value value_with(const char *text, const struct item *item) {
    return path_value(compiled(text), &(struct scope){&arena, &event, item, &shop});
}

static const struct expectation {
    const char *path;
    enum value_kind kind;
    const char *text;  // TEXT, NUMBER
} expectations[] = {
    {"id", VALUE_TEXT, "ord_1_purchase"},
    {"event.id", VALUE_TEXT, "ord_1_purchase"},
    {"name", VALUE_TEXT, "purchase"},
    {"time", VALUE_TEXT, "2026-11-20T10:15:30Z"},
    {"shop", VALUE_TEXT, "acme"},
    {"source", VALUE_TEXT, "shopify"},
    {"origin", VALUE_TEXT, "web"},
    {"purpose", VALUE_TEXT, "transactional"},
    {"value", VALUE_NUMBER, "129.95"},
    {"event.value", VALUE_NUMBER, "129.95"},
    {"currency", VALUE_TEXT, "USD"},
    {"user.email", VALUE_TEXT, "a@b.c"},
    {"event.user.email", VALUE_TEXT, "a@b.c"},
    {"user.phone", VALUE_TEXT, "+1"},
    {"user.external_id", VALUE_TEXT, "34"},
    {"user.first_name", VALUE_TEXT, "Ava"},
    {"user.last_name", VALUE_TEXT, "Roth"},
    {"user.locale", VALUE_TEXT, "en-US"},
    {"user.ip", VALUE_TEXT, "203.0.113.7"},
    {"user.user_agent", VALUE_TEXT, "Mozilla"},
    {"user.fbp", VALUE_TEXT, "fb.1.1.1"},
    {"user.fbc", VALUE_TEXT, "fb.1.1.x"},
    {"user.address.address1", VALUE_TEXT, "Road 1"},
    {"user.address.city", VALUE_TEXT, "Austin"},
    {"user.address.region", VALUE_TEXT, "TX"},
    {"user.address.zip", VALUE_TEXT, "78701"},
    {"user.address.country", VALUE_TEXT, "us"},
    {"consent.marketing", VALUE_TEXT, "granted"},
    {"consent.analytics", VALUE_TEXT, "denied"},
    {"consent.opt_out_of_sale", VALUE_BOOL, NULL},
    {"experiment.id", VALUE_TEXT, "exp"},
    {"experiment.variant", VALUE_TEXT, "b"},
    {"item.product_id", VALUE_TEXT, "11"},
    {"item.variant_id", VALUE_TEXT, "22"},
    {"item.sku", VALUE_TEXT, "S-1"},
    {"item.title", VALUE_TEXT, "Serum"},
    {"item.variant_title", VALUE_TEXT, "30 ml"},
    {"item.price", VALUE_NUMBER, "19.95"},
    {"item.quantity", VALUE_NUMBER, "3"},
    {"item.total", VALUE_NUMBER, "59.85"},
    {"item.url", VALUE_TEXT, "https://u"},
    {"item.image_url", VALUE_TEXT, "https://i"},
    {"item.category", VALUE_TEXT, "Care"},
    {"item.vendor", VALUE_TEXT, "Acme"},
    {"item.content_id", VALUE_TEXT, "22"},
    {"properties.order_id", VALUE_TEXT, "450789469"},
    {"event.properties.order_id", VALUE_TEXT, "450789469"},
    {"properties.count", VALUE_NUMBER, "7"},
    {"properties.tags", VALUE_LIST, NULL},
    {"properties.gift", VALUE_BOOL, NULL},
    {"properties.$extra-1", VALUE_TEXT, "x"},
    {"properties.gr\xc3\xb6\xc3\x9f""e", VALUE_TEXT, "L"},
    {"properties.deep", VALUE_NODE, NULL},
    {"properties.deep.from", VALUE_NODE, NULL},  // of two equal keys the first
    {"properties.deep.from.name", VALUE_TEXT, "Ava"},
    {"properties.deep.from.age", VALUE_NUMBER, "12345678901234567890.5"},
    {"properties.deep.from.vip", VALUE_BOOL, NULL},
    {"properties.deep.list", VALUE_NODE, NULL},
    {"properties.deep.from.nil", VALUE_NONE, NULL},
    {"properties.deep.from.empty", VALUE_NONE, NULL},
    {"properties.deep.from.name.more", VALUE_NONE, NULL},
    {"properties.deep.from.absent", VALUE_NONE, NULL},
    {"properties.deep.none", VALUE_NONE, NULL},
    {"properties.deep.nothing", VALUE_NONE, NULL},
    {"properties.deep.list.0", VALUE_NONE, NULL},
    {"properties.nil", VALUE_NONE, NULL},
    {"properties.bare", VALUE_NONE, NULL},
    {"properties.absent", VALUE_NONE, NULL},
    {"properties.order_id.more", VALUE_NONE, NULL},
    {"properties.tags.red", VALUE_NONE, NULL},
};

static void every_name_has_its_value(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNTOF(expectations); i++) {
        const struct expectation *x = &expectations[i];
        struct value v = value_with(x->path, &items[0]);
        if (v.kind != x->kind)
            fail_msg("%s: kind %d, expected %d", x->path, v.kind, x->kind);
        if (x->text && !sv_is(v.text, x->text))
            fail_msg("%s: \"" SV_FMT "\", expected \"%s\"", x->path, SV_ARG(v.text), x->text);
    }
    assert_true(value_with("properties.gift", NULL).truth);
    assert_false(value_with("properties.deep.from.no", NULL).truth);
    assert_int_equal(value_with("properties.deep.from.no", NULL).kind, VALUE_BOOL);
    struct value list = value_with("properties.tags", NULL);
    assert_int_equal(list.count, 2);
    assert_true(sv_is(list.list[1], "blue"));
    assert_int_equal(value_with("properties.deep.list", NULL).node->count, 2);
    assert_true(sv_is(value_with("item.title", &items[1]).text, "Second"));
}

// Nothing of an event without anything is there, but what it always has.
static void what_is_absent_is_none(void **state) {
    (void)state;
    static const char *const always[] = {"name", "event.name", "time", "purpose"};
    static const struct item no_item;
    event = (struct event){.name = EVENT_LEAD, .user.email = SV(""), .value = SV("")};
    for (size_t i = 0; i < COUNTOF(expectations); i++) {
        bool is_always = false;
        for (size_t j = 0; j < COUNTOF(always); j++)
            is_always |= strcmp(always[j], expectations[i].path) == 0;
        for (int with_item = 0; with_item < 2; with_item++)
            if ((value_with(expectations[i].path, with_item ? &no_item : NULL).kind != VALUE_NONE) != is_always)
                fail_msg("%s", expectations[i].path);
    }
    assert_true(sv_is(value_with("purpose", NULL).text, "marketing"));
    event.custom_name = SV("Quiz Taken");
    event.name = EVENT_CUSTOM;
    assert_true(sv_is(value_with("name", NULL).text, "Quiz Taken"));
}

static void numbers_are_numbers_or_absent(void **state) {
    (void)state;
    static const char *const no_money[] = {"abc", "-5", "1e5", "1,5", "NaN", "01", "1.", "0x10", " 1", "1234567890123456789012345678901"};
    for (size_t i = 0; i < COUNTOF(no_money); i++) {
        event.value = items[0].price = items[0].quantity = sv_of(no_money[i]);
        assert_int_equal(value_with("value", &items[0]).kind, VALUE_NONE);
        assert_int_equal(value_with("item.price", &items[0]).kind, VALUE_NONE);
        assert_int_equal(value_with("item.quantity", &items[0]).kind, VALUE_NONE);
        assert_int_equal(value_with("item.total", &items[0]).kind, VALUE_NONE);
    }
    items[0].price = SV("99999999999999999999.99");
    items[0].quantity = SV("999999999");
    assert_true(sv_is(value_with("item.total", &items[0]).text, "99999999899999999999990000000.01"));
    event.currency = SV("dollars");
    assert_int_equal(value_with("currency", NULL).kind, VALUE_NONE);
    assert_true(path_is_number(compiled("value")) && path_is_number(compiled("item.total")) && path_is_number(compiled("item.quantity")));
    assert_false(path_is_number(compiled("item.sku")) || path_is_number(compiled("properties.count")));
    assert_true(path_is_item(compiled("item.sku")) && path_is_item(compiled("event.item.total")));
    assert_false(path_is_item(compiled("value")) || path_is_item(compiled("properties.item")));
}

static void wrong_paths_are_explained(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "a path is missing"},
        {"user.emial", "unknown path \"user.emial\", did you mean \"user.email\"?"},
        {"event.user.emial", "did you mean \"user.email\"?"},
        {"User.Email", "did you mean \"user.email\"?"},
        {"item.prise", "did you mean \"item.price\"?"},
        {"items.price", "did you mean \"item.price\"?"},
        {"propertie.order_id", "did you mean \"properties.order_id\"?"},
        {"order_id", "unknown path \"order_id\": paths are id, name"},
        {"user.email.x", "did you mean \"user.email\"?"},
        {"event.event.value", "unknown path"},
        {"user", "\"user\" holds more than one value: name one, such as user.email"},
        {"event.user.address", "such as user.address.city"},
        {"properties", "such as properties.order_id"},
        {"items", "such as item.title"},
        {"event", "such as value"},
        {"properties.", "a name is missing after a point"},
        {"event.", "a name is missing after a point"},
        {".value", "a name is missing before a point"},
        {"properties..a", "a name is missing before a point"},
        {"user email", "a name is letters, digits"},
        {"value ", "a name is letters, digits"},
        {"properties.a or properties.b", "a name is letters, digits"},
        {"properties.a[0]", "a name is letters, digits"},
        {"properties.a\x1b[2J", "a name is letters, digits"},
        {"properties.k.1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17", "more than 16 keys"},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        const struct path *p = (const struct path *)&arena;
        struct err e = {0};
        if (path_compile(&arena, sv_of(cases[i].text), &p, &e) != RC_INVALID || p || !strstr(e.text, cases[i].why))
            fail_msg("%s: \"%s\", expected \"%s\"", cases[i].text, e.text, cases[i].why);
    }
    compiled("properties.k.1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16");
    const struct path *p;
    struct err e;
    char *huge = arena_alloc(&arena, 100000);
    memset(huge, 'x', 100000);
    assert_int_equal(path_compile(&arena, (struct sv){huge, 100000}, &p, &e), RC_INVALID);
    assert_true(strlen(e.text) < 300);
    assert_int_equal(path_compile(&arena, (struct sv){"a\0b", 3}, &p, &e), RC_INVALID);
    assert_int_equal(path_compile(&arena, SV_NONE, &p, &e), RC_INVALID);
}

static void content_ids_follow_the_template(void **state) {
    (void)state;
    static const struct {
        const char *template, *variant, *product, *sku, *country, *expected;
    } cases[] = {
        {NULL, "22", "11", "S", "us", "22"},
        {NULL, NULL, "11", "S", "us", "11"},
        {NULL, NULL, NULL, "S", "us", "S"},
        {NULL, "", NULL, NULL, "us", NULL},
        {"{variant_id}", "22", "11", "S", NULL, "22"},
        {"{product_id}", "22", "11", "S", NULL, "11"},
        {"{sku}", "22", "11", "S", NULL, "S"},
        {"{sku}", "22", "11", "", NULL, "22"},
        {"shopify_{country}_{product_id}_{variant_id}", "22", "11", "S", "de", "shopify_DE_11_22"},
        {"shopify_{country}_{product_id}_{variant_id}", "22", "11", "S", NULL, "22"},
        {"shopify_{country}_{product_id}_{variant_id}", "22", "11", "S", "Germany", "22"},
        {"shopify_{country}_{product_id}_{variant_id}", "22", NULL, "S", "de", "22"},
        {"x{sku}y", NULL, "11", NULL, NULL, "11"},
        {"{sku}{sku}", NULL, NULL, "S", NULL, "SS"},
        {"{sku}-end", NULL, NULL, "{sku}", NULL, "{sku}-end"},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        shop.meta.content_id = sv_of(cases[i].template);
        event.user.country = sv_of(cases[i].country);
        struct item item = {.variant_id = sv_of(cases[i].variant), .product_id = sv_of(cases[i].product), .sku = sv_of(cases[i].sku)};
        struct value v = value_with("item.content_id", &item);
        assert_int_equal(v.kind, cases[i].expected ? VALUE_TEXT : VALUE_NONE);
        if (cases[i].expected && !sv_is(v.text, cases[i].expected))
            fail_msg("%zu: \"" SV_FMT "\", expected \"%s\"", i, SV_ARG(v.text), cases[i].expected);
        if (cases[i].template)
            assert_true(content_id_valid(sv_of(cases[i].template)));
    }
    static const char *const bad[] = {"", "abc", "{country}", "{variant}", "{sku", "sku}", "{sku}}", "{{sku}}", "{}{sku}", "{sku}{x}", "{ sku}", "{sku}\n"};
    for (size_t i = 0; i < COUNTOF(bad); i++)
        if (content_id_valid(sv_of(bad[i])))
            fail_msg("%s was taken", bad[i]);
    assert_false(content_id_valid(SV_NONE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_name_has_its_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_absent_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_are_numbers_or_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_paths_are_explained, set_up, tear_down),
        cmocka_unit_test_setup_teardown(content_ids_follow_the_template, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
