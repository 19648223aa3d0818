// redis_conn.c: a pool of hiredis connections, pipelines, and what the errors of Redis mean.
// hiredis 0.14 is the oldest that has to work: commands go out as counted arguments only, never as format strings.
#include "server/store/redis_conn.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "server/store/redis_url.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECTIONS_MAX 32
#define CONNECT_TIMEOUT_MS 2000
#define COMMAND_TIMEOUT_MS 3000  // a sender waits 5 s for its answer
#define WAIT_FOR_CONNECTION_MS 3000
#define PAUSE_LEAST_MS 50
#define PAUSE_MOST_MS 1000
#define URL_MEMORY ((size_t)64 << 10)
#define INTRODUCTION_MEMORY ((size_t)1 << 20)

struct redis {
    struct arena arena;  // of the address
    struct redis_address address;
    struct redis_inspector *inspector;

    pthread_mutex_t lock;  // for all below
    pthread_cond_t freed;
    redisContext *idle[CONNECTIONS_MAX];  // used last, taken first: the others can rest
    size_t idle_count, lent;
    int64_t pause_ms;     // 0: the last attempt to connect worked
    int64_t try_next_ms;  // monotonic
    struct err last_failure;
};

// ---- what an error means

static const struct error_meaning {
    const char *start;  // of the error text
    enum rc code;
    const char *text;
} error_meanings[] = {
    {"LOADING", RC_UNAVAILABLE, "Redis is still loading its data"},
    {"BUSY", RC_UNAVAILABLE, "Redis is busy with a long script"},
    {"TRYAGAIN", RC_UNAVAILABLE, "Redis asks to try again"},
    {"CLUSTERDOWN", RC_UNAVAILABLE, "the Redis Cluster is down"},
    {"MASTERDOWN", RC_UNAVAILABLE, "Redis has lost its master"},
    {"READONLY", RC_UNAVAILABLE, "Redis is a read-only replica now: the URL has to lead to the master"},
    {"OOM", RC_UNAVAILABLE, "Redis is at maxmemory: give it more, or let the waiting jobs drain"},
    {"MISCONF", RC_UNAVAILABLE, "Redis cannot write to its disk: see its log, free space there"},
    {"NOREPLICAS", RC_UNAVAILABLE, "Redis has fewer replicas than min-replicas-to-write asks for"},
    {"NOSCRIPT", RC_UNAVAILABLE, "Redis has forgotten a script that it was just given"},
    {"ERR max number of clients", RC_UNAVAILABLE, "Redis has no connection left: raise its maxclients"},
    {"NOAUTH", RC_IO, "Redis wants a password: redis://:password@host:port"},
    {"WRONGPASS", RC_IO, "Redis refuses the user or password of the URL"},
    {"ERR AUTH", RC_IO, "Redis refuses the user or password of the URL"},
    {"NOPERM", RC_IO, "the Redis user lacks a permission: it needs ~fo:* +@read +@write +@scripting +@connection +info +role +time"},
    {"MOVED", RC_IO, "this node of a Redis Cluster does not hold the shop: use a Redis without cluster mode, or a cluster proxy"},
    {"ASK", RC_IO, "this node of a Redis Cluster does not hold the shop: use a Redis without cluster mode, or a cluster proxy"},
};

enum rc redis_failed(const struct redis_reply *reply, struct err *e) {
    if (reply->kind != REPLY_ERROR)
        return RC_OK;
    for (size_t i = 0; i < COUNTOF(error_meanings); i++)
        if (sv_starts(reply->text, sv_of(error_meanings[i].start)))
            return err_set(e, error_meanings[i].code, "%s", error_meanings[i].text);
    // What Redis quotes of a command after the comma is not for a log.
    struct sv text, rest;
    sv_cut(reply->text, ',', &text, &rest);
    return err_set(e, RC_IO, "Redis answers: %.*s", (int)(text.n < 200 ? text.n : 200), text.p ? text.p : "");
}

static enum rc connection_failed(const redisContext *c, struct err *e) {
    if (!c)
        return err_set(e, RC_UNAVAILABLE, "no memory for a connection to Redis");
    if (c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK))
        return err_set(e, RC_UNAVAILABLE, "Redis did not answer within %d ms", COMMAND_TIMEOUT_MS);
    return err_set(e, RC_UNAVAILABLE, "no connection to Redis: %s", c->errstr);
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
static enum rc next_reply(redisContext *c, struct arena *a, struct redis_reply *ret, struct err *e) {
    void *reply = NULL;
    if (redisGetReply(c, &reply) != REDIS_OK || !reply)
        return connection_failed(c, e);
    copy_reply(a, reply, ret);
    freeReplyObject(reply);
    return RC_OK;
}

// ---- sending

// append: the whole text of a script goes out only when its hash is not enough.
static bool append(redisContext *c, struct arena *a, const struct redis_command *command, bool as_text) {
    size_t n = command->argc, head = 0;
    const char **argv = ARENA_ARRAY(a, const char *, n + 3);
    size_t *lengths = ARENA_ARRAY(a, size_t, n + 3);
    if (command->script) {
        as_text = as_text || !command->script->hash[0];
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
    return redisAppendCommandArgv(c, (int)(head + n), argv, lengths) == REDIS_OK;
}

static bool script_missing(const struct redis_command *command) {
    return command->answered && command->script && command->reply.kind == REPLY_ERROR &&
           sv_starts(command->reply.text, SV("NOSCRIPT"));
}

// exchange: one pipeline. again: only what failed because Redis did not know the script.
static enum rc exchange(redisContext *c, struct arena *a, struct redis_command *commands, size_t n, bool again, struct err *e) {
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
    }
    return RC_OK;
}

static bool any(const struct redis_command *commands, size_t n, bool (*is)(const struct redis_command *)) {
    for (size_t i = 0; i < n; i++)
        if (is(&commands[i]))
            return true;
    return false;
}

// ---- connecting

static struct timeval milliseconds(int ms) {
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static enum rc ask(void *c, struct arena *a, const struct sv *argv, size_t argc, struct redis_reply *ret, struct err *e) {
    struct redis_command command = {.argv = argv, .argc = argc};
    enum rc rc = exchange(c, a, &command, 1, false, e);
    *ret = command.reply;
    return rc ? rc : redis_failed(ret, e);
}

// introduce: who we are, which database, and is this the master: after a fail-over the old address may be a replica.
static enum rc introduce(const struct redis *r, redisContext *c, struct arena *a, struct err *e) {
    const struct redis_address *address = &r->address;
    struct redis_reply reply;
    enum rc rc = RC_OK;
    if (sv_present(address->password)) {
        struct sv with_user[] = {SV("AUTH"), address->user, address->password};
        struct sv without[] = {SV("AUTH"), address->password};
        bool user = sv_present(address->user);
        rc = ask(c, a, user ? with_user : without, user ? COUNTOF(with_user) : COUNTOF(without), &reply, e);
    }
    if (!rc && address->db > 0)
        rc = ask(c, a, (struct sv[]){SV("SELECT"), arena_fmt(a, "%lld", (long long)address->db)}, 2, &reply, e);
    if (!rc)
        rc = ask(c, a, (struct sv[]){SV("ROLE")}, 1, &reply, e);
    if (rc)
        return rc;
    if (reply.kind != REPLY_LIST || reply.count == 0 || !sv_is(reply.items[0].text, "master"))
        return err_set(e, RC_UNAVAILABLE, "this Redis is a replica: the URL has to lead to the master (role master)");
    return r->inspector->look(r->inspector, ask, c, a, e);
}

static enum rc connect_new(const struct redis *r, redisContext **ret, struct err *e) {
    redisContext *c = redisConnectWithTimeout(r->address.host, r->address.port, milliseconds(CONNECT_TIMEOUT_MS));
    enum rc rc = RC_OK;
    if (!c || c->err)
        rc = err_set(e, RC_UNAVAILABLE, "no connection to Redis at %s port %d: %s", r->address.host, r->address.port,
                     c ? c->errstr : "no memory");
    else if (redisSetTimeout(c, milliseconds(COMMAND_TIMEOUT_MS)) != REDIS_OK || redisEnableKeepAlive(c) != REDIS_OK)
        rc = connection_failed(c, e);
    if (!rc) {
        struct arena a;
        arena_init(&a, INTRODUCTION_MEMORY);
        rc = introduce(r, c, &a, e);
        arena_free(&a);
    }
    if (rc && c)
        redisFree(c);
    *ret = rc ? NULL : c;
    return rc;
}

// ---- the pool

// still_open: an idle connection has nothing to read, unless the other side has closed it.
static bool still_open(const redisContext *c) {
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static void unlend(struct redis *r) {  // with the lock
    r->lent--;
    pthread_cond_signal(&r->freed);
}

// lend: the right to one of the connections; *ret is an idle one, or NULL: connect.
static enum rc lend(struct redis *r, redisContext **ret, struct err *e) {
    int64_t until_ms = clock_mono_ms() + WAIT_FOR_CONNECTION_MS;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    enum rc rc = RC_OK;
    pthread_mutex_lock(&r->lock);
    int waited = 0;
    while (r->lent == CONNECTIONS_MAX && !waited)
        waited = pthread_cond_timedwait(&r->freed, &r->lock, &until);
    *ret = NULL;
    if (r->lent == CONNECTIONS_MAX)
        rc = err_set(e, RC_UNAVAILABLE, "Redis is too slow: all %d connections are busy", CONNECTIONS_MAX);
    else if (r->idle_count > 0)
        *ret = r->idle[--r->idle_count];
    else if (r->pause_ms > 0 && clock_mono_ms() < r->try_next_ms)
        rc = err_set(e, r->last_failure.code, "%s", r->last_failure.text);
    else
        r->try_next_ms = clock_mono_ms() + r->pause_ms;  // while Redis is away one thread tries, the others need not wait with it
    if (!rc)
        r->lent++;
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static void note_attempt(struct redis *r, enum rc rc, const struct err *failure) {
    pthread_mutex_lock(&r->lock);
    if (rc) {
        r->pause_ms = r->pause_ms == 0 ? PAUSE_LEAST_MS : r->pause_ms * 2 < PAUSE_MOST_MS ? r->pause_ms * 2 : PAUSE_MOST_MS;
        r->try_next_ms = clock_mono_ms() + r->pause_ms;
        r->last_failure = *failure;
        unlend(r);
    } else {
        r->pause_ms = 0;
    }
    pthread_mutex_unlock(&r->lock);
}

static enum rc take(struct redis *r, redisContext **ret, struct err *e) {
    enum rc rc = lend(r, ret, e);
    if (rc)
        return rc;
    if (*ret && still_open(*ret))
        return RC_OK;
    if (*ret)
        redisFree(*ret);
    struct err failure = {0};
    rc = connect_new(r, ret, &failure);
    note_attempt(r, rc, &failure);
    return rc ? err_set(e, rc, "%s", failure.text) : RC_OK;
}

// give_back: when one connection has failed the idle ones are suspect as well.
static void give_back(struct redis *r, redisContext *c, bool good) {
    redisContext *drop[CONNECTIONS_MAX + 1];
    size_t dropped = 0;
    pthread_mutex_lock(&r->lock);
    if (good) {
        r->idle[r->idle_count++] = c;
    } else {
        drop[dropped++] = c;
        while (r->idle_count > 0)
            drop[dropped++] = r->idle[--r->idle_count];
    }
    unlend(r);
    pthread_mutex_unlock(&r->lock);
    while (dropped > 0)
        redisFree(drop[--dropped]);
}

// lost_master: the connection leads to a replica now; a new one is asked for its role.
static bool lost_master(const struct redis_command *command) {
    return command->reply.kind == REPLY_ERROR && sv_starts(command->reply.text, SV("READONLY"));
}

enum rc redis_run(struct redis *r, struct arena *a, struct redis_command *commands, size_t n, struct err *e) {
    for (size_t i = 0; i < n; i++)
        commands[i].answered = false;
    redisContext *c;
    enum rc rc = take(r, &c, e);
    if (rc)
        return rc;
    rc = exchange(c, a, commands, n, false, e);
    if (!rc && any(commands, n, script_missing))
        rc = exchange(c, a, commands, n, true, e);
    give_back(r, c, !rc && !any(commands, n, lost_master));
    if (!rc && !arena_ok(a))
        return err_set(e, RC_TOO_LARGE, "what Redis answered does not fit into memory: ask for less at a time");
    return rc;
}

enum rc redis_load(struct redis *r, struct redis_script *script, struct err *e) {
    struct arena a;
    arena_init(&a, URL_MEMORY);
    struct redis_command load = {.argv = (struct sv[]){SV("SCRIPT"), SV("LOAD"), sv_of(script->text)}, .argc = 3};
    enum rc rc = redis_run(r, &a, &load, 1, e);
    if (!rc)
        rc = redis_failed(&load.reply, e);
    if (!rc && load.reply.text.n != sizeof script->hash - 1)
        rc = err_set(e, RC_IO, "Redis answers SCRIPT LOAD with something else than a hash");
    if (!rc)
        memcpy(script->hash, load.reply.text.p, sizeof script->hash - 1);
    arena_free(&a);
    return rc;
}

enum rc redis_open(struct sv url, struct redis_inspector *inspector, struct redis **ret, struct err *e) {
    struct redis *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, RC_IO, "out of memory");
    r->inspector = inspector;
    arena_init(&r->arena, URL_MEMORY);
    enum rc rc = redis_url_parse(&r->arena, url, &r->address, e);
    if (rc) {
        arena_free(&r->arena);
        free(r);
        return rc;
    }
    // hiredis writes to sockets that the other side may have closed; the error is enough.
    signal(SIGPIPE, SIG_IGN);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&r->lock, NULL);
    *ret = r;
    return RC_OK;
}

void redis_close(struct redis *r) {
    if (!r)
        return;
    while (r->idle_count > 0)
        redisFree(r->idle[--r->idle_count]);
    pthread_cond_destroy(&r->freed);
    pthread_mutex_destroy(&r->lock);
    if (r->address.password.p)
        wipe((void *)(uintptr_t)r->address.password.p, r->address.password.n);
    arena_free(&r->arena);
    free(r);
}
