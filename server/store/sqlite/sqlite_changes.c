// sqlite_changes.c: what a worker may do with the head that it holds; one function per kind of change.
#include "server/store/sqlite/sqlite_verbs.h"

#include "base/failpoint.h"

struct head {
    int64_t lane, seq, due, claims;
    struct running *running;
};

typedef void apply(struct db *db, int64_t now, const struct head *h, struct change *c);

static void delay(struct db *db, const struct head *h, int64_t due, bool held) {
    db_run(db, DELAY_LANE, VALUES(number(h->lane), number(due), number(held)));
}

// advance: the head has left; whoever is next in the lane may run at once, and is due since it came: else each lane of a backlog would
// be due more lately than what has just come.
static void advance(struct db *db, int64_t now, int64_t lane) {
    struct query *q = db_query(db, FIRST_OF_LANE, VALUES(number(lane)));
    if (!db_step(q)) {
        db_run(db, DROP_LANE, VALUES(number(lane)));
        return;
    }
    int64_t came_ms = db_number(q, 1);
    db_run(db, ADVANCE_LANE, VALUES(number(lane), number(came_ms < now ? came_ms : now), number(db_number(q, 0))));
}

static void record(struct db *db, int64_t now, const struct head *h, struct change *c) {
    for (size_t i = 0; i < c->reserve_count; i++) {
        struct query *q = find_key(db, now, c->reserve[i]);
        c->taken[i] = q && db_number(q, 0) != h->seq;
        if (!c->taken[i])
            put_key(db, c->reserve[i], number(h->seq), later(now, c->reserve_lifetime_ms));
    }
    if (!c->lease_stays || h->due <= now || h->claims > 1)
        db_run(db, EXTEND_LEASE, VALUES(number(h->lane), number(later(now, c->lease_ms))));
}

static void retry(struct db *db, int64_t now, const struct head *h, struct change *c) {
    delay(db, h, later(now, c->delay_ms), false);
}

static void hold(struct db *db, int64_t now, const struct head *h, struct change *c) {
    int64_t due = later(now, c->delay_ms);
    struct query *q = db_query(db, HURRY, VALUES(number(h->lane), number(h->seq)));
    int64_t wanted = db_step(q) ? db_number(q, 0) : 0;  // 0: nobody behind
    if (wanted != 0 && wanted < due)
        due = wanted < now ? now : wanted;
    delay(db, h, due, true);
}

// A job without lane keys, or one that was moved aside before, is alone in its own lane already.
static void aside(struct db *db, int64_t now, const struct head *h, struct change *c) {
    int64_t own = own_lane(h->seq), due = later(now, c->delay_ms);
    if (h->lane == own) {
        delay(db, h, due, false);
        return;
    }
    db_run(db, MOVE_JOB, VALUES(number(h->seq), number(own)));
    FAILPOINT("sqlite.aside.half");
    db_run(db, JOIN_LANE, VALUES(number(own), text(c->job->shop), number(h->seq), number(due), number(due)));
    advance(db, now, h->lane);
}

static void finish(struct db *db, int64_t now, const struct head *h, struct change *c) {
    db_run(db, FINISH_JOB, VALUES(number(h->seq), number(c->state), text(c->reason), number(now), hex(sv_of(c->job->token))));
    FAILPOINT("sqlite.finish.half");
    for (size_t i = 0; i < c->ledger_count; i++)
        db_run(db, ADD_LINE, VALUES(text(c->job->shop), number(now), number(h->seq * LEDGER_MAX + (int64_t)i), text(c->ledger[i])));
    advance(db, now, h->lane);
    count_jobs(db, h->running, c->job->shop, 0, JOB_PENDING, -1);
    count_jobs(db, h->running, c->job->shop, 0, c->state, 1);
}

static void release(struct db *db, int64_t now, const struct head *h, struct change *c) {
    (void)c;
    db_run(db, RELEASE_LANE, VALUES(number(h->lane), number(now)));
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
static bool finished_before(struct db *db, int64_t now, const struct change *c) {
    return c->kind == CHANGE_FINISH &&
           db_step(db_query(db, FINISHED_BY, VALUES(number(seq_of(db, now, sv_of(c->job->id))), hex(sv_of(c->job->token)))));
}

// A change that is repeated, because its answer was lost, finds its marks set already.
static bool mark_holds(struct db *db, int64_t now, const struct mark *m) {
    struct query *q = find_key(db, now, m->key);
    struct sv seen = q ? db_bytes(q, 0) : SV_NONE;
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
    put_key(db, m->key, bytes(m->value), later(now, m->lifetime_ms));
}

// find_head: seq 0: that job is not at the head of that lane any more: a token is drawn for each claim, and goes with the head.
static struct head find_head(struct db *db, int64_t now, const struct job *job, struct running *running) {
    struct sv id = sv_of(job->id);
    struct head h = {.running = running};
    if (sv_is(id, job->lane))
        h.lane = own_lane(seq_of(db, now, id));
    else if (!sv_i64(sv_of(job->lane), &h.lane))
        return h;
    struct query *q = db_query(db, FIND_LEASED_HEAD, VALUES(number(h.lane), hex(sv_of(job->token))));
    if (!db_step(q))
        return h;
    h.seq = db_number(q, 0);
    h.due = db_number(q, 1);
    h.claims = db_number(q, 2);
    return h;
}

void put_plan(struct db *db, int64_t seq, struct sv plan, struct sv progress) {
    if (plan.p)
        db_run(db, ADD_PLAN, VALUES(number(seq), bytes(plan)));
    if (plan.p && db_changes(db) == 0) {  // there was one
        db_run(db, CHANGE_PLAN, VALUES(number(seq), bytes(plan)));
        db_run(db, DROP_PROGRESS, VALUES(number(seq)));
    }
    if (progress.p)
        db_run(db, PUT_PROGRESS, VALUES(number(seq), bytes(progress)));
}

static enum rc change(struct db *db, int64_t now, struct change *c, struct running *running) {
    struct head h = find_head(db, now, c->job, running);
    if (h.seq == 0)
        return finished_before(db, now, c) ? RC_OK : RC_STALE;
    if (!marks_hold(db, now, c))
        return RC_CONFLICT;
    for (size_t i = 0; i < c->mark_count; i++)
        put_mark(db, now, &c->marks[i]);
    put_plan(db, h.seq, c->plan, c->progress);
    for (size_t i = 0; i < c->remember_count; i++)
        put_key(db, c->remember[i].key, bytes(c->remember[i].value), later(now, c->remember[i].lifetime_ms));
    kinds[c->kind](db, now, &h, c);
    return RC_OK;
}

void verb_commit(struct db *db, int64_t now, void *args) {
    struct commit_args *a = args;
    for (size_t i = 0; i < a->n; i++)
        a->changes[i].result = change(db, now, &a->changes[i], a->running);
}

void verb_state_swap(struct db *db, int64_t now, void *args) {
    struct state_swap_args *s = args;
    s->ret_held = mark_holds(db, now, s->mark);
    if (s->ret_held)
        put_mark(db, now, s->mark);
}
