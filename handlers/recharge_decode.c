// recharge_decode.c: charges and subscriptions, as API 2021-11 and 2021-01 write them. Recharge's types drift (a number may come as
// text, a flag as 0 or 1), so everything is read as text.
#include "base/clock.h"
#include "handlers/decimal.h"
#include "handlers/recharge.h"

#include <inttypes.h>

// 2021-01 times say no zone and are US Eastern. Daylight saving time is taken all year: at most an hour off, in winter.
#define EASTERN_MINUTES (-240)

// One delivery: the resource under its own key, and the customer beside it when the webhook was registered with included_objects.
struct delivery {
    const struct json *node, *customer;
    struct sv id, customer_id;  // customer_id: Recharge's own
    struct user person;
};

static struct sv of_either(const struct delivery *d, const char *const *of_node, const char *const *of_customer) {
    struct sv text = first_text(d->node, of_node);
    return text.p ? text : first_text(d->customer, of_customer);
}

static void take_name(const struct delivery *d, struct user *u) {
    const struct json *const places[] = {
        d->customer, d->node, json_get(d->node, "billing_address"), json_get(d->node, "shipping_address"),
    };
    for (size_t i = 0; i < COUNTOF(places) && !u->first_name.p && !u->last_name.p; i++) {
        u->first_name = json_str(places[i], "first_name");
        u->last_name = json_str(places[i], "last_name");
    }
}

static void take_address(const struct delivery *d, struct user *u) {
    const struct json *address = json_get(d->node, "shipping_address");
    if (!json_is_object(address) || address->count == 0)
        address = json_get(d->node, "billing_address");
    u->address1 = json_str(address, "address1");
    u->city = json_str(address, "city");
    u->region = first_text(address, PATHS("province_code", "province"));
    u->zip = json_str(address, "zip");
    u->country = country_code(first_text(address, PATHS("country_code", "country")));
}

static struct user person_of(const struct delivery *d) {
    struct user u = {
        .email = of_either(d, PATHS("customer.email", "email"), PATHS("email")),
        .phone = of_either(d, PATHS("customer.phone", "shipping_address.phone", "billing_address.phone"), PATHS("phone")),
        .external_id = decimal_id(of_either(d, PATHS("customer.external_customer_id.ecommerce", "shopify_customer_id"),
                                            PATHS("external_customer_id.ecommerce", "shopify_customer_id"))),
    };
    take_name(d, &u);
    take_address(d, &u);
    return u;
}

// open_delivery: false, with the reason in *ret, when the body is not about such a resource.
static bool open_delivery(struct arena *a, const struct json *body, const char *resource, struct delivery *d, struct decoded *ret) {
    *d = (struct delivery){.node = json_get(body, resource), .customer = json_get(body, "customer")};
    d->id = decimal_id(json_str(d->node, "id"));
    if (!d->id.p) {
        ret->undecodable = arena_fmt(a, "body is not a %s: %s", resource, d->node ? "it has no id" : "there is no such member");
        return false;
    }
    d->customer_id = decimal_id(of_either(d, PATHS("customer.id", "customer_id"), PATHS("id")));
    d->person = person_of(d);
    decoded_remember(a, ret, "recharge_customer", d->customer_id, &d->person);
    return true;
}

// The attributes are those of the subscription's first checkout, copied to every charge: consent and experiment still hold, the click
// ids in them belong to a visit long ago and are not taken.
static void take_attributes(struct arena *a, const struct delivery *d, struct event *e) {
    static const char *const lists[] = {"order_attributes", "note_attributes", "properties"};
    for (size_t i = 0; i < COUNTOF(lists); i++) {
        attributes_consent(a, json_get(d->node, lists[i]), e);
        attributes_experiment(json_get(d->node, lists[i]), e);
    }
    JSON_EACH(line, json_get(d->node, "line_items"))
        attributes_experiment(json_get(line, "properties"), e);
}

static struct item item_of(const struct json *item) {
    return (struct item){
        .product_id = first_text(item, PATHS("external_product_id.ecommerce", "shopify_product_id")),
        .variant_id = first_text(item, PATHS("external_variant_id.ecommerce", "shopify_variant_id")),
        .sku = json_str(item, "sku"),
        .title = first_text(item, PATHS("title", "product_title")),
        .variant_title = json_str(item, "variant_title"),
        .price = money(first_text(item, PATHS("unit_price", "price"))),
        .quantity = json_str(item, "quantity"),
    };
}

static void charge_items(struct arena *a, const struct json *lines, struct event *e) {
    if (!json_is_array(lines) || lines->count == 0)
        return;
    e->items = ARENA_ARRAY(a, struct item, lines->count);
    struct sv subscription = SV_NONE;
    JSON_EACH(line, lines) {
        e->items[e->item_count++] = item_of(line);
        bool onetime = sv_is_nocase(json_str(line, "purchase_item_type"), "onetime");
        if (!subscription.p && !onetime)
            subscription = decimal_id(first_text(line, PATHS("purchase_item_id", "subscription_id")));
    }
    event_property(e, "subscription_id", subscription);
    event_total_items(a, e);
}

// 2021-11 lists them as discounts, 2021-01 as discount_codes.
static void charge_discounts(struct arena *a, const struct json *charge, struct event *e) {
    const struct json *list = json_get(charge, "discounts");
    if (!json_is_array(list))
        list = json_get(charge, "discount_codes");
    discount_codes(a, list, e);
}

static struct sv date_of(struct sv time) {
    int64_t ms;
    return time_parse(time, EASTERN_MINUTES, &ms) ? sv_sub(time, 0, 10) : SV_NONE;
}

static struct event *charge_event(struct arena *a, const struct shop *shop, const struct topic *topic, const struct delivery *d) {
    struct event *e = event_new(a, shop, "recharge", topic->event);
    e->origin = SV("renewal");
    e->user = d->person;
    e->value = money(json_str(d->node, "total_price"));
    e->currency = currency_code(json_str(d->node, "currency"));
    take_attributes(a, d, e);
    charge_items(a, json_get(d->node, "line_items"), e);
    charge_discounts(a, d->node, e);
    e->due = date_of(json_str(d->node, "scheduled_at"));
    event_property(e, "charge_id", d->id);
    event_property(e, "shipping_country", e->user.country);
    return e;
}

static bool first_order(const struct delivery *d) {
    return sv_is_nocase(json_str(d->node, "type"), "checkout");
}

static struct sv order_id(const struct delivery *d) {
    return decimal_id(first_text(d->node, PATHS("external_order_id.ecommerce", "shopify_order_id")));
}

// A charge may be created a whole interval before it is paid: created_at is the last resort.
void charge_paid(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct delivery d;
    if (!open_delivery(a, body, "charge", &d, ret))
        return;
    if (first_order(&d)) {
        struct sv order = order_id(&d);
        ret->ignored = SV("first order: Shopify reports the purchase");
        ret->mirrors = order.p ? arena_fmt(a, "ord_" SV_FMT "_purchase", SV_ARG(order)) : SV_NONE;
        return;
    }
    struct event *e = charge_event(a, shop, topic, &d);
    if (!first_time(d.node, PATHS("processed_at", "updated_at", "created_at"), EASTERN_MINUTES, &e->time_ms)) {
        ret->undecodable = SV("charge has no time");
        return;
    }
    struct sv order = order_id(&d);  // the Shopify order that mirrors this charge; both sides make the same event id of it
    struct sv of_charge = arena_fmt(a, "rc_charge_" SV_FMT "_renewal", SV_ARG(d.id));  // an order may be made after the charge was told
    e->id = order.p ? arena_fmt(a, "ord_" SV_FMT "_renewal", SV_ARG(order)) : of_charge;
    e->also = order.p ? of_charge : SV_NONE;
    event_property(e, "order_id", order);
    decoded_event(ret, e);
}

void charge_failed(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct delivery d;
    if (!open_delivery(a, body, "charge", &d, ret))
        return;
    if (first_order(&d)) {
        ret->ignored = SV("first order: not a renewal");
        return;
    }
    struct event *e = charge_event(a, shop, topic, &d);
    if (!first_time(d.node, PATHS("last_charge_attempt", "last_charge_attempt_date", "updated_at", "created_at"), EASTERN_MINUTES, &e->time_ms)) {
        ret->undecodable = SV("charge has no time");
        return;
    }
    e->id = arena_fmt(a, "rc_charge_" SV_FMT "_failed", SV_ARG(d.id));
    event_property(e, "reason", first_text(d.node, PATHS("error_type", "error")));
    event_property(e, "retry_date", json_str(d.node, "retry_date"));
    event_property_number(e, "charge_attempts", decimal_id(first_text(d.node, PATHS("charge_attempts", "number_times_tried"))));
    decoded_event(ret, e);
}

// ---- subscriptions

static struct sv order_value(struct arena *a, const struct delivery *d) {
    struct decimal value;
    if (!decimal_of(json_str(d->node, "price"), &value))
        return SV_NONE;
    struct sv quantity = json_str(d->node, "quantity");
    return !quantity.p || decimal_times(&value, quantity) ? decimal_text(a, value) : SV_NONE;
}

static struct schedule schedule_of(const struct json *node) {
    return (struct schedule){
        .every = decimal_id(first_text(node, PATHS("order_interval_frequency", "charge_interval_frequency"))),
        .unit = interval_unit(json_str(node, "order_interval_unit")),
        .charge_every = decimal_id(json_str(node, "charge_interval_frequency")),
        .next = date_of(json_str(node, "next_charge_scheduled_at")),
    };
}

// open_subscription: like open_delivery; what it says of its schedule is told to its charges, of which none comes once it has ended.
static bool open_subscription(struct arena *a, const struct json *body, struct delivery *d, struct decoded *ret) {
    if (!open_delivery(a, body, "subscription", d, ret))
        return false;
    struct sv status = json_str(d->node, "status");
    ret->schedule = schedule_of(d->node);
    if (status.p && !sv_is_nocase(status, "active"))
        ret->schedule.next = SV_NONE;
    if (first_time(d->node, PATHS("updated_at", "created_at"), EASTERN_MINUTES, &ret->schedule.as_of_ms))
        ret->schedule_of = d->id;
    return true;
}

// subscription_event: all but id and time. Since 2021-11 a subscription names only its customer's id; who that is was kept from charges.
static struct event *subscription_event(struct arena *a, const struct shop *shop, const struct topic *topic, const struct delivery *d) {
    struct event *e = event_new(a, shop, "recharge", topic->event);
    e->origin = SV("subscription");
    e->user = d->person;
    if (d->customer_id.p)
        e->recall[e->recall_count++] = arena_fmt(a, "recharge_customer:" SV_FMT, SV_ARG(d->customer_id));
    e->value = order_value(a, d);
    e->currency = currency_code(first_text(d->node, PATHS("presentment_currency", "currency")));
    e->items = ARENA_NEW(a, struct item);
    e->items[0] = item_of(d->node);
    e->item_count = 1;
    take_attributes(a, d, e);
    event_property(e, "subscription_id", d->id);
    event_property(e, "product_title", json_str(d->node, "product_title"));
    const struct schedule schedule = schedule_of(d->node);
    event_property(e, "cadence", schedule_cadence(a, &schedule));
    event_property(e, "next_charge_date", schedule.next);
    return e;
}

// A subscription that is activated again is the same fact to us: it has started once.
void subscription_started(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct delivery d;
    if (!open_subscription(a, body, &d, ret))
        return;
    struct event *e = subscription_event(a, shop, topic, &d);
    if (!first_time(d.node, PATHS("created_at"), EASTERN_MINUTES, &e->time_ms)) {
        ret->undecodable = SV("subscription has no created_at");
        return;
    }
    e->id = arena_fmt(a, "sub_" SV_FMT "_started", SV_ARG(d.id));
    decoded_event(ret, e);
}

static void cancellation(struct arena *a, const struct shop *shop, const struct topic *topic, const struct delivery *d, struct decoded *ret) {
    struct event *e = subscription_event(a, shop, topic, d);
    if (!first_time(d->node, PATHS("cancelled_at"), EASTERN_MINUTES, &e->time_ms)) {
        ret->undecodable = SV("subscription has no cancelled_at");
        return;
    }
    e->id = arena_fmt(a, "sub_" SV_FMT "_cancelled_%" PRId64, SV_ARG(d->id), e->time_ms / 1000);
    event_property(e, "reason", json_str(d->node, "cancellation_reason"));
    decoded_event(ret, e);
}

void subscription_cancelled(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct delivery d;
    if (open_subscription(a, body, &d, ret))
        cancellation(a, shop, topic, &d, ret);
}

// The charge that was skipped is not in the body; the one that is next after it names the skip just as well, and the day of the
// skip where none is planned.
void subscription_skipped(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct delivery d;
    if (!open_subscription(a, body, &d, ret))
        return;
    struct event *e = subscription_event(a, shop, topic, &d);
    if (!first_time(d.node, PATHS("updated_at", "created_at"), EASTERN_MINUTES, &e->time_ms)) {
        ret->undecodable = SV("subscription has no time");
        return;
    }
    struct sv next = event_property_text(e, "next_charge_date");
    struct sv date = sv_present(next) ? next : sv_sub(time_iso(a, e->time_ms), 0, 10);
    e->id = arena_fmt(a, "sub_" SV_FMT "_skipped_" SV_FMT, SV_ARG(d.id), SV_ARG(date));
    decoded_event(ret, e);
}

// Whatever else changes. A cancellation that Recharge makes by itself may come as an update only.
void subscription_updated(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct delivery d;
    if (!open_subscription(a, body, &d, ret))
        return;
    if (sv_is_nocase(json_str(d.node, "status"), "cancelled") && json_str(d.node, "cancelled_at").p)
        cancellation(a, shop, topic, &d, ret);
    else
        ret->ignored = SV("subscription changed: neither started, skipped nor cancelled");
}
