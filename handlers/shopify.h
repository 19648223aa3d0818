// shopify.h: between the files of Shopify's decoding. Private to handlers/.
#ifndef HANDLERS_SHOPIFY_H
#define HANDLERS_SHOPIFY_H

#include "handlers/decode.h"

decode_fn order_created, order_paid, order_cancelled, order_fulfilled, refund_created;  // shopify_order.c
decode_fn checkout_changed, cart_changed;                                               // shopify_cart.c
decode_fn customer_created, email_consent_changed, sms_consent_changed;                 // shopify_customer.c
decode_fn customer_data_requested, customer_redacted, shop_redacted;                    // shopify_privacy.c
decode_fn variant_in_stock, inventory_changed;                                          // shopify_stock.c

// shopify_id: the digits of the body's id; absent, with the reason in *ret, when the body is not a resource of that kind.
struct sv shopify_id(struct arena *a, const struct json *body, const char *kind, struct decoded *ret);
// shopify_user: who an order or checkout is for, without the browser.
struct user shopify_user(const struct json *body);
void shopify_address(const struct json *address, struct user *u);
// shopify_browser: what the browser left with an order or checkout: click ids, agent, consent, experiment. After the event's time is known.
void shopify_browser(struct arena *a, const struct json *body, struct event *e);
// shopify_items: the line items; within names the member of each that holds the item ("line_item" of a refund), NULL: it is the item.
void shopify_items(struct arena *a, const struct json *lines, const char *within, struct event *e);
// shopify_basket: what orders and checkouts have in common: value, discounts, tokens, destination.
void shopify_basket(struct arena *a, const struct json *body, struct event *e);

#endif
