// http_deadline.h: cuts off connections that take too long, and makes the listening socket wait for the first byte.
// civetweb's timeout begins anew with each byte, and a read returns only when its piece is full: a sender of one byte a second
// would keep a worker for hours. civetweb does not show its sockets either, so an overdue one is found by its addresses among
// the open files and its reading side is shut, which ends the worker's read at once. That is rare; otherwise a deadline costs two
// short locks.
// A worker also waits for the head, of which civetweb tells nothing. So when most workers are taken, every connection is looked at: one
// that has nothing to read, and has been silent for 0.3 s or is at it for 1 s, since it came or since our last answer, is shut too. A
// request that is being answered loses nothing by it, for it is read, and one that waits for a worker has bytes to read.
#ifndef SERVER_HTTP_DEADLINE_H
#define SERVER_HTTP_DEADLINE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct deadlines;

// The caller's, on its stack, from deadline_begin to deadline_end.
struct deadline {
    const char *peer;  // numeric address
    int peer_port, local_port;
    int64_t at_us;     // monotonic
    bool cut;
    struct deadline *next, **before;
};

MUST_CHECK enum rc deadlines_start(int64_t tick_ms, struct deadlines **ret, struct err *e);  // starts a thread that looks every tick_ms
void deadlines_stop(struct deadlines *w);                                                     // NULL is fine

// deadlines_crowd: from now on the connections of that port are a crowd while *taken, read atomically, is at least `many`.
void deadlines_crowd(struct deadlines *w, int port, const int *taken, int many);

void deadline_begin(struct deadlines *w, struct deadline *d);
// After deadline_end nobody touches the connection any more: it may be closed and its number used again.
void deadline_end(struct deadlines *w, struct deadline *d);

// listener_await_bytes: the system keeps a connection to itself until its first byte is there, so that silent ones cost no worker.
void listener_await_bytes(int port);
// port_shut shuts the listening socket of that port and the reading side of its connections: nobody can connect any more, idle
// connections end, and civetweb, which otherwise looks every 2 s whether it is to stop, wakes up.
void port_shut(int port);

#endif
