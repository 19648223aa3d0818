#include "server/store/permits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// One kind of request, or one account, of one shop: few, so they are walked.
struct counter {
    char *shop, *name;
    struct quota_use use;   // of a kind
    int64_t shut_until_ms;  // of an account
};

struct permits {
    pthread_mutex_t lock;
    struct counter *kinds, *accounts;
    size_t kind_count, account_count;
};

struct permits *permits_new(void) {
    struct permits *p = calloc(1, sizeof *p);
    if (p)
        pthread_mutex_init(&p->lock, NULL);
    return p;
}

static void free_counters(struct counter *counters, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(counters[i].shop);
        free(counters[i].name);
    }
    free(counters);
}

void permits_free(struct permits *p) {
    if (!p)
        return;
    free_counters(p->kinds, p->kind_count);
    free_counters(p->accounts, p->account_count);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

// counter_of: NULL: no memory.
static struct counter *counter_of(struct counter **all, size_t *n, struct sv shop, struct sv name) {
    for (size_t i = 0; i < *n; i++)
        if (sv_is(shop, (*all)[i].shop) && sv_is(name, (*all)[i].name))
            return &(*all)[i];
    struct counter *more = realloc(*all, (*n + 1) * sizeof *more);
    if (!more)
        return NULL;
    *all = more;
    more[*n] = (struct counter){.shop = strndup(shop.p, shop.n), .name = strndup(name.p, name.n)};
    if (more[*n].shop && more[*n].name)
        return &more[(*n)++];
    free(more[*n].shop);
    free(more[*n].name);
    return NULL;
}

static enum rc take(struct permits *p, struct permit *one, int64_t now_ms, struct err *e) {
    struct counter *account = counter_of(&p->accounts, &p->account_count, one->shop, one->account);
    struct counter *kind = counter_of(&p->kinds, &p->kind_count, one->shop, one->kind);
    if (!account || !kind)
        return err_set(e, RC_UNAVAILABLE, "out of memory");
    if (account->shut_until_ms < now_ms + one->shut_ms)
        account->shut_until_ms = now_ms + one->shut_ms;
    one->granted = 0;
    one->full = 0;
    one->wait_ms = one->ret_shut_ms = account->shut_until_ms > now_ms ? account->shut_until_ms - now_ms : 0;
    if (one->ret_shut_ms == 0)
        one->granted = quota_take(&kind->use, one->quota, one->want, now_ms, &one->wait_ms, &one->full);
    return RC_OK;
}

enum rc permits_take(struct permits *p, struct permit *asked, size_t n, int64_t now_ms, struct err *e) {
    enum rc rc = RC_OK;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        rc = take(p, &asked[i], now_ms, e);
    pthread_mutex_unlock(&p->lock);
    return rc;
}
