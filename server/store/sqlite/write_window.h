// write_window.h: some adjacent bytes of a file in memory, so that many small writes become one and what was just written needs no read.
//
// Bytes that are not written yet are in no file: a caller to whom that matters (a sync, the file's size) settles first. A write that
// fails is told by the call that had to make it: what it was about counts as not written, and the window forgets it.
// Not thread-safe. Nobody else may write to the file.
#ifndef SERVER_STORE_SQLITE_WRITE_WINDOW_H
#define SERVER_STORE_SQLITE_WRITE_WINDOW_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The file beneath. 0: done; anything else is passed on as it is.
struct window_file {
    int (*read)(void *ctx, void *out, size_t n, int64_t at);
    int (*write)(void *ctx, const void *bytes, size_t n, int64_t at);
    void *ctx;
};

struct window {
    struct window_file file;
    unsigned char *bytes;  // NULL: no memory yet
    size_t room;
    int64_t start;      // where in the file bytes[0] belongs
    size_t n;           // as many bytes are known
    size_t from, upto;  // from == upto: all of these are in the file; otherwise none out of this range is missing there
};

// window_begin: no bytes known; the memory comes with the first write. window_end frees it, settled or not.
void window_begin(struct window *w, struct window_file file, size_t room);
void window_end(struct window *w);

MUST_CHECK int window_read(struct window *w, void *out, size_t n, int64_t at);
MUST_CHECK int window_write(struct window *w, const void *bytes, size_t n, int64_t at);
// window_settle writes what is not written yet. window_forget is for who has settled and now changes the file himself.
MUST_CHECK int window_settle(struct window *w);
void window_forget(struct window *w);

#endif
