#include "base/quota.h"

#include <string.h>

#define SLOTS (QUOTA_SLOTS + 1)

int64_t quota_slot_ms(int64_t span_ms) {
    return (span_ms + QUOTA_SLOTS - 1) / QUOTA_SLOTS;
}

// slots_of: where a window of that length is counted; one whose length no quota has any more makes room.
static struct quota_slots *slots_of(struct quota_use *use, const struct quota *q, int64_t span_ms) {
    for (size_t i = 0; i < QUOTA_WINDOWS; i++)
        if (use->windows[i].span_ms == span_ms)
            return &use->windows[i];
    for (size_t i = 0; i < QUOTA_WINDOWS; i++) {
        bool wanted = false;
        for (size_t k = 0; k < q->count; k++)
            wanted |= use->windows[i].span_ms == q->windows[k].span_ms;
        if (wanted)
            continue;
        use->windows[i] = (struct quota_slots){.span_ms = span_ms};
        return &use->windows[i];
    }
    return &use->windows[0];  // never: there are as many as a quota has
}

static void move_on(struct quota_slots *s, int64_t slot) {
    if (slot - s->newest >= SLOTS || slot < s->newest)
        memset(s->counts, 0, sizeof s->counts);
    for (int64_t i = s->newest + 1; i <= slot && slot - s->newest < SLOTS; i++)
        s->counts[i % SLOTS] = 0;
    s->newest = slot;
}

static int64_t counted(const struct quota_slots *s) {
    int64_t sum = 0;
    for (size_t i = 0; i < SLOTS; i++)
        sum += s->counts[i];
    return sum;
}

// until_room: when the oldest slot in which something went out leaves the window.
static int64_t until_room(const struct quota_slots *s, int64_t now_ms) {
    int64_t oldest = s->newest - QUOTA_SLOTS < 0 ? 0 : s->newest - QUOTA_SLOTS;
    while (oldest < s->newest && s->counts[oldest % SLOTS] == 0)
        oldest++;
    return (oldest + SLOTS) * quota_slot_ms(s->span_ms) - now_ms;
}

int64_t quota_take(struct quota_use *use, const struct quota *q, int64_t want, int64_t now_ms, int64_t *ret_wait_ms, size_t *ret_full) {
    struct quota_slots *slots[QUOTA_WINDOWS];
    int64_t granted = want;
    *ret_wait_ms = 0;
    for (size_t i = 0; i < q->count; i++) {
        const struct quota_window *w = &q->windows[i];
        slots[i] = slots_of(use, q, w->span_ms);
        move_on(slots[i], now_ms / quota_slot_ms(w->span_ms));
        int64_t room = w->most - counted(slots[i]);
        room = room > 0 ? room : 0;
        granted = room < granted ? room : granted;
    }
    for (size_t i = 0; i < q->count; i++) {
        slots[i]->counts[slots[i]->newest % SLOTS] += granted;
        int64_t wait = until_room(slots[i], now_ms);
        if (granted < want && counted(slots[i]) >= q->windows[i].most && wait > *ret_wait_ms) {
            *ret_wait_ms = wait;
            *ret_full = i;
        }
    }
    return granted;
}
