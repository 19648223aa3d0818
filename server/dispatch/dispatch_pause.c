// dispatch_pause.c: destinations that take nothing from a shop for now. Throttled: until the time they said. Paused (a credential or
// an account is wrong): until one event, tried every PAUSE_PROBE_MS, gets through. The events wait in the store meanwhile.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "base/log.h"

#include <string.h>

// Nothing gets through: so many failures in a row, over so long a time. Then so many tries again a second are enough to find out when
// that ends; a day's events would otherwise try thousands of times a second, and take that time from everything else. Where a
// destination is paused only the first of them asks it; the others come in turn all the same, or all would at each of its probes.
#define OUT_FAILURES 20
#define AWAY_MS SECONDS_MS(10)
#define AWAY_EACH_US 100000
#define AWAY_TURN_MOST_MS HOURS_MS(1)
#define PAUSED_TURN_MOST_MS MINUTES_MS(10)  // they ask nobody, which is cheap
// After a shorter time already what failed was not to blame, and may be tried again with the first answer. That is all that waits: what
// comes and goes does not have it tried each time.
#define OUT_MS SECONDS_MS(1)
#define OUT_EACH_MS MINUTES_MS(1)

// Steps of one account are closed together: its gate is the one of the account's first step.
static size_t gate_of(size_t step) {
    size_t i = 0;
    while (strcmp(destinations[i]->account, destinations[step]->account) != 0)
        i++;
    return i;
}

void gates_closed(const struct task *t, int64_t wall_ms, struct closed *ret) {
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < PLAN_STEPS; i++) {
        const struct gate *g = &t->work->gates[gate_of(i)];
        const struct limit *l = limit_of(t, i);
        int64_t until_ms = g->state != GATE_OPEN ? g->until_ms : 0;
        if (until_ms <= now && limit_reached(l, limit_lately(t, i)))
            until_ms = limit_turn_ms(l, limit_lately(t, i));
        ret->until_ms[i] = until_ms > now ? wall_ms + until_ms - now : 0;
        ret->again_ms[i] = g->again_ms != 0 && g->failures < OUT_FAILURES ? wall_ms + g->again_ms - now : 0;
    }
}

bool gate_shut(const struct shop_work *w, size_t step) {
    const struct gate *g = &w->gates[gate_of(step)];
    return g->state != GATE_OPEN && g->until_ms > clock_mono_ms();
}

bool gate_pass(struct shop_work *w, size_t step) {
    struct gate *g = &w->gates[gate_of(step)];
    if (g->state == GATE_PAUSED)
        g->until_ms = clock_mono_ms() + PAUSE_PROBE_MS;
    return g->state == GATE_PAUSED;
}

static void close_until(struct gate *g, enum gate_state state, int64_t until_ms) {
    g->state = state;
    g->until_ms = until_ms > g->until_ms ? until_ms : g->until_ms;
}

// A credential that was refused says nothing of the one that came after it, nor of one that was taken since.
static bool is_outdated(const struct task *t, const struct gate *g) {
    return task_outdated(t) || t->sent_ms <= g->taken_ms;
}

// One line when a destination begins to fail, and one when it works again: what fails in between is in the metrics.
static void tell_trouble(struct task *t, struct gate *g, const struct outcome *o) {
    const char *account = destinations[t->step]->account;
    bool trouble = o->kind == OUTCOME_RETRY || o->kind == OUTCOME_THROTTLED;
    if (o->kind == OUTCOME_PAUSE || trouble == g->troubled)
        return;
    g->troubled = trouble;
    if (trouble)
        log_warn("retrying shop=%s destination=%s reason=\"" SV_FMT "\"", t->work->name, account, SV_ARG(o->reason));
    else
        log_info("answers again shop=%s destination=%s", t->work->name, account);
}

static bool out_for(const struct gate *g, int64_t ms) {
    return g->failures >= OUT_FAILURES && clock_mono_ms() - g->failing_since_ms >= ms;
}

static bool is_away(const struct gate *g) {
    return out_for(g, AWAY_MS);
}

// comes_first: of those that are put off by a paused gate some come as soon as it lets one through, however long the line is: another copy
// may have noticed already that the account is right again, and woken all.
static bool comes_first(struct gate *g, int64_t now) {
    bool first = now - g->first_ms >= AWAY_EACH_US / 1000;
    g->first_ms = first ? now : g->first_ms;
    return first;
}

int64_t gate_try_ms(struct shop_work *w, size_t step, int64_t most_ms) {
    struct gate *g = &w->gates[gate_of(step)];
    bool paused = g->state == GATE_PAUSED;
    int64_t now = clock_mono_ms(), open_us = 1000 * (paused && g->until_ms > now ? g->until_ms : now);
    if (!paused && !is_away(g))
        return 0;
    if (paused && comes_first(g, now))
        return open_us / 1000 - now;
    int64_t try_us = (g->try_us < open_us ? open_us : g->try_us) + AWAY_EACH_US;
    int64_t turn_ms = (try_us / 1000 - now - 1) % (paused ? PAUSED_TURN_MOST_MS : AWAY_TURN_MOST_MS) + 1;  // more than that are spread over all of it: at any time somebody tries
    if (turn_ms >= most_ms)
        return most_ms;
    g->try_us = try_us;
    return turn_ms;
}

void gates_requeue(struct shop_work *w) {
    for (size_t i = 0; i < PLAN_STEPS; i++)
        w->gates[i].try_us = 0;
}

// Whoever waits need not, once one got through. With the first answer that we see those are woken too whom a process before us gave a turn.
static void answers_again(struct task *t, struct gate *g, bool taken) {
    int64_t now = clock_mono_ms();
    bool lately = g->again_ms != 0 && now - g->again_ms < OUT_EACH_MS;
    if (out_for(g, lately ? AWAY_MS : OUT_MS))
        g->again_ms = now;
    else if (g->answered || !taken)
        return;
    g->answered |= taken;
    t->work->wake = true;
}

bool gate_excuses(const struct task *t) {
    return t->sent_ms < t->work->gates[gate_of(t->step)].again_ms;
}

static void count_failures(struct task *t, struct gate *g, enum outcome_kind kind) {
    if (kind != OUTCOME_RETRY) {
        answers_again(t, g, kind == OUTCOME_SENT || kind == OUTCOME_REJECT);
        g->failures = 0;
        g->try_us = kind == OUTCOME_PAUSE ? g->try_us : 0;
    } else if (!gate_excuses(t)) {
        g->failing_since_ms = g->failures == 0 ? clock_mono_ms() : g->failing_since_ms;
        g->failures++;
    }
}

void gate_note(struct task *t, const struct outcome *o, int64_t delay_ms) {
    struct gate *g = &t->work->gates[gate_of(t->step)];
    const char *account = destinations[t->step]->account;
    int64_t until_ms = clock_mono_ms() + delay_ms;
    tell_trouble(t, g, o);
    count_failures(t, g, o->kind);
    if (g->state == GATE_PAUSED && t->probe && o->kind != OUTCOME_PAUSE && until_ms < g->until_ms) {
        g->until_ms = until_ms;  // the credential was not what kept it: the next one is tried sooner
        g->try_us = 0;
    }
    switch (o->kind) {
    case OUTCOME_PAUSE:
        if (is_outdated(t, g))
            break;
        if (g->state != GATE_PAUSED) {
            log_error("paused shop=%s destination=%s reason=\"" SV_FMT "\": its events are kept; correct it and reload (SIGHUP)", t->work->name,
                      account, SV_ARG(o->reason));
            metrics_paused(t->dispatch->given.metrics, t->shop->name, account, true);
        }
        close_until(g, GATE_PAUSED, until_ms);
        break;
    case OUTCOME_THROTTLED:
        close_until(g, g->state == GATE_PAUSED ? GATE_PAUSED : GATE_THROTTLED, until_ms);
        g->to_tell = t->dispatch->tell_shut = true;
        break;
    case OUTCOME_SENT:
    case OUTCOME_REJECT:  // refused for its own sake: the credential was good enough to be told so
        if (g->state == GATE_PAUSED && t->probe && o->kind == OUTCOME_REJECT && destinations[t->step]->perishable) {
            g->until_ms = 0;  // for want of a scope of its own, maybe: the event behind it tells
        } else if (g->state == GATE_PAUSED && t->probe) {
            *g = (struct gate){.state = GATE_OPEN, .answered = true, .again_ms = g->again_ms, .taken_ms = clock_mono_ms()};
            t->work->wake = true;
            log_info("resumed shop=%s destination=%s", t->work->name, account);
            metrics_paused(t->dispatch->given.metrics, t->shop->name, account, false);
        }
        break;
    case OUTCOME_RETRY:
        break;
    }
}

int64_t gate_to_tell(struct shop_work *w, size_t step) {
    struct gate *g = &w->gates[step];
    int64_t left_ms = g->to_tell ? g->until_ms - clock_mono_ms() : 0;
    g->to_tell = false;
    return left_ms > 0 ? left_ms : 0;
}

void gates_shut(struct shop_work *w, struct sv account, int64_t ms) {
    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (sv_is(account, destinations[i]->account) && gate_of(i) == i)
            close_until(&w->gates[i], w->gates[i].state == GATE_PAUSED ? GATE_PAUSED : GATE_THROTTLED, clock_mono_ms() + ms);
}

void gates_probe(struct dispatch *d) {
    for (size_t i = 0; i < d->shop_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++)
            if (d->shops[i]->gates[s].state == GATE_PAUSED) {
                d->shops[i]->gates[s].until_ms = 0;
                d->shops[i]->wake = true;
            }
}

void gates_show(const struct dispatch *d, const struct shop_work *w) {
    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (gate_of(i) == i)
            metrics_paused(d->given.metrics, sv_of(w->name), destinations[i]->account, w->gates[i].state == GATE_PAUSED);
}
