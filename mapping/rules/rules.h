// rules.h: a mapping file, compiled: which canonical event becomes what at each destination, and how patient we are with it.
// mapping/default.yaml is part of the program; a shop's own file is laid over it. Constant once compiled, in the arena given; pure.
#ifndef MAPPING_RULES_RULES_H
#define MAPPING_RULES_RULES_H

#include "mapping/rules/field.h"

enum on_fail {
    ON_FAIL_CONTINUE,  // after max_wait Klaviyo goes on without Meta, Meta is retried aside
    ON_FAIL_HOLD,      // Klaviyo waits up to max_wait for Meta's success, then goes on
    ON_FAIL_STOP,      // Klaviyo only after Meta's success; Meta's final failure skips it
};

struct patience {
    enum on_fail on_fail;
    int64_t max_wait_ms;
};

// Where a key of a rule is said: "on_fail", "meta.event", "klaviyo.metric"; fields have their own.
struct place {
    struct sv key;
    const char *file;
    size_t line;
    struct place *next;
};

// One destination's part of a rule.
struct rule_part {
    bool skip;                        // nothing is sent there
    const struct condition *when;     // only then; NULL: always
    bool has_consent;                 // consent says for what purpose, instead of the shop's consent policy
    enum consent_purpose consent;
    struct sv name;                   // Meta's event_name, Klaviyo's metric; absent: there is none
    struct fields fields;             // custom_data, properties
};

struct rule {
    struct sv event;                  // its key in the file
    const char *file;
    size_t line;
    struct place *places;             // in the order of the file
    const struct condition *when;     // of several rules for one event the first that holds counts
    struct patience patience;
    bool has_purpose;                 // purpose replaces the event's
    enum purpose purpose;
    struct rule_part meta, klaviyo;
    // Klaviyo
    struct sv trigger;                // name to use, without revenue, beside Klaviyo's own Shopify integration; absent: no clash
    const struct expression *value;   // revenue; NULL: none
    bool identify;                    // the profile is brought up to date before the event, or instead of it (klaviyo.skip)
    struct fields profile;            // profile properties
    bool pass;                        // the event's own properties come along under their own names
    int64_t flow_window_ms;           // older events go to Klaviyo as backfill
    const struct rule *next;          // the next one for the same event
};

struct rules;

extern const char *const rules_marks[];  // properties that every Klaviyo event carries, whatever the mapping says; ends with NULL

// rules_compile: own: the text of a shop's file, absent: the default alone. NULL when faults were noted.
const struct rules *rules_compile(struct arena *a, struct sv own, const char *own_name, struct faults *f);
// rule_choose sets event->rule, and the purpose that the rule may have. Never NULL: an event that no rule fits is skipped everywhere,
// a custom one without a rule of its own goes by `custom`. Chosen once, so that no event is sent by two versions of a mapping.
void rule_choose(struct arena *a, const struct shop *shop, struct event *event);
struct scope scope_of(struct arena *a, const struct event *e, const struct shop *shop);
bool part_applies(const struct rule_part *p, const struct scope *s, struct sv *ret_reason);  // not skipped, and its `when` holds
// rule_patience: by name alone, before the event is decoded.
struct patience rule_patience(const struct rules *r, struct sv event_name);
bool rule_trigger_used(const struct rule *r, const struct shop *shop);  // the trigger name replaces metric and revenue

#endif
