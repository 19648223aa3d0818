#include "server/store/sqlite/write_window.h"

#include <stdlib.h>
#include <string.h>

void window_begin(struct window *w, struct window_file file, size_t room) {
    *w = (struct window){.file = file, .room = room};
}

void window_end(struct window *w) {
    free(w->bytes);
    *w = (struct window){0};
}

void window_forget(struct window *w) {
    w->n = w->from = w->upto = 0;
}

int window_settle(struct window *w) {
    if (w->from == w->upto)
        return 0;
    int code = w->file.write(w->file.ctx, w->bytes + w->from, w->upto - w->from, w->start + (int64_t)w->from);
    if (code != 0)
        window_forget(w);
    w->from = w->upto = 0;
    return code;
}

int window_read(struct window *w, void *out, size_t n, int64_t at) {
    if (at >= w->start && at - w->start <= (int64_t)w->n && n <= w->n - (size_t)(at - w->start)) {
        memcpy(out, w->bytes + (at - w->start), n);
        return 0;
    }
    int code = window_settle(w);  // all of it: between the end of the file and what is not written yet a read has to find zeros
    return code == 0 ? w->file.read(w->file.ctx, out, n, at) : code;
}

// may_hold: n bytes at `at` overlap those that are known, or follow them, and there is room.
static bool may_hold(const struct window *w, size_t n, int64_t at) {
    return at >= w->start && at - w->start <= (int64_t)w->n && n <= w->room - (size_t)(at - w->start);
}

int window_write(struct window *w, const void *bytes, size_t n, int64_t at) {
    if (!may_hold(w, n, at)) {
        int code = window_settle(w);
        if (code != 0)
            return code;
        window_forget(w);
        w->start = at;
    }
    if (!w->bytes)
        w->bytes = malloc(w->room);
    if (!w->bytes || n > w->room)
        return w->file.write(w->file.ctx, bytes, n, at);
    size_t offset = (size_t)(at - w->start), end = offset + n;
    memcpy(w->bytes + offset, bytes, n);
    bool none = w->from == w->upto;
    w->from = none || offset < w->from ? offset : w->from;
    w->upto = none || end > w->upto ? end : w->upto;
    w->n = end > w->n ? end : w->n;
    return 0;
}
