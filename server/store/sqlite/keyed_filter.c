// What a walk read is only as true as the transaction in which it was read: keys may have gone in it, and be there again. So when one
// comes to nothing the walk is given up, and its filter counts from the transaction after the one in which it ended.
// A filter that counts stays true: a key that goes stays in it, a key that comes is put in, whatever becomes of the transaction.
#include "server/store/sqlite/keyed_filter.h"

#include "server/store/sqlite/sqlite_verbs.h"

#include <stdlib.h>
#include <string.h>

enum { LARGER = 3 };  // for so many times the keys of a full filter the next one is made; rounded up to a power of two it is four times as large

struct keyed_filter {
    struct key_filter *now;   // has all that is in keyed; NULL: there is none yet
    struct key_filter *next;  // has what is in keyed up to `after`, and all that came since the walk began; NULL: there is no walk
    unsigned char after[PACKED_MOST];
    size_t after_size;
    bool ended;               // the walk has met all
    int64_t gone;             // keys that went since the last walk began
};

struct keyed_filter *keyed_filter_new(void) {
    return calloc(1, sizeof(struct keyed_filter));
}

void keyed_filter_free(struct keyed_filter *f) {
    if (f) {
        key_filter_free(f->now);
        key_filter_free(f->next);
    }
    free(f);
}

bool keyed_filter_may_have(const struct keyed_filter *f, uint64_t start) {
    return !f->now || key_filter_may_have(f->now, start);
}

void keyed_filter_add(struct keyed_filter *f, uint64_t start) {
    if (f->now)
        key_filter_add(f->now, start);
    if (f->next)
        key_filter_add(f->next, start);
}

void keyed_filter_purged(struct keyed_filter *f, int64_t keys) {
    f->gone += keys;
}

// Without memory there is no walk: the next step tries again.
static void begin_walk(struct keyed_filter *f, uint64_t keys) {
    key_filter_free(f->next);
    f->next = key_filter_new(keys);
    f->after_size = 0;
    f->ended = false;
    f->gone = 0;
}

void keyed_filter_undo(struct keyed_filter *f) {
    key_filter_free(f->next);
    f->next = NULL;
    f->ended = false;
}

static bool walk_is_due(const struct keyed_filter *f) {
    return !f->now || key_filter_full(f->now) || (uint64_t)f->gone > key_filter_count(f->now) / 2;
}

static uint64_t keys_to_expect(const struct keyed_filter *f) {
    if (!f->now)
        return 0;
    return key_filter_count(f->now) * (key_filter_full(f->now) ? LARGER : 1);
}

// Keys are spread evenly: if those up to there filled it, so many will be in keyed.
static uint64_t keys_by_now(const struct keyed_filter *f) {
    uint64_t walked = key_start((struct sv){(const char *)f->after, f->after_size}) >> 48;
    return key_filter_count(f->next) * 65536 / (walked + 1);
}

static void walk(struct db *db, struct keyed_filter *f, int64_t keys) {
    struct sv key = {(const char *)f->after, f->after_size};
    struct query *q = db_query(db, VALUES_AFTER, VALUES(bytes(key), number(keys)));
    for (; keys > 0 && db_step(q); keys--) {
        key = db_bytes(q, 0);
        key_filter_add(f->next, key_start(key));
        f->after_size = key.n < PACKED_MOST ? key.n : PACKED_MOST;
        memcpy(f->after, key.p, f->after_size);
    }
    f->ended = keys > 0 && db_ok(db);
}

void keyed_filter_step(struct db *db, struct keyed_filter *f, int64_t keys) {
    if (f->ended) {
        key_filter_free(f->now);
        f->now = f->next;
        f->next = NULL;
        f->ended = false;
    }
    if (!f->next && walk_is_due(f))
        begin_walk(f, keys_to_expect(f));
    else if (f->next && key_filter_full(f->next))
        begin_walk(f, keys_by_now(f));
    if (f->next)
        walk(db, f, keys);
}
