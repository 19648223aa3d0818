// http_in.c: civetweb, reduced to reading one request and writing one answer.
// Everything is done in its begin_request callback, which runs before its file, CGI, websocket, CORS and password code: none of that
// is ever reached, nor the look for an .htpasswd file. A connection that is not kept is closed after the answer without draining a body.
#include "server/http/http_in.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "server/http/http_deadline.h"
#include "server/http/http_rules.h"

#include <civetweb.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// IDLE: how long a kept connection may be idle. Longer than a proxy keeps one, so that the proxy closes it and no request meets ours.
enum { REQUEST_MEMORY = 32 << 20, REQUEST_FIRST = 4 << 10, READ_PIECE = 16 << 10, BODY_DEADLINE_MS = 5000, DRAIN_MS = 5000, TICK_MS = 250 };
#define IDLE_MS "620000"

struct http_server {
    struct http_server_config config;
    struct mg_context *context;
    struct deadlines *deadlines;
    int in_work, draining;   // atomic
    int taken;               // atomic: workers that have a connection, be it idle
    int crowd;               // that many taken are a crowd
    int port;
    char complaint[160];     // civetweb's last word while it starts
    bool started;            // atomic
};

// ---- answers

struct status {
    int code;
    const char *phrase, *error, *headers;  // error: what a refusal says; headers: that a refusal needs
};

static const struct status statuses[] = {
    {200, "OK", "", ""},
    {202, "Accepted", "", ""},
    {204, "No Content", "", ""},
    {304, "Not Modified", "", ""},
    {400, "Bad Request", "malformed request", ""},
    {401, "Unauthorized", "unauthorized", ""},
    {403, "Forbidden", "forbidden", ""},
    {404, "Not Found", "not found", ""},
    {405, "Method Not Allowed", "method not allowed", "Allow: POST\r\n"},
    {408, "Request Timeout", "the body came too slowly", ""},
    {409, "Conflict", "conflict", ""},
    {411, "Length Required", "Content-Length is required", ""},
    {413, "Content Too Large", "the body is too large", ""},
    {415, "Unsupported Media Type", "unsupported media type", ""},
    {422, "Unprocessable Content", "unprocessable", ""},
    {429, "Too Many Requests", "too many requests", "Retry-After: 1\r\n"},
    {500, "Internal Server Error", "internal error", ""},
    {503, "Service Unavailable", "unavailable, try again", "Retry-After: 5\r\n"},
};

static const struct status *status_of(int code) {
    static const struct status other = {0, "Other", "refused", ""};
    for (size_t i = 0; i < COUNTOF(statuses); i++)
        if (statuses[i].code == code)
            return &statuses[i];
    return &other;
}

static bool has_room(const struct http_server *s) {
    return !__atomic_load_n(&s->draining, __ATOMIC_SEQ_CST) && __atomic_load_n(&s->taken, __ATOMIC_RELAXED) < s->crowd;
}

// One write: a second one would wait for the client's delayed acknowledgement of the first. What goes wrong on the way ends the connection.
static void answer(struct http_server *s, struct mg_connection *conn, const struct http_request *r, const struct http_response *response) {
    struct buf out;
    bool has_body = response->status != 204 && response->status != 304;
    bool keep = response->keep && http_may_stay(r, mg_get_request_info(conn)->http_version) && has_room(s);
    buf_init(&out, response->body.n + 4096);
    buf_fmt(&out, "HTTP/1.1 %d %s\r\n%s", response->status, status_of(response->status)->phrase, keep ? "" : "Connection: close\r\n");
    if (has_body)
        buf_fmt(&out, "Content-Type: %s\r\nContent-Length: %zu\r\n", response->content_type, response->body.n);
    buf_puts(&out, response->extra_headers);
    buf_puts(&out, "\r\n");
    if (has_body && !sv_is(r->method, "HEAD"))
        buf_put(&out, response->body);
    struct sv bytes = buf_ok(&out) ? buf_sv(&out) : SV("HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    if (mg_write(conn, bytes.p, bytes.n) != (int)bytes.n || !buf_ok(&out) || !keep)
        mg_disable_connection_keep_alive(conn);
    buf_free(&out);
}

static void refuse(struct http_server *s, struct mg_connection *conn, const struct http_request *r, int code) {
    const struct status *status = status_of(code);
    char body[96];
    const char *more = s->config.refused ? s->config.refused(s->config.ctx, r, code) : NULL;
    int n = snprintf(body, sizeof body, "{\"error\":\"%s\"}", status->error);
    const char *headers = more ? arena_fmt(r->arena, "%s%s", status->headers, more).p : status->headers;
    const struct http_response response = {
        .status = code,
        .content_type = "application/json",
        .extra_headers = headers ? headers : "",
        .body = {body, (size_t)n},
    };
    answer(s, conn, r, &response);
}

// ---- requests

static void read_head(const struct mg_request_info *info, struct header *headers, struct http_request *r) {
    for (int i = 0; i < info->num_headers; i++)
        headers[i] = (struct header){sv_of(info->http_headers[i].name), sv_of(info->http_headers[i].value)};
    r->method = sv_of(info->request_method);
    r->path = sv_of(info->request_uri);
    r->query = sv_of(info->query_string);
    r->peer = sv_of(info->remote_addr);
    r->headers = (struct headers){headers, (size_t)info->num_headers};
}

// head_is_exact: civetweb cuts the head up where it stands, so what was between the pieces can still be seen. A blank before a colon
// has become a NUL, and lines that end in LF alone lie closer together. It ends the headers at a line that it cannot begin to read, as
// one that is folded, and drops the rest: then the empty line that ends a head does not follow. A proxy may have read such a head in
// another way.
static bool head_is_exact(const struct mg_request_info *info) {
    const char *line_end = info->http_version + strlen(info->http_version);
    for (int i = 0; i < info->num_headers; i++) {
        const char *name = info->http_headers[i].name, *value = info->http_headers[i].value, *colon = name + strlen(name);
        if (name != line_end + 2 || memchr(colon + 1, '\0', (size_t)(value - colon - 1)))
            return false;
        line_end = value + strlen(value);
    }
    return info->num_headers == 0 || memcmp(line_end, "\0\0\r", 4) == 0;
}

// 0, or the status that says why the body did not come whole.
static int read_pieces(struct mg_connection *conn, char *body, size_t n, int64_t until_us) {
    for (size_t got = 0; got < n;) {
        size_t piece = n - got < READ_PIECE ? n - got : READ_PIECE;
        int read = mg_read(conn, body + got, piece);
        if (clock_mono_us() > until_us)
            return 408;
        if (read <= 0)
            return 400;
        got += (size_t)read;
    }
    return 0;
}

static int read_body(struct http_server *s, struct mg_connection *conn, char *body, size_t n) {
    const struct mg_request_info *info = mg_get_request_info(conn);
    struct deadline deadline = {
        .peer = info->remote_addr,
        .peer_port = info->remote_port,
        .local_port = info->server_port,
        .at_us = clock_mono_us() + s->config.body_deadline_ms * 1000,
    };
    deadline_begin(s->deadlines, &deadline);
    int status = read_pieces(conn, body, n, deadline.at_us);
    deadline_end(s->deadlines, &deadline);
    return status;
}

// The body has memory of its own: malloc takes what is really written, so a length that is only announced costs nothing.
static int with_body(struct http_server *s, struct mg_connection *conn, struct http_request *r, size_t n) {
    struct http_response response = {.status = 200, .content_type = "application/json", .extra_headers = "", .body = SV("")};
    char *body = malloc(n + 1);
    if (!body)
        return 503;
    int status = n > 0 ? read_body(s, conn, body, n) : 0;
    if (!status) {
        r->body = (struct sv){body, n};
        r->started_us = clock_mono_us();
        s->config.handle(s->config.ctx, r, &response);
        if (!response.extra_headers)
            response.extra_headers = "";
        answer(s, conn, r, &response);
        FAILPOINT_OF("http.answered", r->method.p);
    }
    free(body);
    return status;
}

// Each returns the status with which the request was refused, or 0 when it was answered.
static int refused(struct http_server *s, struct mg_connection *conn, const struct http_request *r, int status) {
    if (status)
        refuse(s, conn, r, status);
    return status;
}

static int serve_body(struct http_server *s, struct mg_connection *conn, struct http_request *r) {
    size_t n;
    int status = http_body_length(r, s->config.body_limit, &n);
    if (!status && n > 0 && http_waits_for_continue(r))
        mg_write(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return refused(s, conn, r, status ? status : with_body(s, conn, r, n));
}

static int serve(struct http_server *s, struct mg_connection *conn, struct http_request *r) {
    int status = __atomic_load_n(&s->draining, __ATOMIC_SEQ_CST) ? 503 : head_is_exact(mg_get_request_info(conn)) ? http_head_fault(r) : 400;
    if (!status && s->config.early)
        status = s->config.early(s->config.ctx, r);
    if (status)
        return refused(s, conn, r, status);
    status = serve_body(s, conn, r);
    if (s->config.done)
        s->config.done(s->config.ctx, r);
    return status;
}

static int begin_request(struct mg_connection *conn) {
    struct http_server *s = mg_get_user_data(mg_get_context(conn));
    struct header headers[MG_MAX_HEADERS];
    struct arena arena;
    struct http_request r = {.arena = &arena, .started_us = clock_mono_us()};
    __atomic_add_fetch(&s->in_work, 1, __ATOMIC_SEQ_CST);  // before draining is looked at: see http_server_drain
    arena_init_first(&arena, REQUEST_MEMORY, REQUEST_FIRST);
    read_head(mg_get_request_info(conn), headers, &r);
    int status = serve(s, conn, &r);
    arena_free(&arena);
    __atomic_sub_fetch(&s->in_work, 1, __ATOMIC_SEQ_CST);
    return status ? status : 200;
}

static int connected(const struct mg_connection *conn, void **ret) {
    struct http_server *s = mg_get_user_data(mg_get_context(conn));
    (void)ret;
    __atomic_add_fetch(&s->taken, 1, __ATOMIC_RELAXED);
    return 0;
}

static void closing(const struct mg_connection *conn) {
    struct http_server *s = mg_get_user_data(mg_get_context(conn));
    __atomic_sub_fetch(&s->taken, 1, __ATOMIC_RELAXED);
}

// What civetweb itself could not read as HTTP; nothing of the request is known.
static int http_error(struct mg_connection *conn, int status, const char *text) {
    (void)status;
    (void)text;
    refuse(mg_get_user_data(mg_get_context(conn)), conn, &(struct http_request){.method = SV_NONE}, 400);
    return 0;
}

static int log_message(const struct mg_connection *conn, const char *text) {
    struct http_server *s = mg_get_user_data(mg_get_context(conn));
    if (!__atomic_load_n(&s->started, __ATOMIC_ACQUIRE))
        snprintf(s->complaint, sizeof s->complaint, "%s", text);
    else
        log_debug("http: %s", text);
    return 1;
}

// ---- the server

// ":8080" is "8080" for civetweb; and a letter after the port would mean TLS, which its Debian build cannot do.
static enum rc listening_ports(struct sv listen, char *ret, size_t size, struct err *e) {
    struct sv address = sv_starts(listen, SV(":")) ? sv_sub(listen, 1, listen.n) : listen;
    bool plain = address.n > 0 && address.n < size && address.p[address.n - 1] >= '0' && address.p[address.n - 1] <= '9';
    if (!plain || memchr(address.p, ',', address.n))
        return err_set(e, RC_INVALID, "cannot listen on " SV_FMT ": host:port, :port or port is expected", SV_ARG(listen));
    if (sv_starts(address, SV("[")) && !mg_check_feature(MG_FEATURES_IPV6))
        return err_set(e, RC_INVALID, "cannot listen on " SV_FMT ": this build of civetweb has no IPv6", SV_ARG(listen));
    snprintf(ret, size, SV_FMT, SV_ARG(address));
    return RC_OK;
}

static enum rc start(struct http_server *s, struct err *e) {
    char ports[300], threads[16], timeout[24];
    mg_init_library(MG_FEATURES_DEFAULT);
    enum rc rc = listening_ports(s->config.listen, ports, sizeof ports, e);
    if (rc != RC_OK || (rc = deadlines_start(s->config.body_deadline_ms < TICK_MS ? s->config.body_deadline_ms : TICK_MS, &s->deadlines, e)) != RC_OK)
        return rc;
    snprintf(threads, sizeof threads, "%d", s->config.threads);
    snprintf(timeout, sizeof timeout, "%" PRId64, s->config.body_deadline_ms);
    const char *options[] = {
        "listening_ports", ports, "num_threads", threads, "request_timeout_ms", timeout, "enable_keep_alive", "yes",
        "keep_alive_timeout_ms", IDLE_MS, "tcp_nodelay", "1", "connection_queue", "512", "listen_backlog", "4096",
        "max_request_size", "16384", "decode_url", "no",
        "access_control_allow_origin", "", "access_control_allow_methods", "", "access_control_allow_headers", "", NULL,
    };
    const struct mg_callbacks callbacks = {.begin_request = begin_request, .http_error = http_error, .log_message = log_message,
                                           .init_connection = connected, .connection_close = closing};
    s->context = mg_start(&callbacks, s, options);
    struct mg_server_port bound;
    if (!s->context || mg_get_server_ports(s->context, 1, &bound) < 1)
        return err_set(e, RC_IO, "cannot listen on " SV_FMT ": the port may be in use, or the address not be of this machine (%s)",
                       SV_ARG(s->config.listen), s->complaint);
    s->port = bound.port;
    listener_await_bytes(s->port);
    deadlines_crowd(s->deadlines, s->port, &s->taken, s->crowd);
    __atomic_store_n(&s->started, true, __ATOMIC_RELEASE);
    return RC_OK;
}

enum rc http_server_start(const struct http_server_config *config, struct http_server **ret, struct err *e) {
    struct http_server *s = calloc(1, sizeof *s);
    *ret = NULL;
    if (!s)
        return err_set(e, RC_IO, "out of memory");
    s->config = *config;
    s->crowd = config->threads * 3 / 4;
    if (s->config.body_deadline_ms <= 0)
        s->config.body_deadline_ms = BODY_DEADLINE_MS;
    enum rc rc = start(s, e);
    if (rc == RC_OK)
        *ret = s;
    else
        http_server_stop(s);
    return rc;
}

int http_server_port(const struct http_server *s) {
    return s->port;
}

// A request counts itself in work before it looks at draining, so either it sees the mark or it is waited for here.
void http_server_drain(struct http_server *s) {
    int64_t until_ms = clock_mono_ms() + DRAIN_MS;
    const struct timespec moment = {.tv_nsec = 2000000};
    __atomic_store_n(&s->draining, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&s->in_work, __ATOMIC_SEQ_CST) > 0 && clock_mono_ms() < until_ms)
        nanosleep(&moment, NULL);
}

void http_server_stop(struct http_server *s) {
    if (!s)
        return;
    __atomic_store_n(&s->draining, 1, __ATOMIC_SEQ_CST);
    if (s->port)
        port_shut(s->port);
    if (s->context)
        mg_stop(s->context);
    mg_exit_library();
    deadlines_stop(s->deadlines);
    free(s);
}
