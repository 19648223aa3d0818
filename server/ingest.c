// ingest.c: nothing is parsed, stored or logged before the signature holds, and nothing is acknowledged before it is stored.
//
// A stranger must not learn which shops and sources exist: an unknown shop, an unknown path and a source without secrets take the
// same way as a wrong signature, with a signature check whose result is thrown away, to the same answer.
#include "server/ingest.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "handlers/source.h"
#include "server/delivery.h"

#include <string.h>

#define HOOKS SV("/hooks/")
#define TOPIC_MOST 100
#define PIN_KEY SV("recharge_pinned")
#define PIN_LIFETIME_MS DAYS_MS(3650)
#define ANSWER_LIMIT ((size_t)16 << 20)

enum result {
    ACCEPTED, DUPLICATE, IGNORED, UNDECODABLE,
    INVALID,         // of one delivery among those of a request
    MANY, NO_VALID,  // of the whole of such a request: each of its deliveries has a result of its own
    REJECTED_BODY, REJECTED_COUNT,
    REJECTED_SIGNATURE, REJECTED_PATH, REJECTED_HEADERS, REJECTED_STORE, REJECTED_LENGTH, REJECTED_TOO_LARGE, REJECTED_TIMEOUT, REJECTED_STOPPING,
};

#define CONSTANT(text) {text, sizeof(text) - 1}

// Those without a body are answered by http_in, or with words of their own.
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
    [INVALID] = {"invalid", 422, {0}, NULL},
    [MANY] = {NULL, 200, {0}, NULL},
    [NO_VALID] = {NULL, 422, {0}, NULL},
    [REJECTED_BODY] = {"rejected_body", 400, {0}, NULL},
    [REJECTED_COUNT] = {"rejected_count", 413, {0}, NULL},
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

// rooted: the source whose requests have an address of their own, and what follows it; NULL with the rest of /hooks/, or with none.
static const struct source *rooted(struct sv path, struct sv *ret_rest) {
    for (size_t i = 0; i < source_count; i++) {
        struct sv root = sv_of(sources[i]->root);
        if (!sv_starts(path, root))
            continue;
        *ret_rest = sv_sub(path, root.n, path.n);
        return sources[i];
    }
    *ret_rest = sv_starts(path, HOOKS) ? sv_sub(path, HOOKS.n, path.n) : SV_NONE;
    return NULL;
}

static struct route route_of(const struct config *config, const struct http_request *r) {
    struct route route = {0};
    struct sv shop, source, rest = SV_NONE;
    route.source = rooted(r->path, &rest);
    if (!rest.p)
        return route;
    sv_cut(rest, '/', &shop, &rest);
    route.shop = config_shop(config, shop);
    if (!route.source) {
        sv_cut(rest, '/', &source, &rest);
        route.source = source_named(source);
        if (route.source && route.source->root)
            route.source = NULL;
    }
    if (!route.source)
        return route;
    bool in_path = route.source->topic_in_path;
    route.topic_text = in_path ? rest : headers_get(r->headers, route.source->topic_header);
    if (sv_present(route.topic_text) && !is_topic(route.topic_text))
        route.topic_text = SV("other");
    route.topic = source_topic(route.source, route.topic_text);
    route.open = route.shop && (in_path ? is_resource_and_action(rest) : !rest.p) && route.source->secrets(route.shop)->n > 0;
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

// What this process knows of a shop's signatures without asking the store.
enum knowledge {
    PINNED,    // the store has it that only the one with a time counts
    UNPINNED,  // the store had it not when it was asked last
    TIMED,     // one with a time came when the store could not keep that
};

// A shop's mark; never 0. Two shops with one mark are not to be expected with 63 bits.
static uint64_t mark_of(const struct shop *shop, enum knowledge what) {
    struct digest d = sha256(shop->name);
    uint64_t mark;
    memcpy(&mark, d.b + (size_t)what * sizeof mark, sizeof mark);
    return mark | 1;
}

static bool is_marked(const struct ingest *in, const struct shop *shop, enum knowledge what) {
    const uint64_t mark = mark_of(shop, what);
    for (size_t i = 0; i < COUNTOF(in->marks); i++)
        if (__atomic_load_n(&in->marks[i], __ATOMIC_RELAXED) == mark)
            return true;
    return false;
}

// With all places taken a shop is asked for in the store each time: slower, not wrong.
static void set_mark(struct ingest *in, const struct shop *shop, enum knowledge what) {
    const uint64_t mark = mark_of(shop, what);
    for (size_t i = 0; i < COUNTOF(in->marks); i++) {
        uint64_t empty = 0;
        if (__atomic_compare_exchange_n(&in->marks[i], &empty, mark, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) || empty == mark)
            return;
    }
}

// The store fails for many requests at once; one line says it.
static enum result store_failed(struct ingest *in, const struct err *e) {
    if (log_due(&in->complained_ms))
        log_error("webhooks are answered 503: %s", e->text);
    return REJECTED_STORE;
}

// pin: while the store cannot keep it the delivery is good all the same; this process goes by it, and the next one with a time pins.
static enum result pin(struct ingest *in, const struct shop *shop) {
    const struct remembered pinned = {PIN_KEY, SV("1"), PIN_LIFETIME_MS};
    struct err e;
    int64_t waiting;
    enum rc rc = store_state_put(in->store, shop->name, &pinned, &e);
    if (rc != RC_OK && !store_spools(in->store, &waiting))
        return store_failed(in, &e);
    set_mark(in, shop, rc == RC_OK ? PINNED : TIMED);
    return ACCEPTED;
}

// Recharge signs with and without a time. The first delivery that has one is remembered for good, and from then on the weaker
// signature, which anybody could fall back to by leaving the better one out, opens nothing. ACCEPTED: go on.
static enum result check_pin(struct ingest *in, const struct shop *shop, struct signature s, struct arena *a) {
    struct sv pinned = SV_NONE;
    struct err e;
    int64_t waiting;
    if (is_marked(in, shop, PINNED))
        return s.pins ? ACCEPTED : REJECTED_SIGNATURE;
    if (s.pins)
        return pin(in, shop);
    if (is_marked(in, shop, TIMED))
        return REJECTED_SIGNATURE;
    enum rc rc = store_state_get(in->store, a, shop->name, PIN_KEY, &pinned, &e);
    if (rc != RC_OK && rc != RC_INVALID)
        return store_spools(in->store, &waiting) && is_marked(in, shop, UNPINNED) ? ACCEPTED : store_failed(in, &e);
    bool there = pinned.p || rc == RC_INVALID;  // sealed with a key that is gone: that there is one says it all
    set_mark(in, shop, there ? PINNED : UNPINNED);
    return there ? REJECTED_SIGNATURE : ACCEPTED;
}

// ACCEPTED: it is from whom it says.
static enum result prove(struct ingest *in, const struct route *route, const struct http_request *r, int64_t now_ms) {
    static const struct secrets nobodys = {.v = {CONSTANT("a secret that nobody has")}, .n = 1};
    const struct shop nobody = {.shopify.secrets = nobodys, .recharge.secrets = nobodys, .events.secrets = nobodys};
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
    if (!sv_present(route->topic_text) && !route->source->split)
        return REJECTED_HEADERS;
    return s.pins || s.needs_unpinned ? check_pin(in, route->shop, s, r->arena) : ACCEPTED;
}

// ---- taking it

// The body counts as well as the sender's id of the delivery: the id's header is not signed, and Recharge has none. Nor is the topic
// signed: whoever has seen one signed body could have it kept once under each name that he makes up, so all unknown ones are one.
static size_t idempotency_keys(const struct route *route, const struct http_request *r, struct sv keys[2]) {
    const struct source *source = route->source;
    struct sv id = source->delivery_header ? headers_get(r->headers, source->delivery_header) : SV_NONE;
    struct digest d = sha256(r->body);
    struct sv hex = hex_of(r->arena, d.b, sizeof d.b);
    size_t n = 0;
    if (sv_present(id))
        keys[n++] = arena_fmt(r->arena, "delivery:%s:" SV_FMT ":" SV_FMT, source->name, SV_ARG(route->topic_text), SV_ARG(id));
    keys[n++] = arena_fmt(r->arena, "body:%s:%s:" SV_FMT, source->name, route->topic ? route->topic->name : "other", SV_ARG(hex));
    return n;
}

// What to answer of a delivery when it is new.
static enum result result_of(const struct delivery *d) {
    return d->state == JOB_IGNORED ? IGNORED : d->state == JOB_DEAD ? UNDECODABLE : ACCEPTED;
}

// keep: all of them durable, or none of them acknowledged. ACCEPTED: told[i] says which were known already.
static enum result keep(struct ingest *in, struct arena *a, const struct delivery *d, size_t n, enum accepted *told) {
    struct err e;
    bool pending = false;
    if (!arena_ok(a)) {
        err_set(&e, RC_TOO_LARGE, "a webhook takes more memory than a request may");
        return store_failed(in, &e);
    }
    FAILPOINT("accept.before_commit");
    if (store_accept(in->store, d, n, told, &e) != RC_OK)
        return store_failed(in, &e);
    FAILPOINT("accept.after_commit");
    for (size_t i = 0; i < n; i++)
        pending |= told[i] == ACCEPTED_NEW && d[i].state == JOB_PENDING;
    if (pending)
        __atomic_store_n(&in->fresh, true, __ATOMIC_RELEASE);
    return ACCEPTED;
}

static enum result take(struct ingest *in, const struct route *route, const struct http_request *r, int64_t now_ms) {
    struct sv keys[2];
    enum accepted told;
    struct delivery d = {
        .shop = route->shop->name,
        .source = sv_of(route->source->name),
        .topic = route->topic_text,
        .body = r->body,
        .received_ms = now_ms,
        .keys = keys,
        .key_count = idempotency_keys(route, r, keys),
    };
    FAILPOINT("accept.verified");
    delivery_classify(r->arena, route->shop, route->topic, &d);
    enum result kept = keep(in, r->arena, &d, 1, &told);
    if (kept != ACCEPTED)
        return kept;
    return told == ACCEPTED_DUPLICATE ? DUPLICATE : result_of(&d);
}

static void count_topic(struct ingest *in, const struct route *route, const struct topic *topic, enum result result) {
    struct sv shop = route->shop ? route->shop->name : SV_NONE, source = route->source ? sv_of(route->source->name) : SV_NONE;
    struct sv name = topic ? sv_of(topic->name) : route->source ? SV("other") : SV_NONE;
    metrics_webhook(in->metrics, shop, source, name, results[result].name);
}

static void count(struct ingest *in, const struct route *route, enum result result) {
    count_topic(in, route, route->topic, result);
}

// ---- many in one request

// One of them on its way to the store.
struct entry {
    const struct part *part;
    enum result result;
};

static void write_result(struct jw *w, const struct entry *entry) {
    jw_open(w, '{');
    jw_key(w, "id");
    jw_string(w, entry->part->id);
    jw_member(w, "status", sv_of(results[entry->result].name));
    jw_key(w, "faults");
    jw_open(w, '[');
    for (size_t i = 0; i < entry->part->fault_count; i++)
        jw_string(w, entry->part->faults[i]);
    jw_close(w, ']');
    jw_close(w, '}');
}

static struct sv results_text(struct arena *a, const struct entry *entries, size_t n) {
    struct buf out;
    struct jw w;
    buf_init(&out, ANSWER_LIMIT);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_key(&w, "results");
    jw_open(&w, '[');
    for (size_t i = 0; i < n; i++)
        write_result(&w, &entries[i]);
    jw_close(&w, ']');
    jw_close(&w, '}');
    return buf_take(&out, a);
}

static struct sv error_text(struct arena *a, const struct err *e) {
    struct buf out;
    struct jw w;
    buf_init(&out, ANSWER_LIMIT);
    jw_init(&w, &out);
    jw_open(&w, '{');
    jw_member(&w, "error", sv_of(e->text));
    jw_close(&w, '}');
    return buf_take(&out, a);
}

// take_many takes the good ones among the parts of a request, whatever is wrong with the others.
static enum result take_many(struct ingest *in, const struct route *route, const struct http_request *r, int64_t now_ms, struct sv *ret_body) {
    struct arena *a = r->arena;
    struct part *parts;
    size_t n, valid = 0;
    struct err e;
    enum rc rc = route->source->split(a, route->shop, r->body, now_ms, &parts, &n, &e);
    if (rc != RC_OK) {
        *ret_body = error_text(a, &e);
        return rc == RC_TOO_LARGE ? REJECTED_COUNT : REJECTED_BODY;
    }
    struct entry *entries = ARENA_ARRAY(a, struct entry, n);
    struct delivery *deliveries = ARENA_ARRAY(a, struct delivery, n);
    enum accepted *told = ARENA_ARRAY(a, enum accepted, n);
    for (size_t i = 0; i < n; i++) {
        entries[i] = (struct entry){.part = &parts[i], .result = INVALID};
        if (!parts[i].topic)
            continue;
        deliveries[valid] = delivery_of(a, route->shop, route->source, &parts[i], now_ms);
        entries[i].result = result_of(&deliveries[valid++]);
    }
    enum result kept = keep(in, a, deliveries, valid, told);
    if (kept != ACCEPTED)
        return kept;
    for (size_t i = 0, next = 0; i < n; i++) {
        if (parts[i].topic && told[next++] == ACCEPTED_DUPLICATE)
            entries[i].result = DUPLICATE;
        count_topic(in, route, parts[i].topic, entries[i].result);
    }
    *ret_body = results_text(a, entries, n);
    return valid > 0 ? MANY : NO_VALID;
}

// ---- for the HTTP server

int ingest_early(void *ctx, const struct http_request *r) {
    (void)ctx;
    struct sv rest;
    if (!rooted(r->path, &rest) && !rest.p)
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
        result = route.source->split ? take_many(in, &route, r, now_ms, &ret->body) : take(in, &route, r, now_ms);
    ret->status = results[result].status;
    if (results[result].body.p)
        ret->body = results[result].body;
    ret->extra_headers = results[result].headers;
    ret->keep = ret->status == 200;
    if (results[result].name)
        count(in, &route, result);
    if (ret->status == 200)
        metrics_ack(in->metrics, clock_mono_us() - r->started_us);
    config_drop(config);
}

// Whose answer is out wakes for all: what others stored by then is there too.
void ingest_done(void *ctx, const struct http_request *r) {
    struct ingest *in = ctx;
    (void)r;
    if (__atomic_exchange_n(&in->fresh, false, __ATOMIC_ACQ_REL) && in->accepted)
        in->accepted(in->accepted_ctx);
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
