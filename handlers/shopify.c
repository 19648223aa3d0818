// shopify.c: Shopify as a sender: its headers and its topics.
#include "handlers/shopify.h"
#include "handlers/signature.h"

#define TOPIC "X-Shopify-Topic"
#define DELIVERY "X-Shopify-Webhook-Id"

static const struct identity_field order_identity[] = {
    {"checkout_token", "checkout"}, {"cart_token", "cart"}, {"id", "order"}, {"customer.id", "customer"},
    {"email", "email"}, {"contact_email", "email"}, {"customer.email", "email"}, {0},
};

static const struct identity_field refund_identity[] = {{"order_id", "order"}, {0}};

static const struct identity_field checkout_identity[] = {
    {"token", "checkout"}, {"cart_token", "cart"}, {"customer.id", "customer"}, {"email", "email"}, {"customer.email", "email"}, {0},
};

static const struct identity_field cart_identity[] = {{"token", "cart"}, {0}};

static const struct topic topics[] = {
    {"orders/create", EVENT_PURCHASE, order_identity, order_created},
    {"orders/paid", EVENT_PURCHASE, order_identity, order_paid},
    {"orders/cancelled", EVENT_ORDER_CANCELLED, order_identity, order_cancelled},
    {"orders/fulfilled", EVENT_ORDER_FULFILLED, order_identity, order_fulfilled},
    {"refunds/create", EVENT_REFUND, refund_identity, refund_created},
    {"checkouts/create", EVENT_CHECKOUT_STARTED, checkout_identity, checkout_changed},
    {"checkouts/update", EVENT_CHECKOUT_STARTED, checkout_identity, checkout_changed},
    {"carts/create", EVENT_CART_STARTED, cart_identity, cart_changed},
    {"carts/update", EVENT_CART_STARTED, cart_identity, cart_changed},
};

static size_t secret_count(const struct shop *shop) {
    return shop->shopify.secrets.n;
}

static const char *const single[] = {SHOPIFY_SIGNATURE, TOPIC, DELIVERY, "X-Shopify-Shop-Domain", NULL};

const struct source source_shopify = {
    .name = "shopify",
    .topic_header = TOPIC,
    .delivery_header = DELIVERY,
    .single_headers = single,
    .secret_count = secret_count,
    .verify = shopify_verify,
    .topics = topics,
    .topic_count = COUNTOF(topics),
};
