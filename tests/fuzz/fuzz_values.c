// Identity, times and numbers as people write them. Input: a line with a country, then the text.
// What is in its normal form stays as it is; what is valid is what others take.
#include "base/clock.h"
#include "mapping/amount.h"
#include "mapping/content_id.h"
#include "mapping/normalise.h"
#include "mapping/rules/number.h"
#include "mapping/unicode.h"
#include "tests/fuzz/fuzz.h"

static struct sv region(struct arena *a, struct sv text) {
    return normal_region(a, text, SV("US"));
}

static struct sv zip(struct arena *a, struct sv text) {
    return normal_zip(a, text, SV("GB"));
}

static struct sv phone(struct arena *a, struct sv text) {
    return normal_phone(a, text, SV_NONE);
}

typedef struct sv normal_fn(struct arena *a, struct sv text);
static normal_fn *const normals[] = {lower_utf8, normal_email, phone, normal_name, normal_city, region, zip, normal_country, currency_upper};

// All texts come out of JSON, which is UTF-8; other bytes need only be survived.
static bool is_utf8(struct sv s) {
    uint32_t code;
    for (size_t step; (step = unicode_next(s, &code)) > 0; s = sv_sub(s, step, s.n))
        if (code > 0x10FFFF)
            return false;
    return true;
}

static void check_identity(struct arena *a, struct sv text, struct sv country) {
    bool valid = is_utf8(text);
    for (size_t i = 0; i < COUNTOF(normals); i++) {
        struct sv once = normals[i](a, text);
        CHECK(!once.p || !valid || sv_eq(normals[i](a, once), once));
    }
    struct sv number = normal_phone(a, text, country);
    CHECK(!number.p || (number.p[0] == '+' && number.n >= 8 && number.n <= 16 && sv_eq(normal_phone(a, number, SV_NONE), number)));
    struct sv named = country_named(text);
    CHECK(!named.p || (named.n == 2 && normal_country(a, named).p));
}

static void check_numbers(struct arena *a, struct sv text) {
    int64_t n, ms;
    CHECK(!amount_valid(text) || number_valid(text));
    if (number_valid(text)) {
        (void)checked_json(a, text);
        CHECK(number_compare(text, text) == 0 && (number_compare(text, SV("0")) == 0) == number_is_zero(text));
    }
    if (amount_valid(text)) {
        struct sv sum = number_plus(a, text, text), twice = amount_times(a, text, SV("2"));
        CHECK(number_compare(sum, twice) == 0 && number_valid(sum));
    }
    if (sv_i64(text, &n))
        CHECK(n >= 0 || text.p[0] == '-');
    if (time_parse(text, 0, &ms) && ms >= 0) {
        int64_t again;
        CHECK(time_parse(time_iso(a, ms), 0, &again) && again == ms / 1000 * 1000);
    }
    CHECK(!duration_parse(text, &ms) || ms >= 0);
    (void)content_id_valid(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct sv text = input_of(data, size), country = first_line(&text);
    arena_init(&a, MEMORY);
    check_identity(&a, text, country);
    check_numbers(&a, text);
    arena_free(&a);
    return 0;
}
