// store_round.c: the verbs of those who work on jobs: changes, questions, claims, one at a time or all in one round.
#include "server/store/store_parts.h"

#include <string.h>

// ---- claims

static void unpack_job(const struct store *s, struct arena *a, struct job *job) {
    struct err e = {0};
    struct sv id = sv_of(job->id);
    if (!job->body.p)
        err_set(&e, RC_NOT_FOUND, "the store has no body for this job");
    else if (store_unpack(s, a, job->shop, "body", id, &job->body, &e) == RC_OK && store_unpack(s, a, job->shop, "plan", id, &job->plan, &e) == RC_OK &&
             store_unpack(s, a, job->shop, "progress", id, &job->progress, &e) == RC_OK)
        return;
    job->unreadable = arena_dup(a, sv_of(e.text));
    job->body = job->plan = job->progress = SV_NONE;
}

static enum rc unpack_jobs(const struct store *s, struct arena *a, struct job *jobs, size_t n, struct err *e) {
    for (size_t i = 0; i < n; i++)
        unpack_job(s, a, &jobs[i]);
    if (arena_ok(a))  // else nothing that was unpacked can be trusted; the leases end by themselves
        return RC_OK;
    return err_set(e, RC_TOO_LARGE, "store: the claimed jobs need more memory than they may have; claim fewer at a time");
}

enum rc store_claim(struct store *s, struct arena *a, const struct claim *claims, size_t n, int64_t lease_ms,
                    struct job **ret, size_t *ret_count, int64_t *ret_next_due_ms, struct err *e) {
    struct job *jobs = NULL;
    size_t count = 0;
    int64_t next_due_ms = INT64_MAX;
    enum rc rc = s->ops->claim(s->engine, a, claims, n, lease_ms, &jobs, &count, &next_due_ms, e);
    if (rc == RC_OK)
        rc = unpack_jobs(s, a, jobs, count, e);
    if (rc != RC_OK)
        return rc;
    *ret = jobs;
    *ret_count = count;
    *ret_next_due_ms = next_due_ms;
    return RC_OK;
}

// ---- changes

static enum rc check_change(const struct change *c, struct err *e) {
    if (c->reserve_count > RESERVE_MAX)
        return err_set(e, RC_INVALID, "store: a change reserves at most %d event ids", RESERVE_MAX);
    if (c->plan.p && c->progress.p)
        return err_set(e, RC_INVALID, "store: a new plan has no progress yet");
    if (c->kind == CHANGE_FINISH && c->state == JOB_PENDING)
        return err_set(e, RC_INVALID, "store: a finished job cannot be pending");
    if (c->ledger_count > LEDGER_MAX || (c->ledger_count > 0 && c->kind != CHANGE_FINISH))
        return err_set(e, RC_INVALID, "store: a finished job leaves at most %d lines in the ledger, any other none", LEDGER_MAX);
    return RC_OK;
}

static struct change pack_change(const struct store *s, struct arena *a, const struct change *c) {
    struct sv shop = c->job->shop;
    struct change packed = *c;
    packed.plan = store_pack(s, a, shop, "plan", sv_of(c->job->id), c->plan);
    packed.progress = store_pack(s, a, shop, "progress", sv_of(c->job->id), c->progress);
    packed.reserve = hash_all(s, a, EVENT_KEY, shop, c->reserve, c->reserve_count);
    struct remembered *remember = ARENA_ARRAY(a, struct remembered, c->remember_count);
    for (size_t i = 0; i < c->remember_count; i++)
        remember[i] = pack_remembered(s, a, shop, &c->remember[i]);
    packed.remember = remember;
    struct mark *marks = ARENA_ARRAY(a, struct mark, c->mark_count);
    for (size_t i = 0; i < c->mark_count; i++) {
        marks[i] = c->marks[i];
        marks[i].key = hashed(s, a, MARK_KEY, shop, c->marks[i].key);
    }
    packed.marks = marks;
    return packed;
}

static enum rc pack_changes(const struct store *s, struct arena *a, const struct change *changes, size_t n, struct change **ret, struct err *e) {
    *ret = ARENA_ARRAY(a, struct change, n);
    for (size_t i = 0; i < n; i++)
        if (check_change(&changes[i], e) != RC_OK)
            return RC_INVALID;
    for (size_t i = 0; i < n; i++)
        (*ret)[i] = pack_change(s, a, &changes[i]);
    return RC_OK;
}

static void take_results(const struct change *packed, size_t n, struct change *changes) {
    for (size_t i = 0; i < n; i++) {
        changes[i].result = packed[i].result;
        memcpy(changes[i].taken, packed[i].taken, sizeof changes[i].taken);
    }
}

enum rc store_commit(struct store *s, struct change *changes, size_t n, struct err *e) {
    struct arena a;
    struct change *packed;
    if (n == 0)
        return RC_OK;
    arena_init(&a, WORK_LIMIT);
    enum rc rc = pack_changes(s, &a, changes, n, &packed, e);
    if (rc == RC_OK)
        rc = s->ops->commit(s->engine, packed, n, e);
    if (rc == RC_OK)
        take_results(packed, n, changes);
    arena_free(&a);
    return rc;
}

// ---- questions

// pack_lookups leaves out what is not asked; ret_at[i] is where the i-th of them stands in asked.
static size_t pack_lookups(const struct store *s, struct arena *a, const struct lookup *asked, size_t n, struct lookup *packed, size_t *ret_at) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!asked[i].key.p)
            continue;
        struct sv key = hashed(s, a, asked[i].mark ? MARK_KEY : STATE_KEY, asked[i].shop, asked[i].key);
        packed[count] = (struct lookup){.shop = asked[i].shop, .key = key, .mark = asked[i].mark};
        ret_at[count++] = i;
    }
    return count;
}

static void unpack_lookups(const struct store *s, struct arena *a, const struct lookup *packed, const size_t *at, size_t count, struct lookup *asked) {
    for (size_t i = 0; i < count; i++) {
        struct err damage = {0};
        struct lookup *one = &asked[at[i]];
        one->ret = packed[i].ret;
        one->unreadable = SV_NONE;
        if (one->mark || store_unpack(s, a, one->shop, "state", packed[i].key, &one->ret, &damage) == RC_OK)
            continue;
        one->ret = SV_NONE;
        one->unreadable = arena_dup(a, sv_of(damage.text));
    }
}

enum rc store_look_up(struct store *s, struct arena *a, struct lookup *asked, size_t n, struct err *e) {
    struct lookup *packed = ARENA_ARRAY(a, struct lookup, n);
    size_t *at = ARENA_ARRAY(a, size_t, n), count = pack_lookups(s, a, asked, n, packed, at);
    enum rc rc = count > 0 ? s->ops->look_up(s->engine, a, packed, count, e) : RC_OK;
    if (rc == RC_OK)
        unpack_lookups(s, a, packed, at, count, asked);
    return rc;
}

// ---- all of it

void store_round(struct store *s, struct arena *a, struct store_round *r) {
    struct change *packed;
    struct lookup *asked = ARENA_ARRAY(a, struct lookup, r->asked_count);
    size_t *at = ARENA_ARRAY(a, size_t, r->asked_count);
    struct store_round to_engine = *r;
    to_engine.next_due_ms = INT64_MAX;
    to_engine.asked = asked;
    to_engine.asked_count = pack_lookups(s, a, r->asked, r->asked_count, asked, at);
    enum rc rc = pack_changes(s, a, r->changes, r->change_count, &packed, &r->err);
    to_engine.changes = packed;
    if (rc == RC_OK)
        s->ops->round(s->engine, a, &to_engine);
    else
        to_engine.committed = to_engine.told = to_engine.claimed = rc, to_engine.err = r->err;
    if (to_engine.committed == RC_OK)
        take_results(packed, r->change_count, r->changes);
    if (to_engine.told == RC_OK)
        unpack_lookups(s, a, asked, at, to_engine.asked_count, r->asked);
    if (to_engine.claimed == RC_OK)
        to_engine.claimed = unpack_jobs(s, a, to_engine.jobs, to_engine.job_count, &to_engine.err);
    to_engine.changes = r->changes;
    to_engine.asked = r->asked;
    to_engine.asked_count = r->asked_count;
    *r = to_engine;
}
