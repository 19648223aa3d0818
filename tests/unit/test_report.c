// The report: lines in, figures out.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan_fixture.h"
#include "server/report/report.h"
#include "server/report/report_table.h"

#include <stdio.h>
#include <string.h>

#define SALE(order, rest) "{\"event\":\"purchase\",\"source\":\"shopify\",\"order\":\"000000000000000" order "\",\"time\":1,\"meta_event\":\"Purchase\"" rest "}"
#define TOLD(order, source) "{\"event\":\"purchase\",\"source\":\"" source "\",\"order\":\"000000000000000" order "\",\"repeat\":true}"
#define META_EVENT(name, rest) "{\"event\":\"x\",\"source\":\"shopify\",\"time\":1,\"meta_event\":\"" name "\"" rest "}"
#define SENT(has) ",\"meta\":\"sent\",\"has\":\"" has "\""
#define ALL "em ph external_id fbp fbc ip+ua"

#define LINES_MAX 12
#define FIGURES_MAX 10

struct row {
    const char *what;
    struct { const char *line; int times; } lines[LINES_MAX];
    struct { const char *path, *value; } figures[FIGURES_MAX];  // value NULL: null or not there
    const char *warnings[3];                                    // words that each holds, in order
};

static const struct row rows[] = {
    {"nothing", {{NULL, 0}},
     {{"lines", "0"}, {"meta_events", NULL}, {"purchase_fbc.percent", NULL}, {"consent.declined_percent", NULL}, {"gap_ms.max", "0"},
      {"double_sending.orders", "0"}}, {0}},
    {"coverage is of what Meta took",
     {{SALE("1", SENT(ALL)), 1}, {SALE("2", SENT("em")), 1}, {SALE("3", SENT("em fbp")), 1}, {SALE("4", ",\"meta\":\"consent_denied\""), 1},
      {SALE("5", ",\"meta\":\"failed\",\"has\":\"em\""), 1}},
     {{"meta_events.0.meant", "5"}, {"meta_events.0.sent", "3"}, {"meta_events.0.failed", "1"}, {"meta_events.0.identity_percent.em", "100.0"},
      {"meta_events.0.identity_percent.fbp", "66.7"}, {"meta_events.0.identity_percent.fbc", "33.3"}, {"meta_events.0.identity", "50.0"},
      {"consent.declined_percent", "20.0"}, {"meta_events.0.behind_purchase", NULL}, {"meta_events.0.expired", NULL}}, {0}},
    {"fbc raw and with a click; unused clicks count",
     {{SALE("1", SENT("em fbc") ",\"clicked\":true"), 15}, {SALE("1", SENT("em") ",\"clicked\":true"), 5}, {SALE("1", SENT("em")), 20},
      {SALE("1", ",\"meta\":\"consent_denied\",\"clicked\":true"), 9}, {META_EVENT("Lead", SENT("em fbc") ",\"clicked\":true"), 4}},
     {{"purchase_fbc.sent", "40"}, {"purchase_fbc.with_fbc", "15"}, {"purchase_fbc.percent", "37.5"}, {"purchase_fbc.with_click", "20"},
      {"purchase_fbc.with_click_and_fbc", "15"}, {"purchase_fbc.click_percent", "75.0"}},
     {"5 of 20 Purchases", "Meta took 1 order twice"}},
    {"80 % is no warning, nor are few", {{META_EVENT("Purchase", SENT("fbc") ",\"clicked\":true"), 8}, {META_EVENT("Purchase", SENT("em") ",\"clicked\":true"), 2}},
     {{"purchase_fbc.click_percent", "80.0"}}, {0}},
    {"too few to tell", {{META_EVENT("Purchase", SENT("em") ",\"clicked\":true"), 9}}, {{"purchase_fbc.click_percent", "0.0"}}, {0}},
    {"divergence of what comes before a purchase",
     {{META_EVENT("Purchase", SENT(ALL)), 10}, {META_EVENT("InitiateCheckout", SENT("em ph external_id ip+ua")), 10},
      {META_EVENT("AddToCart", SENT("em ph external_id fbp fbc")), 10}, {META_EVENT("ViewContent", SENT("")), 9},
      {META_EVENT("RecurringSubscriptionPayment", SENT("em")), 10}},
     {{"meta_events.0.event", "Purchase"}, {"meta_events.0.identity", "100.0"}},
     {"InitiateCheckout carries 33.3 points less identity than Purchase, most of all fbp"}},
    {"consent", {{META_EVENT("Purchase", SENT("em")), 5}, {META_EVENT("Purchase", ",\"meta\":\"consent_denied\""), 2}, {META_EVENT("Lead", ",\"meta\":\"opted_out\""), 1},
      {META_EVENT("Lead", ",\"meta\":\"consent_unknown\""), 2}, {META_EVENT("", ",\"meta\":\"not_mapped\""), 7}, {META_EVENT("Lead", ",\"meta\":\"not_configured\""), 7}},
     {{"consent.meant", "10"}, {"consent.declined", "3"}, {"consent.declined_percent", "30.0"}, {"consent.unknown", "2"}, {"consent.unknown_percent", "20.0"}}, {0}},
    {"orders that two senders tell of",
     {{SALE("1", SENT("em")), 1}, {TOLD("1", "shopify"), 2}, {SALE("2", SENT("em")), 1}, {TOLD("2", "recharge"), 1}, {TOLD("3", "recharge"), 1}, {TOLD("3", "shopify"), 1},
      {SALE("4", ",\"meta\":\"consent_denied\""), 1}, {TOLD("4", "events"), 3}},
     {{"double_sending.orders", "4"}, {"double_sending.told_by_two", "3"}, {"double_sending.told_by_two_percent", "75.0"}, {"double_sending.sent_twice", "0"},
      {"meta_events.0.meant", "3"}, {"lines", "11"}}, {0}},
    {"orders that went out twice",
     {{SALE("1", SENT("em")), 1}, {"{\"event\":\"renewal_charged\",\"source\":\"recharge\",\"order\":\"0000000000000001\",\"time\":1,\"meta\":\"sent\"}", 1},
      {SALE("2", SENT("em")), 1}, {SALE("2", ",\"meta\":\"failed\""), 1}},
     {{"double_sending.sent_twice", "1"}, {"double_sending.sent_twice_percent", "50.0"}, {"double_sending.told_by_two", "1"}}, {"Meta took 1 order twice"}},
    {"the gap", {{META_EVENT("Purchase", SENT("em") ",\"gap\":5"), 90}, {META_EVENT("Purchase", SENT("em") ",\"gap\":300"), 9}, {META_EVENT("Purchase", SENT("em") ",\"gap\":9000"), 1},
      {META_EVENT("Purchase", SENT("em") ",\"gap\":-1"), 2}, {META_EVENT("Purchase", SENT("em")), 3}},
     {{"gap_ms.events", "100"}, {"gap_ms.p50", "5"}, {"gap_ms.p95", "300"}, {"gap_ms.max", "9000"}, {"gap_ms.klaviyo_first", "2"}}, {0}},
    {"what cannot be read", {{"rubbish", 2}, {SALE("1", SENT("em") ",\"order\":\"zz\""), 1}}, {{"lines", "3"}, {"meta_events.0.sent", "1"}}, {"2 lines of the ledger"}},
};

static const struct json *at(const struct json *node, const char *path) {
    struct sv part, rest = sv_of(path);
    for (bool more = true; more && node;) {
        int64_t n = 0;
        more = sv_cut(rest, '.', &part, &rest);
        if (!sv_i64(part, &n)) {
            node = json_get(node, arena_cstr(&arena, part));
            continue;
        }
        for (node = node->child; node && n > 0; n--)
            node = node->next;
    }
    return node;
}

static const struct json *figures_of(const struct row *row) {
    struct report r;
    struct buf out;
    struct jw w;
    struct json *root;
    report_init(&r);
    for (size_t i = 0; i < LINES_MAX; i++)
        for (int n = 0; n < row->lines[i].times; n++)
            report_add(&r, sv_of(row->lines[i].line));
    report_end(&r);
    buf_init(&out, 1 << 20);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_member(&w, "shop", SV("acme"));
    report_write(&r, &w);
    jw_close(&w, '}');
    assert_true(buf_ok(&out) && !r.failed);
    assert_int_equal(json_parse(&arena, arena_dup(&arena, buf_sv(&out)), &root, NULL), RC_OK);
    buf_free(&out);
    report_free(&r);
    return root;
}

static void check_row(const struct row *row) {
    const struct json *root = figures_of(row), *warnings = json_get(root, "warnings");
    for (size_t i = 0; i < FIGURES_MAX && row->figures[i].path; i++) {
        struct sv value = json_text(at(root, row->figures[i].path));
        if (!sv_eq(value, sv_of(row->figures[i].value)))
            fail_msg("%s: %s is " SV_FMT ", not %s", row->what, row->figures[i].path, SV_ARG(value), row->figures[i].value);
    }
    size_t n = 0;
    JSON_EACH(warning, warnings) {
        if (n == COUNTOF(row->warnings) || !row->warnings[n] || !strstr(arena_cstr(&arena, warning->text), row->warnings[n]))
            fail_msg("%s: warning %zu is: " SV_FMT, row->what, n, SV_ARG(warning->text));
        n++;
    }
    if (n < COUNTOF(row->warnings) && row->warnings[n])
        fail_msg("%s: no warning: %s", row->what, row->warnings[n]);
}

static void figures_are_as_calculated(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNTOF(rows); i++)
        check_row(&rows[i]);
}

static void names_and_senders_without_end(void **state) {
    (void)state;
    struct report r;
    report_init(&r);
    for (int i = 0; i < 100; i++) {
        report_add(&r, arena_fmt(&arena, "{\"event\":\"e%d\",\"source\":\"s%d\",\"time\":1,\"meta\":\"sent\",\"order\":\"%016x\"}", i, i, i % 3));
    }
    report_end(&r);
    assert_int_equal(r.event_count, REPORT_EVENTS_MAX);
    assert_int_equal(report_event(&r, "other")->outcomes[META_SENT], 100 - (REPORT_EVENTS_MAX - 1));
    assert_int_equal(r.source_count, REPORT_SOURCES_MAX);
    assert_int_equal(report_orders(&r).orders, 3);
    report_free(&r);
}

// Every number of the table is one of the answer, and every warning is there.
static void the_table_says_it_for_people(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    report_table(figures_of(&rows[2]), &out);
    report_table(figures_of(&rows[0]), &out);
    static const char *const words[] = {"fbc of Purchase   37.5 % of all (15 of 40), 75.0 % where a click was seen (15 of 20)\n",
                                        "consent declined  17.0 % (9 of 53), and 0.0 % unknown",
                                        "double sending    0.0 % of orders told by two senders (0 of 1), 100.0 % sent to Meta twice (1)\n",
                                        "  ! 5 of 20 Purchases", "  ! Meta took 1 order twice", "No threshold is crossed.",
                                        "fbc of Purchase   - % of all (0 of 0), - % where a click was seen (0 of 0)\n"};
    for (size_t i = 0; i < COUNTOF(words); i++)
        if (!strstr(buf_cstr(&out), words[i]))
            fail_msg("no \"%s\" in:\n%s", words[i], buf_cstr(&out));
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(figures_are_as_calculated), TEST(names_and_senders_without_end), TEST(the_table_says_it_for_people)};
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
