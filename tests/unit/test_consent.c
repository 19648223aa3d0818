// Consent: what the signals say, and the decision per destination.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mapping/consent.h"
#include "mapping/rules/rules.h"

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, (size_t)1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

#define U CONSENT_UNKNOWN
#define G CONSENT_GRANTED
#define D CONSENT_DENIED

static void test_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool readable;
        enum consent_state marketing, analytics;
        bool opt_out;
    } rows[] = {
        {"granted", true, G, G, false},
        {" Denied\n", true, D, D, false},
        {"G111", true, G, G, false},
        {"G110", true, G, D, false},
        {"G101", true, D, G, false},
        {"G1--", true, U, U, false},
        {"G1-1", true, U, G, false},
        {"G112", false, U, U, false},
        {"G11", false, U, U, false},
        {"G211", false, U, U, false},
        {"C0001:1,C0002:0,C0003:1,C0004:1", true, G, D, false},
        {"C0002:1, C0004:0", true, D, G, false},
        {"C0001:1", true, U, U, false},
        {"C0004:1,rubbish", false, U, U, false},
        {"C0004:2", false, U, U, false},
        {"C0004:1,", false, U, U, false},
        {"{\"marketing\":\"granted\",\"analytics\":\"denied\"}", true, G, D, false},
        {"{\"marketing\":\"denied\"}", true, D, U, false},
        {"{\"onetrust\":\"C0002:1,C0004:0\"}", true, D, G, false},
        {"{\"gcs\":\"G110\"}", true, G, D, false},
        {"{\"gpc\":true}", true, U, U, true},
        {"{\"gpc\":false}", false, U, U, false},
        {"{\"consent\":{\"marketing\":\"granted\"},\"gpc\":true,\"cart_token\":\"c1\"}", true, G, U, true},
        {"{\"consent\":{\"gcs\":\"G101\"}}", true, D, G, false},
        {"{\"consent\":\"denied\"}", true, D, D, false},
        {"{\"consent\":\"\\u0047111\"}", true, G, G, false},
        {"{\"marketing\":true,\"analytics\":false}", true, G, D, false},
        {"{\"consent\":false}", true, D, D, false},
        {"{\"consent\":true,\"gpc\":true}", true, G, G, true},
        {"{\"marketing\":\"no\"}", true, D, U, false},
        {"{\"marketing\":0}", true, D, U, false},
        {"{\"consent\":{\"saleOfDataAllowed\":true},\"gpc\":true}", true, U, U, true},  // Global Privacy Control is on now
        {"{\"saleOfDataAllowed\":false,\"sale_of_data\":\"yes\"}", true, U, U, true},
        {"C0001%3A1%2CC0004%3A0", true, D, U, false},
        {"%7B%22marketing%22%3A%22granted%22%7D", true, G, U, false},
        {"C0004%3", false, U, U, false},
        {"{\"onetrust\":\"C0004%3A0\"}", true, D, U, false},
        {"{\"consent\":\"C0004%3A0\"}", true, D, U, false},
        {"{\"consent\":\"{\\\"marketing\\\":\\\"denied\\\"}\"}", true, D, U, false},
        {"C0004%zz0", false, U, U, false},
        {"{\"marketing\":\"granted\"", false, U, U, false},
        {"{}", false, U, U, false},
        {"yes", true, G, G, false},
        {"True", true, G, G, false},
        {"1", true, G, G, false},
        {"no", true, D, D, false},
        {"False", true, D, D, false},
        {"0", true, D, D, false},
        {"2", false, U, U, false},
        {"maybe", false, U, U, false},
        {"", false, U, U, false},
        {NULL, false, U, U, false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct consent consent = {0};
        bool readable = consent_read(&arena, sv_of(rows[i].text), &consent);
        if (readable != rows[i].readable || consent.marketing != rows[i].marketing || consent.analytics != rows[i].analytics ||
            consent.opt_out_of_sale != rows[i].opt_out)
            fail_msg("row %zu: %s", i, rows[i].text ? rows[i].text : "(absent)");
    }
}

static void test_later_signal_wins_field_by_field(void **state) {
    (void)state;
    struct consent consent = {.marketing = CONSENT_GRANTED, .analytics = CONSENT_GRANTED};
    assert_true(consent_read(&arena, SV("C0004:0"), &consent));
    assert_int_equal(consent.marketing, CONSENT_DENIED);
    assert_int_equal(consent.analytics, CONSENT_GRANTED);
    assert_false(consent_read(&arena, SV("rubbish"), &consent));
    assert_int_equal(consent.marketing, CONSENT_DENIED);
    assert_true(consent_read(&arena, SV("G1-0"), &consent));
    assert_int_equal(consent.marketing, CONSENT_DENIED);
    assert_int_equal(consent.analytics, CONSENT_DENIED);
}

// Said in so many words, the newest counts; what merely is not said lifts nothing.
static void test_newest_word_on_sale(void **state) {
    (void)state;
    static const struct {
        const char *first, *then;
        bool opt_out;
    } rows[] = {
        {"{\"saleOfDataAllowed\":false}", "{\"saleOfDataAllowed\":true}", false},
        {"{\"gpc\":true}", "{\"sale_of_data\":\"yes\"}", false},
        {"{\"gpc\":true}", "{\"gpc\":false}", true},
        {"{\"gpc\":true}", "{\"sale_of_data\":\"\"}", true},
        {"{\"gpc\":true}", "granted", true},
        {"{\"saleOfDataAllowed\":true}", "{\"gpc\":true}", true},
        {"{\"saleOfDataAllowed\":true}", "granted", false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct consent consent = {0};
        assert_true(consent_read(&arena, sv_of(rows[i].first), &consent));
        (void)consent_read(&arena, sv_of(rows[i].then), &consent);
        if (consent.opt_out_of_sale != rows[i].opt_out || !consent_told(&consent))
            fail_msg("row %zu", i);
    }
}

static void test_refusal_wins_of_two(void **state) {
    (void)state;
    struct consent consent = {.marketing = G, .analytics = D, .sale_allowed = true};
    consent_tighten(&consent, (struct consent){.marketing = D, .analytics = G, .opt_out_of_sale = true});
    assert_true(consent.marketing == D && consent.analytics == D && consent.opt_out_of_sale && !consent.sale_allowed);
    consent_tighten(&consent, (struct consent){0});
    assert_true(consent.marketing == D && consent.analytics == D && consent.opt_out_of_sale);
    consent = (struct consent){0};
    consent_tighten(&consent, (struct consent){.marketing = G, .sale_allowed = true});
    assert_true(consent.marketing == G && consent.analytics == U && consent.sale_allowed);
}

static void test_allows(void **state) {
    (void)state;
    static const struct {
        enum consent_purpose purpose;
        enum consent_unknown unknown;
        enum consent_state marketing, analytics;
        bool opt_out;
        const char *country, *reason;  // reason NULL: allowed
    } rows[] = {
        {CONSENT_FOR_NOTHING, UNKNOWN_DENY, D, D, true, "DE", NULL},
        {CONSENT_FOR_MARKETING, UNKNOWN_DENY, G, D, false, "DE", NULL},
        {CONSENT_FOR_MARKETING, UNKNOWN_ALLOW, D, G, false, "US", "consent denied"},
        {CONSENT_FOR_ANALYTICS, UNKNOWN_ALLOW, G, D, false, "US", "consent denied"},
        {CONSENT_FOR_ANALYTICS, UNKNOWN_ALLOW, D, G, true, "US", NULL},
        {CONSENT_FOR_MARKETING, UNKNOWN_ALLOW, G, G, true, "US", "opted out of sale and sharing"},
        {CONSENT_FOR_MARKETING, UNKNOWN_ALLOW, U, G, false, "DE", NULL},
        {CONSENT_FOR_MARKETING, UNKNOWN_DENY, U, G, false, "US", "consent unknown"},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, G, false, "DE", "consent unknown in DE"},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, " fr", "consent unknown in FR"},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, "GB", "consent unknown in GB"},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, "UK", "consent unknown in GB"},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, "CH", "consent unknown in CH"},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, "NO", "consent unknown in NO"},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, "LI", "consent unknown in LI"},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, "IS", "consent unknown in IS"},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, "US", NULL},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, "TR", NULL},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, NULL, NULL},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, "Germany", "consent unknown in DE"},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, U, U, false, "Atlantis", NULL},
        {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, G, U, false, "DE", NULL},
        {CONSENT_FOR_ANALYTICS, UNKNOWN_BY_REGION, G, U, false, "AT", "consent unknown in AT"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct consent_policy policy = {rows[i].purpose, rows[i].unknown, OPT_OUT_SKIP};
        struct event event = {.consent = {rows[i].marketing, rows[i].analytics, rows[i].opt_out}, .user.country = sv_of(rows[i].country)};
        struct sv reason = SV_NONE;
        bool allowed = consent_allows(&arena, &policy, NULL, &event, &reason);
        if (allowed != !rows[i].reason || (!allowed && !sv_is(reason, rows[i].reason)))
            fail_msg("row %zu: %d " SV_FMT, i, allowed, SV_ARG(reason));
    }
}

// What goes to Meta is shared with Meta, whatever the shop sends it for: the opt-out counts there before the purpose is looked at.
static void test_opt_out_whatever_the_purpose(void **state) {
    (void)state;
    static const struct {
        bool sale;
        enum consent_opt_out opt_out;
        const char *marketing, *analytics, *nothing;  // for which purpose: y allowed, o opted out, d denied
    } rows[] = {  // of who opted out, and granted | denied both purposes
        {true, OPT_OUT_SKIP, "oo", "oo", "oo"}, {true, OPT_OUT_LIMITED, "yd", "yd", "yy"},
        {true, OPT_OUT_BY_REGION, "oo", "oo", "oo"}, {false, OPT_OUT_SKIP, "oo", "yd", "yy"}, {false, OPT_OUT_LIMITED, "yd", "yd", "yy"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        for (int purpose = CONSENT_FOR_NOTHING; purpose <= CONSENT_FOR_ANALYTICS; purpose++)
            for (size_t denied = 0; denied < 2; denied++)
                for (size_t by_rule = 0; by_rule < 2; by_rule++) {
                    const char *want = purpose == CONSENT_FOR_NOTHING ? rows[i].nothing : purpose == CONSENT_FOR_MARKETING ? rows[i].marketing : rows[i].analytics;
                    enum consent_state signal = denied ? D : G;
                    struct rule_part part = {.has_consent = by_rule, .consent = (enum consent_purpose)purpose};
                    struct consent_policy policy = {by_rule ? CONSENT_FOR_MARKETING : (enum consent_purpose)purpose, UNKNOWN_DENY, rows[i].opt_out};
                    struct event event = {.consent = {signal, signal, true, false}};
                    struct sv reason = SV("y");
                    (void)(rows[i].sale ? consent_allows_sale : consent_allows)(&arena, &policy, &part, &event, &reason);
                    char is = sv_starts(reason, SV("opted out")) ? 'o' : sv_is(reason, "consent denied") ? 'd' : reason.p[0];
                    if (is != want[denied])
                        fail_msg("row %zu, purpose %d, denied %zu, by rule %zu: %c", i, purpose, denied, by_rule, is);
                }
}

// A rule may ask for another purpose than the shop's policy; what unknown means stays the shop's.
static void test_purpose_of_the_rule(void **state) {
    (void)state;
    static const struct {
        struct rule_part part;
        struct consent_policy policy;
        const char *reason;
    } rows[] = {
        {{.has_consent = false}, {CONSENT_FOR_MARKETING, UNKNOWN_ALLOW, OPT_OUT_SKIP}, "consent denied"},
        {{.has_consent = true, .consent = CONSENT_FOR_NOTHING}, {CONSENT_FOR_MARKETING, UNKNOWN_ALLOW, OPT_OUT_SKIP}, NULL},
        {{.has_consent = true, .consent = CONSENT_FOR_MARKETING}, {CONSENT_FOR_NOTHING, UNKNOWN_ALLOW, OPT_OUT_SKIP}, "consent denied"},
        {{.has_consent = true, .consent = CONSENT_FOR_ANALYTICS}, {CONSENT_FOR_MARKETING, UNKNOWN_ALLOW, OPT_OUT_SKIP}, NULL},
        {{.has_consent = true, .consent = CONSENT_FOR_ANALYTICS}, {CONSENT_FOR_MARKETING, UNKNOWN_DENY, OPT_OUT_SKIP}, "consent unknown"},
    };
    struct event event = {.consent = {.marketing = CONSENT_DENIED}};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct sv reason = SV_NONE;
        bool allowed = consent_allows(&arena, &rows[i].policy, &rows[i].part, &event, &reason);
        if (allowed != !rows[i].reason || (!allowed && !sv_is(reason, rows[i].reason)))
            fail_msg("row %zu: %d " SV_FMT, i, allowed, SV_ARG(reason));
    }
}

// All 27 members of the EU, and the three of the EEA beside them.
static void test_whole_eea(void **state) {
    (void)state;
    static const char codes[] = "ATBEBGHRCYCZDKEEFIFRDEGRHUIEITLVLTLUMTNLPLPTROSKSIESSEISLINO";
    struct consent_policy policy = {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, OPT_OUT_SKIP};
    assert_int_equal(sizeof codes - 1, 60);
    for (size_t i = 0; i + 1 < sizeof codes; i += 2) {
        struct event event = {.user.country = {codes + i, 2}};
        struct sv reason;
        assert_false(consent_allows(&arena, &policy, NULL, &event, &reason));
    }
}

// The region comes from the country, and from the locale only where no country is known.
static void test_region_of_the_locale(void **state) {
    (void)state;
    static const struct {
        const char *country, *locale, *reason;
    } rows[] = {
        {NULL, "de-DE", "consent unknown in DE"},
        {NULL, "de_AT", "consent unknown in AT"},
        {NULL, "sr-Latn-SI", "consent unknown in SI"},
        {NULL, "en-gb", "consent unknown in GB"},
        {NULL, "en-US", NULL},
        {NULL, "de", "consent unknown of who speaks de"},
        {NULL, "FR", "consent unknown of who speaks fr"},
        {NULL, "nb-Latn", "consent unknown of who speaks nb"},
        {"Atlantis", "it", "consent unknown of who speaks it"},
        {"CA", "fr", NULL},
        {NULL, "fr-CA", NULL},
        {NULL, "en", NULL},
        {NULL, "es", NULL},
        {NULL, "pt", NULL},
        {NULL, "tr", NULL},
        {NULL, "deu", NULL},
        {NULL, "-", NULL},
        {NULL, "de-", "consent unknown of who speaks de"},
        {NULL, "", NULL},
        {"US", "de-DE", NULL},
        {"DE", "en-US", "consent unknown in DE"},
        {"Atlantis", "fr-FR", "consent unknown in FR"},
    };
    struct consent_policy policy = {CONSENT_FOR_MARKETING, UNKNOWN_BY_REGION, OPT_OUT_SKIP};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event event = {.user = {.country = sv_of(rows[i].country), .locale = sv_of(rows[i].locale)}};
        struct sv reason = SV_NONE;
        bool allowed = consent_allows(&arena, &policy, NULL, &event, &reason);
        if (allowed != !rows[i].reason || (!allowed && !sv_is(reason, rows[i].reason)))
            fail_msg("row %zu: %d " SV_FMT, i, allowed, SV_ARG(reason));
    }
}

// The whole truth: every signal, region and policy. A letter for each region (none, US, DE, GB, CH): y allowed; o opted out; d denied;
// u unknown; r unknown in that region. Rows: what the signal for the purpose says and the opt-out; columns: unknown allow, deny, region.
static const struct truth {
    enum consent_state signal;
    bool opt_out;
    enum consent_opt_out policy;
    const char *marketing[3], *analytics[3];
} truth[] = {
    {U, false, OPT_OUT_SKIP, {"yyyyy", "uuuuu", "yyrrr"}, {"yyyyy", "uuuuu", "yyrrr"}},
    {G, false, OPT_OUT_SKIP, {"yyyyy", "yyyyy", "yyyyy"}, {"yyyyy", "yyyyy", "yyyyy"}},
    {D, false, OPT_OUT_SKIP, {"ddddd", "ddddd", "ddddd"}, {"ddddd", "ddddd", "ddddd"}},
    {U, true, OPT_OUT_SKIP, {"ooooo", "ooooo", "ooooo"}, {"yyyyy", "uuuuu", "yyrrr"}},
    {G, true, OPT_OUT_SKIP, {"ooooo", "ooooo", "ooooo"}, {"yyyyy", "yyyyy", "yyyyy"}},
    {D, true, OPT_OUT_SKIP, {"ooooo", "ooooo", "ooooo"}, {"ddddd", "ddddd", "ddddd"}},
    {U, false, OPT_OUT_LIMITED, {"yyyyy", "uuuuu", "yyrrr"}, {"yyyyy", "uuuuu", "yyrrr"}},
    {G, false, OPT_OUT_LIMITED, {"yyyyy", "yyyyy", "yyyyy"}, {"yyyyy", "yyyyy", "yyyyy"}},
    {D, false, OPT_OUT_LIMITED, {"ddddd", "ddddd", "ddddd"}, {"ddddd", "ddddd", "ddddd"}},
    {U, true, OPT_OUT_LIMITED, {"yyyyy", "uuuuu", "yyrrr"}, {"yyyyy", "uuuuu", "yyrrr"}},
    {G, true, OPT_OUT_LIMITED, {"yyyyy", "yyyyy", "yyyyy"}, {"yyyyy", "yyyyy", "yyyyy"}},
    {D, true, OPT_OUT_LIMITED, {"ddddd", "ddddd", "ddddd"}, {"ddddd", "ddddd", "ddddd"}},
    {U, false, OPT_OUT_BY_REGION, {"yyyyy", "uuuuu", "yyrrr"}, {"yyyyy", "uuuuu", "yyrrr"}},
    {G, false, OPT_OUT_BY_REGION, {"yyyyy", "yyyyy", "yyyyy"}, {"yyyyy", "yyyyy", "yyyyy"}},
    {D, false, OPT_OUT_BY_REGION, {"ddddd", "ddddd", "ddddd"}, {"ddddd", "ddddd", "ddddd"}},
    {U, true, OPT_OUT_BY_REGION, {"oyooo", "ouooo", "oyooo"}, {"yyyyy", "uuuuu", "yyrrr"}},
    {G, true, OPT_OUT_BY_REGION, {"oyooo", "oyooo", "oyooo"}, {"yyyyy", "yyyyy", "yyyyy"}},
    {D, true, OPT_OUT_BY_REGION, {"odooo", "odooo", "odooo"}, {"ddddd", "ddddd", "ddddd"}},
};

static const char *const truth_regions[] = {NULL, "US", "DE", "GB", "CH"};

static char verdict_of(const struct truth *t, enum consent_purpose purpose, enum consent_unknown unknown, enum consent_state other, const char *country) {
    struct consent consent = {.marketing = t->signal, .analytics = other, .opt_out_of_sale = t->opt_out};
    if (purpose == CONSENT_FOR_ANALYTICS)
        consent = (struct consent){.marketing = other, .analytics = t->signal, .opt_out_of_sale = t->opt_out};
    struct consent_policy policy = {purpose, unknown, t->policy};
    struct event event = {.consent = consent, .user = {.country = sv_of(country), .ip = SV("203.0.113.7")}};
    struct sv reason = SV_NONE;
    if (consent_allows(&arena, &policy, NULL, &event, &reason))
        return 'y';
    if (sv_starts(reason, SV("consent unknown in ")))
        return country && sv_ends(reason, sv_of(country)) ? 'r' : '?';
    return sv_is(reason, "consent unknown") ? 'u' : sv_is(reason, "consent denied") ? 'd' : sv_is(reason, "opted out of sale and sharing") ? 'o' : '?';
}

static void test_truth_table(void **state) {
    (void)state;
    static const enum consent_unknown unknowns[] = {UNKNOWN_ALLOW, UNKNOWN_DENY, UNKNOWN_BY_REGION};
    size_t asked = 0;
    for (size_t row = 0; row < COUNTOF(truth); row++)
        for (size_t u = 0; u < COUNTOF(unknowns); u++)
            for (size_t region = 0; region < COUNTOF(truth_regions); region++)
                for (int other = CONSENT_UNKNOWN; other <= CONSENT_DENIED; other++, asked++) {
                    const char *country = truth_regions[region];
                    char marketing = verdict_of(&truth[row], CONSENT_FOR_MARKETING, unknowns[u], (enum consent_state)other, country);
                    char analytics = verdict_of(&truth[row], CONSENT_FOR_ANALYTICS, unknowns[u], (enum consent_state)other, country);
                    char nothing = verdict_of(&truth[row], CONSENT_FOR_NOTHING, unknowns[u], (enum consent_state)other, country);
                    if (marketing != truth[row].marketing[u][region] || analytics != truth[row].analytics[u][region] || nothing != 'y')
                        fail_msg("row %zu, policy %zu, %s: %c %c %c", row, u, country ? country : "nowhere", marketing, analytics, nothing);
                }
    assert_int_equal(asked, 18 * 3 * 5 * 3);
}

// Where Meta would ignore it, limited data use limits nothing.
static void test_limited_use_where_it_works(void **state) {
    (void)state;
    static const struct {
        const char *country, *region, *ip;
        bool sent;
    } rows[] = {
        {"US", "CA", NULL, true}, {"United States", "Texas", "203.0.113.7", true}, {"US", "NY", "203.0.113.7", false}, {"US", NULL, "203.0.113.7", true},
        {"US", NULL, NULL, false}, {"DE", NULL, "203.0.113.7", false}, {NULL, NULL, "203.0.113.7", false}, {NULL, "CA", NULL, false}, {"CA", "ON", NULL, false},
    };
    struct consent_policy policy = {CONSENT_FOR_MARKETING, UNKNOWN_ALLOW, OPT_OUT_BY_REGION};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct event event = {.consent.opt_out_of_sale = true,
                              .user = {.country = sv_of(rows[i].country), .region = sv_of(rows[i].region), .ip = sv_of(rows[i].ip)}};
        struct sv reason = SV_NONE;
        if (consent_allows(&arena, &policy, NULL, &event, &reason) != rows[i].sent)
            fail_msg("row %zu: " SV_FMT, i, SV_ARG(reason));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_later_signal_wins_field_by_field),
        cmocka_unit_test(test_newest_word_on_sale),
        cmocka_unit_test(test_refusal_wins_of_two),
        cmocka_unit_test(test_opt_out_whatever_the_purpose),
        cmocka_unit_test(test_allows),
        cmocka_unit_test(test_purpose_of_the_rule),
        cmocka_unit_test(test_whole_eea),
        cmocka_unit_test(test_region_of_the_locale),
        cmocka_unit_test(test_truth_table),
        cmocka_unit_test(test_limited_use_where_it_works),
    };
    return cmocka_run_group_tests_name("consent", tests, setup, teardown);
}
