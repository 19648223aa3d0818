#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *text_of(struct metrics *m, const struct metrics_gauges *gauges, size_t n) {
    struct buf out;
    buf_init(&out, 1 << 22);
    metrics_write(m, gauges, n, &out);
    assert_true(buf_ok(&out));
    char *text = strdup(buf_cstr(&out));
    buf_free(&out);
    return text;
}

// A whole line of the text.
static bool has_line(const char *text, const char *line) {
    size_t n = strlen(line);
    for (const char *p = text; (p = strstr(p, line)) != NULL; p++)
        if ((p == text || p[-1] == '\n') && p[n] == '\n')
            return true;
    return false;
}

static void assert_lines(const char *text, const char *const *lines, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!has_line(text, lines[i]))
            fail_msg("no line \"%s\" in:\n%s", lines[i], text);
}

static void everything_has_its_contract_name(void **state) {
    (void)state;
    struct metrics *m = metrics_new();
    for (int i = 0; i < 3; i++)
        metrics_webhook(m, SV("acme"), SV("shopify"), SV("orders/create"), "accepted");
    metrics_webhook(m, SV("acme"), SV("shopify"), SV("orders/create"), "duplicate");
    metrics_webhook(m, SV_NONE, SV_NONE, SV_NONE, "rejected_path");
    metrics_step(m, SV("acme"), "meta", "sent");
    metrics_paused(m, SV("acme"), "klaviyo", true);
    metrics_paused(m, SV("beta"), "meta", true);
    metrics_paused(m, SV("beta"), "meta", false);
    metrics_order_violation(m);
    const struct metrics_gauges gauges[] = {{SV("acme"), 5, 2, 17}, {SV("beta"), 0, 0, 0}};
    char *text = text_of(m, gauges, COUNTOF(gauges));
    static const char *const lines[] = {
        "# TYPE fireorder_webhooks_total counter",
        "fireorder_webhooks_total{shop=\"acme\",source=\"shopify\",topic=\"orders/create\",result=\"accepted\"} 3",
        "fireorder_webhooks_total{shop=\"acme\",source=\"shopify\",topic=\"orders/create\",result=\"duplicate\"} 1",
        "fireorder_webhooks_total{shop=\"\",source=\"\",topic=\"\",result=\"rejected_path\"} 1",
        "# TYPE fireorder_steps_total counter",
        "fireorder_steps_total{shop=\"acme\",destination=\"meta\",outcome=\"sent\"} 1",
        "# TYPE fireorder_destination_paused gauge",
        "fireorder_destination_paused{shop=\"acme\",destination=\"klaviyo\"} 1",
        "fireorder_destination_paused{shop=\"beta\",destination=\"meta\"} 0",
        "fireorder_pending{shop=\"acme\"} 5",
        "fireorder_dead{shop=\"acme\"} 2",
        "fireorder_oldest_pending_seconds{shop=\"acme\"} 17",
        "fireorder_pending{shop=\"beta\"} 0",
        "# TYPE fireorder_order_violations_total counter",
        "fireorder_order_violations_total 1",
    };
    assert_lines(text, lines, COUNTOF(lines));
    assert_int_equal(metrics_order_violations(m), 1);
    free(text);
    metrics_free(m);
}

static void histograms_are_cumulative(void **state) {
    (void)state;
    struct metrics *m = metrics_new();
    metrics_ack(m, 100);       // on a bound: counts there
    metrics_ack(m, 101);
    metrics_ack(m, 60000000);  // over all bounds
    metrics_ack(m, -5);        // a clock that went back
    metrics_gap(m, 700);
    char *text = text_of(m, NULL, 0);
    static const char *const lines[] = {
        "# TYPE fireorder_ack_seconds histogram",
        "fireorder_ack_seconds_bucket{le=\"0.0001\"} 2",
        "fireorder_ack_seconds_bucket{le=\"0.00025\"} 3",
        "fireorder_ack_seconds_bucket{le=\"5\"} 3",
        "fireorder_ack_seconds_bucket{le=\"+Inf\"} 4",
        "fireorder_ack_seconds_sum 60.000201",
        "fireorder_ack_seconds_count 4",
        "fireorder_gap_seconds_bucket{le=\"0.5\"} 0",
        "fireorder_gap_seconds_bucket{le=\"1\"} 1",
        "fireorder_gap_seconds_bucket{le=\"3600\"} 1",
        "fireorder_gap_seconds_count 1",
    };
    assert_lines(text, lines, COUNTOF(lines));
    free(text);
    metrics_free(m);
}

static void labels_are_escaped_and_not_confused(void **state) {
    (void)state;
    struct metrics *m = metrics_new();
    metrics_step(m, SV("a\"b\\c\nd"), "meta", "sent");
    metrics_step(m, SV("ab"), "c", "sent");
    metrics_step(m, SV("a"), "bc", "sent");
    char *text = text_of(m, NULL, 0);
    static const char *const lines[] = {
        "fireorder_steps_total{shop=\"a\\\"b\\\\c\\nd\",destination=\"meta\",outcome=\"sent\"} 1",
        "fireorder_steps_total{shop=\"ab\",destination=\"c\",outcome=\"sent\"} 1",
        "fireorder_steps_total{shop=\"a\",destination=\"bc\",outcome=\"sent\"} 1",
    };
    assert_lines(text, lines, COUNTOF(lines));
    free(text);
    metrics_free(m);
}

static void a_finished_event_is_counted(void **state) {
    (void)state;
    struct metrics *m = metrics_new();
    struct ledger_entry e = {.event = SV("purchase"), .source = SV("shopify"), .order = SV("0123456789abcdef"), .meta_event = SV("Purchase"),
                             .meta = META_SENT, .identifiers = {[ID_EM] = true, [ID_BROWSER] = true}, .clicked = true};
    metrics_ledger(m, SV("acme"), &e);
    e.identifiers[ID_FBC] = true;
    metrics_ledger(m, SV("acme"), &e);
    e.meta = META_CONSENT_DENIED;  // what was not sent carries nothing
    metrics_ledger(m, SV("acme"), &e);
    metrics_ledger(m, SV("acme"), &(struct ledger_entry){.event = SV("purchase"), .source = SV("recharge"), .order = SV("0123456789abcdef"), .repeat = true});
    for (int i = 0; i < 3; i++)
        metrics_ledger(m, SV("acme"), &(struct ledger_entry){.event = i ? SV("quiz_one") : SV("quiz_two"), .source = SV("events"), .meta = META_FAILED});
    char *text = text_of(m, NULL, 0);
    static const char *const lines[] = {
        "fireorder_meta_events_total{shop=\"acme\",event=\"purchase\",outcome=\"sent\"} 2",
        "fireorder_meta_events_total{shop=\"acme\",event=\"purchase\",outcome=\"consent_denied\"} 1",
        "fireorder_meta_events_total{shop=\"acme\",event=\"custom\",outcome=\"failed\"} 3",
        "fireorder_meta_identity_total{shop=\"acme\",event=\"purchase\",identifier=\"em\"} 2",
        "fireorder_meta_identity_total{shop=\"acme\",event=\"purchase\",identifier=\"fbc\"} 1",
        "fireorder_meta_identity_total{shop=\"acme\",event=\"purchase\",identifier=\"ip+ua\"} 2",
        "fireorder_orders_with_click_total{shop=\"acme\"} 2",
        "fireorder_orders_with_click_and_fbc_total{shop=\"acme\"} 1",
        "fireorder_order_reports_total{shop=\"acme\",source=\"shopify\",result=\"told\"} 3",
        "fireorder_order_reports_total{shop=\"acme\",source=\"recharge\",result=\"repeated\"} 1",
    };
    assert_lines(text, lines, COUNTOF(lines));
    assert_null(strstr(text, "quiz"));
    free(text);
    metrics_free(m);
}

static void the_table_is_bounded(void **state) {
    (void)state;
    struct metrics *m = metrics_new();
    char shop[16];
    metrics_step(m, SV("first"), "meta", "sent");
    for (int i = 0; i < 20000; i++) {
        snprintf(shop, sizeof shop, "s%d", i);
        metrics_step(m, sv_of(shop), "meta", "sent");
    }
    metrics_step(m, SV("first"), "meta", "sent");
    char *text = text_of(m, NULL, 0);
    assert_true(has_line(text, "fireorder_steps_total{shop=\"first\",destination=\"meta\",outcome=\"sent\"} 2"));
    assert_true(has_line(text, "fireorder_steps_total{shop=\"s4000\",destination=\"meta\",outcome=\"sent\"} 1"));
    assert_null(strstr(text, "\"s19999\""));
    free(text);
    metrics_free(m);
}

enum { THREADS = 8, ROUNDS = 5000, SHOPS = 50 };

static void *count_a_lot(void *ctx) {
    char shop[16];
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(shop, sizeof shop, "s%d", i % SHOPS);
        metrics_webhook(ctx, sv_of(shop), SV("shopify"), SV("t"), "accepted");
        metrics_ack(ctx, i);
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state) {
    (void)state;
    struct metrics *m = metrics_new();
    pthread_t threads[THREADS];
    char line[128];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_a_lot, m), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    char *text = text_of(m, NULL, 0);
    for (int i = 0; i < SHOPS; i++) {
        snprintf(line, sizeof line, "fireorder_webhooks_total{shop=\"s%d\",source=\"shopify\",topic=\"t\",result=\"accepted\"} %d", i,
                 THREADS * ROUNDS / SHOPS);
        assert_true(has_line(text, line));
    }
    snprintf(line, sizeof line, "fireorder_ack_seconds_count %d", THREADS * ROUNDS);
    assert_true(has_line(text, line));
    free(text);
    metrics_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_has_its_contract_name),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(labels_are_escaped_and_not_confused),
        cmocka_unit_test(a_finished_event_is_counted),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
