// subscription.h: whether a sign-up makes its person a subscriber. One answer for Klaviyo's list and for the metric that says so
// (`klaviyo.subscribes` in a mapping). Pure.
#ifndef MAPPING_SUBSCRIPTION_H
#define MAPPING_SUBSCRIPTION_H

#include "base/clock.h"
#include "mapping/event.h"
#include "mapping/shop.h"

#define SUBSCRIBED_LATELY_MS MINUTES_MS(30)  // Klaviyo: one subscription of a profile in so long

// subscription_key: under which name it is kept that the person is on the shop's list; absent: the shop has none.
struct sv subscription_key(struct arena *a, const struct event *e, const struct shop *shop);
bool subscription_by_sms(const struct event *e);                            // otherwise by e-mail
bool subscription_reachable(struct arena *a, const struct event *e, struct sv *ret_reason);  // there is an address of that channel
// subscription_begins: of a sign-up: it carries the permission, confirmed where the shop wants that, and it is news. Else the reason.
bool subscription_begins(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason);

#endif
