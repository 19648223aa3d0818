#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http_world.h"

#include <poll.h>

static void a_request_arrives_whole(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    setup(&seen, 0);
    assert_int_equal(exchange(&seen, "POST /a/b?x=%41&y HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", &answer), 200);
    assert_string_equal(seen.path, "/a/b");
    assert_string_equal(seen.query, "x=%41&y");
    assert_string_equal(seen.body, "hello");
    assert_string_equal(buf_cstr(&answer), "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 11\r\n"
                                           "X-Test: yes\r\n\r\n{\"ok\":true}");
    buf_free(&answer);
    assert_int_equal(exchange(&seen, "POST /a HTTP/1.1\r\nHost: \r\nX:\r\nY: \r\nContent-Length:  3 \r\nZ:y\r\n\r\nabc", &answer), 200);
    buf_free(&answer);
    assert_int_equal(exchange(&seen, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", &answer), 200);
    assert_non_null(strstr(buf_cstr(&answer), "Content-Length: 11\r\n"));
    assert_null(strstr(buf_cstr(&answer), "ok"));
    buf_free(&answer);
    seen.answer_status = 204;
    assert_int_equal(exchange(&seen, "POST /a HTTP/1.0\r\nContent-Length: 0\r\n\r\n", &answer), 204);
    assert_int_equal(seen.body_n, 0);
    assert_null(strstr(buf_cstr(&answer), "Content-Length"));
    buf_free(&answer);
    assert_int_equal(seen.refused, 0);
    stop(&seen);
}

static const struct {
    const char *name, *request;
    int status;
} refusals[] = {
    {"two lengths", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"two lengths, other case", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\ncontent-length: 30\r\n\r\nabc", 400},
    {"signed length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", 400},
    {"negative length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\nabc", 400},
    {"hex length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0x10\r\n\r\nabc", 400},
    {"length with more", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3xyz\r\n\r\nabc", 400},
    {"length list", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc", 400},
    {"length of ten digits", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0000000003\r\n\r\nabc", 400},
    {"empty length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nabc", 400},
    {"no length", "POST /a HTTP/1.1\r\nHost: h\r\n\r\n", 411},
    {"chunked", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400},
    {"chunked and length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"chunked with a space", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"length with a space", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc", 400},
    {"empty header with a space", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX :\r\n\r\nabc", 400},
    {"length with a tab", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length\t: 3\r\n\r\nabc", 400},
    {"LF behind the request line", "POST /a HTTP/1.1\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"LF behind a header", "POST /a HTTP/1.1\r\nHost: h\nContent-Length: 3\r\n\r\nabc", 400},
    {"LF alone", "POST /a HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc", 400},
    {"LF before the empty line", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\nabc", 400},
    {"LF behind the last header", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\n\nabc", 400},
    {"folded", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX: y\r\n z\r\n\r\nabc", 400},
    {"chunked behind a fold", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX: y\r\n z\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400},
    {"folded at the start", "POST /a HTTP/1.1\r\n X: y\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"length behind a line without a name", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n: x\r\nContent-Length: 30\r\n\r\nabc", 400},
    {"length behind high bytes", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\xff: x\r\nContent-Length: 30\r\n\r\nabc", 400},
    {"CR in a value", "POST /a HTTP/1.1\r\nHost: h\rX: y\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"identity", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"two hosts", "POST /a HTTP/1.1\r\nHost: h\r\nHost: i\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"not HTTP", "hello\r\n\r\n", 400},
    {"HTTP/2.0", "POST /a HTTP/2.0\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"header without colon", "POST /a HTTP/1.1\r\nHost: h\r\nnonsense\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"early", "POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 404},
    {"preflight", "OPTIONS /early HTTP/1.1\r\nHost: h\r\nOrigin: http://evil\r\nAccess-Control-Request-Method: POST\r\n\r\n", 404},
    {"websocket", "GET /early HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n", 404},
};

// One after the other, each on a connection of its own behind `before`, which is answered so many times.
static void refuse_all(const char *before, int answers) {
    struct seen seen;
    struct buf answer, request;
    setup(&seen, 0);
    seen.keep = true;
    for (size_t i = 0; i < COUNTOF(refusals); i++) {
        buf_init(&request, 1 << 16);
        buf_fmt(&request, "%s%s", before, refusals[i].request);
        exchange(&seen, buf_cstr(&request), &answer);
        int status = last_status_in(&answer, answers + 1);
        if (status != refusals[i].status)
            fail_msg("%s: answered %d, not %d", refusals[i].name, status, refusals[i].status);
        if (!strstr(buf_cstr(&answer), "{\"error\":\"") || strstr(buf_cstr(&answer), "Access-Control"))
            fail_msg("%s: answered\n%s", refusals[i].name, buf_cstr(&answer));
        buf_free(&request);
        buf_free(&answer);
        int handled = __atomic_load_n(&seen.handled, __ATOMIC_SEQ_CST), refused_so_far = __atomic_load_n(&seen.refused, __ATOMIC_SEQ_CST);
        int refused_status = __atomic_load_n(&seen.refused_status, __ATOMIC_SEQ_CST);
        if (handled != answers * ((int)i + 1) || refused_so_far != (int)i + 1 || refused_status != status)
            fail_msg("%s: handled %d, refused %d, status %d", refusals[i].name, handled, refused_so_far, refused_status);
    }
    stop(&seen);
}

static void what_is_ambiguous_is_refused(void **state) {
    (void)state;
    refuse_all("", 0);
}

static void and_on_a_kept_connection_too(void **state) {
    (void)state;
    refuse_all("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", 1);
}

static int with_headers(const struct seen *seen, int n) {
    struct buf request, answer;
    buf_init(&request, 1 << 16);
    buf_puts(&request, "POST /a HTTP/1.1\r\n");
    for (int i = 0; i < n - 1; i++)
        buf_fmt(&request, "X-%d: v\r\n", i);
    buf_puts(&request, "Content-Length: 3\r\n\r\nabc");
    int status = exchange(seen, buf_cstr(&request), &answer);
    buf_free(&request);
    buf_free(&answer);
    return status;
}

static void sixty_headers_and_no_more(void **state) {
    (void)state;
    struct seen seen;
    setup(&seen, 0);
    assert_int_equal(with_headers(&seen, 60), 200);
    assert_int_equal(with_headers(&seen, 61), 400);
    assert_int_equal(with_headers(&seen, 64), 400);
    assert_int_equal(with_headers(&seen, 65), 400);
    assert_int_equal(with_headers(&seen, 500), 400);
    assert_int_equal(with_headers(&seen, 3000), 400);  // over civetweb's 16 KiB
    assert_int_equal(seen.handled, 1);
    stop(&seen);
}

static void a_large_body_is_refused_unread_and_one_at_the_limit_taken(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    char head[128];
    setup(&seen, 0);
    snprintf(head, sizeof head, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", LIMIT + 1);
    assert_int_equal(exchange(&seen, head, &answer), 413);  // would hang if it waited for the body
    buf_free(&answer);
    assert_int_equal(seen.handled, 0);
    char *body = malloc(LIMIT);
    memset(body, 'x', LIMIT);
    int fd = connected(&seen);
    snprintf(head, sizeof head, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", LIMIT);
    send_all(fd, head, strlen(head));
    send_all(fd, body, LIMIT);
    buf_init(&answer, 1 << 16);
    read_all(fd, &answer);
    assert_int_equal(status_in(&answer), 200);
    assert_int_equal(seen.body_n, LIMIT);
    buf_free(&answer);
    free(body);
    stop(&seen);
}

static void a_body_that_ends_too_soon_is_refused(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    static const char request[] = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc";
    setup(&seen, 0);
    int fd = connected(&seen);
    send_all(fd, request, strlen(request));
    shutdown(fd, SHUT_WR);
    buf_init(&answer, 1 << 16);
    read_all(fd, &answer);
    assert_int_equal(status_in(&answer), 400);
    assert_int_equal(seen.handled, 0);
    buf_free(&answer);
    stop(&seen);
}

// One byte now and then, each well within civetweb's own timeout; more than a piece is announced.
static void a_trickling_body_meets_the_deadline(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    static const char request[] = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
    setup(&seen, 300);
    int64_t started = clock_mono_ms();
    int fd = connected(&seen);
    send_all(fd, request, strlen(request));
    struct pollfd answered = {.fd = fd, .events = POLLIN};
    while (poll(&answered, 1, 20) == 0 && clock_mono_ms() - started < 10000)
        send_all(fd, "x", 1);
    buf_init(&answer, 1 << 16);
    read_all(fd, &answer);
    assert_int_equal(status_in(&answer), 408);
    assert_in_range(clock_mono_ms() - started, 300, 5000);
    assert_int_equal(seen.handled, 0);
    buf_free(&answer);
    stop(&seen);
}

static void a_silent_body_meets_the_deadline(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    setup(&seen, 200);
    assert_int_equal(exchange(&seen, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc", &answer), 408);
    buf_free(&answer);
    stop(&seen);
}

// Each would be waited for 20 s, and there are four workers.
static void a_crowd_keeps_nobody_waiting(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    static const char *const beginnings[] = {"", "P", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"};
    for (size_t i = 0; i < COUNTOF(beginnings); i++) {
        int crowd[16];
        setup(&seen, 20000);
        for (size_t k = 0; k < COUNTOF(crowd); k++) {
            crowd[k] = connected(&seen);
            send_all(crowd[k], beginnings[i], strlen(beginnings[i]));
        }
        int64_t started = clock_mono_ms();
        assert_int_equal(exchange(&seen, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", &answer), 200);
        assert_in_range(clock_mono_ms() - started, 0, 10000);
        assert_int_equal(seen.handled, 1);
        buf_free(&answer);
        for (size_t k = 0; k < COUNTOF(crowd); k++)
            close(crowd[k]);
        http_server_stop(seen.server);
    }
}

// All workers are taken by requests that are read and take their time: nothing is cut.
static void a_crowd_at_work_is_answered(void **state) {
    (void)state;
    struct seen seen;
    struct buf answers[4];
    int crowd[COUNTOF(answers)];
    static const char request[] = "POST /gate HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    setup(&seen, 0);
    pthread_mutex_lock(&seen.gate);
    for (size_t i = 0; i < COUNTOF(crowd); i++) {
        crowd[i] = connected(&seen);
        send_all(crowd[i], request, strlen(request));
    }
    struct pollfd answered = {.fd = crowd[0], .events = POLLIN};
    assert_int_equal(poll(&answered, 1, 1500), 0);  // long enough to be cut
    pthread_mutex_unlock(&seen.gate);
    for (size_t i = 0; i < COUNTOF(crowd); i++) {
        buf_init(&answers[i], 1 << 16);
        read_all(crowd[i], &answers[i]);
        assert_int_equal(status_in(&answers[i]), 200);
        buf_free(&answers[i]);
    }
    http_server_stop(seen.server);
}

static void a_second_request_on_the_connection_is_not_read(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    setup(&seen, 0);
    assert_int_equal(exchange(&seen, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                                     "POST /smuggled HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", &answer), 200);
    assert_int_equal(seen.handled, 1);
    assert_string_equal(seen.path, "/a");
    assert_null(strstr(buf_cstr(&answer) + 1, "HTTP/1.1"));
    buf_free(&answer);
    stop(&seen);
}

static void who_waits_for_100_gets_it(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    static const char request[] = "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char got[sizeof interim] = "";
    setup(&seen, 0);
    int fd = connected(&seen);
    send_all(fd, request, strlen(request));
    assert_int_equal(recv(fd, got, sizeof interim - 1, MSG_WAITALL), sizeof interim - 1);
    assert_string_equal(got, interim);
    send_all(fd, "abc", 3);
    buf_init(&answer, 1 << 16);
    read_all(fd, &answer);
    assert_int_equal(status_in(&answer), 200);
    assert_string_equal(seen.body, "abc");
    buf_free(&answer);
    stop(&seen);
}

static void *drain(void *server) {
    http_server_drain(server);
    return NULL;
}

static void draining_waits_for_what_is_in_work_and_refuses_the_rest(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    pthread_t drainer;
    static const char request[] = "POST /gate HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    setup(&seen, 0);
    pthread_mutex_lock(&seen.gate);
    int fd = connected(&seen);
    send_all(fd, request, strlen(request));
    while (!__atomic_load_n(&seen.at_gate, __ATOMIC_SEQ_CST))
        sched_yield();
    assert_int_equal(pthread_create(&drainer, NULL, drain, seen.server), 0);
    int status = 200;
    while (status != 503) {  // the drainer has begun
        status = exchange(&seen, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n", &answer);
        if (status == 503)
            assert_non_null(strstr(buf_cstr(&answer), "Retry-After: "));
        buf_free(&answer);
    }
    pthread_mutex_unlock(&seen.gate);
    pthread_join(drainer, NULL);
    assert_string_equal(seen.path, "/gate");
    buf_init(&answer, 1 << 16);
    read_all(fd, &answer);
    assert_int_equal(status_in(&answer), 200);
    buf_free(&answer);
    stop(&seen);
}

static void an_address_that_cannot_be_had_is_named(void **state) {
    (void)state;
    struct seen seen;
    setup(&seen, 0);
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%d", http_server_port(seen.server));
    const char *const addresses[] = {taken, "203.0.113.1:8080", "127.0.0.1:8080s", "127.0.0.1", ""};
    for (size_t i = 0; i < COUNTOF(addresses); i++) {
        const struct http_server_config config = {.listen = sv_of(addresses[i]), .threads = 1, .handle = handle};
        struct http_server *s;
        struct err e;
        assert_int_not_equal(http_server_start(&config, &s, &e), RC_OK);
        assert_null(s);
        if (!strstr(e.text, "cannot listen on ") || !strstr(e.text, addresses[i]) || sv_ends(sv_of(e.text), SV(": ")))
            fail_msg("%s: %s", addresses[i], e.text);
    }
    stop(&seen);
    http_server_stop(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_arrives_whole),
        cmocka_unit_test(what_is_ambiguous_is_refused),
        cmocka_unit_test(and_on_a_kept_connection_too),
        cmocka_unit_test(sixty_headers_and_no_more),
        cmocka_unit_test(a_large_body_is_refused_unread_and_one_at_the_limit_taken),
        cmocka_unit_test(a_body_that_ends_too_soon_is_refused),
        cmocka_unit_test(a_trickling_body_meets_the_deadline),
        cmocka_unit_test(a_silent_body_meets_the_deadline),
        cmocka_unit_test(a_crowd_keeps_nobody_waiting),
        cmocka_unit_test(a_crowd_at_work_is_answered),
        cmocka_unit_test(a_second_request_on_the_connection_is_not_read),
        cmocka_unit_test(who_waits_for_100_gets_it),
        cmocka_unit_test(draining_waits_for_what_is_in_work_and_refuses_the_rest),
        cmocka_unit_test(an_address_that_cannot_be_had_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
