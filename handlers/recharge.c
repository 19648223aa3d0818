// recharge.c: Recharge as a sender. It names neither topic nor delivery in a header: each topic has an address of its own.
#include "handlers/recharge.h"
#include "handlers/signature.h"

// Both API versions in one list: 2021-11 nests foreign ids under external_*, 2021-01 calls them shopify_*.
static const struct identity_field charge_identity[] = {
    {"charge.external_order_id.ecommerce", "order"}, {"charge.shopify_order_id", "order"},
    {"charge.customer.external_customer_id.ecommerce", "customer"}, {"customer.external_customer_id.ecommerce", "customer"},
    {"customer.shopify_customer_id", "customer"},
    {"charge.customer.email", "email"}, {"charge.email", "email"}, {"customer.email", "email"},
    {"charge.customer.id", "recharge_customer"}, {"charge.customer_id", "recharge_customer"}, {"customer.id", "recharge_customer"}, {0},
};

static const struct identity_field subscription_identity[] = {
    {"customer.external_customer_id.ecommerce", "customer"}, {"customer.shopify_customer_id", "customer"},
    {"subscription.email", "email"}, {"customer.email", "email"},
    {"subscription.customer_id", "recharge_customer"}, {"customer.id", "recharge_customer"}, {0},
};

static const struct topic topics[] = {
    {"charge/paid", EVENT_RENEWAL_CHARGED, charge_identity, charge_paid},
    {"charge/failed", EVENT_RENEWAL_FAILED, charge_identity, charge_failed},
    {"subscription/created", EVENT_SUBSCRIPTION_STARTED, subscription_identity, subscription_started},
    {"subscription/activated", EVENT_SUBSCRIPTION_STARTED, subscription_identity, subscription_started},
    {"subscription/cancelled", EVENT_SUBSCRIPTION_CANCELLED, subscription_identity, subscription_cancelled},
    {"subscription/skipped", EVENT_SKIPPED_ORDER, subscription_identity, subscription_skipped},
    {"subscription/updated", EVENT_SUBSCRIPTION_CANCELLED, subscription_identity, subscription_updated},
    {"subscription/unskipped", EVENT_SUBSCRIPTION_CANCELLED, subscription_identity, subscription_updated},
    {"subscription/swapped", EVENT_SUBSCRIPTION_CANCELLED, subscription_identity, subscription_updated},
    {"subscription/paused", EVENT_SUBSCRIPTION_CANCELLED, subscription_identity, subscription_updated},
};

static const struct secrets *secrets(const struct shop *shop) {
    return &shop->recharge.secrets;
}

static size_t sign(struct arena *a, struct sv secret, struct sv topic, struct sv body, int64_t now_ms, struct header ret[SIGN_HEADERS_MAX]) {
    (void)topic;
    ret[0] = (struct header){SV(RECHARGE_SIGNATURE), sign_timestamped(a, secret, body, now_ms / 1000)};
    ret[1] = (struct header){SV(RECHARGE_LEGACY_SIGNATURE), sign_recharge_legacy(a, secret, body)};
    return 2;
}

static const char *const single[] = {RECHARGE_SIGNATURE, RECHARGE_LEGACY_SIGNATURE, NULL};

const struct source source_recharge = {
    .name = "recharge",
    .topic_in_path = true,
    .single_headers = single,
    .secrets = secrets,
    .verify = recharge_verify,
    .sign = sign,
    .topics = topics,
    .topic_count = COUNTOF(topics),
};
