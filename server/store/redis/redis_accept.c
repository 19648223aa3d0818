// redis_accept.c: many webhooks into Redis in one round trip.
//
// Whoever finds few on the way to Redis goes there, with all that wait; those who come meanwhile wait, and when one is back the first of them
// goes with all of those. So one script takes what a crowd brings, Redis syncs its file once for it, and a lonely webhook waits for nobody.
// What a batch hears, everybody in it hears: repeated, what was taken is a duplicate.
//
// While Redis is in trouble everybody goes alone: most hear so at once (redis_pool.h), and nobody waits for the one who tries to connect.
#include "base/clock.h"
#include "base/failpoint.h"
#include "server/store/redis/redis_parts.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#define BATCH_MOST 64                       // deliveries of one script: Redis does nothing else meanwhile
#define BATCH_BYTES_MOST ((size_t)4 << 20)  // of their bodies; one is always taken
#define AWAY_MOST 2                         // batches: one is made while Redis works, or syncs, for the other
#define FIXED_ARGS 6                        // lua/accept.lua: the key and ARGV 1 to 5
#define JOB_ARGS 10                         // of each delivery, beside its keys

// A request lives on the stack of the caller, who waits for `woken`.
struct accept_request {
    const struct delivery *d;
    const char *const *ids;
    size_t n;
    enum accepted *ret;
    int64_t deadline_ms;
    bool leads;                      // why it was woken: to go to Redis, or because it has its result
    enum rc rc;
    struct err err;
    sem_t woken;
    struct accept_request *next;
};

struct accept_queue {
    pthread_mutex_t lock;  // of all below
    struct accept_request *first, *last;
    size_t away;           // so many are on the way to Redis
};

// ---- the script's arguments

// hurry_in: how long this one still waits behind a held head. A duration, because the clock of Redis need not be ours.
static int64_t hurry_in(const struct delivery *d) {
    int64_t waited_ms = redis_span(clock_wall_ms() - d->received_ms), most_ms = redis_span(d->max_wait_ms);
    return most_ms > waited_ms ? most_ms - waited_ms : 0;
}

static size_t put_delivery(struct arena *a, const struct delivery *d, const char *id, struct sv *argv) {
    size_t n = 0;
    argv[n++] = sv_of(id);
    argv[n++] = sv_of(redis_state_letters[d->state]);
    argv[n++] = redis_number(a, d->received_ms);
    argv[n++] = redis_number(a, hurry_in(d));
    argv[n++] = d->source;
    argv[n++] = d->topic;
    argv[n++] = d->body;
    argv[n++] = d->reason;
    argv[n++] = redis_number(a, (int64_t)d->key_count);
    argv[n++] = redis_number(a, (int64_t)d->lane_key_count);
    return n;
}

// A delivery of a batch, and where to tell what became of it.
struct item {
    const struct delivery *d;
    const char *id;
    enum accepted *ret;
    struct accept_request *request;
    bool taken;      // by a command
    size_t command;
};

// The first key is the id.
static void put_keys(const struct item *const *items, size_t n, struct sv *keys, struct sv *lane_keys) {
    for (size_t i = 0; i < n; i++) {
        const struct delivery *d = items[i]->d;
        *keys++ = sv_of(items[i]->id);
        for (size_t k = 1; k < d->key_count; k++)
            *keys++ = d->keys[k];
        for (size_t k = 0; k < d->lane_key_count; k++)
            *lane_keys++ = d->lane_keys[k];
    }
}

static struct redis_command command_of(const struct engine *s, struct arena *a, struct sv shop, const struct item *const *items, size_t n) {
    size_t keys = 0, lane_keys = 0, argc = 0;
    for (size_t i = 0; i < n; i++) {
        keys += items[i]->d->key_count;
        lane_keys += items[i]->d->lane_key_count;
    }
    struct sv *argv = ARENA_ARRAY(a, struct sv, FIXED_ARGS + keys + lane_keys + n * JOB_ARGS);
    argv[argc++] = redis_shop_key(a, shop);
    argv[argc++] = redis_number(a, IDEMPOTENCY_LIFETIME_MS);
    argv[argc++] = redis_number(a, LANE_LIFETIME_MS);
    argv[argc++] = s->retention_ms;
    argv[argc++] = redis_number(a, (int64_t)keys);
    argv[argc++] = redis_number(a, (int64_t)lane_keys);
    put_keys(items, n, &argv[argc], &argv[argc + keys]);
    argc += keys + lane_keys;
    for (size_t i = 0; i < n; i++)
        argc += put_delivery(a, items[i]->d, items[i]->id, &argv[argc]);
    return (struct redis_command){.script = &s->scripts[ACCEPT], .argv = argv, .argc = argc};
}

// command_for takes the items of one shop from the first on, in their order, as many as one script may have.
static struct redis_command command_for(const struct engine *s, struct arena *a, struct item *items, size_t n, size_t command) {
    const struct item *taken[BATCH_MOST];
    struct sv shop = items[0].d->shop;
    size_t bytes = 0, count = 0;
    for (size_t i = 0; i < n && count < BATCH_MOST && bytes < BATCH_BYTES_MOST; i++) {
        if (items[i].taken || !sv_eq(items[i].d->shop, shop))
            continue;
        items[i].taken = true;
        items[i].command = command;
        bytes += items[i].d->body.n;
        taken[count++] = &items[i];
    }
    return command_of(s, a, shop, taken, count);
}

// ---- a batch

static size_t items_of(struct arena *a, struct accept_request *const *batch, size_t requests, struct item **ret) {
    size_t n = 0;
    for (size_t i = 0; i < requests; i++)
        n += batch[i]->n;
    *ret = ARENA_ARRAY(a, struct item, n);
    n = 0;
    for (size_t i = 0; i < requests; i++)
        for (size_t j = 0; j < batch[i]->n; j++)
            (*ret)[n++] = (struct item){.d = &batch[i]->d[j], .id = batch[i]->ids[j], .ret = &batch[i]->ret[j], .request = batch[i]};
    return n;
}

static void fail(struct accept_request *r, enum rc rc, const struct err *e) {
    if (r->rc != RC_OK)
        return;
    r->rc = rc;
    r->err = *e;
}

// tell: what the script that took an item says of it. place: the item is so far behind the script's first.
static void tell(const struct item *item, const struct redis_reply *reply, size_t place) {
    struct err e = {0};
    enum rc rc = redis_failed(reply, &e);
    if (rc == RC_OK && (reply->kind != REPLY_TEXT || place >= reply->text.n))
        rc = redis_odd_answer("accept", &e);
    if (rc == RC_OK)
        *item->ret = reply->text.p[place] == '1' ? ACCEPTED_NEW : ACCEPTED_DUPLICATE;
    else
        fail(item->request, rc, &e);
}

static void run_batch(struct engine *s, struct accept_request *const *batch, size_t requests) {
    struct arena a;
    struct item *items;
    struct err e = {0};
    arena_init(&a, SCRATCH_MEMORY);
    size_t n = items_of(&a, batch, requests, &items), count = 0;
    struct redis_command *commands = ARENA_ARRAY(&a, struct redis_command, n + 2);
    size_t *places = ARENA_ARRAY(&a, size_t, n);
    for (size_t i = 0; i < n; i++)
        if (!items[i].taken)
            commands[count] = command_for(s, &a, &items[i], n - i, count), count++;
    enum rc rc = redis_keep(s, &a, commands, count, items[0].d->shop, batch[0]->deadline_ms, &e);
    FAILPOINT("redis.accept.answered");
    for (size_t i = 0; i < n; i++)
        if (rc == RC_OK)
            tell(&items[i], &commands[items[i].command].reply, places[items[i].command]++);
        else
            fail(items[i].request, rc, &e);
    arena_free(&a);
}

// ---- who goes

static struct accept_request *pop(struct accept_queue *q) {  // with the lock; NULL: nobody waits
    struct accept_request *r = q->first;
    if (r)
        q->first = r->next;
    return r;
}

static void wake(struct accept_request *r) {
    sem_post(&r->woken);  // from here on it is gone
}

// lead: self is in no queue any more, and is older than who is.
static void lead(struct engine *s, struct accept_request *self) {
    struct accept_queue *q = s->queue;
    struct accept_request *batch[BATCH_MOST] = {self}, *next;
    size_t n = 1;
    pthread_mutex_lock(&q->lock);
    for (size_t deliveries = self->n; q->first && deliveries < BATCH_MOST; deliveries += batch[n - 1]->n)
        batch[n++] = pop(q);
    pthread_mutex_unlock(&q->lock);
    run_batch(s, batch, n);
    pthread_mutex_lock(&q->lock);
    next = pop(q);
    q->away -= !next;
    pthread_mutex_unlock(&q->lock);
    if (next) {
        next->leads = true;
        wake(next);
    }
    for (size_t i = 1; i < n; i++)
        wake(batch[i]);
}

// enter: true: r goes; false: it waits, because enough are on the way.
static bool enter(struct accept_queue *q, struct accept_request *r) {
    pthread_mutex_lock(&q->lock);
    bool leads = q->away < AWAY_MOST;
    if (leads)
        q->away++;
    else if (q->first)
        q->last = q->last->next = r;
    else
        q->first = q->last = r;
    pthread_mutex_unlock(&q->lock);
    return leads;
}

// await: true: r goes after all; false: it was taken along, and has its result. Nobody else touches r from here on.
static bool await(struct accept_request *r) {
    while (sem_wait(&r->woken) != 0 && errno == EINTR)
        ;
    return r->leads;
}

enum rc redis_accept(struct engine *s, const struct delivery *d, const char *const *ids, size_t n, enum accepted *ret, struct err *e) {
    struct accept_request r = {.d = d, .ids = ids, .n = n, .ret = ret, .deadline_ms = redis_deadline_ms()};
    if (redis_in_trouble(s->redis)) {
        run_batch(s, (struct accept_request *[]){&r}, 1);
    } else {
        sem_init(&r.woken, 0, 0);
        if (enter(s->queue, &r) || await(&r))
            lead(s, &r);
        sem_destroy(&r.woken);
    }
    return r.rc == RC_OK ? RC_OK : err_set(e, r.rc, "%s", r.err.text);
}

struct accept_queue *redis_accept_queue(void) {
    struct accept_queue *q = calloc(1, sizeof *q);
    if (q)
        pthread_mutex_init(&q->lock, NULL);
    return q;
}

void redis_accept_queue_free(struct accept_queue *q) {
    if (!q)
        return;
    pthread_mutex_destroy(&q->lock);
    free(q);
}
