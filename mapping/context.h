// context.h: what the storefront knows of a visit and no webhook tells: click ids, the buyer's browser, consent. Posted by the browser
// before the order comes, kept for some days under the tokens that the order will carry, and joined to the order's events. Pure.
#ifndef MAPPING_CONTEXT_H
#define MAPPING_CONTEXT_H

#include "base/json.h"
#include "mapping/event.h"

// One value and when the browser had it; the newest wins field by field.
struct seen_text {
    struct sv text;   // absent: never seen
    int64_t at_ms;
};

#define CONTEXT_LINKS_MAX 6

struct context {
    struct seen_text fbp, fbc, fbclid;      // fbclid: at_ms is when the click was first seen
    struct seen_text ip, user_agent, page_url, email, customer_id;
    struct consent consent;
    int64_t consent_at_ms;                  // 0: no signal
    struct sv links[CONTEXT_LINKS_MAX];     // the other names under which it is kept, the newest last
    size_t link_count;
};

// What the browser says: the tokens it is to be found by, and the context. Views live as long as body and arena.
struct posted_context {
    struct sv cart_token, checkout_token, customer_id;  // customer_id also with a denial, which is to be found for renewals too
    struct sv customer_signature;           // 64 hex digits, not looked into here
    struct context context;
    unsigned dropped;                       // of enum dropped
};

// context_parse: the body of POST /context/<shop>, strictly: unknown members, wrong forms and sizes are RC_INVALID; null and "" count
// as absent, a malformed cookie is dropped. ip comes from the connection, never from the body; user_agent is the connection's where
// the body names none. Where marketing consent is denied only the denial is left.
MUST_CHECK enum rc context_parse(struct arena *a, struct sv body, struct sv ip, struct sv user_agent, int64_t now_ms,
                                 struct posted_context *ret, struct err *e);

// context_merge lays newer over known, field by field by time; a denial takes everything else away. A click that was seen before keeps
// the time of that.
void context_merge(struct context *known, const struct context *newer);

struct sv context_write(struct arena *a, const struct context *c);                    // the stored form
MUST_CHECK enum rc context_read(struct arena *a, struct sv json, struct context *ret, struct err *e);

// context_disown takes away whom the post says it is of: nobody vouched for that.
void context_disown(struct posted_context *posted);

#define CONTEXT_KEYS_MAX 3

struct context_place {
    const char *from;  // "context:checkout", "context:cart", "context:customer" or "context:signed_customer"
    struct sv key;
};

// What a customer's id is kept under: ids that the shop signed and ids that anybody wrote down never meet.
const char *context_customer_kind(bool signed_ids);

// context_keys: the names under which an event's context may have been kept, the most telling first: checkout, cart, customer.
size_t context_keys(struct arena *a, const struct event *e, bool signed_ids, struct context_place ret[CONTEXT_KEYS_MAX]);
struct sv context_key(struct arena *a, const char *kind, struct sv token);            // "context:checkout:<token>"
bool context_is_customers(struct sv key);                                             // it is that of a customer, signed or not

struct known_context {
    const char *from;
    struct context context;
};

// context_apply fills what the event lacks from the contexts that were kept, the most telling first, and replaces consent by a newer
// signal. Consent comes first: where it is denied nothing is filled. A renewal takes consent alone. The own visit's cookies go before those
// of the note attributes (of two clicks the later one counts), these before a customer's other visit. That tells click ids and consent,
// never address, agent or e-mail; and where his id was not signed, of consent only a denial, and only where the own visit says nothing.
// Each identifier that is filled is noted in event->origins.
void context_apply(struct arena *a, const struct known_context *known, size_t n, struct event *e);

#endif
