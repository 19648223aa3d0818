// sqlite_verbs.c: accepting, claiming, remembering, counting and clearing up. What a change does is in sqlite_changes.c.
#include "server/store/sqlite/sqlite_verbs.h"

#include "base/clock.h"
#include "base/failpoint.h"

#include <stdio.h>
#include <string.h>

enum { LANE_KEYS_MOST = 8, WAKE_SLICE = 2000 };

// A claim brings no more than this many packed bytes, so that many large bodies cannot fill the memory; always one job.
#define CLAIM_BYTES_MOST ((size_t)8 << 20)
// Nothing waits for so long on purpose: a later due comes from a clock that was wrong.
#define WAIT_MOST_MS HOURS_MS(1)
// Seeing a lane key again moves its expiry only this coarsely: most deliveries of a known person then write nothing for it.
#define LANE_REFRESH_MS DAYS_MS(1)

void put_key(struct db *db, struct sv key, struct sv value, int64_t expires_ms) {
    db_run(db, PUT_KEY, VALUES(text(key), bytes(value), number(expires_ms)));
}

void put_plan(struct db *db, int64_t seq, struct sv plan, struct sv progress) {
    if (plan.p) {
        db_run(db, PUT_PLAN, VALUES(number(seq), bytes(plan)));
        db_run(db, DROP_PROGRESS, VALUES(number(seq)));
    }
    if (progress.p)
        db_run(db, PUT_PROGRESS, VALUES(number(seq), bytes(progress)));
}

void count_jobs(struct db *db, struct sv shop, int64_t accepted, const int64_t by_state[4]) {
    db_run(db, COUNT_JOBS, VALUES(text(shop), number(accepted), number(by_state[JOB_PENDING]), number(by_state[JOB_DONE]),
                                  number(by_state[JOB_DEAD]), number(by_state[JOB_IGNORED])));
}

static void copy_text(char *out, size_t size, struct sv s) {
    snprintf(out, size, SV_FMT, SV_ARG(s));
}

// verb_start: the process that held the leases is gone, since there is only one at a time; its claims stay counted.
void verb_start(struct db *db, int64_t now, void *args) {
    (void)args;
    db_run(db, END_LEASES, VALUES(number(now), number(later(now, WAIT_MOST_MS))));
}

// ---- accept

struct binding {
    char lane[KEY_LEN + 1];  // "": the key is not bound
    int64_t expires_ms;
};

static bool known_already(struct db *db, int64_t now, const struct delivery *d) {
    for (size_t i = 0; i < d->key_count; i++)
        if (db_step(db_query(db, FIND_KEY, VALUES(text(d->keys[i]), number(now)))))
            return true;
    return false;
}

// find_lane writes the lane's name, KEY_LEN characters and a NUL, and what each lane key is bound to now.
static void find_lane(struct db *db, int64_t now, const struct delivery *d, const char *id, struct binding *bound, char *lane) {
    struct sv name = d->lane_key_count > 0 ? d->lane_keys[0] : sv_of(id);
    copy_text(lane, KEY_LEN + 1, name);
    bool found = false;
    for (size_t i = 0; i < d->lane_key_count; i++) {
        struct query *q = db_query(db, FIND_KEY, VALUES(text(d->lane_keys[i]), number(now)));
        if (!db_step(q))
            continue;
        copy_text(bound[i].lane, sizeof bound[i].lane, db_bytes(q, 0));
        bound[i].expires_ms = db_number(q, 1);
        if (!found)
            copy_text(lane, KEY_LEN + 1, sv_of(bound[i].lane));
        found = true;
    }
}

static void bind_lane_keys(struct db *db, int64_t now, const struct delivery *d, const struct binding *bound, const char *lane) {
    int64_t expires_ms = later(now, LANE_LIFETIME_MS);
    for (size_t i = 0; i < d->lane_key_count; i++) {
        bool current = strcmp(bound[i].lane, lane) == 0 && bound[i].expires_ms > expires_ms - LANE_REFRESH_MS;
        if (!current)
            put_key(db, d->lane_keys[i], sv_of(lane), expires_ms);
    }
}

static void add_to_lane(struct db *db, int64_t now, const struct delivery *d, const char *lane, int64_t seq) {
    int64_t wanted_ms = later(d->received_ms, d->max_wait_ms);
    db_run(db, JOIN_LANE, VALUES(text(sv_of(lane)), text(d->shop), number(seq), number(now), number(wanted_ms)));
}

static enum accepted accept_one(struct db *db, int64_t now, const struct delivery *d, const char *id) {
    if (known_already(db, now, d))
        return ACCEPTED_DUPLICATE;
    bool pending = d->state == JOB_PENDING;
    struct binding bound[LANE_KEYS_MOST] = {0};
    char lane[KEY_LEN + 1] = "";
    if (pending)
        find_lane(db, now, d, id, bound, lane);
    db_run(db, ADD_JOB, VALUES(text(sv_of(id)), text(d->shop), text(d->source), text(d->topic),
                               text(pending ? sv_of(lane) : SV_NONE), number(d->state), number(d->received_ms),
                               number(later(d->received_ms, d->max_wait_ms)), pending ? text(SV_NONE) : number(now), text(d->reason)));
    if (db_changes(db) == 0)  // its keys are forgotten, but the job is still here
        return ACCEPTED_DUPLICATE;
    int64_t seq = db_inserted(db);
    FAILPOINT("sqlite.accept.half");
    db_run(db, ADD_BODY, VALUES(number(seq), bytes(d->body)));
    for (size_t i = 0; i < d->key_count; i++)
        put_key(db, d->keys[i], sv_of(id), later(now, IDEMPOTENCY_LIFETIME_MS));
    if (pending) {
        bind_lane_keys(db, now, d, bound, lane);
        add_to_lane(db, now, d, lane, seq);
    }
    int64_t by_state[4] = {0};
    by_state[d->state] = 1;
    count_jobs(db, d->shop, 1, by_state);
    return ACCEPTED_NEW;
}

void verb_accept(struct db *db, int64_t now, void *args) {
    struct accept_args *a = args;
    for (size_t i = 0; i < a->n && db_ok(db); i++)
        a->ret[i] = accept_one(db, now, &a->deliveries[i], a->ids[i]);
}

// ---- claim

struct claimed {
    struct job job;
    int64_t seq;
    struct claimed *next;
};

static struct query *due_heads(struct db *db, int64_t now, const struct claim *c, bool lately) {
    size_t n = lately ? c->lately : c->max;
    int64_t max = n > INT64_MAX ? INT64_MAX : (int64_t)n;
    return lately ? db_query(db, LATELY_DUE_LANES, VALUES(text(c->shop), number(now), number(max), number(now - DUE_LATELY_MS)))
                  : db_query(db, DUE_LANES, VALUES(text(c->shop), number(now), number(max)));
}

// read_due appends the due heads of one shop to *tail; *room is what may still be read in bytes.
static struct claimed **read_due(struct db *db, int64_t now, struct arena *a, const struct claim *c, bool lately, struct claimed **tail, size_t *room) {
    if (*room == 0 || (lately ? c->lately : c->max) == 0)
        return tail;
    struct query *q = due_heads(db, now, c, lately);
    while (*room > 0 && db_step(q)) {
        struct claimed *one = ARENA_NEW(a, struct claimed);
        copy_text(one->job.lane, sizeof one->job.lane, db_bytes(q, 0));
        one->job.claims = db_number(q, 1) + 1;
        one->seq = db_number(q, 2);
        copy_text(one->job.id, sizeof one->job.id, db_bytes(q, 3));
        one->job.shop = arena_dup(a, c->shop);
        one->job.source = arena_dup(a, db_bytes(q, 4));
        one->job.topic = arena_dup(a, db_bytes(q, 5));
        one->job.received_ms = db_number(q, 6);
        one->job.body = arena_dup(a, db_bytes(q, 7));
        one->job.plan = arena_dup(a, db_bytes(q, 8));
        one->job.progress = arena_dup(a, db_bytes(q, 9));
        size_t size = one->job.body.n + one->job.plan.n + one->job.progress.n;
        *room = size < *room ? *room - size : 0;
        *tail = one;
        tail = &one->next;
    }
    return tail;
}

static void lease(struct db *db, struct claimed *one, int64_t lease_end) {
    unsigned char random[TOKEN_LEN / 2];
    random_bytes(random, sizeof random);
    hex_into(one->job.token, random, sizeof random);
    struct sv lane = sv_of(one->job.lane);
    db_run(db, LEASE_LANE, VALUES(text(lane), number(lease_end), text(sv_of(one->job.token))));
    struct query *q = db_query(db, HURRY, VALUES(text(lane), number(one->seq)));
    if (db_step(q))
        one->job.hurry_ms = db_number(q, 0);  // NULL, nobody behind: 0
}

// What was leased just now ends at lease_end and does not count: its owner is here.
static int64_t next_due(struct db *db, int64_t now, const struct claim_args *c, int64_t lease_end) {
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < c->n; i++) {
        struct query *q = db_query(db, NEXT_DUE, VALUES(text(c->claims[i].shop), number(lease_end)));
        if (!db_step(q))
            continue;
        int64_t wait = db_number(q, 0) <= now ? 0 : db_number(q, 0) - now;
        least = wait < least ? wait : least;
    }
    return least;
}

void verb_claim(struct db *db, int64_t now, void *args) {
    struct claim_args *c = args;
    struct claimed *first = NULL, **tail = &first;
    size_t room = CLAIM_BYTES_MOST;
    int64_t lease_end = later(now, c->lease_ms);
    c->ret_count = 0;
    for (size_t i = 0; i < 2 * c->n; i++) {
        struct claimed **from = tail;
        tail = read_due(db, now, c->arena, &c->claims[i / 2], i % 2 == 0, tail, &room);
        for (struct claimed *one = *from; one; one = one->next) {
            lease(db, one, lease_end);
            FAILPOINT("sqlite.claim.half");
            c->ret_count++;
        }
    }
    c->ret = ARENA_ARRAY(c->arena, struct job, c->ret_count);
    size_t i = 0;
    for (struct claimed *one = first; one; one = one->next)
        c->ret[i++] = one->job;
    c->ret_next_due_ms = next_due(db, now, c, lease_end);
}

void verb_wake(struct db *db, int64_t now, void *args) {
    struct wake_args *w = args;
    db_run(db, WAKE_LANES, VALUES(text(w->shop), number(now), number(WAKE_SLICE), number(now - DUE_LATELY_MS)));
    w->ret_more = db_changes(db) == WAKE_SLICE;
}

// ---- remembered state, counters, clearing up

// Keys are hashes that the shop went into, so the shop is not needed here.
void verb_look_up(struct db *db, int64_t now, void *args) {
    struct look_up_args *l = args;
    for (size_t i = 0; i < l->n; i++) {
        struct query *q = db_query(db, FIND_KEY, VALUES(text(l->asked[i].key), number(now)));
        l->asked[i].ret = db_step(q) ? arena_dup(l->arena, db_bytes(q, 0)) : SV_NONE;
    }
}

void verb_state_put(struct db *db, int64_t now, void *args) {
    const struct remembered *r = args;
    put_key(db, r->key, r->value, later(now, r->lifetime_ms));
}

void verb_ledger(struct db *db, int64_t now, void *args) {
    (void)now;
    struct ledger_args *l = args;
    l->ret = ARENA_ARRAY(l->arena, struct ledger_line, LEDGER_PAGE);
    l->ret_count = 0;
    struct query *q = db_query(db, LINES_AFTER, VALUES(text(l->shop), number(l->after_ms), number(l->after_n), number(LEDGER_PAGE)));
    while (l->ret_count < LEDGER_PAGE && db_step(q))
        l->ret[l->ret_count++] = (struct ledger_line){db_number(q, 0), db_number(q, 1), arena_dup(l->arena, db_bytes(q, 2))};
}

void verb_stats(struct db *db, int64_t now, void *args) {
    (void)now;
    struct stats_args *s = args;
    s->ret = (struct store_stats){0};
    struct query *q = db_query(db, COUNTS, VALUES(text(s->shop)));
    if (db_step(q))
        s->ret = (struct store_stats){.accepted = db_number(q, 0), .pending = db_number(q, 1), .done = db_number(q, 2),
                                      .dead = db_number(q, 3), .ignored = db_number(q, 4)};
    q = db_query(db, OLDEST_PENDING, VALUES(text(s->shop)));
    if (db_step(q))
        s->ret.oldest_pending_ms = db_number(q, 0);
}

// Writable is what has just been written to: one key that nobody asks for, forgotten at once.
void verb_check(struct db *db, int64_t now, void *args) {
    (void)args;
    put_key(db, SV("check"), SV(""), now);
}

static int64_t earlier(int64_t now, int64_t ms) {
    return ms < now ? now - ms : 0;
}

// Shops do not matter here: what is over is over, also for a shop that is no longer configured.
void verb_purge(struct db *db, int64_t now, void *args) {
    const struct purge_args *a = args;
    const struct value before = number(earlier(now, a->retention_ms));
    db_run(db, PURGE_BODIES, &before, 1);
    FAILPOINT("sqlite.purge.half");
    db_run(db, PURGE_PLANS, &before, 1);
    db_run(db, PURGE_PROGRESS, &before, 1);
    db_run(db, PURGE_JOBS, &before, 1);
    db_run(db, PURGE_KEYS, VALUES(number(now)));
    db_run(db, PURGE_LINES, VALUES(number(earlier(now, a->ledger_lifetime_ms))));
}
