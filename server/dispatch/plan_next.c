// plan_next.c: what comes next for a plan: which step is due, how long the lane waits for it, when it goes on without it. Pure.
//
// An event waits for an earlier destination only so long as its rule is patient. Patience begins with the first attempt, or
// with the moment a closed destination held that attempt back, and ends early when somebody behind a holding event is in a hurry.
#include "server/dispatch/plan.h"

#include "base/clock.h"

#include <string.h>

#define NEVER INT64_MAX
// No back-off is longer on purpose: a step that is not due for longer was noted by a clock that was wrong.
#define BACKOFF_MOST_MS HOURS_MS(1)

// What plan_next looks at, for one event of the plan.
struct view {
    const struct planned_event *event;
    const struct closed *closed;
    int64_t now_ms, hurry_ms;
    bool aside;
};

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// What began later than now was noted by a clock that was wrong: its patience cannot be told, so it is over.
static int64_t after(const struct view *v, const struct step *s, int64_t most_ms) {
    int64_t first = s->first_ms ? s->first_ms : v->now_ms;
    return first > v->now_ms + most_ms ? v->now_ms : first + most_ms;
}

// patience_end: until when later steps wait for this one. One that does not lead must have had its turn: while it is held back, those
// behind it, mostly at the same account, are too. Aside, nobody waits for the one that leads.
static int64_t patience_end(const struct view *v, size_t step) {
    const struct patience *patience = &v->event->patience;
    const struct step *s = &v->event->steps[step];
    if (!destinations[step]->leads)
        return s->attempts > 0 ? after(v, s, PATIENCE_MS) : NEVER;
    if (v->aside)
        return v->now_ms;
    int64_t end = after(v, s, patience->max_wait_ms);
    bool hurried = v->hurry_ms != 0 && patience->on_fail != ON_FAIL_CONTINUE;
    return hurried ? least(end, v->hurry_ms) : end;
}

// What failed while its destination took nothing may be tried as soon as that takes something again.
static int64_t due(const struct view *v, size_t step) {
    const struct step *s = &v->event->steps[step];
    int64_t backoff = s->next_ms;
    int64_t closed = v->closed ? v->closed->until_ms[step] : 0;
    bool excused = v->closed && s->last_ms <= v->closed->again_ms[step] && !s->bidden;
    if (excused || backoff > v->now_ms + BACKOFF_MOST_MS)
        backoff = v->now_ms;
    return backoff > closed ? backoff : closed;
}

// stops: nothing after this step goes without its success.
static bool stops(const struct view *v, size_t step) {
    return destinations[step]->leads && v->event->patience.on_fail == ON_FAIL_STOP;
}

// blocked: an earlier destination has not been heard of, or its outcome is still worth waiting for.
static bool blocked(const struct view *v, size_t step) {
    for (size_t i = 0; i < step; i++) {
        const struct step *s = &v->event->steps[i];
        if (step_decided(s))
            continue;
        if (s->state == STEP_PENDING || stops(v, i) || patience_end(v, i) > v->now_ms)
            return true;
    }
    return false;
}

// may_leave: all that is left are retries that nobody in the lane has to wait for any longer.
static bool may_leave(const struct view *v) {
    for (size_t i = 0; i < PLAN_STEPS; i++) {
        if (step_decided(&v->event->steps[i]) || (i > 0 && stops(v, 0) && blocked(v, i)))
            continue;
        if (!destinations[i]->leads || v->event->steps[i].state == STEP_PENDING || patience_end(v, i) > v->now_ms)
            return false;
    }
    return true;
}

static bool decided(const struct planned_event *e) {
    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (!step_decided(&e->steps[i]))
            return false;
    return true;
}

// worth: how long an answer is of use to those who wait for it.
static int64_t worth(const struct view *v, size_t step) {
    bool waited_for = destinations[step]->leads ? !v->aside && !stops(v, step) : step_perishes(v->event, step);
    int64_t end = patience_end(v, step);
    if (!waited_for || end == NEVER)
        return NEVER;
    int64_t rest = end - v->now_ms;
    return (rest > 0 ? rest : 0) + SECONDS_MS(1);
}

static bool same_account(size_t step, size_t other) {
    return strcmp(destinations[step]->account, destinations[other]->account) == 0;
}

// other_due: when a step is due at another account than this one's.
static int64_t other_due(const struct view *v, size_t step) {
    int64_t until = NEVER;
    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (!same_account(i, step) && !step_decided(&v->event->steps[i]) && !blocked(v, i))
            until = least(until, due(v, i));
    return until;
}

// look: what is to be done for one undecided event, if it has the lane: SEND, or WAIT. The last destination comes first: when
// it is not blocked, it is the one that somebody waits for.
static struct action look(const struct view *v) {
    struct action a = {.kind = ACTION_WAIT, .most_ms = NEVER};
    int64_t until = NEVER, most = NEVER;
    bool left = false;
    for (size_t i = PLAN_STEPS; i-- > 0;) {
        const struct step *s = &v->event->steps[i];
        if (step_decided(s))
            continue;
        bool waited_for = destinations[i]->leads || left;  // by the rest of the lane, or by a later step
        left = true;
        if (blocked(v, i))
            continue;
        if (due(v, i) <= v->now_ms) {
            a.kind = ACTION_SEND;
            a.step = i;
            a.worth_ms = worth(v, i);
            return a;
        }
        a.shut[i] = v->closed && v->closed->until_ms[i] > v->now_ms;
        if (due(v, i) < until) {
            until = due(v, i);
            a.step = i;
        }
        if (s->state == STEP_RETRYING && waited_for && patience_end(v, i) > v->now_ms) {
            until = least(until, patience_end(v, i));
            most = least(most, patience_end(v, i));
            a.hold = destinations[i]->leads && v->event->patience.on_fail != ON_FAIL_CONTINUE;
        }
    }
    a.wait_ms = until - v->now_ms;
    most = least(most, other_due(v, a.step));
    a.most_ms = most == NEVER ? NEVER : most - v->now_ms;
    return a;
}

static struct action finish(const struct plan *p) {
    struct action a = {.kind = ACTION_FINISH};
    for (size_t i = 0; i < p->event_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++)
            if (p->events[i].steps[s].state == STEP_FAILED && !destinations[s]->perishable) {
                a.dead = true;
                a.event = i;
                a.step = s;
                a.reason = p->events[i].steps[s].reason;
            }
    return a;
}

// For how long the wait for the one that is due sooner may be put off.
static int64_t most_of(const struct action *sooner, const struct action *later) {
    return least(sooner->most_ms, same_account(sooner->step, later->step) ? later->most_ms : later->wait_ms);
}

struct action plan_next(const struct plan *p, const struct closed *closed, int64_t now_ms, int64_t hurry_ms) {
    struct action rest = {.kind = p->aside ? ACTION_WAIT : ACTION_ASIDE, .wait_ms = NEVER};
    bool left = false;
    for (size_t i = 0; i < p->event_count; i++) {
        const struct planned_event *e = &p->events[i];
        struct view v = {e, closed, now_ms, hurry_ms, p->aside};
        if (decided(e))
            continue;
        bool leaves = !p->aside && may_leave(&v);
        struct action a = look(&v);
        a.event = i;
        if (!leaves && (a.kind == ACTION_SEND || !p->aside))
            return a;
        bool sooner = !left || a.wait_ms < rest.wait_ms;
        int64_t most_ms = !left ? a.most_ms : sooner ? most_of(&a, &rest) : most_of(&rest, &a);
        if (sooner) {
            rest.wait_ms = a.wait_ms;
            rest.event = i;
            rest.step = a.step;
            memcpy(rest.shut, a.shut, sizeof rest.shut);
        }
        rest.most_ms = most_ms;
        left = true;
    }
    return left ? rest : finish(p);
}
