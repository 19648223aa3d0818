// dispatch_keep.c: the memory of a job on its way. What its webhook is read and planned in takes a hundred KB; once that is recorded, what
// its requests need is a few. So the large memory goes to the next job that is planned, which finds it still in the processor's caches,
// and hundreds of requests can be open in little room.
#include "server/dispatch/dispatch_parts.h"

#define TASK_BYTES_MOST ((size_t)256 << 20)
#define LARGE_FIRST ((size_t)96 << 10)  // most webhooks are planned within
#define LARGE_KEPT 16                   // of those that are free; more are in use when the store is slow

void keep_begin(struct task *t) {
    struct dispatch *d = t->dispatch;
    t->small = t->arena;
    if (d->large_count > 0)
        t->arena = d->large[--d->large_count];
    else
        arena_init_first(&t->arena, TASK_BYTES_MOST, LARGE_FIRST);
    t->is_large = true;
}

static void put_large(struct dispatch *d, struct arena a) {
    arena_reset(&a);
    if (d->large_count < LARGE_KEPT)
        d->large[d->large_count++] = a;
    else
        arena_free(&a);
}

struct arena keep_end(struct task *t) {
    if (t->is_large) {
        put_large(t->dispatch, t->arena);
        t->arena = t->small;
    }
    arena_reset(&t->arena);
    return t->arena;
}

static void keep_texts(struct arena *a, struct sv *const texts[], size_t n) {
    for (size_t i = 0; i < n; i++)
        *texts[i] = arena_dup(a, *texts[i]);
}

static void keep_step(struct arena *a, struct step *s) {
    struct sv *texts[] = {&s->reason, &s->draft.body, &s->draft.essence, &s->draft.identity, &s->told.status, &s->told.reason};
    keep_texts(a, texts, COUNTOF(texts));
}

static void keep_event(struct arena *a, struct planned_event *e) {
    struct sv *texts[] = {&e->id, &e->name};
    keep_texts(a, texts, COUNTOF(texts));
    e->event = e->event ? event_in_short(a, e->event) : NULL;
    for (size_t i = 0; i < PLAN_STEPS; i++)
        keep_step(a, &e->steps[i]);
}

void keep_plan(struct task *t) {
    struct arena *a = &t->small;
    if (!t->is_large || !arena_ok(&t->arena))
        return;
    struct sv *texts[] = {&t->job.shop, &t->job.source, &t->job.topic, &t->intent, &t->before};
    keep_texts(a, texts, COUNTOF(texts));
    for (size_t i = 0; i < t->plan.event_count; i++)
        keep_event(a, &t->plan.events[i]);
    t->job.body = t->job.plan = t->job.progress = SV_NONE;
    t->decoded = (struct decoded){0};
    t->asked = NULL;
    t->asked_count = 0;
    put_large(t->dispatch, t->arena);
    t->arena = t->small;
    t->is_large = false;
}

void keep_free(struct dispatch *d) {
    while (d->large_count > 0)
        arena_free(&d->large[--d->large_count]);
    for (size_t i = 0; d->tasks && i < d->places; i++) {
        arena_free(&d->tasks[i].arena);
        if (d->tasks[i].is_large)
            arena_free(&d->tasks[i].small);
    }
}

void keep_init(struct task *t) {
    arena_init(&t->arena, TASK_BYTES_MOST);
}
