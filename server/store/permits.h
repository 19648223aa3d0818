// permits.h: counts what went out, and which account takes nothing for now, for a store that one process has to itself. In memory: after a
// restart it begins with nothing counted. Any thread.
#ifndef SERVER_STORE_PERMITS_H
#define SERVER_STORE_PERMITS_H

#include "server/store/store.h"

struct permits;

struct permits *permits_new(void);  // NULL: no memory
void permits_free(struct permits *p);
MUST_CHECK enum rc permits_take(struct permits *p, struct permit *asked, size_t n, int64_t now_ms, struct err *e);

#endif
