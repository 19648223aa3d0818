// path.c: a table of names, each with the place of its value in the event or a function that makes it.
#include "base/clock.h"
#include "base/faults.h"
#include "mapping/amount.h"
#include "mapping/content_id.h"
#include "mapping/rules/path.h"
#include "mapping/subscription.h"

#include <stddef.h>

#define KEYS_MOST 16

struct name {
    const char *text;
    enum { IN_EVENT, IN_ITEM, MADE } place;
    enum value_kind kind;                           // TEXT or NUMBER; what is MADE may be of another kind
    size_t offset;                                  // of a struct sv in struct event or struct item
    struct value (*make)(const struct scope *s);
};

struct path {
    const struct name *name;   // NULL: a property
    const char *property;
    const char *const *keys;   // that lead into it
    size_t key_count;
};

// ---- values

static struct value text_value(struct sv text) {
    return sv_present(text) ? (struct value){.kind = VALUE_TEXT, .text = text} : (struct value){0};
}

static struct value number_value(struct sv text) {
    return sv_present(text) ? (struct value){.kind = VALUE_NUMBER, .text = text} : (struct value){0};
}

// Money and quantities that are none are as good as absent.
static struct value amount_value(struct sv text) {
    return number_value(amount_valid(text) ? text : SV_NONE);
}

static struct value bool_value(bool truth) {
    return (struct value){.kind = VALUE_BOOL, .truth = truth};
}

static struct value scalar_value(enum json_type type, struct sv text) {
    switch (type) {
    case JSON_TRUE:
    case JSON_FALSE: return bool_value(type == JSON_TRUE);
    case JSON_STRING: return text_value(text);
    case JSON_NUMBER: return number_value(text);
    default: return (struct value){0};
    }
}

static struct value node_value(const struct json *node) {
    if (!node)
        return (struct value){0};
    if (node->type != JSON_ARRAY && node->type != JSON_OBJECT)
        return scalar_value(node->type, node->text);
    return node->count > 0 ? (struct value){.kind = VALUE_NODE, .node = node} : (struct value){0};
}

// ---- values that are made

static struct value event_name(const struct scope *s) {
    return text_value(event_label(s->event));
}

static struct value event_time(const struct scope *s) {
    return text_value(time_iso(s->arena, s->event->time_ms));
}

static struct value event_purpose(const struct scope *s) {
    return text_value(s->event->purpose == PURPOSE_TRANSACTIONAL ? SV("transactional") : SV("marketing"));
}

static struct value event_currency(const struct scope *s) {
    return text_value(currency_upper(s->arena, s->event->currency));
}

static struct value consent_value(enum consent_state state) {
    static const char *const texts[] = {[CONSENT_UNKNOWN] = NULL, [CONSENT_GRANTED] = "granted", [CONSENT_DENIED] = "denied"};
    return text_value(sv_of(texts[state]));
}

static struct value consent_marketing(const struct scope *s) {
    return consent_value(s->event->consent.marketing);
}

static struct value consent_analytics(const struct scope *s) {
    return consent_value(s->event->consent.analytics);
}

static struct value consent_opt_out(const struct scope *s) {
    return s->event->consent.opt_out_of_sale ? bool_value(true) : (struct value){0};
}

static struct value item_total(const struct scope *s) {
    return number_value(s->item ? amount_times(s->arena, s->item->price, s->item->quantity) : SV_NONE);
}

static struct value item_content_id(const struct scope *s) {
    return text_value(s->item ? content_id(s->arena, s->shop, s->event, s->item) : SV_NONE);
}

static struct value klaviyo_list(const struct scope *s) {
    return text_value(s->shop ? s->shop->klaviyo.list_id : SV_NONE);
}

static struct value klaviyo_subscribes(const struct scope *s) {
    struct sv reason;
    bool begins = s->shop && s->event->name == EVENT_SIGN_UP && subscription_begins(s->arena, s->event, s->shop, &reason);
    return begins ? bool_value(true) : (struct value){0};
}

static struct value klaviyo_subscribed(const struct scope *s) {
    return s->event->subscribed ? bool_value(true) : (struct value){0};
}

// ---- names

#define EVENT(path, field) {path, IN_EVENT, VALUE_TEXT, offsetof(struct event, field), NULL}
#define ITEM(field, kind) {"item." #field, IN_ITEM, kind, offsetof(struct item, field), NULL}
#define MAKE(path, kind, make) {path, MADE, kind, 0, make}

static const struct name names[] = {
    EVENT("id", id),
    MAKE("name", VALUE_TEXT, event_name),
    MAKE("time", VALUE_TEXT, event_time),
    EVENT("shop", shop),
    EVENT("source", source),
    EVENT("origin", origin),
    MAKE("purpose", VALUE_TEXT, event_purpose),
    {"value", IN_EVENT, VALUE_NUMBER, offsetof(struct event, value), NULL},
    MAKE("currency", VALUE_TEXT, event_currency),
    EVENT("user.email", user.email),
    EVENT("user.phone", user.phone),
    EVENT("user.external_id", user.external_id),
    EVENT("user.first_name", user.first_name),
    EVENT("user.last_name", user.last_name),
    EVENT("user.locale", user.locale),
    EVENT("user.ip", user.ip),
    EVENT("user.user_agent", user.user_agent),
    EVENT("user.fbp", user.fbp),
    EVENT("user.fbc", user.fbc),
    EVENT("user.address.address1", user.address1),
    EVENT("user.address.city", user.city),
    EVENT("user.address.region", user.region),
    EVENT("user.address.zip", user.zip),
    EVENT("user.address.country", user.country),
    MAKE("consent.marketing", VALUE_TEXT, consent_marketing),
    MAKE("consent.analytics", VALUE_TEXT, consent_analytics),
    MAKE("consent.opt_out_of_sale", VALUE_BOOL, consent_opt_out),
    EVENT("experiment.id", experiment_id),
    EVENT("experiment.variant", experiment_variant),
    ITEM(product_id, VALUE_TEXT),
    ITEM(variant_id, VALUE_TEXT),
    ITEM(sku, VALUE_TEXT),
    ITEM(title, VALUE_TEXT),
    ITEM(variant_title, VALUE_TEXT),
    ITEM(inventory_item_id, VALUE_TEXT),
    ITEM(price, VALUE_NUMBER),
    ITEM(quantity, VALUE_NUMBER),
    ITEM(url, VALUE_TEXT),
    ITEM(image_url, VALUE_TEXT),
    ITEM(category, VALUE_TEXT),
    ITEM(vendor, VALUE_TEXT),
    MAKE("item.total", VALUE_NUMBER, item_total),
    MAKE("klaviyo.list_id", VALUE_TEXT, klaviyo_list),
    MAKE("klaviyo.subscribes", VALUE_BOOL, klaviyo_subscribes),
    MAKE("klaviyo.subscribed", VALUE_BOOL, klaviyo_subscribed),
    MAKE("item.content_id", VALUE_TEXT, item_content_id),
};

// What holds more than one value is no path, but people will try.
static const struct {
    const char *text, *instead;
} groups[] = {
    {"event", "value"},
    {"user", "user.email"},
    {"user.address", "user.address.city"},
    {"consent", "consent.marketing"},
    {"experiment", "experiment.id"},
    {"properties", "properties.order_id"},
    {"item", "item.title"},
    {"items", "item.title"},
};

// ---- compiling

// The character may stand in a name: a path is told from its surroundings in a condition, and a slip is not taken for a property.
static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '$' ||
           (unsigned char)c >= 0x80;
}

static enum rc unknown(struct arena *a, struct sv text, struct err *e) {
    const char *known[COUNTOF(names)], *shown = shown_word(a, text);
    for (size_t i = 0; i < COUNTOF(groups); i++)
        if (sv_is(text, groups[i].text))
            return err_set(e, RC_INVALID, "\"%s\" holds more than one value: name one, such as %s", shown, groups[i].instead);
    for (size_t i = 0; i < COUNTOF(names); i++)
        known[i] = names[i].text;
    const char *near = nearest_word(text, known, COUNTOF(known));
    if (near)
        return err_set(e, RC_INVALID, "unknown path \"%s\", did you mean \"%s\"?", shown, near);
    static const char *const properties[] = {"properties"};
    struct sv head, tail;
    if (sv_cut(text, '.', &head, &tail) && nearest_word(head, properties, 1))
        return err_set(e, RC_INVALID, "unknown path \"%s\", did you mean \"properties.%s\"?", shown, shown_word(a, tail));
    return err_set(e, RC_INVALID, "unknown path \"%s\": paths are id, name, time, shop, source, origin, purpose, value, currency, "
                   "and what begins with user. consent. experiment. properties. or item.", shown);
}

static enum rc compile_property(struct arena *a, struct sv rest, struct path *p, struct err *e) {
    const char **keys = ARENA_ARRAY(a, const char *, KEYS_MOST);
    struct sv key;
    sv_cut(rest, '.', &key, &rest);
    p->property = arena_cstr(a, key);
    while (rest.p) {
        if (p->key_count == KEYS_MOST)
            return err_set(e, RC_INVALID, "the path leads more than %d keys into a property", KEYS_MOST);
        sv_cut(rest, '.', &key, &rest);
        keys[p->key_count++] = arena_cstr(a, key);
    }
    p->keys = keys;
    return RC_OK;
}

// Names and single points between them.
static enum rc check_form(struct sv text, struct err *e) {
    if (!sv_present(text))
        return err_set(e, RC_INVALID, "a path is missing, such as user.email");
    for (size_t i = 0; i < text.n; i++) {
        bool point = text.p[i] == '.';
        if (!point && !is_name_char(text.p[i]))
            return err_set(e, RC_INVALID, "a path is names with points between them, such as properties.order_id; a name is letters, "
                           "digits, _ - and $");
        if (point && (i == 0 || i + 1 == text.n || text.p[i - 1] == '.'))
            return err_set(e, RC_INVALID, "a name is missing %s a point of the path", i == 0 || text.p[i - 1] == '.' ? "before" : "after");
    }
    return RC_OK;
}

enum rc path_compile(struct arena *a, struct sv text, const struct path **ret, struct err *e) {
    *ret = NULL;
    struct path *p = ARENA_NEW(a, struct path);
    enum rc rc = check_form(text, e);
    if (rc != RC_OK)
        return rc;
    if (sv_starts(text, SV("event.")))
        text = sv_sub(text, 6, text.n);
    if (sv_starts(text, SV("properties."))) {
        rc = compile_property(a, sv_sub(text, 11, text.n), p, e);
    } else {
        for (size_t i = 0; i < COUNTOF(names) && !p->name; i++)
            if (sv_is(text, names[i].text))
                p->name = &names[i];
        rc = p->name ? RC_OK : unknown(a, text, e);
    }
    if (rc == RC_OK)
        *ret = p;
    return rc;
}

bool path_is_person(const struct path *p) {
    return p->name && sv_starts(sv_of(p->name->text), SV("user."));
}

bool path_is_item(const struct path *p) {
    return p->name && sv_starts(sv_of(p->name->text), SV("item."));
}

bool path_is_number(const struct path *p) {
    return p->name && p->name->kind == VALUE_NUMBER;
}

// ---- looking up

static const struct property *property_named(const struct event *e, const char *name) {
    for (size_t i = 0; i < e->property_count; i++)
        if (sv_is(e->properties[i].name, name))
            return &e->properties[i];
    return NULL;
}

static struct value property_value(const struct path *p, const struct event *e) {
    const struct property *property = property_named(e, p->property);
    if (!property || (p->key_count > 0 && !property->node))
        return (struct value){0};
    if (property->node) {
        const struct json *node = property->node;
        for (size_t i = 0; i < p->key_count; i++)
            node = json_get(node, p->keys[i]);
        return node_value(node);
    }
    if (property->type != JSON_ARRAY)
        return scalar_value(property->type, property->text);
    if (property->list_count == 0)
        return (struct value){0};
    return (struct value){.kind = VALUE_LIST, .list = property->list, .count = property->list_count};
}

struct value path_value(const struct path *p, const struct scope *s) {
    const struct name *name = p->name;
    if (!name)
        return property_value(p, s->event);
    if (name->place == MADE)
        return name->make(s);
    const void *from = name->place == IN_ITEM ? (const void *)s->item : (const void *)s->event;
    if (!from)
        return (struct value){0};
    struct sv text = *(const struct sv *)(const void *)((const char *)from + name->offset);
    return name->kind == VALUE_NUMBER ? amount_value(text) : text_value(text);
}
