// redis_settings.h: may this Redis be trusted with what was accepted? Asked of every new connection, because a
// Redis may be started again with other settings.
#ifndef SERVER_STORE_REDIS_SETTINGS_H
#define SERVER_STORE_REDIS_SETTINGS_H

#include "server/store/redis/redis_conn.h"

struct redis_settings {
    bool relaxed;  // losing the last moments is accepted (appendonly, appendfsync); eviction and old versions never are
    int warned;    // atomic
};

// redis_settings_look: RC_INVALID names the setting and how to change it.
MUST_CHECK enum rc redis_settings_look(struct redis_settings *s, struct redis_conn *c, struct arena *a, struct err *e);

#endif
