// recall.h: what an event leaves out and an earlier webhook told: who it is about, and a subscription's cadence and next charge. Pure but
// for the caller's look-up: the dispatcher asks the store, a fixture its stored.json.
#ifndef SERVER_RECALL_H
#define SERVER_RECALL_H

#include "mapping/event.h"

// What is kept of whom: *ret NULL: nothing, or nothing that can be read.
typedef enum rc recall_fn(void *ctx, struct sv key, const struct json **ret, struct err *e);

struct sv person_key(struct arena *a, struct sv name);        // of "order:450789469"
struct sv schedule_key(struct arena *a, struct sv subscription);
bool is_schedule_key(struct sv key);

MUST_CHECK enum rc recall(struct arena *a, struct event *event, recall_fn *known, void *ctx, struct err *e);

#endif
