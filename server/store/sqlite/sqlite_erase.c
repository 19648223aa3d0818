// sqlite_erase.c: what is kept of the people of a shop on SQLite, looked through and taken away.
#include "server/store/sqlite/sqlite_verbs.h"

#include <stdio.h>

#define LOOK_MOST 500                  // records that one call looks at: accepts wait meanwhile
#define BYTES_ENOUGH ((size_t)4 << 20)

// The columns of JOB_BODIES and VALUES_AFTER.
enum column { AFTER, BYTES, ID, SHOP, STATE, RECEIVED, SOURCE, TOPIC };

// Marks and the ids of jobs are text; what is sealed begins with the version of its form. Whose a value is shows when it is opened.
static bool is_sealed(struct sv value) {
    return value.n > 0 && (value.p[0] == 1 || value.p[0] == 2);
}

static struct kept read_job(struct arena *a, struct query *q) {
    struct kept k = {.kind = KEPT_JOBS, .state = (enum job_state)db_number(q, STATE), .received_ms = db_number(q, RECEIVED),
                     .source = arena_dup(a, db_bytes(q, SOURCE)), .topic = arena_dup(a, db_bytes(q, TOPIC)),
                     .text = arena_dup(a, db_bytes(q, BYTES))};
    snprintf(k.id, sizeof k.id, SV_FMT, SV_ARG(db_bytes(q, ID)));
    return k;
}

static struct kept read_value(struct arena *a, struct query *q) {
    struct kept k = {.kind = KEPT_VALUES, .text = arena_dup(a, db_bytes(q, BYTES))};
    snprintf(k.id, sizeof k.id, SV_FMT, SV_ARG(db_bytes(q, AFTER)));
    return k;
}

void verb_kept(struct db *db, int64_t now, void *args) {
    (void)now;
    struct kept_args *k = args;
    bool jobs = k->kind == KEPT_JOBS;
    struct value after = jobs ? number(k->after_job) : text(sv_first(k->after, SV("")));
    struct query *q = db_query(db, jobs ? JOB_BODIES : VALUES_AFTER, VALUES(after, number(LOOK_MOST)));
    size_t looked = 0, room = BYTES_ENOUGH;
    k->ret = ARENA_ARRAY(k->arena, struct kept, LOOK_MOST);
    while (room > 0 && db_step(q)) {
        struct sv bytes = db_bytes(q, BYTES);
        bool wanted = jobs ? sv_eq(db_bytes(q, SHOP), k->shop) : is_sealed(bytes);
        looked++;
        k->ret_next = arena_dup(k->arena, db_bytes(q, AFTER));
        if (!wanted)
            continue;
        k->ret[k->ret_count++] = jobs ? read_job(k->arena, q) : read_value(k->arena, q);
        room -= bytes.n < room ? bytes.n : room;
    }
    if (looked < LOOK_MOST && room > 0)
        k->ret_next = SV_NONE;
}

static void erase_job(struct db *db, int64_t now, const struct erase_args *e, const struct kept *job) {
    struct query *q = db_query(db, FIND_JOB, VALUES(text(sv_of(job->id)), text(e->shop)));
    enum { SEQ = 0, LANE = 10 };
    char lane[KEY_LEN + 1];
    if (!db_step(q))
        return;
    int64_t seq = db_number(q, SEQ);
    snprintf(lane, sizeof lane, SV_FMT, SV_ARG(db_bytes(q, LANE)));
    db_run(db, ERASE_BODY, VALUES(number(seq), bytes(job->text)));
    db_run(db, ERASE_PLAN, VALUES(number(seq)));
    db_run(db, DROP_PROGRESS, VALUES(number(seq)));
    if (!sv_eq(e->own, sv_of(job->id)))
        db_run(db, END_LEASE_OF, VALUES(text(sv_of(lane)), number(seq), number(now)));
}

void verb_erase(struct db *db, int64_t now, void *args) {
    const struct erase_args *e = args;
    for (size_t i = 0; i < e->n; i++)
        if (e->erased[i].kind == KEPT_JOBS)
            erase_job(db, now, e, &e->erased[i]);
        else
            db_run(db, ERASE_VALUE, VALUES(text(sv_of(e->erased[i].id))));
}
