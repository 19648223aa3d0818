// sqlite_verbs.h: what each verb of the store is in SQL.
// All of it runs on the writer thread (sqlite_writer.h) inside its transaction, so every verb is atomic and sees those before it.
// Errors stick to the db; results count only after the commit. `now` is wall time in milliseconds.
#ifndef SERVER_STORE_SQLITE_VERBS_H
#define SERVER_STORE_SQLITE_VERBS_H

#include "server/store/sqlite/sqlite_writer.h"
#include "server/store/store_engine.h"

enum sql {
    FIND_KEY,
    PUT_KEY,
    PURGE_KEYS,
    ADD_JOB,
    ADD_BODY,
    PUT_PLAN,
    PUT_PROGRESS,
    DROP_PROGRESS,
    FINISH_JOB,
    FIND_FINISHED_BY,
    MOVE_JOB,
    FIRST_OF_LANE,
    HURRY,
    OLDEST_PENDING,
    PURGE_BODIES,
    PURGE_PLANS,
    PURGE_PROGRESS,
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
    ERASE_BODY,
    ERASE_PLAN,
    ERASE_VALUE,
    END_LEASE_OF,
    SQL_COUNT_,
};

#define SCHEMA_VERSION 3
extern const char sqlite_schema[];
extern const char *const sqlite_queries[SQL_COUNT_];

struct accept_args {
    const struct delivery *deliveries;
    const char *const *ids;
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
};

struct state_swap_args {
    const struct mark *mark;
    bool ret_held;
};

struct stats_args {
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
verb_function verb_purge;      // const struct purge_args

// put_plan: a plan, which takes away the progress of the one before, or the progress of the one that is there; absent: unchanged.
void put_plan(struct db *db, int64_t seq, struct sv plan, struct sv progress);
// put_key: what is stored under that key from now on.
void put_key(struct db *db, struct sv key, struct sv value, int64_t expires_ms);
// count_jobs adds to the counters of a shop: to accepted, and to the jobs in each state.
void count_jobs(struct db *db, struct sv shop, int64_t accepted, const int64_t by_state[4]);

// later: a + b without overflow, for b >= 0.
static inline int64_t later(int64_t a, int64_t b) {
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

#endif
