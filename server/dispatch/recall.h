// recall.h: what an event leaves out and an earlier webhook told: who it is about, a subscription's cadence and next charge, when its click was
// first seen. Pure: the dispatcher looks the keys up in the store, a fixture in its stored.json.
#ifndef SERVER_RECALL_H
#define SERVER_RECALL_H

#include "mapping/event.h"

#define RECALL_KEYS_MAX 5

struct recall_key {
    struct sv text;  // absent: nothing more is wanted
    bool mark;       // it is kept as a mark
};

struct sv person_key(struct arena *a, struct sv name);  // of "order:450789469"
struct sv schedule_key(struct arena *a, struct sv subscription);

// recall_keys: under which names something may be kept that the event lacks.
void recall_keys(struct arena *a, const struct event *e, struct recall_key ret[RECALL_KEYS_MAX]);
// recall_apply: kept[i] is what stands under the i-th of them; NULL: nothing.
void recall_apply(struct arena *a, struct event *e, const struct json *const kept[RECALL_KEYS_MAX]);

#endif
