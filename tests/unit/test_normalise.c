// Identity in one spelling: e-mail, phone, names, places, click ids.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "mapping/amount.h"
#include "mapping/normalise.h"

#include <stdio.h>
#include <string.h>

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, (size_t)4 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

// A row: what goes in, what must come out; NULL: absent.
struct row {
    const char *raw, *context, *want;
};

static struct sv got_lower(struct sv raw, struct sv context) { (void)context; return lower_utf8(&arena, raw); }
static struct sv got_trim(struct sv raw, struct sv context) { (void)context; return trim_utf8(raw); }
static struct sv got_email(struct sv raw, struct sv context) { (void)context; return normal_email(&arena, raw); }
static struct sv got_phone(struct sv raw, struct sv context) { return normal_phone(&arena, raw, context); }
static struct sv got_name(struct sv raw, struct sv context) { (void)context; return normal_name(&arena, raw); }
static struct sv got_city(struct sv raw, struct sv context) { (void)context; return normal_city(&arena, raw); }
static struct sv got_region(struct sv raw, struct sv context) { return normal_region(&arena, raw, context); }
static struct sv got_zip(struct sv raw, struct sv context) { return normal_zip(&arena, raw, context); }
static struct sv got_country(struct sv raw, struct sv context) { (void)context; return normal_country(&arena, raw); }

static void check(const char *what, const struct row *rows, size_t n, struct sv (*got)(struct sv raw, struct sv context)) {
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        struct sv is = got(sv_of(rows[i].raw), sv_of(rows[i].context));
        if (sv_eq(is, sv_of(rows[i].want)))
            continue;
        print_error("%s row %zu: \"%s\" gives \"" SV_FMT "\", not \"%s\"\n", what, i, rows[i].raw ? rows[i].raw : "(absent)",
                    SV_ARG(is), rows[i].want ? rows[i].want : "(absent)");
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void test_lower(void **state) {
    (void)state;
    static const struct row rows[] = {
        {NULL, NULL, NULL},
        {"", NULL, ""},
        {"ABC xyz 09", NULL, "abc xyz 09"},
        {"VALÉRY MÜLLER ŁÓDŹ ŠÏŒÆ", NULL, "valéry müller łódź šïœæ"},
        {"ÎÞßẞ", NULL, "îþßß"},
        {"ДМИТРИЙ ЁЖ Ї Ѓ", NULL, "дмитрий ёж ї ѓ"},
        {"ΝΙΚΟΛΑΟΣ", NULL, "νικολαος"},
        {"ΣΟΦΙΑ ΠΑΠΑΔΑΚΗΣ, ΑΣ'Β", NULL, "σοφια παπαδακης, ασ'β"},
        {"Σ", NULL, "σ"},
        {"ΑΣ.", NULL, "ας."},
        {"İSTANBUL", NULL, "i̇stanbul"},
        {"Iğdır", NULL, "iğdır"},
        {"ՀԱՅԿ", NULL, "հայկ"},
        {"ႠႡ ᲐᲑ Ꭰ", NULL, "ⴀⴁ აბ ꭰ"},
        {"ȺȾ", NULL, "ⱥⱦ"},
        {"ǅ Ǆ", NULL, "ǆ ǆ"},
        {"東京 정 محمد", NULL, "東京 정 محمد"},
        {"𐐀", NULL, "𐐨"},
        {"A\xFF\xC3Z\xE2\x82", NULL, "a\xFF\xC3z\xE2\x82"},
        {"\xC0\x80\xED\xA0\x80Q", NULL, "\xC0\x80\xED\xA0\x80q"},
    };
    check("lower", rows, COUNTOF(rows), got_lower);
}

static void test_trim(void **state) {
    (void)state;
    static const struct row rows[] = {
        {NULL, NULL, NULL},
        {" \t\r\n\v\f a b \n", NULL, "a b"},
        {"\u00A0\u1680\u2000\u200A\u2028\u2029\u202F\u205F\u3000\uFEFFx\uFEFF\u00A0", NULL, "x"},
        {"\u200Bx\xC2\x85", NULL, "\u200Bx\xC2\x85"},
        {"   ", NULL, ""},
    };
    check("trim", rows, COUNTOF(rows), got_trim);
}

static void test_email(void **state) {
    (void)state;
    static const struct row rows[] = {
        {NULL, NULL, NULL},
        {"", NULL, NULL},
        {"  John_Smith@Gmail.COM ", NULL, "john_smith@gmail.com"},
        {"a.b+tag@mail.example.co.uk", NULL, "a.b+tag@mail.example.co.uk"},
        {"o'hara@x-y.io", NULL, "o'hara@x-y.io"},
        {"ava smith@x.com", NULL, NULL},
        {"ava@", NULL, NULL},
        {"@x.com", NULL, NULL},
        {"ava@x", NULL, NULL},
        {"ava@x.c", NULL, NULL},
        {"ava@x.123", NULL, NULL},
        {"ava@127.0.0.1", NULL, NULL},
        {"ava@@x.com", NULL, NULL},
        {"a..b@x.com", NULL, NULL},
        {".a@x.com", NULL, NULL},
        {"a.@x.com", NULL, NULL},
        {"a@-x.com", NULL, NULL},
        {"a@x-.com", NULL, NULL},
        {"a@x..com", NULL, NULL},
        {"a@x.com.", NULL, NULL},
        {"jürgen@x.de", NULL, NULL},
        {"a@müller.de", NULL, NULL},
        {"a@xn--mller-kva.de", NULL, "a@xn--mller-kva.de"},
        {"a@x.com,b@y.com", NULL, NULL},
        {"a@x.com\nBcc: b@y.com", NULL, NULL},
        {"<a@x.com>", NULL, NULL},
        {"1234567890123456789012345678901234567890123456789012345678901234@x.com", NULL,
         "1234567890123456789012345678901234567890123456789012345678901234@x.com"},
        {"12345678901234567890123456789012345678901234567890123456789012345@x.com", NULL, NULL},
    };
    check("email", rows, COUNTOF(rows), got_email);
}

static void test_phone(void **state) {
    (void)state;
    static const struct row rows[] = {
        {NULL, "DE", NULL},
        {"", "DE", NULL},
        {"+1 (650) 555-1212", NULL, "+16505551212"},
        {"+1 650 555 1212", "DE", "+16505551212"},
        {"(650) 555-1212", "US", "+16505551212"},
        {"1 650 555 1212", "us", "+16505551212"},
        {"650.555.1212 ext. 12", "CA", "+16505551212"},
        {"650-555-1212 x99", "US", "+16505551212"},
        {"+16505551212;ext=5", NULL, "+16505551212"},
        {"0015555551212", NULL, "+15555551212"},
        {"0151 123 45678", "DE", "+4915112345678"},
        {"0151/12345678", "de", "+4915112345678"},
        {"4915112345678", "DE", "+4915112345678"},
        {"0049 151 12345678", NULL, "+4915112345678"},
        {"+49 (0)151 12345678", NULL, "+4915112345678"},
        {"+49 0151 12345678", "FR", "+4915112345678"},
        {"+490015112345678", NULL, "+4915112345678"},
        {"07911 123456", "GB", "+447911123456"},
        {"07911 123456", "UK", "+447911123456"},
        {"06 12 34 56 78", "FR", "+33612345678"},
        {"33612345678", "FR", "+33612345678"},
        {"06 1234 5678", "IT", "+390612345678"},
        {"+39 06 1234 5678", NULL, "+390612345678"},
        {"347 123 4567", "IT", "+393471234567"},
        {"8 (916) 123-45-67", "RU", "+79161234567"},
        {"812 123-45-67", "RU", "+78121234567"},
        {"06 30 123 4567", "HU", "+36301234567"},
        {"8 029 123 45 67", "BY", "+375291234567"},
        {"07 01 02 03 04", "CI", "+2250701020304"},
        {"55 99999-9999", "BR", "+5555999999999"},
        {"11 98765-4321", "BR", "+5511987654321"},
        {"090-1234-5678", "JP", "+819012345678"},
        {"612 345 678", "ES", "+34612345678"},
        {"045 123 456", "XK", "+38345123456"},
        {"0151 12345678", NULL, NULL},
        {"0151 12345678", "ZZ", NULL},
        {"1-800-FLOWERS", "US", NULL},
        {"1-800-FLOWERS", NULL, NULL},
        {"+49", NULL, NULL},
        {"+123456", NULL, NULL},
        {"+1234567890123456", NULL, NULL},
        {"12345678901234567890", "US", NULL},
        {"not a number", "US", NULL},
        {"x12", "US", NULL},
    };
    check("phone", rows, COUNTOF(rows), got_phone);
}

static void test_names(void **state) {
    (void)state;
    static const struct row rows[] = {
        {NULL, NULL, NULL},
        {" Mary ", NULL, "mary"},
        {"Mary Ann", NULL, "maryann"},
        {"O'Connor-Smith", NULL, "oconnorsmith"},
        {"Dr. Ava", NULL, "drava"},
        {"VALÉRY", NULL, "valéry"},
        {"정", NULL, "정"},
        {"O’Neil", NULL, "o’neil"},
        {"Ana\u00A0María", NULL, "anamaría"},
        {"...", NULL, NULL},
        {" ", NULL, NULL},
    };
    check("name", rows, COUNTOF(rows), got_name);
}

static void test_places(void **state) {
    (void)state;
    static const struct row cities[] = {
        {"Menlo Park", NULL, "menlopark"}, {"San Francisco, CA", NULL, "sanfranciscoca"}, {"München", NULL, "münchen"},
        {"São Paulo", NULL, "sãopaulo"}, {"Coeur d'Alene", NULL, "coeurdalene"}, {"L’Aquila", NULL, "laquila"},
        {"12345", NULL, NULL}, {"10115 Berlin", NULL, "berlin"}, {"東京", NULL, "東京"}, {NULL, NULL, NULL}, {"-", NULL, NULL},
    };
    static const struct row states[] = {
        {"CA", "US", "ca"}, {"California", "US", "ca"}, {"new york", "us", "ny"}, {"District of Columbia", NULL, "dc"},
        {"California", "DE", "california"}, {"Québec", "CA", "qc"}, {"Quebec", "CA", "qc"}, {"Ontario", "US", "ontario"},
        {"BE", "DE", "be"}, {"Bayern", "DE", "bayern"}, {"NSW", "AU", "nsw"}, {"12", "FR", NULL}, {NULL, NULL, NULL},
    };
    static const struct row zips[] = {
        {"94035", "US", "94035"}, {"94035-1234", "US", "94035"}, {"94035 1234", "US", "94035"}, {"940351234", "US", "94035"},
        {"M1 1AE", "GB", "m11ae"}, {"10115", "DE", "10115"}, {"00-950", "PL", "00"}, {"K1A 0B1", "CA", "k1a0b1"},
        {"1", "DE", NULL}, {"", "DE", NULL}, {NULL, "DE", NULL},
    };
    static const struct row countries[] = {
        {"US", NULL, "us"}, {" de ", NULL, "de"}, {"UK", NULL, "gb"}, {"uk", NULL, "gb"}, {"XK", NULL, "xk"}, {"USA", NULL, "us"},
        {" germany ", NULL, "de"}, {"Côte d'Ivoire", NULL, "ci"}, {"Germanys", NULL, NULL}, {"Atlantis", NULL, NULL}, {"ZZ", NULL, NULL}, {"", NULL, NULL}, {NULL, NULL, NULL},
    };
    check("city", cities, COUNTOF(cities), got_city);
    check("region", states, COUNTOF(states), got_region);
    check("zip", zips, COUNTOF(zips), got_zip);
    check("country", countries, COUNTOF(countries), got_country);
}

// The SHA-256 values that Meta's documentation prints, from its spellings before normalisation.
static void test_documented_hashes(void **state) {
    (void)state;
    static const struct {
        struct sv (*got)(struct sv raw, struct sv context);
        const char *raw, *context, *want;
    } rows[] = {
        {got_email, "John_Smith@gmail.com", NULL, "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"},
        {got_name, "Mary", NULL, "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"},
        {got_name, "정", NULL, "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"},
        {got_name, "Valéry", NULL, "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct digest digest = sha256(rows[i].got(sv_of(rows[i].raw), sv_of(rows[i].context)));
        assert_string_equal(hex_of(&arena, digest.b, SHA256_LEN).p, rows[i].want);
    }
}

#define EVENT_MS INT64_C(1763719200000)

static void test_click_ids(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"fb.1.1763719200000.1116446470", true},
        {"fb.0.1763719200000.x", true},
        {"fb.2.1763719200000.IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB_qa2ofrHyiLjcbCRxTDMgk", true},
        {"fb.1.1763719200000.abc.AQ", true},
        {"fb.1.1763719200000.abc.Bg", true},
        {"fb.1.1763719200000.abc.AQQAAQMC", true},
        {"fb.1.1763719200000.abc.AQQA?QMC", false},
        {"fb.1.1763719200000.abc.XX", false},
        {"fb.1.1763719200000.abc.", false},
        {"fb.1.1763719200000.abc.AQ.AQ", false},
        {"fb.1.1763719200000.", false},
        {"fb.1.1763719200000", false},
        {"fb.1..abc", false},
        {"fb.1.17x3.abc", false},
        {"fb.-1.1763719200000.abc", false},
        {"fb.1.-1763719200000.abc", false},
        {"fb.x.1763719200000.abc", false},
        {"FB.1.1763719200000.abc", false},
        {"fb.1.1763719200000.a b", false},
        {"fb.1.1763719200000.a\"b", false},
        {"fb.1.99999999999999999999.abc", false},
        {"", false},
        {NULL, false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        if (valid_fbp(sv_of(rows[i].text)) != rows[i].valid)
            fail_msg("row %zu: %s", i, rows[i].text ? rows[i].text : "(absent)");
        assert_int_equal(valid_fbc(sv_of(rows[i].text), EVENT_MS), rows[i].valid);
    }
    struct sv fbc = SV("fb.1.1763719200000.abc");
    assert_false(valid_fbc(fbc, EVENT_MS - 1));
    assert_true(valid_fbc(fbc, EVENT_MS + DAYS_MS(90)));
    assert_false(valid_fbc(fbc, EVENT_MS + DAYS_MS(90) + 1));
}

static void test_fbc_from_url(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"/?fbclid=IwAR2_aB-c", NULL, "fb.1.1763719200000.IwAR2_aB-c"},
        {"https://shop.example/p?utm_source=fb&fbclid=PAaB%2Bx&x=1#f", NULL, "fb.1.1763719200000.PAaB%2Bx"},
        {"/p?fbclid=abc#fbclid=def", NULL, "fb.1.1763719200000.abc"},
        {"/p?x=1", NULL, NULL},
        {"/p?FBCLID=abc", NULL, NULL},
        {"/p?xfbclid=abc", NULL, NULL},
        {"/p?fbclid=", NULL, NULL},
        {"/p?fbclid=a b", NULL, NULL},
        {"/p?fbclid=a.b", NULL, NULL},
        {"/p#?fbclid=abc", NULL, NULL},
        {"fbclid=abc", NULL, NULL},
        {"", NULL, NULL},
        {NULL, NULL, NULL},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct sv is = fbc_from_url(&arena, sv_of(rows[i].raw), EVENT_MS);
        if (!sv_eq(is, sv_of(rows[i].want)))
            fail_msg("row %zu gives " SV_FMT, i, SV_ARG(is));
    }
    assert_null(fbc_from_url(&arena, SV("/?fbclid=abc"), 0).p);
}

static void test_amounts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool valid, zero;
    } rows[] = {
        {"129.95", true, false}, {"0", true, true}, {"0.00", true, true}, {"12", true, false}, {"1299999999999.999", true, false},
        {"-1", false, false}, {"1,299.00", false, false}, {"01.5", false, false}, {".5", false, false}, {"5.", false, false},
        {"1e3", false, false}, {" 1", false, false}, {"1.2.3", false, false}, {"", false, false}, {NULL, false, false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        assert_int_equal(amount_valid(sv_of(rows[i].text)), rows[i].valid);
        assert_int_equal(amount_is_zero(sv_of(rows[i].text)), rows[i].zero);
    }
    static const struct row products[] = {
        {"129.95", "2", "259.90"}, {"0.10", "3", "0.30"}, {"19.99", "100", "1999.00"}, {"7", "8", "56"}, {"99999999999.99", "999999999", "99999999899990000000.01"},
        {"1.50", "0", "0.00"}, {"9", "0", "0"}, {"0.333", "3", "0.999"}, {"1.5", "1.5", NULL}, {"1.5", "-1", NULL}, {"x", "2", NULL}, {NULL, "1", NULL},
    };
    for (size_t i = 0; i < COUNTOF(products); i++) {
        struct sv is = amount_times(&arena, sv_of(products[i].raw), sv_of(products[i].context));
        if (!sv_eq(is, sv_of(products[i].want)))
            fail_msg("%s times %s gives " SV_FMT, products[i].raw, products[i].context, SV_ARG(is));
    }
    assert_true(sv_is(currency_upper(&arena, SV(" eur")), "EUR"));
    assert_null(currency_upper(&arena, SV("US$")).p);
    assert_null(currency_upper(&arena, SV_NONE).p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_email),
        cmocka_unit_test(test_phone),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_documented_hashes),
        cmocka_unit_test(test_click_ids),
        cmocka_unit_test(test_fbc_from_url),
        cmocka_unit_test(test_amounts),
    };
    return cmocka_run_group_tests_name("normalise", tests, setup, teardown);
}
