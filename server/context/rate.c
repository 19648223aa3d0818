// rate.c: a bucket is one number: when it will be full again. One that is full is as good as none, so nothing is ever cleared up.
//
// The table does not grow: a payer has its place in one of WAYS slots, and a new one takes the slot that is the first to be full.
// Whoever has more addresses than the table has slots can so push out what others owe; what that gains is bounded by the rate of
// the shop. The places are salted: nobody outside can choose addresses that meet in one place.
#include "server/context/rate.h"

#include "base/crypto.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 8, SETS = 1024 };

struct bucket {
    uint64_t payer;   // salted hash
    int64_t full_us;  // when it is full again
};

struct rate {
    pthread_mutex_t lock;
    int64_t token_us, burst;
    unsigned char salt[16];
    struct bucket sets[SETS][WAYS];
};

struct rate *rate_new(int64_t per_second, int64_t burst) {
    struct rate *r = calloc(1, sizeof *r);
    if (!r)
        abort();  // at start only
    pthread_mutex_init(&r->lock, NULL);
    r->token_us = 1000000 / per_second;
    r->burst = burst;
    random_bytes(r->salt, sizeof r->salt);
    return r;
}

void rate_free(struct rate *r) {
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static uint64_t salted(const struct rate *r, struct sv payer) {
    const struct sv parts[] = {{(const char *)r->salt, sizeof r->salt}, payer};
    struct digest d = sha256_parts(parts, COUNTOF(parts));
    uint64_t hash;
    memcpy(&hash, d.b, sizeof hash);
    return hash;
}

static struct bucket *bucket_of(struct bucket set[WAYS], uint64_t payer) {
    struct bucket *oldest = set;
    for (struct bucket *b = set; b < set + WAYS; b++) {
        if (b->payer == payer)
            return b;
        if (b->full_us < oldest->full_us)
            oldest = b;
    }
    *oldest = (struct bucket){.payer = payer};
    return oldest;
}

bool rate_take(struct rate *r, struct sv payer, int64_t now_us) {
    uint64_t hash = salted(r, payer);
    pthread_mutex_lock(&r->lock);
    struct bucket *b = bucket_of(r->sets[hash % SETS], hash);
    int64_t full_us = (b->full_us > now_us ? b->full_us : now_us) + r->token_us;
    bool granted = full_us - now_us <= r->burst * r->token_us;
    if (granted)
        b->full_us = full_us;
    pthread_mutex_unlock(&r->lock);
    return granted;
}
