// sqlite_verbs.c: accepting, claiming, remembering, counting and clearing up. What a change does is in sqlite_changes.c.
#include "server/store/sqlite/sqlite_verbs.h"

#include "base/clock.h"
#include "base/failpoint.h"

#include <stdio.h>
#include <string.h>

enum { LANE_KEYS_MOST = 8, WAKE_SLICE = 2000, PURGE_SLICE = 500 };  // rows

// A claim brings no more than this many packed bytes, so that many large bodies cannot fill the memory; always one job.
#define CLAIM_BYTES_MOST ((size_t)8 << 20)
// Nothing waits for so long on purpose: a later due comes from a clock that was wrong.
#define WAIT_MOST_MS HOURS_MS(1)
// Seeing a lane key again moves its expiry only this coarsely: most deliveries of a known person then write nothing for it.
#define LANE_REFRESH_MS DAYS_MS(1)

void count_end(struct db *db, struct running *r) {
    if (r->shop.p)
        db_run(db, COUNT_JOBS, VALUES(text(r->shop), number(r->accepted), number(r->by_state[JOB_PENDING]), number(r->by_state[JOB_DONE]),
                                      number(r->by_state[JOB_DEAD]), number(r->by_state[JOB_IGNORED])));
    *r = (struct running){.last_seq = r->last_seq};
}

void count_jobs(struct db *db, struct running *r, struct sv shop, int64_t accepted, enum job_state state, int64_t n) {
    if (!sv_eq(r->shop, shop))
        count_end(db, r);
    r->shop = shop;
    r->accepted += accepted;
    r->by_state[state] += n;
}

void verb_renew(struct db *db, int64_t now, void *args) {
    *(struct running *)args = (struct running){0};
    verb_read_keys(db, now, NULL);
}

void verb_end(struct db *db, int64_t now, void *args) {
    count_end(db, args);
    verb_move_keys(db, now, NULL);
}

// verb_start: the process that held the leases is gone, since there is only one at a time; its claims stay counted.
void verb_start(struct db *db, int64_t now, void *args) {
    (void)args;
    db_run(db, END_LEASES, VALUES(number(now), number(later(now, WAIT_MOST_MS))));
}

// ---- accept

struct binding {
    int64_t lane;  // 0: the key is not bound
    int64_t expires_ms;
};

static bool known_already(struct db *db, int64_t now, const struct delivery *d) {
    for (size_t i = 0; i < d->key_count; i++)
        if (find_key(db, now, d->keys[i]))
            return true;
    return false;
}

// find_lane says what each lane key is bound to now, and which lane that makes; 0: none is bound.
static int64_t find_lane(struct db *db, int64_t now, const struct delivery *d, struct binding *bound) {
    int64_t lane = 0;
    for (size_t i = 0; i < d->lane_key_count; i++) {
        struct query *q = find_key(db, now, d->lane_keys[i]);
        if (!q)
            continue;
        bound[i] = (struct binding){db_number(q, 0), db_number(q, 1)};
        lane = lane == 0 ? bound[i].lane : lane;
    }
    return lane;
}

static void bind_lane_keys(struct db *db, int64_t now, const struct delivery *d, const struct binding *bound, int64_t lane) {
    int64_t expires_ms = later(now, LANE_LIFETIME_MS);
    for (size_t i = 0; i < d->lane_key_count; i++) {
        bool current = bound[i].lane == lane && bound[i].expires_ms > expires_ms - LANE_REFRESH_MS;
        if (!current)
            put_key(db, d->lane_keys[i], number(lane), expires_ms);
    }
}

static void add_to_lane(struct db *db, int64_t now, const struct delivery *d, int64_t seq, int64_t lane) {
    int64_t wanted_ms = later(d->received_ms, d->max_wait_ms);
    db_run(db, JOIN_LANE, VALUES(number(lane), text(d->shop), number(seq), number(now), number(wanted_ms)));
}

static int64_t next_seq(struct db *db, struct running *r) {
    struct query *q = r->last_seq == 0 ? db_query(db, LAST_SEQ, NULL, 0) : NULL;
    if (q && db_step(q))
        r->last_seq = db_number(q, 0);
    return ++r->last_seq;
}

static void add_job(struct db *db, int64_t now, const struct delivery *d, int64_t seq, int64_t lane) {
    bool pending = d->state == JOB_PENDING;
    db_run(db, ADD_JOB, VALUES(number(seq), hex(d->keys[0]), text(d->shop), text(d->source), text(d->topic), pending ? number(lane) : text(SV_NONE),
                               number(d->state), number(d->received_ms), number(later(d->received_ms, d->max_wait_ms)),
                               pending ? text(SV_NONE) : number(now), text(d->reason)));
    FAILPOINT("sqlite.accept.half");
    db_run(db, ADD_BODY, VALUES(number(seq), bytes(d->body)));
}

// The first key is the job's id: it is known for as long as the job is there, and then for as long as the others (verb_purge).
static enum accepted accept_one(struct db *db, int64_t now, struct running *r, const struct delivery *d) {
    if (known_already(db, now, d))
        return ACCEPTED_DUPLICATE;
    struct binding bound[LANE_KEYS_MOST] = {0};
    int64_t seq = next_seq(db, r), lane = find_lane(db, now, d, bound);
    if (lane == 0)
        lane = d->lane_key_count > 0 ? shared_lane(seq) : own_lane(seq);
    add_job(db, now, d, seq, lane);
    for (size_t i = 0; i < d->key_count; i++)
        put_key(db, d->keys[i], number(seq), i == 0 ? INT64_MAX : later(now, IDEMPOTENCY_LIFETIME_MS));
    if (d->state == JOB_PENDING) {
        bind_lane_keys(db, now, d, bound, lane);
        add_to_lane(db, now, d, seq, lane);
    }
    count_jobs(db, r, d->shop, 1, d->state, 1);
    return ACCEPTED_NEW;
}

void verb_accept(struct db *db, int64_t now, void *args) {
    struct accept_args *a = args;
    for (size_t i = 0; i < a->n && db_ok(db); i++)
        a->ret[i] = accept_one(db, now, a->running, &a->deliveries[i]);
}

// ---- claim

struct claimed {
    struct job job;
    int64_t seq, lane;
    struct claimed *next;
};

// A job in a lane of its own says so: its lane has its name.
static void name_lane(struct claimed *one) {
    if (one->lane == own_lane(one->seq))
        memcpy(one->job.lane, one->job.id, sizeof one->job.lane);
    else
        snprintf(one->job.lane, sizeof one->job.lane, "%lld", (long long)one->lane);
}

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
        one->lane = db_number(q, 0);
        one->job.claims = db_number(q, 1) + 1;
        one->seq = db_number(q, 2);
        db_hex(q, 3, one->job.id, sizeof one->job.id);
        name_lane(one);
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
    db_run(db, LEASE_LANE, VALUES(number(one->lane), number(lease_end), hex(sv_of(one->job.token))));
    struct query *q = db_query(db, HURRY, VALUES(number(one->lane), number(one->seq)));
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
        struct query *q = find_key(db, now, l->asked[i].key);
        l->asked[i].ret = q ? arena_dup(l->arena, db_bytes(q, 0)) : SV_NONE;
    }
}

void verb_state_put(struct db *db, int64_t now, void *args) {
    const struct remembered *r = args;
    put_key(db, r->key, bytes(r->value), later(now, r->lifetime_ms));
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
    count_end(db, s->running);
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
    put_key(db, SV("check"), bytes(SV("")), now);
}

static int64_t earlier(int64_t now, int64_t ms) {
    return ms < now ? now - ms : 0;
}

// Shops do not matter here: what is over is over, also for a shop that is no longer configured.
void verb_purge(struct db *db, int64_t now, void *args) {
    struct purge_args *a = args;
    const struct value over[] = {number(earlier(now, a->retention_ms)), number(PURGE_SLICE)};
    struct query *q = db_query(db, PURGED_IDS, over, COUNTOF(over));
    while (db_step(q)) {
        char id[JOB_ID_LEN + 1];
        db_hex(q, 0, id, sizeof id);
        put_key(db, sv_of(id), number(0), later(now, IDEMPOTENCY_LIFETIME_MS));
    }
    db_run(db, PURGE_BODIES, over, COUNTOF(over));
    FAILPOINT("sqlite.purge.half");
    db_run(db, PURGE_PLANS, over, COUNTOF(over));
    db_run(db, PURGE_PROGRESS, over, COUNTOF(over));
    db_run(db, PURGE_JOBS, over, COUNTOF(over));
    a->ret_more = db_changes(db) == PURGE_SLICE;
    db_run(db, PURGE_LINES, VALUES(number(earlier(now, a->ledger_lifetime_ms)), number(PURGE_SLICE)));
    a->ret_more |= db_changes(db) == PURGE_SLICE;
    a->ret_after = purge_keys(db, now, &a->after);
    a->ret_more |= a->ret_after.due > 0;
}
