// store.c: what the SQLite engine alone costs: accepts from many threads, then claims, records and finishes as the dispatcher makes them,
// 5 lane keys and 3 changes an order. CPU of the process and what it writes into files, per order.
// usage: bench_store FILE [ORDERS [THREADS]]   (FILE must not be there)
#include "base/clock.h"
#include "base/crypto.h"
#include "server/store/store_engine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { BODY = 3200, PLAN = 1400, PROGRESS = 300, VALUE = 260, KEYS = 2, LANE_KEYS = 5, ASKED = 4, TOGETHER = 128, LEASE = 60000 };

static char noise[BODY];  // what is sealed looks like this

struct crowd {
    struct engine *engine;
    int first, step, count;
    int64_t *slowest_us;
};

struct cost {
    int64_t at_us, user_us, kernel_us;
    long long bytes, writes;
};

static struct cost read_cost(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    struct cost c = {.at_us = clock_mono_us(), .user_us = u.ru_utime.tv_sec * 1000000LL + u.ru_utime.tv_usec,
                     .kernel_us = u.ru_stime.tv_sec * 1000000LL + u.ru_stime.tv_usec};
    char line[80];
    FILE *f = fopen("/proc/self/io", "r");
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "wchar: %lld", &c.bytes);
        sscanf(line, "syscw: %lld", &c.writes);
    }
    if (f)
        fclose(f);
    return c;
}

static void tell(const char *what, struct cost from, int n) {
    struct cost to = read_cost();
    printf("%-10s %7.1f us/order, CPU %6.1f us (user %6.1f), written %6.2f KB in %.2f writes\n", what, (double)(to.at_us - from.at_us) / n,
           (double)(to.user_us - from.user_us + to.kernel_us - from.kernel_us) / n, (double)(to.user_us - from.user_us) / n,
           (double)(to.bytes - from.bytes) / n / 1024, (double)(to.writes - from.writes) / n);
}

static void must(enum rc rc, const struct err *e) {
    if (rc == RC_OK)
        return;
    fprintf(stderr, "bench_store: %s\n", e->text);
    exit(1);
}

static struct sv key_of(struct arena *a, const char *kind, int order, size_t i) {
    struct digest d = sha256(arena_fmt(a, "%s %d %zu", kind, order, i));
    return hex_of(a, d.b, KEY_LEN / 2);
}

static struct sv *keys_of(struct arena *a, const char *kind, int order, size_t n) {
    struct sv *keys = ARENA_ARRAY(a, struct sv, n);
    for (size_t i = 0; i < n; i++)
        keys[i] = key_of(a, kind, order, i);
    return keys;
}

static void accept_order(struct engine *engine, struct arena *a, int order) {
    struct err e = {0};
    enum accepted told;
    struct delivery d = {.shop = SV("acme"), .source = SV("shopify"), .topic = SV("orders/create"), .body = {noise, BODY},
                         .received_ms = clock_wall_ms(), .max_wait_ms = 60000, .keys = keys_of(a, "key", order, KEYS), .key_count = KEYS,
                         .lane_keys = keys_of(a, "lane", order, LANE_KEYS), .lane_key_count = LANE_KEYS};
    must(engine_sqlite.accept(engine, &d, &(const char *){d.keys[0].p}, 1, &told, &e), &e);
    arena_reset(a);
}

static void *accept_some(void *arg) {
    struct crowd *c = arg;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int i = c->first; i < c->count; i += c->step) {
        int64_t at = clock_mono_us();
        accept_order(c->engine, &a, i);
        c->slowest_us[i] = clock_mono_us() - at;
    }
    arena_free(&a);
    return NULL;
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void accept_all(struct engine *engine, int count, int threads) {
    pthread_t *all = calloc((size_t)threads, sizeof *all);
    struct crowd *crowds = calloc((size_t)threads, sizeof *crowds);
    int64_t *us = calloc((size_t)count, sizeof *us);
    struct cost from = read_cost();
    for (int i = 0; all && crowds && us && i < threads; i++) {
        crowds[i] = (struct crowd){engine, i, threads, count, us};
        pthread_create(&all[i], NULL, accept_some, &crowds[i]);
    }
    for (int i = 0; all && i < threads; i++)
        pthread_join(all[i], NULL);
    tell("accept", from, count);
    qsort(us, (size_t)count, sizeof *us, by_size);
    printf("           p50 %.2f ms, p99 %.2f ms, most %.2f ms\n", (double)us[count / 2] / 1e3, (double)us[count * 99LL / 100] / 1e3, (double)us[count - 1] / 1e3);
    free(all);
    free(crowds);
    free(us);
}

static void change_all(struct engine *engine, struct arena *a, struct job *jobs, size_t n, struct change (*make)(struct arena *a, const struct job *job, int order),
                       int first) {
    struct err e = {0};
    struct change *changes = ARENA_ARRAY(a, struct change, n);
    for (size_t i = 0; i < n; i++) {
        changes[i] = make(a, &jobs[i], first + (int)i);
        changes[i].job = &jobs[i];
        changes[i].lease_ms = LEASE;
        changes[i].lease_stays = true;
    }
    must(engine_sqlite.commit(engine, changes, n, &e), &e);
    for (size_t i = 0; i < n; i++)
        if (changes[i].result != RC_OK)
            exit(1);
}

static struct change planned(struct arena *a, const struct job *job, int order) {
    (void)job;
    struct remembered *r = ARENA_ARRAY(a, struct remembered, 3);
    for (size_t i = 0; i < 3; i++)
        r[i] = (struct remembered){key_of(a, "person", order, i), {noise, VALUE}, DAYS_MS(60)};
    return (struct change){.kind = CHANGE_RECORD, .plan = {noise, PLAN}, .reserve = keys_of(a, "event", order, 1), .reserve_count = 1, .reserve_lifetime_ms = DAYS_MS(60),
                           .remember = r, .remember_count = 3};
}

static struct change sent(struct arena *a, const struct job *job, int order) {
    (void)a, (void)job, (void)order;
    return (struct change){.kind = CHANGE_RECORD, .progress = {noise, PROGRESS}};
}

static struct change finished(struct arena *a, const struct job *job, int order) {
    (void)job, (void)order;
    struct sv *lines = ARENA_ARRAY(a, struct sv, 2);
    lines[0] = lines[1] = arena_fmt(a, "%0200d", 1);
    return (struct change){.kind = CHANGE_FINISH, .progress = {noise, PROGRESS}, .state = JOB_DONE, .ledger = lines, .ledger_count = 2};
}

static void deliver_all(struct engine *engine, int count) {
    struct arena a;
    arena_init(&a, 1 << 26);
    struct cost from = read_cost();
    const struct claim claim = {.shop = SV("acme"), .max = TOGETHER};
    for (int done = 0; done < count;) {
        struct err e = {0};
        struct job *jobs = NULL;
        size_t n = 0;
        int64_t next;
        must(engine_sqlite.claim(engine, &a, &claim, 1, LEASE, &jobs, &n, &next, &e), &e);
        if (n == 0) {
            printf("bench_store: only %d of %d\n", done, count);
            exit(1);
        }
        struct lookup *asked = ARENA_ARRAY(&a, struct lookup, n * ASKED);
        for (size_t i = 0; i < n * ASKED; i++)
            asked[i] = (struct lookup){.shop = SV("acme"), .key = key_of(&a, "person", done + (int)(i / ASKED), i % ASKED)};
        must(engine_sqlite.look_up(engine, &a, asked, n * ASKED, &e), &e);
        change_all(engine, &a, jobs, n, planned, done);
        change_all(engine, &a, jobs, n, sent, done);
        change_all(engine, &a, jobs, n, finished, done);
        done += (int)n;
        arena_reset(&a);
    }
    tell("deliver", from, count);
    arena_free(&a);
}

int main(int argc, char **argv) {
    struct arena a;
    struct err e = {0};
    struct engine *engine = NULL;
    if (argc < 2)
        return 2;
    int count = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 20000, threads = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 64;
    arena_init(&a, 1 << 16);
    random_bytes((unsigned char *)noise, sizeof noise);
    const struct store_config config = {.url = arena_fmt(&a, "sqlite:%s", argv[1]), .retention_ms = DAYS_MS(14), .ledger_lifetime_ms = DAYS_MS(90)};
    must(engine_sqlite.open(&config, &engine, &e), &e);
    accept_all(engine, count, threads);
    deliver_all(engine, count);
    struct cost from = read_cost();
    engine_sqlite.close(engine);
    tell("close", from, count);
    arena_free(&a);
    return 0;
}
