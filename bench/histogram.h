// histogram.h: latencies in microseconds, each kept to within 1.6 % (64 steps in each power of two), in fixed memory.
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_STEPS 64
#define HISTOGRAM_SIZE (HISTOGRAM_STEPS * 32)

struct histogram {
    uint64_t counts[HISTOGRAM_SIZE], total;
    uint64_t most;
};

static inline size_t histogram_place(uint64_t us) {
    if (us < HISTOGRAM_STEPS)
        return (size_t)us;
    unsigned shift = 63 - (unsigned)__builtin_clzll(us) - 6;
    size_t place = (shift + 1) * HISTOGRAM_STEPS + ((us >> shift) & (HISTOGRAM_STEPS - 1));
    return place < HISTOGRAM_SIZE ? place : HISTOGRAM_SIZE - 1;
}

// The largest value that is counted at a place.
static inline uint64_t histogram_value(size_t place) {
    if (place < HISTOGRAM_STEPS)
        return place;
    unsigned shift = (unsigned)(place / HISTOGRAM_STEPS) - 1;
    return ((HISTOGRAM_STEPS + place % HISTOGRAM_STEPS + 1) << shift) - 1;
}

static inline void histogram_add(struct histogram *h, int64_t us) {
    uint64_t value = us > 0 ? (uint64_t)us : 0;
    h->counts[histogram_place(value)]++;
    h->total++;
    h->most = value > h->most ? value : h->most;
}

// share: 0.5 for the median.
static inline uint64_t histogram_at(const struct histogram *h, double share) {
    uint64_t wanted = (uint64_t)(share * (double)h->total), seen = 0;
    for (size_t i = 0; i < HISTOGRAM_SIZE; i++) {
        seen += h->counts[i];
        if (seen > wanted)
            return histogram_value(i) < h->most ? histogram_value(i) : h->most;
    }
    return h->most;
}

#endif
