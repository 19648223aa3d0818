// redis_parts.h: what the files of the Redis engine share; private to redis*.c of it:
//   redis.c         claiming, committing, what all share
//   redis_accept.c  accepting
//   redis_state.c   remembered values, marks, the ledger
//   redis_permits.c what may go out now
//   redis_look.c    what people ask
//   redis_erase.c   what is kept of people, and its end
#ifndef SERVER_STORE_REDIS_PARTS_H
#define SERVER_STORE_REDIS_PARTS_H

#include "server/store/redis/redis_pool.h"
#include "server/store/store_engine.h"

#define SCRATCH_MEMORY ((size_t)256 << 20)  // of arguments; bodies are not copied into it

enum script { ACCEPT, CLAIM, COMMIT, WAKE, STATS, SWAP, KEPT, LIST, REDRIVE, PERMITS, LOOK, ERASE, SCRIPT_COUNT };

struct accept_queue;
struct engine {
    struct redis *redis;
    struct accept_queue *queue;
    struct sv retention_ms;  // in retention_text
    char retention_text[24];
    int64_t ledger_lifetime_ms;
    struct redis_script scripts[SCRIPT_COUNT];
};

extern const char *const redis_state_letters[];  // by enum job_state
enum job_state redis_state(struct sv letter);       // the other way

struct sv redis_shop_key(struct arena *a, struct sv shop);  // "fo:{shop}:"
int64_t redis_span(int64_t ms);  // a length of time that can be added to any date
struct sv redis_number(struct arena *a, int64_t n);
struct sv redis_lifetime(struct arena *a, int64_t ms);      // Redis refuses one of 0
int64_t redis_integer(const struct redis_reply *reply);     // a number, or a text that is one; else 0
// redis_run_one: one command or script; its answer, if it is not an error.
MUST_CHECK enum rc redis_run_one(struct engine *s, struct arena *a, const struct redis_script *script, const struct sv *argv, size_t argc,
                                 struct redis_reply *ret, struct err *e);
// redis_keep: redis_run_kept. commands has room for two more.
MUST_CHECK enum rc redis_keep(struct engine *s, struct arena *a, struct redis_command *commands, size_t n, struct sv shop, int64_t deadline_ms, struct err *e);
enum rc redis_odd_answer(const char *verb, struct err *e);

// redis_accept.c
struct accept_queue *redis_accept_queue(void);  // NULL: out of memory
void redis_accept_queue_free(struct accept_queue *q);  // NULL is fine
MUST_CHECK enum rc redis_accept(struct engine *s, const struct delivery *d, const char *const *ids, size_t n, enum accepted *ret, struct err *e);

// redis_state.c
MUST_CHECK enum rc redis_look_up(struct engine *s, struct arena *a, struct lookup *asked, size_t n, struct err *e);
MUST_CHECK enum rc redis_state_put(struct engine *s, struct sv shop, const struct remembered *r, struct err *e);
MUST_CHECK enum rc redis_state_swap(struct engine *s, struct sv shop, const struct mark *m, struct err *e);
MUST_CHECK enum rc redis_ledger(struct engine *s, struct arena *a, struct sv shop, int64_t after_ms, int64_t after_n,
                                struct ledger_line **ret, size_t *ret_count, struct err *e);

// redis_permits.c
MUST_CHECK enum rc redis_permits(struct engine *s, struct permit *asked, size_t n, struct err *e);

// redis_look.c
MUST_CHECK enum rc redis_list(struct engine *s, struct arena *a, const struct job_query *q, struct job_view **ret, size_t *ret_count,
                              struct sv *ret_next, struct err *e);
MUST_CHECK enum rc redis_find(struct engine *s, struct arena *a, struct sv shop, struct sv id, struct job_view *ret, struct err *e);
MUST_CHECK enum rc redis_redrive(struct engine *s, struct sv shop, struct sv id, struct sv plan, bool *ret_redriven, struct err *e);

// redis_erase.c
MUST_CHECK enum rc redis_kept(struct engine *s, struct arena *a, struct sv shop, enum kept_kind kind, struct sv after, struct kept **ret,
                              size_t *ret_count, struct sv *ret_next, struct err *e);
MUST_CHECK enum rc redis_erase(struct engine *s, struct sv shop, const struct kept *erased, size_t n, struct sv own, struct err *e);

#endif
