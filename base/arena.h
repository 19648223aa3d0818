// arena.h: memory of one request or one job: many small pieces, freed together.
// Not thread-safe: one owner. Nothing that outlives the job may keep a pointer into it.
// Over the limit an allocation aborts the job with arena->failed and returns memory that is safe to write (a spare
// block), so that pure code needs no error branches; the owner checks arena_ok once at the end.
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/sv.h"

struct arena_block;

struct arena {
    struct arena_block *first, *now;
    size_t used, limit, first_bytes, step_bytes;
    bool failed;
};

void arena_init(struct arena *a, size_t limit_bytes);
void arena_init_first(struct arena *a, size_t limit_bytes, size_t first_bytes);  // with a larger first block, for one that is used again and again
void arena_init_steps(struct arena *a, size_t limit_bytes, size_t first_bytes, size_t step_bytes);  // ... and with blocks of that size behind it, which do not grow: for one that waits for long
void *arena_alloc(struct arena *a, size_t n);  // zeroed, aligned for any type, never NULL; n over the limit: aborts the process only when even the spare cannot hold it
void *arena_room(struct arena *a, size_t n);   // the same, not zeroed: for bytes that are written at once
void arena_shrink(struct arena *a, const void *last, size_t had, size_t keep);  // gives back the end of what was given last
struct sv arena_dup(struct arena *a, struct sv s);
char *arena_cstr(struct arena *a, struct sv s);  // NUL-terminated copy
struct sv arena_join(struct arena *a, const struct sv *parts, size_t n);  // one behind the other, also NUL-terminated: a fifth of what arena_fmt costs
struct sv arena_fmt(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);  // also NUL-terminated
bool arena_ok(const struct arena *a);
void arena_reset(struct arena *a);  // keeps the first block
void arena_free(struct arena *a);   // also after arena_init only; safe twice

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))

#endif
