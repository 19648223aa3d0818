// store_parts.h: what the files of the store above its engines share; private to store*.c.
//   store.c        which engine, the keys, the verbs
//   store_round.c  the verbs of those who work on jobs
//   store_erase.c  looking through all that is kept, and taking it away
#ifndef SERVER_STORE_STORE_PARTS_H
#define SERVER_STORE_STORE_PARTS_H

#include "server/store/hash_key.h"
#include "server/store/store_engine.h"

struct spool;
struct store {
    const struct engine_ops *ops;
    struct engine *engine;
    struct spool *spool;  // NULL: none
    struct seal_ring ring;
    struct digest hash_key;
    struct usual *usual;  // what stands in most webhooks and plans (usual_1.txt)
};

// What is packed is bound to shop, kind ("body", "plan", "state") and id.
struct sv store_pack(const struct store *s, struct arena *a, struct sv shop, const char *kind, struct sv id, struct sv plain);
MUST_CHECK enum rc store_unpack(const struct store *s, struct arena *a, struct sv shop, const char *kind, struct sv id, struct sv *io, struct err *e);

// A key as it is stored: what it is for goes into its hash.
struct sv hashed(const struct store *s, struct arena *a, enum hash_purpose purpose, struct sv shop, struct sv key);
const struct sv *hash_all(const struct store *s, struct arena *a, enum hash_purpose purpose, struct sv shop, const struct sv *keys, size_t n);
struct remembered pack_remembered(const struct store *s, struct arena *a, struct sv shop, const struct remembered *r);

#define WORK_LIMIT ((size_t)1 << 30)  // of the memory one call packs in

#endif
