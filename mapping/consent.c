// consent.c: reading consent signals, and the one decision per destination.
#include "mapping/consent.h"
#include "mapping/limited_use.h"
#include "mapping/normalise.h"
#include "mapping/rules/rules.h"

// The European Economic Area with the parts of its countries that have a code of their own, Great Britain and Switzerland:
// where marketing without a recorded consent is not allowed.
static const char *const asks_first[] = {
    "at", "be", "bg", "cy", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr", "hr", "hu", "ie", "it", "lt", "lu", "lv", "mt", "nl",
    "pl", "pt", "ro", "se", "si", "sk", "is", "li", "no", "ax", "gf", "gp", "mf", "mq", "re", "yt", "gb", "ch",
};

// ---- reading

void consent_apply(struct consent *consent, struct consent signal) {
    if (signal.marketing != CONSENT_UNKNOWN)
        consent->marketing = signal.marketing;
    if (signal.analytics != CONSENT_UNKNOWN)
        consent->analytics = signal.analytics;
    consent->opt_out_of_sale |= signal.opt_out_of_sale;
}

bool consent_told(const struct consent *consent) {
    return consent->marketing != CONSENT_UNKNOWN || consent->analytics != CONSENT_UNKNOWN || consent->opt_out_of_sale;
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

// What an object may say, by member. Shopify's Customer Privacy API has three names for its answers: those of the theme's event, those of
// the web pixel, and currentVisitorConsent with yes, no or nothing. Preferences are none of our business.
enum says { SAYS_MARKETING, SAYS_ANALYTICS, SAYS_SALE, SAYS_OPT_OUT, SAYS_ALL, SAYS_NOTHING };

static const struct form {
    const char *member;
    enum says says;
    bool flag;  // true or false; otherwise a text
} forms[] = {
    {"marketing", SAYS_MARKETING, false},
    {"analytics", SAYS_ANALYTICS, false},
    {"preferences", SAYS_NOTHING, false},
    {"sale_of_data", SAYS_SALE, false},
    {"marketingAllowed", SAYS_MARKETING, true},
    {"analyticsAllowed", SAYS_ANALYTICS, true},
    {"analyticsProcessingAllowed", SAYS_ANALYTICS, true},
    {"preferencesAllowed", SAYS_NOTHING, true},
    {"preferencesProcessingAllowed", SAYS_NOTHING, true},
    {"saleOfDataAllowed", SAYS_SALE, true},
    {"onetrust", SAYS_ALL, false},
    {"gcs", SAYS_ALL, false},
    {"gpc", SAYS_OPT_OUT, true},
};

static bool read_answer(const struct form *f, const struct json *value, enum consent_state *ret) {
    struct sv text = sv_trim(json_text(value));
    if (f->flag && (value->type == JSON_TRUE || value->type == JSON_FALSE))
        *ret = value->type == JSON_TRUE ? CONSENT_GRANTED : CONSENT_DENIED;
    else if (!f->flag && sv_is_nocase(text, "yes"))
        *ret = CONSENT_GRANTED;
    else if (!f->flag && sv_is_nocase(text, "no"))
        *ret = CONSENT_DENIED;
    else
        return !f->flag && read_word(text, ret);
    return true;
}

static bool read_form(const struct form *f, const struct json *value, struct consent *signal) {
    enum consent_state answer = CONSENT_UNKNOWN;
    if (f->says == SAYS_ALL)
        return read_plain(sv_trim(json_text(value)), signal);
    if (f->says == SAYS_OPT_OUT) {
        signal->opt_out_of_sale |= json_is_true(value);
        return json_is_true(value);
    }
    if (f->says == SAYS_NOTHING || !read_answer(f, value, &answer))
        return false;
    if (f->says == SAYS_MARKETING)
        signal->marketing = answer;
    else if (f->says == SAYS_ANALYTICS)
        signal->analytics = answer;
    else
        signal->opt_out_of_sale |= answer == CONSENT_DENIED;
    return true;
}

static bool read_members(const struct json *object, struct consent *signal) {
    bool readable = false;
    for (size_t i = 0; i < COUNTOF(forms); i++) {
        const struct json *value = json_get(object, forms[i].member);
        struct consent said = {0};
        if (value && read_form(&forms[i], value, &said)) {
            consent_apply(signal, said);
            readable = true;
        }
    }
    return readable;
}

// A storefront's context may hold its consent one level down, beside the browser's `gpc`.
bool consent_read_object(const struct json *object, struct consent *consent) {
    const struct json *inner = json_get(object, "consent");
    struct consent signal = {0}, within = {0};
    bool readable = read_members(object, &signal);
    if (json_is_object(inner) ? read_members(inner, &within) : read_plain(sv_trim(json_text(inner)), &within)) {
        consent_apply(&signal, within);
        readable = true;
    }
    consent_apply(consent, signal);
    return readable;
}

static bool is_form_member(const struct json *value) {
    struct consent said = {0};
    for (size_t i = 0; i < COUNTOF(forms); i++) {
        if (!sv_is(value->key, forms[i].member))
            continue;
        bool flag = value->type == JSON_TRUE || value->type == JSON_FALSE;
        bool nothing = value->type == JSON_NULL || (value->type == JSON_STRING && value->text.n == 0);
        return nothing || (forms[i].flag ? flag : value->type == JSON_STRING && (forms[i].says == SAYS_NOTHING || read_form(&forms[i], value, &said)));
    }
    return false;
}

bool consent_is_form(struct arena *a, const struct json *node) {
    struct consent said = {0};
    if (!json_is_object(node))
        return node && node->type == JSON_STRING && consent_read(a, node->text, &said);
    bool fine = true;
    JSON_EACH(value, node)
        fine &= is_form_member(value);
    return fine;
}

bool consent_read(struct arena *a, struct sv text, struct consent *consent) {
    struct consent signal = {0};
    struct json *object;
    text = sv_trim(text);
    bool readable;
    if (sv_starts(text, SV("{")))
        readable = json_parse(a, text, &object, NULL) == RC_OK && consent_read_object(object, &signal);
    else
        readable = read_plain(text, &signal);
    if (readable)
        consent_apply(consent, signal);
    return readable;
}

// ---- deciding

static bool country_asks_first(struct sv country) {
    for (size_t i = 0; i < COUNTOF(asks_first); i++)
        if (sv_is(country, asks_first[i]))
            return true;
    return false;
}

// region_of: the region of a locale: de of "de-DE", tw of "zh-Hant_TW"; absent where it has none.
static struct sv region_of(struct arena *a, struct sv locale) {
    struct sv part, rest = trim_utf8(locale);
    for (bool more = true, first = true; more; first = false) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '-' && rest.p[n] != '_')
            n++;
        part = sv_sub(rest, 0, n);
        more = n < rest.n;
        rest = sv_sub(rest, n + 1, rest.n);
        if (!first && part.n == 2)
            return normal_country(a, part);
    }
    return SV_NONE;
}

static bool unknown_allows(struct arena *a, const struct consent_policy *policy, const struct event *event, struct sv *ret_reason) {
    struct sv country = sv_first(normal_country(a, event->user.country), region_of(a, event->user.locale));
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

// An opt-out of sale (Global Privacy Control) keeps marketing from being sent whatever a banner was answered, unless it goes out for
// limited use; then the banner's answer counts as ever.
static bool opt_out_forbids(struct arena *a, const struct consent_policy *policy, const struct event *event) {
    if (!event->consent.opt_out_of_sale || policy->opt_out == OPT_OUT_LIMITED)
        return false;
    return policy->opt_out == OPT_OUT_SKIP || !limited_use_works(a, &event->user);
}

bool consent_allows(struct arena *a, const struct consent_policy *policy, const struct rule_part *part, const struct event *event,
                    struct sv *ret_reason) {
    const struct consent *consent = &event->consent;
    enum consent_purpose purpose = part && part->has_consent ? part->consent : policy->purpose;
    if (purpose == CONSENT_FOR_NOTHING)
        return true;
    if (purpose == CONSENT_FOR_MARKETING && opt_out_forbids(a, policy, event)) {
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
