// shopify_order.c: orders and refunds. Where an order comes from decides what it is, before anything else is read from it.
#include "handlers/decimal.h"
#include "handlers/shopify.h"

enum signal { BY_TAG, BY_SOURCE, BY_SOURCE_PREFIX, BY_APP };

// The first row that fits. Tags are Recharge's and say most, but may be added after the first delivery; source_name is there from the
// start. Recharge's app makes orders for its own charges only: renewals, and the first order where its own checkout took it.
static const struct origin_row {
    enum signal signal;
    const char *value, *origin;
} origins[] = {
    {BY_TAG, "Subscription Recurring Order", "renewal"},
    {BY_TAG, "Subscription First Order", "web"},
    {BY_SOURCE_PREFIX, "subscription_contract", "renewal"},
    {BY_APP, "294517", "renewal"},
    {BY_SOURCE, "web", "web"},
    {BY_SOURCE, "pos", "pos"},
    {BY_SOURCE, "shopify_draft_order", "draft"},
};

static bool row_fits(const struct origin_row *row, const struct json *body, struct sv source_name) {
    switch (row->signal) {
    case BY_TAG: return tagged(json_str(body, "tags"), row->value);
    case BY_SOURCE: return sv_is(source_name, row->value);
    case BY_SOURCE_PREFIX: return sv_starts(source_name, sv_of(row->value));
    case BY_APP: return sv_is(json_str(body, "app_id"), row->value);
    }
    return false;
}

static const char *origin_of(const struct json *body) {
    struct sv source_name = json_str(body, "source_name");
    for (size_t i = 0; i < COUNTOF(origins); i++)
        if (row_fits(&origins[i], body, source_name))
            return origins[i].origin;
    return source_name.p ? "channel" : "web";
}

static bool no_money(const struct json *body) {
    struct decimal total;
    return decimal_of(json_str(body, "total_price"), &total) && total.units == 0;
}

// A prepaid subscription is paid once and shipped several times; each shipment is an order of its own in which no money moves.
static bool prepaid_shipment(const struct json *body, bool renewal) {
    struct sv tags = json_str(body, "tags");
    if (tagged(tags, "Prepaid"))
        return tagged(tags, "Subscription Recurring Order") || no_money(body);
    return renewal && no_money(body);
}

// Payment states that make a new order a purchase; one that says nothing of payment is one too.
static bool counts_as_paid(const struct json *body) {
    static const char *const states[] = {"paid", "partially_paid", "authorized"};
    struct sv state = json_str(body, "financial_status");
    bool fits = !state.p;
    for (size_t i = 0; i < COUNTOF(states); i++)
        fits |= sv_is(state, states[i]);
    return fits;
}

static void order_properties(const struct json *body, struct sv id, struct event *e) {
    event_property(e, "order_id", id);
    event_property(e, "order_name", json_str(body, "name"));
    event_property(e, "checkout_token", json_str(body, "checkout_token"));
    event_property(e, "order_status_url", json_str(body, "order_status_url"));
    if (sv_is(e->origin, "channel"))
        event_property(e, "channel", json_str(body, "source_name"));
}

// order_open: the event that an order topic is about, complete but for what the topic adds; NULL with the reason in *ret.
static struct event *order_open(struct arena *a, const struct shop *shop, const struct json *body, enum event_name name,
                                const char *const *times, struct decoded *ret) {
    struct sv id = shopify_id(a, body, "Order", ret);
    if (!id.p)
        return NULL;
    struct event *e = event_new(a, shop, "shopify", name);
    e->user = shopify_user(body);
    e->id = id;
    decoded_remember(a, ret, "order", id, &e->user);
    bool test = json_is_true(json_get(body, "test"));
    e->origin = test ? SV("test") : sv_of(origin_of(body));
    if (test && !sv_present(shop->meta.test_event_code)) {
        ret->ignored = SV("test order");
        return NULL;
    }
    if (!first_time(body, times, 0, &e->time_ms)) {
        ret->undecodable = SV("order has no time");
        return NULL;
    }
    shopify_browser(a, body, e);
    if (sv_is(e->origin, "renewal"))
        event_forget_browser(e);
    shopify_basket(a, body, e);
    order_properties(body, id, e);
    return e;
}

static void named(struct arena *a, struct event *e, const char *what) {
    e->id = arena_join(a, SVS(SV("ord_"), e->id, SV("_"), sv_of(what)));
}

// sale: a new or paid order; waiting says why it does not count yet, NULL when it does.
static void sale(struct arena *a, const struct shop *shop, const struct json *body, const char *waiting, struct decoded *ret) {
    struct event *e = order_open(a, shop, body, EVENT_PURCHASE, PATHS("processed_at", "created_at"), ret);
    if (!e)
        return;
    bool renewal = sv_is(e->origin, "renewal");
    if (prepaid_shipment(body, renewal)) {
        ret->ignored = SV("prepaid shipment: no money moves");
    } else if (renewal && shop->recharge.secrets.n > 0) {
        named(a, e, "renewal");
        ret->ignored = SV("renewal: Recharge reports it");
        ret->mirrors = e->id;
    } else if (waiting) {
        ret->ignored = sv_of(waiting);
    } else {
        event_is(e, renewal ? EVENT_RENEWAL_CHARGED : EVENT_PURCHASE);
        named(a, e, renewal ? "renewal" : "purchase");
        decoded_event(ret, e);
    }
}

void order_created(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    (void)topic;
    const char *waiting = NULL;
    if (shop->shopify.purchase_on_paid || !counts_as_paid(body))
        waiting = "waiting for orders/paid";
    sale(a, shop, body, waiting, ret);
}

void order_paid(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    (void)topic;
    sale(a, shop, body, NULL, ret);
}

void order_cancelled(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct event *e = order_open(a, shop, body, topic->event, PATHS("cancelled_at", "updated_at", "processed_at", "created_at"), ret);
    if (!e)
        return;
    named(a, e, "cancelled");
    event_property(e, "reason", json_str(body, "cancel_reason"));
    decoded_event(ret, e);
}

void order_fulfilled(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct event *e = order_open(a, shop, body, topic->event, PATHS("updated_at", "processed_at", "created_at"), ret);
    if (!e)
        return;
    int64_t last = INT64_MIN, shipped;  // an order may be sent in parcels; it is fulfilled with the last one
    JSON_EACH(parcel, json_get(body, "fulfillments")) {
        if (first_time(parcel, PATHS("created_at"), 0, &shipped) && shipped > last)
            last = shipped;
    }
    if (last > INT64_MIN)
        e->time_ms = last;
    named(a, e, "fulfilled");
    decoded_event(ret, e);
}

// refunded: the money that really went back, in the currency the buyer paid in: Shopify also makes refunds without money (store credit,
// restock only), and line item amounts are in the shop's currency. No value when currencies are mixed.
static void refunded(struct arena *a, const struct json *transactions, struct event *e) {
    struct decimal sum = {0}, amount;
    struct sv currency = SV_NONE;
    size_t n = 0;
    JSON_EACH(t, transactions) {
        if (!sv_is_nocase(json_str(t, "kind"), "refund") || !sv_is_nocase(json_str(t, "status"), "success"))
            continue;
        struct sv paid_in = currency_code(json_str(t, "currency"));
        if (n++ == 0)
            currency = paid_in;
        if (!sv_eq(currency, paid_in) || !decimal_of(json_str(t, "amount"), &amount) || !decimal_add(&sum, amount))
            return;
    }
    if (n == 0)
        return;
    e->value = decimal_text(a, sum);
    e->currency = currency;
    event_property_number(e, "refund_value", e->value);
}

void refund_created(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    struct sv id = shopify_id(a, body, "Refund", ret);
    if (!id.p)
        return;
    struct sv order = decimal_id(json_str(body, "order_id"));
    struct event *e = event_new(a, shop, "shopify", topic->event);
    if (!order.p) {
        ret->undecodable = SV("refund has no order_id");
        return;
    }
    if (!first_time(body, PATHS("processed_at", "created_at"), 0, &e->time_ms)) {
        ret->undecodable = SV("refund has no time");
        return;
    }
    e->id = arena_fmt(a, "ord_" SV_FMT "_refund_" SV_FMT, SV_ARG(order), SV_ARG(id));
    e->recall[e->recall_count++] = arena_fmt(a, "order:" SV_FMT, SV_ARG(order));
    refunded(a, json_get(body, "transactions"), e);
    shopify_items(a, json_get(body, "refund_line_items"), "line_item", e);
    event_property(e, "order_id", order);
    event_property(e, "reason", json_str(body, "note"));
    decoded_event(ret, e);
}
