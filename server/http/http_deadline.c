#include "server/http/http_deadline.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define AWAIT_S 5
// In a crowd: how often to look, how long one may say nothing, and how long one may take for a request.
#define CROWD_TICK_MS 100
#define SILENT_MS 300
#define SLOW_MS 1000

// An open connection while there is a crowd.
struct guest {
    struct sockaddr_storage peer;
    int64_t since_ms;  // 0: not one of ours
};

struct deadlines {
    pthread_mutex_t lock;  // held while a socket is looked for: none of those listed can be closed meanwhile
    pthread_cond_t stopped;
    pthread_t thread;
    int64_t tick_ms;
    bool stopping;
    struct deadline *first;
    int port, many;
    const int *taken;
    struct guest *guests;  // by number of the file; only this thread's
    size_t guest_count;
};

// ---- sockets among the open files

static bool local_port_is(int fd, int port) {
    struct sockaddr_storage address = {0};
    socklen_t n = sizeof address;
    char text[NI_MAXSERV];
    int64_t local;
    return getsockname(fd, (struct sockaddr *)&address, &n) == 0 && (address.ss_family == AF_INET || address.ss_family == AF_INET6) &&
           getnameinfo((struct sockaddr *)&address, n, NULL, 0, text, sizeof text, NI_NUMERICSERV) == 0 && sv_i64(sv_of(text), &local) &&
           local == port;
}

static bool peer_is(int fd, const char *peer, int port) {
    struct sockaddr_storage address = {0};
    socklen_t n = sizeof address;
    char host[NI_MAXHOST], text[NI_MAXSERV];
    int64_t remote;
    return getpeername(fd, (struct sockaddr *)&address, &n) == 0 && (address.ss_family == AF_INET || address.ss_family == AF_INET6) &&
           getnameinfo((struct sockaddr *)&address, n, host, sizeof host, text, sizeof text, NI_NUMERICHOST | NI_NUMERICSERV) == 0 &&
           sv_i64(sv_of(text), &remote) && remote == port && strcmp(host, peer) == 0;
}

static void each_file(void (*see)(void *ctx, int fd), void *ctx) {
    int64_t fd;
    DIR *files = opendir("/proc/self/fd");
    if (!files)
        return;
    for (struct dirent *file; (file = readdir(files)) != NULL;)
        if (sv_i64(sv_of(file->d_name), &fd))
            see(ctx, (int)fd);
    closedir(files);
}

static bool is_listener(int fd, int port) {
    int listens = 0;
    socklen_t n = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens && local_port_is(fd, port);
}

static void await_if_listener(void *ctx, int fd) {
    const int *port = ctx, seconds = AWAIT_S;
    if (is_listener(fd, *port))
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
}

void listener_await_bytes(int port) {
    each_file(await_if_listener, &port);
}

static void shut_if_of_port(void *ctx, int fd) {
    const int *port = ctx;
    if (local_port_is(fd, *port))
        shutdown(fd, is_listener(fd, *port) ? SHUT_RDWR : SHUT_RD);
}

void port_shut(int port) {
    each_file(shut_if_of_port, &port);
}

// ---- deadlines

static bool is_overdue(const struct deadline *d) {
    return !d->cut && d->at_us <= clock_mono_us();
}

static void cut_if_overdue(void *ctx, int fd) {
    struct deadlines *w = ctx;
    for (struct deadline *d = w->first; d; d = d->next)
        if (is_overdue(d) && peer_is(fd, d->peer, d->peer_port) && local_port_is(fd, d->local_port)) {
            shutdown(fd, SHUT_RD);
            d->cut = true;
        }
}

static void cut_overdue(struct deadlines *w) {
    for (const struct deadline *d = w->first; d; d = d->next)
        if (is_overdue(d)) {
            each_file(cut_if_overdue, w);
            return;
        }
}

// ---- a crowd

static bool has_place(struct deadlines *w, size_t fd) {
    if (fd < w->guest_count)
        return true;
    size_t n = fd + 1024;
    struct guest *more = realloc(w->guests, n * sizeof *more);
    if (!more)
        return false;
    memset(more + w->guest_count, 0, (n - w->guest_count) * sizeof *more);
    w->guests = more;
    w->guest_count = n;
    return true;
}

// known_for_ms: how long the connection has been seen in this crowd; 0: it is new, or none of ours.
static int64_t known_for_ms(struct deadlines *w, int fd, int64_t now_ms) {
    struct sockaddr_storage peer = {0};
    socklen_t n = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &n) != 0 || !local_port_is(fd, w->port) || !has_place(w, (size_t)fd))
        return 0;
    struct guest *g = &w->guests[fd];
    if (g->since_ms == 0 || memcmp(&g->peer, &peer, sizeof peer) != 0)
        *g = (struct guest){peer, now_ms};
    return now_ms - g->since_ms;
}

// Busy ones on which one request follows the other are not slow: our last answer is no longer ago than their last request.
static void cut_if_slow(void *ctx, int fd) {
    int64_t known_ms = known_for_ms(ctx, fd, clock_mono_ms());
    struct tcp_info info;
    socklen_t n = sizeof info;
    int unread = 0;
    if (known_ms < SILENT_MS || ioctl(fd, FIONREAD, &unread) != 0 || unread > 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
        return;
    if (info.tcpi_last_data_recv >= SILENT_MS || (known_ms >= SLOW_MS && info.tcpi_last_data_sent >= SLOW_MS))
        shutdown(fd, SHUT_RD);
}

// Returns in how many milliseconds to look again.
static int64_t thin_out(struct deadlines *w) {
    if (w->taken && __atomic_load_n(w->taken, __ATOMIC_RELAXED) >= w->many) {
        each_file(cut_if_slow, w);
        return CROWD_TICK_MS;
    }
    if (w->guests)
        memset(w->guests, 0, w->guest_count * sizeof *w->guests);
    return w->tick_ms;
}

static void *watch(void *ctx) {
    struct deadlines *w = ctx;
    pthread_mutex_lock(&w->lock);
    for (int64_t wait_ms = w->tick_ms; !w->stopping;) {
        int64_t until_ms = clock_mono_ms() + wait_ms;
        struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
        pthread_cond_timedwait(&w->stopped, &w->lock, &until);
        cut_overdue(w);
        wait_ms = thin_out(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

enum rc deadlines_start(int64_t tick_ms, struct deadlines **ret, struct err *e) {
    pthread_condattr_t monotonic;
    struct deadlines *w = calloc(1, sizeof *w);
    *ret = NULL;
    if (!w)
        return err_set(e, RC_IO, "out of memory");
    w->tick_ms = tick_ms;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int error = pthread_create(&w->thread, NULL, watch, w);
    if (error) {
        pthread_cond_destroy(&w->stopped);
        pthread_mutex_destroy(&w->lock);
        free(w);
        return err_set(e, RC_IO, "a thread cannot be started: %s", strerror(error));
    }
    *ret = w;
    return RC_OK;
}

void deadlines_stop(struct deadlines *w) {
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->stopped);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->stopped);
    pthread_mutex_destroy(&w->lock);
    free(w->guests);
    free(w);
}

void deadlines_crowd(struct deadlines *w, int port, const int *taken, int many) {
    pthread_mutex_lock(&w->lock);
    w->port = port;
    w->taken = taken;
    w->many = many;
    pthread_mutex_unlock(&w->lock);
}

void deadline_begin(struct deadlines *w, struct deadline *d) {
    pthread_mutex_lock(&w->lock);
    d->next = w->first;
    d->before = &w->first;
    if (d->next)
        d->next->before = &d->next;
    w->first = d;
    pthread_mutex_unlock(&w->lock);
}

void deadline_end(struct deadlines *w, struct deadline *d) {
    pthread_mutex_lock(&w->lock);
    *d->before = d->next;
    if (d->next)
        d->next->before = d->before;
    pthread_mutex_unlock(&w->lock);
}
