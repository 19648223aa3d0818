// Conditions: what holds, what binds closer, decimals of any length, and what is said of a condition that makes no sense.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mapping/rules/condition.h"

#include <string.h>

static struct arena arena;
static struct event event;
static struct item item;
static const struct shop shop;
static const struct sv tags[] = {{"vip", 3}};

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    item = (struct item){.sku = SV("S-1"), .price = SV("19.95"), .quantity = SV("3")};
    event = (struct event){.id = SV("e"), .name = EVENT_PURCHASE, .time_ms = 1795169730123, .origin = SV("web"), .value = SV("50.00"),
                           .currency = SV("EUR"), .items = &item, .item_count = 1};
    event_property(&event, "order_id", SV("450789469"));
    event_property(&event, "word", SV("gold"));
    event_property(&event, "zero", SV("007"));
    event_property_number(&event, "big", SV("9007199254740993"));
    event_property_number(&event, "long", SV("0.10000000000000000000000000000000000001"));
    event_property_number(&event, "minus", SV("-12.5"));
    event_property_number(&event, "power", SV("1.5E3"));
    event_property_number(&event, "broken", SV("12,5"));
    event_property_list(&event, "tags", tags, 1);
    struct json *node;
    assert_int_equal(json_parse(&arena, SV("true"), &node, NULL), RC_OK);
    event_property_node(&event, SV("yes"), node);
    assert_int_equal(json_parse(&arena, SV("false"), &node, NULL), RC_OK);
    event_property_node(&event, SV("no"), node);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static bool holds(struct sv text) {
    const struct condition *c;
    struct err e;
    if (condition_compile(&arena, text, &c, &e) != RC_OK)
        fail_msg(SV_FMT ": %s", SV_ARG(text), e.text);
    return condition_holds(c, &(struct scope){&arena, &event, &item, &shop});
}

struct expectation {
    const char *text;
    bool holds;
};

static void assert_each(const struct expectation *v, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (holds(sv_of(v[i].text)) != v[i].holds)
            fail_msg("%s: expected %s", v[i].text, v[i].holds ? "true" : "false");
}

static void values_compare(void **state) {
    (void)state;
    static const struct expectation cases[] = {
        {"event.value >= 50", true}, {"value >= 50.01", false}, {"value == 50", true}, {"value != 50.000", false}, {"value < 50", false},
        {"value <= 50", true}, {"value > 49.99", true}, {"50 <= value", true}, {"value==50", true},
        {"origin == \"web\"", true}, {"origin == 'web'", true}, {"origin != 'pos'", true}, {"origin == 'Web'", false}, {"'web' == origin", true},
        {"origin == 'we'", false}, {"origin < 'x'", true}, {"origin > 'we'", true}, {"origin >= 'webb'", false},
        {"time >= '2026-11-20'", true}, {"time < '2026-11-21T00:00:00Z'", true},
        // numbers and texts that are numbers
        {"properties.order_id == 450789469", true}, {"properties.order_id == '450789469'", true}, {"properties.order_id > 99", true},
        {"properties.order_id > '99'", false}, {"value >= '50'", true}, {"value == '50'", true}, {"properties.zero == 7", false},
        {"properties.zero == '007'", true}, {"properties.word > 5", false}, {"properties.word <= 5", false}, {"properties.word != 5", true},
        {"properties.broken == 12", false}, {"properties.broken > 0", false}, {"properties.broken == '12,5'", true},
        // true and false
        {"properties.yes == true", true}, {"properties.no == false", true}, {"properties.yes != false", true}, {"properties.yes == 'true'", false},
        {"properties.yes > false", false}, {"properties.yes >= true", false}, {"properties.yes == 1", false}, {"true", true}, {"false", false},
        // what is absent
        {"user.email == ''", true}, {"user.email == \"\"", true}, {"user.email != 'x'", true}, {"user.email == 'x'", false},
        {"user.email == user.phone", true}, {"user.email == 0", false}, {"user.email < 1", false}, {"user.email >= ''", false},
        {"user.email == false", false}, {"origin != ''", true}, {"origin == ''", false},
        // lists
        {"properties.tags == 'vip'", false}, {"properties.tags != 'vip'", true}, {"properties.tags == properties.tags", false},
        // both sides are paths
        {"item.price < value", true}, {"item.total >= value", true}, {"properties.order_id == properties.order_id", true},
        {"item.content_id == item.sku", true},
    };
    assert_each(cases, COUNTOF(cases));
}

static void decimals_stay_exact(void **state) {
    (void)state;
    static const struct expectation cases[] = {
        {"properties.big == 9007199254740993", true}, {"properties.big == 9007199254740992", false}, {"properties.big > 9007199254740992", true},
        {"properties.big < 9007199254740994", true}, {"properties.big == 9007199254740993.000", true},
        {"properties.long > 0.1", true}, {"properties.long == 0.1", false}, {"properties.long < 0.10000000000000000000000000000000000002", true},
        {"properties.minus == -12.50", true}, {"properties.minus < -12.49", true}, {"properties.minus > -12.51", true}, {"properties.minus < 0", true},
        {"properties.minus > 12", false}, {"properties.power == 1500", true}, {"properties.power < 1500.1", true}, {"properties.power == 15e2", true},
        {"properties.power == 0.15e+4", true}, {"properties.power == 150000e-2", true}, {"properties.power > 1499.999", true},
        {"0 == -0", true}, {"0 == 0.000e99", true}, {"0 < 1e-999999999999999999999", true}, {"1e999999999999999999999 > 1e308", true},
        {"-1e400 < 1", true}, {"-1e400 < -1", true}, {"0.1 == 1e-1", true}, {"0.010 == 0.01", true}, {"0.09 < 0.1", true}, {"10 > 9", true},
        {"100 == 100.00", true}, {"123456789012345678901234567890 < 123456789012345678901234567891", true},
        {"123456789012345678901234567890 == 1234567890123456789012345678.90e2", true}, {"-2 < -1", true}, {"-1 < -2", false}, {"0 < -1", false},
        {"12.3 < 12.30001", true}, {"12.30001 > 12.3", true},
    };
    assert_each(cases, COUNTOF(cases));
}

static void words_combine(void **state) {
    (void)state;
    static const struct expectation cases[] = {
        {"origin == \"web\" and not properties.gift", true}, {"not properties.gift", true}, {"properties.yes", true}, {"properties.no", false},
        {"not properties.no", true}, {"properties.word", true}, {"properties.tags", true}, {"user.email", false}, {"value", true},
        {"true and true", true}, {"true and false", false}, {"false or true", true}, {"false or false", false},
        // and binds closer than or, not closer than and, a comparison closer than not
        {"true or false and false", true}, {"(true or false) and false", false}, {"false and false or true", true},
        {"false and (false or true)", false}, {"true or true and false", true}, {"not false and false", false}, {"not (false and false)", true},
        {"not true or true", true}, {"not (true or true)", false}, {"not value == 50", false}, {"not value == 51", true},
        {"not not true", true}, {"not not not true", false}, {"not(true)", false}, {"true and not false", true},
        {"true and true and true and false", false}, {"false or false or false or true", true}, {"false or true and true or false", true},
        {"(((true)))", true}, {" \t\n true \r\n", true}, {"(value >= 50 and value < 100) or origin == 'pos'", true},
        {"value >= 50 and (value > 60 or origin == 'web') and not user.email", true},
        // words of the language within other words and texts
        {"properties.order_id and properties.word", true}, {"properties.and == ''", true}, {"origin != 'a and b'", true},
        {"origin == 'it\"s'", false}, {"'a' == \"a\"", true},
    };
    assert_each(cases, COUNTOF(cases));
    assert_true(condition_holds(NULL, &(struct scope){&arena, &event, NULL, &shop}));
    const struct condition *c;
    assert_int_equal(condition_compile(&arena, SV("item.price >= 0"), &c, NULL), RC_OK);
    assert_true(condition_holds(c, &(struct scope){&arena, &event, &item, &shop}));
    assert_false(condition_holds(c, &(struct scope){&arena, &event, NULL, &shop}));
}

static void faults_say_what_was_expected(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "expected a path at the beginning"},
        {"   ", "expected a path at the beginning"},
        {"value >= 50 and", "expected a path after `and`"},
        {"not", "expected a path after `not`"},
        {"and value", "expected a path at the beginning, found `and`"},
        {"value or or value", "expected a path after `or`, found `or`"},
        {"value >=", "expected a path, text or number after `>=`"},
        {"value >= and value", "expected a path, text or number after `>=`, found `and`"},
        {">= 5", "expected a path at the beginning, found `>=`"},
        {"value value", "expected `and` or `or` after `value`, found `value`"},
        {"value == 'a' 'b'", "expected `and` or `or` after a text, found a text"},
        {"value 50", "expected `and` or `or` after `value`, found `50`"},
        {"5", "expected a comparison such as == or >= after `5`"},
        {"'web'", "expected a comparison such as == or >= after a text"},
        {"5 and value", "expected a comparison such as == or >= after `5`, found `and`"},
        {"(value", "`(` without `)`"},
        {"value)", "`)` without `(`"},
        {"()", "expected a path after `(`, found `)`"},
        {"(value 5)", "expected `and`, `or` or `)` after `value`, found `5`"},
        {"1 < value < 5", "join a second one with `and`"},
        {"value = 5", "`=` is written `==`"},
        {"value && id", "`&&` is written `and`"},
        {"value || id", "`||` is written `or`"},
        {"!value", "`!` is written `not`"},
        {"value <> 5", "`<>` is written `!=`"},
        {"value + 5", "expected `and` or `or` after `value`, found `+`"},
        {"value # 5", "`#` has no meaning here"},
        {"value == 'web", "a text that begins with ' has no end"},
        {"value == \"", "a text that begins with \" has no end"},
        {"value >= 5x", "\"5x\" is no number"},
        {"value >= 05", "\"05\" is no number"},
        {"value >= 5.", "\"5.\" is no number"},
        {"value >= .5", "\".5\" is no number"},
        {"value >= -", "\"-\" is no number"},
        {"value >= 1e", "\"1e\" is no number"},
        {"user.emial == 'x'", "unknown path \"user.emial\", did you mean \"user.email\"?"},
        {"origin == web", "unknown path \"web\""},
        {"value AND id", "expected `and` or `or` after `value`, found `AND`"},
        {"value == \x1b[2J", "`?` has no meaning here"},
        {"((((((((((((((((true))))))))))))))))", NULL},
        {"(((((((((((((((((true)))))))))))))))))", "deeper than 16"},
        {"not not not not not not not not not not not not not not not not true", NULL},
        {"not not not not not not not not not not not not not not not not not true", "deeper than 16"},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        const struct condition *c = (const struct condition *)&arena;
        struct err e = {0};
        enum rc rc = condition_compile(&arena, sv_of(cases[i].text), &c, &e);
        if (!cases[i].why)
            assert_true(rc == RC_OK && c);
        else if (rc != RC_INVALID || c || !strstr(e.text, cases[i].why))
            fail_msg("%s: \"%s\", expected \"%s\"", cases[i].text, e.text, cases[i].why);
        assert_int_equal(condition_compile(&arena, sv_of(cases[i].text), &c, NULL), rc);
    }
}

// piece, n times, then the end.
static struct sv repeated(const char *piece, size_t n, const char *end) {
    size_t length = strlen(piece);
    char *p = arena_alloc(&arena, n * length + strlen(end) + 1);
    for (size_t i = 0; i < n; i++)
        memcpy(p + i * length, piece, length);
    memcpy(p + n * length, end, strlen(end));
    return (struct sv){p, n * length + strlen(end)};
}

static void hostile_texts_end_well(void **state) {
    (void)state;
    assert_true(holds(repeated("true and ", 50000, "true")));
    assert_false(holds(repeated("true and ", 50000, "false")));
    assert_true(holds(repeated("false or ", 50000, "true")));
    static const struct {
        const char *piece, *end;
    } bad[] = {{"(", ""}, {"not ", ""}, {"(not ", "true"}, {"'", "'"}, {"x", ""}, {".", ""}, {"=", ""}, {"\xc3", ""}, {"9", "x"}, {"-", ""}};
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        const struct condition *c;
        struct err e;
        assert_int_equal(condition_compile(&arena, repeated(bad[i].piece, 100000, bad[i].end), &c, &e), RC_INVALID);
        assert_true(strlen(e.text) < 400);
    }
    const struct condition *c;
    assert_int_equal(condition_compile(&arena, (struct sv){"value\0== 5", 10}, &c, NULL), RC_INVALID);
    assert_int_equal(condition_compile(&arena, SV_NONE, &c, NULL), RC_INVALID);
    struct sv digits = repeated("9", 100000, "");
    assert_true(holds(arena_fmt(&arena, SV_FMT " > 5", SV_ARG(digits))));
    assert_true(holds(arena_fmt(&arena, "1e" SV_FMT " > 5", SV_ARG(digits))));
    assert_true(arena_ok(&arena));
}

// What is compiled lives on when the text it was made of is gone.
static void nothing_points_into_the_text(void **state) {
    (void)state;
    char text[] = "origin == 'web' and value >= 50 and properties.order_id";
    const struct condition *c;
    assert_int_equal(condition_compile(&arena, sv_of(text), &c, NULL), RC_OK);
    memset(text, '?', sizeof text - 1);
    assert_true(condition_holds(c, &(struct scope){&arena, &event, NULL, &shop}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_compare, set_up, tear_down),
        cmocka_unit_test_setup_teardown(decimals_stay_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(words_combine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_say_what_was_expected, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_texts_end_well, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_points_into_the_text, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("condition", tests, NULL, NULL);
}
