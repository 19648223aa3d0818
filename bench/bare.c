// bare.c: civetweb with fireorder's settings that reads the body and answers 200: what a request costs before anything is done with it.
// As fireorder does, it keeps the connection unless it is asked to close it.
// usage: bench_bare PORT THREADS
#include <civetweb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int begin_request(struct mg_connection *conn) {
    static const char closing[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"status\":\"accepted\"}";
    static const char staying[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"status\":\"accepted\"}";
    long long left = mg_get_request_info(conn)->content_length;
    char *body = left > 0 && left < 8 << 20 ? malloc((size_t)left) : NULL;
    for (int n; body && left > 0 && (n = mg_read(conn, body, (size_t)left)) > 0;)
        left -= n;
    free(body);
    if (left != 0)
        return 400;
    const char *wish = mg_get_header(conn, "Connection"), *answer = wish && strcmp(wish, "close") == 0 ? closing : staying;
    if (answer == closing)
        mg_disable_connection_keep_alive(conn);
    mg_write(conn, answer, strlen(answer));
    return 200;
}

int main(int argc, char **argv) {
    sigset_t signals;
    int number;
    if (argc < 3) {
        fputs("usage: bench_bare PORT THREADS\n", stderr);
        return 2;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    const char *options[] = {
        "listening_ports", argv[1], "num_threads", argv[2], "request_timeout_ms", "5000", "enable_keep_alive", "yes",
        "keep_alive_timeout_ms", "620000", "tcp_nodelay", "1", "connection_queue", "512", "listen_backlog", "1024", "max_request_size", "16384",
        "decode_url", "no", NULL,
    };
    const struct mg_callbacks callbacks = {.begin_request = begin_request};
    mg_init_library(MG_FEATURES_DEFAULT);
    struct mg_context *context = mg_start(&callbacks, NULL, options);
    if (!context) {
        fprintf(stderr, "bench_bare: cannot listen on %s\n", argv[1]);
        return 1;
    }
    sigwait(&signals, &number);
    mg_stop(context);
    return 0;
}
