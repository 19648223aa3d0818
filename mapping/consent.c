// consent.c: reading consent signals, and the one decision per destination.
#include "mapping/consent.h"
#include "mapping/normalise.h"
#include "mapping/rules/rules.h"

// The European Economic Area with the parts of its countries that have a code of their own, Great Britain and Switzerland:
// where marketing without a recorded consent is not allowed.
static const char *const asks_first[] = {
    "at", "be", "bg", "cy", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr", "hr", "hu", "ie", "it", "lt", "lu", "lv", "mt", "nl",
    "pl", "pt", "ro", "se", "si", "sk", "is", "li", "no", "ax", "gf", "gp", "mf", "mq", "re", "yt", "gb", "ch",
};

// ---- reading

static void apply(struct consent *consent, struct consent signal) {
    if (signal.marketing != CONSENT_UNKNOWN)
        consent->marketing = signal.marketing;
    if (signal.analytics != CONSENT_UNKNOWN)
        consent->analytics = signal.analytics;
    consent->opt_out_of_sale |= signal.opt_out_of_sale;
}

static bool read_word(struct sv text, enum consent_state *ret) {
    if (sv_is_nocase(text, "granted"))
        *ret = CONSENT_GRANTED;
    else if (sv_is_nocase(text, "denied"))
        *ret = CONSENT_DENIED;
    else
        return false;
    return true;
}

static bool read_digit(char c, enum consent_state *ret) {
    if (c == '-')
        return true;  // Google: not asked
    *ret = c == '1' ? CONSENT_GRANTED : CONSENT_DENIED;
    return c == '1' || c == '0';
}

static bool read_gcs(struct sv text, struct consent *signal) {
    return text.n == 4 && sv_starts(text, SV("G1")) && read_digit(text.p[2], &signal->marketing) &&
           read_digit(text.p[3], &signal->analytics);
}

// OneTrust names a group of cookies and whether it is allowed: C0002 performance, C0004 targeting; others are none of our business.
static bool read_onetrust(struct sv text, struct consent *signal) {
    struct sv pair, group, state;
    for (bool more = true; more;) {
        more = sv_cut(text, ',', &pair, &text);
        if (!sv_cut(sv_trim(pair), ':', &group, &state) || group.n == 0 || (!sv_is(state, "0") && !sv_is(state, "1")))
            return false;
        enum consent_state allowed = sv_is(state, "1") ? CONSENT_GRANTED : CONSENT_DENIED;
        if (sv_is_nocase(group, "C0002"))
            signal->analytics = allowed;
        else if (sv_is_nocase(group, "C0004"))
            signal->marketing = allowed;
    }
    return true;
}

static bool read_plain(struct sv text, struct consent *signal) {
    enum consent_state both;
    if (read_word(text, &both)) {
        *signal = (struct consent){.marketing = both, .analytics = both};
        return true;
    }
    struct consent gcs = {0}, onetrust = {0};
    if (read_gcs(text, &gcs))
        *signal = gcs;
    else if (read_onetrust(text, &onetrust))
        *signal = onetrust;
    else
        return false;
    return true;
}

static bool read_members(const struct json *object, struct consent *signal) {
    bool readable = read_word(sv_trim(json_str(object, "marketing")), &signal->marketing);
    readable |= read_word(sv_trim(json_str(object, "analytics")), &signal->analytics);
    readable |= read_plain(sv_trim(json_str(object, "onetrust")), signal);
    readable |= read_plain(sv_trim(json_str(object, "gcs")), signal);
    signal->opt_out_of_sale = json_is_true(json_get(object, "gpc"));
    return readable || signal->opt_out_of_sale;
}

// A storefront's context may hold its consent one level down, beside the browser's `gpc`.
static bool read_object(const struct json *object, struct consent *signal) {
    const struct json *inner = json_get(object, "consent");
    struct consent within = {0};
    bool readable = read_members(object, signal);
    if (json_is_object(inner) ? read_members(inner, &within) : read_plain(sv_trim(json_text(inner)), &within)) {
        apply(signal, within);
        readable = true;
    }
    return readable;
}

bool consent_read(struct arena *a, struct sv text, struct consent *consent) {
    struct consent signal = {0};
    struct json *object;
    text = sv_trim(text);
    bool readable;
    if (sv_starts(text, SV("{")))
        readable = json_parse(a, text, &object, NULL) == RC_OK && read_object(object, &signal);
    else
        readable = read_plain(text, &signal);
    if (readable)
        apply(consent, signal);
    return readable;
}

// ---- deciding

static bool country_asks_first(struct sv country) {
    for (size_t i = 0; i < COUNTOF(asks_first); i++)
        if (sv_is(country, asks_first[i]))
            return true;
    return false;
}

static bool unknown_allows(struct arena *a, const struct consent_policy *policy, const struct event *event, struct sv *ret_reason) {
    struct sv country = normal_country(a, event->user.country);
    switch (policy->unknown) {
    case UNKNOWN_ALLOW: return true;
    case UNKNOWN_DENY: *ret_reason = SV("consent unknown"); return false;
    case UNKNOWN_BY_REGION: break;
    }
    if (!country_asks_first(country))
        return true;
    *ret_reason = arena_fmt(a, "consent unknown in %c%c", country.p[0] - 'a' + 'A', country.p[1] - 'a' + 'A');
    return false;
}

// An opt-out of sale (Global Privacy Control) is a denial of marketing, whatever a banner was answered.
bool consent_allows(struct arena *a, const struct consent_policy *policy, const struct rule_part *part, const struct event *event,
                    struct sv *ret_reason) {
    const struct consent *consent = &event->consent;
    enum consent_purpose purpose = part && part->has_consent ? part->consent : policy->purpose;
    if (purpose == CONSENT_FOR_NOTHING)
        return true;
    if (purpose == CONSENT_FOR_MARKETING && consent->opt_out_of_sale) {
        *ret_reason = SV("opted out of sale and sharing");
        return false;
    }
    switch (purpose == CONSENT_FOR_MARKETING ? consent->marketing : consent->analytics) {
    case CONSENT_GRANTED: return true;
    case CONSENT_DENIED: *ret_reason = SV("consent denied"); return false;
    case CONSENT_UNKNOWN: break;
    }
    return unknown_allows(a, policy, event, ret_reason);
}
