// The published form of an event, read: every fault of the schema by its path, and back to the bytes that event_write makes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mapping/event_read.h"
#include "tests/unit/fixtures.h"

#include <glob.h>
#include <string.h>

static struct event_faults faults;
static struct event event;

static void read_text(struct sv text) {
    struct json *node;
    struct err e;
    faults.count = 0;
    if (json_parse(&arena, text, &node, &e) != RC_OK)
        fail_msg("%s: " SV_FMT, e.text, SV_ARG(text));
    event_read(&arena, node, &event, &faults);
}

static struct sv faults_text(void) {
    struct sv all = SV("");
    for (size_t i = 0; i < faults.count && i < EVENT_FAULTS_MOST; i++)
        all = arena_fmt(&arena, SV_FMT "%s" SV_FMT, SV_ARG(all), i ? " | " : "", SV_ARG(faults.v[i]));
    return all;
}

// ---- one fault a row

#define ID_FAULT "not an id (at most 255 printable characters without a space)"
#define AMOUNT_FAULT "not an amount"

static const struct {
    const char *members;  // beside id, name and time
    const char *fault;    // "": none
} rows[] = {
    {"", ""},
    {"\"value\":129.95", ""},
    {"\"value\":\"129.95\"", ""},
    {"\"value\":\"129,95\"", "value: " AMOUNT_FAULT},
    {"\"value\":-1", "value: " AMOUNT_FAULT},
    {"\"value\":1e3", "value: " AMOUNT_FAULT},
    {"\"value\":true", "value: " AMOUNT_FAULT},
    {"\"value\":[1]", "value: " AMOUNT_FAULT},
    {"\"value\":{\"amount\":1}", "value: " AMOUNT_FAULT},
    {"\"value\":null", ""},
    {"\"value\":\"\"", ""},
    {"\"currency\":\"eur\"", ""},
    {"\"currency\":\"EURO\"", "currency: not a currency (three letters, such as EUR)"},
    {"\"valeu\":1", "valeu: unknown; is value meant?"},
    {"\"zzzzzz\":1", "zzzzzz: unknown"},
    {"\"value\":1,\"value\":2", "value: occurs twice"},
    {"\"id\":\"x\"", "id: occurs twice"},
    {"\"origin\":\"pos\"", ""},
    {"\"origin\":\"At the till\"", "origin: not a word (1 to 64 of a-z, 0-9 and _)"},
    {"\"purpose\":\"transactional\"", ""},
    {"\"purpose\":\"ads\"", "purpose: neither marketing nor transactional"},
    {"\"purpose\":1", "purpose: neither marketing nor transactional"},
    {"\"user\":[]", "user: not an object"},
    {"\"user\":{\"email\":\"ava@klaviyo-demo.com\"}", ""},
    {"\"user\":{\"email\":\"ava at klaviyo-demo.com\"}", "user.email: not an e-mail address"},
    {"\"user\":{\"email\":7}", "user.email: not an e-mail address"},
    {"\"user\":{\"e_mail\":\"ava@klaviyo-demo.com\"}", "user.e_mail: unknown; is email meant?"},
    {"\"user\":{\"phone\":\"+49 151 12345678\"}", ""},
    {"\"user\":{\"phone\":\"0151 12345678\",\"address\":{\"country\":\"DE\"}}", ""},
    {"\"user\":{\"phone\":\"0151 12345678\"}", "user.phone: not a phone number with its country code, such as +4915112345678"},
    {"\"user\":{\"phone\":4915112345678}", "user.phone: not a text"},
    {"\"user\":{\"external_id\":34982}", ""},
    {"\"user\":{\"external_id\":\"a b\"}", "user.external_id: " ID_FAULT},
    {"\"user\":{\"first_name\":1}", "user.first_name: not a text"},
    {"\"user\":{\"address\":{\"zip\":10115,\"country\":\"Germany\"}}", ""},
    {"\"user\":{\"address\":{\"country\":\"XYZ\"}}", "user.address.country: not a country (two letters, such as DE)"},
    {"\"user\":{\"address\":{\"street\":\"x\"}}", "user.address.street: unknown"},
    {"\"user\":{\"ip\":\"2001:db8::1\"}", ""},
    {"\"user\":{\"ip\":\"203.0.113.700\"}", "user.ip: not an IP address"},
    {"\"user\":{\"fbp\":\"fb.1.1795165200000.1098115397\"}", ""},
    {"\"user\":{\"fbp\":\"1098115397\"}", "user.fbp: not a _fbp cookie (fb.1.<ms>.<number>)"},
    {"\"user\":{\"fbc\":\"fb.1.1795165200000.IwAR0\"}", ""},
    {"\"user\":{\"fbc\":\"fb.1.1795340000000.IwAR0\"}", "user.fbc: younger than the event, or older by more than 90 days"},
    {"\"user\":{\"fbc\":\"fb.1.1760000000000.IwAR0\"}", "user.fbc: younger than the event, or older by more than 90 days"},
    {"\"consent\":{\"marketing\":\"granted\",\"analytics\":\"denied\",\"opt_out_of_sale\":true}", ""},
    {"\"consent\":{\"marketing\":true}", "consent.marketing: neither granted nor denied"},
    {"\"consent\":{\"opt_out_of_sale\":\"yes\"}", "consent.opt_out_of_sale: neither true nor false"},
    {"\"consent\":{\"marketting\":\"granted\"}", "consent.marketting: unknown; is marketing meant?"},
    {"\"consent\":\"granted\"", "consent: not an object"},
    {"\"items\":{}", "items: not a list"},
    {"\"items\":[]", ""},
    {"\"items\":[{\"quantity\":2,\"price\":4.5},{\"quantity\":\"2\",\"price\":\"4.50\"}]", ""},
    {"\"items\":[{},{},{\"price\":\"free\"}]", "items[2].price: " AMOUNT_FAULT},
    {"\"items\":[{\"quantity\":1.5}]", "items[0].quantity: not a whole number"},
    {"\"items\":[{\"product_id\":632910392}]", ""},
    {"\"items\":[{\"product_id\":[]}]", "items[0].product_id: " ID_FAULT},
    {"\"items\":[{\"name\":\"Serum\"}]", "items[0].name: unknown"},
    {"\"items\":[\"SKU-481\"]", "items[0]: not an object"},
    {"\"properties\":[]", "properties: not an object"},
    {"\"properties\":{\"a\":1,\"b\":[true,null,{\"c\":\"d\"}]}", ""},
    {"\"properties\":{\"a\":1,\"a\":2}", "properties.a: occurs twice"},
    {"\"properties\":{\"\":1}", "properties.: a property's name has 1 to 255 bytes"},
    {"\"properties\":{\"a\":[[[[[[[[[[1]]]]]]]]]]}", "properties.a[0][0][0][0][0][0][0][0][0][0]: more than 10 levels"},
    {"\"experiment\":{\"id\":\"exp_7\",\"variant\":\"B\"}", ""},
    {"\"experiment\":{\"id\":7,\"variant\":2}", ""},
    {"\"experiment\":{\"varaint\":\"B\"}", "experiment.varaint: unknown; is variant meant?"},
};

static void each_fault_is_named_by_its_path(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        read_text(arena_fmt(&arena, "{\"id\":\"a\",\"name\":\"search\",\"time\":\"2026-11-21T10:00:00Z\"%s%s}", *rows[i].members ? "," : "", rows[i].members));
        if (!sv_is(faults_text(), rows[i].fault))
            fail_msg("%s\n  says \"" SV_FMT "\",\n  not  \"%s\"", rows[i].members, SV_ARG(faults_text()), rows[i].fault);
    }
}

#define NAME_FAULT "name: not a name (1 to 64 of a-z, 0-9 and _)"
#define TIME_FAULT "time: not a time with its zone, such as 2026-11-21T10:00:00Z"
#define SOME "\"id\":\"a\",\"time\":\"2026-11-21T10:00:00Z\","

static const struct {
    const char *text, *fault;
} whole[] = {
    {"{}", "id: missing | name: missing | time: missing"},
    {"{\"id\":null,\"name\":null,\"time\":null}", "id: missing | name: missing | time: missing"},
    {"{\"id\":\"\",\"name\":\"\",\"time\":\"\"}", "id: missing | name: missing | time: missing"},
    {"[]", "not an object"},
    {"7", "not an object"},
    {"null", "not an object"},
    {"{" SOME "\"name\":\"Viewed Product\"}", NAME_FAULT},
    {"{" SOME "\"name\":7}", NAME_FAULT},
    {"{" SOME "\"name\":\"a_name_of_more_than_64_characters_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", NAME_FAULT},
    {"{\"id\":\"a\",\"name\":\"x\",\"time\":1795165200}", TIME_FAULT},
    {"{\"id\":\"a\",\"name\":\"x\",\"time\":\"2026-11-21\"}", TIME_FAULT},
    {"{\"id\":\"a\",\"name\":\"x\",\"time\":\"2026-11-21T10:00:00\"}", TIME_FAULT},
    {"{\"id\":\"a\",\"name\":\"x\",\"time\":\"yesterday\"}", TIME_FAULT},
    {"{\"id\":\"a\",\"name\":\"x\",\"time\":\"2026-11-21T10:00:00.250+01:00\"}", ""},
    {"{\"id\":\"a b\",\"name\":\"x\",\"time\":\"2026-11-21T10:00:00Z\"}", "id: not an id (1 to 255 printable characters without a space)"},
    {"{\"id\":7,\"name\":\"x\",\"time\":\"2026-11-21T10:00:00Z\"}", "id: not an id (1 to 255 printable characters without a space)"},
    {"{\"id\":\"a\",\"name\":\"!\",\"time\":\"?\",\"value\":\"x\",\"user\":{\"email\":\"x\",\"ip\":\"x\"},\"items\":[{\"price\":\"x\"},3]}",
     NAME_FAULT " | " TIME_FAULT " | value: not an amount | user.email: not an e-mail address | user.ip: not an IP address | "
     "items[0].price: not an amount | items[1]: not an object"},
};

static void all_faults_at_once(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNTOF(whole); i++) {
        read_text(sv_of(whole[i].text));
        if (!sv_is(faults_text(), whole[i].fault))
            fail_msg("%s\n  says \"" SV_FMT "\",\n  not  \"%s\"", whole[i].text, SV_ARG(faults_text()), whole[i].fault);
    }
}

// ---- names

static void aliases_and_purposes(void **state) {
    (void)state;
    static const struct {
        const char *sent, *label;
        enum event_name name;
        enum purpose purpose;
    } names[] = {
        {"product_viewed", "product_viewed", EVENT_PRODUCT_VIEWED, PURPOSE_MARKETING},
        {"view_content", "product_viewed", EVENT_PRODUCT_VIEWED, PURPOSE_MARKETING},
        {"view_item", "product_viewed", EVENT_PRODUCT_VIEWED, PURPOSE_MARKETING},
        {"begin_checkout", "checkout_started", EVENT_CHECKOUT_STARTED, PURPOSE_MARKETING},
        {"started_checkout", "checkout_started", EVENT_CHECKOUT_STARTED, PURPOSE_MARKETING},
        {"repeat_purchase", "repeat_purchase", EVENT_REPEAT_PURCHASE, PURPOSE_TRANSACTIONAL},
        {"refund", "refund", EVENT_REFUND, PURPOSE_TRANSACTIONAL},
        {"quiz_finished", "quiz_finished", EVENT_CUSTOM, PURPOSE_MARKETING},
        {"custom", "custom", EVENT_CUSTOM, PURPOSE_MARKETING},
    };
    for (size_t i = 0; i < COUNTOF(names); i++) {
        read_text(arena_fmt(&arena, "{" SOME "\"name\":\"%s\"}", names[i].sent));
        assert_int_equal(faults.count, 0);
        assert_int_equal(event.name, names[i].name);
        assert_int_equal(event.purpose, names[i].purpose);
        assert_text(event_label(&event), names[i].label);
    }
    read_text(SV("{" SOME "\"name\":\"quiz_finished\",\"purpose\":\"transactional\"}"));
    assert_int_equal(event.purpose, PURPOSE_TRANSACTIONAL);
}

// ---- limits

static struct sv repeated(const char *head, const char *one, size_t n, const char *tail) {
    struct buf b;
    buf_init(&b, 4 << 20);
    buf_puts(&b, head);
    for (size_t i = 0; i < n; i++)
        buf_fmt(&b, "%s%s", i && *one != 'x' ? "," : "", one);
    buf_puts(&b, tail);
    struct sv text = arena_dup(&arena, buf_sv(&b));
    buf_free(&b);
    return text;
}

static struct sv with_properties(size_t n) {
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_puts(&b, "{" SOME "\"name\":\"x\",\"properties\":{");
    for (size_t i = 0; i < n; i++)
        buf_fmt(&b, "%s\"p%zu\":%zu", i ? "," : "", i, i);
    buf_puts(&b, "}}");
    struct sv text = arena_dup(&arena, buf_sv(&b));
    buf_free(&b);
    return text;
}

static void expect_faults(struct sv text, const char *expected) {
    read_text(text);
    assert_text(faults_text(), expected);
}

#define NAMED "{" SOME "\"name\":\"x\","

static void limits(void **state) {
    (void)state;
    expect_faults(repeated(NAMED "\"items\":[", "{}", 4000, "]}"), "");
    assert_int_equal(event.item_count, 4000);
    expect_faults(repeated(NAMED "\"items\":[", "{}", 4001, "]}"), "items: 4001 of them, 4000 is the most");
    expect_faults(repeated(NAMED "\"properties\":{\"a\":[", "1", 4001, "]}}"), "properties.a: 4001 of them, 4000 is the most");
    expect_faults(repeated(NAMED "\"properties\":{\"a\":\"", "x", 102400, "\"}}"), "");
    expect_faults(repeated(NAMED "\"properties\":{\"a\":{\"b\":\"", "x", 102401, "\"}}}"), "properties.a.b: longer than 100 KB");
    expect_faults(repeated(NAMED "\"user\":{\"user_agent\":\"", "x", 102401, "\"}}"), "user.user_agent: longer than 100 KB");
    expect_faults(repeated("{\"name\":\"x\",\"time\":\"2026-11-21T10:00:00Z\",\"id\":\"", "x", 255, "\"}"), "");
    expect_faults(repeated("{\"name\":\"x\",\"time\":\"2026-11-21T10:00:00Z\",\"id\":\"", "x", 256, "\"}"),
                  "id: not an id (1 to 255 printable characters without a space)");
    expect_faults(with_properties(48), "");
    assert_int_equal(event.property_count, 48);
    expect_faults(with_properties(49), "properties: 49 of them, 48 is the most");
    read_text(repeated(NAMED "\"items\":[", "{\"a\":1}", 1000, "]}"));
    assert_int_equal(faults.count, 1000);
    assert_text(faults.v[EVENT_FAULTS_MOST - 1], "items[63].a: unknown");
}

// A value may be anybody's address; a member's name is cut and has no control characters.
static void values_are_never_repeated(void **state) {
    (void)state;
    read_text(SV("{\"id\":\"CANARY 1\",\"name\":\"CANARY\",\"time\":\"CANARY\",\"origin\":\"CANARY\",\"purpose\":\"CANARY\",\"value\":\"CANARY\",\"currency\":\"CANARY\","
                 "\"user\":{\"email\":\"CANARY\",\"phone\":\"CANARY\",\"external_id\":\"CANARY CANARY\",\"ip\":\"CANARY\",\"fbp\":\"CANARY\",\"fbc\":\"CANARY\","
                 "\"address\":{\"country\":\"CANARY\"}},\"consent\":{\"marketing\":\"CANARY\"},\"items\":[{\"price\":\"CANARY\"}],\"experiment\":\"CANARY\"}"));
    assert_int_equal(faults.count, 17);
    assert_false(sv_contains_nocase(faults_text(), SV("canary")));
    read_text(SV("{" SOME "\"name\":\"x\",\"a\\u001b[31m\\nb\":1}"));
    assert_text(faults_text(), "a?[31m?b: unknown");
    read_text(repeated("{" SOME "\"name\":\"x\",\"", "x", 5000, "\":1}"));
    assert_in_range(faults.v[0].n, 20, 80);
}

// ---- there and back

static struct sv written(const struct event *e) {
    struct buf out;
    struct jw w;
    buf_init(&out, 1 << 20);
    jw_init(&w, &out);
    event_write(&w, e);
    struct sv text = arena_dup(&arena, buf_sv(&out));
    buf_free(&out);
    return text;
}

static void what_is_written_reads_the_same(void **state) {
    (void)state;
    glob_t found;
    size_t seen = 0;
    assert_int_equal(glob(FIXTURES "*/*/*/*/request.json", 0, NULL, &found), 0);
    assert_int_equal(glob(FIXTURES "events/*/*/request.json", GLOB_APPEND, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct sv path = sv_sub(sv_of(found.gl_pathv[i]), strlen(FIXTURES), SIZE_MAX);
        path.n -= strlen("/request.json");
        const char *name = arena_cstr(&arena, path);
        struct where w = where(name);
        struct shop *shop = ARENA_NEW(&arena, struct shop);
        struct decoded d;
        *shop = shop_of(PLAIN);
        source_decode(&arena, w.source, shop, w.topic, body_of(name), &d);
        for (size_t k = 0; k < d.count; k++, seen++) {
            struct sv text = written(&d.events[k]);
            read_text(text);
            if (faults.count > 0 || !sv_eq(written(&event), text))
                fail_msg("%s: " SV_FMT "\n" SV_FMT "\n" SV_FMT, name, SV_ARG(faults_text()), SV_ARG(text), SV_ARG(written(&event)));
        }
    }
    assert_in_range(seen, 40, 1000);
    globfree(&found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_fault_is_named_by_its_path, setup, teardown),
        cmocka_unit_test_setup_teardown(all_faults_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_and_purposes, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(values_are_never_repeated, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_written_reads_the_same, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
