// shopify_cart.c: carts and checkouts. Both are found by their token: checkouts have had no id since API 2026-04.
#include "handlers/decimal.h"
#include "handlers/shopify.h"

// A checkout counts as started with the first delivery that says whose it is; whichever topic brings it, the event has the same id and time.
void checkout_changed(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct sv token = token_id(json_str(body, "token"));
    if (!token.p || json_get(body, "admin_graphql_api_id")) {
        ret->undecodable = SV("body is not a checkout: no token, or an id that only other kinds have");
        return;
    }
    if (json_str(body, "completed_at").p) {
        ret->ignored = SV("checkout already completed");
        return;
    }
    struct event *e = event_new(a, shop, "shopify", topic->event);
    e->user = shopify_user(body);
    if (!user_has_identifier(&e->user)) {
        ret->ignored = SV("checkout has no identifier yet");
        return;
    }
    if (!first_time(body, PATHS("created_at"), 0, &e->time_ms)) {
        ret->undecodable = SV("checkout has no time");
        return;
    }
    e->id = arena_fmt(a, "chk_" SV_FMT "_started", SV_ARG(token));
    e->origin = SV("web");
    shopify_browser(a, body, e);
    shopify_basket(a, body, e);
    event_property(e, "checkout_id", token);
    event_property(e, "checkout_token", token);
    decoded_event(ret, e);
}

// A cart states no total: it is that of its lines, in the currency they are shown in; none when a line does not say or they differ.
static void cart_value(struct arena *a, const struct json *lines, struct event *e) {
    struct decimal sum = {0}, amount;
    struct sv currency = SV_NONE;
    JSON_EACH(line, lines) {
        const struct json *shown = json_at(line, "line_price_set.presentment_money");
        struct sv shown_in = currency_code(json_str(shown, "currency_code"));
        currency = sv_first(currency, shown_in);
        if (!shown_in.p || !sv_eq(currency, shown_in) || !decimal_of(json_str(shown, "amount"), &amount) || !decimal_add(&sum, amount))
            return;
    }
    e->value = decimal_text(a, sum);
    e->currency = currency;
}

// A cart names nobody: who it belongs to can only come from the storefront, under its token.
void cart_changed(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct sv token = token_id(first_text(body, PATHS("token", "id")));
    const struct json *lines = json_get(body, "line_items");
    if (!token.p || !json_is_array(lines) || json_get(body, "admin_graphql_api_id")) {
        ret->undecodable = SV("body is not a cart: it has no token or no line_items");
        return;
    }
    if (lines->count == 0) {
        ret->ignored = SV("empty cart");
        return;
    }
    struct event *e = event_new(a, shop, "shopify", topic->event);
    if (!first_time(body, PATHS("created_at", "updated_at"), 0, &e->time_ms)) {
        ret->undecodable = SV("cart has no time");
        return;
    }
    e->id = arena_fmt(a, "cart_" SV_FMT "_started", SV_ARG(token));
    e->origin = SV("web");
    shopify_browser(a, body, e);
    shopify_items(a, lines, NULL, e);
    cart_value(a, lines, e);
    event_property(e, "cart_id", token);
    decoded_event(ret, e);
}
