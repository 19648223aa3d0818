// context_apply.c: what the storefront knew, joined to what the webhook says.
#include "mapping/click.h"
#include "mapping/consent.h"
#include "mapping/context.h"
#include "mapping/normalise.h"

#include <string.h>

#define NOTE_ATTRIBUTE "note attribute"

// Nobody is at a browser when these happen: click ids, address and agent would be those of another moment.
static bool has_visit(const struct event *e) {
    static const char *const without[] = {"renewal", "subscription", "pos"};
    for (size_t i = 0; i < COUNTOF(without); i++)
        if (sv_is(e->origin, without[i]))
            return false;
    return e->name != EVENT_RENEWAL_CHARGED && e->name != EVENT_RENEWAL_FAILED && e->name != EVENT_INVENTORY_RESTOCKED;
}

static bool of_claimed_customer(const struct known_context *k) {
    return strcmp(k->from, "context:customer") == 0;
}

static bool of_customer(const struct known_context *k) {
    return of_claimed_customer(k) || strcmp(k->from, "context:signed_customer") == 0;
}

// What the event said without a date is older than what its own visit's browser said: a cart's attributes do not change any more in the
// checkout. It is newer than another visit of the customer before it, but for a renewal, which repeats its first checkout's words.
static int64_t told_at_ms(const struct event *e, bool same_visit) {
    return e->consent_at_ms != 0 || same_visit || !has_visit(e) ? e->consent_at_ms : e->time_ms;
}

// Anybody may claim a customer's id that is not signed: under it no permission is believed, and a denial only where the event's own visit
// says nothing of marketing. A renewal has no visit: what it says is its first checkout's word; and what is in stock again has the word of
// whoever asked for it then.
static bool asks_others(const struct event *e) {
    return e->consent.marketing == CONSENT_UNKNOWN || !has_visit(e);
}

static void apply_consent(const struct known_context *k, struct event *e) {
    const struct context *c = &k->context;
    struct consent merged = e->consent, said = of_claimed_customer(k) ? consent_refusals(c->consent) : c->consent;
    if (!consent_told(&said) || (of_claimed_customer(k) && !asks_others(e)))
        return;
    if (!consent_told(&e->consent) || c->consent_at_ms > told_at_ms(e, !of_customer(k))) {
        consent_apply(&merged, said);
        e->consent_at_ms = c->consent_at_ms;
    } else {
        merged = said;
        consent_apply(&merged, e->consent);
    }
    if (merged.marketing != e->consent.marketing) {
        e->said = e->origins.consent ? e->said : e->consent.marketing;
        e->origins.consent = k->from;
    }
    e->consent = merged;
}

// ---- the click

// The cookie as it is, unless the click id of a page is of a later click. Meta: the time is when the click was first seen.
static struct sv fbc_of(struct arena *a, const struct context *c, int64_t event_ms) {
    struct sv cookie = valid_fbc(c->fbc.text, event_ms) ? c->fbc.text : SV_NONE;
    struct sv made = arena_fmt(a, "fb.1.%lld." SV_FMT, (long long)c->fbclid.at_ms, SV_ARG(c->fbclid.text));
    if (!sv_present(c->fbclid.text) || !valid_fbc(made, event_ms))
        return cookie;
    struct click click = click_of(cookie);
    bool later = !sv_eq(click.id, c->fbclid.text) && c->fbclid.at_ms > click.seen_ms;
    return !cookie.p || later ? made : cookie;
}

// ---- filling

static void fill(struct sv *field, const char **origin, struct sv value, const char *from) {
    if (sv_present(*field) || !sv_present(value))
        return;
    *field = value;
    *origin = from;
}

static bool is_from(const char *origin, const char *from) {
    return origin && strcmp(origin, from) == 0;
}

// gives_way: what the event has for fbc is worth less. The page that a visit began with says which click it was, not when; whoever knows
// the time knows better. Of the own visit's clicks the later one counts, and the time when it was first seen; another visit's click is not
// this one's.
static bool gives_way(const struct known_context *k, struct sv fbc, const struct event *e) {
    struct click has = click_of(e->user.fbc), other = click_of(fbc);
    bool guessed = is_from(e->origins.fbc, LANDING_SITE), same = sv_eq(has.id, other.id);
    if (of_customer(k))
        return guessed && same && !of_claimed_customer(k);
    if (is_from(e->origins.fbc, NOTE_ATTRIBUTE))
        return same ? other.seen_ms <= has.seen_ms : other.seen_ms >= has.seen_ms;
    return guessed;
}

static void fill_fbc(struct arena *a, const struct known_context *k, struct event *e) {
    struct sv fbc = fbc_of(a, &k->context, e->time_ms);
    if (sv_present(fbc) && sv_present(e->user.fbc) && gives_way(k, fbc, e))
        e->user.fbc = SV_NONE;
    fill(&e->user.fbc, &e->origins.fbc, fbc, k->from);
}

static void fill_fbp(const struct known_context *k, struct event *e) {
    struct sv fbp = k->context.fbp.text;
    if (!valid_fbp(fbp))
        return;
    if (!of_customer(k) && is_from(e->origins.fbp, NOTE_ATTRIBUTE))
        e->user.fbp = SV_NONE;
    fill(&e->user.fbp, &e->origins.fbp, fbp, k->from);
}

static void fill_page(const struct context *c, struct event *e) {
    static const char *const pages[] = {"page_url", "product_url", "checkout_url", "order_status_url"};
    for (size_t i = 0; i < COUNTOF(pages); i++)
        if (sv_present(event_property_text(e, pages[i])))
            return;
    event_property(e, "page_url", c->page_url.text);
}

// Another visit of the customer, if it was one: of another moment, and of who may have called himself anything.
static void fill_from(struct arena *a, const struct known_context *k, struct event *e) {
    const struct context *c = &k->context;
    fill_fbp(k, e);
    e->clicked |= sv_present(c->fbc.text) || sv_present(c->fbclid.text);
    fill_fbc(a, k, e);
    if (of_customer(k))
        return;
    fill(&e->user.ip, &e->origins.ip, c->ip.text, k->from);
    fill(&e->user.user_agent, &e->origins.user_agent, c->user_agent.text, k->from);
    event_fill(e, &(struct user){.email = c->email.text, .external_id = c->customer_id.text}, k->from);
    fill_page(c, e);
}

void context_apply(struct arena *a, const struct known_context *known, size_t n, struct event *e) {
    for (size_t i = 0; i < n; i++)
        apply_consent(&known[i], e);
    if (e->consent.marketing == CONSENT_DENIED || !has_visit(e))
        return;
    for (size_t i = 0; i < n; i++)
        fill_from(a, &known[i], e);
}
