// klaviyo.c: what the three Klaviyo destinations have in common: who it is about, and the envelope.
#include "mapping/consent.h"
#include "mapping/klaviyo/klaviyo.h"
#include "mapping/normalise.h"

#define EMAIL_MOST 99                      // Klaviyo: under 100 characters

struct identifiers klaviyo_identifiers(struct arena *a, const struct user *u) {
    struct identifiers ids = {.email = normal_email(a, u->email), .phone = normal_phone(a, u->phone, u->country)};
    if (ids.email.n > EMAIL_MOST)
        ids.email = SV_NONE;
    if (!sv_present(ids.email) && !sv_present(ids.phone) && u->external_id.n <= 255)
        ids.external_id = sv_trim(u->external_id);
    return ids;
}

bool klaviyo_identified(const struct identifiers *ids) {
    return sv_present(ids->email) || sv_present(ids->phone) || sv_present(ids->external_id);
}

static bool skip(struct sv *ret_reason, struct sv why) {
    *ret_reason = why;
    return false;
}

bool klaviyo_allowed(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason) {
    if (!shop->klaviyo.configured)
        return skip(ret_reason, SV("klaviyo is not configured"));
    if (sv_is(e->origin, "test"))
        return skip(ret_reason, SV("test event"));
    struct identifiers ids = klaviyo_identifiers(a, &e->user);
    if (!klaviyo_identified(&ids))
        return skip(ret_reason, SV("no identifier"));
    struct consent_policy policy = shop->consent.klaviyo;
    if (e->name == EVENT_SIGN_UP && sv_is(event_property_text(e, "state"), "subscribed"))
        policy.unknown = UNKNOWN_ALLOW;  // whoever subscribes allows to be told of it, and that is not unknown
    return consent_allows(a, &policy, &e->rule->klaviyo, e, ret_reason);
}

bool klaviyo_is_backfill(const struct event *e, int64_t now_ms) {
    return now_ms - e->time_ms > e->rule->flow_window_ms;
}

// ---- profiles

static bool is_language_tag(struct sv s) {
    struct sv part, rest;
    for (bool more = true, first = true; more; s = rest, first = false) {
        more = sv_cut(s, '-', &part, &rest);
        if (part.n == 0 || part.n > 8 || (first && (part.n < 2 || part.n > 3)))
            return false;
        for (size_t i = 0; i < part.n; i++) {
            char c = part.p[i];
            bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
            if (!letter && (first || c < '0' || c > '9'))
                return false;
        }
    }
    return true;
}

// A language tag, "de" or "en-US"; what is none is left out rather than have the event refused for it.
static struct sv locale_of(struct arena *a, struct sv raw) {
    struct sv locale = sv_trim(raw);
    if (!sv_present(locale))
        return SV_NONE;
    char *out = arena_cstr(a, locale);
    for (size_t i = 0; i < locale.n; i++)
        if (out[i] == '_')
            out[i] = '-';
    locale.p = out;
    return locale.n <= 35 && is_language_tag(locale) ? locale : SV_NONE;
}

static void write_location(struct jw *w, const struct user *u) {
    if (!sv_present(u->address1) && !sv_present(u->city) && !sv_present(u->region) && !sv_present(u->zip) && !sv_present(u->country))
        return;
    jw_key(w, "location");
    jw_open(w, '{');
    jw_member(w, "address1", sv_sub(u->address1, 0, 1000));
    jw_member(w, "city", sv_sub(u->city, 0, 1000));
    jw_member(w, "region", sv_sub(u->region, 0, 1000));
    jw_member(w, "zip", sv_sub(u->zip, 0, 1000));
    jw_member(w, "country", sv_sub(u->country, 0, 1000));
    jw_close(w, '}');
}

void klaviyo_identify(struct jw *w, const struct identifiers *ids) {
    jw_member(w, "email", ids->email);
    jw_member(w, "phone_number", ids->phone);
    jw_member(w, "external_id", ids->external_id);
}

void klaviyo_describe(struct jw *w, struct arena *a, const struct user *u) {
    jw_member(w, "first_name", sv_sub(u->first_name, 0, 1000));
    jw_member(w, "last_name", sv_sub(u->last_name, 0, 1000));
    jw_member(w, "locale", locale_of(a, u->locale));
    write_location(w, u);
}

// ---- the envelope

void klaviyo_open(struct jw *w, const char *key, const char *type) {
    if (key)
        jw_key(w, key);
    jw_open(w, '{');
    jw_key(w, "data");
    jw_open(w, '{');
    jw_member(w, "type", sv_of(type));
    jw_key(w, "attributes");
    jw_open(w, '{');
}

void klaviyo_close(struct jw *w) {
    for (int i = 0; i < 3; i++)
        jw_close(w, '}');
}

// ---- a refused phone number

static bool is_phone(const struct json *node) {
    return sv_is(node->key, "phone_number");
}

// Whether there is an e-mail beside a phone number anywhere in the body: only then can the number be left out.
static bool has_both(const struct json *node) {
    bool email = false, phone = false;
    JSON_EACH(child, node) {
        email |= sv_is(child->key, "email") && child->type == JSON_STRING;
        phone |= is_phone(child);
        if (has_both(child))
            return true;
    }
    return email && phone;
}

static void copy_without_phone(struct jw *w, const struct json *node) {
    bool is_list = node->type == JSON_ARRAY;
    if (!is_list && node->type != JSON_OBJECT) {
        jw_node(w, node);
        return;
    }
    jw_open(w, is_list ? '[' : '{');
    JSON_EACH(child, node) {
        if (!is_list && is_phone(child))
            continue;
        if (!is_list)
            jw_key_sv(w, child->key);
        copy_without_phone(w, child);
    }
    jw_close(w, is_list ? ']' : '}');
}

struct sv klaviyo_amend(struct arena *a, struct sv body) {
    struct json *root;
    struct buf out;
    struct jw w;
    if (json_parse(a, body, &root, NULL) != RC_OK || !has_both(root))
        return SV_NONE;
    buf_init(&out, body.n + 64);
    jw_init(&w, &out);
    copy_without_phone(&w, root);
    return buf_take(&out, a);
}

// ---- address

void klaviyo_address(struct arena *a, const struct shop *shop, const char *path, struct request *ret) {
    struct sv base = shop->klaviyo.base_url;
    while (sv_ends(base, SV("/")))
        base = sv_sub(base, 0, base.n - 1);
    ret->url = arena_join(a, SVS(base, sv_of(path)));
    ret->header_count = 0;
    ret->headers[ret->header_count++] = arena_join(a, SVS(SV("Authorization: Klaviyo-API-Key "), sv_trim(shop->klaviyo.api_key)));
    ret->headers[ret->header_count++] = arena_join(a, SVS(SV("revision: "), shop->klaviyo.revision));
    ret->headers[ret->header_count++] = SV("Content-Type: application/vnd.api+json");
    ret->headers[ret->header_count++] = SV("Accept: application/vnd.api+json");
    // A retired revision answers 410 instead of being served, silently, by another one.
    ret->headers[ret->header_count++] = SV("X-Klaviyo-Revision-Fall-Forward-Opt-Out: 1");
}
