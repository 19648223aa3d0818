// traffic.h: the requests that the load generator sends: Shopify orders of 10 KB, each another order.
// Made of a fixture: without white space, with as many line items as 10 KB take, moved to today. What differs between two orders (ids,
// tokens, person, signature) is written over a ready request in place, so that a request costs the generator next to nothing; the
// signatures are computed beforehand.
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include "base/arena.h"
#include "base/err.h"

#define FIRST_ORDER 6240000000000  // order number 0; the fake destination counts from the same

struct traffic_config {
    const char *fixture;   // its folder
    const char *secret;
    int64_t first, count;  // numbers of the orders
    int64_t lanes;         // how many people they belong to; 0: each its own
    const char *shop;      // all go to /hooks/SHOP/shopify
    int64_t shops;         // ... if this is 1; else to /hooks/shop000/shopify and on, in turn
    bool wrong;            // signed wrongly
    bool close;            // one connection a request
};

#define SITES_MAX 64
struct site {
    size_t at;
    int kind;
};

struct traffic {
    struct traffic_config config;
    struct arena arena;
    struct sv request;     // head and body, of no order in particular
    size_t body_at;
    struct site sites[SITES_MAX];
    size_t site_count;
    char *signatures;      // 44 characters each
};

MUST_CHECK enum rc traffic_init(struct traffic *t, const struct traffic_config *config, struct err *e);
void traffic_free(struct traffic *t);
// traffic_put makes of `request`, a copy of t->request, the one of order i (0 .. count-1).
void traffic_put(const struct traffic *t, char *request, int64_t i);
int64_t traffic_person(const struct traffic *t, int64_t i);

#endif
