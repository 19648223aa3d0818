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

static const struct identity_field customer_identity[] = {{"id", "customer"}, {"email", "email"}, {"phone", "phone"}, {0}};

static const struct identity_field email_consent_identity[] = {{"customer_id", "customer"}, {"email_address", "email"}, {0}};

static const struct identity_field sms_consent_identity[] = {{"id", "customer"}, {"customer_id", "customer"}, {"phone", "phone"}, {0}};

// Those who wait, where somebody has added them. A variant by itself has a lane of its own for each webhook: order means nothing there.
static const struct identity_field stock_identity[] = {
    {"customer.id", "customer"}, {"email", "email"}, {"customer.email", "email"}, {"phone", "phone"}, {0},
};

// In the customer's lane: behind whatever of theirs is still under way.
static const struct identity_field privacy_identity[] = {
    {"customer.id", "customer"}, {"customer.email", "email"}, {"customer.phone", "phone"}, {0},
};

static const struct identity_field no_identity[] = {{0}};

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
    {"customers/create", EVENT_SIGN_UP, customer_identity, customer_created},
    {"customers_email_marketing_consent/update", EVENT_SIGN_UP, email_consent_identity, email_consent_changed},
    {"customers_marketing_consent/update", EVENT_SIGN_UP, sms_consent_identity, sms_consent_changed},
    {"variants/in_stock", EVENT_INVENTORY_RESTOCKED, stock_identity, variant_in_stock},
    {"inventory_levels/update", EVENT_INVENTORY_RESTOCKED, stock_identity, inventory_changed},
    {"customers/data_request", EVENT_CUSTOM, privacy_identity, customer_data_requested},
    {"customers/redact", EVENT_CUSTOM, privacy_identity, customer_redacted},
    {"shop/redact", EVENT_CUSTOM, no_identity, shop_redacted},
};

static const struct secrets *secrets(const struct shop *shop) {
    return &shop->shopify.secrets;
}

static size_t sign(struct arena *a, struct sv secret, struct sv topic, struct sv body, int64_t now_ms, struct header ret[SIGN_HEADERS_MAX]) {
    (void)now_ms;
    ret[0] = (struct header){SV(SHOPIFY_SIGNATURE), sign_shopify(a, secret, body)};
    ret[1] = (struct header){SV(TOPIC), topic};
    return 2;
}

static const char *const single[] = {SHOPIFY_SIGNATURE, TOPIC, DELIVERY, "X-Shopify-Shop-Domain", NULL};

const struct source source_shopify = {
    .name = "shopify",
    .topic_header = TOPIC,
    .delivery_header = DELIVERY,
    .single_headers = single,
    .secrets = secrets,
    .verify = shopify_verify,
    .sign = sign,
    .topics = topics,
    .topic_count = COUNTOF(topics),
};
