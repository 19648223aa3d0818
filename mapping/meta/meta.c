// meta.c: the Meta Conversions API: one event a request, because one bad event would reject its whole batch.
#include "base/clock.h"
#include "mapping/amount.h"
#include "mapping/consent.h"
#include "mapping/limited_use.h"
#include "mapping/meta/meta.h"
#include "mapping/normalise.h"
#include "mapping/rules/rules.h"

#include <string.h>

#define BODY_BYTES_MOST ((size_t)8 << 20)

// Meta refuses events older than 7 days; a minute is left for the request itself and for clocks that differ.
#define AGE_MOST_MS (DAYS_MS(7) - MINUTES_MS(1))

struct action_source {
    const char *origin, *name;
    bool browser;  // what the buyer's browser told is of that moment
};

static const struct action_source action_sources[] = {
    {"web", "website", true},
    {"test", "website", true},
    {"pos", "physical_store", false},
    {"renewal", "system_generated", false},
    {"phone", "phone_call", false},
    {"email", "email", true},
    {"chat", "chat", true},
};
static const struct action_source system_generated = {"", "system_generated", false};
static const struct action_source website = {"", "website", true};
static const struct action_source other = {"", "other", true};  // draft orders, marketplaces

// A renewal happens without the buyer, however the subscription began. Without an origin, a browser's user agent says that there was one.
static const struct action_source *action_source_of(const struct event *e) {
    if (e->name == EVENT_RENEWAL_CHARGED)
        return &system_generated;
    for (size_t i = 0; i < COUNTOF(action_sources); i++)
        if (sv_is(e->origin, action_sources[i].origin))
            return &action_sources[i];
    if (sv_present(e->origin))
        return &other;
    return sv_present(e->user.user_agent) ? &website : &system_generated;
}

static bool has_money(struct arena *a, const struct event *e) {
    return amount_valid(e->value) && currency_upper(a, e->currency).p;
}

// ---- applies

static bool skip(struct sv *ret_reason, struct sv why) {
    *ret_reason = why;
    return false;
}

static bool allowed(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason) {
    if (!shop->meta.configured)
        return skip(ret_reason, SV("meta is not configured"));
    return consent_allows_sale(a, &shop->consent.meta, &e->rule->meta, e, ret_reason);
}

static bool applies(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason) {
    const struct rule_part *part = &e->rule->meta;
    struct scope scope = scope_of(a, e, shop);
    if (!shop->meta.configured)
        return skip(ret_reason, SV("meta is not configured"));
    if (!part_applies(part, &scope, ret_reason))
        return false;
    if (!sv_present(part->name))
        return skip(ret_reason, arena_fmt(a, "no Meta event for " SV_FMT, SV_ARG(event_label(e))));
    if (sv_is(e->origin, "test") && !sv_present(shop->meta.test_event_code))
        return skip(ret_reason, SV("test event and no test_event_code"));
    if (!allowed(a, e, shop, ret_reason))
        return false;
    if (sv_is(part->name, "Purchase") && !amount_valid(e->value))
        return skip(ret_reason, SV("Purchase without a value"));
    if (sv_is(part->name, "Purchase") && !currency_upper(a, e->currency).p)
        return skip(ret_reason, SV("Purchase without a currency"));
    if (!meta_user_is_enough(a, e, action_source_of(e)->browser))
        return skip(ret_reason, SV("too little identity for Meta"));
    return true;
}

static bool expired(int64_t event_ms, int64_t now_ms) {
    return now_ms - event_ms > AGE_MOST_MS;
}

// ---- body: a closed list of keys but in custom_data, because an unknown one rejects the request

// What looks like an e-mail address stays here: a search may hold anything.
static bool may_leave(const struct field *f, const struct scope *scope) {
    struct value v = expression_value(f->from, scope);
    return v.kind != VALUE_TEXT || !sv_contains_nocase(v.text, SV("@"));
}

// Unlike elsewhere unknown keys are allowed in custom_data, so a mapping may add its own. Money is ours: 0 counts.
static void write_custom_data(struct jw *w, struct arena *a, const struct event *e, const struct shop *shop) {
    static const struct limits limits = {.text_bytes = 10000, .list_length = 1000, .depth = 4};
    const struct fields *fields = &e->rule->meta.fields;
    struct scope scope = scope_of(a, e, shop);
    jw_open(w, '{');
    if (has_money(a, e)) {
        jw_member_number(w, "value", e->value);
        jw_member(w, "currency", currency_upper(a, e->currency));
    }
    for (size_t i = 0; i < fields->n; i++)
        if (may_leave(&fields->v[i], &scope))
            (void)field_write(w, &fields->v[i], &scope, &limits);
    jw_close(w, '}');
}

// Limited data use, for those who opted out where the shop sends nevertheless. Meta finds out country and state by the address; without
// one it wants to be told them.
static void write_limited_data_use(struct jw *w, struct arena *a, const struct event *e, bool browser) {
    int state = browser && sv_present(e->user.ip) ? 0 : limited_use_state(a, &e->user);
    jw_key(w, "data_processing_options");
    jw_open(w, '[');
    jw_string(w, SV("LDU"));
    jw_close(w, ']');
    jw_key(w, "data_processing_options_country");
    jw_int(w, state > 0);
    jw_key(w, "data_processing_options_state");
    jw_int(w, state);
}

// write_event: its return is where the identifiers came from.
static struct sv write_event(struct jw *w, struct arena *a, const struct event *e, const struct shop *shop, int64_t now_ms) {
    const struct action_source *source = action_source_of(e);
    jw_open(w, '{');
    jw_member(w, "event_name", e->rule->meta.name);
    jw_key(w, "event_time");
    jw_int(w, (e->time_ms < now_ms ? e->time_ms : now_ms) / 1000);  // never in the future
    jw_member(w, "event_id", e->id);
    jw_member(w, "action_source", sv_of(source->name));
    if (strcmp(source->name, "website") == 0)
        jw_member(w, "event_source_url", meta_page_url(a, e, shop));
    if (e->consent.opt_out_of_sale)
        write_limited_data_use(w, a, e, source->browser);
    jw_key(w, "user_data");
    struct sv origins = meta_user_write(w, a, e, source->browser);
    jw_key(w, "custom_data");
    write_custom_data(w, a, e, shop);
    jw_close(w, '}');
    return origins;
}

static struct draft draft(struct arena *a, const struct event *e, const struct shop *shop, int64_t now_ms) {
    struct buf out;
    struct jw w;
    buf_init(&out, BODY_BYTES_MOST);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_key(&w, "data");
    jw_open(&w, '[');
    struct draft made = {.identity = write_event(&w, a, e, shop, now_ms)};
    jw_close(&w, ']');
    jw_member(&w, "test_event_code", shop->meta.test_event_code);
    jw_member(&w, "partner_agent", SV("fireorder_0_1"));
    jw_close(&w, '}');
    made.body = buf_take(&out, a);
    return made;
}

// Whoever opted out after the body was made is not in it as one who did.
static bool outdated(const struct draft *draft, const struct event *e) {
    return e->consent.opt_out_of_sale && !sv_contains_nocase(draft->body, SV("\"data_processing_options\""));
}

// ---- address

// The token travels in a header: a URL ends up in logs.
static void address(struct arena *a, const struct shop *shop, const struct draft *sent, struct request *ret) {
    (void)sent;
    struct sv base = shop->meta.base_url;
    while (sv_ends(base, SV("/")))
        base = sv_sub(base, 0, base.n - 1);
    ret->url = arena_fmt(a, SV_FMT "/" SV_FMT "/" SV_FMT "/events", SV_ARG(base), SV_ARG(shop->meta.api_version),
                         SV_ARG(shop->meta.pixel_id));
    ret->header_count = 0;
    ret->headers[ret->header_count++] = arena_join(a, SVS(SV("Authorization: Bearer "), sv_trim(shop->meta.access_token)));
    ret->headers[ret->header_count++] = SV("Content-Type: application/json");
    ret->headers[ret->header_count++] = SV("Accept: application/json");
}

const struct destination destination_meta = {
    .name = "meta",
    .account = "meta",
    .leads = true,
    .allowed = allowed,
    .applies = applies,
    .outdated = outdated,
    .expired = expired,
    .draft = draft,
    .address = address,
    .outcome = meta_outcome,
};
