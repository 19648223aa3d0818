// dispatch_join.c: what a webhook decodes to, joined to what the store knows: who an event is about, a subscription's schedule, and the
// storefront's context of its visit. Done anew for each claim, so that consent which was taken back in between is seen before anything is sent.
#include "server/dispatch/dispatch_parts.h"

#include "mapping/context.h"
#include "server/dispatch/recall.h"

// kept: what the store has under that name. A schedule is a mark; what cannot be read is as good as none.
static enum rc kept(void *ctx, struct sv key, const struct json **ret, struct err *e) {
    struct task *t = ctx;
    struct store *store = t->dispatch->given.store;
    struct sv text = SV_NONE;
    struct json *json;
    enum rc rc = is_schedule_key(key) ? store_mark_get(store, &t->arena, t->job.shop, key, &text, e)
                                      : store_state_get(store, &t->arena, t->job.shop, key, &text, e);
    if (rc == RC_OK && text.p && json_parse(&t->arena, text, &json, NULL) == RC_OK)
        *ret = json;
    return rc == RC_UNAVAILABLE ? rc : RC_OK;
}

// A context that cannot be read is as good as none.
static enum rc join(struct task *t, struct event *event, struct err *e) {
    struct context_place places[CONTEXT_KEYS_MAX];
    struct known_context known[CONTEXT_KEYS_MAX];
    size_t n = 0;
    if (t->shop->context.origin_count == 0)
        return RC_OK;
    for (size_t i = 0, count = context_keys(&t->arena, event, places); i < count; i++) {
        struct sv kept = SV_NONE;
        enum rc rc = store_state_get(t->dispatch->given.store, &t->arena, t->job.shop, places[i].key, &kept, e);
        if (rc == RC_UNAVAILABLE)
            return rc;
        if (rc == RC_OK && kept.p && context_read(&t->arena, kept, &known[n].context, NULL) == RC_OK)
            known[n++].from = places[i].from;
    }
    context_apply(&t->arena, known, n, event);
    return RC_OK;
}

enum rc task_decode(struct task *t, struct err *e) {
    const struct source *source = source_named(t->job.source);
    if (source)
        source_decode(&t->arena, source, t->shop, t->job.topic, t->job.body, &t->decoded);
    else
        t->decoded.undecodable = SV("its sender is not known here");
    enum rc rc = RC_OK;
    for (size_t i = 0; i < t->decoded.count && rc == RC_OK; i++) {
        rc = recall(&t->arena, &t->decoded.events[i], kept, t, e);
        if (rc == RC_OK)
            rc = join(t, &t->decoded.events[i], e);
    }
    return rc;
}
