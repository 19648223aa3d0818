// store_file.h: what is in the file of a SQLite store that is closed.
#ifndef TESTS_UNIT_STORE_FILE_H
#define TESTS_UNIT_STORE_FILE_H

#include "server/store/sqlite/sqlite_verbs.h"
#include "store_env.h"

static inline const char *file_of(const struct env *v) {
    return v->url + strlen("sqlite:");
}

// look runs one statement and returns its first number; -1: there is none.
static inline int64_t look(struct env *v, const char *sql) {
    struct err e = {0};
    struct db *db = NULL;
    struct db_config config = {.path = file_of(v), .schema_version = SCHEMA_VERSION, .schema = sqlite_schema, .queries = &sql, .query_count = 1};
    MUST(db_open(&config, &db, &e));
    struct query *q = db_query(db, 0, NULL, 0);
    int64_t n = db_step(q) ? db_number(q, 0) : -1;
    db_rest(db);
    MUST(db_take_error(db, &e));
    db_close(db);
    return n;
}

#endif
