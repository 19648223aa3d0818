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
    char *out = arena_room(a, s.n + 1);
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
    for (size_t i = 0; i < s.n; i++) {
        char letter = (char)(s.p[i] | 0x20);
        if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(letter >= 'a' && letter <= 'f'))
            return false;
    }
    return true;
}

static const char hash_of_nothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// What is known of the person for one parameter: absent when nothing valid is left, so that the hash of nothing is never sent.
struct known {
    struct sv text;
    bool is_hash;  // somebody else's SHA-256 is taken over
};

// An MD5 matches nobody at Meta, but 32 hex digits may well be an external id.
static struct known known_of(struct arena *a, const struct parameter *p, const struct user *u) {
    struct sv raw = *(const struct sv *)(const void *)((const char *)u + p->offset), text = trim_utf8(raw);
    if (text.n == 2 * SHA256_LEN && is_hex(text))
        return (struct known){sv_is_nocase(text, hash_of_nothing) ? SV_NONE : lower_utf8(a, text), true};
    if (!sv_present(text) || (text.n == SHA256_LEN && is_hex(text) && p->normal != external_id))
        return (struct known){0};
    return (struct known){p->normal(a, raw, u->country), false};
}

static struct sv hash_of(struct arena *a, struct known known) {
    if (known.is_hash || !sv_present(known.text))
        return known.text;
    struct digest digest = sha256(known.text);
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
        if (sv_present(known_of(a, &hashed[i], &e->user).text))
            weak &= hashed[i].weak;
    for (size_t i = 0, n = plain_parameters(a, e, browser, plain); i < n; i++)
        weak &= plain[i].weak;
    return weak == 0;
}

static void tell_origin(struct buf *out, const char *key, const char *from) {
    if (out->n > 0)
        buf_puts(out, ", ");
    buf_puts(out, key);
    buf_putc(out, '=');
    buf_puts(out, from ? from : "webhook");
}

static void write_hashed(struct jw *w, const char *key, struct sv value) {
    jw_key(w, key);
    jw_open(w, '[');
    jw_string(w, value);
    jw_close(w, ']');
}

struct sv meta_user_write(struct jw *w, struct arena *a, const struct event *e, bool browser) {
    struct plain plain[PLAIN_MAX];
    struct buf origins;
    buf_init(&origins, 1 << 12);
    jw_open(w, '{');
    for (size_t i = 0; i < COUNTOF(hashed); i++) {
        struct sv value = hash_of(a, known_of(a, &hashed[i], &e->user));
        if (!sv_present(value))
            continue;
        write_hashed(w, hashed[i].key, value);
        if (hashed[i].origin > 0)
            tell_origin(&origins, hashed[i].key, *(const char *const *)(const void *)((const char *)&e->origins + hashed[i].origin - 1));
    }
    for (size_t i = 0, n = plain_parameters(a, e, browser, plain); i < n; i++) {
        jw_member(w, plain[i].key, plain[i].value);
        tell_origin(&origins, plain[i].key, plain[i].from);
    }
    jw_close(w, '}');
    struct sv text = arena_dup(a, buf_sv(&origins));
    buf_free(&origins);
    return sv_present(text) ? text : SV_NONE;
}
