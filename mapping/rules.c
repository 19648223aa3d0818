// rules.c: the built-in rules, one row an event.
#include "mapping/rules.h"
#include "base/clock.h"

#define GO_ON .on_fail = ON_FAIL_CONTINUE, .max_wait_ms = SECONDS_MS(10), .flow_window_ms = HOURS_MS(72)
#define HOLD .on_fail = ON_FAIL_HOLD, .max_wait_ms = MINUTES_MS(15), .flow_window_ms = HOURS_MS(72)

// A custom event's metric is its own name; the text here only says that there is one.
static const struct rule rules[EVENT_NAME_COUNT] = {
    [EVENT_CUSTOM] = {EVENT_CUSTOM, NULL, "", NULL, GO_ON},
    [EVENT_PURCHASE] = {EVENT_PURCHASE, "Purchase", "Placed Order", "post_purchase_ready", GO_ON},
    [EVENT_REPEAT_PURCHASE] = {EVENT_REPEAT_PURCHASE, "Purchase", "Placed Repeat Order", NULL, GO_ON},
    [EVENT_CHECKOUT_STARTED] = {EVENT_CHECKOUT_STARTED, "InitiateCheckout", "Started Checkout", NULL, HOLD},
    [EVENT_CART_STARTED] = {EVENT_CART_STARTED, NULL, "Started Cart", NULL, HOLD},
    [EVENT_ADD_TO_CART] = {EVENT_ADD_TO_CART, "AddToCart", "Added to Cart", NULL, HOLD},
    [EVENT_PRODUCT_VIEWED] = {EVENT_PRODUCT_VIEWED, "ViewContent", "Viewed Product", NULL, GO_ON},
    [EVENT_SEARCH] = {EVENT_SEARCH, "Search", "Searched Site", NULL, GO_ON},
    [EVENT_SIGN_UP] = {EVENT_SIGN_UP, "CompleteRegistration", "Subscribed to List", "Subscribed to Newsletter", GO_ON},
    [EVENT_LEAD] = {EVENT_LEAD, "Lead", "Submitted Lead Form", NULL, GO_ON},
    [EVENT_REFUND] = {EVENT_REFUND, NULL, "Refunded Order", "refund_recorded", GO_ON},
    [EVENT_ORDER_CANCELLED] = {EVENT_ORDER_CANCELLED, NULL, "Cancelled Order", "cancellation_recorded", GO_ON},
    [EVENT_ORDER_FULFILLED] = {EVENT_ORDER_FULFILLED, NULL, "Fulfilled Order", "fulfilment_recorded", GO_ON},
    [EVENT_INVENTORY_RESTOCKED] = {EVENT_INVENTORY_RESTOCKED, NULL, "Back in Stock", NULL, GO_ON},
    [EVENT_BECAME_AT_RISK] = {EVENT_BECAME_AT_RISK, NULL, "Entered Winback Window", NULL, GO_ON},
    [EVENT_SUBSCRIPTION_STARTED] = {EVENT_SUBSCRIPTION_STARTED, "Subscribe", "Subscription Started", NULL, GO_ON},
    [EVENT_RENEWAL_CHARGED] = {EVENT_RENEWAL_CHARGED, "RecurringSubscriptionPayment", "Renewal Charged", NULL, GO_ON},
    [EVENT_RENEWAL_FAILED] = {EVENT_RENEWAL_FAILED, NULL, "Renewal Failed", NULL, GO_ON},
    [EVENT_SKIPPED_ORDER] = {EVENT_SKIPPED_ORDER, NULL, "Skipped Order", NULL, GO_ON},
    [EVENT_SUBSCRIPTION_CANCELLED] = {EVENT_SUBSCRIPTION_CANCELLED, "CancelSubscription", "Subscription Cancelled", NULL, GO_ON},
    [EVENT_CONSENT_REVOKED] = {EVENT_CONSENT_REVOKED, NULL, "Consent Revoked", NULL, GO_ON},
};

const struct rule *rule_named(enum event_name name) {
    return &rules[name < EVENT_NAME_COUNT ? name : EVENT_CUSTOM];
}

const struct rule *rule_for(const struct event *e) {
    return rule_named(e->name);
}

bool rule_klaviyo_trigger_used(const struct rule *r, const struct shop *shop) {
    return r->klaviyo_trigger && shop->klaviyo.native_integration;
}
