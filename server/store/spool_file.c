// spool_file.c: the tables of the spool and the statements on them.
#include "server/store/spool_file.h"

#include "base/failpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_MOST = 64, KEYS_MOST = 8 };
#define READ_BYTES_MOST ((size_t)8 << 20)  // packed; always one

enum sql { FIND_KNOWN, ADD_KNOWN, ADD_WAITING, OLDEST, DROP_KNOWN, DROP_WAITING, COUNT_WAITING, BOUND_TO, BIND_TO, TOUCH, SQL_COUNT };

// waiting.seq is the accept order. keys, lane_keys: hashes of KEY_LEN characters, one after the other.
static const char schema[] =
    "CREATE TABLE waiting(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, shop TEXT NOT NULL, source TEXT NOT NULL, topic TEXT NOT NULL,"
    " state INTEGER NOT NULL, received_ms INTEGER NOT NULL, max_wait_ms INTEGER NOT NULL, reason TEXT, keys TEXT NOT NULL,"
    " lane_keys TEXT NOT NULL, body BLOB NOT NULL) STRICT;"
    "CREATE TABLE known(key TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX known_seq ON known(seq);"
    "CREATE TABLE about(what TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID";

static const char *const queries[SQL_COUNT] = {
    [FIND_KNOWN] = "SELECT 1 FROM known WHERE key = ?1",
    [ADD_KNOWN] = "INSERT INTO known(key, seq) VALUES(?1, ?2) ON CONFLICT(key) DO NOTHING",
    [ADD_WAITING] = "INSERT INTO waiting(id, shop, source, topic, state, received_ms, max_wait_ms, reason, keys, lane_keys, body)"
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT(id) DO NOTHING",
    [OLDEST] = "SELECT seq, id, shop, source, topic, state, received_ms, max_wait_ms, reason, keys, lane_keys, body"
               " FROM waiting ORDER BY seq LIMIT ?1",
    [DROP_KNOWN] = "DELETE FROM known WHERE seq <= ?1",
    [DROP_WAITING] = "DELETE FROM waiting WHERE seq <= ?1",
    [COUNT_WAITING] = "SELECT count(*) FROM waiting",
    [BOUND_TO] = "SELECT value FROM about WHERE what = 'keys'",
    [BIND_TO] = "INSERT INTO about(what, value) VALUES('keys', ?1) ON CONFLICT(what) DO UPDATE SET value = ?1",
    [TOUCH] = "INSERT INTO about(what, value) VALUES('checked', ?1) ON CONFLICT(what) DO UPDATE SET value = ?1",
};

struct spool_file {
    struct writer *writer;
};

// ---- adding

struct add_args {
    const struct delivery *deliveries;
    const char *const *ids;
    size_t n;
    enum accepted *ret;
};

static bool is_known(struct db *db, const struct delivery *d) {
    for (size_t i = 0; i < d->key_count; i++)
        if (db_step(db_query(db, FIND_KNOWN, VALUES(text(d->keys[i])))))
            return true;
    return false;
}

static struct sv joined(const struct sv *keys, size_t n, char *out) {
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * KEY_LEN, keys[i].p, KEY_LEN);
    return (struct sv){out, n * KEY_LEN};
}

static enum accepted add_one(struct db *db, const struct delivery *d, const char *id) {
    char keys[KEYS_MOST * KEY_LEN], lane_keys[KEYS_MOST * KEY_LEN];
    if (is_known(db, d))
        return ACCEPTED_DUPLICATE;
    db_run(db, ADD_WAITING, VALUES(text(sv_of(id)), text(d->shop), text(d->source), text(d->topic), number(d->state), number(d->received_ms),
                                   number(d->max_wait_ms), text(d->reason), text(joined(d->keys, d->key_count, keys)),
                                   text(joined(d->lane_keys, d->lane_key_count, lane_keys)), bytes(d->body)));
    if (db_changes(db) == 0)
        return ACCEPTED_DUPLICATE;
    int64_t seq = db_inserted(db);
    FAILPOINT("spool.add.half");
    for (size_t i = 0; i < d->key_count; i++)
        db_run(db, ADD_KNOWN, VALUES(text(d->keys[i]), number(seq)));
    return ACCEPTED_NEW;
}

static void verb_add(struct db *db, int64_t now, void *args) {
    (void)now;
    struct add_args *a = args;
    for (size_t i = 0; i < a->n && db_ok(db); i++)
        a->ret[i] = add_one(db, &a->deliveries[i], a->ids[i]);
}

enum rc spool_file_add(struct spool_file *f, const struct delivery *d, const char *const *ids, size_t n, enum accepted *ret, struct err *e) {
    return writer_perform(f->writer, verb_add, &(struct add_args){d, ids, n, ret}, e);
}

// ---- reading and dropping

struct read_args {
    struct arena *arena;
    struct spooled *ret;
    size_t ret_count;
};

static const struct sv *split(struct arena *a, struct sv keys, size_t *ret_count) {
    size_t n = keys.n / KEY_LEN;
    struct sv *out = ARENA_ARRAY(a, struct sv, n);
    for (size_t i = 0; i < n; i++)
        out[i] = arena_dup(a, sv_sub(keys, i * KEY_LEN, (i + 1) * KEY_LEN));
    *ret_count = n;
    return out;
}

static struct spooled read_one(struct arena *a, struct query *q) {
    struct spooled one = {.seq = db_number(q, 0)};
    struct delivery *d = &one.delivery;
    snprintf(one.id, sizeof one.id, SV_FMT, SV_ARG(db_bytes(q, 1)));
    d->shop = arena_dup(a, db_bytes(q, 2));
    d->source = arena_dup(a, db_bytes(q, 3));
    d->topic = arena_dup(a, db_bytes(q, 4));
    d->state = (enum job_state)db_number(q, 5);
    d->received_ms = db_number(q, 6);
    d->max_wait_ms = db_number(q, 7);
    d->reason = arena_dup(a, db_bytes(q, 8));
    d->keys = split(a, db_bytes(q, 9), &d->key_count);
    d->lane_keys = split(a, db_bytes(q, 10), &d->lane_key_count);
    d->body = arena_dup(a, db_bytes(q, 11));
    return one;
}

static void verb_read(struct db *db, int64_t now, void *args) {
    (void)now;
    struct read_args *r = args;
    size_t size = 0;
    r->ret = ARENA_ARRAY(r->arena, struct spooled, READ_MOST);
    r->ret_count = 0;
    struct query *q = db_query(db, OLDEST, VALUES(number(READ_MOST)));
    while (size < READ_BYTES_MOST && db_step(q)) {
        r->ret[r->ret_count] = read_one(r->arena, q);
        size += r->ret[r->ret_count++].delivery.body.n;
    }
}

enum rc spool_file_read(struct spool_file *f, struct arena *a, struct spooled **ret, size_t *ret_count, struct err *e) {
    struct read_args args = {.arena = a};
    enum rc rc = writer_perform(f->writer, verb_read, &args, e);
    if (rc == RC_OK && !arena_ok(a))
        rc = err_set(e, RC_UNAVAILABLE, "out of memory");
    *ret = args.ret;
    *ret_count = rc == RC_OK ? args.ret_count : 0;
    return rc;
}

static void verb_drop(struct db *db, int64_t now, void *args) {
    (void)now;
    const struct value up_to = number(*(int64_t *)args);
    db_run(db, DROP_KNOWN, &up_to, 1);
    FAILPOINT("spool.drop.half");
    db_run(db, DROP_WAITING, &up_to, 1);
}

enum rc spool_file_drop(struct spool_file *f, int64_t up_to_seq, struct err *e) {
    return writer_perform(f->writer, verb_drop, &up_to_seq, e);
}

static void verb_check(struct db *db, int64_t now, void *args) {
    (void)args;
    char text_now[24];
    snprintf(text_now, sizeof text_now, "%lld", (long long)now);
    db_run(db, TOUCH, VALUES(text(sv_of(text_now))));
}

enum rc spool_file_check(struct spool_file *f, struct err *e) {
    return writer_perform(f->writer, verb_check, NULL, e);
}

// ---- opening

struct begin_args {
    struct sv fingerprint;
    int64_t ret_waiting;
    bool ret_known;
};

static void verb_begin(struct db *db, int64_t now, void *args) {
    (void)now;
    struct begin_args *b = args;
    struct query *q = db_query(db, COUNT_WAITING, NULL, 0);
    if (db_step(q))
        b->ret_waiting = db_number(q, 0);
    q = db_query(db, BOUND_TO, NULL, 0);
    b->ret_known = db_step(q) && sv_eq(db_bytes(q, 0), b->fingerprint);
}

static void verb_bind(struct db *db, int64_t now, void *args) {
    (void)now;
    db_run(db, BIND_TO, VALUES(text(*(struct sv *)args)));
}

enum rc spool_file_bind(struct spool_file *f, struct sv fingerprint, struct err *e) {
    return writer_perform(f->writer, verb_bind, &fingerprint, e);
}

enum rc spool_file_open(const char *path, struct sv fingerprint, const struct store_config *store, struct spool_file **ret,
                        bool *ret_known, int64_t *ret_waiting, struct err *e) {
    struct spool_file *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    struct begin_args begin = {.fingerprint = fingerprint};
    const struct writer_config config = {
        .db = {.path = path, .schema_version = 1, .schema = schema, .queries = queries, .query_count = SQL_COUNT},
        .begin = verb_begin,
        .begin_args = &begin,
        .broken = store->broken,
        .broken_ctx = store->broken_ctx,
    };
    enum rc rc = writer_open(&config, &f->writer, e);
    if (rc == RC_OK && begin.ret_waiting > 0 && !begin.ret_known)  // an empty one may be bound anew
        rc = err_set(e, RC_DENIED, "%s: what waits there was sealed with another seal_key; put that one back until it has been forwarded", path);
    if (rc != RC_OK) {
        spool_file_close(f);
        return rc;
    }
    *ret_known = begin.ret_known;
    *ret_waiting = begin.ret_waiting;
    *ret = f;
    return RC_OK;
}

void spool_file_close(struct spool_file *f) {
    if (!f)
        return;
    writer_close(f->writer);
    free(f);
}
