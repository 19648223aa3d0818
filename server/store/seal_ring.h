// seal_ring.h: the seal keys of a store. The first one seals; every one opens, so that a key can be replaced while there are still
// records under the old one. A record names its key: `2 | key id 4 | record of crypto.h`; those from before keys had ids have the inner
// part alone, and each key is tried. Pure; borrows nothing.
#ifndef SERVER_STORE_SEAL_RING_H
#define SERVER_STORE_SEAL_RING_H

#include "server/store/store.h"

#define SEAL_KEY_ID_LEN 4

struct seal_ring {
    struct {
        unsigned char id[SEAL_KEY_ID_LEN];  // tells nothing of the key
        struct digest seal;
        struct digest hash;  // of the hashes in a store that is begun with this key (hash_key.h)
    } keys[SEAL_KEYS_MAX];
    size_t n;
};

// ring_make: from 1 to SEAL_KEYS_MAX keys, one behind the other.
MUST_CHECK enum rc ring_make(struct sv keys, struct seal_ring *ret, struct err *e);
struct sv ring_names(struct arena *a, const struct seal_ring *ring);  // their ids, for people: "5f3a9c01 seals, 77e0b2d4 opens"
struct sv ring_seal(struct arena *a, const struct seal_ring *ring, struct sv aad, struct sv plain);
// ring_open: RC_NOT_FOUND: the key that it was sealed with is not there; RC_DENIED: it is damaged, or not what belongs there.
MUST_CHECK enum rc ring_open(struct arena *a, const struct seal_ring *ring, struct sv aad, struct sv record, struct sv *ret, struct err *e);
bool ring_is_current(const struct seal_ring *ring, struct sv record);  // it was sealed with the first key

#endif
