// sqlite.c: the verbs of the store on one SQLite file; one at a time (sqlite_writer.h).
#include "base/clock.h"
#include "server/store/permits.h"
#include "server/store/sqlite/sqlite_verbs.h"

#include <stdlib.h>
#include <string.h>

enum { PURGE_MOST_MS = 500 };

struct engine {
    struct writer *writer;
    struct purge_args purge;
    struct permits *permits;
    struct late_keys *late;  // his whose turn it is
    struct running running;  // too
};

// ---- the engine

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

static enum rc open_writer(struct engine *s, const struct store_config *store, struct err *e) {
    struct sv path;
    if (file_of(store->url, &path, e) != RC_OK)
        return RC_INVALID;
    char *file = strndup(path.p, path.n);
    if (!file)
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    const struct writer_config config = {
        .db = {.path = file, .schema_version = SCHEMA_VERSION, .schema = sqlite_schema, .upgrade = sqlite_upgrade, .memory = s->late,
               .queries = sqlite_queries, .query_count = SQL_COUNT_},
        .begin = verb_start,
        .renew = verb_renew,
        .end = verb_end,
        .args = &s->running,
        .broken = store->broken,
        .broken_ctx = store->broken_ctx,
    };
    enum rc rc = writer_open(&config, &s->writer, e);
    free(file);
    return rc;
}

static void sqlite_close(struct engine *s) {
    writer_close(s->writer);
    permits_free(s->permits);
    late_keys_free(s->late);
    free(s);
}

static enum rc sqlite_open(const struct store_config *config, struct engine **ret, struct err *e) {
    struct engine *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    s->purge = (struct purge_args){.retention_ms = config->retention_ms, .ledger_lifetime_ms = config->ledger_lifetime_ms};
    s->permits = permits_new();
    s->late = late_keys_new();
    enum rc rc = s->permits && s->late ? open_writer(s, config, e) : err_set(e, RC_UNAVAILABLE, "out of memory");
    if (rc != RC_OK) {
        sqlite_close(s);
        return rc;
    }
    *ret = s;
    return RC_OK;
}

static enum rc sqlite_accept(struct engine *s, const struct delivery *d, const char *const *ids, size_t n, enum accepted *ret, struct err *e) {
    (void)ids;  // they are the first keys
    struct accept_args args = {.running = &s->running, .deliveries = d, .n = n, .ret = ret};
    return writer_perform(s->writer, verb_accept, &args, e);
}

static enum rc sqlite_claim(struct engine *s, struct arena *a, const struct claim *claims, size_t n, int64_t lease_ms,
                            struct job **ret, size_t *ret_count, int64_t *ret_next_due_ms, struct err *e) {
    struct claim_args args = {.arena = a, .claims = claims, .n = n, .lease_ms = lease_ms};
    enum rc rc = writer_perform(s->writer, verb_claim, &args, e);
    if (rc != RC_OK)
        return rc;
    *ret = args.ret;
    *ret_count = args.ret_count;
    *ret_next_due_ms = args.ret_next_due_ms;
    return RC_OK;
}

static enum rc sqlite_commit(struct engine *s, struct change *changes, size_t n, struct err *e) {
    return writer_perform(s->writer, verb_commit, &(struct commit_args){.running = &s->running, .changes = changes, .n = n}, e);
}

static void sqlite_round(struct engine *s, struct arena *a, struct store_round *r) {
    struct commit_args commit = {.running = &s->running, .changes = r->changes, .n = r->change_count};
    struct look_up_args look_up = {.arena = a, .asked = r->asked, .n = r->asked_count};
    struct claim_args claim = {.arena = a, .claims = r->claims, .n = r->claim_count, .lease_ms = r->lease_ms};
    struct writer_call calls[3];
    enum rc *results[3];
    size_t n = 0;
    if (commit.n > 0)
        calls[n] = (struct writer_call){.verb = verb_commit, .args = &commit}, results[n++] = &r->committed;
    if (look_up.n > 0)
        calls[n] = (struct writer_call){.verb = verb_look_up, .args = &look_up, .unsynced = true}, results[n++] = &r->told;
    if (claim.n > 0)
        calls[n] = (struct writer_call){.verb = verb_claim, .args = &claim, .unsynced = true}, results[n++] = &r->claimed;
    writer_perform_all(s->writer, calls, n);
    for (size_t i = n; i-- > 0;) {
        *results[i] = calls[i].rc;
        if (calls[i].rc != RC_OK)
            r->err = calls[i].err;
    }
    r->jobs = claim.ret;
    r->job_count = claim.ret_count;
    r->next_due_ms = claim.ret_next_due_ms;
}

// In slices, so that accepts get their turn while a million lanes are woken.
static enum rc sqlite_wake(struct engine *s, struct sv shop, struct err *e) {
    struct wake_args args = {.shop = shop};
    enum rc rc;
    do {
        rc = writer_perform(s->writer, verb_wake, &args, e);
    } while (rc == RC_OK && args.ret_more);
    return rc;
}

static enum rc sqlite_look_up(struct engine *s, struct arena *a, struct lookup *asked, size_t n, struct err *e) {
    return writer_perform(s->writer, verb_look_up, &(struct look_up_args){.arena = a, .asked = asked, .n = n}, e);
}

static enum rc sqlite_state_put(struct engine *s, struct sv shop, const struct remembered *r, struct err *e) {
    (void)shop;
    struct remembered args = *r;
    return writer_perform(s->writer, verb_state_put, &args, e);
}

static enum rc sqlite_ledger(struct engine *s, struct arena *a, struct sv shop, int64_t after_ms, int64_t after_n,
                             struct ledger_line **ret, size_t *ret_count, struct err *e) {
    struct ledger_args args = {.arena = a, .shop = shop, .after_ms = after_ms, .after_n = after_n};
    enum rc rc = writer_perform(s->writer, verb_ledger, &args, e);
    *ret = args.ret;
    *ret_count = rc == RC_OK ? args.ret_count : 0;
    return rc;
}

static enum rc sqlite_state_swap(struct engine *s, struct sv shop, const struct mark *m, struct err *e) {
    (void)shop;
    struct state_swap_args args = {.mark = m};
    enum rc rc = writer_perform(s->writer, verb_state_swap, &args, e);
    return rc == RC_OK && !args.ret_held ? RC_CONFLICT : rc;
}

static enum rc sqlite_permits(struct engine *s, struct permit *asked, size_t n, struct err *e) {
    return permits_take(s->permits, asked, n, clock_mono_ms(), e);
}

static enum rc sqlite_stats(struct engine *s, struct sv shop, struct store_stats *ret, struct err *e) {
    struct stats_args args = {.running = &s->running, .shop = shop};
    enum rc rc = writer_perform(s->writer, verb_stats, &args, e);
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
    enum rc rc = writer_perform(s->writer, verb_list, &args, e);
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
    enum rc rc = writer_perform(s->writer, verb_find, &args, e);
    *ret = args.ret;
    return found(rc, args.ret_found, e);
}

static enum rc sqlite_redrive(struct engine *s, struct sv shop, struct sv id, struct sv plan, bool *ret_redriven, struct err *e) {
    struct redrive_args args = {.running = &s->running, .shop = shop, .id = id, .plan = plan};
    enum rc rc = writer_perform(s->writer, verb_redrive, &args, e);
    *ret_redriven = rc == RC_OK && args.ret_redriven;
    return found(rc, args.ret_found, e);
}

static enum rc sqlite_check(struct engine *s, struct err *e) {
    return writer_perform(s->writer, verb_check, NULL, e);
}

static enum rc sqlite_kept(struct engine *s, struct arena *a, struct sv shop, enum kept_kind kind, struct sv after, struct kept **ret,
                           size_t *ret_count, struct sv *ret_next, struct err *e) {
    struct kept_args args = {.arena = a, .shop = shop, .kind = kind, .after = after};
    if (kind == KEPT_JOBS && after.p && !sv_i64(after, &args.after_job))
        return err_set(e, RC_INVALID, "no page ended there");
    enum rc rc = writer_perform(s->writer, verb_kept, &args, e);
    *ret = args.ret;
    *ret_count = args.ret_count;
    *ret_next = args.ret_next;
    return rc;
}

static enum rc sqlite_erase(struct engine *s, struct sv shop, const struct kept *erased, size_t n, struct sv own, struct err *e) {
    return writer_perform(s->writer, verb_erase, &(struct erase_args){.shop = shop, .own = own, .erased = erased, .n = n}, e);
}

// In slices too, and not for long, so that a stop need not wait: the next purge goes on. Nobody waits for the disk: what a power cut
// brings back is over all the same.
static enum rc sqlite_purge(struct engine *s, const struct sv *shops, size_t n, struct err *e) {
    (void)shops, (void)n;
    struct writer_call call = {.verb = verb_purge, .args = &s->purge, .unsynced = true};
    int64_t end_ms = clock_mono_ms() + PURGE_MOST_MS;
    do {
        writer_perform_all(s->writer, &call, 1);
        if (call.rc != RC_OK) {
            *e = call.err;
            return call.rc;
        }
        s->purge.after = s->purge.ret_after;
    } while (s->purge.ret_more && clock_mono_ms() < end_ms);
    return RC_OK;
}

const struct engine_ops engine_sqlite = {
    .scheme = "sqlite",
    .check_url = sqlite_check_url,
    .open = sqlite_open,
    .close = sqlite_close,
    .accept = sqlite_accept,
    .claim = sqlite_claim,
    .commit = sqlite_commit,
    .round = sqlite_round,
    .wake = sqlite_wake,
    .look_up = sqlite_look_up,
    .state_put = sqlite_state_put,
    .ledger = sqlite_ledger,
    .state_swap = sqlite_state_swap,
    .permits = sqlite_permits,
    .stats = sqlite_stats,
    .list = sqlite_list,
    .find = sqlite_find,
    .redrive = sqlite_redrive,
    .kept = sqlite_kept,
    .erase = sqlite_erase,
    .check = sqlite_check,
    .purge = sqlite_purge,
};
