// Klaviyo: sign-ups and the list: who is subscribed, what the metric says of it, and who leaves.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "klaviyo_people.h"

// ---- lists

static const struct json *person_of(const struct json *body) {
    const struct json *list = json_at(body, "data.attributes.profiles.data");
    assert_int_equal(list->count, 1);
    assert_member(list->child, "type", "profile");
    return json_get(list->child, "attributes");
}

static void test_subscribe(void **state) {
    (void)state;
    struct shop s = shop();
    struct event e = event_of(EVENT_SIGN_UP);
    const struct json *body = body_of(LIST, &e, &s), *person = person_of(body);
    static const char *const job[][2] = {
        {"data.type", "profile-subscription-bulk-create-job"}, {"data.attributes.custom_source", "fireorder"},
        {"data.attributes.historical_import", NULL}, {"data.relationships.list.data.type", "list"}, {"data.relationships.list.data.id", "Y6nRLr"},
    };
    assert_members(body, job, COUNTOF(job));
    assert_member(person, "email", "ava@klaviyo-demo.com");
    assert_member(person, "subscriptions.email.marketing.consent", "SUBSCRIBED");
    assert_member(person, "subscriptions.email.marketing.consented_at", NULL);
    assert_int_equal(person->count, 2);  // Klaviyo refuses a job that says anything else of the person
    struct draft draft = draft_of(LIST, &e, &s);
    struct request request = {0};
    destination_klaviyo_list.address(&arena, &s, &draft, &request);
    assert_false(draft.undoes);
    assert_true(sv_is(request.url, "https://a.klaviyo.com/api/profile-subscription-bulk-create-jobs"));
    event_property(&e, "signup_source", SV("Footer"));
    assert_member(body_of(LIST, &e, &s), "data.attributes.custom_source", "Footer");
}

static void test_unsubscribe(void **state) {
    (void)state;
    struct shop s = shop();
    struct event e = event_of(EVENT_CONSENT_REVOKED);
    e.time_ms = NOW_MS - DAYS_MS(30);
    const struct json *body = body_of(LIST, &e, &s), *person = person_of(body);
    static const char *const job[][2] = {
        {"data.type", "profile-subscription-bulk-delete-job"}, {"data.attributes.custom_source", NULL}, {"data.attributes.historical_import", NULL},
        {"data.relationships.list.data.id", "Y6nRLr"},
    };
    assert_members(body, job, COUNTOF(job));
    assert_member(person, "subscriptions.email.marketing.consent", "UNSUBSCRIBED");
    assert_member(person, "subscriptions.email.marketing.consented_at", NULL);
    struct draft draft = draft_of(LIST, &e, &s);
    struct request request = {0};
    destination_klaviyo_list.address(&arena, &s, &draft, &request);
    assert_true(draft.undoes);  // so that nobody is unsubscribed from everything by it
    assert_true(sv_is(request.url, "https://a.klaviyo.com/api/profile-subscription-bulk-delete-jobs"));
}

static void test_sms(void **state) {
    (void)state;
    struct shop s = shop();
    struct event e = event_of(EVENT_SIGN_UP), mail = event_of(EVENT_SIGN_UP);
    event_property(&e, "channel", SV("sms"));
    const struct json *person = person_of(body_of(LIST, &e, &s));
    assert_member(person, "phone_number", "+4915112345678");
    assert_member(person, "email", NULL);
    assert_member(person, "subscriptions.sms.marketing.consent", "SUBSCRIBED");
    assert_null(json_at(person, "subscriptions.email"));
    assert_false(sv_eq(destination_klaviyo_list.changes(&arena, &e, &s), destination_klaviyo_list.changes(&arena, &mail, &s)));
    e.user.phone = SV("12");
    assert_applies(LIST, &e, &s, "no phone number");
    e.name = EVENT_CONSENT_REVOKED;
    e.user.phone = SV("+4915112345678");
    assert_member(person_of(body_of(LIST, &e, &s)), "subscriptions.sms.marketing.consent", "UNSUBSCRIBED");
}

static void test_list_applies(void **state) {
    (void)state;
    static const struct {
        enum event_name name;
        enum consent_state consent;
        bool double_opt_in;
        const char *property, *value, *reason;
    } rows[] = {
        {EVENT_SIGN_UP, CONSENT_GRANTED, false, NULL, NULL, NULL},
        {EVENT_SIGN_UP, CONSENT_UNKNOWN, false, NULL, NULL, "no consent in the event"},
        {EVENT_SIGN_UP, CONSENT_DENIED, false, NULL, NULL, "no consent in the event"},
        {EVENT_SIGN_UP, CONSENT_GRANTED, false, "state", "pending", "waits for the confirmation of the opt-in"},
        {EVENT_SIGN_UP, CONSENT_UNKNOWN, false, "state", "subscribed", NULL},  // as Shopify says it
        {EVENT_SIGN_UP, CONSENT_UNKNOWN, true, "state", "subscribed", "waits for the confirmation of the opt-in"},
        {EVENT_SIGN_UP, CONSENT_GRANTED, false, "state", "not_subscribed", "no consent in the event"},
        {EVENT_SIGN_UP, CONSENT_GRANTED, false, "opt_in_level", "single_opt_in", NULL},
        {EVENT_SIGN_UP, CONSENT_GRANTED, true, NULL, NULL, "waits for the confirmation of the opt-in"},
        {EVENT_SIGN_UP, CONSENT_GRANTED, true, "opt_in_level", "single_opt_in", "waits for the confirmation of the opt-in"},
        {EVENT_SIGN_UP, CONSENT_GRANTED, true, "opt_in_level", "confirmed_opt_in", NULL},
        {EVENT_SIGN_UP, CONSENT_GRANTED, true, "opt_in_level", "CONFIRMED_OPT_IN", NULL},
        {EVENT_CONSENT_REVOKED, CONSENT_DENIED, true, NULL, NULL, NULL},
        {EVENT_PURCHASE, CONSENT_GRANTED, false, NULL, NULL, "no sign-up"},
        {EVENT_LEAD, CONSENT_GRANTED, false, NULL, NULL, "no sign-up"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop s = shop();
        struct event e = event_of(rows[i].name);
        s.klaviyo.double_opt_in = rows[i].double_opt_in;
        e.consent.marketing = rows[i].consent;
        if (rows[i].property)
            event_property(&e, rows[i].property, sv_of(rows[i].value));
        assert_applies(LIST, &e, &s, rows[i].reason);
    }
    struct shop s = shop();
    struct event account = event_of(EVENT_SIGN_UP);
    event_property(&account, "state", SV("not_subscribed"));
    s.rules = rules_over(&arena, SV("version: 1\nrules: { sign_up: { klaviyo: { when: null } } }"));
    assert_applies(LIST, &account, &s, "no consent in the event");
    static const struct {
        enum consent_state said, banner;
        const char *state, *reason;
    } banners[] = {
        {CONSENT_UNKNOWN, CONSENT_GRANTED, NULL, "no consent in the event"},
        {CONSENT_GRANTED, CONSENT_DENIED, NULL, NULL},
        {CONSENT_UNKNOWN, CONSENT_DENIED, "subscribed", NULL},
        {CONSENT_DENIED, CONSENT_GRANTED, NULL, "no consent in the event"},
    };
    for (size_t i = 0; i < COUNTOF(banners); i++) {
        struct event e = event_of(EVENT_SIGN_UP);
        e.said = banners[i].said;
        e.consent.marketing = banners[i].banner;
        e.origins.consent = "context:customer";
        event_property(&e, "state", sv_of(banners[i].state));
        assert_applies(LIST, &e, &s, banners[i].reason);
    }
    struct event joins = event_of(EVENT_SIGN_UP), leaves = event_of(EVENT_CONSENT_REVOKED);
    s.consent.klaviyo = (struct consent_policy){CONSENT_FOR_ANALYTICS, UNKNOWN_DENY, OPT_OUT_SKIP};
    assert_applies(LIST, &joins, &s, "consent unknown");
    assert_applies(LIST, &leaves, &s, NULL);  // who leaves is let go
    leaves.user = (struct user){.external_id = SV("7")};
    assert_applies(LIST, &leaves, &s, "no e-mail address");
    s.klaviyo.list_id = SV("");
    assert_applies(LIST, &joins, &s, "no list_id is configured");
    assert_applies(LIST, &leaves, &s, "no list_id is configured");
}

// The metric says that somebody subscribed when the list is asked to have them, and never else.
static void test_metric_of_a_sign_up(void **state) {
    (void)state;
    static const struct {
        const char *channel, *state, *email, *phone;
        enum consent_state consent;
        bool subscribed, subscribes;
    } rows[] = {
        {NULL, NULL, "ava@klaviyo-demo.com", NULL, CONSENT_GRANTED, false, true},
        {NULL, NULL, "ava@klaviyo-demo.com", NULL, CONSENT_UNKNOWN, false, false},
        {NULL, NULL, "ava@klaviyo-demo.com", NULL, CONSENT_DENIED, false, false},
        {NULL, "subscribed", "ava@klaviyo-demo.com", NULL, CONSENT_UNKNOWN, false, true},
        {NULL, "pending", "ava@klaviyo-demo.com", NULL, CONSENT_GRANTED, false, false},
        {"sms", "subscribed", "ava@klaviyo-demo.com", NULL, CONSENT_GRANTED, false, false},
        {"sms", "subscribed", NULL, "+4915112345678", CONSENT_GRANTED, false, true},
        {"email", "subscribed", NULL, "+4915112345678", CONSENT_GRANTED, false, false},
        {NULL, "subscribed", "ava@klaviyo-demo.com", NULL, CONSENT_GRANTED, true, false},
    };
    struct shop s = shop();
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = event_of(EVENT_SIGN_UP);
        e.user = (struct user){.email = sv_of(rows[i].email), .phone = sv_of(rows[i].phone)};
        e.consent.marketing = rows[i].consent;
        e.subscribed = rows[i].subscribed;
        event_property(&e, "channel", sv_of(rows[i].channel));
        event_property(&e, "state", sv_of(rows[i].state));
        const char *want = rows[i].subscribes ? "Subscribed to Newsletter" : "Signed Up";
        const struct json *attributes = json_at(body_of(&destination_klaviyo, &e, &s), "data.attributes");
        struct sv metric = json_text(json_at(attributes, "metric.data.attributes.name")), reason;
        bool listed = destination_klaviyo_list.applies(&arena, &e, &s, &reason);
        if (!sv_is(metric, want) || listed != rows[i].subscribes || sv_present(json_text(json_at(attributes, "properties.list_id"))) != listed)
            fail_msg("row %zu: " SV_FMT ", %s", i, SV_ARG(metric), listed ? "listed" : "not listed");
    }
    struct event told_again = event_of(EVENT_SIGN_UP);  // by Shopify: nothing happened
    told_again.subscribed = true;
    event_property(&told_again, "told_by", SV("customers_email_marketing_consent/update"));
    assert_applies(&destination_klaviyo, &told_again, &s, "skipped by the mapping");
}

// Whoever says in the event itself that they subscribe is nobody of whom nothing is known.
static void test_subscribing_is_a_permission(void **state) {
    (void)state;
    struct shop s = shop();
    s.consent.klaviyo = (struct consent_policy){CONSENT_FOR_MARKETING, UNKNOWN_DENY, OPT_OUT_SKIP};
    static const struct {
        enum event_name name;
        enum consent_state consent;
        const char *state, *reason;
    } rows[] = {
        {EVENT_SIGN_UP, CONSENT_UNKNOWN, "subscribed", NULL}, {EVENT_SIGN_UP, CONSENT_UNKNOWN, "pending", "consent unknown"},
        {EVENT_SIGN_UP, CONSENT_UNKNOWN, NULL, "consent unknown"}, {EVENT_SIGN_UP, CONSENT_DENIED, "subscribed", "consent denied"},
        {EVENT_PURCHASE, CONSENT_UNKNOWN, "subscribed", "consent unknown"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = event_of(rows[i].name);
        e.consent.marketing = rows[i].consent;
        event_property(&e, "state", sv_of(rows[i].state));
        assert_applies(&destination_klaviyo, &e, &s, rows[i].reason);
        if (rows[i].name == EVENT_SIGN_UP)
            assert_applies(LIST, &e, &s, rows[i].reason);
    }
}

// Klaviyo: consented_at goes with historical_import alone, and must be in the past.
static void test_history(void **state) {
    (void)state;
    static const struct {
        int64_t age_ms;
        bool double_opt_in;
        const char *consented_at, *want;  // want NULL: no history
    } rows[] = {
        {1500, false, "2025-11-01T00:00:00Z", NULL},
        {HOURS_MS(72), false, NULL, NULL},
        {HOURS_MS(73), false, NULL, "2025-11-18T09:00:00Z"},
        {HOURS_MS(73), false, "2025-11-18T03:59:00-05:00", "2025-11-18T08:59:00Z"},
        {1000, true, NULL, "2025-11-21T09:59:59Z"},
        {1000, true, "2025-11-20T10:00:00Z", "2025-11-20T10:00:00Z"},
        {1000, true, "2026-11-20T10:00:00Z", "2025-11-21T09:59:59Z"},
        {1000, true, "yesterday", "2025-11-21T09:59:59Z"},
        {-HOURS_MS(1), true, NULL, "2025-11-21T10:00:00Z"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct shop s = shop();
        struct event e = event_of(EVENT_SIGN_UP);
        e.time_ms = NOW_MS - rows[i].age_ms;
        s.klaviyo.double_opt_in = rows[i].double_opt_in;
        event_property(&e, "opt_in_level", SV("confirmed_opt_in"));
        event_property(&e, "consented_at", sv_of(rows[i].consented_at));
        const struct json *body = body_of(LIST, &e, &s);
        assert_member(body, "data.attributes.historical_import", rows[i].want ? "true" : NULL);
        assert_member(person_of(body), "subscriptions.email.marketing.consented_at", rows[i].want);
    }
    assert_null(destination_klaviyo_list.expired);
}

// Whatever a sign-up names, the list is the shop's: its consent and its double opt-in were set up for that one.
static void test_list_is_the_shops(void **state) {
    (void)state;
    struct shop s = shop();
    struct event e = event_of(EVENT_SIGN_UP);
    static const char list[] = "data.relationships.list.data.id";
    event_property(&e, "list_id", SV("Theirs"));
    assert_member(body_of(&destination_klaviyo_list, &e, &s), list, "Y6nRLr");
    assert_member(body_of(&destination_klaviyo, &e, &s), "data.attributes.properties.list_id", "Y6nRLr");
    s.klaviyo.list_id = SV_NONE;
    assert_applies(&destination_klaviyo_list, &e, &s, "no list_id is configured");
    assert_member(body_of(&destination_klaviyo, &e, &s), "data.attributes.properties.list_id", "Theirs");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_is_the_shops),
        cmocka_unit_test(test_subscribe),
        cmocka_unit_test(test_unsubscribe),
        cmocka_unit_test(test_sms),
        cmocka_unit_test(test_list_applies),
        cmocka_unit_test(test_metric_of_a_sign_up),
        cmocka_unit_test(test_subscribing_is_a_permission),
        cmocka_unit_test(test_history),
    };
    return cmocka_run_group_tests_name("klaviyo_profile", tests, set_up, tear_down);
}
