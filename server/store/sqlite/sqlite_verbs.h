// sqlite_verbs.h: what each verb of the store is in SQL.
// All of it runs in turn (sqlite_writer.h) inside a transaction, so every verb is atomic and sees those before it.
// Errors stick to the db; results count only after the commit. `now` is wall time in milliseconds.
#ifndef SERVER_STORE_SQLITE_VERBS_H
#define SERVER_STORE_SQLITE_VERBS_H

#include "server/store/sqlite/sqlite_writer.h"
#include "server/store/store_engine.h"

enum sql {
    FIND_KEY,
    FIND_LATE,
    ADD_LATE,
    DROP_LATE,
    ALL_LATE,
    SOME_LATE,
    COPY_LATES,
    DROP_LATES,
    NTH_KEY,
    PURGE_KEYS,
    LAST_SEQ,
    ADD_JOB,
    ADD_BODY,
    ADD_PLAN,
    CHANGE_PLAN,
    PUT_PROGRESS,
    DROP_PROGRESS,
    FINISH_JOB,
    FINISHED_BY,
    MOVE_JOB,
    FIRST_OF_LANE,
    HURRY,
    OLDEST_PENDING,
    PURGE_BODIES,
    PURGE_PLANS,
    PURGE_PROGRESS,
    PURGED_IDS,
    PURGE_JOBS,
    JOIN_LANE,
    DUE_LANES,
    LATELY_DUE_LANES,
    NEXT_DUE,
    LEASE_LANE,
    FIND_LEASED_HEAD,
    EXTEND_LEASE,
    DELAY_LANE,
    RELEASE_LANE,
    ADVANCE_LANE,
    DROP_LANE,
    WAKE_LANES,
    END_LEASES,
    LIST_JOBS,
    FIND_JOB,
    REOPEN_JOB,
    ADD_LINE,
    LINES_AFTER,
    PURGE_LINES,
    COUNT_JOBS,
    COUNTS,
    JOB_BODIES,
    VALUES_AFTER,
    LATE_VALUES_AFTER,
    ERASE_BODY,
    ERASE_PLAN,
    ERASE_VALUE,
    ERASE_LATE,
    NTH_LATE,
    EMPTY_LATES,
    END_LEASE_OF,
    SQL_COUNT_,
};

#define SCHEMA_VERSION 3
extern const char sqlite_schema[], sqlite_upgrade[];
extern const char *const sqlite_queries[SQL_COUNT_];

// What is known in memory while a transaction is under way. One that comes to nothing takes it along (verb_renew).
struct running {
    struct sv shop;                  // whose jobs were counted; not in the table yet
    int64_t accepted, by_state[4];
    int64_t last_seq;                // of the newest job; 0: not known
};

struct accept_args {
    struct running *running;
    const struct delivery *deliveries;
    size_t n;
    enum accepted *ret;
};

struct claim_args {
    struct arena *arena;
    const struct claim *claims;
    size_t n;
    int64_t lease_ms;
    struct job *ret;
    size_t ret_count;
    int64_t ret_next_due_ms;
};

struct commit_args {
    struct running *running;
    struct change *changes;
    size_t n;
};

struct wake_args {
    struct sv shop;
    bool ret_more;  // only a slice was woken
};

struct look_up_args {
    struct arena *arena;
    struct lookup *asked;
    size_t n;
};

struct ledger_args {
    struct arena *arena;
    struct sv shop;
    int64_t after_ms, after_n;
    struct ledger_line *ret;
    size_t ret_count;
};

struct purge_args {
    int64_t retention_ms, ledger_lifetime_ms;
    struct purged_keys {
        char key[64];     // the last one in keyed that the slice before looked at, in hex; "": it begins anew
        int64_t late;     // ... and in late; 0
        int64_t put;      // keys that had been put by then
        int64_t due;      // keys to look at because of those
    } after, ret_after;
    bool ret_more;  // there is more to clear up
};

struct state_swap_args {
    const struct mark *mark;
    bool ret_held;
};

struct stats_args {
    struct running *running;
    struct sv shop;
    struct store_stats ret;
};

struct list_args {
    struct arena *arena;
    const struct job_query *query;
    int64_t after;
    struct job_view *ret;
    size_t ret_count;
    int64_t ret_next;  // 0: that was all
};

struct find_args {
    struct arena *arena;
    struct sv shop, id;
    struct job_view ret;
    bool ret_found;
};

struct redrive_args {
    struct running *running;
    struct sv shop, id, plan;
    bool ret_found, ret_redriven;
};

struct kept_args {
    struct arena *arena;
    struct sv shop, after;
    enum kept_kind kind;
    int64_t after_job;
    struct kept *ret;
    size_t ret_count;
    struct sv ret_next;
};

struct erase_args {
    struct sv shop, own;
    const struct kept *erased;
    size_t n;
};

verb_function verb_start;      // after opening; args: none
verb_function verb_renew;      // at the start and when a transaction came to nothing; struct running
verb_function verb_end;        // at the end of each transaction; struct running
verb_function verb_accept;     // struct accept_args
verb_function verb_claim;      // struct claim_args
verb_function verb_commit;     // struct commit_args
verb_function verb_wake;       // struct wake_args
verb_function verb_look_up;    // struct look_up_args
verb_function verb_state_put;  // const struct remembered
verb_function verb_ledger;     // struct ledger_args
verb_function verb_state_swap; // struct state_swap_args
verb_function verb_stats;      // struct stats_args
verb_function verb_list;       // struct list_args; sqlite_look.c
verb_function verb_find;       // struct find_args; sqlite_look.c
verb_function verb_redrive;    // struct redrive_args; sqlite_look.c
verb_function verb_kept;       // struct kept_args; sqlite_erase.c
verb_function verb_erase;      // struct erase_args; sqlite_erase.c
verb_function verb_check;      // args: none
verb_function verb_purge;      // struct purge_args
verb_function verb_read_keys;  // at the start and when a transaction came to nothing; args: none; sqlite_keys.c
verb_function verb_move_keys;  // at the end of each transaction; args: none; sqlite_keys.c

// put_plan: a plan, which takes away the progress of the one before, or the progress of the one that is there; absent: unchanged.
void put_plan(struct db *db, int64_t seq, struct sv plan, struct sv progress);
// What is known under a key (sqlite_keys.c). Keys are hex. The index of the late ones is the memory of the db.
struct late_keys *late_keys_new(void);  // NULL: out of memory
void late_keys_free(struct late_keys *k);
struct query *find_key(struct db *db, int64_t now, struct sv key);  // value and expires_ms of what has not expired; NULL: nothing
void put_key(struct db *db, struct sv key, struct value value, int64_t expires_ms);
void erase_key(struct db *db, struct sv key);
// purge_keys looks at some of them, after those that were looked at before: from `after` on, up to what it returns.
MUST_CHECK struct purged_keys purge_keys(struct db *db, int64_t now, const struct purged_keys *after);
// seq_of: of the job with that id; 0: it is not there any more.
int64_t seq_of(struct db *db, int64_t now, struct sv id);

// Lanes are numbered by the jobs that begin them: each job may begin one for all who share its keys, and be moved into one of its own.
static inline int64_t shared_lane(int64_t seq) {
    return 2 * seq;
}
static inline int64_t own_lane(int64_t seq) {
    return 2 * seq + 1;
}

// count_jobs adds to the counters of a shop: to accepted, and to the jobs in a state. They are in the table after count_end, which the
// end of the transaction calls. The shop's name is to live until then.
void count_jobs(struct db *db, struct running *r, struct sv shop, int64_t accepted, enum job_state state, int64_t n);
void count_end(struct db *db, struct running *r);

// later: a + b without overflow, for b >= 0.
static inline int64_t later(int64_t a, int64_t b) {
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

#endif
