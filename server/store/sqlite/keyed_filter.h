// keyed_filter.h: which keys are surely not in the table keyed: those cost no page.
//
// A filter in memory (key_filter.h) that is made by a walk over keyed, a few keys at the end of each transaction: after a start, when
// it has become full, and when much of what it has was purged. Until the first walk is over any key may be in keyed.
// Belongs to the thread that owns the db.
#ifndef SERVER_STORE_SQLITE_KEYED_FILTER_H
#define SERVER_STORE_SQLITE_KEYED_FILTER_H

#include "server/store/sqlite/key_filter.h"
#include "server/store/sqlite/sqlite_db.h"

struct keyed_filter;

struct keyed_filter *keyed_filter_new(void);  // NULL: out of memory
void keyed_filter_free(struct keyed_filter *f);
bool keyed_filter_may_have(const struct keyed_filter *f, uint64_t start);
// keyed_filter_add: for each key that is put into keyed, in the transaction that does it.
void keyed_filter_add(struct keyed_filter *f, uint64_t start);
// keyed_filter_step: the last thing in a transaction: the walk meets so many keys, if there has to be one.
void keyed_filter_step(struct db *db, struct keyed_filter *f, int64_t keys);
void keyed_filter_purged(struct keyed_filter *f, int64_t keys);  // so many went
// keyed_filter_undo: a transaction came to nothing; before any other one.
void keyed_filter_undo(struct keyed_filter *f);

#endif
