// sqlite_erase.c: what is kept of the people of a shop on SQLite, looked through and taken away.
#include "server/store/sqlite/sqlite_verbs.h"

#include "base/failpoint.h"

#define LOOK_MOST 500                  // records that one call looks at: accepts wait meanwhile
#define BYTES_ENOUGH ((size_t)4 << 20)

// The columns of JOB_BODIES, VALUES_AFTER and LATE_VALUES_AFTER, where the key is ID.
enum column { AFTER, BYTES, ID, SHOP, STATE, RECEIVED, SOURCE, TOPIC };

// Marks are text, ids and lanes numbers; what is sealed begins with the version of its form. Whose a value is shows when it is opened.
static bool is_sealed(struct sv value) {
    return value.n > 0 && (value.p[0] == 1 || value.p[0] == 2);
}

static struct kept read_job(struct arena *a, struct query *q) {
    struct kept k = {.kind = KEPT_JOBS, .state = (enum job_state)db_number(q, STATE), .received_ms = db_number(q, RECEIVED),
                     .source = arena_dup(a, db_bytes(q, SOURCE)), .topic = arena_dup(a, db_bytes(q, TOPIC)),
                     .text = arena_dup(a, db_bytes(q, BYTES))};
    db_hex(q, ID, k.id, sizeof k.id);
    return k;
}

static struct kept read_value(struct arena *a, struct query *q, enum column key) {
    struct kept k = {.kind = KEPT_VALUES, .text = arena_dup(a, db_bytes(q, BYTES))};
    db_hex(q, (int)key, k.id, sizeof k.id);
    return k;
}

// Values that are late (sqlite_keys.c) come first: one that is moved meanwhile comes twice. A page of them ends at "n" and its n, one of
// the others at "k" and its key.
static struct query *look_after(struct db *db, const struct kept_args *k, bool late) {
    int64_t n = k->after_job;
    if (k->kind == KEPT_JOBS)
        return db_query(db, JOB_BODIES, VALUES(number(n), number(LOOK_MOST)));
    struct sv after = sv_sub(k->after, 1, k->after.n);
    if (!late)
        return db_query(db, VALUES_AFTER, VALUES(hex(after), number(LOOK_MOST)));
    return db_query(db, LATE_VALUES_AFTER, VALUES(number(sv_i64(after, &n) ? n : 0), number(LOOK_MOST)));
}

static struct sv place_of(struct arena *a, struct query *q, bool jobs, bool late) {
    char key[2 * 32 + 1];
    if (jobs || late)
        return arena_fmt(a, "%s%lld", jobs ? "" : "n", (long long)db_number(q, AFTER));
    db_hex(q, AFTER, key, sizeof key);
    return arena_fmt(a, "k%s", key);
}

void verb_kept(struct db *db, int64_t now, void *args) {
    (void)now;
    struct kept_args *k = args;
    bool jobs = k->kind == KEPT_JOBS, late = !jobs && !sv_starts(k->after, SV("k"));
    struct query *q = look_after(db, k, late);
    size_t looked = 0, room = BYTES_ENOUGH;
    k->ret = ARENA_ARRAY(k->arena, struct kept, LOOK_MOST);
    k->ret_count = 0;
    while (room > 0 && db_step(q)) {
        struct sv bytes = db_bytes(q, BYTES);
        bool wanted = jobs ? sv_eq(db_bytes(q, SHOP), k->shop) : is_sealed(bytes);
        looked++;
        k->ret_next = place_of(k->arena, q, jobs, late);
        if (!wanted)
            continue;
        k->ret[k->ret_count++] = jobs ? read_job(k->arena, q) : read_value(k->arena, q, late ? ID : AFTER);
        room -= bytes.n < room ? bytes.n : room;
    }
    if (looked < LOOK_MOST && room > 0)
        k->ret_next = late ? SV("k") : SV_NONE;
}

static void erase_job(struct db *db, int64_t now, const struct erase_args *e, const struct kept *job) {
    struct sv id = sv_of(job->id);
    int64_t seq = seq_of(db, now, id);
    struct query *q = db_query(db, FIND_JOB, VALUES(number(seq), hex(id), text(e->shop)));
    enum { LANE = 10 };
    if (!db_step(q))
        return;
    int64_t lane = db_number(q, LANE);
    db_run(db, ERASE_BODY, VALUES(number(seq), bytes(job->text)));
    db_run(db, ERASE_PLAN, VALUES(number(seq)));
    db_run(db, DROP_PROGRESS, VALUES(number(seq)));
    if (!sv_eq(e->own, id))
        db_run(db, END_LEASE_OF, VALUES(number(lane), number(seq), number(now)));
}

void verb_erase(struct db *db, int64_t now, void *args) {
    const struct erase_args *e = args;
    for (size_t i = 0; i < e->n; i++) {
        if (e->erased[i].kind == KEPT_JOBS)
            erase_job(db, now, e, &e->erased[i]);
        else
            erase_key(db, sv_of(e->erased[i].id));
        FAILPOINT("sqlite.erase.half");
    }
}
