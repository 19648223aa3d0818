// http_out.c: libcurl's multi interface over epoll: curl says which sockets and which timeout it waits for (socket_action),
// which costs half of what curl_multi_poll does once hundreds of requests are open.
#include "server/http/http_out.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ANSWER_BODY_MOST ((size_t)64 << 10)
#define ANSWER_HEADERS_MOST 64
#define ANSWER_HEADERS_FIRST 16
#define ANSWER_HEADER_BYTES_MOST ((size_t)32 << 10)
#define CONNECT_TIMEOUT_MS 3000
#define CALL_BYTES_MOST ((size_t)64 << 20)
#define CALL_BYTES_FIRST ((size_t)1 << 10)  // most requests without their bodies, and what is kept of their answers
#define READ_BYTES 1024L         // curl's own buffer, of each call; answers are small, and so malloc has it at hand
#define IDLE_CALLS_MOST 1024

struct http_call {
    CURL *easy;
    struct arena arena;              // URL and header fields of the request, headers of the answer
    struct buf body;                 // of the answer
    size_t most;                     // bytes of it that are kept
    bool cut;                        // the answer's body goes on beyond what is kept
    bool headed;                     // the answer's headers have ended; curl takes one that breaks off among them for whole
    struct header *headers;
    size_t header_count, header_room, header_bytes;
    http_done *done;
    void *ctx;
    struct http_call *next, *previous;  // in the list of open or idle calls
};

// A connection's socket. Between two requests it stays in the epoll: to take it out and put it in again would be two system calls for each.
struct watch {
    bool connection;                 // ... whose end we are told
    uint32_t events;                 // what the epoll has; 0: nothing
    bool wanted;                     // curl waits for them
};

struct http_client {
    CURLM *multi;
    int epoll, wake;
    struct watch *watches;           // by descriptor
    size_t watch_count;
    int64_t timer_ms;                // monotonic: when curl wants to be called; -1: not on its own account
    struct http_call *open, *idle;
    size_t open_count, idle_count;
    size_t answer_most;
    size_t finished;                 // calls since the client was made
};

// ---- what curl reports about an answer

static size_t take_body(char *bytes, size_t size, size_t n, void *ctx) {
    struct http_call *call = ctx;
    size_t room = call->most - call->body.n;
    n *= size;
    buf_put(&call->body, (struct sv){bytes, n < room ? n : room});
    call->cut = n > room;
    return call->cut ? 0 : n;  // 0 ends the transfer
}

static void keep_header(struct http_call *call, struct sv line) {
    struct header header;
    if (call->header_count == ANSWER_HEADERS_MOST || !sv_cut(arena_dup(&call->arena, line), ':', &header.name, &header.value))
        return;
    if (call->header_count == call->header_room) {
        call->header_room = call->headers ? 2 * call->header_room : ANSWER_HEADERS_FIRST;
        struct header *all = ARENA_ARRAY(&call->arena, struct header, call->header_room);
        if (call->headers)
            memcpy(all, call->headers, call->header_count * sizeof *all);
        call->headers = all;
    }
    header.value = sv_trim(header.value);
    call->headers[call->header_count++] = header;
}

// A status line begins a new answer: what an interim one (100, 103) said is forgotten. Its bytes count on, as they may come without end.
static size_t take_header(char *bytes, size_t size, size_t n, void *ctx) {
    struct http_call *call = ctx;
    struct sv line = sv_trim((struct sv){bytes, n * size});
    if (sv_starts(line, SV("HTTP/"))) {
        call->header_count = 0;
        call->headed = false;
        return n * size;
    }
    call->headed |= line.n == 0;
    call->header_bytes += line.n;
    if (call->header_bytes <= ANSWER_HEADER_BYTES_MOST)
        keep_header(call, line);
    return n * size;
}

// ---- what curl wants watched

// watch_of: NULL: out of memory.
static struct watch *watch_of(struct http_client *c, int socket) {
    size_t count = (size_t)socket + 1;
    if (count > c->watch_count) {
        struct watch *all = realloc(c->watches, 2 * count * sizeof *all);
        if (!all)
            return NULL;
        memset(all + c->watch_count, 0, (2 * count - c->watch_count) * sizeof *all);
        c->watches = all;
        c->watch_count = 2 * count;
    }
    return &c->watches[socket];
}

static void unwatch(struct http_client *c, int socket, struct watch *w) {
    if (w->events != 0)
        epoll_ctl(c->epoll, EPOLL_CTL_DEL, socket, NULL);
    w->events = 0;
}

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *ctx, void *known) {
    (void)easy, (void)known;
    struct http_client *c = ctx;
    struct watch *w = watch_of(c, socket);
    if (!w)
        return -1;  // ends the transfer with an error
    w->wanted = what != CURL_POLL_REMOVE;
    if (!w->wanted) {
        if (!w->connection)
            unwatch(c, socket, w);
        return 0;
    }
    struct epoll_event event = {.data.fd = socket};
    event.events = ((what & CURL_POLL_IN) ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0u);
    if (event.events != w->events && epoll_ctl(c->epoll, w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event) != 0)
        return -1;
    w->events = event.events;
    return 0;
}

static int connection_opens(void *ctx, curl_socket_t socket, curlsocktype purpose) {
    struct watch *w = purpose == CURLSOCKTYPE_IPCXN ? watch_of(ctx, socket) : NULL;
    if (w)
        *w = (struct watch){.connection = true};
    return CURL_SOCKOPT_OK;
}

static int connection_ends(void *ctx, curl_socket_t socket) {
    struct watch *w = watch_of(ctx, socket);
    if (w)
        *w = (struct watch){0};  // the system takes it out of the epoll
    return close(socket);
}

static int watch_timer(CURLM *multi, long timeout_ms, void *ctx) {
    (void)multi;
    struct http_client *c = ctx;
    c->timer_ms = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
    return 0;
}

// ---- the client

enum rc http_client_new(struct http_client **ret, struct err *e) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(e, RC_IO, "libcurl cannot be initialised");
    const curl_version_info_data *library = curl_version_info(CURLVERSION_NOW);
    if (!(library->features & CURL_VERSION_ASYNCHDNS))
        return err_set(e, RC_IO, "this libcurl resolves names in the calling thread; one with a resolver of its own is needed");
    struct http_client *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, RC_IO, "out of memory");
    c->timer_ms = -1;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->multi = curl_multi_init();
    struct epoll_event event = {.events = EPOLLIN, .data.fd = c->wake};
    if (c->epoll < 0 || c->wake < 0 || !c->multi || epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->wake, &event) != 0) {
        http_client_free(c);
        return err_set(e, RC_IO, "HTTP client: %s", strerror(errno));
    }
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, watch_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_CONNECTIONS_KEPT);  // else four for each call that is open, and after a burst most are closed
    c->answer_most = ANSWER_BODY_MOST;
    *ret = c;
    return RC_OK;
}

static void call_free(struct http_call *call) {
    curl_easy_cleanup(call->easy);
    arena_free(&call->arena);
    buf_free(&call->body);
    free(call);
}

static void list_put(struct http_call **list, struct http_call *call) {
    call->previous = NULL;
    call->next = *list;
    if (*list)
        (*list)->previous = call;
    *list = call;
}

static void list_take(struct http_call **list, struct http_call *call) {
    if (call->next)
        call->next->previous = call->previous;
    if (call->previous)
        call->previous->next = call->next;
    else
        *list = call->next;
}

void http_client_free(struct http_client *c) {
    if (!c)
        return;
    for (struct http_call *call; (call = c->open);) {
        list_take(&c->open, call);
        curl_multi_remove_handle(c->multi, call->easy);
        call_free(call);
    }
    for (struct http_call *call; (call = c->idle);) {
        list_take(&c->idle, call);
        call_free(call);
    }
    curl_multi_cleanup(c->multi);
    free(c->watches);
    if (c->wake >= 0)
        close(c->wake);
    if (c->epoll >= 0)
        close(c->epoll);
    free(c);
    curl_global_cleanup();
}

// ---- one call

// What is the same for every request. Nothing from the environment (proxy, netrc, cookies) and no redirect changes where it goes.
static bool set_options(struct http_client *c, struct http_call *call) {
    CURL *h = call->easy;
    CURLcode bad = CURLE_OK;
    bad |= curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    bad |= curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L);
    bad |= curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L);
    bad |= curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    bad |= curl_easy_setopt(h, CURLOPT_PROXY, "");
    bad |= curl_easy_setopt(h, CURLOPT_NOPROXY, "");  // else the environment is asked each time
    bad |= curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    bad |= curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(h, CURLOPT_BUFFERSIZE, READ_BYTES);
    bad |= curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(h, CURLOPT_MAXAGE_CONN, 60L);
    bad |= curl_easy_setopt(h, CURLOPT_MAXLIFETIME_CONN, 600L);
    bad |= curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_body);
    bad |= curl_easy_setopt(h, CURLOPT_WRITEDATA, call);
    bad |= curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, take_header);
    bad |= curl_easy_setopt(h, CURLOPT_HEADERDATA, call);
    bad |= curl_easy_setopt(h, CURLOPT_PRIVATE, call);
    bad |= curl_easy_setopt(h, CURLOPT_SOCKOPTFUNCTION, connection_opens);
    bad |= curl_easy_setopt(h, CURLOPT_SOCKOPTDATA, c);
    bad |= curl_easy_setopt(h, CURLOPT_CLOSESOCKETFUNCTION, connection_ends);
    bad |= curl_easy_setopt(h, CURLOPT_CLOSESOCKETDATA, c);
    return bad == CURLE_OK;
}

static struct http_call *call_new(struct http_client *c) {
    struct http_call *call = c->idle;
    if (call) {
        list_take(&c->idle, call);
        c->idle_count--;
        return call;
    }
    call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    arena_init_first(&call->arena, CALL_BYTES_MOST, CALL_BYTES_FIRST);
    buf_init(&call->body, c->answer_most);
    call->most = c->answer_most;
    call->easy = curl_easy_init();
    if (!call->easy || !set_options(c, call)) {
        call_free(call);
        return NULL;
    }
    return call;
}

// call_end puts a call, which is in no list, back for the next one. The handle keeps its options, the request's bytes go.
static void call_end(struct http_client *c, struct http_call *call) {
    arena_reset(&call->arena);
    buf_reset(&call->body);
    call->headers = NULL;
    call->header_count = call->header_room = call->header_bytes = 0;
    call->cut = call->headed = false;
    if (c->idle_count >= IDLE_CALLS_MOST) {
        call_free(call);
        return;
    }
    list_put(&c->idle, call);
    c->idle_count++;
}

static bool one_line(struct sv s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return sv_present(s);
}

// fields: curl's list, but on the arena: one made by curl is as many pieces of memory as it has fields. Without Expect as a field of its own
// curl would ask for leave to send. Its option for the agent prints that twice for each request, letter by letter.
static struct curl_slist *fields(struct arena *a, const struct request *request) {
    static char agent[] = "User-Agent: fireorder/" FIREORDER_VERSION, expect[] = "Expect:";
    size_t n = request->header_count;
    struct curl_slist *all = ARENA_ARRAY(a, struct curl_slist, n + 2);
    for (size_t i = 0; i < n; i++)
        all[i] = (struct curl_slist){.data = arena_cstr(a, request->headers[i]), .next = &all[i + 1]};
    all[n] = (struct curl_slist){.data = agent, .next = &all[n + 1]};
    all[n + 1].data = expect;
    return all;
}

static bool set_request(struct http_call *call, const struct request *request, bool get, int64_t timeout_ms) {
    struct sv body = sv_first(request->body, SV(""));
    CURLcode bad = CURLE_OK;
    bad |= curl_easy_setopt(call->easy, CURLOPT_URL, arena_cstr(&call->arena, request->url));
    bad |= curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    bad |= curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, body.p);
    if (get)
        bad |= curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L);
    bad |= curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, fields(&call->arena, request));
    bad |= curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    bad |= curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS));
    return bad == CURLE_OK && arena_ok(&call->arena);
}

static enum rc start(struct http_client *c, const struct request *request, bool get, int64_t timeout_ms, http_done *done, void *ctx, struct err *e) {
    // curl sends line breaks in URL and headers as they are.
    bool clean = one_line(request->url);
    for (size_t i = 0; i < request->header_count; i++)
        clean = clean && one_line(request->headers[i]);
    if (!clean)
        return err_set(e, RC_INVALID, "the address or a header of the request holds control characters");
    struct http_call *call = call_new(c);
    if (!call)
        return err_set(e, RC_IO, "the request cannot be made: out of memory, or this libcurl lacks an option");
    call->done = done;
    call->ctx = ctx;
    if (!set_request(call, request, get, timeout_ms < 1 ? 1 : timeout_ms) || curl_multi_add_handle(c->multi, call->easy) != CURLM_OK) {
        call_end(c, call);
        return err_set(e, RC_IO, "the request cannot be made: out of memory, or too large");
    }
    list_put(&c->open, call);
    c->open_count++;
    return RC_OK;
}

enum rc http_client_post(struct http_client *c, const struct request *request, int64_t timeout_ms, http_done *done, void *ctx, struct err *e) {
    return start(c, request, false, timeout_ms, done, ctx, e);
}

enum rc http_client_get(struct http_client *c, const struct request *request, int64_t timeout_ms, http_done *done, void *ctx, struct err *e) {
    return start(c, request, true, timeout_ms, done, ctx, e);
}

void http_client_take(struct http_client *c, size_t answer_bytes) {
    c->answer_most = answer_bytes;
}

// An answer that was cut here is as good as a whole one; one that broke off by itself is none.
static void finish(struct http_client *c, struct http_call *call, CURLcode code) {
    struct answer answer = {0};
    if (call->headed && (code == CURLE_OK || (code == CURLE_WRITE_ERROR && call->cut))) {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &answer.status);
        answer.headers = (struct headers){call->headers, call->header_count};
        answer.body = buf_sv(&call->body);
    }
    if (answer.status == 0)  // curl's own words for the code name no host and no URL
        answer.transport_error = sv_of(curl_easy_strerror(code == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : code));
    curl_multi_remove_handle(c->multi, call->easy);
    list_take(&c->open, call);
    c->open_count--;
    c->finished++;
    call->done(call->ctx, &answer);
    call_end(c, call);
}

static void finish_all(struct http_client *c) {
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(c->multi, &left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct http_call *call = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        finish(c, call, code);
    }
}

static int64_t until_timer(const struct http_client *c, int64_t wait_ms) {
    if (c->timer_ms < 0)
        return wait_ms;
    int64_t rest = c->timer_ms - clock_mono_ms();
    return rest < 0 ? 0 : rest < wait_ms ? rest : wait_ms;
}

// turn: one wait and what it brought. Returns whether somebody called http_client_wake.
static bool turn(struct http_client *c, int64_t wait_ms) {
    struct epoll_event events[64];
    int running;
    bool woken = false;
    int n = epoll_wait(c->epoll, events, (int)COUNTOF(events), (int)until_timer(c, wait_ms));
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == c->wake) {
            uint64_t count;
            woken = read(c->wake, &count, sizeof count) == (ssize_t)sizeof count;
            continue;
        }
        struct watch *w = watch_of(c, events[i].data.fd);
        if (w && !w->wanted) {  // the other side ends a connection that rests; curl sees it when it wants to use it
            unwatch(c, events[i].data.fd, w);
            continue;
        }
        int what = ((events[i].events & EPOLLIN) ? CURL_CSELECT_IN : 0) | ((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
                   ((events[i].events & (EPOLLERR | EPOLLHUP)) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(c->multi, events[i].data.fd, what, &running);
    }
    if (c->timer_ms >= 0 && clock_mono_ms() >= c->timer_ms) {
        c->timer_ms = -1;
        curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    finish_all(c);
    return woken;
}

void http_client_run(struct http_client *c, int64_t wait_ms) {
    int64_t end = clock_mono_ms() + wait_ms;
    size_t finished = c->finished;
    for (int64_t left = wait_ms;;) {
        bool woken = turn(c, left < 0 ? 0 : left > 60000 ? 60000 : left);
        left = end - clock_mono_ms();
        if (woken || c->finished != finished || left <= 0)
            return;
    }
}

void http_client_wake(struct http_client *c) {
    uint64_t one = 1;
    ssize_t ignored = write(c->wake, &one, sizeof one);  // fails only when it is set already
    (void)ignored;
}

size_t http_client_open_calls(const struct http_client *c) {
    return c->open_count;
}
