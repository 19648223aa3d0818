#include "bench/traffic.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "handlers/source.h"
#include "server/commands/fixture.h"

#include <stdlib.h>
#include <string.h>

#define BODY_LEAST 10240
#define SIGNATURE_LEN 44
#define FIRST_CUSTOMER 7345000000000
#define NO_SIGNATURE "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

enum { ORDER, CUSTOMER, MAIL, PHONE, SIGNATURE, SHOP };

// Which texts of the request differ from order to order: where (behind `skip` characters), and what is written there.
static const struct {
    const char *text;
    size_t skip;
    int kind;
} parts[] = {
    {"6240018501642", 0, ORDER},
    {"hWN1b572b1f8334569f9c56", 10, ORDER},                   // cart_token
    {"b6afaeea7f2850bda7c25c2c68a9e25b", 19, ORDER},          // checkout_token
    {"491a73a9295e5a8383d15ca294b85b5c", 19, ORDER},          // token
    {"X-Shopify-Webhook-Id: a8001e24-27de-5f41-8281-3c147f4264e2", 45, ORDER},
    {"7345120034982", 0, CUSTOMER},
    {"ava.roth@klaviyo-demo.com", 0, MAIL},
    {"+4915112345678", 6, PHONE},
    {NO_SIGNATURE, 0, SIGNATURE},
    {"/hooks/shop000/shopify", 11, SHOP},
};

static struct sv without_white_space(struct arena *a, struct sv json) {
    char *out = arena_alloc(a, json.n);
    size_t n = 0;
    bool quoted = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (!quoted && (c == ' ' || c == '\n' || c == '\t' || c == '\r'))
            continue;
        if (c == '"' && (i == 0 || json.p[i - 1] != '\\'))
            quoted = !quoted;
        out[n++] = c;
    }
    return (struct sv){out, n};
}

static size_t find(struct sv text, const char *needle, size_t from) {
    const char *at = from < text.n ? memmem(text.p + from, text.n - from, needle, strlen(needle)) : NULL;
    return at ? (size_t)(at - text.p) : text.n;
}

// The first line item once more, until the body is as long as orders are.
static struct sv lengthened(struct arena *a, struct sv json) {
    size_t at = find(json, "\"line_items\":[", 0) + 14, end = at;
    if (at >= json.n)
        return json;
    for (int depth = 0; end < json.n; end++) {
        depth += json.p[end] == '{';
        depth -= json.p[end] == '}';
        if (depth == 0)
            break;
    }
    struct buf out;
    buf_init(&out, 64 << 10);
    buf_put(&out, sv_sub(json, 0, at));
    for (size_t n = json.n; n < BODY_LEAST; n += end + 2 - at) {
        buf_put(&out, sv_sub(json, at, end + 1 - at));
        buf_putc(&out, ',');
    }
    buf_put(&out, sv_sub(json, at, json.n));
    struct sv longer = arena_dup(a, buf_sv(&out));
    buf_free(&out);
    return longer;
}

// A text that is not there would leave all orders alike, and all but the first would be duplicates.
static enum rc find_sites(struct traffic *t, struct err *e) {
    for (size_t i = 0; i < COUNTOF(parts); i++) {
        size_t at = find(t->request, parts[i].text, 0);
        if (at == t->request.n && (parts[i].kind != SHOP || t->config.shops > 1))
            return err_set(e, RC_INVALID, "%s: `%s` is not in it any more; traffic.c says what differs from order to order", t->config.fixture, parts[i].text);
        for (; at < t->request.n; at = find(t->request, parts[i].text, at + 1)) {
            if (t->site_count == SITES_MAX)
                return err_set(e, RC_INVALID, "%s: more than %d places differ from order to order", t->config.fixture, SITES_MAX);
            t->sites[t->site_count++] = (struct site){at + parts[i].skip, parts[i].kind};
        }
    }
    return RC_OK;
}

static void put_number(char *out, size_t width, int64_t n) {
    for (size_t i = width; i-- > 0; n /= 10)
        out[i] = (char)('0' + n % 10);
}

int64_t traffic_person(const struct traffic *t, int64_t i) {
    return t->config.lanes > 0 ? (t->config.first + i) % t->config.lanes : t->config.first + i;
}

void traffic_put(const struct traffic *t, char *request, int64_t i) {
    int64_t person = traffic_person(t, i);
    char order[13], customer[13], mail[8], phone[8], shop[3];
    put_number(order, sizeof order, FIRST_ORDER + t->config.first + i);
    put_number(customer, sizeof customer, FIRST_CUSTOMER + person);
    put_number(mail, sizeof mail, person);
    put_number(phone, sizeof phone, 10000000 + person);
    put_number(shop, sizeof shop, i % t->config.shops);
    const struct sv texts[] = {
        [ORDER] = {order, sizeof order}, [CUSTOMER] = {customer, sizeof customer}, [MAIL] = {mail, sizeof mail}, [PHONE] = {phone, sizeof phone},
        [SHOP] = {shop, sizeof shop}, [SIGNATURE] = {t->signatures + i * SIGNATURE_LEN, SIGNATURE_LEN},
    };
    for (size_t s = 0; s < t->site_count; s++)
        memcpy(request + t->sites[s].at, texts[t->sites[s].kind].p, texts[t->sites[s].kind].n);
}

static void sign(struct traffic *t, struct arena *a, char *request, int64_t i) {
    struct sv body = {request + t->body_at, t->request.n - t->body_at}, secret = sv_of(t->config.secret);
    traffic_put(t, request, i);
    struct sv signature = sign_shopify(a, t->config.wrong ? SV("another secret") : secret, body);
    memcpy(t->signatures + i * SIGNATURE_LEN, signature.p, SIGNATURE_LEN);
    arena_reset(a);
}

static enum rc sign_all(struct traffic *t, struct err *e) {
    struct arena a;
    char *request = malloc(t->request.n);
    t->signatures = calloc((size_t)t->config.count, SIGNATURE_LEN);
    if (!request || !t->signatures)
        return err_set(e, RC_IO, "out of memory");
    memcpy(request, t->request.p, t->request.n);
    arena_init(&a, 1 << 20);
    for (int64_t i = 0; i < t->config.count; i++)
        sign(t, &a, request, i);
    arena_free(&a);
    free(request);
    return RC_OK;
}

enum rc traffic_init(struct traffic *t, const struct traffic_config *config, struct err *e) {
    struct fixture f;
    *t = (struct traffic){.config = *config};
    arena_init(&t->arena, 16 << 20);
    if (fixture_read(&t->arena, config->fixture, &f, e))
        return e->code;
    fixture_shift(&t->arena, &f, clock_wall_ms());
    struct sv body = lengthened(&t->arena, without_white_space(&t->arena, f.body));
    struct sv head = arena_fmt(&t->arena,
                               "POST /hooks/%s/shopify HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                               "X-Shopify-Topic: orders/create\r\nX-Shopify-Hmac-Sha256: " NO_SIGNATURE "\r\n"
                               "X-Shopify-Shop-Domain: acme.myshopify.com\r\nX-Shopify-API-Version: 2026-10\r\n"
                               "X-Shopify-Webhook-Id: a8001e24-27de-5f41-8281-3c147f4264e2\r\n%s\r\n",
                               config->shops > 1 ? "shop000" : config->shop, body.n, config->close ? "Connection: close\r\n" : "");
    t->body_at = head.n;
    t->request = arena_fmt(&t->arena, SV_FMT SV_FMT, SV_ARG(head), SV_ARG(body));
    enum rc rc = find_sites(t, e);
    return rc == RC_OK ? sign_all(t, e) : rc;
}

void traffic_free(struct traffic *t) {
    arena_free(&t->arena);
    free(t->signatures);
}
