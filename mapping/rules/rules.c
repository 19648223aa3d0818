// rules.c: which rule an event goes by.
#include "mapping/rules/rules_parts.h"

static const struct rule nothing = {.meta.skip = true, .klaviyo.skip = true};  // an event that no rule fits

static const struct rule *first_of(const struct rules *r, struct sv event_name) {
    for (size_t i = 0; i < r->count; i++)
        if (sv_eq(r->v[i].event, event_name))
            return r->v[i].first;
    return NULL;
}

// A name of the shop's own goes by a rule of its own when there is one.
static const struct rule *rules_of(const struct rules *r, struct sv event_name) {
    const struct rule *rule = first_of(r, event_name);
    if (!rule && event_name_of(event_name) == EVENT_CUSTOM)
        rule = first_of(r, SV("custom"));
    return rule ? rule : &nothing;
}

void rule_choose(struct arena *a, const struct shop *shop, struct event *event) {
    struct scope scope = scope_of(a, event, shop);
    const struct rule *rule = rules_of(shop->rules, event_label(event));
    while (rule && !condition_holds(rule->when, &scope))
        rule = rule->next;
    event->rule = rule ? rule : &nothing;
    if (event->rule->has_purpose)
        event->purpose = event->rule->purpose;
}

bool part_applies(const struct rule_part *p, const struct scope *s, struct sv *ret_reason) {
    if (p->skip)
        *ret_reason = SV("skipped by the mapping");
    else if (!condition_holds(p->when, s))
        *ret_reason = SV("the mapping's `when` does not hold");
    else
        return true;
    return false;
}

struct patience rule_patience(const struct rules *r, struct sv event_name) {
    return rules_of(r, event_name)->patience;
}

bool rule_trigger_used(const struct rule *r, const struct shop *shop) {
    return sv_present(r->trigger) && shop->klaviyo.native_integration;
}

struct scope scope_of(struct arena *a, const struct event *e, const struct shop *shop) {
    return (struct scope){.arena = a, .event = e, .item = e->item_count > 0 ? &e->items[0] : NULL, .shop = shop};
}
