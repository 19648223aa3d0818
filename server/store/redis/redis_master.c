// redis_master.c: from an address to a connection that may be used.
#include "server/store/redis/redis_master.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define PATIENCE_MS 3000           // for connecting and for one answer; a sender waits 5 s for its own
#define SENTINEL_PATIENCE_MS 500   // several may have to be asked
#define HOST_NAME_MOST 253
#define PORT_MOST 65535
#define INTRODUCTION_MEMORY ((size_t)1 << 20)

// ---- one Redis

static enum rc authenticate(const struct redis_address *address, struct redis_conn *c, struct arena *a, struct err *e) {
    struct redis_reply reply;
    struct sv with_user[] = {SV("AUTH"), address->user, address->password};
    struct sv without[] = {SV("AUTH"), address->password};
    bool user = sv_present(address->user);
    return redis_conn_ask(c, a, user ? with_user : without, user ? COUNTOF(with_user) : COUNTOF(without), &reply, e);
}

// introduce: who we are, which database, and is this the master: after a fail-over the old address may be a replica.
static enum rc introduce(struct redis_master *m, struct redis_conn *c, struct arena *a, struct err *e) {
    const struct redis_address *address = m->address;
    struct redis_reply reply;
    enum rc rc = RC_OK;
    if (sv_present(address->password))
        rc = authenticate(address, c, a, e);
    if (!rc && address->db > 0)
        rc = redis_conn_ask(c, a, (struct sv[]){SV("SELECT"), arena_fmt(a, "%lld", (long long)address->db)}, 2, &reply, e);
    if (!rc)
        rc = redis_conn_ask(c, a, (struct sv[]){SV("ROLE")}, 1, &reply, e);
    if (rc)
        return rc;
    if (reply.kind != REPLY_LIST || reply.count == 0 || !sv_is(reply.items[0].text, "master"))
        return err_set(e, RC_UNAVAILABLE, "this Redis is a replica: %s", address->master.p ? "the sentinels have no new master yet"
                       : "the URL has to lead to the master (role master), or to its sentinels (redis+sentinel://)");
    return redis_settings_look(&m->settings, c, a, e);
}

static enum rc connect_to(struct redis_master *m, const struct redis_host *host, int64_t deadline_ms, struct redis_conn **ret, struct err *e) {
    struct redis_conn *c = NULL;
    enum rc rc = redis_conn_open(host, PATIENCE_MS, deadline_ms, &c, e);
    if (rc)
        return rc;
    struct arena a;
    arena_init(&a, INTRODUCTION_MEMORY);
    rc = introduce(m, c, &a, e);
    arena_free(&a);
    if (rc) {
        redis_conn_close(c);
        return rc;
    }
    *ret = c;
    return RC_OK;
}

// ---- sentinels

static enum rc where_is(const struct redis_address *address, struct redis_conn *c, struct arena *a, struct redis_host *ret, struct err *e) {
    struct sv question[] = {SV("SENTINEL"), SV("GET-MASTER-ADDR-BY-NAME"), address->master};
    struct redis_reply reply;
    enum rc rc = redis_conn_ask(c, a, question, COUNTOF(question), &reply, e);
    if (rc == RC_IO && sv_starts(reply.text, SV("NOAUTH")) && sv_present(address->password)) {
        rc = authenticate(address, c, a, e);
        if (!rc)
            rc = redis_conn_ask(c, a, question, COUNTOF(question), &reply, e);
    }
    if (rc)
        return rc;
    if (reply.kind == REPLY_NIL)
        return err_set(e, RC_INVALID, "it knows no master of the name " SV_FMT, SV_ARG(address->master));
    int64_t port = 0;
    if (reply.kind != REPLY_LIST || reply.count != 2 || !sv_i64(reply.items[1].text, &port) || port < 1 || port > PORT_MOST ||
        !sv_present(reply.items[0].text) || reply.items[0].text.n > HOST_NAME_MOST)
        return err_set(e, RC_IO, "its answer is no address: is it a sentinel?");
    *ret = (struct redis_host){arena_cstr(a, reply.items[0].text), (int)port};
    return RC_OK;
}

static enum rc ask_sentinel(const struct redis_address *address, size_t i, int64_t deadline_ms, struct arena *a, struct redis_host *ret, struct err *e) {
    const struct redis_host *sentinel = &address->hosts[i];
    struct redis_conn *c = NULL;
    enum rc rc = redis_conn_open(sentinel, SENTINEL_PATIENCE_MS, deadline_ms, &c, e);
    if (!rc)
        rc = where_is(address, c, a, ret, e);
    redis_conn_close(c);
    return rc ? err_wrap(e, "sentinel %s port %d", sentinel->name, sentinel->port) : RC_OK;
}

static void found(struct redis_master *m, size_t sentinel, const struct redis_host *host) {
    char place[sizeof m->told];
    snprintf(place, sizeof place, "%s port %d", host->name, host->port);
    pthread_mutex_lock(&m->lock);
    bool moved = strcmp(m->told, place) != 0;
    m->first = sentinel;
    memcpy(m->told, place, sizeof place);
    pthread_mutex_unlock(&m->lock);
    if (moved)
        log_info("the master " SV_FMT " is the Redis at %s", SV_ARG(m->address->master), place);
}

static bool same_host(const struct redis_host *a, const struct redis_host *b) {
    return b->name && a->port == b->port && strcmp(a->name, b->name) == 0;
}

// connect_told: the sentinels in turn, until the address that one of them tells leads to a master.
static enum rc connect_told(struct redis_master *m, size_t first, struct arena *a, int64_t deadline_ms, struct redis_conn **ret, struct err *e) {
    const struct redis_address *address = m->address;
    struct redis_host tried = {0};
    struct err worst = {0};
    for (size_t n = 0; n < address->host_count; n++) {
        size_t i = (first + n) % address->host_count;
        struct redis_host host = {0};
        struct err failure = {0};
        enum rc rc = ask_sentinel(address, i, deadline_ms, a, &host, &failure);
        if (!rc && same_host(&host, &tried))
            continue;
        if (!rc) {
            tried = host;
            rc = connect_to(m, &host, deadline_ms, ret, &failure);
        }
        if (!rc) {
            found(m, i, &host);
            return RC_OK;
        }
        if (worst.code == RC_OK || worst.code == RC_UNAVAILABLE)  // what somebody has to put right is told rather than what may pass
            worst = failure;
    }
    return err_set(e, worst.code, "no master " SV_FMT ": %s", SV_ARG(address->master), worst.text);
}

enum rc redis_master_connect(struct redis_master *m, int64_t deadline_ms, struct redis_conn **ret, struct err *e) {
    if (!m->address->master.p)
        return connect_to(m, &m->address->hosts[0], deadline_ms, ret, e);
    struct arena a;
    arena_init(&a, INTRODUCTION_MEMORY);
    pthread_mutex_lock(&m->lock);
    size_t first = m->first;
    pthread_mutex_unlock(&m->lock);
    enum rc rc = connect_told(m, first, &a, deadline_ms, ret, e);
    arena_free(&a);
    return rc;
}

void redis_master_init(struct redis_master *m, const struct redis_address *address, bool relaxed) {
    *m = (struct redis_master){.address = address, .settings = {.relaxed = relaxed}};
    pthread_mutex_init(&m->lock, NULL);
}

void redis_master_free(struct redis_master *m) {
    pthread_mutex_destroy(&m->lock);
}
