// dispatch_join.c: what a webhook decodes to, joined to what the store knows: who an event is about, and the storefront's context of its
// visit. Done anew for each claim, so that consent which was taken back in between is seen before anything is sent.
#include "server/dispatch/dispatch_parts.h"

#include "mapping/context.h"

struct sv person_key(struct arena *a, struct sv name) {
    return arena_fmt(a, "person:" SV_FMT, SV_ARG(name));
}

// recall fills in who an event is about, where its webhook does not say it, from an earlier one that did.
static enum rc recall(struct task *t, struct event *event, struct err *e) {
    for (size_t i = 0; i < event->recall_count; i++) {
        struct sv kept = SV_NONE, kind, id;
        struct json *json;
        struct user known = {0};
        enum rc rc = store_state_get(t->dispatch->given.store, &t->arena, t->job.shop, person_key(&t->arena, event->recall[i]), &kept, e);
        if (rc == RC_UNAVAILABLE)
            return rc;
        if (rc != RC_OK || !kept.p || json_parse(&t->arena, kept, &json, NULL) != RC_OK)
            continue;
        user_read(&t->arena, json, &known);
        sv_cut(event->recall[i], ':', &kind, &id);
        event_fill(event, &known, arena_cstr(&t->arena, kind));
        break;
    }
    return RC_OK;
}

// A context that cannot be read is as good as none.
static enum rc join(struct task *t, struct event *event, struct err *e) {
    struct context_place places[CONTEXT_KEYS_MAX];
    struct known_context known[CONTEXT_KEYS_MAX];
    size_t n = 0;
    if (t->shop->context.origin_count == 0)
        return RC_OK;
    for (size_t i = 0, count = context_keys(&t->arena, event, t->shop->context.customer_secret.p, places); i < count; i++) {
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
        rc = recall(t, &t->decoded.events[i], e);
        if (rc == RC_OK)
            rc = join(t, &t->decoded.events[i], e);
    }
    return rc;
}
