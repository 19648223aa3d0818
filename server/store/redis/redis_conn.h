// redis_conn.h: one connection to a Redis or a sentinel; redis_conn.c is the only file that sees hiredis.
// One thread at a time. A connection on which a call failed (RC_UNAVAILABLE) is out of step and can only be closed.
// No call lasts much longer than the deadline that the connection was given.
#ifndef SERVER_STORE_REDIS_CONN_H
#define SERVER_STORE_REDIS_CONN_H

#include "base/arena.h"
#include "base/err.h"
#include "server/store/redis/redis_error.h"
#include "server/store/redis/redis_url.h"

// A Lua script, run by its hash, or by its text where Redis does not know it (yet, or any more).
struct redis_script {
    const char *text;
    char hash[41];  // sha1_hex of text
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

struct redis_conn;

// redis_conn_open: a bare connection, and how long connecting and each answer may take.
MUST_CHECK enum rc redis_conn_open(const struct redis_host *to, int patience_ms, int64_t deadline_ms, struct redis_conn **ret, struct err *e);
void redis_conn_close(struct redis_conn *c);  // NULL is fine
void redis_conn_deadline(struct redis_conn *c, int64_t deadline_ms);  // monotonic; for the calls that follow
bool redis_conn_idle(const struct redis_conn *c);  // open, and nothing has come that nobody asked for

// redis_conn_run: one pipeline; a script that Redis does not know is sent again as text. RC_OK: every command is answered, maybe
// with an error. RC_UNAVAILABLE: commands that were not answered may have run or not.
MUST_CHECK enum rc redis_conn_run(struct redis_conn *c, struct arena *a, struct redis_command *commands, size_t n, struct err *e);

// redis_conn_ask: one plain command. An error that Redis answers is the result, and is in *ret as well.
MUST_CHECK enum rc redis_conn_ask(struct redis_conn *c, struct arena *a, const struct sv *argv, size_t argc, struct redis_reply *ret, struct err *e);

// redis_failed: RC_OK unless the reply is an error; see redis_error_tell.
MUST_CHECK enum rc redis_failed(const struct redis_reply *reply, struct err *e);
bool redis_reply_calls_for(const struct redis_reply *reply, enum redis_remedy remedy);

#endif
