// store.h: where webhooks wait, durably and in order. One interface; sqlite.c and redis.c are its rows.
//
// Words. A *job* is one accepted webhook: its body, and later its plan (what its events became at each destination; opaque
// here) and the plan's progress, which is small and changes often. Jobs of one *lane* run one after another in accept order: only the head can be claimed. A *lease* is the right to
// work on a head until it ends; its random *token* is checked on every change. One number per lane, `due`, is ready time,
// back-off and lease end at once, so nothing has to be reaped.
//
// Threads: accept, look_up, state_get, state_put, state_update, ledger, permits, stats, list, find and redrive may be called from any thread;
// claim, commit, round, wake from the dispatcher's.
// Durable: what a call reports done is durable when it returns (SQLite: synced; Redis: as its appendfsync says; what the spool
// took instead of Redis: synced there). Not so the claim of a round: a power cut may take it back, and then the job is claimed again.
// Ownership: everything passed in is borrowed for the call; what comes back is in the caller's arena.
// Errors: RC_UNAVAILABLE = the store cannot take it now, nothing happened or it may have happened (repeat it: every call is
// idempotent); RC_IO = the store is broken and says how.
// Bodies and plans arrive here in clear and are compressed and sealed before they reach the disk or the network (store.c);
// keys arrive as text and are stored as keyed hashes: no personal data in a key.
#ifndef SERVER_STORE_STORE_H
#define SERVER_STORE_STORE_H

#include "base/arena.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/quota.h"

#define JOB_ID_LEN 32  // hex characters
#define KEY_LEN 32     // hex characters of a keyed hash
#define TOKEN_LEN 16   // hex characters
#define SEAL_KEYS_MAX 4

enum job_state { JOB_PENDING, JOB_DONE, JOB_DEAD, JOB_IGNORED };

struct store_config {
    struct sv url;           // "sqlite:path", "redis://...", "redis+sentinel://..." (redis_url.h)
    struct sv seal_keys;     // 32 bytes each, one behind the other: the first seals, all open (seal_ring.h); absent: SQLite keeps one
                             // beside its file (0600)
    bool relaxed;            // durability: relaxed
    int64_t retention_ms;    // finished bodies
    int64_t ledger_lifetime_ms;
    struct sv spool;         // file for webhooks that Redis cannot take now (spool.h); absent: none
    void (*broken)(void *ctx);  // once, from any thread, when the disk failed: nothing is kept any more before a restart; may be NULL
    void *broken_ctx;
};

// A webhook to be accepted. keys[i] and lane_keys[i] are texts such as "delivery:shopify:orders/create:<id>" or "email:a@b.c".
struct delivery {
    struct sv shop, source, topic;
    struct sv body;
    int64_t received_ms;
    int64_t max_wait_ms;          // how long this one may wait behind a held head
    const struct sv *keys;        // idempotency: known already under any of them = duplicate
    size_t key_count;             // 1 .. 4; the first makes the job's id
    const struct sv *lane_keys;   // the first bound one names the lane, the others are bound to it; none: a lane of its own
    size_t lane_key_count;        // 0 .. 8
    enum job_state state;         // JOB_PENDING; JOB_IGNORED and JOB_DEAD are recorded at once, without a lane
    struct sv reason;             // with those two
};

enum accepted { ACCEPTED_NEW, ACCEPTED_DUPLICATE };

struct job {
    char id[JOB_ID_LEN + 1];
    char token[TOKEN_LEN + 1];
    char lane[KEY_LEN + 1];
    struct sv shop, source, topic;
    int64_t received_ms;
    int64_t claims;               // claims of this head since its last recorded outcome, this one included; a lease that stayed may be one more
    struct sv body, plan;         // plan: absent until one was recorded
    struct sv progress;           // of the plan, since it was recorded; absent: none
    int64_t hurry_ms;             // earliest moment (wall) at which somebody behind wants the head out of the way; 0: nobody
    struct sv unreadable;         // body, plan or progress cannot be opened (reason); all are absent then
};

#define DUE_LATELY_MS 60000       // for less than that a head is due lately; one that was woken never is

struct claim {
    struct sv shop;
    size_t max;                   // at most so many jobs, those that are due longest
    size_t lately;                // and, before them, at most so many of those that are due lately, the last first
};

enum change_kind {
    CHANGE_RECORD,   // keep the lease, extended or as it is; reserve and remember
    CHANGE_RETRY,    // give the lease back; the lane is due after delay_ms
    CHANGE_HOLD,     // like RETRY, but the lane wakes earlier when a delivery behind it wants so (delivery.max_wait_ms)
    CHANGE_ASIDE,    // the job leaves its lane for one of its own, due after delay_ms; the lane goes on
    CHANGE_FINISH,   // state (DONE, DEAD, IGNORED) and reason; the lane goes on
    CHANGE_RELEASE,  // give the lease back as if it had never been claimed; due now
};

#define RESERVE_MAX 16
#define LEDGER_MAX 8

struct remembered {
    struct sv key, value;
    int64_t lifetime_ms;
};

// A mark is a short text without personal data that changes only from what it was seen to be: a change whose marks are not all at
// `expect` (or at `value` already) does nothing and says RC_CONFLICT.
struct mark {
    struct sv key, expect, value;  // expect absent: there must be none
    int64_t lifetime_ms;
};

// What is asked of the store: a mark, or a remembered value.
struct lookup {
    struct sv shop, key;          // key absent: not asked after all
    bool mark;
    struct sv ret;                // out; absent: there is none, or it cannot be opened (damaged)
    struct sv unreadable;         // out; why it cannot be opened
};

// A value made of the one that is there. next is called with what is kept now (absent: nothing) and returns what is to be kept
// (absent: there was no room for it); once more, when somebody else was faster.
struct state_update {
    struct sv key;
    int64_t lifetime_ms;
    struct sv (*next)(void *ctx, struct arena *a, struct sv seen);
    void *ctx;
};

struct change {
    enum change_kind kind;
    const struct job *job;
    struct sv plan, progress;     // absent: unchanged; one of them at most: a plan takes away the progress of the one before
    int64_t delay_ms;
    int64_t lease_ms;             // RECORD: from now on
    bool lease_stays;             // RECORD: but if it is not over, and the head's first claim, it ends when it would
    enum job_state state;         // FINISH
    struct sv reason;
    const struct sv *reserve;     // RECORD: event ids that this job wants for itself
    size_t reserve_count;         // <= RESERVE_MAX
    int64_t reserve_lifetime_ms;
    const struct remembered *remember;
    size_t remember_count;
    const struct mark *marks;
    size_t mark_count;
    const struct sv *ledger;      // FINISH: lines that outlive the job; without personal data, they are kept in clear
    size_t ledger_count;          // <= LEDGER_MAX
    // out
    enum rc result;               // RC_OK; RC_STALE (somebody else holds the lane) and RC_CONFLICT (a mark): nothing was changed
    bool taken[RESERVE_MAX];      // that event id belongs to another job
};

// A line of the ledger and its place there: lines are in the order of at_ms (when they were written, wall), then n.
struct ledger_line {
    int64_t at_ms, n;
    struct sv text;
};

// How many requests of one kind may go out now, over all that share the store. An account that takes nothing for a while is shut for all.
struct permit {
    struct sv shop, kind, account;
    const struct quota *quota;
    int64_t want;
    int64_t shut_ms;              // it said that it takes nothing for so long; 0: it did not
    // out
    int64_t granted;              // they are counted and cannot be given back
    int64_t wait_ms;              // fewer than wanted: when it is worth asking again
    size_t full;                  // ... and the window of the quota that is full
    int64_t ret_shut_ms;          // the account takes nothing for so long; 0: it does
};

// What the dispatcher wants at once: changes, questions, and a claim that sees the changes. Without any of them that part is fine.
struct store_round {
    struct change *changes;
    struct lookup *asked;
    const struct claim *claims;
    size_t change_count, asked_count, claim_count;
    int64_t lease_ms;
    // out; as of store_commit, store_look_up and store_claim
    enum rc committed, told, claimed;
    struct err err;               // of the first of them that failed
    struct job *jobs;
    size_t job_count;
    int64_t next_due_ms;
};

struct store_stats {
    int64_t accepted, pending, done, dead, ignored;  // since the store was made; pending and dead are now
    int64_t oldest_pending_ms;                       // received_ms of the oldest pending job, 0: none
};

// A job as people see it: without its body.
struct job_view {
    char id[JOB_ID_LEN + 1];
    enum job_state state;
    struct sv source, topic;
    int64_t received_ms;
    struct sv reason;        // of DEAD and IGNORED
    struct sv plan, progress;  // absent: none was recorded
    struct sv unreadable;    // plan or progress cannot be opened (reason); both are absent then
};

struct job_query {
    struct sv shop;
    enum job_state state;
    struct sv after;         // what the page before gave as *ret_next; absent: from the beginning
    size_t max;
};

struct store;

MUST_CHECK enum rc store_url_check(struct sv url, struct err *e);  // whether store_open would know what to do with it; opens nothing
MUST_CHECK enum rc store_open(const struct store_config *config, struct store **ret, struct err *e);
void store_close(struct store *s);

// store_accept: n deliveries of one shop in their order, in one commit (SQLite) or one round trip (Redis). ret[i] tells of d[i].
// After an error some may have been accepted: repeat it all, they are duplicates then.
MUST_CHECK enum rc store_accept(struct store *s, const struct delivery *d, size_t n, enum accepted *ret, struct err *e);
// store_claim: one commit or round trip for all shops. *ret_next_due_ms: milliseconds until something that was not claimed becomes due
// (0: there is more now; INT64_MAX: nothing waits).
MUST_CHECK enum rc store_claim(struct store *s, struct arena *a, const struct claim *claims, size_t n, int64_t lease_ms,
                               struct job **ret, size_t *ret_count, int64_t *ret_next_due_ms, struct err *e);
MUST_CHECK enum rc store_commit(struct store *s, struct change *changes, size_t n, struct err *e);
// store_round: one commit (SQLite), or one round trip for each part that is asked for.
void store_round(struct store *s, struct arena *a, struct store_round *r);
MUST_CHECK enum rc store_wake(struct store *s, struct sv shop, struct err *e);  // lanes in back-off are due, as if for a while; leases stay
// store_look_up: all of them in one round trip.
MUST_CHECK enum rc store_look_up(struct store *s, struct arena *a, struct lookup *asked, size_t n, struct err *e);
MUST_CHECK enum rc store_state_get(struct store *s, struct arena *a, struct sv shop, struct sv key, struct sv *ret, struct err *e);  // absent: *ret is absent
MUST_CHECK enum rc store_state_put(struct store *s, struct sv shop, const struct remembered *r, struct err *e);
// store_state_update: nobody's value between is lost, of no thread and no process. RC_UNAVAILABLE also when others were faster too often.
MUST_CHECK enum rc store_state_update(struct store *s, struct arena *a, struct sv shop, const struct state_update *u, struct err *e);
// While webhooks go through the spool state_get and state_put, which the way to an acknowledgement asks, are RC_UNAVAILABLE at once.
// store_fingerprint: a keyed hash of text that may stand in a mark; the same in every copy.
void store_fingerprint(const struct store *s, struct sv shop, struct sv text, char ret[KEY_LEN + 1]);
// store_ledger: a page of the lines after that place, oldest first; n -1: those of that moment too. None: there are no more.
MUST_CHECK enum rc store_ledger(struct store *s, struct arena *a, struct sv shop, int64_t after_ms, int64_t after_n,
                                struct ledger_line **ret, size_t *ret_count, struct err *e);
// store_permits: one round trip. Not durable: after a crash of SQLite's process or a failover of Redis, counting may begin anew.
MUST_CHECK enum rc store_permits(struct store *s, struct permit *asked, size_t n, struct err *e);
MUST_CHECK enum rc store_stats(struct store *s, struct sv shop, struct store_stats *ret, struct err *e);
// store_list: a page, oldest first where the engine has an order (Redis: none for done and ignored, and one may be listed twice). It
// looks at a bounded number of jobs: a page may be short, or empty, and there is more as long as *ret_next is not absent.
MUST_CHECK enum rc store_list(struct store *s, struct arena *a, const struct job_query *q, struct job_view **ret, size_t *ret_count,
                              struct sv *ret_next, struct err *e);
MUST_CHECK enum rc store_find(struct store *s, struct arena *a, struct sv shop, struct sv id, struct job_view *ret, struct err *e);  // RC_NOT_FOUND
// store_redrive: a dead job is pending again, at its own place in its lane, but never before the head that may be at work; plan
// absent: unchanged. One that is not dead stays as it is (*ret_redriven false), so a repetition does no harm. RC_NOT_FOUND.
MUST_CHECK enum rc store_redrive(struct store *s, struct sv shop, struct sv id, struct sv plan, bool *ret_redriven, struct err *e);
MUST_CHECK enum rc store_check(struct store *s, struct err *e);                 // it takes webhooks now: reachable and writable, or its spool is
bool store_spools(const struct store *s, int64_t *ret_waiting);  // webhooks go through the spool now; *ret_waiting: how many wait there
MUST_CHECK enum rc store_purge(struct store *s, const struct sv *shops, size_t n, struct err *e);  // drops finished jobs past retention, old lines of the ledger and expired keys; where there is much, some per call

#endif
