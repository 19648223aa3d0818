// redis_pool.h: talking to one Redis from many threads. Connections to its master are made on demand and pooled; one that failed
// is never used again. While Redis is away a call fails at once, and now and then one of them tries to connect (at least
// every second). A call that has to wait says so within 4 s: a sender waits 5 s for its answer.
#ifndef SERVER_STORE_REDIS_POOL_H
#define SERVER_STORE_REDIS_POOL_H

#include "server/store/redis/redis_conn.h"

struct redis;

// redis_open reads the URL and connects on demand only. relaxed: as in redis_settings.h.
MUST_CHECK enum rc redis_open(struct sv url, bool relaxed, struct redis **ret, struct err *e);
void redis_close(struct redis *r);

// redis_run: one pipeline. RC_OK: every command is answered, maybe with an error: ask redis_failed. RC_UNAVAILABLE: the
// connection failed; commands that were not answered may have run or not. RC_TOO_LARGE: the answers do not fit the arena.
MUST_CHECK enum rc redis_run(struct redis *r, struct arena *a, struct redis_command *commands, size_t n, struct err *e);

// redis_run_kept: where the URL asks for replicas (min_replicas), the n commands count as done when so many have them. commands[n] is a
// write without meaning, commands[n + 1] is room. deadline_ms: as of redis_deadline_ms when the call began to wait. RC_UNAVAILABLE: too
// few have them; it is to be repeated.
MUST_CHECK enum rc redis_run_kept(struct redis *r, struct arena *a, struct redis_command *commands, size_t n, int64_t deadline_ms, struct err *e);

int64_t redis_deadline_ms(void);  // monotonic: when a call that begins now has to have its answer
bool redis_in_trouble(struct redis *r);  // the last attempt to connect failed

#endif
