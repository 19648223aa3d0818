// dispatch_wait.c: people who wait for something to be in stock again. Nothing in a stock webhook says who they are: they asked
// before, by an event of their own, and the store keeps a queue of these requests for each variant.
//   mark  waiting:<name>      "<first>:<end>:<job>": which numbers are in the queue; the job that changed it last makes each value
//                             another one, so that two who saw the same cannot both be taken for having changed it
//   state waiting:<name>:<n>  the request of that number, as it came
// A webhook turns the requests of its queues into events of their own, some at a time: they are accepted, and then the mark is moved
// past them with the change that keeps the lease. A crash in between accepts them once more, as duplicates.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "server/delivery.h"

#define QUEUE_MOST 10000
#define BATCH_MOST 50
#define BATCH_BYTES ((size_t)1 << 20)  // of requests, before a batch is full
#define BATCH_MEMORY ((size_t)256 << 20)

struct queue {
    struct sv key, seen;  // of its mark
    int64_t first, end;
};

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

// queued: as the next commit leaves it; a request in there is not to be had yet.
static enum rc queue_read(struct task *t, struct sv name, bool queued, struct queue *ret, struct err *e) {
    struct sv first, end, rest, key = arena_fmt(&t->arena, "waiting:" SV_FMT, SV_ARG(name));
    enum rc rc = RC_OK;
    *ret = (struct queue){.key = key, .seen = queued ? queued_mark(t, key) : SV_NONE};
    if (!ret->seen.p)
        rc = store_mark_get(t->dispatch->given.store, &t->arena, t->job.shop, key, &ret->seen, e);
    sv_cut(ret->seen, ':', &first, &rest);
    sv_cut(rest, ':', &end, &rest);
    if (rc == RC_OK && ret->seen.p && (!sv_i64(first, &ret->first) || !sv_i64(end, &ret->end)))
        ret->first = ret->end = 0;
    return rc;
}

static struct mark queue_mark(struct task *t, const struct queue *q) {
    struct sv value = arena_fmt(&t->arena, "%lld:%lld:%s", (long long)q->first, (long long)q->end, t->job.id);
    return (struct mark){.key = q->key, .expect = q->seen, .value = value, .lifetime_ms = t->config->identity_lifetime_ms};
}

static struct sv entry_key(struct arena *a, struct sv name, int64_t n) {
    return arena_fmt(a, "waiting:" SV_FMT ":%lld", SV_ARG(name), (long long)n);
}

enum rc wait_join(struct task *t, const struct event *event, struct err *e) {
    struct sv names[WAITING_NAMES_MAX];
    size_t n = event->name == EVENT_BACK_IN_STOCK_REQUESTED ? waiting_names(&t->arena, event, names) : 0;
    t->waiting.count = 0;
    for (size_t i = 0; i < n; i++) {
        struct queue q;
        enum rc rc = queue_read(t, names[i], true, &q, e);
        if (rc != RC_OK)
            return rc;
        t->waiting.requests[i] = (struct remembered){entry_key(&t->arena, names[i], q.end++), t->job.body, t->config->identity_lifetime_ms};
        if (q.end - q.first > QUEUE_MOST)
            q.first = q.end - QUEUE_MOST;
        t->waiting.marks[i] = queue_mark(t, &q);
    }
    t->waiting.count = n;  // all of them, or none
    return RC_OK;
}

// answer: request n as a delivery. *ret_bytes 0: there is none any more, or none that can be read.
static enum rc answer(struct task *t, struct arena *a, struct sv name, int64_t n, struct delivery *ret, size_t *ret_bytes, struct err *e) {
    struct sv request = SV_NONE;
    struct part part;
    enum rc rc = store_state_get(t->dispatch->given.store, a, t->job.shop, entry_key(a, name, n), &request, e);
    *ret_bytes = 0;
    if (rc == RC_UNAVAILABLE || rc == RC_IO)
        return rc;
    if (rc != RC_OK || !request.p || !waiting_answer(a, t->shop, t->decoded.restocked, request, &part))
        return RC_OK;
    *ret = delivery_of(a, t->shop, &source_events, &part, clock_wall_ms());
    *ret_bytes = request.n;
    return RC_OK;
}

static enum rc answer_batch(struct task *t, struct arena *a, struct sv name, struct queue *io, struct err *e) {
    struct delivery deliveries[BATCH_MOST];
    enum accepted accepted[BATCH_MOST];
    size_t n = 0, bytes = 0, more;
    for (; io->first < io->end && n < BATCH_MOST && bytes < BATCH_BYTES; io->first++) {
        enum rc rc = answer(t, a, name, io->first, &deliveries[n], &more, e);
        if (rc != RC_OK)
            return rc;
        n += more > 0;
        bytes += more;
    }
    if (!arena_ok(a))
        return err_set(e, RC_TOO_LARGE, "the requests of those who wait take more memory than they may");
    enum rc rc = n > 0 ? store_accept(t->dispatch->given.store, deliveries, n, accepted, e) : RC_OK;
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        t->told += accepted[i] == ACCEPTED_NEW;
    t->dispatch->claim_at_ms = 0;  // there is work that nobody has been woken for
    return rc;
}

enum rc wait_answer(struct task *t, bool *ret_more, struct err *e) {
    struct sv names[WAITING_NAMES_MAX];
    size_t n = waiting_names(&t->arena, t->decoded.restocked, names);
    *ret_more = false;
    for (size_t i = 0; i < n; i++) {
        struct queue q;
        struct arena batch;
        enum rc rc = queue_read(t, names[i], false, &q, e);
        if (rc != RC_OK)
            return rc;
        if (q.first >= q.end)
            continue;
        arena_init(&batch, BATCH_MEMORY);
        rc = answer_batch(t, &batch, names[i], &q, e);
        arena_free(&batch);
        t->waiting.marks[0] = queue_mark(t, &q);
        t->waiting.count = rc == RC_OK;
        *ret_more = true;
        return rc;
    }
    return RC_OK;
}
