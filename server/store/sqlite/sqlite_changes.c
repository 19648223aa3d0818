// sqlite_changes.c: what a worker may do with the head that it holds; one function per kind of change.
#include "server/store/sqlite/sqlite_verbs.h"

#include "base/failpoint.h"

typedef void apply(struct db *db, int64_t now, int64_t seq, struct change *c);

static struct sv lane_of(const struct change *c) {
    return sv_of(c->job->lane);
}

static void delay(struct db *db, const struct change *c, int64_t due, bool held) {
    db_run(db, DELAY_LANE, VALUES(text(lane_of(c)), number(due), number(held)));
}

// advance: the head has left; whoever is next in the lane may run at once.
static void advance(struct db *db, int64_t now, struct sv lane) {
    struct query *q = db_query(db, FIRST_OF_LANE, VALUES(text(lane)));
    if (db_step(q))
        db_run(db, ADVANCE_LANE, VALUES(text(lane), number(now), number(db_number(q, 0))));
    else
        db_run(db, DROP_LANE, VALUES(text(lane)));
}

static void record(struct db *db, int64_t now, int64_t seq, struct change *c) {
    (void)seq;
    struct sv id = sv_of(c->job->id);
    for (size_t i = 0; i < c->reserve_count; i++) {
        struct query *q = db_query(db, FIND_KEY, VALUES(text(c->reserve[i]), number(now)));
        c->taken[i] = db_step(q) && !sv_eq(db_bytes(q, 0), id);
        if (!c->taken[i])
            put_key(db, c->reserve[i], id, later(now, c->reserve_lifetime_ms));
    }
    db_run(db, EXTEND_LEASE, VALUES(text(lane_of(c)), number(later(now, c->lease_ms))));
}

static void retry(struct db *db, int64_t now, int64_t seq, struct change *c) {
    (void)seq;
    delay(db, c, later(now, c->delay_ms), false);
}

static void hold(struct db *db, int64_t now, int64_t seq, struct change *c) {
    int64_t due = later(now, c->delay_ms);
    struct query *q = db_query(db, HURRY, VALUES(text(lane_of(c)), number(seq)));
    int64_t wanted = db_step(q) ? db_number(q, 0) : 0;  // 0: nobody behind
    if (wanted != 0 && wanted < due)
        due = wanted < now ? now : wanted;
    delay(db, c, due, true);
}

// A job without lane keys, or one that was moved aside before, is alone in a lane of its own name already.
static void aside(struct db *db, int64_t now, int64_t seq, struct change *c) {
    struct sv own = sv_of(c->job->id);
    int64_t due = later(now, c->delay_ms);
    if (sv_eq(own, lane_of(c))) {
        delay(db, c, due, false);
        return;
    }
    db_run(db, MOVE_JOB, VALUES(number(seq), text(own)));
    FAILPOINT("sqlite.aside.half");
    db_run(db, JOIN_LANE, VALUES(text(own), text(c->job->shop), number(seq), number(due), number(due)));
    advance(db, now, lane_of(c));
}

static void finish(struct db *db, int64_t now, int64_t seq, struct change *c) {
    db_run(db, FINISH_JOB, VALUES(number(seq), number(c->state), text(c->reason), number(now), text(sv_of(c->job->token))));
    FAILPOINT("sqlite.finish.half");
    for (size_t i = 0; i < c->ledger_count; i++)
        db_run(db, ADD_LINE, VALUES(text(c->job->shop), number(now), number(seq * LEDGER_MAX + (int64_t)i), text(c->ledger[i])));
    advance(db, now, lane_of(c));
    int64_t by_state[4] = {[JOB_PENDING] = -1};
    by_state[c->state]++;
    count_jobs(db, c->job->shop, 0, by_state);
}

static void release(struct db *db, int64_t now, int64_t seq, struct change *c) {
    (void)seq;
    db_run(db, RELEASE_LANE, VALUES(text(lane_of(c)), number(now)));
}

static apply *const kinds[] = {
    [CHANGE_RECORD] = record,
    [CHANGE_RETRY] = retry,
    [CHANGE_HOLD] = hold,
    [CHANGE_ASIDE] = aside,
    [CHANGE_FINISH] = finish,
    [CHANGE_RELEASE] = release,
};

// Who repeats a finish, because its answer was lost, hears that it is finished.
static bool finished_before(struct db *db, const struct change *c) {
    return c->kind == CHANGE_FINISH &&
           db_step(db_query(db, FIND_FINISHED_BY, VALUES(text(sv_of(c->job->id)), text(sv_of(c->job->token)))));
}

// A change that is repeated, because its answer was lost, finds its marks set already.
static bool mark_holds(struct db *db, int64_t now, const struct mark *m) {
    struct query *q = db_query(db, FIND_KEY, VALUES(text(m->key), number(now)));
    struct sv seen = db_step(q) ? db_bytes(q, 0) : SV_NONE;
    bool as_expected = seen.p ? m->expect.p && sv_eq(seen, m->expect) : !m->expect.p;
    return as_expected || (seen.p && sv_eq(seen, m->value));
}

static bool marks_hold(struct db *db, int64_t now, const struct change *c) {
    for (size_t i = 0; i < c->mark_count; i++)
        if (!mark_holds(db, now, &c->marks[i]))
            return false;
    return true;
}

static void put_mark(struct db *db, int64_t now, const struct mark *m) {
    put_key(db, m->key, m->value, later(now, m->lifetime_ms));
}

static enum rc change(struct db *db, int64_t now, struct change *c) {
    const struct job *job = c->job;
    struct query *q = db_query(db, FIND_LEASED_HEAD, VALUES(text(lane_of(c)), text(sv_of(job->token)), text(sv_of(job->id))));
    if (!db_step(q))
        return finished_before(db, c) ? RC_OK : RC_STALE;
    int64_t seq = db_number(q, 0);
    if (!marks_hold(db, now, c))
        return RC_CONFLICT;
    for (size_t i = 0; i < c->mark_count; i++)
        put_mark(db, now, &c->marks[i]);
    put_plan(db, seq, c->plan, c->progress);
    for (size_t i = 0; i < c->remember_count; i++)
        put_key(db, c->remember[i].key, c->remember[i].value, later(now, c->remember[i].lifetime_ms));
    kinds[c->kind](db, now, seq, c);
    return RC_OK;
}

void verb_commit(struct db *db, int64_t now, void *args) {
    struct commit_args *a = args;
    for (size_t i = 0; i < a->n; i++)
        a->changes[i].result = change(db, now, &a->changes[i]);
}

void verb_state_swap(struct db *db, int64_t now, void *args) {
    struct state_swap_args *s = args;
    s->ret_held = mark_holds(db, now, s->mark);
    if (s->ret_held)
        put_mark(db, now, s->mark);
}
