#include "server/store/sqlite/key_filter.h"

#include <stdlib.h>

enum {
    WORDS = 8,          // of a block: a line of the processor's cache
    BITS = WORDS * 64,
    BITS_OF_KEY = 10,
    PROBES = 4,         // bits that are set for a key: few, because the largest filter may become very full
    PLACE = 9,          // bits of a key that name one of a block's
    BLOCKS_LEAST = 1024,
    BLOCKS_MOST = 65536,
};
_Static_assert(BITS == 1 << PLACE, "each bit of a block has a name");
_Static_assert(PROBES * PLACE + 16 <= 64 && BLOCKS_MOST == 1 << 16, "the bits that choose a block are others than those that name a bit");

struct block {
    uint64_t words[WORDS];
};

struct key_filter {
    uint64_t blocks;  // a power of two
    uint64_t count;
    void *memory;
    struct block *block;  // in it, at the begin of a line
};

uint64_t key_start(struct sv key) {
    uint64_t start = 0;
    for (size_t i = 0; i < sizeof start; i++)
        start = start << 8 | (i < key.n ? (unsigned char)key.p[i] : 0);
    return start;
}

struct key_filter *key_filter_new(uint64_t keys) {
    struct key_filter *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->blocks = BLOCKS_LEAST;
    while (f->blocks < BLOCKS_MOST && f->blocks * BITS / BITS_OF_KEY < keys)
        f->blocks *= 2;
    f->memory = calloc(f->blocks + 1, sizeof *f->block);  // what is large costs nothing before it is used
    if (!f->memory) {
        free(f);
        return NULL;
    }
    f->block = (struct block *)(((uintptr_t)f->memory + sizeof *f->block - 1) / sizeof *f->block * sizeof *f->block);
    return f;
}

void key_filter_free(struct key_filter *f) {
    if (f)
        free(f->memory);
    free(f);
}

// The first bits choose the block, so keys that come in their order take one block after the other.
static uint64_t *block_of(const struct key_filter *f, uint64_t start) {
    return f->block[start >> 48 >> (16 - __builtin_ctzll(f->blocks))].words;
}

void key_filter_add(struct key_filter *f, uint64_t start) {
    uint64_t *words = block_of(f, start), new = 0;
    for (int i = 0; i < PROBES; i++, start >>= PLACE) {
        uint64_t bit = (uint64_t)1 << (start & 63), *word = &words[(start >> 6) % WORDS];
        new |= ~*word & bit;
        *word |= bit;
    }
    f->count += new != 0;
}

bool key_filter_may_have(const struct key_filter *f, uint64_t start) {
    const uint64_t *words = block_of(f, start);
    for (int i = 0; i < PROBES; i++, start >>= PLACE)
        if (!(words[(start >> 6) % WORDS] >> (start & 63) & 1))
            return false;
    return true;
}

uint64_t key_filter_count(const struct key_filter *f) {
    return f->count;
}

bool key_filter_full(const struct key_filter *f) {
    return f->blocks < BLOCKS_MOST && f->count > f->blocks * BITS / BITS_OF_KEY;
}
