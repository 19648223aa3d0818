// dispatch.c: the dispatcher's thread. A turn takes what has happened (answers, fresh jobs), looks up
// what they want to know in one go, makes one commit of it, starts the
// requests that this allows, and sleeps until the next thing happens. While the store is away, nothing is claimed and
// nothing new is sent; the changes wait and are committed as they are when it is back.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define TASK_BYTES_MOST ((size_t)256 << 20)
#define CLAIM_BYTES_MOST ((size_t)1 << 30)
#define IDLE_MS 1000              // how long work that only another process knows of may wait
#define IDLE_SHARED_MS 100        // ... where several processes share a store
#define EMPTY_CLAIM_MS 5
#define STORE_RETRY_LEAST_MS 50
#define STORE_RETRY_MOST_MS 2000

bool dispatch_stopping(const struct dispatch *d) {
    return atomic_load(&d->stop_at_ms) != 0;
}

// ---- tasks

void dispatch_change(struct task *t, struct change c) {
    struct batch *b = &t->dispatch->queued;
    c.job = &t->job;
    b->tasks[b->n] = t;
    b->changes[b->n++] = c;
}

void dispatch_ask(struct task *t, struct lookup *asked, size_t n, void (*told)(struct task *t)) {
    struct dispatch *d = t->dispatch;
    size_t wanted = 0;
    for (size_t i = 0; i < n; i++)
        wanted += asked[i].key.p != NULL;
    t->asked = asked;
    t->asked_count = n;
    if (wanted == 0 || !arena_ok(&t->arena)) {
        told(t);
        return;
    }
    t->told = told;
    d->asking[d->asking_count++] = t;
}

void dispatch_ended(struct task *t) {
    struct dispatch *d = t->dispatch;
    struct arena arena = t->arena;
    t->work->held--;
    config_drop(t->config);
    arena_reset(&arena);
    *t = (struct task){.dispatch = d, .arena = arena, .next = d->free};
    d->free = t;
    d->active--;
    d->claim_at_ms = 0;  // a place is free, and the lane may have more
}

static void begin(struct dispatch *d, const struct job *job, int64_t lease_from_ms) {
    struct task *t = d->free;
    struct shop_work *w = shops_find(d, job->shop);
    if (!t || !w)  // a store that gives more than was asked for; the lease ends by itself
        return;
    d->free = t->next;
    d->active++;
    w->held++;
    w->got++;
    t->next = NULL;
    t->work = w;
    t->lease_from_ms = lease_from_ms;
    t->config = config_take(d->config);
    t->shop = config_shop(t->config, job->shop);
    t->job = *job;
    struct sv *texts[] = {&t->job.shop, &t->job.source, &t->job.topic, &t->job.body, &t->job.plan, &t->job.progress, &t->job.unreadable};
    for (size_t i = 0; i < COUNTOF(texts); i++)
        *texts[i] = arena_dup(&t->arena, *texts[i]);
    task_begin(t);
}

// ---- the store

// store_answered keeps track of whether the store works; one line in the log when that changes, or why it does not.
bool store_answered(struct dispatch *d, enum rc rc, const struct err *e) {
    if (rc == RC_OK) {
        if (d->retry_delay_ms > 0)
            log_info("the store is back");
        d->retry_delay_ms = d->retry_at_ms = 0;
        d->store_rc = RC_OK;
        return true;
    }
    if (rc != d->store_rc)
        log_error("nothing is sent until the store is back: %s", e->text);
    d->store_rc = rc;
    int64_t delay = d->retry_delay_ms * 2;
    d->retry_delay_ms = delay < STORE_RETRY_LEAST_MS ? STORE_RETRY_LEAST_MS : delay > STORE_RETRY_MOST_MS ? STORE_RETRY_MOST_MS : delay;
    d->retry_at_ms = clock_mono_ms() + d->retry_delay_ms;
    return false;
}

static void claim(struct dispatch *d) {
    struct job *jobs = NULL;
    size_t count = 0, n = shops_share(d);
    int64_t next_due_ms = INT64_MAX, now = clock_mono_ms();
    int64_t idle = sv_starts(d->config->store, SV("redis")) ? IDLE_SHARED_MS : IDLE_MS;
    struct err e = {0};
    d->claim_at_ms = now + idle;
    if (n == 0)
        return;
    FAILPOINT("claim.before");
    enum rc rc = store_claim(d->given.store, &d->arena, d->claims, n, LEASE_MS, &jobs, &count, &next_due_ms, &e);
    d->claim_most = rc == RC_OK ? d->given.in_flight : rc == RC_TOO_LARGE ? d->claim_most / 4 + 1 : d->claim_most;
    if (store_answered(d, rc, &e)) {
        for (size_t i = 0; i < count; i++) {
            FAILPOINT("claim.after");
            begin(d, &jobs[i], now);
        }
        shops_claimed(d, n);
        int64_t least = count == 0 ? EMPTY_CLAIM_MS : 0;
        d->claim_at_ms = now + (next_due_ms < least ? least : next_due_ms > idle ? idle : next_due_ms);
    }
    arena_reset(&d->arena);
}

static void batch_reached(const struct batch *b, const char *when) {
    static const char *const kinds[] = {
        [CHANGE_RECORD] = "record", [CHANGE_RETRY] = "retry",   [CHANGE_HOLD] = "hold",
        [CHANGE_ASIDE] = "aside",   [CHANGE_FINISH] = "finish", [CHANGE_RELEASE] = "release",
    };
    for (size_t i = 0; i < b->n; i++)
        FAILPOINT_OF(kinds[b->changes[i].kind], when);
}

// gather and spread: the questions of all tasks in one array, and back with their answers.
static struct lookup *gather(struct dispatch *d, size_t *ret_count) {
    size_t n = 0;
    for (size_t i = 0; i < d->asking_count; i++)
        n += d->asking[i]->asked_count;
    struct lookup *all = ARENA_ARRAY(&d->arena, struct lookup, n);
    *ret_count = n;
    n = 0;
    for (size_t i = 0; i < d->asking_count; i++)
        for (size_t k = 0; k < d->asking[i]->asked_count; k++)
            all[n++] = d->asking[i]->asked[k];
    return all;
}

static void spread(struct dispatch *d, const struct lookup *all) {
    for (size_t i = 0; i < d->asking_count; i++) {
        struct task *t = d->asking[i];
        for (size_t k = 0; k < t->asked_count; k++)
            t->asked[k].ret = arena_dup(&t->arena, (all++)->ret);
    }
}

// What the tasks want to know, in one go, until nobody wants to know more. While the store is away they wait.
void dispatch_look_up(struct dispatch *d) {
    bool works = true;
    while (d->asking_count > 0 && works) {
        size_t n;
        struct err e = {0};
        struct lookup *all = gather(d, &n);
        works = store_answered(d, store_look_up(d->given.store, &d->arena, all, n, &e), &e);
        if (works) {
            struct task **told = d->asking;
            size_t count = d->asking_count;
            spread(d, all);
            d->asking = d->telling;
            d->telling = told;
            d->asking_count = 0;
            for (size_t i = 0; i < count; i++) {
                void (*go_on)(struct task *t) = told[i]->told;
                told[i]->told = NULL;
                go_on(told[i]);
            }
        }
        arena_reset(&d->arena);
    }
}

// commit: what happened, in one go; the tasks go on from what is now durable. Their next changes are for the next turn.
static void commit(struct dispatch *d) {
    struct batch batch = d->queued;
    struct err e = {0};
    int64_t sent_ms = clock_mono_ms();
    batch_reached(&batch, "before");
    if (batch.n == 0 || !store_answered(d, store_commit(d->given.store, batch.changes, batch.n, &e), &e))
        return;
    batch_reached(&batch, "after");
    d->queued = d->sent;
    d->sent = batch;
    for (size_t i = 0; i < batch.n; i++)
        task_confirmed(batch.tasks[i], &batch.changes[i], sent_ms);
    d->sent.n = 0;
}

// wake: after the commit, so that lanes which were put back only now are woken too.
static void wake(struct dispatch *d) {
    struct err e = {0};
    for (size_t i = 0; i < d->shop_count; i++) {
        struct shop_work *w = d->shops[i];
        if (!w->wake || !store_answered(d, store_wake(d->given.store, sv_of(w->name), &e), &e))
            continue;
        w->wake = false;
        d->claim_at_ms = 0;
    }
}

// ---- the thread

static int64_t sleep_ms(const struct dispatch *d) {
    int64_t now = clock_mono_ms(), until = now + IDLE_MS;
    bool room = d->active < d->given.in_flight && !dispatch_stopping(d);
    int64_t stop_at_ms = atomic_load(&d->stop_at_ms);
    if (stop_at_ms != 0 && stop_at_ms < until)
        until = stop_at_ms;
    if (d->retry_at_ms > 0)
        until = d->retry_at_ms < until ? d->retry_at_ms : until;
    else if (d->queued.n > 0 || d->asking_count > 0 || d->wanting_count > 0)
        return 0;
    else if (room && d->claim_at_ms < until)
        until = d->claim_at_ms;
    if (d->retry_at_ms == 0 && bulk_due_ms(d) < until)
        until = bulk_due_ms(d);
    return until > now ? until - now : 0;
}

static void turn(struct dispatch *d) {
    http_client_run(d->http, sleep_ms(d));
    if (atomic_exchange(&d->woken, false))
        d->claim_at_ms = 0;
    shops_refresh(d);
    if (atomic_exchange(&d->reloaded, false))
        gates_probe(d);
    if (clock_mono_ms() < d->retry_at_ms)
        return;
    if (!dispatch_stopping(d) && d->active < d->given.in_flight && clock_mono_ms() >= d->claim_at_ms)
        claim(d);
    dispatch_look_up(d);
    commit(d);
    wake(d);
    limits_take(d);
    bulk_look(d);
}

// give_up: the grace is over; requests that are still open may or may not have arrived, so their events are sent again, with the
// same ids, by whoever comes next.
static void give_up(struct dispatch *d) {
    d->asking_count = d->wanting_count = 0;
    bulk_forget(d);
    for (size_t i = 0; i < d->given.in_flight; i++)
        if (d->tasks[i].sending || d->tasks[i].told || d->tasks[i].wants_permit) {
            d->tasks[i].sending = d->tasks[i].wants_permit = false;
            d->tasks[i].told = NULL;
            task_give_back(&d->tasks[i]);
        }
    d->retry_delay_ms = 0;
    while (d->queued.n > 0 && d->retry_delay_ms == 0)
        commit(d);
}

static void *run(void *ctx) {
    struct dispatch *d = ctx;
    shops_refresh(d);
    for (;;) {
        int64_t stop_at_ms = atomic_load(&d->stop_at_ms);
        if (stop_at_ms != 0 && (d->active == 0 || clock_mono_ms() >= stop_at_ms))
            break;
        turn(d);
    }
    if (d->active > 0)
        give_up(d);
    return NULL;
}

static bool batch_init(struct batch *b, size_t n) {
    b->changes = calloc(n, sizeof *b->changes);
    b->tasks = calloc(n, sizeof *b->tasks);
    return b->changes && b->tasks;
}

static void batch_free(struct batch *b) {
    free(b->changes);
    free(b->tasks);
}

static void dispatch_free(struct dispatch *d) {
    http_client_free(d->http);
    bulk_forget(d);
    for (size_t i = 0; d->tasks && i < d->given.in_flight; i++) {
        arena_free(&d->tasks[i].arena);
        config_drop(d->tasks[i].config);
    }
    free(d->tasks);
    free(d->asking);
    free(d->telling);
    free(d->wanting);
    free(d->granting);
    batch_free(&d->queued);
    batch_free(&d->sent);
    arena_free(&d->arena);
    shops_free(d);
    free(d);
}

enum rc dispatch_start(const struct dispatch_config *config, struct dispatch **ret, struct err *e) {
    struct dispatch *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, RC_IO, "out of memory");
    d->given = *config;
    d->claim_most = config->in_flight;
    arena_init(&d->arena, CLAIM_BYTES_MOST);
    d->tasks = calloc(config->in_flight, sizeof *d->tasks);
    for (size_t i = config->in_flight; d->tasks && i-- > 0;) {
        d->tasks[i] = (struct task){.dispatch = d, .next = d->free};
        arena_init(&d->tasks[i].arena, TASK_BYTES_MOST);
        d->free = &d->tasks[i];
    }
    d->asking = calloc(config->in_flight, sizeof *d->asking);
    d->telling = calloc(config->in_flight, sizeof *d->telling);
    d->wanting = calloc(config->in_flight, sizeof *d->wanting);
    d->granting = calloc(config->in_flight, sizeof *d->granting);
    enum rc rc = RC_OK;
    if (!d->tasks || !d->asking || !d->telling || !d->wanting || !d->granting || !batch_init(&d->queued, config->in_flight) || !batch_init(&d->sent, config->in_flight))
        rc = err_set(e, RC_IO, "out of memory");
    else
        rc = http_client_new(&d->http, e);
    if (rc == RC_OK && pthread_create(&d->thread, NULL, run, d) != 0)
        rc = err_set(e, RC_IO, "the dispatcher's thread cannot be started");
    if (rc != RC_OK) {
        dispatch_free(d);
        return rc;
    }
    *ret = d;
    return RC_OK;
}

void dispatch_wake(struct dispatch *d) {
    if (!atomic_exchange(&d->woken, true))
        http_client_wake(d->http);
}

void dispatch_reloaded(struct dispatch *d) {
    atomic_store(&d->reloaded, true);
    http_client_wake(d->http);
}

void dispatch_stop(struct dispatch *d, int64_t grace_ms) {
    atomic_store(&d->stop_at_ms, clock_mono_ms() + grace_ms);
    http_client_wake(d->http);
    pthread_join(d->thread, NULL);
    dispatch_free(d);
}
