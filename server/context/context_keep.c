// context_keep.c: one visit has several names: its cart's, its checkout's, its customer's. What is kept under a cart or checkout knows
// the others, so that whoever takes consent back under one of them takes it back under all. A customer's does not know his visits: each
// post comes under a cart or a checkout, and one visit's word on consent reaches another through the customer, at the join.
#include "server/context/context_keep.h"

#include "base/crypto.h"
#include "mapping/consent.h"

#include <pthread.h>
#include <stdlib.h>

enum { MERGES = 64, REACH_MAX = 2 * CONTEXT_LINKS_MAX };

struct context_keep {
    struct store *store;
    pthread_mutex_t merging[MERGES];  // by key: posts of one visit wait for each other here, instead of trying again and again in the store
};

// The names that one post reaches, its own first.
struct reach {
    struct sv keys[REACH_MAX];
    size_t n, own;
    bool grows;  // it tells of consent
};

struct context_keep *context_keep_new(struct store *store) {
    struct context_keep *keep = calloc(1, sizeof *keep);
    if (!keep)
        abort();  // at start only
    keep->store = store;
    for (size_t i = 0; i < MERGES; i++)
        pthread_mutex_init(&keep->merging[i], NULL);
    return keep;
}

void context_keep_free(struct context_keep *keep) {
    if (!keep)
        return;
    for (size_t i = 0; i < MERGES; i++)
        pthread_mutex_destroy(&keep->merging[i]);
    free(keep);
}

static void reach_add(struct reach *r, struct sv key) {
    for (size_t i = 0; i < r->n; i++)
        if (sv_eq(r->keys[i], key))
            return;
    if (r->n < REACH_MAX)
        r->keys[r->n++] = key;
}

static void reach_links(struct reach *r, const struct context *known) {
    for (size_t i = 0; i < known->link_count && r->grows; i++)
        reach_add(r, known->links[i]);
}

struct merging {
    const struct context *said;
    struct reach *reach;
};

static struct sv merged(void *ctx, struct arena *a, struct sv stored) {
    const struct merging *m = ctx;
    struct context known;
    if (!stored.p || context_read(a, stored, &known, NULL) != RC_OK)
        return context_write(a, m->said);
    reach_links(m->reach, &known);
    context_merge(&known, m->said);
    return context_write(a, &known);
}

// said_to: what of the post is kept under the i-th of the names. A permission that was given in a visit is the customer's own only where
// the post names him.
static struct context said_to(const struct reach *r, size_t i, const struct context *posted) {
    bool customers = context_is_customers(r->keys[i]);
    if (i >= r->own)
        return (struct context){.consent = customers ? consent_refusals(posted->consent) : posted->consent, .consent_at_ms = posted->consent_at_ms};
    struct context said = *posted;
    for (size_t k = 0; k < r->own && !customers && posted->consent.marketing != CONSENT_DENIED; k++)
        if (k != i)
            said.links[said.link_count++] = r->keys[k];
    return said;
}

static enum rc tell(struct context_keep *keep, struct arena *a, const struct shop *shop, struct reach *r, size_t i, const struct context *posted,
                    struct err *e) {
    struct context said = said_to(r, i, posted);
    struct merging merging = {&said, r};
    const struct state_update update = {.key = r->keys[i], .lifetime_ms = shop->context.lifetime_ms, .next = merged, .ctx = &merging};
    if (i >= r->own && !consent_told(&said.consent))
        return RC_OK;
    pthread_mutex_t *lock = &keep->merging[sha256(r->keys[i]).b[0] % MERGES];
    pthread_mutex_lock(lock);
    enum rc rc = store_state_update(keep->store, a, shop->name, &update, e);
    pthread_mutex_unlock(lock);
    return rc;
}

// A denial takes the links away with the rest, so they are read before anything changes, and the post's own names change last: if the
// store fails in between, the same post still reaches everything.
static enum rc look_ahead(struct context_keep *keep, struct arena *a, const struct shop *shop, struct reach *r, struct err *e) {
    enum rc rc = RC_OK;
    for (size_t i = 0; i < r->n && rc == RC_OK; i++) {
        struct context known;
        struct sv stored;
        rc = store_state_get(keep->store, a, shop->name, r->keys[i], &stored, e);
        if (rc == RC_OK && stored.p && context_read(a, stored, &known, NULL) == RC_OK)
            reach_links(r, &known);
    }
    return rc;
}

enum rc context_keep_post(struct context_keep *keep, struct arena *a, const struct shop *shop, const struct posted_context *posted, struct err *e) {
    const struct {
        const char *kind;
        struct sv token;
    } names[CONTEXT_KEYS_MAX] = {
        {"checkout", posted->checkout_token},
        {"cart", posted->cart_token},
        {context_customer_kind(shop->context.customer_secret.p), posted->customer_id},
    };
    struct reach reach = {.grows = consent_told(&posted->context.consent)};
    enum rc rc = RC_OK;
    for (size_t i = 0; i < CONTEXT_KEYS_MAX; i++)
        if (sv_present(names[i].token))
            reach_add(&reach, context_key(a, names[i].kind, names[i].token));
    reach.own = reach.n;
    if (posted->context.consent.marketing == CONSENT_DENIED)
        rc = look_ahead(keep, a, shop, &reach, e);
    size_t known = reach.n;
    for (size_t i = known; i-- > 0 && rc == RC_OK;)
        rc = tell(keep, a, shop, &reach, i, &posted->context, e);
    for (size_t i = known; i < reach.n && rc == RC_OK; i++)  // those that turned up on the way
        rc = tell(keep, a, shop, &reach, i, &posted->context, e);
    return rc;
}
