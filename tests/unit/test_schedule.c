// A subscription's schedule: what each of its webhooks says of it, in both versions; what comes of it for a charge.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/fixtures.h"

static struct decoded decoded_of(const char *topic, const char *body) {
    struct shop shop = shop_of(RECHARGE_TOO);
    struct decoded d;
    source_decode(&arena, &source_recharge, &shop, sv_of(topic), sv_of(body), &d);
    return d;
}

#define S(members) "{\"subscription\":{\"id\":7," members "}}"
#define MONTHLY "\"order_interval_frequency\":1,\"order_interval_unit\":\"month\",\"charge_interval_frequency\":1,\"next_charge_scheduled_at\":\"2026-12-20\""
#define AT ",\"updated_at\":\"2026-11-20T10:00:00Z\""

static void each_topic_tells(void **state) {
    (void)state;
    static const char *const topics[] = {"subscription/created", "subscription/activated", "subscription/updated", "subscription/cancelled",
                                         "subscription/skipped", "subscription/unskipped", "subscription/swapped", "subscription/paused"};
    for (size_t i = 0; i < COUNTOF(topics); i++) {
        struct decoded d = decoded_of(topics[i], S(MONTHLY ",\"created_at\":\"2026-10-20T10:00:00Z\",\"cancelled_at\":\"2026-11-20T10:00:00Z\"" AT));
        assert_text(d.schedule_of, "7");
        assert_text(d.schedule.next, "2026-12-20");
        assert_text(schedule_cadence(&arena, &d.schedule), "1 month");
        assert_int_equal(d.schedule.as_of_ms, INT64_C(1795168800000));
    }
    assert_text(decoded_of("charge/paid", "{\"charge\":{\"id\":1,\"processed_at\":\"2026-11-20T10:00:00Z\"}}").schedule_of, NULL);
}

static void as_both_versions_write_it(void **state) {
    (void)state;
    static const struct { const char *body, *of, *cadence, *next; } cases[] = {
        {S("\"order_interval_frequency\":\"2\",\"order_interval_unit\":\"week\",\"next_charge_scheduled_at\":\"2026-12-20T00:00:00\",\"updated_at\":\"2026-11-20T10:00:00\""), "7", "2 weeks", "2026-12-20"},
        {S("\"order_interval_frequency\":30,\"order_interval_unit\":\"Days\"" AT), "7", "30 days", NULL},
        {S("\"charge_interval_frequency\":3,\"order_interval_unit\":\"month\"" AT), "7", "3 months", NULL},
        {S("\"order_interval_frequency\":1,\"order_interval_unit\":\"moon\",\"next_charge_scheduled_at\":\"soon\"" AT), "7", NULL, NULL},
        {S("\"order_interval_frequency\":[1],\"order_interval_unit\":{\"a\":1},\"next_charge_scheduled_at\":7" AT), "7", NULL, NULL},
        {S(MONTHLY ",\"status\":\"ACTIVE\"" AT), "7", "1 month", "2026-12-20"},
        {S(MONTHLY ",\"status\":\"cancelled\"" AT), "7", "1 month", NULL},
        {S(MONTHLY ",\"status\":\"expired\"" AT), "7", "1 month", NULL},
        {S(MONTHLY ",\"created_at\":\"2026-11-20T10:00:00Z\""), "7", "1 month", "2026-12-20"},
        {S(MONTHLY), NULL, "1 month", "2026-12-20"},  // nobody knows when that was so
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct decoded d = decoded_of("subscription/updated", cases[i].body);
        assert_text(d.schedule_of, cases[i].of);
        assert_text(schedule_cadence(&arena, &d.schedule), cases[i].cadence);
        assert_text(d.schedule.next, cases[i].next);
    }
}

static struct schedule written_and_read(const struct schedule *s) {
    struct json *node;
    struct schedule again;
    assert_int_equal(json_parse(&arena, schedule_write(&arena, s), &node, NULL), RC_OK);
    assert_true(schedule_read(node, &again));
    return again;
}

static void is_kept_whole(void **state) {
    (void)state;
    struct json *node;
    struct schedule s = {SV("2"), SV("week"), SV("4"), SV("2026-12-20"), 1795168800123}, again = written_and_read(&s);
    assert_text(again.every, "2");
    assert_text(again.unit, "week");
    assert_text(again.charge_every, "4");
    assert_text(again.next, "2026-12-20");
    assert_int_equal(again.as_of_ms, s.as_of_ms);
    again = written_and_read(&(struct schedule){.as_of_ms = 1});
    assert_false(again.every.p || again.unit.p || again.charge_every.p || again.next.p);
    assert_int_equal(json_parse(&arena, SV("{\"as_of\":\"x\",\"every\":\"1\"}"), &node, NULL), RC_OK);
    assert_false(schedule_read(node, &again));
    assert_false(schedule_read(NULL, &again));
}

static void what_a_charge_is_told(void **state) {
    (void)state;
    static const struct { enum event_name name; const char *time, *due, *every, *unit, *charge_every, *next, *cadence, *date; } cases[] = {
        // told since the charge
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", "1", "month", "1", "2026-12-20", "1 month", "2026-12-20"},
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", "1", "day", "1", "2026-11-21", "1 day", "2026-11-21"},
        {EVENT_RENEWAL_FAILED, "2026-11-20T09:00:00Z", "2026-11-20", "1", "month", "1", "2026-12-20", "1 month", "2026-12-20"},
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", NULL, "1", "month", NULL, "2026-12-20", "1 month", "2026-12-20"},
        // before it: the date is of this very charge
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", "1", "month", "1", "2026-11-20", "1 month", "2026-12-20"},
        {EVENT_RENEWAL_CHARGED, "2026-12-20T09:00:00Z", "2026-12-20", "2", "month", NULL, "2026-12-20", "2 months", "2027-02-20"},
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", "1", "year", "1", "2026-11-20", "1 year", "2027-11-20"},
        {EVENT_RENEWAL_CHARGED, "2026-12-28T09:00:00Z", "2026-12-28", "2", "week", "2", "2026-12-28", "2 weeks", "2027-01-11"},
        {EVENT_RENEWAL_CHARGED, "2028-02-28T09:00:00Z", "2028-02-28", "1", "day", "1", "2028-02-28", "1 day", "2028-02-29"},
        {EVENT_RENEWAL_CHARGED, "2026-11-19T18:00:00Z", "2026-11-20", "1", "week", "1", "2026-11-20", "1 week", "2026-11-27"},  // east of here
        {EVENT_RENEWAL_CHARGED, "2026-11-21T02:00:00Z", "2026-11-20", "1", "week", "1", "2026-11-20", "1 week", "2026-11-27"},  // west
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", "1", "month", "3", "2026-11-20", "1 month", "2027-02-20"},  // prepaid
        // before it, and what comes next cannot be told exactly
        {EVENT_RENEWAL_CHARGED, "2026-11-29T09:00:00Z", "2026-11-29", "1", "month", "1", "2026-11-29", "1 month", NULL},  // not in each month
        {EVENT_RENEWAL_CHARGED, "2026-11-23T09:00:00Z", "2026-11-20", "1", "month", "1", "2026-11-20", "1 month", NULL},  // a retry
        {EVENT_RENEWAL_CHARGED, "2026-11-15T09:00:00Z", "2026-11-20", "1", "month", "1", "2026-11-20", "1 month", NULL},  // brought forward
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", "1", "month", "1", "2026-10-20", "1 month", NULL},  // told long ago
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", NULL, "1", "month", "1", "2026-11-20", "1 month", NULL},
        {EVENT_RENEWAL_FAILED, "2026-11-20T09:00:00Z", "2026-11-20", "1", "month", "1", "2026-11-20", "1 month", NULL},   // its retry comes first
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", NULL, NULL, NULL, "2026-11-20", NULL, NULL},
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", "0", "week", NULL, "2026-11-20", "0 weeks", NULL},
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", "99999999999999999999", "day", NULL, "2026-11-20", "99999999999999999999 days", NULL},
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", "1", "month", "1", NULL, "1 month", NULL},          // none is planned
        {EVENT_RENEWAL_CHARGED, "2026-11-20T09:00:00Z", "2026-11-20", "1", "month", "1", "nonsense", "1 month", NULL},
        // a subscription's own events say the date themselves, or there is none
        {EVENT_SKIPPED_ORDER, "2026-11-20T09:00:00Z", NULL, "1", "month", "1", "2026-12-20", "1 month", NULL},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct event e = {.name = cases[i].name, .due = sv_of(cases[i].due)};
        struct schedule s = {sv_of(cases[i].every), sv_of(cases[i].unit), sv_of(cases[i].charge_every), sv_of(cases[i].next), 1};
        assert_true(time_parse(sv_of(cases[i].time), 0, &e.time_ms));
        schedule_apply(&arena, &s, &e);
        assert_text(event_property_text(&e, "cadence"), cases[i].cadence);
        assert_text(event_property_text(&e, "next_charge_date"), cases[i].date);
    }
}

static void what_it_says_itself_stays(void **state) {
    (void)state;
    struct event e = {.name = EVENT_RENEWAL_CHARGED};
    struct schedule s = {SV("1"), SV("month"), SV_NONE, SV("2026-12-20"), 1};
    event_property(&e, "cadence", SV("3 weeks"));
    event_property(&e, "next_charge_date", SV("2026-12-11"));
    schedule_apply(&arena, &s, &e);
    assert_text(event_property_text(&e, "cadence"), "3 weeks");
    assert_text(event_property_text(&e, "next_charge_date"), "2026-12-11");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_topic_tells, setup, teardown),
        cmocka_unit_test_setup_teardown(as_both_versions_write_it, setup, teardown),
        cmocka_unit_test_setup_teardown(is_kept_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_charge_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_says_itself_stays, setup, teardown),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
