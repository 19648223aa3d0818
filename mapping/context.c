// context.c: reading what a browser posts. It comes from anybody, so whatever is not exactly as expected is refused, and no text of it
// enters an error.
#include "mapping/context.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "mapping/consent.h"
#include "mapping/normalise.h"

#include <stddef.h>

#define CLICK_LIFETIME_MS DAYS_MS(90)  // of Meta's cookies

// ---- values

static bool is_graphic(struct sv s, size_t most) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '!' || s.p[i] > '~')
            return false;
    return s.n > 0 && s.n <= most;
}

static bool is_token(struct arena *a, struct sv s) {
    (void)a;
    return is_graphic(s, 200) && s.p[0] != '?';
}

static bool is_customer_id(struct arena *a, struct sv s) {
    (void)a;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0 && s.n <= 20;
}

static bool is_signature(struct arena *a, struct sv s) {
    struct digest digest;
    (void)a;
    return hex_digest(s, &digest);
}

static bool is_email(struct arena *a, struct sv s) {
    return s.n <= 254 && sv_present(normal_email(a, s));
}

static bool is_agent(struct arena *a, struct sv s) {
    (void)a;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7F)
            return false;
    return s.n <= 1000;
}

static bool is_page(struct arena *a, struct sv s) {
    (void)a;
    return is_graphic(s, 2000) && (sv_starts(s, SV("https://")) || sv_starts(s, SV("http://")));
}

static bool is_cookie(struct arena *a, struct sv s) {
    (void)a;
    return valid_fbp(s);
}

static bool is_click_id(struct arena *a, struct sv s) {
    return s.n <= 1000 && valid_fbp(arena_fmt(a, "fb.1.1." SV_FMT, SV_ARG(s)));
}

// ---- members

static const struct member {
    const char *name;
    size_t offset;         // of a struct sv in struct posted_context; in a seen_text its time follows
    bool (*check)(struct arena *a, struct sv text);  // NULL: the member is read apart
    bool seen, number_too;
    unsigned cookie;       // of enum dropped: made by others, dropped, not refused, when malformed
    const char *expected;
} members[] = {
#define POSTED(field) offsetof(struct posted_context, field)
    {"cart_token", POSTED(cart_token), is_token, .expected = "a token"},
    {"checkout_token", POSTED(checkout_token), is_token, .expected = "a token"},
    {"customer_id", POSTED(context.customer_id), is_customer_id, .seen = true, .number_too = true, .expected = "an id"},
    {"customer_signature", POSTED(customer_signature), is_signature, .expected = "64 hex digits"},
    {"email", POSTED(context.email), is_email, .seen = true, .expected = "an e-mail address"},
    {"fbp", POSTED(context.fbp), is_cookie, .seen = true, .cookie = DROPPED_FBP, .expected = "a text"},
    {"fbc", POSTED(context.fbc), is_cookie, .seen = true, .cookie = DROPPED_FBC, .expected = "a text"},
    {"fbclid", POSTED(context.fbclid), is_click_id, .seen = true, .cookie = DROPPED_FBCLID, .expected = "a text"},
    {"user_agent", POSTED(context.user_agent), is_agent, .seen = true, .expected = "a user agent of at most 1000 bytes"},
    {"page_url", POSTED(context.page_url), is_page, .seen = true, .expected = "an http(s) URL of at most 2000 bytes"},
    {.name = "fbclid_seen_at"},
    {.name = "consent"},
    {.name = "gpc"},
};

static bool is_nothing(const struct json *node) {
    return !node || node->type == JSON_NULL || (node->type == JSON_STRING && node->text.n == 0);
}

static enum rc check_names(const struct json *body, struct err *e) {
    if (body->count > COUNTOF(members))
        return err_set(e, RC_INVALID, "more members than there are names");
    JSON_EACH(value, body) {
        size_t i = 0;
        while (i < COUNTOF(members) && !sv_is(value->key, members[i].name))
            i++;
        if (i == COUNTOF(members))
            return err_set(e, RC_INVALID, "an unknown member");
    }
    return RC_OK;
}

static enum rc read_member(struct arena *a, const struct member *m, const struct json *node, int64_t now_ms, struct posted_context *ret, struct err *e) {
    if (!m->check || is_nothing(node))
        return RC_OK;
    bool typed = node->type == JSON_STRING || (m->number_too && node->type == JSON_NUMBER);
    bool fine = typed && m->check(a, node->text);
    if (!fine && typed && m->cookie) {
        ret->dropped |= m->cookie;
        return RC_OK;
    }
    if (!fine)
        return err_set(e, RC_INVALID, "%s: not %s", m->name, m->expected);
    void *field = (char *)ret + m->offset;
    if (m->seen)
        *(struct seen_text *)field = (struct seen_text){node->text, now_ms};
    else
        *(struct sv *)field = node->text;
    return RC_OK;
}

// A click cannot have been seen in the future, whatever the browser's clock says; one older than Meta's cookies says nothing any more.
static enum rc read_click_time(const struct json *node, int64_t now_ms, struct posted_context *ret, struct err *e) {
    struct seen_text *click = &ret->context.fbclid;
    int64_t seen_ms;
    if (is_nothing(node))
        return RC_OK;
    if (node->type != JSON_NUMBER || !sv_i64(node->text, &seen_ms) || seen_ms <= 0)
        return err_set(e, RC_INVALID, "fbclid_seen_at: not a time in milliseconds");
    if (seen_ms < now_ms - CLICK_LIFETIME_MS) {
        ret->dropped |= sv_present(click->text) ? DROPPED_FBCLID : 0;
        *click = (struct seen_text){0};
    } else if (sv_present(click->text) && seen_ms < now_ms) {
        click->at_ms = seen_ms;
    }
    return RC_OK;
}

static enum rc read_consent(struct arena *a, const struct json *body, int64_t now_ms, struct context *c, struct err *e) {
    const struct json *consent = json_get(body, "consent"), *gpc = json_get(body, "gpc");
    if (!is_nothing(consent) && !consent_is_form(a, consent))
        return err_set(e, RC_INVALID, "consent: not one of its forms");
    if (!is_nothing(gpc) && gpc->type != JSON_TRUE && gpc->type != JSON_FALSE)
        return err_set(e, RC_INVALID, "gpc: neither true nor false");
    (void)consent_read_object(a, body, &c->consent);
    c->consent_at_ms = consent_told(&c->consent) ? now_ms : 0;
    return RC_OK;
}

// Queries hold what is nobody's business: tokens, addresses, searches.
static void cut_page(struct context *c) {
    struct sv rest;
    sv_cut(c->page_url.text, '#', &c->page_url.text, &rest);
    sv_cut(c->page_url.text, '?', &c->page_url.text, &rest);
}

static enum rc read_all(struct arena *a, const struct json *body, int64_t now_ms, struct posted_context *ret, struct err *e) {
    enum rc rc = json_is_object(body) ? check_names(body, e) : err_set(e, RC_INVALID, "not an object");
    for (size_t i = 0; i < COUNTOF(members) && rc == RC_OK; i++)
        rc = read_member(a, &members[i], json_get(body, members[i].name), now_ms, ret, e);
    if (rc == RC_OK)
        rc = read_click_time(json_get(body, "fbclid_seen_at"), now_ms, ret, e);
    if (rc == RC_OK)
        rc = read_consent(a, body, now_ms, &ret->context, e);
    if (rc == RC_OK && !sv_present(ret->cart_token) && !sv_present(ret->checkout_token))
        rc = err_set(e, RC_INVALID, "neither cart_token nor checkout_token");
    return rc;
}

enum rc context_parse(struct arena *a, struct sv body, struct sv ip, struct sv user_agent, int64_t now_ms, struct posted_context *ret,
                      struct err *e) {
    struct json *root;
    struct posted_context posted = {0};
    *ret = posted;
    if (json_parse(a, body, &root, e) != RC_OK)
        return RC_INVALID;
    enum rc rc = read_all(a, root, now_ms, &posted, e);
    if (rc != RC_OK)
        return rc;
    struct context *c = &posted.context;
    if (sv_present(ip))
        c->ip = (struct seen_text){ip, now_ms};
    if (!sv_present(c->user_agent.text) && sv_present(user_agent) && is_agent(a, user_agent))
        c->user_agent = (struct seen_text){user_agent, now_ms};
    cut_page(c);
    posted.customer_id = c->customer_id.text;
    context_merge(c, &(struct context){0});
    *ret = posted;
    return RC_OK;
}

void context_disown(struct posted_context *posted) {
    posted->customer_id = SV_NONE;
    posted->context.customer_id = posted->context.email = (struct seen_text){0};
}

// ---- keys

// The storefront's /cart.js appends "?key=..." to a cart's token, webhooks do not.
struct sv context_key(struct arena *a, const char *kind, struct sv token) {
    struct sv rest;
    sv_cut(token, '?', &token, &rest);
    return arena_join(a, SVS(SV("context:"), sv_of(kind), SV(":"), token));
}

bool context_is_customers(struct sv key) {
    return sv_starts(key, SV("context:customer:")) || sv_starts(key, SV("context:signed_customer:"));
}

const char *context_customer_kind(bool signed_ids) {
    return signed_ids ? "signed_customer" : "customer";
}

size_t context_keys(struct arena *a, const struct event *e, bool signed_ids, struct context_place ret[CONTEXT_KEYS_MAX]) {
    const struct {
        const char *from, *kind;
        struct sv token;
    } all[CONTEXT_KEYS_MAX] = {
        {"context:checkout", "checkout", sv_first(event_property_text(e, "checkout_token"), event_property_text(e, "checkout_id"))},
        {"context:cart", "cart", event_property_text(e, "cart_id")},
        {signed_ids ? "context:signed_customer" : "context:customer", context_customer_kind(signed_ids), e->user.external_id},
    };
    size_t n = 0;
    for (size_t i = 0; i < CONTEXT_KEYS_MAX; i++)
        if (sv_present(all[i].token))
            ret[n++] = (struct context_place){all[i].from, context_key(a, all[i].kind, all[i].token)};
    return n;
}
