#include "server/http/http_deadline.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct deadlines {
    pthread_mutex_t lock;  // held while a socket is looked for: none of those listed can be closed meanwhile
    pthread_cond_t stopped;
    pthread_t thread;
    int64_t tick_ms;
    bool stopping;
    struct deadline *first;
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

static void shut_if_listener(void *ctx, int fd) {
    const int *port = ctx;
    int listens = 0;
    socklen_t n = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens && local_port_is(fd, *port))
        shutdown(fd, SHUT_RDWR);
}

void listener_shut(int port) {
    each_file(shut_if_listener, &port);
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

static void *watch(void *ctx) {
    struct deadlines *w = ctx;
    pthread_mutex_lock(&w->lock);
    while (!w->stopping) {
        int64_t until_ms = clock_mono_ms() + w->tick_ms;
        struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
        pthread_cond_timedwait(&w->stopped, &w->lock, &until);
        cut_overdue(w);
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
    free(w);
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
