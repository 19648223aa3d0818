// signature.c: proving who sent a webhook, over the raw bytes. Every configured secret is tried to the end and the results
// are joined without a branch, so that time does not tell which one matched.
#include "base/clock.h"
#include "base/crypto.h"
#include "handlers/signature.h"

#include <inttypes.h>

// Recharge: a retry may come 48 h after the first attempt, and it is not said whether it is signed anew.
#define RECHARGE_WINDOW_S ((int64_t)48 * 3600)
#define EVENTS_WINDOW_S ((int64_t)5 * 60)
#define VERSIONS_MAX 8

struct signed_text {
    struct sv parts[3];
    size_t n;
};

typedef struct digest digest_fn(struct sv secret, const struct signed_text *text);

static struct digest keyed(struct sv secret, const struct signed_text *text) {
    return hmac_sha256(secret, text->parts, text->n);
}

// Recharge's older scheme is called HMAC in its header, but is a plain hash of secret and body.
static struct digest prefixed(struct sv secret, const struct signed_text *text) {
    return sha256_parts((struct sv[]){secret, text->parts[0]}, 2);
}

static bool any_secret(const struct secrets *secrets, digest_fn *fn, const struct signed_text *text, const struct digest *given, size_t n) {
    bool match = false;
    for (size_t i = 0; i < secrets->n && i < SECRETS_MAX; i++) {
        if (!sv_present(secrets->v[i]))
            continue;  // an empty secret proves nothing
        struct digest expected = fn(secrets->v[i], text);
        for (size_t g = 0; g < n; g++)
            match |= digest_eq(&expected, &given[g]);
    }
    return match;
}

struct signature shopify_verify(const struct shop *shop, struct headers h, struct sv body, int64_t now_ms) {
    (void)now_ms;  // Shopify signs no time
    struct digest given;
    if (headers_count(h, SHOPIFY_SIGNATURE) != 1 || !base64_digest(headers_get(h, SHOPIFY_SIGNATURE), &given))
        return (struct signature){0};
    return (struct signature){.valid = any_secret(&shop->shopify.secrets, keyed, &(struct signed_text){{body}, 1}, &given, 1)};
}

// What a timestamped header says. Elements are known by their key; later versions of the scheme may add others.
struct stamp {
    struct sv time;
    struct digest versions[VERSIONS_MAX];
    size_t n;
};

static bool stamp_read(struct sv header, struct stamp *ret) {
    *ret = (struct stamp){0};
    for (struct sv element, rest = header; rest.p; ) {
        sv_cut(rest, ',', &element, &rest);
        struct sv key, value;
        if (!sv_cut(sv_trim(element), '=', &key, &value))
            return false;
        if (sv_is(key, "t")) {
            if (ret->time.p)
                return false;
            ret->time = value;
        } else if (sv_is(key, "v1")) {
            if (ret->n == VERSIONS_MAX || !hex_digest(value, &ret->versions[ret->n++]))
                return false;
        }
    }
    return ret->time.p && ret->n > 0;
}

static bool in_window(struct sv time, int64_t now_ms, int64_t window_s) {
    int64_t t;
    if (time.n > 12 || !sv_i64(time, &t) || t < 0)
        return false;
    int64_t age = now_ms / 1000 - t;
    return age <= window_s && age >= -window_s;
}

// A timestamped header of that name; its time and ours differ by at most the window.
struct scheme {
    const char *header;
    int64_t window_s;
};
static const struct scheme recharge_scheme = {RECHARGE_SIGNATURE, RECHARGE_WINDOW_S}, events_scheme = {EVENTS_SIGNATURE, EVENTS_WINDOW_S};

static bool timestamped(const struct scheme *scheme, const struct secrets *secrets, struct headers h, struct sv body, int64_t now_ms) {
    struct stamp stamp;
    if (headers_count(h, scheme->header) != 1 || !stamp_read(headers_get(h, scheme->header), &stamp) || !in_window(stamp.time, now_ms, scheme->window_s))
        return false;
    return any_secret(secrets, keyed, &(struct signed_text){{stamp.time, SV("."), body}, 3}, stamp.versions, stamp.n);
}

static bool is_object(struct sv body) {
    enum json_type top;
    return json_scan(body, NULL, NULL, &top, NULL) == RC_OK && top == JSON_OBJECT;
}

// Whoever has seen one body with its plain hash can make the hash of that body with padding (which begins with the byte 0x80) and
// anything behind it. After an object only white space can follow, so no such body is one object: the hash proves nothing but objects.
static bool legacy(const struct secrets *secrets, struct headers h, struct sv body) {
    struct digest given;
    if (headers_count(h, RECHARGE_LEGACY_SIGNATURE) != 1 || !hex_digest(headers_get(h, RECHARGE_LEGACY_SIGNATURE), &given))
        return false;
    return any_secret(secrets, prefixed, &(struct signed_text){{body}, 1}, &given, 1) && is_object(body);
}

// A timestamped header, once there, decides alone: falling back to the weaker scheme would let anybody choose it.
struct signature recharge_verify(const struct shop *shop, struct headers h, struct sv body, int64_t now_ms) {
    const struct secrets *secrets = &shop->recharge.secrets;
    bool is_auto = shop->recharge.signature == RECHARGE_AUTO;
    if (headers_count(h, RECHARGE_SIGNATURE) > 0) {
        bool valid = timestamped(&recharge_scheme, secrets, h, body, now_ms);
        return (struct signature){.valid = valid, .pins = valid && is_auto};
    }
    bool valid = shop->recharge.signature != RECHARGE_TIMESTAMPED && legacy(secrets, h, body);
    return (struct signature){.valid = valid, .needs_unpinned = valid && is_auto};
}

struct signature events_verify(const struct shop *shop, struct headers h, struct sv body, int64_t now_ms) {
    return (struct signature){.valid = timestamped(&events_scheme, &shop->events.secrets, h, body, now_ms)};
}

struct sv sign_shopify(struct arena *a, struct sv secret, struct sv body) {
    struct digest d = hmac_sha256(secret, &body, 1);
    return base64_of(a, (struct sv){(const char *)d.b, sizeof d.b});
}

struct sv sign_timestamped(struct arena *a, struct sv secret, struct sv body, int64_t now_s) {
    struct sv t = arena_fmt(a, "%" PRId64, now_s);
    struct digest d = hmac_sha256(secret, (struct sv[]){t, SV("."), body}, 3);
    struct sv hex = hex_of(a, d.b, sizeof d.b);
    return arena_fmt(a, "t=" SV_FMT ",v1=" SV_FMT, SV_ARG(t), SV_ARG(hex));
}

struct sv sign_recharge_legacy(struct arena *a, struct sv secret, struct sv body) {
    struct digest d = sha256_parts((struct sv[]){secret, body}, 2);
    return hex_of(a, d.b, sizeof d.b);
}
