// plan.c: what one webhook is to become at each destination, and what the attempts made of it. Pure.
// When which step is due is in plan_next.c, the stored form in plan_json.c.
#include "server/plan.h"

#include "base/clock.h"

_Static_assert(PLAN_STEPS == 2, "plan_disposition tells a step about the one before it");

static void decide(struct step *s, enum step_state state, struct sv reason) {
    s->state = state;
    s->reason = reason;
    s->body = SV_NONE;
    s->next_ms = 0;
}

bool step_decided(const struct step *s) {
    return s->state == STEP_SENT || s->state == STEP_SKIPPED || s->state == STEP_FAILED;
}

void plan_skip(struct plan *p, size_t event, struct sv reason) {
    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (!step_decided(&p->events[event].steps[i]))
            decide(&p->events[event].steps[i], STEP_SKIPPED, reason);
}

// Under `stop` whatever comes after a step that will never succeed is not sent either.
static void stop_after(struct planned_event *e, size_t step, struct sv reason) {
    if (rule_named(event_name_of(e->name))->on_fail != ON_FAIL_STOP)
        return;
    for (size_t i = step + 1; i < PLAN_STEPS; i++)
        if (!step_decided(&e->steps[i]))
            decide(&e->steps[i], STEP_SKIPPED, reason);
}

bool plan_expire(struct plan *p, int64_t now_ms) {
    bool changed = false;
    for (size_t i = 0; i < p->event_count; i++) {
        struct planned_event *e = &p->events[i];
        for (size_t s = 0; s < PLAN_STEPS; s++) {
            if (step_decided(&e->steps[s]) || !destinations[s]->expired(e->time_ms, now_ms))
                continue;
            decide(&e->steps[s], STEP_SKIPPED, SV("expired"));
            stop_after(e, s, SV("the destination before it expired"));
            changed = true;
        }
    }
    return changed;
}

void plan_render(struct arena *a, const struct shop *shop, struct plan *p, size_t event, size_t step, int64_t now_ms) {
    struct planned_event *e = &p->events[event];
    if (e->steps[step].body.p || !e->event)
        return;
    struct disposition before = plan_disposition(p, event, step);
    e->steps[step].body = destinations[step]->body(a, e->event, shop, step > 0 ? &before : NULL, now_ms);
}

// render_first: the body of the step that begins, so that it is in the first record of the plan.
static void render_first(struct arena *a, const struct shop *shop, struct plan *p, size_t event, int64_t now_ms) {
    for (size_t s = 0; s < PLAN_STEPS; s++)
        if (!step_decided(&p->events[event].steps[s])) {
            plan_render(a, shop, p, event, s, now_ms);
            return;
        }
}

// review skips the undecided steps that do not apply to the event as it is decoded and configured now.
static bool review(struct arena *a, const struct shop *shop, struct planned_event *e) {
    bool changed = false;
    for (size_t s = 0; s < PLAN_STEPS; s++) {
        struct sv reason = SV_NONE;
        if (step_decided(&e->steps[s]) || destinations[s]->applies(a, e->event, shop, &reason))
            continue;
        decide(&e->steps[s], STEP_SKIPPED, reason);
        changed = true;
    }
    return changed;
}

void plan_make(struct arena *a, const struct shop *shop, const struct decoded *d, int64_t now_ms, struct plan *ret) {
    *ret = (struct plan){.event_count = d->count < PLAN_EVENTS_MAX ? d->count : PLAN_EVENTS_MAX};
    for (size_t i = 0; i < ret->event_count; i++) {
        struct event *e = &d->events[i];
        ret->events[i] = (struct planned_event){.id = e->id, .name = event_label(e), .time_ms = e->time_ms, .event = e};
        review(a, shop, &ret->events[i]);
    }
    plan_expire(ret, now_ms);
    for (size_t i = 0; i < ret->event_count; i++)
        render_first(a, shop, ret, i, now_ms);
}

static struct event *decoded_again(const struct decoded *d, struct sv id) {
    for (size_t i = 0; i < d->count; i++)
        if (sv_eq(d->events[i].id, id))
            return &d->events[i];
    return NULL;
}

bool plan_resume(struct arena *a, const struct shop *shop, const struct decoded *d, struct plan *p) {
    bool changed = false;
    for (size_t i = 0; i < p->event_count; i++) {
        struct planned_event *e = &p->events[i];
        e->event = decoded_again(d, e->id);
        if (e->event && review(a, shop, e))
            changed = true;
        for (size_t s = 0; s < PLAN_STEPS && !e->event; s++)
            if (!step_decided(&e->steps[s]) && !e->steps[s].body.p) {
                decide(&e->steps[s], STEP_FAILED, SV("the webhook no longer becomes this event"));
                changed = true;
            }
    }
    return changed;
}

static int64_t at_least(int64_t a, int64_t b) {
    return a < b ? b : a;
}

int64_t backoff_ms(int64_t attempts, int64_t trying_for_ms, uint64_t random) {
    int64_t ceiling = trying_for_ms > HOURS_MS(1) ? MINUTES_MS(10) : MINUTES_MS(1);
    int64_t most = SECONDS_MS(1);
    for (int64_t i = 1; i < attempts && most < ceiling; i++)
        most *= 2;
    if (most > ceiling)
        most = ceiling;
    return 1 + (int64_t)(random % (uint64_t)most);
}

static int64_t later(const struct outcome *o, const struct step *s, int64_t now_ms, uint64_t random) {
    switch (o->kind) {
    case OUTCOME_RETRY: return at_least(backoff_ms(s->attempts, now_ms - s->first_ms, random), o->retry_after_ms);
    case OUTCOME_THROTTLED: return at_least(o->retry_after_ms, SECONDS_MS(1)) + (int64_t)(random % 1000);
    case OUTCOME_PAUSE: return o->retry_after_ms > 0 ? o->retry_after_ms : PAUSE_PROBE_MS;
    case OUTCOME_SENT:
    case OUTCOME_REJECT: break;
    }
    return 0;
}

int64_t plan_outcome(struct arena *a, struct plan *p, size_t event, size_t step, const struct outcome *o, int64_t now_ms, uint64_t random) {
    struct planned_event *e = &p->events[event];
    struct step *s = &e->steps[step];
    s->last_ms = now_ms;
    s->first_ms = s->first_ms ? s->first_ms : now_ms;
    s->attempts += o->kind != OUTCOME_THROTTLED && o->kind != OUTCOME_PAUSE;
    if (o->kind == OUTCOME_SENT) {
        decide(s, STEP_SENT, SV_NONE);
        return 0;
    }
    if (o->kind == OUTCOME_REJECT) {
        decide(s, STEP_FAILED, arena_dup(a, o->reason));
        stop_after(e, step, arena_fmt(a, "%s failed", destinations[step]->name));
        return 0;
    }
    int64_t delay = later(o, s, now_ms, random);
    s->state = STEP_RETRYING;
    s->reason = arena_dup(a, o->reason);
    s->next_ms = o->kind == OUTCOME_RETRY ? now_ms + delay : 0;
    return delay;
}

struct disposition plan_disposition(const struct plan *p, size_t event, size_t step) {
    if (step == 0)
        return (struct disposition){0};
    const struct step *before = &p->events[event].steps[step - 1];
    return (struct disposition){.status = sv_of(step_state_text(before->state)), .reason = before->reason};
}

bool plan_in_order(const struct plan *p, size_t event, size_t step) {
    for (size_t i = 0; i < step; i++)
        if (p->events[event].steps[i].state == STEP_PENDING)
            return false;
    return event < p->event_count;
}
