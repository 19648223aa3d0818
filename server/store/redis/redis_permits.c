// redis_permits.c: what went out is counted in Redis, by its clock, for all copies together.
#include "server/store/redis/redis_parts.h"

#define FIXED_ARGS 6  // lua/permits.lua: the key and ARGV 1 to 5

static struct redis_command permit_command(const struct engine *s, struct arena *a, const struct permit *p) {
    size_t n = 0;
    struct sv *argv = ARENA_ARRAY(a, struct sv, FIXED_ARGS + 2 * p->quota->count);
    argv[n++] = redis_shop_key(a, p->shop);
    argv[n++] = p->kind;
    argv[n++] = p->account;
    argv[n++] = redis_number(a, p->shut_ms);
    argv[n++] = redis_number(a, p->want);
    argv[n++] = redis_number(a, QUOTA_SLOTS);
    for (size_t i = 0; i < p->quota->count; i++) {
        argv[n++] = redis_number(a, p->quota->windows[i].most);
        argv[n++] = redis_number(a, p->quota->windows[i].span_ms);
    }
    return (struct redis_command){.script = &s->scripts[PERMITS], .argv = argv, .argc = n};
}

static enum rc read_permit(const struct redis_reply *reply, struct permit *p, struct err *e) {
    enum rc rc = redis_failed(reply, e);
    if (rc)
        return rc;
    if (reply->kind != REPLY_LIST || reply->count != 4)
        return redis_odd_answer("permits", e);
    p->granted = redis_integer(&reply->items[0]);
    p->wait_ms = redis_integer(&reply->items[1]);
    p->full = (size_t)redis_integer(&reply->items[2]);
    p->ret_shut_ms = redis_integer(&reply->items[3]);
    return p->full < QUOTA_WINDOWS ? RC_OK : redis_odd_answer("permits", e);
}

enum rc redis_permits(struct engine *s, struct permit *asked, size_t n, struct err *e) {
    struct arena a;
    arena_init(&a, SCRATCH_MEMORY);
    struct redis_command *commands = ARENA_ARRAY(&a, struct redis_command, n + 1);
    for (size_t i = 0; i < n; i++)
        commands[i] = permit_command(s, &a, &asked[i]);
    enum rc rc = redis_run(s->redis, &a, commands, n, e);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = read_permit(&commands[i].reply, &asked[i], e);
    arena_free(&a);
    return rc;
}
