// sqlite_writer.c: one connection, and whose turn it is to work on it.
//
// Whoever wants something of a writer that rests does it himself, which takes no switch of threads. What is posted meanwhile is the
// thread's, to which he hands the turn: it takes what is queued into one transaction (a group commit: one sync for many accepts), and the
// next, until nothing is left. So it is at work all the time when there is much to do. It also does what nobody is to wait for.
// Nobody hears of a result before that is durable, or as durable as he wants it. When a request fails, which is rare, all is undone and each has
// a transaction of its own; when the transaction fails, everybody in it hears the error.
#include "server/store/sqlite/sqlite_writer.h"

#include "base/clock.h"
#include "base/failpoint.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

enum { BATCH_MOST = 64 };

enum turn { NOBODY, CALLER, THREAD };

// A request lives on the stack of the caller. When it is queued he waits for `done`.
struct request {
    verb_function *verb;
    void *args;
    bool unsynced;
    enum rc rc;
    struct err err;
    sem_t done;
    struct request *next;
};

struct writer {
    struct db *db;  // his whose turn it is, after opening; so are stale and told
    verb_function *renew, *end;
    void *args;   // theirs
    bool stale;   // renew is due
    bool told;    // that it is broken
    void (*broken)(void *ctx);
    void *broken_ctx;
    int64_t wall_minus_mono_ms;
    pthread_t thread;
    pthread_mutex_t lock;  // of all below
    pthread_cond_t handed;  // the turn to the thread, or closing
    enum turn turn;
    struct request *first, *last;  // queued; none while it is nobody's turn
    bool closing;
};

// Wall time that never jumps: a step of the clock would end all leases, or none. The next start takes the clock as it is.
static int64_t now_ms(const struct writer *w) {
    return clock_mono_ms() + w->wall_minus_mono_ms;
}

// ---- whose turn it is

static void fail_all(struct request *const *batch, size_t n, enum rc rc, const struct err *e) {
    for (size_t i = 0; i < n; i++) {
        batch[i]->rc = rc;
        batch[i]->err = *e;
    }
}

static bool renewed(struct writer *w, int64_t now) {
    if (w->stale && w->renew)
        w->renew(w->db, now, w->args);
    w->stale = w->stale && !db_ok(w->db);
    return db_ok(w->db);
}

static bool run_one(struct db *db, int64_t now, struct request *r) {
    r->verb(db, now, r->args);
    db_rest(db);
    r->rc = db_take_error(db, &r->err);
    return r->rc == RC_OK;
}

static bool asks_for_sync(struct request *const *batch, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!batch[i]->unsynced)
            return true;
    return false;
}

// run_batch: false: one request failed, nothing happened, and the others deserve another try.
static bool run_batch(struct writer *w, struct request *const *batch, size_t n) {
    struct db *db = w->db;
    struct err e = {0};
    int64_t now = now_ms(w);
    db_begin(db);
    bool whole = renewed(w, now);
    for (size_t i = 0; whole && i < n; i++) {
        whole = run_one(db, now, batch[i]);
        if (!whole)
            e = batch[i]->err;
    }
    bool again = !whole && n > 1 && db_in_transaction(db) && !db_broken(db);
    if (whole && w->end)
        w->end(db, now, w->args);
    FAILPOINT("sqlite.before_commit");
    if (whole && asks_for_sync(batch, n))
        db_commit(db);
    else if (whole)
        db_commit_unsynced(db);
    FAILPOINT("sqlite.after_commit");
    enum rc rc = db_take_error(db, &e);
    if (rc == RC_OK && !whole)
        rc = e.code;
    db_rollback(db);
    w->stale = w->stale || rc != RC_OK;
    if (rc != RC_OK)
        fail_all(batch, n, rc, &e);
    return !again;
}

static void run(struct writer *w, struct request **batch, size_t n) {
    bool done = run_batch(w, batch, n);
    for (size_t i = 0; !done && i < n; i++)
        run_batch(w, &batch[i], 1);
}

static bool is_untidy(const struct writer *w) {
    return db_untidy(w->db) || (db_broken(w->db) && !w->told);
}

static void tidy(struct writer *w) {
    db_tidy(w->db);
    if (!db_broken(w->db) || w->told)
        return;
    w->told = true;
    if (w->broken)
        w->broken(w->broken_ctx);
}

// ---- the thread

// await_turn: false: closing.
static bool await_turn(struct writer *w) {
    pthread_mutex_lock(&w->lock);
    while (w->turn != THREAD && !(w->turn == NOBODY && w->closing))
        pthread_cond_wait(&w->handed, &w->lock);
    bool mine = w->turn == THREAD;
    pthread_mutex_unlock(&w->lock);
    return mine;
}

// take_batch: 0: nothing is queued, and the turn is over.
static size_t take_batch(struct writer *w, struct request **batch) {
    size_t n = 0;
    pthread_mutex_lock(&w->lock);
    for (; w->first && n < BATCH_MOST; w->first = w->first->next)
        batch[n++] = w->first;
    if (n == 0)
        w->turn = NOBODY;
    pthread_mutex_unlock(&w->lock);
    return n;
}

static void take_turn(struct writer *w) {
    struct request *batch[BATCH_MOST];
    tidy(w);
    for (size_t n; (n = take_batch(w, batch)) > 0;) {
        run(w, batch, n);
        for (size_t i = 0; i < n; i++)
            sem_post(&batch[i]->done);  // from here on the request is gone
        FAILPOINT("sqlite.told");
        tidy(w);
    }
}

static void *take_turns(void *arg) {
    while (await_turn(arg))
        take_turn(arg);
    return NULL;
}

// ---- the callers

// enter: it is the caller's turn. Otherwise his requests are queued; they outlive that: nobody leaves before the thread is done with them.
static bool enter(struct writer *w, struct request *requests, size_t n) {
    pthread_mutex_lock(&w->lock);
    bool mine = w->turn == NOBODY;
    if (mine)
        w->turn = CALLER;
    for (size_t i = 0; i < n && !mine; i++) {
        sem_init(&requests[i].done, 0, 0);
        if (w->first)
            w->last->next = &requests[i];
        else
            w->first = &requests[i];
        w->last = &requests[i];
    }
    pthread_mutex_unlock(&w->lock);
    return mine;
}

static void leave(struct writer *w) {
    bool untidy = is_untidy(w);
    pthread_mutex_lock(&w->lock);
    w->turn = untidy || w->first ? THREAD : NOBODY;
    if (w->turn == THREAD || w->closing)
        pthread_cond_signal(&w->handed);
    pthread_mutex_unlock(&w->lock);
}

static void await(struct request *r) {
    while (sem_wait(&r->done) != 0 && errno == EINTR)
        ;
    sem_destroy(&r->done);
}

static void perform(struct writer *w, struct request *requests, size_t n) {
    struct request *batch[WRITER_CALLS_MOST] = {0};
    for (size_t i = 0; i < n; i++)
        batch[i] = &requests[i];
    if (enter(w, requests, n)) {
        run(w, batch, n);
        leave(w);
        FAILPOINT("sqlite.told");
        return;
    }
    for (size_t i = 0; i < n; i++)
        await(&requests[i]);
}

enum rc writer_perform(struct writer *w, verb_function *verb, void *args, struct err *e) {
    struct request r = {.verb = verb, .args = args};
    perform(w, &r, 1);
    if (r.rc != RC_OK && e)
        *e = r.err;
    return r.rc;
}

void writer_perform_all(struct writer *w, struct writer_call *calls, size_t n) {
    struct request requests[WRITER_CALLS_MOST] = {0};
    for (size_t i = 0; i < n; i++)
        requests[i] = (struct request){.verb = calls[i].verb, .args = calls[i].args, .unsynced = calls[i].unsynced};
    if (n > 0)
        perform(w, requests, n);
    for (size_t i = 0; i < n; i++) {
        calls[i].rc = requests[i].rc;
        calls[i].err = requests[i].err;
    }
}

// ---- opening and closing

static void free_writer(struct writer *w) {
    db_close(w->db);
    pthread_cond_destroy(&w->handed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static enum rc begin(struct writer *w, const struct writer_config *config, struct err *e) {
    enum rc rc = db_open(&config->db, &w->db, e);
    if (rc != RC_OK)
        return rc;
    db_begin(w->db);
    if (w->renew)
        w->renew(w->db, now_ms(w), w->args);
    config->begin(w->db, now_ms(w), config->begin_args);
    db_commit(w->db);
    return db_take_error(w->db, e);
}

enum rc writer_open(const struct writer_config *config, struct writer **ret, struct err *e) {
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    w->renew = config->renew;
    w->end = config->end;
    w->args = config->args;
    w->broken = config->broken;
    w->broken_ctx = config->broken_ctx;
    w->wall_minus_mono_ms = clock_wall_ms() - clock_mono_ms();
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->handed, NULL);
    enum rc rc = begin(w, config, e);
    if (rc == RC_OK && pthread_create(&w->thread, NULL, take_turns, w) != 0)
        rc = err_set(e, RC_IO, "store: no thread can be started");
    if (rc != RC_OK) {
        free_writer(w);
        return rc;
    }
    *ret = w;
    return RC_OK;
}

void writer_close(struct writer *w) {
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_signal(&w->handed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    free_writer(w);
}
