// sqlite_keys.c: what is known under a key until it expires.
//
// Keys are hashes: put where it belongs, each would change a page of its own, and every changed page is written twice. So they are
// added to the table `late` in the order in which they come, found there through an index in memory, and later moved into `keyed` in
// about the order of the keys, many to a page. What is late counts before what is in keyed, so after a crash in the midst of a move
// it only begins again. What is neither late nor in a filter of keyed (keyed_filter.h) costs no page.
#include "base/crypto.h"
#include "server/store/sqlite/keyed_filter.h"
#include "server/store/sqlite/sqlite_verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROOM_LEAST = 131072,  // slots; a power of two
    PURGE_LOOK = 2000,    // keys that one slice of a purge looks at
    LOOK_FOR_EACH = 2,    // ... and a purge for each new key, so that what has expired goes about as fast as new ones come
    MOVE_SLOTS = 4,       // slots that a move looks at for each new key: a little faster than they come, so that no commit is a long one
    DROP_ROWS = 4,        // rows that it drops then for each
    WALK_KEYS = 4,        // keys of keyed that the walk for a filter meets for each
    NUMBER_MOST = 22,     // characters of a number in a list, and of its end
};
#define LATE_MOST (ROOM_LEAST / 4)  // that many begin a move

// The index: where in late a key is. A key's place follows its first bytes, so the order of the slots is about that of the keys, and
// nothing but a drop takes one out of its slot: a walk over the slots meets all that was there when it began.
struct slot {
    uint64_t start;  // the first bytes of the key, a hash under a secret: no two share them
    int64_t n;       // 0: free
};

struct late_keys {
    struct slot *slots;
    size_t room, used;
    int64_t last;       // n of the newest
    int64_t put;        // keys that were put since the start
    int64_t moved_at;   // `put` at the last step of a move
    int64_t up_to;      // n of the last one that moves; 0: there is no move
    size_t at;          // it has copied those of the slots before; room: it has copied all, and drops them
    struct keyed_filter *keyed;
};

struct late_keys *late_keys_new(void) {
    struct late_keys *k = calloc(1, sizeof *k);
    struct keyed_filter *keyed = keyed_filter_new();
    if (k && keyed) {
        k->keyed = keyed;
        return k;
    }
    free(k);
    keyed_filter_free(keyed);
    return NULL;
}

void late_keys_free(struct late_keys *k) {
    if (!k)
        return;
    free(k->slots);
    keyed_filter_free(k->keyed);
    free(k);
}

static size_t home(const struct late_keys *k, uint64_t start) {
    return (size_t)(start >> 32) >> (32 - __builtin_ctzll(k->room));
}

// slot_of: where the key is, or could be.
static struct slot *slot_of(const struct late_keys *k, uint64_t start) {
    size_t i = home(k, start);
    while (k->slots[i].n != 0 && k->slots[i].start != start)
        i = (i + 1) & (k->room - 1);
    return &k->slots[i];
}

static void forget_all(struct late_keys *k) {
    free(k->slots);
    *k = (struct late_keys){.keyed = k->keyed, .put = k->put};
}

// A move begins anew: the slots are others then.
static bool make_room(struct late_keys *k) {
    struct late_keys old = *k;
    if (old.used * 4 < old.room * 3)
        return true;
    k->room = old.room > 0 ? old.room * 2 : ROOM_LEAST;
    k->slots = calloc(k->room, sizeof *k->slots);
    if (!k->slots) {
        *k = old;
        return false;
    }
    for (size_t i = 0; i < old.room; i++)
        if (old.slots[i].n != 0)
            *slot_of(k, old.slots[i].start) = old.slots[i];
    k->at = old.up_to == 0 || old.at == old.room ? k->room : 0;
    free(old.slots);
    return true;
}

static void note(struct db *db, struct late_keys *k, uint64_t start, int64_t n) {
    if (!make_room(k)) {
        db_no_memory(db);
        return;
    }
    struct slot *s = slot_of(k, start);
    k->used += s->n == 0;
    *s = (struct slot){start, n};
    k->last = n;
}

// Those behind it that would no longer be found take the free place.
static void forget(struct late_keys *k, struct slot *s) {
    size_t mask = k->room - 1, hole = (size_t)(s - k->slots);
    for (size_t i = (hole + 1) & mask; k->slots[i].n != 0; i = (i + 1) & mask)
        if (((i - home(k, k->slots[i].start)) & mask) >= ((i - hole) & mask)) {
            k->slots[hole] = k->slots[i];
            hole = i;
        }
    k->slots[hole] = (struct slot){0};
    k->used--;
}

// verb_read_keys: the index as the table is; at the start, and when a transaction came to nothing.
void verb_read_keys(struct db *db, int64_t now, void *args) {
    (void)now, (void)args;
    struct late_keys *k = db_memory(db);
    forget_all(k);
    keyed_filter_undo(k->keyed);
    if (!make_room(k)) {
        db_no_memory(db);
        return;
    }
    struct query *q = db_query(db, ALL_LATE, NULL, 0);
    while (db_step(q))
        note(db, k, key_start(db_bytes(q, 1)), db_number(q, 0));
    k->moved_at = k->put;
}

// ---- finding and putting

static uint64_t start_of_hex(struct sv key) {
    unsigned char room[PACKED_MOST];
    return key_start(packed(key, room));
}

struct query *find_key(struct db *db, int64_t now, struct sv key) {
    struct late_keys *k = db_memory(db);
    uint64_t start = start_of_hex(key);
    int64_t n = slot_of(k, start)->n;
    struct query *q = NULL;
    if (n == 0 || !db_step(q = db_query(db, FIND_LATE, VALUES(number(n), hex(key)))))
        if (!keyed_filter_may_have(k->keyed, start) || !db_step(q = db_query(db, FIND_KEY, VALUES(hex(key)))))
            return NULL;
    return db_number(q, 1) > now ? q : NULL;
}

int64_t seq_of(struct db *db, int64_t now, struct sv id) {
    struct query *q = find_key(db, now, id);
    return q ? db_number(q, 0) : 0;
}

// A key has one row in late. The new one is there before the old one goes, so that n only grows.
void put_key(struct db *db, struct sv key, struct value value, int64_t expires_ms) {
    struct late_keys *k = db_memory(db);
    unsigned char room[PACKED_MOST];
    struct sv kept = packed(key, room);
    uint64_t start = key_start(kept);
    int64_t old = slot_of(k, start)->n;
    db_run(db, ADD_LATE, VALUES(bytes(kept), value, number(expires_ms)));
    note(db, k, start, db_inserted(db));
    k->put++;
    if (old != 0)
        db_run(db, DROP_LATE, VALUES(number(old)));
}

// Its row in late stays, so that n only grows.
void erase_key(struct db *db, struct sv key) {
    int64_t n = slot_of(db_memory(db), start_of_hex(key))->n;
    db_run(db, ERASE_VALUE, VALUES(hex(key)));
    if (n != 0)
        db_run(db, ERASE_LATE, VALUES(number(n)));
}

// ---- moving

// some_to_copy lists where in late the next keys are, as JSON. No more than there is room for, and slots.
static struct sv some_to_copy(struct late_keys *k, size_t *slots, char *list, size_t room) {
    size_t size = 0;
    for (; *slots > 0 && k->at < k->room && size + NUMBER_MOST < room; --*slots, k->at++) {
        const struct slot *s = &k->slots[k->at];
        if (s->n == 0 || s->n > k->up_to)
            continue;
        keyed_filter_add(k->keyed, s->start);
        size += (size_t)snprintf(list + size, room - size, "%c%lld", size == 0 ? '[' : ',', (long long)s->n);
    }
    if (size > 0)
        list[size++] = ']';
    return (struct sv){list, size};
}

// One statement for many keys, in about their order, costs half of one for each.
static void copy_some(struct db *db, struct late_keys *k, size_t slots) {
    char list[4096];
    while (slots > 0 && k->at < k->room) {
        struct sv some = some_to_copy(k, &slots, list, sizeof list);
        if (some.n > 0)
            db_run(db, COPY_LATES, VALUES(text(some)));
    }
}

static void drop_some(struct db *db, struct late_keys *k, int64_t rows) {
    struct query *q = db_query(db, SOME_LATE, VALUES(number(k->up_to), number(rows)));
    int64_t last = k->up_to;
    for (; rows > 0 && db_step(q); rows--) {
        struct slot *s = slot_of(k, key_start(db_bytes(q, 1)));
        last = db_number(q, 0);
        if (s->n == last)
            forget(k, s);
    }
    db_run(db, DROP_LATES, VALUES(number(last)));
    if (rows > 0 || last == k->up_to)
        k->up_to = 0;
}

// verb_move_keys: a step for what was put in this transaction, which it is part of.
void verb_move_keys(struct db *db, int64_t now, void *args) {
    (void)now, (void)args;
    struct late_keys *k = db_memory(db);
    int64_t new = k->put - k->moved_at;
    if (new == 0)
        return;
    k->moved_at = k->put;
    if (k->up_to == 0 && k->used >= LATE_MOST) {
        k->up_to = k->last;
        k->at = 0;
    } else if (k->up_to != 0 && k->at < k->room)
        copy_some(db, k, (size_t)new * MOVE_SLOTS);
    else if (k->up_to != 0)
        drop_some(db, k, new * DROP_ROWS);
    keyed_filter_step(db, k->keyed, new * WALK_KEYS);
}

// ---- clearing up

// What is late may be so for years where little comes, so its value goes at once; the row goes with a move.
static void empty_late(struct db *db, int64_t now, int64_t *after) {
    struct query *q = db_query(db, NTH_LATE, VALUES(number(*after), number(PURGE_LOOK)));
    int64_t last = db_step(q) ? db_number(q, 0) : 0;  // NULL, none is left: 0
    if (last != 0)
        db_run(db, EMPTY_LATES, VALUES(number(*after), number(last), number(now)));
    *after = last;
}

// Looks at some keys after another, all of them in turn: an index by expiry would cost each key a page more. What is due is forgotten at the end.
struct purged_keys purge_keys(struct db *db, int64_t now, const struct purged_keys *after) {
    struct late_keys *k = db_memory(db);
    struct purged_keys to = {.late = after->late, .put = k->put};
    struct sv from = sv_of(after->key);
    struct query *q = db_query(db, NTH_KEY, VALUES(hex(from), number(PURGE_LOOK - 1)));
    struct sv last = db_step(q) ? db_bytes(q, 0) : SV_NONE;
    int64_t due = after->due + LOOK_FOR_EACH * (k->put - after->put) - PURGE_LOOK;
    if (last.p && last.n < sizeof to.key / 2) {
        hex_into(to.key, last.p, last.n);
        to.due = due > 0 ? due : 0;
    }
    db_run(db, PURGE_KEYS, VALUES(hex(from), bytes(last), number(now)));
    keyed_filter_purged(k->keyed, db_changes(db));
    empty_late(db, now, &to.late);
    return to;
}
