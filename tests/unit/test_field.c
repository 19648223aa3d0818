// Fields: every form, what is left out, the limits of a destination, and what is said of a field that makes no sense.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mapping/rules/field.h"

#include <string.h>

static struct arena arena;
static struct event event;
static struct item items[4];
static const struct shop shop;
static struct buf out, faults_text;
static const struct limits wide = {100000, 4000, 8};
static const struct sv tags[] = {{"red", 3}, {"blue", 4}};

static struct json *json(const char *text) {
    struct json *node;
    struct err e;
    if (json_parse(&arena, sv_of(text), &node, &e) != RC_OK)
        fail_msg("%s", e.text);
    return node;
}

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)256 << 20);
    buf_init(&out, (size_t)16 << 20);
    buf_init(&faults_text, 1 << 16);
    items[0] = (struct item){.product_id = SV("11"), .variant_id = SV("22"), .sku = SV("A"), .title = SV("Serum"), .price = SV("0.10"),
                             .quantity = SV("3"), .vendor = SV("Acme")};
    items[1] = (struct item){.product_id = SV("12"), .title = SV("Cream"), .price = SV("99.9"), .quantity = SV("1"), .vendor = SV("Acme")};
    items[2] = (struct item){.sku = SV("B"), .price = SV("free"), .quantity = SV("2")};
    items[3] = (struct item){.sku = SV("A"), .title = SV("Gift"), .price = SV("0.00"), .quantity = SV("1")};
    event = (struct event){.id = SV("e1"), .name = EVENT_PURCHASE, .origin = SV("web"), .value = SV("129.95"), .currency = SV("usd"),
                           .items = items, .item_count = 4, .user = {.first_name = SV("Ava"), .email = SV("a@b.c")}};
    event_property(&event, "order_id", SV("450789469"));
    event_property(&event, "year", SV("2019"));
    event_property(&event, "quote", SV("say \"hi\"\n"));
    event_property_number(&event, "age", SV("31"));
    event_property_number(&event, "zero", SV("0.00"));
    event_property_number(&event, "huge", SV("123456789012345678901234567890"));
    event_property_number(&event, "least", SV("-9223372036854775808"));
    event_property_number(&event, "most", SV("9223372036854775808"));
    event_property_number(&event, "long", SV("0.1000000000000000000000000000001"));
    event_property_number(&event, "broken", SV("12,5"));
    event_property_list(&event, "tags", tags, 2);
    event_property_node(&event, SV("gift"), json("false"));
    event_property_node(&event, SV("deep"), json("{\"a\":{\"b\":{\"c\":[1,{\"d\":2}]}},\"id\":123456789012345678901,\"n\":null,\"e\":\"\"}"));
    event_property_node(&event, SV("empty"), json("[]"));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    buf_free(&out);
    buf_free(&faults_text);
    arena_free(&arena);
    return 0;
}

static struct fields compiled(const char *text, struct faults *f) {
    struct yaml *root;
    buf_reset(&faults_text);
    *f = (struct faults){.out = &faults_text};
    if (yaml_parse(&arena, sv_of(text), "m.yaml", f, &root) != RC_OK)
        fail_msg("%s", buf_cstr(&faults_text));
    return fields_compile(&arena, f, root);
}

// What the fields of text write, within the braces of an object.
static const char *written(const char *text, const struct limits *limits) {
    struct faults f;
    struct fields fields = compiled(text, &f);
    if (f.count > 0)
        fail_msg("%s: %s", text, buf_cstr(&faults_text));
    struct scope scope = {&arena, &event, event.item_count > 0 ? &event.items[0] : NULL, &shop};
    struct jw w;
    buf_reset(&out);
    jw_init(&w, &out);
    jw_open(&w, '{');
    for (size_t i = 0; i < fields.n; i++) {
        size_t before = out.n;
        bool wrote = field_write(&w, &fields.v[i], &scope, limits);
        assert_int_equal(wrote, out.n != before);
    }
    jw_close(&w, '}');
    struct json *node;
    assert_true(buf_ok(&out));
    assert_int_equal(json_parse(&arena, buf_sv(&out), &node, NULL), RC_OK);
    return buf_cstr(&out);
}

struct expectation {
    const char *field, *json;
};

static void assert_each(const struct expectation *v, size_t n, const struct limits *limits) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(written(v[i].field, limits), v[i].json) != 0)
            fail_msg("%s: %s, expected %s", v[i].field, buf_cstr(&out), v[i].json);
}

static const struct expectation forms[] = {
    // a path
    {"N: user.first_name", "{\"N\":\"Ava\"}"},
    {"N: event.user.first_name", "{\"N\":\"Ava\"}"},
    {"N: value", "{\"N\":129.95}"},
    {"N: currency", "{\"N\":\"USD\"}"},
    {"N: item.quantity", "{\"N\":3}"},
    {"N: item.total", "{\"N\":0.30}"},
    {"N: item.content_id", "{\"N\":\"22\"}"},
    {"N: properties.order_id", "{\"N\":\"450789469\"}"},
    {"N: properties.quote", "{\"N\":\"say \\\"hi\\\"\\n\"}"},
    {"N: properties.age", "{\"N\":31}"},
    {"N: properties.gift", "{\"N\":false}"},
    {"N: properties.tags", "{\"N\":[\"red\",\"blue\"]}"},
    {"N: properties.deep.a", "{\"N\":{\"b\":{\"c\":[1,{\"d\":2}]}}}"},
    {"N: user.last_name", "{}"},
    {"'k\"ey': id", "{\"k\\\"ey\":\"e1\"}"},
    {"{}", "{}"},
    // the first that is there
    {"N: [item.sku, item.product_id]", "{\"N\":\"A\"}"},
    {"N: [user.last_name, user.first_name]", "{\"N\":\"Ava\"}"},
    {"N: [user.last_name, properties.absent]", "{}"},
    // constant
    {"N: { constant: gold }", "{\"N\":\"gold\"}"},
    {"N: { constant: 12.50 }", "{\"N\":12.50}"},
    {"N: { constant: '12.50' }", "{\"N\":\"12.50\"}"},
    {"N: { constant: 007 }", "{\"N\":\"007\"}"},
    {"N: { constant: true }", "{\"N\":true}"},
    {"N: { constant: false }", "{\"N\":false}"},
    {"N: { constant: 'true' }", "{\"N\":\"true\"}"},
    {"N: { constant: 'null' }", "{\"N\":\"null\"}"},
    {"N: { constant: user.email }", "{\"N\":\"user.email\"}"},
    // only when
    {"N: { from: value, when: 'value >= 50' }", "{\"N\":129.95}"},
    {"N: { from: value, when: value >= 500 }", "{}"},
    {"N: { from: [user.last_name, user.email], when: origin == \"web\" }", "{\"N\":\"a@b.c\"}"},
    {"N: { constant: gold, when: not value }", "{}"},
    {"N: { when: value, constant: gold }", "{\"N\":\"gold\"}"},
    {"N: { fields: { a: id }, when: 'false' }", "{}"},
    // as
    {"N: { from: properties.year, as: number }", "{\"N\":2019}"},
    {"N: { from: properties.year, as: text }", "{\"N\":\"2019\"}"},
    {"N: { from: value, as: text }", "{\"N\":\"129.95\"}"},
    {"N: { from: properties.gift, as: text }", "{\"N\":\"false\"}"},
    {"N: { from: properties.gift, as: number }", "{}"},
    {"N: { from: user.email, as: number }", "{}"},
    {"N: { from: [user.email, properties.year], as: number }", "{\"N\":2019}"},
    {"N: { from: properties.tags, as: text }", "{}"},
    {"N: { as: number, from: properties.deep }", "{}"},
    // of items
    {"N: { list: item.sku }", "{\"N\":[\"A\",\"B\"]}"},
    {"N: { list: item.vendor }", "{\"N\":[\"Acme\"]}"},
    {"N: { list: item.title }", "{\"N\":[\"Serum\",\"Cream\",\"Gift\"]}"},
    {"N: { list: item.content_id }", "{\"N\":[\"22\",\"12\",\"B\",\"A\"]}"},
    {"N: { list: item.category }", "{}"},
    {"N: { list: item.price }", "{\"N\":[\"0.10\",\"99.9\",\"0.00\"]}"},
    {"N: { list: item.sku, when: item.quantity > 1 }", "{\"N\":[\"A\",\"B\"]}"},
    {"N: { list: item.sku, when: item.quantity == 1 }", "{\"N\":[\"A\"]}"},
    {"N: { list: item.sku, when: value > 500 }", "{}"},
    {"N: { count: items }", "{\"N\":4}"},
    {"N: { count: event.items, when: item.vendor == 'Acme' }", "{\"N\":2}"},
    {"N: { count: items, when: item.vendor == 'Other' }", "{}"},
    {"N: { sum: item.quantity }", "{\"N\":7}"},
    {"N: { sum: item.price }", "{\"N\":100.00}"},
    {"N: { sum: item.total }", "{\"N\":100.20}"},
    {"N: { sum: item.quantity, when: item.sku == 'A' }", "{\"N\":4}"},
    {"N: { each: items, fields: { ID: item.sku, Price: item.price } }",
     "{\"N\":[{\"ID\":\"A\",\"Price\":0.10},{\"Price\":99.9},{\"ID\":\"B\"},{\"ID\":\"A\"}]}"},
    {"N: { fields: { ID: item.product_id }, each: items }", "{\"N\":[{\"ID\":\"11\"},{\"ID\":\"12\"}]}"},
    {"N: { each: items, when: item.price > 0, fields: { T: item.title, V: value, G: { constant: x, when: item.sku } } }",
     "{\"N\":[{\"T\":\"Serum\",\"V\":129.95,\"G\":\"x\"},{\"T\":\"Cream\",\"V\":129.95}]}"},
    {"N: { each: items, fields: { C: item.category } }", "{}"},
    {"N: { each: items, fields: { X: { fields: { S: item.sku } } } }", "{\"N\":[{\"X\":{\"S\":\"A\"}},{\"X\":{\"S\":\"B\"}},{\"X\":{\"S\":\"A\"}}]}"},
    // an object
    {"N: { fields: { a: value, b: user.last_name, c: { fields: { d: id } } } }", "{\"N\":{\"a\":129.95,\"c\":{\"d\":\"e1\"}}}"},
    {"N: { fields: { b: user.last_name } }", "{}"},
    {"N: { fields: {} }", "{}"},
    // several fields, some of which are not there
    {"a: user.last_name\nb: id\nc: { fields: { x: user.last_name } }\nd: { each: items, fields: { x: item.category } }\ne: origin\nf: user.phone\n",
     "{\"b\":\"e1\",\"e\":\"web\"}"},
};

static void every_form_writes_its_value(void **state) {
    (void)state;
    assert_each(forms, COUNTOF(forms), &wide);
}

static void empty_values_are_left_out_and_large_ids_are_texts(void **state) {
    (void)state;
    static const struct expectation cases[] = {
        {"N: properties.zero", "{}"},
        {"N: properties.empty", "{}"},
        {"N: properties.deep.n", "{}"},
        {"N: properties.deep.e", "{}"},
        {"N: { constant: 0 }", "{}"},
        {"N: { constant: -0.0e5 }", "{}"},
        {"N: { constant: '0' }", "{\"N\":\"0\"}"},
        {"N: { from: properties.zero, as: text }", "{\"N\":\"0.00\"}"},
        {"N: properties.huge", "{\"N\":\"123456789012345678901234567890\"}"},
        {"N: properties.deep.id", "{\"N\":\"123456789012345678901\"}"},
        {"N: properties.most", "{\"N\":\"9223372036854775808\"}"},
        {"N: properties.least", "{\"N\":-9223372036854775808}"},
        {"N: properties.long", "{\"N\":0.1000000000000000000000000000001}"},
        {"N: properties.broken", "{\"N\":\"12,5\"}"},
        {"N: properties.deep", "{\"N\":{\"a\":{\"b\":{\"c\":[1,{\"d\":2}]}},\"id\":\"123456789012345678901\",\"n\":null,\"e\":\"\"}}"},
    };
    assert_each(cases, COUNTOF(cases), &wide);
    event.value = SV("0.00");
    assert_string_equal(written("N: value", &wide), "{}");
    event.item_count = 0;
    static const struct expectation without_items[] = {
        {"N: { count: items }", "{}"}, {"N: { sum: item.price }", "{}"}, {"N: { list: item.sku }", "{}"}, {"N: item.sku", "{}"},
        {"N: { each: items, fields: { a: id } }", "{}"},
    };
    assert_each(without_items, COUNTOF(without_items), &wide);
}

static void limits_cut(void **state) {
    (void)state;
    static const struct limits narrow = {5, 2, 3};
    event_property(&event, "umlauts", SV("\xc3\xa4\xc3\xb6\xc3\xbc"));
    event_property(&event, "broken_utf8", SV("abcd\xc3\xa4"));
    event_property_node(&event, SV("node"), json("{\"long key\":\"long text\",\"b\":[1,2,3],\"c\":1}"));
    event_property_node(&event, SV("levels"), json("{\"a\":{\"b\":{\"c\":1}},\"d\":[[[1]]]}"));
    static const struct expectation cases[] = {
        {"N: properties.order_id", "{\"N\":\"45078\"}"},
        {"Nameless: id", "{\"Namel\":\"e1\"}"},
        {"N: properties.umlauts", "{\"N\":\"\xc3\xa4\xc3\xb6\"}"},
        {"N: properties.broken_utf8", "{\"N\":\"abcd\"}"},
        {"N: properties.huge", "{\"N\":\"12345\"}"},
        {"N: { list: item.title }", "{\"N\":[\"Serum\",\"Cream\"]}"},
        {"N: { each: items, fields: { q: item.quantity } }", "{\"N\":[{\"q\":3},{\"q\":1}]}"},
        {"N: { each: items, fields: { q: item.sku } }", "{\"N\":[{\"q\":\"A\"},{\"q\":\"B\"}]}"},
        {"N: properties.node", "{\"N\":{\"long \":\"long \",\"b\":[1,2]}}"},
        {"N: properties.levels", "{\"N\":{\"a\":{\"b\":{}},\"d\":[[]]}}"},
        {"N: { fields: { a: { fields: { b: id } } } }", "{\"N\":{\"a\":{\"b\":\"e1\"}}}"},
        {"N: { fields: { a: { fields: { b: properties.tags, c: id } } } }", "{\"N\":{\"a\":{\"c\":\"e1\"}}}"},
        {"N: { fields: { a: { fields: { b: { fields: { c: id } } } } } }", "{}"},
        {"N: { fields: { a: { each: items, fields: { c: id } } } }", "{}"},
    };
    assert_each(cases, COUNTOF(cases), &narrow);
    static const struct limits flat = {5, 2, 1};
    assert_string_equal(written("a: id\nb: properties.tags\nc: properties.deep\nd: { fields: { e: id } }\ne: { each: items, fields: { e: id } }\n", &flat),
                        "{\"a\":\"e1\"}");
    // A failed writer stays failed when something is taken back.
    struct faults f;
    struct fields fields = compiled("N: { each: items, fields: { x: item.category, y: { constant: abcdefgh } } }", &f);
    struct buf small;
    struct jw w;
    buf_init(&small, 10);
    jw_init(&w, &small);
    jw_open(&w, '{');
    field_write(&w, &fields.v[0], &(struct scope){&arena, &event, NULL, &shop}, &wide);
    assert_false(buf_ok(&small));
    buf_free(&small);
}

static void values_without_writing(void **state) {
    (void)state;
    struct faults f;
    struct scope scope = {&arena, &event, &items[1], &shop};
    struct fields fields = compiled("a: value\nb: { list: item.sku }\nc: { each: items, fields: { x: id } }\nd: item.title\ne: { fields: { x: id } }\n", &f);
    assert_int_equal(fields.n, 5);
    assert_true(sv_is(expression_value(fields.v[0].from, &scope).text, "129.95"));
    assert_int_equal(expression_value(fields.v[1].from, &scope).count, 2);
    assert_int_equal(expression_value(fields.v[2].from, &scope).kind, VALUE_NONE);
    assert_true(sv_is(expression_value(fields.v[3].from, &scope).text, "Cream"));
    assert_int_equal(expression_value(fields.v[4].from, &scope).kind, VALUE_NONE);
    assert_string_equal(fields.v[3].file, "m.yaml");
    assert_int_equal(fields.v[3].line, 4);
    assert_true(sv_is(fields.v[3].name, "d"));
    struct jw w;
    buf_reset(&out);
    jw_init(&w, &out);
    jw_open(&w, '[');
    for (size_t i = 0; i < 4; i++) {
        struct value v = expression_value(fields.v[i].from, &scope);
        value_write(&w, &v, &wide);
    }
    jw_close(&w, ']');
    assert_string_equal(buf_cstr(&out), "[129.95,[\"A\",\"B\"],null,\"Cream\"]");
    struct yaml *root;
    assert_int_equal(yaml_parse(&arena, SV("v: { from: user.emial }\nw: [value]\n"), "m.yaml", &f, &root), RC_OK);
    assert_null(expression_compile(&arena, &f, yaml_get(root, "v")));
    assert_true(sv_is(expression_value(expression_compile(&arena, &f, yaml_get(root, "w")), &scope).text, "129.95"));
    assert_int_equal(f.count, 1);
}

// Each text has exactly these faults, in order; good: how many fields are left.
static const struct {
    const char *text, *faults[4];
    size_t good;
} bad[] = {
    {"N: user.emial\nM: id\n", {"m.yaml:1: N: unknown path \"user.emial\", did you mean \"user.email\"?"}, 1},
    {"N: 'gold'\n", {"m.yaml:1: N: unknown path \"gold\": paths are"}, 0},
    {"N: 'vaule'\n", {"m.yaml:1: N: unknown path \"vaule\", did you mean \"value\"? (a fixed text is written { constant: ... })"}, 0},
    {"N:\n", {"m.yaml:1: N: expected a path such as user.email, here is nothing"}, 0},
    {"N: ''\n", {"m.yaml:1: N: a path is missing"}, 0},
    {"N: ~\n", {"m.yaml:1: N: a path is names with points"}, 0},
    {"N: []\n", {"m.yaml:1: N: the list has no path"}, 0},
    {"N:\n- id\n- idd.x\n- [id]\n- {}\n",
     {"m.yaml:3: N: unknown path \"idd.x\"", "m.yaml:4: N: expected a path such as user.email, here is a list",
      "m.yaml:5: N: expected a path such as user.email, here is a map"}, 0},
    {"[id]\n", {"m.yaml:1: a value: expected a map: names, and where their values come from"}, 0},
    {"N: {}\n", {"m.yaml:1: N: one of constant, from, list, count, sum, each and fields is needed"}, 0},
    {"N: { when: id }\n", {"m.yaml:1: N: one of constant, from"}, 0},
    {"N: { form: id }\n", {"m.yaml:1: unknown key \"form\", did you mean \"from\"?"}, 0},
    {"N: { constnat: id }\n", {"m.yaml:1: unknown key \"constnat\", did you mean \"constant\"?"}, 0},
    {"N: { from: id, default: x }\n", {"m.yaml:1: unknown key \"default\", here may stand: constant, from, list, count, sum, each or fields, and when"}, 0},
    {"N: { from: id, constant: x }\n", {"m.yaml:1: from cannot stand beside constant"}, 0},
    {"N: { list: item.sku, as: text }\n", {"m.yaml:1: as cannot stand beside list"}, 0},
    {"N: { from: id, fields: { a: id } }\n", {"m.yaml:1: fields cannot stand beside from"}, 0},
    {"N: { from: id, as: texts }\n", {"m.yaml:1: as: expected text, number or list"}, 0},
    {"N: { from: id, as: [text] }\n", {"m.yaml:1: as: expected text, number or list"}, 0},
    {"N: { constant: }\n", {"m.yaml:1: constant: expected a text, a number, true or false, here is nothing"}, 0},
    {"N: { constant: '' }\n", {"m.yaml:1: constant: what is empty is left out anyway"}, 0},
    {"N: { constant: null }\n", {"m.yaml:1: constant: what is empty is left out anyway"}, 0},
    {"N: { constant: [a] }\n", {"m.yaml:1: constant: expected a text, a number, true or false, here is a list"}, 0},
    {"N: { from: id, when: value >= }\n", {"m.yaml:1: when: expected a path, text or number after `>=`"}, 0},
    {"N:\n  from: id\n  when: value and\n", {"m.yaml:3: when: expected a path after `and`"}, 0},
    {"N: { from: id, when: [value] }\n", {"m.yaml:1: when: expected a condition such as value >= 50, here is a list"}, 0},
    {"N: { from: id, when: }\n", {"m.yaml:1: when: expected a condition such as value >= 50, here is nothing"}, 0},
    {"N: { list: value }\n", {"m.yaml:1: list: expected what an item has, such as item.sku"}, 0},
    {"N: { list: [item.sku] }\n", {"m.yaml:1: list: expected a path such as user.email, here is a list"}, 0},
    {"N: { sum: item.sku }\n", {"m.yaml:1: sum: expected a number of an item: item.quantity, item.price or item.total"}, 0},
    {"N: { sum: value }\n", {"m.yaml:1: sum: expected a number of an item"}, 0},
    {"N: { count: item }\n", {"m.yaml:1: count: only items can be gone through, as in count: items"}, 0},
    {"N: { each: properties.lines, fields: { a: id } }\n", {"m.yaml:1: each: only items can be gone through"}, 0},
    {"N: { each: items }\n", {"m.yaml:1: each needs fields beside it"}, 0},
    {"N: { each: items, fields: item.sku }\n", {"m.yaml:1: fields: expected a map: names, and where their values come from"}, 0},
    {"N:\n  each: items\n  fields:\n    a: { each: items, fields: { b: id } }\n    c: { count: items }\n    d: { fields: { e: { list: item.sku } } }\n",
     {"m.yaml:4: each cannot stand inside each", "m.yaml:5: count cannot stand inside each", "m.yaml:6: list cannot stand inside each"}, 0},
    {"N: { fields: { a: { fields: { b: nope.x, c: id } } } }\nM: { count: items }\n", {"m.yaml:1: b: unknown path \"nope.x\""}, 1},
    {"N: { \"a\\e[2J\": 1 }\n", {"m.yaml:1: unknown key \"a?[2J\", here may stand"}, 0},
    {"\"N\\e\": nope.x\n", {"m.yaml:1: N?: unknown path"}, 0},
};

static void faults_name_line_and_remedy(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        struct faults f;
        struct fields fields = compiled(bad[i].text, &f);
        struct sv rest = buf_sv(&faults_text), line;
        for (size_t j = 0; j < COUNTOF(bad[i].faults) && bad[i].faults[j]; j++)
            if (!sv_cut(rest, '\n', &line, &rest) || !sv_starts(line, sv_of(bad[i].faults[j])))
                fail_msg("%s: expected \"%s\" in:\n%s", bad[i].text, bad[i].faults[j], buf_cstr(&faults_text));
        if (rest.n > 0)
            fail_msg("%s: more faults than expected:\n%s", bad[i].text, buf_cstr(&faults_text));
        if (fields.n != bad[i].good)
            fail_msg("%s: %zu fields", bad[i].text, fields.n);
    }
}

// levels maps of fields within one another.
static const char *nested(size_t levels) {
    struct sv text = SV("id");
    for (size_t i = 1; i < levels; i++)
        text = arena_fmt(&arena, "{ fields: { a: " SV_FMT " } }", SV_ARG(text));
    return arena_fmt(&arena, "N: " SV_FMT, SV_ARG(text)).p;
}

static void hostile_files_and_events_end_well(void **state) {
    (void)state;
    struct faults f;
    assert_int_equal(compiled(nested(16), &f).n, 1);
    assert_int_equal(f.count, 0);
    struct yaml *inner = NULL;  // by hand: the YAML reader would refuse so many levels itself
    for (int i = 0; i < 40; i++) {
        struct yaml *member = ARENA_NEW(&arena, struct yaml), *map = ARENA_NEW(&arena, struct yaml);
        struct yaml *fields = ARENA_NEW(&arena, struct yaml);
        *member = inner ? *inner : (struct yaml){.type = YAML_SCALAR, .text = SV("id")};
        member->file = fields->file = map->file = "m.yaml";
        member->key = SV("a");
        *fields = (struct yaml){.type = YAML_MAP, .file = "m.yaml", .key = SV("fields"), .child = member};
        *map = (struct yaml){.type = YAML_MAP, .file = "m.yaml", .child = fields};
        inner = map;
    }
    buf_reset(&faults_text);
    f = (struct faults){.out = &faults_text};
    assert_null(expression_compile(&arena, &f, inner));
    assert_int_equal(f.count, 1);
    assert_non_null(strstr(buf_cstr(&faults_text), "fields are nested deeper than 16 levels"));

    // As few as are compared with each other, and one more: of each value the first, in their order.
    for (size_t n = 16; n <= 17; n++) {
        event.items = ARENA_ARRAY(&arena, struct item, n);
        event.item_count = n;
        for (size_t i = 0; i < n; i++)
            event.items[i].sku = arena_fmt(&arena, "s-%zu", i * 7 % 5);
        assert_string_equal(written("N: { list: item.sku }\n", &wide), "{\"N\":[\"s-0\",\"s-2\",\"s-4\",\"s-1\",\"s-3\"]}");
    }

    // Very many items, all of them different.
    enum { MANY = 50000 };
    event.items = ARENA_ARRAY(&arena, struct item, MANY);
    event.item_count = MANY;
    for (size_t i = 0; i < MANY; i++)
        event.items[i] = (struct item){.sku = arena_fmt(&arena, "sku-%zu", MANY - i), .price = SV("999999999999999999999999999.9"), .quantity = SV("1")};
    const char *all = written("N: { list: item.sku }\nC: { count: items }\nS: { sum: item.price }\n", &wide);
    assert_non_null(strstr(all, "{\"N\":[\"sku-50000\",\"sku-49999\","));
    assert_non_null(strstr(all, "\"sku-46001\"],\"C\":50000,\"S\":49999999999999999999999999995000.0}"));
    assert_true(arena_ok(&arena));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_form_writes_its_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_values_are_left_out_and_large_ids_are_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_without_writing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_name_line_and_remedy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_files_and_events_end_well, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("field", tests, NULL, NULL);
}
