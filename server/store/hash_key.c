// Where it is kept: under "hash_key" of the shop "-", which none can be called. Stores begun earlier have a fingerprint instead, under
// "seal_key": it says which of the ring's keys they were begun with.
#include "server/store/hash_key.h"

#include "base/clock.h"

#include <string.h>

#define NOBODY SV("-")
#define KEPT SV("hash_key")
#define FINGERPRINT_KEPT SV("seal_key")
#define KEPT_AAD SV("-|key|hash_key")
#define TRIES_MOST 4  // each other copy that starts now may be faster once

void hash_under(const struct digest *key, enum hash_purpose purpose, struct sv shop, struct sv text, char ret[KEY_LEN + 1]) {
    char separator = (char)purpose;
    const struct sv parts[] = {shop, {&separator, 1}, text};
    struct digest d = hmac_sha256((struct sv){(const char *)key->b, SHA256_LEN}, parts, COUNTOF(parts));
    hex_into(ret, d.b, KEY_LEN / 2);
}

struct kept_key {
    struct sv record;       // absent: there is none
    struct sv fingerprint;  // absent: there is none
};

static enum rc read_kept(const struct engine_ops *ops, struct engine *engine, struct arena *a, struct kept_key *ret, struct err *e) {
    struct lookup asked[] = {{.shop = NOBODY, .key = KEPT}, {.shop = NOBODY, .key = FINGERPRINT_KEPT}};
    enum rc rc = ops->look_up(engine, a, asked, COUNTOF(asked), e);
    *ret = (struct kept_key){asked[0].ret, asked[1].ret};
    return rc;
}

static enum rc open_kept(struct arena *a, const struct seal_ring *ring, struct sv record, struct digest *ret, struct err *e) {
    struct sv plain;
    if (ring_open(a, ring, KEPT_AAD, record, &plain, e) != RC_OK || plain.n != SHA256_LEN) {
        struct sv names = ring_names(a, ring);
        return err_set(e, RC_DENIED, "seal_key: this store was begun with another key (" SV_FMT " here); put that one back into the list, "
                                     "or begin a new store", SV_ARG(names));
    }
    memcpy(ret->b, plain.p, SHA256_LEN);
    return RC_OK;
}

// of_fingerprint: the key of an earlier store.
static enum rc of_fingerprint(const struct seal_ring *ring, struct sv fingerprint, struct digest *ret, struct err *e) {
    for (size_t i = 0; i < ring->n; i++) {
        char made[KEY_LEN + 1];
        hash_under(&ring->keys[i].hash, FINGERPRINT, NOBODY, FINGERPRINT_KEPT, made);
        if (sv_is(fingerprint, made)) {
            *ret = ring->keys[i].hash;
            return RC_OK;
        }
    }
    return err_set(e, RC_DENIED, "seal_key: this store was begun with another key; put that one back into the list, or begin a new store");
}

// keep: RC_CONFLICT: somebody else was faster.
static enum rc keep(const struct engine_ops *ops, struct engine *engine, struct arena *a, const struct seal_ring *ring, struct sv seen,
                    const struct digest *key, struct err *e) {
    struct sv plain = {(const char *)key->b, SHA256_LEN};
    const struct mark m = {.key = KEPT, .expect = seen, .value = ring_seal(a, ring, KEPT_AAD, plain), .lifetime_ms = DAYS_MS(36500)};
    return ops->state_swap(engine, NOBODY, &m, e);
}

static enum rc settle_once(const struct engine_ops *ops, struct engine *engine, struct arena *a, const struct seal_ring *ring,
                           struct digest *ret, struct err *e) {
    struct kept_key kept = {0};
    enum rc rc = read_kept(ops, engine, a, &kept, e);
    if (rc != RC_OK)
        return rc;
    if (kept.record.p)
        rc = open_kept(a, ring, kept.record, ret, e);
    else if (kept.fingerprint.p)
        rc = of_fingerprint(ring, kept.fingerprint, ret, e);
    else
        *ret = ring->keys[0].hash;
    if (rc != RC_OK || (kept.record.p && ring_is_current(ring, kept.record)))
        return rc;
    return keep(ops, engine, a, ring, kept.record, ret, e);
}

enum rc hash_key_settle(const struct engine_ops *ops, struct engine *engine, const struct seal_ring *ring, struct digest *ret, struct err *e) {
    enum rc rc = RC_CONFLICT;
    for (int i = 0; i < TRIES_MOST && rc == RC_CONFLICT; i++) {
        struct arena a;
        arena_init(&a, 1 << 16);
        rc = settle_once(ops, engine, &a, ring, ret, e);
        arena_free(&a);
    }
    return rc == RC_CONFLICT ? err_set(e, RC_UNAVAILABLE, "the store is being begun by others; start again") : rc;
}

enum rc hash_key_check(const struct engine_ops *ops, struct engine *engine, const struct seal_ring *ring, const struct digest *used,
                       bool *ret_lost, struct err *e) {
    struct arena a;
    struct kept_key kept = {0};
    struct digest there = {0};
    arena_init(&a, 1 << 16);
    enum rc rc = read_kept(ops, engine, &a, &kept, e);
    *ret_lost = rc == RC_OK && !kept.record.p;
    if (*ret_lost && (rc = keep(ops, engine, &a, ring, SV_NONE, used, e)) == RC_CONFLICT)
        rc = read_kept(ops, engine, &a, &kept, e);  // another copy did it at the same moment
    if (rc == RC_OK && kept.record.p)
        rc = open_kept(&a, ring, kept.record, &there, e);
    if (rc == RC_OK && kept.record.p && !digest_eq(&there, used))
        rc = err_set(e, RC_DENIED, "seal_key: the store was emptied and begun again with another key; start this copy again");
    if (rc == RC_OK && kept.record.p && !ring_is_current(ring, kept.record))  // the start could not: the store was away
        rc = keep(ops, engine, &a, ring, kept.record, used, e);
    if (rc == RC_CONFLICT)  // another copy did it at the same moment
        rc = RC_OK;
    wipe(&there, sizeof there);
    arena_free(&a);
    return rc;
}
