// plan.h: what is to be done for one webhook, and how far it is: the events it became and a step per destination, in order.
// A plan is plain data that the store keeps as text: whole, with all that is to be sent, when that was made, and from then on only its
// progress. Deciding what comes next is a pure function of plan, time and policy.
#ifndef SERVER_PLAN_H
#define SERVER_PLAN_H

#include "base/json.h"
#include "handlers/source.h"
#include "mapping/destination.h"
#include "mapping/rules/rules.h"

enum step_state {
    STEP_PENDING,   // not decided yet
    STEP_RETRYING,  // tried, will be tried again
    STEP_SENT,
    STEP_SKIPPED,
    STEP_FAILED,
};

struct step {
    enum step_state state;
    struct sv reason;
    struct draft draft;       // rendered when planned; kept until the step is over, so that each attempt sends the same bytes
    struct disposition told;  // what the body was told of the first destination; absent: nothing yet
    bool alone;               // it was refused together with others
    bool amended;             // the body is what was left after a refusal
    int64_t attempts;
    int64_t first_ms;         // first attempt, or the first one that was held back, wall; 0: none
    int64_t asked_ms;         // first request, wall; 0: none
    int64_t last_ms;          // last answer, wall
    int64_t next_ms;          // not before, wall: the end of its back-off; 0: at once
    bool bidden;              // ... which is as long as the destination asked for
};

#define PLAN_STEPS 4          // = destination_count
#define PATIENCE_MS SECONDS_MS(5)  // how long a destination that does not lead may keep later ones waiting
#define PLAN_EVENTS_MAX 8

struct planned_event {
    struct sv id, name;
    int64_t time_ms;
    struct patience patience; // of its rule
    bool taken;               // another job has this event: it is skipped here
    struct event *event;      // decoded again on each claim; not stored; NULL when it is no longer decoded
    struct step steps[PLAN_STEPS];
};

struct plan {
    struct planned_event *events;
    size_t event_count;       // <= PLAN_EVENTS_MAX
    bool aside;               // what is left is retried in a lane of its own; the lane went on
    bool replayed;            // it was over before, and the ledger has its lines
    bool reserved;            // whose the events are is settled: those that belong to another job are skipped
    bool redrafted;           // what is to be sent is not what the store has: the plan has to be written whole
};

// What is looked back at of a plan that was recorded.
struct recorded_plan {
    size_t event_count;
    bool pending[PLAN_EVENTS_MAX][PLAN_STEPS];
};

// Until when (wall) each step's destination takes nothing from this shop: paused or throttled; 0: it is open. And since when it takes
// something again after it took nothing for a while; 0: it did not stop.
struct closed {
    int64_t until_ms[PLAN_STEPS];
    int64_t again_ms[PLAN_STEPS];
};

enum action_kind {
    ACTION_SEND,              // step of event is to be sent now
    ACTION_WAIT,              // nothing before wait_ms from now; hold: an impatient follower may shorten it;
                              // step is what is waited for: when still PENDING, its destination is closed
    ACTION_ASIDE,             // the lane may go on, what is left is retried from a lane of its own
    ACTION_FINISH,            // everything is decided: state and reason
};

struct action {
    enum action_kind kind;
    size_t event, step;
    int64_t wait_ms;
    int64_t most_ms;          // WAIT, ASIDE: the wait for step may be put off for so long: then another account has a step due, or whoever
                              // waits for it loses patience; INT64_MAX: for as long as one likes
    int64_t worth_ms;         // SEND: an answer is worth waiting so long for; INT64_MAX: any time
    bool hold;
    bool shut[PLAN_STEPS];    // WAIT: it is the turn of these steps of the event, and their destination is closed
    bool dead;                // FINISH
    struct sv reason;
};

// plan_make: steps of decoded events, with all they are to send; those that do not apply are skipped with the reason.
// At most PLAN_EVENTS_MAX events: the caller refuses more.
void plan_make(struct arena *a, const struct shop *shop, const struct decoded *d, int64_t now_ms, struct plan *ret);
struct sv plan_write(struct arena *a, const struct plan *p);                                        // its stored form
struct sv plan_write_progress(struct arena *a, const struct plan *p);                               // without what is to be sent
// plan_read: progress: what was written since; absent: nothing. The plan points into both.
MUST_CHECK enum rc plan_read(struct arena *a, struct sv text, struct sv progress, struct plan *ret, struct err *e);
// plan_resume: joins a plan that was read with what its webhook decodes to now; undecided steps that no longer apply (consent,
// configuration) become skipped. Says whether it changed something.
bool plan_resume(struct arena *a, const struct shop *shop, const struct decoded *d, struct plan *p);
// plan_reopen: of a job that died: steps that failed, and those that were not sent because of it, are to be done as if never tried.
void plan_reopen(struct plan *p);
// plan_redraft: after plan_resume: undecided steps without a body get one, by the mapping of now (nothing was taken under the
// old one). Says whether it changed something.
bool plan_redraft(struct arena *a, const struct shop *shop, struct plan *p, int64_t now_ms);
// plan_expire: undecided steps for which it is too late, or that are not worth waiting for, become skipped. Says whether it changed something.
bool plan_expire(struct plan *p, int64_t now_ms);
void plan_skip_step(struct plan *p, size_t event, size_t step, struct sv reason);
// plan_skip: every undecided step of the event becomes skipped.
void plan_skip(struct plan *p, size_t event, struct sv reason);
// plan_tell: puts into the body of a step whose turn it is what the first destination made of the event. Says whether it changed something.
bool plan_tell(struct arena *a, struct plan *p, size_t event, size_t step);
// plan_next: the next action. closed may be NULL. hurry_ms: wall time at which somebody behind wants a held head out of the way (0: nobody).
struct action plan_next(const struct plan *p, const struct closed *closed, int64_t now_ms, int64_t hurry_ms);
// plan_outcome: notes what an attempt gave. Returns the back-off in ms when the step is to be tried again, else 0.
// THROTTLED and PAUSE count no attempt (THROTTLED one of a perishable step, or others would wait for it without end) and leave the waiting to `closed`; without retry_after_ms: 1 s and PAUSE_PROBE_MS.
int64_t plan_outcome(struct arena *a, struct plan *p, size_t event, size_t step, const struct outcome *o, int64_t now_ms, uint64_t random);
// plan_disposition: what the first destination made of the event, as the others are to tell it.
struct disposition plan_disposition(const struct plan *p, size_t event);
// plan_in_order: the order holds for sending this step now: every earlier step has an outcome, in what was recorded.
void plan_note(const struct plan *p, struct recorded_plan *ret);
bool plan_in_order(const struct recorded_plan *r, size_t event, size_t step);
bool step_decided(const struct step *s);  // sent, skipped or failed
// step_perishes: it is worth nothing once a later step has been sent, and there is one.
bool step_perishes(const struct planned_event *e, size_t step);
// plan_shown_id: an event's id for logs and people. Checkout and cart tokens open somebody's checkout, so one made of them is told by its
// beginning only.
struct sv plan_shown_id(struct arena *a, struct sv id);
const char *step_state_text(enum step_state state);

#define PAUSE_PROBE_MS 60000

// backoff_ms: full jitter: uniform in 1 .. min(1 s * 2^(attempts-1), 60 s), up to 10 min when trying for more than an hour.
int64_t backoff_ms(int64_t attempts, int64_t trying_for_ms, uint64_t random);

#endif
