// context_keep.h: what a post becomes in the store: laid over what is kept under each of its names, and, where it tells of consent, over
// what is kept under the names that belong to these. Thread-safe. Durable when it returns RC_OK.
#ifndef SERVER_CONTEXT_CONTEXT_KEEP_H
#define SERVER_CONTEXT_CONTEXT_KEEP_H

#include "mapping/context.h"
#include "mapping/shop.h"
#include "server/store/store.h"

struct context_keep;
struct context_keep *context_keep_new(struct store *store);  // borrows it; never NULL
void context_keep_free(struct context_keep *keep);           // NULL is fine

// context_keep_post: after an error some of the names may have it; posted again, it reaches the others.
MUST_CHECK enum rc context_keep_post(struct context_keep *keep, struct arena *a, const struct shop *shop, const struct posted_context *posted,
                                     struct err *e);

#endif
