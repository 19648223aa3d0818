// buf.h: a growable byte buffer that remembers failure and has a ceiling: write freely, check buf_ok once at the end.
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/arena.h"

struct buf {
    char *p;
    size_t n, cap, limit;
    bool failed;
};

void buf_init(struct buf *b, size_t limit_bytes);
char *buf_room(struct buf *b, size_t n);   // n more bytes, which the caller writes at once; NULL: it has failed
void buf_reserve(struct buf *b, size_t n); // memory for n more bytes in one piece, for one that will be that large
void buf_put(struct buf *b, struct sv s);
void buf_join(struct buf *b, const struct sv *parts, size_t n);
void buf_putc(struct buf *b, char c);
void buf_puts(struct buf *b, const char *cstr);
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool buf_ok(const struct buf *b);
struct sv buf_sv(const struct buf *b);     // valid until the next write, reset or free
const char *buf_cstr(struct buf *b);       // NUL-terminated view of the same bytes ("" when failed)
void buf_reset(struct buf *b);             // empties, keeps the memory, clears failed
struct sv buf_take(struct buf *b, struct arena *a);  // its bytes in the arena; absent when it failed. Frees it
void buf_free(struct buf *b);              // safe on a zeroed or freed buf

#endif
