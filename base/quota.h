// quota.h: how many requests may go out in which time, and how many did. Pure: the time is always an argument.
//
// Who sets a quota counts in windows that begin when it suits them, and we do not know when. So nothing here depends on where a window
// begins: in no span of time of that length do more go out. A window is counted in QUOTA_SLOTS pieces, and one leaves it as a
// whole: what is let through is at most 1 in QUOTA_SLOTS + 1 less than what is allowed. Redis counts the same way (lua/permits.lua).
#ifndef BASE_QUOTA_H
#define BASE_QUOTA_H

#include "base/sv.h"

#include <stddef.h>

#define QUOTA_WINDOWS 4
#define QUOTA_SLOTS 25        // divides a second and a minute

struct quota {
    struct quota_window {
        int64_t most, span_ms;  // both at least 1
    } windows[QUOTA_WINDOWS];
    size_t count;             // of windows, all of which hold; 0: as many as one likes
};

// How many went out. Zeroed: none.
struct quota_use {
    struct quota_slots {
        int64_t span_ms, newest;           // the number of the newest slot since time began
        int64_t counts[QUOTA_SLOTS + 1];   // by number of the slot, modulo; those behind the newest
    } windows[QUOTA_WINDOWS];
};

// quota_take: how many of `want` may go out now; they are counted. Fewer than wanted: *ret_wait_ms says when it is worth asking again, and
// *ret_full which window is full.
int64_t quota_take(struct quota_use *use, const struct quota *q, int64_t want, int64_t now_ms, int64_t *ret_wait_ms, size_t *ret_full);
int64_t quota_slot_ms(int64_t span_ms);

#endif
