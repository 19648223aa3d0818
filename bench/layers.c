// mapping.c: what it costs to make both destinations' bodies of one order, in CPU time. Usage: bench_mapping FIXTURE [ROUNDS]
#include "base/clock.h"
#include "handlers/source.h"
#include "server/commands/fixture.h"
#include "server/config/config.h"
#include "server/dispatch/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char sample[] =
    "version: 1\nseal_key: a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\nshops:\n  acme:\n    domain: acme.myshopify.com\n"
    "    shopify: { secrets: [a] }\n    meta: { pixel_id: 1234567890, access_token: a }\n    klaviyo: { api_key: pk_a }\n";

static double cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

struct cost {
    double decode, plan;  // of one order
    size_t bytes;         // of all bodies
};

static struct cost once(struct arena *a, const struct shop *shop, const struct fixture *f, int rounds) {
    struct cost cost = {0};
    for (int i = 0; i < rounds; i++) {
        struct decoded decoded = {0};
        struct plan *plan = ARENA_NEW(a, struct plan);
        double start = cpu_us();
        source_decode(a, source_named(f->source), shop, f->topic, f->body, &decoded);
        double between = cpu_us();
        plan_make(a, shop, &decoded, decoded.count ? decoded.events[0].time_ms : 0, plan);
        cost.plan += (cpu_us() - between) / rounds;
        cost.decode += (between - start) / rounds;
        cost.bytes = 0;
        for (size_t s = 0; plan->event_count && s < PLAN_STEPS; s++)
            cost.bytes += plan->events[0].steps[s].draft.body.n;
        arena_reset(a);
    }
    return cost;
}

int main(int argc, char **argv) {
    enum { SAMPLES = 9 };
    struct config *config = NULL;
    struct arena kept, a;
    struct fixture f;
    struct buf faults;
    struct err e = {0};
    struct cost costs[SAMPLES];
    double decode[SAMPLES], plan[SAMPLES];
    int64_t rounds = 2000;
    buf_init(&faults, 1 << 20);
    arena_init(&kept, (size_t)16 << 20);
    arena_init(&a, (size_t)16 << 20);
    if (argc < 2 || (argc > 2 && !sv_i64(sv_of(argv[2]), &rounds)) || rounds < 1 || rounds > 1000000) {
        fputs("usage: bench_mapping FIXTURE [ROUNDS]\n", stderr);
        return 2;
    }
    if (config_parse(sv_of(sample), "sample", &config, &faults, &e) || fixture_read(&kept, argv[1], &f, &e)) {
        fprintf(stderr, "%s%s\n", buf_cstr(&faults), e.text);
        return 1;
    }
    for (int i = 0; i < SAMPLES; i++) {
        costs[i] = once(&a, &config->shops[0], &f, (int)rounds);
        decode[i] = costs[i].decode;
        plan[i] = costs[i].plan;
    }
    qsort(decode, SAMPLES, sizeof *decode, compare);
    qsort(plan, SAMPLES, sizeof *plan, compare);
    printf("%s: webhook %zu bytes, bodies %zu bytes\ndecoding %.1f us, mapping to all bodies %.1f us of CPU (median of %d x %lld)\n", argv[1], f.body.n,
           costs[0].bytes, decode[SAMPLES / 2], plan[SAMPLES / 2], SAMPLES, (long long)rounds);
    config_drop(config);
    arena_free(&a);
    arena_free(&kept);
    buf_free(&faults);
    return 0;
}
