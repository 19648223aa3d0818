// docs/mapping.md: every ```yaml block is a mapping file without fault, and makes of the order in docs/event.md what the ```text block
// under it says, line by line: EVENT STEP PATH = VALUE, or EVENT STEP skipped: REASON.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "mapping/destination.h"
#include "server/commands/fixture.h"
#include "tests/unit/default_rules.h"
#include "tests/unit/members.h"

#include <string.h>

#define DOCUMENT SOURCE_DIR "/docs/mapping.md"
#define NOW_MS INT64_C(1795262400000)  // 2026-11-21T12:00:00Z

static struct item items[] = {
    {.product_id = SV("632910392"), .variant_id = SV("808950810"), .sku = SV("SKU-481"), .title = SV("Serum"), .quantity = SV("1"), .price = SV("129.95")},
};

// The order of docs/event.md, with a note.
static struct event order(struct sv name) {
    struct event e = {
        .id = SV("ord_450789469_purchase"), .name = event_name_of(name), .custom_name = name, .time_ms = NOW_MS - 1000, .shop = SV("acme"),
        .source = SV("shopify"), .origin = SV("web"), .purpose = PURPOSE_TRANSACTIONAL,
        .user = {.email = SV("ava@klaviyo-demo.com"), .phone = SV("+15125550123"), .external_id = SV("34982"), .first_name = SV("Ava"),
                 .last_name = SV("Roth"), .city = SV("Austin"), .region = SV("TX"), .zip = SV("78701"), .country = SV("US"),
                 .ip = SV("203.0.113.7"), .user_agent = SV("Mozilla/5.0")},
        .consent = {.marketing = CONSENT_GRANTED}, .value = SV("129.95"), .currency = SV("USD"), .items = items, .item_count = 1,
    };
    event_property(&e, "order_id", SV("450789469"));
    event_property(&e, "gift_note", SV("For Mia"));
    return e;
}

static const struct destination *destination_named(struct sv name) {
    for (size_t i = 0; i < destination_count; i++)
        if (sv_is(name, destinations[i]->name))
            return destinations[i];
    fail_msg("no destination " SV_FMT, SV_ARG(name));
    return NULL;
}

static void check_line(struct arena *a, const struct rules *rules, struct sv line) {
    const struct shop shop = {.name = SV("acme"), .domain = SV("acme.myshopify.com"), .rules = rules, .meta.configured = true,
                              .klaviyo = {.configured = true, .native_integration = true}};
    struct sv name, step, rest, path, value, reason = SV_NONE;
    assert_true(sv_cut(line, ' ', &name, &rest));
    assert_true(sv_cut(rest, ' ', &step, &rest));
    struct event e = order(name);
    const struct destination *d = destination_named(step);
    rule_choose(a, &shop, &e);
    bool applies = d->applies(a, &e, &shop, &reason);
    if (sv_starts(rest, SV("skipped: "))) {
        if (applies || !sv_eq(reason, sv_sub(rest, 9, rest.n)))
            fail_msg(SV_FMT "\n  is: " SV_FMT, SV_ARG(line), SV_ARG(reason));
        return;
    }
    if (!applies)
        fail_msg(SV_FMT "\n  is skipped: " SV_FMT, SV_ARG(line), SV_ARG(reason));
    assert_true(sv_cut(rest, '=', &path, &value));
    const struct json *body = json_parsed(a, d->draft(a, &e, &shop, NOW_MS).body);
    body = d == &destination_meta ? json_get(body, "data")->child : json_at(body, "data.attributes");
    assert_member(body, arena_cstr(a, sv_trim(path)), arena_cstr(a, sv_trim(value)));
}

// What stands before the next line that is "```"; *io goes behind it.
static struct sv block(struct sv *io) {
    struct sv line, whole = *io;
    while (sv_cut(*io, '\n', &line, io))
        if (sv_is(line, "```"))
            return sv_sub(whole, 0, (size_t)(line.p - whole.p));
    fail_msg("a block of " DOCUMENT " has no end");
    return SV_NONE;
}

static void test_examples(void **state) {
    (void)state;
    struct arena a;
    struct sv document, line;
    struct err e;
    const struct rules *rules = NULL;
    size_t examples = 0, checked = 0;
    arena_init(&a, (size_t)64 << 20);
    assert_int_equal(file_read(&a, DOCUMENT, 1 << 20, &document, &e), RC_OK);
    while (sv_cut(document, '\n', &line, &document)) {
        if (sv_is(line, "```yaml")) {
            rules = rules_over(&a, block(&document));
            examples++;
        } else if (sv_is(line, "```text")) {
            struct sv gives = block(&document);
            while (sv_cut(gives, '\n', &line, &gives)) {
                check_line(&a, rules, line);
                checked++;
            }
        }
    }
    assert_in_range(examples, 4, 100);
    assert_in_range(checked, 15, 1000);
    assert_true(arena_ok(&a));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
    };
    return cmocka_run_group_tests_name("mapping_docs", tests, NULL, NULL);
}
