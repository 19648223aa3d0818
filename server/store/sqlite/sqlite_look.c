// sqlite_look.c: what people ask of the store on SQLite: which jobs there are, and to try a dead one again.
#include "server/store/sqlite/sqlite_verbs.h"

#include "base/failpoint.h"

#define LOOK_MOST 2000  // jobs that one call looks at: accepts wait meanwhile

// The columns of LIST_JOBS and FIND_JOB; only that one has LANE, NULL for a job that never had one.
enum column { SEQ, ID, SHOP, STATE, SOURCE, TOPIC, RECEIVED, REASON, PLAN, PROGRESS, LANE };

static struct job_view read_view(struct arena *a, struct query *q) {
    struct job_view view = {
        .state = (enum job_state)db_number(q, STATE),
        .source = arena_dup(a, db_bytes(q, SOURCE)),
        .topic = arena_dup(a, db_bytes(q, TOPIC)),
        .received_ms = db_number(q, RECEIVED),
        .reason = arena_dup(a, db_bytes(q, REASON)),
        .plan = arena_dup(a, db_bytes(q, PLAN)),
        .progress = arena_dup(a, db_bytes(q, PROGRESS)),
    };
    db_hex(q, ID, view.id, sizeof view.id);
    return view;
}

void verb_list(struct db *db, int64_t now, void *args) {
    (void)now;
    struct list_args *l = args;
    size_t max = l->query->max < LOOK_MOST ? l->query->max : LOOK_MOST;
    int64_t looked = 0, last = l->after;
    l->ret = ARENA_ARRAY(l->arena, struct job_view, max + 1);
    l->ret_count = 0;
    struct query *q = db_query(db, LIST_JOBS, VALUES(number(l->after), number(LOOK_MOST)));
    for (; l->ret_count < max && db_step(q); looked++) {
        last = db_number(q, SEQ);
        if (db_number(q, STATE) == l->query->state && sv_eq(db_bytes(q, SHOP), l->query->shop))
            l->ret[l->ret_count++] = read_view(l->arena, q);
    }
    l->ret_next = l->ret_count == max || looked == LOOK_MOST ? last : 0;
}

void verb_find(struct db *db, int64_t now, void *args) {
    struct find_args *f = args;
    struct query *q = db_query(db, FIND_JOB, VALUES(number(seq_of(db, now, f->id)), hex(f->id), text(f->shop)));
    f->ret_found = db_step(q);
    if (f->ret_found)
        f->ret = read_view(f->arena, q);
}

// Its seq is its place: behind the head, before all that was accepted later. A hold of the head is not shortened.
void verb_redrive(struct db *db, int64_t now, void *args) {
    struct redrive_args *r = args;
    struct query *q = db_query(db, FIND_JOB, VALUES(number(seq_of(db, now, r->id)), hex(r->id), text(r->shop)));
    r->ret_found = db_step(q);
    r->ret_redriven = r->ret_found && db_number(q, STATE) == JOB_DEAD;
    if (!r->ret_redriven)
        return;
    int64_t seq = db_number(q, SEQ), lane = db_number(q, LANE) != 0 ? db_number(q, LANE) : own_lane(seq);
    db_run(db, REOPEN_JOB, VALUES(number(seq), number(lane)));
    FAILPOINT("sqlite.redrive.half");
    db_run(db, JOIN_LANE, VALUES(number(lane), text(r->shop), number(seq), number(now), number(INT64_MAX)));
    put_plan(db, seq, r->plan, SV_NONE);
    count_jobs(db, r->running, r->shop, 0, JOB_PENDING, 1);
    count_jobs(db, r->running, r->shop, 0, JOB_DEAD, -1);
}
