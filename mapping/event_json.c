// event_json.c: the published JSON form of the canonical event. Members without a value are left out.
#include "base/clock.h"
#include "mapping/event.h"

#include <stddef.h>

// The members of `user` and `user.address`, for writing and for reading back.
struct member {
    const char *name;
    size_t offset;  // of a struct sv in struct user
};

#define MEMBER(field) {#field, offsetof(struct user, field)}

static const struct member person_members[] = {
    MEMBER(email), MEMBER(phone), MEMBER(external_id), MEMBER(first_name), MEMBER(last_name), MEMBER(locale),
};
static const struct member address_members[] = {
    MEMBER(address1), MEMBER(city), MEMBER(region), MEMBER(zip), MEMBER(country),
};
static const struct member browser_members[] = {
    MEMBER(ip), MEMBER(user_agent), MEMBER(fbp), MEMBER(fbc),
};

static struct sv get(const struct user *u, const struct member *m) {
    return *(const struct sv *)(const void *)((const char *)u + m->offset);
}

static void write_members(struct jw *w, const struct user *u, const struct member *members, size_t n) {
    for (size_t i = 0; i < n; i++)
        jw_member(w, members[i].name, get(u, &members[i]));
}

void user_write(struct jw *w, const struct user *u) {
    bool has_address = false;
    for (size_t i = 0; i < COUNTOF(address_members); i++)
        has_address |= sv_present(get(u, &address_members[i]));
    jw_open(w, '{');
    write_members(w, u, person_members, COUNTOF(person_members));
    if (has_address) {
        jw_key(w, "address");
        jw_open(w, '{');
        write_members(w, u, address_members, COUNTOF(address_members));
        jw_close(w, '}');
    }
    write_members(w, u, browser_members, COUNTOF(browser_members));
    jw_close(w, '}');
}

static void read_members(struct arena *a, const struct json *object, const struct member *members, size_t n, struct user *u) {
    for (size_t i = 0; i < n; i++)
        *(struct sv *)(void *)((char *)u + members[i].offset) = arena_dup(a, json_text(json_get(object, members[i].name)));
}

void user_read(struct arena *a, const struct json *node, struct user *ret) {
    *ret = (struct user){0};
    read_members(a, node, person_members, COUNTOF(person_members), ret);
    read_members(a, json_get(node, "address"), address_members, COUNTOF(address_members), ret);
    read_members(a, node, browser_members, COUNTOF(browser_members), ret);
}

static void write_time(struct jw *w, const char *name, int64_t ms) {
    char text[32];
    time_iso_ms(text, ms);
    text[19] = 'Z';  // seconds are as fine as the destinations keep
    jw_member(w, name, (struct sv){text, 20});
}

static struct sv consent_text(enum consent_state state) {
    static const char *const texts[] = {[CONSENT_UNKNOWN] = NULL, [CONSENT_GRANTED] = "granted", [CONSENT_DENIED] = "denied"};
    return sv_of(texts[state]);
}

static void write_consent(struct jw *w, const struct event *e) {
    const struct consent *consent = &e->consent;
    if (consent->marketing == CONSENT_UNKNOWN && consent->analytics == CONSENT_UNKNOWN && !consent->opt_out_of_sale)
        return;
    jw_key(w, "consent");
    jw_open(w, '{');
    jw_member(w, "marketing", consent_text(consent->marketing));
    jw_member(w, "analytics", consent_text(consent->analytics));
    if (consent->opt_out_of_sale) {
        jw_key(w, "opt_out_of_sale");
        jw_bool(w, true);
    }
    if (e->consent_at_ms != 0 && e->consent_at_ms / 1000 != e->time_ms / 1000)
        write_time(w, "at", e->consent_at_ms);
    jw_close(w, '}');
}

static void write_items(struct jw *w, const struct event *e) {
    if (e->item_count == 0)
        return;
    jw_key(w, "items");
    jw_open(w, '[');
    for (size_t i = 0; i < e->item_count; i++) {
        const struct item *item = &e->items[i];
        jw_open(w, '{');
        jw_member(w, "product_id", item->product_id);
        jw_member(w, "variant_id", item->variant_id);
        jw_member(w, "inventory_item_id", item->inventory_item_id);
        jw_member(w, "sku", item->sku);
        jw_member(w, "title", item->title);
        jw_member(w, "variant_title", item->variant_title);
        jw_member_number(w, "quantity", item->quantity);
        jw_member(w, "price", item->price);
        jw_member(w, "url", item->url);
        jw_member(w, "image_url", item->image_url);
        jw_member(w, "category", item->category);
        jw_member(w, "vendor", item->vendor);
        jw_close(w, '}');
    }
    jw_close(w, ']');
}

static void write_property(struct jw *w, const struct property *p) {
    jw_key_sv(w, p->name);
    if (p->node) {
        jw_node(w, p->node);
    } else if (p->type == JSON_ARRAY) {
        jw_open(w, '[');
        for (size_t i = 0; i < p->list_count; i++)
            jw_string(w, p->list[i]);
        jw_close(w, ']');
    } else if (p->type == JSON_NUMBER) {
        jw_number(w, p->text);
    } else if (p->type == JSON_TRUE || p->type == JSON_FALSE) {
        jw_bool(w, p->type == JSON_TRUE);
    } else {
        jw_string(w, p->text);
    }
}

static void write_properties(struct jw *w, const struct event *e) {
    if (e->property_count == 0)
        return;
    jw_key(w, "properties");
    jw_open(w, '{');
    for (size_t i = 0; i < e->property_count; i++)
        write_property(w, &e->properties[i]);
    jw_close(w, '}');
}

static void write_experiment(struct jw *w, const struct event *e) {
    if (!sv_present(e->experiment_id) && !sv_present(e->experiment_variant))
        return;
    jw_key(w, "experiment");
    jw_open(w, '{');
    jw_member(w, "id", e->experiment_id);
    jw_member(w, "variant", e->experiment_variant);
    jw_close(w, '}');
}

void event_write(struct jw *w, const struct event *e) {
    jw_open(w, '{');
    jw_member(w, "id", e->id);
    jw_member(w, "name", event_label(e));
    write_time(w, "time", e->time_ms);
    jw_member(w, "shop", e->shop);
    jw_member(w, "source", e->source);
    jw_member(w, "origin", e->origin);
    jw_member(w, "purpose", e->purpose == PURPOSE_TRANSACTIONAL ? SV("transactional") : SV("marketing"));
    jw_key(w, "user");
    user_write(w, &e->user);
    write_consent(w, e);
    jw_member(w, "value", e->value);
    jw_member(w, "currency", e->currency);
    write_items(w, e);
    write_properties(w, e);
    write_experiment(w, e);
    jw_close(w, '}');
}
