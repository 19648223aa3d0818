// The ledger's line: it comes back as it was, what is no line is refused, and each reason of the plan has its outcome.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_fixture.h"
#include "server/report/ledger.h"

static const struct ledger_entry full = {
    .event = SV("purchase"), .source = SV("shopify"), .origin = SV("web"), .time_ms = T0, .order = SV("0123456789abcdef"), .meta_event = SV("Purchase"),
    .meta = META_SENT, .identifiers = {[ID_EM] = true, [ID_FBC] = true, [ID_BROWSER] = true}, .clicked = true, .klaviyo = SV("sent"),
    .has_gap = true, .gap_ms = -12,
};

static void assert_same(const struct ledger_entry *a, const struct ledger_entry *b) {
    assert_true(sv_eq(a->event, b->event) && sv_eq(a->source, b->source) && sv_eq(a->origin, b->origin) && sv_eq(a->order, b->order));
    assert_true(sv_eq(a->meta_event, b->meta_event) && sv_eq(a->klaviyo, b->klaviyo) && a->meta == b->meta);
    assert_true(a->clicked == b->clicked && a->repeat == b->repeat && a->has_gap == b->has_gap);
    assert_int_equal(a->time_ms, b->time_ms);
    assert_int_equal(a->gap_ms, b->gap_ms);
    for (size_t i = 0; i < IDENTIFIER_COUNT; i++)
        assert_int_equal(a->identifiers[i], b->identifiers[i]);
}

static void a_line_comes_back(void **state) {
    (void)state;
    struct ledger_entry again;
    for (int i = 0; i < META_OUTCOME_COUNT; i++) {
        struct ledger_entry e = full;
        e.meta = (enum meta_outcome)i;
        assert_true(ledger_read(&arena, ledger_write(&arena, &e), &again));
        assert_same(&e, &again);
    }
    struct ledger_entry bare = {.event = SV("quiz_finished"), .source = SV("events")};
    assert_true(ledger_read(&arena, ledger_write(&arena, &bare), &again));
    assert_same(&bare, &again);
    struct ledger_entry repeat = {.event = SV("purchase"), .source = SV("recharge"), .repeat = true, .order = SV("0123456789abcdef")};
    struct sv line = ledger_write(&arena, &repeat);
    assert_true(sv_is(line, "{\"event\":\"purchase\",\"source\":\"recharge\",\"order\":\"0123456789abcdef\",\"repeat\":true}"));
    assert_true(ledger_read(&arena, line, &again));
    assert_same(&repeat, &again);
}

static void a_line_is_small(void **state) {
    (void)state;
    struct sv line = ledger_write(&arena, &full);
    assert_true(sv_is(line, "{\"event\":\"purchase\",\"source\":\"shopify\",\"origin\":\"web\",\"order\":\"0123456789abcdef\",\"time\":1795255200000,"
                            "\"meta_event\":\"Purchase\",\"meta\":\"sent\",\"has\":\"em fbc ip+ua\",\"clicked\":true,\"klaviyo\":\"sent\",\"gap\":-12}"));
}

static void what_is_no_line_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"", "x", "[]", "{}", "{\"event\":\"a\"}", "{\"event\":\"a\",\"source\":\"s\"}", "{\"event\":\"a\",\"source\":\"s\",\"time\":\"x\"}",
                                      "{\"event\":\"a\",\"source\":\"s\",\"time\":1"};
    struct ledger_entry e;
    for (size_t i = 0; i < COUNTOF(bad); i++)
        if (ledger_read(&arena, sv_of(bad[i]), &e))
            fail_msg("taken: %s", bad[i]);
    assert_true(ledger_read(&arena, SV("{\"event\":\"a\",\"source\":\"s\",\"time\":1,\"meta\":\"of a later version\",\"more\":[1]}"), &e));
    assert_int_equal(e.meta, META_OTHER);
}

static void identifiers_of_a_draft(void **state) {
    (void)state;
    static const struct {
        const char *identity, *has;
    } rows[] = {
        {NULL, ""},
        {"", ""},
        {"em=webhook", "em"},
        {"em=webhook, ph=order, external_id=webhook, client_ip_address=webhook, client_user_agent=context:cart, fbp=note attribute, fbc=landing_site",
         "em ph external_id fbp fbc ip+ua"},
        {"client_ip_address=webhook", ""},
        {"client_user_agent=webhook, subscription_id=webhook", ""},
        {"emx=webhook, xfbc=webhook, fbp", "fbp"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        bool has[IDENTIFIER_COUNT];
        struct sv text = SV_NONE;
        identifiers_read(sv_of(rows[i].identity), has);
        for (size_t k = 0; k < IDENTIFIER_COUNT; k++)
            if (has[k])
                text = arena_fmt(&arena, SV_FMT "%s%s", SV_ARG(text), text.p ? " " : "", identifier_text((enum identifier)k));
        expect_text(text.p ? text : SV(""), rows[i].has, i);
    }
}

static void the_order_of_an_id(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        {NULL, "ord_1_purchase", "1"}, {NULL, "ord_1_renewal", "1"}, {NULL, "ord_450789469_purchase", "450789469"}, {NULL, "rc_charge_7_renewal", "rc_charge_7_renewal"},
        {NULL, "ord_", "ord_"}, {NULL, "ord__x", "ord__x"}, {NULL, "ord_1", "1"}, {NULL, "mine", "mine"}, {"1", "mine-1", "1"}, {" 1 ", "ord_2", "1"}, {"", "ord_2", "2"},
        {"gid://shopify/Order/1", "mine-1", "1"}, {"7", "rc_charge_7_renewal", "7"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        expect_text(order_of(sv_of(rows[i][0]), sv_of(rows[i][1])), rows[i][2], i);
}

// ---- reasons, as the plan gives them

static struct event purchase(void) {
    struct event e = known_event_at(EVENT_PURCHASE, "ord_1_purchase", T0);
    return e;
}

static void denied(struct event *e, struct shop *s) { (void)s; e->consent.marketing = CONSENT_DENIED; }
static void unknown(struct event *e, struct shop *s) { (void)s; e->consent.marketing = CONSENT_UNKNOWN; e->user.country = SV("DE"); }
static void unknown_anywhere(struct event *e, struct shop *s) { e->consent.marketing = CONSENT_UNKNOWN; s->consent.meta.unknown = UNKNOWN_DENY; }
static void opted_out(struct event *e, struct shop *s) { (void)s; e->consent.opt_out_of_sale = true; }
static void old(struct event *e, struct shop *s) { (void)s; e->time_ms = T0 - DAYS_MS(8); }
static void nobody(struct event *e, struct shop *s) { (void)s; e->user = (struct user){.country = SV("US")}; }
static void worthless(struct event *e, struct shop *s) { (void)s; e->value = SV_NONE; }
static void without_currency(struct event *e, struct shop *s) { (void)s; e->currency = SV_NONE; }
static void refunded(struct event *e, struct shop *s) { (void)s; e->name = EVENT_REFUND; }
static void unconfigured(struct event *e, struct shop *s) { (void)e; s->meta.configured = false; }
static void test_order(struct event *e, struct shop *s) { (void)s; e->origin = SV("test"); }
static void skipped_by_mapping(struct event *e, struct shop *s) { (void)e; s->rules = rules_of("version: 1\nrules:\n  purchase: { meta: { skip: true } }\n"); }

static void each_reason_has_its_outcome(void **state) {
    (void)state;
    static const struct {
        void (*make)(struct event *e, struct shop *s);
        enum meta_outcome outcome;
        bool meant;
    } rows[] = {
        {denied, META_CONSENT_DENIED, true}, {unknown, META_CONSENT_UNKNOWN, true}, {unknown_anywhere, META_CONSENT_UNKNOWN, true},
        {opted_out, META_OPTED_OUT, true}, {old, META_EXPIRED, true}, {nobody, META_NO_IDENTITY, true}, {worthless, META_NO_VALUE, true},
        {without_currency, META_NO_VALUE, true}, {refunded, META_NOT_MAPPED, false}, {unconfigured, META_NOT_CONFIGURED, false},
        {test_order, META_TEST, false}, {skipped_by_mapping, META_NOT_MAPPED, false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop shop = shop_of_both();
        struct event e = purchase();
        rows[i].make(&e, &shop);
        struct plan p = plan_of(&shop, &e, 1, T0 + 1000);
        const struct step *meta = &p.events[0].steps[META];
        assert_int_equal(meta->state, STEP_SKIPPED);
        if (meta_skipped(meta->reason) != rows[i].outcome)
            fail_msg("row %zu: " SV_FMT " is %s", i, SV_ARG(meta->reason), meta_outcome_text(meta_skipped(meta->reason)));
        assert_int_equal(meta_meant(rows[i].outcome), rows[i].meant);
    }
    assert_int_equal(meta_skipped(SV("not planned")), META_OTHER);
    assert_int_equal(meta_skipped(SV("opted out of sale and sharing after it was planned")), META_OPTED_OUT);
    assert_int_equal(meta_skipped(SV_NONE), META_OTHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_line_comes_back), TEST(a_line_is_small), TEST(what_is_no_line_is_refused), TEST(identifiers_of_a_draft), TEST(the_order_of_an_id),
        TEST(each_reason_has_its_outcome),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
