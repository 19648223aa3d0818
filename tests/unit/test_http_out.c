// HTTP out against a real server on a socket: what is sent, what an answer is taken for, what goes wrong and how it is told.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "server/http/http_out.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 20000  // longer than anything here may take; only a failure waits for it
#define ANSWER_MOST ((size_t)64 << 10)
#define SERVED_MOST 16

// ---- the server: each connection gets the next line of the script

enum manner { ANSWER, ANSWER_AND_RESET, RESET_UNREAD, RESET_READ, SAY_NOTHING };

struct line {
    enum manner manner;
    const char *answer;
    size_t padding;  // bytes 'x' after it
};

struct server {
    int listener;
    char base[64];
    pthread_t thread;
    const struct line *script;
    size_t lines, served;
    struct buf seen[SERVED_MOST];  // the requests, to be looked at once the server has ended
};

static size_t body_length(struct sv head) {
    struct sv line;
    int64_t n = 0;
    while (head.n > 0) {
        sv_cut(head, '\n', &line, &head);
        struct sv name, value;
        if (sv_cut(line, ':', &name, &value) && sv_is_nocase(name, "Content-Length"))
            sv_i64(sv_trim(value), &n);
    }
    return (size_t)n;
}

static void read_request(int fd, struct buf *seen) {
    char bytes[4096];
    for (;;) {
        const char *end = seen->n ? memmem(seen->p, seen->n, "\r\n\r\n", 4) : NULL;
        if (end) {
            size_t head = (size_t)(end - seen->p) + 4;
            if (seen->n - head >= body_length((struct sv){seen->p, head}))
                return;
        }
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            return;
        buf_put(seen, (struct sv){bytes, (size_t)n});
    }
}

static void send_all(int fd, struct sv bytes) {
    while (bytes.n > 0) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n <= 0)
            return;  // the client has had enough
        bytes = sv_sub(bytes, (size_t)n, bytes.n);
    }
}

static void reset_at_close(int fd) {
    struct linger linger = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void serve(struct server *s, int fd, const struct line *line) {
    static const char padding[1024] = {[0 ... 1023] = 'x'};
    char byte;
    if (line->manner != RESET_UNREAD)
        read_request(fd, &s->seen[s->served]);
    if (line->manner == ANSWER || line->manner == ANSWER_AND_RESET) {
        send_all(fd, sv_of(line->answer));
        for (size_t left = line->padding; left > 0; left -= left < sizeof padding ? left : sizeof padding)
            send_all(fd, (struct sv){padding, left < sizeof padding ? left : sizeof padding});
    }
    if (line->manner == SAY_NOTHING)  // until the client goes away
        while (recv(fd, &byte, 1, 0) > 0)
            continue;
    if (line->manner == ANSWER)
        shutdown(fd, SHUT_WR);
    else
        reset_at_close(fd);
    close(fd);
}

static void *serve_all(void *ctx) {
    struct server *s = ctx;
    for (; s->served < s->lines; s->served++) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        serve(s, fd, &s->script[s->served]);
    }
    return NULL;
}

static void server_start(struct server *s, const struct line *script, size_t lines) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *s = (struct server){.script = script, .lines = lines};
    for (size_t i = 0; i < SERVED_MOST; i++)
        buf_init(&s->seen[i], 4 << 20);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(s->listener, 64), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(s->base, sizeof s->base, "http://127.0.0.1:%d", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, serve_all, s), 0);
}

static void server_end(struct server *s) {
    shutdown(s->listener, SHUT_RDWR);  // wakes accept
    pthread_join(s->thread, NULL);
    close(s->listener);
}

static void server_free(struct server *s) {
    for (size_t i = 0; i < SERVED_MOST; i++)
        buf_free(&s->seen[i]);
}

// ---- the client

struct got {
    int calls;
    long status;
    char error[128], retry_after[64];
    size_t body_n, header_count, interim;  // interim: how often X-Interim came
    char body[ANSWER_MOST + 1];
};

static struct arena arena;
static struct http_client *client;

static int setup(void **state) {
    (void)state;
    struct err e;
    arena_init(&arena, (size_t)16 << 20);
    // A proxy that the environment names must not matter: nobody listens there.
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    return http_client_new(&client, &e) == RC_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    http_client_free(client);
    client = NULL;
    arena_free(&arena);
    return 0;
}

static void copy(char *out, size_t size, struct sv text) {
    snprintf(out, size, SV_FMT, SV_ARG(text));
}

static void done(void *ctx, const struct answer *answer) {
    struct got *got = ctx;
    got->calls++;
    got->status = answer->status;
    copy(got->error, sizeof got->error, answer->transport_error);
    copy(got->retry_after, sizeof got->retry_after, headers_get(answer->headers, "retry-after"));
    got->header_count = answer->headers.n;
    got->interim = headers_count(answer->headers, "X-Interim");
    assert_in_range(answer->body.n, 0, ANSWER_MOST);
    got->body_n = answer->body.n;
    if (answer->body.n > 0)
        memcpy(got->body, answer->body.p, answer->body.n);
}

static struct got *post(struct sv url, int64_t timeout_ms) {
    struct got *got = ARENA_NEW(&arena, struct got);
    struct err e = {0};
    struct request request = {.url = url, .headers = {SV("Authorization: Bearer canary-token")}, .header_count = 1, .body = SV("{\"a\":1}")};
    if (http_client_post(client, &request, timeout_ms, done, got, &e))
        fail_msg("%s", e.text);
    return got;
}

static void run_until_closed(size_t open) {
    int64_t end = clock_mono_ms() + PATIENCE_MS;
    while (http_client_open_calls(client) > open && clock_mono_ms() < end)
        http_client_run(client, PATIENCE_MS);
    assert_int_equal(http_client_open_calls(client), open);
}

static struct sv url_of(const struct server *s, const char *path) {
    return arena_fmt(&arena, "%s%s", s->base, path);
}

// ---- answers

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

static void answers(void **state) {
    (void)state;
    static const struct {
        struct line line;
        long status;        // 0: the answer is none, and an error says why
        const char *body, *retry_after;
        size_t body_n;      // instead of body
        int64_t timeout_ms; // 0: enough
    } rows[] = {
        {{ANSWER, OK_HEAD "Content-Length: 2\r\n\r\n{}", 0}, 200, "{}", "", 0, 0},
        {{ANSWER, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 0}, 202, "", "", 0, 0},
        {{ANSWER, "HTTP/1.1 204 No Content\r\n\r\n", 0}, 204, "", "", 0, 0},
        {{ANSWER, "HTTP/1.1 429 Slow Down\r\nRETRY-AFTER:  7 \r\nContent-Length: 1\r\n\r\nx", 0}, 429, "x", "7", 0, 0},
        {{ANSWER, "HTTP/1.1 503 Away\r\nRetry-After: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n", 0}, 503, "", "Sat, 21 Nov 2026 10:00:00 GMT", 0, 0},
        {{ANSWER, "HTTP/1.1 500\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 0}, 500, "abc", "", 0, 0},
        {{ANSWER, "HTTP/1.0 400 Bad\r\n\r\nuntil the end", 0}, 400, "until the end", "", 0, 0},
        // redirects are answers, whatever they point at: nobody answers a second request here
        {{ANSWER, "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", 0}, 302, "", "", 0, 2000},
        {{ANSWER, "HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 0}, 307, "", "", 0, 2000},
        // what an interim answer says is forgotten
        {{ANSWER, "HTTP/1.1 100 Continue\r\nX-Interim: 1\r\nRetry-After: 9\r\n\r\n" OK_HEAD "Content-Length: 1\r\n\r\ny", 0}, 200, "y", "", 0, 0},
        // long ones are cut at 64 KiB, not a byte earlier, and the rest is not waited for
        {{ANSWER, OK_HEAD "Content-Length: 65536\r\n\r\n", 65536}, 200, NULL, "", 65536, 0},
        {{ANSWER, OK_HEAD "Content-Length: 65537\r\n\r\n", 65537}, 200, NULL, "", 65536, 0},
        {{ANSWER, OK_HEAD "\r\n", 8 << 20}, 200, NULL, "", 65536, 0},
        {{ANSWER, OK_HEAD "Content-Length: 99999999999\r\n\r\n", 1 << 20}, 200, NULL, "", 65536, 0},
        // what breaks off by itself is none
        {{ANSWER, OK_HEAD "Content-Length: 100\r\n\r\nshort", 0}, 0, "", "", 0, 0},
        {{ANSWER, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", 0}, 0, "", "", 0, 0},
        {{ANSWER_AND_RESET, OK_HEAD "Content-Length: 100\r\n\r\nshort", 0}, 0, "", "", 0, 0},
        {{ANSWER, OK_HEAD "Retry-After: 3\r\nX-Hal", 0}, 0, "", "", 0, 0},
        {{ANSWER, "", 0}, 0, "", "", 0, 0},
        {{ANSWER, "SSH-2.0-OpenSSH_9.2\r\n", 0}, 0, "", "", 0, 0},
        {{ANSWER, "HTTP/9.9 999 ?\r\n\r\n", 0}, 0, "", "", 0, 0},
        {{RESET_UNREAD, NULL, 0}, 0, "", "", 0, 0},
        {{RESET_READ, NULL, 0}, 0, "", "", 0, 0},
        {{SAY_NOTHING, NULL, 0}, 0, "", "", 0, 100},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct server s;
        server_start(&s, &rows[i].line, 1);
        struct got *got = post(url_of(&s, "/v1/canary-path"), rows[i].timeout_ms ? rows[i].timeout_ms : PATIENCE_MS / 2);
        assert_int_equal(http_client_open_calls(client), 1);
        run_until_closed(0);
        size_t body_n = rows[i].body ? strlen(rows[i].body) : rows[i].body_n;
        if (got->calls != 1 || got->status != rows[i].status || got->body_n != body_n || (rows[i].status == 0) != (got->error[0] != '\0'))
            fail_msg("row %zu: %d calls, status %ld, %zu bytes, error \"%s\"", i, got->calls, got->status, got->body_n, got->error);
        if (rows[i].body)
            assert_memory_equal(got->body, rows[i].body, body_n);
        assert_string_equal(got->retry_after, rows[i].retry_after);
        assert_int_equal(got->interim, 0);
        assert_null(strstr(got->error, "127.0.0.1"));
        assert_null(strstr(got->error, "canary"));
        server_end(&s);
        server_free(&s);
    }
}

static void too_many_headers(void **state) {
    (void)state;
    struct buf head;
    struct server s;
    buf_init(&head, 1 << 20);
    buf_puts(&head, OK_HEAD "Content-Length: 0\r\n");
    for (int i = 0; i < 100; i++)
        buf_fmt(&head, "X-Header-%d: %0100d\r\n", i, i);
    buf_puts(&head, "Retry-After: 1\r\n\r\n");
    server_start(&s, &(struct line){ANSWER, buf_cstr(&head), 0}, 1);
    struct got *got = post(url_of(&s, "/"), PATIENCE_MS / 2);
    run_until_closed(0);
    assert_int_equal(got->status, 200);
    assert_int_equal(got->header_count, 64);
    server_end(&s);
    server_free(&s);
    buf_free(&head);
}

// They may come without end, so what all of them say is counted together.
static void too_much_in_interim_answers(void **state) {
    (void)state;
    struct buf head;
    struct server s;
    buf_init(&head, 1 << 20);
    for (int i = 0; i < 9; i++)
        buf_fmt(&head, "HTTP/1.1 103 Early Hints\r\nX-Interim: %04000d\r\n\r\n", i);
    buf_puts(&head, OK_HEAD "Content-Length: 0\r\nRetry-After: 1\r\n\r\n");
    server_start(&s, &(struct line){ANSWER, buf_cstr(&head), 0}, 1);
    struct got *got = post(url_of(&s, "/"), PATIENCE_MS / 2);
    run_until_closed(0);
    assert_int_equal(got->status, 200);
    assert_int_equal(got->header_count, 0);
    server_end(&s);
    server_free(&s);
    buf_free(&head);
}

// ---- requests

static void request_is_sent_as_given(void **state) {
    (void)state;
    struct server s;
    struct got *got = ARENA_NEW(&arena, struct got);
    static const char bytes[] = "{\"a\":\"\0\xff\"}";
    char url[128], header[] = "X-Test: one; two";
    server_start(&s, &(struct line){ANSWER, OK_HEAD "Content-Length: 0\r\n\r\n", 0}, 1);
    snprintf(url, sizeof url, "%s/v25.0/1/events?a=b", s.base);
    struct request request = {.url = sv_of(url), .headers = {SV("Content-Type: application/json"), sv_of(header)}, .header_count = 2,
                              .body = {bytes, sizeof bytes - 1}};
    assert_int_equal(http_client_post(client, &request, PATIENCE_MS / 2, done, got, NULL), RC_OK);
    memset(url, '?', sizeof url - 1);  // they were copied
    memset(header, '?', sizeof header - 1);
    run_until_closed(0);
    assert_int_equal(got->status, 200);
    server_end(&s);
    struct sv seen = buf_sv(&s.seen[0]);
    assert_true(sv_starts(seen, SV("POST /v25.0/1/events?a=b HTTP/1.1\r\n")));
    assert_true(sv_ends(seen, (struct sv){bytes, sizeof bytes - 1}));
    static const char *const has[] = {"\r\nHost: 127.0.0.1:", "\r\nContent-Type: application/json\r\n", "\r\nX-Test: one; two\r\n",
                                      "\r\nContent-Length: 10\r\n", "\r\nUser-Agent: fireorder/"};
    static const char *const has_not[] = {"\r\nExpect:", "\r\nCookie:", "urlencoded", "Proxy", "\r\nReferer:"};
    for (size_t i = 0; i < COUNTOF(has); i++)
        assert_true(sv_contains_nocase(seen, sv_of(has[i])));
    for (size_t i = 0; i < COUNTOF(has_not); i++)
        assert_false(sv_contains_nocase(seen, sv_of(has_not[i])));
    server_free(&s);
}

// GET sends no body; the handle it used takes a POST again.
static void get_asks(void **state) {
    (void)state;
    struct server s;
    const struct line line = {ANSWER, OK_HEAD "Content-Length: 2\r\n\r\nhi", 0};
    server_start(&s, (const struct line[]){line, line}, 2);
    struct request request = {.url = url_of(&s, "/report?since=7d"), .headers = {SV("Authorization: Bearer t")}, .header_count = 1};
    struct got *got = ARENA_NEW(&arena, struct got);
    assert_int_equal(http_client_get(client, &request, PATIENCE_MS / 2, done, got, NULL), RC_OK);
    run_until_closed(0);
    assert_int_equal(got->status, 200);
    got = post(url_of(&s, "/"), PATIENCE_MS / 2);
    run_until_closed(0);
    assert_int_equal(got->status, 200);
    server_end(&s);
    struct sv seen = buf_sv(&s.seen[0]);
    assert_true(sv_starts(seen, SV("GET /report?since=7d HTTP/1.1\r\n")));
    assert_true(sv_contains_nocase(seen, SV("\r\nAuthorization: Bearer t\r\n")));
    assert_false(sv_contains_nocase(seen, SV("Content-Length")) || sv_contains_nocase(seen, SV("Content-Type")));
    assert_true(sv_starts(buf_sv(&s.seen[1]), SV("POST / HTTP/1.1\r\n")));
    server_free(&s);
}

// Without being asked to wait for leave (Expect), which costs a second where the server does not know it.
static void large_request(void **state) {
    (void)state;
    struct server s;
    struct got *got = ARENA_NEW(&arena, struct got);
    size_t n = (size_t)2 << 20;
    server_start(&s, &(struct line){ANSWER, OK_HEAD "Content-Length: 0\r\n\r\n", 0}, 1);
    struct request request = {.url = url_of(&s, "/"), .body = {arena_alloc(&arena, n), n}};
    assert_int_equal(http_client_post(client, &request, PATIENCE_MS / 2, done, got, NULL), RC_OK);
    run_until_closed(0);
    assert_int_equal(got->status, 200);
    server_end(&s);
    struct sv seen = buf_sv(&s.seen[0]), head = sv_sub(seen, 0, seen.n - n);
    assert_true(seen.n > n && sv_ends(head, SV("\r\n\r\n")));
    assert_false(sv_contains_nocase(head, SV("Expect")));
    server_free(&s);
}

static void unclean_requests_are_refused(void **state) {
    (void)state;
    static const struct { const char *url, *header; } rows[] = {
        {"http://127.0.0.1:1/a\r\nX: y", "A: b"}, {"http://127.0.0.1:1/\n", "A: b"}, {"", "A: b"}, {NULL, "A: b"},
        {"http://127.0.0.1:1/", "A: b\r\nC: d"}, {"http://127.0.0.1:1/", "A: b\n"}, {"http://127.0.0.1:1/", "A: \x7f"}, {"http://127.0.0.1:1/", ""},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct got got = {0};
        struct err e = {0};
        struct request request = {.url = sv_of(rows[i].url), .headers = {sv_of(rows[i].header)}, .header_count = 1, .body = SV("{}")};
        assert_int_equal(http_client_post(client, &request, 1000, done, &got, &e), RC_INVALID);
        assert_int_equal(http_client_open_calls(client), 0);
        http_client_run(client, 0);
        assert_int_equal(got.calls, 0);
    }
}

static void addresses_that_lead_nowhere(void **state) {
    (void)state;
    static const struct { const char *url; bool other_protocol; } rows[] = {
        {"http://127.0.0.1:1/", false}, {"http://", false}, {"file:///etc/hostname", true}, {"ftp://127.0.0.1:1/x", true},
        {"gopher://127.0.0.1:1/", true}, {"telnet://127.0.0.1:1", true}, {"nonsense:///", false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct got *got = post(sv_of(rows[i].url), 2000);
        run_until_closed(0);
        assert_int_equal(got->calls, 1);
        assert_int_equal(got->status, 0);
        assert_true(got->error[0] != '\0');
        if (sv_contains_nocase(sv_of(got->error), SV("protocol")) != rows[i].other_protocol)
            fail_msg("%s: %s", rows[i].url, got->error);
    }
}

// ---- many calls, one client

static void many_at_once(void **state) {
    (void)state;
    static const struct line script[] = {[0 ... 9] = {ANSWER, OK_HEAD "Connection: close\r\nContent-Length: 3\r\n\r\nyes", 0}};
    struct server s;
    struct got *got[COUNTOF(script)];
    server_start(&s, script, COUNTOF(script));
    for (size_t i = 0; i < COUNTOF(script); i++)
        got[i] = post(url_of(&s, "/"), PATIENCE_MS);
    assert_int_equal(http_client_open_calls(client), COUNTOF(script));
    run_until_closed(0);
    for (size_t i = 0; i < COUNTOF(script); i++)
        assert_true(got[i]->calls == 1 && got[i]->status == 200 && got[i]->body_n == 3);
    server_end(&s);
    assert_int_equal(s.served, COUNTOF(script));
    server_free(&s);
}

// A connection that the server closed while it was idle is replaced: nobody notices.
static void idle_connection_dies(void **state) {
    (void)state;
    static const struct line script[] = {{ANSWER, OK_HEAD "Content-Length: 1\r\n\r\n1", 0}, {ANSWER, OK_HEAD "Content-Length: 1\r\n\r\n2", 0}};
    struct server s;
    server_start(&s, script, COUNTOF(script));
    for (size_t i = 0; i < COUNTOF(script); i++) {
        struct got *got = post(url_of(&s, "/"), PATIENCE_MS / 2);
        run_until_closed(0);
        assert_int_equal(got->status, 200);
        assert_int_equal(got->body[0], '1' + (int)i);
    }
    server_end(&s);
    server_free(&s);
}

static void slow_one_delays_only_itself(void **state) {
    (void)state;
    struct server slow, quick;
    server_start(&slow, &(struct line){SAY_NOTHING, NULL, 0}, 1);
    server_start(&quick, &(struct line){ANSWER, OK_HEAD "Content-Length: 0\r\n\r\n", 0}, 1);
    struct got *waiting = post(url_of(&slow, "/"), PATIENCE_MS * 10), *got = post(url_of(&quick, "/"), PATIENCE_MS / 2);
    run_until_closed(1);
    assert_int_equal(got->status, 200);
    assert_int_equal(waiting->calls, 0);
    http_client_free(client);  // open calls are dropped without a word
    client = NULL;
    assert_int_equal(waiting->calls, 0);
    server_end(&slow);
    server_end(&quick);
    server_free(&slow);
    server_free(&quick);
}

// ---- run and wake

static void *wake(void *ctx) {
    http_client_wake(ctx);
    return NULL;
}

static void run_returns_in_time(void **state) {
    (void)state;
    pthread_t thread;
    int64_t before = clock_mono_ms();
    http_client_run(client, 0);
    http_client_run(client, -5);
    http_client_wake(client);  // before: not lost
    http_client_wake(client);  // twice: once
    http_client_run(client, PATIENCE_MS);
    assert_int_equal(pthread_create(&thread, NULL, wake, client), 0);
    http_client_run(client, PATIENCE_MS);
    pthread_join(thread, NULL);
    assert_in_range(clock_mono_ms() - before, 0, PATIENCE_MS / 2);
    before = clock_mono_ms();
    http_client_run(client, 30);  // and is not woken again by what was taken
    assert_in_range(clock_mono_ms() - before, 29, PATIENCE_MS / 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(answers), TEST(too_many_headers), TEST(too_much_in_interim_answers), TEST(request_is_sent_as_given), TEST(large_request),
        TEST(answers), TEST(too_many_headers), TEST(too_much_in_interim_answers), TEST(request_is_sent_as_given), TEST(get_asks), TEST(large_request),
        TEST(unclean_requests_are_refused), TEST(addresses_that_lead_nowhere), TEST(many_at_once), TEST(idle_connection_dies),
        TEST(slow_one_delays_only_itself), TEST(run_returns_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
