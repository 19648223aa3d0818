// delivery.h: what the store is given of an event in people's own form: its key, its lane, or why it has none. One way for what comes
// in a request (ingest.c) and for what the dispatcher makes itself (dispatch_wait.c).
#ifndef SERVER_DELIVERY_H
#define SERVER_DELIVERY_H

#include "handlers/source.h"
#include "server/store/store.h"

// delivery_classify sets what is to become of *io, by its body: the lane, or a state that is recorded at once with its reason.
// topic NULL: it is unknown.
void delivery_classify(struct arena *a, const struct shop *shop, const struct topic *topic, struct delivery *io);
// delivery_of: one part of a source that splits; its id is what makes it known.
struct delivery delivery_of(struct arena *a, const struct shop *shop, const struct source *source, const struct part *part, int64_t now_ms);

#endif
