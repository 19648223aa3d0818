// event.c: names, properties and identity of the canonical event.
#include "mapping/event.h"

#include <stddef.h>
#include <string.h>

static const char *const names[EVENT_NAME_COUNT] = {
    [EVENT_CUSTOM] = "custom",
    [EVENT_PURCHASE] = "purchase",
    [EVENT_REPEAT_PURCHASE] = "repeat_purchase",
    [EVENT_CHECKOUT_STARTED] = "checkout_started",
    [EVENT_CART_STARTED] = "cart_started",
    [EVENT_ADD_TO_CART] = "add_to_cart",
    [EVENT_PRODUCT_VIEWED] = "product_viewed",
    [EVENT_SEARCH] = "search",
    [EVENT_SIGN_UP] = "sign_up",
    [EVENT_LEAD] = "lead",
    [EVENT_REFUND] = "refund",
    [EVENT_ORDER_CANCELLED] = "order_cancelled",
    [EVENT_ORDER_FULFILLED] = "order_fulfilled",
    [EVENT_BACK_IN_STOCK_REQUESTED] = "back_in_stock_requested",
    [EVENT_INVENTORY_RESTOCKED] = "inventory_restocked",
    [EVENT_BECAME_AT_RISK] = "became_at_risk",
    [EVENT_SUBSCRIPTION_STARTED] = "subscription_started",
    [EVENT_RENEWAL_CHARGED] = "renewal_charged",
    [EVENT_RENEWAL_FAILED] = "renewal_failed",
    [EVENT_SKIPPED_ORDER] = "skipped_order",
    [EVENT_SUBSCRIPTION_CANCELLED] = "subscription_cancelled",
    [EVENT_CONSENT_REVOKED] = "consent_revoked",
};

// What others call the same thing.
static const struct {
    const char *alias;
    enum event_name name;
} aliases[] = {
    {"begin_checkout", EVENT_CHECKOUT_STARTED},
    {"started_checkout", EVENT_CHECKOUT_STARTED},
    {"view_content", EVENT_PRODUCT_VIEWED},
    {"view_item", EVENT_PRODUCT_VIEWED},
};

static const enum purpose purposes[EVENT_NAME_COUNT] = {  // not named: marketing
    [EVENT_PURCHASE] = PURPOSE_TRANSACTIONAL,
    [EVENT_REPEAT_PURCHASE] = PURPOSE_TRANSACTIONAL,
    [EVENT_REFUND] = PURPOSE_TRANSACTIONAL,
    [EVENT_ORDER_CANCELLED] = PURPOSE_TRANSACTIONAL,
    [EVENT_ORDER_FULFILLED] = PURPOSE_TRANSACTIONAL,
    [EVENT_SUBSCRIPTION_STARTED] = PURPOSE_TRANSACTIONAL,
    [EVENT_RENEWAL_CHARGED] = PURPOSE_TRANSACTIONAL,
    [EVENT_RENEWAL_FAILED] = PURPOSE_TRANSACTIONAL,
    [EVENT_SUBSCRIPTION_CANCELLED] = PURPOSE_TRANSACTIONAL,
};

enum purpose purpose_of(enum event_name name) {
    return purposes[name < EVENT_NAME_COUNT ? name : EVENT_CUSTOM];
}

const char *event_name_text(enum event_name name) {
    return names[name < EVENT_NAME_COUNT ? name : EVENT_CUSTOM];
}

enum event_name event_name_of(struct sv text) {
    for (enum event_name name = EVENT_PURCHASE; name < EVENT_NAME_COUNT; name++)
        if (sv_is(text, names[name]))
            return name;
    for (size_t i = 0; i < COUNTOF(aliases); i++)
        if (sv_is(text, aliases[i].alias))
            return aliases[i].name;
    return EVENT_CUSTOM;
}

bool event_name_valid(struct sv text) {
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return text.n >= 1 && text.n <= 64;
}

struct sv event_label(const struct event *e) {
    bool has_own = e->name == EVENT_CUSTOM && sv_present(e->custom_name);
    return has_own ? e->custom_name : sv_of(event_name_text(e->name));
}

// ---- properties

static const struct property *find(const struct event *e, struct sv name) {
    for (size_t i = 0; i < e->property_count; i++)
        if (sv_eq(e->properties[i].name, name))
            return &e->properties[i];
    return NULL;
}

// A name occurs once: what is set later replaces what was there. Beyond EVENT_PROPERTIES_MAX names, new ones are dropped.
static void set(struct event *e, struct property property) {
    const struct property *old = find(e, property.name);
    if (old)
        e->properties[old - e->properties] = property;
    else if (e->property_count < EVENT_PROPERTIES_MAX)
        e->properties[e->property_count++] = property;
}

void event_property(struct event *e, const char *name, struct sv text) {
    if (sv_present(text))
        set(e, (struct property){.name = sv_of(name), .type = JSON_STRING, .text = text});
}

void event_property_number(struct event *e, const char *name, struct sv text) {
    if (sv_present(text))
        set(e, (struct property){.name = sv_of(name), .type = JSON_NUMBER, .text = text});
}

void event_property_list(struct event *e, const char *name, const struct sv *list, size_t n) {
    if (n > 0)
        set(e, (struct property){.name = sv_of(name), .type = JSON_ARRAY, .list = list, .list_count = n});
}

void event_property_node(struct event *e, struct sv name, const struct json *node) {
    if (node && sv_present(name))
        set(e, (struct property){.name = name, .type = node->type, .node = node});
}

void event_property_set(struct event *e, const struct property *p) {
    set(e, *p);
}

static struct sv text_of(const struct property *p) {
    return p->node ? json_text(p->node) : p->text;
}

struct sv event_property_text(const struct event *e, const char *name) {
    const struct property *property = find(e, sv_of(name));
    return property ? text_of(property) : SV_NONE;
}

// ---- identity

bool user_has_identifier(const struct user *u) {
    return sv_present(u->email) || sv_present(u->phone) || sv_present(u->external_id);
}

static void fill(struct sv *field, struct sv known) {
    *field = sv_first(*field, known);
}

static bool contradict(struct sv a, struct sv b) {
    return sv_present(a) && sv_present(b) && !sv_eq_nocase(sv_trim(a), sv_trim(b));
}

static bool has_address(const struct user *u) {
    return sv_present(u->address1) || sv_present(u->city) || sv_present(u->region) || sv_present(u->zip);
}

static void note_filled(const char **origin, struct sv before, struct sv now, const char *from) {
    if (!sv_present(before) && sv_present(now))
        *origin = from;
}

void event_fill(struct event *e, const struct user *known, const char *from) {
    const struct user before = e->user;
    user_fill(&e->user, known);
    note_filled(&e->origins.email, before.email, e->user.email, from);
    note_filled(&e->origins.phone, before.phone, e->user.phone, from);
    note_filled(&e->origins.external_id, before.external_id, e->user.external_id, from);
}

// Two people are not mixed: where e-mail or customer id contradict, nothing is taken. Names and addresses are taken whole, never in parts.
void user_fill(struct user *u, const struct user *known) {
    if (contradict(u->email, known->email) || contradict(u->external_id, known->external_id))
        return;
    fill(&u->email, known->email);
    fill(&u->phone, known->phone);
    fill(&u->external_id, known->external_id);
    fill(&u->locale, known->locale);
    if (!sv_present(u->first_name) && !sv_present(u->last_name)) {
        u->first_name = known->first_name;
        u->last_name = known->last_name;
    }
    if (!has_address(u) && !contradict(u->country, known->country)) {
        u->address1 = known->address1;
        u->city = known->city;
        u->region = known->region;
        u->zip = known->zip;
        fill(&u->country, known->country);
    }
}

static void copy_user(struct arena *a, struct user *u) {
    struct sv *texts[] = {&u->email, &u->phone, &u->external_id, &u->first_name, &u->last_name, &u->locale, &u->address1, &u->city, &u->region,
                          &u->zip, &u->country, &u->ip, &u->user_agent, &u->fbp, &u->fbc};
    for (size_t i = 0; i < COUNTOF(texts); i++)
        *texts[i] = arena_dup(a, *texts[i]);
}

struct event *event_in_short(struct arena *a, const struct event *e) {
    struct event *s = arena_alloc(a, offsetof(struct event, properties) + e->property_count * sizeof e->properties[0]);
    memcpy(s, e, offsetof(struct event, properties));
    struct sv *texts[] = {&s->id, &s->also, &s->custom_name, &s->shop, &s->source, &s->origin, &s->value, &s->currency, &s->experiment_id,
                          &s->experiment_variant, &s->due, &s->recall[0], &s->recall[1], &s->recall[2]};
    for (size_t i = 0; i < COUNTOF(texts); i++)
        *texts[i] = arena_dup(a, *texts[i]);
    copy_user(a, &s->user);
    s->origins = (struct origins){0};
    s->items = NULL;
    s->item_count = s->property_count = 0;
    for (size_t i = 0; i < e->property_count; i++) {
        const struct property *p = &e->properties[i];
        struct sv text = text_of(p);
        if (text.p)
            s->properties[s->property_count++] = (struct property){.name = arena_dup(a, p->name), .type = p->type, .text = arena_dup(a, text)};
    }
    return s;
}
