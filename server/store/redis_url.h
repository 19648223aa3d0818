// redis_url.h: where a Redis is. redis://[[user][:password]@]host[:port][/db], parts percent-encoded as in any URL;
// an IPv6 host stands in brackets.
#ifndef SERVER_STORE_REDIS_URL_H
#define SERVER_STORE_REDIS_URL_H

#include "base/arena.h"
#include "base/err.h"

struct redis_address {
    const char *host;      // NUL-terminated, in the arena
    int port;
    struct sv user, password;  // absent: none
    int64_t db;
};

// redis_url_parse: RC_INVALID with a text that never shows the password. rediss:// and
// redis+sentinel:// are refused: the text says what to use instead.
MUST_CHECK enum rc redis_url_parse(struct arena *a, struct sv url, struct redis_address *ret, struct err *e);

#endif
