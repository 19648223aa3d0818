// events.c: people as senders of their own events: what no webhook tells (a product viewed, a search, a lead) and whatever a shop
// calls by names of its own. A request holds one canonical event or a list of them; each becomes a delivery like any other.
#include "base/clock.h"
#include "handlers/decode.h"
#include "handlers/signature.h"
#include "handlers/waiting.h"
#include "mapping/event_read.h"

#define FUTURE_MOST_MS MINUTES_MS(5)
#define AGE_MOST_MS DAYS_MS(366)
#define REQUEST_MOST ((size_t)16 << 10)  // thousands of them wait for one thing
#define PART_MEMORY ((size_t)64 << 20)  // of one event's tree while it is checked

static const struct identity_field identity[] = {
    {"properties.checkout_token", "checkout"}, {"properties.checkout_id", "checkout"}, {"properties.cart_id", "cart"},
    {"properties.order_id", "order"}, {"user.external_id", "customer"}, {"user.email", "email"}, {"user.phone", "phone"}, {0},
};

static decode_fn own_event;

// The topic is the event's name; those that a shop made up share one.
#define TOPIC(text, event) {text, event, identity, own_event}
static const struct topic topics[] = {
    TOPIC("custom", EVENT_CUSTOM),
    TOPIC("purchase", EVENT_PURCHASE),
    TOPIC("repeat_purchase", EVENT_REPEAT_PURCHASE),
    TOPIC("checkout_started", EVENT_CHECKOUT_STARTED),
    TOPIC("cart_started", EVENT_CART_STARTED),
    TOPIC("add_to_cart", EVENT_ADD_TO_CART),
    TOPIC("product_viewed", EVENT_PRODUCT_VIEWED),
    TOPIC("search", EVENT_SEARCH),
    TOPIC("sign_up", EVENT_SIGN_UP),
    TOPIC("lead", EVENT_LEAD),
    TOPIC("refund", EVENT_REFUND),
    TOPIC("order_cancelled", EVENT_ORDER_CANCELLED),
    TOPIC("order_fulfilled", EVENT_ORDER_FULFILLED),
    TOPIC("back_in_stock_requested", EVENT_BACK_IN_STOCK_REQUESTED),
    TOPIC("inventory_restocked", EVENT_INVENTORY_RESTOCKED),
    TOPIC("became_at_risk", EVENT_BECAME_AT_RISK),
    TOPIC("subscription_started", EVENT_SUBSCRIPTION_STARTED),
    TOPIC("renewal_charged", EVENT_RENEWAL_CHARGED),
    TOPIC("renewal_failed", EVENT_RENEWAL_FAILED),
    TOPIC("skipped_order", EVENT_SKIPPED_ORDER),
    TOPIC("subscription_cancelled", EVENT_SUBSCRIPTION_CANCELLED),
    TOPIC("consent_revoked", EVENT_CONSENT_REVOKED),
};
_Static_assert(COUNTOF(topics) == EVENT_NAME_COUNT, "a topic for every name");

// A sign-up or a revocation is compared with what is known of that address, whoever told it.
static void tell_consent(struct arena *a, const struct event *e, struct decoded *ret) {
    struct sv since = sv_first(event_property_text(e, "consented_at"), event_property_text(e, "revoked_at"));
    bool by_sms = sv_is(event_property_text(e, "channel"), "sms");
    int64_t as_of_ms = e->time_ms;
    if (e->name != EVENT_SIGN_UP && e->name != EVENT_CONSENT_REVOKED)
        return;
    if (since.p && !time_parse(since, 0, &as_of_ms))
        as_of_ms = e->time_ms;
    decoded_as_of(a, ret, by_sms ? "sms" : "email", by_sms ? e->user.phone : e->user.email, e->user.external_id, as_of_ms);
}

static void own_event(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret) {
    (void)topic;
    struct event *e = ARENA_NEW(a, struct event);
    struct event_faults faults = {.count = 0};
    event_read(a, body, e, &faults);
    if (faults.count > 0) {
        ret->undecodable = faults.v[0];
        return;
    }
    e->shop = shop->name;
    e->source = sv_of(source_events.name);
    tell_consent(a, e, ret);
    if (e->name == EVENT_INVENTORY_RESTOCKED && !user_has_identifier(&e->user))
        ret->ignored = SV("restocked: it says nobody who waits for it");
    else
        decoded_event(ret, e);
}

// ---- checking a request before it is acknowledged

static void check_time(struct arena *a, const struct event *e, int64_t now_ms, struct event_faults *faults) {
    if (e->time_ms > now_ms + FUTURE_MOST_MS)
        event_fault(a, faults, "time: more than 5 minutes in the future");
    else if (e->time_ms > 0 && e->time_ms < now_ms - AGE_MOST_MS)
        event_fault(a, faults, "time: more than a year ago");
}

static void check_sender(struct arena *a, const struct shop *shop, const struct event *e, struct event_faults *faults) {
    if (e->shop.p && !sv_eq(e->shop, shop->name))
        event_fault(a, faults, "shop: not the one of this address; leave it out");
    if (e->source.p && !sv_is(e->source, source_events.name))
        event_fault(a, faults, "source: is always events; leave it out");
}

// Who waits must be reachable, and for something that a stock webhook can name.
static void check_waiting(struct arena *a, struct sv bytes, const struct event *e, struct event_faults *faults) {
    struct sv names[WAITING_NAMES_MAX];
    if (e->name != EVENT_BACK_IN_STOCK_REQUESTED)
        return;
    if (bytes.n > REQUEST_MOST)
        event_fault(a, faults, "larger than 16 KB, the most that is kept of a request");
    if (!sv_present(e->user.email) && !sv_present(e->user.phone))
        event_fault(a, faults, "user: needs an email or a phone to be told by");
    if (waiting_names(a, e, names) == 0)
        event_fault(a, faults, "items[0]: needs a variant_id, inventory_item_id or sku to wait for");
}

static const struct topic *topic_of(enum event_name name) {
    for (size_t i = 0; i < COUNTOF(topics); i++)
        if (topics[i].event == name)
            return &topics[i];
    return NULL;
}

static void keep_faults(struct arena *a, const struct event_faults *faults, struct part *part) {
    size_t shown = faults->count < EVENT_FAULTS_MOST ? faults->count : EVENT_FAULTS_MOST;
    struct sv *kept = ARENA_ARRAY(a, struct sv, shown + 1);
    for (size_t i = 0; i < shown; i++)
        kept[i] = arena_dup(a, faults->v[i]);
    part->faults = kept;
    part->fault_count = shown;
    if (faults->count > shown)
        kept[part->fault_count++] = arena_fmt(a, "and %zu faults more", faults->count - shown);
}

struct check {
    struct arena *arena, scratch;  // scratch: of the event that is being checked
    const struct shop *shop;
    int64_t now_ms;
    struct part *parts;
    size_t count;
};

static void check_part(void *ctx, struct sv bytes) {
    struct check *c = ctx;
    struct event_faults faults = {.count = 0};
    struct event e = {0};
    struct json *tree;
    struct err err;
    if (c->count++ >= PARTS_MAX)
        return;
    struct part *part = &c->parts[c->count - 1];
    *part = (struct part){.body = bytes};
    if (json_parse(&c->scratch, bytes, &tree, &err) != RC_OK) {
        event_fault(&c->scratch, &faults, "%s", err.text);
    } else {
        event_read(&c->scratch, tree, &e, &faults);
        check_time(&c->scratch, &e, c->now_ms, &faults);
        check_sender(&c->scratch, c->shop, &e, &faults);
        check_waiting(&c->scratch, bytes, &e, &faults);
        part->id = arena_dup(c->arena, event_read_id(tree));
    }
    if (faults.count == 0 && !arena_ok(&c->scratch))
        event_fault(&c->scratch, &faults, "takes more memory than an event may");
    keep_faults(c->arena, &faults, part);
    if (faults.count == 0)
        part->topic = topic_of(e.name);
    arena_reset(&c->scratch);
}

static enum rc split(struct arena *a, const struct shop *shop, struct sv body, int64_t now_ms, struct part **ret, size_t *ret_count, struct err *e) {
    struct check c = {.arena = a, .shop = shop, .now_ms = now_ms, .parts = ARENA_ARRAY(a, struct part, PARTS_MAX)};
    arena_init(&c.scratch, PART_MEMORY);
    enum rc rc = json_each(body, check_part, &c, e);
    arena_free(&c.scratch);
    if (rc != RC_OK)
        return rc == RC_TOO_LARGE ? RC_INVALID : rc;  // too deep: the whole of it is not what is asked for
    if (c.count > PARTS_MAX)
        return err_set(e, RC_TOO_LARGE, "%zu events in one request, %d is the most", c.count, PARTS_MAX);
    *ret = c.parts;
    *ret_count = c.count;
    return RC_OK;
}

static const struct secrets *secrets(const struct shop *shop) {
    return &shop->events.secrets;
}

static size_t sign(struct arena *a, struct sv secret, struct sv topic, struct sv body, int64_t now_ms, struct header ret[SIGN_HEADERS_MAX]) {
    (void)topic;
    ret[0] = (struct header){SV(EVENTS_SIGNATURE), sign_timestamped(a, secret, body, now_ms / 1000)};
    return 1;
}

static const char *const single[] = {EVENTS_SIGNATURE, NULL};

const struct source source_events = {
    .name = "events",
    .root = "/events/",
    .single_headers = single,
    .secrets = secrets,
    .verify = events_verify,
    .sign = sign,
    .split = split,
    .topics = topics,
    .topic_count = COUNTOF(topics),
};
