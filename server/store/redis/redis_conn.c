// redis_conn.c: hiredis behind counted arguments, deadlines and replies that live in an arena.
// hiredis 0.14 is the oldest that has to work: commands go out as counted arguments only, never as format strings.
#include "server/store/redis/redis_conn.h"

#include "base/clock.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct redis_conn {
    redisContext *hiredis;
    int patience_ms;     // for one answer
    int timeout_ms;      // what the socket waits at the moment
    int64_t deadline_ms;
};

enum rc redis_failed(const struct redis_reply *reply, struct err *e) {
    return reply->kind == REPLY_ERROR ? redis_error_tell(reply->text, e) : RC_OK;
}

bool redis_reply_calls_for(const struct redis_reply *reply, enum redis_remedy remedy) {
    return reply->kind == REPLY_ERROR && redis_error_remedy(reply->text) == remedy;
}

static enum rc connection_failed(const struct redis_conn *c, struct err *e) {
    if (c->hiredis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK))
        return err_set(e, RC_UNAVAILABLE, "Redis did not answer within %d ms", c->timeout_ms);
    return err_set(e, RC_UNAVAILABLE, "no connection to Redis: %s", c->hiredis->errstr);
}

// ---- time

static struct timeval milliseconds(int ms) {
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

// keep_time: the socket waits no longer than is left. Mostly more is left than one answer may take, and nothing is to be done.
static enum rc keep_time(struct redis_conn *c, struct err *e) {
    int64_t left_ms = c->deadline_ms - clock_mono_ms();
    if (left_ms <= 0)
        return err_set(e, RC_UNAVAILABLE, "Redis is too slow: the time for this call is over");
    int wanted_ms = left_ms < c->patience_ms ? (int)left_ms : c->patience_ms;
    if (wanted_ms == c->timeout_ms)
        return RC_OK;
    if (redisSetTimeout(c->hiredis, milliseconds(wanted_ms)) != REDIS_OK)
        return connection_failed(c, e);
    c->timeout_ms = wanted_ms;
    return RC_OK;
}

void redis_conn_deadline(struct redis_conn *c, int64_t deadline_ms) {
    c->deadline_ms = deadline_ms;
}

// ---- replies

static const enum redis_kind kinds[] = {
    [REDIS_REPLY_NIL] = REPLY_NIL,     [REDIS_REPLY_INTEGER] = REPLY_INTEGER, [REDIS_REPLY_STRING] = REPLY_TEXT,
    [REDIS_REPLY_STATUS] = REPLY_TEXT, [REDIS_REPLY_ARRAY] = REPLY_LIST,      [REDIS_REPLY_ERROR] = REPLY_ERROR,
};

// Only the kinds of RESP2 can come, at most two lists deep.
static void copy_reply(struct arena *a, const redisReply *from, struct redis_reply *to) {
    *to = (struct redis_reply){.kind = from->type >= 0 && (size_t)from->type < COUNTOF(kinds) ? kinds[from->type] : REPLY_NIL};
    if (!arena_ok(a))
        return;
    switch (to->kind) {
    case REPLY_NIL:
        break;
    case REPLY_INTEGER:
        to->integer = from->integer;
        break;
    case REPLY_TEXT:
    case REPLY_ERROR:
        to->text = arena_dup(a, (struct sv){from->str, from->len});
        break;
    case REPLY_LIST:
        to->items = ARENA_ARRAY(a, struct redis_reply, from->elements);
        for (to->count = 0; to->count < from->elements; to->count++)
            copy_reply(a, from->element[to->count], &to->items[to->count]);
        break;
    }
}

// next_reply: waits for the answer to the oldest command of the pipeline.
static enum rc next_reply(struct redis_conn *c, struct arena *a, struct redis_reply *ret, struct err *e) {
    void *reply = NULL;
    enum rc rc = keep_time(c, e);
    if (rc)
        return rc;
    if (redisGetReply(c->hiredis, &reply) != REDIS_OK || !reply)
        return connection_failed(c, e);
    copy_reply(a, reply, ret);
    freeReplyObject(reply);
    return RC_OK;
}

// ---- sending

// append: the whole text of a script goes out only when its hash is not enough.
static bool append(struct redis_conn *c, struct arena *a, const struct redis_command *command, bool as_text) {
    size_t n = command->argc, head = 0;
    const char **argv = ARENA_ARRAY(a, const char *, n + 3);
    size_t *lengths = ARENA_ARRAY(a, size_t, n + 3);
    if (command->script) {
        argv[0] = as_text ? "EVAL" : "EVALSHA";
        argv[1] = as_text ? command->script->text : command->script->hash;
        argv[2] = "1";
        for (; head < 3; head++)
            lengths[head] = strlen(argv[head]);
    }
    for (size_t i = 0; i < n; i++) {
        argv[head + i] = command->argv[i].p ? command->argv[i].p : "";
        lengths[head + i] = command->argv[i].n;
    }
    return redisAppendCommandArgv(c->hiredis, (int)(head + n), argv, lengths) == REDIS_OK;
}

static bool script_missing(const struct redis_command *command) {
    return command->answered && command->script && redis_reply_calls_for(&command->reply, REMEDY_RELOAD);
}

// exchange: one pipeline. again: only what failed because Redis did not know the script; *ret_missing: there is such.
static enum rc exchange(struct redis_conn *c, struct arena *a, struct redis_command *commands, size_t n, bool again, bool *ret_missing, struct err *e) {
    *ret_missing = false;
    for (size_t i = 0; i < n; i++)
        if ((!again || script_missing(&commands[i])) && !append(c, a, &commands[i], again))
            return connection_failed(c, e);
    for (size_t i = 0; i < n; i++) {
        if (again && !script_missing(&commands[i]))
            continue;
        commands[i].answered = false;
        enum rc rc = next_reply(c, a, &commands[i].reply, e);
        if (rc)
            return rc;
        commands[i].answered = true;
        *ret_missing |= script_missing(&commands[i]);
    }
    return RC_OK;
}

enum rc redis_conn_run(struct redis_conn *c, struct arena *a, struct redis_command *commands, size_t n, struct err *e) {
    bool missing;
    enum rc rc = exchange(c, a, commands, n, false, &missing, e);
    return rc || !missing ? rc : exchange(c, a, commands, n, true, &missing, e);
}

enum rc redis_conn_ask(struct redis_conn *c, struct arena *a, const struct sv *argv, size_t argc, struct redis_reply *ret, struct err *e) {
    struct redis_command command = {.argv = argv, .argc = argc};
    enum rc rc = redis_conn_run(c, a, &command, 1, e);
    *ret = command.reply;
    return rc ? rc : redis_failed(ret, e);
}

// ---- opening and closing

void redis_conn_close(struct redis_conn *c) {
    if (!c)
        return;
    if (c->hiredis)
        redisFree(c->hiredis);
    free(c);
}

bool redis_conn_idle(const struct redis_conn *c) {
    char byte;
    return recv(c->hiredis->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

enum rc redis_conn_open(const struct redis_host *to, int patience_ms, int64_t deadline_ms, struct redis_conn **ret, struct err *e) {
    int64_t left_ms = deadline_ms - clock_mono_ms();
    if (left_ms <= 0)
        return err_set(e, RC_UNAVAILABLE, "no connection to Redis at %s port %d: no time is left for it", to->name, to->port);
    struct redis_conn *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, RC_UNAVAILABLE, "no memory for a connection to Redis");
    *c = (struct redis_conn){.patience_ms = patience_ms, .deadline_ms = deadline_ms};
    c->hiredis = redisConnectWithTimeout(to->name, to->port, milliseconds(left_ms < patience_ms ? (int)left_ms : patience_ms));
    enum rc rc = RC_OK;
    if (!c->hiredis || c->hiredis->err)
        rc = err_set(e, RC_UNAVAILABLE, "no connection to Redis at %s port %d: %s", to->name, to->port,
                     c->hiredis ? c->hiredis->errstr : "no memory");
    else if (redisEnableKeepAlive(c->hiredis) != REDIS_OK)
        rc = connection_failed(c, e);
    else
        rc = keep_time(c, e);
    if (rc) {
        redis_conn_close(c);
        return rc;
    }
    *ret = c;
    return RC_OK;
}
