// report_json.c: the figures as JSON, and what is wrong with them. docs/report.md says what each of them means.
#include "base/clock.h"
#include "server/report/report.h"

#define ENOUGH 10             // events below which a share says nothing
#define FBC_LEAST 800         // of the Purchases with a click, in tenths of a percent
#define BEHIND_MOST 250       // points of identity that an event may be behind Purchase, in tenths

// Events that happen in the same browser as a purchase, only earlier: they should know of the buyer nearly as much.
static const char *const upstream[] = {"InitiateCheckout", "AddToCart", "ViewContent", "Search", "Lead", "CompleteRegistration"};

static struct sv tenths(struct arena *a, int64_t n) {
    return arena_fmt(a, "%s%lld.%lld", n < 0 ? "-" : "", (long long)(n < 0 ? -n : n) / 10, (long long)(n < 0 ? -n : n) % 10);
}

static void write_count(struct jw *w, const char *key, int64_t n) {
    jw_key(w, key);
    jw_int(w, n);
}

// A share of nothing is null.
static void write_share(struct jw *w, struct arena *a, const char *key, int64_t part, int64_t whole) {
    jw_key(w, key);
    if (whole > 0)
        jw_number(w, tenths(a, report_share(part, whole)));
    else
        jw_string(w, SV_NONE);
}

static bool comparable(const struct report_event *e) {
    return e && e->outcomes[META_SENT] > 0;
}

// behind: by how many tenths of a point it carries less identity than Purchase.
static int64_t behind(const struct report_event *e, const struct report_event *purchase) {
    return report_identity(purchase) - report_identity(e);
}

static void write_event(struct jw *w, struct arena *a, const struct report_event *e, const struct report_event *purchase) {
    int64_t sent = e->outcomes[META_SENT];
    jw_open(w, '{');
    jw_member(w, "event", e->name);
    write_count(w, "meant", report_meant(e));
    for (size_t i = 0; i < META_OUTCOME_COUNT; i++)
        if (e->outcomes[i] > 0 || i == META_SENT)
            write_count(w, meta_outcome_text((enum meta_outcome)i), e->outcomes[i]);
    jw_key(w, "identity_percent");
    jw_open(w, '{');
    for (size_t i = 0; i < IDENTIFIER_COUNT; i++)
        write_share(w, a, identifier_text((enum identifier)i), e->with[i], sent);
    jw_close(w, '}');
    if (comparable(e)) {
        jw_member_number(w, "identity", tenths(a, report_identity(e)));
        if (comparable(purchase) && e != purchase)
            jw_member_number(w, "behind_purchase", tenths(a, behind(e, purchase)));
    }
    jw_close(w, '}');
}

static void write_fbc(struct jw *w, struct arena *a, const struct report *r, const struct report_event *purchase) {
    int64_t sent = purchase ? purchase->outcomes[META_SENT] : 0, with_fbc = purchase ? purchase->with[ID_FBC] : 0;
    jw_key(w, "purchase_fbc");
    jw_open(w, '{');
    write_count(w, "sent", sent);
    write_count(w, "with_fbc", with_fbc);
    write_share(w, a, "percent", with_fbc, sent);
    write_count(w, "with_click", r->clicked);
    write_count(w, "with_click_and_fbc", r->clicked_with_fbc);
    write_share(w, a, "click_percent", r->clicked_with_fbc, r->clicked);
    jw_close(w, '}');
}

static void write_consent(struct jw *w, struct arena *a, const struct report *r) {
    int64_t meant = 0, declined = 0, unknown = 0;
    for (size_t i = 0; i < r->event_count; i++) {
        meant += report_meant(&r->events[i]);
        declined += r->events[i].outcomes[META_CONSENT_DENIED] + r->events[i].outcomes[META_OPTED_OUT];
        unknown += r->events[i].outcomes[META_CONSENT_UNKNOWN];
    }
    jw_key(w, "consent");
    jw_open(w, '{');
    write_count(w, "meant", meant);
    write_count(w, "declined", declined);
    write_share(w, a, "declined_percent", declined, meant);
    write_count(w, "unknown", unknown);
    write_share(w, a, "unknown_percent", unknown, meant);
    jw_close(w, '}');
}

static void write_orders(struct jw *w, struct arena *a, struct report_orders o) {
    jw_key(w, "double_sending");
    jw_open(w, '{');
    write_count(w, "orders", o.orders);
    write_count(w, "told_by_two", o.told_by_two);
    write_share(w, a, "told_by_two_percent", o.told_by_two, o.orders);
    write_count(w, "sent_twice", o.sent_twice);
    write_share(w, a, "sent_twice_percent", o.sent_twice, o.orders);
    jw_close(w, '}');
}

static void write_gap(struct jw *w, const struct report *r) {
    jw_key(w, "gap_ms");
    jw_open(w, '{');
    write_count(w, "events", (int64_t)r->gap_count);
    write_count(w, "p50", report_gap(r, 50));
    write_count(w, "p95", report_gap(r, 95));
    write_count(w, "max", report_gap(r, 100));
    write_count(w, "klaviyo_first", r->klaviyo_first);
    jw_close(w, '}');
}

// ---- warnings

static const char *most_behind(const struct report_event *e, const struct report_event *purchase) {
    int64_t most = 0;
    const char *name = "identity";
    for (size_t i = 0; i < IDENTIFIER_COUNT; i++) {
        int64_t by = report_share(purchase->with[i], purchase->outcomes[META_SENT]) - report_share(e->with[i], e->outcomes[META_SENT]);
        if (by > most) {
            most = by;
            name = identifier_text((enum identifier)i);
        }
    }
    return name;
}

static void warn_divergence(struct jw *w, struct arena *a, const struct report *r, const struct report_event *purchase) {
    if (!purchase || purchase->outcomes[META_SENT] < ENOUGH)
        return;
    for (size_t i = 0; i < COUNTOF(upstream); i++) {
        const struct report_event *e = report_event(r, upstream[i]);
        if (!e || e->outcomes[META_SENT] < ENOUGH || behind(e, purchase) < BEHIND_MOST)
            continue;
        struct sv by = tenths(a, behind(e, purchase));
        jw_string(w, arena_fmt(a, "%s carries " SV_FMT " points less identity than Purchase, most of all %s: is the storefront's context set up "
                               "(docs/context.md), and does nothing else send this event first?", upstream[i], SV_ARG(by), most_behind(e, purchase)));
    }
}

static void write_warnings(struct jw *w, struct arena *a, const struct report *r, const struct report_event *purchase) {
    struct report_orders orders = report_orders(r);
    jw_key(w, "warnings");
    jw_open(w, '[');
    if (r->clicked >= ENOUGH && report_share(r->clicked_with_fbc, r->clicked) < FBC_LEAST)
        jw_string(w, arena_fmt(a, "%lld of %lld Purchases with signs of a Meta click went without fbc; over 20 %% means that something loses the "
                               "click between the ad and the order: a redirect, a link in an e-mail, a theme without the script of docs/context.md",
                               (long long)(r->clicked - r->clicked_with_fbc), (long long)r->clicked));
    warn_divergence(w, a, r, purchase);
    if (orders.sent_twice > 0)
        jw_string(w, arena_fmt(a, "Meta took %lld order%s twice, under two names or ids: see docs/report.md for the usual reasons",
                               (long long)orders.sent_twice, orders.sent_twice == 1 ? "" : "s"));
    if (r->unreadable > 0)
        jw_string(w, arena_fmt(a, "%lld lines of the ledger cannot be read and are not counted", (long long)r->unreadable));
    jw_close(w, ']');
}

void report_write(const struct report *r, struct jw *w) {
    const struct report_event *purchase = report_event(r, "Purchase");
    struct arena a;
    arena_init(&a, (size_t)1 << 20);
    write_count(w, "lines", r->lines);
    jw_key(w, "meta_events");
    jw_open(w, '[');
    for (size_t i = 0; i < r->event_count; i++)
        write_event(w, &a, &r->events[i], purchase);
    jw_close(w, ']');
    write_fbc(w, &a, r, purchase);
    write_consent(w, &a, r);
    write_orders(w, &a, report_orders(r));
    write_gap(w, r);
    write_count(w, "klaviyo_sent", r->klaviyo_sent);
    write_warnings(w, &a, r, purchase);
    arena_free(&a);
}
