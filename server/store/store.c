// store.c: what is the same for every engine: which one, the keys, and how bodies, plans and values are packed.
//
// The purpose of a key goes into its hash, so an e-mail that names a lane and one that names a remembered value never meet.
// What is packed is bound to shop, kind and id: a record that somebody moved to another place does not open there.
#include "base/compress.h"
#include "base/log.h"
#include "server/store/seal_key.h"
#include "server/store/spool.h"
#include "server/store/store_parts.h"
#include "usual_webhooks.h"

#include <stdlib.h>
#include <string.h>

#define UNPACKED_MOST ((size_t)64 << 20) // a body is at most 8 MiB; a plan repeats some of it
enum { KEYS_MOST = 4, LANE_KEYS_MOST = 8, UPDATES_MOST = 16 };

static const struct row {
    const char *scheme;
    const struct engine_ops *ops;
    bool key_beside;  // the store is a file, which a key file can stand beside
} rows[] = {
    {"sqlite", &engine_sqlite, true},
    {"redis", &engine_redis, false},
    {"rediss", &engine_redis, false},
    {"redis+sentinel", &engine_redis, false},
};

// ---- keys

struct sv hashed(const struct store *s, struct arena *a, enum hash_purpose purpose, struct sv shop, struct sv key) {
    char *out = arena_room(a, KEY_LEN + 1);
    hash_under(&s->hash_key, purpose, shop, key, out);
    return (struct sv){out, KEY_LEN};
}

const struct sv *hash_all(const struct store *s, struct arena *a, enum hash_purpose purpose, struct sv shop, const struct sv *keys, size_t n) {
    struct sv *out = ARENA_ARRAY(a, struct sv, n);
    for (size_t i = 0; i < n; i++)
        out[i] = hashed(s, a, purpose, shop, keys[i]);
    return out;
}

// ---- packing

static struct sv bound_to(struct arena *a, struct sv shop, const char *kind, struct sv id) {
    return arena_join(a, SVS(shop, SV("|"), sv_of(kind), SV("|"), id));
}

struct sv store_pack(const struct store *s, struct arena *a, struct sv shop, const char *kind, struct sv id, struct sv plain) {
    if (!plain.p)
        return SV_NONE;
    bool stays = strcmp(kind, "plan") != 0;  // a plan is carried out in a moment, mostly
    return ring_seal(a, &s->ring, bound_to(a, shop, kind, id), stays ? compress(a, s->usual, plain) : compress_quickly(a, s->usual, plain));
}

enum rc store_unpack(const struct store *s, struct arena *a, struct sv shop, const char *kind, struct sv id, struct sv *io, struct err *e) {
    struct sv opened = SV_NONE;
    if (!io->p)
        return RC_OK;
    enum rc rc = ring_open(a, &s->ring, bound_to(a, shop, kind, id), *io, &opened, e);
    return rc == RC_OK ? decompress(a, s->usual, opened, UNPACKED_MOST, io, e) : rc;
}

struct remembered pack_remembered(const struct store *s, struct arena *a, struct sv shop, const struct remembered *r) {
    struct sv key = hashed(s, a, STATE_KEY, shop, r->key);
    return (struct remembered){.key = key, .value = store_pack(s, a, shop, "state", key, r->value), .lifetime_ms = r->lifetime_ms};
}

// ---- opening

static enum rc find_row(struct sv url, const struct row **ret, struct err *e) {
    struct sv scheme, rest;
    if (sv_cut(url, ':', &scheme, &rest))
        for (size_t i = 0; i < COUNTOF(rows); i++)
            if (sv_is(scheme, rows[i].scheme)) {
                *ret = &rows[i];
                return RC_OK;
            }
    return err_set(e, RC_INVALID, "store: unknown kind; write sqlite:<file> or redis://<host>:<port>/<db>, or redis+sentinel://<host>,<host>/<master>/<db>");
}

enum rc store_url_check(struct sv url, struct err *e) {
    const struct row *row = NULL;
    enum rc rc = find_row(url, &row, e);
    return rc == RC_OK ? row->ops->check_url(url, e) : rc;
}

// read_keys: those that are configured, or the one beside the store's file.
static enum rc read_keys(struct store *s, const struct row *row, const struct store_config *config, struct err *e) {
    unsigned char made[SEAL_KEY_LEN] = {0};
    struct arena a;
    if (config->seal_keys.p)
        return ring_make(config->seal_keys, &s->ring, e);
    if (!row->key_beside)
        return err_set(e, RC_INVALID, "seal_key: a %s store needs one, the same for every copy; make it with: openssl rand -base64 32", row->scheme);
    arena_init(&a, 1 << 16);
    const char *file = arena_cstr(&a, sv_sub(config->url, strlen(row->scheme) + 1, config->url.n));
    enum rc rc = *file ? seal_key_beside(file, made, e) : err_set(e, RC_INVALID, "store: %s: what is the file?", row->scheme);
    if (rc == RC_OK)
        rc = ring_make((struct sv){(const char *)made, sizeof made}, &s->ring, e);
    arena_free(&a);
    wipe(made, sizeof made);
    return rc;
}

static void tell_keys(const struct store *s) {
    struct arena a;
    arena_init(&a, 1 << 16);
    struct sv names = ring_names(&a, &s->ring);
    log_info("seal_key: " SV_FMT, SV_ARG(names));
    arena_free(&a);
}

// A store that was emptied (FLUSHALL, a lost volume, a replica that had nothing) cannot say what was in it; that it was is told once.
static enum rc check_engine(void *ctx, struct err *e) {
    struct store *s = ctx;
    bool lost = false;
    enum rc rc = s->ops->check(s->engine, e);
    if (rc == RC_OK)
        rc = hash_key_check(s->ops, s->engine, &s->ring, &s->hash_key, &lost, e);
    if (lost)
        log_error("the store has lost everything that was in it: somebody emptied it, or it is another one now. "
                  "What waited there is lost, and what senders repeat is taken for new");
    return rc;
}

// trouble: the engine's; NULL: it has answered.
static enum rc open_spool(struct store *s, const struct store_config *config, const struct err *trouble, struct err *e) {
    char fingerprint[KEY_LEN + 1];
    store_fingerprint(s, SV("-"), SV("spool"), fingerprint);
    const struct spool_config spool = {.store = config, .fingerprint = sv_of(fingerprint), .ops = s->ops, .engine = s->engine,
                                       .trouble = trouble, .ready = check_engine, .ctx = s};
    return spool_open(&spool, &s->spool, e);
}

// open_spool_alone: the engine keeps the key of the hashes and does not answer. The spool is bound to that key, so it says which of ours it is.
static enum rc open_spool_alone(struct store *s, const struct store_config *config, const struct err *trouble, struct err *e) {
    enum rc rc = RC_UNAVAILABLE;
    for (size_t i = 0; i < s->ring.n && rc != RC_OK; i++) {
        s->hash_key = s->ring.keys[i].hash;
        rc = open_spool(s, config, trouble, e);
    }
    return rc;
}

enum rc store_open(const struct store_config *config, struct store **ret, struct err *e) {
    const struct row *row = NULL;
    enum rc rc = find_row(config->url, &row, e);
    if (!row)
        return rc;
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    s->ops = row->ops;
    s->usual = usual_new(sv_of(txt_usual_1));
    rc = read_keys(s, row, config, e);
    if (rc == RC_OK)
        rc = s->ops->open(config, &s->engine, e);
    struct err trouble = {0};
    if (rc == RC_OK && (rc = hash_key_settle(s->ops, s->engine, &s->ring, &s->hash_key, &trouble)) != RC_OK)
        err_set(e, rc, "%s", trouble.text);
    if (config->spool.p && rc == RC_OK)
        rc = open_spool(s, config, NULL, e);
    else if (config->spool.p && s->engine && rc == RC_UNAVAILABLE)
        rc = open_spool_alone(s, config, &trouble, e);
    if (rc != RC_OK) {
        store_close(s);
        return rc;
    }
    if (s->ring.n > 1)
        tell_keys(s);
    *ret = s;
    return RC_OK;
}

void store_close(struct store *s) {
    if (!s)
        return;
    spool_close(s->spool);
    if (s->engine)
        s->ops->close(s->engine);
    usual_free(s->usual);
    wipe(s, sizeof *s);
    free(s);
}

// ---- verbs

static enum rc check_delivery(const struct delivery *d, struct err *e) {
    if (d->key_count < 1 || d->key_count > KEYS_MOST || d->lane_key_count > LANE_KEYS_MOST)
        return err_set(e, RC_INVALID, "store: a delivery has 1 to 4 keys and at most 8 lane keys");
    return RC_OK;
}

static struct delivery pack_delivery(const struct store *s, struct arena *a, const struct delivery *d) {
    _Static_assert(JOB_ID_LEN == KEY_LEN, "a job's id is its first key");
    struct delivery packed = *d;
    packed.keys = hash_all(s, a, DELIVERY_KEY, d->shop, d->keys, d->key_count);
    packed.lane_keys = hash_all(s, a, LANE_KEY, d->shop, d->lane_keys, d->lane_key_count);
    packed.body = store_pack(s, a, d->shop, "body", packed.keys[0], d->body.p ? d->body : SV(""));
    return packed;
}

enum rc store_accept(struct store *s, const struct delivery *d, size_t n, enum accepted *ret, struct err *e) {
    for (size_t i = 0; i < n; i++)
        if (check_delivery(&d[i], e) != RC_OK)
            return RC_INVALID;
    if (n == 0)
        return RC_OK;
    struct arena a;
    arena_init(&a, WORK_LIMIT);
    struct delivery *packed = ARENA_ARRAY(&a, struct delivery, n);
    const char **ids = ARENA_ARRAY(&a, const char *, n);
    for (size_t i = 0; i < n; i++) {
        packed[i] = pack_delivery(s, &a, &d[i]);
        ids[i] = packed[i].keys[0].p;
    }
    enum rc rc = s->spool ? spool_accept(s->spool, packed, ids, n, ret, e) : s->ops->accept(s->engine, packed, ids, n, ret, e);
    arena_free(&a);
    return rc;
}

enum rc store_wake(struct store *s, struct sv shop, struct err *e) {
    return s->ops->wake(s->engine, shop, e);
}

// quick: what the way to an acknowledgement asks of the engine is not asked while that is in trouble: senders wait 5 s.
static enum rc quick(struct store *s, struct err *e) {
    return spool_in_use(s->spool) ? err_set(e, RC_UNAVAILABLE, "the store is in trouble, webhooks go into the spool") : RC_OK;
}

static enum rc noted(struct store *s, enum rc rc, const struct err *e) {
    if (rc != RC_OK)
        spool_begin(s->spool, e);
    return rc;
}

// A damaged value is an error. With another seal key nothing is found: the keys have other hashes.
enum rc store_state_get(struct store *s, struct arena *a, struct sv shop, struct sv key, struct sv *ret, struct err *e) {
    struct lookup asked = {.shop = shop, .key = key};
    enum rc rc = quick(s, e);
    if (rc == RC_OK)
        rc = noted(s, store_look_up(s, a, &asked, 1, e), e);
    if (rc == RC_OK && asked.unreadable.p)
        rc = err_set(e, RC_INVALID, SV_FMT, SV_ARG(asked.unreadable));
    if (rc == RC_OK)
        *ret = asked.ret;
    return rc;
}

enum rc store_state_put(struct store *s, struct sv shop, const struct remembered *r, struct err *e) {
    struct arena a;
    arena_init(&a, WORK_LIMIT);
    struct remembered packed = pack_remembered(s, &a, shop, r);
    enum rc rc = quick(s, e);
    if (rc == RC_OK)
        rc = noted(s, s->ops->state_put(s->engine, shop, &packed, e), e);
    arena_free(&a);
    return rc;
}

static enum rc update_once(struct store *s, struct arena *a, struct sv shop, const struct state_update *u, struct err *e) {
    struct lookup packed = {.shop = shop, .key = hashed(s, a, STATE_KEY, shop, u->key)};
    enum rc rc = s->ops->look_up(s->engine, a, &packed, 1, e);
    struct sv key = packed.key, seen = packed.ret;
    if (rc == RC_OK)
        rc = store_unpack(s, a, shop, "state", key, &seen, e);
    if (rc == RC_NOT_FOUND)  // sealed with a key that was taken away: nobody will read it any more
        seen = SV_NONE;
    else if (rc != RC_OK)
        return rc;
    struct sv next = u->next(u->ctx, a, seen);
    if (!next.p || !arena_ok(a))
        return err_set(e, RC_TOO_LARGE, "store: a value takes more memory than its request may");
    const struct mark m = {.key = key, .expect = packed.ret, .value = store_pack(s, a, shop, "state", key, next), .lifetime_ms = u->lifetime_ms};
    return s->ops->state_swap(s->engine, shop, &m, e);
}

// Packed values are never the same twice, so what is where it was has not been changed and changed back.
enum rc store_state_update(struct store *s, struct arena *a, struct sv shop, const struct state_update *u, struct err *e) {
    for (int i = 0; i < UPDATES_MOST; i++) {
        enum rc rc = update_once(s, a, shop, u, e);
        if (rc != RC_CONFLICT)
            return rc;
    }
    return err_set(e, RC_UNAVAILABLE, "store: too many change one value at once");
}

void store_fingerprint(const struct store *s, struct sv shop, struct sv text, char ret[KEY_LEN + 1]) {
    hash_under(&s->hash_key, FINGERPRINT, shop, text, ret);
}

enum rc store_ledger(struct store *s, struct arena *a, struct sv shop, int64_t after_ms, int64_t after_n, struct ledger_line **ret,
                     size_t *ret_count, struct err *e) {
    enum rc rc = s->ops->ledger(s->engine, a, shop, after_ms, after_n, ret, ret_count, e);
    if (rc == RC_OK && !arena_ok(a))
        return err_set(e, RC_TOO_LARGE, "store: a page of the ledger needs more memory than it may have");
    return rc;
}

enum rc store_permits(struct store *s, struct permit *asked, size_t n, struct err *e) {
    return n > 0 ? s->ops->permits(s->engine, asked, n, e) : RC_OK;
}

enum rc store_stats(struct store *s, struct sv shop, struct store_stats *ret, struct err *e) {
    return s->ops->stats(s->engine, shop, ret, e);
}

static void unpack_view(const struct store *s, struct arena *a, struct sv shop, struct job_view *view) {
    struct err e = {0};
    struct sv id = sv_of(view->id);
    if (store_unpack(s, a, shop, "plan", id, &view->plan, &e) == RC_OK && store_unpack(s, a, shop, "progress", id, &view->progress, &e) == RC_OK)
        return;
    view->unreadable = arena_dup(a, sv_of(e.text));
    view->plan = view->progress = SV_NONE;
}

enum rc store_list(struct store *s, struct arena *a, const struct job_query *q, struct job_view **ret, size_t *ret_count,
                   struct sv *ret_next, struct err *e) {
    *ret = NULL;
    *ret_count = 0;
    *ret_next = SV_NONE;
    enum rc rc = s->ops->list(s->engine, a, q, ret, ret_count, ret_next, e);
    for (size_t i = 0; rc == RC_OK && i < *ret_count; i++)
        unpack_view(s, a, q->shop, &(*ret)[i]);
    return rc;
}

// What people type is no job's id, and no part of a key, before it looks like one.
static bool is_job_id(struct sv id) {
    for (size_t i = 0; i < id.n; i++)
        if (!(id.p[i] >= '0' && id.p[i] <= '9') && !(id.p[i] >= 'a' && id.p[i] <= 'f'))
            return false;
    return id.n == JOB_ID_LEN;
}

enum rc store_find(struct store *s, struct arena *a, struct sv shop, struct sv id, struct job_view *ret, struct err *e) {
    if (!is_job_id(id))
        return err_set(e, RC_NOT_FOUND, "a job's id is %d hex characters", JOB_ID_LEN);
    enum rc rc = s->ops->find(s->engine, a, shop, id, ret, e);
    if (rc == RC_OK)
        unpack_view(s, a, shop, ret);
    return rc;
}

enum rc store_redrive(struct store *s, struct sv shop, struct sv id, struct sv plan, bool *ret_redriven, struct err *e) {
    struct arena a;
    *ret_redriven = false;
    if (!is_job_id(id))
        return err_set(e, RC_NOT_FOUND, "a job's id is %d hex characters", JOB_ID_LEN);
    arena_init(&a, WORK_LIMIT);
    enum rc rc = s->ops->redrive(s->engine, shop, id, store_pack(s, &a, shop, "plan", id, plan), ret_redriven, e);
    arena_free(&a);
    return rc;
}

// With a spool that takes webhooks the engine may be in trouble.
enum rc store_check(struct store *s, struct err *e) {
    enum rc rc = spool_in_use(s->spool) ? RC_UNAVAILABLE : noted(s, check_engine(s, e), e);
    return s->spool && rc != RC_OK ? spool_check(s->spool, e) : rc;
}

bool store_spools(const struct store *s, int64_t *ret_waiting) {
    *ret_waiting = spool_waiting(s->spool);
    return spool_in_use(s->spool);
}

enum rc store_purge(struct store *s, const struct sv *shops, size_t n, struct err *e) {
    return s->ops->purge(s->engine, shops, n, e);
}
