// redis.c: the store on Redis. Each verb is one Lua script, so that it happens whole or not at all and any number of
// processes may share one Redis; the scripts (lua/) hold the rules, this file brings arguments there and answers back; what people
// ask is in redis_look.c.
// Every key of a shop begins with "fo:{shop}:": one hash tag, one slot of a Redis Cluster. Time is the clock of Redis.
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "redis_scripts.h"
#include "server/store/redis/redis_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPAN_MOST_MS (DAYS_MS(366) * 10)
#define CLAIM_MOST 256         // per shop and call
#define CLAIM_BYTES_MOST ((int64_t)8 << 20)  // packed, per call: many large bodies must not fill the memory
#define WAKE_SLICE 500         // lanes per call of the script: Redis does nothing else meanwhile
#define WAKE_FROM_MOST 32      // characters of a time
#define SHOP_IN_TROUBLE_MS 1000
#define COMMIT_FIXED_ARGS 18   // of each change in lua/commit.lua: how many follow, and ARGV 1 to 17
#define COMMIT_MOST 64         // changes of one script
#define COMMIT_BYTES_MOST ((size_t)4 << 20)  // of their plans; one change is always made

static const char *const script_texts[SCRIPT_COUNT] = {
    [ACCEPT] = lua_accept, [CLAIM] = lua_claim, [COMMIT] = lua_commit, [WAKE] = lua_wake, [STATS] = lua_stats,
    [SWAP] = lua_swap,     [KEPT] = lua_kept,   [LIST] = lua_list,     [REDRIVE] = lua_redrive, [PERMITS] = lua_permits,
    [LOOK] = lua_look,     [ERASE] = lua_erase,
};

const char *const redis_state_letters[] = {[JOB_PENDING] = "p", [JOB_DONE] = "d", [JOB_DEAD] = "x", [JOB_IGNORED] = "i"};

static const char *const kind_names[] = {
    [CHANGE_RECORD] = "record", [CHANGE_RETRY] = "retry",   [CHANGE_HOLD] = "hold",
    [CHANGE_ASIDE] = "aside",   [CHANGE_FINISH] = "finish", [CHANGE_RELEASE] = "release",
};

// ---- arguments and answers

struct sv redis_number(struct arena *a, int64_t n) {
    return arena_fmt(a, "%" PRId64, n);
}

int64_t redis_span(int64_t ms) {
    return ms < 0 ? 0 : ms > SPAN_MOST_MS ? SPAN_MOST_MS : ms;
}

// lifetime: Redis refuses one of 0.
struct sv redis_lifetime(struct arena *a, int64_t ms) {
    return redis_number(a, ms > 0 ? redis_span(ms) : 1);
}

struct sv redis_shop_key(struct arena *a, struct sv shop) {
    return arena_fmt(a, "fo:{" SV_FMT "}:", SV_ARG(shop));
}

int64_t redis_integer(const struct redis_reply *reply) {
    int64_t n = 0;
    if (reply->kind == REPLY_INTEGER)
        return reply->integer;
    return reply->kind == REPLY_TEXT && sv_i64(reply->text, &n) ? n : 0;
}

enum rc redis_odd_answer(const char *verb, struct err *e) {
    return err_set(e, RC_IO, "Redis answers %s in a form that this version does not know", verb);
}

enum rc redis_run_one(struct engine *s, struct arena *a, const struct redis_script *script, const struct sv *argv, size_t argc,
                      struct redis_reply *ret, struct err *e) {
    struct redis_command command = {.script = script, .argv = argv, .argc = argc};
    enum rc rc = redis_run(s->redis, a, &command, 1, e);
    *ret = command.reply;
    return rc ? rc : redis_failed(ret, e);
}

enum rc redis_keep(struct engine *s, struct arena *a, struct redis_command *commands, size_t n, struct sv shop, int64_t deadline_ms, struct err *e) {
    struct sv key = redis_shop_key(a, shop);
    commands[n] = (struct redis_command){.script = &s->scripts[KEPT], .argv = &key, .argc = 1};
    return redis_run_kept(s->redis, a, commands, n, deadline_ms, e);
}

// ---- open, close

static void engine_close(struct engine *s) {
    if (!s)
        return;
    redis_close(s->redis);
    redis_accept_queue_free(s->queue);
    free(s);
}

static enum rc engine_check_url(struct sv url, struct err *e) {
    struct arena a;
    struct redis_address address;
    arena_init(&a, SCRATCH_MEMORY);
    enum rc rc = redis_url_parse(&a, url, &address, e);
    arena_free(&a);
    return rc;
}

static enum rc engine_open(const struct store_config *config, struct engine **ret, struct err *e) {
    struct engine *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, RC_IO, "out of memory");
    struct arena a;
    arena_init(&a, SCRATCH_MEMORY);
    struct sv retention = redis_lifetime(&a, config->retention_ms);
    memcpy(s->retention_text, retention.p, retention.n);
    s->retention_ms = (struct sv){s->retention_text, retention.n};
    arena_free(&a);
    s->ledger_lifetime_ms = config->ledger_lifetime_ms;

    s->queue = redis_accept_queue();
    enum rc rc = s->queue ? redis_open(config->url, config->relaxed, &s->redis, e) : err_set(e, RC_IO, "out of memory");
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        s->scripts[i].text = script_texts[i];
        sha1_hex(sv_of(script_texts[i]), s->scripts[i].hash);
    }
    if (rc) {
        engine_close(s);
        return rc;
    }
    *ret = s;
    return RC_OK;
}

// ---- claim

static struct redis_command claim_command(const struct engine *s, struct arena *a, const struct claim *claim, int64_t lease_ms,
                                          int64_t room) {
    size_t most = claim->max < CLAIM_MOST ? claim->max : CLAIM_MOST, lately = claim->lately < CLAIM_MOST ? claim->lately : CLAIM_MOST;
    size_t bytes = (most + lately) * TOKEN_LEN / 2;
    void *random = arena_alloc(a, bytes + 1);
    random_bytes(random, bytes);
    struct sv *argv = ARENA_ARRAY(a, struct sv, 7);
    argv[0] = redis_shop_key(a, claim->shop);
    argv[1] = redis_number(a, redis_span(lease_ms));
    argv[2] = redis_number(a, (int64_t)most);
    argv[3] = hex_of(a, random, bytes);
    argv[4] = redis_number(a, room);
    argv[5] = redis_number(a, (int64_t)lately);
    argv[6] = redis_number(a, DUE_LATELY_MS);
    return (struct redis_command){.script = &s->scripts[CLAIM], .argv = argv, .argc = 7};
}

static bool copy_text(char *to, size_t len, const struct redis_reply *from) {
    if (from->text.n > len)
        return false;
    memcpy(to, from->text.p ? from->text.p : "", from->text.n);
    to[from->text.n] = '\0';
    return true;
}

// The order of the fields is that of lua/claim.lua.
static bool read_job(const struct redis_reply *reply, struct sv shop, struct job *job) {
    enum { LANE, ID, TOKEN, RECEIVED, SOURCE, TOPIC, CLAIMS, HURRY, BODY, PLAN, PROGRESS, FIELDS };
    const struct redis_reply *field = reply->items;
    if (reply->kind != REPLY_LIST || reply->count != FIELDS)
        return false;
    *job = (struct job){
        .shop = shop,
        .source = field[SOURCE].text,
        .topic = field[TOPIC].text,
        .received_ms = redis_integer(&field[RECEIVED]),
        .claims = redis_integer(&field[CLAIMS]),
        .hurry_ms = field[HURRY].kind == REPLY_NIL ? 0 : clock_wall_ms() + redis_integer(&field[HURRY]),
        .body = field[BODY].text,
        .plan = field[PLAN].text,
        .progress = field[PROGRESS].text,
    };
    return copy_text(job->lane, KEY_LEN, &field[LANE]) && copy_text(job->id, JOB_ID_LEN, &field[ID]) &&
           copy_text(job->token, TOKEN_LEN, &field[TOKEN]);
}

// read_claim adds the jobs of one shop to jobs.
static enum rc read_claim(const struct redis_command *command, struct sv shop, struct job *jobs, size_t *count,
                          int64_t *next_due_ms, struct err *e) {
    const struct redis_reply *reply = &command->reply;
    enum rc rc = redis_failed(reply, e);
    if (rc)
        return rc;
    if (reply->kind != REPLY_LIST || reply->count == 0)
        return redis_odd_answer("claim", e);
    int64_t next = redis_integer(&reply->items[0]);
    if (next >= 0 && next < *next_due_ms)
        *next_due_ms = next;
    for (size_t i = 1; i < reply->count; i++)
        if (!read_job(&reply->items[i], shop, &jobs[(*count)++]))
            return redis_odd_answer("claim", e);
    return RC_OK;
}

static enum rc read_claims(struct arena *a, const struct redis_command *commands, const struct claim *claims, size_t n,
                           struct job **ret, size_t *ret_count, int64_t *ret_next_due_ms, struct err *e) {
    size_t most = 0, good = 0;
    for (size_t i = 0; i < n; i++)
        most += commands[i].reply.count;
    *ret = ARENA_ARRAY(a, struct job, most + 1);
    *ret_count = 0;
    *ret_next_due_ms = INT64_MAX;
    enum rc first_rc = RC_OK;
    for (size_t i = 0; i < n; i++) {
        struct sv shop = arena_dup(a, claims[i].shop);
        size_t before = *ret_count;
        struct err failure = {0};
        enum rc rc = read_claim(&commands[i], shop, *ret, ret_count, ret_next_due_ms, &failure);
        good += !rc;
        if (!rc)
            continue;
        *ret_count = before;
        if (!first_rc)
            first_rc = err_set(e, rc, "%s", failure.text);
        log_warn("store: shop=" SV_FMT " gave no work: %s", SV_ARG(shop), failure.text);
        if (*ret_next_due_ms > SHOP_IN_TROUBLE_MS)
            *ret_next_due_ms = SHOP_IN_TROUBLE_MS;
    }
    // The jobs of the other shops are leased already: one shop in trouble must not delay them.
    return good > 0 ? RC_OK : first_rc;
}

static enum rc engine_claim(struct engine *s, struct arena *a, const struct claim *claims, size_t n, int64_t lease_ms,
                            struct job **ret, size_t *ret_count, int64_t *ret_next_due_ms, struct err *e) {
    struct redis_command *commands = ARENA_ARRAY(a, struct redis_command, n + 1);
    for (size_t i = 0; i < n; i++)
        commands[i] = claim_command(s, a, &claims[i], lease_ms, CLAIM_BYTES_MOST / (int64_t)n);
    enum rc rc = redis_run(s->redis, a, commands, n, e);
    FAILPOINT("redis.claim.answered");
    return rc ? rc : read_claims(a, commands, claims, n, ret, ret_count, ret_next_due_ms, e);
}

// ---- commit

static size_t args_of(const struct change *c) {
    return COMMIT_FIXED_ARGS + c->reserve_count + 5 * c->mark_count + c->ledger_count + 3 * c->remember_count;
}

// The order of the arguments is that of lua/commit.lua.
static void put_change(const struct engine *s, struct arena *a, const struct change *c, struct sv *argv) {
    size_t n = 0;
    argv[n++] = redis_number(a, (int64_t)args_of(c) - 1);
    argv[n++] = sv_of(kind_names[c->kind]);
    argv[n++] = sv_of(c->job->lane);
    argv[n++] = sv_of(c->job->id);
    argv[n++] = sv_of(c->job->token);
    argv[n++] = redis_number(a, redis_span(c->delay_ms));
    argv[n++] = redis_number(a, redis_span(c->lease_ms));
    argv[n++] = c->lease_stays ? SV("1") : SV("0");
    argv[n++] = sv_of(redis_state_letters[c->state]);
    argv[n++] = c->reason;
    argv[n++] = s->retention_ms;
    argv[n++] = redis_lifetime(a, c->reserve_lifetime_ms);
    argv[n++] = c->plan.p ? SV("plan") : c->progress.p ? SV("progress") : SV("");
    argv[n++] = sv_first(c->plan, c->progress);
    argv[n++] = redis_number(a, (int64_t)c->reserve_count);
    argv[n++] = redis_number(a, (int64_t)c->mark_count);
    argv[n++] = redis_number(a, (int64_t)c->ledger_count);
    argv[n++] = redis_lifetime(a, s->ledger_lifetime_ms);
    for (size_t i = 0; i < c->reserve_count; i++)
        argv[n++] = c->reserve[i];
    for (size_t i = 0; i < c->mark_count; i++) {
        argv[n++] = c->marks[i].key;
        argv[n++] = c->marks[i].expect.p ? SV("1") : SV("0");
        argv[n++] = c->marks[i].expect;
        argv[n++] = c->marks[i].value;
        argv[n++] = redis_lifetime(a, c->marks[i].lifetime_ms);
    }
    for (size_t i = 0; i < c->ledger_count; i++)
        argv[n++] = c->ledger[i];
    for (size_t i = 0; i < c->remember_count; i++) {
        argv[n++] = c->remember[i].key;
        argv[n++] = c->remember[i].value;
        argv[n++] = redis_lifetime(a, c->remember[i].lifetime_ms);
    }
}

// commit_command takes the first *n of the changes: those of one shop, as many as one script may have.
static struct redis_command commit_command(const struct engine *s, struct arena *a, const struct change *changes, size_t *n) {
    struct sv shop = changes[0].job->shop;
    size_t argc = 1, bytes = 0, count = 0;
    for (; count < *n && count < COMMIT_MOST && bytes < COMMIT_BYTES_MOST && sv_eq(changes[count].job->shop, shop); count++) {
        argc += args_of(&changes[count]);
        bytes += changes[count].plan.n + changes[count].progress.n;
    }
    struct sv *argv = ARENA_ARRAY(a, struct sv, argc);
    argv[0] = redis_shop_key(a, shop);
    argc = 1;
    for (size_t i = 0; i < count; i++) {
        put_change(s, a, &changes[i], &argv[argc]);
        argc += args_of(&changes[i]);
    }
    *n = count;
    return (struct redis_command){.script = &s->scripts[COMMIT], .argv = argv, .argc = argc};
}

static enum rc read_change(const struct redis_reply *reply, struct change *c, struct err *e) {
    if (reply->kind != REPLY_LIST || reply->count == 0)
        return redis_odd_answer("commit", e);
    if (redis_integer(&reply->items[0]) != 1) {
        c->result = redis_integer(&reply->items[0]) == 0 ? RC_STALE : RC_CONFLICT;
        return RC_OK;
    }
    for (size_t i = 0; i < c->reserve_count && i + 1 < reply->count; i++)
        c->taken[i] = redis_integer(&reply->items[i + 1]) == 1;
    c->result = RC_OK;
    return RC_OK;
}

// A change whose fate is unknown keeps RC_UNAVAILABLE as its result.
static enum rc read_changes(const struct redis_command *command, struct change *changes, size_t n, struct err *e) {
    if (!command->answered)
        return RC_OK;  // the pipeline has failed and says so
    enum rc rc = redis_failed(&command->reply, e);
    if (rc == RC_OK && (command->reply.kind != REPLY_LIST || command->reply.count != n))
        rc = redis_odd_answer("commit", e);
    for (size_t i = 0; i < n; i++) {
        enum rc failed = rc ? rc : read_change(&command->reply.items[i], &changes[i], e);
        if (failed)
            changes[i].result = rc = failed;
    }
    return rc;
}

static enum rc engine_commit(struct engine *s, struct change *changes, size_t n, struct err *e) {
    struct arena a;
    arena_init(&a, SCRATCH_MEMORY);
    struct redis_command *commands = ARENA_ARRAY(&a, struct redis_command, n + 2);
    size_t *sizes = ARENA_ARRAY(&a, size_t, n), count = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        changes[i].result = RC_UNAVAILABLE;
        memset(changes[i].taken, 0, sizeof changes[i].taken);
    }
    for (; at < n; at += sizes[count++]) {
        sizes[count] = n - at;
        commands[count] = commit_command(s, &a, &changes[at], &sizes[count]);
    }
    enum rc rc = redis_keep(s, &a, commands, count, changes[0].job->shop, redis_deadline_ms(), e);
    FAILPOINT("redis.commit.answered");
    at = 0;
    for (size_t i = 0; i < count; at += sizes[i++]) {
        struct err failure = {0};
        enum rc failed = read_changes(&commands[i], &changes[at], sizes[i], &failure);
        if (failed && !rc)
            rc = err_set(e, failed, "%s", failure.text);
    }
    arena_free(&a);
    return rc;
}

static void engine_round(struct engine *s, struct arena *a, struct store_round *r) {
    enum rc rc = r->change_count > 0 ? engine_commit(s, r->changes, r->change_count, &r->err) : RC_OK;
    r->committed = rc;
    if (rc == RC_OK && r->asked_count > 0)
        rc = redis_look_up(s, a, r->asked, r->asked_count, &r->err);
    r->told = rc;
    if (rc == RC_OK && r->claim_count > 0)
        rc = engine_claim(s, a, r->claims, r->claim_count, r->lease_ms, &r->jobs, &r->job_count, &r->next_due_ms, &r->err);
    r->claimed = rc;
}

// ---- the small verbs

static enum rc engine_wake(struct engine *s, struct sv shop, struct err *e) {
    struct arena a;
    arena_init(&a, SCRATCH_MEMORY);
    char from[WAKE_FROM_MOST] = "";
    enum rc rc;
    do {
        struct sv argv[] = {redis_shop_key(&a, shop), sv_of(from), redis_number(&a, WAKE_SLICE), redis_number(&a, DUE_LATELY_MS)};
        struct redis_reply reply;
        rc = redis_run_one(s, &a, &s->scripts[WAKE], argv, COUNTOF(argv), &reply, e);
        if (!rc && (reply.kind != REPLY_TEXT || reply.text.n >= sizeof from))
            rc = redis_odd_answer("wake", e);
        if (!rc)
            snprintf(from, sizeof from, SV_FMT, SV_ARG(reply.text));
        arena_reset(&a);
    } while (!rc && from[0]);
    arena_free(&a);
    return rc;
}

static enum rc engine_stats(struct engine *s, struct sv shop, struct store_stats *ret, struct err *e) {
    struct arena a;
    arena_init(&a, SCRATCH_MEMORY);
    struct sv argv[] = {redis_shop_key(&a, shop)};
    struct redis_reply reply;
    enum rc rc = redis_run_one(s, &a, &s->scripts[STATS], argv, COUNTOF(argv), &reply, e);
    if (!rc && (reply.kind != REPLY_LIST || reply.count != 6))
        rc = redis_odd_answer("stats", e);
    if (!rc)
        *ret = (struct store_stats){
            .accepted = redis_integer(&reply.items[0]),
            .pending = redis_integer(&reply.items[1]),
            .done = redis_integer(&reply.items[2]),
            .dead = redis_integer(&reply.items[3]),
            .ignored = redis_integer(&reply.items[4]),
            .oldest_pending_ms = redis_integer(&reply.items[5]),
        };
    arena_free(&a);
    return rc;
}

// A write shows more than PING: memory, disk and role have to be in order.
static enum rc engine_check(struct engine *s, struct err *e) {
    struct arena a;
    arena_init(&a, SCRATCH_MEMORY);
    struct sv argv[] = {SV("SET"), SV("fo:{check}:written"), SV("1"), SV("PX"), SV("60000")};
    struct redis_reply reply;
    enum rc rc = redis_run_one(s, &a, NULL, argv, COUNTOF(argv), &reply, e);
    arena_free(&a);
    return rc;
}

// Nothing is left to do: finished jobs and keys carry their own expiry, and Redis keeps it; the ledger is cut when it grows.
static enum rc engine_purge(struct engine *s, const struct sv *shops, size_t n, struct err *e) {
    (void)s, (void)shops, (void)n, (void)e;
    return RC_OK;
}

const struct engine_ops engine_redis = {
    .scheme = "redis",
    .check_url = engine_check_url,
    .open = engine_open,
    .close = engine_close,
    .accept = redis_accept,
    .claim = engine_claim,
    .commit = engine_commit,
    .round = engine_round,
    .wake = engine_wake,
    .look_up = redis_look_up,
    .state_put = redis_state_put,
    .ledger = redis_ledger,
    .state_swap = redis_state_swap,
    .permits = redis_permits,
    .stats = engine_stats,
    .list = redis_list,
    .find = redis_find,
    .redrive = redis_redrive,
    .kept = redis_kept,
    .erase = redis_erase,
    .check = engine_check,
    .purge = engine_purge,
};
