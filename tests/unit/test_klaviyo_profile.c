// Klaviyo's profiles and lists: who is told of whom, what the requests say, and what is put into a body or taken out of it later.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "mapping/klaviyo/klaviyo.h"
#include "tests/unit/default_rules.h"
#include "tests/unit/members.h"

#include <string.h>

#define NOW_MS INT64_C(1763719200000)  // 2025-11-21T10:00:00Z

static struct arena arena;
static const struct rules *rules;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    rules = default_rules(&arena);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    bool fine = arena_ok(&arena);
    arena_free(&arena);
    return fine ? 0 : -1;
}

static struct shop shop(void) {
    return (struct shop){
        .name = SV("acme"), .rules = rules,
        .klaviyo = {.configured = true, .native_integration = true, .api_key = SV("pk_secret"), .revision = SV("2026-07-15"),
                    .base_url = SV("https://a.klaviyo.com/"), .list_id = SV("Y6nRLr")},
    };
}

static struct event event_of(enum event_name name) {
    return (struct event){
        .id = SV("cus_7_sign_up"), .name = name, .time_ms = NOW_MS - 1500, .shop = SV("acme"), .source = SV("shopify"), .origin = SV("web"),
        .user = {.email = SV(" Ava@Klaviyo-Demo.com"), .phone = SV("0151 12345678"), .external_id = SV("34982"), .first_name = SV("Ava"),
                 .last_name = SV("Roth"), .locale = SV("de_DE"), .address1 = SV("Weg 1"), .city = SV("Berlin"), .region = SV("BE"),
                 .zip = SV("10115"), .country = SV("DE"), .ip = SV("203.0.113.7"), .fbp = SV("fb.1.1.x")},
        .consent = {.marketing = CONSENT_GRANTED},
    };
}

static struct draft draft_of(const struct destination *d, struct event *e, const struct shop *s) {
    rule_choose(&arena, s, e);
    return d->draft(&arena, e, s, NOW_MS);
}

static const struct json *body_of(const struct destination *d, struct event *e, const struct shop *s) {
    return json_parsed(&arena, draft_of(d, e, s).body);
}

static void assert_applies(const struct destination *d, struct event *e, const struct shop *s, const char *reason) {
    struct sv is = SV_NONE;
    rule_choose(&arena, s, e);
    bool applies = d->applies(&arena, e, s, &is);
    if (applies != !reason || (!applies && !sv_is(is, reason)))
        fail_msg("%d \"" SV_FMT "\", not \"%s\"", applies, SV_ARG(is), reason ? reason : "(sent)");
}

// ---- profiles

#define PROFILE &destination_klaviyo_profile

static void test_profile(void **state) {
    (void)state;
    struct shop s = shop();
    struct event e = event_of(EVENT_PURCHASE);
    const struct json *body = body_of(PROFILE, &e, &s), *attributes = json_at(body, "data.attributes");
    static const char *const rows[][2] = {
        {"email", "ava@klaviyo-demo.com"}, {"phone_number", "+4915112345678"}, {"external_id", NULL}, {"first_name", "Ava"}, {"last_name", "Roth"},
        {"locale", "de-DE"}, {"location.address1", "Weg 1"}, {"location.city", "Berlin"}, {"location.region", "BE"}, {"location.zip", "10115"},
        {"location.country", "DE"}, {"properties.customer_id", "34982"},
    };
    assert_member(body, "data.type", "profile");
    assert_members(attributes, rows, COUNTOF(rows));
    assert_int_equal(json_get(attributes, "properties")->count, 1);
    struct sv text = draft_of(PROFILE, &e, &s).body;
    assert_false(sv_contains_nocase(text, SV("203.0.113.7")) || sv_contains_nocase(text, SV("fb.1.1")) || sv_contains_nocase(text, SV("pk_")));
    struct request request = {0};
    destination_klaviyo_profile.address(&arena, &s, &(struct draft){0}, &request);
    assert_true(sv_is(request.url, "https://a.klaviyo.com/api/profile-import"));
    e.user = (struct user){.external_id = SV("34982"), .first_name = SV("Ava")};
    assert_member(body_of(PROFILE, &e, &s), "data.attributes.external_id", "34982");
}

// A rule may send the profile alone: then it says even who the person is, which no event will say. Names of the shop's own too.
static void test_profile_without_event(void **state) {
    (void)state;
    struct shop s = shop();
    struct event e = event_of(EVENT_CUSTOM);
    e.custom_name = SV("quiz_taken");
    e.user = (struct user){.email = SV("ava@klaviyo-demo.com")};
    event_property(&e, "skin", SV("dry"));
    assert_applies(PROFILE, &e, &s, "nothing to tell of the profile");
    s.rules = rules_over(&arena, SV("version: 1\nrules: {quiz_taken: {klaviyo: {skip: true, identify: {skin_type: properties.skin}}}}"));
    assert_applies(PROFILE, &e, &s, NULL);
    assert_applies(&destination_klaviyo, &e, &s, "skipped by the mapping");
    assert_member(body_of(PROFILE, &e, &s), "data.attributes.properties.skin_type", "dry");
    s.rules = rules_over(&arena, SV("version: 1\nrules: {custom: {skip: true, klaviyo: {identify: true}}}"));
    assert_applies(PROFILE, &e, &s, NULL);
    assert_applies(&destination_meta, &e, &s, "meta is not configured");
    assert_true(sv_present(draft_of(PROFILE, &e, &s).essence));  // so that it is sent once
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

static void test_profile_properties(void **state) {
    (void)state;
    static const char own[] =
        "version: 1\n"
        "rules:\n"
        "  purchase: { klaviyo: { identify: { last_order: properties.order_id, spent: value, nothing: properties.none } } }\n";
    struct shop s = shop();
    struct event e = event_of(EVENT_PURCHASE);
    s.rules = rules_over(&arena, sv_of(own));
    e.value = SV("0.00");
    event_property(&e, "order_id", SV("1001"));
    static const char *const rows[][2] = {{"customer_id", "34982"}, {"last_order", "1001"}, {"spent", NULL}, {"nothing", NULL}};
    assert_members(json_at(body_of(PROFILE, &e, &s), "data.attributes.properties"), rows, COUNTOF(rows));
    e.user = (struct user){.email = SV("ava@klaviyo-demo.com")};
    assert_applies(PROFILE, &e, &s, NULL);
}

static void test_profile_applies(void **state) {
    (void)state;
    static const struct user mail_only = {.email = {"ava@klaviyo-demo.com", 20}, .ip = {"203.0.113.7", 11}};
    struct shop s = shop();
    struct event e = event_of(EVENT_PURCHASE);
    assert_applies(PROFILE, &e, &s, NULL);
    e.user = mail_only;
    assert_applies(PROFILE, &e, &s, "nothing to tell of the profile");
    e.user.phone = SV("12");  // no number
    assert_applies(PROFILE, &e, &s, "nothing to tell of the profile");
    e.user.phone = SV("+4915112345678");
    assert_applies(PROFILE, &e, &s, NULL);
    e.user.email = SV_NONE;
    assert_applies(PROFILE, &e, &s, "nothing to tell of the profile");
    e.user.locale = SV("de");
    assert_applies(PROFILE, &e, &s, NULL);
    e.user = (struct user){.first_name = SV("Ava")};
    assert_applies(PROFILE, &e, &s, "no identifier");
    e = event_of(EVENT_PURCHASE);
    e.origin = SV("test");
    assert_applies(PROFILE, &e, &s, "test event");
    e.origin = SV("web");
    e.consent.marketing = CONSENT_DENIED;
    assert_applies(PROFILE, &e, &s, NULL);
    s.consent.klaviyo.purpose = CONSENT_FOR_MARKETING;
    assert_applies(PROFILE, &e, &s, "consent denied");
    s.klaviyo.configured = false;
    assert_applies(PROFILE, &e, &s, "klaviyo is not configured");
    assert_false(destination_klaviyo_profile.expired(NOW_MS - DAYS_MS(3), NOW_MS));
    assert_true(destination_klaviyo_profile.expired(NOW_MS - DAYS_MS(3) - 1, NOW_MS));
}

// A profile is known by who it is about, however that is spelled; its body by all that it says.
static void test_profile_changes(void **state) {
    (void)state;
    struct shop s = shop();
    struct event e = event_of(EVENT_PURCHASE), same = event_of(EVENT_REFUND), other = event_of(EVENT_PURCHASE);
    same.user.email = SV("ava@klaviyo-demo.com");
    same.id = SV("something else");
    other.user.email = SV("eve@klaviyo-demo.com");
    struct sv name = destination_klaviyo_profile.changes(&arena, &e, &s);
    assert_true(sv_eq(name, destination_klaviyo_profile.changes(&arena, &same, &s)));
    assert_false(sv_eq(name, destination_klaviyo_profile.changes(&arena, &other, &s)));
    assert_true(sv_eq(draft_of(PROFILE, &e, &s).body, draft_of(PROFILE, &same, &s).body));
    same.user.city = SV("Bonn");
    assert_false(sv_eq(draft_of(PROFILE, &e, &s).body, draft_of(PROFILE, &same, &s).body));
}

// Klaviyo: 100 KB a profile.
static void test_profile_too_large(void **state) {
    (void)state;
    static const char own[] = "version: 1\nrules: { purchase: { klaviyo: { identify: { a: properties.long, b: properties.long } } } }\n";
    struct shop s = shop();
    struct event e = event_of(EVENT_PURCHASE);
    char *text = arena_alloc(&arena, 50000);
    memset(text, 'x', 50000);
    s.rules = rules_over(&arena, sv_of(own));
    event_property(&e, "long", (struct sv){text, 50000});
    assert_null(draft_of(PROFILE, &e, &s).body.p);
}

// ---- lists

#define LIST &destination_klaviyo_list

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

// One person has one mark, whatever else an event says of them.
static void test_mark_of_a_person(void **state) {
    (void)state;
    struct shop s = shop();
    struct event e = event_of(EVENT_PURCHASE);
    struct sv mark = destination_klaviyo_profile.changes(&arena, &e, &s);
    e.user.phone = SV("0151 12345679");
    assert_true(sv_eq(destination_klaviyo_profile.changes(&arena, &e, &s), mark));
    e.user.phone = e.user.external_id = SV_NONE;
    assert_true(sv_eq(destination_klaviyo_profile.changes(&arena, &e, &s), mark));
    e.user = (struct user){.email = SV("eva@klaviyo-demo.com"), .external_id = SV("34982")};
    assert_false(sv_eq(destination_klaviyo_profile.changes(&arena, &e, &s), mark));
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

// ---- what comes into a body later, and what is taken out of it

static void test_tell(void **state) {
    (void)state;
    static const struct {
        struct disposition before;
        const char *status, *reason;
    } rows[] = {
        {{SV("sent"), SV_NONE}, "sent", NULL},
        {{SV("skipped"), SV("consent unknown in DE")}, "skipped", "consent unknown in DE"},
        {{SV("failed"), SV("400 \"odd\" \\ reason\n")}, "failed", "400 \"odd\" \\ reason\n"},
    };
    struct shop s = shop();
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event e = event_of(EVENT_SIGN_UP);
        struct draft draft = draft_of(&destination_klaviyo, &e, &s);
        const struct json *untold = json_at(json_parsed(&arena, draft.body), "data.attributes.properties");
        assert_member(untold, "capi_event_id", "cus_7_sign_up");
        assert_member(untold, "capi_status", NULL);
        const struct json *told = json_at(json_parsed(&arena, klaviyo_tell(&arena, draft, &rows[i].before)), "data.attributes.properties");
        assert_member(told, "capi_status", rows[i].status);
        assert_member(told, "capi_reason", rows[i].reason);
        assert_int_equal(told->count, untold->count + 1 + (rows[i].reason != NULL));
        assert_member(told, "customer_id", "34982");  // what stands behind it is still there
        const struct json *id = json_get(told, "capi_event_id");
        assert_true(sv_is(id->next->key, "capi_status"));
    }
    assert_null(destination_klaviyo_profile.tell);
    assert_null(destination_klaviyo_list.tell);
}

static void test_amend(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"{\"email\":\"a@b.co\",\"phone_number\":\"+1\",\"n\":1.50}", "{\"email\":\"a@b.co\",\"n\":1.50}"},
        {"{\"data\":[{\"email\":\"a@b.co\",\"phone_number\":\"+1\"},{\"x\":[1,2.00,\"\\u00e9\"]}]}", "{\"data\":[{\"email\":\"a@b.co\"},{\"x\":[1,2.00,\"é\"]}]}"},
        {"{\"phone_number\":\"+1\"}", NULL},
        {"{\"email\":\"a@b.co\"}", NULL},
        {"{\"email\":null,\"phone_number\":\"+1\"}", NULL},
        {"{\"email\":\"a@b.co\",\"properties\":{\"phone_number\":\"+1\"}}", NULL},
        {"{\"email\":", NULL},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct sv amended = klaviyo_amend(&arena, sv_of(rows[i][0]));
        if (!sv_eq(amended, sv_of(rows[i][1])))
            fail_msg("row %zu: " SV_FMT, i, SV_ARG(amended));
    }
    struct shop s = shop();
    struct event e = event_of(EVENT_PURCHASE);
    const struct json *body = json_parsed(&arena, klaviyo_amend(&arena, draft_of(PROFILE, &e, &s).body));
    assert_member(body, "data.attributes.email", "ava@klaviyo-demo.com");
    assert_member(body, "data.attributes.phone_number", NULL);
    assert_member(body, "data.attributes.first_name", "Ava");
    assert_null(destination_klaviyo.amend);  // an event never says both
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile),
        cmocka_unit_test(test_profile_properties),
        cmocka_unit_test(test_profile_without_event),
        cmocka_unit_test(test_list_is_the_shops),
        cmocka_unit_test(test_profile_applies),
        cmocka_unit_test(test_profile_changes),
        cmocka_unit_test(test_profile_too_large),
        cmocka_unit_test(test_subscribe),
        cmocka_unit_test(test_unsubscribe),
        cmocka_unit_test(test_sms),
        cmocka_unit_test(test_list_applies),
        cmocka_unit_test(test_metric_of_a_sign_up),
        cmocka_unit_test(test_subscribing_is_a_permission),
        cmocka_unit_test(test_mark_of_a_person),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_tell),
        cmocka_unit_test(test_amend),
    };
    return cmocka_run_group_tests_name("klaviyo_profile", tests, set_up, tear_down);
}
