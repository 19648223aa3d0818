// rate.h: token buckets in a table of fixed size: how often somebody may do something. Thread-safe.
#ifndef SERVER_CONTEXT_RATE_H
#define SERVER_CONTEXT_RATE_H

#include "base/sv.h"

struct rate;
struct rate *rate_new(int64_t per_second, int64_t burst);  // never NULL; per_second 1 .. 1000000
void rate_free(struct rate *r);                            // NULL is fine

// rate_take: false when the bucket of that payer is empty; a refusal costs nothing. now_us: monotonic.
bool rate_take(struct rate *r, struct sv payer, int64_t now_us);

#endif
