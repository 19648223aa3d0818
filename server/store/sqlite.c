// sqlite.c: one file, one connection, one thread that owns it.
//
// Every call posts a request and waits. The writer takes what is queued into one transaction (a group commit: one sync for
// many accepts), and nobody hears of a result before that is durable. A request that fails is undone alone; when the
// transaction fails, everybody in it hears the error.
#include "base/clock.h"
#include "base/failpoint.h"
#include "server/store/sqlite_verbs.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MOST = 64 };

// A request lives on the stack of the caller, who waits for `done`.
struct request {
    verb_function *verb;
    void *args;
    enum rc rc;
    struct err err;
    sem_t done;
    struct request *next;
};

struct engine {
    struct db *db;  // the writer's, after opening
    struct purge_args purge;
    int64_t wall_minus_mono_ms;
    pthread_t writer;
    pthread_mutex_t lock;  // of all below
    pthread_cond_t posted;
    struct request *first, *last;
    bool closing;
};

// Wall time that never jumps: a step of the clock would end all leases, or none. The next start takes the clock as it is.
static int64_t now_ms(const struct engine *s) {
    return clock_mono_ms() + s->wall_minus_mono_ms;
}

// ---- the writer

static void fail_all(struct request *const *batch, size_t n, enum rc rc, const struct err *e) {
    for (size_t i = 0; i < n; i++) {
        batch[i]->rc = rc;
        batch[i]->err = *e;
    }
}

// run_one: false when its failure ended the whole transaction.
static bool run_one(struct db *db, int64_t now, struct request *r) {
    db_mark(db);
    r->verb(db, now, r->args);
    db_rest(db);
    r->rc = db_take_error(db, &r->err);
    if (r->rc == RC_OK)
        db_unmark(db);
    else if (db_in_transaction(db))
        db_undo(db);
    return db_in_transaction(db) && !db_broken(db);
}

static void run_batch(struct engine *s, struct request *const *batch, size_t n) {
    struct db *db = s->db;
    struct err e = {0};
    int64_t now = now_ms(s);
    db_begin(db);
    bool whole = db_ok(db);
    for (size_t i = 0; whole && i < n; i++) {
        whole = run_one(db, now, batch[i]);
        if (!whole)
            e = batch[i]->err;
    }
    FAILPOINT("sqlite.before_commit");
    if (whole)
        db_commit(db);
    FAILPOINT("sqlite.after_commit");
    enum rc rc = db_take_error(db, &e);
    if (rc == RC_OK && !whole)
        rc = e.code;
    db_rollback(db);
    if (rc != RC_OK)
        fail_all(batch, n, rc, &e);
}

// take_batch waits for requests; 0: closing, and nothing is left.
static size_t take_batch(struct engine *s, struct request **batch) {
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->closing)
        pthread_cond_wait(&s->posted, &s->lock);
    for (; s->first && n < BATCH_MOST; s->first = s->first->next)
        batch[n++] = s->first;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void *write_batches(void *arg) {
    struct engine *s = arg;
    struct request *batch[BATCH_MOST];
    for (size_t n; (n = take_batch(s, batch)) > 0;) {
        run_batch(s, batch, n);
        for (size_t i = 0; i < n; i++)
            sem_post(&batch[i]->done);  // from here on the request is gone
        FAILPOINT("sqlite.told");
        db_tidy(s->db);
    }
    return NULL;
}

static enum rc perform(struct engine *s, verb_function *verb, void *args, struct err *e) {
    struct request r = {.verb = verb, .args = args};
    sem_init(&r.done, 0, 0);
    pthread_mutex_lock(&s->lock);
    if (s->first)
        s->last->next = &r;
    else
        s->first = &r;
    s->last = &r;
    pthread_cond_signal(&s->posted);
    pthread_mutex_unlock(&s->lock);
    while (sem_wait(&r.done) != 0 && errno == EINTR)
        ;
    sem_destroy(&r.done);
    if (r.rc != RC_OK && e)
        *e = r.err;
    return r.rc;
}

// ---- the engine

static void free_engine(struct engine *s) {
    db_close(s->db);
    pthread_cond_destroy(&s->posted);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static enum rc file_of(struct sv url, struct sv *ret, struct err *e) {
    struct sv scheme;
    if (!sv_cut(url, ':', &scheme, ret) || !sv_present(*ret))
        return err_set(e, RC_INVALID, "store: sqlite needs a file, as in sqlite:fireorder.db");
    return RC_OK;
}

static enum rc sqlite_check_url(struct sv url, struct err *e) {
    struct sv path;
    return file_of(url, &path, e);
}

static enum rc open_db(struct engine *s, struct sv url, struct err *e) {
    struct sv path;
    if (file_of(url, &path, e) != RC_OK)
        return RC_INVALID;
    char *file = strndup(path.p, path.n);
    if (!file)
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    struct db_config config = {
        .path = file,
        .schema_version = SCHEMA_VERSION,
        .schema = sqlite_schema,
        .queries = sqlite_queries,
        .query_count = SQL_COUNT_,
    };
    enum rc rc = db_open(&config, &s->db, e);
    free(file);
    if (rc != RC_OK)
        return rc;
    db_begin(s->db);
    verb_start(s->db, now_ms(s), NULL);
    db_commit(s->db);
    return db_take_error(s->db, e);
}

static enum rc sqlite_open(const struct store_config *config, struct engine **ret, struct err *e) {
    struct engine *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    s->purge = (struct purge_args){config->retention_ms, config->ledger_lifetime_ms};
    s->wall_minus_mono_ms = clock_wall_ms() - clock_mono_ms();
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->posted, NULL);
    enum rc rc = open_db(s, config->url, e);
    if (rc == RC_OK && pthread_create(&s->writer, NULL, write_batches, s) != 0)
        rc = err_set(e, RC_IO, "store: no thread can be started");
    if (rc != RC_OK) {
        free_engine(s);
        return rc;
    }
    *ret = s;
    return RC_OK;
}

// What was posted before is still carried out.
static void sqlite_close(struct engine *s) {
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_signal(&s->posted);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->writer, NULL);
    free_engine(s);
}

static enum rc sqlite_accept(struct engine *s, const struct delivery *d, const char *const *ids, size_t n, enum accepted *ret, struct err *e) {
    struct accept_args args = {.deliveries = d, .ids = ids, .n = n, .ret = ret};
    return perform(s, verb_accept, &args, e);
}

static enum rc sqlite_claim(struct engine *s, struct arena *a, const struct claim *claims, size_t n, int64_t lease_ms,
                            struct job **ret, size_t *ret_count, int64_t *ret_next_due_ms, struct err *e) {
    struct claim_args args = {.arena = a, .claims = claims, .n = n, .lease_ms = lease_ms};
    enum rc rc = perform(s, verb_claim, &args, e);
    if (rc != RC_OK)
        return rc;
    *ret = args.ret;
    *ret_count = args.ret_count;
    *ret_next_due_ms = args.ret_next_due_ms;
    return RC_OK;
}

static enum rc sqlite_commit(struct engine *s, struct change *changes, size_t n, struct err *e) {
    return perform(s, verb_commit, &(struct commit_args){.changes = changes, .n = n}, e);
}

// In slices, so that accepts get their turn while a million lanes are woken.
static enum rc sqlite_wake(struct engine *s, struct sv shop, struct err *e) {
    struct wake_args args = {.shop = shop};
    enum rc rc;
    do {
        rc = perform(s, verb_wake, &args, e);
    } while (rc == RC_OK && args.ret_more);
    return rc;
}

static enum rc sqlite_look_up(struct engine *s, struct arena *a, struct lookup *asked, size_t n, struct err *e) {
    return perform(s, verb_look_up, &(struct look_up_args){.arena = a, .asked = asked, .n = n}, e);
}

static enum rc sqlite_state_put(struct engine *s, struct sv shop, const struct remembered *r, struct err *e) {
    (void)shop;
    struct remembered args = *r;
    return perform(s, verb_state_put, &args, e);
}

static enum rc sqlite_ledger(struct engine *s, struct arena *a, struct sv shop, int64_t after_ms, int64_t after_n,
                             struct ledger_line **ret, size_t *ret_count, struct err *e) {
    struct ledger_args args = {.arena = a, .shop = shop, .after_ms = after_ms, .after_n = after_n};
    enum rc rc = perform(s, verb_ledger, &args, e);
    *ret = args.ret;
    *ret_count = rc == RC_OK ? args.ret_count : 0;
    return rc;
}

static enum rc sqlite_state_swap(struct engine *s, struct sv shop, const struct mark *m, struct err *e) {
    (void)shop;
    struct state_swap_args args = {.mark = m};
    enum rc rc = perform(s, verb_state_swap, &args, e);
    return rc == RC_OK && !args.ret_held ? RC_CONFLICT : rc;
}

static enum rc sqlite_stats(struct engine *s, struct sv shop, struct store_stats *ret, struct err *e) {
    struct stats_args args = {.shop = shop};
    enum rc rc = perform(s, verb_stats, &args, e);
    if (rc == RC_OK)
        *ret = args.ret;
    return rc;
}

// A cursor is the seq of the last job that was looked at.
static enum rc sqlite_list(struct engine *s, struct arena *a, const struct job_query *q, struct job_view **ret, size_t *ret_count,
                           struct sv *ret_next, struct err *e) {
    struct list_args args = {.arena = a, .query = q};
    if (q->after.p && (!sv_i64(q->after, &args.after) || args.after < 0))
        return err_set(e, RC_INVALID, "no page ended there");
    enum rc rc = perform(s, verb_list, &args, e);
    if (rc != RC_OK)
        return rc;
    *ret = args.ret;
    *ret_count = args.ret_count;
    *ret_next = args.ret_next > 0 ? arena_fmt(a, "%lld", (long long)args.ret_next) : SV_NONE;
    return RC_OK;
}

static enum rc found(enum rc rc, bool is_there, struct err *e) {
    return rc == RC_OK && !is_there ? err_set(e, RC_NOT_FOUND, "there is no such job") : rc;
}

static enum rc sqlite_find(struct engine *s, struct arena *a, struct sv shop, struct sv id, struct job_view *ret, struct err *e) {
    struct find_args args = {.arena = a, .shop = shop, .id = id};
    enum rc rc = perform(s, verb_find, &args, e);
    *ret = args.ret;
    return found(rc, args.ret_found, e);
}

static enum rc sqlite_redrive(struct engine *s, struct sv shop, struct sv id, struct sv plan, bool *ret_redriven, struct err *e) {
    struct redrive_args args = {.shop = shop, .id = id, .plan = plan};
    enum rc rc = perform(s, verb_redrive, &args, e);
    *ret_redriven = rc == RC_OK && args.ret_redriven;
    return found(rc, args.ret_found, e);
}

static enum rc sqlite_check(struct engine *s, struct err *e) {
    return perform(s, verb_check, NULL, e);
}

static enum rc sqlite_kept(struct engine *s, struct arena *a, struct sv shop, enum kept_kind kind, struct sv after, struct kept **ret,
                           size_t *ret_count, struct sv *ret_next, struct err *e) {
    struct kept_args args = {.arena = a, .shop = shop, .kind = kind, .after = after};
    if (kind == KEPT_JOBS && after.p && !sv_i64(after, &args.after_job))
        return err_set(e, RC_INVALID, "no page ended there");
    enum rc rc = perform(s, verb_kept, &args, e);
    *ret = args.ret;
    *ret_count = args.ret_count;
    *ret_next = args.ret_next;
    return rc;
}

static enum rc sqlite_erase(struct engine *s, struct sv shop, const struct kept *erased, size_t n, struct sv own, struct err *e) {
    return perform(s, verb_erase, &(struct erase_args){.shop = shop, .own = own, .erased = erased, .n = n}, e);
}

static enum rc sqlite_purge(struct engine *s, const struct sv *shops, size_t n, struct err *e) {
    (void)shops, (void)n;
    return perform(s, verb_purge, &s->purge, e);
}

const struct engine_ops engine_sqlite = {
    .scheme = "sqlite",
    .check_url = sqlite_check_url,
    .open = sqlite_open,
    .close = sqlite_close,
    .accept = sqlite_accept,
    .claim = sqlite_claim,
    .commit = sqlite_commit,
    .wake = sqlite_wake,
    .look_up = sqlite_look_up,
    .state_put = sqlite_state_put,
    .ledger = sqlite_ledger,
    .state_swap = sqlite_state_swap,
    .stats = sqlite_stats,
    .list = sqlite_list,
    .find = sqlite_find,
    .redrive = sqlite_redrive,
    .kept = sqlite_kept,
    .erase = sqlite_erase,
    .check = sqlite_check,
    .purge = sqlite_purge,
};
