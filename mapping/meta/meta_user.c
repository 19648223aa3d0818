// meta_user.c: user_data: who did it. Contact data is normalised and hashed with SHA-256, browser data is sent as it is.
#include "base/crypto.h"
#include "mapping/meta/meta.h"
#include "mapping/normalise.h"

#include <arpa/inet.h>
#include <stddef.h>

// Sets of parameters that identify nobody; what lies within one of them is refused. Each parameter says in which it is.
enum { WEAK_PLACE = 1, WEAK_FIRST_NAME = 2, WEAK_LAST_NAME = 4, WEAK_ALL = 7 };

static struct sv email(struct arena *a, struct sv raw, struct sv country) {
    (void)country;
    return normal_email(a, raw);
}

static struct sv phone(struct arena *a, struct sv raw, struct sv country) {
    return sv_sub(normal_phone(a, raw, country), 1, SIZE_MAX);  // Meta: digits only
}

static struct sv name(struct arena *a, struct sv raw, struct sv country) {
    (void)country;
    return normal_name(a, raw);
}

static struct sv city(struct arena *a, struct sv raw, struct sv country) {
    (void)country;
    return normal_city(a, raw);
}

static struct sv country_code(struct arena *a, struct sv raw, struct sv country) {
    (void)country;
    return normal_country(a, raw);
}

// The pixel hashes an id without white space and in lower case; so must we, or the two never meet.
static struct sv external_id(struct arena *a, struct sv raw, struct sv country) {
    (void)country;
    struct sv s = lower_utf8(a, trim_utf8(raw));
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (sv_trim(sv_sub(s, i, 1)).n > 0)
            out[n++] = s.p[i];
    return n > 0 ? (struct sv){out, n} : SV_NONE;
}

struct parameter {
    const char *key;
    size_t offset;  // of the raw value in struct user
    struct sv (*normal)(struct arena *a, struct sv raw, struct sv country);
    unsigned weak;
    size_t origin;  // of its origin in struct origins plus 1; 0: places and names, which say nobody
};

#define RAW(field) offsetof(struct user, field)
#define FROM(field) (offsetof(struct origins, field) + 1)

static const struct parameter hashed[] = {
    {"em", RAW(email), email, 0, FROM(email)},
    {"ph", RAW(phone), phone, 0, FROM(phone)},
    {"fn", RAW(first_name), name, WEAK_FIRST_NAME, 0},
    {"ln", RAW(last_name), name, WEAK_LAST_NAME, 0},
    {"ct", RAW(city), city, WEAK_PLACE, 0},
    {"st", RAW(region), normal_region, WEAK_PLACE, 0},
    {"zp", RAW(zip), normal_zip, WEAK_PLACE, 0},
    {"country", RAW(country), country_code, WEAK_PLACE, 0},
    {"external_id", RAW(external_id), external_id, 0, FROM(external_id)},
};

static bool is_hex(struct sv s) {
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

static const char hash_of_nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// hash: the value to send; absent when nothing valid is left, so that the hash of nothing is never sent. Somebody's SHA-256
// is taken over; an MD5 matches nobody at Meta, but 32 hex digits may well be an external id.
static struct sv hash(struct arena *a, const struct parameter *p, const struct user *u) {
    struct sv raw = *(const struct sv *)(const void *)((const char *)u + p->offset);
    struct sv lower = lower_utf8(a, trim_utf8(raw));
    if (lower.n == 2 * SHA256_LEN && is_hex(lower))
        return sv_is(lower, hash_of_nothing) ? SV_NONE : lower;
    if (lower.n == SHA256_LEN && is_hex(lower) && p->normal != external_id)
        return SV_NONE;
    struct sv normal = sv_present(lower) ? p->normal(a, raw, u->country) : SV_NONE;
    if (!sv_present(normal))
        return SV_NONE;
    struct digest digest = sha256(normal);
    return hex_of(a, digest.b, SHA256_LEN);
}

static struct sv ip_address(struct arena *a, struct sv raw) {
    unsigned char bytes[sizeof(struct in6_addr)];
    struct sv ip = sv_trim(raw);
    if (!sv_present(ip) || ip.n > INET6_ADDRSTRLEN)
        return SV_NONE;
    const char *text = arena_cstr(a, ip);
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1 ? ip : SV_NONE;
}

struct plain {
    const char *key;
    struct sv value;
    unsigned weak;
    const char *from;
};

#define PLAIN_MAX 5

static size_t plain_parameters(struct arena *a, const struct event *e, bool browser, struct plain *ret) {
    const struct user *u = &e->user;
    struct plain all[PLAIN_MAX] = {
        {"client_ip_address", browser ? ip_address(a, u->ip) : SV_NONE, 0, e->origins.ip},
        {"client_user_agent", browser ? sv_trim(u->user_agent) : SV_NONE, WEAK_PLACE, e->origins.user_agent},
        {"fbp", browser && valid_fbp(u->fbp) ? u->fbp : SV_NONE, 0, e->origins.fbp},
        {"fbc", browser && valid_fbc(u->fbc, e->time_ms) ? u->fbc : SV_NONE, 0, e->origins.fbc},
        {"subscription_id", event_property_text(e, "subscription_id"), 0, NULL},
    };
    size_t n = 0;
    for (size_t i = 0; i < PLAIN_MAX; i++)
        if (sv_present(all[i].value))
            ret[n++] = all[i];
    return n;
}

bool meta_user_is_enough(struct arena *a, const struct event *e, bool browser) {
    struct plain plain[PLAIN_MAX];
    unsigned weak = WEAK_ALL;
    for (size_t i = 0; i < COUNTOF(hashed); i++)
        if (sv_present(hash(a, &hashed[i], &e->user)))
            weak &= hashed[i].weak;
    for (size_t i = 0, n = plain_parameters(a, e, browser, plain); i < n; i++)
        weak &= plain[i].weak;
    return weak == 0;
}

void meta_user_write(struct jw *w, struct arena *a, const struct event *e, bool browser) {
    struct plain plain[PLAIN_MAX];
    jw_open(w, '{');
    for (size_t i = 0; i < COUNTOF(hashed); i++) {
        struct sv value = hash(a, &hashed[i], &e->user);
        if (!sv_present(value))
            continue;
        jw_key(w, hashed[i].key);
        jw_open(w, '[');
        jw_string(w, value);
        jw_close(w, ']');
    }
    for (size_t i = 0, n = plain_parameters(a, e, browser, plain); i < n; i++)
        jw_member(w, plain[i].key, plain[i].value);
    jw_close(w, '}');
}

static void tell_origin(struct buf *out, const char *key, const char *from) {
    buf_fmt(out, "%s%s=%s", out->n > 0 ? ", " : "", key, from ? from : "webhook");
}

struct sv meta_user_origins(struct arena *a, const struct event *e, bool browser) {
    struct plain plain[PLAIN_MAX];
    struct buf out;
    buf_init(&out, 1 << 12);
    for (size_t i = 0; i < COUNTOF(hashed); i++)
        if (hashed[i].origin > 0 && sv_present(hash(a, &hashed[i], &e->user)))
            tell_origin(&out, hashed[i].key, *(const char *const *)(const void *)((const char *)&e->origins + hashed[i].origin - 1));
    for (size_t i = 0, n = plain_parameters(a, e, browser, plain); i < n; i++)
        tell_origin(&out, plain[i].key, plain[i].from);
    struct sv text = buf_ok(&out) ? arena_dup(a, buf_sv(&out)) : SV_NONE;
    buf_free(&out);
    return sv_present(text) ? text : SV_NONE;
}
