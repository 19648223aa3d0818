// redis_settings.h: may this Redis be trusted with what was accepted? Asked once at start.
#ifndef SERVER_STORE_REDIS_SETTINGS_H
#define SERVER_STORE_REDIS_SETTINGS_H

#include "server/store/redis_conn.h"

// redis_settings_check: RC_INVALID names the setting and how to change it. relaxed: losing the last moments is accepted
// (appendonly, appendfsync); eviction and old versions never are.
MUST_CHECK enum rc redis_settings_check(struct redis *r, bool relaxed, struct err *e);

#endif
