// spool.h: where webhooks wait that the engine (Redis) cannot take now: in a file of this process, until they can be forwarded.
//
// From the first one that the engine does not take to the moment when none waits any more, all webhooks go through the spool, so that
// none overtakes another. One thread forwards them, one by one in the order in which they were taken; a crash between forwarding one
// and forgetting it repeats it, which the engine recognises by its id. Order holds among the webhooks that one process takes.
// Durable: what spool_accept reports accepted is synced to the file, or is in the engine.
#ifndef SERVER_STORE_SPOOL_H
#define SERVER_STORE_SPOOL_H

#include "server/store/store_engine.h"

struct spool;
struct spool_config {
    const struct store_config *store;           // for spool_open only
    struct sv fingerprint;                      // of the keys that deliveries are packed with
    const struct engine_ops *ops;
    struct engine *engine;
    const struct err *trouble;                  // why the engine does not answer now; NULL: it does. For spool_open only
    // ready: the engine takes webhooks again, and is the right one; asked by the forwarding thread before it goes on.
    enum rc (*ready)(void *ctx, struct err *e);
    void *ctx;
};

// spool_open: what waits there since the last time is forwarded. Errors are those of spool_file_open, and RC_UNAVAILABLE where the engine is
// in trouble and nobody knows yet whether it is one of these keys: the first start with a file needs it.
MUST_CHECK enum rc spool_open(const struct spool_config *config, struct spool **ret, struct err *e);
void spool_close(struct spool *s);  // what waits stays in the file; NULL is fine

// spool_accept: as engine_ops.accept, into the engine or into the file. Any thread.
MUST_CHECK enum rc spool_accept(struct spool *s, const struct delivery *d, const char *const *ids, size_t n, enum accepted *ret, struct err *e);
// spool_begin: the engine was found in trouble (why), so nobody else need try. Any thread. NULL: nothing happens.
void spool_begin(struct spool *s, const struct err *why);
bool spool_in_use(struct spool *s);                            // any thread; NULL: false
int64_t spool_waiting(struct spool *s);                        // any thread; NULL: 0
MUST_CHECK enum rc spool_check(struct spool *s, struct err *e);  // it takes webhooks now. Any thread

#endif
