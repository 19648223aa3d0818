// http_in.h: HTTP requests in; the only module that sees civetweb. Serves the webhook address, the admin address and the sandbox.
// The handler runs in one of the worker threads, many at a time. Rules that hold before a handler is called, for every request:
// at most 60 headers, one Content-Length of 1 to 9 digits, no Transfer-Encoding, no '%' in the path, HTTP/1.1 or 1.0, body read
// whole within the deadline and the limit; what breaks them is answered 400, 408, 411 or 413 and the connection is closed.
// A connection is closed behind each answer, unless the handler says that the sender proved who it is. A kept one holds a worker while it
// is idle, so in a crowd (see http_deadline.h) none is kept.
#ifndef SERVER_HTTP_IN_H
#define SERVER_HTTP_IN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/headers.h"

struct http_request {
    struct sv method, path, query;
    struct headers headers;
    struct sv body;
    struct sv peer;              // address of the connection
    struct arena *arena;         // of this request
    int64_t started_us;          // monotonic: when it was here as a whole
};

struct http_response {
    int status;                  // default 200
    const char *content_type;    // default "application/json"
    const char *extra_headers;   // complete lines ending in \r\n, or NULL
    struct sv body;              // in the request's arena or constant
    bool keep;                   // the sender proved who it is: the connection may serve the next request; default: it is closed
};

struct http_server_config {
    struct sv listen;            // "host:port", ":port" or "port"; port 0: any free one
    size_t body_limit;           // bytes; over it: 413
    int threads;
    int64_t body_deadline_ms;    // how long the head, and then the body, may take to arrive; 0: 5 s. Later: 408
    // early: decides on method and path before a body is read: 0 = go on, else the status to answer with at once (and close). May be NULL.
    int (*early)(void *ctx, const struct http_request *r);
    void (*handle)(void *ctx, const struct http_request *r, struct http_response *ret);
    // done: told of each request that early let go on, when it was answered, by handle or with a refusal; may be NULL.
    void (*done)(void *ctx, const struct http_request *r);
    // refused: told of what was refused before handle; may be NULL. Returns further headers of the answer, or NULL.
    const char *(*refused)(void *ctx, const struct http_request *r, int status);
    void *ctx;
};

struct http_server;
MUST_CHECK enum rc http_server_start(const struct http_server_config *config, struct http_server **ret, struct err *e);
int http_server_port(const struct http_server *s);
void http_server_drain(struct http_server *s);  // new requests: 503 with Retry-After; returns when none is in work (5 s at most)
void http_server_stop(struct http_server *s);   // NULL is fine

#endif
