// destination.h: what a destination is: pure functions from event to request and from answer to outcome.
// `destinations` is the order in which one event is sent; it is the product's promise. Adding one = a file and a row.
#ifndef MAPPING_DESTINATION_H
#define MAPPING_DESTINATION_H

#include "base/headers.h"
#include "base/quota.h"
#include "mapping/event.h"
#include "mapping/shop.h"

// What the destinations before this one made of the event; Klaviyo carries it as capi_status and capi_reason.
struct disposition {
    struct sv status;  // "sent", "retrying", "failed" or "skipped"
    struct sv reason;  // absent when sent
};

struct request {
    struct sv url;
    struct sv headers[8];  // "Name: value", no CR or LF
    size_t header_count;
    struct sv body;
};

struct answer {
    long status;               // HTTP status; 0: none came
    struct sv transport_error; // with status 0: what went wrong, without secrets
    struct headers headers;
    struct sv body;            // at most 64 KiB of it
};

// What a destination is to get, made once and kept, so that each attempt sends the same bytes.
struct draft {
    struct sv body;        // absent: it cannot be made
    struct sv essence;     // of what changes something there: lines "name=value"; sent only when one of them is new there
    bool undoes;           // it takes back what was sent before under the same name (see changes): not sent when nothing was
    struct sv identity;    // where each identifier in the body came from, for people: "em=webhook, fbc=landing_site"; absent: not told
    size_t tell_at;        // where in body the disposition of the first destination is to be put when it is known; 0: nowhere
};

enum outcome_kind {
    OUTCOME_SENT,
    OUTCOME_RETRY,     // later, with back-off
    OUTCOME_THROTTLED, // later, not before retry_after_ms; all events of this destination and shop
    OUTCOME_PAUSE,     // credential or account trouble: pause this destination for the shop, keep its events
    OUTCOME_REJECT,    // this event will never be taken: dead letter
};

struct outcome {
    enum outcome_kind kind;
    bool amend;              // REJECT: what destination.amend leaves of the body may be taken
    int64_t retry_after_ms;  // 0: not said
    struct sv reason;        // short, for people: "429 throttled", "100/2804003 event too old"; no personal data
};

// Many events in one request, where a destination takes more of them that way.
enum bulk_place {
    BULK_IN,     // it is in the request
    BULK_LATER,  // it does not go together with another one of it, or there was no room: it is for the next one
    BULK_ALONE,  // it is to be sent alone
};
struct bulk_event {
    struct sv body;       // as it would be sent alone
    enum bulk_place place;
    size_t group;         // BULK_IN: where in the request
};
struct bulk {
    const char *name;     // of its quota: "klaviyo.bulk"
    size_t most;          // events in a request
    int64_t gather_ms;    // few events wait so long for more, so that they do not use up the quota of such requests
    int64_t (*when_behind_ms)(const struct shop *shop);  // what would have to wait so long to go alone goes so; 0: never
    struct quota (*quota)(const struct shop *shop, const struct answer *answer, const struct quota *known);
    // body: of one request with those of the events that go together; their places are set. Absent: none does.
    struct sv (*body)(struct arena *a, struct bulk_event *events, size_t n);
    void (*address)(struct arena *a, const struct shop *shop, struct request *ret);
    // outcome: of each that is in it. REJECT: nothing was taken; those that it was refused for are BULK_ALONE now, at least one, and the
    // others may be sent in bulk again.
    struct outcome (*outcome)(struct arena *a, const struct answer *answer, int64_t now_ms, struct bulk_event *events, size_t n);
};

struct destination {
    const char *name;     // step name: "meta", "klaviyo.event"
    const char *account;  // "meta", "klaviyo": what is paused and throttled together
    bool leads;           // the rule's patience is about this one; the others wait for it
    bool perishable;      // worth nothing once a later step has been sent: dropped when it does not get through in a few seconds
    // changes: what the body leaves behind there, by name: it is sent only when it differs from what was sent last under that
    // name. NULL: sent always.
    struct sv (*changes)(struct arena *a, const struct event *e, const struct shop *shop);
    // allowed: the shop and the person let it go there; asked again before a step that waited. applies: it is to be sent: allowed,
    // and the event's rule has it go there. Otherwise false, and *ret_reason says why it is skipped.
    bool (*allowed)(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason);
    bool (*applies)(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason);
    // outdated: a body that was made before must not be sent any more, for what its event says now. NULL: never.
    bool (*outdated)(const struct draft *draft, const struct event *e);
    // expired: it is too late to send an event of that time now. NULL: never.
    bool (*expired)(int64_t event_ms, int64_t now_ms);
    struct draft (*draft)(struct arena *a, const struct event *e, const struct shop *shop, int64_t now_ms);
    // address: URL and headers, made anew for each attempt from the configuration (they hold the credential; never stored).
    void (*address)(struct arena *a, const struct shop *shop, const struct draft *draft, struct request *ret);
    struct outcome (*outcome)(struct arena *a, const struct answer *answer, int64_t now_ms);
    // quota: how many requests of this kind it takes from a shop, by what was known and what it answers now (NULL: what holds before the
    // first answer). NULL: as many as come.
    struct quota (*quota)(const struct shop *shop, const struct answer *answer, const struct quota *known);
    const struct bulk *bulk;  // NULL: one event in each request
    // amend: the body without what it was refused for; absent: there is nothing to leave out. NULL: never.
    struct sv (*amend)(struct arena *a, struct sv body);
    // tell: the draft's body with the disposition in its place. NULL: nothing is told.
    struct sv (*tell)(struct arena *a, struct draft draft, const struct disposition *before);
};

extern const struct destination *const destinations[];
extern const size_t destination_count;
extern const struct destination destination_meta;     // meta.c
extern const struct destination destination_klaviyo_profile, destination_klaviyo, destination_klaviyo_list;

// retry_after_ms: the Retry-After header as milliseconds from now (seconds or HTTP date), clamped to 1 s .. 1 h; 0 without or unreadable.
int64_t retry_after_ms(struct headers h, int64_t now_ms);

#endif
