// dispatch_slots.c: no more than given.in_flight requests are open, bulk requests apart. Half as many jobs more are on their way, because each
// waits for the store before, between and after its requests, and its slot would be empty meanwhile. So now and then a request waits for a
// slot, those that came first before others. Shops share the slots as they share the places of their jobs: while there are several, each has at
// most so many times what is free.
#include "server/dispatch/dispatch_parts.h"

#include <string.h>

static bool is_free(const struct dispatch *d, const struct shop_work *w) {
    size_t free = d->given.in_flight - d->open;
    return free > 0 && (d->current_count <= 1 || w->open < free * SHARE_PER_FREE);
}

static void take(struct task *t) {
    t->has_slot = true;
    t->dispatch->open++;
    t->work->open++;
}

bool slot_take(struct task *t) {
    struct dispatch *d = t->dispatch;
    if (is_free(d, t->work)) {
        take(t);
        return true;
    }
    t->wants_permit = true;
    d->waiting[d->waiting_count++] = t;
    return false;
}

void slot_give(struct task *t) {
    if (!t->has_slot)
        return;
    t->has_slot = false;
    t->dispatch->open--;
    t->work->open--;
}

void slots_look(struct dispatch *d) {
    for (size_t i = 0; i < d->waiting_count;) {
        struct task *t = d->waiting[i];
        if (!is_free(d, t->work) && !dispatch_stopping(d)) {
            i++;
            continue;
        }
        memmove(&d->waiting[i], &d->waiting[i + 1], (--d->waiting_count - i) * sizeof *d->waiting);
        t->wants_permit = false;
        take(t);
        task_slotted(t);
    }
}
