// dispatch_limits.c: no more requests than a destination takes in a time, all copies together. A request of a kind that has a quota
// asks the store for a permit, those of one turn in one round trip and just as many as are about to go out, so none is left over.
// Without one its job goes back to the store. It comes back in its turn: the jobs that wait are spread over the time in which
// the quota will take them, so that a hundred thousand of them do not come back together, again and again, for the few that may go. What came
// lately has turns of its own, before all others.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"

#include <stdlib.h>

#define LATELY_MS MINUTES_MS(1)     // so long a webhook goes before those that wait for longer
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

bool limit_reached(const struct limit *l) {
    return l->until_ms > clock_mono_ms();
}

int64_t limit_turn_ms(const struct limit *l, bool lately) {
    int64_t turn_ms = l->lines[lately].turn_us / 1000, most_ms = clock_mono_ms() + TURN_MOST_MS;
    turn_ms = turn_ms < l->until_ms ? l->until_ms : turn_ms;
    return turn_ms < most_ms ? turn_ms : most_ms;
}

static int64_t later(int64_t a, int64_t b) {
    return a < b ? b : a;
}

// A second's window that is full lets the next go soon, but only as many as the minute's window takes at once.
void limit_queue(struct limit *l, bool lately) {
    struct line *line = &l->lines[lately];
    int64_t from_us = l->until_ms * 1000;
    line->steady_us = later(line->steady_us, from_us) + l->steady_each_us;
    line->turn_us = later(later(line->turn_us, from_us) + l->each_us, line->steady_us - l->steady_span_us);
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
    struct shop_work **shops;
    size_t n;
};

static void ask(struct permit_round *r, struct shop_work *w, size_t step, int64_t want, int64_t shut_ms) {
    struct limit *l = &w->limits[step];
    r->limits[r->n] = l;
    r->shops[r->n] = w;
    r->permits[r->n++] = (struct permit){.shop = sv_of(w->name), .kind = sv_of(destinations[step]->name), .quota = &l->quota,
                                         .account = sv_of(destinations[step]->account), .want = want, .shut_ms = shut_ms};
}

static void ask_bulk(struct permit_round *r, struct shop_work *w, size_t step) {
    ask(r, w, step, 1, 0);
    r->limits[r->n - 1] = &w->bulk.limit;
    r->permits[r->n - 1].kind = sv_of(destinations[step]->bulk->name);
    r->permits[r->n - 1].quota = &w->bulk.limit.quota;
}

// ask_all: for those that want a permit, one question for each kind; before that, which accounts said how long they take nothing.
static struct permit_round ask_all(struct dispatch *d) {
    size_t most = d->wanting_count + d->shop_count * (PLAN_STEPS + 1);
    struct permit_round r = {ARENA_ARRAY(&d->arena, struct permit, most), ARENA_ARRAY(&d->arena, struct limit *, most),
                      ARENA_ARRAY(&d->arena, struct shop_work *, most), 0};
    for (size_t i = 0; i < d->shop_count; i++)
        for (size_t s = 0; s < PLAN_STEPS; s++) {
            int64_t shut_ms = gate_to_tell(d->shops[i], s);
            if (shut_ms > 0 && destinations[s]->quota)
                ask(&r, d->shops[i], s, 0, shut_ms);
            if (destinations[s]->bulk && bulk_ready(d, d->shops[i]))
                ask_bulk(&r, d->shops[i], s);
        }
    for (size_t i = 0; i < d->wanting_count; i++)
        d->wanting[i]->work->limits[d->wanting[i]->step].wanted++;
    for (size_t i = 0; i < d->wanting_count; i++) {
        struct task *t = d->wanting[i];
        int64_t *wanted = &t->work->limits[t->step].wanted;
        if (*wanted > 0)
            ask(&r, t->work, t->step, *wanted, 0);
        *wanted = 0;
    }
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
        l->granted = p->granted;
        refused |= p->granted < p->want;
        if (p->ret_shut_ms > 0) {
            gates_shut(r->shops[i], p->account, p->ret_shut_ms);
        } else if (p->granted < p->want) {
            const struct quota_window *full = &l->quota.windows[p->full];
            l->until_ms = clock_mono_ms() + p->wait_ms;
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
        int64_t *granted = &told[i]->work->limits[told[i]->step].granted;
        told[i]->wants_permit = false;
        task_permitted(told[i], *granted > 0);
        *granted -= *granted > 0;
    }
}

static void tell_bulk(struct dispatch *d, const struct permit_round *r) {
    for (size_t i = 0; i < r->n; i++)
        if (r->limits[i] == &r->shops[i]->bulk.limit)
            bulk_permitted(d, r->shops[i], r->limits[i]->granted > 0);
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
