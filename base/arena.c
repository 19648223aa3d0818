// arena.c: a chain of blocks, each at least as large as all before it together up to a ceiling.
//
// The spare beyond the limit is fresh memory, never memory that was handed out before: two owners of the same bytes
// could tie a list into a ring or take text for a pointer. It is large, because a process that aborts on one greedy
// body would meet the same body again after its restart.
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_LEAST ((size_t)16 << 10)
#define BLOCK_MOST ((size_t)1 << 20)
#define SPARE_BYTES ((size_t)64 << 20)
#define LIMIT_MOST (SIZE_MAX / 4)  // keeps the sums below from wrapping round
#define ALIGNMENT alignof(max_align_t)

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a, size_t limit_bytes) {
    arena_init_first(a, limit_bytes, BLOCK_LEAST);
}

void arena_init_first(struct arena *a, size_t limit_bytes, size_t first_bytes) {
    *a = (struct arena){.limit = limit_bytes < LIMIT_MOST ? limit_bytes : LIMIT_MOST, .first_bytes = first_bytes};
}

void arena_init_steps(struct arena *a, size_t limit_bytes, size_t first_bytes, size_t step_bytes) {
    arena_init_first(a, limit_bytes, first_bytes);
    a->step_bytes = step_bytes;
}

_Noreturn static void die(size_t n) {
    fprintf(stderr, "out of memory: no room for %zu bytes\n", n);
    abort();
}

static void add_block(struct arena *a, size_t n) {
    size_t least = a->first_bytes > 0 ? a->first_bytes : BLOCK_LEAST, size = a->used < least ? least : a->used;
    if (a->now && a->step_bytes > 0)
        size = a->step_bytes;
    if (size > BLOCK_MOST)
        size = BLOCK_MOST;
    if (size < n)
        size = n;
    struct arena_block *block = malloc(sizeof *block + size);
    if (!block)
        die(n);
    *block = (struct arena_block){.size = size};
    if (a->now)
        a->now->next = block;
    else
        a->first = block;
    a->now = block;
}

static bool fits(const struct arena *a, size_t n, size_t limit) {
    return n <= limit && a->used <= limit - n;
}

static size_t rounded(size_t n) {
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void *arena_room(struct arena *a, size_t n) {
    if (!fits(a, n, a->limit)) {
        a->failed = true;
        if (!fits(a, n, a->limit + SPARE_BYTES))
            die(n);
    }
    n = rounded(n);
    if (!a->now || a->now->size - a->now->used < n)
        add_block(a, n);
    void *p = a->now->bytes + a->now->used;
    a->now->used += n;
    a->used += n;
    return p;
}

void *arena_alloc(struct arena *a, size_t n) {
    return memset(arena_room(a, n), 0, n);
}

void arena_shrink(struct arena *a, const void *last, size_t had, size_t keep) {
    size_t less = rounded(had) - rounded(keep);
    if (keep > had || (const char *)last + rounded(had) != a->now->bytes + a->now->used)
        return;
    a->now->used -= less;
    a->used -= less;
}

char *arena_cstr(struct arena *a, struct sv s) {
    char *p = arena_room(a, s.n + 1);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

// Absent stays absent.
struct sv arena_dup(struct arena *a, struct sv s) {
    return s.p ? (struct sv){arena_cstr(a, s), s.n} : SV_NONE;
}

struct sv arena_join(struct arena *a, const struct sv *parts, size_t n) {
    size_t length = 0;
    for (size_t i = 0; i < n; i++)
        length += parts[i].n;
    char *p = arena_room(a, length + 1), *at = p;
    for (size_t i = 0; i < n; i++)
        at = parts[i].n > 0 ? mempcpy(at, parts[i].p, parts[i].n) : at;
    *at = '\0';
    return (struct sv){p, length};
}

struct sv arena_fmt(struct arena *a, const char *fmt, ...) {
    char small[256];  // what is longer is printed a second time
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int written = vsnprintf(small, sizeof small, fmt, args);
    va_end(args);
    size_t n = written < 0 ? 0 : (size_t)written;
    char *p = arena_room(a, n + 1);
    if (n < sizeof small)
        memcpy(p, small, n);
    else
        vsnprintf(p, n + 1, fmt, again);
    p[n] = '\0';
    va_end(again);
    return (struct sv){p, n};
}

bool arena_ok(const struct arena *a) {
    return !a->failed;
}

static void free_chain(struct arena_block *block) {
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_reset(struct arena *a) {
    if (a->first) {
        free_chain(a->first->next);
        a->first->next = NULL;
        a->first->used = 0;
    }
    *a = (struct arena){.first = a->first, .now = a->first, .limit = a->limit, .first_bytes = a->first_bytes, .step_bytes = a->step_bytes};
}

void arena_free(struct arena *a) {
    free_chain(a->first);
    *a = (struct arena){.limit = a->limit, .first_bytes = a->first_bytes, .step_bytes = a->step_bytes};
}
