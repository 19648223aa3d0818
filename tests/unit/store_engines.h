// store_engines.h: runs a table of cases on every engine that this machine has.
#ifndef TESTS_UNIT_STORE_ENGINES_H
#define TESTS_UNIT_STORE_ENGINES_H

#include "redis_server.h"
#include "store_env.h"

struct store_case {
    const char *name;
    CMUnitTestFunction run;  // *state is a struct env with an open store
};

struct store_engine {
    const char *name;
    const char *url;  // NULL: a file of its own for every case
};

static inline int store_case_begin(void **state) {
    const struct store_engine *engine = *state;
    struct env *v = env_make(engine->url);
    env_open(v);
    *state = v;
    return 0;
}

static inline int store_case_end(void **state) {
    env_free(*state);
    return 0;
}

// run_on_each_engine: what main returns. Redis is left out, and that is said, only where it is not installed.
static inline int run_on_each_engine(const char *group, const struct store_case *cases, size_t n) {
    struct redis_server redis = {0};
    bool has_redis = redis_installed();
    if (!has_redis)
        printf("redis-server is not installed: SQLite alone is tested\n");
    else if (!redis_server_start(&redis)) {
        fprintf(stderr, "redis-server is installed but does not start\n");
        return 1;
    }
    struct store_engine engines[] = {{"sqlite", NULL}, {"redis", redis.url}};
    size_t engine_count = has_redis ? 2 : 1;
    struct CMUnitTest *tests = calloc(2 * n, sizeof *tests);
    char(*names)[96] = calloc(2 * n, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; tests && names && i < engine_count; i++)
        for (size_t k = 0; k < n; k++, count++) {
            snprintf(names[count], sizeof names[count], "%s: %s", engines[i].name, cases[k].name);
            tests[count] = (struct CMUnitTest){names[count], cases[k].run, store_case_begin, store_case_end, &engines[i]};
        }
    int failed = count > 0 ? _cmocka_run_group_tests(group, tests, count, NULL, NULL) : 1;
    free(names);
    free(tests);
    if (has_redis)
        redis_server_remove(&redis);
    return failed;
}

#endif
