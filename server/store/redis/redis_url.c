// redis_url.c: taking a redis:// or redis+sentinel:// URL apart.
#include "server/store/redis/redis_url.h"

#define PORT_DEFAULT 6379
#define SENTINEL_PORT_DEFAULT 26379
#define PORT_MOST 65535
#define DB_MOST 16383
#define REPLICAS_MOST 16

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// A NUL byte is refused too: the host is handed on as a C string. The result is NUL-terminated.
static bool unescape(struct arena *a, struct sv text, struct sv *ret) {
    char *out = arena_alloc(a, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            int high = text.n - i > 2 ? hex_value(text.p[i + 1]) : -1;
            int low = text.n - i > 2 ? hex_value(text.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0')
            return false;
        out[n++] = c;
    }
    *ret = (struct sv){out, n};
    return true;
}

// The last '@' ends the user part, because people forget to encode one inside a password.
static bool cut_user(struct sv all, struct sv *user, struct sv *rest) {
    for (size_t i = all.n; i > 0; i--) {
        if (all.p[i - 1] == '@') {
            *user = sv_sub(all, 0, i - 1);
            *rest = sv_sub(all, i, all.n);
            return true;
        }
    }
    *rest = all;
    return false;
}

static bool read_user(struct arena *a, struct sv text, struct redis_address *ret) {
    struct sv user, password;
    bool has_password = sv_cut(text, ':', &user, &password);
    if (sv_present(user) && !unescape(a, user, &ret->user))
        return false;
    if (has_password && sv_present(password) && !unescape(a, password, &ret->password))
        return false;
    return !sv_present(ret->user) || sv_present(ret->password);
}

static bool read_number(struct sv text, int64_t most, int64_t *ret) {
    return sv_present(text) && text.p[0] != '-' && sv_i64(text, ret) && *ret <= most;
}

static bool read_host(struct arena *a, struct sv text, int64_t port_default, struct redis_host *ret) {
    struct sv host = text, port = SV_NONE, between;
    if (sv_starts(text, SV("["))) {
        if (!sv_cut(sv_sub(text, 1, text.n), ']', &host, &between))
            return false;
        if (between.n > 0 && between.p[0] != ':')
            return false;
        port = between.n > 0 ? sv_sub(between, 1, between.n) : SV_NONE;
    } else {
        sv_cut(text, ':', &host, &port);
    }
    int64_t number = port_default;
    if (port.p && (!read_number(port, PORT_MOST, &number) || number == 0))
        return false;
    struct sv plain;
    if (!sv_present(host) || !unescape(a, host, &plain))
        return false;
    *ret = (struct redis_host){plain.p, (int)number};
    return true;
}

static bool read_sentinels(struct arena *a, struct sv text, struct redis_address *ret) {
    for (bool more = true; more;) {
        struct sv host, rest;
        more = sv_cut(text, ',', &host, &rest);
        if (ret->host_count == REDIS_HOSTS_MOST || !read_host(a, host, SENTINEL_PORT_DEFAULT, &ret->hosts[ret->host_count++]))
            return false;
        text = rest;
    }
    return true;
}

// ?min_replicas=n is all that may stand there.
static bool read_options(struct sv text, struct redis_address *ret) {
    struct sv name, value;
    return !text.p || (sv_cut(text, '=', &name, &value) && sv_is(name, "min_replicas") && read_number(value, REPLICAS_MOST, &ret->min_replicas));
}

static enum rc read_place(struct arena *a, struct sv hosts, struct sv path, bool sentinels, struct redis_address *ret, struct err *e) {
    struct sv db = path;
    if (sentinels) {
        struct sv master;
        sv_cut(path, '/', &master, &db);
        if (!read_sentinels(a, hosts, ret) || !sv_present(master) || !unescape(a, master, &ret->master))
            return err_set(e, RC_INVALID, "the URL needs one to %d sentinels and the name by which they know the master: "
                           "redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster/0", REDIS_HOSTS_MOST);
    } else if (!read_host(a, hosts, PORT_DEFAULT, &ret->hosts[ret->host_count++])) {
        return err_set(e, RC_INVALID, "the Redis URL needs host or host:port, an IPv6 host in brackets: redis://127.0.0.1:6379/0");
    }
    if (sv_present(db) && !read_number(db, DB_MOST, &ret->db))
        return err_set(e, RC_INVALID, "the last part of the Redis URL is the number of the database: redis://127.0.0.1:6379/0");
    return RC_OK;
}

enum rc redis_url_parse(struct arena *a, struct sv url, struct redis_address *ret, struct err *e) {
    const struct sv plain = SV("redis://"), sentinel = SV("redis+sentinel://");
    *ret = (struct redis_address){0};
    if (sv_starts(url, SV("rediss://")))
        return err_set(e, RC_INVALID, "rediss:// is not supported, because hiredis has no TLS or does not check whom it talks to: "
                       "run stunnel or haproxy beside fireorder and use redis:// to its address on this machine");
    bool sentinels = sv_starts(url, sentinel);
    if (!sentinels && !sv_starts(url, plain))
        return err_set(e, RC_INVALID, "a Redis URL starts with redis:// or redis+sentinel://");
    struct sv rest = sv_sub(url, sentinels ? sentinel.n : plain.n, url.n), user, hosts, path, options;
    if (cut_user(rest, &user, &rest) && !read_user(a, user, ret))
        return err_set(e, RC_INVALID, "the user part of the Redis URL is wrong: user:password@ or :password@, "
                       "with %%XX for characters such as @ : / %%");
    sv_cut(rest, '?', &rest, &options);
    if (!read_options(options, ret))
        return err_set(e, RC_INVALID, "after the ? of a Redis URL may stand min_replicas=n alone, n from 0 to %d", REPLICAS_MOST);
    sv_cut(rest, '/', &hosts, &path);
    return read_place(a, hosts, path, sentinels, ret, e);
}
