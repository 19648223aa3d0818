// What Klaviyo's answers say of how many requests it takes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "mapping/destination.h"

#include <string.h>

static struct quota after(const char *limit, long status, const struct quota *known) {
    struct header h = {SV("ratelimit-limit"), sv_of(limit)};
    const struct answer answer = {.status = status, .headers = {&h, limit ? 1 : 0}};
    const struct shop shop = {.klaviyo.base_url = SV("http://127.0.0.1:1")};
    return destination_klaviyo.quota(&shop, &answer, known);
}

static void check(struct quota q, size_t count, int64_t most, int64_t span_ms, int64_t next_most, int64_t next_span_ms) {
    assert_int_equal(q.count, count);
    assert_int_equal(count > 0 ? q.windows[0].most : 0, most);
    assert_int_equal(count > 0 ? q.windows[0].span_ms : 0, span_ms);
    assert_int_equal(count > 1 ? q.windows[1].most : 0, next_most);
    assert_int_equal(count > 1 ? q.windows[1].span_ms : 0, next_span_ms);
}

static void what_holds_before_the_first_answer(void **state) {
    (void)state;
    const struct quota none = {.count = 0}, own = {{{3, 1000}}, 1};
    const struct shop real = {.klaviyo.base_url = SV(KLAVIYO_URL)}, stand_in = {.klaviyo.base_url = SV("http://127.0.0.1:1")};
    check(destination_klaviyo.quota(&real, NULL, &none), 2, 350, 1000, 3500, 60000);
    check(destination_klaviyo_profile.quota(&real, NULL, &none), 2, 75, 1000, 750, 60000);
    check(destination_klaviyo_list.quota(&real, NULL, &none), 2, 75, 1000, 750, 60000);
    check(destination_klaviyo.quota(&real, NULL, &own), 1, 3, 1000, 0, 0);  // what it said before a reload
    check(destination_klaviyo.quota(&stand_in, NULL, &none), 0, 0, 0, 0, 0);
    check(destination_klaviyo.bulk->quota(&real, NULL, &none), 2, 10, 1000, 150, 60000);
    check(destination_klaviyo.bulk->quota(&stand_in, NULL, &none), 0, 0, 0, 0, 0);
    assert_null(destination_meta.quota);
}

static void what_an_answer_says(void **state) {
    (void)state;
    const struct quota none = {.count = 0}, own = {{{3, 1000}}, 1};
    check(after("75, 75;w=1, 700;w=60", 202, &none), 2, 75, 1000, 700, 60000);
    check(after("75,75;w=1,700;w=60", 202, &own), 2, 75, 1000, 700, 60000);
    check(after(" 10 ; comment=\"x\" ; w=10", 500, &own), 1, 10, 10000, 0, 0);
    check(after(NULL, 202, &none), 0, 0, 0, 0, 0);
    check(after(NULL, 202, &own), 1, 3, 1000, 0, 0);
    check(after(NULL, 429, &none), 2, 350, 1000, 3500, 60000);
    check(after(NULL, 429, &own), 1, 3, 1000, 0, 0);
}

static void what_makes_no_sense_says_nothing(void **state) {
    (void)state;
    static const char *const odd[] = {
        "", ",", ";", "75", "75;w=", "75;w=x", "x;w=1", "0;w=1", "-5;w=1", "75;w=0", "75;w=-1", "75;w=86400", "1000001;w=1",
        "99999999999999999999;w=1", "75;w=99999999999999999999", "75;v=1", "75 w=1", ";w=1", ", , ,",
    };
    const struct quota own = {{{3, 1000}}, 1};
    for (size_t i = 0; i < COUNTOF(odd); i++)
        check(after(odd[i], 202, &own), 1, 3, 1000, 0, 0);
    check(after("1;w=1, x, 2;w=2, 3;w=3, 0;w=9, 4;w=4, 5;w=5, 6;w=6", 202, &own), 4, 1, 1000, 2, 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds_before_the_first_answer), cmocka_unit_test(what_an_answer_says),
        cmocka_unit_test(what_makes_no_sense_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
