// sqlite_writer.h: an SQLite file, and those who do things there, one at a time. The store's file is one, the spool's another.
// A verb runs on the caller's thread when nobody else is at it, otherwise on the writer's own, inside a transaction that it may share with
// others; it sees those before it. Its errors stick to the db, and what it put into args counts only when writer_perform returns
// RC_OK: then it is durable.
#ifndef SERVER_STORE_SQLITE_WRITER_H
#define SERVER_STORE_SQLITE_WRITER_H

#include "server/store/sqlite/sqlite_db.h"

typedef void verb_function(struct db *db, int64_t now, void *args);  // now: wall time in milliseconds

struct writer;
struct writer_config {
    struct db_config db;
    verb_function *begin;         // runs alone, before writer_open returns
    void *begin_args;
    verb_function *renew;         // reads anew what is kept in memory of the file: before begin, and in the first transaction after one that
                                  // came to nothing; NULL: nothing is
    verb_function *end;           // runs at the end of each transaction, before the commit; NULL: nothing
    void *args;                   // of those two
    void (*broken)(void *ctx);    // once, when the disk failed (db_broken): all that is left is to end; NULL: nobody asks
    void *broken_ctx;
};

MUST_CHECK enum rc writer_open(const struct writer_config *config, struct writer **ret, struct err *e);
void writer_close(struct writer *w);  // what was posted before is still carried out; NULL is fine
// writer_perform: any thread; waits until it is done. e may be NULL.
MUST_CHECK enum rc writer_perform(struct writer *w, verb_function *verb, void *args, struct err *e);
// writer_perform_all: at once, in their order and mostly in one transaction; each has a result of its own.
#define WRITER_CALLS_MOST 4
struct writer_call {
    verb_function *verb;
    void *args;
    bool unsynced;   // a power cut may take it back (but no crash of the process): then nobody waits for the disk, unless others of its group do
    enum rc rc;      // out
    struct err err;
};
void writer_perform_all(struct writer *w, struct writer_call *calls, size_t n);

#endif
