// http_world.h: an HTTP server that answers what it is told to and remembers what it was asked, and a client that sends bytes.
#ifndef TESTS_UNIT_HTTP_WORLD_H
#define TESTS_UNIT_HTTP_WORLD_H

#include "base/clock.h"
#include "server/http/http_in.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT ((size_t)8 << 20)

// What the server under test saw.
struct seen {
    struct http_server *server;
    int handled, refused, refused_status;  // atomic
    int let_on, done;                      // atomic
    char path[64], query[64], body[64];
    size_t body_n;
    int64_t started_us;
    int answer_status;
    bool keep;                             // but for /stranger
    pthread_mutex_t gate;                  // /gate waits for it, and /afterwards when it is answered
    int at_gate;                           // atomic
    pthread_mutex_t writing;               // of what a request was: a crowd comes at once
};

static inline int early(void *ctx, const struct http_request *r) {
    struct seen *seen = ctx;
    if (sv_is(r->path, "/early"))
        return 404;
    __atomic_add_fetch(&seen->let_on, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static inline void copy(char to[64], struct sv s) {
    snprintf(to, 64, SV_FMT, SV_ARG(s));
}

static inline void wait_at_gate(struct seen *seen) {
    __atomic_store_n(&seen->at_gate, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&seen->gate);
    pthread_mutex_unlock(&seen->gate);
}

static inline void handle(void *ctx, const struct http_request *r, struct http_response *ret) {
    struct seen *seen = ctx;
    if (sv_is(r->path, "/gate"))
        wait_at_gate(seen);
    pthread_mutex_lock(&seen->writing);
    copy(seen->path, r->path);
    copy(seen->query, r->query);
    copy(seen->body, sv_sub(r->body, 0, 63));
    seen->body_n = r->body.n;
    seen->started_us = r->started_us;
    pthread_mutex_unlock(&seen->writing);
    ret->status = seen->answer_status;
    ret->keep = seen->keep && !sv_is(r->path, "/stranger");
    ret->extra_headers = "X-Test: yes\r\n";
    ret->body = arena_dup(r->arena, SV("{\"ok\":true}"));
    __atomic_add_fetch(&seen->handled, 1, __ATOMIC_SEQ_CST);
}

static inline const char *refused(void *ctx, const struct http_request *r, int status) {
    struct seen *seen = ctx;
    (void)r;
    __atomic_store_n(&seen->refused_status, status, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&seen->refused, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static inline void done(void *ctx, const struct http_request *r) {
    struct seen *seen = ctx;
    if (sv_is(r->path, "/afterwards"))
        wait_at_gate(seen);
    __atomic_add_fetch(&seen->done, 1, __ATOMIC_SEQ_CST);
}

static inline void setup(struct seen *seen, int64_t deadline_ms) {
    *seen = (struct seen){.answer_status = 200, .gate = PTHREAD_MUTEX_INITIALIZER, .writing = PTHREAD_MUTEX_INITIALIZER};
    const struct http_server_config config = {
        .listen = SV("127.0.0.1:0"),
        .body_limit = LIMIT,
        .threads = 4,
        .body_deadline_ms = deadline_ms,
        .early = early,
        .handle = handle,
        .done = done,
        .refused = refused,
        .ctx = seen,
    };
    struct err e;
    if (http_server_start(&config, &seen->server, &e))
        fail_msg("%s", e.text);
    assert_true(http_server_port(seen->server) > 0);
}

// Whatever became of a request that was let on, it was told of when it was over.
static inline void stop(struct seen *seen) {
    http_server_stop(seen->server);
    assert_true(seen->done == seen->let_on);
}

static inline int connected(const struct seen *seen) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_server_port(seen->server)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void send_all(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        assert_true(sent > 0);
        bytes += sent;
        n -= (size_t)sent;
    }
}

// Everything until the server closes.
static inline void read_all(int fd, struct buf *out) {
    char piece[4096];
    ssize_t n;
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0)
        buf_put(out, (struct sv){piece, (size_t)n});
    close(fd);
}

static inline int status_in(struct buf *answer) {
    int status = 0;
    if (sscanf(buf_cstr(answer), "HTTP/1.1 %d ", &status) != 1)
        fail_msg("not an answer: \"%s\"", buf_cstr(answer));
    return status;
}

// The status of the last answer of so many.
static inline int last_status_in(struct buf *answers, int n) {
    const char *last = NULL;
    int status = 0, found = 0;
    for (const char *at = buf_cstr(answers); (at = strstr(at, "HTTP/1.1 ")) != NULL; at++, found++)
        last = at;
    if (found != n || sscanf(last, "HTTP/1.1 %d ", &status) != 1)
        fail_msg("not %d answers: \"%s\"", n, buf_cstr(answers));
    return status;
}

static inline int exchange(const struct seen *seen, const char *request, struct buf *answer) {
    int fd = connected(seen);
    buf_init(answer, 1 << 20);
    send_all(fd, request, strlen(request));
    read_all(fd, answer);
    return status_in(answer);
}

#endif
