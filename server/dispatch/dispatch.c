// dispatch.c: the dispatcher's thread. A turn takes what has happened (answers of destinations, a round with the store that has ended),
// starts the requests that this allows and the next round, and sleeps until the next thing happens. While the store is away, nothing
// is claimed and nothing new is sent; the changes wait and are committed as they are when it is back.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define PERMIT_BYTES_MOST ((size_t)1 << 30)
#define PLACES_MORE 2             // one more place for each so many slots
#define SLEEP_MOST_MS 1000
_Static_assert(HTTP_CONNECTIONS_KEPT >= 2 * IN_FLIGHT_MOST, "one at Meta and one at Klaviyo for each request that may be open");
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
    if (c.kind == CHANGE_FINISH || c.kind == CHANGE_ASIDE)
        t->dispatch->claim_at_ms = 0;  // the lane goes on: its next one is claimed in the same round
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
    keep_end(t);
    slot_give(t);
    t->work->held--;
    config_drop(t->config);
    *t = (struct task){.dispatch = d, .next = d->free};
    d->free = t;
    d->active--;
}

void dispatch_begin(struct dispatch *d, const struct job *job, int64_t lease_from_ms) {
    struct task *t = d->free;
    struct shop_work *w = shops_find(d, job->shop);
    if (!t || !w)  // a store that gives more than was asked for; the lease ends by itself
        return;
    d->free = t->next;
    d->active++;
    w->held++;
    w->got++;
    t->next = NULL;
    keep_begin(t);
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

// ---- the thread

static int64_t sleep_ms(const struct dispatch *d) {
    int64_t now = clock_mono_ms(), until = now + SLEEP_MOST_MS;
    bool room = round_may_claim(d, 0);
    int64_t stop_at_ms = atomic_load(&d->stop_at_ms);
    if (stop_at_ms != 0 && stop_at_ms < until)
        until = stop_at_ms;
    if (d->retry_at_ms == 0 && bulk_due_ms(d) < until)
        until = bulk_due_ms(d);
    if (d->round.under_way)
        return until > now ? until - now : 0;
    if (d->retry_at_ms > now)
        until = d->retry_at_ms < until ? d->retry_at_ms : until;
    else if (d->queued.n > 0 || d->asking_count > 0 || d->wanting_count > 0)
        return 0;
    else if (room && d->claim_at_ms < until)
        until = d->claim_at_ms;
    return until > now ? until - now : 0;
}

// full: nothing can be claimed before an answer comes. Until then whoever brings something new finds the flag set and wakes nobody.
static bool full(const struct dispatch *d) {
    return d->active == d->places && d->queued.n == 0 && !d->round.under_way;
}

static void turn(struct dispatch *d) {
    http_client_run(d->http, sleep_ms(d));
    slots_look(d);
    if (!full(d) && atomic_exchange(&d->woken, false))
        d->claim_at_ms = 0;
    round_end(d, false);
    limits_take(d);
    bulk_look(d);
    if (!d->round.under_way)
        shops_refresh(d);  // a claim is of the shops that it was made for
    round_begin(d);
}

// give_up: the grace is over; requests that are still open may or may not have arrived, so their events are sent again, with the
// same ids, by whoever comes next.
static void give_up(struct dispatch *d) {
    round_end(d, true);
    d->asking_count = d->wanting_count = d->waiting_count = 0;
    bulk_forget(d);
    for (size_t i = 0; i < d->places; i++)
        if (d->tasks[i].sending || d->tasks[i].told || d->tasks[i].wants_permit) {
            d->tasks[i].sending = d->tasks[i].wants_permit = false;
            d->tasks[i].told = NULL;
            task_give_back(&d->tasks[i]);
        }
    d->retry_delay_ms = 0;
    while (d->queued.n > 0 && round_here(d))
        ;
}

static void *run(void *ctx) {
    struct dispatch *d = ctx;
    shops_refresh(d);
    for (;;) {
        int64_t stop_at_ms = atomic_load(&d->stop_at_ms);
        bool idle = d->active == 0 && !d->round.under_way;
        if (stop_at_ms != 0 && (idle || clock_mono_ms() >= stop_at_ms))
            break;
        turn(d);
    }
    if (d->active > 0 || d->round.under_way)
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
    round_close(d);
    http_client_free(d->http);
    bulk_forget(d);
    for (size_t i = 0; d->tasks && i < d->places; i++) {
        keep_end(&d->tasks[i]);
        config_drop(d->tasks[i].config);
    }
    free(d->tasks);
    free(d->asking);
    free(d->telling);
    free(d->wanting);
    free(d->granting);
    free(d->waiting);
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
    d->places = config->in_flight + config->in_flight / PLACES_MORE;
    arena_init(&d->arena, PERMIT_BYTES_MOST);
    d->tasks = calloc(d->places, sizeof *d->tasks);
    for (size_t i = d->places; d->tasks && i-- > 0;) {
        d->tasks[i].dispatch = d;
        d->tasks[i].next = d->free;  // all else stays untouched: a MB that is used only in a crowd
        d->free = &d->tasks[i];
    }
    d->asking = calloc(d->places, sizeof *d->asking);
    d->telling = calloc(d->places, sizeof *d->telling);
    d->wanting = calloc(d->places, sizeof *d->wanting);
    d->granting = calloc(d->places, sizeof *d->granting);
    d->waiting = calloc(d->places, sizeof *d->waiting);
    enum rc rc = RC_OK;
    if (!d->tasks || !d->asking || !d->telling || !d->wanting || !d->granting || !d->waiting || !batch_init(&d->queued, d->places) || !batch_init(&d->sent, d->places))
        rc = err_set(e, RC_IO, "out of memory");
    else
        rc = http_client_new(&d->http, e);
    if (rc == RC_OK)
        rc = round_open(d, e);
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
    http_client_wake(d->http);
}

void dispatch_stop(struct dispatch *d, int64_t grace_ms) {
    atomic_store(&d->stop_at_ms, clock_mono_ms() + grace_ms);
    http_client_wake(d->http);
    pthread_join(d->thread, NULL);
    dispatch_free(d);
}
