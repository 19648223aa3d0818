// dispatch_join.c: what a webhook decodes to, joined to what the store knows: who an event is about, a subscription's schedule, and the
// storefront's context of its visit. Done anew for each claim, so that consent which was taken back in between is seen before anything is sent.
#include "server/dispatch/dispatch_parts.h"

#include "mapping/context.h"
#include "server/dispatch/recall.h"

// ---- the storefront's context

static size_t places_of(struct task *t, size_t event, struct context_place places[CONTEXT_KEYS_MAX]) {
    return context_keys(&t->arena, &t->decoded.events[event], places);
}

// A context that cannot be read is as good as none.
static void join(struct task *t) {
    for (size_t i = 0; i < t->decoded.count && t->asked_count > 0; i++) {
        struct context_place places[CONTEXT_KEYS_MAX];
        struct known_context known[CONTEXT_KEYS_MAX];
        const struct lookup *told = t->asked + i * CONTEXT_KEYS_MAX;
        size_t n = 0;
        for (size_t k = 0, count = places_of(t, i, places); k < count; k++)
            if (told[k].ret.p && context_read(&t->arena, told[k].ret, &known[n].context, NULL) == RC_OK)
                known[n++].from = places[k].from;
        context_apply(&t->arena, known, n, &t->decoded.events[i]);
    }
    t->decoded_then(t);
}

static void ask_context(struct task *t) {
    size_t n = t->shop->context.origin_count > 0 ? t->decoded.count * CONTEXT_KEYS_MAX : 0;
    struct lookup *asked = ARENA_ARRAY(&t->arena, struct lookup, n);
    for (size_t i = 0; i < n; i += CONTEXT_KEYS_MAX) {
        struct context_place places[CONTEXT_KEYS_MAX];
        for (size_t k = 0, count = places_of(t, i / CONTEXT_KEYS_MAX, places); k < count; k++)
            asked[i + k] = (struct lookup){.shop = t->job.shop, .key = places[k].key};
    }
    dispatch_ask(t, asked, n, join);
}

// ---- what earlier webhooks told

// What cannot be read is as good as none.
static const struct json *readable(struct task *t, struct sv kept) {
    struct json *json;
    return kept.p && json_parse(&t->arena, kept, &json, NULL) == RC_OK ? json : NULL;
}

static void recall(struct task *t) {
    for (size_t i = 0; i < t->decoded.count; i++) {
        const struct json *kept[RECALL_KEYS_MAX];
        for (size_t k = 0; k < RECALL_KEYS_MAX; k++)
            kept[k] = readable(t, t->asked[i * RECALL_KEYS_MAX + k].ret);
        recall_apply(&t->arena, &t->decoded.events[i], kept);
    }
    ask_context(t);
}

static void ask_known(struct task *t) {
    size_t n = t->decoded.count * RECALL_KEYS_MAX;
    struct lookup *asked = ARENA_ARRAY(&t->arena, struct lookup, n);
    for (size_t i = 0; i < n; i += RECALL_KEYS_MAX) {
        struct recall_key keys[RECALL_KEYS_MAX];
        recall_keys(&t->arena, &t->decoded.events[i / RECALL_KEYS_MAX], keys);
        for (size_t k = 0; k < RECALL_KEYS_MAX; k++)
            asked[i + k] = (struct lookup){.shop = t->job.shop, .key = keys[k].text, .mark = keys[k].mark};
    }
    dispatch_ask(t, asked, n, recall);
}

void task_decode(struct task *t, void (*then)(struct task *t)) {
    t->decoded_then = then;
    const struct source *source = source_named(t->job.source);
    if (source)
        source_decode(&t->arena, source, t->shop, t->job.topic, t->job.body, &t->decoded);
    else
        t->decoded.undecodable = SV("its sender is not known here");
    ask_known(t);
}
