// redis_look.c: what people ask of the store on Redis: which jobs there are, and to try a dead one again.
#include "server/store/redis/redis_parts.h"

#include <inttypes.h>
#include <string.h>

// view_of: false for an answer of another form.
static bool view_of(struct sv id, enum job_state state, const struct redis_reply *source, struct job_view *ret) {
    enum { SOURCE, TOPIC, RECEIVED, REASON, PLAN, PROGRESS };
    *ret = (struct job_view){.state = state, .source = source[SOURCE].text, .topic = source[TOPIC].text,
                             .received_ms = redis_integer(&source[RECEIVED]), .reason = source[REASON].text, .plan = source[PLAN].text,
                             .progress = source[PROGRESS].text};
    if (id.n != JOB_ID_LEN)
        return false;
    memcpy(ret->id, id.p, JOB_ID_LEN);
    return true;
}

// is_cursor: what an earlier page may have ended with (list.lua); it goes into a command.
static bool is_cursor(struct sv s, enum job_state state) {
    struct sv number, id = SV_NONE;
    int64_t n;
    bool by_time = state == JOB_PENDING || state == JOB_DEAD;
    sv_cut(s, ':', &number, &id);
    for (size_t i = 0; i < id.n; i++)
        if (!strchr("0123456789abcdef", id.p[i]) || id.p[i] == '\0')
            return false;
    return sv_i64(number, &n) && n >= 0 && (by_time ? id.n == JOB_ID_LEN : !id.p);
}

enum rc redis_list(struct engine *s, struct arena *a, const struct job_query *q, struct job_view **ret, size_t *ret_count,
                   struct sv *ret_next, struct err *e) {
    enum { FIELDS = 7 };
    if (q->after.p && !is_cursor(q->after, q->state))
        return err_set(e, RC_INVALID, "no page ended there");
    const struct sv argv[] = {redis_shop_key(a, q->shop), sv_of(redis_state_letters[q->state]), sv_first(q->after, SV("")),
                              arena_fmt(a, "%zu", q->max)};
    struct redis_reply reply;
    enum rc rc = redis_run_one(s, a, &s->scripts[LIST], argv, COUNTOF(argv), &reply, e);
    if (rc)
        return rc;
    if (reply.kind != REPLY_LIST || reply.count == 0)
        return redis_odd_answer("list", e);
    *ret = ARENA_ARRAY(a, struct job_view, reply.count);
    *ret_count = 0;
    for (size_t i = 1; i < reply.count; i++) {
        const struct redis_reply *item = &reply.items[i];
        if (item->kind != REPLY_LIST || item->count != FIELDS || !view_of(item->items[0].text, q->state, &item->items[1], &(*ret)[*ret_count]))
            return redis_odd_answer("list", e);
        ++*ret_count;
    }
    *ret_next = reply.items[0].text.n > 0 ? reply.items[0].text : SV_NONE;
    return RC_OK;
}

enum job_state redis_state(struct sv letter) {
    enum job_state state = JOB_PENDING;
    while (state < JOB_IGNORED && !sv_is(letter, redis_state_letters[state]))
        state++;
    return state;
}

enum rc redis_find(struct engine *s, struct arena *a, struct sv shop, struct sv id, struct job_view *ret, struct err *e) {
    enum { STATE = 6 };
    struct sv key = redis_shop_key(a, shop);
    const struct sv job[] = {SV("HMGET"), arena_fmt(a, SV_FMT "e:" SV_FMT, SV_ARG(key), SV_ARG(id)), SV("src"), SV("tp"), SV("rx"), SV("rs"),
                             SV("-"), SV("-"), SV("st")};
    const struct sv plan[] = {SV("MGET"), arena_fmt(a, SV_FMT "p:" SV_FMT, SV_ARG(key), SV_ARG(id)),
                              arena_fmt(a, SV_FMT "g:" SV_FMT, SV_ARG(key), SV_ARG(id))};
    struct redis_reply fields, packed;
    enum rc rc = redis_run_one(s, a, NULL, job, COUNTOF(job), &fields, e);
    if (!rc)
        rc = redis_run_one(s, a, NULL, plan, COUNTOF(plan), &packed, e);
    if (rc)
        return rc;
    if (fields.kind != REPLY_LIST || fields.count != STATE + 1)
        return redis_odd_answer("HMGET", e);
    struct sv state = fields.items[STATE].text;
    if (!state.p)
        return err_set(e, RC_NOT_FOUND, "there is no such job");
    if (packed.kind != REPLY_LIST || packed.count != 2)
        return redis_odd_answer("MGET", e);
    fields.items[STATE - 2] = packed.items[0];
    fields.items[STATE - 1] = packed.items[1];
    return view_of(id, redis_state(state), fields.items, ret) ? RC_OK : redis_odd_answer("HMGET", e);
}

enum rc redis_redrive(struct engine *s, struct sv shop, struct sv id, struct sv plan, bool *ret_redriven, struct err *e) {
    struct arena a;
    arena_init(&a, SCRATCH_MEMORY);
    const struct sv argv[] = {redis_shop_key(&a, shop), id, plan.p ? SV("1") : SV("0"), plan.p ? plan : SV("")};
    struct redis_reply reply;
    enum rc rc = redis_run_one(s, &a, &s->scripts[REDRIVE], argv, COUNTOF(argv), &reply, e);
    int64_t answer = rc ? 0 : redis_integer(&reply);
    arena_free(&a);
    if (!rc && answer < 0)
        rc = err_set(e, RC_NOT_FOUND, "there is no such job");
    *ret_redriven = answer > 0;
    return rc;
}
