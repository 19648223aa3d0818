// redis_conn.h: talking to one Redis from many threads; redis_conn.c is the only file that sees hiredis.
// Connections are made on demand and pooled. Each new one is authenticated and must lead to a master. One that failed is never
// used again. While Redis is away a call fails at once, and now and then one of them tries to connect (at least every second).
#ifndef SERVER_STORE_REDIS_CONN_H
#define SERVER_STORE_REDIS_CONN_H

#include "base/arena.h"
#include "base/err.h"

// A Lua script, run by its hash, or by its text where Redis does not know it (yet, or any more).
struct redis_script {
    const char *text;
    char hash[41];  // filled by redis_load; empty: sent as text
};

enum redis_kind { REPLY_NIL, REPLY_INTEGER, REPLY_TEXT, REPLY_LIST, REPLY_ERROR };

struct redis_reply {
    enum redis_kind kind;
    int64_t integer;
    struct sv text;             // TEXT, ERROR; in the arena
    struct redis_reply *items;  // LIST
    size_t count;
};

struct redis_command {
    const struct redis_script *script;  // NULL: argv is a plain command; else its one key and its arguments
    const struct sv *argv;
    size_t argc;
    // out
    bool answered;
    struct redis_reply reply;
};

struct redis;

// redis_ask: one command on a connection that nobody else has yet. An error that Redis answers is in *ret as well.
typedef enum rc redis_ask(void *connection, struct arena *a, const struct sv *argv, size_t argc, struct redis_reply *ret, struct err *e);

// Every new connection is shown to `look` before it is used; an error closes it, and is what the caller of redis_run gets.
struct redis_inspector {
    enum rc (*look)(struct redis_inspector *i, redis_ask *ask, void *connection, struct arena *a, struct err *e);
    bool relaxed;
    int warned;  // atomic
};

// redis_open reads the URL and connects on demand only. inspector is borrowed until redis_close.
MUST_CHECK enum rc redis_open(struct sv url, struct redis_inspector *inspector, struct redis **ret, struct err *e);
void redis_close(struct redis *r);

// redis_run: one pipeline. RC_OK: every command is answered, maybe with an error: ask redis_failed. RC_UNAVAILABLE: the
// connection failed; commands that were not answered may have run or not. RC_TOO_LARGE: the answers do not fit the arena.
MUST_CHECK enum rc redis_run(struct redis *r, struct arena *a, struct redis_command *commands, size_t n, struct err *e);

// redis_failed: RC_OK unless the reply is an error; RC_UNAVAILABLE for what passes by itself (loading, busy, out of memory,
// disk full, read-only replica), RC_IO for what somebody has to put right.
MUST_CHECK enum rc redis_failed(const struct redis_reply *reply, struct err *e);

// redis_load: makes the script known to Redis and learns its hash. Before other threads use it.
MUST_CHECK enum rc redis_load(struct redis *r, struct redis_script *script, struct err *e);

#endif
