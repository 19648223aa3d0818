// sqlite_keys.c: what is known under a key until it expires.
//
// Keys are hashes: put where it belongs, each would change a page of its own, and every changed page is written twice. So they are
// added to `late` in the order in which they come, with an index in memory, and later moved into `keyed` in the order of the keys,
// many to a page. What is late counts before what is in keyed, so a crash in the midst of it only means to begin again.
#include "base/crypto.h"
#include "server/store/sqlite/sqlite_verbs.h"

#include <string.h>

enum {
    LATE_MOST = 65536,    // keys that begin a move: some 40 bytes of memory each
    PURGE_LOOK = 2000,    // keys that one purge looks at
};

// ---- finding and putting

struct query *find_key(struct db *db, int64_t now, struct sv key) {
    struct query *q = db_query(db, FIND_KEY, VALUES(hex(key)));
    return db_step(q) && db_number(q, 1) > now ? q : NULL;
}

int64_t seq_of(struct db *db, int64_t now, struct sv id) {
    struct query *q = find_key(db, now, id);
    return q ? db_number(q, 0) : 0;
}

// A key has one row in late. The new one is there before the old one goes, so that n only grows.
void put_key(struct db *db, struct sv key, struct value value, int64_t expires_ms) {
    struct query *q = db_query(db, FIND_LATE, VALUES(hex(key)));
    int64_t old = db_step(q) ? db_number(q, 0) : 0;
    db_run(db, ADD_LATE, VALUES(hex(key), value, number(expires_ms)));
    db_run(db, NOTE_LATE, VALUES(hex(key), number(db_inserted(db))));
    if (old > 0)
        db_run(db, DROP_LATE, VALUES(number(old)));
}

// Its row stays, so that n only grows.
void erase_key(struct db *db, struct sv key) {
    db_run(db, ERASE_VALUE, VALUES(hex(key)));
    db_run(db, ERASE_LATE, VALUES(hex(key)));
}

// ---- moving

// A move takes the keys up to up_to: first it copies them in the order of the keys, `after` being the last one copied, then, with
// `after` NULL, it drops them in the order of n. All of it is in the transaction that it is part of.
struct move {
    int64_t up_to;
    struct sv after;
    char room[64];
};

static struct value key_or_null(struct sv key) {
    return key.p ? bytes(key) : text(SV_NONE);
}

static void copy_some(struct db *db, struct move *m, int64_t steps) {
    struct query *q = db_query(db, NTH_LATE, VALUES(bytes(m->after), number(steps - 1)));
    struct sv last = db_step(q) ? db_bytes(q, 0) : SV_NONE;
    db_run(db, COPY_LATE, VALUES(bytes(m->after), key_or_null(last), number(m->up_to)));
    m->after = last.p && last.n < sizeof m->room ? (struct sv){memcpy(m->room, last.p, last.n), last.n} : SV_NONE;
}

static void drop_some(struct db *db, struct move *m, int64_t first, int64_t steps) {
    int64_t last = first + steps < m->up_to ? first + steps : m->up_to;
    db_run(db, FORGET_LATE, VALUES(number(last)));
    db_run(db, DROP_LATES, VALUES(number(last)));
    if (last == m->up_to)
        m->up_to = 0;
}

// Moves two keys for each one that was put since the last time, so that it ends before as many have come again.
void verb_move_keys(struct db *db, int64_t now, void *args) {
    (void)now, (void)args;
    struct query *q = db_query(db, HOW_LATE, NULL, 0);
    if (!db_step(q))
        return;
    int64_t before = db_number(q, 0), first = db_number(q, 3), last = db_number(q, 4);
    struct move m = {.up_to = db_number(q, 1), .after = db_bytes(q, 2)};
    if (last == before)
        return;
    int64_t steps = 2 * (last > before ? last - before : 1);
    if (m.up_to == 0 && last - first >= LATE_MOST)
        m = (struct move){.up_to = last, .after = SV("")};
    else if (m.up_to > 0 && m.after.p)
        copy_some(db, &m, steps);
    else if (m.up_to > 0)
        drop_some(db, &m, first, steps);
    db_run(db, NOTE_MOVING, VALUES(number(last), number(m.up_to), key_or_null(m.after)));
}

void note_late_keys(struct db *db) {
    db_run(db, NOTE_ALL_LATE, NULL, 0);
}

// ---- clearing up

// Looks at some keys after another, all of them in turn: an index by expiry would cost each key a page more. The keys of `late` come
// later; there are never many.
void purge_keys(struct db *db, int64_t now, char after[64]) {
    struct sv from = sv_of(after);
    struct query *q = db_query(db, NTH_KEY, VALUES(hex(from), number(PURGE_LOOK - 1)));
    struct sv last = db_step(q) ? db_bytes(q, 0) : SV_NONE;
    db_run(db, PURGE_KEYS, VALUES(hex(from), key_or_null(last), number(now)));
    after[0] = 0;
    if (last.p && last.n < 32)
        hex_into(after, last.p, last.n);
}
