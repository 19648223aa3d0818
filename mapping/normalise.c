// normalise.c: e-mail addresses, names, places and click ids in the spelling that Meta's own code hashes.
#include "base/clock.h"
#include "mapping/country.h"
#include "mapping/normalise.h"
#include "mapping/unicode.h"

#include <string.h>

#define CLICK_LIFETIME_MS DAYS_MS(90)

// ---- characters

static bool is_space(uint32_t code) {
    return (code >= 0x09 && code <= 0x0D) || code == ' ' || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
           code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000 || code == 0xFEFF;
}

static bool is_digit(uint32_t code) {
    return code >= '0' && code <= '9';
}

static bool is_letter(uint32_t code) {
    return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
}

static bool is_punctuation(uint32_t code) {
    return code > ' ' && code < 0x7F && !is_digit(code) && !is_letter(code);
}

struct sv trim_utf8(struct sv s) {
    uint32_t code;
    for (size_t step; (step = unicode_next(s, &code)) > 0 && is_space(code);)
        s = sv_sub(s, step, s.n);
    unsigned char last = s.n > 0 ? (unsigned char)s.p[s.n - 1] : 0;
    if (last > ' ' && last < 0x80)  // neither white space nor a part of another character
        return s;
    size_t end = 0, at = 0;
    for (size_t step; (step = unicode_next(sv_sub(s, at, s.n), &code)) > 0; at += step)
        if (!is_space(code))
            end = at + step;
    return sv_sub(s, 0, end);
}

// lower_without: trimmed, lower case, without the characters that are `unwanted`; absent when nothing is left.
static struct sv lower_without(struct arena *a, struct sv raw, bool (*unwanted)(uint32_t code)) {
    struct sv s = lower_utf8(a, trim_utf8(raw));
    if (!sv_present(s))
        return SV_NONE;
    char *out = arena_room(a, s.n + 1);
    size_t n = 0;
    uint32_t code;
    for (size_t step; (step = unicode_next(s, &code)) > 0; s = sv_sub(s, step, s.n)) {
        if (unwanted(code))
            continue;
        memcpy(out + n, s.p, step);
        n += step;
    }
    return n > 0 ? (struct sv){out, n} : SV_NONE;
}

// ---- e-mail

static bool is_local_character(unsigned char c) {
    return is_letter(c) || is_digit(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool valid_local_part(struct sv s) {
    if (s.n == 0 || s.n > 64)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool inner_dot = s.p[i] == '.' && i > 0 && i + 1 < s.n && s.p[i - 1] != '.';
        if (!inner_dot && !is_local_character((unsigned char)s.p[i]))
            return false;
    }
    return true;
}

static bool valid_label(struct sv s) {
    if (s.n == 0 || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_letter((unsigned char)s.p[i]) && !is_digit((unsigned char)s.p[i]) && s.p[i] != '-')
            return false;
    return true;
}

// At least two labels; the last one has two characters and begins with a letter, so that an IP address is none.
static bool valid_domain(struct sv s) {
    struct sv label, rest;
    size_t labels = 1;
    for (; sv_cut(s, '.', &label, &rest); s = rest, labels++)
        if (!valid_label(label))
            return false;
    return labels > 1 && valid_label(s) && s.n > 1 && is_letter((unsigned char)s.p[0]);
}

// Dots and plus tags are kept: Meta hashes them as they are, and Klaviyo knows such people under them.
struct sv normal_email(struct arena *a, struct sv raw) {
    struct sv email = lower_utf8(a, trim_utf8(raw)), local, domain;
    if (email.n > 254 || !sv_cut(email, '@', &local, &domain))
        return SV_NONE;
    return valid_local_part(local) && valid_domain(domain) ? email : SV_NONE;
}

// ---- names and places

static bool not_in_name(uint32_t code) {
    return is_space(code) || is_punctuation(code);
}

static bool not_in_city(uint32_t code) {
    return not_in_name(code) || is_digit(code) || code == 0x2019;
}

static bool not_in_region(uint32_t code) {
    return is_space(code) || is_digit(code) || (code < 0x80 && code != 0 && strchr("().-", (int)code));
}

struct sv normal_name(struct arena *a, struct sv raw) {
    return lower_without(a, raw, not_in_name);
}

struct sv normal_city(struct arena *a, struct sv raw) {
    return lower_without(a, raw, not_in_city);
}

struct region {
    const char *country, *code, *name;  // name as not_in_region leaves it
};

static const struct region regions[] = {
    {"us", "al", "alabama"}, {"us", "ak", "alaska"}, {"us", "az", "arizona"}, {"us", "ar", "arkansas"}, {"us", "ca", "california"},
    {"us", "co", "colorado"}, {"us", "ct", "connecticut"}, {"us", "de", "delaware"}, {"us", "dc", "districtofcolumbia"},
    {"us", "fl", "florida"}, {"us", "ga", "georgia"}, {"us", "hi", "hawaii"}, {"us", "id", "idaho"}, {"us", "il", "illinois"},
    {"us", "in", "indiana"}, {"us", "ia", "iowa"}, {"us", "ks", "kansas"}, {"us", "ky", "kentucky"}, {"us", "la", "louisiana"},
    {"us", "me", "maine"}, {"us", "md", "maryland"}, {"us", "ma", "massachusetts"}, {"us", "mi", "michigan"}, {"us", "mn", "minnesota"},
    {"us", "ms", "mississippi"}, {"us", "mo", "missouri"}, {"us", "mt", "montana"}, {"us", "ne", "nebraska"}, {"us", "nv", "nevada"},
    {"us", "nh", "newhampshire"}, {"us", "nj", "newjersey"}, {"us", "nm", "newmexico"}, {"us", "ny", "newyork"},
    {"us", "nc", "northcarolina"}, {"us", "nd", "northdakota"}, {"us", "oh", "ohio"}, {"us", "ok", "oklahoma"}, {"us", "or", "oregon"},
    {"us", "pa", "pennsylvania"}, {"us", "ri", "rhodeisland"}, {"us", "sc", "southcarolina"}, {"us", "sd", "southdakota"},
    {"us", "tn", "tennessee"}, {"us", "tx", "texas"}, {"us", "ut", "utah"}, {"us", "vt", "vermont"}, {"us", "va", "virginia"},
    {"us", "wa", "washington"}, {"us", "wv", "westvirginia"}, {"us", "wi", "wisconsin"}, {"us", "wy", "wyoming"},
    {"us", "pr", "puertorico"}, {"us", "gu", "guam"},
    {"ca", "ab", "alberta"}, {"ca", "bc", "britishcolumbia"}, {"ca", "mb", "manitoba"}, {"ca", "nb", "newbrunswick"},
    {"ca", "nl", "newfoundlandandlabrador"}, {"ca", "nt", "northwestterritories"}, {"ca", "ns", "novascotia"}, {"ca", "nu", "nunavut"},
    {"ca", "on", "ontario"}, {"ca", "pe", "princeedwardisland"}, {"ca", "qc", "quebec"}, {"ca", "qc", "québec"},
    {"ca", "sk", "saskatchewan"}, {"ca", "yt", "yukon"},
};

// A name becomes its code only when it is exactly one of the country given, or of either when none is.
struct sv normal_region(struct arena *a, struct sv raw, struct sv country) {
    struct sv region = lower_without(a, raw, not_in_region), home = normal_country(a, country);
    for (size_t i = 0; i < COUNTOF(regions); i++)
        if (sv_is(region, regions[i].name) && (!home.p || sv_is(home, regions[i].country)))
            return sv_of(regions[i].code);
    return region;
}

// Meta's code keeps what stands before a dash, everywhere; the docs want five digits in the US.
struct sv normal_zip(struct arena *a, struct sv raw, struct sv country) {
    struct sv zip = lower_without(a, raw, is_space), head, tail;
    if (sv_cut(zip, '-', &head, &tail))
        zip = head;
    if (sv_is(normal_country(a, country), "us"))
        zip = sv_sub(zip, 0, 5);
    return zip.n >= 2 ? zip : SV_NONE;
}

struct sv normal_country(struct arena *a, struct sv raw) {
    struct sv country = trim_utf8(raw);
    if (sv_is_nocase(country, "uk"))
        return SV("gb");
    if (!country_of(country))
        country = country_named(country);
    return lower_utf8(a, country);
}

// ---- click ids

struct click {
    int64_t created_ms;
    bool valid;
};

// Meta's parameter builder may add a fifth part, a token of two characters, later of eight.
static bool valid_token(struct sv token) {
    static const char *const old_tokens[] = {"AQ", "Ag", "Aw", "BA", "BQ", "Bg"};
    for (size_t i = 0; i < COUNTOF(old_tokens); i++)
        if (sv_is(token, old_tokens[i]))
            return true;
    if (token.n != 8 || !sv_starts(token, SV("AQ")))
        return false;
    for (size_t i = 0; i < token.n; i++)
        if (!is_letter((unsigned char)token.p[i]) && !is_digit((unsigned char)token.p[i]) && token.p[i] != '-' && token.p[i] != '_')
            return false;
    return true;
}

static bool valid_value(struct sv value) {
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] <= ' ' || value.p[i] > '~' || value.p[i] == '"' || value.p[i] == '\\')
            return false;
    return value.n > 0 && value.n <= 1000;
}

static struct click click_of(struct sv s) {
    struct sv prefix, index, created, value, token, rest;
    int64_t index_number;
    struct click click = {0};
    if (!sv_cut(s, '.', &prefix, &rest) || !sv_is(prefix, "fb") || !sv_cut(rest, '.', &index, &rest) ||
        !sv_cut(rest, '.', &created, &rest) || !sv_i64(index, &index_number) || !sv_i64(created, &click.created_ms))
        return click;
    bool has_token = sv_cut(rest, '.', &value, &token);
    click.valid = index_number >= 0 && click.created_ms >= 0 && index.p[0] != '-' && created.p[0] != '-' && valid_value(value) &&
                  (!has_token || valid_token(token));
    return click;
}

bool valid_fbp(struct sv fbp) {
    return click_of(fbp).valid;
}

bool valid_fbc(struct sv fbc, int64_t event_ms) {
    struct click click = click_of(fbc);
    return click.valid && click.created_ms <= event_ms && event_ms - click.created_ms <= CLICK_LIFETIME_MS;
}

struct sv fbc_from_url(struct arena *a, struct sv url, int64_t first_seen_ms) {
    struct sv page, query, fragment, pair, name, value;
    sv_cut(url, '#', &page, &fragment);
    if (first_seen_ms <= 0 || !sv_cut(page, '?', &page, &query))
        return SV_NONE;
    for (bool more = true; more;) {
        more = sv_cut(query, '&', &pair, &query);
        if (!sv_cut(pair, '=', &name, &value) || !sv_is(name, "fbclid"))
            continue;
        struct sv fbc = arena_fmt(a, "fb.1.%lld." SV_FMT, (long long)first_seen_ms, SV_ARG(value));
        return valid_fbp(fbc) ? fbc : SV_NONE;
    }
    return SV_NONE;
}
