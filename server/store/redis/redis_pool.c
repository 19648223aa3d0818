// redis_pool.c: who may use which connection, and when to try again.
#include "server/store/redis/redis_pool.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "server/store/redis/redis_master.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECTIONS_MAX 32
#define CALL_MOST_MS 4000
#define WAIT_FOR_CONNECTION_MS 3000
#define REPLICAS_WAIT_MS 1000
#define PAUSE_LEAST_MS 50
#define PAUSE_MOST_MS 1000
#define URL_MEMORY ((size_t)64 << 10)

struct redis {
    struct arena arena;  // of the address
    struct redis_address address;
    struct redis_master master;

    pthread_mutex_t lock;  // for all below
    pthread_cond_t freed;
    struct redis_conn *idle[CONNECTIONS_MAX];  // used last, taken first: the others can rest
    size_t idle_count, lent;
    int64_t pause_ms;     // 0: the last attempt to connect worked
    int64_t try_next_ms;  // monotonic
    struct err last_failure;
};

// unlend: with the lock, and without it afterwards: who is woken while it is held only falls asleep again over it.
static void unlend(struct redis *r) {
    r->lent--;
    pthread_mutex_unlock(&r->lock);
    pthread_cond_signal(&r->freed);
}

// lend: the right to one of the connections; *ret is an idle one, or NULL: connect.
static enum rc lend(struct redis *r, struct redis_conn **ret, struct err *e) {
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
        pthread_mutex_unlock(&r->lock);
    }
}

static enum rc take(struct redis *r, int64_t deadline_ms, struct redis_conn **ret, struct err *e) {
    enum rc rc = lend(r, ret, e);
    if (rc)
        return rc;
    if (*ret && redis_conn_idle(*ret)) {
        redis_conn_deadline(*ret, deadline_ms);
        return RC_OK;
    }
    redis_conn_close(*ret);
    struct err failure = {0};
    rc = redis_master_connect(&r->master, deadline_ms, ret, &failure);
    note_attempt(r, rc, &failure);
    return rc ? err_set(e, rc, "%s", failure.text) : RC_OK;
}

// give_back: when one connection has failed the idle ones are suspect as well.
static void give_back(struct redis *r, struct redis_conn *c, bool good) {
    struct redis_conn *drop[CONNECTIONS_MAX + 1];
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
    while (dropped > 0)
        redis_conn_close(drop[--dropped]);
}

// astray: the connection leads to a replica now; a new one goes to the master.
static bool astray(const struct redis_command *commands, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (redis_reply_calls_for(&commands[i].reply, REMEDY_RECONNECT))
            return true;
    return false;
}

int64_t redis_deadline_ms(void) {
    return clock_mono_ms() + CALL_MOST_MS;
}

bool redis_in_trouble(struct redis *r) {
    pthread_mutex_lock(&r->lock);
    bool in_trouble = r->pause_ms > 0;
    pthread_mutex_unlock(&r->lock);
    return in_trouble;
}

static enum rc run(struct redis *r, struct arena *a, struct redis_command *commands, size_t n, int64_t deadline_ms, struct err *e) {
    for (size_t i = 0; i < n; i++)
        commands[i].answered = false;
    struct redis_conn *c;
    enum rc rc = take(r, deadline_ms, &c, e);
    if (rc)
        return rc;
    rc = redis_conn_run(c, a, commands, n, e);
    give_back(r, c, !rc && !astray(commands, n));
    if (!rc && !arena_ok(a))
        return err_set(e, RC_TOO_LARGE, "what Redis answered does not fit into memory: ask for less at a time");
    return rc;
}

enum rc redis_run(struct redis *r, struct arena *a, struct redis_command *commands, size_t n, struct err *e) {
    return run(r, a, commands, n, redis_deadline_ms(), e);
}

// WAIT is promised for what this connection wrote (7.0 counts all that was written before). A repetition may write nothing, because
// it was done through another connection a moment ago: hence the write without meaning before it.
enum rc redis_run_kept(struct redis *r, struct arena *a, struct redis_command *commands, size_t n, int64_t deadline_ms, struct err *e) {
    long long wanted = r->address.min_replicas;
    if (wanted == 0)
        return run(r, a, commands, n, deadline_ms, e);
    struct sv wait[] = {SV("WAIT"), arena_fmt(a, "%lld", wanted), arena_fmt(a, "%d", REPLICAS_WAIT_MS)};
    struct redis_command *kept = &commands[n], *waited = &commands[n + 1];
    *waited = (struct redis_command){.argv = wait, .argc = COUNTOF(wait)};
    enum rc rc = run(r, a, commands, n + 2, deadline_ms, e);
    if (!rc)
        rc = redis_failed(&kept->reply, e);
    if (!rc)
        rc = redis_failed(&waited->reply, e);
    if (!rc && waited->reply.integer < wanted)
        rc = err_set(e, RC_UNAVAILABLE, "only %lld replicas have what this Redis was told, min_replicas asks for %lld",
                     (long long)waited->reply.integer, wanted);
    return rc;
}

enum rc redis_open(struct sv url, bool relaxed, struct redis **ret, struct err *e) {
    struct redis *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, RC_IO, "out of memory");
    arena_init(&r->arena, URL_MEMORY);
    enum rc rc = redis_url_parse(&r->arena, url, &r->address, e);
    if (rc) {
        arena_free(&r->arena);
        free(r);
        return rc;
    }
    redis_master_init(&r->master, &r->address, relaxed);
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
        redis_conn_close(r->idle[--r->idle_count]);
    pthread_cond_destroy(&r->freed);
    pthread_mutex_destroy(&r->lock);
    redis_master_free(&r->master);
    if (r->address.password.p)
        wipe((void *)(uintptr_t)r->address.password.p, r->address.password.n);
    arena_free(&r->arena);
    free(r);
}
