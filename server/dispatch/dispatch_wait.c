// dispatch_wait.c: people who wait for something to be in stock again. Nothing in a stock webhook says who they are: they asked
// before, by an event of their own, and the store keeps a queue of these requests for each variant.
//   mark  waiting:<name>      "<first>:<end>:<job>": which numbers are in the queue; the job that changed it last makes each value
//                             another one, so that two who saw the same cannot both be taken for having changed it
//   state waiting:<name>:<n>  the request of that number, as it came
// A webhook turns the requests of its queues into events of their own, some at a time: they are accepted, and then the mark is moved
// past them with the change that keeps the lease. A crash in between accepts them once more, as duplicates.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "server/delivery.h"

#define QUEUE_MOST 10000
#define BATCH_MOST 50
#define BATCH_MEMORY ((size_t)256 << 20)

struct queue {
    struct sv key, seen;  // of its mark
    int64_t first, end;
};

static struct sv queue_key(struct arena *a, struct sv name) {
    return arena_fmt(a, "waiting:" SV_FMT, SV_ARG(name));
}

// queued_mark: what the mark will be once the next commit is made; absent: that changes nothing there. Changes are made in their order,
// so hundreds who ask for one thing at once build upon each other instead of all but one of them being sent back each time.
static struct sv queued_mark(struct task *t, struct sv key) {
    const struct batch *b = &t->dispatch->queued;
    for (size_t i = b->n; i-- > 0;)
        for (size_t k = 0; k < b->changes[i].mark_count && sv_eq(b->changes[i].job->shop, t->job.shop); k++)
            if (sv_eq(b->changes[i].marks[k].key, key))
                return arena_dup(&t->arena, b->changes[i].marks[k].value);
    return SV_NONE;
}

static struct queue queue_of(struct sv key, struct sv seen) {
    struct queue q = {.key = key, .seen = seen};
    struct sv first, end, rest;
    sv_cut(seen, ':', &first, &rest);
    sv_cut(rest, ':', &end, &rest);
    if (!sv_i64(first, &q.first) || !sv_i64(end, &q.end))
        q.first = q.end = 0;
    return q;
}

static struct mark queue_mark(struct task *t, const struct queue *q) {
    struct sv value = arena_fmt(&t->arena, "%lld:%lld:%s", (long long)q->first, (long long)q->end, t->job.id);
    return (struct mark){.key = q->key, .expect = q->seen, .value = value, .lifetime_ms = t->config->identity_lifetime_ms};
}

static struct sv request_key(struct arena *a, struct sv name, int64_t n) {
    return arena_fmt(a, "waiting:" SV_FMT ":%lld", SV_ARG(name), (long long)n);
}

// A request is alone in its webhook.
static size_t names_of(struct task *t, struct sv ret[WAITING_NAMES_MAX]) {
    const struct decoded *d = &t->decoded;
    if (d->restocked)
        return waiting_names(&t->arena, d->restocked, ret);
    bool asks = d->count == 1 && d->events[0].name == EVENT_BACK_IN_STOCK_REQUESTED;
    return asks ? waiting_names(&t->arena, &d->events[0], ret) : 0;
}

struct lookup *wait_queues_wanted(struct task *t, size_t *ret_count) {
    struct sv names[WAITING_NAMES_MAX];
    size_t n = names_of(t, names);
    struct lookup *asked = n > 0 ? ARENA_ARRAY(&t->arena, struct lookup, n) : NULL;
    for (size_t i = 0; i < n; i++)
        asked[i] = (struct lookup){.shop = t->job.shop, .key = queue_key(&t->arena, names[i]), .mark = true};
    *ret_count = n;
    return asked;
}

void wait_join(struct task *t) {
    struct sv names[WAITING_NAMES_MAX];
    t->waiting.count = names_of(t, names);
    for (size_t i = 0; i < t->waiting.count; i++) {
        struct sv key = t->asked[i].key;
        struct queue q = queue_of(key, sv_first(queued_mark(t, key), t->asked[i].ret));
        t->waiting.requests[i] = (struct remembered){request_key(&t->arena, names[i], q.end++), t->job.body, t->config->identity_lifetime_ms};
        if (q.end - q.first > QUEUE_MOST)
            q.first = q.end - QUEUE_MOST;
        t->waiting.marks[i] = queue_mark(t, &q);
    }
    FAILPOINT("wait.joins");
}

// The queues are those of the store: a request that is only on its way there is not to be had yet.
struct lookup *wait_requests_wanted(struct task *t, size_t *ret_count) {
    struct sv names[WAITING_NAMES_MAX];
    for (size_t i = 0, n = names_of(t, names); i < n; i++) {
        struct queue q = queue_of(t->asked[i].key, t->asked[i].ret);
        if (q.first >= q.end)
            continue;
        size_t count = q.end - q.first < BATCH_MOST ? (size_t)(q.end - q.first) : BATCH_MOST;
        struct lookup *asked = ARENA_ARRAY(&t->arena, struct lookup, count);
        for (size_t k = 0; k < count; k++)
            asked[k] = (struct lookup){.shop = t->job.shop, .key = request_key(&t->arena, names[i], q.first++)};
        t->waiting.marks[0] = queue_mark(t, &q);
        *ret_count = count;
        return asked;
    }
    return NULL;
}

// A request that has expired, or cannot be read any more, is passed over.
enum rc wait_answer(struct task *t, struct err *e) {
    struct delivery deliveries[BATCH_MOST];
    enum accepted accepted[BATCH_MOST] = {0};
    struct arena a;
    size_t n = 0;
    arena_init(&a, BATCH_MEMORY);
    for (size_t i = 0; i < t->asked_count; i++) {
        struct part part;
        if (t->asked[i].ret.p && waiting_answer(&a, t->shop, t->decoded.restocked, t->asked[i].ret, &part))
            deliveries[n++] = delivery_of(&a, t->shop, &source_events, &part, clock_wall_ms());
    }
    enum rc rc = arena_ok(&a) ? RC_OK : err_set(e, RC_TOO_LARGE, "the requests of those who wait take more memory than they may");
    if (rc == RC_OK && n > 0)
        rc = store_accept(t->dispatch->given.store, deliveries, n, accepted, e);
    arena_free(&a);
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        t->waiting.answered += accepted[i] == ACCEPTED_NEW;
    t->waiting.count = rc == RC_OK;
    FAILPOINT("wait.answered");
    t->dispatch->claim_at_ms = 0;  // there is work that nobody has been woken for
    return rc;
}
