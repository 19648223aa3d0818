#include "base/clock.h"
#include "handlers/decimal.h"
#include "handlers/decode.h"
#include "mapping/consent.h"
#include "mapping/normalise.h"

struct sv first_text(const struct json *node, const char *const *paths) {
    struct sv text = SV_NONE;
    for (; *paths && !text.p; paths++)
        text = json_str(node, *paths);
    return text;
}

bool first_time(const struct json *node, const char *const *paths, int default_offset_minutes, int64_t *ret_ms) {
    for (; *paths; paths++)
        if (time_parse(json_str(node, *paths), default_offset_minutes, ret_ms))
            return true;
    return false;
}

// all_between: text has 1 to most characters, each from low to high.
static struct sv all_between(struct sv text, size_t most, char low, char high) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < low || text.p[i] > high)
            return SV_NONE;
    return text.n > 0 && text.n <= most ? text : SV_NONE;
}

struct sv decimal_id(struct sv text) {
    return all_between(text, 20, '0', '9');
}

struct sv token_id(struct sv text) {
    return all_between(text, 200, '!', '~');
}

struct sv money(struct sv text) {
    struct decimal d;
    return decimal_of(text, &d) ? text : SV_NONE;
}

static struct sv letters(struct sv text, size_t n) {
    for (size_t i = 0; i < text.n; i++)
        if ((text.p[i] | 0x20) < 'a' || (text.p[i] | 0x20) > 'z')
            return SV_NONE;
    return text.n == n ? text : SV_NONE;
}

struct sv currency_code(struct sv text) {
    return letters(text, 3);
}

struct sv country_code(struct sv text) {
    return sv_first(letters(text, 2), country_named(text));
}

bool tagged(struct sv tags, const char *tag) {
    for (struct sv one, rest = tags; rest.p; ) {
        sv_cut(rest, ',', &one, &rest);
        if (sv_is_nocase(sv_trim(one), tag))
            return true;
    }
    return false;
}

struct sv attribute(const struct json *list, const char *name) {
    if (json_is_object(list))
        return json_text(json_get(list, name));
    struct sv value = SV_NONE;
    JSON_EACH(item, list) {
        if (!value.p && sv_is(json_str(item, "name"), name))
            value = json_str(item, "value");
    }
    return value;
}

// A cart may have the attribute twice, by the theme and by an app: a refusal wins.
void attributes_consent(struct arena *a, const struct json *list, struct event *e) {
    struct consent said = {0};
    JSON_EACH(item, list) {
        struct consent one = {0};
        bool named = json_is_object(list) ? sv_is(item->key, "_consent") : sv_is(json_str(item, "name"), "_consent");
        const struct json *value = json_is_object(list) ? item : json_get(item, "value");
        if (named && value && (value->type == JSON_TRUE || value->type == JSON_FALSE))
            consent_read(a, value->type == JSON_TRUE ? SV("true") : SV("false"), &one);
        else if (named)
            consent_read(a, json_text(value), &one);
        consent_tighten(&said, one);
    }
    consent_apply(&e->consent, said);
}

static struct sv either(const struct json *list, const char *name, const char *hidden) {
    return sv_first(attribute(list, name), attribute(list, hidden));
}

// A leading underscore hides an attribute from the buyer in Shopify's themes.
void attributes_experiment(const struct json *list, struct event *e) {
    struct sv id = either(list, "experiment_id", "_experiment_id");
    if (sv_present(e->experiment_id) || !sv_present(id))
        return;
    e->experiment_id = id;
    e->experiment_variant = either(list, "variant", "_variant");
}

struct event *event_new(struct arena *a, const struct shop *shop, const char *source, enum event_name name) {
    struct event *e = ARENA_NEW(a, struct event);
    e->shop = shop->name;
    e->source = sv_of(source);
    event_is(e, name);
    return e;
}

void event_is(struct event *e, enum event_name name) {
    e->name = name;
    e->purpose = purpose_of(name);
}

void event_forget_browser(struct event *e) {
    e->user.ip = e->user.user_agent = e->user.fbp = e->user.fbc = SV_NONE;
    e->clicked = false;
    e->dropped = 0;
}

void event_total_items(struct arena *a, struct event *e) {
    struct decimal total = {0}, quantity;
    for (size_t i = 0; i < e->item_count; i++)
        if (decimal_of(e->items[i].quantity, &quantity))
            (void)decimal_add(&total, quantity);
    event_property_number(e, "item_count", decimal_text(a, total));
}

void decoded_event(struct decoded *ret, struct event *e) {
    ret->events = e;
    ret->count = 1;
}

void decoded_remember(struct arena *a, struct decoded *ret, const char *kind, struct sv id, const struct user *person) {
    if (!sv_present(id) || !user_has_identifier(person) || ret->remember_count == COUNTOF(ret->remember))
        return;
    ret->person = *person;
    ret->remember[ret->remember_count++] = arena_join(a, SVS(sv_of(kind), SV(":"), id));
}

void discount_codes(struct arena *a, const struct json *list, struct event *e) {
    struct sv *codes = ARENA_ARRAY(a, struct sv, json_is_array(list) ? list->count + 1 : 1);
    size_t n = 0;
    JSON_EACH(discount, json_is_array(list) ? list : NULL) {
        struct sv code = json_str(discount, "code");
        if (code.p)
            codes[n++] = code;
    }
    event_property(e, "discount_code", n > 0 ? codes[0] : SV_NONE);
    event_property_list(e, "discount_codes", codes, n);
}

void decoded_as_of(struct arena *a, struct decoded *ret, const char *channel, struct sv address, struct sv id, int64_t as_of_ms) {
    bool by_email = sv_is(sv_of(channel), "email");
    struct sv normal = by_email ? normal_email(a, address) : normal_phone(a, address, SV_NONE);
    ret->supersedes_key = arena_fmt(a, "consent:%s:" SV_FMT, channel, SV_ARG(sv_first(normal, id)));
    ret->as_of_ms = as_of_ms;
}
