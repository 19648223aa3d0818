// dispatch_keep.c: the memory of a job on its way. What its webhook is read and planned in takes thirty KB; once that is recorded, what
// its requests need is mostly their bodies. So the large memory goes back to malloc, which gives it to the next job that is planned, and
// hundreds of requests can be open in little room.
#include "server/dispatch/dispatch_parts.h"

#define TASK_BYTES_MOST ((size_t)256 << 20)
#define LARGE_FIRST ((size_t)32 << 10)  // most webhooks are planned within
#define SMALL_JOB ((size_t)512)         // what is kept of it besides its events, mostly
#define SMALL_EVENT ((size_t)3100)      // ... and of each of these besides what is to be sent
#define SMALL_STEP ((size_t)2 << 10)    // what comes until the next answer, mostly

void keep_begin(struct task *t) {
    arena_init_first(&t->arena, TASK_BYTES_MOST, LARGE_FIRST);
    t->is_large = true;
    t->dispatch->large_count++;
}

static void large_ends(struct task *t) {
    t->dispatch->large_count -= t->is_large;
    t->is_large = false;
}

void keep_long(struct task *t) {
    large_ends(t);
}

void keep_end(struct task *t) {
    arena_free(&t->arena);
    large_ends(t);
}

// small_bytes: what keep_plan copies, nearly. A block that is too large stays empty in each of hundreds of jobs; where it is too small one
// of SMALL_STEP follows.
static size_t small_bytes(const struct plan *p) {
    size_t n = SMALL_JOB;
    for (size_t i = 0; i < p->event_count; i++) {
        n += SMALL_EVENT;
        for (size_t s = 0; s < PLAN_STEPS; s++)
            n += p->events[i].steps[s].draft.body.n + p->events[i].steps[s].draft.essence.n + p->events[i].steps[s].draft.identity.n;
    }
    return n;
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
    struct arena small, *a = &small;
    if (!t->is_large || !arena_ok(&t->arena))
        return;
    arena_init_steps(a, TASK_BYTES_MOST, small_bytes(&t->plan), SMALL_STEP);
    struct sv *texts[] = {&t->job.shop, &t->job.source, &t->job.topic, &t->intent, &t->before};
    keep_texts(a, texts, COUNTOF(texts));
    struct planned_event *events = ARENA_ARRAY(a, struct planned_event, t->plan.event_count);
    for (size_t i = 0; i < t->plan.event_count; i++) {
        events[i] = t->plan.events[i];
        keep_event(a, &events[i]);
    }
    t->plan.events = events;
    t->job.body = t->job.plan = t->job.progress = SV_NONE;
    t->decoded = (struct decoded){0};
    t->asked = NULL;
    t->asked_count = 0;
    arena_free(&t->arena);
    t->arena = small;
    large_ends(t);
}
