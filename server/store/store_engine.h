// store_engine.h: what an engine implements. store.c stands between: it hashes keys, packs (compresses and seals) bodies,
// plans and remembered values, and unpacks them. So an engine sees only hex keys and opaque bytes.
#ifndef SERVER_STORE_STORE_ENGINE_H
#define SERVER_STORE_STORE_ENGINE_H

#include "server/store/store_erase.h"

struct engine;

// The same structs as in store.h, with these differences: delivery.keys, lane_keys and change.reserve are KEY_LEN hex characters,
// as are remembered.key, mark.key and lookup.key; body, plan, progress and remembered.value are packed. look_up reads both kinds of value,
// state_swap changes a remembered one as a mark is changed: expect and value are packed.
struct engine_ops {
    const char *scheme;  // "sqlite", "redis"
    enum rc (*check_url)(struct sv url, struct err *e);
    enum rc (*open)(const struct store_config *config, struct engine **ret, struct err *e);
    void (*close)(struct engine *s);
    // ids: JOB_ID_LEN hex each: the first keys
    enum rc (*accept)(struct engine *s, const struct delivery *d, const char *const *ids, size_t n, enum accepted *ret, struct err *e);
    enum rc (*claim)(struct engine *s, struct arena *a, const struct claim *claims, size_t n, int64_t lease_ms,
                     struct job **ret, size_t *ret_count, int64_t *ret_next_due_ms, struct err *e);
    enum rc (*commit)(struct engine *s, struct change *changes, size_t n, struct err *e);
    // round: commit, then look_up, then claim, each as far as it is asked for; what fails keeps what follows from being tried, or not.
    void (*round)(struct engine *s, struct arena *a, struct store_round *r);
    enum rc (*wake)(struct engine *s, struct sv shop, struct err *e);
    enum rc (*look_up)(struct engine *s, struct arena *a, struct lookup *asked, size_t n, struct err *e);
    enum rc (*state_put)(struct engine *s, struct sv shop, const struct remembered *r, struct err *e);
    enum rc (*ledger)(struct engine *s, struct arena *a, struct sv shop, int64_t after_ms, int64_t after_n,
                      struct ledger_line **ret, size_t *ret_count, struct err *e);
    // RC_CONFLICT: it is neither at expect nor at value
    enum rc (*state_swap)(struct engine *s, struct sv shop, const struct mark *m, struct err *e);
    enum rc (*permits)(struct engine *s, struct permit *asked, size_t n, struct err *e);
    enum rc (*stats)(struct engine *s, struct sv shop, struct store_stats *ret, struct err *e);
    enum rc (*list)(struct engine *s, struct arena *a, const struct job_query *q, struct job_view **ret, size_t *ret_count,
                    struct sv *ret_next, struct err *e);
    enum rc (*find)(struct engine *s, struct arena *a, struct sv shop, struct sv id, struct job_view *ret, struct err *e);
    enum rc (*redrive)(struct engine *s, struct sv shop, struct sv id, struct sv plan, bool *ret_redriven, struct err *e);
    // kept.text is packed, as it is in the store; of a job that is to be erased it is what takes the place of its body
    enum rc (*kept)(struct engine *s, struct arena *a, struct sv shop, enum kept_kind kind, struct sv after, struct kept **ret,
                    size_t *ret_count, struct sv *ret_next, struct err *e);
    enum rc (*erase)(struct engine *s, struct sv shop, const struct kept *erased, size_t n, struct sv own, struct err *e);
    enum rc (*check)(struct engine *s, struct err *e);
    enum rc (*purge)(struct engine *s, const struct sv *shops, size_t n, struct err *e);
};

extern const struct engine_ops engine_sqlite, engine_redis;

#define IDEMPOTENCY_LIFETIME_MS ((int64_t)7 * 86400000)   // over every sender's retry horizon (Recharge: 48 h)
#define LEDGER_PAGE 500                                   // lines that one call brings
#define LANE_LIFETIME_MS ((int64_t)30 * 86400000)         // a lane key not seen for so long is forgotten

#endif
