// plan.h: what is to be done for one webhook, and how far it is: the events it became and a step per destination, in order.
// A plan is plain data that the store keeps as JSON; deciding what comes next is a pure function of plan, time and policy.
#ifndef SERVER_PLAN_H
#define SERVER_PLAN_H

#include "base/json.h"
#include "handlers/source.h"
#include "mapping/destination.h"
#include "mapping/rules.h"

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
    struct sv body;           // rendered once; kept until the step is over, so that each attempt sends the same bytes
    int64_t attempts;
    int64_t first_ms;         // first attempt, wall; 0: none
    int64_t last_ms;          // last answer, wall
};

#define PLAN_STEPS 2          // = destination_count
#define PLAN_EVENTS_MAX 8

struct planned_event {
    struct sv id, name;
    int64_t time_ms;
    struct event *event;      // decoded again on each claim while a body is still to be rendered; not stored
    struct step steps[PLAN_STEPS];
};

struct plan {
    struct planned_event events[PLAN_EVENTS_MAX];
    size_t event_count;
    bool aside;               // only retrying earlier destinations is left; the lane went on
};

enum action_kind {
    ACTION_SEND,              // step of event is to be sent now (its body is rendered when absent)
    ACTION_WAIT,              // nothing before wait_ms from now; hold: an impatient follower may shorten it
    ACTION_ASIDE,             // the lane may go on, what is left is retried from a lane of its own
    ACTION_FINISH,            // everything is decided: state and reason
};

struct action {
    enum action_kind kind;
    size_t event, step;
    int64_t wait_ms;
    bool hold;
    bool dead;                // FINISH
    struct sv reason;
};

// plan_make: steps of decoded events; those that do not apply are skipped with the reason. Bodies of first steps are rendered.
void plan_make(struct arena *a, const struct shop *shop, const struct decoded *d, int64_t now_ms, struct plan *ret);
struct sv plan_write(struct arena *a, const struct plan *p);                                        // to JSON
MUST_CHECK enum rc plan_read(struct arena *a, struct sv json, struct plan *ret, struct err *e);
// plan_next: the next action. hurry_ms: wall time at which somebody behind wants a held head out of the way (0: nobody).
struct action plan_next(const struct plan *p, int64_t now_ms, int64_t hurry_ms);
// plan_outcome: notes what an attempt gave. Returns the back-off in ms when the step is to be tried again, else 0.
int64_t plan_outcome(struct arena *a, struct plan *p, size_t event, size_t step, const struct outcome *o, int64_t now_ms, uint64_t random);
// plan_disposition: what the destinations before `step` made of the event, as that step is to tell it.
struct disposition plan_disposition(const struct plan *p, size_t event, size_t step);
// plan_in_order: the order holds for sending this step now: every earlier step has a recorded outcome.
bool plan_in_order(const struct plan *p, size_t event, size_t step);

// backoff_ms: full jitter: uniform in 1 .. min(1 s * 2^(attempts-1), 60 s), up to 10 min when trying for more than an hour.
int64_t backoff_ms(int64_t attempts, int64_t trying_for_ms, uint64_t random);

#endif
