// rules.h: which canonical event becomes what at each destination, and how patient we are with it.
// The built-in rules are a table in rules.c. Pure, constant.
#ifndef MAPPING_RULES_H
#define MAPPING_RULES_H

#include "mapping/event.h"
#include "mapping/shop.h"

enum on_fail {
    ON_FAIL_CONTINUE,  // after max_wait Klaviyo goes on without Meta, Meta is retried aside
    ON_FAIL_HOLD,      // Klaviyo waits up to max_wait for Meta's success, then goes on
    ON_FAIL_STOP,      // Klaviyo only after Meta's success; Meta's final failure skips it
};

struct rule {
    enum event_name name;
    const char *meta_event;       // NULL: nothing to Meta
    const char *klaviyo_metric;   // NULL: nothing to Klaviyo
    const char *klaviyo_trigger;  // name to use, without revenue, beside Klaviyo's own Shopify integration; NULL: no clash
    enum on_fail on_fail;
    int64_t max_wait_ms;
    int64_t flow_window_ms;       // older events go to Klaviyo as backfill
};

const struct rule *rule_for(const struct event *e);                               // never NULL; a custom event has no Meta event and its own name as metric
const struct rule *rule_named(enum event_name name);
bool rule_klaviyo_trigger_used(const struct rule *r, const struct shop *shop);    // the trigger name replaces metric and revenue

#endif
