// redis_master.h: a new connection that leads to the master, straight or as the sentinels tell.
// What a sentinel says may be old, and a former master that comes back is one for some seconds more: so every new connection
// asks for its role, and is inspected before it is used.
#ifndef SERVER_STORE_REDIS_MASTER_H
#define SERVER_STORE_REDIS_MASTER_H

#include "server/store/redis/redis_conn.h"
#include "server/store/redis/redis_settings.h"

#include <pthread.h>

struct redis_master {
    const struct redis_address *address;  // borrowed
    struct redis_settings settings;
    pthread_mutex_t lock;                 // for all below
    size_t first;                         // the sentinel that knew it last is asked first
    char told[300];                       // where it was last, as the log has it
};

void redis_master_init(struct redis_master *m, const struct redis_address *address, bool relaxed);
void redis_master_free(struct redis_master *m);

// redis_master_connect: any thread, several at once. RC_UNAVAILABLE: there is no master now. RC_IO, RC_INVALID: somebody has to act.
MUST_CHECK enum rc redis_master_connect(struct redis_master *m, int64_t deadline_ms, struct redis_conn **ret, struct err *e);

#endif
