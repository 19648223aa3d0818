// flood.c: sends requests at a given rate, one connection each as fireorder answers them, and says how long the answers took.
// Usage: bench_flood KIND PORT RATE SECONDS     RATE 0: each of a few threads sends again as soon as it was answered
//        bench_flood bare PORT                  a server that reads a request and answers 429 at once: what any server costs
// KIND: orders (signed for shop acme with the secret "bench"), or one of the floods of contexts below.
// A request that waits for its turn because the ones before it are slow is late from the moment at which it was due.
#include "base/clock.h"
#include "base/crypto.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, SAMPLES_MOST = 1 << 18, REQUEST_MOST = 16 << 10, STATUSES = 600 };

#define HEAD_OF_CONTEXT "POST /context/acme HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
#define GOOD_ORIGIN "Origin: https://acme.example\r\n"

static int64_t run_id;

static size_t with_body(char *out, const char *head, const char *body) {
    return (size_t)snprintf(out, REQUEST_MOST, "%sContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
}

static size_t order(char *out, uint64_t n) {
    char body[8192], head[512], lines[6000] = "";
    struct arena a;
    for (int i = 0; i < 12; i++)
        snprintf(lines + strlen(lines), sizeof lines - strlen(lines),
                 "%s{\"id\":%d,\"product_id\":632910392,\"variant_id\":%d,\"sku\":\"SKU-%d\",\"title\":\"Serum with a rather long name, %d ml\","
                 "\"vendor\":\"Acme\",\"quantity\":1,\"price\":\"12.95\",\"properties\":[],\"taxable\":true,\"total_discount\":\"0.00\"}", i ? "," : "", i, 808950810 + i, i, i * 10);
    uint64_t id = (uint64_t)run_id * 1000000 + n;
    snprintf(body, sizeof body, "{\"id\":%llu,\"name\":\"#%llu\",\"email\":\"p%llu@klaviyo-demo.com\",\"currency\":\"USD\",\"total_price\":\"155.40\",\"financial_status\":\"paid\","
             "\"source_name\":\"web\",\"created_at\":\"2026-11-21T10:00:00Z\",\"test\":false,\"cart_token\":\"c%llu\",\"customer\":{\"id\":%llu,\"first_name\":\"Ava\"},"
             "\"billing_address\":{\"country_code\":\"US\",\"city\":\"Austin\",\"zip\":\"78701\"},\"line_items\":[%s]}",
             (unsigned long long)id, (unsigned long long)id, (unsigned long long)id, (unsigned long long)id, (unsigned long long)id, lines);
    arena_init(&a, 1 << 16);
    const struct sv bytes = sv_of(body);
    struct digest d = hmac_sha256(SV("bench"), &bytes, 1);
    struct sv signature = base64_of(&a, (struct sv){(const char *)d.b, sizeof d.b});
    snprintf(head, sizeof head, "POST /hooks/acme/shopify HTTP/1.1\r\nHost: x\r\nX-Shopify-Topic: orders/create\r\nX-Shopify-Webhook-Id: b-%llu\r\n"
             "X-Shopify-Hmac-Sha256: " SV_FMT "\r\nContent-Type: application/json\r\n", (unsigned long long)id, SV_ARG(signature));
    arena_free(&a);
    return with_body(out, head, body);
}

// From one address, and so over its rate after a moment.
static size_t one_address(char *out, uint64_t n) {
    (void)n;
    return with_body(out, HEAD_OF_CONTEXT GOOD_ORIGIN, "{\"cart_token\":\"flood\",\"fbp\":\"fb.1.1760000000000.1098115397\",\"consent\":{\"marketing\":\"granted\"}}");
}

static size_t from_many(char *out, const char *origin, const char *body) {
    char head[512];
    uint64_t address = random_below(1 << 24);
    snprintf(head, sizeof head, HEAD_OF_CONTEXT "%sX-Forwarded-For: 20.%u.%u.%u\r\n", origin, (unsigned)(address >> 16), (unsigned)(address >> 8 & 255), (unsigned)(address & 255));
    return with_body(out, head, body);
}

// Well-formed, under tokens that nobody has, from ever new addresses: held by the shop's rate alone, and what it lets through is stored.
static size_t many_addresses(char *out, uint64_t n) {
    char body[256];
    snprintf(body, sizeof body, "{\"cart_token\":\"flood%llu\",\"fbp\":\"fb.1.1760000000000.1098115397\",\"consent\":{\"marketing\":\"granted\"}}", (unsigned long long)n);
    return from_many(out, GOOD_ORIGIN, body);
}

static size_t foreign_origin(char *out, uint64_t n) {
    (void)n;
    return from_many(out, "Origin: https://evil.example\r\n", "{\"cart_token\":\"flood\"}");
}

static size_t broken_json(char *out, uint64_t n) {
    char body[4001];
    (void)n;
    memset(body, '[', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    return from_many(out, GOOD_ORIGIN, body);
}

static const struct kind {
    const char *name;
    size_t (*make)(char *out, uint64_t n);
} kinds[] = {{"orders", order}, {"one_address", one_address}, {"many_addresses", many_addresses}, {"foreign_origin", foreign_origin}, {"broken_json", broken_json}};

// ---- sending

struct sender {
    pthread_t thread;
    const struct kind *kind;
    int port, number;
    double rate;  // of all senders together; 0: as fast as answers come
    int64_t begin_us, end_us;
    int64_t *taken_us;
    size_t count;
    int statuses[STATUSES];  // 0: no answer
};

static int exchange(int port, const char *request, size_t n) {
    const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char answer[2048];
    int status = 0, one = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 && send(fd, request, n, MSG_NOSIGNAL) == (ssize_t)n) {
        ssize_t got = recv(fd, answer, sizeof answer - 1, 0);
        answer[got > 0 ? got : 0] = '\0';
        if (got >= 12)
            status = (int)strtol(answer + 9, NULL, 10);
    }
    close(fd);
    return status > 0 && status < STATUSES ? status : 0;
}

static void sleep_until(int64_t at_us) {
    const struct timespec at = {.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void *send_all(void *ctx) {
    struct sender *s = ctx;
    char *request = malloc(REQUEST_MOST);
    prctl(PR_SET_TIMERSLACK, 1000);
    for (uint64_t i = (uint64_t)s->number; request && s->count < SAMPLES_MOST; i += THREADS) {
        int64_t due_us = s->rate > 0 ? s->begin_us + (int64_t)((double)i * 1e6 / s->rate) : clock_mono_us();
        if (due_us >= s->end_us)
            break;
        size_t n = s->kind->make(request, i);
        sleep_until(due_us);
        if (s->rate <= 0)
            due_us = clock_mono_us();
        s->statuses[exchange(s->port, request, n)]++;
        s->taken_us[s->count++] = clock_mono_us() - due_us;
    }
    free(request);
    return NULL;
}

static int compare(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static void print(const struct sender *senders, int64_t *taken_us, double seconds) {
    size_t n = 0;
    int statuses[STATUSES] = {0};
    for (const struct sender *s = senders; s < senders + THREADS; s++) {
        memmove(taken_us + n, s->taken_us, s->count * sizeof *taken_us);
        n += s->count;
        for (int i = 0; i < STATUSES; i++)
            statuses[i] += s->statuses[i];
    }
    qsort(taken_us, n, sizeof *taken_us, compare);
    printf("{\"sent\": %zu, \"per_second\": %.1f, \"p50_us\": %lld, \"p95_us\": %lld, \"p99_us\": %lld", n, (double)n / seconds, (long long)(n ? taken_us[n / 2] : 0),
           (long long)(n ? taken_us[n * 95 / 100] : 0), (long long)(n ? taken_us[n * 99 / 100] : 0));
    const char *separator = ", \"statuses\": {";
    for (int i = 0; i < STATUSES; i++)
        if (statuses[i]) {
            printf("%s\"%d\": %d", separator, i, statuses[i]);
            separator = ", ";
        }
    printf("%s}\n", n ? "}" : "");
}

static int run(const struct kind *kind, int port, double rate, double seconds) {
    struct sender *senders = calloc(THREADS, sizeof *senders);
    int64_t *taken_us = calloc((size_t)THREADS * SAMPLES_MOST, sizeof *taken_us);
    if (!senders || !taken_us)
        return 1;
    run_id = clock_wall_ms() % 100000000;
    int64_t begin_us = clock_mono_us() + 20000, end_us = begin_us + (int64_t)(seconds * 1e6);
    for (int i = 0; i < THREADS; i++) {
        senders[i] = (struct sender){.kind = kind, .port = port, .number = i, .rate = rate, .begin_us = begin_us, .end_us = end_us, .taken_us = taken_us + (size_t)i * SAMPLES_MOST};
        if (pthread_create(&senders[i].thread, NULL, send_all, &senders[i]) != 0)
            return 1;
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(senders[i].thread, NULL);
    print(senders, taken_us, (double)(clock_mono_us() - begin_us) / 1e6);
    free(taken_us);
    free(senders);
    return 0;
}

// ---- the bare server

static int serve_bare(int port) {
    static const char answer[] = "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[REQUEST_MOST];
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (const struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1024) != 0)
        return 1;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && recv(fd, request, sizeof request, 0) > 0)
            (void)!write(fd, answer, sizeof answer - 1);
        close(fd);
    }
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "bare") == 0)
        return serve_bare((int)strtol(argv[2], NULL, 10));
    for (size_t i = 0; argc == 5 && i < COUNTOF(kinds); i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            return run(&kinds[i], (int)strtol(argv[2], NULL, 10), strtod(argv[3], NULL), strtod(argv[4], NULL));
    fprintf(stderr, "usage: %s KIND PORT RATE SECONDS | bare PORT\n", argv[0]);
    return 2;
}
