// dispatch.h: takes jobs out of the store, lane by lane, and brings each to every destination in order.
// One thread, and one beside it that talks to the store; one HTTP client, many lanes in flight, one request in flight per lane. Nothing is
// sent on the strength of something that the store does not have yet: a plan is recorded before its first request, Meta's outcome before
// Klaviyo's request.
#ifndef SERVER_DISPATCH_H
#define SERVER_DISPATCH_H

#include "server/config/config.h"
#include "server/metrics.h"
#include "server/store/store.h"

#ifndef LEASE_MS  // tests of what happens beyond it have a shorter one
#define LEASE_MS 20000
#define REQUEST_TIMEOUT_MS 10000
#endif

struct dispatch;
struct dispatch_config {
    struct config_slot *config;
    struct store *store;
    struct metrics *metrics;
    size_t in_flight;             // requests at a time, at most IN_FLIGHT_MOST
};

MUST_CHECK enum rc dispatch_start(const struct dispatch_config *config, struct dispatch **ret, struct err *e);  // starts the thread
void dispatch_wake(struct dispatch *d);          // something new waits; any thread
void dispatch_reloaded(struct dispatch *d);      // the configuration changed: it is taken over, and paused destinations are tried at once
void dispatch_stop(struct dispatch *d, int64_t grace_ms);  // claims nothing more, lets requests finish, gives leases back; then frees d

#endif
