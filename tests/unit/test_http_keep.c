#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http_world.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>

#define POST_ABC "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"

static void setup_keeping(struct seen *seen, int64_t deadline_ms) {
    setup(seen, deadline_ms);
    seen->keep = true;
}

static void send_text(int fd, const char *text) {
    send_all(fd, text, strlen(text));
}

static size_t length_in(const char *head) {
    const char *length = strstr(head, "Content-Length: ");
    return length ? strtoul(length + 16, NULL, 10) : 0;
}

// One answer and not a byte more; nothing when the connection was closed instead. Returns its status.
static int read_answer(int fd, bool has_body, struct buf *answer) {
    char byte;
    size_t left = 1;
    buf_init(answer, 1 << 16);
    for (bool head = true; left > 0 && recv(fd, &byte, 1, 0) == 1;) {
        buf_put(answer, (struct sv){&byte, 1});
        if (head && sv_ends(buf_sv(answer), SV("\r\n\r\n"))) {
            head = false;
            left = has_body ? length_in(buf_cstr(answer)) : 0;
        } else if (!head) {
            left--;
        }
    }
    return answer->n > 0 ? status_in(answer) : 0;
}

static bool is_kept(struct buf *answer) {
    return !strstr(buf_cstr(answer), "Connection: ");
}

static int answered(int fd, const char *request, bool *ret_kept) {
    struct buf answer;
    send_text(fd, request);
    int status = read_answer(fd, true, &answer);
    *ret_kept = is_kept(&answer);
    buf_free(&answer);
    return status;
}

static void what_follows_an_answer_keeps_nobody_waiting(void **state) {
    (void)state;
    struct seen seen;
    bool kept;
    setup_keeping(&seen, 0);
    pthread_mutex_lock(&seen.gate);
    int fd = connected(&seen);
    assert_int_equal(answered(fd, "POST /afterwards HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", &kept), 200);
    pthread_mutex_unlock(&seen.gate);
    assert_int_equal(answered(fd, POST_ABC, &kept), 200);
    assert_true(seen.at_gate);
    close(fd);
    stop(&seen);
}

static void assert_closed(int fd) {
    char byte;
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static int kept_connection(const struct seen *seen) {
    bool kept;
    int fd = connected(seen);
    assert_int_equal(answered(fd, POST_ABC, &kept), 200);
    assert_true(kept);
    return fd;
}

static void many_requests_come_over_one_connection(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    char request[128];
    setup_keeping(&seen, 0);
    int fd = connected(&seen);
    for (int i = 1; i <= 40; i++) {
        int64_t sent_us = clock_mono_us();
        snprintf(request, sizeof request, "POST /a%d?q=%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%0*d", i, i, i, i, i);
        send_text(fd, request);
        assert_int_equal(read_answer(fd, true, &answer), 200);
        assert_string_equal(buf_cstr(&answer), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\nX-Test: yes\r\n\r\n{\"ok\":true}");
        assert_int_equal(strtol(seen.path + 2, NULL, 10), i);
        assert_int_equal(strtol(seen.query + 2, NULL, 10), i);
        assert_int_equal(strtol(seen.body, NULL, 10), i);
        assert_int_equal(seen.body_n, i);
        assert_in_range(seen.started_us, sent_us, clock_mono_us());  // its own, not the connection's
        buf_free(&answer);
    }
    assert_int_equal(seen.handled, 40);
    close(fd);
    stop(&seen);
}

static const struct {
    const char *request;
    bool kept;
} wishes[] = {
    {"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", true},
    {"POST /a HTTP/1.1\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", true},
    {"POST /a HTTP/1.1\r\nconnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nabc", true},
    {"POST /stranger HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", false},
    {"POST /stranger HTTP/1.1\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", false},
    {"POST /a HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", false},
    {"POST /a HTTP/1.1\r\nConnection: keep-alive, close\r\nContent-Length: 3\r\n\r\nabc", false},
    {"POST /a HTTP/1.1\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", false},
    {"POST /a HTTP/1.1\r\nConnection: k\r\nContent-Length: 3\r\n\r\nabc", false},
    {"POST /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc", false},
    {"POST /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", false},
    {"POST /a HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", false},
};

// Each as the first and as the second on a connection; what is behind one that is not kept is not read.
static void who_stays_and_who_does_not(void **state) {
    (void)state;
    struct seen seen;
    bool kept;
    setup_keeping(&seen, 0);
    for (size_t i = 0; i < COUNTOF(wishes); i++)
        for (int second = 0; second < 2; second++) {
            int fd = second ? kept_connection(&seen) : connected(&seen);
            int handled = seen.handled;
            if (answered(fd, wishes[i].request, &kept) != 200 || kept != wishes[i].kept)
                fail_msg("%s: %s", wishes[i].request, kept ? "kept" : "not kept");
            if (kept) {
                assert_int_equal(answered(fd, POST_ABC, &kept), 200);
                close(fd);
            } else {
                assert_closed(fd);
            }
            assert_int_equal(seen.handled, handled + 1 + wishes[i].kept);
        }
    stop(&seen);
}

// Two, and a half and the other half: a request begins where the one before ended, however the bytes came.
static void requests_are_cut_where_they_end(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    int one = 1;
    setup_keeping(&seen, 0);
    int fd = connected(&seen);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    send_text(fd, POST_ABC "POST /b HTTP/1.1\r\nContent-Length: 4\r\n\r\nde");
    assert_int_equal(read_answer(fd, true, &answer), 200);
    buf_free(&answer);
    send_text(fd, "fg\r\nPOST /c");  // an empty line between two is allowed
    assert_int_equal(read_answer(fd, true, &answer), 200);
    assert_string_equal(seen.path, "/b");
    assert_string_equal(seen.body, "defg");
    buf_free(&answer);
    for (const char *c = " HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"; *c; c++)
        send_all(fd, c, 1);
    assert_int_equal(read_answer(fd, true, &answer), 200);
    assert_string_equal(seen.path, "/c");
    assert_string_equal(seen.body, "hi");
    buf_free(&answer);
    send_text(fd, "garbage\r\n\r\n");
    assert_int_equal(read_answer(fd, true, &answer), 400);
    assert_false(is_kept(&answer));
    buf_free(&answer);
    assert_closed(fd);
    assert_int_equal(seen.handled, 3);
    stop(&seen);
}

static void answers_without_a_body_and_interim_ones(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char got[sizeof interim] = "";
    setup_keeping(&seen, 0);
    int fd = kept_connection(&seen);
    send_text(fd, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(read_answer(fd, false, &answer), 200);
    buf_free(&answer);
    seen.answer_status = 204;
    send_text(fd, POST_ABC);
    assert_int_equal(read_answer(fd, true, &answer), 204);
    assert_true(is_kept(&answer));
    buf_free(&answer);
    seen.answer_status = 200;
    send_text(fd, "POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_int_equal(recv(fd, got, sizeof interim - 1, MSG_WAITALL), sizeof interim - 1);
    assert_string_equal(got, interim);
    send_text(fd, "abc" POST_ABC);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(read_answer(fd, true, &answer), 200);
        buf_free(&answer);
    }
    send_text(fd, "POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    assert_int_equal(read_answer(fd, true, &answer), 413);  // and what was announced is not waited for
    buf_free(&answer);
    assert_closed(fd);
    stop(&seen);
}

// A head and a body have 200 ms here, an idle connection more; the next body has 200 ms again.
static void an_idle_connection_outlives_the_deadline_of_a_request(void **state) {
    (void)state;
    struct seen seen;
    struct buf answer;
    bool kept;
    setup_keeping(&seen, 200);
    int fd = kept_connection(&seen);
    struct pollfd closed = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&closed, 1, 900), 0);
    assert_int_equal(answered(fd, POST_ABC, &kept), 200);
    assert_true(kept);
    send_text(fd, "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\na");
    assert_int_equal(read_answer(fd, true, &answer), 408);
    buf_free(&answer);
    assert_closed(fd);
    stop(&seen);
}

// Three of four workers taken are a crowd.
static void a_crowd_keeps_no_connection(void **state) {
    (void)state;
    struct seen seen;
    bool kept;
    setup_keeping(&seen, 0);
    int first = kept_connection(&seen), second = kept_connection(&seen), third = connected(&seen);
    assert_int_equal(answered(third, POST_ABC, &kept), 200);
    assert_false(kept);
    assert_closed(third);
    close(first);
    int64_t until_ms = clock_mono_ms() + 10000;
    for (kept = false; !kept && clock_mono_ms() < until_ms; close(third)) {  // the worker of the first needs a moment to see that it is gone
        third = connected(&seen);
        assert_int_equal(answered(third, POST_ABC, &kept), 200);
    }
    assert_true(kept);
    close(second);
    stop(&seen);
}

static void idle_connections_make_room_in_a_crowd(void **state) {
    (void)state;
    struct seen seen;
    bool kept;
    setup_keeping(&seen, 20000);
    int idle[2] = {kept_connection(&seen), kept_connection(&seen)}, slow[2] = {connected(&seen), connected(&seen)};
    for (size_t i = 0; i < COUNTOF(slow); i++)
        send_text(slow[i], "P");
    int64_t started = clock_mono_ms();
    int fd = connected(&seen);
    assert_int_equal(answered(fd, POST_ABC, &kept), 200);
    assert_in_range(clock_mono_ms() - started, 0, 10000);
    for (size_t i = 0; i < COUNTOF(idle); i++) {
        assert_closed(idle[i]);
        close(slow[i]);
    }
    close(fd);
    stop(&seen);
}

static void *drain(void *server) {
    http_server_drain(server);
    return NULL;
}

static void a_kept_connection_hears_that_the_server_stops(void **state) {
    (void)state;
    struct seen seen;
    pthread_t drainer;
    bool kept = true;
    setup_keeping(&seen, 0);
    int idle = kept_connection(&seen), gate = connected(&seen);
    pthread_mutex_lock(&seen.gate);
    send_text(gate, "POST /gate HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    while (!__atomic_load_n(&seen.at_gate, __ATOMIC_SEQ_CST))
        sched_yield();
    assert_int_equal(pthread_create(&drainer, NULL, drain, seen.server), 0);
    int status = 200;
    while (status != 503)  // the drainer has begun
        if ((status = answered(idle, POST_ABC, &kept)) == 200 && !kept) {
            assert_closed(idle);
            idle = connected(&seen);
        }
    assert_false(kept);
    assert_closed(idle);
    pthread_mutex_unlock(&seen.gate);
    pthread_join(drainer, NULL);
    struct buf answer;
    assert_int_equal(read_answer(gate, true, &answer), 200);
    assert_false(is_kept(&answer));  // it was in work when the end began
    buf_free(&answer);
    assert_closed(gate);
    stop(&seen);
}

// civetweb alone looks every 2 s.
static void idle_connections_do_not_hold_up_the_end(void **state) {
    (void)state;
    struct seen seen;
    setup_keeping(&seen, 0);
    int idle[2] = {kept_connection(&seen), kept_connection(&seen)};
    int64_t started = clock_mono_ms();
    stop(&seen);
    assert_in_range(clock_mono_ms() - started, 0, 1500);
    assert_closed(idle[0]);
    assert_closed(idle[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_an_answer_keeps_nobody_waiting),
        cmocka_unit_test(many_requests_come_over_one_connection),
        cmocka_unit_test(who_stays_and_who_does_not),
        cmocka_unit_test(requests_are_cut_where_they_end),
        cmocka_unit_test(answers_without_a_body_and_interim_ones),
        cmocka_unit_test(an_idle_connection_outlives_the_deadline_of_a_request),
        cmocka_unit_test(a_crowd_keeps_no_connection),
        cmocka_unit_test(idle_connections_make_room_in_a_crowd),
        cmocka_unit_test(a_kept_connection_hears_that_the_server_stops),
        cmocka_unit_test(idle_connections_do_not_hold_up_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
