// event_read.h: the published JSON form of the canonical event, read strictly: the inverse of event_write, for events that people
// send themselves. Every fault is named by its path ("items[2].price: not an amount"); a value is never repeated. Pure.
#ifndef MAPPING_EVENT_READ_H
#define MAPPING_EVENT_READ_H

#include "mapping/event.h"

// The limits of docs/event.md. Klaviyo: a string is at most 100 KB, an array 4,000 elements, objects nest 10 deep, unique_id has
// at most 255 characters.
#define EVENT_TEXT_MOST ((size_t)100 << 10)
#define EVENT_ID_MOST 255
#define EVENT_LIST_MOST 4000
#define EVENT_DEPTH_MOST 10
#define EVENT_FAULTS_MOST 64

struct event_faults {
    struct sv v[EVENT_FAULTS_MOST];  // the first ones
    size_t count;                    // all of them
};

// event_read: *ret holds what could be read, with views into the texts of node's tree; use it only when *faults stayed empty. shop and source are
// taken as they stand. A member that is null counts as absent.
void event_read(struct arena *a, const struct json *node, struct event *ret, struct event_faults *faults);

// event_read_id: an id that could be one, for naming the event in an answer; absent when it has none.
struct sv event_read_id(const struct json *node);

void event_fault(struct arena *a, struct event_faults *faults, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
