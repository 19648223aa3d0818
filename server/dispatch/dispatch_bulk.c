// dispatch_bulk.c: many events in one request. As long as what waits for a destination's limit will have its turn soon, each event goes alone.
// A shop that is further behind than it may be sends in bulk what has no permit; what came lately still goes alone while there are permits,
// and before all others. It has caught up when nothing was to go in bulk for a while.
//
// Requests of several lanes, whose turn it is, wait here for one another: until nothing else can join them without an answer from
// outside, and, where they are few, so long that the minute's quota of such requests is not used up by them. Then they go together,
// those of them that the destination lets go together; the lease of each outlasts that. One answer is the outcome of all, except that a
// refusal takes nothing and is the fault of some: those go alone from then on, and the others once more.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"

#include <stdlib.h>

#define CAUGHT_UP_MS SECONDS_MS(10)
#define WORTH 256                 // so many are not few
#define BODY_MEMORY ((size_t)64 << 20)

// A request that is on its way.
struct bulk_call {
    struct dispatch *dispatch;
    struct shop_work *work;
    const struct shop *shop;      // of the last task
    struct task **tasks;
    struct bulk_event *events;    // of each
    size_t n;
    struct arena arena;           // the request, and what its answer is read in
    struct bulk_call *next;
};

// ---- who goes in bulk

static bool goes_alone(const struct task *t, size_t step) {
    for (size_t i = 0; i < t->plan.event_count; i++)
        if (t->plan.events[i].steps[step].alone && !step_decided(&t->plan.events[i].steps[step]))
            return true;
    return false;
}

bool bulk_takes(const struct task *t, size_t step) {
    const struct bulk *bulk = destinations[step]->bulk;
    if (!bulk || !t->work->bulk.behind || bulk->when_behind_ms(t->shop) == 0 || goes_alone(t, step))
        return false;
    return !task_came_lately(t, step) || (limit_reached(&t->work->limits[step], true) && !limit_reached(&t->work->bulk.limit, false));
}

static void stay_behind(struct bulk_work *b, int64_t from_ms) {
    int64_t until_ms = from_ms + CAUGHT_UP_MS;
    b->until_ms = until_ms > b->until_ms ? until_ms : b->until_ms;
}

static void fall_behind(struct task *t, size_t step, int64_t behind_ms) {
    struct bulk_work *b = &t->work->bulk;
    log_info("behind shop=%s destination=%s by=%llds: what waits for its limit goes in bulk", t->work->name, destinations[step]->account,
             (long long)(behind_ms / 1000));
    b->behind = true;
    stay_behind(b, clock_mono_ms());
    t->work->wake = true;  // those that wait already are not to wait for the turn that they were given
}

void bulk_weigh(struct task *t, size_t step) {
    const struct bulk *bulk = destinations[step]->bulk;
    int64_t most_ms = bulk ? bulk->when_behind_ms(t->shop) : 0;
    if (most_ms == 0)
        return;
    const struct limit *l = &t->work->limits[step];
    int64_t now = clock_mono_ms(), last_us = l->lines[l->lines[true].turn_us > l->lines[false].turn_us].turn_us;
    if (bulk_takes(t, step))
        stay_behind(&t->work->bulk, limit_turn_ms(&t->work->bulk.limit, limit_lately(t, step)));
    else if (!t->work->bulk.behind && last_us / 1000 - now > most_ms)
        fall_behind(t, step, last_us / 1000 - now);
}

void bulk_join(struct task *t) {
    struct bulk_work *b = &t->work->bulk;
    int64_t now = clock_mono_ms();
    t->wants_permit = true;
    b->since_ms = b->count == 0 ? now : b->since_ms;
    b->waiting[b->count++] = t;
    t->dispatch->bulk_count++;
    stay_behind(b, now);
}

// ---- when they go

// settled: nobody else joins before something comes from outside.
static bool settled(const struct dispatch *d, int64_t now) {
    bool claims = round_may_claim(d, 0) && d->claim_at_ms <= now;
    return !d->round.under_way && d->queued.n == 0 && d->asking_count == 0 && d->wanting_count == 0 && !claims;
}

static int64_t gather_ms(const struct bulk_work *b) {
    return destinations[b->waiting[0]->step]->bulk->gather_ms;
}

static int64_t due_ms(const struct bulk_work *b) {
    int64_t from_ms = b->since_ms < b->last_ms ? b->since_ms : b->last_ms;
    int64_t at_ms = b->count >= WORTH ? 0 : from_ms + gather_ms(b);
    return at_ms > b->limit.lines[false].until_ms ? at_ms : b->limit.lines[false].until_ms;
}

static bool is_due(const struct dispatch *d, const struct bulk_work *b) {
    int64_t now = clock_mono_ms();
    if (b->count == 0 || dispatch_stopping(d) || due_ms(b) > now)
        return false;
    return settled(d, now) || b->since_ms + gather_ms(b) <= now;
}

bool bulk_ready(const struct dispatch *d, const struct shop_work *w) {
    return is_due(d, &w->bulk) && w->bulk.limit.quota.count > 0;
}

int64_t bulk_due_ms(const struct dispatch *d) {
    int64_t least = INT64_MAX;
    for (size_t i = 0; d->bulk_count > 0 && i < d->shop_count; i++) {
        const struct bulk_work *b = &d->shops[i]->bulk;
        int64_t at_ms = b->count == 0 ? INT64_MAX : dispatch_stopping(d) ? 0 : due_ms(b);
        least = at_ms < least ? at_ms : least;
    }
    return least;
}

// ---- a request

static void call_free(struct bulk_call *c) {
    arena_free(&c->arena);
    free(c->tasks);
    free(c->events);
    free(c);
}

// call_new: room for all that wait; NULL: there is no memory for it now.
static struct bulk_call *call_new(struct dispatch *d, struct shop_work *w) {
    struct bulk_call *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct bulk_call){.dispatch = d, .work = w, .tasks = calloc(w->bulk.count, sizeof *c->tasks), .events = calloc(w->bulk.count, sizeof *c->events)};
    arena_init(&c->arena, BODY_MEMORY);
    if (c->tasks && c->events)
        return c;
    call_free(c);
    return NULL;
}

// empty: those that wait, now waiting[0 .. n), wait no longer; n. Whoever joins again while they are looked at in turn takes a place that
// was looked at.
static size_t empty(struct dispatch *d, struct bulk_work *b) {
    size_t n = b->count;
    for (size_t i = 0; i < n; i++)
        b->waiting[i]->wants_permit = false;
    d->bulk_count -= n;
    b->count = 0;
    return n;
}

// put_back: none of them goes now.
static void put_back(struct dispatch *d, struct bulk_work *b) {
    for (size_t i = 0, n = empty(d, b); i < n; i++) {
        if (dispatch_stopping(d))
            task_give_back(b->waiting[i]);
        else
            task_advance(b->waiting[i]);
    }
}

static void let_go_alone(struct task *t) {
    t->plan.events[t->event].steps[t->step].alone = true;
    t->dirty = true;
    task_advance(t);
}

// choose: those that know the credential of now, and whose lease outlasts the request. The others come back when they do.
static void choose(struct bulk_call *c) {
    struct bulk_work *b = &c->work->bulk;
    for (size_t i = 0, n = empty(c->dispatch, b); i < n; i++) {
        struct task *t = b->waiting[i];
        if (task_outdated(t)) {
            task_give_back(t);
        } else if (!task_lease_outlasts(t, REQUEST_TIMEOUT_MS)) {
            task_record(t);
        } else if (c->n == destinations[t->step]->bulk->most) {
            bulk_join(t);
        } else {
            c->shop = t->shop;
            c->events[c->n] = (struct bulk_event){.body = t->plan.events[t->event].steps[t->step].draft.body};
            c->tasks[c->n++] = t;
        }
    }
}

// body: of those that go together; the others are left out.
static struct sv body(struct bulk_call *c, const struct bulk *bulk) {
    struct sv body = bulk->body(&c->arena, c->events, c->n);
    size_t n = c->n;
    c->n = 0;
    for (size_t i = 0; i < n; i++) {
        struct task *t = c->tasks[i];
        if (c->events[i].place == BULK_LATER) {
            bulk_join(t);
        } else if (c->events[i].place == BULK_ALONE || !body.p || !arena_ok(&c->arena)) {
            let_go_alone(t);
        } else {
            c->tasks[c->n] = t;
            c->events[c->n++] = c->events[i];
        }
    }
    return body;
}

// conclude: the outcome is that of each. Where it is a refusal, those that it was for go alone.
static void conclude(struct bulk_call *c, const struct outcome *o) {
    struct dispatch *d = c->dispatch;
    bool refused = o->kind == OUTCOME_REJECT;
    size_t alone = 0;
    struct bulk_call **at = &d->bulk_calls;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    metrics_bulk(d->given.metrics, sv_of(c->work->name), refused ? "refused" : outcome_text(o->kind), c->n);
    for (size_t i = 0; i < c->n; i++) {
        struct task *t = c->tasks[i];
        t->sending = false;
        int64_t delay_ms = refused ? 0 : task_note(t, o);
        if (i == 0 && o->kind == OUTCOME_THROTTLED && !t->probe)
            limit_shut(&c->work->bulk.limit, delay_ms);  // that is of such requests alone
        else if (i == 0)
            gate_note(t, o, delay_ms);
        if (o->kind == OUTCOME_SENT)
            t->plan.events[t->event].steps[t->step].reason = SV("in bulk");
        alone += refused && c->events[i].place == BULK_ALONE;
        if (refused && c->events[i].place == BULK_ALONE)
            let_go_alone(t);
        else
            task_advance(t);
    }
    if (refused)
        log_warn("refused in bulk shop=%s reason=\"" SV_FMT "\": %zu of %zu events go alone", c->work->name, SV_ARG(o->reason), alone, c->n);
    call_free(c);
}

static void answered(void *ctx, const struct answer *answer) {
    struct bulk_call *c = ctx;
    const struct bulk *bulk = destinations[c->tasks[0]->step]->bulk;
    FAILPOINT_OF("answered", bulk->name);
    c->work->bulk.limit.quota = bulk->quota(c->shop, answer, &c->work->bulk.limit.quota);
    struct outcome o = bulk->outcome(&c->arena, answer, clock_wall_ms(), c->events, c->n);
    conclude(c, &o);
}

static void post(struct bulk_call *c, const struct bulk *bulk, const struct request *request) {
    struct dispatch *d = c->dispatch;
    struct err e = {0};
    for (size_t i = 0; i < c->n; i++) {
        task_asked(c->tasks[i]);
        c->tasks[i]->sending = true;
        c->tasks[i]->probe = false;
    }
    c->tasks[0]->probe = gate_pass(c->work, c->tasks[0]->step);
    c->work->bulk.last_ms = clock_mono_ms();
    c->next = d->bulk_calls;
    d->bulk_calls = c;
    FAILPOINT_OF("send", bulk->name);
    enum rc rc = http_client_post(d->http, request, REQUEST_TIMEOUT_MS, answered, c, &e);
    FAILPOINT_OF("sent", bulk->name);
    if (rc != RC_OK)
        conclude(c, &(struct outcome){.kind = OUTCOME_RETRY, .reason = sv_of(e.text)});
}

static void send(struct dispatch *d, struct shop_work *w) {
    struct bulk_call *c = call_new(d, w);
    struct request request = {0};
    if (!c)
        return;  // they wait on; the next permit tries again
    choose(c);
    const struct bulk *bulk = c->n > 0 ? destinations[c->tasks[0]->step]->bulk : NULL;
    if (bulk)
        request.body = body(c, bulk);
    if (bulk && c->n > 0) {
        bulk->address(&c->arena, c->shop, &request);
        post(c, bulk, &request);
    } else {
        call_free(c);
    }
}

void bulk_permitted(struct dispatch *d, struct shop_work *w, bool granted) {
    if (granted)
        send(d, w);
    else
        w->bulk.limit.each_us = w->bulk.limit.steady_each_us /= WORTH;  // of each event
}

void bulk_look(struct dispatch *d) {
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < d->shop_count && now >= d->retry_at_ms; i++) {
        struct shop_work *w = d->shops[i];
        struct bulk_work *b = &w->bulk;
        if (b->count > 0 && (dispatch_stopping(d) || b->limit.lines[false].until_ms - now > gather_ms(b) || gate_shut(w, b->waiting[0]->step)))
            put_back(d, b);
        else if (b->limit.quota.count == 0 && is_due(d, b))
            send(d, w);
        if (b->behind && b->until_ms <= now) {
            b->behind = false;
            log_info("caught up shop=%s", w->name);
        }
    }
}

void bulk_forget(struct dispatch *d) {
    for (size_t i = 0; i < d->shop_count; i++)
        d->shops[i]->bulk.count = 0;
    d->bulk_count = 0;
    while (d->bulk_calls) {
        struct bulk_call *c = d->bulk_calls;
        d->bulk_calls = c->next;
        call_free(c);
    }
}
