// klaviyo.c: Klaviyo's Create Event. Klaviyo answers 202 before it looks closely: what is sent must be right, because what it drops
// later it drops in silence.
#include "mapping/klaviyo.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "mapping/amount.h"
#include "mapping/consent.h"
#include "mapping/normalise.h"
#include "mapping/rules.h"

#define BODY_BYTES_MOST ((size_t)5000000)  // Klaviyo: 5 MB
#define EMAIL_MOST 99                      // Klaviyo: under 100 characters
#define UNIQUE_ID_MOST 255
#define METRIC_NAME_MOST 127

struct identifiers {
    struct sv email, phone, external_id;
};

// external_id takes no part in Klaviyo's merging of profiles and can make a second one: only for those who have nothing else.
static struct identifiers identifiers_of(struct arena *a, const struct user *u) {
    struct identifiers ids = {.email = normal_email(a, u->email), .phone = normal_phone(a, u->phone, u->country)};
    if (ids.email.n > EMAIL_MOST)
        ids.email = SV_NONE;
    if (!sv_present(ids.email) && !sv_present(ids.phone) && u->external_id.n <= 255)
        ids.external_id = sv_trim(u->external_id);
    return ids;
}

static struct sv metric_name(const struct event *e, const struct shop *shop) {
    const struct rule *rule = rule_for(e);
    if (e->name == EVENT_CUSTOM)
        return sv_trim(event_label(e));
    return sv_of(rule_klaviyo_trigger_used(rule, shop) ? rule->klaviyo_trigger : rule->klaviyo_metric);
}

static bool skip(struct sv *ret_reason, struct sv why) {
    *ret_reason = why;
    return false;
}

static bool applies(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason) {
    if (!shop->klaviyo.configured)
        return skip(ret_reason, SV("klaviyo is not configured"));
    if (sv_is(e->origin, "test"))
        return skip(ret_reason, SV("test event"));
    struct sv metric = metric_name(e, shop);
    if (!sv_present(metric))
        return skip(ret_reason, arena_fmt(a, "no Klaviyo metric for " SV_FMT, SV_ARG(event_label(e))));
    if (metric.n > METRIC_NAME_MOST)
        return skip(ret_reason, SV("the event's name is too long for a Klaviyo metric"));
    struct identifiers ids = identifiers_of(a, &e->user);
    if (!sv_present(ids.email) && !sv_present(ids.phone) && !sv_present(ids.external_id))
        return skip(ret_reason, SV("no identifier"));
    return consent_allows(a, &shop->consent.klaviyo, e, ret_reason);
}

// Old events are never too late for Klaviyo: they come as backfill.
static bool expired(int64_t event_ms, int64_t now_ms) {
    (void)event_ms;
    (void)now_ms;
    return false;
}

// ---- body

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

// Each attribute is written to the profile, so an old event carries identifiers alone: old names must not replace newer ones.
static void write_profile(struct jw *w, struct arena *a, const struct user *u, bool backfill) {
    struct identifiers ids = identifiers_of(a, u);
    jw_member(w, "email", ids.email);
    jw_member(w, "phone_number", ids.phone);
    jw_member(w, "external_id", ids.external_id);
    if (backfill)
        return;
    jw_member(w, "first_name", sv_sub(u->first_name, 0, 1000));
    jw_member(w, "last_name", sv_sub(u->last_name, 0, 1000));
    jw_member(w, "locale", locale_of(a, u->locale));
    write_location(w, u);
}

// Klaviyo wraps what an event is about: {"data": {"type": type, "attributes": {
static void open_resource(struct jw *w, const char *key, const char *type) {
    if (key)
        jw_key(w, key);
    jw_open(w, '{');
    jw_key(w, "data");
    jw_open(w, '{');
    jw_member(w, "type", sv_of(type));
    jw_key(w, "attributes");
    jw_open(w, '{');
}

static void close_resource(struct jw *w) {
    for (int i = 0; i < 3; i++)
        jw_close(w, '}');
}

// Without a unique_id only one event per person, metric and second would survive; too long an id is replaced by its hash.
static struct sv unique_id(struct arena *a, struct sv id) {
    if (id.n <= UNIQUE_ID_MOST)
        return id;
    struct digest digest = sha256(id);
    return hex_of(a, digest.b, SHA256_LEN);
}

static void write_event(struct jw *w, struct arena *a, const struct event *e, const struct shop *shop, const struct disposition *before,
                        int64_t now_ms) {
    const struct rule *rule = rule_for(e);
    bool trigger = rule_klaviyo_trigger_used(rule, shop), backfill = now_ms - e->time_ms > rule->flow_window_ms;
    struct sv currency = currency_upper(a, e->currency);
    open_resource(w, NULL, "event");
    jw_key(w, "properties");
    klaviyo_properties(w, a, e, before, trigger);
    jw_member(w, "time", time_iso(a, e->time_ms < now_ms ? e->time_ms : now_ms));
    if (!trigger && amount_valid(e->value)) {
        jw_member_number(w, "value", e->value);
        jw_member(w, "value_currency", currency);
    }
    jw_member(w, "unique_id", unique_id(a, e->id));
    if (backfill) {
        jw_key(w, "backfill");
        jw_bool(w, true);
    }
    open_resource(w, "metric", "metric");
    jw_member(w, "name", metric_name(e, shop));
    close_resource(w);
    open_resource(w, "profile", "profile");
    write_profile(w, a, &e->user, backfill);
    close_resource(w);
    close_resource(w);
}

static struct sv body(struct arena *a, const struct event *e, const struct shop *shop, const struct disposition *before, int64_t now_ms) {
    struct buf out;
    struct jw w;
    buf_init(&out, BODY_BYTES_MOST);
    jw_init(&w, &out);
    write_event(&w, a, e, shop, before, now_ms);
    struct sv text = buf_ok(&out) ? arena_dup(a, buf_sv(&out)) : SV_NONE;
    buf_free(&out);
    return text;
}

// ---- address

static void address(struct arena *a, const struct shop *shop, struct request *ret) {
    struct sv base = shop->klaviyo.base_url;
    while (sv_ends(base, SV("/")))
        base = sv_sub(base, 0, base.n - 1);
    ret->url = arena_fmt(a, SV_FMT "/api/events", SV_ARG(base));
    ret->header_count = 0;
    ret->headers[ret->header_count++] = arena_fmt(a, "Authorization: Klaviyo-API-Key " SV_FMT, SV_ARG(sv_trim(shop->klaviyo.api_key)));
    ret->headers[ret->header_count++] = arena_fmt(a, "revision: " SV_FMT, SV_ARG(shop->klaviyo.revision));
    ret->headers[ret->header_count++] = SV("Content-Type: application/vnd.api+json");
    ret->headers[ret->header_count++] = SV("Accept: application/vnd.api+json");
    // A retired revision answers 410 instead of being served, silently, by another one.
    ret->headers[ret->header_count++] = SV("X-Klaviyo-Revision-Fall-Forward-Opt-Out: 1");
}

const struct destination destination_klaviyo = {
    .name = "klaviyo.event",
    .account = "klaviyo",
    .applies = applies,
    .expired = expired,
    .body = body,
    .address = address,
    .outcome = klaviyo_outcome,
};
