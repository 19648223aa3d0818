// redis_state.c: what the store on Redis remembers beside its jobs: values, marks and the ledger.
#include "server/store/redis/redis_parts.h"

#include <inttypes.h>

static struct sv state_key(struct arena *a, struct sv shop, struct sv key) {
    return arena_fmt(a, "fo:{" SV_FMT "}:s:" SV_FMT, SV_ARG(shop), SV_ARG(key));
}

// One GET each, for shops live in different slots.
enum rc redis_look_up(struct engine *s, struct arena *a, struct lookup *asked, size_t n, struct err *e) {
    struct redis_command *commands = ARENA_ARRAY(a, struct redis_command, n + 1);
    for (size_t i = 0; i < n; i++) {
        struct sv *argv = ARENA_ARRAY(a, struct sv, 2);
        argv[0] = SV("GET");
        argv[1] = state_key(a, asked[i].shop, asked[i].key);
        commands[i] = (struct redis_command){.argv = argv, .argc = 2};
    }
    enum rc rc = redis_run(s->redis, a, commands, n, e);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = redis_failed(&commands[i].reply, e);
        asked[i].ret = commands[i].reply.text;
    }
    return rc;
}

enum rc redis_state_put(struct engine *s, struct sv shop, const struct remembered *r, struct err *e) {
    struct arena a;
    arena_init(&a, SCRATCH_MEMORY);
    struct sv argv[] = {SV("SET"), state_key(&a, shop, r->key), r->value, SV("PX"), redis_lifetime(&a, r->lifetime_ms)};
    struct redis_reply reply;
    enum rc rc = redis_run_one(s, &a, NULL, argv, COUNTOF(argv), &reply, e);
    arena_free(&a);
    return rc;
}

// read_line: {"<ms>-<n>", {"l", text}}
static bool read_line(const struct redis_reply *reply, struct ledger_line *ret) {
    struct sv ms, n;
    if (reply->kind != REPLY_LIST || reply->count != 2 || reply->items[1].kind != REPLY_LIST || reply->items[1].count != 2)
        return false;
    ret->text = reply->items[1].items[1].text;
    return sv_cut(reply->items[0].text, '-', &ms, &n) && sv_i64(ms, &ret->at_ms) && sv_i64(n, &ret->n);
}

enum rc redis_ledger(struct engine *s, struct arena *a, struct sv shop, int64_t after_ms, int64_t after_n,
                             struct ledger_line **ret, size_t *ret_count, struct err *e) {
    struct sv from = after_n < 0 ? redis_number(a, after_ms) : arena_fmt(a, "(%" PRId64 "-%" PRId64, after_ms, after_n);
    struct sv argv[] = {SV("XRANGE"), arena_fmt(a, SV_FMT "ledger", SV_ARG(redis_shop_key(a, shop))), from, SV("+"), SV("COUNT"),
                        redis_number(a, LEDGER_PAGE)};
    struct redis_reply reply;
    *ret_count = 0;
    enum rc rc = redis_run_one(s, a, NULL, argv, COUNTOF(argv), &reply, e);
    if (rc)
        return rc;
    *ret = ARENA_ARRAY(a, struct ledger_line, reply.count + 1);
    for (size_t i = 0; reply.kind == REPLY_LIST && i < reply.count; i++)
        if (!read_line(&reply.items[i], &(*ret)[(*ret_count)++]))
            return redis_odd_answer("XRANGE", e);
    return RC_OK;
}

enum rc redis_state_swap(struct engine *s, struct sv shop, const struct mark *m, struct err *e) {
    struct arena a;
    arena_init(&a, SCRATCH_MEMORY);
    struct sv argv[] = {state_key(&a, shop, m->key), m->expect.p ? SV("1") : SV("0"), m->expect, m->value, redis_lifetime(&a, m->lifetime_ms)};
    struct redis_reply reply;
    enum rc rc = redis_run_one(s, &a, &s->scripts[SWAP], argv, COUNTOF(argv), &reply, e);
    bool held = !rc && redis_integer(&reply) == 1;
    arena_free(&a);
    return rc || held ? rc : RC_CONFLICT;
}
