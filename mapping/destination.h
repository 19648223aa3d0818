// destination.h: what a destination is: pure functions from event to request and from answer to outcome.
// `destinations` is the order in which one event is sent; it is the product's promise. Adding one = a file and a row.
#ifndef MAPPING_DESTINATION_H
#define MAPPING_DESTINATION_H

#include "base/headers.h"
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

enum outcome_kind {
    OUTCOME_SENT,
    OUTCOME_RETRY,     // later, with back-off
    OUTCOME_THROTTLED, // later, not before retry_after_ms; all events of this destination and shop
    OUTCOME_PAUSE,     // credential or account trouble: pause this destination for the shop, keep its events
    OUTCOME_REJECT,    // this event will never be taken: dead letter
};

struct outcome {
    enum outcome_kind kind;
    int64_t retry_after_ms;  // 0: not said
    struct sv reason;        // short, for people: "429 throttled", "100/2804003 event too old"; no personal data
};

struct destination {
    const char *name;     // step name: "meta", "klaviyo.event"
    const char *account;  // "meta", "klaviyo": what is paused and throttled together
    // applies: the step is to be sent; otherwise false and *ret_reason says why it is skipped.
    bool (*applies)(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason);
    // expired: it is too late to send an event of that time now.
    bool (*expired)(int64_t event_ms, int64_t now_ms);
    // body: rendered once per event and kept, so that each attempt sends the same bytes. before: NULL for the first destination.
    struct sv (*body)(struct arena *a, const struct event *e, const struct shop *shop, const struct disposition *before, int64_t now_ms);
    // address: URL and headers, made anew for each attempt from the configuration (they hold the credential; never stored).
    void (*address)(struct arena *a, const struct shop *shop, struct request *ret);
    struct outcome (*outcome)(struct arena *a, const struct answer *answer, int64_t now_ms);
};

extern const struct destination *const destinations[];
extern const size_t destination_count;
extern const struct destination destination_meta;     // meta.c
extern const struct destination destination_klaviyo;  // klaviyo.c: the event

// retry_after_ms: the Retry-After header as milliseconds from now (seconds or HTTP date), clamped to 1 s .. 1 h; 0 without or unreadable.
int64_t retry_after_ms(struct headers h, int64_t now_ms);

#endif
