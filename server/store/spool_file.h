// spool_file.h: the spool's file: what waits in it, in the order in which it was taken. Any thread.
// Deliveries are packed (store_engine.h): their keys are hashes, their bodies sealed; nothing else of them is here.
#ifndef SERVER_STORE_SPOOL_FILE_H
#define SERVER_STORE_SPOOL_FILE_H

#include "server/store/sqlite/sqlite_writer.h"
#include "server/store/store_engine.h"

// One that waits. It lives in the arena of whoever read it.
struct spooled {
    int64_t seq;
    char id[JOB_ID_LEN + 1];
    struct delivery delivery;
};

struct spool_file;

// spool_file_open: RC_UNAVAILABLE when another process has the file; RC_DENIED when something waits in it that was packed with other keys
// than those of the fingerprint. broken: see store_config. *ret_known: the file is bound to that fingerprint; *ret_waiting: how many wait.
MUST_CHECK enum rc spool_file_open(const char *path, struct sv fingerprint, const struct store_config *store, struct spool_file **ret,
                                   bool *ret_known, int64_t *ret_waiting, struct err *e);
MUST_CHECK enum rc spool_file_bind(struct spool_file *f, struct sv fingerprint, struct err *e);
void spool_file_close(struct spool_file *f);  // NULL is fine
// spool_file_add: all or none; durable when it returns. ret[i]: whether one waits under the same id or key.
MUST_CHECK enum rc spool_file_add(struct spool_file *f, const struct delivery *d, const char *const *ids, size_t n, enum accepted *ret, struct err *e);
// spool_file_read: the oldest ones, some at a time.
MUST_CHECK enum rc spool_file_read(struct spool_file *f, struct arena *a, struct spooled **ret, size_t *ret_count, struct err *e);
MUST_CHECK enum rc spool_file_drop(struct spool_file *f, int64_t up_to_seq, struct err *e);
MUST_CHECK enum rc spool_file_check(struct spool_file *f, struct err *e);  // it can be written to now

#endif
