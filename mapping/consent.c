// consent.c: reading consent signals, and the one decision per destination.
#include "mapping/consent.h"
#include "mapping/limited_use.h"
#include "mapping/normalise.h"
#include "mapping/rules/rules.h"

#include <string.h>

// The European Economic Area with the parts of its countries that have a code of their own, Great Britain and Switzerland:
// where marketing without a recorded consent is not allowed.
static const char *const asks_first[] = {
    "at", "be", "bg", "cy", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr", "hr", "hu", "ie", "it", "lt", "lu", "lv", "mt", "nl",
    "pl", "pt", "ro", "se", "si", "sk", "is", "li", "no", "ax", "gf", "gp", "mf", "mq", "re", "yt", "gb", "ch",
};

// Languages that are spoken mostly there. A language alone says so of its speakers; English, Spanish and Portuguese do not.
static const char *const languages[] = {
    "de", "fr", "it", "nl", "sv", "da", "fi", "nb", "nn", "no", "pl", "cs", "sk", "sl", "hu", "ro", "bg", "el", "et", "lv", "lt", "hr",
    "is", "mt", "ga", "lb", "ca", "eu", "gl", "rm",
};

// ---- reading

void consent_apply(struct consent *consent, struct consent signal) {
    if (signal.marketing != CONSENT_UNKNOWN)
        consent->marketing = signal.marketing;
    if (signal.analytics != CONSENT_UNKNOWN)
        consent->analytics = signal.analytics;
    if (signal.opt_out_of_sale || signal.sale_allowed) {
        consent->opt_out_of_sale = signal.opt_out_of_sale;
        consent->sale_allowed = !signal.opt_out_of_sale;
    }
}

static enum consent_state stricter(enum consent_state a, enum consent_state b) {
    return a == CONSENT_DENIED || b == CONSENT_UNKNOWN ? a : b;
}

void consent_tighten(struct consent *consent, struct consent also) {
    bool opt_out = consent->opt_out_of_sale || also.opt_out_of_sale;
    *consent = (struct consent){
        .marketing = stricter(consent->marketing, also.marketing), .analytics = stricter(consent->analytics, also.analytics),
        .opt_out_of_sale = opt_out, .sale_allowed = !opt_out && (consent->sale_allowed || also.sale_allowed),
    };
}

static enum consent_state denial(enum consent_state state) {
    return state == CONSENT_DENIED ? CONSENT_DENIED : CONSENT_UNKNOWN;
}

struct consent consent_refusals(struct consent said) {
    return (struct consent){.marketing = denial(said.marketing), .analytics = denial(said.analytics), .opt_out_of_sale = said.opt_out_of_sale};
}

bool consent_told(const struct consent *consent) {
    return consent->marketing != CONSENT_UNKNOWN || consent->analytics != CONSENT_UNKNOWN || consent->opt_out_of_sale ||
           consent->sale_allowed;
}

static bool read_word(struct sv text, enum consent_state *ret) {
    static const char *const yes[] = {"granted", "yes", "true", "1"}, *const no[] = {"denied", "no", "false", "0"};
    for (size_t i = 0; i < COUNTOF(yes); i++)
        if (sv_is_nocase(text, yes[i]) || sv_is_nocase(text, no[i])) {
            *ret = sv_is_nocase(text, yes[i]) ? CONSENT_GRANTED : CONSENT_DENIED;
            return true;
        }
    return false;
}

static bool is_flag(const struct json *value) {
    return value->type == JSON_TRUE || value->type == JSON_FALSE;
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

static int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

// A theme may pass a cookie on as it stands: "C0001%3A1%2CC0004%3A0".
static struct sv percent_decoded(struct arena *a, struct sv text) {
    if (!text.n || !memchr(text.p, '%', text.n))
        return text;
    char *plain = arena_alloc(a, text.n);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        bool escaped = text.p[i] == '%' && i + 2 < text.n && hex_value(text.p[i + 1]) >= 0 && hex_value(text.p[i + 2]) >= 0;
        plain[n++] = escaped ? (char)(hex_value(text.p[i + 1]) * 16 + hex_value(text.p[i + 2])) : text.p[i];
        i += escaped ? 2 : 0;
    }
    return (struct sv){plain, n};
}

// One of the forms that are no object, as it is or percent-encoded.
static bool read_text(struct arena *a, struct sv text, struct consent *signal) {
    return read_plain(sv_trim(percent_decoded(a, text)), signal);
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

static bool read_answer(const struct json *value, enum consent_state *ret) {
    if (!is_flag(value))
        return read_word(sv_trim(json_text(value)), ret);
    *ret = value->type == JSON_TRUE ? CONSENT_GRANTED : CONSENT_DENIED;
    return true;
}

static bool read_form(struct arena *a, const struct form *f, const struct json *value, struct consent *signal) {
    enum consent_state answer = CONSENT_UNKNOWN;
    if (f->says == SAYS_ALL)
        return read_text(a, json_text(value), signal);
    if (f->says == SAYS_OPT_OUT) {
        signal->opt_out_of_sale |= json_is_true(value);
        return json_is_true(value);
    }
    if (f->says == SAYS_NOTHING || !read_answer(value, &answer))
        return false;
    if (f->says == SAYS_MARKETING)
        signal->marketing = answer;
    else if (f->says == SAYS_ANALYTICS)
        signal->analytics = answer;
    else
        consent_apply(signal, (struct consent){.opt_out_of_sale = answer == CONSENT_DENIED, .sale_allowed = answer == CONSENT_GRANTED});
    return true;
}

// What an object says in several members is said at once.
static bool read_members(struct arena *a, const struct json *object, struct consent *signal) {
    bool readable = false;
    for (size_t i = 0; i < COUNTOF(forms); i++) {
        const struct json *value = json_get(object, forms[i].member);
        struct consent said = {0};
        if (value && read_form(a, &forms[i], value, &said)) {
            consent_tighten(signal, said);
            readable = true;
        }
    }
    return readable;
}

// The text may be an object's as well, which holds no other one.
static bool read_inner(struct arena *a, const struct json *inner, struct consent *signal) {
    enum consent_state both;
    struct json *object;
    struct sv text = sv_trim(percent_decoded(a, json_text(inner)));
    if (json_is_object(inner))
        return read_members(a, inner, signal);
    if (sv_starts(text, SV("{")))
        return json_parse(a, text, &object, NULL) == RC_OK && read_members(a, object, signal);
    if (!inner || !is_flag(inner))
        return read_plain(text, signal);
    (void)read_answer(inner, &both);
    *signal = (struct consent){.marketing = both, .analytics = both};
    return true;
}

// A storefront's context may hold its consent one level down, beside the browser's `gpc`.
bool consent_read_object(struct arena *a, const struct json *object, struct consent *consent) {
    struct consent signal = {0}, within = {0};
    bool readable = read_members(a, object, &signal);
    if (read_inner(a, json_get(object, "consent"), &within)) {
        consent_tighten(&signal, within);
        readable = true;
    }
    consent_apply(consent, signal);
    return readable;
}

static bool is_form_member(struct arena *a, const struct json *value) {
    struct consent said = {0};
    for (size_t i = 0; i < COUNTOF(forms); i++) {
        if (!sv_is(value->key, forms[i].member))
            continue;
        bool nothing = value->type == JSON_NULL || (value->type == JSON_STRING && value->text.n == 0);
        if (nothing || forms[i].flag)
            return nothing || is_flag(value);
        return (value->type == JSON_STRING || is_flag(value)) && (forms[i].says == SAYS_NOTHING || read_form(a, &forms[i], value, &said));
    }
    return false;
}

bool consent_is_form(struct arena *a, const struct json *node) {
    struct consent said = {0};
    if (!json_is_object(node))
        return node && node->type == JSON_STRING && consent_read(a, node->text, &said);
    bool fine = true;
    JSON_EACH(value, node)
        fine &= is_form_member(a, value);
    return fine;
}

bool consent_read(struct arena *a, struct sv text, struct consent *consent) {
    struct consent signal = {0};
    struct json *object;
    text = sv_trim(percent_decoded(a, text));
    bool readable;
    if (sv_starts(text, SV("{")))
        readable = json_parse(a, text, &object, NULL) == RC_OK && consent_read_object(a, object, &signal);
    else
        readable = read_plain(text, &signal);
    if (readable)
        consent_apply(consent, signal);
    return readable;
}

// ---- deciding

static bool is_one_of(struct sv word, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (sv_is_nocase(word, list[i]))
            return true;
    return false;
}

// region_of: the region of a locale: de of "de-DE", tw of "zh-Hant_TW"; absent where it has none. Its language beside.
static struct sv region_of(struct arena *a, struct sv locale, struct sv *ret_language) {
    struct sv part, rest = trim_utf8(locale);
    *ret_language = SV_NONE;
    for (bool more = true, first = true; more; first = false) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '-' && rest.p[n] != '_')
            n++;
        part = sv_sub(rest, 0, n);
        more = n < rest.n;
        rest = sv_sub(rest, n + 1, rest.n);
        if (first)
            *ret_language = part;
        else if (part.n == 2)
            return normal_country(a, part);
    }
    return SV_NONE;
}

static bool unknown_allows(struct arena *a, const struct consent_policy *policy, const struct event *event, struct sv *ret_reason) {
    struct sv language, region = region_of(a, event->user.locale, &language), country = sv_first(normal_country(a, event->user.country), region);
    switch (policy->unknown) {
    case UNKNOWN_ALLOW: return true;
    case UNKNOWN_DENY: *ret_reason = SV("consent unknown"); return false;
    case UNKNOWN_BY_REGION: break;
    }
    if (is_one_of(country, asks_first, COUNTOF(asks_first)))
        *ret_reason = arena_fmt(a, "consent unknown in %c%c", country.p[0] - 'a' + 'A', country.p[1] - 'a' + 'A');
    else if (!sv_present(country) && is_one_of(language, languages, COUNTOF(languages)))
        *ret_reason = arena_fmt(a, "consent unknown of who speaks " SV_FMT, SV_ARG(lower_utf8(a, language)));
    else
        return true;
    return false;
}

// An opt-out of sale (Global Privacy Control) keeps marketing from being sent whatever a banner was answered, unless it goes out for
// limited use; then the banner's answer counts as ever.
static bool opt_out_forbids(struct arena *a, const struct consent_policy *policy, const struct event *event, struct sv *ret_reason) {
    if (!event->consent.opt_out_of_sale || policy->opt_out == OPT_OUT_LIMITED)
        return false;
    if (policy->opt_out == OPT_OUT_BY_REGION && limited_use_works(a, &event->user))
        return false;
    *ret_reason = SV("opted out of sale and sharing");
    return true;
}

bool consent_allows(struct arena *a, const struct consent_policy *policy, const struct rule_part *part, const struct event *event,
                    struct sv *ret_reason) {
    const struct consent *consent = &event->consent;
    enum consent_purpose purpose = part && part->has_consent ? part->consent : policy->purpose;
    if (purpose == CONSENT_FOR_NOTHING)
        return true;
    if (purpose == CONSENT_FOR_MARKETING && opt_out_forbids(a, policy, event, ret_reason))
        return false;
    switch (purpose == CONSENT_FOR_MARKETING ? consent->marketing : consent->analytics) {
    case CONSENT_GRANTED: return true;
    case CONSENT_DENIED: *ret_reason = SV("consent denied"); return false;
    case CONSENT_UNKNOWN: break;
    }
    return unknown_allows(a, policy, event, ret_reason);
}

bool consent_allows_sale(struct arena *a, const struct consent_policy *policy, const struct rule_part *part, const struct event *event,
                         struct sv *ret_reason) {
    return !opt_out_forbids(a, policy, event, ret_reason) && consent_allows(a, policy, part, event, ret_reason);
}
