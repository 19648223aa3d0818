// dispatch_limits.c: no more requests than a destination takes in a time, all copies together. A request of a kind that has a quota
// asks the store for a permit, those of one turn in one round trip and just as many as are about to go out, so none is left over.
// Without one its job goes back to the store. It comes back in its turn: the jobs that wait are spread over the time in which
// the quota will take them, so that a hundred thousand of them do not come back together, again and again, for the few that may go. What came
// lately has turns of its own, before all others, and the others leave it a part of the quota: otherwise a backlog would use up a minute of it
// in seconds.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"

#include <stdlib.h>

#define LATELY_MS SECONDS_MS(5)     // so long a webhook goes before those that wait for longer
#define LEFT_TO_LATELY 16           // one in so many of what a destination takes
#define TURN_MOST_MS MINUTES_MS(5)  // the quota may grow meanwhile, or others may need less of it

void limits_begin(struct shop_work *w, const struct shop *shop) {
    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (destinations[i]->quota)
            w->limits[i].quota = destinations[i]->quota(shop, NULL, &w->limits[i].quota);
    for (size_t i = 0; i < PLAN_STEPS; i++)
        if (destinations[i]->bulk)
            w->bulk.limit.quota = destinations[i]->bulk->quota(shop, NULL, &w->bulk.limit.quota);
}

void limits_heard(struct task *t, const struct answer *answer) {
    struct quota *quota = &t->work->limits[t->step].quota;
    if (destinations[t->step]->quota)
        *quota = destinations[t->step]->quota(t->shop, answer, quota);
}

// ---- the turn of those that wait

struct limit *limit_of(const struct task *t, size_t step) {
    return bulk_takes(t, step) ? &t->work->bulk.limit : &t->work->limits[step];
}

bool task_came_lately(const struct task *t, size_t step) {
    int64_t behind_ms = destinations[step]->bulk ? destinations[step]->bulk->when_behind_ms(t->shop) : 0;
    int64_t lately_ms = behind_ms > 0 && behind_ms < LATELY_MS ? behind_ms : LATELY_MS;
    return clock_wall_ms() - t->job.received_ms < lately_ms;
}

bool limit_lately(const struct task *t, size_t step) {
    return !bulk_takes(t, step) && task_came_lately(t, step);
}

bool limit_reached(const struct limit *l, bool lately) {
    return l->lines[lately].until_ms > clock_mono_ms();
}

int64_t limit_turn_ms(const struct limit *l, bool lately) {
    const struct line *line = &l->lines[lately];
    int64_t turn_ms = line->turn_us / 1000, most_ms = clock_mono_ms() + TURN_MOST_MS;
    turn_ms = turn_ms < line->until_ms ? line->until_ms : turn_ms;
    return turn_ms < most_ms ? turn_ms : most_ms;
}

static int64_t later(int64_t a, int64_t b) {
    return a < b ? b : a;
}

// A second's window that is full lets the next go soon, but only as many as the minute's window takes at once.
void limit_queue(struct limit *l, bool lately) {
    struct line *line = &l->lines[lately];
    int64_t from_us = line->until_ms * 1000;
    line->steady_us = later(line->steady_us, from_us) + l->steady_each_us;
    line->turn_us = later(later(line->turn_us, from_us) + l->each_us, line->steady_us - l->steady_span_us);
}

void limit_shut(struct limit *l, int64_t ms) {
    for (size_t i = 0; i < COUNTOF(l->lines); i++)
        l->lines[i].until_ms = later(l->lines[i].until_ms, clock_mono_ms() + ms);
}

void limits_requeue(struct shop_work *w) {
    for (size_t i = 0; i <= PLAN_STEPS; i++) {
        struct limit *l = i < PLAN_STEPS ? &w->limits[i] : &w->bulk.limit;
        for (size_t k = 0; k < COUNTOF(l->lines); k++)
            l->lines[k].turn_us = l->lines[k].steady_us = 0;
    }
}

// ---- permits

void limit_permit(struct task *t) {
    struct dispatch *d = t->dispatch;
    t->wants_permit = true;
    d->wanting[d->wanting_count++] = t;
}

// One question to the store, and whose it is.
struct permit_round {
    struct permit *permits;
    struct limit **limits;      // of each
    bool *lately;
    struct shop_work **shops;
    size_t n;
};

static const struct quota *but_for_lately(struct arena *a, const struct quota *q) {
    struct quota *less = ARENA_NEW(a, struct quota);
    *less = *q;
    for (size_t i = 0; i < less->count; i++)
        less->windows[i].most -= less->windows[i].most / LEFT_TO_LATELY;
    return less;
}

static struct permit *ask(struct permit_round *r, struct shop_work *w, size_t step, bool lately) {
    struct limit *l = &w->limits[step];
    r->limits[r->n] = l;
    r->lately[r->n] = lately;
    r->shops[r->n] = w;
    r->permits[r->n] = (struct permit){.shop = sv_of(w->name), .kind = sv_of(destinations[step]->name), .quota = &l->quota,
                                       .account = sv_of(destinations[step]->account)};
    return &r->permits[r->n++];
}

static void ask_bulk(struct permit_round *r, struct shop_work *w, size_t step) {
    struct permit *p = ask(r, w, step, false);
    r->limits[r->n - 1] = &w->bulk.limit;
    p->kind = sv_of(destinations[step]->bulk->name);
    p->quota = &w->bulk.limit.quota;
    p->want = 1;
}

static struct line *line_of(const struct task *t) {
    return &t->work->limits[t->step].lines[task_came_lately(t, t->step)];
}

static struct permit_round round_new(struct dispatch *d) {
    size_t most = d->wanting_count + d->shop_count * (PLAN_STEPS + 1);
    return (struct permit_round){ARENA_ARRAY(&d->arena, struct permit, most), ARENA_ARRAY(&d->arena, struct limit *, most),
                                 ARENA_ARRAY(&d->arena, bool, most), ARENA_ARRAY(&d->arena, struct shop_work *, most), 0};
}

static void ask_for(struct permit_round *r, struct dispatch *d, bool lately) {
    for (size_t i = 0; i < d->wanting_count; i++) {
        struct task *t = d->wanting[i];
        struct line *line = &t->work->limits[t->step].lines[lately];
        if (line->wanted == 0)
            continue;
        struct permit *p = ask(r, t->work, t->step, lately);
        p->want = line->wanted;
        if (!lately)
            p->quota = but_for_lately(&d->arena, p->quota);
        line->wanted = 0;
    }
}

// ask_all: for those that want a permit, one question for each kind and line; before that, which accounts said how long they take nothing.
static struct permit_round ask_all(struct dispatch *d) {
    struct permit_round r = round_new(d);
    for (size_t i = 0; i < d->shop_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++) {
            int64_t shut_ms = gate_to_tell(d->shops[i], s);
            if (shut_ms > 0 && destinations[s]->quota)
                ask(&r, d->shops[i], s, false)->shut_ms = shut_ms;
            if (destinations[s]->bulk && bulk_ready(d, d->shops[i]))
                ask_bulk(&r, d->shops[i], s);
        }
    for (size_t i = 0; i < d->wanting_count; i++)
        line_of(d->wanting[i])->wanted++;
    ask_for(&r, d, true);
    ask_for(&r, d, false);
    return r;
}

static void note_slowest(struct limit *l) {
    l->steady_each_us = l->each_us;
    l->steady_span_us = 0;
    for (size_t i = 0; i < l->quota.count; i++) {
        const struct quota_window *w = &l->quota.windows[i];
        if (w->span_ms * 1000 / w->most <= l->steady_each_us)
            continue;
        l->steady_each_us = w->span_ms * 1000 / w->most;
        l->steady_span_us = w->span_ms * 1000;
    }
}

// hear: true: some have to wait.
static bool hear(const struct permit_round *r) {
    bool refused = false;
    for (size_t i = 0; i < r->n; i++) {
        const struct permit *p = &r->permits[i];
        struct limit *l = r->limits[i];
        struct line *line = &l->lines[r->lately[i]];
        line->granted = p->granted;
        refused |= p->granted < p->want;
        if (p->ret_shut_ms > 0) {
            gates_shut(r->shops[i], p->account, p->ret_shut_ms);
        } else if (p->granted < p->want) {
            const struct quota_window *full = &l->quota.windows[p->full];
            line->until_ms = clock_mono_ms() + p->wait_ms;
            l->each_us = full->span_ms * 1000 / full->most;
            note_slowest(l);
        }
    }
    return refused;
}

static int by_arrival(const void *a, const void *b) {
    const struct task *const *x = a, *const *y = b;
    return ((*x)->job.received_ms < (*y)->job.received_ms) - ((*x)->job.received_ms > (*y)->job.received_ms);
}

static void tell(struct task **told, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int64_t *granted = &line_of(told[i])->granted;
        told[i]->wants_permit = false;
        task_permitted(told[i], *granted > 0);
        *granted -= *granted > 0;
    }
}

static void tell_bulk(struct dispatch *d, const struct permit_round *r) {
    for (size_t i = 0; i < r->n; i++)
        if (r->limits[i] == &r->shops[i]->bulk.limit)
            bulk_permitted(d, r->shops[i], r->limits[i]->lines[false].granted > 0);
}

void limits_take(struct dispatch *d) {
    if ((d->wanting_count == 0 && d->bulk_count == 0 && !d->tell_shut) || clock_mono_ms() < d->retry_at_ms)
        return;
    struct err e = {0};
    struct permit_round r = ask_all(d);
    d->tell_shut = false;
    if (r.n > 0 && store_answered(d, store_permits(d->given.store, r.permits, r.n, &e), &e)) {
        struct task **told = d->wanting;
        size_t count = d->wanting_count;
        if (hear(&r))
            qsort(told, count, sizeof *told, by_arrival);  // where not all may go, those that came last go first
        d->wanting = d->granting;
        d->granting = told;
        d->wanting_count = 0;
        tell(told, count);
        tell_bulk(d, &r);
    }
    arena_reset(&d->arena);
}
