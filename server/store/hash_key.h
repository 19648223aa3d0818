// hash_key.h: the key under which a store hashes the names of jobs, lanes, events, values and marks. It is the one that followed from the
// seal key with which the store was begun, and it stays for good: under another one every duplicate would be new and every lane lost.
// So the store keeps it, sealed, and it is sealed anew when the first seal key has changed.
#ifndef SERVER_STORE_HASH_KEY_H
#define SERVER_STORE_HASH_KEY_H

#include "server/store/seal_ring.h"
#include "server/store/store_engine.h"

enum hash_purpose { DELIVERY_KEY = 2, LANE_KEY, EVENT_KEY, STATE_KEY, MARK_KEY, FINGERPRINT };  // part of what is stored: never renumber, 1 is used up

void hash_under(const struct digest *key, enum hash_purpose purpose, struct sv shop, struct sv text, char ret[KEY_LEN + 1]);

// hash_key_settle, before anything else is done with a store: *ret is its key. RC_DENIED: none of the ring's keys opens it.
MUST_CHECK enum rc hash_key_settle(const struct engine_ops *ops, struct engine *engine, const struct seal_ring *ring, struct digest *ret,
                                   struct err *e);
// hash_key_check: the store still has `used`. *ret_lost: it had none, as somebody emptied it; it has that one again.
MUST_CHECK enum rc hash_key_check(const struct engine_ops *ops, struct engine *engine, const struct seal_ring *ring,
                                  const struct digest *used, bool *ret_lost, struct err *e);

#endif
