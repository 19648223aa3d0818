// sqlite_db.h: SQLite for one owner: a file, its prepared statements, and errors that stick. The only module that sees libsqlite3.
//
// Like arena and buf, a db remembers the first failure: after it every call does nothing and every step finds no row, until
// db_take_error. So the code of a transaction has no error branches; whoever commits asks once.
// Not thread-safe: one thread at a time. Nothing else may have the file open: the lock is exclusive for as long as it is open.
#ifndef SERVER_STORE_SQLITE_DB_H
#define SERVER_STORE_SQLITE_DB_H

#include "base/err.h"
#include "base/sv.h"
#include "server/store/sqlite/packed.h"

struct db;
struct query;

enum value_type { VALUE_NUMBER, VALUE_TEXT, VALUE_BYTES, VALUE_HEX };

struct value {
    enum value_type type;
    int64_t number;
    struct sv bytes;  // absent: NULL
};

// VALUES(text(a), number(b)): the values of the parameters ?1, ?2 ... of a statement, and how many they are.
#define VALUES(...) (const struct value[]){__VA_ARGS__}, COUNTOF(((const struct value[]){__VA_ARGS__}))
static inline struct value number(int64_t n) {
    return (struct value){.type = VALUE_NUMBER, .number = n};
}
static inline struct value text(struct sv s) {
    return (struct value){.type = VALUE_TEXT, .bytes = s};
}
static inline struct value bytes(struct sv s) {
    return (struct value){.type = VALUE_BYTES, .bytes = s};
}
// hex: the file keeps it packed (packed.h), half as long.
static inline struct value hex(struct sv s) {
    return (struct value){.type = VALUE_HEX, .bytes = s};
}

struct db_config {
    const char *path;
    int64_t schema_version;      // written into a new file; a file of a higher version is refused
    const char *schema;          // run once in a new file
    const char *upgrade;         // run once in a file of an older version, where packed(text) is what hex() makes of it; NULL: the schema
    void *memory;                // what the owner keeps of the file in memory
    const char *const *queries;  // prepared at once; db_query names them by index
    size_t query_count;
};

// db_open: RC_UNAVAILABLE when another process has the file, RC_INVALID for a file of a newer version, else RC_IO.
// A new file is readable by its owner only.
MUST_CHECK enum rc db_open(const struct db_config *config, struct db **ret, struct err *e);
void db_close(struct db *db);  // NULL is fine

// db_query binds the values (borrowed until the query is used again or db_rest); db_step moves to the next row, if there is one.
struct query *db_query(struct db *db, size_t which, const struct value *values, size_t n);
bool db_step(struct query *q);
void db_run(struct db *db, size_t which, const struct value *values, size_t n);  // for statements that have no rows
// Columns are numbered from 0 and are views until the next step of the same query. NULL: absent, 0.
struct sv db_bytes(struct query *q, int column);
int64_t db_number(struct query *q, int column);
void db_hex(struct query *q, int column, char *out, size_t size);  // bytes as hex and a NUL, as much as there is room for
int64_t db_changes(const struct db *db);   // rows that the last statement changed
int64_t db_inserted(const struct db *db);  // rowid of the last insert
void db_rest(struct db *db);               // ends all queries, so that they keep no pages

void db_begin(struct db *db);
void db_commit(struct db *db);    // durable when it did not fail, and with it all before
void db_commit_unsynced(struct db *db);  // in the file: a crash of the process does not take it back, but a power cut may, the last one first
void db_rollback(struct db *db);  // also when there is none any more; works after a failure too
bool db_in_transaction(const struct db *db);  // some failures end it

void *db_memory(const struct db *db);
void db_no_memory(struct db *db);  // a failure of the caller's: it stands as one of SQLite's does

bool db_ok(const struct db *db);
// db_take_error: what failed since the last call, RC_OK when nothing did. RC_UNAVAILABLE: disk full, try again later.
enum rc db_take_error(struct db *db, struct err *e);
// db_broken: a failure after which nobody knows what is on the disk (a failed sync cannot be repeated): the db stays failed for ever.
bool db_broken(const struct db *db);

// db_tidy moves the write-ahead log into the file when it has grown large; to be called between transactions.
void db_tidy(struct db *db);
bool db_untidy(const struct db *db);  // it would

#endif
