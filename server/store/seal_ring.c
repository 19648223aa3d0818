#include "server/store/seal_ring.h"

#include <string.h>

#define VERSION_WITH_ID 2
#define HEAD_LEN (1 + SEAL_KEY_ID_LEN)

enum rc ring_make(struct sv keys, struct seal_ring *ret, struct err *e) {
    *ret = (struct seal_ring){0};
    if (keys.n == 0 || keys.n % SEAL_KEY_LEN != 0 || keys.n > SEAL_KEYS_MAX * SEAL_KEY_LEN)
        return err_set(e, RC_INVALID, "seal_key: 1 to %d keys of 32 bytes are possible, not %zu bytes", SEAL_KEYS_MAX, keys.n);
    for (; ret->n * SEAL_KEY_LEN < keys.n; ret->n++) {
        struct sv master = sv_sub(keys, ret->n * SEAL_KEY_LEN, SEAL_KEY_LEN);
        struct digest id = derive_key(master, "store key id");
        memcpy(ret->keys[ret->n].id, id.b, SEAL_KEY_ID_LEN);
        ret->keys[ret->n].seal = derive_key(master, "store sealing");
        ret->keys[ret->n].hash = derive_key(master, "store keys");
    }
    return RC_OK;
}

struct sv ring_names(struct arena *a, const struct seal_ring *ring) {
    struct sv names = SV("");
    for (size_t i = 0; i < ring->n; i++)
        names = arena_fmt(a, SV_FMT "%s" SV_FMT "%s", SV_ARG(names), i ? ", " : "", SV_ARG(hex_of(a, ring->keys[i].id, SEAL_KEY_ID_LEN)),
                          i ? " opens" : " seals");
    return names;
}

struct sv ring_seal(struct arena *a, const struct seal_ring *ring, struct sv aad, struct sv plain) {
    struct sv inner = seal(a, &ring->keys[0].seal, aad, plain);
    char *record = arena_room(a, HEAD_LEN + inner.n);
    if (!inner.p || !arena_ok(a))
        return SV_NONE;
    record[0] = VERSION_WITH_ID;
    memcpy(record + 1, ring->keys[0].id, SEAL_KEY_ID_LEN);
    memcpy(record + HEAD_LEN, inner.p, inner.n);
    return (struct sv){record, HEAD_LEN + inner.n};
}

static bool names_its_key(struct sv record) {
    return record.n >= HEAD_LEN && record.p[0] == VERSION_WITH_ID;
}

bool ring_is_current(const struct seal_ring *ring, struct sv record) {
    return names_its_key(record) && memcmp(record.p + 1, ring->keys[0].id, SEAL_KEY_ID_LEN) == 0;
}

// Ids are short: two keys may share one, so each that has it is tried.
enum rc ring_open(struct arena *a, const struct seal_ring *ring, struct sv aad, struct sv record, struct sv *ret, struct err *e) {
    bool named = names_its_key(record), known = false;
    enum rc rc = RC_DENIED;
    *ret = SV_NONE;
    for (size_t i = 0; i < ring->n && rc == RC_DENIED; i++) {
        if (named && memcmp(record.p + 1, ring->keys[i].id, SEAL_KEY_ID_LEN) != 0)
            continue;
        known = true;
        rc = open_sealed(a, &ring->keys[i].seal, aad, named ? sv_sub(record, HEAD_LEN, record.n) : record, ret, e);
    }
    if (!known)
        rc = err_set(e, RC_NOT_FOUND, "seal_key: the key " SV_FMT " that sealed this is not in the list; put it back behind the first one",
                     SV_ARG(hex_of(a, record.p + 1, SEAL_KEY_ID_LEN)));
    return rc;
}
