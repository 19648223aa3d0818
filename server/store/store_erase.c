#include "server/store/store_erase.h"

#include "server/store/store_parts.h"

#define ERASE_LIMIT ((size_t)64 << 20)

enum rc store_kept(struct store *s, struct arena *a, struct sv shop, enum kept_kind kind, struct sv after, struct kept **ret,
                   size_t *ret_count, struct sv *ret_next, struct err *e) {
    *ret = NULL;
    *ret_count = 0;
    *ret_next = SV_NONE;
    enum rc rc = s->ops->kept(s->engine, a, shop, kind, after, ret, ret_count, ret_next, e);
    for (size_t i = 0; rc == RC_OK && i < *ret_count; i++) {
        struct kept *k = &(*ret)[i];
        if (store_unpack(s, a, shop, kind == KEPT_JOBS ? "body" : "state", sv_of(k->id), &k->text, NULL) != RC_OK)
            k->text = SV_NONE;
    }
    if (rc == RC_OK && !arena_ok(a))
        return err_set(e, RC_TOO_LARGE, "store: what is kept needs more memory than a page of it may have");
    return rc;
}

enum rc store_erase(struct store *s, struct sv shop, const struct kept *erased, size_t n, struct sv own, struct err *e) {
    struct arena a;
    if (n == 0)
        return RC_OK;
    arena_init(&a, ERASE_LIMIT);
    struct kept *packed = ARENA_ARRAY(&a, struct kept, n);
    for (size_t i = 0; i < n; i++) {
        packed[i] = erased[i];
        packed[i].text = erased[i].kind == KEPT_JOBS ? store_pack(s, &a, shop, "body", sv_of(packed[i].id), SV("")) : SV_NONE;
    }
    enum rc rc = arena_ok(&a) ? s->ops->erase(s->engine, shop, packed, n, own, e)
                              : err_set(e, RC_TOO_LARGE, "store: too much is to be erased at once");
    arena_free(&a);
    return rc;
}

struct kept store_kept_value(const struct store *s, struct sv shop, struct sv key) {
    struct kept k = {.kind = KEPT_VALUES};
    hash_under(&s->hash_key, STATE_KEY, shop, key, k.id);
    return k;
}
