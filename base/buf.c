// buf.c: doubling growth; one byte is always kept free for the NUL of buf_cstr.
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

void buf_init(struct buf *b, size_t limit_bytes) {
    *b = (struct buf){.limit = limit_bytes};
}

// grow: what reserve does when there is no room yet.
static bool __attribute__((noinline)) grow(struct buf *b, size_t more) {
    if (more > b->limit || b->n > b->limit - more || b->limit > SIZE_MAX / 4) {
        b->failed = true;
        return false;
    }
    size_t need = b->n + more + 1, cap = b->cap ? b->cap * 2 : FIRST_CAPACITY;
    if (cap > b->limit + 1)
        cap = b->limit + 1;
    if (cap < need)
        cap = need;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

// reserve: room for `more` bytes and a NUL; false (and failed from then on) over the limit or out of memory. What there is room for is
// within the limit.
static bool reserve(struct buf *b, size_t more) {
    return !b->failed && (more < b->cap - b->n || grow(b, more));
}

void buf_reserve(struct buf *b, size_t n) {
    (void)reserve(b, n);
}

char *buf_room(struct buf *b, size_t n) {
    if (!reserve(b, n))
        return NULL;
    b->n += n;
    return b->p + b->n - n;
}

void buf_put(struct buf *b, struct sv s) {
    char *room = s.n > 0 ? buf_room(b, s.n) : NULL;
    if (room)
        memcpy(room, s.p, s.n);
}

void buf_join(struct buf *b, const struct sv *parts, size_t n) {
    for (size_t i = 0; i < n; i++)
        buf_put(b, parts[i]);
}

void buf_putc(struct buf *b, char c) {
    if (!reserve(b, 1))
        return;
    b->p[b->n++] = c;
}

void buf_puts(struct buf *b, const char *cstr) {
    buf_put(b, sv_of(cstr));
}

// What does not fit is printed a second time.
void buf_fmt(struct buf *b, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    size_t room = b->failed ? 0 : b->cap - b->n;
    int written = vsnprintf(room ? b->p + b->n : NULL, room, fmt, args);
    va_end(args);
    if (written < 0)
        b->failed = true;
    else if (reserve(b, (size_t)written)) {
        if ((size_t)written >= room)
            vsnprintf(b->p + b->n, (size_t)written + 1, fmt, again);
        b->n += (size_t)written;
    }
    va_end(again);
}

bool buf_ok(const struct buf *b) {
    return !b->failed;
}

// A failed buffer shows nothing: half a document must not be taken for a whole one.
struct sv buf_sv(const struct buf *b) {
    return b->failed || b->n == 0 ? SV("") : (struct sv){b->p, b->n};
}

const char *buf_cstr(struct buf *b) {
    if (b->failed || !reserve(b, 0))
        return "";
    b->p[b->n] = '\0';
    return b->p;
}

void buf_reset(struct buf *b) {
    b->n = 0;
    b->failed = false;
}

struct sv buf_take(struct buf *b, struct arena *a) {
    struct sv taken = buf_ok(b) ? arena_dup(a, buf_sv(b)) : SV_NONE;
    buf_free(b);
    return taken;
}

void buf_free(struct buf *b) {
    free(b->p);
    *b = (struct buf){.limit = b->limit};
}
