// key_filter.h: whether a key may be in a set, from memory; a blocked Bloom filter.
//
// "No" is always true. "Yes" is wrong for one key of a hundred at most while the filter is not full, and ever more often beyond. What
// was put in stays. A key is told by its first bytes: keys are hashes, so these are as good as the whole, and they are spread evenly.
// Pure memory, of whoever made it; not thread-safe.
#ifndef SERVER_STORE_SQLITE_KEY_FILTER_H
#define SERVER_STORE_SQLITE_KEY_FILTER_H

#include "base/sv.h"

struct key_filter;

uint64_t key_start(struct sv key);  // its first bytes as a number, in the order of the keys

// key_filter_new: as large as that many keys need, 4 MB at most; NULL: out of memory.
struct key_filter *key_filter_new(uint64_t keys);
void key_filter_free(struct key_filter *f);  // NULL is fine
void key_filter_add(struct key_filter *f, uint64_t start);
bool key_filter_may_have(const struct key_filter *f, uint64_t start);
uint64_t key_filter_count(const struct key_filter *f);  // keys that are in it, each once, about
bool key_filter_full(const struct key_filter *f);       // a larger one would be better, and is possible

#endif
