// layers.c: what the pure layers cost for one order, group by group: in CPU time, and, under callgrind, in instructions (bench/counts).
// usage: bench_layers FIXTURE [ROUNDS]
#include "base/compress.h"
#include "base/crypto.h"
#include "handlers/source.h"
#include "server/commands/fixture.h"
#include "server/config/config.h"
#include "server/dispatch/plan.h"
#include "usual_webhooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char sample[] =
    "version: 1\nseal_key: a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\nshops:\n  acme:\n    domain: acme.myshopify.com\n"
    "    shopify: { secrets: [a] }\n    meta: { pixel_id: 1234567890, access_token: a }\n    klaviyo: { api_key: pk_a }\n";

// The order on its way: what one group makes, a later one takes.
struct subject {
    struct arena kept, a;         // a is emptied after each call
    struct config *config;
    const struct shop *shop;
    const struct source *source;
    struct fixture fixture;
    struct headers headers;
    struct decoded decoded;
    struct plan plan;
    struct digest key;
    struct usual *usual;
    struct sv sealed, plan_json;
    int64_t now_ms;
    size_t check;                 // something of each result, so that no call is left out
};

static void do_verify(struct subject *s) {
    s->check += s->source->verify(s->shop, s->headers, s->fixture.body, s->now_ms).valid;
}

static void do_scan(struct subject *s) {
    struct identity identities[IDENTITIES_MAX];
    size_t n = 0;
    struct err e;
    s->check += source_scan(&s->a, source_topic(s->source, s->fixture.topic), s->fixture.body, identities, &n, &e) == RC_OK ? n : 0;
}

static void do_seal(struct subject *s) {
    s->check += seal(&s->a, &s->key, SV("acme body 1"), compress(&s->a, s->usual, s->fixture.body)).n;
}

static void do_open(struct subject *s) {
    struct sv packed, body = SV_NONE;
    struct err e;
    if (open_sealed(&s->a, &s->key, SV("acme body 1"), s->sealed, &packed, &e) == RC_OK && decompress(&s->a, s->usual, packed, 1 << 20, &body, &e) == RC_OK)
        s->check += body.n;
}

static void do_decode(struct subject *s) {
    struct decoded decoded = {0};
    source_decode(&s->a, s->source, s->shop, s->fixture.topic, s->fixture.body, &decoded);
    s->check += decoded.count;
}

static void draft(struct subject *s, const struct destination *to) {
    s->check += to->draft(&s->a, s->decoded.events, s->shop, s->now_ms).body.n;
}

static void do_meta(struct subject *s) {
    draft(s, &destination_meta);
}

static void do_klaviyo_profile(struct subject *s) {
    draft(s, &destination_klaviyo_profile);
}

static void do_klaviyo_event(struct subject *s) {
    draft(s, &destination_klaviyo);
}

static void do_plan(struct subject *s) {
    struct plan *plan = ARENA_NEW(&s->a, struct plan);
    plan_make(&s->a, s->shop, &s->decoded, s->now_ms, plan);
    s->check += plan->event_count;
}

static void do_plan_write(struct subject *s) {
    s->check += plan_write(&s->a, &s->plan).n;
}

static void do_plan_read(struct subject *s) {
    struct plan *plan = ARENA_NEW(&s->a, struct plan);
    struct err e;
    s->check += plan_read(&s->a, s->plan_json, SV_NONE, plan, &e) == RC_OK ? plan->event_count : 0;
}

// Each group has two doors: what goes through the warm one (first calls, caches, libraries that make themselves ready) is not counted.
#define GROUPS(X) X(verify) X(scan) X(seal) X(open) X(decode) X(meta) X(klaviyo_profile) X(klaviyo_event) X(plan) X(plan_write) X(plan_read)
#define DOORS(name)                                                                     \
    __attribute__((noinline)) static void warm_##name(struct subject *s) {              \
        do_##name(s);                                                                   \
        __asm__ volatile("" ::: "memory");                                              \
    }                                                                                   \
    __attribute__((noinline)) static void counted_##name(struct subject *s) {           \
        do_##name(s);                                                                   \
        __asm__ volatile("" ::: "memory");                                              \
    }
GROUPS(DOORS)

#define ROW(name) {#name, warm_##name, counted_##name},
static const struct group {
    const char *name;
    void (*warm)(struct subject *s);
    void (*counted)(struct subject *s);
} groups[] = {GROUPS(ROW)};

static double cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static bool warm_up(struct subject *s, const struct group *g) {
    size_t before = s->check;
    g->warm(s);
    g->warm(s);
    arena_reset(&s->a);
    if (s->check == before)
        fprintf(stderr, "bench_layers: %s did nothing\n", g->name);
    return s->check != before;
}

static double measure(struct subject *s, const struct group *g, int64_t rounds) {
    double best = 1e30;
    for (int sample_count = 0; sample_count < (rounds > 1 ? 9 : 1); sample_count++) {
        double start = cpu_us();
        for (int64_t i = 0; i < rounds; i++) {
            g->counted(s);
            arena_reset(&s->a);
        }
        double took = (cpu_us() - start) / (double)rounds;
        best = took < best ? took : best;
    }
    return best;
}

static enum rc prepare(struct subject *s, const char *fixture, struct err *e) {
    struct buf faults;
    buf_init(&faults, 1 << 20);
    arena_init(&s->kept, (size_t)16 << 20);
    arena_init(&s->a, (size_t)16 << 20);
    enum rc rc = config_parse(sv_of(sample), "sample", &s->config, &faults, e);
    buf_free(&faults);
    if (rc != RC_OK || (rc = fixture_read(&s->kept, fixture, &s->fixture, e)) != RC_OK)
        return rc;
    s->shop = &s->config->shops[0];
    s->source = source_named(s->fixture.source);
    s->headers = fixture_sign(&s->kept, &s->fixture, SV("a"), 0);
    s->key = sha256(SV("a key"));
    s->usual = usual_new(sv_of(txt_usual_1));
    s->sealed = seal(&s->kept, &s->key, SV("acme body 1"), compress(&s->kept, s->usual, s->fixture.body));
    source_decode(&s->kept, s->source, s->shop, s->fixture.topic, s->fixture.body, &s->decoded);
    if (s->decoded.count == 0)
        return err_set(e, RC_INVALID, "%s: it becomes no event", fixture);
    s->now_ms = s->decoded.events[0].time_ms;
    plan_make(&s->kept, s->shop, &s->decoded, s->now_ms, &s->plan);
    s->plan_json = plan_write(&s->kept, &s->plan);
    return RC_OK;
}

int main(int argc, char **argv) {
    static struct subject s;
    struct err e = {0};
    int64_t rounds = 2000;
    bool fine = true;
    if (argc < 2 || (argc > 2 && !sv_i64(sv_of(argv[2]), &rounds)) || rounds < 1 || rounds > 1000000) {
        fputs("usage: bench_layers FIXTURE [ROUNDS]\n", stderr);
        return 2;
    }
    if (prepare(&s, argv[1], &e)) {
        fprintf(stderr, "bench_layers: %s\n", e.text);
        return 1;
    }
    printf("%s: webhook %zu bytes, sealed %zu, plan %zu; us of CPU each, the best of 9 x %lld\n", argv[1], s.fixture.body.n, s.sealed.n, s.plan_json.n,
           (long long)rounds);
    for (size_t i = 0; i < COUNTOF(groups); i++) {
        fine = warm_up(&s, &groups[i]) && fine;
        printf("%-16s %8.2f\n", groups[i].name, measure(&s, &groups[i], rounds));
    }
    usual_free(s.usual);
    config_drop(s.config);
    arena_free(&s.a);
    arena_free(&s.kept);
    return fine ? 0 : 1;
}
