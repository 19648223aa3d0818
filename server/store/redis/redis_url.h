// redis_url.h: where a Redis is.
//   redis://[[user][:password]@]host[:port][/db]
//   redis+sentinel://[[user][:password]@]sentinel[:port],sentinel[:port].../master[/db]
// Parts are percent-encoded as in any URL; an IPv6 host stands in brackets. User and password are those of the Redis; a sentinel
// that asks for a password gets the same. At the end of both may stand ?min_replicas=n.
#ifndef SERVER_STORE_REDIS_URL_H
#define SERVER_STORE_REDIS_URL_H

#include "base/arena.h"
#include "base/err.h"

#define REDIS_HOSTS_MOST 9

struct redis_host {
    const char *name;  // NUL-terminated, in the arena
    int port;
};

struct redis_address {
    struct redis_host hosts[REDIS_HOSTS_MOST];  // the one Redis, or its sentinels
    size_t host_count;
    struct sv master;          // the name by which the sentinels know it; absent: there are none
    struct sv user, password;  // absent: none
    int64_t db;
    int64_t min_replicas;      // a webhook is acknowledged when so many replicas have it
};

// redis_url_parse: RC_INVALID with a text that never shows the password. rediss:// is refused: the text says what to use instead.
MUST_CHECK enum rc redis_url_parse(struct arena *a, struct sv url, struct redis_address *ret, struct err *e);

#endif
