// Klaviyo's profiles: who is told of whom, what the requests say, and what is put into a body or taken out of it later.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "klaviyo_people.h"

// ---- profiles

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
        cmocka_unit_test(test_profile_applies),
        cmocka_unit_test(test_profile_changes),
        cmocka_unit_test(test_profile_too_large),
        cmocka_unit_test(test_mark_of_a_person),
        cmocka_unit_test(test_tell),
        cmocka_unit_test(test_amend),
    };
    return cmocka_run_group_tests_name("klaviyo_profile", tests, set_up, tear_down);
}
