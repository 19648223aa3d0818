// redis_erase.c: what is kept of a shop's people on Redis, looked through and taken away.
#include "server/store/redis/redis_parts.h"

#include "base/failpoint.h"

#include <stdio.h>
#include <string.h>

#define LOOK_AT SV("100")  // keys in one page: other scripts wait meanwhile

static struct sv letter(enum kept_kind kind) {
    return kind == KEPT_JOBS ? SV("b") : SV("s");
}

static bool read_kept(const struct redis_reply *item, enum kept_kind kind, struct kept *ret) {
    enum { ID, STATE, RECEIVED, SOURCE, TOPIC, BYTES, FIELDS };
    if (item->kind != REPLY_LIST || item->count != FIELDS)
        return false;
    *ret = (struct kept){.kind = kind, .state = redis_state(item->items[STATE].text), .received_ms = redis_integer(&item->items[RECEIVED]),
                         .source = item->items[SOURCE].text, .topic = item->items[TOPIC].text, .text = item->items[BYTES].text};
    snprintf(ret->id, sizeof ret->id, SV_FMT, SV_ARG(item->items[ID].text));
    return true;
}

enum rc redis_kept(struct engine *s, struct arena *a, struct sv shop, enum kept_kind kind, struct sv after, struct kept **ret,
                   size_t *ret_count, struct sv *ret_next, struct err *e) {
    const struct sv argv[] = {redis_shop_key(a, shop), letter(kind), sv_first(after, SV("")), LOOK_AT};
    struct redis_reply reply;
    enum rc rc = redis_run_one(s, a, &s->scripts[LOOK], argv, COUNTOF(argv), &reply, e);
    if (rc)
        return rc;
    if (reply.kind != REPLY_LIST || reply.count == 0)
        return redis_odd_answer("look", e);
    *ret = ARENA_ARRAY(a, struct kept, reply.count);
    for (size_t i = 1; i < reply.count; i++)
        if (!read_kept(&reply.items[i], kind, &(*ret)[(*ret_count)++]))
            return redis_odd_answer("look", e);
    *ret_next = reply.items[0].text.n > 0 ? reply.items[0].text : SV_NONE;
    return RC_OK;
}

enum rc redis_erase(struct engine *s, struct sv shop, const struct kept *erased, size_t n, struct sv own, struct err *e) {
    struct arena a;
    arena_init(&a, SCRATCH_MEMORY);
    struct sv *argv = ARENA_ARRAY(&a, struct sv, 2 + 3 * n);
    size_t argc = 0;
    argv[argc++] = redis_shop_key(&a, shop);
    argv[argc++] = sv_first(own, SV(""));
    for (size_t i = 0; i < n; i++) {
        argv[argc++] = letter(erased[i].kind);
        argv[argc++] = sv_of(erased[i].id);
        argv[argc++] = sv_first(erased[i].text, SV(""));
    }
    struct redis_reply reply;
    enum rc rc = redis_run_one(s, &a, &s->scripts[ERASE], argv, argc, &reply, e);
    FAILPOINT("redis.erase.answered");
    arena_free(&a);
    return rc;
}
