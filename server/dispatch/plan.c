// plan.c: what one webhook is to become at each destination, and what the attempts made of it. Pure.
// When which step is due is in plan_next.c, the stored form in plan_json.c.
#include "server/dispatch/plan.h"

#include "base/clock.h"

static void decide(struct step *s, enum step_state state, struct sv reason) {
    s->state = state;
    s->reason = reason;
    s->draft = (struct draft){.identity = state == STEP_SKIPPED ? SV_NONE : s->draft.identity};
    s->told = (struct disposition){0};
    s->next_ms = 0;
}

bool step_decided(const struct step *s) {
    return s->state == STEP_SENT || s->state == STEP_SKIPPED || s->state == STEP_FAILED;
}

void plan_skip_step(struct plan *p, size_t event, size_t step, struct sv reason) {
    decide(&p->events[event].steps[step], STEP_SKIPPED, reason);
}

void plan_skip(struct plan *p, size_t event, struct sv reason) {
    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (!step_decided(&p->events[event].steps[i]))
            decide(&p->events[event].steps[i], STEP_SKIPPED, reason);
}

// Under `stop` whatever comes after a step that will never succeed is not sent either.
static void stop_after(struct planned_event *e, size_t step, struct sv reason) {
    if (!destinations[step]->leads || e->patience.on_fail != ON_FAIL_STOP)
        return;
    for (size_t i = step + 1; i < PLAN_STEPS; i++)
        if (!step_decided(&e->steps[i]))
            decide(&e->steps[i], STEP_SKIPPED, reason);
}

bool step_perishes(const struct planned_event *e, size_t step) {
    for (size_t i = step + 1; i < PLAN_STEPS; i++)
        if (e->steps[i].state != STEP_SKIPPED)
            return destinations[step]->perishable;
    return false;
}

// perished: what was tried for long enough, and comes again with the person's next event.
static bool perished(const struct planned_event *e, size_t step, int64_t now_ms) {
    const struct step *s = &e->steps[step];
    if (!step_perishes(e, step) || s->attempts == 0)
        return false;
    bool clock_was_wrong = s->first_ms > now_ms + PATIENCE_MS;
    return clock_was_wrong || now_ms - s->first_ms >= PATIENCE_MS;
}

static bool expire(struct planned_event *e, size_t step, int64_t now_ms) {
    struct step *s = &e->steps[step];
    if (step_decided(s))
        return false;
    if (destinations[step]->expired && destinations[step]->expired(e->time_ms, now_ms)) {
        decide(s, STEP_SKIPPED, SV("expired"));
        stop_after(e, step, SV("the destination before it expired"));
        return true;
    }
    if (!perished(e, step, now_ms))
        return false;
    decide(s, STEP_SKIPPED, SV("not reached in time; the next event brings it"));
    return true;
}

bool plan_expire(struct plan *p, int64_t now_ms) {
    bool changed = false;
    for (size_t i = 0; i < p->event_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++)
            changed |= expire(&p->events[i], s, now_ms);
    return changed;
}

bool plan_tell(struct arena *a, struct plan *p, size_t event, size_t step) {
    struct draft *draft = &p->events[event].steps[step].draft;
    if (draft->tell_at == 0 || !destinations[step]->tell)
        return false;
    p->events[event].steps[step].told = plan_disposition(p, event);
    draft->body = destinations[step]->tell(a, *draft, &p->events[event].steps[step].told);
    draft->tell_at = 0;
    return true;
}

static bool outdated(size_t step, const struct step *s, const struct event *e) {
    return destinations[step]->outdated && s->draft.body.p && destinations[step]->outdated(&s->draft, e);
}

typedef bool verdict(struct arena *a, const struct event *e, const struct shop *shop, struct sv *ret_reason);

// Resumed, an event goes by the mapping that it was planned with; only what was allowed may be allowed no longer.
static bool review(struct arena *a, const struct shop *shop, struct planned_event *e, bool resumed) {
    bool changed = false;
    for (size_t s = 0; s < PLAN_STEPS; s++) {
        struct sv reason = SV_NONE;
        verdict *ask = resumed ? destinations[s]->allowed : destinations[s]->applies;
        if (step_decided(&e->steps[s]))
            continue;
        bool allowed = ask(a, e->event, shop, &reason);
        if (allowed && !(resumed && outdated(s, &e->steps[s], e->event)))
            continue;
        reason = allowed ? SV("opted out of sale and sharing after it was planned") : reason;
        decide(&e->steps[s], STEP_SKIPPED, reason);
        changed = true;
    }
    return changed;
}

// Without a body there is no place in it either.
static struct draft drafted(struct arena *a, const struct destination *to, const struct event *event, const struct shop *shop, int64_t now_ms) {
    struct draft draft = to->draft(a, event, shop, now_ms);
    return draft.body.p ? draft : (struct draft){0};
}

static void plan_event(struct arena *a, const struct shop *shop, struct event *event, int64_t now_ms, struct planned_event *ret) {
    rule_choose(a, shop, event);
    *ret = (struct planned_event){.id = event->id, .name = event_label(event), .time_ms = event->time_ms, .event = event,
                                  .patience = event->rule->patience};
    review(a, shop, ret, false);
    for (size_t s = 0; s < PLAN_STEPS; s++)
        if (!step_decided(&ret->steps[s]))
            ret->steps[s].draft = drafted(a, destinations[s], event, shop, now_ms);
}

void plan_make(struct arena *a, const struct shop *shop, const struct decoded *d, int64_t now_ms, struct plan *ret) {
    *ret = (struct plan){.event_count = d->count < PLAN_EVENTS_MAX ? d->count : PLAN_EVENTS_MAX, .redrafted = true};
    ret->events = ARENA_ARRAY(a, struct planned_event, ret->event_count);
    for (size_t i = 0; i < ret->event_count; i++)
        plan_event(a, shop, &d->events[i], now_ms, &ret->events[i]);
    plan_expire(ret, now_ms);
}

static struct event *decoded_again(const struct decoded *d, struct sv id) {
    for (size_t i = 0; i < d->count; i++)
        if (sv_eq(d->events[i].id, id))
            return &d->events[i];
    return NULL;
}

// A purchase that was planned as a repeated one is decoded as a purchase again: its rule is the one of the name that it was planned under.
static void name_as_planned(struct event *event, struct sv name) {
    if (event_name_of(name) != EVENT_CUSTOM)
        event->name = event_name_of(name);
}

bool plan_resume(struct arena *a, const struct shop *shop, const struct decoded *d, struct plan *p) {
    bool changed = false;
    for (size_t i = 0; i < p->event_count; i++) {
        struct planned_event *e = &p->events[i];
        e->event = decoded_again(d, e->id);
        if (!e->event)
            continue;
        name_as_planned(e->event, e->name);
        rule_choose(a, shop, e->event);
        changed |= review(a, shop, e, true);
    }
    return changed;
}

// stopped: skipped by stop_after for a failure before it.
static bool stopped(const struct planned_event *e, size_t step) {
    const struct step *s = &e->steps[step];
    return e->patience.on_fail == ON_FAIL_STOP && s->state == STEP_SKIPPED && e->steps[0].state == STEP_FAILED && sv_ends(s->reason, SV(" failed"));
}

void plan_reopen(struct plan *p) {
    p->replayed = p->reserved;
    for (size_t i = 0; i < p->event_count; i++)
        for (size_t s = PLAN_STEPS; s-- > 0;)  // those that were stopped before what stopped them
            if (p->events[i].steps[s].state == STEP_FAILED || stopped(&p->events[i], s))
                p->events[i].steps[s] = (struct step){.state = STEP_PENDING};
}

bool plan_redraft(struct arena *a, const struct shop *shop, struct plan *p, int64_t now_ms) {
    bool changed = false;
    for (size_t i = 0; i < p->event_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++) {
            struct step *step = &p->events[i].steps[s];
            if (step->state != STEP_PENDING || step->draft.body.p || !p->events[i].event)
                continue;
            step->draft = drafted(a, destinations[s], p->events[i].event, shop, now_ms);
            changed |= step->draft.body.p != NULL;
        }
    p->redrafted |= changed;
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

// amend: a refused body is sent once more without what it was refused for. Nothing was taken, so no two bodies meet there.
static bool amend(struct arena *a, struct step *s, size_t step, const struct outcome *o) {
    struct sv body = s->amended || !destinations[step]->amend ? SV_NONE : destinations[step]->amend(a, s->draft.body);
    if (!body.p)
        return false;
    s->draft.body = body;
    s->amended = true;
    s->state = STEP_RETRYING;
    s->reason = arena_dup(a, o->reason);
    s->next_ms = 0;
    s->bidden = false;
    return true;
}

// An attempt counts when it says something of this event; for what perishes, each time that it did not get through.
static bool counts(const struct planned_event *e, size_t step, enum outcome_kind kind) {
    return kind == OUTCOME_THROTTLED ? step_perishes(e, step) : kind != OUTCOME_PAUSE;
}

int64_t plan_outcome(struct arena *a, struct plan *p, size_t event, size_t step, const struct outcome *o, int64_t now_ms, uint64_t random) {
    struct planned_event *e = &p->events[event];
    struct step *s = &e->steps[step];
    s->last_ms = now_ms;
    s->first_ms = s->first_ms ? s->first_ms : now_ms;
    s->attempts += counts(e, step, o->kind);
    if (o->kind == OUTCOME_SENT) {
        decide(s, STEP_SENT, SV_NONE);
        return 0;
    }
    if (o->kind == OUTCOME_REJECT && o->amend && amend(a, s, step, o)) {
        p->redrafted = true;
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
    s->bidden = o->retry_after_ms > 0;
    return delay;
}

struct disposition plan_disposition(const struct plan *p, size_t event) {
    const struct step *first = &p->events[event].steps[0];
    return (struct disposition){.status = sv_of(step_state_text(first->state)), .reason = first->reason};
}

void plan_note(const struct plan *p, struct recorded_plan *ret) {
    ret->event_count = p->event_count;
    for (size_t i = 0; i < p->event_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++)
            ret->pending[i][s] = p->events[i].steps[s].state == STEP_PENDING;
}

bool plan_in_order(const struct recorded_plan *r, size_t event, size_t step) {
    for (size_t i = 0; i < step; i++)
        if (r->pending[event][i])
            return false;
    return event < r->event_count;
}

struct sv plan_shown_id(struct arena *a, struct sv id) {
    const size_t shown = 12;
    bool has_token = sv_starts(id, SV("chk_")) || sv_starts(id, SV("cart_"));
    return has_token && id.n > shown ? arena_fmt(a, SV_FMT "...", SV_ARG(sv_sub(id, 0, shown))) : id;
}
