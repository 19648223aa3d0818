// context_in.c: who may post, and what becomes of it.
//
// The origin is no secret: it keeps other people's pages from posting with their visitors' browsers, not a program that writes the
// header itself. Against that stand the rates and the tokens: what is kept is found again only by a cart or checkout token.
//
// As with webhooks, a stranger does not learn which shops exist: an unknown shop, a closed one and a foreign origin get one answer.
#include "server/context/context_in.h"

#include "base/clock.h"
#include "base/log.h"
#include "mapping/context.h"
#include "server/context/address.h"
#include "server/context/context_keep.h"
#include "server/context/rate.h"
#include "server/http/http_rules.h"

#include <stdlib.h>
#include <string.h>

struct context_in {
    struct config_slot *config;
    struct context_keep *keep;
    struct metrics *metrics;
    struct rate *addresses, *shops;
    int in_work;                      // atomic: posts that early let go on
    int64_t complained_ms;            // atomic
};

enum result {
    STORED, DENIED, UNSIGNED, PREFLIGHT,
    REJECTED_BODY, REJECTED_TYPE, REJECTED_PATH, REJECTED_ORIGIN, REJECTED_ADDRESS_RATE, REJECTED_SHOP_RATE, REJECTED_STORE,
    REJECTED_HEADERS, REJECTED_LENGTH, REJECTED_TOO_LARGE, REJECTED_TIMEOUT, REJECTED_BUSY,
};

#define CONSTANT(text) {text, sizeof(text) - 1}

static const struct {
    const char *name;
    int status;
    struct sv body;
    const char *headers;
} results[] = {
    [STORED] = {"stored", 204, {0}, ""},
    [DENIED] = {"denied", 204, {0}, ""},
    [UNSIGNED] = {"stored_unsigned", 204, {0}, ""},  // the customer's signature is missing or wrong: kept without the customer
    [PREFLIGHT] = {"preflight", 204, {0},
                   "Access-Control-Allow-Methods: POST\r\nAccess-Control-Allow-Headers: Content-Type\r\nAccess-Control-Max-Age: 86400\r\n"},
    [REJECTED_BODY] = {"rejected_body", 400, CONSTANT("{\"error\":\"malformed context\"}"), ""},
    [REJECTED_TYPE] = {"rejected_type", 415, CONSTANT("{\"error\":\"text/plain or application/json is expected\"}"), ""},
    [REJECTED_PATH] = {"rejected_path", 401, CONSTANT("{\"error\":\"unauthorized\"}"), ""},
    [REJECTED_ORIGIN] = {"rejected_origin", 401, CONSTANT("{\"error\":\"unauthorized\"}"), ""},
    // A token comes back within a second in either bucket.
    [REJECTED_ADDRESS_RATE] = {"rejected_address_rate", 429, {0}, ""},
    [REJECTED_SHOP_RATE] = {"rejected_shop_rate", 429, CONSTANT("{\"error\":\"too many requests\"}"), "Retry-After: 1\r\n"},
    [REJECTED_STORE] = {"rejected_store", 503, CONSTANT("{\"error\":\"the store cannot take it now, try again\"}"), "Retry-After: 30\r\n"},
    [REJECTED_HEADERS] = {"rejected_headers", 400, {0}, ""},
    [REJECTED_LENGTH] = {"rejected_length", 411, {0}, ""},
    [REJECTED_TOO_LARGE] = {"rejected_too_large", 413, {0}, ""},
    [REJECTED_TIMEOUT] = {"rejected_timeout", 408, {0}, ""},
    [REJECTED_BUSY] = {"rejected_busy", 503, {0}, ""},
};

struct context_in *context_in_new(struct config_slot *config, struct store *store, struct metrics *metrics) {
    struct context_in *in = calloc(1, sizeof *in);
    if (!in)
        abort();  // at start only
    *in = (struct context_in){.config = config, .keep = context_keep_new(store), .metrics = metrics};
    in->addresses = rate_new(CONTEXT_ADDRESS_PER_SECOND, CONTEXT_ADDRESS_BURST);
    in->shops = rate_new(CONTEXT_SHOP_PER_SECOND, CONTEXT_SHOP_BURST);
    return in;
}

void context_in_free(struct context_in *in) {
    if (!in)
        return;
    context_keep_free(in->keep);
    rate_free(in->addresses);
    rate_free(in->shops);
    free(in);
}

// ---- who posts

static const struct shop *shop_of(const struct config *config, struct sv path) {
    return config_shop(config, sv_sub(path, CONTEXT_ROOT.n, path.n));
}

// The shop's own spelling of the origin, which an answer may repeat; absent when it is not allowed. Origins have one spelling each.
static struct sv allowed_origin(const struct shop *shop, struct headers headers) {
    struct sv origin = headers_get(headers, "Origin");
    if (headers_count(headers, "Origin") == 1)
        for (size_t i = 0; i < shop->context.origin_count; i++)
            if (sv_eq(shop->context.origins[i], origin))
                return shop->context.origins[i];
    return SV_NONE;
}

// text/plain is what sendBeacon and a plain fetch send, and what a browser asks no permission for.
static bool is_accepted_type(struct headers headers) {
    struct sv type, parameters;
    sv_cut(headers_get(headers, "Content-Type"), ';', &type, &parameters);
    type = sv_trim(type);
    return sv_is_nocase(type, "text/plain") || sv_is_nocase(type, "application/json");
}

// ---- keeping it

// The store fails for many requests at once; one line says it.
static enum result store_failed(struct context_in *in, const struct err *e) {
    if (log_due(&in->complained_ms))
        log_error("contexts are answered 503: %s", e->text);
    return REJECTED_STORE;
}

static enum result keep(struct context_in *in, struct arena *a, const struct shop *shop, struct posted_context *posted) {
    struct err e;
    if (context_keep_post(in->keep, a, shop, posted, &e) != RC_OK)
        return store_failed(in, &e);
    return posted->context.consent.marketing == CONSENT_DENIED ? DENIED : STORED;
}

// vouched: whether the shop's theme signed the customer's id, or nobody asked for that.
static bool vouched(const struct shop *shop, const struct posted_context *posted) {
    struct digest given;
    if (!shop->context.customer_secret.p)
        return true;
    if (!posted->customer_id.p || !hex_digest(posted->customer_signature, &given))
        return false;
    struct digest expected = hmac_sha256(shop->context.customer_secret, &posted->customer_id, 1);
    return digest_eq(&expected, &given);
}

static enum result take(struct context_in *in, const struct config *config, const struct shop *shop, const struct http_request *r) {
    struct posted_context posted = {0};
    struct err e;
    if (sv_is(r->method, "OPTIONS"))
        return PREFLIGHT;
    if (!is_accepted_type(r->headers))
        return REJECTED_TYPE;
    if (!rate_take(in->shops, shop->name, clock_mono_us()))
        return REJECTED_SHOP_RATE;
    struct client client = address_client(config, r->peer, r->headers);
    struct sv ip = client.known ? address_text(r->arena, &client.address) : SV_NONE;
    if (context_parse(r->arena, r->body, ip, headers_get(r->headers, "User-Agent"), clock_wall_ms(), &posted, &e) != RC_OK)
        return REJECTED_BODY;
    metrics_dropped(in->metrics, shop->name, posted.dropped, true);
    bool named = posted.customer_id.p || posted.context.email.text.p, known = vouched(shop, &posted);
    if (!known)
        context_disown(&posted);
    enum result result = keep(in, r->arena, shop, &posted);
    return result == STORED && named && !known ? UNSIGNED : result;
}

// ---- for the HTTP server

static void count(struct context_in *in, const struct shop *shop, enum result result) {
    metrics_context(in->metrics, shop ? shop->name : SV_NONE, results[result].name);
}

// A page reads the answer, also that it came too often or with too much, only where its origin is named.
static const char *cors_headers(struct arena *a, struct sv origin, const char *more) {
    return arena_fmt(a, "Vary: Origin\r\n%s" SV_FMT "%s%s", origin.p ? "Access-Control-Allow-Origin: " : "", SV_ARG(origin), origin.p ? "\r\n" : "", more).p;
}

// The length and the address are looked at before the body is read: a flood keeps no worker waiting for its bodies.
int context_in_early(void *ctx, const struct http_request *r) {
    struct context_in *in = ctx;
    size_t n;
    if (!sv_is(r->method, "POST") && !sv_is(r->method, "OPTIONS"))
        return 405;
    struct config *config = config_current(in->config);
    struct client client = address_client(config, r->peer, r->headers);
    config_drop(config);
    if (!rate_take(in->addresses, address_payer(&client.address), clock_mono_us()))
        return 429;
    int status = http_body_length(r, CONTEXT_BODY_LIMIT, &n);
    if (!status && __atomic_add_fetch(&in->in_work, 1, __ATOMIC_RELAXED) > CONTEXT_THREADS_MOST) {
        context_in_done(in, r);
        status = 503;
    }
    return status;
}

void context_in_done(void *ctx, const struct http_request *r) {
    struct context_in *in = ctx;
    (void)r;
    __atomic_sub_fetch(&in->in_work, 1, __ATOMIC_RELAXED);
}

void context_in_handle(void *ctx, const struct http_request *r, struct http_response *ret) {
    struct context_in *in = ctx;
    struct config *config = config_current(in->config);
    const struct shop *shop = shop_of(config, r->path);
    struct sv origin = shop ? allowed_origin(shop, r->headers) : SV_NONE;
    enum result result = REJECTED_PATH;
    if (origin.p)
        result = take(in, config, shop, r);
    else if (shop && shop->context.origin_count > 0)
        result = REJECTED_ORIGIN;
    ret->status = results[result].status;
    if (results[result].body.p)
        ret->body = results[result].body;
    ret->extra_headers = cors_headers(r->arena, origin, results[result].headers);
    count(in, shop, result);
    config_drop(config);
}

const char *context_in_refused(void *ctx, const struct http_request *r, int status) {
    struct context_in *in = ctx;
    enum result result = REJECTED_HEADERS;
    switch (status) {
    case 405: result = REJECTED_PATH; break;
    case 408: result = REJECTED_TIMEOUT; break;
    case 411: result = REJECTED_LENGTH; break;
    case 413: result = REJECTED_TOO_LARGE; break;
    case 429: result = REJECTED_ADDRESS_RATE; break;
    case 503: result = REJECTED_BUSY; break;
    default: break;
    }
    struct config *config = config_current(in->config);
    const struct shop *shop = shop_of(config, r->path);
    const char *headers = cors_headers(r->arena, shop ? allowed_origin(shop, r->headers) : SV_NONE, "");
    count(in, shop, result);
    config_drop(config);
    return headers;
}
