// ingest.c: nothing is parsed, stored or logged before the signature holds, and nothing is acknowledged before it is stored.
//
// A stranger must not learn which shops and sources exist: an unknown shop, an unknown path and a source without secrets take the
// same way as a wrong signature, with a signature check whose result is thrown away, to the same answer.
#include "server/ingest.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "handlers/source.h"
#include "mapping/rules/rules.h"

#include <string.h>

#define TOPIC_MOST 100
#define PIN_KEY SV("recharge_pinned")
#define PIN_LIFETIME_MS DAYS_MS(3650)
#define COMPLAIN_EVERY_MS SECONDS_MS(10)

enum result {
    ACCEPTED, DUPLICATE, IGNORED, UNDECODABLE,
    REJECTED_SIGNATURE, REJECTED_PATH, REJECTED_HEADERS, REJECTED_STORE, REJECTED_LENGTH, REJECTED_TOO_LARGE, REJECTED_TIMEOUT, REJECTED_STOPPING,
};

#define CONSTANT(text) {text, sizeof(text) - 1}

// Those without a body are answered by http_in.
static const struct {
    const char *name;
    int status;
    struct sv body;
    const char *headers;
} results[] = {
    [ACCEPTED] = {"accepted", 200, CONSTANT("{\"status\":\"accepted\"}"), NULL},
    [DUPLICATE] = {"duplicate", 200, CONSTANT("{\"status\":\"duplicate\"}"), NULL},
    [IGNORED] = {"ignored", 200, CONSTANT("{\"status\":\"ignored\"}"), NULL},
    [UNDECODABLE] = {"undecodable", 200, CONSTANT("{\"status\":\"undecodable\"}"), NULL},
    [REJECTED_SIGNATURE] = {"rejected_signature", 401, CONSTANT("{\"error\":\"unauthorized\"}"), NULL},
    [REJECTED_PATH] = {"rejected_path", 401, CONSTANT("{\"error\":\"unauthorized\"}"), NULL},
    [REJECTED_HEADERS] = {"rejected_headers", 400, CONSTANT("{\"error\":\"malformed request\"}"), NULL},
    [REJECTED_STORE] = {"rejected_store", 503, CONSTANT("{\"error\":\"the store cannot take it now, try again\"}"), "Retry-After: 30\r\n"},
    [REJECTED_LENGTH] = {"rejected_length", 411, {0}, NULL},
    [REJECTED_TOO_LARGE] = {"rejected_too_large", 413, {0}, NULL},
    [REJECTED_TIMEOUT] = {"rejected_timeout", 408, {0}, NULL},
    [REJECTED_STOPPING] = {"rejected_stopping", 503, {0}, NULL},
};

// ---- where a request wants to go

struct route {
    const struct shop *shop;      // NULL: unknown
    const struct source *source;  // NULL: unknown
    const struct topic *topic;    // NULL: unknown
    struct sv topic_text;         // as it came; "other" when it is none that anybody would have
    bool open;                    // all of the path is known and the source has secrets
};

// Shopify's newest topics have a dot instead of the slash ("customer.tags_added").
static bool is_topic(struct sv s) {
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && !memchr("_-./", s.p[i], 4))
            return false;
    return s.n > 0 && s.n <= TOPIC_MOST;
}

static bool is_resource_and_action(struct sv s) {
    struct sv resource, action;
    return is_topic(s) && sv_cut(s, '/', &resource, &action) && resource.n > 0 && action.n > 0 && !memchr(action.p, '/', action.n);
}

static struct route route_of(const struct config *config, const struct http_request *r) {
    struct route route = {0};
    struct sv shop, source, rest = SV_NONE;
    if (!sv_starts(r->path, SV("/hooks/")))
        return route;
    sv_cut(sv_sub(r->path, 7, r->path.n), '/', &shop, &rest);
    sv_cut(rest, '/', &source, &rest);
    route.shop = config_shop(config, shop);
    route.source = source_named(source);
    if (!route.source)
        return route;
    bool in_path = route.source->topic_in_path;
    route.topic_text = in_path ? rest : headers_get(r->headers, route.source->topic_header);
    if (sv_present(route.topic_text) && !is_topic(route.topic_text))
        route.topic_text = SV("other");
    route.topic = source_topic(route.source, route.topic_text);
    route.open = route.shop && (in_path ? is_resource_and_action(rest) : !rest.p) && route.source->secret_count(route.shop) > 0;
    return route;
}

// ---- who it is from

static bool single_headers_repeat(const struct route *route, struct headers h) {
    if (route->source)
        for (const char *const *name = route->source->single_headers; *name; name++)
            if (headers_count(h, *name) > 1)
                return true;
    return false;
}

// A shop's mark among those that are pinned; never 0. Two shops with one mark are not to be expected with 63 bits.
static uint64_t mark_of(const struct shop *shop) {
    struct digest d = sha256(shop->name);
    uint64_t mark;
    memcpy(&mark, d.b, sizeof mark);
    return mark | 1;
}

static bool is_marked(const struct ingest *in, uint64_t mark) {
    for (size_t i = 0; i < COUNTOF(in->pinned); i++)
        if (__atomic_load_n(&in->pinned[i], __ATOMIC_RELAXED) == mark)
            return true;
    return false;
}

// With all places taken a shop is asked for in the store each time: slower, not wrong.
static void set_mark(struct ingest *in, uint64_t mark) {
    for (size_t i = 0; i < COUNTOF(in->pinned); i++) {
        uint64_t empty = 0;
        if (__atomic_compare_exchange_n(&in->pinned[i], &empty, mark, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) || empty == mark)
            return;
    }
}

// The store fails for many requests at once; one line says it.
static enum result store_failed(struct ingest *in, const struct err *e) {
    int64_t now_ms = clock_mono_ms(), last_ms = __atomic_load_n(&in->complained_ms, __ATOMIC_RELAXED);
    if ((last_ms == 0 || now_ms - last_ms >= COMPLAIN_EVERY_MS) &&
        __atomic_compare_exchange_n(&in->complained_ms, &last_ms, now_ms, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        log_error("webhooks are answered 503: %s", e->text);
    return REJECTED_STORE;
}

// Recharge signs with and without a time. The first delivery that has one is remembered for good, and from then on the weaker
// signature, which anybody could fall back to by leaving the better one out, opens nothing. ACCEPTED: go on.
static enum result check_pin(struct ingest *in, const struct route *route, struct signature s, struct arena *a) {
    const uint64_t mark = mark_of(route->shop);
    struct sv pinned;
    struct err e;
    if (is_marked(in, mark))
        return s.pins ? ACCEPTED : REJECTED_SIGNATURE;
    if (s.pins) {
        const struct remembered pin = {PIN_KEY, SV("1"), PIN_LIFETIME_MS};
        if (store_state_put(in->store, route->shop->name, &pin, &e) != RC_OK)
            return store_failed(in, &e);
        set_mark(in, mark);
        return ACCEPTED;
    }
    if (store_state_get(in->store, a, route->shop->name, PIN_KEY, &pinned, &e) != RC_OK)
        return store_failed(in, &e);
    if (!pinned.p)
        return ACCEPTED;
    set_mark(in, mark);
    return REJECTED_SIGNATURE;
}

// ACCEPTED: it is from whom it says.
static enum result prove(struct ingest *in, const struct route *route, const struct http_request *r, int64_t now_ms) {
    static const struct secrets nobodys = {.v = {CONSTANT("a secret that nobody has")}, .n = 1};
    const struct shop nobody = {.shopify.secrets = nobodys, .recharge.secrets = nobodys};
    if (single_headers_repeat(route, r->headers))
        return REJECTED_HEADERS;
    if (!route->open) {
        const struct source *source = route->source ? route->source : sources[0];
        (void)source->verify(&nobody, r->headers, r->body, now_ms);
        return REJECTED_PATH;
    }
    struct signature s = route->source->verify(route->shop, r->headers, r->body, now_ms);
    if (!s.valid)
        return REJECTED_SIGNATURE;
    if (!sv_present(route->topic_text))
        return REJECTED_HEADERS;
    return s.pins || s.needs_unpinned ? check_pin(in, route, s, r->arena) : ACCEPTED;
}

// ---- taking it

// The body counts as well as the sender's id of the delivery: the id's header is not signed, and Recharge has none.
static size_t idempotency_keys(const struct route *route, const struct http_request *r, struct sv keys[2]) {
    const struct source *source = route->source;
    struct sv id = source->delivery_header ? headers_get(r->headers, source->delivery_header) : SV_NONE;
    struct digest d = sha256(r->body);
    struct sv hex = hex_of(r->arena, d.b, sizeof d.b);
    size_t n = 0;
    if (sv_present(id))
        keys[n++] = arena_fmt(r->arena, "delivery:%s:" SV_FMT ":" SV_FMT, source->name, SV_ARG(route->topic_text), SV_ARG(id));
    keys[n++] = arena_fmt(r->arena, "body:%s:" SV_FMT ":" SV_FMT, source->name, SV_ARG(route->topic_text), SV_ARG(hex));
    return n;
}

// What is to become of it: the lane, or why there is none. Returns what to answer when it is new.
static enum result classify(const struct route *route, const struct http_request *r, struct delivery *d, struct sv lane_keys[IDENTITIES_MAX]) {
    struct identity identities[IDENTITIES_MAX];
    struct err e;
    if (!route->topic) {
        d->state = JOB_IGNORED;
        d->reason = SV("unknown topic");
        return IGNORED;
    }
    if (source_scan(r->arena, route->topic, r->body, identities, &d->lane_key_count, &e) != RC_OK) {
        d->state = JOB_DEAD;
        d->reason = arena_fmt(r->arena, "undecodable: %s", e.text);
        d->lane_key_count = 0;
        return UNDECODABLE;
    }
    for (size_t i = 0; i < d->lane_key_count; i++)
        lane_keys[i] = arena_fmt(r->arena, "%s:" SV_FMT, identities[i].kind, SV_ARG(identities[i].value));
    d->lane_keys = lane_keys;
    d->state = JOB_PENDING;
    d->max_wait_ms = rule_patience(route->shop->rules, sv_of(event_name_text(route->topic->event))).max_wait_ms;
    return ACCEPTED;
}

static enum result take(struct ingest *in, const struct route *route, const struct http_request *r, int64_t now_ms) {
    struct sv keys[2], lane_keys[IDENTITIES_MAX];
    char id[JOB_ID_LEN + 1];
    enum accepted accepted;
    struct err e;
    struct delivery d = {
        .shop = route->shop->name,
        .source = sv_of(route->source->name),
        .topic = route->topic_text,
        .body = r->body,
        .received_ms = now_ms,
        .keys = keys,
        .key_count = idempotency_keys(route, r, keys),
    };
    enum result result = classify(route, r, &d, lane_keys);
    if (!arena_ok(r->arena)) {
        err_set(&e, RC_TOO_LARGE, "a webhook takes more memory than a request may");
        return store_failed(in, &e);
    }
    if (store_accept(in->store, &d, &accepted, id, &e) != RC_OK)
        return store_failed(in, &e);
    if (accepted == ACCEPTED_DUPLICATE)
        return DUPLICATE;
    if (d.state == JOB_PENDING && in->accepted)
        in->accepted(in->accepted_ctx);
    return result;
}

// ---- for the HTTP server

static void count(struct ingest *in, const struct route *route, enum result result) {
    struct sv shop = route->shop ? route->shop->name : SV_NONE, source = route->source ? sv_of(route->source->name) : SV_NONE;
    struct sv topic = route->topic ? sv_of(route->topic->name) : route->source ? SV("other") : SV_NONE;
    metrics_webhook(in->metrics, shop, source, topic, results[result].name);
}

int ingest_early(void *ctx, const struct http_request *r) {
    (void)ctx;
    if (!sv_starts(r->path, SV("/hooks/")))
        return 404;
    return sv_is(r->method, "POST") ? 0 : 405;
}

void ingest_handle(void *ctx, const struct http_request *r, struct http_response *ret) {
    struct ingest *in = ctx;
    struct config *config = config_current(in->config);
    struct route route = route_of(config, r);
    int64_t now_ms = clock_wall_ms();
    enum result result = prove(in, &route, r, now_ms);
    if (result == ACCEPTED)
        result = take(in, &route, r, now_ms);
    ret->status = results[result].status;
    ret->body = results[result].body;
    ret->extra_headers = results[result].headers;
    count(in, &route, result);
    if (ret->status == 200)
        metrics_ack(in->metrics, clock_mono_us() - r->started_us);
    config_drop(config);
}

void ingest_refused(void *ctx, const struct http_request *r, int status) {
    struct ingest *in = ctx;
    enum result result = REJECTED_HEADERS;
    switch (status) {
    case 404:
    case 405: result = REJECTED_PATH; break;
    case 408: result = REJECTED_TIMEOUT; break;
    case 411: result = REJECTED_LENGTH; break;
    case 413: result = REJECTED_TOO_LARGE; break;
    case 503: result = REJECTED_STOPPING; break;
    default: break;
    }
    struct config *config = config_current(in->config);
    struct route route = route_of(config, r);
    count(in, &route, result);
    config_drop(config);
}
