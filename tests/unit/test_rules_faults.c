// Mapping files that make no sense: every fault is told at once with file, line and what was meant; nothing that a file holds does harm.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mapping/rules/rules.h"

#include <stdio.h>
#include <string.h>

static struct arena arena;
static struct buf text;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    buf_init(&text, 1 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    buf_free(&text);
    arena_free(&arena);
    return 0;
}

// What is said of own; NULL rules exactly when something is.
static struct faults faults_of(struct sv own) {
    arena_reset(&arena);
    buf_reset(&text);
    struct faults faults = {.out = &text};
    const struct rules *rules = rules_compile(&arena, own, "own.yaml", &faults);
    assert_int_equal(rules == NULL, faults.count > 0);
    assert_int_equal(text.n > 0, faults.count > 0);
    return faults;
}

static void test_faults(void **state) {
    (void)state;
    static const struct {
        const char *own, *fault;  // behind "own.yaml:"
    } rows[] = {
        {"version: 1\nrules:\n  lead:\n    meta:\n      data: { who: [properties.x, user.phone] }", "5: meta: data may not hold anything of the user: Meta gets it hashed"},
        {"version: 1\nrules:\n  lead:\n    meta:\n      data: { a: { each: items, fields: { b: user.email } } }", "5: meta: data may not hold anything of the user: Meta gets it hashed"},
        // the file
        {"", "1: the file is empty"},
        {"rules: {}", "1: a mapping file begins with version: 1"},
        {"version: 2", "1: a mapping file begins with version: 1"},
        {"version: {a: 1}", "1: a mapping file begins with version: 1"},
        {"[1, 2]", "1: a mapping file begins with version: 1"},
        {"just a text", "1: a mapping file begins with version: 1"},
        {"version: 1\nrule: {}", "2: unknown key \"rule\", here may stand: version, sets, rules"},
        {"version: 1\nrules: []", "2: rules must be a map"},
        {"version: 1\nsets: x", "2: sets must be a map"},
        {"version: 1\nrules:\n  purchase: {}\n  purchase: {}", "4: \"purchase\" is here a second time, it was set in line 3"},
        {"version: 1\nrules: *x", "2: aliases (*name) are not supported: write the value out, or put it in quotes"},
        // events
        {"version: 1\nrules:\n  purchas: {}", "3: event \"purchas\": did you mean \"purchase\"?"},
        {"version: 1\nrules:\n  begin_checkout: {}\n  checkout_started: {}",
         "4: checkout_started: it is the same event as begin_checkout, which has its rule in line 3"},
        {"version: 1\nrules:\n  view_item: {}\n  view_content: {}",
         "4: view_content: it is the same event as view_item, which has its rule in line 3"},
        {"version: 1\nrules:\n  QuizTaken: {}", "3: event \"QuizTaken\": a name is 1 to 64 of a-z, 0-9 and _; no event can have this one"},
        {"version: 1\nrules:\n  quiz-taken: {}", "3: event \"quiz-taken\": a name is 1 to 64 of a-z, 0-9 and _; no event can have this one"},
        {"version: 1\nrules:\n  quiz_that_was_taken_by_somebody_who_has_a_very_long_name_for_all_its_: {}",
         "3: event \"quiz_that_was_taken_by_somebody_who_has_a_very_l\": a name is 1 to 64 of a-z, 0-9 and _; no event can have this one"},
        {"version: 1\nrules:\n  purchase: yes", "3: purchase must be a map"},
        {"version: 1\nrules:\n  search:\n    - when: value > 5\n    - { skip: true }\n    - when: value > 9\n", "6: this rule is never reached: the one before it, of line 5, has no `when`"},
        {"version: 1\nrules:\n  purchase: []", "3: purchase: the list has no rule (nothing is sent with skip: true)"},
        {"version: 1\nrules:\n  purchase:\n    - 1", "4: purchase must be a map"},
        // a rule
        {"version: 1\nrules:\n  purchase:\n    onfail: hold", "4: purchase: unknown key \"onfail\", did you mean \"on_fail\"?"},
        {"version: 1\nrules:\n  purchase:\n    colour: red", "4: purchase: unknown key \"colour\""},
        {"version: 1\nrules:\n  purchase:\n    on_fail: wait", "4: on_fail must be one of continue, hold, stop"},
        {"version: 1\nrules:\n  purchase:\n    on_fail: [hold]", "4: on_fail must be a single value"},
        {"version: 1\nrules:\n  purchase:\n    max_wait: soon", "4: max_wait must be a duration such as 10s, 15m or 72h, at most 168h"},
        {"version: 1\nrules:\n  purchase:\n    max_wait: 169h", "4: max_wait must be a duration such as 10s, 15m or 72h, at most 168h"},
        {"version: 1\nrules:\n  purchase:\n    max_wait: -1s", "4: max_wait must be a duration such as 10s, 15m or 72h, at most 168h"},
        {"version: 1\nrules:\n  purchase:\n    purpose: fun", "4: purpose must be marketing or transactional"},
        {"version: 1\nrules:\n  purchase:\n    skip: maybe", "4: skip must be true or false"},
        {"version: 1\nrules:\n  purchase:\n    when: 'value >> 5'", "4: when: expected a path, text or number after `>`, found `>`"},
        {"version: 1\nrules:\n  purchase:\n    when: 'valu > 5'", "4: when: unknown path \"valu\", did you mean \"value\"?"},
        // null
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { triger: null }",
         "4: triger: null takes away what the default says, it has no such name; did you mean \"trigger\"?"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo:\n      properties: { OrderId: ~ }",
         "5: OrderId: null takes away what the default says, it has no such name"},  // it is in a set
        {"version: 1\nrules:\n  quiz_taken: null", "3: quiz_taken: null takes away what the default says, it has no such name"},
        {"version: 1\nsets: { orders: ~ }", "2: orders: null takes away what the default says, it has no such name; did you mean \"order\"?"},
        // Meta's part
        {"version: 1\nrules:\n  purchase:\n    meta: Purchase", "4: meta must be a map"},
        {"version: 1\nrules:\n  purchase:\n    meta: { metric: x }", "4: meta: unknown key \"metric\""},
        {"version: 1\nrules:\n  purchase:\n    meta: { event: 123456789012345678901234567890123456789012345678901 }", "4: event is longer than 50 bytes"},
        {"version: 1\nrules:\n  purchase:\n    meta: { event: '' }", "4: event must be a single value"},
        {"version: 1\nrules:\n  purchase:\n    meta: { consent: ads }", "4: consent must be one of none, marketing, analytics"},
        {"version: 1\nrules:\n  purchase:\n    meta: { use: contents }", "4: use must be a list of sets: [items, order]"},
        {"version: 1\nrules:\n  purchase:\n    meta: { use: [content] }", "4: use: there is no set \"content\", did you mean \"contents\"?"},
        {"version: 1\nrules:\n  purchase:\n    meta:\n      data:\n        value: properties.margin",
         "6: meta: \"value\" is written by fireorder itself: choose another name"},
        // Klaviyo's part
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { metrik: x }", "4: klaviyo: unknown key \"metrik\", did you mean \"metric\"?"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { flow_window: 9000h }", "4: flow_window must be a duration such as 10s, 15m or 72h, at most 8760h"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { value: items }", "4: value: \"items\" holds more than one value: name one, such as item.title"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { value: { constant: hello } }", "4: value: revenue must be an amount such as 129.95: a path, count, sum or constant"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { value: { constant: -5 } }", "4: value: revenue must be an amount such as 129.95: a path, count, sum or constant"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { value: { constant: true } }", "4: value: revenue must be an amount such as 129.95: a path, count, sum or constant"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { value: { list: item.sku } }", "4: value: revenue must be an amount such as 129.95: a path, count, sum or constant"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { value: { from: value, as: list } }", "4: value: revenue must be an amount such as 129.95: a path, count, sum or constant"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { value: { fields: { a: value } } }", "4: value: revenue must be an amount such as 129.95: a path, count, sum or constant"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { pass: no }", "4: pass must be true or false"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { identify: yes }", "4: identify must be true or false"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo: { identify: [user.email] }", "4: identify must be a single value"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo:\n      identify: { customer_id: user.external_id }",
         "5: identify: \"customer_id\" is written by fireorder itself: choose another name"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo:\n      properties:\n        capi_status: { constant: sent }",
         "6: klaviyo: \"capi_status\" is written by fireorder itself: choose another name"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo:\n      properties:\n        A: item.titel", "6: A: unknown path \"item.titel\", did you mean \"item.title\"?"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo:\n      properties:\n        A: { form: value }", "6: unknown key \"form\", did you mean \"from\"?"},
        {"version: 1\nrules:\n  purchase:\n    klaviyo:\n      properties: [value]", "5: properties: expected a map: names, and where their values come from"},
        {"version: 1\nsets:\n  mine: 5", "3: mine: expected a map: names, and where their values come from"},
        {"version: 1\nsets:\n  mine:\n    A: { each: lines, fields: { B: value } }", "4: each: only items can be gone through, as in each: items"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct faults faults = faults_of(sv_of(rows[i].own));
        struct sv wanted = arena_fmt(&arena, "own.yaml:%s\n", rows[i].fault);
        if (!sv_is(buf_sv(&text), wanted.p))
            fail_msg("row %zu: %zu faults: %s\n%s", i, faults.count, buf_cstr(&text), rows[i].own);
    }
}

// All of them at once, those of the default's sets that the file breaks too.
static void test_all_at_once(void **state) {
    (void)state;
    static const char own[] =
        "version: 1\n"
        "sets:\n"
        "  order: null\n"
        "  mine: { A: item.titel }\n"
        "rules:\n"
        "  purchas: {}\n"
        "  lead:\n"
        "    max_wait: soon\n"
        "    meta: { event: [Lead] }\n";
    static const char *const told[] = {
        "own.yaml:4: A: unknown path", "own.yaml:6: event \"purchas\"", "own.yaml:8: max_wait", "own.yaml:9: event must be",
        "default.yaml:", "use: there is no set \"order\"",
    };
    struct faults faults = faults_of(sv_of(own));
    assert_in_range(faults.count, 10, 20);  // ten rules of the default use the set
    for (size_t i = 0; i < COUNTOF(told); i++)
        if (!strstr(buf_cstr(&text), told[i]))
            fail_msg("not told: %s\n%s", told[i], buf_cstr(&text));
}

// Whatever can be read is looked through, whatever else is wrong with the file.
static void test_nothing_is_hidden(void **state) {
    (void)state;
    static const char *const heads[] = {
        "rul: {}\n", "version: 2\n", "version: 1\nversion: 1\n", "version: 1\nsets: []\n", "version: 1\nsets: { mine: { A: value, A: name } }\n",
    };
    for (size_t i = 0; i < COUNTOF(heads); i++) {
        char own[300];
        snprintf(own, sizeof own, "%srules:\n  lead: { max_wait: soon }\n  search: { klaviyo: { pass: no } }\n", heads[i]);
        struct faults faults = faults_of(sv_of(own));
        assert_in_range(faults.count, 3, 4);
        if (!strstr(buf_cstr(&text), "max_wait must be") || !strstr(buf_cstr(&text), "pass must be"))
            fail_msg("%s\n%s", own, buf_cstr(&text));
    }
}

static void test_too_much(void **state) {
    (void)state;
    struct buf own;
    buf_init(&own, 1 << 20);
    buf_puts(&own, "version: 1\nrules:\n  quiz_taken:\n    klaviyo:\n      properties:\n");
    for (int i = 0; i < 301; i++)
        buf_fmt(&own, "        P%d: value\n", i);
    assert_int_equal(faults_of(buf_sv(&own)).count, 1);
    if (!sv_is(buf_sv(&text), "own.yaml:5: 301 fields, 300 is the most\n"))
        fail_msg("%s", buf_cstr(&text));
    buf_reset(&own);
    buf_puts(&own, "version: 1\nrules:\n  quiz_taken:\n    klaviyo:\n      properties:\n        A: ");
    for (int i = 0; i < 20; i++)
        buf_puts(&own, "{ fields: { A: ");
    buf_puts(&own, "value");
    for (int i = 0; i < 20; i++)
        buf_puts(&own, " } }");
    assert_true(faults_of(buf_sv(&own)).count > 0);
    buf_free(&own);
}

// An arena that is full is told, never taken for a mapping.
static void test_memory(void **state) {
    (void)state;
    for (size_t limit = 1 << 16; limit <= (size_t)1 << 20; limit *= 2) {
        struct arena small;
        struct faults faults = {.out = &text};
        buf_reset(&text);
        arena_init(&small, limit);
        const struct rules *rules = rules_compile(&small, SV_NONE, NULL, &faults);
        assert_int_equal(rules == NULL, faults.count > 0);
        assert_true(rules == NULL || arena_ok(&small));
        arena_free(&small);
    }
}

// ---- hostile files: whatever is changed of one that is right, it compiles or it is told why it does not

static const char right[] =
    "version: 1\n"
    "sets: { mine: { A: [item.sku, item.title], B: { sum: item.total, when: 'item.price > 1' } } }\n"
    "rules:\n"
    "  purchase:\n"
    "    - { when: 'origin == \"pos\" and not properties.gift', skip: true }\n"
    "    - on_fail: stop\n"
    "      max_wait: 1h\n"
    "      meta: { event: Order, use: [mine], data: { C: { constant: 5 } } }\n"
    "      klaviyo: { metric: Bought, value: value, identify: { D: { from: user.locale, as: text } }, properties: { E: value } }\n"
    "  refund: null\n"
    "  checkout_started: { klaviyo: { value: null, properties: { CheckoutURL: ~ } } }\n";

static void test_bytes_changed(void **state) {
    (void)state;
    static const char instead[] = "\0\t\n !\"#%&'*,-:>?@[]`{|}~\x80\xff";
    char file[sizeof right];
    size_t accepted = 0, refused = 0;
    assert_int_equal(faults_of(sv_of(right)).count, 0);
    for (size_t i = 0; i < sizeof right - 1; i++)
        for (size_t k = 0; k < sizeof instead - 1; k += 2 + (i + k) % 5) {
            memcpy(file, right, sizeof right);
            file[i] = instead[k];
            size_t n = faults_of((struct sv){file, sizeof right - 1}).count;
            accepted += n == 0;
            refused += n > 0;
        }
    assert_in_range(accepted, 100, 100000);
    assert_in_range(refused, 1000, 100000);
}

static void test_cut_off(void **state) {
    (void)state;
    for (size_t n = 0; n < sizeof right - 1; n++)
        (void)faults_of((struct sv){right, n});
}

static void what_a_built_in_set_may_not_say_is_a_fault_of_the_rule(void **state) {
    (void)state;
    struct faults faults = faults_of(SV("version: 1\nrules:\n  lead:\n    meta: { use: [money] }"));
    assert_int_equal(faults.count, 2);
    assert_string_equal(buf_cstr(&text), "own.yaml:3: meta: \"value\" is written by fireorder itself: choose another name\n"
                                         "own.yaml:3: meta: \"currency\" is written by fireorder itself: choose another name\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(what_a_built_in_set_may_not_say_is_a_fault_of_the_rule),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_nothing_is_hidden),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_bytes_changed),
        cmocka_unit_test(test_cut_off),
    };
    return cmocka_run_group_tests_name("rules_faults", tests, set_up, tear_down);
}
