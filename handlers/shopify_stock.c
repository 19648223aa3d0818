// shopify_stock.c: what can be bought again. Shopify says which variant, never who waits for it. A body to which somebody (a flow, a
// back-in-stock app) has added a person becomes that person's event; any other one is for those who asked for it (handlers/waiting.h).
#include "base/clock.h"
#include "base/crypto.h"
#include "handlers/decimal.h"
#include "handlers/shopify.h"

#include <inttypes.h>

#define NOBODY "restocked: it says nobody who waits for it"

static void restocked(struct arena *a, struct event *e, const char *what, struct sv id, struct decoded *ret) {
    e->id = arena_fmt(a, "%s_" SV_FMT "_restocked_%" PRId64, what, SV_ARG(id), e->time_ms / 1000);
    struct sv who = sv_first(e->user.external_id, sv_first(e->user.email, e->user.phone));
    struct digest digest = sha256(who);
    if (who.p)  // each of those who wait is told once
        e->id = arena_fmt(a, SV_FMT "_" SV_FMT, SV_ARG(e->id), SV_ARG(sv_first(e->user.external_id, hex_of(a, digest.b, 8))));
    if (user_has_identifier(&e->user)) {
        decoded_event(ret, e);
        return;
    }
    ret->restocked = e;
    ret->ignored = SV(NOBODY);
}

void variant_in_stock(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct sv id = shopify_id(a, body, "ProductVariant", ret);
    if (!id.p)
        return;
    struct event *e = event_new(a, shop, "shopify", topic->event);
    if (!first_time(body, PATHS("updated_at", "created_at"), 0, &e->time_ms)) {
        ret->undecodable = SV("variant has no updated_at");
        return;
    }
    struct sv of_variant = json_str(body, "title");  // the webhook names no product: whoever asked for it knows that, or a flow has added it
    e->user = shopify_user(body);
    e->items = ARENA_NEW(a, struct item);
    e->item_count = 1;
    e->items[0] = (struct item){
        .product_id = decimal_id(json_str(body, "product_id")),
        .variant_id = id,
        .inventory_item_id = decimal_id(json_str(body, "inventory_item_id")),
        .sku = json_str(body, "sku"),
        .title = first_text(body, PATHS("product_title", "product.title")),
        .variant_title = sv_is(of_variant, "Default Title") ? SV_NONE : of_variant,  // of a product that has but one
        .price = money(json_str(body, "price")),
        .quantity = SV("1"),
    };
    event_property(e, "product_id", e->items[0].product_id);
    event_property(e, "variant_id", id);
    event_property(e, "sku", e->items[0].sku);
    event_property(e, "product_name", e->items[0].title);
    event_property_number(e, "inventory_quantity", json_str(body, "inventory_quantity"));
    restocked(a, e, "var", id, ret);
}

// A level is of one place; it names no variant, only the item that is counted there.
void inventory_changed(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct sv item = decimal_id(json_str(body, "inventory_item_id")), place = decimal_id(json_str(body, "location_id"));
    struct decimal available;
    if (!item.p || !place.p) {
        ret->undecodable = SV("body is not an inventory level: no inventory_item_id or no location_id");
        return;
    }
    if (!decimal_of(json_str(body, "available"), &available) || available.units <= 0) {
        ret->ignored = SV("inventory level: nothing is available");
        return;
    }
    struct event *e = event_new(a, shop, "shopify", topic->event);
    if (!first_time(body, PATHS("updated_at"), 0, &e->time_ms)) {
        ret->undecodable = SV("inventory level has no updated_at");
        return;
    }
    e->user = shopify_user(body);
    e->items = ARENA_NEW(a, struct item);
    e->items[0] = (struct item){.inventory_item_id = item};
    e->item_count = 1;
    event_property(e, "inventory_item_id", item);
    event_property(e, "location_id", place);
    event_property_number(e, "inventory_quantity", json_str(body, "available"));
    restocked(a, e, "inv", arena_fmt(a, SV_FMT "_" SV_FMT, SV_ARG(item), SV_ARG(place)), ret);
}
