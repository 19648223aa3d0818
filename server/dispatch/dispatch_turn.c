// dispatch_turn.c: how long a job waits that cannot go on: for a destination that is closed, for its turn under a limit, for its next try.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "base/crypto.h"

#define JITTER_MS 1000

// A step that its destination's closed gate keeps from even beginning is as good as tried: the patience of its rule runs.
void turn_hold_back(struct task *t, const struct action *a, size_t step, int64_t now_ms) {
    static const struct outcome shut = {.kind = OUTCOME_PAUSE, .reason = {"the destination is paused or throttles", 38}};
    static const struct outcome limited = {.kind = OUTCOME_THROTTLED, .reason = {"as many as the destination takes are on their way", 49}};
    plan_outcome(&t->arena, &t->plan, a->event, step, gate_shut(t->work, step) ? &shut : &limited, now_ms, 0);
    t->dirty = true;
}

// The first answer ends all turns at once: whoever waits for one loses nothing by it.
int64_t turn_in_ms(struct task *t, const struct action *a) {
    const struct planned_event *e = &t->plan.events[a->event];
    const struct step *s = &e->steps[a->step];
    bool has_turn = s->state == STEP_RETRYING && (!step_perishes(e, a->step) || s->attempts == 0);
    int64_t turn_ms = has_turn ? gate_try_ms(t->work, a->step, a->most_ms) : 0;
    return turn_ms > a->wait_ms ? turn_ms : a->wait_ms;
}

static void queue(struct task *t, size_t step) {
    limit_queue(limit_of(t, step), limit_lately(t, step));
    bulk_weigh(t, step);
}

// queue_others: a step that a limit keeps waits for its turn too, when the job waits for another one that is tried again before. Once: it
// comes back for that again and again.
static void queue_others(struct task *t, const struct action *a, int64_t now_ms) {
    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (i != a->step && a->shut[i] && t->plan.events[a->event].steps[i].first_ms == 0 && !gate_shut(t->work, i)) {
            turn_hold_back(t, a, i, now_ms);
            queue(t, i);
        }
}

// Where a closed destination is waited for, not all of a shop's lanes are to come back at once. Those that a limit keeps wait
// for their turn; one that loses patience before takes none.
void turn_wait(struct task *t, const struct action *a, int64_t closed_until_ms, int64_t now_ms) {
    bool closed = closed_until_ms != 0, limited = closed && !gate_shut(t->work, a->step);
    int64_t jitter = closed && !limited ? (int64_t)random_below(JITTER_MS) : 0;
    if (limited && now_ms + a->wait_ms >= closed_until_ms)
        queue(t, a->step);
    queue_others(t, a, now_ms);
    task_change(t, (struct change){.kind = a->hold ? CHANGE_HOLD : CHANGE_RETRY, .delay_ms = turn_in_ms(t, a) + jitter});
}
