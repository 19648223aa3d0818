// dispatch_job.c: the way of one job: planned, recorded, sent step by step, finished. Each call ends with a change for the next
// commit, or with a request on its way; nothing is sent that differs from what the store has.
#include "server/dispatch/dispatch_parts.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "server/dispatch/recall.h"

#define CLAIMS_MOST 5            // a job that was claimed so often and never got to a result brings the process down
#define LEASE_MARGIN_MS 2000
#define EVENT_IDS_MAX 2

const char *outcome_text(enum outcome_kind kind) {
    static const char *const texts[] = {
        [OUTCOME_SENT] = "sent", [OUTCOME_RETRY] = "retried", [OUTCOME_THROTTLED] = "throttled", [OUTCOME_PAUSE] = "paused", [OUTCOME_REJECT] = "failed",
    };
    return texts[kind];
}

static void add_marks(struct task *t, struct change *c) {
    struct mark *all = ARENA_ARRAY(&t->arena, struct mark, t->waiting.count + t->mark_count);
    for (size_t i = 0; i < t->waiting.count; i++)
        all[c->mark_count++] = t->waiting.marks[i];
    for (size_t i = 0; i < t->mark_count; i++)
        all[c->mark_count++] = t->marks[i];
    c->marks = all;
}

// A plan that is over has nothing left to send. Written anew it is small, which a store in memory is glad of; on a disk a row that
// shrinks costs more pages than one that stays.
static bool is_written_whole(const struct task *t, enum change_kind kind) {
    return t->plan.redrafted || (kind == CHANGE_FINISH && sv_starts(t->config->store, SV("redis")));
}

void task_change(struct task *t, struct change c) {
    if (t->dirty && is_written_whole(t, c.kind))
        c.plan = plan_write(&t->arena, &t->plan);
    else if (t->dirty)
        c.progress = plan_write_progress(&t->arena, &t->plan);
    add_marks(t, &c);
    if (!arena_ok(&t->arena))  // then the plan may be anything
        c = (struct change){.kind = CHANGE_FINISH, .state = JOB_DEAD, .reason = SV("it needs more memory than a webhook may have")};
    dispatch_change(t, c);
}

void task_finish(struct task *t, enum job_state state, struct sv reason) {
    struct change c = {.kind = CHANGE_FINISH, .state = state, .reason = reason};
    ledger_lines(t, &c);
    task_change(t, c);
}

// ---- planning

static struct sv person_json(struct task *t) {
    struct buf out;
    struct jw w;
    buf_init(&out, (size_t)1 << 20);
    jw_init(&w, &out);
    user_write(&w, &t->decoded.person);
    return buf_take(&out, &t->arena);
}

static void add_remembered(struct task *t, struct change *c) {
    size_t requests = t->decoded.restocked ? 0 : t->waiting.count;
    struct remembered *all = ARENA_ARRAY(&t->arena, struct remembered, t->decoded.remember_count + requests);
    struct sv person = t->decoded.remember_count > 0 ? person_json(t) : SV_NONE;
    for (size_t i = 0; i < t->decoded.remember_count; i++)
        all[i] = (struct remembered){person_key(&t->arena, t->decoded.remember[i]), person, t->config->identity_lifetime_ms};
    for (size_t i = 0; i < requests; i++)
        all[t->decoded.remember_count + i] = t->waiting.requests[i];
    c->remember = all;
    c->remember_count = t->decoded.remember_count + requests;
}

// Each event is reserved under its id, and under the other one that it may have.
static size_t ids_of(const struct planned_event *e, struct sv ret[EVENT_IDS_MAX]) {
    struct sv also = e->event ? e->event->also : SV_NONE;
    ret[0] = e->id;
    ret[1] = also;
    return also.p ? 2 : 1;
}

static void add_reservations(struct task *t, struct change *c) {
    struct sv ids[EVENT_IDS_MAX], *all = ARENA_ARRAY(&t->arena, struct sv, t->plan.event_count * EVENT_IDS_MAX);
    for (size_t i = 0; i < t->plan.event_count; i++)
        for (size_t k = 0, n = ids_of(&t->plan.events[i], ids); k < n; k++)
            all[c->reserve_count++] = arena_join(&t->arena, SVS(SV("event:"), ids[k]));
    c->reserve = all;
    c->reserve_lifetime_ms = t->config->identity_lifetime_ms;
}

// A lease that outlasts whatever may be sent next is not extended: that would be most of what a record writes.
void task_record(struct task *t) {
    struct change c = {.kind = CHANGE_RECORD, .lease_ms = LEASE_MS, .lease_stays = task_lease_outlasts(t, REQUEST_TIMEOUT_MS + LEASE_MS / 20)};
    if (!t->plan.reserved) {
        add_remembered(t, &c);
        add_reservations(t, &c);
    }
    task_change(t, c);
}

static void make_plan(struct task *t) {
    _Static_assert(PLAN_EVENTS_MAX * EVENT_IDS_MAX <= RESERVE_MAX, "every event of a plan is reserved in one change");
    if (t->decoded.count == 0)
        t->ignored = sv_first(t->decoded.ignored, SV("it says nothing of interest"));
    if (t->decoded.count == 0 && t->decoded.remember_count == 0) {
        task_finish(t, JOB_IGNORED, t->ignored);
        return;
    }
    FAILPOINT("plan.before");
    if (t->decoded.count > 0)
        plan_make(&t->arena, t->shop, &t->decoded, clock_wall_ms(), &t->plan);
    t->dirty = t->decoded.count > 0;
    task_record(t);
}

static void settle_marks(struct task *t) {
    if (marks_settle(t, t->asked))
        make_plan(t);
    else
        task_finish(t, JOB_IGNORED, SV("older than the state that is known"));
}

static void join_queues(struct task *t) {
    wait_join(t);
    make_plan(t);
}

// answer_requests: the change that notes what was answered keeps the lease; then come the next ones, and others in between.
static void answer_requests(struct task *t) {
    struct err e;
    if (wait_answer(t, &e) == RC_OK)
        task_record(t);
    else
        task_change(t, (struct change){.kind = CHANGE_RETRY, .delay_ms = SECONDS_MS(1)});
}

static void answer_queues(struct task *t) {
    size_t n, told = t->waiting.answered;
    struct lookup *asked = wait_requests_wanted(t, &n);
    if (asked && dispatch_stopping(t->dispatch))
        task_give_back(t);
    else if (asked)
        dispatch_ask(t, asked, n, answer_requests);
    else if (told > 0)
        task_finish(t, JOB_DONE, arena_fmt(&t->arena, "told %zu waiting %s", told, told == 1 ? "person" : "people"));
    else
        task_finish(t, JOB_IGNORED, t->decoded.ignored);
}

static void begin_plan(struct task *t) {
    if (sv_present(t->decoded.undecodable)) {
        task_finish(t, JOB_DEAD, arena_fmt(&t->arena, "undecodable: " SV_FMT, SV_ARG(t->decoded.undecodable)));
        return;
    }
    if (t->decoded.count > PLAN_EVENTS_MAX) {
        task_finish(t, JOB_DEAD, arena_fmt(&t->arena, "undecodable: %zu events in one webhook, %d is the most", t->decoded.count, PLAN_EVENTS_MAX));
        return;
    }
    if (t->decoded.privacy || t->decoded.restocked)
        keep_long(t);
    if (t->decoded.privacy) {
        privacy_work(t);
        return;
    }
    size_t n;
    struct lookup *queues = wait_queues_wanted(t, &n);
    if (queues) {
        dispatch_ask(t, queues, n, t->decoded.restocked ? answer_queues : join_queues);
        return;
    }
    struct lookup *asked = marks_wanted(t, &n);
    dispatch_ask(t, asked, n, settle_marks);
}

static void decoded(struct task *t) {
    if (!t->job.plan.p) {
        begin_plan(t);
        return;
    }
    plan_note(&t->plan, &t->recorded);
    t->dirty = plan_resume(&t->arena, t->shop, &t->decoded, &t->plan);
    t->dirty |= plan_redraft(&t->arena, t->shop, &t->plan, clock_wall_ms());
    if (t->plan.reserved)
        keep_plan(t);
    task_advance(t);
}

void task_begin(struct task *t) {
    struct err e = {0};
    if (sv_present(t->job.unreadable)) {
        task_finish(t, JOB_DEAD, arena_fmt(&t->arena, "unreadable: " SV_FMT, SV_ARG(t->job.unreadable)));
    } else if (!sv_present(t->job.body)) {
        task_finish(t, JOB_IGNORED, SV("redacted"));
    } else if (t->job.claims > CLAIMS_MOST) {
        task_finish(t, JOB_DEAD, arena_fmt(&t->arena, "poison: begun %lld times without a result", (long long)(t->job.claims - 1)));
    } else if (t->job.plan.p && plan_read(&t->arena, t->job.plan, t->job.progress, &t->plan, &e)) {
        t->plan = (struct plan){0};
        task_finish(t, JOB_DEAD, arena_fmt(&t->arena, "unreadable: %s", e.text));
    } else {
        task_decode(t, decoded);
    }
}

// ---- sending

int64_t task_note(struct task *t, const struct outcome *o) {
    mark_after(t, o);
    metrics_step(t->dispatch->given.metrics, t->shop->name, destinations[t->step]->name, outcome_text(o->kind));
    t->dirty = true;
    bool at_once = o->kind == OUTCOME_SENT || gate_excuses(t);  // no back-off to speak of
    return plan_outcome(&t->arena, &t->plan, t->event, t->step, o, clock_wall_ms(), at_once ? 0 : random_below(UINT64_MAX));
}

// note: what an attempt gave; a gate that it closed is told how long the step waits.
static void note(struct task *t, const struct outcome *o) {
    gate_note(t, o, task_note(t, o));
}

static void answered(void *ctx, const struct answer *answer) {
    struct task *t = ctx;
    FAILPOINT_OF("answered", destinations[t->step]->name);
    limits_heard(t, answer);
    struct outcome o = destinations[t->step]->outcome(&t->arena, answer, clock_wall_ms());
    t->sending = false;
    note(t, &o);
    task_advance(t);
}

static void measure_gap(struct task *t, int64_t now_ms) {
    const struct step *steps = t->plan.events[t->event].steps;
    if (destinations[t->step] == &destination_klaviyo && steps[t->step].asked_ms == 0 && steps[0].state == STEP_SENT)
        metrics_gap(t->dispatch->given.metrics, now_ms - steps[0].last_ms);
}

void task_asked(struct task *t) {
    struct step *s = &t->plan.events[t->event].steps[t->step];
    int64_t now_ms = clock_wall_ms();
    t->sent_ms = clock_mono_ms();
    measure_gap(t, now_ms);
    s->first_ms = s->first_ms ? s->first_ms : now_ms;
    s->asked_ms = s->asked_ms ? s->asked_ms : now_ms;
}

static void post(struct task *t) {
    struct err e = {0};
    struct step *s = &t->plan.events[t->event].steps[t->step];
    struct request request = {0};
    destinations[t->step]->address(&t->arena, t->shop, &s->draft, &request);
    request.body = s->draft.body;
    task_asked(t);
    t->probe = gate_pass(t->work, t->step);
    FAILPOINT_OF("send", destinations[t->step]->name);
    t->sending = http_client_post(t->dispatch->http, &request, t->timeout_ms, answered, t, &e) == RC_OK;
    FAILPOINT_OF("sent", destinations[t->step]->name);
    if (t->sending)
        return;
    note(t, &(struct outcome){.kind = OUTCOME_RETRY, .reason = arena_dup(&t->arena, sv_of(e.text))});
    task_advance(t);
}

bool task_lease_outlasts(const struct task *t, int64_t timeout_ms) {
    return t->lease_from_ms + LEASE_MS >= clock_mono_ms() + timeout_ms + LEASE_MARGIN_MS;
}

static void go(struct task *t) {
    if (t->work->limits[t->step].quota.count > 0)
        limit_permit(t);
    else
        post(t);
}

void task_slotted(struct task *t) {
    if (dispatch_stopping(t->dispatch) || gate_shut(t->work, t->step))
        task_advance(t);
    else if (task_lease_outlasts(t, t->timeout_ms))
        go(t);
    else
        task_record(t);
}

// weighed: the request goes out once the store has everything that precedes it and the lease outlasts it.
static void weighed(struct task *t, enum mark_verdict verdict) {
    if (verdict == MARK_SAME || verdict == MARK_NOTHING_THERE) {
        plan_skip_step(&t->plan, t->event, t->step, verdict == MARK_SAME ? SV("unchanged") : SV("was not subscribed from here"));
        t->dirty = true;
        task_advance(t);
        return;
    }
    if (verdict == MARK_WAIT || t->dirty || !task_lease_outlasts(t, t->timeout_ms)) {
        task_record(t);
        return;
    }
    if (!plan_in_order(&t->recorded, t->event, t->step)) {
        metrics_order_violation(t->dispatch->given.metrics);
        log_error("not sent shop=%s job=%s: %s would come before its turn; please report this", t->work->name, t->job.id, destinations[t->step]->name);
        task_change(t, (struct change){.kind = CHANGE_RETRY, .delay_ms = PAUSE_PROBE_MS});
        return;
    }
    if (bulk_takes(t, t->step))
        bulk_join(t);
    else if (slot_take(t))
        go(t);
}

void task_permitted(struct task *t, bool granted) {
    if (!granted)
        task_advance(t);
    else if (task_lease_outlasts(t, t->timeout_ms))
        post(t);
    else
        task_record(t);  // the store was away meanwhile
}

static void mark_told(struct task *t) {
    weighed(t, mark_weigh(t, t->asked[0].ret));
}

static void send(struct task *t, const struct action *a) {
    if (t->event != a->event || t->step != a->step)
        t->intended = false;  // it is about another request, whose turn has passed
    t->event = a->event;
    t->step = a->step;
    t->timeout_ms = a->worth_ms < REQUEST_TIMEOUT_MS ? a->worth_ms : REQUEST_TIMEOUT_MS;
    if (!t->plan.events[a->event].steps[a->step].draft.body.p) {
        t->probe = false;
        note(t, &(struct outcome){.kind = OUTCOME_REJECT, .reason = SV("its body cannot be made")});
        task_advance(t);
        return;
    }
    t->dirty |= plan_tell(&t->arena, &t->plan, a->event, a->step);
    enum mark_verdict verdict = mark_before(t);
    if (verdict == MARK_ASK)
        dispatch_ask(t, mark_wanted(t), 1, mark_told);
    else
        weighed(t, verdict);
}

bool task_outdated(const struct task *t) {
    return t->config != t->dispatch->config;
}

void task_give_back(struct task *t) {
    task_change(t, (struct change){.kind = t->dirty ? CHANGE_RETRY : CHANGE_RELEASE});
}

static void act(struct task *t, const struct action *a, const struct closed *closed, int64_t now_ms) {
    switch (a->kind) {
    case ACTION_SEND:
        if (dispatch_stopping(t->dispatch) || task_outdated(t))
            task_give_back(t);
        else
            send(t, a);
        break;
    case ACTION_WAIT:
        turn_wait(t, a, closed->until_ms[a->step], now_ms);
        break;
    case ACTION_ASIDE:
        t->plan.aside = t->dirty = true;
        task_change(t, (struct change){.kind = CHANGE_ASIDE, .delay_ms = turn_in_ms(t, a)});
        break;
    case ACTION_FINISH:
        task_finish(t, a->dead ? JOB_DEAD : JOB_DONE,
               a->dead ? arena_fmt(&t->arena, "%s: " SV_FMT, destinations[a->step]->name, SV_ARG(a->reason)) : SV_NONE);
        break;
    }
}

void task_advance(struct task *t) {
    slot_give(t);
    if (!t->plan.reserved) {
        task_record(t);
        return;
    }
    int64_t now_ms = clock_wall_ms();
    struct closed closed;
    gates_closed(t, now_ms, &closed);
    t->dirty |= plan_expire(&t->plan, now_ms);
    struct action a = plan_next(&t->plan, &closed, now_ms, t->job.hurry_ms);
    if (a.kind == ACTION_WAIT && t->plan.events[a.event].steps[a.step].state == STEP_PENDING) {
        turn_hold_back(t, &a, a.step, now_ms);
        a = plan_next(&t->plan, &closed, now_ms, t->job.hurry_ms);
    }
    act(t, &a, &closed, now_ms);
}

// ---- what the store has confirmed

// settle: events that another job has are not ours to send. Says whether any is left.
static bool settle(struct task *t, const struct change *c) {
    struct sv ids[EVENT_IDS_MAX];
    bool left = false;
    for (size_t i = 0, at = 0; i < t->plan.event_count; i++) {
        bool taken = false;
        for (size_t k = 0, n = ids_of(&t->plan.events[i], ids); k < n; k++)
            taken |= c->taken[at++];
        if (taken)
            plan_skip(&t->plan, i, SV("duplicate event"));
        t->plan.events[i].taken = taken;
        t->dirty |= taken;
        left |= !taken;
    }
    t->plan.reserved = true;
    return left;
}

// Once for each webhook that became events: its plan has just been recorded for the first time.
static void count_dropped(struct task *t) {
    for (size_t i = 0; i < t->plan.event_count; i++)
        metrics_dropped(t->dispatch->given.metrics, t->shop->name, t->decoded.events[i].dropped, false);
}

static void recorded(struct task *t, const struct change *c, int64_t sent_ms) {
    if (!c->lease_stays)
        t->lease_from_ms = sent_ms;
    t->dirty = t->plan.redrafted = false;
    t->intended = t->intending;
    t->intending = false;
    t->mark_count = 0;
    t->waiting.count = 0;
    if (t->decoded.restocked || t->decoded.privacy) {
        FAILPOINT("part.recorded");
        begin_plan(t);
        return;
    }
    if (t->ignored.p) {
        task_finish(t, JOB_IGNORED, t->ignored);
        return;
    }
    if (c->reserve_count > 0)
        count_dropped(t);
    if (c->reserve_count > 0 && !settle(t, c)) {
        task_finish(t, JOB_IGNORED, SV("duplicate event"));
        return;
    }
    keep_plan(t);
    plan_note(&t->plan, &t->recorded);
    task_advance(t);
}

static void tell(struct task *t, const struct change *c) {
    static const char *const states[] = {[JOB_DONE] = "done", [JOB_DEAD] = "dead", [JOB_IGNORED] = "ignored"};
    struct buf line;
    bool nobody = false;  // an event that Klaviyo cannot get, since nobody knows whose it is
    buf_init(&line, 1 << 14);
    buf_join(&line, SVS(sv_of(states[c->state]), SV(" shop="), sv_of(t->work->name), SV(" source="), t->job.source, SV(" topic="), t->job.topic,
                        SV(" job="), sv_of(t->job.id)));
    for (size_t i = 0; i < t->plan.event_count; i++) {
        buf_join(&line, SVS(SV(" event="), plan_shown_id(&t->arena, t->plan.events[i].id)));
        for (size_t s = 0; s < PLAN_STEPS; s++) {
            const struct step *step = &t->plan.events[i].steps[s];
            buf_join(&line, SVS(SV(" "), sv_of(destinations[s]->name), SV("="), sv_of(step_state_text(step->state))));
            if (sv_present(step->reason))
                buf_join(&line, SVS(SV("("), step->reason, SV(")")));
            nobody |= step->state == STEP_SKIPPED && sv_is(step->reason, "no identifier");
            if (step->state == STEP_SKIPPED)
                metrics_step(t->dispatch->given.metrics, t->shop->name, destinations[s]->name,
                             sv_is(step->reason, "expired") ? "expired" : "skipped");
        }
    }
    if (sv_present(c->reason))
        buf_join(&line, SVS(SV(" reason=\""), c->reason, SV("\"")));
    log_line(c->state == JOB_DEAD || nobody ? LOG_WARN : LOG_INFO, "%s", buf_cstr(&line));
    buf_free(&line);
    if (c->ledger_count > 0)
        ledger_count(t);
}

// conflict: a mark was changed by somebody else since it was seen. Nothing was done; the way goes on from what is there now.
static void conflict(struct task *t, const struct change *c) {
    if (c->kind == CHANGE_ASIDE)
        t->plan.aside = false;
    t->mark_count = 0;
    t->waiting.count = 0;
    t->intending = false;
    if (t->plan.reserved)
        task_advance(t);
    else
        begin_plan(t);
}

void task_confirmed(struct task *t, const struct change *c, int64_t sent_ms) {
    if (c->result == RC_CONFLICT) {
        conflict(t, c);
        return;
    }
    if (c->result == RC_OK && c->kind == CHANGE_RECORD) {
        recorded(t, c, sent_ms);
        return;
    }
    if (c->result != RC_OK)
        log_warn("job dropped shop=%s job=%s: its lease ended and somebody else has it", t->work->name, t->job.id);
    else if (c->kind == CHANGE_FINISH)
        tell(t, c);
    dispatch_ended(t);
}
