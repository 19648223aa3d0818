// redis_error.c: the table of Redis' errors.
#include "server/store/redis/redis_error.h"

#define CLUSTER "this node of a Redis Cluster does not hold the shop: use a Redis without cluster mode, or a cluster proxy"
#define RIGHTS "the Redis user lacks a permission: it needs ~fo:* +@read +@write +@scripting +@connection +info +role +time"
#define CREDENTIALS "Redis refuses the user or password of the URL"

static const struct meaning {
    const char *start;  // the first word or words of the error
    enum redis_remedy remedy;
    const char *text;
} meanings[] = {
    {"LOADING", REMEDY_WAIT, "Redis is still loading its data"},
    {"BUSY", REMEDY_WAIT, "Redis is busy with a long script"},
    {"TRYAGAIN", REMEDY_WAIT, "Redis asks to try again"},
    {"CLUSTERDOWN", REMEDY_WAIT, "the Redis Cluster is down"},
    {"OOM", REMEDY_WAIT, "Redis is at maxmemory: give it more, or let the waiting jobs drain"},
    {"MISCONF", REMEDY_WAIT, "Redis cannot write to its disk: see its log, free space there"},
    {"NOREPLICAS", REMEDY_WAIT, "Redis has fewer replicas than min-replicas-to-write asks for"},
    {"EXECABORT", REMEDY_WAIT, "what stands between here and Redis has given up a transaction"},
    {"ERR max number of clients", REMEDY_WAIT, "Redis has no connection left: raise its maxclients"},
    {"READONLY", REMEDY_RECONNECT, "Redis is a read-only replica now: the URL has to lead to the master"},
    {"MASTERDOWN", REMEDY_RECONNECT, "Redis is a replica that has lost its master"},
    {"NOSCRIPT", REMEDY_RELOAD, "Redis has forgotten a script that it was just given"},
    {"NOAUTH", REMEDY_PEOPLE, "Redis wants a password: redis://:password@host:port"},
    {"WRONGPASS", REMEDY_PEOPLE, CREDENTIALS},
    {"ERR AUTH", REMEDY_PEOPLE, CREDENTIALS},
    {"NOPERM", REMEDY_PEOPLE, RIGHTS},
    {"ERR The user executing the script", REMEDY_PEOPLE, RIGHTS},
    {"DENIED", REMEDY_PEOPLE, "Redis is in protected mode: give it a password, and bind it to an address of a private network"},
    {"MOVED", REMEDY_PEOPLE, CLUSTER},
    {"ASK", REMEDY_PEOPLE, CLUSTER},
    {"LAYOUT", REMEDY_PEOPLE, "what an earlier version kept in this Redis has another form: let that version send what waits, then begin with an empty database"},
    {"WRONGTYPE", REMEDY_PEOPLE, "a key that begins with fo: is not what fireorder made it: something else writes to this database"},
};

static const struct meaning *find(struct sv error) {
    for (const struct meaning *m = meanings; m < meanings + COUNTOF(meanings); m++) {
        struct sv start = sv_of(m->start);
        if (sv_starts(error, start) && (error.n == start.n || error.p[start.n] == ' '))
            return m;
    }
    return NULL;
}

enum redis_remedy redis_error_remedy(struct sv error) {
    const struct meaning *m = find(error);
    return m ? m->remedy : REMEDY_PEOPLE;
}

enum rc redis_error_tell(struct sv error, struct err *e) {
    const struct meaning *m = find(error);
    if (m)
        return err_set(e, m->remedy == REMEDY_PEOPLE ? RC_IO : RC_UNAVAILABLE, "%s", m->text);
    // What Redis quotes of a command after the comma is not for a log.
    struct sv text, rest;
    sv_cut(error, ',', &text, &rest);
    return err_set(e, RC_IO, "Redis answers: %.*s", (int)(text.n < 200 ? text.n : 200), text.p ? text.p : "");
}
