// config.c: the life of a configuration snapshot, and the one place where the current one is kept.
#include "server/config/config.h"

#include <pthread.h>
#include <stdlib.h>

const struct shop *config_shop(const struct config *c, struct sv name) {
    for (size_t i = 0; i < c->shop_count; i++)
        if (sv_eq(c->shops[i].name, name))
            return &c->shops[i];
    return NULL;
}

struct config *config_take(struct config *c) {
    __atomic_add_fetch(&c->references, 1, __ATOMIC_RELAXED);
    return c;
}

// The snapshot itself lives in its arena, so the arena is moved out before it is freed.
void config_drop(struct config *c) {
    if (!c || __atomic_sub_fetch(&c->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    struct arena arena = c->arena;
    arena_free(&arena);
}

struct config_slot {
    pthread_mutex_t lock;
    struct config *current;
};

struct config_slot *config_slot_new(struct config *first) {
    struct config_slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        abort();  // at start only; the process has nothing to lose yet
    pthread_mutex_init(&slot->lock, NULL);
    slot->current = first;
    return slot;
}

void config_slot_free(struct config_slot *slot) {
    if (!slot)
        return;
    config_drop(slot->current);
    pthread_mutex_destroy(&slot->lock);
    free(slot);
}

// The lock keeps a snapshot from being freed between reading the pointer and counting the reference.
struct config *config_current(struct config_slot *slot) {
    pthread_mutex_lock(&slot->lock);
    struct config *c = config_take(slot->current);
    pthread_mutex_unlock(&slot->lock);
    return c;
}

void config_replace(struct config_slot *slot, struct config *next) {
    pthread_mutex_lock(&slot->lock);
    struct config *old = slot->current;
    slot->current = next;
    pthread_mutex_unlock(&slot->lock);
    config_drop(old);
}
