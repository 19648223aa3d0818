// dispatch_shops.c: how the window of jobs in flight is shared. One shop with a slow destination must not fill it: while there are
// several, each may hold at most four times what is free, so that a fifth stays for the others; what is free goes to those that
// had more to do than they got last time, and one place to each of the others, in turn. Of a shop with a backlog what became due lately
// comes besides, before it; and an eighth of the window is for nothing else.
#include "server/dispatch/dispatch_parts.h"

#include <stdlib.h>
#include <string.h>

struct shop_work *shops_find(const struct dispatch *d, struct sv name) {
    for (size_t i = 0; i < d->shop_count; i++)
        if (sv_is(name, d->shops[i]->name))
            return d->shops[i];
    return NULL;
}

static void *must(void *p) {
    if (!p)
        abort();  // a few bytes per shop
    return p;
}

static struct shop_work *add(struct dispatch *d, struct sv name) {
    struct shop_work *w = must(calloc(1, sizeof *w));
    w->name = must(strndup(name.p, name.n));
    w->bulk.waiting = must(calloc(d->places, sizeof *w->bulk.waiting));
    d->shops = must(realloc(d->shops, (d->shop_count + 1) * sizeof *d->shops));
    d->shops[d->shop_count++] = w;
    return w;
}

void shops_refresh(struct dispatch *d) {
    struct config *config = config_current(d->given.config);
    if (config == d->config) {
        config_drop(config);
        return;
    }
    config_drop(d->config);
    d->config = config;
    d->current_count = config->shop_count;
    d->current = must(realloc(d->current, (config->shop_count + 1) * sizeof *d->current));
    d->claims = must(realloc(d->claims, (config->shop_count + 1) * sizeof *d->claims));
    for (size_t i = 0; i < config->shop_count; i++) {
        struct shop_work *known = shops_find(d, config->shops[i].name);
        d->current[i] = known ? known : add(d, config->shops[i].name);
        gates_show(d, d->current[i]);
        limits_begin(d->current[i], &config->shops[i]);
    }
    gates_probe(d);
}

void shops_free(struct dispatch *d) {
    for (size_t i = 0; i < d->shop_count; i++) {
        free(d->shops[i]->name);
        free(d->shops[i]->bulk.waiting);
        free(d->shops[i]);
    }
    free(d->shops);
    free(d->current);
    free(d->claims);
    config_drop(d->config);
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

// most: what a shop may take now. Each that it takes is one more that it holds and one less that is free; rounded up, so that the last free
// one goes to whoever holds next to nothing.
static size_t most(const struct dispatch *d, const struct shop_work *w) {
    size_t free = d->places - d->active, may_hold = free * SHARE_PER_FREE;
    if (d->current_count <= 1)
        return free;
    return may_hold > w->held ? (may_hold - w->held + SHARE_PER_FREE) / (SHARE_PER_FREE + 1) : 0;
}

static struct shop_work *in_turn(const struct dispatch *d, size_t i) {
    return d->current[(d->turn + i) % d->current_count];
}

// give: `each` more places to everybody, or to those who want more, while there are some.
static size_t give(struct dispatch *d, size_t left, size_t each, bool all) {
    for (size_t i = 0; i < d->current_count; i++) {
        struct shop_work *w = in_turn(d, i);
        if (!all && !w->wants_more)
            continue;
        size_t more = least(least(each, left), most(d, w) - w->asked);
        w->asked += more;
        left -= more;
    }
    return left;
}

// share_lately: as many again of what became due lately, of shops that have more than they get; one of several takes at most half of what is left.
static void share_lately(struct dispatch *d, size_t n) {
    size_t window = d->places - d->places / 8, room = window > d->active ? window - d->active : 0;
    size_t free = d->places - d->active;
    for (size_t i = 0; i < n; i++) {
        struct claim *c = &d->claims[i];
        struct shop_work *w = shops_find(d, c->shop);
        if (w->wants_more) {
            c->lately = c->max;
            w->asked = c->max = least(c->max, room);
        }
        room -= least(c->max, room);
        free -= least(c->max, free);
    }
    for (size_t i = 0; i < n; i++) {
        d->claims[i].lately = least(d->claims[i].lately, d->current_count > 1 ? free / 2 : free);
        free -= d->claims[i].lately;
    }
}

size_t shops_share(struct dispatch *d) {
    size_t free = least(d->places - d->active, d->claim_most), wanting = 0, n = 0;
    for (size_t i = 0; i < d->current_count; i++) {
        d->current[i]->asked = d->current[i]->got = 0;
        wanting += d->current[i]->wants_more;
    }
    if (d->current_count == 0)
        return 0;
    size_t left = give(d, free, wanting > 0 ? 1 : free / d->current_count + 1, true);
    if (wanting > 0)
        give(d, left, left / wanting + 1, false);
    d->turn++;
    for (size_t i = 0; i < d->current_count; i++) {
        struct shop_work *w = in_turn(d, i);
        if (w->asked > 0)
            d->claims[n++] = (struct claim){.shop = sv_of(w->name), .max = w->asked};
    }
    share_lately(d, n);
    return n;
}

void shops_claimed(struct dispatch *d, size_t claims) {
    for (size_t i = 0; claims > 0 && i < d->current_count; i++)
        if (d->current[i]->asked > 0)
            d->current[i]->wants_more = d->current[i]->got >= d->current[i]->asked;
}
