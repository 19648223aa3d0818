// source.h: who speaks to us: how a sender signs, which topics it has, and how each becomes canonical events.
// Pure: bytes and configuration in, values out. Adding a topic = a table row and a fixture folder; a sender = a file and a row.
#ifndef HANDLERS_SOURCE_H
#define HANDLERS_SOURCE_H

#include "base/headers.h"
#include "mapping/event.h"
#include "mapping/schedule.h"
#include "mapping/shop.h"

struct signature {
    bool valid;
    bool pins;            // Recharge, auto: a timestamped signature; from now on this shop takes no legacy ones
    bool needs_unpinned;  // Recharge, auto: a legacy signature; valid only while the shop is not pinned
};

// One fact that names the person or the order a webhook is about: its lane is found by them, the most telling first.
struct identity {
    const char *kind;  // "checkout", "cart", "order", "customer", "email", "phone", "recharge_customer"
    struct sv value;
};
#define IDENTITIES_MAX 8

struct identity_field {
    const char *path;  // dotted, from the top of the body: "customer.email"
    const char *kind;
};

struct privacy_request;

// The result of decoding: events, or the reason why there are none.
struct decoded {
    struct event *events;
    size_t count;
    struct sv ignored;      // why this webhook means nothing to us
    struct sv mirrors;      // with ignored: the id of the sale that another sender tells of, and this one tells once more
    struct sv undecodable;  // what is wrong with its shape
    // With ignored: what can be bought again. Those who asked for it are told, each by an event of their own (handlers/waiting.h).
    const struct event *restocked;
    // With ignored: somebody asks what is kept of them, or to be forgotten (handlers/privacy.h).
    const struct privacy_request *privacy;
    // Whatever the outcome, this person may be asked for later under these names ("order:1", "recharge_customer:2").
    struct user person;
    struct sv remember[4];
    size_t remember_count;
    // A state that may be told late: whatever the outcome, somebody's state (named by supersedes_key, absent: none) was this at
    // as_of_ms. Where the store knows a later one under that key, the events are out of date and must not be sent.
    struct sv supersedes_key;  // "consent:email:<customer>"
    int64_t as_of_ms;
    // When a subscription (absent: none) charges, for the events of its charges; whatever the outcome, unless something newer is known.
    struct sv schedule_of;
    struct schedule schedule;
};

struct topic {
    const char *name;              // "orders/create", "charge/paid"
    enum event_name event;         // what it usually becomes: how long others may wait behind it
    const struct identity_field *identity;  // ordered; ends with a NULL path
    void (*decode)(struct arena *a, const struct shop *shop, const struct topic *topic, const struct json *body, struct decoded *ret);
};

// One delivery among those that a request holds.
struct part {
    struct sv body;              // its own bytes, a view into the request's
    struct sv id;                // the sender's name for it, by which a repetition is known; absent: it has none
    const struct topic *topic;   // NULL with faults
    const struct sv *faults;     // all that is wrong with it, each with its path; then it is not accepted
    size_t fault_count;
};
#define PARTS_MAX 500
#define SIGN_HEADERS_MAX 2

struct source {
    const char *name;              // "shopify", "recharge", "events"
    const char *root;              // "/events/": its requests go to <root><shop>; NULL: to /hooks/<shop>/<name>
    bool topic_in_path;            // /hooks/<shop>/recharge/<resource>/<action>; otherwise the topic comes in a header
    const char *topic_header, *delivery_header;    // NULL: the sender has none
    const char *const *single_headers;             // at most one of each may come; ends with NULL
    const struct secrets *(*secrets)(const struct shop *shop);  // none: the source is closed for this shop
    struct signature (*verify)(const struct shop *shop, struct headers h, struct sv body, int64_t now_ms);
    // sign: the headers that it would send with a body: the signature, and the topic where a header names it.
    size_t (*sign)(struct arena *a, struct sv secret, struct sv topic, struct sv body, int64_t now_ms, struct header ret[SIGN_HEADERS_MAX]);
    // split, when not NULL: a request holds many deliveries, and each says itself what its topic is. Checks all of them against
    // the clock and the schema. RC_INVALID: the body as a whole is no list of them; RC_TOO_LARGE: it holds more than PARTS_MAX.
    enum rc (*split)(struct arena *a, const struct shop *shop, struct sv body, int64_t now_ms, struct part **ret, size_t *ret_count, struct err *e);
    const struct topic *topics;
    size_t topic_count;
};

extern const struct source *const sources[];
extern const size_t source_count;
extern const struct source source_shopify, source_recharge, source_events;

const struct source *source_named(struct sv name);                                  // NULL when unknown
const struct topic *source_topic(const struct source *s, struct sv topic);          // NULL when unknown

struct sv source_path(struct arena *a, const struct source *s, struct sv shop, struct sv topic);  // of its requests

// source_scan: the strict pass over the body before it is acknowledged: JSON object or not, and the identities of topic
// (topic NULL: checks only). Fills at most IDENTITIES_MAX in the topic's order; values are views into the body, e-mail
// lower-cased into the arena. RC_INVALID with the reason when the body is not one well-formed JSON object.
MUST_CHECK enum rc source_scan(struct arena *a, const struct topic *topic, struct sv body, struct identity *ret, size_t *ret_count, struct err *e);

// source_decode parses and decodes: never fails, the reason is in *ret.
void source_decode(struct arena *a, const struct source *s, const struct shop *shop, struct sv topic, struct sv body, struct decoded *ret);

// sign_*: what a sender would put into the header; for `send`, `demo` and the tests.
struct sv sign_shopify(struct arena *a, struct sv secret, struct sv body);
struct sv sign_timestamped(struct arena *a, struct sv secret, struct sv body, int64_t now_s);     // Recharge and events: "t=..,v1=.."
struct sv sign_recharge_legacy(struct arena *a, struct sv secret, struct sv body);

#endif
