// dispatch_ledger.c: what stays of a job when it is finished: a line for each of its events, and the same in the metrics.
// Of what went nowhere because another webhook tells of it, only sales leave a line: by these an order is seen to come from two senders.
#include "server/dispatch/dispatch_parts.h"

#include "server/report/ledger.h"

static bool is_sale(enum event_name name) {
    return name == EVENT_PURCHASE || name == EVENT_REPEAT_PURCHASE || name == EVENT_RENEWAL_CHARGED;
}

static struct sv order_fingerprint(struct task *t, struct sv order_id, struct sv event_id) {
    char hex[KEY_LEN + 1];
    struct sv order = arena_join(&t->arena, SVS(SV("order:"), order_of(order_id, event_id)));
    store_fingerprint(t->dispatch->given.store, t->job.shop, order, hex);
    return arena_dup(&t->arena, (struct sv){hex, ORDER_LEN});
}

static enum meta_outcome meta_outcome_of(const struct step *meta) {
    switch (meta->state) {
    case STEP_SENT: return META_SENT;
    case STEP_FAILED: return META_FAILED;
    case STEP_SKIPPED: return meta_skipped(meta->reason);
    case STEP_PENDING:
    case STEP_RETRYING: break;  // given up before it was decided: unreadable, or too large
    }
    return META_OTHER;
}

static const struct step *klaviyo_of(const struct planned_event *e) {
    size_t i = 0;
    while (destinations[i] != &destination_klaviyo)
        i++;
    return &e->steps[i];
}

static struct ledger_entry entry_of(struct task *t, const struct planned_event *e) {
    const struct step *meta = &e->steps[0], *klaviyo = klaviyo_of(e);
    struct ledger_entry entry = {
        .event = e->name, .source = t->job.source, .time_ms = e->time_ms, .repeat = e->taken, .meta = meta_outcome_of(meta),
        .klaviyo = sv_of(step_state_text(klaviyo->state)), .has_gap = meta->state == STEP_SENT && klaviyo->asked_ms != 0,
    };
    if (entry.has_gap)
        entry.gap_ms = klaviyo->asked_ms - meta->last_ms;
    if (is_sale(event_name_of(e->name)))
        entry.order = order_fingerprint(t, e->event ? event_property_text(e->event, "order_id") : SV_NONE, e->id);
    if (e->event) {
        entry.origin = e->event->origin;
        entry.meta_event = e->event->rule->meta.name;
        entry.clicked = e->event->clicked || sv_present(e->event->user.fbc);
    }
    if (meta->state == STEP_SENT)
        identifiers_read(meta->draft.identity, entry.identifiers);
    return entry;
}

static struct ledger_entry mirror_of(struct task *t) {
    struct sv id = t->decoded.mirrors;
    return (struct ledger_entry){.event = sv_of(event_name_text(sv_ends(id, SV("_renewal")) ? EVENT_RENEWAL_CHARGED : EVENT_PURCHASE)),
                                 .source = t->job.source, .repeat = true, .order = order_fingerprint(t, SV_NONE, id)};
}

// A test order says nothing of the shop's buyers.
static bool counts(const struct planned_event *e) {
    return !(e->event && sv_is(e->event->origin, "test")) && (!e->taken || is_sale(event_name_of(e->name)));
}

// entries: at most LEDGER_MAX, in t->ledger. A plan that was given up before it was settled whose its events are leaves nothing behind, one that
// is over for the second time nothing more.
static size_t entries(struct task *t) {
    _Static_assert(PLAN_EVENTS_MAX <= LEDGER_MAX, "every event of a plan may leave a line");
    size_t n = 0;
    struct ledger_entry *ret = t->ledger = ARENA_ARRAY(&t->arena, struct ledger_entry, LEDGER_MAX);
    for (size_t i = 0; t->plan.reserved && !t->plan.replayed && i < t->plan.event_count; i++)
        if (counts(&t->plan.events[i]))
            ret[n++] = entry_of(t, &t->plan.events[i]);
    if (t->plan.event_count == 0 && t->decoded.mirrors.p)
        ret[n++] = mirror_of(t);
    return n;
}

void ledger_lines(struct task *t, struct change *finish) {
    struct sv *lines = ARENA_ARRAY(&t->arena, struct sv, LEDGER_MAX);
    t->ledger_count = entries(t);
    finish->ledger = lines;
    for (size_t i = 0; i < t->ledger_count; i++) {
        struct sv line = ledger_write(&t->arena, &t->ledger[i]);
        if (line.p)
            lines[finish->ledger_count++] = line;
    }
}

void ledger_count(struct task *t) {
    for (size_t i = 0; i < t->ledger_count; i++)
        metrics_ledger(t->dispatch->given.metrics, t->shop->name, &t->ledger[i]);
}
