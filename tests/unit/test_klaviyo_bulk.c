// Klaviyo: many events in one request: what is in it, what is left for another one, and what an answer means for each.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "klaviyo_people.h"

#define BULK destination_klaviyo.bulk

static struct bulk_event event_named(const char *id, const char *email, int64_t age_ms) {
    struct shop s = shop();
    struct event e = event_of(EVENT_CHECKOUT_STARTED);
    e.id = sv_of(id);
    e.user.email = sv_of(email);
    e.time_ms -= age_ms;
    e.value = SV("129.950");
    e.currency = SV("eur");
    return (struct bulk_event){.body = draft_of(&destination_klaviyo, &e, &s).body};
}

static const struct json *groups_of(struct sv body) {
    return json_at(json_parsed(&arena, body), "data.attributes.events-bulk-create.data");
}

static const struct json *nth(const struct json *list, size_t n) {
    const struct json *child = list->child;
    while (child && n-- > 0)
        child = child->next;
    assert_non_null(child);
    return child;
}

static const struct json *event_in(const struct json *groups, size_t group, size_t n) {
    return nth(json_at(nth(groups, group), "attributes.events.data"), n);
}

// What an event says alone and what it says in bulk differ by the person's names and address only.
static void what_an_event_says(void **state) {
    (void)state;
    struct bulk_event one = event_named("chk_1_started", "ava@klaviyo-demo.com", 0);
    struct sv body = BULK->body(&arena, &one, 1);
    const struct json *alone = json_at(json_parsed(&arena, one.body), "data.attributes"), *group = nth(groups_of(body), 0);
    const struct json *in_bulk = json_get(event_in(groups_of(body), 0, 0), "attributes");
    const struct json *person = json_at(group, "attributes.profile.data.attributes");
    assert_member(json_parsed(&arena, body), "data.type", "event-bulk-create-job");
    assert_member(group, "type", "event-bulk-create");
    assert_member(group, "attributes.backfill", NULL);
    assert_member(event_in(groups_of(body), 0, 0), "type", "event");
    assert_member(alone, "profile.data.attributes.first_name", "Ava");
    assert_member(person, "email", "ava@klaviyo-demo.com");
    assert_int_equal(person->count, 1);
    assert_int_equal(in_bulk->count, alone->count - 1);
    static const char *const same[] = {"time", "value", "value_currency", "unique_id", "backfill", "metric.data.attributes.name", "properties.event_id"};
    for (size_t i = 0; i < COUNTOF(same); i++)
        assert_true(sv_eq(json_str(in_bulk, same[i]), json_str(alone, same[i])));
    assert_member(in_bulk, "value", "129.950");
    assert_int_equal(json_get(in_bulk, "properties")->count, json_get(alone, "properties")->count);
}

static void what_goes_together(void **state) {
    (void)state;
    static const struct {
        const char *id, *email;
        int64_t age_ms;
        enum bulk_place place;
        size_t group;
    } rows[] = {
        {"a", "ava@klaviyo-demo.com", 0, BULK_IN, 0},
        {"b", "ben@klaviyo-demo.com", 0, BULK_IN, 1},
        {"c", "ava@klaviyo-demo.com", 0, BULK_IN, 0},
        {"a", "ava@klaviyo-demo.com", 0, BULK_LATER, 0},              // twice of one profile
        {"a", "ben@klaviyo-demo.com", 0, BULK_IN, 1},                 // of another one it is another event
        {"d", "ava@klaviyo-demo.com", DAYS_MS(30), BULK_LATER, 0},    // of a group for flows, and starts none
        {"e", "cleo@klaviyo-demo.com", DAYS_MS(30), BULK_IN, 2},
        {"f", NULL, 0, BULK_ALONE, 0},                                // not what we make
    };
    struct bulk_event events[COUNTOF(rows)];
    for (size_t i = 0; i < COUNTOF(rows); i++)
        events[i] = rows[i].email ? event_named(rows[i].id, rows[i].email, rows[i].age_ms) : (struct bulk_event){.body = SV("{\"data\":{}}")};
    const struct json *groups = groups_of(BULK->body(&arena, events, COUNTOF(rows)));
    assert_int_equal(groups->count, 3);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        assert_int_equal(events[i].place, rows[i].place);
        assert_int_equal(events[i].group, rows[i].group);
    }
    assert_member(event_in(groups, 0, 1), "attributes.unique_id", "c");
    assert_member(event_in(groups, 1, 1), "attributes.unique_id", "a");
    assert_member(nth(groups, 2), "attributes.backfill", "true");
    assert_member(event_in(groups, 2, 0), "attributes.backfill", "true");
    assert_null(BULK->body(&arena, &events[7], 1).p);
}

static void no_more_than_it_takes(void **state) {
    (void)state;
    enum { LARGE = 700000, N = 9 };
    struct bulk_event events[N];
    struct sv properties = {arena_alloc(&arena, LARGE), LARGE};
    memset((char *)properties.p, 'x', LARGE);
    for (int i = 0; i < N; i++)
        events[i].body = arena_fmt(&arena, "{\"data\":{\"attributes\":{\"properties\":{\"a\":\"" SV_FMT "\"},\"unique_id\":\"%d\",\"profile\":{\"data\":"
                                           "{\"attributes\":{\"email\":\"%d@klaviyo-demo.com\"}}}}}}", i == 3 ? 100 : LARGE, properties.p, i, i);
    struct sv body = BULK->body(&arena, events, N);
    assert_in_range(body.n, 4 * LARGE, 5000000);
    for (int i = 0; i < N; i++)
        assert_int_equal(events[i].place, i < 8 ? BULK_IN : BULK_LATER);
    struct bulk_event too_large = {.body = arena_fmt(&arena, SV_FMT SV_FMT, SV_ARG(properties), SV_ARG(properties))};
    assert_null(BULK->body(&arena, &too_large, 1).p);
    assert_int_equal(too_large.place, BULK_ALONE);
}

#define AT(group) "{\"source\":{\"pointer\":\"/data/attributes/events-bulk-create/data/" group "\"}}"

// Four events in three groups: 0 and 2 are of the first.
static void what_an_answer_means(void **state) {
    (void)state;
    static const struct {
        long status;
        const char *errors;
        enum outcome_kind kind;
        const char *places;  // i: in, a: alone
    } rows[] = {
        {202, NULL, OUTCOME_SENT, "iiii"},
        {400, AT("0/attributes/profile/data/attributes/email"), OUTCOME_REJECT, "aiai"},
        {400, AT("1"), OUTCOME_REJECT, "iaii"},
        {400, AT("1/") "," AT("2/x"), OUTCOME_REJECT, "iaia"},
        {400, AT("2/x") ",{\"source\":{\"pointer\":\"/data\"}}", OUTCOME_REJECT, "aaaa"},
        {400, AT("2/x") ",{}", OUTCOME_REJECT, "aaaa"},
        {400, AT("1/attributes/events/data/0/attributes/unique_id"), OUTCOME_REJECT, "aaaa"},
        {400, AT("3/x"), OUTCOME_REJECT, "aaaa"},
        {400, AT("-1/x"), OUTCOME_REJECT, "aaaa"},
        {400, AT("/x"), OUTCOME_REJECT, "aaaa"},
        {400, AT("99999999999999999999/x"), OUTCOME_REJECT, "aaaa"},
        {400, "", OUTCOME_REJECT, "aaaa"},
        {409, AT("1/x"), OUTCOME_REJECT, "aaaa"},
        {413, NULL, OUTCOME_REJECT, "aaaa"},
        {404, "", OUTCOME_REJECT, "aaaa"},
        {401, "", OUTCOME_PAUSE, "iiii"},
        {429, "", OUTCOME_THROTTLED, "iiii"},
        {400, NULL, OUTCOME_RETRY, "iiii"},  // no JSON: not from Klaviyo
        {503, NULL, OUTCOME_RETRY, "iiii"},
        {0, NULL, OUTCOME_RETRY, "iiii"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct bulk_event events[5] = {{.place = BULK_IN}, {.place = BULK_IN, .group = 1}, {.place = BULK_IN}, {.place = BULK_IN, .group = 2},
                                       {.place = BULK_LATER}};
        struct answer answer = {.status = rows[i].status, .body = rows[i].errors ? arena_fmt(&arena, "{\"errors\":[%s]}", rows[i].errors) : SV("")};
        struct outcome o = BULK->outcome(&arena, &answer, NOW_MS, events, 5);
        char places[5] = "";
        for (int k = 0; k < 4; k++)
            places[k] = events[k].place == BULK_IN ? 'i' : events[k].place == BULK_ALONE ? 'a' : 'l';
        if (o.kind != rows[i].kind || strcmp(places, rows[i].places) != 0 || o.amend || events[4].place != BULK_LATER)
            fail_msg("%zu: %ld %s gives %d %s", i, rows[i].status, rows[i].errors ? rows[i].errors : "", o.kind, places);
    }
}

static void where_it_goes(void **state) {
    (void)state;
    struct shop s = shop();
    struct request request = {0};
    BULK->address(&arena, &s, &request);
    assert_true(sv_is(request.url, "https://a.klaviyo.com/api/event-bulk-create-jobs"));
    assert_true(sv_is(request.headers[0], "Authorization: Klaviyo-API-Key pk_secret"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_an_event_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_goes_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_more_than_it_takes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_an_answer_means, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_it_goes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
