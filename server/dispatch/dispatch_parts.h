// dispatch_parts.h: what the files of the dispatcher share; private to dispatch*.c. Everything here belongs to its one thread,
// but for the three flags.
//   dispatch.c        the thread: what happened, what is due, one commit, one claim, sleep
//   dispatch_job.c    the way of one job through its plan
//   dispatch_join.c   what a webhook decodes to, with what the store knows of its people
//   dispatch_mark.c   what is sent only when it changes something there
//   dispatch_wait.c   those who wait for something to be in stock again
//   dispatch_shops.c  fair shares of the window between shops
//   dispatch_pause.c  which destination of which shop is closed for now
#ifndef SERVER_DISPATCH_PARTS_H
#define SERVER_DISPATCH_PARTS_H

#include "handlers/waiting.h"
#include "server/dispatch/dispatch.h"
#include "server/dispatch/plan.h"
#include "server/http/http_out.h"

#include <pthread.h>
#include <stdatomic.h>

enum gate_state { GATE_OPEN, GATE_THROTTLED, GATE_PAUSED };

struct gate {
    enum gate_state state;
    bool troubled;               // its last answer was one that is tried again; the log was told
    int64_t until_ms;            // monotonic; a paused gate lets one event through then, to see
};

struct shop_work {
    char *name;
    size_t held;                 // tasks of this shop
    size_t asked, got;           // in the claim just made
    bool wants_more;             // it filled its share of the last claim
    bool wake;                   // a pause ended: its lanes are to be due at once
    struct gate gates[PLAN_STEPS];  // at the first step of each account
};

// A claimed job on its way. Its memory is used again for the next one.
struct task {
    struct dispatch *dispatch;
    struct arena arena;
    struct config *config;       // the snapshot it began with
    const struct shop *shop;
    struct shop_work *work;
    struct job job;
    struct decoded decoded;
    struct plan plan;
    struct plan recorded;        // as the store has it
    bool dirty;                  // plan is ahead of recorded
    struct sv ignored;           // to be finished as ignored, once the person is remembered
    int64_t lease_from_ms;       // monotonic, before the claim or record was sent
    bool sending, probe;         // a request is open; it tries a paused destination
    struct mark mark;            // goes with the next change; key absent: none
    bool intending;              // ... it is an intent
    bool intended;               // the store knows that the request of this step is about to be sent
    bool contested;              // ... and that another one is under way
    struct sv intent, before;    // what the mark says of this request, and what it said before; absent: that may be of this request too
    size_t event, step;          // of that request
    struct {
        struct mark marks[WAITING_NAMES_MAX];
        struct remembered requests[WAITING_NAMES_MAX];  // with a request: one for each mark
        size_t count;
    } waiting;                   // goes with the next change too
    size_t told;                 // of those who wait, since the claim
    struct task *next;           // free ones
};

struct batch {
    struct change *changes;
    struct task **tasks;
    size_t n;
};

struct dispatch {
    struct dispatch_config given;
    pthread_t thread;
    struct http_client *http;
    atomic_bool woken, reloaded;
    atomic_llong stop_at_ms;     // monotonic: requests still open then are given up; 0: not stopping

    struct config *config;       // the snapshot that `current` was made from
    struct shop_work **shops;    // all that were ever configured
    size_t shop_count;
    struct shop_work **current;  // those of config, in its order
    size_t current_count;
    struct claim *claims;        // room for one each
    size_t turn;                 // who is served first
    size_t claim_most;           // jobs in one claim

    struct task *tasks, *free;   // given.in_flight of them
    size_t active;
    struct batch queued, sent;   // changes to be committed; the ones being committed
    struct arena arena;          // of one claim
    int64_t claim_at_ms;         // monotonic: when to look for work again
    enum rc store_rc;            // its last answer
    int64_t retry_at_ms, retry_delay_ms;  // after the store failed; delay 0: it works
};

// dispatch_job.c
void task_begin(struct task *t);                                  // job, shop, config and lease are set
void task_confirmed(struct task *t, const struct change *c, int64_t sent_ms);  // the store has answered its change
void task_give_back(struct task *t);                              // stops the way here; what is known is kept

// dispatch_join.c
MUST_CHECK enum rc task_decode(struct task *t, struct err *e);    // into t->decoded; RC_UNAVAILABLE: the store is away
struct sv person_key(struct arena *a, struct sv name);

// dispatch_mark.c
// mark_before: what a step that changes something waits for before it is sent. MARK_WAIT: a change is on its way to the store.
enum mark_verdict { MARK_SEND, MARK_WAIT, MARK_SAME, MARK_NOTHING_THERE, MARK_STORE_AWAY };
enum mark_verdict mark_before(struct task *t);
MUST_CHECK enum rc mark_newest(struct task *t, bool *ret_outdated, struct err *e);  // of the state that a webhook tells of
MUST_CHECK enum rc mark_first_purchase(struct task *t, struct event *event, struct err *e);  // makes a later one a repeat_purchase
void mark_after(struct task *t, const struct outcome *o);  // before the outcome is noted in the plan: what is there now

// dispatch_wait.c
MUST_CHECK enum rc wait_join(struct task *t, const struct event *event, struct err *e);  // a request: into t->waiting; others: nothing
// wait_answer: the next of those who wait for t->decoded.restocked are told; t->waiting notes it. *ret_more false: there was nobody.
MUST_CHECK enum rc wait_answer(struct task *t, bool *ret_more, struct err *e);

// dispatch.c
void dispatch_change(struct task *t, struct change c);            // joins the next commit
void dispatch_ended(struct task *t);                              // the job is out of our hands
bool dispatch_stopping(const struct dispatch *d);

// dispatch_shops.c
void shops_refresh(struct dispatch *d);                           // takes over a new configuration
void shops_free(struct dispatch *d);
struct shop_work *shops_find(const struct dispatch *d, struct sv name);
size_t shops_share(struct dispatch *d);                           // fills d->claims; their number
void shops_claimed(struct dispatch *d, size_t claims);            // after `got` was counted

// dispatch_pause.c
void gates_closed(const struct shop_work *w, int64_t wall_ms, struct closed *ret);
bool gate_pass(struct shop_work *w, size_t step);                 // before a request; true: it is the probe of a paused destination
void gate_note(struct task *t, const struct outcome *o, int64_t delay_ms);  // after its answer
void gates_show(const struct dispatch *d, const struct shop_work *w);  // the metric has a value for each account from the beginning
void gates_probe(struct dispatch *d);                             // paused destinations are tried again at once

#endif
