// destination.c: Meta and Klaviyo in one process, quick enough not to be what is measured, and attentive: it knows each order by the digits
// in its event id and sees what came, how often, and whether Klaviyo was asked before Meta had answered. One thread, epoll.
// GET /stats tells, GET /times gives when Meta was asked (int64, µs of the monotonic clock, an entry an order), POST /set?name=value sets:
//   latency_ms        how long an answer takes
//   mode              ok; stall: nothing is answered until another mode is set; or the status with which all are refused (401, 503)
//   meta_status       the status with which Meta alone refuses; 0: none
//   events_per_second, events_per_minute, jobs_per_second, jobs_per_minute     Klaviyo's limits, 0: none
//   lanes             orders of one number modulo lanes are of one person and have to come in order; 0: each its own
//   reset             forget everything seen
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define FIRST_ORDER 6240000000000
#define ORDERS_MOST 4000000
#define ROOM_FIRST 8192
#define ROOM_MOST (8 << 20)

enum target { META, EVENT, PROFILE, LIST, JOB, CONTROL, UNKNOWN, TARGETS };

struct order {
    int64_t meta_us;                 // first asked
    uint8_t meta, klaviyo;           // how often it was taken
    bool meta_answered;
};

// Fixed windows of a second and a minute, as Klaviyo counts.
struct limit {
    int64_t per_second, per_minute, second, minute, in_second, in_minute;
};

struct conn {
    int fd;
    size_t got, room;
    char *in;
    enum target target;              // of the request that is being answered
    bool waiting;                    // for the moment of its answer
    int64_t due_us;
    char *body;
    size_t body_n;
    struct conn *next;               // in the queue of answers
};

struct stats {
    int64_t requests[TARGETS], refused, throttled;
    int64_t meta, klaviyo, both, meta_again, klaviyo_again, early, told_late, out_of_lane, meta_out_of_lane, strange, first_us, last_us;
};

static struct {
    int epoll;
    int64_t latency_us, lanes, status, meta_status;
    bool stall;
    struct limit events, jobs;
    struct order *orders;
    int64_t *lane_meta, *lane_klaviyo;  // the order after which the next of a lane has to come, plus 1
    struct stats stats;
    struct conn *queue, **queue_end;
} d = {.queue_end = &d.queue};

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void *memory(size_t n, size_t size) {
    void *p = calloc(n, size);
    if (!p)
        abort();
    return p;
}

// ---- what a request is about

static const char *find(const char *text, size_t n, const char *needle) {
    return memmem(text, n, needle, strlen(needle));
}

// The number of the order whose id is the value of key, from *io on; -1: none. *io is moved behind it.
static int64_t order_at(const char **io, const char *end, const char *key) {
    const char *at = *io < end ? find(*io, (size_t)(end - *io), key) : NULL;
    if (!at)
        return -1;
    at += strlen(key);
    const char *limit = at + 80 < end ? at + 80 : end;
    int64_t n = 0;
    int digits = 0;
    for (; at < limit && digits < 13; at++) {
        bool digit = *at >= '0' && *at <= '9';
        digits = digit ? digits + 1 : 0;
        n = digit ? n * 10 + *at - '0' : 0;
    }
    *io = at;
    n -= FIRST_ORDER;
    if (digits == 13 && n >= 0 && n < ORDERS_MOST)
        return n;
    d.stats.strange++;
    return -1;
}

// overtaken: whether one of the same person that came later was first.
static bool overtaken(int64_t *lanes, int64_t order) {
    if (d.lanes == 0)
        return false;
    int64_t *last = &lanes[order % d.lanes];
    bool late = order + 1 < *last;
    *last = late ? *last : order + 1;
    return late;
}

static void see_meta(const char *at, const char *end) {
    int64_t n = order_at(&at, end, "\"event_id\"");
    if (n >= 0 && d.orders[n].meta_us == 0) {
        d.orders[n].meta_us = now_us();
        bool late = overtaken(d.lane_meta, n);
        d.stats.out_of_lane += late;
        d.stats.meta_out_of_lane += late;
    }
}

// Meta's answer goes out.
static void take_meta(const char *at, const char *end) {
    int64_t n = order_at(&at, end, "\"event_id\"");
    if (n < 0)
        return;
    struct order *o = &d.orders[n];
    d.stats.meta_again += o->meta > 0;
    d.stats.meta += o->meta == 0;
    d.stats.both += o->meta == 0 && o->klaviyo > 0;
    o->meta = o->meta < 255 ? (uint8_t)(o->meta + 1) : 255;
    o->meta_answered = true;
}

static const char *id_key(const char *at, const char *end) {
    return find(at, (size_t)(end - at), "\"unique_id\"") ? "\"unique_id\"" : "\"capi_event_id\"";
}

// An event may come before Meta's answer only when it says itself that Meta has not answered. Of several in one request each does so before its
// unique_id.
static void see_klaviyo(const char *at, const char *end) {
    static const char retrying[] = "\"capi_status\":\"retrying\"";
    const char *key = id_key(at, end), *from = at;
    bool one = strcmp(key, "\"unique_id\"") != 0;
    for (int64_t n; (n = order_at(&at, end, key)) >= 0; from = at) {
        bool told = find(from, (size_t)((one ? end : at) - from), retrying);
        d.stats.told_late += told;
        d.stats.early += !told && !d.orders[n].meta_answered;
        if (d.orders[n].klaviyo == 0)
            d.stats.out_of_lane += overtaken(d.lane_klaviyo, n);
    }
}

static void take_klaviyo(const char *at, const char *end) {
    const char *key = id_key(at, end);
    for (int64_t n; (n = order_at(&at, end, key)) >= 0;) {
        struct order *o = &d.orders[n];
        d.stats.klaviyo_again += o->klaviyo > 0;
        d.stats.klaviyo += o->klaviyo == 0;
        d.stats.both += o->klaviyo == 0 && o->meta > 0;
        o->klaviyo = o->klaviyo < 255 ? (uint8_t)(o->klaviyo + 1) : 255;
    }
}

static const struct {
    const char *path, *answer;
    int status;
    void (*see)(const char *at, const char *end);   // when it comes
    void (*take)(const char *at, const char *end);  // when it is taken
    struct limit *limit;
} targets[] = {
    [META] = {"/events ", "{\"events_received\":1,\"messages\":[],\"fbtrace_id\":\"bench\"}", 200, see_meta, take_meta, NULL},
    [EVENT] = {"/api/events", "", 202, see_klaviyo, take_klaviyo, &d.events},
    [PROFILE] = {"/api/profile-import", "{\"data\":{\"type\":\"profile\",\"id\":\"01BENCH\"}}", 200, NULL, NULL, NULL},
    [LIST] = {"/api/profile-subscription-bulk-", "", 202, NULL, NULL, NULL},
    [JOB] = {"/api/event-bulk-create-jobs", "", 202, see_klaviyo, take_klaviyo, &d.jobs},
};

static enum target target_of(const char *line, size_t n) {
    static const enum target order[] = {EVENT, JOB, PROFILE, LIST, META};
    if (n < 5 || memcmp(line, "POST ", 5) != 0 || find(line, n, " /set"))
        return CONTROL;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (find(line, n, targets[order[i]].path))
            return order[i];
    return UNKNOWN;
}

// ---- limits

// 0: there is room; else the seconds to wait.
static int64_t over_limit(struct limit *l) {
    int64_t second = now_us() / 1000000, minute = second / 60;
    l->in_second = l->second == second ? l->in_second : 0;
    l->in_minute = l->minute == minute ? l->in_minute : 0;
    l->second = second;
    l->minute = minute;
    if (l->per_minute > 0 && l->in_minute >= l->per_minute)
        return 60 - second % 60;
    if (l->per_second > 0 && l->in_second >= l->per_second)
        return 1;
    l->in_second++;
    l->in_minute++;
    return 0;
}

static int limit_head(char *out, size_t room, const struct limit *l) {
    if (!l || l->per_second == 0)
        return 0;
    return snprintf(out, room, "RateLimit-Limit: %lld, %lld;w=1, %lld;w=60\r\nRateLimit-Remaining: %lld\r\nRateLimit-Reset: 0\r\n", (long long)l->per_second,
                    (long long)l->per_second, (long long)l->per_minute, (long long)(l->per_second - l->in_second));
}

// ---- answers

static void write_all(struct conn *c, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t wrote = write(c->fd, bytes, n);
        if (wrote < 0 && errno == EAGAIN)  // only the long answers of the control
            usleep(100);
        else if (wrote < 0)
            return;
        else {
            bytes += wrote;
            n -= (size_t)wrote;
        }
    }
}

static void answer(struct conn *c, int status, const char *more, const char *body) {
    char out[2048];
    int n = snprintf(out, sizeof out, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s", status, more, strlen(body), body);
    write_all(c, out, (size_t)n);
}

static void refuse(struct conn *c, int status) {
    static const char meta[] = "{\"error\":{\"message\":\"no\",\"type\":\"OAuthException\",\"code\":190}}";
    static const char klaviyo[] = "{\"errors\":[{\"status\":401,\"code\":\"not_authenticated\",\"title\":\"no\"}]}";
    d.stats.refused++;
    answer(c, status, "", status != 401 ? "no" : c->target == META ? meta : klaviyo);
}

static int64_t status_of(enum target t) {
    return t == META && d.meta_status > 0 ? d.meta_status : d.status;
}

static void answer_now(struct conn *c) {
    char head[256] = "";
    struct limit *limit = targets[c->target].limit;
    if (status_of(c->target) > 0) {
        refuse(c, (int)status_of(c->target));
        return;
    }
    int64_t wait_s = limit ? over_limit(limit) : 0;
    if (wait_s > 0) {
        snprintf(head, sizeof head, "Retry-After: %lld\r\n", (long long)wait_s);
        d.stats.throttled++;
        answer(c, 429, head, "{\"errors\":[{\"status\":429,\"code\":\"throttled\",\"title\":\"Request was throttled.\"}]}");
        return;
    }
    if (targets[c->target].take)
        targets[c->target].take(c->body, c->body + c->body_n);
    d.stats.last_us = now_us();
    limit_head(head, sizeof head, limit);
    answer(c, targets[c->target].status, head, targets[c->target].answer);
}

static int64_t missing(int64_t first, int64_t count, int64_t *ret_unsent) {
    int64_t n = *ret_unsent = 0;
    for (int64_t i = first; i < first + count && i < ORDERS_MOST; i++) {
        n += d.orders[i].klaviyo == 0 || d.orders[i].meta == 0;
        *ret_unsent += d.orders[i].meta_us == 0;
    }
    return n;
}

static int64_t setting(const char *line, size_t n, const char *name, int64_t otherwise) {
    const char *at = find(line, n, name);
    return at ? strtoll(at + strlen(name), NULL, 10) : otherwise;
}

static void tell_stats(struct conn *c, const char *line, size_t n) {
    char out[1600];
    const struct stats *s = &d.stats;
    int64_t unsent, gone = missing(setting(line, n, "first=", 0), setting(line, n, "count=", 0), &unsent);
    snprintf(out, sizeof out,
             "{\"meta\":%lld,\"klaviyo\":%lld,\"both\":%lld,\"missing\":%lld,\"unsent\":%lld,\"early\":%lld,\"told_late\":%lld,\"out_of_lane\":%lld,\"meta_out_of_lane\":%lld,"
             "\"meta_again\":%lld,\"klaviyo_again\":%lld,\"strange\":%lld,\"refused\":%lld,\"throttled\":%lld,\"requests\":%lld,"
             "\"profiles\":%lld,\"lists\":%lld,\"jobs\":%lld,\"first_us\":%lld,\"last_us\":%lld}\n",
             (long long)s->meta, (long long)s->klaviyo, (long long)s->both, (long long)gone, (long long)unsent, (long long)s->early, (long long)s->told_late,
             (long long)s->out_of_lane, (long long)s->meta_out_of_lane, (long long)s->meta_again, (long long)s->klaviyo_again, (long long)s->strange, (long long)s->refused,
             (long long)s->throttled, (long long)(s->requests[META] + s->requests[EVENT] + s->requests[PROFILE] + s->requests[LIST] + s->requests[JOB]),
             (long long)s->requests[PROFILE], (long long)s->requests[LIST], (long long)s->requests[JOB], (long long)s->first_us, (long long)s->last_us);
    answer(c, 200, "", out);
}

static void tell_times(struct conn *c, const char *line, size_t n) {
    char head[128];
    int64_t first = setting(line, n, "first=", 0), count = setting(line, n, "count=", 0);
    count = first + count > ORDERS_MOST ? 0 : count;
    int64_t *times = memory((size_t)count + 1, sizeof *times);
    for (int64_t i = 0; i < count; i++)
        times[i] = d.orders[first + i].meta_us;
    int head_n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", (size_t)count * sizeof *times);
    write_all(c, head, (size_t)head_n);
    write_all(c, (const char *)times, (size_t)count * sizeof *times);
    free(times);
}

// Memory anew, not wiped: what was never used stays the kernel's.
static void forget(void) {
    free(d.orders);
    free(d.lane_meta);
    free(d.lane_klaviyo);
    d.orders = memory(ORDERS_MOST, sizeof *d.orders);
    d.lane_meta = memory(ORDERS_MOST, sizeof *d.lane_meta);
    d.lane_klaviyo = memory(ORDERS_MOST, sizeof *d.lane_klaviyo);
    d.stats = (struct stats){0};
    d.events = d.jobs = (struct limit){0};
}

static void set(struct conn *c, const char *line, size_t n) {
    const char *mode = find(line, n, "mode=");
    if (find(line, n, "reset="))
        forget();
    d.latency_us = setting(line, n, "latency_ms=", d.latency_us / 1000) * 1000;
    d.lanes = setting(line, n, "lanes=", d.lanes);
    d.meta_status = setting(line, n, "meta_status=", d.meta_status);
    d.events.per_second = setting(line, n, "events_per_second=", d.events.per_second);
    d.events.per_minute = setting(line, n, "events_per_minute=", d.events.per_minute);
    d.jobs.per_second = setting(line, n, "jobs_per_second=", d.jobs.per_second);
    d.jobs.per_minute = setting(line, n, "jobs_per_minute=", d.jobs.per_minute);
    if (mode) {
        d.stall = strncmp(mode + 5, "stall", 5) == 0;
        d.status = strtol(mode + 5, NULL, 10);
    }
    answer(c, 200, "", "{}");
}

static void control(struct conn *c, const char *line, size_t n) {
    if (find(line, n, " /set"))
        set(c, line, n);
    else if (find(line, n, " /times"))
        tell_times(c, line, n);
    else
        tell_stats(c, line, n);
}

// ---- connections

static void drop(struct conn *c) {
    for (struct conn **at = &d.queue; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            if (!*at)
                d.queue_end = at;
            break;
        }
    close(c->fd);
    free(c->in);
    free(c);
}

static void answer_later(struct conn *c) {
    c->waiting = true;
    c->due_us = now_us() + d.latency_us;
    c->next = NULL;
    *d.queue_end = c;
    d.queue_end = &c->next;
}

// request: all of it is there. Says whether it is over.
static bool request(struct conn *c, size_t head_n) {
    const char *line_end = memchr(c->in, '\r', head_n);
    size_t line_n = line_end ? (size_t)(line_end - c->in) : head_n;
    c->target = target_of(c->in, line_n);
    d.stats.requests[c->target]++;
    if (c->target == CONTROL) {
        control(c, c->in, line_n);
        return true;
    }
    if (c->target == UNKNOWN) {
        answer(c, 404, "", "unknown path");
        return true;
    }
    if (d.stats.first_us == 0)
        d.stats.first_us = now_us();
    if (targets[c->target].see && status_of(c->target) == 0)
        targets[c->target].see(c->body, c->body + c->body_n);
    if (d.latency_us > 0 || d.stall) {
        answer_later(c);
        return false;
    }
    answer_now(c);
    return true;
}

static size_t body_length(const char *head, size_t n) {
    for (const char *at = head; (at = memmem(at, n - (size_t)(at - head), "\n", 1)) && (size_t)(at + 16 - head) < n; at++)
        if (strncasecmp(at + 1, "content-length:", 15) == 0)
            return strtoul(at + 16, NULL, 10);
    return 0;
}

// parse: what has come so far. The bytes of a request stay in their place until it is answered.
static void parse(struct conn *c) {
    while (!c->waiting && c->got > 0) {
        const char *end = memmem(c->in, c->got, "\r\n\r\n", 4);
        if (!end)
            return;
        size_t head_n = (size_t)(end + 4 - c->in);
        c->body_n = body_length(c->in, head_n);
        c->body = c->in + head_n;
        if (c->got < head_n + c->body_n)
            return;
        if (!request(c, head_n))
            return;
        c->got -= head_n + c->body_n;
        memmove(c->in, c->in + head_n + c->body_n, c->got);
    }
}

static void read_more(struct conn *c) {
    if (c->room - c->got < 2 && c->room < ROOM_MOST) {
        size_t body_at = c->body ? (size_t)(c->body - c->in) : 0;
        c->in = realloc(c->in, c->room *= 2);
        if (!c->in)
            abort();
        c->body = c->in + body_at;
    }
    ssize_t n = read(c->fd, c->in + c->got, c->room - c->got - 1);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(c);
        return;
    }
    c->got += (size_t)n;
    c->in[c->got] = 0;
    parse(c);
}

static void answer_due(void) {
    while (d.queue && !d.stall && d.queue->due_us <= now_us()) {
        struct conn *c = d.queue;
        size_t used = (size_t)(c->body - c->in) + c->body_n;
        d.queue = c->next;
        if (!d.queue)
            d.queue_end = &d.queue;
        c->waiting = false;
        answer_now(c);
        c->got -= used;
        memmove(c->in, c->in + used, c->got);
        parse(c);
    }
}

static void take_connections(int listener) {
    int one = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct conn *c = memory(1, sizeof *c);
        c->fd = fd;
        c->room = ROOM_FIRST;
        c->in = memory(1, c->room);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(d.epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_at(int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096)) {
        perror("bench_destination");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fputs("usage: bench_destination PORT\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    forget();
    int listener = listen_at((int)strtol(argv[1], NULL, 10));
    d.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(d.epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int64_t wait_us = !d.queue || d.stall ? 1000000 : d.queue->due_us - now_us();
        struct timespec wait = {0, wait_us < 0 ? 0 : wait_us > 900000 ? 900000000 : wait_us * 1000};
        int n = epoll_pwait2(d.epoll, events, 256, &wait, NULL);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                read_more(events[i].data.ptr);
            else
                take_connections(listener);
        }
        answer_due();
    }
}
