// load.c: sends orders and measures the answers. One thread, epoll.
// Closed loop (no --rate): each connection sends the next order when it has the answer to the last. Open loop: a fixed rate; an order that
// finds all connections busy waits, and its latency counts from the moment at which it was meant to be sent.
// With --lanes a person's orders share a connection, so that the order in which they are accepted is the order of their numbers.
#include "bench/histogram.h"
#include "bench/traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MOST 4096
#define TELL_MOST 3     // of so many bad answers the text is shown

enum state { IDLE, CONNECTING, WRITING, READING };

struct conn {
    int fd;                  // -1: none
    enum state state;
    bool reused;             // an answer came on this connection before
    int64_t order, cursor;   // which one is under way; where to look for the next (lanes)
    int64_t intended_us, answers;
    size_t written, got;
    char *request, answer[ANSWER_MOST];
};

struct load {
    struct traffic traffic;
    struct sockaddr_in to;
    int epoll;
    int64_t conn_count, rate, expect, timeout_ms;
    struct conn *conns;
    struct conn **idle;      // stack of those without work (open loop)
    size_t idle_count;
    int64_t issued, answered, good, reconnects, errors, started_us, last_us;
    int64_t *acks;           // when each order was answered, µs of the monotonic clock; NULL: not wanted
    int64_t statuses[600];
    int told;
    struct histogram latencies;
};

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static _Noreturn void die(const char *what) {
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

// ---- which order is next

// The next order of a connection in closed loop; -1: there is none.
static int64_t next_order(struct load *l, struct conn *c) {
    const struct traffic_config *t = &l->traffic.config;
    if (t->lanes == 0)
        return l->issued < t->count ? l->issued++ : -1;
    for (int64_t i = c->cursor; i < t->count; i++)
        if (traffic_person(&l->traffic, i) % l->conn_count == c - l->conns) {
            c->cursor = i + 1;
            l->issued++;
            return i;
        }
    c->cursor = t->count;
    return -1;
}

// ---- one request

static void watch(struct load *l, struct conn *c, uint32_t events, int how) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(l->epoll, how, c->fd, &event))
        die("epoll_ctl");
}

static void drop(struct conn *c) {
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void open_conn(struct load *l, struct conn *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&l->to, sizeof l->to) && errno != EINPROGRESS)
        die("connect");
    c->state = CONNECTING;
    c->reused = false;
    watch(l, c, EPOLLOUT, EPOLL_CTL_ADD);
}

static void write_on(struct load *l, struct conn *c);

static void send_order(struct load *l, struct conn *c, int64_t order, int64_t intended_us) {
    c->order = order;
    c->intended_us = intended_us;
    c->written = c->got = 0;
    traffic_put(&l->traffic, c->request, order);
    if (c->fd < 0) {
        open_conn(l, c);
        return;
    }
    c->state = WRITING;
    write_on(l, c);
}

static void next(struct load *l, struct conn *c) {
    c->state = IDLE;
    if (l->rate > 0) {
        l->idle[l->idle_count++] = c;
        return;
    }
    int64_t order = next_order(l, c);
    if (order >= 0)
        send_order(l, c, order, now_us());
}

// The order is over, well or not.
static void over(struct load *l, struct conn *c, int status) {
    int64_t now = now_us();
    l->answered++;
    l->last_us = now;
    c->answers += status > 0;
    l->statuses[status > 0 && status < 600 ? status : 0]++;
    if (status == l->expect) {
        l->good++;
        histogram_add(&l->latencies, now - c->intended_us);
        if (l->acks)
            l->acks[c->order] = now;
    } else if (l->told++ < TELL_MOST) {
        fprintf(stderr, "bench_load: order %lld: %.*s\n", (long long)c->order, status ? (int)c->got : 10, status ? c->answer : "no answer\n");
    }
    next(l, c);
}

static void lost(struct load *l, struct conn *c) {
    drop(c);
    // A server may close an idle connection just when the next request is on its way: then the request is sent on a new one.
    if (c->reused && c->got == 0) {
        l->reconnects++;
        send_order(l, c, c->order, c->intended_us);
        return;
    }
    l->errors++;
    over(l, c, 0);
}

static void write_on(struct load *l, struct conn *c) {
    size_t n = l->traffic.request.n;
    while (c->written < n) {
        ssize_t wrote = write(c->fd, c->request + c->written, n - c->written);
        if (wrote < 0 && errno == EAGAIN) {
            c->state = WRITING;
            watch(l, c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return;
        }
        if (wrote < 0) {
            lost(l, c);
            return;
        }
        c->written += (size_t)wrote;
    }
    if (c->state != READING || !c->reused)
        watch(l, c, EPOLLIN, EPOLL_CTL_MOD);
    c->state = READING;
}

// The length of the answer when all of it is there, else 0.
static size_t whole(const struct conn *c) {
    const char *end = memmem(c->answer, c->got, "\r\n\r\n", 4), *length = memmem(c->answer, c->got, "ontent-", 7);
    if (!end)
        return 0;
    size_t head = (size_t)(end + 4 - c->answer), body = 0;
    for (; length && length < end; length = memmem(length + 1, (size_t)(end - length - 1), "ontent-", 7))
        if (strncasecmp(length, "ontent-length:", 14) == 0)
            body = strtoul(length + 14, NULL, 10);
    return c->got >= head + body ? head + body : 0;
}

static void read_on(struct load *l, struct conn *c) {
    ssize_t n = read(c->fd, c->answer + c->got, ANSWER_MOST - 1 - c->got);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || c->state == IDLE) {
        if (c->state == IDLE)
            drop(c);
        else
            lost(l, c);
        return;
    }
    c->got += (size_t)n;
    c->answer[c->got] = 0;
    if (!whole(c))
        return;
    int status = (int)strtol(c->answer + 9, NULL, 10);
    c->reused = true;
    if (l->traffic.config.close || strcasestr(c->answer, "connection: close"))
        drop(c);
    over(l, c, status);
}

static void see(struct load *l, struct conn *c, uint32_t events) {
    int bad = 0;
    socklen_t n = sizeof bad;
    if (c->fd < 0)
        return;
    if (c->state == CONNECTING) {
        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &bad, &n) || bad)
            lost(l, c);
        else
            write_on(l, c);
    } else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        read_on(l, c);
    } else if (c->state == WRITING) {
        write_on(l, c);
    }
}

// ---- the run

// issue_due: in open loop, what is due by now and finds a connection. Returns how long until the next one is due, in ns.
static int64_t issue_due(struct load *l) {
    for (;;) {
        if (l->issued == l->traffic.config.count || l->idle_count == 0)
            return 100000000;
        int64_t due = l->started_us + l->issued * 1000000 / l->rate, now = now_us();
        if (due > now)
            return (due - now) * 1000;
        send_order(l, l->idle[--l->idle_count], l->issued++, due);
    }
}

static void run(struct load *l) {
    struct epoll_event events[256];
    l->started_us = l->last_us = now_us();
    for (int64_t i = 0; i < l->conn_count; i++)
        next(l, &l->conns[i]);
    while (l->answered < l->traffic.config.count && now_us() - l->last_us < l->timeout_ms * 1000) {
        int64_t ns = l->rate > 0 ? issue_due(l) : 100000000;
        struct timespec wait = {ns / 1000000000, ns % 1000000000};
        int n = epoll_pwait2(l->epoll, events, 256, &wait, NULL);
        for (int i = 0; i < n; i++)
            see(l, events[i].data.ptr, events[i].events);
    }
}

static void report(const struct load *l) {
    struct rusage usage;
    int64_t starved = 0, took = l->last_us - l->started_us;
    const struct histogram *h = &l->latencies;
    getrusage(RUSAGE_SELF, &usage);
    for (int64_t i = 0; i < l->conn_count && i < l->traffic.config.count; i++)
        starved += l->conns[i].answers == 0;
    printf("{\"count\":%lld,\"good\":%lld,\"errors\":%lld,\"missing\":%lld,\"reconnects\":%lld,\"starved\":%lld,\"seconds\":%.6f,\"per_second\":%.1f,",
           (long long)l->traffic.config.count, (long long)l->good, (long long)l->errors, (long long)(l->traffic.config.count - l->answered),
           (long long)l->reconnects, (long long)starved, (double)took / 1e6, (double)l->good * 1e6 / (double)(took > 0 ? took : 1));
    printf("\"p50_us\":%llu,\"p90_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu,\"max_us\":%llu,\"body\":%zu,\"statuses\":{",
           (unsigned long long)histogram_at(h, 0.5), (unsigned long long)histogram_at(h, 0.9), (unsigned long long)histogram_at(h, 0.99),
           (unsigned long long)histogram_at(h, 0.999), (unsigned long long)h->most, l->traffic.request.n - l->traffic.body_at);
    for (int s = 0, first = 1; s < 600; s++)
        if (l->statuses[s]) {
            printf("%s\"%d\":%lld", first ? "" : ",", s, (long long)l->statuses[s]);
            first = 0;
        }
    printf("},\"cpu_s\":%.3f}\n", (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

static void write_acks(const struct load *l, const char *file) {
    FILE *out = fopen(file, "wb");
    if (!out || fwrite(l->acks, sizeof *l->acks, (size_t)l->traffic.config.count, out) != (size_t)l->traffic.config.count || fclose(out))
        die(file);
}

static void prepare(struct load *l, const char *acks) {
    struct err e;
    if (traffic_init(&l->traffic, &l->traffic.config, &e)) {
        fprintf(stderr, "bench_load: %s\n", e.text);
        exit(1);
    }
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->conns = calloc((size_t)l->conn_count, sizeof *l->conns);
    l->idle = calloc((size_t)l->conn_count, sizeof *l->idle);
    l->acks = acks ? calloc((size_t)l->traffic.config.count, sizeof *l->acks) : NULL;
    if (l->epoll < 0 || !l->conns || !l->idle || (acks && !l->acks))
        die("memory");
    for (int64_t i = 0; i < l->conn_count; i++) {
        l->conns[i].fd = -1;
        l->conns[i].request = malloc(l->traffic.request.n);
        if (!l->conns[i].request)
            die("memory");
        memcpy(l->conns[i].request, l->traffic.request.p, l->traffic.request.n);
    }
}

static const char usage_text[] =
    "usage: bench_load --port PORT --fixture FOLDER [--secret TEXT] [--first N] [--count N] [--connections N] [--rate N] [--lanes N]\n"
    "                  [--shop NAME | --shops N] [--wrong] [--close] [--expect STATUS] [--acks FILE] [--timeout SECONDS]\n";

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"port", 1, NULL, 'p'}, {"fixture", 1, NULL, 'f'}, {"secret", 1, NULL, 's'}, {"first", 1, NULL, 'i'}, {"count", 1, NULL, 'n'},
        {"connections", 1, NULL, 'c'}, {"rate", 1, NULL, 'r'}, {"lanes", 1, NULL, 'l'}, {"shops", 1, NULL, 'S'}, {"shop", 1, NULL, 'o'},
        {"wrong", 0, NULL, 'w'}, {"close", 0, NULL, 'k'}, {"expect", 1, NULL, 'e'}, {"acks", 1, NULL, 'a'}, {"timeout", 1, NULL, 't'}, {NULL, 0, NULL, 0}};
    static struct load l = {.conn_count = 64, .expect = 200, .timeout_ms = 20000};
    struct traffic_config *t = &l.traffic.config;
    const char *acks = NULL;
    *t = (struct traffic_config){.secret = "shopify-secret", .count = 1000, .shop = "acme", .shops = 1};
    l.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int64_t n = optarg ? strtoll(optarg, NULL, 10) : 0;
        switch (o) {
        case 'p': l.to.sin_port = htons((uint16_t)n); break;
        case 'f': t->fixture = optarg; break;
        case 's': t->secret = optarg; break;
        case 'i': t->first = n; break;
        case 'n': t->count = n; break;
        case 'c': l.conn_count = n; break;
        case 'r': l.rate = n; break;
        case 'l': t->lanes = n; break;
        case 'S': t->shops = n; break;
        case 'o': t->shop = optarg; break;
        case 'w': t->wrong = true; break;
        case 'k': t->close = true; break;
        case 'e': l.expect = n; break;
        case 'a': acks = optarg; break;
        case 't': l.timeout_ms = n * 1000; break;
        default: fputs(usage_text, stderr); return 2;
        }
    }
    if (!t->fixture || !l.to.sin_port || t->count < 1 || l.conn_count < 1 || t->shops < 1 || (l.rate > 0 && t->lanes > 0)) {
        fputs(usage_text, stderr);
        return 2;
    }
    prepare(&l, acks);
    run(&l);
    report(&l);
    if (acks)
        write_acks(&l, acks);
    return l.good == t->count ? 0 : 1;
}
