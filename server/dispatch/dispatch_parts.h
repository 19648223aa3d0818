// dispatch_parts.h: what the files of the dispatcher share; private to dispatch*.c. Everything here belongs to its one thread,
// but for the three flags.
//   dispatch.c        the thread: what happened, what is due, sleep
//   dispatch_round.c  what is wanted of the store, on a thread beside it while requests are open
//   dispatch_job.c    the way of one job through its plan
//   dispatch_keep.c   the memory of a job
//   dispatch_join.c   what a webhook decodes to, with what the store knows of its people
//   dispatch_ledger.c what stays of a job when it is finished
//   dispatch_mark.c   what is sent only when it changes something there
//   dispatch_privacy.c  those who ask what is kept of them, or to be forgotten
//   dispatch_wait.c   those who wait for something to be in stock again
//   dispatch_shops.c  fair shares of the window between shops
//   dispatch_slots.c  no more requests open than there may be
//   dispatch_pause.c  which destination of which shop is closed for now
//   dispatch_bulk.c   many events in one request, when there are more than a destination takes one by one
//   dispatch_turn.c   how long a job waits that cannot go on
//   dispatch_limits.c no more requests than a destination takes in a time
#ifndef SERVER_DISPATCH_PARTS_H
#define SERVER_DISPATCH_PARTS_H

#include "handlers/waiting.h"
#include "server/dispatch/dispatch.h"
#include "server/dispatch/plan.h"
#include "server/http/http_out.h"
#include "server/store/store_erase.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum gate_state { GATE_OPEN, GATE_THROTTLED, GATE_PAUSED };

struct gate {
    enum gate_state state;
    bool answered;               // an event got through, or was refused for its own sake, since we began
    bool troubled;               // its last answer was one that is tried again; the log was told
    int64_t until_ms;            // monotonic; a paused gate lets one event through then, to see
    int64_t failures, failing_since_ms;  // answers in a row that are to be tried again; monotonic
    int64_t again_ms;            // monotonic: when it last answered again after it had let nothing through; 0: that never was
    int64_t try_us;              // monotonic: when those that wait to try again will have done so
    int64_t first_ms;            // monotonic: when the last of those was put off that come as soon as a paused gate lets one through
    int64_t taken_ms;            // monotonic: when a credential was taken again that had been refused; 0: that never was
    bool to_tell;                // it was throttled: the other copies are to hear of it
};

// How many requests of a step a destination takes.
struct limit {
    struct quota quota;          // as it says; no window: as many as come
    struct line {
        int64_t until_ms;        // monotonic: none may go out before
        int64_t turn_us;         // monotonic: when those that wait will have had their turn
        int64_t steady_us;       // ... if the slowest window had been full when they began to wait
        int64_t wanted, granted; // in the round that is under way
    } lines[2];                  // [1]: those that came lately, who go first
    int64_t each_us;             // what each of them takes of that
    int64_t steady_each_us, steady_span_us;  // what it takes of the slowest window, and how long that is
};

// What a shop sends in bulk to the one destination that takes it.
struct bulk_work {
    bool behind;                 // what gets no permit goes in bulk
    int64_t until_ms;            // monotonic: it is behind until nothing was to go in bulk for so long
    struct limit limit;          // of such requests
    struct task **waiting;       // room for as many as are in flight
    size_t count;
    int64_t since_ms, last_ms;   // monotonic: when the first of them came; when the last request went out
};

struct shop_work {
    char *name;
    size_t held;                 // tasks of this shop
    size_t open;                 // slots that they have
    size_t asked, got;           // in the claim just made
    bool wants_more;             // it filled its share of the last claim
    bool wake, waking;           // a pause ended: its lanes are to be due at once; the round under way makes them so
    struct gate gates[PLAN_STEPS];  // at the first step of each account
    struct limit limits[PLAN_STEPS];
    struct bulk_work bulk;
};

#define TASK_MARKS_MAX 5         // the newest state, a schedule, a click, and two names of a buyer

// A claimed job on its way. Its memory is used again for the next one.
struct task {
    struct dispatch *dispatch;
    struct task *next;           // free ones
    struct arena arena;          // large until its plan is recorded, then small
    bool is_large;               // ... and it counts among those that are being planned
    struct config *config;       // the snapshot it began with
    const struct shop *shop;
    struct shop_work *work;
    struct job job;
    struct decoded decoded;
    struct plan plan;
    struct recorded_plan recorded;    // as the store has it
    bool dirty;                  // plan is ahead of recorded
    struct sv ignored;           // to be finished as ignored, once the person is remembered
    int64_t lease_from_ms;       // monotonic, before the claim or record was sent
    bool sending, probe;         // a request is open; it tries a paused destination
    int64_t sent_ms;             // monotonic: when it went out
    bool wants_permit;           // the request waits for a slot, for the store to count it, or for others to go with
    bool has_slot;               // ... has one of the slots for requests
    struct lookup *asked;        // what it wants to know from the store
    size_t asked_count;
    void (*told)(struct task *t);  // ... and what then; NULL: it waits for no answer
    void (*decoded_then)(struct task *t);
    struct mark marks[TASK_MARKS_MAX];  // go with the next change
    size_t mark_count;
    bool intending;              // ... and are the intent of a request
    bool intended;               // the store knows that the request of this step is about to be sent
    bool contested;              // ... and that another one is under way
    struct sv intent, before;    // what the mark says of this request, and what it said before; absent: that may be of this request too
    size_t event, step;          // of that request
    int64_t timeout_ms;          // ... and how long its answer is worth waiting for
    struct {
        struct mark marks[WAITING_NAMES_MAX];
        struct remembered requests[WAITING_NAMES_MAX];  // with a request: one for each mark
        size_t count;
        size_t answered;         // requests, since the claim
    } waiting;                   // marks go with the next change too
    struct {
        enum kept_kind phase;    // what is looked through now
        struct sv after;         // ... from there
        bool done;               // ... to the end
        size_t jobs, pending, values;  // found, since the claim
    } privacy;
    struct ledger_entry *ledger; // what it leaves when it is finished, from then on
    size_t ledger_count;
};

struct batch {
    struct change *changes;
    struct task **tasks;
    size_t n;
};

// Between round_begin and round_end it belongs to its thread.
struct round {
    pthread_t thread;
    sem_t begun, ended;
    bool open, under_way, closing;
    struct store *store;
    struct http_client *http;    // to be woken when it ended
    struct arena arena;
    int64_t begun_ms;            // monotonic
    struct store_round wanted;   // the changes of dispatch.sent, the questions of the tasks in dispatch.telling, a claim
    size_t task_count;           // of those
    struct sv *wakes;            // shops
    size_t wake_count;
    enum rc woken;               // out
};

struct dispatch {
    struct dispatch_config given;
    pthread_t thread;
    struct http_client *http;
    atomic_bool woken;
    atomic_llong stop_at_ms;     // monotonic: requests still open then are given up; 0: not stopping

    struct config *config;       // the snapshot that `current` was made from
    struct shop_work **shops;    // all that were ever configured
    size_t shop_count;
    struct shop_work **current;  // those of config, in its order
    size_t current_count;
    struct claim *claims;        // room for one each
    size_t turn;                 // who is served first
    size_t claim_most;           // jobs in one claim
    size_t large_count;          // jobs that are being planned, in large memory

    size_t places;               // for jobs; given.in_flight of them may have a request open
    struct task *tasks, *free;   // one for each place
    size_t active;
    struct round round;
    struct batch queued, sent;   // changes to be committed; the ones in the round
    struct task **asking, **telling;  // those that want to know something; those whose questions are in the round
    size_t asking_count;
    struct task **wanting, **granting;  // those that want a permit; those that are being told
    size_t wanting_count;
    struct task **waiting;       // those that want a slot
    size_t waiting_count, open;  // slots that are taken
    struct bulk_call *bulk_calls;  // that are open
    size_t bulk_count;           // tasks that wait to go with others
    bool tell_shut;              // some gate is to be told to the other copies
    struct arena arena;          // of one round of permits
    int64_t claim_at_ms;         // monotonic: when to look for work again
    enum rc store_rc;            // its last answer
    int64_t retry_at_ms, retry_delay_ms;  // after the store failed; delay 0: it works
};

// dispatch_job.c
void task_begin(struct task *t);                                  // job, shop, config and lease are set
void task_confirmed(struct task *t, const struct change *c, int64_t sent_ms);  // the store has answered its change
void task_slotted(struct task *t);                                // there is a slot for its request
void task_permitted(struct task *t, bool granted);                // its request may go out, or not now
void task_advance(struct task *t);                                // whatever is next
void task_asked(struct task *t);                                  // its request goes out
int64_t task_note(struct task *t, const struct outcome *o);       // what came of that: in its plan; for how long it waits now
const char *outcome_text(enum outcome_kind kind);
bool task_outdated(const struct task *t);                         // it began with another configuration than there is now
void task_give_back(struct task *t);                              // stops the way here; what is known is kept
void task_finish(struct task *t, enum job_state state, struct sv reason);
void task_record(struct task *t);                                 // keeps the lease; the way goes on when that is durable
void task_change(struct task *t, struct change c);                // with what is to be written besides
bool task_lease_outlasts(const struct task *t, int64_t timeout_ms);  // a request of that length, begun now

// dispatch_turn.c
void turn_wait(struct task *t, const struct action *a, int64_t closed_until_ms, int64_t now_ms);  // goes back to the store; closed_until_ms 0: open
void turn_hold_back(struct task *t, const struct action *a, size_t step, int64_t now_ms);  // a step that is kept from beginning
int64_t turn_in_ms(struct task *t, const struct action *a);       // how long a step waits; longer, where nothing gets through at all

// dispatch_privacy.c
void privacy_work(struct task *t);  // some of what t->decoded.privacy asks for; again after the next record, to its end

// dispatch_join.c
void task_decode(struct task *t, void (*then)(struct task *t));   // into t->decoded, maybe after asking the store

// dispatch_mark.c
// mark_before: what a step that changes something waits for before it is sent. MARK_WAIT: a change has to be recorded first.
// MARK_ASK: what its mark says, which mark_weigh is then to be told.
enum mark_verdict { MARK_SEND, MARK_WAIT, MARK_ASK, MARK_SAME, MARK_NOTHING_THERE };
enum mark_verdict mark_before(struct task *t);
struct lookup *mark_wanted(struct task *t);
enum mark_verdict mark_weigh(struct task *t, struct sv seen);
struct lookup *marks_wanted(struct task *t, size_t *ret_count);   // what decides which events a webhook's are
bool marks_settle(struct task *t, const struct lookup *known);    // false: a later state is known, they are out of date
void mark_after(struct task *t, const struct outcome *o);  // before the outcome is noted in the plan: what is there now

// dispatch_keep.c
void keep_begin(struct task *t);                                  // gives it large memory
void keep_plan(struct task *t);                                   // its plan is recorded and settled: what it still needs, in small memory
void keep_long(struct task *t);                                   // it takes many rounds and is never planned: others are meanwhile
void keep_end(struct task *t);

// dispatch_ledger.c
void ledger_lines(struct task *t, struct change *finish);         // what its events leave in the ledger goes with the finish
void ledger_count(struct task *t);                                // the same, once it is there, in the metrics

// dispatch_wait.c
// wait_queues_wanted: the queues that a request, or what is in stock again, is about; NULL: the webhook is about neither.
struct lookup *wait_queues_wanted(struct task *t, size_t *ret_count);
void wait_join(struct task *t);                                   // a request; into t->waiting, from what was asked
struct lookup *wait_requests_wanted(struct task *t, size_t *ret_count);  // the next that are to be answered, from what was asked; NULL: none
MUST_CHECK enum rc wait_answer(struct task *t, struct err *e);    // these; t->waiting notes it

// dispatch.c
void dispatch_change(struct task *t, struct change c);            // joins the next commit
// dispatch_ask: joins the next round; `told` is called with the answers in `asked`. With nothing to ask, at once.
void dispatch_ask(struct task *t, struct lookup *asked, size_t n, void (*told)(struct task *t));
void dispatch_begin(struct dispatch *d, const struct job *job, int64_t lease_from_ms);  // a job that was claimed
void dispatch_ended(struct task *t);                              // the job is out of our hands
bool dispatch_stopping(const struct dispatch *d);
bool store_answered(struct dispatch *d, enum rc rc, const struct err *e);  // what a call of the store gave; false: it waits until the store is back

// dispatch_round.c
MUST_CHECK enum rc round_open(struct dispatch *d, struct err *e);
void round_close(struct dispatch *d);                             // none is under way
void round_begin(struct dispatch *d);                             // with all that is wanted, if there is anything, none is under way and the store is not away
bool round_end(struct dispatch *d, bool wait);                    // it has ended: the tasks go on. Otherwise false, or wait for it
bool round_may_claim(const struct dispatch *d, size_t leaving);   // there is room for more jobs than those that are about to leave
bool round_here(struct dispatch *d);                              // a whole one in the calling thread; false: there was nothing to do, or the store failed

// dispatch_shops.c
void shops_refresh(struct dispatch *d);                           // takes over a new configuration; whatever is paused is tried with it at once
void shops_free(struct dispatch *d);
struct shop_work *shops_find(const struct dispatch *d, struct sv name);
size_t shops_share(struct dispatch *d);                           // fills d->claims; their number
void shops_claimed(struct dispatch *d, size_t claims);            // after `got` was counted

#define SHARE_PER_FREE 4         // while there are several shops each has at most so many times what is free

// dispatch_slots.c
bool slot_take(struct task *t);                                   // false: it waits for one; task_slotted tells
void slot_give(struct task *t);                                   // if it has one
void slots_look(struct dispatch *d);                              // gives those that became free to those that wait

// dispatch_pause.c
void gates_closed(const struct task *t, int64_t wall_ms, struct closed *ret);
bool gate_shut(const struct shop_work *w, size_t step);            // throttled or paused; its limit is another matter
bool gate_pass(struct shop_work *w, size_t step);                 // before a request; true: it is the probe of a paused destination
void gate_note(struct task *t, const struct outcome *o, int64_t delay_ms);  // after its answer
bool gate_excuses(const struct task *t);                          // its request went out while the destination, which answers again, let nothing through
void gates_show(const struct dispatch *d, const struct shop_work *w);  // the metric has a value for each account from the beginning
int64_t gate_to_tell(struct shop_work *w, size_t step);           // for how long it is shut, once; 0: there is nothing to tell
void gates_shut(struct shop_work *w, struct sv account, int64_t ms);  // another copy was told so
// gate_try_ms: while nothing gets through there at all, or it is paused, those that try again do so in turn: in how many ms this one is to.
// 0: as it likes. One that cannot wait for its turn takes none, and most_ms is told.
int64_t gate_try_ms(struct shop_work *w, size_t step, int64_t most_ms);
void gates_requeue(struct shop_work *w);                           // all that wait come back at once, for another turn
void gates_probe(struct dispatch *d);                             // paused destinations are tried again at once

// dispatch_limits.c
void limits_begin(struct shop_work *w, const struct shop *shop);  // what holds before an answer
void limits_heard(struct task *t, const struct answer *answer);   // what its answer says
void limit_permit(struct task *t);                                // its request asks for a permit; task_permitted tells
void limits_take(struct dispatch *d);                             // a round of permits
struct limit *limit_of(const struct task *t, size_t step);        // that it is under
bool limit_lately(const struct task *t, size_t step);             // ... and in which line of that; those that go in bulk are all in one
bool limit_reached(const struct limit *l, bool lately);           // none may go out now
int64_t limit_turn_ms(const struct limit *l, bool lately);        // monotonic: when one that begins to wait now has its turn
void limit_queue(struct limit *l, bool lately);                   // it does
void limit_shut(struct limit *l, int64_t ms);                     // the destination said for how long it takes none
void limits_requeue(struct shop_work *w);                         // all that wait come back at once, for another turn
bool task_came_lately(const struct task *t, size_t step);         // its request of that step goes before those that wait for longer

// dispatch_bulk.c
bool bulk_takes(const struct task *t, size_t step);               // a request of that step goes with others
void bulk_join(struct task *t);                                   // it is the turn of its request, which is due
void bulk_weigh(struct task *t, size_t step);                     // after it queued for its turn: whether that takes too long
bool bulk_ready(const struct dispatch *d, const struct shop_work *w);  // a request may go out, if there is a permit
void bulk_permitted(struct dispatch *d, struct shop_work *w, bool granted);
void bulk_look(struct dispatch *d);                               // what needs no permit, or cannot wait for one
int64_t bulk_due_ms(const struct dispatch *d);                    // monotonic: when to look again
void bulk_forget(struct dispatch *d);                             // those that wait, and calls that nobody waits for

#endif
