// dispatch_round.c: what the dispatcher wants of the store goes there in rounds: the changes that have come together, then the questions,
// then a claim. While requests are open a round has a thread of its own, so that answers are taken and requests are made while the store
// packs, seals and syncs; one round is under way at a time, and what comes up meanwhile goes with the next one. A task goes on only when
// its round has ended, which is on the dispatcher's thread: nothing is sent before the change that precedes it is durable. Until then
// nobody touches it.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "base/failpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_BYTES_MOST ((size_t)1 << 30)
#define CLAIM_MOST 32             // jobs in one claim: those that wait to be planned are in memory as a whole
#define LARGE_MOST 192            // jobs being planned, with which nothing more is claimed: three claims, with as many again of what came lately
#define IDLE_MS 1000              // how long work that only another process knows of may wait
#define IDLE_SHARED_MS 100        // ... where several processes share a store
#define EMPTY_CLAIM_MS 5

// ---- on its thread

static void work(struct round *r) {
    store_round(r->store, &r->arena, &r->wanted);
    r->woken = r->wanted.committed;
    for (size_t i = 0; i < r->wake_count && r->woken == RC_OK; i++)  // after the changes, so that lanes which were put back by them are woken too
        r->woken = store_wake(r->store, r->wakes[i], &r->wanted.err);
}

static void *run(void *ctx) {
    struct round *r = ctx;
    for (;;) {
        while (sem_wait(&r->begun) != 0 && errno == EINTR)
            ;
        if (r->closing)
            return NULL;
        work(r);
        sem_post(&r->ended);
        http_client_wake(r->http);
    }
}

// ---- what goes with it

static void take_questions(struct dispatch *d, struct round *r) {
    struct task **asking = d->asking;
    size_t n = 0;
    d->asking = d->telling;
    d->telling = asking;
    r->task_count = d->asking_count;
    d->asking_count = 0;
    for (size_t i = 0; i < r->task_count; i++)
        n += asking[i]->asked_count;
    r->wanted.asked = ARENA_ARRAY(&r->arena, struct lookup, n);
    for (size_t i = 0; i < r->task_count; i++)
        for (size_t k = 0; k < asking[i]->asked_count; k++)
            r->wanted.asked[r->wanted.asked_count++] = asking[i]->asked[k];
}

static void take_changes(struct dispatch *d, struct round *r) {
    struct batch batch = d->queued;
    d->queued = d->sent;
    d->sent = batch;
    r->wanted.changes = batch.changes;
    r->wanted.change_count = batch.n;
}

static void take_wakes(struct dispatch *d, struct round *r) {
    r->wakes = ARENA_ARRAY(&r->arena, struct sv, d->shop_count);
    r->wake_count = 0;
    for (size_t i = 0; i < d->shop_count; i++) {
        if (d->shops[i]->wake) {
            r->wakes[r->wake_count++] = sv_of(d->shops[i]->name);
            limits_requeue(d->shops[i]);
            gates_requeue(d->shops[i]);
        }
        d->shops[i]->waking = d->shops[i]->wake;
        d->shops[i]->wake = false;
    }
}

static int64_t idle_ms(const struct dispatch *d) {
    return sv_starts(d->config->store, SV("redis")) ? IDLE_SHARED_MS : IDLE_MS;
}

// finished: tasks that end with this batch, whatever others did meanwhile.
static size_t finished(const struct batch *b) {
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += b->changes[i].kind == CHANGE_FINISH && b->changes[i].mark_count == 0;
    return n;
}

bool round_may_claim(const struct dispatch *d, size_t leaving) {
    return !dispatch_stopping(d) && d->active - leaving < d->places && d->large_count < LARGE_MOST;
}

static void take_claims(struct dispatch *d, struct round *r) {
    size_t leaving = finished(&d->sent);
    if (!d->config || clock_mono_ms() < d->claim_at_ms || !round_may_claim(d, leaving))
        return;
    d->active -= leaving;  // they make room for what is claimed
    size_t n = shops_share(d);
    d->active += leaving;
    struct claim *claims = ARENA_ARRAY(&r->arena, struct claim, n);
    memcpy(claims, d->claims, n * sizeof *claims);
    r->wanted.claims = claims;
    r->wanted.claim_count = n;
    r->wanted.lease_ms = LEASE_MS;
    d->claim_at_ms = r->begun_ms + idle_ms(d);
}

static void batch_reached(const struct batch *b, const char *when) {
    static const char *const kinds[] = {
        [CHANGE_RECORD] = "record", [CHANGE_RETRY] = "retry",   [CHANGE_HOLD] = "hold",
        [CHANGE_ASIDE] = "aside",   [CHANGE_FINISH] = "finish", [CHANGE_RELEASE] = "release",
    };
    for (size_t i = 0; i < b->n; i++)
        FAILPOINT_OF(kinds[b->changes[i].kind], when);
}

// gather: false when there is nothing to ask the store for.
static bool gather(struct dispatch *d) {
    struct round *r = &d->round;
    r->store = d->given.store;
    r->begun_ms = clock_mono_ms();
    r->wanted = (struct store_round){0};
    take_changes(d, r);
    take_wakes(d, r);
    take_questions(d, r);
    take_claims(d, r);
    batch_reached(&d->sent, "before");
    if (r->wanted.claim_count > 0)
        FAILPOINT("claim.before");
    return r->wanted.change_count + r->wake_count + r->task_count + r->wanted.claim_count > 0;
}

// ---- what came of it

// again: what was not done goes with the next round, before what has come up since.
static void change_again(struct dispatch *d) {
    struct batch merged = d->sent;
    memcpy(merged.changes + merged.n, d->queued.changes, d->queued.n * sizeof *merged.changes);
    memcpy(merged.tasks + merged.n, d->queued.tasks, d->queued.n * sizeof *merged.tasks);
    merged.n += d->queued.n;
    d->sent = d->queued;
    d->sent.n = 0;
    d->queued = merged;
}

static void ask_again(struct dispatch *d, const struct round *r) {
    for (size_t i = 0; i < r->task_count; i++)
        d->asking[d->asking_count++] = d->telling[i];
}

static void wake_again(struct dispatch *d) {
    for (size_t i = 0; i < d->shop_count; i++)
        d->shops[i]->wake |= d->shops[i]->waking;
}

// by_age: not only what became due lately was claimed.
static bool by_age(const struct round *r) {
    for (size_t i = 0; i < r->wanted.claim_count; i++)
        if (r->wanted.claims[i].max > 0)
            return true;
    return false;
}

static void confirm(struct dispatch *d, const struct round *r) {
    batch_reached(&d->sent, "after");
    bool was_full = d->active == d->places;
    for (size_t i = 0; i < d->sent.n; i++) {
        const struct change *c = &d->sent.changes[i];
        bool claimed_too = (c->kind == CHANGE_FINISH || c->kind == CHANGE_ASIDE) && by_age(r) && !was_full;
        task_confirmed(d->sent.tasks[i], c, r->begun_ms);
        if (c->kind != CHANGE_RECORD && !claimed_too)
            d->claim_at_ms = 0;  // a place is free, and the lane may have more
    }
    d->sent.n = 0;
}

static void tell(struct dispatch *d, const struct round *r) {
    const struct lookup *answer = r->wanted.asked;
    for (size_t i = 0; i < r->task_count; i++) {
        struct task *t = d->telling[i];
        void (*go_on)(struct task *t) = t->told;
        for (size_t k = 0; k < t->asked_count; k++)
            t->asked[k].ret = arena_dup(&t->arena, (answer++)->ret);
        t->told = NULL;
        go_on(t);
    }
}

static void begin(struct dispatch *d, const struct round *r) {
    for (size_t i = 0; i < r->wanted.job_count; i++) {
        FAILPOINT("claim.after");
        dispatch_begin(d, &r->wanted.jobs[i], r->begun_ms);
    }
    shops_claimed(d, r->wanted.claim_count);
    d->claim_most = d->current_count > CLAIM_MOST ? d->current_count : CLAIM_MOST;  // no shop is left out
    if (!by_age(r) && r->wanted.job_count == 0)
        return;  // the window is full, but for what comes; whoever brings that wakes us
    int64_t idle = idle_ms(d), least = r->wanted.job_count == 0 ? EMPTY_CLAIM_MS : 0;
    int64_t due_ms = r->wanted.next_due_ms, wait = due_ms < least ? least : due_ms > idle ? idle : due_ms;
    if (r->begun_ms + wait < d->claim_at_ms)
        d->claim_at_ms = r->begun_ms + wait;
}

static void put_off_claim(struct dispatch *d, const struct round *r) {
    if (r->wanted.claimed == RC_TOO_LARGE)
        d->claim_most = d->claim_most / 4 + 1;
    d->claim_at_ms = d->retry_at_ms;
}

static enum rc first_of(enum rc a, enum rc b) {
    return a != RC_OK ? a : b;
}

static void spread(struct dispatch *d) {
    struct round *r = &d->round;
    const struct store_round *w = &r->wanted;
    store_answered(d, first_of(first_of(w->committed, w->told), first_of(w->claimed, r->woken)), &w->err);
    if (w->committed == RC_OK)
        confirm(d, r);
    else
        change_again(d);
    if (w->told == RC_OK)
        tell(d, r);
    else
        ask_again(d, r);
    if (w->claim_count > 0 && w->claimed == RC_OK)
        begin(d, r);
    else if (w->claim_count > 0)
        put_off_claim(d, r);
    if (r->woken != RC_OK)
        wake_again(d);
    else if (r->wake_count > 0)
        d->claim_at_ms = 0;
    arena_reset(&r->arena);
}

// ---- the round

// While no request is open there is nothing that it would hold up, and two switches of threads are saved.
void round_begin(struct dispatch *d) {
    struct round *r = &d->round;
    if (r->under_way || clock_mono_ms() < d->retry_at_ms || !gather(d))
        return;
    if (http_client_open_calls(d->http) == 0) {
        work(r);
        spread(d);
        return;
    }
    r->under_way = true;
    sem_post(&r->begun);
}

bool round_end(struct dispatch *d, bool wait) {
    struct round *r = &d->round;
    if (!r->under_way)
        return false;
    while ((wait ? sem_wait(&r->ended) : sem_trywait(&r->ended)) != 0)
        if (errno != EINTR)
            return false;
    r->under_way = false;
    spread(d);
    return true;
}

bool round_here(struct dispatch *d) {
    if (!gather(d))
        return false;
    work(&d->round);
    spread(d);
    return d->store_rc == RC_OK;
}

enum rc round_open(struct dispatch *d, struct err *e) {
    struct round *r = &d->round;
    arena_init(&r->arena, ROUND_BYTES_MOST);
    r->http = d->http;
    d->claim_most = CLAIM_MOST;
    sem_init(&r->begun, 0, 0);
    sem_init(&r->ended, 0, 0);
    if (pthread_create(&r->thread, NULL, run, r) != 0)
        return err_set(e, RC_IO, "the dispatcher's thread cannot be started");
    r->open = true;
    return RC_OK;
}

void round_close(struct dispatch *d) {
    struct round *r = &d->round;
    if (r->open) {
        r->closing = true;
        sem_post(&r->begun);
        pthread_join(r->thread, NULL);
        sem_destroy(&r->begun);
        sem_destroy(&r->ended);
    }
    arena_free(&r->arena);
}
